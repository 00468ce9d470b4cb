//! The payment at Stripe: its script on one page alone, what the page gives it, the way back, and the wait for the webhook.
//!
//! Nothing reaches Stripe. In Chromium, a stand-in for its script is there before the page's own script runs, and the
//! request for the real one ends in the browser's resolver.

use domain::demo::ACME_KEYBOARD;
use serde_json::{Value, json};
use tests::stripe::{Fault, PUBLISHABLE_KEY};
use tests::{StripeShop, id_of, until};

use super::browser::{Browser, Page};
use super::chromium::Chromium;

const CHECKOUT: &str = "/shop/acme/checkout";

/// What Stripe adds to the address of the return.
const ADDED: &str =
    "payment_intent=pi_1&payment_intent_client_secret=pi_1_secret_2&redirect_status=succeeded";

/// A stand-in for Stripe's script. It keeps its calls, declines the first payment, and sends the buyer back after the
/// second.
const STAND_IN: &str = "
globalThis.calls = [];
globalThis.violations = [];
document.addEventListener('securitypolicyviolation', (event) => violations.push(event.blockedURI));
globalThis.Stripe = (key) => ({
  elements: ({ clientSecret }) => ({
    create: (kind) => ({ mount: (place) => { calls.push(['mount', key, clientSecret, kind, place.className]); } }),
  }),
  confirmPayment: async ({ confirmParams }) => {
    calls.push(['confirm', confirmParams.return_url]);
    if (calls.length < 3) return { error: { message: 'Your card was declined.' } };
    location.href = `${confirmParams.return_url}?payment_intent=pi_1&payment_intent_client_secret=x`;
    return new Promise(() => {});
  },
});";

/// Places an order by card. Returns its id and the secret of its intent.
async fn order(shop: &StripeShop) -> (String, String) {
    let placed = shop
        .service
        .customer()
        .checkout(&[(ACME_KEYBOARD, 1)])
        .await
        .ok(201);
    let secret = placed["client_secret"].as_str().unwrap().to_owned();
    (id_of(&placed), secret)
}

fn policy(page: &Page) -> &str {
    page.header("content-security-policy")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_payment_alone_lets_stripe_in_and_the_return_believes_the_database() {
    let shop = StripeShop::open().await;
    let browser =
        Browser::logged_in(&shop.service, "acme", "customer@example.com", "customer123").await;
    let (id, secret) = order(&shop).await;
    let pay = format!("/shop/acme/orders/{id}/pay");
    let page = browser.get(&pay).await;
    let text = page.shows(200);
    let back = format!("{}/shop/acme/orders/{id}/paid", shop.service.base);
    for given in [PUBLISHABLE_KEY, &secret, &back] {
        assert!(text.contains(&format!("=\"{given}\"")), "{given} in {text}");
    }
    assert!(
        policy(&page).contains("https://js.stripe.com"),
        "{}",
        policy(&page)
    );
    assert_eq!(page.header("cache-control"), "no-store");
    for path in [
        "/shop/acme/checkout",
        &format!("/shop/acme/orders/{id}"),
        "/shop/acme/cart",
    ] {
        let page = browser.get(path).await;
        assert!(
            !policy(&page).contains("stripe"),
            "{path}: {}",
            policy(&page)
        );
    }
    // The test provider's form does nothing here.
    let _ = browser
        .send(&pay, &[("outcome", "succeeded")])
        .await
        .shows(404);

    let paid = format!("/shop/acme/orders/{id}/paid");
    let page = browser.get(&format!("{paid}?{ADDED}")).await;
    assert_eq!(page.leads_to(), paid);
    let page = browser.get(&paid).await;
    assert!(
        page.shows(200).contains("Waiting for the bank"),
        "{}",
        page.text
    );
    assert!(!policy(&page).contains("stripe"), "{}", policy(&page));
    let intent = secret.split("_secret").next().unwrap();
    let declined = json!({"id": intent, "last_payment_error": {"message": "declined"}});
    let object = shop.stripe.get(&format!("payment_intents/{intent}")).await;
    let object = merged(object, declined);
    shop.tell("payment_intent.payment_failed", object)
        .await
        .ok(200);
    let page = browser.get(&paid).await;
    assert!(
        page.shows(200).contains("An attempt to pay was declined"),
        "{}",
        page.text
    );
    shop.pay(intent).await;
    let page = browser.get(&paid).await;
    assert!(
        page.shows(200).contains("The payment of $50.00 arrived"),
        "{}",
        page.text
    );
    assert!(
        !browser.get(&pay).await.text.contains(&secret),
        "a paid order shows no secret"
    );
    let stranger = Browser::at(&shop.service);
    assert!(stranger.get(&pay).await.leads_to().contains("/login"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_payment_stripe_has_not_made_yet_waits_on_its_page() {
    let shop = StripeShop::open().await;
    let email = "customer@example.com";
    let browser = Browser::logged_in(&shop.service, "acme", email, "customer123").await;
    let product = format!("/shop/acme/products/{ACME_KEYBOARD}");
    let add = browser.get(&product).await.form("/shop/acme/cart/add");
    let _ = browser.submit(&add).await.leads_to();
    let form = browser.get(CHECKOUT).await.form(CHECKOUT);
    let form = form.with("payment_method", "card").with("delivery", "none");
    shop.stripe.fault(&[Fault::Status(500)]);
    let page = browser.submit(&form).await;
    let pay = page.leads_to().to_owned();
    assert!(pay.ends_with("/pay"), "{pay}");
    let page = browser.get(&pay).await;
    let text = page.shows(200);
    assert!(text.contains("The payment is being prepared"), "{text}");
    let due = "UPDATE payment_intents SET next_try_at = now()";
    shop.service.database.execute(due).await;
    until("Stripe has made the payment", async || {
        browser.get(&pay).await.text.contains("data-stripe")
    })
    .await;
}

/// The first object with the members of the second.
fn merged(mut object: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    object.as_object_mut().unwrap().extend(more);
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fields_of_stripe_are_mounted_and_a_decline_is_shown_and_the_return_waits_for_the_webhook()
 {
    let shop = StripeShop::open().await;
    let Some(browser) = Chromium::at(&shop.service).await else {
        return;
    };
    browser.log_in().await;
    let (id, secret) = order(&shop).await;
    let source = json!({"source": STAND_IN});
    browser
        .devtools("Page.addScriptToEvaluateOnNewDocument", source)
        .await;
    browser.goto(&format!("/shop/acme/orders/{id}/pay")).await;
    let back = format!("{}/shop/acme/orders/{id}/paid", shop.service.base);
    let mounted = json!([["mount", PUBLISHABLE_KEY, secret, "payment", "stripe-fields"]]);
    assert_eq!(browser.run("return calls").await, mounted);
    browser.click("form[data-stripe] [type=submit]").await;
    browser.until_text("Your card was declined.").await;
    let confirmed = browser.run("return calls[1]").await;
    assert_eq!(confirmed, json!(["confirm", back]));
    // The policy lets Stripe's script, frames and requests through, and nothing of others.
    let script = "const done = arguments[0];
        const load = (tag, src) => { const one = document.createElement(tag); one.src = src; document.body.append(one); };
        load('script', 'https://js.stripe.com/v3/');
        load('iframe', 'https://js.stripe.com/v3/');
        load('iframe', 'https://hooks.stripe.com/');
        load('script', 'https://evil.example/x.js');
        fetch('https://api.stripe.com/').catch(() => {});
        fetch('https://evil.example/').catch(() => {});
        setTimeout(() => done(violations), 500);";
    let blocked = browser
        .driver
        .execute_async(script, Vec::new())
        .await
        .unwrap();
    let blocked: Vec<String> = blocked.convert().unwrap();
    assert!(blocked.len() >= 2, "{blocked:?}");
    assert!(
        blocked.iter().all(|uri| uri.contains("evil.example")),
        "{blocked:?}"
    );
    browser.click("form[data-stripe] [type=submit]").await;
    browser.until_text("Waiting for the bank").await;
    assert_eq!(browser.path().await, format!("/shop/acme/orders/{id}/paid"));
    shop.pay(secret.split("_secret").next().unwrap()).await;
    browser.until_text("The payment of $50.00 arrived").await;
    let title = browser.driver.title().await.unwrap();
    assert_eq!(title, "The order is paid. – Acme Supplies");
    browser.quit().await;
}
