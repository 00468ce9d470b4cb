//! The list of reservations: filters, and positions in waitlists.

use std::collections::HashMap;

use entity::reservations::Status;
use entity::{
    BusinessId, CustomerId, ProductId, ReservationId, Tenant, reservation_items, reservations,
};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select};

use super::{CurrentReservation, of_rows};
use crate::foundation::clock;
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// Conditions of a list. A reservation must meet all that are present.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Reservations with this status now.
    pub status: Option<Status>,
    /// Reservations of this customer.
    pub customer_id: Option<CustomerId>,
    /// Reservations of this product, as far as no order has bought it yet.
    pub product_id: Option<ProductId>,
}

/// Lists reservations, the newest first. Customers see their own only.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    filter: &Filter,
    paging: &Paging<ReservationId>,
) -> Result<Page<CurrentReservation, ReservationId>, Error> {
    let business = caller.business_id;
    let select = paging.descending(filtered(caller, filter), reservations::Column::Id);
    retry(|| async {
        // A snapshot: reservations that wait then have a position.
        let transaction = database.begin_snapshot(business, &[]).await?;
        let rows = select.clone().all(&transaction).await?;
        let page = Page::of(rows, paging, |reservation| reservation.id);
        let ids: Vec<ReservationId> = page.rows.iter().map(|row| row.id).collect();
        let mut items = items(&transaction, business, &ids).await?;
        let places = places(&transaction, business, ids).await?;
        let now = clock::of(&transaction, business).await?.now;
        transaction.commit().await?;
        let rows = page.rows.into_iter().map(|row| {
            let items = items.remove(&row.id).unwrap_or_default();
            let reservation = of_rows(row, items);
            let status = reservation.status_at(now);
            let place = places.get(&reservation.id).copied();
            CurrentReservation {
                place: place.filter(|_| status == Status::Waiting),
                status,
                reservation,
            }
        });
        Ok(Page {
            rows: rows.collect(),
            next: page.next,
        })
    })
    .await
}

fn filtered(caller: &Caller, filter: &Filter) -> Select<reservations::Entity> {
    use reservations::Column;

    let mut select = reservations::Entity::of(caller.business_id);
    for customer in [caller.confined_to(), filter.customer_id]
        .into_iter()
        .flatten()
    {
        select = select.filter(Column::CustomerId.eq(customer));
    }
    if let Some(product) = filter.product_id {
        let with_it = reservation_items::Entity::of(caller.business_id)
            .select_only()
            .column(reservation_items::Column::ReservationId)
            .filter(reservation_items::Column::ProductId.eq(product));
        select = select.filter(Column::Id.in_subquery(with_it.into_query()));
    }
    match filter.status {
        Some(status) => select.filter(is_now(status)),
        None => select,
    }
}

/// The condition of [`Status::at`] for the database's time.
fn is_now(status: Status) -> Expr {
    use reservations::Column;

    let is_past = Column::ExpiresAt.into_expr().lte(Expr::current_timestamp());
    let stored = Column::Status.eq(status);
    match status {
        Status::Waiting | Status::Active => stored.and(is_past.not()),
        Status::Expired => {
            let open = Column::Status.is_in([Status::Waiting, Status::Active]);
            stored.or(open.and(is_past))
        }
        Status::Confirmed | Status::Cancelled | Status::SoldOut => stored,
    }
}

async fn items(
    transaction: &Transaction,
    business: BusinessId,
    ids: &[ReservationId],
) -> Result<HashMap<ReservationId, Vec<reservation_items::Model>>, Error> {
    let rows = reservation_items::Entity::of(business)
        .filter(reservation_items::Column::ReservationId.eq_any(ids.to_vec()))
        .order_by_asc(reservation_items::Column::Line)
        .all(transaction)
        .await?;
    let mut items: HashMap<ReservationId, Vec<_>> = HashMap::new();
    for row in rows {
        items.entry(row.reservation_id).or_default().push(row);
    }
    Ok(items)
}

/// The positions of those of these reservations that wait.
async fn places(
    transaction: &Transaction,
    business: BusinessId,
    ids: Vec<ReservationId>,
) -> Result<HashMap<ReservationId, i64>, Error> {
    use reservation_items::Column;

    let column = |column: Column| Expr::col(("ahead", column));
    let ahead = Query::select()
        .expr(Expr::cust("count(*)"))
        .from_as(reservation_items::Entity, "ahead")
        .and_where(column(Column::BusinessId).eq(business))
        .and_where(column(Column::ProductId).equals(Column::ProductId.as_column_ref()))
        .and_where(column(Column::Place).lte(Column::Place.into_expr()))
        .and_where(column(Column::ExpiresAt).gt(Expr::current_timestamp()))
        .to_owned();
    let waiting = reservation_items::Entity::of(business)
        .select_only()
        .column(Column::ReservationId)
        .expr_as(Expr::SubQuery(None, Box::new(ahead.into())), "position")
        .filter(Column::ReservationId.eq_any(ids))
        .filter(Column::Place.is_not_null());
    let rows: Vec<(ReservationId, i64)> = waiting.into_tuple().all(transaction).await?;
    Ok(rows.into_iter().collect())
}
