//! These tests check users: who may log in, with which role, and how access ends.

use std::time::{Duration, Instant};

use domain::demo::{ACME, ACME_CUSTOMER, ACME_KEYBOARD, GLOBEX_CUSTOMER};
use entity::CustomerId;
use serde_json::{Value, json};
use tests::{Client, Reply, Service, all, until};
use uuid::Uuid;

pub(super) const PASSWORD: &str = "correct horse";

pub(super) async fn log_in(service: &Service, email: &str, password: &str) -> Reply {
    let body = json!({"business": "acme", "email": email, "password": password});
    service.nobody().post("/api/auth/login", &body).await
}

/// Logs in; returns a client with the access token, and the refresh token.
pub(super) async fn logged_in(service: &Service, email: &str) -> (Client, String) {
    let granted = log_in(service, email, PASSWORD).await.ok(200);
    let client = service.bearer(granted["access_token"].as_str().unwrap());
    (
        client,
        granted["refresh_token"].as_str().unwrap().to_owned(),
    )
}

pub(super) async fn refresh(service: &Service, token: &str) -> Reply {
    let body = json!({"refresh_token": token});
    service.nobody().post("/api/auth/refresh", &body).await
}

pub(super) fn new_user(email: &str, role: &str) -> Value {
    json!({"email": email, "name": "Someone", "password": PASSWORD, "role": role})
}

/// Creates a user and returns the user's path.
pub(super) async fn add(service: &Service, email: &str, role: &str) -> String {
    let admin = service.admin();
    let added = admin.post("/api/users", &new_user(email, role)).await;
    let added = added.ok(201);
    format!("/api/users/{}", added["id"].as_str().unwrap())
}

/// Audit entries about this user in order, except entries about refused access.
pub(super) async fn trail(service: &Service, path: &str) -> Vec<Value> {
    let id = path.rsplit('/').next().unwrap();
    let sql = format!(
        "SELECT action, before, after, actor_role FROM audit_events
          WHERE entity_id = '{id}' AND action <> 'access.refused' ORDER BY id"
    );
    service.database.rows(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_adds_users_of_every_role_and_each_logs_in_with_their_role() {
    let service = Service::start().await;
    let admin = service.admin();
    for role in ["admin", "staff", "customer"] {
        let email = format!("New-{role}@Example.com");
        let mut body = new_user(&email, role);
        if role == "customer" {
            body["customer_id"] = json!(ACME_CUSTOMER);
        }
        let reply = admin.post("/api/users", &body).await;
        let added = reply.ok(201);
        let path = format!("/api/users/{}", added["id"].as_str().unwrap());
        assert_eq!(reply.header("location"), path);
        assert_eq!(added["email"], email.to_lowercase());
        assert_eq!(
            (&added["role"], &added["disabled"]),
            (&json!(role), &json!(false))
        );
        let (client, _) = logged_in(&service, &email).await;
        let me = client.get("/api/auth/me").await.ok(200);
        assert_eq!(
            (&me["role"], &me["name"]),
            (&json!(role), &json!("Someone"))
        );
        assert_eq!(me["customer_id"], body["customer_id"]);
        assert_eq!(trail(&service, &path).await[0]["action"], "user.created");
        let _ = admin
            .post("/api/users", &body)
            .await
            .refused(409, "already_exists");
    }
    let listed = admin.pages("/api/users", 2).await;
    assert_eq!(listed.len(), 5);
    assert!(
        listed
            .iter()
            .all(|user| user.get("password_hash").is_none())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_password_is_refused_with_its_place_and_nothing_is_made() {
    let service = Service::start().await;
    let before = service.database.digest().await;
    for weak in [
        "",
        "x7x7x7x",
        "password",
        "PASSWORD1",
        "Qwertyuiop",
        "12345678",
        "iloveyou",
        "aaaaaaaa",
        "        ",
        "abcabcabc",
        "\u{ff50}assw\u{ff4f}rd1",
        "weak@example.com",
        "acme2024",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(["x7".repeat(64) + "x"])
    {
        let mut user = new_user("weak@example.com", "staff");
        user["password"] = json!(weak);
        let mut registration =
            json!({"business": "acme", "email": "weak@example.com", "name": "Weak"});
        registration["password"] = json!(weak);
        for reply in [
            service.admin().post("/api/users", &user).await,
            service
                .nobody()
                .post("/api/auth/register", &registration)
                .await,
        ] {
            let body = reply.refused(422, "validation_failed");
            assert_eq!(body["errors"][0]["pointer"], "/password", "{weak}: {body}");
            assert_eq!(body["errors"].as_array().unwrap().len(), 1, "{body}");
        }
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_makes_a_customer_without_credit_and_nothing_else() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let registration = json!({"business": "acme", "email": "Me@Example.com", "password": PASSWORD, "name": "Me Ltd"});
    for (field, value) in [
        ("role", json!("admin")),
        ("customer_id", json!(ACME_CUSTOMER)),
        ("credit_limit", json!("1000.00")),
        ("business_id", json!(ACME)),
    ] {
        let mut greedy = registration.clone();
        greedy[field] = value;
        let body = nobody.post("/api/auth/register", &greedy).await;
        let body = body.refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], format!("/{field}"));
    }
    let made = nobody
        .post("/api/auth/register", &registration)
        .await
        .ok(201);
    assert_eq!(made["role"], "customer");
    let (client, _) = logged_in(&service, "me@example.com").await;
    let me = client.get("/api/auth/me").await.ok(200);
    assert_eq!(me["customer_id"], made["customer_id"]);
    let customer = format!("/api/customers/{}", made["customer_id"].as_str().unwrap());
    let customer = client.get(&customer).await.ok(200);
    assert_eq!(
        (&customer["credit_limit"], &customer["name"]),
        (&json!("0.00"), &json!("Me Ltd"))
    );
    let items = json!({"items": [{"product_id": ACME_KEYBOARD, "quantity": 1}]});
    let _ = client
        .post("/api/purchase", &items)
        .await
        .refused(409, "credit_limit_exceeded");

    let customers = "SELECT count(*) FROM customers";
    let before = service.database.value(customers).await;
    let again = nobody.post("/api/auth/register", &registration).await;
    assert_eq!(again.refused(409, "already_exists")["field"], "email");
    assert_eq!(
        service.database.value(customers).await,
        before,
        "the change leaves nothing"
    );
    // The same address in another business is another user.
    let mut elsewhere = registration.clone();
    elsewhere["business"] = json!("globex");
    assert_eq!(
        nobody.post("/api/auth/register", &elsewhere).await.status,
        201
    );
    elsewhere["business"] = json!("initech");
    let _ = nobody
        .post("/api/auth/register", &elsewhere)
        .await
        .refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_business_customer_is_one_that_nobody_has() {
    let service = Service::start().await;
    let admin = service.admin();
    let path = add(&service, "clerk@example.com", "staff").await;
    let before = service.database.digest().await;
    let seen = |reply: Reply, id: CustomerId| {
        let _ = reply.refused(404, "customer_not_found");
        reply
            .text
            .replace(&id.to_string(), "<id>")
            .replace(reply.header("x-request-id"), "<request>")
    };
    let mut answers = Vec::new();
    for id in [GLOBEX_CUSTOMER, CustomerId::new()] {
        let mut body = new_user("spy@example.com", "customer");
        body["customer_id"] = json!(id);
        let posted = seen(admin.post("/api/users", &body).await, id);
        let change = json!({"role": "customer", "customer_id": id});
        let patched = seen(admin.patch(&path, &change).await, id);
        answers.push((posted, patched));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_and_a_customer_go_together_or_not_at_all() {
    let service = Service::start().await;
    let admin = service.admin();
    for (role, customer) in [
        ("customer", None),
        ("staff", Some(ACME_CUSTOMER)),
        ("admin", Some(ACME_CUSTOMER)),
    ] {
        let mut body = new_user("odd@example.com", role);
        if let Some(customer) = customer {
            body["customer_id"] = json!(customer);
        }
        let body = admin
            .post("/api/users", &body)
            .await
            .refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], "/customer_id");
    }
    let path = add(&service, "odd@example.com", "staff").await;
    for change in [
        json!({"role": "customer"}),
        json!({"customer_id": ACME_CUSTOMER}),
    ] {
        let _ = admin
            .patch(&path, &change)
            .await
            .refused(409, "role_customer_mismatch");
    }
    let change = json!({"role": "customer", "customer_id": ACME_CUSTOMER});
    assert_eq!(
        admin.patch(&path, &change).await.ok(200)["customer_id"],
        json!(ACME_CUSTOMER)
    );
    let back = admin.patch(&path, &json!({"role": "staff"})).await.ok(200);
    assert_eq!(back["customer_id"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_user_is_out_at_once_and_within_a_second_in_another_process() {
    let (one, two) = Service::two().await;
    let path = add(&one, "leaver@example.com", "staff").await;
    let (leaver, refresh_token) = logged_in(&one, "leaver@example.com").await;
    let elsewhere = leaver.at(&two);
    assert_eq!(leaver.get("/api/orders").await.status, 200);
    assert_eq!(elsewhere.get("/api/orders").await.status, 200);

    let disabled = one.admin().patch(&path, &json!({"disabled": true})).await;
    let since = Instant::now();
    assert_eq!(disabled.ok(200)["disabled"], true);
    for _ in 0..3 {
        let _ = leaver
            .get("/api/orders")
            .await
            .refused(401, "unauthenticated");
    }
    // The requests keep the other process busy, so that other requests refresh its revocation cache too.
    while since.elapsed() < Duration::from_millis(1000) {
        let status = elsewhere.get("/api/orders").await.status;
        assert!([200, 401].contains(&status), "{status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = elsewhere
        .get("/api/orders")
        .await
        .refused(401, "unauthenticated");

    let wrong = log_in(&one, "leaver@example.com", "wrong").await;
    let right = log_in(&one, "leaver@example.com", PASSWORD).await;
    assert_eq!(
        right.refused(401, "invalid_credentials")["detail"],
        wrong.json()["detail"]
    );
    let _ = refresh(&two, &refresh_token)
        .await
        .refused(401, "invalid_credentials");

    let enabled = one.admin().patch(&path, &json!({"disabled": false})).await;
    assert_eq!(enabled.ok(200)["disabled"], false);
    let _ = leaver
        .get("/api/orders")
        .await
        .refused(401, "unauthenticated");
    let _ = refresh(&one, &refresh_token)
        .await
        .refused(401, "invalid_credentials");
    let (back, _) = logged_in(&one, "leaver@example.com").await;
    assert_eq!(back.get("/api/orders").await.status, 200);
    assert_eq!(
        back.at(&two).get("/api/orders").await.status,
        200,
        "a token newer than the remembered change"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_role_revokes_earlier_tokens_and_the_login_continues_with_the_new_role() {
    let service = Service::start().await;
    let path = add(&service, "climber@example.com", "admin").await;
    let (client, refresh_token) = logged_in(&service, "climber@example.com").await;
    assert_eq!(client.get("/api/users").await.status, 200);
    let _ = service
        .admin()
        .patch(&path, &json!({"name": "Same tokens"}))
        .await
        .ok(200);
    assert_eq!(client.get("/api/users").await.status, 200);
    let _ = service
        .admin()
        .patch(&path, &json!({"role": "staff"}))
        .await
        .ok(200);
    let _ = client
        .get("/api/users")
        .await
        .refused(401, "unauthenticated");
    let granted = refresh(&service, &refresh_token).await.ok(200);
    let client = service.bearer(granted["access_token"].as_str().unwrap());
    assert_eq!(client.get("/api/auth/me").await.ok(200)["role"], "staff");
    let _ = client.get("/api/users").await.refused(403, "forbidden");

    // A change to the current values has no effect.
    let _ = service
        .admin()
        .patch(&path, &json!({"role": "staff", "disabled": false}))
        .await
        .ok(200);
    assert_eq!(client.get("/api/auth/me").await.status, 200);
    let actions: Vec<Value> = trail(&service, &path)
        .await
        .iter()
        .map(|entry| entry["action"].clone())
        .collect();
    assert_eq!(
        actions,
        [
            "user.created",
            "login.succeeded",
            "user.changed",
            "user.role_changed"
        ]
    );
    let changed = trail(&service, &path).await.remove(3);
    assert_eq!(
        (&changed["before"]["role"], &changed["after"]["role"]),
        (&json!("admin"), &json!("staff"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_remove_the_last_enabled_admin() {
    let service = Service::start().await;
    let sql = format!("SELECT id FROM users WHERE business_id = '{ACME}' AND role = 'admin'");
    let path = format!("/api/users/{}", service.database.value(&sql).await);
    for change in [
        json!({"disabled": true}),
        json!({"role": "staff"}),
        json!({"role": "customer", "customer_id": ACME_CUSTOMER}),
    ] {
        let before = service.database.digest().await;
        let _ = service
            .admin()
            .patch(&path, &change)
            .await
            .refused(409, "last_admin");
        assert_eq!(service.database.digest().await, before);
    }
    // A disabled admin does not count.
    let second = add(&service, "second@example.com", "admin").await;
    let _ = service
        .admin()
        .patch(&second, &json!({"disabled": true}))
        .await
        .ok(200);
    let _ = service
        .admin()
        .patch(&path, &json!({"role": "staff"}))
        .await
        .refused(409, "last_admin");
    let _ = service
        .admin()
        .patch(&second, &json!({"disabled": false}))
        .await
        .ok(200);
    let _ = service
        .admin()
        .patch(&path, &json!({"role": "staff"}))
        .await
        .ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_admins_who_demote_each_other_at_once_one_stays() {
    let (one, two) = Service::two().await;
    let mut paths = Vec::new();
    for number in 0..4 {
        paths.push(add(&one, &format!("admin{number}@example.com"), "admin").await);
    }
    let sql = format!(
        "SELECT id FROM users WHERE business_id = '{ACME}' AND email = 'admin@example.com'"
    );
    let first = format!("/api/users/{}", one.database.value(&sql).await);
    let _ = one
        .admin()
        .patch(&first, &json!({"role": "staff"}))
        .await
        .ok(200);
    for round in 0..8 {
        let tries = paths.clone().into_iter().enumerate().map(|(number, path)| {
            let client = if number % 2 == 0 {
                one.admin()
            } else {
                two.admin()
            };
            let change = if round % 2 == 0 {
                json!({"role": "staff"})
            } else {
                json!({"disabled": true})
            };
            async move { client.patch(&path, &change).await.status }
        });
        let mut statuses = all(tries).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 409], "round {round}");
        let left = format!(
            "SELECT count(*) FROM users WHERE business_id = '{ACME}' AND role = 'admin' AND disabled_at IS NULL"
        );
        assert_eq!(one.database.value(&left).await, "1");
        for path in &paths {
            let _ = one
                .admin()
                .patch(path, &json!({"role": "admin", "disabled": false}))
                .await
                .ok(200);
        }
    }
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_are_in_the_trail_without_the_password() {
    let service = Service::start().await;
    let secret = "hunter2 hunter2";
    let _ = log_in(&service, "admin@example.com", secret).await;
    let _ = log_in(&service, "Nobody@example.com", secret).await;
    let _ = log_in(&service, "admin@example.com", "admin123")
        .await
        .ok(200);
    let sql = format!(
        "SELECT action, entity_type, after, actor_role FROM audit_events
          WHERE business_id = '{ACME}' AND action LIKE 'login.%' ORDER BY id"
    );
    let entries = service.database.rows(&sql).await;
    assert_eq!(
        entries,
        [
            json!({"action": "login.failed", "entity_type": "user", "actor_role": "nobody",
                   "after": {"reason": "wrong_password"}}),
            json!({"action": "login.failed", "entity_type": "login", "actor_role": "nobody",
                   "after": {"reason": "unknown_address", "email": "Nobody@example.com"}}),
            json!({"action": "login.succeeded", "entity_type": "user", "actor_role": "admin", "after": {}}),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_a_caller_are_in_the_audit_trail() {
    let service = Service::start().await;
    let staff = service.staff();
    let id = Uuid::now_v7();
    let _ = staff
        .patch(&format!("/api/users/{id}"), &json!({}))
        .await
        .refused(403, "forbidden");
    let body = json!({"business_id": id, "name": "X"});
    let _ = staff
        .post("/api/customers", &body)
        .await
        .refused(403, "tenant_mismatch");
    let limit = json!({"name": "X", "credit_limit": "1.00"});
    let _ = staff
        .post("/api/customers", &limit)
        .await
        .refused(403, "forbidden");
    let _ = staff
        .post("/api/businesses", &json!({}))
        .await
        .refused(403, "forbidden");
    // A request without a credential writes no audit entry.
    let _ = service
        .nobody()
        .get("/api/users")
        .await
        .refused(401, "unauthenticated");
    let sql = format!(
        "SELECT after, actor_role FROM audit_events
          WHERE business_id = '{ACME}' AND action = 'access.refused' ORDER BY id"
    );
    until("all entries are written", async || {
        service.database.rows(&sql).await.len() >= 4
    })
    .await;
    let entries: Vec<Value> = service.database.rows(&sql).await;
    let entry = |method: &str, path: &str, code: &str| json!({"actor_role": "staff", "after": {"method": method, "path": path, "code": code}});
    assert_eq!(
        entries,
        [
            entry("PATCH", "/api/users/{user_id}", "forbidden"),
            entry("POST", "/api/customers", "tenant_mismatch"),
            entry("POST", "/api/customers", "forbidden"),
            entry("POST", "/api/businesses", "forbidden"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_service_writes_the_refusals_before() {
    let service = Service::start().await;
    let database = service.database.clone();
    let staff = service.staff();
    for _ in 0..200 {
        assert_eq!(staff.get("/api/users").await.status, 403);
    }
    service.stop().await;
    // Repetitions within a minute form one entry with a count.
    let sql = "SELECT sum(coalesce((after ->> 'times')::bigint, 1)) FROM audit_events
                WHERE action = 'access.refused'";
    assert_eq!(database.value(sql).await, "200");
}
