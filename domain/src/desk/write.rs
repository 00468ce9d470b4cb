//! The one statement that writes a batch's sales on credit: orders, lines, ledger entries, balances, stock, audit
//! entries and stored responses.
//!
//! A single statement instead of one per table gains an eighth of the throughput. Every value travels in an array, so
//! that batches of any size share one prepared statement. Foreign keys are checked at its end, so its parts may run
//! in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use entity::ledger_entries::Kind;
use entity::orders::{PaymentMethod, Status};
use entity::{BusinessId, CustomerId, EventId, Money, ProductId};
use sea_orm::FromQueryResult;
use serde_json::json;

use super::command::Command;
use super::decision::BatchState;
use super::outcome::Done;
use super::pipeline::{Version, Versions};
use super::{audit_entries, card_orders};
use crate::audit::{Action, Change, Event, Written};
use crate::desk::purchase::Receipt;
use crate::foundation::idempotency::NewRecord;
use crate::foundation::rows::{ArrayStatement, Columns, Row, count};
use crate::orders::{NewItem, NewOrder, insert_terms};
use crate::receivables::allocations::{self, Allocation};
use crate::receivables::new_entries::{NewBalance, NewEntry};
use crate::stock::locked_stock::{self, StockLevel};
use crate::{Error, Transaction};

/// A command that became an order on credit.
struct Sold<'a> {
    command: &'a Command,
    receipt: &'a Receipt,
    /// The stored response to insert; `None` without an idempotency key.
    record: Option<NewRecord<'a>>,
    /// The id of its audit entry.
    event_id: EventId,
}

impl<'a> Sold<'a> {
    fn of(done: &'a Done<'_>) -> Option<Self> {
        Some(Self {
            command: done.command,
            receipt: done.receipt()?,
            record: done.record(),
            event_id: EventId::new(),
        })
    }

    fn order(&self) -> NewOrder<'a> {
        NewOrder {
            id: self.receipt.order_id,
            customer_id: self.receipt.customer_id,
            status: Status::Approved,
            payment_method: PaymentMethod::Credit,
            total: self.receipt.total,
            due_at: self.receipt.due_at,
            details: self.receipt.details.as_deref(),
            created_by: self.command.caller.user_id,
            created_at: self.receipt.created_at,
        }
    }

    fn entry(&self) -> NewEntry {
        NewEntry {
            customer_id: self.receipt.customer_id,
            posting: self.receipt.charge,
            kind: Kind::Charge,
            order_id: Some(self.receipt.order_id),
            effective_at: self.receipt.created_at,
            created_at: self.receipt.created_at,
        }
    }

    fn event(&self) -> Event<'a> {
        let text = |amount: Money| amount.to_text(self.receipt.currency);
        let mut after = json!({
            "status": "approved",
            "customer_id": self.receipt.customer_id,
            "total_amount": text(self.receipt.total),
            "customer_balance": text(self.receipt.charge.balance_after),
        });
        if let Some(details) = &self.receipt.details {
            details.add_to(&mut after);
        }
        Event {
            id: self.event_id,
            actor: (&self.command.caller).into(),
            change: Change {
                action: Action::OrderApproved,
                entity_type: "order",
                entity_id: self.receipt.order_id.0,
                before: None,
                after,
            },
        }
    }
}

/// A product's stock after the batch.
struct NewStock<'a> {
    product_id: ProductId,
    level: &'a StockLevel,
}

impl Row for NewStock<'_> {
    const NAME: &'static str = "new_stock";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("product_id", |new| new.product_id);
        columns.column("on_hand", |new| new.level.on_hand);
        columns.column("reserved", |new| new.level.reserved);
    }
}

/// Raw: one statement that writes all tables of a batch, where SeaORM would take a round trip for each.
static WRITE: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| {
        let orders = arrays.insert::<NewOrder<'_>>();
        let items = arrays.insert::<NewItem<'_>>();
        let entries = arrays.insert::<NewEntry>();
        let events = arrays.insert_returning::<Event<'_>>("transaction_id");
        let keys = arrays.insert::<NewRecord<'_>>();
        let charged = NewBalance::update(arrays);
        let stock = arrays.rows::<NewStock<'_>>();
        format!(
            "
WITH new_orders AS ({orders}),
     new_items AS ({items}),
     new_entries AS ({entries}),
     new_events AS ({events}),
     new_keys AS ({keys}),
     charged AS ({charged}
), taken AS (
    UPDATE inventory SET on_hand = new_stock.on_hand, reserved = new_stock.reserved, updated_at = now()
      FROM {stock}
     WHERE inventory.business_id = $1 AND inventory.product_id = new_stock.product_id
 RETURNING inventory.product_id, inventory.xmin::text::bigint AS version
)
SELECT (SELECT count(*) FROM charged) AS charged,
       (SELECT coalesce(array_agg(version ORDER BY product_id), '{{}}') FROM taken) AS versions,
       (SELECT max(transaction_id) FROM new_events) AS transaction_id"
        )
    })
});

/// The result of [`WRITE`].
#[derive(FromQueryResult)]
struct Counted {
    charged: i64,
    /// The row versions of the stock, by product id.
    versions: Vec<i64>,
    transaction_id: i64,
}

/// The result of writing a batch.
pub(super) struct WrittenBatch {
    /// One of the audit entries, of which every executed command has one. The database can be queried for it when the
    /// answer to the commit is lost.
    pub(super) entry: Option<Written>,
    /// The versions of the inventory rows that were decremented with the orders.
    pub(super) versions: Versions,
}

/// The time at which stock sold on credit is decremented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stock {
    /// With the orders, since its rows are locked.
    Now,
    /// At the end, when [`super::pipeline::take`] has locked its rows.
    Later,
}

/// Writes the executed commands and the changed rows of the batch state.
pub(super) async fn write(
    transaction: &Transaction,
    business: BusinessId,
    done: &[Done<'_>],
    state: &BatchState,
    stock: Stock,
) -> Result<WrittenBatch, Error> {
    let sold: Vec<Sold<'_>> = done.iter().filter_map(Sold::of).collect();
    let mut written = WrittenBatch {
        entry: None,
        versions: Versions::new(),
    };
    if let [first, ..] = sold.as_slice() {
        let counted = write_orders(transaction, business, &sold, state, stock).await?;
        written.entry = Some(Written {
            transaction_id: counted.transaction_id,
            event_id: first.event_id,
        });
        written.versions = counted.versions;
    }
    let others = done.iter().filter(|one| one.receipt().is_none());
    let keys = others.filter_map(Done::record);
    let events = audit_entries::events(done, &state.locked_stock);
    // A reservation references the order that it became, and an intent references both.
    card_orders::write_orders(transaction, business, done).await?;
    let also = locked_stock::write(
        transaction,
        business,
        &state.locked_stock,
        events,
        keys.collect(),
    )
    .await?;
    card_orders::write_intents(transaction, business, done).await?;
    written.entry = written.entry.or(also);
    Ok(written)
}

/// The number of the transaction, and the versions of the decremented stock.
struct WrittenOrders {
    transaction_id: i64,
    versions: Versions,
}

async fn write_orders(
    transaction: &Transaction,
    business: BusinessId,
    sold: &[Sold<'_>],
    state: &BatchState,
    stock: Stock,
) -> Result<WrittenOrders, Error> {
    let balances = balances(sold, state);
    let stock = match stock {
        Stock::Now => new_stock(sold, state),
        Stock::Later => Vec::new(),
    };
    let items = NewItem::of(
        sold.iter()
            .map(|sale| (sale.receipt.order_id, &sale.receipt.lines)),
    );
    // An order line on credit takes its units out of stock on hand, so the line is its own stock movement.
    if items.iter().any(|item| item.line.on_hand_after.is_none()) {
        return Err(Error::Bug("a line that was sold has no count".into()));
    }
    let orders: Vec<NewOrder<'_>> = sold.iter().map(Sold::order).collect();
    let entries: Vec<NewEntry> = sold.iter().map(Sold::entry).collect();
    let events: Vec<Event<'_>> = sold.iter().map(Sold::event).collect();
    let keys = NewRecord::in_order(sold.iter().filter_map(|sale| sale.record).collect());
    let statement = WRITE
        .of(business)
        .rows(&orders)
        .rows(&items)
        .rows(&entries)
        .rows(&events)
        .rows(&keys)
        .rows(&balances)
        .rows(&stock)
        .statement()?;
    let counted = Counted::find_by_statement(statement)
        .one(transaction)
        .await?
        .ok_or_else(|| Error::Bug("the desk's statement returned nothing".into()))?;
    // The rows were locked before; a missing one would be a sale without a charge.
    if counted.charged != count(balances.len()) || counted.versions.len() != stock.len() {
        return Err(Error::Bug(format!(
            "{} customers and {} products sold, {} and {} rows updated",
            balances.len(),
            stock.len(),
            counted.charged,
            counted.versions.len()
        )));
    }
    use_credit(transaction, business, sold, state).await?;
    let references = orders.iter().map(NewOrder::with_reference);
    insert_terms(transaction, business, references).await?;
    let products = stock.iter().map(|new| new.product_id);
    let versions = counted.versions.into_iter().map(Version::of_row);
    Ok(WrittenOrders {
        transaction_id: counted.transaction_id,
        versions: products.zip(versions).collect(),
    })
}

/// Settles the orders of customers with credit on account. Most batches have none.
async fn use_credit(
    transaction: &Transaction,
    business: BusinessId,
    sold: &[Sold<'_>],
    state: &BatchState,
) -> Result<(), Error> {
    let shares: Vec<Allocation> = sold
        .iter()
        .map(|sale| sale.receipt)
        .flat_map(|receipt| {
            receipt.credit_used.iter().map(|used| Allocation {
                customer_id: receipt.customer_id,
                order_id: receipt.order_id,
                used: *used,
                // A credit can be newer than the purchase when it was posted while the purchase waited for the
                // customer's row.
                effective_at: receipt.created_at.max(used.since),
            })
        })
        .collect();
    if shares.is_empty() {
        return Ok(());
    }
    let mut customers: Vec<CustomerId> = shares.iter().map(|share| share.customer_id).collect();
    customers.sort_unstable();
    customers.dedup();
    let accounts: Vec<_> = customers
        .into_iter()
        .filter_map(|id| Some((id, &state.buyers.get(&id)?.ledger)))
        .collect();
    allocations::write(transaction, business, &shares, &accounts).await
}

/// The accounts that these sales changed, by customer.
fn balances<'a>(sold: &[Sold<'_>], state: &'a BatchState) -> Vec<NewBalance<'a>> {
    let customers: BTreeSet<CustomerId> =
        sold.iter().map(|sale| sale.receipt.customer_id).collect();
    let balances = customers.into_iter().filter_map(|customer_id| {
        Some(NewBalance {
            customer_id,
            account: &state.buyers.get(&customer_id)?.ledger,
        })
    });
    balances.collect()
}

/// The stock levels that these sales changed, by product.
fn new_stock<'a>(sold: &[Sold<'_>], state: &'a BatchState) -> Vec<NewStock<'a>> {
    let lines = sold.iter().flat_map(|sale| &sale.receipt.lines);
    let levels: BTreeMap<ProductId, &StockLevel> = lines
        .filter_map(|line| {
            Some((
                line.product_id,
                state.locked_stock.counts.get(&line.product_id)?,
            ))
        })
        .collect();
    let stock = levels
        .into_iter()
        .map(|(product_id, level)| NewStock { product_id, level });
    stock.collect()
}
