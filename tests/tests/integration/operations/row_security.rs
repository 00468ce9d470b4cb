//! These tests check row-level security, the second barrier between businesses, from outside the code. They use the
//! service's role on a connection, as an attacker with its password or with control of the service would.
//!
//! The tables come from PostgreSQL's catalogue, so that new ones are covered. A new table needs an entry in [`TABLES`]
//! and rows from [`trade`].

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::{BusinessId, CustomerId, DisputeId, ProductId, RefundId, ReservationId};
use reqwest::Method;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement, TransactionTrait,
};
use serde_json::json;
use tests::{Clerk, Client, Database, SERVICE, Service, pictures};

/// Tables that belong to no business: they record the applied migrations.
pub(crate) const NOT_OF_TENANTS: [&str; 2] = ["schema_compatibility", "seaql_migrations"];

/// The exact privileges of the service's role on each table besides SELECT. A table with only INSERT is append-only.
pub(crate) const TABLES: [(&str, bool, bool, &[&str]); 42] = [
    // The fields: table, INSERT, DELETE, columns with UPDATE.
    ("allocations", true, false, &[]),
    ("api_keys", true, false, &["last_used_at", "revoked_at"]),
    ("audit_events", true, false, &[]),
    ("audit_seals", true, false, &[]),
    // INSERT is granted by column: id, slug, name, currency and time zone.
    (
        "businesses",
        true,
        false,
        &[
            "name",
            "block_after_days",
            "time_zone",
            "books_closed_until",
            "hold_limit_units",
            "hold_limit_value",
            "self_registered_hold_limit_units",
            "self_registered_hold_limit_value",
        ],
    ),
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
            "reference",
            "contact",
            "phone",
            "vat_number",
            "addresses",
            "metadata",
        ],
    ),
    ("idempotency_keys", true, true, &[]),
    (
        "inventory",
        true,
        false,
        &[
            "on_hand",
            "reserved",
            "waiting",
            "places_given",
            "updated_at",
        ],
    ),
    (
        "disputes",
        true,
        false,
        &[
            "amount",
            "reason",
            "status",
            "evidence_due_at",
            "funds_withdrawn",
            "updated_at",
        ],
    ),
    ("ledger_entries", true, false, &[]),
    ("opening_items", true, false, &[]),
    ("order_items", true, false, &[]),
    ("order_transitions", true, false, &[]),
    (
        "orders",
        true,
        false,
        &[
            "status",
            "amount_settled",
            "amount_credited",
            "amount_refunded",
            "amount_lost",
            "attention",
            "cancel_reason",
            "tracking_reference",
            "updated_at",
            "reference",
            "note",
            "delivery_address",
            "metadata",
        ],
    ),
    (
        "payment_intents",
        true,
        false,
        &[
            "provider_id",
            "client_secret",
            "status",
            "failure",
            "failure_code",
            "received_minor",
            "received_currency",
            "returned_minor",
            "readings",
            "next_try_at",
            "tries",
            "updated_at",
        ],
    ),
    ("password_resets", true, true, &[]),
    ("payments", true, false, &[]),
    ("payout_allocations", true, false, &[]),
    ("payouts", true, false, &[]),
    ("product_pictures", true, true, &[]),
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
            "in_sale",
            "updated_at",
            "metadata",
            "image_url",
            "picture_id",
            "picture_width",
            "picture_height",
        ],
    ),
    ("provider_events", true, false, &[]),
    ("refresh_tokens", true, true, &["used_at", "revoked_at"]),
    ("refund_items", true, false, &[]),
    (
        "refunds",
        true,
        false,
        &[
            "status",
            "provider_id",
            "failure",
            "next_try_at",
            "tries",
            "updated_at",
        ],
    ),
    (
        "reservation_items",
        true,
        true,
        &["quantity", "held", "place", "expires_at"],
    ),
    (
        "reservations",
        true,
        false,
        &[
            "status",
            "expires_at",
            "order_id",
            "cancel_reason",
            "updated_at",
        ],
    ),
    ("reversals", true, false, &[]),
    ("sale_products", true, true, &[]),
    (
        "sales",
        true,
        false,
        &[
            "name",
            "kind",
            "opens_at",
            "closes_at",
            "limit_per_customer",
            "updated_at",
        ],
    ),
    ("schema_compatibility", false, false, &[]),
    ("seaql_migrations", false, false, &[]),
    (
        "sales_figures",
        true,
        true,
        &[
            "orders",
            "units",
            "revenue",
            "cancelled_orders",
            "cancelled_units",
            "cancelled",
            "credited",
        ],
    ),
    (
        "sales_figures_state",
        true,
        false,
        &["time_zone", "kept_until"],
    ),
    ("search_terms", true, true, &[]),
    ("sessions", true, true, &["last_used_at", "ended_at"]),
    ("stock_movements", true, false, &[]),
    (
        "users",
        true,
        false,
        &[
            "email",
            "name",
            "password_hash",
            "role",
            "customer_id",
            "disabled_at",
            "version",
            "version_changed_at",
            "updated_at",
            "deleted_at",
            "kept_login",
            "kept_from_version",
            "kept_at_version",
        ],
    ),
    ("write_offs", true, false, &[]),
];

pub(crate) const BUSINESSES: [(BusinessId, CustomerId, ProductId); 2] = [
    (ACME, ACME_CUSTOMER, ACME_HEADPHONES),
    (GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK),
];

/// Starts a service whose two businesses both have rows in every table.
pub(crate) async fn both_trading() -> Service {
    let service = Service::start().await;
    for (business, customer, product) in BUSINESSES {
        trade(
            &service.caller(business, Authority::Admin),
            customer,
            product,
        )
        .await;
        let reservation = ReservationId::new();
        let rows = format!(
            "INSERT INTO reservations (business_id, id, customer_id, status, ttl_seconds, expires_at, created_by)
             VALUES ('{business}', '{reservation}', '{customer}', 'cancelled', 60, now(), gen_random_uuid());
             INSERT INTO reservation_items (business_id, reservation_id, product_id, line, quantity, unit_price, held,
                                            expires_at)
             VALUES ('{business}', '{reservation}', '{product}', 0, 1, 1, false, now());
             INSERT INTO sales_figures_state (business_id, time_zone, kept_until) VALUES ('{business}', 'UTC', '2020-01-01');
             INSERT INTO sales_figures (business_id, kind, span, starts_on, subject, orders, units, revenue,
                                        cancelled_orders, cancelled_units, cancelled, credited)
             VALUES ('{business}', 'product', 'day', '2020-01-01', '{product}', 0, 0, 0, 0, 0, 0, 0)"
        );
        service.database.execute(&rows).await;
        order_by_card(&service.database, business, customer, product).await;
        let database = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
        assert!(
            domain::audit::seals::seal(&database, business)
                .await
                .unwrap()
                > 0
        );
    }
    for table in tables(&service.database).await {
        let column = owner_column(&table);
        let owners = format!("SELECT count(DISTINCT {column}) FROM {table}");
        assert_eq!(
            service.database.value(&owners).await,
            "2",
            "add to trade() how both businesses get a row in {table}"
        );
    }
    service
}

/// Inserts all rows of an order by card; the provider has no such payment.
async fn order_by_card(
    database: &Database,
    business: BusinessId,
    customer: CustomerId,
    product: ProductId,
) {
    let clerk = Clerk::at(&database.url(SERVICE), business);
    let placed = clerk.checkout(customer, &[(product, 1)]).await.unwrap();
    let (order, refund, dispute) = (placed.order, RefundId::new(), DisputeId::new());
    let rows = format!(
        "UPDATE payment_intents SET next_try_at = NULL WHERE order_id = '{order}';
         INSERT INTO order_transitions (business_id, order_id, number, from_status, to_status, actor_id, actor_role)
         VALUES ('{business}', '{order}', 1, 'created', 'payment_pending', gen_random_uuid(), 'system');
         INSERT INTO provider_events (business_id, provider, event_id, kind, order_id)
         VALUES ('{business}', 'offline', 'one-event-for-both', 'told', '{order}');
         INSERT INTO refunds (business_id, id, order_id, amount, status, reason, restock, created_by)
         VALUES ('{business}', '{refund}', '{order}', 1, 'failed', 'a trial', false, gen_random_uuid());
         INSERT INTO refund_items (business_id, refund_id, product_id, quantity)
         VALUES ('{business}', '{refund}', '{product}', 1);
         INSERT INTO disputes (business_id, id, order_id, provider, provider_id, amount, reason, status, funds_withdrawn)
         VALUES ('{business}', '{dispute}', '{order}', 'offline', 'dp_for_both', 1, 'fraudulent', 'won', false)"
    );
    database.execute(&rows).await;
}

/// Creates rows of a business in the other tables.
async fn trade(admin: &Client, customer: CustomerId, product: ProductId) {
    let items = json!([{"product_id": product, "quantity": 1}]);
    let body = json!({"customer_id": customer, "items": items});
    let sold = admin
        .post_once("one-key-for-both", "/api/purchase", &body)
        .await;
    let order = sold.ok(201)["order_id"].as_str().unwrap().to_owned();
    let reason = json!({"reason": "a trial", "amount": "1.00"});
    let lost = admin
        .post(&format!("/api/orders/{order}/write-offs"), &reason)
        .await;
    let undo = format!("{}/reverse", lost.header("location"));
    admin
        .post(&undo, &json!({"reason": "a trial"}))
        .await
        .ok(201);
    let payment =
        json!({"customer_id": customer, "amount": "500.00", "method": "cash", "on_account": true});
    admin.post("/api/payments", &payment).await.ok(201);
    let path = format!("/api/customers/{customer}/payouts");
    let payout = json!({"amount": "1.00", "method": "cash"});
    admin.post(&path, &payout).await.ok(201);
    let note = json!({"items": items, "restock": true, "reason": "a trial"});
    admin
        .post(&format!("/api/orders/{order}/credit-notes"), &note)
        .await
        .ok(201);
    let path = format!("/api/customers/{customer}");
    let named = json!({"reference": "C-1"});
    admin.patch(&path, &named).await.ok(200);
    let table = "customer_reference,reference,amount,issued_on\nC-1,OLD-1,7.00,2024-01-02\n";
    let request = admin.request(Method::POST, "/api/imports/balances");
    let request = request.header("Content-Type", "text/csv").body(table);
    admin.send(request).await.ok(200);
    admin.add_sale("OFFER").await;
    let picture = format!("/api/products/{product}/picture");
    admin.put_png(&picture, pictures::new()).await.ok(200);
    let user = json!({"email": "forgetful@example.com", "name": "Forgetful", "password": "correct horse", "role": "staff"});
    let user = admin.post("/api/users", &user).await;
    let reset = format!("{}/password-reset", user.header("location"));
    admin.post(&reset, &json!({})).await.ok(200);
}

/// Tables that belong to businesses, from PostgreSQL's catalogue.
pub(crate) async fn tables(database: &Database) -> Vec<String> {
    let mut tables = database.tables().await;
    tables.retain(|table| !NOT_OF_TENANTS.contains(&table.as_str()));
    assert!(tables.len() >= 11, "{tables:?}");
    tables
}

/// The column with the business's id.
pub(crate) fn owner_column(table: &str) -> &'static str {
    if table == "businesses" {
        "id"
    } else {
        "business_id"
    }
}

/// Runs a statement after this setting, as the service's role, and rolls the transaction back.
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

/// The number of rows that the service's role sees after this setting.
pub(crate) async fn count(connection: &DatabaseConnection, setting: &str, from: &str) -> i64 {
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

/// The SQLSTATE and the message of a rejected statement.
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
pub(crate) fn assert_no_privilege(outcome: Result<u64, DbErr>, what: &str) {
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
            assert_ne!(own, "0", "{business} has no row in {table}");
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
    // The slug makes the business visible, but it cannot be renamed.
    let rename = "UPDATE businesses SET name = 'Mine'";
    for setting in [named, NOTHING_SET, set(BusinessId::new()).as_str()] {
        assert_eq!(run(&connection, setting, rename).await.unwrap(), 0);
    }
    assert_eq!(run(&connection, &set(ACME), rename).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_businesses_shows_no_rows_of_theirs_and_changes_nothing() {
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
    // An existing business cannot be created again.
    let (code, message) = refusal(run(&connection, &set(ACME), &insert(ACME)).await);
    assert_eq!(code, "23505", "{message}");
    assert_eq!(run(&connection, &set(new), &insert(new)).await.unwrap(), 1);
    // The service cannot set the creation time.
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
            // The test for new businesses covers this table.
            continue;
        }
        // Generated columns, and those that only defaults fill, cannot be written.
        let columns = format!(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS list FROM pg_attribute
              WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
                AND has_column_privilege('{SERVICE}', attrelid, attnum, 'INSERT')"
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
        // The same row is accepted for its own business; only its key exists already.
        let again = run(&connection, &set(GLOBEX), &insert).await;
        if table == "audit_events" {
            // A different transaction number makes it a different entry.
            assert_eq!(again.unwrap(), 1);
        } else {
            let (code, message) = refusal(again);
            assert_eq!(code, "23505", "{table}: {message}");
        }
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

/// Grants are one barrier and policies another; this test removes the first.
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
async fn no_row_changes_its_business_or_its_key() {
    let service = both_trading().await;
    let database = &service.database;
    let connection = database.connect(SERVICE).await;
    let mut tried = 0;
    for table in tables(database).await {
        let keys = format!(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
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
