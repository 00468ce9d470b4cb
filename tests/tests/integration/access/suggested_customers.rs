//! These tests check that a user who registered with the address of a customer is offered to an admin, who links them.

use domain::demo::{ACME_KEYBOARD, GLOBEX};
use serde_json::{Value, json};
use tests::{Client, Service};

use crate::access::users::{PASSWORD, logged_in, new_user, refresh};

async fn register(service: &Service, email: &str) -> Value {
    let body = json!({"business": "acme", "email": email, "password": PASSWORD, "name": "Ada Ltd"});
    let made = service.nobody().post("/api/auth/register", &body).await;
    made.ok(201)
}

/// Adds a customer with this address as staff do; returns the id.
async fn made_by_staff(staff: &Client, email: &str) -> Value {
    let body = json!({"name": "Ada Ltd", "email": email});
    staff.post("/api/customers", &body).await.ok(201)["id"].clone()
}

/// The suggestion of the list for the user with this address.
async fn suggested(service: &Service, email: &str) -> Value {
    let listed = service.admin().pages("/api/users", 2).await;
    let mut users = listed.iter().filter(|user| user["email"] == email);
    users.next().unwrap()["suggested_customer_id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_registers_with_a_customers_address_is_offered_to_an_admin_who_links_them() {
    let service = Service::start().await;
    let admin = service.admin();
    let customer = made_by_staff(&admin, "ada@example.com").await;
    let limit = json!({"credit_limit": "500.00"});
    let customer_path = format!("/api/customers/{}", customer.as_str().unwrap());
    admin.patch(&customer_path, &limit).await.ok(200);

    // The address is not proven, so nothing is linked, and the newcomer is told nothing.
    let made = register(&service, "Ada@Example.com").await;
    assert_eq!(made["suggested_customer_id"], Value::Null);
    assert_ne!(made["customer_id"], customer);
    let (client, refresh_token) = logged_in(&service, "ada@example.com").await;
    let _ = client
        .get(&customer_path)
        .await
        .refused(404, "customer_not_found");
    assert_eq!(suggested(&service, "ada@example.com").await, customer);

    let path = format!("/api/users/{}", made["id"].as_str().unwrap());
    let renamed = admin.patch(&path, &json!({"name": "Ada"})).await.ok(200);
    assert_eq!(renamed["suggested_customer_id"], customer);
    let link = json!({"customer_id": customer});
    let linked = admin.patch(&path, &link).await.ok(200);
    assert_eq!(linked["customer_id"], customer);
    assert_eq!(linked["suggested_customer_id"], Value::Null);
    assert_eq!(suggested(&service, "ada@example.com").await, Value::Null);

    // The login goes on, for the other customer.
    let _ = client
        .get("/api/auth/me")
        .await
        .refused(401, "unauthenticated");
    let granted = refresh(&service, &refresh_token).await.ok(200);
    let client = service.bearer(granted["access_token"].as_str().unwrap());
    assert_eq!(
        client.get("/api/auth/me").await.ok(200)["customer_id"],
        customer
    );
    let items = json!({"items": [{"product_id": ACME_KEYBOARD, "quantity": 1}]});
    let sold = client.post("/api/purchase", &items).await.ok(201);
    assert_eq!(sold["customer_id"], customer);
    // The empty record of the registration stays, and nobody acts for it.
    let empty = made["customer_id"].as_str().unwrap();
    let empty = format!("/api/customers/{empty}");
    assert_eq!(admin.get(&empty).await.ok(200)["balance"], "0.00");
    let _ = client.get(&empty).await.refused(404, "customer_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_customer_that_staff_made_with_the_same_address_is_suggested() {
    let service = Service::start().await;
    let admin = service.admin();
    for email in ["one@example.com", "two@example.com", "three@example.com"] {
        register(&service, email).await;
    }
    made_by_staff(&admin, "other@example.com").await;
    let globex = service.caller(GLOBEX, domain::Authority::Admin);
    made_by_staff(&globex, "one@example.com").await;
    let first = made_by_staff(&admin, "two@example.com").await;
    made_by_staff(&admin, "two@example.com").await;
    assert_eq!(suggested(&service, "one@example.com").await, Value::Null);
    assert_eq!(suggested(&service, "two@example.com").await, first);
    // A customer who registered is no suggestion, whatever address it gets later.
    let listed = admin.pages("/api/customers", 50).await;
    let registered = listed
        .iter()
        .find(|customer| customer["email"] == "one@example.com")
        .unwrap();
    let path = format!("/api/customers/{}", registered["id"].as_str().unwrap());
    let body = json!({"email": "three@example.com"});
    admin.patch(&path, &body).await.ok(200);
    assert_eq!(suggested(&service, "three@example.com").await, Value::Null);
    // A user whom an admin has added acts for the customer that the admin chose.
    let mut user = new_user("four@example.com", "customer");
    user["customer_id"] = first;
    admin.post("/api/users", &user).await.ok(201);
    made_by_staff(&admin, "four@example.com").await;
    assert_eq!(suggested(&service, "four@example.com").await, Value::Null);
    assert_eq!(suggested(&service, "admin@example.com").await, Value::Null);
}
