//! The input of every handler of a page: the state, the request, and the visit with its business and session.

use std::future::{Ready, ready};

use actix_web::body::BoxBody;
use actix_web::cookie::Cookie;
use actix_web::cookie::time::Duration;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use domain::{Caller, Outcome};
use entity::CustomerId;
use pages::{Business, Layout, Notice, Template};
use uuid::Uuid;

use crate::access::{Permissions, Visit, Visitor};
use crate::http::entity_tag::KnownTags;
use crate::http::request::RequestId;
use crate::pages::cart::Cart;
use crate::schema::endpoint::{SHOP, area};
use crate::schema::form::Form;
use crate::schema::problem::Problem;
use crate::schema::response::{Answer, Response};
use crate::state::State;

const HTML: &str = "text/html; charset=utf-8";

/// The time for which a notice waits for the page that shows it.
const NOTICE_LIFE: Duration = Duration::minutes(1);

/// A visit, with what its handler needs to answer.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) state: Data<State>,
    permissions: Data<Permissions>,
    pub(super) req: HttpRequest,
    pub(super) visit: Visit,
    pub(super) visitor: Visitor,
}

impl FromRequest for Here {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visit = Visit::from_request(req, payload).into_inner();
        let visitor = Visitor::from_request(req, payload).into_inner();
        let here = || {
            Ok(Self {
                state: data::<State>(req)?,
                permissions: data::<Permissions>(req)?,
                req: req.clone(),
                visit: visit?,
                visitor: visitor?,
            })
        };
        ready(here())
    }
}

fn data<T: 'static>(req: &HttpRequest) -> Result<Data<T>, Problem> {
    req.app_data::<Data<T>>().cloned().ok_or_else(|| {
        tracing::error!(of = std::any::type_name::<T>(), "the app lacks data");
        Problem::internal()
    })
}

impl Here {
    /// The slug of the business.
    pub(super) fn slug(&self) -> &str {
        &self.visit.business.slug
    }

    /// The customer for whom the visitor acts; `None` before the login, and for staff.
    pub(super) fn confined_to(&self) -> Option<CustomerId> {
        self.visit.caller.as_ref().and_then(Caller::confined_to)
    }

    /// The caller of a page that not everyone may read.
    ///
    /// # Errors
    /// The endpoint accepts visitors without a session, which is a bug.
    pub(super) fn caller(&self) -> Result<&Caller, Problem> {
        self.visit.caller.as_ref().ok_or_else(|| {
            tracing::error!("the page of a caller was read without one");
            Problem::internal()
        })
    }

    /// Converts a domain error to a problem for this visitor.
    pub(super) fn problem(&self, error: domain::Error) -> Problem {
        self.visitor.problem(error)
    }

    /// The request's id.
    pub(super) fn request_id(&self) -> RequestId {
        let id = self.req.extensions().get::<RequestId>().cloned();
        id.unwrap_or_else(|| RequestId(String::new()))
    }

    /// The prefix of the page's area: the store, or the back office.
    pub(super) fn area(&self) -> &'static str {
        area(self.req.path()).unwrap_or(SHOP)
    }

    /// The address of the area, or of a page in it: `path("/cart")` is `/shop/acme/cart`.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("{}/{}{rest}", self.area(), self.slug())
    }

    /// Whether the visitor may use the operation with this id. Pages do not offer what would be refused.
    pub(super) fn may(&self, operation_id: &str) -> bool {
        let role = self
            .visit
            .caller
            .as_ref()
            .map(|caller| caller.authority.role());
        role.is_some_and(|role| self.permissions.allow(role, operation_id))
    }

    /// The cart of the browser.
    pub(super) fn cart(&self) -> Cart {
        Cart::of(&self.req, &self.state.site, self.slug())
    }

    /// The frame of a page.
    ///
    /// # Errors
    /// The business cannot be read.
    pub(super) async fn layout(&self) -> Result<Layout, Problem> {
        Ok(Layout {
            business: self.business().await?,
            user: self.user_name(),
            is_customer: self.confined_to().is_some(),
            cart_count: self.cart().lines().len(),
            search: String::new(),
            path: self.address(),
            notice: self.notice(),
            request_id: self.request_id().0,
        })
    }

    /// The business of the page.
    ///
    /// # Errors
    /// The business cannot be read.
    pub(super) async fn business(&self) -> Result<Business, Problem> {
        let (catalogue, database) = (&self.state.catalogue, &self.state.database);
        let business = catalogue.business(database, self.visit.business.id).await;
        let business = business.map_err(|error| self.problem(error))?;
        Ok(Business {
            slug: business.slug.clone(),
            name: business.name.clone(),
            currency: business.currency,
            time_zone: business.time_zone,
        })
    }

    /// The name of the signed-in user.
    pub(super) fn user_name(&self) -> Option<String> {
        let session = self.visit.session.as_ref();
        session.map(|session| session.user_name.clone())
    }

    /// The path and query of the page.
    pub(super) fn address(&self) -> String {
        let target = self.req.uri().path_and_query();
        target.map_or_else(String::new, ToString::to_string)
    }

    /// A page.
    ///
    /// # Errors
    /// The template cannot be rendered, which is a bug.
    pub(super) fn page(&self, page: &impl Template) -> Response {
        let mut response = HttpResponse::Ok();
        response.insert_header((CONTENT_TYPE, HTML));
        if self.notice().is_some() {
            response.cookie(self.state.site.removal(self.notice_name()));
        }
        Ok(response.body(rendered(page)?))
    }

    /// A page that a browser may keep, and asks for again by its tag.
    ///
    /// # Errors
    /// The template cannot be rendered, which is a bug.
    pub(super) fn tagged_page(&self, page: &impl Template) -> Response {
        if self.notice().is_some() {
            return self.page(page);
        }
        Ok(KnownTags::of(&self.req).answer(HTML, rendered(page)?))
    }

    /// The same page again, with the status of the problem that it shows.
    ///
    /// # Errors
    /// The template cannot be rendered, which is a bug.
    pub(super) fn refused(&self, problem: Problem, page: &impl Template) -> Response {
        let body = rendered(page)?;
        // The problem stays in the response, for the log.
        let mut response = HttpResponse::from_error(problem);
        let headers = response.headers_mut();
        // Browsers would ask for a password of their own.
        headers.remove(WWW_AUTHENTICATE);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
        Ok(response.set_body(BoxBody::new(body)))
    }

    /// The way to a page of the store after a form, with a notice.
    pub(super) fn see(&self, target: &str, notice: Option<Notice>) -> HttpResponse {
        let mut response = HttpResponse::SeeOther();
        response.insert_header((LOCATION, target));
        if let Some(notice) = notice {
            response.cookie(self.note(notice));
        }
        response.finish()
    }

    /// As [`Here::see`], with a cookie.
    pub(super) fn see_with(
        &self,
        target: &str,
        notice: Option<Notice>,
        cookie: Cookie<'static>,
    ) -> HttpResponse {
        let mut response = HttpResponse::SeeOther();
        response.insert_header((LOCATION, target)).cookie(cookie);
        if let Some(notice) = notice {
            response.cookie(self.note(notice));
        }
        response.finish()
    }

    /// The way to what a write has changed, now or originally: its stored response leads there.
    ///
    /// # Errors
    /// The stored response cannot be read, which is a bug.
    pub(super) fn see_outcome<T>(
        &self,
        outcome: Outcome<T>,
        notice: Notice,
        cookie: Option<Cookie<'static>>,
    ) -> Response {
        let mut response = outcome.into_response()?;
        for cookie in cookie.into_iter().chain([self.note(notice)]) {
            response.add_cookie(&cookie).map_err(|error| {
                tracing::error!(%error, "a cookie cannot be sent");
                Problem::internal()
            })?;
        }
        Ok(response)
    }

    /// The notice that the last response left.
    pub(super) fn notice(&self) -> Option<Notice> {
        let cookie = self.req.cookie(&self.notice_name())?;
        Notice::from_code(cookie.value())
    }

    fn note(&self, notice: Notice) -> Cookie<'static> {
        let site = &self.state.site;
        let mut cookie = site.cookie(self.notice_name(), notice.code().to_owned());
        cookie.set_max_age(NOTICE_LIFE);
        cookie
    }

    fn notice_name(&self) -> String {
        self.state.site.notice_cookie(self.slug())
    }
}

fn rendered(page: &impl Template) -> Result<String, Problem> {
    page.render().map_err(|error| {
        tracing::error!(%error, "a page cannot be rendered");
        Problem::internal()
    })
}

/// A form that was not sent yet, with a new key.
pub(super) fn fresh() -> pages::Form {
    pages::Form::new(Uuid::now_v7().to_string())
}

/// The form as it was sent, with what is wrong with it. `secrets` are fields that are never shown again.
pub(super) fn sent(form: &Form, problem: &Problem, secrets: &[&str]) -> pages::Form {
    let faults = problem.faults_by_field();
    let code = problem.code();
    let refusal = faults
        .is_empty()
        .then(|| pages::Refusal::of(code.text(), problem.detail()));
    pages::Form {
        values: form.texts_without(secrets),
        faults,
        refusal,
        // The next form is another request.
        ..fresh()
    }
}

/// Whether a problem is the visitor's to mend, so that the form is shown again. All others get the page of an error.
pub(super) fn is_about_form(problem: &Problem) -> bool {
    let status = problem.status_code();
    status == StatusCode::CONFLICT
        || status == StatusCode::UNPROCESSABLE_ENTITY
        || status == StatusCode::UNAUTHORIZED
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::GONE
}
