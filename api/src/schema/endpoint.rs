//! The table of endpoints, which drives the routing, the access control and the OpenAPI document.
//!
//! A handler file declares its endpoints next to its handlers. What is not in the table is not served, and what is
//! served is in the document with the roles that may call it: the three cannot part.
//!
//! ```ignore
//! pub fn endpoints() -> Vec<Endpoint> {
//!     vec![
//!         Endpoint::post("createCustomer", "/api/customers", create)
//!             .summary("Take on a customer")
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
use std::collections::HashSet;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Responder, Route, web};
use entity::users::Role;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

pub use tag::Tag;

use crate::schema::body::FromJson;
use crate::schema::csv_dialect::{Dialect, Separator};
use crate::schema::faults::At;
use crate::schema::problem::Code;
use crate::schema::query::{Cursor, Limit};
use crate::schema::text::{BusinessName, FromText};

/// The start of every path in the table.
pub const BASE: &str = "/api";

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Everyone, without credentials.
    Public,
    /// Everyone who names a business with `?business=`, and every caller with credentials, for its own.
    PublicOf,
    /// Every caller of a business.
    Any,
    /// Callers with one of these roles.
    Roles(&'static [Role]),
    /// The platform, which is of no business.
    Platform,
    /// Everyone on this machine itself, where payments are made by saying so. For others it is no path at all.
    Local,
}

/// A parameter of the query.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What it may be.
    pub schema: fn() -> RefOr<Schema>,
}

/// A type as OpenAPI needs to know it.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Its name among the components.
    pub name: fn() -> Cow<'static, str>,
    /// Its schema.
    pub schema: fn() -> RefOr<Schema>,
    /// Those that its schema refers to.
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
    /// How it is described.
    pub shape: Shape,
    /// Reads one as the handler does, and says whether it could be read. What is wrong with it is reported to `At`.
    pub reads: fn(Value, &mut At) -> bool,
}

/// What a success looks like.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Shape),
    /// Text of this media type.
    Text(&'static str),
}

/// One method of one path.
#[derive(Clone)]
pub struct Endpoint {
    /// Its name, after which generated clients name their functions: `createPurchase`.
    pub operation_id: &'static str,
    /// The method.
    pub method: Method,
    /// The path, in OpenAPI's form, which is actix's too. A parameter has the name that bodies give to it, such as
    /// `customer_id`.
    pub path: &'static str,
    /// Who may call it.
    pub who: Who,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The parameters of its query.
    pub query: Vec<Parameter>,
    /// Its request's body.
    pub body: Option<Body>,
    /// Its successes: status and content. One status may have several, from which `Accept` chooses.
    pub answers: Vec<(u16, Content)>,
    /// The errors that are its own, beyond those that every such endpoint has.
    pub codes: Vec<Code>,
    /// Whether it honours `Idempotency-Key`.
    pub idempotent: bool,
    /// Whether it takes a secret that could be guessed, and so counts against a tighter limit of the address.
    pub guarded: bool,
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
            operation_id,
            method,
            path,
            who: Who::Roles(&[]),
            summary: "",
            query: Vec::new(),
            body: None,
            answers: Vec::new(),
            codes: Vec::new(),
            idempotent: false,
            guarded: false,
            signed: false,
            route: Arc::new(move || web::method(route_method.clone()).to(handler.clone())),
        }
    }

    /// Adds parameters of the query. The handler reads each from [`crate::schema::query::Query`].
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

    /// The endpoint is a list, read page by page.
    #[must_use]
    pub fn paged(self) -> Self {
        self.query::<Limit>("limit", "The most rows of the page; 50 if left out.")
            .query::<Cursor<String>>("cursor", "The next_cursor of the page before.")
    }

    /// Says what it does, in a few words.
    #[must_use]
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Everyone may call it.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.who = Who::Public;
        self
    }

    /// Everyone may call it who names a business, and every caller. The handler takes a [`crate::access::Visitor`].
    #[must_use]
    pub fn public_of_business(mut self) -> Self {
        self.who = Who::PublicOf;
        self.query::<BusinessName>(
            "business",
            "The slug or id of a business; not needed with credentials.",
        )
    }

    /// Every caller of a business may call it.
    #[must_use]
    pub fn for_any_role(mut self) -> Self {
        self.who = Who::Any;
        self
    }

    /// Callers with these roles may call it. Without a word about who may, nobody may.
    #[must_use]
    pub fn for_roles(mut self, roles: &'static [Role]) -> Self {
        self.who = Who::Roles(roles);
        self
    }

    /// The platform may call it, and nobody of a business. The handler takes a [`crate::access::Platform`].
    #[must_use]
    pub fn for_platform(mut self) -> Self {
        self.who = Who::Platform;
        self
    }

    /// Everyone on this machine itself may call it, with the offline payment provider.
    #[must_use]
    pub fn for_this_machine(mut self) -> Self {
        self.who = Who::Local;
        self
    }

    /// It takes a body, which the handler reads with [`crate::schema::body::Json`].
    #[must_use]
    pub fn body<T: FromJson + ToSchema>(mut self) -> Self {
        self.body = Some(Body {
            shape: Shape::of::<T>(),
            reads: |value, at| T::from_json(value, at).is_some(),
        });
        self
    }

    /// It answers 200 with this.
    #[must_use]
    pub fn ok<T: ToSchema>(self) -> Self {
        self.answers_with(200, Content::Json(Shape::of::<T>()))
    }

    /// It answers 201 with this and a `Location`.
    #[must_use]
    pub fn created<T: ToSchema>(self) -> Self {
        self.answers_with(201, Content::Json(Shape::of::<T>()))
    }

    /// It answers 202 with this.
    #[must_use]
    pub fn accepted<T: ToSchema>(self) -> Self {
        self.answers_with(202, Content::Json(Shape::of::<T>()))
    }

    /// It answers 204.
    #[must_use]
    pub fn no_content(self) -> Self {
        self.answers_with(204, Content::Empty)
    }

    /// It answers 200 with text of this media type.
    #[must_use]
    pub fn text(self, media_type: &'static str) -> Self {
        self.answers_with(200, Content::Text(media_type))
    }

    /// It answers 200 with a table as CSV too, for whoever prefers that. The handler takes a [`crate::schema::content_negotiation::Form`], and
    /// the table's [`Dialect`] from the query.
    #[must_use]
    pub fn or_csv(self) -> Self {
        self.query::<bool>(
            Dialect::BOM,
            "Whether a CSV table begins with a byte order mark, without which Excel does not read UTF-8; false if left \
             out.",
        )
        .query::<Separator>(
            Dialect::SEPARATOR,
            "What stands between the cells of a CSV table: a comma if left out.",
        )
        .codes(&[Code::NotAcceptable])
        .answers_with(200, Content::Text(crate::schema::content_negotiation::CSV))
    }

    fn answers_with(mut self, status: u16, content: Content) -> Self {
        self.answers.push((status, content));
        self
    }

    /// Names the errors that are its own.
    #[must_use]
    pub fn codes(mut self, codes: &[Code]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }

    /// It takes a secret that could be guessed: it counts against [`crate::http::limits`]'s tighter limit of the address.
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// Its credential is a signature of the body, which the handler reads with [`crate::schema::body::Raw`] and checks: a call
    /// counts against its address only when it was refused.
    #[must_use]
    pub fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// It honours `Idempotency-Key`.
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

/// All endpoints. One for the process; every worker shares it.
#[derive(Debug)]
pub struct Table {
    groups: Vec<(Tag, Vec<Endpoint>)>,
}

/// A bug in the table of endpoints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTable {
    /// Another endpoint has its method and path.
    #[error("{0} is declared twice")]
    Twice(String),
    /// Its path is outside of [`BASE`].
    #[error("{0} is not below {BASE}")]
    Elsewhere(String),
    /// Another endpoint has its operation id.
    #[error("the operation id {id} of {endpoint} is taken")]
    TakenId {
        /// The endpoint.
        endpoint: String,
        /// The operation id.
        id: &'static str,
    },
    /// Its operation id is not in camel case.
    #[error(
        "the operation id {id} of {endpoint} must be a verb and a noun in camel case, such as createPurchase"
    )]
    BadId {
        /// The endpoint.
        endpoint: String,
        /// The operation id.
        id: &'static str,
    },
    /// A parameter of its path is called `id`.
    #[error("the parameter of {0} must be called what bodies call it, such as customer_id")]
    NamelessId(String),
}

impl Table {
    /// Checks the endpoints of each tag.
    ///
    /// # Errors
    /// See [`BadTable`].
    pub fn new(groups: impl IntoIterator<Item = (Tag, Vec<Endpoint>)>) -> Result<Self, BadTable> {
        let table = Self {
            groups: groups.into_iter().collect(),
        };
        let (mut routes, mut ids) = (HashSet::new(), HashSet::new());
        for endpoint in table.endpoints() {
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
        Ok(table)
    }

    /// All of them, in the order of their declaration.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.tagged().map(|(_, endpoint)| endpoint)
    }

    /// All of them with their tags, in the order of their declaration.
    pub fn tagged(&self) -> impl Iterator<Item = (Tag, &Endpoint)> {
        self.groups
            .iter()
            .flat_map(|(tag, endpoints)| endpoints.iter().map(|endpoint| (*tag, endpoint)))
    }
}

impl Endpoint {
    /// Its method and path.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// What can be told of one endpoint alone.
    fn check(&self) -> Result<(), BadTable> {
        let below_base = self.path.strip_prefix(BASE);
        if !below_base.is_some_and(|rest| rest.starts_with('/')) {
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
    /// The route to its handler, with nothing before it.
    #[must_use]
    pub fn route(&self) -> Route {
        (self.route)()
    }
}
