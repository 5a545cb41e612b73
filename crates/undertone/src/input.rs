//! Files of interactions: CSV with any delimiter, TSV, JSON Lines, or plain lines, in UTF-8, UTF-16 or Windows-1252.
//!
//! [`open`] finds out what a file is and answers its rows one by one. A row that can not be used is an error with its line number, and
//! the rows after it still come.

pub mod columns;
pub mod people;
mod rows;

use std::io::{BufRead, BufReader, Cursor, Read};

use clap::ValueEnum;
use encoding_rs_io::DecodeReaderBytesBuilder;
use undertone_core::Interaction;

use crate::error::CliError;
use columns::{Chosen, Columns};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values with a header; other delimiters are found out
    Csv,
    /// Tab-separated values with a header
    Tsv,
    /// An object a line
    Jsonl,
    /// A message a line
    Lines,
}

/// A row of a file.
#[derive(Debug)]
pub struct Row {
    /// Line it starts on, from 1.
    pub line: u64,
    /// What stands there, or why that can not be used.
    pub interaction: Result<Interaction, String>,
    /// Every column's plain name (see [`columns::plain`]) and what stands there, where [`Options::keep`] asks for that. A list's parts
    /// are parted by `;`; what stands in an object within the object has both names, `customer` and `name` as `customername`.
    pub kept: Vec<(String, String)>,
}

/// How to read a file.
#[derive(Debug, Default)]
pub struct Options {
    /// What it is, where that is known.
    pub format: Option<Format>,
    /// Delimiter of a CSV file, where that is known.
    pub delimiter: Option<u8>,
    /// Columns named by the person.
    pub columns: Chosen,
    /// Keep what stands in all columns.
    pub keep: bool,
}

/// The rows of a file.
pub struct Input {
    /// What was found out about it, to be told to the person; empty for plain lines.
    pub notice: String,
    /// The rows, in order.
    pub rows: Box<dyn Iterator<Item = Row> + Send>,
}

/// How much of a file is looked at, at most, to find out what it is.
const SAMPLE: usize = 64 * 1024;

/// Opens `source`; `name` is its file name, or `-`.
pub fn open(source: Box<dyn Read + Send>, name: &str, options: &Options) -> Result<Input, CliError> {
    let unreadable = |e: std::io::Error| CliError::Failed(format!("{name} can not be read: {e}"));
    // A byte order mark says UTF-8 or UTF-16 and is left out; without one the bytes pass as they are.
    let decoded = DecodeReaderBytesBuilder::new().bom_sniffing(true).strip_bom(true).build(source);
    let mut reader = BufReader::with_capacity(SAMPLE, decoded);
    // One line is enough to tell; waiting for more would hold up whoever types or streams.
    let mut sample = Vec::new();
    reader.by_ref().take(SAMPLE as u64).read_until(b'\n', &mut sample).map_err(unreadable)?;
    if sample.trim_ascii_start().starts_with(b"[") && options.format.is_none_or(|f| f == Format::Jsonl) {
        return Err(CliError::Failed(format!(
            "{name} is one JSON array; make it one object a line, for example with: jq -c '.[]' {name}"
        )));
    }
    let format = options.format.unwrap_or_else(|| guess_format(name, &sample, options));
    if format == Format::Lines && options.columns.any() {
        return Err(CliError::Failed(format!(
            "{name} is read as plain lines, which have no columns to name"
        )));
    }
    let delimiter = match (format, options.delimiter) {
        (_, Some(given)) => given,
        (Format::Tsv, None) => b'\t',
        _ => rows::guess_delimiter(&sample),
    };
    let whole: Box<dyn BufRead + Send> = Box::new(Cursor::new(sample).chain(reader));
    match format {
        Format::Csv | Format::Tsv => rows::csv(whole, delimiter, name, options),
        Format::Jsonl => Ok(rows::jsonl(whole, options)),
        Format::Lines => Ok(rows::lines(whole)),
    }
}

/// By the name's ending where it says something, else by the look of the beginning.
fn guess_format(name: &str, sample: &[u8], options: &Options) -> Format {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase());
    match ending.as_deref() {
        Some("csv") => return Format::Csv,
        Some("tsv" | "tab") => return Format::Tsv,
        Some("jsonl" | "ndjson" | "json") => return Format::Jsonl,
        _ => {}
    }
    if sample.trim_ascii_start().first() == Some(&b'{') {
        return Format::Jsonl;
    }
    if options.delimiter.is_some() || options.columns.any() {
        return Format::Csv;
    }
    // A header that names a column of text makes it a table; prose with commas does not.
    let delimiter = rows::guess_delimiter(sample);
    let header = sample.split(|b| *b == b'\n').next().unwrap_or_default();
    let names: Vec<String> = header
        .split(|b| *b == delimiter)
        .map(|name| String::from_utf8_lossy(name).trim().trim_matches('"').to_owned())
        .collect();
    if names.len() > 1 && Columns::looks_like_header(&names) { Format::Csv } else { Format::Lines }
}

/// Bytes as text: UTF-8, or Windows-1252 where they are not. That never fails: every byte is a character there.
fn decode(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(
        |_| encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
        str::to_owned,
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Vec<Result<String, String>> {
        let input = open(Box::new(Cursor::new(bytes.to_vec())), name, &Options::default()).unwrap();
        input
            .rows
            .map(|row| row.interaction.map(|i| i.text).map_err(|e| format!("{}: {e}", row.line)))
            .collect()
    }

    fn refused(bytes: &[u8]) -> String {
        match open(Box::new(Cursor::new(bytes.to_vec())), "x.csv", &Options::default()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn delimiters_marks_and_encodings() {
        let ok = |t: &str| Ok(t.to_owned());
        assert_eq!(read("a.csv", b"id,text\n1,\"a, b\"\n2,c\n"), [ok("a, b"), ok("c")]);
        assert_eq!(read("a.csv", "\u{feff}id;Text\r\n1;für\r\n".as_bytes()), [ok("für")]);
        assert_eq!(read("a.csv", b"id;text\n1;f\xfcr \x80 5\n"), [ok("für € 5")], "Windows-1252");
        assert_eq!(read("a.tsv", b"id\ttext\n1\ta, b\n"), [ok("a, b")]);
        assert_eq!(read("-", b"id|text\n1|a\n"), [ok("a")]);
        let utf16: Vec<u8> =
            "\u{feff}id\ttext\n1\tnaïve\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read("export.txt", &utf16), [ok("naïve")], "what spreadsheets call Unicode text");
    }

    #[test]
    fn quoted_newlines_keep_rows_and_line_numbers() {
        let csv = b"id,text\n1,\"two\nlines\"\n2\n3,three\n";
        assert_eq!(
            read("a.csv", csv),
            [
                Ok("two\nlines".to_owned()),
                Err("4: the row has 1 of 2 columns and no text".to_owned()),
                Ok("three".to_owned())
            ]
        );
    }

    #[test]
    fn json_lines_and_plain_lines() {
        let json = b"{\"text\": \"a\"}\n\n{oops\n{\"body\": \"b\", \"text\": null}\n{\"id\": 3}\n[1]\n";
        let told = read("-", json);
        assert_eq!(told[0], Ok("a".to_owned()));
        assert!(told[1].as_ref().is_err_and(|e| e.starts_with("3: not JSON")), "{:?}", told[1]);
        assert_eq!(told[2], Ok("b".to_owned()));
        assert!(told[3].as_ref().is_err_and(|e| e.starts_with("5: no text")), "{:?}", told[3]);
        assert!(told[4].as_ref().is_err_and(|e| e.contains("not an object")), "{:?}", told[4]);
        assert_eq!(
            read("-", b"Oh great, another delay\n\nthanks, all good\n"),
            [Ok("Oh great, another delay".to_owned()), Ok("thanks, all good".to_owned())]
        );
    }

    #[test]
    fn a_ticket_export_without_text_is_refused_with_what_to_do() {
        let told = refused(b"Ticket ID,Subject,Status,Priority,Assignee\n1,Refund,open,high,Ann\n");
        assert!(told.contains("one row per ticket") && told.contains("--text"), "{told}");
        let told = refused(b"a,b\n1,2\n");
        assert!(told.contains("a, b") && told.contains("--text"), "{told}");
    }

    #[test]
    fn lines_are_counted_as_editors_count_them() {
        let csv = b"id,text\r\n\r\n1,one\r\n\r\n2,\"two\r\nlines\"\r\n3,three";
        let input = open(Box::new(Cursor::new(csv.to_vec())), "a.csv", &Options::default()).unwrap();
        assert_eq!(input.rows.map(|row| row.line).collect::<Vec<_>>(), [3, 5, 7]);
    }

    #[test]
    fn a_comma_without_quotes_is_an_error_and_not_half_a_text() {
        let told = read("a.csv", b"id,text\n1,I am angry, nobody calls\n2,fine\n");
        assert_eq!(
            told[0],
            Err("2: the row has 3 fields for 2 columns; a text with commas needs quotes around it".to_owned())
        );
        assert_eq!(told[1], Ok("fine".to_owned()));
        assert_eq!(
            read("a.csv", b"text\nHello, I am angry, really\n"),
            [Ok("Hello, I am angry, really".to_owned())]
        );
    }

    #[test]
    fn an_open_quote_is_named() {
        let mut csv = b"id,text\n1,fine\n2,\"oops\n".to_vec();
        for i in 3..40 {
            csv.extend(format!("{i},row number {i}\n").bytes());
        }
        let told = read("a.csv", &csv);
        assert_eq!(told[0], Ok("fine".to_owned()));
        assert!(
            told[1].as_ref().is_err_and(|e| e.starts_with("3: ") && e.contains("not closed")),
            "{told:?}"
        );
    }

    #[test]
    fn a_json_array_is_refused_with_what_to_do() {
        let array = Cursor::new(b"[\n {\"text\": \"a\"}\n]".to_vec());
        let Err(error) = open(Box::new(array), "x.json", &Options::default()) else { panic!("it was taken") };
        assert!(error.to_string().contains("jq -c"), "{error}");
    }

    #[test]
    fn flags_make_a_table_of_what_could_be_lines() {
        let options = Options {
            columns: Chosen { text: Some("Verbatims".into()), ..Chosen::default() },
            ..Options::default()
        };
        let input =
            open(Box::new(Cursor::new(b"Verbatims;Kunde\nhello;c1\n".to_vec())), "-", &options).unwrap();
        let rows: Vec<_> = input.rows.map(|r| r.interaction.unwrap()).collect();
        assert_eq!((rows[0].text.as_str(), rows[0].customer.as_deref()), ("hello", Some("c1")));
    }

    #[test]
    fn a_blank_column_gives_way_to_the_next() {
        assert_eq!(read("a.csv", b"text,body\n,b\na,\n"), [Ok("b".to_owned()), Ok("a".to_owned())]);
        assert_eq!(read("-", b"{\"text\": \" \", \"body\": \"b\"}"), [Ok("b".to_owned())]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_rows_or_errors(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select(b"\",;\t|\r\n{}[]:text ".to_vec())], 0..400),
            name in prop::sample::select(vec!["-", "a.csv", "a.tsv", "a.jsonl", "a.txt"]),
        ) {
            if let Ok(input) = open(Box::new(Cursor::new(bytes)), name, &Options::default()) {
                let mut last = 0;
                for row in input.rows {
                    prop_assert!(row.line >= last, "line {} after {last}", row.line);
                    last = row.line;
                }
            }
        }
    }

    #[test]
    fn empty_files_have_no_rows() {
        assert!(read("-", b"").is_empty());
        assert!(refused(b"").contains("is empty"));
    }
}
