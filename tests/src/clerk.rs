//! Someone who stands at a desk of their own, without the service around it: what is asked of the desk goes to the desk and
//! nowhere else, and no provider hears of an order by card.

use std::sync::Arc;

use domain::card::checkout::Terms;
use domain::card::provider::{Limits, Offline};
use domain::desk::purchase::Purchase;
use domain::desk::{Command, Desk, Executed, Work};
use domain::stock::Line;
use domain::stock::reservations::{self, CurrentReservation, LockedIds, NewReservation};
use domain::{
    Authority, Caller, Error, IdempotencyKey, Outcome, StoredResponse, WriteRequest, demo,
};
use entity::{
    BusinessId, Currency, CustomerId, OrderId, ProductId, Quantity, ReservationId, UserId,
};

use crate::{Database, SERVICE};

/// How orders by card are placed here.
pub const TERMS: Terms = Terms {
    provider: Offline::NAME,
    seconds: 1800,
    limits: Some(Limits::NONE),
};

/// A member of a business's staff.
#[derive(Clone)]
pub struct Clerk {
    /// What the desk stands on.
    pub pool: domain::Database,
    desk: Arc<Desk>,
    caller: Caller,
}

impl Clerk {
    /// Of Acme.
    #[must_use]
    pub fn of_acme(database: &Database) -> Self {
        Self::at(&database.url(SERVICE), demo::ACME)
    }

    /// Of Acme, at a desk with so many lanes.
    #[must_use]
    pub fn with_lanes(database: &Database, lanes: usize) -> Self {
        Self::standing(&database.url(SERVICE), demo::ACME, lanes)
    }

    /// Of this business, with the database at this address: a proxy's, say.
    #[must_use]
    pub fn at(url: &str, business_id: BusinessId) -> Self {
        Self::standing(url, business_id, 2)
    }

    fn standing(url: &str, business_id: BusinessId, lanes: usize) -> Self {
        let pool = domain::Database::new(url, 4).unwrap();
        let desk = Desk::open(&pool, lanes);
        let caller = Caller {
            business_id,
            currency: Currency::USD,
            user_id: UserId::new(),
            authority: Authority::Staff,
            request_id: "clerk".to_owned(),
        };
        Self { pool, desk, caller }
    }

    /// In whose name it asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Asks for something; with a key, for the same as whoever has used it before.
    ///
    /// # Errors
    /// The desk's refusals.
    pub async fn ask(&self, work: Work, key: Option<&str>) -> Result<Outcome<Executed>, Error> {
        let key = key.map(|key| IdempotencyKey {
            key: key.to_owned(),
            request_hash: [7; 32],
            former_hash: None,
        });
        let command = Command {
            caller: self.caller.clone(),
            work,
            key,
        };
        self.desk.carry_out(command).await
    }

    /// Orders by card.
    ///
    /// # Errors
    /// The desk's refusals.
    pub async fn checkout(
        &self,
        customer: CustomerId,
        items: &[(ProductId, i64)],
    ) -> Result<Ordered, Error> {
        let outcome = self.ask(checkout(customer, items), None).await?;
        Ok(Ordered::of(outcome))
    }

    /// Has stock held for ten minutes, and waits for it where there is none.
    ///
    /// # Errors
    /// The desk's refusals.
    pub async fn reserve(
        &self,
        customer: CustomerId,
        items: &[(ProductId, i64)],
    ) -> Result<ReservationId, Error> {
        match self.ask(reserve(customer, items), None).await?.value() {
            Some(Executed::Reserved(found)) => Ok(found.reservation.id),
            other => panic!("nothing was reserved: {other:?}"),
        }
    }

    /// Orders by card what is held.
    ///
    /// # Errors
    /// The desk's refusals.
    pub async fn confirm_by_card(&self, id: ReservationId) -> Result<Ordered, Error> {
        let target = self.target(id).await;
        let work = Work::ConfirmByCard(target, TERMS);
        Ok(Ordered::of(self.ask(work, None).await?))
    }

    /// What of a reservation never changes.
    pub async fn target(&self, id: ReservationId) -> LockedIds {
        reservations::target(&self.pool, &self.caller, id)
            .await
            .unwrap()
    }
}

/// An order by card that was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordered {
    /// The order.
    pub order: OrderId,
    /// What holds its stock.
    pub reservation: ReservationId,
}

impl Ordered {
    /// What the desk has placed, now.
    #[must_use]
    pub fn of(outcome: Outcome<Executed>) -> Self {
        match outcome.value() {
            Some(Executed::PlacedOrder(placed)) => Self {
                order: placed.order_id,
                reservation: placed.reservation_id,
            },
            other => panic!("no order by card was placed: {other:?}"),
        }
    }
}

/// A write without a key, whose response nobody reads.
pub fn unkeyed<T>(caller: &Caller) -> WriteRequest<'_, T> {
    WriteRequest {
        caller,
        key: None,
        render: &unread,
    }
}

/// A response that nobody reads.
pub fn unread<T>(_: &T) -> StoredResponse {
    StoredResponse::new([])
}

/// A reservation's response that nobody reads.
#[must_use]
pub fn unread_reservation(_: &CurrentReservation, _: Currency) -> StoredResponse {
    StoredResponse::new([])
}

/// An order by card.
#[must_use]
pub fn checkout(customer: CustomerId, items: &[(ProductId, i64)]) -> Work {
    let purchase = Purchase {
        customer_id: customer,
        lines: lines(items),
    };
    Work::Checkout(purchase, TERMS)
}

/// A purchase on credit.
#[must_use]
pub fn buy(customer: CustomerId, items: &[(ProductId, i64)]) -> Work {
    let purchase = Purchase {
        customer_id: customer,
        lines: lines(items),
    };
    Work::Purchase(purchase, unread)
}

/// A reservation for ten minutes, or a place in line.
#[must_use]
pub fn reserve(customer: CustomerId, items: &[(ProductId, i64)]) -> Work {
    let wish = NewReservation {
        customer_id: customer,
        lines: lines(items),
        ttl_seconds: 600,
        wait: true,
    };
    Work::Reserve(wish, unread_reservation)
}

fn lines(items: &[(ProductId, i64)]) -> Vec<Line> {
    let lines = items.iter().map(|(product, quantity)| Line {
        product_id: *product,
        quantity: Quantity::new(*quantity).unwrap(),
        quoted: None,
    });
    lines.collect()
}
