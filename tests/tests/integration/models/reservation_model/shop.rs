//! This module holds the system under test with its model: it sends commands to the desk and compares the database with
//! the model.

use std::collections::HashMap;
use std::sync::Arc;

use domain::cancellation;
use domain::card::checkout::Terms;
use domain::card::provider::{Limits, Offline};
use domain::desk::purchase::Purchase;
use domain::desk::{Command, Desk, Executed, Work};
use domain::stock::Line;
use domain::stock::inventory::{self, Correction, NewCorrection};
use domain::stock::reservations::{self, LockedIds, NewReservation};
use domain::{Authority, Caller, Error, Outcome, demo};
use entity::stock_movements::Reason;
use entity::{Currency, ProductId, Quantity, UserId};
use futures_util::future::join_all;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;
use tests::clerk::{unkeyed, unread, unread_reservation};
use tests::{Database, SERVICE, Service, differences, until, verified};

use super::lists::{Ask, Customer, Lists, Product};

/// The model's clock moves in whole ticks of 600 seconds, and every expiry lies in the middle of one. Real time that
/// the test takes therefore changes nothing.
pub(super) const TICK: i64 = 600;
const TTL: [i64; 5] = [300, 900, 1500, 2100, 3300];

/// When the sweeper runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sweeps {
    /// Only at the end.
    Never,
    /// Between two steps.
    Sometimes,
    /// Twice during each step.
    Always,
}

/// A step between two comparisons.
#[derive(Debug)]
pub(super) enum Step {
    /// Concurrent commands, in order of arrival.
    Ask(Vec<Ask>),
    Adjust(usize, i64),
    Count(usize, i64),
    CancelOrder(usize),
    Pass(i64),
    Sweep,
}

/// A database and a desk, together with the model of their expected state.
pub(super) struct Shop {
    pub(super) database: Database,
    pub(super) pool: domain::Database,
    pub(super) desk: Arc<Desk>,
    pub(super) lists: Lists,
    pub(super) history: String,
}

pub(super) async fn sweep(pool: &domain::Database) {
    reservations::sweep(pool, demo::ACME).await.unwrap();
}

/// The ids of what came of it, and the rest in the model's words: of an order by card the order's id and that of what holds
/// its stock.
fn words(outcome: Outcome<Executed>) -> String {
    match outcome.value().unwrap() {
        Executed::Sold(receipt) => format!("{} sold", receipt.order_id),
        Executed::PlacedOrder(placed) => {
            format!("{},{} placed", placed.order_id, placed.reservation_id)
        }
        Executed::Reserved(found) | Executed::Cancelled { current: found, .. } => {
            let place = found
                .place
                .map_or(String::new(), |place| format!(" {place}"));
            format!("{} {:?}{place}", found.reservation.id, found.status)
        }
    }
}

fn terms(seconds: i64) -> Terms {
    Terms {
        provider: Offline::NAME,
        seconds: i32::try_from(seconds).unwrap(),
        limits: Some(Limits::NONE),
    }
}

pub(super) fn caller() -> Caller {
    Caller {
        business_id: demo::ACME,
        currency: Currency::USD,
        user_id: UserId::new(),
        authority: Authority::Staff,
        request_id: "model".to_owned(),
    }
}

impl Shop {
    /// Creates five customers, one with little credit, and four products, one with a limit per customer. The service
    /// that made them is stopped, together with its sweeper.
    pub(super) async fn open() -> Self {
        let service = Service::start().await;
        let admin = service.admin();
        let mut lists = Lists::default();
        for (number, credit) in [100_000, 100_000, 100_000, 100_000, 12]
            .into_iter()
            .enumerate()
        {
            let name = format!("Model {number}");
            let id = admin.add_customer(&name, &credit.to_string()).await;
            lists.customers.push(Customer { id, credit });
        }
        for (number, on_hand) in [2, 5, 8, 6].into_iter().enumerate() {
            let id = admin
                .add_product(&format!("M{number}"), "1.00", on_hand)
                .await;
            let limit = (number == 3).then_some(4);
            if let Some(limit) = limit {
                let body = serde_json::json!({"limit_per_customer": limit});
                admin
                    .patch(&format!("/api/products/{id}"), &body)
                    .await
                    .ok(200);
            }
            lists.products.push(Product { id, on_hand, limit });
        }
        let database = service.database.clone();
        service.stop().await;
        let (pool, desk) = Self::another(&database);
        Self {
            database,
            pool,
            desk,
            lists,
            history: String::new(),
        }
    }

    pub(super) fn another(database: &Database) -> (domain::Database, Arc<Desk>) {
        let pool = domain::Database::new(&database.url(SERVICE), 4).unwrap();
        let desk = Desk::open(&pool, 2);
        (pool, desk)
    }

    pub(super) fn random_step(&self, dice: &mut StdRng, most: usize, sweeps: Sweeps) -> Step {
        let product = dice.random_range(0..self.lists.products.len());
        match dice.random_range(0..100) {
            0..6 => Step::Adjust(product, [-3, -1, 1, 2, 4][dice.random_range(0..5)]),
            6..9 => Step::Count(product, dice.random_range(0..9)),
            9..15 => {
                let orders = self.lists.orders.iter().enumerate();
                let on_credit = orders.filter(|(_, order)| !order.by_card);
                let on_credit: Vec<usize> = on_credit.map(|(at, _)| at).collect();
                match on_credit.choose(dice) {
                    Some(at) => Step::CancelOrder(*at),
                    None => Step::Pass(TICK),
                }
            }
            15..21 => Step::Pass(TICK * dice.random_range(1..3)),
            21..28 if sweeps == Sweeps::Sometimes => Step::Sweep,
            _ => {
                let count = dice.random_range(1..=most);
                Step::Ask(self.asks(dice, count))
            }
        }
    }

    pub(super) fn asks(&self, dice: &mut StdRng, count: usize) -> Vec<Ask> {
        let ask = |dice: &mut StdRng| {
            let who = dice.random_range(0..self.lists.customers.len());
            let lines = (0..[1, 1, 1, 2, 3][dice.random_range(0..5)]).map(|_| {
                let product = dice.random_range(0..self.lists.products.len());
                (product, dice.random_range(1..4))
            });
            let lines: Vec<_> = lines.collect();
            // Prefers the last 25 reservations.
            let all = self.lists.holds.len();
            let known = all.checked_sub(1 + dice.random_range(0..all.clamp(1, 25)));
            let seconds = *TTL.choose(dice).unwrap();
            match (dice.random_range(0..12), known) {
                (0..2, _) => Ask::Buy(who, lines),
                (2, _) => Ask::Checkout(who, lines, seconds),
                (3..5, Some(known)) => Ask::Confirm(known),
                (5, Some(known)) => Ask::ConfirmByCard(known, seconds),
                (6..8, Some(known)) => Ask::Cancel(known),
                _ => {
                    let wait = dice.random_range(0..4) > 0;
                    Ask::Reserve(who, lines, seconds, wait)
                }
            }
        };
        (0..count).map(|_| ask(dice)).collect()
    }

    pub(super) fn commands(&self, asks: &[Ask]) -> Vec<Command> {
        let lines = |items: &[(usize, i64)]| -> Vec<Line> {
            let lines = items.iter().map(|(product, quantity)| Line {
                product_id: self.lists.products[*product].id,
                quantity: Quantity::new(*quantity).unwrap(),
                quoted: None,
            });
            lines.collect()
        };
        let target = |at: usize| {
            let hold = &self.lists.holds[at];
            let items = hold.items.iter();
            let items = items.map(|item| (self.lists.products[item.product].id, item.quantity));
            LockedIds {
                id: hold.id,
                customer_id: self.lists.customers[hold.customer].id,
                items: items.collect(),
            }
        };
        let purchase = |who: usize, items: &[(usize, i64)]| Purchase {
            customer_id: self.lists.customers[who].id,
            lines: lines(items),
        };
        let work = |ask: &Ask| match ask {
            Ask::Buy(who, items) => Work::Purchase(purchase(*who, items), unread),
            Ask::Checkout(who, items, seconds) => {
                Work::Checkout(purchase(*who, items), terms(*seconds))
            }
            Ask::Reserve(who, items, ttl, wait) => {
                let wish = NewReservation {
                    customer_id: self.lists.customers[*who].id,
                    lines: lines(items),
                    ttl_seconds: i32::try_from(*ttl).unwrap(),
                    wait: *wait,
                };
                Work::Reserve(wish, unread_reservation)
            }
            Ask::Confirm(at) => Work::Confirm(target(*at), unread),
            Ask::ConfirmByCard(at, seconds) => Work::ConfirmByCard(target(*at), terms(*seconds)),
            Ask::Cancel(at) => Work::Cancel(target(*at), unread_reservation),
        };
        let commands = asks.iter().map(|ask| Command {
            caller: caller(),
            work: work(ask),
            key: None,
        });
        commands.collect()
    }

    /// The error as the model words it.
    pub(super) fn told(&self, error: &Error) -> String {
        let number = |id: &ProductId| {
            let mut all = self.lists.products.iter();
            all.position(|product| product.id == *id).unwrap()
        };
        match error {
            Error::PurchaseLimitReached {
                product_id, bought, ..
            } => format!("limit of {}: {bought}", number(product_id)),
            Error::InsufficientStock(short) => {
                let short = short.iter();
                let short =
                    short.map(|one| (number(&one.product_id), one.requested, one.available));
                format!("short {:?}", short.collect::<Vec<_>>())
            }
            Error::CreditLimitExceeded { .. } => "credit".to_owned(),
            Error::ReservationLimitReached { .. } => "too many".to_owned(),
            Error::SoldOut(_) => "sold out".to_owned(),
            Error::ReservationExpired { .. } => "expired".to_owned(),
            Error::ReservationResolved { from, .. } => format!("resolved: {from:?}"),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn perform(
        &mut self,
        step: &Step,
        sweeps: Sweeps,
        dice: &mut StdRng,
        seed: u64,
    ) {
        match step {
            Step::Ask(asks) => self.ask(asks, sweeps, seed).await,
            Step::Adjust(product, by) => {
                let on_hand = self.lists.products[*product].on_hand + by;
                let expected = self.lists.count(*product, on_hand);
                let id = self.lists.products[*product].id;
                let done = self.correct(id, Correction::Adjust(*by)).await;
                let done = done.map_err(|error| match error {
                    Error::InsufficientStock(short) => format!("{} free", short[0].available),
                    other => panic!("{other:?}"),
                });
                assert_eq!(done, expected, "{}", self.at(seed));
            }
            Step::Count(product, on_hand) => {
                let expected = self.lists.count(*product, *on_hand);
                let id = self.lists.products[*product].id;
                let done = self.correct(id, Correction::Set(*on_hand)).await;
                assert_eq!(done.is_ok(), expected.is_ok(), "{done:?} {}", self.at(seed));
            }
            Step::CancelOrder(at) => {
                let expected = self.lists.take_back(*at);
                let id = self.lists.orders[*at].id;
                let caller = caller();
                let done = cancellation::cancel(&self.pool, &unkeyed(&caller), id).await;
                assert_eq!(done.is_ok(), expected.is_ok(), "{done:?} {}", self.at(seed));
            }
            Step::Pass(seconds) => self.pass(*seconds).await,
            Step::Sweep => {
                self.sweep().await;
                self.lists.sweep();
            }
        }
        let all = self.lists.holds.len();
        if all > 0 {
            self.read_one(dice.random_range(0..all), seed).await;
        }
    }

    pub(super) async fn ask(&mut self, asks: &[Ask], sweeps: Sweeps, seed: u64) {
        let commands = self.commands(asks);
        // Futures are polled in order, so the commands arrive in order.
        let answers = join_all(
            commands
                .into_iter()
                .map(|command| self.desk.execute(command)),
        );
        let answers = if sweeps == Sweeps::Always {
            self.lists.sweep();
            tokio::join!(answers, self.sweep(), self.sweep()).0
        } else {
            answers.await
        };
        for (ask, answer) in asks.iter().zip(answers) {
            let (orders, holds) = (self.lists.orders.len(), self.lists.holds.len());
            let expected = self.lists.ask(ask);
            let answer = answer.map_err(|error| self.told(&error));
            let answer = answer.map(words);
            let told = answer.as_ref().map(|body| body.split_once(' ').unwrap());
            let told = told.map(|(_, told)| told.to_owned()).map_err(Clone::clone);
            assert_eq!(told, expected, "{ask:?} {}", self.at(seed));
            let Some(mut ids) = answer.as_deref().ok().and_then(|body| {
                let (ids, _) = body.split_once(' ')?;
                Some(ids.split(','))
            }) else {
                continue;
            };
            // The first id is that of an order, and the last that of a hold.
            if self.lists.orders.len() > orders {
                let id = ids.clone().next().unwrap();
                self.lists.orders[orders].id = id.parse().unwrap();
            }
            if self.lists.holds.len() > holds {
                let id = ids.next_back().unwrap();
                self.lists.holds[holds].id = id.parse().unwrap();
            }
        }
    }

    /// Sends all commands in one batch: they queue while another command waits for the first product.
    pub(super) async fn ask_in_one_batch(&mut self, asks: &[Ask]) {
        let product = self.lists.products[0].id;
        let row = format!("SELECT FROM inventory WHERE product_id = '{product}' FOR UPDATE");
        let held = self.database.hold(&row).await;
        let database = self.database.clone();
        // The command asks for more than is on hand and is therefore rejected.
        let none = Ask::Reserve(4, vec![(0, 100)], 300, false);
        let (desk, first) = (Arc::clone(&self.desk), self.commands(&[none]).remove(0));
        let first = tokio::spawn(async move { desk.execute(first).await });
        until("the first waits", async || database.blocked().await == 1).await;
        let release = async {
            // The commands are queued, because they were polled before this.
            held.release().await;
        };
        tokio::join!(self.ask(asks, Sweeps::Never, 0), release);
        assert!(first.await.unwrap().is_err());
    }

    pub(super) async fn correct(&self, product: ProductId, by: Correction) -> Result<(), Error> {
        let new = NewCorrection {
            correction: by,
            reason: Reason::Correction,
            note: None,
        };
        inventory::correct(&self.pool, &caller(), product, &new)
            .await
            .map(|_| ())
    }

    /// Moves the clock by making all reservations older in the database.
    pub(super) async fn pass(&mut self, seconds: i64) {
        self.lists.now += seconds;
        let older = format!("- interval '{seconds} seconds'");
        let reservations = format!(
            "UPDATE reservations SET expires_at = expires_at {older}, created_at = created_at {older}"
        );
        self.database.execute(&reservations).await;
        let items = format!("UPDATE reservation_items SET expires_at = expires_at {older}");
        self.database.execute(&items).await;
    }

    pub(super) async fn sweep(&self) {
        sweep(&self.pool).await;
    }

    pub(super) fn at(&self, seed: u64) -> String {
        format!("TRADELINE_TEST_SEED={seed}\n{}", self.history)
    }

    /// Asserts that a customer reads the expected status and position.
    pub(super) async fn read_one(&self, at: usize, seed: u64) {
        let hold = &self.lists.holds[at];
        let found = reservations::read(&self.pool, &caller(), hold.id)
            .await
            .unwrap();
        let expected = (hold.status(self.lists.now), self.lists.place(at));
        let place = found.place.map(|place| usize::try_from(place).unwrap());
        assert_eq!((found.status, place), expected, "{at} {}", self.at(seed));
    }

    /// Asserts that stock, statuses and positions equal the model's.
    pub(super) async fn check(&self, step: &str, seed: u64) {
        let lists = &self.lists;
        let counts = "SELECT product_id, on_hand, reserved, waiting FROM inventory";
        let counts = by_id(self.database.rows(counts).await, "product_id");
        for (number, product) in lists.products.iter().enumerate() {
            let row = &counts[&product.id.to_string()];
            let count = |name: &str| row[name].as_i64().unwrap();
            let waiting = usize::try_from(count("waiting")).unwrap();
            let expected = (
                product.on_hand,
                lists.reserved(number),
                lists.waiting(number),
            );
            let found = (count("on_hand"), count("reserved"), waiting);
            assert_eq!(
                found,
                expected,
                "product {number} after {step} {}",
                self.at(seed)
            );
        }
        let all = by_id(self.database.rows(STANDINGS).await, "id");
        assert_eq!(all.len(), lists.holds.len(), "{step} {}", self.at(seed));
        for (number, hold) in lists.holds.iter().enumerate() {
            let row = &all[&hold.id.to_string()];
            let status = serde_json::to_value(hold.status(lists.now)).unwrap();
            let place = serde_json::to_value(lists.place(number)).unwrap();
            assert_eq!(row["agree"], true, "reservation {number} and its items");
            let is_open = matches!(status.as_str(), Some("waiting" | "active"));
            let ticks = is_open.then(|| (hold.expires - lists.now + TICK - 1) / TICK);
            let expected = (&status, &place, ticks);
            let found = (&row["status"], &row["place"], row["ticks"].as_i64());
            assert_eq!(
                found,
                expected,
                "reservation {number} after {step} {}",
                self.at(seed)
            );
        }
    }

    pub(super) async fn keep_the_laws(&self, at: &str) {
        let found = differences(&self.database).await;
        assert!(found.is_empty(), "{found:#?} {at}");
        let found = verified(&self.database).await;
        assert!(found.is_empty(), "{found:#?} {at}");
    }

    /// Asserts that stock was allocated in order of arrival, which is the order of ids.
    pub(super) async fn lines_were_served_in_order(&self) {
        let served = self.database.rows(SERVED).await;
        assert!(!served.is_empty());
        let mut last: HashMap<&str, &str> = HashMap::new();
        for row in &served {
            let (product, id) = (
                row["product_id"].as_str().unwrap(),
                row["id"].as_str().unwrap(),
            );
            let before = last.insert(product, id).unwrap_or("");
            assert!(before < id, "{id} was served after {before}");
        }
    }
}

fn by_id(rows: Vec<Value>, id: &str) -> HashMap<String, Value> {
    let rows = rows.into_iter();
    rows.map(|row| (row[id].as_str().unwrap().to_owned(), row))
        .collect()
}

/// The status and position that clients see, and the ticks left if the reservation is open.
const STANDINGS: &str = "
SELECT r.id, seen.status, line.place,
       CASE WHEN seen.status IN ('waiting', 'active')
            THEN ceil(extract(epoch FROM r.expires_at - now()) / 600)::bigint END AS ticks,
       (SELECT bool_and(i.expires_at = r.expires_at) FROM reservation_items i WHERE i.reservation_id = r.id) AS agree
  FROM reservations r
 CROSS JOIN LATERAL (
        SELECT CASE WHEN r.status IN ('waiting', 'active') AND r.expires_at <= now() THEN 'expired' ELSE r.status END
       ) AS seen (status)
  LEFT JOIN (SELECT reservation_id, row_number() OVER (PARTITION BY product_id ORDER BY place) AS place
               FROM reservation_items WHERE place IS NOT NULL AND expires_at > now()) AS line
    ON line.reservation_id = r.id";

const SERVED: &str = "
SELECT i.product_id, e.entity_id AS id
  FROM audit_events e JOIN reservation_items i ON (i.business_id, i.reservation_id) = (e.business_id, e.entity_id)
 WHERE e.action = 'reservation.served'
 ORDER BY e.id";
