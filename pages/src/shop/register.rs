//! The registration of a customer.

use askama::Template;

use crate::{Form, Layout};

/// Asks for what a new customer needs.
#[derive(Debug, Template)]
#[template(path = "shop/register.html")]
pub struct Register {
    pub layout: Layout,
    pub form: Form,
    /// Where to go afterwards: a path of this store.
    pub next: String,
}
