//! These tests read every list as CSV, and ask every endpoint for a format that it does not have.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Reply, Route, Service, Traded};
use uuid::Uuid;

/// Sends a request that accepts this media type only.
async fn accepting(client: &Client, route: &Route, id: &str, accept: &str) -> Reply {
    let request = client.request(route.method.clone(), &route.with_id(id));
    let request = request.header("accept", accept);
    let request = match route.has_body() {
        true => request.body(route.good_body().to_string()),
        false => request,
    };
    client.send(request).await
}

fn contents(route: &Route) -> Vec<String> {
    let answers = route.operation["responses"].as_object().unwrap().iter();
    let good = answers.filter(|(status, _)| status.starts_with('2'));
    let contents = good.filter_map(|(_, answer)| answer["content"].as_object());
    contents
        .flat_map(|content| content.keys().cloned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_a_table_with_the_rows_of_all_pages() {
    let service = Service::start().await;
    let traded = Traded::at(&service).await;
    let mut lists = 0;
    for route in Route::all(&service).await {
        let is_paged = route.operation["parameters"]
            .to_string()
            .contains("\"cursor\"");
        if route.method != Method::GET || !is_paged {
            continue;
        }
        lists += 1;
        let id = match route.has_id() {
            true => route.id_at_acme(&traded),
            false => String::new(),
        };
        let (path, client) = (route.with_id(&id), route.best_caller(&service));
        assert!(
            contents(&route).iter().any(|content| content == "text/csv"),
            "{path}"
        );
        let rows = client.pages(&path, 2).await;
        let table = client.csv(&path).await;
        assert_eq!(table.status, 200, "{path}: {}", table.text);
        assert_eq!(
            table.header("content-type"),
            "text/csv; charset=utf-8",
            "{path}"
        );
        assert_eq!(table.header("vary"), "Accept", "{path}");
        let lines: Vec<&str> = table.text.lines().collect();
        assert_eq!(lines.len(), rows.len() + 1, "{path}: {}", table.text);
        // Each row has the values of its columns, in the order of the list.
        let heads: Vec<&str> = lines[0].split(',').collect();
        assert!(heads.len() > 2, "{path}: {heads:?}");
        for (line, row) in lines[1..].iter().zip(&rows) {
            let first = &row[heads[0]];
            let first = first
                .as_str()
                .map_or_else(|| first.to_string(), str::to_owned);
            assert!(
                line.starts_with(first.trim_start_matches("null")),
                "{path}: {line}"
            );
            for (name, value) in row.as_object().unwrap() {
                let is_one_value = value.is_string() || value.is_number() || value.is_boolean();
                assert!(
                    !is_one_value || heads.contains(&name.as_str()),
                    "{path}: no column {name}"
                );
            }
        }
        let named = client.get(&format!("{path}.csv")).await;
        assert_eq!(
            (named.status, named.text.lines().count()),
            (200, lines.len()),
            "{path}.csv"
        );
        let refused = client.csv(&format!("{path}?limit=2")).await;
        let problem = refused.refused(422, "validation_failed");
        let message = "must be left out with CSV, which has all rows";
        assert_eq!(
            problem["errors"],
            json!([{"pointer": "?limit", "message": message}]),
            "{path}"
        );
    }
    assert!(lists >= 15, "{lists} lists");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_refuses_a_format_that_it_does_not_have_and_does_nothing() {
    let service = Service::start().await;
    let traded = Traded::at(&service).await;
    let before = service.database.digest().await;
    for route in Route::all(&service).await {
        if contents(&route).is_empty() {
            continue;
        }
        let id = match route.has_id() {
            true => route.id_at_acme(&traded),
            false => String::new(),
        };
        let reply = accepting(&route.best_caller(&service), &route, &id, "image/png").await;
        let problem = reply.refused(406, "not_acceptable");
        let mut formats = contents(&route);
        formats.sort_unstable();
        formats.dedup();
        assert_eq!(problem["formats"], json!(formats), "{}", route.name());
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_thousands_of_rows_has_each_once_and_those_of_its_filter() {
    let service = Service::start().await;
    let admin = service.admin();
    service
        .database
        .execute(
            "INSERT INTO customers (business_id, id, name)
             SELECT business_id, gen_random_uuid(), '=cmd ' || number
               FROM (SELECT business_id FROM customers LIMIT 1) AS one, generate_series(1, 4321) AS number",
        )
        .await;
    let table = admin.csv("/api/customers").await;
    let ids = table
        .text
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap());
    let ids: Vec<Uuid> = ids.map(|id| id.parse().unwrap()).collect();
    let sql = "SELECT count(*) FROM customers WHERE business_id = (SELECT business_id FROM customers LIMIT 1)";
    assert_eq!(ids.len().to_string(), service.database.value(sql).await);
    assert!(
        ids.is_sorted_by(|a, b| a < b),
        "a row is missing or repeated"
    );
    let formulas = table
        .text
        .lines()
        .filter(|line| line.contains(",'=cmd "))
        .count();
    assert_eq!(formulas, 4321);
    assert!(!table.text.contains(",=cmd"));

    let semicolons = admin
        .get("/api/customers.csv?separator=semicolon&bom=true")
        .await;
    assert!(
        semicolons.text.starts_with("\u{feff}id;name;"),
        "{:.40}",
        semicolons.text
    );
    let none = admin.get("/api/orders.csv?status=paid").await;
    assert_eq!(none.text.lines().count(), 1);
    assert_eq!(
        none.header("content-disposition"),
        "attachment; filename=\"orders.csv\""
    );
    let problem = admin.get("/api/orders.csv?status=lost").await;
    let _ = problem.refused(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_is_for_lists_and_reports_only() {
    let service = Service::start().await;
    let admin = service.admin();
    let _ = admin
        .get("/api/business.csv")
        .await
        .refused(404, "not_found");
    let one: Value = admin.get("/api/customers").await.ok(200);
    let id = one["data"][0]["id"].as_str().unwrap();
    let reply = admin.csv(&format!("/api/customers/{id}")).await;
    assert_eq!(
        reply.refused(406, "not_acceptable")["formats"],
        json!(["application/json"])
    );
    let nobody = service.nobody().get("/api/orders.csv").await;
    let _ = nobody.refused(401, "unauthenticated");
    let list = admin.get("/api/customers").await;
    assert_eq!((list.status, list.header("vary")), (200, "Accept"));
}
