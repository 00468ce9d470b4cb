//! These tests check imports of customers, products and stock as CSV tables. A table is imported completely or not at
//! all, and every fault is reported at once with its row and column.

use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::inventory::MAX_ON_HAND;
use entity::{CustomerId, ProductId};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Instant;
use tests::{
    Client, Reply, Service, Untouched, all, books_balance, hold, join_waitlist, pointers, verified,
};

pub(crate) fn table(client: &Client, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    client
        .request(Method::POST, &format!("/api/imports/{path}"))
        .header("Content-Type", "text/csv")
        .body(body)
}

pub(crate) async fn import(client: &Client, path: &str, body: impl Into<reqwest::Body>) -> Reply {
    client.send(table(client, path, body)).await
}

/// Rows, columns and messages of the faults of a refused table.
pub(crate) fn faults(reply: &Reply) -> Vec<(u64, String, String)> {
    let body = reply.refused(422, "validation_failed");
    let faults = body["errors"].as_array().unwrap().iter().map(|fault| {
        let row = fault["row"].as_u64().unwrap_or_default();
        let column = fault["column"].as_str().unwrap_or_default();
        let pointer = match column {
            "" => format!("/{row}"),
            column => format!("/{row}/{column}"),
        };
        assert_eq!(fault["pointer"], pointer, "{body}");
        let message = fault["message"].as_str().unwrap();
        (row, column.to_owned(), message.to_owned())
    });
    faults.collect()
}

/// Rows and columns of the faults of a refused table.
pub(crate) fn places(reply: &Reply) -> Vec<(u64, String)> {
    let faults = faults(reply).into_iter();
    faults.map(|(row, column, _)| (row, column)).collect()
}

pub(crate) fn at(places: &[(u64, &str)]) -> Vec<(u64, String)> {
    let places = places.iter();
    places
        .map(|(row, column)| (*row, (*column).to_owned()))
        .collect()
}

/// Gives a customer the reference of the tables of balances.
async fn name_customer(admin: &Client, customer: CustomerId) {
    let path = format!("/api/customers/{customer}");
    let named = json!({"reference": "ACME-1"});
    admin.patch(&path, &named).await.ok(200);
}

async fn customers(service: &Service) -> Vec<Value> {
    service.staff().pages("/api/customers", 200).await
}

async fn stock(service: &Service, product: ProductId) -> Value {
    let path = format!("/api/inventory/{product}");
    service.staff().get(&path).await.ok(200)
}

/// Audit entries of this action that are not demo data, in the order in which they were made.
pub(crate) async fn trail(service: &Service, action: &str) -> Vec<Value> {
    let sql = format!(
        "SELECT entity_type, entity_id, actor_role, request_id, before, after FROM audit_events
          WHERE business_id = '{ACME}' AND action = '{action}' AND request_id <> 'demo' ORDER BY id"
    );
    service.database.rows(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_of_a_table_have_all_that_the_table_says_and_an_audit_entry_each() {
    let service = Service::start().await;
    let admin = service.admin();
    let body = "\u{feff}reference;name;email;credit_limit;payment_terms_days;on_hold;contact;phone;vat_number;\
                billing_line1;billing_postal_code;billing_city;billing_country;delivery_name;delivery_line1;delivery_country\r\n\
                C-1;\"Müller; \"\"Söhne\"\"\";Info@Example.com;1234,50;14;TRUE;=SUM(A1);+49 711 1234;de 123.456.789;\
                Weg 1;70173;Stuttgart;DE;Lager;Weg 2;AT\r\n\
                ;Ada;;;;;;;;;;;;;;\r\n";
    let done = import(&admin, "customers?decimal=comma", body).await;
    assert_eq!(done.ok(200), json!({"dry_run": false, "rows": 2}));
    let all = customers(&service).await;
    let named = |name: &str| all.iter().find(|row| row["name"] == name).unwrap();
    let (full, bare) = (named("Müller; \"Söhne\""), named("Ada"));
    for (name, value) in [
        ("reference", json!("C-1")),
        ("name", json!("Müller; \"Söhne\"")),
        ("email", json!("info@example.com")),
        ("credit_limit", json!("1234.50")),
        ("balance", json!("0.00")),
        ("payment_terms_days", json!(14)),
        ("on_hold", json!(true)),
        // Text that looks like a formula is stored as it is.
        ("contact", json!("=SUM(A1)")),
        ("phone", json!("+49 711 1234")),
        ("vat_number", json!("DE123456789")),
    ] {
        assert_eq!(full[name], value, "{name}");
    }
    let address = &full["addresses"][0];
    assert_eq!(
        (&address["kind"], &address["city"]),
        (&json!("billing"), &json!("Stuttgart"))
    );
    let address = &full["addresses"][1];
    assert_eq!(
        (&address["kind"], &address["name"]),
        (&json!("delivery"), &json!("Lager"))
    );
    for (name, value) in [
        ("reference", json!(null)),
        ("name", json!("Ada")),
        ("credit_limit", json!("0.00")),
        ("payment_terms_days", json!(30)),
        ("on_hold", json!(false)),
        ("addresses", json!([])),
    ] {
        assert_eq!(bare[name], value, "{name}");
    }
    let trail = trail(&service, "customer.created").await;
    let found = admin.get("/api/customers?q=soh").await.ok(200);
    assert_eq!(found["data"][0]["id"], full["id"]);
    assert_eq!(trail.len(), 2);
    for (entry, customer) in trail.iter().zip([full, bare]) {
        assert_eq!(entry["entity_id"], customer["id"]);
        assert_eq!(entry["request_id"], done.header("x-request-id"));
        for name in ["name", "reference", "vat_number", "credit_limit"] {
            assert_eq!(entry["after"][name], customer[name], "{name}");
        }
    }
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_of_a_table_is_one_that_the_api_could_have_created() {
    let service = Service::start().await;
    let admin = service.admin();
    import(&admin, "customers", "name\nAda\n").await.ok(200);
    admin
        .post("/api/customers", &json!({"name": "Ada"}))
        .await
        .ok(201);
    let sql = format!(
        "SELECT to_jsonb(c) - 'id' - 'created_at' - 'updated_at' AS row FROM customers c
          WHERE business_id = '{ACME}' AND name = 'Ada'"
    );
    let rows = service.database.rows(&sql).await;
    assert_eq!(rows[0], rows[1]);
    let trail = trail(&service, "customer.created").await;
    assert_eq!(trail[0]["after"], trail[1]["after"]);
    import(&admin, "products", "sku,name,price,on_hand\nA,Ada,1.00,7\n")
        .await
        .ok(200);
    let body = json!({"sku": "B", "name": "Ada", "price": "1.00", "stock": 7});
    admin.post("/api/products", &body).await.ok(201);
    let sql = format!(
        "SELECT to_jsonb(p) - 'id' - 'sku' - 'created_at' - 'updated_at'
                || to_jsonb(i) - 'product_id' - 'created_at' - 'updated_at'
                || to_jsonb(m) - 'id' - 'product_id' - 'actor_id' - 'created_at' AS row
           FROM products p JOIN inventory i ON (i.business_id, i.product_id) = (p.business_id, p.id)
           JOIN stock_movements m ON (m.business_id, m.product_id) = (p.business_id, p.id)
          WHERE p.business_id = '{ACME}' AND p.name = 'Ada'"
    );
    let rows = service.database.rows(&sql).await;
    assert_eq!(rows[0], rows[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn products_of_a_table_are_in_the_catalogue_with_their_first_stock() {
    let service = Service::start().await;
    let admin = service.admin();
    let body = "name,price,on_hand,sku,active,limit_per_customer,description\n\
                Lamp,12.5,40,LAMP-1,,3,\"Bright,\nand \"\"green\"\"\"\n\
                Shade,0,,SHADE-1,FALSE,,\n";
    assert_eq!(import(&admin, "products", body).await.ok(200)["rows"], 2);
    let find = async |sku: &str| {
        let found = admin.get(&format!("/api/products?sku={sku}")).await.ok(200);
        found["data"][0].clone()
    };
    let lamp = find("lamp-1").await;
    for (name, value) in [
        ("name", json!("Lamp")),
        ("price", json!("12.50")),
        ("available", json!(40)),
        ("active", json!(true)),
        ("limit_per_customer", json!(3)),
        ("description", json!("Bright,\nand \"green\"")),
    ] {
        assert_eq!(lamp[name], value, "{name}");
    }
    let shade = find("SHADE-1").await;
    assert_eq!(
        (&shade["active"], &shade["available"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(shade["limit_per_customer"], Value::Null);
    let id: ProductId = lamp["id"].as_str().unwrap().parse().unwrap();
    admin.buy(&[(id, 3)]).await.ok(201);
    assert_eq!(trail(&service, "product.created").await.len(), 2);
    books_balance(&service).await;
    assert!(verified(&service.database).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_of_a_hundred_leaves_nothing() {
    let it = Untouched::start().await;
    let rows = |bad: &str| {
        let good = (0..99).map(|number| format!("SKU-{number},Thing,1.00\n"));
        format!("sku,name,price\n{}{bad}\n", good.collect::<String>())
    };
    for (bad, column) in [
        ("SKU-99,Thing,1.001", "price"),
        ("SKU-99,,1.00", "name"),
        ("sku-7,Thing,1.00", "sku"),
        ("hdp-001,Thing,1.00", "sku"),
        ("SKU-99,Thing", ""),
    ] {
        let reply = import(&it.admin, "products", rows(bad)).await;
        assert_eq!(places(&reply), at(&[(101, column)]), "{bad}");
    }
    it.check().await;
    let good = import(&it.admin, "products", rows("SKU-99,Thing,1.00")).await;
    assert_eq!(good.ok(200)["rows"], 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_reported_at_once_with_its_row_and_column() {
    let it = Untouched::start().await;
    let body = "name,email,credit_limit,payment_terms_days,on_hold,colour,phone,vat_number,billing_city,delivery_country\n\
                ,x,-1,366,maybe,red,12,?,,\n\
                Ada,,1.001,1.5,,,,,,Germany\n\
                Bob,,,,,,,,London,\n\
                Cyd,,\n\
                \"Dan\nEve\",,1e3,,,,,,,\n";
    let reply = import(&it.admin, "customers", body).await;
    let expected = [
        (1, "colour"),
        (2, "name"),
        (2, "email"),
        (2, "phone"),
        (2, "vat_number"),
        (2, "credit_limit"),
        (2, "payment_terms_days"),
        (2, "on_hold"),
        (3, "credit_limit"),
        (3, "payment_terms_days"),
        (3, "delivery_country"),
        (4, "billing_line1"),
        (4, "billing_country"),
        (5, ""),
        (6, "name"),
        (6, "credit_limit"),
    ];
    assert_eq!(places(&reply), at(&expected), "{}", reply.text);
    // The faults of the parameters and of the key are reported too, before or with those of the table.
    let reply = import(
        &it.admin,
        "customers?decimal=dot&dry_run=1&mode=counted",
        body,
    )
    .await;
    assert_eq!(pointers(&reply), ["?decimal", "?dry_run", "?mode"]);
    let request =
        table(&it.admin, "customers", "name\n\"\"\nAda\n").header("Idempotency-Key", "two words");
    assert_eq!(pointers(&it.admin.send(request).await), ["Idempotency-Key"]);
    let many = format!("name,credit_limit\n{}", "Ada,x\n".repeat(2000));
    let reply = import(&it.admin, "customers", many).await;
    assert_eq!(places(&reply).len(), 1000);
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_unique_is_refused_by_the_row_that_has_it_again() {
    let service = Service::start().await;
    let admin = service.admin();
    let body = "reference,name\nC-1,Ada\nC-2,Bob\n,Cyd\n,Dan\n";
    import(&admin, "customers", body).await.ok(200);
    let before = service.database.digest().await;
    // The repetition without a key does no harm.
    let again = import(&admin, "customers", body).await;
    let in_use = "is already in use".to_owned();
    let expected = [
        (2, "reference".to_owned(), in_use.clone()),
        (3, "reference".to_owned(), in_use.clone()),
    ];
    assert_eq!(faults(&again), expected);
    let repeated = import(
        &admin,
        "customers",
        "name,reference\nEve,C-3\nFay,C-4\nGus,C-3\n",
    )
    .await;
    let on_line_2 = "is already on line 2".to_owned();
    assert_eq!(
        faults(&repeated),
        [(4, "reference".to_owned(), on_line_2.clone())]
    );
    let body = "sku,name,price\nNEW-1,A,1\nＨＤＰ-001,B,1\nnew-1,C,1\n";
    let skus = import(&admin, "products", body).await;
    let expected = [
        (3, "sku".to_owned(), in_use),
        (4, "sku".to_owned(), on_line_2),
    ];
    assert_eq!(faults(&skus), expected);
    assert_eq!(service.database.digest().await, before);
    // Another business has its own numbers.
    let stranger = service.stranger();
    import(&stranger, "customers", "reference,name\nC-1,Ada\n")
        .await
        .ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_finds_what_the_import_would_find_and_writes_nothing() {
    let it = Untouched::start().await;
    name_customer(&it.admin, ACME_CUSTOMER).await;
    let before = it.service.database.digest().await;
    for (path, good, bad, place) in [
        (
            "customers",
            "name\nAda\n",
            "name,credit_limit\nAda,x\n",
            (2, "credit_limit"),
        ),
        (
            "products",
            "sku,name,price\nNEW-1,New,1\n",
            "sku,name,price\nHDP-001,New,1\n",
            (2, "sku"),
        ),
        (
            "stock",
            "sku,quantity\nHDP-001,7\n",
            "sku,quantity\nNO,7\n",
            (2, "sku"),
        ),
        (
            "balances",
            "customer_reference,reference,amount,issued_on\nACME-1,INV-1,7,2024-01-02\n",
            "customer_reference,reference,amount,issued_on\nNO,INV-1,7,2024-01-02\n",
            (2, "customer_reference"),
        ),
    ] {
        let dry = format!("{path}?dry_run=true");
        let request = table(&it.admin, &dry, good).header("Idempotency-Key", "dry");
        let reply = it.admin.send(request).await;
        assert_eq!(reply.ok(200), json!({"dry_run": true, "rows": 1}), "{path}");
        let wet = import(&it.admin, path, bad).await;
        let dry = import(&it.admin, &dry, bad).await;
        assert_eq!(places(&dry), at(&[place]), "{path}");
        assert_eq!(dry.json()["errors"], wet.json()["errors"]);
    }
    assert_eq!(it.service.database.digest().await, before);
    // The key of a dry run stays free.
    let request = table(&it.admin, "customers", "name\nAda\n").header("Idempotency-Key", "dry");
    assert_eq!(it.admin.send(request).await.ok(200)["dry_run"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_with_the_same_key_gets_the_original_response_and_imports_nothing() {
    let service = Service::start().await;
    let admin = service.admin();
    let send = async |path: &str, body: &str| {
        let request = table(&admin, path, body.to_owned()).header("Idempotency-Key", "one");
        admin.send(request).await
    };
    let body = "sku,quantity\nHDP-001,5\n";
    let done = send("stock?mode=received", body).await;
    let before = service.database.digest().await;
    let again = send("stock?mode=received", body).await;
    assert_eq!((again.status, &again.text), (200, &done.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    for (path, body) in [
        ("stock?mode=received", "sku,quantity\nHDP-001,6\n"),
        ("stock?mode=counted", body),
        ("stock", body),
        ("products", "sku,name,price\nNEW-1,New,1\n"),
    ] {
        send(path, body)
            .await
            .refused(422, "idempotency_key_reused");
    }
    assert_eq!(service.database.digest().await, before);
    assert_eq!(stock(&service, ACME_HEADPHONES).await["on_hand"], 1005);
    // Of concurrent retries, one imports.
    let replies = all((0..6).map(|_| {
        let request = table(&admin, "products", "sku,name,price\nNEW-1,New,1\n");
        let admin = admin.clone();
        async move { admin.send(request.header("Idempotency-Key", "two")).await }
    }))
    .await;
    assert!(
        replies.iter().all(|reply| reply.status == 200),
        "{replies:?}"
    );
    assert_eq!(trail(&service, "product.created").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_of_a_table_are_movements_that_set_the_stock() {
    let service = Service::start().await;
    let admin = service.admin();
    let lamp = admin.add_product("LAMP", "1.00", 10).await;
    let shade = admin.add_product("SHADE", "1.00", 3).await;
    let body = "quantity;sku;note\n12;lamp;shelf 4\n0;SHADE;\n";
    let done = import(&admin, "stock", body).await;
    assert_eq!(done.ok(200)["rows"], 2);
    assert_eq!(stock(&service, lamp).await["on_hand"], 12);
    assert_eq!(stock(&service, shade).await["on_hand"], 0);
    let path = format!("/api/inventory/{lamp}/movements");
    let moved = admin.get(&path).await.ok(200)["data"][0].clone();
    for (name, value) in [
        ("quantity", json!(2)),
        ("on_hand_after", json!(12)),
        ("reason", json!("stocktake")),
        ("note", json!("shelf 4")),
    ] {
        assert_eq!(moved[name], value, "{name}");
    }
    let trail = trail(&service, "inventory.corrected").await;
    assert_eq!(trail.len(), 2);
    assert_eq!(trail[0]["entity_id"], json!(lamp));
    assert_eq!(trail[0]["before"], json!({"on_hand": 10}));
    let after = json!({"on_hand": 12, "reason": "stocktake", "note": "shelf 4"});
    assert_eq!(trail[0]["after"], after);
    // A count that is repeated changes no stock.
    import(&admin, "stock?mode=counted", body).await.ok(200);
    assert_eq!(stock(&service, lamp).await["on_hand"], 12);
    books_balance(&service).await;
    assert!(verified(&service.database).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_a_table_add_to_the_stock_and_are_allocated_to_the_waitlist() {
    let service = Service::start().await;
    let admin = service.admin();
    let lamp = admin.add_product("LAMP", "1.00", 5).await;
    hold(&service, lamp, 5, 600).await;
    join_waitlist(&service, lamp, 600).await;
    assert_eq!(stock(&service, lamp).await["waiting"], 1);
    let done = import(
        &admin,
        "stock?mode=received",
        "sku,quantity\nLAMP,8\nHDP-001,1\n",
    )
    .await;
    assert_eq!(done.ok(200)["rows"], 2);
    let now = stock(&service, lamp).await;
    let counts = ["on_hand", "reserved", "waiting", "available"].map(|name| now[name].clone());
    assert_eq!(counts, [json!(13), json!(10), json!(0), json!(3)]);
    let trail = trail(&service, "inventory.moved").await;
    assert_eq!(trail.len(), 2);
    assert_eq!(trail[0]["before"]["on_hand"][lamp.to_string()], 5);
    assert_eq!(trail[0]["after"]["on_hand"][lamp.to_string()], 13);
    assert_eq!(trail[0]["after"]["movements"][0]["reason"], "received");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_that_cannot_be_is_refused_by_its_row() {
    let it = Untouched::start().await;
    let service = &it.service;
    let lamp = it.admin.add_product("LAMP", "1.00", 10).await;
    it.admin.add_product("SHADE", "1.00", 10).await;
    hold(service, lamp, 4, 600).await;
    let before = service.database.digest().await;
    let body = "sku,quantity\nLAMP,3\nNO-SUCH,1\nSHADE,1\nshade,1\nDSK-1,1\n";
    let counted = import(&it.admin, "stock", body).await;
    let found = faults(&counted);
    let expected = [(2, "quantity"), (3, "sku"), (5, "sku"), (6, "sku")];
    assert_eq!(places(&counted), at(&expected), "{found:?}");
    assert_eq!(
        found[0].2,
        "must be at least 4, the units that are reserved"
    );
    assert_eq!(found[2].2, "is already on line 4");
    let body = format!("sku,quantity\nLAMP,{MAX_ON_HAND}\nSHADE,1\n");
    let received = import(&it.admin, "stock?mode=received", body).await;
    assert_eq!(places(&received), at(&[(2, "quantity")]));
    let nothing = "sku,quantity\nLAMP,0\nSHADE,-1\n";
    let nothing = import(&it.admin, "stock?mode=received", nothing).await;
    assert_eq!(places(&nothing), at(&[(2, "quantity"), (3, "quantity")]));
    let nonsense = import(&it.admin, "stock?mode=both", "sku,quantity\nLAMP,0\n").await;
    assert_eq!(pointers(&nonsense), ["?mode"]);
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_import_and_only_into_their_own_business() {
    let service = Service::start().await;
    let tables = [
        ("customers", "name\nAda\n"),
        ("products", "sku,name,price\nHDP-001,New,1\n"),
        ("stock", "sku,quantity\nHDP-001,7\n"),
        (
            "balances",
            "customer_reference,reference,amount,issued_on\nACME-1,INV-1,7,2024-01-02\n",
        ),
    ];
    name_customer(&service.admin(), ACME_CUSTOMER).await;
    name_customer(&service.stranger(), GLOBEX_CUSTOMER).await;
    let before = service.database.digest().await;
    for (path, body) in tables {
        for client in [service.staff(), service.customer()] {
            import(&client, path, body).await.refused(403, "forbidden");
        }
    }
    assert_eq!(service.database.digest().await, before);
    let of_acme = "SELECT (SELECT count(*) FROM customers WHERE business_id = b.id) || ' ' ||
                          (SELECT count(*) FROM products WHERE business_id = b.id) || ' ' ||
                          (SELECT count(*) FROM opening_items WHERE business_id = b.id) || ' ' ||
                          (SELECT count(*) FROM stock_movements WHERE business_id = b.id) AS rows
                     FROM businesses b WHERE b.id = ";
    let of_acme = format!("{of_acme}'{ACME}'");
    let before = service.database.value(&of_acme).await;
    let stranger = service.stranger();
    // The SKU of Acme's product is free at Globex, and then Globex's own.
    for (path, body) in tables {
        import(&stranger, path, body).await.ok(200);
    }
    assert_eq!(service.database.value(&of_acme).await, before);
    assert_eq!(stock(&service, ACME_HEADPHONES).await["on_hand"], 1000);
    let names =
        format!("SELECT count(*) FROM customers WHERE business_id = '{GLOBEX}' AND name = 'Ada'");
    assert_eq!(service.database.value(&names).await, "1");
    let desk = stranger.get(&format!("/api/inventory/{GLOBEX_DESK}")).await;
    desk.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_csv_in_utf_8_is_refused() {
    let it = Untouched::start().await;
    let send = async |media_type: Option<&str>| {
        let request = it.admin.request(Method::POST, "/api/imports/customers");
        let request = match media_type {
            Some(media_type) => request.header("Content-Type", media_type),
            None => request,
        };
        it.admin.send(request.body("name\nAda\n")).await
    };
    for media_type in [
        None,
        Some("application/json"),
        Some("application/x-www-form-urlencoded"),
        Some("text/plain"),
        Some("text/csv; charset=iso-8859-1"),
        Some("nonsense"),
    ] {
        let problem = send(media_type).await;
        let problem = problem.refused(415, "unsupported_media_type");
        assert_eq!(problem["media_types"], json!(["text/csv"]));
    }
    let latin = import(&it.admin, "customers", b"name\nAda\nM\xfcller\n".to_vec()).await;
    let found = faults(&latin);
    assert_eq!((found.len(), found[0].0), (1, 3));
    assert!(found[0].2.contains("UTF-8"), "{found:?}");
    for (body, row) in [
        ("", 1),
        ("\u{feff}\r\n", 1),
        ("name\n", 1),
        ("name\n\"Ada\n", 2),
        ("name\nA\0da\n", 2),
        ("\u{feff}Betrag;name\n", 1),
    ] {
        let reply = import(&it.admin, "customers", body).await;
        assert_eq!(faults(&reply)[0].0, row, "{body:?}");
    }
    it.check().await;
    for media_type in ["text/csv; charset=utf-8", "TEXT/CSV;charset=UTF-8"] {
        send(Some(media_type)).await.ok(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_has_up_to_8_mib_also_after_decompression() {
    let it = Untouched::start().await;
    const MOST: usize = 8 * 1024 * 1024;
    let padded = |length: usize| {
        let mut body = "name\nAda\n".to_owned();
        body.push_str(&"\n".repeat(length - body.len()));
        body
    };
    let problem = import(&it.admin, "customers", padded(MOST + 1)).await;
    let problem = problem.refused(413, "payload_too_large");
    assert_eq!(problem["max_bytes"], MOST);
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let compressed = async |length: usize| {
        let request = table(&it.admin, "customers", gzip(&padded(length)));
        it.admin
            .send(request.header("Content-Encoding", "gzip"))
            .await
    };
    compressed(MOST + 1).await.refused(413, "payload_too_large");
    it.check().await;
    import(&it.admin, "customers", padded(MOST)).await.ok(200);
    compressed(MOST).await.ok(200);
    assert_eq!(trail(&it.service, "customer.created").await.len(), 2);
}

/// A build without optimizations takes several times as long as a release.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_rows_are_imported_in_one_go_and_one_more_is_refused() {
    let service = Service::start().await;
    let admin = service.admin();
    let rows = |count: usize| {
        let rows = (0..count).map(|number| {
            format!("SKU-{number},\"Thing number {number}\",12.50,A description of some words,{number}\n")
        });
        format!(
            "sku,name,price,description,on_hand\n{}",
            rows.collect::<String>()
        )
    };
    let before = service.database.digest().await;
    let reply = import(&admin, "products", rows(10_001)).await;
    assert_eq!(places(&reply), at(&[(10_002, "")]));
    assert_eq!(service.database.digest().await, before);
    let started = Instant::now();
    assert_eq!(
        import(&admin, "products", rows(10_000)).await.ok(200)["rows"],
        10_000
    );
    let products = started.elapsed();
    let counts = (0..10_000).map(|number| format!("SKU-{number},{}\n", number + 1));
    let counts = format!("sku,quantity\n{}", counts.collect::<String>());
    let started = Instant::now();
    import(&admin, "stock", counts).await.ok(200);
    let stock = started.elapsed();
    let customers = (0..10_000).map(|number| format!("C-{number},Customer {number},100.00\n"));
    let customers = format!(
        "reference,name,credit_limit\n{}",
        customers.collect::<String>()
    );
    let started = Instant::now();
    import(&admin, "customers", customers).await.ok(200);
    println!(
        "10,000 rows: products {products:?}, stock {stock:?}, customers {:?}",
        started.elapsed()
    );
    assert!(products.as_secs() < 10, "{products:?}");
    let sql = format!(
        "SELECT count(*) || ' ' || sum(on_hand) AS all FROM inventory i
           JOIN products p ON (p.business_id, p.id) = (i.business_id, i.product_id)
          WHERE p.business_id = '{ACME}' AND p.sku LIKE 'SKU-%'"
    );
    assert_eq!(service.database.value(&sql).await, "\"10000 50005000\"");
    books_balance(&service).await;
    assert!(verified(&service.database).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_counts_and_purchases_at_the_same_time_lose_nothing() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut products = Vec::new();
    for number in 0..20 {
        products.push(
            admin
                .add_product(&format!("SKU-{number}"), "1.00", 100)
                .await,
        );
    }
    let rows = (0..20).rev().map(|number| format!("SKU-{number},10\n"));
    let body = format!("sku,quantity\n{}", rows.collect::<String>());
    let rich = admin.add_customer("Rich", "100000.00").await;
    let replies = all((0..30).map(|number| {
        let (admin, body) = (admin.clone(), body.clone());
        let product = products[number % 20];
        async move {
            match number % 3 {
                0 => import(&admin, "stock?mode=received", body).await,
                _ => admin.buy_for(rich, &[(product, 1)]).await,
            }
        }
    }))
    .await;
    assert!(
        replies.iter().all(|reply| reply.status < 300),
        "{replies:?}"
    );
    let sql = "SELECT sum(on_hand)::text FROM inventory i
                 JOIN products p ON (p.business_id, p.id) = (i.business_id, i.product_id) WHERE p.sku LIKE 'SKU-%'";
    assert_eq!(service.database.value(sql).await, "3980");
    books_balance(&service).await;
}
