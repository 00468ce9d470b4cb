//! What can go wrong between the service and its database, at a chosen moment: a TCP proxy in front of the server's
//! Unix socket that reads along.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Database, PgBouncer, SERVICE};

/// What happens to the next commit that comes along, whosever it is. The connection is cut in each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The server commits, and its answer is lost.
    LoseAnswer,
    /// As that, and from then on the database cannot be reached.
    LoseAnswerAndGoDown,
    /// The server never hears of it.
    LoseCommit,
    /// As a pooler does: the server commits, its answer is lost, and the client is told so in these words.
    LoseAnswerAndSay(Saying),
    /// As a pooler does: the server never hears of it, and the client is told so in these words.
    LoseCommitAndSay(Saying),
}

/// An error in a pooler's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saying {
    pub severity: &'static str,
    pub code: &'static str,
    pub message: &'static str,
}

impl Saying {
    /// The message of the protocol.
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

/// A way to the database that can be cut.
pub struct Proxy {
    shared: Arc<Shared>,
    database: String,
    url: String,
    /// Between it and its clients, when the run is to be behind one.
    pooler: Option<PgBouncer>,
    /// Bound but not listening, so that nobody else gets the port while the proxy is down.
    _place: TcpSocket,
}

struct Shared {
    address: SocketAddr,
    socket: PathBuf,
    state: Mutex<State>,
    /// Changes when every connection is to end.
    cut: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// Accepts connections while the proxy is up.
    listener: Option<JoinHandle<()>>,
    /// What happens to the next commits, and how many of them are left.
    sabotage: Option<(Sabotage, usize)>,
    sabotaged: usize,
    commits: usize,
}

impl Proxy {
    /// A way to this database, for the service's role.
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

    /// The database's address by this way.
    #[must_use]
    pub fn url(&self) -> &str {
        self.pooler.as_ref().map_or(&self.url, PgBouncer::url)
    }

    /// Where a pooler reaches it: its port, and the name of the database.
    pub(crate) fn target(&self) -> (u16, &str) {
        (self.shared.address.port(), &self.database)
    }

    /// Cuts every connection and refuses new ones.
    pub async fn down(&self) {
        self.shared.down().await;
    }

    /// Cuts every connection; new ones are welcome.
    pub fn cut(&self) {
        self.shared.cut.send_replace(());
    }

    /// Accepts connections again.
    pub fn up(&self) {
        let listener = TcpSocket::new_v4().unwrap();
        listener.set_reuseaddr(true).unwrap();
        listener.bind(self.shared.address).unwrap();
        let listener = listener.listen(128).unwrap();
        let task = tokio::spawn(Arc::clone(&self.shared).accept(listener));
        self.shared.state.lock().unwrap().listener = Some(task);
    }

    /// Sabotages the next `times` commits.
    pub fn sabotage(&self, how: Sabotage, times: usize) {
        self.shared.state.lock().unwrap().sabotage = Some((how, times));
    }

    /// How many commits have come along.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.shared.state.lock().unwrap().commits
    }

    /// How many commits were sabotaged.
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
    /// Nobody gets in once this has returned, and nobody stays.
    async fn down(&self) {
        if let Some(listener) = self.close() {
            // A task that is aborted may still accept one more before it ends.
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

    /// Carries bytes both ways until one side ends or a commit is sabotaged.
    async fn carry(&self, client: TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let server = UnixStream::connect(&self.socket).await?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();

        // The first message has no type, only a length.
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
            // From here on nobody passes answers on.
            stop.send_replace(());
            let (mut from_server, mut to_client) = answers.await??;
            if !matches!(
                sabotage,
                Sabotage::LoseCommit | Sabotage::LoseCommitAndSay(_)
            ) {
                to_server.write_all(&message).await?;
                // The server says something only after it has committed.
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

/// The simple query `COMMIT`, which is how sqlx ends a transaction.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// One message of PostgreSQL's protocol: its type, the length of the rest, the rest.
async fn message(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut head = [0; 5];
    from.read_exact(&mut head).await?;
    let [_, length @ ..] = head;
    let mut message = head.to_vec();
    message.resize(head.len() + body_length(length), 0);
    from.read_exact(&mut message[head.len()..]).await?;
    Ok(message)
}

/// A length counts itself.
fn body_length(length: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(length)).unwrap() - length.len()
}
