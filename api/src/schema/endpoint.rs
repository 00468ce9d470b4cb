//! The endpoint table, from which the routing, the access control and the OpenAPI document are made.
//!
//! A handler file declares its endpoints next to its handlers. An endpoint outside the table is not served. Every
//! served endpoint is in the document with the roles that may call it. The three therefore cannot diverge.
//!
//! ```ignore
//! pub fn endpoints() -> Vec<Endpoint> {
//!     vec![
//!         Endpoint::post("createCustomer", "/api/customers", create)
//!             .summary("Create a customer")
//!             .for_roles(&[Role::Admin, Role::Staff])
//!             .body::<NewCustomer>()
//!             .created::<CustomerView>()
//!             .codes(&[Code::AlreadyExists])
//!             .idempotent(),
//!     ]
//! }
//! ```

mod tag;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Responder, Route, web};
use domain::foundation::dates::When;
use entity::users::Role;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

pub use tag::Tag;

use crate::schema::body::FromJson;
use crate::schema::content_negotiation::{CSV, JSON};
use crate::schema::csv_body::{CsvBody, Record};
use crate::schema::csv_dialect::{Dialect, Separator};
use crate::schema::faults::At;
use crate::schema::problem::Code;
use crate::schema::query::{Cursor, Limit};
use crate::schema::text::{BusinessName, FromText};

/// The prefix of every path of the API.
pub const BASE: &str = "/api";

/// The prefix of every page of a store.
pub const SHOP: &str = "/shop";

/// The prefix of every page of a back office.
pub const OFFICE: &str = "/office";

/// The prefix of a path that is below one of a store or a back office: [`SHOP`] or [`OFFICE`].
#[must_use]
pub fn area(path: &str) -> Option<&'static str> {
    [SHOP, OFFICE].into_iter().find(|prefix| {
        let below = path.strip_prefix(prefix);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Whether a path is for browsers: the start page, or below [`SHOP`] or [`OFFICE`].
#[must_use]
pub fn is_page(path: &str) -> bool {
    path == "/" || area(path).is_some()
}

/// The clients that an endpoint is for. The kind decides which credential counts, and what a refusal looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Programs. The credential is in `Authorization`, and refusals are problems in JSON.
    Api,
    /// Browsers that read a page. The credential is the session's cookie, and refusals are pages or lead to the login.
    Page,
    /// Browsers that send a form. As [`Kind::Page`], and a form of another site is refused.
    Action(Twin),
}

/// The endpoints of the API that do the same as an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// Not declared, which is a bug.
    Undeclared,
    /// The endpoints with these operation ids, of which the form chooses one. Their roles are those of the action.
    Of(&'static [&'static str]),
    /// None, since the action changes only what browsers have.
    None,
}

/// The callers that an endpoint accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Everyone, without credentials.
    Public,
    /// Everyone who names a business with `?business=`, and every caller with credentials, for the caller's business.
    PublicOf,
    /// Every caller of a business, in any role.
    Any,
    /// Callers with one of these roles.
    Roles(&'static [Role]),
    /// The platform, which belongs to no business.
    Platform,
    /// Everyone on the service's own machine, if the payment provider is the offline one. All others get 404.
    Local,
}

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// The name in the query string.
    pub name: &'static str,
    /// Its description in the OpenAPI document.
    pub about: &'static str,
    /// The function that makes its schema.
    pub schema: fn() -> RefOr<Schema>,
}

/// A type with its OpenAPI schema.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The name of its component.
    pub name: fn() -> Cow<'static, str>,
    /// The function that makes its schema.
    pub schema: fn() -> RefOr<Schema>,
    /// Adds the components that its schema refers to.
    pub others: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    fn of<T: ToSchema>() -> Self {
        Self {
            name: T::name,
            schema: T::schema,
            others: T::schemas,
        }
    }
}

/// A request's body.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// The body's type.
    pub shape: Shape,
    /// Parses a body as the handler does. Returns false after a fault, and reports all faults to `At`.
    pub reads: fn(Value, &mut At) -> bool,
    /// False if it may be left out.
    pub required: bool,
}

/// The content of a successful response.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    /// No content.
    Empty,
    /// JSON of this type.
    Json(Shape),
    /// Text of this media type.
    Text(&'static str),
    /// A file of this media type.
    File(&'static str),
}

/// One method of one path.
#[derive(Clone)]
pub struct Endpoint {
    /// The clients that it is for.
    pub kind: Kind,
    /// A unique name, from which generated clients derive function names: `createPurchase`.
    pub operation_id: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path with its parameters in braces, as both OpenAPI and actix write them. A parameter has the name that
    /// bodies use, such as `customer_id`.
    pub path: &'static str,
    /// The callers that it accepts.
    pub who: Who,
    /// The summary in the OpenAPI document: a few words.
    pub summary: &'static str,
    /// The query parameters.
    pub query: Vec<Parameter>,
    /// The request's JSON body; `None` if it takes none.
    pub body: Option<Body>,
    /// The request's CSV body; `None` if it takes none.
    pub csv_body: Option<CsvBody>,
    /// The media types of the file that is the request's body; empty if it takes none.
    pub file_body: &'static [&'static str],
    /// The successful responses: status and content. One status may have several contents, from which `Accept` chooses.
    pub answers: Vec<(u16, Content)>,
    /// Its specific problem codes, in addition to those that every endpoint of its kind has.
    pub codes: Vec<Code>,
    /// Whether it accepts `Idempotency-Key`.
    pub idempotent: bool,
    /// Whether it takes a secret that could be guessed. Its calls then count against a lower rate limit of the address.
    pub guarded: bool,
    /// Whether it changes what buyers read of the catalogue: the business, its products, its sales, or stock by hand.
    pub changes_catalogue: bool,
    /// Whether its handler checks a signature of the body, which is the caller's credential.
    pub signed: bool,
    route: Arc<dyn Fn() -> Route + Send + Sync>,
}

impl Endpoint {
    fn new<H, Args>(
        operation_id: &'static str,
        method: Method,
        path: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<Args> + Send + Sync,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        let route_method = method.clone();
        Self {
            kind: Kind::Api,
            operation_id,
            method,
            path,
            who: Who::Roles(&[]),
            summary: "",
            query: Vec::new(),
            body: None,
            csv_body: None,
            file_body: &[],
            answers: Vec::new(),
            codes: Vec::new(),
            idempotent: false,
            guarded: false,
            changes_catalogue: false,
            signed: false,
            route: Arc::new(move || web::method(route_method.clone()).to(handler.clone())),
        }
    }

    /// A page at this path, with this operation id, served by this handler. It is read with the session's cookie.
    pub fn page<H, Args>(operation_id: &'static str, path: &'static str, handler: H) -> Self
    where
        H: Handler<Args> + Send + Sync,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        let page = Self::new(operation_id, Method::GET, path, handler);
        Self {
            kind: Kind::Page,
            ..page
        }
    }

    /// The target of a form at this path, with this operation id, served by this handler. It must name its twin.
    pub fn action<H, Args>(operation_id: &'static str, path: &'static str, handler: H) -> Self
    where
        H: Handler<Args> + Send + Sync,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        let action = Self::new(operation_id, Method::POST, path, handler);
        Self {
            kind: Kind::Action(Twin::Undeclared),
            ..action
        }
    }

    /// Names the operations of the API that do the same as this action: one, or several of which the form chooses.
    #[must_use]
    pub fn same_as(mut self, operation_ids: &'static [&'static str]) -> Self {
        self.kind = Kind::Action(Twin::Of(operation_ids));
        self
    }

    /// Declares that the action changes only what browsers have, such as a cart or a session.
    #[must_use]
    pub fn of_browsers_only(mut self) -> Self {
        self.kind = Kind::Action(Twin::None);
        self
    }

    /// Adds a query parameter. The handler reads it from [`crate::schema::query::Query`].
    #[must_use]
    pub fn query<T: FromText>(mut self, name: &'static str, about: &'static str) -> Self {
        let schema = T::schema;
        self.query.push(Parameter {
            name,
            about,
            schema,
        });
        self
    }

    /// Marks the endpoint as a list that is read page by page as JSON, and completely as CSV ([`Endpoint::or_csv`]). The
    /// handler takes a [`crate::http::listing::Listing`].
    #[must_use]
    pub fn paged(self) -> Self {
        self.or_csv()
            .query::<Limit>("limit", "The most rows of the page; 50 if left out.")
            .query::<Cursor<String>>("cursor", "The next_cursor of the page before.")
    }

    /// Adds the parameter `count` to a list. The response is then a [`crate::schema::query::CountedPage`].
    #[must_use]
    pub fn counted(self) -> Self {
        self.query::<bool>(
            "count",
            "Whether the page has the number of all rows, up to 10,000; false if left out.",
        )
    }

    /// Marks the list as one that can be followed: its rows in the order of their changes.
    #[must_use]
    pub fn followed(self) -> Self {
        self.query::<When>(
            "updated_since",
            "Rows in the order of their changes, beginning with those of this time. For staff, and without filters. \
             `next_cursor` continues, also after the last change.",
        )
        .codes(&[Code::CursorExpired])
    }

    /// Sets the summary: a few words on what the endpoint does.
    #[must_use]
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Accepts everyone, without credentials.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.who = Who::Public;
        self
    }

    /// Accepts everyone who names a business, and every caller. The handler takes a [`crate::access::Visitor`]. A page
    /// names its business in the path.
    #[must_use]
    pub fn public_of_business(mut self) -> Self {
        self.who = Who::PublicOf;
        if self.kind != Kind::Api {
            return self;
        }
        self.query::<BusinessName>(
            "business",
            "The slug or id of a business; not needed with credentials.",
        )
    }

    /// Accepts every caller of a business.
    #[must_use]
    pub fn for_any_role(mut self) -> Self {
        self.who = Who::Any;
        self
    }

    /// Accepts callers with these roles. An endpoint without any such declaration accepts nobody.
    #[must_use]
    pub fn for_roles(mut self, roles: &'static [Role]) -> Self {
        self.who = Who::Roles(roles);
        self
    }

    /// Accepts the platform and no caller of a business. The handler takes a [`crate::access::Platform`].
    #[must_use]
    pub fn for_platform(mut self) -> Self {
        self.who = Who::Platform;
        self
    }

    /// Accepts everyone on the service's own machine, with the offline payment provider.
    #[must_use]
    pub fn for_this_machine(mut self) -> Self {
        self.who = Who::Local;
        self
    }

    /// Declares a body, which the handler reads with [`crate::schema::body::Json`].
    #[must_use]
    pub fn body<T: FromJson + ToSchema>(mut self) -> Self {
        self.body = Some(Body {
            shape: Shape::of::<T>(),
            reads: |value, at| T::from_json(value, at).is_some(),
            required: true,
        });
        self
    }

    /// Declares a body that may be left out, which the handler reads with [`crate::schema::body::JsonOrEmpty`].
    #[must_use]
    pub fn optional_body<T: FromJson + ToSchema>(mut self) -> Self {
        self = self.body::<T>();
        self.body = self.body.map(|body| Body {
            required: false,
            ..body
        });
        self
    }

    /// Declares a CSV body, which the handler reads with [`crate::schema::csv_body::Csv`].
    #[must_use]
    pub fn csv_body<R: Record>(mut self) -> Self {
        self.csv_body = Some(CsvBody::of::<R>());
        self.codes(&[Code::UnsupportedMediaType])
    }

    /// Declares a body that is a file of one of these media types.
    #[must_use]
    pub fn file_body(mut self, media_types: &'static [&'static str]) -> Self {
        self.file_body = media_types;
        self.codes(&[Code::UnsupportedMediaType])
    }

    /// Declares a 200 response with this content.
    #[must_use]
    pub fn ok<T: ToSchema>(self) -> Self {
        self.answers_with(200, Content::Json(Shape::of::<T>()))
    }

    /// Declares a 201 response with this content and a `Location`.
    #[must_use]
    pub fn created<T: ToSchema>(self) -> Self {
        self.answers_with(201, Content::Json(Shape::of::<T>()))
    }

    /// Declares a 202 response with this content.
    #[must_use]
    pub fn accepted<T: ToSchema>(self) -> Self {
        self.answers_with(202, Content::Json(Shape::of::<T>()))
    }

    /// Declares a 204 response.
    #[must_use]
    pub fn no_content(self) -> Self {
        self.answers_with(204, Content::Empty)
    }

    /// Declares a 200 response with text of this media type.
    #[must_use]
    pub fn text(self, media_type: &'static str) -> Self {
        self.answers_with(200, Content::Text(media_type))
    }

    /// Declares a 200 response with a file of this media type.
    #[must_use]
    pub fn file(self, media_type: &'static str) -> Self {
        self.answers_with(200, Content::File(media_type))
    }

    /// Declares a second form of the 200 response: a CSV table, for clients that prefer it. The handler takes a
    /// [`crate::schema::content_negotiation::Form`], and reads the table's [`Dialect`] from the query.
    #[must_use]
    pub fn or_csv(self) -> Self {
        self.query::<bool>(
            Dialect::BOM,
            "`true` begins a CSV table with a byte order mark, which Excel needs to read UTF-8; false if left out.",
        )
        .query::<Separator>(
            Dialect::SEPARATOR,
            "The separator of the cells of a CSV table; a comma if left out.",
        )
        .codes(&[Code::NotAcceptable])
        .answers_with(200, Content::Text(CSV))
    }

    fn answers_with(mut self, status: u16, content: Content) -> Self {
        self.answers.push((status, content));
        self
    }

    /// Adds specific problem codes.
    #[must_use]
    pub fn codes(mut self, codes: &[Code]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }

    /// Declares that it changes what buyers read of the catalogue. They see the change at once in this process.
    #[must_use]
    pub fn changes_catalogue(mut self) -> Self {
        self.changes_catalogue = true;
        self
    }

    /// Marks the endpoint as taking a secret that could be guessed. Its calls count against the lower limit per address
    /// in [`crate::http::limits`].
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// Marks a signature of the body as the credential. The handler reads the body with [`crate::schema::body::Raw`]
    /// and checks the signature. A call counts against the limit of its address only if it was rejected.
    #[must_use]
    pub fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Makes the endpoint accept `Idempotency-Key`.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }
}

macro_rules! methods {
    ($($name:ident $method:ident;)*) => {
        impl Endpoint {$(
            #[doc = concat!("A ", stringify!($method), " of this path, with this operation id, served by this handler.")]
            pub fn $name<H, Args>(operation_id: &'static str, path: &'static str, handler: H) -> Self
            where
                H: Handler<Args> + Send + Sync,
                Args: FromRequest + 'static,
                H::Output: Responder + 'static,
            {
                Self::new(operation_id, Method::$method, path, handler)
            }
        )*}
    };
}

methods! {
    get GET;
    post POST;
    put PUT;
    patch PATCH;
    delete DELETE;
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} for {:?}", self.method, self.path, self.who)
    }
}

/// All endpoints, of programs and of browsers. The process has one table, which all workers share.
#[derive(Debug)]
pub struct Table {
    groups: Vec<(Tag, Vec<Endpoint>)>,
    pages: Vec<Endpoint>,
}

/// A bug in the endpoint table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTable {
    /// Another endpoint has the same method and path.
    #[error("{0} is declared twice")]
    Twice(String),
    /// The path is not where endpoints of its kind are.
    #[error("{0} is not below {BASE}, or is no page")]
    Elsewhere(String),
    /// An action names no endpoint of the API, or one that does not exist.
    #[error("{0} must be same_as an endpoint of the API, or of_browsers_only")]
    NoTwin(String),
    /// Another endpoint has the same operation id.
    #[error("the operation id {id} of {endpoint} is taken")]
    TakenId {
        /// The method and path.
        endpoint: String,
        /// The operation id.
        id: &'static str,
    },
    /// The operation id is not in camel case.
    #[error(
        "the operation id {id} of {endpoint} must be a verb and a noun in camel case, such as createPurchase"
    )]
    BadId {
        /// The method and path.
        endpoint: String,
        /// The operation id.
        id: &'static str,
    },
    /// A path parameter is called `id`.
    #[error("the parameter of {0} must have the name that bodies give it, such as customer_id")]
    NamelessId(String),
}

impl Table {
    /// Makes a table of the endpoints of each tag, and checks them.
    ///
    /// # Errors
    /// See [`BadTable`].
    pub fn new(groups: impl IntoIterator<Item = (Tag, Vec<Endpoint>)>) -> Result<Self, BadTable> {
        Self {
            groups: groups.into_iter().collect(),
            pages: Vec::new(),
        }
        .checked()
    }

    /// Adds pages and actions.
    ///
    /// # Errors
    /// See [`BadTable`].
    pub fn with_pages(self, pages: Vec<Endpoint>) -> Result<Self, BadTable> {
        Self { pages, ..self }.checked()
    }

    fn checked(self) -> Result<Self, BadTable> {
        let (mut routes, mut ids) = (HashSet::new(), HashSet::new());
        for endpoint in self.endpoints().chain(&self.pages) {
            endpoint.check()?;
            let (method, path, id) = (&endpoint.method, endpoint.path, endpoint.operation_id);
            if !routes.insert((method, path)) {
                return Err(BadTable::Twice(endpoint.name()));
            }
            if !ids.insert(id) {
                let endpoint = endpoint.name();
                return Err(BadTable::TakenId { endpoint, id });
            }
        }
        let is_known = |id: &str| self.endpoints().any(|endpoint| endpoint.operation_id == id);
        for action in &self.pages {
            let has_twin = match action.kind {
                Kind::Action(Twin::Of(ids)) => ids.iter().all(|id| is_known(id)),
                Kind::Action(Twin::Undeclared) => false,
                Kind::Action(Twin::None) | Kind::Page | Kind::Api => true,
            };
            if !has_twin {
                return Err(BadTable::NoTwin(action.name()));
            }
        }
        Ok(self)
    }

    /// All pages and actions, in the order of their declaration.
    pub fn pages(&self) -> impl Iterator<Item = &Endpoint> {
        self.pages.iter()
    }

    /// All endpoints of the API, in the order of their declaration.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.tagged().map(|(_, endpoint)| endpoint)
    }

    /// All endpoints of the API with their tags, in the order of their declaration.
    pub fn tagged(&self) -> impl Iterator<Item = (Tag, &Endpoint)> {
        self.groups
            .iter()
            .flat_map(|(tag, endpoints)| endpoints.iter().map(|endpoint| (*tag, endpoint)))
    }
}

impl Endpoint {
    /// Whether it is a page or an action.
    #[must_use]
    pub fn is_for_browsers(&self) -> bool {
        self.kind != Kind::Api
    }

    /// The method and path, separated by a space.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Checks the rules that concern one endpoint alone.
    fn check(&self) -> Result<(), BadTable> {
        let below_base = self.path.strip_prefix(BASE);
        let is_placed = match self.kind {
            Kind::Api => below_base.is_some_and(|rest| rest.starts_with('/')),
            Kind::Page | Kind::Action(_) => is_page(self.path),
        };
        if !is_placed {
            return Err(BadTable::Elsewhere(self.name()));
        }
        let id = self.operation_id;
        let starts_small = id.starts_with(|letter: char| letter.is_ascii_lowercase());
        if !starts_small || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let endpoint = self.name();
            return Err(BadTable::BadId { endpoint, id });
        }
        if self.path.contains("{id}") {
            return Err(BadTable::NamelessId(self.name()));
        }
        Ok(())
    }
}

impl Endpoint {
    /// The media types of its successful responses, each once and sorted; empty if they have no content.
    #[must_use]
    pub fn formats(&self) -> BTreeSet<&'static str> {
        let formats = self
            .answers
            .iter()
            .filter_map(|(_, content)| match content {
                Content::Empty => None,
                Content::Json(_) => Some(JSON),
                Content::Text(media_type) | Content::File(media_type) => Some(*media_type),
            });
        formats.collect()
    }

    /// Whether it has a CSV table.
    #[must_use]
    pub fn has_csv(&self) -> bool {
        self.formats().contains(CSV)
    }

    /// The route to the handler, without the access check.
    #[must_use]
    pub fn route(&self) -> Route {
        (self.route)()
    }
}
