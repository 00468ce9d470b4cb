//! Reversals: the shared part of reversing a bounced payment, a credit note, a write-off or a payout.
//!
//! Nothing is changed or deleted. A reversal is an entry of its own that names the entry it reverses. Each entry is
//! reversed at most once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::orders::Status;
use entity::{BusinessId, CustomerId, Money, OrderId, Tenant, reversals};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, Statement,
    Value,
};
use uuid::Uuid;

use crate::audit::{Action, Change};
use crate::receivables::accounts::LockedAccount;
use crate::receivables::allocations::settling;
use crate::receivables::payout_allocations::covering;
use crate::receivables::settlement::Settling;
use crate::{Caller, Error, Transaction};

/// When and why a document was reversed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reversal {
    /// The reason, as the caller wrote it.
    pub reason: String,
    /// When the reversal was entered.
    pub at: DateTime<Utc>,
}

/// The audit entry of a reversal.
pub(crate) fn reversed(
    locked: &LockedAccount,
    action: Action,
    entity_type: &'static str,
    entity_id: Uuid,
    reason: &str,
) -> Change {
    let mut after = locked.audit_snapshot();
    after["reason"] = reason.into();
    Change {
        action,
        entity_type,
        entity_id,
        before: Some(locked.audit_snapshot_before()),
        after,
    }
}

/// An entry that lowered the balance and is to be reversed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReversibleCredit {
    pub(crate) entry_number: i64,
    pub(crate) kind: Kind,
    pub(crate) amount: Money,
    /// The order that the entry is about, if any.
    pub(crate) about: Option<OrderId>,
}

/// Reverses a credit of a locked account. Locks the orders that the credit settles.
pub(crate) async fn undo(
    transaction: &Transaction,
    caller: &Caller,
    locked: &mut LockedAccount,
    credit: ReversibleCredit,
    reason: &str,
) -> Result<Reversal, Error> {
    let (business, customer) = (caller.business_id, locked.id());
    expect_unreversed(transaction, business, customer, credit.entry_number).await?;
    let entries = vec![credit.entry_number];
    let covering = covering(transaction, business, customer, Vec::new(), entries.clone()).await?;
    let settling = settling(transaction, business, customer, Vec::new(), entries).await?;
    let settling = settling.into_iter().next().unwrap_or(Settling {
        entry_number: credit.entry_number,
        kind: credit.kind,
        orders: Vec::new(),
    });
    let ids = settling.orders.iter().map(|(id, _)| *id);
    let ids: Vec<OrderId> = ids.chain(credit.about).collect();
    let orders = locked.lock_orders(transaction, ids).await?;
    // What was credited of a cancelled order settles it for good; the cancellation reversed the rest. A note of 0
    // settles nothing, so the return of its goods can still be corrected.
    let about = orders.iter().find(|order| Some(order.id) == credit.about);
    let closed = about.filter(|order| order.status == Status::Cancelled);
    if let Some(order) = closed
        && credit.amount > Money::ZERO
    {
        return Err(Error::OrderCancelled(order.id));
    }
    let number = locked
        .state
        .reverse(&settling, &covering, credit.amount, credit.about)?;
    locked.write(transaction).await?;
    let entries = ReversedEntry {
        number,
        reverses: credit.entry_number,
    };
    record(transaction, caller, locked, entries, reason).await
}

/// Checks that an entry of a locked account is not reversed yet.
///
/// # Errors
/// [`Error::AlreadyReversed`].
pub(crate) async fn expect_unreversed(
    transaction: &Transaction,
    business: BusinessId,
    customer: CustomerId,
    entry_number: i64,
) -> Result<(), Error> {
    let undone = reversals::Entity::of(business)
        .filter(reversals::Column::CustomerId.eq(customer))
        .filter(reversals::Column::Reverses.eq(entry_number))
        .one(transaction)
        .await?;
    undone.map_or(Ok(()), |_| Err(Error::AlreadyReversed))
}

/// A ledger entry that reverses another entry of the same customer, both by their numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReversedEntry {
    pub(crate) number: i64,
    pub(crate) reverses: i64,
}

/// Records that one entry reverses another. Both must already be inserted.
pub(crate) async fn record(
    transaction: &Transaction,
    caller: &Caller,
    locked: &LockedAccount,
    entries: ReversedEntry,
    reason: &str,
) -> Result<Reversal, Error> {
    let at = locked.state.now;
    let row = reversals::ActiveModel {
        business_id: Set(caller.business_id),
        customer_id: Set(locked.id()),
        entry_number: Set(entries.number),
        reverses: Set(entries.reverses),
        reason: Set(reason.to_owned()),
        created_by: Set(caller.user_id),
        created_at: Set(at),
    };
    reversals::Entity::insert(row)
        .exec_without_returning(transaction)
        .await?;
    Ok(Reversal {
        reason: reason.to_owned(),
        at,
    })
}

/// The current state of a credit.
#[derive(Debug, Default)]
pub(crate) struct CreditState {
    /// The part that settles each order.
    pub(crate) allocations: Vec<(OrderId, Money)>,
    /// The part that was paid out to the customer.
    pub(crate) paid_out: Money,
    /// `Some` once the credit is reversed.
    pub(crate) reversal: Option<Reversal>,
}

const ALLOCATED: &str = "
SELECT a.customer_id, a.entry_number AS number, a.order_id, sum(a.amount) AS amount
  FROM unnest($2::uuid[], $3::bigint[]) AS credit (customer_id, number)
  JOIN allocations a
    ON (a.business_id, a.customer_id, a.entry_number) = ($1, credit.customer_id, credit.number)
 GROUP BY a.customer_id, a.entry_number, a.order_id
HAVING sum(a.amount) <> 0
 ORDER BY min(a.created_at), a.order_id";

const PAID_OUT: &str = "
SELECT a.customer_id, a.credit_entry AS number, sum(a.amount) AS amount
  FROM unnest($2::uuid[], $3::bigint[]) AS credit (customer_id, number)
  JOIN payout_allocations a
    ON (a.business_id, a.customer_id, a.credit_entry) = ($1, credit.customer_id, credit.number)
 GROUP BY a.customer_id, a.credit_entry";

/// A row of [`ALLOCATED`]: a credit's net share of one order.
#[derive(FromQueryResult)]
struct Allocated {
    customer_id: CustomerId,
    number: i64,
    order_id: OrderId,
    amount: Money,
}

/// A row of [`REVERSED`].
#[derive(FromQueryResult)]
struct Reversed {
    customer_id: CustomerId,
    number: i64,
    reason: String,
    at: DateTime<Utc>,
}

/// A row of [`PAID_OUT`]: the part of a credit that covers payouts.
#[derive(FromQueryResult)]
struct PaidOut {
    customer_id: CustomerId,
    number: i64,
    amount: Money,
}

const REVERSED: &str = "
SELECT r.customer_id, r.reverses AS number, r.reason, r.created_at AS at
  FROM unnest($2::uuid[], $3::bigint[]) AS credit (customer_id, number)
  JOIN reversals r ON (r.business_id, r.customer_id, r.reverses) = ($1, credit.customer_id, credit.number)";

/// Reads the state of these credits, by customer and entry number. Credits that are not in the result settle nothing,
/// cover no payout and are not reversed. Three round trips.
pub(crate) async fn states(
    transaction: &Transaction,
    business: BusinessId,
    credits: &[(CustomerId, i64)],
) -> Result<HashMap<(CustomerId, i64), CreditState>, Error> {
    let mut states: HashMap<(CustomerId, i64), CreditState> = HashMap::new();
    if credits.is_empty() {
        return Ok(states);
    }
    let customers: Vec<Uuid> = credits.iter().map(|(customer, _)| customer.0).collect();
    let numbers: Vec<i64> = credits.iter().map(|(_, number)| *number).collect();
    let values: [Value; 3] = [business.0.into(), customers.into(), numbers.into()];
    let read = |sql| Statement::from_sql_and_values(DbBackend::Postgres, sql, values.clone());
    for row in Allocated::find_by_statement(read(ALLOCATED))
        .all(transaction)
        .await?
    {
        let state = states.entry((row.customer_id, row.number)).or_default();
        state.allocations.push((row.order_id, row.amount));
    }
    for credit in PaidOut::find_by_statement(read(PAID_OUT))
        .all(transaction)
        .await?
    {
        let entry = (credit.customer_id, credit.number);
        states.entry(entry).or_default().paid_out = credit.amount;
    }
    for row in Reversed::find_by_statement(read(REVERSED))
        .all(transaction)
        .await?
    {
        let state = states.entry((row.customer_id, row.number)).or_default();
        state.reversal = Some(Reversal {
            reason: row.reason,
            at: row.at,
        });
    }
    Ok(states)
}
