//! These tests check the limits on clients' connections: their speed, the size of their requests, and their number.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES};
use tests::{Database, SERVICE, Service, settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::http::limits::limited;

async fn connect(service: &Service) -> TcpStream {
    let address: SocketAddr = service.base.trim_start_matches("http://").parse().unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// Time limit for a reaction that should come within a few seconds. A busy machine needs longer, and a reaction that
/// never comes still fails the test.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads until the other side closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(CLOSE_TIMEOUT, stream.read_to_end(&mut answer)).await;
    assert!(
        closed.is_ok(),
        "the connection is still open after {CLOSE_TIMEOUT:?}"
    );
    String::from_utf8_lossy(&answer).into_owned()
}

/// Writes a byte every 100 ms until the other side closes. Returns the response.
async fn trickle(stream: TcpStream, bytes: &'static str) -> String {
    let (mut read, mut write) = stream.into_split();
    let writer = tokio::spawn(async move {
        for byte in bytes.bytes().cycle() {
            if write.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(CLOSE_TIMEOUT, read.read_to_end(&mut answer)).await;
    writer.abort();
    assert!(
        closed.is_ok(),
        "the connection is still open after {CLOSE_TIMEOUT:?}"
    );
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_trickles_in_is_cut_off() {
    let head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ";
    let service = limited(|limits| limits.request_seconds = 1).await;
    let mut stream = connect(&service).await;
    stream.write_all(head).await.unwrap();
    let answer = trickle(stream, "x").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
        "{answer}"
    );
    // A connection that sends nothing is closed too.
    let mut stream = connect(&service).await;
    let _ = until_closed(&mut stream).await;
    // The limit comes from the setting: with 60 seconds, a head that takes two seconds is accepted.
    let patient = limited(|limits| limits.request_seconds = 60).await;
    let mut stream = connect(&patient).await;
    stream.write_all(head).await.unwrap();
    for _ in 0..20 {
        stream.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stream.write_all(b"\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_in_is_cut_off_and_does_nothing() {
    let service = limited(|limits| {
        limits.request_seconds = 1;
        limits.idle_seconds = 2;
    })
    .await;
    let token = service.admin().token().to_owned();
    let before = service.database.digest().await;
    for length in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut stream = connect(&service).await;
        let head = format!(
            "POST /api/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let bytes = match length.starts_with('C') {
            true => " ",
            false => "1\r\n \r\n",
        };
        let answer = trickle(stream, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{length}: {answer}");
        assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_head_or_a_body_that_nobody_reads_may_not_trickle_in_for_ever() {
    let service = limited(|limits| {
        limits.request_seconds = 1;
        limits.idle_seconds = 2;
    })
    .await;
    let answered = "GET /healthz HTTP/1.1\r\nHost: x\r\n";
    for (start, bytes) in [
        (format!("{answered}\r\nGET /healthz HTTP/1.1\r\nX: "), "x"),
        (
            format!("{answered}Transfer-Encoding: chunked\r\n\r\n"),
            "1\r\n \r\n",
        ),
        (format!("{answered}Content-Length: 100000\r\n\r\n"), "x"),
    ] {
        let mut stream = connect(&service).await;
        stream.write_all(start.as_bytes()).await.unwrap();
        let answer = trickle(stream, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{start}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_not_ended_while_its_request_is_in_the_works() {
    let service = limited(|limits| {
        limits.request_seconds = 1;
        limits.idle_seconds = 1;
    })
    .await;
    // The lock is held longer than both limits together. It is shorter than a transaction waits for a lock in all its
    // attempts.
    let sql = format!("SELECT FROM customers WHERE id = '{ACME_CUSTOMER}' FOR UPDATE");
    let held = service.database.hold(&sql).await;
    let admin = service.admin();
    let buying = tokio::spawn(async move { admin.buy(&[(ACME_HEADPHONES, 1)]).await });
    tokio::time::sleep(Duration::from_secs(4)).await;
    held.release().await;
    assert_eq!(buying.await.unwrap().status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_rests_is_closed() {
    let service = limited(|limits| limits.idle_seconds = 1).await;
    let mut stream = connect(&service).await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_beyond_its_size_or_number_of_headers_is_refused() {
    let service = Service::start().await;
    let get = async |headers: String| {
        let mut stream = connect(&service).await;
        let head =
            format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        // The service may respond and close before all of the head is written, so the write may fail.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let headers = |count: usize| {
        (0..count)
            .map(|n| format!("X-{n}: 1\r\n"))
            .collect::<String>()
    };
    assert!(get(headers(94)).await.starts_with("HTTP/1.1 200 "));
    let answer = get(headers(95)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let long = |bytes: usize| format!("X: {}\r\n", "x".repeat(bytes));
    assert!(get(long(100_000)).await.starts_with("HTTP/1.1 200 "));
    let answer = get(long(300_000)).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert_eq!(service.nobody().get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_wait_until_one_ends() {
    let mut settings = settings();
    settings.workers = Some(1);
    settings.limits.clients = 3;
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    let service = Service::with(database, &url, &settings).await;
    let ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let answered = async |stream: &mut TcpStream, within: Duration| {
        let mut some = [0; 12];
        let read = stream.read_exact(&mut some);
        let read = tokio::time::timeout(within, read).await;
        read.is_ok_and(|read| read.is_ok() && &some == b"HTTP/1.1 200")
    };
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&service).await;
        stream.write_all(ask).await.unwrap();
        assert!(answered(&mut stream, CLOSE_TIMEOUT).await);
        streams.push(stream);
    }
    let mut fourth = connect(&service).await;
    fourth.write_all(ask).await.unwrap();
    let soon = Duration::from_millis(700);
    assert!(
        !answered(&mut fourth, soon).await,
        "three connections are the limit"
    );
    drop(streams);
    let served = answered(&mut fourth, CLOSE_TIMEOUT).await;
    assert!(served, "the fourth is served once a connection is free");
}

/// Requests a table of some megabytes with a receive buffer of `room` bytes, and reads only the beginning.
async fn ask_for_a_long_table(service: &Service, room: u32) -> TcpStream {
    let sql = format!(
        "INSERT INTO customers (business_id, id, name, credit_limit)
         SELECT '{ACME}', gen_random_uuid(), repeat('long name ', 15) || n, 0 FROM generate_series(1, 30000) AS n;
         INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, due_at, created_by,
                             created_at)
         SELECT business_id, gen_random_uuid(), id, 'approved', 'credit', 5, '2024-02-01', id, '2024-01-01'
           FROM customers WHERE name LIKE 'long name %';
         ANALYZE customers, orders"
    );
    service.database.execute(&sql).await;
    let address: SocketAddr = service.base.trim_start_matches("http://").parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(room).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let head = format!(
        "GET /api/customers/overdue?days=30 HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\nAuthorization: Bearer {}\r\n\r\n",
        service.admin().token()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut beginning = [0; 12];
    stream.read_exact(&mut beginning).await.unwrap();
    let beginning = String::from_utf8_lossy(&beginning);
    assert_eq!(beginning, "HTTP/1.1 200");
    stream
}

/// The end of a complete chunked response.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_a_long_answer_is_cut_off_and_a_slow_one_gets_all_of_it() {
    let service = limited(|limits| {
        limits.request_seconds = 1;
        limits.idle_seconds = 3;
    })
    .await;
    let mut deaf = ask_for_a_long_table(&service, 4096).await;
    // This is far longer than the three seconds after which the connection is closed.
    tokio::time::sleep(Duration::from_secs(12)).await;
    // Bytes in flight can still be read; then the response breaks off.
    let mut rest = Vec::new();
    let read = tokio::time::timeout(CLOSE_TIMEOUT, deaf.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "the connection is still open");
    assert!(!rest.ends_with(LAST_CHUNK), "{} bytes", rest.len());

    let mut slow = ask_for_a_long_table(&service, 64 * 1024).await;
    let (began, mut rest, mut some) = (Instant::now(), Vec::new(), vec![0; 64 * 1024]);
    while !rest.ends_with(LAST_CHUNK) {
        let read = slow.read(&mut some).await.unwrap();
        assert!(read > 0, "the response ended after {} bytes", rest.len());
        rest.extend_from_slice(&some[..read]);
        // The client reads slowly for longer than a connection may be idle.
        if began.elapsed() < Duration::from_secs(6) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(rest.len() > 4_000_000, "{}", rest.len());
}

/// Sends a request as raw text and reads until the other side closes.
async fn answer_to(service: &Service, request: &str) -> String {
    let mut stream = connect(service).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    until_closed(&mut stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_announces_too_much_is_refused_before_it_is_asked_for() {
    let service = Service::start().await;
    let token = service.admin().token().to_owned();
    let head = format!(
        "POST /api/purchase HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Request-Id: big\r\n\
         Expect: 100-continue\r\n"
    );
    let answer = answer_to(&service, &format!("{head}Content-Length: 262145\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    for expected in [
        "\"code\":\"payload_too_large\"",
        "\"request_id\":\"big\"",
        "x-request-id: big",
        "application/problem+json",
        "x-content-type-options: nosniff",
    ] {
        assert!(answer.contains(expected), "{expected} in {answer}");
    }
    // A body of an allowed size is requested with 100 Continue and then validated.
    let mut stream = connect(&service).await;
    let head = format!("{head}Connection: close\r\nContent-Length: 2\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut leave = [0; 25];
    stream.read_exact(&mut leave).await.unwrap();
    assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_would_upgrade_its_connection_is_answered_and_is_the_last_on_it() {
    let service = Service::start().await;
    let token = service.admin().token().to_owned();
    let body = format!(
        r#"{{"customer_id": "{ACME_CUSTOMER}", "items": [{{"product_id": "{ACME_HEADPHONES}", "quantity": 1}}]}}"#
    );
    for upgrade in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "Upgrade: websocket",
    ] {
        let head = format!("Host: x\r\nAuthorization: Bearer {token}\r\n{upgrade}\r\n");
        let get = format!("GET /api/orders HTTP/1.1\r\n{head}\r\n");
        let answer = answer_to(&service, &get).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{upgrade}: {answer}");
        assert!(answer.contains("connection: close"), "{upgrade}: {answer}");
        let length = body.len();
        let post =
            format!("POST /api/purchase HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}");
        let answer = answer_to(&service, &post).await;
        assert!(answer.starts_with("HTTP/1.1 201 "), "{upgrade}: {answer}");
        // Text after the request is not treated as a part of it.
        let answer = answer_to(&service, &format!("{post}{get}")).await;
        assert!(answer.starts_with("HTTP/1.1 201 "), "{upgrade}: {answer}");
    }
    assert_eq!(service.orders().await, 6);
}
