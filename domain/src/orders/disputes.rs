//! The disputes of an order as last written, and whether they block its next step.

use entity::disputes::{self, Status};
use entity::{BusinessId, DisputeId, OrderId, Tenant};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};

use crate::foundation::pages;
use crate::orders::About;
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// Lists disputes, the newest first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    filter: &About,
    paging: &Paging<DisputeId>,
) -> Result<Page<disputes::Model, DisputeId>, Error> {
    let columns = (disputes::Column::OrderId, disputes::Column::CreatedAt);
    let rows = filter
        .rows::<disputes::Entity>(database, caller, columns)
        .await?;
    let rows = paging.descending(rows, disputes::Column::Id);
    pages::read(database, caller.business_id, rows, paging, |dispute| {
        dispute.id
    })
    .await
}

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

/// Checks that no dispute of a locked order is open or lost.
///
/// # Errors
/// [`Error::DisputeOpen`] with the newest open dispute, or else the newest lost one.
pub(crate) async fn check_none(
    transaction: &Transaction,
    business: BusinessId,
    order: OrderId,
) -> Result<(), Error> {
    check(&of(transaction, business, order).await?)
}

/// Checks that none of the disputes of an order is open or lost.
///
/// # Errors
/// [`Error::DisputeOpen`] with the newest open dispute, or else the newest lost one.
pub fn check(disputes: &[disputes::Model]) -> Result<(), Error> {
    match open_or_lost(disputes) {
        None => Ok(()),
        Some((dispute_id, is_lost)) => Err(Error::DisputeOpen {
            dispute_id,
            is_lost,
        }),
    }
}

/// The newest open dispute, or else the newest lost one, and whether it is lost.
fn open_or_lost(disputes: &[disputes::Model]) -> Option<(DisputeId, bool)> {
    let newest = |is: fn(Status) -> bool| disputes.iter().rfind(|one| is(one.status));
    let open = newest(Status::is_open).map(|one| (one.id, false));
    open.or_else(|| newest(|status| status == Status::Lost).map(|one| (one.id, true)))
}
