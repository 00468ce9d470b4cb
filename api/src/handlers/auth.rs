//! `/api/auth`: from a password to a token, and who a token is.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use chrono::Utc;
use domain::auth;
use entity::users::Role;
use entity::{Currency, CustomerId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Response;
use super::businesses::BusinessView;
use crate::access::Signed;
use crate::body::Json;
use crate::endpoint::Endpoint;
use crate::problem::{Code, Problem};
use crate::service::State;
use crate::text::{Secret, Text};
use crate::token::Claims;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/api/auth/login", login)
            .summary("Exchange a password for a token")
            .public()
            .guarded()
            .body::<LoginRequest>()
            .ok::<TokenView>()
            .codes(&[Code::InvalidCredentials]),
        Endpoint::get("/api/auth/me", me)
            .summary("Say who the caller is")
            .for_any_role()
            .ok::<CallerView>(),
    ]
}

crate::body! {
    /// A login.
    pub(super) struct LoginRequest {
        /// The business's slug or id.
        business: Text<1, 64>,
        /// The user's address, in any case.
        email: Text<1, 254>,
        /// The user's password.
        password: Secret<1, 128>,
    }
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenView {
    /// Goes into the header `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// How long the token is good, in seconds.
    expires_in: u32,
}

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallerView {
    user_id: UserId,
    role: Role,
    /// Null when the token is a script's.
    email: Option<String>,
    /// Null when the token is a script's.
    name: Option<String>,
    /// The customer for whom the caller acts, if its role is `customer`.
    customer_id: Option<CustomerId>,
    business: BusinessView,
}

async fn login(state: Data<State>, request: Json<LoginRequest>) -> Response {
    let LoginRequest {
        business,
        email,
        password,
    } = request.body;
    state.limits.of_account(&business.0, &email.0)?;
    let found = state
        .passwords
        .log_in(
            &state.database,
            &state.directory,
            &business.0,
            &email.0,
            password.0,
        )
        .await
        // No amount can be in what a login is refused with.
        .map_err(|error| Problem::of(error, Currency::USD))?;
    let issued_at = Utc::now().timestamp();
    let claims = Claims {
        user_id: found.user.id,
        business_id: found.business.id,
        authority: found.authority,
        issued_at,
        expires_at: issued_at + i64::from(state.token_seconds),
    };
    let access_token = state.keys.sign(&claims).map_err(|error| {
        tracing::error!(%error, "a token cannot be signed");
        Problem::internal()
    })?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(TokenView {
            access_token,
            token_type: "Bearer",
            expires_in: state.token_seconds,
        }))
}

async fn me(state: Data<State>, caller: Signed) -> Response {
    let profile = auth::profile(&state.database, &caller)
        .await
        .map_err(|error| caller.problem(error))?;
    let (email, name) = profile.user.map(|user| (user.email, user.name)).unzip();
    Ok(HttpResponse::Ok().json(CallerView {
        user_id: caller.user_id,
        role: caller.authority.role(),
        email,
        name,
        customer_id: caller.confined_to(),
        business: profile.business.into(),
    }))
}
