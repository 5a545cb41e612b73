//! A file of interactions: read, checked and written chunk by chunk while it arrives.

use std::io::{BufWriter, Seek, SeekFrom, Write};

use axum::body::{Body, BodyDataStream};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use undertone_core::Arrival;
use undertone_store::accept::{Accepted, Incoming};

use super::super::caller::Caller;
use super::super::problem::{ApiError, FieldError, INTERNAL};
use super::{SOURCE, alias_taken, not_allowed};
use crate::app::App;
use crate::intake::array::ArrayItems;
use crate::intake::body::Body as Shape;
use crate::intake::gather::Refused;
use crate::intake::item::{Context, ItemError};
use crate::intake::lines::Lines;
use crate::intake::{incoming, item};

/// Items written in one transaction.
const CHUNK: usize = 500;
/// Errors that an answer lists; all are counted.
const MOST_ERRORS: usize = 1000;

/// What became of a file.
#[derive(Debug, Default, Serialize)]
struct Summary {
    accepted: u64,
    updated: u64,
    duplicates: u64,
    rejected: u64,
    errors: Vec<Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more_errors: bool,
}

/// A chunk on its way to disk, with the items' numbers.
type Writing = (Vec<u64>, JoinHandle<Result<Vec<Accepted>, Refused>>);

/// Tells items apart.
enum Splitter {
    Lines(Lines),
    Array(ArrayItems),
}

impl Splitter {
    fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Lines(lines) => lines.push(bytes),
            Self::Array(array) => array.push(bytes),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Lines(lines) => lines.finish(),
            Self::Array(array) => array.finish(),
        }
    }

    /// The next whole item's number, and what it reads as.
    fn next(&mut self, context: &Context<'_>) -> Option<(u64, Result<Arrival, Vec<ItemError>>)> {
        let (number, bytes) = match self {
            Self::Lines(lines) => {
                let line = lines.next_line()?;
                (line.number, line.bytes.map_err(|e| ItemError::whole("too_long", e.to_string())))
            }
            Self::Array(array) => {
                let element = array.next_item()?;
                (element.number, element.bytes.map_err(|e| ItemError::whole(e.code(), e.to_string())))
            }
        };
        Some((number, bytes.map_err(|e| vec![e]).and_then(|bytes| item::read(bytes, context))))
    }
}

struct Taking<'a> {
    app: &'a App,
    caller: &'a Caller,
    numbers: Vec<u64>,
    items: Vec<Incoming>,
    /// While one chunk is written the next one is read.
    writing: Option<Writing>,
    summary: Summary,
    spool: Option<BufWriter<std::fs::File>>,
}

/// Takes in a file. `start` was read already.
pub async fn take(
    app: &App,
    caller: &Caller,
    body: Shape,
    start: &[u8],
    mut stream: BodyDataStream,
    every_result: bool,
) -> Result<Response, ApiError> {
    let spool = if every_result {
        Some(BufWriter::new(tempfile::tempfile().map_err(|e| spooling(&e))?))
    } else {
        None
    };
    let mut taking = Taking {
        app,
        caller,
        numbers: Vec::new(),
        items: Vec::new(),
        writing: None,
        summary: Summary::default(),
        spool,
    };
    let mut splitter = match body {
        Shape::Array => Splitter::Array(ArrayItems::default()),
        Shape::Lines | Shape::Object => Splitter::Lines(Lines::default()),
    };
    splitter.push(start);
    loop {
        taking.pieces(&mut splitter).await?;
        match stream.next().await {
            Some(Ok(chunk)) => splitter.push(&chunk),
            // Whole items that arrived are taken in; the rest can be sent again.
            Some(Err(_)) | None => break,
        }
    }
    splitter.finish();
    taking.pieces(&mut splitter).await?;
    taking.flush().await?;
    taking.settle().await?;
    taking.answer()
}

fn spooling(error: &std::io::Error) -> ApiError {
    ApiError { cause: Some(error.to_string()), ..ApiError::new(INTERNAL, "the results could not be kept") }
}

impl Taking<'_> {
    /// Reads every item that is there as a whole.
    async fn pieces(&mut self, splitter: &mut Splitter) -> Result<(), ApiError> {
        loop {
            let context = Context { now: self.app.store.now(), default_source: SOURCE };
            let Some((number, read)) = splitter.next(&context) else { return Ok(()) };
            match read {
                Ok(arrival) => {
                    self.numbers.push(number);
                    self.items.push(incoming(arrival));
                    if self.items.len() >= CHUNK {
                        self.flush().await?;
                    }
                }
                Err(errors) => self.reject(number, errors.into_iter().map(FieldError::from).collect())?,
            }
        }
    }

    fn reject(&mut self, number: u64, errors: Vec<FieldError>) -> Result<(), ApiError> {
        self.summary.rejected += 1;
        self.result(&json!({"line": number, "result": "rejected", "errors": errors}))?;
        for error in errors {
            if self.summary.errors.len() < MOST_ERRORS {
                let FieldError { field, code, message } = error;
                self.summary
                    .errors
                    .push(json!({"line": number, "field": field, "code": code, "message": message}));
            } else {
                self.summary.more_errors = true;
            }
        }
        Ok(())
    }

    fn result(&mut self, result: &Value) -> Result<(), ApiError> {
        match &mut self.spool {
            Some(spool) => writeln!(spool, "{result}").map_err(|e| spooling(&e)),
            None => Ok(()),
        }
    }

    /// Sends what was read on its way to disk, once the chunk before it is there.
    async fn flush(&mut self) -> Result<(), ApiError> {
        if self.items.is_empty() {
            return Ok(());
        }
        let items = std::mem::take(&mut self.items);
        self.settle().await?;
        let gather = self.app.gather.clone();
        let of = (self.caller.tenant_id(), self.caller.reach_of_interactions());
        let writing = tokio::spawn(async move { gather.take_patiently(of, items).await });
        self.writing = Some((std::mem::take(&mut self.numbers), writing));
        Ok(())
    }

    /// Waits for the chunk on its way.
    async fn settle(&mut self) -> Result<(), ApiError> {
        let Some((numbers, writing)) = self.writing.take() else { return Ok(()) };
        let accepted = writing.await.unwrap_or(Err(Refused::Busy)).map_err(|refused| {
            let error = ApiError::from(refused);
            let done = self.summary.accepted + self.summary.updated + self.summary.duplicates;
            let detail = format!(
                "{}; {done} items before it were taken in, and sending all again does them no harm",
                error.detail
            );
            ApiError { detail, ..error }
        })?;
        for (number, accepted) in numbers.into_iter().zip(accepted) {
            let result = match &accepted {
                Accepted::Created { .. } => {
                    self.summary.accepted += 1;
                    "created"
                }
                Accepted::Updated { .. } => {
                    self.summary.updated += 1;
                    "updated"
                }
                Accepted::Duplicate { .. } => {
                    self.summary.duplicates += 1;
                    "duplicate"
                }
                Accepted::Conflict { id } => {
                    let message = format!("{id} has the same source and external_id and other content");
                    let error =
                        FieldError { field: "external_id".to_owned(), code: "conflict".to_owned(), message };
                    self.reject(number, vec![error])?;
                    continue;
                }
                Accepted::AliasTaken { at, why } => {
                    self.reject(number, vec![alias_taken(*at, why)])?;
                    continue;
                }
                Accepted::NotAllowed { field, why } => {
                    self.reject(number, vec![not_allowed(field, why)])?;
                    continue;
                }
            };
            if self.spool.is_some() {
                self.result(&json!({"line": number, "result": result, "id": accepted.id()}))?;
            }
        }
        Ok(())
    }

    /// The summary; after every single result, where they were asked for.
    fn answer(self) -> Result<Response, ApiError> {
        let Some(mut spool) = self.spool else { return Ok(axum::Json(self.summary).into_response()) };
        writeln!(spool, "{}", json!({"summary": self.summary})).map_err(|e| spooling(&e))?;
        let mut file = spool.into_inner().map_err(|e| spooling(e.error()))?;
        file.seek(SeekFrom::Start(0)).map_err(|e| spooling(&e))?;
        let file = tokio::fs::File::from_std(file);
        let chunks = futures::stream::unfold(file, |mut file| async move {
            let mut chunk = Vec::with_capacity(64 * 1024);
            match tokio::io::AsyncReadExt::read_buf(&mut file, &mut chunk).await {
                Ok(0) => None,
                read => Some((read.map(|_| chunk), file)),
            }
        });
        Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(chunks)).into_response())
    }
}
