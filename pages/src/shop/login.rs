//! The login.

use askama::Template;

use crate::{Form, Layout};

/// Asks for the email address and the password.
#[derive(Debug, Template)]
#[template(path = "shop/login.html")]
pub struct Login {
    pub layout: Layout,
    pub form: Form,
    /// Where to go afterwards: a path of this store.
    pub next: String,
}
