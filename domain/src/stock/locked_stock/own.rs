//! What a customer's own holds and place in line mean for its own order: the order takes from them first.

use std::collections::BTreeMap;

use entity::reservations::Status;
use entity::{CustomerId, Money, OrderId, ProductId, ReservationId, UserId};

use super::{HoldChange, LockedStock, Reservation};

/// So much of a product, out of one reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The product.
    pub product_id: ProductId,
    /// How many.
    pub quantity: i64,
}

/// A reservation that has become smaller by what an order took of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reduction {
    pub(super) part: Part,
    /// What is left of the item; nothing when the item is gone.
    pub(super) left: i64,
    pub(super) order_id: OrderId,
}

impl LockedStock {
    /// What a customer may have of a product beyond what it holds: what a newcomer may, and what is unreserved when the
    /// first place in the product's line is its own.
    #[must_use]
    pub fn open_to(&self, customer: CustomerId, product: ProductId) -> i64 {
        match self.own_place(customer, product) {
            Some(_) => self.free(product),
            None => self.open(product),
        }
    }

    /// The customer's reservation that is the first in the product's line.
    #[must_use]
    pub fn own_place(&self, customer: CustomerId, product: ProductId) -> Option<ReservationId> {
        let counts = self.counts.get(&product)?;
        let (_, (id, _)) = counts.line.first_key_value()?;
        let first = self.reservations.get(id)?;
        (first.customer_id == customer).then_some(*id)
    }

    /// Hands what an order takes of its customer's active reservations over to it: they hold that no more. One of which
    /// nothing is left has become the order; of the others the rest stays held.
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
                self.release(part, order_id, actor);
                self.reduce(part, order_id);
            }
        }
    }

    /// Shortens the customer's place by what its order takes of what the place waits for. Its rest keeps the place.
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
            && let Some((_, wanted)) = place.and_then(|place| counts.line.get_mut(&place))
        {
            *wanted -= part.quantity;
        }
        self.reduce(part, order_id);
    }

    /// What the customer holds or waits for: what is reserved, and what unpaid orders by card hold.
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

    /// What a part of a reservation is worth at the price that was reserved.
    #[must_use]
    pub fn worth(&self, part: Part) -> Money {
        let reservation = self.reservations.get(&part.reservation_id);
        let mut items = reservation.iter().flat_map(|one| &one.items);
        items
            .find(|item| item.product_id == part.product_id)
            .map_or(Money::ZERO, |item| item.unit_price.times(part.quantity))
    }

    fn release(&mut self, part: Part, order_id: OrderId, actor: UserId) {
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
