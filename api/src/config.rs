//! What can be set, from flags and the environment: one documented struct, checked at start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};
use domain::Authority;
use entity::{BusinessId, CustomerId, UserId};
use uuid::Uuid;

use crate::log::Format;
use crate::token::Claims;

/// Orders, stock and trade credit for many businesses, on PostgreSQL.
///
/// Without DATABASE_URL the service runs a private PostgreSQL of its own, applies the migrations and loads demo data
/// once. With it, the service uses that database as it is: migrate it first, with the program `migration`.
#[derive(Debug, Parser)]
#[command(
    name = "tradeline",
    version,
    after_long_help = "RUST_LOG sets what is logged, for example RUST_LOG=warn,domain=debug; `info` less the small talk of libraries if left out."
)]
pub struct Cli {
    /// What to do; `serve` if left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings, for every command.
    #[command(flatten)]
    pub settings: Settings,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service (the default).
    Serve,
    /// Print a token for a script, signed with the service's own secret.
    Token(TokenRequest),
    /// Print the OpenAPI document.
    Openapi,
    /// Print the address of the embedded database, for psql. The service must be running.
    DatabaseUrl,
}

/// Every setting.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The PostgreSQL to use, 15 or newer, as a role that owns nothing: postgres://role:password@host:5432/name.
    /// Left out: the embedded one.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        global = true,
        value_name = "URL"
    )]
    pub database_url: Option<Secret>,
    /// The address to listen on.
    #[arg(
        long,
        env = "TRADELINE_LISTEN",
        default_value = "127.0.0.1:8080",
        global = true,
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,
    /// The folder of the embedded database and of the secret that is made for it.
    #[arg(
        long,
        env = "TRADELINE_DATA_DIR",
        default_value = ".tradeline",
        global = true,
        value_name = "FOLDER"
    )]
    pub data_dir: PathBuf,
    /// What tokens are signed with, 32 bytes or more. Required with DATABASE_URL; otherwise made once and kept in the
    /// data folder.
    #[arg(
        long,
        env = "TRADELINE_JWT_SECRET",
        hide_env_values = true,
        global = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,
    /// How long a token from a login is good, in seconds.
    #[arg(long, env = "TRADELINE_TOKEN_SECONDS", default_value_t = 3600, global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(60..=86_400))]
    pub token_seconds: u32,
    /// How long a refresh token is good, in seconds; each use of one makes the next. 30 days if left out.
    #[arg(long, env = "TRADELINE_REFRESH_TOKEN_SECONDS", default_value_t = 2_592_000, global = true,
          value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(60..=31_622_400))]
    pub refresh_token_seconds: u32,
    /// Threads that serve HTTP. Left out: one a core.
    #[arg(long, env = "TRADELINE_WORKERS", global = true, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// Transactions that sell at the same time, one connection each. Count them over all processes on one database:
    /// about as many as the database has cores. Left out: one a core of this machine.
    #[arg(long, env = "TRADELINE_LANES", global = true, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub lanes: Option<u16>,
    /// Database connections for everything but sales, for each HTTP thread.
    #[arg(long, env = "TRADELINE_CONNECTIONS", default_value_t = 5, global = true, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=100))]
    pub connections: u16,
    /// How the log is written.
    #[arg(long, env = "TRADELINE_LOG", value_enum, default_value_t = Format::Pretty, global = true)]
    pub log: Format,
}

/// A token to print.
#[derive(Debug, Args)]
pub struct TokenRequest {
    /// The business that the token is for.
    #[arg(long, value_name = "UUID")]
    pub business: Uuid,
    /// What its holder may do.
    #[arg(long, value_enum)]
    pub role: RoleName,
    /// The customer, for the role `customer`.
    #[arg(long, value_name = "UUID", required_if_eq("role", "customer"))]
    pub customer: Option<Uuid>,
    /// Who its holder is in the audit trail, and for idempotency keys.
    #[arg(long, value_name = "UUID", default_value_t = Uuid::nil())]
    pub subject: Uuid,
    /// How long it is good, in seconds; at most 366 days.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=31_622_400))]
    pub seconds: u32,
}

/// The roles that a token can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Everything in its business.
    Admin,
    /// Sells, takes payments, fulfils, adjusts stock.
    Staff,
    /// Its own orders, balance and profile.
    Customer,
}

impl TokenRequest {
    /// What the token says. The command line asks for a customer where the role needs one.
    #[must_use]
    pub fn claims(&self, now: DateTime<Utc>) -> Option<Claims> {
        let authority = match self.role {
            RoleName::Admin => Authority::Admin,
            RoleName::Staff => Authority::Staff,
            RoleName::Customer => Authority::Customer(CustomerId(self.customer?)),
        };
        let issued_at = now.timestamp();
        Some(Claims {
            user_id: UserId(self.subject),
            business_id: BusinessId(self.business),
            authority,
            version: None,
            issued_at,
            expires_at: issued_at + i64::from(self.seconds),
        })
    }
}

/// Text that must not be shown. Its debug output does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_documents_every_variable_and_shows_no_secret() {
        let help = Cli::command().render_long_help().to_string();
        for variable in [
            "DATABASE_URL",
            "TRADELINE_LISTEN",
            "TRADELINE_DATA_DIR",
            "TRADELINE_JWT_SECRET",
            "TRADELINE_TOKEN_SECONDS",
            "TRADELINE_REFRESH_TOKEN_SECONDS",
            "TRADELINE_WORKERS",
            "TRADELINE_LANES",
            "TRADELINE_CONNECTIONS",
            "TRADELINE_LOG",
            "RUST_LOG",
        ] {
            assert!(help.contains(variable), "{variable} is not in\n{help}");
        }
        assert_eq!(
            format!("{:?}", Secret::from("hunter2".to_owned())),
            "Secret(not shown)"
        );
    }
}
