//! The components of the document: the schemas that its parts refer to, each under one name.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::BadDocument;
use crate::schema::endpoint::{Body, Content, Endpoint, Shape, Who};

/// A schema with its name.
pub(super) type Component = (String, RefOr<Schema>);

/// The schemas, and the values that their types give for examples.
#[derive(Default)]
pub(super) struct Schemas {
    pub(super) components: BTreeMap<String, RefOr<Schema>>,
    /// What an object's type says of its example, by the object's name. It need not be all of it: [`super::example`].
    pub(super) hints: BTreeMap<String, Value>,
}

impl Schemas {
    pub(super) fn add(&mut self, (name, mut schema): Component) -> Result<(), BadDocument> {
        // A part of an example is no example of the schema: the document has whole ones where bodies are.
        if let Some(hint) = take_hint(&mut schema) {
            self.hints.insert(name.clone(), hint);
        }
        match self.components.get(&name) {
            Some(known) if *known != schema => Err(BadDocument::Clash(name)),
            _ => {
                self.components.insert(name, schema);
                Ok(())
            }
        }
    }

    pub(super) fn extend(
        &mut self,
        components: impl IntoIterator<Item = Component>,
    ) -> Result<(), BadDocument> {
        components
            .into_iter()
            .try_for_each(|component| self.add(component))
    }

    /// Those of an endpoint's body and answers.
    pub(super) fn add_all(&mut self, endpoint: &Endpoint) -> Result<(), BadDocument> {
        if let Some(Body { shape, .. }) = &endpoint.body {
            let schema = (shape.schema)();
            let schema = match endpoint.who {
                Who::Public | Who::Platform | Who::Local => schema,
                Who::PublicOf | Who::Any | Who::Roles(_) => with_business_id(schema),
            };
            self.add(((shape.name)().into_owned(), schema))?;
            self.extend(others(shape))?;
        }
        for (_, content) in &endpoint.answers {
            if let Content::Json(shape) = content {
                self.add(((shape.name)().into_owned(), (shape.schema)()))?;
                self.extend(others(shape))?;
            }
        }
        Ok(())
    }
}

fn others(shape: &Shape) -> Vec<Component> {
    let mut others = Vec::new();
    (shape.others)(&mut others);
    others
}

/// What the type of an object says of its example.
fn take_hint(schema: &mut RefOr<Schema>) -> Option<Value> {
    let (example, examples) = match schema {
        RefOr::T(Schema::Object(object)) => (&mut object.example, &mut object.examples),
        RefOr::T(Schema::AllOf(all)) => (&mut all.example, &mut all.examples),
        RefOr::T(Schema::OneOf(one)) => (&mut one.example, &mut one.examples),
        _ => return None,
    };
    let hint = example.take_if(|hint| hint.is_object());
    hint.or_else(|| examples.pop_if(|hint| hint.is_object()))
}

/// The schema of a body, with the member that every body of a caller may have and no type declares.
fn with_business_id(mut schema: RefOr<Schema>) -> RefOr<Schema> {
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        let business_id = uuid().description(Some(
            "May repeat the caller's business, and must then match.",
        ));
        object
            .properties
            .insert("business_id".to_owned(), business_id.into());
    }
    schema
}

pub(super) fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

pub(super) fn uuid() -> ObjectBuilder {
    string().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
}
