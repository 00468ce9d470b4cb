//! Payouts: credit on account that a business pays back to its customer.
//!
//! A payout is an entry that raises the balance and uses up credits on account by the same amount, the oldest first. It
//! takes one lock, the customer's. It uses only credit that was on account at its date and still is, so the account
//! adds up at every date.

use chrono::{DateTime, Utc};
use entity::{CustomerId, Money, PayoutId, Tenant, payouts};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::json;

use crate::audit::{self, Action, Change};
use crate::foundation::clock;
use crate::foundation::dates::When;
use crate::receivables::accounts::{LockedAccount, Posted};
use crate::receivables::documents::{self, Document};
use crate::receivables::payout_allocations::covering;
use crate::receivables::reversals::{self, CreditState, Reversal, ReversedEntry};
use crate::{Caller, Database, Error, Outcome, Page, Paging, Transaction, WriteRequest};

/// Input of a new payout.
#[derive(Debug, Clone)]
pub struct NewPayout {
    /// The customer who receives the money.
    pub customer_id: CustomerId,
    /// The amount. More than 0.
    pub amount: Money,
    /// The method, as the caller wrote it: `bank_transfer`, say.
    pub method: String,
    /// An external reference, such as the number of a transfer.
    pub reference: Option<String>,
    /// When it was paid; `None` is now.
    pub paid_at: Option<DateTime<Utc>>,
}

/// A payout with its reversal.
#[derive(Debug, Clone)]
pub struct Payout {
    /// The payout.
    pub payout: payouts::Model,
    /// `Some` once the payout is reversed.
    pub reversal: Option<Reversal>,
}

impl Document for Payout {
    type Entity = payouts::Entity;
    type Id = PayoutId;

    fn id(row: &payouts::Model) -> PayoutId {
        row.id
    }

    fn entry(row: &payouts::Model) -> (CustomerId, i64) {
        (row.customer_id, row.entry_number)
    }

    fn of(payout: payouts::Model, state: CreditState) -> Self {
        Self {
            payout,
            reversal: state.reversal,
        }
    }
}

/// Conditions of a list. A payout must meet all that are present.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Payouts to this customer.
    pub customer_id: Option<CustomerId>,
    /// Entered at this time or later.
    pub created_from: Option<When>,
    /// Entered before this time, or on this day at the latest.
    pub created_to: Option<When>,
}

/// Pays out credit on account.
///
/// # Errors
/// [`Error::CustomerNotFound`]; [`Error::ImpossibleDate`]; [`Error::PeriodClosed`]; [`Error::CreditOnAccountExceeded`];
/// those of [`WriteRequest`].
pub async fn create(
    database: &Database,
    request: &WriteRequest<'_, Posted<Payout>>,
    new: &NewPayout,
) -> Result<Outcome<Posted<Payout>>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let mut locked = LockedAccount::of(transaction, caller, new.customer_id).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let now = locked.state.now;
            let paid_at = locked.dated("paid_at", new.paid_at.map(When::Moment))?;
            let entry_number = locked.state.pay_out(new.amount, paid_at)?;
            locked.write(transaction).await?;
            let payout = payouts::Model {
                business_id: caller.business_id,
                id: PayoutId::new(),
                customer_id: new.customer_id,
                entry_number,
                amount: new.amount,
                method: new.method.clone(),
                reference: new.reference.clone(),
                paid_at,
                created_by: caller.user_id,
                created_at: now,
            };
            payouts::Entity::insert(payout.clone().into_active_model().reset_all())
                .exec_without_returning(transaction)
                .await?;
            audit::record(transaction, caller, created(&locked, &payout, caller)).await?;
            let payout = Payout {
                payout,
                reversal: None,
            };
            write.finish(locked.posted(payout)).await
        })
        .await
}

fn created(locked: &LockedAccount, payout: &payouts::Model, caller: &Caller) -> Change {
    let mut after = locked.audit_snapshot();
    after["amount"] = payout.amount.to_text(caller.currency).into();
    after["method"] = json!(payout.method);
    after["reference"] = json!(payout.reference);
    after["paid_at"] = json!(payout.paid_at);
    Change {
        action: Action::PayoutCreated,
        entity_type: "payout",
        entity_id: payout.id.0,
        before: Some(locked.audit_snapshot_before()),
        after,
    }
}

/// Reverses a payout that did not reach the customer: the credits that it used up are on account again.
///
/// # Errors
/// [`Error::PayoutNotFound`]; [`Error::AlreadyReversed`]; those of [`WriteRequest`].
pub async fn reverse(
    database: &Database,
    request: &WriteRequest<'_, Posted<Payout>>,
    id: PayoutId,
    reason: &str,
) -> Result<Outcome<Posted<Payout>>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let business = caller.business_id;
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            // A payout's customer never changes, so it can be read before the lock.
            let payout = find(transaction, caller, id).await?;
            let mut locked = LockedAccount::of(transaction, caller, payout.customer_id).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let entry = payout.entry_number;
            reversals::expect_unreversed(transaction, business, payout.customer_id, entry).await?;
            let customer = payout.customer_id;
            let covering =
                covering(transaction, business, customer, vec![entry], Vec::new()).await?;
            let number = locked.state.reverse_payout(payout.amount, &covering);
            locked.write(transaction).await?;
            let entries = ReversedEntry {
                number,
                reverses: entry,
            };
            let reversal = reversals::record(transaction, caller, &locked, entries, reason).await?;
            let event =
                reversals::reversed(&locked, Action::PayoutReversed, "payout", id.0, reason);
            audit::record(transaction, caller, event).await?;
            let payout = Payout {
                payout,
                reversal: Some(reversal),
            };
            write.finish(locked.posted(payout)).await
        })
        .await
}

/// Reads a payout.
///
/// # Errors
/// [`Error::PayoutNotFound`].
pub async fn read(database: &Database, caller: &Caller, id: PayoutId) -> Result<Payout, Error> {
    let payout = payouts::Entity::by_id(caller.business_id, id);
    documents::read(database, caller, payout, Error::PayoutNotFound(id)).await
}

async fn find(
    transaction: &Transaction,
    caller: &Caller,
    id: PayoutId,
) -> Result<payouts::Model, Error> {
    payouts::Entity::by_id(caller.business_id, id)
        .one(transaction)
        .await?
        .ok_or(Error::PayoutNotFound(id))
}

/// Lists payouts, the newest first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    filter: &Filter,
    paging: &Paging<PayoutId>,
) -> Result<Page<Payout, PayoutId>, Error> {
    let mut select = payouts::Entity::of(caller.business_id);
    if let Some(customer) = filter.customer_id {
        select = select.filter(payouts::Column::CustomerId.eq(customer));
    }
    let span = (filter.created_from, filter.created_to);
    let created = payouts::Column::CreatedAt;
    let select = clock::within(database, caller, select, created, span).await?;
    let select = paging.descending(select, payouts::Column::Id);
    documents::list(database, caller, select, paging).await
}
