//! Random histories against models of plain lists.

mod checkout_model;
mod purchase_model;
mod reservation_model;
