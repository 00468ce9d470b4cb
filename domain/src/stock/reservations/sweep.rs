//! The sweeper: releases expired holds and allocates waitlists where no other transaction does it.
//!
//! Any number of processes may sweep at once. The sweeper never waits for a lock: it skips rows that are locked,
//! since their holder does the same work. It locks inventory rows by product id, then reservations. A pass costs a
//! few statements per 100 products.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::DateTime;
use entity::reservations::Status;
use entity::{BusinessId, EventId, ReservationId, Tenant, reservations};
use sea_orm::sea_query::{Expr, ExprTrait, PostgresQueryBuilder};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, FromQueryResult, QueryFilter, QuerySelect, Statement,
    Value,
};
use serde_json::json;

use crate::audit::{Action, Actor, Change, Event};
use crate::foundation::locks;
use crate::foundation::poller::Poller;
use crate::stock::locked_stock::{self, LockedStock, Wanted};
use crate::{Database, Error, Transaction};

/// The most products, and the most reservations, that one transaction sweeps.
const MAX_ROWS_PER_ROUND: i64 = 100;

/// Sweeps in the background.
#[derive(Debug, Default)]
pub struct Sweeper {
    /// The businesses with holds or waitlists.
    watch: Poller,
}

/// The result of sweeping a business.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// The number of products whose stock has changed.
    pub products: u64,
    /// The number of reservations that were marked as expired.
    pub expired: u64,
    /// Whether any reservation is still active or waiting.
    pub open: bool,
}

impl Sweeper {
    /// Adds a business in which stock is about to be held.
    pub fn watch(&self, business: BusinessId) {
        self.watch.add(business);
    }

    /// Sweeps until it is dropped. Errors are logged and retried.
    pub async fn run(&self, database: &Database) {
        let look = |business| async move {
            match sweep(database, business).await {
                Ok(swept) => swept.open,
                Err(error) => {
                    tracing::warn!(%error, %business, "expired reservations were not released; the next run retries");
                    true
                }
            }
        };
        self.watch.run(database, look).await;
    }
}

/// Sweeps a business until no expired hold and no allocatable waitlist is left, locked rows aside.
///
/// # Errors
/// [`Error::DatabaseUnavailable`]; [`Error::Contention`].
pub async fn sweep(database: &Database, business: BusinessId) -> Result<Swept, Error> {
    let mut all = Swept::default();
    loop {
        let transaction = database.begin(business).await?;
        let products = release_expired(&transaction, business).await?;
        let expired = mark(&transaction, business).await?;
        let open = reservations::Entity::of(business)
            .filter(reservations::Column::Status.is_in([Status::Waiting, Status::Active]))
            .limit(1)
            .one(&transaction)
            .await?;
        transaction.commit().await?;
        all.open = open.is_some();
        all.products += products;
        all.expired += expired;
        let most = MAX_ROWS_PER_ROUND.unsigned_abs();
        if products < most && expired < most {
            return Ok(all);
        }
    }
}

/// Locks stock that has expired holds, that can be allocated, or whose waitlist must end. Expired holds of unpaid
/// card orders are included only where there is a waitlist. Elsewhere the next transaction on the product releases
/// them, or the end of the order does.
///
/// Every row that is taken is changed, and is then not taken again. A waitlist whose head wants more than is
/// unreserved, but may get it later, is therefore excluded. A hundred of these would fill each pass, and all others
/// would never be swept.
static STOCK: LazyLock<String> = LazyLock::new(|| {
    let due = format!("inventory.product_id IN ({DUE_PRODUCTS})");
    locks::stock_on_sale_skip_locked()
        .and_where(Expr::cust(due))
        .to_string(PostgresQueryBuilder)
});

/// The condition of [`STOCK`]. Raw: two limited index walks, the second of which compares the head of each waitlist.
const DUE_PRODUCTS: &str = "
(SELECT i.product_id
   FROM reservations r
   JOIN reservation_items i ON i.business_id = $1 AND i.reservation_id = r.id AND (i.held OR i.place IS NOT NULL)
  WHERE r.business_id = $1 AND r.status IN ('waiting', 'active') AND r.expires_at <= now()
  LIMIT $2)
 UNION
(SELECT product_id FROM inventory
  WHERE business_id = $1 AND waiting > 0
    AND ((SELECT i.quantity FROM reservation_items i
           WHERE i.business_id = $1 AND i.product_id = inventory.product_id AND i.place IS NOT NULL
           ORDER BY i.place LIMIT 1) NOT BETWEEN on_hand - reserved + 1 AND on_hand
         OR EXISTS (SELECT FROM reservation_items i
                     WHERE i.business_id = $1 AND i.product_id = inventory.product_id
                       AND (i.held OR i.place IS NOT NULL) AND i.expires_at <= now())
         OR NOT EXISTS (SELECT FROM products p
                         WHERE p.business_id = $1 AND p.id = inventory.product_id AND p.active))
  LIMIT $2)";

async fn release_expired(transaction: &Transaction, business: BusinessId) -> Result<u64, Error> {
    let values: [Value; 2] = [business.0.into(), MAX_ROWS_PER_ROUND.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, STOCK.as_str(), values);
    let rows = transaction.query_all_raw(statement).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let mut locked_stock = LockedStock::new(DateTime::UNIX_EPOCH, HashMap::new());
    for row in &rows {
        locked_stock::put(&mut locked_stock, row)?;
    }
    locked_stock::read(transaction, business, &mut locked_stock, &Wanted::default()).await?;
    let changed = locked_stock.changed_products();
    locked_stock::write(transaction, business, &locked_stock, Vec::new(), Vec::new()).await?;
    Ok(u64::try_from(changed).unwrap_or(0))
}

/// Marks reservations as expired once none of their items holds or waits any more.
///
/// Raw: an update of the rows that a common table expression locks, returning a value from before.
static MARK: LazyLock<String> = LazyLock::new(|| {
    use reservations::Column;

    let holds = "EXISTS (SELECT FROM reservation_items i
        WHERE i.business_id = $1 AND i.reservation_id = reservations.id AND (i.held OR i.place IS NOT NULL))";
    let over = locks::reservations_skip_locked([Column::Id, Column::Status])
        .and_where(Expr::cust(
            "status IN ('waiting', 'active') AND expires_at <= now()",
        ))
        .and_where(Expr::cust(holds).not())
        .limit(MAX_ROWS_PER_ROUND.unsigned_abs())
        .to_string(PostgresQueryBuilder);
    format!(
        "
WITH over AS (
    {over}
)
UPDATE reservations SET status = 'expired', updated_at = now()
  FROM over
 WHERE reservations.business_id = $1 AND reservations.id = over.id
RETURNING reservations.id, over.status"
    )
});

/// A reservation that was marked, with its earlier status.
#[derive(FromQueryResult)]
struct Marked {
    id: ReservationId,
    status: Status,
}

async fn mark(transaction: &Transaction, business: BusinessId) -> Result<u64, Error> {
    let values: [Value; 1] = [business.0.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, MARK.as_str(), values);
    let mut events = Vec::new();
    for marked in Marked::find_by_statement(statement)
        .all(transaction)
        .await?
    {
        events.push(Event {
            id: EventId::new(),
            actor: Actor::system(business),
            change: Change {
                action: Action::ReservationExpired,
                entity_type: "reservation",
                entity_id: marked.id.0,
                before: Some(json!({ "status": marked.status })),
                after: json!({ "status": "expired" }),
            },
        });
    }
    let expired = events.len();
    let nothing = LockedStock::new(DateTime::UNIX_EPOCH, HashMap::new());
    locked_stock::write(transaction, business, &nothing, events, Vec::new()).await?;
    Ok(u64::try_from(expired).unwrap_or(0))
}
