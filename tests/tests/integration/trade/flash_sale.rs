//! These tests check a flash sale: many buyers compete for few units by every endpoint, on two services, one of which
//! may be killed. Exactly the units on hand are sold, each reservation is resolved once, and every buyer gets a result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::demo::{ACME, ACME_CUSTOMER};
use domain::stock::reservations::sweep;
use entity::{CustomerId, ProductId};
use reqwest::Method;
use serde_json::{Value, json};
use tests::program::{Folder, Program, command};
use tests::{
    Client, Database, Reply, SECRET, SERVICE, Service, all, books_balance, differences, until,
};

const UNITS: i64 = 20;

/// The result for one buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    Bought,
    SoldOut,
    Insufficient,
    /// The buyer has reached the limit of one per customer.
    Limited,
    /// The buyer stopped and let the reservation expire.
    Away,
}

/// The endpoints that a buyer uses.
#[derive(Debug, Clone, Copy)]
enum Way {
    Purchase,
    /// Reserves, then confirms.
    Reserve,
    /// Reserves, or joins the waitlist, then confirms.
    Wait,
    /// Reserves as `Wait` does, then stops.
    Abandon,
}

/// A buyer of one unit. Retries with idempotency keys, on each service in turn, until a response arrives.
#[derive(Clone)]
struct Buyer {
    doors: Arc<Mutex<Vec<Client>>>,
    database: Database,
    customer: CustomerId,
    product: ProductId,
    number: usize,
}

impl Buyer {
    fn way(&self) -> Way {
        [
            Way::Purchase,
            Way::Reserve,
            Way::Wait,
            Way::Abandon,
            Way::Wait,
        ][self.number % 5]
    }

    /// Retries until the response is a decision: overload, shutdown and database failures are retried.
    async fn ask(&self, path: &str, body: Option<&Value>, what: &str) -> Reply {
        for attempt in 0..600 {
            let door = {
                let doors = self.doors.lock().unwrap();
                doors[(self.number + attempt) % doors.len()].clone()
            };
            let request = match body {
                Some(body) => door
                    .request(Method::POST, path)
                    .header("Idempotency-Key", format!("{what}-{}", self.customer))
                    .body(body.to_string()),
                None => door.request(Method::GET, path),
            };
            match door.try_send(request).await {
                Ok(reply) if reply.status < 500 => return reply,
                Ok(reply) => assert!([500, 503].contains(&reply.status), "{}", reply.text),
                Err(_gone) => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: no response for {}", self.customer);
    }

    fn items(&self) -> Value {
        json!([{"product_id": self.product, "quantity": 1}])
    }

    async fn go(self) -> End {
        let way = self.way();
        let wait = matches!(way, Way::Wait | Way::Abandon);
        let reply = match way {
            Way::Purchase => {
                let body = json!({"customer_id": self.customer, "items": self.items()});
                self.ask("/api/purchase", Some(&body), "buy").await
            }
            _ => {
                let body =
                    json!({"customer_id": self.customer, "items": self.items(), "wait": wait});
                self.ask("/api/reservations", Some(&body), "reserve").await
            }
        };
        if let Some(end) = refused(&reply) {
            return end;
        }
        if matches!(way, Way::Purchase) {
            reply.ok(201);
            return End::Bought;
        }
        let path = format!(
            "/api/reservations/{}",
            reply.json()["reservation_id"].as_str().unwrap()
        );
        if matches!(way, Way::Abandon) {
            expire(&self.database, self.product, &path).await;
            return End::Away;
        }
        for _ in 0..600 {
            let found = self.ask(&path, None, "look").await.ok(200);
            match found["status"].as_str().unwrap() {
                "active" => {
                    let credit = json!({"payment_method": "credit"});
                    let confirm = format!("{path}/confirm");
                    let bought = self.ask(&confirm, Some(&credit), "confirm").await.ok(201);
                    assert_eq!(bought["items"][0]["quantity"], 1);
                    return End::Bought;
                }
                "sold_out" => return End::SoldOut,
                other => {
                    assert_eq!(other, "waiting");
                    assert!(found["place"].as_i64().unwrap() > 0, "{found}");
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} never got sold_out", self.customer);
    }
}

fn refused(reply: &Reply) -> Option<End> {
    if reply.status != 409 {
        return None;
    }
    Some(match reply.json()["code"].as_str().unwrap() {
        "sold_out" => End::SoldOut,
        "insufficient_stock" => End::Insufficient,
        "purchase_limit_reached" => End::Limited,
        other => panic!("{other}"),
    })
}

/// Lets one reservation expire unless it is resolved. It locks the stock first, as all transactions do.
async fn expire(database: &Database, product: ProductId, path: &str) {
    let id = path.rsplit('/').next().unwrap();
    let sql = format!(
        "BEGIN; SELECT FROM inventory WHERE product_id = '{product}' FOR UPDATE;
         UPDATE reservations SET expires_at = now() WHERE id = '{id}';
         UPDATE reservation_items SET expires_at = now() WHERE reservation_id = '{id}'; COMMIT"
    );
    database.execute(&sql).await;
}

async fn buyers(admin: &Client, count: usize) -> Vec<CustomerId> {
    all((0..count).map(|number| {
        let admin = admin.clone();
        async move {
            admin
                .add_customer(&format!("Buyer {number}"), "10.00")
                .await
        }
    }))
    .await
}

/// Creates a product with a limit of one per customer.
async fn scarce(admin: &Client) -> ProductId {
    let body = json!({"sku": "SCARCE", "name": "Scarce", "price": "1.00", "stock": UNITS, "limit_per_customer": 1});
    let added = admin.post("/api/products", &body).await.ok(201);
    added["id"].as_str().unwrap().parse().unwrap()
}

/// Asserts that all units were sold, each to another customer, and that none is left or held.
async fn all_were_sold(database: &Database, product: ProductId, ends: &[End]) {
    let bought = ends.iter().filter(|end| **end == End::Bought).count();
    assert_eq!(bought, usize::try_from(UNITS).unwrap(), "{ends:?}");
    let sold = format!(
        "SELECT sum(quantity), count(DISTINCT customer_id), max(quantity), count(*)
           FROM order_items i JOIN orders o ON o.id = i.order_id WHERE product_id = '{product}'"
    );
    assert_eq!(
        database.value(&sold).await,
        format!("{UNITS},{UNITS},1,{UNITS}")
    );
    let left =
        format!("SELECT on_hand, reserved, waiting FROM inventory WHERE product_id = '{product}'");
    until("the last abandoned reservations are swept", async || {
        database.value(&left).await == "0,0,0"
    })
    .await;
    let found = differences(database).await;
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_200_buyers_on_two_services_exactly_20_get_a_unit_and_all_learn_the_outcome() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let product = scarce(&admin).await;
    let doors = Arc::new(Mutex::new(vec![one.staff(), two.staff()]));
    // Every tenth customer buys twice at the same time, by different endpoints.
    let ids = buyers(&admin, 200).await;
    let twice = ids
        .iter()
        .copied()
        .enumerate()
        .filter(|(at, _)| at % 10 == 0);
    let second: Vec<_> = twice.map(|(at, id)| (at + 1, id)).collect();
    let buyer = |number, customer| Buyer {
        doors: Arc::clone(&doors),
        database: one.database.clone(),
        customer,
        product,
        number,
    };
    let first = all(ids
        .iter()
        .copied()
        .enumerate()
        .map(|(at, id)| buyer(at, id).go()));
    let again = all(second.into_iter().map(|(number, customer)| {
        let staff = if number % 4 == 1 {
            one.staff()
        } else {
            two.staff()
        };
        async move {
            let reply = staff.buy_for(customer, &[(product, 1)]).await;
            refused(&reply).unwrap_or_else(|| {
                reply.ok(201);
                End::Bought
            })
        }
    }));
    let (ends, again) = tokio::join!(first, again);
    let ends: Vec<End> = ends.into_iter().chain(again).collect();
    let mut counted: HashMap<End, usize> = HashMap::new();
    for end in &ends {
        *counted.entry(*end).or_default() += 1;
    }
    all_were_sold(&one.database, product, &ends).await;
    assert!(counted[&End::SoldOut] > 0, "{counted:?}");
    books_balance(&one).await;
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_is_killed_in_the_middle_of_a_sale_and_still_exactly_20_are_sold() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = scarce(&admin).await;
    let ids = buyers(&admin, 100).await;
    let database = service.database.clone();
    service.stop().await;

    let folder = Folder::open();
    let spawn = async || {
        let mut command = command(&folder.data, &[]);
        command
            .env("DATABASE_URL", database.url(SERVICE))
            .env("TRADELINE_JWT_SECRET", SECRET)
            .env("TRADELINE_RATE_LIMIT", "off");
        Program::spawn(&mut command).await
    };
    let mut program = spawn().await;
    let doors = Arc::new(Mutex::new(vec![staff.at_base(&program.base)]));
    let selling = all(ids.into_iter().enumerate().map(|(number, customer)| {
        let buyer = Buyer {
            doors: Arc::clone(&doors),
            database: database.clone(),
            customer,
            product,
            number,
        };
        async move {
            tokio::time::sleep(Duration::from_millis(20 * number as u64)).await;
            buyer.go().await
        }
    }));
    let sold = format!("SELECT count(*) FROM order_items WHERE product_id = '{product}'");
    let sold = async || -> i64 { database.value(&sold).await.parse().unwrap() };
    let killing = async {
        until("some units are sold", async || sold().await >= 4).await;
        program.child.kill().unwrap();
        program.child.wait().unwrap();
        assert!(sold().await < UNITS, "it was killed too late");
        program = spawn().await;
        *doors.lock().unwrap() = vec![staff.at_base(&program.base)];
        let second = spawn().await;
        doors.lock().unwrap().push(staff.at_base(&second.base));
        second
    };
    let (ends, second) = tokio::join!(selling, killing);
    all_were_sold(&database, product, &ends).await;
    drop((program, second));
    assert_eq!(database.deadlocks().await, 0);
}

/// Reserves one unit and returns the reservation's path.
async fn reserve(staff: &Client, product: ProductId) -> String {
    let body =
        json!({"customer_id": ACME_CUSTOMER, "items": [{"product_id": product, "quantity": 1}]});
    let reply = staff.post("/api/reservations", &body).await;
    reply.ok(201);
    reply.header("location").to_owned()
}

async fn resolve(client: Client, path: String, how: &str) -> Reply {
    let request = client.request(Method::POST, &format!("{path}/{how}"));
    let body = json!({"payment_method": "credit"}).to_string();
    let request = if how == "confirm" {
        request.body(body)
    } else {
        request
    };
    client.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmed_and_cancelled_by_many_at_the_same_moment_it_resolves_once() {
    let (one, two) = Service::two().await;
    let product = one.admin().add_product("P", "1.00", 100).await;
    let mut confirmed = 0;
    for _ in 0..10 {
        let path = reserve(&one.staff(), product).await;
        let replies = all((0..12).map(|number| {
            let client = if number % 2 == 0 {
                one.staff()
            } else {
                two.staff()
            };
            let how = if number / 2 % 2 == 0 {
                "confirm"
            } else {
                "cancel"
            };
            let path = path.clone();
            async move { (how, resolve(client, path, how).await) }
        }))
        .await;
        let (won, lost): (Vec<_>, Vec<_>) =
            replies.iter().partition(|(_, reply)| reply.status < 300);
        assert_eq!(won.len(), 1, "{won:?}");
        let (became, back) = match won[0].0 {
            "confirm" => ("confirmed", 0),
            _ => ("cancelled", 1),
        };
        confirmed += 1 - back;
        for (how, reply) in lost {
            let refused = reply.refused(409, "invalid_transition");
            assert_eq!(refused["from"], became);
            assert_eq!(
                refused["to"],
                if *how == "confirm" {
                    "confirmed"
                } else {
                    "cancelled"
                }
            );
        }
        assert_eq!(one.staff().get(&path).await.ok(200)["status"], became);
    }
    assert_eq!(one.orders().await, confirmed);
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_of_one_key_at_once_make_one_reservation_and_one_order() {
    let (one, two) = Service::two().await;
    let product = one.admin().add_product("P", "1.00", 100).await;
    let staff = one.staff();
    let body =
        json!({"customer_id": ACME_CUSTOMER, "items": [{"product_id": product, "quantity": 1}]});
    let same = async |key: String, path: &str, body: &Value| {
        let replies = all((0..16).map(|number| {
            let client = if number % 2 == 0 {
                staff.clone()
            } else {
                staff.at(&two)
            };
            let (key, path, body) = (key.clone(), path.to_owned(), body.clone());
            async move { client.post_once(&key, &path, &body).await }
        }))
        .await;
        let first = replies[0].ok(201);
        for reply in &replies {
            assert_eq!(reply.ok(201), first);
        }
        let made = replies
            .iter()
            .filter(|one| one.header("idempotency-replayed").is_empty());
        assert_eq!(made.count(), 1);
        first
    };
    for round in 1..=5 {
        let held = same(format!("hold-{round}"), "/api/reservations", &body).await;
        let id = held["reservation_id"].as_str().unwrap();
        let credit = json!({"payment_method": "credit"});
        let path = format!("/api/reservations/{id}/confirm");
        same(format!("buy-{round}"), &path, &credit).await;
        assert_eq!(one.orders().await, round);
        assert_eq!(
            one.database
                .value("SELECT count(*) FROM reservations")
                .await,
            round.to_string()
        );
    }
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_expires_while_it_is_confirmed_is_bought_or_released_and_never_both() {
    let (one, two) = Service::two().await;
    let product = one.admin().add_product("P", "1.00", 100).await;
    let (mut bought, mut gone) = (0, 0);
    for round in 0..40 {
        let path = reserve(&one.staff(), product).await;
        let id = path.rsplit('/').next().unwrap();
        // The reservation expires within 50 ms by the database's clock.
        let soon = format!(
            "DO $$ DECLARE soon timestamptz := clock_timestamp() + interval '{} milliseconds'; BEGIN
                 UPDATE reservations SET expires_at = soon WHERE id = '{id}';
                 UPDATE reservation_items SET expires_at = soon WHERE reservation_id = '{id}';
             END $$",
            round * 2 % 50
        );
        one.database.execute(&soon).await;
        let replies = all((0..4).map(|number| {
            let client = if number % 2 == 0 {
                one.staff()
            } else {
                two.staff()
            };
            resolve(client, path.clone(), "confirm")
        }))
        .await;
        let sold = replies.iter().filter(|reply| reply.status == 201).count();
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            match sold {
                0 => reply.refused(410, "reservation_expired"),
                _ => reply.refused(409, "invalid_transition"),
            };
        }
        let status = one.staff().get(&path).await.ok(200)["status"].clone();
        assert_eq!(status, if sold == 1 { "confirmed" } else { "expired" });
        assert!(sold <= 1);
        bought += sold;
        gone += 1 - sold;
        assert_eq!(one.orders().await, bought);
    }
    assert!(bought > 0 && gone > 0, "{bought} bought, {gone} gone");
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweepers_and_desks_at_once_free_each_thing_once_and_never_meet_in_a_deadlock() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let ids = buyers(&admin, 30).await;
    let mut products = Vec::new();
    for number in 0..8 {
        products.push(admin.add_product(&format!("P{number}"), "0.01", 1000).await);
    }
    let pools = [0; 3].map(|_| domain::Database::new(&one.database.url(SERVICE), 2).unwrap());
    for round in 0..6 {
        // Each cart has three products, in varying order.
        let cart = |number: usize| -> Vec<Value> {
            let picks = [number, number * 3 + round + 1, number * 5 + 3].map(|at| products[at % 8]);
            picks
                .map(|id| json!({"product_id": id, "quantity": 1}))
                .to_vec()
        };
        let asks = |path: &'static str, times: usize| {
            let made: Vec<_> = (0..30 * times)
                .map(|number| {
                    let client = if number % 2 == 0 {
                        one.staff()
                    } else {
                        two.staff()
                    };
                    let body = json!({"customer_id": ids[number % 30], "items": cart(number)});
                    async move { client.post(path, &body).await }
                })
                .collect();
            all(made)
        };
        for reply in asks("/api/reservations", 3).await {
            reply.ok(201);
        }
        for table in ["reservations", "reservation_items"] {
            let older =
                format!("UPDATE {table} SET expires_at = expires_at - interval '301 seconds'");
            one.database.execute(&older).await;
        }
        let sweeping = async |pool: &domain::Database| {
            for _ in 0..8 {
                sweep(pool, ACME).await.unwrap();
            }
        };
        let (replies, ..) = tokio::join!(
            asks("/api/purchase", 2),
            sweeping(&pools[0]),
            sweeping(&pools[1]),
            sweeping(&pools[2]),
        );
        for reply in replies {
            reply.ok(201);
        }
    }
    sweep(&pools[0], ACME).await.unwrap();
    let held = "SELECT coalesce(sum(reserved), 0) FROM inventory";
    assert_eq!(one.database.value(held).await, "0");
    let twice = "SELECT count(*) FROM (SELECT FROM stock_movements WHERE reserved < 0
                  GROUP BY reservation_id, product_id HAVING count(*) > 1) AS twice";
    assert_eq!(one.database.value(twice).await, "0");
    let counts = "SELECT count(*) FILTER (WHERE times <> 1), count(*)
                  FROM (SELECT r.id, count(e.id) AS times
                          FROM reservations r LEFT JOIN audit_events e
                            ON e.entity_id = r.id AND e.action = 'reservation.expired'
                         GROUP BY r.id) AS each";
    assert_eq!(one.database.value(counts).await, "0,540");
    books_balance(&one).await;
    assert_eq!(one.database.deadlocks().await, 0);
}
