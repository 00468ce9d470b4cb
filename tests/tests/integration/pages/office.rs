//! These tests use the back office as the people of a business do.

use domain::demo::{ACME_BUYER, ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD};
use serde_json::{Value, json};
use tests::{Client, Service};

use super::browser::Browser;

const ADMIN: (&str, &str) = ("admin@example.com", "admin123");
const CUSTOMER: (&str, &str) = ("customer@example.com", "customer123");

/// A browser at the login of the back office, and the page that follows its form.
async fn log_in(browser: &Browser, (email, password): (&str, &str)) -> super::browser::Page {
    let fields = [("email", email), ("password", password)];
    browser.send("/office/acme/login", &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_leads_back_into_the_office_and_is_one_with_that_of_the_store() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let page = browser.get("/office/acme").await;
    assert_eq!(page.leads_to(), "/office/acme/login?next=%2Foffice%2Facme");
    let page = log_in(&browser, ADMIN).await;
    assert_eq!(page.leads_to(), "/office/acme");
    let page = browser.get("/office/acme").await;
    assert!(page.shows(200).contains("You are logged in."));
    let page = browser.get("/shop/acme").await;
    assert!(page.shows(200).contains("/shop/acme/logout"));
    // A logged-in visitor goes on.
    let page = browser.get("/office/acme/login").await;
    assert_eq!(page.leads_to(), "/office/acme");
    let form = browser
        .get("/office/acme")
        .await
        .form("/office/acme/logout");
    assert_eq!(browser.submit(&form).await.leads_to(), "/office/acme/login");
    let page = browser.get("/office/acme").await;
    assert!(page.leads_to().starts_with("/office/acme/login"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_never_leads_out_of_the_office() {
    let service = Service::start().await;
    for next in [
        "/shop/acme",
        "//evil.example",
        "/office/globex",
        "https://evil.example",
    ] {
        let browser = Browser::at(&service);
        let fields = [("email", ADMIN.0), ("password", ADMIN.1), ("next", next)];
        let page = browser.send("/office/acme/login", &fields).await;
        assert_eq!(page.leads_to(), "/office/acme", "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_sent_to_the_store_and_keeps_no_session() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let open = format!(
        "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND user_id = '{ACME_BUYER}'"
    );
    let before = service.database.value(&open).await;
    let page = log_in(&browser, CUSTOMER).await;
    let text = page.shows(403);
    assert!(text.contains("/shop/acme/login"), "{text}");
    assert!(!text.contains("customer123"), "{text}");
    assert_eq!(browser.cookie("tl-acme"), None);
    assert_eq!(service.database.value(&open).await, before);
    // With the session of the store, the office is a page with 403, and its login is still there.
    let browser = Browser::logged_in(&service, "acme", CUSTOMER.0, CUSTOMER.1).await;
    let page = browser.get("/office/acme").await;
    let _ = page.shows(403);
    assert!(page.links().contains(&"/office/acme/login".to_owned()));
    let page = browser.get("/office/acme/login").await;
    assert!(page.shows(200).contains("Log in to the back office"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_on_the_page_of_the_login() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let page = log_in(&browser, (ADMIN.0, "s3cret wrong")).await;
    let text = page.shows(401);
    assert!(text.contains("Log in to the back office"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    assert_eq!(browser.cookie("tl-acme"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_idle_for_12_hours_is_over_in_the_office() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let _ = log_in(&browser, ADMIN).await;
    for (hours, status) in [(11, 200), (13, 303)] {
        let idle = format!("UPDATE sessions SET last_used_at = now() - interval '{hours} hours'");
        service.database.execute(&idle).await;
        // Another process reads the rows anew.
        let other = Service::on(service.database.clone()).await;
        let page = browser.moved_to(&other).get("/office/acme").await;
        assert_eq!(page.status, status, "{hours} hours");
    }
}

async fn admin_of(service: &Service) -> Browser {
    let browser = Browser::at(service);
    let page = log_in(&browser, ADMIN).await;
    assert_eq!(page.leads_to(), "/office/acme");
    browser
}

/// The orders of the API with these filters.
async fn ids_of(admin: &Client, query: &str) -> Vec<String> {
    let page = admin.get(&format!("/api/orders?{query}")).await.ok(200);
    let rows = page["data"].as_array().unwrap();
    let ids = rows.iter().map(|row| row["order_id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// The orders on a page of the list, in its order.
fn ids_on(page: &super::browser::Page) -> Vec<String> {
    let links = page.links().into_iter();
    let ids = links.filter_map(|link| {
        let id = link.strip_prefix("/office/acme/orders/")?;
        (id.len() == 36).then(|| id.to_owned())
    });
    ids.collect()
}

/// Orders of both kinds, in several states.
async fn trade(service: &Service) -> Vec<String> {
    let admin = service.admin();
    let mut orders = Vec::new();
    for product in [ACME_HEADPHONES, ACME_KEYBOARD, ACME_HEADPHONES] {
        let made = admin.buy(&[(product, 1)]).await.ok(201);
        orders.push(made["order_id"].as_str().unwrap().to_owned());
    }
    admin.do_to(&orders[1], "cancel", &json!({})).await.ok(200);
    let card = admin.order_by_card(&[(ACME_KEYBOARD, 2)]).await;
    service.pay(&card).await.ok(200);
    orders.push(card);
    orders
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_of_the_list_selects_what_it_selects_in_the_api() {
    let service = Service::start().await;
    let (admin, browser) = (service.admin(), admin_of(&service).await);
    trade(&service).await;
    let customer = format!("customer_id={ACME_CUSTOMER}");
    let product = format!("product_id={ACME_KEYBOARD}");
    for query in [
        "",
        "status=approved",
        "status=approved,paid",
        "payment_method=card",
        "unpaid=true",
        "unpaid=false",
        "overdue=true",
        "overdue=false",
        "attention=true",
        "total_min=60",
        "total_min=60&total_max=100",
        "created_from=2020-01-01",
        "created_to=2020-01-01",
        "sort=created_at",
        "sort=due_at&unpaid=true",
        "q=example",
        "q=nothingofthekind",
        &customer,
        &product,
    ] {
        let page = browser.get(&format!("/office/acme/orders?{query}")).await;
        let _ = page.shows(200);
        assert_eq!(ids_on(&page), ids_of(&admin, query).await, "{query}");
        let csv = browser
            .get(&format!("/office/acme/orders.csv?{query}"))
            .await;
        let of_api = admin.get(&format!("/api/orders.csv?{query}")).await;
        assert_eq!(csv.status, 200, "{query}: {}", csv.text);
        assert_eq!(csv.text, of_api.text, "{query}");
    }
    // The boxes of a form, and its empty fields.
    let page = browser
        .get("/office/acme/orders?q=&status=approved&status=paid&total_min=&sort=")
        .await;
    let both = ids_of(&admin, "status=approved,paid").await;
    assert_eq!(ids_on(&page), both);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_filter_shows_a_message_and_the_rest_of_the_list() {
    let service = Service::start().await;
    let (admin, browser) = (service.admin(), admin_of(&service).await);
    trade(&service).await;
    for (bad, rest) in [
        ("status=lost", ""),
        ("total_min=many", ""),
        ("total_min=9&total_max=1", "total_min=9"),
        ("created_from=yesterday", ""),
        ("customer_id=nobody", ""),
        ("sort=sideways", ""),
        ("sort=due_at", ""),
        ("attention=none", ""),
        ("cursor=x", ""),
    ] {
        let page = browser
            .get(&format!("/office/acme/orders?{bad}&payment_method=credit"))
            .await;
        let text = page.shows(200);
        assert!(text.contains("Please check one field"), "{bad}: {text}");
        let query = format!("payment_method=credit&{rest}");
        let expected = ids_of(&admin, query.trim_end_matches('&')).await;
        if rest.is_empty() {
            assert_eq!(ids_on(&page), expected, "{bad}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_pages_that_keep_its_filters() {
    let service = Service::start().await;
    let (admin, browser) = (service.admin(), admin_of(&service).await);
    let buyer = admin.add_customer("Large Buyer", "100000.00").await;
    for _ in 0..53 {
        admin.buy_for(buyer, &[(ACME_KEYBOARD, 1)]).await.ok(201);
    }
    let all = ids_of(&admin, "sort=created_at&limit=200").await;
    let first = browser
        .get("/office/acme/orders?sort=created_at&status=approved")
        .await;
    assert_eq!(ids_on(&first), all[..50]);
    let next = first
        .links()
        .into_iter()
        .find(|link| link.contains("cursor="));
    let next = next.unwrap();
    assert!(
        next.contains("status=approved") && next.contains("sort=created_at"),
        "{next}"
    );
    assert_eq!(ids_on(&browser.get(&next).await), all[50..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ticked_orders_are_shipped_each_with_its_own_result_and_once() {
    let service = Service::start().await;
    let (admin, browser) = (service.admin(), admin_of(&service).await);
    let orders = trade(&service).await;
    let page = browser.get("/office/acme/orders").await;
    let back = "/office/acme/orders?status=approved";
    let mut form = page.form("/office/acme/orders/ship").with("back", back);
    for order in &orders {
        form = form.with(&format!("orders/{order}"), "on");
    }
    let sent = browser.submit(&form).await;
    let target = sent.leads_to().to_owned();
    let text = browser.get(&target).await;
    let shown = text.shows(200);
    assert!(shown.contains("3 of 4 orders shipped"), "{shown}");
    assert!(shown.contains("Not shipped."), "{shown}");
    assert!(text.links().contains(&back.to_owned()), "{shown}");
    // A double click has one effect and the same result.
    assert_eq!(browser.submit(&form).await.leads_to(), target);
    for (order, status) in orders
        .iter()
        .zip(["fulfilled", "cancelled", "fulfilled", "fulfilled"])
    {
        let order = admin.get(&format!("/api/orders/{order}")).await.ok(200);
        assert_eq!(order["status"], json!(status));
    }
    let entries = "SELECT count(*) FROM audit_events WHERE action = 'order.fulfilled'";
    assert_eq!(service.database.value(entries).await, "3");
    // Nothing that is there can be shipped any more.
    let page = browser.get("/office/acme/orders").await;
    let text = page.shows(200);
    for order in &orders {
        assert!(
            !text.contains(&format!("name=\"orders/{order}\"")),
            "{text}"
        );
    }
}

/// The form of an action of an order.
async fn form_of(browser: &Browser, order: &str, action: &str) -> super::browser::Form {
    let page = browser.get(&format!("/office/acme/orders/{order}")).await;
    let _ = page.shows(200);
    let mut form = page.form(&format!("/office/acme/orders/{order}/{action}"));
    // Boxes that are not ticked are not sent.
    form.fields
        .retain(|(name, value)| name != "scope" && value != "on");
    form
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_has_the_effect_of_its_twin_once_however_often_it_is_sent() {
    let service = Service::start().await;
    let (admin, browser) = (service.admin(), admin_of(&service).await);
    let orders = trade(&service).await;
    let (credit, other, card) = (&orders[0], &orders[2], &orders[3]);
    for (order, action, fields, entry) in [
        (
            credit,
            "credit-note",
            &[
                ("scope", "amount"),
                ("amount", "10.00"),
                ("reason", "scratched"),
            ][..],
            "credit_note.created",
        ),
        (
            credit,
            "write-off",
            &[("amount", "5.00"), ("reason", "a trifle")],
            "write_off.created",
        ),
        (
            credit,
            "ship",
            &[("tracking_reference", "1Z999")],
            "order.fulfilled",
        ),
        (other, "cancel", &[], "order.cancelled"),
        (
            card,
            "refund",
            &[
                ("scope", "items"),
                ("items/0/quantity", "1"),
                ("reason", "broken"),
                ("restock", "on"),
            ],
            "order.refunded",
        ),
    ] {
        let count = format!("SELECT count(*) FROM audit_events WHERE action = '{entry}'");
        let before: u32 = service.database.value(&count).await.parse().unwrap();
        let mut form = form_of(&browser, order, action).await;
        for (name, value) in fields {
            form = form.with(name, value);
        }
        let target = format!("/office/acme/orders/{order}");
        for _ in 0..2 {
            assert_eq!(browser.submit(&form).await.leads_to(), target, "{action}");
        }
        let after: u32 = service.database.value(&count).await.parse().unwrap();
        assert_eq!(after, before + 1, "{action}");
        let page = browser.get(&target).await;
        let notice = page.shows(200).contains("alert-good");
        assert!(notice, "{action}: {}", page.text);
    }
    let order = admin.order(credit).await;
    assert_eq!(order["status"], "fulfilled");
    assert_eq!(order["tracking_reference"], "1Z999");
    assert_eq!(order["amount_due"], "85.00");
    assert_eq!(admin.order(other).await["status"], "cancelled");
    assert_eq!(admin.order(card).await["amount_refunded"], "50.00");
    let page = browser.get(&format!("/office/acme/orders/{credit}")).await;
    for text in ["$85.00", "scratched", "a trifle", "1Z999", "by an admin"] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_or_refused_action_shows_its_form_again_and_does_nothing() {
    let service = Service::start().await;
    let browser = admin_of(&service).await;
    let orders = trade(&service).await;
    let (credit, card) = (&orders[0], &orders[3]);
    let before = service.database.digest().await;
    for (order, action, fields, status, text) in [
        (
            credit,
            "credit-note",
            &[("reason", "x")][..],
            422,
            "must be chosen",
        ),
        (
            credit,
            "credit-note",
            &[("scope", "amount"), ("amount", "1000.00"), ("reason", "x")],
            409,
            "100.00",
        ),
        (
            card,
            "refund",
            &[("scope", "amount"), ("reason", "x")],
            422,
            "is required",
        ),
        (
            card,
            "refund",
            &[("scope", "items"), ("reason", "x")],
            422,
            "needs a quantity",
        ),
        (
            card,
            "refund",
            &[("scope", "rest"), ("reason", "")],
            422,
            "is required",
        ),
        (
            credit,
            "write-off",
            &[("amount", "nothing"), ("reason", "x")],
            422,
            "12.50",
        ),
    ] {
        let mut form = form_of(&browser, order, action).await;
        for (name, value) in fields {
            form = form.with(name, value);
        }
        let page = browser.submit(&form).await;
        let shown = page.shows(status);
        assert!(shown.contains(text), "{action} {fields:?}: {shown}");
        assert!(
            shown.contains("<details class=\"card\" open>"),
            "{action}: {shown}"
        );
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_possible_says_why_and_has_no_button() {
    let service = Service::start().await;
    let browser = admin_of(&service).await;
    let orders = trade(&service).await;
    let cancelled = &orders[1];
    let page = browser
        .get(&format!("/office/acme/orders/{cancelled}"))
        .await;
    let text = page.shows(200);
    assert!(text.matches("class=\"obstacle").count() >= 4, "{text}");
    let actions = page.forms().into_iter().map(|form| form.action);
    let of_order: Vec<String> = actions
        .filter(|action| action.contains(cancelled.as_str()))
        .collect();
    assert_eq!(of_order, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_staff_sees_the_buttons_that_their_role_may_use_and_no_other() {
    let service = Service::start().await;
    let staff = json!({"email": "clerk@example.com", "name": "Clerk", "password": "correct horse", "role": "staff"});
    service.admin().post("/api/users", &staff).await.ok(201);
    let orders = trade(&service).await;
    let browser = Browser::at(&service);
    let _ = log_in(&browser, ("clerk@example.com", "correct horse")).await;
    for (order, expected) in [
        (&orders[0], ["ship", "cancel"].as_slice()),
        (&orders[3], &["ship"]),
    ] {
        let path = format!("/office/acme/orders/{order}");
        let page = browser.get(&path).await;
        let _ = page.shows(200);
        let actions = page.forms().into_iter().map(|form| form.action);
        let actions: Vec<String> = actions
            .filter_map(|action| action.strip_prefix(&format!("{path}/")).map(str::to_owned))
            .collect();
        assert_eq!(actions, expected, "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_the_dashboard_are_those_of_the_reports() {
    let service = Service::start().await;
    let (admin, browser) = (service.admin(), admin_of(&service).await);
    trade(&service).await;
    let page = browser.get("/office/acme").await;
    let text = page.shows(200);
    let money = |amount: &Value| {
        let plain = amount.as_str().unwrap().parse().unwrap();
        let amount = entity::Money::new(plain, entity::Currency::USD).unwrap();
        pages::text::money(amount, entity::Currency::USD)
    };
    let totals = admin.get("/api/reports/receivables").await.ok(200);
    for name in [
        "due",
        "overdue",
        "current",
        "days_1_30",
        "days_31_60",
        "credit_on_account",
    ] {
        let shown = format!(">{}<", money(&totals[name]));
        assert!(text.contains(&shown), "{name}: {shown}: {text}");
    }
    let today = totals["as_of_date"].as_str().unwrap();
    let sales = admin
        .get(&format!("/api/reports/sales?from={today}&to={today}"))
        .await
        .ok(200);
    let net = money(&sales["data"][0]["net"]);
    assert!(
        text.contains(&format!("<dt>Sold today</dt><dd>{net}</dd>")),
        "{net}: {text}"
    );
    assert!(text.matches("width=\"8\"").count() == 30, "{text}");
}
