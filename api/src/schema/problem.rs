//! Error responses: RFC 9457 problems, each with a code that a program can rely on.
//!
//! A problem contains only what the client can use. Causes that concern the operator (messages of the database, bugs)
//! are logged and never sent. The request's path and id are not known here: [`crate::http::request`] adds them.

mod fault;
mod member;
pub mod pages;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{Error, HoldLimit, PictureFault, RefusedAmount};
use entity::orders::Status;
use entity::{
    Currency, CustomerAddress, CustomerId, DisputeId, Money, OrderId, ProductId, ReservationId,
    UserId,
};
use serde_json::{Map, Value, json};

pub use fault::{Fault, MAX_FAULTS};
pub use member::Member;

use self::member::{
    BodyFormat, ContentCoding, CountOrAmount, PictureReason, ReportFormat, Shortage, UnitsAtPrice,
};
use crate::schema::text::{self, Amount};

/// The media type of all problems.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Declares the enum together with its list and its table, so that every code has a row.
///
/// Each row lists the members that the code's problems have in addition to the common ones. The OpenAPI document takes
/// them from here. A member that some problems of the code lack is an `Option`; `= "…"` is an example of a text.
macro_rules! codes {
    ($(
        $name:ident $code:literal $status:ident $title:literal
        $({ $($member:ident: $type:ty $(= $example:literal)?),* $(,)? })?;
    )*) => {
        /// The code of a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $code, "`: ", $title, ".")] $name,)*
        }

        impl Code {
            /// All codes, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code's text, status and title.
            const fn row(self) -> (&'static str, StatusCode, &'static str) {
                match self {
                    $(Self::$name => ($code, StatusCode::$status, $title),)*
                }
            }

            /// The members of its problems in addition to the common ones.
            #[must_use]
            pub fn members(self) -> Vec<Member> {
                match self {
                    $(Self::$name => vec![
                        $($(Member::of::<$type>(stringify!($member), example!($($example)?))),*)?
                    ],)*
                }
            }
        }
    };
}

macro_rules! example {
    () => {
        None
    };
    ($example:literal) => {
        Some($example)
    };
}

codes! {
    MalformedJson "malformed_json" BAD_REQUEST "The request cannot be read";
    InvalidSignature "invalid_signature" BAD_REQUEST "The signature is not valid";
    Unauthenticated "unauthenticated" UNAUTHORIZED "Valid credentials are needed";
    TokenExpired "token_expired" UNAUTHORIZED "The token has expired";
    InvalidCredentials "invalid_credentials" UNAUTHORIZED "The credentials are not valid";
    Forbidden "forbidden" FORBIDDEN "The caller may not do this";
    TenantMismatch "tenant_mismatch" FORBIDDEN "The business is not the caller's";
    CorsRefused "cors_refused" FORBIDDEN "Pages of this origin may not make this request";
    NotFound "not_found" NOT_FOUND "The resource does not exist" {
        user_id: Option<String>, business_id: Option<String>, api_key_id: Option<String>, payment_id: Option<String>, credit_note_id: Option<String>,
        write_off_id: Option<String>, payout_id: Option<String>, sale_id: Option<String>, intent: Option<String>,
    };
    CustomerNotFound "customer_not_found" NOT_FOUND "The customer does not exist" {
        customer_id: String = "550e8400-e29b-41d4-a716-446655440000",
    };
    ProductNotFound "product_not_found" NOT_FOUND "The product does not exist" {
        product_id: String = "650e8400-e29b-41d4-a716-446655440001",
    };
    PictureNotFound "picture_not_found" NOT_FOUND "The product has no such picture" {
        product_id: String = "650e8400-e29b-41d4-a716-446655440001",
    };
    OrderNotFound "order_not_found" NOT_FOUND "The order does not exist" {
        order_id: String = "0190a5d4-7b1c-7000-8000-000000000001",
    };
    ReservationNotFound "reservation_not_found" NOT_FOUND "The reservation does not exist" {
        reservation_id: String = "0190a5d4-7b1c-7000-8000-000000000001",
    };
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "The path has no such method";
    NotAcceptable "not_acceptable" NOT_ACCEPTABLE "None of the accepted formats is available" {
        formats: Vec<ReportFormat>,
    };
    RequestTimeout "request_timeout" REQUEST_TIMEOUT "The request took too long to arrive";
    InsufficientStock "insufficient_stock" CONFLICT "There is not enough stock" { shortages: Vec<Shortage> };
    StockLimitExceeded "stock_limit_exceeded" CONFLICT "The stock level would exceed its limit" {
        product_id: ProductId, on_hand: i64, limit: i64,
    };
    CreditLimitExceeded "credit_limit_exceeded" CONFLICT "The purchase exceeds the credit limit" {
        credit_limit: Amount, balance: Amount, amount: Amount, available_credit: Amount, currency: Currency,
    };
    CustomerOnHold "customer_on_hold" CONFLICT "Sales to the customer are stopped" {
        customer_id: CustomerId,
    };
    CustomerOverdue "customer_overdue" CONFLICT "The customer has an order that is past due for too long" {
        customer_id: CustomerId, order_id: OrderId, due_at: DateTime<Utc>,
    };
    PriceChanged "price_changed" CONFLICT "The price has changed" {
        product_id: ProductId, quoted: Amount, current: Amount, currency: Currency,
    };
    PricesDiffer "prices_differ" CONFLICT "The units of a product have different prices" {
        product_id: ProductId, prices: Vec<UnitsAtPrice>, currency: Currency,
    };
    HoldLimitExceeded "hold_limit_exceeded" CONFLICT "The customer would exceed the limit of holds" {
        measure: String = "units", limit: CountOrAmount, held: CountOrAmount, requested: CountOrAmount,
        currency: Option<Currency>,
    };
    SalePriceAboveListPrice "sale_price_above_list_price" CONFLICT "The sale's price is above the list price" {
        product_id: ProductId, price: Amount, list_price: Amount, currency: Currency,
    };
    PurchaseLimitReached "purchase_limit_reached" CONFLICT "The purchase limit of the product is reached" {
        product_id: ProductId, limit: i64, bought: i64, requested: i64,
    };
    ReservationLimitReached "reservation_limit_reached" CONFLICT "The customer has reached the limit of reservations" {
        limit: i64,
    };
    SaleNotOpen "sale_not_open" CONFLICT "The sale is not open" {
        product_id: ProductId, opens_at: DateTime<Utc>, closes_at: DateTime<Utc>,
    };
    SoldOut "sold_out" CONFLICT "The product is sold out" { product_id: ProductId };
    Overpayment "overpayment" CONFLICT "The payment exceeds the amount due" {
        amount_due: Amount, currency: Currency, order_id: Option<OrderId>,
    };
    AllocationsDoNotAddUp "allocations_do_not_add_up" CONFLICT "The allocations do not add up to the payment" {
        amount: Amount, allocated: Amount, currency: Currency,
    };
    PeriodClosed "period_closed" CONFLICT "The period is closed" {
        date: NaiveDate, books_closed_until: NaiveDate,
    };
    NothingToCredit "nothing_to_credit" CONFLICT "There is nothing to credit";
    CreditOnAccountExceeded "credit_on_account_exceeded" CONFLICT "The amount exceeds the credit on account" {
        credit_on_account: Amount, amount: Amount, currency: Currency,
    };
    CreditPaidOut "credit_paid_out" CONFLICT "The credit was paid out to the customer" {
        paid_out: Amount, credit_on_account: Amount, currency: Currency,
    };
    AlreadyReversed "already_reversed" CONFLICT "The document was already reversed";
    InvalidTransition "invalid_transition" CONFLICT "The current status does not allow this" {
        from: String = "fulfilled", to: String = "cancelled",
    };
    AddressesChanged "addresses_changed" CONFLICT "The addresses have changed" {
        customer_id: CustomerId, addresses: Vec<CustomerAddress>,
    };
    AlreadyExists "already_exists" CONFLICT "The value is already in use" { field: String = "email" };
    DisputeOpen "dispute_open" CONFLICT "The payment is disputed" { dispute_id: DisputeId };
    CountedBelowReserved "counted_below_reserved" CONFLICT "The count is below the reserved units" {
        product_id: ProductId, on_hand: i64, reserved: i64, counted: i64,
    };
    CreditableQuantityExceeded "creditable_quantity_exceeded" CONFLICT "The order has fewer units to credit or refund" {
        product_id: ProductId, requested: i64, creditable: i64,
    };
    CreditableAmountExceeded "creditable_amount_exceeded" CONFLICT "The amount exceeds the creditable amount of the order" {
        creditable: Amount, currency: Currency,
    };
    RefundableAmountExceeded "refundable_amount_exceeded" CONFLICT "The amount exceeds the refundable amount of the order" {
        refundable: Amount, currency: Currency,
    };
    AlreadyRefunded "already_refunded" CONFLICT "The payment is already refunded" { order_id: OrderId };
    NothingToRefund "nothing_to_refund" CONFLICT "There is nothing to refund";
    NotPaid "not_paid" CONFLICT "The order is not paid" { order_id: OrderId };
    NotPaidByCard "not_paid_by_card" CONFLICT "The order is not paid by card" { order_id: OrderId };
    AlreadyPaid "already_paid" CONFLICT "The order is paid" { order_id: OrderId };
    OrderCancelled "order_cancelled" CONFLICT "The order is cancelled" { order_id: OrderId };
    NothingToPay "nothing_to_pay" CONFLICT "There is nothing to pay";
    NoPaymentProvider "no_payment_provider" CONFLICT "No payment provider is set up";
    AmountTooLarge "amount_too_large" CONFLICT "The amount would exceed its limit";
    LastAdmin "last_admin" CONFLICT "The business needs an enabled admin";
    UserDisabled "user_disabled" CONFLICT "The user is disabled" { user_id: UserId };
    NoPassword "no_password" CONFLICT "The caller has no password";
    RoleCustomerMismatch "role_customer_mismatch" CONFLICT "The role and the customer do not go together";
    ApiKeyLimitReached "api_key_limit_reached" CONFLICT "The business has reached the limit of API keys" { limit: i64 };
    IdempotencyKeyExpired "idempotency_key_expired" CONFLICT "The response to the idempotency key is no longer stored";
    Conflict "conflict" CONFLICT "The change conflicts with the current state";
    ReservationExpired "reservation_expired" GONE "The reservation has expired" {
        reservation_id: ReservationId, expires_at: DateTime<Utc>,
    };
    CursorExpired "cursor_expired" GONE "The changes after the cursor are not known";
    PayloadTooLarge "payload_too_large" PAYLOAD_TOO_LARGE "The body is too large" { max_bytes: Option<i64> };
    UnsupportedEncoding "unsupported_encoding" UNSUPPORTED_MEDIA_TYPE "The content encoding is not supported" {
        encodings: Vec<ContentCoding>,
    };
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "The media type is not supported" {
        media_types: Vec<BodyFormat>,
    };
    ValidationFailed "validation_failed" UNPROCESSABLE_ENTITY "The request is not valid" { errors: Vec<Fault> };
    InvalidPicture "invalid_picture" UNPROCESSABLE_ENTITY "The file is not a picture that can be shown" {
        reason: PictureReason,
    };
    IdempotencyKeyReused "idempotency_key_reused" UNPROCESSABLE_ENTITY "The idempotency key belongs to another request";
    PaymentRefused "payment_refused" UNPROCESSABLE_ENTITY "The payment provider refuses the payment" {
        provider_code: String = "amount_too_small", currency: Currency, minimum: Option<Amount>, maximum: Option<Amount>,
        multiple_of: Option<Amount>, order_id: Option<OrderId>, order_status: Option<Status>,
    };
    RateLimited "rate_limited" TOO_MANY_REQUESTS "Too many requests";
    InternalError "internal_error" INTERNAL_SERVER_ERROR "The service has failed";
    OutcomeUnknown "outcome_unknown" INTERNAL_SERVER_ERROR "The outcome of the change is unknown";
    PaymentProviderError "payment_provider_error" BAD_GATEWAY "The payment provider has failed" {
        order_id: Option<OrderId>, order_status: Option<Status>,
    };
    Overloaded "overloaded" SERVICE_UNAVAILABLE "The service is overloaded";
    DatabaseUnavailable "database_unavailable" SERVICE_UNAVAILABLE "The database cannot be reached";
    PicturesUnavailable "pictures_unavailable" SERVICE_UNAVAILABLE "The pictures cannot be read or written";
}

impl Code {
    /// The value of the member `code`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.row().0
    }

    /// The status of every response with this code.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    /// The value of the member `type`.
    #[must_use]
    pub fn type_uri(self) -> String {
        format!("{}/{}", pages::BASE, self.text())
    }

    /// The value of the member `title`: the meaning of the code, the same in every response.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }
}

/// An error response before it is written.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: String,
    fields: Map<String, Value>,
    retry_after: Option<u32>,
}

/// The default `Retry-After` of a 503, in seconds. Its causes are temporary.
const RETRY_AFTER: u32 = 1;

impl Problem {
    /// A problem with a sentence about this occurrence.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fields: Map::new(),
            retry_after: (code.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER),
        }
    }

    /// The value of `Accept-Encoding`: the encodings that a body may have (RFC 9110, section 12.5.3).
    fn accepted_encodings(&self) -> String {
        let encodings = self.fields.get("encodings").and_then(Value::as_array);
        let encodings = encodings.into_iter().flatten().filter_map(Value::as_str);
        encodings.chain(["identity"]).collect::<Vec<_>>().join(", ")
    }

    /// The problem of a request with these faults, the first [`MAX_FAULTS`] of them.
    #[must_use]
    pub fn of_faults(faults: Vec<Fault>) -> Self {
        let faults = faults.into_iter().take(MAX_FAULTS);
        let faults = faults.map(|fault| json!(fault));
        let detail = "Each of `errors` points to a value and says what would be right.";
        Self::new(Code::ValidationFailed, detail).with("errors", faults.collect::<Vec<Value>>())
    }

    /// The problem of a request with one fault that only its handler can detect.
    #[must_use]
    pub fn fault(pointer: &str, message: &str) -> Self {
        Self::of_faults(vec![Fault::at(pointer, message)])
    }

    /// Adds a member that a program needs to react.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the `Retry-After` header, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// A failure whose cause is hidden from the client. The code that creates it must log the cause.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            Code::InternalError,
            "The service could not handle the request. Its request_id leads the operator to the cause.",
        )
    }

    /// The problem for a status that the framework set, such as that of a path without a handler.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(Code::NotFound, "No resource has this path."),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                Code::MethodNotAllowed,
                "The Allow header names the methods that this path has.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(Code::PayloadTooLarge, "The body is too large.")
            }
            status if status.is_client_error() => {
                Self::new(Code::MalformedJson, "The request could not be read.")
            }
            _ => Self::internal(),
        }
    }

    /// The problem for a domain error. `currency` is that of the amounts in it.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one arm for each error")]
    pub fn of(error: Error, currency: Currency) -> Self {
        let detail = sentence(&error.to_string());
        let money = |amount: Money| amount.to_text(currency);
        match error {
            Error::Forbidden => Self::new(Code::Forbidden, detail),
            Error::InvalidCredentials => Self::new(Code::InvalidCredentials, detail),
            Error::CustomerNotFound(id) => {
                Self::new(Code::CustomerNotFound, detail).with("customer_id", id.to_string())
            }
            Error::PictureNotFound(id) => {
                Self::new(Code::PictureNotFound, detail).with("product_id", id.to_string())
            }
            Error::InvalidPicture(fault) => Self::new(Code::InvalidPicture, detail).with(
                "reason",
                match fault {
                    PictureFault::OtherType => "other_type",
                    PictureFault::Unreadable => "unreadable",
                    PictureFault::TooLarge { .. } => "too_large",
                },
            ),
            Error::PicturesUnavailable(cause) => {
                tracing::error!(cause, "the pictures are not available");
                Self::new(
                    Code::PicturesUnavailable,
                    "The pictures cannot be read or written. Nothing was changed.",
                )
            }
            Error::ProductNotFound(id) => {
                Self::new(Code::ProductNotFound, detail).with("product_id", id.to_string())
            }
            Error::OrderNotFound(id) => {
                Self::new(Code::OrderNotFound, detail).with("order_id", id.to_string())
            }
            Error::UserNotFound(id) => {
                Self::new(Code::NotFound, detail).with("user_id", id.to_string())
            }
            Error::BusinessNotFound(id) => {
                Self::new(Code::NotFound, detail).with("business_id", id.to_string())
            }
            Error::ApiKeyNotFound(id) => {
                Self::new(Code::NotFound, detail).with("api_key_id", id.to_string())
            }
            Error::PaymentNotFound(id) => {
                Self::new(Code::NotFound, detail).with("payment_id", id.to_string())
            }
            Error::CreditNoteNotFound(id) => {
                Self::new(Code::NotFound, detail).with("credit_note_id", id.to_string())
            }
            Error::PayoutNotFound(id) => {
                Self::new(Code::NotFound, detail).with("payout_id", id.to_string())
            }
            Error::WriteOffNotFound(id) => {
                Self::new(Code::NotFound, detail).with("write_off_id", id.to_string())
            }
            Error::SaleNotFound(id) => {
                Self::new(Code::NotFound, detail).with("sale_id", id.to_string())
            }
            Error::InsufficientStock(shortages) => {
                let shortages: Vec<Shortage> = shortages.iter().map(Shortage::from).collect();
                Self::new(Code::InsufficientStock, detail).with("shortages", json!(shortages))
            }
            Error::CountedBelowReserved {
                product_id,
                on_hand,
                reserved,
                counted,
            } => Self::new(Code::CountedBelowReserved, detail)
                .with("product_id", product_id.to_string())
                .with("on_hand", on_hand)
                .with("reserved", reserved)
                .with("counted", counted),
            Error::StockLimitExceeded {
                product_id,
                on_hand,
            } => Self::new(Code::StockLimitExceeded, detail)
                .with("product_id", product_id.to_string())
                .with("on_hand", on_hand)
                .with("limit", entity::inventory::MAX_ON_HAND),
            Error::CreditLimitExceeded {
                credit_limit,
                balance,
                amount,
            } => Self::new(Code::CreditLimitExceeded, detail)
                .with("credit_limit", money(credit_limit))
                .with("balance", money(balance))
                .with("amount", money(amount))
                .with("available_credit", money(credit_limit - balance))
                .with("currency", currency.to_string()),
            Error::CustomerOnHold(id) => {
                Self::new(Code::CustomerOnHold, detail).with("customer_id", id.to_string())
            }
            Error::CustomerOverdue {
                customer,
                order_id,
                due_at,
            } => Self::new(Code::CustomerOverdue, detail)
                .with("customer_id", customer.to_string())
                .with("order_id", order_id.to_string())
                .with("due_at", text::rfc3339(&due_at)),
            Error::PriceChanged {
                product_id,
                quoted,
                current,
            } => Self::new(Code::PriceChanged, detail)
                .with("product_id", product_id.to_string())
                .with("quoted", money(quoted))
                .with("current", money(current))
                .with("currency", currency.to_string()),
            Error::PricesDiffer { product_id, prices } => {
                let prices = prices.iter().map(|(quantity, price)| UnitsAtPrice {
                    quantity: *quantity,
                    unit_price: Amount::of(*price, currency),
                });
                let prices: Vec<UnitsAtPrice> = prices.collect();
                Self::new(Code::PricesDiffer, detail)
                    .with("product_id", product_id.to_string())
                    .with("prices", json!(prices))
                    .with("currency", currency.to_string())
            }
            Error::HoldLimitExceeded(limit) => hold_limit(limit, detail, currency),
            Error::SalePriceAboveListPrice {
                product_id,
                price,
                list_price,
            } => Self::new(Code::SalePriceAboveListPrice, detail)
                .with("product_id", product_id.to_string())
                .with("price", money(price))
                .with("list_price", money(list_price))
                .with("currency", currency.to_string()),
            Error::PurchaseLimitReached {
                product_id,
                limit,
                bought,
                requested,
            } => Self::new(Code::PurchaseLimitReached, detail)
                .with("product_id", product_id.to_string())
                .with("limit", limit)
                .with("bought", bought)
                .with("requested", requested),
            Error::SaleNotOpen {
                product_id,
                opens_at,
                closes_at,
            } => Self::new(Code::SaleNotOpen, detail)
                .with("product_id", product_id.to_string())
                .with("opens_at", text::rfc3339(&opens_at))
                .with("closes_at", text::rfc3339(&closes_at)),
            Error::ReservationNotFound(id) => {
                Self::new(Code::ReservationNotFound, detail).with("reservation_id", id.to_string())
            }
            Error::ReservationExpired { id, expires_at } => {
                Self::new(Code::ReservationExpired, detail)
                    .with("reservation_id", id.to_string())
                    .with("expires_at", text::rfc3339(&expires_at))
            }
            Error::CursorExpired => Self::new(Code::CursorExpired, detail),
            Error::ReservationResolved { from, to } => Self::new(Code::InvalidTransition, detail)
                .with("from", json!(from))
                .with("to", json!(to)),
            Error::ReservationLimitReached { limit } => {
                Self::new(Code::ReservationLimitReached, detail).with("limit", limit)
            }
            Error::SoldOut(id) => {
                Self::new(Code::SoldOut, detail).with("product_id", id.to_string())
            }
            Error::SaleNeverOpen { field } => {
                Self::fault(&format!("/{field}"), "must leave opens_at before closes_at")
            }
            Error::Overpayment {
                amount_due,
                order_id,
            } => {
                let problem = Self::new(Code::Overpayment, detail)
                    .with("amount_due", money(amount_due))
                    .with("currency", currency.to_string());
                match order_id {
                    Some(id) => problem.with("order_id", id.to_string()),
                    None => problem,
                }
            }
            Error::AllocationsDoNotAddUp { amount, allocated } => {
                Self::new(Code::AllocationsDoNotAddUp, detail)
                    .with("amount", money(amount))
                    .with("allocated", money(allocated))
                    .with("currency", currency.to_string())
            }
            Error::PeriodClosed { date, closed_until } => Self::new(Code::PeriodClosed, detail)
                .with("date", date.to_string())
                .with("books_closed_until", closed_until.to_string()),
            Error::ImpossibleDate { field, fault } => {
                let pointer = match field {
                    "as_of" | "to" => format!("?{field}"),
                    member => format!("/{member}"),
                };
                Self::fault(&pointer, &fault.to_string())
            }
            Error::BackwardSpan => {
                Self::fault("?from", "must not be after `to`, which is now if left out")
            }
            Error::ForeignCursor => {
                Self::fault("?cursor", "must be the next_cursor of an earlier page")
            }
            Error::MoreThanSold {
                product_id,
                requested,
                creditable,
            } => Self::new(Code::CreditableQuantityExceeded, detail)
                .with("product_id", product_id.to_string())
                .with("requested", requested)
                .with("creditable", creditable),
            Error::MoreThanCharged { creditable } => {
                Self::new(Code::CreditableAmountExceeded, detail)
                    .with("creditable", money(creditable))
                    .with("currency", currency.to_string())
            }
            Error::NothingToCredit => Self::new(Code::NothingToCredit, detail),
            Error::CreditOnAccountExceeded {
                credit_on_account,
                amount,
            } => Self::new(Code::CreditOnAccountExceeded, detail)
                .with("credit_on_account", money(credit_on_account))
                .with("amount", money(amount))
                .with("currency", currency.to_string()),
            Error::CreditPaidOut {
                paid_out,
                credit_on_account,
            } => Self::new(Code::CreditPaidOut, detail)
                .with("paid_out", money(paid_out))
                .with("credit_on_account", money(credit_on_account))
                .with("currency", currency.to_string()),
            Error::AlreadyReversed => Self::new(Code::AlreadyReversed, detail),
            Error::MoreThanPaid { refundable } => Self::new(Code::RefundableAmountExceeded, detail)
                .with("refundable", money(refundable))
                .with("currency", currency.to_string()),
            Error::PaymentProvider { order_id } => Self::new(Code::PaymentProviderError, detail)
                .with("order_id", order_id.to_string())
                .with("order_status", json!(Status::Created)),
            Error::ProviderSilent => Self::new(Code::PaymentProviderError, detail),
            Error::PaymentRefused { refused, order_id } => {
                Self::payment_refused(&refused, order_id, currency)
            }
            Error::DisputeOpen { dispute_id, .. } => {
                Self::new(Code::DisputeOpen, detail).with("dispute_id", dispute_id.to_string())
            }
            Error::InvalidTransition { from, to } => Self::new(Code::InvalidTransition, detail)
                .with("from", json!(from))
                .with("to", json!(to)),
            Error::WeakPassword(weak) => Self::fault("/password", &weak.to_string()),
            Error::RowsRefused(faults) => Self::of_faults(faults.iter().map(Fault::from).collect()),
            Error::AddressesChanged { id, addresses } => Self::new(Code::AddressesChanged, detail)
                .with("customer_id", id.to_string())
                .with("addresses", json!(addresses)),
            Error::AlreadyExists(field) => {
                Self::new(Code::AlreadyExists, detail).with("field", field)
            }
            Error::OrderCancelled(id) => Self::about_order(Code::OrderCancelled, detail, id),
            Error::NotPaidByCard(id) => Self::about_order(Code::NotPaidByCard, detail, id),
            Error::NotPaid(id) => Self::about_order(Code::NotPaid, detail, id),
            Error::AlreadyPaid(id) => Self::about_order(Code::AlreadyPaid, detail, id),
            Error::AlreadyRefunded(id) => Self::about_order(Code::AlreadyRefunded, detail, id),
            Error::NothingToRefund => Self::new(Code::NothingToRefund, detail),
            Error::NothingToPay => Self::new(Code::NothingToPay, detail),
            Error::NoPaymentProvider => Self::new(Code::NoPaymentProvider, detail),
            Error::AmountTooLarge(_) => Self::new(Code::AmountTooLarge, detail),
            Error::LastAdmin => Self::new(Code::LastAdmin, detail),
            Error::UserDisabled(id) => {
                Self::new(Code::UserDisabled, detail).with("user_id", id.to_string())
            }
            Error::NoPassword => Self::new(Code::NoPassword, detail),
            Error::AdminNotNamed { admins } => Self::fault(
                "/email",
                &format!("is required, because the business has {admins} admins"),
            ),
            Error::NoSuchAdmin => {
                Self::fault("/email", "must be the address of an admin of the business")
            }
            Error::RoleCustomerMismatch => Self::new(Code::RoleCustomerMismatch, detail),
            Error::ApiKeyLimitReached { limit } => {
                Self::new(Code::ApiKeyLimitReached, detail).with("limit", limit)
            }
            Error::IdempotencyKeyExpired => Self::new(Code::IdempotencyKeyExpired, detail),
            Error::Conflict(_) => Self::new(Code::Conflict, detail),
            Error::StatementTooLong { count } => Self::fault(
                "?from",
                &format!(
                    "must be later, or `to` earlier: the period has {count} entries, and one statement shows {}",
                    domain::receivables::statements::MAX_ENTRIES
                ),
            ),
            Error::TooManyMetadataKeys { count } => {
                let most = entity::Metadata::MAX_KEYS;
                let message = format!("must leave at most {most} keys; {count} would be left");
                Self::fault("/metadata", &message)
            }
            Error::IdempotencyKeyReused => Self::new(Code::IdempotencyKeyReused, detail),
            Error::Overloaded => Self::new(Code::Overloaded, detail),
            Error::DatabaseUnavailable(cause) => {
                tracing::error!(%cause, "the database is not available");
                Self::new(
                    Code::DatabaseUnavailable,
                    "The database cannot be reached. Nothing was changed.",
                )
            }
            Error::OutcomeUnknown => {
                tracing::error!("whether a change was made could not be learned");
                Self::new(
                    Code::OutcomeUnknown,
                    "The service could not learn whether the change was made. Retry with the same Idempotency-Key, \
                     or read what the request would have changed before you retry.",
                )
            }
            Error::Contention => {
                tracing::error!("a transaction's contention was not retried");
                Self::new(
                    Code::Overloaded,
                    "Other transactions are changing the same rows.",
                )
            }
            Error::Bug(cause) => {
                tracing::error!(cause, "bug");
                Self::internal()
            }
        }
    }

    fn about_order(code: Code, detail: String, id: OrderId) -> Self {
        Self::new(code, detail).with("order_id", id.to_string())
    }

    /// A payment or refund that the provider does not take: the limit that it violates, or the order cancelled for it.
    fn payment_refused(
        refused: &RefusedAmount,
        order: Option<OrderId>,
        currency: Currency,
    ) -> Self {
        let text = |amount: Money| amount.to_text(currency);
        let detail = match refused {
            RefusedAmount {
                minimum: Some(minimum),
                ..
            } => format!(
                "The payment provider takes payments from {} {currency} on.",
                text(*minimum)
            ),
            RefusedAmount {
                maximum: Some(maximum),
                ..
            } => format!(
                "The payment provider takes payments of up to {} {currency}.",
                text(*maximum)
            ),
            RefusedAmount {
                step: Some(step), ..
            } => format!(
                "The payment provider takes multiples of {} {currency}.",
                text(*step)
            ),
            _ if order.is_some() => {
                "The payment provider refused the payment. The order is cancelled.".to_owned()
            }
            _ => format!("The payment provider takes no payments in {currency}."),
        };
        let amounts = [
            ("minimum", refused.minimum),
            ("maximum", refused.maximum),
            ("multiple_of", refused.step),
        ];
        let mut problem = Self::new(Code::PaymentRefused, detail)
            .with("provider_code", refused.code.as_str())
            .with("currency", currency.to_string());
        for (name, amount) in amounts {
            if let Some(amount) = amount {
                problem = problem.with(name, text(amount));
            }
        }
        match order {
            Some(id) => problem
                .with("order_id", id.to_string())
                .with("order_status", json!(Status::Cancelled)),
            None => problem,
        }
    }

    /// The code, which determines the status and the title.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The sentence about this occurrence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// A member beyond the common ones.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// The faults of a form: the name of each field, and the end of a sentence that starts with it.
    #[must_use]
    pub fn faults_by_field(&self) -> Vec<(String, String)> {
        let faults = self.fields.get("errors").and_then(Value::as_array);
        let text = |fault: &Value, member: &str| {
            let text = fault.get(member).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        faults
            .into_iter()
            .flatten()
            .map(|fault| {
                let pointer = text(fault, "pointer");
                let name = pointer.strip_prefix('/').unwrap_or(&pointer);
                (name.to_owned(), text(fault, "message"))
            })
            .collect()
    }

    /// The JSON body, with the request's path (`instance`) and id.
    #[must_use]
    pub fn body(&self, instance: &str, request_id: &str) -> String {
        let mut body = self.fields.clone();
        body.insert("type".into(), self.code.type_uri().into());
        body.insert("title".into(), self.code.title().into());
        body.insert("status".into(), self.code.status().as_u16().into());
        body.insert("detail".into(), self.detail.as_str().into());
        body.insert("code".into(), self.code.text().into());
        body.insert("instance".into(), instance.into());
        body.insert("request_id".into(), request_id.into());
        Value::Object(body).to_string()
    }
}

fn hold_limit(limit: HoldLimit, detail: String, currency: Currency) -> Problem {
    let problem = Problem::new(Code::HoldLimitExceeded, detail);
    match limit {
        HoldLimit::Units {
            limit,
            held,
            requested,
        } => problem
            .with("measure", "units")
            .with("limit", limit)
            .with("held", held)
            .with("requested", requested),
        HoldLimit::Value {
            limit,
            held,
            requested,
        } => problem
            .with("measure", "value")
            .with("limit", limit.to_text(currency))
            .with("held", held.to_text(currency))
            .with("requested", requested.to_text(currency))
            .with("currency", currency.to_string()),
    }
}

/// Turns the phrase of a domain error into a sentence.
fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}.", first.to_uppercase(), letters.as_str())
    })
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.text(), self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    /// A response without a body. The outermost middleware writes the body, because it knows the request's path and id.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.code.status());
        if self.code.status() == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        // The rest of the request is not read, so the connection cannot be reused.
        if self.code == Code::RequestTimeout {
            response.force_close();
        }
        if self.code == Code::UnsupportedEncoding {
            response.insert_header((header::ACCEPT_ENCODING, self.accepted_encodings()));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{CustomerId, ProductId};

    fn fields(error: Error) -> Value {
        let problem = Problem::of(error, Currency::USD);
        serde_json::from_str(&problem.body("/api/x", "r1")).unwrap()
    }

    #[test]
    fn a_problem_has_the_members_of_the_rfc_and_ours() {
        let id = CustomerId::new();
        assert_eq!(
            fields(Error::CustomerNotFound(id)),
            json!({
                "type": "/problems/customer_not_found",
                "title": "The customer does not exist",
                "status": 404,
                "detail": format!("Customer {id} does not exist."),
                "instance": "/api/x",
                "code": "customer_not_found",
                "request_id": "r1",
                "customer_id": id,
            })
        );
    }

    #[test]
    fn a_refused_purchase_says_how_much_credit_there_is() {
        let usd = |text| Money::parse(text, Currency::USD).unwrap();
        let body = fields(Error::CreditLimitExceeded {
            credit_limit: usd("1000"),
            balance: usd("600"),
            amount: usd("400.01"),
        });
        assert_eq!(body["available_credit"], "400.00");
        assert_eq!(body["amount"], "400.01");
        assert_eq!(body["currency"], "USD");
    }

    #[test]
    fn every_short_product_is_named() {
        let product_id = ProductId::new();
        let body = fields(Error::InsufficientStock(vec![domain::Shortage {
            product_id,
            requested: 3,
            available: 1,
        }]));
        assert_eq!(
            body["shortages"],
            json!([{"product_id": product_id, "requested": 3, "available": 1}])
        );
    }

    #[test]
    fn a_refused_payment_says_what_would_be_taken_or_which_order_is_over() {
        let amount = |text| Money::parse(text, Currency::USD).unwrap();
        let order_id = entity::OrderId::new();
        let small = RefusedAmount {
            minimum: Some(amount("0.50")),
            ..RefusedAmount::with_code("amount_too_small")
        };
        let refused = |refused, order_id| {
            fields(Error::PaymentRefused {
                refused: Box::new(refused),
                order_id,
            })
        };
        let before = refused(small, None);
        assert_eq!(before["minimum"], "0.50");
        assert_eq!(
            before["detail"],
            "The payment provider takes payments from 0.50 USD on."
        );
        let after = refused(RefusedAmount::with_code("card_declined"), Some(order_id));
        assert_eq!(after["provider_code"], "card_declined");
        assert_eq!(after["order_id"], order_id.to_string());
        assert_eq!(after["order_status"], "cancelled");
    }

    #[test]
    fn nothing_of_the_inside_goes_out() {
        for error in [
            Error::Bug("column secret_x".into()),
            Error::DatabaseUnavailable(sea_orm::DbErr::Custom("secret_x".into())),
        ] {
            assert!(!fields(error).to_string().contains("secret_x"));
        }
    }

    #[test]
    fn codes_are_unique_and_every_503_says_when_to_come_back() {
        let texts: std::collections::HashSet<_> =
            Code::ALL.iter().map(|code| code.text()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        let response = Problem::new(Code::Overloaded, "").error_response();
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "1");
    }
}
