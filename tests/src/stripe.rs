//! This module holds a Stripe for tests: the third-party program localstripe behind a gateway that adds what it lacks.
//! The gateway stores responses by `Idempotency-Key`, as Stripe does, records requests, and fails on demand.
//!
//! The Python packages are installed into the build folder on first use.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use domain::Secret;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, Url};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tradeline::config::Settings;

/// The packages to install: localstripe, and Stripe's own library, which makes and verifies signatures.
const PACKAGES: [&str; 2] = ["localstripe==1.15.10", "stripe==16.1.0"];
/// Pinned versions of the packages' dependencies.
const CONSTRAINTS: &str = include_str!("../constraints.txt");

/// The secret key of the Stripe account.
pub const SECRET_KEY: &str = "sk_test_that_only_the_tests_know";
/// The publishable key of the account.
pub const PUBLISHABLE_KEY: &str = "pk_test_that_everybody_knows";
/// The secret that signs the account's webhooks.
pub const WEBHOOK_SECRET: &str = "whsec_that_only_the_tests_know";

/// Path of the Python interpreter that has the packages.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    // The build folder that contains this executable.
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).unwrap();
    installed(target, &target.join("stripe-tests"))
});

/// Installs the packages if they are missing. A file lock makes concurrent test processes wait for one installer.
fn installed(target: &Path, folder: &Path) -> PathBuf {
    let lock = File::create(target.join("stripe-tests.lock")).unwrap();
    lock.lock().unwrap();
    let (python, done) = (folder.join("bin/python"), folder.join("installed"));
    let packages = format!("{}\n{CONSTRAINTS}", PACKAGES.join("\n"));
    if fs::read_to_string(&done).is_ok_and(|there| there == packages) {
        return python;
    }
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
    };
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(folder));
    let constraints = folder.join("constraints.txt");
    fs::write(&constraints, CONSTRAINTS).unwrap();
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--constraint",
        ])
        .arg(&constraints)
        .args(PACKAGES));
    fs::write(&done, packages).unwrap();
    python
}

/// Runs a Python program with Stripe's own library and returns its standard output.
pub async fn official(program: &str, arguments: &[&str]) -> String {
    let mut python = tokio::process::Command::new(python().await);
    let output = python.args(["-c", program]).args(arguments).output().await;
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn python() -> &'static Path {
    // Another test may be installing the packages, which takes a while, so this must not block the runtime.
    let python = tokio::task::spawn_blocking(|| PYTHON.as_path()).await;
    python.unwrap()
}

/// The fault at the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request is executed, and its response is lost.
    LoseAnswer,
    /// The request never arrives.
    LoseRequest,
    /// The request is rejected with this status and not executed.
    Status(u16),
    /// The request is executed, and the response arrives after this time.
    Delay(Duration),
    /// The request is executed, and the response has an unexpected body.
    Garble,
}

/// One request that the gateway received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method and the path.
    pub what: String,
    /// The headers; names are in lower case.
    pub headers: HashMap<String, String>,
    /// The decoded form fields, in order.
    pub form: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A running Stripe for tests. Ends when dropped.
pub struct Stripe {
    /// The base URL that the service sends its requests to.
    pub base: String,
    shared: Arc<Shared>,
    server: Child,
    gateway: JoinHandle<()>,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    faults: VecDeque<Fault>,
    /// For each idempotency key, the request body and the stored response; `None` while the request is executing.
    answers: HashMap<String, (Vec<u8>, Option<Answer>)>,
    /// Later status of refunds, by refund id.
    refunds: HashMap<String, &'static str>,
    /// Disputes by id, since localstripe has none.
    disputes: HashMap<String, Value>,
}

#[derive(Clone)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    fn error(status: u16, kind: &str) -> Self {
        let body = serde_json::json!({"error": {"type": kind, "message": format!("as requested by the test: {kind}")}});
        Self {
            status,
            body: body.to_string().into_bytes(),
        }
    }
}

impl Stripe {
    /// Starts a new account without any object.
    pub async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut server = Command::new(python().await)
            .args(["-c", include_str!("localstripe.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(server.stdout.take().unwrap());
        let port = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            line.trim().to_owned()
        });
        let port = port.await.unwrap();
        assert!(
            !port.is_empty(),
            "localstripe does not start: {:?}",
            server.wait()
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            upstream: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::new(),
            state: Mutex::default(),
        });
        Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            gateway: tokio::spawn(Arc::clone(&shared).accept(listener)),
            shared,
            server,
        }
    }

    /// Settings of a service that uses this Stripe as its payment provider.
    #[must_use]
    pub fn settings(&self) -> Settings {
        settings_for(&self.base)
    }

    /// The provider adapter without a service. `response_timeout` is its request timeout.
    #[must_use]
    pub fn adapter(&self, response_timeout: Duration) -> tradeline::payments::stripe::Stripe {
        let base: Url = self.base.parse().unwrap();
        let key = Secret::from(SECRET_KEY.to_owned());
        tradeline::payments::stripe::Stripe::new(base, key, response_timeout).unwrap()
    }

    /// Applies these faults to the next requests, one each.
    pub fn fault(&self, faults: &[Fault]) {
        self.shared.state.lock().unwrap().faults.extend(faults);
    }

    /// Deletes all stored responses, as Stripe does after a day.
    pub fn forget_keys(&self) {
        self.shared.state.lock().unwrap().answers.clear();
    }

    /// All requests that the gateway has received.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.state.lock().unwrap().asked.clone()
    }

    /// Sends events to this URL, signed with [`WEBHOOK_SECRET`].
    pub async fn tell(&self, url: &str) {
        let body = serde_json::json!({"url": url, "secret": WEBHOOK_SECRET});
        let request = self.request(Method::POST, "/_config/webhooks/tests");
        let reply = request.body(body.to_string()).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }

    /// Reads an object of Stripe's, such as `payment_intents/pi_1`.
    pub async fn get(&self, path: &str) -> Value {
        let reply = self
            .request(Method::GET, &format!("/v1/{path}"))
            .send()
            .await;
        let reply = reply.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        serde_json::from_str(&reply.text().await.unwrap()).unwrap()
    }

    /// The number of objects of a kind, such as `payment_intents`; at most 100.
    pub async fn count(&self, kind: &str) -> usize {
        self.get(&format!("{kind}?limit=100")).await["data"]
            .as_array()
            .unwrap()
            .len()
    }

    /// Confirms an intent with a valid card, as the buyer's page does.
    pub async fn pay(&self, intent: &str) {
        let status = self.confirm(intent, "pm_card_visa").await;
        assert_eq!(status, 200, "{intent} is not paid");
    }

    /// Refunds `minor` units of a payment as a person does in Stripe's dashboard.
    pub async fn refund_by_hand(&self, intent: &str, minor: i64) {
        let refund = self.request(Method::POST, "/v1/refunds");
        let amount = minor.to_string();
        let form = [("payment_intent", intent), ("amount", &amount)];
        let reply = refund.form(&form).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }

    /// Changes the status of an existing refund to `failed` or `canceled`.
    pub fn settle_refund(&self, refund: &str, status: &'static str) {
        let mut state = self.shared.state.lock().unwrap();
        state.refunds.insert(refund.to_owned(), status);
    }

    /// Stores a dispute under its id; replaces an earlier version.
    pub fn dispute(&self, dispute: &Value) {
        let id = dispute["id"].as_str().unwrap().to_owned();
        let mut state = self.shared.state.lock().unwrap();
        state.disputes.insert(id, dispute.clone());
    }

    /// Confirms an intent with a card that is declined.
    pub async fn decline(&self, intent: &str) {
        let status = self.confirm(intent, "pm_card_chargeCustomerFail").await;
        assert_eq!(status, 402, "{intent} is not declined");
    }

    async fn confirm(&self, intent: &str, card: &str) -> u16 {
        let path = format!("/v1/payment_intents/{intent}");
        let attach = self.request(Method::POST, &path);
        let attached = attach.form(&[("payment_method", card)]).send().await;
        assert_eq!(attached.unwrap().status(), 200);
        let confirm = self.request(Method::POST, &format!("{path}/confirm"));
        confirm.send().await.unwrap().status().as_u16()
    }

    /// Sends directly to localstripe, so that the gateway neither records the request nor applies a fault.
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.shared.upstream);
        self.shared
            .http
            .request(method, url)
            .bearer_auth(SECRET_KEY)
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.gateway.abort();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Settings of a service whose payment provider is a Stripe at this base URL.
#[must_use]
pub fn settings_for(base: &str) -> Settings {
    let mut settings = crate::settings();
    settings.payments.stripe_secret_key = Some(Secret::from(SECRET_KEY.to_owned()));
    settings.payments.stripe_webhook_secret = Some(Secret::from(WEBHOOK_SECRET.to_owned()));
    settings.payments.stripe_publishable_key = Some(PUBLISHABLE_KEY.parse().unwrap());
    settings.payments.stripe_api_base = base.parse().unwrap();
    settings
}

impl Shared {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            let shared = Arc::clone(&self);
            tokio::spawn(async move {
                let _ = shared.serve(client).await;
            });
        }
    }

    /// Serves one request per connection.
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let asked = read(&mut client).await?;
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.asked.push(asked.clone());
            state.faults.pop_front()
        };
        let answer = match fault {
            Some(Fault::LoseRequest) => return Ok(()),
            Some(Fault::Status(status)) => Answer::error(status, "api_error"),
            _ => self.answer(&asked).await,
        };
        let answer = match fault {
            Some(Fault::LoseAnswer) => return Ok(()),
            Some(Fault::Garble) => Answer {
                body: b"<html>".to_vec(),
                ..answer
            },
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                answer
            }
            _ => answer,
        };
        let head = format!(
            "HTTP/1.1 {} \r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            answer.status,
            answer.body.len()
        );
        client.write_all(head.as_bytes()).await?;
        client.write_all(&answer.body).await?;
        client.shutdown().await
    }

    /// Returns the stored response for a key that was used before, or an error if the request was another one.
    async fn answer(&self, asked: &Asked) -> Answer {
        let Some(key) = asked.headers.get("idempotency-key") else {
            return self.forward(asked).await;
        };
        let before = {
            let mut state = self.state.lock().unwrap();
            let before = state.answers.get(key).cloned();
            if before.is_none() {
                let used = (asked.body.clone(), None);
                state.answers.insert(key.clone(), used);
            }
            before
        };
        match before {
            Some((body, _)) if body != asked.body => Answer::error(400, "idempotency_error"),
            Some((_, Some(answer))) => answer,
            Some((_, None)) => Answer::error(409, "idempotency_key_in_use"),
            None => {
                let answer = self.forward(asked).await;
                let used = (asked.body.clone(), Some(answer.clone()));
                self.state.lock().unwrap().answers.insert(key.clone(), used);
                answer
            }
        }
    }

    /// Adds what localstripe lacks: disputes, and refunds that fail.
    fn amended(&self, mut answer: Answer) -> Answer {
        let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else {
            return answer;
        };
        let state = self.state.lock().unwrap();
        let amend = |object: &mut Value| {
            let id = object["id"].as_str().unwrap_or_default();
            if let Some(status) = state.refunds.get(id) {
                object["status"] = (*status).into();
            }
        };
        match body["data"].as_array_mut() {
            Some(all) => all.iter_mut().for_each(amend),
            None => amend(&mut body),
        }
        answer.body = body.to_string().into_bytes();
        answer
    }

    async fn forward(&self, asked: &Asked) -> Answer {
        let (method, path) = asked.what.split_once(' ').unwrap();
        if let Some(dispute) = path.strip_prefix("/v1/disputes/") {
            let state = self.state.lock().unwrap();
            return match state.disputes.get(dispute) {
                Some(dispute) => Answer {
                    status: 200,
                    body: dispute.to_string().into_bytes(),
                },
                None => Answer::error(404, "resource_missing"),
            };
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.upstream));
        for name in ["authorization", "content-type"] {
            if let Some(value) = asked.headers.get(name) {
                request = request.header(name, value);
            }
        }
        let reply = request.body(asked.body.clone()).send().await.unwrap();
        self.amended(Answer {
            status: reply.status().as_u16(),
            body: reply.bytes().await.unwrap().to_vec(),
        })
    }
}

/// Reads a request with a `Content-Length`.
async fn read(client: &mut TcpStream) -> std::io::Result<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = bytes.split_off(head + 4);
    let text = String::from_utf8(bytes).unwrap();
    let mut lines = text.lines();
    let what = lines.next().unwrap().rsplit_once(' ').unwrap().0.to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: HashMap<String, String> = headers
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length");
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while body.len() < length {
        if client.read_buf(&mut body).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    // A form has the same syntax as a URL's query.
    let form = String::from_utf8(body.clone()).unwrap();
    let form = Url::parse(&format!("http://form/?{form}")).unwrap();
    let form = form.query_pairs().into_owned().collect();
    Ok(Asked {
        what,
        headers,
        form,
        body,
    })
}

/// HMAC-SHA256 in hexadecimal digits.
#[must_use]
pub fn hmac(secret: &str, message: &str) -> String {
    let hmac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let bytes = hmac.chain_update(message).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
