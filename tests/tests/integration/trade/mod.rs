//! Customers, products, stock, purchases and orders.

mod available;
mod businesses;
mod calendar;
mod customers;
mod details;
mod finding;
mod flash_sale;
mod held_stock;
mod hold_limits;
mod imports;
mod inventory;
mod lists;
mod low_stock;
mod off_sale;
mod orders;
mod own_holds;
mod products;
pub(crate) mod purchase;
mod quoted_prices;
mod reservations;
mod sale_kinds;
mod sale_times;
mod sales;
mod skus;
mod stock_receipts;
mod sweep;
mod transitions;
