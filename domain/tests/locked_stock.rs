//! These tests check invariants of held stock and waitlists on arbitrary histories against a model of plain lists,
//! without a database.

#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
#![expect(clippy::too_many_lines, reason = "a test is one history, step by step")]

use std::collections::{BTreeMap, HashMap};

use chrono::DateTime;
use domain::Error;
use domain::desk::decision::{BatchState, Buyer, CatalogueItem, Holds, Selling};
use domain::desk::purchase::Purchase;
use domain::receivables::ledger;
use domain::stock::Line;
use domain::stock::locked_stock::{LockedStock, Reservation, StockLevel};
use domain::stock::reservations::{MAX_OPEN_PER_CUSTOMER, NewReservation};
use entity::reservations::Status;
use entity::{Currency, CustomerId, Money, OrderId, ProductId, Quantity, ReservationId, UserId};
use proptest::prelude::*;
use uuid::Uuid;

const CUSTOMERS: usize = 4;
const PRODUCTS: usize = 3;

/// The credit limit of each customer; every product costs one.
const CREDIT: [i64; CUSTOMERS] = [100_000, 100_000, 9, 100_000];
/// The limit per customer of each product.
const LIMIT: [Option<i64>; PRODUCTS] = [None, Some(6), None];

/// A step of a history. Customers, products and reservations are numbers; reservations are numbered in order of
/// creation.
#[derive(Debug, Clone)]
enum Step {
    Buy(usize, Vec<(usize, i64)>),
    Reserve(usize, Vec<(usize, i64)>, bool),
    Confirm(usize),
    Cancel(usize),
    /// Takes stock for another reason, if this quantity is unreserved.
    Take(usize, i64),
    PutBack(usize, i64),
}

/// The reason of a rejection.
#[derive(Debug, Clone, PartialEq)]
enum No {
    TooMany,
    Limit(usize, i64),
    Short(Vec<(usize, i64, i64)>),
    SoldOut,
    Credit,
    Resolved(Status),
    Unknown,
}

/// The expected state.
struct Model {
    on_hand: [i64; PRODUCTS],
    owed: [i64; CUSTOMERS],
    bought: [[i64; PRODUCTS]; CUSTOMERS],
    /// In order of creation, which is the order of every waitlist.
    holds: Vec<Hold>,
}

#[derive(Clone)]
struct Hold {
    customer: usize,
    items: Vec<(usize, i64)>,
    status: Status,
}

impl Hold {
    fn of(&self, product: usize) -> i64 {
        let items = self.items.iter().filter(|(id, _)| *id == product);
        items.map(|(_, quantity)| quantity).sum()
    }

    fn is_open(&self) -> bool {
        matches!(self.status, Status::Active | Status::Waiting)
    }
}

impl Model {
    fn reserved(&self, product: usize) -> i64 {
        let held = self.holds.iter();
        let held = held.filter(|hold| hold.status == Status::Active);
        held.map(|hold| hold.of(product)).sum()
    }

    fn waitlist(&self, product: usize) -> Vec<usize> {
        let waits = |hold: &Hold| hold.status == Status::Waiting && hold.of(product) > 0;
        let all = 0..self.holds.len();
        all.filter(|at| waits(&self.holds[*at])).collect()
    }

    fn unreserved(&self, product: usize) -> i64 {
        self.on_hand[product] - self.reserved(product)
    }

    fn available_to_new(&self, product: usize) -> i64 {
        if self.waitlist(product).is_empty() {
            self.unreserved(product)
        } else {
            0
        }
    }

    /// The customer's hold that is first on the product's waitlist.
    fn own_place(&self, who: usize, product: usize) -> Option<usize> {
        let first = self.waitlist(product).first().copied()?;
        (self.holds[first].customer == who).then_some(first)
    }

    fn available_to(&self, who: usize, product: usize) -> i64 {
        match self.own_place(who, product) {
            Some(_) => self.unreserved(product),
            None => self.available_to_new(product),
        }
    }

    /// What an order takes from its customer's own holds, oldest first, and from their position if it is first on the
    /// waitlist. Each part is a hold, a product and a quantity.
    fn own(&self, who: usize, wanted: &[(usize, i64)]) -> Vec<(usize, usize, i64)> {
        let mut used = Vec::new();
        for (product, quantity) in wanted {
            let mut left = *quantity;
            for (at, hold) in self.holds.iter().enumerate() {
                let taken = left.min(hold.of(*product));
                if hold.customer == who && hold.status == Status::Active && taken > 0 {
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
    fn use_own(&mut self, used: &[(usize, usize, i64)]) {
        for (at, product, quantity) in used {
            for item in &mut self.holds[*at].items {
                if item.0 == *product {
                    item.1 -= quantity;
                }
            }
        }
        for (at, ..) in used {
            if self.holds[*at]
                .items
                .iter()
                .all(|(_, quantity)| *quantity == 0)
            {
                self.holds[*at].status = Status::Confirmed;
            }
        }
    }

    fn allocate(&mut self, product: usize) {
        for at in self.waitlist(product) {
            if self.holds[at].of(product) > self.on_hand[product] {
                self.holds[at].status = Status::SoldOut;
            }
        }
        for at in self.waitlist(product) {
            if self.holds[at].of(product) > self.unreserved(product) {
                break;
            }
            self.holds[at].status = Status::Active;
        }
    }

    /// `used` is the part of the customer's holds that this command takes itself.
    fn check_limit(
        &self,
        who: usize,
        wanted: &[(usize, i64)],
        used: &[(usize, usize, i64)],
    ) -> Result<(), No> {
        for (product, quantity) in wanted {
            let open = self.holds.iter();
            let open = open.filter(|hold| hold.customer == who && hold.is_open());
            let open: i64 = open.map(|hold| hold.of(*product)).sum();
            let used = used.iter().filter(|(_, id, _)| id == product);
            let used: i64 = used.map(|(.., quantity)| quantity).sum();
            let has = self.bought[who][*product] + open - used;
            if LIMIT[*product].is_some_and(|limit| has + quantity > limit) {
                return Err(No::Limit(*product, has));
            }
        }
        Ok(())
    }

    fn check_stock(wanted: &[(usize, i64)], there: impl Fn(usize) -> i64) -> Result<(), No> {
        let short: Vec<_> = wanted
            .iter()
            .map(|(product, quantity)| (*product, *quantity, there(*product)))
            .filter(|(_, quantity, there)| quantity > there)
            .collect();
        if short.is_empty() {
            Ok(())
        } else {
            Err(No::Short(short))
        }
    }

    fn sell(
        &mut self,
        who: usize,
        wanted: &[(usize, i64)],
        used: &[(usize, usize, i64)],
    ) -> Result<(), No> {
        let total: i64 = wanted.iter().map(|(_, quantity)| quantity).sum();
        if self.owed[who] + total > CREDIT[who] {
            return Err(No::Credit);
        }
        self.owed[who] += total;
        self.use_own(used);
        for (product, quantity) in wanted {
            self.on_hand[*product] -= quantity;
            self.bought[who][*product] += quantity;
        }
        for (product, _) in wanted {
            self.allocate(*product);
        }
        Ok(())
    }

    /// Executes a step. Returns `Waiting` or `Active` for a reservation.
    fn apply(&mut self, step: &Step) -> Result<Option<Status>, No> {
        match step {
            Step::Buy(who, lines) => {
                let wanted = added_up(lines);
                let used = self.own(*who, &wanted);
                self.check_limit(*who, &wanted, &used)?;
                Self::check_stock(&wanted, |product| {
                    let held = self
                        .holds
                        .iter()
                        .filter(|hold| hold.customer == *who && hold.status == Status::Active);
                    let held: i64 = held.map(|hold| hold.of(product)).sum();
                    self.available_to(*who, product) + held
                })?;
                self.sell(*who, &wanted, &used)?;
                Ok(None)
            }
            Step::Reserve(who, lines, wait) => {
                let items = added_up(lines);
                let own = self.holds.iter().filter(|hold| hold.customer == *who);
                if own.filter(|hold| hold.is_open()).count() >= MAX_OPEN_PER_CUSTOMER {
                    return Err(No::TooMany);
                }
                self.check_limit(*who, &items, &[])?;
                let status = match Self::check_stock(&items, |id| self.available_to_new(id)) {
                    Ok(()) => Status::Active,
                    Err(_) if *wait && items.len() == 1 => {
                        let (product, quantity) = items[0];
                        if quantity > self.on_hand[product] {
                            return Err(No::SoldOut);
                        }
                        Status::Waiting
                    }
                    Err(no) => return Err(no),
                };
                self.holds.push(Hold {
                    customer: *who,
                    items,
                    status,
                });
                Ok(Some(status))
            }
            Step::Confirm(at) => {
                let hold = self.holds.get(*at).cloned().ok_or(No::Unknown)?;
                match hold.status {
                    Status::Active => {
                        let all = hold.items.iter().filter(|(_, quantity)| *quantity > 0);
                        let all: Vec<(usize, i64)> = all.copied().collect();
                        let used = all
                            .iter()
                            .map(|(product, quantity)| (*at, *product, *quantity));
                        let used: Vec<_> = used.collect();
                        self.sell(hold.customer, &all, &used)?;
                    }
                    Status::SoldOut => return Err(No::SoldOut),
                    other => return Err(No::Resolved(other)),
                }
                Ok(None)
            }
            Step::Cancel(at) => {
                let hold = self.holds.get_mut(*at).ok_or(No::Unknown)?;
                match hold.status {
                    Status::Active | Status::Waiting => hold.status = Status::Cancelled,
                    Status::SoldOut => return Err(No::SoldOut),
                    other => return Err(No::Resolved(other)),
                }
                for (product, _) in self.holds[*at].items.clone() {
                    self.allocate(product);
                }
                Ok(None)
            }
            Step::Take(product, quantity) => {
                if *quantity <= self.unreserved(*product) {
                    self.on_hand[*product] -= quantity;
                    self.allocate(*product);
                }
                Ok(None)
            }
            Step::PutBack(product, quantity) => {
                self.on_hand[*product] += quantity;
                self.allocate(*product);
                Ok(None)
            }
        }
    }
}

/// Adds up lines of the same product, in the order in which products are first named.
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

fn customer(number: usize) -> CustomerId {
    CustomerId(Uuid::from_u128(number as u128))
}

fn product(number: usize) -> ProductId {
    ProductId(Uuid::from_u128(number as u128))
}

fn reservation(number: usize) -> ReservationId {
    ReservationId(Uuid::from_u128(number as u128))
}

fn number(of: Uuid) -> usize {
    usize::try_from(of.as_u128()).unwrap()
}

fn whole(amount: i64) -> Money {
    Money::parse(&amount.to_string(), Currency::USD).unwrap()
}

fn actor() -> UserId {
    UserId(Uuid::from_u128(8))
}

fn state(on_hand: [i64; PRODUCTS]) -> BatchState {
    let buyer = |limit| Buyer {
        credit_limit: whole(limit),
        ledger: ledger::Account {
            balance: Money::ZERO,
            entry_count: 0,
            on_account: BTreeMap::new(),
        },
        on_hold: false,
        overdue: None,
        bought: HashMap::new(),
        holds: Holds::default(),
    };
    let catalogue_item = |limit_per_customer| CatalogueItem {
        sku: "SKU".into(),
        name: "Name".into(),
        price: whole(1),
        active: true,
        limit_per_customer,
        selling: Selling::Always,
    };
    let counts = (0..)
        .map(product)
        .zip(on_hand.map(|count| StockLevel::new(count, 0, 0, 0)));
    BatchState {
        buyers: (0..).map(customer).zip(CREDIT.map(buyer)).collect(),
        catalogue: (0..).map(product).zip(LIMIT.map(catalogue_item)).collect(),
        locked_stock: LockedStock::new(DateTime::UNIX_EPOCH, counts.collect()),
    }
}

fn lines(of: &[(usize, i64)]) -> Vec<Line> {
    let lines = of.iter().map(|(id, quantity)| Line {
        product_id: product(*id),
        quantity: Quantity::new(*quantity).unwrap(),
        quoted: None,
    });
    lines.collect()
}

/// Executes a step; `next` is the number of the next reservation.
fn perform(state: &mut BatchState, step: &Step, next: usize) -> Result<Option<Status>, Error> {
    let order = OrderId::new();
    match step {
        Step::Buy(who, items) => {
            let purchase = Purchase {
                customer_id: customer(*who),
                lines: lines(items),
                details: None,
            };
            state.purchase(&purchase, order, actor()).map(|_| None)
        }
        Step::Reserve(who, items, wait) => {
            let request = NewReservation {
                customer_id: customer(*who),
                lines: lines(items),
                ttl_seconds: 300,
                wait: *wait,
            };
            let made = state.reserve(&request, reservation(next), actor());
            made.map(|made| Some(made.status))
        }
        Step::Confirm(at) => state
            .confirm(reservation(*at), order, actor())
            .map(|_| None),
        Step::Cancel(at) => state.cancel(reservation(*at), actor()).map(|_| None),
        Step::Take(id, quantity) => {
            if *quantity <= state.locked_stock.unreserved(product(*id)) {
                state.locked_stock.take(product(*id), *quantity);
            }
            Ok(None)
        }
        Step::PutBack(id, quantity) => {
            state.locked_stock.take(product(*id), -quantity);
            Ok(None)
        }
    }
}

fn no(error: Error) -> No {
    match error {
        Error::ReservationLimitReached { .. } => No::TooMany,
        Error::PurchaseLimitReached {
            product_id, bought, ..
        } => No::Limit(number(product_id.0), bought),
        Error::InsufficientStock(short) => {
            let short = short.iter();
            let short = short.map(|one| (number(one.product_id.0), one.requested, one.available));
            No::Short(short.collect())
        }
        Error::SoldOut(_) => No::SoldOut,
        Error::CreditLimitExceeded { .. } => No::Credit,
        Error::ReservationResolved { from, .. } => No::Resolved(from),
        Error::ReservationNotFound(_) => No::Unknown,
        other => panic!("{other:?}"),
    }
}

/// The product's waitlist in order of positions, from the locked stock.
fn waitlist_of(locked_stock: &LockedStock, id: ProductId) -> Vec<&Reservation> {
    let waits = |one: &&Reservation| one.place().is_some() && one.quantity_of(id) > 0;
    let mut waitlist: Vec<_> = locked_stock.reservations.values().filter(waits).collect();
    waitlist.sort_by_key(|one| one.place());
    waitlist
}

fn check(state: &BatchState, model: &Model) -> Result<(), TestCaseError> {
    let locked_stock = &state.locked_stock;
    for id in 0..PRODUCTS {
        let counts = &locked_stock.counts[&product(id)];
        prop_assert_eq!(counts.on_hand, model.on_hand[id], "on hand of {}", id);
        prop_assert_eq!(counts.reserved, model.reserved(id), "reserved of {}", id);
        prop_assert!(counts.on_hand >= counts.reserved && counts.reserved >= 0);
        let items = locked_stock
            .reservations
            .values()
            .flat_map(|one| &one.items);
        let held = items.filter(|item| item.held && item.product_id == product(id));
        prop_assert_eq!(
            counts.reserved,
            held.map(|item| item.quantity).sum::<i64>(),
            "held of {}",
            id
        );

        let waitlist = waitlist_of(locked_stock, product(id));
        let expected = model.waitlist(id);
        let found: Vec<usize> = waitlist.iter().map(|one| number(one.id.0)).collect();
        prop_assert_eq!(&found, &expected, "waitlist of {}", id);
        prop_assert_eq!(counts.waiting, i64::try_from(waitlist.len()).unwrap());
        for one in &waitlist {
            prop_assert!(one.quantity_of(product(id)) <= counts.on_hand);
        }
        if let Some(first) = waitlist.first() {
            prop_assert!(first.quantity_of(product(id)) > counts.unreserved());
            prop_assert_eq!(locked_stock.available_to_new(product(id)), 0);
        }
    }
    prop_assert_eq!(locked_stock.reservations.len(), model.holds.len());
    for (at, hold) in model.holds.iter().enumerate() {
        let found = &locked_stock.reservations[&reservation(at)];
        prop_assert_eq!(found.status, hold.status, "reservation {}", at);
        for item in &found.items {
            prop_assert_eq!(item.held, found.status == Status::Active);
            prop_assert_eq!(item.place.is_some(), found.status == Status::Waiting);
        }
        for id in (0..PRODUCTS).filter(|_| hold.is_open()) {
            prop_assert_eq!(found.quantity_of(product(id)), hold.of(id));
        }
        let is_ordered = found.order_id.is_some();
        prop_assert_eq!(is_ordered, found.status == Status::Confirmed);
    }
    for (who, owed) in model.owed.iter().enumerate() {
        let balance = state.buyers[&customer(who)].ledger.balance;
        prop_assert_eq!(balance, whole(*owed));
    }
    Ok(())
}

fn arbitrary_lines() -> impl Strategy<Value = Vec<(usize, i64)>> {
    prop_oneof![
        3 => prop::collection::vec((0..PRODUCTS, 1..4_i64), 1),
        1 => prop::collection::vec((0..PRODUCTS, 1..4_i64), 2..4),
    ]
}

fn arbitrary_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..CUSTOMERS, arbitrary_lines()).prop_map(|(who, lines)| Step::Buy(who, lines)),
        6 => (0..CUSTOMERS, arbitrary_lines(), prop::bool::weighted(0.7))
            .prop_map(|(who, lines, wait)| Step::Reserve(who, lines, wait)),
        3 => (0..30_usize).prop_map(Step::Confirm),
        4 => (0..30_usize).prop_map(Step::Cancel),
        1 => (0..PRODUCTS, 1..4_i64).prop_map(|(id, quantity)| Step::Take(id, quantity)),
        2 => (0..PRODUCTS, 1..6_i64).prop_map(|(id, quantity)| Step::PutBack(id, quantity)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_history_agrees_with_plain_lists_step_by_step_and_a_refusal_changes_nothing(
        on_hand in prop::array::uniform3(0..9_i64),
        steps in prop::collection::vec(arbitrary_step(), 1..80),
    ) {
        let mut state = state(on_hand);
        let mut model = Model {
            on_hand,
            owed: [0; CUSTOMERS],
            bought: [[0; PRODUCTS]; CUSTOMERS],
            holds: Vec::new(),
        };
        for step in &steps {
            let before = state.clone();
            let next = model.holds.len();
            let expected = model.apply(step);
            let found = perform(&mut state, step, next).map_err(no);
            prop_assert_eq!(&found, &expected, "{:?}", step);
            if found.is_err() {
                prop_assert_eq!(&state, &before, "{:?}", step);
            }
            check(&state, &model)?;
        }
    }

    #[test]
    fn as_long_as_someone_waits_newcomers_get_nothing_of_it(
        on_hand in prop::array::uniform3(1..9_i64),
        steps in prop::collection::vec(arbitrary_step(), 1..60),
        newcomer in (0..PRODUCTS, 1..3_i64),
    ) {
        let mut state = state(on_hand);
        let nothing_yet = state.buyers[&customer(0)].clone();
        let mut made = 0;
        for step in &steps {
            if let Ok(Some(_)) = perform(&mut state, step, made) {
                made += 1;
            }
            let (id, quantity) = newcomer;
            if waitlist_of(&state.locked_stock, product(id)).is_empty() {
                continue;
            }
            let mut state = state.clone();
            let stranger = customer(CUSTOMERS);
            state.buyers.insert(stranger, nothing_yet.clone());
            for wait in [false, true] {
                let request = NewReservation {
                    customer_id: stranger,
                    lines: lines(&[(id, quantity)]),
                    ttl_seconds: 60,
                    wait,
                };
                let got = state.reserve(&request, reservation(1000), actor());
                prop_assert!(got.map_or(true, |one| one.status == Status::Waiting));
            }
            let purchase = Purchase { customer_id: stranger, lines: lines(&[(id, quantity)]), details: None };
            let refused = state.purchase(&purchase, OrderId::new(), actor());
            prop_assert!(matches!(refused, Err(Error::InsufficientStock(_))));
        }
    }

    /// Stock that is released in any way goes to the waitlist in order of arrival.
    #[test]
    fn a_waitlist_is_allocated_in_order_of_arrival(
        wants in prop::collection::vec(1..4_i64, 1..15),
        frees in prop::collection::vec((0..15_usize, 1..4_i64), 1..40),
    ) {
        let mut state = state([3, 0, 0]);
        let request = |lines| NewReservation { customer_id: customer(0), lines, ttl_seconds: 60, wait: true };
        state.reserve(&request(lines(&[(0, 3)])), reservation(999), actor()).unwrap();
        for (at, quantity) in wants.iter().enumerate() {
            state.reserve(&request(lines(&[(0, *quantity)])), reservation(at), actor()).unwrap();
        }
        for (given_up, back) in frees {
            let _ = state.cancel(reservation(given_up), actor());
            state.locked_stock.take(product(0), -back);
            // Everyone who still waits came after everyone who was allocated stock.
            let status = |at: &usize| state.locked_stock.reservations[&reservation(*at)].status;
            let served = (0..wants.len()).filter(|at| status(at) == Status::Active).max();
            let waits = (0..wants.len()).find(|at| status(at) == Status::Waiting);
            if let (Some(served), Some(waits)) = (served, waits) {
                prop_assert!(served < waits, "{} was served before {}", served, waits);
            }
        }
    }
}
