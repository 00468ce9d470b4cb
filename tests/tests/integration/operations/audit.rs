//! These tests check the audit trail as an admin reads it.

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX, GLOBEX_DESK};
use entity::UserId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Service, pointers, sorted};
use uuid::Uuid;

async fn entries(client: &Client, query: &str) -> Vec<Value> {
    let page = client.get(&format!("/api/audit?{query}")).await.ok(200);
    assert_eq!(page["next_cursor"], Value::Null, "{query}");
    page["data"].as_array().unwrap().clone()
}

fn members(entries: &[Value], name: &str) -> Vec<String> {
    let text = |entry: &Value| entry[name].as_str().unwrap().to_owned();
    entries.iter().map(text).collect()
}

async fn rename(client: &Client, product: impl std::fmt::Display, name: &str) {
    let path = format!("/api/products/{product}");
    let _ = client.patch(&path, &json!({"name": name})).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_reads_who_changed_what_when_and_in_which_request_the_newest_first() {
    let service = Service::start().await;
    let user = UserId::new();
    let admin = service.caller_as(user, ACME, Authority::Admin);
    let path = format!("/api/products/{ACME_HEADPHONES}");
    let request = admin.request(Method::PATCH, &path);
    let request = request
        .header("x-request-id", "the-request")
        .body(json!({"price": "99.00"}).to_string());
    let _ = admin.send(request).await.ok(200);
    rename(&admin, ACME_HEADPHONES, "Headset").await;
    let found = entries(
        &admin,
        &format!("entity_id={ACME_HEADPHONES}&actor_id={user}"),
    )
    .await;
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!(found[0]["after"]["name"], "Headset");
    let entry = &found[1];
    assert_eq!(entry["action"], "product.changed");
    assert_eq!(entry["entity_type"], "product");
    assert_eq!(entry["entity_id"], json!(ACME_HEADPHONES));
    assert_eq!(entry["actor_id"], json!(user));
    assert_eq!(entry["actor_role"], "admin");
    assert_eq!(entry["request_id"], "the-request");
    assert_eq!(entry["before"]["price"], "100.00");
    assert_eq!(entry["after"]["price"], "99.00");
    assert_eq!(entry["times"], 1);
    let at = entry["created_at"].as_str().unwrap();
    let at = chrono::DateTime::parse_from_rfc3339(at).unwrap();
    let age = chrono::Utc::now() - at.to_utc();
    assert!((0..60).contains(&age.num_seconds()), "{age}");
    // A new object has no state before. Repeated refusals form one entry with a count.
    let added = admin.add_product("NEW", "1.00", 0).await;
    let found = entries(&admin, &format!("entity_id={added}&action=product.created")).await;
    assert_eq!(found[0]["before"], Value::Null);
    let sql = format!(
        "INSERT INTO audit_events (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id, after)
         VALUES ('{ACME}', gen_random_uuid(), 'access.refused', 'caller', '{added}', '{user}', 'staff', 'r',
                 '{{\"times\": 7}}')"
    );
    service.database.execute(&sql).await;
    let found = entries(&admin, "action=access.refused").await;
    assert_eq!(found[0]["times"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_together_leave_what_fits_all_of_them() {
    let service = Service::start().await;
    let (one, two) = (UserId::new(), UserId::new());
    let [first, second] = [one, two].map(|user| service.caller_as(user, ACME, Authority::Admin));
    for (admin, name) in [(&first, "Renamed"), (&second, "Renamed again")] {
        rename(admin, ACME_HEADPHONES, name).await;
        rename(admin, ACME_KEYBOARD, name).await;
        let path = format!("/api/customers/{ACME_CUSTOMER}");
        let _ = admin.patch(&path, &json!({"name": name})).await.ok(200);
    }
    for (query, count) in [
        (format!("actor_id={one}"), 3),
        (format!("actor_id={one}&entity_type=product"), 2),
        (format!("actor_id={two}&entity_id={ACME_KEYBOARD}"), 1),
        (
            format!("actor_id={two}&entity_id={ACME_KEYBOARD}&action=product.created"),
            0,
        ),
        (
            format!("actor_id={two}&entity_type=customer&action=customer.changed"),
            1,
        ),
        (
            format!("entity_type=customer&entity_id={ACME_CUSTOMER}&action=customer.changed"),
            2,
        ),
        (format!("entity_type=order&actor_id={one}"), 0),
        (format!("actor_id={}", UserId::new()), 0),
    ] {
        let found = entries(&first, &query).await;
        assert_eq!(found.len(), count, "{query}: {found:#?}");
    }
    // The bound `from` is inclusive and `to` is exclusive.
    let all = entries(&first, &format!("actor_id={one}")).await;
    let times = members(&all, "created_at");
    let [newest, middle, oldest] = &times[..] else {
        panic!("{times:?}");
    };
    for (query, expected) in [
        (format!("from={middle}"), vec![newest, middle]),
        (format!("to={middle}"), vec![oldest]),
        (format!("from={oldest}&to={newest}"), vec![middle, oldest]),
    ] {
        let found = entries(&first, &format!("actor_id={one}&{query}")).await;
        assert_eq!(
            members(&found, "created_at").iter().collect::<Vec<_>>(),
            expected,
            "{query}"
        );
    }
    let backward = format!("/api/audit?from={newest}&to={oldest}");
    let answer = first.get(&backward).await;
    let _ = answer.refused(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_repeat_nor_leave_out_while_entries_are_added() {
    let service = Service::start().await;
    let admin = service.admin();
    for name in 0..23 {
        rename(&admin, ACME_HEADPHONES, &format!("Name {name}")).await;
    }
    // One transaction may write more entries than a page holds.
    let sql = format!(
        "INSERT INTO audit_events (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id)
         SELECT '{ACME}', gen_random_uuid(), 'tested', 'test', '{ACME}', '{ACME}', 'admin', 'r'
           FROM generate_series(1, 12)"
    );
    service.database.execute(&sql).await;
    let all = members(&entries(&admin, "limit=200").await, "id");
    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin
            .get(&format!("/api/audit?limit=5{cursor}"))
            .await
            .ok(200);
        read.extend(members(page["data"].as_array().unwrap(), "id"));
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
        rename(
            &admin,
            ACME_HEADPHONES,
            &format!("Meanwhile {}", read.len()),
        )
        .await;
    }
    assert_eq!(read, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_business_has_another_trail() {
    let service = Service::start().await;
    let (admin, stranger) = (service.admin(), service.stranger());
    rename(&admin, ACME_HEADPHONES, "Ours").await;
    rename(&stranger, GLOBEX_DESK, "Theirs").await;
    for (client, own, other) in [
        (&admin, ACME_HEADPHONES, GLOBEX_DESK),
        (&stranger, GLOBEX_DESK, ACME_HEADPHONES),
    ] {
        let query = format!("action=product.changed&entity_id={own}");
        assert_eq!(entries(client, &query).await.len(), 1);
        let unknown = entries(client, &format!("entity_id={}", Uuid::now_v7())).await;
        assert_eq!(
            entries(client, &format!("entity_id={other}")).await,
            unknown
        );
        assert!(unknown.is_empty());
    }
    let sql = format!("SELECT id FROM audit_events WHERE business_id = '{GLOBEX}'");
    let theirs = service.database.column(&sql).await;
    let read = members(&entries(&stranger, "limit=200").await, "id");
    assert_eq!(sorted(read), sorted(theirs));
    // A cursor of another business gives no access to its entries either.
    let page = stranger.get("/api/audit?limit=1").await.ok(200);
    let cursor = page["next_cursor"].as_str().unwrap_or_default();
    if !cursor.is_empty() {
        let found = entries(
            &admin,
            &format!("cursor={cursor}&limit=200&entity_id={GLOBEX_DESK}"),
        )
        .await;
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_read_it_and_faulty_filters_are_named() {
    let service = Service::start().await;
    for client in [service.staff(), service.customer(), service.platform()] {
        let _ = client.get("/api/audit").await.refused(403, "forbidden");
    }
    let faulty = "entity_type=&entity_id=7&actor_id=me&action=%0A&from=today&to=1&typo=1";
    let reply = service.admin().get(&format!("/api/audit?{faulty}")).await;
    assert_eq!(
        sorted(pointers(&reply)),
        [
            "?action",
            "?actor_id",
            "?entity_id",
            "?entity_type",
            "?from",
            "?to",
            "?typo"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_without_its_audit_entry_is_rolled_back() {
    let service = Service::start().await;
    let admin = service.admin();
    let _ = admin.buy(&[(ACME_KEYBOARD, 4)]).await.ok(201);
    let pay =
        |amount: &str| json!({"customer_id": ACME_CUSTOMER, "amount": amount, "method": "cash"});
    let paid = admin.post("/api/payments", &pay("10.00")).await;
    let reverse = format!("{}/reverse", paid.header("location"));
    let silence = "CREATE FUNCTION silence() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN RAISE EXCEPTION 'no audit entry'; END $$;
                   CREATE TRIGGER silence BEFORE INSERT ON audit_events FOR EACH STATEMENT EXECUTE FUNCTION silence()";
    service.database.execute(silence).await;

    let customer = format!("/api/customers/{ACME_CUSTOMER}");
    let product = format!("/api/products/{ACME_HEADPHONES}");
    let details = json!({"sku": "OTHER", "name": "Other", "price": "7.00"});
    let changes = [
        (
            Method::POST,
            "/api/customers",
            json!({"name": "New", "credit_limit": "5.00"}),
        ),
        (Method::PATCH, customer.as_str(), json!({"name": "Renamed"})),
        (
            Method::PATCH,
            customer.as_str(),
            json!({"credit_limit": "5000.00", "on_hold": true}),
        ),
        (
            Method::POST,
            "/api/products",
            json!({"sku": "NEW", "name": "New", "price": "1.00", "stock": 3}),
        ),
        (Method::PUT, product.as_str(), details),
        (Method::PATCH, product.as_str(), json!({"price": "99.00"})),
        (Method::POST, "/api/payments", pay("20.00")),
        (Method::POST, reverse.as_str(), json!({"reason": "bounced"})),
        (
            Method::PATCH,
            "/api/business",
            json!({"name": "Renamed", "block_after_days": 30}),
        ),
    ];
    let send = async |number: usize| {
        let (method, path, body) = &changes[number];
        let mut request = admin.request(method.clone(), path).body(body.to_string());
        if method == Method::POST {
            // A failed request must not use up its idempotency key either.
            request = request.header("Idempotency-Key", format!("change-{number}"));
        }
        admin.send(request).await
    };
    let before = service.database.digest().await;
    for (number, change) in changes.iter().enumerate() {
        let failed = send(number).await.refused(500, "internal_error");
        assert!(!failed["request_id"].as_str().unwrap().is_empty());
        assert_eq!(service.database.digest().await, before, "{change:?}");
    }
    // The requests succeed without the trigger, so its failure was the only cause.
    let speech = "DROP TRIGGER silence ON audit_events";
    service.database.execute(speech).await;
    for (number, change) in changes.iter().enumerate() {
        let done = send(number).await;
        assert!(
            (200..300).contains(&done.status),
            "{change:?}: {}",
            done.text
        );
        assert_ne!(done.header("idempotency-replayed"), "true", "{change:?}");
    }
}
