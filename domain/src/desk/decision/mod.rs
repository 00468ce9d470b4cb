//! Decides the commands of the desk: plain values in; a sale, a reservation or a refusal out. No database, no clock,
//! no I/O.
//!
//! [`BatchState`] holds the locked rows of a batch. Commands are decided one after another, each against the state
//! that the previous one left. The result therefore does not depend on where one batch ends and the next begins. A
//! refusal changes nothing.
//!
//! Refusals are checked in this order:
//!
//! 1. the customer does not exist, is on hold or, on credit, is overdue for too long;
//! 2. for a reservation: the customer has too many open ones;
//! 3. a product does not exist, is not on sale, or is in a sale that is not open; it has two prices in one order, or
//!    another price than the buyer saw;
//! 4. for a reservation or by card: the total is too large, or no card can be charged with it;
//! 5. a limit per customer is exceeded;
//! 6. stock is insufficient (every short product is reported at once); for a waitlist: the stock on hand never
//!    suffices, or the waitlist is full;
//! 7. for a reservation or by card: a hold limit is exceeded;
//! 8. on credit: the credit limit is exceeded.
//!
//! A reservation that is confirmed is first checked for its status, then as above for 1, 4 (by card) and 8.

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

/// A customer's row, with what decisions need beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buyer {
    /// The most that they may owe.
    pub credit_limit: Money,
    /// Their balance and their credit on account.
    pub ledger: ledger::Account,
    /// Whether sales to them are stopped.
    pub on_hold: bool,
    /// The order that blocks their purchases on credit until it is paid; `None` if nothing does.
    pub overdue: Option<OverdueOrder>,
    /// Their purchase history of limited products.
    pub bought: HashMap<ProductId, Bought>,
    /// Their hold limits, and their holds outside the locked stock.
    pub holds: Holds,
}

/// An order that is past due by more days than the business allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverdueOrder {
    /// The unpaid order.
    pub id: OrderId,
    /// The end of its payment terms.
    pub due_at: DateTime<Utc>,
}

/// A customer's purchase history of one product, in units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bought {
    /// Units bought at any time.
    pub ever: i64,
    /// Of those, the units bought since the opening of each open sale that has a limit.
    pub in_sales: BTreeMap<SaleId, i64>,
}

impl Bought {
    fn in_sale(&self, sale: SaleId) -> i64 {
        self.in_sales.get(&sale).copied().unwrap_or(0)
    }
}

/// A customer's hold limits, and what they hold or wait for outside the locked stock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// The most units they may hold; `None` means no limit.
    pub max_units: Option<i64>,
    /// The highest total value of these units; `None` means no limit.
    pub max_value: Option<Money>,
    /// Units held or waited for outside the locked stock.
    pub units: i64,
    /// The value of those units, at their reserved prices.
    pub value: Money,
}

/// A product's catalogue data, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueItem {
    /// The stock-keeping unit, as the business numbers its products.
    pub sku: Arc<str>,
    /// The name that is copied to order lines.
    pub name: Arc<str>,
    /// The list price, which applies outside timed sales.
    pub price: Money,
    /// Whether it is on sale at all.
    pub active: bool,
    /// The most units that one customer may ever buy; `None` means no limit.
    pub limit_per_customer: Option<i64>,
    /// The effect of its timed sales at this moment.
    pub selling: Selling,
}

/// The locked rows by which a batch is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchState {
    /// The customers, as far as they exist.
    pub buyers: HashMap<CustomerId, Buyer>,
    /// The products, as far as they exist.
    pub catalogue: HashMap<ProductId, CatalogueItem>,
    /// Their stock, and the reservations that the decisions depend on.
    pub locked_stock: LockedStock,
}

/// An accepted purchase on credit, or a confirmed reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// The lines in the buyer's order, one per product.
    pub lines: Vec<SoldLine>,
    /// The sum of the lines; may be zero.
    pub total: Money,
    /// The charge. Its `balance_after` is what the customer now owes.
    pub charge: Posting,
    /// The credit on account that settles the order at once.
    pub credit_used: Vec<Used>,
    /// The credit limit minus the balance after the charge.
    pub available_credit: Money,
}

/// The demand for one product, all its lines together.
#[derive(Debug, Clone, Copy)]
struct Demand {
    product_id: ProductId,
    quantity: i64,
    unit_price: Money,
    /// Of the quantity, the units that the customer's own reservations supply.
    held: i64,
}

impl BatchState {
    fn buyer(&self, customer: CustomerId) -> Result<&Buyer, Error> {
        let buyer = self.buyers.get(&customer);
        let buyer = buyer.ok_or(Error::CustomerNotFound(customer))?;
        if buyer.on_hold {
            return Err(Error::CustomerOnHold(customer));
        }
        Ok(buyer)
    }

    /// As [`BatchState::buyer`], for purchases on credit.
    fn debtor(&self, customer: CustomerId) -> Result<&Buyer, Error> {
        let buyer = self.buyer(customer)?;
        match buyer.overdue {
            Some(OverdueOrder { id, due_at }) => Err(Error::CustomerOverdue {
                customer,
                order_id: id,
                due_at,
            }),
            None => Ok(buyer),
        }
    }

    /// The demand of the lines for each product, at the prices of new units: two lines of six are a demand for
    /// twelve. Every product must exist, be on sale and cost what the buyer saw.
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

    /// The price at which the customer would buy one more unit, if the product is on sale.
    fn price(&self, customer: CustomerId, product_id: ProductId) -> Result<Money, Error> {
        let catalogue_item = self
            .catalogue
            .get(&product_id)
            .filter(|catalogue_item| catalogue_item.active)
            .ok_or(Error::ProductNotFound(product_id))?;
        if let Selling::Closed(offer) = &catalogue_item.selling {
            return Err(Error::SaleNotOpen {
                product_id,
                opens_at: offer.opens_at,
                closes_at: offer.closes_at,
            });
        }
        let offer = self.offer(customer, product_id, catalogue_item);
        Ok(offer.map_or(catalogue_item.price, |offer| {
            offer.price(catalogue_item.price)
        }))
    }

    /// The sale in which the customer buys the product; `None` when the list price applies.
    fn offer<'a>(
        &self,
        customer: CustomerId,
        product: ProductId,
        catalogue_item: &'a CatalogueItem,
    ) -> Option<&'a Offer> {
        catalogue_item.selling.offer_for(|offer| {
            let bought = self.bought(customer, product);
            let bought = bought.map_or(0, |bought| bought.in_sale(offer.sale_id));
            bought + self.has_held(customer, product, offer.opens_at)
        })
    }

    fn bought(&self, customer: CustomerId, product: ProductId) -> Option<&Bought> {
        self.buyers.get(&customer)?.bought.get(&product)
    }

    /// Units of a product that the customer holds by reservations made since `since`. Positions in waitlists do not
    /// count towards a sale. When it is the customer's turn, the units they buy come out of the position; before that
    /// they can buy none.
    fn has_held(&self, customer: CustomerId, product: ProductId, since: DateTime<Utc>) -> i64 {
        let reservations = self.locked_stock.open_of(customer);
        reservations
            .filter(|one| one.created_at >= since)
            .flat_map(|one| &one.items)
            .filter(|item| item.held && item.product_id == product)
            .map(|item| item.quantity)
            .sum()
    }

    /// Units of a product that the customer holds or waits for by reservations made since `since`, except those in
    /// `used`.
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
        self.locked_stock
            .open_of(customer)
            .filter(|one| one.created_at >= since)
            .map(|one| one.quantity_of(product) - used_of(one))
            .sum()
    }

    /// Checks the limits per customer. Units bought, held and waited for count; `used` are those that this demand
    /// takes from the latter two. Demands that are held completely are skipped: they were counted when they were
    /// held.
    fn check_limits(
        &self,
        customer: CustomerId,
        demands: &[Demand],
        used: &[Part],
    ) -> Result<(), Error> {
        for demand in demands.iter().filter(|demand| demand.is_new()) {
            let product = demand.product_id;
            let Some(catalogue_item) = self.catalogue.get(&product).filter(|one| one.is_limited())
            else {
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
            check(
                catalogue_item.limit_per_customer,
                ever,
                DateTime::UNIX_EPOCH,
            )?;
            if let Some(offer) = self.offer(customer, product, catalogue_item) {
                let in_sale = bought.map_or(0, |bought| bought.in_sale(offer.sale_id));
                let limit = offer.limit_per_customer.map(i64::from);
                check(limit, in_sale, offer.opens_at)?;
            }
        }
        Ok(())
    }

    /// Checks the hold limits. `used` are the demanded units that the customer already holds or waits for. Units
    /// waited for count as held, so that an allocation never exceeds the limits.
    fn check_holds(
        &self,
        customer: CustomerId,
        demands: &[Demand],
        used: &[Part],
    ) -> Result<(), Error> {
        let holds = self.buyer(customer)?.holds;
        let (mut units, mut value) = (holds.units, holds.value);
        for one in self.locked_stock.held_by(customer) {
            units += one.units();
            value = value + one.total();
        }
        let used_units: i64 = used.iter().map(|part| part.quantity).sum();
        let used_value: Money = used.iter().map(|part| self.locked_stock.worth(*part)).sum();
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

    /// Checks the demands against the available stock, and reports every short product at once.
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

    /// Checks the credit limit. With a large credit on account, a total could exceed the storable range before it
    /// exceeds the limit.
    fn check_credit(buyer: &Buyer, total: Money) -> Result<(), Error> {
        if buyer.ledger.balance + total > buyer.credit_limit || !total.is_storable() {
            return Err(Error::CreditLimitExceeded {
                credit_limit: buyer.credit_limit,
                balance: buyer.ledger.balance,
                amount: total,
            });
        }
        Ok(())
    }

    /// Takes stock and credit that were checked before.
    fn sell(&mut self, customer: CustomerId, demands: &[Demand]) -> Result<Sale, Error> {
        let total = total(demands);
        let buyer = self
            .buyers
            .get_mut(&customer)
            .ok_or(Error::CustomerNotFound(customer))?;
        let charge = buyer.ledger.post(total);
        let credit_used = buyer.ledger.use_credit(total);
        let available_credit = buyer.credit_limit - charge.balance_after;
        let take = |locked_stock: &mut LockedStock, demand: &Demand| {
            Some(locked_stock.take(demand.product_id, demand.quantity))
        };
        Ok(Sale {
            lines: self.lines(customer, demands, take),
            total,
            charge,
            credit_used,
            available_credit,
        })
    }

    /// Makes the lines of an order, which count as bought. `leave` decrements the stock on hand, if the order does
    /// that now, and returns what is left.
    fn lines(
        &mut self,
        customer: CustomerId,
        demands: &[Demand],
        leave: impl Fn(&mut LockedStock, &Demand) -> Option<i64>,
    ) -> Vec<SoldLine> {
        let mut lines = Vec::with_capacity(demands.len());
        let mut buyer = self.buyers.get_mut(&customer);
        for demand in demands {
            let product = demand.product_id;
            let Some(catalogue_item) = self.catalogue.get(&product) else {
                continue;
            };
            if catalogue_item.is_limited()
                && let Some(buyer) = &mut buyer
            {
                let bought = buyer.bought.entry(product).or_default();
                bought.ever += demand.quantity;
                for offer in catalogue_item.selling.limited() {
                    *bought.in_sales.entry(offer.sale_id).or_default() += demand.quantity;
                }
            }
            lines.push(SoldLine {
                product_id: product,
                sku: Arc::clone(&catalogue_item.sku),
                name: Arc::clone(&catalogue_item.name),
                quantity: demand.quantity,
                unit_price: demand.unit_price,
                line_total: demand.unit_price.times(demand.quantity),
                on_hand_after: leave(&mut self.locked_stock, demand),
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

    /// The demands of a reservation, at its reserved prices.
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
    /// Whether a limit per customer applies, its own or that of a sale.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limit_per_customer.is_some() || self.selling.limited().next().is_some()
    }
}

fn total(demands: &[Demand]) -> Money {
    let worth = |demand: &Demand| demand.unit_price.times(demand.quantity);
    demands.iter().map(worth).sum()
}
