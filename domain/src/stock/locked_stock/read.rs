//! Locks stock and reads the reservations that affect it.
//!
//! Costs one statement for wanted reservations, one for expired items and one for waitlists. The latter two are
//! skipped for products without holds and waitlists, which are most.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use entity::{
    BusinessId, CustomerId, ProductId, ReservationId, Tenant, inventory, reservation_items,
};
use sea_orm::sea_query::{Expr, PostgresQueryBuilder};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryFilter, QueryResult,
    QuerySelect, Statement, Value,
};
use uuid::Uuid;

use super::{HoldChange, Item, LockedStock, Reservation, StockLevel};
use crate::audit::SYSTEM;
use crate::foundation::locks;
use crate::foundation::rows::{ArrayStatement, Columns, Row};
use crate::{Error, Transaction};

/// The reservations to read beside those that the locked stock itself needs.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Reservations to read whatever their status.
    pub(crate) reservations: Vec<ReservationId>,
    /// Customers whose open reservations are read.
    pub(crate) customers: Vec<CustomerId>,
    /// The largest possible change of each product's stock before [`super::write()`].
    pub(crate) change: HashMap<ProductId, Range>,
}

static STOCK: LazyLock<String> = LazyLock::new(|| {
    locks::stock_on_sale()
        .and_where(locks::is_any(inventory::Column::ProductId, "$2"))
        .to_string(PostgresQueryBuilder)
});

/// Locks stock by product id and reads what affects it. Customers must be locked before it and orders after it. Unknown
/// products are left out.
pub(crate) async fn lock(
    transaction: &Transaction,
    business: BusinessId,
    products: impl IntoIterator<Item = (ProductId, Range)>,
) -> Result<LockedStock, Error> {
    lock_with(transaction, business, products, Vec::new()).await
}

/// As [`lock`], and reads these reservations whatever their status. All their products must be among those that are
/// locked.
pub(crate) async fn lock_with(
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
    let mut locked_stock = LockedStock::new(DateTime::UNIX_EPOCH, HashMap::new());
    if ids.is_empty() {
        return Ok(locked_stock);
    }
    let values: [Value; 2] = [business.0.into(), ids.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, STOCK.as_str(), values);
    for row in transaction.query_all_raw(statement).await? {
        put(&mut locked_stock, &row)?;
    }
    read(transaction, business, &mut locked_stock, &wanted).await?;
    Ok(locked_stock)
}

/// Adds a locked inventory row: its counters, whether its product is on sale, and the time at which it was locked.
pub(crate) fn put(locked_stock: &mut LockedStock, row: &QueryResult) -> Result<(), DbErr> {
    let mut counts = StockLevel::new(
        row.try_get("", "on_hand")?,
        row.try_get("", "reserved")?,
        row.try_get("", "waiting")?,
        row.try_get("", "places_given")?,
    );
    counts.inactive = !row.try_get::<bool>("", "active")?;
    locked_stock
        .counts
        .insert(row.try_get("", "product_id")?, counts);
    locked_stock.now = Ord::max(locked_stock.now, row.try_get("", "now")?);
    Ok(())
}

/// The largest possible change of a product's stock, in units.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range {
    /// Units that may be taken.
    pub(crate) taken: i64,
    /// Units that may be added.
    pub(crate) returned: i64,
}

impl Range {
    /// A change by exactly this many units; negative when they leave.
    pub(crate) fn of(change: i64) -> Self {
        Self {
            taken: -Ord::min(change, 0),
            returned: Ord::max(change, 0),
        }
    }
}

/// Reads the reservations that affect the stock, releases expired holds, and allocates the waitlists. The inventory
/// rows must be locked.
pub(crate) async fn read(
    transaction: &Transaction,
    business: BusinessId,
    locked_stock: &mut LockedStock,
    wanted: &Wanted,
) -> Result<(), Error> {
    if !wanted.reservations.is_empty() || !wanted.customers.is_empty() {
        read_reservations(transaction, business, locked_stock, wanted).await?;
    }
    release_expired(transaction, business, locked_stock).await?;
    read_waitlists(transaction, business, locked_stock, wanted).await?;
    let waited_for: Vec<ProductId> = locked_stock
        .counts
        .iter()
        .filter(|(_, counts)| counts.waiting > 0)
        .map(|(id, _)| *id)
        .collect();
    for product in waited_for {
        locked_stock.allocate(product);
    }
    Ok(())
}

/// Raw: a union of two index walks, each row joined twice.
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
    locked_stock: &mut LockedStock,
    wanted: &Wanted,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = wanted.reservations.iter().map(|id| id.0).collect();
    let customers: Vec<Uuid> = wanted.customers.iter().map(|id| id.0).collect();
    let values: [Value; 4] = [
        business.0.into(),
        ids.into(),
        customers.into(),
        locked_stock.now.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, RESERVATIONS, values);
    for row in transaction.query_all_raw(statement).await? {
        add(locked_stock, &row)?;
    }
    Ok(())
}

/// Adds a row, which is a reservation with one of its items.
fn add(locked_stock: &mut LockedStock, row: &QueryResult) -> Result<(), DbErr> {
    let item = Item {
        product_id: row.try_get("", "product_id")?,
        quantity: row.try_get("", "quantity")?,
        unit_price: row.try_get("", "unit_price")?,
        held: row.try_get("", "held")?,
        place: row.try_get("", "place")?,
    };
    let id: ReservationId = row.try_get("", "id")?;
    if let Some(known) = locked_stock.reservations.get_mut(&id) {
        let is_new = |other: &Item| other.product_id != item.product_id;
        if known.items.iter().all(is_new) {
            known.items.push(item);
        }
        return Ok(());
    }
    let reservation = Reservation {
        id,
        customer_id: row.try_get("", "customer_id")?,
        status: row.try_get("", "status")?,
        ttl_seconds: row.try_get("", "ttl_seconds")?,
        expires_at: row.try_get("", "expires_at")?,
        order_id: row.try_get("", "order_id")?,
        created_by: row.try_get("", "created_by")?,
        created_at: row.try_get("", "created_at")?,
        cancel_reason: None,
        items: vec![item],
        is_new: false,
    };
    locked_stock.reservations.insert(id, reservation);
    Ok(())
}

/// An item that has expired but still holds or waits.
#[derive(FromQueryResult)]
struct Expired {
    reservation_id: ReservationId,
    product_id: ProductId,
    expires_at: DateTime<Utc>,
    quantity: i64,
    held: bool,
}

/// Releases expired items of the locked rows. The reservation's status is not written: its row may be locked by
/// another transaction, and `expires_at` already tells.
async fn release_expired(
    transaction: &Transaction,
    business: BusinessId,
    locked_stock: &mut LockedStock,
) -> Result<(), Error> {
    use reservation_items::Column;

    let touched = locked_stock.counts.iter();
    let touched = touched.filter(|(_, counts)| counts.reserved > 0 || counts.waiting > 0);
    let products: Vec<ProductId> = touched.map(|(id, _)| *id).collect();
    if products.is_empty() {
        return Ok(());
    }
    let expired = reservation_items::Entity::of(business)
        .select_only()
        .columns([
            Column::ReservationId,
            Column::ProductId,
            Column::ExpiresAt,
            Column::Quantity,
            Column::Held,
        ])
        .filter(Column::ProductId.eq_any(products))
        // Literals, not parameters: a generic plan could not use the partial index of held and waiting items.
        .filter(Expr::cust("(held OR place IS NOT NULL)"))
        .filter(Column::ExpiresAt.lte(locked_stock.now))
        .into_model::<Expired>()
        .all(transaction)
        .await?;
    for item in expired {
        let (id, product) = (item.reservation_id, item.product_id);
        locked_stock
            .changes
            .expired
            .push((id, product, item.expires_at));
        locked_stock.end(id, product, item.held.then_some(item.quantity));
    }
    Ok(())
}

impl LockedStock {
    /// Ends an expired item; `held` is the quantity that it held, `None` if it waited.
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

/// A product with a waitlist. `unreserved` is the most units that may become unreserved; `remaining` is the fewest that
/// may be left on hand.
struct Waitlist {
    product_id: ProductId,
    unreserved: i64,
    remaining: i64,
}

impl Row for Waitlist {
    const NAME: &'static str = "waitlist";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("product_id", |one| one.product_id);
        columns.column("unreserved", |one| one.unreserved);
        columns.column("remaining", |one| one.remaining);
    }
}

/// Reads from the head of each waitlist as many reservations as could be allocated, and all that want more than may
/// be left on hand.
///
/// Raw: a lateral join whose limit differs from product to product.
static WAITLISTS: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| {
        let now = arrays.value("timestamptz");
        let waitlists = arrays.rows::<Waitlist>();
        format!(
            "
SELECT i.product_id, i.quantity, i.unit_price, i.held, i.place,
       r.id, r.customer_id, r.status, r.ttl_seconds, r.expires_at, r.order_id, r.created_by, r.created_at
  FROM {waitlists}
 CROSS JOIN LATERAL (
        (SELECT * FROM reservation_items i
          WHERE i.business_id = $1 AND i.product_id = waitlist.product_id AND i.place IS NOT NULL
            AND i.expires_at > {now} AND i.quantity <= waitlist.remaining
          ORDER BY i.place LIMIT waitlist.unreserved)
         UNION ALL
        (SELECT * FROM reservation_items i
          WHERE i.business_id = $1 AND i.product_id = waitlist.product_id AND i.place IS NOT NULL
            AND i.expires_at > {now} AND i.quantity > waitlist.remaining)
       ) AS i
  JOIN reservations r ON r.business_id = $1 AND r.id = i.reservation_id"
        )
    })
});

async fn read_waitlists(
    transaction: &Transaction,
    business: BusinessId,
    locked_stock: &mut LockedStock,
    wanted: &Wanted,
) -> Result<(), Error> {
    // A known reservation may be resolved: its hold is then released, or, if it waits, the one behind it comes first.
    let known = |product: ProductId| -> i64 {
        let items = locked_stock
            .reservations
            .values()
            .flat_map(|one| &one.items);
        items
            .filter(|item| (item.held || item.place.is_some()) && item.product_id == product)
            .map(|item| item.quantity)
            .sum()
    };
    let mut waitlists = Vec::new();
    for (&product_id, counts) in locked_stock
        .counts
        .iter()
        .filter(|(_, one)| one.waiting > 0)
    {
        // A product off sale: its whole waitlist is read, to be cancelled.
        if counts.inactive {
            waitlists.push(Waitlist {
                product_id,
                unreserved: 0,
                remaining: 0,
            });
            continue;
        }
        let change = wanted.change.get(&product_id).copied();
        let change = change.unwrap_or_default();
        let may_be_unreserved =
            (counts.unreserved() + known(product_id)).saturating_add(change.returned);
        waitlists.push(Waitlist {
            product_id,
            unreserved: may_be_unreserved.clamp(0, super::MAX_WAITING_PER_PRODUCT),
            remaining: counts.on_hand.saturating_sub(change.taken),
        });
    }
    if waitlists.is_empty() {
        return Ok(());
    }
    let statement = WAITLISTS
        .of(business)
        .value(locked_stock.now)
        .rows(&waitlists)
        .statement()?;
    for row in transaction.query_all_raw(statement).await? {
        add(locked_stock, &row)?;
        let (product, quantity): (ProductId, i64) =
            (row.try_get("", "product_id")?, row.try_get("", "quantity")?);
        let (place, id): (Option<i64>, ReservationId) =
            (row.try_get("", "place")?, row.try_get("", "id")?);
        if let (Some(counts), Some(place)) = (locked_stock.counts.get_mut(&product), place) {
            counts.waitlist.insert(place, (id, quantity));
        }
    }
    Ok(())
}
