//! Deciding what is asked of the desk: plain values in, a sale, a reservation or a refusal out. No database, no clock, no
//! I/O.
//!
//! [`BatchState`] holds the locked rows of a batch. Commands are decided one after another, each against what the ones before
//! it left, so first come is first served and the result does not depend on where one batch ends and the next begins. A
//! refusal changes nothing.
//!
//! The refusals in the order in which they are looked for: the customer does not exist, is on hold or (on credit) long
//! overdue; a product does not exist or is not on sale, is sold at another time, has two prices in one order, has another
//! price than the buyer saw, is limited; there is not enough stock (every short product at once); the customer would hold
//! too much; the credit does not suffice.

mod basket;
mod checkout;
mod purchase;
mod reserve;
mod resolve;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::{CustomerId, Money, OrderId, ProductId, SaleId};

use crate::catalogue::sales::Offer;
use crate::orders::SoldLine;
use crate::receivables::ledger::{self, Posting, Used};
use crate::stock::Line;
use crate::stock::locked_stock::{LockedStock, Part, Reservation};
use crate::{Error, HoldLimit, Shortage};

use basket::add_up;

pub use crate::catalogue::sales::Selling;
pub use checkout::Ordered;

/// A customer as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buyer {
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
    /// What it may hold at once.
    pub holds: Holds,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bought {
    /// How many, ever.
    pub ever: i64,
    /// Of those, since each of its open sales that have a limit opened.
    pub in_sales: BTreeMap<SaleId, i64>,
}

impl Bought {
    fn in_sale(&self, sale: SaleId) -> i64 {
        self.in_sales.get(&sale).copied().unwrap_or(0)
    }
}

/// What a customer may hold at once, and what it holds or waits for that the shelf does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// The most units; `None` is no bound.
    pub max_units: Option<i64>,
    /// The most that they may be worth; `None` is no bound.
    pub max_value: Option<Money>,
    /// How many units it has there.
    pub units: i64,
    /// What these are worth.
    pub value: Money,
}

/// A product of the catalogue as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueItem {
    /// Its number in the catalogue.
    pub sku: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its list price.
    pub price: Money,
    /// Whether it can be bought at all.
    pub active: bool,
    /// The most that one customer may ever buy.
    pub limit_per_customer: Option<i64>,
    /// What its sales mean now.
    pub selling: Selling,
}

/// The locked rows that a batch is decided against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchState {
    /// The customers that exist among those asked for.
    pub accounts: HashMap<CustomerId, Buyer>,
    /// The products that exist among those asked for.
    pub catalogue: HashMap<ProductId, CatalogueItem>,
    /// Their stock, and the reservations that matter to it.
    pub shelf: LockedStock,
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
    /// Of those, how many come out of the customer's own reservations.
    held: i64,
}

impl BatchState {
    fn account(&self, customer: CustomerId) -> Result<&Buyer, Error> {
        let account = self.accounts.get(&customer);
        let account = account.ok_or(Error::CustomerNotFound(customer))?;
        if account.on_hold {
            return Err(Error::CustomerOnHold(customer));
        }
        Ok(account)
    }

    /// As [`BatchState::account`], for who buys on credit.
    fn debtor(&self, customer: CustomerId) -> Result<&Buyer, Error> {
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

    /// What the lines come to by product, at the prices of new units: two lines of six are a demand for twelve. Every
    /// line's product must be there, on sale, and cost what the buyer saw.
    fn demands(&self, customer: CustomerId, lines: &[Line]) -> Result<Vec<Demand>, Error> {
        let mut demands = Vec::with_capacity(lines.len());
        for asked in add_up(lines) {
            let unit_price = self.price(customer, asked.product_id)?;
            asked.check_quotes(unit_price)?;
            demands.push(Demand {
                product_id: asked.product_id,
                quantity: asked.quantity,
                unit_price,
                held: 0,
            });
        }
        Ok(demands)
    }

    /// What one more unit of a product costs the customer, if it is on sale.
    fn price(&self, customer: CustomerId, product_id: ProductId) -> Result<Money, Error> {
        let article = self
            .catalogue
            .get(&product_id)
            .filter(|article| article.active)
            .ok_or(Error::ProductNotFound(product_id))?;
        if let Selling::Closed(offer) = &article.selling {
            return Err(Error::SaleNotOpen {
                product_id,
                opens_at: offer.opens_at,
                closes_at: offer.closes_at,
            });
        }
        let offer = self.offer(customer, product_id, article);
        Ok(offer.map_or(article.price, |offer| offer.price(article.price)))
    }

    /// The sale in which the customer buys the product, if it is not the list price that holds.
    fn offer<'a>(
        &self,
        customer: CustomerId,
        product: ProductId,
        article: &'a CatalogueItem,
    ) -> Option<&'a Offer> {
        article.selling.offer_for(|offer| {
            let bought = self.bought(customer, product);
            let bought = bought.map_or(0, |bought| bought.in_sale(offer.sale_id));
            bought + self.has_held(customer, product, offer.opens_at)
        })
    }

    fn bought(&self, customer: CustomerId, product: ProductId) -> Option<&Bought> {
        self.accounts.get(&customer)?.bought.get(&product)
    }

    /// How many of a product the customer holds by reservations made since then. A place in line uses nothing of a sale up:
    /// it is the customer's turn, and then what they buy comes out of it, or it is not, and they buy nothing.
    fn has_held(&self, customer: CustomerId, product: ProductId, since: DateTime<Utc>) -> i64 {
        let reservations = self.shelf.open_of(customer);
        reservations
            .filter(|one| one.created_at >= since)
            .flat_map(|one| &one.items)
            .filter(|item| item.held && item.product_id == product)
            .map(|item| item.quantity)
            .sum()
    }

    /// How many of a product the customer holds and waits for by reservations made since then, `used` not among them.
    fn has_open(
        &self,
        customer: CustomerId,
        product: ProductId,
        since: DateTime<Utc>,
        used: &[Part],
    ) -> i64 {
        let used_of = |reservation: &Reservation| -> i64 {
            let used = used
                .iter()
                .filter(|part| part.reservation_id == reservation.id && part.product_id == product);
            used.map(|part| part.quantity).sum()
        };
        self.shelf
            .open_of(customer)
            .filter(|one| one.created_at >= since)
            .map(|one| one.quantity_of(product) - used_of(one))
            .sum()
    }

    /// What the customer has bought, holds and waits for counts; `used` is what this very demand takes of that. Units that
    /// are held were counted when they came to be.
    fn check_limits(
        &self,
        customer: CustomerId,
        demands: &[Demand],
        used: &[Part],
    ) -> Result<(), Error> {
        for demand in demands.iter().filter(|demand| demand.is_new()) {
            let product = demand.product_id;
            let Some(article) = self.catalogue.get(&product).filter(|one| one.is_limited()) else {
                continue;
            };
            let bought = self.bought(customer, product);
            let check = |limit: Option<i64>, bought: i64, since: DateTime<Utc>| {
                let Some(limit) = limit else { return Ok(()) };
                let bought = bought + self.has_open(customer, product, since, used);
                if bought + demand.quantity > limit {
                    return Err(Error::PurchaseLimitReached {
                        product_id: product,
                        limit,
                        bought,
                        requested: demand.quantity,
                    });
                }
                Ok(())
            };
            let ever = bought.map_or(0, |bought| bought.ever);
            check(article.limit_per_customer, ever, DateTime::UNIX_EPOCH)?;
            if let Some(offer) = self.offer(customer, product, article) {
                let in_sale = bought.map_or(0, |bought| bought.in_sale(offer.sale_id));
                let limit = offer.limit_per_customer.map(i64::from);
                check(limit, in_sale, offer.opens_at)?;
            }
        }
        Ok(())
    }

    /// Whether the customer may hold these too, `used` of which it holds or waits for already. Places in line count as what
    /// they wait for, so that whoever is served holds no more than they may.
    fn check_holds(
        &self,
        customer: CustomerId,
        demands: &[Demand],
        used: &[Part],
    ) -> Result<(), Error> {
        let holds = self.account(customer)?.holds;
        let (mut units, mut value) = (holds.units, holds.value);
        for one in self.shelf.held_by(customer) {
            units += one.units();
            value = value + one.total();
        }
        let used_units: i64 = used.iter().map(|part| part.quantity).sum();
        let used_value: Money = used.iter().map(|part| self.shelf.worth(*part)).sum();
        let (held, requested) = (
            units - used_units,
            demands.iter().map(|one| one.quantity).sum(),
        );
        if let Some(limit) = holds.max_units
            && held + requested > limit
            && requested > used_units
        {
            return Err(Error::HoldLimitExceeded(HoldLimit::Units {
                limit,
                held,
                requested,
            }));
        }
        let (held, requested) = (value - used_value, total(demands));
        if let Some(limit) = holds.max_value
            && held + requested > limit
            && requested > used_value
        {
            return Err(Error::HoldLimitExceeded(HoldLimit::Value {
                limit,
                held,
                requested,
            }));
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

    /// Whether the account can bear it. One who has paid far ahead could pass what an order's total can be before it
    /// passes its limit.
    fn check_credit(account: &Buyer, total: Money) -> Result<(), Error> {
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
        let take = |shelf: &mut LockedStock, demand: &Demand| {
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
        leave: impl Fn(&mut LockedStock, &Demand) -> Option<i64>,
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
                for offer in article.selling.limited() {
                    *bought.in_sales.entry(offer.sale_id).or_default() += demand.quantity;
                }
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
    /// Whether any of it is not held yet.
    fn is_new(&self) -> bool {
        self.quantity > self.held
    }

    /// What a reservation is about, at its prices.
    fn of(reservation: &Reservation) -> Vec<Self> {
        let items = reservation.items.iter().map(|item| Self {
            product_id: item.product_id,
            quantity: item.quantity,
            unit_price: item.unit_price,
            held: item.quantity,
        });
        items.collect()
    }
}

impl CatalogueItem {
    /// Whether a customer may have so many of it and no more.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limit_per_customer.is_some() || self.selling.limited().next().is_some()
    }
}

fn total(demands: &[Demand]) -> Money {
    let worth = |demand: &Demand| demand.unit_price.times(demand.quantity);
    demands.iter().map(worth).sum()
}
