//! The OpenAPI document, made from the table of endpoints, and the page to read it.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use entity::users::Role;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{
    AdditionalProperties, ComponentsBuilder, KnownFormat, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content as MediaType, HeaderBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder,
    PathItem, PathsBuilder, Ref, RefOr, Required, Schema,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::body::Fault;
use crate::endpoint::{Content, Endpoint, Shape, Table, Who};
use crate::problem::{Code, MEDIA_TYPE};

const BEARER: &str = "bearer";

/// Two different types with one name. Give one of them another with `#[schema(as = …)]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two different schemas are called {0}")]
pub struct Clash(String);

/// The schemas that the document's parts refer to.
#[derive(Default)]
struct Schemas(BTreeMap<String, RefOr<Schema>>);

impl Schemas {
    fn add(&mut self, name: String, schema: RefOr<Schema>) -> Result<(), Clash> {
        match self.0.get(&name) {
            Some(known) if *known != schema => Err(Clash(name)),
            _ => {
                self.0.insert(name, schema);
                Ok(())
            }
        }
    }

    /// Those of an endpoint's body and answers.
    fn add_all(&mut self, endpoint: &Endpoint) -> Result<(), Clash> {
        if let Some(shape) = &endpoint.body {
            let schema = (shape.schema)();
            let schema = match endpoint.who {
                Who::Public | Who::Platform | Who::Local => schema,
                Who::PublicOf | Who::Any | Who::Roles(_) => with_business_id(schema),
            };
            self.add((shape.name)().into_owned(), schema)?;
        }
        for (_, content) in &endpoint.answers {
            if let Content::Json(shape) = content {
                let mut others = Vec::new();
                (shape.others)(&mut others);
                self.add((shape.name)().into_owned(), (shape.schema)())?;
                for (name, schema) in others {
                    self.add(name, schema)?;
                }
            }
        }
        Ok(())
    }
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

/// The document of this table.
///
/// # Errors
/// See [`Clash`].
pub fn document(table: &Table) -> Result<OpenApi, Clash> {
    let mut schemas = Schemas::default();
    schemas.add("Problem".to_owned(), problem_schema())?;
    schemas.add(Fault::name().into_owned(), Fault::schema())?;
    let mut items: BTreeMap<&str, PathItem> = BTreeMap::new();
    for endpoint in table.endpoints() {
        schemas.add_all(endpoint)?;
        let item = PathItem::new(method(endpoint), operation(endpoint));
        match items.get_mut(endpoint.path) {
            Some(known) => known.merge_operations(item),
            None => {
                items.insert(endpoint.path, item);
            }
        }
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "An access token of /api/auth/login or of the issuer that the service is told to trust, or an API key.",
        ))
        .build();
    let components = schemas
        .0
        .into_iter()
        .fold(ComponentsBuilder::new(), |all, (name, schema)| {
            all.schema(name, schema)
        })
        .security_scheme(BEARER, SecurityScheme::Http(bearer));
    let paths = items
        .into_iter()
        .fold(PathsBuilder::new(), |paths, (path, item)| {
            paths.path(path, item)
        });
    let info = InfoBuilder::new()
        .title("Tradeline")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Orders, stock and trade credit for many businesses."));
    Ok(OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .build())
}

/// The document, ready to be served.
///
/// # Errors
/// See [`Clash`].
pub fn json(table: &Table) -> Result<web::Data<Document>, Clash> {
    let document = document(table)?;
    Ok(web::Data::new(Document(
        serde_json::json!(document).to_string(),
    )))
}

/// The document as it is served, written once.
#[derive(Debug)]
pub struct Document(String);

/// Serves `/openapi.json` and, to read it, `/docs/`.
pub fn configure(document: web::Data<Document>, config: &mut web::ServiceConfig) {
    config
        .app_data(document)
        .route("/openapi.json", web::get().to(serve))
        .service(web::redirect("/docs", "/docs/"))
        .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json")));
}

async fn serve(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document.0.clone())
}

/// The schema with a description, unless it has a better place for one.
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

fn operation(endpoint: &Endpoint) -> Operation {
    let segments: Vec<&str> = endpoint
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let mut operation = OperationBuilder::new()
        .operation_id(Some(operation_id(endpoint)))
        .summary(Some(endpoint.summary))
        .description(Some(who_may(endpoint.who)))
        .tag(segments.get(1).copied().unwrap_or("api"))
        .extensions(Some(Extensions::from_iter([(
            "x-roles",
            roles(endpoint.who),
        )])));
    match endpoint.who {
        Who::Public | Who::Local => {}
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
            .content("application/json", MediaType::new(Some(reference(body))))
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    if endpoint.signed {
        let anything = ObjectBuilder::new().schema_type(SchemaType::new(Type::Object));
        let body = RequestBodyBuilder::new()
            .description(Some(
                "As its sender writes it: the signature is of every byte.",
            ))
            .content("application/json", MediaType::new(Some(anything)))
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    let mut answers: BTreeMap<u16, Vec<&Content>> = BTreeMap::new();
    for (status, content) in &endpoint.answers {
        answers.entry(*status).or_default().push(content);
    }
    for (status, contents) in answers {
        operation = operation.response(status.to_string(), success(status, &contents, endpoint));
    }
    for (status, codes) in errors(endpoint) {
        operation = operation.response(status.to_string(), error(status, &codes));
    }
    operation.build()
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

/// The method and the path, which no two endpoints share: `post_orders_id_cancel`.
fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint
        .path
        .split(|letter: char| !letter.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty()).skip(1);
    words.fold(endpoint.method.as_str().to_lowercase(), |id, word| {
        format!("{id}_{word}")
    })
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
            "Public on the machine itself, with the offline payment provider. For others it is no path.".to_owned()
        }
        Who::Roles(_) => format!("Roles: {}.", roles(who).join(", ")),
    }
}

fn reference(shape: &Shape) -> Ref {
    Ref::from_schema_name((shape.name)())
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

fn uuid() -> ObjectBuilder {
    string().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
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
            // Everything of ours has a UUID.
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
        "Taken over if it is 1 to 128 visible ASCII characters, or made; in the answer, in every log line and in the \
         audit trail.",
        string(),
    )];
    if endpoint.signed {
        headers.push(header(
            "Stripe-Signature",
            "When the body was signed, and its signatures. Five minutes later they are good no more.",
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
            "Has the request done once: a repetition gets the first answer again.",
            visible_ascii(crate::idempotency::KEY_LENGTH),
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

fn success(status: u16, contents: &[&Content], endpoint: &Endpoint) -> Response {
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
                response.content("application/json", MediaType::new(Some(reference(shape))))
            }
            Content::Text(media_type) => {
                response.content(*media_type, MediaType::new(Some(string())))
            }
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
                "The answer was given before, and nothing was done now.",
            ));
        response = response.header("Idempotency-Replayed", replayed.build());
    }
    response.build()
}

/// Every error that the endpoint can answer with, by status: its own, and those of its kind.
fn errors(endpoint: &Endpoint) -> BTreeMap<u16, BTreeSet<Code>> {
    let mut codes: Vec<Code> = endpoint.codes.clone();
    codes.extend([
        Code::RateLimited,
        Code::InternalError,
        Code::Overloaded,
        Code::DatabaseUnavailable,
    ]);
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
        // Where every role of a business may call, the platform still may not.
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
            Code::ValidationFailed,
        ]);
    }
    if endpoint.signed {
        codes.extend([
            Code::InvalidSignature,
            Code::MalformedJson,
            Code::RequestTimeout,
            Code::PayloadTooLarge,
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

fn error(status: u16, codes: &BTreeSet<Code>) -> Response {
    let lines = codes
        .iter()
        .map(|code| format!("`{}`: {}.", code.text(), code.title()));
    let response = ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join(" "))
        .content(
            MEDIA_TYPE,
            MediaType::new(Some(Ref::from_schema_name("Problem"))),
        )
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
        .description(Some("Seconds after which to try again."));
    response.header("Retry-After", retry_after.build()).build()
}

/// A problem of any code. The fields beyond these depend on the code.
fn problem_schema() -> RefOr<Schema> {
    let codes = Code::ALL.iter().map(|code| code.text());
    ObjectBuilder::new()
        .description(Some(
            "An error (RFC 9457). `code` is for programs; some codes have further fields that a program needs.",
        ))
        .property("type", string())
        .property("title", string())
        .property(
            "status",
            ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)),
        )
        .property("detail", string())
        .property("instance", string())
        .property("code", string().enum_values(Some(codes)))
        .property("request_id", string())
        .property(
            "errors",
            utoipa::openapi::ArrayBuilder::new().items(RefOr::Ref(Ref::from_schema_name(Fault::name()))),
        )
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .required("instance")
        .required("code")
        .required("request_id")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .into()
}
