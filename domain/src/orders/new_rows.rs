//! Rows to insert into `orders` and `order_items`: the only place that names the columns of these inserts.

use chrono::{DateTime, Utc};
use entity::orders::{PaymentMethod, Status};
use entity::{Address, CustomerId, Metadata, Money, OrderId, UserId};

use super::{OrderDetails, SoldLine};
use crate::foundation::rows::{Columns, Insert, Row};

/// An order.
pub(crate) struct NewOrder<'a> {
    pub(crate) id: OrderId,
    pub(crate) customer_id: CustomerId,
    pub(crate) status: Status,
    pub(crate) payment_method: PaymentMethod,
    pub(crate) total: Money,
    pub(crate) due_at: DateTime<Utc>,
    pub(crate) details: Option<&'a OrderDetails>,
    pub(crate) created_by: UserId,
    pub(crate) created_at: DateTime<Utc>,
}

impl NewOrder<'_> {
    /// The order with its reference, by which it is found.
    pub(crate) fn with_reference(&self) -> (OrderId, Option<&str>) {
        let reference = self
            .details
            .and_then(|details| details.reference.as_deref());
        (self.id, reference)
    }

    fn reference(&self) -> Option<String> {
        self.details?.reference.clone()
    }

    fn note(&self) -> Option<String> {
        self.details?.note.clone()
    }

    fn delivery_address(&self) -> Option<Address> {
        self.details?.delivery_address.clone()
    }

    fn metadata(&self) -> Option<Metadata> {
        self.details?.metadata.clone()
    }
}

impl Row for NewOrder<'_> {
    const NAME: &'static str = "new_order";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("id", |order| order.id);
        columns.column("customer_id", |order| order.customer_id);
        columns.column("status", |order| order.status);
        columns.column("payment_method", |order| order.payment_method);
        columns.column("total_amount", |order| order.total);
        columns.column("due_at", |order| order.due_at);
        columns.nullable("reference", Self::reference);
        columns.nullable("note", Self::note);
        columns.nullable("delivery_address", Self::delivery_address);
        columns.nullable("metadata", Self::metadata);
        columns.column("created_by", |order| order.created_by);
        columns.column("created_at", |order| order.created_at);
        columns.column("updated_at", |order| order.created_at);
    }
}

impl Insert for NewOrder<'_> {
    const TABLE: &'static str = "orders";
}

/// An item of an order. It carries a stock count when the item is its own stock movement.
pub(crate) struct NewItem<'a> {
    pub(crate) order_id: OrderId,
    /// The item's number in the order, from 0.
    pub(crate) number: i32,
    pub(crate) line: &'a SoldLine,
}

impl<'a> NewItem<'a> {
    /// The items of these orders, in sequence.
    pub(crate) fn of(orders: impl Iterator<Item = (OrderId, &'a Vec<SoldLine>)>) -> Vec<Self> {
        let items = orders.flat_map(|(order_id, lines)| {
            let numbered = (0_i32..).zip(lines);
            numbered.map(move |(number, line)| Self {
                order_id,
                number,
                line,
            })
        });
        items.collect()
    }
}

impl Row for NewItem<'_> {
    const NAME: &'static str = "new_item";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("order_id", |item| item.order_id);
        columns.column("product_id", |item| item.line.product_id);
        columns.column("line", |item| item.number);
        columns.column("sku", |item| item.line.sku.to_string());
        columns.column("name", |item| item.line.name.to_string());
        columns.column("quantity", |item| item.line.quantity);
        columns.column("unit_price", |item| item.line.unit_price);
        columns.column("line_total", |item| item.line.line_total);
        columns.nullable("on_hand_after", |item| item.line.on_hand_after);
    }
}

impl Insert for NewItem<'_> {
    const TABLE: &'static str = "order_items";
}
