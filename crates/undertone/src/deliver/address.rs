//! Which addresses messages may go to. Users choose them, so none may lead into the network this service stands in, unless the operator
//! allows that network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use reqwest::Url;

/// An address that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The address, as it is used.
    pub url: String,
    /// The same without path and query, which may be secret.
    pub shown: String,
}

/// Networks that are nobody's on the internet: this machine, private ones, those of documentation, tunnels and groups.
const CLOSED: [&str; 29] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "2001::/32",
];

/// Where clouds keep the credentials of their machines: allowed only by its own name.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// The operator allows this address by a network of their configuration.
fn is_named(address: IpAddr, allowed: &[IpNet]) -> bool {
    let address = address.to_canonical();
    let is_whole = |net: &IpNet| net.prefix_len() == net.max_prefix_len();
    let mut naming = allowed.iter().filter(|net| net.contains(&address));
    if METADATA.contains(&address) { naming.any(is_whole) } else { naming.next().is_some() }
}

/// Messages may go to this address: without TLS only where the operator allows it by name.
pub(super) fn may_go(address: IpAddr, is_plain: bool, allowed: &[IpNet]) -> bool {
    if is_plain { is_named(address, allowed) } else { is_open(address, allowed) }
}

/// Messages may go to this address over TLS.
fn is_open(address: IpAddr, allowed: &[IpNet]) -> bool {
    let address = address.to_canonical();
    let is_closed =
        || CLOSED.iter().filter_map(|net| net.parse::<IpNet>().ok()).any(|net| net.contains(&address));
    is_named(address, allowed) || !is_closed()
}

/// The address as it may be used, or what is wrong with it. A name is looked up only when something is sent, and each time.
pub fn check_address(given: &str, allowed: &[IpNet]) -> Result<Checked, String> {
    let url = Url::parse(given.trim()).map_err(|e| {
        format!("it is no address: {e}; give one such as https://example.com/hooks/undertone")
    })?;
    match url.scheme() {
        "http" if allowed.is_empty() => {
            return Err("it must begin with https://: without TLS anybody on the way reads along. Only into a network that the operator opens with \
                        allowed_networks it may be http://"
                .to_owned());
        }
        "https" | "http" => {}
        other => return Err(format!("it begins with {other}:, and must begin with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a name or password before the @; give it without".to_owned());
    }
    if url.fragment().is_some() {
        return Err("it holds a #, and what follows is never sent; give it without".to_owned());
    }
    let port = url.port_or_known_default().unwrap_or(443);
    if port != 80 && port != 443 && port < 1024 {
        return Err(format!("port {port} belongs to another service; give 443, 80, or one from 1024 on"));
    }
    if let Some(address) = literal(&url).filter(|one| !may_go(*one, url.scheme() == "http", allowed)) {
        return Err(not_open(&address.to_string()));
    }
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let more = if url.path() == "/" && url.query().is_none() { "" } else { "…" };
    let shown = format!("{}://{host}{port}/{more}", url.scheme());
    Ok(Checked { url: url.to_string(), shown })
}

/// The address that stands in place of a name. Decimal and octal forms are addresses too, which the parser knows.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

pub(super) fn not_open(what: &str) -> String {
    format!(
        "{what} is an address inside a network, where messages may not go; the operator can allow it with allowed_networks"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(nets: &[&str]) -> Vec<IpNet> {
        nets.iter().map(|net| net.parse().unwrap()).collect()
    }

    #[test]
    fn every_closed_network_is_one() {
        for net in CLOSED {
            let net: IpNet = net.parse().unwrap();
            assert_eq!(net, net.trunc(), "{net}");
            assert!(!is_open(net.addr(), &[]), "{net}");
        }
    }

    #[test]
    fn nothing_inside_is_reached_however_it_is_written() {
        for inside in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://169.254.169.254/latest/meta-data",
            "https://10.1.2.3:8443/",
            "https://192.168.1.1/",
            "https://100.100.100.200/",
            "https://[fd00:ec2::254]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:7f00:1::]/",
            "https://0.0.0.0/",
        ] {
            let told = check_address(inside, &[]).unwrap_err();
            assert!(told.contains("may not go"), "{inside}: {told}");
        }
        let open = check_address("https://93.184.215.14/hook?key=secret", &[]).unwrap();
        assert_eq!(open.shown, "https://93.184.215.14/…");
        assert_eq!(open.url, "https://93.184.215.14/hook?key=secret");
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for (wrong, told) in [
            ("example.com/hook", "no address"),
            ("ftp://example.com/", "must begin with https"),
            ("file:///etc/passwd", "must begin with https"),
            ("http://example.com/", "must begin with https"),
            ("https://user:secret@example.com/", "name or password"),
            ("https://example.com/#there", "holds a #"),
            ("https://example.com:25/", "port 25"),
            ("https://", "no address"),
        ] {
            let error = check_address(wrong, &[]).unwrap_err();
            assert!(error.contains(told) && !error.contains("secret"), "{wrong}: {error}");
        }
        assert_eq!(check_address(" https://Example.com ", &[]).unwrap().shown, "https://example.com/");
    }

    #[test]
    fn the_operator_opens_a_network_but_no_credentials_by_accident() {
        let allowed = nets(&["10.0.0.0/8", "169.254.0.0/16", "127.0.0.0/8"]);
        assert!(check_address("http://127.0.0.1:9000/", &allowed).is_ok());
        assert!(check_address("https://10.1.2.3/", &allowed).is_ok());
        assert!(check_address("http://93.184.215.14/", &allowed).is_err(), "without TLS only inside");
        assert!(check_address("https://169.254.169.254/", &allowed).is_err());
        assert!(check_address("https://169.254.1.1/", &allowed).is_ok());
        let named = nets(&["169.254.169.254/32"]);
        assert!(check_address("https://169.254.169.254/", &named).is_ok());
    }
}
