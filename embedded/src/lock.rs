//! The lock that allows one server per folder.
//!
//! It is the operating system's lock on an open file. It ends with its process, so it is never
//! stale. Rust opens files close-on-exec, so the server's processes do not inherit it. A process
//! that is being started has a copy until it executes its program. Dropping the lock therefore
//! unlocks the file explicitly: closing it alone would not release it.

use crate::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

/// An exclusive lock on a folder, held for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Locks `folder` for this process. Fails with [`Error::InUse`] if another process holds the
    /// lock.
    pub(crate) fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)
                    .map_err(Error::io("read", &path))?;
                return Err(Error::InUse {
                    folder: folder.to_owned(),
                    pid: holder.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(Error::io("write", &path))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A failure is harmless: the file is closed next, which unlocks it a moment later at most.
        let _ = self.file.unlock();
    }
}
