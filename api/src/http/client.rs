//! The client for HTTP requests that the service makes itself, with its limits.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};

/// Whether nobody on the network path can read or change the traffic: https, or http on this machine.
#[must_use]
pub fn is_secure(url: &Url) -> bool {
    let local = match url.host_str() {
        Some(host) => {
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            address.map_or(host == "localhost", |address| address.is_loopback())
        }
        None => false,
    };
    match url.scheme() {
        "https" => true,
        "http" => local,
        _ => false,
    }
}

/// A client for this address. `connect` limits the time to connect, `answer` the time to the end of the response. It
/// follows no redirect.
pub fn client(url: &Url, connect: Duration, answer: Duration) -> ClientBuilder {
    // Fails if a provider is installed already, which is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .user_agent(concat!("tradeline/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(connect)
        .timeout(answer);
    if url.scheme() == "https" {
        client.https_only(true)
    } else {
        // A proxy cannot reach this machine's loopback address.
        client.no_proxy()
    }
}
