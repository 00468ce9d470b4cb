//! Products as all readers share them: everything but what depends on one reader, or passes with time.
//!
//! The price depends on both. It is therefore found when the products are shown, by the database's time at that moment.

use std::collections::HashMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use entity::sales::State;
use entity::{BusinessId, ProductId};

use super::{Found, Product};
use crate::catalogue::sales::{self, InSales, Limited, Offer};
use crate::foundation::clock;
use crate::{Error, Transaction};

/// Products that were read together, with their stock and sales.
#[derive(Debug)]
pub(crate) struct SharedProducts {
    /// The products at their list price.
    rows: Vec<Product>,
    offers: HashMap<ProductId, Vec<Offer>>,
    /// The database's time at a moment of this process. Without sales it is the process's own, on which nothing depends.
    read_at: (DateTime<Utc>, Instant),
}

impl SharedProducts {
    /// Adds stock and sales to the rows.
    pub(crate) async fn read(
        transaction: &Transaction,
        business: BusinessId,
        found: impl IntoIterator<Item = Found>,
    ) -> Result<Self, Error> {
        let mut found: Vec<Found> = found.into_iter().collect();
        let stocks = found.iter_mut().filter_map(|(_, stock)| stock.as_mut());
        crate::stock::inventory::without_expired(transaction, business, stocks).await?;
        let rows = found.into_iter().map(|(product, stock)| {
            let (available, waiting) =
                stock.map_or((0, 0), |stock| (stock.available(), stock.waiting));
            Product {
                waiting,
                ..Product::plain(product, available)
            }
        });
        let rows: Vec<Product> = rows.collect();
        let in_sale = rows.iter().map(|row| &row.product);
        let in_sale = in_sale.filter(|product| product.in_sale);
        let in_sale = in_sale.map(|product| product.id);
        let offers = sales::of_products(transaction, business, in_sale).await?;
        let now = match offers.is_empty() {
            true => Utc::now(),
            false => clock::now(transaction).await?,
        };
        Ok(Self {
            rows,
            offers,
            read_at: (now, Instant::now()),
        })
    }

    /// The database's time at this moment.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let (time, at) = self.read_at;
        time + at.elapsed()
    }

    /// The limits per customer of the sales that are open at `now`.
    pub(crate) fn limits(&self, now: DateTime<Utc>) -> Vec<Limited> {
        let all = self
            .offers
            .iter()
            .flat_map(|(product, offers)| offers.iter().map(|offer| (*product, offer)));
        let limited = all.filter(|(_, offer)| {
            offer.limit_per_customer.is_some() && offer.state(now) == State::Open
        });
        let limited = limited.map(|(product, offer)| Limited::in_sale(product, offer));
        limited.collect()
    }

    /// The products at `now` for a reader who has used `has` of the limits; for a new customer if that is nothing.
    pub(crate) fn seen_with(&self, has: &InSales, now: DateTime<Utc>) -> Vec<Product> {
        let mut products = self.rows.clone();
        for product in &mut products {
            if let Some(offers) = self.offers.get(&product.product.id) {
                product.in_sales(offers, has, now);
            }
        }
        products
    }

    /// The memory that they take, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let row = |row: &Product| {
            let (product, pairs) = (&row.product, row.product.metadata.iter());
            let pairs = pairs.flat_map(|metadata| &metadata.0);
            let pairs = pairs.map(|(key, value)| 96 + key.len() + value.len());
            let description = product.description.as_ref().map_or(0, String::len);
            512 + product.sku.len() + product.name.len() + description + pairs.sum::<usize>()
        };
        let offers = self.offers.values().flatten();
        let offers = offers.map(|offer| 256 + offer.name.len());
        self.rows.iter().map(row).sum::<usize>() + offers.sum::<usize>()
    }
}
