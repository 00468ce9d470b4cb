//! This test compares a random history of purchases and changes with the model of a shop, over HTTP and with two
//! services on one database.

use std::fmt::Write;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tests::{Client, Reply, Service, books_balance};

use super::shop::model::{Change, CommandOutcome, Line, Model, Refusal, Request};
use super::shop::random_steps::{Command, Kind, StepWeights};
use super::shop::seeds;
use super::shop::service::{Opening, decimal};
use super::shop::steps::Step;

const OPENING: Opening = Opening {
    credits: &[30_000; 5],
    products: &[
        (1, 20, None),
        (334, 20, None),
        (667, 20, None),
        (1000, 20, None),
    ],
};

#[tokio::test(flavor = "multi_thread")]
async fn a_random_history_agrees_with_a_plain_model_step_by_step() {
    let weights = StepWeights {
        steps: vec![
            (70, Kind::Request),
            (10, Kind::Adjust),
            (4, Kind::Count),
            (6, Kind::Price),
            (6, Kind::Credit),
            (4, Kind::OnHold),
        ],
        commands: &[(1, Command::Buy)],
        at_once: &[1],
        lines: &[1, 2, 3, 4],
        quantity: 1..8,
        adjust: -10..30,
        count: 0..40,
    };
    for seed in seeds(20_260_421, 1) {
        let (one, two) = Service::two().await;
        let clients = [one.admin(), two.admin()];
        let mut model = Model::open(&clients[0], &OPENING).await;
        let mut dice = StdRng::seed_from_u64(seed);
        let mut history = format!("TRADELINE_TEST_SEED={seed}\n");
        for number in 0..400 {
            let step = weights.step(&model, &mut dice);
            writeln!(history, "{number}: {step:?}").unwrap();
            let client = &clients[dice.random_range(0..2)];
            let reply = perform(&model, &step, client).await;
            let (status, members) = apply(&mut model, &step);
            let at = format!("{}\n{history}", reply.text);
            assert_eq!(reply.status, status, "{members} expected. {at}");
            let body = reply.json();
            for (member, value) in members.as_object().unwrap() {
                assert_eq!(body[member], *value, "{member}. {at}");
            }
            if number % 20 == 19 {
                check(&model, client, &history).await;
            }
        }
        check(&model, &clients[0], &history).await;
        books_balance(&one).await;
    }
}

/// Applies a step to the model. Returns the expected status, and members that the body must have.
fn apply(model: &mut Model, step: &Step) -> (u16, Value) {
    let done = match step {
        Step::Requests(requests) => {
            let (Request::Buy(who, _), outcome) = (&requests[0], model.execute(&requests[0]))
            else {
                panic!("{requests:?} are not purchases");
            };
            outcome
                .map(|outcome| (201, receipt(&outcome)))
                .map_err(|no| (*who, no))
        }
        Step::Adjust(product, by) => {
            let done = model.adjust(*product, *by).map_err(|no| (0, no));
            done.map(|()| (200, json!({"on_hand": model.products[*product].on_hand})))
        }
        Step::Count(product, counted) => {
            let done = model.count(*product, *counted).map_err(|no| (0, no));
            done.map(|()| (200, json!({"on_hand": counted})))
        }
        Step::Change(change) => {
            model.change(*change);
            Ok((200, changed(model, *change)))
        }
        other => panic!("{other:?} is for the desk"),
    };
    done.unwrap_or_else(|(who, no)| refused(model, who, &no))
}

fn receipt(outcome: &CommandOutcome) -> Value {
    let CommandOutcome::Sold {
        total,
        balance,
        available,
    } = outcome
    else {
        panic!("{outcome:?} is not a purchase");
    };
    json!({"total_amount": decimal(*total), "customer_balance": decimal(*balance),
           "available_credit": decimal(*available)})
}

fn changed(model: &Model, change: Change) -> Value {
    match change {
        Change::Price(_, price) => json!({"price": decimal(price)}),
        Change::Credit(who, limit) => {
            let available = decimal(limit - model.owed(who));
            json!({"credit_limit": decimal(limit), "available_credit": available})
        }
        Change::OnHold(_, on_hold) => json!({"on_hold": on_hold}),
    }
}

fn refused(model: &Model, who: usize, no: &Refusal) -> (u16, Value) {
    let id = |product: &usize| model.products[*product].id;
    match no {
        Refusal::NoCustomer => {
            let customer = model.customer_id(who);
            (
                404,
                json!({"code": "customer_not_found", "customer_id": customer}),
            )
        }
        Refusal::OnHold => (409, json!({"code": "customer_on_hold"})),
        Refusal::PriceChanged {
            product,
            quoted,
            current,
        } => {
            let (quoted, current) = (decimal(*quoted), decimal(*current));
            let members = json!({"code": "price_changed", "product_id": id(product), "quoted": quoted,
                                 "current": current});
            (409, members)
        }
        Refusal::Short(short) => {
            let short = short.iter().map(|(product, requested, available)| {
                json!({"product_id": id(product), "requested": requested, "available": available})
            });
            let short: Vec<Value> = short.collect();
            (
                409,
                json!({"code": "insufficient_stock", "shortages": short}),
            )
        }
        Refusal::Credit {
            amount,
            balance,
            limit,
        } => {
            let available = decimal(limit - balance);
            let members = json!({"code": "credit_limit_exceeded", "amount": decimal(*amount),
                                 "balance": decimal(*balance), "available_credit": available});
            (409, members)
        }
        other => panic!("{other:?} without reservations and cards"),
    }
}

async fn perform(model: &Model, step: &Step, client: &Client) -> Reply {
    let inventory = |product: &usize| format!("/api/inventory/{}", model.products[*product].id);
    let customer = |who: &usize| format!("/api/customers/{}", model.customer_id(*who));
    let (path, body) = match step {
        Step::Requests(requests) => {
            let Request::Buy(who, lines) = &requests[0] else {
                panic!("{requests:?} are not purchases");
            };
            let items: Vec<Value> = lines.iter().map(|line| item(model, line)).collect();
            let body = json!({"customer_id": model.customer_id(*who), "items": items});
            return client.post("/api/purchase", &body).await;
        }
        Step::Adjust(product, by) => (
            inventory(product),
            json!({"adjust": by, "reason": "correction"}),
        ),
        Step::Count(product, counted) => (
            inventory(product),
            json!({"set": counted, "reason": "stocktake"}),
        ),
        Step::Change(Change::Price(product, price)) => {
            let path = format!("/api/products/{}", model.products[*product].id);
            (path, json!({"price": decimal(*price)}))
        }
        Step::Change(Change::Credit(who, limit)) => {
            (customer(who), json!({"credit_limit": decimal(*limit)}))
        }
        Step::Change(Change::OnHold(who, on_hold)) => (customer(who), json!({"on_hold": on_hold})),
        other => panic!("{other:?} is for the desk"),
    };
    client.patch(&path, &body).await
}

fn item(model: &Model, (product, quantity, quoted): &Line) -> Value {
    let id = model.products[*product].id;
    json!({"product_id": id, "quantity": quantity, "unit_price": quoted.map(decimal)})
}

/// Asserts that the service's figures equal the model's.
async fn check(model: &Model, client: &Client, history: &str) {
    for (number, customer) in model.customers.iter().enumerate() {
        let path = format!("/api/customers/{}", customer.id);
        let found = client.get(&path).await.ok(200);
        let found = (&found["balance"], &found["credit_limit"]);
        let expected = (
            &json!(decimal(model.owed(number))),
            &json!(decimal(customer.credit)),
        );
        assert_eq!(found, expected, "{history}");
    }
    for product in &model.products {
        let path = format!("/api/inventory/{}", product.id);
        let found = client.get(&path).await.ok(200);
        assert_eq!(found["on_hand"], product.on_hand, "{history}");
    }
}
