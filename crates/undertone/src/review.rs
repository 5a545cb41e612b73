//! The review as it is told and asked, by the API and on the command line alike.

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Value, json};
use undertone_core::correction::Correction;
use undertone_core::review::report::Agreement;
use undertone_core::usage::calendar::begins;
use undertone_core::{Label, Score};
use undertone_store::review::{self, Handed, MOST_NOTE, Outcome, RatedSince};
use undertone_store::{Store, StoreError, Tenant};

use crate::usage::Days;
use crate::visibility::{Sights, told};

/// Agreement is counted from so many items at most, the latest.
const MOST_RATED: usize = 5000;

/// What a rater says of an item, as it is kept.
///
/// # Errors
/// Each field that can not be used, with what it may be.
pub fn label(
    label: Option<Label>,
    score: Option<Score>,
    note: Option<&str>,
) -> Result<review::Label<'_>, Vec<(&'static str, String)>> {
    let note = note.map(str::trim).filter(|note| !note.is_empty());
    let mut errors = Vec::new();
    if note.is_some_and(|note| note.chars().count() > MOST_NOTE || note.contains('\0')) {
        errors.push(("note", format!("a note has at most {MOST_NOTE} characters and no NUL")));
    }
    match Correction::of(score, label) {
        // A score that nobody gave is not made up here: agreement is counted from what raters said.
        Ok(Some(given)) if errors.is_empty() => {
            return Ok(review::Label { label: given.label, score, note });
        }
        Ok(Some(_)) => {}
        Ok(None) => {
            let told = "give positive, neutral, negative or mixed, or a score of -100 to 100";
            errors.push(("label", told.to_owned()));
        }
        Err(contradiction) => errors.push(("label", contradiction.to_string())),
    }
    Err(errors)
}

/// Of these items, those whose text may be read.
pub fn readable(mut items: Vec<Handed>, sights: &Sights) -> Vec<Handed> {
    items.retain(|item| sights.of(&item.interaction_id).shows_text());
    items
}

/// An outcome without the verdict where it may not be seen, and without what says as much: why the item was in the queue.
pub fn outcome(item: &Outcome, sights: &Sights) -> Value {
    let sight = sights.of(&item.interaction_id);
    let mut value = json!(item);
    value["visibility"] = told(sight);
    if !sight.is_open() {
        for hidden in ["score", "label", "reasons", "settled_label", "ratings"] {
            value[hidden] = Value::Null;
        }
    }
    value
}

/// How far people agree, and the scorer with them, in some days.
#[derive(Debug, Serialize)]
pub struct Counted {
    /// The figures.
    #[serde(flatten)]
    pub agreement: Agreement,
    /// The first of the tenant's days.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
    /// There are more items in these days than were counted.
    pub only_the_latest: bool,
}

impl Counted {
    /// Counts what [`rated`] read. A thousand draws of some thousand items keep a core busy for a moment.
    pub fn of(days: Days, read: &RatedSince) -> Self {
        let agreement = Agreement::of(&read.rated);
        Self { agreement, from: days.from, to: days.to, only_the_latest: read.more }
    }
}

/// The latest items that were done in these days.
pub async fn rated(store: &Store, tenant: &Tenant, days: Days) -> Result<RatedSince, StoreError> {
    let until = days.to.succ_opt().unwrap_or(days.to);
    let span = (begins(tenant.zone, days.from), begins(tenant.zone, until));
    store.rated(tenant.id, span, MOST_RATED).await
}
