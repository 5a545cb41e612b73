//! The elements of a body that is one JSON array and comes in pieces. The body may have any length; what is kept is the longest element
//! or the largest piece.
//!
//! Only where each element begins and ends is found out here, by its brackets and strings; then each is checked to be JSON. Where one is
//! not, its end was a guess, and all that would follow could be misread: nothing after it is read.

use serde::de::IgnoredAny;

use super::{MOST_DEPTH, MOST_ITEM};

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its place in the array, from 1, as lines are counted.
    pub number: u64,
    /// Its bytes.
    pub bytes: Result<&'a [u8], Broken>,
}

/// Why an element can not be had. After all but the first, nothing more is read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Left out; the next one is not.
    #[error("this element is longer than {MOST_ITEM} bytes (4 MiB)")]
    TooLong,
    /// The element is not JSON.
    #[error("this element is not JSON: {0}; where it ends can not be told, so nothing after it was read")]
    NotJson(String),
    /// The element is nested too deeply.
    #[error("this element is nested deeper than {MOST_DEPTH} levels; nothing after it was read")]
    TooDeep,
    /// There is something else where an element, a comma or the end should be.
    #[error("the array breaks off here: {0}; nothing after it was read")]
    Array(&'static str),
}

impl Broken {
    /// The word programs look for.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::TooDeep => "too_deep",
            Self::NotJson(_) | Self::Array(_) => "invalid_json",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Before,
    /// An element may begin, or the array end.
    First,
    /// An element must begin.
    Next,
    Inside,
    /// A comma must follow, or the end.
    Between,
    After,
    /// Nothing more is read.
    Broken,
}

/// Where in an element the reading stands.
#[derive(Debug, Clone, Copy, Default)]
struct Nesting {
    depth: usize,
    /// For each level, the lowest bit the innermost: whether it is an object.
    objects: u64,
    in_string: bool,
    escaped: bool,
}

/// What a byte of an element means for its end.
enum Step {
    On,
    /// It is the last one.
    Last,
    /// It belongs to what follows: a number or a word ended before it.
    Past,
    Wrong(Broken),
}

/// Splits an array into its elements. Take every element there is after each [`push`](Self::push): what was pushed and not taken is kept.
///
/// A byte order mark at the beginning is ignored.
#[derive(Debug, Default)]
pub struct ArrayItems {
    buffer: Vec<u8>,
    /// Where the element begins in `buffer`, or what was not looked at yet.
    start: usize,
    /// What is looked at next.
    at: usize,
    place: Place,
    nesting: Nesting,
    /// Elements that began.
    number: u64,
    /// The beginning of this element was thrown away: it is too long.
    too_long: bool,
    finished: bool,
}

impl ArrayItems {
    /// More of the body.
    pub fn push(&mut self, piece: &[u8]) {
        if self.place == Place::Broken {
            return;
        }
        self.buffer.drain(..self.start);
        self.at -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The body ended.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The next element that is there as a whole.
    pub fn next_item(&mut self) -> Option<Element<'_>> {
        if self.place == Place::Before && !self.skip_mark() {
            return None;
        }
        while let Some(&byte) = self.buffer.get(self.at) {
            if self.place == Place::Inside {
                match self.nesting.step(byte) {
                    Step::On => self.at += 1,
                    Step::Last => {
                        self.at += 1;
                        return Some(self.end_element());
                    }
                    Step::Past => return Some(self.end_element()),
                    Step::Wrong(broken) => return Some(self.broken(self.number, broken)),
                }
                continue;
            }
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
                && let Err(broken) = self.outside(byte)
            {
                return Some(self.broken(self.number + 1, broken));
            }
            if self.place != Place::Inside {
                self.at += 1;
                self.start = self.at;
            }
        }
        if self.place == Place::Inside && (self.too_long || self.at - self.start > MOST_ITEM) {
            self.too_long = true;
            self.start = self.at;
        }
        let why = match self.place {
            _ if !self.finished => return None,
            Place::After | Place::Broken => return None,
            Place::Before => return Some(self.broken(1, Broken::Array("it does not begin with ["))),
            Place::Inside => "the body ends inside this element",
            Place::First | Place::Next | Place::Between => "the body ends before the ] of the array",
        };
        let number = if self.place == Place::Inside { self.number } else { self.number + 1 };
        Some(self.broken(number, Broken::Array(why)))
    }

    /// Goes past a byte order mark; false when it may be one and is not all there yet.
    fn skip_mark(&mut self) -> bool {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let rest = &self.buffer[self.at..];
        if self.at == 0 && rest.starts_with(MARK) {
            (self.at, self.start) = (MARK.len(), MARK.len());
        } else if self.at == 0 && !rest.is_empty() && MARK.starts_with(rest) && !self.finished {
            return false;
        }
        true
    }

    /// A byte between elements.
    fn outside(&mut self, byte: u8) -> Result<(), Broken> {
        self.place = match (self.place, byte) {
            (Place::Before, b'[') => Place::First,
            (Place::First | Place::Between, b']') => Place::After,
            (Place::Between, b',') => Place::Next,
            (Place::Before, _) => return Err(Broken::Array("it does not begin with [")),
            (Place::Between, _) => return Err(Broken::Array("a comma is missing")),
            (Place::After, _) => return Err(Broken::Array("something follows the ] of the array")),
            (_, b',' | b']' | b'}' | b':') => return Err(Broken::Array("an element is missing")),
            _ => {
                self.number += 1;
                self.nesting = Nesting::default();
                self.too_long = false;
                self.start = self.at;
                Place::Inside
            }
        };
        Ok(())
    }

    fn end_element(&mut self) -> Element<'_> {
        self.place = Place::Between;
        let start = std::mem::replace(&mut self.start, self.at);
        let number = self.number;
        if std::mem::take(&mut self.too_long) || self.at - start > MOST_ITEM {
            return Element { number, bytes: Err(Broken::TooLong) };
        }
        // Cheap beside reading it: nothing is built, not even strings.
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(&self.buffer[start..self.at]) {
            return self.broken(number, Broken::NotJson(super::item::told(&error)));
        }
        Element { number, bytes: Ok(&self.buffer[start..self.at]) }
    }

    fn broken(&mut self, number: u64, broken: Broken) -> Element<'_> {
        self.place = Place::Broken;
        (self.buffer, self.start, self.at) = (Vec::new(), 0, 0);
        Element { number, bytes: Err(broken) }
    }
}

impl Nesting {
    fn step(&mut self, byte: u8) -> Step {
        if self.in_string {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.in_string = false;
                if self.depth == 0 {
                    return Step::Last;
                }
            }
            return Step::On;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                if self.depth == MOST_DEPTH {
                    return Step::Wrong(Broken::TooDeep);
                }
                self.depth += 1;
                self.objects = self.objects << 1 | u64::from(byte == b'{');
            }
            b',' | b']' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => return Step::Past,
            b'}' | b']' => {
                if self.depth == 0 || (self.objects & 1 == 1) != (byte == b'}') {
                    let told = format!("{} closes nothing that is open", char::from(byte));
                    return Step::Wrong(Broken::NotJson(told));
                }
                self.depth -= 1;
                self.objects >>= 1;
                if self.depth == 0 {
                    return Step::Last;
                }
            }
            _ => {}
        }
        Step::On
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    type Found = Vec<(u64, Result<Vec<u8>, String>)>;

    fn take(items: &mut ArrayItems, found: &mut Found) {
        while let Some(element) = items.next_item() {
            found.push((element.number, element.bytes.map(<[u8]>::to_vec).map_err(|e| e.to_string())));
        }
    }

    fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Found {
        let (mut items, mut found) = (ArrayItems::default(), Found::new());
        for piece in pieces {
            items.push(piece);
            take(&mut items, &mut found);
        }
        items.finish();
        take(&mut items, &mut found);
        assert_eq!(items.next_item(), None);
        found
    }

    #[test]
    fn elements_come_as_they_stand() {
        let body = "\u{feff} [ {\"a\": \"],}\\\"\"} ,[1,[2]],\"x\\\\\", -1.5e3 ,null]\n ";
        for size in 1..body.len() {
            let found = split(body.as_bytes().chunks(size));
            let told: Vec<_> =
                found.iter().map(|(n, b)| (*n, std::str::from_utf8(b.as_ref().unwrap()).unwrap())).collect();
            let wanted =
                [(1, "{\"a\": \"],}\\\"\"}"), (2, "[1,[2]]"), (3, "\"x\\\\\""), (4, "-1.5e3"), (5, "null")];
            assert_eq!(told, wanted, "in pieces of {size}");
        }
        assert_eq!(split([&b"[]"[..]]), []);
        assert_eq!(split([&b" [\n] "[..]]), []);
    }

    #[test]
    fn a_broken_array_says_where_and_why_and_keeps_what_was_before() {
        let mut told = String::new();
        for body in [
            "",
            "\u{feff}",
            "{}",
            "[",
            "[{}",
            "[{} {}]",
            "[{},]",
            "[,{}]",
            "[{},{\"a\":",
            "[{}] x",
            "[{}]]",
            "[{}, {\"a\" 1}, {}]",
            "[{}, {\"text\": \"it \"broke\" again\"}, {}]",
            "[{\"a\": [1}, {}]",
            "[tru, {}]",
            "[1}]",
            "[1 2]",
            "[{}, {\"a\":\"x}, {\"b\":\"y\"}]",
        ] {
            for size in [1, 2, 1000] {
                let found = split(body.as_bytes().chunks(size));
                let (last, good) = found.split_last().unwrap();
                assert!(good.iter().all(|(_, bytes)| bytes.is_ok()), "{body}");
                let line = format!(
                    "{body:<44} {} good, then {}: {}\n",
                    good.len(),
                    last.0,
                    last.1.as_ref().unwrap_err()
                );
                if size == 1 {
                    told.push_str(&line);
                }
                assert!(told.ends_with(&line), "in pieces of {size}: {line}");
            }
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| format!("[{}1{}, 2]", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(split([nested(MOST_DEPTH).as_bytes()]).len(), 2);
        let found = split([nested(MOST_DEPTH + 1).as_bytes()]);
        assert_eq!(found, [(1, Err(Broken::TooDeep.to_string()))]);
        let endless = "[".repeat(1 << 20);
        assert_eq!(split(endless.as_bytes().chunks(1000)).len(), 1);
    }

    #[test]
    fn an_element_too_long_is_left_out_and_not_kept() {
        let (mut items, mut found) = (ArrayItems::default(), Found::new());
        items.push(b"[1,{\"a\":\"");
        for _ in 0..50 {
            items.push(&vec![b'x'; 1 << 20]);
            take(&mut items, &mut found);
            assert!(items.buffer.capacity() <= 8 << 20, "{}", items.buffer.capacity());
        }
        items.push(b"\"},2]");
        take(&mut items, &mut found);
        assert_eq!(
            found.iter().map(|(n, b)| (*n, b.is_ok())).collect::<Vec<_>>(),
            [(1, true), (2, false), (3, true)]
        );
        let most = format!("[\"{}\"]", "x".repeat(MOST_ITEM - 2));
        assert!(split([most.as_bytes()])[0].1.is_ok());
        let over = format!("[\"{}\"]", "x".repeat(MOST_ITEM - 1));
        assert_eq!(split([over.as_bytes()]), [(1, Err(Broken::TooLong.to_string()))]);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\[\\]{},:\"\\\\a-z\u{e9}\n ]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\{\\[]{0,6}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn elements_are_what_the_array_holds(
            values in prop::collection::vec(any_json(), 0..6), pretty in any::<bool>(), size in 1..40_usize
        ) {
            let body = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
            let found: Vec<Value> = split(body.as_bytes().chunks(size))
                .into_iter()
                .map(|(_, bytes)| serde_json::from_slice(&bytes.unwrap()).unwrap())
                .collect();
            prop_assert_eq!(found, values);
        }

        /// What serde_json reads as an array is read alike; in anything else the fault is told, once and last.
        #[test]
        fn any_bytes_are_read_as_serde_json_does(
            body in "[\\[\\]{},:\"\\\\atrue1 ]{0,24}", size in 1..9_usize
        ) {
            let found = split(body.as_bytes().chunks(size));
            if serde_json::from_str::<Vec<IgnoredAny>>(&body).is_ok() {
                let found: Vec<String> =
                    found.into_iter().map(|(_, b)| String::from_utf8(b.unwrap()).unwrap()).collect();
                // Together again, they are the same array, each in its place.
                let again: Vec<Value> = serde_json::from_str(&format!("[{}]", found.join(","))).unwrap();
                prop_assert_eq!(again.len(), found.len());
                prop_assert_eq!(again, serde_json::from_str::<Vec<Value>>(&body).unwrap());
            } else {
                let (last, good) = found.split_last().unwrap();
                prop_assert!(last.1.is_err() && good.iter().all(|(_, b)| b.is_ok()), "{:?}", found);
            }
        }
    }
}
