//! The list of orders. Its state is its address: the filters of `GET /api/orders`, the order and the page.

use chrono::Utc;
use domain::Paging;
use domain::catalogue::products;
use domain::identity::customers;
use domain::orders::{self, Filter, OrderKey, Sort};
use entity::orders::{Attention, PaymentMethod, Status};
use pages::office::{Chip, Ordering, Orders};
use pages::shop::Choice;
use pages::words;
use sea_orm::{ActiveEnum, Iterable};

use super::STAFF;
use super::list_state::ListState;
use super::order_row::row_of;
use super::shipping::SHIP;
use crate::access::Authenticated;
use crate::handlers::order_lists;
use crate::handlers::products::reader;
use crate::http::listing::Listing;
use crate::pages::here::{Here, fresh};
use crate::schema::endpoint::Endpoint;
use crate::schema::problem::Problem;
use crate::schema::query::{Cursor, Query};
use crate::schema::response::Response;

/// The orders of a page.
const PAGE: u64 = 50;

/// The parameters of the list, in the order in which addresses have them.
const PARAMETERS: [&str; 13] = [
    "q",
    "status",
    "customer_id",
    "product_id",
    "payment_method",
    "created_from",
    "created_to",
    "total_min",
    "total_max",
    "unpaid",
    "overdue",
    "attention",
    "sort",
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page("showOfficeOrders", "/office/{business}/orders", list).for_roles(STAFF),
        Endpoint::page(
            "exportOfficeOrders",
            "/office/{business}/orders.csv",
            export,
        )
        .for_roles(STAFF),
    ]
}

async fn list(here: Here) -> Response {
    let caller = here.caller()?;
    let mut query = Query::of(here.req.query_string())
        .without_empty()
        .joined("status");
    let state = ListState::of(&here, &query, &PARAMETERS);
    let filter = order_lists::filter(&mut query, caller.currency);
    query.expect_cursor(|after: &OrderKey| after.is_of(filter.sort));
    let cursor = query.take::<Cursor<OrderKey>>("cursor");
    let is_first = cursor.is_none();
    let paging = Paging {
        limit: PAGE,
        after: cursor.map(|cursor| cursor.0),
    };
    let found = orders::list(&here.state.database, caller, &filter, &paging).await;
    let found = found.map_err(|error| here.problem(error))?;
    let (role, now) = (caller.authority.role(), Utc::now());
    here.page(&Orders {
        frame: here.frame().await?,
        statuses: statuses(&filter),
        selects: selects(&state),
        chips: chips(&here, &state, &filter).await?,
        is_narrowed: state.has_others_than(&["sort"]),
        by_date: by_date(&state, filter.sort),
        by_due_date: by_due_date(&state, &filter),
        first: (!is_first).then(|| state.address()),
        next: found
            .next
            .map(|key| state.with("cursor", &Cursor(key).encode())),
        csv: state.csv(),
        shipping: here.may(SHIP).then(fresh),
        orders: found
            .rows
            .into_iter()
            .map(|listed| row_of(listed, role, now))
            .collect(),
        form: state.form(query.faults_of_page()),
    })
}

async fn export(lists: Listing, caller: Authenticated, query: Query) -> Response {
    let query = query.without_empty().joined("status");
    order_lists::table(lists, caller, query).await
}

fn statuses(filter: &Filter) -> Vec<Choice> {
    let all = Status::iter().map(|status| Choice {
        name: "status",
        value: status.to_value(),
        text: words::order_status(status).text.to_owned(),
        chosen: filter.status.contains(&status),
    });
    all.collect()
}

/// The filters with few values.
fn selects(state: &ListState) -> Vec<(&'static str, Vec<Choice>)> {
    let choice = |name: &'static str, value: String, text: &str| Choice {
        chosen: state.text(name) == value,
        text: text.to_owned(),
        name,
        value,
    };
    let of = |name: &'static str, values: &[(&str, &str)]| {
        let values = values.iter();
        let values = values.map(|(value, text)| choice(name, (*value).to_owned(), text));
        (name, values.collect::<Vec<_>>())
    };
    let methods = PaymentMethod::iter().map(|method| {
        choice(
            "payment_method",
            method.to_value(),
            words::payment_method(method),
        )
    });
    let any = [choice("payment_method", String::new(), "All")];
    let methods = any.into_iter().chain(methods).collect();
    let reasons = Attention::iter()
        .map(|reason| choice("attention", reason.to_value(), words::attention(reason)));
    let (attention, mut reasons_of) = of(
        "attention",
        &[("", "All orders"), ("true", "For any reason")],
    );
    reasons_of.extend(reasons);
    vec![
        of(
            "unpaid",
            &[
                ("", "All orders"),
                ("true", "Unpaid"),
                ("false", "All others"),
            ],
        ),
        of(
            "overdue",
            &[
                ("", "All orders"),
                ("true", "Past due"),
                ("false", "All others"),
            ],
        ),
        (attention, reasons_of),
        ("payment_method", methods),
        of(
            "sort",
            &[
                ("", "The newest first"),
                ("created_at", "The oldest first"),
                ("due_at", "Due date, of unpaid orders"),
            ],
        ),
    ]
}

/// The filters by a customer and by a product, which links of other pages set.
async fn chips(here: &Here, state: &ListState, filter: &Filter) -> Result<Vec<Chip>, Problem> {
    let (database, caller) = (&here.state.database, here.caller()?);
    let mut chips = Vec::new();
    let mut add = |name: &'static str, value: String, text: String| {
        let without = state.with(name, "");
        chips.push(Chip {
            name,
            value,
            text,
            without,
        });
    };
    if let Some(id) = filter.customer_id {
        let name = match customers::read(database, caller, id).await {
            Ok(customer) => customer.name,
            Err(domain::Error::CustomerNotFound(_)) => id.to_string(),
            Err(error) => return Err(here.problem(error)),
        };
        add("customer_id", id.to_string(), format!("Customer: {name}"));
    }
    if let Some(id) = filter.product_id {
        let business = caller.business_id;
        let reader = reader(&here.visitor);
        let name = match products::read(database, business, id, &reader).await {
            Ok(product) => product.product.name,
            Err(domain::Error::ProductNotFound(_)) => id.to_string(),
            Err(error) => return Err(here.problem(error)),
        };
        add("product_id", id.to_string(), format!("Product: {name}"));
    }
    Ok(chips)
}

/// The order by date: a second look turns it round.
fn by_date(state: &ListState, sort: Sort) -> Ordering {
    let (state_now, other) = match sort {
        Sort::Newest => ("descending", "created_at"),
        Sort::Oldest => ("ascending", ""),
        Sort::DueAt => ("none", ""),
    };
    Ordering {
        state: state_now,
        address: Some(state.with("sort", other)),
    }
}

/// The order by due date, which only lists of unpaid orders without a search have.
fn by_due_date(state: &ListState, filter: &Filter) -> Ordering {
    let is_of_unpaid = filter.unpaid == Some(true) || filter.overdue == Some(true);
    let is_possible = is_of_unpaid && filter.search.is_none() && filter.sort != Sort::DueAt;
    Ordering {
        state: match filter.sort {
            Sort::DueAt => "ascending",
            Sort::Newest | Sort::Oldest => "none",
        },
        address: is_possible.then(|| state.with("sort", "due_at")),
    }
}
