//! The demands of an order, and the units of it that its customer's own reservations supply.
//!
//! An order uses its customer's holds of its products first, from the oldest reservation on, at the prices that were
//! reserved. Only the remaining units must be on sale, within the limits and in stock. When the customer's own
//! position is the first of a product's waitlist, the order uses unreserved stock in that position's stead.
//!
//! An order has one price per product. It is refused where held units and other units differ in price.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use entity::{CustomerId, Money, OrderId, ProductId, UserId};

use super::{BatchState, Demand};
use crate::Error;
use crate::stock::Line;
use crate::stock::locked_stock::{Part, Reservation};

/// The demand for one product, all its lines together.
pub(super) struct Asked {
    pub(super) product_id: ProductId,
    pub(super) quantity: i64,
    quoted: Vec<Money>,
}

/// The demands of an order; see [the module](self).
pub(super) struct Basket {
    /// One per product, in the buyer's order.
    pub(super) demands: Vec<Demand>,
    /// The parts that the customer's reservations supply: first those held, then, from index `held_count` on, those
    /// waited for.
    pub(super) own: Vec<Part>,
    held_count: usize,
}

/// Adds up the lines of each product, in the order in which the products are first named.
pub(super) fn add_up(lines: &[Line]) -> Vec<Asked> {
    let mut indexes = HashMap::with_capacity(lines.len());
    let mut all: Vec<Asked> = Vec::with_capacity(lines.len());
    for line in lines {
        let quantity = line.quantity.get();
        match indexes.entry(line.product_id) {
            Entry::Occupied(index) => {
                let asked: &mut Asked = &mut all[*index.get()];
                asked.quantity += quantity;
                asked.quoted.extend(line.quoted);
            }
            Entry::Vacant(new) => {
                new.insert(all.len());
                all.push(Asked {
                    product_id: line.product_id,
                    quantity,
                    quoted: line.quoted.into_iter().collect(),
                });
            }
        }
    }
    all
}

impl Asked {
    /// Compares every quoted price with the current one. Lines without a quoted price pass.
    ///
    /// # Errors
    /// [`Error::PriceChanged`] with the first quoted price that differs.
    pub(super) fn check_quotes(&self, current: Money) -> Result<(), Error> {
        match self.quoted.iter().find(|quoted| **quoted != current) {
            Some(quoted) => Err(Error::PriceChanged {
                product_id: self.product_id,
                quoted: *quoted,
                current,
            }),
            None => Ok(()),
        }
    }
}

impl Basket {
    /// The parts taken from reservations that hold them.
    pub(super) fn held(&self) -> &[Part] {
        &self.own[..self.held_count]
    }

    /// The parts taken from positions in waitlists.
    pub(super) fn places(&self) -> &[Part] {
        &self.own[self.held_count..]
    }
}

impl BatchState {
    /// The demand of the lines for each product. Every product must exist and have one price, which equals the quoted
    /// one. Units that are not held must be on sale.
    pub(super) fn basket(&self, customer: CustomerId, lines: &[Line]) -> Result<Basket, Error> {
        let mut reservations: Vec<&Reservation> = self.locked_stock.active_of(customer).collect();
        reservations.sort_unstable_by_key(|one| (one.created_at, one.id));
        let (mut held, mut places) = (Vec::new(), Vec::new());
        let mut demands = Vec::with_capacity(lines.len());
        for asked in add_up(lines) {
            let product_id = asked.product_id;
            let mut left = asked.quantity;
            let mut prices: Vec<(i64, Money)> = Vec::new();
            for (reservation, item) in items_of(&reservations, product_id) {
                let quantity = item.quantity.min(left);
                if quantity > 0 {
                    left -= quantity;
                    add_price(&mut prices, quantity, item.unit_price);
                    held.push(Part {
                        reservation_id: reservation.id,
                        product_id,
                        quantity,
                    });
                }
            }
            if left > 0 {
                add_price(&mut prices, left, self.price(customer, product_id)?);
                if let Some(reservation_id) = self.locked_stock.own_place(customer, product_id) {
                    places.push(Part {
                        reservation_id,
                        product_id,
                        quantity: left,
                    });
                }
            }
            let unit_price = match prices.as_slice() {
                [(_, price)] => *price,
                _ => return Err(Error::PricesDiffer { product_id, prices }),
            };
            asked.check_quotes(unit_price)?;
            demands.push(Demand {
                product_id,
                quantity: asked.quantity,
                unit_price,
                held: asked.quantity - left,
            });
        }
        let held_count = held.len();
        held.extend(places);
        Ok(Basket {
            demands,
            own: held,
            held_count,
        })
    }

    /// Checks that the available stock and the customer's own holds cover the order.
    pub(super) fn check_basket(&self, customer: CustomerId, basket: &Basket) -> Result<(), Error> {
        let held: HashMap<ProductId, i64> = basket
            .demands
            .iter()
            .map(|demand| (demand.product_id, demand.held))
            .collect();
        Self::check_stock(&basket.demands, |product| {
            let held = held.get(&product).copied().unwrap_or(0);
            self.locked_stock.available_to(customer, product) + held
        })
    }

    /// Transfers the parts that the customer's reservations supply to the order.
    pub(super) fn use_own(&mut self, basket: &Basket, order_id: OrderId, actor: UserId) {
        self.locked_stock.use_held(basket.held(), order_id, actor);
        for part in basket.places() {
            self.locked_stock.use_place(*part, order_id, actor);
        }
    }
}

fn items_of<'a>(
    reservations: &'a [&'a Reservation],
    product: ProductId,
) -> impl Iterator<Item = (&'a Reservation, &'a crate::stock::locked_stock::Item)> {
    reservations.iter().flat_map(move |reservation| {
        let items = reservation.items.iter();
        let items = items.filter(move |item| item.held && item.product_id == product);
        items.map(move |item| (*reservation, item))
    })
}

/// Adds units to those already listed at the same price.
fn add_price(prices: &mut Vec<(i64, Money)>, quantity: i64, price: Money) {
    match prices.iter_mut().find(|(_, other)| *other == price) {
        Some((units, _)) => *units += quantity,
        None => prices.push((quantity, price)),
    }
}
