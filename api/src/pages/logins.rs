//! The common parts of the logins of store and back office. The protections of the API's endpoints hold here too: the
//! limits per address and account, and the time that a wrong password takes.

use actix_web::HttpResponse;
use actix_web::http::header::USER_AGENT;
use domain::Secret;
use domain::identity::login::{Grant, Login};
use domain::identity::sessions;
use pages::Notice;

use crate::handlers::auth::{self, LoginRequest};
use crate::pages::here::Here;
use crate::schema::form::Form;
use crate::schema::next::{NEXT, Next};
use crate::schema::problem::Problem;
use crate::schema::query::Query;
use crate::schema::response::Response;

/// The member of the API's bodies that a page's path gives.
pub(super) const BUSINESS: &str = "business";
pub(super) const PASSWORD: &str = "password";

/// The page after a login: the one from which the visitor came, or the first one.
pub(super) fn next_of(here: &Here, text: Option<&str>) -> String {
    let next = text.and_then(|text| Next::of(text, here.area(), here.slug()));
    next.map_or_else(|| here.path(""), |next| next.target().to_owned())
}

/// The page from which the visitor came, by the address of the login.
pub(super) fn next_in_address(here: &Here) -> String {
    let text = Query::of(here.req.query_string()).take_text(NEXT);
    next_of(here, text.as_deref())
}

/// Opens a session with the form's address and password. Its token is the value of the cookie.
pub(super) async fn open(here: &Here, form: &Form) -> Result<Login, Problem> {
    let body = form.read::<LoginRequest>()?;
    let user_agent = user_agent(here);
    let grant = Grant::Session {
        user_agent: user_agent.as_deref(),
    };
    auth::log_in(&here.state, &here.req, here.request_id(), (body, grant)).await
}

/// The name that the browser gives itself.
pub(super) fn user_agent(here: &Here) -> Option<String> {
    let value = here.req.headers().get(USER_AGENT)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The way on, with the cookie of a session that was opened. The session of before ends: whoever logs in leaves it.
pub(super) async fn begin(here: &Here, next: &str, token: &Secret, notice: Notice) -> HttpResponse {
    if let (Some(session), Some(caller)) = (&here.visit.session, &here.visit.caller) {
        let state = &here.state;
        let ended = sessions::end(&state.database, &state.revocation, caller, session.id).await;
        if let Err(error) = ended {
            tracing::warn!(%error, "the session before a login has not ended");
        }
    }
    let site = &here.state.site;
    let cookie = site.cookie(site.session_cookie(here.slug()), token.reveal().to_owned());
    here.see_with(next, Some(notice), cookie)
}

/// Ends the session of the browser if it has one, and leads to this page. The second click of two finds none.
pub(super) async fn end(here: &Here, target: &str) -> Response {
    if let (Some(session), Some(caller)) = (&here.visit.session, &here.visit.caller) {
        let state = &here.state;
        let ended = sessions::end(&state.database, &state.revocation, caller, session.id).await;
        ended.map_err(|error| here.problem(error))?;
    }
    let site = &here.state.site;
    let removal = site.removal(site.session_cookie(here.slug()));
    Ok(here.see_with(target, Some(Notice::SignedOut), removal))
}
