//! These tests look for the pictures of products on the pages of the store.

use domain::demo::ACME_HEADPHONES;
use image::ImageFormat;
use serde_json::json;
use tests::pictures::picture;
use tests::{Client, Service};

use super::browser::{Browser, Page};

/// The product's uploaded picture, as an address for pages.
async fn uploaded(admin: &Client, size: (u32, u32), seed: u8) -> String {
    let path = format!("/api/products/{ACME_HEADPHONES}/picture");
    let file = picture(ImageFormat::Png, size, seed);
    let product = admin.put_png(&path, file).await.ok(200);
    let url = product["picture"]["url"].as_str().unwrap();
    let (_, version) = url.split_once("&version=").unwrap();
    format!("/shop/acme/pictures/{version}")
}

/// The image whose address begins with this.
#[track_caller]
fn image<'a>(page: &'a Page, address: &str) -> &'a str {
    let text = page.shows(200);
    let found = text.split_once(&format!("<img src=\"{address}"));
    let (_, rest) = found.unwrap_or_else(|| panic!("no {address} in {text}"));
    rest.split('>').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_picture_is_on_every_page_of_its_product_with_its_size() {
    let service = Service::start().await;
    let admin = service.admin();
    let address = uploaded(&admin, (1200, 900), 1).await;
    let buyer = Browser::logged_in(&service, "acme", "customer@example.com", "customer123").await;
    let product = format!("/shop/acme/products/{ACME_HEADPHONES}");
    let page = buyer.get(&product).await;
    let form = page.form("/shop/acme/cart/add").with("quantity", "1");
    let _ = buyer.submit(&form).await.leads_to();
    let checkout = buyer.get("/shop/acme/checkout").await;
    let form = checkout.form("/shop/acme/checkout");
    let form = form
        .with("payment_method", "credit")
        .with("delivery", "none");
    let shop = buyer.get("/shop/acme").await;
    let cart = buyer.get("/shop/acme/cart").await;
    let placed = buyer.submit(&form).await;
    let order = format!("/shop/acme/{}", placed.leads_to());
    for page in [&shop, &page, &cart, &checkout, &buyer.get(&order).await] {
        let image = image(page, &address);
        for part in [
            format!("srcset=\"{address}/96 96w, {address}/320 320w, {address}/960 960w\""),
            "alt=\"Wireless headphones\" width=\"960\" height=\"720\"".to_owned(),
        ] {
            assert!(image.contains(&part), "{image}");
        }
        // Pictures come from the site itself only.
        let policy = page.header("content-security-policy");
        assert!(policy.contains("img-src 'self';"), "{policy}");
    }
    for size in ["96", "320", "960"] {
        let file = buyer.get(&format!("{address}/{size}")).await;
        assert_eq!(file.header("content-type"), "image/jpeg");
    }
    // A picture that is replaced is another one on every page, and an order keeps showing what there is.
    let address = uploaded(&admin, (50, 40), 2).await;
    let off_sale = json!({"active": false});
    let path = format!("/api/products/{ACME_HEADPHONES}");
    admin.patch(&path, &off_sale).await.ok(200);
    let page = buyer.get(&order).await;
    let image = image(&page, &address);
    assert!(
        image.contains(&format!("srcset=\"{address}/96 50w\"")),
        "{image}"
    );
    assert_eq!(buyer.get(&format!("{address}/96")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_at_another_server_is_on_no_page() {
    let service = Service::start().await;
    let path = format!("/api/products/{ACME_HEADPHONES}");
    let body = json!({"image_url": "https://cdn.example/headphones.jpg"});
    service.admin().patch(&path, &body).await.ok(200);
    let browser = Browser::at(&service);
    for path in [
        "/shop/acme",
        &format!("/shop/acme/products/{ACME_HEADPHONES}"),
    ] {
        let page = browser.get(path).await;
        assert!(!page.shows(200).contains("cdn.example"), "{path}");
    }
}
