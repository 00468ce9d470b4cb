//! Gateways: peers that authenticate a call before they forward it, and name its business with `X-Business-Id`.
//!
//! Only addresses in the settings are gateways. The address of the socket's peer decides, since it cannot be forged; no
//! header does. A call through a gateway has one role, set in the settings, and no user.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use domain::Authority;
use entity::UserId;
use ipnet::IpNet;
use uuid::{Uuid, uuid};

/// The actor of a call that a gateway has authenticated, in the audit trail and for idempotency keys.
pub const GATEWAY: UserId = UserId(GATEWAY_ID);
/// The name-based UUID (v5) of `urn:tradeline:gateway`.
const GATEWAY_ID: Uuid = uuid!("578f380d-7382-5759-992c-a3b08efd8a83");

/// An address, or a range of addresses in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peers(IpNet);

/// Why a text is not [`Peers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPeers {
    /// Neither an address nor a range.
    #[error("must be an IP address, or a range such as 10.1.0.0/16")]
    NoAddress,
    /// The range contains every address, so that everyone would be trusted.
    #[error("must not be every address")]
    Everyone,
}

impl FromStr for Peers {
    type Err = BadPeers;

    fn from_str(text: &str) -> Result<Self, BadPeers> {
        let net = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_no_address) => text
                .parse::<IpNet>()
                .map_err(|_no_range| BadPeers::NoAddress)?,
        };
        if net.prefix_len() == 0 {
            return Err(BadPeers::Everyone);
        }
        Ok(Self(net))
    }
}

impl Peers {
    /// Whether the range contains this address.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        // A socket that listens on IPv6 shows an IPv4 peer as ::ffff:a.b.c.d.
        self.0.contains(&address.to_canonical())
    }
}

/// The gateways, and the authority of calls through them.
#[derive(Debug, Clone)]
pub struct Gateways {
    peers: Vec<Peers>,
    authority: Authority,
}

impl Gateways {
    /// Gateways with these addresses and this authority. Without addresses there is no gateway.
    #[must_use]
    pub fn new(peers: Vec<Peers>, authority: Authority) -> Self {
        Self { peers, authority }
    }

    /// The authority of a call without a credential from this peer; `None` if it is not a gateway.
    #[must_use]
    pub fn authority_of(&self, peer: Option<SocketAddr>) -> Option<Authority> {
        let address = peer?.ip();
        let listed = self.peers.iter().any(|peers| peers.contain(address));
        listed.then_some(self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateways(peers: &[&str]) -> Gateways {
        let peers = peers.iter().map(|text| text.parse().unwrap());
        Gateways::new(peers.collect(), Authority::Staff)
    }

    fn is_one(gateways: &Gateways, peer: &str) -> bool {
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        gateways.authority_of(Some(peer)).is_some()
    }

    #[test]
    fn an_address_is_a_gateway_only_if_it_is_listed() {
        assert!(!is_one(&gateways(&[]), "127.0.0.1"));
        let some = gateways(&["10.1.0.0/16", "192.0.2.7", "2001:db8::/32"]);
        for peer in ["10.1.2.3", "192.0.2.7", "::ffff:10.1.2.3", "2001:db8::1"] {
            assert!(is_one(&some, peer), "{peer}");
        }
        for peer in [
            "10.2.0.1",
            "192.0.2.8",
            "::ffff:10.2.0.1",
            "2001:db9::1",
            "127.0.0.1",
            "::1",
        ] {
            assert!(!is_one(&some, peer), "{peer}");
        }
        assert!(some.authority_of(None).is_none());
        assert!(is_one(&gateways(&["::ffff:192.0.2.7"]), "192.0.2.7"));
    }

    #[test]
    fn ranges_are_ranges_and_never_everyone() {
        for (text, bad) in [
            ("", BadPeers::NoAddress),
            ("gateway.example", BadPeers::NoAddress),
            ("10.0.0.0/33", BadPeers::NoAddress),
            ("10.0.0", BadPeers::NoAddress),
            ("0.0.0.0/0", BadPeers::Everyone),
            ("::/0", BadPeers::Everyone),
        ] {
            assert_eq!(text.parse::<Peers>(), Err(bad), "{text:?}");
        }
    }

    #[test]
    fn the_gateways_id_is_that_of_its_name() {
        let named = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:tradeline:gateway");
        assert_eq!(GATEWAY_ID, named);
    }
}
