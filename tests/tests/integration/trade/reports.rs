//! These tests compare the reports on sales and stock with plain sums over random orders.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use domain::demo::{ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX};
use domain::reports::figures;
use domain::{Authority, verify};
use entity::{BusinessId, CustomerId, OrderId, ProductId, TimeZone};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tests::{Client, SERVICE, Service, id_at, until};
use uuid::Uuid;

/// The days of the history.
const DAYS: u32 = 70;

/// Orders of a history that has events on almost every day.
const MANY: u32 = 250;

/// Something that counts in the report.
#[derive(Debug, Clone)]
struct Event {
    at: DateTime<Utc>,
    customer: CustomerId,
    /// The product, the units and the price in minor digits of each line.
    lines: Vec<(ProductId, i64, i64)>,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Sold,
    Cancelled,
    Credited(i64),
}

/// The figures of a row: orders, units, revenue, the same cancelled, and the amount credited.
type Sums = [i64; 7];

impl Event {
    fn total(&self) -> i64 {
        self.lines
            .iter()
            .map(|(_, units, price)| units * price)
            .sum()
    }

    fn units(&self) -> i64 {
        self.lines.iter().map(|(_, units, _)| units).sum()
    }

    fn sums(&self) -> Sums {
        match self.what {
            What::Sold => [1, self.units(), self.total(), 0, 0, 0, 0],
            What::Cancelled => [0, 0, 0, 1, self.units(), self.total(), 0],
            What::Credited(amount) => [0, 0, 0, 0, 0, 0, amount],
        }
    }

    /// The event's share of one of its lines.
    fn of_line(&self, (_, units, price): (ProductId, i64, i64)) -> Sums {
        match self.what {
            What::Sold => [1, units, units * price, 0, 0, 0, 0],
            What::Cancelled => [0, 0, 0, 1, units, units * price, 0],
            What::Credited(_) => [0; 7],
        }
    }
}

fn add(all: &mut BTreeMap<String, Sums>, key: String, sums: Sums) {
    let row = all.entry(key).or_default();
    for (sum, more) in row.iter_mut().zip(sums) {
        *sum += more;
    }
}

/// A history that is being written: rows as the service writes them, and the events that they are.
struct History {
    random: StdRng,
    sql: String,
    events: Vec<Event>,
    customers: Vec<CustomerId>,
    products: Vec<ProductId>,
    entries: i64,
    now: DateTime<Utc>,
}

impl History {
    /// Orders with what became of them, scattered over the days.
    async fn at(service: &Service, seed: u64, orders: u32) -> Vec<Event> {
        let admin = service.caller(GLOBEX, Authority::Admin);
        let (mut customers, mut products) = (Vec::new(), Vec::new());
        for number in 0..4 {
            customers.push(admin.add_customer(&format!("Buyer {number}"), "9.00").await);
            products.push(
                admin
                    .add_product(&format!("P-{number}"), "7.50", 1000)
                    .await,
            );
        }
        let mut history = Self {
            random: StdRng::seed_from_u64(seed),
            sql: "SET session_replication_role = replica;".to_owned(),
            events: Vec::new(),
            customers,
            products,
            entries: 0,
            now: Utc::now(),
        };
        for _ in 0..orders {
            history.order();
        }
        service.database.execute(&history.sql).await;
        history.events
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.random.random_range(0..count) == 0
    }

    /// A time after this one and before now.
    fn later(&mut self, than: DateTime<Utc>) -> DateTime<Utc> {
        let left = (self.now - than).num_seconds().max(2);
        let most = if self.one_in(2) {
            left.min(90_000)
        } else {
            left
        };
        than + TimeDelta::seconds(self.random.random_range(1..most))
    }

    fn order(&mut self) {
        let seconds = self.random.random_range(60..i64::from(DAYS) * 86_400);
        let made = self.now - TimeDelta::seconds(seconds);
        let (order, customer) = (
            OrderId(id_at(made)),
            self.customers[self.random.random_range(0..4)],
        );
        let mut lines = Vec::new();
        for product in self.products.clone() {
            if self.one_in(2) || lines.is_empty() {
                lines.push((
                    product,
                    self.random.random_range(1..9),
                    self.random.random_range(1..900),
                ));
            }
        }
        let is_card = self.one_in(3);
        let sold = if is_card { self.later(made) } else { made };
        let event = |at, what| Event {
            at,
            customer,
            lines: lines.clone(),
            what,
        };
        let sale = event(sold, What::Sold);
        let total = sale.total();
        let mut status = if is_card { "paid" } else { "approved" };
        let is_unpaid = is_card && self.one_in(3);
        let (mut events, mut credits) = (Vec::new(), Vec::new());
        if is_unpaid {
            status = "cancelled";
            self.step(order, "payment_pending", "cancelled", sold);
        } else {
            events.push(sale.clone());
            if is_card {
                self.step(order, "payment_pending", "paid", sold);
            }
            let at = self.later(sold);
            let amount = self.random.random_range(1..=total);
            let is_refund = is_card && self.one_in(2);
            let is_note = !is_card && self.one_in(4);
            let undone = self.later(at);
            let is_cancelled = self.one_in(4);
            let mut note_is_reversed = false;
            if is_refund {
                let failed = self.one_in(3);
                self.refund(
                    order,
                    at,
                    amount,
                    if failed { "failed" } else { "succeeded" },
                );
                if !failed && !is_cancelled {
                    events.push(event(at, What::Credited(amount)));
                }
            }
            if is_note {
                let number = self.note(order, customer, at, amount);
                credits.push(event(at, What::Credited(amount)));
                if self.one_in(3) {
                    note_is_reversed = true;
                    let reversed = at + TimeDelta::milliseconds(1);
                    self.reverse(customer, number, reversed, amount);
                    credits.push(event(reversed, What::Credited(-amount)));
                }
            }
            if is_cancelled {
                self.step(order, status, "cancelled", undone);
                status = "cancelled";
                events.push(event(undone, What::Cancelled));
                if is_note && !note_is_reversed {
                    credits.push(event(undone, What::Credited(-amount)));
                }
            }
        }
        self.insert(order, &sale, made, (status, is_card));
        self.events.extend(events);
        self.events.extend(credits);
    }

    fn insert(&mut self, order: OrderId, sale: &Event, made: DateTime<Utc>, how: (&str, bool)) {
        let (total, customer) = (sale.total(), sale.customer);
        let (status, method) = (how.0, if how.1 { "card" } else { "credit" });
        self.sql += &format!(
            "INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, due_at, created_by,
                                 created_at)
             VALUES ('{GLOBEX}', '{order}', '{customer}', '{status}', '{method}', {total} / 100.0, '{made}', '{order}',
                     '{made}');"
        );
        for (line, (product, units, price)) in sale.lines.iter().enumerate() {
            self.sql += &format!(
                "INSERT INTO order_items (business_id, order_id, product_id, line, sku, name, quantity, unit_price,
                                          line_total)
                 VALUES ('{GLOBEX}', '{order}', '{product}', {line}, 'P', 'P', {units}, {price} / 100.0,
                         {units} * {price} / 100.0);"
            );
        }
    }

    fn step(&mut self, order: OrderId, from: &str, to: &str, at: DateTime<Utc>) {
        let number = self.random.random_range(1..1_000_000_000);
        self.sql += &format!(
            "INSERT INTO order_transitions (business_id, order_id, number, from_status, to_status, actor_id, actor_role,
                                            created_at)
             VALUES ('{GLOBEX}', '{order}', {number}, '{from}', '{to}', '{order}', 'staff', '{at}');"
        );
    }

    fn refund(&mut self, order: OrderId, at: DateTime<Utc>, amount: i64, status: &str) {
        self.sql += &format!(
            "INSERT INTO refunds (business_id, id, order_id, amount, status, reason, restock, created_by, created_at,
                                  next_try_at)
             VALUES ('{GLOBEX}', '{}', '{order}', {amount} / 100.0, '{status}', 'x', false, '{order}', '{at}', NULL);",
            id_at(at)
        );
    }

    /// A ledger entry of this kind. Returns its number.
    fn entry(&mut self, customer: CustomerId, kind: &str, at: DateTime<Utc>, amount: i64) -> i64 {
        self.entries += 1;
        let number = self.entries;
        self.sql += &format!(
            "INSERT INTO ledger_entries (business_id, customer_id, number, id, kind, amount, balance_after, effective_at)
             VALUES ('{GLOBEX}', '{customer}', {number}, '{}', '{kind}', {amount} / 100.0, 0, '{at}');",
            Uuid::now_v7()
        );
        number
    }

    fn note(
        &mut self,
        order: OrderId,
        customer: CustomerId,
        at: DateTime<Utc>,
        amount: i64,
    ) -> i64 {
        let number = self.entry(customer, "credit_note", at, -amount);
        self.sql += &format!(
            "INSERT INTO credit_notes (business_id, id, customer_id, entry_number, order_id, amount, reason, restock,
                                       created_by, created_at)
             VALUES ('{GLOBEX}', '{}', '{customer}', {number}, '{order}', {amount} / 100.0, 'x', false, '{order}', '{at}');",
            id_at(at)
        );
        number
    }

    fn reverse(&mut self, customer: CustomerId, reverses: i64, at: DateTime<Utc>, amount: i64) {
        let number = self.entry(customer, "reversal", at, amount);
        self.sql += &format!(
            "INSERT INTO reversals (business_id, customer_id, entry_number, reverses, reason, created_by)
             VALUES ('{GLOBEX}', '{customer}', {number}, {reverses}, 'x', '{customer}');"
        );
    }
}

fn amount(minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", minor.abs() / 100, minor.abs() % 100)
}

/// The expected figures of a row as JSON.
fn shown(sums: Sums, is_product: bool) -> Value {
    let [
        orders,
        units,
        revenue,
        cancelled_orders,
        cancelled_units,
        cancelled,
        credited,
    ] = sums;
    let net = amount(revenue - cancelled - credited);
    let of_money = |text: String| if is_product { Value::Null } else { json!(text) };
    json!({
        "orders": orders, "units": units, "revenue": amount(revenue), "cancelled_orders": cancelled_orders,
        "cancelled_units": cancelled_units, "cancelled": amount(cancelled), "credited": of_money(amount(credited)),
        "net": of_money(net),
    })
}

/// The figures of a report's rows, by the row's key.
fn found(rows: &[Value], key: &str) -> BTreeMap<String, Value> {
    let figures = rows.iter().map(|row| {
        let mut figures = json!({});
        for (name, value) in row.as_object().unwrap() {
            let is_figure =
                !name.ends_with("_id") && !name.ends_with("_on") && !name.ends_with("name");
            if is_figure && name != "sku" && name != "currency" {
                figures[name] = value.clone();
            }
        }
        (row[key].as_str().unwrap().to_owned(), figures)
    });
    figures.collect()
}

/// The first day of a row's period, within the report.
fn start_of_period(by: &str, day: NaiveDate, from: NaiveDate) -> NaiveDate {
    let start = match by {
        "week" => day - Days::new(day.weekday().num_days_from_monday().into()),
        "month" => day.with_day(1).unwrap(),
        _ => day,
    };
    start.max(from)
}

async fn compare(staff: &Client, events: &[Event], zone: TimeZone) {
    let today = zone.day_of(Utc::now());
    let first = today - Days::new(u64::from(DAYS) + 2);
    for (from, to) in [
        (first, today),
        (today - Days::new(40), today - Days::new(3)),
        (today - Days::new(5), today - Days::new(5)),
        (today, today + Days::new(9)),
    ] {
        let chosen = events
            .iter()
            .filter(|event| (from..=to).contains(&zone.day_of(event.at)));
        let chosen: Vec<&Event> = chosen.collect();
        for by in ["day", "week", "month"] {
            let mut expected = BTreeMap::new();
            for day in from.iter_days().take_while(|day| *day <= to.min(today)) {
                add(
                    &mut expected,
                    start_of_period(by, day, from).to_string(),
                    [0; 7],
                );
            }
            for event in &chosen {
                let start = start_of_period(by, zone.day_of(event.at), from);
                add(&mut expected, start.to_string(), event.sums());
            }
            check(staff, (by, "starts_on"), (from, to), expected).await;
        }
        let (mut customers, mut products) = (BTreeMap::new(), BTreeMap::new());
        for event in &chosen {
            add(&mut customers, event.customer.to_string(), event.sums());
            for line in &event.lines {
                if !matches!(event.what, What::Credited(_)) {
                    add(&mut products, line.0.to_string(), event.of_line(*line));
                }
            }
        }
        check(staff, ("customer", "customer_id"), (from, to), customers).await;
        check(staff, ("product", "product_id"), (from, to), products).await;
    }
}

async fn check(
    staff: &Client,
    (by, key): (&str, &str),
    (from, to): (NaiveDate, NaiveDate),
    expected: BTreeMap<String, Sums>,
) {
    let path = format!("/api/reports/sales?from={from}&to={to}&by={by}");
    // Several pages of each report: of some 70 days or of 4 customers.
    let limit = if by == "day" { 20 } else { 3 };
    let rows = staff.pages(&path, limit).await;
    let expected = expected
        .into_iter()
        .map(|(key, sums)| (key, shown(sums, by == "product")));
    let expected: BTreeMap<String, Value> = expected.collect();
    assert_eq!(found(&rows, key), expected, "{path}");
    let table = staff.csv(&path).await;
    assert_eq!(
        table.text.lines().count(),
        rows.len() + 1,
        "{path}: {}",
        table.text
    );
}

async fn set_zone(service: &Service, zone: &str) -> TimeZone {
    let change = json!({"time_zone": zone});
    let _ = service
        .caller(GLOBEX, Authority::Admin)
        .patch("/api/business", &change)
        .await
        .ok(200);
    zone.parse().unwrap()
}

/// Keeps all figures that are old enough, beside the service's own task. Returns the number of steps.
async fn keep(service: &Service, business: BusinessId) -> u32 {
    let pool = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    let mut steps = 0;
    let are_kept = format!(
        "SELECT s.time_zone = b.time_zone AND s.kept_until > now() - interval '2 hours'
           FROM sales_figures_state s JOIN businesses b ON b.id = s.business_id WHERE b.id = '{business}'"
    );
    until("the figures are kept", async || {
        steps += figures::keep(&pool, business).await.unwrap();
        service.database.value(&are_kept).await == "t"
    })
    .await;
    steps
}

/// The differences between kept figures and the recomputed ones.
async fn wrong(service: &Service) -> Vec<String> {
    let pool = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    let mut found = Vec::new();
    let tell = |difference: verify::Difference| found.push(difference);
    let _ = verify::business(&pool, GLOBEX, tell).await.unwrap();
    let of_figures = found
        .iter()
        .filter(|difference| difference.check.starts_with("figures_"));
    of_figures.map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_the_sums_of_the_orders_whether_their_days_are_kept_or_not() {
    let service = Service::start().await;
    let events = History::at(&service, rand::random(), MANY).await;
    let staff = service.caller(GLOBEX, Authority::Staff);
    compare(&staff, &events, TimeZone::UTC).await;
    for zone in [
        "UTC",
        "Asia/Tokyo",
        "America/New_York",
        "Pacific/Kiritimati",
    ] {
        let zone = set_zone(&service, zone).await;
        // The kept days are those of another zone, which no report uses.
        compare(&staff, &events, zone).await;
        let _ = keep(&service, GLOBEX).await;
        assert_eq!(keep(&service, GLOBEX).await, 0);
        compare(&staff, &events, zone).await;
        assert_eq!(wrong(&service).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_without_events_are_passed_in_one_step_and_their_neighbours_are_right() {
    let service = Service::start().await;
    let events = History::at(&service, rand::random(), 3).await;
    let staff = service.caller(GLOBEX, Authority::Staff);
    for zone in ["UTC", "Pacific/Kiritimati"] {
        let zone = set_zone(&service, zone).await;
        let steps = keep(&service, GLOBEX).await;
        // An order has up to five times, each with a step before it, one of its day, and one of the day before.
        assert!(steps <= 3 * 5 * 3 + 2, "{steps} steps");
        assert_eq!(keep(&service, GLOBEX).await, 0);
        compare(&staff, &events, zone).await;
        assert_eq!(wrong(&service).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_keep_the_same_days_count_each_once() {
    let service = Service::start().await;
    let events = History::at(&service, 7, MANY).await;
    let _ = tokio::join!(keep(&service, GLOBEX), keep(&service, GLOBEX));
    assert_eq!(wrong(&service).await, [""; 0]);
    compare(
        &service.caller(GLOBEX, Authority::Staff),
        &events,
        TimeZone::UTC,
    )
    .await;
}

/// The row of today.
async fn today(staff: &Client) -> Value {
    let day = TimeZone::UTC.day_of(Utc::now());
    let path = format!("/api/reports/sales?from={day}&to={day}");
    let rows = staff.get(&path).await.ok(200);
    let mut row = rows["data"][0].clone();
    for name in ["starts_on", "ends_on", "currency"] {
        row.as_object_mut().unwrap().remove(name);
    }
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_cancellations_notes_and_refunds_of_today_are_in_the_report() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let none = today(&staff).await;
    assert_eq!((&none["orders"], &none["net"]), (&json!(0), &json!("0.00")));
    let bought = staff.buy(&[(ACME_HEADPHONES, 2)]).await.ok(201);
    let credited = staff.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    let by_card = admin.order_by_card(&[(ACME_HEADPHONES, 1)]).await;
    let row = today(&staff).await;
    assert_eq!(
        (&row["orders"], &row["units"]),
        (&json!(2), &json!(3)),
        "{row}"
    );

    service.pay(&by_card).await.ok(200);
    let order = bought["order_id"].as_str().unwrap();
    let _ = admin.do_to(order, "cancel", &json!({})).await.ok(200);
    let order = credited["order_id"].as_str().unwrap();
    let note = json!({"amount": "5.00", "reason": "scratched"});
    let _ = admin.do_to(order, "credit-notes", &note).await.ok(201);
    let _ = admin.do_to(&by_card, "refund", &note).await.ok(200);
    let row = today(&staff).await;
    assert_eq!(
        (&row["orders"], &row["units"]),
        (&json!(3), &json!(4)),
        "{row}"
    );
    assert_eq!(
        (&row["cancelled_orders"], &row["cancelled_units"]),
        (&json!(1), &json!(2)),
        "{row}"
    );
    assert_eq!(row["cancelled"], bought["total_amount"]);
    assert_eq!(row["credited"], "10.00", "{row}");

    // The order with the note is cancelled: it counts as cancelled in full, and its note no longer counts beside it.
    let _ = admin.do_to(order, "cancel", &json!({})).await.ok(200);
    let _ = admin.do_to(&by_card, "cancel", &json!({})).await.ok(200);
    let row = today(&staff).await;
    assert_eq!(row["cancelled_orders"], 3, "{row}");
    assert_eq!(
        (&row["credited"], &row["net"]),
        (&json!("0.00"), &json!("0.00")),
        "{row}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_lasts_as_long_as_it_sold_before_and_the_shortest_comes_first() {
    let service = Service::start().await;
    let admin = service.caller(GLOBEX, Authority::Admin);
    let events = History::at(&service, 11, MANY).await;
    for kept in [false, true] {
        if kept {
            let _ = keep(&service, GLOBEX).await;
        }
        for days in [1_u32, 28, 60] {
            let (today, mut sold) = (TimeZone::UTC.day_of(Utc::now()), BTreeMap::new());
            let from = today - Days::new(days.into());
            for event in &events {
                if (from..today).contains(&TimeZone::UTC.day_of(event.at)) {
                    for line in &event.lines {
                        add(&mut sold, line.0.to_string(), event.of_line(*line));
                    }
                }
            }
            let rows = admin
                .pages(&format!("/api/reports/stock?days={days}"), 3)
                .await;
            let mut order = Vec::new();
            for row in &rows {
                let sums = sold
                    .get(row["product_id"].as_str().unwrap())
                    .copied()
                    .unwrap_or_default();
                let units = (sums[1] - sums[4]).max(0);
                let available = row["available"].as_i64().unwrap();
                let left = (units > 0).then(|| available * i64::from(days) / units);
                assert_eq!(
                    (&row["units_sold"], &row["days_left"]),
                    (&json!(units), &json!(left)),
                    "{row}"
                );
                order.push((
                    left.unwrap_or(i64::MAX),
                    row["product_id"].as_str().unwrap().to_owned(),
                ));
            }
            assert!(order.is_sorted(), "{order:?}");
            let products = admin.pages("/api/products", 200).await;
            assert_eq!(rows.len(), products.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receivables_are_the_totals_of_aging() {
    let service = Service::start().await;
    let staff = service.staff();
    let _ = staff.buy(&[(ACME_HEADPHONES, 2)]).await.ok(201);
    let creditor = service.admin().add_customer("Creditor", "0.00").await;
    let ahead =
        json!({"customer_id": creditor, "amount": "7.00", "method": "cash", "on_account": true});
    let _ = staff.post("/api/payments", &ahead).await.ok(201);
    let report = staff.get("/api/reports/receivables").await.ok(200);
    let aging = staff.get("/api/reports/aging").await.ok(200);
    for (name, value) in aging["total"].as_object().unwrap() {
        assert_eq!(&report[name], value, "{name}");
    }
    let minor =
        |value: &Value| -> i64 { value.as_str().unwrap().replace('.', "").parse().unwrap() };
    let buckets = ["days_1_30", "days_31_60", "days_61_90", "days_over_90"];
    let overdue: i64 = buckets.iter().map(|name| minor(&report[name])).sum();
    assert!(overdue > 0, "{report}");
    assert_eq!(minor(&report["overdue"]), overdue);
    assert_eq!(minor(&report["due"]), overdue + minor(&report["current"]));
    assert_eq!(report["credit_on_account"], "7.00");
    let table = staff.csv("/api/reports/receivables").await;
    let lines: Vec<&str> = table.text.lines().collect();
    assert_eq!(lines.len(), 2, "{}", table.text);
    assert!(
        lines[0].starts_with("as_of,as_of_date,currency,due,overdue,current,"),
        "{}",
        lines[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_has_nothing_of_another_business_and_nothing_for_customers() {
    let service = Service::start().await;
    let _ = service.staff().buy(&[(ACME_KEYBOARD, 2)]).await.ok(201);
    let other = service.caller(GLOBEX, Authority::Staff);
    for by in ["day", "product", "customer"] {
        let report = other
            .get(&format!("/api/reports/sales?by={by}"))
            .await
            .ok(200);
        for row in report["data"].as_array().unwrap() {
            assert_eq!(row["orders"], 0, "{row}");
        }
    }
    for path in ["sales", "stock", "receivables"] {
        let reply = service
            .customer()
            .get(&format!("/api/reports/{path}"))
            .await;
        let _ = reply.refused(403, "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_make_no_report_are_refused_with_the_reason() {
    let service = Service::start().await;
    let staff = service.staff();
    for (query, pointer, message) in [
        ("from=2026-01-01", "?to", "is needed with from"),
        ("to=2026-01-01", "?from", "is needed with to"),
        (
            "from=2026-01-02&to=2026-01-01",
            "?to",
            "must not be before from",
        ),
        (
            "from=1969-12-31&to=1970-01-01",
            "?from",
            "must not be before 1970",
        ),
        (
            "from=2020-01-01&to=2023-01-01",
            "?to",
            "must be at most 1096 days from the first",
        ),
        (
            "by=year",
            "?by",
            "must be one of day, week, month, product, customer",
        ),
        ("days=3", "?days", "is not a known parameter"),
    ] {
        let reply = staff.get(&format!("/api/reports/sales?{query}")).await;
        let problem = reply.refused(422, "validation_failed");
        assert_eq!(
            problem["errors"],
            json!([{"pointer": pointer, "message": message}]),
            "{query}"
        );
    }
    for days in ["0", "367", "x"] {
        let reply = staff.get(&format!("/api/reports/stock?days={days}")).await;
        let _ = reply.refused(422, "validation_failed");
    }
    let three_years = "/api/reports/sales?from=2020-01-01&to=2022-12-31&by=month";
    assert_eq!(
        staff.get(three_years).await.ok(200)["data"]
            .as_array()
            .unwrap()
            .len(),
        36
    );
}
