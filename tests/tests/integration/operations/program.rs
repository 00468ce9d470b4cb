//! These tests run the program as a user does: with an empty folder, with an old one, killed, and stopped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES};
use serde_json::{Value, json};
use tests::program::{
    Folder, Program, command, is_alive, printed, refusal, run, run_with_input, token,
    wait_for_the_end_of,
};
use tests::{Database, OWNER, SERVICE, until};

fn purchase() -> Value {
    json!({"customer_id": ACME_CUSTOMER, "items": [{"product_id": ACME_HEADPHONES, "quantity": 1}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_is_ready_with_the_demo_data_and_an_old_one_with_its_own() {
    let folder = Folder::open();
    let program = Program::start(&folder).await;
    // The benchmark measures the start time; here other tests load the machine.
    println!("ready on an empty folder after {:?}", program.ready_after);
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

    // SIGINT (Ctrl-C) has the same effect.
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

    // The start follows immediately, while the old database server may still be shutting down.
    let program = Program::start(&folder).await;
    println!("ready after a kill after {:?}", program.ready_after);
    let new = folder.postgres().unwrap();
    assert_ne!(new, old);
    wait_for_the_end_of(old);
    let order = format!("/api/orders/{}", receipt["order_id"].as_str().unwrap());
    let (status, text) = program.get(&order, Some(&admin)).await;
    assert_eq!(status, 200, "{text}");
    // A program that is killed and not started again leaves no database server running.
    drop(program);
    wait_for_the_end_of(new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_is_reported_and_ends_the_service() {
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
    // The database recovers after its server was killed.
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
    // A customer's token needs a customer id, and the secret of another folder signs no valid token here.
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

    // Only the owner may read secrets and data.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.data.join("jwt-secret")), 0o600);
    assert_eq!(mode(&folder.data.join("postgres/data")) & 0o077, 0);
    assert_eq!(mode(&folder.data.join("postgres/socket")) & 0o077, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_an_empty_database_the_platforms_token_makes_the_first_business() {
    let folder = Folder::open();
    let database = Database::empty().await;
    let migrated = Command::new(&*tests::binary::MIGRATION)
        .arg("up")
        .env("DATABASE_URL", database.url(OWNER))
        .output()
        .unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    let with = |arguments: &[&str]| {
        let mut command = command(&folder.data, arguments);
        command
            .env("DATABASE_URL", database.url(SERVICE))
            .env("TRADELINE_JWT_SECRET", tests::SECRET);
        command
    };
    let program = Program::spawn(&mut with(&[])).await;
    let platform = printed(with(&["token", "--role", "platform"]).output().unwrap());
    let business = json!({"name": "First", "slug": "first", "currency": "EUR",
                          "admin": {"email": "admin@first.example", "password": "hunter2 hunter2"}});
    let (status, text) = program
        .post("/api/businesses", Some(&platform), &business)
        .await;
    assert_eq!(status, 201, "{text}");
    let login =
        json!({"business": "first", "email": "admin@first.example", "password": "hunter2 hunter2"});
    let (status, text) = program.post("/api/auth/login", None, &login).await;
    assert_eq!(status, 200, "{text}");
    let granted: Value = serde_json::from_str(&text).unwrap();
    let admin = granted["access_token"].as_str();
    let (status, users) = program.get("/api/users", admin).await;
    assert_eq!(status, 200, "{users}");
    // The platform itself cannot read the new business's data.
    let (status, text) = program.get("/api/users", Some(&platform)).await;
    assert_eq!(status, 403, "{text}");
}

const PASSWORD: &str = "correct horse battery";

/// Runs `create-business` with this slug and the admin's password.
fn create_business(folder: &Folder, slug: &str, password: &str) -> Output {
    let email = format!("admin@{slug}.example");
    let arguments = ["create-business", "--name", slug, "--slug", slug];
    let mut command = command(&folder.data, &arguments);
    command.args(["--currency", "EUR", "--admin-email", &email]);
    run_with_input(&mut command, &format!("{password}\n"))
}

async fn login(program: &Program, slug: &str, email: &str, password: &str) -> u16 {
    let login = json!({"business": slug, "email": email, "password": password});
    program.post("/api/auth/login", None, &login).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn without_demo_data_nobody_can_log_in_until_a_command_has_made_a_business() {
    let folder = Folder::open();
    let said = String::from_utf8(create_business(&folder, "early", PASSWORD).stderr).unwrap();
    assert!(said.contains("start the service first"), "{said}");
    assert!(!folder.data.exists(), "the command makes no database");

    let without_demo = || {
        let mut command = command(&folder.data, &["--no-demo"]);
        command.env_remove("TRADELINE_NO_DEMO");
        command
    };
    let program = Program::spawn(&mut without_demo()).await;
    assert_eq!(
        login(&program, "acme", "admin@example.com", "admin123").await,
        401
    );
    let made = printed(create_business(&folder, "first", PASSWORD));
    assert!(
        made.starts_with("created the business first with the id "),
        "{made}"
    );
    let admin = "admin@first.example";
    assert_eq!(login(&program, "first", admin, PASSWORD).await, 200);
    for (slug, password, words) in [
        ("first", PASSWORD, "the slug is already in use"),
        ("second", "short", "must have from 8 to 128 characters"),
        ("second", "", "must have from 8 to 128 characters"),
    ] {
        let output = create_business(&folder, slug, password);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(words), "{said}");
    }
    let output = run(&folder.data, &["create-business", "--slug", "Not a slug"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    program.stop();

    // When the program is not running, the command starts the database and stops it again.
    printed(create_business(&folder, "second", PASSWORD));
    assert_eq!(folder.postgres(), None);

    // A start without the flag adds no demo users to a database that is in use.
    let program = Program::start(&folder).await;
    assert_eq!(
        login(&program, "second", "admin@second.example", PASSWORD).await,
        200
    );
    assert_eq!(
        login(&program, "acme", "admin@example.com", "admin123").await,
        401
    );
    let log = program.stop();
    assert!(
        log.contains("the database has businesses of its own"),
        "{log}"
    );
    assert!(printed(run(&folder.data, &["verify"])).starts_with("0 differences in 2 businesses"));
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_data_of_an_earlier_start_stay_and_are_warned_of() {
    let folder = Folder::open();
    Program::start(&folder).await.stop();
    let mut command = command(&folder.data, &[]);
    let program = Program::spawn(command.env("TRADELINE_NO_DEMO", "yes")).await;
    assert_eq!(
        login(&program, "acme", "admin@example.com", "admin123").await,
        200
    );
    let log = program.stop();
    assert!(
        log.contains("TRADELINE_NO_DEMO does not remove them"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_database_of_a_later_version_is_served_only_if_that_is_compatible() {
    let folder = Folder::open();
    let program = Program::start(&folder).await;
    let url = printed(run(&folder.data, &["database-url"]));
    let owner = url.replace(SERVICE, OWNER);
    let newest = migration::names().pop().unwrap();
    let apply = |step: &str, compatible_from: &str| {
        let sql = format!(
            "INSERT INTO seaql_migrations VALUES ('{step}', 0);
             INSERT INTO schema_compatibility VALUES ('{step}', '{compatible_from}')"
        );
        let psql = Command::new("psql")
            .args(["--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-c", &sql, &owner])
            .output();
        printed(psql.unwrap());
    };
    apply("98_compatible", &newest);
    program.stop();
    let program = Program::start(&folder).await;
    apply("99_contracts", "99_contracts");
    program.stop();
    let said = refusal(&mut command(&folder.data, &[]));
    assert!(
        said.contains("not compatible with this one: 99_contracts"),
        "{said}"
    );
    until("the embedded server is stopped again", async || {
        folder.postgres().is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_of_the_embedded_database_are_checked_while_it_runs_and_when_it_does_not() {
    let folder = Folder::open();
    let nothing = run(&folder.data, &["verify"]);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    assert!(!folder.data.exists(), "a read-only command creates nothing");
    let program = Program::start(&folder).await;
    let beside = printed(run(&folder.data, &["verify"]));
    assert!(
        beside.starts_with("0 differences in 2 businesses"),
        "{beside}"
    );
    let _ = program.stop();
    assert_eq!(printed(run(&folder.data, &["verify"])), beside);
    assert_eq!(
        folder.postgres(),
        None,
        "the embedded server is stopped again"
    );
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
        // The part of each secret that differs from other secrets of its kind.
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
