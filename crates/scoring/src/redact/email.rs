//! E-mail addresses, also those with "(at)" in them, and a password that is glued to one with a colon.

use std::collections::HashSet;

use undertone_core::verdict::Span;

use super::{Found, Kind, Value};

/// What stands for the `@`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// The sign itself.
    Plain,
    /// "(at)": people write that for nothing else.
    Bracketed,
    /// "at": a word like others, so that only a known address is believed.
    Word,
}

/// A sign in a text.
#[derive(Clone, Copy)]
struct Mark {
    sign: Sign,
    /// Its first byte.
    at: usize,
    /// One past its last byte.
    after: usize,
}

/// Words for the sign, in the eight languages.
const AT: [&str; 8] = ["at", "ät", "arroba", "arobase", "chiocciola", "apenstaartje", "małpa", "malpa"];
/// Words for the dot.
const DOT: [&str; 8] = ["dot", "punkt", "punto", "ponto", "point", "punt", "kropka", "pkt"];

/// The addresses in `text`; `known` ones, in lower case, also where they are spelled out.
pub(super) fn find(text: &str, known: &HashSet<String>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        if at < done || !matches!(byte, b'@' | b'(' | b'[' | b'{' | b'<' | b' ') {
            continue;
        }
        let Some(mark) = mark(text, at, !known.is_empty()) else { continue };
        let Some((span, value)) = address(text, done, mark, known) else { continue };
        done = span.end;
        found.push(Found { span, kind: Kind::Email, value: Value::Text(value) });
        if let Some(password) = glued_password(text, span.end) {
            done = password.end;
            let value = password.of(text).unwrap_or_default().to_owned();
            found.push(Found { span: password, kind: Kind::Secret, value: Value::Text(value) });
        }
    }
    found
}

/// Whether `word` is an address and nothing else.
pub(super) fn is_address(word: &str) -> bool {
    let found = find(word, &HashSet::new());
    found.first().is_some_and(|f| f.span == Span { start: 0, end: word.len() })
}

/// The sign at byte `at` of `text`; `words` says whether a bare word may be one.
fn mark(text: &str, at: usize, words: bool) -> Option<Mark> {
    let rest = text.get(at..)?;
    let close = match rest.bytes().next()? {
        b'@' => return Some(Mark { sign: Sign::Plain, at, after: at + 1 }),
        b'(' => ')',
        b'[' => ']',
        b'{' => '}',
        b'<' => '>',
        // Most spaces stand before another word.
        b' ' if words && rest[1..].starts_with(['a', 'A', 'ä', 'Ä', 'c', 'C', 'm', 'M']) => ' ',
        _ => return None,
    };
    let word = before_close(&rest[1..], close)?;
    let sign = if close == ' ' { Sign::Word } else { Sign::Bracketed };
    let after = at + word.len() + 2;
    AT.contains(&word.trim().to_lowercase().as_str()).then_some(Mark { sign, at, after })
}

/// What stands in `text` before `close`, which must come soon.
fn before_close(text: &str, close: char) -> Option<&str> {
    let end = text.char_indices().take(16).find(|(_, c)| *c == close)?.0;
    text.get(..end)
}

/// The address around `mark`, and what tells it from others. It does not begin before byte `from`.
fn address(text: &str, from: usize, mark: Mark, known: &HashSet<String>) -> Option<(Span, String)> {
    let Mark { sign, at, after } = mark;
    let head = text.get(from..at)?;
    let near = head.strip_suffix(' ').unwrap_or(head);
    let local = local_part(near);
    let tail = text.get(after..)?;
    let start_of_domain = after + tail.len() - tail.strip_prefix(' ').unwrap_or(tail).len();
    let (domain, length) = domain(text.get(start_of_domain..)?, sign != Sign::Plain)?;
    if local.is_empty() {
        return None;
    }
    let value = format!("{}@{}", local.to_lowercase(), domain.to_lowercase());
    let spaced = near.len() < head.len() || start_of_domain > after;
    let believed = match sign {
        // "See you @ example.com": a word is no address because a domain follows.
        Sign::Plain => !spaced || local.contains(|c: char| c.is_numeric() || matches!(c, '.' | '_' | '-')),
        Sign::Bracketed => true,
        Sign::Word => false,
    };
    let start = from + near.len() - local.len();
    (believed || known.contains(&value)).then_some((Span { start, end: start_of_domain + length }, value))
}

/// The end of `text` as far as it can be the local part of an address.
fn local_part(text: &str) -> &str {
    let belongs = |c: char| c.is_alphanumeric() || "._%+-!#$^*~'".contains(c);
    let length: usize = text.chars().rev().take_while(|c| belongs(*c)).map(char::len_utf8).sum();
    let run = text.get(text.len() - length..).unwrap_or_default();
    run.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The domain that `text` begins with and its length in `text`; `spelled` where a word may stand for a dot.
fn domain(text: &str, spelled: bool) -> Option<(String, usize)> {
    // Where each label ends.
    let mut labels: Vec<(&str, usize)> = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let run = rest.find(|c: char| !c.is_alphanumeric() && c != '-').unwrap_or(rest.len());
        let label = rest[..run].trim_end_matches('-');
        if label.is_empty() {
            break;
        }
        labels.push((label, at + label.len()));
        let Some(dot) = dot(&rest[run..], spelled).filter(|_| label.len() == run) else { break };
        at += run + dot;
    }
    let is_ip = labels.len() == 4 && labels.iter().all(|(label, _)| label.parse::<u8>().is_ok());
    if !is_ip {
        while labels.last().is_some_and(|(label, _)| !is_top_level(label)) {
            labels.pop();
        }
        // "write to anna@example.com.Thanks": the space was forgotten.
        while let [.., (before, _), (last, _)] = labels.as_slice()
            && labels.len() > 2
            && last.chars().next().is_some_and(char::is_uppercase)
            && !before.contains(char::is_uppercase)
        {
            labels.pop();
        }
    }
    let end = labels.last().filter(|_| labels.len() > 1)?.1;
    let names: Vec<&str> = labels.iter().map(|(label, _)| *label).collect();
    Some((names.join("."), end))
}

fn is_top_level(label: &str) -> bool {
    label.starts_with("xn--") || (label.chars().nth(1).is_some() && label.chars().all(char::is_alphabetic))
}

/// The length of the dot, as a sign or a word, that `text` begins with.
fn dot(text: &str, spelled: bool) -> Option<usize> {
    let close = match text.bytes().next()? {
        b'.' => return Some(1),
        b' ' if spelled => {
            let word = before_close(&text[1..], ' ')?;
            return is_dot(word).then_some(word.len() + 2);
        }
        b'(' if spelled => ')',
        b'[' if spelled => ']',
        b'{' if spelled => '}',
        _ => return None,
    };
    let word = before_close(&text[1..], close)?;
    is_dot(word).then_some(word.len() + 2)
}

fn is_dot(word: &str) -> bool {
    let word = word.trim_matches([' ', '(', ')', '[', ']', '{', '}']).to_lowercase();
    word == "." || DOT.contains(&word.as_str())
}

/// The password in "anna@example.com:Sommer2024!", whose colon stands at byte `at`.
fn glued_password(text: &str, at: usize) -> Option<Span> {
    let rest = text.get(at..)?.strip_prefix(':')?;
    let length = rest.find(|c: char| c.is_whitespace() || c == super::fold::BLANK).unwrap_or(rest.len());
    let token = rest[..length].trim_end_matches(['.', ',', ';', ')', '"', '\'']);
    // A path or a port is none: "git@example.com:tools/app.git".
    let is_password = token.chars().nth(3).is_some()
        && !token.contains('/')
        && token.contains(char::is_alphabetic)
        && token.contains(|c: char| c.is_numeric() || "!#$%&*?+".contains(c));
    is_password.then(|| Span { start: at + 1, end: at + 1 + token.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, known: &[&str]) -> Vec<String> {
        let known = known.iter().map(|email| (*email).to_owned()).collect();
        find(text, &known).iter().filter_map(|f| f.span.of(text)).map(str::to_owned).collect()
    }

    fn value(text: &str) -> String {
        match find(text, &HashSet::new()).remove(0).value {
            Value::Text(text) => text,
            Value::Phone(_) => String::new(),
        }
    }

    #[test]
    fn addresses_are_found_without_what_stands_around_them() {
        for (text, address) in [
            ("Write to anna@example.com.", "anna@example.com"),
            ("<Anna.B+shop@mail.example.co.uk>", "Anna.B+shop@mail.example.co.uk"),
            ("mailto:anna_84@example.de?subject=x", "anna_84@example.de"),
            ("email=anna@example.com&x=1", "anna@example.com"),
            ("'anna@example.com'", "anna@example.com"),
            ("jörg@müller.example", "jörg@müller.example"),
            ("o'brien@example.com", "o'brien@example.com"),
            ("anna@example.com.Thanks", "anna@example.com"),
            ("ANNA@EXAMPLE.COM", "ANNA@EXAMPLE.COM"),
            ("anna@example.com-", "anna@example.com"),
            ("anna@example.com.2024", "anna@example.com"),
            ("root@192.168.0.12", "root@192.168.0.12"),
            ("a@xn--mller-kva.example.xn--p1ai", "a@xn--mller-kva.example.xn--p1ai"),
            ("anna.b@ example.com", "anna.b@ example.com"),
            ("anna (at) example (dot) com", "anna (at) example (dot) com"),
            ("anna[at]example[dot]com!", "anna[at]example[dot]com"),
            ("anna{ät}example.de", "anna{ät}example.de"),
            ("anna(at)example dot com", "anna(at)example dot com"),
            ("b@c.de,d", "b@c.de"),
        ] {
            assert_eq!(told(text, &[]), [address], "{text}");
        }
        assert_eq!(value("anna (AT) Example (dot) com"), "anna@example.com");
        assert_eq!(told("a@b.com@c.com; x@y.com", &[]), ["a@b.com", "x@y.com"]);
    }

    #[test]
    fn not_every_sign_makes_an_address() {
        for text in [
            "3 @ 5.99",
            "@anna",
            "anna@localhost",
            "see you @ example.com",
            "we met at example.com",
            "@@@",
            "anna@",
            "a@b.c1",
            "!!@example.com",
            "(at)",
            "anna (art) example.com",
            "anna@.com",
            "x@1.2.3",
        ] {
            assert_eq!(told(text, &[]), Vec::<String>::new(), "{text}");
        }
        assert!(is_address("anna@example.com") && !is_address("anna@example.com/x") && !is_address("anna"));
    }

    #[test]
    fn a_known_address_is_found_when_it_is_spelled_out() {
        let known = &["anna@example.com"][..];
        assert_eq!(told("it is Anna at example dot com, yes", known), ["Anna at example dot com"]);
        assert_eq!(told("anna arroba example punto com", known), ["anna arroba example punto com"]);
        assert_eq!(told("anna @ example.com", known), ["anna @ example.com"]);
        assert_eq!(told("we met at example.com", known), Vec::<String>::new());
    }

    #[test]
    fn a_password_glued_to_an_address_is_found() {
        assert_eq!(told("anna@example.com:Sommer24!", &[]), ["anna@example.com", "Sommer24!"]);
        for text in [
            "git@example.com:tools/app2.git",
            "anna@example.com:8080",
            "anna@example.com: hello",
            "a@b.de:hallo",
        ] {
            assert_eq!(told(text, &[]).len(), 1, "{text}");
        }
    }
}
