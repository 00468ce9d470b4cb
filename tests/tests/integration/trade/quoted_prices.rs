//! Who says which price it has seen pays that one or nothing, whether it buys, reserves or orders by card.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD};
use serde_json::{Value, json};
use tests::Untouched;

/// Everything that is asked for with products and prices.
const PATHS: [&str; 3] = ["/api/purchase", "/api/reservations", "/api/orders/checkout"];

/// Two keyboards at 50.00, and headphones at what the buyer saw.
fn quoted(price: &str) -> Value {
    json!({"customer_id": ACME_CUSTOMER, "items": [
        {"product_id": ACME_KEYBOARD, "quantity": 2, "unit_price": "50.00"},
        {"product_id": ACME_HEADPHONES, "quantity": 1, "unit_price": price},
    ]})
}

#[tokio::test(flavor = "multi_thread")]
async fn another_price_than_the_products_is_refused_with_both_and_nothing_is_sold_or_held() {
    let shop = Untouched::start().await;
    for path in PATHS {
        // A lower one, one that would be to the shop's gain, and none at all.
        for price in ["99.99", "100.01", "0.00"] {
            for client in [shop.service.staff(), shop.service.customer()] {
                let refused = client.post_once("quoted", path, &quoted(price)).await;
                let problem = refused.refused(409, "price_changed");
                let said = ["product_id", "quoted", "current", "currency"];
                assert_eq!(
                    said.map(|member| problem[member].clone()),
                    [
                        json!(ACME_HEADPHONES),
                        json!(price),
                        json!("100.00"),
                        json!("USD")
                    ],
                    "{path}"
                );
            }
        }
    }
    // Nor does it take a place in line.
    let mut waiting = quoted("99.99");
    waiting["items"].as_array_mut().unwrap().remove(0);
    waiting["items"][0]["quantity"] = json!(1000);
    waiting["wait"] = json!(true);
    let refused = shop.admin.post("/api/reservations", &waiting).await;
    let _ = refused.refused(409, "price_changed");
    shop.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_that_the_product_has_is_taken_until_it_changes() {
    for path in PATHS {
        let shop = Untouched::start().await;
        let made = shop.admin.post(path, &quoted("100.00")).await.ok(201);
        assert_eq!(made["total_amount"], "200.00", "{path}");
        let dearer = json!({"price": "120.50"});
        let product = format!("/api/products/{ACME_HEADPHONES}");
        let _ = shop.admin.patch(&product, &dearer).await.ok(200);
        let before = shop.service.database.digest().await;
        let refused = shop.admin.post(path, &quoted("100.00")).await;
        let problem = refused.refused(409, "price_changed");
        assert_eq!(problem["current"], "120.50", "{path}");
        assert_eq!(shop.service.database.digest().await, before, "{path}");
        let made = shop.admin.post(path, &quoted("120.50")).await.ok(201);
        assert_eq!(made["total_amount"], "220.50", "{path}");
    }
}
