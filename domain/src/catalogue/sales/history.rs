//! The purchase history and the holds of products with a limit per customer.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::{BusinessId, CustomerId, ProductId, SaleId};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::Offer;
use crate::foundation::retry::retry;
use crate::{Database, Error, Transaction};

/// A limit per customer: a product's own, or that of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limited {
    pub(crate) product_id: ProductId,
    /// The sale whose limit it is; `None` for the product's own limit.
    pub(crate) sale_id: Option<SaleId>,
    /// The time from which on purchases count.
    pub(crate) since: DateTime<Utc>,
}

/// A customer's use of a limit, in units.
#[derive(Debug, FromQueryResult)]
pub(crate) struct Usage {
    pub(crate) customer_id: CustomerId,
    pub(crate) product_id: ProductId,
    pub(crate) sale_id: Option<SaleId>,
    pub(crate) quantity: i64,
}

impl Limited {
    /// The product's own limit, for all time.
    pub(crate) fn ever(product_id: ProductId) -> Self {
        Self {
            product_id,
            sale_id: None,
            since: DateTime::UNIX_EPOCH,
        }
    }

    /// The limit of a sale, from its opening on.
    pub(crate) fn in_sale(product_id: ProductId, offer: &Offer) -> Self {
        Self {
            product_id,
            sale_id: Some(offer.sale_id),
            since: offer.opens_at,
        }
    }
}

/// Only cancelled orders do not count; returned goods still do. The driver's arrays have no nulls, so the nil UUID
/// stands for a limit without a sale.
///
/// Raw: a join with arrays, and a sum with a filter per limit.
const BOUGHT: &str = "
SELECT o.customer_id, i.product_id, nullif(limited.sale_id, '00000000-0000-0000-0000-000000000000') AS sale_id,
       coalesce(sum(i.quantity) FILTER (WHERE o.created_at >= limited.since), 0)::bigint AS quantity
  FROM orders o
  JOIN order_items i ON i.business_id = $1 AND i.order_id = o.id
  JOIN unnest($3::uuid[], $4::uuid[], $5::timestamptz[]) AS limited (product_id, sale_id, since)
    ON limited.product_id = i.product_id
 WHERE o.business_id = $1 AND o.customer_id = ANY ($2) AND o.status <> 'cancelled'
 GROUP BY o.customer_id, i.product_id, limited.sale_id";

/// The units that these customers have bought within each limit. Costs one statement, or none without limits.
pub(crate) async fn bought(
    transaction: &Transaction,
    business: BusinessId,
    customers: Vec<Uuid>,
    limited: &[Limited],
) -> Result<Vec<Usage>, Error> {
    usage(transaction, business, BOUGHT, customers, limited).await
}

/// As [`BOUGHT`], and raw for the same reason.
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

/// The units that these customers hold within each limit. Positions in waitlists do not count, as at the desk.
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

/// A customer's units in each sale, by product and sale.
pub(crate) type InSales = HashMap<(ProductId, SaleId), i64>;

/// [`in_sales`] in a transaction of its own.
pub(crate) async fn read_in_sales(
    database: &Database,
    business: BusinessId,
    customer: CustomerId,
    limited: &[Limited],
) -> Result<InSales, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let has = in_sales(&transaction, business, customer, limited).await?;
        transaction.commit().await?;
        Ok(has)
    })
    .await
}

/// The units that a customer has bought or holds in each sale with a limit. Costs two statements, or none without
/// limits.
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
