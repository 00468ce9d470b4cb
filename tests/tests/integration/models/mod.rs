//! Random histories against one reference model of a shop.

mod checkout_model;
mod purchase_model;
mod reservation_model;
mod shop;
