//! These tests check sales: their products, prices and times.

use domain::demo::{ACME, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX_DESK};
use entity::{ProductId, SaleId};
use serde_json::{Value, json};
use tests::{Client, Reply, Service, Untouched, member, pointers, sorted, until, verified};

/// The body of a sale of these products with their prices; `minutes` are its start and end relative to now.
fn sale(minutes: (i64, i64), products: &[(ProductId, Option<&str>)]) -> Value {
    let at = |minutes| chrono::Utc::now() + chrono::TimeDelta::minutes(minutes);
    let products: Vec<Value> = products
        .iter()
        .map(|(id, price)| json!({"product_id": id, "price": price}))
        .collect();
    json!({"name": "Flash", "products": products, "opens_at": at(minutes.0), "closes_at": at(minutes.1)})
}

async fn make(admin: &Client, body: &Value) -> SaleId {
    let made = admin.post("/api/sales", body).await.ok(201);
    made["sale_id"].as_str().unwrap().parse().unwrap()
}

async fn change(admin: &Client, id: SaleId, body: Value) -> Reply {
    admin.patch(&format!("/api/sales/{id}"), &body).await
}

/// Replaces the products of a sale.
async fn fill(admin: &Client, id: SaleId, products: &[ProductId]) {
    let products: Vec<Value> = products
        .iter()
        .map(|id| json!({"product_id": id}))
        .collect();
    let changed = change(admin, id, json!({"products": products})).await;
    let changed = changed.ok(200);
    assert_eq!(
        changed["products"].as_array().unwrap().len(),
        products.len()
    );
}

/// The sale that a product shows to buyers. Asserts that the list agrees.
async fn shown_sale(client: &Client, product: ProductId) -> Value {
    let read = client
        .get(&format!("/api/products/{product}"))
        .await
        .ok(200);
    let listed = client.pages("/api/products", 200).await;
    let same = listed
        .iter()
        .find(|row| row["id"] == json!(product))
        .unwrap();
    assert_eq!(read, *same, "the list differs from the read");
    read["sale"].clone()
}

/// Products with the flag `in_sale`; only for these do purchases look up sales.
async fn marked(service: &Service) -> Vec<String> {
    let sql = "SELECT id::text FROM products WHERE in_sale ORDER BY id";
    service.database.column(sql).await
}

fn texts(products: &[ProductId]) -> Vec<String> {
    let mut products = products.to_vec();
    products.sort_unstable();
    products.iter().map(ToString::to_string).collect()
}

async fn trail(service: &Service, id: SaleId) -> Vec<Value> {
    let sql = format!(
        "SELECT action, actor_role, before, after FROM audit_events
          WHERE business_id = '{ACME}' AND entity_id = '{id}' AND entity_type = 'sale' ORDER BY id"
    );
    service.database.rows(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_sale_is_found_at_its_location_with_its_products() {
    let service = Service::start().await;
    let admin = service.admin();
    let body = json!({
        "name": "Flash", "limit_per_customer": 2,
        "products": [{"product_id": ACME_KEYBOARD}, {"product_id": ACME_HEADPHONES, "price": 79.5}],
        "opens_at": "2998-05-01T10:00:00+02:00", "closes_at": "2998-05-01T09:00:00.000001Z",
    });
    let reply = admin.post("/api/sales", &body).await;
    let made = reply.ok(201);
    let id = made["sale_id"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("/api/sales/{id}"));
    for (name, value) in [
        ("name", json!("Flash")),
        ("kind", json!("discount")),
        ("state", json!("upcoming")),
        ("currency", json!("USD")),
        ("opens_at", json!("2998-05-01T08:00:00.000000Z")),
        ("closes_at", json!("2998-05-01T09:00:00.000001Z")),
        ("limit_per_customer", json!(2)),
        (
            "products",
            json!([{"product_id": ACME_HEADPHONES, "price": "79.50"}, {"product_id": ACME_KEYBOARD, "price": null}]),
        ),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    let path = reply.header("location");
    for reader in [admin.clone(), service.staff(), service.customer()] {
        assert_eq!(reader.get(path).await.ok(200), made);
        assert_eq!(
            reader.pages("/api/sales", 10).await,
            std::slice::from_ref(&made)
        );
    }
    let seen = service.nobody().get(&format!("{path}?business=acme")).await;
    assert_eq!(seen.ok(200), made);
    let sale = |price: &str| {
        json!({"sale_id": id, "name": "Flash", "kind": "discount", "state": "upcoming", "price": price, "limit_per_customer": 2,
               "opens_at": "2998-05-01T08:00:00.000000Z", "closes_at": "2998-05-01T09:00:00.000001Z"})
    };
    assert_eq!(shown_sale(&admin, ACME_HEADPHONES).await, sale("79.50"));
    assert_eq!(shown_sale(&admin, ACME_KEYBOARD).await, sale("50.00"));
    let found = admin
        .get(&format!("/api/products/{ACME_KEYBOARD}"))
        .await
        .ok(200);
    assert_eq!(found["price"], "50.00", "the list price stays");
    assert_eq!(
        trail(&service, id.parse().unwrap()).await,
        [
            json!({"action": "sale.created", "actor_role": "admin", "before": null, "after": {
                "name": "Flash", "kind": "discount", "limit_per_customer": 2,
                "opens_at": "2998-05-01T08:00:00Z", "closes_at": "2998-05-01T09:00:00.000001Z",
                "products": [{"product_id": ACME_HEADPHONES, "price": "79.50"},
                             {"product_id": ACME_KEYBOARD, "price": null}]}})
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_made_once_for_a_key() {
    let service = Service::start().await;
    let admin = service.admin();
    let body = sale((-1, 1), &[(ACME_KEYBOARD, None)]);
    let twins = (0..8).map(|_| {
        let (admin, body) = (admin.clone(), body.clone());
        tokio::spawn(async move { admin.post_once("flash", "/api/sales", &body).await })
    });
    let mut made = Vec::new();
    for twin in twins.collect::<Vec<_>>() {
        let reply = twin.await.unwrap();
        made.push((reply.ok(201), reply.header("location").to_owned()));
    }
    made.dedup();
    assert_eq!(made.len(), 1, "{made:#?}");
    assert_eq!(admin.pages("/api/sales", 10).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_a_sale_is_changed_by_itself_and_the_trail_tells_it() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut body = sale((60, 120), &[(ACME_KEYBOARD, Some("40.00"))]);
    body["limit_per_customer"] = json!(3);
    let id = make(&admin, &body).await;
    let path = format!("/api/sales/{id}");
    let mut expected = admin.get(&path).await.ok(200);
    let products = json!([{"product_id": ACME_HEADPHONES, "price": "0.00"}]);
    for (name, to, shown) in [
        ("name", json!("Late"), json!("Late")),
        ("kind", json!("exclusive"), json!("exclusive")),
        (
            "opens_at",
            json!("2020-01-01T00:00:00Z"),
            json!("2020-01-01T00:00:00.000000Z"),
        ),
        (
            "closes_at",
            json!("2020-01-02T00:00:00Z"),
            json!("2020-01-02T00:00:00.000000Z"),
        ),
        ("limit_per_customer", json!(null), json!(null)),
        ("limit_per_customer", json!(7), json!(7)),
        (
            "products",
            json!([{"product_id": ACME_HEADPHONES, "price": 0}]),
            products,
        ),
        ("products", json!([]), json!([])),
    ] {
        let mut patch = json!({});
        patch[name] = to;
        let changed = change(&admin, id, patch).await.ok(200);
        expected[name] = shown;
        expected["state"] = match name {
            "opens_at" => json!("open"),
            "closes_at" => json!("closed"),
            _ => expected["state"].clone(),
        };
        let later = changed["updated_at"].as_str() > expected["updated_at"].as_str();
        assert!(later, "{name}: {changed}");
        expected["updated_at"] = changed["updated_at"].clone();
        assert_eq!(changed, expected, "{name}");
        assert_eq!(admin.get(&path).await.ok(200), expected, "{name}");
    }
    let trail = trail(&service, id).await;
    assert_eq!(trail.len(), 9);
    for two in trail.windows(2) {
        assert_eq!(two[1]["action"], "sale.changed");
        assert_eq!(two[0]["after"], two[1]["before"]);
        assert_ne!(two[1]["after"], two[1]["before"]);
    }
    assert_eq!(
        trail[7]["after"]["products"],
        json!([{"product_id": ACME_HEADPHONES, "price": "0.00"}])
    );
    assert_eq!(trail[8]["after"]["products"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_marked_while_a_sale_has_them_and_no_longer() {
    let service = Service::start().await;
    let admin = service.admin();
    assert_eq!(marked(&service).await, [""; 0]);
    let third = admin.add_product("THIRD", "1.00", 1).await;
    let one = make(
        &admin,
        &sale((-1, 1), &[(ACME_KEYBOARD, None), (ACME_HEADPHONES, None)]),
    )
    .await;
    // A closed sale still counts for the flag.
    let two = make(&admin, &sale((-9, -8), &[(ACME_KEYBOARD, None)])).await;
    for (id, products, expected) in [
        (
            one,
            vec![ACME_KEYBOARD, ACME_HEADPHONES],
            vec![ACME_KEYBOARD, ACME_HEADPHONES],
        ),
        (
            one,
            vec![third, ACME_HEADPHONES],
            vec![ACME_KEYBOARD, ACME_HEADPHONES, third],
        ),
        (two, vec![], vec![ACME_HEADPHONES, third]),
        (two, vec![third], vec![ACME_HEADPHONES, third]),
        (one, vec![], vec![third]),
        (two, vec![], vec![]),
    ] {
        fill(&admin, id, &products).await;
        assert_eq!(marked(&service).await, texts(&expected), "{products:?}");
        assert_eq!(verified(&service.database).await, []);
    }
    // A change of another member leaves the flags unchanged.
    fill(&admin, one, &[third]).await;
    let _ = change(&admin, one, json!({"name": "Other"})).await.ok(200);
    assert_eq!(marked(&service).await, texts(&[third]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_marks_are_right_when_sales_of_the_same_products_change_at_once() {
    let (service, second) = Service::two().await;
    let admin = service.admin();
    let mut products = vec![ACME_KEYBOARD, ACME_HEADPHONES];
    for number in 0..4 {
        products.push(admin.add_product(&format!("M-{number}"), "1.00", 1).await);
    }
    let mut sales = Vec::new();
    for _ in 0..4 {
        sales.push(make(&admin, &sale((-1, 1), &[(ACME_KEYBOARD, None)])).await);
    }
    for round in 0..6_usize {
        let work = (0..16_usize).map(|number| {
            let admin = if number % 2 == 0 {
                service.admin()
            } else {
                second.admin()
            };
            let id = sales[number % sales.len()];
            // The order of products varies, and every third list is empty.
            let mut some: Vec<ProductId> = products
                .iter()
                .skip((number + round) % 5)
                .copied()
                .collect();
            some.rotate_left(number % 2);
            some.truncate((number + round) % 3);
            tokio::spawn(async move { fill(&admin, id, &some).await })
        });
        for one in work.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        assert_eq!(verified(&service.database).await, [], "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_keeps_its_mark_when_another_sale_takes_it_in_meanwhile() {
    let service = Service::start().await;
    let admin = service.admin();
    let one = make(&admin, &sale((-1, 1), &[(ACME_KEYBOARD, None)])).await;
    let two = make(&admin, &sale((-1, 1), &[(ACME_HEADPHONES, None)])).await;
    // Simulates a concurrent change, which locks the product and adds it to a sale.
    let meanwhile = format!(
        "SELECT FROM products WHERE id = '{ACME_KEYBOARD}' FOR UPDATE;
         INSERT INTO sale_products (business_id, sale_id, product_id) VALUES ('{ACME}', '{two}', '{ACME_KEYBOARD}')"
    );
    let held = service.database.hold(&meanwhile).await;
    let emptied = tokio::spawn({
        let admin = admin.clone();
        async move { fill(&admin, one, &[]).await }
    });
    until("the change waits for the lock of the product", async || {
        service.database.blocked().await == 1
    })
    .await;
    held.try_also("COMMIT").await.unwrap();
    emptied.await.unwrap();
    assert_eq!(
        marked(&service).await,
        texts(&[ACME_KEYBOARD, ACME_HEADPHONES])
    );
    assert_eq!(verified(&service.database).await, []);
    held.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_are_told_of_the_cheapest_open_sale_or_else_of_the_next() {
    let service = Service::start().await;
    let admin = service.admin();
    assert_eq!(shown_sale(&admin, ACME_KEYBOARD).await, Value::Null);
    let name = async |expected: (&str, &str, &str)| {
        let sale = shown_sale(&admin, ACME_KEYBOARD).await;
        let (name, state, price) = expected;
        assert_eq!(
            (&sale["name"], &sale["state"], &sale["price"]),
            (&json!(name), &json!(state), &json!(price)),
            "{sale}"
        );
    };
    let named = async |name: &str, minutes, price| {
        let mut body = sale(minutes, &[(ACME_KEYBOARD, price)]);
        body["name"] = json!(name);
        make(&admin, &body).await
    };
    named("over", (-20, -10), Some("1.00")).await;
    assert_eq!(shown_sale(&admin, ACME_KEYBOARD).await, Value::Null);
    named("late", (30, 40), Some("2.00")).await;
    name(("late", "upcoming", "2.00")).await;
    named("soon", (20, 60), None).await;
    name(("soon", "upcoming", "50.00")).await;
    let dear = named("dear", (-5, 5), Some("49.00")).await;
    name(("dear", "open", "49.00")).await;
    named("plain", (-3, 5), Some("48.00")).await;
    name(("plain", "open", "48.00")).await;
    named("same price, later", (-2, 5), Some("48.00")).await;
    name(("plain", "open", "48.00")).await;
    named("cheap", (-1, 5), Some("45.00")).await;
    name(("cheap", "open", "45.00")).await;
    // The list price is now lower than some discounts, which do not raise it. Among equal prices, the sale that opened
    // first counts.
    let path = format!("/api/products/{ACME_KEYBOARD}");
    let cut = admin.patch(&path, &json!({"price": "44.00"})).await.ok(200);
    assert_eq!(cut["sale"]["sale_id"], json!(dear), "{cut}");
    name(("dear", "open", "44.00")).await;
    assert_eq!(shown_sale(&admin, ACME_HEADPHONES).await, Value::Null);
    // As soon as this sale has closed by the database's clock, another one counts.
    let closed = change(&admin, dear, json!({"closes_at": chrono::Utc::now()})).await;
    assert_eq!(closed.ok(200)["state"], "closed");
    name(("plain", "open", "44.00")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_every_size_hold_every_sale_once_the_newest_first_with_its_own_products() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut made = Vec::new();
    for (minutes, state, products) in [
        ((-20, -10), "closed", vec![(ACME_KEYBOARD, Some("1.00"))]),
        (
            (-5, 5),
            "open",
            vec![(ACME_HEADPHONES, None), (ACME_KEYBOARD, Some("2.00"))],
        ),
        ((5, 10), "upcoming", vec![(ACME_HEADPHONES, Some("3.00"))]),
        ((-5, 5), "open", vec![(ACME_KEYBOARD, None)]),
    ] {
        let body = sale(minutes, &products);
        let reply = admin.post("/api/sales", &body).await.ok(201);
        assert_eq!(reply["state"], state);
        assert_eq!(reply["products"].as_array().unwrap().len(), products.len());
        made.insert(0, reply);
    }
    for limit in [1, 2, 3, 4, 5] {
        assert_eq!(
            admin.pages("/api/sales", limit).await,
            made,
            "pages of {limit}"
        );
    }
    // The other business sees none of them.
    assert!(service.stranger().pages("/api/sales", 10).await.is_empty());
    let ids = member(&made, "sale_id");
    let path = format!("/api/sales/{}", ids[0]);
    let theirs = service
        .stranger()
        .patch(&path, &json!({"name": "Mine"}))
        .await;
    assert_eq!(theirs.refused(404, "not_found")["sale_id"], ids[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_opens_before_it_closes_and_names_each_product_once() {
    let untouched = Untouched::start().await;
    let admin = &untouched.admin;
    let good = || sale((1, 2), &[(ACME_KEYBOARD, None)]);
    let with = |name: &str, value: Value| {
        let mut body = good();
        body[name] = value;
        body
    };
    let times = |opens: &str, closes: &str| {
        let mut body = with("opens_at", json!(opens));
        body["closes_at"] = json!(closes);
        body
    };
    let line = |id: ProductId| json!({"product_id": id});
    let lines =
        |count: usize| -> Vec<Value> { (0..count).map(|_| line(ProductId::new())).collect() };
    for (body, expected) in [
        (
            times("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
            vec!["/closes_at"],
        ),
        (
            times("2030-01-01T01:00:00Z", "2030-01-01T01:30:00+01:00"),
            vec!["/closes_at"],
        ),
        // The database stores microseconds and no leap seconds, so these times are equal or reversed.
        (
            times(
                "2030-01-01T00:00:00.0000001Z",
                "2030-01-01T00:00:00.0000009Z",
            ),
            vec!["/closes_at"],
        ),
        (
            times("2030-12-31T23:59:60.5Z", "2031-01-01T00:00:00.2Z"),
            vec!["/closes_at"],
        ),
        (
            times("2030-01-01", "2031-01-01 later"),
            vec!["/closes_at", "/opens_at"],
        ),
        // Years that a response cannot represent.
        (
            times("0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
            vec!["/closes_at", "/opens_at"],
        ),
        (
            with(
                "products",
                json!([
                    line(ACME_KEYBOARD),
                    line(ACME_HEADPHONES),
                    line(ACME_KEYBOARD)
                ]),
            ),
            vec!["/products/2/product_id"],
        ),
        (with("products", json!([])), vec!["/products"]),
        (with("products", json!(lines(501))), vec!["/products"]),
        (
            with(
                "products",
                json!([{"product_id": ACME_KEYBOARD, "price": "-1"}]),
            ),
            vec!["/products/0/price"],
        ),
        (
            with(
                "products",
                json!([{"product_id": ACME_KEYBOARD, "price": "1.001"}]),
            ),
            vec!["/products/0/price"],
        ),
        (
            with("limit_per_customer", json!(0)),
            vec!["/limit_per_customer"],
        ),
        (with("name", json!(" ")), vec!["/name"]),
        (with("state", json!("open")), vec!["/state"]),
        (with("kind", json!("sometimes")), vec!["/kind"]),
    ] {
        let reply = admin.post("/api/sales", &body).await;
        assert_eq!(sorted(pointers(&reply)), expected, "{body}");
    }
    let mut twice_wrong = times("2030-01-02T00:00:00Z", "2030-01-01T00:00:00Z");
    twice_wrong["products"] = json!([line(ACME_KEYBOARD), line(ACME_KEYBOARD)]);
    let reply = admin.post("/api/sales", &twice_wrong).await;
    assert_eq!(
        sorted(pointers(&reply)),
        ["/closes_at", "/products/1/product_id"]
    );
    untouched.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_leaves_a_sale_that_can_open() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut body = sale((1, 2), &[(ACME_KEYBOARD, None)]);
    body["opens_at"] = json!("2030-01-01T00:00:00Z");
    body["closes_at"] = json!("2030-01-02T00:00:00Z");
    let id = make(&admin, &body).await;
    let before = service.database.digest().await;
    for (body, pointer) in [
        (json!({"opens_at": "2030-01-02T00:00:00Z"}), "/opens_at"),
        (json!({"closes_at": "2030-01-01T00:00:00Z"}), "/closes_at"),
        (
            json!({"opens_at": "2031-01-01T00:00:00Z", "closes_at": "2030-06-01T00:00:00Z"}),
            "/closes_at",
        ),
        (
            json!({"products": [{"product_id": ACME_KEYBOARD}, {"product_id": ACME_KEYBOARD}]}),
            "/products/1/product_id",
        ),
        (
            json!({"closes_at": "9999-12-31T23:59:59-01:00"}),
            "/closes_at",
        ),
        (json!({"name": "N", "typo": 1}), "/typo"),
        (json!({"name": null}), "/name"),
    ] {
        let reply = change(&admin, id, body.clone()).await;
        assert_eq!(pointers(&reply), [pointer], "{body}");
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_product_is_put_into_no_sale() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = make(&admin, &sale((1, 2), &[(ACME_KEYBOARD, None)])).await;
    let before = service.database.digest().await;
    let nothing = ProductId::new();
    for unknown in [nothing, GLOBEX_DESK] {
        let body = sale((1, 2), &[(ACME_HEADPHONES, None), (unknown, None)]);
        let refused = admin.post("/api/sales", &body).await;
        assert_eq!(
            refused.refused(404, "product_not_found")["product_id"],
            json!(unknown)
        );
        let body = json!({"products": body["products"]});
        let refused = change(&admin, id, body).await;
        assert_eq!(
            refused.refused(404, "product_not_found")["product_id"],
            json!(unknown)
        );
    }
    let refused = change(&admin, SaleId::new(), json!({"name": "x"})).await;
    let _ = refused.refused(404, "not_found");
    assert_eq!(service.database.digest().await, before);
    // A product that is off sale may be in a later sale.
    let hidden = admin.add_product("HIDDEN", "1.00", 1).await;
    let path = format!("/api/products/{hidden}");
    let _ = admin.patch(&path, &json!({"active": false})).await.ok(200);
    make(&admin, &sale((1, 2), &[(hidden, None)])).await;
}
