//! Credit on account: settling a customer's orders with it after it was paid or credited.

use entity::{CustomerId, Money, OrderId};

use crate::audit::{self, Change};
use crate::foundation::idempotency::{self, Answer, Answered, IdempotencyKey};
use crate::foundation::retry::retry;
use crate::receivables::accounts::{AccountSummary, LockedAccount, allocations_trail};
use crate::receivables::allocations::by_order;
use crate::receivables::settlement::Target;
use crate::{Caller, Database, Error};

/// Settles a customer's orders with its credit on account, the oldest credit first; `orders` says which with how much,
/// and without it that which is due for longest comes first, as far as the credit goes.
///
/// # Errors
/// [`Error::CustomerNotFound`], [`Error::OrderNotFound`], [`Error::Overpayment`], [`Error::CreditOnAccountExceeded`]; those of
/// [`idempotency`].
pub async fn allocate(
    database: &Database,
    caller: &Caller,
    claim: Option<&IdempotencyKey>,
    customer: CustomerId,
    target: &Target,
    render: impl Fn(&[(OrderId, Money)], &AccountSummary) -> Answer,
) -> Result<Answered, Error> {
    retry(|| async {
        let transaction = database.begin(caller.business_id).await?;
        let mut locked = LockedAccount::of(&transaction, caller, customer).await?;
        if let Some(before) = idempotency::before(&transaction, caller, claim).await? {
            return Ok(before);
        }
        let on_account = locked.books.account.credit();
        locked.lock_target(&transaction, target, on_account).await?;
        locked.books.use_on_account(target)?;
        let shares = by_order(&locked.books.shares);
        if !shares.is_empty() {
            locked.write(&transaction).await?;
            let mut after = locked.audit_snapshot();
            after["allocations"] = allocations_trail(&shares, caller.currency);
            let event = Change {
                action: "customer.credit_allocated",
                entity_type: "customer",
                entity_id: customer.0,
                before: Some(locked.audit_snapshot_before()),
                after,
            };
            audit::record(&transaction, caller, event).await?;
        }
        let answer = render(&shares, &locked.figures());
        let answered = idempotency::keep(&transaction, caller, claim, answer).await?;
        transaction.commit().await?;
        Ok(answered)
    })
    .await
}
