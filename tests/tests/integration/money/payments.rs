//! These tests check payments: which orders they settle, what stays on account, and what is due again after a reversal.

use chrono::{DateTime, Days, TimeDelta, Utc};
use domain::demo::{ACME, ACME_CUSTOMER, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::{CustomerId, OrderId, OrderNumber, ProductId};
use serde_json::{Value, json};
use tests::{Client, Reply, Service, all, books_balance, member, pointers};

/// Starts a service with a new customer, whose credit limit is 1,000.00, and a product at 1.00. A quantity is therefore
/// also an order's total. Returns the service, an admin's client, the customer and the product.
pub(crate) async fn shop() -> (Service, Client, CustomerId, ProductId) {
    let service = Service::start().await;
    let admin = service.admin();
    let customer = admin.add_customer("Payer", "1000.00").await;
    let unit = admin.add_product("UNIT", "1.00", 100_000).await;
    (service, admin, customer, unit)
}

/// Purchases for `of`, in whole units of currency, and returns the order's id.
pub(crate) async fn order(
    client: &Client,
    customer: CustomerId,
    unit: ProductId,
    of: i64,
) -> String {
    let sold = client.buy_for(customer, &[(unit, of)]).await.ok(201);
    sold["order_id"].as_str().unwrap().to_owned()
}

/// Records a payment; `more` has further members of the request.
pub(crate) async fn pay(client: &Client, customer: CustomerId, amount: &str, more: Value) -> Reply {
    let mut body = json!({"customer_id": customer, "amount": amount, "method": "bank transfer"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    client.post("/api/payments", &body).await
}

/// The amount due of an order.
pub(crate) async fn due(client: &Client, order: &str) -> String {
    let order = client.get(&format!("/api/orders/{order}")).await.ok(200);
    order["amount_due"].as_str().unwrap().to_owned()
}

/// The customer's balance, available credit and credit on account.
pub(crate) async fn figures(client: &Client, customer: CustomerId) -> [String; 3] {
    let found = client
        .get(&format!("/api/customers/{customer}"))
        .await
        .ok(200);
    ["balance", "available_credit", "credit_on_account"]
        .map(|name| found[name].as_str().unwrap().to_owned())
}

/// Reverses a document, by the `Location` of the response that created it.
pub(crate) async fn reverse(client: &Client, made: &Reply) -> Reply {
    let path = format!("{}/reverse", made.header("location"));
    client.post(&path, &json!({"reason": "bounced"})).await
}

/// The allocations of a document, of which each names its order by number too.
fn allocated(document: &Value) -> Value {
    let shares = document["allocations"].as_array().unwrap().iter();
    let shares = shares.map(|share| {
        let order: OrderId = share["order_id"].as_str().unwrap().parse().unwrap();
        assert_eq!(share["order_number"], OrderNumber::of(order).to_string());
        json!({"order_id": share["order_id"], "amount": share["amount"]})
    });
    shares.collect()
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_found_at_its_location_and_lowers_the_balance() {
    let (service, admin, customer, unit) = shop().await;
    let first = order(&admin, customer, unit, 100).await;
    let staff = service.staff();
    let more = json!({"reference": "cheque 4711"});
    let reply = pay(&staff, customer, "30", more).await;
    let paid = reply.ok(201);
    for (name, value) in [
        ("customer_id", json!(customer)),
        ("amount", json!("30.00")),
        ("currency", json!("USD")),
        ("method", json!("bank transfer")),
        ("reference", json!("cheque 4711")),
        ("unallocated", json!("0.00")),
        ("customer_balance", json!("70.00")),
        ("available_credit", json!("930.00")),
        ("reversed_at", json!(null)),
    ] {
        assert_eq!(paid[name], value, "{name}");
    }
    assert_eq!(
        allocated(&paid),
        json!([{"order_id": first, "amount": "30.00"}])
    );
    assert_eq!(
        paid["received_at"], paid["created_at"],
        "now, when it is left out"
    );
    let id = paid["payment_id"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("/api/payments/{id}"));
    let read = staff.get(reply.header("location")).await.ok(200);
    for (name, value) in read.as_object().unwrap() {
        assert_eq!(*value, paid[name], "{name}");
    }
    let whole = admin.get(&format!("/api/orders/{first}")).await.ok(200);
    assert_eq!(
        (&whole["amount_paid"], &whole["amount_due"]),
        (&json!("30.00"), &json!("70.00"))
    );
    assert_eq!(figures(&admin, customer).await, ["70.00", "930.00", "0.00"]);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_without_a_target_settles_the_orders_due_for_longest_first() {
    let (service, admin, customer, unit) = shop().await;
    let terms = |days: i64| json!({"payment_terms_days": days});
    let at = format!("/api/customers/{customer}");
    // The second order is due before the first.
    admin.patch(&at, &terms(60)).await.ok(200);
    let late = order(&admin, customer, unit, 50).await;
    admin.patch(&at, &terms(10)).await.ok(200);
    let early = order(&admin, customer, unit, 40).await;
    let paid = pay(&admin, customer, "60.00", json!({})).await.ok(201);
    let shares =
        json!([{"order_id": early, "amount": "40.00"}, {"order_id": late, "amount": "20.00"}]);
    assert_eq!(allocated(&paid), shares);
    assert_eq!(due(&admin, &late).await, "30.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_settles_the_order_or_the_orders_that_it_names() {
    let (service, admin, customer, unit) = shop().await;
    let mut orders = Vec::new();
    for of in [10, 20, 30] {
        orders.push(order(&admin, customer, unit, of).await);
    }
    let paid = pay(&admin, customer, "5.00", json!({"order_id": orders[2]}))
        .await
        .ok(201);
    assert_eq!(
        allocated(&paid),
        json!([{"order_id": orders[2], "amount": "5.00"}])
    );
    // Two amounts for the same order are added up.
    let shares = json!([{"order_id": orders[1], "amount": "7.00"}, {"order_id": orders[2], "amount": 1.5},
                        {"order_id": orders[1], "amount": "3.00"}]);
    let paid = pay(&admin, customer, "11.50", json!({"allocations": shares}))
        .await
        .ok(201);
    let shares = json!([{"order_id": orders[1], "amount": "10.00"}, {"order_id": orders[2], "amount": "1.50"}]);
    assert_eq!(allocated(&paid), shares);
    for (order, left) in orders.iter().zip(["10.00", "10.00", "23.50"]) {
        assert_eq!(due(&admin, order).await, left);
    }
    // Two shares that together exceed the amount due are rejected.
    let half = json!({"order_id": orders[1], "amount": "6.00"});
    let reply = pay(
        &admin,
        customer,
        "12.00",
        json!({"allocations": [half, half]}),
    )
    .await;
    let body = reply.refused(409, "overpayment");
    assert_eq!(
        (&body["amount_due"], &body["order_id"]),
        (&json!("10.00"), &json!(orders[1]))
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_is_owed_is_refused_unless_it_is_kept_on_account() {
    let (service, admin, customer, unit) = shop().await;
    let one = order(&admin, customer, unit, 10).await;
    let two = order(&admin, customer, unit, 20).await;
    let before = service.database.digest().await;
    let share = json!([{"order_id": two, "amount": "5.00"}]);
    let too_much = json!([{"order_id": two, "amount": "20.01"}]);
    for (amount, more, amount_due) in [
        ("30.01", json!({}), "30.00"),
        ("10.01", json!({"order_id": one}), "10.00"),
        ("20.01", json!({"allocations": too_much}), "20.00"),
    ] {
        let body = pay(&admin, customer, amount, more)
            .await
            .refused(409, "overpayment");
        assert_eq!(body["amount_due"], amount_due);
    }
    // No share exceeds its order, but a part of the payment is for no order.
    let body = pay(&admin, customer, "6.00", json!({"allocations": share}))
        .await
        .refused(409, "allocations_do_not_add_up");
    assert_eq!(
        (&body["amount"], &body["allocated"], &body["currency"]),
        (&json!("6.00"), &json!("5.00"), &json!("USD"))
    );
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("`on_account: true`"), "{detail}");
    assert_eq!(body["amount_due"], Value::Null);
    assert_eq!(
        service.database.digest().await,
        before,
        "a refused request writes nothing"
    );

    let more = json!({"order_id": one, "on_account": true});
    let paid = pay(&admin, customer, "110.00", more).await.ok(201);
    assert_eq!(
        allocated(&paid),
        json!([{"order_id": one, "amount": "10.00"}])
    );
    assert_eq!(paid["unallocated"], "100.00");
    assert_eq!(paid["credit_on_account"], "100.00");
    assert_eq!(
        figures(&admin, customer).await,
        ["-80.00", "1080.00", "100.00"]
    );
    assert_eq!(
        due(&admin, &two).await,
        "20.00",
        "the payment named another order"
    );
    let more = json!({"allocations": share, "on_account": true});
    let paid = pay(&admin, customer, "6.00", more).await.ok(201);
    assert_eq!(paid["unallocated"], "1.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_on_account_raises_available_credit_and_settles_the_next_purchases() {
    let (service, admin, customer, unit) = shop().await;
    let reply = pay(&admin, customer, "150.00", json!({"on_account": true})).await;
    assert_eq!(reply.ok(201)["unallocated"], "150.00");
    let first = admin.buy_for(customer, &[(unit, 100)]).await.ok(201);
    assert_eq!(
        (&first["amount_paid"], &first["amount_due"]),
        (&json!("100.00"), &json!("0.00"))
    );
    let second = admin.buy_for(customer, &[(unit, 1050)]).await.ok(201);
    assert_eq!(
        (&second["amount_paid"], &second["amount_due"]),
        (&json!("50.00"), &json!("1000.00"))
    );
    let refused = admin.buy_for(customer, &[(unit, 1)]).await;
    let _ = refused.refused(409, "credit_limit_exceeded");
    let read = admin.get(reply.header("location")).await.ok(200);
    assert_eq!(read["unallocated"], "0.00");
    let shares = json!([{"order_id": first["order_id"], "amount": "100.00"},
                        {"order_id": second["order_id"], "amount": "50.00"}]);
    assert_eq!(allocated(&read), shares);
    // After the reversal everything that the payment had settled is due again.
    reverse(&admin, &reply).await.ok(201);
    assert_eq!(
        figures(&admin, customer).await,
        ["1150.00", "-150.00", "0.00"]
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_on_account_settles_open_orders_on_request() {
    let (service, admin, customer, unit) = shop().await;
    let one = order(&admin, customer, unit, 10).await;
    let two = order(&admin, customer, unit, 20).await;
    let path = format!("/api/customers/{customer}/allocations");
    let staff = service.staff();
    let none = staff.post(&path, &json!({})).await.ok(200);
    assert_eq!(none["allocations"], json!([]));
    let share =
        |order: &str, amount: &str| json!({"allocations": [{"order_id": order, "amount": amount}]});
    let _ = staff
        .post(&path, &share(&one, "1.00"))
        .await
        .refused(409, "credit_on_account_exceeded");

    // A payment for an order that is settled stays on account, even when another order is due.
    pay(&admin, customer, "10.00", json!({"order_id": one}))
        .await
        .ok(201);
    for amount in ["9.00", "4.00"] {
        let more = json!({"order_id": one, "on_account": true});
        pay(&admin, customer, amount, more).await.ok(201);
    }
    assert_eq!(figures(&admin, customer).await, ["7.00", "993.00", "13.00"]);
    let _ = staff
        .post(&path, &share(&two, "14.00"))
        .await
        .refused(409, "credit_on_account_exceeded");
    let body = staff
        .post(&path, &share(&two, "20.01"))
        .await
        .refused(409, "overpayment");
    assert_eq!(body["amount_due"], "20.00");
    let used = staff.post(&path, &share(&two, "3.00")).await.ok(200);
    assert_eq!(
        (&used["credit_on_account"], &used["customer_balance"]),
        (&json!("10.00"), &json!("7.00"))
    );
    let used = staff.post_once("k", &path, &json!({})).await;
    assert_eq!(
        allocated(&used.ok(200)),
        json!([{"order_id": two, "amount": "10.00"}])
    );
    assert_eq!(
        staff.post_once("k", &path, &json!({})).await.text,
        used.text
    );
    assert_eq!(due(&admin, &two).await, "7.00");
    assert_eq!(figures(&admin, customer).await, ["7.00", "993.00", "0.00"]);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_may_be_backdated_and_not_be_of_the_future() {
    let (service, admin, customer, unit) = shop().await;
    order(&admin, customer, unit, 10).await;
    let then = Utc::now() - Days::new(40);
    let paid = pay(&admin, customer, "4.00", json!({"received_at": then}))
        .await
        .ok(201);
    assert_eq!(
        time(&paid["received_at"]).timestamp_micros(),
        then.timestamp_micros()
    );
    let ahead = |minutes| (Utc::now() + TimeDelta::minutes(minutes)).to_rfc3339();
    // In UTC, the last time is in the year before the first that a response can represent.
    for at in [
        &ahead(10),
        "9999-12-31T23:59:60Z",
        "1969-12-31T23:59:59Z",
        "0000-01-01T00:00:00+01:00",
    ] {
        let reply = pay(&admin, customer, "4.00", json!({"received_at": at})).await;
        let body = reply.refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], "/received_at", "{at}");
    }
    // A time one minute ahead counts as now, because a client's clock may be slightly fast.
    let soon = pay(&admin, customer, "1.00", json!({"received_at": ahead(1)}))
        .await
        .ok(201);
    assert_eq!(soon["received_at"], soon["created_at"]);
    let sql = format!(
        "SELECT after FROM audit_events WHERE entity_id = '{}'",
        paid["payment_id"].as_str().unwrap()
    );
    let event = service.database.row(&sql).await;
    assert_eq!(
        time(&event["after"]["received_at"]),
        time(&paid["received_at"]),
        "the audit trail has the amount"
    );
    // The payment takes effect at that time in the account, and on the order once the order exists.
    let entry = service
        .database
        .row(
            "SELECT effective_at, created_at FROM ledger_entries
              WHERE kind = 'payment' AND amount = -4 ORDER BY created_at DESC LIMIT 1",
        )
        .await;
    assert_eq!(time(&entry["effective_at"]), time(&paid["received_at"]));
    assert_eq!(time(&entry["created_at"]), time(&paid["created_at"]));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_never_touches_an_order_of_another_customer_or_business() {
    let (service, admin, customer, unit) = shop().await;
    order(&admin, customer, unit, 10).await;
    let neighbour = admin.add_customer("Neighbour", "100.00").await;
    let theirs = order(&admin, neighbour, unit, 10).await;
    let stranger = service.stranger();
    let foreign = order(&stranger, GLOBEX_CUSTOMER, GLOBEX_DESK, 1).await;
    let nobodys = uuid::Uuid::now_v7().to_string();
    let before = service.database.digest().await;
    for target in [&theirs, &foreign, &nobodys] {
        for more in [
            json!({"order_id": target, "on_account": true}),
            json!({"allocations": [{"order_id": target, "amount": "1.00"}], "on_account": true}),
        ] {
            let body = pay(&admin, customer, "1.00", more)
                .await
                .refused(404, "order_not_found");
            assert_eq!(body["order_id"], json!(target));
        }
        let path = format!("/api/customers/{customer}/allocations");
        let body = json!({"allocations": [{"order_id": target, "amount": "1.00"}]});
        let _ = admin
            .post(&path, &body)
            .await
            .refused(404, "order_not_found");
    }
    let reply = pay(&stranger, customer, "1.00", json!({})).await;
    let _ = reply.refused(404, "customer_not_found");
    assert_eq!(service.database.digest().await, before);
    // The oldest order belongs to another customer.
    pay(&admin, customer, "10.00", json!({})).await.ok(201);
    assert_eq!(due(&admin, &theirs).await, "10.00");
    assert_eq!(due(&stranger, &foreign).await, "399.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_values_are_refused_with_their_pointer() {
    let (service, admin, customer, unit) = shop().await;
    let one = order(&admin, customer, unit, 10).await;
    let share = |amount: &str| json!([{"order_id": one, "amount": amount}]);
    let before = service.database.digest().await;
    for (amount, more, pointer) in [
        ("0.00", json!({}), "/amount"),
        ("1.001", json!({}), "/amount"),
        ("-1", json!({}), "/amount"),
        ("1.00", json!({"method": ""}), "/method"),
        ("1.00", json!({"method": "x".repeat(51)}), "/method"),
        ("1.00", json!({"reference": ""}), "/reference"),
        ("1.00", json!({"allocations": []}), "/allocations"),
        (
            "1.00",
            json!({"allocations": share("0")}),
            "/allocations/0/amount",
        ),
        (
            "1.00",
            json!({"allocations": share("1.01")}),
            "/allocations",
        ),
        (
            "1.00",
            json!({"allocations": share("1.00"), "order_id": one}),
            "",
        ),
        ("1.00", json!({"received_at": "yesterday"}), "/received_at"),
        ("1.00", json!({"note": "typo"}), "/note"),
    ] {
        let body = pay(&admin, customer, amount, more)
            .await
            .refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_out_of_range_is_rejected_without_a_500() {
    let (service, admin, customer, _) = shop().await;
    let most = "999999999999999.99";
    pay(&admin, customer, most, json!({"on_account": true}))
        .await
        .ok(201);
    let reply = pay(&admin, customer, "1.00", json!({"on_account": true})).await;
    let _ = reply.refused(409, "amount_too_large");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounced_payment_leaves_its_entry_and_what_it_settled_is_due_again() {
    let (service, admin, customer, unit) = shop().await;
    let one = order(&admin, customer, unit, 10).await;
    let two = order(&admin, customer, unit, 20).await;
    let kept = pay(&admin, customer, "4.00", json!({})).await;
    let bounced = pay(&admin, customer, "36.00", json!({"on_account": true})).await;
    assert_eq!(bounced.ok(201)["unallocated"], "10.00");
    let reply = reverse(&admin, &bounced).await;
    let undone = reply.ok(201);
    assert_eq!(reply.header("location"), bounced.header("location"));
    assert_eq!(undone["reversal_reason"], "bounced");
    assert!(time(&undone["reversed_at"]) > time(&undone["created_at"]));
    assert_eq!(
        (&undone["allocations"], &undone["unallocated"]),
        (&json!([]), &json!("0.00"))
    );
    assert_eq!(undone["amount"], "36.00", "a payment never changes");
    assert_eq!(undone["customer_balance"], "26.00");
    assert_eq!(
        (due(&admin, &one).await, due(&admin, &two).await),
        ("6.00".into(), "20.00".into())
    );
    assert_eq!(figures(&admin, customer).await, ["26.00", "974.00", "0.00"]);

    let _ = reverse(&admin, &bounced)
        .await
        .refused(409, "already_reversed");
    let _ = reverse(&service.staff(), &kept)
        .await
        .refused(403, "forbidden");
    let entries = format!(
        "SELECT kind, amount::text, balance_after::text FROM ledger_entries
                            WHERE customer_id = '{customer}' ORDER BY number"
    );
    let entries = service.database.rows(&entries).await;
    let entries: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!(
                "{} {} {}",
                entry["kind"], entry["amount"], entry["balance_after"]
            )
            .replace('"', "")
        })
        .collect();
    assert_eq!(
        entries,
        [
            "charge 10.0000 10.0000",
            "charge 20.0000 30.0000",
            "payment -4.0000 26.0000",
            "payment -36.0000 -10.0000",
            "reversal 36.0000 26.0000"
        ]
    );
    let events = format!(
        "SELECT action, before, after FROM audit_events
          WHERE entity_id IN (SELECT id FROM payments WHERE customer_id = '{customer}') ORDER BY id"
    );
    let events = service.database.rows(&events).await;
    assert_eq!(
        member(&events, "action"),
        ["payment.received", "payment.received", "payment.reversed"]
    );
    assert_eq!(
        events[2]["before"],
        json!({"customer_balance": "-10.00", "credit_on_account": "10.00"})
    );
    assert_eq!(events[2]["after"]["customer_balance"], "26.00");
    assert_eq!(events[2]["after"]["reason"], "bounced");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_every_size_hold_the_same_payments_the_newest_first() {
    let (service, admin, customer, unit) = shop().await;
    order(&admin, customer, unit, 100).await;
    let other = admin.add_customer("Other", "100.00").await;
    let mut made = Vec::new();
    for number in 0..7 {
        let payer = if number % 3 == 2 { other } else { customer };
        let paid = pay(&admin, payer, "1.00", json!({"on_account": true}))
            .await
            .ok(201);
        made.insert(0, (payer, paid["payment_id"].as_str().unwrap().to_owned()));
    }
    let staff = service.staff();
    let whole = staff.pages("/api/payments", 200).await;
    let newest: Vec<String> = made.iter().map(|(_, id)| id.clone()).collect();
    assert_eq!(member(&whole, "payment_id")[..7], newest);
    let path = format!("/api/payments?customer_id={customer}");
    let own = made.iter().filter(|(payer, _)| *payer == customer);
    let own: Vec<String> = own.map(|(_, id)| id.clone()).collect();
    for limit in [1, 2, 4, 5, 6] {
        assert_eq!(
            staff.pages("/api/payments", limit).await,
            whole,
            "pages of {limit}"
        );
        assert_eq!(member(&staff.pages(&path, limit).await, "payment_id"), own);
    }
    // A row is the payment with the name of its customer.
    let mut first = whole[0].clone();
    let name = first.as_object_mut().unwrap().remove("customer_name");
    assert!(name.is_some(), "{first}");
    let path = format!("/api/payments/{}", newest[0]);
    assert_eq!(first, staff.get(&path).await.ok(200));
    let theirs = service.stranger().pages("/api/payments", 10).await;
    assert!(theirs.is_empty(), "{theirs:?}");
    let _ = service
        .customer()
        .get("/api/payments")
        .await
        .refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_are_stopped_while_an_order_is_due_for_longer_than_the_business_lets_it_be() {
    let (service, admin, customer, unit) = shop().await;
    let one = order(&admin, customer, unit, 10).await;
    let old = format!("UPDATE orders SET due_at = now() - interval '8 days' WHERE id = '{one}'");
    service.database.execute(&old).await;
    order(&admin, customer, unit, 1).await;
    let days = |days: Value| json!({"block_after_days": days});
    let changed = admin.patch("/api/business", &days(json!(7))).await.ok(200);
    assert_eq!(changed["block_after_days"], 7);
    assert_eq!(admin.get("/api/business").await.ok(200), changed);
    let body = admin
        .buy_for(customer, &[(unit, 1)])
        .await
        .refused(409, "customer_overdue");
    assert_eq!(
        (&body["customer_id"], &body["order_id"]),
        (&json!(customer), &json!(one))
    );
    let sql = format!("SELECT due_at FROM orders WHERE id = '{one}'");
    let due_at = &service.database.row(&sql).await["due_at"];
    assert_eq!(time(&body["due_at"]), time(due_at));
    // Customers without overdue orders can still purchase.
    admin.buy_for(ACME_CUSTOMER, &[(unit, 1)]).await.ok(201);
    // A payment is accepted and lifts the block.
    pay(&admin, customer, "10.00", json!({"order_id": one}))
        .await
        .ok(201);
    admin.buy_for(customer, &[(unit, 1)]).await.ok(201);
    service
        .database
        .execute(&format!(
            "UPDATE orders SET due_at = now() - interval '8 days' WHERE customer_id = '{customer}'"
        ))
        .await;
    let _ = admin
        .buy_for(customer, &[(unit, 1)])
        .await
        .refused(409, "customer_overdue");
    for longer in [json!(9), Value::Null] {
        admin.patch("/api/business", &days(longer)).await.ok(200);
        admin.buy_for(customer, &[(unit, 1)]).await.ok(201);
    }
    for bad in [json!(-1), json!(3651), json!("7")] {
        let _ = admin
            .patch("/api/business", &days(bad))
            .await
            .refused(422, "validation_failed");
    }
    let trail = format!(
        "SELECT before, after FROM audit_events
                          WHERE action = 'business.changed' AND business_id = '{ACME}' ORDER BY id"
    );
    let trail = service.database.rows(&trail).await;
    assert_eq!(
        (
            &trail[1]["before"]["block_after_days"],
            &trail[1]["after"]["block_after_days"]
        ),
        (&json!(7), &json!(9))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_for_a_limit_or_a_hold_is_in_the_trail() {
    let (service, admin, customer, _) = shop().await;
    let path = format!("/api/customers/{customer}");
    let body = json!({"credit_limit": "5.00", "on_hold": true, "reason": "two bounced cheques"});
    admin.patch(&path, &body).await.ok(200);
    let sql = format!(
        "SELECT before, after FROM audit_events WHERE entity_id = '{customer}' AND action = 'customer.changed'"
    );
    let event = service.database.row(&sql).await;
    assert_eq!(event["after"]["reason"], "two bounced cheques");
    assert_eq!(
        (
            &event["before"]["credit_limit"],
            &event["after"]["credit_limit"]
        ),
        (&json!("1000.00"), &json!("5.00"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_of_a_payment_and_of_a_reversal_happen_once() {
    let (service, admin, customer, unit) = shop().await;
    order(&admin, customer, unit, 100).await;
    let body = json!({"customer_id": customer, "amount": "10.00", "method": "cash"});
    let replies = all((0..8).map(|_| {
        let (admin, body) = (admin.clone(), body.clone());
        async move { admin.post_once("pay", "/api/payments", &body).await }
    }))
    .await;
    for reply in &replies {
        assert_eq!((reply.status, &reply.text), (201, &replies[0].text));
        assert_eq!(reply.header("location"), replies[0].header("location"));
    }
    assert_eq!(figures(&admin, customer).await[0], "90.00");
    let other = json!({"customer_id": customer, "amount": "11.00", "method": "cash"});
    let reply = admin.post_once("pay", "/api/payments", &other).await;
    let _ = reply.refused(422, "idempotency_key_reused");

    let path = format!("{}/reverse", replies[0].header("location"));
    let reason = json!({"reason": "bounced"});
    let undone = all((0..8).map(|_| {
        let (admin, path, reason) = (admin.clone(), path.clone(), reason.clone());
        async move { admin.post_once("undo", &path, &reason).await }
    }))
    .await;
    for reply in &undone {
        assert_eq!((reply.status, &reply.text), (201, &undone[0].text));
    }
    assert_eq!(figures(&admin, customer).await[0], "100.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_reversals_of_one_payment_at_once_one_succeeds() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let customer = admin.add_customer("Payer", "100.00").await;
    let paid = pay(&admin, customer, "10.00", json!({"on_account": true})).await;
    let replies = all((0..8).map(|number| {
        let admin = admin.at(if number % 2 == 0 { &one } else { &two });
        let paid = paid.clone();
        async move { reverse(&admin, &paid).await }
    }))
    .await;
    let done = replies.iter().filter(|reply| reply.status == 201).count();
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        let _ = reply.refused(409, "already_reversed");
    }
    assert_eq!(done, 1);
    assert_eq!(figures(&admin, customer).await, ["0.00", "100.00", "0.00"]);
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_of_one_order_at_once_never_pay_more_than_it_owes() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let customer = admin.add_customer("Payer", "1000.00").await;
    let unit = admin.add_product("UNIT", "1.00", 1000).await;
    let id = order(&admin, customer, unit, 100).await;
    let replies = all((0..24).map(|number| {
        let staff = admin.at(if number % 2 == 0 { &one } else { &two });
        let id = id.clone();
        async move { pay(&staff, customer, "7.00", json!({"order_id": id})).await }
    }))
    .await;
    let paid = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(paid, 14);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        assert_eq!(reply.refused(409, "overpayment")["amount_due"], "2.00");
    }
    assert_eq!(due(&admin, &id).await, "2.00");
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_payments_and_purchases_of_one_customer_lose_nothing_and_keep_the_limit() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let customer = admin.add_customer("Busy", "200.00").await;
    let unit = admin.add_product("UNIT", "1.00", 100_000).await;
    let path = format!("/api/customers/{customer}/allocations");
    let replies = all((0..160).map(|number| {
        let staff = admin.at(if number % 2 == 0 { &one } else { &two });
        let path = path.clone();
        async move {
            let reply = match number % 8 {
                0..4 => staff.buy_for(customer, &[(unit, 17)]).await,
                4 | 5 => pay(&staff, customer, "23.00", json!({"on_account": true})).await,
                6 => pay(&staff, customer, "5.00", json!({})).await,
                _ => staff.post(&path, &json!({})).await,
            };
            (number % 8, reply)
        }
    }))
    .await;
    let mut balance = 0;
    for (kind, reply) in &replies {
        match (kind, reply.status) {
            (0..4, 201) => balance += 17,
            (0..4, _) => drop(reply.refused(409, "credit_limit_exceeded")),
            (4 | 5, 201) => balance -= 23,
            (6, 201) => balance -= 5,
            (6, _) => drop(reply.refused(409, "overpayment")),
            _ => assert_eq!(reply.status, 200, "{}", reply.text),
        }
    }
    assert_eq!(figures(&admin, customer).await[0], format!("{balance}.00"));
    // No purchase exceeded the credit limit at any moment.
    let above = format!(
        "SELECT count(*) FROM ledger_entries WHERE customer_id = '{customer}' AND balance_after > 200"
    );
    assert_eq!(one.database.value(&above).await, "0");
    books_balance(&one).await;
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_names_a_day_is_received_at_its_start_in_the_zone_of_the_business() {
    let (service, admin, customer, _) = shop().await;
    let zone = json!({"time_zone": "Europe/Paris"});
    admin.patch("/api/business", &zone).await.ok(200);
    let body = |day: &str| json!({"customer_id": customer, "amount": "1.00", "method": "cash", "on_account": true, "received_at": day});
    let made = admin
        .post("/api/payments", &body("2026-01-15"))
        .await
        .ok(201);
    let received = made["received_at"].as_str().unwrap();
    let received: DateTime<Utc> = received.parse().unwrap();
    assert_eq!(received.to_rfc3339(), "2026-01-14T23:00:00+00:00");
    let after_tomorrow = (Utc::now() + Days::new(2)).date_naive().to_string();
    for day in [after_tomorrow.as_str(), "1969-12-31", "2026-02-30", "soon"] {
        let refused = admin.post("/api/payments", &body(day)).await;
        assert_eq!(pointers(&refused), ["/received_at"], "{day}");
    }
    books_balance(&service).await;
}
