//! Teaching the embedded model a tenant's own labels: read them, learn, try, and take the lesson only where it helps.

use std::io::{Cursor, Read};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use undertone_core::Label;
use undertone_scoring::local::lesson::{LEAST_PER_LABEL, Trial};
use undertone_scoring::local::{Example, LocalScorer};
use undertone_store::lessons::{Kept, LabelCount, LabelledText, LessonEntry, MOST_LABELS, NewLesson};
use undertone_store::{Act, Store, StoreError, TenantId};

use crate::error::CliError;
use crate::eval::labelled::{self, Columns};
use crate::intake::item::check::MOST_TEXT;

/// The longest file of labels, in bytes.
pub const MOST_BYTES: usize = 32 << 20;
/// Rows told that can not be used; all are counted.
const MOST_TOLD: usize = 100;

/// What became of a file of labels.
#[derive(Debug, Serialize)]
pub struct Taken {
    #[serde(flatten)]
    pub kept: Kept,
    /// Rows that can not be used.
    pub rejected: usize,
    /// Why, for the first of them.
    pub errors: Vec<String>,
}

/// Why it did not come to a lesson.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// There are too few labels.
    #[error(transparent)]
    TooFew(#[from] undertone_scoring::local::TooFew),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work broke off.
    #[error("{0}")]
    Broke(String),
}

/// A lesson that was made, and whether it is in force.
#[derive(Debug, Serialize)]
pub struct Made {
    /// Its version.
    pub version: u32,
    /// It came into force.
    pub active: bool,
    /// Why, or why not.
    pub verdict: String,
    /// What it is worth on texts it did not see.
    pub trial: Trial,
}

/// How things stand.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// Of each label how many texts there are to learn from, where they come from, and how many are missing.
    pub labels: serde_json::Map<String, serde_json::Value>,
    /// How many of each are needed.
    pub needed: usize,
    /// The model whose lessons these are.
    pub model_version: String,
    /// Every lesson, the latest first.
    pub lessons: Vec<LessonEntry>,
}

/// Reads a file of labels (CSV, TSV or JSON Lines, as `undertone eval` does) and keeps them.
pub async fn take(store: &Store, act: &Act<'_>, name: &str, bytes: Vec<u8>) -> Result<Taken, CliError> {
    // Telling rows apart keeps a core busy for a while.
    let name = name.to_owned();
    let parse = move || {
        let source: Box<dyn Read + Send> = Box::new(Cursor::new(bytes));
        labelled::read_from(source, &name, &Columns::default())
    };
    let mut read = tokio::task::spawn_blocking(parse)
        .await
        .map_err(|e| CliError::Failed(format!("reading the labels broke off: {e}")))??;
    if read.rows.len() as u64 > MOST_LABELS {
        return Err(CliError::Failed(format!(
            "{} rows are too many: at most {MOST_LABELS} labelled texts are kept",
            read.rows.len()
        )));
    }
    let rows = std::mem::take(&mut read.rows);
    let (rows, refused): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| is_keepable(&row.interaction.text));
    let texts: Vec<LabelledText> = rows
        .into_iter()
        .map(|row| LabelledText {
            text: row.interaction.text,
            kind: row.interaction.kind,
            label: row.truth.label,
        })
        .collect();
    let kept = store.label_texts(act, &texts).await?;
    let mut errors = read.unusable;
    errors.extend(refused.iter().map(|row| {
        let start: String = row.interaction.text.chars().take(40).collect();
        format!("“{start}…”: a text has at most {MOST_TEXT} bytes and no NUL")
    }));
    errors.truncate(MOST_TOLD);
    Ok(Taken { kept, rejected: read.rejected + refused.len(), errors })
}

fn is_keepable(text: &str) -> bool {
    text.len() <= MOST_TEXT && !text.contains('\0')
}

/// Learns from all labels of a tenant, keeps the lesson, and puts it in force where it helps.
pub async fn learn(
    store: &Store,
    reader: &Arc<LocalScorer>,
    act: &Act<'_>,
) -> Result<Made, CalibrationError> {
    let version = store.next_lesson(act.tenant).await?;
    let examples: Vec<Example> = store
        .labelled_texts(act.tenant)
        .await?
        .into_iter()
        .map(|t| Example { text: t.text, kind: t.kind, label: t.label })
        .collect();
    let model = reader.clone();
    let learned = tokio::task::spawn_blocking(move || model.learn(&examples, version))
        .await
        .map_err(|e| CalibrationError::Broke(format!("learning broke off: {e}")))??;
    let active = learned.trial.is_better();
    let body = serde_json::to_string(&learned.lesson).map_err(|e| CalibrationError::Broke(e.to_string()))?;
    let verdict = learned.trial.verdict();
    let trial = json!({"verdict": verdict, "trial": learned.trial});
    let lesson = NewLesson { version, model_version: reader.model_version(), body: &body, trial, active };
    store.keep_lesson(act, &lesson).await?;
    Ok(Made { version, active, verdict, trial: learned.trial })
}

/// Puts a lesson in force; answers whether there is such a lesson.
///
/// # Errors
/// [`StoreError::Conflict`] where it was learnt on another model, on which it would mean nothing.
pub async fn activate(
    store: &Store,
    reader: &LocalScorer,
    act: &Act<'_>,
    version: u32,
) -> Result<bool, StoreError> {
    let learnt_on = store.lesson_model(act.tenant, version.into()).await?;
    if let Some(other) = learnt_on.filter(|model| model != reader.model_version()) {
        return Err(StoreError::Conflict(format!(
            "lesson {version} was learnt on model {other}, and {} is in use: learn again",
            reader.model_version()
        )));
    }
    store.use_lesson(act, Some(version)).await
}

/// How things stand for a tenant.
pub async fn standing(store: &Store, reader: &LocalScorer, tenant: TenantId) -> Result<Standing, StoreError> {
    let counts = store.label_counts(tenant).await?;
    let missing = |count: &LabelCount| match count.label {
        Label::Mixed => 0,
        _ => (LEAST_PER_LABEL as u64).saturating_sub(count.texts()),
    };
    let labels = counts
        .iter()
        .map(|count| {
            let told = json!({
                "texts": count.texts(),
                "handed_in": count.handed_in,
                "reviewed": count.reviewed,
                "corrected": count.corrected,
                "missing": missing(count),
            });
            (count.label.as_str().to_owned(), told)
        })
        .collect();
    Ok(Standing {
        labels,
        needed: LEAST_PER_LABEL,
        model_version: reader.model_version().to_owned(),
        lessons: lessons(store, reader, tenant).await?,
    })
}

/// The last hundred lessons of a tenant, the latest first.
pub async fn lessons(
    store: &Store,
    reader: &LocalScorer,
    tenant: TenantId,
) -> Result<Vec<LessonEntry>, StoreError> {
    Ok(store.lessons(tenant).await?.into_iter().map(|lesson| in_use(lesson, reader)).collect())
}

/// A lesson of another model is passed over when texts are read, whatever its row says.
fn in_use(mut lesson: LessonEntry, reader: &LocalScorer) -> LessonEntry {
    lesson.active &= lesson.model_version == reader.model_version();
    lesson
}
