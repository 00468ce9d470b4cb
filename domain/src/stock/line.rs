//! The lines of a purchase, a checkout or a reservation.

use entity::{Money, ProductId, Quantity};

/// One line of a request.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The requested product.
    pub product_id: ProductId,
    /// The requested units; at least 1.
    pub quantity: Quantity,
    /// The price that the buyer saw; `None` if they did not say. It is compared with the current price, and never
    /// charged.
    pub quoted: Option<Money>,
}

/// The most lines of one order or reservation.
pub const MAX_LINES: usize = 500;
