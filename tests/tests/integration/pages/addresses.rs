//! These tests add, change and remove addresses on the account page, and order to them.

use domain::demo::{ACME_CUSTOMER, ACME_KEYBOARD};
use serde_json::json;
use tests::Service;

use super::browser::{Browser, Form, Page};

const ACCOUNT: &str = "/shop/acme/account";
const NEW: &str = "/shop/acme/account/addresses/new";
const SAVE: &str = "/shop/acme/account/addresses";
const REMOVE: &str = "/shop/acme/account/addresses/remove";

async fn customer(service: &Service) -> Browser {
    Browser::logged_in(service, "acme", "customer@example.com", "customer123").await
}

fn filled(form: Form, line1: &str) -> Form {
    form.with("kind", "delivery")
        .with("line1", line1)
        .with("city", "Springfield")
        .with("country", "US")
}

/// The form that adds an address, filled in.
async fn new(browser: &Browser, line1: &str) -> Form {
    filled(browser.get(NEW).await.form(SAVE), line1)
}

async fn shown(browser: &Browser) -> Page {
    let page = browser.get(ACCOUNT).await;
    let _ = page.shows(200);
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_adds_changes_and_removes_addresses() {
    let service = Service::start().await;
    let browser = customer(&service).await;
    let page = shown(&browser).await;
    assert!(page.links().contains(&NEW.to_owned()), "{}", page.text);
    for line1 in ["1 Main Street", "2 <b>Side</b> Street"] {
        let form = new(&browser, line1).await;
        // Twice, as by a double click.
        for _ in 0..2 {
            assert_eq!(browser.submit(&form).await.leads_to(), ACCOUNT);
        }
    }
    let page = shown(&browser).await;
    assert!(
        page.text.contains("Your addresses are saved"),
        "{}",
        page.text
    );
    assert!(page.text.contains("2 &#60;b&#62;Side"), "{}", page.text);
    assert_eq!(
        page.text.matches("1 Main Street").count(),
        2,
        "the address and its link"
    );
    let change = browser.get(&format!("{SAVE}/0")).await;
    let form = change.form(SAVE);
    let value = |name: &str| {
        form.fields
            .iter()
            .find(|(other, _)| other == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(
        [value("line1"), value("city"), value("country")],
        ["1 Main Street", "Springfield", "US"]
    );
    let page = browser.submit(&filled(form.clone(), "")).await;
    assert!(page.shows(422).contains("is required"), "{}", page.text);
    let form = filled(page.form(SAVE), "3 Main Street").with("name", "Warehouse");
    assert_eq!(browser.submit(&form).await.leads_to(), ACCOUNT);
    let page = shown(&browser).await;
    assert!(page.text.contains("3 Main Street") && !page.text.contains("1 Main Street"));
    let form = browser.get(&format!("{SAVE}/1")).await.form(REMOVE);
    for _ in 0..2 {
        assert_eq!(browser.submit(&form).await.leads_to(), ACCOUNT);
    }
    let api = service
        .customer()
        .get(&format!("/api/customers/{ACME_CUSTOMER}"))
        .await
        .ok(200);
    let kept = api["addresses"].as_array().unwrap();
    assert_eq!(kept.len(), 1, "{api}");
    assert_eq!(kept[0]["name"], "Warehouse");
    assert_eq!(browser.get(&format!("{SAVE}/1")).await.leads_to(), ACCOUNT);
    assert_eq!(browser.get(&format!("{SAVE}/x")).await.leads_to(), ACCOUNT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_meets_another_shows_both_and_loses_neither() {
    let service = Service::start().await;
    let browser = customer(&service).await;
    let staff = service.staff();
    let put = async |lines: &[&str]| {
        let addresses = lines
            .iter()
            .map(|line1| json!({"kind": "delivery", "line1": line1, "country": "US"}));
        let body = json!({"addresses": addresses.collect::<Vec<_>>()});
        let path = format!("/api/customers/{ACME_CUSTOMER}/addresses");
        staff.put(&path, &body).await.ok(200);
    };
    // One that had none, and one whose place in the list is another by now.
    let form = new(&browser, "5 Typed Street").await;
    put(&["1 First Street", "2 Second Street"]).await;
    let change = filled(
        browser.get(&format!("{SAVE}/1")).await.form(SAVE),
        "6 Typed Street",
    );
    let remove = browser.get(&format!("{SAVE}/1")).await.form(REMOVE);
    put(&["2 Second Street"]).await;
    for (form, typed) in [(form, "5 Typed Street"), (change, "6 Typed Street")] {
        let page = browser.submit(&form).await;
        let text = page.shows(409);
        assert!(text.contains("have changed in the meantime"), "{text}");
        assert!(
            text.contains(typed) && text.contains("2 Second Street"),
            "{text}"
        );
        let again = page.form(SAVE).with("kind", "delivery");
        assert_eq!(browser.submit(&again).await.leads_to(), ACCOUNT);
    }
    // The second change was to an address that had moved, so it is changed and not added.
    let page = shown(&browser).await;
    for (line1, is_there) in [("5 Typed", true), ("6 Typed", true), ("2 Second", false)] {
        assert_eq!(
            page.text.contains(line1),
            is_there,
            "{line1} in {}",
            page.text
        );
    }
    let page = browser.submit(&remove).await;
    let _ = page.shows(409);
    // The address is gone, so only adding it anew is offered.
    assert!(
        !page.forms().iter().any(|form| form.action == REMOVE),
        "{}",
        page.text
    );
    let full: Vec<String> = (0..20)
        .map(|number| format!("{number} Full Street"))
        .collect();
    put(&full.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(!shown(&browser).await.links().contains(&NEW.to_owned()));
    let page = browser.submit(&new(&browser, "21 Street").await).await;
    assert!(page.shows(422).contains("20 addresses"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_to_the_address_that_the_checkout_showed() {
    let service = Service::start().await;
    let browser = customer(&service).await;
    for line1 in ["1 First Street", "2 Second Street"] {
        let form = new(&browser, line1).await;
        assert_eq!(browser.submit(&form).await.leads_to(), ACCOUNT);
    }
    let fields = [
        ("product_id", ACME_KEYBOARD.to_string()),
        ("quantity", "1".to_owned()),
    ];
    let fields = fields
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let _ = browser.send("/shop/acme/cart/add", &fields).await;
    let page = browser.get("/shop/acme/checkout").await;
    assert!(page.shows(200).contains("2 Second Street"), "{}", page.text);
    let form = page
        .form("/shop/acme/checkout")
        .with("payment_method", "credit")
        .with("delivery", "1");
    // Somebody removes the first meanwhile, so that another address has the number of the second.
    let removal = browser.get(&format!("{SAVE}/0")).await.form(REMOVE);
    assert_eq!(browser.submit(&removal).await.leads_to(), ACCOUNT);
    let faulty = form.clone().with("reference", &"x".repeat(101));
    let page = browser.submit(&faulty).await;
    let text = page.shows(422);
    assert!(
        text.contains("1 First Street"),
        "the page offers the same choices again: {text}"
    );
    let _ = browser
        .submit(&form.clone().with("delivery", "2"))
        .await
        .shows(422);
    let placed = browser.submit(&form).await.leads_to().to_owned();
    let page = browser.get(&format!("/shop/acme/{placed}")).await;
    let text = page.shows(200);
    assert!(
        text.contains("2 Second Street") && !text.contains("1 First Street"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_and_visitors_have_no_addresses_in_the_store() {
    let service = Service::start().await;
    let staff = Browser::logged_in(&service, "acme", "admin@example.com", "admin123").await;
    let page = shown(&staff).await;
    assert!(!page.text.contains(SAVE), "{}", page.text);
    let _ = staff.get(NEW).await.shows(403);
    let page = staff
        .send(
            SAVE,
            &[("kind", "billing"), ("line1", "x"), ("country", "US")],
        )
        .await;
    let _ = page.shows(403);
    let visitor = Browser::at(&service);
    assert!(
        visitor
            .get(NEW)
            .await
            .leads_to()
            .starts_with("/shop/acme/login")
    );
}
