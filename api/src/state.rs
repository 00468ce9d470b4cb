//! What a handler works with.

use std::sync::Arc;
use std::time::Duration;

use domain::audit::seals::Sealer;
use domain::card::PaymentWorker;
use domain::desk::Desk;
use domain::identity::passwords::Passwords;
use domain::stock::availability::Hub;
use domain::stock::reservations::Sweeper;
use domain::{AccessLog, BusinessCache, Database, RevocationCache};

use crate::access::token::{Keys, Verifier};
use crate::http::gateways::Gateways;
use crate::http::limits::Limits;
use crate::payments::stripe::Webhooks;
use crate::readiness::Readiness;
use crate::schema::idempotency::Hasher;

/// What a handler works with. Each HTTP worker has its own database connections; the rest is shared.
#[derive(Debug, Clone)]
pub struct State {
    /// Connections for everything but sales.
    pub database: Database,
    /// Where sales queue.
    pub desk: Arc<Desk>,
    /// Gives back what has expired.
    pub sweeper: Arc<Sweeper>,
    /// Asks the payment provider, if there is one, for whatever is due.
    pub payment_worker: Arc<PaymentWorker>,
    /// Takes Stripe's webhooks, if it is the provider.
    pub webhooks: Option<Arc<Webhooks>>,
    /// How long an order by card may be paid, in seconds.
    pub payment_seconds: i32,
    /// Who watches what is available.
    pub availability: Arc<Hub>,
    /// The businesses met so far.
    pub businesses: Arc<BusinessCache>,
    /// Which credentials still stand.
    pub revocation: Arc<RevocationCache>,
    /// What goes into the audit trail off the requests' path.
    pub access_log: Arc<AccessLog>,
    /// Seals the audit trail.
    pub sealer: Arc<Sealer>,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Hashes requests that have an idempotency key.
    pub hasher: Arc<Hasher>,
    /// Signs tokens.
    pub keys: Arc<Keys>,
    /// Verifies tokens, ours and others'.
    pub verifier: Arc<Verifier>,
    /// Who may name a business without a credential.
    pub gateways: Arc<Gateways>,
    /// How long a token from a login is good, in seconds.
    pub token_seconds: u32,
    /// How often clients may call.
    pub limits: Arc<Limits>,
    /// How long a refresh token is good.
    pub refresh_token_life: Duration,
    /// Whether the database can be worked with, as it was a moment ago.
    pub readiness: Arc<Readiness>,
    /// The migrations that this version was built with.
    pub migrations: Arc<Vec<String>>,
}
