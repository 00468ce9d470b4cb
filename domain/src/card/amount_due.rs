//! The amount that is due on an order by card.

use entity::{BusinessId, Currency, Money, OrderId};

use super::locked_order::currency;
use crate::foundation::retry::retry;
use crate::orders::payments;
use crate::{Database, Error};

/// What an order by card comes to: for whoever says that it is paid without having seen the money.
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
