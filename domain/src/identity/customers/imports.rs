//! Import of customers: new records, all or none.
//!
//! Locks nothing. Costs one statement for the table, and three per 1,000 rows.

use std::sync::LazyLock;

use chrono::Utc;
use entity::{BusinessId, CustomerId, Money, Tenant, customers};
use sea_orm::{ColumnTrait, QueryFilter, QuerySelect};

use super::{NewCustomer, audit_snapshot};
use crate::audit::{self, Action, Change};
use crate::foundation::imports::{CHUNK, Import, ImportRow, Imported, RowFault};
use crate::foundation::rows::{ArrayStatement, Columns, Insert, Row};
use crate::foundation::{search, tables};
use crate::{Caller, Database, Error, Outcome, Transaction, WriteRequest};

/// A customer to be inserted. The columns that it does not name have their defaults.
struct NewRow<'a>(&'a customers::Model);

impl Row for NewRow<'_> {
    const NAME: &'static str = "new_customer";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("id", |new| new.0.id);
        columns.column("name", |new| new.0.name.clone());
        columns.nullable("email", |new| new.0.email.clone());
        columns.nullable("reference", |new| new.0.reference.clone());
        columns.nullable("contact", |new| new.0.contact.clone());
        columns.nullable("phone", |new| new.0.phone.clone());
        columns.nullable("vat_number", |new| new.0.vat_number.clone());
        columns.nullable("addresses", |new| new.0.addresses.clone());
        columns.nullable("metadata", |new| new.0.metadata.clone());
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
/// [`Error::RowsRefused`] with every reference that is in use or repeated; [`Error::Forbidden`] when a caller other than
/// an admin sets a limit or a hold; those of [`WriteRequest`].
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
            check(transaction, request.caller.business_id, &import.rows).await?;
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

/// Finds every reference that is in use or repeated.
async fn check(
    transaction: &Transaction,
    business: BusinessId,
    rows: &[ImportRow<NewCustomer>],
) -> Result<(), Error> {
    let given = rows.iter().filter_map(|row| {
        let reference = row.value.details.reference.as_deref();
        reference.map(|reference| (row.line, reference))
    });
    let given: Vec<(u64, &str)> = given.collect();
    if given.is_empty() {
        return Ok(());
    }
    let taken = customers::Entity::of(business)
        .select_only()
        .column(customers::Column::Reference)
        .filter(
            customers::Column::Reference.eq_any(given.iter().map(|(_, text)| (*text).to_owned())),
        )
        .into_tuple::<String>()
        .all(transaction)
        .await?;
    let mut unique = tables::Unique::beside(taken);
    let faults = given.into_iter().filter_map(|(line, reference)| {
        let reason = unique.refusal(line, reference.to_owned())?;
        Some(RowFault {
            line,
            column: "reference",
            reason,
        })
    });
    tables::refuse(faults.collect())
}

/// Writes customers, the terms by which they are found, and their audit entries.
async fn insert(
    transaction: &Transaction,
    caller: &Caller,
    rows: &[ImportRow<NewCustomer>],
) -> Result<(), Error> {
    let customers: Vec<customers::Model> =
        rows.iter().map(|row| record(caller, &row.value)).collect();
    let new: Vec<NewRow<'_>> = customers.iter().map(NewRow).collect();
    let statement = INSERT.of(caller.business_id).rows(&new).statement()?;
    tables::insert(transaction, statement).await?;
    let terms = customers.iter().flat_map(search::customer);
    search::insert(transaction, caller.business_id, terms).await?;
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
    let details = new.details.clone();
    let now = Utc::now();
    customers::Model {
        business_id: caller.business_id,
        id: CustomerId::new(),
        name: new.name.clone(),
        email: new.email.clone(),
        reference: details.reference,
        contact: details.contact,
        phone: details.phone,
        vat_number: details.vat_number,
        addresses: details.addresses,
        metadata: details.metadata,
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
