//! The catalogue: search, filters and pages.

use askama::Template;

use crate::Layout;
use crate::shop::Product;

/// A page of products.
#[derive(Debug, Template)]
#[template(path = "shop/catalogue.html")]
pub struct Catalogue {
    pub layout: Layout,
    pub products: Vec<Product>,
    /// The search text; empty without one.
    pub q: String,
    /// What is wrong with the address's parameters; `None` if nothing is.
    pub fault: Option<String>,
    /// The values of the parameter `sort`; none where the list has one order.
    pub sorts: Vec<Choice>,
    /// Parameters that are on or off, such as `available=true`.
    pub filters: Vec<Choice>,
    /// The addresses of the first and the next page.
    pub first: Option<String>,
    pub next: Option<String>,
    /// The address of the stream of stock. Its events have a product's id as name and a [`crate::StockText`] as data.
    pub stream: Option<String>,
}

/// A value that a visitor can choose.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The name of the parameter.
    pub name: &'static str,
    pub value: String,
    pub text: String,
    pub chosen: bool,
}

impl Catalogue {
    /// Whether anything narrows the list.
    fn is_narrowed(&self) -> bool {
        !self.q.is_empty() || self.filters.iter().any(|filter| filter.chosen)
    }
}
