//! This module applies steps to the system and to the model.

use std::fmt::Write;

use domain::cancellation;
use domain::card;
use domain::card::checkout::{Event, EventOutcome};
use domain::card::provider::RefundState;
use domain::card::refunds;
use domain::catalogue::products::{self, ProductChange};
use domain::identity::customers::{self, CreditTerms, CustomerChange};
use domain::stock::inventory::Correction;
use domain::stock::reservations;
use domain::{Authority, Error, demo, orders};
use entity::OrderId;
use futures_util::future::join_all;
use tests::clerk::unkeyed;
use tests::until;
use uuid::Uuid;

use super::model::{Ask, Asked, By, Change, Due, Order, Refusal, What};
use super::service::{Shop, caller, event, made, money, refund_of};
use super::till::{Till, received};

/// A step between two comparisons. Numbers are indexes into the model's model.
#[derive(Debug)]
pub(crate) enum Step {
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
    /// Corrects a product's stock by this difference.
    Adjust(usize, i64),
    /// Corrects a product's stock to a counted value.
    Count(usize, i64),
    Change(Change),
    Pass(i64),
    Sweep,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Amiss {
    Intent,
    Order,
    Provider,
}

impl Shop {
    /// Applies a step to the system and to the model, and compares the outcomes.
    pub(crate) async fn perform(&mut self, step: &Step) {
        match step {
            Step::Ask(asks) => self.ask(asks).await,
            Step::Finish(at) => self.finish(*at).await,
            Step::Work => self.work().await,
            Step::Pay(..)
            | Step::Process(_)
            | Step::Decline(_)
            | Step::Withdraw(_)
            | Step::Settle(_) => {
                act(step, &self.model.orders, &mut self.counter.look().till);
                act(step, &self.model.orders, &mut self.model.till);
            }
            Step::GiveByHand(at, minor) => {
                let id = self.model.orders[*at].id;
                self.model.till.give_by_hand(id, *minor);
                self.counter.look().till.give_by_hand(id, *minor);
                let news = self.model.till.news.len() - 1;
                self.tell(news, false).await;
            }
            Step::Tell(news, anew) => self.tell(*news, *anew).await,
            Step::TellAmiss(news, amiss) => self.tell_amiss(*news, *amiss).await,
            Step::Cancel(at, by) => self.cancel(*at, *by).await,
            Step::Refund(at, what, restock) => self.refund(*at, what, *restock).await,
            Step::Fulfil(at) => {
                let expected = self.model.fulfil(*at);
                let (id, staff) = (self.model.orders[*at].id, caller(Authority::Staff));
                let sent = orders::Fulfilment::default();
                let done = orders::fulfil(&self.pool, &unkeyed(&staff), id, sent).await;
                self.assert_outcome(done, expected);
            }
            Step::Adjust(product, by) => {
                let expected = self.model.adjust(*product, *by);
                let done = self.correct(*product, Correction::Adjust(*by)).await;
                self.assert_outcome(done, expected);
            }
            Step::Count(product, counted) => {
                let expected = self.model.count(*product, *counted);
                let done = self.correct(*product, Correction::Set(*counted)).await;
                self.assert_outcome(done, expected);
            }
            Step::Change(change) => self.change(*change).await,
            Step::Pass(seconds) => {
                self.model.now += seconds;
                self.pass(*seconds).await;
            }
            Step::Sweep => self.sweep().await,
        }
    }

    /// Asserts that the outcome is the model's.
    fn assert_outcome<T>(&self, done: Result<T, Error>, expected: Result<(), Refusal>) {
        let done = done.map(|_| ()).map_err(|error| self.refusal(&error));
        assert_eq!(done, expected, "{}", self.at());
    }

    async fn finish(&mut self, at: usize) {
        let id = self.model.orders[at].id;
        let done = card::finish(&self.pool, &self.counter, demo::ACME, id).await;
        let mut asked = self.asked();
        let expected = self.model.finish(at, &mut asked);
        assert!(asked.is_empty(), "{asked:?} {}", self.at());
        self.assert_outcome(done, expected);
    }

    async fn cancel(&mut self, at: usize, by: By) {
        let expected = self.model.cancel(at, by);
        let authority = match by {
            By::Customer(who) => Authority::Customer(self.model.customers[who].id),
            By::Staff => Authority::Staff,
            By::Admin => Authority::Admin,
        };
        let (id, caller) = (self.model.orders[at].id, caller(authority));
        let done = cancellation::cancel(&self.pool, &unkeyed(&caller), id).await;
        self.assert_outcome(done, expected);
    }

    async fn refund(&mut self, at: usize, what: &What, restock: bool) {
        let expected = self.model.ask_refund(at, what, restock);
        let what = match what {
            What::Rest => refunds::What::Rest,
            What::Amount(minor) => refunds::What::Amount(money(*minor)),
            What::Items(items) => {
                let items = items.iter();
                let items = items
                    .map(|(product, quantity)| (self.model.products[*product].id, *quantity))
                    .collect();
                refunds::What::Items { items, restock }
            }
        };
        let (id, admin) = (self.model.orders[at].id, caller(Authority::Admin));
        let (new, write) = (refund_of(what), unkeyed(&admin));
        let done = refunds::request(&self.pool, &write, id, &new).await;
        self.assert_outcome(done, expected);
    }

    async fn change(&mut self, change: Change) {
        self.model.change(change);
        let admin = caller(Authority::Admin);
        let (who, credit) = match change {
            Change::Price(product, price) => {
                let id = self.model.products[product].id;
                let change = ProductChange {
                    price: Some(money(price)),
                    ..ProductChange::default()
                };
                let done = products::change(&self.pool, &admin, id, &change).await;
                self.assert_outcome(done, Ok(()));
                return;
            }
            Change::Credit(who, limit) => {
                let credit = CreditTerms {
                    credit_limit: Some(money(limit)),
                    ..CreditTerms::default()
                };
                (who, credit)
            }
            Change::OnHold(who, on_hold) => {
                let credit = CreditTerms {
                    on_hold: Some(on_hold),
                    ..CreditTerms::default()
                };
                (who, credit)
            }
        };
        let change = CustomerChange {
            credit,
            ..CustomerChange::default()
        };
        let id = self.model.customers[who].id;
        let done = customers::change(&self.pool, &admin, id, &change).await;
        self.assert_outcome(done, Ok(()));
    }

    pub(crate) async fn sweep(&mut self) {
        sweep(&self.pool).await;
        self.model.sweep();
    }

    pub(crate) async fn ask(&mut self, asks: &[Ask]) {
        // Futures are polled in order, so the commands arrive in order.
        let commands = self.commands(asks).into_iter();
        let answers = join_all(commands.map(|command| self.desk.execute(command)));
        let answers = if self.is_swept {
            self.model.sweep();
            tokio::join!(answers, sweep(&self.pool), sweep(&self.pool)).0
        } else {
            answers.await
        };
        let before = self.model.orders.len();
        for (ask, answer) in asks.iter().zip(answers) {
            let (orders, holds) = (self.model.orders.len(), self.model.holds.len());
            let expected = self.model.ask(ask);
            let answer = answer.map(made).map_err(|error| self.refusal(&error));
            let told = answer.as_ref().map(|made| &made.told);
            assert_eq!(told, expected.as_ref(), "{ask:?} {}", self.at());
            let Ok(made) = answer else { continue };
            if self.model.orders.len() > orders {
                self.model.orders[orders].id = made.order.unwrap();
            }
            if self.model.holds.len() > holds {
                self.model.holds[holds].id = made.hold.unwrap();
            }
        }
        let new = self.model.orders[before..].iter();
        let new = new.filter(|order| order.card.is_some());
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
            writeln!(self.history, "    {}", self.model.in_short(&asked)).unwrap();
        }
        asked.into()
    }

    /// Waits until no session holds a row lock. A rejected command's transaction rolls back a little later. The payment
    /// worker would skip rows that it has locked.
    async fn be_at_rest(&self) {
        let busy = "SELECT FROM pg_stat_activity
                     WHERE datname = current_database() AND usename = 'tradeline_service' AND state <> 'idle'";
        until("all transactions end", async || {
            self.rows(busy).await.is_empty()
        })
        .await;
    }

    /// Runs the payment worker once.
    pub(crate) async fn work(&mut self) {
        self.be_at_rest().await;
        let before = self.rows(TRIES).await;
        let done = card::work(&self.pool, &self.counter, demo::ACME).await;
        done.unwrap_or_else(|error| panic!("{error} {}", self.at()));
        let after = self.rows(TRIES).await;
        let mut due = Due::default();
        let end = after.last().map_or(0.0, |row| row["now"].as_f64().unwrap());
        for row in &before {
            let Some(at) = row["at"].as_f64() else {
                continue;
            };
            let id: Uuid = row["id"].as_str().unwrap().parse().unwrap();
            if at <= row["now"].as_f64().unwrap() {
                due.must.insert(id);
            }
            if at <= end {
                due.may.insert(id);
            }
        }
        for row in after.iter().filter(|row| row["is_refund"] == true) {
            let id = |name: &str| row[name].as_str().unwrap();
            let order = id("order_id").parse().unwrap();
            self.model.refunds.insert(id("id").parse().unwrap(), order);
        }
        let mut asked = self.asked();
        self.model.work(&due, &mut asked);
        assert!(asked.is_empty(), "{asked:?} {}", self.at());
    }

    fn event(&self, news: usize, anew: Option<usize>) -> Event {
        let (order, told) = self.model.till.news[news].clone();
        let id = match anew {
            None => format!("evt_{news}"),
            Some(number) => format!("evt_{news}_{number}"),
        };
        event(order, told, id)
    }

    pub(crate) async fn tell(&mut self, news: usize, anew: bool) {
        self.events += 1;
        let event = self.event(news, anew.then_some(self.events));
        let at = self.model.find(event.order_id).unwrap();
        let taken = card::receive(&self.pool, &self.counter, &event)
            .await
            .unwrap();
        let expected = self.model.receive(at, &event.id, &event.event_kind);
        assert_eq!(taken, expected, "{}", self.at());
        self.model.told.resize(self.model.till.news.len(), false);
        self.model.told[news] = true;
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

pub(crate) async fn sweep(pool: &domain::Database) {
    reservations::sweep(pool, demo::ACME).await.unwrap();
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

pub(crate) fn outcome(well: bool) -> RefundState {
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
