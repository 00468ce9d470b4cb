//! Tests of callers and their businesses.

use actix_web::test::TestRequest;
use domain::Authority;
use entity::{BusinessId, CustomerId};
use serde_json::json;

use super::{BUSINESS, send, staff, token};

#[actix_web::test]
async fn credentials_come_before_everything_else() {
    let request = || TestRequest::post().uri("/api/things").set_payload("{");
    for header in ["", "Bearer", "Bearer ", "Bearer x.y.z", "Basic eDp5"] {
        let reply = send(request().insert_header(("Authorization", header))).await;
        reply.problem(401, "unauthenticated");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    send(request()).await.problem(401, "unauthenticated");
    let expired = ("Authorization", token(Authority::Admin, -60));
    send(request().insert_header(expired))
        .await
        .problem(401, "token_expired");
    let customer = (
        "Authorization",
        token(Authority::Customer(CustomerId::new()), 60),
    );
    send(request().insert_header(customer))
        .await
        .problem(403, "forbidden");
    send(staff(request())).await.problem(400, "malformed_json");
}

#[actix_web::test]
async fn no_other_business_can_be_named() {
    let other = BusinessId::new().to_string();
    for header in [other.as_str(), "acme", ""] {
        let request =
            staff(TestRequest::get().uri("/api/things")).insert_header(("X-Business-Id", header));
        send(request).await.problem(403, "tenant_mismatch");
    }
    let body = json!({"business_id": other}).to_string();
    let request = staff(TestRequest::post().uri("/api/things")).set_payload(body);
    send(request).await.problem(403, "tenant_mismatch");
}

#[actix_web::test]
async fn a_visitor_names_a_business_or_has_credentials() {
    for uri in [
        "/api/open?business=acme",
        &format!("/api/open?business={BUSINESS}"),
    ] {
        let reply = send(TestRequest::get().uri(uri)).await;
        assert_eq!(reply.body, json!({"business": BUSINESS, "signed": false}));
    }
    let reply = send(staff(TestRequest::get().uri("/api/open"))).await;
    assert_eq!(reply.body, json!({"business": BUSINESS, "signed": true}));
    send(TestRequest::get().uri("/api/open"))
        .await
        .problem(401, "unauthenticated");
    send(TestRequest::get().uri("/api/open?business=%00"))
        .await
        .problem(404, "not_found");
    let bad = TestRequest::get()
        .uri("/api/open?business=acme")
        .insert_header(("Authorization", "Bearer x"));
    send(bad).await.problem(401, "unauthenticated");
}

#[actix_web::test]
async fn a_public_body_has_no_amounts_and_takes_no_business() {
    let body = json!({"name": "x", "tip": "1", "business_id": BUSINESS});
    let reply = send(
        TestRequest::post()
            .uri("/api/greetings")
            .set_payload(body.to_string()),
    )
    .await;
    assert_eq!(
        reply.problem(422, "validation_failed")["errors"],
        json!([
            {"pointer": "/tip", "message": "is an amount, which needs a business and its currency"},
            {"pointer": "/business_id", "message": "is not a known field"},
        ])
    );
}
