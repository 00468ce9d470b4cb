//! Deciding a purchase on credit.

use entity::reservations::Status;
use entity::{OrderId, UserId};

use super::{Books, Sale, total};
use crate::Error;
use crate::purchase::Purchase;

impl Books {
    /// Decides one purchase and, when it is a sale, takes its stock and its credit.
    ///
    /// A customer's own reservation counts for its own order: one of which the purchase has every product is used up by it,
    /// whatever it held beyond that is free again, and it has become this order.
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
        let demands = self.demands(&purchase.lines)?;
        let own = self.used_up(customer, &demands);
        self.check_limits(customer, &demands, &own)?;
        self.check_stock_with(&demands, &own)?;
        Self::check_credit(account, total(&demands))?;
        let own: Vec<_> = own.iter().map(|one| one.id).collect();
        for reservation in own {
            let became = Some(order_id);
            self.shelf
                .resolve(reservation, Status::Confirmed, became, actor);
        }
        self.sell(customer, &demands)
    }
}
