//! Interactions as a file, for spreadsheets and programs: what a list tells, the verdict, and what was written if that is asked for. It is
//! sent while it is read, and each page of it is what the caller may see at that moment.

use axum::BoxError;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use undertone_core::Permission;
use undertone_core::visibility::Sight;
use undertone_store::interactions::{Details, Listed};

use super::{Wanted, told};
use crate::api::body::{Query, file};
use crate::api::caller::Caller;
use crate::api::problem::ApiError;
use crate::app::App;
use crate::audit::Format;
use crate::output::guard;
use crate::visibility::Eyes;

/// Interactions that are read at a time, and where their texts are, which may be long.
const PAGE: i64 = 500;
const PAGE_WITH_TEXTS: i64 = 50;

/// The columns of a table, in their order. JSON lines have the same keys, and more.
const COLUMNS: [&str; 33] = [
    "id",
    "source",
    "external_id",
    "kind",
    "author_kind",
    "direction",
    "channel",
    "channel_name",
    "customer",
    "customer_id",
    "agent",
    "agent_id",
    "conversation",
    "conversation_id",
    "occurred_at",
    "received_at",
    "state",
    "reason",
    "score",
    "label",
    "confidence",
    "needs_review",
    "corrected",
    "dominant_emotion",
    "urgency",
    "category",
    "summary",
    "keywords",
    "language",
    "scorer",
    "model",
    "scored_at",
    "hidden",
];
/// The last one, where texts are asked for.
const TEXT: &str = "text";

/// Which interactions are exported, and how they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    state: Option<String>,
    customer: Option<String>,
    source: Option<String>,
    external_id: Option<String>,
    format: Option<Format>,
    /// With what was written.
    #[serde(default)]
    texts: bool,
}

/// Interactions as a file, the latest arrival first. That they leave is in the audit log before they do.
pub async fn export(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    let ExportQuery { state, customer, source, external_id, format, texts } = query;
    let format = format.unwrap_or(Format::Jsonl);
    let wanted = Wanted { state, customer, source, external_id }.checked(&app, &caller).await?;
    let noted = json!({"format": format, "texts": texts, "wanted": wanted});
    app.store.note(&caller.act(), ("interactions_exported", "interactions"), &noted).await?;
    let export = Export {
        app: app.clone(),
        caller: caller.clone(),
        wanted,
        format,
        texts,
        before: None,
        ended: false,
    };
    let pieces = stream::try_unfold(export, async |mut export| {
        Ok::<_, BoxError>(export.next().await?.map(|piece| (piece, export)))
    });
    Ok(file(&app, &caller, ("interactions", format), pieces))
}

struct Export {
    app: App,
    caller: Caller,
    wanted: Wanted,
    format: Format,
    texts: bool,
    before: Option<String>,
    ended: bool,
}

impl Export {
    /// The next piece; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        if self.ended {
            return Ok(None);
        }
        let (store, tenant) = (&self.app.store, self.caller.tenant_id());
        let most = if self.texts { PAGE_WITH_TEXTS } else { PAGE };
        let items = store.interactions(tenant, &self.wanted.filter(self.before.as_deref(), most)).await?;
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        let details = store.details(tenant, &ids, self.texts).await?;
        // Asked last, and for each page: what changed meanwhile holds for the rest.
        let eyes = Eyes::on_a_file(store, &self.caller, Permission::Export).await?;
        let sights = eyes.on_interactions(store, &ids).await?;
        let rows =
            items.iter().filter_map(|item| Some(row(item, details.get(&item.id)?, sights.of(&item.id))));
        let piece = match self.format {
            Format::Jsonl => Ok(rows.flat_map(|row| (row.to_string() + "\n").into_bytes()).collect()),
            Format::Csv => table(rows, self.texts, self.before.is_none()),
        };
        self.ended = ids.len() < usize::try_from(most).unwrap_or_default();
        self.before = ids.last().map(|last| (*last).to_owned());
        piece.map(|piece: Vec<u8>| Some(piece.into()))
    }
}

/// An interaction as it is exported: every key is there, and null where it is unknown or not to be seen.
fn row(item: &Listed, details: &Details, sight: Sight) -> Value {
    let mut row = told(item, sight);
    let verdict = json!(details.verdict.as_ref().filter(|_| sight.is_open()));
    for key in COLUMNS {
        if row.get(key).is_none() {
            row[key] = verdict.get(key).cloned().unwrap_or_default();
        }
    }
    row["customer"] = json!(details.customer);
    row["agent"] = json!(details.agent);
    row["conversation"] = json!(details.conversation);
    let phrases = row["keywords"].as_array().map(|found| found.iter().map(|one| one[TEXT].clone()).collect());
    row["keywords"] = phrases.map_or(Value::Null, Value::Array);
    row[TEXT] = json!(details.text.as_ref().filter(|_| sight.shows_text()));
    row
}

/// Rows of CSV (RFC 4180), of which a spreadsheet runs nothing.
fn table(rows: impl Iterator<Item = Value>, texts: bool, header: bool) -> Result<Vec<u8>, BoxError> {
    let columns: Vec<&str> = COLUMNS.into_iter().chain(texts.then_some(TEXT)).collect();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if header {
        writer.write_record(&columns)?;
    }
    for row in rows {
        writer.write_record(columns.iter().map(|column| cell(column, &row[column])))?;
    }
    writer.into_inner().map_err(|error| error.to_string().into())
}

fn cell(column: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => guard(text),
        Value::Array(phrases) => {
            guard(&phrases.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "))
        }
        Value::Object(why) if column == "hidden" => {
            why.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        // The score's own minus is a number, not a formula.
        other => other.to_string(),
    }
}
