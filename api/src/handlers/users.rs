//! `/api/users`: logins of people, with their roles.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::foundation::new_password::NewPassword;
use domain::identity::suggested_customers::ListedUser;
use domain::identity::users::{self, NewUser, UserChange};
use domain::{Authority, Database, Paging};
use entity::users::Role;
use entity::{CustomerId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::body::{Json, Replace};
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, View, created};
use crate::schema::text::{self, Email, Text};
use crate::state::State;

const ADMIN: &[Role] = &[Role::Admin];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listUsers", "/api/users", list)
            .summary("List users in the order in which they were added")
            .for_roles(ADMIN)
            .paged()
            .ok::<Page<UserView>>(),
        Endpoint::post("createUser", "/api/users", create)
            .summary("Add a user")
            .for_roles(ADMIN)
            .body::<UserRequest>()
            .created::<UserView>()
            .codes(&[Code::AlreadyExists, Code::CustomerNotFound])
            .idempotent(),
        Endpoint::patch("updateUser", "/api/users/{user_id}", change)
            .summary(
                "Change a user, or disable them. A new role, a new customer or disabling revokes their tokens at once in \
                 the process that responds, within a second in others. A new email address ends all their logins",
            )
            .for_roles(ADMIN)
            .body::<UserPatch>()
            .ok::<UserView>()
            .codes(&[
                Code::NotFound,
                Code::AlreadyExists,
                Code::CustomerNotFound,
                Code::LastAdmin,
                Code::RoleCustomerMismatch,
            ]),
        Endpoint::delete("deleteUser", "/api/users/{user_id}", delete)
            .summary("Delete a user: address and name are replaced and all logins end; the id stays for the audit trail")
            .for_roles(ADMIN)
            .no_content()
            .codes(&[Code::NotFound, Code::LastAdmin]),
    ]
}

crate::body! {
    /// A new user.
    #[example({"name": "Grace Hopper", "role": "staff"})]
    pub(super) struct UserRequest {
        /// The email address to log in with. Case is ignored.
        email: Email,
        /// The display name.
        name: Text<1, 200>,
        /// The password to log in with: 8 to 128 characters that are not easily guessed.
        password: NewPassword,
        /// The role, which decides what the user may do.
        role: Role,
        /// The customer for whom the user acts. Required for the role `customer`, and allowed for no other.
        customer_id: Option<CustomerId>,
    }
}

crate::body! {
    /// Changes to a user. Members that are left out keep their value.
    #[example({"role": "staff"})]
    pub(super) struct UserPatch {
        /// The email address to log in with. Another address ends all logins of the user.
        email: Replace<Email>,
        /// The display name.
        name: Replace<Text<1, 200>>,
        /// The role, which decides what the user may do.
        role: Replace<Role>,
        /// The customer for whom the user acts. Required for the role `customer`, and allowed for no other.
        customer_id: Option<CustomerId>,
        /// Whether the user is disabled. Disabling revokes their tokens.
        disabled: Replace<bool>,
    }
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"email": "grace@example.com", "name": "Grace Hopper", "role": "staff"}))]
pub(super) struct UserView {
    id: UserId,
    email: String,
    name: String,
    role: Role,
    /// The customer for whom the user acts, for the role `customer`.
    customer_id: Option<CustomerId>,
    /// The customer that staff made with the address of this user, who registered themselves. Addresses are not proven:
    /// an admin who knows the user links them with `customer_id`. Null where there is none, and in responses to others.
    suggested_customer_id: Option<CustomerId>,
    /// Whether the user is disabled and cannot log in.
    disabled: bool,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "text::time")]
    updated_at: DateTime<Utc>,
}

impl UserView {
    pub(super) fn of(
        user: entity::users::Model,
        suggested_customer_id: Option<CustomerId>,
    ) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            role: user.role,
            customer_id: user.customer_id,
            suggested_customer_id,
            disabled: user.disabled_at.is_some(),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }

    fn of_listed(listed: ListedUser) -> Self {
        Self::of(listed.user, listed.suggested_customer_id)
    }
}

async fn list(lists: Listing, caller: Authenticated, query: Query) -> Response {
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<UserId>| {
        users::list(database, &caller, paging).await
    };
    lists
        .answer(query, currency, read, UserView::of_listed)
        .await
}

async fn create(state: Data<State>, caller: Authenticated, request: Json<UserRequest>) -> Response {
    let body = request.body;
    let new = NewUser {
        email: body.email.into_string(),
        name: body.name.0,
        password: body.password,
        authority: authority(body.role, body.customer_id)?,
    };
    let render = |user: &entity::users::Model| {
        let view = UserView::of(user.clone(), None);
        created(&format!("/api/users/{}", user.id), &view)
    };
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(users::create(&state.database, &state.passwords, &write, &new).await)
}

fn authority(role: Role, customer: Option<CustomerId>) -> Result<Authority, Problem> {
    match (role, customer) {
        (Role::Admin, None) => Ok(Authority::Admin),
        (Role::Staff, None) => Ok(Authority::Staff),
        (Role::Customer, Some(customer)) => Ok(Authority::Customer(customer)),
        (Role::Customer, None) => Err(Problem::fault(
            "/customer_id",
            "is required for the role customer",
        )),
        (Role::Admin | Role::Staff, Some(_)) => Err(Problem::fault(
            "/customer_id",
            "is for the role customer only",
        )),
    }
}

async fn change(
    state: Data<State>,
    caller: Authenticated,
    id: Id<UserId>,
    request: Json<UserPatch>,
) -> Response {
    let body = request.body;
    let change = UserChange {
        email: body.email.value().map(Email::into_string),
        name: body.name.value().map(|name| name.0),
        role: body.role.value(),
        customer_id: body.customer_id,
        disabled: body.disabled.value(),
    };
    let user = users::change(&state.database, &state.revocation, &caller, id.0, &change).await;
    caller.answer(user.map(|user| View(UserView::of_listed(user))))
}

async fn delete(state: Data<State>, caller: Authenticated, id: Id<UserId>) -> Response {
    let deleted = users::delete(
        &state.database,
        &state.passwords,
        &state.revocation,
        &caller,
        id.0,
    );
    caller.answer(deleted.await)
}
