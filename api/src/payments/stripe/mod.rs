//! Stripe: an implementation of the domain's payment provider over HTTPS, and the reader of its webhooks.
//!
//! There is one intent per order, and one Stripe refund per refund. Each is requested with the same idempotency key on
//! every attempt. Stripe stores keys for a day, and a refund may be retried later than that. A retry therefore first
//! searches for the refund by this service's id, which it carries. Intents carry the business and the order, so that
//! webhooks name them.

mod amounts;
mod event;
mod minor;
mod signature;
mod webhooks;

use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use domain::Secret;
use domain::card::provider::{
    Failure, FoundDispute, FoundRefund, Intent, IntentState, Limits, Provider, Received, Refund,
    RefundState, WantedIntent, WantedRefund,
};
use entity::{BusinessId, Currency, OrderId, disputes};
use reqwest::{Client, Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::http::client;

pub use signature::{InvalidSignature, WebhookSecrets};
pub use webhooks::{BadWebhook, Webhooks};

/// The limit for Stripe's complete response. A payment made during a timeout is not lost.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// The limit for connecting to Stripe.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest response, in bytes. An intent with all its parts has about 10,000.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// The API version that this code was written for. The account's default version may differ.
const API_VERSION: &str = "2024-06-20";
/// The most characters that are stored of a text from Stripe.
const MAX_TEXT_CHARS: usize = 300;

/// The metadata names under which an intent carries its business and its order.
const BUSINESS_ID: &str = "business_id";
const ORDER_ID: &str = "order_id";
/// The metadata name under which a refund carries this service's refund id.
const REFUND_ID: &str = "refund_id";
/// The number of refunds per page of a list.
const PAGE_SIZE: &str = "100";

/// The client of one Stripe account. See [the module](self).
#[derive(Debug)]
pub struct Stripe {
    http: Client,
    base: Url,
    key: Secret,
}

/// Why a request has no successful response.
#[derive(Debug)]
enum Unanswered {
    /// There is no response, or it says nothing about the request.
    No(String),
    /// Stripe refused the request.
    Refusal {
        status: StatusCode,
        code: String,
        message: String,
    },
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::No(what) => Self::NoAnswer(what),
            Unanswered::Refusal { code, message, .. } => Self::Refused { code, message },
        }
    }
}

/// The members of an intent that are used here.
#[derive(Debug, Deserialize)]
struct IntentAnswer {
    id: String,
    client_secret: String,
    status: String,
    amount: i64,
    amount_received: Option<i64>,
    currency: String,
    #[serde(default)]
    metadata: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct RefundAnswer {
    id: String,
    amount: i64,
    currency: String,
    status: String,
    failure_reason: Option<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// One page of a payment's refunds, newest first.
#[derive(Debug, Deserialize)]
struct RefundsAnswer {
    data: Vec<RefundAnswer>,
    #[serde(default)]
    has_more: bool,
}

/// The members of a dispute that are used here.
#[derive(Debug, Deserialize)]
struct DisputeAnswer {
    id: String,
    amount: i64,
    currency: String,
    reason: String,
    status: String,
    evidence_details: Option<EvidenceAnswer>,
    #[serde(default)]
    balance_transactions: Vec<BalanceAnswer>,
}

#[derive(Debug, Deserialize)]
struct EvidenceAnswer {
    due_by: Option<i64>,
}

/// Money that a dispute took from the account (negative) or returned to it, in minor units.
#[derive(Debug, Deserialize)]
struct BalanceAnswer {
    amount: i64,
}

#[derive(Debug, Deserialize)]
struct ErrorAnswer {
    error: ErrorDetail,
}

#[derive(Debug, Default, Deserialize)]
struct ErrorDetail {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
    code: Option<String>,
}

impl Stripe {
    /// The provider's name.
    pub const NAME: &'static str = "stripe";

    /// A client for this URL and this account's secret key. `response_timeout` limits the time to a complete response.
    ///
    /// # Errors
    /// The library's.
    pub fn new(base: Url, key: Secret, response_timeout: Duration) -> Result<Self, reqwest::Error> {
        let http = client::client(
            &base,
            CONNECT_TIMEOUT.min(response_timeout),
            response_timeout,
        )
        .build()?;
        Ok(Self { http, base, key })
    }

    /// The business and the order in an intent's metadata; `None` if they are missing or if the intent does not exist.
    ///
    /// # Errors
    /// [`Failure::NoAnswer`].
    pub async fn order_of(&self, intent: &str) -> Result<Option<(BusinessId, OrderId)>, Failure> {
        match self.intent(intent).await {
            Ok(intent) => Ok(order_in(&intent.metadata)),
            Err(Unanswered::Refusal { .. }) => Ok(None),
            Err(unanswered) => Err(unanswered.into()),
        }
    }

    /// The refund that an earlier attempt made; `None` if there is none.
    async fn made_before(&self, wanted: &WantedRefund) -> Result<Option<Refund>, Failure> {
        let refunds = self.list_refunds(&wanted.intent).await;
        // A refused search says nothing about the refund.
        let refunds = refunds.map_err(|unanswered| match unanswered {
            Unanswered::No(why) | Unanswered::Refusal { message: why, .. } => {
                Failure::NoAnswer(why)
            }
        })?;
        let id = json!(wanted.refund_id);
        let is_it = |refund: &RefundAnswer| refund.metadata.get(REFUND_ID) == Some(&id);
        Ok(refunds.into_iter().find(is_it).map(Refund::from))
    }

    /// All refunds of a payment, newest first.
    async fn list_refunds(&self, intent: &str) -> Result<Vec<RefundAnswer>, Unanswered> {
        let mut form = vec![
            ("payment_intent", intent.to_owned()),
            ("limit", PAGE_SIZE.to_owned()),
        ];
        let mut all = Vec::new();
        loop {
            let page: RefundsAnswer = self.ask(Method::GET, &["refunds"], None, &form).await?;
            let last = page.data.last().filter(|_| page.has_more);
            let last = last.map(|refund| refund.id.clone());
            all.extend(page.data);
            let Some(last) = last else { return Ok(all) };
            form.truncate(2);
            form.push(("starting_after", last));
        }
    }

    async fn intent(&self, id: &str) -> Result<IntentAnswer, Unanswered> {
        self.ask(Method::GET, &["payment_intents", id], None, &[])
            .await
    }

    /// Sends a request. With `key`, a change is made once, however often it is requested.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        key: Option<String>,
        form: &[(&str, String)],
    ) -> Result<T, Unanswered> {
        // The id may come from an event. No id contains a character with a meaning in a path.
        let plain = |part: &&str| {
            part.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if !path.iter().all(plain) {
            return Err(Unanswered::Refusal {
                status: StatusCode::NOT_FOUND,
                code: "resource_missing".to_owned(),
                message: "there is no such id".to_owned(),
            });
        }
        let mut url = self.base.clone();
        // A URL with this scheme always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        if method == Method::GET && !form.is_empty() {
            url.query_pairs_mut().extend_pairs(form);
        }
        let mut request = self
            .http
            .request(method.clone(), url)
            .bearer_auth(self.key.reveal())
            .header("Stripe-Version", API_VERSION);
        if method == Method::POST {
            request = request.form(form);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let (status, text) = answer(request).await?;
        if status.is_success() {
            return serde_json::from_slice(&text)
                .map_err(|error| Unanswered::No(format!("its answer cannot be read: {error}")));
        }
        let said = serde_json::from_slice::<ErrorAnswer>(&text);
        let said = said.map_or_else(|_other| ErrorDetail::default(), |answer| answer.error);
        let code = said.code.or(said.kind).filter(|code| is_code(code));
        let code = code.unwrap_or_else(|| UNKNOWN.to_owned());
        let message = words(&said.message.unwrap_or_default());
        let message = match message.is_empty() {
            true => format!("status {status}"),
            false => message,
        };
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            // The operator must correct this. The order is not at fault, so the request is retried.
            tracing::error!(%status, message, "Stripe does not accept STRIPE_SECRET_KEY");
        }
        Err(if is_refusal(status) {
            Unanswered::Refusal {
                status,
                code,
                message,
            }
        } else {
            Unanswered::No(format!("{status}: {message}"))
        })
    }
}

/// The code of a refusal for which Stripe states none.
const UNKNOWN: &str = "unknown";

/// Whether the text has the form of Stripe's codes. Clients see the code, and no other text from Stripe.
fn is_code(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=100).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Whether a status means that this request will never succeed. 409 means that another request with the same key is in
/// progress.
fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(
            status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::CONFLICT
                | StatusCode::TOO_MANY_REQUESTS
        )
}

/// Sends a request and reads its response, up to a length that no valid response has.
async fn answer(request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), Unanswered> {
    // The URL is removed, since only the operator may know it. The library's messages contain no header.
    let lost = |error: reqwest::Error| Unanswered::No(causes(&error.without_url()));
    let mut response = request.send().await.map_err(lost)?;
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if text.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(Unanswered::No("its answer is too long".to_owned()));
        }
        text.extend_from_slice(&chunk);
    }
    Ok((response.status(), text))
}

/// An error and its causes, separated by colons.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// A text from Stripe in a form that can be stored: at most [`MAX_TEXT_CHARS`] characters, no control characters.
fn words(text: &str) -> String {
    let kept = text.chars().filter(|letter| !letter.is_control());
    kept.take(MAX_TEXT_CHARS).collect()
}

/// The business and the order in an object's metadata.
fn order_in(metadata: &Map<String, Value>) -> Option<(BusinessId, OrderId)> {
    let id = |name| metadata.get(name)?.as_str()?.parse().ok();
    Some((BusinessId(id(BUSINESS_ID)?), OrderId(id(ORDER_ID)?)))
}

/// Money as Stripe writes it, with its currency in lower case.
fn received(minor: i64, currency: &str) -> Received {
    let currency = currency.to_ascii_uppercase();
    let known: Option<Currency> = currency.parse().ok();
    Received {
        minor,
        amount: known.and_then(|known| minor::amount(minor, known)),
        currency,
    }
}

impl From<IntentAnswer> for Intent {
    fn from(answer: IntentAnswer) -> Self {
        let state = match answer.status.as_str() {
            "succeeded" => {
                let minor = answer.amount_received.unwrap_or(answer.amount);
                IntentState::Paid(received(minor, &answer.currency))
            }
            "canceled" => IntentState::Cancelled,
            // Waiting for a card, a confirmation or a bank: it can still be paid.
            _ => IntentState::Open,
        };
        Self {
            id: answer.id,
            client_secret: answer.client_secret,
            state,
        }
    }
}

impl From<RefundAnswer> for Refund {
    fn from(answer: RefundAnswer) -> Self {
        let state = match answer.status.as_str() {
            "succeeded" => RefundState::Succeeded,
            "failed" | "canceled" => {
                RefundState::Failed(words(&answer.failure_reason.unwrap_or(answer.status)))
            }
            _ => RefundState::Pending,
        };
        Self {
            id: answer.id,
            state,
        }
    }
}

impl From<RefundAnswer> for FoundRefund {
    fn from(answer: RefundAnswer) -> Self {
        let ours = answer.metadata.get(REFUND_ID).and_then(Value::as_str);
        Self {
            refund_id: ours.and_then(|id| id.parse().ok()),
            amount: received(answer.amount, &answer.currency),
            id: answer.id.clone(),
            state: Refund::from(answer).state,
        }
    }
}

impl From<DisputeAnswer> for FoundDispute {
    fn from(answer: DisputeAnswer) -> Self {
        let moved = answer.balance_transactions.iter();
        let moved: i64 = moved.map(|one| one.amount).sum();
        let due = answer.evidence_details.and_then(|evidence| evidence.due_by);
        let reason = words(&answer.reason);
        Self {
            id: answer.id,
            amount: received(answer.amount, &answer.currency),
            reason: match reason.is_empty() {
                true => UNKNOWN.to_owned(),
                false => reason,
            },
            status: dispute_status(&answer.status),
            evidence_due_at: due.and_then(|due| DateTime::from_timestamp(due, 0)),
            funds_withdrawn: moved < 0,
        }
    }
}

/// Statuses with `warning` belong to a bank's inquiry, which may become a dispute. An unknown status counts as open.
fn dispute_status(status: &str) -> disputes::Status {
    match status {
        "needs_response" | "warning_needs_response" => disputes::Status::NeedsResponse,
        "won" => disputes::Status::Won,
        "lost" => disputes::Status::Lost,
        "warning_closed" | "prevented" => disputes::Status::Closed,
        _ => disputes::Status::UnderReview,
    }
}

/// The refusal of a payment that is not even requested from Stripe.
fn inexpressible(inexpressible: &minor::Inexpressible) -> Failure {
    Failure::Refused {
        code: inexpressible.code().to_owned(),
        message: inexpressible.to_string(),
    }
}

#[async_trait]
impl Provider for Stripe {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn limits(&self, currency: Currency) -> Option<Limits> {
        amounts::limits(currency)
    }

    async fn create(&self, wanted: &WantedIntent) -> Result<Intent, Failure> {
        let minor =
            minor::of(wanted.amount, wanted.currency).map_err(|reason| inexpressible(&reason))?;
        let form = [
            ("amount", minor.to_string()),
            ("currency", wanted.currency.to_string().to_lowercase()),
            ("payment_method_types[]", "card".to_owned()),
            ("metadata[business_id]", wanted.business_id.to_string()),
            ("metadata[order_id]", wanted.order_id.to_string()),
        ];
        let key = Some(format!("order-{}", wanted.order_id));
        let made: IntentAnswer = self
            .ask(Method::POST, &["payment_intents"], key, &form)
            .await?;
        Ok(made.into())
    }

    async fn cancel(&self, intent: &str) -> Result<Intent, Failure> {
        // Sent without an idempotency key: a second cancellation is refused, and the intent's state is then read.
        let path = ["payment_intents", intent, "cancel"];
        let cancelled: Result<IntentAnswer, _> = self.ask(Method::POST, &path, None, &[]).await;
        let is = match cancelled {
            Err(Unanswered::Refusal { status, .. }) if status != StatusCode::NOT_FOUND => {
                self.intent(intent).await?
            }
            cancelled => cancelled?,
        };
        Ok(is.into())
    }

    async fn refund(&self, wanted: &WantedRefund) -> Result<Refund, Failure> {
        if wanted.asked_before
            && let Some(made) = self.made_before(wanted).await?
        {
            return Ok(made);
        }
        let minor =
            minor::of(wanted.amount, wanted.currency).map_err(|reason| inexpressible(&reason))?;
        let form = [
            ("payment_intent", wanted.intent.clone()),
            ("amount", minor.to_string()),
            ("metadata[refund_id]", wanted.refund_id.to_string()),
        ];
        let key = Some(format!("refund-{}", wanted.refund_id));
        let made: RefundAnswer = self.ask(Method::POST, &["refunds"], key, &form).await?;
        Ok(made.into())
    }

    async fn refund_status(&self, refund: &str) -> Result<Refund, Failure> {
        let found: RefundAnswer = self
            .ask(Method::GET, &["refunds", refund], None, &[])
            .await?;
        Ok(found.into())
    }

    async fn refunds(&self, intent: &str) -> Result<Vec<FoundRefund>, Failure> {
        let found = self.list_refunds(intent).await?;
        Ok(found.into_iter().rev().map(FoundRefund::from).collect())
    }

    async fn dispute(&self, dispute: &str) -> Result<FoundDispute, Failure> {
        let found: DisputeAnswer = self
            .ask(Method::GET, &["disputes", dispute], None, &[])
            .await?;
        Ok(found.into())
    }
}
