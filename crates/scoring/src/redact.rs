//! Takes out of a text what names a person or opens a door, before the text leaves the machine.
//!
//! Found are e-mail addresses, telephone numbers, payment cards, IBANs, IP addresses, passwords, keys and tokens, and the names, addresses
//! and numbers of the customer and the agent as far as the tenant's records have them. Each becomes a placeholder with its kind and a
//! number, `[EMAIL_1]`; the same value gets the same placeholder in all texts that one [`Redactor`] sees, which are those of one request, so
//! that texts of one conversation that are asked about together stay one. Another request numbers anew: nothing is kept in between, and the
//! provider can not tell which requests are about the same person. [`Redacted`] leads from places in the redacted text back to the original.
//!
//! ```
//! use undertone_scoring::redact::{Known, Redactor};
//! use undertone_core::verdict::Span;
//!
//! let known = Known { names: vec!["Anna Schmidt".into()], ..Known::default() };
//! let mut redactor = Redactor::new(&known);
//! let redacted = redactor.redact("Anna here. Nobody answers anna@example.com!");
//! assert_eq!(redacted.text, "[NAME_1] here. Nobody answers [EMAIL_1]!");
//! assert_eq!(redacted.original(Span { start: 15, end: 39 }), Some(Span { start: 11, end: 42 }));
//! assert_eq!(redacted.restore("[NAME_1] is ignored."), "Anna is ignored.");
//! ```
//!
//! # The rules
//! - **E-mail**: a local part, `@`, and a domain that ends in letters or is an IPv4 address. `(at)` and `(dot)` in brackets count too; a
//!   known address also where it is spelled with the bare words.
//! - **Card**: 13 to 19 digits, spaces or dashes between them, whose check digit is right (Luhn) and whose beginning and length belong
//!   to a card scheme. The latter keeps most barcodes, IMEIs and order numbers that are right by chance.
//! - **IBAN**: a country's letters, its length, a remainder of one (mod 97). After the word IBAN the remainder may be wrong: people
//!   mistype.
//! - **IP**: IPv6, and IPv4 that no word such as "version" or "firmware" stands before. Four single digits are an address only after a word
//!   such as "server", or with a port or a mask behind them.
//! - **Telephone**: whatever starts with `+` or `00` and a country's code; national numbers with a leading zero, 9 to 12 digits; the
//!   groupings in which people write the numbers of countries that have no leading zero; and any 7 to 15 digits after a word such as
//!   "call" or "Telefon". Not a number: digits after a word such as "order", "invoice" or "tracking" (the nearer word wins), after `#`,
//!   glued to letters, with a unit or currency, dates and times. A plain run of digits without leading zero, plus or such a word is
//!   taken for an order number and stays.
//! - **Secret**: keys of well-known shapes, JSON web tokens, private keys, long random strings; user and password in an address, and its
//!   parameters such as `token`; what follows "password", "PIN", "API key" and their like in eight languages, in so far as it looks like one: a
//!   word of letters only counts if it ends its clause and is not one of those that say what became of a password. Of a pass phrase of
//!   several words without quotation marks only the first is found.
//! - **Name**: the known ones, whole words in any case, with or without accents, first and last name each by itself if it has three letters
//!   or more; with a possessive or German and Dutch `s`, in Polish texts with the usual endings. A name that is also a word, "Will" or
//!   "Rose", counts beside the other name, where it has a capital letter in the middle of a sentence, after a greeting or alone on its line;
//!   "May" not where it is the month.
//!
//! # What is not covered
//! **Names beyond the known ones stay**: of third persons, of places, streets and companies. So do postal addresses, dates of birth, national
//! and tax numbers, account numbers other than IBANs, user names, licence plates, and what only the context gives away. A redacted text is
//! pseudonymous, not anonymous. `tests/redact.rs` measures what share of each kind is found, on a set of our own in eight languages.
//!
//! # Texts that already hold placeholders
//! What a customer wrote that looks like a placeholder, `[EMAIL_1]` or `[email_7]`, is itself replaced, by `[TEXT_1]`. So every
//! placeholder in a redacted text is ours, and [`Redacted::restore`] brings back the customer's own.
//!
//! # Why plain code
//! What counts is often what stands around: the word before, a unit behind, the end of a clause. The `regex` crate, linear as it must be here,
//! can not look around, and check digits, lengths per country and lists of words would be code anyway. Each recogniser goes through
//! the text once, looks a bounded way to either side, and blanks what it finds for the next one.

mod about;
mod card;
mod context;
mod digits;
mod edits;
mod email;
mod fold;
mod iban;
mod ip;
mod names;
mod password;
mod phone;
mod placeholder;
mod secret;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use undertone_core::verdict::Span;

use edits::Edits;
use fold::Folded;
use names::Names;
use phone::{Number, Phones};

/// What the records have of this customer and this agent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Names in full, "Anna Schmidt" or "Schmidt, Anna"; titles may stand before them.
    pub names: Vec<String>,
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Telephone numbers, with or without country code. Fewer than six digits say nothing and are left out.
    pub phones: Vec<String>,
}

/// The words of a name as they are compared: in small letters and without accents.
pub fn name_words(name: &str) -> impl Iterator<Item = String> {
    words::words(name).filter_map(move |span| span.of(name)).map(words::key)
}

/// What sort of thing was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// The number of a payment card.
    Card,
    /// An international bank account number.
    Iban,
    /// An IP address.
    Ip,
    /// A password, PIN, key or token.
    Secret,
    /// A known name.
    Name,
    /// What the customer wrote that looks like a placeholder.
    Lookalike,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Phone,
        Self::Card,
        Self::Iban,
        Self::Ip,
        Self::Secret,
        Self::Name,
        Self::Lookalike,
    ];

    /// The word that stands for it in a placeholder.
    #[must_use]
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::Card => "CARD",
            Self::Iban => "IBAN",
            Self::Ip => "IP",
            Self::Secret => "SECRET",
            Self::Name => "NAME",
            Self::Lookalike => "TEXT",
        }
    }
}

/// What a recogniser found.
struct Found {
    /// Where, in the folded text.
    span: Span,
    kind: Kind,
    value: Value,
}

/// What tells one value from another: equal values get the same placeholder.
enum Value {
    Text(String),
    Phone(Number),
}

/// Redacts the texts of one conversation, or of one customer and one agent.
pub struct Redactor {
    names: Names,
    emails: HashSet<String>,
    phones: Phones,
    numbers: Numbers,
}

impl Redactor {
    /// A redactor that has seen no text yet.
    #[must_use]
    pub fn new(known: &Known) -> Self {
        // Where a record has no name, many a helpdesk shows the address in its place.
        let (addresses, names): (Vec<&String>, Vec<&String>) =
            known.names.iter().partition(|name| name.contains('@'));
        let emails = known.emails.iter().chain(addresses);
        Self {
            names: Names::of(&names),
            emails: emails.map(|email| email.trim().to_lowercase()).collect(),
            phones: Phones::of(&known.phones),
            numbers: Numbers::default(),
        }
    }

    /// `text` with a placeholder for everything that was recognised. Takes time in proportion to the text.
    pub fn redact(&mut self, text: &str) -> Redacted {
        let mut page = Page { folded: Folded::of(text), found: Vec::new() };
        // The more certain ones go first: what they found, the others do not see.
        page.search(placeholder::lookalikes);
        page.search(secret::private_keys);
        page.search(secret::in_addresses);
        page.search(secret::parameters);
        page.search(secret::of_known_shape);
        page.search(password::find);
        page.search(|text| email::find(text, &self.emails));
        page.search(iban::find);
        page.search(card::find);
        page.search(secret::random);
        page.search(ip::find);
        page.search(|text| phone::find_known(text, &self.phones));
        page.search(phone::find);
        page.search(|text| self.names.find(text));
        page.found.sort_by_key(|found| found.span.start);

        let mut redacted = Redacted {
            text: String::with_capacity(text.len()),
            entities: Vec::with_capacity(page.found.len()),
            values: HashMap::new(),
            edits: Edits::default(),
        };
        let mut done = 0;
        for found in &page.found {
            let mut span = page.folded.original(found.span);
            span.start = span.start.max(done);
            let (Some(kept), Some(value)) = (text.get(done..span.start), span.of(text)) else { continue };
            let number = self.numbers.of(found);
            let placeholder = placeholder::write(found.kind, number);
            redacted.text.push_str(kept);
            redacted.text.push_str(&placeholder);
            redacted.edits.push(span, placeholder.len());
            redacted.entities.push(Entity { kind: found.kind, number, span });
            redacted.values.entry((found.kind, number)).or_insert_with(|| value.to_owned());
            done = span.end;
        }
        redacted.text.push_str(text.get(done..).unwrap_or_default());
        redacted
    }
}

impl fmt::Debug for Known {
    /// Says how many there are, never which: this may end up in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("names", &self.names.len())
            .field("emails", &self.emails.len())
            .field("phones", &self.phones.len())
            .finish()
    }
}

impl fmt::Debug for Redactor {
    /// Says nothing of what it knows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

/// A text in the hands of the recognisers.
struct Page {
    folded: Folded,
    found: Vec<Found>,
}

impl Page {
    /// Lets `recogniser` look at what none before it has taken.
    fn search(&mut self, recogniser: impl FnOnce(&str) -> Vec<Found>) {
        let found = recogniser(&self.folded.text);
        if !found.is_empty() {
            self.folded.blank(found.iter().map(|f| f.span));
            self.found.extend(found);
        }
    }
}

/// The numbers of the values that a redactor has seen.
#[derive(Default)]
struct Numbers {
    last: BTreeMap<Kind, usize>,
    texts: HashMap<(Kind, String), usize>,
    /// By the number without country code; the few that differ in the country alone stand in one list.
    phones: HashMap<String, Vec<(Option<u16>, usize)>>,
}

impl Numbers {
    /// The number of what was found, from 1 for each kind.
    fn of(&mut self, found: &Found) -> usize {
        let last = self.last.entry(found.kind).or_default();
        match &found.value {
            Value::Text(text) => *self.texts.entry((found.kind, text.clone())).or_insert_with(|| {
                *last += 1;
                *last
            }),
            Value::Phone(phone) => {
                let seen = self.phones.entry(phone.national.clone()).or_default();
                // Without a country code it may be the number of any country; the first that fits.
                let same = seen.iter_mut().find(|(country, _)| {
                    country.is_none() || phone.country.is_none() || *country == phone.country
                });
                if let Some((country, number)) = same {
                    *country = country.or(phone.country);
                    return *number;
                }
                *last += 1;
                seen.push((phone.country, *last));
                *last
            }
        }
    }
}

/// Something that was taken out of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entity {
    /// What it is.
    pub kind: Kind,
    /// The number in its placeholder, from 1.
    pub number: usize,
    /// Where it stood in the original text.
    pub span: Span,
}

/// A text without what names a person or opens a door.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted {
    /// What may leave the machine.
    pub text: String,
    entities: Vec<Entity>,
    /// What each placeholder stands for, as it is written where it first stood in this text.
    values: HashMap<(Kind, usize), String>,
    edits: Edits,
}

impl Redacted {
    /// Where the stretch `span` of the redacted text stands in the original, in bytes. A span that cuts a placeholder widens to the whole of
    /// what the placeholder stands for. `None` if `span` does not fit the redacted text: out of range, back to front, or inside a character.
    #[must_use]
    pub fn original(&self, span: Span) -> Option<Span> {
        span.of(&self.text)?;
        Some(self.edits.original(span))
    }

    /// What was taken out, in the order of the text.
    #[must_use]
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// How many of each kind were taken out; a kind of which there was none is missing.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for entity in &self.entities {
            *counts.entry(entity.kind).or_default() += 1;
        }
        counts
    }

    /// `text`, something written about the redacted text, with the values of this text's placeholders put back in; of several ways to
    /// write a value the one that comes first in the original. A placeholder of another text stays. The result is for the tenant's own
    /// people: it must not leave the machine again.
    #[must_use]
    pub fn restore(&self, text: &str) -> String {
        let mut restored = String::with_capacity(text.len());
        let mut done = 0;
        for (span, kind, number) in placeholder::placeholders(text) {
            if let Some(value) = self.values.get(&(kind, number)) {
                restored.push_str(&text[done..span.start]);
                restored.push_str(value);
                done = span.end;
            }
        }
        restored.push_str(&text[done..]);
        restored
    }
}

impl fmt::Debug for Redacted {
    /// Says how much was taken out, and nothing of the text: this may end up in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Redacted");
        shown.field("bytes", &self.text.len()).field("counts", &self.counts()).finish_non_exhaustive()
    }
}
