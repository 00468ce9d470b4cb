//! The waitlist of a product: joining, allocation, and the end when nothing is left.

use chrono::Duration;
use entity::reservations::{CancelReason, Status};
use entity::{ProductId, ReservationId};

use super::{HoldChange, LockedStock, Reservation};
use crate::audit::SYSTEM;

impl LockedStock {
    /// Adds a new reservation of a single product to the end of its waitlist.
    pub fn enqueue(&mut self, mut reservation: Reservation) {
        for item in &mut reservation.items {
            let Some(counts) = self.counts.get_mut(&item.product_id) else {
                continue;
            };
            counts.places_given += 1;
            counts.waiting += 1;
            item.place = Some(counts.places_given);
            counts
                .waitlist
                .insert(counts.places_given, (reservation.id, item.quantity));
            self.changes.products.insert(item.product_id);
        }
        self.changes.reservations.insert(reservation.id);
        self.reservations.insert(reservation.id, reservation);
    }

    /// Allocates the unreserved units of a product to its waitlist, in order of position. A reservation that wants
    /// more than is on hand becomes `sold_out`. The waitlist of a product off sale is cancelled instead. Must be
    /// called after every change that releases or removes stock.
    pub fn allocate(&mut self, product: ProductId) {
        let Some(counts) = self.counts.get_mut(&product) else {
            return;
        };
        if counts.inactive {
            let places: Vec<i64> = counts.waitlist.keys().copied().collect();
            self.cancel_places(product, &places);
            return;
        }
        let unsatisfiable: Vec<i64> = counts
            .waitlist
            .iter()
            .filter(|(_, (_, quantity))| *quantity > counts.on_hand)
            .map(|(place, _)| *place)
            .collect();
        for place in unsatisfiable {
            if let Some((id, _)) = self.remove_waiting(product, place) {
                self.set_status(id, Status::SoldOut);
                *self.changes.sold_out.entry(product).or_default() += 1;
            }
        }
        while let Some((place, quantity)) = self.first_waiting(product)
            && quantity <= self.unreserved(product)
        {
            if let Some((id, quantity)) = self.remove_waiting(product, place) {
                self.hold_for(product, id, quantity);
            }
        }
    }

    /// Cancels these positions of a product that is off sale.
    fn cancel_places(&mut self, product: ProductId, places: &[i64]) {
        for place in places {
            if let Some((id, _)) = self.remove_waiting(product, *place) {
                self.set_status(id, Status::Cancelled);
                if let Some(reservation) = self.reservations.get_mut(&id) {
                    reservation.cancel_reason = Some(CancelReason::ProductInactive);
                }
                self.changes.off_sale.push(id);
            }
        }
    }

    fn first_waiting(&self, product: ProductId) -> Option<(i64, i64)> {
        let (place, (_, quantity)) = self.counts.get(&product)?.waitlist.first_key_value()?;
        Some((*place, *quantity))
    }

    fn remove_waiting(&mut self, product: ProductId, place: i64) -> Option<(ReservationId, i64)> {
        let counts = self.counts.get_mut(&product)?;
        let left = counts.waitlist.remove(&place)?;
        counts.waiting -= 1;
        self.changes.products.insert(product);
        Some(left)
    }

    fn set_status(&mut self, id: ReservationId, status: Status) {
        self.changes.reservations.insert(id);
        if let Some(reservation) = self.reservations.get_mut(&id) {
            reservation.status = status;
            for item in &mut reservation.items {
                item.place = None;
            }
        }
    }

    /// Holds units for a waiting reservation. Its duration starts now, however long it has waited.
    fn hold_for(&mut self, product: ProductId, id: ReservationId, quantity: i64) {
        self.set_status(id, Status::Active);
        self.changes.allocated.push(id);
        let now = self.now;
        if let Some(reservation) = self.reservations.get_mut(&id) {
            reservation.expires_at = now + Duration::seconds(reservation.ttl_seconds.into());
            for item in &mut reservation.items {
                item.held = true;
            }
        }
        if let Some(counts) = self.counts.get_mut(&product) {
            counts.reserved += quantity;
            self.changes.movements.push(HoldChange {
                product_id: product,
                reservation_id: id,
                order_id: None,
                reserved: quantity,
                on_hand_after: counts.on_hand,
                actor: SYSTEM,
            });
        }
    }
}
