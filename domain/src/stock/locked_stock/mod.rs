//! Locked stock: units on hand, their holds, and the waitlists for units that may be released.
//!
//! [`LockedStock`] holds locked inventory rows in memory, with the reservations that affect them. It keeps these
//! invariants:
//!
//! - on hand ≥ reserved ≥ 0, and reserved is the sum of the held items;
//! - a waitlist is allocated in order of arrival: while it is not empty, new buyers get none of the product;
//! - a reservation that waits for more than is on hand becomes `sold_out` at once, since no release could satisfy it;
//! - a product that is off sale has no waitlist.
//!
//! All changes of stock go through it: the desk, corrections, returns, the sweeper. Opening it on locked rows
//! (`read.rs`) releases expired holds. The functions here change it, without I/O or a clock. One statement writes it
//! (`write.rs`).
//!
//! An item belongs to its product's row: it is held, released and allocated under the lock of that row alone. The
//! items of a reservation may therefore be released one by one after its expiry. Whether a reservation has expired is
//! decided by `expires_at` alone.

mod own;
mod read;
mod waitlist;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use entity::reservations::{CancelReason, Status};
use entity::{CustomerId, Money, OrderId, ProductId, ReservationId, UserId};

pub use own::Part;
pub(crate) use read::{Range, Wanted, lock, lock_with, put, read};
pub(crate) use write::write;

/// The most reservations in the waitlist of one product.
pub const MAX_WAITING_PER_PRODUCT: i64 = 10_000;

/// The stock of one product, in units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockLevel {
    /// Units on hand, held ones included.
    pub on_hand: i64,
    /// Of those, the units held by reservations and unpaid card orders.
    pub reserved: i64,
    /// The number of reservations in the waitlist.
    pub waiting: i64,
    /// The highest position that was ever given in the waitlist. Positions are never reused.
    pub places_given: i64,
    /// Whether the product is off sale, so that its waitlist is cancelled.
    pub inactive: bool,
    /// The part of the waitlist that may be affected, by position, with the quantity waited for. It has as many from
    /// the head as could be allocated, and all that may want more than will be on hand.
    waitlist: BTreeMap<i64, (ReservationId, i64)>,
}

/// A reservation with all its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The id, a UUID of version 7.
    pub id: ReservationId,
    /// The customer for whom stock is held.
    pub customer_id: CustomerId,
    /// The status as it was last written: see [`Status::at`].
    pub status: Status,
    /// The duration of a hold in seconds, counted from its start.
    pub ttl_seconds: i32,
    /// The time at which it expires.
    pub expires_at: DateTime<Utc>,
    /// The order that it became, if it did.
    pub order_id: Option<OrderId>,
    /// The reason of a cancellation that no user requested; `None` otherwise.
    pub cancel_reason: Option<CancelReason>,
    /// The user who made it.
    pub created_by: UserId,
    /// The database's time of its creation.
    pub created_at: DateTime<Utc>,
    /// Its items in the customer's order, one per product.
    pub items: Vec<Item>,
    /// True until it is written to the database.
    pub is_new: bool,
}

/// One product of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The reserved product.
    pub product_id: ProductId,
    /// The units held or waited for.
    pub quantity: i64,
    /// The price at the time of the reservation.
    pub unit_price: Money,
    /// Whether these units are counted in the product's `reserved`.
    pub held: bool,
    /// The position in the product's waitlist while it waits; `None` otherwise.
    pub place: Option<i64>,
}

/// A change of the reserved units of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldChange {
    /// The product whose units are held or released.
    pub product_id: ProductId,
    /// The reservation that holds them.
    pub reservation_id: ReservationId,
    /// The order that the reservation became, or for which it holds; `None` if there is none.
    pub order_id: Option<OrderId>,
    /// Units held in addition; negative when released.
    pub reserved: i64,
    /// Units on hand at that time, which the change leaves as they are.
    pub on_hand_after: i64,
    /// The user who caused it; the system's id for an expiry or an allocation.
    pub actor: UserId,
}

/// Locked stock with its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedStock {
    /// The database's time after the locks were granted.
    pub now: DateTime<Utc>,
    /// The stock level of each locked product.
    pub counts: HashMap<ProductId, StockLevel>,
    /// The known reservations, some of them expired.
    pub reservations: HashMap<ReservationId, Reservation>,
    changes: Changes,
}

/// The changes to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Changes {
    products: BTreeSet<ProductId>,
    reservations: BTreeSet<ReservationId>,
    /// Expired items of reservations of which nothing else is known.
    expired: Vec<(ReservationId, ProductId, DateTime<Utc>)>,
    movements: Vec<HoldChange>,
    allocated: Vec<ReservationId>,
    sold_out: BTreeMap<ProductId, i64>,
    /// Positions that were cancelled because their product is off sale.
    off_sale: Vec<ReservationId>,
    reductions: Vec<own::Reduction>,
}

impl StockLevel {
    /// The counters of an inventory row.
    #[must_use]
    pub fn new(on_hand: i64, reserved: i64, waiting: i64, places_given: i64) -> Self {
        Self {
            on_hand,
            reserved,
            waiting,
            places_given,
            inactive: false,
            waitlist: BTreeMap::new(),
        }
    }

    /// Units on hand that no reservation holds.
    #[must_use]
    pub fn unreserved(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Whether no units are held and the waitlist is empty, by the counters.
    #[must_use]
    pub fn has_no_holds(&self) -> bool {
        self.reserved == 0 && self.waiting == 0
    }

    /// Units that a new buyer may have: none while the waitlist is not empty.
    #[must_use]
    pub fn available_to_new(&self) -> i64 {
        entity::inventory::available(self.on_hand, self.reserved, self.waiting)
    }
}

impl Reservation {
    /// The status at the time `now`.
    #[must_use]
    pub fn status_at(&self, now: DateTime<Utc>) -> Status {
        self.status.at(now, self.expires_at)
    }

    /// Units of a product, held or waited for.
    #[must_use]
    pub fn quantity_of(&self, product: ProductId) -> i64 {
        let items = self.items.iter();
        items
            .filter(|item| item.product_id == product)
            .map(|item| item.quantity)
            .sum()
    }

    /// Units of all items.
    #[must_use]
    pub fn units(&self) -> i64 {
        self.items.iter().map(|item| item.quantity).sum()
    }

    /// The value of all items, at their reserved prices.
    #[must_use]
    pub fn total(&self) -> Money {
        let items = self.items.iter();
        items.map(|item| item.unit_price.times(item.quantity)).sum()
    }

    /// The position in a waitlist; `None` unless it waits.
    #[must_use]
    pub fn place(&self) -> Option<i64> {
        self.items.iter().find_map(|item| item.place)
    }
}

impl LockedStock {
    /// Locked stock without reservations.
    #[must_use]
    pub fn new(now: DateTime<Utc>, counts: HashMap<ProductId, StockLevel>) -> Self {
        Self {
            now,
            counts,
            reservations: HashMap::new(),
            changes: Changes::default(),
        }
    }

    /// Whether `write.rs` would change reservations or counters.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !self.changes.products.is_empty() || !self.changes.reservations.is_empty()
    }

    /// The number of products whose counters have changed.
    pub(crate) fn changed_products(&self) -> usize {
        self.changes.products.len()
    }

    /// Units on hand that no reservation holds; 0 for an unknown product.
    #[must_use]
    pub fn unreserved(&self, product: ProductId) -> i64 {
        self.counts.get(&product).map_or(0, StockLevel::unreserved)
    }

    /// Units that a new buyer may have; 0 for an unknown product.
    #[must_use]
    pub fn available_to_new(&self, product: ProductId) -> i64 {
        self.counts
            .get(&product)
            .map_or(0, StockLevel::available_to_new)
    }

    /// The customer's reservations that are active at this moment.
    pub fn active_of(&self, customer: CustomerId) -> impl Iterator<Item = &Reservation> {
        self.reservations.values().filter(move |reservation| {
            reservation.customer_id == customer && reservation.status_at(self.now) == Status::Active
        })
    }

    /// The customer's reservations that are active or wait.
    pub fn open_of(&self, customer: CustomerId) -> impl Iterator<Item = &Reservation> {
        self.reservations.values().filter(move |reservation| {
            let status = reservation.status_at(self.now);
            reservation.customer_id == customer
                && matches!(status, Status::Active | Status::Waiting)
        })
    }

    /// Decrements the stock on hand; increments it when the quantity is negative. Then allocates the waitlist. The
    /// caller has checked that so many units are unreserved, and writes the movement.
    ///
    /// Returns the units on hand after it.
    pub fn take(&mut self, product: ProductId, quantity: i64) -> i64 {
        let Some(counts) = self.counts.get_mut(&product) else {
            return 0;
        };
        counts.on_hand -= quantity;
        let on_hand_after = counts.on_hand;
        self.allocate(product);
        on_hand_after
    }

    /// Holds the items of a new reservation, which may belong to an order already. The caller has checked the
    /// available stock.
    pub fn hold(&mut self, reservation: Reservation, actor: UserId) {
        for item in &reservation.items {
            if let Some(counts) = self.counts.get_mut(&item.product_id) {
                counts.reserved += item.quantity;
                self.changes.products.insert(item.product_id);
                self.changes.movements.push(HoldChange {
                    product_id: item.product_id,
                    reservation_id: reservation.id,
                    order_id: reservation.order_id,
                    reserved: item.quantity,
                    on_hand_after: counts.on_hand,
                    actor,
                });
            }
        }
        self.changes.reservations.insert(reservation.id);
        self.reservations.insert(reservation.id, reservation);
    }

    /// Turns an active reservation into an order. It keeps its holds until `expires_at`.
    pub fn keep(&mut self, id: ReservationId, order_id: OrderId, expires_at: DateTime<Utc>) {
        if let Some(reservation) = self.reservations.get_mut(&id) {
            reservation.status = Status::Confirmed;
            reservation.order_id = Some(order_id);
            reservation.expires_at = expires_at;
            self.changes.reservations.insert(id);
        }
    }

    /// Resolves a reservation: releases its holds and gives up its position. The order, if there is one, then takes
    /// the units that were held. The caller must call [`LockedStock::take`] or [`LockedStock::allocate`] afterwards,
    /// which allocates the rest to the waitlist.
    pub fn resolve(
        &mut self,
        id: ReservationId,
        status: Status,
        order_id: Option<OrderId>,
        actor: UserId,
    ) {
        let Some(reservation) = self.reservations.get_mut(&id) else {
            return;
        };
        reservation.status = status;
        reservation.order_id = order_id;
        self.changes.reservations.insert(id);
        for item in &mut reservation.items {
            let Some(counts) = self.counts.get_mut(&item.product_id) else {
                continue;
            };
            if let Some(place) = item.place.take() {
                counts.waitlist.remove(&place);
                counts.waiting -= 1;
                self.changes.products.insert(item.product_id);
            }
            if item.held {
                item.held = false;
                counts.reserved -= item.quantity;
                self.changes.products.insert(item.product_id);
                self.changes.movements.push(HoldChange {
                    product_id: item.product_id,
                    reservation_id: id,
                    order_id,
                    reserved: -item.quantity,
                    on_hand_after: counts.on_hand,
                    actor,
                });
            }
        }
    }
}
