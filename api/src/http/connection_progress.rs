//! Ends connections on which nothing comes of what the client sends.
//!
//! The framework bounds the first request's head and the rest between requests, but a client that has been answered
//! once may send the next head, or what is left of a body, a byte a minute for ever. So each connection is told when a
//! request is in the works, and a watch on each worker's thread ends those without one for too long. That also bounds
//! how long a client may take to read an answer of known size. A handler whose answer is a stream must say so too, with
//! [`Watched`], whenever it makes a part of it: then the bound is for each part.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use actix_web::dev::{Extensions, Payload, ServiceRequest};
use actix_web::{FromRequest, HttpRequest, rt};

/// How often a worker looks at its connections.
const LOOK_EVERY: Duration = Duration::from_secs(1);

thread_local! {
    /// The connections of this worker.
    static CONNECTIONS: RefCell<Vec<Weak<Connection>>> = const { RefCell::new(Vec::new()) };
}

/// A connection, as long as it is open.
#[derive(Debug)]
struct Connection {
    /// A second handle of the socket, to end it with.
    socket: TcpStream,
    requests: Cell<u32>,
    since: Cell<Instant>,
}

/// For each new connection: has it watched.
pub fn watch(stream: &rt::net::TcpStream, data: &mut Extensions) {
    let socket = match stream.as_fd().try_clone_to_owned() {
        Ok(socket) => TcpStream::from(socket),
        Err(error) => {
            tracing::warn!(%error, "a connection is not watched");
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

/// Starts the watch of this worker: without a request for so long, a connection is ended.
pub fn start(limit: Duration) {
    rt::spawn(async move {
        loop {
            rt::time::sleep(LOOK_EVERY).await;
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
            // It may be gone already, which is all that is wanted.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

/// A request is in the works, until this is dropped.
#[derive(Debug)]
pub struct Busy(Option<Rc<Connection>>);

impl Busy {
    /// Says so to the request's connection.
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

/// The connection of a request whose answer is made part by part.
#[derive(Debug)]
pub struct Watched(Option<Rc<Connection>>);

impl Watched {
    /// A part is in the works, until this is dropped.
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
