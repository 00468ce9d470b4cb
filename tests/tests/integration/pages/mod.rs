//! The pages of the store, as browsers without scripts see them.

mod access;
mod account;
mod browser;
mod buying;
mod chromium;
mod crawl;
mod headers;
mod logins;
mod office;
mod origins;
mod seen;
mod sessions;
