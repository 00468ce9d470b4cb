//! This module lists the endpoints of the service's OpenAPI document, so that a test over all of them tries each new
//! endpoint. A valid body and an id of each are listed by hand, in `good_body` and `id_at_acme`.

use domain::{Authority, demo};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use uuid::Uuid;

use tradeline::access::token::Claims;

use crate::{
    ACME_KEY, BUYERS_LOGIN, Client, REFRESH_TOKEN, RESET_CODE, Reply, SECRET, Service, claims,
    pictures, signed,
};

/// One operation of the document.
#[derive(Debug, Clone)]
pub struct Route {
    /// The HTTP method.
    pub method: Method,
    /// The path with its placeholder, such as `/api/orders/{order_id}`.
    pub path: String,
    /// The operation object of the document.
    pub operation: Value,
}

/// Ids that a few transactions at Acme have created, for paths that need one.
#[derive(Debug, Clone)]
pub struct Traded {
    /// An unpaid order of Acme's customer.
    pub order: String,
    /// Another unpaid order, which a test may cancel.
    cancellable: String,
    payment: String,
    credit_note: String,
    write_off: String,
    /// A customer with credit on account, to whom the payout was made.
    creditor: String,
    payout: String,
    /// An order of Acme's customer that can be fulfilled.
    fulfillable: String,
    /// An order that was paid by card.
    refundable: String,
    /// Intents of two unpaid orders by card: the first to be paid, the second to be declined.
    intents: [String; 2],
    /// Reservations; each test resolves each of them at most once.
    pub held: [String; 3],
    sale: String,
    /// The picture of another product than the headphones.
    pub picture: String,
    /// A user whom a test may delete.
    leaver: String,
}

impl Traded {
    /// Makes the transactions at Acme through the API.
    pub async fn at(service: &Service) -> Self {
        let admin = service.admin();
        let id = |made: &Value, member: &str| made[member].as_str().unwrap().to_owned();
        let customer = format!("/api/customers/{}", demo::ACME_CUSTOMER);
        let named = json!({"reference": "ACME-1"});
        admin.patch(&customer, &named).await.ok(200);
        let mut orders = Vec::new();
        for _ in 0..4 {
            let made = admin.buy(&[(demo::ACME_HEADPHONES, 1)]).await.ok(201);
            orders.push(id(&made, "order_id"));
        }
        let settled = &orders[0];
        let payment = json!({"customer_id": demo::ACME_CUSTOMER, "amount": "5.00", "method": "cash", "order_id": settled});
        let payment = admin.post("/api/payments", &payment).await.ok(201);
        let body = json!({"amount": "5.00", "reason": "scratched"});
        let make = async |what: &str| {
            let made = admin
                .post(&format!("/api/orders/{settled}/{what}"), &body)
                .await;
            made.ok(201)
        };
        let creditor = admin.add_customer("Creditor", "0.00").await;
        let ahead = json!({"customer_id": creditor, "amount": "100.00", "method": "cash", "on_account": true});
        admin.post("/api/payments", &ahead).await.ok(201);
        let body_of_payout = json!({"amount": "1.00", "method": "cash"});
        let path = format!("/api/customers/{creditor}/payouts");
        let payout = admin.post(&path, &body_of_payout).await.ok(201);
        // This comes before any reservation, because a customer's order uses up that customer's own holds.
        let refundable = admin.order_by_card(&[(demo::ACME_KEYBOARD, 1)]).await;
        service.pay(&refundable).await.ok(200);
        let mut intents = Vec::new();
        for _ in 0..2 {
            let made = admin.checkout(&[(demo::ACME_KEYBOARD, 1)]).await.ok(201);
            let secret = id(&made, "client_secret");
            intents.push(secret.strip_suffix("_secret").unwrap().to_owned());
        }
        let leaver = json!({"email": new_address(), "name": "Leaver", "password": "correct horse", "role": "staff"});
        let leaver = admin.post("/api/users", &leaver).await.ok(201);
        let mut held = Vec::new();
        for _ in 0..3 {
            let items = json!([{"product_id": demo::ACME_KEYBOARD, "quantity": 1}]);
            let body = json!({"customer_id": demo::ACME_CUSTOMER, "items": items});
            let made = admin.post("/api/reservations", &body).await.ok(201);
            held.push(id(&made, "reservation_id"));
        }
        Self {
            refundable,
            intents: intents.try_into().unwrap(),
            held: held.try_into().unwrap(),
            picture: pictures::of(&admin, demo::ACME_KEYBOARD).await,
            payment: id(&payment, "payment_id"),
            leaver: id(&leaver, "id"),
            creditor: creditor.to_string(),
            payout: id(&payout, "payout_id"),
            credit_note: id(&make("credit-notes").await, "credit_note_id"),
            write_off: id(&make("write-offs").await, "write_off_id"),
            // Each call needs a new product, because a test may call it twice.
            sale: admin
                .add_sale(&format!("OFFER-{}", Uuid::now_v7()))
                .await
                .to_string(),
            cancellable: orders.pop().unwrap(),
            fulfillable: orders.pop().unwrap(),
            order: orders.pop().unwrap(),
        }
    }
}

/// A unique email address that no user has.
fn new_address() -> String {
    format!("{}@example.com", Uuid::now_v7())
}

impl Route {
    /// Reads every operation of the document that the service publishes.
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
        assert!(routes.len() > 15, "the document has no operations");
        routes
    }

    /// The method and path, such as `GET /api/products/{product_id}`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// True if the path has a placeholder for an id.
    #[must_use]
    pub fn has_id(&self) -> bool {
        self.path.contains('{')
    }

    /// True if the credential is a signature of the body: a webhook.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let parameters = self.operation["parameters"].as_array().unwrap();
        let mut names = parameters.iter().map(|parameter| &parameter["name"]);
        names.any(|name| name == "Stripe-Signature")
    }

    /// True if only the platform may call the endpoint; it belongs to no business.
    #[must_use]
    pub fn is_platforms(&self) -> bool {
        self.operation["x-roles"] == json!(["platform"])
    }

    /// A client with the highest authority that the endpoint accepts.
    #[must_use]
    pub fn best_caller(&self, service: &Service) -> Client {
        if self.is_platforms() {
            service.platform()
        } else if self.path == "/api/auth/password" {
            // Only users have a password. Their login goes on.
            let buyer = Claims {
                user_id: demo::ACME_BUYER,
                login: Some(BUYERS_LOGIN),
                ..claims(demo::ACME, Authority::Customer(demo::ACME_CUSTOMER))
            };
            service.bearer(&signed(&buyer, SECRET))
        } else if self.operation["x-roles"] == json!(["customer"]) {
            service.customer()
        } else {
            service.admin()
        }
    }

    /// True if the endpoint takes a JSON body that a test may write. A signed body is excluded, because its sender
    /// determines every byte.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.operation.get("requestBody").is_some()
            && !self.is_signed()
            && !self.takes_table()
            && !self.takes_picture()
    }

    /// True if the endpoint takes a picture.
    #[must_use]
    pub fn takes_picture(&self) -> bool {
        self.operation["requestBody"]["content"]["image/png"].is_object()
    }

    /// True if the endpoint takes a CSV table.
    #[must_use]
    pub fn takes_table(&self) -> bool {
        self.operation["requestBody"]["content"]["text/csv"].is_object()
    }

    /// The request with a valid body, if the endpoint takes one.
    pub fn with_body(&self, request: RequestBuilder) -> RequestBuilder {
        if self.takes_table() {
            request
                .header("content-type", "text/csv")
                .body(self.good_table())
        } else if self.takes_picture() {
            request
                .header("content-type", "image/png")
                .body(pictures::new())
        } else if self.has_body() {
            request.body(self.good_body().to_string())
        } else {
            request
        }
    }

    /// A valid table, which changes something if the caller is allowed to.
    fn good_table(&self) -> String {
        match self.path.rsplit('/').next() {
            Some("customers") => "name\nNewcomer\n".to_owned(),
            Some("products") => format!("sku,name,price\nNEW-{},Novelty,1.00\n", Uuid::now_v7()),
            Some("stock") => "sku,quantity\nHDP-001,500\n".to_owned(),
            // The reference of Acme's customer is that of `Traded`.
            Some("balances") => format!(
                "customer_reference,reference,amount,issued_on\nACME-1,OLD-{},1.00,2024-01-02\n",
                Uuid::now_v7()
            ),
            _ => panic!("add a valid table of {} here", self.name()),
        }
    }

    /// True if the endpoint refuses a request without a body.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        self.has_body() && self.operation["requestBody"]["required"] == true
    }

    /// The path with this id in place of the placeholder.
    #[must_use]
    pub fn with_id(&self, id: &str) -> String {
        let Some((start, rest)) = self.path.split_once('{') else {
            return self.path.clone();
        };
        let (_, end) = rest.split_once('}').unwrap();
        assert!(!end.contains('{'), "a path with two ids: {}", self.path);
        format!("{start}{id}{end}")
    }

    /// An id of Acme's that the endpoint accepts; for some endpoints it comes from [`Traded`].
    #[must_use]
    pub fn id_at_acme(&self, traded: &Traded) -> String {
        match self.path.split('/').nth(2) {
            Some("orders") if self.path.ends_with("/cancel") => traded.cancellable.clone(),
            Some("orders") if self.path.ends_with("/fulfill") => traded.fulfillable.clone(),
            Some("orders") if self.path.ends_with("/refund") => traded.refundable.clone(),
            Some("dev") => {
                let [to_pay, to_decline] = &traded.intents;
                let is_paid = self.path.ends_with("/succeed");
                if is_paid { to_pay } else { to_decline }.clone()
            }
            Some("customers") if self.path.ends_with("/payouts") => traded.creditor.clone(),
            Some("customers") => demo::ACME_CUSTOMER.to_string(),
            // It has a picture.
            Some("products") if self.path.ends_with("/picture") => demo::ACME_KEYBOARD.to_string(),
            Some("products" | "inventory") => demo::ACME_HEADPHONES.to_string(),
            Some("orders") => traded.order.clone(),
            Some("reservations") => {
                let [to_confirm, to_cancel, to_keep] = &traded.held;
                match self.path.rsplit('/').next() {
                    Some("confirm") => to_confirm.clone(),
                    Some("cancel") => to_cancel.clone(),
                    _ => to_keep.clone(),
                }
            }
            Some("payments") => traded.payment.clone(),
            Some("payouts") => traded.payout.clone(),
            Some("credit-notes") => traded.credit_note.clone(),
            Some("sales") => traded.sale.clone(),
            Some("write-offs") => traded.write_off.clone(),
            Some("users") if self.method == Method::DELETE => traded.leaver.clone(),
            Some("businesses") => demo::ACME.to_string(),
            Some("users") => demo::ACME_BUYER.to_string(),
            Some("api-keys") => ACME_KEY.to_string(),
            _ => panic!("add an id for {} here", self.path),
        }
    }

    /// A valid body, which changes something if the caller is allowed to.
    #[expect(clippy::too_many_lines, reason = "a table")]
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
            "POST /api/auth/password" => json!({"old": "customer123", "new": "battery staple"}),
            "POST /api/auth/password-reset" => json!({
                "business": "globex", "email": "admin@globex.example", "code": RESET_CODE, "new": "battery staple",
            }),
            "POST /api/businesses/{business_id}/admin-reset" => json!({}),
            "POST /api/auth/refresh" => json!({"refresh_token": REFRESH_TOKEN}),
            "POST /api/auth/logout" => json!({"refresh_token": "a password that no user has"}),
            "POST /api/users" => json!({
                "email": new_address(), "name": "Colleague", "password": "correct horse", "role": "staff",
            }),
            "PATCH /api/users/{user_id}" => json!({"name": "Renamed"}),
            "POST /api/api-keys" => json!({"name": "Script", "role": "staff"}),
            "POST /api/customers" => json!({"name": "Newcomer"}),
            "PATCH /api/customers/{customer_id}" => json!({"name": "Renamed"}),
            "PUT /api/customers/{customer_id}/addresses" => {
                json!({"addresses": [{"kind": "billing", "line1": "1 Main Street", "country": "US"}]})
            }
            "POST /api/products" => json!({"sku": "NEW-1", "name": "Novelty", "price": "1.00"}),
            "PUT /api/products/{product_id}" => {
                json!({"sku": "NEW-2", "name": "Other", "price": "2.00"})
            }
            "PATCH /api/products/{product_id}" => json!({"price": "3.00"}),
            // The sale is open, so that its product can still be sold.
            "POST /api/sales" => json!({
                "name": "For ages", "products": [{"product_id": demo::ACME_KEYBOARD}],
                "opens_at": "2020-01-01T00:00:00Z", "closes_at": "2999-01-01T00:00:00Z",
            }),
            "PATCH /api/sales/{sale_id}" => json!({"name": "Renamed"}),
            "PATCH /api/inventory/{product_id}" => json!({"set": 7, "reason": "stocktake"}),
            "POST /api/inventory/movements" => json!({
                "lines": [{"product_id": demo::ACME_HEADPHONES, "quantity": 1, "reason": "received"}],
            }),
            "POST /api/purchase" => json!({
                "customer_id": demo::ACME_CUSTOMER,
                "items": [{"product_id": demo::ACME_HEADPHONES, "quantity": 1}],
            }),
            "POST /api/orders/checkout" => json!({
                "customer_id": demo::ACME_CUSTOMER,
                "items": [{"product_id": demo::ACME_HEADPHONES, "quantity": 1}],
            }),
            "PATCH /api/orders/{order_id}" => json!({"reference": "PO-1"}),
            "POST /api/orders/{order_id}/fulfill" => json!({"tracking_reference": "1Z999"}),
            "POST /api/reservations" => json!({
                "customer_id": demo::ACME_CUSTOMER,
                "items": [{"product_id": demo::ACME_HEADPHONES, "quantity": 1}],
            }),
            "POST /api/reservations/{reservation_id}/confirm" => {
                json!({"payment_method": "credit"})
            }
            "POST /api/payments" => json!({
                "customer_id": demo::ACME_CUSTOMER, "amount": "1.00", "method": "cash", "on_account": true,
            }),
            "POST /api/customers/{customer_id}/allocations" => json!({}),
            "POST /api/customers/{customer_id}/payouts" => {
                json!({"amount": "1.00", "method": "cash"})
            }
            "POST /api/orders/{order_id}/credit-notes"
            | "POST /api/orders/{order_id}/refund"
            | "POST /api/orders/{order_id}/write-offs" => {
                json!({"amount": "1.00", "reason": "a scratch"})
            }
            "POST /api/payments/{payment_id}/reverse"
            | "POST /api/payouts/{payout_id}/reverse"
            | "POST /api/credit-notes/{credit_note_id}/reverse"
            | "POST /api/write-offs/{write_off_id}/reverse" => json!({"reason": "a mistake"}),
            other => panic!("add a valid body of {other} here"),
        }
    }

    /// Sends the request as this client, with a valid body if the endpoint takes one.
    pub async fn send(&self, client: &Client, id: &str) -> Reply {
        let request = client.request(self.method.clone(), &self.with_id(id));
        client.send(self.with_body(request)).await
    }
}
