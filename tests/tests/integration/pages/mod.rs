//! The pages of the store, as browsers without scripts see them.

mod access;
mod account;
mod addresses;
mod browser;
mod buying;
mod chromium;
mod crawl;
mod headers;
mod held_and_paid;
mod hostile;
mod logins;
mod office;
mod origins;
mod overdue;
mod passwords;
mod pictures;
mod repeated;
mod reservations;
mod rush;
mod seen;
mod sessions;
mod stripe;
mod two_browsers;
