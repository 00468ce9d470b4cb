//! A crawler that follows every link as each role, and hostile texts on every page that it finds.

use std::collections::{BTreeSet, VecDeque};

use domain::demo::{ACME_CUSTOMER, ACME_KEYBOARD};
use entity::{CustomerId, ProductId};
use serde_json::json;
use tests::Service;

use super::browser::Browser;

/// The most pages that one crawl reads.
const MAX_PAGES: usize = 400;

/// A visitor without a login.
const NOBODY: &str = "nobody";

/// The users of the back office.
const STAFF: [&str; 2] = ["admin@example.com", "clerk@example.com"];

/// Follows every link from the store and the back office of Acme. Returns the paths that were read. Customers get a page
/// with 403 in the back office.
async fn crawl(browser: &Browser, who: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from(["/", "/shop/acme", "/office/acme"].map(str::to_owned));
    while let Some(path) = queue.pop_front() {
        if seen.len() >= MAX_PAGES || !seen.insert(path.clone()) {
            continue;
        }
        let page = browser.get(&path).await;
        let is_customer = who != NOBODY && !STAFF.contains(&who);
        if is_customer && path.starts_with("/office") {
            let _ = page.shows(403);
            continue;
        }
        assert!(
            matches!(page.status, 200 | 303),
            "{path} as {who}: {} {}",
            page.status,
            page.text
        );
        if page.status == 303 {
            let target = page.leads_to().to_owned();
            // A link that leads a user to the login is one that the user may not open.
            let is_closed = who != NOBODY && target.contains("/login");
            assert!(!is_closed, "{path} as {who} leads to {target}");
            queue.push_back(target);
            continue;
        }
        let is_page = page.header("content-type").starts_with("text/html");
        if !is_page || path.starts_with("/docs") {
            continue;
        }
        for name in page.names() {
            let is_injected = name == "hostile" || name.starts_with("on");
            assert!(!is_injected, "{name} of {path} as {who}: {}", page.text);
        }
        for file in page.files() {
            let file = file.split('#').next().unwrap();
            assert_eq!(browser.get(file).await.status, 200, "{file} of {path}");
        }
        for form in page.forms() {
            assert!(form.action.starts_with('/'), "{form:?} of {path}");
            // A second logout has no effect anyway, and a cart is the browser's own.
            let is_keyless = ["/logout", "/cart/add"];
            let is_keyless = is_keyless.iter().any(|end| form.action.ends_with(end));
            if form.method == "post" && !is_keyless {
                let key = form
                    .fields
                    .iter()
                    .any(|(name, _)| name == "idempotency_key");
                assert!(key, "{form:?} of {path} has no key");
            }
        }
        for link in page.links() {
            let link = link.split('#').next().unwrap().to_owned();
            // The rest of the page's own links.
            if link.is_empty() {
                continue;
            }
            assert!(link.starts_with('/'), "{link} of {path} as {who}");
            queue.push_back(link);
        }
    }
    seen
}

/// A name of the greatest length that would run scripts if it were not escaped, and reads from right to left.
fn hostile() -> String {
    let name = "<hostile onerror=alert(1)>\"'&amp;{{7*7}} \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{639}\u{631}\u{628}\u{64a} ";
    let long = "x".repeat(200 - name.chars().count());
    format!("{name}{long}")
}

/// What the demo's customer has, of each kind that a page shows: orders on credit and by card, paid, declined and
/// cancelled, a hold, a place in line, addresses and an order that is past due.
async fn trade(service: &Service, hostile: &str) {
    let (admin, customer) = (service.admin(), service.customer());
    let shown = json!({"name": hostile, "email": "customer@example.com"});
    let record = format!("/api/customers/{ACME_CUSTOMER}");
    admin.patch(&record, &shown).await.ok(200);
    let address =
        |kind: &str| json!({"kind": kind, "name": hostile, "line1": hostile, "country": "US"});
    let addresses = json!({"addresses": [address("delivery"), address("billing")]});
    let path = format!("{record}/addresses");
    customer.put(&path, &addresses).await.ok(200);
    let rare = json!({"sku": "<hostile>", "name": hostile, "description": hostile, "price": "1.00", "stock": 3});
    let rare = admin.post("/api/products", &rare).await.ok(201);
    let rare: ProductId = rare["id"].as_str().unwrap().parse().unwrap();
    for _ in 0..3 {
        customer.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    }
    let orders = customer.get("/api/orders").await.ok(200);
    let order = |number: usize| {
        orders["data"][number]["order_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let cancel = format!("/api/orders/{}/cancel", order(0));
    customer.post(&cancel, &json!({})).await.ok(200);
    let late = format!(
        "UPDATE orders SET due_at = now() - interval '9 days' WHERE id = '{}'",
        order(1)
    );
    service.database.execute(&late).await;
    let [paid, declined] = [
        customer.order_by_card(&[(rare, 1)]).await,
        customer.order_by_card(&[(rare, 1)]).await,
    ];
    service.pay(&paid).await.ok(200);
    service.decline(&declined).await.ok(200);
    let others = admin.add_customer("Others", "100.00").await;
    let hold = |customer: CustomerId, product: ProductId, wait: bool| json!({"customer_id": customer, "items": [{"product_id": product, "quantity": 1}], "wait": wait});
    for body in [
        hold(others, rare, false),
        hold(ACME_CUSTOMER, rare, true),
        hold(ACME_CUSTOMER, ACME_KEYBOARD, false),
    ] {
        let made = admin.post("/api/reservations", &body).await;
        assert!(matches!(made.status, 201 | 202), "{}", made.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_leads_somewhere_for_each_role_and_hostile_texts_stay_texts() {
    let service = Service::start().await;
    let (admin, hostile) = (service.admin(), hostile());
    admin
        .patch("/api/business", &json!({"name": hostile}))
        .await
        .ok(200);
    trade(&service, &hostile).await;
    let staff = json!({"email": "clerk@example.com", "name": hostile, "password": "correct horse", "role": "staff"});
    admin.post("/api/users", &staff).await.ok(201);
    let newcomer = json!({"business": "acme", "email": "new@example.com", "name": hostile, "password": "correct horse"});
    let nobody = service.nobody();
    nobody.post("/api/auth/register", &newcomer).await.ok(201);
    let seen = crawl(&Browser::at(&service), NOBODY).await;
    assert!(seen.len() > 15, "{seen:?}");
    let mut most = 0;
    for (email, password) in [
        ("admin@example.com", "admin123"),
        ("clerk@example.com", "correct horse"),
        // A customer without credit.
        ("new@example.com", "correct horse"),
        ("customer@example.com", "customer123"),
    ] {
        let browser = Browser::logged_in(&service, "acme", email, password).await;
        let cart = [
            ("product_id", ACME_KEYBOARD.to_string()),
            ("quantity", "1".to_owned()),
        ];
        let cart = cart.each_ref().map(|(name, value)| (*name, value.as_str()));
        let _ = browser.send("/shop/acme/cart/add", &cart).await;
        let seen = crawl(&browser, email).await;
        assert!(seen.len() > 15, "{seen:?}");
        most = seen.len();
    }
    // The last one has pages of each kind.
    assert!(most > 40, "{most}");
}
