//! The secret with which a buyer's page pays an order at the provider.

use entity::OrderId;
use entity::orders::Status;

use crate::foundation::retry::retry;
use crate::orders::{self, payments};
use crate::{Caller, Database, Error};

/// The secret of an order that can be paid now; `None` for any other order, and until the provider has made the intent.
///
/// # Errors
/// [`Error::OrderNotFound`].
pub async fn client_secret(
    database: &Database,
    caller: &Caller,
    id: OrderId,
) -> Result<Option<String>, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let order = orders::visible(&transaction, caller, id).await?;
        let intent = payments::intent(&transaction, caller.business_id, id).await?;
        transaction.commit().await?;
        let intent = intent.filter(|_| order.status == Status::PaymentPending);
        Ok(intent.and_then(|intent| intent.client_secret))
    })
    .await
}
