//! What an order asks for, and what of it comes out of its customer's own reservations.
//!
//! An order takes as much of what its customer holds as it buys: of the oldest reservation first, and at the price that was
//! reserved. Only what is not held must be on sale, within the limits and in stock. When the customer's own place is the
//! first in a product's line, the order takes from that place what is unreserved.
//!
//! An order has one price a product: where held units and others have different prices, it is refused.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use entity::{CustomerId, Money, OrderId, ProductId, UserId};

use super::{BatchState, Demand};
use crate::Error;
use crate::stock::Line;
use crate::stock::locked_stock::{Part, Reservation};

/// What is asked of one product, all its lines together.
pub(super) struct Asked {
    pub(super) product_id: ProductId,
    pub(super) quantity: i64,
    quoted: Vec<Money>,
}

/// See [the module](self).
pub(super) struct Basket {
    /// By product, in the buyer's order.
    pub(super) demands: Vec<Demand>,
    /// What comes out of the customer's reservations: first what is held, from `places` on what is waited for.
    pub(super) own: Vec<Part>,
    places: usize,
}

/// Adds lines of one product up, in the order in which products are first named.
pub(super) fn add_up(lines: &[Line]) -> Vec<Asked> {
    let mut places = HashMap::with_capacity(lines.len());
    let mut all: Vec<Asked> = Vec::with_capacity(lines.len());
    for line in lines {
        let quantity = line.quantity.get();
        match places.entry(line.product_id) {
            Entry::Occupied(place) => {
                let asked: &mut Asked = &mut all[*place.get()];
                asked.quantity += quantity;
                asked.quoted.extend(line.quoted);
            }
            Entry::Vacant(free) => {
                free.insert(all.len());
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
    /// Whether the buyer saw this price, wherever they said what they saw.
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
    /// What is taken from reservations that hold it.
    pub(super) fn held(&self) -> &[Part] {
        &self.own[..self.places]
    }

    /// What is taken from places in line.
    pub(super) fn places(&self) -> &[Part] {
        &self.own[self.places..]
    }
}

impl BatchState {
    /// What the lines ask for by product. Every product must be there, and have one price, which is what the buyer saw; what
    /// is not held must be on sale.
    pub(super) fn basket(&self, customer: CustomerId, lines: &[Line]) -> Result<Basket, Error> {
        let mut reservations: Vec<&Reservation> = self.shelf.active_of(customer).collect();
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
                if let Some(reservation_id) = self.shelf.own_place(customer, product_id) {
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
        let count = held.len();
        held.extend(places);
        Ok(Basket {
            demands,
            own: held,
            places: count,
        })
    }

    /// Whether there is as much as the order asks for, with what its customer holds.
    pub(super) fn check_basket(&self, customer: CustomerId, basket: &Basket) -> Result<(), Error> {
        let held: HashMap<ProductId, i64> = basket
            .demands
            .iter()
            .map(|demand| (demand.product_id, demand.held))
            .collect();
        Self::check_stock(&basket.demands, |product| {
            let held = held.get(&product).copied().unwrap_or(0);
            self.shelf.open_to(customer, product) + held
        })
    }

    /// Hands what comes out of the customer's reservations over to the order.
    pub(super) fn use_own(&mut self, basket: &Basket, order_id: OrderId, actor: UserId) {
        self.shelf.use_held(basket.held(), order_id, actor);
        for part in basket.places() {
            self.shelf.use_place(*part, order_id, actor);
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

/// Adds so many units at a price to those of the same price before them.
fn add_price(prices: &mut Vec<(i64, Money)>, quantity: i64, price: Money) {
    match prices.iter_mut().find(|(_, other)| *other == price) {
        Some((units, _)) => *units += quantity,
        None => prices.push((quantity, price)),
    }
}
