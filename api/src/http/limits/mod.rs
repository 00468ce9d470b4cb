//! Rate limits: per credential, per address without one, per address that tries secrets, and per account name.
//!
//! Each process counts for itself, so that the limits of several processes behind one address add up. A request with a
//! valid credential counts against that credential alone. One with an invalid credential, or without one, counts
//! against its address. `/healthz`, `/readyz`, `/metrics` and the preflights of browsers are not counted.

mod buckets;
mod origin;
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

pub use buckets::Buckets;
pub use origin::Origin;
pub use rate::{BadRate, Rate, RateLimit};
pub use settings::LimitSettings;

use crate::http::client_address;
use crate::http::gateways::Peers;
use crate::schema::endpoint::{BASE, is_page};
use crate::schema::problem::{Code, Problem};

/// Paths that are never counted, so that operators can always monitor the service.
const NOT_COUNTED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The factor between an account's limit from all addresses and its limit from one. With one limit for both, a single
/// address could lock out the account's user.
const ALL_ADDRESSES_FACTOR: u32 = 10;

/// The kind of attempt at an account. Each kind is counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Try {
    /// A login.
    Login,
    /// A registration.
    Registration,
    /// A password reset.
    PasswordReset,
}

/// The rate limits of one process.
#[derive(Debug)]
pub struct Limits {
    credentials: Option<Buckets>,
    addresses: Option<Buckets>,
    guesses: Option<Buckets>,
    accounts: Option<Buckets>,
    /// The same accounts from all addresses together, with [`ALL_ADDRESSES_FACTOR`] times the limit.
    accounts_from_everywhere: Option<Buckets>,
    trusted_proxies: Vec<Peers>,
}

impl Limits {
    /// Full buckets with these rates. `off` for credentials disables all rates.
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
            accounts_from_everywhere: of(settings.rate_limit_account.times(ALL_ADDRESSES_FACTOR)),
            trusted_proxies: settings.trusted_proxies.clone(),
        }
    }

    /// Counts a request with a valid credential. `business` is `None` for the platform.
    ///
    /// # Errors
    /// [`Code::RateLimited`], as from all of these methods.
    pub fn of_credential(
        &self,
        business: Option<BusinessId>,
        holder: UserId,
    ) -> Result<(), Problem> {
        let key = (business, holder);
        count(self.credentials.as_ref(), &key, "this credential")
    }

    /// Counts a request without a valid credential.
    ///
    /// # Errors
    /// [`Code::RateLimited`].
    pub fn of_address(&self, req: &ServiceRequest) -> Result<(), Problem> {
        self.by_origin(self.addresses.as_ref(), req.request())
    }

    /// Counts a request that matched no endpoint.
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

    /// Counts an attempt at an account, which need not exist, for the request's address and for all addresses.
    ///
    /// `business` is the id of the business that the client named, or the client's text if it is unknown. `email` is
    /// the address in its one spelling. All spellings of an account therefore count as one.
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
            "this address for this account",
        )?;
        count(
            self.accounts_from_everywhere.as_ref(),
            &account,
            "all addresses for this account",
        )
    }

    fn by_origin(&self, buckets: Option<&Buckets>, req: &HttpRequest) -> Result<(), Problem> {
        if buckets.is_none() {
            return Ok(());
        }
        count(buckets, &self.origin(req), "this address")
    }

    fn origin(&self, req: &HttpRequest) -> Origin {
        // Only requests without a socket, as in tests, have no peer.
        let peer = req
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        Origin::from(client_address::of(
            peer,
            req.headers(),
            &self.trusted_proxies,
        ))
    }
}

fn count(buckets: Option<&Buckets>, key: &impl Hash, source: &str) -> Result<(), Problem> {
    let Some(buckets) = buckets else {
        return Ok(());
    };
    buckets.take(key).map_err(|wait| refusal(source, wait))
}

fn refusal(source: &str, wait: Duration) -> Problem {
    // Whole seconds, rounded up, so that a client that waits as long is served.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
    Problem::new(
        Code::RateLimited,
        format!("There were too many requests from {source}."),
    )
    .retry_after(seconds)
}

/// The middleware, for [`actix_web::middleware::from_fn`]. It counts requests outside the API and the pages, where no
/// credential is checked. [`crate::access`] counts the others.
///
/// # Errors
/// Those of the wrapped service. A rejection is a response, not an error.
pub async fn outside_the_api(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // The decoded path that the routing reads, not the one that was sent: `/%61pi` is `/api`.
    let path = req.match_info().as_str();
    let counted_there = path
        .strip_prefix(BASE)
        .is_some_and(|rest| rest.starts_with('/'));
    if !counted_there
        && !is_page(path)
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
