//! Which orders credits settle: reading what settles what, and writing allocations with the figures that they change.
//!
//! The customers' rows are locked by whoever writes, the orders' rows after them.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::{AllocationId, BusinessId, CustomerId, Money, OrderId};
use rust_decimal::Decimal;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use crate::receivables::ledger::{Account, Credit, Used};
use crate::receivables::settlement::{Settling, Share};
use crate::{Error, Transaction};

/// What these shares come to for each order, in the order in which the orders were first settled.
pub(crate) fn by_order(shares: &[Share]) -> Vec<(OrderId, Money)> {
    let mut sums: Vec<(OrderId, Money)> = Vec::new();
    for share in shares {
        match sums.iter_mut().find(|(id, _)| *id == share.order_id) {
            Some((_, sum)) => *sum = *sum + share.used.amount,
            None => sums.push((share.order_id, share.used.amount)),
        }
    }
    sums
}

const SETTLING: &str = "
SELECT a.entry_number, e.kind, a.order_id, sum(a.amount)
  FROM allocations a
  JOIN ledger_entries e ON (e.business_id, e.customer_id, e.number) = (a.business_id, a.customer_id, a.entry_number)
 WHERE a.business_id = $1 AND a.customer_id = $2 AND (a.order_id = ANY ($3) OR a.entry_number = ANY ($4))
 GROUP BY a.entry_number, e.kind, a.order_id
HAVING sum(a.amount) <> 0
 ORDER BY a.entry_number, a.order_id";

/// What settles these orders of a customer, and which orders these credits of it settle.
pub(crate) async fn settling(
    transaction: &Transaction,
    business: BusinessId,
    customer: CustomerId,
    orders: Vec<Uuid>,
    entries: Vec<i64>,
) -> Result<Vec<Settling>, Error> {
    let values: [Value; 4] = [
        business.0.into(),
        customer.0.into(),
        orders.into(),
        entries.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, SETTLING, values);
    let mut found: BTreeMap<i64, Settling> = BTreeMap::new();
    for row in transaction.query_all_raw(statement).await? {
        let entry_number = row.try_get_by_index(0)?;
        let kind = row.try_get_by_index(1)?;
        let credit = found.entry(entry_number).or_insert(Settling {
            entry_number,
            kind,
            orders: Vec::new(),
        });
        let order = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        credit.orders.push(order);
    }
    Ok(found.into_values().collect())
}

/// A credit's share in settling an order; negative where it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allocation {
    pub(crate) customer_id: CustomerId,
    pub(crate) order_id: OrderId,
    pub(crate) used: Used,
    /// When it counts: never before the credit or the order was there.
    pub(crate) effective_at: DateTime<Utc>,
}

const ON_ACCOUNT: &str = "
SELECT c.customer_id, c.entry_number, e.kind, c.amount,
       greatest(e.effective_at, (SELECT max(a.effective_at) FROM allocations a
                                  WHERE a.business_id = c.business_id AND a.customer_id = c.customer_id
                                    AND a.entry_number = c.entry_number AND a.amount < 0),
                (SELECT max(p.effective_at) FROM payout_allocations p
                  WHERE p.business_id = c.business_id AND p.customer_id = c.customer_id
                    AND p.credit_entry = c.entry_number AND p.amount < 0))
  FROM credits_on_account c
  JOIN ledger_entries e ON (e.business_id, e.customer_id, e.number) = (c.business_id, c.customer_id, c.entry_number)
 WHERE c.business_id = $1 AND c.customer_id = ANY ($2)";

/// What is left of the credits of these customers, whose rows are locked.
pub(crate) async fn on_account(
    transaction: &Transaction,
    business: BusinessId,
    customers: Vec<Uuid>,
) -> Result<HashMap<CustomerId, Vec<(i64, Credit)>>, Error> {
    let values = [business.0.into(), customers.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, ON_ACCOUNT, values);
    let mut credits: HashMap<CustomerId, Vec<(i64, Credit)>> = HashMap::new();
    for row in transaction.query_all_raw(statement).await? {
        let credit = Credit {
            kind: row.try_get_by_index(2)?,
            amount: row.try_get_by_index(3)?,
            since: row.try_get_by_index(4)?,
        };
        let of = credits.entry(row.try_get_by_index(0)?).or_default();
        of.push((row.try_get_by_index(1)?, credit));
    }
    Ok(credits)
}

const WRITE: &str = "
WITH share AS (
    SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[], $6::numeric[], $7::timestamptz[], $8::boolean[])
        AS share (id, customer_id, entry_number, order_id, amount, effective_at, is_money)
), written AS (
    INSERT INTO allocations (business_id, id, customer_id, entry_number, order_id, amount, effective_at)
    SELECT $1, id, customer_id, entry_number, order_id, amount, effective_at FROM share
), settled AS (
    UPDATE orders
       SET amount_settled = amount_settled + sums.amount, amount_credited = amount_credited + sums.credited,
           updated_at = now()
      FROM (SELECT order_id, sum(amount) AS amount, coalesce(sum(amount) FILTER (WHERE NOT is_money), 0) AS credited
              FROM share GROUP BY order_id) AS sums
     WHERE orders.business_id = $1 AND orders.id = sums.order_id
 RETURNING 1
), rest AS (
    SELECT * FROM unnest($9::uuid[], $10::bigint[], $11::numeric[]) AS rest (customer_id, entry_number, amount)
), kept AS (
    INSERT INTO credits_on_account (business_id, customer_id, entry_number, amount)
    SELECT $1, customer_id, entry_number, amount FROM rest WHERE amount > 0
        ON CONFLICT (business_id, customer_id, entry_number) DO UPDATE SET amount = excluded.amount
), gone AS (
    DELETE FROM credits_on_account AS credit USING rest
     WHERE credit.business_id = $1 AND credit.customer_id = rest.customer_id
       AND credit.entry_number = rest.entry_number AND rest.amount = 0
), counted AS (
    UPDATE customers SET on_account = total.amount, updated_at = now()
      FROM unnest($12::uuid[], $13::numeric[]) AS total (customer_id, amount)
     WHERE customers.business_id = $1 AND customers.id = total.customer_id
 RETURNING 1
)
SELECT (SELECT count(*) FROM settled), (SELECT count(*) FROM counted)";

/// Writes allocations, what they settle of their orders, and what they leave of these accounts' credits. The orders and
/// the entries are there already.
pub(crate) async fn write(
    transaction: &Transaction,
    business: BusinessId,
    allocations: &[Allocation],
    accounts: &[(CustomerId, &Account)],
) -> Result<(), Error> {
    let each =
        |value: fn(&Allocation) -> Uuid| -> Vec<Uuid> { allocations.iter().map(value).collect() };
    let rest = || {
        accounts.iter().flat_map(|(customer, account)| {
            let credits = account.on_account.iter();
            credits.map(move |(number, credit)| (customer.0, *number, credit.amount.decimal()))
        })
    };
    let values = [
        business.0.into(),
        each(|_| AllocationId::new().0).into(),
        each(|share| share.customer_id.0).into(),
        allocations
            .iter()
            .map(|share| share.used.entry_number)
            .collect::<Vec<i64>>()
            .into(),
        each(|share| share.order_id.0).into(),
        allocations
            .iter()
            .map(|share| share.used.amount.decimal())
            .collect::<Vec<Decimal>>()
            .into(),
        allocations
            .iter()
            .map(|share| share.effective_at)
            .collect::<Vec<_>>()
            .into(),
        allocations
            .iter()
            .map(|share| share.used.kind == Kind::Payment)
            .collect::<Vec<bool>>()
            .into(),
        rest()
            .map(|(customer, ..)| customer)
            .collect::<Vec<Uuid>>()
            .into(),
        rest()
            .map(|(_, number, _)| number)
            .collect::<Vec<i64>>()
            .into(),
        rest()
            .map(|(.., amount)| amount)
            .collect::<Vec<Decimal>>()
            .into(),
        accounts
            .iter()
            .map(|(customer, _)| customer.0)
            .collect::<Vec<Uuid>>()
            .into(),
        accounts
            .iter()
            .map(|(_, account)| account.credit().decimal())
            .collect::<Vec<Decimal>>()
            .into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, WRITE, values);
    let row = transaction
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| Error::Bug("the allocations' statement answered nothing".into()))?;
    let written: (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let mut orders = each(|share| share.order_id.0);
    orders.sort_unstable();
    orders.dedup();
    let expected = (
        i64::try_from(orders.len()).unwrap_or(i64::MAX),
        i64::try_from(accounts.len()).unwrap_or(i64::MAX),
    );
    // Their rows are locked: one that is not there would be an amount that settles nothing.
    if written != expected {
        return Err(Error::Bug(format!(
            "{expected:?} orders and customers settled, {written:?} rows updated"
        )));
    }
    Ok(())
}
