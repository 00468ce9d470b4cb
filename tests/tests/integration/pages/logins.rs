//! These tests log in, register and log out as people do, and as attackers.

use tests::Service;

use super::browser::Browser;
use crate::http::limits::limited;

#[tokio::test(flavor = "multi_thread")]
async fn a_login_leads_back_to_the_page_and_never_off_the_site() {
    let service = Service::start().await;
    let product = format!("/shop/acme/products/{}", domain::demo::ACME_HEADPHONES);
    for (next, target) in [
        (product.as_str(), product.as_str()),
        ("/shop/acme?q=head%20phones", "/shop/acme?q=head%20phones"),
        ("", "/shop/acme"),
        ("https://evil.example", "/shop/acme"),
        ("//evil.example", "/shop/acme"),
        ("/\\evil.example", "/shop/acme"),
        ("/shop/acme/\\evil.example", "/shop/acme"),
        ("/shop/globex", "/shop/acme"),
        ("/shop/acme@evil.example", "/shop/acme"),
        ("javascript:alert(1)", "/shop/acme"),
        ("/shop/acme\r\nSet-Cookie: x=y", "/shop/acme"),
    ] {
        let browser = Browser::at(&service);
        let address = reqwest::Url::parse_with_params(
            &format!("{}/shop/acme/login", service.base),
            [("next", next)],
        )
        .unwrap();
        let address = format!("{}?{}", address.path(), address.query().unwrap());
        let page = browser.get(&address).await;
        let form = page.form("/shop/acme/login");
        let hidden = form.fields.iter().find(|(name, _)| name == "next");
        assert_eq!(hidden.unwrap().1, target, "{next}");
        // Nor does a form that an attacker changed.
        for next in [next, target] {
            let form = form
                .clone()
                .with("next", next)
                .with("email", "customer@example.com")
                .with("password", "customer123");
            let other = Browser::at(&service);
            assert_eq!(other.submit(&form).await.leads_to(), target, "{next}");
        }
        let form = form
            .with("email", "customer@example.com")
            .with("password", "customer123");
        assert_eq!(browser.submit(&form).await.leads_to(), target);
        // A logged-in visitor goes on.
        assert_eq!(browser.get(&address).await.leads_to(), target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_says_so_on_its_page_and_shows_no_password() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let mut texts = Vec::new();
    for (email, password) in [
        ("customer@example.com", "s3cret wrong"),
        ("nobody@example.com", "s3cret wrong"),
        ("<b>\"'&@example.com", "s3cret wrong"),
    ] {
        let page = browser.log_in("acme", email, password).await;
        let text = page.shows(401);
        assert!(!text.contains("s3cret"), "{text}");
        assert!(!text.contains("<b>"), "{text}");
        assert_eq!(page.header("www-authenticate"), "");
        assert_eq!(browser.cookie("tl-acme"), None);
        let form = page.form("/shop/acme/login");
        let typed = form.fields.iter().find(|(name, _)| name == "email");
        assert_eq!(typed.unwrap().1, email);
        texts.push(page.status);
    }
    let page = browser.log_in("acme", "", "").await;
    let text = page.shows(422);
    assert!(text.contains("is required"), "{text}");
    let page = browser
        .send(
            "/shop/acme/login",
            &[("email", "a"), ("password", "b"), ("role", "admin")],
        )
        .await;
    let _ = page.shows(422);
    let page = browser
        .send(
            "/shop/acme/login",
            &[
                ("business", "globex"),
                ("email", "admin@globex.example"),
                ("password", "admin123"),
            ],
        )
        .await;
    // The path names the business, not the form.
    let _ = page.shows(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_limited_as_at_the_api_and_counted_together() {
    let service = limited(|limits| limits.rate_limit_account = "3/h".parse().unwrap()).await;
    let browser = Browser::at(&service);
    for _ in 0..2 {
        let page = browser.log_in("acme", "admin@example.com", "wrong").await;
        let _ = page.shows(401);
    }
    let api = crate::http::limits::login(&service.nobody(), "acme", "admin@example.com").await;
    assert_eq!(api.status, 401);
    let page = browser
        .log_in("acme", "ADMIN@example.com", "admin123")
        .await;
    let text = page.shows(429);
    assert!(
        text.contains("<form"),
        "the page of the login is shown again: {text}"
    );
    assert!(!page.header("retry-after").is_empty());
    let api = crate::http::limits::login(&service.nobody(), "acme", "admin@example.com").await;
    assert_eq!(api.status, 429);

    let service = limited(|limits| limits.rate_limit_login = "2/h".parse().unwrap()).await;
    let browser = Browser::at(&service);
    for (n, status) in [(1, 422), (2, 422), (3, 429)] {
        let page = browser.send("/shop/acme/register", &[("email", "x")]).await;
        assert_eq!(page.status, status, "{n}: {}", page.text);
    }
    // Reading is not limited by it.
    let _ = browser.get("/shop/acme/login").await.shows(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_registers_is_a_customer_without_credit_and_logged_in() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let page = browser.get("/shop/acme/register").await;
    let form = page
        .form("/shop/acme/register")
        .with("name", "Ada <script>alert(1)</script>")
        .with("email", "ada@example.com")
        .with("password", "12345678");
    let page = browser.submit(&form).await;
    let text = page.shows(422);
    assert!(!text.contains("12345678"), "{text}");
    let form = form.with("password", "correct horse battery");
    let page = browser.submit(&form).await;
    assert_eq!(page.leads_to(), "/shop/acme");
    let page = browser.get("/shop/acme").await;
    assert!(page.shows(200).contains("/shop/acme/logout"));
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    let role =
        "SELECT role || ' ' || credit_limit FROM users JOIN customers ON customers.id = customer_id
                 WHERE users.email = 'ada@example.com'";
    let role = service.database.value(role).await;
    assert!(role.contains("customer 0"), "{role}");
    // The form is sent a second time by a double click.
    let again = Browser::at(&service);
    assert_eq!(again.submit(&form).await.leads_to(), "/shop/acme");
    let users = "SELECT count(*) FROM users WHERE email = 'ada@example.com'";
    assert_eq!(service.database.value(users).await, "1");
    // For anyone else the address is taken.
    let other = Browser::at(&service);
    let form = form.with("password", "another long password");
    let page = other.submit(&form).await;
    let _ = page.shows(409);
    assert_eq!(other.cookie("tl-acme"), None);
    // No field makes an admin.
    let page = other.submit(&form.with("role", "admin")).await;
    let _ = page.shows(422);
}
