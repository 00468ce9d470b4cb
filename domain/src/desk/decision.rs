//! Deciding a purchase: plain values in, a sale or a refusal out. No database, no clock, no I/O.
//!
//! [`Books`] holds the locked rows of a batch. Purchases are decided one after another, each against what the ones
//! before it left, so first come is first served and the result does not depend on where one batch ends and the next
//! begins. A refusal changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::{CustomerId, Money, ProductId};

use crate::ledger::{self, Posting, Used};
use crate::purchase::{Purchase, SoldLine};
use crate::{Error, Shortage};

/// A customer as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The most that it may owe.
    pub credit_limit: Money,
    /// What it owes, and what it has paid ahead.
    pub ledger: ledger::Account,
    /// Whether sales to it are stopped.
    pub on_hold: bool,
    /// When an order was due that stops its purchases until it is paid.
    pub overdue_since: Option<DateTime<Utc>>,
    /// What it has bought before of products that are limited.
    pub bought: HashMap<ProductId, i64>,
}

/// A product and its stock as the decision needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// Its number in the catalogue.
    pub sku: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What one costs.
    pub price: Money,
    /// Whether it can be bought at all.
    pub active: bool,
    /// The most that one customer may ever buy.
    pub limit_per_customer: Option<i64>,
    /// On the shelf.
    pub on_hand: i64,
    /// Of those, held for others.
    pub reserved: i64,
}

/// The locked rows that a batch is decided against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// The customers that exist among those asked for.
    pub accounts: HashMap<CustomerId, Account>,
    /// The products that exist among those asked for.
    pub shelf: HashMap<ProductId, Stock>,
}

/// A purchase that was decided in its favour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// What was sold, in the buyer's order, one line a product.
    pub lines: Vec<SoldLine>,
    /// The sum of the lines.
    pub total: Money,
    /// The charge. Its `balance_after` is what the customer owes now.
    pub charge: Posting,
    /// What of the customer's credit on account settles the order at once.
    pub credit_used: Vec<Used>,
    /// What it may still buy.
    pub available_credit: Money,
}

/// What a purchase asks of one product, all its lines together.
struct Demand {
    product_id: ProductId,
    quantity: i64,
}

impl Books {
    /// Decides one purchase and, when it is a sale, takes its stock and its credit.
    ///
    /// The refusals in the order in which they are looked for: the customer does not exist, is on hold or long overdue; a product does
    /// not exist or is not on sale, has another price than the buyer saw, is limited; there is not enough stock (every
    /// short product at once); the credit does not suffice.
    ///
    /// # Errors
    /// One of those. The books are then as they were.
    pub fn decide(&mut self, purchase: &Purchase) -> Result<Sale, Error> {
        let customer = purchase.customer_id;
        let account = self
            .accounts
            .get_mut(&customer)
            .ok_or(Error::CustomerNotFound(customer))?;
        if account.on_hold {
            return Err(Error::CustomerOnHold(customer));
        }
        if let Some(due_at) = account.overdue_since {
            return Err(Error::CustomerOverdue { customer, due_at });
        }
        check_prices(&self.shelf, purchase)?;
        let demands = add_up(purchase);
        check_limits(&self.shelf, account, &demands)?;
        check_stock(&self.shelf, &demands)?;

        let total: Money = demands
            .iter()
            .filter_map(|demand| {
                Some(
                    self.shelf
                        .get(&demand.product_id)?
                        .price
                        .times(demand.quantity),
                )
            })
            .sum();
        // One who has paid far ahead could pass what an order's total can be before it passes its limit.
        if account.ledger.balance + total > account.credit_limit || !total.is_storable() {
            return Err(Error::CreditLimitExceeded {
                credit_limit: account.credit_limit,
                balance: account.ledger.balance,
                amount: total,
            });
        }

        let charge = account.ledger.post(total);
        let credit_used = account.ledger.use_credit(total);
        let available_credit = account.credit_limit - charge.balance_after;
        let lines = demands
            .iter()
            .filter_map(|demand| {
                let stock = self.shelf.get_mut(&demand.product_id)?;
                if stock.limit_per_customer.is_some() {
                    *account.bought.entry(demand.product_id).or_default() += demand.quantity;
                }
                Some(stock.sell(demand))
            })
            .collect();
        Ok(Sale {
            lines,
            total,
            charge,
            credit_used,
            available_credit,
        })
    }
}

impl Stock {
    fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    fn sell(&mut self, demand: &Demand) -> SoldLine {
        self.on_hand -= demand.quantity;
        SoldLine {
            product_id: demand.product_id,
            sku: Arc::clone(&self.sku),
            name: Arc::clone(&self.name),
            quantity: demand.quantity,
            unit_price: self.price,
            line_total: self.price.times(demand.quantity),
            on_hand_after: self.on_hand,
        }
    }
}

/// Every line's product must be there, on sale, and cost what the buyer saw.
fn check_prices(shelf: &HashMap<ProductId, Stock>, purchase: &Purchase) -> Result<(), Error> {
    for line in &purchase.lines {
        let stock = shelf
            .get(&line.product_id)
            .filter(|stock| stock.active)
            .ok_or(Error::ProductNotFound(line.product_id))?;
        if let Some(quoted) = line.quoted.filter(|quoted| *quoted != stock.price) {
            return Err(Error::PriceChanged {
                product_id: line.product_id,
                quoted,
                current: stock.price,
            });
        }
    }
    Ok(())
}

/// Adds up the lines of each product: two lines of six are a demand for twelve.
fn add_up(purchase: &Purchase) -> Vec<Demand> {
    let mut place = HashMap::with_capacity(purchase.lines.len());
    let mut demands: Vec<Demand> = Vec::with_capacity(purchase.lines.len());
    for line in &purchase.lines {
        let quantity = line.quantity.get();
        match place.entry(line.product_id) {
            std::collections::hash_map::Entry::Occupied(at) => {
                let at: usize = *at.get();
                demands[at].quantity += quantity;
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(demands.len());
                demands.push(Demand {
                    product_id: line.product_id,
                    quantity,
                });
            }
        }
    }
    demands
}

fn check_limits(
    shelf: &HashMap<ProductId, Stock>,
    account: &Account,
    demands: &[Demand],
) -> Result<(), Error> {
    for demand in demands {
        let limit = shelf
            .get(&demand.product_id)
            .and_then(|stock| stock.limit_per_customer);
        let Some(limit) = limit else { continue };
        let bought = account.bought.get(&demand.product_id).copied().unwrap_or(0);
        if bought + demand.quantity > limit {
            return Err(Error::PurchaseLimitReached {
                product_id: demand.product_id,
                limit,
                bought,
                requested: demand.quantity,
            });
        }
    }
    Ok(())
}

fn check_stock(shelf: &HashMap<ProductId, Stock>, demands: &[Demand]) -> Result<(), Error> {
    let shortages: Vec<Shortage> = demands
        .iter()
        .filter_map(|demand| {
            let available = shelf.get(&demand.product_id).map_or(0, Stock::available);
            (demand.quantity > available).then_some(Shortage {
                product_id: demand.product_id,
                requested: demand.quantity,
                available,
            })
        })
        .collect();
    if shortages.is_empty() {
        Ok(())
    } else {
        Err(Error::InsufficientStock(shortages))
    }
}
