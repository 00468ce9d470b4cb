//! These tests check which callers may use which page and action. They go through the table of the service, and so try
//! each new one.

use std::collections::BTreeSet;

use domain::Authority;
use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES};
use serde_json::json;
use tests::{Service, Traded};
use tradeline::schema::endpoint::{Endpoint, Kind, Twin, Who, area};
use uuid::Uuid;

use super::browser::{Browser, Page};

/// Pages and actions that need no session. This list may only shrink, but for pages without anyone's data.
const PUBLIC: [&str; 11] = [
    "GET /",
    "GET /shop/{business}/login",
    "POST /shop/{business}/login",
    "GET /shop/{business}/register",
    "POST /shop/{business}/register",
    "GET /shop/{business}/reset",
    // Authenticated by a code.
    "POST /shop/{business}/reset",
    // Ends the session if there is one.
    "POST /shop/{business}/logout",
    "GET /office/{business}/login",
    "POST /office/{business}/login",
    "POST /office/{business}/logout",
];

/// Pages that show a business's catalogue to everyone, and the cart, which is the browser's own.
const PUBLIC_OF_BUSINESS: [&str; 7] = [
    "GET /shop/{business}",
    "GET /shop/{business}/products/{product_id}",
    "GET /shop/{business}/stock",
    "GET /shop/{business}/pictures/{picture_id}/{size}",
    "GET /shop/{business}/cart",
    "POST /shop/{business}/cart/add",
    "POST /shop/{business}/cart/update",
];

/// Actions without an endpoint of the API that does the same.
const OF_BROWSERS_ONLY: [&str; 6] = [
    "POST /shop/{business}/logout",
    "POST /shop/{business}/cart/add",
    "POST /shop/{business}/cart/update",
    // The test provider. Its endpoints of the API accept everyone on this machine, and this one a caller there.
    "POST /shop/{business}/orders/{order_id}/pay",
    "POST /shop/{business}/account/sessions/{session_id}/end",
    "POST /office/{business}/logout",
];

fn all() -> Vec<Endpoint> {
    let table = tradeline::app::table().unwrap();
    table.pages().cloned().collect()
}

/// The path in the store of Acme, with ids that exist there.
fn path(page: &Endpoint, traded: &Traded) -> String {
    page.path
        .replace("{business}", "acme")
        .replace("{product_id}", &ACME_HEADPHONES.to_string())
        .replace("{order_id}", &traded.order)
        .replace("{reservation_id}", &traded.held[2])
        .replace("{picture_id}/{size}", &format!("{}/320", traded.picture))
        .replace("{session_id}", &Uuid::now_v7().to_string())
        .replace("{number}", "new")
}

async fn call(browser: &Browser, page: &Endpoint, path: &str) -> Page {
    match page.kind {
        Kind::Action(_) => browser.send(path, &[]).await,
        Kind::Page | Kind::Api => browser.get(path).await,
    }
}

/// Browsers of Acme's admin, of a member of its staff, and of its customer.
async fn browsers(service: &Service) -> Vec<(Authority, Browser)> {
    let staff = json!({"email": "clerk@example.com", "name": "Clerk", "password": "correct horse", "role": "staff"});
    service.admin().post("/api/users", &staff).await.ok(201);
    let mut browsers = Vec::new();
    for (authority, email, password) in [
        (Authority::Admin, "admin@example.com", "admin123"),
        (Authority::Staff, "clerk@example.com", "correct horse"),
        (
            Authority::Customer(ACME_CUSTOMER),
            "customer@example.com",
            "customer123",
        ),
    ] {
        let browser = Browser::logged_in(service, "acme", email, password).await;
        browsers.push((authority, browser));
    }
    browsers
}

#[test]
fn exactly_the_listed_pages_and_actions_need_no_session() {
    let of = |who| {
        let pages = all().into_iter().filter(|page| page.who == who);
        pages.map(|page| page.name()).collect::<Vec<_>>()
    };
    assert_eq!(of(Who::Public), PUBLIC);
    assert_eq!(of(Who::PublicOf), PUBLIC_OF_BUSINESS);
    for none in [Who::Platform, Who::Local, Who::Roles(&[])] {
        assert_eq!(of(none), Vec::<String>::new());
    }
}

#[test]
fn every_action_has_the_roles_of_the_endpoint_that_does_the_same() {
    let table = tradeline::app::table().unwrap();
    let mut alone = Vec::new();
    for action in table.pages() {
        let twins = match action.kind {
            Kind::Action(Twin::Of(ids)) => ids,
            Kind::Action(Twin::None | Twin::Undeclared) => {
                alone.push(action.name());
                continue;
            }
            Kind::Page | Kind::Api => continue,
        };
        let of = table.endpoints();
        let of: Vec<&Endpoint> = of.filter(|one| twins.contains(&one.operation_id)).collect();
        assert_eq!(of.len(), twins.len(), "{action:?}");
        for twin in of {
            assert_eq!(action.who, twin.who, "{action:?} and {twin:?}");
            assert_eq!(action.guarded, twin.guarded, "{action:?} and {twin:?}");
        }
    }
    assert_eq!(alone, OF_BROWSERS_ONLY);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_every_page_of_a_caller_leads_to_the_login_and_does_nothing() {
    let service = Service::start().await;
    let (traded, browser) = (Traded::at(&service).await, Browser::at(&service));
    let before = service.database.digest().await;
    let mut refused = 0;
    for page in all() {
        if matches!(page.who, Who::Public | Who::PublicOf) {
            continue;
        }
        let path = path(&page, &traded);
        let reply = call(&browser, &page, &path).await;
        let location = reply.leads_to();
        let login = format!("{}/acme/login", area(page.path).unwrap());
        let expected = match page.kind {
            Kind::Page => format!("{login}?next={}", path.replace('/', "%2F")),
            Kind::Action(_) | Kind::Api => login,
        };
        assert_eq!(location, expected, "{page:?}");
        refused += 1;
    }
    assert!(refused > 0);
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_use_what_the_table_says_and_gets_a_page_with_403_for_the_rest() {
    let service = Service::start().await;
    let traded = Traded::at(&service).await;
    let mut tried = BTreeSet::new();
    for (authority, browser) in browsers(&service).await {
        for page in all() {
            if page.path.ends_with("/logout") {
                continue;
            }
            let reply = call(&browser, &page, &path(&page, &traded)).await;
            let may = match page.who {
                Who::Roles(roles) => roles.contains(&authority.role()),
                _ => true,
            };
            let what = format!("{page:?} as {authority:?}");
            if may {
                let good = matches!(reply.status, 200 | 303 | 401 | 409 | 422);
                assert!(good, "{what}: {} {}", reply.status, reply.text);
            } else {
                assert_eq!(reply.status, 403, "{what}: {}", reply.text);
                let _ = reply.shows(403);
            }
            tried.insert((page.name(), may));
        }
        let reply = browser.send("/shop/acme/logout", &[]).await;
        assert_eq!(reply.leads_to(), "/shop/acme");
    }
    assert!(tried.len() >= all().len() - 1, "{tried:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_business_is_no_session() {
    let service = Service::start().await;
    let traded = Traded::at(&service).await;
    let acme = Browser::logged_in(&service, "acme", "admin@example.com", "admin123").await;
    let session = acme.cookie("tl-acme").unwrap();
    let stranger = Browser::at(&service);
    stranger.set_cookie("tl-globex", &session);
    for page in all() {
        if matches!(page.who, Who::Public | Who::PublicOf) {
            continue;
        }
        let path = path(&page, &traded).replacen("acme", "globex", 1);
        let reply = call(&stranger, &page, &path).await;
        let location = reply.leads_to();
        let login = format!("{}/globex/login", area(page.path).unwrap());
        assert!(location.starts_with(&login), "{page:?}: {location}");
    }
    // Nor does the login of one store open another.
    for (page, name) in [(&acme, "tl-acme"), (&stranger, "tl-globex")] {
        assert!(page.cookie(name).is_some());
        let text = page.get("/shop/globex").await;
        assert!(!text.shows(200).contains("/shop/globex/logout"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_or_a_key_opens_no_page_and_a_cookie_nothing_of_the_api() {
    let service = Service::start().await;
    let browser = Browser::logged_in(&service, "acme", "admin@example.com", "admin123").await;
    for path in ["/api/auth/me", "/api/orders", "/api/products"] {
        assert_eq!(browser.get(path).await.status, 401, "{path}");
    }
    let bearer = format!("Bearer {}", service.admin().token());
    let nobody = Browser::at(&service);
    let page = nobody
        .request(
            reqwest::Method::GET,
            "/shop/acme",
            &[],
            &[("authorization", &bearer)],
        )
        .await;
    assert!(!page.shows(200).contains("/shop/acme/logout"));
    // A token that is wrong does not matter either.
    let headers = [("authorization", "Bearer nonsense")];
    let page = browser
        .request(reqwest::Method::GET, "/shop/acme", &[], &headers)
        .await;
    assert!(page.shows(200).contains("/shop/acme/logout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_business_is_a_page_with_404_whatever_its_name() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let id = domain::demo::ACME.to_string();
    for name in [
        "nobody",
        "ACME",
        "acme.",
        "a%2Fb",
        "%00",
        "-",
        id.as_str(),
        "acme%20",
    ] {
        for rest in ["", "/login", "/products/1"] {
            let page = browser.get(&format!("/shop/{name}{rest}")).await;
            let text = page.shows(404);
            assert!(text.contains(page.header("x-request-id")), "{name}: {text}");
        }
    }
    for path in ["/shop", "/shop/", "/shop/acme/nothing", "/shop/acme/"] {
        let _ = browser.get(path).await.shows(404);
    }
    let _ = browser.send("/shop/acme", &[]).await.shows(405);
}
