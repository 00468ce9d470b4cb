//! The choice of the database: the one that `DATABASE_URL` names, or an embedded one that this process runs.

use std::path::PathBuf;

use domain::foundation::tenants;
use domain::{CannotConnect, Database, Secret, demo};
use embedded::Server;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use crate::commands::migrations::{self, connect};
use crate::config::{SecretError, Settings, jwt_secret};

/// The role that the service connects as. It owns nothing; the migrations grant it what it needs.
const SERVICE: &str = "tradeline_service";
/// The role that owns the tables of the embedded database.
const OWNER: &str = "tradeline_owner";
/// The name of the embedded database.
const DATABASE: &str = "tradeline";

/// A usable database, with the secret that belongs to it.
#[derive(Debug)]
pub struct DatabaseChoice {
    /// The URL, for the service's role.
    pub url: Secret,
    /// The secret that signs tokens.
    pub jwt_secret: Secret,
    /// The embedded server; `None` with `DATABASE_URL`. The database lives as long as this value.
    pub server: Option<Server>,
    /// Whether the database has demo businesses, whose logins are public.
    pub has_demo: bool,
}

/// The role as which a command connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The service, which owns nothing.
    Service,
    /// The owner of the tables, which migrates them.
    Owner,
}

impl Role {
    /// The role's name in the embedded database.
    fn name(self) -> &'static str {
        match self {
            Self::Service => SERVICE,
            Self::Owner => OWNER,
        }
    }
}

/// Why there is no usable database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The data folder has no database.
    #[error("there is no database in {}: set DATABASE_URL, or start the service first", .0.display())]
    NoDatabase(PathBuf),
    /// The embedded server did not start.
    #[error(transparent)]
    Server(#[from] embedded::Error),
    /// The embedded server refused a statement of the preparation.
    #[error("the embedded database could not be prepared: {0}")]
    Prepare(#[from] DbErr),
    /// The migrations are not applied, or could not be applied.
    #[error(transparent)]
    Migrate(#[from] migrations::Error),
    /// The demo data could not be loaded.
    #[error("the demo data could not be loaded: {0}")]
    Demo(domain::Error),
    /// `DATABASE_URL` is not a valid URL.
    #[error("DATABASE_URL is not usable: {0}")]
    Url(DbErr),
    /// No connection could be opened.
    #[error(transparent)]
    Connect(#[from] CannotConnect),
    /// The role bypasses row security.
    #[error("{0}. Let this command connect as the service does")]
    Role(String),
    /// The database did not answer.
    #[error("the database cannot be used: {0}")]
    Database(#[from] domain::Error),
}

impl DatabaseChoice {
    /// Uses the configured database as it is. Without one, starts the embedded server, migrates its database and loads
    /// the demo data, unless that is disabled.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        match &settings.database_url {
            Some(url) => Ok(Self {
                url: url.clone(),
                jwt_secret: settings.jwt_secret.clone().ok_or(SecretError::NoSecret)?,
                server: None,
                has_demo: false,
            }),
            None => Self::embedded(settings).await,
        }
    }

    async fn embedded(settings: &Settings) -> Result<Self, Error> {
        let server = start(settings).await?;
        make_database(&server).await?;
        let owner = server.url(OWNER, DATABASE);
        migrations::up(&owner).await?;
        Ok(Self {
            url: Secret::from(server.url(SERVICE, DATABASE)),
            jwt_secret: jwt_secret(settings)?,
            has_demo: demo_data(&owner, settings.wants_demo()).await?,
            server: Some(server),
        })
    }
}

/// The URL of the database for a command: the configured one, or the embedded one. Starts the embedded server if none
/// is running. Creates no database in a folder without one.
///
/// # Errors
/// See [`Error`].
pub async fn database(settings: &Settings, role: Role) -> Result<(Secret, Option<Server>), Error> {
    if let Some(url) = &settings.database_url {
        return Ok((url.clone(), None));
    }
    if let Ok(url) = embedded::url_of(&settings.data_dir, role.name(), DATABASE) {
        return Ok((Secret::from(url), None));
    }
    if !settings.data_dir.join("postgres").exists() {
        return Err(Error::NoDatabase(settings.data_dir.clone()));
    }
    let server = start(settings).await?;
    make_database(&server).await?;
    let url = server.url(role.name(), DATABASE);
    Ok((Secret::from(url), Some(server)))
}

/// Opens the database for a command that acts as the service: one connection, in a role subject to row security, on a
/// schema that this version supports.
///
/// # Errors
/// See [`Error`].
pub async fn open_as_service(settings: &Settings) -> Result<(Database, Option<Server>), Error> {
    let (url, server) = database(settings, Role::Service).await?;
    let database = Database::new(url.reveal(), 1).map_err(Error::Url)?;
    database.try_to_connect().await?;
    if let Some(objection) = database.role_objection().await? {
        return Err(Error::Role(objection));
    }
    migrations::check(&database).await?;
    Ok((database, server))
}

async fn start(settings: &Settings) -> Result<Server, embedded::Error> {
    Server::start(embedded::Settings {
        folder: settings.data_dir.clone(),
        settings: Vec::new(),
        scratch: false,
    })
    .await
}

/// The URL of the embedded database of a running service.
///
/// # Errors
/// [`Error::Server`] when none is running.
pub fn url_of_running(settings: &Settings) -> Result<String, Error> {
    Ok(embedded::url_of(&settings.data_dir, SERVICE, DATABASE)?)
}

/// Creates the roles and the database if they are missing. Each step is idempotent, so an interrupted start continues
/// where it stopped.
async fn make_database(server: &Server) -> Result<(), Error> {
    let superuser = connect(server.url("postgres", "postgres")).await?;
    for role in [OWNER, SERVICE] {
        if !exists(&superuser, "SELECT 1 FROM pg_roles WHERE rolname", role).await? {
            superuser
                .execute_unprepared(&format!("CREATE ROLE {role} LOGIN"))
                .await?;
        }
    }
    if !exists(
        &superuser,
        "SELECT 1 FROM pg_database WHERE datname",
        DATABASE,
    )
    .await?
    {
        superuser
            .execute_unprepared(&format!("CREATE DATABASE {DATABASE} OWNER {OWNER}"))
            .await?;
    }
    superuser.close().await?;
    Ok(())
}

/// Loads the demo data if it is wanted and no business exists. Returns whether the database has it.
async fn demo_data(owner: &str, wanted: bool) -> Result<bool, Error> {
    let owner = Database::new(owner, 1)?;
    let businesses = tenants::all_businesses(&owner).await.map_err(Error::Demo)?;
    let has_demo = businesses.contains(&demo::ACME);
    let is_loaded = match (wanted, has_demo) {
        (true, false) if businesses.is_empty() => {
            demo::load(&owner).await.map_err(Error::Demo)?;
            tracing::info!("the demo data is loaded");
            true
        }
        (true, false) => {
            tracing::info!("no demo data is loaded: the database has businesses of its own");
            false
        }
        (false, true) => {
            tracing::warn!(
                "the data folder has the demo businesses of an earlier start, with logins that everyone knows. \
                 TRADELINE_NO_DEMO does not remove them: choose another data folder for real use"
            );
            true
        }
        (_, has_demo) => has_demo,
    };
    owner.close().await;
    Ok(is_loaded)
}

async fn exists(superuser: &DatabaseConnection, query: &str, name: &str) -> Result<bool, DbErr> {
    // The names are constants of this file, so the text needs no escaping.
    let statement = sea_orm::Statement::from_string(
        sea_orm::DbBackend::Postgres,
        format!("{query} = '{name}'"),
    );
    Ok(superuser.query_one_raw(statement).await?.is_some())
}
