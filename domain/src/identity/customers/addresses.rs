//! The addresses of a customer, which the customer may change as well as staff.
//!
//! They are replaced as a whole. Who names the addresses that they have read replaces no others. Locks the customer.

use entity::{CustomerAddresses, CustomerId, customers};

use super::{CustomerChange, CustomerDetailsChange, write};
use crate::foundation::locks;
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error};

/// Replaces the addresses of a customer. To a caller with the role `customer`, other customers do not exist.
///
/// With `read`, the addresses that the caller has read, other addresses are not replaced. Addresses that are already
/// as wished are none of those, so that a repeated request succeeds.
///
/// # Errors
/// [`Error::CustomerNotFound`]; [`Error::AddressesChanged`].
pub async fn replace(
    database: &Database,
    caller: &Caller,
    id: CustomerId,
    wished: &CustomerAddresses,
    read: Option<&CustomerAddresses>,
) -> Result<customers::Model, Error> {
    if !caller.may_act_for(id) {
        return Err(Error::CustomerNotFound(id));
    }
    let change = CustomerChange {
        details: CustomerDetailsChange {
            addresses: Some(Some(wished.clone()).filter(|wished| !wished.0.is_empty())),
            ..CustomerDetailsChange::default()
        },
        ..CustomerChange::default()
    };
    retry(|| async {
        let transaction = database.begin(caller.business_id).await?;
        let customer = locks::customer(&transaction, caller.business_id, id).await?;
        let customer = customer.ok_or(Error::CustomerNotFound(id))?;
        let present = customer.addresses.clone().unwrap_or_default();
        if read.is_some_and(|read| *read != present && *wished != present) {
            return Err(Error::AddressesChanged {
                id,
                addresses: present,
            });
        }
        let changed = write(&transaction, caller, customer, &change).await?;
        transaction.commit().await?;
        Ok(changed)
    })
    .await
}
