//! This module holds the model's rules for corrections of stock and changes of terms.

use super::{Change, Model, Refusal};

impl Model {
    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Price(product, price) => self.products[product].price = price,
            Change::Credit(who, limit) => self.customers[who].credit = limit,
            Change::OnHold(who, on_hold) => self.customers[who].on_hold = on_hold,
        }
    }

    /// Adds units, or takes unreserved ones if `by` is negative.
    pub(crate) fn adjust(&mut self, product: usize, by: i64) -> Result<(), Refusal> {
        let mut after = self.clone();
        after.touch(product);
        let free = after.free(product);
        if free + by < 0 {
            // A rejected correction also leaves expired holds unreleased.
            return Err(Refusal::Short(vec![(product, -by, free)]));
        }
        after.change_stock(product, by);
        *self = after;
        Ok(())
    }

    /// Sets `on_hand` to a counted value, unless more is reserved.
    pub(crate) fn count(&mut self, product: usize, counted: i64) -> Result<(), Refusal> {
        let mut after = self.clone();
        after.touch(product);
        let (on_hand, reserved) = (after.products[product].on_hand, after.reserved(product));
        if counted < reserved {
            return Err(Refusal::CountedBelowReserved { on_hand, reserved });
        }
        after.change_stock(product, counted - on_hand);
        *self = after;
        Ok(())
    }
}
