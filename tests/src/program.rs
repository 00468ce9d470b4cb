//! This module runs the program `tradeline` as a separate process in a folder of its own.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::demo::ACME;
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::TRADELINE;

/// Time limit for everything the program does here; each step takes far less.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(30);

/// A data folder. The folder and its database are removed at the end of the test.
pub struct Folder {
    temp: TempDir,
    pub data: PathBuf,
}

impl Folder {
    /// Creates a folder that every user may traverse, as `/srv` is.
    pub fn open() -> Self {
        Self::with_mode(0o755)
    }

    pub fn with_mode(mode: u32) -> Self {
        let temp = tempfile::Builder::new()
            .prefix("tradeline-program-")
            .tempdir()
            .unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(mode)).unwrap();
        let data = temp.path().join("data");
        Self { temp, data }
    }

    /// The process id of the PostgreSQL server, from its own `postmaster.pid`. `None` if the file does not exist.
    pub fn postgres(&self) -> Option<u32> {
        let file = self.data.join("postgres/data/postmaster.pid");
        fs::read_to_string(file).ok()?.lines().next()?.parse().ok()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The database lies elsewhere when the server's user may not enter root's folder.
        if let Ok(home) = self.data.join("postgres").canonicalize()
            && !home.starts_with(self.temp.path())
        {
            let _ = fs::remove_dir_all(home);
        }
    }
}

/// The program with these arguments and no setting but its data folder. All settings of the test's environment are
/// removed.
pub fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(&*TRADELINE);
    for (name, _) in std::env::vars_os() {
        let ours = ["TRADELINE_", "STRIPE_"];
        let ours = ours
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix));
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

/// Runs the program until it exits.
pub fn run(data: &Path, arguments: &[&str]) -> Output {
    command(data, arguments).output().unwrap()
}

/// Runs the program until it exits, with this text on its standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // A program that rejects its arguments does not read its input, so the write may fail.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    ended(child)
}

/// Asserts success and returns the standard output, trimmed.
pub fn printed(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Asserts exit code 1 and returns the last line of the log, which must start with the program's name.
pub fn refusal(command: &mut Command) -> String {
    let output = ended(command.spawn().unwrap());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("tradeline: "), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    last.to_owned()
}

/// Waits at most 30 seconds for the exit, then kills the program and panics.
pub fn ended(mut child: Child) -> Output {
    let deadline = Instant::now() + PROGRAM_TIMEOUT;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!(
                "the program is still running: {:?}",
                child.wait_with_output().unwrap()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// A running service. Killed when the test ends.
pub struct Program {
    pub child: Child,
    pub base: String,
    /// Time from the start to the first 200 of `/readyz`.
    pub ready_after: Duration,
    log: Option<JoinHandle<String>>,
    http: reqwest::Client,
}

impl Program {
    pub async fn start(folder: &Folder) -> Self {
        Self::spawn(&mut command(&folder.data, &[])).await
    }

    /// Starts the program, waits until it prints its address, and expects 200 from `/readyz`.
    pub async fn spawn(command: &mut Command) -> Self {
        let program = Self::listening(command).await;
        let reply = program.get("/readyz", None).await;
        assert_eq!(reply.0, 200, "{}", reply.1);
        program
    }

    /// Starts the program and waits until it prints its address.
    pub async fn listening(command: &mut Command) -> Self {
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
            // The pipe must stay open and be read, as a terminal would, or the program's output would block or fail.
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        });
        let line = tokio::task::spawn_blocking(move || first.recv_timeout(PROGRAM_TIMEOUT))
            .await
            .unwrap();
        let line = line.unwrap_or_default();
        // The address is in plain text, or in the message of a JSON line.
        let base = line.split_once("Tradeline listens on ");
        let base = base.and_then(|(_, rest)| rest.trim().split('"').next());
        let Some(base) = base else {
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

    pub async fn send(
        &self,
        request: reqwest::RequestBuilder,
        token: Option<&str>,
    ) -> (u16, String) {
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let url = format!("{}{path}", self.base);
        self.send(self.http.get(url), token).await
    }

    pub async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> (u16, String) {
        let url = format!("{}{path}", self.base);
        self.send(self.http.post(url).body(body.to_string()), token)
            .await
    }

    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Waits for the exit and returns the status and the log.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PROGRAM_TIMEOUT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        (status, self.log.take().unwrap().join().unwrap())
    }

    /// Stops the program with SIGTERM, as a service manager does, and returns the log.
    pub fn stop(self) -> String {
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

/// True if the process runs. A zombie, whose parent has not collected it yet, does not run.
pub fn is_alive(process: u32) -> bool {
    let ps = Command::new("ps")
        .args(["-o", "stat=", "-p", &process.to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8(ps.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// Waits at most 30 seconds until a process that was told to end is gone.
pub fn wait_for_the_end_of(process: u32) {
    let deadline = Instant::now() + PROGRAM_TIMEOUT;
    while is_alive(process) {
        assert!(
            Instant::now() < deadline,
            "process {process} is still running"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn token(folder: &Folder, arguments: &[&str]) -> String {
    let business = ACME.to_string();
    let all = [&["token", "--business", &business], arguments].concat();
    printed(run(&folder.data, &all))
}
