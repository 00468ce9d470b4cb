//! A caller of the API, and what it gets.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use domain::demo;
use entity::{CustomerId, ProductId, SaleId};

use crate::{Service, document, events};

/// Calls the API with one credential.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as it came; of a stream the beginning.
    pub text: String,
}

impl Client {
    pub(crate) fn new(http: reqwest::Client, base: &str, token: Option<String>) -> Self {
        Self {
            http,
            base: base.to_owned(),
            token,
        }
    }

    /// The same caller by way of another instance of the service.
    #[must_use]
    pub fn at(&self, service: &Service) -> Self {
        self.at_base(&service.base)
    }

    /// The same caller by way of a service at this address, `http://127.0.0.1:…`.
    #[must_use]
    pub fn at_base(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// Its token, for requests by other means; empty without one.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or("")
    }

    /// A request to be finished by [`Client::send`]: `path` starts with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends it.
    pub async fn send(&self, request: RequestBuilder) -> Reply {
        self.try_send(request).await.unwrap()
    }

    /// Sends it, where no answer is a result too.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<Reply, reqwest::Error> {
        let response = request.send().await?;
        Ok(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: events::body(response).await?,
        })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    /// GET, as CSV.
    pub async fn csv(&self, path: &str) -> Reply {
        let request = self.request(Method::GET, path);
        self.send(request.header("Accept", "text/csv")).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::POST, path).body(body.to_string()))
            .await
    }

    /// POST with an idempotency key.
    pub async fn post_once(&self, key: &str, path: &str, body: &Value) -> Reply {
        let request = self.request(Method::POST, path);
        self.send(
            request
                .header("Idempotency-Key", key)
                .body(body.to_string()),
        )
        .await
    }

    /// PATCH.
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PATCH, path).body(body.to_string()))
            .await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PUT, path).body(body.to_string()))
            .await
    }

    /// Buys for the demo customer: product and quantity of each line.
    pub async fn buy(&self, items: &[(ProductId, i64)]) -> Reply {
        self.buy_for(demo::ACME_CUSTOMER, items).await
    }

    /// Buys for this customer.
    pub async fn buy_for(&self, customer: CustomerId, items: &[(ProductId, i64)]) -> Reply {
        self.post("/api/purchase", &purchase(customer, items)).await
    }

    /// As [`Client::buy`], with an idempotency key.
    pub async fn buy_once(&self, key: &str, items: &[(ProductId, i64)]) -> Reply {
        let body = purchase(demo::ACME_CUSTOMER, items);
        self.post_once(key, "/api/purchase", &body).await
    }

    /// Adds a customer with this credit limit; an admin's to do.
    pub async fn add_customer(&self, name: &str, credit_limit: &str) -> CustomerId {
        let body = json!({"name": name, "credit_limit": credit_limit});
        let added = self.post("/api/customers", &body).await.ok(201);
        added["id"].as_str().unwrap().parse().unwrap()
    }

    /// Adds a product with this price and stock; an admin's to do.
    pub async fn add_product(&self, sku: &str, price: &str, stock: i64) -> ProductId {
        let body = json!({"sku": sku, "name": sku, "price": price, "stock": stock});
        let added = self.post("/api/products", &body).await.ok(201);
        added["id"].as_str().unwrap().parse().unwrap()
    }

    /// Makes a sale to come of a new product with this number; an admin's to do.
    pub async fn add_sale(&self, sku: &str) -> SaleId {
        let product = self.add_product(sku, "10.00", 5).await;
        let body = json!({"name": sku, "products": [{"product_id": product, "price": "8.00"}],
                          "opens_at": "2998-12-31T00:00:00Z", "closes_at": "2999-01-01T00:00:00Z"});
        let made = self.post("/api/sales", &body).await.ok(201);
        made["sale_id"].as_str().unwrap().parse().unwrap()
    }
}

/// The body of a purchase.
#[must_use]
pub fn purchase(customer: CustomerId, items: &[(ProductId, i64)]) -> Value {
    let items: Vec<Value> = items
        .iter()
        .map(|(product, quantity)| json!({"product_id": product, "quantity": quantity}))
        .collect();
    json!({"customer_id": customer, "items": items})
}

impl Reply {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body of a success with this status.
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The body of a refusal with this status and code, after a look at what all refusals have in common.
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["request_id"], self.header("x-request-id"), "{body}");
        for member in ["type", "title", "detail", "instance"] {
            assert!(body[member].is_string(), "{member} in {body}");
        }
        document::check_problem(&body);
        body
    }
}
