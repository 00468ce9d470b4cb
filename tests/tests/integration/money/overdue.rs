//! These tests check the report of overdue customers: only the unpaid part of an order counts, by default from its due
//! date.

use chrono::{Timelike, Utc};
use domain::demo::{ACME, GLOBEX, GLOBEX_CUSTOMER};
use entity::{BusinessId, CustomerId, OrderId};
use serde_json::{Value, json};
use tests::{Account, Credit, Service, books_balance, member};
use uuid::Uuid;

/// Starts a service whose demo customers owe nothing.
async fn nobody_owes() -> Service {
    let service = Service::start().await;
    service
        .database
        .execute("UPDATE orders SET amount_settled = total_amount")
        .await;
    for by in ["due_date", "order_date"] {
        let nobody = overdue(&service, &format!("days=0&by={by}")).await;
        assert_eq!(nobody, [] as [Value; 0], "{by}");
    }
    service
}

async fn overdue(service: &Service, query: &str) -> Vec<Value> {
    service
        .staff()
        .pages(&format!("/api/customers/overdue?{query}"), 200)
        .await
}

/// Inserts an order of this age (an SQL interval) and its payments, as the desk would have written them.
async fn order(
    service: &Service,
    of: (BusinessId, CustomerId),
    age: &str,
    total: &str,
    payments: &[&str],
) {
    let (business, customer) = of;
    let id = OrderId::new();
    let paid = if payments.is_empty() {
        "0".to_owned()
    } else {
        payments.join(" + ")
    };
    let mut sql = format!(
        "INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, amount_settled, due_at,
                             created_by, created_at)
         VALUES ('{business}', '{id}', '{customer}', 'approved', 'credit', {total}, {paid},
                 now() - interval '{age}' + interval '30 days', '{id}', now() - interval '{age}');
         UPDATE customers SET balance = balance + {total} - ({paid})
          WHERE business_id = '{business}' AND id = '{customer}';"
    );
    let mut balance = total.to_owned();
    let mut entry = |kind: &str, amount: &str, balance: &str| {
        sql += &format!(
            "UPDATE customers SET entry_count = entry_count + 1 WHERE business_id = '{business}' AND id = '{customer}';
             INSERT INTO ledger_entries (business_id, customer_id, number, id, kind, amount, balance_after, order_id)
             SELECT '{business}', '{customer}', entry_count, '{}', '{kind}', {amount}, {balance}, '{id}'
               FROM customers WHERE business_id = '{business}' AND id = '{customer}';",
            Uuid::now_v7()
        );
    };
    entry("charge", total, total);
    for payment in payments {
        balance = format!("{balance} - {payment}");
        entry("payment", &format!("-{payment}"), &balance);
    }
    service.database.execute(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_100_with_payments_of_30_and_30_owes_40() {
    let service = nobody_owes().await;
    let customer = service.admin().add_customer("Slow", "1000.00").await;
    // Longer ago than 45 days, on the same day of the calendar: soon after midnight that is less than an hour.
    let today = Utc::now().num_seconds_from_midnight();
    let age = format!("45 days {} seconds", (today / 2).min(3600));
    let of = (ACME, customer);
    order(&service, of, &age, "100.00", &["30.00", "30.00"]).await;
    let rows = overdue(&service, "days=30&by=order_date").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(row["overdue_amount"], "40.00");
    assert_eq!(row["balance"], "40.00");
    assert_eq!(row["customer_id"], json!(customer));
    assert_eq!(row["customer_name"], "Slow");
    assert_eq!(row["currency"], "USD");
    assert_eq!(row["days_since_order"], 45);
    let at = format!("SELECT created_at FROM orders WHERE customer_id = '{customer}'");
    let at = service.database.row(&at).await;
    let parse = |value: &Value| {
        value
            .as_str()
            .unwrap()
            .parse::<chrono::DateTime<chrono::Utc>>()
            .unwrap()
    };
    assert_eq!(parse(&row["oldest_order_date"]), parse(&at["created_at"]));
    // The order was due 15 days ago.
    assert_eq!(row["days_past_due"], 15);
    let by_due_date = overdue(&service, "days=14").await;
    assert_eq!(by_due_date, rows);
    assert_eq!(
        overdue(&service, "days=14&by=due_date").await,
        service
            .admin()
            .pages("/api/customers/overdue?days=14", 5)
            .await
    );
    assert_eq!(overdue(&service, "days=15").await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_unpaid_of_orders_that_are_older_counts() {
    let service = nobody_owes().await;
    let customer = service.admin().add_customer("Mixed", "10000.00").await;
    let of = (ACME, customer);
    order(&service, of, "100 days", "1000.00", &["600.00", "400.00"]).await;
    order(
        &service,
        of,
        "60 days",
        "70.00",
        &["10.00", "10.00", "10.00"],
    )
    .await;
    order(&service, of, "40 days", "5.00", &[]).await;
    order(&service, of, "10 days", "300.00", &["1.00"]).await;
    order(&service, of, "1 hour", "8.00", &[]).await;
    for (days, amount, age) in [
        (0, "352.00", 60),
        (9, "344.00", 60),
        (10, "344.00", 60),
        (11, "45.00", 60),
        (30, "45.00", 60),
        (41, "40.00", 60),
        (59, "40.00", 60),
    ] {
        let rows = overdue(&service, &format!("days={days}&by=order_date")).await;
        assert_eq!(rows.len(), 1, "{days}: {rows:?}");
        assert_eq!(rows[0]["overdue_amount"], amount, "{days}");
        assert_eq!(
            rows[0]["days_since_order"], age,
            "the paid one does not age: {days}"
        );
        assert_eq!(rows[0]["balance"], "352.00", "{days}");
    }
    for days in [61, 99, 101, 36_500] {
        let rows = overdue(&service, &format!("days={days}&by=order_date")).await;
        assert!(rows.is_empty(), "{days}");
    }
    // All orders were due 30 days after their creation.
    for (days, amount) in [
        (0, Some("45.00")),
        (9, Some("45.00")),
        (10, Some("40.00")),
        (30, None),
    ] {
        let rows = overdue(&service, &format!("days={days}")).await;
        assert_eq!(
            rows.first().map(|row| &row["overdue_amount"]),
            amount.map(|amount| json!(amount)).as_ref(),
            "{days}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_exact_after_payments_notes_write_offs_a_surplus_and_a_bounced_cheque() {
    let service = Service::start().await;
    let account = Account::open(&service, "Exact").await;
    let summary = async || {
        let rows = overdue(&service, "days=30").await;
        let id = json!(account.customer);
        let row = rows.into_iter().find(|row| row["customer_id"] == id);
        row.map(|row| {
            json!([
                row["overdue_amount"],
                row["oldest_order_date"],
                row["balance"]
            ])
        })
    };
    let (first, second) = ("2024-01-10T09:00:00.000000Z", "2024-02-10T09:00:00.000000Z");
    let a = account.sell(first, 30, "100.00").await;
    let b = account.sell(second, 30, "60.00").await;
    assert_eq!(summary().await, Some(json!(["160.00", first, "160.00"])));
    account
        .pay("2024-03-01T09:00:00Z", "30.00", &[(a, "30.00")])
        .await;
    let note = Credit::CreditNote(a);
    account
        .credit(note, "2024-03-02T09:00:00Z", "20.00", &[(a, "20.00")])
        .await;
    assert_eq!(summary().await, Some(json!(["110.00", first, "110.00"])));
    // The cheque settles the rest of the first order and a part of the second; 7.00 stays on account.
    let shares = [(a, "50.00"), (b, "15.00")];
    let cheque = account.pay("2024-03-03T09:00:00Z", "72.00", &shares).await;
    assert_eq!(summary().await, Some(json!(["45.00", second, "38.00"])));
    account.reverse(cheque).await;
    assert_eq!(summary().await, Some(json!(["110.00", first, "110.00"])));
    let off = Credit::WriteOff(a);
    account
        .credit(off, "2024-03-05T09:00:00Z", "50.00", &[(a, "50.00")])
        .await;
    account
        .pay("2024-03-06T09:00:00Z", "60.00", &[(b, "60.00")])
        .await;
    assert_eq!(summary().await, None);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_older_than_its_days_and_not_a_moment_before() {
    let service = nobody_owes().await;
    let admin = service.admin();
    let (just, not_yet) = (
        admin.add_customer("Just", "100.00").await,
        admin.add_customer("Not yet", "100.00").await,
    );
    order(&service, (ACME, just), "30 days", "1.00", &[]).await;
    order(&service, (ACME, not_yet), "30 days -2 minutes", "1.00", &[]).await;
    let rows = overdue(&service, "days=30&by=order_date").await;
    assert_eq!(member(&rows, "customer_name"), ["Just"]);
    assert_eq!(rows[0]["days_since_order"], 30);
    let rows = overdue(&service, "days=29&by=order_date").await;
    assert_eq!(member(&rows, "customer_name"), ["Just", "Not yet"]);
    assert_eq!(rows[1]["days_since_order"], 29);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_overdue_comes_first_whatever_the_amount_and_pages_hold_all() {
    let service = nobody_owes().await;
    let admin = service.admin();
    for (name, age, amount) in [
        ("Third", "50 days", "900.00"),
        ("First", "90 days", "1.00"),
        ("Fourth", "31 days", "5000.00"),
        ("Second", "70 days", "10.00"),
    ] {
        let customer = admin.add_customer(name, "0").await;
        order(&service, (ACME, customer), age, amount, &[]).await;
        order(&service, (ACME, customer), "1 day", "7.00", &[]).await;
    }
    // These customers have owed since the same moment, so only their ids order them.
    let mut twins = Vec::new();
    for number in 0..5 {
        let customer = admin.add_customer(&format!("Twin {number}"), "0").await;
        order(&service, (ACME, customer), "60 days", "2.00", &[]).await;
        twins.push(customer);
    }
    service
        .database
        .execute(
            "UPDATE orders SET created_at = (SELECT max(created_at) FROM orders WHERE total_amount = 2)
              WHERE total_amount = 2",
        )
        .await;
    let whole = overdue(&service, "days=30&by=order_date").await;
    let names = member(&whole, "customer_name");
    assert_eq!(names[..2], ["First", "Second"]);
    assert_eq!(names[7..], ["Third", "Fourth"]);
    assert_eq!(names.len(), 9);
    for limit in [1, 2, 3, 4, 8, 9, 10] {
        let paged = admin
            .pages("/api/customers/overdue?days=30&by=order_date", limit)
            .await;
        assert_eq!(member(&paged, "customer_name"), names, "pages of {limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_whole_and_bounded_and_30_when_left_out() {
    let service = nobody_owes().await;
    let customer = service.admin().add_customer("Old", "0").await;
    order(&service, (ACME, customer), "61 days", "1.00", &[]).await;
    let staff = service.staff();
    assert_eq!(
        overdue(&service, "days=30").await,
        staff.pages("/api/customers/overdue", 200).await
    );
    assert_eq!(overdue(&service, "days=30").await.len(), 1);
    for days in ["-1", "36501", "1.5", "x", "", "1e1", "99999999999999999999"] {
        let reply = staff
            .get(&format!("/api/customers/overdue?days={days}"))
            .await;
        let body = reply.refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], "?days", "{days}");
    }
    let reply = staff.get("/api/customers/overdue?days=1&days=2").await;
    let _ = reply.refused(422, "validation_failed");
    for by in ["", "due", "DUE_DATE"] {
        let reply = staff.get(&format!("/api/customers/overdue?by={by}")).await;
        let body = reply.refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], "?by", "{by}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_business_never_hears_of_anothers_debts() {
    let service = nobody_owes().await;
    order(&service, (GLOBEX, GLOBEX_CUSTOMER), "80 days", "12.00", &[]).await;
    assert!(overdue(&service, "days=0").await.is_empty());
    assert!(overdue(&service, "days=0&by=order_date").await.is_empty());
    let rows = service.stranger().pages("/api/customers/overdue", 10).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["overdue_amount"], "12.00");
    let refused = service.customer().get("/api/customers/overdue").await;
    let _ = refused.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_data_has_some_and_their_debts_are_their_orders_remainders() {
    let service = Service::start().await;
    let rows = overdue(&service, "days=30&by=order_date").await;
    let listed: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!([
                row["customer_name"],
                row["overdue_amount"],
                row["days_since_order"]
            ])
        })
        .collect();
    assert_eq!(
        listed,
        [
            json!(["Birch & Sons", "700.00", 120]),
            json!(["Delta Sports Club", "600.00", 64]),
            json!(["Corner Electronics", "250.00", 38]),
            json!(["Elm Street School", "200.00", 33]),
        ]
    );
    // Computes the expected names independently, from order totals and allocations.
    let sql = format!(
        "SELECT c.name FROM customers c JOIN orders o ON (o.business_id, o.customer_id) = (c.business_id, c.id)
          WHERE c.business_id = '{ACME}' AND o.created_at < now() - interval '30 days'
            AND o.total_amount > (SELECT coalesce(sum(a.amount), 0) FROM allocations a
                                   WHERE (a.business_id, a.order_id) = (o.business_id, o.id))
          GROUP BY c.name ORDER BY c.name"
    );
    let mut names = member(&rows, "customer_name");
    names.sort_unstable();
    assert_eq!(member(&service.database.rows(&sql).await, "name"), names);
}

/// Creates a customer with one order, created `made` days ago and due at noon UTC `due` days ago.
async fn due_ago(service: &Service, name: &str, made: u32, due: u32, total: &str) {
    let customer = service.admin().add_customer(name, "100000.00").await;
    let made_at = format!("{made} days");
    order(service, (ACME, customer), &made_at, total, &[]).await;
    let sql = format!(
        "UPDATE orders SET due_at = date_trunc('day', now(), 'UTC') - interval '{due} days' + interval '12 hours'
          WHERE customer_id = '{customer}'"
    );
    service.database.execute(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_is_not_past_due_is_not_overdue_however_old_the_order_is() {
    let service = nobody_owes().await;
    due_ago(&service, "Long terms", 300, 0, "1.00").await;
    due_ago(&service, "One day", 2, 1, "2.00").await;
    due_ago(&service, "Thirty days", 31, 30, "4.00").await;
    due_ago(&service, "Short terms", 31, 31, "8.00").await;
    let names_and_days = |rows: &[Value]| -> Vec<(Value, Value)> {
        let rows = rows.iter();
        rows.map(|row| (row["customer_name"].clone(), row["days_past_due"].clone()))
            .collect()
    };
    let long_first = [
        (json!("Short terms"), json!(31)),
        (json!("Thirty days"), json!(30)),
        (json!("One day"), json!(1)),
    ];
    assert_eq!(
        names_and_days(&overdue(&service, "days=0").await),
        long_first
    );
    assert_eq!(
        names_and_days(&overdue(&service, "days=1").await),
        long_first[..2]
    );
    assert_eq!(
        names_and_days(&overdue(&service, "days=29").await),
        long_first[..2]
    );
    assert_eq!(
        names_and_days(&overdue(&service, "").await),
        long_first[..1]
    );
    assert_eq!(names_and_days(&overdue(&service, "days=31").await), []);
    for limit in [1, 2, 3, 4] {
        let path = "/api/customers/overdue?days=0";
        let paged = service.staff().pages(path, limit).await;
        assert_eq!(names_and_days(&paged), long_first, "pages of {limit}");
    }
    let by_order = overdue(&service, "days=200&by=order_date").await;
    assert_eq!(names_and_days(&by_order), [(json!("Long terms"), json!(0))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_amounts_equal_the_later_buckets_of_aging() {
    let service = Service::start().await;
    for (name, due) in [
        ("A", 0),
        ("B", 1),
        ("C", 30),
        ("D", 31),
        ("E", 60),
        ("F", 61),
        ("G", 90),
        ("H", 91),
        ("I", 400),
    ] {
        due_ago(&service, name, due, due, "1.00").await;
    }
    let cents = |value: &Value| -> i64 {
        let digits = value.as_str().unwrap().replace('.', "");
        digits.parse().unwrap()
    };
    for zone in [
        "UTC",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "Asia/Tokyo",
    ] {
        let change = json!({"time_zone": zone});
        service
            .admin()
            .patch("/api/business", &change)
            .await
            .ok(200);
        let aging = service.staff().get("/api/reports/aging").await.ok(200);
        let buckets = ["days_1_30", "days_31_60", "days_61_90", "days_over_90"];
        for (place, days) in [0, 30, 60, 90].into_iter().enumerate() {
            let rows = overdue(&service, &format!("days={days}")).await;
            let overdue: i64 = rows.iter().map(|row| cents(&row["overdue_amount"])).sum();
            let later = buckets[place..]
                .iter()
                .map(|name| cents(&aging["total"][*name]));
            assert_eq!(overdue, later.sum::<i64>(), "{zone} {days}");
        }
    }
}
