//! A random history of trade agrees, step by step, with a plain model of it.

use std::fmt::Write;

use entity::{CustomerId, ProductId};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tests::{Client, Reply, Service, books_balance};

#[tokio::test(flavor = "multi_thread")]
async fn a_random_history_agrees_with_a_plain_model_step_by_step() {
    let seed =
        std::env::var("TRADELINE_TEST_SEED").map_or(20_260_421, |seed| seed.parse().unwrap());
    let (one, two) = Service::two().await;
    let mut model = Model::start(&one.admin()).await;
    let clients = [one.admin(), two.admin()];
    let mut dice = StdRng::seed_from_u64(seed);
    let mut history = String::new();
    for step in 0..400 {
        let action = model.random_action(&mut dice);
        writeln!(history, "{step}: {action:?}").unwrap();
        let expected = model.apply(&action);
        let client = &clients[dice.random_range(0..2)];
        let reply = action.perform(client).await;
        let at = || format!("TRADELINE_TEST_SEED={seed}, {}\n{history}", reply.text);
        expected.check(&reply, &at);
        if step % 20 == 19 {
            model.check(client, &at).await;
        }
    }
    model
        .check(&clients[0], &|| {
            format!("TRADELINE_TEST_SEED={seed}\n{history}")
        })
        .await;
    books_balance(&one).await;
}

/// What the service should do, in the plainest form: amounts are whole cents.
struct Model {
    customers: Vec<(CustomerId, Account)>,
    products: Vec<(ProductId, LockedStock)>,
}

#[derive(Clone)]
struct Account {
    limit: i64,
    balance: i64,
    on_hold: bool,
}

#[derive(Clone)]
struct LockedStock {
    price: i64,
    on_hand: i64,
}

#[derive(Debug)]
enum Action {
    /// Customer; product, quantity and the quoted price of each line.
    Buy(CustomerId, Vec<(ProductId, i64, Option<i64>)>),
    Adjust(ProductId, i64),
    Count(ProductId, i64),
    SetPrice(ProductId, i64),
    SetLimit(CustomerId, i64),
    SetHold(CustomerId, bool),
}

/// A status, and members that the body must have.
struct Expected(u16, Value);

impl Model {
    async fn start(admin: &Client) -> Self {
        let mut model = Self {
            customers: Vec::new(),
            products: Vec::new(),
        };
        for number in 0..5 {
            let id = admin
                .add_customer(&format!("Model {number}"), "300.00")
                .await;
            let account = Account {
                limit: 30_000,
                balance: 0,
                on_hold: false,
            };
            model.customers.push((id, account));
        }
        for number in 0..4 {
            let price = 1 + number * 333;
            let id = admin
                .add_product(&format!("M{number}"), &cents(price), 20)
                .await;
            model
                .products
                .push((id, LockedStock { price, on_hand: 20 }));
        }
        model
    }

    fn random_action(&self, dice: &mut StdRng) -> Action {
        let customer = self.customers.choose(dice).unwrap().0;
        let (product, shelf) = self.products.choose(dice).unwrap();
        let product = *product;
        match dice.random_range(0..100) {
            0..70 => {
                let lines = (0..dice.random_range(1..5)).map(|_| {
                    let (product, shelf) = self.products.choose(dice).unwrap();
                    let quoted = match dice.random_range(0..20) {
                        0 => Some(shelf.price + 1),
                        1..10 => Some(shelf.price),
                        _ => None,
                    };
                    (*product, dice.random_range(1..8), quoted)
                });
                let lines = lines.collect();
                // Now and then somebody who does not exist.
                let customer = if dice.random_range(0..30) == 0 {
                    CustomerId::new()
                } else {
                    customer
                };
                Action::Buy(customer, lines)
            }
            70..80 => match dice.random_range(-10..30) {
                0 => Action::Adjust(product, 1),
                by => Action::Adjust(product, by),
            },
            80..84 => Action::Count(product, dice.random_range(0..40)),
            84..90 => {
                Action::SetPrice(product, (shelf.price + dice.random_range(-150..200)).max(0))
            }
            90..96 => Action::SetLimit(customer, dice.random_range(0..100_000)),
            _ => Action::SetHold(customer, dice.random_range(0..3) == 0),
        }
    }

    fn apply(&mut self, action: &Action) -> Expected {
        match action {
            Action::Buy(customer, lines) => self.buy(*customer, lines),
            Action::Adjust(product, by) => {
                let shelf = self.shelf(*product);
                if shelf.on_hand + by < 0 {
                    return Expected(
                        409,
                        json!({"code": "insufficient_stock", "shortages": [
                        {"product_id": product, "requested": -by, "available": shelf.on_hand}]}),
                    );
                }
                shelf.on_hand += by;
                Expected(200, json!({"on_hand": shelf.on_hand}))
            }
            Action::Count(product, counted) => {
                self.shelf(*product).on_hand = *counted;
                Expected(200, json!({"on_hand": counted}))
            }
            Action::SetPrice(product, price) => {
                self.shelf(*product).price = *price;
                Expected(200, json!({"price": cents(*price)}))
            }
            Action::SetLimit(customer, limit) => {
                let account = self.account(*customer).unwrap();
                account.limit = *limit;
                let available = cents(limit - account.balance);
                Expected(
                    200,
                    json!({"credit_limit": cents(*limit), "available_credit": available}),
                )
            }
            Action::SetHold(customer, on_hold) => {
                self.account(*customer).unwrap().on_hold = *on_hold;
                Expected(200, json!({"on_hold": on_hold}))
            }
        }
    }

    fn buy(&mut self, customer: CustomerId, lines: &[(ProductId, i64, Option<i64>)]) -> Expected {
        let Some(account) = self.account(customer).cloned() else {
            return Expected(
                404,
                json!({"code": "customer_not_found", "customer_id": customer}),
            );
        };
        if account.on_hold {
            return Expected(409, json!({"code": "customer_on_hold"}));
        }
        let mut wanted: Vec<(ProductId, i64)> = Vec::new();
        for (product, quantity, quoted) in lines {
            let current = self.shelf(*product).price;
            if let Some(quoted) = quoted
                && *quoted != current
            {
                return Expected(
                    409,
                    json!({"code": "price_changed", "product_id": product,
                                            "quoted": cents(*quoted), "current": cents(current)}),
                );
            }
            match wanted.iter_mut().find(|(id, _)| id == product) {
                Some((_, sum)) => *sum += quantity,
                None => wanted.push((*product, *quantity)),
            }
        }
        let mut shortages = Vec::new();
        let mut total = 0;
        for (product, quantity) in &wanted {
            let shelf = self.shelf(*product);
            total += quantity * shelf.price;
            if *quantity > shelf.on_hand {
                shortages.push(json!({"product_id": product, "requested": quantity, "available": shelf.on_hand}));
            }
        }
        if !shortages.is_empty() {
            return Expected(
                409,
                json!({"code": "insufficient_stock", "shortages": shortages}),
            );
        }
        let available = account.limit - account.balance;
        if total > available {
            return Expected(
                409,
                json!({"code": "credit_limit_exceeded", "amount": cents(total),
                                        "balance": cents(account.balance), "available_credit": cents(available)}),
            );
        }
        for (product, quantity) in &wanted {
            self.shelf(*product).on_hand -= quantity;
        }
        let account = self.account(customer).unwrap();
        account.balance += total;
        Expected(
            201,
            json!({"total_amount": cents(total), "customer_balance": cents(account.balance),
                             "available_credit": cents(available - total)}),
        )
    }

    fn account(&mut self, id: CustomerId) -> Option<&mut Account> {
        let found = self.customers.iter_mut().find(|(other, _)| *other == id)?;
        Some(&mut found.1)
    }

    fn shelf(&mut self, id: ProductId) -> &mut LockedStock {
        let found = self.products.iter_mut().find(|(other, _)| *other == id);
        &mut found.unwrap().1
    }

    /// The service's figures are the model's.
    async fn check(&self, client: &Client, at: &impl Fn() -> String) {
        for (id, account) in &self.customers {
            let found = client.get(&format!("/api/customers/{id}")).await.ok(200);
            assert_eq!(found["balance"], cents(account.balance), "{}", at());
            assert_eq!(found["credit_limit"], cents(account.limit), "{}", at());
        }
        for (id, shelf) in &self.products {
            let found = client.get(&format!("/api/inventory/{id}")).await.ok(200);
            assert_eq!(found["on_hand"], shelf.on_hand, "{}", at());
        }
    }
}

impl Action {
    async fn perform(&self, client: &Client) -> Reply {
        let inventory = |product: &ProductId| format!("/api/inventory/{product}");
        let customer = |id: &CustomerId| format!("/api/customers/{id}");
        match self {
            Self::Buy(customer, lines) => {
                let items = lines.iter().map(|(product, quantity, quoted)| {
                    json!({"product_id": product, "quantity": quantity, "unit_price": quoted.map(cents)})
                });
                let items: Vec<Value> = items.collect();
                let body = json!({"customer_id": customer, "items": items});
                client.post("/api/purchase", &body).await
            }
            Self::Adjust(product, by) => {
                let body = json!({"adjust": by, "reason": "correction"});
                client.patch(&inventory(product), &body).await
            }
            Self::Count(product, counted) => {
                let body = json!({"set": counted, "reason": "stocktake"});
                client.patch(&inventory(product), &body).await
            }
            Self::SetPrice(product, price) => {
                let body = json!({"price": cents(*price)});
                client
                    .patch(&format!("/api/products/{product}"), &body)
                    .await
            }
            Self::SetLimit(id, limit) => {
                let body = json!({"credit_limit": cents(*limit)});
                client.patch(&customer(id), &body).await
            }
            Self::SetHold(id, on_hold) => {
                let body = json!({"on_hold": on_hold});
                client.patch(&customer(id), &body).await
            }
        }
    }
}

impl Expected {
    fn check(&self, reply: &Reply, at: &impl Fn() -> String) {
        let Self(status, members) = self;
        assert_eq!(reply.status, *status, "{members} expected. {}", at());
        let body = reply.json();
        for (member, value) in members.as_object().unwrap() {
            assert_eq!(body[member], *value, "{member}. {}", at());
        }
    }
}

fn cents(cents: i64) -> String {
    format!("{:.2}", Decimal::new(cents, 2))
}
