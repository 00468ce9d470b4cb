//! Import of customers: new records, all or none.
//!
//! Locks nothing. Costs two statements per 1,000 rows.

use std::sync::LazyLock;

use chrono::Utc;
use entity::{CustomerId, Money, customers};
use sea_orm::ConnectionTrait;

use super::{NewCustomer, audit_snapshot};
use crate::audit::{self, Action, Change};
use crate::foundation::imports::{CHUNK, Import, ImportRow, Imported};
use crate::foundation::rows::{ArrayStatement, Columns, Insert, Row};
use crate::{Caller, Database, Error, Outcome, Transaction, WriteRequest};

/// A customer to be inserted. The columns that it does not name have their defaults.
struct NewRow<'a>(&'a customers::Model);

impl Row for NewRow<'_> {
    const NAME: &'static str = "new_customer";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("id", |new| new.0.id);
        columns.column("name", |new| new.0.name.clone());
        columns.nullable("email", |new| new.0.email.clone());
        columns.column("credit_limit", |new| new.0.credit_limit);
        columns.column("on_hold", |new| new.0.on_hold);
        columns.column("payment_terms_days", |new| new.0.payment_terms_days);
        columns.column("self_registered", |new| new.0.self_registered);
    }
}

impl Insert for NewRow<'_> {
    const TABLE: &'static str = "customers";
}

static INSERT: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<NewRow<'_>>()));

/// Adds the customers of a table, in the order of its rows.
///
/// # Errors
/// [`Error::Forbidden`] when a caller other than an admin sets a limit or a hold; those of [`WriteRequest`].
pub async fn import(
    database: &Database,
    request: &WriteRequest<'_, Imported>,
    import: &Import<NewCustomer>,
) -> Result<Outcome<Imported>, Error> {
    for row in &import.rows {
        row.value.credit.check_authority(request.caller)?;
    }
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            if import.dry_run {
                return write.discard(import.outcome()).await;
            }
            for rows in import.rows.chunks(CHUNK) {
                insert(transaction, request.caller, rows).await?;
            }
            write.finish(import.outcome()).await
        })
        .await
}

/// Writes customers and their audit entries.
async fn insert(
    transaction: &Transaction,
    caller: &Caller,
    rows: &[ImportRow<NewCustomer>],
) -> Result<(), Error> {
    let customers: Vec<customers::Model> =
        rows.iter().map(|row| record(caller, &row.value)).collect();
    let new: Vec<NewRow<'_>> = customers.iter().map(NewRow).collect();
    let statement = INSERT.of(caller.business_id).rows(&new).statement()?;
    transaction.execute_raw(statement).await?;
    let changes = customers.iter().map(|customer| Change {
        action: Action::CustomerCreated,
        entity_type: "customer",
        entity_id: customer.id.0,
        before: None,
        after: audit_snapshot(customer, caller.currency),
    });
    audit::record_all(transaction, caller.into(), changes).await
}

/// The row of a new customer. The database sets its times.
fn record(caller: &Caller, new: &NewCustomer) -> customers::Model {
    let now = Utc::now();
    customers::Model {
        business_id: caller.business_id,
        id: CustomerId::new(),
        name: new.name.clone(),
        email: new.email.clone(),
        reference: None,
        contact: None,
        phone: None,
        vat_number: None,
        addresses: None,
        metadata: None,
        credit_limit: new.credit.credit_limit.unwrap_or(Money::ZERO),
        balance: Money::ZERO,
        entry_count: 0,
        on_account: Money::ZERO,
        on_hold: new.credit.on_hold.unwrap_or(false),
        payment_terms_days: new.credit.payment_terms_days.unwrap_or(30),
        self_registered: new.self_registered,
        created_at: now,
        updated_at: now,
    }
}
