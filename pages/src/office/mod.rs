//! The back office: a file a screen.

mod dashboard;
mod frame;
mod list;
mod login;
mod order;
mod orders;

pub use dashboard::{Dashboard, Day, RunningOut};
pub use frame::{Frame, Section};
pub use list::{Chip, Ordering};
pub use login::Login;
pub use order::{Action, Actions, Entry, Event, OrderPage, OrderPaper};
pub use orders::{OrderRow, Orders, Shipment, Shipments};
