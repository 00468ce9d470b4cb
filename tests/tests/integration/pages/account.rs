//! These tests read the account, change the password and end logins.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES};
use serde_json::json;
use tests::Service;

use super::browser::Browser;

#[tokio::test(flavor = "multi_thread")]
async fn the_account_has_the_figures_of_the_api() {
    let service = Service::start().await;
    let admin = service.admin();
    admin.buy(&[(ACME_HEADPHONES, 3)]).await.ok(201);
    let payment = json!({"customer_id": ACME_CUSTOMER, "amount": "120.00", "method": "cash", "on_account": true});
    admin.post("/api/payments", &payment).await.ok(201);
    let browser = Browser::logged_in(&service, "acme", "customer@example.com", "customer123").await;
    let page = browser.get("/shop/acme/account").await;
    let text = page.shows(200);
    for figure in ["$820.00", "$1,000.00", "$180.00"] {
        assert!(text.contains(figure), "{figure} in {text}");
    }
    let page = browser.get("/shop/acme/account/statement").await;
    let text = page.shows(200);
    for figure in ["$300.00", "120.00", "$180.00"] {
        assert!(text.contains(figure), "{figure} in {text}");
    }
    let csv = browser.get("/shop/acme/account/statement.csv").await;
    assert_eq!(csv.status, 200, "{}", csv.text);
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert!(csv.text.contains("180.00"), "{}", csv.text);
    for query in [
        "from=2026-02-30",
        "from=2030-01-01&to=2029-01-01",
        "from=x",
        "to=0001-01-01",
    ] {
        let page = browser
            .get(&format!("/shop/acme/account/statement?{query}"))
            .await;
        assert!(
            matches!(page.status, 200),
            "{query}: {} {}",
            page.status,
            page.text
        );
    }
    // Staff have an account without figures.
    let staff = Browser::logged_in(&service, "acme", "admin@example.com", "admin123").await;
    let page = staff.get("/shop/acme/account").await;
    assert!(!page.shows(200).contains("$1,000.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_keeps_this_login_and_ends_the_others() {
    let service = Service::start().await;
    let login = || Browser::logged_in(&service, "acme", "customer@example.com", "customer123");
    let (browser, other) = (login().await, login().await);
    let page = browser.get("/shop/acme/account").await;
    let form = page.form("/shop/acme/account/password");
    for (old, new, status) in [
        ("wrong", "battery staple horse", 401),
        ("customer123", "12345678", 422),
        ("", "", 422),
    ] {
        let page = browser
            .submit(&form.clone().with("old", old).with("new", new))
            .await;
        let text = page.shows(status);
        assert!(
            !text.contains("customer123") && !text.contains("battery staple"),
            "{text}"
        );
    }
    let form = form
        .with("old", "customer123")
        .with("new", "battery staple horse");
    assert_eq!(browser.submit(&form).await.leads_to(), "/shop/acme/account");
    let page = browser.get("/shop/acme/account").await;
    assert!(page.shows(200).contains("Your password is changed"));
    let page = other.get("/shop/acme/account").await;
    assert!(page.leads_to().starts_with("/shop/acme/login"));
    let page = other
        .log_in("acme", "customer@example.com", "customer123")
        .await;
    assert_eq!(page.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_ends_their_own_logins_and_no_others() {
    let service = Service::start().await;
    let customer = || Browser::logged_in(&service, "acme", "customer@example.com", "customer123");
    let (browser, other) = (customer().await, customer().await);
    let admin = Browser::logged_in(&service, "acme", "admin@example.com", "admin123").await;
    let ends = |page: &super::browser::Page| {
        let forms = page.forms().into_iter();
        let ends = forms.filter(|form| form.action.ends_with("/end"));
        ends.collect::<Vec<_>>()
    };
    let forms = ends(&browser.get("/shop/acme/account").await);
    // The other login, and the one that the tests' database has.
    assert_eq!(forms.len(), 2);
    for form in &forms {
        // An admin cannot end them here: they are not the admin's.
        assert_eq!(admin.submit(form).await.leads_to(), "/shop/acme/account");
        let _ = other.get("/shop/acme/account").await.shows(200);
    }
    for form in &forms {
        assert_eq!(browser.submit(form).await.leads_to(), "/shop/acme/account");
    }
    let page = other.get("/shop/acme/account").await;
    assert!(page.leads_to().starts_with("/shop/acme/login"));
    let page = browser.get("/shop/acme/account").await;
    let _ = page.shows(200);
    assert!(ends(&page).is_empty());
    let page = browser
        .send("/shop/acme/account/sessions/nonsense/end", &[])
        .await;
    assert_eq!(page.leads_to(), "/shop/acme/account");
}
