//! The pages: HTML of the store and the back office, and the static files that it needs.
//!
//! A screen is a struct with `#[derive(Template)]`: its fields are plain data, its template is a file in `templates/`. The
//! crate knows neither HTTP nor the database, so a screen can be rendered from sample data.
//!
//! Everything that a template prints is escaped. Only the types in `parts` are printed as they are, since they are
//! rendered from templates themselves. No template has scripts or styles in it; a test reads them.

pub mod assets;
pub mod form;
pub mod layout;
pub mod office;
mod parts;
mod plot;
pub mod shop;
pub mod text;
pub mod words;

pub use askama::Template;
pub use assets::{Asset, assets};
pub(crate) use assets::{htmx, office_style, pictures, script, style};
pub use form::{Form, Refusal};
pub use layout::{Business, Layout, Notice};
pub use parts::StockText;
pub(crate) use parts::{countdown, icon};
