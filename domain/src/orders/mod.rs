//! Orders: reading, the table of transitions, details, and fulfilment.
//!
//! May use `catalogue` and the wings below it.

mod about;
pub mod changes;
pub(crate) mod credited;
mod details;
pub mod disputes;
mod fulfil;
pub(crate) mod goods;
mod listing;
mod new_rows;
pub(crate) mod payments;
pub mod refunds;
mod sold_line;
mod step;
mod terms;
pub mod transitions;

use entity::orders::PaymentMethod;
use entity::{
    BusinessId, CustomerId, OrderId, Tenant, disputes as dispute_rows, order_items, orders,
    refunds as refund_rows,
};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};

use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Transaction};

pub use about::About;
pub use credited::creditable;
pub use details::{DetailsChange, OrderDetails, change};
pub use fulfil::{Fulfilment, check_fulfilment, fulfil};
pub(crate) use listing::is_unpaid;
pub use listing::{Filter, Listed, NoPlace, OrderKey, Sort, Wanting, count, list, with_ids};
pub(crate) use new_rows::{NewItem, NewOrder};
pub use payments::{Mismatch, Payment};
pub use sold_line::SoldLine;
pub use step::Step;
pub(crate) use step::{step, write};
pub(crate) use terms::{insert_terms, replace_terms};

/// An order with everything that belongs to it.
#[derive(Debug, Clone)]
pub struct Order {
    /// The order.
    pub order: orders::Model,
    /// The order's items, in the buyer's sequence. None of an opening item.
    pub items: Vec<order_items::Model>,
    /// Payments of the order; for a card order also the one that is expected.
    pub payments: Vec<Payment>,
    /// Refunds, the oldest first.
    pub refunds: Vec<refund_rows::Model>,
    /// Disputes of the payment, the oldest first.
    pub disputes: Vec<dispute_rows::Model>,
    /// Every status that the order had, the oldest first.
    pub history: Vec<Step>,
}

/// Reads an order that the caller may see. Reads one snapshot.
///
/// # Errors
/// [`Error::OrderNotFound`].
pub async fn read(database: &Database, caller: &Caller, id: OrderId) -> Result<Order, Error> {
    retry(|| async {
        // One snapshot for all queries: the paid amount must equal the sum of the payments.
        let transaction = database.begin_snapshot(caller.business_id, &[]).await?;
        let order = visible(&transaction, caller, id).await?;
        let whole = whole(&transaction, order).await?;
        transaction.commit().await?;
        Ok(whole)
    })
    .await
}

/// The order, if the caller may see it.
pub(crate) async fn visible(
    transaction: &Transaction,
    caller: &Caller,
    id: OrderId,
) -> Result<orders::Model, Error> {
    orders::Entity::by_id(caller.business_id, id)
        .one(transaction)
        .await?
        .filter(|order| caller.may_act_for(order.customer_id))
        .ok_or(Error::OrderNotFound(id))
}

/// The order with everything that belongs to it.
pub(crate) async fn whole(transaction: &Transaction, order: orders::Model) -> Result<Order, Error> {
    let items = lines(transaction, order.business_id, order.id).await?;
    Ok(Order {
        payments: payments::of(transaction, &order).await?,
        refunds: refunds::of(transaction, order.business_id, order.id).await?,
        disputes: match order.payment_method {
            PaymentMethod::Credit => Vec::new(),
            PaymentMethod::Card => disputes::of(transaction, order.business_id, order.id).await?,
        },
        // Every other order has at least one item.
        history: step::history(transaction, &order, items.is_empty()).await?,
        items,
        order,
    })
}

/// Like [`whole`], with the order row as it is in the transaction.
pub(crate) async fn reread(
    transaction: &Transaction,
    business: BusinessId,
    id: OrderId,
) -> Result<Order, Error> {
    let order = orders::Entity::by_id(business, id)
        .one(transaction)
        .await?
        .ok_or(Error::OrderNotFound(id))?;
    whole(transaction, order).await
}

async fn lines(
    transaction: &Transaction,
    business: BusinessId,
    id: OrderId,
) -> Result<Vec<order_items::Model>, Error> {
    let items = order_items::Entity::of(business)
        .filter(order_items::Column::OrderId.eq(id))
        .order_by_asc(order_items::Column::Line)
        .all(transaction)
        .await?;
    Ok(items)
}

/// The customer of an order on credit. It never changes, so it can be read before any lock.
pub(crate) async fn owner(
    transaction: &Transaction,
    caller: &Caller,
    id: OrderId,
) -> Result<CustomerId, Error> {
    let order = orders::Entity::by_id(caller.business_id, id)
        .filter(orders::Column::PaymentMethod.eq(PaymentMethod::Credit))
        .one(transaction)
        .await?;
    let order = order.ok_or(Error::OrderNotFound(id))?;
    Ok(order.customer_id)
}
