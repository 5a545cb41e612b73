//! The rows of each kind of file.

use std::io::{BufRead, Read};

use serde_json::Value;
use undertone_core::Interaction;

use super::columns::{self, Columns, NAME_IT, plain};
use super::{Input, Options, Row, decode};
use crate::error::CliError;

/// A sign that stands in no text: the unit separator.
const NO_DELIMITER: u8 = 0x1f;

/// The delimiter that stands most often in the header outside quotes; none where none does.
pub fn guess_delimiter(sample: &[u8]) -> u8 {
    let mut quoted = false;
    let header = sample.iter().copied().take_while(|b| {
        quoted ^= *b == b'"';
        quoted || *b != b'\n'
    });
    let header: Vec<u8> = header.collect();
    let count = |delimiter: u8| {
        let mut quoted = false;
        header
            .iter()
            .filter(|b| {
                quoted ^= **b == b'"';
                !quoted && **b == delimiter
            })
            .count()
    };
    // Later ones win ties, so the comma stands last.
    let best = [b'|', b'\t', b';', b','].into_iter().max_by_key(|d| count(*d)).unwrap_or(b',');
    // A header of one column: no sign parts anything, not even a comma in a text.
    if count(best) == 0 { NO_DELIMITER } else { best }
}

/// A file whose lines all end in a plain `\n`, the last one too, so that lines can be counted.
struct PlainLines {
    source: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    at: usize,
    /// Bytes handed out.
    given: u64,
    /// Last sign of the last line read.
    last: Option<u8>,
}

impl PlainLines {
    fn new(source: Box<dyn BufRead + Send>) -> Self {
        Self { source, line: Vec::new(), at: 0, given: 0, last: None }
    }

    /// All was handed out, and the file does not end with a quote.
    fn ended_without_quote(&self, taken: u64) -> bool {
        taken == self.given && self.last != Some(b'"')
    }
}

impl Read for PlainLines {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.line.len() {
            self.line.clear();
            self.at = 0;
            if self.source.read_until(b'\n', &mut self.line)? > 0 {
                let content = content_length(&self.line);
                self.line.truncate(content);
                self.last = self.line.last().copied();
                self.line.push(b'\n');
            }
        }
        let part = out.len().min(self.line.len() - self.at);
        out[..part].copy_from_slice(&self.line[self.at..self.at + part]);
        self.at += part;
        self.given += part as u64;
        Ok(part)
    }
}

/// How long a line is without its end.
fn content_length(line: &[u8]) -> usize {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line).len()
}

/// A table with a header.
pub fn csv(
    source: Box<dyn BufRead + Send>,
    delimiter: u8,
    file: &str,
    options: &Options,
) -> Result<Input, CliError> {
    let chosen = &options.columns;
    let source = PlainLines::new(source);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).has_headers(true).from_reader(source);
    let header =
        reader.byte_headers().map_err(|e| CliError::Failed(format!("{file} can not be read: {e}")))?;
    let names: Vec<String> = header.iter().map(|name| decode(name).trim().to_owned()).collect();
    if names.iter().all(String::is_empty) {
        return Err(CliError::Failed(format!("{file} is empty")));
    }
    let columns = Columns::of_header(&names, chosen, file).map_err(CliError::Failed)?;
    let notice = columns.notice();
    let mut table = Table { reader, names, columns, delimiter, keep: options.keep };
    let first: Vec<Row> = table.by_ref().take(LOOK_AT).collect();
    if chosen.text.is_none() && is_ticket_export(&table.names, &first) {
        return Err(CliError::Failed(columns::no_text(&table.names, file)));
    }
    Ok(Input { notice, rows: Box::new(first.into_iter().chain(table)) })
}

/// How many rows are looked at before a file is taken for what it claims to be.
const LOOK_AT: usize = 20;

/// The columns are a ticket list's, and what should be text are counts.
fn is_ticket_export(names: &[String], rows: &[Row]) -> bool {
    let mut texts = rows.iter().filter_map(|row| Some(row.interaction.as_ref().ok()?.text.trim())).peekable();
    texts.peek().is_some()
        && columns::looks_like_tickets(names)
        && texts.all(|t| t.chars().all(|c| c.is_ascii_digit()))
}

/// The rows of a table.
struct Table {
    reader: csv::Reader<PlainLines>,
    names: Vec<String>,
    columns: Columns,
    delimiter: u8,
    keep: bool,
}

impl Iterator for Table {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let mut record = csv::ByteRecord::new();
        match self.reader.read_byte_record(&mut record) {
            Ok(false) => None,
            Ok(true) => {
                let inner = record.iter().flatten().filter(|b| **b == b'\n').count();
                // Every file ends with a line end here. Where it ended up inside the last text, a quote was never closed; otherwise
                // the reader stands behind the line end of the record.
                let at_end = self.reader.get_ref().ended_without_quote(self.reader.position().byte());
                let open = at_end && record.iter().next_back().is_some_and(|v| v.ends_with(b"\n"));
                let line = self.reader.position().line().saturating_sub(inner as u64 + u64::from(!open));
                let values: Vec<String> = record.iter().map(decode).collect();
                let interaction = if open { Err(unclosed(inner - 1)) } else { self.interaction(&values) };
                let names = self.names.iter().map(|name| plain(name));
                let kept = if self.keep { names.zip(values).collect() } else { Vec::new() };
                Some(Row { line, interaction, kept })
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                Some(Row { line, interaction: Err(format!("can not be read: {error}")), kept: Vec::new() })
            }
        }
    }
}

fn unclosed(lines: usize) -> String {
    format!(
        "a quote that opens here is not closed; it took {lines} more lines for one text. Close it, or double it if it is part of the text"
    )
}

impl Table {
    fn interaction(&self, values: &[String]) -> Result<Interaction, String> {
        let (fields, columns) = (values.len(), self.names.len());
        if let Some(swallowed) = values.iter().map(|v| self.swallowed(v)).max().filter(|lines| *lines > 0) {
            return Err(unclosed(swallowed));
        }
        // Empty fields at the end are what spreadsheets leave behind.
        if values.iter().skip(columns).any(|v| !v.trim().is_empty()) {
            return Err(format!(
                "the row has {fields} fields for {columns} columns; a text with commas needs quotes around it"
            ));
        }
        let value = |name: &str| {
            self.names.iter().position(|n| n == name).and_then(|i| values.get(i)).map(String::as_str)
        };
        let none = || format!("the row has {fields} of {columns} columns and no text");
        self.columns.interaction(value).ok_or_else(none)
    }

    /// How many lines of a value look like rows of this table: ten or more of which most have the delimiters of a row.
    fn swallowed(&self, value: &str) -> usize {
        let needed = self.names.len() - 1;
        let lines = value.lines().skip(1).count();
        if needed == 0 || lines < 10 {
            return 0;
        }
        let like_rows = value
            .lines()
            .skip(1)
            .filter(|line| line.bytes().filter(|b| *b == self.delimiter).count() >= needed)
            .count();
        if like_rows * 5 >= lines * 4 { lines } else { 0 }
    }
}

/// Lines as text with their numbers, from 1; blank ones are left out. The first that can not be read ends them.
fn numbered(source: Box<dyn BufRead + Send>) -> impl Iterator<Item = (u64, Result<String, String>)> {
    let mut failed = false;
    source
        .split(b'\n')
        .zip(1..)
        .take_while(move |(line, _)| !std::mem::replace(&mut failed, line.is_err()))
        .map(|(line, number)| {
            let text = line
                .map(|bytes| decode(bytes.strip_suffix(b"\r").unwrap_or(&bytes)))
                .map_err(|e| format!("can not be read: {e}"));
            (number, text)
        })
        .filter(|(_, text)| !text.as_ref().is_ok_and(|t| t.trim().is_empty()))
}

/// An object a line.
pub fn jsonl(source: Box<dyn BufRead + Send>, options: &Options) -> Input {
    let (columns, keep) = (Columns::of_objects(&options.columns), options.keep);
    let rows = numbered(source).map(move |(line, text)| {
        let (interaction, kept) = match text.and_then(|text| object(&text)) {
            Ok((values, others)) => {
                let interaction = in_object(&values, &columns);
                (interaction, if keep { [values, others].concat() } else { Vec::new() })
            }
            Err(told) => (Err(told), Vec::new()),
        };
        Row { line, interaction, kept }
    });
    Input { notice: String::new(), rows: Box::new(rows) }
}

/// Names, made plain, and values.
type Values = Vec<(String, String)>;

/// What an object holds: single values, and lists of them together with what stands in objects within it.
fn object(line: &str) -> Result<(Values, Values), String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("not JSON: {e}"))?;
    let Value::Object(object) = value else { return Err("not an object of names and values".to_owned()) };
    let (mut values, mut others) = (Values::new(), Values::new());
    for (key, value) in object {
        match value {
            Value::Array(_) | Value::Object(_) => within(&plain(&key), value, INSIDE, &mut others),
            value => values.extend(single(value).map(|text| (plain(&key), text))),
        }
    }
    Ok((values, others))
}

/// So many objects deep is looked into an object.
const INSIDE: u8 = 3;

/// Takes what stands in a list or an object under `name`; what is deeper than `levels` is left out.
fn within(name: &str, value: Value, levels: u8, into: &mut Values) {
    match value {
        Value::Array(parts) => {
            into.push((name.to_owned(), parts.into_iter().filter_map(single).collect::<Vec<_>>().join(";")));
        }
        Value::Object(object) if levels > 0 => {
            for (key, value) in object {
                within(&format!("{name}{}", plain(&key)), value, levels - 1, into);
            }
        }
        value => into.extend(single(value).map(|text| (name.to_owned(), text))),
    }
}

fn single(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn in_object(values: &[(String, String)], columns: &Columns) -> Result<Interaction, String> {
    columns
        .interaction(|name| values.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str()))
        .ok_or_else(|| format!("no text: the object has none of text, message, body, comment; {NAME_IT}"))
}

/// A message a line.
pub fn lines(source: Box<dyn BufRead + Send>) -> Input {
    let rows = numbered(source).map(|(line, text)| {
        let interaction = text.map(|text| Interaction::message("file", &line.to_string(), &text));
        Row { line, interaction, kept: Vec::new() }
    });
    Input { notice: String::new(), rows: Box::new(rows) }
}
