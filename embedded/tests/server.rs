//! The server as its parent sees it. Each test has its own folder and its own server; nothing needs
//! to be prepared. Root's servers run as another user, so as root more is tested.

mod support;

use embedded::{Error, Server, Settings, url_of};
use sea_orm::{ConnectionTrait, Database};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Owner, TestFolder, psql, server, settings, until};

#[tokio::test]
async fn data_survive_a_restart() {
    let folder = TestFolder::new();
    let first = server(&folder.path).await;
    psql(
        &first.url("postgres", "postgres"),
        "create table kept as select 7 as number",
    );
    first.stop().await.unwrap();

    let second = server(&folder.path).await;
    let answer = psql(
        &second.url("postgres", "postgres"),
        "select number from kept",
    );
    assert_eq!(answer, "7");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn addresses_suit_psql_and_sqlx() {
    let folder = TestFolder::new();
    let server = server(&folder.path.join("a b+c%d'\"é")).await;
    let postgres = server.url("postgres", "postgres");
    psql(&postgres, "create role \"me@home\" login");
    psql(&postgres, "create database \"of me/you\"");

    let url = server.url("me@home", "of me/you");
    let query = "select current_user || ' in ' || current_database() as place";
    assert_eq!(psql(&url, query), "me@home in of me/you");
    let connection = Database::connect(url).await.unwrap();
    let row = connection.query_one_raw(sea_orm::Statement::from_string(
        sea_orm::DbBackend::Postgres,
        query,
    ));
    let place: String = row.await.unwrap().unwrap().try_get("", "place").unwrap();
    assert_eq!(place, "me@home in of me/you");
    connection.close().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn settings_apply_but_not_to_the_address() {
    let folder = TestFolder::new();
    let mut settings = settings(&folder.path);
    for (name, value) in [
        ("work_mem", "5MB"),
        ("port", "1"),
        ("listen_addresses", "*"),
    ] {
        settings.settings.push((name.to_owned(), value.to_owned()));
    }
    let server = Server::start(settings).await.unwrap();
    let show = |name| psql(&server.url("postgres", "postgres"), &format!("show {name}"));
    assert_eq!(show("work_mem"), "5MB");
    assert_eq!(show("listen_addresses"), "");
    assert_eq!(show("timezone"), "UTC");
    assert_eq!(show("server_encoding"), "UTF8");
    assert_eq!(show("data_checksums"), "on");
    assert_eq!(
        psql(&server.url("postgres", "postgres"), "select upper('é')"),
        "É"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn only_the_servers_user_can_reach_the_socket_and_the_data() {
    let folder = TestFolder::new();
    let server = server(&folder.path).await;
    let data = fs::metadata(server.data_folder()).unwrap();
    let socket = fs::metadata(server.data_folder().with_file_name("socket")).unwrap();
    assert_eq!((data.mode() & 0o777, socket.mode() & 0o777), (0o700, 0o700));
    assert_eq!(data.uid(), socket.uid());
    assert_ne!(data.uid(), 0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn root_may_keep_the_folder_where_no_one_else_may_enter() {
    let folder = TestFolder::new();
    let private = folder.path.join("private");
    fs::create_dir(&private).unwrap();
    fs::set_permissions(&private, Permissions::from_mode(0o700)).unwrap();
    let inner = private.join("data");

    let first = server(&inner).await;
    psql(&first.url("postgres", "postgres"), "create table kept ()");
    let root = fs::metadata(&folder.path).unwrap().uid() == 0;
    assert_eq!(inner.join("postgres").is_symlink(), root);
    first.stop().await.unwrap();

    let second = server(&inner).await;
    psql(&second.url("postgres", "postgres"), "select from kept");
    // A copy of the folder has a copy of the link, and a lock of its own.
    if root {
        let copy = folder.path.join("copy");
        fs::create_dir(&copy).unwrap();
        let home = fs::read_link(inner.join("postgres")).unwrap();
        std::os::unix::fs::symlink(&home, copy.join("postgres")).unwrap();
        let refused = Server::start(settings(&copy)).await.unwrap_err();
        assert!(matches!(refused, Error::InUse { .. }), "{refused}");
        second.stop().await.unwrap();
        fs::remove_dir_all(home).unwrap();

        let lost = Server::start(settings(&inner)).await.unwrap_err();
        assert!(matches!(lost, Error::LostHome { .. }), "{lost}");
    }
}

#[tokio::test]
async fn a_second_server_on_the_folder_is_refused() {
    let folder = TestFolder::new();
    let server = server(&folder.path).await;
    match Server::start(settings(&folder.path)).await.unwrap_err() {
        Error::InUse { folder: used, pid } => {
            assert_eq!(used, folder.path.canonicalize().unwrap());
            assert_eq!(pid, Some(std::process::id()));
        }
        other => panic!("{other}"),
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_address_is_known_while_a_server_runs() {
    let folder = TestFolder::new();
    let before = url_of(&folder.path, "postgres", "postgres").unwrap_err();
    assert!(matches!(before, Error::NotRunning { .. }), "{before}");

    let server = server(&folder.path).await;
    let url = url_of(&folder.path, "postgres", "postgres").unwrap();
    assert_eq!(url, server.url("postgres", "postgres"));
    server.stop().await.unwrap();

    let after = url_of(&folder.path, "postgres", "postgres").unwrap_err();
    assert!(matches!(after, Error::NotRunning { .. }), "{after}");
}

#[tokio::test]
async fn a_folder_with_a_long_path_works() {
    let folder = TestFolder::new();
    let long = folder
        .path
        .join("long".repeat(30))
        .join("and, with a comma");
    for _ in 0..2 {
        let server = server(&long).await;
        let url = server.url("postgres", "postgres");
        assert_eq!(psql(&url, "select 1"), "1");
        assert_eq!(url_of(&long, "postgres", "postgres").unwrap(), url);
        server.stop().await.unwrap();
    }
    fs::remove_dir_all(fs::read_link(long.join("postgres/socket")).unwrap()).unwrap();
}

#[tokio::test]
async fn a_server_that_dies_is_noticed() {
    let folder = TestFolder::new();
    let mut server = server(&folder.path).await;
    let early = tokio::time::timeout(Duration::from_millis(100), server.exited()).await;
    assert!(early.is_err(), "it ended by itself: {early:?}");
    let pid = support::postmaster(server.data_folder());
    Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    assert!(!server.exited().await.unwrap().success());
    server.stop().await.unwrap();

    let again = support::server(&folder.path).await;
    assert_eq!(psql(&again.url("postgres", "postgres"), "select 1"), "1");
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_goes_with_its_killed_owner_and_the_next_starts_at_once() {
    let folder = TestFolder::new();
    let mut owner = Owner::start(&folder.path, false);
    psql(&owner.url, "create table kept as select 7 as number");
    // A client that hangs on must not keep the server.
    let mut client = Command::new("psql")
        .args([&owner.url, "-c", "select pg_sleep(60)"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let data = folder.path.canonicalize().unwrap().join("postgres/data");
    let pid = support::postmaster(&data);
    owner.kill();

    let next = server(&folder.path).await;
    assert_ne!(support::postmaster(&data), pid);
    assert!(
        fs::metadata(format!("/proc/{pid}/cwd/PG_VERSION")).is_err(),
        "two servers run"
    );
    assert_eq!(
        psql(&next.url("postgres", "postgres"), "select number from kept"),
        "7"
    );
    next.stop().await.unwrap();
    client.wait().unwrap();

    let mut owner = Owner::start(&folder.path, false);
    let pid = support::postmaster(&data);
    owner.kill();
    until("the server is gone", || {
        !fs::exists(data.join("postmaster.pid")).unwrap()
    })
    .await;
    let log = fs::read_to_string(data.with_file_name("postgres.log")).unwrap();
    assert!(
        log.contains(&format!("[{pid}] LOG:  received fast shutdown request")),
        "{log}"
    );
}

#[tokio::test]
async fn a_dropped_server_stops_and_can_be_started_again() {
    let folder = TestFolder::new();
    for _ in 0..3 {
        let server = server(&folder.path).await;
        assert_eq!(psql(&server.url("postgres", "postgres"), "select 1"), "1");
        drop(server);
    }
}

/// The two files in which the server on `data` writes its process id.
fn lock_files(data: &Path) -> [PathBuf; 2] {
    [
        data.join("postmaster.pid"),
        data.with_file_name("socket/.s.PGSQL.5432.lock"),
    ]
}

#[tokio::test]
async fn files_of_a_dead_server_whose_number_another_process_has_are_no_obstacle() {
    let folder = TestFolder::new();
    let first = server(&folder.path).await;
    let data = first.data_folder().to_owned();
    let files = lock_files(&data);
    let kept = files
        .each_ref()
        .map(|file| fs::read_to_string(file).unwrap());
    let pid = support::postmaster(&data);
    first.stop().await.unwrap();

    // PostgreSQL refuses only for a process of its own user.
    let user = fs::metadata(&data).unwrap();
    let mut stranger = support::stranger(user.uid(), user.gid());
    // Each alone, and both, as after a power cut and a reboot.
    for left in [&[0][..], &[1], &[0, 1]] {
        for &file in left {
            let text = kept[file].replacen(&pid, &stranger.id().to_string(), 1);
            assert_ne!(text, kept[file]);
            fs::write(&files[file], text).unwrap();
        }
        let next = server(&folder.path).await;
        assert_eq!(psql(&next.url("postgres", "postgres"), "select 1"), "1");
        assert!(
            stranger.try_wait().unwrap().is_none(),
            "the stranger was ended"
        );
        next.stop().await.unwrap();
    }
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn lock_files_that_a_power_cut_has_emptied_are_no_obstacle() {
    let folder = TestFolder::new();
    let first = server(&folder.path).await;
    let data = first.data_folder().to_owned();
    first.stop().await.unwrap();
    for cut in ["", "\0\0\0\0\0\0"] {
        for file in lock_files(&data) {
            fs::write(file, cut).unwrap();
        }
        let next = server(&folder.path).await;
        assert_eq!(psql(&next.url("postgres", "postgres"), "select 1"), "1");
        next.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_half_made_cluster_is_no_obstacle() {
    let folder = TestFolder::new();
    let home = folder.path.join("postgres");
    let half = home.join("new-Ab12Cd/base");
    fs::create_dir_all(&half).unwrap();
    fs::write(half.with_file_name("PG_VERSION"), "15\n").unwrap();
    support::open_to_all(&home);
    let server = server(&folder.path).await;
    assert_eq!(psql(&server.url("postgres", "postgres"), "select 1"), "1");
    assert!(!half.exists());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_another_version_is_refused_with_both_versions() {
    let folder = TestFolder::new();
    let first = server(&folder.path).await;
    let data = first.data_folder().to_owned();
    first.stop().await.unwrap();
    fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    let refused = Server::start(settings(&folder.path)).await.unwrap_err();
    assert!(
        matches!(refused, Error::WrongVersion { wanted: 9, .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_wrong_setting_is_reported_with_the_servers_words() {
    let folder = TestFolder::new();
    let mut settings = settings(&folder.path);
    settings
        .settings
        .push(("no_such_setting".to_owned(), "1".to_owned()));
    let refused = Server::start(settings).await.unwrap_err();
    assert!(matches!(refused, Error::Died { .. }), "{refused}");
    assert!(refused.to_string().contains("no_such_setting"), "{refused}");
}

#[tokio::test]
async fn scratch_folders_go_when_their_server_stops() {
    let folder = TestFolder::new();
    let scratch = folder.path.join("scratch");
    let settings = Settings {
        scratch: true,
        ..settings(&scratch)
    };
    for _ in 0..2 {
        let server = Server::start(settings.clone()).await.unwrap();
        assert_eq!(psql(&server.url("postgres", "postgres"), "select 1"), "1");
        server.stop().await.unwrap();
        assert!(!scratch.exists());
    }

    fs::create_dir(&scratch).unwrap();
    fs::write(scratch.join("precious"), "").unwrap();
    let refused = Server::start(settings).await.unwrap_err();
    assert!(matches!(refused, Error::NotEmpty { .. }), "{refused}");
    assert!(scratch.join("precious").exists());
}

#[tokio::test]
async fn scratch_folders_go_when_their_owner_is_killed() {
    let folder = TestFolder::new();
    let private = folder.path.join("private");
    fs::create_dir(&private).unwrap();
    fs::set_permissions(&private, Permissions::from_mode(0o700)).unwrap();
    // In plain reach of the server's user, and where root's folder needs a home elsewhere.
    for parent in [&folder.path, &private] {
        let scratch = parent.join("scratch");
        let mut owner = Owner::start(&scratch, true);
        assert_eq!(psql(&owner.url, "select 1"), "1");
        let home = scratch.join("postgres").canonicalize().unwrap();
        owner.kill();
        until("the folder is gone", || !scratch.exists() && !home.exists()).await;
    }
}

/// The process of [`Owner`]: a test binary started again, with this "test" alone.
#[tokio::test]
#[ignore = "run by other tests, as a process of its own"]
async fn owner() {
    support::own_a_server().await;
}
