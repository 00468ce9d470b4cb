//! The store: a file a screen.

mod account;
mod address;
mod cart;
mod catalogue;
mod checkout;
mod error;
mod home;
mod login;
mod order;
mod orders;
mod pay;
mod picture;
mod product;
mod register;
mod reservation;
mod reservations;
mod reset;

pub use account::{Account, Entry, Figures, Session, Statement};
pub use address::{AddressPage, address_members};
pub use cart::{Cart, CartLine, LineProblem};
pub use catalogue::{Catalogue, Choice};
pub use checkout::{Checkout, Credit};
pub use error::ErrorPage;
pub use home::{Door, Home};
pub use login::Login;
pub use order::{Order, OrderLine, OrderPage, Paper, PaperKind, Step};
pub use orders::{OrderRow, Orders};
pub use pay::{Pay, PayState};
pub use picture::Picture;
pub use product::{NotForSale, Product, ProductPage, Sale, SaleState};
pub use register::Register;
pub use reservation::Reservation;
pub use reservations::{ReservationRow, Reservations};
pub use reset::Reset;

pub(crate) use order::address_lines;
