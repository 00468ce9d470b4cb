//! Settlement: decides which orders a customer's credits settle. Plain values in, entries and allocations out; no
//! database, no clock, no I/O.
//!
//! [`AccountState`] holds a customer's locked account and the orders that a decision is about. After every decision
//! these hold, now and at every past date:
//!
//! - an order: its total − its allocations = its amount due, from 0 to the total;
//! - a credit: its amount − its allocations and payouts = its credit on account, from 0 to the amount;
//! - a payout: its amount = the credits that cover it, from its date until it is reversed;
//! - the account: balance = amounts due − credit on account.
//!
//! The first two hold at past dates because an allocation takes effect at the latest of three times. These are the date
//! of the credit, the date of the order, and the last time that an allocation of either was taken back.
//! [`Credit::since`] and [`Order::since`] keep them. When the latest lies in a closed period, the allocation takes
//! effect at the first open moment ([`AccountState::open_from`]). Reports of a closed period therefore never change.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::{Money, OrderId};
use sea_orm::FromQueryResult;

use crate::Error;
use crate::receivables::ledger::{Account, Credit, Posting, Used};

/// An order on credit, as far as decisions need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The part that is not settled.
    pub due: Money,
    /// When that part is due.
    pub due_at: DateTime<Utc>,
    /// The earliest moment at which an allocation can take effect: the sale, or the last time that one was taken back.
    pub since: DateTime<Utc>,
}

/// A customer's locked account with some of its orders, and the decisions about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// The balance and the credits.
    pub account: Account,
    /// Locked orders of the customer: those that a request names, or the longest due.
    pub orders: BTreeMap<OrderId, Order>,
    /// The database's time, not earlier than any entry of the account.
    pub now: DateTime<Utc>,
    /// The first open moment. Nothing takes effect before it, because the period before is closed.
    pub open_from: DateTime<Utc>,
    /// New entries, in the order of decision.
    pub entries: Vec<Entry>,
    /// New allocations, in the order of decision.
    pub shares: Vec<Share>,
    /// New payout allocations, in the order of decision.
    pub payout_shares: Vec<PayoutShare>,
}

/// A new entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The number, the amount and the balance after it.
    pub posting: Posting,
    /// The kind of the entry.
    pub kind: Kind,
    /// The one order that the entry is about, if any.
    pub order_id: Option<OrderId>,
    /// When the entry takes effect.
    pub effective_at: DateTime<Utc>,
}

/// A new allocation. Negative when one is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The order.
    pub order_id: OrderId,
    /// The credit, and the amount used of it.
    pub used: Used,
    /// When the allocation takes effect.
    pub effective_at: DateTime<Utc>,
}

/// A new payout allocation: a credit's share in covering a payout. Negative when it is returned to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayoutShare {
    /// The number of the payout's entry.
    pub payout_entry: i64,
    /// The credit, and the amount used of it.
    pub used: Used,
    /// When the payout allocation takes effect.
    pub effective_at: DateTime<Utc>,
}

/// The net share of a credit in covering a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Covering {
    /// The number of the payout's entry.
    pub payout_entry: i64,
    /// The number of the credit's entry.
    pub credit_entry: i64,
    /// The kind of the credit.
    pub kind: Kind,
    /// The amount covered.
    pub amount: Money,
}

/// The orders that a payment settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All orders with an amount due, the longest due first.
    OldestDue,
    /// This order.
    Order(OrderId),
    /// These orders, each with an amount. Amounts for the same order are added up.
    Orders(Vec<(OrderId, Money)>),
}

/// A credit with the orders that it settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settling {
    /// The number of the credit's entry.
    pub entry_number: i64,
    /// The kind of the credit.
    pub kind: Kind,
    /// The net share of each order.
    pub orders: Vec<(OrderId, Money)>,
}

impl AccountState {
    /// An account state without decisions.
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

    /// The amount due on all orders of the customer, including those that are not in this state.
    #[must_use]
    pub fn due(&self) -> Money {
        self.account.balance + self.account.credit()
    }

    /// Posts the charge of an order. Credit on account stays there. Returns the entry's number.
    pub fn charge(&mut self, order: OrderId, amount: Money, effective_at: DateTime<Utc>) -> i64 {
        self.post(Kind::Charge, amount, Some(order), effective_at)
    }

    /// Posts a payment and settles its target. The rest stays on account if `keep_rest` is set. Returns the entry's
    /// number.
    ///
    /// # Errors
    /// [`Error::OrderNotFound`]; [`Error::Overpayment`]; [`Error::AllocationsDoNotAddUp`]. The state is unchanged then.
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

    /// Settles orders with credit on account, the oldest credit first. Each order gets the amount that the target
    /// names, or, without amounts, as much as there is.
    ///
    /// # Errors
    /// [`Error::OrderNotFound`]; [`Error::Overpayment`]; [`Error::CreditOnAccountExceeded`]. The state is unchanged
    /// then.
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

    /// Posts a credit that is about one order, and settles that order up to its amount due. Returns the entry's number.
    ///
    /// # Errors
    /// [`Error::OrderNotFound`]. The state is unchanged then.
    pub fn credit(&mut self, kind: Kind, order: OrderId, amount: Money) -> Result<i64, Error> {
        self.order(order)?;
        let number = self.grant(kind, amount, Some(order), self.now);
        self.settle(number, order, amount);
        Ok(number)
    }

    /// Pays out credit that was on account at that date, the oldest credit first. Returns the number of the payout's
    /// entry.
    ///
    /// # Errors
    /// [`Error::CreditOnAccountExceeded`]. The state is unchanged then.
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

    /// Reverses a payout: the credits in `covering` are on account again from now on. Returns the number of the
    /// reversal's entry.
    pub fn reverse_payout(&mut self, amount: Money, covering: &[Covering]) -> i64 {
        self.uncover(covering);
        self.post(Kind::Reversal, -amount, None, self.now)
    }

    /// Reverses a credit: the orders that it settles are due again, and other credits cover its payouts (`covering`).
    /// The orders must be in the state. Returns the number of the reversal's entry.
    ///
    /// # Errors
    /// [`Error::CreditPaidOut`] when the other credits do not suffice; [`Error::Bug`] when the credit is not complete.
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
        // A credit of 0 has no row on account.
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

    /// Cancels an order. Shares of `others` are on account again, and its credit notes and write-offs (`own`) settle
    /// it. A reversal of its charge settles the rest. Returns the number of the reversal's entry.
    ///
    /// The order's own credits first return from other orders that they settle and from payouts that they cover
    /// (`covering`). Then the freed credit covers the payouts, and after them the orders, as far as it reaches. No
    /// later reversal can therefore make a cancelled order due.
    ///
    /// # Errors
    /// [`Error::OrderNotFound`]; [`Error::CreditPaidOut`]; [`Error::Bug`] when an order that `own` settles is not in
    /// the state.
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

    /// The share of each order in an amount, and the amount due on the target.
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

    /// Posts an entry that lowers the balance; all of it is on account at first.
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

    /// Settles an order with at most `up_to` of one credit, limited by what is left of it and by the amount due.
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

    /// Settles an order with at most `up_to` of the credit on account, limited by the amount due.
    fn settle_from_account(&mut self, order_id: OrderId, up_to: Money) {
        let Some(order) = self.orders.get_mut(&order_id) else {
            return;
        };
        for used in self.account.use_credit(up_to.min(order.due)) {
            let share = order.settled_by(order_id, used, self.open_from);
            self.shares.push(share);
        }
    }

    /// Covers `amount` of a payout with credit that was on account at its date.
    fn cover(&mut self, payout_entry: i64, amount: Money, effective_at: DateTime<Utc>) {
        for used in self.account.use_credit_of(effective_at, amount) {
            self.payout_shares.push(PayoutShare {
                payout_entry,
                used,
                effective_at,
            });
        }
    }

    /// Returns credits that cover payouts: they are on account again from now on.
    fn uncover(&mut self, covering: &[Covering]) {
        for one in covering {
            let used = self.return_credit(one.credit_entry, one.kind, one.amount);
            self.payout_shares.push(PayoutShare {
                payout_entry: one.payout_entry,
                used,
                effective_at: self.now,
            });
        }
    }

    /// Covers payouts again, with credits other than those that were returned.
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

    /// Returns part of a credit to the account from now on.
    fn return_credit(&mut self, entry_number: i64, kind: Kind, amount: Money) -> Used {
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

    /// Takes back an allocation from now on: the order is due again, and the credit is on account again.
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
        let used = self.return_credit(credit.entry_number, credit.kind, amount);
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

/// Sums the amounts of each order, in the order of first mention.
fn add_up(wanted: &[(OrderId, Money)]) -> Vec<(OrderId, Money)> {
    let mut sums: Vec<(OrderId, Money)> = Vec::with_capacity(wanted.len());
    let mut indexes = BTreeMap::new();
    for (id, amount) in wanted {
        let index = *indexes.entry(*id).or_insert(sums.len());
        match sums.get_mut(index) {
            Some((_, sum)) => *sum = *sum + *amount,
            None => sums.push((*id, *amount)),
        }
    }
    sums
}
