//! Parsers of members that are neither lists nor objects.

use entity::{Money, Quantity};
use serde_json::Value;
use utoipa::openapi::schema::{OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::FromJson;
use crate::schema::contact;
use crate::schema::faults::At;
use crate::schema::text::{self, FromText};

/// Types that are text in JSON: parsed with the same rule as in a query.
macro_rules! as_text {
    ($([$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> FromJson for $type {
            fn from_json(value: Value, at: &mut At) -> Option<Self> {
                let Value::String(text) = value else {
                    at.fault("must be a string");
                    return None;
                };
                <Self as FromText>::from_text(&text).map_err(|message| at.fault(message)).ok()
            }

            fn schema() -> RefOr<Schema> {
                <Self as FromText>::schema()
            }
        }
    )*};
}

as_text! {
    [const MIN: usize, const MAX: usize] text::Text<MIN, MAX>;
    [const MIN: usize, const MAX: usize] text::Prose<MIN, MAX>;
    [const MIN: usize, const MAX: usize] text::Secret<MIN, MAX>;
    [] text::Slug;
    [] text::Sku;
    [] text::Email;
    [] crate::schema::image_url::ImageUrl;
    [] contact::Phone;
    [] contact::VatNumber;
    [] contact::Country;
    [] entity::AddressKind;
    [] entity::Currency;
    [] entity::TimeZone;
    [] entity::BusinessId;
    [] entity::UserId;
    [] domain::foundation::new_password::NewPassword;
    [] entity::api_keys::KeyRole;
    [] entity::CustomerId;
    [] entity::ProductId;
    [] entity::OrderId;
    [] entity::ReservationId;
    [] entity::MovementId;
    [] entity::LedgerEntryId;
    [] entity::EventId;
    [] chrono::DateTime<chrono::Utc>;
    [] chrono::NaiveDate;
    [] domain::foundation::dates::When;
    [] entity::users::Role;
    [] entity::orders::Status;
    [] entity::orders::PaymentMethod;
    [] entity::sales::Kind;
    [] entity::stock_movements::CorrectionReason;
}

impl FromJson for bool {
    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(value),
            // A browser sends this for a box that is checked, and nothing for another.
            Value::String(text) if at.is_form() && text == "on" => Some(true),
            Value::String(text) if at.is_form() => {
                Self::from_text(&text).map_err(|fault| at.fault(fault)).ok()
            }
            _ => {
                at.fault("must be true or false");
                None
            }
        }
    }

    fn schema() -> RefOr<Schema> {
        <Self as FromText>::schema()
    }
}

impl<const MIN: i64, const MAX: i64> FromJson for text::Whole<MIN, MAX> {
    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        whole(&value, at)
    }

    fn schema() -> RefOr<Schema> {
        <Self as FromText>::schema()
    }
}

impl FromJson for Quantity {
    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        whole(&value, at)
    }

    fn schema() -> RefOr<Schema> {
        <Self as FromText>::schema()
    }
}

/// Parses a number from its own text, so that it never becomes a float. `1.0` and `1e2` are not whole numbers here.
fn whole<T: FromText>(value: &Value, at: &mut At) -> Option<T> {
    // The empty text fails with the rule's message, which is also the right one for a string.
    let text = match value {
        Value::Number(number) => number.as_str(),
        Value::String(text) if at.is_form() => text.trim(),
        _ => "",
    };
    T::from_text(text).map_err(|message| at.fault(message)).ok()
}

impl FromJson for Money {
    /// Accepts a string or a number. Parses a number from its own text, so that it never becomes a float.
    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        let Some(currency) = at.currency() else {
            at.fault("is an amount, which needs a business and its currency");
            return None;
        };
        let text = match &value {
            Value::String(text) => text.as_str(),
            Value::Number(number) => number.as_str(),
            _ => {
                at.fault("must be a decimal number such as \"12.50\"");
                return None;
            }
        };
        Money::parse(text, currency)
            .map_err(|invalid| at.fault(invalid.to_string()))
            .ok()
    }

    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().minimum(Some(0));
        amount_schema(r"^[0-9]+(\.[0-9]+)?$", number)
    }
}

/// The schema of an amount: text with this pattern, or a number with the given lower bound.
fn amount_schema(pattern: &str, number: ObjectBuilder) -> RefOr<Schema> {
    let text = ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .pattern(Some(pattern));
    let number = number
        .schema_type(SchemaType::new(Type::Number))
        .exclusive_maximum(Some(1_000_000_000_000_000_i64));
    OneOfBuilder::new()
        .item(text)
        .item(number)
        .examples(["600.00"])
        .into()
}

/// An amount above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positive(pub Money);

impl FromJson for Positive {
    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        let amount = Money::from_json(value, at)?;
        if amount == Money::ZERO {
            at.fault("must be more than 0");
            return None;
        }
        Some(Self(amount))
    }

    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().exclusive_minimum(Some(0));
        let above_0 = r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*)$";
        amount_schema(above_0, number)
    }
}
