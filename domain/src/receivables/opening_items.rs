//! Opening items: documents of customers' accounts from before a business used the service, imported all or none.
//!
//! A document that the customer owes becomes an order on credit: fulfilled, without items, and dated and due as the
//! document was. Aging, overdue customers and statements then treat it as any other order. The reports on sales leave it
//! out. What the customer had paid ahead becomes a payment on account. Nothing is settled by the import: an account comes
//! over as it was. Credit limits and holds are not checked, since the debt exists already.
//!
//! Locks the customers by id until the commit. Costs five statements for the table, and ten per 1,000 rows.

mod found_customers;
mod new_rows;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use entity::{CustomerId, Money, OrderId, PaymentId, Tenant, opening_items};
use sea_orm::{ColumnTrait, QueryFilter, QuerySelect};

use crate::foundation::imports::{CHUNK, Import, ImportRow, Imported, RowFault, RowRefusal};
use crate::foundation::tables::{self, Unique};
use crate::orders::OrderDetails;
use crate::receivables::accounts::{self, LockedAccount};
use crate::receivables::settlement::Target;
use crate::{Caller, Database, Error, Outcome, Transaction, WriteRequest};

/// A document of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpeningItem {
    /// The customer whose account it belongs to.
    pub customer: NamedCustomer,
    /// The number of the document. Each customer has it once.
    pub reference: String,
    /// The part that was not paid when the business moved. Negative for a credit, and never 0.
    pub amount: Money,
    /// The date of the document.
    pub issued_on: NaiveDate,
    /// When the amount is due. `None` follows from the customer's payment terms. A credit is never due.
    pub due_on: Option<NaiveDate>,
    /// A free text.
    pub note: Option<String>,
}

/// The name of a customer in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedCustomer {
    /// The customer's number in the books of the business.
    Reference(String),
    /// The email address of the only customer that has it. Customers who registered themselves do not count: their
    /// address is not proven.
    Email(String),
}

impl NamedCustomer {
    /// The column of the table that has the name.
    fn column(&self) -> &'static str {
        match self {
            Self::Reference(_) => "customer_reference",
            Self::Email(_) => "customer_email",
        }
    }
}

/// An opening item that was posted to its account.
struct Posted<'a> {
    item: &'a OpeningItem,
    customer_id: CustomerId,
    issued_at: DateTime<Utc>,
    balance_after: Money,
    document: Document,
}

/// The document that an opening item becomes.
enum Document {
    /// An order, for an amount above 0.
    Order {
        id: OrderId,
        due_at: DateTime<Utc>,
        details: Box<OrderDetails>,
    },
    /// A payment, for an amount below 0.
    Payment { id: PaymentId, entry_number: i64 },
}

/// Adds the opening items of a table, those of each customer in the order of the rows.
///
/// # Errors
/// [`Error::RowsRefused`] with every unknown or ambiguous customer, every document that the customer has already, every
/// date that is in the future, before 1970 or in a closed period, and every balance that no account can hold; those of
/// [`WriteRequest`].
pub async fn import(
    database: &Database,
    request: &WriteRequest<'_, Imported>,
    import: &Import<OpeningItem>,
) -> Result<Outcome<Imported>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let found =
                found_customers::find(transaction, caller.business_id, &import.rows).await?;
            let ids = found.iter().filter_map(|found| found.as_ref().ok());
            let accounts = LockedAccount::all(transaction, caller, ids.copied()).await?;
            let accounts = accounts.into_iter().map(|one| (one.id(), one));
            let mut accounts: BTreeMap<CustomerId, LockedAccount> = accounts.collect();
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let taken = taken(transaction, caller, &import.rows, accounts.keys()).await?;
            let posted = post_all(&mut accounts, &import.rows, &found, taken)?;
            if import.dry_run {
                return write.discard(import.outcome()).await;
            }
            // Entries refer to the orders, payments to the entries.
            for posted in posted.chunks(CHUNK) {
                new_rows::insert_orders(transaction, caller, posted).await?;
            }
            let accounts: Vec<LockedAccount> = accounts.into_values().collect();
            accounts::write(transaction, caller.business_id, &accounts).await?;
            for posted in posted.chunks(CHUNK) {
                new_rows::insert_items(transaction, caller, posted).await?;
            }
            write.finish(import.outcome()).await
        })
        .await
}

/// The documents of the table that these customers have already.
async fn taken(
    transaction: &Transaction,
    caller: &Caller,
    rows: &[ImportRow<OpeningItem>],
    customers: impl Iterator<Item = &CustomerId>,
) -> Result<Vec<(CustomerId, String)>, Error> {
    use opening_items::{Column, Entity};

    let references = rows.iter().map(|row| row.value.reference.clone());
    let taken = Entity::of(caller.business_id)
        .select_only()
        .columns([Column::CustomerId, Column::Reference])
        .filter(Column::CustomerId.eq_any(customers.copied()))
        .filter(Column::Reference.eq_any(references))
        .into_tuple()
        .all(transaction)
        .await?;
    Ok(taken)
}

/// Posts every row to its account.
///
/// # Errors
/// [`Error::RowsRefused`] with every fault.
fn post_all<'a>(
    accounts: &mut BTreeMap<CustomerId, LockedAccount>,
    rows: &'a [ImportRow<OpeningItem>],
    found: &[Result<CustomerId, RowRefusal>],
    taken: Vec<(CustomerId, String)>,
) -> Result<Vec<Posted<'a>>, Error> {
    let mut documents = Unique::beside(taken);
    let mut faults = Vec::new();
    let mut all = Vec::with_capacity(rows.len());
    for (row, found) in rows.iter().zip(found) {
        let (line, item) = (row.line, &row.value);
        let fault = |column, reason| RowFault {
            line,
            column,
            reason,
        };
        let account = match found {
            Ok(id) => accounts.get_mut(id).ok_or(RowRefusal::UnknownCustomer),
            Err(refusal) => Err(refusal.clone()),
        };
        let account = match account {
            Ok(account) => account,
            Err(refusal) => {
                faults.push(fault(item.customer.column(), refusal));
                continue;
            }
        };
        let document = (account.id(), item.reference.clone());
        let repeated = documents.refusal(line, document);
        faults.extend(repeated.map(|refusal| fault("reference", refusal)));
        let issued_at = match account.dated_on("issued_on", item.issued_on) {
            Ok(issued_at) => issued_at,
            Err(error) => {
                faults.push(fault("issued_on", refused_date(error)?));
                continue;
            }
        };
        let posted = post(account, item, issued_at)?;
        if !posted.balance_after.is_storable() {
            faults.push(fault("amount", RowRefusal::BalanceLimit));
        }
        all.push(posted);
    }
    tables::refuse(faults)?;
    Ok(all)
}

/// Why a row cannot have a date. Other errors are no fault of the row.
fn refused_date(error: Error) -> Result<RowRefusal, Error> {
    match error {
        Error::ImpossibleDate { fault, .. } => Ok(RowRefusal::Date(fault.to_string())),
        Error::PeriodClosed { closed_until, .. } => Ok(RowRefusal::PeriodClosed(closed_until)),
        other => Err(other),
    }
}

/// Posts an item to its account.
fn post<'a>(
    account: &mut LockedAccount,
    item: &'a OpeningItem,
    issued_at: DateTime<Utc>,
) -> Result<Posted<'a>, Error> {
    let document = if item.amount > Money::ZERO {
        let id = OrderId::new();
        account.state.charge(id, item.amount, issued_at);
        Document::Order {
            id,
            due_at: account.due_at(issued_at, item.due_on),
            details: Box::new(OrderDetails {
                reference: Some(item.reference.clone()),
                note: item.note.clone(),
                ..OrderDetails::default()
            }),
        }
    } else {
        let nothing = Target::Orders(Vec::new());
        Document::Payment {
            id: PaymentId::new(),
            entry_number: account
                .state
                .receive(-item.amount, issued_at, &nothing, true)?,
        }
    };
    Ok(Posted {
        item,
        customer_id: account.id(),
        issued_at,
        balance_after: account.state.account.balance,
        document,
    })
}
