//! What a business's own callers see and change of it.

use entity::{Tenant, businesses};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel, QuerySelect};

use super::{read, trail};
use crate::audit::{self, Change};
use crate::retry::retry;
use crate::{Caller, Database, Error};

/// The caller's business.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn of_caller(database: &Database, caller: &Caller) -> Result<businesses::Model, Error> {
    let transaction = database.begin_read(caller.business_id).await?;
    let business = read(&transaction, caller.business_id).await?;
    transaction.commit().await?;
    Ok(business)
}

/// Renames the caller's business. Slug and currency never change: links and documents rest on them.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn change(
    database: &Database,
    caller: &Caller,
    name: Option<&str>,
) -> Result<businesses::Model, Error> {
    retry(|| async {
        let transaction = database.begin(caller.business_id).await?;
        // Not the stronger lock, for which every new row of the business would wait: each points at this one.
        let business = businesses::Entity::of(caller.business_id)
            .lock(LockType::NoKeyUpdate)
            .one(&transaction)
            .await?
            .ok_or_else(|| Error::Bug(format!("business {} is not there", caller.business_id)))?;
        let Some(name) = name else {
            return Ok(business);
        };
        let before = trail(&business);
        let mut row = business.into_active_model();
        row.name = Set(name.to_owned());
        let business = row.update(&transaction).await?;
        let event = Change {
            action: "business.changed",
            entity_type: "business",
            entity_id: business.id.0,
            before: Some(before),
            after: trail(&business),
        };
        audit::record(&transaction, caller, event).await?;
        transaction.commit().await?;
        Ok(business)
    })
    .await
}
