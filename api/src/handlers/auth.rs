//! `/api/auth`: login, registration, refresh and logout, and the caller's own profile.

use std::sync::Arc;

use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::Utc;
use domain::foundation::new_password::NewPassword;
use domain::identity::businesses::Business;
use domain::identity::login::{self, Attempt, Grant, Login};
use domain::identity::users::Registration;
use domain::identity::{refresh, users};
use entity::users::Role;
use entity::{Currency, CustomerId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::businesses::BusinessView;
use super::users::UserView;
use crate::access::Authenticated;
use crate::access::token::Claims;
use crate::http::limits::Try;
use crate::http::request::RequestId;
use crate::schema::body::Json;
use crate::schema::endpoint::Endpoint;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::Response;
use crate::schema::text::{Email, FromText, Secret, Text};
use crate::state::State;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("register", "/api/auth/register", register)
            .summary(
                "Register as a customer of a business, without credit; a repeated registration gets 409 already_exists",
            )
            .public()
            .guarded()
            .body::<RegisterRequest>()
            .created::<UserView>()
            .codes(&[Code::NotFound, Code::AlreadyExists]),
        Endpoint::post("login", "/api/auth/login", login)
            .summary("Exchange a password for tokens")
            .public()
            .guarded()
            .body::<LoginRequest>()
            .ok::<TokenView>()
            .codes(&[Code::InvalidCredentials]),
        Endpoint::post("refreshTokens", "/api/auth/refresh", refresh)
            .summary(
                "Exchange a refresh token for new tokens; a token that is used twice revokes its login with all its tokens",
            )
            .public()
            .guarded()
            .body::<RefreshRequest>()
            .ok::<TokenView>()
            .codes(&[Code::InvalidCredentials]),
        Endpoint::post("logout", "/api/auth/logout", logout)
            .summary(
                "End the login of a refresh token; access tokens stay valid until they expire",
            )
            .for_any_role()
            .body::<LogoutRequest>()
            .no_content(),
        Endpoint::get("getCaller", "/api/auth/me", me)
            .summary("Read the caller's identity")
            .for_any_role()
            .ok::<CallerView>(),
    ]
}

crate::body! {
    /// A self-registration. The new user has the role `customer`.
    #[example({"business": "acme", "name": "Ada Lovelace"})]
    pub(crate) struct RegisterRequest {
        /// The slug or id of the business.
        business: Text<1, 64>,
        /// The email address to log in with. Case is ignored.
        email: Email,
        /// The password to log in with: 8 to 128 characters that are not easily guessed.
        password: NewPassword,
        /// The name, also used on documents.
        name: Text<1, 200>,
    }
}

/// A password as typed: 512 characters are at most four for each of the 128 that remain after normalization.
pub(super) type TypedPassword = Secret<1, 512>;

crate::body! {
    /// A login.
    #[example({"business": "acme", "email": "admin@example.com", "password": "admin123"})]
    pub(crate) struct LoginRequest {
        /// The slug or id of the business.
        business: Text<1, 64>,
        /// The user's email address. Case is ignored.
        email: Text<1, 254>,
        /// The user's password.
        password: TypedPassword,
    }
}

crate::body! {
    /// The renewal of a login.
    #[example({"refresh_token": "tl_refresh_3q2-7w"})]
    pub(super) struct RefreshRequest {
        /// The refresh token of the login or of its last renewal. It is valid once.
        refresh_token: Secret<1, 256>,
    }
}

crate::body! {
    /// The end of a login.
    #[example({"refresh_token": "tl_refresh_3q2-7w"})]
    pub(super) struct LogoutRequest {
        /// A refresh token of the login.
        refresh_token: Secret<1, 256>,
    }
}

/// The tokens of a login.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "access_token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "token_type": "Bearer", "expires_in": 900,
    "refresh_token": "tl_refresh_3q2-7w",
}))]
pub(super) struct TokenView {
    /// The value for the header `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// The lifetime of the access token in seconds.
    expires_in: u32,
    /// The token that renews the login. It is valid once.
    refresh_token: String,
}

/// The caller's own profile.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"email": "grace@example.com", "name": "Grace Hopper", "role": "staff"}))]
pub(super) struct CallerView {
    user_id: UserId,
    role: Role,
    /// Null for the token of a script.
    email: Option<String>,
    /// Null for the token of a script.
    name: Option<String>,
    /// The customer for whom the caller acts, for the role `customer`.
    customer_id: Option<CustomerId>,
    business: BusinessView,
}

/// Errors before authentication contain no amounts, so the currency has no effect.
pub(super) fn problem(error: domain::Error) -> Problem {
    Problem::of(error, Currency::USD)
}

async fn register(
    state: Data<State>,
    req: HttpRequest,
    request_id: RequestId,
    request: Json<RegisterRequest>,
) -> Response {
    let user = register_user(&state, &req, request_id, request.body).await?;
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, "/api/auth/me"))
        .json(UserView::of(user, None)))
}

/// Registers a user, after the attempt was counted.
pub(crate) async fn register_user(
    state: &State,
    req: &HttpRequest,
    request_id: RequestId,
    body: RegisterRequest,
) -> Result<entity::users::Model, Problem> {
    let email = body.email.into_string();
    let named = body.business.0;
    let business = count_try(state, req, Try::Registration, &named, &email).await?;
    let business =
        business.ok_or_else(|| Problem::new(Code::NotFound, "There is no such business."))?;
    let registration = Registration {
        email,
        name: body.name.0,
        password: body.password,
        request_id: request_id.0,
    };
    users::register(&state.database, &state.passwords, &business, registration)
        .await
        .map_err(problem)
}

/// Counts an attempt on this account. Returns the business with this slug or id.
pub(super) async fn count_try(
    state: &State,
    req: &HttpRequest,
    what: Try,
    named: &str,
    email: &str,
) -> Result<Option<Arc<Business>>, Problem> {
    let found = state.businesses.by_name(&state.database, named);
    let found = found.await.map_err(problem)?;
    let business = found.as_ref().map(|business| business.id).ok_or(named);
    state.limits.of_account(req, what, business, email)?;
    Ok(found)
}

async fn login(
    state: Data<State>,
    req: HttpRequest,
    request_id: RequestId,
    request: Json<LoginRequest>,
) -> Response {
    let grant = Grant::RefreshToken(state.refresh_token_life);
    granted(
        &state,
        log_in(&state, &req, request_id, (request.body, grant)).await?,
    )
}

/// Logs a user in, after the attempt was counted.
pub(crate) async fn log_in(
    state: &State,
    req: &HttpRequest,
    request_id: RequestId,
    (body, grant): (LoginRequest, Grant<'_>),
) -> Result<Login, Problem> {
    let LoginRequest {
        business,
        email,
        password,
    } = body;
    let account = domain::foundation::email::lookup_form(&email.0);
    count_try(state, req, Try::Login, &business.0, &account).await?;
    let attempt = Attempt {
        business: business.0,
        audit_email: Email::from_text(&email.0).is_ok().then(|| email.0.clone()),
        email: email.0,
        password: password.0,
        request_id: request_id.0,
    };
    login::log_in(
        &state.database,
        &state.businesses,
        &state.passwords,
        &attempt,
        grant,
    )
    .await
    .map_err(problem)
}

async fn refresh(
    state: Data<State>,
    request_id: RequestId,
    request: Json<RefreshRequest>,
) -> Response {
    let login = refresh::refresh(
        &state.database,
        &state.businesses,
        &request.body.refresh_token.0,
        &request_id.0,
        state.refresh_token_life,
    )
    .await
    .map_err(problem)?;
    granted(&state, login)
}

/// The response with the tokens of a login.
fn granted(state: &State, login: Login) -> Response {
    let issued_at = Utc::now().timestamp();
    let claims = Claims {
        user_id: login.user.id,
        business_id: login.business.id,
        authority: login.authority,
        version: Some(login.user.version),
        login: Some(login.login),
        issued_at,
        expires_at: issued_at + i64::from(state.token_seconds),
    };
    let access_token = state.keys.sign(&claims).map_err(|error| {
        tracing::error!(%error, "a token cannot be signed");
        Problem::internal()
    })?;
    Ok(HttpResponse::Ok().json(TokenView {
        access_token,
        token_type: "Bearer",
        expires_in: state.token_seconds,
        refresh_token: login.token.reveal().to_owned(),
    }))
}

async fn logout(
    state: Data<State>,
    caller: Authenticated,
    request: Json<LogoutRequest>,
) -> Response {
    let token = &request.body.refresh_token.0;
    caller.answer(refresh::log_out(&state.database, &caller, token).await)
}

async fn me(state: Data<State>, caller: Authenticated) -> Response {
    let profile = login::profile(&state.database, &caller)
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
