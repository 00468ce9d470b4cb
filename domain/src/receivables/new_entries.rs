//! Rows to insert into `ledger_entries`: the only place that names the columns of that insert.

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::{CustomerId, LedgerEntryId, OrderId};

use crate::foundation::rows::{Columns, Insert, Row};
use crate::receivables::ledger::Posting;

/// An entry in a customer's account.
pub(crate) struct NewEntry {
    pub(crate) customer_id: CustomerId,
    pub(crate) posting: Posting,
    pub(crate) kind: Kind,
    pub(crate) order_id: Option<OrderId>,
    pub(crate) effective_at: DateTime<Utc>,
    pub(crate) created_at: DateTime<Utc>,
}

impl Row for NewEntry {
    const NAME: &'static str = "new_entry";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("customer_id", |entry| entry.customer_id);
        columns.column("number", |entry| entry.posting.number);
        columns.column("id", |_| LedgerEntryId::new());
        columns.column("kind", |entry| entry.kind);
        columns.column("amount", |entry| entry.posting.amount);
        columns.column("balance_after", |entry| entry.posting.balance_after);
        columns.nullable("order_id", |entry| entry.order_id);
        columns.column("effective_at", |entry| entry.effective_at);
        columns.column("created_at", |entry| entry.created_at);
    }
}

impl Insert for NewEntry {
    const TABLE: &'static str = "ledger_entries";
}
