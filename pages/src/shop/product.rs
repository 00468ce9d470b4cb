//! A product, its price and its stock, and the timed sale that it is in.

use std::borrow::Borrow;

use askama::Template;
use chrono::{DateTime, Utc};
use entity::{Money, ProductId};

use crate::parts::LiveStock;
use crate::shop::Picture;
use crate::shop::picture::{Image, Spot};
use crate::{Form, Layout};

/// The cards of a catalogue that are seen without scrolling on most screens.
const FIRST_CARDS: usize = 8;

/// The lines of a cart that are seen without scrolling on most screens.
const FIRST_LINES: usize = 6;

/// A product as its reader can buy it.
#[derive(Debug, Clone)]
pub struct Product {
    pub id: ProductId,
    pub sku: String,
    pub name: String,
    pub description: Option<String>,
    /// Its uploaded picture; `None` for a neutral one.
    pub picture: Option<Picture>,
    /// The price for the reader now.
    pub price: Money,
    pub list_price: Money,
    /// Units that a new buyer could get now.
    pub available: i64,
    /// Reservations in its waitlist.
    pub waiting: i64,
    pub limit_per_customer: Option<i32>,
    /// The sale that makes the price, otherwise the next one.
    pub sale: Option<Sale>,
    /// Why it cannot be bought, whatever its stock.
    pub not_for_sale: Option<NotForSale>,
}

/// A timed sale with the product in it.
#[derive(Debug, Clone)]
pub struct Sale {
    pub name: String,
    /// Whether the product is sold in its sales only.
    pub is_exclusive: bool,
    pub state: SaleState,
    pub opens_at: DateTime<Utc>,
    pub closes_at: DateTime<Utc>,
    /// Seconds by the server's clock until the sale opens, or until it closes while it is open.
    pub seconds_left: i64,
    /// The price in the sale.
    pub price: Money,
    pub limit_per_customer: Option<i32>,
}

/// The state of a timed sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaleState {
    Upcoming,
    Open,
    Closed,
}

/// Why a product cannot be bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotForSale {
    /// It was taken off sale.
    Inactive,
    /// Its sale is still to open.
    NotYetOpen(DateTime<Utc>),
    /// Its sale is over.
    Closed(DateTime<Utc>),
}

/// The page of one product.
#[derive(Debug, Template)]
#[template(path = "shop/product.html")]
pub struct ProductPage {
    pub layout: Layout,
    pub product: Product,
    /// The form that puts it into the cart, holds it, or joins the waitlist.
    pub form: Form,
    /// Whether a hold can be asked for: a signed-in customer of a business with this feature.
    pub can_hold: bool,
    /// The reservation of this visitor with the product, if one is waiting or held: its address.
    pub reservation: Option<String>,
    /// The address of the stream of stock, as in the catalogue.
    pub stream: Option<String>,
}

impl Product {
    fn image(&self, spot: Spot) -> Image {
        Image::of(self.picture.as_ref(), (&self.name, &self.sku), spot)
    }

    /// The image for the card at this place of the catalogue, counted from 0.
    pub(crate) fn card_image(&self, index: impl Borrow<usize>) -> Image {
        self.image(Spot::Card).after(*index.borrow(), FIRST_CARDS)
    }

    /// The image for the product's own page.
    pub(crate) fn page_image(&self) -> Image {
        self.image(Spot::Page)
    }

    /// The image for the line at this place of a cart, counted from 0.
    pub(crate) fn line_image(&self, index: impl Borrow<usize>) -> Image {
        self.image(Spot::Line).after(*index.borrow(), FIRST_LINES)
    }

    pub(crate) fn live_stock(&self) -> LiveStock {
        LiveStock::new(self.id, self.available, self.waiting)
    }

    /// Whether the price is below the list price.
    pub(crate) fn is_reduced(&self) -> bool {
        self.price < self.list_price
    }

    /// The open sale.
    pub(crate) fn open_sale(&self) -> Option<&Sale> {
        let sale = self.sale.as_ref();
        sale.filter(|sale| sale.state == SaleState::Open)
    }

    /// The sale that is still to open.
    pub(crate) fn next_sale(&self) -> Option<&Sale> {
        let sale = self.sale.as_ref();
        sale.filter(|sale| sale.state == SaleState::Upcoming)
    }

    /// The lower of the limits per customer.
    pub(crate) fn limit(&self) -> Option<i64> {
        let of_sale = self.open_sale().and_then(|sale| sale.limit_per_customer);
        let limits = [self.limit_per_customer, of_sale].into_iter().flatten();
        limits.min().map(i64::from)
    }

    /// The most units that the quantity field takes.
    pub(crate) fn most(&self) -> i64 {
        let most = self
            .limit()
            .map_or(self.available, |limit| limit.min(self.available));
        most.max(1)
    }
}

impl ProductPage {
    /// What was typed as the quantity, if it is a number.
    fn quantity(&self) -> u32 {
        self.form.value("quantity").parse().unwrap_or(1)
    }

    /// What a reader of screens is told when the offer changes.
    fn news(&self) -> String {
        let product = &self.product;
        match (product.not_for_sale, product.open_sale()) {
            (None, Some(sale)) => format!("The sale {} is open.", sale.name),
            (None, None) => "The product is on sale.".to_owned(),
            (Some(NotForSale::NotYetOpen(_)), _) => "The sale is not open yet.".to_owned(),
            (Some(NotForSale::Closed(_)), _) => "The sale is over.".to_owned(),
            (Some(NotForSale::Inactive), _) => "The product is not on sale any more.".to_owned(),
        }
    }
}
