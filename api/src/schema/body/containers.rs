//! Parsers of members that may be absent, may be null, or are lists.

use serde_json::Value;
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::FromJson;
use crate::schema::faults::At;

impl<T: FromJson> FromJson for Option<T> {
    const REQUIRED: bool = false;

    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        match value {
            value if is_absent(&value, at) => Some(None),
            value => T::from_json(value, at).map(Some),
        }
    }

    fn missing(_: &mut At) -> Option<Self> {
        Some(None)
    }

    fn schema() -> RefOr<Schema> {
        nullable(T::schema())
    }

    fn components(components: &mut Vec<(String, RefOr<Schema>)>) {
        T::components(components);
    }
}

/// The change that a PATCH makes to a nullable field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// The member is absent: the field stays as it is.
    #[default]
    Keep,
    /// The member is null: the field becomes empty.
    Clear,
    /// The member has a value: the field takes it.
    Set(T),
}

impl<T> Change<T> {
    /// The change in the form that the domain takes: `None` keeps, `Some(None)` clears, `Some(Some(_))` sets.
    pub fn changed<U>(self, into: impl FnOnce(T) -> U) -> Option<Option<U>> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(None),
            Self::Set(value) => Some(Some(into(value))),
        }
    }
}

impl<T: FromJson> FromJson for Change<T> {
    const REQUIRED: bool = false;

    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        match value {
            value if is_absent(&value, at) => Some(Self::Clear),
            value => T::from_json(value, at).map(Self::Set),
        }
    }

    fn missing(_: &mut At) -> Option<Self> {
        Some(Self::Keep)
    }

    fn schema() -> RefOr<Schema> {
        nullable(T::schema())
    }

    fn components(components: &mut Vec<(String, RefOr<Schema>)>) {
        T::components(components);
    }
}

/// The change that a PATCH makes to a field that always has a value. Null is a fault, since it could be mistaken for a
/// removal, such as that of a credit limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replace<T> {
    /// The member is absent: the field stays as it is.
    #[default]
    Keep,
    /// The member has a value: the field takes it.
    With(T),
}

impl<T> Replace<T> {
    /// The change in the form that the domain takes: `None` keeps the value.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Keep => None,
            Self::With(value) => Some(value),
        }
    }
}

impl<T: FromJson> FromJson for Replace<T> {
    const REQUIRED: bool = false;

    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        if value.is_null() {
            at.fault("must have a value; without the field it stays as it is");
            return None;
        }
        T::from_json(value, at).map(Self::With)
    }

    fn missing(_: &mut At) -> Option<Self> {
        Some(Self::Keep)
    }

    fn schema() -> RefOr<Schema> {
        T::schema()
    }

    fn components(components: &mut Vec<(String, RefOr<Schema>)>) {
        T::components(components);
    }
}

/// Whether a value stands for nothing: null, or an empty field of a form.
pub(super) fn is_absent(value: &Value, at: &At) -> bool {
    value.is_null() || (at.is_form() && value.as_str().is_some_and(str::is_empty))
}

fn nullable(schema: RefOr<Schema>) -> RefOr<Schema> {
    let null = ObjectBuilder::new().schema_type(SchemaType::new(Type::Null));
    OneOfBuilder::new().item(null).item(schema).into()
}

/// A list of `MIN` to `MAX` elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MIN: usize, const MAX: usize>(pub Vec<T>);

impl<T, const MIN: usize, const MAX: usize> IntoIterator for List<T, MIN, MAX> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: FromJson, const MIN: usize, const MAX: usize> FromJson for List<T, MIN, MAX> {
    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        let Value::Array(values) = value else {
            at.fault("must be a list");
            return None;
        };
        if !(MIN..=MAX).contains(&values.len()) {
            at.fault(format!("must have from {MIN} to {MAX} elements"));
            return None;
        }
        let read: Vec<Option<T>> = values
            .into_iter()
            .enumerate()
            .map(|(index, value)| at.inside(&index.to_string(), |at| T::from_json(value, at)))
            .collect();
        // Collected only now: stopping at the first invalid element would hide the faults of the others.
        read.into_iter().collect::<Option<_>>().map(Self)
    }

    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new()
            .items(T::schema())
            .min_items(Some(MIN))
            .max_items(Some(MAX))
            .into()
    }

    fn components(components: &mut Vec<(String, RefOr<Schema>)>) {
        T::components(components);
    }
}
