//! Hostile names on every page, in a browser: they run nothing, and fit into a small window.

use domain::demo::{ACME, ACME_CUSTOMER};
use entity::ProductId;
use serde_json::json;
use tests::Service;

use super::chromium::{Chromium, WIDTHS};

/// Names of the greatest length: one that would run a script, one without a place to break, and one that turns the
/// direction of what follows it.
fn names() -> [String; 3] {
    let script = "<script>window.hostile=1</script>\"'><img src=x onerror=window.hostile=1>";
    let filled = |name: &str| format!("{name}{}", "W".repeat(200 - name.chars().count()));
    [
        filled(script),
        "W".repeat(200),
        filled("\u{202e}\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{627}\u{644}\u{633}\u{644}\u{627}\u{645}"),
    ]
}

/// Writes the name into all rows that pages show. The API takes no marks of direction, but rows of before may have them.
async fn rename(service: &Service, name: &str, product: ProductId) {
    let quoted = name.replace('\'', "''");
    let sql = format!(
        "UPDATE businesses SET name = '{quoted}' WHERE id = '{ACME}';
         UPDATE customers SET name = '{quoted}' WHERE id = '{ACME_CUSTOMER}';
         UPDATE users SET name = '{quoted}' WHERE customer_id = '{ACME_CUSTOMER}';
         UPDATE products SET name = '{quoted}' WHERE id = '{product}'"
    );
    service.database.execute(&sql).await;
}

#[tokio::test]
async fn hostile_names_run_nothing_and_fit_on_every_page() {
    for name in names() {
        let service = Service::start().await;
        let (admin, customer) = (service.admin(), service.customer());
        let product = admin.add_product("HOSTILE", "10.00", 9).await;
        rename(&service, &name, product).await;
        let address = json!([{"kind": "delivery", "line1": "1 Main Street", "country": "US"}]);
        let path = format!("/api/customers/{ACME_CUSTOMER}/addresses");
        customer
            .put(&path, &json!({"addresses": address}))
            .await
            .ok(200);
        let order = customer.buy(&[(product, 1)]).await.ok(201);
        let order = format!("/shop/acme/orders/{}", order["order_id"].as_str().unwrap());
        let by_card = customer.order_by_card(&[(product, 1)]).await;
        let hold = json!({"customer_id": ACME_CUSTOMER, "items": [{"product_id": product, "quantity": 1}]});
        let hold = admin.post("/api/reservations", &hold).await.ok(201);
        let hold = hold["reservation_id"].as_str().unwrap();
        let Some(browser) = Chromium::at(&service).await else {
            return;
        };
        browser.log_in().await;
        let product = format!("/shop/acme/products/{product}");
        browser.goto(&product).await;
        browser.click(".buy [type=submit]").await;
        let mut wrong = Vec::new();
        for path in [
            "/".to_owned(),
            "/shop/acme".to_owned(),
            product,
            "/shop/acme/cart".to_owned(),
            "/shop/acme/checkout".to_owned(),
            "/shop/acme/orders".to_owned(),
            format!("/shop/acme/orders/{by_card}/pay"),
            format!("{order}/confirmation"),
            format!("{order}/receipt"),
            order,
            "/shop/acme/reservations".to_owned(),
            format!("/shop/acme/reservations/{hold}"),
            "/shop/acme/account".to_owned(),
            "/shop/acme/account/addresses/0".to_owned(),
            "/shop/acme/account/statement".to_owned(),
            "/shop/acme/reset".to_owned(),
        ] {
            browser.goto(&path).await;
            wrong.extend(look(&browser, &path).await);
        }
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        browser.quit().await;
    }
}

/// The faults of a page at both widths.
async fn look(browser: &Chromium, path: &str) -> Vec<String> {
    let mut wrong = browser.complaints().await;
    if browser.run("return window.hostile").await != json!(null) {
        wrong.push(format!("a name runs on {path}"));
    }
    for width in WIDTHS {
        browser.size(width, 900).await;
        let wide = browser
            .run("return document.documentElement.scrollWidth")
            .await;
        if wide.as_u64() > Some(width.into()) {
            wrong.push(format!("{path} at {width} is {wide} wide"));
        }
    }
    wrong
}
