//! The refunds of an order as last written.

use entity::{BusinessId, OrderId, Tenant, refunds};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};

use crate::{Error, Transaction};

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
