//! These tests check customer records: credit limit, payment terms, credit hold, and the audit entries of changes.

use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES};
use entity::CustomerId;
use serde_json::{Value, json};
use tests::{Service, member, pointers};

/// Audit entries of one entity, oldest first.
async fn trail(service: &Service, id: &str) -> Vec<Value> {
    let sql = format!(
        "SELECT action, entity_type, actor_role, request_id, before, after FROM audit_events
          WHERE business_id = '{ACME}' AND entity_id = '{id}' ORDER BY id"
    );
    service.database.rows(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_customer_is_found_where_the_answer_says_and_starts_with_the_defaults() {
    let service = Service::start().await;
    let staff = service.staff();
    let reply = staff
        .post("/api/customers", &json!({"name": "Newcomer"}))
        .await;
    let added = reply.ok(201);
    let id = added["id"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("/api/customers/{id}"));
    for (name, value) in [
        ("name", json!("Newcomer")),
        ("email", json!(null)),
        ("currency", json!("USD")),
        ("credit_limit", json!("0.00")),
        ("balance", json!("0.00")),
        ("available_credit", json!("0.00")),
        ("on_hold", json!(false)),
        ("payment_terms_days", json!(30)),
    ] {
        assert_eq!(added[name], value, "{name}");
    }
    let read = staff.get(reply.header("location")).await.ok(200);
    assert_eq!(read, added);
    let listed = staff.pages("/api/customers", 200).await;
    assert!(listed.contains(&added), "{listed:?}");
    // The default credit limit is 0.00, so the customer cannot purchase on credit.
    let id = id.parse().unwrap();
    let refused = staff.buy_for(id, &[(ACME_HEADPHONES, 1)]).await;
    let _ = refused.refused(409, "credit_limit_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_has_the_values_of_its_creation() {
    let service = Service::start().await;
    let body = json!({"name": "Terms & Co", "email": "Office@Terms.Example", "credit_limit": 1234.5,
                      "payment_terms_days": 0, "on_hold": true});
    let added = service.admin().post("/api/customers", &body).await.ok(201);
    assert_eq!(added["email"], "office@terms.example");
    assert_eq!(added["credit_limit"], "1234.50");
    assert_eq!(added["available_credit"], "1234.50");
    assert_eq!(added["payment_terms_days"], 0);
    assert_eq!(added["on_hold"], true);
    let id = added["id"].as_str().unwrap();
    let trail = trail(&service, id).await;
    assert_eq!(trail.len(), 1);
    assert_eq!(trail[0]["action"], "customer.created");
    assert_eq!(trail[0]["before"], Value::Null);
    assert_eq!(
        trail[0]["after"],
        json!({"name": "Terms & Co", "email": "office@terms.example", "credit_limit": "1234.50",
               "on_hold": true, "payment_terms_days": 0, "reference": null, "contact": null, "phone": null,
               "vat_number": null, "addresses": null, "metadata": null})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_sets_its_members_only_and_null_clears_them() {
    let service = Service::start().await;
    let admin = service.admin();
    let body = json!({"name": "Before", "email": "a@b.example", "credit_limit": "10.00"});
    let added = admin.post("/api/customers", &body).await.ok(201);
    let path = format!("/api/customers/{}", added["id"].as_str().unwrap());

    let same = admin.patch(&path, &json!({})).await.ok(200);
    for name in [
        "id",
        "name",
        "email",
        "credit_limit",
        "on_hold",
        "payment_terms_days",
        "created_at",
    ] {
        assert_eq!(same[name], added[name], "{name}");
    }
    let renamed = admin.patch(&path, &json!({"name": "After"})).await.ok(200);
    assert_eq!(renamed["name"], "After");
    assert_eq!(
        renamed["email"], "a@b.example",
        "an omitted field keeps its value"
    );
    assert_ne!(renamed["updated_at"], added["updated_at"]);
    let cleared = admin.patch(&path, &json!({"email": null})).await.ok(200);
    assert_eq!(cleared["email"], Value::Null, "null clears the field");
    assert_eq!(cleared["name"], "After");
    let nulls =
        json!({"name": null, "credit_limit": null, "on_hold": null, "payment_terms_days": null});
    let refused = admin.patch(&path, &nulls).await;
    assert_eq!(
        pointers(&refused),
        ["/name", "/credit_limit", "/payment_terms_days", "/on_hold"],
        "null is no value of these fields, and no absence of a limit"
    );
    assert_eq!(admin.get(&path).await.ok(200), cleared);
    let terms = json!({"credit_limit": "99.99", "on_hold": true, "payment_terms_days": 365});
    let changed = admin.patch(&path, &terms).await.ok(200);
    for name in ["credit_limit", "on_hold", "payment_terms_days"] {
        assert_eq!(changed[name], terms[name], "{name}");
    }
    assert_eq!(admin.get(&path).await.ok(200), changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_trail_with_before_and_after_and_who_and_why() {
    let service = Service::start().await;
    let id = ACME_CUSTOMER.to_string();
    let path = format!("/api/customers/{id}");
    let before = trail(&service, &id).await.len();
    let request = service
        .staff()
        .request(reqwest::Method::PATCH, &path)
        .header("x-request-id", "ticket-4711")
        .body(json!({"name": "Renamed"}).to_string());
    let _ = service.staff().send(request).await.ok(200);
    let limit = json!({"credit_limit": "2000.5"});
    let _ = service.admin().patch(&path, &limit).await.ok(200);
    // A rejected request writes no entry.
    let _ = service
        .staff()
        .patch(&path, &limit)
        .await
        .refused(403, "forbidden");

    let trail = trail(&service, &id).await.split_off(before);
    assert_eq!(trail.len(), 2, "{trail:?}");
    let original = json!({"name": "Example Retail Ltd", "email": null, "credit_limit": "1000.00",
                          "on_hold": false, "payment_terms_days": 30, "reference": null, "contact": null,
                          "phone": null, "vat_number": null, "addresses": null, "metadata": null});
    let mut renamed = original.clone();
    renamed["name"] = json!("Renamed");
    let mut raised = renamed.clone();
    raised["credit_limit"] = json!("2000.50");
    assert_eq!(
        (&trail[0]["before"], &trail[0]["after"]),
        (&original, &renamed)
    );
    assert_eq!(
        (&trail[1]["before"], &trail[1]["after"]),
        (&renamed, &raised)
    );
    for event in &trail {
        assert_eq!(event["action"], "customer.changed");
        assert_eq!(event["entity_type"], "customer");
    }
    assert_eq!(trail[0]["request_id"], "ticket-4711");
    assert_eq!(trail[0]["actor_role"], "staff");
    assert_eq!(trail[1]["actor_role"], "admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_below_the_balance_stops_purchases_and_shows_as_negative_credit() {
    let service = Service::start().await;
    let admin = service.admin();
    let _ = admin.buy(&[(ACME_HEADPHONES, 5)]).await.ok(201);
    let path = format!("/api/customers/{ACME_CUSTOMER}");
    let lowered = admin
        .patch(&path, &json!({"credit_limit": "100.00"}))
        .await
        .ok(200);
    assert_eq!(lowered["balance"], "500.00");
    assert_eq!(lowered["available_credit"], "-400.00");
    let refused = admin.buy(&[(ACME_HEADPHONES, 1)]).await;
    let body = refused.refused(409, "credit_limit_exceeded");
    assert_eq!(body["available_credit"], "-400.00");
    // Only ledger entries change the balance; the API cannot set it.
    let read = admin.get(&path).await.ok(200);
    assert_eq!(read["balance"], "500.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_count_for_purchases_from_now_on() {
    let service = Service::start().await;
    let admin = service.admin();
    let days = |order: &Value| {
        let at = |name: &str| {
            order[name]
                .as_str()
                .unwrap()
                .parse::<chrono::DateTime<chrono::Utc>>()
                .unwrap()
        };
        (at("due_at") - at("created_at")).num_days()
    };
    let before = admin.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    assert_eq!(days(&before), 30);
    let path = format!("/api/customers/{ACME_CUSTOMER}");
    let _ = admin
        .patch(&path, &json!({"payment_terms_days": 7}))
        .await
        .ok(200);
    assert_eq!(days(&admin.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201)), 7);
    let old = admin
        .get(&format!(
            "/api/orders/{}",
            before["order_id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(days(&old.ok(200)), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_every_size_hold_the_same_customers_in_the_same_order() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut added = Vec::new();
    for number in 0..12 {
        added.push(
            admin
                .add_customer(&format!("No {number}"), "0")
                .await
                .to_string(),
        );
    }
    let whole = admin.pages("/api/customers", 200).await;
    assert_eq!(whole.len(), 7 + added.len());
    for limit in [1, 2, 6, 7, 18, 19, 20] {
        assert_eq!(
            admin.pages("/api/customers", limit).await,
            whole,
            "pages of {limit}"
        );
    }
    let ids = member(&whole, "id");
    let newest: Vec<String> = ids.into_iter().filter(|id| added.contains(id)).collect();
    assert_eq!(newest, added, "in the order in which they were added");
    let default = admin.get("/api/customers").await.ok(200);
    assert_eq!(default["data"], json!(whole));
    assert_eq!(default["next_cursor"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_that_are_added_while_a_list_is_read_neither_hide_nor_repeat_any() {
    let service = Service::start().await;
    let admin = service.admin();
    for number in 0..20 {
        let _ = admin.add_customer(&format!("There {number}"), "0").await;
    }
    let there = member(&admin.pages("/api/customers", 200).await, "id");
    let mut read = Vec::new();
    let mut cursor = None;
    loop {
        let (page, next) = admin.page("/api/customers", 5, cursor.as_deref()).await;
        read.extend(member(&page, "id"));
        // Adds one customer after each page until all original rows are read.
        if read.len() < there.len() {
            let _ = admin.add_customer("Meanwhile", "0").await;
        }
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let mut once = read.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), read.len(), "a customer was listed twice");
    let kept: Vec<&String> = read.iter().filter(|id| there.contains(id)).collect();
    assert_eq!(kept, there.iter().collect::<Vec<_>>());
    assert_eq!(read.len(), admin.pages("/api/customers", 200).await.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_customers_may_have_one_name_and_one_key_makes_one_customer() {
    let service = Service::start().await;
    let admin = service.admin();
    let one = admin.add_customer("Twin", "0").await;
    let two = admin.add_customer("Twin", "0").await;
    assert_ne!(one, two);
    let create = async |key: &str, body: Value| {
        let request = admin
            .request(reqwest::Method::POST, "/api/customers")
            .header("idempotency-key", key)
            .body(body.to_string());
        admin.send(request).await
    };
    let first = create("k", json!({"name": "Once"})).await;
    let again = create("k", json!({"name": "Once"})).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.text, again.text);
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(again.header("idempotency-replayed"), "true");
    let _ = create("k", json!({"name": "Twice"}))
        .await
        .refused(422, "idempotency_key_reused");
    let named = "SELECT count(*) FROM customers WHERE name IN ('Once', 'Twice')";
    assert_eq!(service.database.value(named).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_customer_is_404_for_every_verb() {
    let service = Service::start().await;
    let id = CustomerId::new();
    let path = format!("/api/customers/{id}");
    let body = service
        .admin()
        .get(&path)
        .await
        .refused(404, "customer_not_found");
    assert_eq!(body["customer_id"], json!(id));
    let patched = service.admin().patch(&path, &json!({"name": "X"})).await;
    let _ = patched.refused(404, "customer_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_once_are_all_made_and_all_in_the_trail_as_one_chain() {
    let service = Service::start().await;
    let path = format!("/api/customers/{ACME_CUSTOMER}");
    let already = trail(&service, &ACME_CUSTOMER.to_string()).await.len();
    let changes = (0..16).map(|number| {
        let (admin, path) = (service.admin(), path.clone());
        tokio::spawn(async move {
            // Each request changes one member, and none may overwrite a member that another has changed.
            let body = match number % 4 {
                0 => json!({"name": format!("Name {number}")}),
                1 => json!({"email": format!("n{number}@b.example")}),
                2 => json!({"credit_limit": format!("{number}.00")}),
                _ => json!({"payment_terms_days": number}),
            };
            let _ = admin.patch(&path, &body).await.ok(200);
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap();
    }
    let trail = trail(&service, &ACME_CUSTOMER.to_string())
        .await
        .split_off(already);
    assert_eq!(trail.len(), 16);
    for pair in trail.windows(2) {
        assert_eq!(pair[0]["after"], pair[1]["before"]);
    }
    let now = service.admin().get(&path).await.ok(200);
    for name in [
        "name",
        "email",
        "credit_limit",
        "payment_terms_days",
        "on_hold",
    ] {
        assert_eq!(trail[15]["after"][name], now[name], "{name}");
    }
}
