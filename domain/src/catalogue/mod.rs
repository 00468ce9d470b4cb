//! What is sold and for how much: products and timed sales.
//!
//! May use `stock` and what is below it: a product is created with its first stock and listed with what is available.
//! Stock needs no product's name or price.

pub mod products;
pub mod sales;
