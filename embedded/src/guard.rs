//! Programs that do not outlive us.
//!
//! The program is started by a shell, which first leaves a watcher behind and then becomes the
//! program, so that our child is the program itself. The watcher reads a pipe whose only write end
//! is in our process, close-on-exec, so that its end of file means that we are gone, in whatever
//! way; then it signals the program.
//!
//! The watcher is a grandchild of the shell, which the program never sees as a child of its own. It
//! holds none of the program's files open, and it lives in the program's process group, out of
//! reach of a terminal's Ctrl-C.

use crate::Error;
use crate::account::Account;
use std::ffi::OsStr;
use std::io::{PipeWriter, Write, pipe};
use std::path::Path;
use std::process::Command;

/// `$$` is the shell's process id, in the watcher too, and so the program's. A line on the pipe, as
/// opposed to its end, means that the program is gone and its process id may be another's by now.
const SCRIPT: &str = r#"
exec 3<&0 </dev/null
( { read -r _ <&3 || kill -s "$1" $$; } >/dev/null 2>&1 & )
shift
exec "$@" 3<&-
"#;

/// The signals that end a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// Fast shutdown: clients are disconnected, and a checkpoint is written.
    Int,
    /// Immediate shutdown, for data that no one will read again.
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

/// Our end of the pipe. When it is dropped, the program is signalled.
#[derive(Debug)]
pub(crate) struct Guard {
    pipe: PipeWriter,
}

impl Guard {
    /// A command that runs `program` as `account`, with `signal` sent to it once the guard is gone.
    /// Arguments can be added; standard input cannot be used.
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

    /// Lets the watcher go without a signal: the program has ended.
    pub(crate) fn release(mut self) {
        // A watcher that is gone already needs no word.
        let _ = self.pipe.write_all(b"\n");
    }
}
