//! Deletion of a scratch folder once its server is gone, even if this process is gone earlier.
//!
//! A shell reads a pipe to its end and then deletes. One write end belongs to this process. Another
//! is the standard output of `initdb` and the server, which their child processes inherit. The pipe
//! therefore ends when none of them is left. The shell runs as the current user, since the server's
//! user may not be allowed to delete the folder.

use crate::Error;
use std::io::{PipeWriter, pipe};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The wait for the deletion before the shell is left to finish it alone.
const DELETE_TIMEOUT: Duration = Duration::from_secs(10);

const SCRIPT: &str = r#"cat >/dev/null; exec rm -rf -- "$@""#;

/// Deletes its paths when it is dropped and the server is gone.
#[derive(Debug)]
pub(crate) struct Sweeper {
    child: Child,
    pipe: PipeWriter,
}

impl Sweeper {
    /// Starts the shell that will delete `paths`.
    pub(crate) fn start(paths: &[PathBuf]) -> Result<Self, Error> {
        let shell = Path::new("/bin/sh");
        let (reader, pipe) = pipe().map_err(Error::io("open a pipe for", shell))?;
        let mut command = StdCommand::new(shell);
        command
            .args(["-c", SCRIPT, "sh"])
            .args(paths)
            .current_dir("/")
            .process_group(0)
            .stdin(reader)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = Command::from(command)
            .spawn()
            .map_err(Error::io("run", shell))?;
        Ok(Self { child, pipe })
    }

    /// A write end of the pipe, for the server's standard output.
    pub(crate) fn stdout(&self) -> Result<Stdio, Error> {
        let pipe = self.pipe.try_clone();
        Ok(pipe
            .map_err(Error::io("copy a pipe of", Path::new("/bin/sh")))?
            .into())
    }

    /// Deletes now and waits for it, [`DELETE_TIMEOUT`] at most. The server must be gone.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        let Self { mut child, pipe } = self;
        drop(pipe);
        match timeout(DELETE_TIMEOUT, child.wait()).await {
            Ok(ended) => ended
                .map(drop)
                .map_err(Error::io("wait for", Path::new("/bin/sh"))),
            Err(_) => {
                tracing::warn!(
                    "a process of the scratch server is still running, so its folder is not deleted yet"
                );
                Ok(())
            }
        }
    }
}
