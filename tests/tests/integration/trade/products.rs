//! These tests check the catalogue: products, their prices, and who can see them.

use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES};
use entity::ProductId;
use serde_json::{Value, json};
use tests::{Client, Service, member, pointers};

async fn trail(service: &Service, id: &str) -> Vec<Value> {
    let sql = format!(
        "SELECT action, before, after FROM audit_events
          WHERE business_id = '{ACME}' AND entity_id = '{id}' AND entity_type = 'product' ORDER BY id"
    );
    service.database.rows(&sql).await
}

/// SKUs of the products that a query finds.
async fn found(client: &Client, query: &str) -> Vec<String> {
    let page = client.get(&format!("/api/products?{query}")).await.ok(200);
    assert_eq!(page["next_cursor"], Value::Null);
    member(page["data"].as_array().unwrap(), "sku")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_product_is_found_at_its_location_with_its_stock() {
    let service = Service::start().await;
    let admin = service.admin();
    let body = json!({"sku": "NEW-1", "name": "Novelty", "description": "line\nline", "price": 12.5,
                      "stock": 7, "limit_per_customer": 3});
    let reply = admin.post("/api/products", &body).await;
    let added = reply.ok(201);
    let id = added["id"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("/api/products/{id}"));
    for (name, value) in [
        ("sku", json!("NEW-1")),
        ("name", json!("Novelty")),
        ("description", json!("line\nline")),
        ("price", json!("12.50")),
        ("currency", json!("USD")),
        ("available", json!(7)),
        ("limit_per_customer", json!(3)),
        ("active", json!(true)),
    ] {
        assert_eq!(added[name], value, "{name}");
    }
    assert_eq!(admin.get(reply.header("location")).await.ok(200), added);
    let seen = service
        .nobody()
        .get(&format!("/api/products/{id}?business=acme"))
        .await;
    assert_eq!(seen.ok(200), added);
    let stock = admin.get(&format!("/api/inventory/{id}")).await.ok(200);
    assert_eq!(
        (&stock["on_hand"], &stock["reserved"]),
        (&json!(7), &json!(0))
    );
    let movements = admin
        .pages(&format!("/api/inventory/{id}/movements"), 10)
        .await;
    assert_eq!(movements.len(), 1);
    assert_eq!(movements[0]["reason"], "received");
    assert_eq!(movements[0]["quantity"], 7);
    let trail = trail(&service, id).await;
    assert_eq!(
        trail,
        [
            json!({"action": "product.created", "before": null, "after": {
            "sku": "NEW-1", "name": "Novelty", "description": "line\nline", "price": "12.50",
            "limit_per_customer": 3, "active": true, "metadata": null, "image_url": null,
            "picture": null}})
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_without_stock_has_none_and_no_movement() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = admin.add_product("EMPTY", "0", 0).await;
    let read = admin.get(&format!("/api/products/{id}")).await.ok(200);
    assert_eq!(
        (&read["available"], &read["price"]),
        (&json!(0), &json!("0.00"))
    );
    assert!(
        admin
            .pages(&format!("/api/inventory/{id}/movements"), 10)
            .await
            .is_empty()
    );
    let refused = admin
        .buy(&[(id, 1)])
        .await
        .refused(409, "insufficient_stock");
    assert_eq!(refused["shortages"][0]["available"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_unique_in_its_business_and_free_in_another() {
    let service = Service::start().await;
    let admin = service.admin();
    let before = service.database.digest().await;
    let twin = json!({"sku": "HDP-001", "name": "Twin", "price": "1", "stock": 5});
    let body = admin
        .post("/api/products", &twin)
        .await
        .refused(409, "already_exists");
    assert_eq!(body["field"], "sku");
    let other = admin.get("/api/products?sku=KEY-001").await.ok(200);
    let path = format!("/api/products/{}", other["data"][0]["id"].as_str().unwrap());
    let body = admin
        .patch(&path, &json!({"sku": "HDP-001"}))
        .await
        .refused(409, "already_exists");
    assert_eq!(body["field"], "sku");
    let put = json!({"sku": "HDP-001", "name": "X", "price": "1"});
    let body = admin.put(&path, &put).await.refused(409, "already_exists");
    assert_eq!(body["field"], "sku");
    assert_eq!(service.database.digest().await, before);
    // A product may be changed to its own SKU, and the other business has SKUs of its own.
    let _ = admin.patch(&path, &json!({"sku": "KEY-001"})).await.ok(200);
    let _ = service
        .stranger()
        .post("/api/products", &twin)
        .await
        .ok(201);
    // SKUs are compared without case.
    let body = json!({"sku": "hdp-001", "name": "x", "price": 1});
    let reply = admin.post("/api/products", &body).await;
    assert_eq!(reply.refused(409, "already_exists")["field"], "sku");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_add_one_number_at_once_one_does() {
    let service = Service::start().await;
    let tries = (0..12).map(|number| {
        let admin = service.admin();
        tokio::spawn(async move {
            let body =
                json!({"sku": "RACE", "name": format!("No {number}"), "price": "1", "stock": 1});
            admin.post("/api/products", &body).await
        })
    });
    let mut made = 0;
    for one in tries.collect::<Vec<_>>() {
        let reply = one.await.unwrap();
        if reply.status == 201 {
            made += 1;
        } else {
            let _ = reply.refused(409, "already_exists");
        }
    }
    assert_eq!(made, 1);
    let rows = "SELECT (SELECT count(*) FROM products WHERE sku = 'RACE'),
                       (SELECT count(*) FROM inventory JOIN products ON id = product_id WHERE sku = 'RACE'),
                       (SELECT count(*) FROM stock_movements JOIN products p ON p.id = product_id WHERE sku = 'RACE')";
    assert_eq!(service.database.value(rows).await, "1,1,1");
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_sets_its_members_only_and_put_replaces_everything() {
    let service = Service::start().await;
    let admin = service.admin();
    let body = json!({"sku": "S", "name": "N", "description": "D", "price": "1.00", "stock": 4,
                      "limit_per_customer": 2, "active": false});
    let added = admin.post("/api/products", &body).await.ok(201);
    let id = added["id"].as_str().unwrap();
    let path = format!("/api/products/{id}");
    let unchanged = |one: &Value, other: &Value, names: &[&str]| {
        for name in names {
            assert_eq!(one[*name], other[*name], "{name}");
        }
    };
    let patched = admin.patch(&path, &json!({"price": "2"})).await.ok(200);
    assert_eq!(patched["price"], "2.00");
    let rest = [
        "sku",
        "name",
        "description",
        "limit_per_customer",
        "active",
        "available",
        "created_at",
    ];
    unchanged(&patched, &added, &rest);
    let nulls = json!({"name": null, "sku": null, "price": null, "active": null});
    let refused = admin.patch(&path, &nulls).await;
    assert_eq!(
        pointers(&refused),
        ["/sku", "/name", "/price", "/active"],
        "null is no value of these fields"
    );
    let nulls = json!({"description": null, "limit_per_customer": null});
    let cleared = admin.patch(&path, &nulls).await.ok(200);
    assert_eq!(
        (&cleared["description"], &cleared["limit_per_customer"]),
        (&json!(null), &json!(null))
    );
    unchanged(
        &cleared,
        &patched,
        &["sku", "name", "price", "active", "available"],
    );

    let _ = admin
        .patch(&path, &json!({"description": "D", "limit_per_customer": 9}))
        .await
        .ok(200);
    let put = admin
        .put(&path, &json!({"sku": "S2", "name": "N2", "price": "3"}))
        .await
        .ok(200);
    for (name, value) in [
        ("sku", json!("S2")),
        ("name", json!("N2")),
        ("price", json!("3.00")),
        ("description", json!(null)),
        ("limit_per_customer", json!(null)),
        ("active", json!(true)),
        ("available", json!(4)),
        ("id", json!(id)),
    ] {
        assert_eq!(put[name], value, "{name}");
    }
    unchanged(&put, &added, &["created_at"]);
    assert_eq!(admin.get(&path).await.ok(200), put);

    let trail = trail(&service, id).await;
    assert_eq!(trail.len(), 5);
    for pair in trail.windows(2) {
        assert_eq!(pair[1]["action"], "product.changed");
        assert_eq!(pair[0]["after"], pair[1]["before"]);
    }
    assert_eq!(
        trail[4]["after"],
        json!({"sku": "S2", "name": "N2", "description": null, "price": "3.00", "limit_per_customer": null,
               "active": true, "metadata": null, "image_url": null, "picture": null})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_pays_the_new_price_and_what_was_bought_keeps_the_old_one() {
    let service = Service::start().await;
    let admin = service.admin();
    let old = admin.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    let path = format!("/api/products/{ACME_HEADPHONES}");
    let change = json!({"price": "120.00", "name": "Better headphones", "sku": "HDP-002"});
    let _ = admin.patch(&path, &change).await.ok(200);
    let new = admin.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    assert_eq!(new["total_amount"], "120.00");
    assert_eq!(new["items"][0]["sku"], "HDP-002");
    let order = admin
        .get(&format!(
            "/api/orders/{}",
            old["order_id"].as_str().unwrap()
        ))
        .await
        .ok(200);
    assert_eq!(order["total_amount"], "100.00");
    assert_eq!(order["items"][0]["name"], "Wireless headphones");
    assert_eq!(order["items"][0]["sku"], "HDP-001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_takes_its_text_as_it_stands() {
    let service = Service::start().await;
    let admin = service.admin();
    for (sku, name) in [
        ("T-1", "100% cotton"),
        ("T-2", "100 cotton"),
        ("T_3", "snake_case"),
        ("T-4", "snakeXcase"),
        ("T-5", r"back\slash"),
        ("T-6", "Ärmelkanal"),
        ("T-7", "It's \"quoted\""),
    ] {
        let body = json!({"sku": sku, "name": name, "price": "1"});
        let _ = admin.post("/api/products", &body).await.ok(201);
    }
    for (query, skus) in [
        ("q=100%25", vec!["T-1"]),
        ("q=%25", vec!["T-1"]),
        ("q=e_c", vec!["T_3"]),
        ("q=_", vec!["T_3"]),
        ("q=t_", vec!["T_3"]),
        (r"q=k%5Cs", vec!["T-5"]),
        (r"q=%5C", vec!["T-5"]),
        (r"q=%5C%25", vec![]),
        ("q=SNAKE", vec!["T_3", "T-4"]),
        ("q=%C3%A4rmel", vec!["T-6"]),
        ("q=it%27s", vec!["T-7"]),
        ("q=%22quoted%22", vec!["T-7"]),
        ("q=t-6", vec!["T-6"]),
        ("q=100+cotton", vec!["T-2"]),
        ("q=%27%20OR%20%27%27=%27", vec![]),
        ("sku=T_3", vec!["T_3"]),
        ("sku=T-", vec![]),
        ("sku=t-1", vec!["T-1"]),
        ("sku=%25", vec![]),
        ("q=cotton&sku=T-2", vec!["T-2"]),
        ("q=cotton&sku=T-4", vec![]),
    ] {
        assert_eq!(found(&admin, query).await, skus, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn products_off_sale_are_seen_by_staff_only() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = admin.add_product("GONE", "1", 5).await;
    let path = format!("/api/products/{id}");
    let buyers = [service.customer(), service.nobody()];
    let at = |client: usize, path: &str| {
        let mark = if path.contains('?') { '&' } else { '?' };
        if client == 1 {
            format!("{path}{mark}business=acme")
        } else {
            path.to_owned()
        }
    };
    for (number, buyer) in buyers.iter().enumerate() {
        let _ = buyer.get(&at(number, &path)).await.ok(200);
        assert_eq!(
            found(buyer, &at(number, "sku=GONE").replace('?', "&")).await,
            ["GONE"]
        );
    }
    let _ = admin.patch(&path, &json!({"active": false})).await.ok(200);
    let no_ones = ProductId::new();
    for (number, buyer) in buyers.iter().enumerate() {
        let hidden = buyer.get(&at(number, &path)).await;
        let none = buyer
            .get(&at(number, &format!("/api/products/{no_ones}")))
            .await;
        let _ = hidden.refused(404, "product_not_found");
        let bytes = |reply: &tests::Reply, id: ProductId| {
            reply
                .text
                .replace(reply.header("x-request-id"), "")
                .replace(&id.to_string(), "")
        };
        assert_eq!(bytes(&hidden, id), bytes(&none, no_ones));
        for query in ["sku=GONE", "q=gone"] {
            assert!(
                found(buyer, &at(number, query).replace('?', "&"))
                    .await
                    .is_empty(),
                "{query}"
            );
        }
        let listed = member(&buyer.pages(&at(number, "/api/products"), 3).await, "sku");
        assert_eq!(listed.len(), 17, "the pages are full without it");
        assert!(!listed.contains(&"GONE".to_owned()));
    }
    for seller in [service.staff(), service.admin()] {
        assert_eq!(seller.get(&path).await.ok(200)["active"], false);
        assert_eq!(found(&seller, "sku=GONE").await, ["GONE"]);
        assert_eq!(seller.pages("/api/products", 3).await.len(), 18);
    }
    // A purchase is rejected exactly as for an unknown product.
    for buyer in [service.customer(), service.staff()] {
        let refused = buyer.buy_for(ACME_CUSTOMER, &[(id, 1)]).await;
        let _ = refused.refused(404, "product_not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn available_units_are_neither_sold_nor_reserved() {
    let service = Service::start().await;
    let available = async || {
        // Staff read the database, and not a cache.
        let path = format!("/api/products/{ACME_HEADPHONES}");
        let read = service.staff().get(&path).await;
        read.ok(200)["available"].as_i64().unwrap()
    };
    assert_eq!(available().await, 1000);
    let _ = service.staff().buy(&[(ACME_HEADPHONES, 3)]).await.ok(201);
    assert_eq!(available().await, 997);
    service
        .database
        .execute(&format!(
            "UPDATE inventory SET reserved = 7 WHERE product_id = '{ACME_HEADPHONES}'"
        ))
        .await;
    assert_eq!(available().await, 990);
    let path = format!("/api/products/{ACME_HEADPHONES}");
    let changed = service
        .admin()
        .patch(&path, &json!({"name": "Same shelf"}))
        .await
        .ok(200);
    assert_eq!(changed["available"], 990);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_every_size_hold_the_same_products_while_more_are_added() {
    let service = Service::start().await;
    let admin = service.admin();
    let there = member(&admin.pages("/api/products", 200).await, "id");
    assert_eq!(there.len(), 17);
    for limit in [1, 4, 16, 17, 18] {
        assert_eq!(
            member(&admin.pages("/api/products", limit).await, "id"),
            there,
            "{limit}"
        );
    }
    let mut read = Vec::new();
    let mut cursor = None;
    loop {
        let (page, next) = admin.page("/api/products", 2, cursor.as_deref()).await;
        read.extend(member(&page, "id"));
        if read.len() < there.len() {
            let _ = admin
                .add_product(&format!("MEANWHILE-{}", read.len()), "1", 1)
                .await;
        }
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let mut once = read.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), read.len(), "a product was listed twice");
    let kept: Vec<&String> = read.iter().filter(|id| there.contains(id)).collect();
    assert_eq!(kept, there.iter().collect::<Vec<_>>());
    // Search results are paged in the same way.
    let found = admin.pages("/api/products?q=meanwhile", 3).await;
    assert_eq!(found, admin.pages("/api/products?q=meanwhile", 200).await);
    assert!(found.len() > 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_product_is_404_for_every_verb() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = ProductId::new();
    let path = format!("/api/products/{id}");
    for reply in [
        admin.get(&path).await,
        admin.patch(&path, &json!({"price": "1"})).await,
        admin
            .put(&path, &json!({"sku": "X", "name": "X", "price": "1"}))
            .await,
        admin.get(&format!("/api/inventory/{id}")).await,
        admin.get(&format!("/api/inventory/{id}/movements")).await,
        admin
            .patch(
                &format!("/api/inventory/{id}"),
                &json!({"set": 1, "reason": "found"}),
            )
            .await,
    ] {
        let body = reply.refused(404, "product_not_found");
        assert_eq!(body["product_id"], json!(id));
    }
}
