//! The server of an earlier process, which may still be shutting down when we start, and the file
//! it leaves behind.

use crate::account::Account;
use crate::guard::Signal;
use crate::{Error, pid_file};
use rustix::process::{Pid, test_kill_process};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What is tried in turn, and how long each is given. A server whose parent was killed has its
/// signal already.
const STEPS: [(Option<Signal>, Duration); 3] = [
    (None, Duration::from_secs(10)),
    (Some(Signal::Int), Duration::from_secs(10)),
    (Some(Signal::Quit), Duration::from_secs(5)),
];

const PAUSE: Duration = Duration::from_millis(20);

/// Returns once no server runs on `data` and nothing keeps the next one from starting.
pub(crate) async fn clear(data: &Path, account: &Account) -> Result<(), Error> {
    let Some(found) = pid_file::read(data) else {
        return Ok(());
    };
    for (signal, patience) in STEPS {
        if let Some(signal) = signal {
            tracing::warn!(
                pid = found.pid,
                signal = signal.name(),
                "an older database server does not stop"
            );
            send(signal, found.pid, account);
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !serves(found.pid, data, account) {
                return remove_stale(data, found.pid);
            }
            sleep(PAUSE).await;
        }
    }
    Err(Error::Leftover {
        data: data.to_owned(),
        pid: found.pid,
    })
}

/// PostgreSQL itself sees that a dead process's file is stale, and looks for that server's last
/// children by it. But it refuses to start when the process id is in use by now, so we remove the
/// file then.
fn remove_stale(data: &Path, pid: i32) -> Result<(), Error> {
    let path = pid_file::path(data);
    if is_alive(pid) && path.exists() {
        tracing::info!(pid, path = %path.display(), "removed a stale postmaster.pid");
        fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    }
    Ok(())
}

fn is_alive(pid: i32) -> bool {
    let answer = Pid::from_raw(pid).map(test_kill_process);
    matches!(answer, Some(Ok(()) | Err(rustix::io::Errno::PERM)))
}

/// Whether `pid` is a server on `data`: then it works in that folder. Asked as the server's user,
/// since inside a container root may not look into another user's process.
fn serves(pid: i32, data: &Path, account: &Account) -> bool {
    if !is_alive(pid) {
        return false;
    }
    if Path::new("/proc/self/cwd").exists() {
        let folder = output(account, "readlink", &[&format!("/proc/{pid}/cwd")]);
        return Path::new(folder.trim_end_matches('\n')) == data;
    }
    output(account, "ps", &["-o", "args=", "-p", &pid.to_string()])
        .contains(&*data.to_string_lossy())
}

/// Sends the signal as the server's user, so that a forged file cannot make root signal anyone
/// else's process.
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

/// What the program prints; nothing, if it cannot be run.
fn output(account: &Account, program: &str, arguments: &[&str]) -> String {
    let output = account.command(program).args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}
