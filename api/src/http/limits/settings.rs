//! What bounds clients, as the settings have it.

use clap::Args;

use super::RateLimit;
use crate::http::gateways::Peers;
use crate::http::headers::WebOrigin;

/// What bounds a client: how often it may call, how slow and how many it may be, and from which pages.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// Requests of one credential: so many at once, and as many again in each such time (s, min, h). `off` switches
    /// this and the three other rates off.
    #[arg(
        long,
        env = "TRADELINE_RATE_LIMIT",
        default_value = "6000/min",
        global = true,
        value_name = "RATE"
    )]
    pub rate_limit: RateLimit,
    /// Requests of one address without a good credential; an IPv6 network of 64 bits is one address.
    #[arg(
        long,
        env = "TRADELINE_RATE_LIMIT_ADDRESS",
        default_value = "600/min",
        global = true,
        value_name = "RATE"
    )]
    pub rate_limit_address: RateLimit,
    /// Requests of one address that try a secret: logins and their like.
    #[arg(
        long,
        env = "TRADELINE_RATE_LIMIT_LOGIN",
        default_value = "60/min",
        global = true,
        value_name = "RATE"
    )]
    pub rate_limit_login: RateLimit,
    /// Logins that name one account, from one address. From all addresses together ten times as many.
    #[arg(
        long,
        env = "TRADELINE_RATE_LIMIT_ACCOUNT",
        default_value = "10/min",
        global = true,
        value_name = "RATE"
    )]
    pub rate_limit_account: RateLimit,
    /// Addresses or networks of proxies that are believed when X-Forwarded-For says for whom they speak, such as
    /// 10.0.0.0/8,fd00::/8; never everyone's. Left out: the address is the socket's.
    #[arg(
        long,
        env = "TRADELINE_TRUSTED_PROXIES",
        global = true,
        value_name = "NETWORKS",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<Peers>,
    /// Origins whose pages may call the API, such as https://shop.example,http://localhost:5173. Left out: none.
    #[arg(
        long,
        env = "TRADELINE_CORS_ORIGINS",
        global = true,
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    pub cors_origins: Vec<WebOrigin>,
    /// Seconds in which a request's head must have arrived, and as many again for its body.
    #[arg(long, env = "TRADELINE_REQUEST_SECONDS", default_value_t = 15, global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u16).range(1..=600))]
    pub request_seconds: u16,
    /// Seconds that a connection may rest between two requests.
    #[arg(long, env = "TRADELINE_IDLE_SECONDS", default_value_t = 75, global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub idle_seconds: u16,
    /// Connections of clients for each HTTP thread. Further ones wait until one ends.
    #[arg(long, env = "TRADELINE_CLIENTS", default_value_t = 4096, global = true, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub clients: u16,
}
