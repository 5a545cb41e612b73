//! Keys and tokens that show by their shape what they are, and the secrets that addresses carry.

use undertone_core::verdict::Span;

use super::fold::BLANK;
use super::{Found, Kind, Value};

fn secret(text: &str, span: Span) -> Found {
    Found { span, kind: Kind::Secret, value: Value::Text(span.of(text).unwrap_or_default().to_owned()) }
}

/// Private keys in PEM blocks. One whose end is missing reaches to the end of the text.
pub(super) fn private_keys(text: &str) -> Vec<Found> {
    const BEGIN: &str = "-----BEGIN ";
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find(BEGIN).map(|at| from + at) {
        from = start + BEGIN.len();
        let rest = &text[from..];
        let Some(header) = (0..=64).rev().find_map(|n| rest.get(..n)) else { continue };
        if !header.split("-----").next().is_some_and(|name| name.contains("PRIVATE KEY")) {
            continue;
        }
        let end = rest.find("-----END ").and_then(|at| {
            let last = at + "-----END ".len();
            Some(last + rest[last..].find("-----")? + "-----".len())
        });
        from += end.unwrap_or(rest.len());
        found.push(secret(text, Span { start, end: from }));
    }
    found
}

/// How far after the host's place a password with a slash in it is looked for.
const NEAR: usize = 256;

/// User and password in `https://user:password@host`.
pub(super) fn in_addresses(text: &str) -> Vec<Found> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | BLANK);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("://").map(|at| from + at) {
        from = at + 3;
        if !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric()) {
            continue;
        }
        let rest = &text[from..];
        let authority =
            &rest[..rest.find(|c: char| ends(c) || matches!(c, '/' | '?' | '#')).unwrap_or(rest.len())];
        let mut sign = authority.rfind('@');
        // A password may hold what should have been written as %2F. What stands behind the colon of an honest host is a number.
        if sign.is_none()
            && authority.split_once(':').is_some_and(|(_, port)| port.contains(|c: char| !c.is_ascii_digit()))
        {
            let near: usize = rest.chars().take(NEAR).take_while(|c| !ends(*c)).map(char::len_utf8).sum();
            sign = rest[..near].rfind('@');
        }
        if let Some(length) = sign.filter(|length| *length > 0) {
            found.push(secret(text, Span { start: from, end: from + length }));
            from += length;
        }
    }
    found
}

/// Endings of parameters that are always secret.
const SECRET_NAMES: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "kennwort",
    "pwd",
    "pass",
    "senha",
    "contrasena",
    "clave",
    "wachtwoord",
    "haslo",
    "mdp",
    "apikey",
    "api_key",
    "access_key",
    "accesskey",
    "accountkey",
    "secret_key",
    "secretkey",
    "private_key",
    "auth",
    "authorization",
    "signature",
    "sig",
    "session",
    "sessionid",
    "session_id",
    "sid",
    "jwt",
    "otp",
    "credential",
];
/// Parameters that are secret where their value looks random.
const DOUBTFUL_NAMES: &[&str] = &["key", "code", "id", "hash", "state", "invite", "reset", "confirm"];

/// Values of `name=value` whose name says that they are secret, in addresses and in configuration.
pub(super) fn parameters(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find('=').map(|at| from + at) {
        let start = at + 1;
        let head = &text[from..at];
        from = start;
        let length = head.bytes().rev().take(48).take_while(|b| is_name(*b)).count();
        let name = head[head.len() - length..].to_ascii_lowercase().replace(['-', '.'], "_");
        let certain = SECRET_NAMES.iter().any(|secret| name.ends_with(secret));
        if !certain && !DOUBTFUL_NAMES.iter().any(|doubtful| name.ends_with(doubtful)) {
            continue;
        }
        let rest = &text[start..];
        let end = rest
            .find(|c: char| c.is_whitespace() || "&\"'<>#;,)]}|".contains(c) || c == BLANK)
            .unwrap_or(rest.len());
        let value = rest[..end].trim_end_matches(['.', ',', '!', '?', ':']);
        let is_secret = if certain { !value.is_empty() } else { is_random_parameter(value) };
        if is_secret {
            found.push(secret(text, Span { start, end: start + value.len() }));
        }
        // What was looked at is not looked at again.
        from = start + end;
    }
    found
}

fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')
}

fn is_random_parameter(value: &str) -> bool {
    value.len() >= 16
        && value.bytes().any(|b| b.is_ascii_digit())
        && value.bytes().any(|b| b.is_ascii_alphabetic())
}

/// A key's well-known beginning.
struct Shape {
    prefix: &'static str,
    /// So many characters follow at least.
    least: usize,
    /// Full stops and the signs of base 64 may be among them.
    wide: bool,
}

const fn shape(prefix: &'static str, least: usize) -> Shape {
    Shape { prefix, least, wide: false }
}

/// The shapes that the services themselves document.
const SHAPES: &[Shape] = &[
    shape("sk-", 16),
    shape("sk_live_", 10),
    shape("sk_test_", 10),
    shape("pk_live_", 10),
    shape("rk_live_", 10),
    shape("whsec_", 16),
    shape("ghp_", 20),
    shape("gho_", 20),
    shape("ghu_", 20),
    shape("ghs_", 20),
    shape("ghr_", 20),
    shape("github_pat_", 20),
    shape("glpat-", 16),
    shape("AKIA", 16),
    shape("ASIA", 16),
    shape("AIza", 30),
    Shape { prefix: "ya29.", least: 20, wide: true },
    shape("GOCSPX-", 16),
    shape("xoxb-", 10),
    shape("xoxp-", 10),
    shape("xoxa-", 10),
    shape("xoxr-", 10),
    shape("xoxs-", 10),
    shape("xapp-", 10),
    Shape { prefix: "SG.", least: 30, wide: true },
    Shape { prefix: "hvs.", least: 20, wide: true },
    Shape { prefix: "eyJ", least: 20, wide: true },
    Shape { prefix: "pypi-", least: 30, wide: true },
    shape("npm_", 30),
    shape("dop_v1_", 30),
    shape("shpat_", 20),
    shape("shpss_", 20),
    shape("hf_", 20),
    shape("r8_", 30),
    shape("gsk_", 20),
    shape("xai-", 20),
    shape("pplx-", 20),
    shape("sq0atp-", 16),
    shape("sq0csp-", 16),
    shape("glsa_", 20),
    shape("lin_api_", 20),
    shape("xkeysib-", 20),
    shape("PMAK-", 20),
    shape("dckr_pat_", 16),
    shape("NRAK-", 16),
    shape("figd_", 16),
    shape("ATATT3", 20),
    shape("ntn_", 20),
    shape("secret_", 20),
    shape("rubygems_", 20),
    shape("sntrys_", 20),
    shape("sbp_", 30),
    shape("CFPAT-", 20),
    shape("tskey-", 16),
    shape("AGE-SECRET-KEY-1", 20),
    shape("key-", 24),
];

/// Keys that begin as the keys of a well-known service do.
pub(super) fn of_known_shape(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let inside = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || !bytes[at - 1].is_ascii());
        let begins = |shape: &&Shape| {
            let prefix = shape.prefix.as_bytes();
            prefix.first() == Some(&bytes[at]) && bytes[at..].starts_with(prefix)
        };
        let shape = if inside { None } else { SHAPES.iter().find(begins) };
        let Some(shape) = shape else {
            at += 1;
            continue;
        };
        let start = at + shape.prefix.len();
        let belongs =
            |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b) || (shape.wide && b".=+/".contains(&b));
        let run = bytes[start..].iter().take_while(|b| belongs(**b)).count();
        let end = at + text[at..start + run].trim_end_matches('.').len();
        // Words may begin like that too ("sk-learn-contrib-and-friends"), but have no digits or capitals inside.
        let body = &bytes[start..end.max(start)];
        let is_key = body.iter().any(u8::is_ascii_digit)
            || (body.iter().any(u8::is_ascii_lowercase) && body.iter().any(u8::is_ascii_uppercase));
        if body.len() >= shape.least && is_key {
            found.push(secret(text, Span { start: at, end }));
        }
        // A run without digits holds no other key either.
        at = start + run;
    }
    found
}

/// Long strings that are no words of any language: hexadecimal and base 64.
pub(super) fn random(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for wide in
        runs(text, Span { start: 0, end: text.len() }, |b| b.is_ascii_alphanumeric() || b"_-+/=".contains(&b))
    {
        if is_mixed(text, wide, 32, 0.4) {
            found.push(secret(text, wide));
            continue;
        }
        for narrow in runs(text, wide, |b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
            if is_mixed(text, narrow, 20, 0.45) {
                found.push(secret(text, narrow));
                continue;
            }
            let alphanumeric = runs(text, narrow, |b| b.is_ascii_alphanumeric());
            found.extend(alphanumeric.filter(|run| is_digest(text, *run)).map(|run| secret(text, run)));
        }
    }
    found
}

/// The stretches of `within` whose bytes all belong, in order. Only ASCII may belong.
fn runs(text: &str, within: Span, belongs: impl Fn(u8) -> bool) -> impl Iterator<Item = Span> {
    let bytes = text.as_bytes();
    let mut at = within.start;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..within.end)?;
        let start = at + rest.iter().position(|b| belongs(*b))?;
        at = bytes[start..within.end].iter().position(|b| !belongs(*b)).map_or(within.end, |n| start + n);
        Some(Span { start, end: at })
    })
}

/// Whether capitals, small letters and digits follow each other as by chance: in at least a share `least` of the places where two meet,
/// they are of different sorts. Random strings have about 0.6, words in `CamelCase` with numbers seldom 0.4.
fn is_mixed(text: &str, span: Span, shortest: usize, least: f32) -> bool {
    let Some(run) = span.of(text).filter(|run| run.len() >= shortest) else { return false };
    let (mut small, mut capital, mut digits, mut changes) = (0, 0, 0, 0);
    let mut before = None;
    for b in run.bytes() {
        let sort = match b {
            b'a'..=b'z' => &mut small,
            b'A'..=b'Z' => &mut capital,
            b'0'..=b'9' => &mut digits,
            _ => continue,
        };
        *sort += 1;
        let sort = (b.is_ascii_lowercase(), b.is_ascii_digit());
        changes += usize::from(before.is_some_and(|before| before != sort));
        before = Some(sort);
    }
    let counted: usize = small + capital + digits;
    small >= 3 && capital >= 3 && digits >= 2 && changes as f32 >= least * (counted - 1) as f32
}

/// Whether letters and digits are as many and as mixed as in a hexadecimal key.
fn is_digest(text: &str, span: Span) -> bool {
    let Some(run) = span.of(text).filter(|run| run.len() >= 32) else { return false };
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    digits >= 4 && run.len() - digits >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(recogniser: fn(&str) -> Vec<Found>, text: &str) -> Vec<&str> {
        recogniser(text).iter().filter_map(|f| f.span.of(text)).collect()
    }

    #[test]
    fn private_keys_are_found_whole() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----";
        let text = format!("It says {key} and then fails");
        assert_eq!(told(private_keys, &text), [key]);
        let open = "x -----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn";
        assert_eq!(told(private_keys, open), [&open[2..]]);
        for text in
            ["-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----", "-----BEGIN ", "-----BEGIN é"]
        {
            assert_eq!(told(private_keys, text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn addresses_give_up_user_and_password() {
        for (text, user) in [
            ("https://anna:geheim@shop.example.com/x", "anna:geheim"),
            ("ftp://anna@host", "anna"),
            ("git clone https://ghp_x1:y@example.com/a.git", "ghp_x1:y"),
            ("postgres://app:p/a?ss#w@db:5432/x", "app:p/a?ss#w"),
            ("https://a:b@c@host/", "a:b@c"),
        ] {
            assert_eq!(told(in_addresses, text), [user], "{text}");
        }
        for text in [
            "https://example.com:8080/@anna",
            "https://example.com/@anna",
            "://a:b@c",
            "https://@host",
            "x://",
        ] {
            assert_eq!(told(in_addresses, text), Vec::<&str>::new(), "{text}");
        }
        assert_eq!(told(in_addresses, "https://x.example/?next=https://a:b@c.example"), ["a:b"]);
    }

    #[test]
    fn parameters_give_up_what_is_secret() {
        for (text, value) in [
            ("https://example.com/reset?user=4&token=abc.def&x=1", "abc.def"),
            ("?access_token=a%2Fb.", "a%2Fb"),
            ("DB_PASSWORD=geheim", "geheim"),
            ("X-Api-Key=77", "77"),
            ("(session=abc)", "abc"),
            ("?code=4f9a8b7c6d5e4f3a2b", "4f9a8b7c6d5e4f3a2b"),
        ] {
            assert_eq!(told(parameters, text), [value], "{text}");
        }
        for text in [
            "?q=token",
            "?code=SUMMER10",
            "token=",
            "token=?",
            "a = b",
            "?page=2",
            "=",
            "?id=1234567890123456",
        ] {
            assert_eq!(told(parameters, text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn keys_of_known_services_are_found() {
        for key in [
            "sk-ant-api03-Zk3vQ9x7Lm2Np8Rt",
            "sk_live_51HxYzAbCdEf",
            "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8",
            "AKIAQ3EGRZT7XEXAMPLE",
            "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
            "xoxb-123456789012-abcdefABCDEF",
            "SG.ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf09kqeF8tAmbihYzrnopKc",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
            "glpat-a1B2c3D4e5F6g7H8i9J0",
        ] {
            for text in [format!("use {key}."), format!("\"{key}\","), format!("key:{key}")] {
                assert_eq!(told(of_known_shape, &text), [key], "{text}");
            }
        }
        for text in [
            "sk-learn-contrib-and-all-its-friends",
            "sk-123",
            "task-1234567890123456789",
            "AKIA",
            "ésk-1234567890123456789",
        ] {
            assert_eq!(told(of_known_shape, text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn random_strings_are_found() {
        for key in [
            "9f86d081884c7d659a2feaa0c55ad015",
            "kJ8sL2pQ9rT4vX7zB1nM",
            "dXNlcjpzdXBlci1nZWhlaW0tMjAyNC1ub2NoLWVpbg==",
            "SK9f86d081884c7d659a2feaa0c55ad015",
            "h7Kd/92Lsp+QmZx81VbnRt4Wy/7TgUj2",
        ] {
            assert_eq!(told(random, &format!("it is {key}, ok")), [key]);
        }
        for text in [
            "550e8400-e29b-41d4-a716-446655440000",
            "1Z999AA10123456784",
            "iPhone15ProMax256GBBlueTitanium",
            "Donaudampfschifffahrtsgesellschaftskapitän",
            "00340434161094015902",
            "https://example.com/shop/winter-sale-2024/women/coats-and-jackets",
            "12345678901234567890123456789012345",
            "src/components/OrderHistory/OrderHistoryTable2024/index",
            "",
        ] {
            assert_eq!(told(random, text), Vec::<&str>::new(), "{text}");
        }
    }
}
