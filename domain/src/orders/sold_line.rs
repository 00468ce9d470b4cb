//! A line of an order that was just placed.

use std::sync::Arc;

use entity::{Money, ProductId};

/// One product that was sold, as it is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoldLine {
    /// What.
    pub product_id: ProductId,
    /// Its number in the catalogue.
    pub sku: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// How many.
    pub quantity: i64,
    /// The product's price.
    pub unit_price: Money,
    /// Quantity times price.
    pub line_total: Money,
    /// What stays on the shelf; `None` while it is only held there, for an order by card.
    pub on_hand_after: Option<i64>,
}
