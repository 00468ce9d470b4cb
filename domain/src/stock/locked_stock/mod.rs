//! Stock under its locks: what is on hand, what of it is held, and who stands in line for what may come free.
//!
//! [`LockedStock`] is what the locked inventory rows say, in memory, with the reservations that matter to them. Whatever
//! happens to it,
//!
//! - on hand ≥ reserved ≥ 0, and reserved is what the held items come to;
//! - a line is served in the order in which its people came, whoever else comes meanwhile: as long as someone waits for a
//!   product, newcomers get none of it;
//! - who waits for more than is on hand is told so at once: nothing can come free that would do;
//! - nobody waits for a product that is off sale.
//!
//! Everyone who changes stock does it on a shelf: the desk, corrections, returns, the sweeper. It is opened on locked rows
//! (`read.rs`), which frees what has expired; it is changed by the functions here, which do no I/O and know no clock; and
//! it is written in one statement (`write.rs`).
//!
//! An item belongs to its product's row: it is held, freed and served under the lock of that row alone. A reservation of
//! several products may therefore expire product by product; that it has expired is decided by its time and nothing else.

mod own;
mod read;
mod waitlist;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use entity::reservations::{CancelReason, Status};
use entity::{CustomerId, Money, OrderId, ProductId, ReservationId, UserId};

pub use own::Part;
pub(crate) use read::{Range, Wanted, open, open_with, put, read};
pub(crate) use write::write;

/// The most that may stand in line for one product.
pub const LINE: i64 = 10_000;

/// The stock of one product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockLevel {
    /// On the shelf.
    pub on_hand: i64,
    /// Of those, held.
    pub reserved: i64,
    /// How many stand in line.
    pub waiting: i64,
    /// The newest place in the line.
    pub places_given: i64,
    /// The product is off sale: its line ends.
    pub inactive: bool,
    /// Those of the line whom this may concern, by place: from the head on as many as could be served, and everyone who
    /// may turn out to want too much.
    line: BTreeMap<i64, (ReservationId, i64)>,
}

/// A reservation of which the shelf knows all items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// As it was last written: see [`Status::at`].
    pub status: Status,
    /// For how long stock is held, from the moment that it is.
    pub ttl_seconds: i32,
    /// From then on it is expired.
    pub expires_at: DateTime<Utc>,
    /// What it became.
    pub order_id: Option<OrderId>,
    /// Why it is cancelled, when nobody asked for that.
    pub cancel_reason: Option<CancelReason>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: DateTime<Utc>,
    /// What it is about, in the customer's order.
    pub items: Vec<Item>,
    /// Whether it is in the database.
    pub is_new: bool,
}

/// One product of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What.
    pub product_id: ProductId,
    /// How many.
    pub quantity: i64,
    /// At which price.
    pub unit_price: Money,
    /// StockLevel in the product's `reserved`.
    pub held: bool,
    /// In the product's line, while it waits.
    pub place: Option<i64>,
}

/// A change of what is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldChange {
    /// Of what.
    pub product_id: ProductId,
    /// For whom.
    pub reservation_id: ReservationId,
    /// What the reservation became, when that is why; the order for which it holds.
    pub order_id: Option<OrderId>,
    /// How many are held more; negative when fewer.
    pub reserved: i64,
    /// What was on the shelf then.
    pub on_hand_after: i64,
    /// Who did it.
    pub actor: UserId,
}

/// Locked stock, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedStock {
    /// The database's time after the locks were had.
    pub now: DateTime<Utc>,
    /// The stock.
    pub counts: HashMap<ProductId, StockLevel>,
    /// The reservations that are known, some of them expired.
    pub reservations: HashMap<ReservationId, Reservation>,
    changes: Changes,
}

/// What is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Changes {
    products: BTreeSet<ProductId>,
    reservations: BTreeSet<ReservationId>,
    /// Items of reservations that had expired, of which nothing else is known.
    expired: Vec<(ReservationId, ProductId, DateTime<Utc>)>,
    movements: Vec<HoldChange>,
    served: Vec<ReservationId>,
    sold_out: BTreeMap<ProductId, i64>,
    /// Places that ended because their product is off sale.
    off_sale: Vec<ReservationId>,
    reductions: Vec<own::Reduction>,
}

impl StockLevel {
    /// What an inventory row says.
    #[must_use]
    pub fn new(on_hand: i64, reserved: i64, waiting: i64, places_given: i64) -> Self {
        Self {
            on_hand,
            reserved,
            waiting,
            places_given,
            inactive: false,
            line: BTreeMap::new(),
        }
    }

    /// What nobody holds.
    #[must_use]
    pub fn free(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Whether nobody holds any, nor waits for any.
    #[must_use]
    pub fn has_no_holds(&self) -> bool {
        self.reserved == 0 && self.waiting == 0
    }

    /// What someone who comes now may have: nothing that others wait for.
    #[must_use]
    pub fn open(&self) -> i64 {
        entity::inventory::available(self.on_hand, self.reserved, self.waiting)
    }
}

impl Reservation {
    /// What it is at that time.
    #[must_use]
    pub fn status_at(&self, now: DateTime<Utc>) -> Status {
        self.status.at(now, self.expires_at)
    }

    /// How many of a product it has, held or waited for.
    #[must_use]
    pub fn quantity_of(&self, product: ProductId) -> i64 {
        let items = self.items.iter();
        items
            .filter(|item| item.product_id == product)
            .map(|item| item.quantity)
            .sum()
    }

    /// How many units it has of everything.
    #[must_use]
    pub fn units(&self) -> i64 {
        self.items.iter().map(|item| item.quantity).sum()
    }

    /// What it is worth.
    #[must_use]
    pub fn total(&self) -> Money {
        let items = self.items.iter();
        items.map(|item| item.unit_price.times(item.quantity)).sum()
    }

    /// Its place in line, when it waits.
    #[must_use]
    pub fn place(&self) -> Option<i64> {
        self.items.iter().find_map(|item| item.place)
    }
}

impl LockedStock {
    /// A shelf with this stock, and no reservations.
    #[must_use]
    pub fn new(now: DateTime<Utc>, counts: HashMap<ProductId, StockLevel>) -> Self {
        Self {
            now,
            counts,
            reservations: HashMap::new(),
            changes: Changes::default(),
        }
    }

    /// Whether there is anything to write.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !self.changes.products.is_empty() || !self.changes.reservations.is_empty()
    }

    /// How many products have changed.
    pub(crate) fn changed_products(&self) -> usize {
        self.changes.products.len()
    }

    /// What is on hand of a product, less what is held.
    #[must_use]
    pub fn free(&self, product: ProductId) -> i64 {
        self.counts.get(&product).map_or(0, StockLevel::free)
    }

    /// What a newcomer may have of a product.
    #[must_use]
    pub fn open(&self, product: ProductId) -> i64 {
        self.counts.get(&product).map_or(0, StockLevel::open)
    }

    /// A reservation of the customer that is active at this moment.
    pub fn active_of(&self, customer: CustomerId) -> impl Iterator<Item = &Reservation> {
        self.reservations.values().filter(move |reservation| {
            reservation.customer_id == customer && reservation.status_at(self.now) == Status::Active
        })
    }

    /// Those of the customer that are active or wait.
    pub fn open_of(&self, customer: CustomerId) -> impl Iterator<Item = &Reservation> {
        self.reservations.values().filter(move |reservation| {
            let status = reservation.status_at(self.now);
            reservation.customer_id == customer
                && matches!(status, Status::Active | Status::Waiting)
        })
    }

    /// Takes from the shelf; puts on it when the quantity is negative. Whoever calls has looked whether there is so much
    /// that is free, and writes the movement.
    ///
    /// Returns what is on hand then.
    pub fn take(&mut self, product: ProductId, quantity: i64) -> i64 {
        let Some(counts) = self.counts.get_mut(&product) else {
            return 0;
        };
        counts.on_hand -= quantity;
        let on_hand_after = counts.on_hand;
        self.serve(product);
        on_hand_after
    }

    /// Holds the items of a new reservation, which may be an order already. Whoever calls has looked whether so much is open.
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

    /// Makes an order of an active reservation that goes on holding what it holds, until that time.
    pub fn keep(&mut self, id: ReservationId, order_id: OrderId, expires_at: DateTime<Utc>) {
        if let Some(reservation) = self.reservations.get_mut(&id) {
            reservation.status = Status::Confirmed;
            reservation.order_id = Some(order_id);
            reservation.expires_at = expires_at;
            self.changes.reservations.insert(id);
        }
    }

    /// Resolves a reservation: what it holds is held no more, and its place in line is free. What it held is bought by
    /// the order, if there is one; what is left goes to those who wait.
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
                counts.line.remove(&place);
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
