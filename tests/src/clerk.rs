//! This module sends commands to a desk without the HTTP service around it. No payment provider is informed of an order
//! by card.

use std::sync::Arc;

use domain::card::checkout::Terms;
use domain::card::provider::{Limits, Offline};
use domain::desk::purchase::Purchase;
use domain::desk::{Command, Desk, Executed, Work};
use domain::stock::Line;
use domain::stock::reservations::{self, CurrentReservation, NewReservation, ReservationRows};
use domain::{
    Authority, Caller, Error, IdempotencyKey, Outcome, StoredResponse, WriteRequest, demo,
};
use entity::{
    BusinessId, Currency, CustomerId, OrderId, ProductId, Quantity, ReservationId, UserId,
};

use crate::{Database, SERVICE};

/// Terms of every order by card in these tests: the offline provider, 1,800 seconds to pay, no limits on the amount.
pub const TERMS: Terms = Terms {
    provider: Offline::NAME,
    seconds: 1800,
    limits: Some(Limits::NONE),
};

/// A caller with staff rights, together with a desk of their own.
#[derive(Clone)]
pub struct Clerk {
    /// The connection pool that the desk uses, of at most 4 connections.
    pub pool: domain::Database,
    desk: Arc<Desk>,
    caller: Caller,
}

impl Clerk {
    /// Opens a desk with two lanes for a caller of Acme.
    #[must_use]
    pub fn of_acme(database: &Database) -> Self {
        Self::at(&database.url(SERVICE), demo::ACME)
    }

    /// Opens a desk with this number of lanes for a caller of Acme.
    #[must_use]
    pub fn with_lanes(database: &Database, lanes: usize) -> Self {
        Self::open(&database.url(SERVICE), demo::ACME, lanes)
    }

    /// Opens a desk with two lanes for this business. `url` may lead to a proxy instead of the server.
    #[must_use]
    pub fn at(url: &str, business_id: BusinessId) -> Self {
        Self::open(url, business_id, 2)
    }

    fn open(url: &str, business_id: BusinessId, lanes: usize) -> Self {
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

    /// The caller in whose name commands are executed.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Sends a command to the desk. All commands with the same key have the same request hash, so the second is a
    /// replay.
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
        self.desk.execute(command).await
    }

    /// Places an order by card.
    ///
    /// # Errors
    /// The desk rejects the command.
    pub async fn checkout(
        &self,
        customer: CustomerId,
        items: &[(ProductId, i64)],
    ) -> Result<Ordered, Error> {
        let outcome = self.ask(checkout(customer, items), None).await?;
        Ok(Ordered::of(outcome))
    }

    /// Holds stock for ten minutes, or takes a position on the waitlist when too little is available.
    ///
    /// # Errors
    /// The desk rejects the command.
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

    /// Confirms a reservation as an order by card.
    ///
    /// # Errors
    /// The desk rejects the command.
    pub async fn confirm_by_card(&self, id: ReservationId) -> Result<Ordered, Error> {
        let target = self.target(id).await;
        let work = Work::ConfirmByCard(target.into(), TERMS);
        Ok(Ordered::of(self.ask(work, None).await?))
    }

    /// Reads the ids of a reservation that never change; the desk locks by them.
    pub async fn target(&self, id: ReservationId) -> ReservationRows {
        reservations::target(&self.pool, &self.caller, id)
            .await
            .unwrap()
    }
}

/// The ids in the response to an order by card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordered {
    /// The order, not paid yet.
    pub order: OrderId,
    /// The reservation that holds the order's stock.
    pub reservation: ReservationId,
}

impl Ordered {
    /// Reads the ids from the desk's response.
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

/// A command that places an order by card. Each item is a product and a quantity.
#[must_use]
pub fn checkout(customer: CustomerId, items: &[(ProductId, i64)]) -> Work {
    let purchase = Purchase {
        customer_id: customer,
        lines: lines(items),
        details: None,
    };
    Work::Checkout(purchase, TERMS)
}

/// A command that purchases on credit. Each item is a product and a quantity.
#[must_use]
pub fn buy(customer: CustomerId, items: &[(ProductId, i64)]) -> Work {
    let purchase = Purchase {
        customer_id: customer,
        lines: lines(items),
        details: None,
    };
    Work::Purchase(purchase, unread)
}

/// A command that holds stock for ten minutes, or takes a position on the waitlist.
#[must_use]
pub fn reserve(customer: CustomerId, items: &[(ProductId, i64)]) -> Work {
    let request = NewReservation {
        customer_id: customer,
        lines: lines(items),
        ttl_seconds: 600,
        wait: true,
    };
    Work::Reserve(request, unread_reservation)
}

fn lines(items: &[(ProductId, i64)]) -> Vec<Line> {
    let lines = items.iter().map(|(product, quantity)| Line {
        product_id: *product,
        quantity: Quantity::new(*quantity).unwrap(),
        quoted: None,
    });
    lines.collect()
}
