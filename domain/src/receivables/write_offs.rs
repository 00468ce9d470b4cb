//! Write-offs: amounts due on an order that a business gives up.
//!
//! Locks the customer, then the order.

use entity::ledger_entries::Kind;
use entity::{CustomerId, Money, OrderId, Tenant, WriteOffId, write_offs};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};

use crate::audit::{self, Action, Change};
use crate::orders::{self, About, credited};
use crate::receivables::accounts::{LockedAccount, Posted};
use crate::receivables::documents::{self, Document};
use crate::receivables::reversals::{self, CreditState, Reversal, ReversibleCredit};
use crate::{Caller, Database, Error, Outcome, Page, Paging, Transaction, WriteRequest};

/// A write-off with its reversal.
#[derive(Debug, Clone)]
pub struct WriteOff {
    /// The write-off.
    pub write_off: write_offs::Model,
    /// `Some` once the write-off is reversed.
    pub reversal: Option<Reversal>,
}

impl Document for WriteOff {
    type Entity = write_offs::Entity;
    type Id = WriteOffId;

    fn id(row: &write_offs::Model) -> WriteOffId {
        row.id
    }

    fn entry(row: &write_offs::Model) -> (CustomerId, i64) {
        (row.customer_id, row.entry_number)
    }

    fn of(write_off: write_offs::Model, state: CreditState) -> Self {
        Self {
            write_off,
            reversal: state.reversal,
        }
    }
}

/// Input of a new write-off.
#[derive(Debug, Clone)]
pub struct NewWriteOff {
    /// The order.
    pub order_id: OrderId,
    /// The amount. `None` is all that is due.
    pub amount: Option<Money>,
    /// Why, as the caller wrote it.
    pub reason: String,
}

/// Writes off an amount of an order, or all that is due.
///
/// # Errors
/// [`Error::OrderNotFound`], also for an order that is not on credit; [`Error::Overpayment`] for more than is due, or
/// when nothing is due; [`Error::MoreThanCharged`]; those of [`WriteRequest`].
pub async fn create(
    database: &Database,
    request: &WriteRequest<'_, Posted<WriteOff>>,
    new: &NewWriteOff,
) -> Result<Outcome<Posted<WriteOff>>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let order_id = new.order_id;
            let customer = orders::owner(transaction, caller, order_id).await?;
            let mut locked = LockedAccount::of(transaction, caller, customer).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let order = locked.lock_order(transaction, order_id).await?;
            let due = order.amount_due;
            let amount = new.amount.unwrap_or(due);
            if amount > due || amount == Money::ZERO {
                return Err(Error::Overpayment {
                    amount_due: due,
                    order_id: Some(order_id),
                });
            }
            // An amount that was credited is not written off as well: the customer may pay with it.
            let credited = credited::of(transaction, caller.business_id, order_id).await?;
            credited::check(&order, &credited, amount)?;
            let entry_number = locked.state.credit(Kind::WriteOff, order_id, amount)?;
            locked.write(transaction).await?;
            let write_off = write_offs::Model {
                business_id: caller.business_id,
                id: WriteOffId::new(),
                customer_id: customer,
                entry_number,
                order_id,
                amount,
                reason: new.reason.clone(),
                created_by: caller.user_id,
                created_at: locked.state.now,
            };
            write_offs::Entity::insert(write_off.clone().into_active_model().reset_all())
                .exec_without_returning(transaction)
                .await?;
            let event = created(&locked, &write_off, caller);
            audit::record(transaction, caller, event).await?;
            let write_off = WriteOff {
                write_off,
                reversal: None,
            };
            write.finish(locked.posted(write_off)).await
        })
        .await
}

fn created(locked: &LockedAccount, write_off: &write_offs::Model, caller: &Caller) -> Change {
    let mut after = locked.audit_snapshot();
    after["order_id"] = write_off.order_id.to_string().into();
    after["amount"] = write_off.amount.to_text(caller.currency).into();
    after["reason"] = write_off.reason.clone().into();
    Change {
        action: Action::WriteOffCreated,
        entity_type: "write_off",
        entity_id: write_off.id.0,
        before: Some(locked.audit_snapshot_before()),
        after,
    }
}

/// Reads a write-off.
///
/// # Errors
/// [`Error::WriteOffNotFound`].
pub async fn read(database: &Database, caller: &Caller, id: WriteOffId) -> Result<WriteOff, Error> {
    let write_off = write_offs::Entity::by_id(caller.business_id, id);
    documents::read(database, caller, write_off, Error::WriteOffNotFound(id)).await
}

/// Lists write-offs, the newest first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    filter: &About,
    paging: &Paging<WriteOffId>,
) -> Result<Page<WriteOff, WriteOffId>, Error> {
    use write_offs::Column;

    let columns = (Column::OrderId, Column::CreatedAt);
    let rows = filter
        .rows::<write_offs::Entity>(database, caller, columns)
        .await?;
    let rows = paging.descending(rows, Column::Id);
    documents::list(database, caller, rows, paging).await
}

async fn find(
    transaction: &Transaction,
    caller: &Caller,
    id: WriteOffId,
) -> Result<write_offs::Model, Error> {
    write_offs::Entity::by_id(caller.business_id, id)
        .one(transaction)
        .await?
        .ok_or(Error::WriteOffNotFound(id))
}

/// Reverses a write-off: its order is due again.
///
/// # Errors
/// [`Error::WriteOffNotFound`]; [`Error::AlreadyReversed`]; [`Error::CreditPaidOut`]; [`Error::OrderCancelled`] for a
/// cancelled order; those of [`WriteRequest`].
pub async fn reverse(
    database: &Database,
    request: &WriteRequest<'_, Posted<WriteOff>>,
    id: WriteOffId,
    reason: &str,
) -> Result<Outcome<Posted<WriteOff>>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let write_off = find(transaction, caller, id).await?;
            let mut locked = LockedAccount::of(transaction, caller, write_off.customer_id).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let credit = ReversibleCredit {
                entry_number: write_off.entry_number,
                kind: Kind::WriteOff,
                amount: write_off.amount,
                about: Some(write_off.order_id),
            };
            let reversal =
                reversals::undo(transaction, caller, &mut locked, credit, reason).await?;
            let event =
                reversals::reversed(&locked, Action::WriteOffReversed, "write_off", id.0, reason);
            audit::record(transaction, caller, event).await?;
            let write_off = WriteOff {
                write_off,
                reversal: Some(reversal),
            };
            write.finish(locked.posted(write_off)).await
        })
        .await
}
