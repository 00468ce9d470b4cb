//! Payments: money received from customers, and the orders that it settles.
//!
//! Locks the customer, then the orders.

mod listing;

use entity::ledger_entries::Kind;
use entity::{CustomerId, Metadata, Money, OrderId, PaymentId, Tenant, payments};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use serde_json::json;

use crate::audit::{self, Action, Change};
use crate::foundation::dates::When;
use crate::foundation::search;
use crate::receivables::accounts::{LockedAccount, Posted, allocations_trail};
use crate::receivables::allocations::by_order;
use crate::receivables::documents::{self, Document};
use crate::receivables::reversals::{self, CreditState, Reversal};
use crate::receivables::settlement::Target;
use crate::{Caller, Database, Error, Outcome, Transaction, WriteRequest};

pub(crate) use listing::with_names;
pub use listing::{Filter, Listed, count, list};

/// Input of a new payment.
#[derive(Debug, Clone)]
pub struct NewPayment {
    /// The customer who paid.
    pub customer_id: CustomerId,
    /// The amount. More than 0.
    pub amount: Money,
    /// The method, as the caller wrote it: `bank_transfer`, say.
    pub method: String,
    /// An external reference, such as a cheque number.
    pub reference: Option<String>,
    /// Keys of the business's programs; not empty.
    pub metadata: Option<Metadata>,
    /// When the money was received; `None` is now. A time up to [`crate::foundation::dates::CLOCK_TOLERANCE`] ahead is
    /// taken as now, and a day as its start.
    pub received_at: Option<When>,
    /// The orders that the payment settles.
    pub target: Target,
    /// Whether an excess stays on account. If false, an excess rejects the payment.
    pub on_account: bool,
}

/// A payment with what it settles now.
#[derive(Debug, Clone)]
pub struct Payment {
    /// The payment.
    pub payment: payments::Model,
    /// The part that settles each order.
    pub allocations: Vec<(OrderId, Money)>,
    /// The part that was paid out to the customer.
    pub paid_out: Money,
    /// `Some` once the payment is reversed.
    pub reversal: Option<Reversal>,
}

impl Payment {
    /// The part that is on account. 0 once the payment is reversed.
    #[must_use]
    pub fn unallocated(&self) -> Money {
        if self.reversal.is_some() {
            return Money::ZERO;
        }
        let allocated: Money = self.allocations.iter().map(|(_, amount)| *amount).sum();
        self.payment.amount - allocated - self.paid_out
    }
}

impl Document for Payment {
    type Entity = payments::Entity;
    type Id = PaymentId;

    fn id(row: &payments::Model) -> PaymentId {
        row.id
    }

    fn entry(row: &payments::Model) -> (CustomerId, i64) {
        (row.customer_id, row.entry_number)
    }

    fn of(payment: payments::Model, state: CreditState) -> Self {
        Self {
            payment,
            allocations: state.allocations,
            paid_out: state.paid_out,
            reversal: state.reversal,
        }
    }
}

/// Posts a payment and allocates it.
///
/// # Errors
/// [`Error::CustomerNotFound`]; [`Error::OrderNotFound`] for an order of another customer or by card;
/// [`Error::Overpayment`]; [`Error::AllocationsDoNotAddUp`]; [`Error::ImpossibleDate`]; [`Error::PeriodClosed`]; those
/// of [`WriteRequest`].
pub async fn receive(
    database: &Database,
    request: &WriteRequest<'_, Posted<Payment>>,
    new: &NewPayment,
) -> Result<Outcome<Posted<Payment>>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let mut locked = LockedAccount::of(transaction, caller, new.customer_id).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            locked
                .lock_target(transaction, &new.target, new.amount)
                .await?;
            let now = locked.state.now;
            let received_at = locked.dated("received_at", new.received_at)?;
            let entry_number =
                locked
                    .state
                    .receive(new.amount, received_at, &new.target, new.on_account)?;
            locked.write(transaction).await?;
            let payment = payments::Model {
                business_id: caller.business_id,
                id: PaymentId::new(),
                customer_id: new.customer_id,
                entry_number,
                amount: new.amount,
                method: new.method.clone(),
                reference: new.reference.clone(),
                metadata: new.metadata.clone(),
                received_at,
                created_by: caller.user_id,
                created_at: now,
            };
            payments::Entity::insert(payment.clone().into_active_model().reset_all())
                .exec_without_returning(transaction)
                .await?;
            let terms = search::payment(payment.id, payment.reference.as_deref());
            search::insert(transaction, caller.business_id, terms).await?;
            let payment = Payment {
                payment,
                allocations: by_order(&locked.state.shares),
                paid_out: Money::ZERO,
                reversal: None,
            };
            audit::record(transaction, caller, received(&locked, &payment, caller)).await?;
            write.finish(locked.posted(payment)).await
        })
        .await
}

fn received(locked: &LockedAccount, payment: &Payment, caller: &Caller) -> Change {
    let mut after = locked.audit_snapshot();
    after["amount"] = payment.payment.amount.to_text(caller.currency).into();
    after["method"] = json!(payment.payment.method);
    after["reference"] = json!(payment.payment.reference);
    after["metadata"] = json!(payment.payment.metadata);
    after["received_at"] = json!(payment.payment.received_at);
    after["allocations"] = allocations_trail(&payment.allocations, caller.currency);
    Change {
        action: Action::PaymentReceived,
        entity_type: "payment",
        entity_id: payment.payment.id.0,
        before: Some(locked.audit_snapshot_before()),
        after,
    }
}

/// Reads a payment.
///
/// # Errors
/// [`Error::PaymentNotFound`].
pub async fn read(database: &Database, caller: &Caller, id: PaymentId) -> Result<Payment, Error> {
    let payment = payments::Entity::by_id(caller.business_id, id);
    documents::read(database, caller, payment, Error::PaymentNotFound(id)).await
}

async fn find(
    transaction: &Transaction,
    caller: &Caller,
    id: PaymentId,
) -> Result<payments::Model, Error> {
    payments::Entity::by_id(caller.business_id, id)
        .one(transaction)
        .await?
        .ok_or(Error::PaymentNotFound(id))
}

/// Reverses a payment: the orders that it settled are due again, and its credit on account is gone. Payouts that it
/// covered are covered by other credit on account.
///
/// # Errors
/// [`Error::PaymentNotFound`]; [`Error::AlreadyReversed`]; [`Error::CreditPaidOut`]; those of [`WriteRequest`].
pub async fn reverse(
    database: &Database,
    request: &WriteRequest<'_, Posted<Payment>>,
    id: PaymentId,
    reason: &str,
) -> Result<Outcome<Posted<Payment>>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            // A payment's customer never changes, so it can be read before the lock.
            let payment = find(transaction, caller, id).await?;
            let mut locked = LockedAccount::of(transaction, caller, payment.customer_id).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let credit = reversals::ReversibleCredit {
                entry_number: payment.entry_number,
                kind: Kind::Payment,
                amount: payment.amount,
                about: None,
            };
            let reversal =
                reversals::undo(transaction, caller, &mut locked, credit, reason).await?;
            let event =
                reversals::reversed(&locked, Action::PaymentReversed, "payment", id.0, reason);
            audit::record(transaction, caller, event).await?;
            let payment = Payment {
                payment,
                allocations: Vec::new(),
                paid_out: Money::ZERO,
                reversal: Some(reversal),
            };
            write.finish(locked.posted(payment)).await
        })
        .await
}
