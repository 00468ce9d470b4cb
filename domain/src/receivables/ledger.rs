//! Customers' accounts: the one place that raises or lowers what a customer owes, whichever path comes.
//!
//! [`Account`] is what a customer's locked row says, in memory. A posting changes the balance and becomes an entry; an
//! entry that lowers the balance is a credit, and what of it settles no order is credit on account. So at any moment
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
    /// What the customer owes: the sum of its entries.
    pub balance: Money,
    /// The number of its newest entry.
    pub entry_count: i64,
    /// What is left of its credits, by the number of their entries: the oldest first. One that is used up stays here
    /// with nothing, so that it is written.
    pub on_account: BTreeMap<i64, Credit>,
}

/// What is left of a credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// What the credit is.
    pub kind: Kind,
    /// How much of it settles no order.
    pub amount: Money,
    /// From when that can settle one: the credit's date, or when it was last taken back from an order. An allocation
    /// that counted from before would use the credit twice at that past date.
    pub since: DateTime<Utc>,
}

/// An entry to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// Its place in the customer's account.
    pub number: i64,
    /// What it adds to the balance.
    pub amount: Money,
    /// The balance then.
    pub balance_after: Money,
}

/// A part of a credit, used to settle an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// The credit's entry.
    pub entry_number: i64,
    /// What the credit is.
    pub kind: Kind,
    /// How much of it; negative where it is taken back.
    pub amount: Money,
    /// From when it counts: see [`Credit::since`].
    pub since: DateTime<Utc>,
}

impl Account {
    /// Raises what is owed, or lowers it when the amount is negative.
    pub fn post(&mut self, amount: Money) -> Posting {
        self.balance = self.balance + amount;
        self.entry_count += 1;
        Posting {
            number: self.entry_count,
            amount,
            balance_after: self.balance,
        }
    }

    /// The credit on account.
    #[must_use]
    pub fn credit(&self) -> Money {
        self.on_account.values().map(|credit| credit.amount).sum()
    }

    /// Takes up to so much from the credit on account, the oldest credit first.
    pub fn use_credit(&mut self, up_to: Money) -> Vec<Used> {
        self.use_credit_of(DateTime::<Utc>::MAX_UTC, up_to)
    }

    /// The credit on account that was there at that time and is there still.
    #[must_use]
    pub fn credit_of(&self, time: DateTime<Utc>) -> Money {
        let credits = self.on_account.values();
        let there = credits.filter(|credit| credit.since <= time);
        there.map(|credit| credit.amount).sum()
    }

    /// As [`Account::use_credit`], from what [`Account::credit_of`] counts.
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
