//! The list of all tenants, for work that concerns each of them: background tasks and operators' commands.

use entity::{BusinessId, businesses};
use sea_orm::{EntityTrait, QueryOrder, QuerySelect};

use crate::foundation::retry::retry;
use crate::{Database, Error};

/// All businesses, in the order of their ids: the policy `listed` shows them to a transaction that asks for it.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn all_businesses(database: &Database) -> Result<Vec<BusinessId>, Error> {
    retry(|| async {
        let transaction = database
            .begin_with("app.businesses = 'listed'", &[])
            .await?;
        #[expect(clippy::disallowed_methods, reason = "this read finds the tenants")]
        let ids = businesses::Entity::find()
            .select_only()
            .column(businesses::Column::Id)
            .order_by_asc(businesses::Column::Id)
            .into_tuple()
            .all(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(ids)
    })
    .await
}
