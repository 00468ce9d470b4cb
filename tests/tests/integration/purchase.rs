//! A purchase takes stock and credit in one step, or nothing.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD};
use serde_json::json;
use tests::Service;

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_takes_stock_and_credit_and_leaves_a_trail() {
    let service = Service::start().await;
    let staff = service.staff();
    let receipt = staff.buy(&[(ACME_HEADPHONES, 5), (ACME_KEYBOARD, 2)]).await;
    let body = receipt.ok(201);
    assert_eq!(body["total_amount"], "600.00");
    assert_eq!(body["amount_paid"], "0.00");
    assert_eq!(body["amount_due"], "600.00");
    assert_eq!(body["customer_balance"], "600.00");
    assert_eq!(body["available_credit"], "400.00");
    assert_eq!(body["status"], "approved");
    assert_eq!(body["items"][1]["line_total"], "100.00");

    let order = staff.get(receipt.header("location")).await.ok(200);
    for member in [
        "order_id",
        "total_amount",
        "amount_due",
        "due_at",
        "created_at",
        "items",
    ] {
        assert_eq!(order[member], body[member], "{member}");
    }
    let stock = staff
        .get(&format!("/api/inventory/{ACME_HEADPHONES}"))
        .await
        .ok(200);
    assert_eq!(stock["on_hand"], 995);
    let customer = staff
        .get(&format!("/api/customers/{ACME_CUSTOMER}"))
        .await
        .ok(200);
    assert_eq!(customer["balance"], "600.00");

    let id = body["order_id"].as_str().unwrap();
    let entries =
        format!("SELECT kind, amount, balance_after FROM ledger_entries WHERE order_id = '{id}'");
    assert_eq!(
        service.database.column(&entries).await,
        ["charge,600.0000,600.0000"]
    );
    let events = format!("SELECT action, actor_role FROM audit_events WHERE entity_id = '{id}'");
    assert_eq!(
        service.database.column(&events).await,
        ["order.approved,staff"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_purchase_changes_nothing() {
    let service = Service::start().await;
    let staff = service.staff();
    let before = footprint(&service).await;
    let refused = staff.buy(&[(ACME_HEADPHONES, 11)]).await;
    let body = refused.refused(409, "credit_limit_exceeded");
    assert_eq!(body["amount"], "1100.00");
    assert_eq!(body["available_credit"], "1000.00");
    let refused = staff
        .buy(&[(ACME_KEYBOARD, 600), (ACME_KEYBOARD, 600)])
        .await;
    let body = refused.refused(409, "insufficient_stock");
    assert_eq!(
        body["shortages"],
        json!([{"product_id": ACME_KEYBOARD, "requested": 1200, "available": 1000}])
    );
    assert_eq!(footprint(&service).await, before);
}

/// Everything that a purchase can change, in one line.
async fn footprint(service: &Service) -> String {
    let sql = "SELECT (SELECT sum(balance) FROM customers), (SELECT sum(on_hand) FROM inventory),
                      (SELECT count(*) FROM orders), (SELECT count(*) FROM order_items),
                      (SELECT count(*) FROM ledger_entries), (SELECT count(*) FROM stock_movements),
                      (SELECT count(*) FROM audit_events), (SELECT count(*) FROM idempotency_keys)";
    service.database.value(sql).await
}
