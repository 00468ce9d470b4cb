//! The sweeper comes to everyone whom it can serve.

use domain::demo::{ACME, ACME_CUSTOMER};
use domain::stock::reservations;
use entity::ProductId;
use tests::{Database, SERVICE, differences, verified};

/// Makes so many products of which three are on hand and two are held, each with someone in line who wants so many.
async fn lines(database: &Database, products: u32, wanted: u32) -> Vec<ProductId> {
    let prefix = format!("WANTED-{wanted}");
    let sql = format!(
        "INSERT INTO products (business_id, id, sku, name, price)
         SELECT '{ACME}'::uuid, lpad(to_hex(4096 * (10 - {wanted}) + n), 32, 'f')::uuid, '{prefix}-' || n, 'Wanted', 1
           FROM generate_series(1, {products}) AS n;
         CREATE TEMPORARY TABLE made AS
         SELECT id AS product_id, gen_random_uuid() AS holder, gen_random_uuid() AS waiter
           FROM products WHERE sku LIKE '{prefix}-%' ORDER BY id;
         INSERT INTO inventory (business_id, product_id, on_hand, reserved, waiting, places_given)
         SELECT '{ACME}'::uuid, product_id, 3, 2, 1, 1 FROM made ORDER BY product_id;
         INSERT INTO reservations (business_id, id, customer_id, status, ttl_seconds, expires_at, created_by)
         SELECT '{ACME}'::uuid, holder, '{ACME_CUSTOMER}'::uuid, 'active', 600, now() + interval '1 hour', gen_random_uuid() FROM made
          UNION ALL
         SELECT '{ACME}'::uuid, waiter, '{ACME_CUSTOMER}'::uuid, 'waiting', 600, now() + interval '1 hour', gen_random_uuid() FROM made;
         INSERT INTO reservation_items (business_id, reservation_id, product_id, line, quantity, unit_price, held, place,
                                        expires_at)
         SELECT '{ACME}'::uuid, holder, product_id, 0, 2, 1, true, NULL::bigint, now() + interval '1 hour' FROM made
          UNION ALL
         SELECT '{ACME}'::uuid, waiter, product_id, 0, {wanted}, 1, false, 1, now() + interval '1 hour' FROM made;
         INSERT INTO stock_movements (business_id, product_id, id, quantity, on_hand_after, reason, reserved,
                                      reservation_id, actor_id)
         SELECT '{ACME}'::uuid, product_id, gen_random_uuid(), 3, 3, 'received', 0, NULL::uuid, gen_random_uuid() FROM made
          UNION ALL
         SELECT '{ACME}'::uuid, product_id, gen_random_uuid(), 0, 3, 'reserved', 2, holder, gen_random_uuid() FROM made"
    );
    database.execute(&sql).await;
    let made = format!("SELECT id FROM products WHERE sku LIKE '{prefix}-%' ORDER BY id");
    let made = database.column(&made).await;
    made.iter().map(|id| id.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_nothing_can_be_done_for_keep_nobody_else_waiting() {
    let database = Database::with_demo().await;
    // More than are looked at in one transaction; the head of each wants two, and one is free.
    let stuck = lines(&database, 130, 2).await;
    // Behind them, by their ids and in the table: here the one that is free will do.
    let served = lines(&database, 1, 1).await;
    assert!(stuck.iter().all(|product| *product < served[0]));
    let pool = domain::Database::new(&database.url(SERVICE), 1).unwrap();
    let swept = reservations::sweep(&pool, ACME).await.unwrap();
    assert_eq!((swept.products, swept.expired, swept.open), (1, 0, true));
    let sql =
        "SELECT product_id FROM inventory WHERE reserved = on_hand AND waiting = 0 AND on_hand > 0";
    assert_eq!(database.column(sql).await, [served[0].to_string()]);
    // Who could not be served waits on.
    let waiting = "SELECT count(*) FROM reservations WHERE status = 'waiting'";
    assert_eq!(database.value(waiting).await, stuck.len().to_string());
    pool.close().await;
    assert_eq!(differences(&database).await, [] as [String; 0]);
    assert_eq!(verified(&database).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_lines_than_one_transaction_takes_are_all_served() {
    let database = Database::with_demo().await;
    let served = lines(&database, 230, 1).await;
    let pool = domain::Database::new(&database.url(SERVICE), 1).unwrap();
    let swept = reservations::sweep(&pool, ACME).await.unwrap();
    assert_eq!(swept.products, served.len() as u64);
    let waiting = "SELECT count(*) FROM reservations WHERE status = 'waiting'";
    assert_eq!(database.value(waiting).await, "0");
    pool.close().await;
    assert_eq!(differences(&database).await, [] as [String; 0]);
}
