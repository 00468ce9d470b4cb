//! The cart: what was put into it, and what has changed since.

use askama::Template;
use entity::Money;

use crate::shop::Product;
use crate::{Form, Layout};

/// The lines of the cart with the current prices and stock.
#[derive(Debug, Template)]
#[template(path = "shop/cart.html")]
pub struct Cart {
    pub layout: Layout,
    pub form: Form,
    pub lines: Vec<CartLine>,
    /// The sum of the lines that can be bought.
    pub total: Money,
}

/// One product of the cart.
#[derive(Debug, Clone)]
pub struct CartLine {
    /// The product as it can be bought now.
    pub product: Product,
    pub quantity: i64,
    /// The current price of all its units.
    pub line_total: Money,
    /// What stands in the way of buying it.
    pub problem: Option<LineProblem>,
}

/// Why a line cannot be bought as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineProblem {
    /// There are fewer units than asked for.
    Shortage { available: i64 },
    /// No units are left.
    SoldOut,
    /// The product cannot be bought now, whatever its stock.
    NotForSale,
    /// The price differs from the one that the buyer saw.
    PriceChanged { was: Money },
    /// Each customer can buy so many units; the buyer has bought some of them before.
    LimitReached { limit: i64, bought: i64 },
}

impl Cart {
    /// Whether all lines can be bought as they are.
    fn is_ready(&self) -> bool {
        let mut problems = self.lines.iter().filter_map(|line| line.problem);
        problems.all(|problem| matches!(problem, LineProblem::PriceChanged { .. }))
    }
}

impl LineProblem {
    /// The number of units that would fit; `None` if the quantity is not the problem.
    pub(crate) fn fitting(self) -> Option<i64> {
        match self {
            Self::Shortage { available } => Some(available),
            Self::SoldOut => Some(0),
            Self::LimitReached { limit, bought } => Some((limit - bought).max(0)),
            Self::NotForSale | Self::PriceChanged { .. } => None,
        }
    }
}
