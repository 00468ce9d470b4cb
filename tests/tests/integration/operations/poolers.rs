//! These tests check the service behind a connection pooler, which reports a lost server connection in its own words.
//! Each purchase and each write still happens once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::Error;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tests::{
    Client, Database, PgBouncer, Pooling, Proxy, Reply, SERVICE, Sabotage, Saying, Service, all,
    books_balance, until,
};
use tradeline::service::Error as StartError;

const CRASHED: Saying = Saying {
    severity: "FATAL",
    code: "08P01",
    message: "server conn crashed?",
};

/// Errors as worded by poolers, managed databases and servers that shut down. The last is unknown to the service.
const WORDS: [Saying; 6] = [
    CRASHED,
    Saying {
        severity: "FATAL",
        code: "57P01",
        message: "terminating connection due to administrator command",
    },
    Saying {
        severity: "ERROR",
        code: "08006",
        message: "odyssey: c1: remote server read/write error s1",
    },
    Saying {
        severity: "ERROR",
        code: "58000",
        message: "error receiving data from server",
    },
    Saying {
        severity: "FATAL",
        code: "XX000",
        message: "(EDBHANDLEREXITED) connection to database closed",
    },
    Saying {
        severity: "ERROR",
        code: "99999",
        message: "something else",
    },
];

async fn behind_proxy() -> (Service, Proxy) {
    let database = Database::with_demo().await;
    let proxy = Proxy::to(&database).await;
    let service = Service::at(database, proxy.url()).await;
    (service, proxy)
}

/// Starts a service behind PgBouncer, with a proxy between PgBouncer and the database.
async fn behind_pgbouncer() -> (Service, Proxy, PgBouncer) {
    let database = Database::with_demo().await;
    let proxy = Proxy::to(&database).await;
    let pooler = PgBouncer::to(&proxy, Pooling::BestThereIs).await;
    let service = Service::at(database, pooler.url()).await;
    (service, proxy, pooler)
}

/// Sends twelve concurrent purchases.
async fn twelve_purchases(staff: &Client) -> Vec<Reply> {
    let buy = || {
        let staff = staff.clone();
        async move { staff.buy(&[(ACME_KEYBOARD, 1)]).await }
    };
    all((0..12).map(|_| buy())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_sold_once_in_whatever_words_its_lost_commit_is_reported() {
    for saying in WORDS {
        for how in [
            Sabotage::LoseAnswerAndSay(saying),
            Sabotage::LoseCommitAndSay(saying),
        ] {
            let (service, proxy) = behind_proxy().await;
            let staff = service.staff();
            proxy.sabotage(how, 2);
            for reply in twelve_purchases(&staff).await {
                reply.ok(201);
            }
            assert_eq!(proxy.sabotaged(), 2, "{how:?}");
            assert_eq!(service.orders().await, 12, "{how:?}");
            books_balance(&service).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_a_commit_whose_answer_is_lost_sells_once() {
    for how in [Sabotage::LoseAnswer, Sabotage::LoseCommit] {
        let (service, proxy, _pooler) = behind_pgbouncer().await;
        proxy.sabotage(how, 1);
        for reply in twelve_purchases(&service.staff()).await {
            reply.ok(201);
        }
        assert_eq!(proxy.sabotaged(), 1, "{how:?}");
        assert_eq!(service.orders().await, 12, "{how:?}");
        books_balance(&service).await;
    }
}

/// Writes outside the desk, each with a query that counts its result.
fn writes() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "/api/customers",
            json!({"name": "New"}),
            "SELECT count(*) FROM customers WHERE name = 'New'",
        ),
        (
            "/api/products",
            json!({"sku": "NEW", "name": "New", "price": "1.00", "stock": 1}),
            "SELECT count(*) FROM products WHERE sku = 'NEW'",
        ),
        (
            "/api/payments",
            json!({"customer_id": ACME_CUSTOMER, "amount": "1.00", "method": "cash", "on_account": true,
                   "reference": "new"}),
            "SELECT count(*) FROM payments WHERE reference = 'new'",
        ),
        (
            "/api/inventory/movements",
            json!({"lines": [{"product_id": ACME_KEYBOARD, "quantity": 7, "reason": "received", "note": "new"}]}),
            "SELECT count(*) FROM stock_movements WHERE note = 'new'",
        ),
        (
            "/api/api-keys",
            json!({"name": "new", "role": "staff"}),
            "SELECT count(*) FROM api_keys WHERE name = 'new'",
        ),
    ]
}

/// Sends each write while its commit is sabotaged. The outcome is unknown, and a retry with the key finds it.
async fn outside_the_desk(service: &Service, proxy: &Proxy, how: Sabotage, made_once: &str) {
    let admin = service.admin();
    for (path, body, made) in writes() {
        proxy.between_commits().await;
        proxy.sabotage(how, 1);
        let before = proxy.sabotaged();
        let unknown = admin.post_once(path, path, &body).await;
        unknown.refused(500, "outcome_unknown");
        assert_eq!(proxy.sabotaged(), before + 1);
        assert_eq!(service.database.value(made).await, made_once, "{path}");
        admin.post_once(path, path, &body).await.ok(201);
        assert_eq!(service.database.value(made).await, "1", "{path}");
    }
    books_balance(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_the_desk_a_lost_commit_is_an_unknown_outcome_and_never_made_twice() {
    for saying in WORDS {
        let (service, proxy) = behind_proxy().await;
        let how = Sabotage::LoseAnswerAndSay(saying);
        outside_the_desk(&service, &proxy, how, "1").await;
    }
    let (service, proxy) = behind_proxy().await;
    let how = Sabotage::LoseCommitAndSay(CRASHED);
    outside_the_desk(&service, &proxy, how, "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_a_write_outside_the_desk_is_made_once() {
    let (service, proxy, _pooler) = behind_pgbouncer().await;
    outside_the_desk(&service, &proxy, Sabotage::LoseAnswer, "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_by_card_is_placed_once_when_the_answer_to_its_commit_is_lost() {
    let (service, proxy) = behind_proxy().await;
    let staff = service.staff();
    proxy.sabotage(Sabotage::LoseAnswerAndSay(CRASHED), 1);
    let body = json!({"customer_id": ACME_CUSTOMER, "items": [{"product_id": ACME_KEYBOARD, "quantity": 1}]});
    staff.post("/api/orders/checkout", &body).await.ok(201);
    assert_eq!(proxy.sabotaged(), 1);
    assert_eq!(service.orders().await, 1);
    proxy.sabotage(Sabotage::LoseAnswerAndSay(CRASHED), 1);
    staff.post("/api/reservations", &body).await.ok(201);
    let held = "SELECT count(*) FROM reservations WHERE status = 'active'";
    assert_eq!(service.database.value(held).await, "1");
    assert_eq!(proxy.sabotaged(), 2);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_transaction_number_does_not_confirm_a_commit() {
    let (service, proxy) = behind_proxy().await;
    let staff = service.staff();
    // Simulates a failover to a server that did not receive the commit and has given its transaction number to another
    // transaction.
    let database = &service.database;
    let forge = "CREATE FUNCTION forge() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN NEW.id := gen_random_uuid(); RETURN NEW; END $$;
                 CREATE TRIGGER forge BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION forge()";
    database.execute(forge).await;
    proxy.sabotage(Sabotage::LoseAnswerAndSay(CRASHED), 1);
    staff.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    assert_eq!(proxy.sabotaged(), 1);
    // The audit entry is not found, although one with its transaction number exists, so the purchase is executed again.
    assert_eq!(service.orders().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_pgbouncer_loses_at_rest_and_at_work_cost_no_500_and_no_cent() {
    const ALL: usize = 200;
    let (service, proxy, _pooler) = behind_pgbouncer().await;
    let buyer = service.admin().add_customer("Buyer", "100000.00").await;
    let done = Arc::new(AtomicUsize::new(0));
    let work = all((0..ALL).map(|number| {
        let (staff, done) = (service.staff(), Arc::clone(&done));
        async move {
            let reply = match number % 4 {
                0 => staff.get("/api/orders?limit=5").await,
                _ => {
                    let items = [(ACME_KEYBOARD, 1), (ACME_HEADPHONES, 1)];
                    staff.buy_for(buyer, &items).await
                }
            };
            done.fetch_add(1, Ordering::Relaxed);
            (number, reply)
        }
    }));
    let cutting = async {
        while done.load(Ordering::Relaxed) < ALL {
            proxy.cut();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let (replies, ()) = tokio::join!(work, cutting);
    let mut sold = 0;
    for (number, reply) in replies {
        let bought = number % 4 != 0;
        match reply.status {
            201 => sold += 1,
            200 => {}
            503 => {}
            409 if bought => {
                reply.refused(409, "insufficient_stock");
            }
            _ => panic!("{}: {}", reply.status, reply.text),
        }
    }
    assert_eq!(service.orders().await, sold);
    books_balance(&service).await;
    // All connections were idle, and each is dead now.
    for _ in 0..3 {
        proxy.cut();
        service.staff().get("/api/orders").await.ok(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_starts_behind_pgbouncer_as_it_is_installed() {
    // PgBouncer's default configuration sets no `ignore_startup_parameters`.
    let (service, _proxy, pooler) = behind_pgbouncer().await;
    let staff = service.staff();
    staff.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    staff.get("/readyz").await.ok(200);
    assert!(
        !pooler.log().contains("unsupported startup parameter"),
        "{}",
        pooler.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_without_prepared_statements_the_service_says_so_and_does_not_start() {
    let database = Database::with_demo().await;
    let proxy = Proxy::to(&database).await;
    let pooler = PgBouncer::to(&proxy, Pooling::WithoutStatements).await;
    // On the second attempt, the pooler's server connections still have prepared statements of the first.
    for _ in 0..2 {
        let refusal = Service::refusal(pooler.url()).await;
        assert!(matches!(refusal, StartError::Pooler), "{refusal}");
        assert!(
            refusal.to_string().contains("max_prepared_statements"),
            "{refusal}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_a_failed_statement_is_not_reported_as_committed() {
    let database = Database::with_demo().await;
    let domain = domain::Database::new(&database.url(SERVICE), 1).unwrap();
    let transaction = domain.begin(ACME).await.unwrap();
    let renamed = format!("UPDATE customers SET name = 'Renamed' WHERE id = '{ACME_CUSTOMER}'");
    transaction.execute_unprepared(&renamed).await.unwrap();
    let failed = transaction.execute_unprepared("SELECT 1 / 0").await;
    assert!(failed.is_err());
    let committed = transaction.commit().await;
    assert!(matches!(committed, Err(Error::Bug(_))), "{committed:?}");
    let name = "SELECT count(*) FROM customers WHERE name = 'Renamed'";
    assert_eq!(database.value(name).await, "0");
    // The connection stays usable for other transactions.
    let transaction = domain.begin(ACME).await.unwrap();
    transaction.execute_unprepared(&renamed).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(database.value(name).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_a_deferred_constraint_refuses_is_known_to_be_rolled_back() {
    let service = Service::start().await;
    let refuse = "CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$
                  BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'; END $$;
                  CREATE CONSTRAINT TRIGGER refuses AFTER INSERT ON customers DEFERRABLE INITIALLY DEFERRED
                      FOR EACH ROW EXECUTE FUNCTION refuses()";
    service.database.execute(refuse).await;
    let admin = service.admin();
    let refused = admin.post("/api/customers", &json!({"name": "New"})).await;
    refused.refused(500, "internal_error");
    until("no customer was created", async || {
        let made = "SELECT count(*) FROM customers WHERE name = 'New'";
        service.database.value(made).await == "0"
    })
    .await;
}
