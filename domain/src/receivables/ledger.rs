//! Balances of customers: the only code that raises or lowers what a customer owes, shared by the desk and all other
//! writes.
//!
//! [`Account`] is a customer's locked row in memory. A posting changes the balance and becomes a ledger entry. An entry
//! that lowers the balance is a credit; the part of it that settles no order is credit on account. At any moment this
//! holds:
//!
//! > balance = what is due on the orders − credit on account.
//!
//! Entries are numbered under the customer's lock, so their order depends on no clock.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use entity::Money;
use entity::ledger_entries::Kind;

/// A customer's account while its row is locked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// The customer's debt: the sum of the entries.
    pub balance: Money,
    /// The number of the newest entry; 0 without entries.
    pub entry_count: i64,
    /// The rests of the credits, by entry number, so the oldest comes first. A used-up credit stays with amount 0,
    /// so that the write deletes its row.
    pub on_account: BTreeMap<i64, Credit>,
}

/// The rest of a credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// The kind of the credit's entry.
    pub kind: Kind,
    /// The part that settles no order.
    pub amount: Money,
    /// The earliest moment at which the credit can settle an order: its date, or its last return from an order. An
    /// earlier allocation would use the credit twice at that past date.
    pub since: DateTime<Utc>,
}

/// The number, amount and balance of a new entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The entry's number in the customer's account, from 1.
    pub number: i64,
    /// The change of the balance; negative for a credit.
    pub amount: Money,
    /// The balance after the entry.
    pub balance_after: Money,
}

/// A part of a credit that settles an order or covers a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// The number of the credit's entry.
    pub entry_number: i64,
    /// The kind of the credit's entry.
    pub kind: Kind,
    /// The amount used. Negative when it is taken back.
    pub amount: Money,
    /// The earliest moment at which it can take effect: see [`Credit::since`].
    pub since: DateTime<Utc>,
}

impl Account {
    /// Raises the balance, or lowers it by a negative amount.
    pub fn post(&mut self, amount: Money) -> Posting {
        self.balance = self.balance + amount;
        self.entry_count += 1;
        Posting {
            number: self.entry_count,
            amount,
            balance_after: self.balance,
        }
    }

    /// The credit on account, at least 0.
    #[must_use]
    pub fn credit(&self) -> Money {
        self.on_account.values().map(|credit| credit.amount).sum()
    }

    /// Takes at most `up_to` from the credit on account, the oldest credit first.
    pub fn use_credit(&mut self, up_to: Money) -> Vec<Used> {
        self.use_credit_of(DateTime::<Utc>::MAX_UTC, up_to)
    }

    /// Credit that was on account at that time and still is.
    #[must_use]
    pub fn credit_of(&self, time: DateTime<Utc>) -> Money {
        let credits = self.on_account.values();
        let there = credits.filter(|credit| credit.since <= time);
        there.map(|credit| credit.amount).sum()
    }

    /// Like [`Account::use_credit`], limited to what [`Account::credit_of`] counts.
    pub fn use_credit_of(&mut self, time: DateTime<Utc>, up_to: Money) -> Vec<Used> {
        let mut missing = up_to;
        let mut used = Vec::new();
        let credits = self.on_account.iter_mut();
        for (&entry_number, credit) in credits.filter(|(_, credit)| credit.since <= time) {
            let amount = credit.amount.min(missing);
            if amount > Money::ZERO {
                credit.amount = credit.amount - amount;
                missing = missing - amount;
                used.push(Used {
                    entry_number,
                    kind: credit.kind,
                    amount,
                    since: credit.since,
                });
            }
        }
        used
    }
}
