//! These tests send forms from elsewhere.

use reqwest::Method;
use tests::Service;
use tradeline::schema::endpoint::Kind;

use super::browser::Browser;

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_is_refused_by_every_action_and_does_nothing() {
    let service = Service::start().await;
    let browser = Browser::logged_in(&service, "acme", "admin@example.com", "admin123").await;
    let before = service.database.digest().await;
    let own = service.base.clone();
    let forged: [&[(&str, &str)]; 7] = [
        &[],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://127.0.0.1")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("sec-fetch-site", "same-site"), ("origin", &own)],
        &[("sec-fetch-site", "none")],
    ];
    let table = tradeline::app::table().unwrap();
    let mut refused = 0;
    for action in table.pages() {
        if !matches!(action.kind, Kind::Action(_)) {
            continue;
        }
        let id = uuid::Uuid::now_v7().to_string();
        let path = action.path.replace("{business}", "acme");
        let path = match path.split_once('{') {
            Some((start, rest)) => format!("{start}{id}{}", rest.split_once('}').unwrap().1),
            None => path,
        };
        for headers in forged {
            let page = browser
                .request(Method::POST, &path, &[("email", "a@b.example")], headers)
                .await;
            let text = page.shows(403);
            assert!(text.contains("not sent by a page of this site"), "{text}");
            refused += 1;
        }
    }
    assert!(refused >= 21, "{refused}");
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_says_where_a_form_comes_from_is_believed_before_its_origin() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let fields = [("email", "admin@example.com"), ("password", "admin123")];
    let host = service.base.strip_prefix("http://").unwrap();
    let tls = format!("https://{host}");
    for headers in [
        &[("sec-fetch-site", "same-origin")][..],
        // A proxy that terminates TLS passes the host on.
        &[("origin", &tls)],
    ] {
        let page = browser
            .request(Method::POST, "/shop/acme/login", &fields, headers)
            .await;
        assert_eq!(page.leads_to(), "/shop/acme", "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_forms_are_read_as_forms() {
    let service = Service::start().await;
    let browser = Browser::at(&service);
    let client = reqwest::Client::new();
    let url = format!("{}/shop/acme/login", service.base);
    for (kind, body, status) in [
        ("text/plain", "email=a", 415),
        ("application/json", "{}", 415),
        ("multipart/form-data; boundary=x", "--x--", 415),
        ("application/x-www-form-urlencoded", "email=a&email=b", 422),
        ("application/x-www-form-urlencoded", "a/b/c/d/e=1", 400),
        (
            "application/x-www-form-urlencoded",
            "idempotency_key=x",
            422,
        ),
    ] {
        let request = client.post(&url).header("origin", &service.base);
        let response = request
            .header("content-type", kind)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), status, "{kind} {body}");
    }
    let long = "x".repeat(300_000);
    let page = browser.send("/shop/acme/login", &[("email", &long)]).await;
    let _ = page.shows(413);
    let many: Vec<(String, String)> = (0..1100)
        .map(|n| (format!("f{n}"), String::new()))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let _ = browser.send("/shop/acme/login", &many).await.shows(400);
}
