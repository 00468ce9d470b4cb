//! These tests check the details of orders, customers, products and payments, which no rule reads: each is shown as it
//! was given, changed by a PATCH, bounded, and in the audit trail.

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX};
use serde_json::{Value, json};
use tests::{Client, Service, Untouched, all, books_balance, id_of, pointers, sorted};

use crate::trade::purchase::{of_customer, of_order};

/// An address with all its parts.
fn address() -> Value {
    json!({"name": "Warehouse 2", "line1": "1 Dock Road", "line2": "Gate B", "postal_code": "E16 1AG",
           "city": "London", "region": "Greater London", "country": "GB"})
}

/// All details of an order.
fn details() -> Value {
    json!({"reference": "PO-4711", "note": "Ring twice.\nThen wait.", "delivery_address": address(),
           "metadata": {"channel": "phone", "utm": "spring"}})
}

/// The details of an order without any.
fn none() -> Value {
    json!({"reference": null, "note": null, "delivery_address": null, "metadata": {}})
}

/// Joins the members of two objects.
fn with(mut body: Value, more: &Value) -> Value {
    let members = body.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    body
}

fn text<'a>(shown: &'a Value, name: &str) -> &'a str {
    shown[name].as_str().unwrap()
}

#[track_caller]
fn shows(shown: &Value, details: &Value) {
    for (name, value) in details.as_object().unwrap() {
        assert_eq!(shown[name], *value, "{name} of {shown}");
    }
}

/// Audit entries of one entity, oldest first.
async fn trail(service: &Service, id: &str) -> Vec<Value> {
    let sql = format!(
        "SELECT action, actor_role, before, after FROM audit_events WHERE entity_id = '{id}' ORDER BY id"
    );
    service.database.rows(&sql).await
}

async fn buy(client: &Client, details: &Value) -> Value {
    let body = tests::purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 1)]);
    let body = with(body, details);
    client.post("/api/purchase", &body).await.ok(201)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_details_and_number_are_on_everything_that_shows_it() {
    let service = Service::start().await;
    let (staff, customer) = (service.staff(), service.customer());
    let receipt = buy(&customer, &details()).await;
    shows(&receipt, &details());
    let id = id_of(&receipt);
    let number = receipt["number"].as_str().unwrap();
    let order = staff.order(&id).await;
    shows(&order, &details());
    let listed = staff.get("/api/orders").await.ok(200)["data"][0].clone();
    shows(&listed, &details());
    assert_eq!(
        (&order["number"], &listed["number"]),
        (&json!(number), &json!(number))
    );

    let account = of_customer(ACME_CUSTOMER);
    for rows in ["ledger", "statement"] {
        let read = customer.get(&format!("{account}/{rows}")).await.ok(200);
        let rows = if rows == "ledger" {
            &read["data"]
        } else {
            &read["entries"]
        };
        assert_eq!(rows[0]["order_id"], json!(id));
        assert_eq!(rows[0]["order_number"], number);
        assert_eq!(rows[0]["order_reference"], "PO-4711");
    }
    let table = staff.csv(&format!("{account}/statement")).await.text;
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].ends_with(",reverses,order_number,order_reference"),
        "{table}"
    );
    assert!(
        lines[2].ends_with(&format!(",,{number},PO-4711")),
        "{table}"
    );

    let payment = json!({"customer_id": ACME_CUSTOMER, "amount": "10.00", "method": "cash", "order_id": id,
                         "metadata": {"till": "3"}});
    let paid = staff.post("/api/payments", &payment).await.ok(201);
    assert_eq!(paid["allocations"][0]["order_number"], number);
    assert_eq!(paid["metadata"], json!({"till": "3"}));
    let path = format!("/api/payments/{}", text(&paid, "payment_id"));
    let read = staff.get(&path).await.ok(200);
    assert_eq!(read["allocations"][0]["order_number"], number);
    assert_eq!(read["metadata"], json!({"till": "3"}));
    let credit = json!({"amount": "1.00", "reason": "scratched"});
    let note = service
        .admin()
        .do_to(&id, "credit-notes", &credit)
        .await
        .ok(201);
    assert_eq!(note["order_number"], number);
    let write_off = service
        .admin()
        .do_to(&id, "write-offs", &json!({"reason": "lost"}))
        .await;
    assert_eq!(write_off.ok(201)["order_number"], number);

    let entries = trail(&service, &id).await;
    assert_eq!(entries[0]["action"], "order.approved");
    shows(&entries[0]["after"], &details());
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_details_has_none_and_its_trail_does_not_name_them() {
    let service = Service::start().await;
    let nothing =
        json!({"reference": null, "note": null, "delivery_address": null, "metadata": {}});
    for given in [json!({}), nothing] {
        let receipt = buy(&service.staff(), &given).await;
        shows(&receipt, &none());
        let id = id_of(&receipt);
        shows(&service.staff().order(&id).await, &none());
        let columns = "reference, note, delivery_address, metadata";
        let stored = format!("SELECT num_nulls({columns}) FROM orders WHERE id = '{id}'");
        assert_eq!(service.database.value(&stored).await, "4");
        let after = trail(&service, &id).await[0]["after"].clone();
        for name in ["reference", "note", "delivery_address", "metadata"] {
            assert!(after.get(name).is_none(), "{after}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_one_batch_keep_their_details_apart() {
    let service = Service::start().await;
    let staff = service.staff();
    let replies = all((0..18).map(|at| {
        let staff = staff.clone();
        async move {
            let given = match at % 3 {
                0 => json!({"reference": format!("PO-{at}"), "metadata": {"at": at.to_string()}}),
                1 => json!({"note": format!("note {at}")}),
                _ => json!({}),
            };
            (given.clone(), buy(&staff, &given).await)
        }
    }))
    .await;
    for (given, receipt) in replies {
        shows(&staff.order(&id_of(&receipt)).await, &with(none(), &given));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_order_and_a_confirmed_reservation_take_details_too() {
    let service = Service::start().await;
    let staff = service.staff();
    let items = tests::purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 1)]);
    let body = with(items.clone(), &details());
    let checkout = staff.post("/api/orders/checkout", &body).await.ok(201);
    assert_eq!(checkout["reference"], "PO-4711");
    let mut made = vec![(checkout, "order.created")];
    for (method, action) in [("credit", "order.approved"), ("card", "order.created")] {
        let held = staff.post("/api/reservations", &items).await.ok(201);
        assert_eq!(held["order_number"], json!(null));
        let path = format!("/api/reservations/{}", text(&held, "reservation_id"));
        let body = with(json!({"payment_method": method}), &details());
        let confirmed = staff.post(&format!("{path}/confirm"), &body).await.ok(201);
        assert_eq!(confirmed["reference"], "PO-4711");
        let held = staff.get(&path).await.ok(200);
        assert_eq!(held["order_number"], confirmed["number"]);
        made.push((confirmed, action));
    }
    for (shown, action) in made {
        let id = id_of(&shown);
        let order = staff.order(&id).await;
        assert_eq!(order["number"], shown["number"]);
        shows(&order, &details());
        let entries = trail(&service, &id).await;
        assert_eq!(entries[0]["action"], action);
        shows(&entries[0]["after"], &details());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_changes_what_it_names_in_any_status_and_null_removes_it() {
    let service = Service::start().await;
    let staff = service.staff();
    let id = id_of(&buy(&staff, &details()).await);
    let path = of_order(&id);
    staff.do_to(&id, "cancel", &json!({})).await.ok(200);
    let mut expected = details();
    for (patch, member, value) in [
        (json!({}), "reference", json!("PO-4711")),
        (json!({"reference": "PO-5"}), "reference", json!("PO-5")),
        (json!({"note": null}), "note", json!(null)),
        (
            json!({"delivery_address": {"line1": "2 Dock Road", "country": "FR"}}),
            "delivery_address",
            json!({"name": null, "line1": "2 Dock Road", "line2": null, "postal_code": null, "city": null,
                   "region": null, "country": "FR"}),
        ),
        (
            json!({"metadata": {"channel": "web", "utm": null, "new": "1", "unknown": ""}}),
            "metadata",
            json!({"channel": "web", "new": "1"}),
        ),
        (
            json!({"metadata": {"new": ""}}),
            "metadata",
            json!({"channel": "web"}),
        ),
        (json!({"metadata": null}), "metadata", json!({})),
        (
            json!({"delivery_address": null}),
            "delivery_address",
            json!(null),
        ),
        (json!({"reference": null}), "reference", json!(null)),
    ] {
        expected[member] = value;
        let changed = staff.patch(&path, &patch).await.ok(200);
        shows(&changed, &expected);
        assert_eq!(changed, staff.order(&id).await, "{patch}");
        assert_eq!(changed["status"], "cancelled");
    }
    // The first change changes nothing, so it leaves no entry.
    let changes = trail(&service, &id).await.split_off(2);
    assert_eq!(changes.len(), 8);
    assert_eq!(
        changes[0],
        json!({"action": "order.changed", "actor_role": "staff", "before": details(),
               "after": with(details(), &json!({"reference": "PO-5"}))})
    );
    for pair in changes.windows(2) {
        assert_eq!(pair[0]["after"], pair[1]["before"]);
    }
    let nothing = with(none(), &json!({"metadata": null}));
    assert_eq!(changes[7]["after"], nothing);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_details_are_changed_by_its_business_alone_and_not_by_customers() {
    let service = Service::start().await;
    let id = id_of(&buy(&service.staff(), &details()).await);
    let (path, patch) = (of_order(&id), json!({"reference": "mine"}));
    let refused = service.customer().patch(&path, &patch).await;
    let _ = refused.refused(403, "forbidden");
    let other = service.caller(GLOBEX, Authority::Admin);
    let _ = other
        .patch(&path, &patch)
        .await
        .refused(404, "order_not_found");
    shows(&service.staff().order(&id).await, &details());
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_two_programs_at_once_is_kept() {
    let service = Service::start().await;
    let staff = service.staff();
    let path = of_order(&id_of(&buy(&staff, &json!({})).await));
    all((0..20).map(|at| {
        let (staff, path) = (staff.clone(), path.clone());
        async move {
            let patch = json!({"metadata": {format!("key{at}"): at.to_string()}});
            staff.patch(&path, &patch).await.ok(200)
        }
    }))
    .await;
    let order = staff.get(&path).await.ok(200);
    assert_eq!(order["metadata"].as_object().unwrap().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_never_has_more_than_fifty_keys() {
    let it = Untouched::start().await;
    let keys = |from: usize, to: usize| -> Value {
        let keys = (from..to).map(|n| (format!("key{n}"), json!("value")));
        json!({"metadata": Value::Object(keys.collect())})
    };
    let body = |more: &Value| {
        with(
            json!({"sku": "FULL", "name": "Full", "price": "1.00"}),
            more,
        )
    };
    let refused = it.admin.post("/api/products", &body(&keys(0, 51))).await;
    assert_eq!(pointers(&refused), ["/metadata"]);
    it.check().await;
    let service = Service::start().await;
    let admin = service.admin();
    let made = admin
        .post("/api/products", &body(&keys(0, 50)))
        .await
        .ok(201);
    let path = format!("/api/products/{}", text(&made, "id"));
    let refused = admin.patch(&path, &keys(50, 51)).await;
    assert_eq!(pointers(&refused), ["/metadata"]);
    let swap = json!({"metadata": {"key0": null, "key50": "value"}});
    let swapped = admin.patch(&path, &swap).await.ok(200);
    assert_eq!(swapped["metadata"].as_object().unwrap().len(), 50);
    assert_eq!(swapped["metadata"]["key0"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_an_orders_details_is_reported_at_once() {
    let it = Untouched::start().await;
    let faults = json!({
        "reference": "x".repeat(101), "note": "x".repeat(2001),
        "delivery_address": {"name": "", "line2": "x".repeat(201), "postal_code": "x".repeat(21), "city": 1,
                             "region": "x".repeat(101), "country": "UK", "street": "x"},
        "metadata": {"": "x", "long": "x".repeat(501), "number": 1, "nul": "\u{0}"},
    });
    let expected = [
        "/delivery_address/city",
        "/delivery_address/country",
        "/delivery_address/line1",
        "/delivery_address/line2",
        "/delivery_address/name",
        "/delivery_address/postal_code",
        "/delivery_address/region",
        "/delivery_address/street",
        "/metadata/",
        "/metadata/long",
        "/metadata/nul",
        "/metadata/number",
        "/note",
        "/reference",
    ];
    let items = tests::purchase(ACME_CUSTOMER, &[(ACME_HEADPHONES, 1)]);
    let (buy, hold) = (
        with(items.clone(), &faults),
        json!({"payment_method": "card"}),
    );
    let reservation = format!("/api/reservations/{ACME}/confirm");
    for (path, body) in [
        ("/api/purchase", &buy),
        ("/api/orders/checkout", &buy),
        (reservation.as_str(), &with(hold, &faults)),
    ] {
        let refused = it.admin.post(path, body).await;
        assert_eq!(sorted(pointers(&refused)), expected, "{path}");
    }
    let patch = it.admin.patch(&of_order(&ACME.to_string()), &faults).await;
    assert_eq!(sorted(pointers(&patch)), expected);
    it.check().await;
}

/// All details of a customer, as a request has them.
fn customer() -> Value {
    json!({"reference": "C-1001", "contact": "Ada Lovelace", "phone": "+44 (20) 7946-0000",
           "vat_number": "gb 123.456-789", "metadata": {"crm": "77"},
           "addresses": [with(address(), &json!({"kind": "billing"})),
                         {"kind": "delivery", "line1": "3 Dock Road", "country": "IE"}]})
}

/// The same, as the service shows them.
fn shown() -> Value {
    let short = json!({"kind": "delivery", "name": null, "line1": "3 Dock Road", "line2": null, "postal_code": null,
                       "city": null, "region": null, "country": "IE"});
    let addresses = json!([with(address(), &json!({"kind": "billing"})), short]);
    with(
        customer(),
        &json!({"vat_number": "GB123456789", "addresses": addresses}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_details_are_kept_changed_and_in_the_trail() {
    let service = Service::start().await;
    let staff = service.staff();
    let body = with(json!({"name": "Detailed"}), &customer());
    let added = staff.post("/api/customers", &body).await.ok(201);
    shows(&added, &shown());
    let id = text(&added, "id").to_owned();
    let path = format!("/api/customers/{id}");
    assert_eq!(staff.get(&path).await.ok(200), added);
    let kept = staff
        .patch(&path, &json!({"name": "Renamed"}))
        .await
        .ok(200);
    shows(&kept, &shown());
    let patch = json!({"phone": "1234", "addresses": [], "metadata": {"crm": "", "erp": "8"}});
    let changed = staff.patch(&path, &patch).await.ok(200);
    let expected = json!({"phone": "1234", "addresses": [], "metadata": {"erp": "8"}});
    let expected = with(shown(), &expected);
    shows(&changed, &expected);
    let nulls = json!({"reference": null, "contact": null, "phone": null, "vat_number": null, "addresses": null,
                       "metadata": null});
    let cleared = staff.patch(&path, &nulls).await.ok(200);
    shows(
        &cleared,
        &with(nulls.clone(), &json!({"addresses": [], "metadata": {}})),
    );

    let trail = trail(&service, &id).await;
    assert_eq!(trail.len(), 4);
    shows(&trail[0]["after"], &shown());
    shows(&trail[2]["before"], &shown());
    shows(
        &trail[2]["after"],
        &with(expected, &json!({"addresses": null})),
    );
    shows(&trail[3]["after"], &nulls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_reference_is_theirs_alone_in_their_business() {
    let service = Service::start().await;
    let admin = service.admin();
    let first = json!({"name": "First", "reference": "C-1"});
    let first = admin.post("/api/customers", &first).await.ok(201);
    let second = json!({"name": "Second", "reference": "C-1"});
    let refused = admin.post_once("second", "/api/customers", &second).await;
    assert_eq!(refused.refused(409, "already_exists")["field"], "reference");
    let other = service.caller(GLOBEX, Authority::Admin);
    let _ = other.post("/api/customers", &second).await.ok(201);
    let patch = json!({"reference": "C-1"});
    let demo = of_customer(ACME_CUSTOMER);
    let refused = admin.patch(&demo, &patch).await;
    assert_eq!(refused.refused(409, "already_exists")["field"], "reference");
    // Case counts, and a removed reference may be given again.
    let _ = admin
        .patch(&demo, &json!({"reference": "c-1"}))
        .await
        .ok(200);
    let first = format!("/api/customers/{}", text(&first, "id"));
    let _ = admin
        .patch(&first, &json!({"reference": null}))
        .await
        .ok(200);
    let _ = admin.patch(&demo, &patch).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_customers_details_is_reported_at_once() {
    let it = Untouched::start().await;
    let address = json!({"kind": "home", "line1": " ", "country": "gb"});
    let faults = json!({
        "reference": "", "contact": "x".repeat(201), "phone": "123", "vat_number": "GB/1",
        "addresses": [with(address.clone(), &json!({"kind": "billing", "line1": "x", "country": "GB"})), address],
        "metadata": {"k".repeat(41): "x", "empty": ""},
    });
    let long = format!("/metadata/{}", "k".repeat(41));
    let expected = [
        "/addresses/1/country",
        "/addresses/1/kind",
        "/addresses/1/line1",
        "/contact",
        "/metadata/empty",
        long.as_str(),
        "/phone",
        "/reference",
        "/vat_number",
    ];
    let body = with(json!({"name": "Faulty"}), &faults);
    let refused = it.admin.post("/api/customers", &body).await;
    assert_eq!(sorted(pointers(&refused)), expected);
    // An empty text removes a key in a PATCH.
    let refused = it.admin.patch(&of_customer(ACME_CUSTOMER), &faults).await;
    let expected = expected.into_iter().filter(|at| *at != "/metadata/empty");
    assert_eq!(sorted(pointers(&refused)), expected.collect::<Vec<_>>());
    let many = json!({"kind": "billing", "line1": "x", "country": "GB"});
    let many = json!({"name": "Many", "addresses": vec![many; 21]});
    let refused = it.admin.post("/api/customers", &many).await;
    assert_eq!(pointers(&refused), ["/addresses"]);
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_products_metadata_is_merged_by_patch_and_replaced_by_put() {
    let service = Service::start().await;
    let admin = service.admin();
    let catalogue = json!({"sku": "META", "name": "Meta", "price": "1.00"});
    let body = with(
        catalogue.clone(),
        &json!({"metadata": {"a": "1", "b": " 2 "}}),
    );
    let made = admin.post("/api/products", &body).await.ok(201);
    let id = text(&made, "id").to_owned();
    let path = format!("/api/products/{id}");
    assert_eq!(made["metadata"], json!({"a": "1", "b": " 2 "}));
    for (patch, after) in [
        (json!({"price": "2.00"}), json!({"a": "1", "b": " 2 "})),
        (
            json!({"metadata": {"a": null, "c": "3"}}),
            json!({"b": " 2 ", "c": "3"}),
        ),
    ] {
        let changed = admin.patch(&path, &patch).await.ok(200);
        assert_eq!(changed["metadata"], after);
    }
    let put = with(catalogue.clone(), &json!({"metadata": {"d": "4"}}));
    for (put, after) in [(put, json!({"d": "4"})), (catalogue, json!({}))] {
        let replaced = admin.put(&path, &put).await.ok(200);
        assert_eq!(replaced["metadata"], after);
        assert_eq!(admin.get(&path).await.ok(200)["metadata"], after);
    }
    let entries = trail(&service, &id).await;
    let after: Vec<&Value> = entries
        .iter()
        .map(|entry| &entry["after"]["metadata"])
        .collect();
    let b = json!({"a": "1", "b": " 2 "});
    let (c, d) = (json!({"b": " 2 ", "c": "3"}), json!({"d": "4"}));
    assert_eq!(after, [&b, &b, &c, &d, &Value::Null]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_to_the_same_values_leaves_no_trace() {
    let service = Service::start().await;
    let admin = service.admin();
    let order = id_of(&buy(&admin, &details()).await);
    let customer = format!("/api/customers/{ACME_CUSTOMER}");
    let product = format!("/api/products/{ACME_KEYBOARD}");
    let labelled = json!({"metadata": {"a": "1"}});
    for path in [&customer, &product] {
        let _ = admin.patch(path, &labelled).await.ok(200);
    }
    let before = service.database.digest().await;
    for path in [customer, product, of_order(&order)] {
        let row = admin.get(&path).await.ok(200);
        let own: &[&str] = match path.as_str() {
            _ if path.starts_with("/api/customers") => {
                &["name", "email", "phone", "credit_limit", "metadata"]
            }
            _ if path.starts_with("/api/products") => {
                &["sku", "name", "description", "active", "metadata"]
            }
            _ => &["reference", "note", "delivery_address", "metadata"],
        };
        let same: serde_json::Map<String, Value> = own
            .iter()
            .map(|name| ((*name).to_owned(), row[*name].clone()))
            .collect();
        for patch in [
            json!({}),
            Value::Object(same),
            json!({"metadata": {"none": null}}),
        ] {
            assert_eq!(
                admin.patch(&path, &patch).await.ok(200),
                row,
                "{path} {patch}"
            );
        }
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_and_visitors_read_no_metadata_of_the_business() {
    let service = Service::start().await;
    let (admin, buyer) = (service.admin(), service.customer());
    let secret = json!({"metadata": {"cost_price": "12.00"}});
    let customer = format!("/api/customers/{ACME_CUSTOMER}");
    let product = format!("/api/products/{ACME_KEYBOARD}");
    let order = of_order(&id_of(&buy(&buyer, &json!({})).await));
    for path in [&customer, &product, &order] {
        let changed = admin.patch(path, &secret).await.ok(200);
        assert_eq!(changed["metadata"], secret["metadata"], "{path}");
        let read = buyer.get(path).await.ok(200);
        assert_eq!(read["metadata"], json!({}), "{path}");
    }
    let public = [
        format!("{product}?business=acme"),
        "/api/products?business=acme".to_owned(),
    ];
    for path in public {
        let read = service.nobody().get(&path).await.ok(200);
        assert!(!read.to_string().contains("cost_price"), "{read}");
    }
    for path in ["/api/orders/my-orders", "/api/products"] {
        let read = buyer.get(path).await.ok(200);
        assert!(!read.to_string().contains("cost_price"), "{read}");
    }
}
