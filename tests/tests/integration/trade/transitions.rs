//! What can become of an order, over HTTP: every status with everything that can be asked for, against the one table.

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_KEYBOARD};
use domain::orders::transitions::TABLE;
use entity::orders::{PaymentMethod, Status};
use entity::users::Role;
use sea_orm::Iterable;
use serde_json::{Value, json};
use tests::{Service, books_balance, id_of};

/// An order with this status, come to it as orders do; `None` where none does.
async fn order(service: &Service, of: PaymentMethod, status: Status) -> Option<String> {
    let admin = service.admin();
    let order = match of {
        PaymentMethod::Credit => id_of(&admin.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201)),
        PaymentMethod::Card => admin.order_by_card(&[(ACME_KEYBOARD, 1)]).await,
    };
    let empty = json!({});
    match (of, status) {
        (PaymentMethod::Credit, Status::Approved)
        | (PaymentMethod::Card, Status::PaymentPending) => {}
        (PaymentMethod::Card, Status::Created) => {
            // As the desk leaves it, before the provider has answered.
            let sql = format!(
                "WITH gone AS (DELETE FROM order_transitions WHERE order_id = '{order}'),
                      intent AS (UPDATE payment_intents
                                    SET status = 'requested', provider_id = NULL, client_secret = NULL,
                                        next_try_at = '2999-01-01'
                                  WHERE order_id = '{order}')
                 UPDATE orders SET status = 'created' WHERE id = '{order}'"
            );
            service.database.execute(&sql).await;
        }
        (PaymentMethod::Card, Status::Paid) => {
            service.pay(&order).await.ok(200);
        }
        (_, Status::Fulfilled) => {
            if of == PaymentMethod::Card {
                service.pay(&order).await.ok(200);
            }
            admin.do_to(&order, "fulfill", &empty).await.ok(200);
        }
        (_, Status::Cancelled) => {
            admin.do_to(&order, "cancel", &empty).await.ok(200);
        }
        (PaymentMethod::Credit, Status::Created | Status::PaymentPending | Status::Paid)
        | (PaymentMethod::Card, Status::Approved) => return None,
    }
    Some(order)
}

fn name(status: Status) -> Value {
    serde_json::to_value(status).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_where_the_table_says_for_whom_it_says_and_nowhere_else() {
    let service = Service::start().await;
    let limit = json!({"credit_limit": "100000.00"});
    let customer = format!("/api/customers/{ACME_CUSTOMER}");
    service.admin().patch(&customer, &limit).await.ok(200);
    let mut tried = 0;
    for of in PaymentMethod::iter() {
        for from in Status::iter() {
            for (to, what) in [
                (Status::Fulfilled, "fulfill"),
                (Status::Cancelled, "cancel"),
            ] {
                for role in [Role::Admin, Role::Staff, Role::Customer] {
                    let Some(order) = order(&service, of, from).await else {
                        continue;
                    };
                    let authority = match role {
                        Role::Admin => Authority::Admin,
                        Role::Staff => Authority::Staff,
                        Role::Customer => Authority::Customer(ACME_CUSTOMER),
                    };
                    let caller = service.caller(ACME, authority);
                    let reply = caller.do_to(&order, what, &json!({})).await;
                    let way = TABLE
                        .iter()
                        .find(|one| (one.of, one.from, one.to) == (of, from, to));
                    let case = format!("{of:?} {from:?} {what} by {role:?}");
                    match way {
                        // Customers have no such endpoint.
                        _ if role == Role::Customer && to == Status::Fulfilled => {
                            reply.refused(403, "forbidden");
                        }
                        None => {
                            let refused = reply.refused(409, "invalid_transition");
                            assert_eq!(
                                (&refused["from"], &refused["to"]),
                                (&name(from), &name(to)),
                                "{case}"
                            );
                        }
                        Some(way) if way.who.includes(role) => {
                            assert_eq!(reply.ok(200)["status"], name(to), "{case}");
                        }
                        Some(_) => {
                            reply.refused(403, "forbidden");
                        }
                    }
                    let refused = reply.status != 200;
                    let now = service.admin().order(&order).await["status"].clone();
                    assert_eq!(now, name(if refused { from } else { to }), "{case}");
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, (3 + 5) * 2 * 3);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_want_different_things_of_an_order_get_one_of_them() {
    let service = Service::start().await;
    for _ in 0..10 {
        let order = service
            .customer()
            .order_by_card(&[(ACME_KEYBOARD, 1)])
            .await;
        let (customer, empty) = (service.customer(), json!({}));
        let cancelled = customer.do_to(&order, "cancel", &empty);
        let (cancelled, paid) = tokio::join!(cancelled, service.pay(&order));
        assert_eq!(paid.status, 200, "{}", paid.text);
        let now = service.admin().order(&order).await;
        match cancelled.status {
            // Paid after it, or not any more.
            200 => assert_eq!(now["status"], "cancelled", "{now}"),
            403 => assert_eq!(
                (&now["status"], &now["amount_refunded"]),
                (&json!("paid"), &json!("0.00")),
                "{now}"
            ),
            other => panic!("{other}: {}", cancelled.text),
        }
    }
    books_balance(&service).await;
}
