//! These tests check payments that the provider cannot take. Its known limits are checked before the order is placed. A
//! later rejection is reported with the provider's code but without its message.

use domain::demo::ACME_CUSTOMER;
use entity::ProductId;
use serde_json::{Value, json};
use tests::stripe::Fault;
use tests::{Service, StripeShop, books_balance, purchase};

/// Creates a product with this price.
async fn product(service: &Service, price: &str) -> ProductId {
    service.admin().add_product("LIMITS-1", price, 5).await
}

/// Asserts that a checkout and a confirmation by card are rejected, no order is placed, and Stripe gets no request.
async fn refused_before(shop: &StripeShop, product: ProductId) -> Value {
    let customer = shop.service.customer();
    let request = json!({"items": [{"product_id": product, "quantity": 1}]});
    let held = customer.post("/api/reservations", &request).await.ok(201);
    let path = format!(
        "/api/reservations/{}",
        held["reservation_id"].as_str().unwrap()
    );
    let before = shop.service.database.digest().await;
    let refused = customer.checkout(&[(product, 1)]).await;
    let refused = refused.refused(422, "payment_refused");
    let by_card = json!({"payment_method": "card"});
    let confirmed = customer.post(&format!("{path}/confirm"), &by_card).await;
    let confirmed = confirmed.refused(422, "payment_refused");
    assert_eq!(confirmed["provider_code"], refused["provider_code"]);
    assert!(refused.get("order_id").is_none(), "{refused}");
    assert_eq!(shop.service.database.digest().await, before);
    assert_eq!(customer.get(&path).await.ok(200)["status"], "active");
    assert_eq!(shop.stripe.asked(), []);
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_that_stripe_will_not_take_is_refused_before_there_is_an_order() {
    for (currency, price, code, field, bound) in [
        ("USD", "0.49", "amount_too_small", "minimum", "0.50"),
        (
            "USD",
            "1000000.00",
            "amount_too_large",
            "maximum",
            "999999.99",
        ),
        ("JPY", "49", "amount_too_small", "minimum", "50"),
        (
            "KWD",
            "1.235",
            "invalid_charge_amount",
            "multiple_of",
            "0.010",
        ),
    ] {
        let shop = StripeShop::in_currency(currency).await;
        let product = product(&shop.service, price).await;
        let refused = refused_before(&shop, product).await;
        assert_eq!(refused["provider_code"], code);
        assert_eq!(refused[field], bound, "{refused}");
        assert_eq!(refused["currency"], currency);
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(bound), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_currency_in_which_stripe_takes_no_payments_is_refused_before_there_is_an_order() {
    let shop = StripeShop::in_currency("IQD").await;
    let product = product(&shop.service, "5.000").await;
    let refused = refused_before(&shop, product).await;
    assert_eq!(refused["provider_code"], "currency_not_supported");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_and_the_largest_amount_of_stripe_can_be_paid() {
    let shop = StripeShop::open().await;
    for (sku, price) in [("LEAST", "0.50"), ("MOST", "999999.99")] {
        let product = shop.service.admin().add_product(sku, price, 5).await;
        let placed = shop.service.customer().checkout(&[(product, 1)]).await;
        assert_eq!(placed.ok(201)["total_amount"], price);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offline_provider_takes_any_amount() {
    let service = Service::start().await;
    for (sku, price) in [("LEAST", "0.01"), ("MOST", "99999999.99")] {
        let product = service.admin().add_product(sku, price, 5).await;
        let placed = service.customer().checkout(&[(product, 1)]).await;
        assert_eq!(placed.ok(201)["total_amount"], price);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_stripe_cannot_make_is_refused_at_once() {
    let shop = StripeShop::in_currency("KWD").await;
    let product = product(&shop.service, "10.000").await;
    let (order, intent) = shop.order(&[(product, 1)]).await;
    shop.pay(&intent).await;
    let admin = shop.service.admin();
    let before = shop.service.database.digest().await;
    let odd = json!({"amount": "1.235", "reason": "a scratch"});
    let refused = admin.do_to(&order, "refund", &odd).await;
    let refused = refused.refused(422, "payment_refused");
    assert_eq!(refused["provider_code"], "invalid_charge_amount");
    assert_eq!(refused["multiple_of"], "0.010");
    assert_eq!(shop.service.database.digest().await, before);
    let even = json!({"amount": "1.230", "reason": "a scratch"});
    let refunded = admin.do_to(&order, "refund", &even).await.ok(200);
    assert_eq!(refunded["amount_refunded"], "1.230");
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_afterwards_says_that_the_order_is_cancelled_and_says_it_again() {
    let shop = StripeShop::open().await;
    let product = product(&shop.service, "5.00").await;
    let customer = shop.service.customer();
    let body = purchase(ACME_CUSTOMER, &[(product, 1)]);
    shop.stripe.fault(&[Fault::Status(402)]);
    let first = customer
        .post_once("one", "/api/orders/checkout", &body)
        .await;
    let refused = first.refused(422, "payment_refused");
    assert_eq!(refused["provider_code"], "api_error");
    assert_eq!(refused["order_status"], "cancelled");
    assert!(!first.text.contains("as requested"), "{}", first.text);
    let order = refused["order_id"].as_str().unwrap();
    let found = shop.order_now(order).await;
    assert_eq!(found["cancel_reason"], "payment_refused");
    // A retry with the same key gets the same problem without another request to Stripe.
    let asked = shop.stripe.asked().len();
    let again = customer
        .post_once("one", "/api/orders/checkout", &body)
        .await;
    let again = again.refused(422, "payment_refused");
    for same in ["provider_code", "order_id", "order_status", "detail"] {
        assert_eq!(again[same], refused[same], "{same}");
    }
    assert_eq!(shop.stripe.asked().len(), asked);
    // A temporary error is reported as a failure that a client may retry, not as a rejection.
    shop.stripe.fault(&[Fault::Status(500)]);
    let failed = customer.checkout(&[(product, 1)]).await;
    let failed = failed.refused(502, "payment_provider_error");
    assert_eq!(failed["order_status"], "created");
    books_balance(&shop.service).await;
}
