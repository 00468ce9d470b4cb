//! Suggested customers: those that staff made with the email address of a user who registered themselves.
//!
//! An address is not proven at registration, so nothing is linked by itself. An admin sees the suggestion and decides.

use std::collections::{HashMap, HashSet};

use entity::{BusinessId, CustomerId, Tenant, customers, users};
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect, Value};

use crate::{Error, Transaction};

/// A user with the customer that an admin may link them to.
#[derive(Debug, Clone)]
pub struct ListedUser {
    /// The user.
    pub user: users::Model,
    /// The oldest customer that staff made with the user's address, for a user who registered themselves and is not
    /// linked to another customer.
    pub suggested_customer_id: Option<CustomerId>,
}

/// Adds the suggestions to these users. Costs two statements, and none for users without customers.
pub(super) async fn suggest(
    transaction: &Transaction,
    business: BusinessId,
    users: Vec<users::Model>,
) -> Result<Vec<ListedUser>, Error> {
    let registered = self_registered(transaction, business, &users).await?;
    let is_registered = |user: &users::Model| {
        let own = user.customer_id;
        own.is_some_and(|customer| registered.contains(&customer))
    };
    let addresses = users.iter().filter(|user| is_registered(user));
    let addresses: Vec<String> = addresses.map(|user| user.email.clone()).collect();
    let made = made_by_staff(transaction, business, addresses).await?;
    let listed = users.into_iter().map(|user| ListedUser {
        suggested_customer_id: match is_registered(&user) {
            true => made.get(&user.email).copied(),
            false => None,
        },
        user,
    });
    Ok(listed.collect())
}

/// Of the customers for whom these users act, those who registered themselves.
async fn self_registered(
    transaction: &Transaction,
    business: BusinessId,
    users: &[users::Model],
) -> Result<HashSet<CustomerId>, Error> {
    let own: Vec<uuid::Uuid> = users
        .iter()
        .filter_map(|user| user.customer_id.map(|customer| customer.0))
        .collect();
    if own.is_empty() {
        return Ok(HashSet::new());
    }
    let registered: Vec<CustomerId> = customers::Entity::of(business)
        .select_only()
        .column(customers::Column::Id)
        .filter(any_of(customers::Column::Id, own))
        .filter(Expr::cust("self_registered"))
        .into_tuple()
        .all(transaction)
        .await?;
    Ok(registered.into_iter().collect())
}

/// The oldest customer with each of these addresses that staff made.
async fn made_by_staff(
    transaction: &Transaction,
    business: BusinessId,
    addresses: Vec<String>,
) -> Result<HashMap<String, CustomerId>, Error> {
    if addresses.is_empty() {
        return Ok(HashMap::new());
    }
    // Written out, so that the planner sees the condition of the index.
    let by_staff = Expr::cust("NOT self_registered");
    let made: Vec<(String, CustomerId)> = customers::Entity::of(business)
        .select_only()
        .columns([customers::Column::Email, customers::Column::Id])
        .filter(any_of(customers::Column::Email, addresses))
        .filter(by_staff)
        .order_by_desc(customers::Column::Id)
        .into_tuple()
        .all(transaction)
        .await?;
    // The last one with an address stays: the oldest.
    Ok(made.into_iter().collect())
}

fn any_of(column: customers::Column, values: impl Into<Value>) -> Expr {
    let values: Value = values.into();
    Expr::col(column.as_column_ref()).eq(PgFunc::any(values))
}
