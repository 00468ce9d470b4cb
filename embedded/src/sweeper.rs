//! Deleting a scratch folder once its server is gone, even if we are gone before it.
//!
//! A shell reads a pipe to its end and then deletes. One write end is ours, another is the standard
//! output of `initdb` and the server, which their child processes inherit; so the end comes when
//! none of us is left. The shell runs as we do, not as the server's user, who may not delete our
//! folder.

use crate::Error;
use std::io::{PipeWriter, pipe};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long deleting may take before we leave the shell to it.
const PATIENCE: Duration = Duration::from_secs(10);

const SCRIPT: &str = r#"cat >/dev/null; exec rm -rf -- "$@""#;

/// Deletes what it was given when it is dropped and the server is gone.
#[derive(Debug)]
pub(crate) struct Sweeper {
    child: Child,
    pipe: PipeWriter,
}

impl Sweeper {
    /// Will delete `paths`.
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

    /// The server's standard output.
    pub(crate) fn stdout(&self) -> Result<Stdio, Error> {
        let pipe = self.pipe.try_clone();
        Ok(pipe
            .map_err(Error::io("copy a pipe of", Path::new("/bin/sh")))?
            .into())
    }

    /// Deletes now, and waits for it; the server must be gone.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        let Self { mut child, pipe } = self;
        drop(pipe);
        match timeout(PATIENCE, child.wait()).await {
            Ok(ended) => ended
                .map(drop)
                .map_err(Error::io("wait for", Path::new("/bin/sh"))),
            Err(_) => {
                tracing::warn!(
                    "a process of the scratch server lives on, its folder is not deleted yet"
                );
                Ok(())
            }
        }
    }
}
