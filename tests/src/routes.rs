//! The endpoints as the service's own document lists them, so that a test over all of them covers a new one by itself.

use domain::demo;
use reqwest::Method;
use serde_json::{Value, json};

use uuid::Uuid;

use crate::{ACME_KEY, Client, REFRESH_TOKEN, Reply, Service};

/// An operation of the document.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, with `{id}` in it.
    pub path: String,
    /// All that the document says of it.
    pub operation: Value,
}

/// An address that no user has.
fn new_address() -> String {
    format!("{}@example.com", Uuid::now_v7())
}

impl Route {
    /// Every operation of the document that the service publishes.
    pub async fn all(service: &Service) -> Vec<Self> {
        let document = service.nobody().get("/openapi.json").await.ok(200);
        let paths = document["paths"].as_object().unwrap();
        let routes: Vec<Self> = paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().iter().map(|(method, operation)| {
                    let method = method.to_uppercase();
                    Self {
                        method: Method::from_bytes(method.as_bytes()).unwrap(),
                        path: path.clone(),
                        operation: operation.clone(),
                    }
                })
            })
            .collect();
        assert!(routes.len() > 15, "the document has lost its operations");
        routes
    }

    /// `GET /api/products/{id}`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether its path has an id in it.
    #[must_use]
    pub fn has_id(&self) -> bool {
        self.path.contains('{')
    }

    /// Whether it is the platform's, and of no business.
    #[must_use]
    pub fn is_platforms(&self) -> bool {
        self.operation["x-roles"] == json!(["platform"])
    }

    /// A client that may do the most with it.
    #[must_use]
    pub fn best_caller(&self, service: &Service) -> Client {
        if self.is_platforms() {
            service.platform()
        } else if self.operation["x-roles"] == json!(["customer"]) {
            service.customer()
        } else {
            service.admin()
        }
    }

    /// Whether it takes a body.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.operation.get("requestBody").is_some()
    }

    /// Its path with this id.
    #[must_use]
    pub fn with_id(&self, id: &str) -> String {
        let Some((start, rest)) = self.path.split_once('{') else {
            return self.path.clone();
        };
        let (_, end) = rest.split_once('}').unwrap();
        assert!(!end.contains('{'), "a path with two ids: {}", self.path);
        format!("{start}{id}{end}")
    }

    /// An id of Acme's that the path is good with; orders need one that has been made.
    #[must_use]
    pub fn id_at_acme(&self, order: &str) -> String {
        match self.path.split('/').nth(2) {
            Some("customers") => demo::ACME_CUSTOMER.to_string(),
            Some("products" | "inventory") => demo::ACME_HEADPHONES.to_string(),
            Some("orders") => order.to_owned(),
            Some("users") => demo::ACME_BUYER.to_string(),
            Some("api-keys") => ACME_KEY.to_string(),
            _ => panic!("say here which id {} is about", self.path),
        }
    }

    /// A body that nothing is wrong with, and that changes something where it is let.
    #[must_use]
    pub fn good_body(&self) -> Value {
        match self.name().as_str() {
            "POST /api/auth/login" => {
                json!({"business": "acme", "email": "admin@example.com", "password": "admin123"})
            }
            "POST /api/businesses" => json!({
                "name": "Initech", "slug": format!("initech-{}", uuid::Uuid::now_v7().simple()), "currency": "EUR",
                "admin": {"email": "admin@initech.example", "password": "correct horse battery"},
            }),
            "PATCH /api/business" => json!({"name": "Acme Renamed"}),
            "POST /api/auth/register" => json!({
                "business": "acme", "email": new_address(), "password": "correct horse", "name": "Newcomer",
            }),
            "POST /api/auth/refresh" => json!({"refresh_token": REFRESH_TOKEN}),
            "POST /api/auth/logout" => json!({"refresh_token": "none that anyone has"}),
            "POST /api/users" => json!({
                "email": new_address(), "name": "Colleague", "password": "correct horse", "role": "staff",
            }),
            "PATCH /api/users/{id}" => json!({"name": "Renamed"}),
            "POST /api/api-keys" => json!({"name": "Script", "role": "staff"}),
            "POST /api/customers" => json!({"name": "Newcomer"}),
            "PATCH /api/customers/{id}" => json!({"name": "Renamed"}),
            "POST /api/products" => json!({"sku": "NEW-1", "name": "Novelty", "price": "1.00"}),
            "PUT /api/products/{id}" => json!({"sku": "NEW-2", "name": "Other", "price": "2.00"}),
            "PATCH /api/products/{id}" => json!({"price": "3.00"}),
            "PATCH /api/inventory/{product_id}" => json!({"set": 7, "reason": "stocktake"}),
            "POST /api/purchase" => json!({
                "customer_id": demo::ACME_CUSTOMER,
                "items": [{"product_id": demo::ACME_HEADPHONES, "quantity": 1}],
            }),
            other => panic!("say here what a good body of {other} is"),
        }
    }

    /// Sends it as this client, with a good body if it takes one.
    pub async fn send(&self, client: &Client, id: &str) -> Reply {
        let request = client.request(self.method.clone(), &self.with_id(id));
        let request = if self.has_body() {
            request.body(self.good_body().to_string())
        } else {
            request
        };
        client.send(request).await
    }
}
