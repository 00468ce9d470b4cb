//! Details of orders: a reference, a note, a delivery address and metadata. No rule reads them.
//!
//! A change locks the order.

use entity::{Address, Metadata, OrderId, Tenant, orders};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};

use super::{Order, replace_terms, whole};
use crate::audit::{self, Action, Change};
use crate::foundation::locks;
use crate::foundation::metadata::MetadataChange;
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Transaction};

/// Details of a new order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderDetails {
    /// The buyer's own order number.
    pub reference: Option<String>,
    /// Text for people, of several lines.
    pub note: Option<String>,
    /// The address for the goods.
    pub delivery_address: Option<Address>,
    /// Keys of the business's programs; not empty.
    pub metadata: Option<Metadata>,
}

impl OrderDetails {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the details that are present to an audit entry.
    pub(crate) fn add_to(&self, entry: &mut Value) {
        if let Some(reference) = &self.reference {
            entry["reference"] = json!(reference);
        }
        if let Some(note) = &self.note {
            entry["note"] = json!(note);
        }
        if let Some(address) = &self.delivery_address {
            entry["delivery_address"] = json!(address);
        }
        if let Some(metadata) = &self.metadata {
            entry["metadata"] = json!(metadata);
        }
    }
}

/// Changes to the details of an order. `None` keeps a value; `Some(None)` removes it.
#[derive(Debug, Clone, Default)]
pub struct DetailsChange {
    /// See [`OrderDetails`] for this and the other fields.
    pub reference: Option<Option<String>>,
    pub note: Option<Option<String>>,
    pub delivery_address: Option<Option<Address>>,
    pub metadata: MetadataChange,
}

/// Changes the details of an order, in any status. A change to the values that it has is none: it leaves no trace.
///
/// # Errors
/// [`Error::OrderNotFound`]; [`Error::TooManyMetadataKeys`].
pub async fn change(
    database: &Database,
    caller: &Caller,
    id: OrderId,
    change: &DetailsChange,
) -> Result<Order, Error> {
    retry(|| async {
        let transaction = database.begin(caller.business_id).await?;
        let mut order = locks::order(&transaction, caller.business_id, id)
            .await?
            .filter(|order| caller.may_act_for(order.customer_id))
            .ok_or(Error::OrderNotFound(id))?;
        let before = audit_snapshot(&order);
        apply(&mut order, change)?;
        let after = audit_snapshot(&order);
        if before != after {
            write(&transaction, &order).await?;
            if before["reference"] != after["reference"] {
                replace_terms(&transaction, &order).await?;
            }
            let event = Change {
                action: Action::OrderChanged,
                entity_type: "order",
                entity_id: id.0,
                before: Some(before),
                after,
            };
            audit::record(&transaction, caller, event).await?;
        }
        let order = whole(&transaction, order).await?;
        transaction.commit().await?;
        Ok(order)
    })
    .await
}

fn apply(order: &mut orders::Model, change: &DetailsChange) -> Result<(), Error> {
    if let Some(reference) = &change.reference {
        order.reference.clone_from(reference);
    }
    if let Some(note) = &change.note {
        order.note.clone_from(note);
    }
    if let Some(address) = &change.delivery_address {
        order.delivery_address.clone_from(address);
    }
    order.metadata = change.metadata.applied_to(order.metadata.take())?;
    Ok(())
}

async fn write(transaction: &Transaction, order: &orders::Model) -> Result<(), Error> {
    use orders::Column;

    orders::Entity::update_of(order.business_id)
        .filter(Column::Id.eq(order.id))
        .col_expr(Column::Reference, Expr::value(order.reference.clone()))
        .col_expr(Column::Note, Expr::value(order.note.clone()))
        .col_expr(
            Column::DeliveryAddress,
            Expr::value(order.delivery_address.clone()),
        )
        .col_expr(Column::Metadata, Expr::value(order.metadata.clone()))
        .col_expr(Column::UpdatedAt, Expr::current_timestamp())
        .exec(transaction)
        .await?;
    Ok(())
}

fn audit_snapshot(order: &orders::Model) -> Value {
    json!({
        "reference": order.reference,
        "note": order.note,
        "delivery_address": order.delivery_address,
        "metadata": order.metadata,
    })
}
