//! Errors in the OpenAPI document: one component per problem code, with the members of its problems.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AllOfBuilder, Discriminator, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{Content, ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Schema};

use super::example::{Examples, Way};
use super::schemas::{Component, string};
use crate::schema::problem::{Code, MEDIA_TYPE};

/// The component of a problem with any code.
const ANY: &str = "Problem";

/// The component of a code: `InsufficientStockProblem`.
fn component_name(code: Code) -> String {
    format!("{code:?}{ANY}")
}

/// The components of these codes, with all components that they refer to.
pub(super) fn components(codes: &BTreeSet<Code>) -> Vec<Component> {
    let mut components = vec![(ANY.to_owned(), any())];
    for code in codes {
        components.push((component_name(*code), of(*code)));
        for member in code.members() {
            (member.components)(&mut components);
        }
    }
    components
}

/// The schema of a problem with any code.
fn any() -> RefOr<Schema> {
    let codes = Code::ALL.iter().map(|code| code.text());
    let status = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
    let object = ObjectBuilder::new()
        .description(Some(
            "An error (RFC 9457). `code` is for programs; some codes have further members that a program needs.",
        ))
        .property("type", string())
        .property("title", string())
        .property("status", status)
        .property("detail", string())
        .property("instance", string())
        .property("code", string().enum_values(Some(codes)))
        .property("request_id", string());
    let all = [
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "code",
        "request_id",
    ];
    all.into_iter().fold(object, ObjectBuilder::required).into()
}

/// The schema of a problem with this code.
fn of(code: Code) -> RefOr<Schema> {
    let own = ObjectBuilder::new()
        .property("code", string().enum_values(Some([code.text()])))
        .required("code");
    let own = code.members().into_iter().fold(own, |own, member| {
        let own = own.property(member.name, (member.schema)());
        if member.required {
            own.required(member.name)
        } else {
            own
        }
    });
    let all = AllOfBuilder::new()
        .description(Some(format!("{}.", code.title())))
        .item(Ref::from_schema_name(ANY))
        .item(own);
    Schema::AllOf(all.build()).into()
}

/// An example of a problem with this code. Responses refer to it by the code.
pub(super) fn example(code: Code, examples: &mut Examples<'_>) -> Example {
    let mut hint = json!({
        "type": code.type_uri(),
        "title": code.title(),
        "status": code.status().as_u16(),
        "detail": format!("{}.", code.title()),
        "instance": "/api/orders",
        "code": code.text(),
        "request_id": "0190a5d4-7b1c-7000-8000-00000000000f",
    });
    for member in code.members() {
        if let Some(example) = member.example {
            hint[member.name] = Value::from(example);
        }
    }
    let value = examples.of(&component_name(code), Way::Out, Some(&hint));
    ExampleBuilder::new()
        .summary(code.title())
        .value(Some(value))
        .build()
}

/// The response with this status, whose problem has one of these codes.
pub(super) fn response(status: u16, codes: &BTreeSet<Code>) -> Response {
    let lines = codes
        .iter()
        .map(|code| format!("`{}`: {}.", code.text(), code.title()));
    let response = ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join(" "))
        .content(MEDIA_TYPE, content(codes))
        .extensions(Some(Extensions::from_iter([(
            "x-codes",
            codes.iter().map(|code| code.text()).collect::<Vec<_>>(),
        )])));
    if status != 503 && status != 429 {
        return response.build();
    }
    let seconds = ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .minimum(Some(1));
    let retry_after = HeaderBuilder::new()
        .schema(Some(seconds))
        .description(Some("Seconds after which to retry."));
    response.header("Retry-After", retry_after.build()).build()
}

fn content(codes: &BTreeSet<Code>) -> Content {
    let reference = |code: &Code| Ref::from_schema_name(component_name(*code));
    let content = match codes.first() {
        Some(code) if codes.len() == 1 => ContentBuilder::new().schema(Some(reference(code))),
        _ => {
            let mapping = codes
                .iter()
                .map(|code| (code.text(), reference(code).ref_location));
            let one = OneOfBuilder::new()
                .discriminator(Some(Discriminator::with_mapping("code", mapping)));
            let one = codes
                .iter()
                .fold(one, |one, code| one.item(reference(code)));
            ContentBuilder::new().schema(Some(Schema::OneOf(one.build())))
        }
    };
    let examples = codes.iter().map(|code| {
        let location = format!("#/components/examples/{}", code.text());
        (code.text(), RefOr::Ref(Ref::new(location)))
    });
    content.examples_from_iter(examples).build()
}
