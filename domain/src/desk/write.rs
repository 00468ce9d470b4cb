//! The one statement that writes a batch's sales: orders on credit, lines, ledger entries, balances, stock, audit entries and answers.
//!
//! One statement instead of one a table is worth an eighth of the throughput. Every value travels in an array, so a batch
//! of any size is the same prepared statement. Foreign keys are checked at its end, so the order of its parts is free.

use entity::{BusinessId, CustomerId, EventId, LedgerEntryId, ProductId};
use rust_decimal::Decimal;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use serde_json::json;
use uuid::Uuid;

use super::command::Command;
use super::decision::BatchState;
use super::outcome::{Done, item_values, items};
use super::{audit_entries, card_orders};
use crate::audit::{Written, role_name};
use crate::desk::purchase::Receipt;
use crate::foundation::idempotency::StoredResponse;
use crate::receivables::allocations::{self, Allocation};
use crate::stock::locked_stock::{self, Kept, each};
use crate::{Error, Transaction};

/// One that came to an order.
struct Sold<'a> {
    command: &'a Command,
    receipt: &'a Receipt,
    response: &'a StoredResponse,
    /// Its entry in the audit trail.
    event_id: EventId,
}

impl<'a> Sold<'a> {
    fn of(done: &'a Done<'_>) -> Option<Self> {
        Some(Self {
            command: done.command,
            receipt: done.receipt()?,
            response: &done.response,
            event_id: EventId::new(),
        })
    }
}

const WRITE: &str = "
WITH new_orders AS (
    INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, due_at, created_by, created_at,
                        updated_at)
    SELECT $1, id, customer_id, 'approved', 'credit', total_amount, due_at, created_by, $26, $26
      FROM unnest($2::uuid[], $3::uuid[], $4::numeric[], $5::timestamptz[], $6::uuid[])
        AS sold (id, customer_id, total_amount, due_at, created_by)
), new_items AS (
    INSERT INTO order_items (business_id, order_id, product_id, line, sku, name, quantity, unit_price, line_total,
                             on_hand_after)
    SELECT $1, order_id, product_id, line, sku, name, quantity, unit_price, line_total, on_hand_after
      FROM unnest($7::uuid[], $8::uuid[], $9::int[], $10::text[], $11::text[], $12::bigint[], $13::numeric[],
                  $14::numeric[], $15::bigint[])
        AS item (order_id, product_id, line, sku, name, quantity, unit_price, line_total, on_hand_after)
), new_entries AS (
    INSERT INTO ledger_entries (business_id, customer_id, number, id, kind, amount, balance_after, order_id, effective_at,
                                created_at)
    SELECT $1, customer_id, number, id, 'charge', amount, balance_after, order_id, $26, $26
      FROM unnest($3::uuid[], $32::bigint[], $16::uuid[], $4::numeric[], $17::numeric[], $2::uuid[])
        AS entry (customer_id, number, id, amount, balance_after, order_id)
), new_events AS (
    INSERT INTO audit_events (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id, after)
    SELECT $1, id, 'order.approved', 'order', entity_id, actor_id, actor_role, request_id, after::jsonb
      FROM unnest($18::uuid[], $2::uuid[], $6::uuid[], $19::text[], $20::text[], $21::text[])
        AS event (id, entity_id, actor_id, actor_role, request_id, after)
), new_keys AS (
    INSERT INTO idempotency_keys (business_id, caller_id, key, request_hash, response)
    SELECT $1, caller_id, key, request_hash, response
      FROM unnest($22::uuid[], $23::text[], $24::bytea[], $25::bytea[])
        AS record (caller_id, key, request_hash, response)
), charged AS (
    UPDATE customers SET balance = account.balance, entry_count = account.entry_count, updated_at = now()
      FROM unnest($28::uuid[], $29::numeric[], $33::bigint[]) AS account (id, balance, entry_count)
     WHERE customers.business_id = $1 AND customers.id = account.id
 RETURNING 1
), taken AS (
    UPDATE inventory SET on_hand = stock.on_hand, reserved = stock.reserved, updated_at = now()
      FROM unnest($30::uuid[], $31::bigint[], $27::bigint[]) AS stock (product_id, on_hand, reserved)
     WHERE inventory.business_id = $1 AND inventory.product_id = stock.product_id
 RETURNING 1
)
SELECT (SELECT count(*) FROM charged) AS charged, (SELECT count(*) FROM taken) AS taken,
       pg_current_xact_id()::text::bigint AS transaction_id";

/// When stock is counted down that was sold on credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stock {
    /// With the orders: its rows are locked.
    Now,
    /// When its rows are locked, by [`super::pipeline::take`].
    Later,
}

/// Writes what was done and the rows of the books that it changed. Returns one of the entries of the audit trail, of which
/// everything that was done has one: the database can be asked for it when the answer to the commit is lost.
pub(super) async fn write(
    transaction: &Transaction,
    business: BusinessId,
    done: &[Done<'_>],
    books: &BatchState,
    stock: Stock,
) -> Result<Option<Written>, Error> {
    let sold: Vec<Sold<'_>> = done.iter().filter_map(Sold::of).collect();
    let written = match sold.as_slice() {
        [] => None,
        [first, ..] => {
            let transaction_id = write_orders(transaction, business, &sold, books, stock).await?;
            Some(Written {
                transaction_id,
                event_id: first.event_id,
            })
        }
    };
    let kept = done.iter().filter(|one| one.receipt().is_none());
    let keys = kept.filter_map(|one| {
        Some(Kept {
            caller: one.command.caller.user_id,
            claim: one.command.key.as_ref()?,
            response: &one.response,
        })
    });
    let events = audit_entries::events(done, &books.shelf);
    // A reservation points at the order that it has become, and an intent at both.
    card_orders::write_orders(transaction, business, done).await?;
    let also =
        locked_stock::write(transaction, business, &books.shelf, events, keys.collect()).await?;
    card_orders::write_intents(transaction, business, done).await?;
    Ok(written.or(also))
}

async fn write_orders(
    transaction: &Transaction,
    business: BusinessId,
    sold: &[Sold<'_>],
    books: &BatchState,
    stock: Stock,
) -> Result<i64, Error> {
    let (customers, mut products) = touched(sold);
    if stock == Stock::Later {
        products.clear();
    }
    let (charged, taken) = (customers.len(), products.len());
    let values = values(business, sold, books, customers, products);
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, WRITE, values);
    let row = transaction
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| Error::Bug("the desk's statement answered nothing".into()))?;
    let written: (i64, i64) = (row.try_get("", "charged")?, row.try_get("", "taken")?);
    // The rows were locked a moment ago: one that is not there any more would be a sale that nobody pays for.
    if written != (count(charged), count(taken)) {
        return Err(Error::Bug(format!(
            "{charged} customers and {taken} products sold, {written:?} rows updated"
        )));
    }
    use_credit(transaction, business, sold, books).await?;
    Ok(row.try_get("", "transaction_id")?)
}

/// Settles orders at once of customers who have paid ahead. Most batches have none.
async fn use_credit(
    transaction: &Transaction,
    business: BusinessId,
    sold: &[Sold<'_>],
    books: &BatchState,
) -> Result<(), Error> {
    let shares: Vec<Allocation> = sold
        .iter()
        .map(|sale| sale.receipt)
        .flat_map(|receipt| {
            receipt.credit_used.iter().map(|used| Allocation {
                customer_id: receipt.customer_id,
                order_id: receipt.order_id,
                used: *used,
                // A credit that was given while this purchase waited for the customer's row is younger than it.
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
        .filter_map(|id| Some((id, &books.accounts.get(&id)?.ledger)))
        .collect();
    allocations::write(transaction, business, &shares, &accounts).await
}

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// The customers and products that these sales changed, each once.
fn touched(sold: &[Sold<'_>]) -> (Vec<Uuid>, Vec<Uuid>) {
    let mut customers: Vec<Uuid> = sold.iter().map(|sale| sale.receipt.customer_id.0).collect();
    let mut products: Vec<Uuid> = sold
        .iter()
        .flat_map(|sale| sale.receipt.lines.iter().map(|line| line.product_id.0))
        .collect();
    for ids in [&mut customers, &mut products] {
        ids.sort_unstable();
        ids.dedup();
    }
    (customers, products)
}

/// The values of [`WRITE`], in the order of its numbers.
fn values(
    business: BusinessId,
    sold: &[Sold<'_>],
    books: &BatchState,
    customers: Vec<Uuid>,
    products: Vec<Uuid>,
) -> Vec<Value> {
    let accounts = || {
        let found = customers
            .iter()
            .map(|id| books.accounts.get(&CustomerId(*id)));
        found.flatten().map(|account| &account.ledger)
    };
    let balances: Vec<Decimal> = accounts()
        .map(|account| account.balance.decimal())
        .collect();
    let entry_counts: Vec<i64> = accounts().map(|account| account.entry_count).collect();
    let counts = || {
        let found = products
            .iter()
            .map(|id| books.shelf.counts.get(&ProductId(*id)));
        found.flatten()
    };
    let on_hand: Vec<i64> = counts().map(|counts| counts.on_hand).collect();
    let reserved: Vec<i64> = counts().map(|counts| counts.reserved).collect();

    let mut values: Vec<Value> = vec![business.0.into()];
    values.extend(order_values(sold));
    let items = items(
        sold.iter()
            .map(|sale| (sale.receipt.order_id, &sale.receipt.lines)),
    );
    values.extend(item_values(&items));
    // What is sold has left the shelf: a line without a count would be refused by the database.
    values.push(each(&items, |(.., line)| line.on_hand_after.unwrap_or(-1)));
    values.extend(entry_and_event_values(sold));
    values.extend(key_values(sold));
    values.extend([books.shelf.now.into(), reserved.into()]);
    values.extend([
        customers.into(),
        balances.into(),
        products.into(),
        on_hand.into(),
        each(sold, |sale| sale.receipt.charge.number),
        entry_counts.into(),
    ]);
    values
}

/// `$2` to `$6`.
fn order_values(sold: &[Sold<'_>]) -> [Value; 5] {
    [
        each(sold, |sale| sale.receipt.order_id.0),
        each(sold, |sale| sale.receipt.customer_id.0),
        each(sold, |sale| sale.receipt.total.decimal()),
        each(sold, |sale| sale.receipt.due_at),
        each(sold, |sale| sale.command.caller.user_id.0),
    ]
}

/// `$16` to `$21`.
fn entry_and_event_values(sold: &[Sold<'_>]) -> [Value; 6] {
    [
        each(sold, |_| LedgerEntryId::new().0),
        each(sold, |sale| sale.receipt.charge.balance_after.decimal()),
        each(sold, |sale| sale.event_id.0),
        each(sold, |sale| {
            role_name(sale.command.caller.authority.role()).to_owned()
        }),
        each(sold, |sale| sale.command.caller.request_id.clone()),
        each(sold, |sale| {
            json!({
                "status": "approved",
                "customer_id": sale.receipt.customer_id,
                "total_amount": sale.receipt.total.to_text(sale.receipt.currency),
                "customer_balance": sale.receipt.charge.balance_after.to_text(sale.receipt.currency),
            })
            .to_string()
        }),
    ]
}

/// `$22` to `$25`: for the sales that carry a key, in the keys' order, so that two batches with the same keys meet at
/// the first of them and not in a deadlock.
fn key_values(sold: &[Sold<'_>]) -> [Value; 4] {
    let mut keyed: Vec<_> = sold
        .iter()
        .filter_map(|sale| {
            Some((
                sale.command.caller.user_id.0,
                sale.command.key.as_ref()?,
                sale.response,
            ))
        })
        .collect();
    keyed.sort_unstable_by(|(a, left, _), (b, right, _)| (a, &left.key).cmp(&(b, &right.key)));
    [
        each(&keyed, |(caller, ..)| *caller),
        each(&keyed, |(_, key, _)| key.key.clone()),
        each(&keyed, |(_, key, _)| key.request_hash.to_vec()),
        each(&keyed, |(_, _, response)| response.bytes().to_vec()),
    ]
}
