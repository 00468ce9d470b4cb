//! Programs that do not outlive this process.
//!
//! A shell starts the program: it first forks a watcher and then becomes the program, so that the
//! child of this process is the program itself. The watcher reads a pipe. Its only write end is in
//! this process and is close-on-exec. End of file therefore means that this process is gone,
//! however it ended. The watcher then signals the program.
//!
//! The watcher is a grandchild of the shell, so the program never sees it as a child of its own. It
//! keeps none of the program's files open. It belongs to the program's process group, which a
//! terminal's Ctrl-C does not reach.

use crate::Error;
use crate::account::Account;
use std::ffi::OsStr;
use std::io::{PipeWriter, Write, pipe};
use std::path::Path;
use std::process::Command;

/// `$$` is the shell's process id, in the watcher too, and so the program's. A line on the pipe,
/// unlike its end, means that the program is gone. Its process id may then belong to another
/// process.
const SCRIPT: &str = r#"
exec 3<&0 </dev/null
( { read -r _ <&3 || kill -s "$1" $$; } >/dev/null 2>&1 & )
shift
exec "$@" 3<&-
"#;

/// The signals that stop a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// Fast shutdown: clients are disconnected, and a checkpoint is written.
    Int,
    /// Immediate shutdown, for data that nobody will read again.
    Quit,
}

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Quit => "QUIT",
        }
    }
}

/// The write end of the pipe. Dropping it signals the program.
#[derive(Debug)]
pub(crate) struct Guard {
    pipe: PipeWriter,
}

impl Guard {
    /// A command that runs `program` as `account`, and the guard that sends `signal` when dropped.
    /// Arguments can be added. Standard input is taken by the pipe.
    pub(crate) fn command(
        account: &Account,
        signal: Signal,
        program: &Path,
    ) -> Result<(Command, Self), Error> {
        let (reader, writer) = pipe().map_err(Error::io("open a pipe for", program))?;
        let mut command = account.command("/bin/sh");
        command
            .args(["-c", SCRIPT, "sh", signal.name()].map(OsStr::new))
            .arg(program)
            .stdin(reader);
        Ok((command, Self { pipe: writer }))
    }

    /// Ends the watcher without a signal. Call it once the program has ended.
    pub(crate) fn release(mut self) {
        // A failure means that the watcher is gone already.
        let _ = self.pipe.write_all(b"\n");
    }
}
