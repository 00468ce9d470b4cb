//! Folders, clients and processes for the tests.

#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use embedded::{Server, Settings};
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};
use tempfile::TempDir;

/// A folder of one test, which the server's user can pass through.
pub(crate) struct TestFolder {
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

impl TestFolder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        Self {
            path: folder.path().to_owned(),
            _folder: folder,
        }
    }
}

/// Lets everyone pass through `folder`.
pub(crate) fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
}

/// Settings for `folder` alone, quick where that does not matter.
pub(crate) fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.to_owned(),
        settings: vec![("fsync".to_owned(), "off".to_owned())],
        scratch: false,
    }
}

/// A server on `folder`.
pub(crate) async fn server(folder: &Path) -> Server {
    match Server::start(settings(folder)).await {
        Ok(server) => server,
        Err(error) => panic!("{error}: {error:?}"),
    }
}

/// The result of `query`.
pub(crate) fn psql(url: &str, query: &str) -> String {
    let output = Command::new("psql")
        .args([
            url,
            "--no-psqlrc",
            "--no-align",
            "--tuples-only",
            "--set=ON_ERROR_STOP=1",
        ])
        .args(["--command", query])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{url}: {query}: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The process id of the server on `data`.
pub(crate) fn postmaster(data: &Path) -> String {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    text.lines().next().unwrap().to_owned()
}

/// A process of another's, that has nothing to do with any server.
pub(crate) fn stranger(uid: u32, gid: u32) -> Child {
    let mut command = Command::new("sleep");
    command.arg("60").current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(uid).gid(gid);
    }
    command.spawn().unwrap()
}

/// Waits until `done`, for some seconds.
pub(crate) async fn until(expected: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "not in time: {expected}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Another process, which runs a server and can be killed.
pub(crate) struct Owner {
    process: Child,
    pub(crate) url: String,
    _output: Lines<BufReader<ChildStdout>>,
}

const FOLDER: &str = "EMBEDDED_TEST_FOLDER";
const SCRATCH: &str = "EMBEDDED_TEST_SCRATCH";
const ANSWER: &str = "server at ";

impl Owner {
    /// Starts the process, and waits until its server is ready.
    pub(crate) fn start(folder: &Path, scratch: bool) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "owner", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .env(SCRATCH, scratch.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = output.by_ref().find_map(|line| {
            let line = line.unwrap();
            Some(line.split_once(ANSWER)?.1.to_owned())
        });
        Self {
            process,
            url: url.unwrap(),
            _output: output,
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The work of the process of [`Owner`].
pub(crate) async fn own_a_server() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let server = Server::start(Settings {
        scratch: env::var(SCRATCH).is_ok_and(|scratch| scratch == "true"),
        ..settings(Path::new(&folder))
    });
    let server = server.await.unwrap();
    println!("{ANSWER}{}", server.url("postgres", "postgres"));
    std::future::pending().await
}
