//! Row security, the second wall between businesses, proved from outside of the code: by a role on a connection, as
//! whoever had the service's password, or had taken over the service, would try it.
//!
//! The tables come from the catalogue, so that a new one is tried by itself. What it must be told of one is in [`TABLES`]
//! and, if trading leaves no rows in it, in [`MORE_ROWS`].

use std::net::TcpListener;

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::{BusinessId, CustomerId, ProductId};
use reqwest::Method;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement, TransactionTrait,
};
use serde_json::json;
use tests::{Database, OWNER, SECRET, SERVICE, Service, settings};
use tradeline::config::Secret;

/// The one table that is not of businesses.
const NOT_OF_TENANTS: &str = "seaql_migrations";

/// What the service's role may do in each table beside reading: nothing more is granted, and nothing less. A table is
/// append-only when it may only insert.
const TABLES: [(&str, bool, bool, &[&str]); 21] = [
    // table, may insert, may delete, columns that it may update
    ("allocations", true, false, &[]),
    ("api_keys", true, false, &["last_used_at", "revoked_at"]),
    ("audit_events", true, false, &[]),
    // By column: id, slug, name and currency.
    ("businesses", true, false, &["name", "block_after_days"]),
    ("credit_note_items", true, false, &[]),
    ("credit_notes", true, false, &[]),
    ("credits_on_account", true, true, &["amount"]),
    (
        "customers",
        true,
        false,
        &[
            "name",
            "email",
            "credit_limit",
            "balance",
            "entry_count",
            "on_account",
            "on_hold",
            "payment_terms_days",
            "updated_at",
        ],
    ),
    ("idempotency_keys", true, true, &[]),
    (
        "inventory",
        true,
        false,
        &["on_hand", "reserved", "updated_at"],
    ),
    ("ledger_entries", true, false, &[]),
    ("order_items", true, false, &[]),
    (
        "orders",
        true,
        false,
        &["status", "amount_settled", "amount_credited", "updated_at"],
    ),
    ("payments", true, false, &[]),
    (
        "products",
        true,
        false,
        &[
            "sku",
            "name",
            "description",
            "price",
            "limit_per_customer",
            "active",
            "updated_at",
        ],
    ),
    ("refresh_tokens", true, true, &["used_at", "revoked_at"]),
    ("reversals", true, false, &[]),
    ("seaql_migrations", false, false, &[]),
    ("stock_movements", true, false, &[]),
    (
        "users",
        true,
        false,
        &[
            "name",
            "role",
            "customer_id",
            "disabled_at",
            "version",
            "version_changed_at",
            "updated_at",
        ],
    ),
    ("write_offs", true, false, &[]),
];

/// How the superuser adds a row of the business `{business}` to a table in which trading leaves none.
const MORE_ROWS: [(&str, &str); 7] = [
    (
        "payments",
        "INSERT INTO payments SELECT business_id, id, customer_id, number, 1, 'cash', NULL, now(), id FROM ledger_entries
          WHERE business_id = '{business}' AND kind = 'charge' LIMIT 1",
    ),
    (
        "credit_notes",
        "INSERT INTO credit_notes SELECT business_id, id, customer_id, number, order_id, 1, 'late', false, id FROM ledger_entries
          WHERE business_id = '{business}' AND kind = 'charge' LIMIT 1",
    ),
    (
        "credit_note_items",
        "INSERT INTO credit_note_items SELECT business_id, n.id, product_id, 1
           FROM credit_notes n JOIN inventory USING (business_id) WHERE business_id = '{business}' LIMIT 1",
    ),
    (
        "write_offs",
        "INSERT INTO write_offs SELECT business_id, id, customer_id, number, order_id, 1, 'lost', id FROM ledger_entries
          WHERE business_id = '{business}' AND kind = 'charge' LIMIT 1",
    ),
    (
        "reversals",
        "SET session_replication_role = replica;
         INSERT INTO reversals SELECT business_id, customer_id, number + 1, number, 'bounced', id FROM ledger_entries
          WHERE business_id = '{business}' AND kind = 'charge' LIMIT 1",
    ),
    (
        "allocations",
        "INSERT INTO allocations SELECT business_id, id, customer_id, number, order_id, 1, now() FROM ledger_entries
          WHERE business_id = '{business}' AND kind = 'charge' LIMIT 1",
    ),
    (
        "credits_on_account",
        "INSERT INTO credits_on_account SELECT business_id, customer_id, number, 1 FROM ledger_entries
          WHERE business_id = '{business}' AND kind = 'charge' LIMIT 1",
    ),
];

pub(crate) const BUSINESSES: [(BusinessId, CustomerId, ProductId); 2] = [
    (ACME, ACME_CUSTOMER, ACME_HEADPHONES),
    (GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK),
];

/// A service whose two businesses both have rows in every table.
pub(crate) async fn both_trading() -> Service {
    let service = Service::start().await;
    for (business, customer, product) in BUSINESSES {
        let admin = service.caller(business, Authority::Admin);
        let items = json!([{"product_id": product, "quantity": 1}]);
        let request = admin
            .request(Method::POST, "/api/purchase")
            .header("idempotency-key", "one-key-for-both")
            .body(json!({"customer_id": customer, "items": items}).to_string());
        let _ = admin.send(request).await.ok(201);
        for (_, insert) in MORE_ROWS {
            let insert = insert.replace("{business}", &business.to_string());
            service.database.execute(&insert).await;
        }
    }
    for table in tables(&service.database).await {
        let column = owner_column(&table);
        let owners = format!("SELECT count(DISTINCT {column}) FROM {table}");
        assert_eq!(
            service.database.value(&owners).await,
            "2",
            "say in MORE_ROWS how both businesses get a row in {table}"
        );
    }
    service
}

/// The tables of businesses, from the catalogue: none can be forgotten.
pub(crate) async fn tables(database: &Database) -> Vec<String> {
    let mut tables = database.tables().await;
    tables.retain(|table| table != NOT_OF_TENANTS);
    assert!(tables.len() >= 11, "{tables:?}");
    tables
}

/// The column that says whose a row is.
pub(crate) fn owner_column(table: &str) -> &'static str {
    if table == "businesses" {
        "id"
    } else {
        "business_id"
    }
}

/// Runs a statement as the service's role in a transaction of its own that is rolled back, after these settings.
pub(crate) async fn run(
    connection: &DatabaseConnection,
    setting: &str,
    sql: &str,
) -> Result<u64, DbErr> {
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

pub(crate) async fn number(connection: &impl ConnectionTrait, sql: &str) -> i64 {
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

pub(crate) fn set(business: BusinessId) -> String {
    format!("SET LOCAL app.business_id = '{business}'")
}

pub(crate) const NOTHING_SET: &str = "SELECT 1";

/// The SQLSTATE and the words of a refusal.
pub(crate) fn refusal(outcome: Result<u64, DbErr>) -> (String, String) {
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
        "UPDATE businesses SET slug = 'mine'",
        "UPDATE businesses SET currency = 'EUR'",
        "DELETE FROM businesses",
    ] {
        for setting in [named, set(ACME).as_str()] {
            assert_no_privilege(run(&connection, setting, change).await, change);
        }
    }
    // Whoever names a slug sees the business, and renames it no more than one that it does not see.
    let rename = "UPDATE businesses SET name = 'Mine'";
    for setting in [named, NOTHING_SET, set(BusinessId::new()).as_str()] {
        assert_eq!(run(&connection, setting, rename).await.unwrap(), 0);
    }
    assert_eq!(run(&connection, &set(ACME), rename).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lists_the_businesses_sees_nothing_of_theirs_and_changes_nothing() {
    let service = both_trading().await;
    let connection = service.database.connect(SERVICE).await;
    let listed = "SET LOCAL app.businesses = 'listed'";
    for table in tables(&service.database).await {
        let expected = if table == "businesses" { 2 } else { 0 };
        assert_eq!(
            count(&connection, listed, &table).await,
            expected,
            "{table}"
        );
    }
    let rename = "UPDATE businesses SET name = 'Mine'";
    assert_eq!(run(&connection, listed, rename).await.unwrap(), 0);
    for nothing in [
        "SET LOCAL app.businesses = ''",
        "SET LOCAL app.businesses = 'all'",
    ] {
        assert_eq!(count(&connection, nothing, "businesses").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_makes_the_one_business_that_it_has_named_and_no_other() {
    let service = Service::start().await;
    let connection = service.database.connect(SERVICE).await;
    let new = BusinessId::new();
    let insert = |id: BusinessId| {
        format!(
            "INSERT INTO businesses (id, slug, name, currency) VALUES ('{id}', 'new', 'New', 'USD')"
        )
    };
    for setting in [
        NOTHING_SET,
        set(ACME).as_str(),
        set(BusinessId::new()).as_str(),
        "SET LOCAL app.business_slug = 'new'",
    ] {
        let (code, message) = refusal(run(&connection, setting, &insert(new)).await);
        assert_eq!(code, "42501", "{message}");
        assert!(message.contains("row-level security"), "{message}");
    }
    // One that is there already cannot be made again.
    let (code, message) = refusal(run(&connection, &set(ACME), &insert(ACME)).await);
    assert_eq!(code, "23505", "{message}");
    assert_eq!(run(&connection, &set(new), &insert(new)).await.unwrap(), 1);
    // Its past is not the service's to write.
    let dated = "INSERT INTO businesses (id, slug, name, currency, created_at)
                 SELECT gen_random_uuid(), 'new', 'New', 'USD', now()";
    assert_no_privilege(run(&connection, &set(new), dated).await, dated);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_takes_a_row_for_another_business() {
    let service = both_trading().await;
    let database = &service.database;
    let connection = database.connect(SERVICE).await;
    let mut tried = 0;
    for table in tables(database).await {
        if table == "businesses" {
            // It has a promise of its own.
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
async fn the_services_role_has_exactly_the_grants_that_are_listed_here() {
    let service = Service::start().await;
    let database = &service.database;
    for table in database.tables().await {
        let listed = TABLES.iter().find(|(name, ..)| *name == table);
        let Some((_, insert, delete, update)) = listed else {
            panic!("say in TABLES of row_security.rs what the service's role may do in {table}");
        };
        let held = format!(
            "SELECT has_table_privilege('{SERVICE}', '{table}', 'SELECT') AS read,
                    has_any_column_privilege('{SERVICE}', '{table}', 'INSERT') AS insert,
                    has_table_privilege('{SERVICE}', '{table}', 'DELETE') AS delete,
                    has_table_privilege('{SERVICE}', '{table}', 'UPDATE') AS update,
                    has_table_privilege('{SERVICE}', '{table}', 'TRUNCATE')
                    OR has_any_column_privilege('{SERVICE}', '{table}', 'REFERENCES')
                    OR has_table_privilege('{SERVICE}', '{table}', 'TRIGGER') AS other"
        );
        let expected = json!({"read": true, "insert": insert, "delete": delete, "update": false, "other": false});
        assert_eq!(database.row(&held).await, expected, "{table}");
        let columns = format!(
            "SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0
                AND NOT attisdropped AND has_column_privilege('{SERVICE}', attrelid, attnum, 'UPDATE') ORDER BY 1"
        );
        let mut expected = update.to_vec();
        expected.sort_unstable();
        assert_eq!(database.column(&columns).await, expected, "{table}");
        // Nobody has anything by way of everybody.
        let of_public = format!(
            "SELECT count(*) FROM pg_class, aclexplode(relacl) AS acl
              WHERE pg_class.oid = '{table}'::regclass AND acl.grantee = 0"
        );
        assert_eq!(database.value(&of_public).await, "0", "{table}");
    }
    assert_eq!(
        database.tables().await.len(),
        TABLES.len(),
        "a listed table is gone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_business_can_be_neither_changed_nor_deleted() {
    let service = both_trading().await;
    let database = &service.database;
    let connection = database.connect(SERVICE).await;
    let before = database.digest().await;
    for (table, _, delete, columns) in TABLES {
        let owner = owner_column(table);
        for column in columns {
            let update =
                format!("UPDATE {table} SET {column} = {column} WHERE {owner} = '{GLOBEX}'");
            let changed = async |setting: &str| run(&connection, setting, &update).await.unwrap();
            assert_eq!(changed(&set(ACME)).await, 0, "{update}");
            assert_eq!(changed(NOTHING_SET).await, 0, "{update}");
            assert_ne!(changed(&set(GLOBEX)).await, 0, "{update}");
        }
        if delete {
            let delete = format!("DELETE FROM {table} WHERE business_id = '{GLOBEX}'");
            let deleted = async |setting: &str| run(&connection, setting, &delete).await.unwrap();
            assert_eq!(deleted(&set(ACME)).await, 0, "{delete}");
            assert_eq!(deleted(NOTHING_SET).await, 0, "{delete}");
            assert_ne!(deleted(&set(GLOBEX)).await, 0, "{delete}");
        }
    }
    assert_eq!(database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_refused_whatever_is_set() {
    let service = both_trading().await;
    let database = &service.database;
    let connection = database.connect(SERVICE).await;
    for (table, _, delete, granted) in TABLES {
        let columns = format!(
            "SELECT attname FROM pg_attribute
              WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
        );
        for column in database.column(&columns).await {
            if !granted.contains(&column.as_str()) {
                let update = format!("UPDATE {table} SET {column} = {column}");
                assert_no_privilege(run(&connection, &set(ACME), &update).await, &update);
            }
        }
        if !delete {
            let delete = format!("DELETE FROM {table}");
            assert_no_privilege(run(&connection, &set(ACME), &delete).await, &delete);
        }
        let truncate = format!("TRUNCATE {table} CASCADE");
        assert_no_privilege(run(&connection, &set(ACME), &truncate).await, &truncate);
        let trigger = format!(
            "CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW
             EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        );
        assert_no_privilege(run(&connection, &set(ACME), &trigger).await, &trigger);
    }
}

/// The grants are one wall and the policies another: here the first is torn down.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_too_many_opens_no_other_business() {
    let service = both_trading().await;
    let database = &service.database;
    database
        .execute(&format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {SERVICE}"
        ))
        .await;
    let connection = database.connect(SERVICE).await;
    for table in tables(database).await {
        let column = owner_column(&table);
        let given_away =
            format!("UPDATE {table} SET {column} = '{GLOBEX}' WHERE {column} = '{ACME}'");
        let (code, message) = refusal(run(&connection, &set(ACME), &given_away).await);
        assert_eq!(code, "42501", "{given_away}: {message}");
        assert!(
            message.contains("row-level security"),
            "{given_away}: {message}"
        );
        for change in [
            format!("UPDATE {table} SET {column} = '{ACME}' WHERE {column} = '{GLOBEX}'"),
            format!("DELETE FROM {table} WHERE {column} = '{GLOBEX}'"),
        ] {
            for setting in [set(ACME).as_str(), NOTHING_SET] {
                assert_eq!(
                    run(&connection, setting, &change).await.unwrap(),
                    0,
                    "{change}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_the_schema_sees_with_other_eyes() {
    let service = Service::start().await;
    let database = &service.database;
    // A function that runs as its owner, a view (which reads as its owner), a materialized one, a foreign table, a
    // sequence, whose numbers would tell one business how much another sells.
    let functions = "
        SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE p.prosecdef AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)";
    assert_eq!(database.column(functions).await, [""; 0]);
    let relations = "
        SELECT oid::regclass::text FROM pg_class
         WHERE relkind IN ('v', 'm', 'f', 'S') AND relnamespace = 'public'::regnamespace";
    assert_eq!(database.column(relations).await, [""; 0]);
    // Rules would rewrite statements behind the policies, and triggers reach across businesses.
    let rules = "SELECT rulename FROM pg_rules WHERE schemaname = 'public'";
    assert_eq!(database.column(rules).await, [""; 0]);
    let triggers = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal";
    assert_eq!(database.column(triggers).await, [""; 0]);
    // Every policy asks for the setting, and none is for one role alone.
    let policies = "
        SELECT tablename, qual, with_check FROM pg_policies
         WHERE schemaname = 'public' AND (qual IS NULL OR qual NOT LIKE '%current_setting(%' OR roles <> '{public}')";
    assert_eq!(database.rows(policies).await, [json!(null); 0]);
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

/// A role of this test's database with these attributes, which is granted these roles. Roles are the whole server's:
/// the database's name makes them this test's.
async fn role(database: &Database, kind: &str, attributes: &str, member_of: &[&str]) -> String {
    let name = format!("{kind}_{}", database.name());
    let mut sql = format!("CREATE ROLE {name} LOGIN {attributes}");
    for role in member_of {
        sql.push_str(&format!("; GRANT {role} TO {name}"));
    }
    database.execute(&sql).await;
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_does_not_start_as_a_role_that_row_security_would_not_bind() {
    let database = Database::with_demo().await;
    let role = async |kind: &str, attributes: &str, member_of: &[&str]| {
        role(&database, kind, attributes, member_of).await
    };
    let seer = role("seer", "BYPASSRLS", &[SERVICE]).await;
    let mighty = "is or may become a superuser or a role with BYPASSRLS";
    let owner = "or belongs to the role that does";
    let makes_roles = "could make itself a member of other roles";
    for (name, why) in [
        ("postgres".to_owned(), mighty),
        (seer.clone(), mighty),
        (role("heir_of_seer", "", &[SERVICE, &seer]).await, mighty),
        (
            role("heir_of_root", "NOINHERIT", &[SERVICE, "postgres"]).await,
            mighty,
        ),
        (OWNER.to_owned(), "owns the table"),
        (role("heir", "", &[SERVICE, OWNER]).await, owner),
        (
            role("lazy_heir", "NOINHERIT", &[SERVICE, OWNER]).await,
            owner,
        ),
        (role("maker", "CREATEROLE", &[SERVICE]).await, makes_roles),
        (
            role("copier", "REPLICATION", &[SERVICE]).await,
            "REPLICATION",
        ),
        (
            role("writer", "", &[SERVICE, "pg_write_all_data"]).await,
            "pg_write_all_data",
        ),
        (
            role("reader", "", &[SERVICE, "pg_read_server_files"]).await,
            "pg_read_server_files",
        ),
        (
            role("runner", "", &[SERVICE, "pg_execute_server_program"]).await,
            "pg_execute_server_program",
        ),
    ] {
        let message = refused_start(&database, &name).await;
        assert!(message.contains(&format!("the role {name}")), "{message}");
        assert!(message.contains(why), "{name}: {message}");
        assert!(message.contains("granted `tradeline_service`"), "{message}");
    }
    // Who only pretends to be someone else.
    let masked = role("masked", "", &[SERVICE, OWNER]).await;
    database
        .execute(&format!("ALTER ROLE {masked} SET role = {SERVICE}"))
        .await;
    let message = refused_start(&database, &masked).await;
    assert!(message.contains(owner), "{message}");
    // A role that was granted what the service needs, and nothing else, is as good as the service's own.
    let plain = role("plain", "", &[SERVICE]).await;
    let url = database.url(&plain);
    let service = Service::at(database.clone(), &url).await;
    assert_eq!(service.nobody().get("/readyz").await.status, 200);
}

async fn refused_start(database: &Database, role: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = Secret::from(database.url(role));
    let secret = Secret::from(SECRET.to_owned());
    let outcome = tradeline::service::Service::start(&settings(), &url, &secret, listener).await;
    match outcome {
        Ok(_) => format!("the service starts as {role}"),
        Err(error) => error.to_string(),
    }
}

/// Why the list of refused roles has `pg_write_all_data` and not its sister: neither sees through row security, but the
/// one can rewrite what is append-only.
#[tokio::test(flavor = "multi_thread")]
async fn row_security_binds_the_roles_that_read_and_write_all_data() {
    let service = both_trading().await;
    let database = &service.database;
    let reads = role(database, "reads", "", &["pg_read_all_data"]).await;
    let writes = role(
        database,
        "writes",
        "",
        &["pg_read_all_data", "pg_write_all_data"],
    )
    .await;
    for name in [&reads, &writes] {
        let connection = database.connect(name).await;
        for table in tables(database).await {
            assert_eq!(count(&connection, NOTHING_SET, &table).await, 0, "{table}");
            let others = format!("{table} WHERE {} <> '{ACME}'", owner_column(&table));
            assert_eq!(count(&connection, &set(ACME), &others).await, 0, "{table}");
        }
    }
    let connection = database.connect(&writes).await;
    let rewrite = "UPDATE ledger_entries SET amount = amount";
    assert_ne!(run(&connection, &set(ACME), rewrite).await.unwrap(), 0);
    assert_eq!(run(&connection, NOTHING_SET, rewrite).await.unwrap(), 0);
}
