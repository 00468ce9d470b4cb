//! The refunds of an order as last written.

use entity::{BusinessId, OrderId, RefundId, Tenant, refunds};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};

use crate::foundation::pages;
use crate::orders::About;
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// Lists refunds, the newest first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    filter: &About,
    paging: &Paging<RefundId>,
) -> Result<Page<refunds::Model, RefundId>, Error> {
    let columns = (refunds::Column::OrderId, refunds::Column::CreatedAt);
    let rows = filter
        .rows::<refunds::Entity>(database, caller, columns)
        .await?;
    let rows = paging.descending(rows, refunds::Column::Id);
    pages::read(database, caller.business_id, rows, paging, |refund| {
        refund.id
    })
    .await
}

/// The refunds of an order, the oldest first.
pub(crate) async fn of(
    transaction: &Transaction,
    business: BusinessId,
    order: OrderId,
) -> Result<Vec<refunds::Model>, Error> {
    let all = refunds::Entity::of(business)
        .filter(refunds::Column::OrderId.eq(order))
        .order_by_asc(refunds::Column::Id)
        .all(transaction)
        .await?;
    Ok(all)
}
