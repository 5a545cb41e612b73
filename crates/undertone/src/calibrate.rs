//! Teaching the embedded model a tenant's own labels: read them, learn, try, and take the lesson only where it helps.

use std::io::{Cursor, Read};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use undertone_core::Label;
use undertone_scoring::local::lesson::{LEAST_PER_LABEL, LEAST_TRIED, Trial};
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
    /// Of each label how many texts there are to learn from, where they come from, and how many are missing, also to try a lesson on.
    pub labels: serde_json::Map<String, serde_json::Value>,
    /// How many of each are needed to learn from.
    pub needed: usize,
    /// The model whose lessons these are.
    pub model_version: String,
    /// Every lesson, the latest first.
    pub lessons: Vec<LessonEntry>,
}

/// Reads a file of labels (CSV, TSV or JSON Lines, as `undertone eval` does) and keeps them.
pub async fn take(
    store: &Store,
    act: &Act<'_>,
    name: &str,
    bytes: Vec<u8>,
    columns: Columns,
) -> Result<Taken, CliError> {
    // Telling rows apart keeps a core busy for a while.
    let name = name.to_owned();
    let parse = move || {
        let source: Box<dyn Read + Send> = Box::new(Cursor::new(bytes));
        labelled::read_from(source, &name, &columns)
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
        .labelled(act.tenant)
        .await?
        .into_iter()
        .map(|(source, t)| Example { text: t.text, kind: t.kind, label: t.label, chosen: source.is_chosen() })
        .collect();
    let model = reader.clone();
    let learned = tokio::task::spawn_blocking(move || model.learn(&examples, version))
        .await
        .map_err(|e| CalibrationError::Broke(format!("learning broke off: {e}")))??;
    let held = store.lesson_entry_in_force(act.tenant).await?.map(|lesson| in_use(lesson, reader));
    let stays =
        held.filter(|_| learned.trial.is_better()).and_then(|held| why_it_stays(&held, &learned.trial));
    let active = learned.trial.is_better() && stays.is_none();
    let body = serde_json::to_string(&learned.lesson).map_err(|e| CalibrationError::Broke(e.to_string()))?;
    let verdict = stays.unwrap_or_else(|| learned.trial.verdict());
    let trial = json!({"verdict": verdict, "trial": learned.trial});
    let lesson = NewLesson { version, model_version: reader.model_version(), body: &body, trial, active };
    store.keep_lesson(act, &lesson).await?;
    Ok(Made { version, active, verdict, trial: learned.trial })
}

/// Why the lesson in force is not replaced by the one of this trial; `None`: it is. Each was tried on the texts of its time: the lesson in
/// force was learnt from most of today's, so trying it on them would flatter it.
fn why_it_stays(held: &LessonEntry, trial: &Trial) -> Option<String> {
    if !held.active {
        return None;
    }
    let of = |figure: &str| held.trial.pointer(&format!("/trial/after/{figure}/value"))?.as_f64();
    let (f1, negatives) = (of("macro_f1")?, of("negative_recall")?);
    let after = &trial.after;
    (after.macro_f1.value < f1 || after.negative_recall.value < negatives).then(|| {
        format!(
            "better than the model as it came, but lesson {} in force did better when it was tried: macro-F1 {f1:.3} and negative recall \
             {negatives:.3}, this one {:.3} and {:.3}",
            held.version, after.macro_f1.value, after.negative_recall.value
        )
    })
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
    let missing = |count: &LabelCount, least: usize, there: u64| match count.label {
        Label::Mixed => 0,
        _ => (least as u64).saturating_sub(there),
    };
    let labels = counts
        .iter()
        .map(|count| {
            let told = json!({
                "texts": count.texts(),
                "handed_in": count.handed_in,
                "reviewed": count.reviewed,
                "corrected": count.corrected,
                "missing": missing(count, LEAST_PER_LABEL, count.texts()),
                "missing_to_try": missing(count, LEAST_TRIED, count.tried()),
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

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use undertone_core::accuracy::Figure;
    use undertone_scoring::local::lesson::Worth;

    use super::*;

    fn trial(macro_f1: f64, negative_recall: f64) -> Trial {
        let figure = |value| Figure { value, low: value, high: value };
        let worth = |macro_f1, negative_recall| Worth {
            macro_f1: figure(macro_f1),
            negative_recall: figure(negative_recall),
            negatives_called_positive: figure(0.04),
            calibration_error: figure(0.02),
        };
        let before = worth(0.7, 0.8);
        Trial { texts: 900, learnt_from_only: 0, unread: 0, before, after: worth(macro_f1, negative_recall) }
    }

    #[test]
    fn a_lesson_in_force_gives_way_only_to_one_that_is_no_worse() {
        let held = LessonEntry {
            version: 3,
            model_version: "2".to_owned(),
            trial: json!({"verdict": "better", "trial": trial(0.8, 0.9)}),
            made_by: "test".to_owned(),
            made_at: DateTime::<Utc>::UNIX_EPOCH,
            active: true,
        };
        assert_eq!(why_it_stays(&held, &trial(0.8, 0.9)), None);
        assert_eq!(why_it_stays(&held, &trial(0.81, 0.95)), None);
        for worse in [trial(0.79, 0.95), trial(0.82, 0.89)] {
            assert!(worse.is_better(), "than the model as it came");
            let told = why_it_stays(&held, &worse).unwrap();
            assert!(told.contains("lesson 3 in force did better") && told.contains("0.800"), "{told}");
        }
        let of_another_model = LessonEntry { active: false, ..held };
        assert_eq!(why_it_stays(&of_another_model, &trial(0.75, 0.85)), None);
    }
}
