//! Reversals: the shared part of reversing a bounced payment, a credit note, a write-off or a payout.
//!
//! Nothing is changed or deleted. A reversal is an entry of its own that names the entry it reverses. Each entry is
//! reversed at most once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::orders::Status;
use entity::{
    BusinessId, CustomerId, Money, OrderId, Tenant, allocations, payout_allocations, reversals,
};
use sea_orm::sea_query::{Expr, ExprTrait, Func, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Select,
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

/// A credit's net share of one order.
#[derive(FromQueryResult)]
struct Allocated {
    customer_id: CustomerId,
    entry_number: i64,
    order_id: OrderId,
    amount: Money,
}

/// The part of a credit that covers payouts.
#[derive(FromQueryResult)]
struct PaidOut {
    customer_id: CustomerId,
    credit_entry: i64,
    amount: Money,
}

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
    for row in allocated(business, credits)
        .into_model::<Allocated>()
        .all(transaction)
        .await?
    {
        let entry = (row.customer_id, row.entry_number);
        let state = states.entry(entry).or_default();
        state.allocations.push((row.order_id, row.amount));
    }
    for row in paid_out(business, credits)
        .into_model::<PaidOut>()
        .all(transaction)
        .await?
    {
        let entry = (row.customer_id, row.credit_entry);
        states.entry(entry).or_default().paid_out = row.amount;
    }
    let key = (reversals::Column::CustomerId, reversals::Column::Reverses);
    let reversed = reversals::Entity::of(business).filter(is_one_of(key, credits));
    for row in reversed.all(transaction).await? {
        let entry = (row.customer_id, row.reverses);
        states.entry(entry).or_default().reversal = Some(Reversal {
            reason: row.reason,
            at: row.created_at,
        });
    }
    Ok(states)
}

/// As [`states`], of one credit.
pub(crate) async fn state(
    transaction: &Transaction,
    business: BusinessId,
    credit: (CustomerId, i64),
) -> Result<CreditState, Error> {
    let mut states = states(transaction, business, &[credit]).await?;
    Ok(states.remove(&credit).unwrap_or_default())
}

/// The orders that each credit settles, in the order of their first allocation.
fn allocated(business: BusinessId, credits: &[(CustomerId, i64)]) -> Select<allocations::Entity> {
    use allocations::Column;

    allocations::Entity::of(business)
        .select_only()
        .columns([Column::CustomerId, Column::EntryNumber, Column::OrderId])
        .column_as(Column::Amount.sum(), "amount")
        .filter(is_one_of(
            (Column::CustomerId, Column::EntryNumber),
            credits,
        ))
        .group_by(Column::CustomerId)
        .group_by(Column::EntryNumber)
        .group_by(Column::OrderId)
        .having(Column::Amount.sum().ne(Money::ZERO))
        .order_by_asc(Column::CreatedAt.min())
        .order_by_asc(Column::OrderId)
}

fn paid_out(
    business: BusinessId,
    credits: &[(CustomerId, i64)],
) -> Select<payout_allocations::Entity> {
    use payout_allocations::Column;

    payout_allocations::Entity::of(business)
        .select_only()
        .columns([Column::CustomerId, Column::CreditEntry])
        .column_as(Column::Amount.sum(), "amount")
        .filter(is_one_of(
            (Column::CustomerId, Column::CreditEntry),
            credits,
        ))
        .group_by(Column::CustomerId)
        .group_by(Column::CreditEntry)
}

/// `(customer, number) IN (SELECT unnest(…), unnest(…))`. With arrays, any number of credits shares one prepared
/// statement.
fn is_one_of<C: ColumnTrait>((customer, number): (C, C), credits: &[(CustomerId, i64)]) -> Expr {
    let customers: Vec<Uuid> = credits.iter().map(|(customer, _)| customer.0).collect();
    let numbers: Vec<i64> = credits.iter().map(|(_, number)| *number).collect();
    let credits = Query::select()
        .expr(Func::cust("unnest").arg(customers))
        .expr(Func::cust("unnest").arg(numbers))
        .to_owned();
    Expr::tuple([customer.into_expr(), number.into_expr()]).in_subquery(credits)
}
