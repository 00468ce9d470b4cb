//! A running server, from start to stop.

use crate::account::Account;
use crate::cluster;
use crate::guard::Guard;
use crate::home::Home;
use crate::launch::Launch;
use crate::lock::Lock;
use crate::programs::Programs;
use crate::sweeper::Sweeper;
use crate::{Error, socket};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::timeout;

/// The options of [`Server::start`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder for data, socket, log and lock. It is created if it is missing.
    pub folder: PathBuf,
    /// Settings of `postgresql.conf`, for example `("fsync", "off")` for tests. The address, the
    /// access list and the log's destination cannot be changed.
    pub settings: Vec<(String, String)>,
    /// For tests. The folder must be new or empty. It is deleted once the server is gone, even if
    /// this process is killed. The server is stopped without a checkpoint.
    pub scratch: bool,
}

/// A server that runs for as long as this value, and no longer than this process.
///
/// Dropping it stops the server too, but does not wait.
#[derive(Debug)]
pub struct Server {
    // Fields are dropped in this order: the server ends, then the scratch folder, then the lock.
    child: Child,
    guard: Option<Guard>,
    sweeper: Option<Sweeper>,
    _locks: Vec<Lock>,
    socket: PathBuf,
    data_folder: PathBuf,
    log_file: PathBuf,
}

impl Server {
    /// Starts the server, and creates its cluster first if there is none. On return, the server
    /// accepts connections.
    ///
    /// # Errors
    ///
    /// When another process runs a server on the folder, or no server programs are available. Also
    /// when the folder cannot be used, or when the server does not start.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let folder = open_folder(&settings)?;
        let mut locks = vec![Lock::take(&folder)?];
        let account = Account::for_cluster(&Home::entrance(&folder).join("data"))?;
        let home = Home::open(&folder, &account)?;
        if home.is_linked() {
            locks.push(Lock::take(home.path())?);
        }
        let socket = socket::prepare(&home, &account)?;
        let sweeper = settings
            .scratch
            .then(|| Sweeper::start(&[folder, home.path().to_owned(), socket.clone()]))
            .transpose()?;

        let data_folder = home.data();
        let major = cluster::major(&data_folder)?;
        let programs = Programs::find(&account, &data_folder, major)?;
        if major.is_none() {
            cluster::create(&home, &account, &programs, sweeper.as_ref()).await?;
        }
        let launch = Launch {
            home: &home,
            account: &account,
            programs: &programs,
            socket: &socket,
            settings: &settings.settings,
            sweeper: sweeper.as_ref(),
        };
        let (child, guard) = launch.run().await?;
        tracing::info!(pid = child.id(), data = %data_folder.display(), "the database server runs");
        Ok(Self {
            child,
            guard: Some(guard),
            sweeper,
            _locks: locks,
            socket,
            data_folder,
            log_file: home.log(),
        })
    }

    /// The address of `database` for `role`, as sqlx, libpq and psql accept it. The role `postgres`
    /// is the superuser, and the database `postgres` always exists.
    pub fn url(&self, role: &str, database: &str) -> String {
        socket::url(&self.socket, role, database)
    }

    /// The path of the cluster.
    pub fn data_folder(&self) -> &Path {
        &self.data_folder
    }

    /// The path of the server's log.
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// Returns when the server ends, which it does on its own only after a fault. The call can be
    /// cancelled and repeated.
    ///
    /// # Errors
    ///
    /// When the operating system refuses to wait.
    pub async fn exited(&mut self) -> Result<ExitStatus, Error> {
        let status = self.child.wait().await;
        if let Some(guard) = self.guard.take() {
            guard.release();
        }
        status.map_err(Error::io("wait for the server on", &self.data_folder))
    }

    /// Stops the server and waits until it is gone; a scratch server's folder is then deleted too.
    /// Clients are disconnected, and their open transactions are rolled back.
    ///
    /// # Errors
    ///
    /// When the operating system refuses to signal or wait.
    pub async fn stop(mut self) -> Result<(), Error> {
        // The fast shutdown writes a checkpoint, which may take long. Without one, the next start
        // recovers what was committed.
        let fast = (Signal::INT, Duration::from_secs(60));
        let immediate = (Signal::QUIT, Duration::from_secs(10));
        let steps = if self.sweeper.is_some() {
            vec![immediate]
        } else {
            vec![fast, immediate]
        };
        for (signal, limit) in steps {
            self.signal(signal)?;
            if let Ok(ended) = timeout(limit, self.exited()).await {
                ended?;
                break;
            }
            tracing::warn!(?signal, "the database server does not stop");
        }
        // Has no effect if the server is gone.
        self.signal(Signal::KILL)?;
        self.exited().await?;
        match self.sweeper.take() {
            Some(sweeper) => sweeper.finish().await,
            None => Ok(()),
        }
    }

    /// Signals the server, unless it is known to be gone.
    fn signal(&self, signal: Signal) -> Result<(), Error> {
        let pid = self
            .child
            .id()
            .and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        match pid {
            Some(pid) => kill_process(pid, signal).map_err(|error| {
                Error::io("signal the server on", &self.data_folder)(error.into())
            }),
            None => Ok(()),
        }
    }
}

/// The address of `database` for `role` in the server that already runs on `folder`, in this
/// process or another.
///
/// # Errors
///
/// When no server runs there, or when the current user may not reach it: only its user and root
/// may.
pub fn url_of(folder: &Path, role: &str, database: &str) -> Result<String, Error> {
    let reach = || {
        let socket = socket::find(&Home::find(folder)?);
        UnixStream::connect(socket::file(&socket))?;
        Ok(socket)
    };
    match reach() {
        Ok(socket) => Ok(socket::url(&socket, role, database)),
        Err(source) => Err(Error::NotRunning {
            folder: folder.to_owned(),
            source,
        }),
    }
}

/// Creates the folder if it is missing. Other users may pass through it only if the server will run
/// as another user.
fn open_folder(settings: &Settings) -> Result<PathBuf, Error> {
    let folder = &settings.folder;
    let mode = if rustix::process::geteuid().is_root() {
        0o711
    } else {
        0o700
    };
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(folder)
        .map_err(Error::io("create", folder))?;
    let folder = folder.canonicalize().map_err(Error::io("open", folder))?;
    if settings.scratch {
        let mut entries = folder.read_dir().map_err(Error::io("read", &folder))?;
        if entries.next().is_some() {
            return Err(Error::NotEmpty { folder });
        }
    }
    Ok(folder)
}
