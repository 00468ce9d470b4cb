//! The server's log: one file of bounded size that PostgreSQL appends to, and its end for error
//! messages.

use crate::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// In bytes. A larger log is renamed to `*.log.old` at the next start and replaces the earlier one.
const MAX_BYTES: u64 = 10 * 1024 * 1024;

/// The length of the log's end that an error message shows, in bytes.
const TAIL_BYTES: u64 = 4096;

/// The log of one run of the server.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// The offset at which this run's lines begin, in bytes.
    start: u64,
}

impl Log {
    /// Opens the log at `path` for appending. Rotates it first if it exceeds [`MAX_BYTES`].
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        if fs::metadata(&path).is_ok_and(|found| found.len() > MAX_BYTES) {
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

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A handle for the server to write to.
    pub(crate) fn handle(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(Error::io("open", &self.path))
    }

    /// The last lines of this run, or why they cannot be read. It cannot fail, since its callers
    /// are building an error message.
    pub(crate) fn tail(&self) -> String {
        self.read_tail().unwrap_or_else(|error| error.to_string())
    }

    fn read_tail(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.path)?;
        let from = file
            .metadata()?
            .len()
            .saturating_sub(TAIL_BYTES)
            .max(self.start);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
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
        large.set_len(MAX_BYTES + 1).unwrap();
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
            MAX_BYTES + 1
        );

        let second = Log::open(path).unwrap();
        assert_eq!(second.tail(), "");
        second.handle().unwrap().write_all(b"second run\n").unwrap();
        assert_eq!(second.tail(), "second run");
    }
}
