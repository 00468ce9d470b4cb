//! These tests check API keys: the text is shown once and stored as a hash, and a revocation takes effect within a
//! second.

use std::time::{Duration, Instant};

use domain::demo::{ACME, ACME_HEADPHONES};
use rand::RngExt;
use serde_json::{Value, json};
use tests::{Client, Service, all, until};

async fn make(service: &Service, role: &str) -> Value {
    let body = json!({"name": "Webshop", "role": role});
    service.admin().post("/api/api-keys", &body).await.ok(201)
}

fn holder(service: &Service, made: &Value) -> Client {
    service.bearer(made["key"].as_str().unwrap())
}

fn path(made: &Value) -> String {
    format!("/api/api-keys/{}", made["id"].as_str().unwrap())
}

async fn delete(client: &Client, path: &str) -> tests::Reply {
    client
        .send(client.request(reqwest::Method::DELETE, path))
        .await
}

/// Adds this many keys to Acme's.
async fn fill_with_keys(service: &Service, count: u32) {
    let sql = format!(
        "INSERT INTO api_keys (business_id, id, name, role, prefix, key_hash, created_by)
         SELECT '{ACME}', gen_random_uuid(), 'n', 'staff', 'p', sha256(n::text::bytea), gen_random_uuid()
           FROM generate_series(1, {count}) AS n"
    );
    service.database.execute(&sql).await;
}

/// A random text in the format of a key, for Acme or for an unknown business.
fn random_key(of_acme: bool) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text: String = (0..65)
        .map(|_| char::from(LETTERS[rand::rng().random_range(0..64)]))
        .collect();
    // The last character of each part encodes padding bits, which must be zero.
    text.replace_range(21..22, "A");
    text.replace_range(64..65, "A");
    if of_acme {
        text.replace_range(..22, "VQ6EAOKbQdSnFkRmVUQAmQ");
    }
    format!("tl_live_{text}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_and_works_as_its_role() {
    let service = Service::start().await;
    let body = json!({"name": "Webshop", "role": "staff"});
    let reply = service.admin().post("/api/api-keys", &body).await;
    let made = reply.ok(201);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("location"), path(&made));
    let key = made["key"].as_str().unwrap();
    let prefix = made["prefix"].as_str().unwrap();
    assert!(
        key.starts_with("tl_live_") && key.starts_with(prefix),
        "{key} {prefix}"
    );
    assert!(key.len() - prefix.len() >= 35, "most of it is not seen");

    let client = holder(&service, &made);
    let me = client.get("/api/auth/me").await.ok(200);
    assert_eq!(
        (&me["role"], &me["user_id"]),
        (&json!("staff"), &made["id"])
    );
    assert_eq!(me["business"]["id"], json!(ACME));
    let receipt = client.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    let sql = format!(
        "SELECT actor_id FROM audit_events WHERE entity_id = '{}'",
        receipt["order_id"].as_str().unwrap()
    );
    assert_eq!(
        service.database.value(&sql).await,
        made["id"].as_str().unwrap()
    );
    let _ = client
        .post("/api/api-keys", &body)
        .await
        .refused(403, "forbidden");
    let _ = client.get("/api/users").await.refused(403, "forbidden");
    let admin = holder(&service, &make(&service, "admin").await);
    assert_eq!(admin.get("/api/users").await.status, 200);
    let body = json!({"name": "For a customer", "role": "customer"});
    let body = service
        .admin()
        .post("/api/api-keys", &body)
        .await
        .refused(422, "validation_failed");
    assert_eq!(body["errors"][0]["pointer"], "/role");

    let listed = service.admin().get("/api/api-keys").await;
    assert!(
        !listed.text.contains(&key[prefix.len()..]),
        "{}",
        listed.text
    );
    let random = &key[key.len() - 43..];
    for table in service.database.tables().await {
        let sql =
            format!("SELECT count(*) FROM {table} AS t WHERE position('{random}' IN t::text) > 0");
        assert_eq!(service.database.value(&sql).await, "0", "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_makes_no_second_key_and_does_not_show_the_first_again() {
    let service = Service::start().await;
    let admin = service.admin();
    let body = json!({"name": "Webshop", "role": "staff"});
    let first = admin.post_once("k", "/api/api-keys", &body).await;
    let again = admin.post_once("k", "/api/api-keys", &body).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let (mut first, again) = (first.ok(201), again.ok(201));
    assert!(first["key"].is_string());
    first["key"] = Value::Null;
    assert_eq!(first, again);
    let made = "SELECT count(*) FROM api_keys WHERE prefix <> 'tl_live_'";
    assert_eq!(service.database.value(made).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_stops_at_once_and_within_a_second_in_another_process() {
    let (one, two) = Service::two().await;
    let made = make(&one, "staff").await;
    let client = holder(&one, &made);
    // A new key is valid in every process at once, also if that process has just cached other keys.
    let elsewhere = client.at(&two);
    assert_eq!(elsewhere.get("/api/orders").await.status, 200);
    let second = make(&one, "staff").await;
    assert_eq!(holder(&two, &second).get("/api/orders").await.status, 200);
    assert_eq!(client.get("/api/orders").await.status, 200);

    let revoked = delete(&one.admin(), &path(&made)).await;
    let since = Instant::now();
    assert_eq!((revoked.status, revoked.text.as_str()), (204, ""));
    let _ = client
        .get("/api/orders")
        .await
        .refused(401, "unauthenticated");
    while since.elapsed() < Duration::from_millis(1000) {
        let status = elsewhere.get("/api/orders").await.status;
        assert!([200, 401].contains(&status), "{status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = elsewhere
        .get("/api/orders")
        .await
        .refused(401, "unauthenticated");
    assert_eq!(holder(&one, &second).get("/api/orders").await.status, 200);

    assert_eq!(
        delete(&two.admin(), &path(&made)).await.status,
        204,
        "again"
    );
    let revocations = format!(
        "SELECT count(*) FROM audit_events WHERE entity_id = {} AND action = 'api_key.revoked'",
        made["id"]
    );
    assert_eq!(
        one.database.value(&revocations.replace('"', "'")).await,
        "1"
    );
    let listed = one.admin().pages("/api/api-keys", 1).await;
    let listed = listed.iter().find(|key| key["id"] == made["id"]).unwrap();
    assert!(listed["revoked_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_invalid_key_gets_the_same_response() {
    let service = Service::start().await;
    let made = make(&service, "staff").await;
    let good = made["key"].as_str().unwrap();
    let mut answers = Vec::new();
    for bad in [
        "tl_live_".to_owned(),
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        good.replace("tl_live_", "TL_LIVE_"),
        // Acme's key with the business id of Globex.
        good.replace(&good[8..30], "EREREREREREREREREREREQ"),
        random_key(true),
        random_key(false),
    ] {
        let reply = service.bearer(&bad).get("/api/orders").await;
        let _ = reply.refused(401, "unauthenticated");
        answers.push(reply.text.replace(reply.header("x-request-id"), ""));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(holder(&service, &made).get("/api/orders").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_keys_cost_the_database_next_to_nothing_and_leave_good_ones_alone() {
    let service = Service::start().await;
    let client = holder(&service, &make(&service, "staff").await);
    assert_eq!(client.get("/api/auth/me").await.status, 200);
    let transactions = async || -> i64 {
        service.database.kill_sessions().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let sql = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";
        service.database.value(sql).await.parse().unwrap()
    };
    let before = transactions().await;
    let started = Instant::now();
    let floods = (0..32).map(|_| {
        let clients: Vec<Client> = (0..60).map(|_| service.bearer(&random_key(true))).collect();
        async move {
            for client in clients {
                let reply = client.get("/api/orders").await;
                assert_eq!(reply.status, 401, "{}", reply.text);
            }
        }
    });
    let flood = tokio::spawn(all(floods.collect::<Vec<_>>()));
    while !flood.is_finished() {
        let asked = Instant::now();
        assert_eq!(client.get("/api/auth/me").await.status, 200);
        // The request would take minutes if it queued behind the lookups of random keys.
        assert!(asked.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    flood.await.unwrap();
    let rounds = i64::try_from(started.elapsed().as_millis() / 100).unwrap();
    let cost = transactions().await - before;
    // 1,920 keys were tried. The bound covers ten lookups a second, some by the valid client, and the test's own
    // queries.
    assert!(
        cost < 2 * rounds + 25,
        "{cost} transactions in {rounds} tenths of a second"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn random_keys_of_unknown_businesses_leave_the_others_in_peace() {
    let service = Service::start().await;
    let client = holder(&service, &make(&service, "staff").await);
    let floods = (0..32).map(|_| {
        let clients: Vec<Client> = (0..10)
            .map(|_| service.bearer(&random_key(false)))
            .collect();
        async move {
            for client in clients {
                let status = client.get("/api/orders").await.status;
                assert!([401, 503].contains(&status), "{status}");
            }
        }
    });
    let flood = tokio::spawn(all(floods.collect::<Vec<_>>()));
    while !flood.is_finished() {
        assert_eq!(client.get("/api/auth/me").await.status, 200);
    }
    flood.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn use_is_written_down_once_a_minute_over_all_processes() {
    let (one, two) = Service::two().await;
    let made = make(&one, "staff").await;
    let id = made["id"].as_str().unwrap();
    let used = format!("SELECT last_used_at IS NOT NULL FROM api_keys WHERE id = '{id}'");
    assert_eq!(one.database.value(&used).await, "f");
    for _ in 0..20 {
        assert_eq!(holder(&one, &made).get("/api/orders").await.status, 200);
        assert_eq!(holder(&two, &made).get("/api/orders").await.status, 200);
    }
    until("it is written", async || {
        one.database.value(&used).await == "t"
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let entries = format!(
        "SELECT count(*) FROM audit_events WHERE entity_id = '{id}' AND action = 'api_key.used'"
    );
    assert_eq!(one.database.value(&entries).await, "1");
    // A third process uses the key more than a minute later.
    let sql = format!(
        "UPDATE api_keys SET last_used_at = now() - interval '61 seconds' WHERE id = '{id}'"
    );
    one.database.execute(&sql).await;
    let three = Service::on(one.database.clone()).await;
    assert_eq!(holder(&three, &made).get("/api/orders").await.status, 200);
    until("the second use is written", async || {
        one.database.value(&entries).await == "2"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_has_at_most_100_keys_that_are_good() {
    let service = Service::start().await;
    fill_with_keys(&service, 98).await;
    let last = make(&service, "staff").await;
    let body = json!({"name": "One more", "role": "staff"});
    let _ = service
        .admin()
        .post("/api/api-keys", &body)
        .await
        .refused(409, "api_key_limit_reached");
    assert_eq!(delete(&service.admin(), &path(&last)).await.status, 204);
    let _ = make(&service, "staff").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_retry_of_the_hundredth_key_gets_the_original_response() {
    let service = Service::start().await;
    fill_with_keys(&service, 98).await;
    let business = format!("SELECT FROM businesses WHERE id = '{ACME}' FOR NO KEY UPDATE");
    let held = service.database.hold(&business).await;
    let admin = service.admin();
    let requests = [admin.clone(), admin.clone()].map(|admin| async move {
        let body = json!({"name": "The hundredth", "role": "staff"});
        admin.post_once("hundredth", "/api/api-keys", &body).await
    });
    let replies = tokio::spawn(all(requests));
    until("both requests wait for the business", async || {
        service.database.blocked().await == 2
    })
    .await;
    held.release().await;
    let replies = replies.await.unwrap();
    let ids: Vec<Value> = replies
        .iter()
        .map(|reply| reply.ok(201)["id"].clone())
        .collect();
    assert_eq!(ids[0], ids[1]);
    let body = json!({"name": "One more", "role": "staff"});
    let _ = admin
        .post("/api/api-keys", &body)
        .await
        .refused(409, "api_key_limit_reached");
}
