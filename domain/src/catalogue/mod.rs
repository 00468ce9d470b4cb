//! The catalogue wing: products, their pictures, and timed sales.
//!
//! May use `stock` and what is below it: a product is created with its first stock and listed with its availability.
//! Stock reads no price list: a reservation carries its own price.

pub mod cache;
pub mod pictures;
pub mod product_changes;
pub mod products;
pub mod sales;
