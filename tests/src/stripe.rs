//! A Stripe for tests: localstripe, which others wrote, behind a gateway that does what it does not. The gateway keeps answers
//! by `Idempotency-Key`, as Stripe does, remembers what it was asked, and fails when it is told to.
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

/// What is installed: localstripe, and Stripe's own library, which makes and checks signatures.
const PACKAGES: [&str; 2] = ["localstripe==1.15.10", "stripe==16.1.0"];
/// The versions of what these need in turn.
const CONSTRAINTS: &str = include_str!("../constraints.txt");

/// The account's secret key.
pub const SECRET_KEY: &str = "sk_test_that_only_the_tests_know";
/// What its webhooks are signed with.
pub const WEBHOOK_SECRET: &str = "whsec_that_only_the_tests_know";

/// The Python that has the packages.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    // The folder of the build that this program is of.
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).unwrap();
    installed(target, &target.join("stripe-tests"))
});

/// Installs the packages unless they are there. One installer at a time: others wait for it.
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

/// Runs a program of Stripe's own library with these arguments: what it prints.
pub async fn official(program: &str, arguments: &[&str]) -> String {
    let mut python = tokio::process::Command::new(python().await);
    let output = python.args(["-c", program]).args(arguments).output().await;
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn python() -> &'static Path {
    // Another test may be installing it for some time.
    let python = tokio::task::spawn_blocking(|| PYTHON.as_path()).await;
    python.unwrap()
}

/// What goes wrong with the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is done, and its answer is lost.
    LoseAnswer,
    /// It is never heard of.
    LoseRequest,
    /// It is answered with this status, and not done.
    Status(u16),
    /// It is done, and answered after this time.
    Delay(Duration),
    /// It is done, and answered with something else than was agreed on.
    Garble,
}

/// Something that the gateway was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method and the path.
    pub what: String,
    /// The headers, their names in small letters.
    pub headers: HashMap<String, String>,
    /// The form.
    pub form: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A Stripe. Ends when dropped.
pub struct Stripe {
    /// Where the service is to ask.
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
    /// Under each key the body that it was used with, and the answer once there is one.
    answers: HashMap<String, (Vec<u8>, Option<Answer>)>,
    /// What has become of refunds since they were made, by their ids.
    refunds: HashMap<String, &'static str>,
    /// Disputes by their ids: localstripe has none.
    disputes: HashMap<String, Value>,
}

#[derive(Clone)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    fn error(status: u16, kind: &str) -> Self {
        let body =
            serde_json::json!({"error": {"type": kind, "message": format!("told to: {kind}")}});
        Self {
            status,
            body: body.to_string().into_bytes(),
        }
    }
}

impl Stripe {
    /// A new one, in which nothing has happened.
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

    /// Settings of a service whose provider this is.
    #[must_use]
    pub fn settings(&self) -> Settings {
        settings_for(&self.base)
    }

    /// The adapter alone.
    #[must_use]
    pub fn adapter(&self, patience: Duration) -> tradeline::payments::stripe::Stripe {
        let base: Url = self.base.parse().unwrap();
        let key = Secret::from(SECRET_KEY.to_owned());
        tradeline::payments::stripe::Stripe::new(base, key, patience).unwrap()
    }

    /// The next requests go wrong like this, one each.
    pub fn fault(&self, faults: &[Fault]) {
        self.shared.state.lock().unwrap().faults.extend(faults);
    }

    /// Forgets under which keys it was asked, as Stripe does after a day.
    pub fn forget_keys(&self) {
        self.shared.state.lock().unwrap().answers.clear();
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.state.lock().unwrap().asked.clone()
    }

    /// Has this address told what happens, signed with [`WEBHOOK_SECRET`].
    pub async fn tell(&self, url: &str) {
        let body = serde_json::json!({"url": url, "secret": WEBHOOK_SECRET});
        let request = self.request(Method::POST, "/_config/webhooks/tests");
        let reply = request.body(body.to_string()).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }

    /// An object as it is at Stripe, such as `payment_intents/pi_1`.
    pub async fn get(&self, path: &str) -> Value {
        let reply = self
            .request(Method::GET, &format!("/v1/{path}"))
            .send()
            .await;
        let reply = reply.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        serde_json::from_str(&reply.text().await.unwrap()).unwrap()
    }

    /// How many there are of a kind, such as `payment_intents`.
    pub async fn count(&self, kind: &str) -> usize {
        self.get(&format!("{kind}?limit=100")).await["data"]
            .as_array()
            .unwrap()
            .len()
    }

    /// What the buyer's page does with a card that is good.
    pub async fn pay(&self, intent: &str) {
        let status = self.confirm(intent, "pm_card_visa").await;
        assert_eq!(status, 200, "{intent} is not paid");
    }

    /// Somebody gives so much of a payment back by hand.
    pub async fn refund_by_hand(&self, intent: &str, minor: i64) {
        let refund = self.request(Method::POST, "/v1/refunds");
        let amount = minor.to_string();
        let form = [("payment_intent", intent), ("amount", &amount)];
        let reply = refund.form(&form).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }

    /// A refund that was made comes to be this after all, `failed` or `canceled`.
    pub fn settle_refund(&self, refund: &str, status: &'static str) {
        let mut state = self.shared.state.lock().unwrap();
        state.refunds.insert(refund.to_owned(), status);
    }

    /// A dispute of a payment is as this says from now on.
    pub fn dispute(&self, dispute: &Value) {
        let id = dispute["id"].as_str().unwrap().to_owned();
        let mut state = self.shared.state.lock().unwrap();
        state.disputes.insert(id, dispute.clone());
    }

    /// What it does with one that is declined.
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

    /// Not by way of the gateway.
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

/// Settings of a service whose provider is a Stripe at this address.
#[must_use]
pub fn settings_for(base: &str) -> Settings {
    let mut settings = crate::settings();
    settings.payments.stripe_secret_key = Some(Secret::from(SECRET_KEY.to_owned()));
    settings.payments.stripe_webhook_secret = Some(Secret::from(WEBHOOK_SECRET.to_owned()));
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

    /// One request a connection.
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

    /// Stripe's answer: the first one again to a key that was used before, unless it was for something else.
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

    /// What localstripe does not do itself: disputes, and refunds that fail.
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

/// Reads a request whose body has a length.
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
    // A form is what follows a URL's question mark.
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

/// An HMAC-SHA256 in hexadecimal digits.
#[must_use]
pub fn hmac(secret: &str, message: &str) -> String {
    let hmac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let bytes = hmac.chain_update(message).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
