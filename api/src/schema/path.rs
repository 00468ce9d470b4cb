//! Extractors of ids and names from a request's path.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use entity::{
    ApiKeyId, BusinessId, CreditNoteId, CustomerId, OrderId, PaymentId, PayoutId, ProductId,
    ReservationId, SaleId, UserId, WriteOffId,
};

use crate::schema::problem::{Code, Problem};
use crate::schema::text;

/// An id type that paths contain.
pub trait Noun: std::str::FromStr {
    /// The name of its member in bodies and of its parameter in paths.
    const FIELD: &'static str;
    /// The code of the problem for an unknown id.
    const UNKNOWN: Code;
}

/// The id in the path, found by its parameter's name. A segment that is not a UUID gets the 404 of an unknown id.
#[derive(Debug, Clone, Copy)]
pub struct Id<T>(pub T);

/// The first parameter of the path, if it is a name that another party made, not a UUID of this service.
#[derive(Debug, Clone)]
pub struct Name(pub String);

impl FromRequest for Name {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut segments = req.match_info().iter();
        let name = segments.next().map_or("", |(_, segment)| segment);
        ready(Ok(Self(name.to_owned())))
    }
}

impl<T: Noun> FromRequest for Id<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let segment = req.match_info().query(T::FIELD);
        ready(
            text::id(segment)
                .map(Self)
                .ok_or_else(|| unknown::<T>(segment)),
        )
    }
}

/// The problem for an unknown id.
fn unknown<T: Noun>(segment: &str) -> Problem {
    Problem::new(T::UNKNOWN, format!("{}.", T::UNKNOWN.title())).with(T::FIELD, segment)
}

macro_rules! nouns {
    ($($id:ident $field:literal $code:ident;)*) => {$(
        impl Noun for $id {
            const FIELD: &'static str = $field;
            const UNKNOWN: Code = Code::$code;
        }
    )*};
}

nouns! {
    CustomerId "customer_id" CustomerNotFound;
    ProductId "product_id" ProductNotFound;
    OrderId "order_id" OrderNotFound;
    ReservationId "reservation_id" ReservationNotFound;
    BusinessId "business_id" NotFound;
    UserId "user_id" NotFound;
    ApiKeyId "api_key_id" NotFound;
    PaymentId "payment_id" NotFound;
    PayoutId "payout_id" NotFound;
    CreditNoteId "credit_note_id" NotFound;
    WriteOffId "write_off_id" NotFound;
    SaleId "sale_id" NotFound;
}
