//! This module holds a payment provider in memory. Like a real one, it recognizes idempotency keys, may execute a
//! request and lose the response, and sends events late.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use domain::card::checkout::EventKind;
use domain::card::provider::{
    Failure, FoundDispute, FoundRefund, Intent, IntentState, Limits, Provider, Received, Refund,
    RefundState, WantedIntent, WantedRefund,
};
use entity::{Currency, Money, OrderId, RefundId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

pub(crate) const NAME: &str = "till";

/// The provider's behaviour for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Executes the request.
    Well,
    /// Executes the request and loses the response.
    Lost,
    /// Neither executes the request nor responds.
    Down,
    /// Rejects a new request; a known key gets its earlier result.
    Refuses,
    /// Leaves a refund pending.
    Slow,
    /// Lets a refund fail.
    Fails,
}

/// A request to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create(OrderId),
    Cancel(OrderId),
    Refund(RefundId),
    Status(RefundId),
}

/// The state of a payment at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stands {
    Refused,
    Open,
    /// The payment is in progress: it can no longer be cancelled, and its result is open.
    Processing,
    Paid(Received),
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) order: OrderId,
    pub(crate) minor: i64,
    /// `None` if the provider has rejected the refund.
    pub(crate) state: Option<RefundState>,
}

/// The provider's whole state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Till {
    pub(crate) payments: BTreeMap<OrderId, Stands>,
    pub(crate) refunds: BTreeMap<RefundId, Given>,
    /// The amount of each payment, in minor units.
    wanted: BTreeMap<OrderId, i64>,
    /// Manual refunds of each payment, in minor units.
    by_hand: BTreeMap<OrderId, Vec<i64>>,
    /// Events in the order in which they happened.
    pub(crate) news: Vec<(OrderId, EventKind)>,
    /// True if a repeated key returns the first response even when the state has changed since.
    pub(crate) answers_as_before: bool,
}

pub(crate) fn intent_id(order: OrderId) -> String {
    format!("pi_{order}")
}

fn order_of(intent: &str) -> OrderId {
    intent.strip_prefix("pi_").unwrap().parse().unwrap()
}

fn refund_of(refund: &str) -> RefundId {
    refund.strip_prefix("re_").unwrap().parse().unwrap()
}

pub(crate) fn minor(amount: Money) -> i64 {
    (amount.decimal() * Decimal::ONE_HUNDRED).to_i64().unwrap()
}

/// An amount of `minor` minor units; no `Money` if it does not fit USD.
pub(crate) fn received(minor: i64, currency: &str) -> Received {
    Received {
        minor,
        currency: currency.to_owned(),
        amount: Money::new(Decimal::new(minor, 2), Currency::USD).ok(),
    }
}

fn no_answer<T>() -> Result<T, Failure> {
    Err(Failure::NoAnswer("nobody is there".to_owned()))
}

fn refuses<T>() -> Result<T, Failure> {
    Err(Failure::Refused {
        code: "unknown".to_owned(),
        message: "not this one".to_owned(),
    })
}

impl Till {
    fn answer(&self, order: OrderId, is_first: bool) -> Result<Intent, Failure> {
        let state = match &self.payments[&order] {
            Stands::Refused => return refuses(),
            _ if !is_first && self.answers_as_before => IntentState::Open,
            Stands::Open | Stands::Processing => IntentState::Open,
            Stands::Paid(received) => IntentState::Paid(received.clone()),
            Stands::Cancelled => IntentState::Cancelled,
        };
        let id = intent_id(order);
        Ok(Intent {
            client_secret: format!("{id}_secret"),
            id,
            state,
        })
    }

    pub(crate) fn create(
        &mut self,
        order: OrderId,
        minor: i64,
        mood: Mood,
    ) -> Result<Intent, Failure> {
        if mood == Mood::Down {
            return no_answer();
        }
        let is_first = !self.payments.contains_key(&order);
        let wanted = self.wanted.entry(order).or_insert(minor);
        assert_eq!(*wanted, minor, "one key for two amounts");
        if is_first {
            let stands = match mood {
                Mood::Refuses => Stands::Refused,
                _ => Stands::Open,
            };
            self.payments.insert(order, stands);
        }
        if mood == Mood::Lost {
            return no_answer();
        }
        self.answer(order, is_first)
    }

    pub(crate) fn cancel(&mut self, order: OrderId, mood: Mood) -> Result<Intent, Failure> {
        if mood == Mood::Down {
            return no_answer();
        }
        if mood == Mood::Refuses {
            return refuses();
        }
        self.withdraw(order);
        if mood == Mood::Lost {
            return no_answer();
        }
        self.answer(order, true)
    }

    pub(crate) fn refund(
        &mut self,
        id: RefundId,
        order: OrderId,
        minor: i64,
        mood: Mood,
    ) -> Result<Refund, Failure> {
        if mood == Mood::Down {
            return no_answer();
        }
        if !self.refunds.contains_key(&id) {
            let state = if mood == Mood::Refuses || minor > self.left(order) {
                None
            } else {
                Some(match mood {
                    Mood::Slow => RefundState::Pending,
                    Mood::Fails => RefundState::Failed("the card is closed".to_owned()),
                    _ => RefundState::Succeeded,
                })
            };
            let counts = state.as_ref().is_some_and(counts);
            let given = Given {
                order,
                minor,
                state,
            };
            self.refunds.insert(id, given);
            if counts {
                self.tell_refunded(order);
            }
        }
        self.status(id, mood)
    }

    pub(crate) fn status(&self, id: RefundId, mood: Mood) -> Result<Refund, Failure> {
        if matches!(mood, Mood::Down | Mood::Lost) {
            return no_answer();
        }
        match &self.refunds[&id].state {
            None => refuses(),
            Some(state) => Ok(Refund {
                id: format!("re_{id}"),
                state: state.clone(),
            }),
        }
    }

    fn tell_refunded(&mut self, order: OrderId) {
        self.news.push((order, EventKind::RefundsChanged));
    }

    /// The amount that the service has requested, in minor units.
    pub(crate) fn asked_for(&self, order: OrderId) -> i64 {
        self.wanted[&order]
    }

    /// The amount that the provider has received for an order, in minor units.
    pub(crate) fn taken(&self, order: OrderId) -> i64 {
        match self.payments.get(&order) {
            Some(Stands::Paid(received)) => received.minor,
            _ => 0,
        }
    }

    /// The refunded amount, including refunds in progress and manual ones.
    pub(crate) fn given_back(&self, order: OrderId) -> i64 {
        let all = self.refunds.values().filter(|given| given.order == order);
        let all = all.filter(|given| given.state.as_ref().is_some_and(counts));
        let by_hand: i64 = self.by_hand(order).iter().sum();
        all.map(|given| given.minor).sum::<i64>() + by_hand
    }

    /// Manual refunds of an order, oldest first.
    pub(crate) fn by_hand(&self, order: OrderId) -> &[i64] {
        self.by_hand.get(&order).map_or(&[], Vec::as_slice)
    }

    /// All refunds of an order in their current state.
    fn found(&self, order: OrderId) -> Vec<FoundRefund> {
        let ours = self.refunds.iter().filter(|(_, one)| one.order == order);
        let ours = ours.filter_map(|(id, one)| {
            Some(FoundRefund {
                id: format!("re_{id}"),
                refund_id: Some(*id),
                amount: received(one.minor, "USD"),
                state: one.state.clone()?,
            })
        });
        let by_hand = self.by_hand(order).iter().enumerate();
        let by_hand = by_hand.map(|(nth, minor)| FoundRefund {
            id: format!("re_{order}_{nth}"),
            refund_id: None,
            amount: received(*minor, "USD"),
            state: RefundState::Succeeded,
        });
        ours.chain(by_hand).collect()
    }

    pub(crate) fn left(&self, order: OrderId) -> i64 {
        self.taken(order) - self.given_back(order)
    }

    /// The buyer pays. Returns false if the payment is no longer open.
    pub(crate) fn pay(&mut self, order: OrderId, received: &Received) -> bool {
        let open = self.open(order);
        if let Some(stands) = open {
            *stands = Stands::Paid(received.clone());
            self.news.push((order, EventKind::Paid(received.clone())));
            return true;
        }
        false
    }

    fn open(&mut self, order: OrderId) -> Option<&mut Stands> {
        let stands = self.payments.get_mut(&order)?;
        matches!(stands, Stands::Open | Stands::Processing).then_some(stands)
    }

    /// The payment's result is delayed.
    pub(crate) fn process(&mut self, order: OrderId) {
        if let Some(stands) = self.open(order) {
            *stands = Stands::Processing;
        }
    }

    /// The buyer's card is declined; the payment stays open.
    pub(crate) fn decline(&mut self, order: OrderId) {
        if let Some(stands) = self.open(order) {
            *stands = Stands::Open;
            self.news
                .push((order, EventKind::Failed("insufficient funds".to_owned())));
        }
    }

    /// The payment is cancelled and can no longer be paid.
    pub(crate) fn withdraw(&mut self, order: OrderId) {
        if let Some(stands) = self.payments.get_mut(&order)
            && *stands == Stands::Open
        {
            *stands = Stands::Cancelled;
            self.news.push((order, EventKind::Cancelled));
        }
    }

    /// A person refunds this amount at the provider.
    pub(crate) fn give_by_hand(&mut self, order: OrderId, minor: i64) {
        self.by_hand.entry(order).or_default().push(minor);
        self.tell_refunded(order);
    }

    /// Sets the result of a pending refund.
    pub(crate) fn settle(&mut self, id: RefundId, state: RefundState) {
        let given = self.refunds.get_mut(&id).unwrap();
        assert_eq!(given.state, Some(RefundState::Pending));
        given.state = Some(state);
    }

    /// Ids of the pending refunds.
    pub(crate) fn under_way(&self) -> Vec<RefundId> {
        let all = self.refunds.iter();
        all.filter(|(_, given)| given.state == Some(RefundState::Pending))
            .map(|(id, _)| *id)
            .collect()
    }
}

fn counts(state: &RefundState) -> bool {
    !matches!(state, RefundState::Failed(_))
}

/// The domain's port to this provider.
#[derive(Debug)]
pub(crate) struct Counter {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) till: Till,
    /// Requests since the last look, each with the provider's behaviour.
    pub(crate) asked: Vec<(Call, Mood)>,
    dice: StdRng,
    /// The percentage of requests that do not go well, from 0 to 100.
    pub(crate) trouble: u32,
}

impl Counter {
    pub(crate) fn new(seed: u64, trouble: u32) -> Self {
        let till = Till {
            answers_as_before: seed.is_multiple_of(2),
            ..Till::default()
        };
        let inner = Inner {
            till,
            asked: Vec::new(),
            dice: StdRng::seed_from_u64(seed),
            trouble,
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    pub(crate) fn look(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    async fn ask<T>(
        &self,
        call: Call,
        act: impl FnOnce(&mut Till, Mood) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // Other tasks may run before the request arrives and before its response does.
        tokio::task::yield_now().await;
        let answer = {
            let mut inner = self.look();
            let mood = inner.mood();
            inner.asked.push((call, mood));
            act(&mut inner.till, mood)
        };
        tokio::task::yield_now().await;
        answer
    }
}

impl Inner {
    fn mood(&mut self) -> Mood {
        if self.dice.random_range(0..100) >= self.trouble {
            return Mood::Well;
        }
        match self.dice.random_range(0..10) {
            0..3 => Mood::Lost,
            3 => Mood::Down,
            4 => Mood::Refuses,
            5..7 => Mood::Slow,
            _ => Mood::Fails,
        }
    }
}

#[async_trait]
impl Provider for Counter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn limits(&self, _currency: Currency) -> Option<Limits> {
        Some(Limits::NONE)
    }

    async fn create(&self, wanted: &WantedIntent) -> Result<Intent, Failure> {
        let order = wanted.order_id;
        let (call, minor) = (Call::Create(order), minor(wanted.amount));
        self.ask(call, |till, mood| till.create(order, minor, mood))
            .await
    }

    async fn cancel(&self, intent: &str) -> Result<Intent, Failure> {
        let order = order_of(intent);
        let call = Call::Cancel(order);
        self.ask(call, |till, mood| till.cancel(order, mood)).await
    }

    async fn refund(&self, wanted: &WantedRefund) -> Result<Refund, Failure> {
        let (id, order) = (wanted.refund_id, order_of(&wanted.intent));
        let minor = minor(wanted.amount);
        let call = Call::Refund(id);
        self.ask(call, |till, mood| till.refund(id, order, minor, mood))
            .await
    }

    async fn refund_status(&self, refund: &str) -> Result<Refund, Failure> {
        let id = refund_of(refund);
        let call = Call::Status(id);
        self.ask(call, |till, mood| till.status(id, mood)).await
    }

    /// A query for refunds always succeeds and finds all of them.
    async fn refunds(&self, intent: &str) -> Result<Vec<FoundRefund>, Failure> {
        Ok(self.look().till.found(order_of(intent)))
    }

    async fn dispute(&self, _dispute: &str) -> Result<FoundDispute, Failure> {
        refuses()
    }
}
