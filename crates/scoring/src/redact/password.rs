//! Passwords, PINs and keys that follow a word which announces them: "my password is …", "Passwort: …", "mot de passe …".

mod lists;
mod value;

use std::collections::VecDeque;

use undertone_core::verdict::Span;

use super::fold::BLANK;
use super::words::{key, words, write_key};
use super::{Found, Kind, Value, context};
use lists::{BY_LAST_WORD, Before, COMPOUNDS, LONGEST, Label, is_preposition, is_verb};
use value::{Link, candidate, skip};

/// So many words may stand between a label and the verb or colon that announces the value.
const QUALIFIERS: usize = 6;

/// The announced secrets in `text`.
pub(super) fn find(text: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut done = 0;
    let mut last: VecDeque<Span> = VecDeque::with_capacity(LONGEST + 1);
    let mut spoken = String::new();
    for word in words(text) {
        if word.start < done {
            continue;
        }
        write_key(word.of(text).unwrap_or_default(), &mut spoken);
        let joined = last.back().is_some_and(|before| {
            text.get(before.end..word.start).is_some_and(|gap| matches!(gap, " " | "-" | "'" | "_" | ": "))
        });
        if !joined {
            last.clear();
        }
        if let Some(label) = label(text, &spoken, &last)
            && let Some(span) = value(text, word.end, label)
        {
            done = span.end;
            let value = span.of(text).unwrap_or_default().to_owned();
            found.push(Found { span, kind: Kind::Secret, value: Value::Text(value) });
        }
        last.push_back(word);
        if last.len() > LONGEST {
            last.pop_front();
        }
    }
    found
}

/// What the word with the key `word` announces, after the words `last` of `text`.
fn label(text: &str, word: &str, last: &VecDeque<Span>) -> Option<Label> {
    let Some(phrases) = BY_LAST_WORD.get(word) else {
        return COMPOUNDS.iter().any(|end| word.ends_with(end)).then_some(Label::Password);
    };
    let said = |span: &Span| span.of(text).map(key).unwrap_or_default();
    // "palabra clave" is a keyword.
    if word == "clave" && last.back().is_some_and(|before| said(before) == "palabra") {
        return None;
    }
    let follows = |before: &Before| {
        let mut expected = before.iter().rev().zip(last.iter().rev());
        before.len() <= last.len() && expected.all(|(expected, before)| said(before) == *expected)
    };
    phrases.iter().find(|(before, _)| follows(before)).map(|(_, label)| *label)
}

/// The secret that the label which ends at byte `after` announces.
fn value(text: &str, after: usize, label: Label) -> Option<Span> {
    let mut at = skip(text, after, |c| "\"'*_`)]”“".contains(c));
    if let Some(start) = after_colon(text, at) {
        return candidate(text, start, label, Link::Colon);
    }
    let mut before = "";
    for number in 0..=QUALIFIERS {
        let word_end = at;
        at = skip(text, at, |c| c == ' ');
        // "…/new-password?x=1": what is glued to the label is no value.
        let apart = at > word_end || text[at..].starts_with(['(', '[']);
        if number == 0
            && apart
            && let Some(span) = candidate(text, at, label, Link::None)
        {
            return Some(span);
        }
        let word = word_at(text, at)?;
        let end = at + word.len();
        let bare = word.trim_matches(|c: char| "\"'()*:=".contains(c));
        let announced = word.ends_with([':', '=']);
        let link = match number {
            _ if announced || is_preposition(&key(bare)) => Some(Link::Loose),
            0 if is_verb(word) => Some(Link::Verb),
            _ if is_verb(word) => Some(Link::Loose),
            _ => None,
        };
        if let Some(link) = link {
            // "the password for order number: …", "clave de rastreo: …"
            let subject = if announced { bare } else { before };
            if context::is_order(&key(subject)) {
                return None;
            }
            let start = after_colon(text, end)
                .unwrap_or_else(|| skip(text, end, |c| c == ' ' || (announced && c == '\n')));
            if let Some(span) = candidate(text, start, label, link) {
                return Some(span);
            }
        }
        if word.ends_with(['.', '!', '?', ';', ',']) || word.contains(BLANK) {
            return None;
        }
        before = bare;
        at = end;
    }
    None
}

/// The word at byte `at`, up to the next white space; its beginning where it is very long.
fn word_at(text: &str, at: usize) -> Option<&str> {
    let rest = text.get(at..)?;
    let length: usize = rest.chars().take(40).take_while(|c| !c.is_whitespace()).map(char::len_utf8).sum();
    rest.get(..length).filter(|word| !word.is_empty())
}

/// Where the value starts, if a colon, an equals sign, an arrow or a dash between spaces stands at byte `at`. The value may stand on the
/// next line.
fn after_colon(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let spaces = skip(text, at, |c| matches!(c, ' ' | '\t')) - at;
    let trimmed = rest.get(spaces..)?;
    let after = ["=>", "->", ":=", ":", "=", "→"]
        .iter()
        .find_map(|sign| trimmed.strip_prefix(sign))
        .or_else(|| trimmed.strip_prefix("- ").filter(|_| spaces > 0))?;
    let start = skip(text, text.len() - after.len(), |c| matches!(c, ' ' | '\t'));
    let value = text.get(start..)?;
    let next_line = value.strip_prefix("\r\n").or_else(|| value.strip_prefix('\n'));
    Some(next_line.map_or(start, |line| skip(text, text.len() - line.len(), |c| c == ' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<&str> {
        find(text).iter().filter_map(|f| f.span.of(text)).collect()
    }

    #[test]
    fn passwords_are_found_where_they_are_announced() {
        for (text, password) in [
            ("my password is Winter2024!", "Winter2024!"),
            ("Passwort: geheim", "geheim"),
            ("Passwort:\n  Sommer24", "Sommer24"),
            ("Mein Kennwort lautet Blumentopf.", "Blumentopf"),
            ("mot de passe : \"le chat noir\"", "le chat noir"),
            ("mon mot de passe c'est Azerty123", "Azerty123"),
            ("mi contraseña es Luna.1987.", "Luna.1987"),
            ("a minha senha é 123456, ok?", "123456"),
            ("la password è Roma_2020", "Roma_2020"),
            ("het wachtwoord is welkom01", "welkom01"),
            ("moje hasło to Kotek99!", "Kotek99!"),
            ("haslo: kotek", "kotek"),
            ("PASSWORD = hunter2", "hunter2"),
            ("my password for the client portal is Blue#Sky9", "Blue#Sky9"),
            ("WLAN-Passwort: xK9-p", "xK9-p"),
            ("\"password\": \"abc\"", "abc"),
            ("my password is sunshine, please reset it", "sunshine"),
            ("my password is Sunshine and my user is anna", "Sunshine"),
            ("changed my password to Fluffy77", "Fluffy77"),
            ("password hunter22 does not work", "hunter22"),
            ("Login / Passwort: anna@example.com / Sommer24", "Sommer24"),
            ("das Passwort („Sonne“) geht nicht", "Sonne"),
            ("(pw: abc123)", "abc123"),
            ("Zugangsdaten: anna@example.com / Sommer24 bitte", "Sommer24"),
            ("login: anna84 / Sommer24", "Sommer24"),
            ("Passwort - Sommer2024", "Sommer2024"),
            ("Passwort fürs Portal:\nSommer2024", "Sommer2024"),
        ] {
            assert_eq!(told(text), [password], "{text}");
        }
    }

    #[test]
    fn codes_and_keys_are_found_where_they_are_announced() {
        for (text, value) in [
            ("PIN 4821", "4821"),
            ("my pin is 4821!", "4821"),
            ("CVV: 123", "123"),
            ("the verification code was 482 913.", "482 913"),
            ("code d'accès : 99871", "99871"),
            ("Código de verificación: G-482913", "G-482913"),
            ("kod weryfikacyjny to 883201", "883201"),
            ("api key: 7f3a-99b0-1c2d", "7f3a-99b0-1c2d"),
            ("api_key => abcd1234", "abcd1234"),
            ("Authorization: Bearer abc.def-123456", "abc.def-123456"),
            ("secret access key is wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI/K7MDENG"),
        ] {
            assert_eq!(told(text), [value], "{text}");
        }
    }

    #[test]
    fn what_is_said_of_passwords_is_none() {
        for text in [
            "my password is wrong!",
            "Password: forgotten",
            "Passwort: bitte zurücksetzen",
            "das Passwort ist falsch",
            "my password is not accepted",
            "the password is case-sensitive!",
            "the password is 100% correct",
            "the password must be 8-16 characters, mine is 12",
            "password is 8-16 characters",
            "password reset: https://example.com/reset",
            "the password for order AB12345 is gone",
            "my password expired on 12/03/2024",
            "Passwort geändert: 12.03.2024",
            "mot de passe oublié",
            "la contraseña es incorrecta",
            "palabra clave: reembolso",
            "pin 3 of the connector",
            "the pin is bent",
            "clave de rastreo: 12345ABC",
            "https://example.com/new-password?step=1",
            "password \0x1\0",
            "the login page2 is broken",
            "Login: broken / error 404b",
            "your page on password rules told me to \"try being patient\"",
            "which of my passwords is \"the\" password",
            "you write my password was \"seen\" in a leak",
            "the password \"reset\" button",
            "reset my password to login",
            "verification code never arrives",
            "token of my appreciation",
            "token: abc",
            "password:",
            "password: *****",
            "password is",
            "password",
            "my password is changed, and it is sunny",
            "hasło jest nieprawidłowe",
        ] {
            assert_eq!(told(text), Vec::<&str>::new(), "{text}");
        }
    }
}
