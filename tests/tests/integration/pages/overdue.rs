//! This test reads what is past due on the account of a customer with very many orders.

use std::time::Instant;

use domain::demo::{ACME, ACME_CUSTOMER};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tests::{SERVICE, Service};

use super::browser::Browser;

const ORDERS: i64 = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_due_is_exact_for_any_number_of_orders_and_read_from_an_index() {
    let service = Service::start().await;
    // Each is due another second; the last two are not past due, or paid.
    let orders = format!(
        "INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, due_at, created_by,
                             created_at)
         SELECT '{ACME}', gen_random_uuid(), '{ACME_CUSTOMER}', 'approved', 'credit', 1.01,
                now() - interval '2 days' - n * interval '1 s', gen_random_uuid(), now() - interval '40 days'
           FROM generate_series(1, {ORDERS}) AS n;
         INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, amount_settled, due_at,
                             created_by)
         VALUES ('{ACME}', gen_random_uuid(), '{ACME_CUSTOMER}', 'approved', 'credit', 5, 0, now() + interval '2 days',
                 gen_random_uuid()),
                ('{ACME}', gen_random_uuid(), '{ACME_CUSTOMER}', 'approved', 'credit', 7, 7, now() - interval '2 days',
                 gen_random_uuid());"
    );
    service.database.execute(&orders).await;
    // Four times as many of another customer.
    let other = service.admin().add_customer("Other", "0.00").await;
    let others = format!(
        "INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, due_at, created_by,
                             created_at)
         SELECT business_id, gen_random_uuid(), '{other}', status, payment_method, total_amount, due_at, created_by,
                created_at
           FROM orders, generate_series(1, 4) WHERE customer_id = '{ACME_CUSTOMER}'"
    );
    service.database.execute(&others).await;
    service.database.execute("VACUUM ANALYZE orders").await;
    let browser = Browser::logged_in(&service, "acme", "customer@example.com", "customer123").await;
    let _ = browser.get("/shop/acme/account").await.shows(200);
    let since = Instant::now();
    let page = browser.get("/shop/acme/account").await;
    let elapsed = since.elapsed();
    assert!(page.shows(200).contains("$20,200.00"), "{}", page.text);
    eprintln!("the account of a customer with {ORDERS} overdue orders takes {elapsed:?}");
    assert!(elapsed.as_millis() < 1000, "{elapsed:?}");
    let plan = plan(&service).await;
    assert!(
        plan.contains("Index Only Scan using orders_customer_unpaid_idx"),
        "{plan}"
    );
}

/// The plan of the sum, for the role of the service.
async fn plan(service: &Service) -> String {
    let session = service.database.connect(SERVICE).await;
    let of_acme = format!("SELECT set_config('app.business_id', '{ACME}', false)");
    let explain = format!(
        "EXPLAIN SELECT sum(amount_due) FROM orders
          WHERE business_id = '{ACME}' AND customer_id = '{ACME_CUSTOMER}'
            AND amount_due > 0 AND payment_method = 'credit' AND due_at < now()"
    );
    let statement = |sql| Statement::from_string(DbBackend::Postgres, sql);
    session.query_all_raw(statement(of_acme)).await.unwrap();
    let rows = session.query_all_raw(statement(explain)).await.unwrap();
    session.close().await.unwrap();
    let lines = rows
        .iter()
        .map(|row| row.try_get_by_index::<String>(0).unwrap());
    lines.collect::<Vec<_>>().join("\n")
}
