//! This module holds the PostgreSQL server of the run and the databases in it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use domain::demo::{ACME, ACME_BUYER};
use entity::ApiKeyId;
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    Statement, TransactionTrait,
};

use tokio::sync::mpsc;
use uuid::{Uuid, uuid};

use crate::until;

/// The role that owns the tables and runs migrations.
pub const OWNER: &str = "tradeline_owner";
/// The id of an API key of Acme's. Only its hash is stored, and no test knows its text.
pub const ACME_KEY: ApiKeyId = ApiKeyId(uuid!("650e8400-e29b-41d4-a716-446655440099"));
/// A refresh token of Acme's buyer that was not used yet.
pub const REFRESH_TOKEN: &str =
    "tl_refresh_VQ6EAOKbQdSnFkRmVUQAmQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The login that this token renews.
pub const BUYERS_LOGIN: Uuid = uuid!("550e8400-e29b-41d4-a716-446655440098");
/// A code for the admin of Globex that was not used yet, as it is hashed.
pub const RESET_CODE: &str = "7ZK4M0H2QX9TB3WR8E5N1CVYD";
/// The role that the service connects as; row-level security applies to it.
pub const SERVICE: &str = "tradeline_service";

const TEMPLATE: &str = "template_demo";

/// The server, and the template in it. It runs on a thread of its own, since every test has its own runtime, and for
/// as long as the process.
static SERVER: LazyLock<Running> = LazyLock::new(|| {
    let (started, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let server = start().await;
            let (unused, names) = mpsc::unbounded_channel();
            started.send(Running { server, unused }).unwrap();
            drop_unused(names).await;
        });
    });
    wait.recv().expect("the test server does not start")
});

struct Running {
    server: embedded::Server,
    /// Takes the names of databases that no test uses any more.
    unused: mpsc::UnboundedSender<String>,
}

impl Running {
    fn url(&self, role: &str, database: &str) -> String {
        self.server.url(role, database)
    }
}

/// Drops databases as their tests end: some 700 of them would take 8 GB.
async fn drop_unused(mut names: mpsc::UnboundedReceiver<String>) {
    while let Some(name) = names.recv().await {
        let postgres = connect(&SERVER.url("postgres", "postgres")).await;
        // By force: what a stopped service leaves open ends with it.
        execute(&postgres, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        postgres.close().await.unwrap();
    }
}

async fn start() -> embedded::Server {
    let folder = tempfile::Builder::new()
        .prefix("tradeline-tests-")
        .tempdir()
        .unwrap()
        .keep();
    // The server trades durability for speed. A crash may lose data, because each run starts with a new server.
    let settings = [
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("max_connections", "300"),
        ("deadlock_timeout", "100ms"),
    ];
    let server = embedded::Server::start(embedded::Settings {
        folder,
        settings: settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        scratch: true,
    })
    .await
    .unwrap();
    let postgres = connect(&server.url("postgres", "postgres")).await;
    for role in [OWNER, SERVICE] {
        execute(&postgres, &format!("CREATE ROLE {role} LOGIN")).await;
    }
    execute(
        &postgres,
        &format!("CREATE DATABASE {TEMPLATE} OWNER {OWNER}"),
    )
    .await;
    let url = server.url(OWNER, TEMPLATE);
    let owner = connect(&url).await;
    Migrator::up(&owner, None).await.unwrap();
    owner.close().await.unwrap();
    let owner = domain::Database::new(&url, 1).unwrap();
    assert!(
        domain::demo::load(&owner).await.unwrap(),
        "the template has its demo data"
    );
    owner.close().await;
    postgres.close().await.unwrap();
    let postgres = connect(&server.url("postgres", TEMPLATE)).await;
    execute(&postgres, &credentials()).await;
    postgres.close().await.unwrap();
    server
}

/// SQL that adds one API key per business, one refresh token and one session per user to the demo data, and one reset
/// code.
fn credentials() -> String {
    format!(
        "INSERT INTO api_keys (business_id, id, name, role, prefix, key_hash, created_by)
         SELECT business_id, CASE business_id WHEN '{ACME}' THEN '{ACME_KEY}'::uuid ELSE gen_random_uuid() END,
                'Webshop', 'staff', 'tl_live_', sha256(id::text::bytea), id
           FROM users WHERE role = 'admin';
         INSERT INTO refresh_tokens (business_id, id, family_id, user_id, token_hash, expires_at)
         SELECT business_id, gen_random_uuid(),
                CASE id WHEN '{ACME_BUYER}' THEN '{BUYERS_LOGIN}'::uuid ELSE gen_random_uuid() END, id,
                CASE id WHEN '{ACME_BUYER}' THEN sha256('{REFRESH_TOKEN}') ELSE sha256(id::text::bytea) END,
                now() + interval '1 day'
           FROM users;
         INSERT INTO sessions (business_id, id, user_id, user_version, token_hash, expires_at)
         SELECT business_id, gen_random_uuid(), id, version, sha256(id::text::bytea), now() + interval '1 day' FROM users;
         INSERT INTO password_resets (business_id, user_id, code_hash, enables, created_at, expires_at)
         SELECT business_id, id, sha256('{RESET_CODE}'), false, now() + interval '9 hours', now() + interval '10 hours'
           FROM users WHERE email = 'admin@globex.example';"
    )
}

/// The database of one test.
#[derive(Debug, Clone)]
pub struct Database {
    name: Arc<Name>,
}

#[derive(Debug)]
struct Name(String);

impl Drop for Name {
    fn drop(&mut self) {
        // A run that ends takes its server with it.
        let _ = SERVER.unused.send(std::mem::take(&mut self.0));
    }
}

impl Database {
    /// Creates a database with all migrations and the demo data.
    pub async fn with_demo() -> Self {
        Self::from_template(&format!("TEMPLATE {TEMPLATE}")).await
    }

    /// Creates a database without tables.
    pub async fn empty() -> Self {
        Self::from_template("").await
    }

    async fn from_template(template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let postgres = connect(&SERVER.url("postgres", "postgres")).await;
        execute(
            &postgres,
            &format!("CREATE DATABASE {name} {template} OWNER {OWNER}"),
        )
        .await;
        postgres.close().await.unwrap();
        Self {
            name: Arc::new(Name(name)),
        }
    }

    /// The connection URL for this role.
    #[must_use]
    pub fn url(&self, role: &str) -> String {
        SERVER.url(role, &self.name.0)
    }

    /// The path of the server's Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let url = self.url(SERVICE);
        let (_, host) = url.split_once("host=").expect("a socket's folder");
        let host = host.split('&').next().unwrap().replace("%2F", "/");
        PathBuf::from(host).join(".s.PGSQL.5432")
    }

    /// The database's name in the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name.0
    }

    /// Runs a statement as the superuser and keeps its locks until [`Held::release`] or [`Held::commit`].
    pub async fn hold(&self, sql: &str) -> Held {
        let postgres = self.connect("postgres").await;
        let transaction = postgres.begin().await.unwrap();
        let done = transaction.execute_unprepared(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
        Held {
            postgres,
            transaction,
        }
    }

    /// The number of sessions that wait for a lock.
    pub async fn blocked(&self) -> u64 {
        let sql = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
        self.value(sql).await.parse().unwrap()
    }

    /// Ends every session of the service, as an operator may. Returns the number of sessions.
    pub async fn kill_sessions(&self) -> u64 {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
              WHERE datname = current_database() AND usename = '{SERVICE}'"
        );
        self.value(&sql).await.parse().unwrap()
    }

    /// The number of deadlocks that the server has resolved in this database. Ends the service's sessions first: a
    /// session reports its count only when it ends or stays idle for long.
    pub async fn deadlocks(&self) -> u64 {
        // Background tasks reconnect, so one attempt may not suffice.
        until("the sessions end", async || self.kill_sessions().await == 0).await;
        let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        self.value(sql).await.parse().unwrap()
    }

    /// Connects as this role; row-level security does not apply to `postgres`.
    pub async fn connect(&self, role: &str) -> DatabaseConnection {
        connect(&self.url(role)).await
    }

    /// Runs statements as the superuser, for whom row-level security does not apply.
    pub async fn execute(&self, sql: &str) {
        let postgres = self.connect("postgres").await;
        execute(&postgres, sql).await;
        postgres.close().await.unwrap();
    }

    /// Runs a query as the superuser and returns the first column of each row as text.
    pub async fn column(&self, sql: &str) -> Vec<String> {
        let postgres = self.connect("postgres").await;
        let statement = Statement::from_string(
            DbBackend::Postgres,
            format!("SELECT (r.*)::text FROM ({sql}) AS r"),
        );
        let rows = postgres.query_all_raw(statement).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        postgres.close().await.unwrap();
        let texts = rows
            .iter()
            .map(|row| row.try_get_by_index::<String>(0).unwrap());
        texts
            .map(|text| text.trim_matches(|c| c == '(' || c == ')').to_owned())
            .collect()
    }

    /// Runs a query that returns exactly one row, and returns its value as text.
    pub async fn value(&self, sql: &str) -> String {
        let mut column = self.column(sql).await;
        assert_eq!(column.len(), 1, "{sql}");
        column.remove(0)
    }
}

/// Locks that an open transaction of another session holds.
pub struct Held {
    postgres: DatabaseConnection,
    transaction: DatabaseTransaction,
}

impl Held {
    /// Runs another statement in the same transaction.
    ///
    /// # Errors
    /// The server rejected the statement.
    pub async fn try_also(&self, sql: &str) -> Result<(), DbErr> {
        self.transaction.execute_unprepared(sql).await?;
        Ok(())
    }

    /// Commits the transaction, which releases its locks.
    pub async fn commit(self) {
        self.transaction.commit().await.unwrap();
        self.postgres.close().await.unwrap();
    }

    /// Rolls the transaction back, which releases its locks.
    pub async fn release(self) {
        self.transaction.rollback().await.unwrap();
        self.postgres.close().await.unwrap();
    }
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await.unwrap()
}

async fn execute(connection: &DatabaseConnection, sql: &str) {
    let done = connection.execute_unprepared(sql).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
