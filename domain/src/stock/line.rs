//! What a buyer asks for, line by line: in a purchase, a checkout or a reservation.

use entity::{Money, ProductId, Quantity};

/// One line of what a buyer asks for.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// What.
    pub product_id: ProductId,
    /// How many.
    pub quantity: Quantity,
    /// The price that the buyer saw. Never the price that is charged.
    pub quoted: Option<Money>,
}

/// The most lines that one order or reservation may have.
pub const MAX_LINES: usize = 500;
