//! These tests buy in the store, twice at once too, and are refused.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD};
use entity::ProductId;
use serde_json::json;
use tests::{Service, books_balance};

use super::browser::{Browser, Form, Page};

const CHECKOUT: &str = "/shop/acme/checkout";

async fn customer(service: &Service) -> Browser {
    Browser::logged_in(service, "acme", "customer@example.com", "customer123").await
}

/// Adds units of a product to the cart by the form of its page.
async fn add(browser: &Browser, product: ProductId, units: &str) -> Page {
    let page = browser.get(&format!("/shop/acme/products/{product}")).await;
    let form = page.form("/shop/acme/cart/add").with("quantity", units);
    browser.submit(&form).await
}

/// The form of the checkout, as a buyer on credit fills it in.
async fn checkout(browser: &Browser) -> Form {
    let page = browser.get(CHECKOUT).await;
    let _ = page.shows(200);
    on_credit(page.form(CHECKOUT))
}

fn on_credit(form: Form) -> Form {
    form.with("payment_method", "credit")
        .with("delivery", "none")
}

/// The path of the order to which a checkout leads.
#[track_caller]
fn order(page: &Page) -> String {
    let location = page.leads_to();
    assert!(location.starts_with("orders/"), "{location}");
    format!("/shop/acme/{location}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_fills_a_cart_logs_in_buys_on_credit_and_cancels() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    assert_eq!(
        add(&browser, ACME_HEADPHONES, "2").await.leads_to(),
        "/shop/acme/cart"
    );
    assert_eq!(
        add(&browser, ACME_KEYBOARD, "1").await.leads_to(),
        "/shop/acme/cart"
    );
    let page = browser.get("/shop/acme/cart").await;
    let text = page.shows(200);
    assert!(text.contains("$250.00"), "{text}");
    assert!(text.contains("Added to your cart"), "{text}");
    // The notice is shown once.
    let page = browser.get("/shop/acme/cart").await;
    assert!(!page.text.contains("Added to your cart"));
    let login = browser.get(CHECKOUT).await;
    let login = login.leads_to().to_owned();
    assert_eq!(login, "/shop/acme/login?next=%2Fshop%2Facme%2Fcheckout");
    let form = browser.get(&login).await.form("/shop/acme/login");
    let form = form
        .with("email", "customer@example.com")
        .with("password", "customer123");
    assert_eq!(browser.submit(&form).await.leads_to(), CHECKOUT);
    let form = checkout(&browser).await.with("reference", "PO-7 <b>");
    let placed = order(&browser.submit(&form).await);
    let page = browser.get(&placed).await;
    let text = page.shows(200);
    assert!(
        text.contains("$250.00") && text.contains("PO-7 &#60;b&#62;"),
        "{text}"
    );
    assert!(text.contains("Your order is placed"), "{text}");
    for paper in ["confirmation", "receipt"] {
        let page = browser.get(&format!("{placed}/{paper}")).await;
        assert!(page.shows(200).contains("$250.00"), "{}", page.text);
    }
    let page = browser.get("/shop/acme/cart").await;
    assert!(
        !page.shows(200).contains("/shop/acme/checkout"),
        "the cart is empty"
    );
    let page = browser.get("/shop/acme/orders").await;
    assert!(page.shows(200).contains(&placed), "{}", page.text);
    let balance = format!("SELECT balance FROM customers WHERE id = '{ACME_CUSTOMER}'");
    assert!(service.database.value(&balance).await.starts_with("250"));
    let form = browser.get(&placed).await.form(&format!("{placed}/cancel"));
    for _ in 0..2 {
        assert_eq!(browser.submit(&form).await.leads_to(), placed);
    }
    assert!(service.database.value(&balance).await.starts_with('0'));
    // Another try, with a form that was not sent yet, is refused with what is true now.
    let page = browser.send(&form.action, &[]).await;
    let text = page.shows(409);
    assert!(text.contains("Cancelled"), "{text}");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_many_times_at_once_buys_once() {
    let (one, two) = Service::two().await;
    let browser = customer(&one).await;
    add(&browser, ACME_KEYBOARD, "3").await;
    let form = checkout(&browser).await;
    let browsers: Vec<Browser> = (0..8)
        .map(|n| browser.moved_to(if n % 2 == 0 { &one } else { &two }))
        .collect();
    let sent = browsers.iter().map(|browser| browser.submit(&form));
    let pages = futures_util::future::join_all(sent).await;
    let mut orders: Vec<String> = pages.iter().map(order).collect();
    orders.dedup();
    assert_eq!(orders.len(), 1, "{orders:?}");
    assert_eq!(one.orders().await, 1);
    // The same form again, from the history of the browser.
    assert_eq!(order(&browser.submit(&form).await), orders[0]);
    // The same form with other values is refused, and leads to what was bought.
    let page = browser
        .submit(&form.clone().with("note", "two, please"))
        .await;
    let text = page.shows(422);
    assert!(text.contains("already sent"), "{text}");
    assert!(text.contains("href=\"/shop/acme/orders\""), "{text}");
    assert_eq!(one.orders().await, 1);
    // What that page offers is a new request.
    let again = on_credit(page.form(CHECKOUT));
    assert_ne!(order(&browser.submit(&again).await), orders[0]);
    assert_eq!(one.orders().await, 2);
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_changed_meanwhile_is_shown_and_charged_only_when_the_buyer_saw_it() {
    let service = Service::start().await;
    let browser = customer(&service).await;
    add(&browser, ACME_KEYBOARD, "2").await;
    let form = checkout(&browser).await;
    let path = format!("/api/products/{ACME_KEYBOARD}");
    let dearer = json!({"price": "55.00"});
    service.admin().patch(&path, &dearer).await.ok(200);
    let page = browser.submit(&form).await;
    let text = page.shows(409);
    assert!(text.contains("A price has changed"), "{text}");
    assert!(text.contains("$110.00"), "{text}");
    assert_eq!(service.orders().await, 0);
    let placed = order(&browser.submit(&on_credit(page.form(CHECKOUT))).await);
    assert!(browser.get(&placed).await.shows(200).contains("$110.00"));
    // A price of the buyer's own is no price.
    add(&browser, ACME_KEYBOARD, "1").await;
    let form = checkout(&browser).await.with("items/0/unit_price", "0.01");
    let _ = browser.submit(&form).await.shows(409);
    let form = form.with("items/0/unit_price", "free");
    let _ = browser.submit(&form).await.shows(422);
    assert_eq!(service.orders().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_is_true_now_beside_the_line() {
    let service = Service::start().await;
    let browser = customer(&service).await;
    let few = service.admin().add_product("FEW-1", "1.00", 3).await;
    add(&browser, few, "2").await;
    let form = checkout(&browser).await.with("items/0/quantity", "9");
    let page = browser.submit(&form).await;
    let text = page.shows(409);
    assert!(text.contains("not enough stock"), "{text}");
    // The limit of the demo's customer is 1000.00.
    add(&browser, ACME_HEADPHONES, "11").await;
    let form = checkout(&browser).await;
    let page = browser.submit(&form).await;
    let text = page.shows(409);
    assert!(text.contains("exceeds your credit limit"), "{text}");
    assert!(
        text.contains("1000.00") && text.contains("1102.00"),
        "{text}"
    );
    for (name, value) in [
        ("delivery", "7"),
        ("delivery", "nowhere"),
        ("items/0/quantity", "0"),
        ("items/0/product_id", "x"),
        ("colour", "red"),
        ("customer_id", "550e8400-e29b-41d4-a716-446655440001"),
    ] {
        let page = browser.submit(&form.clone().with(name, value)).await;
        assert!(
            matches!(page.status, 404 | 422),
            "{name}: {} {}",
            page.status,
            page.text
        );
    }
    let other = form
        .clone()
        .with("items/1/quantity", "1")
        .with("delivery", "other")
        .with("delivery_address/city", "Springfield");
    let page = browser.submit(&other).await;
    let text = page.shows(422);
    assert!(
        text.contains("is required") && text.contains("Springfield"),
        "{text}"
    );
    let other = on_credit(page.form(CHECKOUT))
        .with("delivery", "other")
        .with("delivery_address/line1", "1 Main Street")
        .with("delivery_address/country", "US");
    let placed = order(&browser.submit(&other).await);
    assert!(
        browser
            .get(&placed)
            .await
            .shows(200)
            .contains("1 Main Street")
    );
    assert_eq!(service.orders().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orders_of_other_customers_do_not_exist() {
    let service = Service::start().await;
    let admin = service.admin();
    let other = admin.add_customer("Other", "100.00").await;
    let bought = admin.buy_for(other, &[(ACME_KEYBOARD, 1)]).await.ok(201);
    let id = bought["order_id"].as_str().unwrap();
    let browser = customer(&service).await;
    for rest in ["", "/confirmation", "/receipt"] {
        let _ = browser
            .get(&format!("/shop/acme/orders/{id}{rest}"))
            .await
            .shows(404);
    }
    let page = browser
        .send(&format!("/shop/acme/orders/{id}/cancel"), &[])
        .await;
    let _ = page.shows(404);
    let page = browser.get("/shop/acme/orders").await;
    assert!(!page.shows(200).contains(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_somebody_wrote_is_read_without_trust() {
    let service = Service::start().await;
    let browser = customer(&service).await;
    let dear = service.admin().add_product("GONE-1", "1.00", 3).await;
    let gone = json!({"active": false});
    let path = format!("/api/products/{dear}");
    service.admin().patch(&path, &gone).await.ok(200);
    let good = format!("{}-2", ACME_KEYBOARD.0.simple());
    for cart in [
        format!("nonsense.{good}.{}-1", uuid::Uuid::now_v7().simple()),
        format!("{}-1.{good}", dear.0.simple()),
        format!("{good}.{}--5", ACME_HEADPHONES.0.simple()),
    ] {
        browser.set_cookie("tlcart-acme", &cart);
        let page = browser.get("/shop/acme/cart").await;
        let text = page.shows(200);
        assert!(
            text.contains("$100.00") && !text.contains("GONE-1"),
            "{text}"
        );
    }
    for units in ["0", "-1", "1.5", "1000001", "x", ""] {
        let page = add(&browser, ACME_HEADPHONES, units).await;
        let _ = page.shows(422);
    }
    let page = browser
        .send(
            "/shop/acme/cart/add",
            &[("product_id", "x"), ("quantity", "1")],
        )
        .await;
    let _ = page.shows(422);
    let id = uuid::Uuid::now_v7().to_string();
    let page = browser
        .send(
            "/shop/acme/cart/add",
            &[("product_id", &id), ("quantity", "1")],
        )
        .await;
    let _ = page.shows(404);
    let page = browser.get("/shop/acme/cart").await;
    let form = page
        .form("/shop/acme/cart/update")
        .with("items/0/quantity", "0");
    assert_eq!(browser.submit(&form).await.leads_to(), "/shop/acme/cart");
    assert_eq!(browser.cookie("tlcart-acme"), None);
    assert_eq!(browser.get(CHECKOUT).await.leads_to(), "/shop/acme/cart");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_by_card_is_paid_at_the_test_provider_once() {
    let service = Service::start().await;
    let browser = customer(&service).await;
    add(&browser, ACME_KEYBOARD, "1").await;
    let form = checkout(&browser).await.with("payment_method", "card");
    let mut targets = Vec::new();
    for _ in 0..2 {
        let page = browser.submit(&form).await;
        targets.push(page.leads_to().to_owned());
    }
    let [pay, again] = targets.try_into().unwrap();
    assert_eq!(pay, again);
    assert!(
        pay.starts_with("/shop/acme/orders/") && pay.ends_with("/pay"),
        "{pay}"
    );
    let form = browser.get(&pay).await.form(&pay);
    let page = browser
        .submit(&form.clone().with("outcome", "declined"))
        .await;
    assert_eq!(page.leads_to(), pay);
    let page = browser.get(&pay).await;
    assert!(page.shows(200).contains("declined"), "{}", page.text);
    let order = pay.strip_suffix("/pay").unwrap();
    for _ in 0..2 {
        let page = browser
            .submit(&form.clone().with("outcome", "succeeded"))
            .await;
        assert_eq!(page.leads_to(), order);
    }
    let page = browser.get(order).await;
    assert!(page.shows(200).contains("Paid"), "{}", page.text);
    assert!(!browser.get(&pay).await.shows(200).contains("outcome"));
    let _ = browser
        .submit(&form.with("outcome", "other"))
        .await
        .shows(422);
    let payments = "SELECT count(*) FROM order_transitions WHERE to_status = 'paid'";
    assert_eq!(service.database.value(payments).await, "1");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_becomes_one_order_and_a_place_in_line_is_true() {
    let service = Service::start().await;
    let rare = service.admin().add_product("RARE-1", "10.00", 1).await;
    let browser = customer(&service).await;
    let other = Browser::at(&service);
    let form = other
        .get("/shop/acme/register")
        .await
        .form("/shop/acme/register");
    let form = form
        .with("name", "Other")
        .with("email", "other@example.com")
        .with("password", "correct horse battery");
    assert_eq!(other.submit(&form).await.leads_to(), "/shop/acme");
    let reserve = |key: &str, wait: bool| {
        let mut fields = vec![
            ("idempotency_key".to_owned(), key.to_owned()),
            ("product_id".to_owned(), rare.to_string()),
            ("items/0/product_id".to_owned(), rare.to_string()),
            ("quantity".to_owned(), "1".to_owned()),
        ];
        if wait {
            fields.push(("wait".to_owned(), "true".to_owned()));
        }
        Form {
            action: "/shop/acme/reservations".to_owned(),
            method: "post".to_owned(),
            fields,
        }
    };
    let key = uuid::Uuid::now_v7().to_string();
    let first = browser.submit(&reserve(&key, false)).await;
    let first = first.leads_to().to_owned();
    assert_eq!(
        browser.submit(&reserve(&key, false)).await.leads_to(),
        first
    );
    let held = format!("/shop/acme/{first}");
    let page = browser.get(&held).await;
    let _ = page.shows(200);
    // The product's page leads back to it.
    let page = browser.get(&format!("/shop/acme/products/{rare}")).await;
    assert!(page.shows(200).contains(&held), "{}", page.text);
    let key = uuid::Uuid::now_v7().to_string();
    let page = other.submit(&reserve(&key, false)).await;
    let _ = page.shows(409);
    let key = uuid::Uuid::now_v7().to_string();
    let waiting = other.submit(&reserve(&key, true)).await;
    let waiting = format!("/shop/acme/{}", waiting.leads_to());
    let page = other.get(&waiting).await;
    assert!(
        page.shows(200).contains("number <strong>1</strong>"),
        "{}",
        page.text
    );
    let _ = other.get(&held).await.shows(404);
    let _ = other.send(&format!("{held}/cancel"), &[]).await.shows(404);
    let form = browser.get(&held).await.form(&format!("{held}/confirm"));
    let form = form.with("payment_method", "credit");
    let bought = browser.submit(&form).await.leads_to().to_owned();
    assert_eq!(browser.submit(&form).await.leads_to(), bought);
    assert!(bought.starts_with("../../orders/"), "{bought}");
    assert_eq!(service.orders().await, 1);
    let page = other.get(&waiting).await;
    assert!(page.shows(200).contains("Sold out"), "{}", page.text);
    books_balance(&service).await;
}
