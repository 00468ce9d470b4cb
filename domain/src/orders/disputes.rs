//! The disputes of an order, as they were last written, and whether they let it move on.

use entity::disputes::{self, Status};
use entity::{BusinessId, DisputeId, OrderId, Tenant};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};

use crate::{Error, Transaction};

/// The disputes of an order, the oldest first.
pub(crate) async fn of(
    transaction: &Transaction,
    business: BusinessId,
    order: OrderId,
) -> Result<Vec<disputes::Model>, Error> {
    let all = disputes::Entity::of(business)
        .filter(disputes::Column::OrderId.eq(order))
        .order_by_asc(disputes::Column::Id)
        .all(transaction)
        .await?;
    Ok(all)
}

/// Whether none of an order's disputes is open or lost. The order is locked.
///
/// # Errors
/// [`Error::DisputeOpen`] with the newest that is open, or else the newest that was lost.
pub(crate) async fn check_none(
    transaction: &Transaction,
    business: BusinessId,
    order: OrderId,
) -> Result<(), Error> {
    match standing(&of(transaction, business, order).await?) {
        None => Ok(()),
        Some((dispute_id, is_lost)) => Err(Error::DisputeOpen {
            dispute_id,
            is_lost,
        }),
    }
}

/// The newest dispute that is open, or else the newest that was lost, and whether it was.
fn standing(disputes: &[disputes::Model]) -> Option<(DisputeId, bool)> {
    let newest = |is: fn(Status) -> bool| disputes.iter().rfind(|one| is(one.status));
    let open = newest(Status::is_open).map(|one| (one.id, false));
    open.or_else(|| newest(|status| status == Status::Lost).map(|one| (one.id, true)))
}
