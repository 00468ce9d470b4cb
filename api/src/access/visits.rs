//! The access check of pages and actions: the session of the cookie decides, and `Authorization` is not read.
//!
//! It checks, in this order:
//!
//! 1. for an action, that a page of this site sent it;
//! 2. the business that the path names by its slug;
//! 3. the session, which belongs to that business;
//! 4. the rate limit of the session, or of the address without one;
//! 5. the role.
//!
//! Without a session, a page leads to the login, and from there back. The app's data must also contain [`Site`] and
//! [`SessionCache`].

use std::sync::Arc;

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{LOCATION, REFERER};
use actix_web::{HttpMessage, HttpResponse};
use domain::identity::businesses::Business;
use domain::{BusinessCache, Database, RevocationCache, Session, SessionCache};

use crate::access::callers::{OfLogin, Visit, Visitor};
use crate::access::parts::{caller_of, data, failed, forbidden};
use crate::http::limits::Limits;
use crate::http::log;
use crate::http::site::Site;
use crate::schema::endpoint::{Endpoint, Kind, SHOP, Who, area};
use crate::schema::next::Next;
use crate::schema::problem::{Code, Problem};
use crate::schema::text::{FromText, Slug};

/// The parameter of paths that names the business.
const BUSINESS: &str = "business";

/// Stores the visit and the caller in the request's extensions, or returns the reason for the rejection.
pub(super) async fn admit(req: &ServiceRequest, endpoint: &Endpoint) -> Result<(), Problem> {
    let limits = data::<Limits>(req)?;
    if matches!(endpoint.kind, Kind::Action(_)) && !data::<Site>(req)?.sent(req.headers()) {
        limits.of_address(req)?;
        return Err(Problem::new(
            Code::Forbidden,
            "The form was not sent by a page of this site.",
        ));
    }
    let Some(slug) = req.match_info().get(BUSINESS) else {
        return limits.of_address(req);
    };
    let business = business(req, slug).await?;
    let session = session(req, &business).await?;
    log::name_business(req, business.id);
    match &session {
        _ if endpoint.guarded => limits.of_guesses(req)?,
        Some(session) => limits.of_credential(Some(business.id), session.user_id)?,
        None => limits.of_address(req)?,
    }
    let caller = session
        .as_ref()
        .map(|session| caller_of(req, &business, session.user_id, session.authority));
    if let (Some(caller), Some(session)) = (&caller, &session) {
        let mut extensions = req.extensions_mut();
        extensions.insert(caller.clone());
        extensions.insert(OfLogin(session.id.0));
    }
    match (endpoint.who, &session) {
        (Who::Public | Who::PublicOf, _) => {}
        (Who::Any | Who::Roles(_), None) => {
            return Err(Problem::new(
                Code::Unauthenticated,
                "This page is for those who are logged in.",
            ));
        }
        (Who::Any, Some(_)) => {}
        (Who::Roles(roles), Some(session)) if roles.contains(&session.authority.role()) => {}
        (Who::Roles(_) | Who::Platform | Who::Local, _) => return Err(forbidden()),
    }
    let mut extensions = req.extensions_mut();
    extensions.insert(Visitor {
        business_id: business.id,
        currency: business.currency,
        caller: caller.clone(),
    });
    extensions.insert(Visit {
        business,
        session,
        caller,
    });
    Ok(())
}

/// The business with this slug. An id is no slug: a page has one address.
async fn business(req: &ServiceRequest, slug: &str) -> Result<Arc<Business>, Problem> {
    let found = match Slug::from_text(slug) {
        Ok(Slug(slug)) => data::<BusinessCache>(req)?
            .by_name(data::<Database>(req)?, &slug)
            .await
            .map_err(failed)?
            .filter(|business| business.slug == slug),
        Err(_no_slug) => None,
    };
    match found {
        Some(business) => Ok(business),
        None => {
            data::<Limits>(req)?.of_address(req)?;
            Err(Problem::new(Code::NotFound, "There is no such business."))
        }
    }
}

/// The open session of this business in the request's cookie.
async fn session(
    req: &ServiceRequest,
    business: &Business,
) -> Result<Option<Arc<Session>>, Problem> {
    let name = data::<Site>(req)?.session_cookie(&business.slug);
    let Some(cookie) = req.cookie(&name) else {
        return Ok(None);
    };
    let (database, revocations) = (data::<Database>(req)?, data::<RevocationCache>(req)?);
    data::<SessionCache>(req)?
        .find(database, revocations, business.id, cookie.value())
        .await
        .map_err(failed)
}

/// The response to a request that needs a session: it leads to the login, and from there back. `None` if the path names
/// no business.
pub(super) fn to_login(req: &ServiceRequest) -> Option<HttpResponse> {
    let slug = req.match_info().get(BUSINESS)?;
    let back = match *req.method() {
        Method::GET => req.uri().path_and_query().map(|target| target.to_string()),
        // The page with the form.
        _ => referring(req),
    };
    let area = area(req.path()).unwrap_or(SHOP);
    let next = back.and_then(|back| Next::of(&back, area, slug));
    let query = next.map_or_else(String::new, |next| format!("?{}", next.query()));
    let location = format!("{area}/{slug}/login{query}");
    Some(
        HttpResponse::SeeOther()
            .insert_header((LOCATION, location))
            .finish(),
    )
}

/// Path and query of the page with the form that was sent.
fn referring(req: &ServiceRequest) -> Option<String> {
    let page = req.headers().get(REFERER)?.to_str().ok()?;
    let (_, rest) = page.split_once("://")?;
    rest.find('/').map(|start| rest[start..].to_owned())
}

/// The response to a rejected request: the login, if that can help, otherwise the problem, of which the outermost layer
/// makes a page.
pub(super) fn refused(req: ServiceRequest, problem: Problem) -> ServiceResponse {
    let login = match problem.code() {
        Code::Unauthenticated => to_login(&req),
        _ => None,
    };
    match login {
        Some(login) => req.into_response(login),
        None => req.error_response(problem),
    }
}
