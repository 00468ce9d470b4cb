//! What the sales of a product mean for whoever buys it at some time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::sales::State;
use entity::{BusinessId, Money, ProductId, SaleId};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use crate::{Error, Transaction};

/// A sale that a product is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The sale.
    pub sale_id: SaleId,
    /// Its name.
    pub name: String,
    /// From when on the product is sold in it.
    pub opens_at: DateTime<Utc>,
    /// From when on it is not any more.
    pub closes_at: DateTime<Utc>,
    /// What it costs in the sale, when that is not the catalogue's price.
    pub price: Option<Money>,
    /// How many of it one customer may buy and hold in the sale.
    pub limit_per_customer: Option<i32>,
}

impl Offer {
    /// What the product costs in the sale, for what it costs in the catalogue.
    #[must_use]
    pub fn price(&self, catalogue: Money) -> Money {
        self.price.unwrap_or(catalogue)
    }

    /// Where its sale stands.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> State {
        State::at(now, self.opens_at, self.closes_at)
    }
}

/// What a product's sales come to at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// It is sold on these terms.
    Open(&'a Offer),
    /// It is not sold; this is the next to open, or else the last that closed.
    NotOpen(&'a Offer),
}

/// The sale that counts: of the open ones that with the lowest price, then the one that opened first; else the next to
/// open; else the last that closed. `None` for a product that is in no sale and is sold as the catalogue says.
pub(crate) fn standing(
    offers: &[Offer],
    catalogue: Money,
    now: DateTime<Utc>,
) -> Option<Standing<'_>> {
    let of = |state: State| offers.iter().filter(move |offer| offer.state(now) == state);
    let open =
        of(State::Open).min_by_key(|offer| (offer.price(catalogue), offer.opens_at, offer.sale_id));
    let next = || of(State::Upcoming).min_by_key(|offer| (offer.opens_at, offer.sale_id));
    let last = || of(State::Closed).max_by_key(|offer| (offer.closes_at, offer.sale_id));
    match open {
        Some(offer) => Some(Standing::Open(offer)),
        None => next().or_else(last).map(Standing::NotOpen),
    }
}

/// Of the sales that have closed a product's last is enough: there may be many.
const OFFERS: &str = "
SELECT product_id, id, name, opens_at, closes_at, price, limit_per_customer
  FROM (SELECT p.product_id, s.id, s.name, s.opens_at, s.closes_at, p.price, s.limit_per_customer,
               row_number() OVER (PARTITION BY p.product_id ORDER BY s.closes_at DESC, s.id DESC) AS from_last
          FROM sale_products p
          JOIN sales s ON s.business_id = $1 AND s.id = p.sale_id
         WHERE p.business_id = $1 AND p.product_id = ANY ($2)) AS offer
 WHERE closes_at > now() OR from_last = 1";

/// The sales of products, as far as [`standing`] can want them at any time from the transaction's start on.
pub(crate) async fn of_products(
    transaction: &Transaction,
    business: BusinessId,
    products: impl IntoIterator<Item = ProductId>,
) -> Result<HashMap<ProductId, Vec<Offer>>, Error> {
    let mut offers: HashMap<ProductId, Vec<Offer>> = HashMap::new();
    let ids: Vec<Uuid> = products.into_iter().map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(offers);
    }
    let values: [Value; 2] = [business.0.into(), ids.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, OFFERS, values);
    for row in transaction.query_all_raw(statement).await? {
        let offer = Offer {
            sale_id: row.try_get_by_index(1)?,
            name: row.try_get_by_index(2)?,
            opens_at: row.try_get_by_index(3)?,
            closes_at: row.try_get_by_index(4)?,
            price: row.try_get_by_index(5)?,
            limit_per_customer: row.try_get_by_index(6)?,
        };
        offers
            .entry(row.try_get_by_index(0)?)
            .or_default()
            .push(offer);
    }
    Ok(offers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use entity::Currency;

    fn usd(text: &str) -> Money {
        Money::parse(text, Currency::USD).unwrap()
    }

    /// A sale from and until so many seconds after the epoch.
    fn offer(opens: i64, closes: i64, price: Option<&str>) -> Offer {
        Offer {
            sale_id: SaleId::new(),
            name: format!("{opens} to {closes}"),
            opens_at: at(opens),
            closes_at: at(closes),
            price: price.map(usd),
            limit_per_customer: None,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn a_product_of_no_sale_is_sold_as_the_catalogue_says() {
        assert_eq!(standing(&[], usd("10"), at(0)), None);
    }

    #[test]
    fn a_sale_is_open_from_its_first_moment_and_not_in_its_last() {
        let offers = [offer(10, 20, None)];
        for (second, open) in [(9, false), (10, true), (19, true), (20, false)] {
            let expected = match open {
                true => Standing::Open(&offers[0]),
                false => Standing::NotOpen(&offers[0]),
            };
            assert_eq!(
                standing(&offers, usd("10"), at(second)),
                Some(expected),
                "{second}"
            );
        }
    }

    #[test]
    fn of_open_sales_the_lowest_price_counts_be_it_the_catalogues() {
        let offers = [
            offer(0, 20, Some("9")),
            offer(5, 20, None),
            offer(5, 20, Some("8")),
        ];
        assert_eq!(
            standing(&offers, usd("10"), at(7)),
            Some(Standing::Open(&offers[2]))
        );
        assert_eq!(
            standing(&offers, usd("7"), at(7)),
            Some(Standing::Open(&offers[1]))
        );
        // One that is cheaper and not open counts nothing.
        assert_eq!(
            standing(&offers, usd("7"), at(4)),
            Some(Standing::Open(&offers[0]))
        );
    }

    #[test]
    fn at_one_price_the_sale_that_opened_first_counts_and_then_the_older_one() {
        let offers = [
            offer(5, 20, Some("9")),
            offer(3, 20, Some("9")),
            offer(3, 30, Some("9")),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let shuffled = order.map(|place: usize| offers[place].clone());
            assert_eq!(
                standing(&shuffled, usd("10"), at(7)),
                Some(Standing::Open(&offers[1]))
            );
        }
    }

    #[test]
    fn when_none_is_open_the_next_to_open_counts_and_then_the_last_that_closed() {
        let offers = [
            offer(0, 10, None),
            offer(40, 50, None),
            offer(20, 30, None),
            offer(2, 12, None),
        ];
        let opens = |second| match standing(&offers, usd("1"), at(second)) {
            Some(Standing::NotOpen(offer)) => offer.name.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(opens(15), "20 to 30");
        assert_eq!(opens(30), "40 to 50");
        assert_eq!(opens(50), "40 to 50");
        assert_eq!(
            standing(&offers[..1], usd("1"), at(10)),
            Some(Standing::NotOpen(&offers[0]))
        );
    }
}
