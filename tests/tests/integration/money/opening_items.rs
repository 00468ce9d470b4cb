//! These tests check the import of opening balances: what customers owed, or had paid ahead, before a business used the
//! service.

use std::collections::BTreeSet;
use std::time::Instant;

use chrono::{Days, NaiveDate, Utc};
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, GLOBEX_CUSTOMER};
use domain::reports::figures;
use entity::CustomerId;
use serde_json::{Value, json};
use tests::{Client, Reply, SERVICE, Service, Untouched, all, books_balance, until};

use crate::trade::imports::{at, faults, import, places, table, trail};

const HEADER: &str = "customer_reference,reference,amount,issued_on,due_on,note\n";

async fn balances(client: &Client, rows: &str) -> Reply {
    import(client, "balances", format!("{HEADER}{rows}")).await
}

/// A customer with this reference and a credit limit of 100.00.
async fn customer(admin: &Client, reference: &str) -> CustomerId {
    let body = json!({"name": format!("Customer {reference}"), "reference": reference, "credit_limit": "100.00"});
    let made = admin.post("/api/customers", &body).await.ok(201);
    made["id"].as_str().unwrap().parse().unwrap()
}

async fn read(admin: &Client, path: &str) -> Value {
    admin.get(path).await.ok(200)
}

/// The order of this document.
async fn order(admin: &Client, reference: &str) -> Value {
    let found = read(admin, &format!("/api/orders?q={reference}")).await;
    let id = found["data"][0]["order_id"].as_str().unwrap().to_owned();
    read(admin, &format!("/api/orders/{id}")).await
}

fn compare(row: &Value, expected: &[(&str, Value)]) {
    for (name, value) in expected {
        assert_eq!(&row[*name], value, "{name} of {row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_comes_over_as_it_was_with_the_dates_of_its_documents() {
    let service = Service::start().await;
    let admin = service.admin();
    let zone = json!({"time_zone": "Asia/Tokyo"});
    admin.patch("/api/business", &zone).await.ok(200);
    let id = customer(&admin, "C-7").await;
    let rows = "C-7,INV-17,100,2024-01-10,2024-02-09,\"Boots, brown\"\n\
                C-7,DEP-3,-30.00,2024-02-01,2024-02-01,Deposit\n\
                C-7,INV-18,50.25,2024-03-01,,\n";
    let done = balances(&admin, rows).await;
    assert_eq!(done.ok(200), json!({"dry_run": false, "rows": 3}));
    let account = read(&admin, &format!("/api/customers/{id}")).await;
    compare(
        &account,
        &[
            ("balance", json!("120.25")),
            ("credit_on_account", json!("30.00")),
            ("available_credit", json!("-20.25")),
        ],
    );
    let first = order(&admin, "INV-17").await;
    compare(
        &first,
        &[
            ("status", json!("fulfilled")),
            ("payment_method", json!("credit")),
            ("customer_id", json!(id)),
            ("total_amount", json!("100.00")),
            ("amount_due", json!("100.00")),
            ("reference", json!("INV-17")),
            ("note", json!("Boots, brown")),
            ("items", json!([])),
            // The days begin at their midnight in Tokyo.
            ("created_at", json!("2024-01-09T15:00:00.000000Z")),
            ("due_at", json!("2024-02-08T15:00:00.000000Z")),
        ],
    );
    let history =
        json!([{"from": null, "to": "fulfilled", "at": first["created_at"], "actor_role": null}]);
    assert_eq!(first["history"], history);
    // Without a due date the customer's payment terms hold.
    let second = order(&admin, "INV-18").await;
    assert_eq!(second["due_at"], "2024-03-30T15:00:00.000000Z");
    let payments = read(&admin, "/api/payments?q=DEP-3").await;
    compare(
        &payments["data"][0],
        &[
            ("amount", json!("30.00")),
            ("unallocated", json!("30.00")),
            ("method", json!("opening balance")),
            ("reference", json!("DEP-3")),
            ("metadata", json!({"note": "Deposit"})),
            ("received_at", json!("2024-01-31T15:00:00.000000Z")),
        ],
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aging_overdue_customers_and_statements_count_from_the_dates_of_the_documents() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = customer(&admin, "C-7").await;
    let rows = "C-7,INV-17,100.00,2024-01-10,2024-02-09,\n\
                C-7,DEP-3,-30.00,2024-02-01,,\n\
                C-7,INV-18,50.25,2024-03-01,2024-03-31,\n";
    balances(&admin, rows).await.ok(200);
    let aging = async |date: &str| {
        let report = read(&admin, &format!("/api/reports/aging?as_of={date}")).await;
        let rows = report["customers"].as_array().or(report["data"].as_array());
        let row = rows
            .unwrap()
            .iter()
            .find(|row| row["customer_id"] == json!(id));
        row.cloned().unwrap_or_else(|| report.clone())
    };
    let on_time = aging("2024-02-09").await;
    assert_eq!(on_time["current"], "100.00", "{on_time}");
    assert_eq!(on_time["balance"], "70.00", "{on_time}");
    let late = aging("2024-03-20").await;
    assert_eq!(late["current"], "50.25", "{late}");
    assert_eq!(late["balance"], "120.25", "{late}");
    let overdue = read(&admin, "/api/customers/overdue?days=60").await;
    let row = overdue["data"].as_array().unwrap();
    let row = row
        .iter()
        .find(|row| row["customer_id"] == json!(id))
        .unwrap();
    compare(
        row,
        &[
            ("overdue_amount", json!("150.25")),
            ("oldest_order_date", json!("2024-01-10T00:00:00.000000Z")),
            ("oldest_due_at", json!("2024-02-09T00:00:00.000000Z")),
        ],
    );
    let path = format!("/api/customers/{id}/statement?from=2024-02-01&to=2024-03-31");
    let statement = read(&admin, &path).await;
    assert_eq!(statement["opening_balance"], "100.00");
    assert_eq!(statement["closing_balance"], "120.25");
    let entries = statement["entries"].as_array().unwrap();
    let entries = entries.iter().map(|entry| {
        json!([
            entry["kind"],
            entry["amount"],
            entry["balance_after"],
            entry["order_reference"],
            entry["reference"]
        ])
    });
    let entries: Vec<Value> = entries.collect();
    let expected = [
        json!(["payment", "-30.00", "70.00", null, "DEP-3"]),
        json!(["charge", "50.25", "120.25", "INV-18", null]),
    ];
    assert_eq!(entries, expected);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_reported_at_once_and_nothing_is_written() {
    let it = Untouched::start().await;
    let admin = &it.admin;
    customer(admin, "C-7").await;
    for name in ["Twin", "Other twin", "Alone"] {
        let email = match name {
            "Alone" => "alone@example.com",
            _ => "twin@example.com",
        };
        let body = json!({"name": name, "email": email});
        admin.post("/api/customers", &body).await.ok(201);
    }
    let themself = json!({"business": "acme", "email": "new@example.com", "password": "correct horse", "name": "New"});
    let nobody = it.service.nobody();
    nobody.post("/api/auth/register", &themself).await.ok(201);
    let of_globex = json!({"reference": "G-1"});
    let path = format!("/api/customers/{GLOBEX_CUSTOMER}");
    it.service.stranger().patch(&path, &of_globex).await.ok(200);
    balances(admin, "C-7,TAKEN,1.00,2024-05-01,,\n")
        .await
        .ok(200);
    let closed = json!({"books_closed_until": "2024-04-01"});
    admin.patch("/api/business", &closed).await.ok(200);
    let before = it.service.database.digest().await;
    // Faults of cells are found first.
    let header = "customer_reference,customer_email,reference,amount,issued_on,due_on,note\n";
    let long = "x".repeat(101);
    let cells = format!(
        "{header},,A,1.00,2024-05-01,,\nC-7,a@example.com,A,1.00,2024-05-01,,\nC-7,,,0,2024-05-01,,\n\
         C-7,,A,0.001,2024-13-01,,\nC-7,,A,1000000000000000,2024-05-01,2024-04-30,\nC-7,,A,--1,01.05.2024,,\n\
         C-7,,{long},(1),2024-05-01,soon,\nC-7,,A,-0.00,2024-05-01,,\n"
    );
    let reply = import(admin, "balances", cells).await;
    let expected = [
        (2, "customer_reference"),
        (3, "customer_email"),
        (4, "reference"),
        (4, "amount"),
        (5, "amount"),
        (5, "issued_on"),
        (6, "amount"),
        (7, "amount"),
        (7, "issued_on"),
        (8, "reference"),
        (8, "amount"),
        (8, "due_on"),
        (9, "amount"),
    ];
    assert_eq!(places(&reply), at(&expected), "{}", reply.text);
    let tomorrow = Utc::now().date_naive() + Days::new(1);
    let books = format!(
        "{header}NO,,A,1.00,2024-05-01,,\nG-1,,A,1.00,2024-05-01,,\n,twin@example.com,A,1.00,2024-05-01,,\n\
         ,new@example.com,A,1.00,2024-05-01,,\nC-7,,A,1.00,{tomorrow},,\nC-7,,B,1.00,1969-12-31,,\n\
         C-7,,C,1.00,2024-03-31,,\nC-7,,D,1.00,2024-04-01,,\nC-7,,TAKEN,1.00,2024-05-01,,\nC-7,,D,-1.00,2024-05-01,,\n\
         C-7,,E,999999999999999.99,2024-05-01,,\n,alone@example.com,D,1.00,2024-05-01,,\n"
    );
    let wet = import(admin, "balances", books.clone()).await;
    let found = faults(&wet);
    let expected = [
        (2, "customer_reference"),
        (3, "customer_reference"),
        (4, "customer_email"),
        (5, "customer_email"),
        (6, "issued_on"),
        (7, "issued_on"),
        (8, "issued_on"),
        (10, "reference"),
        (11, "reference"),
        (12, "amount"),
    ];
    assert_eq!(places(&wet), at(&expected), "{found:#?}");
    for (index, message) in [
        (0, "belongs to no customer"),
        (2, "belongs to several customers"),
        (4, "must not be after today"),
        (5, "must not be before 1970"),
        (6, "must not be before 2024-04-01"),
        (7, "is already in use"),
        (8, "is already on line 9"),
        (9, "at most 15 digits"),
    ] {
        assert!(found[index].2.contains(message), "{:?}", found[index]);
    }
    let dry = import(admin, "balances?dry_run=true", books).await;
    assert_eq!(dry.json()["errors"], wet.json()["errors"]);
    assert_eq!(it.service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_imported_once_however_often_its_table_is_sent() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = customer(&admin, "C-7").await;
    let rows = "C-7,INV-17,100.00,2024-01-10,,\nC-7,DEP-3,-30.00,2024-02-01,,\n";
    // Of two at once without a key, one is refused.
    let replies = all((0..2).map(|_| {
        let admin = admin.clone();
        async move { balances(&admin, rows).await }
    }))
    .await;
    let statuses: BTreeSet<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, BTreeSet::from([200, 422]), "{replies:?}");
    let again = balances(&admin, rows).await;
    let expected = [(2, "reference"), (3, "reference")];
    assert_eq!(places(&again), at(&expected));
    // Of retries with one key, one imports, and all have its response.
    let keyed = format!("{HEADER}C-7,INV-18,1.00,2024-01-10,,\n");
    let replies = all((0..6).map(|_| {
        let request = table(&admin, "balances", keyed.clone()).header("Idempotency-Key", "one");
        let admin = admin.clone();
        async move { admin.send(request).await }
    }))
    .await;
    assert!(
        replies.iter().all(|reply| reply.status == 200),
        "{replies:?}"
    );
    let account = read(&admin, &format!("/api/customers/{id}")).await;
    assert_eq!(account["balance"], "71.00");
    // Another customer may have a document of the same number.
    customer(&admin, "C-8").await;
    balances(&admin, "C-8,INV-17,1.00,2024-01-10,,\n")
        .await
        .ok(200);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_item_is_paid_credited_and_written_off_but_has_no_goods_and_is_not_cancelled() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = customer(&admin, "C-7").await;
    let rows = "C-7,INV-17,100.00,2024-01-10,,\nC-7,INV-18,50.00,2024-02-10,,\nC-7,DEP-3,-30.00,2024-02-01,,\n";
    balances(&admin, rows).await.ok(200);
    let [first, second] = [order(&admin, "INV-17").await, order(&admin, "INV-18").await];
    let [first, second] =
        [first, second].map(|order| order["order_id"].as_str().unwrap().to_owned());
    let items = json!([{"product_id": ACME_HEADPHONES, "quantity": 1}]);
    for (what, body, code) in [
        ("cancel", json!({}), "invalid_transition"),
        ("fulfill", json!({}), "invalid_transition"),
        (
            "refund",
            json!({"amount": "1.00", "reason": "late"}),
            "not_paid_by_card",
        ),
        (
            "credit-notes",
            json!({"items": items, "reason": "late", "restock": true}),
            "creditable_quantity_exceeded",
        ),
        (
            "credit-notes",
            json!({"amount": "100.01", "reason": "late"}),
            "creditable_amount_exceeded",
        ),
        (
            "write-offs",
            json!({"amount": "100.01", "reason": "late"}),
            "overpayment",
        ),
    ] {
        let before = service.database.digest().await;
        admin.do_to(&first, what, &body).await.refused(409, code);
        assert_eq!(service.database.digest().await, before, "{what}");
    }
    // A payment settles what is due for longest, and the deposit what it is allocated to.
    let paid = json!({"customer_id": id, "amount": "60.00", "method": "transfer"});
    let paid = admin.post("/api/payments", &paid).await.ok(201);
    assert_eq!(paid["allocations"][0]["order_id"], first);
    let note = json!({"amount": "15.00", "reason": "late"});
    admin.do_to(&first, "credit-notes", &note).await.ok(201);
    let off = admin
        .do_to(&first, "write-offs", &json!({"reason": "typed twice"}))
        .await;
    assert_eq!(off.ok(201)["amount"], "25.00");
    let path = format!("/api/customers/{id}/allocations");
    admin.post(&path, &json!({})).await.ok(200);
    let order = read(&admin, &format!("/api/orders/{second}")).await;
    compare(
        &order,
        &[
            ("amount_paid", json!("30.00")),
            ("amount_due", json!("20.00")),
        ],
    );
    books_balance(&service).await;
    // The deposit is reversed like any payment, and its order is due again.
    let deposit = read(&admin, "/api/payments?q=DEP-3").await["data"][0]["payment_id"].clone();
    let path = format!("/api/payments/{}/reverse", deposit.as_str().unwrap());
    admin
        .post(&path, &json!({"reason": "was paid back"}))
        .await
        .ok(201);
    let note = json!({"note": "see the file of 2024", "reference": "INV-18b"});
    admin
        .patch(&format!("/api/orders/{second}"), &note)
        .await
        .ok(200);
    let account = read(&admin, &format!("/api/customers/{id}")).await;
    compare(
        &account,
        &[
            ("balance", json!("50.00")),
            ("credit_on_account", json!("0.00")),
        ],
    );
    // Another reference of the order does not free the number of the document.
    let again = balances(&admin, "C-7,INV-18,50.00,2024-02-10,,\n").await;
    assert_eq!(places(&again), at(&[(2, "reference")]));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credit_limit_is_not_checked_by_the_import_and_counts_from_then_on() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = customer(&admin, "C-7").await;
    let hold = json!({"on_hold": true});
    admin
        .patch(&format!("/api/customers/{id}"), &hold)
        .await
        .ok(200);
    let today = Utc::now().date_naive();
    balances(&admin, &format!("C-7,INV-17,500.00,{today},,\n"))
        .await
        .ok(200);
    let free = json!({"on_hold": false});
    admin
        .patch(&format!("/api/customers/{id}"), &free)
        .await
        .ok(200);
    let buy = async || admin.buy_for(id, &[(ACME_HEADPHONES, 1)]).await;
    let refused = buy().await.refused(409, "credit_limit_exceeded");
    assert_eq!(refused["balance"], "500.00");
    let limit = json!({"credit_limit": "5000.00"});
    admin
        .patch(&format!("/api/customers/{id}"), &limit)
        .await
        .ok(200);
    buy().await.ok(201);
    balances(&admin, "C-7,INV-2,1.00,2024-01-10,2024-02-10,\n")
        .await
        .ok(200);
    let block = json!({"block_after_days": 30});
    admin.patch("/api/business", &block).await.ok(200);
    let overdue = buy().await.refused(409, "customer_overdue");
    assert_eq!(
        overdue["order_id"],
        order(&admin, "INV-2").await["order_id"]
    );
    // Credit on account from before settles the next purchase, as any other does.
    let other = customer(&admin, "C-8").await;
    balances(&admin, "C-8,DEP-1,-250.00,2024-01-10,,\n")
        .await
        .ok(200);
    let bought = admin.buy_for(other, &[(ACME_HEADPHONES, 2)]).await.ok(201);
    compare(
        &bought,
        &[
            ("amount_due", json!("0.00")),
            ("customer_balance", json!("-50.00")),
        ],
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_on_sales_leave_opening_items_out_and_reports_on_receivables_do_not() {
    let service = Service::start().await;
    let admin = service.admin();
    let pool = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    customer(&admin, "C-7").await;
    let today = Utc::now().date_naive();
    let last_year: NaiveDate = today - Days::new(365);
    let sales = async || {
        let path = format!("/api/reports/sales?by=month&from={last_year}&to={today}");
        read(&admin, &path).await["data"].clone()
    };
    let receivables = async || read(&admin, "/api/reports/receivables").await;
    let before = (sales().await, receivables().await);
    let rows = format!(
        "C-7,INV-17,100.00,{last_year},,\nC-7,INV-18,70.00,{today},,\nC-7,INV-19,30.00,{},,\n",
        today - Days::new(1)
    );
    balances(&admin, &rows).await.ok(200);
    assert_eq!(sales().await, before.0, "not read from orders");
    assert_ne!(receivables().await, before.1);
    figures::keep(&pool, ACME).await.unwrap();
    assert_eq!(sales().await, before.0, "not kept");
    let by_customer = format!("/api/reports/sales?by=customer&from={last_year}&to={today}");
    let by_customer = read(&admin, &by_customer).await["data"].to_string();
    assert!(!by_customer.contains("C-7"), "{by_customer}");
    // A credit note lowers the sales of its own day.
    let id = order(&admin, "INV-17").await["order_id"].clone();
    let note = json!({"amount": "15.00", "reason": "late"});
    admin
        .do_to(id.as_str().unwrap(), "credit-notes", &note)
        .await
        .ok(201);
    let after = sales().await;
    let credited = |rows: &Value| rows.as_array().unwrap().last().unwrap()["credited"].clone();
    assert_eq!(credited(&after), "15.00", "{after}");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_of_opening_items_alone_keeps_no_figures_of_sales() {
    let service = Service::start().await;
    let stranger = service.stranger();
    let orders = "SELECT count(*) FROM orders WHERE business_id <> (SELECT id FROM businesses WHERE slug = 'acme')";
    assert_eq!(service.database.value(orders).await, "0");
    let path = format!("/api/customers/{GLOBEX_CUSTOMER}");
    stranger
        .patch(&path, &json!({"reference": "G-1"}))
        .await
        .ok(200);
    balances(&stranger, "G-1,OLD,5.00,1970-01-01,,\n")
        .await
        .ok(200);
    let pool = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    let kept = figures::keep(&pool, domain::demo::GLOBEX).await.unwrap();
    assert_eq!(kept, 0, "no day since 1970 has a sale");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_see_imported_orders_payments_and_balances_and_each_has_an_audit_entry() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = customer(&admin, "C-7").await;
    let lists = ["orders", "customers", "payments"];
    let mut cursors = Vec::new();
    for list in lists {
        let page = read(&admin, &format!("/api/{list}?updated_since=2999-01-01")).await;
        cursors.push(page["next_cursor"].as_str().unwrap().to_owned());
    }
    let rows = "C-7,INV-17,100.00,2024-01-10,2024-02-09,Boots\nC-7,DEP-3,-30.00,2024-02-01,,\n";
    let done = balances(&admin, rows).await;
    done.ok(200);
    let mut changed = Vec::new();
    for (list, cursor) in lists.into_iter().zip(cursors) {
        // A transaction that is still open anywhere delays later changes.
        let path = format!("/api/{list}?cursor={cursor}");
        let mut rows = Vec::new();
        until("the change is listed", async || {
            let page = read(&admin, &path).await;
            rows.clone_from(page["data"].as_array().unwrap());
            !rows.is_empty()
        })
        .await;
        assert_eq!(rows.len(), 1, "{list}: {rows:?}");
        changed.push(rows[0].clone());
    }
    assert_eq!(changed[0]["reference"], "INV-17");
    compare(
        &changed[1],
        &[("id", json!(id)), ("balance", json!("70.00"))],
    );
    assert_eq!(changed[2]["reference"], "DEP-3");
    let imported = trail(&service, "order.imported").await;
    assert_eq!(imported.len(), 1);
    compare(
        &imported[0],
        &[
            ("entity_type", json!("order")),
            ("entity_id", changed[0]["order_id"].clone()),
            ("actor_role", json!("admin")),
            ("request_id", json!(done.header("x-request-id"))),
            ("before", json!(null)),
        ],
    );
    compare(
        &imported[0]["after"],
        &[
            ("status", json!("fulfilled")),
            ("customer_id", json!(id)),
            ("customer_balance", json!("100.00")),
            ("total_amount", json!("100.00")),
            ("reference", json!("INV-17")),
            ("note", json!("Boots")),
            ("created_at", json!("2024-01-10T00:00:00Z")),
            ("due_at", json!("2024-02-09T00:00:00Z")),
        ],
    );
    let imported = trail(&service, "payment.imported").await;
    assert_eq!(imported[0]["entity_id"], changed[2]["payment_id"]);
    compare(
        &imported[0]["after"],
        &[
            ("customer_id", json!(id)),
            ("customer_balance", json!("70.00")),
            ("amount", json!("30.00")),
            ("reference", json!("DEP-3")),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_purchases_and_payments_of_one_customer_at_the_same_time_lose_nothing() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = admin.add_customer("Rich", "100000.00").await;
    let named = json!({"reference": "C-7"});
    admin
        .patch(&format!("/api/customers/{id}"), &named)
        .await
        .ok(200);
    customer(&admin, "C-8").await;
    let replies = all((0..24).map(|number| {
        let admin = admin.clone();
        async move {
            match number % 3 {
                0 => {
                    let mut rows = [
                        format!("C-7,INV-{number},10.00,2024-01-10,,\n"),
                        format!("C-8,INV-{number},1.00,2024-01-10,,\n"),
                        format!("C-7,DEP-{number},-2.00,2024-01-10,,\n"),
                    ];
                    rows.rotate_left(number % 2);
                    balances(&admin, &rows.concat()).await
                }
                1 => admin.buy_for(id, &[(ACME_HEADPHONES, 1)]).await,
                _ => {
                    let paid = json!({"customer_id": id, "amount": "3.00", "method": "cash", "on_account": true});
                    admin.post("/api/payments", &paid).await
                }
            }
        }
    }))
    .await;
    assert!(
        replies.iter().all(|reply| reply.status < 300),
        "{replies:?}"
    );
    let account = read(&admin, &format!("/api/customers/{id}")).await;
    assert_eq!(account["balance"], "840.00", "8 × (10 − 2 + 100 − 3)");
    books_balance(&service).await;
}

/// A build without optimizations takes several times as long as a release.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_opening_items_are_imported_in_one_go() {
    let service = Service::start().await;
    let admin = service.admin();
    let people = (0..9_999).map(|number| format!("C-{number},Customer {number}\n"));
    let people = format!("reference,name\n{}", people.collect::<String>());
    import(&admin, "customers", people).await.ok(200);
    let path = format!("/api/customers/{ACME_CUSTOMER}");
    admin
        .patch(&path, &json!({"reference": "BIG"}))
        .await
        .ok(200);
    let sign = |number: i32| if number % 10 == 9 { "-" } else { "" };
    let each = (0..10_000).map(|number| match number {
        9_999 => "BIG,LAST,0.01,2024-01-10,,\n".to_owned(),
        _ => format!(
            "C-{number},INV-{number},{}{number}.50,2024-01-10,,\n",
            sign(number)
        ),
    });
    let started = Instant::now();
    let done = balances(&admin, &each.collect::<String>()).await;
    assert_eq!(done.ok(200)["rows"], 10_000);
    let of_many = started.elapsed();
    // All of one customer.
    let each =
        (0..10_000).map(|number| format!("BIG,DOC-{number},{}1.00,2024-01-10,,\n", sign(number)));
    let started = Instant::now();
    balances(&admin, &each.collect::<String>()).await.ok(200);
    println!(
        "10,000 rows of as many customers {of_many:?}, of one {:?}",
        started.elapsed()
    );
    let account = read(&admin, &path).await;
    compare(
        &account,
        &[
            ("balance", json!("8000.01")),
            ("credit_on_account", json!("1000.00")),
        ],
    );
    let sql = format!(
        "SELECT count(*) || ' ' || sum(amount) AS all FROM opening_items
          WHERE business_id = '{ACME}' AND reference LIKE 'INV-%'"
    );
    let sum = (0..9_999_i64).map(|number| {
        if number % 10 == 9 {
            -10 * number - 5
        } else {
            10 * number + 5
        }
    });
    let sum: i64 = sum.sum();
    let found = service.database.value(&sql).await;
    let expected = format!("\"9999 {}.{}000\"", sum / 10, sum % 10);
    assert_eq!(found, expected);
    books_balance(&service).await;
}
