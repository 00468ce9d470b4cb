//! The settings, from flags and the environment: one documented struct that is checked at start.

mod business_request;
mod checked;
mod environment;
mod identity_settings;
mod payments;
mod pictures;
mod secret_file;

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};
use domain::catalogue::pictures::Place;
use domain::{Authority, Secret};
use entity::{BusinessId, CustomerId, UserId};
use uuid::Uuid;

use crate::access::token::{Claims, Keys, PlatformClaims, RoleName};
use crate::http::headers::WebOrigin;
use crate::http::limits::LimitSettings;
use crate::http::log::Format;

pub use business_request::BusinessRequest;
pub use checked::{BadSettings, Checked};
pub use environment::{UnknownVariable, unknown_variables};
pub use identity_settings::{BadIdentitySettings, GatewayRole, IdentitySettings};
pub use payments::{ApiBase, BadApiBase, BadPayments, Payments, ProviderName, Providers};
pub use secret_file::{SecretError, jwt_secret, known_secret};

/// Orders, stock and trade credit for many businesses, on PostgreSQL.
///
/// Without DATABASE_URL, the service runs an embedded PostgreSQL, applies the migrations and loads demo data once. With
/// DATABASE_URL, it uses that database as it is: migrate it first with `tradeline migrate`.
#[derive(Debug, Parser)]
#[command(
    name = "tradeline",
    version,
    after_long_help = "RUST_LOG sets what is logged, for example RUST_LOG=warn,domain=debug; if left out, `info`, with only warnings of libraries."
)]
pub struct Cli {
    /// The command; `serve` if omitted.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings, shared by all commands.
    #[command(flatten)]
    pub settings: Settings,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service (the default).
    Serve,
    /// Print a token for a script, signed with the service's own secret.
    Token(TokenRequest),
    /// Verify the books of every business: balances, ledgers, allocations, orders and stock. Changes nothing. Exits
    /// with 0 if they add up, with 1 if there are differences (one per line), and with 2 if they could not be verified.
    Verify,
    /// Apply the migrations, as the role in DATABASE_URL, which owns the tables. Without DATABASE_URL, migrates the
    /// embedded database. Several processes may run it at once: one applies, the others wait.
    Migrate(MigrateRequest),
    /// Create a business and its first admin, as the service's role. Reads the admin's password from standard input, or
    /// prompts for it on a terminal.
    CreateBusiness(BusinessRequest),
    /// Renumber audit entries that were restored from another server's dump, so that the service can seal the audit
    /// trail again. DATABASE_URL names the owner of the tables. May run at any time; running services wait for it.
    /// Changes nothing if nothing was restored.
    RenumberAudit,
    /// Print the OpenAPI document.
    Openapi,
    /// Print the URL of the embedded database, for psql. The service must be running.
    DatabaseUrl,
}

/// All settings.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The URL of the PostgreSQL database, version 15 or newer, for a role that owns nothing:
    /// postgres://role:password@host:5432/name. If unset, the embedded one is used.
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
    /// The URL by which browsers reach the pages, such as https://shop.example. With https, the cookies of sessions are
    /// sent over HTTPS only. If unset, it is the address to listen on if that is on this machine, and otherwise has
    /// https and the host that browsers name.
    #[arg(long, env = "TRADELINE_PUBLIC_URL", global = true, value_name = "URL")]
    pub public_url: Option<WebOrigin>,
    /// The folder of the embedded database and of the secret that is generated for it.
    #[arg(
        long,
        env = "TRADELINE_DATA_DIR",
        default_value = ".tradeline",
        global = true,
        value_name = "FOLDER"
    )]
    pub data_dir: PathBuf,
    /// Where uploaded pictures of products are kept: `database`, or the absolute path of a folder that all processes
    /// share. Pictures stay where they were when the setting changes, until they are
    /// uploaded again.
    #[arg(long, env = "TRADELINE_PICTURES", default_value = "database", global = true, value_name = "PLACE",
          value_parser = pictures::place)]
    pub pictures: Place,
    /// Creates a new embedded database without demo data and its logins, for real use. Card orders then have no offline
    /// payment provider by default.
    #[arg(
        long,
        env = "TRADELINE_NO_DEMO",
        global = true,
        action = ArgAction::SetTrue,
        value_parser = BoolishValueParser::new()
    )]
    pub no_demo: bool,
    /// The secret that signs tokens, 32 bytes or more. Required with DATABASE_URL. Otherwise it is generated once and
    /// stored in the data folder.
    #[arg(
        long,
        env = "TRADELINE_JWT_SECRET",
        hide_env_values = true,
        global = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,
    /// The lifetime of an access token from a login, in seconds.
    #[arg(long, env = "TRADELINE_TOKEN_SECONDS", default_value_t = 3600, global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(60..=86_400))]
    pub token_seconds: u32,
    /// The lifetime of a refresh token, in seconds. Each use issues a new one. The default is 30 days.
    #[arg(long, env = "TRADELINE_REFRESH_TOKEN_SECONDS", default_value_t = 2_592_000, global = true,
          value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(60..=31_622_400))]
    pub refresh_token_seconds: u32,
    /// The number of HTTP threads. If unset, one per core.
    #[arg(long, env = "TRADELINE_WORKERS", global = true, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// The number of lanes: transactions that sell at the same time, with one connection each. Their total over all
    /// processes should be about the database's number of cores. If unset, one per core of this machine.
    #[arg(long, env = "TRADELINE_LANES", global = true, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub lanes: Option<u16>,
    /// The number of database connections for everything but sales, per HTTP thread.
    #[arg(long, env = "TRADELINE_CONNECTIONS", default_value_t = 5, global = true, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=100))]
    pub connections: u16,
    /// The maximum age of what buyers read of a catalogue, in milliseconds; 0 reads everything from the database. Staff
    /// always do.
    #[arg(long, env = "TRADELINE_CATALOGUE_CACHE_MS", default_value_t = 500, global = true,
          value_name = "MILLISECONDS", value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub catalogue_cache_ms: u16,
    /// Seconds between two verifications of the books, as `verify` does them; /metrics reports the results. One process
    /// per database is enough. If unset, never.
    #[arg(long, env = "TRADELINE_VERIFY_EVERY", global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=2_678_400))]
    pub verify_every: Option<u32>,
    /// Seconds between two checks for new audit entries to seal.
    #[arg(long, env = "TRADELINE_SEAL_EVERY", default_value_t = 1, global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seal_every: u32,
    /// The limits of clients.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// Other issuers and gateways that identify callers.
    #[command(flatten)]
    pub identity: IdentitySettings,
    /// The payment provider for card orders.
    #[command(flatten)]
    pub payments: Payments,
    /// The format of the log.
    #[arg(long, env = "TRADELINE_LOG", value_enum, default_value_t = Format::Pretty, global = true)]
    pub log: Format,
}

/// The migrations to apply or revert.
#[derive(Debug, Args)]
pub struct MigrateRequest {
    /// The action; `up` if omitted.
    #[command(subcommand)]
    pub action: Option<MigrateAction>,
}

/// The actions on migrations.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum MigrateAction {
    /// Apply all pending migrations.
    Up,
    /// Revert the last migrations. Deletes the data that only they can hold.
    Down {
        /// The number of migrations to revert.
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
    },
    /// List all migrations and whether they are applied.
    Status,
}

/// A token to print.
#[derive(Debug, Args)]
pub struct TokenRequest {
    /// The business that the token is for. Required for every role but `platform`.
    #[arg(
        long,
        value_name = "UUID",
        required_unless_present = "role",
        required_if_eq_any([("role", "admin"), ("role", "staff"), ("role", "customer")])
    )]
    pub business: Option<Uuid>,
    /// The role of the token's holder.
    #[arg(long, value_enum)]
    pub role: RoleName,
    /// The customer, for the role `customer`.
    #[arg(long, value_name = "UUID", required_if_eq("role", "customer"))]
    pub customer: Option<Uuid>,
    /// The holder's id in the audit trail and for idempotency keys.
    #[arg(long, value_name = "UUID", default_value_t = Uuid::nil())]
    pub subject: Uuid,
    /// The token's lifetime in seconds, at most 366 days.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=31_622_400))]
    pub seconds: u32,
}

/// Which parts of a token's request conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// A role of a business without a business.
    #[error("the roles admin, staff and customer need --business")]
    NoBusiness,
    /// The role `customer` without a customer.
    #[error("the role customer needs --customer")]
    NoCustomer,
    /// The role `platform` with a business or a customer.
    #[error("the role platform is above businesses: leave out --business and --customer")]
    AboveBusinesses,
}

impl TokenRequest {
    /// Signs the requested token.
    ///
    /// # Errors
    /// [`BadRequest`], or the library's.
    pub fn sign(
        &self,
        keys: &Keys,
        now: DateTime<Utc>,
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let user_id = UserId(self.subject);
        let issued_at = now.timestamp();
        let expires_at = issued_at + i64::from(self.seconds);
        let authority = match (self.role, self.customer) {
            (RoleName::Admin, _) => Authority::Admin,
            (RoleName::Staff, _) => Authority::Staff,
            (RoleName::Customer, Some(customer)) => Authority::Customer(CustomerId(customer)),
            (RoleName::Customer, None) => return Err(BadRequest::NoCustomer.into()),
            (RoleName::Platform, customer) => {
                if self.business.or(customer).is_some() {
                    return Err(BadRequest::AboveBusinesses.into());
                }
                return Ok(keys.sign_platform(&PlatformClaims {
                    user_id,
                    issued_at,
                    expires_at,
                })?);
            }
        };
        let business_id = BusinessId(self.business.ok_or(BadRequest::NoBusiness)?);
        Ok(keys.sign(&Claims {
            user_id,
            business_id,
            authority,
            version: None,
            login: None,
            issued_at,
            expires_at,
        })?)
    }
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn asked(arguments: &[&str]) -> Result<String, String> {
        let arguments = [&["tradeline", "token"], arguments].concat();
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let Some(Command::Token(request)) = cli.command else {
            return Err("another command".to_owned());
        };
        let keys = Keys::new(b"0123456789abcdef0123456789abcdef").unwrap();
        let signed = request.sign(&keys, Utc::now());
        signed.map_err(|error| error.to_string())
    }

    #[test]
    fn a_platform_token_has_no_business_and_every_other_has_one() {
        let id = "0190a5d4-7b1c-7000-8000-000000000001";
        for good in [
            &["--role", "platform"][..],
            &["--role", "admin", "--business", id],
            &["--role", "customer", "--business", id, "--customer", id],
        ] {
            assert!(asked(good).is_ok(), "{good:?}: {:?}", asked(good));
        }
        for bad in [
            &[][..],
            &["--role", "admin"],
            &["--role", "customer", "--business", id],
            &["--role", "customer", "--customer", id],
            &["--role", "platform", "--business", id],
            &["--role", "platform", "--customer", id],
            &["--business", id],
        ] {
            assert!(asked(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn trusted_proxies_cannot_be_all_addresses() {
        let parsed = |networks| Cli::try_parse_from(["tradeline", "--trusted-proxies", networks]);
        for everyone in ["0.0.0.0/0", "::/0", "10.0.0.0/8,::/0"] {
            assert!(parsed(everyone).is_err(), "{everyone}");
        }
        assert!(parsed("10.0.0.0/8,fd00::/8,192.0.2.1").is_ok());
    }

    #[test]
    fn every_setting_is_a_variable_of_its_name_with_an_explanation_and_help_shows_no_secret() {
        let command = Cli::command();
        let settings = command.get_arguments().filter(|setting| {
            let name = setting.get_id().as_str();
            name != "help" && name != "version"
        });
        let mut secrets = Vec::new();
        for setting in settings {
            let variable = match setting.get_id().as_str() {
                // These have the names that other tools use too.
                name @ ("database_url"
                | "stripe_secret_key"
                | "stripe_webhook_secret"
                | "stripe_publishable_key"
                | "stripe_api_base") => name.to_uppercase(),
                name => format!("TRADELINE_{}", name.to_uppercase()),
            };
            assert_eq!(setting.get_env(), Some(variable.as_ref()));
            assert!(setting.get_help().is_some(), "{variable} is not explained");
            if setting.get_value_parser().type_id() == TypeId::of::<Secret>() {
                assert!(setting.is_hide_env_values_set(), "{variable} is shown");
                secrets.push(variable);
            }
        }
        assert_eq!(
            secrets,
            [
                "DATABASE_URL",
                "TRADELINE_JWT_SECRET",
                "STRIPE_SECRET_KEY",
                "STRIPE_WEBHOOK_SECRET"
            ]
        );
    }
}
