//! These tests check how the platform creates a business, whose admin can log in at once, and how an admin renames it.

use domain::Authority;
use domain::demo::{ACME, GLOBEX};
use entity::UserId;
use serde_json::{Value, json};
use tests::{Reply, SECRET, Service, all};
use tradeline::access::token::{Keys, PlatformClaims};

const PASSWORD: &str = "correct horse battery";

fn initech(slug: &str) -> Value {
    json!({"name": "Initech", "slug": slug, "currency": "EUR",
           "admin": {"email": "Admin@Initech.example", "password": PASSWORD}})
}

async fn log_in(service: &Service, business: &str, password: &str) -> Reply {
    let body =
        json!({"business": business, "email": "admin@initech.example", "password": password});
    service.nobody().post("/api/auth/login", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_business_is_open_for_trade_and_has_only_its_admin_in_it() {
    let service = Service::start().await;
    // This failed login must not be cached for ever.
    let _ = log_in(&service, "initech", PASSWORD)
        .await
        .refused(401, "invalid_credentials");
    let reply = service
        .platform()
        .post("/api/businesses", &initech("initech"))
        .await;
    let made = reply.ok(201);
    assert_eq!(reply.header("location"), "/api/business");
    let id = made["id"].as_str().unwrap().to_owned();
    let admin = made["admin"]["user_id"].clone();
    assert_eq!(
        made,
        json!({"id": id, "slug": "initech", "name": "Initech", "currency": "EUR", "time_zone": "UTC",
               "admin": {"user_id": admin, "email": "admin@initech.example"}})
    );

    for name in ["initech", &id] {
        let token = log_in(&service, name, PASSWORD).await.ok(200);
        let client = service.bearer(token["access_token"].as_str().unwrap());
        let me = client.get("/api/auth/me").await.ok(200);
        assert_eq!((&me["user_id"], &me["role"]), (&admin, &json!("admin")));
        let own = client.get("/api/business").await.ok(200);
        assert_eq!(
            own,
            json!({"id": id, "slug": "initech", "name": "Initech", "currency": "EUR",
                   "block_after_days": null, "time_zone": "UTC", "books_closed_until": null,
                   "hold_limits": {"units": null, "value": null, "self_registered_units": 20, "self_registered_value": null}})
        );
        assert_eq!(
            client.get("/api/customers").await.ok(200)["data"],
            json!([])
        );
        let product = json!({"sku": name, "name": "Stapler", "price": "9.99", "stock": 3});
        let product = client.post("/api/products", &product).await.ok(201);
        assert_eq!(product["currency"], "EUR");
    }
    let _ = log_in(&service, "initech", "wrong password")
        .await
        .refused(401, "invalid_credentials");
    // The trail begins with the creation of the business and of its admin.
    let trail = service
        .database
        .rows(&format!(
            "SELECT * FROM audit_events WHERE business_id = '{id}' ORDER BY id LIMIT 2"
        ))
        .await;
    let [of_business, of_admin] = &trail[..] else {
        panic!("{trail:?}")
    };
    assert_eq!(of_business["action"], "business.created");
    assert_eq!(of_business["entity_id"], json!(id));
    assert_eq!(of_business["after"]["admin"]["user_id"], admin);
    assert_eq!(of_admin["action"], "user.created");
    assert_eq!(of_admin["entity_id"], admin);
    assert_eq!(of_admin["after"]["role"], "admin");
    for event in &trail {
        assert_eq!(event["actor_role"], "platform");
        assert!(!event.to_string().contains("argon2"), "{event}");
    }
    assert!(!reply.text.contains("argon2") && !reply.text.contains(PASSWORD));
    // No entry went into another business's trail.
    let acme = format!(
        "SELECT count(*) FROM audit_events WHERE business_id IN ('{ACME}', '{GLOBEX}') AND actor_role = 'platform'"
    );
    assert_eq!(service.database.value(&acme).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_belongs_to_one_business_and_a_refusal_leaves_nothing_behind() {
    let service = Service::start().await;
    let platform = service.platform();
    let before = service.database.digest().await;
    for key in ["", "a-key"] {
        let reply = match key {
            "" => platform.post("/api/businesses", &initech("acme")).await,
            key => {
                platform
                    .post_once(key, "/api/businesses", &initech("acme"))
                    .await
            }
        };
        let body = reply.refused(409, "already_exists");
        assert_eq!(body["field"], "slug");
    }
    assert_eq!(service.database.digest().await, before);
    // Only one of many concurrent requests gets the slug.
    let replies = all((0..8).map(|_| {
        let platform = service.platform();
        async move {
            platform
                .post("/api/businesses", &initech("initech"))
                .await
                .status
        }
    }))
    .await;
    assert_eq!(
        replies.iter().filter(|status| **status == 201).count(),
        1,
        "{replies:?}"
    );
    assert_eq!(
        replies.iter().filter(|status| **status == 409).count(),
        7,
        "{replies:?}"
    );
    let count = |table: &str| {
        format!("SELECT count(*) FROM {table} WHERE business_id NOT IN ('{ACME}', '{GLOBEX}')")
    };
    for (table, rows) in [("users", "1"), ("audit_events", "2")] {
        assert_eq!(service.database.value(&count(table)).await, rows, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_under_its_key_makes_no_second_business() {
    let service = Service::start().await;
    let platform = service.platform();
    let path = "/api/businesses";
    // The requests run at the same time, so one may find the slug or the id taken.
    let replies = all((0..8).map(|_| {
        let platform = platform.clone();
        async move { platform.post_once("k", path, &initech("initech")).await }
    }))
    .await;
    let fresh = replies
        .iter()
        .filter(|reply| reply.header("idempotency-replayed").is_empty());
    assert_eq!(fresh.count(), 1);
    for reply in &replies {
        reply.ok(201);
        assert_eq!(reply.text, replies[0].text);
        assert_eq!(reply.header("location"), "/api/business");
    }
    let again = platform.post_once("k", path, &initech("other")).await;
    let _ = again.refused(422, "idempotency_key_reused");
    // The same key of another caller is independent.
    let _ = service
        .platform()
        .post_once("k", path, &initech("other"))
        .await
        .ok(201);
    assert_eq!(
        service
            .database
            .value("SELECT count(*) FROM businesses")
            .await,
        "4"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_businesses_are_checked_and_every_fault_is_reported() {
    let service = Service::start().await;
    let platform = service.platform();
    let before = service.database.digest().await;
    for slug in [
        "",
        "Initech",
        "-a",
        "a-",
        "a_b",
        "a.b",
        "ä",
        "a b",
        "a/b",
        "0190a5d4-7b1c-7000-8000-000000000001",
        "0190a5d47b1c70008000000000000001",
    ] {
        let reply = platform.post("/api/businesses", &initech(slug)).await;
        let body = reply.refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], "/slug", "{slug}: {body}");
    }
    let _ = platform
        .post("/api/businesses", &initech(&"a".repeat(64)))
        .await
        .refused(422, "validation_failed");
    let bad = json!({"name": "", "slug": "UP", "currency": "XXXX", "business_id": ACME,
                     "admin": {"email": "nobody", "password": "short", "role": "platform"}});
    let body = platform
        .post("/api/businesses", &bad)
        .await
        .refused(422, "validation_failed");
    let mut pointers: Vec<&str> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/admin/email",
            "/admin/password",
            "/admin/role",
            "/business_id",
            "/currency",
            "/name",
            "/slug"
        ]
    );
    assert_eq!(service.database.digest().await, before);
    let _ = platform
        .post("/api/businesses", &initech(&"a".repeat(63)))
        .await
        .ok(201);
    let _ = platform
        .post("/api/businesses", &initech("7"))
        .await
        .ok(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_token_ends_and_names_no_business() {
    let service = Service::start().await;
    let keys = Keys::new(SECRET.as_bytes()).unwrap();
    let now = chrono::Utc::now().timestamp();
    let claims = PlatformClaims {
        user_id: UserId::new(),
        issued_at: now - 100,
        expires_at: now - 60,
    };
    let ended = service.bearer(&keys.sign_platform(&claims).unwrap());
    let reply = ended.post("/api/businesses", &initech("initech")).await;
    let _ = reply.refused(401, "token_expired");
    let platform = service.platform();
    let request = platform
        .request(reqwest::Method::POST, "/api/businesses")
        .header("x-business-id", ACME.to_string())
        .body(initech("initech").to_string());
    let _ = platform.send(request).await.refused(403, "tenant_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_renames_its_own_business_and_the_trail_says_so() {
    let service = Service::start().await;
    let admin = service.admin();
    let renamed = admin
        .patch("/api/business", &json!({"name": "Acme & Daughters"}))
        .await
        .ok(200);
    assert_eq!(renamed["name"], "Acme & Daughters");
    for client in [service.admin(), service.staff(), service.customer()] {
        assert_eq!(client.get("/api/business").await.ok(200), renamed);
    }
    let event = service
        .database
        .row("SELECT * FROM audit_events WHERE action = 'business.changed'")
        .await;
    assert_eq!(event["business_id"], json!(ACME));
    assert_eq!(event["before"]["name"], "Acme Supplies");
    assert_eq!(event["after"]["name"], "Acme & Daughters");
    assert_eq!(event["actor_role"], "admin");
    let before = service.database.digest().await;
    // An empty request changes nothing.
    assert_eq!(
        admin.patch("/api/business", &json!({})).await.ok(200),
        renamed
    );
    for fixed in [
        json!({"slug": "other"}),
        json!({"currency": "EUR"}),
        json!({"id": GLOBEX}),
        json!({"name": ""}),
    ] {
        let reply = admin.patch("/api/business", &fixed).await;
        let _ = reply.refused(422, "validation_failed");
    }
    assert_eq!(service.database.digest().await, before);
    // Another business has kept its name.
    let other = service
        .caller(GLOBEX, Authority::Staff)
        .get("/api/business")
        .await
        .ok(200);
    assert_eq!(other["slug"], "globex");
    assert_ne!(other["name"], renamed["name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_is_renamed_in_the_middle_of_trade_and_nothing_fails() {
    let service = Service::start().await;
    let work = (0..24).map(|number| {
        let client = service.admin();
        async move {
            match number % 3 {
                0 => {
                    client
                        .patch("/api/business", &json!({"name": format!("Acme {number}")}))
                        .await
                        .status
                }
                1 => {
                    client
                        .post("/api/customers", &json!({"name": format!("C {number}")}))
                        .await
                        .status
                }
                _ => client.buy(&[(domain::demo::ACME_KEYBOARD, 1)]).await.status,
            }
        }
    });
    let statuses = all(work.collect::<Vec<_>>()).await;
    assert!(statuses.iter().all(|status| *status < 300), "{statuses:?}");
    assert_eq!(service.database.deadlocks().await, 0);
}
