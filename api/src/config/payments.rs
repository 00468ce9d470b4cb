//! The settings of card payments: the provider, and how long an order can be paid.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use domain::Secret;
use domain::card::provider::{Offline, Shared};
use hmac::digest::InvalidLength;
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::http::client;
use crate::payments::stripe::{self, Stripe, WebhookSecrets, Webhooks};

/// The payment provider for card orders.
#[derive(Debug, Clone, Args)]
pub struct Payments {
    /// The secret key of the Stripe account that charges cards. If unset, Stripe charges no cards.
    #[arg(
        long,
        env = "STRIPE_SECRET_KEY",
        hide_env_values = true,
        global = true,
        value_name = "KEY"
    )]
    pub stripe_secret_key: Option<Secret>,
    /// The secret with which Stripe signs its webhooks, or several separated by commas during a rotation. Required with
    /// STRIPE_SECRET_KEY.
    #[arg(
        long,
        env = "STRIPE_WEBHOOK_SECRET",
        hide_env_values = true,
        global = true,
        value_name = "SECRETS"
    )]
    pub stripe_webhook_secret: Option<Secret>,
    /// The publishable key of the same Stripe account, with which the store's pages take cards. If unset, the pages take
    /// none with Stripe.
    #[arg(
        long,
        env = "STRIPE_PUBLISHABLE_KEY",
        global = true,
        value_name = "KEY"
    )]
    pub stripe_publishable_key: Option<PublishableKey>,
    /// The URL of Stripe's API: https, or http on this machine.
    #[arg(
        long,
        env = "STRIPE_API_BASE",
        default_value = "https://api.stripe.com",
        global = true,
        value_name = "URL"
    )]
    pub stripe_api_base: ApiBase,
    /// The payment provider for card orders: `stripe`; `offline`, where a request from this machine makes the payment;
    /// or `none`. If unset: stripe with a secret key, else offline with the embedded database and its demo data, else
    /// none.
    #[arg(long, env = "TRADELINE_PAYMENT_PROVIDER", value_enum, global = true)]
    pub payment_provider: Option<ProviderName>,
    /// The time in which a card order can be paid, in seconds. Its stock is held for that time.
    #[arg(long, env = "TRADELINE_PAYMENT_SECONDS", default_value_t = domain::card::checkout::DEFAULT_PAYMENT_SECONDS, global = true,
          value_name = "SECONDS", value_parser = clap::value_parser!(i32).range(60..=86_400))]
    pub payment_seconds: i32,
}

/// The payment providers that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProviderName {
    /// Cards are charged by Stripe.
    Stripe,
    /// Payments are simulated. Nothing leaves the machine.
    Offline,
    /// Card orders are not accepted.
    None,
}

/// A key that pages may show: `pk_…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishableKey(String);

/// The text is another key, such as the secret one, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must start with pk_: every page of a payment shows it")]
pub struct NotPublishable;

impl std::str::FromStr for PublishableKey {
    type Err = NotPublishable;

    fn from_str(text: &str) -> Result<Self, NotPublishable> {
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        match text.starts_with("pk_") && is_visible {
            true => Ok(Self(text.to_owned())),
            false => Err(NotPublishable),
        }
    }
}

/// The URL of Stripe's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiBase(Url);

/// Why a URL must not be used with the secret key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadApiBase {
    /// An attacker on the network path could read the key.
    #[error("must be https, or http on this machine itself (127.0.0.1, [::1] or localhost)")]
    Insecure,
    /// The text is not a URL.
    #[error("is not a URL")]
    NoUrl,
    /// The URL has a user, a query or a fragment.
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

/// The payment provider, and the reader of its webhooks.
#[derive(Debug, Default)]
pub struct Providers {
    /// The provider; `None` without one.
    pub provider: Shared,
    /// The reader of Stripe's webhooks; `None` with any other provider.
    pub webhooks: Option<Arc<Webhooks>>,
    /// The key with which pages take cards at Stripe; `None` if they take none there.
    pub publishable_key: Option<Arc<str>>,
}

/// Why these settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPayments {
    /// A setting requires another.
    #[error("{missing} must be set with {set}")]
    Missing {
        /// The setting that is set.
        set: &'static str,
        /// The setting that is missing.
        missing: &'static str,
    },
    /// Two settings conflict.
    #[error("TRADELINE_PAYMENT_PROVIDER is {provider}, and {set} is set: leave one of them out")]
    Contradiction {
        /// The provider that is chosen.
        provider: &'static str,
        /// The setting that implies another provider.
        set: &'static str,
    },
    /// The secret is empty, or cannot be sent in a header.
    #[error("{0} is empty, or has a character that no such secret has")]
    NoSecret(&'static str),
    /// HMAC refused the secret: a bug, since it accepts keys of any length.
    #[error("webhooks cannot be verified: {0}")]
    Hash(#[from] InvalidLength),
    /// The HTTPS client cannot be built.
    #[error("the HTTPS client of Stripe cannot be built: {0}")]
    Client(#[from] reqwest::Error),
}

const KEY: &str = "STRIPE_SECRET_KEY";
const WEBHOOK_SECRET: &str = "STRIPE_WEBHOOK_SECRET";
const PUBLISHABLE_KEY: &str = "STRIPE_PUBLISHABLE_KEY";

impl Payments {
    /// Builds the configured provider. `demo` is true for a service with an embedded database and demo data.
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
        if self.stripe_publishable_key.is_some() && key.is_none() {
            return Err(BadPayments::Missing {
                set: PUBLISHABLE_KEY,
                missing: KEY,
            });
        }
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
        let stripe = Arc::new(Stripe::new(base, key.clone(), stripe::RESPONSE_TIMEOUT)?);
        let secrets = WebhookSecrets::new(&secrets)?;
        Ok(Providers {
            provider: Some(stripe.clone()),
            webhooks: Some(Arc::new(Webhooks::new(stripe, secrets))),
            publishable_key: self
                .stripe_publishable_key
                .as_ref()
                .map(|key| Arc::from(key.0.as_str())),
        })
    }
}

fn offline() -> Providers {
    Providers {
        provider: Some(Arc::new(Offline)),
        ..Providers::default()
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

    /// The provider's name, or the error for these flags.
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
                &["--stripe-publishable-key=pk_test_x"],
                "STRIPE_SECRET_KEY must be set with STRIPE_PUBLISHABLE_KEY",
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
    fn no_secret_key_is_shown_in_the_place_of_the_publishable_one() {
        let with = |key: &str| payments(&[&format!("--stripe-publishable-key={key}")]);
        assert!(with("pk_test_x").is_ok());
        for other in ["sk_test_x", "rk_live_x", "", "pk_ x", "pk_\u{e9}"] {
            let said = with(other).unwrap_err();
            assert!(said.contains("must start with pk_"), "{said}");
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
