//! Decides how a reservation is resolved: as an order, or by cancellation. Each reservation is resolved once.

use entity::reservations::Status;
use entity::{OrderId, ReservationId, UserId};

use super::{BatchState, Demand, Sale, total};
use crate::Error;
use crate::stock::locked_stock::Reservation;

impl BatchState {
    /// Turns an active reservation into an order on credit, at the prices that were reserved.
    ///
    /// # Errors
    /// [`Error::ReservationNotFound`]; [`Error::ReservationExpired`]; [`Error::ReservationResolved`];
    /// [`Error::SoldOut`]; those of a purchase about the customer and its credit. The batch state is then unchanged.
    pub fn confirm(
        &mut self,
        id: ReservationId,
        order_id: OrderId,
        actor: UserId,
    ) -> Result<Sale, Error> {
        let reservation = self.resolvable(id, Status::Confirmed)?;
        let customer = reservation.customer_id;
        let buyer = self.debtor(customer)?;
        let demands = Demand::of(reservation);
        Self::check_credit(buyer, total(&demands))?;
        self.locked_stock
            .resolve(id, Status::Confirmed, Some(order_id), actor);
        self.sell(customer, &demands)
    }

    /// Releases the holds of a reservation, or gives up its position in a waitlist.
    ///
    /// # Errors
    /// [`Error::ReservationNotFound`]; [`Error::ReservationExpired`]; [`Error::ReservationResolved`];
    /// [`Error::SoldOut`]. The batch state is then unchanged.
    pub fn cancel(&mut self, id: ReservationId, actor: UserId) -> Result<&Reservation, Error> {
        self.resolvable(id, Status::Cancelled)?;
        let products: Vec<_> = self.locked_stock.reservations[&id]
            .items
            .iter()
            .map(|item| item.product_id)
            .collect();
        self.locked_stock
            .resolve(id, Status::Cancelled, None, actor);
        for product in products {
            self.locked_stock.allocate(product);
        }
        Ok(&self.locked_stock.reservations[&id])
    }

    /// The reservation, if it can still change to the status `to`.
    pub(super) fn resolvable(&self, id: ReservationId, to: Status) -> Result<&Reservation, Error> {
        let known = self.locked_stock.reservations.get(&id);
        let reservation = known.ok_or(Error::ReservationNotFound(id))?;
        let from = reservation.status_at(self.locked_stock.now);
        match from {
            Status::Active => Ok(reservation),
            Status::Waiting if to == Status::Cancelled => Ok(reservation),
            Status::Expired => Err(Error::ReservationExpired {
                id,
                expires_at: reservation.expires_at,
            }),
            Status::SoldOut => {
                let product = reservation.items.first();
                Err(product.map_or(Error::ReservationNotFound(id), |item| {
                    Error::SoldOut(item.product_id)
                }))
            }
            Status::Waiting | Status::Confirmed | Status::Cancelled => {
                Err(Error::ReservationResolved { from, to })
            }
        }
    }
}
