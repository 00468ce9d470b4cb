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

use super::model::{By, Calls, Change, Due, Order, Refusal, Request, What};
use super::provider::{ProviderAccount, received};
use super::service::{Shop, caller, event, made, money, refund_of};

/// A step between two comparisons. Numbers are indexes into the model's lists.
#[derive(Debug)]
pub(crate) enum Step {
    /// Concurrent commands, in order of arrival.
    Requests(Vec<Request>),
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
    SendEvent(usize, bool),
    /// An event is sent with another intent's id, with an unknown order, or by another provider.
    SendForeignEvent(usize, Foreign),
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
pub(crate) enum Foreign {
    Intent,
    Order,
    Provider,
}

impl Shop {
    /// Applies a step to the system and to the model, and compares the outcomes.
    pub(crate) async fn perform(&mut self, step: &Step) {
        match step {
            Step::Requests(requests) => self.send(requests).await,
            Step::Finish(at) => self.finish(*at).await,
            Step::Work => self.work().await,
            Step::Pay(..)
            | Step::Process(_)
            | Step::Decline(_)
            | Step::Withdraw(_)
            | Step::Settle(_) => {
                act(
                    step,
                    &self.model.orders,
                    &mut self.provider.lock().provider_account,
                );
                act(step, &self.model.orders, &mut self.model.provider_account);
            }
            Step::GiveByHand(at, minor) => {
                let id = self.model.orders[*at].id;
                self.model.provider_account.give_by_hand(id, *minor);
                self.provider
                    .lock()
                    .provider_account
                    .give_by_hand(id, *minor);
                let index = self.model.provider_account.events.len() - 1;
                self.send_event(index, false).await;
            }
            Step::SendEvent(index, anew) => self.send_event(*index, *anew).await,
            Step::SendForeignEvent(index, foreign) => {
                self.send_foreign_event(*index, *foreign).await
            }
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
        let done = card::finish(&self.pool, &self.provider, demo::ACME, id).await;
        let mut calls = self.take_calls();
        let expected = self.model.finish(at, &mut calls);
        assert!(calls.is_empty(), "{calls:?} {}", self.at());
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
        let expected = self.model.request_refund(at, what, restock);
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

    pub(crate) async fn send(&mut self, requests: &[Request]) {
        // Futures are polled in order, so the commands arrive in order.
        let commands = self.commands(requests).into_iter();
        let answers = join_all(commands.map(|command| self.desk.execute(command)));
        let answers = if self.is_swept {
            self.model.sweep();
            tokio::join!(answers, sweep(&self.pool), sweep(&self.pool)).0
        } else {
            answers.await
        };
        let before = self.model.orders.len();
        for (request, answer) in requests.iter().zip(answers) {
            let (orders, holds) = (self.model.orders.len(), self.model.holds.len());
            let expected = self.model.execute(request);
            let answer = answer.map(made).map_err(|error| self.refusal(&error));
            let outcome = answer.as_ref().map(|made| &made.outcome);
            assert_eq!(outcome, expected.as_ref(), "{request:?} {}", self.at());
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
        self.postpone_first_attempts(new.map(|order| order.id))
            .await;
    }

    /// Postpones the payment worker's first attempt for new orders. The worker leaves new orders to their request for a
    /// while; that must be longer here, because real time passes while the model's clock stands still.
    async fn postpone_first_attempts(&self, orders: impl Iterator<Item = OrderId>) {
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

    /// Takes the requests to the provider since the last time.
    fn take_calls(&mut self) -> Calls {
        let calls = std::mem::take(&mut self.provider.lock().calls);
        if !calls.is_empty() {
            writeln!(self.history, "    {}", self.model.in_short(&calls)).unwrap();
        }
        calls.into()
    }

    /// Waits until no session holds a row lock. A rejected command's transaction rolls back a little later. The payment
    /// worker would skip rows that it has locked.
    async fn wait_until_idle(&self) {
        let busy = "SELECT FROM pg_stat_activity
                     WHERE datname = current_database() AND usename = 'tradeline_service' AND state <> 'idle'";
        until("all transactions end", async || {
            self.rows(busy).await.is_empty()
        })
        .await;
    }

    /// Runs the payment worker once.
    pub(crate) async fn work(&mut self) {
        self.wait_until_idle().await;
        let before = self.rows(TRIES).await;
        let done = card::work(&self.pool, &self.provider, demo::ACME).await;
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
        let mut calls = self.take_calls();
        self.model.work(&due, &mut calls);
        assert!(calls.is_empty(), "{calls:?} {}", self.at());
    }

    fn event(&self, index: usize, anew: Option<usize>) -> Event {
        let (order, event_kind) = self.model.provider_account.events[index].clone();
        let id = match anew {
            None => format!("evt_{index}"),
            Some(number) => format!("evt_{index}_{number}"),
        };
        event(order, event_kind, id)
    }

    pub(crate) async fn send_event(&mut self, index: usize, anew: bool) {
        self.new_event_ids += 1;
        let event = self.event(index, anew.then_some(self.new_event_ids));
        let at = self.model.find(event.order_id).unwrap();
        let taken = card::receive(&self.pool, &self.provider, &event)
            .await
            .unwrap();
        let expected = self.model.receive(at, &event.id, &event.event_kind);
        assert_eq!(taken, expected, "{}", self.at());
        self.model
            .sent
            .resize(self.model.provider_account.events.len(), false);
        self.model.sent[index] = true;
    }

    async fn send_foreign_event(&mut self, index: usize, foreign: Foreign) {
        let mut event = self.event(index, None);
        match foreign {
            Foreign::Intent => event.intent = "pi_another".to_owned(),
            Foreign::Order => event.order_id = OrderId::new(),
            Foreign::Provider => event.provider = "another",
        }
        let taken = card::receive(&self.pool, &self.provider, &event)
            .await
            .unwrap();
        assert_eq!(taken, EventOutcome::NotOurs, "{}", self.at());
    }
}

pub(crate) async fn sweep(pool: &domain::Database) {
    reservations::sweep(pool, demo::ACME).await.unwrap();
}

/// Applies a step that happens at the provider without a request by the service.
fn act(step: &Step, orders: &[Order], provider_account: &mut ProviderAccount) {
    match step {
        Step::Pay(at, minor, currency) => {
            provider_account.pay(orders[*at].id, &received(*minor, currency));
        }
        Step::Process(at) => provider_account.process(orders[*at].id),
        Step::Decline(at) => provider_account.decline(orders[*at].id),
        Step::Withdraw(at) => provider_account.withdraw(orders[*at].id),
        Step::Settle(well) => {
            if let Some(id) = provider_account.under_way().first() {
                provider_account.settle(*id, outcome(*well));
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
