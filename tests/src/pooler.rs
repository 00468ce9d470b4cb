//! This module runs PgBouncer between a service and its database. It starts the program `pgbouncer` from the PATH, with
//! a folder, socket and process of its own. They go when it is dropped or the run ends.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::{Proxy, SERVICE, until};

/// True if the variable `TRADELINE_TESTS_POOLER` is `pgbouncer`.
static WANTED: LazyLock<bool> = LazyLock::new(|| {
    let wanted = std::env::var("TRADELINE_TESTS_POOLER").unwrap_or_default();
    match wanted.as_str() {
        "" => false,
        "pgbouncer" => {
            assert!(
                *KEEPS_STATEMENTS,
                "TRADELINE_TESTS_POOLER needs PgBouncer 1.21 or newer on the PATH"
            );
            true
        }
        other => panic!("TRADELINE_TESTS_POOLER is pgbouncer or nothing, not {other:?}"),
    }
});

/// True if the program supports prepared statements in transaction mode, as versions from 1.21 on do.
static KEEPS_STATEMENTS: LazyLock<bool> = LazyLock::new(|| {
    let output = Command::new(PROGRAM).arg("--version").output();
    let output = output.expect("PgBouncer is on the PATH: Debian's package is `pgbouncer`");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().nth(1).unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let version: (u32, u32) = (
        numbers.next().unwrap_or(0),
        numbers.next().unwrap_or_default(),
    );
    let keeps = version >= (1, 21);
    if !keeps {
        eprintln!(
            "\nWARNING: PgBouncer {}.{} has no prepared statements in transaction mode: what needs them is tried in session \
             mode only.\nPut 1.21 or newer on the PATH to try transaction mode.\n",
            version.0, version.1
        );
    }
    keeps
});

const PROGRAM: &str = "pgbouncer";

/// The assignment of server connections to clients by PgBouncer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// One transaction each, with prepared statements. Versions before 1.21 use session mode instead.
    BestThereIs,
    /// One transaction each, without prepared statements.
    WithoutStatements,
}

/// A running PgBouncer. Ends when dropped.
pub struct PgBouncer {
    url: String,
    child: Child,
    folder: TempDir,
}

impl PgBouncer {
    /// Starts a PgBouncer in front of this proxy, for the service's role.
    pub async fn to(proxy: &Proxy, pooling: Pooling) -> Self {
        let (port, database) = proxy.target();
        Self::start(port, database, pooling).await
    }

    /// Calls [`Self::to`] if the whole run uses PgBouncer.
    pub(crate) async fn if_wanted(proxy: &Proxy) -> Option<Self> {
        match Self::is_wanted() {
            true => Some(Self::to(proxy, Pooling::BestThereIs).await),
            false => None,
        }
    }

    /// True if all services of the run reach their databases through PgBouncer.
    #[must_use]
    pub fn is_wanted() -> bool {
        *WANTED
    }

    async fn start(port: u16, database: &str, pooling: Pooling) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("tradeline-pooler-")
            .tempdir()
            .unwrap();
        // When root starts PgBouncer, it runs as another user and must write here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let users = folder.path().join("users");
        fs::write(users, format!("\"{SERVICE}\" \"\"\n")).unwrap();
        let ini = folder.path().join("pgbouncer.ini");
        fs::write(&ini, settings(folder.path(), port, database, pooling)).unwrap();
        // The shell ends PgBouncer when its standard input closes. This process holds the other end, so that happens
        // even if it is killed.
        let script = format!("{PROGRAM} -q \"$0\" & read -r _; kill -KILL $!; wait $!");
        let child = Command::new("sh")
            .args(["-c", &script])
            .arg(&ini)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pooler = Self {
            url: format!(
                "postgres://{SERVICE}@localhost:6432/{}?sslmode=disable&host={}",
                database,
                folder.path().to_str().unwrap().replace('/', "%2F")
            ),
            child,
            folder,
        };
        let socket = pooler.folder.path().join(".s.PGSQL.6432");
        until("PgBouncer listens", async || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        })
        .await;
        pooler
    }

    /// The database's URL through the pooler.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The text of PgBouncer's log file.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The configuration sets nothing for the service's sake. In particular, it ignores no startup parameters.
fn settings(folder: &Path, port: u16, database: &str, pooling: Pooling) -> String {
    // PgBouncer refuses to run as root.
    let user = match fs::metadata(folder).unwrap().uid() {
        0 => "user = nobody",
        _ => "",
    };
    let folder = folder.display();
    let mode = match (pooling, *KEEPS_STATEMENTS) {
        (Pooling::BestThereIs, true) => "transaction\nmax_prepared_statements = 200",
        (Pooling::BestThereIs, false) => "session",
        (Pooling::WithoutStatements, true) => "transaction\nmax_prepared_statements = 0",
        (Pooling::WithoutStatements, false) => "transaction",
    };
    format!(
        "[databases]
{database} = host=127.0.0.1 port={port} dbname={database}
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
unix_socket_mode = 0777
auth_type = trust
auth_file = {folder}/users
logfile = {folder}/log
pool_mode = {mode}
default_pool_size = 60
query_wait_timeout = 3
server_connect_timeout = 3
server_login_retry = 0.2
server_tls_sslmode = disable
{user}
"
    )
}
