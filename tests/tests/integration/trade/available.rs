//! What is called available is what a newcomer can buy, wherever it is said.

use domain::demo::ACME_CUSTOMER;
use entity::{CustomerId, ProductId};
use serde_json::{Value, json};
use tests::{Client, Reply, Service, books_balance};

async fn reserve(
    client: &Client,
    customer: CustomerId,
    product: ProductId,
    quantity: i64,
) -> Reply {
    let body = json!({
        "customer_id": customer, "items": [{"product_id": product, "quantity": quantity}],
        "wait": true, "ttl_seconds": 600,
    });
    client.post("/api/reservations", &body).await
}

/// What every answer says is available of a product: all the same.
async fn available(service: &Service, product: ProductId) -> i64 {
    let staff = service.staff();
    let find = |rows: Vec<Value>, id: &str| {
        let row = rows.into_iter().find(|row| row[id] == json!(product));
        row.unwrap()["available"].as_i64().unwrap()
    };
    let read = async |path: String| {
        let answer = staff.get(&path).await.ok(200);
        answer["available"].as_i64().unwrap()
    };
    let path = format!("/api/products/{product}/availability/stream");
    let stream = staff.listen(&path).await.next().await.unwrap().data;
    let all = [
        read(format!("/api/products/{product}")).await,
        read(format!("/api/inventory/{product}")).await,
        find(staff.pages("/api/products", 200).await, "id"),
        find(staff.pages("/api/inventory", 200).await, "product_id"),
        find(
            staff.pages("/api/inventory?below=1000000", 200).await,
            "product_id",
        ),
        stream["available"].as_i64().unwrap(),
    ];
    assert_eq!(all, [all[0]; 6]);
    all[0]
}

/// That a newcomer is told the same, and can buy so many and no more.
async fn agrees(service: &Service, newcomer: CustomerId, product: ProductId, expected: i64) {
    assert_eq!(available(service, product).await, expected);
    let staff = service.staff();
    let more = staff.buy_for(newcomer, &[(product, expected + 1)]).await;
    let refused = more.refused(409, "insufficient_stock");
    assert_eq!(refused["shortages"][0]["available"], json!(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_says_the_same_while_others_hold_and_wait() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let newcomer = admin.add_customer("Newcomer", "1000.00").await;
    let waiter = admin.add_customer("Waiter", "0").await;
    let product = admin.add_product("TEN", "1.00", 10).await;
    agrees(&service, newcomer, product, 10).await;
    reserve(&staff, ACME_CUSTOMER, product, 1).await.ok(201);
    agrees(&service, newcomer, product, 9).await;
    let waits = reserve(&staff, waiter, product, 10).await.ok(202);
    assert_eq!(waits["place"], 1);
    agrees(&service, newcomer, product, 0).await;
    let path = format!(
        "/api/reservations/{}/cancel",
        waits["reservation_id"].as_str().unwrap()
    );
    staff.post(&path, &json!({})).await.ok(200);
    agrees(&service, newcomer, product, 9).await;
    staff.buy_for(newcomer, &[(product, 9)]).await.ok(201);
    agrees(&service, newcomer, product, 0).await;
    books_balance(&service).await;
}
