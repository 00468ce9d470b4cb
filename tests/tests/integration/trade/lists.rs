//! These tests check the lists of reservations, refunds, disputes, credit notes and write-offs, and the names in rows.

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_KEYBOARD, GLOBEX};
use serde_json::{Value, json};
use tests::{Client, Service, id_of, pointers};

async fn rows(client: &Client, path: &str) -> Vec<Value> {
    let page = client.get(path).await.ok(200);
    page["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_are_listed_by_status_customer_and_product() {
    let service = Service::start().await;
    let admin = service.admin();
    let product = admin.add_product("HELD", "10.00", 3).await;
    let neighbour = admin.add_customer("Neighbour", "0.00").await;
    let reserve = async |customer, quantity: i64, wait: bool| {
        let body = json!({"customer_id": customer, "wait": wait,
                          "items": [{"product_id": product, "quantity": quantity}]});
        let made = admin.post("/api/reservations", &body).await.json();
        made["reservation_id"].as_str().unwrap().to_owned()
    };
    let held = reserve(ACME_CUSTOMER, 3, false).await;
    let waiting = reserve(neighbour, 1, true).await;
    let behind = reserve(neighbour, 2, true).await;
    let ids = async |client: &Client, query: &str| -> Vec<String> {
        let rows = rows(client, &format!("/api/reservations?{query}")).await;
        rows.iter()
            .map(|row| row["reservation_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&admin, "").await, [behind.as_str(), &waiting, &held]);
    assert_eq!(ids(&admin, "status=active").await, [held.as_str()]);
    assert_eq!(
        ids(&admin, &format!("customer_id={neighbour}")).await,
        [behind.as_str(), &waiting]
    );
    assert_eq!(
        ids(&admin, &format!("product_id={product}&status=waiting"))
            .await
            .len(),
        2
    );
    assert!(
        ids(&admin, &format!("product_id={ACME_KEYBOARD}"))
            .await
            .is_empty()
    );
    // A row is what the reservation itself shows.
    for row in rows(&admin, "/api/reservations").await {
        let id = row["reservation_id"].as_str().unwrap();
        assert_eq!(
            admin.get(&format!("/api/reservations/{id}")).await.ok(200),
            row
        );
    }
    assert_eq!(
        rows(&admin, "/api/reservations?limit=1").await[0]["place"],
        2
    );
    let own = service.customer();
    assert_eq!(ids(&own, "").await, [held.as_str()]);
    assert!(
        ids(&own, &format!("customer_id={neighbour}"))
            .await
            .is_empty()
    );
    assert!(
        ids(&service.caller(GLOBEX, Authority::Admin), "")
            .await
            .is_empty()
    );
    // A reservation whose time has passed is expired before any sweep has run.
    let past = format!(
        "UPDATE reservation_items SET expires_at = now() - interval '1 hour' WHERE reservation_id = '{behind}';
         UPDATE reservations SET expires_at = now() - interval '1 hour' WHERE id = '{behind}'"
    );
    service.database.execute(&past).await;
    assert_eq!(ids(&admin, "status=expired").await, [behind.as_str()]);
    assert_eq!(ids(&admin, "status=waiting").await, [waiting.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_about_orders_are_listed_by_order_customer_and_time() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut orders = Vec::new();
    for _ in 0..2 {
        orders.push(id_of(&admin.buy(&[(ACME_KEYBOARD, 2)]).await.ok(201)));
    }
    let by_card = admin.order_by_card(&[(ACME_KEYBOARD, 1)]).await;
    service.pay(&by_card).await.ok(200);
    let part = json!({"amount": "1.00", "reason": "scratched"});
    let items =
        json!({"items": [{"product_id": ACME_KEYBOARD, "quantity": 1}], "reason": "too many"});
    for order in &orders {
        admin.do_to(order, "write-offs", &part).await.ok(201);
    }
    admin.do_to(&orders[0], "credit-notes", &part).await.ok(201);
    admin
        .do_to(&orders[1], "credit-notes", &items)
        .await
        .ok(201);
    admin.do_to(&by_card, "refund", &part).await.ok(200);
    let dispute = format!(
        "INSERT INTO disputes (business_id, id, order_id, provider, provider_id, amount, reason, status, funds_withdrawn)
         VALUES ('{ACME}', gen_random_uuid(), '{by_card}', 'offline', 'dp_1', 1, 'fraudulent', 'won', false)"
    );
    service.database.execute(&dispute).await;
    for (list, order, count) in [
        ("write-offs", &orders[0], 2),
        ("credit-notes", &orders[1], 2),
        ("refunds", &by_card, 1),
        ("disputes", &by_card, 1),
    ] {
        let path = format!("/api/{list}");
        let all = rows(&admin, &path).await;
        assert_eq!(all.len(), count, "{list}: {all:?}");
        let of_order = rows(&admin, &format!("{path}?order_id={order}")).await;
        assert_eq!(of_order.len(), 1, "{list}");
        assert_eq!(of_order[0]["order_id"], order.as_str(), "{list}");
        assert!(of_order[0]["order_number"].is_string(), "{list}");
        let of_customer = format!("{path}?customer_id={ACME_CUSTOMER}&created_from=2020-01-01");
        assert_eq!(rows(&admin, &of_customer).await.len(), count, "{list}");
        let nobody = entity::CustomerId::new();
        for none in [
            format!("customer_id={nobody}"),
            "created_to=2020-01-01".to_owned(),
        ] {
            assert!(
                rows(&admin, &format!("{path}?{none}")).await.is_empty(),
                "{list} {none}"
            );
        }
        let globex = service.caller(GLOBEX, Authority::Admin);
        assert!(rows(&globex, &path).await.is_empty(), "{list}");
        if let Some(id) = all[0][list.trim_end_matches('s').replace('-', "_") + "_id"].as_str()
            && ["write-offs", "credit-notes"].contains(&list)
        {
            assert_eq!(
                admin.get(&format!("{path}/{id}")).await.ok(200),
                all[0],
                "{list}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_carry_the_names_that_a_list_shows() {
    let service = Service::start().await;
    let admin = service.admin();
    let product = admin.add_product("LABEL-1", "10.00", 3).await;
    let stock = admin.pages("/api/inventory", 200).await;
    let row = stock
        .iter()
        .find(|row| row["product_id"] == json!(product))
        .unwrap();
    assert_eq!(row["sku"], "LABEL-1");
    assert_eq!(row["name"], "LABEL-1");
    let buyer = admin.add_customer("Names Ltd", "100.00").await;
    admin.buy_for(buyer, &[(product, 1)]).await.ok(201);
    assert_eq!(
        rows(&admin, "/api/orders").await[0]["customer_name"],
        "Names Ltd"
    );
    let counted = admin.get("/api/products?q=label&count=true").await.ok(200);
    assert_eq!(counted["count"], 1, "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_ends_before_it_begins_is_a_fault_that_names_both_ends() {
    let service = Service::start().await;
    let admin = service.admin();
    for (path, from, to) in [
        ("orders", "created_from", "created_to"),
        ("payouts", "created_from", "created_to"),
        ("refunds", "created_from", "created_to"),
        ("credit-notes", "created_from", "created_to"),
        ("write-offs", "created_from", "created_to"),
        ("payments", "received_from", "received_to"),
        ("audit", "from", "to"),
    ] {
        for (first, last, is_backward) in [
            ("2026-02-02", "2026-02-01", true),
            ("2026-02-02", "2026-02-02", false),
            ("2026-02-02T10:00:01Z", "2026-02-02T10:00:00Z", true),
            ("2026-02-02T10:00:00Z", "2026-02-02T10:00:00Z", false),
            // A day and an instant, as far as they are backward in every time zone.
            ("2026-02-02", "2026-02-01T09:59:59Z", true),
            ("2026-02-02", "2026-02-01T10:00:00Z", false),
            ("2026-02-02T12:00:01Z", "2026-02-01", true),
            ("2026-02-02T12:00:00Z", "2026-02-01", false),
        ] {
            let query = format!("/api/{path}?{from}={first}&{to}={last}");
            let reply = admin.get(&query).await;
            if !is_backward {
                assert_eq!(reply.status, 200, "{query}: {}", reply.text);
                continue;
            }
            assert_eq!(pointers(&reply), [format!("?{to}")], "{query}");
            let problem = reply.refused(422, "validation_failed");
            let message = problem["errors"][0]["message"].as_str().unwrap();
            assert_eq!(message, format!("must not be before {from}"));
        }
    }
}
