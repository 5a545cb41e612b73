//! The names that the records have, wherever a text holds them.

mod ordinary;

use std::collections::HashMap;

use undertone_core::verdict::Span;

use super::context::{self, Says};
use super::words::{is_capitalised, is_letter, is_title_case, is_unspaced, key, words, write_key};
use super::{Found, Kind, Value};
use ordinary::{CALENDAR, INTRODUCTIONS, ORDINARY, PARTICLES, TIMES, TITLES};

/// What a word of a name needs around it to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Nothing: it is a name wherever it stands.
    Plain,
    /// A word like others: capital letters where words have none, or another word of the name.
    Ordinary,
    /// One or two letters: an introduction, or another word of the name.
    Short,
    /// "von", "de": belongs to a name between two words of it.
    Particle,
}

/// What a word in a text may be.
struct Form {
    class: Class,
    /// The word of the name in its basic form.
    base: String,
    /// In which of the names it stands, and as which word.
    places: Vec<(usize, usize)>,
    /// It counts in Polish texts only, and with a capital letter.
    polish: bool,
}

/// The names to look for.
pub(super) struct Names {
    /// By their key.
    forms: HashMap<String, Form>,
    /// Names in scripts that put no spaces between words.
    unspaced: Vec<String>,
}

impl Names {
    pub(super) fn of(names: &[impl AsRef<str>]) -> Self {
        let mut all = Self { forms: HashMap::new(), unspaced: Vec::new() };
        let mut plain = Vec::new();
        for (number, name) in names.iter().map(AsRef::as_ref).enumerate() {
            if name.contains(is_unspaced) {
                all.add_unspaced(name);
                continue;
            }
            let parts = words(name).filter_map(|span| span.of(name)).map(|word| (key(word), word));
            for (place, (base, word)) in parts.filter(|(key, _)| !TITLES.has(key)).enumerate() {
                let class = class(&base);
                for spelling in spellings(&base, word) {
                    all.add(spelling, class, &base, (number, place), false);
                }
                if class == Class::Plain {
                    plain.push((base, (number, place)));
                }
            }
        }
        all.add_joined(names.len());
        // After all names as they are: the ending of one is another's own letter.
        for (base, place) in plain {
            for (form, polish) in inflections(&base) {
                if !ORDINARY.has(&form) {
                    all.add(form, Class::Plain, &base, place, polish);
                }
            }
        }
        all
    }

    fn add(&mut self, form: String, class: Class, base: &str, place: (usize, usize), polish: bool) {
        let base = base.to_owned();
        let known = self.forms.entry(form).or_insert(Form { class, base, places: Vec::new(), polish });
        // A form of two names that differ is the one's that was there before.
        if known.polish == polish && !known.places.contains(&place) {
            known.places.push(place);
        }
    }

    /// First and last name run together, as in user names: "annaschmidt".
    fn add_joined(&mut self, names: usize) {
        for number in 0..names {
            let mut parts: Vec<(usize, String)> = Vec::new();
            for form in self.forms.values().filter(|form| form.class != Class::Particle) {
                parts.extend(form.places.iter().filter(|p| p.0 == number).map(|p| (p.1, form.base.clone())));
            }
            parts.sort();
            parts.dedup();
            let (Some((place, first)), Some((_, last))) = (parts.first(), parts.last()) else { continue };
            if parts.len() > 1 && first.len() + last.len() >= 7 {
                let base = format!("{first} {last}");
                for joined in [format!("{first}{last}"), format!("{last}{first}")] {
                    self.add(joined, Class::Plain, &base, (number, *place), false);
                }
            }
        }
    }

    fn add_unspaced(&mut self, name: &str) {
        let whole: String = name.split_whitespace().collect();
        let parts = name.split_whitespace().map(str::to_owned);
        self.unspaced.extend(parts.chain([whole]).filter(|part| part.chars().nth(1).is_some()));
        // The longest is looked for first, so that it is found whole.
        self.unspaced.sort_by_key(|part| std::cmp::Reverse(part.len()));
        self.unspaced.dedup();
    }

    /// The names in `text`.
    pub(super) fn find(&self, text: &str) -> Vec<Found> {
        let mut found = self.find_unspaced(text);
        if !self.forms.is_empty() {
            let reader = Reader { names: self, text, words: words(text).collect(), polish: is_polish(text) };
            reader.read(&mut found);
        }
        found.sort_by_key(|found| found.span.start);
        found
    }

    fn find_unspaced(&self, text: &str) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        let mut taken: Vec<Span> = Vec::new();
        for name in &self.unspaced {
            let mut fresh = Vec::new();
            for (start, _) in text.match_indices(name.as_str()) {
                let span = Span { start, end: start + name.len() };
                let after = taken.partition_point(|other| other.end <= span.start);
                if taken.get(after).is_none_or(|other| other.start >= span.end) {
                    fresh.push(span);
                    found.push(Found { span, kind: Kind::Name, value: Value::Text(name.clone()) });
                }
            }
            taken.extend(fresh);
            taken.sort_by_key(|span| span.start);
        }
        found
    }
}

fn class(base: &str) -> Class {
    if PARTICLES.has(base) {
        Class::Particle
    } else if base.chars().nth(2).is_none() {
        Class::Short
    } else if ORDINARY.has(base) {
        Class::Ordinary
    } else {
        Class::Plain
    }
}

/// The ways to write a name's word without the letters that only some keyboards have: "Müller" is "muller" and "mueller", and "Mueller" may
/// be written "Müller".
fn spellings(base: &str, word: &str) -> Vec<String> {
    let mut spellings = vec![base.to_owned()];
    let lower = word.to_lowercase();
    let spelled: String = lower
        .chars()
        .map(|c| match c {
            'ä' => "ae".to_owned(),
            'ö' | 'ø' => "oe".to_owned(),
            'ü' => "ue".to_owned(),
            'å' => "aa".to_owned(),
            _ => c.to_string(),
        })
        .collect();
    if spelled != lower {
        spellings.push(key(&spelled));
    }
    let umlaut = ["ae", "oe", "ue"].iter().find_map(|pair| base.find(pair));
    // "Joe" has none, nor have "Manuel" and "Michael".
    if let Some(at) = umlaut.filter(|at| *at > 0 && base.len() > 4 && &base[at + 2..] != "l") {
        spellings.push(format!("{}{}", &base[..=at], &base[at + 2..]));
    }
    spellings
}

/// The endings that `base` takes in a sentence, and whether they are Polish.
fn inflections(base: &str) -> Vec<(String, bool)> {
    let mut forms = Vec::new();
    if !base.ends_with(['s', 'x', 'z']) {
        forms.push((format!("{base}s"), false));
    }
    if base.len() < 4 || !base.is_ascii() {
        return forms;
    }
    let mut add = |stem: &str, endings: &[&str]| {
        forms.extend(endings.iter().map(|ending| (format!("{stem}{ending}"), true)));
    };
    if base.ends_with("ski") || base.ends_with("cki") {
        add(base, &["ego", "emu", "m", "ch", "mi"]);
    } else if let Some(stem) = base.strip_suffix("ska").or_else(|| base.strip_suffix("cka")) {
        add(&base[..stem.len() + 2], &["iej"]);
    } else if let Some(stem) = base.strip_suffix('a') {
        add(stem, &["y", "i", "ie", "e", "o", "u"]);
        if let Some(shorter) = stem.strip_suffix('i') {
            add(shorter, &["i"]);
        }
    } else if let Some(stem) = base.strip_suffix("ek") {
        add(stem, &["ka", "kowi", "kiem", "ku"]);
    } else if !base.ends_with(['e', 'i', 'o', 'u', 'y']) {
        add(base, &["a", "owi", "em", "iem", "ie", "u", "y", "om", "ow"]);
    }
    forms
}

/// A text with a letter that only Polish and its neighbours have.
fn is_polish(text: &str) -> bool {
    text.contains(|c: char| {
        matches!(c, 'ą' | 'ę' | 'ł' | 'ń' | 'ś' | 'ź' | 'ż' | 'Ą' | 'Ę' | 'Ł' | 'Ń' | 'Ś' | 'Ź' | 'Ż')
    })
}

/// A name has at most so many words here.
const MOST_LINKS: usize = 8;

/// A text and what is looked for in it.
struct Reader<'n> {
    names: &'n Names,
    text: &'n str,
    words: Vec<Span>,
    polish: bool,
}

/// A word of the text that is one of a name.
#[derive(Clone, Copy)]
struct Link<'n> {
    word: Span,
    form: &'n Form,
}

impl<'n> Reader<'n> {
    fn read(&self, found: &mut Vec<Found>) {
        let mut index = 0;
        let mut buffer = String::new();
        while index < self.words.len() {
            let Some(first) = self.link(index, &mut buffer) else {
                index += 1;
                continue;
            };
            let (chain, name, next) = self.chain(first, index);
            if let Some(part) = self.believed(&chain) {
                found.push(name_of(part, name));
            } else {
                let alone = chain.iter().filter(|link| self.stands_by_itself(link));
                found.extend(alone.map(|link| name_of(std::slice::from_ref(link), name)));
            }
            index = next;
        }
    }

    /// The word at `index`, if it is of a name; `buffer` holds its key.
    fn link(&self, index: usize, buffer: &mut String) -> Option<Link<'n>> {
        let word = *self.words.get(index)?;
        let written = word.of(self.text)?;
        write_key(written, buffer);
        let form = self.names.forms.get(buffer.as_str())?;
        (!form.polish || (self.polish && is_capitalised(written))).then_some(Link { word, form })
    }

    /// The words of one name that follow each other, beginning with `first` at `index`; that name; and the index of the word behind them.
    fn chain(&self, first: Link<'n>, index: usize) -> (Vec<Link<'n>>, usize, usize) {
        let mut names: Vec<usize> = first.form.places.iter().map(|place| place.0).collect();
        let mut chain = vec![first];
        let (mut last, mut next) = (index, index + 1);
        let mut buffer = String::new();
        while chain.len() < MOST_LINKS && self.joined(last, next) {
            let Some(link) = self.link(next, &mut buffer) else {
                // "Anna M. Schmidt"
                let initial = self.words.get(next).and_then(|word| word.of(self.text)).is_some_and(|word| {
                    word.chars().nth(1).is_none() && is_capitalised(word) && !self.is_initial(last)
                });
                if !initial || !self.joined(next, next + 1) || self.link(next + 1, &mut buffer).is_none() {
                    break;
                }
                (last, next) = (next, next + 1);
                continue;
            };
            let common: Vec<usize> =
                names.iter().copied().filter(|n| link.form.places.iter().any(|p| p.0 == *n)).collect();
            if common.is_empty() || !self.continues(&chain, &link, common[0]) {
                break;
            }
            names = common;
            chain.push(link);
            (last, next) = (next, next + 1);
        }
        (chain, names.first().copied().unwrap_or_default(), next)
    }

    /// Whether `link` goes on with the name that `chain` has begun: not with a word of it that was there already, and after a comma only
    /// from the last name to the first.
    fn continues(&self, chain: &[Link<'n>], link: &Link<'n>, name: usize) -> bool {
        let place =
            |link: &Link<'n>| link.form.places.iter().find(|place| place.0 == name).map(|place| place.1);
        let Some(last) = chain.last() else { return true };
        let comma = self.text.get(last.word.end..link.word.start).is_some_and(|gap| gap.contains(','));
        chain.iter().all(|earlier| earlier.form.base != link.form.base)
            && (!comma || (chain.len() == 1 && place(last) > place(link)))
    }

    fn is_initial(&self, index: usize) -> bool {
        self.words
            .get(index)
            .and_then(|word| word.of(self.text))
            .is_some_and(|word| word.chars().nth(1).is_none())
    }

    /// Whether little enough stands between two words for them to be of one name.
    fn joined(&self, last: usize, next: usize) -> bool {
        let (Some(a), Some(b)) = (self.words.get(last), self.words.get(next)) else { return false };
        let gap = self.text.get(a.end..b.start).unwrap_or_default();
        match gap {
            " " | "  " | "-" | "." | "_" | "'" | ", " => true,
            // With a space behind it, a full stop ends a sentence unless it stands behind an initial.
            ". " => self.is_initial(last),
            _ => false,
        }
    }

    /// The part of `chain` that is a name beyond doubt, if any is.
    fn believed<'c>(&self, chain: &'c [Link<'n>]) -> Option<&'c [Link<'n>]> {
        let mut part = chain;
        while let [first, rest @ ..] = part
            && !self.opens(first, rest.first())
        {
            part = rest;
        }
        while let [rest @ .., last] = part
            && !self.closes(rest.last(), last)
        {
            part = rest;
        }
        let sure = part.iter().any(|link| link.form.class == Class::Plain)
            || (part.len() > 1
                && part.iter().all(|link| self.has_capital(link) || link.form.class == Class::Particle));
        sure.then_some(part)
    }

    /// Whether `first` may be the first word of a name that goes on with `second`.
    fn opens(&self, first: &Link<'n>, second: Option<&Link<'n>>) -> bool {
        match first.form.class {
            Class::Plain => true,
            Class::Particle => false,
            Class::Ordinary | Class::Short => second.is_some_and(|second| {
                // "d'Angelo" is one word.
                let glued = self.text.get(first.word.end..second.word.start) == Some("'");
                glued || self.has_capital(first) || self.in_order(first, second)
            }),
        }
    }

    /// Whether `last` may be the last word of a name after `before`.
    fn closes(&self, before: Option<&Link<'n>>, last: &Link<'n>) -> bool {
        match last.form.class {
            Class::Plain => true,
            Class::Particle => false,
            Class::Ordinary | Class::Short => {
                before.is_some_and(|before| self.has_capital(last) || self.in_order(before, last))
            }
        }
    }

    /// Two words in small letters, as the name has them; where one has a capital, the other is a word like others.
    fn in_order(&self, first: &Link<'n>, second: &Link<'n>) -> bool {
        !self.has_capital(first)
            && !self.has_capital(second)
            && first
                .form
                .places
                .iter()
                .any(|a| second.form.places.iter().any(|b| a.0 == b.0 && a.1 + 1 == b.1))
    }

    fn has_capital(&self, link: &Link<'n>) -> bool {
        link.word.of(self.text).is_some_and(is_capitalised)
    }

    /// Whether a word that may be a word like others is a name here.
    fn stands_by_itself(&self, link: &Link<'n>) -> bool {
        let word = link.word.of(self.text).unwrap_or_default();
        if !is_title_case(word) || !matches!(link.form.class, Class::Ordinary | Class::Short) {
            return false;
        }
        if self.is_introduced(link.word) {
            return true;
        }
        link.form.class == Class::Ordinary
            && !self.beside_number(link.word)
            && !self.is_date(link.word)
            && (self.is_inside_sentence(link.word) || self.is_alone(link.word))
    }

    /// After a title or a greeting.
    fn is_introduced(&self, word: Span) -> bool {
        let head = &self.text[..word.start];
        let before = head.strip_suffix(' ').map(|head| head.strip_suffix(['.', ',']).unwrap_or(head));
        let Some(before) = before else { return false };
        let letters: usize =
            before.chars().rev().take(16).take_while(|c| is_letter(*c)).map(char::len_utf8).sum();
        INTRODUCTIONS.has(&key(&before[before.len() - letters..]))
    }

    /// "3 May", "May 2025": a date, an amount.
    fn beside_number(&self, word: Span) -> bool {
        let near = |c: &char| matches!(c, ' ' | '.' | ',');
        let before = self.text[..word.start].chars().rev().take(3).find(|c| !near(c));
        let after = self.text[word.end..].chars().take(3).find(|c| !near(c));
        before.is_some_and(char::is_numeric) || after.is_some_and(char::is_numeric)
    }

    /// "since May", "in April and May", and the like in other languages.
    fn is_date(&self, word: Span) -> bool {
        let date = || {
            context::before(self.text, word.start, |before| match before {
                "and" | "or" | "und" | "oder" | "et" | "y" | "e" | "i" => Says::Nothing,
                _ if TIMES.has(before) || CALENDAR.has(before) => Says::This(()),
                _ => Says::Stop,
            })
        };
        word.of(self.text).is_some_and(|written| CALENDAR.has(&key(written))) && date().is_some()
    }

    /// A word of the same sentence stands before it.
    fn is_inside_sentence(&self, word: Span) -> bool {
        let mut before =
            self.text[..word.start].chars().rev().take(4).skip_while(|c| " \"'(„“*_".contains(*c));
        before.next().is_some_and(|c| c.is_alphanumeric() || matches!(c, ',' | ')' | '\'' | '"'))
    }

    /// Nothing else stands on its line, as in a signature.
    fn is_alone(&self, word: Span) -> bool {
        let edge = |c: &char| matches!(c, '\n' | '\r');
        let quiet = |c: &char| !c.is_alphanumeric();
        // A long run of signs around it is no signature.
        let before = self.text[..word.start].chars().rev().take(8).find(|c| edge(c) || !quiet(c));
        let after = self.text[word.end..].chars().take(8).find(|c| edge(c) || !quiet(c));
        let starts = before.map_or(word.start <= 8, |c| edge(&c));
        let ends = after.map_or(self.text.len() - word.end <= 8, |c| edge(&c));
        starts && ends
    }
}

/// What was found in the words of `links`, of the name number `name`. The order of a name's words makes no difference.
fn name_of(links: &[Link<'_>], name: usize) -> Found {
    let start = links.first().map_or(0, |link| link.word.start);
    let end = links.last().map_or(start, |link| link.word.end);
    let place =
        |link: &&Link<'_>| link.form.places.iter().find(|place| place.0 == name).map_or(0, |place| place.1);
    let mut parts: Vec<(usize, &str)> =
        links.iter().map(|link| (place(&link), link.form.base.as_str())).collect();
    parts.sort_unstable();
    parts.dedup();
    let value = parts.iter().map(|(_, base)| *base).collect::<Vec<_>>().join(" ");
    Found { span: Span { start, end }, kind: Kind::Name, value: Value::Text(value) }
}

#[cfg(test)]
mod tests;
