//! Writes opening items: their orders, payments and own rows, with terms and audit entries.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use entity::orders::{PaymentMethod, Status};
use entity::{CustomerId, Metadata, Money, OrderId, PaymentId, UserId};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{Document, Posted};
use crate::audit::{self, Action, Change};
use crate::foundation::rows::{ArrayStatement, Columns, Insert, Row};
use crate::foundation::search;
use crate::orders::{NewOrder, insert_terms};
use crate::{Caller, Error, Transaction};

/// The method of a payment that is an opening item.
const METHOD: &str = "opening balance";

/// The key of a payment's metadata that has its note.
const NOTE: &str = "note";

/// A payment that was made ahead.
struct NewPayment {
    id: PaymentId,
    customer_id: CustomerId,
    entry_number: i64,
    amount: Money,
    reference: String,
    metadata: Option<Metadata>,
    received_at: DateTime<Utc>,
    created_by: UserId,
}

impl Row for NewPayment {
    const NAME: &'static str = "new_payment";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("id", |new| new.id);
        columns.column("customer_id", |new| new.customer_id);
        columns.column("entry_number", |new| new.entry_number);
        columns.column("amount", |new| new.amount);
        columns.column("method", |_| METHOD.to_owned());
        columns.column("reference", |new| new.reference.clone());
        columns.nullable("metadata", |new| new.metadata.clone());
        columns.column("received_at", |new| new.received_at);
        columns.column("created_by", |new| new.created_by);
    }
}

impl Insert for NewPayment {
    const TABLE: &'static str = "payments";
}

impl Row for Posted<'_> {
    const NAME: &'static str = "new_opening_item";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("customer_id", |posted| posted.customer_id);
        columns.column("reference", |posted| posted.item.reference.clone());
        columns.column("amount", |posted| posted.item.amount);
        columns.nullable("order_id", Self::order_id);
        columns.nullable("payment_id", Self::payment_id);
    }
}

impl Insert for Posted<'_> {
    const TABLE: &'static str = "opening_items";
}

static INSERT_ORDERS: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<NewOrder<'_>>()));

static INSERT_PAYMENTS: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<NewPayment>()));

static INSERT_ITEMS: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<Posted<'_>>()));

impl Posted<'_> {
    fn order_id(&self) -> Option<OrderId> {
        match self.document {
            Document::Order { id, .. } => Some(id),
            Document::Payment { .. } => None,
        }
    }

    fn payment_id(&self) -> Option<PaymentId> {
        match self.document {
            Document::Order { .. } => None,
            Document::Payment { id, .. } => Some(id),
        }
    }

    fn order(&self, created_by: UserId) -> Option<NewOrder<'_>> {
        let Document::Order {
            id,
            due_at,
            details,
        } = &self.document
        else {
            return None;
        };
        Some(NewOrder {
            id: *id,
            customer_id: self.customer_id,
            status: Status::Fulfilled,
            payment_method: PaymentMethod::Credit,
            total: self.item.amount,
            due_at: *due_at,
            details: Some(details.as_ref()),
            created_by,
            created_at: self.issued_at,
        })
    }

    fn payment(&self, created_by: UserId) -> Option<NewPayment> {
        let Document::Payment { id, entry_number } = self.document else {
            return None;
        };
        Some(NewPayment {
            id,
            customer_id: self.customer_id,
            entry_number,
            amount: -self.item.amount,
            reference: self.item.reference.clone(),
            metadata: self.metadata(),
            received_at: self.issued_at,
            created_by,
        })
    }

    fn metadata(&self) -> Option<Metadata> {
        let note = self.item.note.clone()?;
        Some(Metadata(BTreeMap::from([(NOTE.to_owned(), note)])))
    }

    fn change(&self, caller: &Caller) -> Change {
        let currency = caller.currency;
        let balance = self.balance_after.to_text(currency);
        let (action, entity_type, entity_id, mut after): (_, _, _, Value) = match &self.document {
            Document::Order {
                id,
                due_at,
                details,
            } => {
                let mut after = json!({
                    "status": Status::Fulfilled,
                    "total_amount": self.item.amount.to_text(currency),
                    "created_at": self.issued_at,
                    "due_at": due_at,
                });
                details.add_to(&mut after);
                (Action::OrderImported, "order", id.0, after)
            }
            Document::Payment { id, .. } => {
                let after = json!({
                    "amount": (-self.item.amount).to_text(currency),
                    "method": METHOD,
                    "reference": self.item.reference,
                    "metadata": self.metadata(),
                    "received_at": self.issued_at,
                });
                (Action::PaymentImported, "payment", id.0, after)
            }
        };
        after["customer_id"] = json!(self.customer_id);
        after["customer_balance"] = json!(balance);
        Change {
            action,
            entity_type,
            entity_id,
            before: None,
            after,
        }
    }
}

/// Writes the orders among the items, and the terms by which they are found.
pub(super) async fn insert_orders(
    transaction: &Transaction,
    caller: &Caller,
    posted: &[Posted<'_>],
) -> Result<(), Error> {
    let orders = posted
        .iter()
        .filter_map(|posted| posted.order(caller.user_id));
    let orders: Vec<NewOrder<'_>> = orders.collect();
    let statement = INSERT_ORDERS
        .of(caller.business_id)
        .rows(&orders)
        .statement()?;
    transaction.execute_raw(statement).await?;
    let references = orders.iter().map(NewOrder::with_reference);
    insert_terms(transaction, caller.business_id, references).await
}

/// Writes the payments among the items, whose entries are there, the rows of all items, and their audit entries.
pub(super) async fn insert_items(
    transaction: &Transaction,
    caller: &Caller,
    posted: &[Posted<'_>],
) -> Result<(), Error> {
    let business = caller.business_id;
    let payments = posted
        .iter()
        .filter_map(|posted| posted.payment(caller.user_id));
    let payments: Vec<NewPayment> = payments.collect();
    let statement = INSERT_PAYMENTS.of(business).rows(&payments).statement()?;
    transaction.execute_raw(statement).await?;
    let terms = payments
        .iter()
        .flat_map(|new| search::payment(new.id, Some(&new.reference)));
    search::insert(transaction, business, terms).await?;
    let statement = INSERT_ITEMS.of(business).rows(posted).statement()?;
    transaction.execute_raw(statement).await?;
    let changes = posted.iter().map(|posted| posted.change(caller));
    audit::record_all(transaction, caller.into(), changes).await
}
