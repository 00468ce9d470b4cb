//! Purchases on credit: a purchase takes its stock and its credit completely or not at all. The desk executes them
//! ([`crate::desk`]).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::{Currency, CustomerId, Money, OrderId};

use crate::orders::{OrderDetails, SoldLine};
use crate::receivables::ledger::{Posting, Used};
use crate::stock::Line;

/// A request to buy.
#[derive(Debug, Clone)]
pub struct Purchase {
    /// The customer who buys, and owes for a purchase on credit.
    pub customer_id: CustomerId,
    /// The lines in the buyer's order. Several lines of one product count as one.
    pub lines: Vec<Line>,
    /// The details of the order; `None` if the buyer gave none.
    pub details: Option<Arc<OrderDetails>>,
}

/// An approved order on credit.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The new order, in status `approved`.
    pub order_id: OrderId,
    /// The customer who owes for it.
    pub customer_id: CustomerId,
    /// The business's currency.
    pub currency: Currency,
    /// The order's lines in the buyer's order, one per product.
    pub lines: Vec<SoldLine>,
    /// The details that the buyer gave; `None` if there are none.
    pub details: Option<Arc<OrderDetails>>,
    /// The sum of the lines.
    pub total: Money,
    /// The charge in the customer's account. Its `balance_after` is what the customer now owes.
    pub charge: Posting,
    /// The credits that settle the order at once, in the order of their use.
    pub credit_used: Vec<Used>,
    /// The credit limit minus the balance after the charge.
    pub available_credit: Money,
    /// The database's time after the locks.
    pub created_at: DateTime<Utc>,
    /// The end of the payment terms.
    pub due_at: DateTime<Utc>,
}

impl Receipt {
    /// The amount that earlier payments settle.
    #[must_use]
    pub fn amount_paid(&self) -> Money {
        self.settled_by(|kind| kind == Kind::Payment)
    }

    /// The amount that credits other than payments settle.
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
