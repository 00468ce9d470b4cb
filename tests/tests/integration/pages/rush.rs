//! These tests sell few units to many buyers at once, by the forms of the pages.

use std::collections::BTreeSet;
use std::time::Duration;

use entity::ProductId;
use futures_util::future::join_all;
use tests::{Service, books_balance, until};

use super::browser::{Browser, Page, sessions};

const BUYERS: usize = 200;
const UNITS: usize = 20;
/// The buyers who release their units instead of ordering them.
const LEAVERS: usize = 5;

/// The result of a buyer's first form.
struct Asked {
    browser: Browser,
    /// The path of the reservation.
    path: String,
    is_held: bool,
}

/// Sends the form of the product's page: for a hold while there is stock, and for a place in line when there is none.
async fn ask(browser: Browser, product: ProductId) -> Asked {
    let address = format!("/shop/acme/products/{product}");
    loop {
        let page = browser.get(&address).await;
        let _ = page.shows(200);
        let mut form = match page
            .forms()
            .iter()
            .any(|form| form.action.ends_with("/cart/add"))
        {
            true => page.form("/shop/acme/cart/add").with("quantity", "1"),
            false => page.form("/shop/acme/reservations"),
        };
        "/shop/acme/reservations".clone_into(&mut form.action);
        let answer = browser.submit(&form).await;
        // The stock went to others since the page was read.
        if answer.status == 409 {
            continue;
        }
        let path = format!("/shop/acme/{}", answer.leads_to());
        let page = browser.get(&path).await;
        let is_held = state(&page) == State::Held;
        return Asked {
            browser,
            path,
            is_held,
        };
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Waiting,
    SoldOut,
}

/// The text of the page of a reservation.
#[track_caller]
fn state(page: &Page) -> State {
    let text = page.shows(200);
    match text {
        _ if text.contains(">Held for you</h1>") => State::Held,
        _ if text.contains(" in line</h1>") => State::Waiting,
        _ if text.contains(">Sold out</h1>") => State::SoldOut,
        _ => panic!("{text}"),
    }
}

impl Asked {
    async fn state(&self) -> State {
        state(&self.browser.get(&self.path).await)
    }

    /// Orders what is held.
    async fn order(&self) {
        let target = format!("{}/confirm", self.path);
        let form = self.browser.get(&self.path).await.form(&target);
        let form = form.with("payment_method", "credit");
        let ordered = self.browser.submit(&form).await;
        assert!(ordered.leads_to().starts_with("../../orders/"));
    }

    /// Releases what is held.
    async fn release(&self) {
        let target = format!("{}/cancel", self.path);
        let form = self.browser.get(&self.path).await.form(&target);
        let _ = self.browser.submit(&form).await.leads_to();
    }

    fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_rush_exactly_the_stock_is_sold_and_the_line_is_served_in_order() {
    let service = Service::start().await;
    let product = service.admin().add_product("RUSH-1", "10.00", 20).await;
    let sessions = sessions(&service, BUYERS).await;
    let asked = sessions.iter().map(|session| {
        let browser = Browser::at(&service);
        browser.set_cookie("tl-acme", session);
        ask(browser, product)
    });
    let asked = join_all(asked).await;
    let (held, waiting): (Vec<Asked>, Vec<Asked>) =
        asked.into_iter().partition(|asked| asked.is_held);
    assert_eq!(held.len(), UNITS);
    let line =
        "SELECT reservation_id::text FROM reservation_items WHERE place IS NOT NULL ORDER BY place";
    let line = service.database.column(line).await;
    assert_eq!(line.len(), BUYERS - UNITS);

    let ends = held.iter().enumerate().map(|(number, asked)| async move {
        match number < LEAVERS {
            true => asked.release().await,
            false => asked.order().await,
        }
    });
    join_all(ends).await;
    let first: BTreeSet<&str> = line.iter().take(LEAVERS).map(String::as_str).collect();
    for asked in &waiting {
        let expected = match first.contains(asked.id()) {
            true => State::Held,
            false => State::Waiting,
        };
        assert_eq!(asked.state().await, expected, "{}", asked.path);
    }
    let served = waiting.iter().filter(|asked| first.contains(asked.id()));
    join_all(served.map(Asked::order)).await;
    let others = waiting.iter().filter(|asked| !first.contains(asked.id()));
    for asked in others {
        assert_eq!(asked.state().await, State::SoldOut);
    }
    let sold = format!("SELECT sum(quantity) FROM order_items WHERE product_id = '{product}'");
    assert_eq!(service.database.value(&sold).await, UNITS.to_string());
    assert_eq!(service.orders().await, UNITS);
    let nobody = service.nobody();
    let path = format!("/shop/acme/products/{product}");
    until("the product is seen to be sold out", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        nobody.get(&path).await.text.contains("All units are sold")
    })
    .await;
    books_balance(&service).await;
}
