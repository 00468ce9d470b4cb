//! The program `tradeline` as a process of its own, in a folder of its own.

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

/// Longer than anything here takes: what is not there by then is not coming.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder for the data. It and its database are gone at the end of the test.
pub struct Folder {
    temp: TempDir,
    pub data: PathBuf,
}

impl Folder {
    /// One that every user may pass through, as `/srv` is.
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

    /// The server's own file with its process id.
    pub fn postgres(&self) -> Option<u32> {
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

/// Runs it to its end.
pub fn run(data: &Path, arguments: &[&str]) -> Output {
    command(data, arguments).output().unwrap()
}

/// Runs it to its end, with this on its standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // One that refuses its arguments does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    ended(child)
}

/// What it printed, of a run that went well.
pub fn printed(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What it said, of a run that it refused: one line that starts with its name.
pub fn refusal(command: &mut Command) -> String {
    let output = ended(command.spawn().unwrap());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("tradeline: "), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    last.to_owned()
}

/// Waits for the end of a program that should end by itself, and kills it if it does not.
pub fn ended(mut child: Child) -> Output {
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
pub struct Program {
    pub child: Child,
    pub base: String,
    /// From the start to the first good answer of `/readyz`.
    pub ready_after: Duration,
    log: Option<JoinHandle<String>>,
    http: reqwest::Client,
}

impl Program {
    pub async fn start(folder: &Folder) -> Self {
        Self::spawn(&mut command(&folder.data, &[])).await
    }

    /// Starts it and waits until it says where it listens and that it is ready.
    pub async fn spawn(command: &mut Command) -> Self {
        let program = Self::listening(command).await;
        let reply = program.get("/readyz", None).await;
        assert_eq!(reply.0, 200, "{}", reply.1);
        program
    }

    /// Starts it and waits until it says where it listens.
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
            // Kept open and read on, as a terminal would.
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        });
        let line = tokio::task::spawn_blocking(move || first.recv_timeout(PATIENCE))
            .await
            .unwrap();
        let line = line.unwrap_or_default();
        // In plain text, or as the message of a line of JSON.
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

    /// Waits for its end; what it wrote into its log.
    pub fn wait(mut self) -> (ExitStatus, String) {
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

/// Whether it runs. One that has ended and whose new parent has not looked yet does not.
pub fn is_alive(process: u32) -> bool {
    let ps = Command::new("ps")
        .args(["-o", "stat=", "-p", &process.to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8(ps.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// Waits until a process that has been told to end is gone.
pub fn wait_for_the_end_of(process: u32) {
    let deadline = Instant::now() + PATIENCE;
    while is_alive(process) {
        assert!(Instant::now() < deadline, "process {process} goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn token(folder: &Folder, arguments: &[&str]) -> String {
    let business = ACME.to_string();
    let all = [&["token", "--business", &business], arguments].concat();
    printed(run(&folder.data, &all))
}
