//! Rows to be inserted into `stock_movements`. Only this file names their columns for an insert.

use entity::stock_movements::Reason;
use entity::{MovementId, OrderId, ProductId, ReservationId, UserId};

use crate::foundation::rows::{Columns, Insert, Row};
use crate::stock::locked_stock::HoldChange;

/// A new stock movement. Its id is made under the product's lock, so that a product's movements are in the order of
/// their ids.
pub(crate) struct NewMovement<'a> {
    pub(crate) id: MovementId,
    pub(crate) product_id: ProductId,
    pub(crate) quantity: i64,
    pub(crate) on_hand_after: i64,
    pub(crate) reason: Reason,
    /// `None` without a note; never an empty text, which stands for null in an array.
    pub(crate) note: Option<&'a str>,
    pub(crate) reserved: i64,
    pub(crate) reservation_id: Option<ReservationId>,
    pub(crate) order_id: Option<OrderId>,
    pub(crate) actor: UserId,
}

impl NewMovement<'_> {
    /// The movement of a hold: the units on hand stay, the reserved units change.
    pub(crate) fn of_hold(hold: &HoldChange) -> Self {
        let reason = match hold.reserved {
            1.. => Reason::Reserved,
            _ => Reason::Released,
        };
        Self {
            id: MovementId::new(),
            product_id: hold.product_id,
            quantity: 0,
            on_hand_after: hold.on_hand_after,
            reason,
            note: None,
            reserved: hold.reserved,
            reservation_id: Some(hold.reservation_id),
            order_id: hold.order_id,
            actor: hold.actor,
        }
    }
}

impl Row for NewMovement<'_> {
    const NAME: &'static str = "new_movement";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("id", |movement| movement.id);
        columns.column("product_id", |movement| movement.product_id);
        columns.column("quantity", |movement| movement.quantity);
        columns.column("on_hand_after", |movement| movement.on_hand_after);
        columns.column("reason", |movement| movement.reason);
        columns.nullable("note", |movement| movement.note.map(str::to_owned));
        columns.column("reserved", |movement| movement.reserved);
        columns.nullable("reservation_id", |movement| movement.reservation_id);
        columns.nullable("order_id", |movement| movement.order_id);
        columns.column("actor_id", |movement| movement.actor);
    }
}

impl Insert for NewMovement<'_> {
    const TABLE: &'static str = "stock_movements";
}
