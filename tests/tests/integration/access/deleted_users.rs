//! These tests check the deletion of users: the person is anonymized, and the id stays for the audit trail.

use domain::demo::{ACME, ACME_CUSTOMER, ACME_KEYBOARD};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Reply, Service, all};

use crate::access::users::{PASSWORD, add, log_in, logged_in, new_user, refresh, trail};

async fn delete(client: &Client, path: &str) -> Reply {
    client.send(client.request(Method::DELETE, path)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_is_out_and_their_address_is_free_again() {
    let service = Service::start().await;
    let admin = service.admin();
    let path = add(&service, "leaver@example.com", "staff").await;
    let (client, refresh_token) = logged_in(&service, "leaver@example.com").await;
    assert_eq!(delete(&admin, &path).await.status, 204);
    assert_eq!(client.get("/api/auth/me").await.status, 401);
    let _ = refresh(&service, &refresh_token)
        .await
        .refused(401, "invalid_credentials");
    let id = path.rsplit('/').next().unwrap();
    for email in ["leaver@example.com", &format!("deleted:{id}")] {
        let _ = log_in(&service, email, PASSWORD)
            .await
            .refused(401, "invalid_credentials");
    }

    // The row stays, without anything of the person.
    let row = format!("SELECT email, name, role FROM users WHERE id = '{id}'");
    assert_eq!(
        service.database.row(&row).await,
        json!({"email": format!("deleted:{id}"), "name": "Deleted user", "role": "staff"})
    );
    let listed = admin.pages("/api/users", 2).await;
    assert!(listed.iter().all(|user| user["id"] != id));
    let before = service.database.digest().await;
    for change in [
        json!({"name": "Back"}),
        json!({"disabled": false}),
        json!({}),
    ] {
        let _ = admin.patch(&path, &change).await.refused(404, "not_found");
    }
    let _ = admin
        .post(&format!("{path}/password-reset"), &json!({}))
        .await
        .refused(404, "not_found");
    // A repetition deletes nothing more.
    assert_eq!(delete(&admin, &path).await.status, 204);
    assert_eq!(service.database.digest().await, before);

    let again = new_user("leaver@example.com", "staff");
    let again = admin.post("/api/users", &again).await.ok(201);
    assert_ne!(again["id"], id);
    log_in(&service, "leaver@example.com", PASSWORD)
        .await
        .ok(200);
    let _ = delete(&admin, &format!("/api/users/{}", uuid::Uuid::now_v7()))
        .await
        .refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_keeps_the_id_and_the_deletion_names_nobody() {
    let service = Service::start().await;
    let admin = service.admin();
    let path = add(&service, "leaver@example.com", "staff").await;
    let (client, _) = logged_in(&service, "leaver@example.com").await;
    let made = client.post("/api/customers", &json!({"name": "New"})).await;
    let made = made.ok(201)["id"].as_str().unwrap().to_owned();
    assert_eq!(delete(&admin, &path).await.status, 204);
    let entry = trail(&service, &path).await.pop().unwrap();
    assert_eq!(entry["action"], "user.deleted");
    let state =
        |disabled: bool| json!({"role": "staff", "customer_id": null, "disabled": disabled});
    assert_eq!(entry["before"], state(false));
    assert_eq!(entry["after"], state(true));
    let entries = admin.get(&format!("/api/audit?entity_id={made}")).await;
    let actor = &entries.ok(200)["data"][0]["actor_id"];
    assert!(path.ends_with(actor.as_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deletion_of_a_customers_user_leaves_the_customer() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut user = new_user("buyer@example.com", "customer");
    user["customer_id"] = json!(ACME_CUSTOMER);
    let made = admin.post("/api/users", &user).await;
    let path = made.header("location").to_owned();
    let (client, _) = logged_in(&service, "buyer@example.com").await;
    let sold = client.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    let customer = format!("/api/customers/{ACME_CUSTOMER}");
    let before = admin.get(&customer).await.text;
    assert_eq!(delete(&admin, &path).await.status, 204);
    assert_eq!(admin.get(&customer).await.text, before);
    let order = format!("/api/orders/{}", sold["order_id"].as_str().unwrap());
    admin.get(&order).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_is_not_deleted_and_of_two_who_delete_each_other_one_stays() {
    let (one, two) = Service::two().await;
    let sql = format!("SELECT id FROM users WHERE business_id = '{ACME}' AND role = 'admin'");
    let first = format!("/api/users/{}", one.database.value(&sql).await);
    let disabled = add(&one, "off@example.com", "admin").await;
    let body = json!({"disabled": true});
    one.admin().patch(&disabled, &body).await.ok(200);
    let before = one.database.digest().await;
    let _ = delete(&one.admin(), &first)
        .await
        .refused(409, "last_admin");
    assert_eq!(one.database.digest().await, before);
    // A disabled admin does not count, and may be deleted.
    assert_eq!(delete(&one.admin(), &disabled).await.status, 204);

    let second = add(&one, "second@example.com", "admin").await;
    let tries = [(first, one.admin()), (second, two.admin())];
    let tries = tries
        .into_iter()
        .map(|(path, client)| async move { delete(&client, &path).await.status });
    let mut statuses = all(tries).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    let left = format!("{sql} AND disabled_at IS NULL");
    assert_eq!(one.database.rows(&left).await.len(), 1);
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_users_leave_no_gap_in_the_pages_of_the_list() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut paths = Vec::new();
    for number in 0..6 {
        paths.push(add(&service, &format!("user{number}@example.com"), "staff").await);
    }
    for path in &paths[1..5] {
        assert_eq!(delete(&admin, path).await.status, 204);
    }
    let listed = admin.pages("/api/users", 2).await;
    let emails: Vec<&Value> = listed.iter().map(|user| &user["email"]).collect();
    assert_eq!(emails.len(), 4, "{emails:?}");
    assert!(emails.contains(&&json!("user0@example.com")));
    assert!(emails.contains(&&json!("user5@example.com")));
}
