//! The rows of each kind of file.

use std::io::BufRead;

use serde_json::Value;
use undertone_core::Interaction;

use super::columns::{Chosen, Columns};
use super::{Input, Row, decode};
use crate::error::CliError;

/// The delimiter that stands most often in the header outside quotes; a comma where none does.
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
    [b'|', b'\t', b';', b','].into_iter().max_by_key(|d| count(*d)).unwrap_or(b',')
}

/// A table with a header.
pub fn csv(
    source: Box<dyn BufRead + Send>,
    delimiter: u8,
    file: &str,
    chosen: &Chosen,
) -> Result<Input, CliError> {
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
    let rows = reader.into_byte_records().map(move |record| match record {
        Ok(record) => {
            let line = record.position().map_or(0, csv::Position::line);
            let values: Vec<String> = record.iter().map(decode).collect();
            let value = |name: &str| {
                names.iter().position(|n| n == name).and_then(|i| values.get(i)).map(String::as_str)
            };
            let interaction = columns.interaction(value).ok_or_else(|| {
                format!("the row has {} of {} columns and no text", values.len(), names.len())
            });
            Row { line, interaction }
        }
        Err(error) => {
            let line = error.position().map_or(0, csv::Position::line);
            Row { line, interaction: Err(format!("can not be read: {error}")) }
        }
    });
    Ok(Input { notice, rows: Box::new(rows) })
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
pub fn jsonl(source: Box<dyn BufRead + Send>, chosen: &Chosen) -> Input {
    let columns = Columns::of_objects(chosen);
    let rows = numbered(source).map(move |(line, text)| {
        let interaction = text.and_then(|text| object(&text, &columns));
        Row { line, interaction }
    });
    Input { notice: String::new(), rows: Box::new(rows) }
}

fn object(line: &str, columns: &Columns) -> Result<Interaction, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("not JSON: {e}"))?;
    let Value::Object(object) = value else { return Err("not an object of names and values".to_owned()) };
    let values: Vec<(String, String)> = object
        .into_iter()
        .filter_map(|(key, value)| {
            let text = match value {
                Value::String(text) => text,
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            let plain = key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
            Some((plain, text))
        })
        .collect();
    columns
        .interaction(|name| values.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str()))
        .ok_or_else(|| {
            "no text: the object has none of text, message, body, comment; name it with --text KEY".to_owned()
        })
}

/// A message a line.
pub fn lines(source: Box<dyn BufRead + Send>) -> Input {
    let rows = numbered(source).map(|(line, text)| {
        let interaction = text.map(|text| Interaction::message("file", &line.to_string(), &text));
        Row { line, interaction }
    });
    Input { notice: String::new(), rows: Box::new(rows) }
}
