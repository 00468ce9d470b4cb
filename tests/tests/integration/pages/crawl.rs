//! A crawler that follows every link as each role, and hostile texts on every page that it finds.

use std::collections::{BTreeSet, VecDeque};

use serde_json::json;
use tests::Service;

use super::browser::Browser;

/// The most pages that one crawl reads.
const MAX_PAGES: usize = 400;

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
        if who.starts_with("customer") && path.starts_with("/office") {
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
            queue.push_back(page.leads_to().to_owned());
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
            // A second logout has no effect anyway.
            if form.method == "post" && !form.action.ends_with("/logout") {
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

#[tokio::test(flavor = "multi_thread")]
async fn every_link_leads_somewhere_for_each_role_and_hostile_texts_stay_texts() {
    let service = Service::start().await;
    let admin = service.admin();
    let hostile = "<hostile onerror=alert(1)>\"'&amp;{{7*7}}";
    admin
        .patch("/api/business", &json!({"name": hostile}))
        .await
        .ok(200);
    let body = json!({"sku": "<hostile>", "name": hostile, "description": hostile, "price": "1.00", "stock": 3});
    admin.post("/api/products", &body).await.ok(201);
    let staff = json!({"email": "clerk@example.com", "name": hostile, "password": "correct horse", "role": "staff"});
    admin.post("/api/users", &staff).await.ok(201);
    let nobody = crawl(&Browser::at(&service), "nobody").await;
    assert!(nobody.len() > 15, "{nobody:?}");
    for (email, password) in [
        ("admin@example.com", "admin123"),
        ("clerk@example.com", "correct horse"),
        ("customer@example.com", "customer123"),
    ] {
        let browser = Browser::logged_in(&service, "acme", email, password).await;
        let seen = crawl(&browser, email).await;
        assert!(seen.len() > 15, "{seen:?}");
    }
}
