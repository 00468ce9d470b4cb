//! These tests check `updated_since`: a system that follows the cursor sees every commit, and its copy equals the list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::audit::seals;
use domain::demo::{ACME, ACME_HEADPHONES};
use entity::{CustomerId, EventId, ProductId};
use serde_json::{Value, json};
use tests::{
    Client, Database, Held, Reply, SERVICE, Service, StripeShop, all, books_balance, until,
};

use crate::money::payments::{order, pay, reverse, shop};

const ORDERS: &str = "/api/orders";
const CUSTOMERS: &str = "/api/customers";
const PRODUCTS: &str = "/api/products";
const PAYMENTS: &str = "/api/payments";
const LISTS: [&str; 4] = [ORDERS, CUSTOMERS, PRODUCTS, PAYMENTS];

/// A system that keeps a copy of a list.
struct Follower {
    client: Client,
    list: &'static str,
    limit: usize,
    cursor: String,
    copy: BTreeMap<String, Value>,
}

fn id(row: &Value) -> String {
    let id = ["order_id", "payment_id", "id"]
        .iter()
        .find_map(|name| row[*name].as_str());
    id.unwrap_or_else(|| panic!("{row}")).to_owned()
}

/// A row without what changes with stock and time, and without the name of its customer, whose change is one of the
/// customer.
fn lasting(mut row: Value) -> Value {
    if let Some(row) = row.as_object_mut() {
        row.remove("available");
        row.remove("customer_name");
    }
    row
}

impl Follower {
    /// Begins with every change since this time.
    async fn since(client: &Client, list: &'static str, since: &str) -> Self {
        let path = format!("{list}?updated_since={since}&limit=1");
        let page = client.get(&path).await.ok(200);
        let mut follower = Self {
            client: client.clone(),
            list,
            limit: 50,
            cursor: String::new(),
            copy: BTreeMap::new(),
        };
        follower.take(&page);
        follower
    }

    /// Begins with the changes that are still to come.
    async fn from_now(service: &Service, list: &'static str) -> Self {
        // Transactions of other tests on this server keep changes back.
        let sql = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > max(transaction_id) FROM audit_events";
        until("all changes so far are visible", async || {
            service.database.value(sql).await == "t"
        })
        .await;
        let follower = Self::since(&service.admin(), list, "2999-01-01").await;
        assert_eq!(follower.copy, BTreeMap::new());
        follower
    }

    fn take(&mut self, page: &Value) -> Vec<String> {
        let rows = page["data"].as_array().unwrap();
        let ids: Vec<String> = rows.iter().map(id).collect();
        let distinct: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "a page has a row twice: {ids:?}");
        for row in rows {
            self.copy.insert(id(row), lasting(row.clone()));
        }
        self.cursor = page["next_cursor"].as_str().unwrap().to_owned();
        ids
    }

    /// Follows to the end. Returns the ids of all rows in their order.
    async fn follow(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let Self {
                list,
                limit,
                cursor,
                ..
            } = self;
            let path = format!("{list}?limit={limit}&cursor={cursor}");
            let page = self.client.get(&path).await.ok(200);
            let ids = self.take(&page);
            assert!(ids.len() <= self.limit);
            seen.extend(ids);
            if page["has_more"] == false {
                return seen;
            }
        }
    }

    /// Whether the copy equals the list.
    async fn is_complete(&mut self) -> bool {
        self.follow().await;
        let rows = self.client.pages(self.list, 200).await;
        let rows = rows.into_iter().map(|row| (id(&row), lasting(row)));
        rows.collect::<BTreeMap<_, _>>() == self.copy
    }
}

/// The followers of all lists, from now on.
async fn followers(service: &Service) -> Vec<Follower> {
    let mut followers = Vec::new();
    for list in LISTS {
        followers.push(Follower::from_now(service, list).await);
    }
    followers
}

/// Asserts that these rows and no others have changed, by list.
async fn assert_changed(followers: &mut [Follower], what: &str, expected: &[(&str, &[&str])]) {
    for follower in followers {
        let changed = expected.iter().find(|(list, _)| *list == follower.list);
        let changed = changed.map_or(&[][..], |(_, ids)| ids);
        let changed: BTreeSet<String> = changed.iter().map(|id| (*id).to_owned()).collect();
        let mut seen = BTreeSet::new();
        until(&format!("{}: {what}", follower.list), async || {
            seen.extend(follower.follow().await);
            seen.is_superset(&changed)
        })
        .await;
        assert_eq!(seen, changed, "{}: {what}", follower.list);
    }
}

/// Changes a customer in a transaction that stays open.
async fn change_late(database: &Database, customer: CustomerId, name: &str) -> Held {
    let event = EventId::new();
    database
        .hold(&format!(
            "INSERT INTO audit_events (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id)
             VALUES ('{ACME}', '{event}', 'customer.changed', 'customer', '{customer}', '{ACME}', 'admin', 'late');
             UPDATE customers SET name = '{name}', updated_at = now() WHERE business_id = '{ACME}' AND id = '{customer}'"
        ))
        .await
}

/// One of the ways in which a shop's rows change. `round` chooses it.
async fn write(client: &Client, customer: CustomerId, unit: ProductId, round: usize) {
    let path = |noun: &str| format!("/api/customers/{customer}{noun}");
    let bought = client.buy_for(customer, &[(unit, 3)]).await.ok(201);
    let bought = bought["order_id"].as_str().unwrap();
    match round % 7 {
        0 => {
            let more = json!({"on_account": true});
            let paid = pay(client, customer, "5.00", more).await;
            paid.ok(201);
            // The credit may be paid out meanwhile.
            let reversed = reverse(client, &paid).await;
            assert!([201, 409].contains(&reversed.status), "{}", reversed.text);
        }
        1 => {
            client.do_to(bought, "cancel", &json!({})).await.ok(200);
        }
        2 => {
            let more = json!({"on_account": true});
            pay(client, customer, "50.00", more).await.ok(201);
            let body = json!({"amount": "1.00", "method": "cash"});
            let paid_out = client.post(&path("/payouts"), &body).await;
            assert!([201, 409].contains(&paid_out.status), "{}", paid_out.text);
        }
        3 => {
            let body = json!({"amount": "1.00", "reason": "scratched"});
            let note = client.do_to(bought, "credit-notes", &body).await;
            assert!([201, 409].contains(&note.status), "{}", note.text);
        }
        4 => {
            let body = json!({"name": format!("Name {round}")});
            client.patch(&path(""), &body).await.ok(200);
        }
        5 => {
            let body = json!({"description": format!("Text {round}")});
            let path = format!("/api/products/{unit}");
            client.patch(&path, &body).await.ok(200);
        }
        _ => {
            client.post(&path("/allocations"), &json!({})).await;
            client.do_to(bought, "fulfill", &json!({})).await.ok(200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_of_changes_equals_the_list_whoever_writes_meanwhile() {
    let (one, other) = Service::two().await;
    let admin = one.admin();
    let mut units = Vec::new();
    let mut late = Vec::new();
    for number in 0..3 {
        let sku = format!("UNIT-{number}");
        units.push(admin.add_product(&sku, "1.00", 100_000).await);
        late.push(admin.add_customer("Early", "0").await);
    }
    let done = Arc::new(AtomicBool::new(false));
    // Two followers a list: one in short pages.
    let mut following = Vec::new();
    for (list, limit) in LISTS.iter().flat_map(|list| [(list, 3), (list, 200)]) {
        let mut follower = Follower::since(&admin.at(&other), list, "1970-01-01").await;
        follower.limit = limit;
        let done = Arc::clone(&done);
        following.push(tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                follower.follow().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            follower
        }));
    }
    let writers = (0..6).map(|writer| {
        let client = admin.at(if writer % 2 == 0 { &one } else { &other });
        let unit = units[writer % 3];
        async move {
            let customer = client.add_customer("Writer", "100000.00").await;
            for round in 0..14 {
                write(&client, customer, unit, round + writer).await;
            }
        }
    });
    let writers = tokio::spawn(all(writers.collect::<Vec<_>>()));
    // Each is written before others and committed after them.
    for (number, customer) in late.iter().enumerate() {
        let held = change_late(&one.database, *customer, &format!("Late {number}")).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        held.commit().await;
    }
    writers.await.unwrap();
    done.store(true, Ordering::Relaxed);
    for follower in following {
        let mut follower = follower.await.unwrap();
        until(&format!("the copy equals {}", follower.list), async || {
            follower.is_complete().await
        })
        .await;
        if follower.list == CUSTOMERS {
            for (number, customer) in late.iter().enumerate() {
                let row = &follower.copy[&customer.to_string()];
                assert_eq!(row["name"], format!("Late {number}"));
            }
        }
    }
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_committed_late_comes_after_those_that_were_committed_before() {
    let service = Service::start().await;
    let admin = service.admin();
    let (late, early) = (
        admin.add_customer("Late", "0").await,
        admin.add_customer("Early", "0").await,
    );
    let mut follower = Follower::from_now(&service, CUSTOMERS).await;
    let held = change_late(&service.database, late, "Committed late").await;
    let path = format!("/api/customers/{early}");
    admin
        .patch(&path, &json!({"name": "Early too"}))
        .await
        .ok(200);
    // It could still be preceded by the one that is open.
    assert_eq!(follower.follow().await, [""; 0]);
    held.commit().await;
    let mut seen = Vec::new();
    until("both changes are seen", async || {
        seen.extend(follower.follow().await);
        seen.len() == 2
    })
    .await;
    assert_eq!(seen, [late.to_string(), early.to_string()]);
    assert_eq!(follower.copy[&late.to_string()]["name"], "Committed late");
}

fn posted(made: &Reply) -> String {
    made.ok(201);
    let location = made.header("location");
    location.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_changes_its_payment_and_an_earlier_entry_of_the_customer_does_not() {
    let (service, admin, payer, _) = shop().await;
    let on_account = json!({"on_account": true});
    let older = pay(&admin, payer, "10.00", on_account.clone()).await;
    let mut follower = Follower::from_now(&service, PAYMENTS).await;
    let newer = pay(&admin, payer, "20.00", on_account).await;
    // It uses up the oldest credit.
    let body = json!({"amount": "5.00", "method": "cash"});
    let path = format!("/api/customers/{payer}/payouts");
    let _ = admin.post(&path, &body).await.ok(201);
    let expected = [posted(&newer), posted(&older)];
    let mut seen = Vec::new();
    until("the payout is visible", async || {
        seen.extend(follower.follow().await);
        seen.contains(&expected[1])
    })
    .await;
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_that_a_change_of_an_account_touches_has_changed() {
    let (service, admin, payer, unit) = shop().await;
    let mut all = followers(&service).await;
    let customer = &payer.to_string()[..];
    let path = format!("/api/customers/{customer}");

    let first = &order(&admin, payer, unit, 100).await[..];
    let expected: &[(&str, &[&str])] = &[(ORDERS, &[first]), (CUSTOMERS, &[customer])];
    assert_changed(&mut all, "a purchase", expected).await;

    let paid = pay(&admin, payer, "160.00", json!({"on_account": true})).await;
    let payment = &posted(&paid)[..];
    let three: &[(&str, &[&str])] = &[
        (ORDERS, &[first]),
        (CUSTOMERS, &[customer]),
        (PAYMENTS, &[payment]),
    ];
    assert_changed(&mut all, "a payment", three).await;

    let second = &order(&admin, payer, unit, 20).await[..];
    let expected: &[(&str, &[&str])] = &[
        (ORDERS, &[second]),
        (CUSTOMERS, &[customer]),
        (PAYMENTS, &[payment]),
    ];
    assert_changed(&mut all, "a purchase with credit on account", expected).await;

    admin.do_to(first, "cancel", &json!({})).await.ok(200);
    assert_changed(&mut all, "a cancellation of a paid order", three).await;

    let body = json!({"amount": "30.00", "method": "cash"});
    let paid_out = admin.post(&format!("{path}/payouts"), &body).await;
    paid_out.ok(201);
    let expected: &[(&str, &[&str])] = &[(CUSTOMERS, &[customer]), (PAYMENTS, &[payment])];
    assert_changed(&mut all, "a payout", expected).await;
    reverse(&admin, &paid_out).await.ok(201);
    assert_changed(&mut all, "a reversed payout", expected).await;

    reverse(&admin, &paid).await.ok(201);
    let expected: &[(&str, &[&str])] = &[
        (ORDERS, &[second]),
        (CUSTOMERS, &[customer]),
        (PAYMENTS, &[payment]),
    ];
    assert_changed(&mut all, "a reversed payment", expected).await;

    let settled: &[(&str, &[&str])] = &[(ORDERS, &[second]), (CUSTOMERS, &[customer])];
    for (noun, body) in [
        (
            "credit-notes",
            json!({"amount": "5.00", "reason": "scratched"}),
        ),
        (
            "write-offs",
            json!({"amount": "5.00", "reason": "insolvent"}),
        ),
    ] {
        let made = admin.do_to(second, noun, &body).await;
        made.ok(201);
        assert_changed(&mut all, noun, settled).await;
        reverse(&admin, &made).await.ok(201);
        assert_changed(&mut all, "its reversal", settled).await;
    }

    // A credit that is posted while an order is due stays on account, and is allocated later.
    let more = json!({"order_id": second, "on_account": true});
    let paid = pay(&admin, payer, "25.00", more).await;
    let payment = &posted(&paid)[..];
    let third = &order(&admin, payer, unit, 2).await[..];
    let expected: &[(&str, &[&str])] = &[
        (ORDERS, &[second, third]),
        (CUSTOMERS, &[customer]),
        (PAYMENTS, &[payment]),
    ];
    assert_changed(&mut all, "a payment with a rest, and a purchase", expected).await;
    admin.do_to(third, "fulfill", &json!({})).await.ok(200);
    assert_changed(&mut all, "a fulfilment", &[(ORDERS, &[third])]).await;

    let body = json!({"credit_limit": "900.00"});
    admin.patch(&path, &body).await.ok(200);
    assert_changed(&mut all, "a credit limit", &[(CUSTOMERS, &[customer])]).await;

    let product = &unit.to_string()[..];
    let path = format!("/api/products/{product}");
    admin.patch(&path, &json!({"active": false})).await.ok(200);
    assert_changed(&mut all, "a product off sale", &[(PRODUCTS, &[product])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn products_change_with_the_sales_that_they_join_and_leave() {
    let service = Service::start().await;
    let admin = service.admin();
    let (one, other) = (
        admin.add_product("ONE", "10.00", 5).await.to_string(),
        admin.add_product("OTHER", "10.00", 5).await.to_string(),
    );
    let mut all = followers(&service).await;
    let products = |id: &str| json!([{"product_id": id, "price": "8.00"}]);
    let body = json!({"name": "Sale", "products": products(&one),
                      "opens_at": "2998-12-31T00:00:00Z", "closes_at": "2999-01-01T00:00:00Z"});
    let sale = admin.post("/api/sales", &body).await;
    sale.ok(201);
    assert_changed(&mut all, "a new sale", &[(PRODUCTS, &[&one])]).await;
    let body = json!({"products": products(&other)});
    admin.patch(sale.header("location"), &body).await.ok(200);
    let both: &[&str] = &[&one, &other];
    assert_changed(&mut all, "another product", &[(PRODUCTS, both)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn card_orders_change_with_their_payment_refunds_and_disputes() {
    let shop = StripeShop::open().await;
    let mut orders = [Follower::from_now(&shop.service, ORDERS).await];
    let (order, intent) = shop.order(&[(ACME_HEADPHONES, 1)]).await;
    let changed: &[(&str, &[&str])] = &[(ORDERS, &[&order])];
    assert_changed(&mut orders, "a card order", changed).await;
    shop.pay(&intent).await;
    assert_changed(&mut orders, "its payment", changed).await;
    let body = tests::dispute(&intent, "needs_response");
    shop.tell_dispute("charge.dispute.created", &body).await;
    assert_changed(&mut orders, "its dispute", changed).await;
    let copy = &orders[0].copy[&order];
    assert_eq!(copy["attention"], json!(["dispute_open"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_can_end_among_the_rows_of_one_change() {
    let (service, admin, payer, unit) = shop().await;
    let mut placed = BTreeSet::new();
    for _ in 0..5 {
        placed.insert(order(&admin, payer, unit, 10).await);
    }
    let mut follower = Follower::from_now(&service, ORDERS).await;
    pay(&admin, payer, "50.00", json!({})).await.ok(201);
    follower.limit = 2;
    let mut seen = Vec::new();
    until("the payment is seen", async || {
        seen.extend(follower.follow().await);
        !seen.is_empty()
    })
    .await;
    assert_eq!(seen, placed.into_iter().collect::<Vec<_>>());
    let paid = |row: &Value| row["amount_due"] == "0.00";
    assert!(follower.copy.values().all(paid), "{:?}", follower.copy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_begins_with_every_change_that_was_committed_since() {
    let service = Service::start().await;
    let admin = service.admin();
    let database = &service.database;
    let before = admin.add_customer("Before", "0").await;
    let late = admin.add_customer("Late", "0").await;
    let sealer = domain::Database::new(&database.url(SERVICE), 2).unwrap();
    let sealed = format!(
        "SELECT (SELECT coalesce(sum(events), 0) FROM audit_seals WHERE business_id = '{ACME}') =
                (SELECT count(*) FROM audit_events WHERE business_id = '{ACME}')"
    );
    until("all changes are sealed", async || {
        seals::seal(&sealer, ACME).await.unwrap();
        database.value(&sealed).await == "t"
    })
    .await;
    database
        .execute("UPDATE audit_seals SET sealed_at = sealed_at - interval '1 minute'")
        .await;
    let held = change_late(database, late, "Committed late").await;
    // The transaction began before this time, and commits after it.
    let since =
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let since = database.value(since).await;
    held.commit().await;
    let after = admin.add_customer("After", "0").await;
    let mut seen = Vec::new();
    until("both changes are seen", async || {
        let mut follower = Follower::since(&admin, CUSTOMERS, &since).await;
        follower.follow().await;
        seen = follower.copy.into_keys().collect();
        seen.len() == 2
    })
    .await;
    assert!(seen.contains(&late.to_string()) && seen.contains(&after.to_string()));
    // A day stands for its beginning.
    let mut follower = Follower::since(&admin, CUSTOMERS, "2000-01-01").await;
    follower.follow().await;
    assert!(follower.copy.contains_key(&before.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_for_staff_and_take_no_filters() {
    let service = Service::start().await;
    let since = "updated_since=2026-01-01";
    for list in LISTS {
        let path = format!("{list}?{since}");
        service.staff().get(&path).await.ok(200);
        let refused = service.customer().get(&path).await;
        refused.refused(403, "forbidden");
        let problem = service
            .staff()
            .get(&format!("{path}&customer_id=1&q=a"))
            .await;
        let problem = problem.refused(422, "validation_failed");
        let pointers = problem["errors"].as_array().unwrap().iter();
        let pointers: Vec<&Value> = pointers.map(|error| &error["pointer"]).collect();
        assert_eq!(pointers, ["?customer_id", "?q"]);
    }
    let path = format!("{PRODUCTS}?business={ACME}&{since}");
    service.nobody().get(&path).await.refused(403, "forbidden");
    let own = format!("/api/orders/my-orders?{since}");
    let refused = service.customer().get(&own).await;
    refused.refused(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_changes_that_a_restore_took_back_is_refused() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut follower = Follower::from_now(&service, CUSTOMERS).await;
    let lost = admin.add_customer("Lost", "0").await;
    until("the change is seen", async || {
        follower.follow().await.contains(&lost.to_string())
    })
    .await;
    // The cursor may be at a later entry, of a seller that signed in.
    service
        .database
        .execute(&format!(
            "DELETE FROM audit_events WHERE transaction_id >=
                (SELECT transaction_id FROM audit_events WHERE entity_id = '{lost}')"
        ))
        .await;
    let path = format!("{CUSTOMERS}?cursor={}", follower.cursor);
    admin.get(&path).await.refused(410, "cursor_expired");
}
