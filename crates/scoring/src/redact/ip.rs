//! IP addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use undertone_core::verdict::Span;

use super::context::{self, Says};
use super::words::Lexicon;
use super::{Found, Kind, Value};

/// No address is longer: eight groups, of which the last two may be an IPv4 address.
const LONGEST: usize = 45;

/// The addresses in `text`.
pub(super) fn find(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !belongs(bytes[at]) {
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().take_while(|b| belongs(**b)).count();
        // Most runs are the letters from a to f inside words.
        if !bytes[at..at + length].iter().any(|b| matches!(b, b'.' | b':')) {
            at += length;
            continue;
        }
        let run = trimmed(text, Span { start: at, end: at + length });
        at += length;
        // A run inside a word: the "fee" of "coffee".
        let glued =
            |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii());
        if glued(run.start.checked_sub(1).and_then(|before| bytes.get(before))) || glued(bytes.get(run.end)) {
            continue;
        }
        if let Some((span, value)) = version_6(text, run).or_else(|| version_4(text, run)) {
            found.push(Found { span, kind: Kind::Ip, value: Value::Text(value) });
        }
    }
    found
}

fn belongs(b: u8) -> bool {
    b.is_ascii_hexdigit() || matches!(b, b':' | b'.')
}

/// `run` without the colon of `IP:fe80::1` and the punctuation that ends a sentence.
fn trimmed(text: &str, run: Span) -> Span {
    let mut kept = run.of(text).unwrap_or_default();
    while let Some(less) =
        kept.strip_suffix('.').or_else(|| kept.strip_suffix(':').filter(|less| !less.ends_with(':')))
    {
        kept = less;
    }
    let end = run.start + kept.len();
    let announced = kept.starts_with(':') && !kept.starts_with("::");
    Span { start: (run.start + usize::from(announced)).min(end), end }
}

fn version_6(text: &str, run: Span) -> Option<(Span, String)> {
    let written = run.of(text).filter(|written| written.len() <= LONGEST)?;
    let says_something = written.contains(|c: char| c.is_ascii_digit());
    let address: Ipv6Addr = written.parse().ok().filter(|_| says_something)?;
    Some((run, address.to_string()))
}

fn version_4(text: &str, run: Span) -> Option<(Span, String)> {
    let written = run.of(text)?;
    let (address, port) = written.split_once(':').unwrap_or((written, ""));
    let octets = address.parse::<Ipv4Addr>().ok()?.octets();
    let span = Span { start: run.start, end: run.start + address.len() };
    let is_number = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let served = is_number(port) || text[span.end..].strip_prefix('/').is_some_and(is_number);
    let is_address = match about(text, span.start) {
        Some(About::Version) => false,
        Some(About::Network) => true,
        None => octets[0] > 0 && (served || octets.iter().any(|octet| *octet > 9)),
    };
    is_address.then(|| (span, address.to_owned()))
}

/// What four numbers with full stops between them are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Network,
    Version,
}

fn about(text: &str, at: usize) -> Option<About> {
    context::before(text, at, |word| {
        if VERSION.has(word) {
            Says::This(About::Version)
        } else if NETWORK.has(word) {
            Says::This(About::Network)
        } else if context::is_link(word) {
            Says::Nothing
        } else {
            Says::Stop
        }
    })
}

static NETWORK: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "ip ips ipv4 dns server* servidor* serveur* serwer* host* ping* gateway* router* routeur* subnet* proxy vpn firewall* \
         nameserver* *adresse address* adres* direccion* endereco* indirizzo* *adres",
    )
});

static VERSION: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "v ver version* versi* versao* versoes build* release* firmware* fw software* app ios android windows chrome firefox safari edge \
         macos linux update* updat* upgrad* driver* treiber* pilote* patch* kernel sdk api rev revision* edition* section* chapter* \
         kapitel* abschnitt* aktualis* aktualiz* actualiz* atualiz* aggiorn* bijgewerkt wersj* ausgabe* plugin* extension* stand",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<&str> {
        find(text).iter().filter_map(|f| f.span.of(text)).collect()
    }

    #[test]
    fn addresses_are_found() {
        for (text, address) in [
            ("blocked 203.0.113.77 today.", "203.0.113.77"),
            ("from 203.0.113.77.", "203.0.113.77"),
            ("(203.0.113.77)", "203.0.113.77"),
            ("http://203.0.113.77:8080/x", "203.0.113.77"),
            ("route 10.0.0.0/8", "10.0.0.0"),
            ("my IP is 8.8.8.8", "8.8.8.8"),
            ("DNS: 1.1.1.1", "1.1.1.1"),
            ("at 1.2.3.4:443", "1.2.3.4"),
            ("IP:198.51.100.7", "198.51.100.7"),
            ("2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:7334"),
            ("[2001:DB8::1]:443", "2001:DB8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("IP:fe80::1", "fe80::1"),
            ("it is fe80::1: why?", "fe80::1"),
            ("2001:0db8:0000:0000:0000:ff00:0042:8329.", "2001:0db8:0000:0000:0000:ff00:0042:8329"),
            ("203.0.113.77.Then", "203.0.113.77"),
            ("::ffff:203.0.113.5", "::ffff:203.0.113.5"),
        ] {
            assert_eq!(told(text), [address], "{text}");
        }
    }

    #[test]
    fn versions_times_and_other_numbers_stay() {
        for text in [
            "version 10.12.13.14",
            "Firmware: 12.0.3.44",
            "updated to 2.14.1.10",
            "v12.0.3.44",
            "3.1.2.4",
            "chapter 3.1.2.14",
            "10.0.19041.1",
            "1.2.3",
            "1.2.3.4.5",
            "12.03.04.2024",
            "12:30:45",
            "00:1A:2B:3C:4D:5E",
            "::",
            "dead::beef",
            "std::vec",
            "0.12.13.14",
            "x203.0.113.77",
            "203.0.113.77x",
            "é203.0.113.77",
            "face. feed: cafe",
            "",
        ] {
            assert_eq!(told(text), Vec::<&str>::new(), "{text}");
        }
    }
}
