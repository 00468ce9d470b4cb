//! These tests check orders by card at the desk, among purchases and reservations of the same products. The stock of
//! such an order is held, not sold, and nothing is held or placed twice. Other tests cover the payment provider.

use std::sync::Arc;

use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD};
use domain::desk::{Executed, Work};
use domain::stock::reservations::sweep;
use domain::{Error, demo};
use entity::{CustomerId, OrderId, ProductId, ReservationId};
use futures_util::future::join_all;
use serde_json::json;
use tests::clerk::{buy, checkout, reserve};
use tests::{
    Clerk, Database, Ordered, Proxy, Sabotage, Service, all, differences, pay, until, verified,
};
use uuid::Uuid;

/// Acme with six more customers, and ten units of a product at 2.00. Its service is stopped, so no background task
/// runs.
struct Shop {
    database: Database,
    buyers: Vec<CustomerId>,
    few: ProductId,
}

impl Shop {
    async fn open() -> Self {
        let service = Service::start().await;
        let admin = service.admin();
        let mut buyers = Vec::new();
        for number in 0..6 {
            let name = format!("Buyer {number}");
            buyers.push(admin.add_customer(&name, "1000.00").await);
        }
        let few = admin.add_product("FEW", "2.00", 10).await;
        let database = service.database.clone();
        service.stop().await;
        Self {
            database,
            buyers,
            few,
        }
    }

    fn clerk(&self) -> Clerk {
        Clerk::of_acme(&self.database)
    }

    /// The product's `on_hand`, `reserved` and `waiting`.
    async fn counts(&self) -> [i64; 3] {
        let few = self.few;
        let sql =
            format!("SELECT on_hand, reserved, waiting FROM inventory WHERE product_id = '{few}'");
        let row = self.database.row(&sql).await;
        ["on_hand", "reserved", "waiting"].map(|name| row[name].as_i64().unwrap())
    }

    /// Lets the holds of the reservations that match `which` expire. Nothing processes them yet.
    async fn let_expire(&self, which: &str) {
        let past = "expires_at = now() - interval '1 s'";
        let sql = format!(
            "UPDATE reservation_items SET {past} WHERE reservation_id IN (SELECT id FROM reservations WHERE {which});
             UPDATE reservations SET {past} WHERE {which}"
        );
        self.database.execute(&sql).await;
    }

    /// Executes all commands in one batch: they queue while another session holds the lock on the product's row.
    async fn in_one_batch(
        &self,
        clerk: &Clerk,
        asks: Vec<(Work, Option<&str>)>,
    ) -> Vec<Result<Ordered, Error>> {
        let few = self.few;
        let row = format!("SELECT FROM inventory WHERE product_id = '{few}' FOR UPDATE");
        let held = self.database.hold(&row).await;
        let first = {
            let (clerk, nothing) = (clerk.clone(), buy(ACME_CUSTOMER, &[(few, 1_000)]));
            tokio::spawn(async move { clerk.ask(nothing, None).await })
        };
        until("the first waits", async || {
            self.database.blocked().await == 1
        })
        .await;
        let asked = join_all(asks.into_iter().map(|(work, key)| clerk.ask(work, key)));
        // The commands are queued when this is polled.
        let (answers, ()) = tokio::join!(asked, held.release());
        assert!(matches!(
            first.await.unwrap(),
            Err(Error::InsufficientStock(_))
        ));
        let answers = answers.into_iter();
        answers
            .map(|answer| {
                answer.map(|outcome| {
                    let none = OrderId(Uuid::nil());
                    let replayed = outcome
                        .is_replayed()
                        .then(|| outcome.placed_order().unwrap());
                    let (order, reservation) = match outcome.value() {
                        Some(Executed::Sold(receipt)) => (receipt.order_id, None),
                        Some(Executed::PlacedOrder(placed)) => {
                            (placed.order_id, Some(placed.reservation_id))
                        }
                        Some(
                            Executed::Reserved(found) | Executed::Cancelled { current: found, .. },
                        ) => (none, Some(found.reservation.id)),
                        None => (replayed.unwrap(), None),
                    };
                    let reservation = reservation.unwrap_or(ReservationId(Uuid::nil()));
                    Ordered { order, reservation }
                })
            })
            .collect()
    }

    async fn balances(&self) {
        balances(&self.database).await;
    }
}

async fn balances(database: &Database) {
    let found = differences(database).await;
    assert!(found.is_empty(), "{found:#?}");
    let found = verified(database).await;
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_by_card_writes_its_hold_and_payment_intent() {
    let shop = Shop::open().await;
    let clerk = shop.clerk();
    let buyer = shop.buyers[0];
    let before = "SELECT balance, entry_count FROM customers WHERE name = 'Buyer 0'";
    let account = shop.database.row(before).await;
    let items = [(shop.few, 3), (ACME_KEYBOARD, 1), (shop.few, 1)];
    let Ordered { order, reservation } = clerk.checkout(buyer, &items).await.unwrap();

    assert_eq!(shop.counts().await, [10, 4, 0]);
    assert_eq!(shop.database.row(before).await, account);
    let sql = format!(
        "SELECT customer_id, status, payment_method, total_amount::text, amount_due::text, amount_settled::text,
                created_by, due_at = created_at + interval '1800 s' AS due, updated_at = created_at AS fresh
           FROM orders WHERE id = '{order}'"
    );
    let expected = json!({
        "customer_id": buyer, "status": "created", "payment_method": "card", "total_amount": "58.0000",
        "amount_due": "58.0000", "amount_settled": "0.0000", "created_by": clerk.caller().user_id, "due": true,
        "fresh": true,
    });
    assert_eq!(shop.database.row(&sql).await, expected);
    let sql = format!(
        "SELECT line, product_id, quantity, line_total::text, on_hand_after FROM order_items
          WHERE order_id = '{order}' ORDER BY line"
    );
    let expected = [
        json!({"line": 0, "product_id": shop.few, "quantity": 4, "line_total": "8.0000", "on_hand_after": null}),
        json!({"line": 1, "product_id": ACME_KEYBOARD, "quantity": 1, "line_total": "50.0000", "on_hand_after": null}),
    ];
    assert_eq!(shop.database.rows(&sql).await, expected);
    let sql = format!(
        "SELECT p.status, p.provider, p.provider_id, p.amount::text, p.tries, p.reservation_id,
                p.expires_at = o.due_at AS expires, p.next_try_at = o.created_at + interval '15 s' AS due,
                r.status AS hold, r.order_id, r.ttl_seconds, r.expires_at = o.due_at AS holds,
                (SELECT bool_and(i.held AND i.place IS NULL AND i.expires_at = o.due_at) FROM reservation_items i
                  WHERE i.reservation_id = r.id) AS held
           FROM payment_intents p JOIN orders o ON o.id = p.order_id JOIN reservations r ON r.id = p.reservation_id
          WHERE p.order_id = '{order}'"
    );
    let expected = json!({
        "status": "requested", "provider": "offline", "provider_id": null, "amount": "58.0000", "tries": 0,
        "reservation_id": reservation, "expires": true, "due": true, "hold": "confirmed", "order_id": order,
        "ttl_seconds": 1800, "holds": true, "held": true,
    });
    assert_eq!(shop.database.row(&sql).await, expected);
    let sql = format!(
        "SELECT reason, reserved, quantity, on_hand_after, order_id FROM stock_movements
          WHERE reservation_id = '{reservation}' AND product_id = '{}'",
        shop.few
    );
    let expected = json!({"reason": "reserved", "reserved": 4, "quantity": 0, "on_hand_after": 10, "order_id": order});
    assert_eq!(shop.database.row(&sql).await, expected);
    let sql = format!(
        "SELECT action, entity_type, after ->> 'status' AS status, after ->> 'total_amount' AS total,
                after ->> 'reservation_id' AS hold
           FROM audit_events WHERE entity_id IN ('{order}', '{reservation}')"
    );
    let expected = json!({
        "action": "order.created", "entity_type": "order", "status": "created", "total": "58.00", "hold": reservation,
    });
    assert_eq!(shop.database.row(&sql).await, expected);
    shop.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_returns_the_original_response_in_the_same_batch_and_later() {
    let shop = Shop::open().await;
    let clerk = shop.clerk();
    let ask = || checkout(shop.buyers[0], &[(shop.few, 2)]);
    let twins = shop
        .in_one_batch(
            &clerk,
            vec![(ask(), Some("k")), (ask(), Some("k")), (ask(), None)],
        )
        .await;
    let twins: Vec<Ordered> = twins.into_iter().map(Result::unwrap).collect();
    assert_eq!(twins[0].order, twins[1].order);
    assert_ne!(twins[0].order, twins[2].order);
    let later = clerk.ask(ask(), Some("k")).await.unwrap();
    assert!(later.is_replayed());
    assert_eq!(later.placed_order().unwrap(), twins[0].order);
    assert_eq!(shop.counts().await, [10, 4, 0]);
    shop.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_reservations_and_orders_by_card_of_one_product_share_a_batch() {
    let shop = Shop::open().await;
    let clerk = shop.clerk();
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| shop.buyers[at]);
    let few = |count| [(shop.few, count)];
    let active = clerk.reserve(d, &few(1)).await.unwrap();
    let target = clerk.target(active).await;
    let asks = vec![
        (buy(a, &few(2)), None),
        (checkout(b, &few(2)), Some("b")),
        (reserve(c, &few(2)), None),
        // Uses up one of the two that this batch has reserved for the customer; the other stays held.
        (checkout(c, &few(1)), None),
        (
            Work::ConfirmByCard(target.into(), tests::clerk::TERMS),
            None,
        ),
        (checkout(b, &few(1)), None),
        // Two are available.
        (checkout(a, &few(4)), None),
        (buy(d, &few(1)), None),
        // One is available. A customer who wants two goes on the waitlist, and new customers get none.
        (reserve(d, &few(2)), None),
        (checkout(a, &few(1)), None),
    ];
    let answers = shop.in_one_batch(&clerk, asks).await;
    let refused: Vec<bool> = answers.iter().map(Result::is_err).collect();
    let expected = [
        false, false, false, false, false, false, true, false, false, true,
    ];
    assert_eq!(refused, expected, "{answers:#?}");
    // Three are sold. Held are 2 and 1 for b, 1 and 1 for c, and 1 for d; one more reservation of d waits for 2.
    assert_eq!(shop.counts().await, [7, 6, 1]);
    let orders = "SELECT count(*), count(DISTINCT o.xmin::text) AS transactions, count(DISTINCT created_at) AS times
                    FROM orders o WHERE payment_method = 'card'";
    let expected = json!({"count": 4, "transactions": 1, "times": 1});
    assert_eq!(shop.database.row(orders).await, expected);
    let all_in_one = "SELECT count(DISTINCT xmin::text) FROM order_items WHERE sku = 'FEW'";
    assert_eq!(shop.database.value(all_in_one).await, "1");
    shop.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_by_card_whose_commit_goes_wrong_is_placed_once() {
    for how in [Sabotage::LoseAnswer, Sabotage::LoseCommit] {
        let shop = Shop::open().await;
        let proxy = Proxy::to(&shop.database).await;
        let clerk = Clerk::at(proxy.url(), ACME);
        let held = clerk.reserve(shop.buyers[1], &[(shop.few, 2)]).await;
        let held = held.unwrap();
        proxy.sabotage(how, 1);
        let placed = clerk.checkout(shop.buyers[0], &[(shop.few, 3)]).await;
        let placed = placed.unwrap();
        proxy.sabotage(how, 1);
        let confirmed = clerk.confirm_by_card(held).await.unwrap();
        assert_eq!(proxy.sabotaged(), 2, "{how:?}");
        let orders = "SELECT id FROM orders WHERE payment_method = 'card' ORDER BY id";
        let expected = [placed, confirmed].map(|placed| placed.order.to_string());
        assert_eq!(shop.database.column(orders).await, expected, "{how:?}");
        assert_eq!(shop.counts().await, [10, 5, 0], "{how:?}");
        shop.balances().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_units_are_never_sold_as_more_than_ten_in_any_mix_of_commands() {
    let shop = Arc::new(Shop::open().await);
    let clerks = [shop.clerk(), shop.clerk()];
    let taken = all((0..60).map(|number| {
        let (shop, clerk) = (Arc::clone(&shop), clerks[number % 2].clone());
        async move {
            let (buyer, few) = (shop.buyers[number % 6], [(shop.few, 1)]);
            let done = match number % 4 {
                0 => clerk.ask(buy(buyer, &few), None).await.map(drop),
                1 | 2 => clerk.checkout(buyer, &few).await.map(drop),
                _ => match clerk.reserve(buyer, &few).await {
                    Ok(id) => clerk.confirm_by_card(id).await.map(drop),
                    Err(error) => Err(error),
                },
            };
            match done {
                Ok(()) => 1,
                Err(
                    Error::InsufficientStock(_)
                    | Error::SoldOut(_)
                    // The reservation is on the waitlist, or an order of another command has used it up.
                    | Error::ReservationResolved { .. },
                ) => 0,
                Err(other) => panic!("{other:?}"),
            }
        }
    }))
    .await;
    let [on_hand, reserved, _] = shop.counts().await;
    assert_eq!(reserved, on_hand, "all that is left is held");
    let held = "SELECT count(*) FROM orders WHERE payment_method = 'card'";
    let held: i64 = shop.database.value(held).await.parse().unwrap();
    let placed: i64 = taken.iter().sum();
    assert_eq!(placed, 10 - on_hand + held);
    shop.balances().await;
    // Unpaid stock becomes available when its hold expires; the next order releases and takes it.
    shop.let_expire("true").await;
    let clerk = shop.clerk();
    clerk
        .checkout(shop.buyers[0], &[(shop.few, on_hand)])
        .await
        .unwrap();
    assert_eq!(shop.counts().await, [on_hand, on_hand, 0]);
    let found = differences(&shop.database).await;
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(shop.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_waitlist_gets_the_units_of_an_unpaid_order_when_it_expires() {
    let shop = Shop::open().await;
    let clerk = shop.clerk();
    clerk
        .checkout(shop.buyers[0], &[(shop.few, 10)])
        .await
        .unwrap();
    // This customer joins the waitlist before the hold expires.
    let waiting = clerk
        .reserve(shop.buyers[1], &[(shop.few, 4)])
        .await
        .unwrap();
    assert_eq!(shop.counts().await, [10, 10, 1]);
    shop.let_expire(&format!("id <> '{waiting}'")).await;
    sweep(&clerk.pool, ACME).await.unwrap();
    assert_eq!(shop.counts().await, [10, 4, 0]);
    let status = format!("SELECT status FROM reservations WHERE id = '{waiting}'");
    assert_eq!(shop.database.value(&status).await, "active");
    let found = differences(&shop.database).await;
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_confirmed_by_card_keeps_its_hold_and_its_price() {
    let shop = Shop::open().await;
    let clerk = shop.clerk();
    let held = clerk
        .reserve(shop.buyers[0], &[(shop.few, 4)])
        .await
        .unwrap();
    let movements = format!(
        "SELECT count(*) FROM stock_movements WHERE product_id = '{}'",
        shop.few
    );
    let before = shop.database.value(&movements).await;
    let price = format!("UPDATE products SET price = 9 WHERE id = '{}'", shop.few);
    shop.database.execute(&price).await;
    let placed = clerk.confirm_by_card(held).await.unwrap();
    assert_eq!(placed.reservation, held);
    assert_eq!(shop.counts().await, [10, 4, 0]);
    assert_eq!(shop.database.value(&movements).await, before);
    let order = placed.order;
    let sql = format!(
        "SELECT r.status, r.order_id, r.ttl_seconds, r.expires_at = o.due_at AS holds, o.total_amount::text,
                o.due_at = o.created_at + interval '1800 s' AS due, p.amount::text,
                (SELECT bool_and(i.held AND i.expires_at = o.due_at) FROM reservation_items i
                  WHERE i.reservation_id = r.id) AS held,
                (SELECT string_agg(action, ' ' ORDER BY e.id) FROM audit_events e
                  WHERE e.entity_id IN (o.id, r.id)) AS trail
           FROM reservations r JOIN orders o ON o.id = r.order_id JOIN payment_intents p ON p.order_id = o.id
          WHERE r.id = '{held}'"
    );
    let expected = json!({
        "status": "confirmed", "order_id": order, "ttl_seconds": 600, "holds": true, "total_amount": "8.0000",
        "due": true, "amount": "8.0000", "held": true,
        "trail": "reservation.created order.created reservation.confirmed",
    });
    assert_eq!(shop.database.row(&sql).await, expected);
    // A reservation can be confirmed only once.
    assert!(matches!(
        clerk.confirm_by_card(held).await,
        Err(Error::ReservationResolved { .. })
    ));
    shop.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_for_each_customer_counts_orders_by_card_once() {
    let shop = Shop::open().await;
    let clerk = shop.clerk();
    let limit = format!(
        "UPDATE products SET limit_per_customer = 3 WHERE id = '{}'",
        shop.few
    );
    shop.database.execute(&limit).await;
    let buyer = shop.buyers[0];
    let few = |count| [(shop.few, count)];
    let bought = |refusal: Error| match refusal {
        Error::PurchaseLimitReached { bought, .. } => bought,
        other => panic!("{other:?}"),
    };
    clerk.checkout(buyer, &few(1)).await.unwrap();
    let held = clerk.reserve(buyer, &few(1)).await.unwrap();
    assert_eq!(bought(clerk.reserve(buyer, &few(2)).await.unwrap_err()), 2);
    clerk.confirm_by_card(held).await.unwrap();
    assert_eq!(bought(clerk.checkout(buyer, &few(2)).await.unwrap_err()), 2);
    assert_eq!(
        bought(clerk.ask(buy(buyer, &few(2)), None).await.unwrap_err()),
        2
    );
    clerk.checkout(buyer, &few(1)).await.unwrap();
    assert_eq!(bought(clerk.checkout(buyer, &few(1)).await.unwrap_err()), 3);
    // Cancelled orders do not count against the limit.
    shop.database
        .execute("UPDATE orders SET status = 'cancelled' WHERE payment_method = 'card'")
        .await;
    assert_eq!(bought(clerk.checkout(buyer, &few(4)).await.unwrap_err()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_leave_nothing_behind() {
    let shop = Shop::open().await;
    let clerk = shop.clerk();
    let free = format!(
        "UPDATE products SET price = 0 WHERE id = '{ACME_HEADPHONES}';
         UPDATE customers SET on_hold = true WHERE id = '{}'",
        shop.buyers[5]
    );
    shop.database.execute(&free).await;
    let before = shop.database.digest().await;
    let few = |count| vec![(shop.few, count)];
    for (who, items) in [
        (shop.buyers[0], few(11)),
        (shop.buyers[0], vec![(ACME_HEADPHONES, 3)]),
        (shop.buyers[5], few(1)),
        (shop.buyers[0], vec![(ProductId::new(), 1)]),
        (demo::GLOBEX_CUSTOMER, few(1)),
    ] {
        assert!(clerk.checkout(who, &items).await.is_err(), "{items:?}");
    }
    assert_eq!(shop.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_that_is_paid_for_by_card_is_listed_as_sold_like_that_on_credit() {
    let shop = Shop::open().await;
    let clerk = shop.clerk();
    let placed = clerk
        .checkout(shop.buyers[0], &[(shop.few, 3)])
        .await
        .unwrap();
    let service = Service::on(shop.database.clone()).await;
    let listed = async || {
        let path = format!("/api/inventory/{}/movements", shop.few);
        let rows = service.staff().pages(&path, 200).await;
        let rows = rows.into_iter();
        rows.map(|row| {
            json!([
                row["reason"],
                row["quantity"],
                row["reserved"],
                row["on_hand_after"],
                row["order_id"]
            ])
        })
        .collect::<Vec<_>>()
    };
    let (order, received) = (placed.order, json!(["received", 10, 0, 10, null]));
    let held = json!(["reserved", 0, 3, 10, order]);
    assert_eq!(listed().await, [held.clone(), received.clone()]);
    pay(&shop.database, order).await;
    let sold = json!(["sold", -3, 0, 7, order]);
    let released = json!(["released", 0, -3, 10, order]);
    assert_eq!(listed().await, [sold, released, held, received]);
    assert_eq!(shop.counts().await, [7, 0, 0]);
    balances(&shop.database).await;
}
