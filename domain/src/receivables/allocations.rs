//! Allocations: reads which credits settle which orders, and writes allocations with the amounts derived from them.
//!
//! The caller holds the locks of the customers, and after them those of the orders. A write is one statement.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::{
    AllocationId, BusinessId, CustomerId, Money, OrderId, Tenant, allocations, ledger_entries,
};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ColumnTrait, DbBackend, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use uuid::Uuid;

use crate::foundation::rows::{ArrayStatement, Columns, Row, count};
use crate::receivables::ledger::{Account, Credit, Used};
use crate::receivables::settlement::{Settling, Share};
use crate::{Error, Transaction};

/// Sums the shares of each order, in the order of first settlement.
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

/// A credit's net share of one order.
#[derive(FromQueryResult)]
struct Settles {
    entry_number: i64,
    kind: Kind,
    order_id: OrderId,
    amount: Money,
}

/// Reads the credits that settle these orders of a customer, and the orders that these credits settle.
pub(crate) async fn settling(
    transaction: &Transaction,
    business: BusinessId,
    customer: CustomerId,
    orders: Vec<OrderId>,
    entries: Vec<i64>,
) -> Result<Vec<Settling>, Error> {
    use allocations::{Column, Entity};

    let settles = Entity::of(business)
        .inner_join(ledger_entries::Entity)
        .select_only()
        .columns([Column::EntryNumber, Column::OrderId])
        .column(ledger_entries::Column::Kind)
        .column_as(Column::Amount.sum(), "amount")
        .filter(Column::CustomerId.eq(customer))
        .filter(
            Column::OrderId
                .eq_any(orders)
                .or(Column::EntryNumber.eq_any(entries)),
        )
        .group_by(Column::EntryNumber)
        .group_by(Column::OrderId)
        .group_by(ledger_entries::Column::Kind)
        .having(Column::Amount.sum().ne(Money::ZERO))
        .order_by_asc(Column::EntryNumber)
        .order_by_asc(Column::OrderId)
        .into_model::<Settles>()
        .all(transaction)
        .await?;
    let mut found: BTreeMap<i64, Settling> = BTreeMap::new();
    for row in settles {
        let credit = found.entry(row.entry_number).or_insert(Settling {
            entry_number: row.entry_number,
            kind: row.kind,
            orders: Vec::new(),
        });
        credit.orders.push((row.order_id, row.amount));
    }
    Ok(found.into_values().collect())
}

/// A credit's share in settling an order. Negative when it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allocation {
    pub(crate) customer_id: CustomerId,
    pub(crate) order_id: OrderId,
    pub(crate) used: Used,
    /// When the share takes effect: not before the date of the credit, nor before that of the order.
    pub(crate) effective_at: DateTime<Utc>,
}

/// Raw: the latest of three dates, two of them from correlated subqueries, which SeaORM's builder would hide.
const ON_ACCOUNT: &str = "
SELECT c.customer_id, c.entry_number, e.kind, c.amount,
       greatest(e.effective_at, (SELECT max(a.effective_at) FROM allocations a
                                  WHERE a.business_id = c.business_id AND a.customer_id = c.customer_id
                                    AND a.entry_number = c.entry_number AND a.amount < 0),
                (SELECT max(p.effective_at) FROM payout_allocations p
                  WHERE p.business_id = c.business_id AND p.customer_id = c.customer_id
                    AND p.credit_entry = c.entry_number AND p.amount < 0)) AS since
  FROM credits_on_account c
  JOIN ledger_entries e ON (e.business_id, e.customer_id, e.number) = (c.business_id, c.customer_id, c.entry_number)
 WHERE c.business_id = $1 AND c.customer_id = ANY ($2)";

/// A row of [`ON_ACCOUNT`]: a credit with what is left of it.
#[derive(FromQueryResult)]
struct OnAccount {
    customer_id: CustomerId,
    entry_number: i64,
    kind: Kind,
    amount: Money,
    since: DateTime<Utc>,
}

/// Reads what is left of these customers' credits. The caller holds the customers' locks.
pub(crate) async fn on_account(
    transaction: &Transaction,
    business: BusinessId,
    customers: Vec<Uuid>,
) -> Result<HashMap<CustomerId, Vec<(i64, Credit)>>, Error> {
    let values = [business.0.into(), customers.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, ON_ACCOUNT, values);
    let mut credits: HashMap<CustomerId, Vec<(i64, Credit)>> = HashMap::new();
    for row in OnAccount::find_by_statement(statement)
        .all(transaction)
        .await?
    {
        let credit = Credit {
            kind: row.kind,
            amount: row.amount,
            since: row.since,
        };
        let of = credits.entry(row.customer_id).or_default();
        of.push((row.entry_number, credit));
    }
    Ok(credits)
}

impl Row for Allocation {
    const NAME: &'static str = "share";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("id", |_| AllocationId::new());
        columns.column("customer_id", |share| share.customer_id);
        columns.column("entry_number", |share| share.used.entry_number);
        columns.column("order_id", |share| share.order_id);
        columns.column("amount", |share| share.used.amount);
        columns.column("effective_at", |share| share.effective_at);
        columns.column("is_money", |share| share.used.kind == Kind::Payment);
    }
}

/// The rest of a credit. 0 deletes its row.
struct Rest {
    customer_id: CustomerId,
    entry_number: i64,
    amount: Money,
}

impl Row for Rest {
    const NAME: &'static str = "rest";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("customer_id", |rest| rest.customer_id);
        columns.column("entry_number", |rest| rest.entry_number);
        columns.column("amount", |rest| rest.amount);
    }
}

/// A customer's credit on account, after the write.
struct Total {
    customer_id: CustomerId,
    amount: Money,
}

impl Row for Total {
    const NAME: &'static str = "total";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("customer_id", |total| total.customer_id);
        columns.column("amount", |total| total.amount);
    }
}

/// Raw: one statement that writes four tables, where SeaORM would take a round trip for each.
static WRITE: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| {
        let (shares, rests, totals) = (
            arrays.rows::<Allocation>(),
            arrays.rows::<Rest>(),
            arrays.rows::<Total>(),
        );
        format!(
            "
WITH share AS (
    SELECT * FROM {shares}
), written AS (
    INSERT INTO allocations (business_id, id, customer_id, entry_number, order_id, amount, effective_at)
    SELECT $1, id, customer_id, entry_number, order_id, amount, effective_at FROM share
 RETURNING 1
), settled AS (
    UPDATE orders
       SET amount_settled = amount_settled + sums.amount, amount_credited = amount_credited + sums.credited,
           updated_at = now()
      FROM (SELECT order_id, sum(amount) AS amount, coalesce(sum(amount) FILTER (WHERE NOT is_money), 0) AS credited
              FROM share GROUP BY order_id) AS sums
     WHERE orders.business_id = $1 AND orders.id = sums.order_id
 RETURNING 1
), rest AS (
    SELECT * FROM {rests}
), kept AS (
    INSERT INTO credits_on_account (business_id, customer_id, entry_number, amount)
    SELECT $1, customer_id, entry_number, amount FROM rest WHERE amount > 0
        ON CONFLICT (business_id, customer_id, entry_number) DO UPDATE SET amount = excluded.amount
 RETURNING 1
), gone AS (
    DELETE FROM credits_on_account AS credit USING rest
     WHERE credit.business_id = $1 AND credit.customer_id = rest.customer_id
       AND credit.entry_number = rest.entry_number AND rest.amount = 0
 RETURNING 1
), counted AS (
    UPDATE customers SET on_account = total.amount, updated_at = now()
      FROM {totals}
     WHERE customers.business_id = $1 AND customers.id = total.customer_id
 RETURNING 1
)
SELECT (SELECT count(*) FROM settled) AS settled, (SELECT count(*) FROM counted) AS counted"
        )
    })
});

/// The numbers of orders and customers that [`WRITE`] updated.
#[derive(FromQueryResult)]
struct Updated {
    settled: i64,
    counted: i64,
}

/// Writes allocations, the settled amounts of their orders, and what is left of these accounts' credits. The orders and
/// entries must already be inserted.
pub(crate) async fn write(
    transaction: &Transaction,
    business: BusinessId,
    allocations: &[Allocation],
    accounts: &[(CustomerId, &Account)],
) -> Result<(), Error> {
    let rests: Vec<Rest> = accounts
        .iter()
        .flat_map(|(customer_id, account)| {
            let credits = account.on_account.iter();
            credits.map(|(number, credit)| Rest {
                customer_id: *customer_id,
                entry_number: *number,
                amount: credit.amount,
            })
        })
        .collect();
    let totals: Vec<Total> = accounts
        .iter()
        .map(|(customer_id, account)| Total {
            customer_id: *customer_id,
            amount: account.credit(),
        })
        .collect();
    let statement = WRITE
        .of(business)
        .rows(allocations)
        .rows(&rests)
        .rows(&totals)
        .statement()?;
    let updated = Updated::find_by_statement(statement)
        .one(transaction)
        .await?
        .ok_or_else(|| Error::Bug("the statement of the allocations returned nothing".into()))?;
    let written = (updated.settled, updated.counted);
    let orders: HashSet<OrderId> = allocations.iter().map(|share| share.order_id).collect();
    let expected = (count(orders.len()), count(totals.len()));
    // The rows are locked. A missing one would mean an allocated amount that settles nothing.
    if written != expected {
        return Err(Error::Bug(format!(
            "{expected:?} orders and customers settled, {written:?} rows updated"
        )));
    }
    Ok(())
}
