//! These tests check how customers, orders and payments are found: search, filters, sorting and counting.

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_KEYBOARD, GLOBEX};
use entity::{CustomerId, OrderId, OrderNumber};
use serde_json::{Value, json};
use tests::{Client, SERVICE, Service, id_of, pointers, purchase};

/// The rows of a list.
async fn rows(client: &Client, path: &str) -> Vec<Value> {
    let page = client.get(path).await.ok(200);
    page["data"].as_array().unwrap().clone()
}

/// This member of each row of a list.
async fn found(client: &Client, path: &str, member: &str) -> Vec<String> {
    let rows = rows(client, path).await;
    rows.iter()
        .map(|row| row[member].as_str().unwrap().to_owned())
        .collect()
}

async fn customers(client: &Client, query: &str) -> Vec<String> {
    found(client, &format!("/api/customers?{query}"), "name").await
}

async fn orders(client: &Client, query: &str) -> Vec<String> {
    found(client, &format!("/api/orders?{query}"), "order_id").await
}

/// This member of the rows of all pages, two rows a page.
async fn all_pages(client: &Client, path: &str, member: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}&limit=2{cursor}")).await.ok(200);
        let rows = page["data"].as_array().unwrap();
        all.extend(
            rows.iter()
                .map(|row| row[member].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// Gives terms to rows whose columns a test has set by SQL.
async fn fill(service: &Service) -> usize {
    let database = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    let filled = domain::foundation::search::fill(&database).await.unwrap();
    database.close().await;
    filled.rows()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_found_by_words_of_each_field_whatever_their_case_accents_and_order() {
    let service = Service::start().await;
    let staff = service.staff();
    let body = json!({"name": "Jörg O'Brien-Łukasz GmbH", "email": "Post.Room@mail.obl.example", "reference": "K-000 123",
                      "vat_number": "DE 123 456 789", "phone": "+49 (30) 555-0101"});
    staff.post("/api/customers", &body).await.ok(201);
    let other = json!({"name": "Other GmbH", "email": "other@mail.other.example"});
    staff.post("/api/customers", &other).await.ok(201);
    for q in [
        "jorg",
        "J%C3%96RG",
        "jo%CC%88rg",
        "gmbh%20J",
        "brien",
        "o'brien",
        "obrien-lukasz",
        "lukasz%20j%C3%B6rg%20gm",
        "post.room@mail.obl.example",
        "POST.ROOM@",
        "room",
        "mail.obl.example",
        "obl",
        "K-000123",
        "k000%20123",
        "000%20123",
        "DE123456789",
        "de%20123%20456",
        "%2B49%2030%205550101",
        "004930555",
        "030/555%2001",
        "(30)%20555",
        "5550101",
    ] {
        let expected = ["Jörg O'Brien-Łukasz GmbH"];
        assert_eq!(customers(&staff, &format!("q={q}")).await, expected, "{q}");
    }
    for q in ["rg", "jorgx", "jorg%20other", "com", "rien", "123456788"] {
        assert!(customers(&staff, &format!("q={q}")).await.is_empty(), "{q}");
    }
    let both = ["Jörg O'Brien-Łukasz GmbH", "Other GmbH"];
    assert_eq!(customers(&staff, "q=gmbh").await, both);
    assert_eq!(customers(&staff, "q=mail").await, both);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_follow_a_change_of_the_customer() {
    let service = Service::start().await;
    let admin = service.admin();
    let id = admin.add_customer("Before", "0.00").await;
    let path = format!("/api/customers/{id}");
    admin
        .patch(
            &path,
            &json!({"name": "Afterwards", "email": "a@new.example"}),
        )
        .await
        .ok(200);
    assert!(customers(&admin, "q=before").await.is_empty());
    assert_eq!(customers(&admin, "q=afterw").await, ["Afterwards"]);
    assert_eq!(customers(&admin, "q=new").await, ["Afterwards"]);
    admin
        .patch(&path, &json!({"email": null, "on_hold": true}))
        .await
        .ok(200);
    assert!(customers(&admin, "q=new").await.is_empty());
    assert_eq!(
        customers(&admin, "q=afterw&on_hold=true").await,
        ["Afterwards"]
    );
    assert!(customers(&admin, "q=afterw&on_hold=false").await.is_empty());
    // Nothing is left for the repair after an upgrade.
    assert_eq!(fill(&service).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_order_is_found_by_its_reference() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut body = purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 1)]);
    body["reference"] = json!("Card 17");
    let order = id_of(&admin.post("/api/orders/checkout", &body).await.ok(201));
    assert_eq!(orders(&admin, "q=card17").await, [order.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_terms_are_given_theirs() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut body = purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 1)]);
    body["reference"] = json!("PO-1");
    let order = id_of(&admin.post("/api/purchase", &body).await.ok(201));
    let payment = json!({"customer_id": ACME_CUSTOMER, "amount": "1.00", "method": "cash", "reference": "17"});
    admin.post("/api/payments", &payment).await.ok(201);
    // A name without a letter or digit has no words; it is only sorted.
    for name in ["Ada", "!?"] {
        admin.add_customer(name, "0.00").await;
    }
    let terms = "SELECT count(*) || md5(string_agg(t::text, ',' ORDER BY t)) FROM search_terms t";
    let before = service.database.value(terms).await;
    service.database.execute("DELETE FROM search_terms").await;
    assert!(orders(&admin, "q=po1").await.is_empty());
    assert!(fill(&service).await > 4);
    assert_eq!(service.database.value(terms).await, before);
    assert_eq!(fill(&service).await, 0);
    assert_eq!(orders(&admin, "q=po1").await, [order.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_who_register_are_found() {
    let service = Service::start().await;
    let body = json!({"business": "acme", "email": "zelda@z.example", "password": "correct horse", "name": "Zelda Z"});
    service
        .nobody()
        .post("/api/auth/register", &body)
        .await
        .ok(201);
    assert_eq!(customers(&service.staff(), "q=zelda").await, ["Zelda Z"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_sorted_by_name_and_each_is_on_one_page() {
    let service = Service::start().await;
    let admin = service.admin();
    for name in [
        "zoe sort",
        "Émile Sort",
        "adam Sort",
        "Ada Sort",
        "Ada Sort",
        "!?",
    ] {
        admin.add_customer(name, "0.00").await;
    }
    let sorted = [
        "Ada Sort",
        "Ada Sort",
        "adam Sort",
        "Émile Sort",
        "zoe sort",
    ];
    let path = "/api/customers?sort=name&q=sort";
    assert_eq!(all_pages(&admin, path, "name").await, sorted);
    let everybody = all_pages(&admin, "/api/customers?sort=name", "name").await;
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    assert!(everybody.contains(&"!?"), "{everybody:?}");
    let there: Vec<&str> = everybody
        .into_iter()
        .filter(|name| sorted.contains(name))
        .collect();
    assert_eq!(there, sorted);
    let ids = all_pages(&admin, "/api/customers?sort=name", "id").await;
    let by_time = all_pages(&admin, "/api/customers?sort=created_at", "id").await;
    assert_eq!(tests::sorted(ids), tests::sorted(by_time));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_found_by_its_number_references_customer_and_sku() {
    let service = Service::start().await;
    let admin = service.admin();
    let buyer = admin.add_customer("Søren Ærlig", "10000.00").await;
    let product = admin.add_product("ÄB-77 X", "10.00", 100).await;
    let mut body = purchase(buyer, &[(product, 1)]);
    body["reference"] = json!("PO 4711/B");
    let wanted = id_of(&admin.post("/api/purchase", &body).await.ok(201));
    let other = id_of(&admin.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201));
    let shipped = json!({"tracking_reference": "1Z-999 AA"});
    admin.do_to(&wanted, "fulfill", &shipped).await.ok(200);
    let number = OrderNumber::of(wanted.parse().unwrap()).to_string();
    let lower = number.to_lowercase().replace('-', "%20");
    for q in [
        number.as_str(),
        lower.as_str(),
        "po%204711",
        "4711/b",
        "PO4711B",
        "1z999aa",
        "1z-999",
        "soren",
        "aerlig%20S%C3%B8",
        "ab-77",
        "AB77",
        "%C3%A4b",
    ] {
        assert_eq!(
            orders(&admin, &format!("q={q}")).await,
            [wanted.as_str()],
            "{q}"
        );
    }
    // Both orders are of the same minutes, which their numbers begin with.
    let start = &number[..5];
    assert_eq!(
        orders(&admin, &format!("q={start}")).await,
        [other.as_str(), wanted.as_str()]
    );
    for q in ["soren%20ab77", "4712", "erlig"] {
        assert!(orders(&admin, &format!("q={q}")).await.is_empty(), "{q}");
    }
    let row = &rows(&admin, "/api/orders?q=4711").await[0];
    assert_eq!(row["customer_name"], "Søren Ærlig");
    let changed = json!({"reference": "NEW-REF"});
    admin
        .patch(&format!("/api/orders/{wanted}"), &changed)
        .await
        .ok(200);
    assert!(orders(&admin, "q=4711").await.is_empty());
    for q in ["newref", "1z999"] {
        assert_eq!(
            orders(&admin, &format!("q={q}")).await,
            [wanted.as_str()],
            "{q}"
        );
    }
    // A product's new SKU finds its orders, the old one no longer.
    admin
        .patch(
            &format!("/api/products/{product}"),
            &json!({"sku": "NEW-77"}),
        )
        .await
        .ok(200);
    assert_eq!(orders(&admin, "q=new77").await, [wanted.as_str()]);
    assert!(orders(&admin, "q=ab77").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_shows_each_row_once_on_its_pages_with_all_filters() {
    let service = Service::start().await;
    let admin = service.admin();
    // The customer and the product share a word, so that each order is found in two ways.
    let buyer = admin.add_customer("Twice Found", "10000.00").await;
    let product = admin.add_product("TWICE-1", "10.00", 100).await;
    let mut bought = Vec::new();
    for quantity in 1..=5 {
        bought.push(id_of(
            &admin.buy_for(buyer, &[(product, quantity)]).await.ok(201),
        ));
    }
    admin.do_to(&bought[0], "cancel", &json!({})).await.ok(200);
    let newest: Vec<String> = bought.iter().rev().cloned().collect();
    assert_eq!(
        all_pages(&admin, "/api/orders?q=twice", "order_id").await,
        newest
    );
    let oldest = all_pages(&admin, "/api/orders?q=twice&sort=created_at", "order_id").await;
    assert_eq!(oldest, bought);
    for (filter, expected) in [
        ("status=cancelled", vec![&bought[0]]),
        ("status=cancelled,fulfilled", vec![&bought[0]]),
        ("unpaid=false", vec![&bought[0]]),
        ("total_min=20.00&total_max=30", vec![&bought[2], &bought[1]]),
        ("unpaid=true&total_min=50", vec![&bought[4]]),
        ("overdue=true", vec![]),
        ("payment_method=card", vec![]),
        ("created_to=2020-01-01", vec![]),
    ] {
        let query = format!("q=twice&{filter}");
        assert_eq!(
            orders(&admin, &query).await,
            expected.into_iter().map(String::as_str).collect::<Vec<_>>(),
            "{query}"
        );
    }
    let same = format!("q=twice&customer_id={buyer}&product_id={product}");
    assert_eq!(orders(&admin, &same).await, newest);
    let none = format!("q=twice&product_id={ACME_KEYBOARD}");
    assert!(orders(&admin, &none).await.is_empty());
    let counted = admin
        .get("/api/orders?q=twice&count=true&limit=1")
        .await
        .ok(200);
    assert_eq!(counted["count"], 5, "{counted}");
    assert_eq!(counted["count_is_exact"], true);
    let counted = admin.get("/api/orders?q=nobody&count=true").await.ok(200);
    assert_eq!(counted["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn common_words_are_found_in_the_order_of_the_list() {
    let service = Service::start().await;
    let admin = service.admin();
    // More customers, with more terms, than are collected or counted.
    let many = format!(
        "INSERT INTO customers (business_id, id, name, reference, credit_limit)
         SELECT '{ACME}', ('00000000-0000-7000-8abc-' || lpad(to_hex(n), 12, '0'))::uuid, 'Common ' || n,
                CASE WHEN n <= 6000 THEN 'LEFT-' ELSE 'RIGHT-' END || n, 1000
           FROM generate_series(1, 12000) AS n"
    );
    service.database.execute(&many).await;
    assert_eq!(fill(&service).await, 12_000);
    service.database.execute("ANALYZE").await;
    let first = customers(&admin, "q=common&limit=3").await;
    assert_eq!(first, ["Common 1", "Common 2", "Common 3"]);
    assert_eq!(customers(&admin, "q=common%207777").await, ["Common 7777"]);
    // Far from the beginning of the list, and nowhere.
    for sort in ["created_at", "name"] {
        let query = |words: &str| format!("q={words}&limit=2&sort={sort}");
        let second = if sort == "name" { "10001" } else { "6002" };
        for words in ["right", "right%20common", "com%20rig%20r"] {
            let far = customers(&admin, &query(words)).await;
            assert!(far[1] == format!("Common {second}"), "{words}: {far:?}");
        }
        assert!(customers(&admin, &query("left%20right")).await.is_empty());
        let few = customers(&admin, &query("right%2077")).await;
        assert_eq!(few, ["Common 7700", "Common 7701"]);
    }
    // The numbers that begin with 11.
    let counted = admin
        .get("/api/customers?q=com%2011&count=true&limit=2")
        .await
        .ok(200);
    assert_eq!(counted["count"], 1111, "{counted}");
    assert_eq!(counted["data"][1]["name"], "Common 110");
    let counted = admin
        .get("/api/customers?q=common&count=true&limit=1")
        .await
        .ok(200);
    assert_eq!(counted["count"], 10_000, "{counted}");
    assert_eq!(counted["count_is_exact"], false);
    let not_counted = admin.get("/api/customers?q=common&limit=1").await.ok(200);
    assert!(not_counted.get("count").is_none(), "{not_counted}");
    // Only one of them has an order, and it is found although all customers match.
    let buyer: CustomerId = "00000000-0000-7000-8abc-000000000007".parse().unwrap();
    let order = id_of(&admin.buy_for(buyer, &[(ACME_KEYBOARD, 1)]).await.ok(201));
    admin.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    assert_eq!(orders(&admin, "q=common").await, [order.as_str()]);
    for words in [
        "left",
        "common%20left",
        "common%207",
        "7",
        "left%20common%207",
    ] {
        let found = orders(&admin, &format!("q={words}")).await;
        assert_eq!(found, [order.as_str()], "{words}");
    }
    for words in ["right", "left%20right", "common%208", "right%207"] {
        let found = orders(&admin, &format!("q={words}")).await;
        assert!(found.is_empty(), "{words}: {found:?}");
    }
    let counted = admin.get("/api/orders?q=left&count=true").await.ok(200);
    assert_eq!(counted["count"], 1, "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_several_found_products_is_listed_and_counted_once() {
    let service = Service::start().await;
    let admin = service.admin();
    let mut products = Vec::new();
    for number in 0..3 {
        products.push(
            admin
                .add_product(&format!("SET-{number}"), "1.00", 100)
                .await,
        );
    }
    let mut bought = Vec::new();
    for number in 0..9 {
        // One, two or all three of them.
        let of_set = products.iter().take(1 + number % 3);
        let lines: Vec<_> = of_set.map(|product| (*product, 1)).collect();
        bought.push(id_of(&admin.buy(&lines).await.ok(201)));
    }
    let oldest = all_pages(&admin, "/api/orders?q=set&sort=created_at", "order_id").await;
    assert_eq!(oldest, bought);
    bought.reverse();
    assert_eq!(
        all_pages(&admin, "/api/orders?q=set", "order_id").await,
        bought
    );
    let counted = async || admin.get("/api/orders?q=set&count=true").await.ok(200);
    assert_eq!(orders(&admin, "q=set").await, bought);
    assert_eq!(counted().await["count"], 9);
    // More products than are looked up one by one.
    let many = format!(
        "INSERT INTO products (business_id, id, sku, name, price)
         SELECT '{ACME}', gen_random_uuid(), 'SET-' || n, 'Part', 1 FROM generate_series(10, 1200) AS n"
    );
    service.database.execute(&many).await;
    assert_eq!(fill(&service).await, 1191);
    assert_eq!(orders(&admin, "q=set").await, bought);
    assert_eq!(orders(&admin, "q=set&limit=2").await, bought[..2]);
    assert_eq!(counted().await["count"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn unpaid_orders_are_sorted_by_their_due_date() {
    let service = Service::start().await;
    let admin = service.admin();
    let buyer = admin.add_customer("Late", "10000.00").await;
    let mut expected = Vec::new();
    for days in [30, 10, 20] {
        let terms = json!({"payment_terms_days": days});
        admin
            .patch(&format!("/api/customers/{buyer}"), &terms)
            .await
            .ok(200);
        expected.push((
            days,
            id_of(&admin.buy_for(buyer, &[(ACME_KEYBOARD, 1)]).await.ok(201)),
        ));
    }
    let settled = id_of(&admin.buy_for(buyer, &[(ACME_KEYBOARD, 1)]).await.ok(201));
    let off = json!({"reason": "a gift"});
    admin.do_to(&settled, "write-offs", &off).await.ok(201);
    expected.sort();
    let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();
    let path = format!("/api/orders?customer_id={buyer}&unpaid=true&sort=due_at");
    assert_eq!(all_pages(&admin, &path, "order_id").await, expected);
    let past = format!(
        "UPDATE orders SET due_at = now() - interval '2 days' WHERE id = '{}'",
        expected[2]
    );
    service.database.execute(&past).await;
    assert_eq!(
        orders(
            &admin,
            &format!("customer_id={buyer}&overdue=true&sort=due_at")
        )
        .await,
        [expected[2].as_str()]
    );
    assert_eq!(
        orders(
            &admin,
            &format!("customer_id={buyer}&overdue=false&status=approved")
        )
        .await
        .len(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_are_found_by_reference_and_customer() {
    let service = Service::start().await;
    let admin = service.admin();
    let payer = admin.add_customer("Pia Payer", "0.00").await;
    let pay = async |customer: CustomerId, amount: &str, reference: Option<&str>| {
        let mut body = json!({"customer_id": customer, "amount": amount, "method": "transfer",
                              "received_at": "2026-01-15T12:00:00Z", "on_account": true});
        if let Some(reference) = reference {
            body["reference"] = reference.into();
        }
        let made = admin.post("/api/payments", &body).await.ok(201);
        made["payment_id"].as_str().unwrap().to_owned()
    };
    let first = pay(payer, "10.00", Some("TR-00 17")).await;
    let second = pay(payer, "20.00", None).await;
    let ahead = pay(ACME_CUSTOMER, "30.00", Some("TR-18")).await;
    let search = async |query: &str| {
        let path = format!("/api/payments?{query}");
        found(&admin, &path, "payment_id").await
    };
    assert_eq!(search("q=tr0017").await, [first.as_str()]);
    assert_eq!(search("q=pia").await, [second.as_str(), first.as_str()]);
    assert_eq!(search("q=payer&amount_min=15").await, [second.as_str()]);
    assert_eq!(search("q=pia&amount_max=15.00").await, [first.as_str()]);
    assert!(search("q=pia&received_from=2026-01-16").await.is_empty());
    assert_eq!(search("q=pia&received_to=2026-01-15").await.len(), 2);
    let page = admin.get("/api/payments?q=tr&count=true").await.ok(200);
    assert_eq!(page["count"], 2, "{page}");
    assert_eq!(page["data"][1]["customer_name"], "Pia Payer");
    // An order is settled by what was paid ahead and by a payment of its own.
    let order = id_of(&admin.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201));
    let rest = json!({"customer_id": ACME_CUSTOMER, "amount": "20.00", "method": "cash", "order_id": order});
    let rest = admin.post("/api/payments", &rest).await.ok(201);
    let rest = rest["payment_id"].as_str().unwrap();
    let number = OrderNumber::of(order.parse::<OrderId>().unwrap()).to_string();
    let both = [rest, ahead.as_str()];
    assert_eq!(search(&format!("q={number}")).await, both);
    let spoken = number.replace('-', "").to_lowercase();
    assert_eq!(search(&format!("q={spoken}")).await, both);
    assert!(search(&format!("q={}", &number[..9])).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_finds_rows_of_other_businesses_or_customers() {
    let service = Service::start().await;
    let (acme, globex) = (service.admin(), service.caller(GLOBEX, Authority::Admin));
    let neighbour = acme.add_customer("Secret Name", "1000.00").await;
    let order = id_of(&acme.buy_for(neighbour, &[(ACME_KEYBOARD, 1)]).await.ok(201));
    let number = OrderNumber::of(order.parse::<OrderId>().unwrap());
    let payment = json!({"customer_id": neighbour, "amount": "1.00", "method": "cash", "reference": "secret"});
    acme.post("/api/payments", &payment).await.ok(201);
    let own = service.caller(ACME, Authority::Customer(neighbour));
    for q in ["secret", &number.to_string()] {
        let path = format!("/api/orders?q={q}&count=true");
        assert_eq!(acme.get(&path).await.ok(200)["count"], 1, "{q}");
        assert_eq!(own.get(&path).await.ok(200)["count"], 1, "{q}");
        for outsider in [&globex, &service.customer()] {
            let page = outsider.get(&path).await.ok(200);
            assert_eq!(page["data"], json!([]), "{q}");
            assert_eq!(page["count"], 0, "{q}");
        }
    }
    for list in ["customers", "payments"] {
        let path = format!("/api/{list}?q=secret");
        assert_eq!(rows(&acme, &path).await.len(), 1, "{list}");
        assert!(rows(&globex, &path).await.is_empty(), "{list}");
    }
    let mine = own.get("/api/orders/my-orders?q=secret").await.ok(200);
    assert_eq!(mine["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_have_bounds_and_unknown_ones_are_rejected() {
    let service = Service::start().await;
    let admin = service.admin();
    let long = "a".repeat(201);
    for (path, pointer) in [
        ("/api/customers?q=".to_owned(), "?q"),
        ("/api/customers?q=-%20%26".to_owned(), "?q"),
        (format!("/api/customers?q={long}"), "?q"),
        ("/api/customers?q=a+b+c+d+e+f+g+h+i".to_owned(), "?q"),
        ("/api/customers?q=a&q=b".to_owned(), "?q"),
        ("/api/customers?on_hold=yes".to_owned(), "?on_hold"),
        ("/api/customers?sort=-name".to_owned(), "?sort"),
        ("/api/customers?count=1".to_owned(), "?count"),
        ("/api/customers?search=a".to_owned(), "?search"),
        ("/api/orders?status=paid,lost".to_owned(), "?status"),
        ("/api/orders?status=paid,".to_owned(), "?status"),
        ("/api/orders?total_min=-1".to_owned(), "?total_min"),
        ("/api/orders?total_max=1.001".to_owned(), "?total_max"),
        (
            "/api/orders?total_min=2&total_max=1".to_owned(),
            "?total_max",
        ),
        ("/api/orders?unpaid=1".to_owned(), "?unpaid"),
        ("/api/orders?sort=total".to_owned(), "?sort"),
        ("/api/orders?sort=due_at".to_owned(), "?sort"),
        (
            "/api/orders?sort=due_at&unpaid=true&q=a".to_owned(),
            "?sort",
        ),
        ("/api/orders?product_id=1".to_owned(), "?product_id"),
        ("/api/payments?amount_min=x".to_owned(), "?amount_min"),
        (
            "/api/payments?received_from=soon".to_owned(),
            "?received_from",
        ),
        ("/api/payments?sort=amount".to_owned(), "?sort"),
        ("/api/reservations?status=open".to_owned(), "?status"),
        ("/api/refunds?status=failed".to_owned(), "?status"),
        ("/api/inventory?count=true".to_owned(), "?count"),
    ] {
        let reply = admin.get(&path).await;
        assert_eq!(reply.status, 422, "{path}: {}", reply.text);
        assert_eq!(pointers(&reply), [pointer], "{path}");
    }
    // A cursor belongs to the order of its list.
    for name in ["One", "Two"] {
        admin.add_customer(name, "0.00").await;
    }
    let page = admin.get("/api/customers?sort=name&limit=1").await.ok(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let reply = admin.get(&format!("/api/customers?cursor={cursor}")).await;
    assert_eq!(pointers(&reply), ["?cursor"]);
    admin
        .get("/api/customers?q=a+b+c+d+e+f+g+h&count=false")
        .await
        .ok(200);
}
