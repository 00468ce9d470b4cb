//! Users: logins of a business and their roles.
//!
//! A change that must invalidate earlier tokens increments the user's version, which [`crate::RevocationCache`]
//! compares. Locks users by id. A change locks all enabled admins together with the user, so that two admins who demote
//! each other concurrently cannot both succeed.

use entity::users::{self, PasswordHash, Role};
use entity::{BusinessId, CustomerId, Tenant, UserId, customers};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, IntoActiveModel, QueryFilter,
};
use serde_json::{Value, json};

use crate::audit::{self, Action, Actor, Change};
use crate::foundation::locks;
use crate::foundation::new_password::NewPassword;
use crate::foundation::retry::retry;
use crate::identity::businesses::{self, Business};
use crate::identity::customers::{CreditTerms, CustomerDetails, NewCustomer};
use crate::identity::passwords::Passwords;
use crate::identity::suggested_customers::{ListedUser, suggest};
use crate::identity::{access_tokens, refresh_tokens, reset_codes, session_rows};
use crate::{
    Authority, Caller, Database, Error, Outcome, Page, Paging, RevocationCache, Transaction,
    WriteRequest,
};

/// Input of a new user.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The email address to log in with, in lower case.
    pub email: String,
    /// The display name.
    pub name: String,
    /// The password to log in with.
    pub password: NewPassword,
    /// The permissions of the user.
    pub authority: Authority,
}

/// Changes to a user. `None` keeps a value.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// The email address to log in with, in lower case. Another address ends all logins.
    pub email: Option<String>,
    /// The display name.
    pub name: Option<String>,
    /// The role.
    pub role: Option<Role>,
    /// The customer for whom the user acts, for the role `customer`.
    pub customer_id: Option<CustomerId>,
    /// Whether the user is disabled: they cannot log in, and their tokens are revoked.
    pub disabled: Option<bool>,
}

/// A self-registration. The role is always `customer`.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The email address to log in with, in lower case.
    pub email: String,
    /// The name of the user and of their customer record.
    pub name: String,
    /// The password to log in with.
    pub password: NewPassword,
    /// The request's id, for the audit entry.
    pub request_id: String,
}

/// Adds a user.
///
/// # Errors
/// [`Error::WeakPassword`]; [`Error::AlreadyExists`] for the address; [`Error::CustomerNotFound`];
/// [`Error::Overloaded`]; those of [`WriteRequest`].
pub async fn create(
    database: &Database,
    passwords: &Passwords,
    request: &WriteRequest<'_, users::Model>,
    new: &NewUser,
) -> Result<Outcome<users::Model>, Error> {
    let caller = request.caller;
    let known = known_about(database, caller.business_id, &new.email, &new.name).await?;
    let hash = passwords.hash(&new.password, known).await?;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            if let Authority::Customer(customer) = new.authority {
                expect_customer(transaction, caller.business_id, customer).await?;
            }
            let user = insert(transaction, caller.into(), UserId::new(), new, &hash).await?;
            write.finish(user).await
        })
        .await
}

/// Adds a user together with a customer record of their own, which has no credit.
///
/// # Errors
/// [`Error::WeakPassword`]; [`Error::AlreadyExists`] for the address; [`Error::Overloaded`].
pub async fn register(
    database: &Database,
    passwords: &Passwords,
    business: &Business,
    registration: Registration,
) -> Result<users::Model, Error> {
    let customer_id = CustomerId::new();
    let authority = Authority::Customer(customer_id);
    let caller = Caller {
        business_id: business.id,
        currency: business.currency,
        user_id: UserId::new(),
        authority,
        request_id: registration.request_id,
    };
    let customer = NewCustomer {
        name: registration.name.clone(),
        email: Some(registration.email.clone()),
        details: CustomerDetails::default(),
        credit: CreditTerms::default(),
        self_registered: true,
    };
    let user = NewUser {
        email: registration.email,
        name: registration.name,
        password: registration.password,
        authority,
    };
    let known = known_about(database, business.id, &user.email, &user.name).await?;
    let hash = passwords.hash(&user.password, known).await?;
    retry(|| async {
        let transaction = database.begin(business.id).await?;
        crate::identity::customers::insert(&transaction, &caller, customer_id, &customer).await?;
        let actor = Actor::from(&caller);
        let user = insert(&transaction, actor, caller.user_id, &user, &hash).await?;
        transaction.commit().await?;
        Ok(user)
    })
    .await
}

/// Texts that others know about a user, which a password must not be made of.
pub(super) async fn known_about(
    database: &Database,
    business: BusinessId,
    email: &str,
    name: &str,
) -> Result<Vec<String>, Error> {
    let business = retry(|| async {
        let transaction = database.begin_read(business).await?;
        let business = businesses::read(&transaction, business).await?;
        transaction.commit().await?;
        Ok(business)
    })
    .await?;
    Ok(vec![
        email.to_owned(),
        name.to_owned(),
        business.name,
        business.slug,
    ])
}

/// Inserts a user and writes the audit entry.
pub(crate) async fn insert(
    transaction: &Transaction,
    actor: Actor<'_>,
    id: UserId,
    new: &NewUser,
    hash: &PasswordHash,
) -> Result<users::Model, Error> {
    let customer_id = match new.authority {
        Authority::Customer(customer) => Some(customer),
        Authority::Admin | Authority::Staff => None,
    };
    let user = users::ActiveModel {
        business_id: Set(actor.business_id),
        id: Set(id),
        email: Set(new.email.clone()),
        name: Set(new.name.clone()),
        password_hash: Set(hash.clone()),
        role: Set(new.authority.role()),
        customer_id: Set(customer_id),
        ..Default::default()
    }
    .insert(transaction)
    .await?;
    let change = Change {
        action: Action::UserCreated,
        entity_type: "user",
        entity_id: id.0,
        before: None,
        after: audit_snapshot(&user),
    };
    audit::record_as(transaction, actor, change).await?;
    Ok(user)
}

/// Changes a user. If that invalidates their tokens, it takes effect at once in this process and within 1 s in others.
///
/// # Errors
/// [`Error::UserNotFound`]; [`Error::CustomerNotFound`]; [`Error::LastAdmin`]; [`Error::RoleCustomerMismatch`];
/// [`Error::AlreadyExists`] for the address.
pub async fn change(
    database: &Database,
    revocations: &RevocationCache,
    caller: &Caller,
    id: UserId,
    change: &UserChange,
) -> Result<ListedUser, Error> {
    let business = caller.business_id;
    let changed = retry(|| async {
        let transaction = database.begin(business).await?;
        let locked = lock_with_admins(&transaction, business, id).await?;
        let (user, others) = split_off(locked, id)?;
        if user.deleted_at.is_some() {
            return Err(Error::UserNotFound(id));
        }
        let next = decide(&user, &others, change)?;
        if let Some(customer) = next.customer_id {
            expect_customer(&transaction, business, customer).await?;
        }
        let user = write(&transaction, caller, user, next).await?;
        let listed = suggest(&transaction, business, vec![user]).await?;
        transaction.commit().await?;
        let listed = listed.into_iter().next();
        listed.ok_or_else(|| Error::Bug(format!("user {id} is lost")))
    })
    .await;
    // Also after an error: the commit may have succeeded with a lost response.
    revocations.forget(business);
    changed
}

/// The display name of deleted users.
const DELETED_NAME: &str = "Deleted user";

/// Deletes a user: replaces address, name and password, and ends all logins. The row stays, since the audit trail names
/// its id. A deleted user stays deleted. Takes effect at once in this process, and within 1 s in others.
///
/// # Errors
/// [`Error::UserNotFound`]; [`Error::LastAdmin`]; [`Error::Overloaded`].
pub async fn delete(
    database: &Database,
    passwords: &Passwords,
    revocations: &RevocationCache,
    caller: &Caller,
    id: UserId,
) -> Result<(), Error> {
    let business = caller.business_id;
    let hash = passwords.unusable().await?;
    let deleted = retry(|| async {
        let transaction = database.begin(business).await?;
        let locked = lock_with_admins(&transaction, business, id).await?;
        let (user, others) = split_off(locked, id)?;
        if user.deleted_at.is_some() {
            return Ok(());
        }
        if is_enabled_admin(&user) && others.is_empty() {
            return Err(Error::LastAdmin);
        }
        let (before, now) = (anonymous_snapshot(&user), chrono::Utc::now());
        let mut row = user.clone().into_active_model();
        // Not an address, so nobody can register it, and the old address is free again.
        row.email = Set(format!("deleted:{id}"));
        row.name = Set(DELETED_NAME.to_owned());
        row.password_hash = Set(hash.clone());
        row.disabled_at = Set(user.disabled_at.or(Some(now)));
        row.deleted_at = Set(Some(now));
        row.updated_at = Set(now);
        access_tokens::revoke_of(&mut row, &user, None, now);
        let user = row.update(&transaction).await?;
        refresh_tokens::revoke_of(&transaction, business, id, None).await?;
        session_rows::end_of(&transaction, business, id, None).await?;
        reset_codes::discard(&transaction, business, id).await?;
        let change = Change {
            action: Action::UserDeleted,
            entity_type: "user",
            entity_id: id.0,
            before: Some(before),
            after: anonymous_snapshot(&user),
        };
        audit::record(&transaction, caller, change).await?;
        transaction.commit().await
    })
    .await;
    revocations.forget(business);
    deleted
}

fn is_enabled_admin(user: &users::Model) -> bool {
    user.role == Role::Admin && user.disabled_at.is_none()
}

/// The user and all enabled admins, locked in order of id.
async fn lock_with_admins(
    transaction: &Transaction,
    business: BusinessId,
    id: UserId,
) -> Result<Vec<users::Model>, Error> {
    let enabled_admins = Condition::all()
        .add(users::Column::Role.eq(Role::Admin))
        .add(users::Column::DisabledAt.is_null());
    let which = Condition::any()
        .add(users::Column::Id.eq(id))
        .add(enabled_admins);
    locks::users(transaction, business, which).await
}

/// Separates the user with this id from the other rows.
fn split_off(
    mut users: Vec<users::Model>,
    id: UserId,
) -> Result<(users::Model, Vec<users::Model>), Error> {
    let place = users.iter().position(|user| user.id == id);
    let user = users.remove(place.ok_or(Error::UserNotFound(id))?);
    Ok((user, users))
}

/// A user's attributes after a change.
#[derive(Debug, PartialEq, Eq)]
struct Next {
    email: String,
    name: String,
    role: Role,
    customer_id: Option<CustomerId>,
    disabled: bool,
}

/// Decides in memory. `admins` are the other enabled admins of the business.
fn decide(
    user: &users::Model,
    admins: &[users::Model],
    change: &UserChange,
) -> Result<Next, Error> {
    let role = change.role.unwrap_or(user.role);
    let customer_id = match role {
        Role::Customer => change.customer_id.or(user.customer_id),
        Role::Admin | Role::Staff => change.customer_id,
    };
    if (role == Role::Customer) != customer_id.is_some() {
        return Err(Error::RoleCustomerMismatch);
    }
    let disabled = change.disabled.unwrap_or(user.disabled_at.is_some());
    let is_admin = role == Role::Admin && !disabled;
    if is_enabled_admin(user) && !is_admin && admins.is_empty() {
        return Err(Error::LastAdmin);
    }
    Ok(Next {
        email: change.email.clone().unwrap_or_else(|| user.email.clone()),
        name: change.name.clone().unwrap_or_else(|| user.name.clone()),
        role,
        customer_id,
        disabled,
    })
}

/// Writes the changed columns and one audit entry per kind of change. Writes nothing if nothing changed.
async fn write(
    transaction: &Transaction,
    caller: &Caller,
    user: users::Model,
    next: Next,
) -> Result<users::Model, Error> {
    let (id, was_disabled) = (user.id, user.disabled_at.is_some());
    let renamed = user.name != next.name;
    let readdressed = user.email != next.email;
    let reassigned = (user.role, user.customer_id) != (next.role, next.customer_id);
    let switched = was_disabled != next.disabled;
    let actions: Vec<Action> = [
        (renamed, Action::UserChanged),
        (readdressed, Action::UserEmailChanged),
        (reassigned, Action::UserRoleChanged),
        (switched && next.disabled, Action::UserDisabled),
        (switched && !next.disabled, Action::UserEnabled),
    ]
    .into_iter()
    .filter_map(|(is_so, action)| is_so.then_some(action))
    .collect();
    if actions.is_empty() {
        return Ok(user);
    }
    let (before, now) = (audit_snapshot(&user), chrono::Utc::now());
    let mut row = user.clone().into_active_model();
    row.email = Set(next.email);
    row.name = Set(next.name);
    row.role = Set(next.role);
    row.customer_id = Set(next.customer_id);
    row.updated_at = Set(now);
    if switched {
        row.disabled_at = Set(next.disabled.then_some(now));
    }
    if reassigned || switched || readdressed {
        access_tokens::revoke_of(&mut row, &user, None, now);
    }
    let user = row.update(transaction).await?;
    if reassigned || switched || readdressed {
        session_rows::end_of(transaction, caller.business_id, id, None).await?;
    }
    if readdressed || (switched && next.disabled) {
        // A user who is enabled again must log in again. Another address may mean that the mailbox was stolen, and with
        // it what was logged in there.
        refresh_tokens::revoke_of(transaction, caller.business_id, id, None).await?;
        reset_codes::discard(transaction, caller.business_id, id).await?;
    }
    for action in actions {
        let change = Change {
            action,
            entity_type: "user",
            entity_id: id.0,
            before: Some(before.clone()),
            after: audit_snapshot(&user),
        };
        audit::record(transaction, caller, change).await?;
    }
    Ok(user)
}

/// Lists users in order of creation, without deleted ones.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    paging: &Paging<UserId>,
) -> Result<Page<ListedUser, UserId>, Error> {
    let business = caller.business_id;
    let all = users::Entity::of(business).filter(users::Column::DeletedAt.is_null());
    let select = paging.ascending(all, users::Column::Id);
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let rows = select.clone().all(&transaction).await?;
        let page = Page::of(rows, paging, |user| user.id);
        let rows = suggest(&transaction, business, page.rows).await?;
        transaction.commit().await?;
        Ok(Page {
            rows,
            next: page.next,
        })
    })
    .await
}

/// Reads and locks a user that another row refers to, so they must exist.
pub(crate) async fn lock(
    transaction: &Transaction,
    business: BusinessId,
    id: UserId,
) -> Result<users::Model, Error> {
    locks::user(transaction, business, id)
        .await?
        .ok_or_else(|| Error::Bug(format!("user {id} does not exist")))
}

/// Checks that the customer exists. Customers are never deleted, so no lock is needed.
async fn expect_customer(
    transaction: &Transaction,
    business: BusinessId,
    id: CustomerId,
) -> Result<(), Error> {
    customers::Entity::by_id(business, id)
        .one(transaction)
        .await?
        .map(|_customer| ())
        .ok_or(Error::CustomerNotFound(id))
}

/// A deleted user in the format of audit entries, without address and name.
fn anonymous_snapshot(user: &users::Model) -> Value {
    json!({
        "role": user.role,
        "customer_id": user.customer_id,
        "disabled": user.disabled_at.is_some(),
    })
}

pub(super) fn audit_snapshot(user: &users::Model) -> Value {
    json!({
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "customer_id": user.customer_id,
        "disabled": user.disabled_at.is_some(),
    })
}

/// The permissions of a user.
pub(crate) fn authority(user: &users::Model) -> Result<Authority, Error> {
    match (user.role, user.customer_id) {
        (Role::Admin, _) => Ok(Authority::Admin),
        (Role::Staff, _) => Ok(Authority::Staff),
        (Role::Customer, Some(customer)) => Ok(Authority::Customer(customer)),
        (Role::Customer, None) => Err(Error::Bug(format!("user {} has no customer", user.id))),
    }
}
