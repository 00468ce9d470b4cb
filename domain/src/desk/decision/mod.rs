//! Deciding what is asked of the desk: plain values in, a sale, a reservation or a refusal out. No database, no clock, no
//! I/O.
//!
//! [`Books`] holds the locked rows of a batch. Commands are decided one after another, each against what the ones before
//! it left, so first come is first served and the result does not depend on where one batch ends and the next begins. A
//! refusal changes nothing.
//!
//! The refusals in the order in which they are looked for: the customer does not exist, is on hold or (on credit) long
//! overdue; a product does not exist or is not on sale, is sold at another time, has another price than the buyer saw, is
//! limited; there is not enough stock (every short product at once); the credit does not suffice.

mod checkout;
mod purchase;
mod reserve;
mod resolve;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::{CustomerId, Money, OrderId, ProductId};

use crate::ledger::{self, Posting, Used};
use crate::purchase::{Line, SoldLine};
use crate::shelf::{Reservation, Shelf};
use crate::{Error, Shortage};

pub use checkout::Ordered;

/// A customer as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The most that it may owe.
    pub credit_limit: Money,
    /// What it owes, and what it has paid ahead.
    pub ledger: ledger::Account,
    /// Whether sales to it are stopped.
    pub on_hold: bool,
    /// The order that stops its purchases on credit until it is paid.
    pub overdue: Option<OverdueOrder>,
    /// What it has bought before of products that are limited.
    pub bought: HashMap<ProductId, Bought>,
}

/// An order that is past due by more days than the business allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverdueOrder {
    /// The order.
    pub id: OrderId,
    /// When it was due.
    pub due_at: DateTime<Utc>,
}

/// What a customer has bought of a product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bought {
    /// How many, ever.
    pub ever: i64,
    /// Of those, since the sale that is open opened.
    pub in_sale: i64,
}

/// A product of the catalogue as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// Its number in the catalogue.
    pub sku: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What one costs now.
    pub price: Money,
    /// Whether it can be bought at all.
    pub active: bool,
    /// The most that one customer may ever buy.
    pub limit_per_customer: Option<i64>,
    /// When it can be bought.
    pub selling: Selling,
}

/// When a product can be bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selling {
    /// At any time: it is in no sale.
    Always,
    /// Now, in a sale.
    InSale {
        /// When the sale opened.
        since: DateTime<Utc>,
        /// The most that one customer may buy in it.
        limit_per_customer: Option<i64>,
    },
    /// Not now.
    Closed {
        /// When its next sale opens, or its last one opened.
        opens_at: DateTime<Utc>,
        /// When that closes, or closed.
        closes_at: DateTime<Utc>,
    },
}

/// The locked rows that a batch is decided against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Books {
    /// The customers that exist among those asked for.
    pub accounts: HashMap<CustomerId, Account>,
    /// The products that exist among those asked for.
    pub catalogue: HashMap<ProductId, Article>,
    /// Their stock, and the reservations that matter to it.
    pub shelf: Shelf,
}

/// A purchase, or the confirmation of a reservation, that was decided in its favour.
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

/// What is asked of one product, all its lines together.
#[derive(Debug, Clone, Copy)]
struct Demand {
    product_id: ProductId,
    quantity: i64,
    unit_price: Money,
}

impl Books {
    fn account(&self, customer: CustomerId) -> Result<&Account, Error> {
        let account = self.accounts.get(&customer);
        let account = account.ok_or(Error::CustomerNotFound(customer))?;
        if account.on_hold {
            return Err(Error::CustomerOnHold(customer));
        }
        Ok(account)
    }

    /// As [`Books::account`], for who buys on credit.
    fn debtor(&self, customer: CustomerId) -> Result<&Account, Error> {
        let account = self.account(customer)?;
        match account.overdue {
            Some(OverdueOrder { id, due_at }) => Err(Error::CustomerOverdue {
                customer,
                order_id: id,
                due_at,
            }),
            None => Ok(account),
        }
    }

    /// What the lines come to by product, at today's prices: two lines of six are a demand for twelve. Every line's product
    /// must be there, on sale, and cost what the buyer saw.
    fn demands(&self, lines: &[Line]) -> Result<Vec<Demand>, Error> {
        let mut place = HashMap::with_capacity(lines.len());
        let mut demands: Vec<Demand> = Vec::with_capacity(lines.len());
        for line in lines {
            let unit_price = self.price(line)?;
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
                        unit_price,
                    });
                }
            }
        }
        Ok(demands)
    }

    fn price(&self, line: &Line) -> Result<Money, Error> {
        let product_id = line.product_id;
        let article = self
            .catalogue
            .get(&product_id)
            .filter(|article| article.active)
            .ok_or(Error::ProductNotFound(product_id))?;
        if let Selling::Closed {
            opens_at,
            closes_at,
        } = article.selling
        {
            return Err(Error::SaleNotOpen {
                product_id,
                opens_at,
                closes_at,
            });
        }
        match line.quoted {
            Some(quoted) if quoted != article.price => Err(Error::PriceChanged {
                product_id,
                quoted,
                current: article.price,
            }),
            _ => Ok(article.price),
        }
    }

    /// What the customer has bought, holds and waits for counts; `used_up` are reservations that this very demand uses up.
    fn check_limits(
        &self,
        customer: CustomerId,
        demands: &[Demand],
        used_up: &[&Reservation],
    ) -> Result<(), Error> {
        for demand in demands {
            let product = demand.product_id;
            let Some(article) = self.catalogue.get(&product) else {
                continue;
            };
            let (since, in_sale) = match article.selling {
                Selling::InSale {
                    since,
                    limit_per_customer,
                } => (since, limit_per_customer),
                Selling::Always | Selling::Closed { .. } => (DateTime::UNIX_EPOCH, None),
            };
            let bought = self
                .accounts
                .get(&customer)
                .and_then(|account| account.bought.get(&product))
                .copied()
                .unwrap_or_default();
            let held = |since: DateTime<Utc>| -> i64 {
                self.shelf
                    .open_of(customer)
                    .filter(|one| one.created_at >= since)
                    .filter(|one| used_up.iter().all(|used| used.id != one.id))
                    .map(|one| one.quantity_of(product))
                    .sum()
            };
            let limits = [
                (
                    article.limit_per_customer,
                    bought.ever,
                    DateTime::UNIX_EPOCH,
                ),
                (in_sale, bought.in_sale, since),
            ];
            for (limit, bought, since) in limits {
                let Some(limit) = limit else { continue };
                let bought = bought + held(since);
                if bought + demand.quantity > limit {
                    return Err(Error::PurchaseLimitReached {
                        product_id: product,
                        limit,
                        bought,
                        requested: demand.quantity,
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether there is as much as is asked for, where so much is available: every short product at once.
    fn check_stock(demands: &[Demand], available: impl Fn(ProductId) -> i64) -> Result<(), Error> {
        let shortages: Vec<Shortage> = demands
            .iter()
            .filter_map(|demand| {
                let available = available(demand.product_id);
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

    /// Whether there is as much as is asked for, with what these own reservations hold of it.
    fn check_stock_with(&self, demands: &[Demand], own: &[&Reservation]) -> Result<(), Error> {
        Self::check_stock(demands, |product| {
            let held = own.iter().map(|one| one.quantity_of(product)).sum::<i64>();
            self.shelf.open(product) + held
        })
    }

    /// The customer's own reservations that such an order uses up.
    fn used_up(&self, customer: CustomerId, demands: &[Demand]) -> Vec<&Reservation> {
        let is_asked_for =
            |product: ProductId| demands.iter().any(|demand| demand.product_id == product);
        self.shelf
            .active_of(customer)
            .filter(|one| one.items.iter().all(|item| is_asked_for(item.product_id)))
            .collect()
    }

    /// Whether the account can bear it. One who has paid far ahead could pass what an order's total can be before it
    /// passes its limit.
    fn check_credit(account: &Account, total: Money) -> Result<(), Error> {
        if account.ledger.balance + total > account.credit_limit || !total.is_storable() {
            return Err(Error::CreditLimitExceeded {
                credit_limit: account.credit_limit,
                balance: account.ledger.balance,
                amount: total,
            });
        }
        Ok(())
    }

    /// Takes what was found to be there, in stock and in credit.
    fn sell(&mut self, customer: CustomerId, demands: &[Demand]) -> Result<Sale, Error> {
        let total = total(demands);
        let account = self
            .accounts
            .get_mut(&customer)
            .ok_or(Error::CustomerNotFound(customer))?;
        let charge = account.ledger.post(total);
        let credit_used = account.ledger.use_credit(total);
        let available_credit = account.credit_limit - charge.balance_after;
        let take = |shelf: &mut Shelf, demand: &Demand| {
            Some(shelf.take(demand.product_id, demand.quantity))
        };
        Ok(Sale {
            lines: self.lines(customer, demands, take),
            total,
            charge,
            credit_used,
            available_credit,
        })
    }

    /// The lines of an order, which count as bought. `leave` takes them from the shelf, if they leave it, and says what
    /// stays there.
    fn lines(
        &mut self,
        customer: CustomerId,
        demands: &[Demand],
        leave: impl Fn(&mut Shelf, &Demand) -> Option<i64>,
    ) -> Vec<SoldLine> {
        let mut lines = Vec::with_capacity(demands.len());
        let mut account = self.accounts.get_mut(&customer);
        for demand in demands {
            let product = demand.product_id;
            let Some(article) = self.catalogue.get(&product) else {
                continue;
            };
            if article.is_limited()
                && let Some(account) = &mut account
            {
                let bought = account.bought.entry(product).or_default();
                bought.ever += demand.quantity;
                bought.in_sale += demand.quantity;
            }
            lines.push(SoldLine {
                product_id: product,
                sku: Arc::clone(&article.sku),
                name: Arc::clone(&article.name),
                quantity: demand.quantity,
                unit_price: demand.unit_price,
                line_total: demand.unit_price.times(demand.quantity),
                on_hand_after: leave(&mut self.shelf, demand),
            });
        }
        lines
    }
}

impl Demand {
    /// What a reservation is about, at its prices.
    fn of(reservation: &Reservation) -> Vec<Self> {
        let items = reservation.items.iter().map(|item| Self {
            product_id: item.product_id,
            quantity: item.quantity,
            unit_price: item.unit_price,
        });
        items.collect()
    }
}

impl Article {
    /// Whether a customer may have so many of it and no more.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        let in_sale = matches!(
            self.selling,
            Selling::InSale {
                limit_per_customer: Some(_),
                ..
            }
        );
        in_sale || self.limit_per_customer.is_some()
    }
}

fn total(demands: &[Demand]) -> Money {
    let worth = |demand: &Demand| demand.unit_price.times(demand.quantity);
    demands.iter().map(worth).sum()
}
