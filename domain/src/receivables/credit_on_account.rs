//! Credit on account: allocates credits to orders after they were posted.
//!
//! Locks the customer, then the orders.

use entity::{CustomerId, Money, OrderId};

use crate::audit::{self, Action, Change};
use crate::receivables::accounts::{LockedAccount, Posted, allocations_trail};
use crate::receivables::allocations::by_order;
use crate::receivables::settlement::Target;
use crate::{Database, Error, Outcome, WriteRequest};

/// Settles a customer's orders with their credit on account, the oldest credit first. `target` names orders with
/// amounts; otherwise the longest due is settled first, as far as the credit reaches.
///
/// # Errors
/// [`Error::CustomerNotFound`]; [`Error::OrderNotFound`]; [`Error::Overpayment`]; [`Error::CreditOnAccountExceeded`];
/// those of [`WriteRequest`].
pub async fn allocate(
    database: &Database,
    request: &WriteRequest<'_, Posted<Vec<(OrderId, Money)>>>,
    customer: CustomerId,
    target: &Target,
) -> Result<Outcome<Posted<Vec<(OrderId, Money)>>>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let mut locked = LockedAccount::of(transaction, caller, customer).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let on_account = locked.state.account.credit();
            locked.lock_target(transaction, target, on_account).await?;
            locked.state.use_on_account(target)?;
            let shares = by_order(&locked.state.shares);
            if !shares.is_empty() {
                locked.write(transaction).await?;
                let mut after = locked.audit_snapshot();
                after["allocations"] = allocations_trail(&shares, caller.currency);
                let event = Change {
                    action: Action::CustomerCreditAllocated,
                    entity_type: "customer",
                    entity_id: customer.0,
                    before: Some(locked.audit_snapshot_before()),
                    after,
                };
                audit::record(transaction, caller, event).await?;
            }
            write.finish(locked.posted(shares)).await
        })
        .await
}
