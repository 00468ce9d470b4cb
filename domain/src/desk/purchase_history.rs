//! The purchase history of a batch: earlier purchases of products with a limit per customer.
//!
//! Costs one statement when a product is limited, and none otherwise.

use entity::BusinessId;
use uuid::Uuid;

use super::decision::BatchState;
use crate::catalogue::sales::{self, Limited};
use crate::{Error, Transaction};

/// Reads the history of the locked customers, if any product of the batch is limited.
pub(super) async fn read(
    transaction: &Transaction,
    business: BusinessId,
    state: &mut BatchState,
) -> Result<(), Error> {
    let mut limited = Vec::new();
    for (id, catalogue_item) in &state.catalogue {
        if catalogue_item.limit_per_customer.is_some() {
            limited.push(Limited::ever(*id));
        }
        let in_sales = catalogue_item.selling.limited();
        limited.extend(in_sales.map(|offer| Limited::in_sale(*id, offer)));
    }
    let buyers: Vec<Uuid> = state.buyers.keys().map(|id| id.0).collect();
    for usage in sales::bought(transaction, business, buyers, &limited).await? {
        let Some(buyer) = state.buyers.get_mut(&usage.customer_id) else {
            continue;
        };
        let bought = buyer.bought.entry(usage.product_id).or_default();
        match usage.sale_id {
            Some(sale) => {
                bought.in_sales.insert(sale, usage.quantity);
            }
            None => bought.ever = usage.quantity,
        }
    }
    Ok(())
}
