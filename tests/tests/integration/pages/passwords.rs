//! These tests set a new password in a browser with the code that an admin has given.

use domain::demo::ACME_BUYER;
use serde_json::json;
use tests::Service;

use super::browser::{Browser, Form};
use crate::http::limits::limited;

const RESET: &str = "/shop/acme/reset";
const NEW: &str = "battery staple horse";

async fn code(service: &Service) -> String {
    let path = format!("/api/users/{ACME_BUYER}/password-reset");
    let made = service.admin().post(&path, &json!({})).await.ok(200);
    made["code"].as_str().unwrap().to_owned()
}

fn filled(form: Form, code: &str, new: &str) -> Form {
    form.with("email", "customer@example.com")
        .with("code", code)
        .with("new", new)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_replaced_with_a_code_and_leads_to_the_login() {
    let service = Service::start().await;
    let before = Browser::logged_in(&service, "acme", "customer@example.com", "customer123").await;
    let browser = Browser::at(&service);
    let login = browser
        .get("/shop/acme/login?next=%2Fshop%2Facme%2Forders")
        .await;
    let links = login.links();
    let reset = links.iter().find(|link| link.starts_with(RESET)).unwrap();
    let code = code(&service).await;
    let form = browser.get(reset).await.form(RESET);
    for (typed, new, status, message) in [
        (
            "00000-00000-00000-00000-00000",
            NEW,
            401,
            "Email address or code is wrong",
        ),
        (code.as_str(), "12345678", 422, "too easy to guess"),
        (
            &code,
            "customer123",
            422,
            "must differ from the present password",
        ),
        ("", "", 422, "is required"),
    ] {
        let page = browser.submit(&filled(form.clone(), typed, new)).await;
        let text = page.shows(status).to_lowercase();
        assert!(text.contains(&message.to_lowercase()), "{message}: {text}");
        let is_secret = |secret: &str| !secret.is_empty() && page.text.contains(secret);
        assert!(!is_secret(typed) && !is_secret(new), "{}", page.text);
    }
    let form = filled(form, &code.replace('-', " ").to_lowercase(), NEW);
    // Twice, as by a double click.
    for _ in 0..2 {
        let page = browser.submit(&form).await;
        assert_eq!(
            page.leads_to(),
            "/shop/acme/login?next=%2Fshop%2Facme%2Forders"
        );
    }
    let page = browser.get("/shop/acme/login").await;
    assert!(
        page.shows(200).contains("Your new password is set"),
        "{}",
        page.text
    );
    // The code is used, so another form with it is refused.
    let other = filled(
        browser.get(reset).await.form(RESET),
        &code,
        "another staple horse",
    );
    let _ = browser.submit(&other).await.shows(401);
    let page = before.get("/shop/acme/account").await;
    assert!(
        page.leads_to().starts_with("/shop/acme/login"),
        "all logins have ended"
    );
    let page = browser
        .log_in("acme", "customer@example.com", "customer123")
        .await;
    let _ = page.shows(401);
    let page = browser.log_in("acme", "customer@example.com", NEW).await;
    assert_eq!(page.leads_to(), "/shop/acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_guessed_no_more_often_than_at_the_api() {
    let service = limited(|limits| limits.rate_limit_account = "3/h".parse().unwrap()).await;
    let browser = Browser::at(&service);
    let guess = |form: Form| filled(form, "a guess", NEW);
    for _ in 0..2 {
        let form = browser.get(RESET).await.form(RESET);
        let _ = browser.submit(&guess(form)).await.shows(401);
    }
    let body =
        json!({"business": "acme", "email": "customer@example.com", "code": "a guess", "new": NEW});
    let nobody = service.nobody();
    let api = nobody.post("/api/auth/password-reset", &body).await;
    assert_eq!(api.status, 401);
    let form = browser.get(RESET).await.form(RESET);
    let page = browser.submit(&guess(form)).await;
    assert!(
        page.shows(429).contains("Too many attempts"),
        "{}",
        page.text
    );
    let failed = "SELECT count(*) FROM audit_events WHERE action = 'password_reset.failed'";
    assert_eq!(service.database.value(failed).await, "3");
}
