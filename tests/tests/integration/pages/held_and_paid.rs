//! The pages whose state changes by itself, in a browser with and without scripts: the place in line, and the payment.

use domain::demo::ACME_CUSTOMER;
use entity::{CustomerId, ProductId};
use serde_json::{Value, json};
use tests::{Client, Service};

use super::chromium::Chromium;

const PRODUCT: &str = "/shop/acme/products/650e8400-e29b-41d4-a716-446655440001";

/// A browser of the demo's buyer, with scripts or without.
async fn buyer(service: &Service, has_scripts: bool) -> Option<Chromium> {
    let browser = Chromium::at(service).await?;
    if !has_scripts {
        browser.without_scripts().await;
    }
    browser.log_in().await;
    Some(browser)
}

#[tokio::test]
async fn a_declined_payment_can_be_tried_again_with_and_without_scripts() {
    for has_scripts in [true, false] {
        let service = Service::start().await;
        let Some(browser) = buyer(&service, has_scripts).await else {
            return;
        };
        browser.goto(PRODUCT).await;
        browser.click(".buy [type=submit]").await;
        browser.until_text("Added to your cart.").await;
        browser.goto("/shop/acme/checkout").await;
        browser.click("[name=payment_method][value=card]").await;
        browser.click(".side [type=submit]").await;
        browser.until_text("no money moves").await;
        browser.click("[name=outcome][value=declined]").await;
        browser.until_text("The payment was declined").await;
        browser.click("[name=outcome][value=succeeded]").await;
        browser.until_text("The payment was sent.").await;
        browser.until_text("Paid").await;
        // Back leads to a page that says so, and offers no second payment.
        browser.driver.back().await.unwrap();
        browser.driver.refresh().await.unwrap();
        browser.until_text("Thank you.").await;
        assert!(!browser.text().await.contains("no money moves"));
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.quit().await;
    }
}

async fn reserve(client: &Client, customer: CustomerId, product: ProductId) -> String {
    let body = json!({"customer_id": customer, "items": [{"product_id": product, "quantity": 1}]});
    let made: Value = client.post("/api/reservations", &body).await.ok(201);
    made["reservation_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_place_in_line_becomes_a_hold_with_and_without_scripts() {
    for has_scripts in [true, false] {
        let service = Service::start().await;
        let admin = service.admin();
        let rare = admin.add_product("RARE-1", "10.00", 1).await;
        let others = admin.add_customer("Others", "100.00").await;
        let held = reserve(&admin, others, rare).await;
        let Some(browser) = buyer(&service, has_scripts).await else {
            return;
        };
        browser.goto(&format!("/shop/acme/products/{rare}")).await;
        browser.until_text("Join the waitlist").await;
        browser.click("main form [type=submit]").await;
        browser.until_text("You are number 1 in line").await;
        let place = browser.path().await;
        let release = format!("/api/reservations/{held}/cancel");
        admin.post(&release, &json!({})).await.ok(200);
        if !has_scripts {
            browser.click("#again").await;
        }
        browser.until_text("Held for you").await;
        assert_eq!(browser.path().await, place);
        browser.click("[name=payment_method][value=credit]").await;
        browser.until_text("Your order is placed").await;
        let kept = admin.get(&format!("/api/customers/{ACME_CUSTOMER}")).await;
        assert_eq!(kept.ok(200)["balance"], "10.00");
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.quit().await;
    }
}
