//! The pages: what browsers get. Handlers are thin: a caller and a form, one domain function, a template of the crate
//! `pages`.
//!
//! A form that succeeds leads to what it changed (303), with a notice. One with faults or a refusal gets the same page
//! again, with what is wrong beside each field. The folder may use all but `app`, `commands` and `service`.

pub(crate) mod assets;
mod cart;
mod here;
mod logins;
pub(crate) mod office;
mod order_view;
pub(crate) mod shop;
mod start;
