//! These tests check retries of transactions that lost a conflict, which their caller does not notice. A trigger makes
//! the database fail with the errors that it uses for such conflicts.

use domain::demo::{ACME_CUSTOMER, ACME_KEYBOARD};
use serde_json::json;
use tests::{Database, Service, books_balance, id_of};

/// SQLSTATEs of the transaction that loses: a serialization failure and a deadlock.
const LOST: [&str; 2] = ["40001", "40P01"];

/// Makes the first `times` inserts into a table fail with this SQLSTATE. A sequence counts them, because a rollback
/// does not reset it.
async fn lose(database: &Database, table: &str, sqlstate: &str, times: u32) {
    let sql = format!(
        "CREATE SEQUENCE tries;
         CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF nextval('tries') <= {times} THEN
                 RAISE EXCEPTION 'another was first' USING ERRCODE = '{sqlstate}';
             END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER lose BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION lose()"
    );
    database.execute(&sql).await;
}

async fn tries(service: &Service) -> String {
    let sql = "SELECT last_value FROM tries";
    service.database.value(sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_race_outside_the_desk_is_retried_and_done_once() {
    for sqlstate in LOST {
        let service = Service::start().await;
        lose(&service.database, "customers", sqlstate, 3).await;
        let new = json!({"name": "Patient", "credit_limit": "10.00"});
        let added = service.admin().post("/api/customers", &new).await;
        assert_eq!(added.status, 201, "{sqlstate}: {}", added.text);
        assert_eq!(tries(&service).await, "4", "{sqlstate}");
        let made = "SELECT count(*) FROM customers WHERE name = 'Patient'";
        assert_eq!(service.database.value(made).await, "1", "{sqlstate}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_the_desk_that_loses_is_tried_again_and_sold_once() {
    for sqlstate in LOST {
        let service = Service::start().await;
        // More failures than would split the batch: a split would need only two attempts.
        lose(&service.database, "orders", sqlstate, 3).await;
        let bought = service.staff().buy(&[(ACME_KEYBOARD, 1)]).await;
        assert_eq!(bought.status, 201, "{sqlstate}: {}", bought.text);
        assert_eq!(tries(&service).await, "4", "{sqlstate}");
        assert_eq!(service.orders().await, 1, "{sqlstate}");
        books_balance(&service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_lost_five_times_is_reported_and_changes_nothing() {
    for sqlstate in LOST {
        for (table, path, body) in [
            (
                "customers",
                "/api/customers",
                json!({"name": "Unlucky", "credit_limit": "10.00"}),
            ),
            (
                "orders",
                "/api/purchase",
                tests::purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 1)]),
            ),
        ] {
            let service = Service::start().await;
            lose(&service.database, table, sqlstate, 1000).await;
            let before = service.database.digest().await;
            let refused = service.admin().post(path, &body).await;
            let _ = refused.refused(503, "overloaded");
            assert_eq!(refused.header("retry-after"), "1", "{path}");
            assert_eq!(tries(&service).await, "5", "{sqlstate} {path}");
            assert_eq!(service.database.digest().await, before, "{sqlstate} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_number_another_process_has_used_gets_another() {
    let service = Service::start().await;
    let first = service.staff().buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    let id = id_of(&first);
    // The first two attempts make the id of an order that exists, as another process could.
    let sql = format!(
        "CREATE SEQUENCE tries;
         CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF nextval('tries') <= 2 THEN
                 NEW.id := '{id}';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER clash BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION clash()"
    );
    service.database.execute(&sql).await;
    let second = service.staff().buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    assert_eq!(tries(&service).await, "3");
    assert_ne!(second["number"], first["number"]);
    assert_eq!(service.orders().await, 2);
    books_balance(&service).await;
}
