//! This module holds the model's rules for held stock and waitlists.

use entity::reservations::Status as HoldStatus;

use super::{Hold, Item, Model};

/// The index of a hold, the index of a product, and a quantity.
pub(super) type Part = (usize, usize, i64);

impl Hold {
    pub(crate) fn status(&self, now: i64) -> HoldStatus {
        match self.written {
            HoldStatus::Active | HoldStatus::Waiting if self.expires <= now => HoldStatus::Expired,
            other => other,
        }
    }

    pub(super) fn is_open(&self, now: i64) -> bool {
        let status = self.status(now);
        matches!(status, HoldStatus::Active | HoldStatus::Waiting)
    }

    pub(super) fn item(&self, product: usize) -> Option<&Item> {
        self.items.iter().find(|item| item.product == product)
    }

    pub(super) fn of(&self, product: usize) -> i64 {
        self.item(product).map_or(0, |item| item.quantity)
    }

    pub(super) fn is_counted(&self, product: usize) -> bool {
        self.item(product).is_some_and(|item| item.counted)
    }

    pub(super) fn resolve(&mut self, status: HoldStatus) {
        self.written = status;
        for item in &mut self.items {
            item.counted = false;
        }
    }
}

impl Model {
    /// The product's `reserved`.
    pub(crate) fn reserved(&self, product: usize) -> i64 {
        let counted = self.holds.iter().filter(|hold| hold.is_counted(product));
        let held = counted.filter(|hold| hold.written != HoldStatus::Waiting);
        held.map(|hold| hold.of(product)).sum()
    }

    /// The number of positions on the product's waitlist.
    pub(crate) fn waiting(&self, product: usize) -> usize {
        let counted = self.holds.iter().filter(|hold| hold.is_counted(product));
        let waiting = counted.filter(|hold| hold.written == HoldStatus::Waiting);
        waiting.count()
    }

    fn waitlist(&self, product: usize) -> Vec<usize> {
        let waits =
            |hold: &Hold| hold.status(self.now) == HoldStatus::Waiting && hold.of(product) > 0;
        let all = 0..self.holds.len();
        all.filter(|at| waits(&self.holds[*at])).collect()
    }

    /// The position on the waitlist, from 1.
    pub(crate) fn place(&self, hold: usize) -> Option<usize> {
        let waitlist = self.waitlist(self.holds[hold].items[0].product);
        let at = waitlist.iter().position(|other| *other == hold)?;
        Some(at + 1)
    }

    pub(super) fn free(&self, product: usize) -> i64 {
        self.products[product].on_hand - self.reserved(product)
    }

    pub(super) fn for_newcomers(&self, product: usize) -> i64 {
        if self.waitlist(product).is_empty() {
            self.free(product)
        } else {
            0
        }
    }

    /// True if the order's stock is held for it, or is available to it.
    pub(super) fn has_stock(&self, order: usize) -> bool {
        let hold = &self.holds[self.orders[order].card().hold];
        let mut items = self.orders[order].items.iter();
        items.all(|(product, quantity)| {
            hold.is_counted(*product)
                || self.for_own_order(self.orders[order].customer, *product) >= *quantity
        })
    }

    /// The customer's hold that is first on the product's waitlist.
    pub(super) fn own_place(&self, who: usize, product: usize) -> Option<usize> {
        let first = self.waitlist(product).first().copied()?;
        (self.holds[first].customer == who).then_some(first)
    }

    pub(super) fn for_own_order(&self, who: usize, product: usize) -> i64 {
        match self.own_place(who, product) {
            Some(_) => self.free(product),
            None => self.for_newcomers(product),
        }
    }

    /// Indexes of the customer's active holds with units of this product, oldest first.
    pub(super) fn active_of(&self, who: usize, product: usize) -> Vec<usize> {
        let is_active = |at: &usize| {
            let hold = &self.holds[*at];
            let status = hold.status(self.now);
            hold.customer == who && status == HoldStatus::Active && hold.of(product) > 0
        };
        (0..self.holds.len()).filter(is_active).collect()
    }

    /// Decrements holds by the quantity that an order uses. An empty hold is confirmed.
    pub(super) fn use_own(&mut self, used: &[Part]) {
        for (at, product, quantity) in used {
            let items = self.holds[*at].items.iter_mut();
            for item in items.filter(|item| item.product == *product) {
                item.quantity -= quantity;
                item.counted &= item.quantity > 0;
            }
        }
        for (at, ..) in used {
            let hold = &mut self.holds[*at];
            if hold.items.iter().all(|item| item.quantity == 0) {
                hold.resolve(HoldStatus::Confirmed);
            }
        }
    }

    /// New stock of an order comes out of its customer's positions.
    pub(super) fn use_places(&mut self, order: usize) {
        let (who, hold) = (self.orders[order].customer, self.orders[order].card().hold);
        for (product, quantity) in self.orders[order].items.clone() {
            if !self.holds[hold].is_counted(product)
                && let Some(place) = self.own_place(who, product)
            {
                self.use_own(&[(place, product, quantity)]);
            }
        }
    }

    /// Releases expired stock and allocates what is free to the waitlist, as each command does for its products.
    pub(crate) fn touch(&mut self, product: usize) {
        for hold in &mut self.holds {
            if hold.expires <= self.now {
                let items = hold.items.iter_mut();
                for item in items.filter(|item| item.product == product) {
                    item.counted = false;
                }
            }
        }
        self.allocate(product);
    }

    /// Processes each product with an expired reservation, or with a waitlist that could be allocated stock. Expired
    /// holds of orders by card alone are left to the payment worker.
    pub(crate) fn sweep(&mut self) {
        let is_over = |hold: &Hold| hold.expires <= self.now;
        let is_due = |product: &usize| {
            let mut counted = self.holds.iter().filter(|hold| hold.is_counted(*product));
            let has_expired = counted.clone().any(is_over);
            counted.any(|hold| is_over(hold) && hold.written != HoldStatus::Confirmed)
                || self.waiting(*product) > 0 && (self.free(*product) > 0 || has_expired)
        };
        let due: Vec<usize> = (0..self.products.len()).filter(is_due).collect();
        for product in due {
            self.touch(product);
        }
    }

    pub(super) fn allocate(&mut self, product: usize) {
        for at in self.waitlist(product) {
            if self.holds[at].of(product) > self.products[product].on_hand {
                self.holds[at].resolve(HoldStatus::SoldOut);
            }
        }
        for at in self.waitlist(product) {
            if self.holds[at].of(product) > self.free(product) {
                break;
            }
            let hold = &mut self.holds[at];
            hold.written = HoldStatus::Active;
            hold.expires = self.now + hold.ttl;
        }
    }

    /// Adds a quantity to `on_hand`, or subtracts it if negative, and allocates to the waitlist.
    pub(super) fn change_stock(&mut self, product: usize, quantity: i64) {
        self.products[product].on_hand += quantity;
        self.allocate(product);
    }
}
