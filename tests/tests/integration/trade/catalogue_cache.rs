//! These tests check the catalogue cache: it saves reads, is at most so old, and never gives a reader what belongs to
//! another.
//!
//! A change in SQL is as one that another process makes: the cache of this process does not know of it.

use std::time::{Duration, Instant};

use domain::Authority;
use domain::demo::{ACME, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::ProductId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Database, Proxy, Reply, SERVICE, Service, all, settings, until};

/// So long that an entry which is kept at all is still there at the end of a test.
const LONG_MS: u16 = 10_000;

const LIST: &str = "/api/products?business=acme";

fn path(product: ProductId) -> String {
    format!("/api/products/{product}")
}

fn public(product: ProductId) -> String {
    format!("{}?business=acme", path(product))
}

/// A service on this database whose entries are so old at most.
async fn aged(database: Database, milliseconds: u16) -> Service {
    let mut settings = settings();
    settings.catalogue_cache_ms = milliseconds;
    let url = database.url(SERVICE);
    Service::with(database, &url, &settings).await
}

async fn long() -> Service {
    aged(Database::with_demo().await, LONG_MS).await
}

/// Changes the name in the database, as another process would.
async fn rename(service: &Service, product: ProductId, name: &str) {
    let sql = format!("UPDATE products SET name = '{name}' WHERE id = '{product}'");
    service.database.execute(&sql).await;
}

/// The product as a read returns it.
async fn read(client: &Client, product: ProductId) -> Value {
    client.get(&public(product)).await.ok(200)
}

/// The product as the list returns it.
async fn listed(client: &Client, product: ProductId) -> Value {
    let list = client.get(LIST).await.ok(200);
    let mut rows = list["data"].as_array().unwrap().iter();
    rows.find(|row| row["id"] == json!(product))
        .unwrap()
        .clone()
}

/// The name by which a read and the list return the product.
async fn name(client: &Client, product: ProductId) -> String {
    let read = read(client, product).await;
    assert_eq!(listed(client, product).await, read);
    read["name"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_who_ask_at_once_one_reads_the_database() {
    let service = long().await;
    // The business is known from here on.
    service.nobody().get(&public(ACME_KEYBOARD)).await.ok(200);
    for address in [public(ACME_HEADPHONES), LIST.to_owned()] {
        let lock = service.database.hold("LOCK TABLE products").await;
        let readers = (0..100).map(|_| {
            let (client, address) = (service.nobody(), address.clone());
            tokio::spawn(async move { client.get(&address).await })
        });
        let readers: Vec<_> = readers.collect();
        until("a reader waits", async || {
            service.database.blocked().await > 0
        })
        .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(service.database.blocked().await, 1, "{address}");
        lock.release().await;
        for reader in readers {
            reader.await.unwrap().ok(200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_buyer_reads_is_at_most_half_a_second_old() {
    let service = Service::start().await;
    let nobody = service.nobody();
    for round in 0..5 {
        let new = format!("Headphones {round}");
        let _ = read(&nobody, ACME_HEADPHONES).await;
        let _ = listed(&nobody, ACME_HEADPHONES).await;
        rename(&service, ACME_HEADPHONES, &new).await;
        let changed = Instant::now();
        loop {
            let asked = Instant::now();
            let names = [
                read(&nobody, ACME_HEADPHONES).await["name"].clone(),
                listed(&nobody, ACME_HEADPHONES).await["name"].clone(),
            ];
            if names.iter().all(|name| *name == new) {
                break;
            }
            // A tenth of a second more for the read that filled the entry, which began before the change.
            let age = asked - changed;
            assert!(age < Duration::from_millis(600), "{age:?} old");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_share_entries_and_staff_read_the_database() {
    let service = long().await;
    let (nobody, customer) = (service.nobody(), service.customer());
    let before = name(&nobody, ACME_HEADPHONES).await;
    rename(&service, ACME_HEADPHONES, "Renamed").await;
    for reader in [&nobody, &customer] {
        assert_eq!(name(reader, ACME_HEADPHONES).await, before);
    }
    for reader in [service.staff(), service.admin()] {
        assert_eq!(name(&reader, ACME_HEADPHONES).await, "Renamed");
    }
    // Others get no entry that staff read: they do not see inactive products.
    let sql = format!("UPDATE products SET active = false WHERE id = '{ACME_KEYBOARD}'");
    service.database.execute(&sql).await;
    let staff = service.staff().get(&path(ACME_KEYBOARD)).await.ok(200);
    assert_eq!(staff["active"], false);
    let gone = service.customer().get(&path(ACME_KEYBOARD)).await;
    gone.refused(404, "product_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_catalogue_by_this_process_is_read_at_once() {
    let service = long().await;
    let (nobody, admin) = (service.nobody(), service.admin());
    let _ = read(&nobody, ACME_HEADPHONES).await;
    let change = json!({"name": "Louder"});
    admin.patch(&path(ACME_HEADPHONES), &change).await.ok(200);
    assert_eq!(name(&nobody, ACME_HEADPHONES).await, "Louder");
    let count = json!({"set": 7, "reason": "stocktake"});
    let stock = format!("/api/inventory/{ACME_HEADPHONES}");
    admin.patch(&stock, &count).await.ok(200);
    assert_eq!(read(&nobody, ACME_HEADPHONES).await["available"], 7);
    let sale = json!({
        "name": "Now", "opens_at": "2020-01-01T00:00:00Z", "closes_at": "2999-01-01T00:00:00Z",
        "products": [{"product_id": ACME_HEADPHONES, "price": "1.00"}],
    });
    admin.post("/api/sales", &sale).await.ok(201);
    assert_eq!(read(&nobody, ACME_HEADPHONES).await["price"], "1.00");
    let new = admin.add_product("NEW-1", "1.00", 1).await;
    assert_eq!(name(&nobody, new).await, "NEW-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_has_just_written_reads_the_database_and_others_do_within_the_bound() {
    let database = Database::with_demo().await;
    let (service, usual) = (
        aged(database.clone(), LONG_MS).await,
        Service::on(database).await,
    );
    let (customer, nobody) = (service.customer(), service.nobody());
    for client in [&nobody, &customer] {
        assert_eq!(read(client, ACME_HEADPHONES).await["available"], 1000);
    }
    let _ = read(&usual.nobody(), ACME_HEADPHONES).await;
    customer.buy(&[(ACME_HEADPHONES, 3)]).await.ok(201);
    let bought = Instant::now();
    assert_eq!(read(&customer, ACME_HEADPHONES).await["available"], 997);
    assert_eq!(read(&nobody, ACME_HEADPHONES).await["available"], 1000);
    until("the purchase is seen", async || {
        read(&usual.nobody(), ACME_HEADPHONES).await["available"] == 997
    })
    .await;
    let took = bought.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_customer_is_told_what_is_left_now() {
    let service = long().await;
    let (admin, customer) = (service.admin(), service.customer());
    let rare = admin.add_product("RARE-1", "10.00", 1).await;
    assert_eq!(read(&customer, rare).await["available"], 1);
    admin.buy(&[(rare, 1)]).await.ok(201);
    let refused = customer.buy(&[(rare, 1)]).await;
    refused.refused(409, "insufficient_stock");
    assert_eq!(read(&customer, rare).await["available"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_of_a_customer_is_never_that_of_another() {
    let service = long().await;
    let admin = service.admin();
    let sale = json!({
        "name": "One each", "limit_per_customer": 1,
        "opens_at": "2020-01-01T00:00:00Z", "closes_at": "2999-01-01T00:00:00Z",
        "products": [{"product_id": ACME_HEADPHONES, "price": "50.00"}],
    });
    admin.post("/api/sales", &sale).await.ok(201);
    let other = admin.add_customer("Other", "1000.00").await;
    let (nobody, customer) = (service.nobody(), service.customer());
    let other = service.caller(ACME, Authority::Customer(other));
    for client in [&nobody, &customer, &other] {
        assert_eq!(read(client, ACME_HEADPHONES).await["price"], "50.00");
    }
    // Staff buy for the customer, so the cache does not know that the customer's limit is used up.
    admin.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    for (client, price) in [
        (&customer, "100.00"),
        (&nobody, "50.00"),
        (&other, "50.00"),
        (&customer, "100.00"),
    ] {
        let read = read(client, ACME_HEADPHONES).await;
        assert_eq!(read["price"], price);
        // An entry was read before the purchase.
        assert_eq!(read["available"], 1000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_never_reads_the_products_of_another() {
    let service = long().await;
    let stranger = service.caller(GLOBEX, Authority::Customer(GLOBEX_CUSTOMER));
    let desk = stranger.get(&path(GLOBEX_DESK)).await.ok(200);
    assert_eq!(desk["id"], json!(GLOBEX_DESK));
    let _ = read(&service.nobody(), ACME_HEADPHONES).await;
    for client in [service.nobody(), service.customer()] {
        let read = client.get(&public(GLOBEX_DESK)).await;
        read.refused(404, "product_not_found");
    }
    let foreign = stranger.get(&path(ACME_HEADPHONES)).await;
    foreign.refused(404, "product_not_found");
    let ids = |list: &Value| {
        let rows = list["data"].as_array().unwrap().iter();
        rows.map(|row| row["id"].clone()).collect::<Vec<_>>()
    };
    let own = ids(&service.nobody().get(LIST).await.ok(200));
    let theirs = ids(&stranger.get("/api/products").await.ok(200));
    assert!(!own.is_empty() && !theirs.is_empty());
    assert!(own.iter().all(|id| !theirs.contains(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_opens_and_closes_on_time_for_entries_that_were_read_before() {
    let service = long().await;
    let nobody = service.nobody();
    let seconds = |seconds| (chrono::Utc::now() + chrono::TimeDelta::seconds(seconds)).to_rfc3339();
    let sale = json!({
        "name": "Short", "opens_at": seconds(3), "closes_at": seconds(6),
        "products": [{"product_id": ACME_HEADPHONES, "price": "50.00"}],
    });
    service.admin().post("/api/sales", &sale).await.ok(201);
    let first = read(&nobody, ACME_HEADPHONES).await;
    assert_eq!(first["sale"]["state"], "upcoming");
    rename(&service, ACME_HEADPHONES, "Renamed").await;
    let _ = listed(&nobody, ACME_HEADPHONES).await;
    for price in ["50.00", "100.00"] {
        until("the price is another", async || {
            let (now, listed) = (
                read(&nobody, ACME_HEADPHONES).await,
                listed(&nobody, ACME_HEADPHONES).await,
            );
            // The entry is the same all the time.
            assert_eq!(now["name"], first["name"]);
            now["price"] == price && listed["price"] == price
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_read_is_not_kept() {
    let database = Database::with_demo().await;
    let proxy = Proxy::to(&database).await;
    let mut settings = settings();
    settings.catalogue_cache_ms = LONG_MS;
    let service = Service::with(database, proxy.url(), &settings).await;
    let nobody = service.nobody();
    nobody.get(&public(ACME_KEYBOARD)).await.ok(200);
    proxy.down().await;
    let readers = (0..20).map(|_| {
        let client = service.nobody();
        async move { client.get(&public(ACME_HEADPHONES)).await }
    });
    for reply in all(readers).await {
        reply.refused(503, "database_unavailable");
    }
    // The other product is still there.
    nobody.get(&public(ACME_KEYBOARD)).await.ok(200);
    proxy.up();
    let up = Instant::now();
    until("the product is read", async || {
        nobody.get(&public(ACME_HEADPHONES)).await.status == 200
    })
    .await;
    assert!(up.elapsed() < Duration::from_millis(LONG_MS.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cache_everyone_reads_the_database() {
    let service = aged(Database::with_demo().await, 0).await;
    let nobody = service.nobody();
    for new in ["One", "Two"] {
        rename(&service, ACME_HEADPHONES, new).await;
        assert_eq!(name(&nobody, ACME_HEADPHONES).await, new);
        let page = nobody.get("/shop/acme").await;
        assert!(page.text.contains(new), "{}", page.text);
    }
}

/// Asks again with this tag.
async fn again(client: &Client, path: &str, tag: &str) -> Reply {
    let request = client.request(Method::GET, path);
    client.send(request.header("If-None-Match", tag)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_and_a_page_of_the_list_are_not_sent_to_those_who_have_them() {
    let service = Service::start().await;
    let (nobody, admin) = (service.nobody(), service.admin());
    let keys = json!({"metadata": {"shelf": "7"}});
    admin.patch(&path(ACME_HEADPHONES), &keys).await.ok(200);
    for address in [public(ACME_HEADPHONES), LIST.to_owned()] {
        let first = nobody.get(&address).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{tag}");
        assert_eq!(first.header("cache-control"), "private, no-cache");
        for known in [tag.as_str(), &format!("\"other\", {tag}")] {
            let same = again(&nobody, &address, known).await;
            assert_eq!((same.status, same.text.as_str()), (304, ""));
            assert_eq!(same.header("etag"), tag);
        }
        for unknown in ["\"other\"", "*", "nonsense"] {
            let whole = again(&nobody, &address, unknown).await;
            assert_eq!(whole.status, 200, "{unknown}");
            assert_eq!(whole.text, first.text);
        }
        // Staff read the metadata too.
        assert_eq!(again(&admin, &address, &tag).await.status, 200);
        let name = json!({"name": format!("Renamed {}", address.len())});
        admin.patch(&path(ACME_HEADPHONES), &name).await.ok(200);
        let changed = again(&nobody, &address, &tag).await;
        assert!(changed.ok(200).to_string().contains("Renamed"));
    }
    // A table and a missing product have no tag.
    let table = nobody.csv(LIST).await;
    assert_eq!((table.status, table.header("etag")), (200, ""));
    let gone = nobody.get(&public(ProductId::new())).await;
    assert_eq!((gone.status, gone.header("etag")), (404, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_has_what_the_database_has() {
    let service = long().await;
    let nobody = service.nobody();
    let _ = read(&nobody, ACME_HEADPHONES).await;
    rename(&service, ACME_HEADPHONES, "Renamed").await;
    let table = nobody.csv(LIST).await;
    assert!(table.text.contains("Renamed"), "{}", table.text);
}

#[test]
fn every_write_of_the_catalogue_says_that_it_is_one() {
    let table = tradeline::app::table().unwrap();
    let mut silent = Vec::new();
    for endpoint in table.endpoints() {
        let of_catalogue = [
            "/api/products",
            "/api/sales",
            "/api/inventory",
            "/api/imports/products",
            "/api/imports/stock",
        ];
        let is_of_catalogue = endpoint.path == "/api/business"
            || of_catalogue
                .iter()
                .any(|path| endpoint.path.starts_with(path));
        let is_write = endpoint.method.as_str() != "GET";
        if is_write && is_of_catalogue && !endpoint.changes_catalogue {
            silent.push(endpoint.name());
        }
    }
    assert!(silent.is_empty(), "{silent:?}");
}
