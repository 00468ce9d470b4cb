//! The OpenAPI document, made from the endpoint table, and the page that displays it.

mod example;
mod problems;
mod schemas;

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use entity::users::Role;
use serde_json::json;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ComponentsBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Content as MediaType, ContentBuilder, HeaderBuilder, InfoBuilder, ObjectBuilder, OpenApi,
    OpenApiBuilder, PathItem, PathsBuilder, Ref, Required,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use self::example::{Examples, Way};
use self::schemas::{Schemas, string, uuid};
use crate::schema::content_negotiation::CSV;
use crate::schema::endpoint::{Content, Endpoint, Shape, Table, Tag, Who};
use crate::schema::problem::Code;

const BEARER: &str = "bearer";

/// Why the document of a table cannot be made. Each is a bug, which shows at every start of the service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDocument {
    /// Two different types have the same name. Rename one of them with `#[schema(as = …)]`.
    #[error("two different schemas are called {0}")]
    Clash(String),
    /// Members have no example.
    #[error(
        "{0}: no example; say one in #[schema(example = json!({{…}}))] of the view or #[example({{…}})] of the body!"
    )]
    NoExample(String),
    /// An endpoint has no summary.
    #[error("{0} has no summary")]
    NoSummary(String),
}

/// Makes the document of a table.
///
/// # Errors
/// See [`BadDocument`].
pub fn document(table: &Table) -> Result<OpenApi, BadDocument> {
    let mut schemas = Schemas::default();
    let mut codes = BTreeSet::new();
    for endpoint in table.endpoints() {
        schemas.add_all(endpoint)?;
        codes.extend(errors(endpoint).into_values().flatten());
    }
    schemas.extend(problems::components(&codes))?;
    let mut examples = Examples {
        schemas: json!(schemas.components),
        hints: &schemas.hints,
        missing: BTreeSet::new(),
    };
    let mut items: BTreeMap<&str, PathItem> = BTreeMap::new();
    let mut tags = Vec::new();
    for (tag, endpoint) in table.tagged() {
        if endpoint.summary.is_empty() {
            return Err(BadDocument::NoSummary(endpoint.name()));
        }
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        let operation = operation(tag, endpoint, &mut examples);
        let item = PathItem::new(method(endpoint), operation);
        match items.get_mut(endpoint.path) {
            Some(known) => known.merge_operations(item),
            None => {
                items.insert(endpoint.path, item);
            }
        }
    }
    let components = codes
        .into_iter()
        .fold(ComponentsBuilder::new(), |all, code| {
            all.example(code.text(), problems::example(code, &mut examples))
        });
    if !examples.missing.is_empty() {
        let missing: Vec<String> = examples.missing.into_iter().collect();
        return Err(BadDocument::NoExample(missing.join(", ")));
    }
    let components = schemas
        .components
        .into_iter()
        .fold(components, |all, (name, schema)| all.schema(name, schema))
        .security_scheme(BEARER, security_scheme());
    let paths = items
        .into_iter()
        .fold(PathsBuilder::new(), |paths, (path, item)| {
            paths.path(path, item)
        });
    let info = InfoBuilder::new()
        .title("Tradeline")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Orders, stock and trade credit for many businesses."));
    let tags = tags.into_iter().map(|tag| {
        let described = TagBuilder::new().name(tag.name());
        described.description(Some(tag.about())).build()
    });
    let server = ServerBuilder::new()
        .url("/")
        .description(Some("The address that served this document."));
    Ok(OpenApiBuilder::new()
        .info(info)
        .servers(Some([server.build()]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components.build()))
        .build())
}

fn security_scheme() -> SecurityScheme {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "An access token of /api/auth/login or of the configured issuer, or an API key.",
        ));
    SecurityScheme::Http(bearer.build())
}

/// The document of a table as the app's data, for [`configure`].
///
/// # Errors
/// See [`BadDocument`].
pub fn json(table: &Table) -> Result<web::Data<Document>, BadDocument> {
    let document = document(table)?;
    Ok(web::Data::new(Document(json!(document).to_string())))
}

/// The document as JSON text, serialized once.
#[derive(Debug)]
pub struct Document(String);

/// Serves the document at `/openapi.json`, and the page that displays it at `/docs/`.
pub fn configure(document: web::Data<Document>, config: &mut web::ServiceConfig) {
    config
        .app_data(document)
        .service(web::resource("/openapi.json").get(serve))
        .service(web::redirect("/docs", "/docs/"))
        .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json")));
}

async fn serve(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document.0.clone())
}

fn operation(tag: Tag, endpoint: &Endpoint, examples: &mut Examples<'_>) -> Operation {
    let segments: Vec<&str> = endpoint
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let mut operation = OperationBuilder::new()
        .operation_id(Some(endpoint.operation_id))
        .summary(Some(endpoint.summary))
        .description(Some(who_may(endpoint.who)))
        .tag(tag.name())
        .extensions(Some(Extensions::from_iter([(
            "x-roles",
            roles(endpoint.who),
        )])));
    match endpoint.who {
        Who::Public | Who::Local => operation = operation.securities(Some([])),
        Who::PublicOf => {
            operation = operation
                .security(SecurityRequirement::default())
                .security(bearer());
        }
        Who::Any | Who::Roles(_) | Who::Platform => operation = operation.security(bearer()),
    }
    for parameter in parameters(endpoint, &segments) {
        operation = operation.parameter(parameter);
    }
    if let Some(body) = &endpoint.body {
        let body = RequestBodyBuilder::new()
            .content(
                "application/json",
                json_content(&body.shape, Way::In, examples),
            )
            .required(Some(required(body.required)));
        operation = operation.request_body(Some(body.build()));
    }
    if let Some(body) = &endpoint.csv_body {
        let table = ContentBuilder::new()
            .schema(Some(string()))
            .example(Some(body.example.into()));
        let body = RequestBodyBuilder::new()
            .description(Some(body.about()))
            .content(CSV, table.build())
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    if !endpoint.file_body.is_empty() {
        operation = operation.request_body(Some(file_body(endpoint.file_body)));
    }
    if endpoint.signed {
        operation = operation.request_body(Some(signed_body()));
    }
    let mut answers: BTreeMap<u16, Vec<&Content>> = BTreeMap::new();
    for (status, content) in &endpoint.answers {
        answers.entry(*status).or_default().push(content);
    }
    for (status, contents) in answers {
        let success = success(status, &contents, endpoint, examples);
        operation = operation.response(status.to_string(), success);
    }
    for (status, codes) in errors(endpoint) {
        let problem = problems::response(status, &codes);
        operation = operation.response(status.to_string(), problem);
    }
    operation.build()
}

/// A body that is a file of one of these media types.
fn file_body(media_types: &[&str]) -> RequestBody {
    let body = RequestBodyBuilder::new().required(Some(Required::True));
    let body = media_types.iter().fold(body, |body, media_type| {
        body.content(*media_type, file_content(media_type))
    });
    body.build()
}

/// A body whose sender signs its bytes.
fn signed_body() -> RequestBody {
    let anything = ObjectBuilder::new().schema_type(SchemaType::new(Type::Object));
    let anything = ContentBuilder::new().schema(Some(anything)).example(Some(
        json!({"id": "evt_1", "type": "payment_intent.succeeded"}),
    ));
    RequestBodyBuilder::new()
        .description(Some("Exactly as sent: the signature covers every byte."))
        .content("application/json", anything.build())
        .required(Some(Required::True))
        .build()
}

fn required(is_required: bool) -> Required {
    match is_required {
        true => Required::True,
        false => Required::False,
    }
}

fn method(endpoint: &Endpoint) -> HttpMethod {
    match endpoint.method.as_str() {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn bearer() -> SecurityRequirement {
    SecurityRequirement::new(BEARER, [] as [&str; 0])
}

fn role_name(role: &Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Staff => "staff",
        Role::Customer => "customer",
    }
}

fn roles(who: Who) -> Vec<&'static str> {
    match who {
        Who::Public | Who::PublicOf | Who::Local => vec!["public"],
        Who::Any => vec!["admin", "staff", "customer"],
        Who::Roles(roles) => roles.iter().map(role_name).collect(),
        Who::Platform => vec!["platform"],
    }
}

fn who_may(who: Who) -> String {
    match who {
        Who::Public => "Public.".to_owned(),
        Who::PublicOf => {
            "Public with `?business=`; with credentials, the caller's business.".to_owned()
        }
        Who::Any => "Every role of a business.".to_owned(),
        Who::Platform => {
            "The platform, with a token of `tradeline token --role platform`.".to_owned()
        }
        Who::Local => {
            "Public on the machine itself, with the offline payment provider. Not found for others."
                .to_owned()
        }
        Who::Roles(_) => format!("Roles: {}.", roles(who).join(", ")),
    }
}

/// Content of this type, with an example.
fn json_content(shape: &Shape, way: Way, examples: &mut Examples<'_>) -> MediaType {
    let name = (shape.name)();
    ContentBuilder::new()
        .example(Some(examples.of(&name, way, None)))
        .schema(Some(Ref::from_schema_name(name)))
        .build()
}

/// Content that is a file. OpenAPI 3.1 describes raw bytes by their media type alone.
fn file_content(media_type: &str) -> MediaType {
    let file = string().content_media_type(media_type);
    ContentBuilder::new().schema(Some(file)).build()
}

fn visible_ascii(max: usize) -> ObjectBuilder {
    string()
        .min_length(Some(1))
        .max_length(Some(max))
        .pattern(Some("^[!-~]+$"))
}

fn parameters(endpoint: &Endpoint, segments: &[&str]) -> Vec<Parameter> {
    let path = segments
        .iter()
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            // Every id of the service is a UUID.
            let is_ours = name == "id" || name.ends_with("_id");
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(if is_ours { uuid() } else { string() }))
                .build()
        });
    let query = endpoint.query.iter().map(|parameter| {
        ParameterBuilder::new()
            .name(parameter.name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(parameter.about))
            .schema(Some((parameter.schema)()))
            .build()
    });
    let mut headers = vec![header(
        "X-Request-Id",
        "Used if it is 1 to 128 visible ASCII characters, otherwise generated. It is in the response, in every log line and \
         in the audit trail.",
        string(),
    )];
    if endpoint.signed {
        headers.push(header(
            "Stripe-Signature",
            "The time of signing and the signatures of the body. They expire after five minutes.",
            string(),
        ));
    }
    if !matches!(endpoint.who, Who::Public | Who::Platform | Who::Local) {
        headers.push(header(
            "X-Business-Id",
            "May repeat the caller's business, and must then match. From a trusted gateway it names the business.",
            uuid(),
        ));
    }
    if endpoint.idempotent {
        headers.push(header(
            "Idempotency-Key",
            "Makes the request idempotent: a retry returns the original response unchanged.",
            visible_ascii(crate::schema::idempotency::KEY_LENGTH),
        ));
    }
    path.chain(query).chain(headers).collect()
}

fn header(name: &str, about: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

fn success(
    status: u16,
    contents: &[&Content],
    endpoint: &Endpoint,
    examples: &mut Examples<'_>,
) -> Response {
    let mut response = ResponseBuilder::new().description(match status {
        201 => "Created.",
        202 => "Accepted.",
        204 => "Done.",
        _ => "Success.",
    });
    for content in contents {
        response = match content {
            Content::Empty => response,
            Content::Json(shape) => {
                response.content("application/json", json_content(shape, Way::Out, examples))
            }
            Content::Text(media_type) => {
                response.content(*media_type, MediaType::new(Some(string())))
            }
            Content::File(media_type) => response.content(*media_type, file_content(media_type)),
        };
    }
    if status == 201 {
        let location = HeaderBuilder::new()
            .schema(Some(string()))
            .description(Some("The path of what was created."));
        response = response.header("Location", location.build());
    }
    if endpoint.idempotent {
        let replayed = HeaderBuilder::new()
            .schema(Some(string().enum_values(Some(["true"]))))
            .description(Some(
                "The response is the original one of an earlier request. Nothing was changed now.",
            ));
        response = response.header("Idempotency-Replayed", replayed.build());
    }
    response.build()
}

/// All problem codes of an endpoint by status: its specific ones and those of its kind.
fn errors(endpoint: &Endpoint) -> BTreeMap<u16, BTreeSet<Code>> {
    let mut codes: Vec<Code> = endpoint.codes.clone();
    codes.extend([
        Code::RateLimited,
        Code::InternalError,
        Code::Overloaded,
        Code::DatabaseUnavailable,
    ]);
    if !endpoint.formats().is_empty() {
        codes.push(Code::NotAcceptable);
    }
    match endpoint.who {
        Who::Public => {}
        Who::Local => codes.push(Code::NotFound),
        Who::PublicOf => codes.extend([
            Code::Unauthenticated,
            Code::TokenExpired,
            Code::TenantMismatch,
            Code::Forbidden,
            Code::NotFound,
        ]),
        // Every role of a business may call some of these endpoints; the platform still may not.
        Who::Any | Who::Roles(_) | Who::Platform => codes.extend([
            Code::Unauthenticated,
            Code::TokenExpired,
            Code::TenantMismatch,
            Code::Forbidden,
        ]),
    }
    if endpoint.body.is_some() || endpoint.idempotent {
        codes.extend([
            Code::MalformedJson,
            Code::RequestTimeout,
            Code::PayloadTooLarge,
            Code::UnsupportedEncoding,
            Code::ValidationFailed,
        ]);
    }
    if endpoint.signed {
        codes.extend([
            Code::InvalidSignature,
            Code::MalformedJson,
            Code::RequestTimeout,
            Code::PayloadTooLarge,
            Code::UnsupportedEncoding,
        ]);
    }
    if !endpoint.query.is_empty() {
        codes.push(Code::ValidationFailed);
    }
    if endpoint.idempotent {
        codes.extend([Code::ValidationFailed, Code::IdempotencyKeyReused]);
    }
    if endpoint.method != Method::GET {
        codes.push(Code::OutcomeUnknown);
    }
    let mut by_status: BTreeMap<u16, BTreeSet<Code>> = BTreeMap::new();
    for code in codes {
        by_status
            .entry(code.status().as_u16())
            .or_default()
            .insert(code);
    }
    by_status
}
