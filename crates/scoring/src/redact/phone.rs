//! Telephone numbers: the known ones, and those that their build or the words before give away. The module above states the rules.

mod shape;

use std::collections::HashMap;

use undertone_core::verdict::Span;

use super::context::{Subject, subject};
use super::digits;
use super::fold::Folded;
use super::{Found, Kind, Value};

/// A telephone number, apart from how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    /// The country's code, where it is given.
    pub country: Option<u16>,
    /// The digits without it and without leading zeros.
    pub national: String,
}

impl Number {
    /// A number that is given without its country.
    fn national(digits: &str) -> Self {
        Self { country: None, national: digits.trim_start_matches('0').to_owned() }
    }

    /// The number whose country's code and all that follows are `digits`.
    fn international(digits: &str) -> Option<Self> {
        let (country, national) = international(digits)?;
        Some(Self { country: Some(country), national: national.to_owned() })
    }
}

/// The country's code that `digits` begin with and the number behind it, if numbers of that country are as long.
fn international(digits: &str) -> Option<(u16, &str)> {
    let (country, length) = shape::country(digits)?;
    let national = digits.get(length..)?.trim_start_matches('0');
    shape::fits(country, national.len()).then_some((country, national))
}

/// The numbers that the records have.
pub(super) struct Phones(HashMap<String, Vec<Option<u16>>>);

/// A number of fewer digits is found too often by chance.
const SHORTEST_KNOWN: usize = 6;

impl Phones {
    pub(super) fn of(known: &[String]) -> Self {
        let mut phones: HashMap<String, Vec<Option<u16>>> = HashMap::new();
        for phone in known {
            let folded = Folded::of(phone).text.replace("(0)", "");
            // What follows a letter is an extension.
            let number = folded.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '+');
            let number = number.split(char::is_alphabetic).next().unwrap_or_default();
            let digits: String = number.chars().filter(char::is_ascii_digit).collect();
            for (country, national) in readings(&digits, number.starts_with('+')) {
                if national.len() >= SHORTEST_KNOWN {
                    phones.entry(national.to_owned()).or_default().push(country);
                }
            }
        }
        Self(phones)
    }

    /// The known number that `digits` are, with a plus before them or not.
    fn known(&self, digits: &str, plus: bool) -> Option<Number> {
        readings(digits, plus).find_map(|(country, national)| {
            let countries = self.0.get(national)?;
            let same = countries.iter().find(|c| c.is_none() || country.is_none() || **c == country)?;
            Some(Number { country: country.or(*same), national: national.to_owned() })
        })
    }
}

/// What `digits` may mean. Without a plus or two zeros they may still begin with a country's code: many a database stores them so.
fn readings(digits: &str, plus: bool) -> impl Iterator<Item = (Option<u16>, &str)> {
    let code = if plus { Some(digits) } else { digits.strip_prefix("00") };
    let with_code = code.and_then(international);
    let bare = !plus && with_code.is_none();
    let national = bare.then(|| (None, digits.trim_start_matches('0')));
    let unmarked =
        (bare && !digits.starts_with('0') && digits.len() > 9).then(|| international(digits)).flatten();
    let given =
        [with_code, unmarked].into_iter().flatten().map(|(country, national)| (Some(country), national));
    national.into_iter().chain(given)
}

/// A stretch of digits.
#[derive(Clone, Copy)]
struct Group {
    span: Span,
    /// It may be a part of a number: no letter, unit, decimal or time sticks to it, and it is no part of a date.
    usable: bool,
    /// It belongs together with the group before.
    linked: bool,
}

/// A number has at most so many groups: each has a digit, and E.164 allows 15.
const MOST_GROUPS: usize = 15;

/// The known numbers in `text`, whatever the words before say.
pub(super) fn find_known(text: &str, known: &Phones) -> Vec<Found> {
    if known.0.is_empty() { Vec::new() } else { search(text, |run| run.known(known)) }
}

/// The numbers in `text` that show what they are.
pub(super) fn find(text: &str) -> Vec<Found> {
    search(text, unknown)
}

/// Asks `recognise` of how many groups the number is that a run begins with.
fn search(text: &str, recognise: impl Fn(&Run<'_>) -> Option<(usize, Number)>) -> Vec<Found> {
    let groups = groups(text);
    let mut found = Vec::new();
    let mut index = 0;
    // A number may begin: none that began before reaches here.
    let mut opens = true;
    while let Some(first) = groups.get(index) {
        opens |= !first.linked;
        let linked =
            groups[index + 1..].iter().take(MOST_GROUPS - 1).take_while(|group| group.linked).count();
        let number = if first.usable {
            recognise(&Run::of(text, &groups[index..=index + linked], opens))
        } else {
            None
        };
        let Some((count, number)) = number else {
            index += 1;
            opens = false;
            continue;
        };
        let span = Span { start: first.span.start, end: groups[index + count - 1].span.end };
        found.push(Found { span: with_plus(text, span), kind: Kind::Phone, value: Value::Phone(number) });
        index += count;
        opens = true;
    }
    found
}

/// `span` with the plus and the bracket before it.
fn with_plus(text: &str, span: Span) -> Span {
    let written = &text[span.start..span.end];
    // "(0171) 39 200 17": the bracket that closes inside was opened before.
    let closes = written.matches(')').count() > written.matches('(').count();
    let opened = |head: &str| head.len() - usize::from(closes && head.ends_with('('));
    let mut start = opened(&text[..span.start]);
    if text[..start].ends_with('+') {
        start = opened(&text[..start - 1]);
    }
    Span { start, end: span.end }
}

fn groups(text: &str) -> Vec<Group> {
    let spans = digits::groups(text);
    let mut groups: Vec<Group> = spans
        .iter()
        .map(|span| Group { span: *span, usable: stands_alone(text, *span), linked: false })
        .collect();
    let gap = |index: usize| text.get(spans.get(index)?.end..spans.get(index + 1)?.start);
    for (index, three) in spans.windows(3).enumerate() {
        let (between, before) = (gap(index), index.checked_sub(1).and_then(gap));
        if between != gap(index + 1) {
            continue;
        }
        let [first, second, third] =
            [0, 1, 2].map(|number: usize| three[number].of(text).unwrap_or_default());
        let dated = match between {
            // Five pairs are a French number.
            Some("-" | "." | "/") => between != before && between != gap(index + 2),
            Some(" ") => !before.is_some_and(links) && (first.len() == 4 || third.len() == 4),
            _ => false,
        };
        if dated && shape::is_date(first, second, third) {
            groups[index..index + 3].iter_mut().for_each(|group| group.usable = false);
        }
    }
    for index in 1..groups.len() {
        groups[index].linked =
            groups[index].usable && groups[index - 1].usable && gap(index - 1).is_some_and(links);
    }
    groups
}

/// Whether `gap` may stand between two groups of one number: one sign, with spaces and brackets around it. A full stop with a space ends
/// a sentence.
fn links(gap: &str) -> bool {
    let count = |signs: &str| gap.chars().filter(|c| signs.contains(*c)).count();
    let (spaces, marks, brackets) = (count(" "), count("-./"), count("()"));
    let stops_sentence = gap.contains('.') && spaces > 0;
    gap.chars().count() == spaces + marks + brackets
        && marks <= 1
        && spaces <= 2
        && brackets <= 2
        && !stops_sentence
}

/// Whether nothing sticks to the digits at `span` that makes them something else.
fn stands_alone(text: &str, span: Span) -> bool {
    let (head, tail) = (&text[..span.start], &text[span.end..]);
    let digit = |c: char| c.is_ascii_digit();
    let glued = |c: char| c.is_alphabetic() || matches!(c, '_' | '@') || shape::is_sign(c);
    let time = head.strip_suffix(':').is_some_and(|head| head.ends_with(digit))
        || tail.strip_prefix(':').is_some_and(|tail| tail.starts_with(digit));
    let decimals =
        tail.strip_prefix(',').map_or(0, |tail| tail.chars().take(4).take_while(|c| digit(*c)).count());
    let fraction =
        head.strip_suffix(',').is_some_and(|head| head.ends_with(digit)) && span.end - span.start <= 3;
    !(head.ends_with(glued)
        || head.ends_with('#')
        || tail.starts_with(glued)
        || time
        || fraction
        || (1..=3).contains(&decimals))
}

/// The number that the run begins with and that shows what it is.
fn unknown(run: &Run<'_>) -> Option<(usize, Number)> {
    let (head, plus) = run.head();
    let glued = head.trim_end_matches(['+', '(']).ends_with(|c: char| c.is_alphanumeric());
    if plus && !glued {
        let number = run.counts().find_map(|count| Some((count, Number::international(run.digits(count))?)));
        if number.is_some() {
            return number;
        }
    }
    // In the middle of a run only a zero begins a number.
    if !run.opens && !run.digits.starts_with('0') {
        return None;
    }
    let subject = subject(run.text, head.len());
    // "INV-0123456789" is a number of something, "Tel-0123456789" is not.
    let tagged = head
        .strip_suffix(['-', '/', '.', '=', '_'])
        .is_some_and(|head| head.ends_with(|c: char| c.is_alphabetic() || c == '/'));
    let contact = subject == Some(Subject::Contact);
    if subject == Some(Subject::Order) || (tagged && !contact) || shape::is_priced(run.text, head.len()) {
        return None;
    }
    run.with_zeros().or_else(|| run.grouped()).or_else(|| if contact { run.announced() } else { None })
}

/// Groups that belong together, of which the first ones may be a number.
struct Run<'t> {
    text: &'t str,
    groups: &'t [Group],
    opens: bool,
    /// The digits of all groups, without the zero in "+49 (0) 171".
    digits: String,
    /// Where among them each group ends.
    ends: Vec<usize>,
}

impl<'t> Run<'t> {
    fn of(text: &'t str, groups: &'t [Group], opens: bool) -> Self {
        let mut run =
            Self { text, groups, opens, digits: String::new(), ends: Vec::with_capacity(groups.len()) };
        for (number, group) in groups.iter().enumerate() {
            let written = group.span.of(text).unwrap_or_default();
            if number == 0 || written != "0" || !run.is_bracketed(group) {
                run.digits.push_str(written);
            }
            run.ends.push(run.digits.len());
        }
        run
    }

    /// The digits of the first `count` groups.
    fn digits(&self, count: usize) -> &str {
        count.checked_sub(1).and_then(|last| self.digits.get(..*self.ends.get(last)?)).unwrap_or_default()
    }

    /// How many groups the run may have of a number, the most first.
    fn counts(&self) -> impl Iterator<Item = usize> {
        (1..=self.groups.len()).rev()
    }

    /// What stands before the run, and whether it ends in a plus.
    fn head(&self) -> (&str, bool) {
        let start = self.groups.first().map_or(0, |group| group.span.start);
        let head = self.text.get(..start).unwrap_or_default();
        (head, head.ends_with('+') || head.ends_with("+("))
    }

    /// The known number that the run begins with.
    fn known(&self, known: &Phones) -> Option<(usize, Number)> {
        let (_, plus) = self.head();
        let long = |count: &usize| self.digits(*count).len() >= SHORTEST_KNOWN;
        self.counts().filter(long).find_map(|count| Some((count, known.known(self.digits(count), plus)?)))
    }

    fn is_bracketed(&self, group: &Group) -> bool {
        self.text[..group.span.start].ends_with('(') && self.text[group.span.end..].starts_with(')')
    }

    /// What stands between the group `count - 1` and the next of the run.
    fn gap(&self, count: usize) -> Option<&str> {
        let (before, after) = (self.groups.get(count.checked_sub(1)?)?, self.groups.get(count)?);
        self.text.get(before.span.end..after.span.start)
    }

    /// Whether a number may end with the group `count - 1`: nothing that could be a part of it follows, or at least `signs` part it from that.
    fn may_end(&self, count: usize, signs: &str) -> bool {
        let span = self.groups[count - 1].span;
        let tail = &self.text[span.end..];
        let goes_on = tail
            .strip_prefix(['-', '/', '_'])
            .is_some_and(|tail| tail.starts_with(|c: char| c.is_alphanumeric()));
        match self.gap(count) {
            Some(gap) => gap.contains(|c: char| signs.contains(c)),
            None => !goes_on && !shape::is_measured(self.text, span.end),
        }
    }

    fn written(&self) -> Vec<&str> {
        self.groups.iter().map(|group| group.span.of(self.text).unwrap_or_default()).collect()
    }

    /// A number that begins with "00" and a country's code, or with the zero that long-distance numbers have in most of Europe.
    fn with_zeros(&self) -> Option<(usize, Number)> {
        let first = self.groups.first()?;
        let spaced = self.opens || self.text[..first.span.start].ends_with([' ', '/', '(']);
        let written = self.written();
        // "0.12": a zero alone begins a number only in brackets.
        let area = written.first()?.len() > 1 || self.is_bracketed(first);
        if !spaced || !area || !self.digits.starts_with('0') {
            return None;
        }
        // Pairs are French, and there are five of them; what follows is something else.
        let french =
            written[0] != "00" && written.len() >= 5 && written[..5].iter().all(|pair| pair.len() == 2);
        let longest = if french { 5 } else { written.len() };
        for count in self.counts().filter(|count| *count <= longest) {
            let ends = (french && count == 5) || self.may_end(count, " /");
            if !ends {
                continue;
            }
            let digits = self.digits(count);
            if let Some(number) = digits.strip_prefix("00").and_then(Number::international) {
                return Some((count, number));
            }
            let fitting = if count == 1 { 10..=12 } else { 9..=12 };
            let one_zero = !digits.starts_with("00");
            if one_zero && fitting.contains(&digits.len()) {
                return Some((count, Number::national(digits)));
            }
        }
        None
    }

    /// A number that is grouped as people group numbers.
    fn grouped(&self) -> Option<(usize, Number)> {
        if !self.opens {
            return None;
        }
        let lengths: Vec<usize> = self.written().iter().map(|group| group.len()).collect();
        let gaps: Vec<&str> = (1..lengths.len()).filter_map(|count| self.gap(count)).collect();
        let fits = |count: &usize| {
            self.may_end(*count, "/")
                && shape::is_grouped(self.digits(*count), &lengths[..*count], &gaps[..*count - 1])
        };
        let count = (2..=lengths.len()).rev().find(fits)?;
        let digits = self.digits(count);
        let number = match lengths[..count] {
            [1, 3, 3, 4] => Number { country: Some(1), national: digits[1..].to_owned() },
            [1, 3, 3, 2, 2] => Number { country: Some(7), national: digits[1..].to_owned() },
            _ => Number::national(digits),
        };
        Some((count, number))
    }

    /// Any number of a fitting length; the words before have said that it is one.
    fn announced(&self) -> Option<(usize, Number)> {
        if !self.opens {
            return None;
        }
        self.counts().filter(|count| self.may_end(*count, " /")).find_map(|count| {
            let digits = self.digits(count);
            (7..=15).contains(&digits.len()).then(|| (count, Number::national(digits)))
        })
    }
}

#[cfg(test)]
mod tests;
