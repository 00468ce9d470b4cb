//! The members that problems have in addition to those of RFC 9457: their names and types, by code.

use chrono::{DateTime, NaiveDate, Utc};
use entity::{
    Currency, CustomerAddress, CustomerId, DisputeId, OrderId, ProductId, ReservationId, UserId,
};
use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, SchemaType, Type as JsonType};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::schema::problem::Fault;
use crate::schema::text::{Amount, FromText};

/// A member of the problems with one code.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// The name in JSON.
    pub name: &'static str,
    /// Whether every problem with the code has it.
    pub required: bool,
    /// The function that makes its schema.
    pub schema: fn() -> RefOr<Schema>,
    /// Adds the components that the schema refers to.
    pub components: fn(&mut Vec<(String, RefOr<Schema>)>),
    /// An example, where the type alone provides none.
    pub example: Option<&'static str>,
}

impl Member {
    /// A member of the type `T`.
    pub(super) const fn of<T: Type>(name: &'static str, example: Option<&'static str>) -> Self {
        Self {
            name,
            required: T::REQUIRED,
            schema: T::schema,
            components: T::components,
            example,
        }
    }
}

/// A type that a member can have.
pub(super) trait Type {
    /// Whether the member is always present.
    const REQUIRED: bool = true;

    /// The OpenAPI schema.
    fn schema() -> RefOr<Schema>;

    /// Adds the components that the schema refers to.
    fn components(components: &mut Vec<(String, RefOr<Schema>)>);
}

impl<T: Type> Type for Option<T> {
    const REQUIRED: bool = false;

    fn schema() -> RefOr<Schema> {
        T::schema()
    }

    fn components(components: &mut Vec<(String, RefOr<Schema>)>) {
        T::components(components);
    }
}

impl<T: Type> Type for Vec<T> {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new().items(T::schema()).into()
    }

    fn components(components: &mut Vec<(String, RefOr<Schema>)>) {
        T::components(components);
    }
}

macro_rules! types {
    (inline: $($inline:ty),*; components: $($component:ty),*;) => {
        $(impl Type for $inline {
            fn schema() -> RefOr<Schema> {
                <Self as PartialSchema>::schema()
            }

            fn components(_: &mut Vec<(String, RefOr<Schema>)>) {}
        })*
        $(impl Type for $component {
            fn schema() -> RefOr<Schema> {
                Ref::from_schema_name(Self::name()).into()
            }

            fn components(components: &mut Vec<(String, RefOr<Schema>)>) {
                components.push((Self::name().into_owned(), <Self as PartialSchema>::schema()));
                Self::schemas(components);
            }
        })*
    };
}

types! {
    inline: String, i64;
    components: Amount, Currency, CustomerAddress, CustomerId, DisputeId, OrderId, ProductId, ReservationId, UserId, entity::orders::Status, Fault,
        Shortage, UnitsAtPrice;
}

impl Type for DateTime<Utc> {
    fn schema() -> RefOr<Schema> {
        <Self as FromText>::schema()
    }

    fn components(_: &mut Vec<(String, RefOr<Schema>)>) {}
}

impl Type for NaiveDate {
    fn schema() -> RefOr<Schema> {
        <Self as FromText>::schema()
    }

    fn components(_: &mut Vec<(String, RefOr<Schema>)>) {}
}

/// A number of units in problems about items, an amount in problems about money.
pub(super) enum CountOrAmount {}

impl Type for CountOrAmount {
    fn schema() -> RefOr<Schema> {
        let either = OneOfBuilder::new()
            .item(<i64 as Type>::schema())
            .item(<Amount as Type>::schema());
        Schema::OneOf(either.build()).into()
    }

    fn components(components: &mut Vec<(String, RefOr<Schema>)>) {
        <Amount as Type>::components(components);
    }
}

/// Declares a text with a fixed set of values.
macro_rules! words {
    ($($(#[doc = $about:literal])* $name:ident [$($word:literal),*];)*) => {$(
        $(#[doc = $about])*
        pub(super) enum $name {}

        impl Type for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(SchemaType::new(JsonType::String))
                    .enum_values(Some([$($word),*]))
                    .into()
            }

            fn components(_: &mut Vec<(String, RefOr<Schema>)>) {}
        }
    )*};
}

words! {
    /// A content encoding in which a body may be sent.
    ContentCoding ["gzip"];
    /// The media type of a body that is not JSON.
    BodyFormat ["text/csv", "image/jpeg", "image/png", "image/webp"];
    /// The media type of a response.
    ReportFormat ["application/json", "text/csv", "text/event-stream", "image/jpeg"];
    /// Why a file is not a picture that can be shown.
    PictureReason ["other_type", "unreadable", "too_large"];
}

/// A product with too little stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"requested": 3, "available": 1}))]
pub(super) struct Shortage {
    product_id: ProductId,
    /// The quantity that the whole request asks for.
    requested: i64,
    /// The quantity that can be sold.
    available: i64,
}

/// Units of a product in one order that have the same price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"quantity": 2, "unit_price": "100.00"}))]
pub(super) struct UnitsAtPrice {
    pub(super) quantity: i64,
    pub(super) unit_price: Amount,
}

impl From<&domain::Shortage> for Shortage {
    fn from(shortage: &domain::Shortage) -> Self {
        Self {
            product_id: shortage.product_id,
            requested: shortage.requested,
            available: shortage.available,
        }
    }
}
