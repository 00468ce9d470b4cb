//! Customers' records: name, contact data, credit limit and payment terms.
//!
//! A change locks the customer.

mod addresses;
mod imports;
mod listing;

use std::collections::HashMap;

use entity::search_terms::Kind;
use entity::{
    BusinessId, Currency, CustomerAddresses, CustomerId, Metadata, Money, Tenant, customers,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, IntoActiveModel, QueryFilter, QuerySelect,
};
use serde_json::{Value, json};

use crate::audit::{self, Action, Change};
use crate::foundation::metadata::MetadataChange;
use crate::foundation::retry::retry;
use crate::foundation::{locks, search};
use crate::{Authority, Caller, Database, Error, Outcome, Transaction, WriteRequest};

pub use addresses::replace as replace_addresses;
pub use imports::import;
pub use listing::{CustomerKey, Filter, Sort, count, list};

/// Input of a new customer.
#[derive(Debug, Clone)]
pub struct NewCustomer {
    /// The name on documents.
    pub name: String,
    /// The email address for documents.
    pub email: Option<String>,
    /// The optional details.
    pub details: CustomerDetails,
    /// The credit terms.
    pub credit: CreditTerms,
    /// True when the customer registered themselves.
    pub self_registered: bool,
}

/// Details of a new customer. No rule reads them.
#[derive(Debug, Clone, Default)]
pub struct CustomerDetails {
    /// The customer's number in the books of the business. Unique in the business.
    pub reference: Option<String>,
    /// The person to talk to.
    pub contact: Option<String>,
    /// The telephone number.
    pub phone: Option<String>,
    /// The VAT number, in upper case and without separators.
    pub vat_number: Option<String>,
    /// The addresses; not empty.
    pub addresses: Option<CustomerAddresses>,
    /// Keys of the business's programs; not empty.
    pub metadata: Option<Metadata>,
}

/// Changes to the details of a customer. `None` keeps a value; `Some(None)` removes it.
#[derive(Debug, Clone, Default)]
pub struct CustomerDetailsChange {
    /// See [`CustomerDetails`] for this and the other fields.
    pub reference: Option<Option<String>>,
    pub contact: Option<Option<String>>,
    pub phone: Option<Option<String>>,
    pub vat_number: Option<Option<String>>,
    pub addresses: Option<Option<CustomerAddresses>>,
    pub metadata: MetadataChange,
}

/// Changes to a customer. `None` keeps a value.
#[derive(Debug, Clone, Default)]
pub struct CustomerChange {
    /// The name on documents.
    pub name: Option<String>,
    /// The email address for documents; `Some(None)` removes it.
    pub email: Option<Option<String>>,
    /// Changes to the details.
    pub details: CustomerDetailsChange,
    /// The credit terms.
    pub credit: CreditTerms,
    /// Why, for the audit entry.
    pub reason: Option<String>,
}

/// The credit terms of a customer. `None` keeps a value, or takes the default of a new customer.
#[derive(Debug, Clone, Copy, Default)]
pub struct CreditTerms {
    /// The most that the customer may owe. 0 for a new customer.
    pub credit_limit: Option<Money>,
    /// Whether purchases, card orders and reservations are refused. `false` for a new customer.
    pub on_hold: Option<bool>,
    /// Days from a purchase until it is due. 30 for a new customer.
    pub payment_terms_days: Option<i32>,
}

impl CreditTerms {
    /// Only admins may set a limit or a hold.
    fn check_authority(&self, caller: &Caller) -> Result<(), Error> {
        let is_decision = self.credit_limit.is_some() || self.on_hold.is_some();
        if is_decision && caller.authority != Authority::Admin {
            return Err(Error::Forbidden);
        }
        Ok(())
    }
}

/// Adds a customer.
///
/// # Errors
/// [`Error::Forbidden`] when a caller other than an admin sets a limit or a hold; [`Error::AlreadyExists`] for the
/// reference; those of [`WriteRequest`].
pub async fn create(
    database: &Database,
    request: &WriteRequest<'_, customers::Model>,
    new: &NewCustomer,
) -> Result<Outcome<customers::Model>, Error> {
    let caller = request.caller;
    new.credit.check_authority(caller)?;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let customer = insert(transaction, caller, CustomerId::new(), new).await?;
            write.finish(customer).await
        })
        .await
}

/// Inserts a customer and writes the audit entry.
pub(crate) async fn insert(
    transaction: &Transaction,
    caller: &Caller,
    id: CustomerId,
    new: &NewCustomer,
) -> Result<customers::Model, Error> {
    let details = new.details.clone();
    let customer = customers::ActiveModel {
        business_id: Set(caller.business_id),
        id: Set(id),
        name: Set(new.name.clone()),
        email: Set(new.email.clone()),
        reference: Set(details.reference),
        contact: Set(details.contact),
        phone: Set(details.phone),
        vat_number: Set(details.vat_number),
        addresses: Set(details.addresses),
        metadata: Set(details.metadata),
        credit_limit: Set(new.credit.credit_limit.unwrap_or(Money::ZERO)),
        on_hold: Set(new.credit.on_hold.unwrap_or(false)),
        payment_terms_days: Set(new.credit.payment_terms_days.unwrap_or(30)),
        self_registered: Set(new.self_registered),
        ..Default::default()
    }
    .insert(transaction)
    .await?;
    search::insert(transaction, caller.business_id, search::customer(&customer)).await?;
    let change = Change {
        action: Action::CustomerCreated,
        entity_type: "customer",
        entity_id: customer.id.0,
        before: None,
        after: audit_snapshot(&customer, caller.currency),
    };
    audit::record(transaction, caller, change).await?;
    Ok(customer)
}

/// Changes a customer. A change to the values that it has is none: it leaves no trace.
///
/// # Errors
/// [`Error::CustomerNotFound`]; [`Error::Forbidden`] when a caller other than an admin sets a limit or a hold;
/// [`Error::AlreadyExists`] for the reference; [`Error::TooManyMetadataKeys`].
pub async fn change(
    database: &Database,
    caller: &Caller,
    id: CustomerId,
    change: &CustomerChange,
) -> Result<customers::Model, Error> {
    change.credit.check_authority(caller)?;
    retry(|| async {
        let transaction = database.begin(caller.business_id).await?;
        // Locked, because a concurrent purchase may be deciding against this limit.
        let customer = locks::customer(&transaction, caller.business_id, id)
            .await?
            .ok_or(Error::CustomerNotFound(id))?;
        let changed = write(&transaction, caller, customer, change).await?;
        transaction.commit().await?;
        Ok(changed)
    })
    .await
}

/// Writes a change to a locked customer, with its search terms and the audit entry.
async fn write(
    transaction: &Transaction,
    caller: &Caller,
    customer: customers::Model,
    change: &CustomerChange,
) -> Result<customers::Model, Error> {
    let before = audit_snapshot(&customer, caller.currency);
    let terms = search::customer(&customer);
    let Some(row) = apply(&customer, change)? else {
        return Ok(customer);
    };
    let changed = row.update(transaction).await?;
    if !terms.eq(search::customer(&changed)) {
        let kinds: &[Kind] = &[Kind::Customer, Kind::CustomerName];
        let terms = search::customer(&changed);
        search::replace(
            transaction,
            caller.business_id,
            (kinds, changed.id.0),
            terms,
        )
        .await?;
    }
    let mut after = audit_snapshot(&changed, caller.currency);
    if let Some(reason) = &change.reason {
        after["reason"] = json!(reason);
    }
    let event = Change {
        action: Action::CustomerChanged,
        entity_type: "customer",
        entity_id: changed.id.0,
        before: Some(before),
        after,
    };
    audit::record(transaction, caller, event).await?;
    Ok(changed)
}

/// The changed row; `None` if it has these values.
fn apply(
    customer: &customers::Model,
    change: &CustomerChange,
) -> Result<Option<customers::ActiveModel>, Error> {
    let details = &change.details;
    let metadata = details.metadata.applied_to(customer.metadata.clone())?;
    let mut row = customer.clone().into_active_model();
    row.metadata.set_if_not_equals(metadata);
    if let Some(reference) = &details.reference {
        row.reference.set_if_not_equals(reference.clone());
    }
    if let Some(contact) = &details.contact {
        row.contact.set_if_not_equals(contact.clone());
    }
    if let Some(phone) = &details.phone {
        row.phone.set_if_not_equals(phone.clone());
    }
    if let Some(vat_number) = &details.vat_number {
        row.vat_number.set_if_not_equals(vat_number.clone());
    }
    if let Some(addresses) = &details.addresses {
        row.addresses.set_if_not_equals(addresses.clone());
    }
    if let Some(name) = &change.name {
        row.name.set_if_not_equals(name.clone());
    }
    if let Some(email) = &change.email {
        row.email.set_if_not_equals(email.clone());
    }
    if let Some(credit_limit) = change.credit.credit_limit {
        row.credit_limit.set_if_not_equals(credit_limit);
    }
    if let Some(on_hold) = change.credit.on_hold {
        row.on_hold.set_if_not_equals(on_hold);
    }
    if let Some(days) = change.credit.payment_terms_days {
        row.payment_terms_days.set_if_not_equals(days);
    }
    if !row.is_changed() {
        return Ok(None);
    }
    row.updated_at = Set(chrono::Utc::now());
    Ok(Some(row))
}

/// Reads a customer. To a caller with the role `customer`, other customers do not exist.
///
/// # Errors
/// [`Error::CustomerNotFound`].
pub async fn read(
    database: &Database,
    caller: &Caller,
    id: CustomerId,
) -> Result<customers::Model, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let customer = customers::Entity::by_id(caller.business_id, id)
            .one(&transaction)
            .await?;
        transaction.commit().await?;
        customer
            .filter(|customer| caller.may_act_for(customer.id))
            .ok_or(Error::CustomerNotFound(id))
    })
    .await
}

/// The names of these customers, for the rows of a page. Costs one statement.
pub(crate) async fn names(
    transaction: &Transaction,
    business: BusinessId,
    ids: impl IntoIterator<Item = CustomerId>,
) -> Result<HashMap<CustomerId, String>, Error> {
    let mut ids: Vec<CustomerId> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let names: Vec<(CustomerId, String)> = customers::Entity::of(business)
        .select_only()
        .columns([customers::Column::Id, customers::Column::Name])
        .filter(customers::Column::Id.eq_any(ids))
        .into_tuple()
        .all(transaction)
        .await?;
    Ok(names.into_iter().collect())
}

fn audit_snapshot(customer: &customers::Model, currency: Currency) -> Value {
    json!({
        "name": customer.name,
        "email": customer.email,
        "reference": customer.reference,
        "contact": customer.contact,
        "phone": customer.phone,
        "vat_number": customer.vat_number,
        "addresses": customer.addresses,
        "metadata": customer.metadata,
        "credit_limit": customer.credit_limit.to_text(currency),
        "on_hold": customer.on_hold,
        "payment_terms_days": customer.payment_terms_days,
    })
}
