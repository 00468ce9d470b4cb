//! These tests check the adapter for Stripe: its requests, its reading of responses, and that retries create nothing
//! twice.

use std::time::Duration;

use domain::card::provider::{
    Failure, Intent, IntentState, Provider, Received, RefundState, WantedIntent, WantedRefund,
};
use entity::{BusinessId, Currency, Money, OrderId, RefundId};
use tests::stripe::{Fault, SECRET_KEY, Stripe};

/// A request timeout that no request here reaches unless it is meant to be late.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

fn wanted(amount: &str, currency: &str) -> WantedIntent {
    let currency: Currency = currency.parse().unwrap();
    WantedIntent {
        business_id: BusinessId::new(),
        order_id: OrderId::new(),
        amount: Money::parse(amount, currency).unwrap(),
        currency,
    }
}

fn refund(intent: &Intent, amount: &str) -> WantedRefund {
    WantedRefund {
        refund_id: RefundId::new(),
        intent: intent.id.clone(),
        amount: Money::parse(amount, Currency::USD).unwrap(),
        currency: Currency::USD,
        asked_before: false,
    }
}

fn paid(minor: i64, wanted: &WantedIntent) -> IntentState {
    IntentState::Paid(Received {
        minor,
        currency: wanted.currency.to_string(),
        amount: Some(wanted.amount),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_is_asked_for_with_all_that_it_must_say_under_the_orders_key() {
    let stripe = Stripe::start().await;
    let wanted = wanted("10.99", "USD");
    let made = stripe
        .adapter(RESPONSE_TIMEOUT)
        .create(&wanted)
        .await
        .unwrap();
    assert!(made.id.starts_with("pi_"), "{made:?}");
    assert!(made.client_secret.starts_with(&made.id), "{made:?}");
    assert_eq!(made.state, IntentState::Open);

    let asked = stripe.asked().remove(0);
    assert_eq!(asked.what, "POST /v1/payment_intents");
    let header = |name: &str| asked.headers[name].clone();
    assert_eq!(header("authorization"), format!("Bearer {SECRET_KEY}"));
    assert_eq!(
        header("idempotency-key"),
        format!("order-{}", wanted.order_id)
    );
    assert_eq!(header("stripe-version"), "2024-06-20");
    let expected = [
        ("amount", "1099"),
        ("currency", "usd"),
        ("payment_method_types[]", "card"),
        ("metadata[business_id]", &wanted.business_id.to_string()),
        ("metadata[order_id]", &wanted.order_id.to_string()),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(asked.form, expected);
    let there = stripe.get(&format!("payment_intents/{}", made.id)).await;
    assert_eq!(there["amount"], 1099);
    assert_eq!(
        there["metadata"]["order_id"],
        wanted.order_id.to_string().as_str()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_again_with_the_same_stripe_makes_nothing_twice() {
    let stripe = Stripe::start().await;
    let adapter = stripe.adapter(RESPONSE_TIMEOUT);
    let wanted = wanted("10.99", "USD");
    let made = adapter.create(&wanted).await.unwrap();
    assert_eq!(adapter.create(&wanted).await.unwrap(), made);
    let another = WantedIntent {
        order_id: OrderId::new(),
        ..wanted
    };
    assert_ne!(adapter.create(&another).await.unwrap().id, made.id);
    assert_eq!(stripe.count("payment_intents").await, 2);

    stripe.pay(&made.id).await;
    let part = refund(&made, "4.00");
    let given = adapter.refund(&part).await.unwrap();
    assert_eq!(given.state, RefundState::Succeeded);
    assert_eq!(adapter.refund(&part).await.unwrap(), given);
    assert_eq!(adapter.refund_status(&given.id).await.unwrap(), given);
    assert_eq!(stripe.count("refunds").await, 1);
    let there = stripe.get(&format!("refunds/{}", given.id)).await;
    assert_eq!(there["amount"], 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_returns_the_state_of_the_intent() {
    let stripe = Stripe::start().await;
    let adapter = stripe.adapter(RESPONSE_TIMEOUT);
    let open = wanted("10.99", "USD");
    let made = adapter.create(&open).await.unwrap();
    let cancelled = Intent {
        state: IntentState::Cancelled,
        ..made.clone()
    };
    assert_eq!(adapter.cancel(&made.id).await.unwrap(), cancelled);
    // Stripe rejects the cancellation of a cancelled intent; the adapter reports its state.
    assert_eq!(adapter.cancel(&made.id).await.unwrap(), cancelled);

    for (amount, currency, minor) in [("10.99", "USD", 1099), ("500", "JPY", 500)] {
        let wanted = wanted(amount, currency);
        let made = adapter.create(&wanted).await.unwrap();
        stripe.pay(&made.id).await;
        let found = adapter.cancel(&made.id).await.unwrap();
        assert_eq!(found.state, paid(minor, &wanted));
        let there = stripe.get(&format!("payment_intents/{}", made.id)).await;
        assert_eq!(there["amount"], minor);
    }

    // An intent whose card was declined is still open.
    let declined = adapter.create(&wanted("3.00", "USD")).await.unwrap();
    stripe.decline(&declined.id).await;
    let there = stripe
        .get(&format!("payment_intents/{}", declined.id))
        .await;
    assert_eq!(there["status"], "requires_payment_method");
    let found = adapter.cancel(&declined.id).await.unwrap();
    assert_eq!(found.state, IntentState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_stripe_is_final_and_keeps_its_message() {
    let stripe = Stripe::start().await;
    let adapter = stripe.adapter(RESPONSE_TIMEOUT);
    let refused = |code: &str, words: &str| Failure::Refused {
        code: code.to_owned(),
        message: words.to_owned(),
    };
    for no_ones in ["pi_no_ones", "../refunds", "..", "pi_a/b?c#d", "é"] {
        let cancelled = adapter.cancel(no_ones).await;
        assert!(
            matches!(cancelled, Err(Failure::Refused { .. })),
            "{no_ones}: {cancelled:?}"
        );
    }
    assert_eq!(
        adapter.refund_status("re_no_ones").await,
        Err(refused("invalid_request_error", "Not Found"))
    );
    let made = adapter.create(&wanted("10.99", "USD")).await.unwrap();
    assert_eq!(
        adapter.refund(&refund(&made, "1.00")).await,
        Err(refused(
            "invalid_request_error",
            "Cannot refund a failed payment."
        ))
    );
    // The idempotency key was used with another amount.
    let order = wanted("5.00", "USD");
    adapter.create(&order).await.unwrap();
    let more = WantedIntent {
        amount: Money::parse("6.00", Currency::USD).unwrap(),
        ..order
    };
    assert_eq!(
        adapter.create(&more).await,
        Err(refused(
            "idempotency_error",
            "as requested by the test: idempotency_error"
        ))
    );
    // Amounts that Stripe cannot charge exactly are rejected without a request.
    let asked = stripe.asked().len();
    assert_eq!(
        adapter.create(&wanted("5.124", "KWD")).await,
        Err(refused(
            "invalid_charge_amount",
            "it cannot charge 5.124 KWD exactly"
        ))
    );
    assert_eq!(
        adapter.create(&wanted("1", "IQD")).await,
        Err(refused(
            "currency_not_supported",
            "it takes no payments in IQD"
        ))
    );
    assert_eq!(stripe.asked().len(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_failures_are_retried_and_find_the_existing_intent() {
    let stripe = Stripe::start().await;
    let adapter = stripe.adapter(RESPONSE_TIMEOUT);
    for (intents, fault) in [
        Fault::LoseAnswer,
        Fault::LoseRequest,
        Fault::Garble,
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(429),
        Fault::Status(409),
        Fault::Status(408),
        Fault::Status(302),
        // A wrong API key is not the order's fault, so its outcome stays open.
        Fault::Status(401),
        Fault::Status(403),
    ]
    .into_iter()
    .enumerate()
    {
        let wanted = wanted("10.99", "USD");
        stripe.fault(&[fault]);
        let failed = adapter.create(&wanted).await;
        let Err(Failure::NoAnswer(why)) = failed else {
            panic!("{fault:?}: {failed:?}");
        };
        assert!(
            !why.contains(SECRET_KEY) && !why.contains("127.0.0.1"),
            "{why}"
        );
        let made = adapter.create(&wanted).await.unwrap();
        assert_eq!(made.state, IntentState::Open, "{fault:?}");
        assert_eq!(
            stripe.count("payment_intents").await,
            intents + 1,
            "{fault:?}"
        );
    }
    for fault in [400, 402, 404, 422] {
        stripe.fault(&[Fault::Status(fault)]);
        let failed = adapter.create(&wanted("10.99", "USD")).await;
        assert_eq!(
            failed,
            Err(Failure::Refused {
                code: "api_error".to_owned(),
                message: "as requested by the test: api_error".to_owned(),
            }),
            "{fault}"
        );
    }
    assert!(!format!("{adapter:?}").contains(SECRET_KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_is_none_and_its_intent_is_found_again() {
    let stripe = Stripe::start().await;
    let hasty = stripe.adapter(Duration::from_millis(300));
    let patient = stripe.adapter(RESPONSE_TIMEOUT);
    let wanted = wanted("10.99", "USD");
    stripe.fault(&[Fault::Delay(Duration::from_secs(2))]);
    let late = hasty.create(&wanted).await;
    assert!(matches!(late, Err(Failure::NoAnswer(_))), "{late:?}");
    let made = patient.create(&wanted).await.unwrap();
    assert_eq!(stripe.count("payment_intents").await, 1);

    stripe.pay(&made.id).await;
    let back = refund(&made, "10.99");
    stripe.fault(&[Fault::Delay(Duration::from_secs(2))]);
    let late = hasty.refund(&back).await;
    assert!(matches!(late, Err(Failure::NoAnswer(_))), "{late:?}");
    let given = patient.refund(&back).await.unwrap();
    assert_eq!(given.state, RefundState::Succeeded);
    assert_eq!(stripe.count("refunds").await, 1);

    // The server is gone.
    drop(stripe);
    let gone = patient.cancel(&made.id).await;
    assert!(matches!(gone, Err(Failure::NoAnswer(_))), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_an_intent_can_be_read() {
    let stripe = Stripe::start().await;
    let adapter = stripe.adapter(RESPONSE_TIMEOUT);
    let wanted = wanted("10.99", "USD");
    let made = adapter.create(&wanted).await.unwrap();
    assert_eq!(
        adapter.order_of(&made.id).await,
        Ok(Some((wanted.business_id, wanted.order_id)))
    );
    assert_eq!(adapter.order_of("pi_no_ones").await, Ok(None));
    stripe.fault(&[Fault::LoseAnswer]);
    let lost = adapter.order_of(&made.id).await;
    assert!(matches!(lost, Err(Failure::NoAnswer(_))), "{lost:?}");
}
