//! These tests run concurrent purchases: no unit is sold twice, and all figures agree.

use std::collections::{HashMap, HashSet};

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::{CustomerId, ProductId};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tests::{Client, Database, Reply, Service, all, books_balance, differences};

#[tokio::test(flavor = "multi_thread")]
async fn of_64_buyers_of_the_last_10_units_exactly_10_get_one() {
    let service = Service::start().await;
    let admin = service.admin();
    let last = admin.add_product("LAST", "5.00", 10).await;
    let buyers = customers(&admin, 64, "100.00").await;
    let replies = all(buyers.into_iter().map(|buyer| {
        let staff = service.staff();
        async move { staff.buy_for(buyer, &[(last, 1)]).await }
    }))
    .await;
    let (sold, refused) = count(&replies, "insufficient_stock");
    assert_eq!((sold, refused), (10, 54));
    for reply in replies.iter().filter(|reply| reply.status == 409) {
        let shortage = json!([{"product_id": last, "requested": 1, "available": 0}]);
        assert_eq!(reply.json()["shortages"], shortage);
    }
    assert_eq!(on_hand(&admin, last).await, 0);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_purchases_of_one_customer_never_pass_its_limit() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let customer = admin.add_customer("Eager", "1000.00").await;
    // The limit allows 142 pieces at 7.00 and leaves 6.00. The 200 purchases, some of 3 pieces, exceed it.
    let piece = admin.add_product("PIECE", "7.00", 10_000).await;
    let replies = all((0..200).map(|number| {
        let staff = if number % 2 == 0 {
            one.staff()
        } else {
            two.staff()
        };
        let pieces = if number % 5 == 0 { 3 } else { 1 };
        async move { staff.buy_for(customer, &[(piece, pieces)]).await }
    }))
    .await;
    count(&replies, "credit_limit_exceeded");
    // The rest is less than one piece, so no purchase was rejected for another one that failed.
    let balance = balance(&admin, customer).await;
    assert_eq!(balance, Decimal::new(99_400, 2));
    let receipts = replies.iter().filter(|reply| reply.status == 201);
    let total: Decimal = receipts
        .map(|reply| amount(&reply.json(), "total_amount"))
        .sum();
    assert_eq!(total, balance);
    assert_eq!(on_hand(&admin, piece).await, 10_000 - 142);
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_and_confirmed_reservations_at_one_moment_fit_into_one_limit() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    // The purchases are of another product, because a purchase of the held product would use up the customer's holds.
    let kept = admin.add_product("KEPT", "70.00", 1000).await;
    let new = admin.add_product("NEW", "70.00", 1000).await;
    let mut refused = 0;
    for round in 1..=4 {
        // 14 orders fit and leave 20.00. 20 reservations (the maximum) and 20 purchases compete.
        let customer = format!("Eager {round}");
        let customer = admin.add_customer(&customer, "1000.00").await;
        let request = tests::purchase(customer, &[(kept, 1)]);
        let held = all((0..20).map(|_| {
            let (staff, request) = (one.staff(), request.clone());
            async move { staff.post("/api/reservations", &request).await.ok(201) }
        }))
        .await;
        let calls = held.into_iter().flat_map(|held| {
            let id = held["reservation_id"].as_str().unwrap();
            let confirm = format!("/api/reservations/{id}/confirm");
            let buy = tests::purchase(customer, &[(new, 1)]);
            [
                (confirm, json!({"payment_method": "credit"})),
                ("/api/purchase".to_owned(), buy),
            ]
        });
        let replies = all(calls.enumerate().map(|(number, (path, body))| {
            // Both kinds of request go to both instances.
            let staff = one.staff().at(if number % 4 < 2 { &one } else { &two });
            async move { staff.post(&path, &body).await }
        }))
        .await;
        assert_eq!(count(&replies, "credit_limit_exceeded"), (14, 26));
        assert_eq!(balance(&admin, customer).await, Decimal::new(98_000, 2));
        let confirms = replies.iter().step_by(2);
        refused += confirms.filter(|reply| reply.status != 201).count();
        books_balance(&one).await;
    }
    let left = on_hand(&admin, kept).await + on_hand(&admin, new).await;
    assert_eq!(left, 2000 - 4 * 14);
    // Reservations whose confirmation was rejected still hold their units.
    let held = format!("SELECT reserved FROM inventory WHERE product_id = '{kept}'");
    assert_eq!(one.database.value(&held).await, refused.to_string());
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_in_any_order_over_two_instances_never_deadlock() {
    const TASKS: usize = 24;
    const CARTS: usize = 30;
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let mut products = Vec::new();
    for number in 0..8 {
        let sku = format!("P{number}");
        products.push(admin.add_product(&sku, "1.00", 400).await);
    }
    let buyers = customers(&admin, TASKS, "10000.00").await;
    let mut stock: HashMap<ProductId, i64> = products.iter().map(|id| (*id, 400)).collect();
    let mut dice = dice();
    // In the first round each task has a customer of its own, so only products are shared. In the second round, two
    // tasks on different instances share a customer.
    for sharing in [1, 2] {
        let carts: Vec<Vec<[(ProductId, i64); 2]>> = (0..TASKS)
            .map(|_| {
                let cart = || {
                    let cart: Vec<_> = products.sample(&mut dice, 2).copied().collect();
                    [(cart[0], 1), (cart[1], 2)]
                };
                std::iter::repeat_with(cart).take(CARTS).collect()
            })
            .collect();
        // Each task purchases sequentially, which gives many small batches.
        let sales = all(carts.iter().cloned().enumerate().map(|(task, carts)| {
            let staff = one.staff().at(if task % 2 == 0 { &one } else { &two });
            let buyer = buyers[task / sharing];
            async move {
                let mut replies = Vec::new();
                for cart in carts {
                    replies.push(staff.buy_for(buyer, &cart).await);
                }
                replies
            }
        }));
        // Stock corrections and changes of customers run meanwhile on the same rows.
        let disturbances = all((0..TASKS).map(|task| {
            let admin = one.admin().at(if task % 2 == 0 { &one } else { &two });
            let (product, customer) = (products[task % 8], buyers[task]);
            async move {
                let adjust = json!({"adjust": 1, "reason": "found"});
                let at = format!("/api/inventory/{product}");
                admin.patch(&at, &adjust).await.ok(200);
                let raise = json!({"credit_limit": "20000.00"});
                let at = format!("/api/customers/{customer}");
                admin.patch(&at, &raise).await.ok(200);
            }
        }));
        let (replies, _) = tokio::join!(sales, disturbances);
        let replies: Vec<Reply> = replies.into_iter().flatten().collect();
        let (sold, _) = count(&replies, "insufficient_stock");
        let receipts = replies.iter().filter(|reply| reply.status == 201);
        let numbers = receipts.map(|reply| reply.json()["number"].to_string());
        assert_eq!(
            numbers.collect::<HashSet<_>>().len(),
            sold,
            "each order has a number of its own"
        );
        for (cart, reply) in carts.iter().flatten().zip(&replies) {
            for (product, quantity) in cart {
                *stock.get_mut(product).unwrap() -= quantity * i64::from(reply.status == 201);
            }
        }
        stock.values_mut().for_each(|left| *left += 3);
        books_balance(&one).await;
    }
    for (product, left) in stock {
        assert_eq!(on_hand(&admin, product).await, left);
    }
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_product_sells_out_over_two_instances_to_the_last_piece() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let hot = admin.add_product("HOT", "1.00", 300).await;
    let buyers = customers(&admin, 50, "1000.00").await;
    let replies = all((0..400).map(|number| {
        let staff = if number % 2 == 0 {
            one.staff()
        } else {
            two.staff()
        };
        let buyer = buyers[number % 50];
        async move { staff.buy_for(buyer, &[(hot, 1)]).await }
    }))
    .await;
    assert_eq!(count(&replies, "insufficient_stock"), (300, 100));
    assert_eq!(on_hand(&admin, hot).await, 0);
    // Each sale left one unit less than the one before, so none was decided with an old stock level.
    let sql = format!(
        "SELECT on_hand_after FROM order_items WHERE product_id = '{hot}' ORDER BY on_hand_after"
    );
    let counts: Vec<String> = (0..300).map(|left: i32| left.to_string()).collect();
    assert_eq!(one.database.column(&sql).await, counts);
    books_balance(&one).await;
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_for_each_customer_holds_under_parallel_purchases() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let body = json!({"sku": "DROP", "name": "Drop", "price": "1.00", "stock": 1000, "limit_per_customer": 3});
    let drop = admin.post("/api/products", &body).await.ok(201);
    let drop: ProductId = drop["id"].as_str().unwrap().parse().unwrap();
    let buyers = customers(&admin, 8, "1000.00").await;
    let replies = all((0..96).map(|number| {
        let staff = if number % 2 == 0 {
            one.staff()
        } else {
            two.staff()
        };
        let buyer = buyers[number % 8];
        async move { staff.buy_for(buyer, &[(drop, 1)]).await }
    }))
    .await;
    assert_eq!(count(&replies, "purchase_limit_reached"), (24, 72));
    let sql = "SELECT DISTINCT count(*) FROM orders WHERE customer_id IN
               (SELECT id FROM customers WHERE name LIKE 'Buyer %') GROUP BY customer_id";
    assert_eq!(one.database.column(sql).await, ["3"]);
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_and_lowered_limits_at_the_same_time_keep_the_limit_that_they_met() {
    let service = Service::start().await;
    let admin = service.admin();
    let customer = admin.add_customer("Shrinking", "500.00").await;
    let purchases = all((0..100).map(|_| {
        let staff = service.staff();
        async move { staff.buy_for(customer, &[(ACME_KEYBOARD, 1)]).await }
    }));
    let lowering = async {
        let lowered = json!({"credit_limit": "200.00"});
        let at = format!("/api/customers/{customer}");
        admin.patch(&at, &lowered).await.ok(200);
        balance(&admin, customer).await
    };
    let (replies, met) = tokio::join!(purchases, lowering);
    count(&replies, "credit_limit_exceeded");
    // Once the new limit was in effect, no purchase exceeded it.
    let after = balance(&admin, customer).await;
    assert!(
        after == met || after <= Decimal::new(20_000, 2),
        "{met} then {after}"
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_businesses_at_the_same_time_do_not_meet() {
    let service = Service::start().await;
    let admin = service.admin();
    let buyers = customers(&admin, 10, "1000.00").await;
    let replies = all((0..120).map(|number| {
        let (staff, stranger) = (service.staff(), service.stranger());
        let buyer = buyers[number % 10];
        async move {
            if number % 6 == 0 {
                stranger.buy_for(GLOBEX_CUSTOMER, &[(GLOBEX_DESK, 1)]).await
            } else {
                staff.buy_for(buyer, &[(ACME_KEYBOARD, 1)]).await
            }
        }
    }))
    .await;
    // A desk costs 399.00 and the limit is 2,000.00, so five of twenty purchases succeed.
    assert_eq!(count(&replies, "credit_limit_exceeded"), (105, 15));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_of_the_books_finds_every_difference() {
    let latest = "(SELECT id FROM orders ORDER BY id DESC LIMIT 1)";
    for (wrong, what) in [
        (
            format!("UPDATE customers SET balance = balance + 0.01 WHERE id = '{ACME_CUSTOMER}'"),
            "balance is not the sum of the ledger",
        ),
        (
            format!("UPDATE customers SET credit_limit = 1 WHERE id = '{ACME_CUSTOMER}'"),
            "balance is over a limit that was never lowered",
        ),
        (
            format!(
                "UPDATE ledger_entries SET balance_after = balance_after - 1 WHERE order_id = {latest}"
            ),
            "balance_after is not the running sum",
        ),
        (
            format!("UPDATE orders SET total_amount = total_amount + 1 WHERE id = {latest}"),
            "total is not the sum of the lines",
        ),
        (
            format!("DELETE FROM order_items WHERE order_id = {latest} AND line = 0"),
            "on_hand is not the sum of the movements and sales",
        ),
        (
            format!("DELETE FROM ledger_entries WHERE order_id = {latest}"),
            "a credit order has other than one charge of its total",
        ),
        (
            format!("DELETE FROM audit_events WHERE entity_id = {latest}"),
            "an order has other than one event of its making",
        ),
    ] {
        let service = Service::start().await;
        service
            .staff()
            .buy(&[(ACME_KEYBOARD, 1), (ACME_HEADPHONES, 1)])
            .await
            .ok(201);
        books_balance(&service).await;
        service.database.execute(&wrong).await;
        let found = differences(&service.database).await;
        assert!(
            found.iter().any(|line| line.contains(what)),
            "{wrong}: {found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_would_be_counted() {
    let database = Database::with_demo().await;
    let lock = |id| format!("SELECT FROM customers WHERE id = '{id}' FOR UPDATE");
    let first = database.hold(&lock(ACME_CUSTOMER)).await;
    let second = database.hold(&lock(GLOBEX_CUSTOMER)).await;
    let results = all([
        (first, lock(GLOBEX_CUSTOMER)),
        (second, lock(ACME_CUSTOMER)),
    ]
    .map(|(held, sql)| async move {
        let result = held.try_also(&sql).await;
        held.release().await;
        result.is_ok()
    }))
    .await;
    assert!(results.contains(&false), "there was no deadlock");
    assert_eq!(database.deadlocks().await, 1);
}

async fn customers(admin: &Client, count: usize, credit_limit: &str) -> Vec<CustomerId> {
    all((0..count).map(|number| {
        let (admin, limit) = (admin.clone(), credit_limit.to_owned());
        async move { admin.add_customer(&format!("Buyer {number}"), &limit).await }
    }))
    .await
}

/// The number of purchases that succeeded and the number rejected with this code. Any other response panics.
fn count(replies: &[Reply], refusal: &str) -> (usize, usize) {
    let sold = replies.iter().filter(|reply| reply.status == 201).count();
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.refused(409, refusal);
    }
    (sold, replies.len() - sold)
}

async fn on_hand(client: &Client, product: ProductId) -> i64 {
    let stock = client.get(&format!("/api/inventory/{product}")).await;
    stock.ok(200)["on_hand"].as_i64().unwrap()
}

async fn balance(client: &Client, customer: CustomerId) -> Decimal {
    let customer = client.get(&format!("/api/customers/{customer}")).await;
    amount(&customer.ok(200), "balance")
}

fn amount(document: &Value, member: &str) -> Decimal {
    document[member].as_str().unwrap().parse().unwrap()
}

/// Random numbers with a fixed seed, so that a failure can be reproduced.
fn dice() -> StdRng {
    StdRng::seed_from_u64(42)
}
