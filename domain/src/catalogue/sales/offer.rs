//! What the sales of a product mean for whoever buys it at some time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::sales::{Kind, State};
use entity::{BusinessId, Money, ProductId, SaleId};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::{Error, Transaction};

/// A sale that a product is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The sale.
    pub sale_id: SaleId,
    /// Its name.
    pub name: String,
    /// What it means outside its window.
    pub kind: Kind,
    /// From when on the product is sold in it.
    pub opens_at: DateTime<Utc>,
    /// From when on it is not any more.
    pub closes_at: DateTime<Utc>,
    /// What it costs in the sale, when that is not the list price.
    pub price: Option<Money>,
    /// How many of it one customer may buy and hold in the sale.
    pub limit_per_customer: Option<i32>,
}

impl Offer {
    /// What the product costs in the sale. A discount never raises the list price, which may have been lowered since the
    /// sale was made; the price of an exclusive sale stands.
    #[must_use]
    pub fn price(&self, list_price: Money) -> Money {
        match (self.kind, self.price) {
            (_, None) => list_price,
            (Kind::Discount, Some(price)) => price.min(list_price),
            (Kind::Exclusive, Some(price)) => price,
        }
    }

    /// Where its sale stands.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> State {
        State::at(now, self.opens_at, self.closes_at)
    }

    /// Whether a customer who has so many in the sale may have more.
    fn is_left_to(&self, has: i64) -> bool {
        self.limit_per_customer
            .is_none_or(|limit| has < i64::from(limit))
    }
}

/// How a product is sold at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selling {
    /// At its list price: no sale of it is open, and none is exclusive.
    Always,
    /// In sales.
    InSales {
        /// The open ones: the cheapest first, then the one that opened first, then the older.
        open: Vec<Offer>,
        /// Whether one of them is exclusive: then the list price holds for nobody.
        exclusive: bool,
    },
    /// Not now: it is in exclusive sales, none of which is open. This is the next of them to open, or else the last that
    /// closed.
    Closed(Offer),
}

impl Selling {
    /// How a product with these sales and this list price is sold at that time.
    #[must_use]
    pub fn at(offers: &[Offer], list_price: Money, now: DateTime<Utc>) -> Self {
        let exclusive = |offer: &&Offer| offer.kind == Kind::Exclusive;
        let mut open: Vec<Offer> = in_state(offers, State::Open, now).cloned().collect();
        let is_exclusive = offers.iter().any(|offer| exclusive(&offer));
        if is_exclusive && !open.iter().any(|offer| exclusive(&offer)) {
            let next = in_state(offers, State::Upcoming, now)
                .filter(exclusive)
                .min_by_key(|offer| (offer.opens_at, offer.sale_id));
            let last = || {
                in_state(offers, State::Closed, now)
                    .filter(exclusive)
                    .max_by_key(|offer| (offer.closes_at, offer.sale_id))
            };
            if let Some(offer) = next.or_else(last) {
                return Self::Closed(offer.clone());
            }
        }
        if open.is_empty() {
            return Self::Always;
        }
        open.sort_unstable_by_key(|offer| (offer.price(list_price), offer.opens_at, offer.sale_id));
        Self::InSales {
            open,
            exclusive: is_exclusive,
        }
    }

    /// The open sale in which a customer buys who has so many of the product in each: the cheapest that is left to them.
    /// `None` where the list price holds. Where they have used up all and the list price does not hold, the cheapest,
    /// whose limit then refuses them.
    pub fn offer_for(&self, has: impl Fn(&Offer) -> i64) -> Option<&Offer> {
        let Self::InSales { open, exclusive } = self else {
            return None;
        };
        let left = open.iter().find(|offer| offer.is_left_to(has(offer)));
        left.or_else(|| open.first().filter(|_| *exclusive))
    }

    /// The open sales that have a limit a customer.
    pub fn limited(&self) -> impl Iterator<Item = &Offer> {
        let open = match self {
            Self::InSales { open, .. } => open.as_slice(),
            Self::Always | Self::Closed(_) => &[],
        };
        open.iter()
            .filter(|offer| offer.limit_per_customer.is_some())
    }
}

/// The next of a product's sales to open, of whatever kind.
pub(crate) fn next(offers: &[Offer], now: DateTime<Utc>) -> Option<&Offer> {
    in_state(offers, State::Upcoming, now).min_by_key(|offer| (offer.opens_at, offer.sale_id))
}

fn in_state(offers: &[Offer], state: State, now: DateTime<Utc>) -> impl Iterator<Item = &Offer> {
    offers.iter().filter(move |offer| offer.state(now) == state)
}

/// Of the sales that have closed, a product's last exclusive one is enough: there may be many.
const OFFERS: &str = "
SELECT product_id, sale_id, name, kind, opens_at, closes_at, price, limit_per_customer
  FROM (SELECT p.product_id, p.sale_id, s.name, s.kind, s.opens_at, s.closes_at, p.price, s.limit_per_customer,
               row_number() OVER (PARTITION BY p.product_id, s.kind ORDER BY s.closes_at DESC, s.id DESC) AS from_last
          FROM sale_products p
          JOIN sales s ON s.business_id = $1 AND s.id = p.sale_id
         WHERE p.business_id = $1 AND p.product_id = ANY ($2)) AS offer
 WHERE closes_at > now() OR kind = 'exclusive' AND from_last = 1";

#[derive(FromQueryResult)]
struct Row {
    product_id: ProductId,
    sale_id: SaleId,
    name: String,
    kind: Kind,
    opens_at: DateTime<Utc>,
    closes_at: DateTime<Utc>,
    price: Option<Money>,
    limit_per_customer: Option<i32>,
}

/// The sales of products, as far as [`Selling::at`] can want them at any time from the transaction's start on.
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
        let row = Row::from_query_result(&row, "")?;
        offers.entry(row.product_id).or_default().push(Offer {
            sale_id: row.sale_id,
            name: row.name,
            kind: row.kind,
            opens_at: row.opens_at,
            closes_at: row.closes_at,
            price: row.price,
            limit_per_customer: row.limit_per_customer,
        });
    }
    Ok(offers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use entity::Currency;
    use proptest::prelude::*;

    fn usd(text: &str) -> Money {
        Money::parse(text, Currency::USD).unwrap()
    }

    /// A sale from and until so many seconds after the epoch.
    fn sale(kind: Kind, opens: i64, closes: i64, price: Option<&str>) -> Offer {
        Offer {
            sale_id: SaleId::new(),
            name: format!("{opens} to {closes}"),
            kind,
            opens_at: at(opens),
            closes_at: at(closes),
            price: price.map(usd),
            limit_per_customer: None,
        }
    }

    fn exclusive(opens: i64, closes: i64, price: Option<&str>) -> Offer {
        sale(Kind::Exclusive, opens, closes, price)
    }

    fn discount(opens: i64, closes: i64, price: Option<&str>) -> Offer {
        sale(Kind::Discount, opens, closes, price)
    }

    fn limited(limit: i32, offer: Offer) -> Offer {
        Offer {
            limit_per_customer: Some(limit),
            ..offer
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    /// What a newcomer pays; `None` when the product is not sold.
    fn price(offers: &[Offer], list: &str, second: i64) -> Option<Money> {
        let selling = Selling::at(offers, usd(list), at(second));
        if let Selling::Closed(_) = selling {
            return None;
        }
        let offer = selling.offer_for(|_| 0);
        Some(offer.map_or(usd(list), |offer| offer.price(usd(list))))
    }

    #[test]
    fn a_product_of_no_sale_is_sold_at_its_list_price() {
        assert_eq!(Selling::at(&[], usd("10"), at(0)), Selling::Always);
    }

    #[test]
    fn an_exclusive_sale_sells_from_its_first_moment_and_not_in_its_last() {
        let offers = [exclusive(10, 20, Some("8"))];
        for (second, open) in [(9, false), (10, true), (19, true), (20, false)] {
            let expected = open.then(|| usd("8"));
            assert_eq!(price(&offers, "10", second), expected, "{second}");
        }
    }

    #[test]
    fn outside_the_window_of_a_discount_the_list_price_holds() {
        let offers = [discount(10, 20, Some("8"))];
        for (second, expected) in [(9, "10"), (10, "8"), (19, "8"), (20, "10")] {
            assert_eq!(
                price(&offers, "10", second),
                Some(usd(expected)),
                "{second}"
            );
        }
    }

    #[test]
    fn a_discount_opens_no_window_that_an_exclusive_sale_keeps_closed() {
        let offers = [exclusive(10, 20, None), discount(0, 30, Some("8"))];
        for (second, expected) in [(5, None), (15, Some("8")), (25, None)] {
            assert_eq!(price(&offers, "10", second), expected.map(usd), "{second}");
        }
    }

    #[test]
    fn of_open_sales_the_cheapest_counts_then_the_first_to_open_then_the_older() {
        let offers = [
            exclusive(5, 20, Some("9")),
            exclusive(3, 20, Some("9")),
            discount(3, 30, Some("9")),
            discount(6, 30, Some("7")),
        ];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 2, 0]] {
            let shuffled = order.map(|place: usize| offers[place].clone());
            let chosen = |second| {
                let selling = Selling::at(&shuffled, usd("10"), at(second));
                selling.offer_for(|_| 0).cloned()
            };
            assert_eq!(chosen(5).as_ref(), Some(&offers[1]), "{order:?}");
            assert_eq!(chosen(7).as_ref(), Some(&offers[3]), "{order:?}");
        }
    }

    #[test]
    fn who_has_used_up_the_cheapest_gets_the_next_and_then_the_list_price() {
        let offers = [
            limited(1, discount(0, 9, Some("7"))),
            limited(2, discount(0, 9, Some("8"))),
        ];
        let selling = Selling::at(&offers, usd("10"), at(5));
        let chosen = |has: i64| {
            selling
                .offer_for(|_| has)
                .map(|offer| offer.price(usd("10")))
        };
        assert_eq!(chosen(0), Some(usd("7")));
        assert_eq!(chosen(1), Some(usd("8")));
        assert_eq!(chosen(2), None);
    }

    #[test]
    fn who_has_used_up_an_exclusive_sale_does_not_get_the_list_price() {
        let offers = [limited(1, exclusive(0, 9, Some("7")))];
        let selling = Selling::at(&offers, usd("10"), at(5));
        assert_eq!(selling.offer_for(|_| 1), Some(&offers[0]));
    }

    #[test]
    fn a_discount_charges_no_more_than_the_list_price_and_an_exclusive_sale_its_own() {
        assert_eq!(price(&[discount(0, 9, Some("8"))], "5", 1), Some(usd("5")));
        assert_eq!(price(&[exclusive(0, 9, Some("8"))], "5", 1), Some(usd("8")));
    }

    #[test]
    fn when_no_exclusive_sale_is_open_the_next_to_open_counts_and_then_the_last_that_closed() {
        let offers = [
            exclusive(0, 10, None),
            exclusive(40, 50, None),
            exclusive(20, 30, None),
            exclusive(2, 12, None),
            discount(13, 14, None),
            discount(60, 70, None),
        ];
        let counts = |second| match Selling::at(&offers, usd("1"), at(second)) {
            Selling::Closed(offer) => offer.name,
            other => format!("{other:?}"),
        };
        assert_eq!(counts(15), "20 to 30");
        assert_eq!(counts(30), "40 to 50");
        assert_eq!(counts(50), "40 to 50");
        assert_eq!(next(&offers, at(50)), Some(&offers[5]));
        assert_eq!(next(&offers, at(60)), None);
    }

    proptest! {
        /// Discounts never take a product off sale and never make it dearer.
        #[test]
        fn discounts_only_ever_lower_the_price(
            sales in prop::collection::vec((0..20_i64, 1..10_i64, prop::option::of(0..20_u8)), 0..6),
            second in 0..30_i64,
        ) {
            let offers: Vec<Offer> = sales
                .iter()
                .map(|(opens, takes, price)| {
                    let price = price.map(|price| price.to_string());
                    discount(*opens, opens + takes, price.as_deref())
                })
                .collect();
            let lowest = offers
                .iter()
                .filter(|offer| offer.state(at(second)) == State::Open)
                .filter_map(|offer| offer.price)
                .fold(usd("10"), Ord::min);
            prop_assert_eq!(price(&offers, "10", second), Some(lowest));
        }
    }
}
