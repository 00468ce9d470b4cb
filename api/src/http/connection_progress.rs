//! Closes connections on which the client makes no progress.
//!
//! The framework limits the time for the first request's head and between requests. After a first response, a client
//! could send the next head, or the rest of a body, at one byte per minute for ever. Each connection is therefore told
//! when a request is in progress. A task on each worker's thread closes connections that have had none for too long.
//!
//! This also limits how long a client may take to read a response of known size. A handler that streams its response
//! must mark each part as in progress with [`Watched`]. The limit then applies to each part.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use actix_web::dev::{Extensions, Payload, ServiceRequest};
use actix_web::{FromRequest, HttpRequest, rt};

/// The interval at which a worker checks its connections.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

thread_local! {
    /// The connections of this worker's thread.
    static CONNECTIONS: RefCell<Vec<Weak<Connection>>> = const { RefCell::new(Vec::new()) };
}

/// A connection while it is open.
#[derive(Debug)]
struct Connection {
    /// A second handle of the socket, used to close it.
    socket: TcpStream,
    requests: Cell<u32>,
    since: Cell<Instant>,
}

/// Registers a new connection.
pub fn watch(stream: &rt::net::TcpStream, data: &mut Extensions) {
    let socket = match stream.as_fd().try_clone_to_owned() {
        Ok(socket) => TcpStream::from(socket),
        Err(error) => {
            tracing::warn!(%error, "the progress of a connection cannot be observed");
            return;
        }
    };
    let connection = Rc::new(Connection {
        socket,
        requests: Cell::new(0),
        since: Cell::new(Instant::now()),
    });
    CONNECTIONS.with_borrow_mut(|all| all.push(Rc::downgrade(&connection)));
    data.insert(connection);
}

/// Starts this worker's task. It closes connections that have had no request for longer than `limit`.
pub fn start(limit: Duration) {
    rt::spawn(async move {
        loop {
            rt::time::sleep(CHECK_INTERVAL).await;
            CONNECTIONS.with_borrow_mut(|all| {
                all.retain(|connection| {
                    let connection = connection.upgrade();
                    if let Some(connection) = &connection {
                        connection.end_after(limit);
                    }
                    connection.is_some()
                });
            });
        }
    });
}

impl Connection {
    fn end_after(&self, limit: Duration) {
        if self.requests.get() == 0 && self.since.get().elapsed() > limit {
            // A failure means that the connection is closed already.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

/// Marks a request as in progress until it is dropped.
#[derive(Debug)]
pub struct Busy(Option<Rc<Connection>>);

impl Busy {
    /// Marks a request as in progress on its connection.
    #[must_use]
    pub fn with(req: &ServiceRequest) -> Self {
        Self::on(req.conn_data::<Rc<Connection>>().cloned())
    }

    fn on(connection: Option<Rc<Connection>>) -> Self {
        if let Some(connection) = &connection {
            connection.requests.set(connection.requests.get() + 1);
        }
        Self(connection)
    }
}

/// The connection of a request whose response is streamed.
#[derive(Debug)]
pub struct Watched(Option<Rc<Connection>>);

impl Watched {
    /// Marks a part of the response as in progress until the value is dropped.
    #[must_use]
    pub fn busy(&self) -> Busy {
        Busy::on(self.0.clone())
    }
}

impl FromRequest for Watched {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(req.conn_data::<Rc<Connection>>().cloned())))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection
                .requests
                .set(connection.requests.get().saturating_sub(1));
            connection.since.set(Instant::now());
        }
    }
}
