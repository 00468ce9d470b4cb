//! The state that handlers use.

use std::sync::Arc;
use std::time::Duration;

use domain::audit::seals::Sealer;
use domain::card::PaymentWorker;
use domain::catalogue::pictures::Pictures;
use domain::desk::Desk;
use domain::identity::passwords::Passwords;
use domain::stock::availability::Hub;
use domain::stock::reservations::Sweeper;
use domain::{AccessLog, BusinessCache, CatalogueCache, Database, RevocationCache, SessionCache};

use crate::access::token::{Keys, Verifier};
use crate::http::gateways::Gateways;
use crate::http::limits::Limits;
use crate::http::site::Site;
use crate::payments::stripe::Webhooks;
use crate::readiness::Readiness;
use crate::schema::idempotency::Hasher;

/// The parts that a handler uses. Each HTTP worker has its own database connections; the rest is shared.
#[derive(Debug, Clone)]
pub struct State {
    /// The connections for everything but sales.
    pub database: Database,
    /// The desk, which executes the commands that sell.
    pub desk: Arc<Desk>,
    /// Releases holds that have expired.
    pub sweeper: Arc<Sweeper>,
    /// Sends due requests to the payment provider, if there is one.
    pub payment_worker: Arc<PaymentWorker>,
    /// Reads Stripe's webhooks; `None` with any other provider.
    pub webhooks: Option<Arc<Webhooks>>,
    /// The key with which pages take cards at Stripe; `None` if they take none there.
    pub publishable_key: Option<Arc<str>>,
    /// The time in which a card order can be paid, in seconds.
    pub payment_seconds: i32,
    /// Publishes changes of availability to watchers.
    pub availability: Arc<Hub>,
    /// The uploaded pictures of products.
    pub pictures: Arc<Pictures>,
    /// The business cache.
    pub businesses: Arc<BusinessCache>,
    /// The catalogue as buyers read it, for a moment.
    pub catalogue: Arc<CatalogueCache>,
    /// The revocation cache.
    pub revocation: Arc<RevocationCache>,
    /// The sessions of browsers in use.
    pub sessions: Arc<SessionCache>,
    /// Whether the database has the demo businesses, whose logins are public.
    pub is_demo: bool,
    /// The site that browsers see.
    pub site: Arc<Site>,
    /// The access log: audit entries that are written outside the requests.
    pub access_log: Arc<AccessLog>,
    /// Seals the audit trail.
    pub sealer: Arc<Sealer>,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// Hashes requests that have an idempotency key.
    pub hasher: Arc<Hasher>,
    /// Signs access tokens.
    pub keys: Arc<Keys>,
    /// Verifies access tokens of this service and of the configured issuer.
    pub verifier: Arc<Verifier>,
    /// The peers that may name a business without a credential.
    pub gateways: Arc<Gateways>,
    /// The lifetime of an access token from a login, in seconds.
    pub token_seconds: u32,
    /// The rate limits of clients.
    pub limits: Arc<Limits>,
    /// The lifetime of a refresh token.
    pub refresh_token_life: Duration,
    /// The cached state of the database.
    pub readiness: Arc<Readiness>,
    /// The names of the migrations that this version was built with.
    pub migrations: Arc<Vec<String>>,
}
