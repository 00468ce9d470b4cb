//! Ends connections on which nothing comes of what the client sends.
//!
//! The framework bounds the first request's head and the rest between requests, but a client that has been answered
//! once may send the next head, or what is left of a body, a byte a minute for ever. So each connection is told when a
//! request is in the works, and a watch on each worker's thread ends those without one for too long. That also bounds
//! how long a client may take to read an answer of known size. A handler whose answer is a stream must keep its
//! [`Busy`] in the stream.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::rt;

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

/// For [`actix_web::HttpServer::on_connect`]: has the connection watched.
pub fn watch(stream: &dyn Any, data: &mut Extensions) {
    let Some(stream) = stream.downcast_ref::<rt::net::TcpStream>() else {
        return;
    };
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
        let connection = req.conn_data::<Rc<Connection>>().cloned();
        if let Some(connection) = &connection {
            connection.requests.set(connection.requests.get() + 1);
        }
        Self(connection)
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
