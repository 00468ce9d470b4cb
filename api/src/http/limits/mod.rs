//! How often a caller may call: a credential, an address without one, whoever tries secrets, and each account's name.
//!
//! Every process counts for itself: with several behind one address the limits add up. A request with a good
//! credential counts against that alone, one without or with a bad one against its address. `/healthz`, `/readyz` and
//! `/metrics` are not counted, nor are a browser's preflights.

mod address;
mod buckets;
mod rate;
mod settings;

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, web};
use entity::{BusinessId, UserId};

pub use address::Origin;
pub use buckets::Buckets;
pub use rate::{BadRate, Rate, RateLimit};
pub use settings::LimitSettings;

use crate::http::gateways::Peers;
use crate::schema::endpoint::BASE;
use crate::schema::problem::{Code, Problem};

/// What is never counted: whoever runs the service must always see how it is.
const NOT_COUNTED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// How many times as many tries an account has from everywhere as from one address. With one limit for both, anyone could
/// keep the account's own user out from one address.
const WIDER: u32 = 10;

/// What is tried at an account. Who tries one takes nothing from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Try {
    /// A login.
    Login,
    /// A registration.
    Registration,
}

/// The counts of one process.
#[derive(Debug)]
pub struct Limits {
    credentials: Option<Buckets>,
    addresses: Option<Buckets>,
    guesses: Option<Buckets>,
    accounts: Option<Buckets>,
    /// The same accounts from all addresses together: [`WIDER`] times as many.
    accounts_from_everywhere: Option<Buckets>,
    trusted_proxies: Vec<Peers>,
}

impl Limits {
    /// Nothing counted so far. `off` for credentials switches all of it off.
    #[must_use]
    pub fn new(settings: &LimitSettings) -> Self {
        let of = |limit: RateLimit| match settings.rate_limit {
            RateLimit::Off => None,
            RateLimit::At(_) => limit.rate().map(Buckets::new),
        };
        Self {
            credentials: of(settings.rate_limit),
            addresses: of(settings.rate_limit_address),
            guesses: of(settings.rate_limit_login),
            accounts: of(settings.rate_limit_account),
            accounts_from_everywhere: of(settings.rate_limit_account.times(WIDER)),
            trusted_proxies: settings.trusted_proxies.clone(),
        }
    }

    /// Counts a request with a good credential: of someone of a business, or of the platform, which is of none.
    ///
    /// # Errors
    /// [`Code::RateLimited`], as from all of these.
    pub fn of_credential(
        &self,
        business: Option<BusinessId>,
        holder: UserId,
    ) -> Result<(), Problem> {
        let key = (business, holder);
        count(self.credentials.as_ref(), &key, "this credential")
    }

    /// Counts a request without a good credential.
    ///
    /// # Errors
    /// [`Code::RateLimited`].
    pub fn of_address(&self, req: &ServiceRequest) -> Result<(), Problem> {
        self.by_origin(self.addresses.as_ref(), req.request())
    }

    /// Counts a request that has found no endpoint.
    ///
    /// # Errors
    /// [`Code::RateLimited`].
    pub fn of_stray(&self, req: &HttpRequest) -> Result<(), Problem> {
        self.by_origin(self.addresses.as_ref(), req)
    }

    /// Counts a request that tries a secret.
    ///
    /// # Errors
    /// [`Code::RateLimited`].
    pub fn of_guesses(&self, req: &ServiceRequest) -> Result<(), Problem> {
        self.by_origin(self.guesses.as_ref(), req.request())
    }

    /// Counts a try at an account, whether or not there is one, from the request's address and from everywhere. `business`
    /// is what its slug or id stands for, if it stands for one, and `email` the address in its one spelling: in whatever way they
    /// are written, they are one account.
    ///
    /// # Errors
    /// [`Code::RateLimited`].
    pub fn of_account(
        &self,
        req: &HttpRequest,
        what: Try,
        business: Result<BusinessId, &str>,
        email: &str,
    ) -> Result<(), Problem> {
        let business = match business {
            Err(text) => text.parse().map_err(|_no_id| text),
            known => known,
        };
        let account = (what, business, email);
        let here = (&account, self.origin(req));
        count(
            self.accounts.as_ref(),
            &here,
            "this address at this account",
        )?;
        count(
            self.accounts_from_everywhere.as_ref(),
            &account,
            "everywhere at this account",
        )
    }

    fn by_origin(&self, buckets: Option<&Buckets>, req: &HttpRequest) -> Result<(), Problem> {
        if buckets.is_none() {
            return Ok(());
        }
        count(buckets, &self.origin(req), "this address")
    }

    fn origin(&self, req: &HttpRequest) -> Origin {
        // Only requests that no socket brought have no peer.
        let peer = req
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        Origin::from(address::of(peer, req.headers(), &self.trusted_proxies))
    }
}

/// Whether a request comes from this machine itself: its socket's peer, and everyone for whom anyone on the way says to speak,
/// trusted or not. A proxy on this machine that does not say it must not be in front of what rests on this.
#[must_use]
pub fn is_local(req: &ServiceRequest) -> bool {
    req.peer_addr()
        .is_some_and(|peer| address::is_local(peer.ip(), req.headers()))
}

fn count(buckets: Option<&Buckets>, key: &impl Hash, whose: &str) -> Result<(), Problem> {
    let Some(buckets) = buckets else {
        return Ok(());
    };
    buckets.take(key).map_err(|wait| refusal(whose, wait))
}

fn refusal(whose: &str, wait: Duration) -> Problem {
    // Whole seconds, rounded up: who comes back then is served.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
    Problem::new(
        Code::RateLimited,
        format!("There were too many requests from {whose}."),
    )
    .retry_after(seconds)
}

/// The middleware, for [`actix_web::middleware::from_fn`]: counts what is outside of the API, where no credential is
/// looked at. [`crate::access`] counts the rest.
///
/// # Errors
/// Those of what it wraps; its own refusals are responses.
pub async fn outside_the_api(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // As the routing reads it, and not as it was written: `/%61pi` is `/api`.
    let path = req.match_info().as_str();
    let counted_there = path
        .strip_prefix(BASE)
        .is_some_and(|rest| rest.starts_with('/'));
    if !counted_there
        && !NOT_COUNTED.contains(&path)
        && let Some(limits) = req.app_data::<web::Data<Limits>>()
        && let Err(problem) = limits.of_address(&req)
    {
        return Ok(req.error_response(problem));
    }
    next.call(req)
        .await
        .map(ServiceResponse::map_into_boxed_body)
}
