//! These tests check the list of low stock: products of which fewer units are available than the query's bound.

use entity::ProductId;
use serde_json::{Value, json};
use tests::{Client, Service, hold, join_waitlist, member, pointers};

/// Products of which fewer than `most` units are available. Asserts that all page sizes return the same.
async fn below(staff: &Client, most: i64) -> Vec<Value> {
    let path = format!("/api/inventory?below={most}");
    let all = staff.pages(&path, 200).await;
    for limit in [1, 2, 3] {
        assert_eq!(staff.pages(&path, limit).await, all, "pages of {limit}");
    }
    all
}

fn texts(products: &[ProductId]) -> Vec<String> {
    let mut products = products.to_vec();
    products.sort_unstable();
    products.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_products_with_low_stock_only() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let five = below(&staff, 6).await;
    assert_eq!(
        five.len(),
        15,
        "most products of the demo data have five units"
    );
    assert!(below(&staff, 5).await.is_empty());
    let none = admin.add_product("NONE", "1.00", 0).await;
    let four = admin.add_product("FOUR", "1.00", 4).await;
    assert_eq!(
        member(&below(&staff, 1).await, "product_id"),
        texts(&[none])
    );
    assert_eq!(
        member(&below(&staff, 4).await, "product_id"),
        texts(&[none])
    );
    assert_eq!(
        member(&below(&staff, 5).await, "product_id"),
        texts(&[none, four])
    );
    let whole = staff.pages("/api/inventory", 200).await;
    assert_eq!(below(&staff, 1_000_000).await, whole);
    // The other business has a list of its own.
    let theirs = service
        .stranger()
        .pages("/api/inventory?below=1000000", 200)
        .await;
    assert!(
        theirs.iter().all(|stock| !whole.contains(stock)),
        "{theirs:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn held_units_are_not_available_until_they_expire() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let ten = admin.add_product("TEN", "1.00", 10).await;
    assert!(below(&staff, 5).await.is_empty());
    hold(&service, ten, 7, 600).await;
    let low = below(&staff, 4).await;
    assert_eq!(member(&low, "product_id"), texts(&[ten]));
    assert_eq!(
        (&low[0]["available"], &low[0]["reserved"]),
        (&json!(3), &json!(7))
    );
    assert!(below(&staff, 3).await.is_empty());
    service
        .database
        .execute("UPDATE reservation_items SET expires_at = now() WHERE held")
        .await;
    assert!(below(&staff, 5).await.is_empty());
    // One of two holds has expired; the other still counts.
    hold(&service, ten, 2, 600).await;
    let low = below(&staff, 9).await;
    let own = low
        .iter()
        .find(|stock| stock["product_id"] == json!(ten))
        .unwrap();
    assert_eq!(
        (&own["available"], &own["reserved"]),
        (&json!(8), &json!(2))
    );
    assert!(!member(&below(&staff, 8).await, "product_id").contains(&ten.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_with_a_waitlist_is_low_on_stock_until_nobody_waits() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let ten = admin.add_product("TEN", "1.00", 10).await;
    hold(&service, ten, 1, 600).await;
    join_waitlist(&service, ten, 600).await;
    let low = below(&staff, 1).await;
    assert_eq!(member(&low, "product_id"), texts(&[ten]));
    assert_eq!(
        (&low[0]["available"], &low[0]["waiting"]),
        (&json!(0), &json!(1))
    );
    let over = "UPDATE reservation_items SET expires_at = now() WHERE place IS NOT NULL";
    service.database.execute(over).await;
    assert!(below(&staff, 1).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn below_is_a_whole_number_of_at_least_one() {
    let service = Service::start().await;
    for bad in ["0", "-1", "1.5", "ten", "1000000000001", "", "1&below=2"] {
        let reply = service
            .staff()
            .get(&format!("/api/inventory?below={bad}"))
            .await;
        assert_eq!(pointers(&reply), ["?below"], "{bad}");
    }
}
