//! The program as a user runs it: on an empty folder, on an old one, killed, and told to stop.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::binary::TRADELINE;
use tests::{Database, OWNER, SERVICE};

/// Longer than anything here takes: what is not there by then is not coming.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder for the data. It and its database are gone at the end of the test.
struct Folder {
    temp: TempDir,
    data: PathBuf,
}

impl Folder {
    /// One that every user may pass through, as `/srv` is.
    fn open() -> Self {
        Self::with_mode(0o755)
    }

    fn with_mode(mode: u32) -> Self {
        let temp = tempfile::Builder::new()
            .prefix("tradeline-program-")
            .tempdir()
            .unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(mode)).unwrap();
        let data = temp.path().join("data");
        Self { temp, data }
    }

    /// The server's own file with its process id.
    fn postgres(&self) -> Option<u32> {
        let file = self.data.join("postgres/data/postmaster.pid");
        fs::read_to_string(file).ok()?.lines().next()?.parse().ok()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Where root's folder may not be entered, the database lies elsewhere.
        if let Ok(home) = self.data.join("postgres").canonicalize()
            && !home.starts_with(self.temp.path())
        {
            let _ = fs::remove_dir_all(home);
        }
    }
}

/// The program with these arguments and no settings but its folder.
fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(&*TRADELINE);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy().starts_with("TRADELINE_");
        if ours || name == OsStr::new("DATABASE_URL") || name == OsStr::new("RUST_LOG") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .env("TRADELINE_DATA_DIR", data)
        .env("TRADELINE_LISTEN", "127.0.0.1:0")
        .env("TRADELINE_WORKERS", "2")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end.
fn run(data: &Path, arguments: &[&str]) -> Output {
    command(data, arguments).output().unwrap()
}

/// What it printed, of a run that went well.
fn printed(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What it said, of a run that it refused: one line that starts with its name.
fn refusal(command: &mut Command) -> String {
    let output = ended(command.spawn().unwrap());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("tradeline: "), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    last.to_owned()
}

/// Waits for the end of a program that should end by itself, and kills it if it does not.
fn ended(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it goes on: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// A service that runs, and is killed when the test ends.
struct Program {
    child: Child,
    base: String,
    /// From the start to the first good answer of `/readyz`.
    ready_after: Duration,
    log: Option<JoinHandle<String>>,
    http: reqwest::Client,
}

impl Program {
    async fn start(folder: &Folder) -> Self {
        Self::spawn(&mut command(&folder.data, &[])).await
    }

    /// Starts it and waits until it says where it listens and that it is ready.
    async fn spawn(command: &mut Command) -> Self {
        let program = Self::listening(command).await;
        let reply = program.get("/readyz", None).await;
        assert_eq!(reply.0, 200, "{}", reply.1);
        program
    }

    /// Starts it and waits until it says where it listens.
    async fn listening(command: &mut Command) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            let _ = stderr.read_to_end(&mut log);
            String::from_utf8_lossy(&log).into_owned()
        });
        let (lines, first) = mpsc::channel();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = stdout.read_line(&mut line);
            let _ = lines.send(line);
            // Kept open and read on, as a terminal would.
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        });
        let line = tokio::task::spawn_blocking(move || first.recv_timeout(PATIENCE))
            .await
            .unwrap();
        let line = line.unwrap_or_default();
        let Some(base) = line.trim().strip_prefix("Tradeline listens on ") else {
            let _ = child.kill();
            let status = child.wait().unwrap();
            panic!("{line:?}, {status}: {}", log.join().unwrap());
        };
        Self {
            child,
            base: base.to_owned(),
            ready_after: started.elapsed(),
            log: Some(log),
            http: reqwest::Client::new(),
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder, token: Option<&str>) -> (u16, String) {
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let url = format!("{}{path}", self.base);
        self.send(self.http.get(url), token).await
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> (u16, String) {
        let url = format!("{}{path}", self.base);
        self.send(self.http.post(url).body(body.to_string()), token)
            .await
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Waits for its end; what it wrote into its log.
    fn wait(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        (status, self.log.take().unwrap().join().unwrap())
    }

    /// Has it stop as a service manager does.
    fn stop(self) -> String {
        self.signal("TERM");
        let (status, log) = self.wait();
        assert!(status.success(), "{status}: {log}");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether it runs. One that has ended and whose new parent has not looked yet does not.
fn is_alive(process: u32) -> bool {
    let ps = Command::new("ps")
        .args(["-o", "stat=", "-p", &process.to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8(ps.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// Waits until a process that has been told to end is gone.
fn wait_for_the_end_of(process: u32) {
    let deadline = Instant::now() + PATIENCE;
    while is_alive(process) {
        assert!(Instant::now() < deadline, "process {process} goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn token(folder: &Folder, arguments: &[&str]) -> String {
    let business = ACME.to_string();
    let all = [&["token", "--business", &business], arguments].concat();
    printed(run(&folder.data, &all))
}

fn purchase() -> Value {
    json!({"customer_id": ACME_CUSTOMER, "items": [{"product_id": ACME_HEADPHONES, "quantity": 1}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_is_ready_within_ten_seconds_and_an_old_one_within_five_with_its_data() {
    let folder = Folder::open();
    let program = Program::start(&folder).await;
    println!("ready on an empty folder after {:?}", program.ready_after);
    assert!(program.ready_after < Duration::from_secs(10));
    let token = token(&folder, &["--role", "admin"]);
    let customers = async |program: &Program| {
        let (status, text) = program.get("/api/customers?limit=200", Some(&token)).await;
        assert_eq!(status, 200, "{text}");
        let page: Value = serde_json::from_str(&text).unwrap();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(customers(&program).await, 7, "the demo data is there");
    let (status, receipt) = program
        .post("/api/purchase", Some(&token), &purchase())
        .await;
    assert_eq!(status, 201, "{receipt}");
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    let log = program.stop();
    assert!(log.contains("the demo data is loaded"), "{log}");

    let program = Program::start(&folder).await;
    println!("ready on an old folder after {:?}", program.ready_after);
    assert!(program.ready_after < Duration::from_secs(5));
    assert_eq!(
        customers(&program).await,
        7,
        "the demo data was loaded once"
    );
    let order = format!("/api/orders/{}", receipt["order_id"].as_str().unwrap());
    let (status, kept) = program.get(&order, Some(&token)).await;
    assert_eq!(status, 200, "{kept}");
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["total_amount"], receipt["total_amount"]);
    let log = program.stop();
    assert!(!log.contains("the demo data is loaded"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_stops_with_its_database_and_ends_well() {
    let folder = Folder::open();
    let program = Program::start(&folder).await;
    let postgres = folder.postgres().unwrap();
    assert!(is_alive(postgres));
    let (status, _) = program.get("/healthz", None).await;
    assert_eq!(status, 200);
    let log = program.stop();
    assert!(log.contains("stopping"), "{log}");
    assert!(!is_alive(postgres), "the database outlives its service");
    assert_eq!(folder.postgres(), None, "it has shut down in order");

    // Ctrl-C is the same.
    let program = Program::start(&folder).await;
    program.signal("INT");
    let (status, log) = program.wait();
    assert!(status.success(), "{status}: {log}");
    assert_eq!(folder.postgres(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_it_starts_again_with_all_that_was_answered_and_leaves_no_old_database() {
    let folder = Folder::open();
    let mut program = Program::start(&folder).await;
    let admin = token(&folder, &["--role", "admin"]);
    let (status, text) = program
        .post("/api/purchase", Some(&admin), &purchase())
        .await;
    assert_eq!(status, 201, "{text}");
    let receipt: Value = serde_json::from_str(&text).unwrap();
    let old = folder.postgres().unwrap();
    program.child.kill().unwrap();
    program.child.wait().unwrap();

    // At once, while the old database may still be on its way out.
    let program = Program::start(&folder).await;
    println!("ready after a kill after {:?}", program.ready_after);
    let new = folder.postgres().unwrap();
    assert_ne!(new, old);
    wait_for_the_end_of(old);
    let order = format!("/api/orders/{}", receipt["order_id"].as_str().unwrap());
    let (status, text) = program.get(&order, Some(&admin)).await;
    assert_eq!(status, 200, "{text}");
    // Killed and not started again, it leaves no database either.
    drop(program);
    wait_for_the_end_of(new);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_its_database_is_killed_it_says_so_and_ends() {
    let folder = Folder::open();
    let program = Program::start(&folder).await;
    let postgres = folder.postgres().unwrap().to_string();
    let kill = Command::new("kill")
        .args(["-s", "KILL", &postgres])
        .status();
    assert!(kill.unwrap().success());
    let (status, log) = program.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("the embedded database ended by itself"),
        "{log}"
    );
    // What was killed like that recovers.
    let program = Program::start(&folder).await;
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_copy_on_the_same_data_refuses_and_disturbs_nothing() {
    let folder = Folder::open();
    let program = Program::start(&folder).await;
    let postgres = folder.postgres();
    let said = refusal(&mut command(&folder.data, &[]));
    assert!(said.contains(&folder.data.display().to_string()), "{said}");
    assert!(said.contains("another copy"), "{said}");
    assert!(said.contains(&program.child.id().to_string()), "{said}");
    assert_eq!(folder.postgres(), postgres);
    let (status, text) = program.get("/readyz", None).await;
    assert_eq!(status, 200, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_commands_work_beside_a_service_that_runs() {
    let folder = Folder::open();
    let said = refusal(&mut command(&folder.data, &["database-url"]));
    assert!(said.contains("start the service first"), "{said}");
    let program = Program::start(&folder).await;

    let subject = "0199ffff-0000-7000-8000-000000000001";
    let customer = ACME_CUSTOMER.to_string();
    for (arguments, role) in [
        (vec!["--role", "admin", "--subject", subject], "admin"),
        (
            vec!["--role", "staff", "--subject", subject, "--seconds", "60"],
            "staff",
        ),
        (
            vec![
                "--role",
                "customer",
                "--subject",
                subject,
                "--customer",
                &customer,
            ],
            "customer",
        ),
    ] {
        let token = token(&folder, &arguments);
        let (status, me) = program.get("/api/auth/me", Some(&token)).await;
        assert_eq!(status, 200, "{me}");
        let me: Value = serde_json::from_str(&me).unwrap();
        assert_eq!(
            (&me["role"], &me["user_id"]),
            (&json!(role), &json!(subject))
        );
        let own = if role == "customer" {
            json!(customer)
        } else {
            Value::Null
        };
        assert_eq!(me["customer_id"], own);
    }
    // A customer's token needs a customer, and another folder's secret signs nothing here.
    let business = ACME.to_string();
    let output = run(
        &folder.data,
        &["token", "--business", &business, "--role", "customer"],
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let elsewhere = Folder::open();
    let (status, text) = program
        .get(
            "/api/auth/me",
            Some(&token(&elsewhere, &["--role", "admin"])),
        )
        .await;
    assert_eq!(status, 401, "{text}");

    let document: Value = serde_json::from_str(&printed(run(&folder.data, &["openapi"]))).unwrap();
    let (_, served) = program.get("/openapi.json", None).await;
    assert_eq!(document, serde_json::from_str::<Value>(&served).unwrap());

    let url = printed(run(&folder.data, &["database-url"]));
    let sql = format!(
        "BEGIN; SET LOCAL app.business_id = '{ACME}'; SELECT count(*) FROM customers; COMMIT"
    );
    let psql = Command::new("psql")
        .args([
            "--no-psqlrc",
            "--quiet",
            "-At",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            &sql,
            &url,
        ])
        .output()
        .unwrap();
    assert_eq!(printed(psql), "7");

    // Secrets and data are for their owner only.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.data.join("jwt-secret")), 0o600);
    assert_eq!(mode(&folder.data.join("postgres/data")) & 0o077, 0);
    assert_eq!(mode(&folder.data.join("postgres/socket")) & 0o077, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_of_the_embedded_database_are_checked_while_it_runs_and_when_it_does_not() {
    let folder = Folder::open();
    let nothing = run(&folder.data, &["verify"]);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    assert!(!folder.data.exists(), "a look makes nothing");
    let program = Program::start(&folder).await;
    let beside = printed(run(&folder.data, &["verify"]));
    assert!(
        beside.starts_with("0 differences in 2 businesses"),
        "{beside}"
    );
    let _ = program.stop();
    assert_eq!(printed(run(&folder.data, &["verify"])), beside);
    assert_eq!(folder.postgres(), None, "its server is stopped again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_only_its_owner_may_enter_is_good_enough() {
    let folder = Folder::with_mode(0o700);
    let program = Program::start(&folder).await;
    let admin = token(&folder, &["--role", "admin"]);
    let (status, text) = program
        .post("/api/purchase", Some(&admin), &purchase())
        .await;
    assert_eq!(status, 201, "{text}");
    program.stop();
    let program = Program::start(&folder).await;
    let (_, text) = program
        .get(&format!("/api/customers/{ACME_CUSTOMER}"), Some(&admin))
        .await;
    assert!(text.contains("\"balance\":\"100.00\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_said_before_anything_is_touched() {
    let folder = Folder::open();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(command(&folder.data, &[]).env("TRADELINE_LISTEN", &address));
    assert!(
        said.contains(&format!("cannot listen on {address}")),
        "{said}"
    );
    assert!(said.to_lowercase().contains("in use"), "{said}");
    assert!(!folder.data.exists(), "no database was made for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_named() {
    let folder = Folder::open();
    for (name, value) in [
        ("TRADELINE_LISTEN", "8080"),
        ("TRADELINE_LISTEN", "localhost"),
        ("TRADELINE_LISTEN", ""),
        ("TRADELINE_WORKERS", "0"),
        ("TRADELINE_WORKERS", "many"),
        ("TRADELINE_LANES", "65"),
        ("TRADELINE_CONNECTIONS", "0"),
        ("TRADELINE_TOKEN_SECONDS", "59"),
        ("TRADELINE_RATE_LIMIT", "600"),
        ("TRADELINE_RATE_LIMIT_ADDRESS", "0/min"),
        ("TRADELINE_RATE_LIMIT_LOGIN", "many"),
        ("TRADELINE_RATE_LIMIT_ACCOUNT", "10/day"),
        ("TRADELINE_TRUSTED_PROXIES", "everyone"),
        ("TRADELINE_CORS_ORIGINS", "*"),
        ("TRADELINE_REQUEST_SECONDS", "0"),
        ("TRADELINE_IDLE_SECONDS", "0"),
        ("TRADELINE_CLIENTS", "0"),
        ("TRADELINE_LOG", "xml"),
    ] {
        let output = ended(command(&folder.data, &[]).env(name, value).spawn().unwrap());
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let flag = name
            .trim_start_matches("TRADELINE_")
            .to_lowercase()
            .replace('_', "-");
        assert!(stderr.contains(&format!("--{flag}")), "{stderr}");
        assert!(stderr.contains(&format!("'{value}'")), "{stderr}");
    }
    let output = run(&folder.data, &["sell"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!folder.data.exists(), "no database was made for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_short_secret_is_refused_and_no_secret_is_shown() {
    let folder = Folder::open();
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    let said = refusal(command(&folder.data, &[]).env("DATABASE_URL", &url));
    assert!(said.contains("TRADELINE_JWT_SECRET must be set"), "{said}");
    let short = "0123456789abcdef0123456789abcde";
    let said = refusal(
        command(&folder.data, &[])
            .env("DATABASE_URL", &url)
            .env("TRADELINE_JWT_SECRET", short),
    );
    assert!(said.contains("TRADELINE_JWT_SECRET"), "{said}");
    assert!(said.contains("32 bytes"), "{said}");
    assert!(!said.contains(short), "{said}");
    // A password in an address that is none is not shown either.
    let said = refusal(
        command(&folder.data, &[])
            .env("DATABASE_URL", "mysql://role:hunter2@host/name")
            .env("TRADELINE_JWT_SECRET", tests::SECRET),
    );
    assert!(said.contains("DATABASE_URL"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    // The commands that sign are asked for the same.
    let business = ACME.to_string();
    let mut token = command(
        &folder.data,
        &["token", "--business", &business, "--role", "admin"],
    );
    let said = refusal(token.env("DATABASE_URL", &url));
    assert!(said.contains("TRADELINE_JWT_SECRET must be set"), "{said}");
    assert!(
        !folder.data.exists(),
        "with DATABASE_URL no folder is needed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_row_security_would_not_bind_is_refused() {
    let folder = Folder::open();
    let database = Database::with_demo().await;
    for role in ["postgres", OWNER] {
        let said = refusal(
            command(&folder.data, &[])
                .env("DATABASE_URL", database.url(role))
                .env("TRADELINE_JWT_SECRET", tests::SECRET),
        );
        assert!(said.contains(&format!("the role {role}")), "{said}");
        assert!(said.contains("must not run like that"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_database_is_neither_migrated_nor_filled() {
    let folder = Folder::open();
    let database = Database::empty().await;
    let with = |database: &Database| {
        let mut command = command(&folder.data, &[]);
        command
            .env("DATABASE_URL", database.url(SERVICE))
            .env("TRADELINE_JWT_SECRET", tests::SECRET);
        command
    };
    let program = Program::listening(&mut with(&database)).await;
    let (status, text) = program.get("/readyz", None).await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("\"code\":\"database_unavailable\""), "{text}");
    let (status, _) = program.get("/healthz", None).await;
    assert_eq!(status, 200);
    assert!(database.tables().await.is_empty());
    let log = program.stop();
    assert!(log.contains("WARN"), "{log}");
    assert!(log.contains("migration up"), "{log}");
    assert!(database.tables().await.is_empty());

    // Migrated by hand while it runs, it is ready, and still empty.
    let program = Program::listening(&mut with(&database)).await;
    let output = Command::new(&*tests::binary::MIGRATION)
        .arg("up")
        .env("DATABASE_URL", database.url(OWNER))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let (status, text) = program.get("/readyz", None).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(database.value("SELECT count(*) FROM businesses").await, "0");
    program.stop();

    // A step more or less than the service was built with is not ready either.
    let program = Program::spawn(&mut with(&database)).await;
    for change in [
        "INSERT INTO seaql_migrations VALUES ('99_of_a_later_version', 0)",
        "DELETE FROM seaql_migrations WHERE version IN ('99_of_a_later_version', '06_idempotency_and_audit')",
    ] {
        database.execute(change).await;
        let (status, text) = program.get("/readyz", None).await;
        assert_eq!(status, 503, "{change}: {text}");
    }
    assert!(
        !folder.data.exists(),
        "with DATABASE_URL no folder is needed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn help_names_every_setting_and_shows_no_secret() {
    let folder = Folder::open();
    let output = command(&folder.data, &["--help"])
        .env("DATABASE_URL", "postgres://role:hunter2@host/name")
        .env("TRADELINE_JWT_SECRET", "hunter3")
        .output()
        .unwrap();
    let help = printed(output);
    for name in [
        "DATABASE_URL",
        "TRADELINE_LISTEN",
        "TRADELINE_DATA_DIR",
        "TRADELINE_JWT_SECRET",
        "TRADELINE_TOKEN_SECONDS",
        "TRADELINE_REFRESH_TOKEN_SECONDS",
        "TRADELINE_WORKERS",
        "TRADELINE_LANES",
        "TRADELINE_CONNECTIONS",
        "TRADELINE_RATE_LIMIT",
        "TRADELINE_RATE_LIMIT_ADDRESS",
        "TRADELINE_RATE_LIMIT_LOGIN",
        "TRADELINE_RATE_LIMIT_ACCOUNT",
        "TRADELINE_TRUSTED_PROXIES",
        "TRADELINE_CORS_ORIGINS",
        "TRADELINE_REQUEST_SECONDS",
        "TRADELINE_IDLE_SECONDS",
        "TRADELINE_CLIENTS",
        "TRADELINE_ISSUER",
        "TRADELINE_TRUSTED_GATEWAYS",
        "TRADELINE_LOG",
        "RUST_LOG",
        "token",
        "openapi",
        "database-url",
        "127.0.0.1:8080",
    ] {
        assert!(help.contains(name), "{name} is not in\n{help}");
    }
    assert!(!help.contains("hunter"), "{help}");
    let version = printed(run(&folder.data, &["--version"]));
    assert_eq!(version, format!("tradeline {}", env!("CARGO_PKG_VERSION")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_however_much_is() {
    let folder = Folder::open();
    let mut command = command(&folder.data, &[]);
    command.env("RUST_LOG", "trace").env(
        "TRADELINE_JWT_SECRET",
        "hunter1 hunter1 hunter1 hunter1 hunter1",
    );
    let program = Program::spawn(&mut command).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let granted = async |path: &str, token: Option<&str>, body: &Value| -> Value {
        let (status, text) = program.post(path, token, body).await;
        assert!(status < 300, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    };
    let login = json!({"business": "acme", "email": "admin@example.com", "password": "admin123"});
    let first = granted("/api/auth/login", None, &login).await;
    let second = json!({"refresh_token": first["refresh_token"]});
    let second = granted("/api/auth/refresh", None, &second).await;
    let token = text(&second["access_token"]);
    let user = json!({"email": "n@example.com", "name": "N", "password": "hunter2 hunter2", "role": "staff"});
    granted("/api/users", Some(&token), &user).await;
    let key = granted(
        "/api/api-keys",
        Some(&token),
        &json!({"name": "K", "role": "staff"}),
    )
    .await;
    let key = text(&key["key"]);
    assert_eq!(program.get("/api/orders", Some(&key)).await.0, 200);
    assert_eq!(program.get("/api/users", Some(&key)).await.0, 403);
    for (path, body) in [
        (
            "/api/auth/login",
            json!({"business": "acme", "email": "admin@example.com", "password": "hunter3 hunter3"}),
        ),
        (
            "/api/auth/refresh",
            json!({"refresh_token": "hunter4 hunter4"}),
        ),
        (
            "/api/auth/refresh",
            json!({"refresh_token": first["refresh_token"]}),
        ),
        (
            "/api/auth/register",
            json!({"business": "acme", "email": "a@b", "password": "hunter5", "name": "N"}),
        ),
        (
            "/api/auth/register",
            json!({"business": "acme", "email": "a@b", "password": "hunter6 hunter6", "name": "N"}),
        ),
    ] {
        program.post(path, None, &body).await;
    }
    let logout = json!({"refresh_token": second["refresh_token"]});
    assert_eq!(
        program
            .post("/api/auth/logout", Some(&token), &logout)
            .await
            .0,
        204
    );
    program.get("/api/orders", Some("hunter7")).await;
    let log = program.stop();
    assert!(log.contains("TRACE"), "the log is not complete");
    for secret in [
        "hunter",
        "admin123",
        "argon2id$",
        // All that differs between two of their kind.
        &token[token.len() - 43..],
        &text(&first["access_token"])[text(&first["access_token"]).len() - 43..],
        &text(&first["refresh_token"])[33..],
        &text(&second["refresh_token"])[33..],
        &key[38..],
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}
