//! A new password for a forgotten one.

use askama::Template;

use crate::{Form, Layout};

/// Asks for the code that the business gave, and the new password.
#[derive(Debug, Template)]
#[template(path = "shop/reset.html")]
pub struct Reset {
    pub layout: Layout,
    pub form: Form,
    /// Where to go after the login that follows: a path of this store.
    pub next: String,
}
