//! These tests read the page of the buyer's own holds and places in line.

use domain::demo::{ACME_CUSTOMER, ACME_KEYBOARD};
use entity::{CustomerId, ProductId};
use serde_json::{Value, json};
use tests::{Client, Service};

use super::browser::Browser;

const LIST: &str = "/shop/acme/reservations";

async fn reserve(client: &Client, customer: CustomerId, product: ProductId, wait: bool) -> String {
    let body = json!({
        "customer_id": customer, "items": [{"product_id": product, "quantity": 1}], "wait": wait, "ttl_seconds": 3600,
    });
    let made = client.post("/api/reservations", &body).await;
    assert!(matches!(made.status, 201 | 202), "{}", made.text);
    let made: Value = serde_json::from_str(&made.text).unwrap();
    made["reservation_id"].as_str().unwrap().to_owned()
}

async fn end(client: &Client, id: &str, how: &str) {
    let body = match how {
        "confirm" => json!({"payment_method": "credit"}),
        _ => json!({}),
    };
    let done = client
        .post(&format!("/api/reservations/{id}/{how}"), &body)
        .await;
    assert!(matches!(done.status, 200 | 201), "{}", done.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_reservations_come_first_with_their_place_and_past_ones_lead_to_their_orders() {
    let service = Service::start().await;
    let admin = service.admin();
    let browser = Browser::logged_in(&service, "acme", "customer@example.com", "customer123").await;
    assert!(
        browser
            .get(LIST)
            .await
            .shows(200)
            .contains("No reservations yet")
    );
    let rare = admin.add_product("RARE-1", "10.00", 1).await;
    let others = admin.add_customer("Others", "100.00").await;
    let of_other = reserve(&admin, others, rare, false).await;
    let waits = reserve(&admin, ACME_CUSTOMER, rare, true).await;
    let confirmed = reserve(&admin, ACME_CUSTOMER, ACME_KEYBOARD, false).await;
    end(&admin, &confirmed, "confirm").await;
    let cancelled = reserve(&admin, ACME_CUSTOMER, ACME_KEYBOARD, false).await;
    end(&admin, &cancelled, "cancel").await;
    let held = reserve(&admin, ACME_CUSTOMER, ACME_KEYBOARD, false).await;
    let page = browser.get(LIST).await;
    let text = page.shows(200);
    let place = |id: &str| text.find(id).unwrap_or_else(|| panic!("{id} in {text}"));
    let places = [&held, &waits, &cancelled, &confirmed].map(|id| place(id));
    assert!(places.is_sorted(), "{places:?}");
    assert!(
        text.contains("Number 1 in line") && text.contains("class=\"countdown\""),
        "{text}"
    );
    assert!(!text.contains(&of_other), "{text}");
    let read = admin
        .get(&format!("/api/reservations/{confirmed}"))
        .await
        .ok(200);
    let order = format!("/shop/acme/orders/{}", read["order_id"].as_str().unwrap());
    assert!(page.links().contains(&order), "{text}");
    for path in ["/shop/acme/account", "/shop/acme"] {
        let links = browser.get(path).await.links();
        assert!(links.contains(&LIST.to_owned()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_reservations_are_on_later_pages_and_a_wrong_cursor_is_said() {
    let service = Service::start().await;
    let admin = service.admin();
    for _ in 0..51 {
        let id = reserve(&admin, ACME_CUSTOMER, ACME_KEYBOARD, false).await;
        end(&admin, &id, "cancel").await;
    }
    let held = reserve(&admin, ACME_CUSTOMER, ACME_KEYBOARD, false).await;
    let browser = Browser::logged_in(&service, "acme", "customer@example.com", "customer123").await;
    let page = browser.get(LIST).await;
    let links = page.links();
    let next = links.iter().find(|link| link.contains("cursor=")).unwrap();
    let of_page = |links: &[String]| {
        let prefix = format!("{LIST}/");
        links
            .iter()
            .filter(|link| link.starts_with(&prefix))
            .count()
    };
    assert_eq!(of_page(&links), 50, "the open one, and 49 of before");
    let page = browser.get(next).await;
    assert!(!page.shows(200).contains(&held), "{}", page.text);
    assert_eq!(of_page(&page.links()), 2);
    let page = browser.get(&format!("{LIST}?cursor=x")).await;
    assert!(
        page.shows(200).contains("must be the next_cursor"),
        "{}",
        page.text
    );
}
