//! These tests check that a customer's order first uses that customer's own holds and waitlist position.

use entity::{CustomerId, ProductId};
use serde_json::{Value, json};
use tests::{Reply, Service, books_balance};

struct Shop {
    service: Service,
    /// The buyer and two other customers.
    customers: [CustomerId; 3],
}

impl Shop {
    async fn open() -> Self {
        let service = Service::start().await;
        let admin = service.admin();
        let mut customers = Vec::new();
        for name in ["Buyer", "Other", "Third"] {
            customers.push(admin.add_customer(name, "10000.00").await);
        }
        Self {
            service,
            customers: customers.try_into().unwrap(),
        }
    }

    async fn product(&self, stock: i64) -> ProductId {
        let sku = format!("OWN-{stock}");
        self.service.admin().add_product(&sku, "10.00", stock).await
    }

    async fn price(&self, product: ProductId, price: &str) {
        let path = format!("/api/products/{product}");
        let body = json!({"price": price});
        let _ = self.service.admin().patch(&path, &body).await.ok(200);
    }

    /// Holds these items, or joins the waitlist if it is one item; returns the reservation's path.
    async fn reserve(&self, who: usize, items: &[(ProductId, i64)]) -> String {
        let items: Vec<Value> = items
            .iter()
            .map(|(id, quantity)| json!({"product_id": id, "quantity": quantity}))
            .collect();
        let wait = items.len() == 1;
        let body = json!({"customer_id": self.customers[who], "items": items, "wait": wait, "ttl_seconds": 600});
        let made = self.service.staff().post("/api/reservations", &body).await;
        assert!([201, 202].contains(&made.status), "{}", made.text);
        made.header("location").to_owned()
    }

    async fn buy(&self, who: usize, items: &[(ProductId, i64)]) -> Reply {
        let staff = self.service.staff();
        staff.buy_for(self.customers[who], items).await
    }

    async fn checkout(&self, who: usize, items: &[(ProductId, i64)]) -> Reply {
        let body = tests::purchase(self.customers[who], items);
        let staff = self.service.staff();
        staff.post("/api/orders/checkout", &body).await
    }

    /// The status of a reservation and the quantity of each of its items.
    async fn seen(&self, path: &str) -> (String, Vec<i64>) {
        let seen = self.service.staff().get(path).await.ok(200);
        let items = seen["items"].as_array().unwrap().iter();
        let quantities = items.map(|item| item["quantity"].as_i64().unwrap());
        (
            seen["status"].as_str().unwrap().to_owned(),
            quantities.collect(),
        )
    }

    /// The product's `on_hand` and `reserved`.
    async fn stock(&self, product: ProductId) -> (i64, i64) {
        let path = format!("/api/inventory/{product}");
        let stock = self.service.staff().get(&path).await.ok(200);
        let count = |name: &str| stock[name].as_i64().unwrap();
        (count("on_hand"), count("reserved"))
    }
}

fn active(items: &[i64]) -> (String, Vec<i64>) {
    ("active".to_owned(), items.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_takes_what_it_buys_of_the_oldest_hold_and_the_rest_stays_held() {
    let shop = Shop::open().await;
    let (one, two) = (shop.product(10).await, shop.product(5).await);
    let first = shop.reserve(0, &[(one, 3)]).await;
    let second = shop.reserve(0, &[(one, 4), (two, 2)]).await;
    shop.buy(0, &[(one, 2)]).await.ok(201);
    assert_eq!(shop.seen(&first).await, active(&[1]));
    assert_eq!(shop.seen(&second).await, active(&[4, 2]));
    assert_eq!(shop.stock(one).await, (8, 5));
    books_balance(&shop.service).await;
    // The order uses up the first hold and a part of the second, whose other product stays held.
    let order = shop.buy(0, &[(one, 3)]).await.ok(201);
    let used = shop.service.staff().get(&first).await.ok(200);
    assert_eq!(
        (&used["status"], &used["order_id"]),
        (&json!("confirmed"), &order["order_id"])
    );
    assert_eq!(shop.seen(&second).await, active(&[2, 2]));
    shop.buy(0, &[(one, 2)]).await.ok(201);
    assert_eq!(shop.seen(&second).await, active(&[2]));
    assert_eq!(
        (shop.stock(one).await, shop.stock(two).await),
        ((3, 0), (5, 2))
    );
    books_balance(&shop.service).await;
    // A confirmation orders only the remaining items.
    let confirm = format!("{second}/confirm");
    let body = json!({"payment_method": "credit"});
    let confirmed = shop.service.staff().post(&confirm, &body).await.ok(201);
    assert_eq!(confirmed["total_amount"], "20.00");
    assert_eq!(confirmed["items"].as_array().unwrap().len(), 1);
    books_balance(&shop.service).await;
    // The audit trail records each reduction.
    let sql = "SELECT (before->>'quantity') || '>' || (after->>'quantity')
                 FROM audit_events WHERE action = 'reservation.reduced' ORDER BY id";
    let trail = shop.service.database.column(sql).await;
    assert_eq!(trail, ["3>1", "4>2", "2>0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_by_card_takes_of_a_hold_what_it_orders() {
    let shop = Shop::open().await;
    let product = shop.product(5).await;
    let hold = shop.reserve(0, &[(product, 5)]).await;
    shop.checkout(1, &[(product, 1)])
        .await
        .refused(409, "insufficient_stock");
    let order = shop.checkout(0, &[(product, 2)]).await.ok(201);
    assert_eq!(shop.seen(&hold).await, active(&[3]));
    assert_eq!(shop.stock(product).await, (5, 5));
    books_balance(&shop.service).await;
    let _ = shop.service.pay(&tests::id_of(&order)).await.ok(200);
    assert_eq!(shop.stock(product).await, (3, 3));
    // The rest can be confirmed by card too.
    let body = json!({"payment_method": "card"});
    let confirm = format!("{hold}/confirm");
    let confirmed = shop.service.staff().post(&confirm, &body).await.ok(201);
    assert_eq!(confirmed["total_amount"], "30.00");
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_units_are_bought_at_their_reserved_price_and_no_order_has_two_prices() {
    let shop = Shop::open().await;
    let product = shop.product(10).await;
    let hold = shop.reserve(0, &[(product, 3)]).await;
    shop.price(product, "12.00").await;
    let order = shop.buy(0, &[(product, 1)]).await.ok(201);
    assert_eq!(order["total_amount"], "10.00");
    let refused = shop.buy(0, &[(product, 5)]).await;
    let refused = refused.refused(409, "prices_differ");
    assert_eq!(refused["product_id"], json!(product));
    let prices =
        json!([{"quantity": 2, "unit_price": "10.00"}, {"quantity": 3, "unit_price": "12.00"}]);
    assert_eq!(refused["prices"], prices);
    // A quoted price is compared with the price of the units that the order would take.
    let staff = shop.service.staff();
    for (quantity, quoted, status) in [(2, "12.00", 409), (2, "10.00", 201), (3, "12.00", 201)] {
        let body = json!({"customer_id": shop.customers[0], "items": [
            {"product_id": product, "quantity": quantity, "unit_price": quoted},
        ]});
        let reply = staff.post("/api/purchase", &body).await;
        assert_eq!(reply.status, status, "{}", reply.text);
        if status == 409 {
            assert_eq!(reply.refused(409, "price_changed")["current"], "10.00");
        }
    }
    assert_eq!(shop.seen(&hold).await.0, "confirmed");
    assert_eq!(shop.stock(product).await, (4, 0));
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_the_waitlist_buys_unreserved_units_and_keeps_the_place_for_the_rest() {
    let shop = Shop::open().await;
    let product = shop.product(10).await;
    let held = shop.reserve(2, &[(product, 7)]).await;
    let first = shop.reserve(0, &[(product, 5)]).await;
    let second = shop.reserve(1, &[(product, 1)]).await;
    // Three units are unreserved, but only the first customer on the waitlist may take them.
    for who in [1, 2] {
        let more = if who == 2 { 8 } else { 1 };
        let refused = shop.buy(who, &[(product, more)]).await;
        let _ = refused.refused(409, "insufficient_stock");
    }
    let refused = shop.buy(0, &[(product, 4)]).await;
    let refused = refused.refused(409, "insufficient_stock");
    assert_eq!(refused["shortages"][0]["available"], 3);
    shop.buy(0, &[(product, 2)]).await.ok(201);
    assert_eq!(shop.seen(&first).await, ("waiting".to_owned(), vec![3]));
    assert_eq!(shop.stock(product).await, (8, 7));
    // An order by card may take them too.
    shop.checkout(0, &[(product, 1)]).await.ok(201);
    let rest = shop.service.staff().get(&first).await.ok(200);
    assert_eq!(
        (&rest["place"], &rest["items"][0]["quantity"]),
        (&json!(1), &json!(2))
    );
    books_balance(&shop.service).await;
    let cancel = format!("{held}/cancel");
    shop.service.staff().post(&cancel, &json!({})).await.ok(200);
    assert_eq!(shop.seen(&first).await, active(&[2]));
    assert_eq!(shop.seen(&second).await, active(&[1]));
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waitlist_position_does_not_use_up_the_discount_of_its_own_order() {
    let shop = Shop::open().await;
    let product = shop.product(10).await;
    shop.reserve(1, &[(product, 9)]).await;
    let at = |hours: i64| (chrono::Utc::now() + chrono::Duration::hours(hours)).to_rfc3339();
    let sale = json!({"name": "Two for each", "opens_at": at(-1), "closes_at": at(1), "limit_per_customer": 2,
                      "products": [{"product_id": product, "price": "7.00"}]});
    shop.service.admin().post("/api/sales", &sale).await.ok(201);
    // The customer waits for the two units that the discount allows them, and buys the one that is available.
    let place = shop.reserve(0, &[(product, 2)]).await;
    let bought = shop.buy(0, &[(product, 1)]).await.ok(201);
    assert_eq!(bought["items"][0]["unit_price"], "7.00");
    assert_eq!(shop.seen(&place).await, ("waiting".to_owned(), vec![1]));
    // A third unit exceeds the discount's limit and is not available.
    let more = shop.buy(0, &[(product, 2)]).await;
    assert_eq!(more.status, 409, "{}", more.text);
    books_balance(&shop.service).await;
}
