//! Creation of a business with its first admin.

use entity::users::PasswordHash;
use entity::{BusinessId, Currency, Tenant, TimeZone, UserId, businesses, users};
use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use serde_json::json;
use uuid::Uuid;

use super::businesses::audit_snapshot;
use crate::audit::{self, Action, Actor, Change};
use crate::foundation::idempotency::{IdempotencyKey, Scope};
use crate::foundation::new_password::NewPassword;
use crate::identity::passwords::Passwords;
use crate::identity::users::NewUser;
use crate::{Authority, Database, Error, Outcome, PlatformCaller, Transaction, WriteRequest};

/// Input of a new business.
#[derive(Debug, Clone)]
pub struct NewBusiness {
    /// The name in URLs and logins, unique in the installation.
    pub slug: String,
    /// The name on documents.
    pub name: String,
    /// The currency, which never changes.
    pub currency: Currency,
    /// The time zone of calendar days.
    pub time_zone: TimeZone,
    /// The email address of the first admin, in lower case.
    pub admin_email: String,
    /// The password of the first admin.
    pub admin_password: NewPassword,
}

/// A new business.
#[derive(Debug, Clone)]
pub struct Founded {
    /// The business's row.
    pub business: businesses::Model,
    /// The first admin.
    pub admin: users::Model,
}

/// Creates the business, its admin and its first audit entries in one transaction.
///
/// The transaction names the business that it creates, so it cannot write rows of others. With an idempotency key, the
/// id is derived from caller and key, since the stored response must be found under it again.
///
/// # Errors
/// [`Error::WeakPassword`]; [`Error::AlreadyExists`] for the slug; [`Error::IdempotencyKeyExpired`]; those of
/// [`WriteRequest`].
pub async fn create(
    database: &Database,
    passwords: &Passwords,
    request: &WriteRequest<'_, Founded, PlatformCaller>,
    new: &NewBusiness,
) -> Result<Outcome<Founded>, Error> {
    let platform = request.caller;
    let known = vec![new.admin_email.clone(), new.name.clone(), new.slug.clone()];
    let hash = passwords.hash(&new.admin_password, known).await?;
    let admin = NewUser {
        email: new.admin_email.clone(),
        name: new.admin_email.clone(),
        password: new.admin_password.clone(),
        authority: Authority::Admin,
    };
    let id = request
        .key
        .map_or_else(BusinessId::new, |key| id_of(platform, key));
    let scope = Scope {
        business_id: id,
        caller_id: platform.user_id,
    };
    request
        .run_in(database, scope, || async {
            let write = request.begin_in(database, scope).await?;
            let transaction = write.transaction();
            // Read first: a business that exists was committed with its stored response, which the next read then
            // finds.
            let is_there = businesses::Entity::of(id).one(transaction).await?.is_some();
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            if is_there {
                return Err(Error::IdempotencyKeyExpired);
            }
            let actor = Actor::platform(platform, id);
            let founded = insert(transaction, actor, new, &admin, &hash).await?;
            write.finish(founded).await
        })
        .await
}

/// The UUID namespace of ids that are derived from idempotency keys.
const KEYED: Uuid = uuid::uuid!("5b0f6c62-5d6e-4c39-9a4f-2f6d3b0f8d51");

fn id_of(platform: &PlatformCaller, key: &IdempotencyKey) -> BusinessId {
    let of_caller = Uuid::new_v5(&KEYED, platform.user_id.0.as_bytes());
    BusinessId(Uuid::new_v5(&of_caller, key.key.as_bytes()))
}

async fn insert(
    transaction: &Transaction,
    actor: Actor<'_>,
    new: &NewBusiness,
    admin: &NewUser,
    admin_hash: &PasswordHash,
) -> Result<Founded, Error> {
    let business = businesses::ActiveModel {
        id: Set(actor.business_id),
        slug: Set(new.slug.clone()),
        name: Set(new.name.clone()),
        currency: Set(new.currency),
        time_zone: Set(new.time_zone),
        ..Default::default()
    }
    .insert(transaction)
    .await?;
    let admin_id = UserId::new();
    let mut after = audit_snapshot(&business);
    after["admin"] = json!({"user_id": admin_id, "email": admin.email});
    let change = Change {
        action: Action::BusinessCreated,
        entity_type: "business",
        entity_id: business.id.0,
        before: None,
        after,
    };
    audit::record_as(transaction, actor, change).await?;
    let admin =
        crate::identity::users::insert(transaction, actor, admin_id, admin, admin_hash).await?;
    Ok(Founded { business, admin })
}
