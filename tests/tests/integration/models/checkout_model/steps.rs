//! This module applies steps to the system and to the model.

use std::collections::HashMap;
use std::fmt::Write;

use domain::cancellation;
use domain::card;
use domain::card::checkout::{Event, EventOutcome};
use domain::card::provider::RefundState;
use domain::card::refunds;
use domain::stock::reservations;
use domain::{Authority, demo, orders};
use entity::OrderId;
use futures_util::future::join_all;
use serde_json::Value;
use tests::clerk::unkeyed;
use tests::until;

use super::lists::{Ask, Asked, By, Due, Order, Rows, What, minor};
use super::shop::{Shop, caller, event, money, wish, words};
use super::till::{Till, received};

/// A step between two comparisons. Numbers are indexes into the model's lists.
#[derive(Debug)]
pub(super) enum Step {
    /// Concurrent commands, in order of arrival.
    Ask(Vec<Ask>),
    Finish(usize),
    Work,
    /// The buyer pays this amount, in minor units, in this currency.
    Pay(usize, i64, &'static str),
    Process(usize),
    Decline(usize),
    /// The intent is cancelled at the provider, not by the service.
    Withdraw(usize),
    /// The oldest refund in progress succeeds (true) or fails.
    Settle(bool),
    /// A person refunds this amount at the provider.
    GiveByHand(usize, i64),
    /// An event is sent under its own id, or under a new one (true).
    Tell(usize, bool),
    /// An event is sent with another intent's id, with an unknown order, or by another provider.
    TellAmiss(usize, Amiss),
    Cancel(usize, By),
    Refund(usize, What, bool),
    Fulfil(usize),
    Goods(usize, i64),
    Pass(i64),
    Sweep,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Amiss {
    Intent,
    Order,
    Provider,
}

impl Shop {
    pub(super) async fn perform(&mut self, step: &Step) {
        match step {
            Step::Ask(asks) => self.ask(asks).await,
            Step::Finish(at) => {
                let id = self.lists.orders[*at].id;
                let done = card::finish(&self.pool, &self.counter, demo::ACME, id).await;
                let mut asked = self.asked();
                let expected = self.lists.finish(*at, &mut asked);
                assert!(asked.is_empty(), "{asked:?} {}", self.at());
                let done = done.map(|_| "can be paid");
                let done = done.map_err(|error| self.refusal(&error));
                assert_eq!(done, expected, "{}", self.at());
            }
            Step::Work => {
                self.work().await;
            }
            Step::Pay(..)
            | Step::Process(_)
            | Step::Decline(_)
            | Step::Withdraw(_)
            | Step::Settle(_) => {
                act(step, &self.lists.orders, &mut self.counter.look().till);
                act(step, &self.lists.orders, &mut self.lists.till);
            }
            Step::GiveByHand(at, units) => {
                let id = self.lists.orders[*at].id;
                self.lists.till.give_by_hand(id, minor(*units));
                self.counter.look().till.give_by_hand(id, minor(*units));
                let news = self.lists.till.news.len() - 1;
                self.tell(news, false).await;
            }
            Step::Tell(news, anew) => self.tell(*news, *anew).await,
            Step::TellAmiss(news, amiss) => self.tell_amiss(*news, *amiss).await,
            Step::Cancel(at, by) => {
                let expected = self.lists.cancel(*at, *by);
                let authority = match by {
                    By::Customer(who) => Authority::Customer(self.lists.customers[*who].id),
                    By::Staff => Authority::Staff,
                    By::Admin => Authority::Admin,
                };
                let id = self.lists.orders[*at].id;
                let caller = caller(authority);
                let done = cancellation::cancel(&self.pool, &unkeyed(&caller), id).await;
                let done = done.map(|_| ()).map_err(|error| self.refusal(&error));
                assert_eq!(done, expected, "{}", self.at());
            }
            Step::Refund(at, what, restock) => {
                let expected = self.lists.ask_refund(*at, what, *restock);
                let what = match what {
                    What::Rest => refunds::What::Rest,
                    What::Amount(units) => refunds::What::Amount(money(*units)),
                    What::Items(items) => {
                        let items = items.iter();
                        let items = items.map(|(product, quantity)| {
                            (self.lists.products[*product].id, *quantity)
                        });
                        refunds::What::Items {
                            items: items.collect(),
                            restock: *restock,
                        }
                    }
                };
                let (id, admin) = (self.lists.orders[*at].id, caller(Authority::Admin));
                let (wish, write) = (wish(what), unkeyed(&admin));
                let done = refunds::request(&self.pool, &write, id, &wish).await;
                let done = done.map(|_| ()).map_err(|error| self.refusal(&error));
                assert_eq!(done, expected, "{}", self.at());
            }
            Step::Fulfil(at) => {
                let expected = self.lists.fulfil(*at);
                let (id, staff) = (self.lists.orders[*at].id, caller(Authority::Staff));
                let sent = orders::Fulfilment::default();
                let done = orders::fulfil(&self.pool, &unkeyed(&staff), id, sent).await;
                let done = done.map(|_| ()).map_err(|error| self.refusal(&error));
                assert_eq!(done, expected, "{}", self.at());
            }
            Step::Goods(product, quantity) => {
                self.lists.receive_goods(*product, *quantity);
                self.goods(self.lists.products[*product].id, *quantity)
                    .await;
            }
            Step::Pass(seconds) => {
                self.lists.now += seconds;
                self.pass(*seconds).await;
            }
            Step::Sweep => self.sweep().await,
        }
    }

    async fn sweep(&mut self) {
        reservations::sweep(&self.pool, demo::ACME).await.unwrap();
        self.lists.sweep();
    }

    async fn ask(&mut self, asks: &[Ask]) {
        let commands = self.commands(asks);
        // Futures are polled in order, so the commands arrive in order.
        let commands = commands.into_iter();
        let answers = join_all(commands.map(|command| self.desk.execute(command))).await;
        let before = self.lists.orders.len();
        for (ask, answer) in asks.iter().zip(answers) {
            let (orders, holds) = (self.lists.orders.len(), self.lists.holds.len());
            let expected = self.lists.ask(ask);
            let answer = answer.map_err(|error| self.refusal(&error));
            let answer = answer.map(words);
            let told = answer.as_ref().map(|body| body.split(' ').nth(1).unwrap());
            let expected = expected.as_ref().copied();
            assert_eq!(told, expected, "{ask:?} {}", self.at());
            let id = |nth: usize| answer.as_ref().unwrap().split(' ').nth(nth).unwrap();
            if self.lists.orders.len() > orders {
                self.lists.orders[orders].id = id(0).parse().unwrap();
            }
            if self.lists.holds.len() > holds {
                let nth = if matches!(ask, Ask::Checkout(..)) {
                    2
                } else {
                    0
                };
                self.lists.holds[holds].id = id(nth).parse().unwrap();
            }
        }
        let new = self.lists.orders[before..].iter();
        self.be_patient(new.map(|order| order.id)).await;
    }

    /// Postpones the payment worker's first attempt for new orders. The worker leaves new orders to their request for a
    /// while; that must be longer here, because real time passes while the model's clock stands still.
    async fn be_patient(&self, orders: impl Iterator<Item = OrderId>) {
        let ids = orders.map(|id| format!("'{id}'")).collect::<Vec<_>>();
        if ids.is_empty() {
            return;
        }
        let ids = ids.join(", ");
        let later = format!(
            "UPDATE payment_intents SET next_try_at = next_try_at + interval '285 s' WHERE order_id IN ({ids})"
        );
        self.execute(&later).await;
    }

    /// Requests to the provider since the last call.
    fn asked(&mut self) -> Asked {
        let asked = std::mem::take(&mut self.counter.look().asked);
        if !asked.is_empty() {
            writeln!(self.history, "    {}", self.lists.in_short(&asked)).unwrap();
        }
        asked.into()
    }

    /// Waits until no session holds a row lock. A rejected command's transaction rolls back a little later. The payment
    /// worker would skip rows that it has locked.
    async fn be_at_rest(&self) {
        let busy = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND usename = 'tradeline_service' AND state <> 'idle'";
        until("all transactions end", async || {
            self.database.value(busy).await == "0"
        })
        .await;
    }

    /// Runs the payment worker once and returns the number of due intents and refunds.
    pub(super) async fn work(&mut self) -> u64 {
        self.be_at_rest().await;
        let before = self.rows(TRIES).await;
        let done = card::work(&self.pool, &self.counter, demo::ACME).await;
        let done = done.unwrap_or_else(|error| panic!("{error} {}", self.at()));
        let after = self.rows(TRIES).await;
        let last: HashMap<&str, &Value> = after
            .iter()
            .map(|row| (row["id"].as_str().unwrap(), row))
            .collect();
        let mut due = Due::default();
        for row in &before {
            let id = row["id"].as_str().unwrap();
            let (Some(at), Some(now)) = (row["at"].as_f64(), row["now"].as_f64()) else {
                continue;
            };
            let mut put = |rows: fn(&mut Due) -> &mut Rows| {
                let rows = rows(&mut due);
                let _ = match row["is_refund"].as_bool() {
                    Some(true) => rows.refunds.insert(id.parse().unwrap()),
                    _ => rows.orders.insert(id.parse().unwrap()),
                };
            };
            if at <= now {
                put(|due| &mut due.must);
            }
            if at <= last[id]["now"].as_f64().unwrap() {
                put(|due| &mut due.may);
            }
        }
        for row in after.iter().filter(|row| row["is_refund"] == true) {
            let id = |name: &str| row[name].as_str().unwrap();
            let order = id("order_id").parse().unwrap();
            self.lists.refunds.insert(id("id").parse().unwrap(), order);
        }
        let mut asked = self.asked();
        self.lists.work(&due, &mut asked);
        assert!(asked.is_empty(), "{asked:?} {}", self.at());
        done
    }

    fn event(&self, news: usize, anew: Option<usize>) -> Event {
        let (order, told) = self.lists.till.news[news].clone();
        let id = match anew {
            None => format!("evt_{news}"),
            Some(number) => format!("evt_{news}_{number}"),
        };
        event(order, told, id)
    }

    pub(super) async fn tell(&mut self, news: usize, anew: bool) {
        self.events += 1;
        let event = self.event(news, anew.then_some(self.events));
        let at = self.lists.find(event.order_id).unwrap();
        let taken = card::receive(&self.pool, &self.counter, &event)
            .await
            .unwrap();
        let expected = self.lists.receive(at, &event.id, &event.event_kind);
        assert_eq!(taken, expected, "{}", self.at());
        self.told.resize(self.lists.till.news.len(), false);
        self.told[news] = true;
    }

    async fn tell_amiss(&mut self, news: usize, amiss: Amiss) {
        let mut event = self.event(news, None);
        match amiss {
            Amiss::Intent => event.intent = "pi_another".to_owned(),
            Amiss::Order => event.order_id = OrderId::new(),
            Amiss::Provider => event.provider = "another",
        }
        let taken = card::receive(&self.pool, &self.counter, &event)
            .await
            .unwrap();
        assert_eq!(taken, EventOutcome::NotOurs, "{}", self.at());
    }
}

/// Applies a step that happens at the provider without a request by the service.
fn act(step: &Step, orders: &[Order], till: &mut Till) {
    match step {
        Step::Pay(at, minor, currency) => {
            till.pay(orders[*at].id, &received(*minor, currency));
        }
        Step::Process(at) => till.process(orders[*at].id),
        Step::Decline(at) => till.decline(orders[*at].id),
        Step::Withdraw(at) => till.withdraw(orders[*at].id),
        Step::Settle(well) => {
            if let Some(id) = till.under_way().first() {
                till.settle(*id, outcome(*well));
            }
        }
        other => panic!("{other:?} is ours to do"),
    }
}

pub(super) fn outcome(well: bool) -> RefundState {
    if well {
        RefundState::Succeeded
    } else {
        RefundState::Failed("the card is closed".to_owned())
    }
}

/// The time of the next request to the provider, per intent and refund.
const TRIES: &str = "
SELECT id, order_id, is_refund, extract(epoch FROM at)::float8 AS at, extract(epoch FROM clock_timestamp())::float8 AS now
  FROM (SELECT order_id AS id, order_id, false, next_try_at FROM payment_intents
         UNION ALL SELECT id, order_id, true, next_try_at FROM refunds) AS tries (id, order_id, is_refund, at)";
