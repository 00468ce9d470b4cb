//! What is sold and for how much: products and timed sales.
//!
//! May use `identity` and what is below it.

pub mod products;
pub mod sales;
