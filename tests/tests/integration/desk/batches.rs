//! These tests check purchases that share a batch or compete for it: the outcome depends only on the rows that each
//! needs.

use std::time::Duration;

use domain::Error;
use domain::demo::{ACME_HEADPHONES, ACME_KEYBOARD};
use entity::ProductId;
use futures_util::future::join_all;
use tests::clerk::{Clerk, buy};
use tests::{Service, all, books_balance, until};
use tokio::time::timeout;

/// One pass over the queue takes no more than eight of these carts, and all of them need the same row.
#[tokio::test(flavor = "multi_thread")]
async fn many_large_carts_of_the_same_products_are_all_sold() {
    const CARTS: i64 = 30;
    let service = Service::start().await;
    let admin = service.admin();
    let buyer = admin.add_customer("Buyer", "1000000.00").await;
    let pin = admin.add_product("PIN", "0.10", 500 * CARTS).await;
    let lines: Vec<(ProductId, i64)> = vec![(pin, 1); 500];
    let replies = all((0..CARTS).map(|_| {
        let (admin, lines) = (admin.clone(), lines.clone());
        async move { admin.buy_for(buyer, &lines).await }
    }));
    let replies = timeout(Duration::from_secs(60), replies).await;
    for reply in replies.expect("the desk does not respond") {
        reply.ok(201);
    }
    let left = admin.add_customer("Late", "100.00").await;
    let late = admin.buy_for(left, &[(pin, 1)]).await;
    late.refused(409, "insufficient_stock");
    books_balance(&service).await;
}

/// The only lane waits for the keyboards' row. Purchases that arrive meanwhile share the next batch.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_delays_no_command_of_the_batch_that_does_not_need_it() {
    let service = Service::start().await;
    let clerk = Clerk::with_lanes(&service.database, 1);
    let admin = service.admin();
    let mut buyers = Vec::new();
    for name in ["First", "Second", "Third", "Fourth"] {
        buyers.push(admin.add_customer(name, "1000.00").await);
    }
    let pin = admin.add_product("PIN", "1.00", 10).await;
    let lock = |product: ProductId| {
        format!("SELECT FROM inventory WHERE product_id = '{product}' FOR UPDATE")
    };
    let keyboards = service.database.hold(&lock(ACME_KEYBOARD)).await;
    let headphones = service.database.hold(&lock(ACME_HEADPHONES)).await;
    let first = {
        let (clerk, keyboard) = (clerk.clone(), buy(buyers[0], &[(ACME_KEYBOARD, 1)]));
        tokio::spawn(async move { clerk.ask(keyboard, None).await })
    };
    until("the lane waits for the lock of the keyboards", async || {
        service.database.blocked().await == 1
    })
    .await;
    let wants = [ACME_HEADPHONES, ACME_HEADPHONES, pin];
    let others = buyers[1..].iter().zip(wants);
    let others = others.map(|(buyer, product)| clerk.ask(buy(*buyer, &[(product, 1)]), None));
    // The purchases are queued when this is polled.
    let (answers, ()) = tokio::join!(join_all(others), keyboards.release());
    first.await.unwrap().unwrap();
    assert!(matches!(
        answers[..],
        [Err(Error::Overloaded), Err(Error::Overloaded), Ok(_)]
    ));
    headphones.release().await;
    assert_eq!(service.orders().await, 2);
    books_balance(&service).await;
}
