//! These tests read the headers of pages and of their files.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::Method;
use tests::Service;

use super::browser::{Browser, Page};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn assert_safe(path: &str, page: &Page) {
    assert_eq!(page.header("content-security-policy"), POLICY, "{path}");
    assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
    assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
    assert!(!page.header("x-request-id").is_empty(), "{path}");
    assert!(!page.text.contains("style="), "{path}");
    assert!(!page.text.contains("<script>"), "{path}");
    for name in page.names() {
        assert!(!name.starts_with("on"), "{path} has {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_the_strict_policy_whatever_its_status() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let product = format!("/shop/acme/products/{}", domain::demo::ACME_HEADPHONES);
    for (path, status) in [
        ("/", 200),
        ("/?business=nobody", 404),
        ("/shop/acme", 200),
        ("/shop/acme?q=zzzz&cursor=nonsense", 200),
        (product.as_str(), 200),
        ("/shop/acme/login", 200),
        ("/shop/acme/register", 200),
        ("/shop/acme/products/nonsense", 404),
        ("/shop/nobody", 404),
        ("/shop/acme/nothing", 404),
    ] {
        let page = browser.get(path).await;
        let _ = page.shows(status);
        assert_safe(path, &page);
        let cache = page.header("cache-control");
        match path.starts_with("/shop/acme")
            && status == 200
            && !path.contains("/login")
            && !path.contains("/register")
        {
            true => assert_eq!(cache, "private, no-cache", "{path}"),
            false => assert_eq!(cache, "no-store", "{path}"),
        }
    }
    for (path, status) in [("/shop/acme/login", 403), ("/shop/acme", 405)] {
        let page = browser.request(Method::POST, path, &[], &[]).await;
        let _ = page.shows(status);
        assert_safe(path, &page);
    }
    let page = browser.log_in("acme", "admin@example.com", "wrong").await;
    assert_safe("a refused login", &page);
    let page = browser
        .log_in("acme", "admin@example.com", "admin123")
        .await;
    assert_eq!(page.status, 303);
    assert_safe("a login", &page);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_has_not_changed_is_not_sent_again() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let page = browser.get("/shop/acme").await;
    let tag = page.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    let again = [("if-none-match", tag.as_str())];
    let page = browser
        .request(Method::GET, "/shop/acme", &[], &again)
        .await;
    assert_eq!((page.status, page.text.as_str()), (304, ""));
    assert_eq!(page.header("etag"), tag);
    // Another visitor gets another page.
    let customer =
        Browser::logged_in(&service, "acme", "customer@example.com", "customer123").await;
    let page = customer
        .request(Method::GET, "/shop/acme", &[], &again)
        .await;
    assert_eq!(page.status, 200);
    let price = serde_json::json!({"name": "Louder headphones"});
    let product = format!("/api/products/{}", domain::demo::ACME_HEADPHONES);
    service.admin().patch(&product, &price).await.ok(200);
    let page = browser
        .request(Method::GET, "/shop/acme", &[], &again)
        .await;
    assert!(page.shows(200).contains("Louder headphones"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_for_ever_and_sent_compressed_with_their_type() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let page = browser.get("/shop/acme").await;
    let mut files = page.files();
    files.retain(|file| file.starts_with("/static/"));
    assert!(files.len() >= 3, "{files:?}");
    let client = reqwest::Client::new();
    for asset in pages::assets() {
        let request = client.get(format!("{}{}", service.base, asset.path()));
        let response = request.header("accept-encoding", "gzip").send();
        let response = response.await.unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        assert_eq!(response.status(), 200, "{}", asset.path());
        assert_eq!(header("content-type"), asset.content_type);
        assert_eq!(header("content-encoding"), "gzip");
        assert_eq!(
            header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(
            header("vary").contains("accept-encoding"),
            "{}",
            header("vary")
        );
        let mut plain = Vec::new();
        let bytes = response.bytes().await.unwrap();
        GzDecoder::new(&*bytes).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, asset.bytes);
        let whole = browser.get(asset.path()).await;
        assert_eq!(whole.header("content-encoding"), "");
        assert_eq!(whole.text.len(), asset.bytes.len());
    }
    for path in [
        "/static/0000000000000000/shop.css",
        "/static/x/../shop.css",
        "/static/",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert_eq!(page.header("cache-control"), "", "{path}");
    }
}
