//! These tests check closed periods: no document can be dated into one, and reports about it never change.

use chrono::{DateTime, Days, NaiveDate, Utc};
use domain::demo::ACME;
use serde_json::{Value, json};
use tests::{Account, Client, Reply, Service, books_balance, until};

use crate::money::payments::{order, pay, shop};

async fn close(admin: &Client, until: Value) -> Reply {
    let change = json!({"books_closed_until": until});
    admin.patch("/api/business", &change).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_not_dated_into_a_closed_period_and_the_first_open_day_is_open() {
    let (service, admin, customer, unit) = shop().await;
    order(&admin, customer, unit, 100).await;
    assert_eq!(
        close(&admin, json!("2024-03-10")).await.ok(200)["books_closed_until"],
        "2024-03-10"
    );
    for (zone, closed, open) in [
        ("UTC", "2024-03-09T23:59:59.999999Z", "2024-03-10T00:00:00Z"),
        (
            "Pacific/Kiritimati",
            "2024-03-09T09:59:59.999999Z",
            "2024-03-09T10:00:00Z",
        ),
        (
            "Pacific/Pago_Pago",
            "2024-03-10T10:59:59.999999Z",
            "2024-03-10T11:00:00Z",
        ),
        (
            "America/New_York",
            "2024-03-10T04:59:59.999999Z",
            "2024-03-10T05:00:00Z",
        ),
    ] {
        let change = json!({"time_zone": zone});
        admin.patch("/api/business", &change).await.ok(200);
        let before = service.database.digest().await;
        for at in [closed, "1970-01-01T00:00:00Z"] {
            let body = pay(&admin, customer, "1.00", json!({"received_at": at}))
                .await
                .refused(409, "period_closed");
            assert_eq!(body["books_closed_until"], "2024-03-10", "{zone}");
            let day: NaiveDate = body["date"].as_str().unwrap().parse().unwrap();
            assert!(day < "2024-03-10".parse().unwrap(), "{zone} {day}");
        }
        assert_eq!(
            service.database.digest().await,
            before,
            "a refused request writes nothing"
        );
        let paid = pay(&admin, customer, "1.00", json!({"received_at": open})).await;
        paid.ok(201);
        pay(&admin, customer, "1.00", json!({})).await.ok(201);
        admin.buy_for(customer, &[(unit, 1)]).await.ok(201);
    }
    // An admin opens the period again, and the audit trail records it.
    let refused = close(&service.staff(), Value::Null).await;
    let _ = refused.refused(403, "forbidden");
    close(&admin, json!("2024-02-01")).await.ok(200);
    let then = json!({"received_at": "2024-03-09T12:00:00Z"});
    pay(&admin, customer, "1.00", then).await.ok(201);
    close(&admin, Value::Null).await.ok(200);
    let then = json!({"received_at": "2023-03-09T12:00:00Z"});
    pay(&admin, customer, "1.00", then).await.ok(201);
    let sql = format!(
        "SELECT before, after FROM audit_events WHERE action = 'business.changed' AND business_id = '{ACME}'
          ORDER BY id DESC LIMIT 2"
    );
    let trail: Vec<Value> = service
        .database
        .rows(&sql)
        .await
        .iter()
        .map(|event| {
            let until = |side: &str| event[side]["books_closed_until"].clone();
            json!([until("before"), until("after")])
        })
        .collect();
    assert_eq!(
        trail,
        [
            json!(["2024-02-01", null]),
            json!(["2024-03-10", "2024-02-01"])
        ]
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn books_are_closed_until_today_at_the_latest() {
    let service = Service::start().await;
    let admin = service.admin();
    let today = Utc::now().date_naive();
    let in_two_days = (today + Days::new(2)).to_string();
    for bad in [
        json!(in_two_days),
        json!("9999-12-31"),
        json!("1969-12-31"),
        json!("2024-02-30"),
        json!("2024-3-1"),
        json!("2024-03-01T00:00:00Z"),
        json!(20240301),
    ] {
        let body = close(&admin, bad.clone())
            .await
            .refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], "/books_closed_until", "{bad}");
    }
    // The latest date follows the business's time zone: first one where it may already be tomorrow, then one where it
    // is not.
    let zone = |name: &str| json!({"time_zone": name});
    admin
        .patch("/api/business", &zone("Pacific/Kiritimati"))
        .await
        .ok(200);
    let sql =
        "SELECT ((now() - interval '2 minutes') AT TIME ZONE 'Pacific/Kiritimati')::date::text";
    let there = service.database.value(sql).await;
    close(&admin, json!(there)).await.ok(200);
    let back = admin
        .patch("/api/business", &zone("Pacific/Pago_Pago"))
        .await;
    let body = back.refused(422, "validation_failed");
    let message = body["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("in Pacific/Pago_Pago"), "{message}");
    close(&admin, Value::Null).await.ok(200);
    admin
        .patch("/api/business", &zone("Pacific/Pago_Pago"))
        .await
        .ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_a_closed_period_never_changes() {
    let service = Service::start().await;
    let (admin, account) = (service.admin(), Account::open(&service, "Closed").await);
    let one = account.sell("2024-01-10T10:00:00Z", 10, "100.00").await;
    let two = account.sell("2024-01-12T10:00:00Z", 10, "50.00").await;
    account.pay("2024-01-15T10:00:00Z", "80.00", &[]).await;
    let reports = async || {
        let mut reports = Vec::new();
        for date in ["2024-01-14", "2024-01-15", "2024-01-31", "2024-02-28"] {
            let path = format!("/api/reports/aging?as_of={date}");
            reports.push(admin.get(&path).await.ok(200)["total"].clone());
            let path = format!("/api/customers/{}/statement?to={date}", account.customer);
            reports.push(admin.get(&path).await.ok(200)["closing_balance"].clone());
        }
        reports
    };
    let before = reports().await;
    assert_eq!(before[2]["credit_on_account"], "80.00");
    close(&admin, json!("2024-03-01")).await.ok(200);
    // Credit of the closed period settles orders of that period with effect from the first open day.
    let path = format!("/api/customers/{}/allocations", account.customer);
    let some = json!({"allocations": [{"order_id": one, "amount": "30.00"}]});
    admin.post(&path, &some).await.ok(200);
    assert_eq!(reports().await, before);
    let march = "/api/reports/aging?as_of=2024-03-01";
    let march = admin.get(march).await.ok(200)["total"].clone();
    assert_eq!(
        (&march["credit_on_account"], &march["balance"]),
        (&json!("50.00"), &before[4]["balance"])
    );
    // Corrections and a cancellation also take effect from the first open day.
    let note = json!({"amount": "50.00", "reason": "scratched"});
    let note_path = format!("/api/orders/{two}/credit-notes");
    let made = admin.post(&note_path, &note).await;
    made.ok(201);
    let undo = json!({"reason": "a mistake"});
    let undone = admin
        .post(&format!("{}/reverse", made.header("location")), &undo)
        .await;
    undone.ok(201);
    admin.post(&path, &json!({})).await.ok(200);
    let cancelled = admin
        .post(&format!("/api/orders/{one}/cancel"), &json!({}))
        .await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    assert_eq!(reports().await, before);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_for_payments_that_are_being_written() {
    let (service, admin, customer, unit) = shop().await;
    order(&admin, customer, unit, 10).await;
    let sql = format!("SELECT 1 FROM customers WHERE id = '{customer}' FOR UPDATE");
    let held = service.database.hold(&sql).await;
    let (payer, closer) = (admin.clone(), admin.clone());
    let then = json!({"received_at": "2024-01-10T10:00:00Z"});
    let payment = tokio::spawn(async move { pay(&payer, customer, "1.00", then).await });
    until("the payment waits for the customer", async || {
        service.database.blocked().await == 1
    })
    .await;
    let closing = tokio::spawn(async move { close(&closer, json!("2024-03-01")).await });
    until("the closing waits for the payment", async || {
        service.database.blocked().await == 2
    })
    .await;
    held.release().await;
    closing.await.unwrap().ok(200);
    // The payment committed before the close, or it was retried after the close and rejected.
    let paid = payment.await.unwrap();
    if paid.status != 201 {
        let _ = paid.refused(409, "period_closed");
    }
    let late = json!({"received_at": "2024-01-10T10:00:00Z"});
    let refused = pay(&admin, customer, "1.00", late).await;
    let _ = refused.refused(409, "period_closed");
    let now: DateTime<Utc> = Utc::now();
    let today = json!({"received_at": now});
    pay(&admin, customer, "1.00", today).await.ok(201);
    books_balance(&service).await;
}
