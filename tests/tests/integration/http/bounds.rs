//! These tests check limits under concurrent requests.

use domain::demo::ACME;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;
use tests::{Service, all};

#[tokio::test(flavor = "multi_thread")]
async fn of_keys_that_are_made_at_once_no_more_than_a_hundred_are() {
    let (one, two) = Service::two().await;
    let there = "SELECT count(*) FROM api_keys WHERE revoked_at IS NULL AND business_id = ";
    let there = format!("{there}'{ACME}'");
    // Inserts keys until five are left below the limit of 100.
    let many = format!(
        "INSERT INTO api_keys (business_id, id, name, role, prefix, key_hash, created_by)
         SELECT '{ACME}', gen_random_uuid(), 'filler', 'staff', 'tl', sha256(number::text::bytea), gen_random_uuid()
           FROM generate_series(1, 95 - ({there})) AS number"
    );
    one.database.execute(&many).await;
    assert_eq!(one.database.value(&there).await, "95");
    let replies = all((0..24).map(|number| {
        let service = if number % 2 == 0 { &one } else { &two };
        let admin = service.admin();
        async move {
            let key = json!({"name": format!("key {number}"), "role": "staff"});
            admin.post("/api/api-keys", &key).await.status
        }
    }))
    .await;
    let made = replies.iter().filter(|status| **status == 201).count();
    assert_eq!(made, 5, "{replies:?}");
    assert_eq!(one.database.value(&there).await, "100");
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_active_keys_uses_the_partial_index() {
    let service = Service::start().await;
    let revoked = format!(
        "INSERT INTO api_keys (business_id, id, name, role, prefix, key_hash, created_by, revoked_at)
         SELECT '{ACME}', gen_random_uuid(), 'old', 'staff', 'tl', sha256(number::text::bytea), gen_random_uuid(), now()
           FROM generate_series(1, 20000) AS number"
    );
    service.database.execute(&revoked).await;
    service.database.execute("ANALYZE api_keys").await;
    let sql = format!(
        "EXPLAIN SELECT * FROM api_keys WHERE business_id = '{ACME}' AND revoked_at IS NULL"
    );
    let postgres = service.database.connect("postgres").await;
    let explain = Statement::from_string(DbBackend::Postgres, sql);
    let rows = postgres.query_all_raw(explain).await.unwrap();
    let lines = rows
        .iter()
        .map(|row| row.try_get_by_index::<String>(0).unwrap());
    let plan = lines.collect::<Vec<_>>().join(" ");
    postgres.close().await.unwrap();
    assert!(plan.contains("api_keys_live_idx"), "{plan}");
}
