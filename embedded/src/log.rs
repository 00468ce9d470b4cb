//! The server's log: one file that PostgreSQL appends to, kept from growing without bound, and its
//! end for error messages.

use crate::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A log of more bytes than this is put aside at the next start, in place of the one put aside
/// before.
const LARGEST: u64 = 10 * 1024 * 1024;

/// How much of the log an error message shows, in bytes.
const TAIL: u64 = 4096;

/// The log of one run of the server.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// Where this run's lines begin.
    start: u64,
}

impl Log {
    /// Opens the log at `path` for appending.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        if fs::metadata(&path).is_ok_and(|found| found.len() > LARGEST) {
            let old = path.with_extension("log.old");
            fs::rename(&path, &old).map_err(Error::io("rename", &path))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        let start = file.metadata().map_err(Error::io("look at", &path))?.len();
        Ok(Self { path, file, start })
    }

    /// The log's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A handle for the server to write to.
    pub(crate) fn handle(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(Error::io("open", &self.path))
    }

    /// The last lines of this run, or why they cannot be read: an error message is being made,
    /// which must not fail.
    pub(crate) fn tail(&self) -> String {
        self.read_tail().unwrap_or_else(|error| error.to_string())
    }

    fn read_tail(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.path)?;
        let from = file.metadata()?.len().saturating_sub(TAIL).max(self.start);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_large_log_is_put_aside_and_the_end_is_of_this_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        let large = File::create(&path).unwrap();
        large.set_len(LARGEST + 1).unwrap();
        Log::open(path.clone())
            .unwrap()
            .handle()
            .unwrap()
            .write_all(b"first run\n")
            .unwrap();
        assert_eq!(
            fs::metadata(folder.path().join("postgres.log.old"))
                .unwrap()
                .len(),
            LARGEST + 1
        );

        let second = Log::open(path).unwrap();
        assert_eq!(second.tail(), "");
        second.handle().unwrap().write_all(b"second run\n").unwrap();
        assert_eq!(second.tail(), "second run");
    }
}
