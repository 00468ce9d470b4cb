//! The wall between businesses in keys, transactions and connections. Row security has a file of its own.

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tests::{Database, SERVICE, Service, settings};

use crate::operations::row_security::{
    BUSINESSES, NOTHING_SET, both_trading, number, owner_column, refusal, run, set, tables,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_every_table_starts_with_the_business() {
    let service = Service::start().await;
    let unique = "
        SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS of,
               (SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0]) AS first
          FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND c.relname NOT IN ('businesses', 'schema_compatibility', 'seaql_migrations')";
    let indexes = service.database.rows(unique).await;
    assert!(indexes.len() >= 13, "{indexes:?}");
    for index in &indexes {
        assert_eq!(index["first"], "business_id", "{index}");
    }
    let of: Vec<&Value> = indexes.iter().map(|index| &index["of"]).collect();
    for table in tables(&service.database).await {
        assert!(
            table == "businesses" || of.contains(&&json!(table)),
            "{table} has no key"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_foreign_key_starts_with_the_business_on_both_sides() {
    let service = Service::start().await;
    let foreign = "
        SELECT conname, confrelid::regclass::text AS to,
               (SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]) AS ours,
               (SELECT attname FROM pg_attribute WHERE attrelid = confrelid AND attnum = confkey[1]) AS theirs
          FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace";
    let keys = service.database.rows(foreign).await;
    assert!(keys.len() >= 10, "{keys:?}");
    for key in &keys {
        assert_eq!(key["ours"], "business_id", "{key}");
        let theirs = owner_column(key["to"].as_str().unwrap());
        assert_eq!(key["theirs"], theirs, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_cannot_point_at_another_business_even_for_the_superuser() {
    let service = both_trading().await;
    let postgres = service.database.connect("postgres").await;
    for sql in [
        format!("UPDATE orders SET customer_id = '{GLOBEX_CUSTOMER}' WHERE business_id = '{ACME}'"),
        format!("UPDATE order_items SET product_id = '{GLOBEX_DESK}' WHERE business_id = '{ACME}'"),
        format!(
            "UPDATE ledger_entries SET customer_id = '{GLOBEX_CUSTOMER}', number = number + 1000 WHERE customer_id = '{ACME_CUSTOMER}'"
        ),
        format!(
            "UPDATE users SET customer_id = '{GLOBEX_CUSTOMER}' WHERE business_id = '{ACME}' AND role = 'customer'"
        ),
        format!(
            "INSERT INTO inventory (business_id, product_id) VALUES ('{ACME}', '{GLOBEX_DESK}')"
        ),
    ] {
        let (code, message) = refusal(run(&postgres, NOTHING_SET, &sql).await);
        assert_eq!(code, "23503", "{sql}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_ends_with_its_transaction() {
    let service = Service::start().await;
    let pool = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    let backend = "SELECT pg_backend_pid()::bigint";
    let customers = "SELECT count(*) FROM customers";

    let transaction = pool.begin(ACME).await.unwrap();
    let first = number(&transaction, backend).await;
    assert_eq!(number(&transaction, customers).await, 7);
    // What the connection's next user would meet, whoever that is.
    for end in ["COMMIT", "ROLLBACK"] {
        transaction
            .execute_unprepared(&format!("{end}; BEGIN"))
            .await
            .unwrap();
        assert_eq!(number(&transaction, backend).await, first);
        assert_eq!(number(&transaction, customers).await, 0, "after {end}");
        transaction.execute_unprepared(&set(ACME)).await.unwrap();
        assert_eq!(number(&transaction, customers).await, 7);
    }
    drop(transaction);

    let transaction = pool.begin(GLOBEX).await.unwrap();
    assert_eq!(
        number(&transaction, backend).await,
        first,
        "the same connection"
    );
    assert_eq!(number(&transaction, customers).await, 1);
    drop(transaction);
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn businesses_that_share_one_connection_never_meet() {
    let mut settings = settings();
    settings.workers = Some(1);
    settings.connections = 1;
    settings.lanes = Some(1);
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    let service = Service::with(database, &url, &settings).await;
    let callers = BUSINESSES.map(|(business, customer, product)| {
        let client = service.caller(business, Authority::Admin);
        tokio::spawn(async move {
            for _ in 0..25 {
                let _ = client.buy_for(customer, &[(product, 1)]).await;
                let listed = client.get("/api/customers").await.ok(200);
                let others = BUSINESSES.iter().filter(|other| other.0 != business);
                for (_, other, _) in others {
                    assert!(!listed.to_string().contains(&other.to_string()), "{listed}");
                }
                let own = client
                    .get(&format!("/api/customers/{customer}"))
                    .await
                    .ok(200);
                assert_eq!(own["id"], json!(customer));
            }
        })
    });
    for caller in callers {
        caller.await.unwrap();
    }
}
