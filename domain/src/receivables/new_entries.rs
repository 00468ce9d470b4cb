//! Rows to insert into `ledger_entries`, and the balances after them: the only place that names their columns.

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::{CustomerId, LedgerEntryId, OrderId};

use crate::foundation::rows::{Arrays, Columns, Insert, Row};
use crate::receivables::ledger::{Account, Posting};

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

/// A customer's account after its entries.
pub(crate) struct NewBalance<'a> {
    pub(crate) customer_id: CustomerId,
    pub(crate) account: &'a Account,
}

impl Row for NewBalance<'_> {
    const NAME: &'static str = "new_balance";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("customer_id", |new| new.customer_id);
        columns.column("balance", |new| new.account.balance);
        columns.column("entry_count", |new| new.account.entry_count);
    }
}

impl NewBalance<'_> {
    /// The statement that writes these balances. It returns the customers' ids.
    pub(crate) fn update(arrays: &mut Arrays) -> String {
        let balances = arrays.rows::<Self>();
        format!(
            "
    UPDATE customers SET balance = new_balance.balance, entry_count = new_balance.entry_count, updated_at = now()
      FROM {balances}
     WHERE customers.business_id = $1 AND customers.id = new_balance.customer_id
 RETURNING customers.id"
        )
    }
}
