//! These tests check migrations: the schema can be created, removed and created again, with the same result each time.

use std::process::{Command, Output};

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES};
use migration::{Migrator, MigratorTrait};
use sea_orm::ConnectionTrait;
use serde_json::Value;
use tests::binary::MIGRATION;
use tests::program::{Folder, command, printed, refusal};
use tests::{
    Database, OWNER, Route, SERVICE, Service, Traded, books_balance, settings, until, verified,
};

/// Everything that PostgreSQL's catalogue says about the schema `public`, by name. The result does not depend on the
/// order of creation.
async fn catalogue(database: &Database) -> Vec<Value> {
    let parts = [
        "SELECT 'table' AS kind, c.relname AS of, c.relkind::text AS name, '' AS position,
                jsonb_build_array(c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relacl::text,
                                  c.relowner::regrole)::text AS what
           FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace",
        // The position is counted here, because `attnum` keeps a gap for a dropped column.
        "SELECT 'column', c.relname, a.attname,
                (row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum))::text,
                jsonb_build_array(format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attidentity,
                                  a.attacl::text, a.attcollation::regcollation,
                                  (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
                                    WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum))::text
           FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
          WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped",
        "SELECT 'constraint', conrelid::regclass::text, conname, contype::text,
                pg_get_constraintdef(oid) || convalidated::text
           FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
        "SELECT 'index', tablename, indexname, '', indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT 'policy', tablename, policyname, cmd,
                jsonb_build_array(permissive, roles::text, qual, with_check)::text
           FROM pg_policies WHERE schemaname = 'public'",
        "SELECT 'function', '', p.oid::regprocedure::text, '', pg_get_functiondef(p.oid)
           FROM pg_proc p WHERE pronamespace = 'public'::regnamespace",
        "SELECT 'trigger', tgrelid::regclass::text, tgname, '', pg_get_triggerdef(oid)
           FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT 'type', '', typname, typtype::text, '' FROM pg_type
          WHERE typnamespace = 'public'::regnamespace AND typtype NOT IN ('c', 'b')",
        "SELECT 'schema', '', nspname, '', nspacl::text FROM pg_namespace WHERE nspname = 'public'",
        "SELECT 'extension', '', extname, '', '' FROM pg_extension",
    ];
    let sql = format!("{} ORDER BY 1, 2, 3, 4", parts.join(" UNION ALL "));
    database.rows(&sql).await
}

/// Creates an empty database and applies all migrations.
async fn up() -> Database {
    let database = Database::empty().await;
    let owner = database.connect(OWNER).await;
    Migrator::up(&owner, None).await.unwrap();
    owner.close().await.unwrap();
    database
}

/// Position of a migration in the order of migrations, from 0.
fn index_of(step: &str) -> usize {
    let names = migration::names();
    names.iter().position(|name| name == step).unwrap()
}

/// The migrations that declare the compatible versions: all after the one that creates the table for it.
fn declared() -> Vec<String> {
    migration::names().split_off(index_of("15_schema_compatibility") + 1)
}

async fn applied(database: &Database) -> Vec<String> {
    let sql = "SELECT version FROM seaql_migrations ORDER BY version";
    database.column(sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn going_up_twice_is_going_up_once() {
    let database = up().await;
    let (once, log) = (catalogue(&database).await, applied(&database).await);
    assert!(once.len() > 150, "{} entries in the catalogue", once.len());
    assert_eq!(log, migration::names());
    let owner = database.connect(OWNER).await;
    Migrator::up(&owner, None).await.unwrap();
    assert_eq!(catalogue(&database).await, once);
    assert_eq!(applied(&database).await, log);
}

#[tokio::test(flavor = "multi_thread")]
async fn going_down_leaves_nothing_but_the_log() {
    let database = up().await;
    let owner = database.connect(OWNER).await;
    Migrator::down(&owner, None).await.unwrap();
    assert_eq!(database.tables().await, ["seaql_migrations"]);
    assert!(applied(&database).await.is_empty());
    let left: Vec<Value> = catalogue(&database)
        .await
        .into_iter()
        .filter(|entry| {
            entry["of"] != "seaql_migrations" && entry["name"] != "seaql_migrations_pkey"
        })
        .filter(|entry| !["schema", "extension"].contains(&entry["kind"].as_str().unwrap()))
        .filter(|entry| entry["of"] != "seaql_migrations_pkey")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let grants = "SELECT has_schema_privilege('tradeline_service', 'public', 'CREATE') AS creates,
                         (SELECT count(*) FROM information_schema.role_table_grants
                           WHERE grantee = 'tradeline_service') AS grants";
    let grants = database.row(grants).await;
    assert_eq!(grants["creates"], false);
    assert_eq!(grants["grants"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn going_up_after_going_down_makes_the_same_schema() {
    let database = up().await;
    let before = catalogue(&database).await;
    let owner = database.connect(OWNER).await;
    Migrator::down(&owner, None).await.unwrap();
    Migrator::up(&owner, None).await.unwrap();
    assert_eq!(catalogue(&database).await, before);
    assert_eq!(applied(&database).await, migration::names());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_down_undoes_its_own_step_up_and_no_more() {
    let database = Database::empty().await;
    let owner = database.connect(OWNER).await;
    Migrator::install(&owner).await.unwrap();
    let mut schemas = vec![catalogue(&database).await];
    for step in migration::names() {
        Migrator::up(&owner, Some(1)).await.unwrap();
        schemas.push(catalogue(&database).await);
        assert_eq!(applied(&database).await.last(), Some(&step));
    }
    for step in migration::names().iter().rev() {
        let _ = schemas.pop();
        Migrator::down(&owner, Some(1)).await.unwrap();
        // The first migration leaves the schema's default privileges written out explicitly. They mean the same but
        // compare as different.
        if schemas.len() > 1 {
            assert_eq!(Some(&catalogue(&database).await), schemas.last(), "{step}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_makes_the_same_schema_without_a_row() {
    let database = Database::with_demo().await;
    let before = catalogue(&database).await;
    let owner = database.connect(OWNER).await;
    Migrator::fresh(&owner).await.unwrap();
    assert_eq!(catalogue(&database).await, before);
    for table in database.tables().await {
        let rows = database
            .value(&format!("SELECT count(*) FROM {table}"))
            .await;
        let expected = match table.as_str() {
            "seaql_migrations" => migration::names().len(),
            "schema_compatibility" => declared().len(),
            _ => 0,
        };
        assert_eq!(rows, expected.to_string(), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_one_database_survives_the_steps_of_another() {
    let kept = Database::with_demo().await;
    let before = kept.digest().await;
    let database = up().await;
    let owner = database.connect(OWNER).await;
    Migrator::down(&owner, None).await.unwrap();
    assert_eq!(kept.digest().await, before);
    // The role stays, because it belongs to all databases of the server.
    let service = Service::on(kept).await;
    assert_eq!(service.nobody().get("/readyz").await.status, 200);
}

/// The number of migrations to revert until before this one.
fn back_to(step: &str) -> u32 {
    let steps = migration::names();
    let since = steps.iter().rev().position(|name| name == step);
    u32::try_from(since.unwrap() + 1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn payouts_and_returns_for_nothing_are_not_lost_by_going_down() {
    let service = Service::start().await;
    let (admin, database) = (service.admin(), service.database.clone());
    let customer = admin.add_customer("Ahead", "0.00").await;
    let paid = serde_json::json!({"customer_id": customer, "amount": "5.00", "method": "cash", "on_account": true});
    admin.post("/api/payments", &paid).await.ok(201);
    let payout = serde_json::json!({"amount": "5.00", "method": "cash"});
    let path = format!("/api/customers/{customer}/payouts");
    admin.post(&path, &payout).await.ok(201);
    service.stop().await;
    let owner = database.connect(OWNER).await;
    let down = Migrator::down(&owner, Some(back_to("19_returns_and_payouts"))).await;
    let error = down.unwrap_err().to_string();
    assert!(error.contains("ledger_entries_kind_known"), "{error}");
    Migrator::up(&owner, None).await.unwrap();
    assert_eq!(database.value("SELECT count(*) FROM payouts").await, "1");
    assert_eq!(verified(&database).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_responses_go_down_to_the_columns_of_before_and_come_up_as_they_were() {
    let service = Service::start().await;
    let (staff, database) = (service.staff(), service.database.clone());
    let customer = serde_json::json!({"name": "Zo\u{eb} \"Z\" O'Brien"});
    let order = serde_json::json!({
        "customer_id": ACME_CUSTOMER, "items": [{"product_id": ACME_HEADPHONES, "quantity": 1}],
    });
    let mut locations = Vec::new();
    for (key, path, body) in [
        ("a", "/api/customers", &customer),
        ("b", "/api/purchase", &order),
        ("c", "/api/orders/checkout", &order),
    ] {
        let original = staff.post_once(key, path, body).await;
        original.ok(201);
        locations.push(format!("201{}", original.header("location")));
    }
    service.stop().await;
    let stored = "SELECT encode(coalesce(response, former_response(status, location, body)), 'hex')
                    FROM idempotency_keys ORDER BY key";
    let before = database.column(stored).await;
    assert_eq!(before.len(), 3);
    let owner = database.connect(OWNER).await;
    Migrator::down(&owner, Some(back_to("21_opaque_responses")))
        .await
        .unwrap();
    let kept = "SELECT status || location FROM idempotency_keys ORDER BY key";
    assert_eq!(database.column(kept).await, locations);
    Migrator::up(&owner, None).await.unwrap();
    assert_eq!(database.column(stored).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_by_card_go_down_whole_and_what_was_cancelled_before_comes_up_with_its_history() {
    let service = Service::start().await;
    let (admin, database) = (service.admin(), service.database.clone());
    let product = admin.add_product("CARD-1", "20.00", 10).await;
    let on_credit = tests::id_of(&admin.buy(&[(product, 1)]).await.ok(201));
    let empty = serde_json::json!({});
    let _ = admin.do_to(&on_credit, "cancel", &empty).await.ok(200);
    let paid = admin.order_by_card(&[(product, 3)]).await;
    let _ = service.pay(&paid).await.ok(200);
    let _ = admin.order_by_card(&[(product, 2)]).await;
    books_balance(&service).await;
    service.stop().await;

    let owner = database.connect(OWNER).await;
    Migrator::down(&owner, Some(back_to("14_checkout")))
        .await
        .unwrap();
    let by_card = "SELECT count(*) FROM orders WHERE payment_method = 'card'";
    assert_eq!(database.value(by_card).await, "0");
    Migrator::up(&owner, None).await.unwrap();
    // Audit entries of removed orders stay.
    assert_eq!(verified(&database).await, []);
    let service = Service::on(database).await;
    let stock = service
        .staff()
        .get(&format!("/api/inventory/{product}"))
        .await;
    let stock = stock.ok(200);
    assert_eq!(
        (&stock["on_hand"], &stock["reserved"]),
        (&7.into(), &2.into())
    );
    let cancelled = service.admin().order(&on_credit).await;
    assert_eq!(cancelled["cancel_reason"], "requested");
    let history = cancelled["history"].as_array().unwrap();
    let last = history.last().unwrap();
    assert_eq!(
        (history.len(), &last["to"], &last["actor_role"]),
        (2, &"cancelled".into(), &"admin".into())
    );
}

fn program(url: &str, arguments: &[&str]) -> Output {
    Command::new(&*MIGRATION)
        .args(arguments)
        .env("DATABASE_URL", url)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_goes_up_and_down_and_says_where_it_is() {
    let database = Database::empty().await;
    let url = database.url(OWNER);
    let run = |arguments: &[&str]| {
        let output = program(&url, arguments);
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    };
    let pending = run(&["status"]);
    for step in migration::names() {
        assert!(pending.contains(&step), "{step} in {pending}");
    }
    assert!(pending.to_lowercase().contains("pending"), "{pending}");
    assert_eq!(database.tables().await, ["seaql_migrations"]);

    let _ = run(&["up"]);
    let by_library = up().await;
    let whole = catalogue(&by_library).await;
    assert_eq!(catalogue(&database).await, whole);
    assert!(!run(&["status"]).to_lowercase().contains("pending"));
    let _ = run(&["up"]);
    assert_eq!(catalogue(&database).await, whole);

    let _ = run(&["down", "-n", "1"]);
    assert_eq!(applied(&database).await.len(), migration::names().len() - 1);
    let _ = run(&["refresh"]);
    assert_eq!(catalogue(&database).await, whole);
    let _ = run(&["reset"]);
    assert!(
        database.tables().await.is_empty(),
        "not even the log is left"
    );
    let _ = run(&["fresh"]);
    assert_eq!(catalogue(&database).await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_later_step_has_declared_with_which_versions_it_is_compatible() {
    let database = up().await;
    let sql = "SELECT step FROM schema_compatibility ORDER BY step";
    assert_eq!(database.column(sql).await, declared());
}

/// Marks a migration of a later version as applied.
async fn apply(database: &Database, step: &str, compatible_from: Option<&str>) {
    let mut sql = format!("INSERT INTO seaql_migrations VALUES ('{step}', 0)");
    if let Some(oldest) = compatible_from {
        sql.push_str(&format!(
            "; INSERT INTO schema_compatibility VALUES ('{step}', '{oldest}')"
        ));
    }
    database.execute(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_ahead_is_accepted_as_far_as_its_steps_are_compatible() {
    let database = Database::with_demo().await;
    let service = Service::on(database.clone()).await;
    let nobody = service.nobody();
    // `/readyz` caches its result for one second.
    let answers = async |status: u16, words: &str| {
        until(words, async || {
            let reply = nobody.get("/readyz").await;
            reply.status == status && reply.text.contains(words)
        })
        .await;
    };
    answers(200, "ready").await;
    let newest = migration::names().pop().unwrap();
    apply(&database, "97_compatible", Some(&newest)).await;
    apply(&database, "98_as_well", Some("15_schema_compatibility")).await;
    answers(200, r#""ahead":["97_compatible","98_as_well"]"#).await;
    // A process that starts now serves requests too.
    let young = Service::on(database.clone()).await;
    young.nobody().get("/readyz").await.ok(200);
    assert_eq!(verified(&database).await, []);

    apply(&database, "99_contracts", Some("99_contracts")).await;
    let refused = "not compatible with this one: 99_contracts. ";
    answers(503, refused).await;
    let gone = "DELETE FROM schema_compatibility WHERE step = '99_contracts'";
    database.execute(gone).await;
    // A migration without a declaration counts as incompatible.
    answers(503, refused).await;
    let gone = "DELETE FROM seaql_migrations WHERE version = '99_contracts'";
    database.execute(gone).await;
    answers(200, r#""ahead":["97_compatible","98_as_well"]"#).await;
    let gone = format!("DELETE FROM seaql_migrations WHERE version = '{newest}'");
    database.execute(&gone).await;
    answers(
        503,
        &format!("lacks migrations of this version: {newest}. "),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_adds_columns_everywhere_disturbs_nobody() {
    let mut settings = settings();
    // One connection per pool, so that each prepared statement meets the changed tables again.
    settings.workers = Some(1);
    settings.lanes = Some(1);
    settings.connections = 1;
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    let service = Service::with(database.clone(), &url, &settings).await;
    let admin = service.admin();
    let everything = async || {
        let traded = Traded::at(&service).await;
        for route in Route::all(&service).await {
            if route.method == reqwest::Method::GET
                && !route.has_id()
                && route.path.starts_with("/api/")
            {
                let reply = admin.get(&route.path).await;
                assert!(reply.status < 500, "{}: {}", route.path, reply.text);
            }
        }
        admin
            .get(&format!("/api/orders/{}", traded.order))
            .await
            .ok(200);
        let statement = format!("/api/customers/{ACME_CUSTOMER}/statement?from=2026-01-01");
        admin.get(&statement).await.ok(200);
        let payment =
            serde_json::json!({"customer_id": ACME_CUSTOMER, "amount": "1.00", "method": "cash"});
        admin.post("/api/payments", &payment).await.ok(201);
        books_balance(&service).await;
    };
    // Statements stay prepared from their first use.
    everything().await;
    let buying = tokio::spawn({
        let admin = admin.clone();
        async move {
            for _ in 0..200 {
                admin.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
                let refund = serde_json::json!({"customer_id": ACME_CUSTOMER, "amount": "100.00", "method": "cash"});
                admin.post("/api/payments", &refund).await.ok(201);
            }
        }
    });
    let owner = database.connect(OWNER).await;
    for table in database.tables().await {
        let sql = format!("ALTER TABLE {table} ADD COLUMN added_later text DEFAULT 'x'");
        owner.execute_unprepared(&sql).await.unwrap();
    }
    let newest = migration::names().pop().unwrap();
    let step = format!(
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('99_added_later', 0);
         INSERT INTO schema_compatibility (step, compatible_from) VALUES ('99_added_later', '{newest}')"
    );
    owner.execute_unprepared(&step).await.unwrap();
    buying.await.unwrap();
    everything().await;
    service.nobody().get("/readyz").await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_migrates_too_and_several_at_once_do_it_once() {
    let folder = Folder::open();
    let database = Database::empty().await;
    let as_role = |role: &str, arguments: &[&str]| {
        let mut command = command(&folder.data, arguments);
        command.env("DATABASE_URL", database.url(role));
        command
    };
    let pending = printed(as_role(OWNER, &["migrate", "status"]).output().unwrap());
    let expected = |what: &str| -> Vec<String> {
        let names = migration::names();
        names.iter().map(|step| format!("{what} {step}")).collect()
    };
    assert_eq!(pending.lines().collect::<Vec<_>>(), expected("pending"));
    assert!(
        database.tables().await.is_empty(),
        "a read-only command creates nothing"
    );

    let at_once: Vec<_> = (0..3)
        .map(|_| as_role(OWNER, &["migrate"]).spawn().unwrap())
        .collect();
    for child in at_once {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(applied(&database).await, migration::names());
    let again = printed(as_role(OWNER, &["migrate", "up"]).output().unwrap());
    assert_eq!(again, "nothing is pending");
    let status = printed(as_role(OWNER, &["migrate", "status"]).output().unwrap());
    assert_eq!(status.lines().collect::<Vec<_>>(), expected("applied"));

    let newest = migration::names().pop().unwrap();
    let down = printed(as_role(OWNER, &["migrate", "down"]).output().unwrap());
    assert_eq!(down, format!("reverted {newest}"));
    let said = refusal(&mut as_role(SERVICE, &["migrate"]));
    assert!(said.contains("permission denied"), "{said}");
    let up = printed(as_role(OWNER, &["migrate"]).output().unwrap());
    assert_eq!(up, format!("applied {newest}"));

    // An older version leaves a newer database unchanged, and reports when it is not compatible with it.
    apply(&database, "98_compatible", Some(&newest)).await;
    let up = printed(as_role(OWNER, &["migrate"]).output().unwrap());
    assert_eq!(up, "nothing is pending");
    apply(&database, "99_contracts", None).await;
    let said = refusal(&mut as_role(OWNER, &["migrate"]));
    assert!(
        said.contains("not compatible with this one: 99_contracts"),
        "{said}"
    );
    assert!(
        !folder.data.exists(),
        "no folder is created with DATABASE_URL"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_fails_where_there_is_no_database() {
    let database = Database::empty().await;
    let url = database.url(OWNER).replace(
        &database.value("SELECT current_database()").await,
        "there_is_no_such_database",
    );
    let output = program(&url, &["up"]);
    assert!(!output.status.success(), "{output:?}");
}
