//! These tests check the database's constraints on stock and money: an impossible value is rejected for every role,
//! also in manual SQL.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD};
use sea_orm::{ConnectionTrait, DbErr, RuntimeErr, sqlx};
use serde_json::json;
use tests::{Service, hold, id_of};

/// SQLSTATE `check_violation`.
const CHECK: &str = "23514";

/// The SQLSTATE and the constraint of a rejected statement.
fn refusal(error: &DbErr) -> (String, String) {
    let DbErr::Exec(RuntimeErr::SqlxError(cause)) = error else {
        panic!("{error}");
    };
    let sqlx::Error::Database(answer) = cause.as_ref() else {
        panic!("{error}");
    };
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    (text(answer.code().as_deref()), text(answer.constraint()))
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_reject_invalid_stock_and_amounts_for_the_superuser() {
    let service = Service::start().await;
    let admin = service.admin();
    hold(&service, ACME_HEADPHONES, 3, 600).await;
    let sold = id_of(&admin.buy(&[(ACME_KEYBOARD, 4)]).await.ok(201));
    let paid = json!({"customer_id": ACME_CUSTOMER, "amount": "20.00", "method": "cash"});
    let _ = admin.post("/api/payments", &paid).await.ok(201);
    let before = service.database.digest().await;

    let stock = format!("inventory WHERE product_id = '{ACME_HEADPHONES}'");
    let customer = format!("customers WHERE id = '{ACME_CUSTOMER}'");
    let order = format!("orders WHERE id = '{sold}'");
    let postgres = service.database.connect("postgres").await;
    for (row, change, constraint) in [
        (&stock, "on_hand = -1", "count_not_negative_range"),
        (&stock, "reserved = -1", "count_not_negative_range"),
        (
            &stock,
            "reserved = on_hand + 1",
            "inventory_reserved_within_on_hand",
        ),
        // The opposite case: units that are held are sold to another customer.
        (
            &stock,
            "on_hand = reserved - 1",
            "inventory_reserved_within_on_hand",
        ),
        (&stock, "waiting = -1", "count_not_negative_range"),
        (
            &customer,
            "credit_limit = -0.01",
            "amount_not_negative_range",
        ),
        (&customer, "on_account = -0.01", "amount_not_negative_range"),
        (
            &order,
            "amount_settled = total_amount + 0.01",
            "orders_settled_within_total",
        ),
        (
            &order,
            "total_amount = amount_settled - 0.01",
            "orders_settled_within_total",
        ),
        (
            &order,
            "amount_credited = -0.01",
            "amount_not_negative_range",
        ),
        (
            &order,
            "amount_credited = amount_settled + 0.01",
            "orders_lost_within_paid",
        ),
        (
            &order,
            "amount_refunded = -0.01",
            "amount_not_negative_range",
        ),
        (
            &order,
            "amount_refunded = amount_settled + 0.01",
            "orders_refunded_within_paid",
        ),
    ] {
        let (table, which) = row.split_once(' ').unwrap();
        let sql = format!("UPDATE {table} SET {change} {which}");
        let error = postgres.execute_unprepared(&sql).await.unwrap_err();
        let expected = (CHECK.to_owned(), constraint.to_owned());
        assert_eq!(refusal(&error), expected, "{sql}: {error}");
        // The same statement without a change of the value succeeds, so the value was the cause.
        let same = change.split_once(" = ").unwrap().0;
        let sql = format!("UPDATE {table} SET {same} = {same} {which}");
        let done = postgres.execute_unprepared(&sql).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{sql}");
    }
    postgres.close().await.unwrap();
    assert_eq!(service.database.digest().await, before);
}
