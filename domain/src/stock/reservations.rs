//! Reservations: stock that is held for a customer for a limited time, and positions in waitlists.
//!
//! The desk ([`crate::desk`]) makes, confirms and cancels reservations, in one order of arrival with purchases. The
//! rules for their stock are in [`crate::stock::locked_stock`].

mod listing;
mod sweep;

use chrono::{DateTime, Utc};
use entity::reservations::Status;
use entity::{
    BusinessId, CustomerId, ProductId, ReservationId, Tenant, reservation_items, reservations,
};
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::foundation::clock;
use crate::foundation::retry::retry;
use crate::stock::Line;
use crate::{Caller, Database, Error, Transaction};

pub use crate::stock::locked_stock::{Item, Reservation};
pub use listing::{Filter, list};
pub use sweep::{Sweeper, Swept, sweep};

/// The most open reservations of one customer, those in waitlists included.
pub const MAX_OPEN_PER_CUSTOMER: usize = 20;

/// The permitted durations of a hold, in seconds.
pub const TTL_SECONDS: std::ops::RangeInclusive<i32> = 60..=3600;

/// A requested reservation.
#[derive(Debug, Clone)]
pub struct NewReservation {
    /// The customer for whom stock is held.
    pub customer_id: CustomerId,
    /// The lines in the customer's order. Several lines of one product count as one.
    pub lines: Vec<Line>,
    /// The duration of the hold in seconds, within [`TTL_SECONDS`].
    pub ttl_seconds: i32,
    /// Whether to join the waitlist when stock is insufficient, for a reservation of a single product. A position
    /// expires after the same duration as a hold.
    pub wait: bool,
}

/// The rows of a reservation to be resolved, as far as they can be known before they are locked.
#[derive(Debug, Clone)]
pub struct ReservationRows {
    /// The reservation.
    pub id: ReservationId,
    /// Its customer, which never changes.
    pub customer_id: CustomerId,
    /// Its products and quantities. Orders may reduce them meanwhile; they never grow.
    pub items: Vec<(ProductId, i64)>,
}

/// A reservation with its status at one moment.
#[derive(Debug, Clone)]
pub struct CurrentReservation {
    /// The reservation as it is stored.
    pub reservation: Reservation,
    /// The status at that moment. It is `expired` after the expiry even if the stored status is not.
    pub status: Status,
    /// The 1-based position in the waitlist; `None` unless the reservation waits.
    pub place: Option<i64>,
}

/// Reads a reservation that the caller may see.
///
/// # Errors
/// [`Error::ReservationNotFound`].
pub async fn read(
    database: &Database,
    caller: &Caller,
    id: ReservationId,
) -> Result<CurrentReservation, Error> {
    retry(|| async {
        // A snapshot: a reservation that waits then has a position.
        let transaction = database.begin_snapshot(caller.business_id, &[]).await?;
        let reservation = reservation(&transaction, caller, id).await?;
        let (now, place) = now_and_place(&transaction, caller.business_id, &reservation).await?;
        transaction.commit().await?;
        let status = reservation.status_at(now);
        Ok(CurrentReservation {
            place: place.filter(|_| status == Status::Waiting),
            status,
            reservation,
        })
    })
    .await
}

/// Reads what must be known of a reservation before its rows can be locked.
///
/// # Errors
/// [`Error::ReservationNotFound`].
pub async fn target(
    database: &Database,
    caller: &Caller,
    id: ReservationId,
) -> Result<ReservationRows, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let found = reservation(&transaction, caller, id).await?;
        transaction.commit().await?;
        let items = found.items.iter();
        Ok(ReservationRows {
            id,
            customer_id: found.customer_id,
            items: items.map(|item| (item.product_id, item.quantity)).collect(),
        })
    })
    .await
}

async fn reservation(
    transaction: &Transaction,
    caller: &Caller,
    id: ReservationId,
) -> Result<Reservation, Error> {
    let business = caller.business_id;
    let row = reservations::Entity::by_id(business, id)
        .one(transaction)
        .await?
        .filter(|row| caller.may_act_for(row.customer_id))
        .ok_or(Error::ReservationNotFound(id))?;
    let items = reservation_items::Entity::of(business)
        .filter(reservation_items::Column::ReservationId.eq(id))
        .order_by_asc(reservation_items::Column::Line)
        .all(transaction)
        .await?;
    Ok(of_rows(row, items))
}

fn of_rows(row: reservations::Model, items: Vec<reservation_items::Model>) -> Reservation {
    let items = items.into_iter().map(|item| Item {
        product_id: item.product_id,
        quantity: item.quantity,
        unit_price: item.unit_price,
        held: item.held,
        place: item.place,
    });
    Reservation {
        id: row.id,
        customer_id: row.customer_id,
        status: row.status,
        ttl_seconds: row.ttl_seconds,
        expires_at: row.expires_at,
        order_id: row.order_id,
        cancel_reason: row.cancel_reason,
        created_by: row.created_by,
        created_at: row.created_at,
        items: items.collect(),
        is_new: false,
    }
}

/// The database's time, and the 1-based position of the reservation in its waitlist.
async fn now_and_place(
    transaction: &Transaction,
    business: BusinessId,
    reservation: &Reservation,
) -> Result<(DateTime<Utc>, Option<i64>), Error> {
    use reservation_items::Column;

    let waits = reservation.items.iter().find_map(|item| {
        let place = item.place?;
        Some((item.product_id, place))
    });
    let Some((product, place)) = waits else {
        return Ok((clock::of(transaction, business).await?.now, None));
    };
    let (now, place) = reservation_items::Entity::of(business)
        .select_only()
        .expr_as(Expr::current_timestamp(), "now")
        .expr_as(Func::count(Expr::col(Asterisk)), "place")
        .filter(Column::ProductId.eq(product))
        .filter(Column::Place.is_not_null())
        .filter(Column::Place.lte(place))
        .filter(Column::ExpiresAt.into_expr().gt(Expr::current_timestamp()))
        .into_tuple()
        .one(transaction)
        .await?
        .ok_or_else(|| Error::Bug("a count returned nothing".into()))?;
    Ok((now, Some(place)))
}
