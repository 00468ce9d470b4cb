//! Payment providers outside of this process.
//!
//! May use `http` and `schema`.

pub mod stripe;
