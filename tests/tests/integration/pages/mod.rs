//! The pages of the store, as browsers without scripts see them.

mod access;
mod account;
mod browser;
mod buying;
mod chromium;
mod crawl;
mod headers;
mod logins;
mod origins;
mod pictures;
mod rush;
mod seen;
mod sessions;
mod two_browsers;
