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

pub(crate) const NAME: &str = "model";

/// The provider's behaviour for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
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
pub(crate) enum PaymentState {
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
pub(crate) struct ProviderAccount {
    pub(crate) payments: BTreeMap<OrderId, PaymentState>,
    pub(crate) refunds: BTreeMap<RefundId, Given>,
    /// The amount of each payment, in minor units.
    wanted: BTreeMap<OrderId, i64>,
    /// Manual refunds of each payment, in minor units.
    by_hand: BTreeMap<OrderId, Vec<i64>>,
    /// Events in the order in which they happened.
    pub(crate) events: Vec<(OrderId, EventKind)>,
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
    Err(Failure::NoAnswer("no answer".to_owned()))
}

fn refuses<T>() -> Result<T, Failure> {
    Err(Failure::Refused {
        code: "unknown".to_owned(),
        message: "not this one".to_owned(),
    })
}

impl ProviderAccount {
    fn answer(&self, order: OrderId, is_first: bool) -> Result<Intent, Failure> {
        let state = match &self.payments[&order] {
            PaymentState::Refused => return refuses(),
            _ if !is_first && self.answers_as_before => IntentState::Open,
            PaymentState::Open | PaymentState::Processing => IntentState::Open,
            PaymentState::Paid(received) => IntentState::Paid(received.clone()),
            PaymentState::Cancelled => IntentState::Cancelled,
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
        behaviour: Behaviour,
    ) -> Result<Intent, Failure> {
        if behaviour == Behaviour::Down {
            return no_answer();
        }
        let is_first = !self.payments.contains_key(&order);
        let wanted = self.wanted.entry(order).or_insert(minor);
        assert_eq!(*wanted, minor, "one key for two amounts");
        if is_first {
            let payment = match behaviour {
                Behaviour::Refuses => PaymentState::Refused,
                _ => PaymentState::Open,
            };
            self.payments.insert(order, payment);
        }
        if behaviour == Behaviour::Lost {
            return no_answer();
        }
        self.answer(order, is_first)
    }

    pub(crate) fn cancel(
        &mut self,
        order: OrderId,
        behaviour: Behaviour,
    ) -> Result<Intent, Failure> {
        if behaviour == Behaviour::Down {
            return no_answer();
        }
        if behaviour == Behaviour::Refuses {
            return refuses();
        }
        self.withdraw(order);
        if behaviour == Behaviour::Lost {
            return no_answer();
        }
        self.answer(order, true)
    }

    pub(crate) fn refund(
        &mut self,
        id: RefundId,
        order: OrderId,
        minor: i64,
        behaviour: Behaviour,
    ) -> Result<Refund, Failure> {
        if behaviour == Behaviour::Down {
            return no_answer();
        }
        if !self.refunds.contains_key(&id) {
            let state = if behaviour == Behaviour::Refuses || minor > self.left(order) {
                None
            } else {
                Some(match behaviour {
                    Behaviour::Slow => RefundState::Pending,
                    Behaviour::Fails => RefundState::Failed("the card is closed".to_owned()),
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
                self.add_refund_event(order);
            }
        }
        self.status(id, behaviour)
    }

    pub(crate) fn status(&self, id: RefundId, behaviour: Behaviour) -> Result<Refund, Failure> {
        if matches!(behaviour, Behaviour::Down | Behaviour::Lost) {
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

    fn add_refund_event(&mut self, order: OrderId) {
        self.events.push((order, EventKind::RefundsChanged));
    }

    /// The amount that the service has requested, in minor units.
    pub(crate) fn requested(&self, order: OrderId) -> i64 {
        self.wanted[&order]
    }

    /// The amount that the provider has received for an order, in minor units.
    pub(crate) fn taken(&self, order: OrderId) -> i64 {
        match self.payments.get(&order) {
            Some(PaymentState::Paid(received)) => received.minor,
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
        if let Some(payment) = open {
            *payment = PaymentState::Paid(received.clone());
            self.events.push((order, EventKind::Paid(received.clone())));
            return true;
        }
        false
    }

    fn open(&mut self, order: OrderId) -> Option<&mut PaymentState> {
        let payment = self.payments.get_mut(&order)?;
        matches!(payment, PaymentState::Open | PaymentState::Processing).then_some(payment)
    }

    /// The payment's result is delayed.
    pub(crate) fn process(&mut self, order: OrderId) {
        if let Some(payment) = self.open(order) {
            *payment = PaymentState::Processing;
        }
    }

    /// The buyer's card is declined; the payment stays open.
    pub(crate) fn decline(&mut self, order: OrderId) {
        if let Some(payment) = self.open(order) {
            *payment = PaymentState::Open;
            self.events
                .push((order, EventKind::Failed("insufficient funds".to_owned())));
        }
    }

    /// The payment is cancelled and can no longer be paid.
    pub(crate) fn withdraw(&mut self, order: OrderId) {
        if let Some(payment) = self.payments.get_mut(&order)
            && *payment == PaymentState::Open
        {
            *payment = PaymentState::Cancelled;
            self.events.push((order, EventKind::Cancelled));
        }
    }

    /// A person refunds this amount at the provider.
    pub(crate) fn give_by_hand(&mut self, order: OrderId, minor: i64) {
        self.by_hand.entry(order).or_default().push(minor);
        self.add_refund_event(order);
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
pub(crate) struct InMemoryProvider {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) provider_account: ProviderAccount,
    /// Requests since they were last taken, each with the provider's behaviour.
    pub(crate) calls: Vec<(Call, Behaviour)>,
    dice: StdRng,
    /// The percentage of requests that do not go well, from 0 to 100.
    pub(crate) trouble: u32,
}

impl InMemoryProvider {
    pub(crate) fn new(seed: u64, trouble: u32) -> Self {
        let provider_account = ProviderAccount {
            answers_as_before: seed.is_multiple_of(2),
            ..ProviderAccount::default()
        };
        let inner = Inner {
            provider_account,
            calls: Vec::new(),
            dice: StdRng::seed_from_u64(seed),
            trouble,
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    async fn respond<T>(
        &self,
        call: Call,
        act: impl FnOnce(&mut ProviderAccount, Behaviour) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // Other tasks may run before the request arrives and before its response does.
        tokio::task::yield_now().await;
        let answer = {
            let mut inner = self.lock();
            let behaviour = inner.behaviour();
            inner.calls.push((call, behaviour));
            act(&mut inner.provider_account, behaviour)
        };
        tokio::task::yield_now().await;
        answer
    }
}

impl Inner {
    fn behaviour(&mut self) -> Behaviour {
        if self.dice.random_range(0..100) >= self.trouble {
            return Behaviour::Well;
        }
        match self.dice.random_range(0..10) {
            0..3 => Behaviour::Lost,
            3 => Behaviour::Down,
            4 => Behaviour::Refuses,
            5..7 => Behaviour::Slow,
            _ => Behaviour::Fails,
        }
    }
}

#[async_trait]
impl Provider for InMemoryProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn limits(&self, _currency: Currency) -> Option<Limits> {
        Some(Limits::NONE)
    }

    async fn create(&self, wanted: &WantedIntent) -> Result<Intent, Failure> {
        let order = wanted.order_id;
        let (call, minor) = (Call::Create(order), minor(wanted.amount));
        self.respond(call, |provider_account, behaviour| {
            provider_account.create(order, minor, behaviour)
        })
        .await
    }

    async fn cancel(&self, intent: &str) -> Result<Intent, Failure> {
        let order = order_of(intent);
        let call = Call::Cancel(order);
        self.respond(call, |provider_account, behaviour| {
            provider_account.cancel(order, behaviour)
        })
        .await
    }

    async fn refund(&self, wanted: &WantedRefund) -> Result<Refund, Failure> {
        let (id, order) = (wanted.refund_id, order_of(&wanted.intent));
        let minor = minor(wanted.amount);
        let call = Call::Refund(id);
        self.respond(call, |provider_account, behaviour| {
            provider_account.refund(id, order, minor, behaviour)
        })
        .await
    }

    async fn refund_status(&self, refund: &str) -> Result<Refund, Failure> {
        let id = refund_of(refund);
        let call = Call::Status(id);
        self.respond(call, |provider_account, behaviour| {
            provider_account.status(id, behaviour)
        })
        .await
    }

    /// A query for refunds always succeeds and finds all of them.
    async fn refunds(&self, intent: &str) -> Result<Vec<FoundRefund>, Failure> {
        Ok(self.lock().provider_account.found(order_of(intent)))
    }

    async fn dispute(&self, _dispute: &str) -> Result<FoundDispute, Failure> {
        refuses()
    }
}
