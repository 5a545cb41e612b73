//! What may be a password, a code or a key.

use undertone_core::verdict::Span;

use super::super::email;
use super::super::fold::BLANK;
use super::super::words::{is_title_case, key};
use super::lists::{Label, PARTICIPLES, STATES, is_conjunction};

/// How a value is joined to its label; the looser it is, the more the value must look like one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// "password: …"
    Colon,
    /// "password is …"
    Verb,
    /// "password for the portal is …", "password for the portal: …", "changed the password to …"
    Loose,
    /// "password …"
    None,
}

/// The value at byte `at`, if there is one that is good enough for its label and link.
pub(super) fn candidate(text: &str, at: usize, label: Label, link: Link) -> Option<Span> {
    let token = Token::at(text, at)?;
    let word = token.span.of(text)?;
    let is_address = word.contains('@') && email::is_address(word);
    if label == Label::Pair || (label == Label::Password && link != Link::None && is_address) {
        // "Login / Passwort: anna@example.com / Sommer24", "Zugangsdaten: anna84 / Sommer24"
        let next = skip(text, token.end, |c| " /|,;-:&+".contains(c));
        let parted = is_address || text[token.end..next].contains(['/', '|']);
        let token = Token::at(text, next)?;
        return (parted && is_strong(token.span.of(text)?, Link::Loose)).then_some(token.span);
    }
    let good = match label {
        Label::Password if token.quoted => is_quoted_password(word, link),
        Label::Password => is_strong(word, link) || is_plain_password(text, &token, link),
        Label::Code => return code(text, &token, link),
        Label::Key => is_key(word, link),
        Label::Pair => false,
    };
    good.then_some(token.span)
}

/// The place behind the characters at byte `at` that `belongs` holds for, at most eight.
pub(super) fn skip(text: &str, at: usize, belongs: impl Fn(char) -> bool) -> usize {
    let Some(rest) = text.get(at..) else { return at };
    at + rest.chars().take(8).take_while(|c| belongs(*c)).map(char::len_utf8).sum::<usize>()
}

/// A word that may be a value.
struct Token {
    /// The value itself.
    span: Span,
    /// Where what belongs to it ends: a quotation mark, punctuation.
    end: usize,
    quoted: bool,
}

impl Token {
    /// No value is longer, in characters.
    const LONGEST: usize = 200;

    /// What stands between quotation marks at byte `at`, or the word there without punctuation behind it.
    fn at(text: &str, at: usize) -> Option<Self> {
        let at = skip(text, at, |c| "([{".contains(c));
        Self::quoted(text, at).or_else(|| Self::unquoted(text, at))
    }

    fn quoted(text: &str, at: usize) -> Option<Self> {
        let open = text.get(at..)?.chars().next()?;
        let close = closing(open)?;
        let start = at + open.len_utf8();
        let inner = text.get(start..)?;
        let (length, mark) = inner
            .char_indices()
            .take(Self::LONGEST)
            .take_while(|(_, c)| !matches!(*c, '\n' | '\r' | BLANK))
            .find(|(_, c)| close.contains(*c))?;
        let content = inner.get(..length)?;
        let value = content.trim();
        let start = start + content.len() - content.trim_start().len();
        let end = at + open.len_utf8() + length + mark.len_utf8();
        let says_something = value.contains(char::is_alphanumeric);
        says_something.then(|| Self { span: Span { start, end: start + value.len() }, end, quoted: true })
    }

    fn unquoted(text: &str, at: usize) -> Option<Self> {
        let start = skip(text, at, |c| closing(c).is_some());
        let rest = text.get(start..)?;
        let ends = |c: char| c.is_whitespace() || c == BLANK;
        let length: usize =
            rest.chars().take(Self::LONGEST).take_while(|c| !ends(*c)).map(char::len_utf8).sum();
        let run = rest.get(..length)?;
        let value = run.trim_end_matches(|c: char| ".,;:)]}>\"'”“»*`".contains(c));
        let is_link = value.contains("://") || value.starts_with("www.");
        // What another recogniser has found a part of is not made of one piece.
        let is_cut = rest[length..].starts_with(BLANK);
        let span = Span { start, end: start + value.len() };
        (value.contains(char::is_alphanumeric) && !is_link && !is_cut).then_some(Self {
            span,
            end: start + length,
            quoted: false,
        })
    }
}

/// What closes a quotation that `open` opens.
fn closing(open: char) -> Option<&'static str> {
    Some(match open {
        '"' => "\"",
        '\'' | '‚' => "'",
        '„' | '“' | '”' => "“”\"",
        '«' => "»",
        '»' => "«",
        '`' => "`",
        '<' => ">",
        '*' => "*",
        _ => return None,
    })
}

/// Whether `word` is made as passwords are and words are not.
fn is_strong(word: &str, link: Link) -> bool {
    // "wrong!" has no sign inside; "Winter24!" has.
    let inner = word.trim_end_matches(['!', '?']);
    let letters = inner.chars().filter(|c| c.is_alphabetic()).count();
    let digits = inner.chars().filter(|c| c.is_numeric()).count();
    let signs = inner.chars().filter(|c| "!#$%&*?@^+=~_|\\<>{}€£§".contains(*c)).count();
    let length = word.chars().count();
    let marked = digits > 0 || signs > 0;
    match link {
        Link::Colon => length >= 3 && marked,
        // "is 100 %" and "is 8-16 characters long" say something of a password.
        Link::Verb if letters == 0 => digits >= 4 && digits == inner.chars().count(),
        Link::Verb => length >= 4 && marked,
        Link::Loose => length >= 5 && letters > 0 && marked,
        Link::None => length >= 6 && letters > 0 && marked,
    }
}

/// Whether what stands between quotation marks is a password: 'one told me to "be patient"' says none.
fn is_quoted_password(content: &str, link: Link) -> bool {
    let length = content.chars().count();
    let one_word = !content.contains(char::is_whitespace) && !STATES.has(&key(content));
    match link {
        Link::Colon => length >= 3,
        Link::Verb => length >= 5 && !STATES.has(&key(content)),
        Link::Loose | Link::None => length >= 5 && (one_word || is_strong(content, Link::Loose)),
    }
}

/// Whether a word of letters only is a password: it ends its clause, and is none of the words for what became of a password.
fn is_plain_password(text: &str, token: &Token, link: Link) -> bool {
    let word = token.span.of(text).unwrap_or_default();
    let inner = word.trim_end_matches(['!', '?']);
    let least = match link {
        Link::Colon => 4,
        Link::Verb => 5,
        Link::Loose | Link::None => return false,
    };
    if inner.chars().count() < least || !inner.chars().all(char::is_alphabetic) {
        return false;
    }
    let punctuated = token.span.start + inner.len() < token.end;
    if !punctuated && !ends_clause(text, token.end) {
        return false;
    }
    let key = key(inner);
    // A capital letter in the middle of a sentence begins no participle.
    !STATES.has(&key) && (link == Link::Colon || is_title_case(inner) || !PARTICIPLES.has(&key))
}

/// Whether a clause ends at byte `end`.
fn ends_clause(text: &str, end: usize) -> bool {
    let rest = text.get(end..).unwrap_or_default().trim_start_matches(' ');
    let next: String = rest.chars().take(8).take_while(|c| c.is_alphabetic()).collect();
    rest.is_empty() || rest.starts_with(['\n', '\r', '/', '|', '(', '-']) || is_conjunction(&key(&next))
}

/// A PIN or one-time code; two groups of three digits are one.
fn code(text: &str, token: &Token, link: Link) -> Option<Span> {
    let word = token.span.of(text)?.trim_end_matches(['!', '?']);
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let made = word.len() <= 12 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let enough = match link {
        Link::Colon | Link::Verb => digits >= 3,
        Link::Loose => digits >= 4,
        Link::None => digits >= 3 && digits == word.len(),
    };
    if !made || !enough {
        return None;
    }
    let end = token.span.start + word.len();
    let halved = digits == 3 && word.len() == 3;
    let second = text.get(end..)?.strip_prefix(' ').filter(|_| halved).unwrap_or_default();
    let more = second.bytes().take(4).take_while(u8::is_ascii_digit).count();
    Some(Span { start: token.span.start, end: if more == 3 { end + 4 } else { end } })
}

/// Whether a machine made `word`.
fn is_key(word: &str, link: Link) -> bool {
    let least = match link {
        Link::Colon | Link::Verb => 8,
        Link::Loose | Link::None => 12,
    };
    word.len() >= least
        && word.contains(|c: char| c.is_ascii_digit())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.+/=~:|".contains(&b))
}
