//! These tests let the database, the network and clients fail. A purchase is executed once or not at all, and the
//! caller learns which.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX_CUSTOMER, GLOBEX_DESK};
use domain::desk::MAX_QUEUED_PER_BUSINESS;
use entity::{CustomerId, ProductId};
use serde_json::json;
use tests::program::{Folder, Program, command};
use tests::{
    Client, Database, Held, PgBouncer, Proxy, Reply, SECRET, SERVICE, Sabotage, Service, all,
    books_balance, purchase, until,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Time limit within which a caller learns that the database is unavailable.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);

/// Waits until `/readyz` queries the database again, because its result is cached for one second.
async fn readiness_is_forgotten() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_the_service_refuses_lives_on_and_recovers() {
    let (service, proxy) = behind_proxy().await;
    let staff = service.staff();
    staff.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    staff.get("/readyz").await.ok(200);
    for round in 1..=2 {
        proxy.down().await;
        readiness_is_forgotten().await;
        let started = Instant::now();
        let (bought, order, products, ready, alive) = tokio::join!(
            staff.buy(&[(ACME_KEYBOARD, 1)]),
            staff.get("/api/orders"),
            staff.get("/api/products"),
            staff.get("/readyz"),
            staff.get("/healthz"),
        );
        assert!(
            started.elapsed() < REFUSED_WITHIN,
            "{:?}",
            started.elapsed()
        );
        for refused in [bought, order, products, ready] {
            refused.refused(503, "database_unavailable");
            assert_eq!(refused.header("retry-after"), "1");
        }
        alive.ok(200);
        proxy.up();
        service.pooler_has_recovered().await;
        readiness_is_forgotten().await;
        staff.get("/readyz").await.ok(200);
        staff.get("/api/orders").await.ok(200);
        staff.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
        assert_eq!(service.orders().await, 1 + round);
    }
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_neither_lost_nor_doubled() {
    let (service, proxy) = behind_proxy().await;
    let staff = service.staff();
    proxy.sabotage(Sabotage::LoseAnswer, 1);
    let receipt = staff.buy(&[(ACME_KEYBOARD, 1)]).await;
    let body = receipt.ok(201);
    assert_eq!(proxy.sabotaged(), 1);
    assert_eq!(service.orders().await, 1);
    let order = staff.get(receipt.header("location")).await.ok(200);
    assert_eq!(order["order_id"], body["order_id"]);
    assert_eq!(order["total_amount"], body["total_amount"]);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_arrived_is_tried_again_and_sold_once() {
    let (service, proxy) = behind_proxy().await;
    proxy.sabotage(Sabotage::LoseCommit, 4);
    let staff = service.staff();
    staff.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    assert_eq!(proxy.sabotaged(), 4);
    assert_eq!(service.orders().await, 1);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_batches_survive_commits_that_go_wrong() {
    for how in [Sabotage::LoseAnswer, Sabotage::LoseCommit] {
        let (service, proxy) = behind_proxy().await;
        let admin = service.admin();
        let scarce = admin.add_product("SCARCE", "1.00", 100).await;
        let buyer = admin.add_customer("Buyer", "1000.00").await;
        proxy.sabotage(how, 3);
        let staff = service.staff();
        // Every second request has an idempotency key.
        let call = |number: usize| {
            let staff = staff.clone();
            async move {
                let body = purchase(buyer, &[(scarce, 1)]);
                if number.is_multiple_of(2) {
                    staff.post("/api/purchase", &body).await
                } else {
                    let key = format!("k-{number}");
                    staff.post_once(&key, "/api/purchase", &body).await
                }
            }
        };
        let replies = all((0..150).map(call)).await;
        assert_eq!(proxy.sabotaged(), 3, "{how:?}");
        let sold = replies.iter().filter(|reply| reply.status == 201).count();
        assert_eq!(sold, 100, "{how:?}");
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            reply.refused(409, "insufficient_stock");
        }
        assert_eq!(service.orders().await, 100, "{how:?}");
        // The responses, the stored responses and the orders in the database agree.
        let sold = replies.iter().enumerate();
        for (number, reply) in sold.filter(|(_, reply)| reply.status == 201) {
            assert_eq!(reply.header("idempotency-replayed"), "", "{how:?}");
            staff.get(reply.header("location")).await.ok(200);
            if number % 2 == 1 {
                assert_eq!(call(number).await.text, reply.text, "{how:?}");
            }
        }
        books_balance(&service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_lost_after_a_commit_makes_the_outcome_unknown() {
    let (service, proxy) = behind_proxy().await;
    let staff = service.staff();
    proxy.sabotage(Sabotage::LoseAnswerAndGoDown, 1);
    let started = Instant::now();
    let unknown = staff.buy_once("k", &[(ACME_KEYBOARD, 1)]).await;
    unknown.refused(500, "outcome_unknown");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(proxy.sabotaged(), 1);
    proxy.up();
    service.pooler_has_recovered().await;
    // As the problem suggests, a retry with the key reveals the outcome.
    let again = staff.buy_once("k", &[(ACME_KEYBOARD, 1)]).await;
    again.ok(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(service.orders().await, 1);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_lookup_after_an_unconfirmed_commit_is_outcome_unknown() {
    let (service, proxy) = behind_proxy().await;
    let staff = service.staff();
    proxy.sabotage(Sabotage::LoseAnswerAndGoDown, 1);
    let buying = tokio::spawn({
        let staff = staff.clone();
        async move { staff.buy_once("k", &[(ACME_KEYBOARD, 1)]).await }
    });
    until("the response is lost", async || proxy.sabotaged() == 1).await;
    // The database is reachable again but rejects the query with which the service would look up the commit.
    let revoke = format!("REVOKE SELECT ON orders, customers FROM {SERVICE}");
    service.database.execute(&revoke).await;
    proxy.up();
    let unknown = buying.await.unwrap();
    unknown.refused(500, "outcome_unknown");
    let grant = format!("GRANT SELECT ON orders, customers TO {SERVICE}");
    service.database.execute(&grant).await;
    let again = staff.buy_once("k", &[(ACME_KEYBOARD, 1)]).await;
    again.ok(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(service.orders().await, 1);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_turns_the_service_away_is_unavailable() {
    let service = Service::start().await;
    let staff = service.staff();
    let name = service.database.name();
    let revoke = format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC");
    service.database.execute(&revoke).await;
    service.database.kill_sessions().await;
    for _ in 0..2 {
        let refused = staff.buy(&[(ACME_KEYBOARD, 1)]).await;
        refused.refused(503, "database_unavailable");
        let refused = staff.get("/api/orders").await;
        refused.refused(503, "database_unavailable");
        let refused = staff.get("/readyz").await;
        refused.refused(503, "database_unavailable");
    }
    let grant = format!("GRANT CONNECT ON DATABASE {name} TO PUBLIC");
    service.database.execute(&grant).await;
    service.pooler_has_recovered().await;
    staff.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    readiness_is_forgotten().await;
    staff.get("/readyz").await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_the_desk_the_key_returns_the_outcome_of_a_lost_response() {
    let (service, proxy) = behind_proxy().await;
    let admin = service.admin();
    for (number, how) in [Sabotage::LoseAnswer, Sabotage::LoseCommit]
        .into_iter()
        .enumerate()
    {
        let new = json!({"name": format!("New {number}")});
        let key = format!("k-{number}");
        proxy.between_commits().await;
        proxy.sabotage(how, 1);
        let unknown = admin.post_once(&key, "/api/customers", &new).await;
        unknown.refused(500, "outcome_unknown");
        let again = admin.post_once(&key, "/api/customers", &new).await;
        again.ok(201);
        let replayed = again.header("idempotency-replayed") == "true";
        assert_eq!(replayed, how == Sabotage::LoseAnswer);
        let made = format!("SELECT count(*) FROM customers WHERE name = 'New {number}'");
        assert_eq!(service.database.value(&made).await, "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_connection_breaks_at_its_end_is_answered_all_the_same() {
    let (service, proxy) = behind_proxy().await;
    let staff = service.staff();
    let location = staff
        .buy(&[(ACME_KEYBOARD, 1)])
        .await
        .header("location")
        .to_owned();
    for how in [Sabotage::LoseAnswer, Sabotage::LoseCommit] {
        for path in [
            location.as_str(),
            "/api/orders",
            "/api/products",
            "/api/customers",
            "/api/customers/overdue",
            "/api/inventory",
            &format!("/api/customers/{ACME_CUSTOMER}"),
            &format!("/api/products/{ACME_KEYBOARD}"),
            &format!("/api/inventory/{ACME_KEYBOARD}"),
            &format!("/api/inventory/{ACME_KEYBOARD}/movements"),
        ] {
            proxy.sabotage(how, 1);
            let reply = staff.get(path).await;
            assert_eq!(reply.status, 200, "{how:?} at {path}: {}", reply.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_all_idle_connections_were_killed_nobody_notices() {
    let service = Service::start().await;
    let staff = service.staff();
    for _ in 0..3 {
        // Both workers open all the connections that their pool allows.
        let read = || {
            let staff = staff.clone();
            async move { staff.get("/api/orders?limit=200").await.ok(200) }
        };
        all((0..60).map(|_| read())).await;
        staff.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
        let killed = service.database.kill_sessions().await;
        // A pooler opens only as many server connections as are used at the same time.
        let expected = if PgBouncer::is_wanted() { 1 } else { 10 };
        assert!(killed >= expected, "{killed}");
        // The requests run one after the other, so that each may meet a dead connection.
        for _ in 0..5 {
            read().await;
        }
        staff.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    }
    assert_eq!(service.orders().await, 6);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_killed_at_work_cost_no_500_and_no_cent() {
    const ALL: usize = 400;
    let service = Service::start().await;
    let admin = service.admin();
    let buyer = admin.add_customer("Buyer", "100000.00").await;
    let done = Arc::new(AtomicUsize::new(0));
    let work = all((0..ALL).map(|number| {
        let (staff, done) = (service.staff(), Arc::clone(&done));
        async move {
            let reply = match number % 4 {
                0 => staff.get("/api/orders?limit=5").await,
                _ => {
                    staff
                        .buy_for(buyer, &[(ACME_KEYBOARD, 1), (ACME_HEADPHONES, 1)])
                        .await
                }
            };
            done.fetch_add(1, Ordering::Relaxed);
            (number, reply)
        }
    }));
    let killing = async {
        let (mut killed, mut before) = (0, 0);
        loop {
            // Requests complete between the kills, so that no single batch is hit by all of them.
            let enough = || done.load(Ordering::Relaxed) >= (before + 16).min(ALL);
            until("more requests have succeeded", async || enough()).await;
            before = done.load(Ordering::Relaxed);
            if before == ALL {
                break;
            }
            killed += service.database.kill_sessions().await;
        }
        killed
    };
    let (replies, killed) = tokio::join!(work, killing);
    assert!(killed > 0);
    let mut sold = 0;
    for (number, reply) in replies {
        match reply.status {
            200 | 201 => sold += usize::from(number % 4 != 0),
            _ => {
                reply.refused(503, "database_unavailable");
            }
        }
    }
    assert!(sold > 0);
    assert_eq!(service.orders().await, sold);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_while_it_waits_buys_nothing_and_delays_nobody() {
    let service = Service::start().await;
    let staff = service.staff();
    let admin = service.admin();
    let impatient = admin.add_customer("Impatient", "1000.00").await;
    let (held, first) = blocked_desk(&service, &staff).await;
    let mut waiting = Vec::new();
    let mut leaving = Vec::new();
    for _ in 0..3 {
        leaving.push(raw_purchase(&service, &staff, impatient).await);
        let neighbour = staff.clone();
        waiting.push(tokio::spawn(async move {
            neighbour.buy(&[(ACME_KEYBOARD, 1)]).await
        }));
    }
    // This client also waits without reading, but keeps its connection open.
    let staying = raw_purchase(&service, &staff, impatient).await;
    every_worker_has_looked(&service).await;
    drop(leaving);
    every_worker_has_looked(&service).await;
    held.release().await;

    first.await.unwrap().ok(201);
    for neighbour in waiting {
        neighbour.await.unwrap().ok(201);
    }
    // This purchase queues behind all the others and needs the same row.
    staff.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    let bought = format!("SELECT count(*) FROM orders WHERE customer_id = '{impatient}'");
    until("the remaining clients are served", async || {
        service.database.value(&bought).await != "0"
    })
    .await;
    assert_eq!(service.database.value(&bought).await, "1");
    drop(staying);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_someone_holds_for_long_is_an_overload_and_only_for_who_wants_it() {
    let service = Service::start().await;
    let staff = service.staff();
    let other = service.admin().add_customer("Other", "1000.00").await;
    let (held, first) = blocked_desk(&service, &staff).await;
    // The next purchase in the queue needs other rows.
    let neighbour = staff.clone();
    let next = tokio::spawn(async move { neighbour.buy_for(other, &[(ACME_KEYBOARD, 1)]).await });
    // The other business has a lane of its own.
    let stranger = service.stranger();
    for _ in 0..3 {
        stranger
            .buy_for(GLOBEX_CUSTOMER, &[(GLOBEX_DESK, 1)])
            .await
            .ok(201);
    }
    assert!(!first.is_finished());

    let refused = first.await.unwrap();
    refused.refused(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    next.await.unwrap().ok(201);
    assert_eq!(service.database.blocked().await, 0);
    held.release().await;
    staff.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_bound_the_queue_of_a_business_refuses_at_once() {
    const TOO_MANY: usize = 50;
    let service = Service::start().await;
    let staff = service.staff();
    let admin = service.admin();
    let buyer = admin.add_customer("Buyer", "100000.00").await;
    let pin = admin.add_product("PIN", "0.10", 10_000).await;
    let sql = format!("SELECT FROM inventory WHERE product_id = '{pin}' FOR UPDATE");
    let held = service.database.hold(&sql).await;
    let pioneer = staff.clone();
    let first = tokio::spawn(async move { pioneer.buy_for(buyer, &[(pin, 1)]).await });
    until("the desk is blocked", async || {
        service.database.blocked().await == 1
    })
    .await;

    let refused = Arc::new(AtomicUsize::new(0));
    let crowd = all((0..MAX_QUEUED_PER_BUSINESS + TOO_MANY).map(|_| {
        let (staff, refused) = (staff.clone(), Arc::clone(&refused));
        async move {
            let reply = staff.buy_for(buyer, &[(pin, 1)]).await;
            if reply.status == 503 {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            reply
        }
    }));
    let meanwhile = async {
        until("requests beyond the limit are refused", async || {
            refused.load(Ordering::Relaxed) >= TOO_MANY
        })
        .await;
        assert!(!first.is_finished());
        // The other business and other endpoints are not affected.
        let stranger = service.stranger();
        let desk = [(GLOBEX_DESK, 1)];
        stranger.buy_for(GLOBEX_CUSTOMER, &desk).await.ok(201);
        staff.get("/api/orders").await.ok(200);
        held.release().await;
        first.await.unwrap().ok(201);
    };
    let (replies, ()) = tokio::join!(crowd, meanwhile);
    let (served, others): (Vec<Reply>, Vec<Reply>) =
        replies.into_iter().partition(|reply| reply.status == 201);
    assert_eq!(
        (served.len(), others.len()),
        (MAX_QUEUED_PER_BUSINESS, TOO_MANY)
    );
    for reply in others {
        reply.refused(503, "overloaded");
        assert_eq!(reply.header("retry-after"), "1");
    }
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_service_finishes_requests_in_flight_and_accepts_no_new_ones() {
    let service = Service::start().await;
    let database = service.database.clone();
    let (staff, nobody) = (service.staff(), service.nobody());
    let address = service.base.trim_start_matches("http://").to_owned();
    let (held, first) = blocked_desk(&service, &staff).await;
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let staff = staff.clone();
            tokio::spawn(async move { staff.buy(&[(ACME_KEYBOARD, 1)]).await })
        })
        .collect();
    every_worker_has_looked(&service).await;
    let mut stop = Box::pin(service.stop());
    let stops = poll_fn(|context| Poll::Ready(stop.as_mut().poll(context).is_pending())).await;
    assert!(stops, "the service waits for nobody");
    held.release().await;
    let (first, ()) = tokio::join!(first, stop);
    first.unwrap().ok(201);
    for reply in waiting {
        reply.await.unwrap().ok(201);
    }
    assert!(TcpStream::connect(&address).await.is_err());
    let late = nobody
        .try_send(nobody.request(reqwest::Method::GET, "/healthz"))
        .await;
    assert!(late.is_err());
    let left = Service::on(database).await;
    assert_eq!(left.orders().await, 11);
    books_balance(&left).await;
}

/// Starts a service whose route to its database can be cut.
async fn behind_proxy() -> (Service, Proxy) {
    let database = Database::with_demo().await;
    let proxy = Proxy::to(&database).await;
    let service = Service::at(database, proxy.url()).await;
    (service, proxy)
}

/// Locks the headphones' stock, and waits until a purchase of Acme's is blocked on it in a batch of its own. Purchases
/// of headphones or for the same customer queue behind it.
async fn blocked_desk(service: &Service, staff: &Client) -> (Held, JoinHandle<Reply>) {
    let sql = format!("SELECT FROM inventory WHERE product_id = '{ACME_HEADPHONES}' FOR UPDATE");
    let held = service.database.hold(&sql).await;
    let staff = staff.clone();
    let first = tokio::spawn(async move { staff.buy(&[(ACME_HEADPHONES, 1)]).await });
    until("the desk is blocked", async || {
        service.database.blocked().await == 1
    })
    .await;
    (held, first)
}

/// Sends a purchase of headphones on a connection of its own and does not read the response.
async fn raw_purchase(service: &Service, staff: &Client, customer: CustomerId) -> TcpStream {
    let items: [(ProductId, i64); 1] = [(ACME_HEADPHONES, 1)];
    let body = purchase(customer, &items).to_string();
    let address = service.base.trim_start_matches("http://");
    let request = format!(
        "POST /api/purchase HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
        staff.token(),
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Waits until each worker has handled all earlier events: workers accept connections in turn and handle events in
/// order.
async fn every_worker_has_looked(service: &Service) {
    let address = service.base.trim_start_matches("http://");
    for _ in 0..8 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer)
            .await
            .unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_in_the_middle_leave_no_transaction_open() {
    let service = Service::start().await;
    let staff = service.staff();
    // Some callers disconnect before the transaction, some during it, and some after it.
    all((0..600_u64).map(|number| {
        let staff = staff.clone();
        async move {
            let limit = Duration::from_micros(200 + number * 17 % 4000);
            let _ = tokio::time::timeout(limit, staff.get("/api/orders?limit=5")).await;
        }
    }))
    .await;
    let busy = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND usename = 'tradeline_service' AND state <> 'idle'";
    until("all sessions are outside transactions", async || {
        service.database.value(busy).await == "0"
    })
    .await;
    staff.get("/api/orders").await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_caller_leaves_while_it_is_committed_is_ended_once() {
    let service = Service::start().await;
    let database = &service.database;
    let slow = "CREATE FUNCTION takes_long() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
                CREATE CONSTRAINT TRIGGER takes_long AFTER INSERT ON customers DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION takes_long()";
    database.execute(slow).await;
    let folder = Folder::open();
    let mut command = command(&folder.data, &[]);
    command
        .env("DATABASE_URL", database.url(SERVICE))
        .env("TRADELINE_JWT_SECRET", SECRET)
        .env("RUST_LOG", "warn");
    let program = Program::spawn(&mut command).await;
    let admin = service.admin().at_base(&program.base);
    let leaving = tokio::spawn(async move {
        let customer = json!({"name": "Impatient"});
        admin.post("/api/customers", &customer).await
    });
    let committing = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND state = 'active' AND query = 'COMMIT'";
    until("the request is being committed", async || {
        database.value(committing).await == "1"
    })
    .await;
    leaving.abort();
    let made = "SELECT count(*) FROM customers WHERE name = 'Impatient'";
    until("the request is committed", async || {
        database.value(made).await == "1"
    })
    .await;
    assert_eq!(program.stop(), "");
}
