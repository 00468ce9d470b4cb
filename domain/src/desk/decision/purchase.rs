//! Decides purchases on credit.

use entity::{OrderId, UserId};

use super::{BatchState, Sale, total};
use crate::Error;
use crate::desk::purchase::Purchase;

impl BatchState {
    /// Decides a purchase and, if it is accepted, takes its stock and its credit.
    ///
    /// The customer's own reservations count for the order: see [`super::basket`].
    ///
    /// # Errors
    /// Those of [this module](super). The batch state is then unchanged.
    pub fn purchase(
        &mut self,
        purchase: &Purchase,
        order_id: OrderId,
        actor: UserId,
    ) -> Result<Sale, Error> {
        let customer = purchase.customer_id;
        let buyer = self.debtor(customer)?;
        let basket = self.basket(customer, &purchase.lines)?;
        self.check_limits(customer, &basket.demands, &basket.own)?;
        self.check_basket(customer, &basket)?;
        Self::check_credit(buyer, total(&basket.demands))?;
        self.use_own(&basket, order_id, actor);
        self.sell(customer, &basket.demands)
    }
}
