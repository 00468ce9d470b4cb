//! A payment provider in memory. Like a real one it knows what it was asked before by its key, may do a thing and lose the
//! answer, and tells what has happened when it likes.

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

pub(super) const NAME: &str = "till";

/// What it does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// What it is asked for.
    Well,
    /// That too, and the answer is lost.
    Lost,
    /// Nothing, and says nothing.
    Down,
    /// Refuses what is new to it.
    Refuses,
    /// Takes its time with a refund.
    Slow,
    /// Fails with a refund.
    Fails,
}

/// What it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Create(OrderId),
    Cancel(OrderId),
    Refund(RefundId),
    Status(RefundId),
}

/// Where a payment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stands {
    Refused,
    Open,
    /// Being paid: it can be cancelled no more, and not be paid for sure yet.
    Processing,
    Paid(Received),
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) order: OrderId,
    pub(super) minor: i64,
    /// `None` when it was refused.
    pub(super) state: Option<RefundState>,
}

/// All that it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Till {
    pub(super) payments: BTreeMap<OrderId, Stands>,
    pub(super) refunds: BTreeMap<RefundId, Given>,
    /// How much each payment is to be.
    wanted: BTreeMap<OrderId, i64>,
    /// By hand, of each payment.
    by_hand: BTreeMap<OrderId, Vec<i64>>,
    /// What can be told, in the order in which it has happened.
    pub(super) news: Vec<(OrderId, EventKind)>,
    /// Whether a key that was used before gets the first answer, whatever has happened since.
    pub(super) answers_as_before: bool,
}

pub(super) fn intent_id(order: OrderId) -> String {
    format!("pi_{order}")
}

fn order_of(intent: &str) -> OrderId {
    intent.strip_prefix("pi_").unwrap().parse().unwrap()
}

fn refund_of(refund: &str) -> RefundId {
    refund.strip_prefix("re_").unwrap().parse().unwrap()
}

pub(super) fn minor(amount: Money) -> i64 {
    (amount.decimal() * Decimal::ONE_HUNDRED).to_i64().unwrap()
}

/// So much in minor units.
pub(super) fn received(minor: i64, currency: &str) -> Received {
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

    pub(super) fn create(
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

    pub(super) fn cancel(&mut self, order: OrderId, mood: Mood) -> Result<Intent, Failure> {
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

    pub(super) fn refund(
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

    pub(super) fn status(&self, id: RefundId, mood: Mood) -> Result<Refund, Failure> {
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

    /// How much it was asked to take.
    pub(super) fn asked_for(&self, order: OrderId) -> i64 {
        self.wanted[&order]
    }

    /// What it has of an order.
    pub(super) fn taken(&self, order: OrderId) -> i64 {
        match self.payments.get(&order) {
            Some(Stands::Paid(received)) => received.minor,
            _ => 0,
        }
    }

    /// What of it was given back, or is on its way.
    pub(super) fn given_back(&self, order: OrderId) -> i64 {
        let all = self.refunds.values().filter(|given| given.order == order);
        let all = all.filter(|given| given.state.as_ref().is_some_and(counts));
        let by_hand: i64 = self.by_hand(order).iter().sum();
        all.map(|given| given.minor).sum::<i64>() + by_hand
    }

    /// What of it was given back by hand, one after the other.
    pub(super) fn by_hand(&self, order: OrderId) -> &[i64] {
        self.by_hand.get(&order).map_or(&[], Vec::as_slice)
    }

    /// All that was given back of it, as it stands now.
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

    pub(super) fn left(&self, order: OrderId) -> i64 {
        self.taken(order) - self.given_back(order)
    }

    /// The buyer pays. Whether that could be.
    pub(super) fn pay(&mut self, order: OrderId, received: &Received) -> bool {
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

    /// It takes its time.
    pub(super) fn process(&mut self, order: OrderId) {
        if let Some(stands) = self.open(order) {
            *stands = Stands::Processing;
        }
    }

    /// The buyer's card is declined.
    pub(super) fn decline(&mut self, order: OrderId) {
        if let Some(stands) = self.open(order) {
            *stands = Stands::Open;
            self.news
                .push((order, EventKind::Failed("insufficient funds".to_owned())));
        }
    }

    /// It can be paid no more.
    pub(super) fn withdraw(&mut self, order: OrderId) {
        if let Some(stands) = self.payments.get_mut(&order)
            && *stands == Stands::Open
        {
            *stands = Stands::Cancelled;
            self.news.push((order, EventKind::Cancelled));
        }
    }

    /// Somebody gives so much back by hand.
    pub(super) fn give_by_hand(&mut self, order: OrderId, minor: i64) {
        self.by_hand.entry(order).or_default().push(minor);
        self.tell_refunded(order);
    }

    /// What becomes of a refund under way.
    pub(super) fn settle(&mut self, id: RefundId, state: RefundState) {
        let given = self.refunds.get_mut(&id).unwrap();
        assert_eq!(given.state, Some(RefundState::Pending));
        given.state = Some(state);
    }

    /// The refunds that are under way.
    pub(super) fn under_way(&self) -> Vec<RefundId> {
        let all = self.refunds.iter();
        all.filter(|(_, given)| given.state == Some(RefundState::Pending))
            .map(|(id, _)| *id)
            .collect()
    }
}

fn counts(state: &RefundState) -> bool {
    !matches!(state, RefundState::Failed(_))
}

/// The provider, as the domain knows it.
#[derive(Debug)]
pub(super) struct Counter {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) till: Till,
    /// What it was asked for since the last look, and in which mood.
    pub(super) asked: Vec<(Call, Mood)>,
    dice: StdRng,
    /// Of a hundred requests so many go other than well.
    pub(super) trouble: u32,
}

impl Counter {
    pub(super) fn new(seed: u64, trouble: u32) -> Self {
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

    pub(super) fn look(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    async fn ask<T>(
        &self,
        call: Call,
        act: impl FnOnce(&mut Till, Mood) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // Others get their turn before it hears and before it is heard.
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

    /// Whoever looks finds all of it, whatever the mood.
    async fn refunds(&self, intent: &str) -> Result<Vec<FoundRefund>, Failure> {
        Ok(self.look().till.found(order_of(intent)))
    }

    async fn dispute(&self, _dispute: &str) -> Result<FoundDispute, Failure> {
        refuses()
    }
}
