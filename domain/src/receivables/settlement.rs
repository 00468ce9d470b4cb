//! Deciding which orders a customer's credits settle: plain values in, entries and allocations out. No database, no
//! clock, no I/O.
//!
//! [`AccountState`] holds a customer's locked account and the orders that a decision is about. Whatever is decided, in any order,
//! these hold, now and at every past date:
//!
//! - an order: its total − what is allocated to it = what is due, from 0 to the total;
//! - a credit: its amount − what of it is allocated or paid out = what of it is on account, from 0 to the amount;
//! - a payout: its amount = what of credits covers it, from its date on until it is reversed;
//! - the account: balance = what is due − what is on account.
//!
//! The first two hold at past dates because an allocation counts from the latest of three: the credit's date, the
//! order's, and the last time that one of the two was taken from the other ([`Credit::since`], [`Order::since`]). When
//! that lies in a closed period, it counts from the first moment that is open ([`AccountState::open_from`]): what a report said
//! of a closed period, it goes on saying.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::{Money, OrderId};
use sea_orm::FromQueryResult;

use crate::Error;
use crate::receivables::ledger::{Account, Credit, Posting, Used};

/// An order on credit as the decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What of it is not settled.
    pub due: Money,
    /// When that is to be paid.
    pub due_at: DateTime<Utc>,
    /// From when an allocation can count: it was sold then, or what had settled it was taken back.
    pub since: DateTime<Utc>,
}

/// A customer's locked account with some of its orders, and what has been decided about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// The account.
    pub account: Account,
    /// Its orders: those that are asked for by name, or those that are due.
    pub orders: BTreeMap<OrderId, Order>,
    /// The database's time, no earlier than anything that is in the books.
    pub now: DateTime<Utc>,
    /// Nothing counts from before this moment: the books are closed until then.
    pub open_from: DateTime<Utc>,
    /// The entries that were decided.
    pub entries: Vec<Entry>,
    /// The allocations that were decided, in the order in which they were.
    pub shares: Vec<Share>,
    /// What was decided about which credits cover payouts, in the order in which it was.
    pub payout_shares: Vec<PayoutShare>,
}

/// An entry that was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its number, its amount and the balance that it leaves.
    pub posting: Posting,
    /// What it is.
    pub kind: Kind,
    /// The one order that it is about, if there is one.
    pub order_id: Option<OrderId>,
    /// When it counts.
    pub effective_at: DateTime<Utc>,
}

/// An allocation that was decided: negative where one is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The order.
    pub order_id: OrderId,
    /// The credit, and how much of it.
    pub used: Used,
    /// When it counts.
    pub effective_at: DateTime<Utc>,
}

/// A credit's share in covering a payout that was decided: negative where it is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayoutShare {
    /// The payout's entry.
    pub payout_entry: i64,
    /// The credit, and how much of it.
    pub used: Used,
    /// When it counts.
    pub effective_at: DateTime<Utc>,
}

/// How much of a credit covers a payout, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Covering {
    /// The payout's entry.
    pub payout_entry: i64,
    /// The credit's entry.
    pub credit_entry: i64,
    /// What the credit is.
    pub kind: Kind,
    /// How much of it.
    pub amount: Money,
}

/// What a payment is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// What is due, that which is due for longest first.
    OldestDue,
    /// This order.
    Order(OrderId),
    /// These orders, each with so much. Two amounts for one order count as one.
    Orders(Vec<(OrderId, Money)>),
}

/// A credit, and which orders it settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settling {
    /// The credit's entry.
    pub entry_number: i64,
    /// What it is.
    pub kind: Kind,
    /// How much of it settles which order.
    pub orders: Vec<(OrderId, Money)>,
}

impl AccountState {
    /// An account of which nothing has been decided.
    #[must_use]
    pub fn new(account: Account, now: DateTime<Utc>) -> Self {
        Self {
            account,
            orders: BTreeMap::new(),
            now,
            open_from: DateTime::UNIX_EPOCH,
            entries: Vec::new(),
            shares: Vec::new(),
            payout_shares: Vec::new(),
        }
    }

    /// All that is due on the customer's orders, those that are not in these books too.
    #[must_use]
    pub fn due(&self) -> Money {
        self.account.balance + self.account.credit()
    }

    /// Takes a payment and settles with it what it is for. What is left is kept on account, if that is wanted. Returns
    /// the number of its entry.
    ///
    /// # Errors
    /// [`Error::OrderNotFound`], [`Error::Overpayment`], or [`Error::AllocationsDoNotAddUp`]. The books are then as they
    /// were.
    pub fn receive(
        &mut self,
        amount: Money,
        received_at: DateTime<Utc>,
        target: &Target,
        keep_rest: bool,
    ) -> Result<i64, Error> {
        let (shares, due) = self.plan(target, amount)?;
        let about = match target {
            Target::Order(id) => Some(*id),
            Target::OldestDue | Target::Orders(_) => None,
        };
        let allocated: Money = shares.iter().map(|(_, share)| *share).sum();
        if allocated < amount && !keep_rest {
            return Err(match target {
                Target::Orders(_) => Error::AllocationsDoNotAddUp { amount, allocated },
                Target::OldestDue | Target::Order(_) => Error::Overpayment {
                    amount_due: due,
                    order_id: about,
                },
            });
        }
        let number = self.grant(Kind::Payment, amount, about, received_at.min(self.now));
        for (order, share) in shares {
            self.settle(number, order, share);
        }
        Ok(number)
    }

    /// Settles orders with what is on account, the oldest credit first: with so much each, or, when the target says no
    /// amounts, with as much as there is.
    ///
    /// # Errors
    /// [`Error::OrderNotFound`]; [`Error::Overpayment`]; [`Error::CreditOnAccountExceeded`]. The books are then as they
    /// were.
    pub fn use_on_account(&mut self, target: &Target) -> Result<(), Error> {
        let on_account = self.account.credit();
        let (shares, _) = self.plan(target, on_account)?;
        let amount = shares.iter().map(|(_, share)| *share).sum::<Money>();
        if amount > on_account {
            return Err(Error::CreditOnAccountExceeded {
                credit_on_account: on_account,
                amount,
            });
        }
        for (order, share) in shares {
            self.settle_from_account(order, share);
        }
        Ok(())
    }

    /// Gives a credit that is about one order, and settles that order with it as far as it owes. Returns the number of
    /// its entry.
    ///
    /// # Errors
    /// [`Error::OrderNotFound`]. The books are then as they were.
    pub fn credit(&mut self, kind: Kind, order: OrderId, amount: Money) -> Result<i64, Error> {
        self.order(order)?;
        let number = self.grant(kind, amount, Some(order), self.now);
        self.settle(number, order, amount);
        Ok(number)
    }

    /// Pays out credit on account that was there at that date, the oldest credit first. Returns the number of the payout's
    /// entry.
    ///
    /// # Errors
    /// [`Error::CreditOnAccountExceeded`]. The books are then as they were.
    pub fn pay_out(&mut self, amount: Money, paid_at: DateTime<Utc>) -> Result<i64, Error> {
        let paid_at = paid_at.min(self.now);
        let credit_on_account = self.account.credit_of(paid_at);
        if amount > credit_on_account {
            return Err(Error::CreditOnAccountExceeded {
                credit_on_account,
                amount,
            });
        }
        let number = self.post(Kind::Payout, amount, None, paid_at);
        self.cover(number, amount, paid_at);
        Ok(number)
    }

    /// Undoes a payout: the credits that cover it (`covering`) are on account again from now on. Returns the number of the
    /// entry that undoes it.
    pub fn reverse_payout(&mut self, amount: Money, covering: &[Covering]) -> i64 {
        self.uncover(covering);
        self.post(Kind::Reversal, -amount, None, self.now)
    }

    /// Takes a credit back: the orders that it settles owe again, the payouts that it covers (`covering`) are covered by
    /// others, and it is no credit any more. The orders are in the books. Returns the number of the entry that undoes it.
    ///
    /// # Errors
    /// [`Error::CreditPaidOut`] when the others are not enough; [`Error::Bug`] when the credit is not all there.
    pub fn reverse(
        &mut self,
        credit: &Settling,
        covering: &[Covering],
        amount: Money,
        about: Option<OrderId>,
    ) -> Result<i64, Error> {
        for (order, share) in &credit.orders {
            self.take_back(credit, *order, *share)?;
        }
        self.uncover(covering);
        // A credit of nothing has no row on account.
        let left = self.account.on_account.entry(credit.entry_number);
        let left = left.or_insert(Credit {
            kind: credit.kind,
            amount: Money::ZERO,
            since: self.now,
        });
        if left.amount != amount {
            return Err(Error::Bug(format!(
                "entry {} is of {amount:?} and has {:?}",
                credit.entry_number, left.amount
            )));
        }
        left.amount = Money::ZERO;
        self.cover_anew(covering)?;
        Ok(self.post(Kind::Reversal, amount, about, self.now))
    }

    /// Cancels an order: what others have settled of it is on account again, what was credited or written off of it
    /// (`own`) settles it, and a reversal of its charge settles the rest. Returns the number of the reversal's entry.
    ///
    /// Its own credits come home from orders that they settle and payouts that they cover (`covering`) by now. The payouts
    /// are covered anew with what has become free, and then the orders are settled anew, as far as it goes. So whatever is
    /// taken back later, nothing is ever due on a cancelled order.
    ///
    /// # Errors
    /// [`Error::OrderNotFound`]; [`Error::CreditPaidOut`]; [`Error::Bug`] when an order that `own` settles is not in the
    /// books.
    pub fn cancel(
        &mut self,
        order: OrderId,
        others: &[Settling],
        own: &[Settling],
        covering: &[Covering],
    ) -> Result<i64, Error> {
        for credit in others {
            for (_, share) in credit.orders.iter().filter(|(id, _)| *id == order) {
                self.take_back(credit, order, *share)?;
            }
        }
        self.uncover(covering);
        let mut bereft = Vec::new();
        for credit in own {
            for (elsewhere, share) in credit.orders.iter().filter(|(id, _)| *id != order) {
                self.take_back(credit, *elsewhere, *share)?;
                bereft.push((*elsewhere, *share));
            }
            let rest = self.order(order)?.due;
            self.settle(credit.entry_number, order, rest);
        }
        let rest = self.order(order)?.due;
        let number = self.grant(Kind::Reversal, rest, Some(order), self.now);
        self.settle(number, order, rest);
        self.cover_anew(covering)?;
        for (elsewhere, share) in bereft {
            self.settle_from_account(elsewhere, share);
        }
        Ok(number)
    }

    /// Which orders get how much of an amount, and what is due on what was asked for.
    fn plan(
        &self,
        target: &Target,
        amount: Money,
    ) -> Result<(Vec<(OrderId, Money)>, Money), Error> {
        match target {
            Target::OldestDue => {
                let mut left = amount;
                let shares = self.oldest_due().into_iter().map_while(|(id, due)| {
                    let share = due.min(left);
                    left = left - share;
                    (share > Money::ZERO).then_some((id, share))
                });
                Ok((shares.collect(), self.due()))
            }
            Target::Order(id) => {
                let due = self.order(*id)?.due;
                let share = (*id, due.min(amount));
                Ok((vec![share], due))
            }
            Target::Orders(wanted) => {
                let wanted = add_up(wanted);
                let mut all = Money::ZERO;
                for (id, share) in &wanted {
                    let due = self.order(*id)?.due;
                    if *share > due {
                        return Err(Error::Overpayment {
                            amount_due: due,
                            order_id: Some(*id),
                        });
                    }
                    all = all + due;
                }
                Ok((wanted, all))
            }
        }
    }

    fn oldest_due(&self) -> Vec<(OrderId, Money)> {
        let due = self.orders.iter();
        let mut due: Vec<_> = due.filter(|(_, order)| order.due > Money::ZERO).collect();
        due.sort_unstable_by_key(|(id, order)| (order.due_at, **id));
        due.into_iter()
            .map(|(id, order)| (*id, order.due))
            .collect()
    }

    fn order(&self, id: OrderId) -> Result<&Order, Error> {
        self.orders.get(&id).ok_or(Error::OrderNotFound(id))
    }

    /// An entry that lowers the balance, all of it on account for now.
    fn grant(
        &mut self,
        kind: Kind,
        amount: Money,
        about: Option<OrderId>,
        effective_at: DateTime<Utc>,
    ) -> i64 {
        let number = self.post(kind, -amount, about, effective_at);
        let credit = Credit {
            kind,
            amount,
            since: effective_at,
        };
        self.account.on_account.insert(number, credit);
        number
    }

    fn post(
        &mut self,
        kind: Kind,
        amount: Money,
        order_id: Option<OrderId>,
        effective_at: DateTime<Utc>,
    ) -> i64 {
        let posting = self.account.post(amount);
        self.entries.push(Entry {
            posting,
            kind,
            order_id,
            effective_at,
        });
        posting.number
    }

    /// Settles an order with up to so much of one credit, as far as that is there and the order owes.
    fn settle(&mut self, entry_number: i64, order_id: OrderId, up_to: Money) {
        let credit = self.account.on_account.get_mut(&entry_number);
        let (Some(credit), Some(order)) = (credit, self.orders.get_mut(&order_id)) else {
            return;
        };
        let amount = up_to.min(credit.amount).min(order.due);
        if amount > Money::ZERO {
            credit.amount = credit.amount - amount;
            let used = Used {
                entry_number,
                kind: credit.kind,
                amount,
                since: credit.since,
            };
            let share = order.settled_by(order_id, used, self.open_from);
            self.shares.push(share);
        }
    }

    /// Settles an order with up to so much of what is on account, as far as it owes.
    fn settle_from_account(&mut self, order_id: OrderId, up_to: Money) {
        let Some(order) = self.orders.get_mut(&order_id) else {
            return;
        };
        for used in self.account.use_credit(up_to.min(order.due)) {
            let share = order.settled_by(order_id, used, self.open_from);
            self.shares.push(share);
        }
    }

    /// Covers so much of a payout with what was on account at its date.
    fn cover(&mut self, payout_entry: i64, amount: Money, effective_at: DateTime<Utc>) {
        for used in self.account.use_credit_of(effective_at, amount) {
            self.payout_shares.push(PayoutShare {
                payout_entry,
                used,
                effective_at,
            });
        }
    }

    /// Gives credits that cover payouts back from now on: they are on account again.
    fn uncover(&mut self, covering: &[Covering]) {
        for one in covering {
            let used = self.give_back(one.credit_entry, one.kind, one.amount);
            self.payout_shares.push(PayoutShare {
                payout_entry: one.payout_entry,
                used,
                effective_at: self.now,
            });
        }
    }

    /// Covers payouts with other credits than those that were given back.
    fn cover_anew(&mut self, covering: &[Covering]) -> Result<(), Error> {
        let paid_out: Money = covering.iter().map(|one| one.amount).sum();
        let credit_on_account = self.account.credit();
        if paid_out > credit_on_account {
            return Err(Error::CreditPaidOut {
                paid_out,
                credit_on_account,
            });
        }
        for one in covering {
            self.cover(one.payout_entry, one.amount, self.now);
        }
        Ok(())
    }

    /// Puts a part of a credit back on account from now on.
    fn give_back(&mut self, entry_number: i64, kind: Kind, amount: Money) -> Used {
        let since = self.now;
        let left = self.account.on_account.entry(entry_number);
        let left = left.or_insert(Credit {
            kind,
            amount: Money::ZERO,
            since,
        });
        left.amount = left.amount + amount;
        left.since = since;
        Used {
            entry_number,
            kind,
            amount: -amount,
            since,
        }
    }

    /// Takes an allocation back from now on: the order owes it again, and it is on account again.
    fn take_back(
        &mut self,
        credit: &Settling,
        order_id: OrderId,
        amount: Money,
    ) -> Result<(), Error> {
        let now = self.now;
        let order = self.orders.get_mut(&order_id);
        let order = order.ok_or_else(|| Error::Bug(format!("order {order_id} is not locked")))?;
        order.due = order.due + amount;
        order.since = now;
        let used = self.give_back(credit.entry_number, credit.kind, amount);
        self.shares.push(Share {
            order_id,
            used,
            effective_at: now,
        });
        Ok(())
    }
}

impl Order {
    fn settled_by(&mut self, order_id: OrderId, used: Used, open_from: DateTime<Utc>) -> Share {
        self.due = self.due - used.amount;
        Share {
            order_id,
            used,
            effective_at: used.since.max(self.since).max(open_from),
        }
    }
}

/// Adds up the amounts for each order, in the order in which they were first named.
fn add_up(wanted: &[(OrderId, Money)]) -> Vec<(OrderId, Money)> {
    let mut sums: Vec<(OrderId, Money)> = Vec::with_capacity(wanted.len());
    let mut places = BTreeMap::new();
    for (id, amount) in wanted {
        let place = *places.entry(*id).or_insert(sums.len());
        match sums.get_mut(place) {
            Some((_, sum)) => *sum = *sum + *amount,
            None => sums.push((*id, *amount)),
        }
    }
    sums
}
