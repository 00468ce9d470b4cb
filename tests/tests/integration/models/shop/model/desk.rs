//! This module holds the model's rules for the desk's commands.

use std::collections::BTreeSet;

use entity::orders::Status;
use entity::payment_intents::Status as Intent;
use entity::reservations::Status as HoldStatus;
use entity::{OrderId, ReservationId};

use super::stock::Part;
use super::{Card, CommandOutcome, Customer, Hold, Item, Line, Model, Order, Refusal, Request};

/// The most reservations that a customer may have open at once.
const MAX_OPEN_PER_CUSTOMER: usize = domain::stock::reservations::MAX_OPEN_PER_CUSTOMER;

/// Units of a product at one price.
#[derive(Debug, Clone, Copy)]
struct Demand {
    product: usize,
    quantity: i64,
    price: i64,
}

impl Model {
    /// Executes a command, or returns the reason of its rejection.
    pub(crate) fn execute(&mut self, request: &Request) -> Result<CommandOutcome, Refusal> {
        for product in self.products_of(request) {
            self.touch(product);
        }
        match request {
            Request::Buy(who, lines) => self.buy(*who, lines),
            Request::Checkout(who, lines, seconds) => self.checkout(*who, lines, *seconds),
            Request::Reserve(who, lines, ttl, wait) => self.reserve(*who, lines, *ttl, *wait),
            Request::Confirm(at) => self.confirm(*at),
            Request::ConfirmByCard(at, seconds) => self.confirm_by_card(*at, *seconds),
            Request::GiveUp(at) => self.give_up(*at),
        }
    }

    /// Indexes of the products that a command concerns.
    fn products_of(&self, request: &Request) -> Vec<usize> {
        match request {
            Request::Buy(_, lines)
            | Request::Checkout(_, lines, _)
            | Request::Reserve(_, lines, ..) => {
                lines.iter().map(|(product, ..)| *product).collect()
            }
            Request::Confirm(at) | Request::ConfirmByCard(at, _) | Request::GiveUp(at) => {
                let items = self.holds[*at].items.iter();
                items.map(|item| item.product).collect()
            }
        }
    }

    fn buy(&mut self, who: usize, lines: &[Line]) -> Result<CommandOutcome, Refusal> {
        self.buyer(who)?;
        let (demands, used) = self.basket(who, lines)?;
        self.check_basket(who, &demands, &used)?;
        self.sell(who, &demands, &used)
    }

    fn checkout(
        &mut self,
        who: usize,
        lines: &[Line],
        seconds: i64,
    ) -> Result<CommandOutcome, Refusal> {
        self.buyer(who)?;
        let (demands, used) = self.basket(who, lines)?;
        let total = payable(&demands)?;
        self.check_basket(who, &demands, &used)?;
        self.use_own(&used);
        self.hold(who, &demands, seconds, HoldStatus::Confirmed);
        for demand in &demands {
            self.allocate(demand.product);
        }
        let card = self.card(self.holds.len() - 1, seconds);
        self.order(who, &demands, Some(card));
        Ok(CommandOutcome::Placed(total))
    }

    fn reserve(
        &mut self,
        who: usize,
        lines: &[Line],
        ttl: i64,
        wait: bool,
    ) -> Result<CommandOutcome, Refusal> {
        self.buyer(who)?;
        let own = self.holds.iter().filter(|hold| hold.customer == who);
        if own.filter(|hold| hold.is_open(self.now)).count() >= MAX_OPEN_PER_CUSTOMER {
            return Err(Refusal::TooManyReservations);
        }
        let demands = self.new_units(lines)?;
        self.check_limit(who, &demands, &[])?;
        let status = match check_stock(&demands, |product| self.for_newcomers(product)) {
            Ok(()) => HoldStatus::Active,
            Err(_) if wait && demands.len() == 1 => {
                if demands[0].quantity > self.products[demands[0].product].on_hand {
                    return Err(Refusal::SoldOut);
                }
                HoldStatus::Waiting
            }
            Err(no) => return Err(no),
        };
        self.hold(who, &demands, ttl, status);
        Ok(CommandOutcome::Hold(
            status,
            self.place(self.holds.len() - 1),
        ))
    }

    fn confirm(&mut self, at: usize) -> Result<CommandOutcome, Refusal> {
        let (who, demands) = self.held(at)?;
        let used = demands.iter().map(|one| (at, one.product, one.quantity));
        let used: Vec<Part> = used.collect();
        self.sell(who, &demands, &used)
    }

    fn confirm_by_card(&mut self, at: usize, seconds: i64) -> Result<CommandOutcome, Refusal> {
        let (who, demands) = self.held(at)?;
        let total = payable(&demands)?;
        self.holds[at].written = HoldStatus::Confirmed;
        self.holds[at].expires = self.now + seconds;
        let card = self.card(at, seconds);
        self.order(who, &demands, Some(card));
        Ok(CommandOutcome::Placed(total))
    }

    fn give_up(&mut self, at: usize) -> Result<CommandOutcome, Refusal> {
        if !self.holds[at].is_open(self.now) {
            return Err(resolved(self.holds[at].status(self.now)));
        }
        self.holds[at].resolve(HoldStatus::Cancelled);
        for item in self.holds[at].items.clone() {
            self.allocate(item.product);
        }
        Ok(CommandOutcome::Hold(HoldStatus::Cancelled, None))
    }

    /// The customer, if they exist and may buy.
    fn buyer(&self, who: usize) -> Result<&Customer, Refusal> {
        match self.customers.get(who) {
            None => Err(Refusal::NoCustomer),
            Some(customer) if customer.on_hold => Err(Refusal::OnHold),
            Some(customer) => Ok(customer),
        }
    }

    /// The customer and the units of a hold, if it is active.
    fn held(&self, at: usize) -> Result<(usize, Vec<Demand>), Refusal> {
        let hold = &self.holds[at];
        match hold.status(self.now) {
            HoldStatus::Active => {}
            other => return Err(resolved(other)),
        }
        self.buyer(hold.customer)?;
        let items = hold.items.iter().filter(|item| item.quantity > 0);
        let demands = items.map(|item| Demand {
            product: item.product,
            quantity: item.quantity,
            price: item.price,
        });
        Ok((hold.customer, demands.collect()))
    }

    /// The lines at current prices.
    fn new_units(&self, lines: &[Line]) -> Result<Vec<Demand>, Refusal> {
        let demands = added_up(lines).into_iter();
        let demands = demands.map(|(product, quantity, quotes)| {
            let price = self.products[product].price;
            check_quotes(product, price, &quotes)?;
            Ok(Demand {
                product,
                quantity,
                price,
            })
        });
        demands.collect()
    }

    /// The lines of an order, and what it takes from its customer's own holds, oldest first, and from their position if
    /// it is first on the waitlist. Held units have the price of their time.
    fn basket(&self, who: usize, lines: &[Line]) -> Result<(Vec<Demand>, Vec<Part>), Refusal> {
        let (mut demands, mut used) = (Vec::new(), Vec::new());
        for (product, quantity, quotes) in added_up(lines) {
            let mut left = quantity;
            let mut prices: Vec<(i64, i64)> = Vec::new();
            let mut at_price = |quantity: i64, price: i64| match prices
                .iter_mut()
                .find(|(_, other)| *other == price)
            {
                Some((sum, _)) => *sum += quantity,
                None => prices.push((quantity, price)),
            };
            for at in self.active_of(who, product) {
                let item = self.holds[at].item(product).unwrap();
                let taken = left.min(item.quantity);
                if taken > 0 {
                    at_price(taken, item.price);
                    used.push((at, product, taken));
                    left -= taken;
                }
            }
            if left > 0 {
                at_price(left, self.products[product].price);
                let place = self.own_place(who, product);
                used.extend(place.map(|place| (place, product, left)));
            }
            let [(_, price)] = prices[..] else {
                return Err(Refusal::PricesDiffer(product, prices));
            };
            check_quotes(product, price, &quotes)?;
            demands.push(Demand {
                product,
                quantity,
                price,
            });
        }
        Ok((demands, used))
    }

    /// Checks the limits, and the stock together with the customer's own holds.
    fn check_basket(&self, who: usize, demands: &[Demand], used: &[Part]) -> Result<(), Refusal> {
        self.check_limit(who, demands, used)?;
        check_stock(demands, |product| {
            let held = self.active_of(who, product).into_iter();
            let held: i64 = held.map(|at| self.holds[at].of(product)).sum();
            self.for_own_order(who, product) + held
        })
    }

    fn check_limit(&self, who: usize, demands: &[Demand], used: &[Part]) -> Result<(), Refusal> {
        for demand in demands {
            let open = self.holds.iter();
            let open = open.filter(|hold| hold.customer == who && hold.is_open(self.now));
            let open: i64 = open.map(|hold| hold.of(demand.product)).sum();
            let used = used.iter().filter(|(_, id, _)| *id == demand.product);
            let used: i64 = used.map(|(.., quantity)| quantity).sum();
            let has = self.bought(who, demand.product) + open - used;
            let limit = self.products[demand.product].limit;
            if limit.is_some_and(|limit| has + demand.quantity > limit) {
                return Err(Refusal::Limit(demand.product, has));
            }
        }
        Ok(())
    }

    fn bought(&self, who: usize, product: usize) -> i64 {
        let orders = self.orders.iter();
        let own = orders.filter(|order| order.customer == who && order.status != Status::Cancelled);
        let items = own.flat_map(|order| &order.items);
        let items = items.filter(|(id, _)| *id == product);
        items.map(|(_, quantity)| quantity).sum()
    }

    /// The customer's balance.
    pub(crate) fn owed(&self, who: usize) -> i64 {
        let own = self.orders.iter().filter(|order| {
            order.card.is_none() && order.customer == who && order.status != Status::Cancelled
        });
        own.map(|order| order.total).sum()
    }

    fn sell(
        &mut self,
        who: usize,
        demands: &[Demand],
        used: &[Part],
    ) -> Result<CommandOutcome, Refusal> {
        let (amount, balance, limit) = (total(demands), self.owed(who), self.customers[who].credit);
        if balance + amount > limit {
            return Err(Refusal::Credit {
                amount,
                balance,
                limit,
            });
        }
        self.use_own(used);
        for demand in demands {
            self.products[demand.product].on_hand -= demand.quantity;
        }
        for demand in demands {
            self.allocate(demand.product);
        }
        self.order(who, demands, None);
        Ok(CommandOutcome::Sold {
            total: amount,
            balance: balance + amount,
            available: limit - balance - amount,
        })
    }

    fn order(&mut self, customer: usize, demands: &[Demand], card: Option<Card>) {
        let status = match card {
            Some(_) => Status::Created,
            None => Status::Approved,
        };
        let items = demands.iter().map(|one| (one.product, one.quantity));
        let prices = demands.iter().map(|one| (one.product, one.price));
        self.orders.push(Order {
            id: OrderId::new(),
            customer,
            items: items.collect(),
            total: total(demands),
            status,
            reason: None,
            steps: Vec::new(),
            card,
            prices: prices.collect(),
            returned: std::collections::BTreeMap::new(),
        });
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

    fn hold(&mut self, who: usize, demands: &[Demand], ttl: i64, written: HoldStatus) {
        let items = demands.iter().map(|demand| Item {
            product: demand.product,
            quantity: demand.quantity,
            price: demand.price,
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
    pub(crate) fn note(&mut self, request: &Request, id: ReservationId) {
        if let Request::Reserve(who, lines, ttl, _) = request {
            let demands = self.new_units(lines).unwrap();
            self.hold(*who, &demands, *ttl, HoldStatus::Active);
            self.holds.last_mut().unwrap().id = id;
        }
    }
}

fn check_stock(demands: &[Demand], there: impl Fn(usize) -> i64) -> Result<(), Refusal> {
    let demands = demands.iter();
    let short = demands.map(|one| (one.product, one.quantity, there(one.product)));
    let short: Vec<_> = short.filter(|(_, wanted, there)| wanted > there).collect();
    if short.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Short(short))
    }
}

fn check_quotes(product: usize, current: i64, quotes: &[i64]) -> Result<(), Refusal> {
    match quotes.iter().find(|quoted| **quoted != current) {
        Some(quoted) => Err(Refusal::PriceChanged {
            product,
            quoted: *quoted,
            current,
        }),
        None => Ok(()),
    }
}

fn total(demands: &[Demand]) -> i64 {
    demands.iter().map(|one| one.quantity * one.price).sum()
}

/// The total, which a card can pay unless it is zero.
fn payable(demands: &[Demand]) -> Result<i64, Refusal> {
    match total(demands) {
        0 => Err(Refusal::NothingToPay),
        total => Ok(total),
    }
}

fn resolved(status: HoldStatus) -> Refusal {
    match status {
        HoldStatus::Expired => Refusal::Expired,
        HoldStatus::SoldOut => Refusal::SoldOut,
        other => Refusal::Resolved(other),
    }
}

/// The quantity and the quoted prices of each product, in the order in which products are first named.
fn added_up(lines: &[Line]) -> Vec<(usize, i64, Vec<i64>)> {
    let mut sums: Vec<(usize, i64, Vec<i64>)> = Vec::new();
    for (product, quantity, quoted) in lines {
        match sums.iter_mut().find(|(id, ..)| id == product) {
            Some((_, sum, quotes)) => {
                *sum += quantity;
                quotes.extend(quoted);
            }
            None => sums.push((*product, *quantity, quoted.iter().copied().collect())),
        }
    }
    sums
}
