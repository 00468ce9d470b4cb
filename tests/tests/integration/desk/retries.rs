//! A transaction that lost against another is tried again, and its caller hears nothing of it. Which failures those are is
//! told to the service by a database that fails with them.

use domain::demo::{ACME_CUSTOMER, ACME_KEYBOARD};
use serde_json::json;
use tests::{Database, Service, books_balance};

/// What PostgreSQL says to whoever lost: a serialization failure, and a deadlock.
const LOST: [&str; 2] = ["40001", "40P01"];

/// Has the first so many inserts into a table fail like this. They are counted by a sequence, which no rollback sets back.
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
async fn whatever_loses_outside_the_desk_is_tried_again_and_done_once() {
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
        // More often than a batch is taken apart: that would be two tries.
        lose(&service.database, "orders", sqlstate, 3).await;
        let bought = service.staff().buy(&[(ACME_KEYBOARD, 1)]).await;
        assert_eq!(bought.status, 201, "{sqlstate}: {}", bought.text);
        assert_eq!(tries(&service).await, "4", "{sqlstate}");
        assert_eq!(service.orders().await, 1, "{sqlstate}");
        books_balance(&service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_loses_every_time_hears_so_after_five_tries_and_nothing_has_changed() {
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
