//! These tests check pipelined batches. Such a batch writes its orders while an earlier batch has not committed, based
//! on the predicted stock. It is validated under the locks: nothing is sold twice, no customer is rejected wrongly, and
//! no customer is overtaken.
//!
//! A trigger on the audit trail, the gate, stops each batch after its decision, in the middle of its writing, and
//! blocks nothing else. A lock would not do, because waiting for one ends after two seconds, which is short on a busy
//! machine.

use domain::desk::Executed;
use domain::{Error, Outcome};
use entity::{CustomerId, ProductId};
use serde_json::json;
use tests::clerk::{Clerk, buy};
use tests::program::{Folder, Program, command};
use tests::{Client, Reply, SECRET, SERVICE, Service, books_balance, hold, purchase, until};
use tokio::task::JoinHandle;

const GATE: &str = "
CREATE TABLE IF NOT EXISTS gate (state text);
CREATE TABLE IF NOT EXISTS let_through (pid int);
INSERT INTO gate VALUES ('closed');
CREATE OR REPLACE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    WHILE current_query() LIKE '%new_orders%' AND EXISTS (SELECT FROM gate)
          AND NOT EXISTS (SELECT FROM let_through WHERE pid = pg_backend_pid()) LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER wait_at_gate BEFORE INSERT ON audit_events FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate()";

/// Condition for sessions that are writing orders.
const WRITING: &str =
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                        AND state = 'active' AND query LIKE '%new_orders%'";

type Bought = JoinHandle<Result<Outcome<Executed>, Error>>;

struct Shop {
    service: Service,
    admin: Client,
    clerk: Clerk,
    wanted: ProductId,
    buyers: [CustomerId; 3],
}

impl Shop {
    /// Starts a service with this number of units of the product that everyone buys.
    async fn with(stock: i64) -> Self {
        let service = Service::start().await;
        let admin = service.admin();
        let clerk = Clerk::of_acme(&service.database);
        let wanted = admin.add_product("WANTED", "5.00", stock).await;
        let buyers = [
            admin.add_customer("First", "100.00").await,
            admin.add_customer("Second", "100.00").await,
            admin.add_customer("Third", "100.00").await,
        ];
        Self {
            service,
            admin,
            clerk,
            wanted,
            buyers,
        }
    }

    fn buy(&self, buyer: usize) -> Bought {
        let (clerk, work) = (
            self.clerk.clone(),
            buy(self.buyers[buyer], &[(self.wanted, 1)]),
        );
        tokio::spawn(async move { clerk.ask(work, None).await })
    }

    /// Corrects the stock; the request waits while the row is locked.
    fn correct(&self, by: i64) -> JoinHandle<Reply> {
        let (admin, path) = (
            self.admin.clone(),
            format!("/api/inventory/{}", self.wanted),
        );
        let correction = json!({"adjust": by, "reason": "correction"});
        tokio::spawn(async move { admin.patch(&path, &correction).await })
    }

    /// Stops the first batch while it writes, and a second batch for the same product beside it. If the second had to
    /// lock its stock first, it could not have begun.
    async fn two_at_the_gate(&self) -> (Bought, Bought) {
        self.close_gate().await;
        let first = self.buy(0);
        self.until_writing("1").await;
        let second = self.buy(1);
        self.until_writing("2").await;
        (first, second)
    }

    async fn close_gate(&self) {
        self.service.database.execute(GATE).await;
    }

    async fn open_gate(&self) {
        self.service
            .database
            .execute("DELETE FROM gate; DELETE FROM let_through")
            .await;
    }

    /// Lets the oldest batch continue; the others stay at the gate.
    async fn let_first_through(&self) {
        let sql =
            format!("INSERT INTO let_through SELECT pid {WRITING} ORDER BY xact_start LIMIT 1");
        self.service.database.execute(&sql).await;
    }

    async fn writing(&self) -> String {
        let sql = format!("SELECT count(*) {WRITING}");
        self.service.database.value(&sql).await
    }

    async fn until_writing(&self, batches: &str) {
        until("the batches write", async || {
            self.writing().await == batches
        })
        .await;
    }

    /// Waits until one session is blocked by the lock on the product's row.
    async fn until_locked_out(&self) {
        until("a batch waits for a lock", async || {
            self.service.database.blocked().await == 1
        })
        .await;
    }

    async fn on_hand(&self) -> i64 {
        let path = format!("/api/inventory/{}", self.wanted);
        self.admin.get(&path).await.ok(200)["on_hand"]
            .as_i64()
            .unwrap()
    }

    /// Buyers of the product in order of the orders' ids, each with the stock level that their order left.
    async fn sold(&self) -> Vec<String> {
        let sql = format!(
            "SELECT c.name || ' ' || i.on_hand_after FROM orders o JOIN order_items i ON i.order_id = o.id
               JOIN customers c ON c.id = o.customer_id WHERE i.product_id = '{}' ORDER BY o.id",
            self.wanted
        );
        let rows = self.service.database.column(&sql).await;
        rows.iter()
            .map(|row| row.trim_matches('"').to_owned())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelined_batch_writes_before_the_previous_batch_commits() {
    let shop = Shop::with(10).await;
    shop.close_gate().await;
    let first = shop.buy(0);
    shop.until_writing("1").await;
    let second = shop.buy(1);
    // Both batches are writing. If the second had to lock its stock first, it could not have begun.
    shop.until_writing("2").await;
    shop.open_gate().await;
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(shop.sold().await, ["First 9", "Second 8"]);
    assert_eq!(shop.on_hand().await, 8);
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_is_rolled_back_refuses_no_buyer() {
    let shop = Shop::with(1).await;
    let fails = format!(
        "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'on purpose'; END $$;
         CREATE TRIGGER fails AFTER INSERT ON orders FOR EACH ROW WHEN (NEW.customer_id = '{}') EXECUTE FUNCTION fails()",
        shop.buyers[0]
    );
    shop.service.database.execute(&fails).await;
    // The first batch has locked its stock and predicted zero units. It waits here and then fails.
    shop.close_gate().await;
    let first = shop.buy(0);
    shop.until_writing("1").await;
    let second = shop.buy(1);
    shop.until_locked_out().await;
    shop.open_gate().await;
    assert!(first.await.unwrap().is_err(), "the first order was placed");
    second.await.unwrap().unwrap();
    assert_eq!(shop.sold().await, ["Second 0"]);
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_predicted_stock_is_sent_after_the_prediction_is_committed() {
    let shop = Shop::with(1).await;
    shop.close_gate().await;
    let first = shop.buy(0);
    shop.until_writing("1").await;
    let second = shop.buy(1);
    shop.until_locked_out().await;
    assert!(!second.is_finished());
    shop.open_gate().await;
    first.await.unwrap().unwrap();
    let refused = second.await.unwrap();
    assert!(
        matches!(&refused, Err(Error::InsufficientStock(shortages)) if shortages[0].available == 0),
        "{refused:?}"
    );
    assert_eq!(shop.sold().await, ["First 0"]);
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_that_comes_between_is_counted_and_the_follower_decided_after_it() {
    let shop = Shop::with(10).await;
    let (first, second) = shop.two_at_the_gate().await;
    let correction = shop.correct(5);
    shop.until_locked_out().await;
    shop.let_first_through().await;
    first.await.unwrap().unwrap();
    correction.await.unwrap().ok(200);
    shop.open_gate().await;
    second.await.unwrap().unwrap();
    assert_eq!(shop.sold().await, ["First 9", "Second 13"]);
    let later = "SELECT (SELECT max(id::text) FROM orders) > (SELECT id::text FROM stock_movements WHERE reason = 'correction')";
    assert_eq!(shop.service.database.value(later).await, "t");
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_between_that_cancel_each_other_out_are_seen_and_stand_where_they_were_made() {
    let shop = Shop::with(10).await;
    let (first, second) = shop.two_at_the_gate().await;
    shop.let_first_through().await;
    first.await.unwrap().unwrap();
    for by in [5, -5] {
        shop.correct(by).await.unwrap().ok(200);
    }
    shop.open_gate().await;
    second.await.unwrap().unwrap();
    let path = format!("/api/inventory/{}/movements", shop.wanted);
    let movements = shop.admin.pages(&path, 10).await;
    let after = movements.iter().map(|row| row["on_hand_after"].as_i64());
    let after: Vec<_> = after.flatten().collect();
    assert_eq!(after, [8, 9, 14, 9, 10]);
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_batches_stay_behind_a_first_batch_that_is_retried() {
    let shop = Shop::with(10).await;
    let (first, second) = shop.two_at_the_gate().await;
    let third = shop.buy(2);
    let kill = format!("SELECT pg_terminate_backend(pid) {WRITING} ORDER BY xact_start LIMIT 1");
    assert_eq!(shop.service.database.value(&kill).await, "t");
    shop.open_gate().await;
    for purchase in [first, second, third] {
        purchase.await.unwrap().unwrap();
    }
    assert_eq!(shop.sold().await, ["First 9", "Second 8", "Third 7"]);
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_with_holds_is_not_predicted() {
    let shop = Shop::with(10).await;
    let held = json!({"customer_id": shop.buyers[2], "items": [{"product_id": shop.wanted, "quantity": 4}]});
    let path = "/api/reservations";
    shop.admin.post(path, &held).await.ok(201);
    shop.close_gate().await;
    let first = shop.buy(0);
    shop.until_writing("1").await;
    let second = shop.buy(1);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(shop.writing().await, "1");
    shop.open_gate().await;
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(shop.sold().await, ["First 9", "Second 8"]);
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_holds_are_released_under_their_lock_only() {
    let shop = Shop::with(10).await;
    let other = shop.admin.add_product("OTHER", "5.00", 1).await;
    hold(&shop.service, other, 1, -1).await;
    shop.close_gate().await;
    let first = shop.buy(0);
    shop.until_writing("1").await;
    let (clerk, cart) = (shop.clerk.clone(), [(shop.wanted, 1), (other, 1)]);
    let work = buy(shop.buyers[1], &cart);
    let second = tokio::spawn(async move { clerk.ask(work, None).await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    // The second batch has read the expired hold and waits for the first batch to end.
    assert_eq!(shop.writing().await, "1");
    shop.open_gate().await;
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(shop.sold().await, ["First 9", "Second 8"]);
    let stock = format!("SELECT on_hand, reserved FROM inventory WHERE product_id = '{other}'");
    assert_eq!(shop.service.database.value(&stock).await, "0,0");
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_validated_and_failed_pipelined_batches() {
    let shop = Shop::with(10).await;
    let folder = Folder::open();
    let mut command = command(&folder.data, &[]);
    command
        .env("DATABASE_URL", shop.service.database.url(SERVICE))
        .env("TRADELINE_JWT_SECRET", SECRET);
    let program = Program::spawn(&mut command).await;
    let counted = async || {
        let (_, page) = program.get("/metrics", None).await;
        ["validated", "failed"].map(|how| {
            let name = format!("tradeline_desk_pipelined_{how}_total ");
            let count = page.lines().find_map(|line| line.strip_prefix(&name));
            count.unwrap_or("0").to_owned()
        })
    };
    let admin = shop.admin.at_base(&program.base);
    // Two purchases of the same product, the second in a pipelined batch.
    let buy = async || {
        let both = [0, 1].map(|buyer| {
            let cart = purchase(shop.buyers[buyer], &[(shop.wanted, 1)]);
            (admin.clone(), cart)
        });
        let mut sales = Vec::new();
        for (writing, (admin, cart)) in ["1", "2"].into_iter().zip(both) {
            sales.push(tokio::spawn(async move {
                admin.post("/api/purchase", &cart).await
            }));
            shop.until_writing(writing).await;
        }
        sales
    };
    let sold = async |sales: Vec<JoinHandle<Reply>>| {
        for sale in sales {
            sale.await.unwrap().ok(201);
        }
    };
    shop.close_gate().await;
    let kept = buy().await;
    shop.open_gate().await;
    sold(kept).await;
    assert_eq!(counted().await, ["1", "0"]);

    shop.close_gate().await;
    let broken = buy().await;
    let correction = shop.correct(5);
    shop.until_locked_out().await;
    shop.let_first_through().await;
    correction.await.unwrap().ok(200);
    shop.open_gate().await;
    sold(broken).await;
    assert_eq!(counted().await, ["1", "1"]);
}
