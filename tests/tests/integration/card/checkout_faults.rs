//! These tests kill the service between any two steps of an order by card and start it again. Nothing happens twice,
//! nothing is lost, and the order continues from its last step.

use std::process::Command;
use std::time::Duration;

use domain::demo::ACME_CUSTOMER;
use entity::ProductId;
use serde_json::{Value, json};
use tests::program::{Folder, Program, command};
use tests::stripe::{Fault, SECRET_KEY, Stripe, WEBHOOK_SECRET, official};
use tests::{Client, Database, SECRET, SERVICE, Service, differences, purchase, until, verified};

/// A deployment whose service can be killed while its database and its Stripe keep running.
struct Deployment {
    database: Database,
    stripe: Stripe,
    folder: Folder,
    product: ProductId,
    admin: Client,
}

impl Deployment {
    async fn new() -> Self {
        let service = Service::start().await;
        let product = service.admin().add_product("CARD-1", "20.00", 10).await;
        let (database, admin) = (service.database.clone(), service.admin());
        service.stop().await;
        Self {
            database,
            stripe: Stripe::start().await,
            folder: Folder::open(),
            product,
            admin,
        }
    }

    /// Starts a process of the service. At the failpoint `stops_at` it does nothing more, like a process that has died.
    async fn start(&self, stops_at: Option<&str>) -> Program {
        let stop = stops_at.map_or(String::new(), |place| format!("{place}=pause"));
        let program = Program::spawn(self.command().env("FAILPOINTS", stop)).await;
        self.stripe
            .tell(&format!("{}/api/webhooks/stripe", program.base))
            .await;
        program
    }

    fn command(&self) -> Command {
        let mut command = command(&self.folder.data, &[]);
        command
            .env("DATABASE_URL", self.database.url(SERVICE))
            .env("TRADELINE_JWT_SECRET", SECRET)
            .env("STRIPE_SECRET_KEY", SECRET_KEY)
            .env("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("STRIPE_API_BASE", &self.stripe.base)
            .env("RUST_LOG", "warn");
        command
    }

    /// The admin's client for this process.
    fn admin(&self, program: &Program) -> Client {
        self.admin.at_base(&program.base)
    }

    /// Sends an order by card and does not wait for the response, which may never arrive.
    fn order(&self, program: &Program) {
        let (admin, body) = (
            self.admin(program),
            purchase(ACME_CUSTOMER, &[(self.product, 3)]),
        );
        tokio::spawn(async move {
            let request = admin.request(reqwest::Method::POST, "/api/orders/checkout");
            let request = request.header("Idempotency-Key", "one");
            let _ = admin.try_send(request.body(body.to_string())).await;
        });
    }

    /// Retries the same order, as a client does that has received no response.
    async fn order_again(&self, program: &Program) -> Value {
        let body = purchase(ACME_CUSTOMER, &[(self.product, 3)]);
        let answer = self
            .admin(program)
            .post_once("one", "/api/orders/checkout", &body)
            .await;
        answer.ok(201)
    }

    /// Places an order that can be paid and returns its id.
    async fn ordered(&self, program: &Program) -> String {
        let order = tests::id_of(&self.order_again(program).await);
        assert_eq!(
            self.admin(program).order(&order).await["status"],
            "payment_pending"
        );
        order
    }

    async fn value(&self, sql: &str) -> String {
        self.database.value(sql).await
    }

    /// Waits until this query returns true.
    async fn comes(&self, what: &str, sql: &str) {
        until(what, async || self.value(sql).await == "t").await;
    }

    /// Makes all pending retries due now, so that a new process does not wait for them.
    async fn make_due(&self) {
        let sql = "WITH intents AS (UPDATE payment_intents SET next_try_at = now() WHERE status IN ('requested', 'cancelling')
                                       OR (status = 'pending' AND expires_at <= now()))
                   UPDATE refunds SET next_try_at = now() WHERE next_try_at IS NOT NULL";
        self.database.execute(sql).await;
    }

    /// The id of the only intent at Stripe; panics if there are several.
    async fn intent(&self) -> String {
        assert_eq!(self.stripe.count("payment_intents").await, 1);
        let all = self.stripe.get("payment_intents").await;
        all["data"][0]["id"].as_str().unwrap().to_owned()
    }

    async fn books_balance(&self) {
        assert_eq!(differences(&self.database).await, [] as [String; 0]);
        assert_eq!(verified(&self.database).await, []);
    }
}

async fn kill(mut program: Program) {
    program.child.kill().unwrap();
    program.child.wait().unwrap();
}

/// Gives a process 300 ms to reach its failpoint after its last externally visible effect.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_order_and_intent_or_between_intent_and_answer_the_order_gets_its_one_intent()
 {
    for place in ["intent-to-make", "intent-made", "intent-recorded"] {
        let deployment = Deployment::new().await;
        let program = deployment.start(Some(place)).await;
        deployment.order(&program);
        deployment
            .comes(
                "the order is placed",
                "SELECT EXISTS (SELECT FROM payment_intents)",
            )
            .await;
        if place != "intent-to-make" {
            until("the intent is made", async || {
                deployment.stripe.count("payment_intents").await == 1
            })
            .await;
        }
        a_moment().await;
        let status = if place == "intent-recorded" {
            "payment_pending"
        } else {
            "created"
        };
        let by_card = "SELECT status FROM orders WHERE payment_method = 'card'";
        assert_eq!(deployment.value(by_card).await, status, "{place}");
        kill(program).await;
        deployment.make_due().await;

        let program = deployment.start(None).await;
        let pending = "SELECT EXISTS (SELECT FROM orders WHERE status = 'payment_pending')";
        deployment.comes("the order can be paid", pending).await;
        // A client without a response retries and gets the same order, not a second one.
        let order = deployment.ordered(&program).await;
        deployment.books_balance().await;
        deployment.stripe.pay(&deployment.intent().await).await;
        deployment
            .comes(
                "the order is paid",
                "SELECT EXISTS (SELECT FROM orders WHERE status = 'paid')",
            )
            .await;
        let found = deployment.admin(&program).order(&order).await;
        assert_eq!(found["amount_paid"], "60.00", "{place}");
        deployment.books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_event_before_its_intent_is_recorded_makes_the_order_paid() {
    let deployment = Deployment::new().await;
    let program = deployment.start(Some("intent-made")).await;
    deployment.order(&program);
    until("the intent is made", async || {
        deployment.stripe.count("payment_intents").await == 1
    })
    .await;
    deployment.stripe.pay(&deployment.intent().await).await;
    let paid = "SELECT EXISTS (SELECT FROM orders WHERE status = 'paid')";
    deployment.comes("the order is paid", paid).await;
    let steps = "SELECT to_status FROM order_transitions ORDER BY number";
    assert_eq!(
        deployment.database.column(steps).await,
        ["payment_pending", "paid"]
    );
    kill(program).await;

    // A client without a response retries and gets its order, whose state does not change.
    let program = deployment.start(None).await;
    let answer = deployment.order_again(&program).await;
    assert!(answer["client_secret"].is_string(), "{answer}");
    let found = deployment
        .admin(&program)
        .order(&tests::id_of(&answer))
        .await;
    assert_eq!(
        (&found["status"], &found["amount_paid"]),
        (&json!("paid"), &json!("60.00"))
    );
    assert_eq!(deployment.stripe.count("payment_intents").await, 1);
    deployment.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_takes_a_webhook_the_order_is_paid_once() {
    for place in ["event-to-commit", "event-taken"] {
        let deployment = Deployment::new().await;
        let program = deployment.start(Some(place)).await;
        let order = deployment.ordered(&program).await;
        let intent = deployment.intent().await;
        deployment.stripe.pay(&intent).await;
        let taken = "SELECT count(*) > 0 FROM provider_events";
        if place == "event-taken" {
            deployment.comes("the event is taken", taken).await;
        } else {
            // The event is in a transaction that has stopped before its commit.
            let stuck = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                                           AND state = 'idle in transaction' AND query LIKE '%audit_events%')";
            deployment.comes("the event is being taken", stuck).await;
            assert_eq!(deployment.value(taken).await, "f");
        }
        kill(program).await;

        // Stripe has received no response and sends the event again.
        let program = deployment.start(None).await;
        let event = json!({
            "id": deployment.event_id().await, "object": "event", "type": "payment_intent.succeeded",
            "data": {"object": deployment.stripe.get(&format!("payment_intents/{intent}")).await},
        });
        assert_eq!(deployment.deliver(&program, &event).await, 200);
        assert_eq!(deployment.deliver(&program, &event).await, 200);
        let found = deployment.admin(&program).order(&order).await;
        assert_eq!(
            (&found["status"], &found["amount_paid"]),
            (&json!("paid"), &json!("60.00")),
            "{place}"
        );
        let sold = "SELECT sum(quantity) FROM stock_movements WHERE reason = 'sold'";
        assert_eq!(deployment.value(sold).await, "-3");
        deployment.books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_cancels_an_unpaid_order_the_order_is_cancelled_and_its_stock_free() {
    for place in ["intent-to-cancel", "intent-cancelled"] {
        let deployment = Deployment::new().await;
        let program = deployment.start(Some(place)).await;
        let order = deployment.ordered(&program).await;
        let intent = format!("payment_intents/{}", deployment.intent().await);
        deployment.database.let_time_pass(&order).await;
        // The stock is released before the provider has responded.
        let free = "SELECT bool_and(reserved = 0) FROM inventory";
        deployment.comes("the stock is free", free).await;
        if place == "intent-cancelled" {
            until("the intent is cancelled", async || {
                deployment.stripe.get(&intent).await["status"] == "canceled"
            })
            .await;
        }
        a_moment().await;
        assert_eq!(
            deployment.admin(&program).order(&order).await["status"],
            "payment_pending",
            "{place}"
        );
        kill(program).await;
        deployment.make_due().await;

        let program = deployment.start(None).await;
        deployment
            .comes(
                "the order is cancelled",
                "SELECT EXISTS (SELECT FROM orders WHERE status = 'cancelled')",
            )
            .await;
        assert_eq!(deployment.stripe.get(&intent).await["status"], "canceled");
        assert_eq!(
            deployment.admin(&program).order(&order).await["cancel_reason"],
            "payment_expired"
        );
        deployment.books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_refunds_the_money_goes_back_once() {
    for place in ["refund-to-make", "refund-made"] {
        let deployment = Deployment::new().await;
        let program = deployment.start(Some(place)).await;
        let order = deployment.ordered(&program).await;
        deployment.stripe.pay(&deployment.intent().await).await;
        deployment
            .comes(
                "the order is paid",
                "SELECT EXISTS (SELECT FROM orders WHERE status = 'paid')",
            )
            .await;
        let body = json!({"amount": "25.00", "reason": "a scratch"});
        let admin = deployment.admin(&program);
        let refunded = admin.do_to(&order, "refund", &body).await.ok(200);
        assert_eq!(refunded["amount_refunded"], "25.00");
        if place == "refund-made" {
            until("the refund is made", async || {
                deployment.stripe.count("refunds").await == 1
            })
            .await;
        }
        a_moment().await;
        let status = "SELECT status FROM refunds";
        assert_eq!(deployment.value(status).await, "requested", "{place}");
        kill(program).await;
        deployment.make_due().await;

        let _program = deployment.start(None).await;
        deployment
            .comes(
                "the refund is made",
                "SELECT status = 'succeeded' FROM refunds",
            )
            .await;
        let refunds = deployment.stripe.get("refunds").await;
        let amounts: Vec<_> = refunds["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["amount"].clone())
            .collect();
        assert_eq!(amounts, [2500], "{place}");
        deployment.books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_from_the_provider_the_order_waits_and_is_finished_later() {
    let deployment = Deployment::new().await;
    let program = deployment.start(None).await;
    for fault in [
        Fault::LoseAnswer,
        Fault::LoseRequest,
        Fault::Status(500),
        Fault::Garble,
    ] {
        deployment.stripe.fault(&[fault]);
        let body = purchase(ACME_CUSTOMER, &[(deployment.product, 1)]);
        let admin = deployment.admin(&program);
        let failed = admin.post("/api/orders/checkout", &body).await;
        let failed = failed.refused(502, "payment_provider_error");
        assert_eq!(failed["order_status"], "created");
        let order = failed["order_id"].as_str().unwrap();
        deployment.make_due().await;
        until("the order can be paid", async || {
            admin.order(order).await["status"] == "payment_pending"
        })
        .await;
        deployment.books_balance().await;
    }
    assert_eq!(deployment.stripe.count("payment_intents").await, 4);
    let reserved = format!(
        "SELECT reserved FROM inventory WHERE product_id = '{}'",
        deployment.product
    );
    assert_eq!(deployment.value(&reserved).await, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_by_the_provider_an_order_is_over_and_its_stock_free_and_the_answer_says_so() {
    let deployment = Deployment::new().await;
    let program = deployment.start(None).await;
    deployment.stripe.fault(&[Fault::Status(400)]);
    let body = purchase(ACME_CUSTOMER, &[(deployment.product, 1)]);
    let admin = deployment.admin(&program);
    let refused = admin.post("/api/orders/checkout", &body).await;
    let refused = refused.refused(422, "payment_refused");
    assert_eq!(refused["provider_code"], "api_error");
    assert!(!refused.to_string().contains("as requested"), "{refused}");
    assert_eq!(refused["order_status"], "cancelled");
    let order = admin.order(refused["order_id"].as_str().unwrap()).await;
    assert_eq!(order["status"], "cancelled");
    assert_eq!(order["cancel_reason"], "payment_refused");
    let reserved = format!(
        "SELECT reserved FROM inventory WHERE product_id = '{}'",
        deployment.product
    );
    assert_eq!(deployment.value(&reserved).await, "0");
    deployment.books_balance().await;
}

impl Deployment {
    /// The id of the event that was processed before, or a new id if there was none.
    async fn event_id(&self) -> String {
        let taken = "SELECT coalesce(max(event_id), 'evt_again') FROM provider_events";
        self.value(taken).await
    }

    /// Sends the event, signed as Stripe signs. Returns the status of the response.
    async fn deliver(&self, program: &Program, event: &Value) -> u16 {
        let body = event.to_string();
        let sign = "import sys, time, stripe
t = int(time.time())
v1 = stripe.WebhookSignature._compute_signature(f'{t}.{sys.argv[1]}', sys.argv[2])
print(f't={t},v1={v1}')";
        let signature = official(sign, &[&body, WEBHOOK_SECRET]).await;
        let nobody = self.admin(program);
        let request = nobody.request(reqwest::Method::POST, "/api/webhooks/stripe");
        let request = request.header("Stripe-Signature", signature);
        nobody.send(request.body(body)).await.status
    }
}
