//! Parser of objects, and the macro that declares the struct that an object is parsed into.

use serde_json::{Map, Value};

use super::FromJson;
use super::containers::is_absent;
use crate::schema::faults::At;

/// The members of an object that have not been read yet.
#[derive(Debug)]
pub struct Members(Map<String, Value>);

impl Members {
    /// The members of `value`. Reports a fault if it is not an object.
    pub fn of(value: Value, at: &mut At) -> Option<Self> {
        match value {
            Value::Object(members) => Some(Self(members)),
            _ => {
                at.fault("must be an object");
                None
            }
        }
    }

    /// Removes the member `name` and parses it.
    pub fn take<T: FromJson>(&mut self, name: &str, at: &mut At) -> Option<T> {
        let value = self.0.remove(name);
        at.inside(name, |at| match value {
            Some(value) if T::REQUIRED && at.is_form() && is_absent(&value, at) => T::missing(at),
            Some(value) => T::from_json(value, at),
            None => T::missing(at),
        })
    }

    /// Reports every member that was not read, so that a misspelt name is never ignored.
    pub fn refuse_rest(&mut self, at: &mut At) {
        for name in self.0.keys() {
            at.inside(name, |at| at.fault("is not a known field"));
        }
    }
}

/// The JSON name of a Rust field. The two differ for keywords, such as `r#type`.
#[must_use]
pub fn member_name(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// Declares a request's body: the struct, its JSON parser and its OpenAPI schema.
///
/// `#[example({…})]` gives the example in the OpenAPI document its values. It may omit optional members. It may also
/// omit required members whose type provides an example, such as ids and amounts.
///
/// ```
/// use entity::{Money, ProductId, Quantity};
/// use tradeline::schema::body::List;
/// use tradeline::schema::text::Text;
///
/// tradeline::body! {
///     /// One product of a purchase.
///     pub struct Line {
///         /// The product.
///         pub product_id: ProductId,
///         /// The number of units.
///         pub quantity: Quantity,
///         /// The price that the buyer saw.
///         pub unit_price: Option<Money>,
///     }
/// }
///
/// tradeline::body! {
///     /// A purchase.
///     #[example({"note": "Leave it at the gate."})]
///     pub struct Purchase {
///         /// The products to buy.
///         pub items: List<Line, 1, 500>,
///         /// A note to the warehouse.
///         pub note: Option<Text<1, 200>>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! body {
    (
        $(#[doc = $about:literal])*
        $(#[example($($example:tt)+)])?
        $vis:vis struct $name:ident {
            $($(#[doc = $doc:literal])* $field_vis:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        $vis struct $name {
            $($(#[doc = $doc])* $field_vis $field: $type,)*
        }

        impl $crate::schema::body::FromJson for $name {
            fn from_json(value: ::serde_json::Value, at: &mut $crate::schema::faults::At) -> Option<Self> {
                let mut members = $crate::schema::body::Members::of(value, at)?;
                $(let $field = members.take($crate::schema::body::member_name(stringify!($field)), at);)*
                members.refuse_rest(at);
                Some(Self { $($field: $field?,)* })
            }

            fn schema() -> ::utoipa::openapi::RefOr<::utoipa::openapi::Schema> {
                ::utoipa::openapi::Ref::from_schema_name(stringify!($name)).into()
            }

            fn components(
                components: &mut Vec<(String, ::utoipa::openapi::RefOr<::utoipa::openapi::Schema>)>,
            ) {
                let schema = <Self as ::utoipa::PartialSchema>::schema();
                components.push((stringify!($name).to_owned(), schema));
                $(<$type as $crate::schema::body::FromJson>::components(components);)*
            }
        }

        impl ::utoipa::PartialSchema for $name {
            fn schema() -> ::utoipa::openapi::RefOr<::utoipa::openapi::Schema> {
                let object = ::utoipa::openapi::ObjectBuilder::new()
                    .description(Some(concat!($($about),*).trim()))
                    .additional_properties(Some(
                        ::utoipa::openapi::schema::AdditionalProperties::FreeForm(false),
                    ));
                $(let object = object.examples([::serde_json::json!($($example)+)]);)?
                $(
                    let name = $crate::schema::body::member_name(stringify!($field));
                    let schema = <$type as $crate::schema::body::FromJson>::schema();
                    let object = object.property(
                        name,
                        $crate::schema::text::described(schema, concat!($($doc),*).trim()),
                    );
                    let object = if <$type as $crate::schema::body::FromJson>::REQUIRED {
                        object.required(name)
                    } else {
                        object
                    };
                )*
                object.into()
            }
        }

        impl ::utoipa::ToSchema for $name {
            fn name() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(stringify!($name))
            }

            fn schemas(
                schemas: &mut Vec<(String, ::utoipa::openapi::RefOr<::utoipa::openapi::Schema>)>,
            ) {
                let members: &[fn(&mut _)] = &[$(<$type as $crate::schema::body::FromJson>::components),*];
                members.iter().for_each(|add| add(schemas));
            }
        }
    };
}
