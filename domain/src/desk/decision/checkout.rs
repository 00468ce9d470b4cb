//! Decides card orders: the stock is held until the payment, and nothing is owed.

use chrono::{DateTime, Duration, Utc};
use entity::reservations::Status;
use entity::{Money, OrderId, ReservationId, UserId};

use super::{BatchState, Demand, total};
use crate::Error;
use crate::card::checkout::Terms;
use crate::desk::purchase::Purchase;
use crate::orders::SoldLine;
use crate::stock::locked_stock::{Item, Reservation};

/// An accepted card order, or a reservation confirmed by card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// The lines in the buyer's order, one per product. Their units are still on hand.
    pub lines: Vec<SoldLine>,
    /// The sum of the lines; above zero.
    pub total: Money,
    /// The reservation that holds the stock.
    pub reservation_id: ReservationId,
    /// The database's time after the locks.
    pub created_at: DateTime<Utc>,
    /// The time at which the hold ends.
    pub expires_at: DateTime<Utc>,
}

impl BatchState {
    /// Decides a card order and, if it is accepted, holds its stock in a new reservation for as long as it may be
    /// paid.
    ///
    /// The customer's own reservations count as they do for a purchase: see [`super::basket`].
    ///
    /// # Errors
    /// Those of [this module](super), credit aside; [`Error::HoldLimitExceeded`]; [`Error::NothingToPay`] or
    /// [`Error::AmountTooLarge`] for a total that no card can be charged; [`Error::PaymentRefused`] for a total that
    /// the provider rejects. The batch state is then unchanged.
    pub fn checkout(
        &mut self,
        purchase: &Purchase,
        terms: &Terms,
        (order_id, id): (OrderId, ReservationId),
        actor: UserId,
    ) -> Result<Ordered, Error> {
        let customer = purchase.customer_id;
        self.buyer(customer)?;
        let basket = self.basket(customer, &purchase.lines)?;
        let total = payable(&basket.demands, terms)?;
        self.check_limits(customer, &basket.demands, &basket.own)?;
        self.check_basket(customer, &basket)?;
        self.check_holds(customer, &basket.demands, &basket.own)?;
        self.use_own(&basket, order_id, actor);
        let demands = basket.demands;
        let items = demands.iter().map(|demand| Item {
            product_id: demand.product_id,
            quantity: demand.quantity,
            unit_price: demand.unit_price,
            held: true,
            place: None,
        });
        let created_at = self.locked_stock.now;
        let expires_at = created_at + Duration::seconds(terms.seconds.into());
        let reservation = Reservation {
            id,
            customer_id: customer,
            status: Status::Confirmed,
            ttl_seconds: terms.seconds,
            expires_at,
            order_id: Some(order_id),
            cancel_reason: None,
            created_by: actor,
            created_at,
            items: items.collect(),
            is_new: true,
        };
        self.locked_stock.hold(reservation, actor);
        // Allocates what the customer's own position did not use to the waitlist.
        for demand in &demands {
            self.locked_stock.allocate(demand.product_id);
        }
        Ok(Ordered {
            lines: self.lines(customer, &demands, |_, _| None),
            total,
            reservation_id: id,
            created_at,
            expires_at,
        })
    }

    /// Turns an active reservation into a card order, at the prices that were reserved. The reservation keeps its
    /// holds for as long as the order may be paid.
    ///
    /// # Errors
    /// Those of [`BatchState::confirm`], credit aside; [`Error::NothingToPay`] or [`Error::AmountTooLarge`]
    /// for a total that no card can be charged; [`Error::PaymentRefused`] for a total that the provider rejects. The
    /// batch state is then unchanged.
    pub fn confirm_by_card(
        &mut self,
        id: ReservationId,
        terms: &Terms,
        order_id: OrderId,
    ) -> Result<Ordered, Error> {
        let reservation = self.resolvable(id, Status::Confirmed)?;
        let customer = reservation.customer_id;
        self.buyer(customer)?;
        let demands = Demand::of(reservation);
        let total = payable(&demands, terms)?;
        let created_at = self.locked_stock.now;
        let expires_at = created_at + Duration::seconds(terms.seconds.into());
        self.locked_stock.keep(id, order_id, expires_at);
        Ok(Ordered {
            lines: self.lines(customer, &demands, |_, _| None),
            total,
            reservation_id: id,
            created_at,
            expires_at,
        })
    }
}

/// The total of the demands, if a card can be charged with it.
fn payable(demands: &[Demand], terms: &Terms) -> Result<Money, Error> {
    let total = total(demands);
    if total == Money::ZERO {
        return Err(Error::NothingToPay);
    }
    if !total.is_storable() {
        return Err(Error::AmountTooLarge("the total"));
    }
    terms.check(total)?;
    Ok(total)
}
