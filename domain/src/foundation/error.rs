//! Everything that a domain function may answer instead of a result: refusals, which are the caller's to react to, and
//! failures, which are the operator's.
//!
//! The database has the last word on both. A violated constraint becomes a domain error in this file and nowhere else; the
//! meaning of every other error that the database answers is in `sql_errors.rs`.

use crate::foundation::new_password::WeakPassword;
use crate::foundation::sql_errors::Meaning;
use chrono::{DateTime, NaiveDate, Utc};
use entity::orders::Status;
use entity::{
    ApiKeyId, CreditNoteId, CustomerId, DisputeId, Money, OrderId, PaymentId, PayoutId, ProductId,
    ReservationId, SaleId, TimeZone, UserId, WriteOffId, reservations,
};
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Why a domain function did not do what was asked. Unless it says otherwise, nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The caller's role does not allow it.
    #[error("the caller may not do this")]
    Forbidden,
    /// Unknown address, unknown business, wrong password, disabled user or a refresh token that is no good: never said
    /// which.
    #[error("the credentials are not valid")]
    InvalidCredentials,
    /// No such customer that the caller may see.
    #[error("customer {0} does not exist")]
    CustomerNotFound(CustomerId),
    /// No such product, or it is not on sale.
    #[error("product {0} does not exist")]
    ProductNotFound(ProductId),
    /// No such order that the caller may see.
    #[error("order {0} does not exist")]
    OrderNotFound(OrderId),
    /// No such user in the caller's business.
    #[error("there is no such user")]
    UserNotFound(UserId),
    /// No such key in the caller's business.
    #[error("there is no such key")]
    ApiKeyNotFound(ApiKeyId),
    /// No such payment in the caller's business.
    #[error("there is no such payment")]
    PaymentNotFound(PaymentId),
    /// No such payout in the caller's business.
    #[error("there is no such payout")]
    PayoutNotFound(PayoutId),
    /// No such credit note in the caller's business.
    #[error("there is no such credit note")]
    CreditNoteNotFound(CreditNoteId),
    /// No such write-off in the caller's business.
    #[error("there is no such write-off")]
    WriteOffNotFound(WriteOffId),
    /// No such sale in the business.
    #[error("there is no such sale")]
    SaleNotFound(SaleId),
    /// Fewer on the shelf than asked for. Every short product at once.
    #[error("not enough stock")]
    InsufficientStock(Vec<Shortage>),
    /// Fewer were counted than are reserved.
    #[error("fewer of product {product_id} were counted than are reserved")]
    CountedBelowReserved {
        /// The product.
        product_id: ProductId,
        /// What was on the shelf by the books.
        on_hand: i64,
        /// What of it is reserved.
        reserved: i64,
        /// What was counted.
        counted: i64,
    },
    /// More of a product would be on hand than may be.
    #[error(
        "{on_hand} of product {product_id} would be on hand, and the most is {}",
        entity::inventory::MAX_ON_HAND
    )]
    StockLimitExceeded {
        /// The product.
        product_id: ProductId,
        /// What would be on hand.
        on_hand: i64,
    },
    /// The purchase does not fit into the customer's available credit.
    #[error("the purchase passes the customer's credit limit")]
    CreditLimitExceeded {
        /// What the customer may owe at most.
        credit_limit: Money,
        /// What it owes.
        balance: Money,
        /// What the purchase would add.
        amount: Money,
    },
    /// An admin has stopped sales to the customer.
    #[error("customer {0} is on hold")]
    CustomerOnHold(CustomerId),
    /// The customer owes on an order that is due for longer than its business lets it be.
    #[error("order {order_id} of customer {customer} was due at {due_at} and is not paid")]
    CustomerOverdue {
        /// The customer.
        customer: CustomerId,
        /// The order that is due for longest.
        order_id: OrderId,
        /// When it was due.
        due_at: DateTime<Utc>,
    },
    /// The buyer saw another price than the product has.
    #[error("the price of product {product_id} has changed")]
    PriceChanged {
        /// The product.
        product_id: ProductId,
        /// What the buyer saw.
        quoted: Money,
        /// What it costs.
        current: Money,
    },
    /// Units of one product would have different prices in one order: some are held at another price than the rest has.
    #[error(
        "the units of product {product_id} in this order have different prices: buy those of each price in an order of \
         their own, what is held first"
    )]
    PricesDiffer {
        /// The product.
        product_id: ProductId,
        /// How many there are at each price, what is held first.
        prices: Vec<(i64, Money)>,
    },
    /// The customer would hold more than one customer may.
    #[error("{0}")]
    HoldLimitExceeded(HoldLimit),
    /// A sale would sell a product for more than its list price.
    #[error("the sale's price of product {product_id} is above its list price")]
    SalePriceAboveListPrice {
        /// The product.
        product_id: ProductId,
        /// What it would cost in the sale.
        price: Money,
        /// What it costs otherwise.
        list_price: Money,
    },
    /// The customer would own more of a product than one customer may.
    #[error("product {product_id} is limited to {limit} a customer")]
    PurchaseLimitReached {
        /// The product.
        product_id: ProductId,
        /// The most that one customer may buy.
        limit: i64,
        /// What the customer has bought before.
        bought: i64,
        /// What it asks for now.
        requested: i64,
    },
    /// The product is in exclusive sales, and none of them is open.
    #[error("product {product_id} is sold from {opens_at} to {closes_at}")]
    SaleNotOpen {
        /// The product.
        product_id: ProductId,
        /// When its next sale opens, or its last one opened.
        opens_at: DateTime<Utc>,
        /// When that closes, or closed.
        closes_at: DateTime<Utc>,
    },
    /// No such reservation that the caller may see.
    #[error("reservation {0} does not exist")]
    ReservationNotFound(ReservationId),
    /// Its time has passed.
    #[error("reservation {id} has expired")]
    ReservationExpired {
        /// The reservation.
        id: ReservationId,
        /// When it did.
        expires_at: DateTime<Utc>,
    },
    /// The reservation has been resolved before, or cannot become that yet.
    #[error("the reservation cannot go from there to where it is asked to")]
    ReservationResolved {
        /// What it is.
        from: reservations::Status,
        /// What it was to be.
        to: reservations::Status,
    },
    /// The customer holds and waits for as much as one may.
    #[error("a customer may have {limit} reservations at once")]
    ReservationLimitReached {
        /// How many.
        limit: usize,
    },
    /// So many of it cannot come free any more.
    #[error("product {0} is sold out")]
    SoldOut(ProductId),
    /// A sale would close before it opens.
    #[error("the sale would not open before it closes")]
    SaleNeverOpen {
        /// The time that is to be another.
        field: &'static str,
    },
    /// More is to be settled than is due.
    #[error("the amount is more than what is due")]
    Overpayment {
        /// What is due on what was to be settled.
        amount_due: Money,
        /// The order, when it is about one.
        order_id: Option<OrderId>,
    },
    /// A payment names amounts for orders, and nothing for the rest of it.
    #[error(
        "the allocations are less than the payment: allocate the rest too, or send `on_account: true` to keep it as \
         credit of the customer"
    )]
    AllocationsDoNotAddUp {
        /// What was paid.
        amount: Money,
        /// What of it has an order.
        allocated: Money,
    },
    /// A document is dated into a time whose books are closed.
    #[error(
        "{date} is in a closed period: the books are closed until {closed_until}, the first day that is open"
    )]
    PeriodClosed {
        /// The day of the document, in the time zone of the business.
        date: NaiveDate,
        /// The first day that is open.
        closed_until: NaiveDate,
    },
    /// A request names a moment or a day that cannot be meant.
    #[error("{field} {fault}")]
    ImpossibleDate {
        /// Where the request names it.
        field: &'static str,
        /// Why not.
        fault: DateFault,
    },
    /// A time is to begin after its end.
    #[error("the time begins after its end")]
    BackwardSpan,
    /// A cursor belongs to a report about another moment.
    #[error("the cursor belongs to another report")]
    ForeignCursor,
    /// More of a product is to be credited than was sold and not credited before.
    #[error("the order has not that many of product {product_id} to credit")]
    MoreThanSold {
        /// The product.
        product_id: ProductId,
        /// How many were to be credited.
        requested: i64,
        /// How many can be.
        creditable: i64,
    },
    /// More of an order is to be credited or written off than was charged and not credited or written off before.
    #[error("the amount is more than what can be credited of the order")]
    MoreThanCharged {
        /// How much can be.
        creditable: Money,
    },
    /// A credit note would be of nothing, and nothing comes back with it.
    #[error("items that cost nothing can only be credited with restock, when they come back")]
    NothingToCredit,
    /// More is to be paid out or allocated than the customer has on account.
    #[error("the amount exceeds the customer's credit on account")]
    CreditOnAccountExceeded {
        /// What is on account; for a payout with a date, what was there at that date and is there still.
        credit_on_account: Money,
        /// What was asked for.
        amount: Money,
    },
    /// A credit that is to be undone was paid out to the customer, and no other credit on account can take its place.
    #[error("the credit was paid out to the customer: reverse the payout first")]
    CreditPaidOut {
        /// How much of it was paid out.
        paid_out: Money,
        /// What other credit is on account.
        credit_on_account: Money,
    },
    /// The document was undone before: each is undone once.
    #[error("it was already reversed")]
    AlreadyReversed,
    /// The order's status does not lead there.
    #[error("the order cannot go from there to where it is asked to")]
    InvalidTransition {
        /// Its status.
        from: Status,
        /// What it was to be.
        to: Status,
    },
    /// More of an order is to be refunded than was paid by card and not refunded before.
    #[error("the amount is more than what can be refunded of the order")]
    MoreThanPaid {
        /// How much can be.
        refundable: Money,
    },
    /// The order is placed and its stock held, but the payment provider has not made its intent: it does not answer, and is
    /// asked again.
    #[error("the payment provider does not answer: the order stands, and it is asked again")]
    PaymentProvider {
        /// The order.
        order_id: OrderId,
    },
    /// The payment provider does not say what it has.
    #[error("the payment provider does not answer")]
    ProviderSilent,
    /// The payment provider does not take the amount, now or later.
    #[error("the payment provider does not take the payment")]
    PaymentRefused {
        /// Why.
        refused: Box<RefusedAmount>,
        /// The order, when it was placed: it is cancelled.
        order_id: Option<OrderId>,
    },
    /// The payment is disputed, or a dispute of it was lost.
    #[error("{}", match .is_lost {
        true => "a dispute of the order's payment was lost",
        false => "the order's payment is disputed",
    })]
    DisputeOpen {
        /// The dispute.
        dispute_id: DisputeId,
        /// Whether it was lost.
        is_lost: bool,
    },
    /// The password that someone chose is not good enough.
    #[error("the password {0}")]
    WeakPassword(WeakPassword),
    /// Something unique is taken.
    #[error("another one has the same {0}")]
    AlreadyExists(&'static str),
    /// The order is cancelled.
    #[error("order {0} is cancelled")]
    OrderCancelled(OrderId),
    /// The order is on credit: it is credited and not refunded.
    #[error("order {0} is not paid by card: an order on credit gets a credit note")]
    NotPaidByCard(OrderId),
    /// Nothing of the order was paid yet.
    #[error("order {0} is not paid")]
    NotPaid(OrderId),
    /// Something of the order is paid, so that its customer cannot cancel it.
    #[error("order {0} is paid, in whole or in part: staff can cancel it")]
    AlreadyPaid(OrderId),
    /// The order's payment was refunded, all of it.
    #[error("the payment of order {0} is already refunded")]
    AlreadyRefunded(OrderId),
    /// A refund would be of nothing, and nothing comes back with it.
    #[error("items that cost nothing can only be refunded with restock, when they come back")]
    NothingToRefund,
    /// A card would be charged with nothing.
    #[error("the total is 0, which a card cannot be charged with")]
    NothingToPay,
    /// No payment provider is set up.
    #[error("no payment provider is set up")]
    NoPaymentProvider,
    /// An amount would be larger than the service can store.
    #[error("{0} would have more than 15 digits before the decimal point")]
    AmountTooLarge(&'static str),
    /// No enabled admin would be left in the business.
    #[error("the business would have no enabled admin left")]
    LastAdmin,
    /// A user with the role customer needs a customer, and no other user has one.
    #[error("a user with the role customer acts for a customer, and no other user does")]
    RoleCustomerMismatch,
    /// The business has as many keys that are not revoked as one may.
    #[error("the business has {limit} API keys already: revoke one first")]
    ApiKeyLimitReached {
        /// How many.
        limit: u64,
    },
    /// The idempotency key has made a business, and the response is not stored any more.
    #[error(
        "the idempotency key was used more than 24 hours ago, and the response is no longer stored"
    )]
    IdempotencyKeyExpired,
    /// The change conflicts with the current state in a way for which no program is prepared.
    #[error("{0}")]
    Conflict(&'static str),
    /// More happened on the account in the time than one statement shows.
    #[error("the time has {count} entries, more than one statement shows")]
    StatementTooLong {
        /// How many entries.
        count: usize,
    },
    /// The caller has used the idempotency key for another request.
    #[error("the idempotency key belongs to another request")]
    IdempotencyKeyReused,
    /// Too much is waiting already, or rows stayed locked through every attempt. Refused before anything changed.
    #[error("too many requests are waiting")]
    Overloaded,
    /// The database cannot be reached. Refused before anything changed.
    #[error("the database is not available")]
    DatabaseUnavailable(#[source] DbErr),
    /// The connection broke while the commit was on its way, and the database could not be asked what became of it.
    #[error("the connection to the database broke during the commit")]
    OutcomeUnknown,
    /// A serialization failure, a deadlock, a lock that was not had in time, or a twin with the same idempotency key.
    /// [`crate::foundation::retry`] tries again; no caller outside sees it.
    #[error("another transaction was in the way")]
    Contention,
    /// A bug: an answer of the database that no rule foresees.
    #[error("unexpected: {0}")]
    Bug(String),
}

/// A product of which there is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The product.
    pub product_id: ProductId,
    /// How many the whole request asks for.
    pub requested: i64,
    /// How many can be sold.
    pub available: i64,
}

/// A bound on what one customer may hold at once, and what would exceed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoldLimit {
    /// In units.
    #[error("the customer may hold {limit} units at once, holds {held} and asks for {requested}")]
    Units {
        /// The most.
        limit: i64,
        /// What the customer holds and waits for beside the request.
        held: i64,
        /// What the request would hold.
        requested: i64,
    },
    /// In money.
    #[error("the value of what the customer would hold at once exceeds the limit of one customer")]
    Value {
        /// The most.
        limit: Money,
        /// What that is worth which the customer holds and waits for beside the request.
        held: Money,
        /// What that is worth which the request would hold.
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

/// What a violated constraint means. A constraint that is not here cannot be violated unless there is a bug.
///
/// A database of several machines numbers the constraints of its parts: `products_sku_key1` is the same rule as
/// `products_sku_key`. No name of ours ends with a digit.
fn refusal_of_constraint(name: &str) -> Option<Error> {
    match name.trim_end_matches(|sign: char| sign.is_ascii_digit()) {
        "products_sku_key" | "products_exact_sku_key" => Some(Error::AlreadyExists("sku")),
        "users_email_key" => Some(Error::AlreadyExists("email")),
        "businesses_slug_key" => Some(Error::AlreadyExists("slug")),
        // Two times within a leap second: the database keeps the second after it.
        "sales_open_before_they_close" => Some(Error::SaleNeverOpen { field: "closes_at" }),
        // A twin committed first: the next attempt finds its answer. A business has an id of its request's key.
        "idempotency_keys_pkey" | "businesses_pkey" => Some(Error::Contention),
        _ => None,
    }
}

/// Why a provider does not take an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedAmount {
    /// The provider's code.
    pub code: String,
    /// The smallest payment, when it was smaller.
    pub minimum: Option<Money>,
    /// The largest payment, when it was larger.
    pub maximum: Option<Money>,
    /// What the amount is to be a multiple of, when it was none.
    pub step: Option<Money>,
}

impl RefusedAmount {
    /// With this code and nothing more to say.
    #[must_use]
    pub fn with_code(code: &str) -> Self {
        Self {
            code: code.to_owned(),
            minimum: None,
            maximum: None,
            step: None,
        }
    }

    /// No payment is taken in the currency.
    #[must_use]
    pub fn currency() -> Self {
        Self::with_code("currency_not_supported")
    }
}

/// Why a moment or a day cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateFault {
    /// It is ahead of now by more than clocks are.
    Future {
        /// What the clock shows that dates everything.
        now: DateTime<Utc>,
    },
    /// It is after today.
    AfterToday {
        /// The day that it is.
        today: NaiveDate,
        /// The time zone in which it is.
        zone: TimeZone,
    },
    /// It is before 1970.
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
}
