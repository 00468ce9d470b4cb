//! Purchases on credit: stock from the shelf and credit from the customer, all of it or none. They are made at the desk
//! ([`crate::desk`]).

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::{Currency, CustomerId, Money, OrderId};

use crate::orders::SoldLine;
use crate::receivables::ledger::{Posting, Used};
use crate::stock::Line;

/// What a customer asks for.
#[derive(Debug, Clone)]
pub struct Purchase {
    /// Who buys and owes.
    pub customer_id: CustomerId,
    /// What, in the buyer's order. Two lines of one product count as one.
    pub lines: Vec<Line>,
}

/// A purchase that was made.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The new order, approved.
    pub order_id: OrderId,
    /// Who owes for it.
    pub customer_id: CustomerId,
    /// The business's currency.
    pub currency: Currency,
    /// What was sold, in the buyer's order.
    pub lines: Vec<SoldLine>,
    /// The sum of the lines.
    pub total: Money,
    /// The charge in the customer's account. Its `balance_after` is what the customer owes now.
    pub charge: Posting,
    /// The credits that have settled it.
    pub credit_used: Vec<Used>,
    /// What it may still buy.
    pub available_credit: Money,
    /// When it was sold: the database's clock.
    pub created_at: DateTime<Utc>,
    /// When it is to be paid.
    pub due_at: DateTime<Utc>,
}

impl Receipt {
    /// What money that was paid ahead has settled.
    #[must_use]
    pub fn amount_paid(&self) -> Money {
        self.settled_by(|kind| kind == Kind::Payment)
    }

    /// What credit without money has settled.
    #[must_use]
    pub fn amount_credited(&self) -> Money {
        self.settled_by(|kind| kind != Kind::Payment)
    }

    fn settled_by(&self, which: impl Fn(Kind) -> bool) -> Money {
        let used = self.credit_used.iter();
        used.filter(|used| which(used.kind))
            .map(|used| used.amount)
            .sum()
    }
}
