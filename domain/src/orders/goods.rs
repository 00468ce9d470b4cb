//! The goods of an order: the units outside, and what they are still worth.
//!
//! Units and money are counted separately. Returned units are the sum of the order's stock movements. Credited or
//! refunded units are the sum of the documents that are in effect. Goods can therefore come back as long as they are
//! outside, for the money that is left of the order, which may be 0.
//!
//! One statement, under the lock of the customer (on credit) or of the order (by card).

use std::collections::BTreeMap;

use entity::{BusinessId, Money, OrderId, ProductId};
use sea_orm::{DbBackend, FromQueryResult, Statement, Value};

use crate::{Error, Transaction};

/// Raw: sums over a union of two kinds of documents, joined with sums over movements.
///
/// An order on credit has credit notes, a card order has refunds. The goods of a card order that was never paid have
/// not left the stock.
const GOODS: &str = "
SELECT i.product_id, i.unit_price, coalesce(d.credited, 0)::bigint AS credited, coalesce(d.kept, 0)::bigint AS kept,
       coalesce(m.returned, 0)::bigint AS returned,
       i.quantity AS ordered,
       CASE WHEN o.payment_method = 'credit' OR o.status IN ('paid', 'fulfilled')
              OR EXISTS (SELECT FROM order_transitions t
                          WHERE t.business_id = $1 AND t.order_id = $2 AND t.to_status = 'paid')
            THEN i.quantity ELSE 0 END AS sold
  FROM orders o
  JOIN order_items i ON i.business_id = $1 AND i.order_id = o.id
  LEFT JOIN (SELECT product_id, sum(quantity) AS credited, sum(quantity) FILTER (WHERE NOT restock) AS kept
               FROM (SELECT c.product_id, c.quantity, n.restock
                       FROM credit_notes n
                       JOIN credit_note_items c ON c.business_id = $1 AND c.credit_note_id = n.id
                      WHERE n.business_id = $1 AND n.order_id = $2
                        AND NOT EXISTS (SELECT FROM reversals u
                                         WHERE u.business_id = $1 AND u.customer_id = n.customer_id
                                           AND u.reverses = n.entry_number)
                     UNION ALL
                     SELECT c.product_id, c.quantity, r.restock
                       FROM refunds r
                       JOIN refund_items c ON c.business_id = $1 AND c.refund_id = r.id
                      WHERE r.business_id = $1 AND r.order_id = $2 AND r.status <> 'failed') AS document
              GROUP BY product_id) AS d ON d.product_id = i.product_id
  LEFT JOIN (SELECT product_id, sum(quantity) AS returned
               FROM stock_movements
              WHERE business_id = $1 AND order_id = $2 AND reason = 'returned'
              GROUP BY product_id) AS m ON m.product_id = i.product_id
 WHERE o.business_id = $1 AND o.id = $2";

/// A product of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
struct Good {
    product_id: ProductId,
    unit_price: Money,
    /// Units of the order item.
    ordered: i64,
    /// Units that left the stock.
    sold: i64,
    /// Units on credit notes that are not reversed, or on refunds that did not fail.
    credited: i64,
    /// Credited units that were not restocked with the document.
    kept: i64,
    /// Units that have come back.
    returned: i64,
}

/// The goods of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goods(BTreeMap<ProductId, Good>);

/// Units by product, as a document requests them.
pub(crate) type Units = BTreeMap<ProductId, i64>;

impl Good {
    /// Units whose price no document has credited or refunded.
    fn uncredited(&self) -> i64 {
        (self.ordered - self.credited).max(0)
    }

    /// Credited units that were kept and are outside. A failed refund leaves returned units without a document: the
    /// next document about them says that nothing came back.
    fn kept_by_customer(&self) -> i64 {
        let came_back = self.credited - self.kept;
        let without_document = (self.returned - came_back).max(0);
        (self.kept - without_document).max(0)
    }

    /// Units that have not come back.
    fn not_returned(&self) -> i64 {
        self.sold - self.returned
    }
}

impl Goods {
    /// Reads the goods of an order whose locks are held.
    pub(crate) async fn of(
        transaction: &Transaction,
        business: BusinessId,
        order: OrderId,
    ) -> Result<Self, Error> {
        let values: [Value; 2] = [business.0.into(), order.0.into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, GOODS, values);
        let goods = Good::find_by_statement(statement).all(transaction).await?;
        let goods = goods.into_iter().map(|good| (good.product_id, good));
        Ok(Self(goods.collect()))
    }

    /// The price of these units. Units whose price was credited or refunded before are worth 0; the other units are
    /// counted first.
    ///
    /// # Errors
    /// [`Error::MoreThanSold`] when the units exceed those outside, or, without `restock`, those not credited.
    pub(crate) fn price(&self, asked: &Units, restock: bool) -> Result<Money, Error> {
        let mut price = Money::ZERO;
        for (&product_id, &requested) in asked {
            let good = self.0.get(&product_id);
            let creditable = good.map_or(0, |good| match restock {
                true => good.not_returned(),
                false => good.uncredited(),
            });
            let Some(good) = good.filter(|_| requested <= creditable) else {
                return Err(Error::MoreThanSold {
                    product_id,
                    requested,
                    creditable,
                });
            };
            price = price + good.unit_price.times(requested.min(good.uncredited()));
        }
        Ok(price)
    }

    /// The units to restock when the order is cancelled: all that are outside, except those credited and kept.
    pub(crate) fn returning(&self) -> Vec<(ProductId, i64)> {
        let goods = self.0.values();
        let returning = goods.map(|good| {
            (
                good.product_id,
                good.not_returned() - good.kept_by_customer(),
            )
        });
        returning.filter(|(_, units)| *units > 0).collect()
    }
}

/// Sums the units of each product.
pub(crate) fn add_up(items: impl IntoIterator<Item = (ProductId, i64)>) -> Units {
    let mut sums = Units::new();
    for (product, units) in items {
        *sums.entry(product).or_default() += units;
    }
    sums
}

#[cfg(test)]
mod tests {
    use entity::Currency;

    use super::*;

    fn usd(text: &str) -> Money {
        Money::parse(text, Currency::USD).unwrap()
    }

    /// Ten units at 2.00 each.
    fn goods(credited: i64, kept: i64, returned: i64) -> (ProductId, Goods) {
        let product_id = ProductId::new();
        let good = Good {
            product_id,
            unit_price: usd("2"),
            ordered: 10,
            sold: 10,
            credited,
            kept,
            returned,
        };
        (product_id, Goods([(product_id, good)].into()))
    }

    #[test]
    fn units_come_back_while_they_are_outside_and_are_credited_once() {
        for ((credited, kept, returned), requested, restock, expected) in [
            ((0, 0, 0), 10, true, Some("20")),
            ((0, 0, 0), 11, true, None),
            // Seven were credited and kept. They may still come back, but their price was already credited.
            ((7, 7, 0), 10, true, Some("6")),
            ((7, 7, 0), 4, false, None),
            ((7, 7, 0), 3, false, Some("6")),
            // All were credited, and four of them have come back.
            ((10, 6, 4), 6, true, Some("0")),
            ((10, 6, 4), 7, true, None),
            // More units were credited than sold, because some came back after they had been credited.
            ((13, 10, 3), 7, true, Some("0")),
            ((13, 10, 3), 1, false, None),
        ] {
            let (product, goods) = goods(credited, kept, returned);
            let price = goods.price(&[(product, requested)].into(), restock);
            assert_eq!(price.ok(), expected.map(usd), "{requested} of {goods:?}");
        }
    }

    #[test]
    fn goods_that_were_credited_and_kept_do_not_come_back_with_a_cancellation() {
        for ((credited, kept, returned), expected) in [
            ((0, 0, 0), Some(10)),
            ((5, 3, 2), Some(5)),
            ((10, 10, 0), None),
            ((13, 10, 3), None),
            // Four came back with a refund that failed, and were refunded again without a second return.
            ((4, 4, 4), Some(6)),
        ] {
            let (product, goods) = goods(credited, kept, returned);
            let expected = expected.map(|units| (product, units));
            assert_eq!(goods.returning(), Vec::from_iter(expected), "{goods:?}");
        }
    }
}
