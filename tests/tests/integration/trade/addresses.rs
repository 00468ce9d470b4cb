//! These tests replace the addresses of customers, as staff and as the customers themselves.

use domain::Authority;
use domain::demo::{ACME_CUSTOMER, GLOBEX};
use serde_json::{Value, json};
use tests::{Service, pointers};
use uuid::Uuid;

fn path(customer: impl std::fmt::Display) -> String {
    format!("/api/customers/{customer}/addresses")
}

fn address(kind: &str, line1: &str) -> Value {
    json!({"kind": kind, "line1": line1, "country": "GB"})
}

/// The first lines of the addresses of a customer or a problem.
fn lines(shown: &Value) -> Vec<&str> {
    let addresses = shown["addresses"].as_array().unwrap();
    let lines = addresses.iter().map(|one| one["line1"].as_str().unwrap());
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_replace_their_own_addresses_and_a_follower_sees_it() {
    let service = Service::start().await;
    let (admin, own) = (service.admin(), service.customer());
    let now = chrono::Utc::now().to_rfc3339();
    let since = reqwest::Url::parse_with_params("http://x/", [("updated_since", &now)]).unwrap();
    let followed = format!("/api/customers?{}", since.query().unwrap());
    let body = json!({"addresses": [address("delivery", "1 Dock Road"), address("billing", "2 High Street")]});
    let changed = own.put(&path(ACME_CUSTOMER), &body).await.ok(200);
    assert_eq!(lines(&changed), ["1 Dock Road", "2 High Street"]);
    let read = own.get(&format!("/api/customers/{ACME_CUSTOMER}")).await;
    assert_eq!(read.ok(200), changed);
    let changes = admin.get(&followed).await.ok(200);
    assert_eq!(lines(&changes["data"][0]), ["1 Dock Road", "2 High Street"]);
    // The same once more leaves no trace.
    let again = own.put(&path(ACME_CUSTOMER), &body).await.ok(200);
    assert_eq!(again, changed);
    let removed = json!({"addresses": [], "replaces": changed["addresses"]});
    let removed = own.put(&path(ACME_CUSTOMER), &removed).await.ok(200);
    assert_eq!(removed["addresses"], json!([]));
    let entries = "SELECT string_agg(actor_role || ' ' || action, ', ' ORDER BY id) FROM audit_events \
                   WHERE action = 'customer.changed'";
    let entries = service.database.value(entries).await;
    assert_eq!(
        entries,
        json!("customer customer.changed, customer customer.changed").to_string()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_somebody_has_changed_meanwhile_are_not_replaced() {
    let service = Service::start().await;
    let (staff, own) = (service.staff(), service.customer());
    let (home, dock) = (
        address("delivery", "1 Home Lane"),
        address("delivery", "2 Dock Road"),
    );
    let put = async |client: &tests::Client, addresses: Value, replaces: Value| {
        let body = json!({"addresses": addresses, "replaces": replaces});
        client.put(&path(ACME_CUSTOMER), &body).await
    };
    put(&staff, json!([home]), json!([])).await.ok(200);
    let stale = put(&own, json!([dock]), json!([])).await;
    let problem = stale.refused(409, "addresses_changed");
    assert_eq!(lines(&problem), ["1 Home Lane"]);
    assert_eq!(problem["customer_id"], ACME_CUSTOMER.to_string());
    // With what the problem shows, nothing of the others is lost.
    let both = put(&own, json!([home, dock]), problem["addresses"].clone()).await;
    assert_eq!(lines(&both.ok(200)), ["1 Home Lane", "2 Dock Road"]);
    // A retry after a lost response succeeds.
    let both = put(&own, json!([home, dock]), json!([home])).await.ok(200);
    assert_eq!(lines(&both), ["1 Home Lane", "2 Dock Road"]);
    // Two at once: one of them is told what the other has done.
    let read = both["addresses"].clone();
    let (one, two) = tokio::join!(
        put(&staff, json!([home]), read.clone()),
        put(&own, json!([dock]), read)
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_addresses_of_other_customers_and_businesses_do_not_exist() {
    let service = Service::start().await;
    let other = service.admin().add_customer("Other", "0.00").await;
    let body = json!({"addresses": [address("billing", "1 High Street")]});
    let nobody = path(Uuid::now_v7());
    for (client, path) in [
        (service.customer(), path(other)),
        (service.customer(), nobody.clone()),
        (service.staff(), nobody),
        (service.caller(GLOBEX, Authority::Admin), path(other)),
    ] {
        let _ = client
            .put(&path, &body)
            .await
            .refused(404, "customer_not_found");
    }
    let faulty = json!({"addresses": [address("home", "x")], "replaces": [{"kind": "billing", "country": "uk"}]});
    let refused = service.customer().put(&path(ACME_CUSTOMER), &faulty).await;
    let expected = [
        "/addresses/0/kind",
        "/replaces/0/line1",
        "/replaces/0/country",
    ];
    assert_eq!(pointers(&refused), expected);
    let many = json!({"addresses": vec![address("billing", "x"); 21]});
    let refused = service.customer().put(&path(ACME_CUSTOMER), &many).await;
    assert_eq!(pointers(&refused), ["/addresses"]);
}
