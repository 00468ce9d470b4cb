//! The running service: HTTP workers, the desk and the background tasks, on one database.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use actix_http::HttpService;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::dev::{AppConfig, Server, ServerHandle, fn_service};
use actix_web::middleware::from_fn;
use actix_web::{App, rt};
use domain::card::PaymentWorker;
use domain::catalogue::pictures::Pictures;
use domain::desk::Desk;
use domain::foundation::idempotency;
use domain::identity::passwords::Passwords;
use domain::identity::{refresh_tokens, session_rows};
use domain::reports::figures;
use domain::stock::availability::Hub;
use domain::{AccessLog, CannotConnect, CatalogueCache, Database, Secret};
use hmac::digest::InvalidLength;
use tokio::time::timeout;

use crate::access::token::{Keys, Verifier, WeakSecret};
use crate::app;
use crate::commands::verify;
use crate::config::{BadSettings, Checked, Settings};
use crate::http::limits::LimitSettings;
use crate::http::limits::Limits;
use crate::http::site::Site;
use crate::http::{compression, connection_progress, headers, limits, log, request};
use crate::schema::body::BodyTimeout;
use crate::schema::idempotency::Hasher;
use crate::state::State;

/// The time to read the response for a client that is rejected in the middle of a large body.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// At shutdown: the time for the desk's batches to finish. After it, the time of requests in flight starts.
const BATCHES_TIMEOUT: Duration = Duration::from_secs(10);
/// At shutdown: the time for requests in flight to finish.
const STOP_TIMEOUT_SECONDS: u64 = 30;
/// The time for which the start waits for a database that is starting too.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(30);
/// The database connections for all watchers of availability together.
const WATCH_CONNECTIONS: u32 = 2;
/// The interval at which expired idempotency keys, refresh tokens and sessions are deleted.
const RETENTION_INTERVAL: Duration = Duration::from_secs(600);

/// A running service.
#[derive(Debug)]
pub struct Service {
    /// The address on which it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
    server: tokio::task::JoinHandle<io::Result<()>>,
    desk: Arc<Desk>,
    availability: Arc<Hub>,
    access_log: Arc<AccessLog>,
    database: Database,
    lanes: usize,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are inconsistent.
    #[error(transparent)]
    Settings(#[from] BadSettings),
    /// `DATABASE_URL` is not a valid URL.
    #[error("DATABASE_URL is not usable: {0}")]
    DatabaseUrl(sea_orm::DbErr),
    /// No connection could be opened.
    #[error(transparent)]
    Connect(#[from] CannotConnect),
    /// The database does not answer.
    #[error("the database cannot be used: {0}")]
    Database(#[from] domain::Error),
    /// The folder of pictures cannot be used.
    #[error("TRADELINE_PICTURES: {0}")]
    Pictures(domain::Error),
    /// The role is not subject to row security.
    #[error(
        "{0}. The service must not run like that: let it connect as a role that is granted `tradeline_service` and \
         nothing else"
    )]
    Role(String),
    /// The pooler drops prepared statements, so that statements would fail in every transaction but the first.
    #[error(
        "the connection pooler before the database does not keep prepared statements from one transaction to the next. \
         The service needs them: use PgBouncer 1.21 or newer in transaction mode with max_prepared_statements above 0, \
         or a pooler in session mode, or no pooler"
    )]
    Pooler,
    /// The secret is too short.
    #[error("TRADELINE_JWT_SECRET: {0}")]
    Secret(#[from] WeakSecret),
    /// HMAC refused the secret: a bug, since it accepts keys of any length.
    #[error("requests cannot be hashed: {0}")]
    Hash(#[from] InvalidLength),
    /// Another recorder of metrics is installed in the process.
    #[error("the metrics cannot be recorded: {0}")]
    Metrics(String),
    /// The app cannot be built: a bug.
    #[error(transparent)]
    App(#[from] app::Error),
    /// The address to listen on is taken, or does not belong to this machine.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

impl Service {
    /// Starts the service on a socket that already listens.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(
        settings: &Settings,
        database_url: &Secret,
        jwt_secret: &Secret,
        listener: TcpListener,
    ) -> Result<Self, Error> {
        let checked = settings.parties().await?;
        Self::start_checked(settings, checked, database_url, jwt_secret, listener).await
    }

    /// As [`Service::start`], with the parts that the check of the settings has built.
    ///
    /// # Errors
    /// See [`Error`].
    #[expect(
        clippy::too_many_lines,
        reason = "the parts of the service, in the order in which they start"
    )]
    pub async fn start_checked(
        settings: &Settings,
        checked: Checked,
        database_url: &Secret,
        jwt_secret: &Secret,
        listener: TcpListener,
    ) -> Result<Self, Error> {
        let cores = available_parallelism().map_or(1, usize::from);
        let workers = settings.workers.map_or(cores, usize::from);
        let lanes = settings.lanes.map_or(cores, usize::from);
        let connections = u32::from(settings.connections);
        let secret = jwt_secret.reveal().as_bytes();
        let (keys, hasher) = (Arc::new(Keys::new(secret)?), Arc::new(Hasher::new(secret)?));
        let Checked { providers, issuer } = checked;
        let verifier = Arc::new(Verifier::new(Arc::clone(&keys), issuer));
        let database =
            Database::new(database_url.reveal(), connections).map_err(Error::DatabaseUrl)?;
        check(&database).await?;

        crate::metrics::start().map_err(|error| Error::Metrics(error.to_string()))?;
        let state = State {
            desk: Arc::default(),
            sweeper: Arc::default(),
            payment_worker: Arc::new(PaymentWorker::new(providers.provider)),
            webhooks: providers.webhooks,
            publishable_key: providers.publishable_key,
            payment_seconds: settings.payments.payment_seconds,
            availability: Hub::new(database.another(WATCH_CONNECTIONS)),
            pictures: Arc::new(Pictures::open(&settings.pictures).map_err(Error::Pictures)?),
            businesses: Arc::default(),
            catalogue: Arc::new(CatalogueCache::new(Duration::from_millis(
                settings.catalogue_cache_ms.into(),
            ))),
            revocation: Arc::default(),
            sessions: Arc::default(),
            is_demo: settings.wants_demo(),
            site: Arc::new(Site::new(settings.public_url.clone(), settings.listen)),
            access_log: Arc::new(AccessLog::start(database.clone())),
            sealer: Arc::default(),
            passwords: Passwords::default(),
            hasher,
            keys,
            verifier: Arc::clone(&verifier),
            gateways: Arc::new(settings.identity.gateways()),
            token_seconds: settings.token_seconds,
            limits: Arc::new(Limits::new(&settings.limits)),
            refresh_token_life: Duration::from_secs(settings.refresh_token_seconds.into()),
            readiness: Arc::default(),
            migrations: Arc::new(migration::names()),
            database,
        };
        warn_unless_migrated(&state).await;
        tokio::spawn(delete_expired(state.clone()));
        let own = state.database.clone();
        tokio::spawn(async move { figures::run(&own).await });
        let (sweeper, own) = (Arc::clone(&state.sweeper), state.database.another(1));
        tokio::spawn(async move { sweeper.run(&own).await });
        let (payment_worker, own) = (Arc::clone(&state.payment_worker), state.database.another(1));
        tokio::spawn(async move { payment_worker.run(&own).await });
        tokio::spawn(async move { verifier.keep_fresh().await });
        let (sealer, connection) = (Arc::clone(&state.sealer), state.database.another(1));
        let every = Duration::from_secs(settings.seal_every.into());
        tokio::spawn(async move { sealer.run(connection, every).await });
        if let Some(seconds) = settings.verify_every {
            let every = Duration::from_secs(seconds.into());
            tokio::spawn(verify::run_periodically(state.database.another(1), every));
        }

        let address = listener.local_addr()?;
        let (desk, access_log) = (Arc::clone(&state.desk), Arc::clone(&state.access_log));
        let availability = Arc::clone(&state.availability);
        let database = state.database.clone();
        let sizes = Sizes {
            workers,
            lanes,
            connections,
        };
        let server = http(state, sizes, &settings.limits, listener)?;
        let handle = server.handle();
        let server = tokio::spawn(server);
        Ok(Self {
            address,
            handle,
            server,
            desk,
            availability,
            access_log,
            database,
            lanes,
        })
    }

    /// Stops the service: it accepts no new connections, and requests in flight finish.
    pub async fn stop(self) {
        self.handle.pause().await;
        // A stream is a request in flight that would never finish.
        self.availability.stop();
        // A worker ends when it has no connections, and its lanes end with it. Commands that other workers still wait
        // for are executed by lanes on this runtime, which outlives the workers.
        let handed_over = self.desk.hand_over(&self.database, self.lanes);
        if timeout(BATCHES_TIMEOUT, handed_over).await.is_err() {
            tracing::warn!(
                "a batch of the desk is still running; the service stops without waiting for it"
            );
        }
        self.handle.stop(true).await;
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the HTTP server failed");
        }
        self.access_log.flush().await;
    }

    /// Stops the service at once, without waiting for requests.
    pub fn abort(&self) {
        self.availability.stop();
        drop(self.handle.stop(false));
        self.server.abort();
    }
}

/// The degrees of concurrency.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    workers: usize,
    lanes: usize,
    connections: u32,
}

impl Sizes {
    /// The number of lanes on this worker, counted from 0.
    fn lanes_of(self, worker: usize) -> usize {
        self.lanes / self.workers + usize::from(worker < self.lanes % self.workers)
    }
}

fn http(
    state: State,
    sizes: Sizes,
    limits: &LimitSettings,
    listener: TcpListener,
) -> Result<Server, Error> {
    let request_timeout = Duration::from_secs(limits.request_seconds.into());
    let idle = Duration::from_secs(limits.idle_seconds.into());
    let origins = limits.cors_origins.clone();
    let parts = app::Parts::new()?;
    let started = Arc::new(AtomicUsize::new(0));
    let app = move || {
        // Runs on each worker's own thread. A worker that replaces a dead one also takes over its lanes.
        let worker = started.fetch_add(1, Ordering::Relaxed) % sizes.workers;
        connection_progress::start(idle + request_timeout);
        let state = State {
            database: state.database.another(sizes.connections),
            ..state.clone()
        };
        state
            .desk
            .add_lanes(&state.database, sizes.lanes_of(worker));
        App::new()
            .configure(|config| app::configure(config, &parts, state))
            .app_data(BodyTimeout(request_timeout))
            .wrap(from_fn(compression::answers))
            .wrap(from_fn(limits::outside_the_api))
            .wrap(headers::cors(&origins))
            .wrap(log::requests())
            .wrap(from_fn(request::outermost))
    };
    let server = Server::build()
        .workers(sizes.workers)
        .max_concurrent_connections(limits.clients.into())
        .shutdown_timeout(STOP_TIMEOUT_SECONDS)
        .disable_signals();
    let stopping = server.graceful_shutdown_signal();
    // As `actix_web::HttpServer` does it, which cannot set the handler of `Expect: 100-continue`.
    let server = server.listen("http", listener, move || {
        let stopping = stopping.clone();
        let app = app().into_factory();
        let app = app.map_err(|error: actix_web::Error| error.error_response());
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(idle)
            .client_request_timeout(request_timeout)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            // A client that closes its side has given up. Its request is dropped, and buys nothing if it still waits.
            .h1_allow_half_closed(false)
            .expect(fn_service(request::before_continue))
            .on_connect_ext(|stream: &rt::net::TcpStream, data| {
                connection_progress::watch(stream, data)
            })
            .finish(map_config(app, |()| AppConfig::default()))
            .tcp()
    })?;
    Ok(server.run())
}

/// Waits for the database. Rejects a pooler that drops prepared statements, and a role that is not subject to row
/// security.
async fn check(database: &Database) -> Result<(), Error> {
    let started = Instant::now();
    let mut said = String::new();
    let objection = loop {
        let error = match objection(database).await {
            Ok(objection) => break objection,
            Err(error) => error,
        };
        if !error.may_pass() || started.elapsed() > DATABASE_TIMEOUT {
            return Err(error);
        }
        let cause = log::with_causes(&error);
        if cause != said {
            let seconds = DATABASE_TIMEOUT.as_secs();
            tracing::warn!("waiting up to {seconds} s for the database: {cause}");
            said = cause;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    match objection {
        Some(objection) => Err(objection),
        None => Ok(()),
    }
}

/// The reason to reject the pooler or the role of the database's URL; `None` if there is none. Fails while the database
/// cannot be queried: a pooler may accept a client although it cannot reach its server.
async fn objection(database: &Database) -> Result<Option<Error>, Error> {
    database.try_to_connect().await?;
    if !database.keeps_prepared_statements().await? {
        return Ok(Some(Error::Pooler));
    }
    Ok(database.role_objection().await?.map(Error::Role))
}

impl Error {
    /// Whether the cause may be a database that is starting.
    fn may_pass(&self) -> bool {
        match self {
            Self::Connect(error) => error.may_pass,
            Self::Database(error) => matches!(error, domain::Error::DatabaseUnavailable(_)),
            _ => false,
        }
    }
}

async fn warn_unless_migrated(state: &State) {
    match state.database.schema_state(&state.migrations).await {
        Ok(schema) => match schema.objection() {
            Some(objection) => tracing::warn!("not ready: {objection}"),
            None if schema.ahead.is_empty() => {}
            None => tracing::info!(
                ahead = schema.ahead.join(", "),
                "the database has migrations of a later version that are compatible with this one"
            ),
        },
        Err(error) => {
            tracing::warn!(%error, "not ready: the database's migrations cannot be read");
        }
    }
}

/// Deletes expired idempotency keys, refresh tokens and sessions, and files of no picture, of the businesses in the business
/// cache, in a loop that never ends.
async fn delete_expired(state: State) {
    loop {
        tokio::time::sleep(RETENTION_INTERVAL).await;
        for business in state.businesses.met() {
            if let Err(error) = idempotency::delete_expired(&state.database, business).await {
                tracing::warn!(%error, %business, "expired idempotency keys were not deleted; the next run retries");
            }
            if let Err(error) = refresh_tokens::delete_expired(&state.database, business).await {
                tracing::warn!(%error, %business, "expired refresh tokens were not deleted; the next run retries");
            }
            let orphans = state.pictures.delete_orphans(&state.database, business);
            if let Err(error) = orphans.await {
                tracing::warn!(%error, %business, "files of no picture were not deleted; the next run retries");
            }
            if let Err(error) = session_rows::delete_expired(&state.database, business).await {
                tracing::warn!(%error, %business, "expired sessions were not deleted; the next run retries");
            }
        }
    }
}
