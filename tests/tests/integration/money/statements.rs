//! These tests check a customer's ledger and statements against what an accountant expects.

use domain::Authority;
use domain::demo::ACME;
use domain::demo::ACME_CUSTOMER;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tests::{Account, Credit, Service, books_balance, member};

fn amount(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

async fn statement(service: &Service, account: &Account, query: &str) -> Value {
    let path = format!("/api/customers/{}/statement{query}", account.customer);
    service.staff().get(&path).await.ok(200)
}

/// Creates an account with a sale, three payments, one of which bounces, and an earlier payment that was entered last.
async fn sold_and_paid(service: &Service) -> (Account, i64) {
    let account = Account::open(service, "Slow").await;
    let order = account.sell("2024-01-10T09:00:00Z", 30, "100.00").await;
    account
        .pay("2024-01-20T09:00:00Z", "30.00", &[(order, "30.00")])
        .await;
    let bounced = account
        .pay("2024-02-01T00:00:00Z", "25.00", &[(order, "25.00")])
        .await;
    account
        .pay("2024-02-10T09:00:00Z", "20.00", &[(order, "20.00")])
        .await;
    account
        .pay("2024-01-15T09:00:00Z", "5.00", &[(order, "5.00")])
        .await;
    (account, bounced)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_three_payments_and_a_bounced_cheque_read_as_an_accountant_expects() {
    let service = Service::start().await;
    let (account, bounced) = sold_and_paid(&service).await;
    account.reverse(bounced).await;
    books_balance(&service).await;

    let whole = statement(&service, &account, "").await;
    assert_eq!(whole["customer_name"], "Slow");
    assert_eq!(whole["currency"], "USD");
    assert_eq!(whole["from"], json!(null));
    assert_eq!(whole["opening_balance"], "0.00");
    let lines: Vec<Value> = whole["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| json!([entry["kind"], entry["amount"], entry["balance_after"]]))
        .collect();
    assert_eq!(
        lines,
        [
            json!(["charge", "100.00", "100.00"]),
            json!(["payment", "-5.00", "95.00"]),
            json!(["payment", "-30.00", "65.00"]),
            json!(["payment", "-25.00", "40.00"]),
            json!(["payment", "-20.00", "20.00"]),
            json!(["reversal", "25.00", "45.00"]),
        ]
    );
    assert_eq!(whole["closing_balance"], "45.00");
    assert_eq!(
        whole["totals"],
        json!({
            "charges": "100.00", "payments": "-80.00", "credit_notes": "0.00", "write_offs": "0.00", "payouts": "0.00", "reversals": "25.00",
        })
    );
    let entries = whole["entries"].as_array().unwrap();
    let (cheque, bounce) = (&entries[3], &entries[5]);
    assert_eq!(bounce["reverses"], cheque["id"]);
    assert_eq!(bounce["reason"], "bounced");
    assert_eq!(cheque["method"], "cheque");
    assert_eq!(cheque["reference"], "No. 7");
    assert_eq!(cheque["effective_at"], "2024-02-01T00:00:00.000000Z");
    let order = format!(
        "SELECT id FROM orders WHERE customer_id = '{}'",
        account.customer
    );
    assert_eq!(
        entries[0]["order_id"],
        json!(service.database.value(&order).await)
    );

    // The ledger lists entries in order of entry, newest first.
    let path = format!("/api/customers/{}/ledger", account.customer);
    let ledger = service.staff().pages(&path, 200).await;
    assert_eq!(
        member(&ledger, "amount"),
        ["25.00", "-5.00", "-20.00", "-25.00", "-30.00", "100.00"]
    );
    assert_eq!(
        member(&ledger, "balance_after"),
        ["45.00", "20.00", "25.00", "45.00", "70.00", "100.00"]
    );
    assert!(ledger.iter().all(|entry| entry["currency"] == "USD"));
    for limit in [1, 2, 5, 6] {
        assert_eq!(
            service.staff().pages(&path, limit).await,
            ledger,
            "pages of {limit}"
        );
    }
    let customer = service
        .staff()
        .get(&format!("/api/customers/{}", account.customer))
        .await
        .ok(200);
    assert_eq!(customer["balance"], whole["closing_balance"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_closing_balance_of_a_statement_is_the_opening_balance_of_the_next() {
    let service = Service::start().await;
    let (account, _) = sold_and_paid(&service).await;
    // A payment at the first moment of February belongs to February.
    let january = statement(&service, &account, "?from=2024-01-01&to=2024-01-31").await;
    let february = statement(&service, &account, "?from=2024-02-01&to=2024-02-29").await;
    assert_eq!(january["opening_balance"], "0.00");
    assert_eq!(january["closing_balance"], "65.00");
    assert_eq!(february["opening_balance"], "65.00");
    assert_eq!(february["closing_balance"], "20.00");
    assert_eq!(
        (&february["from"], &february["to"]),
        (&json!("2024-02-01"), &json!("2024-02-29"))
    );
    assert_eq!(february["entries"].as_array().unwrap().len(), 2);
    // The same holds for a cut at any moment: each entry is in exactly one of the two statements.
    let whole = statement(&service, &account, "?from=2024-01-01&to=2024-12-31").await;
    for cut in [
        "2024-01-10T09:00:00Z",
        "2024-01-10T09:00:00.000001Z",
        "2024-01-15T12:00:00Z",
        "2024-02-01T00:00:00Z",
    ] {
        let before = statement(&service, &account, &format!("?from=2024-01-01&to={cut}")).await;
        let after = statement(&service, &account, &format!("?from={cut}&to=2024-12-31")).await;
        assert_eq!(before["closing_balance"], after["opening_balance"], "{cut}");
        let both = [&before, &after]
            .map(|part| part["entries"].as_array().unwrap().clone())
            .concat();
        assert_eq!(json!(both), whole["entries"], "{cut}");
        assert_eq!(after["closing_balance"], whole["closing_balance"], "{cut}");
    }
    for part in [&january, &february, &whole] {
        let totals: Decimal = part["totals"]
            .as_object()
            .unwrap()
            .values()
            .map(amount)
            .sum();
        assert_eq!(
            amount(&part["opening_balance"]) + totals,
            amount(&part["closing_balance"])
        );
    }
    let nothing = statement(&service, &account, "?from=2024-05-01&to=2024-05-01").await;
    assert_eq!(nothing["entries"], json!([]));
    assert_eq!(nothing["opening_balance"], nothing["closing_balance"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_notes_and_write_offs_name_their_order_and_their_reason() {
    let service = Service::start().await;
    let account = Account::open(&service, "Unlucky").await;
    let order = account.sell("2024-01-10T09:00:00Z", 30, "100.00").await;
    let (note, off) = (Credit::CreditNote(order), Credit::WriteOff(order));
    account
        .credit(note, "2024-01-11T09:00:00Z", "40.00", &[(order, "40.00")])
        .await;
    account
        .credit(off, "2024-01-12T09:00:00Z", "60.00", &[(order, "60.00")])
        .await;
    let whole = statement(&service, &account, "").await;
    let entries = whole["entries"].as_array().unwrap();
    for (entry, kind, id, reason) in [
        (&entries[1], "credit_note", "credit_note_id", "scratched"),
        (&entries[2], "write_off", "write_off_id", "bankrupt"),
    ] {
        assert_eq!(
            (&entry["kind"], &entry["reason"]),
            (&json!(kind), &json!(reason))
        );
        assert_eq!(entry["order_id"], json!(order));
        assert!(entry[id].is_string(), "{entry}");
    }
    assert_eq!(whole["totals"]["credit_notes"], "-40.00");
    assert_eq!(whole["totals"]["write_offs"], "-60.00");
    assert_eq!(whole["closing_balance"], "0.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_csv_for_those_who_prefer_it() {
    let service = Service::start().await;
    let (account, _) = sold_and_paid(&service).await;
    service
        .database
        .execute("UPDATE payments SET reference = '=1+1'")
        .await;
    let path = format!(
        "/api/customers/{}/statement?from=2024-01-11&to=2024-01-31",
        account.customer
    );
    let table = service.staff().csv(&path).await;
    assert_eq!(table.status, 200, "{}", table.text);
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(
        table.header("content-disposition"),
        "attachment; filename=\"statement-2024-01-31.csv\""
    );
    let lines: Vec<Vec<&str>> = table
        .text
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    let cells: Vec<&[&str]> = lines.iter().map(|line| &line[..5]).collect();
    assert_eq!(
        cells,
        [
            [
                "effective_at",
                "kind",
                "amount",
                "balance_after",
                "currency"
            ],
            ["2024-01-11", "opening_balance", "", "100.00", "USD"],
            [
                "2024-01-15T09:00:00.000000Z",
                "payment",
                "-5.00",
                "95.00",
                "USD"
            ],
            [
                "2024-01-20T09:00:00.000000Z",
                "payment",
                "-30.00",
                "65.00",
                "USD"
            ],
            ["2024-01-31", "closing_balance", "", "65.00", "USD"],
        ]
    );
    assert_eq!(
        lines[2][6..8],
        ["cheque", "'=1+1"],
        "text is no formula, and an amount stays a number"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_reads_its_own_account_and_nobody_elses_exists() {
    let service = Service::start().await;
    let (account, _) = sold_and_paid(&service).await;
    for what in ["ledger", "statement"] {
        let path = format!("/api/customers/{}/{what}", account.customer);
        let own = service.caller(ACME, Authority::Customer(account.customer));
        assert_eq!(own.get(&path).await.status, 200);
        for other in [service.customer(), service.stranger()] {
            let _ = other.get(&path).await.refused(404, "customer_not_found");
            let _ = other.csv(&path).await.refused(404, "customer_not_found");
        }
        let own = format!("/api/customers/{ACME_CUSTOMER}/{what}");
        assert_eq!(service.customer().get(&own).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversed_or_too_long_statement_period_is_rejected() {
    let service = Service::start().await;
    let (account, _) = sold_and_paid(&service).await;
    let path = format!("/api/customers/{}/statement", account.customer);
    let staff = service.staff();
    for (query, pointer) in [
        ("from=2024-02-02&to=2024-02-01", "?from"),
        ("from=2024-02-01T00:00:01Z&to=2024-02-01T00:00:00Z", "?from"),
        ("from=2100-01-01", "?from"),
        ("from=yesterday", "?from"),
        ("to=2024-2-1", "?to"),
        ("limit=5", "?limit"),
    ] {
        let body = staff
            .get(&format!("{path}?{query}"))
            .await
            .refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], pointer, "{query}");
    }
    let sql = format!(
        "INSERT INTO ledger_entries (business_id, customer_id, number, id, kind, amount, balance_after, effective_at)
         SELECT '{ACME}', '{}', 5 + n, gen_random_uuid(), 'charge', 1, 20 + n, '2024-03-01'
           FROM generate_series(1, 9996) AS n",
        account.customer
    );
    service.database.execute(&sql).await;
    let body = staff.get(&path).await.refused(422, "validation_failed");
    assert_eq!(body["errors"][0]["pointer"], "?from");
    let most = staff.get(&format!("{path}?from=2024-01-12")).await.ok(200);
    assert_eq!(most["entries"].as_array().unwrap().len(), 10_000);
    assert_eq!(most["closing_balance"], "10016.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_of_a_moment_ago_is_in_the_statement_until_now() {
    let service = Service::start().await;
    let account = Account::open(&service, "Quick").await;
    for count in 1..=5 {
        let order = [(domain::demo::ACME_KEYBOARD, 1)];
        let _ = service
            .staff()
            .buy_for(account.customer, &order)
            .await
            .ok(201);
        let whole = statement(&service, &account, "").await;
        assert_eq!(whole["entries"].as_array().unwrap().len(), count);
    }
}
