//! Forms of pages, read by the types of JSON bodies, so that bounds and messages are the API's.
//!
//! A field's name is the JSON pointer to its member, without the first slash: `email`, `items/0/quantity`. Every value is
//! text, and an empty one is absent. The field [`KEY`] is the idempotency key.

use std::collections::BTreeMap;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use domain::{Caller, IdempotencyKey};
use entity::Currency;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::schema::body::{Accepted, FromJson, MAX_BYTES, read_in_time};
use crate::schema::faults::At;
use crate::schema::idempotency;
use crate::schema::problem::{Code, Problem};

/// The field of the idempotency key, a UUID.
pub const KEY: &str = "idempotency_key";

/// The media type of forms.
const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// The most fields of a form.
const MAX_FIELDS: usize = 1000;

/// The most parts of a field's name.
const MAX_DEPTH: usize = 4;

/// How a form's body is accepted: no browser compresses one.
const ACCEPTED: Accepted = Accepted {
    codings: &[],
    max_bytes: MAX_BYTES,
};

/// A form, before its fields are parsed.
#[derive(Debug, Clone)]
pub struct Form {
    fields: BTreeMap<String, String>,
    currency: Option<Currency>,
    /// The key under which a retry gets the original response, if the form has one.
    pub key: Option<IdempotencyKey>,
}

impl Form {
    /// The text of a field as it was sent; empty if there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The texts of all fields but these, to show them again beside their faults.
    #[must_use]
    pub fn texts_without(&self, secrets: &[&str]) -> BTreeMap<String, String> {
        let shown = self.fields.iter();
        let shown = shown.filter(|(name, _)| !secrets.contains(&name.as_str()));
        shown
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect()
    }

    /// The ends of the names of all fields in a member: `a` and `b` of `orders/a` and `orders/b`.
    pub fn names_below<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let names = self.fields.keys();
        names.filter_map(move |field| field.strip_prefix(name)?.strip_prefix('/'))
    }

    /// Sets a member that the path gives.
    pub fn set(&mut self, name: &str, text: &str) {
        self.fields.insert(name.to_owned(), text.to_owned());
    }

    /// Removes a field that only the page has, and returns its text.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.fields.remove(name)
    }

    /// Removes a member with all that is in it.
    pub fn remove_below(&mut self, name: &str) {
        let inside = format!("{name}/");
        self.fields
            .retain(|field, _| field != name && !field.starts_with(&inside));
    }

    /// The texts in a member, by their names in it.
    #[must_use]
    pub fn members_of(&self, name: &str) -> Vec<(String, String)> {
        let inside = format!("{name}/");
        let fields = self.fields.iter();
        let fields = fields.filter_map(|(field, text)| Some((field.strip_prefix(&inside)?, text)));
        fields
            .map(|(member, text)| (member.to_owned(), text.clone()))
            .collect()
    }

    /// The form with nothing but a member and what is in it.
    #[must_use]
    pub fn only_below(&self, name: &str) -> Self {
        let inside = format!("{name}/");
        let mut form = self.clone();
        form.fields
            .retain(|field, _| field == name || field.starts_with(&inside));
        form
    }

    /// Parses the fields as a body.
    ///
    /// # Errors
    /// `validation_failed` with every fault.
    pub fn read<T: FromJson>(&self) -> Result<T, Problem> {
        let mut at = At::of_form(self.currency);
        let body = T::from_json(value(&self.fields), &mut at);
        at.finish(body)
    }

    fn of(req: &HttpRequest, bytes: &[u8]) -> Result<Self, Problem> {
        let (mut fields, mut at) = (BTreeMap::new(), At::of_form(None));
        for (name, text) in form_urlencoded::parse(bytes) {
            if fields.len() == MAX_FIELDS || name.split('/').count() > MAX_DEPTH {
                return Err(Problem::new(
                    Code::MalformedJson,
                    "The form has too many fields.",
                ));
            }
            // Browsers send the line breaks of a text as two characters.
            let text = text.replace("\r\n", "\n");
            if fields.insert(name.to_string(), text).is_some() {
                at.fault_at(format!("/{name}"), "must not be repeated");
            }
        }
        let key = fields.remove(KEY).filter(|key| !key.is_empty());
        let key = key.and_then(|key| {
            let parsed = key.parse::<Uuid>();
            parsed
                .map_err(|_no_uuid| at.inside(KEY, |at| at.fault("must be a UUID")))
                .ok()
        });
        at.finish(Some(()))?;
        let key = key.map(|key| idempotency::key_of_form(req, key, &value(&fields)));
        let caller = req
            .extensions()
            .get::<Caller>()
            .map(|caller| caller.currency);
        Ok(Self {
            fields,
            currency: caller,
            key: key.transpose()?,
        })
    }
}

impl FromRequest for Form {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            if !is_form(&req) {
                let detail = format!("A form is sent as {MEDIA_TYPE}.");
                return Err(Problem::new(Code::UnsupportedMediaType, detail)
                    .with("media_types", vec![MEDIA_TYPE]));
            }
            let bytes = read_in_time(&req, payload, ACCEPTED).await?;
            Self::of(&req, &bytes)
        })
    }
}

fn is_form(req: &HttpRequest) -> bool {
    let named = req.headers().get(CONTENT_TYPE);
    let named = named.and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = named.split(';').next().unwrap_or("");
    media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

/// The fields as the body that the API would take.
fn value(fields: &BTreeMap<String, String>) -> Value {
    let mut members = Map::new();
    for (name, text) in fields {
        let parts: Vec<&str> = name.split('/').collect();
        insert(&mut members, &parts, text);
    }
    let members = members.into_iter();
    let members = members.map(|(name, value)| (name, shaped(value)));
    Value::Object(members.collect())
}

/// Inserts a text at the place that the parts of its name lead to.
fn insert(members: &mut Map<String, Value>, parts: &[&str], text: &str) {
    match parts {
        [] => {}
        [last] => {
            members.insert((*last).to_owned(), Value::from(text));
        }
        [first, rest @ ..] => {
            let object = || Value::Object(Map::new());
            let inside = members.entry(*first).or_insert_with(object);
            // A text whose name is also the beginning of another name gives way.
            if !inside.is_object() {
                *inside = object();
            }
            if let Value::Object(inside) = inside {
                insert(inside, rest, text);
            }
        }
    }
}

/// A part of a form: an object whose names are numbers is a list, and one whose fields are all empty is null.
fn shaped(value: Value) -> Value {
    let Value::Object(members) = value else {
        return value;
    };
    let members = members.into_iter();
    let members: Map<String, Value> = members.map(|(name, value)| (name, shaped(value))).collect();
    let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
    if members.values().all(is_empty) {
        return Value::Null;
    }
    let numbers: Option<Vec<u32>> = members.keys().map(|name| name.parse().ok()).collect();
    let Some(numbers) = numbers else {
        return Value::Object(members);
    };
    let mut elements: Vec<(u32, Value)> = numbers.into_iter().zip(members.into_values()).collect();
    elements.sort_unstable_by_key(|(number, _)| *number);
    Value::Array(elements.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use entity::{ProductId, Quantity};
    use serde_json::json;

    use super::*;
    use crate::schema::body::{Change, List};
    use crate::schema::text::{Prose, Text, Whole};

    crate::body! {
        /// A line.
        struct Line {
            /// The product.
            product_id: ProductId,
            /// The units.
            quantity: Quantity,
        }
    }

    crate::body! {
        /// An address.
        struct Place {
            /// The street.
            street: Text<1, 10>,
            /// The floor.
            floor: Option<Text<1, 10>>,
        }
    }

    crate::body! {
        /// An order.
        struct Order {
            /// The lines.
            items: List<Line, 1, 3>,
            /// A note.
            note: Option<Prose<1, 20>>,
            /// The place.
            place: Option<Place>,
            /// Whether it is in a hurry.
            urgent: Option<bool>,
            /// The days.
            days: Change<Whole<0, 9>>,
        }
    }

    fn form(text: &str) -> Form {
        let fields = form_urlencoded::parse(text.as_bytes());
        Form {
            fields: fields
                .map(|(name, text)| (name.into(), text.into()))
                .collect(),
            currency: None,
            key: None,
        }
    }

    fn faults(text: &str) -> Vec<(String, String)> {
        form(text).read::<Order>().unwrap_err().faults_by_field()
    }

    #[test]
    fn fields_are_members_by_their_pointers_and_an_empty_one_is_absent() {
        let id = ProductId::new();
        let order: Order = form(&format!(
            "items/1/product_id={id}&items/1/quantity=+2+&items/0/product_id={id}&items/0/quantity=7&note=&urgent=on\
             &place/street=&place/floor=&days="
        ))
        .read()
        .unwrap();
        let quantities: Vec<i64> = order
            .items
            .0
            .iter()
            .map(|line| line.quantity.get())
            .collect();
        assert_eq!(quantities, [7, 2]);
        assert!(order.items.0.iter().all(|line| line.product_id == id));
        assert!(order.note.is_none() && order.place.is_none());
        assert_eq!(order.urgent, Some(true));
        assert_eq!(order.days, Change::Clear);
        let place: Place = form("street=+Long+Lane+&floor=").read().unwrap();
        assert_eq!(place.street.0, "Long Lane");
        assert!(place.floor.is_none());
    }

    #[test]
    fn faults_have_the_names_of_their_fields_and_the_messages_of_the_api() {
        let found = faults("items/0/product_id=&items/0/quantity=0&place/floor=3&colour=red");
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "items/0/product_id",
                "items/0/quantity",
                "place/street",
                "colour"
            ]
        );
        assert_eq!(found[0].1, "is required");
        assert_eq!(found[2].1, "is required");
        let json = json!({"product_id": ProductId::new(), "quantity": 0});
        let mut at = At::new(None);
        assert!(Line::from_json(json, &mut at).is_none());
        assert_eq!(found[1].1, at.problem().faults_by_field()[0].1);
    }

    #[test]
    fn text_and_number_are_the_same_in_forms_only() {
        let json = json!({"product_id": ProductId::new(), "quantity": "1"});
        assert!(Line::from_json(json, &mut At::new(None)).is_none());
    }

    #[test]
    fn no_names_confuse_the_reader() {
        for text in [
            "items=x&items/0/quantity=1",
            "items/0=x&items/0/quantity=1",
            "/=x&//=y",
            "items/4294967296/quantity=1",
            "items/-1/quantity=1",
            "=x",
        ] {
            assert!(!faults(text).is_empty(), "{text}");
        }
    }
}
