//! Gateways: peers that have authenticated a call before they pass it on, and name its business with `X-Business-Id`.
//!
//! Nobody is one unless its address is in the settings. What counts is the address of the socket's peer, which cannot be
//! made up; no header says where a call comes from. Such a call has one role, which the settings say, and no user.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use domain::Authority;
use entity::UserId;
use ipnet::IpNet;
use uuid::{Uuid, uuid};

/// Who acts in a call that a gateway has authenticated, in the audit trail and for idempotency keys.
pub const GATEWAY: UserId = UserId(GATEWAY_ID);
/// A name-based UUID of `urn:tradeline:gateway`.
const GATEWAY_ID: Uuid = uuid!("578f380d-7382-5759-992c-a3b08efd8a83");

/// An address, or a range of them in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peers(IpNet);

/// It is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPeers {
    /// Not an address.
    #[error("must be an IP address, or a range such as 10.1.0.0/16")]
    NoAddress,
    /// Everyone would be trusted.
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
    /// Whether this address is one of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        // A socket that listens on IPv6 shows an IPv4 peer as ::ffff:a.b.c.d.
        self.0.contains(&address.to_canonical())
    }
}

/// The gateways, and what a call that comes through one may do.
#[derive(Debug, Clone)]
pub struct Gateways {
    peers: Vec<Peers>,
    authority: Authority,
}

impl Gateways {
    /// These peers, with this authority. None: nobody is a gateway.
    #[must_use]
    pub fn new(peers: Vec<Peers>, authority: Authority) -> Self {
        Self { peers, authority }
    }

    /// What a call without a credential may do that comes from this peer, if it is a gateway.
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
    fn nobody_is_a_gateway_unless_it_is_listed() {
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
