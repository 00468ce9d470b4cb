//! These tests check that days are those of the business's time zone: due dates, aging, statements, lists by date and
//! blocked purchases. PostgreSQL, which has a time zone database of its own, computes the expected values.

use chrono::{DateTime, Timelike, Utc};
use domain::demo::ACME;
use serde_json::{Value, json};
use tests::{Account, Client, Service, books_balance, member};

use crate::money::payments::{order, shop};

/// The zones lie on both sides of the date line. Some have daylight saving in either half of the year, one by half an
/// hour, and some have none.
const ZONES: [&str; 9] = [
    "UTC",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Europe/Paris",
    "America/New_York",
    "Asia/Tokyo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
];

async fn set_zone(admin: &Client, zone: &str) {
    let change = json!({"time_zone": zone});
    let business = admin.patch("/api/business", &change).await.ok(200);
    assert_eq!(business["time_zone"], zone);
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_due_at_its_time_of_day_so_many_days_of_the_business_later() {
    let (service, admin, customer, unit) = shop().await;
    let mut dues = Vec::new();
    for zone in ZONES {
        set_zone(&admin, zone).await;
        for terms in [0, 1, 30, 120, 200, 365] {
            let path = format!("/api/customers/{customer}");
            let change = json!({"payment_terms_days": terms});
            admin.patch(&path, &change).await.ok(200);
            let id = order(&admin, customer, unit, 1).await;
            let sql = format!(
                "SELECT o.due_at,
                        (o.due_at AT TIME ZONE '{zone}')::date - (o.created_at AT TIME ZONE '{zone}')::date AS days,
                        ((o.created_at AT TIME ZONE '{zone}') + interval '{terms} days') AT TIME ZONE '{zone}' AS expected
                   FROM orders o WHERE id = '{id}'"
            );
            let row = service.database.row(&sql).await;
            assert_eq!(row["days"], terms, "{zone} {terms}");
            // A local time that clocks skip or repeat may differ from PostgreSQL's by up to an hour.
            let off = time(&row["due_at"]) - time(&row["expected"]);
            assert!(off.num_minutes().abs() <= 60, "{zone} {terms}: {row}");
            dues.push((id, row["due_at"].clone()));
        }
    }
    // A later change of the zone does not move existing due dates.
    for (id, due_at) in dues {
        let order = admin.get(&format!("/api/orders/{id}")).await.ok(200);
        assert_eq!(time(&order["due_at"]), time(&due_at));
    }
    books_balance(&service).await;
}

/// Creates an account with payments, and with orders every five hours around clock changes, month ends and a leap day.
async fn busy(service: &Service) -> Account {
    let account = Account::open(service, "Busy").await;
    for (place, day) in [
        "2024-02-28",
        "2024-03-10",
        "2024-03-30",
        "2024-04-06",
        "2024-04-25",
    ]
    .into_iter()
    .enumerate()
    {
        for hour in (0..48).step_by(5) {
            let start: DateTime<Utc> = format!("{day}T00:00:00Z").parse().unwrap();
            let at = start + chrono::TimeDelta::hours(hour);
            let total = format!("{}.00", place * 100 + 1);
            account.sell(&at.to_rfc3339(), 10, &total).await;
        }
        let paid = format!("{day}T10:00:00Z");
        account.pay(&paid, "7.00", &[]).await;
    }
    account
}

async fn aged(service: &Service, account: &Account, as_of: &str) -> Value {
    let path = format!("/api/reports/aging?as_of={as_of}");
    let rows = service.staff().pages(&path, 200).await;
    let id = json!(account.customer);
    let found = rows.into_iter().find(|row| row["customer_id"] == id);
    found.unwrap_or_else(|| {
        json!({"current": "0.00", "days_1_30": "0.00", "days_31_60": "0.00", "days_61_90": "0.00",
               "days_over_90": "0.00", "credit_on_account": "0.00", "balance": "0.00"})
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn aging_counts_the_days_of_the_business_as_postgresql_counts_them() {
    let service = Service::start().await;
    let account = busy(&service).await;
    for zone in ZONES {
        set_zone(&service.admin(), zone).await;
        for date in [
            "2024-02-29",
            "2024-03-01",
            "2024-03-11",
            "2024-03-31",
            "2024-04-07",
            "2024-04-26",
            "2024-05-08",
            "2024-06-30",
        ] {
            let sql = format!(
                "SELECT coalesce(sum(total_amount) FILTER (WHERE late <= 0), 0)::numeric(19,2)::text AS current,
                        coalesce(sum(total_amount) FILTER (WHERE late BETWEEN 1 AND 30), 0)::numeric(19,2)::text AS days_1_30,
                        coalesce(sum(total_amount) FILTER (WHERE late BETWEEN 31 AND 60), 0)::numeric(19,2)::text AS days_31_60
                   FROM (SELECT total_amount, date '{date}' - (due_at AT TIME ZONE '{zone}')::date AS late
                           FROM orders WHERE customer_id = '{}'
                            AND (created_at AT TIME ZONE '{zone}')::date <= date '{date}') AS old",
                account.customer
            );
            let expected = service.database.row(&sql).await;
            let row = aged(&service, &account, date).await;
            for bucket in ["current", "days_1_30", "days_31_60"] {
                assert_eq!(row[bucket], expected[bucket], "{zone} {date} {bucket}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_closes_with_what_aging_says_at_the_same_parameter() {
    let service = Service::start().await;
    let account = busy(&service).await;
    let path = format!("/api/customers/{}/statement", account.customer);
    for zone in ZONES {
        set_zone(&service.admin(), zone).await;
        let sql = format!("SELECT (now() AT TIME ZONE '{zone}')::date::text");
        let today = service.database.value(&sql).await;
        for parameter in [
            "2024-02-27",
            "2024-02-28",
            "2024-02-29",
            "2024-03-10",
            "2024-03-31",
            // The moment of an order and of a payment, and a microsecond before and after it.
            "2024-03-10T09:59:59.999999Z",
            "2024-03-10T10:00:00Z",
            "2024-03-10T10:00:00.000001Z",
            // Midnight in some of the zones.
            "2024-03-11T00:00:00Z",
            "2024-03-10T10:00:00%2B14:00",
            "2024-03-10T00:00:00-11:00",
            &today,
        ] {
            let to = service
                .staff()
                .get(&format!("{path}?to={parameter}"))
                .await
                .ok(200);
            let as_of = aged(&service, &account, parameter).await;
            assert_eq!(
                to["closing_balance"], as_of["balance"],
                "{zone} {parameter}"
            );
        }
        let whole = service.staff().get(&path).await.ok(200);
        let rows = service.staff().pages("/api/reports/aging", 200).await;
        let row = rows
            .iter()
            .find(|row| row["customer_id"] == json!(account.customer));
        assert_eq!(whole["closing_balance"], row.unwrap()["balance"], "{zone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_returned_as_of_reproduces_the_report() {
    let service = Service::start().await;
    let _ = busy(&service).await;
    set_zone(&service.admin(), "America/New_York").await;
    let staff = service.staff();
    let asked = staff
        .get("/api/reports/aging?as_of=2024-03-10")
        .await
        .ok(200);
    // Clocks go forward on this day, so it ends at 04:00 UTC.
    assert_eq!(asked["as_of"], "2024-03-11T04:00:00.000000Z");
    assert_eq!(asked["as_of_date"], "2024-03-10");
    let path = format!(
        "/api/reports/aging?as_of={}",
        asked["as_of"].as_str().unwrap()
    );
    assert_eq!(staff.get(&path).await.ok(200), asked);
    let table = staff.csv("/api/reports/aging?as_of=2024-03-10").await;
    assert_eq!(
        table.header("content-disposition"),
        "attachment; filename=\"aging-2024-03-10.csv\""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_days_meet_at_the_midnights_of_the_business() {
    let service = Service::start().await;
    let account = busy(&service).await;
    let path = format!("/api/customers/{}/statement", account.customer);
    for zone in ZONES {
        set_zone(&service.admin(), zone).await;
        let statement = async |query: &str| {
            let path = format!("{path}?{query}");
            service.staff().get(&path).await.ok(200)
        };
        let mut opening = json!("0.00");
        for (from, to) in [
            ("2024-02-01", "2024-02-29"),
            ("2024-03-01", "2024-03-09"),
            ("2024-03-10", "2024-03-10"),
            ("2024-03-11", "2024-03-31"),
            ("2024-04-01", "2024-04-30"),
        ] {
            let part = statement(&format!("from={from}&to={to}")).await;
            assert_eq!((&part["from"], &part["to"]), (&json!(from), &json!(to)));
            assert_eq!(part["opening_balance"], opening, "{zone} {from}");
            opening = part["closing_balance"].clone();
            let sql = format!(
                "SELECT count(*) FROM ledger_entries WHERE customer_id = '{}'
                    AND (effective_at AT TIME ZONE '{zone}')::date BETWEEN '{from}' AND '{to}'",
                account.customer
            );
            let entries = part["entries"].as_array().unwrap().len().to_string();
            assert_eq!(entries, service.database.value(&sql).await, "{zone} {from}");
        }
        assert_eq!(opening, statement("").await["closing_balance"], "{zone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_by_date_are_of_the_days_of_the_business() {
    let service = Service::start().await;
    let account = busy(&service).await;
    let (staff, admin) = (service.staff(), service.admin());
    for zone in ["UTC", "Asia/Tokyo", "America/New_York"] {
        set_zone(&admin, zone).await;
        for (from, to) in [("2024-03-10", "2024-03-10"), ("2024-02-29", "2024-03-11")] {
            let path = format!(
                "/api/orders?customer_id={}&created_from={from}&created_to={to}",
                account.customer
            );
            let mut found = member(&staff.pages(&path, 200).await, "order_id");
            let sql = format!(
                "SELECT id FROM orders WHERE customer_id = '{}'
                    AND (created_at AT TIME ZONE '{zone}')::date BETWEEN '{from}' AND '{to}' ORDER BY id DESC",
                account.customer
            );
            found.sort_unstable_by(|one, other| other.cmp(one));
            assert_eq!(found, service.database.column(&sql).await, "{zone} {from}");
        }
        let sql = format!(
            "SELECT count(*) AS all, (min(created_at) AT TIME ZONE '{zone}')::date::text AS first,
                    (max(created_at) AT TIME ZONE '{zone}')::date::text AS last
               FROM audit_events WHERE business_id = '{ACME}' AND action = 'business.changed'"
        );
        let events = service.database.row(&sql).await;
        let (first, last) = (
            events["first"].as_str().unwrap(),
            events["last"].as_str().unwrap(),
        );
        let path = format!("/api/audit?action=business.changed&from={first}&to={last}");
        let found = admin.pages(&path, 200).await.len();
        assert_eq!(json!(found), events["all"], "{zone}");
        let path = "/api/audit?action=business.changed&to=2024-01-01";
        assert_eq!(admin.pages(path, 200).await.len(), 0, "{zone}");
    }
}

/// The zone in which the local hour is now `hour`. Names of the form `Etc/GMT+n` count hours west of Greenwich.
fn zone_at_hour(now: DateTime<Utc>, hour: u32) -> String {
    let west = (i64::from(now.hour()) - i64::from(hour)).rem_euclid(24);
    match west {
        0 => "Etc/GMT".to_owned(),
        1..=12 => format!("Etc/GMT+{west}"),
        _ => format!("Etc/GMT-{}", 24 - west),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn today_begins_at_the_midnight_of_the_business_for_lists_and_blocks() {
    let (service, admin, customer, unit) = shop().await;
    let late = order(&admin, customer, unit, 10).await;
    let now = Utc::now();
    let sql =
        format!("UPDATE orders SET due_at = now() - interval '65 minutes' WHERE id = '{late}'");
    service.database.execute(&sql).await;
    admin
        .patch("/api/business", &json!({"block_after_days": 0}))
        .await
        .ok(200);
    let days_past_due = async || {
        let rows = admin.pages("/api/customers/overdue?days=0", 200).await;
        let row = rows
            .iter()
            .find(|row| row["customer_id"] == json!(customer));
        row.map(|row| row["days_past_due"].clone())
    };
    // In a zone where it is noon, the order was due today. In a zone just after midnight, it was due yesterday.
    set_zone(&admin, &zone_at_hour(now, 12)).await;
    assert_eq!(days_past_due().await, None);
    order(&admin, customer, unit, 1).await;
    set_zone(&admin, &zone_at_hour(now, 0)).await;
    assert_eq!(days_past_due().await, Some(json!(1)));
    let refused = admin.buy_for(customer, &[(unit, 1)]).await;
    let body = refused.refused(409, "customer_overdue");
    assert_eq!(body["order_id"], json!(late));
    admin
        .patch("/api/business", &json!({"block_after_days": 1}))
        .await
        .ok(200);
    order(&admin, customer, unit, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_has_a_zone_of_the_iana_database_from_its_start() {
    let service = Service::start().await;
    let initech = |zone: &str| {
        json!({"name": "Initech", "slug": "initech", "currency": "EUR", "time_zone": zone,
               "admin": {"email": "admin@initech.example", "password": "correct horse battery"}})
    };
    let bad = [
        "Asia/Osaka",
        "europe/paris",
        "",
        "+09:00",
        "JST-9",
        "Asia/Tokyo ",
    ];
    for zone in bad {
        for reply in [
            service
                .platform()
                .post("/api/businesses", &initech(zone))
                .await,
            service
                .admin()
                .patch("/api/business", &json!({"time_zone": zone}))
                .await,
        ] {
            let body = reply.refused(422, "validation_failed");
            assert_eq!(body["errors"][0]["pointer"], "/time_zone", "{zone}");
        }
    }
    let made = service
        .platform()
        .post("/api/businesses", &initech("Asia/Tokyo"))
        .await
        .ok(201);
    assert_eq!(made["time_zone"], "Asia/Tokyo");
    let sql = format!(
        "SELECT after FROM audit_events WHERE action = 'business.created' AND entity_id = '{}'",
        made["id"].as_str().unwrap()
    );
    let event = service.database.row(&sql).await;
    assert_eq!(event["after"]["time_zone"], "Asia/Tokyo");
    // A change of another member leaves the zone unchanged, and changes of the zone are in the audit trail.
    set_zone(&service.admin(), "Europe/Paris").await;
    let named = service
        .admin()
        .patch("/api/business", &json!({"name": "Acme"}))
        .await
        .ok(200);
    assert_eq!(named["time_zone"], "Europe/Paris");
    let sql = format!(
        "SELECT before, after FROM audit_events WHERE action = 'business.changed' AND business_id = '{ACME}'
          ORDER BY id LIMIT 1"
    );
    let event = service.database.row(&sql).await;
    assert_eq!(
        (&event["before"]["time_zone"], &event["after"]["time_zone"]),
        (&json!("UTC"), &json!("Europe/Paris"))
    );
}
