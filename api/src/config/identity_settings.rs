//! Settings about identities that others vouch for: another issuer's tokens, and gateways.

use clap::{Args, ValueEnum};
use domain::Authority;

use crate::access::token::{BadIssuer, ClaimNames, ClaimPath, Issuer, IssuerOptions, Pace, Source};
use crate::http::gateways::{Gateways, Peers};

/// Who else may say who a caller is.
#[derive(Debug, Clone, Args)]
pub struct IdentitySettings {
    /// Takes the tokens of this issuer too, besides the service's own: what must be in their `iss`, to the letter. They
    /// are signed with RS256, ES256, EdDSA or a sibling of these.
    #[arg(long, env = "TRADELINE_ISSUER", global = true, value_name = "NAME")]
    pub issuer: Option<String>,
    /// What must be in `aud` of the issuer's tokens. Required with TRADELINE_ISSUER.
    #[arg(long, env = "TRADELINE_AUDIENCE", global = true, value_name = "NAME")]
    pub audience: Option<String>,
    /// Where the issuer's public keys are, a JWKS: a URL (https, or http on this machine itself) or a file. Required
    /// with TRADELINE_ISSUER.
    #[arg(long, env = "TRADELINE_JWKS", global = true, value_name = "URL|FILE")]
    pub jwks: Option<Source>,
    /// The claim of the issuer's tokens that has the business's id: a name, or a path such as
    /// app_metadata.business_id. A name with `://` in it is taken as it is.
    #[arg(
        long,
        env = "TRADELINE_CLAIM_BUSINESS",
        default_value = "business_id",
        global = true,
        value_name = "PATH"
    )]
    pub claim_business: ClaimPath,
    /// The claim that has the role: admin, staff or customer.
    #[arg(
        long,
        env = "TRADELINE_CLAIM_ROLE",
        default_value = "role",
        global = true,
        value_name = "PATH"
    )]
    pub claim_role: ClaimPath,
    /// The claim that has the customer's id, for the role customer.
    #[arg(
        long,
        env = "TRADELINE_CLAIM_CUSTOMER",
        default_value = "customer_id",
        global = true,
        value_name = "PATH"
    )]
    pub claim_customer: ClaimPath,
    /// Addresses of gateways, or ranges such as 10.1.0.0/16, with commas between them. A call from one of them that
    /// has no credential is of the business that its X-Business-Id header names. Whoever can send from these addresses
    /// can act for every business. Left out: nobody is a gateway.
    #[arg(
        long,
        env = "TRADELINE_TRUSTED_GATEWAYS",
        value_delimiter = ',',
        global = true,
        value_name = "ADDRESSES"
    )]
    pub trusted_gateways: Vec<Peers>,
    /// What such a call may do.
    #[arg(long, env = "TRADELINE_GATEWAY_ROLE", value_enum, default_value_t = GatewayRole::Staff, global = true)]
    pub gateway_role: GatewayRole,
}

/// The roles that a call by way of a gateway can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GatewayRole {
    /// Everything in its business.
    Admin,
    /// Sells, takes payments, fulfils, adjusts stock.
    Staff,
}

/// Why these settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadIdentitySettings {
    /// One setting is of no use without another.
    #[error("{missing} must be set with {set}")]
    Missing {
        /// What is set.
        set: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// They are no issuer's.
    #[error(transparent)]
    Issuer(#[from] BadIssuer),
}

impl IdentitySettings {
    /// The issuer that is configured, if one is.
    ///
    /// # Errors
    /// See [`BadIdentitySettings`].
    pub async fn issuer(&self) -> Result<Option<Issuer>, BadIdentitySettings> {
        let missing = |set, missing| Err(BadIdentitySettings::Missing { set, missing });
        let (name, audience, keys) = match (&self.issuer, &self.audience, &self.jwks) {
            (None, None, None) => return Ok(None),
            (Some(name), Some(audience), Some(keys)) => (name, audience, keys),
            (Some(_), None, _) => return missing("TRADELINE_ISSUER", "TRADELINE_AUDIENCE"),
            (Some(_), Some(_), None) => return missing("TRADELINE_ISSUER", "TRADELINE_JWKS"),
            (None, Some(_), _) => return missing("TRADELINE_AUDIENCE", "TRADELINE_ISSUER"),
            (None, None, Some(_)) => return missing("TRADELINE_JWKS", "TRADELINE_ISSUER"),
        };
        let issuer = Issuer::new(IssuerOptions {
            name: name.clone(),
            audience: audience.clone(),
            keys: keys.clone(),
            claims: ClaimNames {
                business: self.claim_business.clone(),
                role: self.claim_role.clone(),
                customer: self.claim_customer.clone(),
            },
            pace: Pace::default(),
        });
        Ok(Some(issuer.await?))
    }

    /// The gateways that are configured.
    #[must_use]
    pub fn gateways(&self) -> Gateways {
        let authority = match self.gateway_role {
            GatewayRole::Admin => Authority::Admin,
            GatewayRole::Staff => Authority::Staff,
        };
        Gateways::new(self.trusted_gateways.clone(), authority)
    }
}
