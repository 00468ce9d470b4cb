//! The file `postmaster.pid`, in which a server writes its process id and its state.
//!
//! The lock of its socket begins with the same lines.

use std::fs;
use std::path::{Path, PathBuf};

/// The contents of `postmaster.pid` that this crate needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    /// The process id of the server.
    pub(crate) pid: i32,
    /// True once the server accepts connections.
    pub(crate) ready: bool,
}

/// The path of the file in the cluster `data`.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

/// Reads such a file. `None` if it does not exist or has no process id.
pub(crate) fn read(file: &Path) -> Option<PidFile> {
    parse(&fs::read_to_string(file).ok()?)
}

/// The first line is the process id, negative for a server without a postmaster. The eighth is the
/// state, once there is one.
fn parse(text: &str) -> Option<PidFile> {
    let mut lines = text.lines();
    Some(PidFile {
        pid: lines
            .next()?
            .trim()
            .parse::<i32>()
            .ok()?
            .checked_abs()
            .filter(|pid| *pid != 0)?,
        ready: lines.nth(6).is_some_and(|state| state.trim() == "ready"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_its_eighth_line_says_so() {
        let ready = "123\n/data\n1700000000\n5432\n/socket\n\n 1 2\nready   \n";
        assert_eq!(
            parse(ready),
            Some(PidFile {
                pid: 123,
                ready: true
            })
        );
        let starting = "123\n/data\n1700000000\n5432\n/socket\n\n 1 2\nstarting\n";
        assert_eq!(
            parse(starting),
            Some(PidFile {
                pid: 123,
                ready: false
            })
        );
        assert_eq!(
            parse("-7\n/data\n"),
            Some(PidFile {
                pid: 7,
                ready: false
            })
        );
        // The remains of a power cut.
        for cut in ["", "\n", "0\n", "\0\0\0\0"] {
            assert_eq!(parse(cut), None, "{cut:?}");
        }
    }
}
