//! These tests end sessions in every way, and look from two processes.

use std::time::{Duration, Instant};

use domain::demo::{ACME, ACME_BUYER};
use serde_json::json;
use tests::{Service, until};

use super::browser::Browser;

const PASSWORD: &str = "correct horse battery";

/// Whether the store knows who the browser is.
async fn is_in(browser: &Browser) -> bool {
    let page = browser.get("/shop/acme").await;
    page.shows(200).contains("/shop/acme/logout")
}

/// Adds a user of this role. Returns their address and id.
async fn add_user(service: &Service, role: &str) -> (String, String) {
    let email = format!("{role}-{}@example.com", uuid::Uuid::now_v7().simple());
    let mut body = json!({"email": email, "name": "Somebody", "password": PASSWORD, "role": role});
    if role == "customer" {
        body["customer_id"] = json!(domain::demo::ACME_CUSTOMER);
    }
    let made = service.admin().post("/api/users", &body).await.ok(201);
    (email, made["id"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_new_at_each_login_and_kept_as_a_hash() {
    let service = Service::start().await;
    let browser = Browser::logged_in(&service, "acme", "admin@example.com", "admin123").await;
    let first = browser.cookie("tl-acme").unwrap();
    assert!(
        first.starts_with("tl_session_") && first.len() > 70,
        "{first}"
    );
    // Nobody else can choose it.
    let fixed = Browser::at(&service);
    fixed.set_cookie("tl-acme", "tl_session_chosen");
    assert!(!is_in(&fixed).await);
    let page = fixed.log_in("acme", "admin@example.com", "admin123").await;
    assert_eq!(page.leads_to(), "/shop/acme");
    assert_ne!(fixed.cookie("tl-acme").unwrap(), "tl_session_chosen");
    // The session before a login ends with it.
    let before = browser.moved_to(&service);
    let page = browser
        .log_in("acme", "admin@example.com", "admin123")
        .await;
    assert_eq!(page.leads_to(), "/shop/acme");
    assert_ne!(browser.cookie("tl-acme").unwrap(), first);
    assert!(is_in(&browser).await);
    assert!(!is_in(&before).await);
    let rows = "SELECT string_agg(sessions::text, ' ') FROM sessions";
    let rows = service.database.value(rows).await;
    assert!(!rows.contains(&first), "{rows}");
    assert!(!rows.contains("tl_session"), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_for_this_host_and_no_script_and_secure_where_the_site_is() {
    for (public_url, name, is_secure) in [
        (None, "tl-acme", false),
        (Some("http://shop.example"), "tl-acme", false),
        (Some("https://shop.example"), "__Host-tl-acme", true),
    ] {
        let database = tests::Database::with_demo().await;
        let mut settings = tests::settings();
        settings.public_url = public_url.map(|url| url.parse().unwrap());
        let url = database.url(tests::SERVICE);
        let service = Service::with(database, &url, &settings).await;
        let browser = Browser::at(&service);
        let page = browser
            .log_in("acme", "admin@example.com", "admin123")
            .await;
        let cookies = page.set_cookies();
        let cookie = cookies
            .iter()
            .find(|cookie| cookie.starts_with(&format!("{name}=")))
            .unwrap_or_else(|| panic!("{cookies:?}"));
        for flag in [
            "; HttpOnly",
            "; SameSite=Lax",
            "; Path=/",
            "; Max-Age=2592000",
        ] {
            assert!(cookie.contains(flag), "{cookie}");
        }
        assert_eq!(cookie.contains("; Secure"), is_secure, "{cookie}");
        assert!(!cookie.contains("Domain"), "{cookie}");
        assert!(is_in(&browser).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_the_session_everywhere_within_a_second_and_no_other() {
    let (one, two) = Service::two().await;
    let browser = Browser::logged_in(&one, "acme", "admin@example.com", "admin123").await;
    let other = Browser::logged_in(&one, "acme", "admin@example.com", "admin123").await;
    let (here, there) = (browser.moved_to(&one), browser.moved_to(&two));
    assert!(is_in(&here).await && is_in(&there).await);
    let page = browser.send("/shop/acme/logout", &[]).await;
    assert_eq!(page.leads_to(), "/shop/acme");
    assert_eq!(browser.cookie("tl-acme"), None);
    assert!(!is_in(&here).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!is_in(&there).await);
    assert!(is_in(&other).await && is_in(&other.moved_to(&two)).await);
    let entries = "SELECT count(*) FROM audit_events WHERE action = 'user.logged_out'";
    assert_eq!(one.database.value(entries).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_a_users_logins_ends_their_sessions_everywhere_within_a_second() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    for (what, change) in [
        ("disabled", json!({"disabled": true})),
        ("another role", json!({"role": "admin"})),
        ("another address", json!({"email": "elsewhere@example.com"})),
    ] {
        let (email, id) = add_user(&one, "staff").await;
        let browser = Browser::logged_in(&one, "acme", &email, PASSWORD).await;
        let there = browser.moved_to(&two);
        assert!(is_in(&browser).await && is_in(&there).await, "{what}");
        admin
            .patch(&format!("/api/users/{id}"), &change)
            .await
            .ok(200);
        assert!(!is_in(&browser).await, "{what}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!is_in(&there).await, "{what}");
        let open =
            format!("SELECT count(*) FROM sessions WHERE user_id = '{id}' AND ended_at IS NULL");
        assert_eq!(one.database.value(&open).await, "0", "{what}");
    }
    let (email, id) = add_user(&one, "staff").await;
    let browser = Browser::logged_in(&one, "acme", &email, PASSWORD).await;
    let there = browser.moved_to(&two);
    assert!(is_in(&there).await);
    let deleted = admin.request(reqwest::Method::DELETE, &format!("/api/users/{id}"));
    assert_eq!(admin.send(deleted).await.status, 204);
    assert!(!is_in(&browser).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!is_in(&there).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_password_ends_all_sessions_of_the_user() {
    let (one, two) = Service::two().await;
    let (email, _) = add_user(&one, "customer").await;
    let browser = Browser::logged_in(&one, "acme", &email, PASSWORD).await;
    let there = browser.moved_to(&two);
    assert!(is_in(&there).await);
    let body = json!({"business": "acme", "email": email, "password": PASSWORD});
    let granted = one.nobody().post("/api/auth/login", &body).await.ok(200);
    let user = one.bearer(granted["access_token"].as_str().unwrap());
    let body = json!({"old": PASSWORD, "new": "another long password"});
    assert_eq!(user.post("/api/auth/password", &body).await.status, 204);
    assert!(!is_in(&browser).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!is_in(&there).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_does_not_touch_the_login_keeps_the_session() {
    let service = Service::start().await;
    let (email, id) = add_user(&service, "staff").await;
    let browser = Browser::logged_in(&service, "acme", &email, PASSWORD).await;
    let body = json!({"name": "Renamed"});
    service
        .admin()
        .patch(&format!("/api/users/{id}"), &body)
        .await
        .ok(200);
    assert!(is_in(&browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lasts_30_days_and_for_staff_12_hours_without_a_request() {
    let service = Service::start().await;
    let staff = Browser::logged_in(&service, "acme", "admin@example.com", "admin123").await;
    let customer =
        Browser::logged_in(&service, "acme", "customer@example.com", "customer123").await;
    let life = "SELECT bool_and(expires_at BETWEEN created_at + interval '29 days 23 hours'
                                               AND created_at + interval '30 days')
                  FROM sessions WHERE user_agent IS NULL AND token_hash <> sha256(user_id::text::bytea)";
    assert_eq!(service.database.value(life).await, "t");
    let idle =
        |hours: u32| format!("UPDATE sessions SET last_used_at = now() - interval '{hours} hours'");
    // Another process reads the rows anew.
    service.database.execute(&idle(11)).await;
    let two = Service::on(service.database.clone()).await;
    assert!(is_in(&staff.moved_to(&two)).await);
    let noted = "SELECT count(*) FROM sessions WHERE last_used_at > now() - interval '1 minute'";
    assert_eq!(service.database.value(noted).await, "1");
    service.database.execute(&idle(13)).await;
    let three = Service::on(service.database.clone()).await;
    assert!(!is_in(&staff.moved_to(&three)).await);
    assert!(is_in(&customer.moved_to(&three)).await);
    let over = "UPDATE sessions SET created_at = created_at - interval '31 days',
                                    expires_at = expires_at - interval '31 days'";
    service.database.execute(over).await;
    let four = Service::on(service.database.clone()).await;
    assert!(!is_in(&customer.moved_to(&four)).await);
    let database = domain::Database::new(&service.database.url(tests::SERVICE), 1).unwrap();
    let deleted = domain::identity::session_rows::delete_expired(&database, ACME).await;
    assert!(deleted.unwrap() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_knows_no_sessions_disables_users_all_the_same() {
    let service = Service::start().await;
    let browser = Browser::logged_in(&service, "acme", "customer@example.com", "customer123").await;
    assert!(is_in(&browser).await);
    let disable = format!(
        "UPDATE users SET disabled_at = now(), version = version + 1, version_changed_at = now()
          WHERE id = '{ACME_BUYER}'"
    );
    service.database.execute(&disable).await;
    let began = Instant::now();
    until("the session is out", async || !is_in(&browser).await).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_sessions_are_no_sessions() {
    let service = Service::start().await;
    let browser = Browser::logged_in(&service, "acme", "admin@example.com", "admin123").await;
    let good = browser.cookie("tl-acme").unwrap();
    for bad in [
        String::new(),
        "x".to_owned(),
        good[..good.len() - 1].to_owned(),
        format!("{good}x"),
        good.to_lowercase(),
        good.replace("tl_session_", "tl_refresh_"),
        good.replace("tl_session_", "tl_live_"),
        format!("{}{}", &good[..33], "A".repeat(43)),
        format!("tl_session_{}", "é".repeat(30)),
        "x".repeat(4000),
    ] {
        let other = Browser::at(&service);
        other.set_cookie("tl-acme", &bad);
        assert!(!is_in(&other).await, "{bad}");
    }
    assert!(is_in(&browser).await);
}
