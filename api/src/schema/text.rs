//! Values that are written as text, in a body, a query or a path.
//!
//! Each type enforces a rule: every value of the type satisfies it.

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use domain::foundation::dates::When;
use domain::foundation::new_password::NewPassword;
use domain::foundation::search::Search;
use domain::foundation::{email, unicode};
use entity::{Currency, Quantity, TimeZone};
use sea_orm::ActiveEnum;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

/// A type that a query parameter, or a string in a body, can have.
pub trait FromText: Sized {
    /// Parses the text.
    ///
    /// # Errors
    /// The fault, as the end of a sentence that starts with the field's name.
    fn from_text(text: &str) -> Result<Self, String>;

    /// The OpenAPI schema.
    fn schema() -> RefOr<Schema>;
}

pub(super) fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

fn format(known: KnownFormat) -> Option<SchemaFormat> {
    Some(SchemaFormat::KnownFormat(known))
}

fn check_length(text: &str, min: usize, max: usize) -> Result<(), String> {
    if (min..=max).contains(&text.chars().count()) {
        Ok(())
    } else {
        Err(format!("must have from {min} to {max} characters"))
    }
}

/// The pattern of text without the characters `bad`. If `min` is not 0, the text must not be blank.
fn pattern(min: usize, bad: &str) -> String {
    match min {
        0 => format!("^[^{bad}]*$"),
        _ => format!(r"^[^{bad}]*[^\s{bad}][^{bad}]*$"),
    }
}

/// The invisible characters that no text may contain, as far as a pattern can list them.
const INVISIBLE: &str = r"\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff";

/// The text in normalization form C, trimmed. Rejects a blank text and a length outside `min` to `max`.
fn normal(text: &str, min: usize, max: usize) -> Result<String, String> {
    let normal = unicode::nfc(text.trim());
    if min > 0 && normal.is_empty() && !text.is_empty() {
        return Err("must not be blank".to_owned());
    }
    check_length(&normal, min, max)?;
    Ok(normal.into_owned())
}

/// Rejects the text if an invisible character was found.
fn without(invisible: Option<char>) -> Result<(), String> {
    match invisible {
        None => Ok(()),
        Some(found) => Err(format!(
            "must not have the invisible character U+{:04X}",
            u32::from(found)
        )),
    }
}

/// One line of text, from `MIN` to `MAX` characters, in Unicode's normalization form C and trimmed.
///
/// Control characters are rejected. PostgreSQL cannot store NUL, and a line break in a name forges lines of a log or a
/// document. Invisible characters are rejected too, except those that a script or an emoji needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<const MIN: usize, const MAX: usize>(pub String);

impl<const MIN: usize, const MAX: usize> FromText for Text<MIN, MAX> {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("must not have control characters".to_owned());
        }
        let normal = normal(text, MIN, MAX)?;
        without(unicode::invisible_in_prose(&normal))?;
        Ok(Self(normal))
    }

    fn schema() -> RefOr<Schema> {
        let pattern = pattern(MIN, &format!(r"\u0000-\u001f\u007f-\u009f{INVISIBLE}"));
        let text = string().min_length(Some(MIN)).max_length(Some(MAX));
        text.pattern(Some(pattern)).into()
    }
}

/// Text of several lines, from `MIN` to `MAX` characters: as [`Text`], but with line breaks and tabs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prose<const MIN: usize, const MAX: usize>(pub String);

impl<const MIN: usize, const MAX: usize> FromText for Prose<MIN, MAX> {
    fn from_text(text: &str) -> Result<Self, String> {
        if text
            .chars()
            .any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t'))
        {
            return Err(
                "must not have control characters other than line breaks and tabs".to_owned(),
            );
        }
        let normal = normal(text, MIN, MAX)?;
        without(unicode::invisible_in_prose(&normal))?;
        Ok(Self(normal))
    }

    fn schema() -> RefOr<Schema> {
        let controls = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f";
        let pattern = pattern(MIN, &format!("{controls}{INVISIBLE}"));
        let text = string().min_length(Some(MIN)).max_length(Some(MAX));
        text.pattern(Some(pattern)).into()
    }
}

/// A product's SKU, from 1 to 100 characters: as [`Text`], without any invisible character. The database treats two
/// that differ only in case or width as equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sku(pub String);

/// The most characters of a SKU.
const SKU_LENGTH: usize = 100;

impl FromText for Sku {
    fn from_text(text: &str) -> Result<Self, String> {
        let Text(sku) = Text::<1, SKU_LENGTH>::from_text(text)?;
        without(unicode::invisible_in_code(&sku))?;
        Ok(Self(sku))
    }

    fn schema() -> RefOr<Schema> {
        Text::<1, SKU_LENGTH>::schema()
    }
}

/// A password or a token, from `MIN` to `MAX` characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret<const MIN: usize, const MAX: usize>(pub domain::Secret);

impl<const MIN: usize, const MAX: usize> FromText for Secret<MIN, MAX> {
    fn from_text(text: &str) -> Result<Self, String> {
        check_length(text, MIN, MAX).map(|()| Self(text.to_owned().into()))
    }

    fn schema() -> RefOr<Schema> {
        string()
            .format(format(KnownFormat::Password))
            .min_length(Some(MIN))
            .max_length(Some(MAX))
            .into()
    }
}

impl FromText for NewPassword {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|weak| weak.to_string())
    }

    fn schema() -> RefOr<Schema> {
        Secret::<{ Self::MIN }, { Self::MAX }>::schema()
    }
}

/// An e-mail address in the one spelling of its mailbox: see [`email::canonical`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// The address in that spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address in that spelling, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl FromText for Email {
    fn from_text(text: &str) -> Result<Self, String> {
        email::canonical(text)
            .map(Self)
            .ok_or_else(|| "must be an e-mail address such as \"name@example.com\"".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        string()
            .format(Some(SchemaFormat::Custom("email".to_owned())))
            .max_length(Some(email::MAX_BYTES))
            .pattern(Some(
                r"^[^@\s\u0000-\u001f\u007f-\u009f]+@[^@\s\u0000-\u001f\u007f-\u009f]+$",
            ))
            .into()
    }
}

/// The name of a business in addresses. It is valid as a label of a host name. It is not a UUID, which would be taken
/// for an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug(pub String);

impl FromText for Slug {
    fn from_text(text: &str) -> Result<Self, String> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let good = (1..=63).contains(&text.len())
            && text.bytes().all(known)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if !good {
            return Err(
                "must have 1 to 63 lower-case letters, digits and hyphens, no hyphen first or last"
                    .to_owned(),
            );
        }
        if text.parse::<uuid::Uuid>().is_ok() {
            return Err("must not be a UUID".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn schema() -> RefOr<Schema> {
        string()
            .max_length(Some(63))
            .pattern(Some("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))
            .examples(["acme"])
            .into()
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whole<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// The number, from `MIN` to `MAX`.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

/// Parses digits, optionally after a minus. Rejects a plus, a point and an exponent.
fn digits(text: &str) -> Option<i64> {
    let plain = text.strip_prefix('-').unwrap_or(text);
    if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

fn integer(min: i64, max: i64) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .minimum(Some(min))
        .maximum(Some(max))
        .into()
}

impl<const MIN: i64, const MAX: i64> FromText for Whole<MIN, MAX> {
    fn from_text(text: &str) -> Result<Self, String> {
        digits(text)
            .filter(|number| (MIN..=MAX).contains(number))
            .map(Self)
            .ok_or_else(|| format!("must be a whole number from {MIN} to {MAX}"))
    }

    fn schema() -> RefOr<Schema> {
        integer(MIN, MAX)
    }
}

impl FromText for Quantity {
    fn from_text(text: &str) -> Result<Self, String> {
        // Text that is not a number becomes 0, which is not a valid quantity either.
        Self::new(digits(text).unwrap_or(0)).map_err(|invalid| invalid.to_string())
    }

    fn schema() -> RefOr<Schema> {
        integer(1, Self::MAX)
    }
}

impl FromText for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_not_bool| "must be true or false".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Boolean))
            .into()
    }
}

impl FromText for Currency {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|unknown: entity::UnknownCurrency| unknown.to_string())
    }

    fn schema() -> RefOr<Schema> {
        string()
            .pattern(Some("^[A-Z]{3}$"))
            .examples(["USD"])
            .into()
    }
}

impl FromText for TimeZone {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|unknown: entity::UnknownTimeZone| unknown.to_string())
    }

    fn schema() -> RefOr<Schema> {
        // Schema generators have no list of the names. The shortest is "GB"; the longest have three parts.
        string()
            .min_length(Some(2))
            .max_length(Some(64))
            .examples(["Europe/Paris"])
            .into()
    }
}

impl FromText for DateTime<Utc> {
    fn from_text(text: &str) -> Result<Self, String> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_not_time| {
            "must be an RFC 3339 time such as \"2026-01-31T12:00:00Z\"".to_owned()
        })?;
        // Rounded to what the database stores: microseconds, and the following second for a leap second. Responses
        // write the time in UTC, where RFC 3339 has no years beyond 0 to 9999.
        DateTime::from_timestamp_micros(time.timestamp_micros())
            .filter(|time| (0..=9999).contains(&time.year()))
            .ok_or_else(|| "must be in a year from 0 to 9999 in UTC".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        string().format(format(KnownFormat::DateTime)).into()
    }
}

impl FromText for NaiveDate {
    fn from_text(text: &str) -> Result<Self, String> {
        // The parser also accepts "2026-1-1" and signed years, which it would write back with the sign.
        text.parse()
            .ok()
            .filter(|date: &Self| (0..=9999).contains(&date.year()) && date.to_string() == text)
            .ok_or_else(|| "must be a date such as \"2026-01-31\"".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        string().format(format(KnownFormat::Date)).into()
    }
}

/// The pattern of a date or an RFC 3339 time. It is one type, since generated clients cannot choose between two types
/// of text.
const DATE_OR_TIME: &str = concat!(
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
    r"([Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?",
    "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$"
);

impl FromText for When {
    fn from_text(text: &str) -> Result<Self, String> {
        NaiveDate::from_text(text)
            .map(Self::Day)
            .or_else(|_no_date| DateTime::from_text(text).map(Self::Moment))
            .map_err(|_neither| {
                "must be a date such as \"2026-01-31\", which is the whole day in the time zone of the business, or an \
                 RFC 3339 time such as \"2026-01-31T12:00:00Z\""
                    .to_owned()
            })
    }

    fn schema() -> RefOr<Schema> {
        string()
            .description(Some("A date, which is the whole day, or an RFC 3339 time."))
            .pattern(Some(DATE_OR_TIME))
            .examples(["2026-01-31"])
            .into()
    }
}

/// Parses an id in the one form that this service writes: 36 characters, with hyphens.
pub(crate) fn id<T: std::str::FromStr>(text: &str) -> Option<T> {
    const HYPHENATED: usize = 36;
    (text.len() == HYPHENATED)
        .then(|| text.parse().ok())
        .flatten()
}

impl FromText for uuid::Uuid {
    fn from_text(text: &str) -> Result<Self, String> {
        id(text).ok_or_else(|| "must be a UUID".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        string().format(format(KnownFormat::Uuid)).into()
    }
}

macro_rules! ids {
    ($($type:ident),*) => {$(
        impl FromText for entity::$type {
            fn from_text(text: &str) -> Result<Self, String> {
                id(text).ok_or_else(|| "must be a UUID".to_owned())
            }

            fn schema() -> RefOr<Schema> {
                string().format(format(KnownFormat::Uuid)).into()
            }
        }
    )*};
}

ids!(
    BusinessId,
    UserId,
    ApiKeyId,
    CustomerId,
    ProductId,
    PictureId,
    OrderId,
    ReservationId,
    MovementId,
    LedgerEntryId,
    EventId
);

/// The values of an enum in its column are also its values in requests.
macro_rules! words {
    ($($type:ty),* $(,)?) => {$(
        impl FromText for $type {
            fn from_text(text: &str) -> Result<Self, String> {
                <Self as ActiveEnum>::try_from_value(&text.to_owned()).map_err(|_unknown| {
                    format!("must be one of {}", <Self as ActiveEnum>::values().join(", "))
                })
            }

            fn schema() -> RefOr<Schema> {
                string().enum_values(Some(<Self as ActiveEnum>::values())).into()
            }
        }
    )*};
}

words!(
    entity::users::Role,
    entity::api_keys::KeyRole,
    entity::orders::Status,
    entity::orders::PaymentMethod,
    entity::reservations::Status,
    entity::sales::Kind,
    entity::stock_movements::CorrectionReason
);

/// Several values of an enum, with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Several<T>(pub Vec<T>);

impl<T: FromText + ActiveEnum<Value = String>> FromText for Several<T> {
    fn from_text(text: &str) -> Result<Self, String> {
        let values = text.split(',').map(T::from_text);
        let values: Result<_, _> = values.collect();
        values.map(Self).map_err(|_unknown| {
            let known = T::values().join(", ");
            format!("must be one or more of {known}, with commas between them")
        })
    }

    fn schema() -> RefOr<Schema> {
        let known = T::values().join("|");
        string()
            .pattern(Some(format!("^({known})(,({known}))*$")))
            .examples(T::values().into_iter().take(1))
            .into()
    }
}

/// The most characters of a search.
const SEARCH_LENGTH: usize = 200;

impl FromText for Search {
    fn from_text(text: &str) -> Result<Self, String> {
        let Text(text) = Text::<1, SEARCH_LENGTH>::from_text(text)?;
        Self::parse(&text).map_err(|unsearchable| unsearchable.to_string())
    }

    fn schema() -> RefOr<Schema> {
        // A letter or a digit is needed, and more than eight words are refused.
        string()
            .min_length(Some(1))
            .max_length(Some(SEARCH_LENGTH))
            .examples(["muller"])
            .into()
    }
}

/// An amount in a query: digits with a decimal point. Its currency is that of the business, so it is read by
/// [`crate::schema::query::Query::amount`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmountText(pub String);

impl FromText for AmountText {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    fn schema() -> RefOr<Schema> {
        string()
            .pattern(Some(r"^[0-9]+(\.[0-9]+)?$"))
            .examples(["600.00"])
            .into()
    }
}

/// An amount in a response: text with the currency's minor digits, such as `600.00`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Amount(String);

impl Amount {
    /// The amount in the currency of its business.
    #[must_use]
    pub fn of(money: entity::Money, currency: Currency) -> Self {
        Self(money.to_text(currency))
    }
}

impl utoipa::PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        string()
            .description(Some(
                "An exact amount with the minor digits of the currency.",
            ))
            .pattern(Some(r"^-?[0-9]+(\.[0-9]+)?$"))
            .examples(["600.00"])
            .into()
    }
}

impl utoipa::ToSchema for Amount {}

/// Serializes a time for a response: RFC 3339, in UTC, to the microsecond as in the database.
///
/// # Errors
/// The serializer's.
pub fn time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(time))
}

/// The form of a time in every response.
pub fn rfc3339(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// As [`time`], with null for `None`.
///
/// # Errors
/// The serializer's.
pub fn optional_time<S: Serializer>(
    at: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// A number or name by which others know a row.
pub type Reference = Text<1, 100>;

/// The slug or the id of a business.
pub type BusinessName = Text<1, 64>;

/// The schema with a description. An empty text leaves the schema as it is.
#[must_use]
pub fn described(mut schema: RefOr<Schema>, text: &str) -> RefOr<Schema> {
    if text.is_empty() {
        return schema;
    }
    let text = text.to_owned();
    match &mut schema {
        RefOr::Ref(reference) => reference.description = text,
        RefOr::T(Schema::Array(array)) => array.description = Some(text),
        RefOr::T(Schema::Object(object)) => object.description = Some(text),
        RefOr::T(Schema::OneOf(one)) => one.description = Some(text),
        RefOr::T(Schema::AllOf(all)) => all.description = Some(text),
        RefOr::T(Schema::AnyOf(any)) => any.description = Some(text),
        RefOr::T(_) => {}
    }
    schema
}
