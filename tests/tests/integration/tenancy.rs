//! The wall between businesses as the database holds it: what the service forgets, this does not.

use std::net::TcpListener;

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::{BusinessId, CustomerId, ProductId};
use reqwest::Method;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement, TransactionTrait,
};
use serde_json::{Value, json};
use tests::{Database, OWNER, SECRET, SERVICE, Service, settings};
use tradeline::config::Secret;

/// The one table that is not of businesses.
const NOT_OF_TENANTS: &str = "seaql_migrations";

/// What is written once and never changed.
const APPEND_ONLY: [&str; 4] = [
    "audit_events",
    "ledger_entries",
    "order_items",
    "stock_movements",
];

const BUSINESSES: [(BusinessId, CustomerId, ProductId); 2] = [
    (ACME, ACME_CUSTOMER, ACME_HEADPHONES),
    (GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK),
];

/// A service whose two businesses both have rows in every table.
async fn both_trading() -> Service {
    let service = Service::start().await;
    for (business, customer, product) in BUSINESSES {
        let admin = service.caller(business, Authority::Admin);
        let items = json!([{"product_id": product, "quantity": 1}]);
        let request = admin
            .request(Method::POST, "/api/purchase")
            .header("idempotency-key", "one-key-for-both")
            .body(json!({"customer_id": customer, "items": items}).to_string());
        let _ = admin.send(request).await.ok(201);
    }
    service
}

/// The tables of businesses, from the catalogue: none can be forgotten.
async fn tables(database: &Database) -> Vec<String> {
    let mut tables = database.tables().await;
    tables.retain(|table| table != NOT_OF_TENANTS);
    assert!(tables.len() >= 11, "{tables:?}");
    tables
}

/// The column that says whose a row is.
fn owner_column(table: &str) -> &'static str {
    if table == "businesses" {
        "id"
    } else {
        "business_id"
    }
}

/// Runs a statement as the service's role in a transaction of its own that is rolled back, after these settings.
async fn run(connection: &DatabaseConnection, setting: &str, sql: &str) -> Result<u64, DbErr> {
    let transaction = connection.begin().await.unwrap();
    transaction.execute_unprepared(setting).await.unwrap();
    let done = transaction.execute_unprepared(sql).await;
    transaction.rollback().await.unwrap();
    done.map(|done| done.rows_affected())
}

/// How many rows the service's role counts after this setting.
async fn count(connection: &DatabaseConnection, setting: &str, from: &str) -> i64 {
    let transaction = connection.begin().await.unwrap();
    transaction.execute_unprepared(setting).await.unwrap();
    let found = number(&transaction, &format!("SELECT count(*) FROM {from}")).await;
    transaction.rollback().await.unwrap();
    found
}

async fn number(connection: &impl ConnectionTrait, sql: &str) -> i64 {
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

fn set(business: BusinessId) -> String {
    format!("SET LOCAL app.business_id = '{business}'")
}

const NOTHING_SET: &str = "SELECT 1";

/// The SQLSTATE and the words of a refusal.
fn refusal(outcome: Result<u64, DbErr>) -> (String, String) {
    match outcome {
        Err(
            DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)),
        ) => {
            let error = error.as_database_error().unwrap();
            let code = error.code().unwrap_or_default().into_owned();
            (code, error.message().to_owned())
        }
        other => (String::new(), format!("{other:?}")),
    }
}

#[track_caller]
fn assert_no_privilege(outcome: Result<u64, DbErr>, what: &str) {
    let (code, message) = refusal(outcome);
    assert_eq!(code, "42501", "{what}: {message}");
    assert!(
        message.starts_with("permission denied"),
        "{what}: {message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_has_row_security_enabled_and_forced_and_a_policy_for_all_commands() {
    let service = Service::start().await;
    for table in tables(&service.database).await {
        let sql = format!(
            "SELECT relrowsecurity AND relforcerowsecurity AS forced,
                    (SELECT count(*) FROM pg_policy
                      WHERE polrelid = pg_class.oid AND polcmd = '*' AND polpermissive AND polroles = '{{0}}') AS policies
               FROM pg_class WHERE oid = '{table}'::regclass"
        );
        let row = service.database.row(&sql).await;
        assert_eq!(row["forced"], true, "{table}");
        assert_eq!(row["policies"], 1, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_setting_no_table_shows_a_row() {
    let service = both_trading().await;
    let connection = service.database.connect(SERVICE).await;
    for table in tables(&service.database).await {
        assert_ne!(
            service
                .database
                .value(&format!("SELECT count(*) FROM {table}"))
                .await,
            "0",
            "{table}"
        );
        for nothing in [NOTHING_SET, "SET LOCAL app.business_id = ''"] {
            assert_eq!(count(&connection, nothing, &table).await, 0, "{table}");
        }
        let nonsense = run(
            &connection,
            "SET LOCAL app.business_id = 'acme'",
            &format!("SELECT * FROM {table}"),
        )
        .await;
        assert!(nonsense.is_err(), "{table}: {nonsense:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_business_set_no_table_shows_a_row_of_another() {
    let service = both_trading().await;
    let connection = service.database.connect(SERVICE).await;
    for table in tables(&service.database).await {
        let column = owner_column(&table);
        for business in [ACME, GLOBEX] {
            let own = format!("SELECT count(*) FROM {table} WHERE {column} = '{business}'");
            let own = service.database.value(&own).await;
            assert_ne!(own, "0", "the test has no row of {business} in {table}");
            let seen = count(&connection, &set(business), &table).await;
            assert_eq!(seen.to_string(), own, "{table} of {business}");
            let others = format!("{table} WHERE {column} <> '{business}'");
            assert_eq!(
                count(&connection, &set(business), &others).await,
                0,
                "{table}"
            );
        }
        let no_ones = set(BusinessId::new());
        assert_eq!(count(&connection, &no_ones, &table).await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_shows_the_one_business_that_has_it_and_lets_nothing_be_changed() {
    let service = both_trading().await;
    let connection = service.database.connect(SERVICE).await;
    let named = "SET LOCAL app.business_slug = 'acme'";
    for table in tables(&service.database).await {
        let expected = i64::from(table == "businesses");
        assert_eq!(count(&connection, named, &table).await, expected, "{table}");
    }
    let acme = format!("businesses WHERE id = '{ACME}'");
    assert_eq!(count(&connection, named, &acme).await, 1);
    let nobody = "SET LOCAL app.business_slug = ''";
    assert_eq!(count(&connection, nobody, "businesses").await, 0);
    for change in [
        "UPDATE businesses SET name = 'Mine'".to_owned(),
        "DELETE FROM businesses".to_owned(),
        format!(
            "INSERT INTO businesses SELECT '{}', 'new', 'New', 'USD'",
            BusinessId::new()
        ),
    ] {
        for setting in [named, set(ACME).as_str()] {
            assert_no_privilege(run(&connection, setting, &change).await, &change);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_takes_a_row_for_another_business() {
    let service = both_trading().await;
    let database = &service.database;
    let connection = database.connect(SERVICE).await;
    let mut tried = 0;
    for table in tables(database).await {
        let may_insert = format!("SELECT has_table_privilege('{SERVICE}', '{table}', 'INSERT')");
        if database.value(&may_insert).await == "f" {
            assert_eq!(
                table, "businesses",
                "the service writes all tables but this one"
            );
            continue;
        }
        // Columns that the database derives cannot be written.
        let columns = format!(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS list FROM pg_attribute
              WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
        );
        let columns = database.row(&columns).await;
        let columns = columns["list"].as_str().unwrap();
        let theirs = format!("SELECT * FROM {table} WHERE business_id = '{GLOBEX}' LIMIT 1");
        let theirs = database.row(&theirs).await.to_string().replace('\'', "''");
        let insert = format!(
            "INSERT INTO {table} ({columns})
             SELECT {columns} FROM jsonb_populate_record(NULL::{table}, '{theirs}')"
        );
        for setting in [set(ACME), NOTHING_SET.to_owned()] {
            let (code, message) = refusal(run(&connection, &setting, &insert).await);
            assert_eq!(code, "42501", "{table}: {message}");
            assert!(message.contains("row-level security"), "{table}: {message}");
        }
        // The same row is good for its own business, but for being there already.
        let (code, message) = refusal(run(&connection, &set(GLOBEX), &insert).await);
        assert_eq!(code, "23505", "{table}: {message}");
        tried += 1;
    }
    assert!(tried >= 10, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_business_can_be_neither_changed_nor_deleted() {
    let service = both_trading().await;
    let database = &service.database;
    let connection = database.connect(SERVICE).await;
    let before = database.digest().await;
    let mut changeable = 0;
    for table in tables(database).await {
        let columns = format!(
            "SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0
                AND has_column_privilege('{SERVICE}', attrelid, attnum, 'UPDATE')"
        );
        for column in database.column(&columns).await {
            let update =
                format!("UPDATE {table} SET {column} = {column} WHERE business_id = '{GLOBEX}'");
            assert_eq!(
                run(&connection, &set(ACME), &update).await.unwrap(),
                0,
                "{update}"
            );
            assert_ne!(
                run(&connection, &set(GLOBEX), &update).await.unwrap(),
                0,
                "{update}"
            );
            changeable += 1;
        }
        let may_delete = format!("SELECT has_table_privilege('{SERVICE}', '{table}', 'DELETE')");
        if database.value(&may_delete).await == "t" {
            let deletable = ["idempotency_keys", "refresh_tokens"];
            assert!(
                deletable.contains(&table.as_str()),
                "{table} is never deleted"
            );
            let delete = format!("DELETE FROM {table} WHERE business_id = '{GLOBEX}'");
            assert_eq!(run(&connection, &set(ACME), &delete).await.unwrap(), 0);
            assert_eq!(run(&connection, &set(GLOBEX), &delete).await.unwrap(), 1);
        }
    }
    assert!(changeable > 15, "{changeable}");
    assert_eq!(database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_append_only_can_be_neither_changed_nor_deleted_nor_emptied() {
    let service = both_trading().await;
    let database = &service.database;
    let connection = database.connect(SERVICE).await;
    for table in APPEND_ONLY {
        let columns = format!(
            "SELECT attname FROM pg_attribute
              WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
        );
        let columns = database.column(&columns).await;
        assert!(columns.len() > 5, "{columns:?}");
        for column in columns {
            let update = format!("UPDATE {table} SET {column} = {column}");
            assert_no_privilege(run(&connection, &set(ACME), &update).await, &update);
        }
        let delete = format!("DELETE FROM {table}");
        assert_no_privilege(run(&connection, &set(ACME), &delete).await, &delete);
    }
    for table in database.tables().await {
        let truncate = format!("TRUNCATE {table} CASCADE");
        assert_no_privilege(run(&connection, &set(ACME), &truncate).await, &truncate);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_changes_its_business_or_its_key() {
    let service = both_trading().await;
    let database = &service.database;
    let connection = database.connect(SERVICE).await;
    let mut tried = 0;
    for table in tables(database).await {
        let keys = format!(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
              WHERE i.indrelid = '{table}'::regclass AND i.indisprimary"
        );
        let keys = database.column(&keys).await;
        assert!(
            keys.iter().any(|key| key == owner_column(&table)),
            "{table}"
        );
        for key in keys {
            let update = format!("UPDATE {table} SET {key} = {key}");
            assert_no_privilege(run(&connection, &set(ACME), &update).await, &update);
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_every_table_starts_with_the_business() {
    let service = Service::start().await;
    let unique = "
        SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS of,
               (SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0]) AS first
          FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND c.relname NOT IN ('businesses', 'seaql_migrations')";
    let indexes = service.database.rows(unique).await;
    assert!(indexes.len() >= 13, "{indexes:?}");
    for index in &indexes {
        assert_eq!(index["first"], "business_id", "{index}");
    }
    let of: Vec<&Value> = indexes.iter().map(|index| &index["of"]).collect();
    for table in tables(&service.database).await {
        assert!(
            table == "businesses" || of.contains(&&json!(table)),
            "{table} has no key"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_foreign_key_starts_with_the_business_on_both_sides() {
    let service = Service::start().await;
    let foreign = "
        SELECT conname, confrelid::regclass::text AS to,
               (SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]) AS ours,
               (SELECT attname FROM pg_attribute WHERE attrelid = confrelid AND attnum = confkey[1]) AS theirs
          FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace";
    let keys = service.database.rows(foreign).await;
    assert!(keys.len() >= 10, "{keys:?}");
    for key in &keys {
        assert_eq!(key["ours"], "business_id", "{key}");
        let theirs = owner_column(key["to"].as_str().unwrap());
        assert_eq!(key["theirs"], theirs, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_cannot_point_at_another_business_even_for_the_superuser() {
    let service = both_trading().await;
    let postgres = service.database.connect("postgres").await;
    for sql in [
        format!("UPDATE orders SET customer_id = '{GLOBEX_CUSTOMER}' WHERE business_id = '{ACME}'"),
        format!("UPDATE order_items SET product_id = '{GLOBEX_DESK}' WHERE business_id = '{ACME}'"),
        format!(
            "UPDATE ledger_entries SET customer_id = '{GLOBEX_CUSTOMER}' WHERE business_id = '{ACME}'"
        ),
        format!(
            "UPDATE users SET customer_id = '{GLOBEX_CUSTOMER}' WHERE business_id = '{ACME}' AND role = 'customer'"
        ),
        format!(
            "INSERT INTO inventory (business_id, product_id) VALUES ('{ACME}', '{GLOBEX_DESK}')"
        ),
    ] {
        let (code, message) = refusal(run(&postgres, NOTHING_SET, &sql).await);
        assert_eq!(code, "23503", "{sql}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_role_owns_nothing_and_belongs_to_nobody() {
    let service = Service::start().await;
    let role = "
        SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication AS mighty,
               (SELECT count(*) FROM pg_auth_members WHERE member = r.oid) AS memberships,
               (SELECT count(*) FROM pg_shdepend WHERE refobjid = r.oid AND deptype = 'o') AS owned
          FROM pg_roles r WHERE rolname = 'tradeline_service'";
    let role = service.database.row(role).await;
    assert_eq!(role, json!({"mighty": false, "memberships": 0, "owned": 0}));
    let connection = service.database.connect(SERVICE).await;
    for sql in [
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "INSERT INTO seaql_migrations VALUES ('mine', 0)",
        "DELETE FROM seaql_migrations",
    ] {
        assert_no_privilege(run(&connection, &set(ACME), sql).await, sql);
    }
    for sql in [
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON orders",
        "DROP TABLE audit_events",
    ] {
        let (code, message) = refusal(run(&connection, &set(ACME), sql).await);
        assert_eq!(code, "42501", "{sql}: {message}");
        assert!(message.starts_with("must be owner"), "{sql}: {message}");
    }
    let (code, _) = refusal(run(&connection, &set(ACME), "SET LOCAL ROLE tradeline_owner").await);
    assert_eq!(code, "42501");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_ends_with_its_transaction() {
    let service = Service::start().await;
    let pool = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    let backend = "SELECT pg_backend_pid()::bigint";
    let customers = "SELECT count(*) FROM customers";

    let transaction = pool.begin(ACME).await.unwrap();
    let first = number(&transaction, backend).await;
    assert_eq!(number(&transaction, customers).await, 7);
    // What the connection's next user would meet, whoever that is.
    for end in ["COMMIT", "ROLLBACK"] {
        transaction
            .execute_unprepared(&format!("{end}; BEGIN"))
            .await
            .unwrap();
        assert_eq!(number(&transaction, backend).await, first);
        assert_eq!(number(&transaction, customers).await, 0, "after {end}");
        transaction.execute_unprepared(&set(ACME)).await.unwrap();
        assert_eq!(number(&transaction, customers).await, 7);
    }
    drop(transaction);

    let transaction = pool.begin(GLOBEX).await.unwrap();
    assert_eq!(
        number(&transaction, backend).await,
        first,
        "the same connection"
    );
    assert_eq!(number(&transaction, customers).await, 1);
    drop(transaction);
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn businesses_that_share_one_connection_never_meet() {
    let mut settings = settings();
    settings.workers = Some(1);
    settings.connections = 1;
    settings.lanes = Some(1);
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    let service = Service::with(database, &url, &settings).await;
    let callers = BUSINESSES.map(|(business, customer, product)| {
        let client = service.caller(business, Authority::Admin);
        tokio::spawn(async move {
            for _ in 0..25 {
                let _ = client.buy_for(customer, &[(product, 1)]).await;
                let listed = client.get("/api/customers").await.ok(200);
                let others = BUSINESSES.iter().filter(|other| other.0 != business);
                for (_, other, _) in others {
                    assert!(!listed.to_string().contains(&other.to_string()), "{listed}");
                }
                let own = client
                    .get(&format!("/api/customers/{customer}"))
                    .await
                    .ok(200);
                assert_eq!(own["id"], json!(customer));
            }
        })
    });
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_does_not_start_as_a_role_that_row_security_would_not_bind() {
    let database = Database::with_demo().await;
    // Roles are the whole server's: the database's own name makes them this test's.
    let name = database.value("SELECT current_database()").await;
    let (seer, heir) = (format!("seer_{name}"), format!("heir_{name}"));
    database
        .execute(&format!(
            "CREATE ROLE {seer} LOGIN BYPASSRLS; GRANT {SERVICE} TO {seer};
             CREATE ROLE {heir} LOGIN; GRANT {OWNER} TO {heir}; GRANT {SERVICE} TO {heir}"
        ))
        .await;
    for (role, why) in [
        ("postgres", "is a superuser or has BYPASSRLS"),
        (seer.as_str(), "is a superuser or has BYPASSRLS"),
        (OWNER, "owns the table"),
        (heir.as_str(), "belongs to the role that does"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = Secret::from(database.url(role));
        let secret = Secret::from(SECRET.to_owned());
        let outcome =
            tradeline::service::Service::start(&settings(), &url, &secret, listener).await;
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains(&format!("the role {role}")), "{message}");
        assert!(message.contains(why), "{message}");
        assert!(message.contains("granted `tradeline_service`"), "{message}");
    }
    // A role that was granted what the service needs, and nothing else, is as good as the service's own.
    let plain = format!("plain_{name}");
    database
        .execute(&format!(
            "CREATE ROLE {plain} LOGIN; GRANT {SERVICE} TO {plain}"
        ))
        .await;
    let url = database.url(&plain);
    let service = Service::at(database, &url).await;
    assert_eq!(service.nobody().get("/readyz").await.status, 200);
}
