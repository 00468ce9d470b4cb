//! Passwords: changing one's own, and resetting a forgotten one with a code.

use actix_web::HttpRequest;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::foundation::email::lookup_form;
use domain::foundation::new_password::NewPassword;
use domain::identity::password_change::{self, PasswordChange};
use domain::identity::password_resets::{self, CreatedCode, ResetAttempt};
use domain::{Error, Outcome, StoredResponse, WriteRequest};
use entity::password_resets::Model;
use entity::users::Role;
use entity::{BusinessId, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::{TypedPassword, count_try, problem};
use crate::access::{Authenticated, OfLogin, Platform};
use crate::http::limits::Try;
use crate::http::request::RequestId;
use crate::schema::body::{Bare, Json, JsonOrEmpty};
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::{self, Answer, Response, done};
use crate::schema::text::{self, Email, FromText, Secret, Text};
use crate::state::State;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("changePassword", "/api/auth/password", change)
            .summary("Change the caller's own password; ends their other logins")
            .for_any_role()
            .body::<PasswordRequest>()
            .no_content()
            .codes(&[Code::InvalidCredentials, Code::NoPassword]),
        Endpoint::post("resetPassword", "/api/auth/password-reset", reset)
            .summary("Set a new password with a code; ends all logins of the user")
            .public()
            .guarded()
            .body::<ResetRequest>()
            .no_content()
            .codes(&[Code::InvalidCredentials]),
        Endpoint::post("createPasswordReset", "/api/users/{user_id}/password-reset", create)
            .summary(
                "Make a code with which the user sets a new password; it replaces an earlier one. This response alone \
                 has it: a replayed one has null instead",
            )
            .for_roles(&[Role::Admin])
            .ok::<ResetCodeView>()
            .codes(&[Code::NotFound, Code::UserDisabled])
            .idempotent(),
        Endpoint::post("createAdminReset", "/api/businesses/{business_id}/admin-reset", create_for_admin)
            .summary(
                "Make a code with which an admin of the business sets a new password, also if they are disabled. This \
                 response alone has it: a replayed one has null instead",
            )
            .for_platform()
            .optional_body::<AdminResetRequest>()
            .ok::<ResetCodeView>()
            .codes(&[Code::NotFound])
            .idempotent(),
    ]
}

crate::body! {
    /// A change of the caller's own password.
    #[example({"old": "correct horse", "new": "battery staple"})]
    pub(crate) struct PasswordRequest {
        /// The present password.
        old: TypedPassword,
        /// The new password: 8 to 128 characters that are not easily guessed.
        new: NewPassword,
    }
}

crate::body! {
    /// A new password with the code that an admin or the platform made.
    #[example({"business": "acme", "email": "grace@example.com", "code": "7ZK4M-0H2QX-9TB3W-R8E5N-1CVYD"})]
    pub(crate) struct ResetRequest {
        /// The slug or id of the business.
        business: Text<1, 64>,
        /// The user's email address. Case is ignored.
        email: Text<1, 254>,
        /// The code. Case, spaces and hyphens are ignored.
        code: Secret<1, 100>,
        /// The new password: 8 to 128 characters that are not easily guessed.
        new: NewPassword,
    }
}

crate::body! {
    /// The admin for whom a code is made.
    #[example({"email": "admin@example.com"})]
    pub(super) struct AdminResetRequest {
        /// The admin's email address. Required if the business has several enabled admins.
        email: Option<Text<1, 254>>,
    }
}

/// A code with which a user sets a new password.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"code": "7ZK4M-0H2QX-9TB3W-R8E5N-1CVYD"}))]
pub(super) struct ResetCodeView {
    user_id: UserId,
    /// The code for `POST /api/auth/password-reset`, valid for one use. Shown once: null when a retry gets the original
    /// response.
    code: Option<String>,
    /// When the code expires: an hour after it was made.
    #[serde(serialize_with = "text::time")]
    expires_at: DateTime<Utc>,
}

/// The fault of a new password belongs to the member `new`.
fn of_new(error: Error) -> Problem {
    match error {
        Error::WeakPassword(weak) => Problem::fault("/new", &weak.to_string()),
        error => problem(error),
    }
}

async fn change(
    state: Data<State>,
    req: HttpRequest,
    caller: Authenticated,
    login: Option<OfLogin>,
    request: Json<PasswordRequest>,
) -> Response {
    let login = login.map(|login| login.0);
    let write = caller.write(None, &no_content);
    change_own(&state, &req, &write, (request.body, login))
        .await?
        .into_response()
}

/// Changes the caller's password, after the attempt was counted. `login` goes on.
pub(crate) async fn change_own(
    state: &State,
    req: &HttpRequest,
    write: &WriteRequest<'_, ()>,
    (body, login): (PasswordRequest, Option<Uuid>),
) -> Result<Outcome<()>, Problem> {
    let PasswordRequest { old, new } = body;
    let user = password_change::user_of(&state.database, write.caller).await;
    let user = user.map_err(problem)?;
    // Guesses of the password are counted together with those at the login.
    let business = Ok(write.caller.business_id);
    state
        .limits
        .of_account(req, Try::Login, business, &user.email)?;
    let change = PasswordChange {
        user,
        login,
        old: old.0,
        new,
    };
    password_change::change(
        &state.database,
        &state.passwords,
        &state.revocation,
        write,
        &change,
    )
    .await
    .map_err(of_new)
}

async fn reset(
    state: Data<State>,
    req: HttpRequest,
    request_id: RequestId,
    request: Json<ResetRequest>,
) -> Response {
    let write = WriteRequest {
        caller: &(),
        key: None,
        render: &no_content,
    };
    reset_password(&state, (&req, request_id), &write, request.body)
        .await?
        .into_response()
}

/// Sets a new password with a code, after the attempt was counted.
pub(crate) async fn reset_password(
    state: &State,
    (req, request_id): (&HttpRequest, RequestId),
    write: &WriteRequest<'_, (), ()>,
    body: ResetRequest,
) -> Result<Outcome<()>, Problem> {
    let (business, email) = (body.business.0, body.email.0);
    let account = lookup_form(&email);
    count_try(state, req, Try::PasswordReset, &business, &account).await?;
    let attempt = ResetAttempt {
        business,
        audit_email: Email::from_text(&email).is_ok().then(|| email.clone()),
        email,
        code: body.code.0,
        new: body.new,
        request_id: request_id.0,
    };
    password_resets::reset(
        &state.database,
        &state.businesses,
        &state.passwords,
        &state.revocation,
        (write, &attempt),
    )
    .await
    .map_err(of_new)
}

fn no_content((): &()) -> StoredResponse {
    response::no_content()
}

async fn create(
    state: Data<State>,
    caller: Authenticated,
    id: Id<UserId>,
    request: Bare,
) -> Response {
    let render = |row: &Model| shown(row, None);
    let write = caller.write(request.key.as_ref(), &render);
    let created = password_resets::create(&state.database, &write, id.0).await;
    caller.answer(created.map(with_code))
}

async fn create_for_admin(
    state: Data<State>,
    platform: Platform,
    id: Id<BusinessId>,
    request: JsonOrEmpty<AdminResetRequest>,
) -> Response {
    let email = request.body.email.map(|email| email.0);
    let render = |row: &Model| shown(row, None);
    let write = WriteRequest {
        caller: &platform.0,
        key: request.key.as_ref(),
        render: &render,
    };
    let database = &state.database;
    let created = password_resets::create_for_admin(database, &write, id.0, email.as_deref());
    with_code(created.await.map_err(problem)?).into_response()
}

/// The stored response has no code in it; the response to the first request does.
fn with_code(outcome: Outcome<CreatedCode>) -> Outcome<CreatedCode> {
    match outcome {
        Outcome::Done { value, .. } => Outcome::Done {
            response: shown(&value.row, Some(&value.code)),
            value,
        },
        replayed @ Outcome::Replayed(_) => replayed,
    }
}

fn shown(row: &Model, code: Option<&domain::Secret>) -> StoredResponse {
    done(&ResetCodeView {
        user_id: row.user_id,
        code: code.map(|code| code.reveal().to_owned()),
        expires_at: row.expires_at,
    })
}
