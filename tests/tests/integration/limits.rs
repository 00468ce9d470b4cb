//! What one client may take: rates, slowness, sizes, connections, and what its browser is told.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, GLOBEX};
use entity::UserId;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::{Client, Database, Reply, Route, SERVICE, Service, settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tradeline::config::LimitSettings;

/// A service with limits: rates that nothing in a test reaches, but for those that it sets.
async fn limited(set: impl FnOnce(&mut LimitSettings)) -> Service {
    let mut settings = settings();
    settings.limits.rate_limit = "100000/h".parse().unwrap();
    settings.limits.rate_limit_address = "100000/h".parse().unwrap();
    settings.limits.rate_limit_login = "100000/h".parse().unwrap();
    settings.limits.rate_limit_account = "100000/h".parse().unwrap();
    set(&mut settings.limits);
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    Service::with(database, &url, &settings).await
}

async fn login(client: &Client, business: &str, email: &str) -> Reply {
    let body = json!({"business": business, "email": email, "password": "wrong one"});
    client.post("/api/auth/login", &body).await
}

/// A refusal for too many requests, which says when to come back.
#[track_caller]
fn assert_limited(reply: &Reply) -> u64 {
    let body = reply.refused(429, "rate_limited");
    assert!(body["detail"].is_string());
    let seconds = reply.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    seconds
}

/// How many of this many requests are let through.
async fn let_through(count: usize, mut send: impl AsyncFnMut() -> Reply) -> usize {
    let mut passed = 0;
    for _ in 0..count {
        match send().await {
            reply if reply.status == 429 => {
                assert_limited(&reply);
            }
            _ => passed += 1,
        }
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_gets_its_rate_and_no_other_pays_for_it() {
    let service = limited(|limits| limits.rate_limit = "5/h".parse().unwrap()).await;
    let busy = service.admin();
    assert_eq!(
        let_through(8, async || busy.get("/api/orders").await).await,
        5
    );
    // Whatever it asks for, what it may not and what is not there too: the credential comes first.
    for path in [
        "/api/auth/me",
        "/api/orders?typo=1",
        "/api/customers/nonsense",
    ] {
        assert_limited(&busy.get(path).await);
    }
    // Others at the same address, the same user of another business, and those who bring none.
    assert_eq!(service.admin().get("/api/orders").await.status, 200);
    let user = UserId::new();
    let (here, there) = (
        service.caller_as(user, ACME, Authority::Admin),
        service.caller_as(user, GLOBEX, Authority::Admin),
    );
    assert_eq!(
        let_through(6, async || here.get("/api/orders").await).await,
        5
    );
    assert_eq!(there.get("/api/orders").await.status, 200);
    let visitor = service.nobody().get("/api/products?business=acme").await;
    assert_eq!(visitor.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_has_a_rate_like_every_credential_and_what_it_may_not_do_counts_too() {
    let service = limited(|limits| {
        limits.rate_limit = "5/h".parse().unwrap();
        limits.rate_limit_address = "1/h".parse().unwrap();
    })
    .await;
    // The address has had its share, which is not the platform's.
    let nobody = service.nobody();
    assert_eq!(nobody.get("/api/orders").await.status, 401);
    assert_limited(&nobody.get("/api/orders").await);
    let platform = service.platform();
    let mut turn = 0;
    let passed = let_through(8, async || {
        turn += 1;
        match turn % 2 {
            0 => platform.post("/api/businesses", &json!({})).await,
            _ => platform.get("/api/orders").await,
        }
    })
    .await;
    assert_eq!(passed, 5);
    // Who is not the platform pays for asking to be.
    let admin = service.admin();
    let tries = async || admin.post("/api/businesses", &json!({})).await;
    assert_eq!(let_through(8, tries).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_as_long_as_it_was_told_is_served() {
    let service = limited(|limits| limits.rate_limit = "2/s".parse().unwrap()).await;
    let client = service.admin();
    let mut refusals = 0;
    for _ in 0..12 {
        let reply = client.get("/api/auth/me").await;
        if reply.status != 429 {
            continue;
        }
        refusals += 1;
        let wait = assert_limited(&reply);
        assert_eq!(wait, 1);
        tokio::time::sleep(Duration::from_secs(wait)).await;
        assert_eq!(client.get("/api/auth/me").await.status, 200);
        if refusals == 2 {
            break;
        }
    }
    assert_eq!(refusals, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_does_nothing() {
    let service = limited(|limits| limits.rate_limit = "1/h".parse().unwrap()).await;
    let client = service.admin();
    assert_eq!(client.buy(&[(ACME_HEADPHONES, 1)]).await.status, 201);
    let before = service.database.digest().await;
    assert_limited(&client.buy(&[(ACME_HEADPHONES, 1)]).await);
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_credential_the_address_gets_its_rate_on_every_path() {
    let service = limited(|limits| limits.rate_limit_address = "12/h".parse().unwrap()).await;
    let nobody = service.nobody();
    let forged = service.bearer("forged");
    let mut turn = 0;
    let passed = let_through(16, async || {
        turn += 1;
        match turn % 6 {
            0 => nobody.get("/api/products?business=acme").await,
            1 => nobody.get("/api/products?business=initech").await,
            2 => nobody.get("/api/orders").await,
            3 => forged.get("/api/orders").await,
            4 => nobody.get("/api/there/is/no/such/path").await,
            _ => nobody.get("/openapi.json").await,
        }
    })
    .await;
    assert_eq!(passed, 12);
    assert_limited(&forged.get("/api/orders").await);
    assert_limited(&nobody.get("/docs/").await);
    assert_limited(&nobody.get("/").await);
    // A good credential is not refused for what others do at its address.
    assert_eq!(service.staff().get("/api/orders").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_never_limited() {
    let service = limited(|limits| limits.rate_limit_address = "1/h".parse().unwrap()).await;
    let nobody = service.nobody();
    assert_eq!(nobody.get("/openapi.json").await.status, 200);
    assert_limited(&nobody.get("/openapi.json").await);
    for _ in 0..5 {
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(nobody.get(path).await.status, 200, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_from_one_address_have_a_tighter_limit_of_their_own() {
    let service = limited(|limits| limits.rate_limit_login = "4/h".parse().unwrap()).await;
    let nobody = service.nobody();
    let mut number = 0;
    let passed = let_through(7, async || {
        number += 1;
        login(&nobody, "acme", &format!("user{number}@example.com")).await
    })
    .await;
    assert_eq!(passed, 4);
    // Not what is malformed either: it may be tried as often as what is well-formed.
    let garbage = nobody.request(Method::POST, "/api/auth/login").body("{");
    assert_limited(&nobody.send(garbage).await);
    let reply = nobody.get("/api/products?business=acme").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_is_one_however_its_name_is_written_and_whether_or_not_it_exists() {
    let service = limited(|limits| limits.rate_limit_account = "3/h".parse().unwrap()).await;
    let nobody = service.nobody();
    for email in ["admin@example.com", "nobody@example.com"] {
        let mut spellings = [
            email.to_owned(),
            email.to_uppercase(),
            email.replace('a', "A"),
            email.to_owned(),
        ]
        .into_iter();
        let passed = let_through(4, async || {
            login(&nobody, "acme", &spellings.next().unwrap()).await
        })
        .await;
        assert_eq!(passed, 3, "{email}");
    }
    let id = ACME.to_string();
    let mut spellings = [
        id.clone(),
        id.to_uppercase(),
        id.replace('-', ""),
        format!("{{{id}}}"),
        format!("urn:uuid:{id}"),
    ]
    .into_iter();
    let passed = let_through(5, async || {
        login(&nobody, &spellings.next().unwrap(), "customer@example.com").await
    })
    .await;
    assert_eq!(passed, 3);
    // The right password does not help either, and another account is another.
    let right = json!({"business": "acme", "email": "admin@example.com", "password": "admin123"});
    assert_limited(&nobody.post("/api/auth/login", &right).await);
    let other =
        json!({"business": "globex", "email": "admin@globex.example", "password": "admin123"});
    assert_eq!(nobody.post("/api/auth/login", &other).await.status, 200);
}

fn from(request: RequestBuilder, addresses: &str) -> RequestBuilder {
    request.header("x-forwarded-for", addresses)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_address_counts_only_when_a_trusted_proxy_says_it() {
    let service = limited(|limits| limits.rate_limit_address = "2/h".parse().unwrap()).await;
    let nobody = service.nobody();
    let get = || nobody.request(Method::GET, "/openapi.json");
    let mut number = 0;
    let passed = let_through(4, async || {
        number += 1;
        nobody.send(from(get(), &format!("192.0.2.{number}"))).await
    })
    .await;
    assert_eq!(passed, 2, "who is not trusted cannot choose its address");

    let service = limited(|limits| {
        limits.rate_limit_address = "2/h".parse().unwrap();
        limits.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let nobody = service.nobody();
    let get = || nobody.request(Method::GET, "/openapi.json");
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8:1::1"] {
        let mut number = 0;
        let passed = let_through(4, async || {
            number += 1;
            // What the client itself wrote stands to the left of what the proxy adds.
            let said = format!("198.51.100.{number}, {client}");
            nobody.send(from(get(), &said)).await
        })
        .await;
        assert_eq!(passed, 2, "{client}");
    }
    let neighbour = from(get(), "2001:db8:1:0:ffff::7");
    assert_limited(&nobody.send(neighbour).await);
    let elsewhere = from(get(), "2001:db8:1:1::1");
    assert_eq!(nobody.send(elsewhere).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn off_is_off() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let admin = service.admin();
    for _ in 0..700 {
        assert_eq!(admin.get("/api/auth/me").await.status, 200);
        assert_eq!(nobody.get("/api/orders").await.status, 401);
    }
    for _ in 0..12 {
        let _ = login(&nobody, "acme", "admin@example.com")
            .await
            .refused(401, "invalid_credentials");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_documents_that_it_may_be_limited() {
    let service = Service::start().await;
    for route in Route::all(&service).await {
        let limited = &route.operation["responses"]["429"];
        assert_eq!(
            limited["x-codes"],
            json!(["rate_limited"]),
            "{}",
            route.name()
        );
        assert!(limited["headers"]["Retry-After"].is_object());
    }
}

async fn connect(service: &Service) -> TcpStream {
    let address: SocketAddr = service.base.trim_start_matches("http://").parse().unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// What comes until the other side closes, within this time.
async fn until_closed(stream: &mut TcpStream, within: Duration) -> String {
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(within, stream.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "it is still open after {within:?}");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Writes a byte each tenth of a second until the other side closes, within this time. What it has answered.
async fn trickle(stream: TcpStream, bytes: &'static str, within: Duration) -> String {
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
    let closed = tokio::time::timeout(within, read.read_to_end(&mut answer)).await;
    writer.abort();
    assert!(closed.is_ok(), "it is still open after {within:?}");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_trickles_in_is_cut_off() {
    let service = limited(|limits| limits.request_seconds = 1).await;
    let mut stream = connect(&service).await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nX: ")
        .await
        .unwrap();
    let started = Instant::now();
    let answer = trickle(stream, "x", Duration::from_secs(10)).await;
    assert!(started.elapsed() >= Duration::from_millis(900));
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
        "{answer}"
    );
    // Nor may a connection stay without a word.
    let mut stream = connect(&service).await;
    let _ = until_closed(&mut stream, Duration::from_secs(10)).await;
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
        let answer = trickle(stream, bytes, Duration::from_secs(15)).await;
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
        let answer = trickle(stream, bytes, Duration::from_secs(12)).await;
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
    // Longer than both together, and shorter than a transaction waits for its lock in all its attempts.
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
    let answer = until_closed(&mut stream, Duration::from_secs(10)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_beyond_its_size_or_number_of_headers_is_refused() {
    let service = Service::start().await;
    let get = async |headers: String| {
        let mut stream = connect(&service).await;
        let head =
            format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        // The answer may come, and the connection break, before all of it is written.
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
    let answered = async |stream: &mut TcpStream| {
        let mut some = [0; 12];
        let read = stream.read_exact(&mut some);
        let read = tokio::time::timeout(Duration::from_millis(700), read).await;
        read.is_ok_and(|read| read.is_ok() && &some == b"HTTP/1.1 200")
    };
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&service).await;
        stream.write_all(ask).await.unwrap();
        assert!(answered(&mut stream).await);
        streams.push(stream);
    }
    let mut fourth = connect(&service).await;
    fourth.write_all(ask).await.unwrap();
    assert!(!answered(&mut fourth).await, "three are the bound");
    drop(streams);
    let mut some = [0; 12];
    let read = tokio::time::timeout(Duration::from_secs(10), fourth.read_exact(&mut some)).await;
    assert!(read.is_ok(), "it is served as soon as there is room");
    assert_eq!(&some, b"HTTP/1.1 200");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_headers_that_keep_browsers_safe() {
    let service = limited(|limits| limits.rate_limit_login = "1/h".parse().unwrap()).await;
    let (nobody, admin) = (service.nobody(), service.admin());
    let answers = [
        ("/healthz", nobody.get("/healthz").await, 200),
        ("/openapi.json", nobody.get("/openapi.json").await, 200),
        ("/docs/", nobody.get("/docs/").await, 200),
        ("/nothing", nobody.get("/nothing").await, 404),
        ("/api/nothing", nobody.get("/api/nothing").await, 404),
        ("/api/orders", nobody.get("/api/orders").await, 401),
        ("/api/orders", admin.get("/api/orders").await, 200),
        (
            "/api/products",
            admin.post("/api/products", &json!({})).await,
            422,
        ),
        ("/api/auth/login", login(&nobody, "acme", "a@b").await, 401),
        ("/api/auth/login", login(&nobody, "acme", "a@b").await, 429),
    ];
    for (path, reply, status) in &answers {
        assert_eq!(reply.status, *status, "{path}: {}", reply.text);
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(
            policy.contains("script-src"),
            *path == "/docs/",
            "{path}: {policy}"
        );
        if path.starts_with("/api") {
            assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        }
        // The service speaks no TLS: who ends it says this.
        assert_eq!(reply.header("strict-transport-security"), "", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_document_needs_nothing_that_its_policy_forbids() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let page = nobody.get("/docs/").await;
    let inline = page.text.split("<script").skip(1).find(|tag| {
        let tag = tag.split("</script>").next().unwrap();
        !tag.contains("src=\"./")
    });
    assert_eq!(
        inline, None,
        "a script that is not a file of the page's own"
    );
    assert!(!page.text.contains("=\"http"), "{}", page.text);
    for file in [
        "swagger-ui-bundle.js",
        "swagger-initializer.js",
        "swagger-ui.css",
    ] {
        let reply = nobody.get(&format!("/docs/{file}")).await;
        assert_eq!(reply.status, 200, "{file}");
        // With `nosniff`, a browser runs what says that it is a script and nothing else.
        let kind = reply.header("content-type");
        assert!(
            kind.contains("javascript") || kind.contains("css"),
            "{file}: {kind}"
        );
    }
}

async fn preflight(service: &Service, origin: &str, headers: &str) -> Reply {
    let nobody = service.nobody();
    let request = nobody
        .request(Method::OPTIONS, "/api/purchase")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", headers);
    nobody.send(request).await
}

#[track_caller]
fn assert_nothing_for_other_origins(reply: &Reply) {
    let said: Vec<&str> = reply
        .headers
        .keys()
        .map(|name| name.as_str())
        .filter(|name| name.starts_with("access-control-allow"))
        .collect();
    assert!(
        !said.contains(&"access-control-allow-origin"),
        "{said:?} {}",
        reply.header("access-control-allow-origin")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_another_origin_may_call_unless_it_is_listed() {
    let service = Service::start().await;
    let origin = "https://shop.example";
    assert_nothing_for_other_origins(&preflight(&service, origin, "authorization").await);
    let admin = service.admin();
    let get = async |service: &Service, origin: &str| {
        let request = admin.at(service).request(Method::GET, "/api/orders");
        admin.send(request.header("origin", origin)).await
    };
    assert_nothing_for_other_origins(&get(&service, origin).await);

    let listed = limited(|limits| {
        limits.cors_origins = vec![
            origin.parse().unwrap(),
            "http://localhost:5173".parse().unwrap(),
        ];
    })
    .await;
    for origin in [origin, "http://localhost:5173"] {
        let headers = "authorization,content-type,idempotency-key,x-request-id,x-business-id";
        let reply = preflight(&listed, origin, headers).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("access-control-allow-origin"), origin);
        assert_eq!(reply.header("access-control-allow-credentials"), "");
        let reply = get(&listed, origin).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("access-control-allow-origin"), origin);
        assert_eq!(reply.header("access-control-allow-credentials"), "");
        assert!(reply.header("vary").to_lowercase().contains("origin"));
        let exposed = reply.header("access-control-expose-headers").to_lowercase();
        for header in [
            "location",
            "retry-after",
            "idempotency-replayed",
            "x-request-id",
        ] {
            assert!(exposed.contains(header), "{exposed}");
        }
        // A page must be able to read why it was refused.
        let request = listed.nobody().request(Method::GET, "/api/orders");
        let reply = admin.send(request.header("origin", origin)).await;
        let _ = reply.refused(401, "unauthenticated");
        assert_eq!(reply.header("access-control-allow-origin"), origin);
    }
    for other in [
        "https://evil.example",
        "http://shop.example",
        "https://shop.example.evil.example",
        "https://shop.example:8443",
        "null",
    ] {
        assert_nothing_for_other_origins(&preflight(&listed, other, "authorization").await);
        assert_nothing_for_other_origins(&get(&listed, other).await);
    }
}
