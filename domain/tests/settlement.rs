//! These tests check invariants of settlement for arbitrary accounts and histories, without a database.

#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
#![expect(clippy::too_many_lines, reason = "a test is one history, step by step")]

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::Error;
use domain::receivables::ledger::Account;
use domain::receivables::settlement::{
    AccountState, Covering, Order, PayoutShare, Settling, Target,
};
use entity::ledger_entries::Kind;
use entity::{Currency, Money, OrderId};
use proptest::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

fn cents(amount: i64) -> Money {
    Money::new(Decimal::new(amount, 2), Currency::USD).unwrap()
}

fn order(number: usize) -> OrderId {
    OrderId(Uuid::from_u128(number as u128))
}

fn day(number: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(number)
}

/// An account with these orders: the total, the day of creation and the due day of each.
fn state(orders: &[(i64, i64, i64)]) -> AccountState {
    let mut account = Account::default();
    for (total, ..) in orders {
        account.post(cents(*total));
    }
    let mut state = AccountState::new(account, day(1000));
    for (number, (total, made, due)) in orders.iter().enumerate() {
        let value = Order {
            due: cents(*total),
            due_at: day(*due),
            since: day(*made),
        };
        state.orders.insert(order(number), value);
    }
    state
}

/// The orders that a credit settles, summed up from the shares so far.
fn settling(state: &AccountState, entry_number: i64, kind: Kind) -> Settling {
    let mut orders: BTreeMap<OrderId, Money> = BTreeMap::new();
    for share in state
        .shares
        .iter()
        .filter(|share| share.used.entry_number == entry_number)
    {
        let sum = orders.entry(share.order_id).or_default();
        *sum = *sum + share.used.amount;
    }
    let orders = orders.into_iter().filter(|(_, sum)| *sum != Money::ZERO);
    Settling {
        entry_number,
        kind,
        orders: orders.collect(),
    }
}

/// The credits that cover payouts, summed up from the shares so far, if `which` is true for them.
fn covering(state: &AccountState, which: impl Fn(&Covering) -> bool) -> Vec<Covering> {
    let mut sums: BTreeMap<(i64, i64), Covering> = BTreeMap::new();
    for share in &state.payout_shares {
        let (payout_entry, credit_entry) = (share.payout_entry, share.used.entry_number);
        let sum = sums
            .entry((payout_entry, credit_entry))
            .or_insert(Covering {
                payout_entry,
                credit_entry,
                kind: share.used.kind,
                amount: Money::ZERO,
            });
        sum.amount = sum.amount + share.used.amount;
    }
    let covering = sums.into_values();
    covering
        .filter(|one| one.amount != Money::ZERO && which(one))
        .collect()
}

fn due(state: &AccountState, number: usize) -> Money {
    state.orders[&order(number)].due
}

#[test]
fn a_credit_that_was_taken_back_is_not_used_again_before_that() {
    let mut state = state(&[(100, 1, 10), (100, 2, 20)]);
    let paid = state
        .receive(cents(100), day(5), &Target::Order(order(0)), false)
        .unwrap();
    state.now = day(1001);
    let others = [settling(&state, paid, Kind::Payment)];
    state.cancel(order(0), &others, &[], &[]).unwrap();
    state.now = day(1002);
    state.use_on_account(&Target::Order(order(1))).unwrap();
    let last = state.shares.last().unwrap();
    assert_eq!((last.order_id, last.used.entry_number), (order(1), paid));
    assert_eq!(
        last.effective_at,
        day(1001),
        "on day 6 it settled the other order"
    );
}

#[test]
fn an_order_is_not_settled_before_it_was_made_nor_while_something_else_had_settled_it() {
    let mut state = state(&[(100, 50, 80)]);
    let early = state
        .receive(cents(100), day(5), &Target::OldestDue, false)
        .unwrap();
    assert_eq!(state.shares[0].effective_at, day(50));
    state.now = day(1001);
    let credit = settling(&state, early, Kind::Payment);
    state.reverse(&credit, &[], cents(100), None).unwrap();
    state
        .receive(cents(100), day(60), &Target::OldestDue, false)
        .unwrap();
    assert_eq!(state.shares[2].effective_at, day(1001));
    assert_eq!(
        state.entries[2].effective_at,
        day(60),
        "the payment counts from when it came"
    );
}

#[test]
fn orders_due_for_longest_are_settled_first() {
    let mut state = state(&[(100, 1, 30), (100, 2, 20), (100, 3, 25)]);
    state
        .receive(cents(250), day(5), &Target::OldestDue, false)
        .unwrap();
    assert_eq!(
        [0, 1, 2].map(|number| due(&state, number)),
        [cents(50), Money::ZERO, Money::ZERO]
    );
}

#[test]
fn a_refusal_leaves_the_books_as_they_were() {
    let mut state = state(&[(100, 1, 30), (50, 2, 20)]);
    let before = state.clone();
    for (target, amount) in [
        (Target::OldestDue, 151),
        (Target::Order(order(1)), 51),
        (Target::Order(order(9)), 1),
        (
            Target::Orders(vec![(order(1), cents(30)), (order(1), cents(30))]),
            60,
        ),
        (Target::Orders(vec![(order(1), cents(30))]), 31),
    ] {
        assert!(
            state
                .receive(cents(amount), day(5), &target, false)
                .is_err(),
            "{target:?}"
        );
        assert_eq!(state, before);
    }
    let on_account = state.use_on_account(&Target::Orders(vec![(order(0), cents(1))]));
    assert!(matches!(
        on_account,
        Err(Error::CreditOnAccountExceeded { .. })
    ));
    assert_eq!(state, before);
}

#[test]
fn allocations_that_do_not_add_up_are_no_overpayment() {
    let mut state = state(&[(100, 1, 30), (50, 2, 20)]);
    let target = Target::Orders(vec![(order(0), cents(20)), (order(1), cents(50))]);
    let refused = state.receive(cents(90), day(5), &target, false);
    assert!(matches!(
        refused,
        Err(Error::AllocationsDoNotAddUp { amount, allocated })
            if (amount, allocated) == (cents(90), cents(70))
    ));
    let too_much = Target::Orders(vec![(order(1), cents(51))]);
    let refused = state.receive(cents(90), day(5), &too_much, false);
    assert!(matches!(
        refused,
        Err(Error::Overpayment { amount_due, order_id })
            if (amount_due, order_id) == (cents(50), Some(order(1)))
    ));
    state.receive(cents(90), day(5), &target, true).unwrap();
    assert_eq!(state.account.credit(), cents(20));
}

#[test]
fn nothing_settles_an_order_in_a_closed_period() {
    let mut state = state(&[(100, 1, 30), (100, 990, 995)]);
    state
        .receive(cents(150), day(5), &Target::Order(order(0)), true)
        .unwrap();
    assert_eq!(state.shares[0].effective_at, day(5), "everything is open");
    state.open_from = day(980);
    state
        .receive(cents(10), day(985), &Target::Order(order(1)), false)
        .unwrap();
    assert_eq!(state.shares[1].effective_at, day(990), "its order is later");
    state.orders.get_mut(&order(0)).unwrap().due = cents(30);
    state.use_on_account(&Target::Order(order(0))).unwrap();
    assert_eq!(state.shares[2].effective_at, day(980));
}

#[derive(Debug, Clone)]
enum Action {
    Receive {
        amount: i64,
        on: i64,
        target: Option<usize>,
        keep: bool,
    },
    UseCredit {
        target: Option<usize>,
    },
    Credit {
        order: usize,
        percent: i64,
    },
    Reverse {
        credit: usize,
    },
    Cancel {
        order: usize,
    },
    PayOut {
        amount: i64,
        on: i64,
    },
    ReversePayout {
        payout: usize,
    },
}

fn arbitrary_action() -> impl Strategy<Value = Action> {
    let target = || prop::option::of(0..4_usize);
    prop_oneof![
        4 => (1..400_i64, 0..1000_i64, target(), prop::bool::ANY)
            .prop_map(|(amount, on, target, keep)| Action::Receive { amount, on, target, keep }),
        2 => target().prop_map(|target| Action::UseCredit { target }),
        2 => (0..4_usize, 1..101_i64).prop_map(|(order, percent)| Action::Credit { order, percent }),
        3 => (0..20_usize).prop_map(|credit| Action::Reverse { credit }),
        2 => (0..4_usize).prop_map(|order| Action::Cancel { order }),
        3 => (1..200_i64, 0..1100_i64).prop_map(|(amount, on)| Action::PayOut { amount, on }),
        1 => (0..4_usize).prop_map(|payout| Action::ReversePayout { payout }),
    ]
}

/// A credit as its document describes it.
#[derive(Debug, Clone)]
struct Given {
    number: i64,
    kind: Kind,
    amount: Money,
    about: Option<usize>,
    reversed: bool,
}

/// An account with the documents of its history.
struct History {
    state: AccountState,
    totals: Vec<i64>,
    cancelled: [bool; 4],
    given: Vec<Given>,
    /// The payouts: the entry number, the amount, and whether it was reversed.
    paid_out: Vec<(i64, Money, bool)>,
}

impl History {
    fn own(&self, number: usize) -> Vec<&Given> {
        let own = self.given.iter();
        own.filter(|given| {
            given.about == Some(number) && given.kind == Kind::CreditNote && !given.reversed
        })
        .collect()
    }

    fn give(&mut self, number: i64, kind: Kind, about: Option<usize>) {
        let entry = self.state.entries.last().unwrap();
        let amount = -entry.posting.amount;
        self.given.push(Given {
            number,
            kind,
            amount,
            about,
            reversed: false,
        });
    }

    fn act(&mut self, action: &Action) {
        self.state.now += TimeDelta::days(1);
        let target = |target: Option<usize>| {
            target.map_or(Target::OldestDue, |number| Target::Order(order(number)))
        };
        match *action {
            Action::Receive {
                amount,
                on,
                target: to,
                keep,
            } => {
                if let Ok(number) = self
                    .state
                    .receive(cents(amount), day(on), &target(to), keep)
                {
                    self.give(number, Kind::Payment, None);
                }
            }
            Action::UseCredit { target: to } => self.state.use_on_account(&target(to)).unwrap(),
            Action::Credit {
                order: about,
                percent,
            } => {
                let before: Money = self.own(about).iter().map(|given| given.amount).sum();
                let amount = cents(self.totals[about] * percent / 100);
                let fits = before + amount <= cents(self.totals[about]) && amount > Money::ZERO;
                if fits && !self.cancelled[about] {
                    let number = self
                        .state
                        .credit(Kind::CreditNote, order(about), amount)
                        .unwrap();
                    self.give(number, Kind::CreditNote, Some(about));
                }
            }
            Action::Reverse { credit } => {
                let Some(given) = self.given.get(credit).cloned() else {
                    return;
                };
                let closed = given.about.is_some_and(|about| self.cancelled[about]);
                if given.reversed || closed || given.kind == Kind::Reversal {
                    return;
                }
                let credit_of = settling(&self.state, given.number, given.kind);
                let covering = covering(&self.state, |one| one.credit_entry == given.number);
                let mut state = self.state.clone();
                match state.reverse(&credit_of, &covering, given.amount, None) {
                    Ok(_) => (self.state, self.given[credit].reversed) = (state, true),
                    Err(error) => assert!(is_paid_out(&error), "{error:?}"),
                }
            }
            Action::Cancel { order: number } if !self.cancelled[number] => {
                let own: Vec<i64> = self.own(number).iter().map(|given| given.number).collect();
                let all = self
                    .given
                    .iter()
                    .map(|given| settling(&self.state, given.number, given.kind));
                let (own, others): (Vec<_>, Vec<_>) =
                    all.partition(|credit| own.contains(&credit.entry_number));
                let is_own = |one: &Covering| {
                    own.iter()
                        .any(|credit| credit.entry_number == one.credit_entry)
                };
                let covering = covering(&self.state, is_own);
                let mut state = self.state.clone();
                match state.cancel(order(number), &others, &own, &covering) {
                    Ok(reversal) => {
                        self.state = state;
                        self.give(reversal, Kind::Reversal, Some(number));
                        self.cancelled[number] = true;
                    }
                    Err(error) => assert!(is_paid_out(&error), "{error:?}"),
                }
            }
            Action::PayOut { amount, on } => {
                let there = self.state.account.credit_of(day(on).min(self.state.now));
                let number = self.state.pay_out(cents(amount), day(on));
                assert_eq!(number.is_ok(), cents(amount) <= there);
                if let Ok(number) = number {
                    self.paid_out.push((number, cents(amount), false));
                }
            }
            Action::ReversePayout { payout } => {
                let Some((number, amount, false)) = self.paid_out.get(payout).copied() else {
                    return;
                };
                let covering = covering(&self.state, |one| one.payout_entry == number);
                self.state.reverse_payout(amount, &covering);
                self.paid_out[payout].2 = true;
            }
            Action::Cancel { .. } => {}
        }
    }

    fn check(&self) {
        let state = &self.state;
        let mut all_due = Money::ZERO;
        for (number, total) in self.totals.iter().enumerate() {
            let shares = state.shares.iter();
            let shares = shares.filter(|share| share.order_id == order(number));
            let shares = shares.map(|share| (share.effective_at, share.used.amount));
            let settled = within(shares, cents(*total));
            assert_eq!(cents(*total) - settled, due(state, number));
            all_due = all_due + due(state, number);
            assert!(
                !self.cancelled[number] || due(state, number) == Money::ZERO,
                "a cancelled order owes"
            );
        }
        for given in &self.given {
            let shares = state.shares.iter();
            let shares = shares.map(|share| (share.used, share.effective_at));
            let covering = state.payout_shares.iter();
            let covering = covering.map(|share| (share.used, share.effective_at));
            let uses = shares.chain(covering);
            let uses = uses.filter(|(used, _)| used.entry_number == given.number);
            let used = within(uses.map(|(used, at)| (at, used.amount)), given.amount);
            let left = state
                .account
                .on_account
                .get(&given.number)
                .map_or(Money::ZERO, |left| left.amount);
            let expected = if given.reversed {
                Money::ZERO
            } else {
                given.amount - used
            };
            assert_eq!(left, expected, "{given:?}");
        }
        for (number, amount, reversed) in &self.paid_out {
            let of = |share: &&PayoutShare| share.payout_entry == *number;
            let shares = state.payout_shares.iter().filter(of);
            let covered = within(
                shares.map(|share| (share.effective_at, share.used.amount)),
                *amount,
            );
            let expected = if *reversed { Money::ZERO } else { *amount };
            assert_eq!(covered, expected);
            // The payout is fully covered from its own date on; later shares only replace shares that were taken back.
            let entry = state
                .entries
                .iter()
                .find(|entry| entry.posting.number == *number);
            let begun = entry.unwrap().effective_at;
            let first = state.payout_shares.iter().filter(of);
            let first = first.filter(|share| share.effective_at == begun);
            let first: Money = first.map(|share| share.used.amount).sum();
            assert_eq!(first, *amount);
        }
        assert_eq!(state.account.balance, all_due - state.account.credit());
        assert_eq!(state.due(), all_due);
        assert!(
            state
                .shares
                .iter()
                .all(|share| share.effective_at <= state.now)
        );
    }
}

fn is_paid_out(error: &Error) -> bool {
    matches!(error, Error::CreditPaidOut { .. })
}

/// The sum of the amounts. Asserts that it was between zero and `most` at every time.
fn within(shares: impl Iterator<Item = (DateTime<Utc>, Money)>, most: Money) -> Money {
    let mut by_time: BTreeMap<DateTime<Utc>, Money> = BTreeMap::new();
    for (at, amount) in shares {
        let sum = by_time.entry(at).or_default();
        *sum = *sum + amount;
    }
    let mut sum = Money::ZERO;
    for (at, amount) in by_time {
        sum = sum + amount;
        assert!(
            sum >= Money::ZERO && sum <= most,
            "{sum:?} of {most:?} at {at}"
        );
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn payments_credits_reversals_and_cancellations_add_up_now_and_at_every_past_date(
        orders in prop::collection::vec((0..500_i64, 0..900_i64, 0..1000_i64), 4),
        actions in prop::collection::vec(arbitrary_action(), 1..30),
    ) {
        let totals = orders.iter().map(|(total, ..)| *total).collect();
        let mut history = History { state: state(&orders), totals, cancelled: [false; 4], given: Vec::new(), paid_out: Vec::new() };
        for action in &actions {
            history.act(action);
            history.check();
        }
    }
}
