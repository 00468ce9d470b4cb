//! Deciding a purchase on credit.

use entity::reservations::Status;
use entity::{OrderId, ProductId, UserId};

use super::{Books, Demand, Sale, total};
use crate::Error;
use crate::purchase::Purchase;
use crate::shelf::Reservation;

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
        let own = self.used_up(purchase, &demands);
        self.check_limits(customer, &demands, &own)?;
        Self::check_stock(&demands, |product| {
            let held = own.iter().map(|one| one.quantity_of(product)).sum::<i64>();
            self.shelf.open(product) + held
        })?;
        Self::check_credit(account, total(&demands))?;
        let own: Vec<_> = own.iter().map(|one| one.id).collect();
        for reservation in own {
            let became = Some(order_id);
            self.shelf
                .resolve(reservation, Status::Confirmed, became, actor);
        }
        self.sell(customer, &demands)
    }

    /// The customer's own reservations that the purchase uses up.
    fn used_up(&self, purchase: &Purchase, demands: &[Demand]) -> Vec<&Reservation> {
        let is_asked_for =
            |product: ProductId| demands.iter().any(|demand| demand.product_id == product);
        self.shelf
            .active_of(purchase.customer_id)
            .filter(|one| one.items.iter().all(|item| is_asked_for(item.product_id)))
            .collect()
    }
}
