//! Ledger and statements of customers' accounts, read only.
//!
//! The ledger lists entries in the order of entering. A statement lists the entries of a span by the time at which they
//! take effect.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use entity::ledger_entries::Kind;
use entity::{
    CreditNoteId, CustomerId, LedgerEntryId, Money, OrderId, PaymentId, PayoutId, Tenant,
    WriteOffId, customers, ledger_entries, orders,
};
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Func};
use sea_orm::{
    ColumnTrait, DbBackend, FromQueryResult, QueryFilter, QuerySelect, Statement as Sql, Value,
};

use crate::foundation::clock;
use crate::foundation::dates::When;
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// An entry with the details of its document.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Entry {
    /// The entry's id.
    pub id: LedgerEntryId,
    /// The entry's number in the account, from 1.
    pub number: i64,
    /// The kind of the entry.
    pub kind: Kind,
    /// The change of the balance.
    pub amount: Money,
    /// The balance after the entry: in the ledger by order of entering, in a statement by order of effect.
    pub balance_after: Money,
    /// The order that the entry charges, credits or writes off.
    pub order_id: Option<OrderId>,
    /// The buyer's own number of that order.
    #[sea_orm(skip)]
    pub order_reference: Option<String>,
    /// The payment, if the entry is one.
    pub payment_id: Option<PaymentId>,
    /// The payout, if the entry is one.
    pub payout_id: Option<PayoutId>,
    /// The method of the payment or payout.
    pub method: Option<String>,
    /// The external reference of the payment or payout.
    pub reference: Option<String>,
    /// The credit note, if the entry is one.
    pub credit_note_id: Option<CreditNoteId>,
    /// The write-off, if the entry is one.
    pub write_off_id: Option<WriteOffId>,
    /// The entry that this one reverses.
    pub reverses: Option<LedgerEntryId>,
    /// The reason of a credit note, write-off or reversal.
    pub reason: Option<String>,
    /// When the entry takes effect.
    pub effective_at: DateTime<Utc>,
    /// When the entry was entered.
    pub created_at: DateTime<Utc>,
}

/// The entries of an account in a span of time.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The customer whose account it is.
    pub customer: customers::Model,
    /// The end of the span, exclusive.
    pub until: DateTime<Utc>,
    /// The last day of the business that the span covers, wholly or in part.
    pub last_day: NaiveDate,
    /// The balance at the start of the span.
    pub opening_balance: Money,
    /// The entries that take effect in the span, by the time of effect.
    pub entries: Vec<Entry>,
    /// The sum of each kind of entry.
    pub totals: Totals,
    /// The balance at the end of the span.
    pub closing_balance: Money,
}

/// The sum of each kind of entry, with the entries' signs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sales on credit.
    pub charges: Money,
    /// Money received; negative.
    pub payments: Money,
    /// Credit notes; negative.
    pub credit_notes: Money,
    /// Write-offs; negative.
    pub write_offs: Money,
    /// Credit on account that was paid out.
    pub payouts: Money,
    /// Reversals of all other kinds.
    pub reversals: Money,
}

/// The maximum of entries in one statement. It bounds the memory of a response.
pub const MAX_ENTRIES: usize = 10_000;

/// On tables that were empty when last analysed, the planner expects one entry and scans the account for each actual
/// one. A statement of 10,000 entries then takes 45 s instead of 30 ms.
const PLANNING: &[&str] = &["enable_nestloop = off"];

/// Raw: six outer joins on composite keys, which would be longer in SeaORM's builder and no clearer.
const ENTRIES: &str = "
SELECT e.id, e.number, e.kind, e.amount, e.balance_after,
       coalesce(e.order_id, n.order_id, w.order_id, u.order_id) AS order_id,
       p.id AS payment_id, x.id AS payout_id, coalesce(p.method, x.method) AS method,
       coalesce(p.reference, x.reference) AS reference, n.id AS credit_note_id, w.id AS write_off_id, u.id AS reverses,
       coalesce(n.reason, w.reason, r.reason) AS reason, e.effective_at, e.created_at
  FROM ledger_entries e
  LEFT JOIN payments p
    ON (p.business_id, p.customer_id, p.entry_number) = (e.business_id, e.customer_id, e.number)
  LEFT JOIN payouts x
    ON (x.business_id, x.customer_id, x.entry_number) = (e.business_id, e.customer_id, e.number)
  LEFT JOIN credit_notes n
    ON (n.business_id, n.customer_id, n.entry_number) = (e.business_id, e.customer_id, e.number)
  LEFT JOIN write_offs w
    ON (w.business_id, w.customer_id, w.entry_number) = (e.business_id, e.customer_id, e.number)
  LEFT JOIN reversals r
    ON (r.business_id, r.customer_id, r.entry_number) = (e.business_id, e.customer_id, e.number)
  LEFT JOIN ledger_entries u
    ON (u.business_id, u.customer_id, u.number) = (r.business_id, r.customer_id, r.reverses)
 WHERE e.business_id = $1 AND e.customer_id = $2";

/// The part of [`ENTRIES`] that selects a page of a ledger.
const BEFORE: &str = "AND e.number < $3 ORDER BY e.number DESC LIMIT $4";

/// The part of [`ENTRIES`] that selects a span.
const IN_SPAN: &str = "
   AND ($3::timestamptz IS NULL OR e.effective_at >= $3) AND e.effective_at < $4 ORDER BY e.effective_at, e.number";

/// Lists the entries of an account, the newest first.
///
/// # Errors
/// [`Error::CustomerNotFound`], also when the caller may not see the customer.
pub async fn ledger(
    database: &Database,
    caller: &Caller,
    customer: CustomerId,
    paging: &Paging<i64>,
) -> Result<Page<Entry, i64>, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        visible(&transaction, caller, customer).await?;
        let more = [
            paging.after.unwrap_or(i64::MAX).into(),
            i64::try_from(paging.rows()).unwrap_or(i64::MAX).into(),
        ];
        let rows = entries(&transaction, caller, customer, BEFORE, more).await?;
        transaction.commit().await?;
        Ok(Page::of(rows, paging, |entry| entry.number))
    })
    .await
}

/// Reads the entries of a span. Without `from` it starts with the account; without `to` it ends now.
///
/// # Errors
/// [`Error::CustomerNotFound`], also when the caller may not see the customer; [`Error::ImpossibleDate`];
/// [`Error::BackwardSpan`]; [`Error::StatementTooLong`].
pub async fn statement(
    database: &Database,
    caller: &Caller,
    customer: CustomerId,
    from: Option<When>,
    to: Option<When>,
) -> Result<Statement, Error> {
    retry(|| async {
        let transaction = database
            .begin_snapshot(caller.business_id, PLANNING)
            .await?;
        let customer = visible(&transaction, caller, customer).await?;
        let clock = clock::of(&transaction, caller.business_id).await?;
        if let Some(to) = to {
            to.not_before_1970("to")?;
        }
        let until = clock.until(to);
        let start = from.map(|from| from.start(clock.time_zone));
        let is_backward = match (from, to) {
            (Some(When::Day(first)), Some(When::Day(last))) if first > last => true,
            _ => start.is_some_and(|start| start > until),
        };
        if is_backward {
            return Err(Error::BackwardSpan);
        }
        let (opening_balance, count) =
            opening(&transaction, caller, customer.id, start, until).await?;
        if count > MAX_ENTRIES {
            return Err(Error::StatementTooLong { count });
        }
        let bounds = [start.into(), until.into()];
        let mut entries = entries(&transaction, caller, customer.id, IN_SPAN, bounds).await?;
        transaction.commit().await?;
        let last_day = clock.last_day(until);
        let (totals, closing_balance) = add_up(opening_balance, &mut entries);
        Ok(Statement {
            customer,
            until,
            last_day,
            opening_balance,
            entries,
            totals,
            closing_balance,
        })
    })
    .await
}

/// Sets the balance after each entry, and returns the totals by kind and the closing balance.
fn add_up(opening_balance: Money, entries: &mut [Entry]) -> (Totals, Money) {
    let mut balance = opening_balance;
    let mut totals = Totals::default();
    for entry in entries {
        balance = balance + entry.amount;
        entry.balance_after = balance;
        let total = match entry.kind {
            Kind::Charge => &mut totals.charges,
            Kind::Payment => &mut totals.payments,
            Kind::CreditNote => &mut totals.credit_notes,
            Kind::WriteOff => &mut totals.write_offs,
            Kind::Payout => &mut totals.payouts,
            Kind::Reversal => &mut totals.reversals,
        };
        *total = *total + entry.amount;
    }
    (totals, balance)
}

/// The customer, if the caller may see them.
async fn visible(
    transaction: &Transaction,
    caller: &Caller,
    id: CustomerId,
) -> Result<customers::Model, Error> {
    customers::Entity::by_id(caller.business_id, id)
        .one(transaction)
        .await?
        .filter(|customer| caller.may_act_for(customer.id))
        .ok_or(Error::CustomerNotFound(id))
}

async fn entries(
    transaction: &Transaction,
    caller: &Caller,
    customer: CustomerId,
    which: &str,
    more: [Value; 2],
) -> Result<Vec<Entry>, Error> {
    let [third, fourth] = more;
    let values = [
        caller.business_id.0.into(),
        customer.0.into(),
        third,
        fourth,
    ];
    let sql = format!("{ENTRIES} {which}");
    let statement = Sql::from_sql_and_values(DbBackend::Postgres, sql, values);
    let mut entries = Entry::find_by_statement(statement).all(transaction).await?;
    add_references(transaction, caller, &mut entries).await?;
    Ok(entries)
}

/// Adds the references of the entries' orders. A join would read all orders of the business: see [`PLANNING`].
async fn add_references(
    transaction: &Transaction,
    caller: &Caller,
    entries: &mut [Entry],
) -> Result<(), Error> {
    let mut ids: Vec<OrderId> = entries.iter().filter_map(|entry| entry.order_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    ids.sort_unstable();
    ids.dedup();
    let references: HashMap<OrderId, String> = orders::Entity::of(caller.business_id)
        .select_only()
        .columns([orders::Column::Id, orders::Column::Reference])
        .filter(orders::Column::Id.eq_any(ids))
        .filter(orders::Column::Reference.is_not_null())
        .into_tuple::<(OrderId, String)>()
        .all(transaction)
        .await?
        .into_iter()
        .collect();
    for entry in entries {
        let order = entry.order_id.as_ref();
        entry.order_reference = order.and_then(|id| references.get(id).cloned());
    }
    Ok(())
}

/// The balance at the start of the span, and the number of entries in it.
async fn opening(
    transaction: &Transaction,
    caller: &Caller,
    customer: CustomerId,
    from: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
) -> Result<(Money, usize), Error> {
    use ledger_entries::Column;

    let at = || Column::EffectiveAt.into_expr();
    let (before, since) = match from {
        Some(from) => (at().lt(from), at().gte(from)),
        None => (Expr::cust("false"), Expr::cust("true")),
    };
    let sum = Func::sum(Column::Amount.into_expr()).filter(before);
    let count = Func::count(Expr::col(Asterisk)).filter(since.and(at().lt(until)));
    let (sum, count): (Option<Money>, i64) = ledger_entries::Entity::of(caller.business_id)
        .select_only()
        .expr_as(sum, "opening_balance")
        .expr_as(count, "entries")
        .filter(Column::CustomerId.eq(customer))
        .into_tuple()
        .one(transaction)
        .await?
        .ok_or_else(|| Error::Bug("a sum returned nothing".into()))?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    Ok((sum.unwrap_or(Money::ZERO), count))
}
