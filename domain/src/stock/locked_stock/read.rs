//! Opening a shelf: the reservations that matter to stock that is locked. Nothing is read about products of which nothing
//! is held and for which nobody waits, which is most of them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::{BusinessId, CustomerId, ProductId, ReservationId};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::{HoldChange, Item, LockedStock, Reservation, StockLevel};
use crate::audit::SYSTEM;
use crate::{Error, Transaction};

/// What is to be known of reservations beside what the locked stock needs.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// These reservations.
    pub(crate) reservations: Vec<ReservationId>,
    /// What these customers hold and wait for.
    pub(crate) customers: Vec<CustomerId>,
    /// How much stock may change before the shelf is written.
    pub(crate) change: HashMap<ProductId, Range>,
}

const OPEN: &str = "
SELECT i.product_id, i.on_hand, i.reserved, i.waiting, i.places_given, clock_timestamp() AS now, p.active
  FROM inventory i
  JOIN products p ON p.business_id = $1 AND p.id = i.product_id
 WHERE i.business_id = $1 AND i.product_id = ANY ($2)
 ORDER BY i.product_id
   FOR NO KEY UPDATE OF i";

/// Locks stock by product id, and opens a shelf on it. Customers are locked before it and orders after it. Unknown
/// products are not on it.
pub(crate) async fn open(
    transaction: &Transaction,
    business: BusinessId,
    products: impl IntoIterator<Item = (ProductId, Range)>,
) -> Result<LockedStock, Error> {
    open_with(transaction, business, products, Vec::new()).await
}

/// As [`open`], with these reservations on it whatever has become of them. All their products are to be among those that
/// are locked.
pub(crate) async fn open_with(
    transaction: &Transaction,
    business: BusinessId,
    products: impl IntoIterator<Item = (ProductId, Range)>,
    reservations: Vec<ReservationId>,
) -> Result<LockedStock, Error> {
    let mut wanted = Wanted {
        reservations,
        ..Wanted::default()
    };
    for (product, change) in products {
        let all = wanted.change.entry(product).or_default();
        all.taken = all.taken.saturating_add(change.taken);
        all.returned = all.returned.saturating_add(change.returned);
    }
    let ids: Vec<Uuid> = wanted.change.keys().map(|id| id.0).collect();
    let mut shelf = LockedStock::new(DateTime::UNIX_EPOCH, HashMap::new());
    if ids.is_empty() {
        return Ok(shelf);
    }
    let values: [Value; 2] = [business.0.into(), ids.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, OPEN, values);
    for row in transaction.query_all_raw(statement).await? {
        put(&mut shelf, &row)?;
    }
    read(transaction, business, &mut shelf, &wanted).await?;
    Ok(shelf)
}

/// Puts a locked inventory row on the shelf: its counts, whether its product is on sale, and the time at which it was had.
pub(crate) fn put(shelf: &mut LockedStock, row: &QueryResult) -> Result<(), DbErr> {
    let mut counts = StockLevel::new(
        row.try_get("", "on_hand")?,
        row.try_get("", "reserved")?,
        row.try_get("", "waiting")?,
        row.try_get("", "places_given")?,
    );
    counts.inactive = !row.try_get::<bool>("", "active")?;
    shelf.counts.insert(row.try_get("", "product_id")?, counts);
    shelf.now = Ord::max(shelf.now, row.try_get("", "now")?);
    Ok(())
}

/// How much the stock of a product may change at most.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range {
    /// How many may be taken from the shelf.
    pub(crate) taken: i64,
    /// How many may be put on it.
    pub(crate) returned: i64,
}

impl Range {
    /// Of a change by so many.
    pub(crate) fn of(change: i64) -> Self {
        Self {
            taken: -change.min(0),
            returned: change.max(0),
        }
    }
}

/// Reads what matters to the shelf, frees what has expired on it, and serves those who wait. The rows of its stock are
/// locked.
pub(crate) async fn read(
    transaction: &Transaction,
    business: BusinessId,
    shelf: &mut LockedStock,
    wanted: &Wanted,
) -> Result<(), Error> {
    if !wanted.reservations.is_empty() || !wanted.customers.is_empty() {
        read_reservations(transaction, business, shelf, wanted).await?;
    }
    free_expired(transaction, business, shelf).await?;
    read_lines(transaction, business, shelf, wanted).await?;
    let lines: Vec<ProductId> = shelf
        .counts
        .iter()
        .filter(|(_, counts)| counts.waiting > 0)
        .map(|(id, _)| *id)
        .collect();
    for product in lines {
        shelf.serve(product);
    }
    Ok(())
}

const RESERVATIONS: &str = "
WITH wanted AS (
    SELECT id FROM reservations WHERE business_id = $1 AND id = ANY ($2)
     UNION
    SELECT id FROM reservations
     WHERE business_id = $1 AND customer_id = ANY ($3) AND status IN ('waiting', 'active') AND expires_at > $4
)
SELECT i.product_id, i.quantity, i.unit_price, i.held, i.place,
       r.id, r.customer_id, r.status, r.ttl_seconds, r.expires_at, r.order_id, r.created_by, r.created_at
  FROM wanted
  JOIN reservations r ON r.business_id = $1 AND r.id = wanted.id
  JOIN reservation_items i ON i.business_id = $1 AND i.reservation_id = wanted.id
 ORDER BY r.id, i.line";

async fn read_reservations(
    transaction: &Transaction,
    business: BusinessId,
    shelf: &mut LockedStock,
    wanted: &Wanted,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = wanted.reservations.iter().map(|id| id.0).collect();
    let customers: Vec<Uuid> = wanted.customers.iter().map(|id| id.0).collect();
    let values: [Value; 4] = [
        business.0.into(),
        ids.into(),
        customers.into(),
        shelf.now.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, RESERVATIONS, values);
    for row in transaction.query_all_raw(statement).await? {
        add(shelf, &row)?;
    }
    Ok(())
}

/// Adds a row of a reservation and one of its items.
fn add(shelf: &mut LockedStock, row: &QueryResult) -> Result<(), DbErr> {
    let item = Item {
        product_id: row.try_get_by_index(0)?,
        quantity: row.try_get_by_index(1)?,
        unit_price: row.try_get_by_index(2)?,
        held: row.try_get_by_index(3)?,
        place: row.try_get_by_index(4)?,
    };
    let id: ReservationId = row.try_get_by_index(5)?;
    if let Some(known) = shelf.reservations.get_mut(&id) {
        let is_new = |other: &Item| other.product_id != item.product_id;
        if known.items.iter().all(is_new) {
            known.items.push(item);
        }
        return Ok(());
    }
    let reservation = Reservation {
        id,
        customer_id: row.try_get_by_index(6)?,
        status: row.try_get_by_index(7)?,
        ttl_seconds: row.try_get_by_index(8)?,
        expires_at: row.try_get_by_index(9)?,
        order_id: row.try_get_by_index(10)?,
        created_by: row.try_get_by_index(11)?,
        created_at: row.try_get_by_index(12)?,
        cancel_reason: None,
        items: vec![item],
        is_new: false,
    };
    shelf.reservations.insert(id, reservation);
    Ok(())
}

const EXPIRED: &str = "
SELECT reservation_id, product_id, expires_at, quantity, held
  FROM reservation_items
 WHERE business_id = $1 AND product_id = ANY ($2) AND (held OR place IS NOT NULL) AND expires_at <= $3";

/// Frees what has expired on the locked rows. That a reservation has expired is not written here: its row may be
/// anyone's, and its time says it.
async fn free_expired(
    transaction: &Transaction,
    business: BusinessId,
    shelf: &mut LockedStock,
) -> Result<(), Error> {
    let touched = shelf.counts.iter();
    let touched = touched.filter(|(_, counts)| counts.reserved > 0 || counts.waiting > 0);
    let products: Vec<Uuid> = touched.map(|(id, _)| id.0).collect();
    if products.is_empty() {
        return Ok(());
    }
    let values: [Value; 3] = [business.0.into(), products.into(), shelf.now.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, EXPIRED, values);
    for row in transaction.query_all_raw(statement).await? {
        let (id, product) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let expires_at: DateTime<Utc> = row.try_get_by_index(2)?;
        let quantity: i64 = row.try_get_by_index(3)?;
        let held: bool = row.try_get_by_index(4)?;
        shelf.changes.expired.push((id, product, expires_at));
        shelf.end(id, product, held.then_some(quantity));
    }
    Ok(())
}

impl LockedStock {
    /// An item has expired that was held in this quantity, or waited.
    fn end(&mut self, id: ReservationId, product: ProductId, held: Option<i64>) {
        if let Some(reservation) = self.reservations.get_mut(&id) {
            let items = reservation.items.iter_mut();
            for item in items.filter(|item| item.product_id == product) {
                item.held = false;
                item.place = None;
            }
        }
        let Some(counts) = self.counts.get_mut(&product) else {
            return;
        };
        match held {
            Some(quantity) => {
                counts.reserved -= quantity;
                self.changes.movements.push(HoldChange {
                    product_id: product,
                    reservation_id: id,
                    order_id: None,
                    reserved: -quantity,
                    on_hand_after: counts.on_hand,
                    actor: SYSTEM,
                });
            }
            None => counts.waiting -= 1,
        }
        self.changes.products.insert(product);
    }
}

/// From the head of each line as many as what is free or may come free could serve, and everyone who wants more than
/// what may be left on hand.
const LINES: &str = "
SELECT i.product_id, i.quantity, i.unit_price, i.held, i.place,
       r.id, r.customer_id, r.status, r.ttl_seconds, r.expires_at, r.order_id, r.created_by, r.created_at
  FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS stock (product_id, free, remaining)
 CROSS JOIN LATERAL (
        (SELECT * FROM reservation_items i
          WHERE i.business_id = $1 AND i.product_id = stock.product_id AND i.place IS NOT NULL
            AND i.expires_at > $5 AND i.quantity <= stock.remaining
          ORDER BY i.place LIMIT stock.free)
         UNION ALL
        (SELECT * FROM reservation_items i
          WHERE i.business_id = $1 AND i.product_id = stock.product_id AND i.place IS NOT NULL
            AND i.expires_at > $5 AND i.quantity > stock.remaining)
       ) AS i
  JOIN reservations r ON r.business_id = $1 AND r.id = i.reservation_id";

async fn read_lines(
    transaction: &Transaction,
    business: BusinessId,
    shelf: &mut LockedStock,
    wanted: &Wanted,
) -> Result<(), Error> {
    // What is known may be resolved: what it holds comes free, and if it waits, the next in line is looked for behind it.
    let known = |product: ProductId| -> i64 {
        let items = shelf.reservations.values().flat_map(|one| &one.items);
        items
            .filter(|item| (item.held || item.place.is_some()) && item.product_id == product)
            .map(|item| item.quantity)
            .sum()
    };
    let (mut products, mut free, mut remaining) = (Vec::new(), Vec::new(), Vec::new());
    for (id, counts) in shelf.counts.iter().filter(|(_, one)| one.waiting > 0) {
        products.push(id.0);
        // All of a line that ends.
        if counts.inactive {
            free.push(0);
            remaining.push(0);
            continue;
        }
        let change = wanted.change.get(id).copied().unwrap_or_default();
        let may_be_free = (counts.free() + known(*id)).saturating_add(change.returned);
        free.push(may_be_free.clamp(0, super::LINE));
        remaining.push(counts.on_hand.saturating_sub(change.taken));
    }
    if products.is_empty() {
        return Ok(());
    }
    let values: [Value; 5] = [
        business.0.into(),
        products.into(),
        free.into(),
        remaining.into(),
        shelf.now.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, LINES, values);
    for row in transaction.query_all_raw(statement).await? {
        add(shelf, &row)?;
        let (product, quantity): (ProductId, i64) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let (place, id): (Option<i64>, ReservationId) =
            (row.try_get_by_index(4)?, row.try_get_by_index(5)?);
        if let (Some(counts), Some(place)) = (shelf.counts.get_mut(&product), place) {
            counts.line.insert(place, (id, quantity));
        }
    }
    Ok(())
}
