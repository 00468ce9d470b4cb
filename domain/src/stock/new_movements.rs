//! Rows to be inserted into `stock_movements`. Only this file names their columns for an insert.

use entity::stock_movements::Reason;
use entity::{MovementId, OrderId, ProductId, ReservationId, UserId};

use crate::foundation::rows::{Columns, Insert, Row};

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
