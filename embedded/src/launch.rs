//! Start of the server on its cluster, until it accepts connections.

use crate::account::Account;
use crate::guard::{Guard, Signal};
use crate::home::Home;
use crate::log::Log;
use crate::programs::Programs;
use crate::sweeper::Sweeper;
use crate::{Error, files, leftover, pid_file, socket};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// The limit for the server to accept connections. Recovery after a crash takes the longest.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The interval at which the server's state is read.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The pause before the second attempt.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Admits everyone who reaches the socket, and nobody else.
const ACCESS_LIST: &str =
    "# Written at each start. The socket's folder decides who may connect.\nlocal all all trust\n";

/// The parts of one start.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) home: &'a Home,
    pub(crate) account: &'a Account,
    pub(crate) programs: &'a Programs,
    pub(crate) socket: &'a Path,
    pub(crate) settings: &'a [(String, String)],
    /// `Some` for scratch servers only.
    pub(crate) sweeper: Option<&'a Sweeper>,
}

/// The outcome of waiting for the server.
enum Outcome {
    Ready,
    Died(ExitStatus),
    NotReady,
}

impl Launch<'_> {
    /// Starts the server and waits until it is ready.
    ///
    /// A server that exits at once gets a second attempt. The server of a killed parent may have
    /// been about to write its `postmaster.pid`, or its last children may still have been running.
    pub(crate) async fn run(&self) -> Result<(Child, Guard), Error> {
        let access_list = self.home.access_list();
        fs::write(&access_list, ACCESS_LIST).map_err(Error::io("write", &access_list))?;
        files::set_mode(&access_list, 0o644)?;
        match self.attempt().await {
            Err(Error::Died { tail, .. }) => {
                tracing::warn!(
                    log = tail,
                    "the database server ended at once, trying again"
                );
                sleep(RETRY_DELAY).await;
                self.attempt().await
            }
            outcome => outcome,
        }
    }

    async fn attempt(&self) -> Result<(Child, Guard), Error> {
        leftover::clear(&self.home.data(), self.socket, self.account).await?;
        let log = Log::open(self.home.log())?;
        let (mut child, guard) = self.spawn(&log)?;
        match self.wait(&mut child).await? {
            Outcome::Ready => Ok((child, guard)),
            Outcome::Died(status) => {
                guard.release();
                Err(Error::Died {
                    status,
                    log: log.path().to_owned(),
                    tail: log.tail(),
                })
            }
            Outcome::NotReady => Err(Error::NotReady {
                seconds: READY_TIMEOUT.as_secs(),
                log: log.path().to_owned(),
                tail: log.tail(),
            }),
        }
    }

    fn spawn(&self, log: &Log) -> Result<(Child, Guard), Error> {
        let program = self.programs.path("postgres");
        let (mut command, guard) = Guard::command(self.account, self.signal(), &program)?;
        command.arg("-D").arg(self.home.data()).args(self.options());
        let stdout = self
            .sweeper
            .map_or_else(|| Ok(Stdio::null()), Sweeper::stdout)?;
        command.stdout(stdout).stderr(log.handle()?);
        let child = Command::from(command)
            .spawn()
            .map_err(Error::io("run", &program))?;
        Ok((child, guard))
    }

    fn signal(&self) -> Signal {
        if self.sweeper.is_some() {
            Signal::Quit
        } else {
            Signal::Int
        }
    }

    /// The command line: defaults, then the parent's settings, then the settings that must not
    /// change. PostgreSQL uses the last of several equal names.
    fn options(&self) -> Vec<OsString> {
        let mut access_list = OsString::from("hba_file=");
        access_list.push(self.home.access_list());
        let given = self
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}").into());
        let mut settings: Vec<OsString> = vec!["timezone=UTC".into(), "log_timezone=UTC".into()];
        settings.extend(given);
        settings.extend([
            access_list,
            "listen_addresses=".into(),
            format!("port={}", socket::PORT).into(),
            format!("unix_socket_directories={}", socket::setting(self.socket)).into(),
            "log_destination=stderr".into(),
            "logging_collector=off".into(),
        ]);
        settings
            .into_iter()
            .flat_map(|setting| ["-c".into(), setting])
            .collect()
    }

    async fn wait(&self, child: &mut Child) -> Result<Outcome, Error> {
        let data = self.home.data();
        let pid_file = pid_file::path(&data);
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let deadline = Instant::now() + READY_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = child
                .try_wait()
                .map_err(Error::io("wait for the server on", &data))?
            {
                return Ok(Outcome::Died(status));
            }
            if pid_file::read(&pid_file).is_some_and(|file| file.ready && Some(file.pid) == pid) {
                return Ok(Outcome::Ready);
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(Outcome::NotReady)
    }
}
