//! The effect of a product's timed sales on its buyer at a given time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::sales::{Kind, State};
use entity::{BusinessId, Money, ProductId, SaleId};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::{Error, Transaction};

/// A sale, with its terms for one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The sale to which the terms belong.
    pub sale_id: SaleId,
    /// The sale's name.
    pub name: String,
    /// Whether the product is sold outside the window.
    pub kind: Kind,
    /// The opening, included.
    pub opens_at: DateTime<Utc>,
    /// The closing, excluded.
    pub closes_at: DateTime<Utc>,
    /// The price in the sale; `None` means the list price.
    pub price: Option<Money>,
    /// The most units that one customer may buy or hold in the sale; `None` means no limit.
    pub limit_per_customer: Option<i32>,
}

impl Offer {
    /// The price in the sale. A discount never exceeds the list price, which may have been lowered since. An
    /// exclusive sale keeps its own price.
    #[must_use]
    pub fn price(&self, list_price: Money) -> Money {
        match (self.kind, self.price) {
            (_, None) => list_price,
            (Kind::Discount, Some(price)) => price.min(list_price),
            (Kind::Exclusive, Some(price)) => price,
        }
    }

    /// Whether the sale is upcoming, open or closed at `now`.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> State {
        State::at(now, self.opens_at, self.closes_at)
    }

    /// Whether a customer with `has` units in the sale may have more.
    fn has_units_left(&self, has: i64) -> bool {
        self.limit_per_customer
            .is_none_or(|limit| has < i64::from(limit))
    }
}

/// The way in which a product is sold at a given time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selling {
    /// At its list price: no sale is open, and none is exclusive.
    Always,
    /// In at least one open sale.
    InSales {
        /// The open sales: the cheapest first, then the earliest to open, then the oldest.
        open: Vec<Offer>,
        /// Whether one of the product's sales is exclusive, so that the list price applies to no buyer.
        exclusive: bool,
    },
    /// Not at all: it is in exclusive sales, and none of them is open. Holds the next of them to open, otherwise the
    /// last that closed.
    Closed(Offer),
}

impl Selling {
    /// The way in which a product with these sales and this list price is sold at `now`.
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

    /// The open sale in which a customer buys; `has` returns the units that they have in a sale. It is the cheapest
    /// whose limit is not used up. `None` when the list price applies. If all limits are used up and the list price
    /// does not apply, it is the cheapest, whose limit then refuses them.
    pub fn offer_for(&self, has: impl Fn(&Offer) -> i64) -> Option<&Offer> {
        let Self::InSales { open, exclusive } = self else {
            return None;
        };
        let left = open.iter().find(|offer| offer.has_units_left(has(offer)));
        left.or_else(|| open.first().filter(|_| *exclusive))
    }

    /// The open sales with a limit per customer.
    pub fn limited(&self) -> impl Iterator<Item = &Offer> {
        let open = match self {
            Self::InSales { open, .. } => open.as_slice(),
            Self::Always | Self::Closed(_) => &[],
        };
        open.iter()
            .filter(|offer| offer.limit_per_customer.is_some())
    }
}

/// The product's next sale to open, of either kind.
pub(crate) fn next(offers: &[Offer], now: DateTime<Utc>) -> Option<&Offer> {
    in_state(offers, State::Upcoming, now).min_by_key(|offer| (offer.opens_at, offer.sale_id))
}

fn in_state(offers: &[Offer], state: State, now: DateTime<Utc>) -> impl Iterator<Item = &Offer> {
    offers.iter().filter(move |offer| offer.state(now) == state)
}

/// Of the closed sales, only the last exclusive one of each product is read, since there may be many.
///
/// Raw: a rank within each product and kind, and a filter on it.
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

/// The sales of these products, as far as [`Selling::at`] needs them at any time from the start of the transaction
/// on.
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

    /// A sale; opening and closing in seconds after the epoch.
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

    /// The price for a new customer; `None` if the product is not sold.
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
    fn a_customer_who_has_used_up_the_cheapest_sale_gets_the_next_and_then_the_list_price() {
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
    fn a_customer_who_has_used_up_an_exclusive_sale_does_not_get_the_list_price() {
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
    fn without_an_open_exclusive_sale_the_next_to_open_counts_and_then_the_last_that_closed() {
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
        /// Discounts never take a product off sale and never raise its price.
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
