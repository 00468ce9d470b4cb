//! Writing orders by card: the orders and their lines before the reservations that hold their stock, the intents that the
//! provider is to make after them.

use chrono::Duration;
use entity::BusinessId;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use super::command::Work;
use super::outcome::{Done, Executed, item_values, items};
use crate::card::checkout::{PlacedOrder, Terms};
use crate::stock::locked_stock::each;
use crate::{Error, Transaction};

/// After so long without its intent an order's placing is taken to have died: until then whoever placed it is at it.
const GRACE: Duration = Duration::seconds(15);

/// A line has no count: it is not a movement.
const ORDERS: &str = "
WITH new_orders AS (
    INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, due_at, created_by,
                        created_at, updated_at)
    SELECT $1, id, customer_id, 'created', 'card', total_amount, due_at, created_by, created_at, created_at
      FROM unnest($2::uuid[], $3::uuid[], $4::numeric[], $5::timestamptz[], $6::uuid[], $15::timestamptz[])
        AS placed (id, customer_id, total_amount, due_at, created_by, created_at)
)
INSERT INTO order_items (business_id, order_id, product_id, line, sku, name, quantity, unit_price, line_total)
SELECT $1, order_id, product_id, line, sku, name, quantity, unit_price, line_total
  FROM unnest($7::uuid[], $8::uuid[], $9::int[], $10::text[], $11::text[], $12::bigint[], $13::numeric[],
              $14::numeric[])
    AS item (order_id, product_id, line, sku, name, quantity, unit_price, line_total)";

const INTENTS: &str = "
INSERT INTO payment_intents (business_id, order_id, reservation_id, provider, amount, status, expires_at, next_try_at,
                             created_at, updated_at)
SELECT $1, order_id, reservation_id, provider, amount, 'requested', expires_at, next_try_at, created_at, created_at
  FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::numeric[], $6::timestamptz[], $7::timestamptz[],
              $8::timestamptz[])
    AS wanted (order_id, reservation_id, provider, amount, expires_at, next_try_at, created_at)";

/// The orders by card of a batch. Most batches have none.
fn placed<'a>(done: &'a [Done<'_>]) -> Vec<(&'a Done<'a>, &'a PlacedOrder, &'a Terms)> {
    done.iter()
        .filter_map(|one| match (&one.executed, &one.command.work) {
            (
                Executed::PlacedOrder(placed),
                Work::Checkout(_, terms) | Work::ConfirmByCard(_, terms),
            ) => Some((one, placed, terms)),
            _ => None,
        })
        .collect()
}

/// Writes the orders, before the reservations that they have become.
pub(super) async fn write_orders(
    transaction: &Transaction,
    business: BusinessId,
    done: &[Done<'_>],
) -> Result<(), Error> {
    let orders = placed(done);
    if orders.is_empty() {
        return Ok(());
    }
    let items = items(
        orders
            .iter()
            .map(|(_, placed, _)| (placed.order_id, &placed.lines)),
    );
    let mut values: Vec<Value> = vec![
        business.0.into(),
        each(&orders, |(_, placed, _)| placed.order_id.0),
        each(&orders, |(_, placed, _)| placed.customer_id.0),
        each(&orders, |(_, placed, _)| placed.total.decimal()),
        each(&orders, |(_, placed, _)| placed.expires_at),
        each(&orders, |(one, ..)| one.command.caller.user_id.0),
    ];
    values.extend(item_values(&items));
    values.push(each(&orders, |(_, placed, _)| placed.created_at));
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, ORDERS, values);
    transaction.execute_raw(statement).await?;
    Ok(())
}

/// Writes what the provider is to make, after the reservations.
pub(super) async fn write_intents(
    transaction: &Transaction,
    business: BusinessId,
    done: &[Done<'_>],
) -> Result<(), Error> {
    let orders = placed(done);
    if orders.is_empty() {
        return Ok(());
    }
    let values: [Value; 8] = [
        business.0.into(),
        each(&orders, |(_, placed, _)| placed.order_id.0),
        each(&orders, |(_, placed, _)| placed.reservation_id.0),
        each(&orders, |(.., terms)| terms.provider.to_owned()),
        each(&orders, |(_, placed, _)| placed.total.decimal()),
        each(&orders, |(_, placed, _)| placed.expires_at),
        each(&orders, |(_, placed, _)| placed.created_at + GRACE),
        each(&orders, |(_, placed, _)| placed.created_at),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, INTENTS, values);
    transaction.execute_raw(statement).await?;
    Ok(())
}
