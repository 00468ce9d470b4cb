//! This module holds an HTTP client of the API and the responses that it receives.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use domain::demo;
use entity::{CustomerId, ProductId, SaleId};

use crate::{Service, document, events};

/// Calls one service with one credential, or with none.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// A response of the service.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// The response headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as received. For an event stream, the body up to the end of the first event.
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

    /// Returns the same caller for another instance of the service.
    #[must_use]
    pub fn at(&self, service: &Service) -> Self {
        self.at_base(&service.base)
    }

    /// Returns the same caller for a service at this address, `http://127.0.0.1:…`.
    #[must_use]
    pub fn at_base(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// The bearer token, for requests that other means send. Empty if the caller has none.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or("")
    }

    /// Prepares a request for [`Client::send`]. `path` starts with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and panics if the connection fails.
    pub async fn send(&self, request: RequestBuilder) -> Reply {
        self.try_send(request).await.unwrap()
    }

    /// Sends a request in a test where a failed connection is an expected result.
    ///
    /// # Errors
    /// The connection failed before the response was complete.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<Reply, reqwest::Error> {
        let response = request.send().await?;
        Ok(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: events::body(response).await?,
        })
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends a GET request that accepts `text/csv`.
    pub async fn csv(&self, path: &str) -> Reply {
        let request = self.request(Method::GET, path);
        self.send(request.header("Accept", "text/csv")).await
    }

    /// Sends a POST request without an idempotency key.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::POST, path).body(body.to_string()))
            .await
    }

    /// Sends a POST request with an idempotency key.
    pub async fn post_once(&self, key: &str, path: &str, body: &Value) -> Reply {
        let request = self.request(Method::POST, path);
        self.send(
            request
                .header("Idempotency-Key", key)
                .body(body.to_string()),
        )
        .await
    }

    /// Sends a PATCH request with this JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PATCH, path).body(body.to_string()))
            .await
    }

    /// Sends a PUT request with this JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PUT, path).body(body.to_string()))
            .await
    }

    /// Prepares a PUT request with a file of this media type.
    pub fn file(&self, path: &str, media_type: &str, bytes: Vec<u8>) -> RequestBuilder {
        let request = self.request(Method::PUT, path);
        request.header("Content-Type", media_type).body(bytes)
    }

    /// Sends a PUT request with a PNG file.
    pub async fn put_png(&self, path: &str, bytes: Vec<u8>) -> Reply {
        self.send(self.file(path, "image/png", bytes)).await
    }

    /// Reads a file, and panics with the body of another response than 200.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let response = self.request(Method::GET, path).send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        bytes.to_vec()
    }

    /// Purchases on credit for the demo customer. Each item is a product and a quantity.
    pub async fn buy(&self, items: &[(ProductId, i64)]) -> Reply {
        self.buy_for(demo::ACME_CUSTOMER, items).await
    }

    /// Purchases on credit for this customer. Each item is a product and a quantity.
    pub async fn buy_for(&self, customer: CustomerId, items: &[(ProductId, i64)]) -> Reply {
        self.post("/api/purchase", &purchase(customer, items)).await
    }

    /// Calls [`Client::buy`] with an idempotency key.
    pub async fn buy_once(&self, key: &str, items: &[(ProductId, i64)]) -> Reply {
        let body = purchase(demo::ACME_CUSTOMER, items);
        self.post_once(key, "/api/purchase", &body).await
    }

    /// Creates a customer with this credit limit, in major units. Needs the role admin.
    pub async fn add_customer(&self, name: &str, credit_limit: &str) -> CustomerId {
        let body = json!({"name": name, "credit_limit": credit_limit});
        let added = self.post("/api/customers", &body).await.ok(201);
        added["id"].as_str().unwrap().parse().unwrap()
    }

    /// Creates a product with this price, in major units, and this number on hand. Needs the role admin.
    pub async fn add_product(&self, sku: &str, price: &str, stock: i64) -> ProductId {
        let body = json!({"sku": sku, "name": sku, "price": price, "stock": stock});
        let added = self.post("/api/products", &body).await.ok(201);
        added["id"].as_str().unwrap().parse().unwrap()
    }

    /// Creates a product with this SKU and a sale of it that opens in the year 2998. Needs the role admin.
    pub async fn add_sale(&self, sku: &str) -> SaleId {
        let product = self.add_product(sku, "10.00", 5).await;
        let body = json!({"name": sku, "products": [{"product_id": product, "price": "8.00"}],
                          "opens_at": "2998-12-31T00:00:00Z", "closes_at": "2999-01-01T00:00:00Z"});
        let made = self.post("/api/sales", &body).await.ok(201);
        made["sale_id"].as_str().unwrap().parse().unwrap()
    }
}

/// The JSON body of a purchase. Each item is a product and a quantity.
#[must_use]
pub fn purchase(customer: CustomerId, items: &[(ProductId, i64)]) -> Value {
    let items: Vec<Value> = items
        .iter()
        .map(|(product, quantity)| json!({"product_id": product, "quantity": quantity}))
        .collect();
    json!({"customer_id": customer, "items": items})
}

impl Reply {
    /// Parses the body as JSON and panics with the text if it is something else.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The value of a header; empty if the header is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a success with this status and returns its body.
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// Asserts a problem with this status and code and returns its body. Checks the members that all problems share,
    /// and the schema of this code in the OpenAPI document.
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
