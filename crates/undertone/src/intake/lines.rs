//! The lines of a body that comes in pieces: JSON, one object a line (NDJSON). The body may have any length; what is kept is the longest
//! line or the largest piece.

use super::MOST_ITEM;

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number in the body, from 1. Blank lines count.
    pub number: u64,
    /// Its bytes without what ends it.
    pub bytes: Result<&'a [u8], TooLong>,
}

/// A line of more than [`MOST_ITEM`] bytes. It is left out; the next one is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this line is longer than {MOST_ITEM} bytes (4 MiB); one line holds one interaction")]
pub struct TooLong;

/// Splits a body into lines. Take every line there is after each [`push`](Self::push): what was pushed and not taken is kept.
///
/// Lines end with LF or CRLF, the last one also with the body. Blank ones are counted and left out; a byte order mark at the beginning is
/// ignored.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins in `buffer`; what is before it was taken.
    start: usize,
    /// Up to here `buffer` holds no end of the next line.
    searched: usize,
    /// Lines that ended.
    number: u64,
    /// The beginning of the next line was thrown away: it is too long.
    too_long: bool,
    finished: bool,
}

impl Lines {
    /// More of the body.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The body ended: what is left is the last line.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The next line that is there as a whole and not blank.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        let (start, end) = loop {
            let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
            let (end, next) = match found {
                Some(at) => (self.searched + at, self.searched + at + 1),
                None if self.finished && (self.start < self.buffer.len() || self.too_long) => {
                    (self.buffer.len(), self.buffer.len())
                }
                None => {
                    self.wait();
                    return None;
                }
            };
            let start = std::mem::replace(&mut self.start, next);
            self.searched = next;
            self.number += 1;
            if std::mem::take(&mut self.too_long) || end - start > MOST_ITEM {
                return Some(Line { number: self.number, bytes: Err(TooLong) });
            }
            let line = &self.buffer[start..end];
            let line_start =
                if self.number == 1 && line.starts_with(b"\xef\xbb\xbf") { start + 3 } else { start };
            if !self.buffer[line_start..end].trim_ascii().is_empty() {
                break (line_start, end);
            }
        };
        let line = &self.buffer[start..end];
        Some(Line { number: self.number, bytes: Ok(line.strip_suffix(b"\r").unwrap_or(line)) })
    }

    /// Remembers what was searched, and throws away a line that is too long already.
    fn wait(&mut self) {
        self.searched = self.buffer.len();
        if self.too_long || self.searched - self.start > MOST_ITEM {
            self.too_long = true;
            self.start = self.searched;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Found = Vec<(u64, Option<Vec<u8>>)>;

    fn take(lines: &mut Lines, found: &mut Found) {
        while let Some(line) = lines.next_line() {
            found.push((line.number, line.bytes.ok().map(<[u8]>::to_vec)));
        }
    }

    fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Found {
        let (mut lines, mut found) = (Lines::default(), Found::new());
        for piece in pieces {
            lines.push(piece);
            take(&mut lines, &mut found);
        }
        lines.finish();
        take(&mut lines, &mut found);
        assert_eq!(lines.next_line(), None);
        found
    }

    /// All at once, as anybody would write it.
    fn naive(body: &[u8]) -> Found {
        let whole = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        (1..)
            .zip(whole.split(|b| *b == b'\n'))
            .filter(|(_, line)| !line.trim_ascii().is_empty())
            .map(|(n, line)| (n, Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec())))
            .collect()
    }

    #[test]
    fn lines_keep_their_numbers() {
        let found = split([&b"\xef\xbb"[..], b"\xbf{}\r", b"\n\n \t\r\n{\"a\"", b":1}\n\n\n{}"]);
        assert_eq!(
            found,
            [(1, Some(b"{}".to_vec())), (4, Some(b"{\"a\":1}".to_vec())), (7, Some(b"{}".to_vec()))]
        );
        // Only at the beginning is it a byte order mark.
        assert_eq!(split([&b"\xef\xbb\xbf\n\xef\xbb\xbf1"[..]]), [(2, Some(b"\xef\xbb\xbf1".to_vec()))]);
        assert_eq!(split([&b""[..]]), []);
        assert_eq!(split([&b"\n"[..], b"\r\n"]), []);
    }

    #[test]
    fn a_line_too_long_is_left_out_and_not_kept() {
        let mut lines = Lines::default();
        let mut found = Found::new();
        lines.push(b"{}\n");
        for _ in 0..100 {
            lines.push(&vec![b'x'; 1 << 20]);
            take(&mut lines, &mut found);
            assert!(lines.buffer.capacity() <= 4 * MOST_ITEM, "{}", lines.buffer.capacity());
        }
        lines.push(b"\n{}\n");
        take(&mut lines, &mut found);
        lines.push(&vec![b'y'; MOST_ITEM + 1]);
        lines.finish();
        take(&mut lines, &mut found);
        assert_eq!(found, [(1, Some(b"{}".to_vec())), (2, None), (3, Some(b"{}".to_vec())), (4, None)]);
    }

    #[test]
    fn the_longest_line_is_taken() {
        for ending in [&b"\n"[..], b""] {
            let (whole, over) = (vec![b'x'; MOST_ITEM], vec![b'x'; MOST_ITEM + 1]);
            assert_eq!(split([&whole[..], ending]), [(1, Some(whole.clone()))]);
            assert_eq!(split([&over[..], ending]), [(1, None)]);
            assert_eq!(split([&over[..1], &over[1..], ending]), [(1, None)]);
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_come(
            mut body in prop::collection::vec(prop_oneof![
                Just(b'\n'), Just(b'\r'), Just(b' '), Just(b'x'), any::<u8>()
            ], 0..200),
            with_mark in any::<bool>(),
            cuts in prop::collection::vec(0..9_usize, 0..60),
        ) {
            if with_mark {
                body.splice(0..0, *b"\xef\xbb\xbf");
            }
            let mut rest = &body[..];
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(split(pieces), naive(&body));
        }
    }
}
