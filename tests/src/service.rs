//! The service under test.

use std::net::TcpListener;

use clap::Parser;
use domain::{Authority, Secret, demo};
use entity::{BusinessId, UserId};
use tradeline::access::token::{Claims, Keys, PlatformClaims};
use tradeline::config::{Cli, Settings};
use tradeline::http::limits::RateLimit;

use crate::{Client, Database, PgBouncer, Proxy, SERVICE, until};

/// What the services of all tests sign with.
pub const SECRET: &str = "a secret that only the tests know, of 32 bytes and more";

/// A running service. Stops when dropped.
pub struct Service {
    /// Its database.
    pub database: Database,
    /// Its address, `http://127.0.0.1:…`.
    pub base: String,
    http: reqwest::Client,
    /// There until it is stopped.
    service: Option<tradeline::service::Service>,
    /// The way to its database, when the run is to be behind a pooler.
    _way: Option<Proxy>,
}

/// The settings of a test's service: two workers, two lanes, no limits of rates, the rest as a user
/// would have it.
#[must_use]
pub fn settings() -> Settings {
    let mut settings = Cli::parse_from(["tradeline"]).settings;
    settings.workers = Some(2);
    settings.lanes = Some(2);
    // Who tests the sealing does it at its own time: commits that come by themselves would be in the way of others.
    settings.seal_every = 3600;
    settings.limits.rate_limit = RateLimit::Off;
    settings
}

impl Service {
    /// On a database of its own with the demo data.
    pub async fn start() -> Self {
        Self::on(Database::with_demo().await).await
    }

    /// On this database. Any number may run on one, as in a deployment.
    pub async fn on(database: Database) -> Self {
        let url = database.url(SERVICE);
        Self::at(database, &url).await
    }

    /// Two instances on one database with the demo data.
    pub async fn two() -> (Self, Self) {
        let one = Self::start().await;
        let two = Self::on(one.database.clone()).await;
        (one, two)
    }

    /// On this database by way of another address: a proxy's, say.
    pub async fn at(database: Database, url: &str) -> Self {
        Self::with(database, url, &settings()).await
    }

    /// With settings of its own.
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

    /// Why it does not start at this address.
    ///
    /// # Panics
    /// It starts.
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

    /// Stops as in production: nothing new, and what is in flight finishes.
    pub async fn stop(mut self) {
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
    }

    /// Waits until the pooler, if the run has one, has noticed that its database is back.
    ///
    /// PgBouncer answers the first client that connects with the failure that it remembers, and tries the server again only
    /// then, `server_login_retry` after the last attempt at the earliest. The service passes this on as a 503.
    pub async fn pooler_has_recovered(&self) {
        if PgBouncer::is_wanted() {
            until("the pooler reaches its database", async || {
                self.nobody().get("/readyz").await.status == 200
            })
            .await;
        }
    }

    /// How many orders there are beside those of the demo data.
    pub async fn orders(&self) -> usize {
        let sql = "SELECT count(*) FROM orders WHERE created_by NOT IN
                   (SELECT actor_id FROM audit_events WHERE request_id = 'demo')";
        self.database.value(sql).await.parse().unwrap()
    }

    /// A client without credentials.
    #[must_use]
    pub fn nobody(&self) -> Client {
        Client::new(self.http.clone(), &self.base, None)
    }

    /// A client with this text for a token.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Client {
        Client::new(self.http.clone(), &self.base, Some(token.to_owned()))
    }

    /// A client with a good token for this business and authority, each time of another user.
    #[must_use]
    pub fn caller(&self, business_id: BusinessId, authority: Authority) -> Client {
        self.caller_as(UserId::new(), business_id, authority)
    }

    /// A client of this very user.
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

    /// An admin of Acme.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.caller(demo::ACME, Authority::Admin)
    }

    /// Someone of Acme's staff.
    #[must_use]
    pub fn staff(&self) -> Client {
        self.caller(demo::ACME, Authority::Staff)
    }

    /// The buyer of Acme's customer.
    #[must_use]
    pub fn customer(&self) -> Client {
        self.caller(demo::ACME, Authority::Customer(demo::ACME_CUSTOMER))
    }

    /// The platform.
    #[must_use]
    pub fn platform(&self) -> Client {
        self.bearer(&platform_token())
    }

    /// An admin of Globex, the other business.
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

/// No test speaks TLS, but reqwest as the workspace builds it wants to know how it would.
fn http_client() -> reqwest::Client {
    // The second time it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// What a good token says, of another user each time.
#[must_use]
pub fn claims(business_id: BusinessId, authority: Authority) -> Claims {
    let issued_at = chrono::Utc::now().timestamp();
    Claims {
        user_id: UserId::new(),
        business_id,
        authority,
        version: None,
        issued_at,
        expires_at: issued_at + 600,
    }
}

/// A token that says this, signed with this secret.
#[must_use]
pub fn signed(claims: &Claims, secret: &str) -> String {
    let keys = Keys::new(secret.as_bytes()).unwrap();
    keys.sign(claims).unwrap()
}

/// A token of the platform, of another user each time.
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
