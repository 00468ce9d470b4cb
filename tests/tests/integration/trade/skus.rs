//! Numbers of products: two that differ in case, width or spelling alone are one.

use domain::demo::ACME;
use migration::{Migrator, MigratorTrait};
use serde_json::json;
use tests::{Database, OWNER, Service};

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_taken_in_every_case_width_and_spelling() {
    let service = Service::start().await;
    let admin = service.admin();
    let product = |sku: &str| json!({"sku": sku, "name": "x", "price": "1.00"});
    let made = admin
        .post("/api/products", &product("Stra\u{df}e-\u{e9}1"))
        .await;
    let id = made.ok(201)["id"].as_str().unwrap().to_owned();
    let other = admin.post("/api/products", &product("other")).await.ok(201);
    let other = format!("/api/products/{}", other["id"].as_str().unwrap());
    let twins = [
        "Stra\u{df}e-\u{e9}1",
        "stra\u{df}e-\u{e9}1",
        "STRASSE-\u{c9}1",
        "strasse-e\u{301}1",
        " Stra\u{df}e-\u{e9}1 ",
        "\u{ff33}\u{ff54}ra\u{df}e\u{ff0d}\u{e9}\u{ff11}",
    ];
    for twin in twins {
        let refused = admin.post("/api/products", &product(twin)).await;
        assert_eq!(
            refused.refused(409, "already_exists")["field"],
            "sku",
            "{twin}"
        );
        let refused = admin.patch(&other, &json!({"sku": twin})).await;
        assert_eq!(
            refused.refused(409, "already_exists")["field"],
            "sku",
            "{twin}"
        );
        let query = url_encoded(twin);
        let found = admin
            .get(&format!("/api/products?sku={query}"))
            .await
            .ok(200);
        assert_eq!(found["data"][0]["id"], id.as_str(), "{twin}");
    }
    // Its own number in another case is no clash.
    let renamed = json!({"sku": "STRASSE-\u{c9}1"});
    let renamed = admin
        .patch(&format!("/api/products/{id}"), &renamed)
        .await
        .ok(200);
    assert_eq!(renamed["sku"], "STRASSE-\u{c9}1");
    admin
        .post("/api/products", &product("Strasse-e1"))
        .await
        .ok(201);
    // Another business has numbers of its own.
    let elsewhere = service
        .stranger()
        .post("/api/products", &product(twins[0]))
        .await;
    elsewhere.ok(201);
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_clashed_before_the_rule_stay_until_they_are_changed() {
    let database = Database::with_demo().await;
    let owner = database.connect(OWNER).await;
    let steps = migration::names();
    let place = steps.iter().position(|step| step == "20_skus").unwrap();
    let later = u32::try_from(steps.len() - place).unwrap();
    Migrator::down(&owner, Some(later)).await.unwrap();
    let sql = format!(
        "INSERT INTO products (business_id, id, sku, name, price, created_at)
         SELECT '{ACME}', gen_random_uuid(), sku, sku, 1, now() - number * interval '1 minute'
           FROM unnest(ARRAY['old-1', 'OLD-1', ' Old-1', 'alone']) WITH ORDINALITY AS old (sku, number);
         INSERT INTO inventory (business_id, product_id)
         SELECT business_id, id FROM products WHERE sku = name;
         UPDATE users SET email = E'rene\\u0301@example.com' WHERE email = 'customer@example.com'"
    );
    database.execute(&sql).await;
    Migrator::up(&owner, None).await.unwrap();
    let service = Service::on(database).await;
    let admin = service.admin();
    let sql = "SELECT sku FROM products WHERE name = sku ORDER BY clashing_sku NULLS FIRST, sku";
    let kept = service.database.column(sql).await;
    assert_eq!(kept, ["\" Old-1\"", "alone", "OLD-1", "old-1"]);
    // What is not changed can be written as it is.
    let path = async |sku: &str| {
        let sql = format!("SELECT id FROM products WHERE sku = '{sku}'");
        format!("/api/products/{}", service.database.value(&sql).await)
    };
    let clashing = path("OLD-1").await;
    let same = json!({"sku": "OLD-1", "name": "Old"});
    admin.patch(&clashing, &same).await.ok(200);
    // From the first change on, it is under the rule.
    admin
        .patch(&clashing, &json!({"sku": "new-1"}))
        .await
        .ok(200);
    let back = admin.patch(&clashing, &json!({"sku": "oLD-1"})).await;
    back.refused(409, "already_exists");
    let new = json!({"sku": "NEW-1", "name": "x", "price": "1.00"});
    admin
        .post("/api/products", &new)
        .await
        .refused(409, "already_exists");
    let body =
        json!({"business": "acme", "email": "Ren\u{e9}@example.com", "password": "customer123"});
    service
        .nobody()
        .post("/api/auth/login", &body)
        .await
        .ok(200);
}
