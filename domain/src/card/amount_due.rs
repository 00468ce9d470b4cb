//! The amount due on a card order.

use entity::{BusinessId, Currency, Money, OrderId};

use super::locked_order::currency;
use crate::foundation::retry::retry;
use crate::orders::payments;
use crate::{Database, Error};

/// The total of a card order, for a caller that confirms a payment without having received money, as the offline
/// provider does.
///
/// # Errors
/// [`Error::OrderNotFound`].
pub async fn amount_due(
    database: &Database,
    business: BusinessId,
    order: OrderId,
) -> Result<(Money, Currency), Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let intent = payments::intent(&transaction, business, order).await?;
        let amount = intent.ok_or(Error::OrderNotFound(order))?.amount;
        let currency = currency(&transaction, business).await?;
        transaction.commit().await?;
        Ok((amount, currency))
    })
    .await
}
