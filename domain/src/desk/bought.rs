//! What customers have bought before of products of which one may have so many and no more.

use chrono::{DateTime, Utc};
use entity::{BusinessId, CustomerId, ProductId};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::decision::{Books, Bought, Selling};
use crate::{Error, Transaction};

/// What each customer has bought of each limited product: ever, and since its sale opened. Only a cancelled order counts no
/// more: who has brought goods back has had their share.
const BOUGHT: &str = "
SELECT o.customer_id, i.product_id, sum(i.quantity)::bigint,
       coalesce(sum(i.quantity) FILTER (WHERE o.created_at >= limited.since), 0)::bigint
  FROM orders o
  JOIN order_items i ON i.business_id = $1 AND i.order_id = o.id
  JOIN unnest($3::uuid[], $4::timestamptz[]) AS limited (product_id, since) ON limited.product_id = i.product_id
 WHERE o.business_id = $1 AND o.customer_id = ANY ($2) AND o.status <> 'cancelled'
 GROUP BY o.customer_id, i.product_id";

/// Reads it for the locked customers. Nothing is read where nothing is limited, as mostly.
pub(super) async fn read(
    transaction: &Transaction,
    business: BusinessId,
    books: &mut Books,
) -> Result<(), Error> {
    let (mut limited, mut since): (Vec<Uuid>, Vec<DateTime<Utc>>) = (Vec::new(), Vec::new());
    for (id, article) in books.catalogue.iter().filter(|(_, one)| one.is_limited()) {
        limited.push(id.0);
        since.push(match article.selling {
            Selling::InSale { since, .. } => since,
            Selling::Always | Selling::Closed { .. } => DateTime::UNIX_EPOCH,
        });
    }
    if limited.is_empty() {
        return Ok(());
    }
    let buyers: Vec<Uuid> = books.accounts.keys().map(|id| id.0).collect();
    let values: [Value; 4] = [
        business.0.into(),
        buyers.into(),
        limited.into(),
        since.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, BOUGHT, values);
    for row in transaction.query_all_raw(statement).await? {
        let (customer, product): (CustomerId, ProductId) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if let Some(account) = books.accounts.get_mut(&customer) {
            let bought = Bought {
                ever: row.try_get_by_index(2)?,
                in_sale: row.try_get_by_index(3)?,
            };
            account.bought.insert(product, bought);
        }
    }
    Ok(())
}
