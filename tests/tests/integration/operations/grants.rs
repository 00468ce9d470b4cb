//! These tests check the privileges of the service's role, and that the service refuses to start as a more powerful
//! role.

use std::net::TcpListener;

use domain::Secret;
use domain::demo::{ACME, ACME_HEADPHONES};
use serde_json::json;
use tests::{Database, OWNER, SECRET, SERVICE, Service, hold, settings};

use crate::operations::row_security::{
    NOTHING_SET, TABLES, assert_no_privilege, both_trading, count, owner_column, refusal, run, set,
    tables,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_services_role_has_exactly_the_grants_that_are_listed_here() {
    let service = Service::start().await;
    let database = &service.database;
    for table in database.tables().await {
        let listed = TABLES.iter().find(|(name, ..)| *name == table);
        let Some((_, insert, delete, update)) = listed else {
            panic!("add the grants of the service's role on {table} to TABLES in row_security.rs");
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
        // The pseudo-role PUBLIC has no privileges.
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
async fn rights_that_are_not_granted_are_refused_under_every_setting() {
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

#[tokio::test(flavor = "multi_thread")]
async fn no_schema_object_runs_with_its_owners_rights() {
    let service = Service::start().await;
    let database = &service.database;
    // None of these exists: a function or view that runs with its owner's rights, a materialized view, a foreign table,
    // or a sequence. A sequence's numbers would reveal to one business how much another sells.
    let functions = "
        SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE p.prosecdef AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)";
    assert_eq!(database.column(functions).await, [""; 0]);
    let relations = "
        SELECT oid::regclass::text FROM pg_class
         WHERE relkind IN ('v', 'm', 'f', 'S') AND relnamespace = 'public'::regnamespace
           AND NOT (relkind = 'v' AND coalesce(reloptions @> '{security_invoker=true}', false))";
    assert_eq!(database.column(relations).await, [""; 0]);
    // Views that read as whoever asks see what the tables show to them. Nobody may do more with one than read it.
    let views = "
        SELECT relname AS name, (SELECT jsonb_object_agg(grantee::regrole, privilege_type) FROM aclexplode(relacl)
                                  WHERE grantee <> relowner) AS granted
          FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace";
    let expected = json!({"name": "held_stock", "granted": {SERVICE: "SELECT"}});
    assert_eq!(database.rows(views).await, [expected]);
    // Rules would rewrite statements behind the policies, and triggers reach across businesses.
    let rules = "SELECT rulename FROM pg_rules WHERE schemaname = 'public'";
    assert_eq!(database.column(rules).await, [""; 0]);
    let triggers = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal";
    assert_eq!(database.column(triggers).await, [""; 0]);
    // Every policy reads the setting of the current business and applies to all roles.
    let policies = "
        SELECT tablename, qual, with_check FROM pg_policies
         WHERE schemaname = 'public' AND (qual IS NULL OR qual NOT LIKE '%current_setting(%' OR roles <> '{public}')";
    assert_eq!(database.rows(policies).await, [json!(null); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_shows_what_the_transactions_business_owns() {
    let service = both_trading().await;
    hold(&service, ACME_HEADPHONES, 3, 600).await;
    let connection = service.database.connect(SERVICE).await;
    assert_ne!(count(&connection, &set(ACME), "held_stock").await, 0);
    let others = format!("held_stock WHERE business_id <> '{ACME}'");
    assert_eq!(count(&connection, &set(ACME), &others).await, 0);
    assert_eq!(count(&connection, NOTHING_SET, "held_stock").await, 0);
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

/// Creates a role with these attributes and memberships. Roles belong to the whole server, so the database's name makes
/// its name unique.
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
    // A role that takes another role's rights only by a setting.
    let masked = role("masked", "", &[SERVICE, OWNER]).await;
    database
        .execute(&format!("ALTER ROLE {masked} SET role = {SERVICE}"))
        .await;
    let message = refused_start(&database, &masked).await;
    assert!(message.contains(owner), "{message}");
    // A role with exactly the rights that the service needs is accepted too.
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

/// Shows why the list of refused roles has `pg_write_all_data` but not `pg_read_all_data`. Row-level security binds
/// both, but the former can rewrite append-only tables.
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
