//! The database behind the service: the one that `DATABASE_URL` names, or a private one that this process runs.

use std::path::PathBuf;

use domain::foundation::tenants;
use domain::{CannotConnect, Database, Secret, demo};
use embedded::Server;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use crate::commands::migrations::{self, connect};
use crate::config::{SecretError, Settings, jwt_secret};

/// The role that the service works as: it owns nothing. The migrations grant it what it may.
const SERVICE: &str = "tradeline_service";
/// The role that owns the embedded database's tables.
const OWNER: &str = "tradeline_owner";
/// The embedded database.
const DATABASE: &str = "tradeline";

/// A database that is ready to be used, and the secret that goes with it.
#[derive(Debug)]
pub struct Backend {
    /// Its address, for the service's role.
    pub url: Secret,
    /// What tokens are signed with.
    pub jwt_secret: Secret,
    /// The private server, when there is one. The database lives as long as this does.
    pub server: Option<Server>,
    /// Whether it has demo businesses, with logins that everyone knows.
    pub has_demo: bool,
}

/// As whom a command connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The service, which owns nothing.
    Service,
    /// The owner of the tables, which migrates them.
    Owner,
}

impl Role {
    /// Its name in the embedded database.
    fn name(self) -> &'static str {
        match self {
            Self::Service => SERVICE,
            Self::Owner => OWNER,
        }
    }
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no database to look at.
    #[error("there is no database in {}: set DATABASE_URL, or start the service first", .0.display())]
    NoDatabase(PathBuf),
    /// The private server did not start.
    #[error(transparent)]
    Server(#[from] embedded::Error),
    /// The private server does not do what it must.
    #[error("the embedded database could not be prepared: {0}")]
    Prepare(#[from] DbErr),
    /// The migrations are not applied, or could not be.
    #[error(transparent)]
    Migrate(#[from] migrations::Error),
    /// The demo data could not be loaded.
    #[error("the demo data could not be loaded: {0}")]
    Demo(domain::Error),
    /// The address of the database is not one.
    #[error("DATABASE_URL is not usable: {0}")]
    Url(DbErr),
    /// The database lets nobody in.
    #[error(transparent)]
    Connect(#[from] CannotConnect),
    /// The role sees through row security.
    #[error("{0}. Let this command connect as the service does")]
    Role(String),
    /// The database did not answer.
    #[error("the database cannot be used: {0}")]
    Database(#[from] domain::Error),
}

impl Backend {
    /// Takes the database that is configured as it is, or starts the private one, migrates it and, unless that is not
    /// wanted, loads the demo data.
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

/// The address of the database for a command: that which is configured, or the private one, with its server if none runs
/// on it. No database is made in a folder without one.
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

/// The database for a command that works as the service does: one connection, as a role that row security binds, on a
/// schema that this version works with.
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

/// The address of the embedded database of a service that runs.
///
/// # Errors
/// [`Error::Server`] when none runs.
pub fn url_of_running(settings: &Settings) -> Result<String, Error> {
    Ok(embedded::url_of(&settings.data_dir, SERVICE, DATABASE)?)
}

/// Makes the roles and the database if they are not there. Each step is done or not done, so a start that was interrupted
/// is taken up where it was.
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

/// Loads the demo data if it is wanted and there is no business yet. Says whether the database has it.
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
    // The names are constants of this file.
    let statement = sea_orm::Statement::from_string(
        sea_orm::DbBackend::Postgres,
        format!("{query} = '{name}'"),
    );
    Ok(superuser.query_one_raw(statement).await?.is_some())
}
