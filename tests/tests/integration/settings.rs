//! What the program says of its settings before it touches anything.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use domain::demo::ACME;
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
        // An answer holds for a second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let (status, text) = program.get("/readyz", None).await;
        assert_eq!(status, 503, "{change}: {text}");
    }
    assert!(
        !folder.data.exists(),
        "with DATABASE_URL no folder is needed"
    );
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
        "127.0.0.1:8080",
    ] {
        assert!(help.contains(name), "{name} is not in\n{help}");
    }
    assert!(!help.contains("hunter"), "{help}");
    let version = printed(run(&folder.data, &["--version"]));
    assert_eq!(version, format!("tradeline {}", env!("CARGO_PKG_VERSION")));
}
