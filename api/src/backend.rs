//! The database behind the service: the one that `DATABASE_URL` names, or a private one that this process runs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Database, Secret, demo};
use embedded::Server;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr};

use crate::config::Settings;

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
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is missing.
    #[error("TRADELINE_JWT_SECRET must be set with DATABASE_URL: every process needs the same one")]
    NoSecret,
    /// There is no database to look at.
    #[error("there is no database in {}: set DATABASE_URL, or start the service first", .0.display())]
    NoDatabase(PathBuf),
    /// The private server did not start.
    #[error(transparent)]
    Server(#[from] embedded::Error),
    /// The private server does not do what it must.
    #[error("the embedded database could not be prepared: {0}")]
    Prepare(#[from] DbErr),
    /// The demo data could not be loaded.
    #[error("the demo data could not be loaded: {0}")]
    Demo(domain::Error),
    /// The secret cannot be read or written.
    #[error("{}: {source}", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Backend {
    /// Takes the database that is configured as it is, or starts the private one, migrates it and loads the demo data.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        match &settings.database_url {
            Some(url) => Ok(Self {
                url: url.clone(),
                jwt_secret: settings.jwt_secret.clone().ok_or(Error::NoSecret)?,
                server: None,
            }),
            None => Self::embedded(settings).await,
        }
    }

    async fn embedded(settings: &Settings) -> Result<Self, Error> {
        let server = start(settings).await?;
        prepare(&server).await?;
        Ok(Self {
            url: Secret::from(server.url(SERVICE, DATABASE)),
            jwt_secret: jwt_secret(settings)?,
            server: Some(server),
        })
    }
}

/// The database alone, to look at: the one that is configured, or the private one, with its server if none runs on it.
/// Nothing is made that is not there.
///
/// # Errors
/// See [`Error`].
pub async fn database(settings: &Settings) -> Result<(Secret, Option<Server>), Error> {
    if let Some(url) = &settings.database_url {
        return Ok((url.clone(), None));
    }
    if let Ok(url) = url_of_running(settings) {
        return Ok((Secret::from(url), None));
    }
    if !settings.data_dir.join("postgres").exists() {
        return Err(Error::NoDatabase(settings.data_dir.clone()));
    }
    let server = start(settings).await?;
    Ok((Secret::from(server.url(SERVICE, DATABASE)), Some(server)))
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

/// The secret that is set, or the one in the data folder, which is made if it is not there.
///
/// # Errors
/// [`Error::NoSecret`], [`Error::SecretFile`].
pub fn jwt_secret(settings: &Settings) -> Result<Secret, Error> {
    if let Some(secret) = &settings.jwt_secret {
        return Ok(secret.clone());
    }
    if settings.database_url.is_some() {
        return Err(Error::NoSecret);
    }
    let path = settings.data_dir.join("jwt-secret");
    kept_secret(&settings.data_dir, &path).map_err(|source| Error::SecretFile { path, source })
}

fn kept_secret(folder: &Path, path: &Path) -> io::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(secret) => return Ok(Secret::from(secret)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir_all(folder)?;
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    // Written whole under another name first: a process that is killed here leaves no half of a secret.
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(Secret::from(secret))
}

/// Makes the roles and the database if they are not there, migrates, and loads the demo data once. Each step is done or
/// not done, so a start that was interrupted is taken up where it was.
async fn prepare(server: &Server) -> Result<(), Error> {
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

    let url = server.url(OWNER, DATABASE);
    let owner = connect(url.clone()).await?;
    Migrator::up(&owner, None).await?;
    owner.close().await?;
    let owner = Database::new(&url, 1)?;
    if demo::load(&owner).await.map_err(Error::Demo)? {
        tracing::info!("the demo data is loaded");
    }
    owner.close().await;
    Ok(())
}

async fn connect(url: String) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await
}

async fn exists(superuser: &DatabaseConnection, query: &str, name: &str) -> Result<bool, DbErr> {
    // The names are constants of this file.
    let statement = sea_orm::Statement::from_string(
        sea_orm::DbBackend::Postgres,
        format!("{query} = '{name}'"),
    );
    Ok(superuser.query_one_raw(statement).await?.is_some())
}
