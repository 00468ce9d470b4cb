//! This module holds the model's rules for stock, waitlists and the desk's commands.

use std::collections::{BTreeMap, BTreeSet};

use entity::orders::Status;
use entity::payment_intents::Status as Intent;
use entity::reservations::Status as HoldStatus;
use entity::{OrderId, ReservationId};

use super::{Ask, Card, Hold, Item, Lists, Order};

/// The index of a hold, the index of a product, and a quantity.
type Part = (usize, usize, i64);

/// The most reservations that a customer may have open at once.
const MAX_OPEN_PER_CUSTOMER: usize = domain::stock::reservations::MAX_OPEN_PER_CUSTOMER;

impl Hold {
    pub(in super::super) fn status(&self, now: i64) -> HoldStatus {
        match self.written {
            HoldStatus::Active | HoldStatus::Waiting if self.expires <= now => HoldStatus::Expired,
            other => other,
        }
    }

    fn of(&self, product: usize) -> i64 {
        let items = self.items.iter().filter(|item| item.product == product);
        items.map(|item| item.quantity).sum()
    }

    fn is_counted(&self, product: usize) -> bool {
        let mut items = self.items.iter();
        items.any(|item| item.product == product && item.counted)
    }

    pub(super) fn resolve(&mut self, status: HoldStatus) {
        self.written = status;
        for item in &mut self.items {
            item.counted = false;
        }
    }
}

impl Lists {
    /// The product's `reserved`.
    pub(in super::super) fn reserved(&self, product: usize) -> i64 {
        let counted = self.holds.iter().filter(|hold| hold.is_counted(product));
        let held = counted.filter(|hold| hold.written != HoldStatus::Waiting);
        held.map(|hold| hold.of(product)).sum()
    }

    /// The number of positions on the product's waitlist.
    pub(in super::super) fn waiting(&self, product: usize) -> usize {
        let counted = self.holds.iter().filter(|hold| hold.is_counted(product));
        counted
            .filter(|hold| hold.written == HoldStatus::Waiting)
            .count()
    }

    fn line(&self, product: usize) -> Vec<usize> {
        let waits =
            |hold: &Hold| hold.status(self.now) == HoldStatus::Waiting && hold.of(product) > 0;
        let all = 0..self.holds.len();
        all.filter(|at| waits(&self.holds[*at])).collect()
    }

    fn free(&self, product: usize) -> i64 {
        self.products[product].on_hand - self.reserved(product)
    }

    fn for_newcomers(&self, product: usize) -> i64 {
        if self.line(product).is_empty() {
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
    fn own_place(&self, who: usize, product: usize) -> Option<usize> {
        let first = self.line(product).first().copied()?;
        (self.holds[first].customer == who).then_some(first)
    }

    fn for_own_order(&self, who: usize, product: usize) -> i64 {
        match self.own_place(who, product) {
            Some(_) => self.free(product),
            None => self.for_newcomers(product),
        }
    }

    fn is_active_of(&self, hold: &Hold, who: usize) -> bool {
        hold.customer == who && hold.status(self.now) == HoldStatus::Active
    }

    /// What an order takes from its customer's own holds, oldest first, and from their position if it is first on the
    /// waitlist.
    fn own(&self, who: usize, wanted: &[(usize, i64)]) -> Vec<Part> {
        let mut used = Vec::new();
        for (product, quantity) in wanted {
            let mut left = *quantity;
            for (at, hold) in self.holds.iter().enumerate() {
                let taken = left.min(hold.of(*product));
                if self.is_active_of(hold, who) && taken > 0 {
                    used.push((at, *product, taken));
                    left -= taken;
                }
            }
            if let Some(place) = self.own_place(who, *product).filter(|_| left > 0) {
                used.push((place, *product, left));
            }
        }
        used
    }

    /// Decrements holds by the quantity that an order uses. An empty hold is confirmed.
    fn use_own(&mut self, used: &[Part]) {
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
    pub(super) fn touch(&mut self, product: usize) {
        for hold in &mut self.holds {
            if hold.expires <= self.now {
                let items = hold.items.iter_mut();
                for item in items.filter(|item| item.product == product) {
                    item.counted = false;
                }
            }
        }
        self.serve(product);
    }

    /// Processes each product with an expired reservation, or with a waitlist that could be allocated stock. Expired
    /// holds of orders by card alone are left to the payment worker.
    pub(in super::super) fn sweep(&mut self) {
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

    pub(super) fn serve(&mut self, product: usize) {
        for at in self.line(product) {
            if self.holds[at].of(product) > self.products[product].on_hand {
                self.holds[at].resolve(HoldStatus::SoldOut);
            }
        }
        for at in self.line(product) {
            if self.holds[at].of(product) > self.free(product) {
                break;
            }
            let hold = &mut self.holds[at];
            hold.written = HoldStatus::Active;
            hold.expires = self.now + hold.ttl;
        }
    }

    /// Adds a quantity to `on_hand`, or subtracts it if negative, and allocates to the waitlist.
    pub(in super::super) fn shelve(&mut self, product: usize, quantity: i64) {
        self.products[product].on_hand += quantity;
        self.serve(product);
    }

    /// Receives this quantity from a supplier.
    pub(in super::super) fn receive_goods(&mut self, product: usize, quantity: i64) {
        self.touch(product);
        self.shelve(product, quantity);
    }

    fn bought(&self, who: usize, product: usize) -> i64 {
        let orders = self.orders.iter();
        let own = orders.filter(|order| order.customer == who && order.status != Status::Cancelled);
        let items = own.flat_map(|order| &order.items);
        items
            .filter(|(id, _)| *id == product)
            .map(|(_, quantity)| quantity)
            .sum()
    }

    fn owed(&self, who: usize) -> i64 {
        let own = self.orders.iter().filter(|order| {
            order.card.is_none() && order.customer == who && order.status != Status::Cancelled
        });
        own.map(|order| order.total).sum()
    }

    fn is_open(&self, hold: &Hold) -> bool {
        matches!(
            hold.status(self.now),
            HoldStatus::Active | HoldStatus::Waiting
        )
    }

    fn check_limit(
        &self,
        who: usize,
        wanted: &[(usize, i64)],
        used: &[Part],
    ) -> Result<(), String> {
        for (product, quantity) in wanted {
            let open = self.holds.iter();
            let open = open.filter(|hold| hold.customer == who && self.is_open(hold));
            let open: i64 = open.map(|hold| hold.of(*product)).sum();
            let used = used.iter().filter(|(_, id, _)| id == product);
            let used: i64 = used.map(|(.., quantity)| quantity).sum();
            let has = self.bought(who, *product) + open - used;
            let limit = self.products[*product].limit;
            if limit.is_some_and(|limit| has + quantity > limit) {
                return Err(format!("limit of {product}: {has}"));
            }
        }
        Ok(())
    }

    fn check_stock(wanted: &[(usize, i64)], there: impl Fn(usize) -> i64) -> Result<(), String> {
        let short: Vec<_> = wanted
            .iter()
            .map(|(product, quantity)| (*product, *quantity, there(*product)))
            .filter(|(_, quantity, there)| quantity > there)
            .collect();
        if short.is_empty() {
            Ok(())
        } else {
            Err(format!("short {short:?}"))
        }
    }

    pub(super) fn worth(&self, items: &[(usize, i64)]) -> i64 {
        let worth = items
            .iter()
            .map(|(product, quantity)| self.products[*product].price * quantity);
        worth.sum()
    }

    fn order(&mut self, customer: usize, items: Vec<(usize, i64)>, card: Option<Card>) {
        let status = match card {
            Some(_) => Status::Created,
            None => Status::Approved,
        };
        self.orders.push(Order {
            id: OrderId::new(),
            customer,
            total: self.worth(&items),
            items,
            status,
            reason: None,
            steps: Vec::new(),
            card,
            returned: BTreeMap::new(),
        });
    }

    fn sell(&mut self, who: usize, items: Vec<(usize, i64)>, used: &[Part]) -> Result<(), String> {
        if self.owed(who) + self.worth(&items) > self.customers[who].credit {
            return Err("credit".to_owned());
        }
        self.use_own(used);
        for (product, quantity) in items.clone() {
            self.products[product].on_hand -= quantity;
        }
        for (product, _) in items.clone() {
            self.serve(product);
        }
        self.order(who, items, None);
        Ok(())
    }

    /// Indexes of the products that a command concerns.
    fn products_of(&self, ask: &Ask) -> Vec<usize> {
        match ask {
            Ask::Buy(_, items) | Ask::Checkout(_, items, _) | Ask::Reserve(_, items, ..) => {
                items.iter().map(|(product, _)| *product).collect()
            }
            Ask::Confirm(at) | Ask::ConfirmByCard(at, _) | Ask::GiveUp(at) => {
                let items = self.holds[*at].items.iter();
                items.map(|item| item.product).collect()
            }
        }
    }

    /// Executes a command, or returns the reason of its rejection.
    pub(in super::super) fn ask(&mut self, ask: &Ask) -> Result<&'static str, String> {
        for product in self.products_of(ask) {
            self.touch(product);
        }
        match ask {
            Ask::Buy(who, lines) => self.buy(*who, &added_up(lines)),
            Ask::Checkout(who, lines, seconds) => self.checkout(*who, &added_up(lines), *seconds),
            Ask::Reserve(who, lines, ttl, wait) => {
                self.reserve(*who, &added_up(lines), *ttl, *wait)
            }
            Ask::Confirm(at) => {
                let (customer, items) = self.held(*at)?;
                let used = items
                    .iter()
                    .map(|(product, quantity)| (*at, *product, *quantity));
                let used: Vec<Part> = used.collect();
                self.sell(customer, items, &used)?;
                Ok("sold")
            }
            Ask::ConfirmByCard(at, seconds) => {
                let (customer, items) = self.held(*at)?;
                self.holds[*at].written = HoldStatus::Confirmed;
                self.holds[*at].expires = self.now + seconds;
                let card = self.card(*at, *seconds);
                self.order(customer, items, Some(card));
                Ok("placed")
            }
            Ask::GiveUp(at) => {
                match self.holds[*at].status(self.now) {
                    HoldStatus::Active | HoldStatus::Waiting => {}
                    other => return Err(resolved(other)),
                }
                self.holds[*at].resolve(HoldStatus::Cancelled);
                for item in self.holds[*at].items.clone() {
                    self.serve(item.product);
                }
                Ok("Cancelled")
            }
        }
    }

    /// The customer and the items of a hold, if it is active.
    fn held(&self, at: usize) -> Result<(usize, Vec<(usize, i64)>), String> {
        let hold = &self.holds[at];
        match hold.status(self.now) {
            HoldStatus::Active => {}
            other => return Err(resolved(other)),
        }
        let items = hold.items.iter().filter(|item| item.quantity > 0);
        let items = items.map(|item| (item.product, item.quantity));
        Ok((hold.customer, items.collect()))
    }

    fn card(&self, hold: usize, seconds: i64) -> Card {
        Card {
            hold,
            intent: Intent::Requested,
            known: false,
            secret: false,
            has_failed: false,
            expires: self.now + seconds,
            paid: 0,
            refunds: Vec::new(),
            taken: BTreeSet::new(),
        }
    }

    /// What an order uses of the customer's own holds, if there is enough stock together with them.
    fn enough(&self, who: usize, wanted: &[(usize, i64)]) -> Result<Vec<Part>, String> {
        let used = self.own(who, wanted);
        self.check_limit(who, wanted, &used)?;
        Self::check_stock(wanted, |product| {
            let held = self.holds.iter();
            let held = held.filter(|hold| self.is_active_of(hold, who));
            let held: i64 = held.map(|hold| hold.of(product)).sum();
            self.for_own_order(who, product) + held
        })?;
        Ok(used)
    }

    fn buy(&mut self, who: usize, wanted: &[(usize, i64)]) -> Result<&'static str, String> {
        let used = self.enough(who, wanted)?;
        self.sell(who, wanted.to_vec(), &used)?;
        Ok("sold")
    }

    fn checkout(
        &mut self,
        who: usize,
        wanted: &[(usize, i64)],
        seconds: i64,
    ) -> Result<&'static str, String> {
        let used = self.enough(who, wanted)?;
        self.use_own(&used);
        self.hold(who, wanted, seconds, HoldStatus::Confirmed);
        for (product, _) in wanted {
            self.serve(*product);
        }
        let card = self.card(self.holds.len() - 1, seconds);
        self.order(who, wanted.to_vec(), Some(card));
        Ok("placed")
    }

    fn hold(&mut self, who: usize, wanted: &[(usize, i64)], ttl: i64, written: HoldStatus) {
        let items = wanted.iter().map(|(product, quantity)| Item {
            product: *product,
            quantity: *quantity,
            counted: true,
        });
        self.holds.push(Hold {
            id: ReservationId::new(),
            customer: who,
            items: items.collect(),
            ttl,
            expires: self.now + ttl,
            written,
        });
    }

    /// Adds a reservation that was made among concurrent actions. The model does not know its current status.
    pub(in super::super) fn note(&mut self, ask: &Ask, id: ReservationId) {
        if let Ask::Reserve(who, lines, ttl, _) = ask {
            self.hold(*who, &added_up(lines), *ttl, HoldStatus::Active);
            self.holds.last_mut().unwrap().id = id;
        }
    }

    fn reserve(
        &mut self,
        who: usize,
        wanted: &[(usize, i64)],
        ttl: i64,
        wait: bool,
    ) -> Result<&'static str, String> {
        let own = self.holds.iter().filter(|hold| hold.customer == who);
        if own.filter(|hold| self.is_open(hold)).count() >= MAX_OPEN_PER_CUSTOMER {
            return Err("too many".to_owned());
        }
        self.check_limit(who, wanted, &[])?;
        let (written, told) = match Self::check_stock(wanted, |id| self.for_newcomers(id)) {
            Ok(()) => (HoldStatus::Active, "Active"),
            Err(_) if wait && wanted.len() == 1 => {
                let (product, quantity) = wanted[0];
                if quantity > self.products[product].on_hand {
                    return Err("sold out".to_owned());
                }
                (HoldStatus::Waiting, "Waiting")
            }
            Err(no) => return Err(no),
        };
        self.hold(who, wanted, ttl, written);
        Ok(told)
    }
}

fn resolved(status: HoldStatus) -> String {
    match status {
        HoldStatus::Expired => "expired".to_owned(),
        HoldStatus::SoldOut => "sold out".to_owned(),
        other => format!("resolved: {other:?}"),
    }
}

/// Adds up lines of the same product.
fn added_up(lines: &[(usize, i64)]) -> Vec<(usize, i64)> {
    let mut sums: Vec<(usize, i64)> = Vec::new();
    for (product, quantity) in lines {
        match sums.iter_mut().find(|(id, _)| id == product) {
            Some((_, sum)) => *sum += quantity,
            None => sums.push((*product, *quantity)),
        }
    }
    sums
}
