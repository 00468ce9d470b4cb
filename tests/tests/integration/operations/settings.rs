//! These tests check how the program validates its settings before it changes anything.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use domain::demo::ACME;
use serde_json::Value;
use tests::program::{Folder, Program, command, ended, printed, refusal, run};
use tests::{Database, OWNER, SERVICE};

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
    assert!(!folder.data.exists(), "no database was created");
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
        ("TRADELINE_PAYMENT_PROVIDER", "cash"),
        ("TRADELINE_PAYMENT_SECONDS", "59"),
        ("STRIPE_API_BASE", "http://api.stripe.com"),
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
    assert!(!folder.data.exists(), "no database was created");
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
    // A password in an invalid URL is not shown either.
    let said = refusal(
        command(&folder.data, &[])
            .env("DATABASE_URL", "mysql://role:hunter2@host/name")
            .env("TRADELINE_JWT_SECRET", tests::SECRET),
    );
    assert!(said.contains("DATABASE_URL"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    // Commands that sign tokens need the same secret.
    let business = ACME.to_string();
    let mut token = command(
        &folder.data,
        &["token", "--business", &business, "--role", "admin"],
    );
    let said = refusal(token.env("DATABASE_URL", &url));
    assert!(said.contains("TRADELINE_JWT_SECRET must be set"), "{said}");
    assert!(
        !folder.data.exists(),
        "no folder is created with DATABASE_URL"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_payments_that_contradict_each_other_are_refused_and_no_secret_is_shown() {
    let folder = Folder::open();
    let database = Database::with_demo().await;
    let (key, secret) = (
        ("STRIPE_SECRET_KEY", "sk_hunter2"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2"),
    );
    for (settings, words) in [
        (
            &[key][..],
            "STRIPE_WEBHOOK_SECRET must be set with STRIPE_SECRET_KEY",
        ),
        (
            &[secret],
            "STRIPE_SECRET_KEY must be set with STRIPE_WEBHOOK_SECRET",
        ),
        (
            &[key, secret, ("TRADELINE_PAYMENT_PROVIDER", "offline")],
            "STRIPE_SECRET_KEY is set",
        ),
        (
            &[("TRADELINE_PAYMENT_PROVIDER", "stripe")],
            "STRIPE_SECRET_KEY must be set",
        ),
    ] {
        let mut program = command(&folder.data, &[]);
        program
            .env("DATABASE_URL", database.url(SERVICE))
            .env("TRADELINE_JWT_SECRET", tests::SECRET)
            .envs(settings.iter().copied());
        let said = refusal(&mut program);
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
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
    assert!(log.contains("tradeline migrate"), "{log}");
    assert!(database.tables().await.is_empty());

    // After a manual migration the running service is ready, and the database is still empty.
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

    // With an unknown or a missing migration the service is not ready.
    let program = Program::spawn(&mut with(&database)).await;
    for change in [
        "INSERT INTO seaql_migrations VALUES ('99_of_a_later_version', 0)",
        "DELETE FROM seaql_migrations WHERE version IN ('99_of_a_later_version', '06_idempotency_and_audit')",
    ] {
        database.execute(change).await;
        // `/readyz` caches its result for one second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let (status, text) = program.get("/readyz", None).await;
        assert_eq!(status, 503, "{change}: {text}");
    }
    assert!(
        !folder.data.exists(),
        "no folder is created with DATABASE_URL"
    );
}

/// Starts a server that responds to every connection with this PostgreSQL error.
fn refusing_server(code: &str, message: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
            let length = u32::try_from(fields.len() + 4).unwrap();
            let answer = [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat();
            stream.write_all(&answer).unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_logins_is_reported_once_in_its_own_words() {
    let folder = Folder::open();
    let database = Database::with_demo().await;
    let no_password = refusing_server("28P01", "password authentication failed for user \"role\"");
    let no_password = format!("postgres://role:hunter2@{no_password}/shop?sslmode=disable");
    let missing = database.url(SERVICE).replace(database.name(), "missing");
    for (url, cause) in [
        (database.url("stranger"), "role \"stranger\" does not exist"),
        (missing, "database \"missing\" does not exist"),
        (
            no_password,
            "password authentication failed for user \"role\"",
        ),
    ] {
        for arguments in [&[][..], &["migrate", "status"]] {
            let mut program = command(&folder.data, arguments);
            program
                .env("DATABASE_URL", &url)
                .env("TRADELINE_JWT_SECRET", tests::SECRET);
            let said = refusal(&mut program);
            assert!(said.ends_with(cause), "{said}");
            assert_eq!(said.matches(cause).count(), 1, "{said}");
            assert!(
                said.contains("cannot connect to the database at "),
                "{said}"
            );
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_database_is_reported_and_the_service_waits_for_it() {
    let folder = Folder::open();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let refused = format!("postgres://role@{address}/shop");
    let unknown = "postgres://role@no-such-host.invalid/shop".to_owned();
    for (url, cause) in [
        (&refused, "Connection refused"),
        (&unknown, "failed to lookup address"),
    ] {
        let said = refusal(command(&folder.data, &["migrate", "status"]).env("DATABASE_URL", url));
        assert!(said.contains(cause), "{said}");
        assert_eq!(said.matches(cause).count(), 1, "{said}");
        assert!(!said.contains("timed out"), "{said}");
    }
    let said = refusal(command(&folder.data, &["migrate"]).env("DATABASE_URL", &refused));
    assert!(
        said.contains(&format!("at {address}/shop as role")),
        "{said}"
    );

    let mut service = command(&folder.data, &[])
        .env("DATABASE_URL", &refused)
        .env("TRADELINE_JWT_SECRET", tests::SECRET)
        .spawn()
        .unwrap();
    let lines = BufReader::new(service.stderr.take().unwrap()).lines();
    let waiting = lines
        .map(Result::unwrap)
        .find(|line| line.contains("waiting up to 30 s for the database"));
    let waiting = waiting.expect("it ends without a message");
    assert!(waiting.contains("Connection refused"), "{waiting}");
    service.kill().unwrap();
    service.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_is_checked_before_a_database_is_made() {
    let folder = Folder::open();
    for (name, value, words) in [
        ("TRADELINE_JWT_SECRET", "short", "32 bytes"),
        (
            "STRIPE_SECRET_KEY",
            "sk_x",
            "STRIPE_WEBHOOK_SECRET must be set",
        ),
        (
            "TRADELINE_ISSUER",
            "https://issuer.example",
            "TRADELINE_AUDIENCE must be set",
        ),
        (
            "RUST_LOG",
            "info,domain=loud",
            "RUST_LOG: `domain=loud` is not a directive",
        ),
        ("RUST_LOG", "inof", "did you mean `info`?"),
        (
            "DATABASE_URL",
            "postgres://",
            "TRADELINE_JWT_SECRET must be set",
        ),
    ] {
        let said = refusal(command(&folder.data, &[]).env(name, value));
        assert!(said.contains(words), "{name}={value}: {said}");
        assert!(
            !folder.data.exists(),
            "{name}: a database was made for nothing"
        );
    }
    // A secret file in the data folder is validated too.
    fs::create_dir(&folder.data).unwrap();
    let kept = folder.data.join("jwt-secret");
    fs::write(&kept, "short").unwrap();
    let said = refusal(&mut command(&folder.data, &[]));
    assert!(said.contains(&kept.display().to_string()), "{said}");
    assert!(said.contains("32 bytes"), "{said}");
    assert!(!folder.data.join("postgres").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_no_setting_is_named_in_the_log() {
    let folder = Folder::open();
    let database = Database::with_demo().await;
    let mut command = command(&folder.data, &[]);
    command
        .env("DATABASE_URL", database.url(SERVICE))
        .env("TRADELINE_JWT_SECRET", tests::SECRET)
        .env("TRADELINE_LISTN", "127.0.0.1:1")
        .env("TRADELINE_PORT", "tcp://10.0.0.1:8080");
    let log = Program::spawn(&mut command).await.stop();
    let named: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("is not a setting"))
        .collect();
    assert_eq!(named.len(), 1, "{log}");
    assert!(
        named[0].contains(
            "TRADELINE_LISTN is not a setting and has no effect: did you mean TRADELINE_LISTEN?"
        ),
        "{log}"
    );
}

/// Parses each line as JSON.
#[track_caller]
fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_json_is_json_from_its_first_line_to_its_last() {
    let folder = Folder::open();
    let database = Database::with_demo().await;
    let with = |settings: &[(&str, &str)]| {
        let mut command = command(&folder.data, &[]);
        command
            .env("DATABASE_URL", database.url(SERVICE))
            .env("TRADELINE_JWT_SECRET", tests::SECRET)
            .env("TRADELINE_LOG", "json")
            .envs(settings.iter().copied());
        command
    };
    let mut running = with(&[("TRADELINE_LISTN", "")]).spawn().unwrap();
    let mut stdout = BufReader::new(running.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    let message = first["message"].as_str().unwrap();
    assert!(
        message.starts_with("Tradeline listens on http://"),
        "{first}"
    );
    running.kill().unwrap();
    let output = running.wait_with_output().unwrap();
    let lines = json_lines(&String::from_utf8(output.stderr).unwrap());
    assert!(
        lines[0]["message"]
            .as_str()
            .unwrap()
            .contains("TRADELINE_LISTN")
    );

    // An error that stops the start is a JSON line too, regardless of the log filter.
    for (settings, words) in [
        (&[("TRADELINE_WORKERS", "many")][..], "--workers"),
        (&[("RUST_LOG", "inof")], "did you mean `info`?"),
        (
            &[("RUST_LOG", "off"), ("TRADELINE_JWT_SECRET", "short")],
            "32 bytes",
        ),
        (
            &[("TRADELINE_LISTEN", "192.0.2.1:1")],
            "cannot listen on 192.0.2.1:1",
        ),
    ] {
        let output = ended(with(settings).spawn().unwrap());
        assert!(!output.status.success(), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let lines = json_lines(&String::from_utf8(output.stderr).unwrap());
        let last = lines.last().unwrap();
        assert_eq!(last["level"], "ERROR", "{last}");
        assert!(last["message"].as_str().unwrap().contains(words), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn help_names_the_commands_and_shows_no_secret() {
    let folder = Folder::open();
    let output = command(&folder.data, &["--help"])
        .env("DATABASE_URL", "postgres://role:hunter2@host/name")
        .env("TRADELINE_JWT_SECRET", "hunter3")
        .env("STRIPE_SECRET_KEY", "hunter4")
        .env("STRIPE_WEBHOOK_SECRET", "hunter5")
        .output()
        .unwrap();
    let help = printed(output);
    for name in [
        "RUST_LOG",
        "token",
        "openapi",
        "database-url",
        "create-business",
        "migrate",
        "127.0.0.1:8080",
    ] {
        assert!(help.contains(name), "{name} is not in\n{help}");
    }
    assert!(!help.contains("hunter"), "{help}");
    let version = printed(run(&folder.data, &["--version"]));
    assert_eq!(version, format!("tradeline {}", env!("CARGO_PKG_VERSION")));
}
