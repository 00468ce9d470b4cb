//! The server of an earlier process, which may still be shutting down, and the files that it
//! leaves.
//!
//! A server writes its process id into two files: `postmaster.pid` in the data folder, and the lock
//! of its socket. PostgreSQL treats either as stale when that process is dead. After a power cut
//! and a reboot, the number often belongs to another process, or the file is empty. PostgreSQL then
//! refuses to start.
//!
//! This module knows more than PostgreSQL: it runs under the folder's lock, and it can see in which
//! folder a process works. It therefore removes such a file once no server works on the data.

use crate::account::Account;
use crate::guard::Signal;
use crate::pid_file::{self, PidFile};
use crate::{Error, socket};
use rustix::process::{Pid, test_kill_process};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The signals to send in turn, and how long to wait after each. The server of a killed parent has
/// its signal already.
const STEPS: [(Option<Signal>, Duration); 3] = [
    (None, Duration::from_secs(10)),
    (Some(Signal::Int), Duration::from_secs(10)),
    (Some(Signal::Quit), Duration::from_secs(5)),
];

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The time in which a starting server must write its process id into its new file.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns once no server runs on `data` and no stale file prevents the next start. The files lie
/// in `data` and in the folder of its `socket`.
pub(crate) async fn clear(data: &Path, socket: &Path, account: &Account) -> Result<(), Error> {
    for file in [pid_file::path(data), socket::lock_file(socket)] {
        match written(&file).await {
            None => {}
            Some(None) => remove_without_pid(&file, data, account)?,
            Some(Some(found)) => {
                wait_for_end(found.pid, data, account).await?;
                remove_stale(&file, found.pid)?;
            }
        }
    }
    Ok(())
}

/// Reads the file: `None` if it does not exist, `Some(None)` if it has no process id after
/// [`WRITE_TIMEOUT`].
async fn written(file: &Path) -> Option<Option<PidFile>> {
    let deadline = Instant::now() + WRITE_TIMEOUT;
    loop {
        if let Some(found) = pid_file::read(file) {
            return Some(Some(found));
        }
        if !file.exists() {
            return None;
        }
        if Instant::now() > deadline {
            return Some(None);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Waits until the process is not a server on `data`, and signals it if that takes long.
async fn wait_for_end(pid: i32, data: &Path, account: &Account) -> Result<(), Error> {
    for (signal, limit) in STEPS {
        if let Some(signal) = signal {
            tracing::warn!(
                pid,
                signal = signal.name(),
                "an older database server did not stop"
            );
            send(signal, pid, account);
        }
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if !serves(pid, data, account) {
                return Ok(());
            }
            sleep(POLL_INTERVAL).await;
        }
    }
    Err(Error::Leftover {
        data: data.to_owned(),
        pid,
    })
}

/// PostgreSQL detects the file of a dead process, and uses it to find that server's last children.
/// It refuses to start if another process has the id by now. Only then is the file removed.
fn remove_stale(file: &Path, pid: i32) -> Result<(), Error> {
    if is_alive(pid) {
        remove(file, "its process id belongs to another process")?;
    }
    Ok(())
}

/// A file without a process id always prevents the start. It is kept while any process works in the
/// data folder: that process is a server, or someone maintaining one.
fn remove_without_pid(file: &Path, data: &Path, account: &Account) -> Result<(), Error> {
    if is_worked_in(data, account) {
        return Ok(());
    }
    remove(file, "it has no process id")
}

fn remove(file: &Path, reason: &str) -> Result<(), Error> {
    match fs::remove_file(file) {
        Ok(()) => {
            tracing::info!(path = %file.display(), reason, "removed a stale lock file");
            Ok(())
        }
        // Its server has ended just now and removed the file.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("remove", file)(error)),
    }
}

fn is_alive(pid: i32) -> bool {
    let answer = Pid::from_raw(pid).map(test_kill_process);
    matches!(answer, Some(Ok(()) | Err(rustix::io::Errno::PERM)))
}

/// Whether `pid` is a server on `data`, which is then its working directory. The question is asked
/// as the server's user, since in a container root may not inspect another user's process.
fn serves(pid: i32, data: &Path, account: &Account) -> bool {
    if !is_alive(pid) {
        return false;
    }
    if has_proc() {
        let folder = output(account, "readlink", &[&format!("/proc/{pid}/cwd")]);
        return Path::new(folder.trim_end_matches('\n')) == data;
    }
    output(account, "ps", &["-o", "args=", "-p", &pid.to_string()])
        .contains(&*data.to_string_lossy())
}

/// Whether any process of the server's user works in `data`.
fn is_worked_in(data: &Path, account: &Account) -> bool {
    if has_proc() {
        let folders = output(account, "/bin/sh", &["-c", "readlink /proc/[0-9]*/cwd"]);
        return folders.lines().any(|folder| Path::new(folder) == data);
    }
    output(account, "ps", &["-axo", "args="]).contains(&*data.to_string_lossy())
}

/// Whether the system has a `/proc` file system.
fn has_proc() -> bool {
    Path::new("/proc/self/cwd").exists()
}

/// Sends the signal as the server's user, so that a forged file cannot make root signal another
/// user's process.
fn send(signal: Signal, pid: i32, account: &Account) {
    output(
        account,
        "/bin/sh",
        &[
            "-c",
            "kill -s \"$1\" \"$2\"",
            "sh",
            signal.name(),
            &pid.to_string(),
        ],
    );
}

/// The standard output of the program; empty if it cannot be run.
fn output(account: &Account, program: &str, arguments: &[&str]) -> String {
    let output = account.command(program).args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}
