//! What customers have bought and hold of products with a limit per customer.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::{BusinessId, CustomerId, ProductId, SaleId};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::Offer;
use crate::{Error, Transaction};

/// A limit per customer: a product's own, or that of a sale of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limited {
    pub(crate) product_id: ProductId,
    /// The sale, if the limit is a sale's.
    pub(crate) sale_id: Option<SaleId>,
    /// What was bought from then on counts.
    pub(crate) since: DateTime<Utc>,
}

/// How much of a limit a customer has used.
#[derive(Debug, FromQueryResult)]
pub(crate) struct Usage {
    pub(crate) customer_id: CustomerId,
    pub(crate) product_id: ProductId,
    pub(crate) sale_id: Option<SaleId>,
    pub(crate) quantity: i64,
}

impl Limited {
    /// The limit of a product itself.
    pub(crate) fn ever(product_id: ProductId) -> Self {
        Self {
            product_id,
            sale_id: None,
            since: DateTime::UNIX_EPOCH,
        }
    }

    /// The limit of a sale.
    pub(crate) fn in_sale(product_id: ProductId, offer: &Offer) -> Self {
        Self {
            product_id,
            sale_id: Some(offer.sale_id),
            since: offer.opens_at,
        }
    }
}

/// Only a cancelled order counts no more: goods that come back have been had. An array has no gaps: the id that nothing has
/// stands for none.
const BOUGHT: &str = "
SELECT o.customer_id, i.product_id, nullif(limited.sale_id, '00000000-0000-0000-0000-000000000000') AS sale_id,
       coalesce(sum(i.quantity) FILTER (WHERE o.created_at >= limited.since), 0)::bigint AS quantity
  FROM orders o
  JOIN order_items i ON i.business_id = $1 AND i.order_id = o.id
  JOIN unnest($3::uuid[], $4::uuid[], $5::timestamptz[]) AS limited (product_id, sale_id, since)
    ON limited.product_id = i.product_id
 WHERE o.business_id = $1 AND o.customer_id = ANY ($2) AND o.status <> 'cancelled'
 GROUP BY o.customer_id, i.product_id, limited.sale_id";

/// What these customers have bought of limited products, within each limit. Nothing is read where nothing is limited.
pub(crate) async fn bought(
    transaction: &Transaction,
    business: BusinessId,
    customers: Vec<Uuid>,
    limited: &[Limited],
) -> Result<Vec<Usage>, Error> {
    usage(transaction, business, BOUGHT, customers, limited).await
}

const HELD: &str = "
SELECT r.customer_id, i.product_id, nullif(limited.sale_id, '00000000-0000-0000-0000-000000000000') AS sale_id,
       coalesce(sum(i.quantity) FILTER (WHERE r.created_at >= limited.since), 0)::bigint AS quantity
  FROM reservations r
  JOIN reservation_items i ON i.business_id = $1 AND i.reservation_id = r.id
  JOIN unnest($3::uuid[], $4::uuid[], $5::timestamptz[]) AS limited (product_id, sale_id, since)
    ON limited.product_id = i.product_id
 WHERE r.business_id = $1 AND r.customer_id = ANY ($2) AND r.status IN ('waiting', 'active') AND r.expires_at > now()
   AND i.held
 GROUP BY r.customer_id, i.product_id, limited.sale_id";

/// What these customers hold of limited products, within each limit. A place in line uses nothing of a sale up, as at the
/// desk.
async fn held(
    transaction: &Transaction,
    business: BusinessId,
    customers: Vec<Uuid>,
    limited: &[Limited],
) -> Result<Vec<Usage>, Error> {
    usage(transaction, business, HELD, customers, limited).await
}

async fn usage(
    transaction: &Transaction,
    business: BusinessId,
    sql: &'static str,
    customers: Vec<Uuid>,
    limited: &[Limited],
) -> Result<Vec<Usage>, Error> {
    if limited.is_empty() {
        return Ok(Vec::new());
    }
    let products: Vec<Uuid> = limited.iter().map(|limit| limit.product_id.0).collect();
    let sales = limited
        .iter()
        .map(|limit| limit.sale_id.map_or(Uuid::nil(), |id| id.0));
    let since: Vec<DateTime<Utc>> = limited.iter().map(|limit| limit.since).collect();
    let values: [Value; 5] = [
        business.0.into(),
        customers.into(),
        products.into(),
        sales.collect::<Vec<Uuid>>().into(),
        since.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let rows = transaction.query_all_raw(statement).await?;
    let usage = rows.iter().map(|row| Usage::from_query_result(row, ""));
    Ok(usage.collect::<Result<_, _>>()?)
}

/// What one customer has in each sale of each product.
pub(crate) type InSales = HashMap<(ProductId, SaleId), i64>;

/// What a customer has bought, holds and waits for of products, in each of their sales that have a limit.
pub(crate) async fn in_sales(
    transaction: &Transaction,
    business: BusinessId,
    customer: CustomerId,
    limited: &[Limited],
) -> Result<InSales, Error> {
    let customer = vec![customer.0];
    let mut all = bought(transaction, business, customer.clone(), limited).await?;
    all.extend(held(transaction, business, customer, limited).await?);
    let mut sums = InSales::new();
    for one in all {
        if let Some(sale) = one.sale_id {
            *sums.entry((one.product_id, sale)).or_default() += one.quantity;
        }
    }
    Ok(sums)
}
