//! These tests check how much one customer may hold at once: the business's limits, and stricter ones for customers who
//! registered themselves.

use domain::demo::ACME_CUSTOMER;
use entity::{CustomerId, ProductId};
use serde_json::{Value, json};
use tests::{Client, Reply, Service, books_balance, pointers};

fn items(product: ProductId, quantity: i64) -> Value {
    json!([{"product_id": product, "quantity": quantity}])
}

async fn reserve(
    client: &Client,
    customer: CustomerId,
    product: ProductId,
    quantity: i64,
) -> Reply {
    let body = json!({
        "customer_id": customer, "items": items(product, quantity), "wait": true, "ttl_seconds": 3600,
    });
    client.post("/api/reservations", &body).await
}

async fn limit(admin: &Client, limits: Value) -> Value {
    let changed = admin
        .patch("/api/business", &json!({"hold_limits": limits}))
        .await
        .ok(200);
    let read = admin.get("/api/business").await.ok(200);
    assert_eq!(read, changed);
    changed["hold_limits"].clone()
}

/// Registers a new customer and logs in.
async fn newcomer(service: &Service) -> Client {
    let login = json!({"business": "acme", "email": "new@example.org", "password": "correct horse battery"});
    let mut registration = login.clone();
    registration["name"] = json!("Newcomer");
    let nobody = service.nobody();
    nobody
        .post("/api/auth/register", &registration)
        .await
        .ok(201);
    let token = nobody.post("/api/auth/login", &login).await.ok(200);
    service.bearer(token["access_token"].as_str().unwrap())
}

fn says(refused: &Value) -> [&Value; 4] {
    ["measure", "limit", "held", "requested"].map(|name| &refused[name])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_customer_cannot_hold_the_whole_stock() {
    let service = Service::start().await;
    let admin = service.admin();
    let product = admin.add_product("RARE", "5.00", 100).await;
    let newcomer = newcomer(&service).await;
    let reserve = async |quantity: i64| {
        let body = json!({"items": items(product, quantity), "ttl_seconds": 3600});
        newcomer.post("/api/reservations", &body).await
    };
    let refused = reserve(21).await.refused(409, "hold_limit_exceeded");
    assert_eq!(
        says(&refused),
        [&json!("units"), &json!(20), &json!(0), &json!(21)]
    );
    reserve(15).await.ok(201);
    // Unpaid orders by card count as holds. What a customer holds already counts towards the order that uses it.
    let body = json!({"items": items(product, 20)});
    newcomer.post("/api/orders/checkout", &body).await.ok(201);
    let refused = reserve(1).await.refused(409, "hold_limit_exceeded");
    assert_eq!(
        says(&refused),
        [&json!("units"), &json!(20), &json!(20), &json!(1)]
    );
    let body = json!({"items": items(product, 1)});
    let refused = newcomer.post("/api/orders/checkout", &body).await;
    let _ = refused.refused(409, "hold_limit_exceeded");
    // Customers created by staff have no limit by default.
    let staff = service.staff();
    let held = reserve_all(&staff, product).await;
    assert_eq!(held, 201);
    books_balance(&service).await;
}

async fn reserve_all(staff: &Client, product: ProductId) -> u16 {
    reserve(staff, ACME_CUSTOMER, product, 80).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sets_each_bound_by_itself_and_the_trail_tells_it() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut expected = json!({
        "units": null, "value": null, "self_registered_units": 20, "self_registered_value": null,
    });
    assert_eq!(
        admin.get("/api/business").await.ok(200)["hold_limits"],
        expected
    );
    for (name, to, shown) in [
        ("units", json!(5), json!(5)),
        ("value", json!("99.5"), json!("99.50")),
        ("self_registered_units", json!(null), json!(null)),
        ("self_registered_value", json!("0"), json!("0.00")),
        ("self_registered_units", json!(0), json!(0)),
        ("units", json!(null), json!(null)),
    ] {
        expected[name] = shown;
        assert_eq!(limit(&admin, json!({name: to})).await, expected, "{name}");
    }
    let trail = "SELECT after->'hold_limits' AS hold_limits FROM audit_events
                  WHERE action = 'business.changed' ORDER BY id DESC LIMIT 1";
    assert_eq!(service.database.row(trail).await["hold_limits"], expected);
    for (limits, pointer) in [
        (json!({"units": -1}), "/hold_limits/units"),
        (json!({"units": 1_000_001}), "/hold_limits/units"),
        (json!({"value": "1.001"}), "/hold_limits/value"),
        (json!({"most": 1}), "/hold_limits/most"),
    ] {
        let refused = admin
            .patch("/api/business", &json!({"hold_limits": limits}))
            .await;
        assert_eq!(pointers(&refused), [pointer]);
    }
    service
        .staff()
        .patch("/api/business", &json!({"hold_limits": {"units": 1}}))
        .await
        .refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn units_and_value_are_bounded_and_places_count_as_the_units_they_wait_for() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let (cheap, dear) = (
        admin.add_product("CHEAP", "1.00", 10).await,
        admin.add_product("DEAR", "40.00", 10).await,
    );
    let other = admin.add_customer("Other", "0").await;
    limit(&admin, json!({"units": 6, "value": "100.00"})).await;
    reserve(&staff, other, cheap, 6).await.ok(201);
    reserve(&staff, ACME_CUSTOMER, cheap, 5).await.ok(202);
    let refused = reserve(&staff, ACME_CUSTOMER, dear, 2).await;
    let refused = refused.refused(409, "hold_limit_exceeded");
    assert_eq!(
        says(&refused),
        [&json!("units"), &json!(6), &json!(5), &json!(2)]
    );
    limit(&admin, json!({"units": null})).await;
    reserve(&staff, ACME_CUSTOMER, dear, 2).await.ok(201);
    let refused = reserve(&staff, ACME_CUSTOMER, dear, 1).await;
    let refused = refused.refused(409, "hold_limit_exceeded");
    assert_eq!(
        says(&refused),
        [
            &json!("value"),
            &json!("100.00"),
            &json!("85.00"),
            &json!("40.00")
        ]
    );
    // A purchase is no hold, and it uses up the customer's holds.
    staff.buy(&[(dear, 2)]).await.ok(201);
    reserve(&staff, ACME_CUSTOMER, dear, 2).await.ok(201);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_at_once_fit_into_one_bound() {
    let (service, second) = Service::two().await;
    let admin = service.admin();
    let product = admin.add_product("RARE", "1.00", 100).await;
    limit(&admin, json!({"units": 5})).await;
    let asks = (0..12).map(|number| {
        let client = if number % 2 == 0 {
            service.staff()
        } else {
            second.staff()
        };
        tokio::spawn(async move {
            let body = json!({"customer_id": ACME_CUSTOMER, "items": items(product, 1)});
            let path = if number % 3 == 0 {
                "/api/orders/checkout"
            } else {
                "/api/reservations"
            };
            client.post(path, &body).await
        })
    });
    let mut statuses = Vec::new();
    for ask in asks.collect::<Vec<_>>() {
        statuses.push(ask.await.unwrap().status);
    }
    statuses.sort_unstable();
    // An order by card uses up its customer's holds, so more than five requests may succeed. Never more than five units
    // are held.
    let held = format!("SELECT reserved FROM inventory WHERE product_id = '{product}'");
    assert_eq!(service.database.value(&held).await, "5");
    assert!(statuses.contains(&409), "{statuses:?}");
    books_balance(&service).await;
}
