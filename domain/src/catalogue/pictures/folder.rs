//! The folder of pictures: `{business_id}/{picture_id}-{size}.jpg`.
//!
//! Each upload has an id of its own, so a file is written once, and deleted when nothing can need it any more. A file is
//! written under another name, synced and renamed: one with its own name is complete.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use entity::{BusinessId, PictureId, PictureSize};
use uuid::Uuid;

use crate::Error;

/// The age from which a file belongs to no upload that is under way.
const SETTLED_AFTER: Duration = Duration::from_secs(3600);

/// The end of the name of a file that is being written.
const UNFINISHED: &str = ".part";

#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder if it does not exist, and tries it.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let folder = Self(path.to_owned());
        let tried = folder.0.join(format!("try-{}", Uuid::now_v7()));
        let try_it = || {
            fs::create_dir_all(&folder.0)?;
            write(&tried, b"")?;
            fs::remove_file(&tried)
        };
        try_it().map_err(|error| unavailable(&folder.0, &error))?;
        Ok(folder)
    }

    fn of(&self, business: BusinessId) -> PathBuf {
        self.0.join(business.to_string())
    }

    /// Writes the files of a picture, and makes them durable.
    pub(super) async fn write(
        &self,
        business: BusinessId,
        id: PictureId,
        files: &[(PictureSize, Vec<u8>)],
    ) -> Result<(), Error> {
        let (folder, files) = (self.of(business), files.to_vec());
        let root = self.0.clone();
        blocking(self.of(business), move || {
            if !folder.is_dir() {
                fs::create_dir_all(&folder)?;
                sync(&root)?;
            }
            for (size, bytes) in &files {
                write(&folder.join(name(id, *size)), bytes)?;
            }
            sync(&folder)
        })
        .await
    }

    /// The file of a picture; `None` if it does not exist.
    pub(super) async fn read(
        &self,
        business: BusinessId,
        id: PictureId,
        size: PictureSize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let path = self.of(business).join(name(id, size));
        blocking(path.clone(), move || match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tracing::error!(path = %path.display(), "the file of a picture does not exist");
                Ok(None)
            }
            Err(error) => Err(error),
        })
        .await
    }

    /// Deletes the files of a picture. A file that stays is found by [`Folder::old_ids`] later.
    pub(super) async fn delete(&self, business: BusinessId, id: PictureId) {
        let folder = self.of(business);
        let deleted = blocking(folder.clone(), move || {
            let beginning = id.to_string();
            for (path, name) in entries(&folder)? {
                if name.starts_with(&beginning) {
                    remove(&path)?;
                }
            }
            Ok(())
        });
        if let Err(error) = deleted.await {
            tracing::warn!(%error, %business, picture = %id, "files of a picture were not deleted");
        }
    }

    /// The pictures of which there are files that were written an hour ago or earlier.
    pub(super) async fn old_ids(&self, business: BusinessId) -> Result<Vec<PictureId>, Error> {
        let folder = self.of(business);
        blocking(folder.clone(), move || {
            let mut ids = Vec::new();
            for (path, name) in entries(&folder)? {
                let id = name.get(..36).and_then(|id| id.parse().ok());
                if let Some(id) = id
                    && is_settled(&path)?
                {
                    ids.push(id);
                }
            }
            ids.sort_unstable();
            ids.dedup();
            Ok(ids)
        })
        .await
    }
}

fn name(id: PictureId, size: PictureSize) -> String {
    format!("{id}-{}.jpg", size.side())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The paths and names of the files in a folder; none if it does not exist.
fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let named = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        ))
    };
    entries.map(named).collect()
}

/// Removes a file. Another process may have removed it before.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_settled(path: &Path) -> io::Result<bool> {
    let written = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        found => found?.modified()?,
    };
    let age = SystemTime::now().duration_since(written);
    Ok(age.is_ok_and(|age| age >= SETTLED_AFTER))
}

/// Runs work on files on a thread that serves no requests. `path` is for the error.
async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work);
    let done = done.await.map_err(|panic| Error::Bug(panic.to_string()))?;
    done.map_err(|error| unavailable(&path, &error))
}

fn unavailable(path: &Path, error: &io::Error) -> Error {
    Error::PicturesUnavailable(format!("{}: {error}", path.display()))
}
