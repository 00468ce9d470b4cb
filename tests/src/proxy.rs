//! This module simulates faults between a service and its database at a chosen moment. A TCP proxy in front of the
//! server's Unix socket reads the messages and cuts connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Database, PgBouncer, SERVICE};

/// The fault at the next commit of any session. Every fault cuts the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The server commits, and its response is lost.
    LoseAnswer,
    /// The server commits, its response is lost, and the database is unreachable from then on.
    LoseAnswerAndGoDown,
    /// The commit never reaches the server.
    LoseCommit,
    /// The server commits, its response is lost, and the client receives this error instead, as from a pooler.
    LoseAnswerAndSay(Saying),
    /// The commit never reaches the server, and the client receives this error, as from a pooler.
    LoseCommitAndSay(Saying),
}

/// An error message as a pooler words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saying {
    pub severity: &'static str,
    pub code: &'static str,
    pub message: &'static str,
}

impl Saying {
    /// Encodes the error as an `ErrorResponse` of PostgreSQL's protocol.
    fn to_bytes(self) -> Vec<u8> {
        let mut fields = Vec::new();
        for (name, value) in [
            (b'S', self.severity),
            (b'V', self.severity),
            (b'C', self.code),
            (b'M', self.message),
        ] {
            fields.push(name);
            fields.extend_from_slice(value.as_bytes());
            fields.push(0);
        }
        fields.push(0);
        let length = u32::try_from(fields.len() + 4).unwrap();
        [&b"E"[..], &length.to_be_bytes(), &fields].concat()
    }
}

/// A route to the database that a test can cut.
pub struct Proxy {
    shared: Arc<Shared>,
    database: String,
    url: String,
    /// PgBouncer between the proxy and its clients, if the whole run uses one.
    pooler: Option<PgBouncer>,
    /// Bound but not listening, so that no other process takes the port while the proxy is down.
    _place: TcpSocket,
}

struct Shared {
    address: SocketAddr,
    socket: PathBuf,
    state: Mutex<State>,
    /// Signals every connection to end.
    cut: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// The task that accepts connections while the proxy is up.
    listener: Option<JoinHandle<()>>,
    /// The fault at the next commits, and the number of commits left.
    sabotage: Option<(Sabotage, usize)>,
    sabotaged: usize,
    commits: usize,
}

/// Slightly longer than the period at which background tasks look for work.
const BURST_PERIOD: Duration = Duration::from_millis(1200);

impl Proxy {
    /// Opens a route to this database for the service's role.
    pub async fn to(database: &Database) -> Self {
        let place = TcpSocket::new_v4().unwrap();
        place.set_reuseaddr(true).unwrap();
        place.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = place.local_addr().unwrap();
        let mut proxy = Self {
            database: database.name().to_owned(),
            url: format!(
                "postgres://{SERVICE}@{address}/{}?sslmode=disable",
                database.name()
            ),
            shared: Arc::new(Shared {
                address,
                socket: database.socket(),
                state: Mutex::default(),
                cut: watch::Sender::new(()),
            }),
            pooler: None,
            _place: place,
        };
        proxy.up();
        proxy.pooler = PgBouncer::if_wanted(&proxy).await;
        proxy
    }

    /// The database's URL through the proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        self.pooler.as_ref().map_or(&self.url, PgBouncer::url)
    }

    /// The proxy's port and the database's name, for a pooler in front of it.
    pub(crate) fn target(&self) -> (u16, &str) {
        (self.shared.address.port(), &self.database)
    }

    /// Cuts every connection and refuses new ones.
    pub async fn down(&self) {
        self.shared.down().await;
    }

    /// Cuts every connection; new ones are accepted.
    pub fn cut(&self) {
        self.shared.cut.send_replace(());
    }

    /// Accepts connections again after [`Proxy::down`].
    pub fn up(&self) {
        let listener = TcpSocket::new_v4().unwrap();
        listener.set_reuseaddr(true).unwrap();
        listener.bind(self.shared.address).unwrap();
        let listener = listener.listen(128).unwrap();
        let task = tokio::spawn(Arc::clone(&self.shared).accept(listener));
        self.shared.state.lock().unwrap().listener = Some(task);
    }

    /// Applies a fault to the next `times` commits.
    pub fn sabotage(&self, how: Sabotage, times: usize) {
        self.shared.state.lock().unwrap().sabotage = Some((how, times));
    }

    /// Waits for a moment at which no background task of the service is about to commit, so that the next commit is the
    /// test's. Background tasks commit in bursts, at most once a second.
    pub async fn between_commits(&self) {
        let mut seen = self.commits();
        let (mut quiet_since, mut had_burst) = (Instant::now(), false);
        while quiet_since.elapsed() < BURST_PERIOD {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = self.commits();
            if now != seen {
                (seen, quiet_since, had_burst) = (now, Instant::now(), true);
            } else if had_burst && quiet_since.elapsed() > Duration::from_millis(100) {
                return;
            }
        }
    }

    /// The number of commits seen so far.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.shared.state.lock().unwrap().commits
    }

    /// The number of commits that a fault was applied to.
    #[must_use]
    pub fn sabotaged(&self) -> usize {
        self.shared.state.lock().unwrap().sabotaged
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.close();
        self.cut();
    }
}

impl Shared {
    /// Ends every connection and accepts none after it has returned.
    async fn down(&self) {
        if let Some(listener) = self.close() {
            // An aborted task may still accept one connection before it ends, so this waits for its end.
            let _ = listener.await;
        }
        self.cut.send_replace(());
    }

    fn close(&self) -> Option<JoinHandle<()>> {
        let listener = self.state.lock().unwrap().listener.take();
        listener.inspect(JoinHandle::abort)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            let mut cut = self.cut.subscribe();
            let shared = Arc::clone(&self);
            tokio::spawn(async move {
                tokio::select! {
                    _ = cut.changed() => {}
                    _ = shared.carry(client) => {}
                }
            });
        }
    }

    /// Forwards bytes both ways until one side closes or a fault ends the connection.
    async fn carry(&self, client: TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let server = UnixStream::connect(&self.socket).await?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();

        // The startup message has no type, only a length.
        let mut length = [0; 4];
        from_client.read_exact(&mut length).await?;
        to_server.write_all(&length).await?;
        let mut rest = vec![0; body_length(length)];
        from_client.read_exact(&mut rest).await?;
        to_server.write_all(&rest).await?;

        let (stop, mut stopped) = watch::channel(());
        let mut answers = tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            loop {
                tokio::select! {
                    biased;
                    _ = stopped.changed() => return Ok((from_server, to_client)),
                    read = from_server.read(&mut buffer) => match read? {
                        0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                        length => to_client.write_all(&buffer[..length]).await?,
                    },
                }
            }
        });
        let guard = AbortOnDrop(answers.abort_handle());
        loop {
            let message = tokio::select! {
                message = message(&mut from_client) => message?,
                ended = &mut answers => {
                    let ended: std::io::Result<_> = ended?;
                    ended?;
                    return Ok(());
                }
            };
            if message != COMMIT {
                to_server.write_all(&message).await?;
                continue;
            }
            let Some(sabotage) = self.next_sabotage() else {
                to_server.write_all(&message).await?;
                continue;
            };
            // From here on the server's responses are no longer forwarded.
            stop.send_replace(());
            let (mut from_server, mut to_client) = answers.await??;
            if !matches!(
                sabotage,
                Sabotage::LoseCommit | Sabotage::LoseCommitAndSay(_)
            ) {
                to_server.write_all(&message).await?;
                // The server sends its first byte only after it has committed.
                from_server.read_u8().await?;
            }
            match sabotage {
                Sabotage::LoseAnswerAndSay(saying) | Sabotage::LoseCommitAndSay(saying) => {
                    to_client.write_all(&saying.to_bytes()).await?;
                }
                Sabotage::LoseAnswerAndGoDown => self.down().await,
                Sabotage::LoseAnswer | Sabotage::LoseCommit => {}
            }
            drop(guard);
            return Ok(());
        }
    }

    fn next_sabotage(&self) -> Option<Sabotage> {
        let mut state = self.state.lock().unwrap();
        state.commits += 1;
        let (how, times) = state.sabotage?;
        let left = times.checked_sub(1)?;
        state.sabotage = Some((how, left));
        state.sabotaged += 1;
        Some(how)
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The simple query `COMMIT`, with which sqlx ends a transaction.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// Reads one message of PostgreSQL's protocol: a type, the length of the rest, the rest.
async fn message(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut head = [0; 5];
    from.read_exact(&mut head).await?;
    let [_, length @ ..] = head;
    let mut message = head.to_vec();
    message.resize(head.len() + body_length(length), 0);
    from.read_exact(&mut message[head.len()..]).await?;
    Ok(message)
}

/// The bytes after a length field, which counts itself.
fn body_length(length: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(length)).unwrap() - length.len()
}
