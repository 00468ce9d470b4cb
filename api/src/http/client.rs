//! Calls to others over HTTP: where they may go, and what makes them.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};

/// Whether nobody on the way can read or change what is said there: https, or http on this machine itself.
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

/// What asks at this address, and nowhere else: how long it may take to be reached, and to answer, all of it.
pub fn client(url: &Url, connect: Duration, answer: Duration) -> ClientBuilder {
    // The second time it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .user_agent(concat!("tradeline/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(connect)
        .timeout(answer);
    if url.scheme() == "https" {
        client.https_only(true)
    } else {
        // This machine is not to be found by way of another.
        client.no_proxy()
    }
}
