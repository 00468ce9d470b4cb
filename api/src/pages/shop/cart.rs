//! The cart of a store, which is the browser's own.

use std::collections::HashMap;

use chrono::Utc;
use domain::catalogue::products::{self, Product};
use entity::{Currency, Money, ProductId, Quantity};
use pages::Notice;
use pages::shop::{self, CartLine, LineProblem, ProductPage};

use crate::handlers::products::reader;
use crate::pages::cart::MAX_LINES;
use crate::pages::here::{Here, fresh, is_about_form, sent};
use crate::pages::shop::catalogue::{product_page, shown};
use crate::schema::body::List;
use crate::schema::endpoint::Endpoint;
use crate::schema::form::Form;
use crate::schema::problem::Problem;
use crate::schema::response::Response;
use crate::schema::text::Whole;

/// A quantity in the cart; 0 removes the line.
type Units = Whole<0, { Quantity::MAX }>;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page("showCart", "/shop/{business}/cart", show).public_of_business(),
        Endpoint::action("addToCart", "/shop/{business}/cart/add", add)
            .public_of_business()
            .of_browsers_only(),
        Endpoint::action("changeCart", "/shop/{business}/cart/update", change)
            .public_of_business()
            .of_browsers_only(),
    ]
}

crate::body! {
    /// Units of a product for the cart.
    struct AddRequest {
        /// The product.
        product_id: ProductId,
        /// The units to add.
        quantity: Quantity,
    }
}

crate::body! {
    /// The quantities of a cart.
    struct ChangeRequest {
        /// The lines that change.
        items: List<ChangedLine, 1, MAX_LINES>,
    }
}

crate::body! {
    /// The quantity of one line.
    struct ChangedLine {
        /// The product.
        product_id: ProductId,
        /// The units; 0 removes the line.
        quantity: Units,
    }
}

/// The lines of a page with what stands in their way, and the sum of those that can be bought.
pub(super) struct Lines {
    pub(super) lines: Vec<CartLine>,
    pub(super) total: Money,
}

impl Lines {
    /// The lines of these products, as they can be bought now. Products that the visitor may not see are left out.
    pub(super) async fn of(here: &Here, wanted: &[(ProductId, Quantity)]) -> Result<Self, Problem> {
        let ids: Vec<ProductId> = wanted.iter().map(|(id, _)| *id).collect();
        let (database, business) = (&here.state.database, here.visit.business.id);
        let reader = reader(&here.visitor);
        let found = products::read_several(database, business, &ids, &reader).await;
        let found = found.map_err(|error| here.problem(error))?;
        Ok(Self::with(here, wanted, &found))
    }

    fn with(
        here: &Here,
        wanted: &[(ProductId, Quantity)],
        found: &HashMap<ProductId, Product>,
    ) -> Self {
        let now = Utc::now();
        let lines = wanted.iter().filter_map(|(id, quantity)| {
            let product = found.get(id)?;
            let units = quantity.get();
            Some(CartLine {
                product: shown(here, product, now),
                quantity: units,
                line_total: product.price.times(units),
                problem: in_the_way(product, units),
            })
        });
        let lines: Vec<CartLine> = lines.collect();
        let bought = lines.iter().filter(|line| line.problem.is_none());
        let total = bought.map(|line| line.line_total).sum();
        Self { lines, total }
    }

    /// Adds what a refused order says about its lines.
    pub(super) fn refused(&mut self, problem: &Problem, currency: Currency) {
        let product = problem.member("product_id").and_then(|id| id.as_str());
        let number = |name: &str| problem.member(name).and_then(serde_json::Value::as_i64);
        let quoted = problem.member("quoted").and_then(|text| text.as_str());
        let quoted = quoted.and_then(|text| Money::parse(text, currency).ok());
        for line in &mut self.lines {
            if product != Some(line.product.id.to_string().as_str()) {
                continue;
            }
            if let Some(was) = quoted {
                line.problem = Some(LineProblem::PriceChanged { was });
            } else if let (Some(limit), Some(bought)) = (number("limit"), number("bought")) {
                line.problem = Some(LineProblem::LimitReached { limit, bought });
            }
        }
    }
}

/// The obstacle to buying so many units.
fn in_the_way(product: &Product, units: i64) -> Option<LineProblem> {
    if product.not_for_sale.is_some() {
        return Some(LineProblem::NotForSale);
    }
    match product.available {
        0 => Some(LineProblem::SoldOut),
        available if available < units => Some(LineProblem::Shortage { available }),
        _ => None,
    }
}

async fn show(here: Here) -> Response {
    here.page(&page(&here, fresh()).await?)
}

async fn page(here: &Here, form: pages::Form) -> Result<shop::Cart, Problem> {
    let Lines { lines, total } = Lines::of(here, here.cart().lines()).await?;
    Ok(shop::Cart {
        layout: here.layout().await?,
        form,
        lines,
        total,
    })
}

async fn add(here: Here, mut form: Form) -> Response {
    // The same form also asks for a hold.
    form.remove_below("items");
    let body = form.read::<AddRequest>();
    let product_id = crate::schema::text::id(form.text("product_id"));
    let problem = match body {
        Ok(body) => {
            let (database, business) = (&here.state.database, here.visit.business.id);
            let reader = reader(&here.visitor);
            let product = products::read(database, business, body.product_id, &reader).await;
            product.map_err(|error| here.problem(error))?;
            let mut cart = here.cart();
            if cart.add(body.product_id, body.quantity) {
                let cookie = cart.cookie(&here.state.site, here.slug());
                return Ok(here.see_with(&here.path("/cart"), Some(Notice::AddedToCart), cookie));
            }
            let message = format!("must leave room: a cart has at most {MAX_LINES} products");
            Problem::fault("/quantity", &message)
        }
        Err(problem) => problem,
    };
    match product_id {
        Some(id) => {
            let page: ProductPage = product_page(&here, id, sent(&form, &problem, &[])).await?;
            here.refused(problem, &page)
        }
        None => Err(problem),
    }
}

async fn change(here: Here, form: Form) -> Response {
    let body = match form.read::<ChangeRequest>() {
        Ok(body) => body,
        Err(problem) if is_about_form(&problem) => {
            let page = page(&here, sent(&form, &problem, &[])).await?;
            return here.refused(problem, &page);
        }
        Err(problem) => return Err(problem),
    };
    let mut cart = here.cart();
    for line in body.items {
        // 0 is no quantity, so it removes the line.
        cart.set(line.product_id, Quantity::new(line.quantity.get()).ok());
    }
    let cookie = cart.cookie(&here.state.site, here.slug());
    Ok(here.see_with(&here.path("/cart"), Some(Notice::CartChanged), cookie))
}
