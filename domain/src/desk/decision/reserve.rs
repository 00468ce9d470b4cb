//! Decides reservations: stock is held, or a position in a waitlist is taken.

use chrono::Duration;
use entity::reservations::Status;
use entity::{ReservationId, UserId};

use super::{BatchState, Demand, total};
use crate::Error;
use crate::stock::locked_stock::{Item, MAX_WAITING_PER_PRODUCT, Reservation};
use crate::stock::reservations::{MAX_OPEN_PER_CUSTOMER, NewReservation};

impl BatchState {
    /// Decides a reservation. All its items are held at the current prices, or it takes a position in a waitlist, or
    /// it is refused.
    ///
    /// # Errors
    /// Those of [this module](super), credit aside; [`Error::ReservationLimitReached`];
    /// [`Error::HoldLimitExceeded`]; [`Error::SoldOut`] where more is wanted than is on hand, so that waiting would
    /// be in vain; [`Error::Overloaded`] when the waitlist is full. The batch state is then unchanged.
    pub fn reserve(
        &mut self,
        request: &NewReservation,
        id: ReservationId,
        actor: UserId,
    ) -> Result<&Reservation, Error> {
        let customer = request.customer_id;
        self.buyer(customer)?;
        if self.locked_stock.open_of(customer).count() >= MAX_OPEN_PER_CUSTOMER {
            return Err(Error::ReservationLimitReached {
                limit: MAX_OPEN_PER_CUSTOMER,
            });
        }
        let demands = self.demands(customer, &request.lines)?;
        if !total(&demands).is_storable() {
            return Err(Error::AmountTooLarge("the total"));
        }
        self.check_limits(customer, &demands, &[])?;
        let short = Self::check_stock(&demands, |product| {
            self.locked_stock.available_to_new(product)
        })
        .err();
        let status = match short {
            None => Status::Active,
            // A waitlist belongs to a single product.
            Some(_) if request.wait && demands.len() == 1 => self.may_wait(&demands)?,
            Some(refusal) => return Err(refusal),
        };
        self.check_holds(customer, &demands, &[])?;
        let items = demands.iter().map(|demand| Item {
            product_id: demand.product_id,
            quantity: demand.quantity,
            unit_price: demand.unit_price,
            held: status == Status::Active,
            place: None,
        });
        let reservation = Reservation {
            id,
            customer_id: customer,
            status,
            ttl_seconds: request.ttl_seconds,
            expires_at: self.locked_stock.now + Duration::seconds(request.ttl_seconds.into()),
            order_id: None,
            cancel_reason: None,
            created_by: actor,
            created_at: self.locked_stock.now,
            items: items.collect(),
            is_new: true,
        };
        match status {
            Status::Active => self.locked_stock.hold(reservation, actor),
            _ => self.locked_stock.enqueue(reservation),
        }
        let made = self.locked_stock.reservations.get(&id);
        made.ok_or_else(|| Error::Bug(format!("reservation {id} is not in the locked stock")))
    }

    /// Checks that a release could satisfy the demands, and that the waitlist is not full.
    fn may_wait(&self, demands: &[Demand]) -> Result<Status, Error> {
        for demand in demands {
            let counts = self.locked_stock.counts.get(&demand.product_id);
            let counts = counts.ok_or(Error::ProductNotFound(demand.product_id))?;
            if demand.quantity > counts.on_hand {
                return Err(Error::SoldOut(demand.product_id));
            }
            if counts.waiting >= MAX_WAITING_PER_PRODUCT {
                return Err(Error::Overloaded);
            }
        }
        Ok(Status::Waiting)
    }
}
