//! This module holds the model: the expected state of reservations, waitlists and stock. Objects are referred to by
//! their index in a list, and times are seconds of a clock that the test moves.

use entity::reservations::Status;
use entity::{CustomerId, OrderId, ProductId, ReservationId};

/// The most reservations that a customer may have open at once.
const MAX_OPEN_PER_CUSTOMER: usize = domain::stock::reservations::MAX_OPEN_PER_CUSTOMER;

#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    pub(super) now: i64,
    pub(super) customers: Vec<Customer>,
    pub(super) products: Vec<Product>,
    /// In order of creation, which is the order of every waitlist.
    pub(super) holds: Vec<Hold>,
    pub(super) orders: Vec<Order>,
}

#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub(super) id: CustomerId,
    pub(super) credit: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) id: ProductId,
    pub(super) on_hand: i64,
    pub(super) limit: Option<i64>,
}

#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) id: ReservationId,
    pub(super) customer: usize,
    pub(super) items: Vec<Item>,
    pub(super) ttl: i64,
    pub(super) expires: i64,
    /// The stored status, which does not consider the time.
    written: Status,
    /// True while it holds stock for an unpaid order by card.
    for_order: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) product: usize,
    pub(super) quantity: i64,
    /// True while the item is in the product's counts: it has not been released since it expired.
    counted: bool,
}

/// The index of a hold, the index of a product, and a quantity.
type Part = (usize, usize, i64);

#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) id: OrderId,
    pub(super) customer: usize,
    pub(super) items: Vec<(usize, i64)>,
    pub(super) cancelled: bool,
    /// An order by card: it adds no debt, and its units are still on hand.
    pub(super) by_card: bool,
}

/// A command for the desk. Every product costs one unit of currency.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Buy(usize, Vec<(usize, i64)>),
    Reserve(usize, Vec<(usize, i64)>, i64, bool),
    /// The last field is the number of seconds to pay.
    Checkout(usize, Vec<(usize, i64)>, i64),
    Confirm(usize),
    /// The last field is the number of seconds to pay.
    ConfirmByCard(usize, i64),
    Cancel(usize),
}

impl Hold {
    pub(super) fn status(&self, now: i64) -> Status {
        match self.written {
            Status::Active | Status::Waiting if self.expires <= now => Status::Expired,
            other => other,
        }
    }

    fn of(&self, product: usize) -> i64 {
        let items = self.items.iter().filter(|item| item.product == product);
        items.map(|item| item.quantity).sum()
    }

    /// The items with a quantity above zero.
    fn wanted(&self) -> Vec<(usize, i64)> {
        let items = self.items.iter().filter(|item| item.quantity > 0);
        items.map(|item| (item.product, item.quantity)).collect()
    }

    fn is_counted(&self, product: usize) -> bool {
        let mut items = self.items.iter();
        items.any(|item| item.product == product && item.counted)
    }

    fn resolve(&mut self, status: Status) {
        self.written = status;
        self.for_order = false;
        for item in &mut self.items {
            item.counted = false;
        }
    }
}

impl Lists {
    /// The product's `reserved`.
    pub(super) fn reserved(&self, product: usize) -> i64 {
        let counted = self.holds.iter().filter(|hold| hold.is_counted(product));
        let held = counted.filter(|hold| hold.written == Status::Active || hold.for_order);
        held.map(|hold| hold.of(product)).sum()
    }

    /// The number of positions on the product's waitlist.
    pub(super) fn waiting(&self, product: usize) -> usize {
        let counted = self.holds.iter().filter(|hold| hold.is_counted(product));
        counted
            .filter(|hold| hold.written == Status::Waiting)
            .count()
    }

    fn line(&self, product: usize) -> Vec<usize> {
        let waits = |hold: &Hold| hold.status(self.now) == Status::Waiting && hold.of(product) > 0;
        let all = 0..self.holds.len();
        all.filter(|at| waits(&self.holds[*at])).collect()
    }

    /// The position on the waitlist, from 1.
    pub(super) fn place(&self, hold: usize) -> Option<usize> {
        let line = self.line(self.holds[hold].items[0].product);
        let at = line.iter().position(|other| *other == hold)?;
        Some(at + 1)
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
        hold.customer == who && hold.status(self.now) == Status::Active
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
                hold.resolve(Status::Confirmed);
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

    /// Applies a run of the sweeper, which looks for expired holds of unpaid orders only where there is a waitlist.
    pub(super) fn sweep(&mut self) {
        for product in 0..self.products.len() {
            let open = |hold: &Hold| matches!(hold.written, Status::Active | Status::Waiting);
            let mut over = self
                .holds
                .iter()
                .filter(|hold| open(hold) && hold.expires <= self.now && hold.is_counted(product));
            if over.next().is_some() || self.waiting(product) > 0 {
                self.touch(product);
            }
        }
    }

    fn serve(&mut self, product: usize) {
        for at in self.line(product) {
            if self.holds[at].of(product) > self.products[product].on_hand {
                self.holds[at].resolve(Status::SoldOut);
            }
        }
        for at in self.line(product) {
            if self.holds[at].of(product) > self.free(product) {
                break;
            }
            let hold = &mut self.holds[at];
            hold.written = Status::Active;
            hold.expires = self.now + hold.ttl;
        }
    }

    fn bought(&self, who: usize, product: usize) -> i64 {
        let orders = self.orders.iter();
        let own = orders.filter(|order| order.customer == who && !order.cancelled);
        let items = own.flat_map(|order| &order.items);
        items
            .filter(|(id, _)| *id == product)
            .map(|(_, quantity)| quantity)
            .sum()
    }

    fn owed(&self, who: usize) -> i64 {
        let orders = self.orders.iter();
        let own = orders.filter(|order| order.customer == who && !order.cancelled);
        let items = own
            .filter(|order| !order.by_card)
            .flat_map(|order| &order.items);
        items.map(|(_, quantity)| quantity).sum()
    }

    fn is_open(&self, hold: &Hold) -> bool {
        matches!(hold.status(self.now), Status::Active | Status::Waiting)
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

    fn sell(&mut self, who: usize, items: Vec<(usize, i64)>, used: &[Part]) -> Result<(), String> {
        let total: i64 = items.iter().map(|(_, quantity)| quantity).sum();
        if self.owed(who) + total > self.customers[who].credit {
            return Err("credit".to_owned());
        }
        self.use_own(used);
        let products: Vec<usize> = items.iter().map(|(product, _)| *product).collect();
        for (product, quantity) in &items {
            self.products[*product].on_hand -= quantity;
        }
        self.order(who, items, false);
        for product in products {
            self.serve(product);
        }
        Ok(())
    }

    /// Indexes of the products that a command concerns.
    pub(super) fn products_of(&self, ask: &Ask) -> Vec<usize> {
        match ask {
            Ask::Buy(_, items) | Ask::Reserve(_, items, ..) | Ask::Checkout(_, items, _) => {
                items.iter().map(|(product, _)| *product).collect()
            }
            Ask::Confirm(at) | Ask::ConfirmByCard(at, _) | Ask::Cancel(at) => {
                let items = self.holds[*at].items.iter();
                items.map(|item| item.product).collect()
            }
        }
    }

    /// Executes a command, or returns the reason of its rejection.
    pub(super) fn ask(&mut self, ask: &Ask) -> Result<String, String> {
        for product in self.products_of(ask) {
            self.touch(product);
        }
        match ask {
            Ask::Buy(who, lines) => self.buy(*who, &added_up(lines)),
            Ask::Reserve(who, lines, ttl, wait) => {
                self.reserve(*who, &added_up(lines), *ttl, *wait)
            }
            Ask::Confirm(at) => {
                let hold = self.holds[*at].clone();
                match hold.status(self.now) {
                    Status::Active => {}
                    other => return Err(resolved(other)),
                }
                let items = hold.wanted();
                let used = items
                    .iter()
                    .map(|(product, quantity)| (*at, *product, *quantity));
                let used: Vec<Part> = used.collect();
                self.sell(hold.customer, items, &used)?;
                Ok("sold".to_owned())
            }
            Ask::Checkout(who, lines, seconds) => self.checkout(*who, added_up(lines), *seconds),
            Ask::ConfirmByCard(at, seconds) => {
                match self.holds[*at].status(self.now) {
                    Status::Active => {}
                    other => return Err(resolved(other)),
                }
                let hold = &mut self.holds[*at];
                hold.written = Status::Confirmed;
                hold.for_order = true;
                hold.expires = self.now + seconds;
                let items = hold.wanted();
                let customer = hold.customer;
                self.order(customer, items, true);
                Ok("placed".to_owned())
            }
            Ask::Cancel(at) => {
                match self.holds[*at].status(self.now) {
                    Status::Active | Status::Waiting => {}
                    other => return Err(resolved(other)),
                }
                self.holds[*at].resolve(Status::Cancelled);
                for item in self.holds[*at].items.clone() {
                    self.serve(item.product);
                }
                Ok("Cancelled".to_owned())
            }
        }
    }

    fn buy(&mut self, who: usize, wanted: &[(usize, i64)]) -> Result<String, String> {
        let used = self.there_is(who, wanted)?;
        self.sell(who, wanted.to_vec(), &used)?;
        Ok("sold".to_owned())
    }

    fn checkout(
        &mut self,
        who: usize,
        wanted: Vec<(usize, i64)>,
        seconds: i64,
    ) -> Result<String, String> {
        let used = self.there_is(who, &wanted)?;
        self.use_own(&used);
        let items = wanted.iter().map(|(product, quantity)| Item {
            product: *product,
            quantity: *quantity,
            counted: true,
        });
        self.holds.push(Hold {
            id: ReservationId::new(),
            customer: who,
            items: items.collect(),
            ttl: seconds,
            expires: self.now + seconds,
            written: Status::Confirmed,
            for_order: true,
        });
        for (product, _) in &wanted {
            self.serve(*product);
        }
        self.order(who, wanted, true);
        Ok("placed".to_owned())
    }

    fn order(&mut self, customer: usize, items: Vec<(usize, i64)>, by_card: bool) {
        self.orders.push(Order {
            id: OrderId::new(),
            customer,
            items,
            cancelled: false,
            by_card,
        });
    }

    /// What an order uses of the customer's own holds, if there is enough stock together with them.
    fn there_is(&self, who: usize, wanted: &[(usize, i64)]) -> Result<Vec<Part>, String> {
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

    fn reserve(
        &mut self,
        who: usize,
        wanted: &[(usize, i64)],
        ttl: i64,
        wait: bool,
    ) -> Result<String, String> {
        let own = self.holds.iter().filter(|hold| hold.customer == who);
        if own.filter(|hold| self.is_open(hold)).count() >= MAX_OPEN_PER_CUSTOMER {
            return Err("too many".to_owned());
        }
        self.check_limit(who, wanted, &[])?;
        let written = match Self::check_stock(wanted, |id| self.for_newcomers(id)) {
            Ok(()) => Status::Active,
            Err(_) if wait && wanted.len() == 1 => {
                let (product, quantity) = wanted[0];
                if quantity > self.products[product].on_hand {
                    return Err("sold out".to_owned());
                }
                Status::Waiting
            }
            Err(no) => return Err(no),
        };
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
            for_order: false,
        });
        let place = self.place(self.holds.len() - 1);
        Ok(place.map_or("Active".to_owned(), |place| format!("Waiting {place}")))
    }

    /// Sets `on_hand` to a counted value, unless more is reserved.
    pub(super) fn count(&mut self, product: usize, on_hand: i64) -> Result<(), String> {
        let mut after = self.clone();
        after.touch(product);
        if on_hand < after.reserved(product) {
            // A rejected count also leaves expired holds unreleased.
            return Err(format!("{} free", after.free(product)));
        }
        after.products[product].on_hand = on_hand;
        after.serve(product);
        *self = after;
        Ok(())
    }

    /// Restocks the units of an order.
    pub(super) fn take_back(&mut self, order: usize) -> Result<(), String> {
        if self.orders[order].cancelled {
            return Err("cancelled".to_owned());
        }
        self.orders[order].cancelled = true;
        for (product, quantity) in self.orders[order].items.clone() {
            self.touch(product);
            self.products[product].on_hand += quantity;
            self.serve(product);
        }
        Ok(())
    }
}

fn resolved(status: Status) -> String {
    match status {
        Status::Expired => "expired".to_owned(),
        Status::SoldOut => "sold out".to_owned(),
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
