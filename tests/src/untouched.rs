//! This module asserts that a rejected request changes nothing, and reads where its faults are.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Client, Reply, Route, Service};

/// A service, one of its admins, and the digest of its database at the start.
pub struct Untouched {
    pub service: Service,
    pub admin: Client,
    before: Vec<Value>,
}

impl Untouched {
    pub async fn start() -> Self {
        let service = Service::start().await;
        Self {
            admin: service.admin(),
            before: service.database.digest().await,
            service,
        }
    }

    pub async fn check(&self) {
        assert_eq!(self.service.database.digest().await, self.before);
    }

    pub async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        let request = self.admin.request(method, path).body(body);
        self.admin.send(request).await
    }

    /// Sends a request with the highest authority that the route accepts.
    pub async fn send_to(
        &self,
        route: &Route,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let client = route.best_caller(&self.service);
        let request = client.request(route.method.clone(), path).body(body);
        client.send(request).await
    }

    pub async fn purchase(&self, body: impl Into<reqwest::Body>) -> Reply {
        self.send(Method::POST, "/api/purchase", body).await
    }

    /// Sends a purchase with this one line for the demo customer.
    pub async fn line(&self, line: Value) -> Reply {
        let body = json!({"customer_id": ACME_CUSTOMER, "items": [line]});
        self.purchase(body.to_string()).await
    }
}

/// JSON pointers of the faults of a 422 `validation_failed`, in order.
pub fn pointers(reply: &Reply) -> Vec<String> {
    let body = reply.refused(422, "validation_failed");
    let faults = body["errors"].as_array().unwrap().iter();
    faults
        .map(|fault| {
            assert!(!fault["message"].as_str().unwrap().is_empty(), "{body}");
            fault["pointer"].as_str().unwrap().to_owned()
        })
        .collect()
}

pub fn sorted(mut pointers: Vec<String>) -> Vec<String> {
    pointers.sort();
    pointers
}

/// The path of the demo customer.
#[must_use]
pub fn customer_path() -> String {
    format!("/api/customers/{ACME_CUSTOMER}")
}

/// The path of the headphones' stock.
#[must_use]
pub fn stock_path() -> String {
    format!("/api/inventory/{ACME_HEADPHONES}")
}
