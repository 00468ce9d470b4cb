//! A flash sale of one unit in two browsers, which nobody reloads.

use chrono::{TimeDelta, Utc};
use serde_json::json;
use tests::Service;
use thirtyfour::prelude::*;

use super::browser::sessions;
use super::chromium::Chromium;

/// Opens a browser with the session of this cookie.
async fn buyer(service: &Service, session: &str) -> Option<Chromium> {
    let buyer = Chromium::at(service).await?;
    // A cookie is for the site of the page that is shown.
    buyer.goto("/shop/acme").await;
    let cookie = Cookie::new("tl-acme", session);
    buyer.driver.add_cookie(cookie).await.unwrap();
    Some(buyer)
}

/// Marks the document. A page that is loaded anew has no mark.
async fn mark(buyer: &Chromium) {
    let _ = buyer.run("globalThis.mark = true").await;
}

async fn is_the_same_document(buyer: &Chromium) -> bool {
    buyer.run("return globalThis.mark === true").await == true
}

/// Errors of scripts and violations of the policy. That the form for the last unit is refused for one of the two, with
/// 409, is intended.
async fn complaints(buyer: &Chromium) -> Vec<String> {
    let mut complaints = buyer.complaints().await;
    complaints.retain(|complaint| !complaint.contains("status of 409"));
    complaints
}

#[tokio::test]
async fn of_two_who_wait_for_a_sale_of_one_unit_one_holds_it_and_the_other_gets_it_on_release() {
    let service = Service::start().await;
    let admin = service.admin();
    let product = admin.add_product("LAST-1", "100.00", 1).await;
    let cookies = sessions(&service, 2).await;
    let Some(one) = buyer(&service, &cookies[0]).await else {
        return;
    };
    let Some(two) = buyer(&service, &cookies[1]).await else {
        return;
    };
    // The clock of the second browser stands still in 1970.
    let stopped = json!({"source": "Date.now = () => 0;"});
    two.devtools("Page.addScriptToEvaluateOnNewDocument", stopped)
        .await;
    let seconds = |seconds| (Utc::now() + TimeDelta::seconds(seconds)).to_rfc3339();
    let opens_at = Utc::now() + TimeDelta::seconds(8);
    let sale = json!({
        "name": "Last one", "kind": "exclusive", "opens_at": opens_at.to_rfc3339(), "closes_at": seconds(600),
        "products": [{"product_id": product, "price": "80.00"}],
    });
    admin.post("/api/sales", &sale).await.ok(201);
    let address = format!("/shop/acme/products/{product}");
    for buyer in [&one, &two] {
        buyer.goto(&address).await;
        buyer.until_text("Last one opens in").await;
        mark(buyer).await;
    }
    for buyer in [&one, &two] {
        buyer.until_text("Hold for me").await;
        assert!(Utc::now() >= opens_at, "the sale opened early");
        assert!(is_the_same_document(buyer).await);
    }
    let hold = "[formaction$='/reservations']";
    tokio::join!(one.click(hold), two.click(hold));
    let one_holds = tokio::select! {
        () = one.until_text("Held for you") => true,
        () = two.until_text("Held for you") => false,
    };
    let (holder, other) = match one_holds {
        true => (&one, &two),
        false => (&two, &one),
    };
    other.until_text("Join the waitlist").await;
    other
        .click("form[action$='/reservations'] [type=submit]")
        .await;
    other.until_text("You are number 1 in line").await;
    mark(other).await;
    holder.click("form[action$='/cancel'] [type=submit]").await;
    holder.until_text("Released").await;
    other.until_text("Held for you").await;
    assert!(is_the_same_document(other).await);
    for buyer in [&one, &two] {
        assert_eq!(complaints(buyer).await, Vec::<String>::new());
    }
    one.quit().await;
    two.quit().await;
}
