//! Every form of the store, sent twice with the same hidden key, as by a double click: both responses lead to the same
//! page, and the effect is there once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use domain::demo::{ACME_BUYER, ACME_CUSTOMER, ACME_KEYBOARD};
use serde_json::json;
use tests::{Service, books_balance};
use tradeline::schema::endpoint::Kind;

use super::browser::{Browser, Form, Page};

const PASSWORD: &str = "customer123";

/// The forms that were sent, by the paths of their actions.
struct Clicks<'a> {
    service: &'a Service,
    tried: RefCell<BTreeSet<String>>,
}

impl Clicks<'_> {
    /// Sends a form twice. The second request has the cookies of the first, since the browser has no response yet.
    /// Returns where both lead.
    async fn twice(&self, browser: &Browser, action: &str, form: &Form) -> String {
        let unaware = browser.moved_to(self.service);
        let (first, second) = (browser.submit(form).await, unaware.submit(form).await);
        assert_eq!(first.leads_to(), second.leads_to(), "{action}");
        let cookies = |page: &Page| -> Vec<String> {
            let all = page.set_cookies().into_iter();
            let pairs = all.map(|cookie| cookie.split(';').next().unwrap().to_owned());
            // Each login has a session of its own.
            pairs.filter(|pair| !pair.starts_with("tl-acme=")).collect()
        };
        assert_eq!(cookies(&first), cookies(&second), "{action}");
        self.tried.borrow_mut().insert(action.to_owned());
        first.leads_to().to_owned()
    }
}

async fn form(browser: &Browser, path: &str, action: &str) -> Form {
    browser.get(path).await.form(action)
}

/// The form of a product's page, for its other button.
async fn hold(browser: &Browser) -> Form {
    let product = format!("/shop/acme/products/{ACME_KEYBOARD}");
    Form {
        action: "/shop/acme/reservations".to_owned(),
        ..form(browser, &product, "/shop/acme/cart/add").await
    }
}

async fn checkout(browser: &Browser, method: &str) -> Form {
    let product = format!("/shop/acme/products/{ACME_KEYBOARD}");
    let cart = form(browser, &product, "/shop/acme/cart/add").await;
    let _ = browser.submit(&cart).await.leads_to();
    let checkout = form(browser, "/shop/acme/checkout", "/shop/acme/checkout").await;
    checkout
        .with("payment_method", method)
        .with("delivery", "none")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_click_on_any_form_has_one_effect_and_one_result() {
    let service = Service::start().await;
    let clicks = Clicks {
        service: &service,
        tried: RefCell::default(),
    };
    let visitor = Browser::at(&service);
    let register = form(&visitor, "/shop/acme/register", "/shop/acme/register").await;
    let register = register
        .with("name", "Ada")
        .with("email", "ada@example.com")
        .with("password", "correct horse battery");
    clicks.twice(&visitor, "register", &register).await;
    let logout = form(&visitor, "/shop/acme", "/shop/acme/logout").await;
    assert_eq!(
        clicks.twice(&visitor, "logout", &logout).await,
        "/shop/acme"
    );
    assert!(
        visitor
            .get("/shop/acme")
            .await
            .shows(200)
            .contains("You are logged out.")
    );

    let browser = Browser::at(&service);
    let login = form(&browser, "/shop/acme/login", "/shop/acme/login").await;
    let login = login
        .with("email", "customer@example.com")
        .with("password", PASSWORD);
    clicks.twice(&browser, "login", &login).await;
    buy(&clicks, &browser).await;
    reserve(&clicks, &browser).await;
    account(&clicks, &browser).await;

    let orders = format!("SELECT count(*) FROM orders WHERE created_by = '{ACME_BUYER}'");
    assert_eq!(service.database.value(&orders).await, "3");
    let resets = "SELECT count(*) FROM audit_events WHERE action IN ('password_reset.succeeded', 'user.password_changed')";
    assert_eq!(service.database.value(resets).await, "2");
    books_balance(&service).await;
    let table = tradeline::app::table().unwrap();
    let actions = table
        .pages()
        .filter(|page| matches!(page.kind, Kind::Action(_)));
    let actions: BTreeSet<String> = actions
        .filter_map(|page| page.path.strip_prefix("/shop/{business}/"))
        .map(str::to_owned)
        .collect();
    assert_eq!(*clicks.tried.borrow(), actions);
}

/// Orders on credit and by card.
async fn buy(clicks: &Clicks<'_>, browser: &Browser) {
    let product = format!("/shop/acme/products/{ACME_KEYBOARD}");
    let add = form(browser, &product, "/shop/acme/cart/add").await;
    assert_eq!(
        clicks.twice(browser, "cart/add", &add).await,
        "/shop/acme/cart"
    );
    let update = form(browser, "/shop/acme/cart", "/shop/acme/cart/update").await;
    clicks.twice(browser, "cart/update", &update).await;
    let on_credit = checkout(browser, "credit").await;
    let order = clicks.twice(browser, "checkout", &on_credit).await;
    let order = format!("/shop/acme/{order}");
    let action = format!("{order}/cancel");
    let cancel = form(browser, &order, &action).await;
    clicks
        .twice(browser, "orders/{order_id}/cancel", &cancel)
        .await;
    let pay = clicks
        .twice(browser, "checkout", &checkout(browser, "card").await)
        .await;
    for outcome in ["declined", "succeeded"] {
        let form = form(browser, &pay, &pay).await.with("outcome", outcome);
        clicks.twice(browser, "orders/{order_id}/pay", &form).await;
    }
}

/// Holds units, orders them, holds others and releases them.
async fn reserve(clicks: &Clicks<'_>, browser: &Browser) {
    for end in ["confirm", "cancel"] {
        let held = clicks
            .twice(browser, "reservations", &hold(browser).await)
            .await;
        let held = format!("/shop/acme/{held}");
        let action = format!("{held}/{end}");
        let mut form = form(browser, &held, &action).await;
        if end == "confirm" {
            form = form.with("payment_method", "credit");
        }
        let action = format!("reservations/{{reservation_id}}/{end}");
        clicks.twice(browser, &action, &form).await;
    }
}

/// Changes addresses, logins and the password, and resets it.
async fn account(clicks: &Clicks<'_>, browser: &Browser) {
    const SAVE: &str = "/shop/acme/account/addresses";
    let service = clicks.service;
    let new = form(browser, &format!("{SAVE}/new"), SAVE).await;
    let new = new
        .with("kind", "billing")
        .with("line1", "1 High Street")
        .with("country", "GB");
    clicks.twice(browser, "account/addresses", &new).await;
    let action = format!("{SAVE}/remove");
    let remove = form(browser, &format!("{SAVE}/0"), &action).await;
    clicks
        .twice(browser, "account/addresses/remove", &remove)
        .await;
    let customer = format!("/api/customers/{ACME_CUSTOMER}");
    let customer = service.customer().get(&customer).await.ok(200);
    assert_eq!(customer["addresses"], json!([]));

    let other = Browser::logged_in(service, "acme", "customer@example.com", PASSWORD).await;
    let page = browser.get("/shop/acme/account").await;
    let forms = page.forms().into_iter();
    for end in forms.filter(|form| form.action.ends_with("/end")) {
        clicks
            .twice(browser, "account/sessions/{session_id}/end", &end)
            .await;
    }
    assert!(
        other
            .get("/shop/acme/account")
            .await
            .leads_to()
            .contains("/login")
    );
    let password = form(browser, "/shop/acme/account", "/shop/acme/account/password").await;
    let password = password
        .with("old", PASSWORD)
        .with("new", "battery staple horse");
    clicks.twice(browser, "account/password", &password).await;
    let page = browser.get("/shop/acme/account").await;
    assert!(
        page.shows(200).contains("Your password is changed"),
        "{}",
        page.text
    );

    let code = format!("/api/users/{ACME_BUYER}/password-reset");
    let code = service.admin().post(&code, &json!({})).await.ok(200);
    let reset = form(browser, "/shop/acme/reset", "/shop/acme/reset").await;
    let reset = reset
        .with("email", "customer@example.com")
        .with("code", code["code"].as_str().unwrap())
        .with("new", "saddle lantern river");
    clicks.twice(browser, "reset", &reset).await;
}
