//! The list of all tenants, for background tasks and operators' commands.

use entity::{BusinessId, businesses};
use sea_orm::{EntityTrait, QueryOrder, QuerySelect};

use crate::foundation::retry::retry;
use crate::{Database, Error};

/// All businesses, ordered by id. The row-security policy `listed` shows them to a transaction with the setting used
/// here.
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
