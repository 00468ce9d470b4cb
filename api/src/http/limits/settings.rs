//! The settings that limit clients.

use clap::Args;

use super::RateLimit;
use crate::http::gateways::Peers;
use crate::http::headers::WebOrigin;

/// The limits of clients: their rates, their speed, their connections, and the pages that may call.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// Requests of one credential: a burst of this many, and as many again per time (s, min, h). `off` disables this
    /// and the three other rates.
    #[arg(
        long,
        env = "TRADELINE_RATE_LIMIT",
        default_value = "6000/min",
        global = true,
        value_name = "RATE"
    )]
    pub rate_limit: RateLimit,
    /// Requests of one address without a valid credential. An IPv6 network of 64 bits is one address.
    #[arg(
        long,
        env = "TRADELINE_RATE_LIMIT_ADDRESS",
        default_value = "600/min",
        global = true,
        value_name = "RATE"
    )]
    pub rate_limit_address: RateLimit,
    /// Requests of one address that try a secret, such as logins.
    #[arg(
        long,
        env = "TRADELINE_RATE_LIMIT_LOGIN",
        default_value = "60/min",
        global = true,
        value_name = "RATE"
    )]
    pub rate_limit_login: RateLimit,
    /// Logins to one account from one address. The limit for all addresses together is ten times as high.
    #[arg(
        long,
        env = "TRADELINE_RATE_LIMIT_ACCOUNT",
        default_value = "10/min",
        global = true,
        value_name = "RATE"
    )]
    pub rate_limit_account: RateLimit,
    /// Addresses or networks of proxies whose X-Forwarded-For is trusted, such as 10.0.0.0/8,fd00::/8. The range of all
    /// addresses is not allowed. If unset, the client's address is the socket's.
    #[arg(
        long,
        env = "TRADELINE_TRUSTED_PROXIES",
        global = true,
        value_name = "NETWORKS",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<Peers>,
    /// Origins whose pages may call the API, such as https://shop.example,http://localhost:5173. If unset, none.
    #[arg(
        long,
        env = "TRADELINE_CORS_ORIGINS",
        global = true,
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    pub cors_origins: Vec<WebOrigin>,
    /// Seconds in which a request's head must arrive, and as many again for its body.
    #[arg(long, env = "TRADELINE_REQUEST_SECONDS", default_value_t = 15, global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u16).range(1..=600))]
    pub request_seconds: u16,
    /// Seconds that a connection may be idle between two requests.
    #[arg(long, env = "TRADELINE_IDLE_SECONDS", default_value_t = 75, global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub idle_seconds: u16,
    /// Client connections per HTTP thread. Further ones wait until one closes.
    #[arg(long, env = "TRADELINE_CLIENTS", default_value_t = 4096, global = true, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub clients: u16,
}
