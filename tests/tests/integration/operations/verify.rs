//! These tests check `tradeline verify`: it finds no difference in correct data, and reports every manipulated row.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use crate::trade::imports::import;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX};
use domain::reports::figures;
use domain::verify;
use serde_json::json;
use tests::binary::TRADELINE;
use tests::{
    Account, Clerk, Credit, Database, OWNER, SERVICE, Service, books_balance, hold, join_waitlist,
    pay, settings, until, verified,
};

/// Creates a business with every kind of row: orders on credit and by card, a sale, payments, credit on account, credit
/// notes, write-offs and reversals.
async fn traded() -> (Service, Account) {
    let service = Service::start().await;
    let account = Account::open(&service, "Checked").await;
    let a = account.sell("2024-01-10T09:00:00Z", 30, "100.00").await;
    let b = account.sell("2024-01-12T09:00:00Z", 30, "50.00").await;
    account
        .pay(
            "2024-01-20T09:00:00Z",
            "70.00",
            &[(a, "40.00"), (b, "10.00")],
        )
        .await;
    let bounced = account
        .pay("2024-01-21T09:00:00Z", "25.00", &[(a, "25.00")])
        .await;
    account.reverse(bounced).await;
    let (note, off) = (Credit::CreditNote(b), Credit::WriteOff(a));
    account
        .credit(note, "2024-01-22T09:00:00Z", "8.00", &[(b, "8.00")])
        .await;
    account
        .credit(off, "2024-01-23T09:00:00Z", "5.00", &[(a, "5.00")])
        .await;
    // Credit on account is paid out twice, and one payout is reversed.
    let path = format!("/api/customers/{}/payouts", account.customer);
    let body = json!({"amount": "3.00", "method": "cash", "paid_at": "2024-02-01T09:00:00Z"});
    let _ = service.admin().post(&path, &body).await.ok(201);
    let back = service.admin().post(&path, &body).await;
    let back = format!("{}/reverse", back.header("location"));
    let body = json!({"reason": "wrong account"});
    let _ = service.admin().post(&back, &body).await.ok(201);
    let path = format!("/api/customers/{}", account.customer);
    let named = json!({"reference": "OLD"});
    let _ = service.admin().patch(&path, &named).await.ok(200);
    let items = "customer_reference,reference,amount,issued_on\nOLD,A-1,12.50,2023-12-01\nOLD,A-2,-7.00,2023-12-02\n";
    let _ = import(&service.admin(), "balances", items).await.ok(200);
    let _ = service.admin().add_sale("OFFER").await;
    let _ = service
        .staff()
        .buy(&[(ACME_HEADPHONES, 2), (ACME_KEYBOARD, 1)])
        .await
        .ok(201);
    // One order by card is paid, and one is not.
    let clerk = Clerk::of_acme(&service.database);
    for product in [ACME_KEYBOARD, ACME_HEADPHONES] {
        let placed = clerk.checkout(ACME_CUSTOMER, &[(product, 1)]).await;
        let order = placed.unwrap().order;
        if product == ACME_HEADPHONES {
            pay(&service.database, order).await;
            let items = json!([{"product_id": product, "quantity": 1}]);
            let body = json!({"items": items, "reason": "broken"});
            let order = order.to_string();
            let _ = service.admin().do_to(&order, "refund", &body).await.ok(200);
            let refunded = "SELECT status = 'succeeded' FROM refunds";
            until("the order is refunded", async || {
                service.database.value(refunded).await == "t"
            })
            .await;
        }
    }
    hold(&service, ACME_KEYBOARD, 2, 600).await;
    join_waitlist(&service, ACME_KEYBOARD, 600).await;
    // The refund has woken the payment worker, which then finds the other order too.
    let asked = "SELECT count(*) FROM orders WHERE status = 'created'";
    until("the payment of the other order is asked for", async || {
        service.database.value(asked).await == "0"
    })
    .await;
    (service, account)
}

#[tokio::test(flavor = "multi_thread")]
async fn good_books_have_no_differences() {
    let (service, account) = traded().await;
    books_balance(&service).await;
    // A purchase uses up credit on account, and all figures still agree.
    let _ = service
        .staff()
        .buy_for(account.customer, &[(ACME_HEADPHONES, 1)])
        .await
        .ok(201);
    books_balance(&service).await;
}

/// Manual changes of the data, each with the checks that must detect it.
const SABOTAGE: &[(&str, &[&str])] = &[
    ("UPDATE customers SET balance = balance + 0.01 WHERE id = '{c}'",
     &["balance_is_the_sum_of_the_entries", "balance_is_what_is_due_less_credit_on_account"]),
    ("UPDATE customers SET entry_count = entry_count + 1 WHERE id = '{c}'", &["balance_is_the_sum_of_the_entries"]),
    ("UPDATE ledger_entries SET balance_after = balance_after - 1 WHERE customer_id = '{c}' AND number = 3",
     &["entries_follow_from_each_other"]),
    ("UPDATE ledger_entries SET number = 99 WHERE customer_id = '{c}' AND number = 7", &["entries_follow_from_each_other"]),
    ("UPDATE customers SET on_account = on_account + 5 WHERE id = '{c}'",
     &["credit_on_account_is_the_sum_of_its_credits", "balance_is_what_is_due_less_credit_on_account"]),
    ("UPDATE ledger_entries SET effective_at = now() + interval '1 day' WHERE customer_id = '{c}' AND number = 7",
     &["nothing_counts_in_the_future"]),
    ("UPDATE order_items SET quantity = quantity + 1, line_total = line_total + unit_price
       WHERE order_id = (SELECT id FROM orders WHERE customer_id = '{c}' ORDER BY id LIMIT 1)",
     &["order_total_is_the_sum_of_its_lines", "stock_is_what_moved_less_what_was_sold"]),
    ("DELETE FROM order_items WHERE order_id = (SELECT id FROM orders WHERE customer_id = '{c}' ORDER BY id LIMIT 1)",
     &["order_total_is_the_sum_of_its_lines"]),
    ("DELETE FROM opening_items WHERE customer_id = '{c}'", &["order_total_is_the_sum_of_its_lines"]),
    ("UPDATE opening_items SET amount = amount + 1", &["opening_item_is_its_document", "order_total_is_the_sum_of_its_lines"]),
    ("UPDATE opening_items SET customer_id = '{o}'", &["opening_item_is_its_document"]),
    ("UPDATE orders SET status = 'approved' WHERE id IN (SELECT order_id FROM opening_items)",
     &["opening_item_is_its_document"]),
    ("INSERT INTO order_items (business_id, order_id, product_id, line, sku, name, quantity, unit_price, line_total, on_hand_after)
      SELECT business_id, order_id, '{k}', 0, 'KEY-001', 'Keyboard', 1, 0, 0, 0 FROM opening_items WHERE order_id IS NOT NULL",
     &["opening_item_is_its_document"]),
    ("UPDATE ledger_entries SET order_id = NULL WHERE customer_id = '{c}' AND number = 1",
     &["credit_order_has_one_charge", "charge_has_a_credit_order"]),
    ("UPDATE orders SET created_at = created_at - interval '1 second' WHERE customer_id = '{c}'",
     &["credit_order_has_one_charge"]),
    ("UPDATE orders SET status = 'cancelled' WHERE customer_id = '{c}'", &["cancelled_order_has_its_charge_reversed"]),
    ("UPDATE orders SET amount_settled = amount_settled + 1 WHERE customer_id = '{c}'",
     &["order_is_settled_by_its_allocations", "balance_is_what_is_due_less_credit_on_account"]),
    ("UPDATE orders SET amount_credited = amount_credited + 1 WHERE customer_id = '{c}' AND amount_settled > 0",
     &["order_is_settled_by_its_allocations"]),
    // The sum is unchanged, but at a date in between more than the total was settled.
    ("INSERT INTO allocations (business_id, id, customer_id, entry_number, order_id, amount, effective_at)
      SELECT business_id, gen_random_uuid(), customer_id, 3, id, sign * 90, '2024-01-25'::date + days
        FROM orders, (VALUES (1, 0), (-1, 1)) AS v (sign, days) WHERE customer_id = '{c}' AND total_amount = 100",
     &["order_is_never_settled_beyond_its_total", "credit_is_never_used_beyond_its_amount"]),
    ("UPDATE credits_on_account SET amount = amount - 1 WHERE customer_id = '{c}'",
     &["rest_of_a_credit_is_on_account", "credit_on_account_is_the_sum_of_its_credits"]),
    ("UPDATE allocations SET effective_at = '2024-01-01' WHERE customer_id = '{c}' AND entry_number = 3",
     &["credit_settles_its_own_customers_credit_orders_when_both_are_there"]),
    ("UPDATE allocations SET order_id = (SELECT id FROM orders WHERE customer_id = '{o}' LIMIT 1)
       WHERE customer_id = '{c}' AND entry_number = 7",
     &["credit_settles_its_own_customers_credit_orders_when_both_are_there", "order_is_settled_by_its_allocations"]),
    ("DELETE FROM payments WHERE customer_id = '{c}' AND entry_number = 3", &["entry_has_its_document"]),
    ("UPDATE payments SET amount = amount + 1 WHERE customer_id = '{c}'", &["document_agrees_with_its_entry"]),
    ("UPDATE payments SET received_at = now() WHERE customer_id = '{c}'", &["document_agrees_with_its_entry"]),
    ("UPDATE write_offs SET order_id = (SELECT id FROM orders WHERE customer_id = '{o}' LIMIT 1)
       WHERE customer_id = '{c}'", &["document_is_about_its_own_customers_order"]),
    ("UPDATE reversals SET reverses = 3 WHERE customer_id = '{c}' AND reverses = 4",
     &["reversal_is_the_opposite_of_what_it_undoes", "rest_of_a_credit_is_on_account"]),
    ("UPDATE credit_notes SET amount = 51 WHERE customer_id = '{c}'",
     &["order_is_not_credited_beyond_its_total", "document_agrees_with_its_entry"]),
    ("INSERT INTO credit_note_items (business_id, credit_note_id, product_id, quantity)
      SELECT business_id, id, '{k}', 2 FROM credit_notes WHERE customer_id = '{c}'",
     &["credit_note_is_the_price_of_its_items", "no_more_is_credited_than_was_sold"]),
    ("DELETE FROM payouts WHERE customer_id = '{c}'", &["entry_has_its_document"]),
    ("UPDATE payouts SET amount = amount + 1 WHERE customer_id = '{c}'", &["document_agrees_with_its_entry"]),
    ("UPDATE payout_allocations SET amount = amount + 1 WHERE customer_id = '{c}' AND payout_entry = 8",
     &["payout_is_covered_by_credits_at_every_date", "rest_of_a_credit_is_on_account"]),
    // The sum is unchanged, but on one day no credit covers the payout.
    ("UPDATE payout_allocations SET effective_at = effective_at + interval '1 day'
       WHERE customer_id = '{c}' AND payout_entry = 8",
     &["payout_is_covered_by_credits_at_every_date"]),
    ("UPDATE payout_allocations SET effective_at = now() + interval '1 day' WHERE customer_id = '{c}'",
     &["nothing_counts_in_the_future"]),
    ("UPDATE inventory SET on_hand = on_hand - 1 WHERE product_id = '{k}'", &["stock_is_what_moved_less_what_was_sold"]),
    ("UPDATE inventory SET reserved = reserved + 1 WHERE product_id = '{k}'",
     &["reserved_is_what_is_held", "reserved_is_what_was_held_less_what_was_released"]),
    ("UPDATE reservation_items SET held = false WHERE place IS NULL", &["reserved_is_what_is_held"]),
    ("DELETE FROM stock_movements WHERE reserved > 0", &["reserved_is_what_was_held_less_what_was_released"]),
    ("UPDATE inventory SET waiting = waiting - 1 WHERE product_id = '{k}'", &["waiting_is_the_length_of_the_line"]),
    ("UPDATE reservation_items SET place = NULL", &["waiting_is_the_length_of_the_line"]),
    ("DELETE FROM stock_movements WHERE reason = 'sold'",
     &["card_order_has_sold_what_was_paid_for", "stock_is_what_moved_less_what_was_sold"]),
    ("UPDATE stock_movements SET order_id = NULL WHERE reason = 'sold'", &["card_order_has_sold_what_was_paid_for"]),
    ("UPDATE orders SET status = 'payment_pending' WHERE status = 'paid'", &["card_order_has_sold_what_was_paid_for"]),
    // The order was paid, but no units came back and none were refunded by items.
    ("WITH gone AS (DELETE FROM refund_items) UPDATE orders SET status = 'cancelled' WHERE status = 'paid'",
     &["card_order_has_sold_what_was_paid_for"]),
    // The payment worker may have changed the status in the meantime.
    ("UPDATE orders SET status = 'paid' WHERE status IN ('created', 'payment_pending')",
     &["card_order_has_sold_what_was_paid_for", "held_is_for_an_active_reservation_or_an_unpaid_card_order"]),
    ("UPDATE reservations SET status = 'cancelled', order_id = NULL WHERE status = 'confirmed'",
     &["held_is_for_an_active_reservation_or_an_unpaid_card_order"]),
    ("DELETE FROM payment_intents", &["held_is_for_an_active_reservation_or_an_unpaid_card_order"]),
    ("DELETE FROM payment_intents WHERE status = 'succeeded'", &["card_order_has_one_intent"]),
    ("UPDATE payment_intents SET amount = amount + 1", &["card_order_has_one_intent"]),
    ("UPDATE payment_intents SET status = 'pending' WHERE status = 'succeeded'",
     &["card_order_is_paid_what_its_intent_received"]),
    ("UPDATE payment_intents SET status = 'succeeded' WHERE status IN ('requested', 'pending')",
     &["card_order_is_paid_what_its_intent_received"]),
    ("UPDATE orders SET amount_settled = amount_settled - 1, amount_refunded = 0 WHERE status = 'paid'",
     &["card_order_is_paid_what_its_intent_received"]),
    ("UPDATE orders SET amount_refunded = amount_refunded - 1 WHERE status = 'paid'",
     &["refunded_is_what_the_refunds_come_to"]),
    ("UPDATE refunds SET status = 'failed'", &["refunded_is_what_the_refunds_come_to"]),
    ("UPDATE orders SET amount_lost = 1 WHERE status = 'paid'", &["lost_is_what_the_lost_disputes_come_to"]),
    ("INSERT INTO disputes (business_id, id, order_id, provider, provider_id, amount, reason, status, funds_withdrawn)
      SELECT business_id, gen_random_uuid(), order_id, provider, 'dp_1', 1, 'fraudulent', 'lost', true
        FROM payment_intents WHERE status = 'succeeded'",
     &["lost_is_what_the_lost_disputes_come_to", "attention_is_asked_for_where_something_is_wrong"]),
    ("UPDATE orders SET attention = ARRAY['dispute_open'] WHERE status = 'paid'",
     &["attention_is_asked_for_where_something_is_wrong"]),
    // The refund has failed, and the order does not ask for attention.
    ("WITH failed AS (UPDATE refunds SET status = 'failed') UPDATE orders SET amount_refunded = 0 WHERE status = 'paid'",
     &["attention_is_asked_for_where_something_is_wrong"]),
    ("UPDATE refund_items SET quantity = 2", &["no_more_is_refunded_by_items_than_was_sold"]),
    ("UPDATE order_transitions SET number = number + 1 WHERE number = 2", &["order_is_what_its_transitions_led_to"]),
    ("UPDATE order_transitions SET to_status = 'fulfilled' WHERE to_status = 'paid'",
     &["order_is_what_its_transitions_led_to"]),
    ("DELETE FROM order_transitions", &["order_is_what_its_transitions_led_to"]),
    ("UPDATE products SET in_sale = true WHERE id = '{k}'", &["product_is_marked_when_a_sale_has_it"]),
    ("UPDATE sales_figures SET revenue = revenue + 1 WHERE kind = 'customer' AND span = 'day'",
     &["figures_of_a_day_are_what_its_sales_came_to", "figures_of_a_month_are_the_sum_of_its_days"]),
    ("DELETE FROM sales_figures WHERE kind = 'total' AND span = 'day'", &["figures_of_a_day_are_what_its_sales_came_to"]),
    ("UPDATE sales_figures SET starts_on = starts_on + 1 WHERE kind = 'product' AND span = 'day'",
     &["figures_of_a_day_are_what_its_sales_came_to"]),
    ("UPDATE sales_figures SET credited = credited + 1 WHERE span = 'month'",
     &["figures_of_a_month_are_the_sum_of_its_days"]),
    ("DELETE FROM sale_products", &["product_is_marked_when_a_sale_has_it"]),
    ("INSERT INTO sale_products (business_id, sale_id, product_id) SELECT business_id, sale_id, '{k}' FROM sale_products",
     &["product_is_marked_when_a_sale_has_it"]),
];

/// The tables that are manipulated.
const TABLES: &[&str] = &[
    "customers",
    "ledger_entries",
    "orders",
    "order_items",
    "allocations",
    "credits_on_account",
    "payments",
    "payouts",
    "payout_allocations",
    "credit_notes",
    "credit_note_items",
    "write_offs",
    "opening_items",
    "reversals",
    "inventory",
    "stock_movements",
    "reservations",
    "reservation_items",
    "payment_intents",
    "refunds",
    "refund_items",
    "disputes",
    "order_transitions",
    "products",
    "sale_products",
    "sales_figures",
];

/// SQL that gives a table the rows of its copy.
fn put_back(table: &str) -> String {
    // One column is generated.
    let columns = match table {
        "orders" => {
            "business_id, id, customer_id, status, payment_method, total_amount, amount_settled, amount_credited, due_at, \
             amount_refunded, amount_lost, attention, cancel_reason, tracking_reference, created_by, created_at, updated_at"
        }
        _ => "",
    };
    let (into, from) = match columns {
        "" => (String::new(), "*"),
        columns => (format!("({columns})"), columns),
    };
    format!("DELETE FROM {table}; INSERT INTO {table} {into} SELECT {from} FROM kept_{table};")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_finds_what_it_is_there_for_and_names_the_rows() {
    let (service, account) = traded().await;
    let pool = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    assert!(figures::keep(&pool, ACME).await.unwrap() > 0);
    // The service's background tasks would change the data during the test.
    let database = &service.database.clone();
    service.stop().await;
    // One connection for all, whose statements are prepared once.
    let differences = async || {
        let mut found = Vec::new();
        for business in [ACME, GLOBEX] {
            let counts = verify::business(&pool, business, |difference| found.push(difference));
            let _ = counts.await.unwrap();
        }
        found
    };
    // The manipulations ignore foreign keys. The rows are restored from copies.
    let keep = TABLES
        .iter()
        .map(|table| format!("CREATE TABLE kept_{table} AS SELECT * FROM {table};"));
    database.execute(&keep.collect::<String>()).await;
    let mut tried = BTreeSet::new();
    for (sql, checks) in SABOTAGE {
        let sql = sql.replace("{c}", &account.customer.to_string());
        let sql = sql
            .replace("{o}", &ACME_CUSTOMER.to_string())
            .replace("{k}", &ACME_KEYBOARD.to_string());
        let with = |sql: &str| format!("SET session_replication_role = replica; {sql}");
        database.execute(&with(&sql)).await;
        let found = differences().await;
        let names: BTreeSet<&str> = found.iter().map(|difference| difference.check).collect();
        for check in *checks {
            assert!(
                names.contains(check),
                "{check} does not find the change: {sql}\n{found:#?}"
            );
        }
        for difference in &found {
            assert_eq!(difference.business_id, ACME, "{difference}");
            assert!(
                difference.subject.len() > 36,
                "the difference names no row: {difference}"
            );
            assert_ne!(difference.expected, difference.found, "{difference}");
        }
        tried.extend(*checks);
        // A statement names each table that it changes.
        let changed = TABLES.iter().filter(|table| sql.contains(*table));
        let put_back: String = changed.map(|table| put_back(table)).collect();
        database.execute(&with(&put_back)).await;
    }
    assert_eq!(verified(database).await, [], "everything is put back");
    // `audit_seals.rs` tests the checks of the audit trail.
    let all: BTreeSet<&str> = verify::checks()
        .map(|check| check.name)
        .filter(|name| !name.starts_with("audit_"))
        .collect();
    assert_eq!(tried, all, "each check is tried");
}

/// Runs `tradeline verify` with this database.
fn run(url: &str) -> Output {
    let mut command = Command::new(&*TRADELINE);
    command
        .arg("verify")
        .env("DATABASE_URL", url)
        .env_remove("RUST_LOG")
        .env_remove("TRADELINE_JWT_SECRET");
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_ends_with_0_when_all_is_well_1_when_not_and_2_when_it_cannot_look() {
    let (service, account) = traded().await;
    let database = &service.database;
    let good = run(&database.url(SERVICE));
    let text = String::from_utf8(good.stdout.clone()).unwrap();
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let orders = database.value("SELECT count(*) FROM orders").await;
    let entries = database.value("SELECT count(*) FROM ledger_entries").await;
    assert!(text.starts_with("0 differences in 2 businesses"), "{text}");
    assert!(
        text.contains(&format!(" {entries} ledger entries, {orders} orders")),
        "{text}"
    );

    let wrong = format!(
        "UPDATE customers SET balance = balance + 1 WHERE id = '{}'",
        account.customer
    );
    database.execute(&wrong).await;
    let bad = run(&database.url(SERVICE));
    let text = String::from_utf8(bad.stdout.clone()).unwrap();
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    let line = text.lines().next().unwrap();
    assert!(
        line.starts_with(&format!(
            "balance_is_the_sum_of_the_entries: business {ACME} customer {}: expected",
            account.customer
        )),
        "{text}"
    );
    assert!(
        text.lines()
            .last()
            .unwrap()
            .starts_with("2 differences in 2 businesses"),
        "{text}"
    );

    let nowhere = database
        .url(SERVICE)
        .replace(database.name(), "there_is_no_such_database");
    let empty = Database::empty().await;
    for url in [
        nowhere,
        "mysql://x".into(),
        empty.url(SERVICE),
        database.url(OWNER),
        database.url("postgres"),
    ] {
        let failed = run(&url);
        assert_eq!(failed.status.code(), Some(2), "{url}: {failed:?}");
        assert!(
            String::from_utf8_lossy(&failed.stderr).starts_with("tradeline: "),
            "{failed:?}"
        );
        assert!(failed.stdout.is_empty(), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_show_the_differences_when_configured() {
    let (service, account) = traded().await;
    let wrong = format!(
        "UPDATE customers SET on_account = on_account + 1 WHERE id = '{}'",
        account.customer
    );
    service.database.execute(&wrong).await;
    let mut settings = settings();
    settings.verify_every = Some(1);
    let url = service.database.url(SERVICE);
    let looking = Service::with(service.database.clone(), &url, &settings).await;
    let metric = async |name: &str| {
        let page = looking.nobody().get("/metrics").await;
        let line = page
            .text
            .lines()
            .find(|line| line.starts_with(name))
            .map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next().map(str::to_owned))
    };
    let gauge =
        "tradeline_verify_differences{check=\"credit_on_account_is_the_sum_of_its_credits\"}";
    until("the difference is found", async || {
        metric(gauge).await.as_deref() == Some("1")
    })
    .await;
    let good =
        metric("tradeline_verify_differences{check=\"stock_is_what_moved_less_what_was_sold\"}")
            .await;
    assert_eq!(good.as_deref(), Some("0"));
    assert!(metric("tradeline_verify_duration_seconds").await.is_some());
    let at: f64 = metric("tradeline_verify_last_run_timestamp_seconds")
        .await
        .unwrap()
        .parse()
        .unwrap();
    assert!(at > 1.7e9, "{at}");
    let mended = format!(
        "UPDATE customers SET on_account = on_account - 1 WHERE id = '{}'",
        account.customer
    );
    service.database.execute(&mended).await;
    until("the difference is gone", async || {
        metric(gauge).await.as_deref() == Some("0")
    })
    .await;
}
