//! Look-up of the customers that a table names. Costs at most two statements.

use std::collections::HashMap;

use entity::{BusinessId, CustomerId, Tenant, customers};
use sea_orm::{ColumnTrait, QueryFilter, QuerySelect};

use super::{NamedCustomer, OpeningItem};
use crate::foundation::imports::{ImportRow, RowRefusal};
use crate::{Error, Transaction};

/// Finds the customer of each row, in the order of the rows.
pub(super) async fn find(
    transaction: &Transaction,
    business: BusinessId,
    rows: &[ImportRow<OpeningItem>],
) -> Result<Vec<Result<CustomerId, RowRefusal>>, Error> {
    use customers::{Column, Entity};

    let mut references = Vec::new();
    let mut emails = Vec::new();
    for row in rows {
        match &row.value.customer {
            NamedCustomer::Reference(reference) => references.push(reference.clone()),
            NamedCustomer::Email(email) => emails.push(email.clone()),
        }
    }
    let mut by_reference = HashMap::new();
    if !references.is_empty() {
        let found: Vec<(String, CustomerId)> = Entity::of(business)
            .select_only()
            .columns([Column::Reference, Column::Id])
            .filter(Column::Reference.eq_any(references))
            .into_tuple()
            .all(transaction)
            .await?;
        by_reference.extend(found);
    }
    let mut by_email: HashMap<String, Vec<CustomerId>> = HashMap::new();
    if !emails.is_empty() {
        let found: Vec<(String, CustomerId)> = Entity::of(business)
            .select_only()
            .columns([Column::Email, Column::Id])
            .filter(Column::Email.eq_any(emails))
            .filter(Column::SelfRegistered.eq(false))
            .into_tuple()
            .all(transaction)
            .await?;
        for (email, id) in found {
            by_email.entry(email).or_default().push(id);
        }
    }
    let found = rows.iter().map(|row| match &row.value.customer {
        NamedCustomer::Reference(reference) => {
            let id = by_reference.get(reference).copied();
            id.ok_or(RowRefusal::UnknownCustomer)
        }
        NamedCustomer::Email(email) => match by_email.get(email).map(Vec::as_slice) {
            Some([id]) => Ok(*id),
            None | Some([]) => Err(RowRefusal::UnknownCustomer),
            Some(_) => Err(RowRefusal::SeveralCustomers),
        },
    });
    Ok(found.collect())
}
