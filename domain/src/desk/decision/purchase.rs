//! Deciding a purchase on credit.

use entity::{OrderId, UserId};

use super::{BatchState, Sale, total};
use crate::Error;
use crate::desk::purchase::Purchase;

impl BatchState {
    /// Decides one purchase and, when it is a sale, takes its stock and its credit.
    ///
    /// A customer's own reservations count for its own order: see [`super::basket`].
    ///
    /// # Errors
    /// One of those of [this module](super). The books are then as they were.
    pub fn purchase(
        &mut self,
        purchase: &Purchase,
        order_id: OrderId,
        actor: UserId,
    ) -> Result<Sale, Error> {
        let customer = purchase.customer_id;
        let account = self.debtor(customer)?;
        let basket = self.basket(customer, &purchase.lines)?;
        self.check_limits(customer, &basket.demands, &basket.own)?;
        self.check_basket(customer, &basket)?;
        Self::check_credit(account, total(&basket.demands))?;
        self.use_own(&basket, order_id, actor);
        self.sell(customer, &basket.demands)
    }
}
