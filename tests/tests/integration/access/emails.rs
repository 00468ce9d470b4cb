//! E-mail addresses: one mailbox is one account, however its address is typed.

use serde_json::json;
use tests::Service;

const PASSWORD: &str = "correct horse";

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_found_by_every_spelling_of_its_address_and_taken_by_each() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let register = async |email: &str| {
        let body =
            json!({"business": "acme", "email": email, "password": PASSWORD, "name": "Ren\u{e9}"});
        nobody.post("/api/auth/register", &body).await
    };
    let made = register("Rene\u{301}@B\u{fc}cher.example").await.ok(201);
    assert_eq!(made["email"], "ren\u{e9}@xn--bcher-kva.example");
    for spelling in [
        "ren\u{e9}@b\u{fc}cher.example",
        "REN\u{c9}@B\u{dc}CHER.EXAMPLE",
        "rene\u{301}@xn--bcher-kva.example",
        " ren\u{e9}@b\u{fc}cher\u{3002}example ",
    ] {
        let taken = register(spelling).await.refused(409, "already_exists");
        assert_eq!(taken["field"], "email", "{spelling}");
        let body = json!({"business": "acme", "email": spelling, "password": PASSWORD});
        nobody.post("/api/auth/login", &body).await.ok(200);
    }
    // Another mailbox.
    register("rene@b\u{fc}cher.example").await.ok(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_address_would_be_refused_today_still_logs_in() {
    let service = Service::start().await;
    let sql = "UPDATE users SET email = 'a..b@example..com' WHERE email = 'customer@example.com'";
    service.database.execute(sql).await;
    let body = json!({"business": "acme", "email": "A..B@Example..com", "password": "customer123"});
    service
        .nobody()
        .post("/api/auth/login", &body)
        .await
        .ok(200);
}
