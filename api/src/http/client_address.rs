//! The address of the client that a request comes from, and whether it is on this machine.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};

use crate::http::gateways::Peers;

/// The header to which each proxy appends the address that it was called from.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The standard form of the same header (RFC 7239). Its content is not parsed: its presence shows that a proxy is on
/// the way.
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// The address that a request came from: the socket's, or the one that trusted proxies report.
///
/// The header is read from right to left for as long as the reporting proxies are trusted. Entries further left may
/// have been written by the client.
pub(super) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[Peers]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|peers| peers.contain(address));
    let mut address = peer.to_canonical();
    if !is_trusted(address) {
        return address;
    }
    let lines: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .map(|line| line.to_str().unwrap_or("unreadable"))
        .collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    for hop in hops {
        let Some(said) = parse(hop.trim()) else {
            break;
        };
        address = said;
        if !is_trusted(address) {
            break;
        }
    }
    address
}

/// Whether a request comes from this machine: its socket's peer and every address that the headers report, by a trusted
/// proxy or not. A proxy on this machine that adds no such header must not stand in front of an endpoint that relies on
/// it.
#[must_use]
pub fn is_local(req: &HttpRequest) -> bool {
    req.peer_addr()
        .is_some_and(|peer| is_all_local(peer.ip(), req.headers()))
}

/// Whether the socket's peer is on this machine, and so is every address that the headers report.
fn is_all_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    let mut hops = headers
        .get_all(FORWARDED_FOR)
        .flat_map(|line| line.to_str().unwrap_or("unreadable").split(','));
    peer.to_canonical().is_loopback()
        && !headers.contains_key(FORWARDED)
        && hops.all(|hop| parse(hop.trim()).is_some_and(|address| address.is_loopback()))
}

/// Parses an address with or without a port, with or without brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let address: Option<IpAddr> = bare.parse().ok().or_else(with_port);
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn seen(peer: &str, lines: &[&'static str]) -> String {
        let trusted: Vec<Peers> = ["10.0.0.0/8", "fd00::/8"]
            .iter()
            .map(|net| net.parse().unwrap())
            .collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
        }
        of(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        assert_eq!(seen("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(seen("10.1.1.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("::ffff:10.1.1.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("10.1.1.1", &[]), "10.1.1.1");
    }

    #[test]
    fn addresses_that_the_client_wrote_are_not_believed() {
        assert_eq!(seen("10.1.1.1", &["1.2.3.4, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            seen("10.1.1.1", &["1.2.3.4", "198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(
            seen("10.1.1.1", &["1.2.3.4, 198.51.100.7, 10.2.2.2"]),
            "198.51.100.7"
        );
        assert_eq!(
            seen("10.1.1.1", &["1.2.3.4, nonsense, 10.2.2.2"]),
            "10.2.2.2"
        );
        assert_eq!(seen("10.1.1.1", &["nonsense"]), "10.1.1.1");
        assert_eq!(seen("10.1.1.1", &["10.3.3.3"]), "10.3.3.3");
    }

    #[test]
    fn a_request_is_local_unless_an_address_says_otherwise() {
        let local = |peer: &str, lines: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, line) in lines {
                headers.append(name.clone(), HeaderValue::from_static(line));
            }
            is_all_local(peer.parse().unwrap(), &headers)
        };
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(local(peer, &[]), "{peer}");
            assert!(local(peer, &[(FORWARDED_FOR, "127.0.0.1, [::1]:4711")]));
            for line in [
                "192.0.2.1",
                "127.0.0.1, 192.0.2.1",
                "192.0.2.1, ::1",
                "unknown",
                "",
            ] {
                assert!(!local(peer, &[(FORWARDED_FOR, line)]), "{peer} {line}");
            }
            let lines = [(FORWARDED_FOR, "127.0.0.1"), (FORWARDED_FOR, "192.0.2.1")];
            assert!(!local(peer, &lines), "{peer}");
            assert!(!local(peer, &[(FORWARDED, "for=127.0.0.1")]), "{peer}");
        }
        for peer in ["192.0.2.1", "10.0.0.1", "0.0.0.0", "::", "2001:db8::1"] {
            assert!(!local(peer, &[]), "{peer}");
            assert!(!local(peer, &[(FORWARDED_FOR, "127.0.0.1")]), "{peer}");
        }
    }

    #[test]
    fn ports_and_brackets_are_no_obstacle() {
        assert_eq!(seen("10.1.1.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(seen("fd00::1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(seen("fd00::1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(seen("fd00::1", &["2001:db8::1"]), "2001:db8::1");
    }
}
