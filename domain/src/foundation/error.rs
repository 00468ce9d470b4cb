//! The errors of domain functions: refusals, to which the caller can react, and failures, which concern the operator.
//!
//! The database decides both. A violated constraint becomes a domain error only in this file. The meaning of all
//! other database errors is in `sql_errors.rs`.

use crate::foundation::imports::RowFault;
use crate::foundation::new_password::WeakPassword;
use crate::foundation::sql_errors::Meaning;
use chrono::{DateTime, NaiveDate, Utc};
use entity::orders::Status;
use entity::{
    ApiKeyId, BusinessId, CreditNoteId, CustomerAddresses, CustomerId, DisputeId, Money, OrderId,
    PaymentId, PayoutId, ProductId, ReservationId, SaleId, TimeZone, UserId, WriteOffId,
    reservations,
};
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// The reason why a domain function failed. Unless a variant says otherwise, nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The caller's role does not permit the operation.
    #[error("the caller may not do this")]
    Forbidden,
    /// The address or business is unknown, the password is wrong, the user is disabled, or the refresh token is
    /// invalid. The response never says which.
    #[error("the credentials are not valid")]
    InvalidCredentials,
    /// The customer does not exist, or the caller may not see them.
    #[error("customer {0} does not exist")]
    CustomerNotFound(CustomerId),
    /// The product does not exist or is not on sale.
    #[error("product {0} does not exist")]
    ProductNotFound(ProductId),
    /// The product has no such picture.
    #[error("product {0} has no such picture")]
    PictureNotFound(ProductId),
    /// An uploaded file is not a picture that can be shown.
    #[error("the file {0}")]
    InvalidPicture(PictureFault),
    /// The folder of pictures cannot be read or written. Nothing was changed.
    #[error("the folder of pictures is not available: {0}")]
    PicturesUnavailable(String),
    /// The order does not exist, or the caller may not see it.
    #[error("order {0} does not exist")]
    OrderNotFound(OrderId),
    /// The caller's business has no such user.
    #[error("the user does not exist")]
    UserNotFound(UserId),
    /// There is no such business.
    #[error("the business does not exist")]
    BusinessNotFound(BusinessId),
    /// The caller's business has no such API key.
    #[error("the API key does not exist")]
    ApiKeyNotFound(ApiKeyId),
    /// The caller's business has no such payment.
    #[error("the payment does not exist")]
    PaymentNotFound(PaymentId),
    /// The caller's business has no such payout.
    #[error("the payout does not exist")]
    PayoutNotFound(PayoutId),
    /// The caller's business has no such credit note.
    #[error("the credit note does not exist")]
    CreditNoteNotFound(CreditNoteId),
    /// The caller's business has no such write-off.
    #[error("the write-off does not exist")]
    WriteOffNotFound(WriteOffId),
    /// The business has no such sale.
    #[error("the sale does not exist")]
    SaleNotFound(SaleId),
    /// More units are requested than are available. Lists every short product.
    #[error("not enough stock")]
    InsufficientStock(Vec<Shortage>),
    /// The counted units are fewer than the reserved ones.
    #[error("the count of product {product_id} is below its reserved units")]
    CountedBelowReserved {
        /// The product that was counted.
        product_id: ProductId,
        /// The recorded units on hand.
        on_hand: i64,
        /// Of those, the reserved units.
        reserved: i64,
        /// The units that were counted.
        counted: i64,
    },
    /// The stock on hand would exceed [`entity::inventory::MAX_ON_HAND`].
    #[error(
        "{on_hand} of product {product_id} would be on hand, and the most is {}",
        entity::inventory::MAX_ON_HAND
    )]
    StockLimitExceeded {
        /// The product that would exceed it.
        product_id: ProductId,
        /// The units that would be on hand.
        on_hand: i64,
    },
    /// The purchase would exceed the customer's credit limit.
    #[error("the purchase exceeds the customer's credit limit")]
    CreditLimitExceeded {
        /// The most that the customer may owe.
        credit_limit: Money,
        /// The customer's balance before the purchase.
        balance: Money,
        /// The total of the purchase.
        amount: Money,
    },
    /// An admin has stopped sales to the customer.
    #[error("customer {0} is on hold")]
    CustomerOnHold(CustomerId),
    /// The customer has an order that is past due by more days than the business allows.
    #[error("order {order_id} of customer {customer} was due at {due_at} and is not paid")]
    CustomerOverdue {
        /// The customer who owes for it.
        customer: CustomerId,
        /// The unpaid order that is due for longest.
        order_id: OrderId,
        /// The end of its payment terms.
        due_at: DateTime<Utc>,
    },
    /// The quoted price differs from the current one.
    #[error("the price of product {product_id} has changed")]
    PriceChanged {
        /// The product whose price differs.
        product_id: ProductId,
        /// The price that the buyer saw.
        quoted: Money,
        /// The price that would be charged.
        current: Money,
    },
    /// One order would have units of a product at different prices: held units have the price of their reservation.
    #[error(
        "the units of product {product_id} in this order have different prices: buy the units of each price in a \
         separate order, the held units first"
    )]
    PricesDiffer {
        /// The product with several prices.
        product_id: ProductId,
        /// The number of units at each price, held units first.
        prices: Vec<(i64, Money)>,
    },
    /// The customer would hold more than one customer may.
    #[error("{0}")]
    HoldLimitExceeded(HoldLimit),
    /// The price in a sale exceeds the list price.
    #[error("the sale's price of product {product_id} is above its list price")]
    SalePriceAboveListPrice {
        /// The product whose price is too high.
        product_id: ProductId,
        /// The price in the sale.
        price: Money,
        /// The list price, the highest that is permitted.
        list_price: Money,
    },
    /// The purchase would exceed the product's limit per customer.
    #[error("product {product_id} is limited to {limit} units per customer")]
    PurchaseLimitReached {
        /// The limited product.
        product_id: ProductId,
        /// The most units that one customer may buy.
        limit: i64,
        /// Units that count already: bought, held or waited for.
        bought: i64,
        /// Units of this request.
        requested: i64,
    },
    /// The product is in exclusive sales, and none of them is open.
    #[error("product {product_id} is sold from {opens_at} to {closes_at}")]
    SaleNotOpen {
        /// The product that is sold at other times.
        product_id: ProductId,
        /// The opening of its next sale, or of its last one.
        opens_at: DateTime<Utc>,
        /// The closing of that sale.
        closes_at: DateTime<Utc>,
    },
    /// The reservation does not exist, or the caller may not see it.
    #[error("reservation {0} does not exist")]
    ReservationNotFound(ReservationId),
    /// The reservation has expired.
    #[error("reservation {id} has expired")]
    ReservationExpired {
        /// The expired reservation.
        id: ReservationId,
        /// The time at which it expired.
        expires_at: DateTime<Utc>,
    },
    /// The audit trail does not have the entry that a cursor of changes names: the database was restored.
    #[error("the change at which the cursor ends is not known: the database was restored since")]
    CursorExpired,
    /// The reservation is already resolved, or its status does not permit the change yet.
    #[error("the status of the reservation does not allow this")]
    ReservationResolved {
        /// Its current status.
        from: reservations::Status,
        /// The requested status.
        to: reservations::Status,
    },
    /// The customer has as many open reservations as one customer may have.
    #[error("a customer may have {limit} reservations at once")]
    ReservationLimitReached {
        /// The most open reservations of one customer.
        limit: usize,
    },
    /// The product can no longer become available in the requested quantity.
    #[error("product {0} is sold out")]
    SoldOut(ProductId),
    /// A sale would close at or before its opening.
    #[error("the sale must open before it closes")]
    SaleNeverOpen {
        /// The field of the request to correct.
        field: &'static str,
    },
    /// The amount exceeds what is due, or nothing is due.
    #[error("the amount exceeds the amount due")]
    Overpayment {
        /// The amount due on the order, or on all orders concerned.
        amount_due: Money,
        /// The order, if the amount was for a single one.
        order_id: Option<OrderId>,
    },
    /// The allocations of a payment sum up to less than its amount, and the rest is not declared as credit on
    /// account.
    #[error(
        "the allocations are less than the payment: allocate the rest too, or send `on_account: true` to keep it as \
         credit of the customer"
    )]
    AllocationsDoNotAddUp {
        /// The amount of the payment.
        amount: Money,
        /// The sum of its allocations.
        allocated: Money,
    },
    /// A document is dated within a closed period.
    #[error(
        "{date} is in a closed period: the books are closed until {closed_until}, the first day that is open"
    )]
    PeriodClosed {
        /// The day of the document, in the time zone of the business.
        date: NaiveDate,
        /// The first open day.
        closed_until: NaiveDate,
    },
    /// A time or a day of a request is outside the permitted range.
    #[error("{field} {fault}")]
    ImpossibleDate {
        /// The name of the field in the request.
        field: &'static str,
        /// The rule that it violates.
        fault: DateFault,
    },
    /// An interval starts after its end.
    #[error("the period begins after its end")]
    BackwardSpan,
    /// A cursor belongs to a report of another time.
    #[error("the cursor belongs to another report")]
    ForeignCursor,
    /// More units are to come back than are still with the customer, or, without a return, more are to be credited than
    /// are not yet credited.
    #[error("the order has fewer units of product {product_id} that can be credited")]
    MoreThanSold {
        /// The product to be credited.
        product_id: ProductId,
        /// The units of this request.
        requested: i64,
        /// The units that can still be credited.
        creditable: i64,
    },
    /// More is to be credited or written off than was charged and not yet credited or written off.
    #[error("the amount exceeds the creditable amount of the order")]
    MoreThanCharged {
        /// The amount that can still be credited.
        creditable: Money,
    },
    /// A credit note has no amount and returns no goods.
    #[error("items that cost nothing can only be credited with restock, when they come back")]
    NothingToCredit,
    /// A payout or an allocation exceeds the customer's credit on account.
    #[error("the amount exceeds the customer's credit on account")]
    CreditOnAccountExceeded {
        /// The credit on account. For a payout with a date, the part of it that existed at that date.
        credit_on_account: Money,
        /// The requested amount.
        amount: Money,
    },
    /// A credit to be reversed was paid out, and no other credit on account can replace it.
    #[error("the credit was paid out to the customer: reverse the payout first")]
    CreditPaidOut {
        /// The part of it that was paid out.
        paid_out: Money,
        /// The other credit on account.
        credit_on_account: Money,
    },
    /// The document was already reversed; a document can be reversed once.
    #[error("the document was already reversed")]
    AlreadyReversed,
    /// The transition table of orders does not permit the change.
    #[error("the status of the order does not allow this")]
    InvalidTransition {
        /// The order's current status.
        from: Status,
        /// The requested status.
        to: Status,
    },
    /// The amount exceeds what was paid by card and not yet refunded.
    #[error("the amount exceeds the refundable amount of the order")]
    MoreThanPaid {
        /// The amount that can still be refunded.
        refundable: Money,
    },
    /// The order is placed and its stock is held, but the payment provider did not answer. Its intent does not exist
    /// yet; the payment worker retries.
    #[error(
        "the payment provider does not respond: the order stays placed, and the service asks again"
    )]
    PaymentProvider {
        /// The order that was placed.
        order_id: OrderId,
    },
    /// The payment provider did not answer a query about its state.
    #[error("the payment provider does not respond")]
    ProviderSilent,
    /// The payment provider rejects the amount, now and later.
    #[error("the payment provider refuses the payment")]
    PaymentRefused {
        /// The provider's reason.
        refused: Box<RefusedAmount>,
        /// The order, if it was placed: it is then cancelled.
        order_id: Option<OrderId>,
    },
    /// The order's payment is disputed, or a dispute of it was lost.
    #[error("{}", match .is_lost {
        true => "a dispute of the order's payment was lost",
        false => "the order's payment is disputed",
    })]
    DisputeOpen {
        /// The dispute, open or lost.
        dispute_id: DisputeId,
        /// Whether the dispute was lost.
        is_lost: bool,
    },
    /// A new password violates the password rules.
    #[error("the password {0}")]
    WeakPassword(WeakPassword),
    /// Rows of an import conflict with each other or with the books. Lists every fault, in the order of the rows.
    #[error("rows of the table cannot be imported")]
    RowsRefused(Vec<RowFault>),
    /// A unique value is already in use; names the field.
    #[error("the {0} is already in use")]
    AlreadyExists(&'static str),
    /// The operation does not apply to a cancelled order.
    #[error("order {0} is cancelled")]
    OrderCancelled(OrderId),
    /// A refund was requested for an order on credit, which gets a credit note instead.
    #[error("order {0} is not paid by card: an order on credit gets a credit note")]
    NotPaidByCard(OrderId),
    /// Nothing of the order has been paid yet.
    #[error("order {0} is not paid")]
    NotPaid(OrderId),
    /// The order is paid, in whole or in part, so the customer cannot cancel it; staff can.
    #[error("order {0} is paid, in whole or in part: staff can cancel it")]
    AlreadyPaid(OrderId),
    /// The order's payment was refunded completely.
    #[error("the payment of order {0} is already refunded")]
    AlreadyRefunded(OrderId),
    /// A refund has no amount and returns no goods.
    #[error("items that cost nothing can only be refunded with restock, when they come back")]
    NothingToRefund,
    /// A card order has the total zero.
    #[error("the total is 0, and a card cannot be charged with 0")]
    NothingToPay,
    /// The service has no payment provider configured.
    #[error("no payment provider is set up")]
    NoPaymentProvider,
    /// An amount would exceed what the service can store; names the amount.
    #[error("{0} would have more than 15 digits before the decimal point")]
    AmountTooLarge(&'static str),
    /// The change would leave the business without an enabled admin.
    #[error("the business would have no enabled admin left")]
    LastAdmin,
    /// The user is disabled and could not log in with a new password.
    #[error("the user is disabled: enable them first")]
    UserDisabled(UserId),
    /// The caller is not a user of this service: a script's token, an API key, or a user of another issuer.
    #[error("the caller has no password: only users who log in at this service do")]
    NoPassword,
    /// The business has several admins, and none of them was named.
    #[error("the business has {admins} admins: the email address of one is required")]
    AdminNotNamed {
        /// Their number.
        admins: usize,
    },
    /// No admin of the business has the address, or it has no admin.
    #[error("the business has no such admin")]
    NoSuchAdmin,
    /// A user with the role `customer` needs a customer; other roles must have none.
    #[error("a user with the role customer acts for a customer, and no other user does")]
    RoleCustomerMismatch,
    /// The business has as many unrevoked API keys as it may have.
    #[error("the business has {limit} API keys already: revoke one first")]
    ApiKeyLimitReached {
        /// The most unrevoked API keys of one business.
        limit: u64,
    },
    /// The idempotency key has created a business, and the stored response is already deleted.
    #[error(
        "the idempotency key was used more than 24 hours ago, and the response is no longer stored"
    )]
    IdempotencyKeyExpired,
    /// A conflict with the current state for which there is no code of its own.
    #[error("{0}")]
    Conflict(&'static str),
    /// The interval of a statement has more entries than one statement can have.
    #[error("the period has {count} entries, more than the limit of one statement")]
    StatementTooLong {
        /// The number of entries in the interval.
        count: usize,
    },
    /// The metadata of a row would have more than [`entity::Metadata::MAX_KEYS`] keys.
    #[error(
        "the metadata would have {count} keys, and the most is {}",
        entity::Metadata::MAX_KEYS
    )]
    TooManyMetadataKeys {
        /// The keys after the change.
        count: usize,
    },
    /// The addresses of a customer are not those that were to be replaced: somebody has changed them since.
    #[error("the addresses of customer {id} have changed since they were read")]
    AddressesChanged {
        /// The customer.
        id: CustomerId,
        /// The addresses that they have now.
        addresses: CustomerAddresses,
    },
    /// The caller has used the idempotency key for another request.
    #[error("the idempotency key belongs to another request")]
    IdempotencyKeyReused,
    /// The queue is full, or rows stayed locked through every attempt. Nothing was changed.
    #[error("too many requests are waiting")]
    Overloaded,
    /// The database is unavailable. Nothing was changed.
    #[error("the database is not available")]
    DatabaseUnavailable(#[source] DbErr),
    /// The service could not learn whether the change was made: the database was lost, or the service failed,
    /// meanwhile.
    #[error("the outcome of the change is unknown")]
    OutcomeUnknown,
    /// A serialization failure, a deadlock, a lock timeout, or a concurrent request with the same idempotency key.
    /// [`crate::foundation::retry`] retries it; it never reaches a client.
    #[error("the transaction conflicted with another")]
    Contention,
    /// A bug, such as a database answer that no rule expects.
    #[error("unexpected: {0}")]
    Bug(String),
}

/// A product with insufficient stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The short product.
    pub product_id: ProductId,
    /// Units of the whole request.
    pub requested: i64,
    /// Units that the buyer could get.
    pub available: i64,
}

/// A limit on what one customer may hold at once, with the request that would exceed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoldLimit {
    /// The limit in units.
    #[error("the customer may hold {limit} units at once, holds {held} and asks for {requested}")]
    Units {
        /// The most units that one customer may hold.
        limit: i64,
        /// Units held or waited for outside this request.
        held: i64,
        /// Units that the request would hold.
        requested: i64,
    },
    /// The limit in money.
    #[error("the total value of the customer's holds would exceed the limit of one customer")]
    Value {
        /// The highest value that one customer may hold.
        limit: Money,
        /// The value of the units held or waited for outside this request.
        held: Money,
        /// The value of the units that the request would hold.
        requested: Money,
    },
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let cause = match &error {
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => cause,
            DbErr::ConnectionAcquire(_) => return Self::DatabaseUnavailable(error),
            _ => return Self::Bug(error.to_string()),
        };
        match cause.as_ref() {
            sqlx::Error::Database(answer) => match Meaning::of(answer.as_ref()) {
                Meaning::Contention => Self::Contention,
                Meaning::TooSlow => Self::Overloaded,
                Meaning::ConnectionLost | Meaning::Unavailable => Self::DatabaseUnavailable(error),
                Meaning::Other => answer
                    .constraint()
                    .and_then(refusal_of_constraint)
                    .unwrap_or_else(|| Self::Bug(error.to_string())),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::DatabaseUnavailable(error),
            _ => Self::Bug(error.to_string()),
        }
    }
}

/// The refusal that a violated constraint means. All other constraints can be violated only by a bug.
///
/// A distributed database numbers the constraints of its partitions: `products_sku_key1` is the same rule as
/// `products_sku_key`. No constraint of this schema has a name that ends with a digit.
fn refusal_of_constraint(name: &str) -> Option<Error> {
    match name.trim_end_matches(|sign: char| sign.is_ascii_digit()) {
        "products_sku_key" | "products_exact_sku_key" => Some(Error::AlreadyExists("sku")),
        "users_email_key" => Some(Error::AlreadyExists("email")),
        "customers_reference_key" => Some(Error::AlreadyExists("reference")),
        "businesses_slug_key" => Some(Error::AlreadyExists("slug")),
        // Two times within one leap second: the database rounds both to the following second.
        "sales_open_before_they_close" => Some(Error::SaleNeverOpen { field: "closes_at" }),
        // A concurrent request with the same key has committed first; the next attempt finds its response. The id of
        // a business is derived from the key of its request. Two processes have made the same order number; the next
        // attempt makes another.
        "idempotency_keys_pkey" | "businesses_pkey" | "orders_pkey" => Some(Error::Contention),
        _ => None,
    }
}

/// The reason why a payment provider rejects an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedAmount {
    /// The provider's error code.
    pub code: String,
    /// The smallest permitted payment, if the amount was below it.
    pub minimum: Option<Money>,
    /// The largest permitted payment, if the amount was above it.
    pub maximum: Option<Money>,
    /// The unit of which the amount must be a multiple, if it was not.
    pub step: Option<Money>,
}

impl RefusedAmount {
    /// A reason with a code only.
    #[must_use]
    pub fn with_code(code: &str) -> Self {
        Self {
            code: code.to_owned(),
            minimum: None,
            maximum: None,
            step: None,
        }
    }

    /// The provider does not support the currency.
    #[must_use]
    pub fn currency() -> Self {
        Self::with_code("currency_not_supported")
    }
}

/// The reason why an uploaded file is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureFault {
    /// The bytes are of another type than the request says.
    #[error("is not of the type that its Content-Type says")]
    OtherType,
    /// The picture is damaged or ends early, or has a form that is not supported.
    #[error("cannot be read: it is damaged or incomplete, or of a form that is not supported")]
    Unreadable,
    /// The picture has too many pixels.
    #[error(
        "has {width} × {height} pixels: a side may have {MAX_PICTURE_SIDE}, and the picture {MAX_PICTURE_PIXELS}"
    )]
    TooLarge {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
}

/// The most pixels of a side of an uploaded picture.
pub const MAX_PICTURE_SIDE: u32 = 8_000;

/// The most pixels of an uploaded picture. Their decoding takes up to 300 MB of memory.
pub const MAX_PICTURE_PIXELS: u64 = 24_000_000;

/// The reason why a time or a day is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateFault {
    /// The time is ahead of now by more than [`CLOCK_TOLERANCE`](crate::foundation::dates::CLOCK_TOLERANCE).
    Future {
        /// The database's time.
        now: DateTime<Utc>,
    },
    /// The day is after today.
    AfterToday {
        /// The current day in the time zone of the business.
        today: NaiveDate,
        /// The time zone of the business.
        zone: TimeZone,
    },
    /// The time or day is before 1970-01-01.
    Before1970,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_is_known_by_its_name_with_a_number_or_without() {
        for name in [
            "users_email_key",
            "users_email_key1",
            "users_email_key102008",
        ] {
            let refusal = refusal_of_constraint(name);
            assert!(
                matches!(refusal, Some(Error::AlreadyExists("email"))),
                "{name}"
            );
        }
        assert!(refusal_of_constraint("users_email").is_none());
    }

    #[test]
    fn an_order_number_that_another_process_has_used_is_contention() {
        for name in ["orders_pkey", "orders_pkey2"] {
            let refusal = refusal_of_constraint(name);
            assert!(matches!(refusal, Some(Error::Contention)), "{name}");
        }
    }
}
