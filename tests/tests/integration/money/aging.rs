//! These tests check the aging report: at every date the buckets minus the credit on account equal the balance.

use chrono::{DateTime, Days, NaiveDate, Utc};
use domain::demo::{ACME, ACME_CUSTOMER, ACME_KEYBOARD};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tests::{Account, Credit, Service, books_balance, member};

const BUCKETS: [&str; 5] = [
    "current",
    "days_1_30",
    "days_31_60",
    "days_61_90",
    "days_over_90",
];

/// The row of this customer, or `None` if the report has none.
async fn row(service: &Service, account: &Account, query: &str) -> Option<Value> {
    let path = format!("/api/reports/aging{query}");
    let rows = service.staff().pages(&path, 200).await;
    let id = json!(account.customer);
    rows.into_iter().find(|row| row["customer_id"] == id)
}

/// The amounts of a row that are not zero, by name.
fn figures(row: Option<Value>) -> Vec<(String, String)> {
    let Some(row) = row else { return Vec::new() };
    let names = BUCKETS.into_iter().chain(["credit_on_account", "balance"]);
    names
        .map(|name| (name.to_owned(), row[name].as_str().unwrap().to_owned()))
        .filter(|(_, amount)| amount != "0.00")
        .collect()
}

fn expected(figures: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = figures.iter();
    owned
        .map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned()))
        .collect()
}

fn amount(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

/// The sum of the buckets minus the credit on account.
fn sum(row: &Value) -> Decimal {
    let buckets: Decimal = BUCKETS.iter().map(|name| amount(&row[*name])).sum();
    buckets - amount(&row["credit_on_account"])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_100_with_payments_of_30_and_30_owes_40() {
    let service = Service::start().await;
    let account = Account::open(&service, "Slow").await;
    let order = account.sell("2024-01-01T10:00:00Z", 30, "100.00").await;
    account
        .pay("2024-02-10T10:00:00Z", "30.00", &[(order, "30.00")])
        .await;
    account
        .pay("2024-02-20T10:00:00Z", "30.00", &[(order, "30.00")])
        .await;
    let owed = row(&service, &account, "").await;
    assert_eq!(
        figures(owed),
        expected(&[("days_over_90", "40.00"), ("balance", "40.00")])
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_date_counts_nothing_that_came_later() {
    let service = Service::start().await;
    let account = Account::open(&service, "Later").await;
    let first = account.sell("2024-01-01T10:00:00Z", 30, "100.00").await;
    let second = account.sell("2024-03-01T10:00:00Z", 30, "50.00").await;
    let shares = [(first, "60.00"), (second, "20.00")];
    account.pay("2024-03-10T10:00:00Z", "90.00", &shares).await;
    let bounced = account
        .pay("2024-03-20T10:00:00Z", "40.00", &[(first, "40.00")])
        .await;
    account.reverse(bounced).await;
    for (as_of, figures_then) in [
        ("2023-12-31", &[][..]),
        (
            "2024-01-01",
            &[("current", "100.00"), ("balance", "100.00")],
        ),
        (
            "2024-02-01",
            &[("days_1_30", "100.00"), ("balance", "100.00")],
        ),
        (
            "2024-03-09",
            &[
                ("current", "50.00"),
                ("days_31_60", "100.00"),
                ("balance", "150.00"),
            ],
        ),
        // The report excludes the moment itself: one query is at the moment of the payment, one a microsecond later.
        (
            "2024-03-10T10:00:00Z",
            &[
                ("current", "50.00"),
                ("days_31_60", "100.00"),
                ("balance", "150.00"),
            ],
        ),
        (
            "2024-03-10T10:00:00.000001Z",
            &[
                ("current", "30.00"),
                ("days_31_60", "40.00"),
                ("credit_on_account", "10.00"),
                ("balance", "60.00"),
            ],
        ),
        // On this date the cheque had not bounced yet.
        (
            "2024-03-20",
            &[
                ("current", "30.00"),
                ("credit_on_account", "10.00"),
                ("balance", "20.00"),
            ],
        ),
    ] {
        let then = row(&service, &account, &format!("?as_of={as_of}")).await;
        assert_eq!(figures(then), expected(figures_then), "{as_of}");
    }
    let now = row(&service, &account, "").await;
    let expected_now = [
        ("days_over_90", "70.00"),
        ("credit_on_account", "10.00"),
        ("balance", "60.00"),
    ];
    assert_eq!(figures(now), expected(&expected_now));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn due_today_is_current_and_due_yesterday_is_one_day_past() {
    let service = Service::start().await;
    let account = Account::open(&service, "Punctual").await;
    // Due at 23:30 on 31 January.
    account.sell("2024-01-01T23:30:00Z", 30, "10.00").await;
    for (as_of, bucket) in [
        ("2024-01-30", "current"),
        ("2024-01-31", "current"),
        ("2024-02-01T00:00:00Z", "current"),
        ("2024-02-01T00:00:00.000001Z", "days_1_30"),
        ("2024-03-01", "days_1_30"),
        ("2024-03-02", "days_31_60"),
        ("2024-03-31", "days_31_60"),
        ("2024-04-01", "days_61_90"),
        ("2024-04-30", "days_61_90"),
        ("2024-05-01", "days_over_90"),
    ] {
        let then = row(&service, &account, &format!("?as_of={as_of}")).await;
        let expected = expected(&[(bucket, "10.00"), ("balance", "10.00")]);
        assert_eq!(figures(then), expected, "{as_of}");
    }
}

/// Creates two customers with every kind of entry. Some take effect before they were entered.
async fn eventful(service: &Service) -> [Account; 2] {
    let one = Account::open(service, "=Eventful, \"One\"").await;
    let two = Account::open(service, "Eventful Two").await;
    let a = one.sell("2024-01-05T08:00:00Z", 30, "100.00").await;
    let b = one.sell("2024-01-20T08:00:00Z", 0, "80.50").await;
    let c = one.sell("2024-02-15T08:00:00Z", 60, "19.99").await;
    // The payment precedes the orders that it will settle.
    let ahead = one
        .pay(
            "2024-01-01T08:00:00Z",
            "70.00",
            &[(a, "20.00"), (c, "9.99")],
        )
        .await;
    one.credit(
        Credit::CreditNote(b),
        "2024-02-01T08:00:00Z",
        "30.50",
        &[(b, "30.50")],
    )
    .await;
    let given_up = one
        .credit(
            Credit::WriteOff(a),
            "2024-03-01T08:00:00Z",
            "15.00",
            &[(a, "15.00")],
        )
        .await;
    one.pay(
        "2024-02-20T08:00:00Z",
        "75.00",
        &[(a, "65.00"), (b, "10.00")],
    )
    .await;
    one.reverse(given_up).await;
    one.reverse(ahead).await;
    one.pay("2024-02-25T08:00:00Z", "5.00", &[(a, "5.00")])
        .await;
    let d = two.sell("2024-02-01T08:00:00Z", 14, "7.00").await;
    two.pay("2024-02-02T08:00:00Z", "11.00", &[(d, "7.00")])
        .await;
    [one, two]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buckets_less_the_credit_on_account_are_the_balance_at_every_date() {
    let service = Service::start().await;
    let accounts = eventful(&service).await;
    books_balance(&service).await;
    let start: NaiveDate = "2023-12-30".parse().unwrap();
    let days = (0..90).map(|day| start + Days::new(day));
    let dates = days.map(|day| day.to_string());
    for as_of in dates.chain([Utc::now().date_naive().to_string()]) {
        let page = service
            .staff()
            .get(&format!("/api/reports/aging?as_of={as_of}"))
            .await
            .ok(200);
        let rows = page["data"].as_array().unwrap();
        for row in rows {
            assert_eq!(sum(row), amount(&row["balance"]), "{as_of}: {row}");
            assert!(
                BUCKETS
                    .iter()
                    .all(|name| amount(&row[*name]) >= Decimal::ZERO),
                "{as_of}: {row}"
            );
            assert!(
                amount(&row["credit_on_account"]) >= Decimal::ZERO,
                "{as_of}: {row}"
            );
        }
        // The balance is the sum of the ledger, computed independently here.
        for account in &accounts {
            let ledger = format!(
                "SELECT coalesce(sum(amount), 0)::numeric(19,2) FROM ledger_entries
                  WHERE customer_id = '{}' AND effective_at < '{as_of}'::date + 1",
                account.customer
            );
            let ledger = service.database.value(&ledger).await;
            let id = json!(account.customer);
            let listed = rows.iter().find(|row| row["customer_id"] == id);
            let listed = listed.map_or("0.00", |row| row["balance"].as_str().unwrap());
            assert_eq!(listed, ledger, "{as_of}");
        }
        for name in BUCKETS.into_iter().chain(["credit_on_account", "balance"]) {
            let all: Decimal = rows.iter().map(|row| amount(&row[name])).sum();
            assert_eq!(all, amount(&page["total"][name]), "{as_of}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_use_the_time_of_the_first_page() {
    let service = Service::start().await;
    let _ = eventful(&service).await;
    let staff = service.staff();
    let whole = staff.pages("/api/reports/aging", 200).await;
    assert!(whole.len() >= 6, "{whole:?}");
    for limit in [1, 2, 3, whole.len()] {
        assert_eq!(
            staff.pages("/api/reports/aging", limit).await,
            whole,
            "pages of {limit}"
        );
    }
    let (first, cursor) = staff.page("/api/reports/aging", 2, None).await;
    for customer in member(&whole, "customer_id") {
        service
            .staff()
            .buy_for(customer.parse().unwrap(), &[(ACME_KEYBOARD, 1)])
            .await
            .ok(201);
    }
    let (second, next) = staff.page("/api/reports/aging", 3, cursor.as_deref()).await;
    let (third, _) = staff.page("/api/reports/aging", 200, next.as_deref()).await;
    assert_eq!([first, second, third].concat(), whole);
    let second = staff
        .get(&format!("/api/reports/aging?cursor={}", cursor.unwrap()))
        .await
        .ok(200);
    assert_eq!(
        second["total"],
        json!(null),
        "the total is the first page's"
    );
    // A new report contains the purchase at once.
    assert_ne!(staff.pages("/api/reports/aging", 200).await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_is_a_day_or_a_time_and_not_in_the_future() {
    let service = Service::start().await;
    let staff = service.staff();
    let today = Utc::now().date_naive();
    let tomorrow = today + Days::new(1);
    let good = staff
        .get(&format!("/api/reports/aging?as_of={today}"))
        .await
        .ok(200);
    let as_of: DateTime<Utc> = good["as_of"].as_str().unwrap().parse().unwrap();
    assert!(
        as_of <= Utc::now() + chrono::TimeDelta::seconds(5),
        "{as_of}"
    );
    let past = staff
        .get("/api/reports/aging?as_of=2024-02-29")
        .await
        .ok(200);
    assert_eq!(past["as_of"], "2024-03-01T00:00:00.000000Z");
    assert_eq!(past["as_of_date"], "2024-02-29");
    assert_eq!(
        (&past["data"], &past["total"]["balance"]),
        (&json!([]), &json!("0.00"))
    );
    for bad in [
        (tomorrow + Days::new(1)).to_string(),
        (Utc::now() + chrono::TimeDelta::minutes(10))
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "1969-12-31".into(),
        "1969-12-31T23:59:59Z".into(),
        "2100-01-01T00:00:00Z".into(),
        "2023-02-29".into(),
        "-9999-1-01".into(),
        "%2B2023-1-01".into(),
        "%202023-1-01".into(),
        "2023-01-1".into(),
        "x".into(),
        String::new(),
    ] {
        let reply = staff.get(&format!("/api/reports/aging?as_of={bad}")).await;
        let body = reply.refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], "?as_of", "{bad}");
    }
    // A time one minute ahead is accepted, because a client's clock may be slightly fast.
    let ahead = Utc::now() + chrono::TimeDelta::minutes(1);
    let ahead = ahead.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let now = staff
        .get(&format!("/api/reports/aging?as_of={ahead}"))
        .await
        .ok(200);
    let as_of: DateTime<Utc> = now["as_of"].as_str().unwrap().parse().unwrap();
    assert!(as_of < ahead.parse::<DateTime<Utc>>().unwrap(), "{as_of}");
    let (_, cursor) = staff.page("/api/reports/aging", 1, None).await;
    let reply = staff
        .get(&format!(
            "/api/reports/aging?as_of=2024-01-01&cursor={}",
            cursor.unwrap()
        ))
        .await;
    let body = reply.refused(422, "validation_failed");
    assert_eq!(
        body["errors"][0]["pointer"], "?cursor",
        "a page of another report"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn aging_is_limited_to_the_business_and_closed_to_customers() {
    let service = Service::start().await;
    let refused = service.customer().get("/api/reports/aging").await;
    let _ = refused.refused(403, "forbidden");
    let acme = format!("SELECT id FROM customers WHERE business_id = '{ACME}'");
    let acme = service.database.column(&acme).await;
    let rows = service.stranger().pages("/api/reports/aging", 200).await;
    assert!(
        member(&rows, "customer_id")
            .iter()
            .all(|id| !acme.contains(id)),
        "{rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_csv_for_those_who_prefer_it_with_the_same_rows_and_no_formulas() {
    let service = Service::start().await;
    let _ = eventful(&service).await;
    let staff = service.staff();
    for (path, file) in [
        ("/api/reports/aging", "aging-"),
        (
            "/api/reports/aging?as_of=2024-02-10",
            "aging-2024-02-10.csv",
        ),
        ("/api/customers/overdue?days=0", "overdue.csv"),
    ] {
        let json = staff.get(path).await;
        assert_eq!(json.header("content-type"), "application/json", "{path}");
        assert_eq!(json.header("vary"), "Accept", "{path}");
        let rows = json.json()["data"].as_array().unwrap().clone();
        assert!(!rows.is_empty(), "{path}");
        let table = staff.csv(path).await;
        assert_eq!(table.status, 200, "{}", table.text);
        assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(table.header("vary"), "Accept");
        let disposition = table.header("content-disposition");
        assert!(
            disposition.starts_with(&format!("attachment; filename=\"{file}")),
            "{disposition}"
        );
        let mut lines = table.text.lines();
        let heads: Vec<&str> = lines.next().unwrap().split(',').collect();
        assert_eq!(lines.clone().count(), rows.len(), "{}", table.text);
        for (line, row) in lines.zip(&rows) {
            assert!(
                line.starts_with(row["customer_id"].as_str().unwrap()),
                "{line}"
            );
            let balance = row["balance"].as_str().unwrap();
            assert!(line.split(',').any(|cell| cell == balance), "{line}");
        }
        assert_eq!(heads[..3], ["customer_id", "customer_name", "currency"]);
        assert!(
            table.text.contains("\"'=Eventful, \"\"One\"\"\","),
            "{}",
            table.text
        );
    }
    let refused = staff.csv("/api/reports/aging?as_of=x").await;
    let _ = refused.refused(422, "validation_failed");
    let path = format!("/api/customers/{ACME_CUSTOMER}/statement");
    assert_eq!(staff.get(&path).await.header("vary"), "Accept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_has_every_customer_however_many_pages_it_takes() {
    let service = Service::start().await;
    let sql = format!(
        "INSERT INTO customers (business_id, id, name, balance, on_account)
         SELECT '{ACME}', gen_random_uuid(), 'Ahead ' || n, -1, 1 FROM generate_series(1, 2500) AS n;
         INSERT INTO ledger_entries (business_id, customer_id, number, id, kind, amount, balance_after)
         SELECT business_id, id, 1, gen_random_uuid(), 'payment', -1, -1 FROM customers WHERE name LIKE 'Ahead %';
         INSERT INTO credits_on_account (business_id, customer_id, entry_number, amount)
         SELECT business_id, id, 1, 1 FROM customers WHERE name LIKE 'Ahead %';
         INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, due_at, created_by,
                             created_at)
         SELECT business_id, gen_random_uuid(), id, 'approved', 'credit', 2, now() - interval '2 days', id, now() - interval '3 days'
           FROM customers WHERE name LIKE 'Ahead %'"
    );
    service.database.execute(&sql).await;
    for path in ["/api/reports/aging", "/api/customers/overdue?days=1"] {
        let table = service.staff().csv(path).await;
        let ahead: std::collections::HashSet<&str> = table
            .text
            .lines()
            .filter_map(|line| line.split(',').find(|cell| cell.starts_with("Ahead ")))
            .collect();
        assert_eq!(ahead.len(), 2500, "{path}");
        let heads = table
            .text
            .lines()
            .filter(|line| line.starts_with("customer_id,"));
        assert_eq!(heads.count(), 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_written_for_the_spreadsheet_that_reads_it() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let customer = admin
        .add_customer("\u{ff1d}1+1;=2;\u{a0}-3", "100.00")
        .await;
    admin.buy_for(customer, &[(ACME_KEYBOARD, 1)]).await.ok(201);
    for path in [
        "/api/reports/aging".to_owned(),
        "/api/customers/overdue?days=0".to_owned(),
        format!("/api/customers/{customer}/statement"),
    ] {
        let with = |parameters: &str| match path.contains('?') {
            true => format!("{path}&{parameters}"),
            false => format!("{path}?{parameters}"),
        };
        let plain = staff.csv(&path).await;
        assert!(!plain.text.starts_with('\u{feff}'), "{}", plain.text);
        assert!(plain.text.lines().next().unwrap().contains(','));
        // Only the header and the number of lines are compared, because some lines contain the current time.
        let heads = plain.text.lines().next().unwrap();
        let count = plain.text.lines().count();
        let marked = staff.csv(&with("bom=true")).await;
        let marked = marked.text.strip_prefix('\u{feff}').unwrap().to_owned();
        let off = staff.csv(&with("bom=false&separator=comma")).await.text;
        for table in [marked, off] {
            assert_eq!(table.lines().next().unwrap(), heads, "{path}");
            assert_eq!(table.lines().count(), count, "{path}");
            assert!(!table.contains('\u{feff}'), "{path}");
        }
        for separator in ["semicolon", ";", "%3B"] {
            let table = staff.csv(&with(&format!("separator={separator}"))).await;
            let heads = heads.replace(',', ";");
            assert_eq!(table.text.lines().next().unwrap(), heads, "{path}");
        }
        for bad in [
            "separator=tab",
            "separator=",
            "bom=yes",
            "bom=true&bom=true",
        ] {
            let refused = staff.csv(&with(bad)).await;
            let _ = refused.refused(422, "validation_failed");
        }
        if !path.contains("statement") && !path.contains("overdue") {
            let neutral = "'\u{ff1d}1+1;'=2;\u{a0}'-3";
            assert!(plain.text.contains(neutral), "{}", plain.text);
        }
        // An unsupported format.
        let request = staff.request(reqwest::Method::GET, &path);
        let reply = staff
            .send(request.header("accept", "application/pdf"))
            .await;
        let problem = reply.refused(406, "not_acceptable");
        assert_eq!(
            problem["formats"],
            serde_json::json!(["application/json", "text/csv"])
        );
    }
}
