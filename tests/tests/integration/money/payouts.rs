//! These tests check payouts of credit on account: they are dated, never exceed the credit, and can be reversed.

use chrono::{DateTime, Days, Utc};
use domain::demo::{ACME, GLOBEX_CUSTOMER};
use entity::CustomerId;
use serde_json::{Value, json};
use tests::{Client, Reply, Service, all, books_balance, member};

use crate::money::payments::{due, figures, order, pay, reverse, shop};

/// Makes a payout; `more` has further members of the request.
async fn pay_out(client: &Client, customer: CustomerId, amount: &str, more: Value) -> Reply {
    let mut body = json!({"amount": amount, "method": "bank transfer"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let path = format!("/api/customers/{customer}/payouts");
    client.post(&path, &body).await
}

/// Records a payment on account, received this number of days ago.
async fn ahead(client: &Client, customer: CustomerId, amount: &str, days: u64) -> Reply {
    let received_at = Utc::now() - Days::new(days);
    let more = json!({"on_account": true, "received_at": received_at});
    let paid = pay(client, customer, amount, more).await;
    paid.ok(201);
    paid
}

async fn read(client: &Client, made: &Reply) -> Value {
    client.get(made.header("location")).await.ok(200)
}

/// The customer's row of the aging report at the end of a past day: current, credit on account, balance.
async fn aged(client: &Client, customer: CustomerId, days: u64) -> [String; 3] {
    let day = (Utc::now() - Days::new(days)).date_naive();
    let path = format!("/api/reports/aging?as_of={day}");
    let report = client.get(&path).await.ok(200);
    let rows = report["data"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["customer_id"] == json!(customer));
    ["current", "credit_on_account", "balance"].map(|name| {
        let found = row.map(|row| row[name].as_str().unwrap().to_owned());
        found.unwrap_or_else(|| "0.00".to_owned())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_is_found_where_the_answer_says_and_uses_up_the_oldest_credit() {
    let (service, admin, customer, _) = shop().await;
    let one = ahead(&admin, customer, "30.00", 0).await;
    let two = ahead(&admin, customer, "20.00", 0).await;
    let more = json!({"reference": "transfer 4711"});
    let reply = pay_out(&admin, customer, "35", more).await;
    let paid = reply.ok(201);
    for (name, value) in [
        ("customer_id", json!(customer)),
        ("amount", json!("35.00")),
        ("currency", json!("USD")),
        ("method", json!("bank transfer")),
        ("reference", json!("transfer 4711")),
        ("reversed_at", json!(null)),
        ("customer_balance", json!("-15.00")),
        ("available_credit", json!("1015.00")),
        ("credit_on_account", json!("15.00")),
    ] {
        assert_eq!(paid[name], value, "{name}");
    }
    let found = read(&service.staff(), &reply).await;
    for (name, value) in found.as_object().unwrap() {
        assert_eq!(*value, paid[name], "{name}");
    }
    for (made, paid_out, left) in [(&one, "30.00", "0.00"), (&two, "5.00", "15.00")] {
        let payment = read(&admin, made).await;
        assert_eq!(
            (&payment["paid_out"], &payment["unallocated"]),
            (&json!(paid_out), &json!(left))
        );
    }
    let event = format!(
        "SELECT before, after FROM audit_events WHERE business_id = '{ACME}' AND action = 'payout.created'"
    );
    let event = service.database.row(&event).await;
    assert_eq!(
        (
            &event["before"]["customer_balance"],
            &event["after"]["customer_balance"],
            &event["after"]["amount"]
        ),
        (&json!("-50.00"), &json!("-15.00"), &json!("35.00"))
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_paid_out_than_is_on_account() {
    let (service, admin, customer, unit) = shop().await;
    let refused = pay_out(&admin, customer, "0.01", json!({})).await;
    let refused = refused.refused(409, "credit_on_account_exceeded");
    assert_eq!(
        (
            &refused["credit_on_account"],
            &refused["amount"],
            &refused["currency"]
        ),
        (&json!("0.00"), &json!("0.01"), &json!("USD"))
    );
    ahead(&admin, customer, "30.00", 0).await;
    let _ = order(&admin, customer, unit, 10).await;
    let before = service.database.digest().await;
    let refused = pay_out(&admin, customer, "20.01", json!({})).await;
    let refused = refused.refused(409, "credit_on_account_exceeded");
    assert_eq!(refused["credit_on_account"], "20.00");
    assert_eq!(service.database.digest().await, before);
    pay_out(&admin, customer, "20.00", json!({})).await.ok(201);
    assert_eq!(figures(&admin, customer).await, ["0.00", "1000.00", "0.00"]);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_payouts_and_purchases_at_once_none_uses_the_credit_of_another() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let customer = admin.add_customer("Ahead", "0.00").await;
    let unit = admin.add_product("UNIT", "1.00", 100_000).await;
    ahead(&admin, customer, "50.00", 0).await;
    let replies = all((0..16).map(|number| {
        let admin = admin.at(if number % 2 == 0 { &one } else { &two });
        async move {
            match number % 4 {
                0 => admin.buy_for(customer, &[(unit, 10)]).await,
                _ => pay_out(&admin, customer, "10.00", json!({})).await,
            }
        }
    }))
    .await;
    let done = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(done, 5);
    assert_eq!(figures(&admin, customer).await, ["0.00", "0.00", "0.00"]);
    books_balance(&one).await;
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_counts_from_its_date_and_uses_only_what_was_there_then() {
    let (service, admin, customer, _) = shop().await;
    ahead(&admin, customer, "30.00", 20).await;
    ahead(&admin, customer, "50.00", 5).await;
    let paid_at: DateTime<Utc> = Utc::now() - Days::new(10);
    let refused = pay_out(&admin, customer, "30.01", json!({ "paid_at": paid_at })).await;
    let refused = refused.refused(409, "credit_on_account_exceeded");
    assert_eq!(refused["credit_on_account"], "30.00");
    let paid = pay_out(&admin, customer, "25.00", json!({ "paid_at": paid_at })).await;
    let returned: DateTime<Utc> = paid.ok(201)["paid_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(returned.timestamp_micros(), paid_at.timestamp_micros());
    for (days, on_account, balance) in [
        (15, "30.00", "-30.00"),
        (8, "5.00", "-5.00"),
        (3, "55.00", "-55.00"),
    ] {
        assert_eq!(
            aged(&admin, customer, days).await,
            ["0.00", on_account, balance],
            "{days} days ago"
        );
    }
    // The payout takes all credit, so no remainder hides a wrong figure.
    pay_out(&admin, customer, "55.00", json!({})).await.ok(201);
    assert_eq!(aged(&admin, customer, 3).await, ["0.00", "55.00", "-55.00"]);
    let day = (Utc::now() - Days::new(8)).date_naive();
    let path = format!("/api/customers/{customer}/statement?to={day}");
    let statement = admin.get(&path).await.ok(200);
    assert_eq!(statement["closing_balance"], "-5.00");
    assert_eq!(
        (
            &statement["totals"]["payouts"],
            &statement["totals"]["payments"]
        ),
        (&json!("25.00"), &json!("-30.00"))
    );
    let entry = statement["entries"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&entry["kind"], &entry["amount"], &entry["payout_id"]),
        (&json!("payout"), &json!("25.00"), &paid.json()["payout_id"])
    );
    assert_eq!(entry["method"], "bank transfer");
    let csv = admin.request(reqwest::Method::GET, &path);
    let csv = admin.send(csv.header("accept", "text/csv")).await;
    assert!(
        csv.text.contains(",payout,25.00,-5.00,USD,"),
        "{}",
        csv.text
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_came_back_puts_its_credit_on_account_again_once() {
    let (service, admin, customer, unit) = shop().await;
    let payment = ahead(&admin, customer, "40.00", 20).await;
    let more = json!({"paid_at": Utc::now() - Days::new(10)});
    let paid = pay_out(&admin, customer, "30.00", more).await;
    paid.ok(201);
    let undone = reverse(&admin, &paid).await.ok(201);
    assert_eq!(undone["reversal_reason"], "bounced");
    assert_eq!(
        (
            &undone["amount"],
            &undone["customer_balance"],
            &undone["credit_on_account"]
        ),
        (&json!("30.00"), &json!("-40.00"), &json!("40.00"))
    );
    let _ = reverse(&admin, &paid)
        .await
        .refused(409, "already_reversed");
    assert_eq!(read(&admin, &payment).await["paid_out"], "0.00");
    // Between the payout and its return the credit was away, so no order of that time could be settled with it.
    assert_eq!(aged(&admin, customer, 5).await, ["0.00", "10.00", "-10.00"]);
    let id = order(&admin, customer, unit, 35).await;
    assert_eq!(due(&admin, &id).await, "0.00");
    // The payment's reversal makes its order due again, and the returned payout does not prevent it.
    reverse(&admin, &payment).await.ok(201);
    assert_eq!(due(&admin, &id).await, "35.00");
    let ledger = format!("/api/customers/{customer}/ledger");
    let ledger = admin.pages(&ledger, 50).await;
    assert_eq!(
        member(&ledger, "kind"),
        ["reversal", "charge", "reversal", "payout", "payment"]
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_bounces_after_it_was_paid_out_is_replaced_by_other_credit_or_stays() {
    let (service, admin, customer, _) = shop().await;
    let bounced = ahead(&admin, customer, "40.00", 3).await;
    let paid = pay_out(&admin, customer, "30.00", json!({})).await;
    paid.ok(201);
    let before = service.database.digest().await;
    let refused = reverse(&admin, &bounced)
        .await
        .refused(409, "credit_paid_out");
    assert_eq!(
        (&refused["paid_out"], &refused["credit_on_account"]),
        (&json!("30.00"), &json!("0.00"))
    );
    assert_eq!(service.database.digest().await, before);
    let other = ahead(&admin, customer, "35.00", 0).await;
    reverse(&admin, &bounced).await.ok(201);
    assert_eq!(read(&admin, &other).await["paid_out"], "30.00");
    assert_eq!(
        figures(&admin, customer).await,
        ["-5.00", "1005.00", "5.00"]
    );
    books_balance(&service).await;
    reverse(&admin, &paid).await.ok(201);
    assert_eq!(
        figures(&admin, customer).await,
        ["-35.00", "1035.00", "35.00"]
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_covers_payouts_of_its_own_credits_with_the_released_amount() {
    let (service, admin, customer, unit) = shop().await;
    let id = order(&admin, customer, unit, 100).await;
    let payment = pay(&admin, customer, "100.00", json!({})).await;
    let path = format!("/api/orders/{id}/credit-notes");
    let body = json!({"amount": "60.00", "reason": "late"});
    let note = admin.post(&path, &body).await;
    note.ok(201);
    let paid = pay_out(&admin, customer, "60.00", json!({})).await;
    paid.ok(201);
    assert_eq!(read(&admin, &note).await["paid_out"], "60.00");
    let cancel = format!("/api/orders/{id}/cancel");
    admin.post(&cancel, &json!({})).await.ok(200);
    // 100.00 were received, 60.00 paid out, and no order is left.
    assert_eq!(
        figures(&admin, customer).await,
        ["-40.00", "1040.00", "40.00"]
    );
    assert_eq!(read(&admin, &payment).await["paid_out"], "60.00");
    assert_eq!(due(&admin, &id).await, "0.00");
    books_balance(&service).await;
    // Only a reversal of the payout would free the payment's money.
    let _ = reverse(&admin, &payment)
        .await
        .refused(409, "credit_paid_out");

    // If the payment was reversed before, the cancellation frees nothing.
    let id = order(&admin, customer, unit, 140).await;
    let payment = pay(&admin, customer, "100.00", json!({})).await;
    let path = format!("/api/orders/{id}/credit-notes");
    admin.post(&path, &body).await.ok(201);
    pay_out(&admin, customer, "60.00", json!({})).await.ok(201);
    reverse(&admin, &payment).await.ok(201);
    let before = service.database.digest().await;
    let cancel = format!("/api/orders/{id}/cancel");
    let refused = admin.post(&cancel, &json!({})).await;
    let refused = refused.refused(409, "credit_paid_out");
    assert_eq!(
        (&refused["paid_out"], &refused["credit_on_account"]),
        (&json!("60.00"), &json!("40.00"))
    );
    assert_eq!(service.database.digest().await, before);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payouts_are_listed_by_customer_and_time_the_newest_first() {
    let (service, admin, customer, _) = shop().await;
    let other = admin.add_customer("Other", "0.00").await;
    let mut made = Vec::new();
    for (customer, amount) in [(customer, "1.00"), (other, "2.00"), (customer, "3.00")] {
        ahead(&admin, customer, "9.00", 0).await;
        let paid = pay_out(&admin, customer, amount, json!({})).await.ok(201);
        made.push(paid["created_at"].as_str().unwrap().to_owned());
    }
    let staff = service.staff();
    let list = async |query: &str| {
        let rows = staff.pages(&format!("/api/payouts?{query}"), 2).await;
        member(&rows, "amount")
    };
    assert_eq!(list("").await, ["3.00", "2.00", "1.00"]);
    assert_eq!(
        list(&format!("customer_id={customer}")).await,
        ["3.00", "1.00"]
    );
    assert_eq!(
        list(&format!("created_from={}", made[1])).await,
        ["3.00", "2.00"]
    );
    assert_eq!(list(&format!("created_to={}", made[1])).await, ["1.00"]);
    // A date covers the whole day.
    let (first, last) = (&made[0][..10], &made[2][..10]);
    let days = format!("created_from={first}&created_to={last}");
    assert_eq!(list(&days).await.len(), 3);
    // Years have four digits wherever a date is accepted.
    for list in ["payouts", "orders"] {
        for never in ["created_from=-5000-01-01", "created_to=%2B262142-12-31"] {
            let reply = admin.get(&format!("/api/{list}?{never}")).await;
            let _ = reply.refused(422, "validation_failed");
        }
    }
    let foreign = service.stranger().pages("/api/payouts", 50).await;
    assert_eq!(foreign, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_values_are_refused_with_their_pointer() {
    let (service, admin, customer, _) = shop().await;
    ahead(&admin, customer, "30.00", 0).await;
    let before = service.database.digest().await;
    for (more, pointer) in [
        (json!({"amount": "0"}), "/amount"),
        (json!({"amount": "-1.00"}), "/amount"),
        (json!({"amount": "1.001"}), "/amount"),
        (json!({"method": ""}), "/method"),
        (json!({"method": "x".repeat(51)}), "/method"),
        (json!({"reference": "x".repeat(201)}), "/reference"),
        (json!({"paid_at": Utc::now() + Days::new(1)}), "/paid_at"),
        (json!({"paid_at": "yesterday"}), "/paid_at"),
        (json!({"customer_id": customer}), "/customer_id"),
    ] {
        let reply = pay_out(&admin, customer, "1.00", more.clone()).await;
        let problem = reply.refused(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{more}");
    }
    let refused = pay_out(&admin, GLOBEX_CUSTOMER, "1.00", json!({})).await;
    refused.refused(404, "customer_not_found");
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_is_asked_for_twice_is_made_once() {
    let (service, admin, customer, _) = shop().await;
    ahead(&admin, customer, "30.00", 0).await;
    let path = format!("/api/customers/{customer}/payouts");
    let body = json!({"amount": "20.00", "method": "cash"});
    let replies = all((0..4).map(|_| {
        let (admin, path, body) = (admin.clone(), path.clone(), body.clone());
        async move { admin.post_once("payout", &path, &body).await }
    }))
    .await;
    for reply in &replies {
        assert_eq!((reply.status, &reply.text), (201, &replies[0].text));
    }
    assert_eq!(figures(&admin, customer).await[2], "10.00");
    books_balance(&service).await;
}
