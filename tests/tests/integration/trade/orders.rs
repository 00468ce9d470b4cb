//! These tests check who can see an order, when it is due, and how orders are listed page by page.

use chrono::{DateTime, Duration, Utc};
use domain::Authority;
use domain::card;
use domain::card::provider::Offline;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_KEYBOARD, GLOBEX, GLOBEX_CUSTOMER};
use domain::stock::reservations;
use entity::CustomerId;
use serde_json::{Value, json};
use tests::{SERVICE, Service, books_balance, id_of, until};

use crate::trade::purchase::{of_customer, of_order, orders};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_there_for_its_business_and_its_customer_alone() {
    let service = Service::start().await;
    let admin = service.admin();
    let neighbour = admin.add_customer("Neighbour", "1000.00").await;
    let neighbour = service.caller(ACME, Authority::Customer(neighbour));
    let location = admin.buy(&[(ACME_KEYBOARD, 1)]).await;
    let location = location.header("location");

    for insider in [service.customer(), service.staff(), admin] {
        insider.get(location).await.ok(200);
    }
    let outsiders = [
        service.stranger(),
        service.caller(GLOBEX, Authority::Customer(GLOBEX_CUSTOMER)),
        // A token of one business with a customer id of the other.
        service.caller(GLOBEX, Authority::Customer(ACME_CUSTOMER)),
        neighbour,
    ];
    for outsider in outsiders {
        let hidden = outsider.get(location).await;
        let hidden = hidden.refused(404, "order_not_found");
        let missing = outsider
            .get(&of_order(&CustomerId::new().to_string()))
            .await
            .refused(404, "order_not_found");
        assert_eq!(hidden["title"], missing["title"]);
        assert!(orders(&outsider, "").await.is_empty());
        let filter = format!("?customer_id={ACME_CUSTOMER}");
        assert!(orders(&outsider, &filter).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_due_when_its_customers_terms_say() {
    let service = Service::start().await;
    let admin = service.admin();
    for days in [0, 14, 365] {
        let terms = json!({"payment_terms_days": days});
        admin
            .patch(&of_customer(ACME_CUSTOMER), &terms)
            .await
            .ok(200);
        let receipt = admin.buy(&[(ACME_KEYBOARD, 1)]).await;
        let order = admin.get(receipt.header("location")).await.ok(200);
        for document in [receipt.ok(201), order] {
            let made = time(&document, "created_at");
            assert_eq!(
                time(&document, "due_at"),
                made + Duration::days(days),
                "{document}"
            );
            let age = Utc::now() - made;
            assert!(
                age >= Duration::zero() && age < Duration::minutes(1),
                "{age}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_order_on_credit_never_expires() {
    let service = Service::start().await;
    let admin = service.admin();
    let product = admin.add_product("KEPT", "10.00", 10).await;
    let bought = id_of(&admin.buy(&[(product, 2)]).await.ok(201));
    // This order was confirmed from a reservation, whose hold had an expiry.
    let request =
        json!({"customer_id": ACME_CUSTOMER, "items": [{"product_id": product, "quantity": 3}]});
    let held = admin.post("/api/reservations", &request).await.ok(201);
    let held = format!(
        "/api/reservations/{}",
        held["reservation_id"].as_str().unwrap()
    );
    let on_credit = json!({"payment_method": "credit"});
    let confirmed = admin.post(&format!("{held}/confirm"), &on_credit).await;
    let confirmed = id_of(&confirmed.ok(201));
    // This order by card shows that time has passed and that the background tasks have run.
    let by_card = admin.order_by_card(&[(product, 4)]).await;

    let figures = async || {
        let mut all = vec![admin.get(&held).await.ok(200)["status"].clone()];
        for order in [&bought, &confirmed] {
            let order = admin.order(order).await;
            let kept = [
                "status",
                "total_amount",
                "amount_paid",
                "amount_due",
                "cancel_reason",
                "items",
            ];
            all.extend(kept.map(|member| order[member].clone()));
        }
        let customer = admin.get(&of_customer(ACME_CUSTOMER)).await.ok(200);
        all.extend(["balance", "available_credit"].map(|member| customer[member].clone()));
        all
    };
    let before = figures().await;
    assert_eq!(before[0], "confirmed");
    assert_eq!(before[1], "approved");
    // Three years pass, while an order by card expires within minutes.
    let sql = "UPDATE reservation_items SET expires_at = expires_at - interval '3 years';
               UPDATE reservations SET expires_at = expires_at - interval '3 years';
               UPDATE payment_intents SET expires_at = expires_at - interval '3 years',
                                          next_try_at = next_try_at - interval '3 years';
               UPDATE orders SET created_at = created_at - interval '3 years', due_at = due_at - interval '3 years'
                WHERE created_at > now() - interval '1 hour';
               UPDATE ledger_entries SET effective_at = effective_at - interval '3 years'
                WHERE effective_at > now() - interval '1 hour'";
    service.database.execute(sql).await;
    let pool = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    for _ in 0..2 {
        card::work(&pool, &Offline, ACME).await.unwrap();
        reservations::sweep(&pool, ACME).await.unwrap();
    }
    pool.close().await;
    until("the order by card is cancelled", async || {
        admin.order(&by_card).await["status"] == "cancelled"
    })
    .await;
    assert_eq!(figures().await, before);
    let stock = admin.get(&format!("/api/inventory/{product}")).await;
    let stock = stock.ok(200);
    assert_eq!(
        (&stock["on_hand"], &stock["reserved"]),
        (&json!(5), &json!(0))
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_listed_by_status_customer_method_and_time() {
    let service = Service::start().await;
    let admin = service.admin();
    let other = admin.add_customer("Other", "1000.00").await;
    let mut mine = Vec::new();
    for _ in 0..3 {
        mine.push(admin.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201));
    }
    let theirs = admin.buy_for(other, &[(ACME_KEYBOARD, 1)]).await.ok(201);
    let id = |order: &Value| order["order_id"].as_str().unwrap().to_owned();
    let theirs = id(&theirs);
    let newest_first: Vec<String> = mine.iter().rev().map(id).collect();
    service
        .database
        .execute(&format!(
            "UPDATE orders SET status = 'fulfilled' WHERE id = '{theirs}'"
        ))
        .await;

    let of_mine = format!("customer_id={ACME_CUSTOMER}");
    assert_eq!(orders(&admin, &format!("?{of_mine}")).await, newest_first);
    let of_other = format!("?customer_id={other}");
    assert_eq!(orders(&admin, &of_other).await, [theirs.as_str()]);
    assert_eq!(orders(&admin, "?status=fulfilled").await, [theirs.as_str()]);
    let both = format!("?{of_mine}&status=fulfilled");
    assert!(orders(&admin, &both).await.is_empty());
    assert!(orders(&admin, "?payment_method=card").await.is_empty());
    // The demo data adds some older orders.
    let all = orders(&admin, "?payment_method=credit&limit=200").await;
    assert!(all.len() > 4);
    let at = |n: usize| mine[n]["created_at"].as_str().unwrap().to_owned();
    // The bound `created_from` is inclusive and `created_to` is exclusive.
    let between = format!("?{of_mine}&created_from={}&created_to={}", at(1), at(2));
    assert_eq!(orders(&admin, &between).await, [id(&mine[1])]);
    let recent = format!("?created_from={}&limit=200", at(0));
    assert_eq!(orders(&admin, &recent).await.len(), 4);
    let old = format!("?created_to={}&limit=200", at(0));
    assert_eq!(orders(&admin, &old).await.len(), all.len() - 4);
    for bad in [
        "?status=lost",
        "?payment_method=shells",
        "?created_from=yesterday",
        "?customer_id=7",
        "?colour=red",
    ] {
        let refused = admin.get(&format!("/api/orders{bad}")).await;
        refused.refused(422, "validation_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn my_orders_are_the_callers_own() {
    let service = Service::start().await;
    let admin = service.admin();
    let other = admin.add_customer("Other", "1000.00").await;
    admin.buy_for(other, &[(ACME_KEYBOARD, 1)]).await.ok(201);
    let mine = admin.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    let customer = service.customer();
    let page = customer.get("/api/orders/my-orders").await.ok(200);
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["data"][0]["order_id"], mine["order_id"]);
    assert_eq!(page["next_cursor"], Value::Null);
    assert_eq!(
        orders(&customer, "").await,
        [mine["order_id"].as_str().unwrap()]
    );
    let with = async |query: &str| {
        let path = format!("/api/orders/my-orders?{query}");
        let page = customer.get(&path).await.ok(200);
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(with("status=approved&payment_method=credit").await, 1);
    assert_eq!(with("status=fulfilled").await, 0);
    let refused = service.staff().get("/api/orders/my-orders").await;
    refused.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_orders_neither_repeat_nor_skip_while_orders_are_added() {
    let service = Service::start().await;
    let staff = service.staff();
    let buy = async || staff.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    let mut bought = Vec::new();
    for _ in 0..7 {
        let order = buy().await;
        bought.push(order["order_id"].as_str().unwrap().to_owned());
    }
    bought.reverse();

    let customer = service.customer();
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = customer
            .get(&format!("/api/orders/my-orders{query}"))
            .await
            .ok(200);
        let rows = page["data"].as_array().unwrap();
        assert!(rows.len() <= 2);
        seen.extend(
            rows.iter()
                .map(|row| row["order_id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=2&cursor={cursor}");
        buy().await;
    }
    assert_eq!(seen, bought);
}

fn time(document: &Value, member: &str) -> DateTime<Utc> {
    document[member].as_str().unwrap().parse().unwrap()
}
