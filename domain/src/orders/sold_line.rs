//! An item of an order that was just placed.

use std::sync::Arc;

use entity::{Money, ProductId};

/// A product that was sold, as it is at the time of the sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoldLine {
    /// The product.
    pub product_id: ProductId,
    /// The product's SKU.
    pub sku: Arc<str>,
    /// The product's name.
    pub name: Arc<str>,
    /// Units sold, at least 1.
    pub quantity: i64,
    /// The price of one unit.
    pub unit_price: Money,
    /// Quantity times unit price.
    pub line_total: Money,
    /// Units on hand after the sale; `None` for a card order, whose units are held only.
    pub on_hand_after: Option<i64>,
}
