//! The common parts of the access checks of programs and of browsers: the app's data, callers, and refusals.

use actix_web::dev::ServiceRequest;
use actix_web::{HttpMessage, web};
use domain::identity::businesses::Business;
use domain::{Authority, Caller};
use entity::{Currency, UserId};

use crate::http::log;
use crate::http::request::RequestId;
use crate::schema::problem::{Code, Problem};

pub(super) fn caller_of(
    req: &ServiceRequest,
    business: &Business,
    user_id: UserId,
    authority: Authority,
) -> Caller {
    log::name_business(req, business.id);
    Caller {
        business_id: business.id,
        currency: business.currency,
        user_id,
        authority,
        request_id: request_id(req),
    }
}

pub(super) fn request_id(req: &ServiceRequest) -> String {
    let id = req.extensions().get::<RequestId>().map(|id| id.0.clone());
    id.unwrap_or_default()
}

/// A failure before the business is known. The currency is arbitrary: no such problem contains an amount.
pub(super) fn failed(error: domain::Error) -> Problem {
    Problem::of(error, Currency::USD)
}

pub(super) fn data<T: 'static>(req: &ServiceRequest) -> Result<&web::Data<T>, Problem> {
    req.app_data::<web::Data<T>>().ok_or_else(|| {
        tracing::error!(of = std::any::type_name::<T>(), "the app lacks data");
        Problem::internal()
    })
}

pub(super) fn unauthenticated() -> Problem {
    Problem::new(
        Code::Unauthenticated,
        "A valid token or key is needed: Authorization: Bearer <token>.",
    )
}

pub(super) fn forbidden() -> Problem {
    Problem::new(Code::Forbidden, "The caller's role may not do this.")
}
