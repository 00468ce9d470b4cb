//! These tests check invariants of settlement for arbitrary accounts and histories, without a database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

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
fn books(orders: &[(i64, i64, i64)]) -> AccountState {
    let mut account = Account::default();
    for (total, ..) in orders {
        account.post(cents(*total));
    }
    let mut books = AccountState::new(account, day(1000));
    for (number, (total, made, due)) in orders.iter().enumerate() {
        let value = Order {
            due: cents(*total),
            due_at: day(*due),
            since: day(*made),
        };
        books.orders.insert(order(number), value);
    }
    books
}

/// The orders that a credit settles, summed up from the shares so far.
fn settling(books: &AccountState, entry_number: i64, kind: Kind) -> Settling {
    let mut orders: BTreeMap<OrderId, Money> = BTreeMap::new();
    for share in books
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
fn covering(books: &AccountState, which: impl Fn(&Covering) -> bool) -> Vec<Covering> {
    let mut sums: BTreeMap<(i64, i64), Covering> = BTreeMap::new();
    for share in &books.payout_shares {
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

fn due(books: &AccountState, number: usize) -> Money {
    books.orders[&order(number)].due
}

#[test]
fn a_credit_that_was_taken_back_is_not_used_again_before_that() {
    let mut books = books(&[(100, 1, 10), (100, 2, 20)]);
    let paid = books
        .receive(cents(100), day(5), &Target::Order(order(0)), false)
        .unwrap();
    books.now = day(1001);
    let others = [settling(&books, paid, Kind::Payment)];
    books.cancel(order(0), &others, &[], &[]).unwrap();
    books.now = day(1002);
    books.use_on_account(&Target::Order(order(1))).unwrap();
    let last = books.shares.last().unwrap();
    assert_eq!((last.order_id, last.used.entry_number), (order(1), paid));
    assert_eq!(
        last.effective_at,
        day(1001),
        "on day 6 it settled the other order"
    );
}

#[test]
fn an_order_is_not_settled_before_it_was_made_nor_while_something_else_had_settled_it() {
    let mut books = books(&[(100, 50, 80)]);
    let early = books
        .receive(cents(100), day(5), &Target::OldestDue, false)
        .unwrap();
    assert_eq!(books.shares[0].effective_at, day(50));
    books.now = day(1001);
    let credit = settling(&books, early, Kind::Payment);
    books.reverse(&credit, &[], cents(100), None).unwrap();
    books
        .receive(cents(100), day(60), &Target::OldestDue, false)
        .unwrap();
    assert_eq!(books.shares[2].effective_at, day(1001));
    assert_eq!(
        books.entries[2].effective_at,
        day(60),
        "the payment counts from when it came"
    );
}

#[test]
fn what_is_due_for_longest_is_settled_first() {
    let mut books = books(&[(100, 1, 30), (100, 2, 20), (100, 3, 25)]);
    books
        .receive(cents(250), day(5), &Target::OldestDue, false)
        .unwrap();
    assert_eq!(
        [0, 1, 2].map(|number| due(&books, number)),
        [cents(50), Money::ZERO, Money::ZERO]
    );
}

#[test]
fn a_refusal_leaves_the_books_as_they_were() {
    let mut books = books(&[(100, 1, 30), (50, 2, 20)]);
    let before = books.clone();
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
            books
                .receive(cents(amount), day(5), &target, false)
                .is_err(),
            "{target:?}"
        );
        assert_eq!(books, before);
    }
    let on_account = books.use_on_account(&Target::Orders(vec![(order(0), cents(1))]));
    assert!(matches!(
        on_account,
        Err(Error::CreditOnAccountExceeded { .. })
    ));
    assert_eq!(books, before);
}

#[test]
fn allocations_that_do_not_add_up_are_no_overpayment() {
    let mut books = books(&[(100, 1, 30), (50, 2, 20)]);
    let target = Target::Orders(vec![(order(0), cents(20)), (order(1), cents(50))]);
    let refused = books.receive(cents(90), day(5), &target, false);
    assert!(matches!(
        refused,
        Err(Error::AllocationsDoNotAddUp { amount, allocated })
            if (amount, allocated) == (cents(90), cents(70))
    ));
    let too_much = Target::Orders(vec![(order(1), cents(51))]);
    let refused = books.receive(cents(90), day(5), &too_much, false);
    assert!(matches!(
        refused,
        Err(Error::Overpayment { amount_due, order_id })
            if (amount_due, order_id) == (cents(50), Some(order(1)))
    ));
    books.receive(cents(90), day(5), &target, true).unwrap();
    assert_eq!(books.account.credit(), cents(20));
}

#[test]
fn nothing_settles_an_order_in_a_closed_period() {
    let mut books = books(&[(100, 1, 30), (100, 990, 995)]);
    books
        .receive(cents(150), day(5), &Target::Order(order(0)), true)
        .unwrap();
    assert_eq!(books.shares[0].effective_at, day(5), "everything is open");
    books.open_from = day(980);
    books
        .receive(cents(10), day(985), &Target::Order(order(1)), false)
        .unwrap();
    assert_eq!(books.shares[1].effective_at, day(990), "its order is later");
    books.orders.get_mut(&order(0)).unwrap().due = cents(30);
    books.use_on_account(&Target::Order(order(0))).unwrap();
    assert_eq!(books.shares[2].effective_at, day(980));
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
    books: AccountState,
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
        let entry = self.books.entries.last().unwrap();
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
        self.books.now += TimeDelta::days(1);
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
                    .books
                    .receive(cents(amount), day(on), &target(to), keep)
                {
                    self.give(number, Kind::Payment, None);
                }
            }
            Action::UseCredit { target: to } => self.books.use_on_account(&target(to)).unwrap(),
            Action::Credit {
                order: about,
                percent,
            } => {
                let before: Money = self.own(about).iter().map(|given| given.amount).sum();
                let amount = cents(self.totals[about] * percent / 100);
                let fits = before + amount <= cents(self.totals[about]) && amount > Money::ZERO;
                if fits && !self.cancelled[about] {
                    let number = self
                        .books
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
                let credit_of = settling(&self.books, given.number, given.kind);
                let covering = covering(&self.books, |one| one.credit_entry == given.number);
                let mut books = self.books.clone();
                match books.reverse(&credit_of, &covering, given.amount, None) {
                    Ok(_) => (self.books, self.given[credit].reversed) = (books, true),
                    Err(error) => assert!(is_paid_out(&error), "{error:?}"),
                }
            }
            Action::Cancel { order: number } if !self.cancelled[number] => {
                let own: Vec<i64> = self.own(number).iter().map(|given| given.number).collect();
                let all = self
                    .given
                    .iter()
                    .map(|given| settling(&self.books, given.number, given.kind));
                let (own, others): (Vec<_>, Vec<_>) =
                    all.partition(|credit| own.contains(&credit.entry_number));
                let is_own = |one: &Covering| {
                    own.iter()
                        .any(|credit| credit.entry_number == one.credit_entry)
                };
                let covering = covering(&self.books, is_own);
                let mut books = self.books.clone();
                match books.cancel(order(number), &others, &own, &covering) {
                    Ok(reversal) => {
                        self.books = books;
                        self.give(reversal, Kind::Reversal, Some(number));
                        self.cancelled[number] = true;
                    }
                    Err(error) => assert!(is_paid_out(&error), "{error:?}"),
                }
            }
            Action::PayOut { amount, on } => {
                let there = self.books.account.credit_of(day(on).min(self.books.now));
                let number = self.books.pay_out(cents(amount), day(on));
                assert_eq!(number.is_ok(), cents(amount) <= there);
                if let Ok(number) = number {
                    self.paid_out.push((number, cents(amount), false));
                }
            }
            Action::ReversePayout { payout } => {
                let Some((number, amount, false)) = self.paid_out.get(payout).copied() else {
                    return;
                };
                let covering = covering(&self.books, |one| one.payout_entry == number);
                self.books.reverse_payout(amount, &covering);
                self.paid_out[payout].2 = true;
            }
            Action::Cancel { .. } => {}
        }
    }

    fn check(&self) {
        let books = &self.books;
        let mut all_due = Money::ZERO;
        for (number, total) in self.totals.iter().enumerate() {
            let shares = books.shares.iter();
            let shares = shares.filter(|share| share.order_id == order(number));
            let shares = shares.map(|share| (share.effective_at, share.used.amount));
            let settled = within(shares, cents(*total));
            assert_eq!(cents(*total) - settled, due(books, number));
            all_due = all_due + due(books, number);
            assert!(
                !self.cancelled[number] || due(books, number) == Money::ZERO,
                "a cancelled order owes"
            );
        }
        for given in &self.given {
            let shares = books.shares.iter();
            let shares = shares.map(|share| (share.used, share.effective_at));
            let covering = books.payout_shares.iter();
            let covering = covering.map(|share| (share.used, share.effective_at));
            let uses = shares.chain(covering);
            let uses = uses.filter(|(used, _)| used.entry_number == given.number);
            let used = within(uses.map(|(used, at)| (at, used.amount)), given.amount);
            let left = books
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
            let shares = books.payout_shares.iter().filter(of);
            let covered = within(
                shares.map(|share| (share.effective_at, share.used.amount)),
                *amount,
            );
            let expected = if *reversed { Money::ZERO } else { *amount };
            assert_eq!(covered, expected);
            // The payout is fully covered from its own date on; later shares only replace shares that were taken back.
            let entry = books
                .entries
                .iter()
                .find(|entry| entry.posting.number == *number);
            let begun = entry.unwrap().effective_at;
            let first = books.payout_shares.iter().filter(of);
            let first = first.filter(|share| share.effective_at == begun);
            let first: Money = first.map(|share| share.used.amount).sum();
            assert_eq!(first, *amount);
        }
        assert_eq!(books.account.balance, all_due - books.account.credit());
        assert_eq!(books.due(), all_due);
        assert!(
            books
                .shares
                .iter()
                .all(|share| share.effective_at <= books.now)
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
    fn whatever_is_paid_credited_undone_and_cancelled_adds_up_now_and_at_every_past_date(
        orders in prop::collection::vec((0..500_i64, 0..900_i64, 0..1000_i64), 4),
        actions in prop::collection::vec(arbitrary_action(), 1..30),
    ) {
        let totals = orders.iter().map(|(total, ..)| *total).collect();
        let mut history = History { books: books(&orders), totals, cancelled: [false; 4], given: Vec::new(), paid_out: Vec::new() };
        for action in &actions {
            history.act(action);
            history.check();
        }
    }
}
