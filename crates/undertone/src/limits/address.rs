//! From which network address a request comes. Behind proxies that the operator names, it is the one they report; from anybody else
//! `X-Forwarded-For` is only what they claim.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The address a request comes from. A handler takes it as an argument; none is known where there is no network, as in tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// The address as the audit log has it.
    pub fn text(self) -> Option<String> {
        self.0.map(|address| address.to_string())
    }

    /// What counts as one client: an address, and of IPv6 the 64 bits of its network, within which anybody has addresses without end.
    pub fn client(self) -> Option<IpAddr> {
        self.0.map(|address| match address {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            IpAddr::V4(_) => address,
        })
    }

    /// Whoever sent a request with these headers over a connection from `peer`: the last address in `X-Forwarded-For` that is no proxy of
    /// ours, as each proxy adds the address it was reached from at the end.
    pub fn of(peer: IpAddr, headers: &HeaderMap, proxies: &Proxies) -> Self {
        let mut client = peer.to_canonical();
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or_default()).collect();
        for told in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !proxies.hold(client) {
                break;
            }
            // What is no address was added by a proxy that does not know; it is the last that is known.
            let Some(before) = read(told.trim()) else { break };
            client = before;
        }
        Self(Some(client))
    }
}

/// `192.0.2.1`, `192.0.2.1:50123`, `2001:db8::1` or `[2001:db8::1]:50123`.
fn read(told: &str) -> Option<IpAddr> {
    let bare = told.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(told);
    let address = bare.parse().ok().or_else(|| Some(told.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

/// The networks in which proxies of ours are, and nobody else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Given", into = "Vec<String>")]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// The networks.
    pub fn networks(&self) -> &[IpNet] {
        &self.0
    }

    fn hold(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// As the configuration has them: a list, or one text with commas, which is easier in the environment.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    List(Vec<String>),
    Text(String),
}

impl TryFrom<Given> for Proxies {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        let words = match given {
            Given::List(words) => words,
            Given::Text(text) => text.split(',').map(str::to_owned).collect(),
        };
        let words = words.iter().map(|word| word.trim()).filter(|word| !word.is_empty());
        let networks = words.map(|word| {
            let address = || word.parse::<IpAddr>().map(IpNet::from);
            word.parse::<IpNet>().or_else(|_| address()).map_err(|_| {
                format!("“{word}” is neither an address nor a network such as 10.0.0.0/8 or 2001:db8::/32")
            })
        });
        networks.collect::<Result<_, _>>().map(Self)
    }
}

impl From<Proxies> for Vec<String> {
    fn from(proxies: Proxies) -> Self {
        proxies.0.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Vec::from(self.clone()).join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, proxies: &[&str], forwarded: &[&str]) -> String {
        let list = Given::List(proxies.iter().map(|&word| word.to_owned()).collect());
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        ClientAddress::of(peer.parse().unwrap(), &headers, &list.try_into().unwrap()).text().unwrap()
    }

    #[test]
    fn nobody_but_a_proxy_of_ours_says_whom_it_serves() {
        let ours: &[&str] = &["10.0.0.0/8", "::1", "2001:db8:7::/48"];
        for (peer, proxies, forwarded, expected) in [
            // Claims of strangers.
            ("203.0.113.9", ours, &["198.51.100.1"][..], "203.0.113.9"),
            ("10.1.2.3", &[], &["198.51.100.1"], "10.1.2.3"),
            // What a proxy tells, and what its client had written there before.
            ("10.1.2.3", ours, &[], "10.1.2.3"),
            ("10.1.2.3", ours, &["198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", ours, &["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", ours, &["10.9.9.9, 198.51.100.1"], "198.51.100.1"),
            // Two proxies in a row, on one line or on two.
            ("10.1.2.3", ours, &["1.2.3.4, 198.51.100.1, 10.4.4.4"], "198.51.100.1"),
            ("10.1.2.3", ours, &["1.2.3.4, 198.51.100.1", "10.4.4.4"], "198.51.100.1"),
            ("2001:db8:7::5", ours, &["2001:db8:9::1"], "2001:db8:9::1"),
            // All of them ours: the first of them asked.
            ("10.1.2.3", ours, &["10.8.8.8, 10.4.4.4"], "10.8.8.8"),
            // Ports, brackets, IPv4 in IPv6, and what is no address.
            ("::ffff:10.1.2.3", ours, &["198.51.100.1:50123"], "198.51.100.1"),
            ("::1", ours, &["[2001:db8:9::1]:50123"], "2001:db8:9::1"),
            ("::1", ours, &["[2001:db8:9::1]"], "2001:db8:9::1"),
            ("10.1.2.3", ours, &["198.51.100.1, unknown"], "10.1.2.3"),
            ("10.1.2.3", ours, &[""], "10.1.2.3"),
        ] {
            assert_eq!(client(peer, proxies, forwarded), expected, "{peer} {proxies:?} {forwarded:?}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let client = |text: &str| ClientAddress(Some(text.parse().unwrap())).client().unwrap().to_string();
        assert_eq!(client("2001:db8:9:1:aaaa:bbbb:cccc:dddd"), "2001:db8:9:1::");
        assert_eq!(client("192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn proxies_are_networks() {
        let read = |json: &str| serde_json::from_str::<Proxies>(json);
        assert_eq!(
            read("\"10.0.0.0/8, 192.0.2.1\"").unwrap(),
            read("[\"10.0.0.0/8\", \"192.0.2.1/32\"]").unwrap()
        );
        assert_eq!(read("\"\"").unwrap(), Proxies::default());
        assert!(read("\"proxy.example.com\"").unwrap_err().to_string().contains("such as 10.0.0.0/8"));
        assert_eq!(read("\"10.0.0.0/8\"").unwrap().to_string(), "10.0.0.0/8");
    }
}
