//! A reservation: the time that is left, or the place in the waitlist.

use askama::Template;
use entity::reservations::Status;
use entity::{OrderId, ReservationId};

use crate::shop::CartLine;
use crate::{Form, Layout, text};

/// The page of a reservation. While it is waiting or held, it asks the server again by itself.
#[derive(Debug, Template)]
#[template(path = "shop/reservation.html")]
pub struct Reservation {
    pub layout: Layout,
    pub id: ReservationId,
    /// The status by the server's clock.
    pub status: Status,
    /// The place in the waitlist, from 1; `None` unless waiting.
    pub place: Option<i64>,
    /// Seconds by the server's clock until the hold, or the wait, ends.
    pub seconds_left: i64,
    /// Seconds for which the units will be held once they are free.
    pub hold_seconds: i64,
    pub lines: Vec<CartLine>,
    pub total: entity::Money,
    /// The order that it became.
    pub order_id: Option<OrderId>,
    /// The form that releases it.
    pub form: Form,
}

impl Reservation {
    /// Whether its state can still change by itself.
    fn is_open(&self) -> bool {
        matches!(self.status, Status::Waiting | Status::Active)
    }

    /// What a reader of screens is told when the state changes.
    fn news(&self) -> String {
        match (self.status, self.place) {
            (Status::Waiting, Some(place)) => {
                format!("You are number {} in line.", text::number(place))
            }
            (Status::Waiting, None) => "You are in line.".to_owned(),
            (Status::Active, _) => "The units are held for you. Order now.".to_owned(),
            (Status::Confirmed, _) => "Ordered.".to_owned(),
            (Status::Cancelled, _) => "Released.".to_owned(),
            (Status::Expired, _) => "The time has passed.".to_owned(),
            (Status::SoldOut, _) => "Sold out.".to_owned(),
        }
    }
}
