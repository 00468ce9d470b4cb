//! These tests check the stream of live availability: a watcher sees every state that lasts, and watchers add no
//! database load.

use std::time::{Duration, Instant};

use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX_DESK};
use entity::ProductId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Database, Events, Proxy, Service, all, settings};
use uuid::Uuid;

fn path(product: ProductId) -> String {
    format!("/api/products/{product}/availability/stream?business=acme")
}

async fn listen(client: &Client, product: ProductId) -> Events {
    client.listen(&path(product)).await
}

fn state(available: i64, on_hand: i64, waiting: i64) -> Value {
    json!({"available": available, "on_hand": on_hand, "waiting": waiting})
}

async fn set(service: &Service, product: ProductId, count: i64) {
    let body = json!({"set": count, "reason": "stocktake"});
    let path = format!("/api/inventory/{product}");
    let _ = service.staff().patch(&path, &body).await.ok(200);
}

/// Reads events until one has this state.
async fn comes_to(events: &mut Events, expected: &Value) {
    while events.next().await.unwrap().data != *expected {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_the_state_at_once_and_then_each_change_and_nothing_else() {
    let service = Service::start().await;
    for client in [service.nobody(), service.customer(), service.staff()] {
        set(&service, ACME_HEADPHONES, 100).await;
        let mut events = listen(&client, ACME_HEADPHONES).await;
        assert_eq!(events.header("content-type"), "text/event-stream");
        assert_eq!(events.header("cache-control"), "no-cache");
        assert_eq!(events.header("x-accel-buffering"), "no");
        let first = events.next().await.unwrap();
        assert_eq!(first.data, state(100, 100, 0));
        let _ = service.admin().buy(&[(ACME_HEADPHONES, 2)]).await.ok(201);
        let sold = events.next().await.unwrap();
        assert_eq!(sold.data, state(98, 98, 0));
        assert!(sold.id > first.id, "{sold:?} after {first:?}");
        // A change of another product sends no event.
        set(&service, ACME_KEYBOARD, 3).await;
        assert_eq!(events.within(Duration::from_millis(1500)).await, []);
        set(&service, ACME_HEADPHONES, 0).await;
        assert_eq!(events.next().await.unwrap().data, state(0, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn held_units_are_not_available_until_they_expire_and_none_are_while_someone_waits() {
    let service = Service::start().await;
    set(&service, ACME_HEADPHONES, 10).await;
    let mut events = listen(&service.nobody(), ACME_HEADPHONES).await;
    assert_eq!(events.next().await.unwrap().data, state(10, 10, 0));
    // Three are held for 10 seconds; the waitlist position and one hold have expired already.
    let hold = |status: &str, held: bool, place: &str, quantity: i64, seconds: i64| {
        let id = Uuid::now_v7();
        format!(
            "INSERT INTO reservations (business_id, id, customer_id, status, ttl_seconds, expires_at, created_by)
             VALUES ('{ACME}', '{id}', '{ACME_CUSTOMER}', '{status}', 60, now() + interval '{seconds} s', '{id}');
             INSERT INTO reservation_items (business_id, reservation_id, product_id, line, quantity, unit_price, held,
                                            place, expires_at)
             VALUES ('{ACME}', '{id}', '{ACME_HEADPHONES}', 0, {quantity}, 1, {held}, {place},
                     now() + interval '{seconds} s');"
        )
    };
    let sql = [
        // The time is long enough to be observed on a busy machine.
        hold("active", true, "NULL", 3, 10),
        hold("waiting", false, "2", 1, -1),
        hold("active", true, "NULL", 2, -1),
        hold("cancelled", false, "NULL", 2, 600),
    ];
    service.database.execute(&sql.concat()).await;
    assert_eq!(events.next().await.unwrap().data, state(7, 10, 0));
    // The hold expires by its time, without the sweeper.
    assert_eq!(events.next().await.unwrap().data, state(10, 10, 0));
    let waits = hold("waiting", false, "3", 9, 600);
    service.database.execute(&waits).await;
    assert_eq!(events.next().await.unwrap().data, state(0, 10, 1));
    let over = "UPDATE reservation_items SET expires_at = now() WHERE place = 3";
    service.database.execute(over).await;
    assert_eq!(events.next().await.unwrap().data, state(10, 10, 0));
    // After a stock count more is held than is on hand: zero is available, not a negative number.
    let sql = [
        hold("active", true, "NULL", 8, 600),
        format!("UPDATE inventory SET on_hand = 5 WHERE product_id = '{ACME_HEADPHONES}'"),
    ];
    service.database.execute(&sql.concat()).await;
    assert_eq!(events.next().await.unwrap().data, state(0, 5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_changes_is_sent_as_a_few_events_and_the_last_is_right() {
    let service = Service::start().await;
    set(&service, ACME_HEADPHONES, 1000).await;
    let mut events = listen(&service.nobody(), ACME_HEADPHONES).await;
    assert_eq!(events.next().await.unwrap().data, state(1000, 1000, 0));
    let (began, staff) = (Instant::now(), service.staff());
    for count in 0..100 {
        let body = json!({"set": 500 - count, "reason": "stocktake"});
        let path = format!("/api/inventory/{ACME_HEADPHONES}");
        let _ = staff.patch(&path, &body).await.ok(200);
    }
    // Two events a second, and one more at either end.
    let most = usize::try_from(began.elapsed().as_millis() / 500).unwrap() + 2;
    let received = events.within(Duration::from_secs(2)).await;
    assert_eq!(received.last().unwrap().data, state(401, 401, 0));
    assert!(received.len() <= most, "{} and not {most}", received.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_needs_the_same_permission_as_reading_the_product() {
    let service = Service::start().await;
    let (admin, nobody) = (service.admin(), service.nobody());
    let hidden = admin.add_product("HID", "1.00", 4).await;
    let patch = format!("/api/products/{hidden}");
    let _ = admin.patch(&patch, &json!({"active": false})).await.ok(200);
    for unknown in [hidden, GLOBEX_DESK, ProductId::new()] {
        for client in [&nobody, &service.customer()] {
            let body = client
                .get(&path(unknown))
                .await
                .refused(404, "product_not_found");
            assert_eq!(body["product_id"], json!(unknown));
        }
    }
    // A caller who could read it in a business of their own may not read it here.
    let own = format!("/api/products/{ACME_HEADPHONES}/availability/stream");
    let _ = service
        .stranger()
        .get(&own)
        .await
        .refused(404, "product_not_found");
    let _ = service
        .stranger()
        .get(&path(ACME_HEADPHONES))
        .await
        .refused(403, "tenant_mismatch");
    let _ = nobody.get(&own).await.refused(401, "unauthenticated");
    // A staff member sees a product that is off sale, and their stream continues when it goes on sale. A buyer's stream
    // ends when it goes off sale.
    let mut staff = listen(&service.staff(), hidden).await;
    assert_eq!(staff.next().await.unwrap().data, state(4, 4, 0));
    let _ = admin.patch(&patch, &json!({"active": true})).await.ok(200);
    let mut visitor = listen(&nobody, hidden).await;
    assert_eq!(visitor.next().await.unwrap().data, state(4, 4, 0));
    let _ = admin.patch(&patch, &json!({"active": false})).await.ok(200);
    assert_eq!(visitor.next().await, None);
    set(&service, hidden, 5).await;
    comes_to(&mut staff, &state(5, 5, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_watchers_cost_the_database_what_one_does() {
    let database = Database::with_demo().await;
    let proxy = Proxy::to(&database).await;
    let service = Service::at(database, proxy.url()).await;
    let nobody = service.nobody();
    let mut first = listen(&nobody, ACME_HEADPHONES).await;
    let _ = first.next().await.unwrap();
    // Two queries a second, and five for the service's other work. The bound uses the elapsed time, which is longer on
    // a busy machine.
    let looks = |began: Instant| began.elapsed().as_millis() / 500 + 5;
    let count = async || {
        let (before, began) = (proxy.commits(), Instant::now());
        tokio::time::sleep(Duration::from_secs(4)).await;
        (
            u128::try_from(proxy.commits() - before).unwrap(),
            looks(began),
        )
    };
    let (of_one, most) = count().await;
    assert!(of_one > 0 && of_one <= most, "{of_one}, not {most}");
    let (before, began) = (proxy.commits(), Instant::now());
    let opened = (0..1000).map(|number| {
        let nobody = nobody.clone();
        // The watchers are on two products, which one query reads together.
        let product = if number % 2 == 0 {
            ACME_HEADPHONES
        } else {
            ACME_KEYBOARD
        };
        async move {
            let mut events = listen(&nobody, product).await;
            let first = events.next().await.unwrap();
            (product, events, first)
        }
    });
    let mut watchers = all(opened).await;
    let most = looks(began);
    let opening = u128::try_from(proxy.commits() - before).unwrap();
    assert!(opening <= most, "{opening} to open a thousand, not {most}");
    let (of_thousand, most) = count().await;
    assert!(
        of_thousand <= most,
        "{of_thousand} of a thousand, not {most}"
    );
    // Every watcher receives the change.
    set(&service, ACME_HEADPHONES, 17).await;
    for (product, events, first) in &mut watchers {
        if *product == ACME_HEADPHONES {
            assert_eq!(events.next().await.unwrap().data, state(17, 17, 0));
        } else {
            assert_ne!(first.data, state(17, 17, 0));
        }
    }
    // The queries stop when the last watcher has left.
    drop((first, watchers));
    tests::until("no watcher reads the product any more", async || {
        let before = proxy.commits();
        tokio::time::sleep(Duration::from_millis(1200)).await;
        proxy.commits() == before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_an_outage_of_the_database() {
    let database = Database::with_demo().await;
    let proxy = Proxy::to(&database).await;
    let service = Service::at(database, proxy.url()).await;
    set(&service, ACME_HEADPHONES, 9).await;
    let mut events = listen(&service.nobody(), ACME_HEADPHONES).await;
    assert_eq!(events.next().await.unwrap().data, state(9, 9, 0));
    proxy.down().await;
    // A new watcher of an unread product gets a 503. An open stream keeps its last state and sends nothing.
    let late = service.nobody().get(&path(ACME_KEYBOARD)).await;
    let _ = late.refused(503, "database_unavailable");
    assert_eq!(events.within(Duration::from_secs(2)).await, []);
    let sql = format!("UPDATE inventory SET on_hand = 8 WHERE product_id = '{ACME_HEADPHONES}'");
    service.database.execute(&sql).await;
    proxy.up();
    assert_eq!(events.next().await.unwrap().data, state(8, 8, 0));
    let mut late = listen(&service.nobody(), ACME_KEYBOARD).await;
    assert!(late.next().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_ends_its_streams_and_does_not_wait_for_them() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let mut watchers = Vec::new();
    for _ in 0..5 {
        let mut events = listen(&nobody, ACME_HEADPHONES).await;
        assert!(events.next().await.is_some());
        watchers.push(events);
    }
    let began = Instant::now();
    let ended = tokio::spawn(async move {
        for events in &mut watchers {
            assert_eq!(events.next().await, None);
        }
    });
    service.stop().await;
    // A stop waits up to 30 seconds for requests in flight, and streams never end by themselves.
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_sends_heartbeats_and_is_no_idle_connection() {
    let mut settings = settings();
    settings.limits.request_seconds = 1;
    settings.limits.idle_seconds = 1;
    let database = Database::with_demo().await;
    let url = database.url(tests::SERVICE);
    let service = Service::with(database, &url, &settings).await;
    let mut events = listen(&service.nobody(), ACME_HEADPHONES).await;
    // The keep-alive comment comes long after the limit of one second for idle connections.
    assert_eq!(events.comment().await, ":");
    set(&service, ACME_HEADPHONES, 3).await;
    assert_eq!(events.next().await.unwrap().data, state(3, 3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_stream_counts_against_the_rate_limit() {
    let service = crate::http::limits::limited(|limits| {
        limits.rate_limit = "6000/min".parse().unwrap();
        limits.rate_limit_address = "2/min".parse().unwrap();
    })
    .await;
    let nobody = service.nobody();
    for _ in 0..2 {
        let events = listen(&nobody, ACME_HEADPHONES).await;
        drop(events);
    }
    let request = nobody.request(Method::GET, &path(ACME_HEADPHONES));
    let _ = nobody.send(request).await.refused(429, "rate_limited");
}
