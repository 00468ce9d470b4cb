//! The callers that handlers take. None of them exists without an access check.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use domain::identity::businesses::Business;
use domain::{Caller, IdempotencyKey, PlatformCaller, Session, StoredResponse, WriteRequest};
use entity::{BusinessId, Currency};
use uuid::Uuid;

use crate::access::parts::unauthenticated;
use crate::schema::problem::Problem;
use crate::schema::response::Answer;

/// The caller of an endpoint that is not public.
#[derive(Debug, Clone)]
pub struct Authenticated(pub Caller);

impl Authenticated {
    /// Converts a domain error to a problem for this caller: `.map_err(|error| caller.problem(error))?`.
    #[must_use]
    pub fn problem(&self, error: domain::Error) -> Problem {
        Problem::of(error, self.currency)
    }

    /// The response to what the domain has answered.
    ///
    /// # Errors
    /// The problem that a domain error is to this caller.
    pub fn answer(
        &self,
        answer: Result<impl Answer, domain::Error>,
    ) -> Result<HttpResponse, Problem> {
        answer.map_err(|error| self.problem(error))?.into_response()
    }

    /// A write in this caller's name.
    pub fn write<'a, T>(
        &'a self,
        key: Option<&'a IdempotencyKey>,
        render: &'a (dyn Fn(&T) -> StoredResponse + Sync),
    ) -> WriteRequest<'a, T> {
        WriteRequest {
            caller: self,
            key,
            render,
        }
    }
}

impl Deref for Authenticated {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(extension::<Caller>(req).map(Self))
    }
}

/// The login of the request's access token, or its session. A handler takes an `Option` of it: not every credential
/// comes from a login.
#[derive(Debug, Clone, Copy)]
pub struct OfLogin(pub Uuid);

impl FromRequest for OfLogin {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let login = req.extensions().get::<Self>().copied();
        ready(login.ok_or_else(unauthenticated))
    }
}

/// The caller of a platform endpoint. It has no business, so it cannot be confused with an [`Authenticated`] caller.
#[derive(Debug, Clone)]
pub struct Platform(pub PlatformCaller);

impl FromRequest for Platform {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(extension::<PlatformCaller>(req).map(Self))
    }
}

/// The caller of an endpoint that is public within a business.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The caller's business, or the one that the query names.
    pub business_id: BusinessId,
    /// The currency of the business.
    pub currency: Currency,
    /// `None` without credentials.
    pub caller: Option<Caller>,
}

impl Visitor {
    /// Converts a domain error to a problem for this visitor.
    #[must_use]
    pub fn problem(&self, error: domain::Error) -> Problem {
        Problem::of(error, self.currency)
    }

    /// The response to what the domain has answered.
    ///
    /// # Errors
    /// The problem that a domain error is to this visitor.
    pub fn answer(
        &self,
        answer: Result<impl Answer, domain::Error>,
    ) -> Result<HttpResponse, Problem> {
        answer.map_err(|error| self.problem(error))?.into_response()
    }
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(extension::<Self>(req))
    }
}

/// A browser at a page of a business.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The business that the path names.
    pub business: Arc<Business>,
    /// The session of the browser; `None` before the login.
    pub session: Option<Arc<Session>>,
    /// The caller; `None` without a session.
    pub caller: Option<Caller>,
}

impl FromRequest for Visit {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(extension::<Self>(req))
    }
}

/// Reads what [`crate::access::check`] has stored in the request. An extractor that the endpoint's declaration does not
/// allow is a bug.
fn extension<T: Clone + 'static>(req: &HttpRequest) -> Result<T, Problem> {
    req.extensions().get::<T>().cloned().ok_or_else(|| {
        tracing::error!(
            of = std::any::type_name::<T>(),
            "the access check has stored no such value"
        );
        Problem::internal()
    })
}
