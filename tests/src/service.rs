//! This module starts the service under test in the test's process and makes clients for it.

use std::net::TcpListener;

use clap::Parser;
use domain::{Authority, Secret, demo};
use entity::{BusinessId, UserId};
use tradeline::access::token::{Claims, Keys, PlatformClaims};
use tradeline::config::{Cli, Settings};
use tradeline::http::limits::RateLimit;

use crate::{Client, Database, PgBouncer, Proxy, SERVICE, until};

/// The secret with which all tests' services sign tokens.
pub const SECRET: &str = "a secret that only the tests know, of 32 bytes and more";

/// A running service. Stops when dropped.
pub struct Service {
    /// The database that the service uses.
    pub database: Database,
    /// The base URL, `http://127.0.0.1:…`.
    pub base: String,
    http: reqwest::Client,
    /// `None` after the service was stopped.
    service: Option<tradeline::service::Service>,
    /// The proxy between the pooler and the database, if the whole run uses a pooler.
    _way: Option<Proxy>,
}

/// Settings of a test's service: two workers, two lanes, no rate limits, one sealing per hour. Every other setting has
/// its default.
#[must_use]
pub fn settings() -> Settings {
    let mut settings = Cli::parse_from(["tradeline"]).settings;
    settings.workers = Some(2);
    settings.lanes = Some(2);
    // Tests of seals call the sealing themselves. Commits of a background task would disturb tests that count commits.
    settings.seal_every = 3600;
    settings.limits.rate_limit = RateLimit::Off;
    settings
}

impl Service {
    /// Starts a service on a new database with the demo data.
    pub async fn start() -> Self {
        Self::on(Database::with_demo().await).await
    }

    /// Starts a service on this database. Several may share one database, as in a deployment.
    pub async fn on(database: Database) -> Self {
        let url = database.url(SERVICE);
        Self::at(database, &url).await
    }

    /// Starts two instances on one new database with the demo data.
    pub async fn two() -> (Self, Self) {
        let one = Self::start().await;
        let two = Self::on(one.database.clone()).await;
        (one, two)
    }

    /// Starts a service that reaches this database through another URL, such as a proxy's.
    pub async fn at(database: Database, url: &str) -> Self {
        Self::with(database, url, &settings()).await
    }

    /// Starts a service with these settings.
    pub async fn with(database: Database, url: &str, settings: &Settings) -> Self {
        let way = match PgBouncer::is_wanted() && url == database.url(SERVICE) {
            true => Some(Proxy::to(&database).await),
            false => None,
        };
        let url = way.as_ref().map_or(url, Proxy::url);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (url, secret) = (
            Secret::from(url.to_owned()),
            Secret::from(SECRET.to_owned()),
        );
        let service = tradeline::service::Service::start(settings, &url, &secret, listener).await;
        let service = service.expect("the service does not start");
        Self {
            database,
            base: format!("http://{}", service.address),
            http: http_client(),
            service: Some(service),
            _way: way,
        }
    }

    /// Returns the error with which a service refuses to start at this URL.
    ///
    /// # Panics
    /// The service starts.
    pub async fn refusal(url: &str) -> tradeline::service::Error {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (url, secret) = (
            Secret::from(url.to_owned()),
            Secret::from(SECRET.to_owned()),
        );
        let service =
            tradeline::service::Service::start(&settings(), &url, &secret, listener).await;
        service.expect_err("the service starts")
    }

    /// Stops as in production: new requests are rejected, and requests in flight finish.
    pub async fn stop(mut self) {
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
    }

    /// Waits until the pooler, if the run has one, has noticed that its database is back.
    ///
    /// PgBouncer answers the first client that connects with the failure that it remembers. Only then does it try the
    /// server again, `server_login_retry` after the last attempt at the earliest. The service passes the failure on as
    /// a 503.
    pub async fn pooler_has_recovered(&self) {
        if PgBouncer::is_wanted() {
            until("the pooler reaches its database", async || {
                self.nobody().get("/readyz").await.status == 200
            })
            .await;
        }
    }

    /// The number of orders that are not demo data.
    pub async fn orders(&self) -> usize {
        let sql = "SELECT count(*) FROM orders WHERE created_by NOT IN
                   (SELECT actor_id FROM audit_events WHERE request_id = 'demo')";
        self.database.value(sql).await.parse().unwrap()
    }

    /// A client without a credential.
    #[must_use]
    pub fn nobody(&self) -> Client {
        Client::new(self.http.clone(), &self.base, None)
    }

    /// A client that sends this text as its bearer token, valid or not.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Client {
        Client::new(self.http.clone(), &self.base, Some(token.to_owned()))
    }

    /// A client with a valid token for this business and authority. Each call makes a new user id.
    #[must_use]
    pub fn caller(&self, business_id: BusinessId, authority: Authority) -> Client {
        self.caller_as(UserId::new(), business_id, authority)
    }

    /// A client with a valid token for this user.
    #[must_use]
    pub fn caller_as(
        &self,
        user_id: UserId,
        business_id: BusinessId,
        authority: Authority,
    ) -> Client {
        let claims = Claims {
            user_id,
            ..claims(business_id, authority)
        };
        self.bearer(&signed(&claims, SECRET))
    }

    /// A new admin of Acme.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.caller(demo::ACME, Authority::Admin)
    }

    /// A new staff member of Acme.
    #[must_use]
    pub fn staff(&self) -> Client {
        self.caller(demo::ACME, Authority::Staff)
    }

    /// A new user who buys for Acme's demo customer.
    #[must_use]
    pub fn customer(&self) -> Client {
        self.caller(demo::ACME, Authority::Customer(demo::ACME_CUSTOMER))
    }

    /// A client with the platform's authority, which belongs to no business.
    #[must_use]
    pub fn platform(&self) -> Client {
        self.bearer(&platform_token())
    }

    /// A new admin of Globex, the other business of the demo data.
    #[must_use]
    pub fn stranger(&self) -> Client {
        self.caller(demo::GLOBEX, Authority::Admin)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(service) = &self.service {
            service.abort();
        }
    }
}

/// No test uses TLS, but reqwest as the workspace builds it needs a crypto provider.
fn http_client() -> reqwest::Client {
    // The second call fails, because the provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Valid claims for this business and authority, expiring in 600 seconds. Each call makes a new user id.
#[must_use]
pub fn claims(business_id: BusinessId, authority: Authority) -> Claims {
    let issued_at = chrono::Utc::now().timestamp();
    Claims {
        user_id: UserId::new(),
        business_id,
        authority,
        version: None,
        login: None,
        issued_at,
        expires_at: issued_at + 600,
    }
}

/// Signs these claims as a token with this secret.
#[must_use]
pub fn signed(claims: &Claims, secret: &str) -> String {
    let keys = Keys::new(secret.as_bytes()).unwrap();
    keys.sign(claims).unwrap()
}

/// Signs a valid token of the platform, expiring in 600 seconds. Each call makes a new user id.
#[must_use]
pub fn platform_token() -> String {
    let keys = Keys::new(SECRET.as_bytes()).unwrap();
    let issued_at = chrono::Utc::now().timestamp();
    let claims = PlatformClaims {
        user_id: UserId::new(),
        issued_at,
        expires_at: issued_at + 600,
    };
    keys.sign_platform(&claims).unwrap()
}
