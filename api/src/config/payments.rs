//! Settings about payments by card: with which provider, and how long one may take.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use domain::Secret;
use domain::card::provider::{Offline, Shared};
use hmac::digest::InvalidLength;
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::http::client;
use crate::payments::stripe::{self, Stripe, WebhookSecrets, Webhooks};

/// With whom orders are paid by card.
#[derive(Debug, Clone, Args)]
pub struct Payments {
    /// The secret key of the Stripe account with which cards are charged. Left out: no cards are charged with Stripe.
    #[arg(
        long,
        env = "STRIPE_SECRET_KEY",
        hide_env_values = true,
        global = true,
        value_name = "KEY"
    )]
    pub stripe_secret_key: Option<Secret>,
    /// What Stripe signs its webhooks with; several with commas between them, while one takes the place of another.
    /// Required with STRIPE_SECRET_KEY.
    #[arg(
        long,
        env = "STRIPE_WEBHOOK_SECRET",
        hide_env_values = true,
        global = true,
        value_name = "SECRETS"
    )]
    pub stripe_webhook_secret: Option<Secret>,
    /// Where Stripe is: https, or http on this machine itself.
    #[arg(
        long,
        env = "STRIPE_API_BASE",
        default_value = "https://api.stripe.com",
        global = true,
        value_name = "URL"
    )]
    pub stripe_api_base: ApiBase,
    /// Who is asked for payments by card: `stripe`; `offline`, where a payment is made on this machine by saying so; or
    /// `none`. Left out: stripe with a secret key, else offline with the embedded database and its demo data, else none.
    #[arg(long, env = "TRADELINE_PAYMENT_PROVIDER", value_enum, global = true)]
    pub payment_provider: Option<ProviderName>,
    /// How long an order by card may be paid, in seconds. Its stock is held for so long.
    #[arg(long, env = "TRADELINE_PAYMENT_SECONDS", default_value_t = domain::card::checkout::SECONDS, global = true,
          value_name = "SECONDS", value_parser = clap::value_parser!(i32).range(60..=86_400))]
    pub payment_seconds: i32,
}

/// The providers that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProviderName {
    /// Stripe.
    Stripe,
    /// Nothing leaves the machine.
    Offline,
    /// Nobody pays by card.
    None,
}

/// Where Stripe is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiBase(Url);

/// An address that no key must be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadApiBase {
    /// Whoever is on the way could read the key.
    #[error("must be https, or http on this machine itself (127.0.0.1, [::1] or localhost)")]
    Insecure,
    /// It is not a URL.
    #[error("is not a URL")]
    NoUrl,
    /// It has what a base has not.
    #[error("must have no user, query or fragment")]
    TooMuch,
}

impl std::str::FromStr for ApiBase {
    type Err = BadApiBase;

    fn from_str(text: &str) -> Result<Self, BadApiBase> {
        let url: Url = text.parse().map_err(|_no_url| BadApiBase::NoUrl)?;
        if !client::is_secure(&url) {
            return Err(BadApiBase::Insecure);
        }
        let bare = url.username().is_empty() && url.password().is_none();
        if !bare || url.query().is_some() || url.fragment().is_some() {
            return Err(BadApiBase::TooMuch);
        }
        Ok(Self(url))
    }
}

/// The provider, and what takes its webhooks.
#[derive(Debug, Default)]
pub struct Providers {
    /// The provider, if there is one.
    pub provider: Shared,
    /// What takes Stripe's webhooks, if it is the provider.
    pub webhooks: Option<Arc<Webhooks>>,
}

/// Why these settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPayments {
    /// One setting is of no use without another.
    #[error("{missing} must be set with {set}")]
    Missing {
        /// What is set.
        set: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// Two settings say different things.
    #[error("TRADELINE_PAYMENT_PROVIDER is {provider}, and {set} is set: leave one of them out")]
    Contradiction {
        /// The provider that is asked for.
        provider: &'static str,
        /// What says another.
        set: &'static str,
    },
    /// It cannot be one.
    #[error("{0} is empty, or has a character that none has")]
    NoSecret(&'static str),
    /// The secret cannot key a hash: a bug.
    #[error("webhooks cannot be verified: {0}")]
    Hash(#[from] InvalidLength),
    /// Nothing can be asked over HTTPS.
    #[error("Stripe cannot be asked: {0}")]
    Client(#[from] reqwest::Error),
}

const KEY: &str = "STRIPE_SECRET_KEY";
const WEBHOOK_SECRET: &str = "STRIPE_WEBHOOK_SECRET";

impl Payments {
    /// What is configured. `demo` says whether the service runs a database of its own with demo data.
    ///
    /// # Errors
    /// See [`BadPayments`].
    pub fn providers(&self, demo: bool) -> Result<Providers, BadPayments> {
        let (key, secret) = (&self.stripe_secret_key, &self.stripe_webhook_secret);
        let contradiction = |provider| {
            let set = match (key, secret) {
                (Some(_), _) => KEY,
                (None, Some(_)) => WEBHOOK_SECRET,
                (None, None) => return Ok(()),
            };
            Err(BadPayments::Contradiction { provider, set })
        };
        match self.payment_provider {
            Some(ProviderName::Stripe) if key.is_none() => Err(BadPayments::Missing {
                set: "TRADELINE_PAYMENT_PROVIDER=stripe",
                missing: KEY,
            }),
            Some(ProviderName::Offline) => {
                contradiction("offline")?;
                Ok(offline())
            }
            Some(ProviderName::None) => {
                contradiction("none")?;
                Ok(Providers::default())
            }
            Some(ProviderName::Stripe) | None => match (key, secret) {
                (Some(key), Some(secret)) => self.stripe(key, secret),
                (Some(_), None) => Err(BadPayments::Missing {
                    set: KEY,
                    missing: WEBHOOK_SECRET,
                }),
                (None, Some(_)) => Err(BadPayments::Missing {
                    set: WEBHOOK_SECRET,
                    missing: KEY,
                }),
                (None, None) if demo => Ok(offline()),
                (None, None) => Ok(Providers::default()),
            },
        }
    }

    fn stripe(&self, key: &Secret, secrets: &Secret) -> Result<Providers, BadPayments> {
        let is_header = HeaderValue::from_str(key.reveal()).is_ok();
        if !is_header || key.reveal().trim().is_empty() {
            return Err(BadPayments::NoSecret(KEY));
        }
        let secrets = secrets.reveal().split(',').map(str::trim);
        let secrets: Vec<Secret> = secrets.map(|text| Secret::from(text.to_owned())).collect();
        if secrets.iter().any(|secret| secret.reveal().is_empty()) {
            return Err(BadPayments::NoSecret(WEBHOOK_SECRET));
        }
        let base = self.stripe_api_base.0.clone();
        let stripe = Arc::new(Stripe::new(base, key.clone(), stripe::ANSWER)?);
        let secrets = WebhookSecrets::new(&secrets)?;
        Ok(Providers {
            provider: Some(stripe.clone()),
            webhooks: Some(Arc::new(Webhooks::new(stripe, secrets))),
        })
    }
}

fn offline() -> Providers {
    Providers {
        provider: Some(Arc::new(Offline)),
        webhooks: None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Cli;

    fn payments(flags: &[&str]) -> Result<Payments, String> {
        let arguments = [&["tradeline"], flags].concat();
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        Ok(cli.settings.payments)
    }

    /// The provider's name, or what is wrong with these flags.
    fn provider(flags: &[&str], embedded: bool) -> Result<Option<&'static str>, String> {
        let providers = payments(flags)?.providers(embedded);
        let providers = providers.map_err(|error| error.to_string())?;
        let name = providers.provider.map(|provider| provider.name());
        assert_eq!(providers.webhooks.is_some(), name == Some(Stripe::NAME));
        Ok(name)
    }

    const KEY_FLAG: &str = "--stripe-secret-key=sk_test_x";
    const SECRET_FLAG: &str = "--stripe-webhook-secret=whsec_x, whsec_y";

    #[test]
    fn the_provider_follows_from_what_is_set() {
        assert_eq!(provider(&[], true), Ok(Some("offline")));
        assert_eq!(provider(&[], false), Ok(None));
        for embedded in [true, false] {
            let with = |flags: &[&str]| provider(flags, embedded);
            assert_eq!(with(&[KEY_FLAG, SECRET_FLAG]), Ok(Some("stripe")));
            assert_eq!(
                with(&[KEY_FLAG, SECRET_FLAG, "--payment-provider=stripe"]),
                Ok(Some("stripe"))
            );
            assert_eq!(with(&["--payment-provider=offline"]), Ok(Some("offline")));
            assert_eq!(with(&["--payment-provider=none"]), Ok(None));
        }
    }

    #[test]
    fn contradictions_are_refused_by_name_and_no_secret_is_shown() {
        for (flags, words) in [
            (
                &[KEY_FLAG][..],
                "STRIPE_WEBHOOK_SECRET must be set with STRIPE_SECRET_KEY",
            ),
            (
                &[SECRET_FLAG],
                "STRIPE_SECRET_KEY must be set with STRIPE_WEBHOOK_SECRET",
            ),
            (
                &["--payment-provider=stripe"],
                "STRIPE_SECRET_KEY must be set with TRADELINE_PAYMENT_PROVIDER=stripe",
            ),
            (
                &["--payment-provider=offline", KEY_FLAG, SECRET_FLAG],
                "TRADELINE_PAYMENT_PROVIDER is offline, and STRIPE_SECRET_KEY is set",
            ),
            (
                &["--payment-provider=none", SECRET_FLAG],
                "TRADELINE_PAYMENT_PROVIDER is none, and STRIPE_WEBHOOK_SECRET is set",
            ),
            (
                &["--stripe-secret-key=", SECRET_FLAG],
                "STRIPE_SECRET_KEY is empty",
            ),
            (
                &["--stripe-secret-key=sk\n", SECRET_FLAG],
                "STRIPE_SECRET_KEY is empty",
            ),
            (
                &[KEY_FLAG, "--stripe-webhook-secret=whsec_x,,whsec_y"],
                "STRIPE_WEBHOOK_SECRET is empty",
            ),
        ] {
            let said = provider(flags, true).unwrap_err();
            assert!(said.contains(words), "{flags:?}: {said}");
            assert!(
                !said.contains("whsec_x") && !said.contains("sk_test"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_key_goes_nowhere_where_others_could_read_it() {
        let with = |base: &str| payments(&[&format!("--stripe-api-base={base}")]);
        for good in [
            "https://api.stripe.com",
            "https://stripe.example/through/here/",
            "http://127.0.0.1:8420",
            "http://[::1]:8420",
            "http://localhost",
        ] {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.stripe.com",
            "http://localhost.example",
            "ftp://127.0.0.1",
            "api.stripe.com",
            "",
            "https://user:password@stripe.example",
            "https://stripe.example?x=1",
            "https://stripe.example#x",
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_may_be_paid_for_a_minute_to_a_day() {
        let with = |seconds: &str| payments(&["--payment-seconds", seconds]);
        assert_eq!(
            payments(&[]).map(|payments| payments.payment_seconds),
            Ok(1800)
        );
        for (seconds, good) in [
            ("59", false),
            ("60", true),
            ("86400", true),
            ("86401", false),
        ] {
            assert_eq!(with(seconds).is_ok(), good, "{seconds}");
        }
    }
}
