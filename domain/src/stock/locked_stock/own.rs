//! The customer's own holds and waitlist position: their order uses these first.

use std::collections::BTreeMap;

use entity::reservations::Status;
use entity::{CustomerId, Money, OrderId, ProductId, ReservationId, UserId};

use super::{HoldChange, LockedStock, Reservation};

/// Units of one product that come out of one reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The reservation that holds or waits for them.
    pub reservation_id: ReservationId,
    /// The product, one of the reservation's items.
    pub product_id: ProductId,
    /// The units; at least 1.
    pub quantity: i64,
}

/// A reservation that an order has reduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reduction {
    pub(super) part: Part,
    /// The remaining units of the item; 0 when the item is deleted.
    pub(super) left: i64,
    pub(super) order_id: OrderId,
}

impl LockedStock {
    /// Units that a customer may have beyond their holds: those open to every buyer. When the first position of the
    /// waitlist is their own, all unreserved units.
    #[must_use]
    pub fn available_to(&self, customer: CustomerId, product: ProductId) -> i64 {
        match self.own_place(customer, product) {
            Some(_) => self.unreserved(product),
            None => self.available_to_new(product),
        }
    }

    /// The customer's reservation that is first in the product's waitlist; `None` if the first is another customer's.
    #[must_use]
    pub fn own_place(&self, customer: CustomerId, product: ProductId) -> Option<ReservationId> {
        let counts = self.counts.get(&product)?;
        let (_, (id, _)) = counts.waitlist.first_key_value()?;
        let first = self.reservations.get(id)?;
        (first.customer_id == customer).then_some(*id)
    }

    /// Transfers parts of the customer's active reservations to an order and ends their holds. A reservation that is
    /// used up is confirmed; the rest of the others stays held.
    pub fn use_held(&mut self, parts: &[Part], order_id: OrderId, actor: UserId) {
        let mut by_reservation: BTreeMap<ReservationId, Vec<Part>> = BTreeMap::new();
        for part in parts {
            by_reservation
                .entry(part.reservation_id)
                .or_default()
                .push(*part);
        }
        for (id, parts) in by_reservation {
            let Some(reservation) = self.reservations.get(&id) else {
                continue;
            };
            let used: i64 = parts.iter().map(|part| part.quantity).sum();
            if used == reservation.units() {
                self.resolve(id, Status::Confirmed, Some(order_id), actor);
                continue;
            }
            for part in parts {
                self.release_hold(part, order_id, actor);
                self.reduce(part, order_id);
            }
        }
    }

    /// Reduces the customer's waiting reservation by what the order takes. The rest keeps its position.
    pub fn use_place(&mut self, part: Part, order_id: OrderId, actor: UserId) {
        let Some(reservation) = self.reservations.get(&part.reservation_id) else {
            return;
        };
        let place = reservation.place();
        if reservation.units() <= part.quantity {
            self.resolve(
                part.reservation_id,
                Status::Confirmed,
                Some(order_id),
                actor,
            );
            return;
        }
        if let Some(counts) = self.counts.get_mut(&part.product_id)
            && let Some((_, wanted)) = place.and_then(|place| counts.waitlist.get_mut(&place))
        {
            *wanted -= part.quantity;
        }
        self.reduce(part, order_id);
    }

    /// The customer's reservations that hold or wait for stock, and those that hold it for unpaid card orders.
    pub fn held_by(&self, customer: CustomerId) -> impl Iterator<Item = &Reservation> {
        self.reservations.values().filter(move |reservation| {
            let counts = match reservation.status_at(self.now) {
                Status::Active | Status::Waiting => true,
                Status::Confirmed => {
                    reservation.expires_at > self.now
                        && reservation.items.iter().any(|item| item.held)
                }
                Status::Cancelled | Status::Expired | Status::SoldOut => false,
            };
            counts && reservation.customer_id == customer
        })
    }

    /// The value of a part, at its reserved price; zero for an unknown item.
    #[must_use]
    pub fn worth(&self, part: Part) -> Money {
        let reservation = self.reservations.get(&part.reservation_id);
        let mut items = reservation.iter().flat_map(|one| &one.items);
        items
            .find(|item| item.product_id == part.product_id)
            .map_or(Money::ZERO, |item| item.unit_price.times(part.quantity))
    }

    fn release_hold(&mut self, part: Part, order_id: OrderId, actor: UserId) {
        let Some(counts) = self.counts.get_mut(&part.product_id) else {
            return;
        };
        counts.reserved -= part.quantity;
        self.changes.products.insert(part.product_id);
        self.changes.movements.push(HoldChange {
            product_id: part.product_id,
            reservation_id: part.reservation_id,
            order_id: Some(order_id),
            reserved: -part.quantity,
            on_hand_after: counts.on_hand,
            actor,
        });
    }

    fn reduce(&mut self, part: Part, order_id: OrderId) {
        let Some(reservation) = self.reservations.get_mut(&part.reservation_id) else {
            return;
        };
        let mut left = 0;
        reservation.items.retain_mut(|item| {
            if item.product_id != part.product_id {
                return true;
            }
            item.quantity -= part.quantity;
            left = item.quantity;
            left > 0
        });
        self.changes.reservations.insert(part.reservation_id);
        self.changes.reductions.push(Reduction {
            part,
            left,
            order_id,
        });
    }
}
