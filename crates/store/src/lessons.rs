//! Labels that a tenant's people gave to texts, and the lessons the embedded model drew from them.

use chrono::{DateTime, Utc};
use sea_orm::{FromQueryResult, Value};
use serde::Serialize;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use undertone_core::{Kind, Label};

use crate::audit::{self, Act, hex};
use crate::rows::{as_word, word};
use crate::statement::{for_update, pieces, sql};
use crate::{Result, Store, StoreError, TenantId};

/// So many labelled texts of a tenant are kept. Learning from more takes longer and teaches little.
pub const MOST_LABELS: u64 = 20_000;

/// The latest corrections, each with the text it was made of; those whose text is gone or whose customer opted out count towards the limit
/// and are left out. They are chosen before anything is looked up beside them: SQLite would go by the texts, which are all the tenant has.
pub(crate) const CORRECTED: &str = "SELECT t.body, i.kind, s.human_override_label AS label FROM (SELECT tenant_id, interaction_id, human_override_id, \
    human_override_label, human_override_at FROM interaction_sentiment WHERE tenant_id = ? AND human_override_label IS NOT NULL \
    ORDER BY human_override_at DESC, interaction_id DESC LIMIT ?) s \
    JOIN interaction i ON i.tenant_id = s.tenant_id AND i.id = s.interaction_id \
    JOIN sentiment_override o ON o.tenant_id = s.tenant_id AND o.id = s.human_override_id \
    JOIN interaction_text t ON t.tenant_id = i.tenant_id AND t.interaction_id = i.id AND t.revision = COALESCE(o.text_revision, i.revision) \
    LEFT JOIN customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id \
    WHERE c.opted_out_at IS NULL AND c.erased_at IS NULL ORDER BY s.human_override_at DESC, s.interaction_id DESC";

/// A text and what a person says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledText {
    /// The text.
    pub text: String,
    /// What sort of text it is.
    pub kind: Kind,
    /// What the person says.
    pub label: Label,
}

/// What became of labels that were handed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Texts that had no label.
    pub added: u64,
    /// Texts that had another label.
    pub changed: u64,
    /// Texts that had this label, or stood there twice.
    pub same: u64,
}

/// Where a label comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Handed in.
    HandedIn,
    /// Settled by raters of the review, of an interaction that was drawn at random from all, whatever else brought it there.
    Random,
    /// Settled by raters of the review, of an interaction that is there for what its verdict said.
    Review,
    /// Given in place of a verdict's.
    Correction,
}

impl Source {
    /// The text has a label because of what a verdict said of it: such texts are no sample of all.
    #[must_use]
    pub fn is_chosen(self) -> bool {
        matches!(self, Self::Review | Self::Correction)
    }
}

/// How many texts a lesson would be learnt from that have this label, each counted once, where its label comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelCount {
    /// The label.
    pub label: Label,
    /// Handed in.
    pub handed_in: u64,
    /// Settled by raters of the review.
    pub reviewed: u64,
    /// Those of the review that were drawn at random.
    pub random: u64,
    /// Given in place of a verdict's.
    pub corrected: u64,
}

impl LabelCount {
    /// All of them.
    #[must_use]
    pub fn texts(&self) -> u64 {
        self.handed_in + self.reviewed + self.corrected
    }

    /// Those that a lesson is tried on: they do not have the label because of a verdict.
    #[must_use]
    pub fn tried(&self) -> u64 {
        self.handed_in + self.random
    }
}

/// What is known of a lesson, without what it taught.
#[derive(Debug, Clone, PartialEq, FromQueryResult, Serialize)]
pub struct LessonEntry {
    /// From 1, for each tenant.
    pub version: i64,
    /// The embedded model it corrects.
    pub model_version: String,
    /// What it was worth on the tenant's own texts.
    pub trial: Json,
    /// Who had it made.
    pub made_by: String,
    /// When.
    pub made_at: DateTime<Utc>,
    /// It is in force.
    pub active: bool,
}

/// A lesson to be kept.
#[derive(Debug)]
pub struct NewLesson<'a> {
    /// Its version, from [`Store::next_lesson`].
    pub version: u32,
    /// The embedded model it corrects.
    pub model_version: &'a str,
    /// What it taught.
    pub body: &'a str,
    /// What it was worth.
    pub trial: Json,
    /// It comes into force at once.
    pub active: bool,
}

#[derive(FromQueryResult)]
struct Row {
    body: String,
    kind: String,
    label: String,
}

#[derive(FromQueryResult)]
struct Reviewed {
    body: String,
    kind: String,
    label: String,
    /// It is in the sample of all.
    random: bool,
}

#[derive(FromQueryResult)]
struct Known {
    digest: String,
    label: String,
}

/// By which a labelled text is found: of its kind and what it says.
pub(crate) fn digest(text: &LabelledText) -> String {
    hex(&Sha256::digest(format!("{}\n{}", as_word(&text.kind), text.text.trim())))
}

impl Store {
    /// Keeps labels; a text that has one gets the new one. All or none.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where the tenant would have more than [`MOST_LABELS`].
    pub async fn label_texts(&self, act: &Act<'_>, texts: &[LabelledText]) -> Result<Kept> {
        let mut kept = Kept::default();
        // In the order of their keys, so that two uploads at once do not wait for each other in a circle.
        let mut by_digest = std::collections::BTreeMap::new();
        for text in texts {
            if by_digest.insert(digest(text), text).is_some() {
                kept.same += 1;
            }
        }
        let rows: Vec<(String, &LabelledText)> = by_digest.into_iter().collect();
        let tx = self.begin().await?;
        let at = self.now();
        for piece in pieces(&rows) {
            let known: Vec<Known> =
                sql("SELECT digest, label FROM labelled_text WHERE tenant_id = ? AND digest IN ?")
                    .bind(act.tenant.0)
                    .list(piece.iter().map(|(digest, _)| digest.as_str()))
                    .all(&tx)
                    .await?;
            let mut write: Vec<[Value; 7]> = Vec::new();
            for (digest, text) in piece {
                let label = text.label.as_str();
                match known.iter().find(|known| known.digest == *digest) {
                    Some(known) if known.label == label => {
                        kept.same += 1;
                        continue;
                    }
                    Some(_) => kept.changed += 1,
                    None => kept.added += 1,
                }
                write.push([
                    act.tenant.0.into(),
                    digest.as_str().into(),
                    as_word(&text.kind).into(),
                    text.text.trim().into(),
                    label.into(),
                    act.actor.into(),
                    at.into(),
                ]);
            }
            if !write.is_empty() {
                sql("INSERT INTO labelled_text (tenant_id, digest, kind, body, label, labelled_by, labelled_at) VALUES ? \
                     ON CONFLICT (tenant_id, digest) DO UPDATE SET label = excluded.label, labelled_by = excluded.labelled_by, \
                     labelled_at = excluded.labelled_at")
                .rows(write)
                .run(&tx)
                .await?;
            }
        }
        let all: i64 = sql("SELECT COUNT(*) FROM labelled_text WHERE tenant_id = ?")
            .bind(act.tenant.0)
            .value(&tx)
            .await?
            .unwrap_or_default();
        if all.unsigned_abs() > MOST_LABELS {
            return Err(StoreError::Invalid(format!(
                "with these there would be {all} labelled texts; at most {MOST_LABELS} are kept. Remove the old ones first"
            )));
        }
        audit::note(self, &tx, act, ("labels_added", "calibration"), &json!(kept)).await?;
        tx.commit().await?;
        Ok(kept)
    }

    /// Everything labelled and where each label comes from: what was handed in, what raters of the review settled on, and what a person
    /// corrected, each with the text they had before them and the latest first. Of a text with several labels the first of these counts.
    /// Texts of customers who opted out are not among them.
    pub async fn labelled(&self, tenant: TenantId) -> Result<Vec<(Source, LabelledText)>> {
        let given: Vec<Row> =
            sql("SELECT body, kind, label FROM labelled_text WHERE tenant_id = ? ORDER BY digest")
                .bind(tenant.0)
                .all(&self.reader)
                .await?;
        let reviewed: Vec<Reviewed> = sql("SELECT t.body, i.kind, r.settled_label AS label, r.random FROM review_item r \
             JOIN interaction i ON i.tenant_id = r.tenant_id AND i.id = r.interaction_id \
             JOIN interaction_text t ON t.tenant_id = r.tenant_id AND t.interaction_id = r.interaction_id AND t.revision = r.text_revision \
             LEFT JOIN customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id \
             WHERE r.tenant_id = ? AND r.settled_label IS NOT NULL AND c.opted_out_at IS NULL AND c.erased_at IS NULL \
             ORDER BY r.done_at DESC, r.id DESC LIMIT ?")
        .bind(tenant.0)
        .bind(MOST_LABELS.cast_signed())
        .all(&self.reader)
        .await?;
        let corrected: Vec<Row> =
            sql(CORRECTED).bind(tenant.0).bind(MOST_LABELS.cast_signed()).all(&self.reader).await?;
        let given = given.into_iter().map(|row| (Source::HandedIn, row));
        let reviewed = reviewed.into_iter().map(|Reviewed { body, kind, label, random }| {
            (if random { Source::Random } else { Source::Review }, Row { body, kind, label })
        });
        let corrected = corrected.into_iter().map(|row| (Source::Correction, row));
        let mut texts = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (source, row) in given.chain(reviewed).chain(corrected) {
            let kind = word("labelled_text", &row.kind)?;
            let label = word("labelled_text", &row.label)?;
            let text = LabelledText { text: row.body, kind, label };
            if seen.insert(digest(&text)) {
                texts.push((source, text));
            }
        }
        Ok(texts)
    }

    /// How many texts there are to learn from with each label. It reads what [`Self::labelled`] does, at most three times
    /// [`MOST_LABELS`] texts: it is for whoever teaches, and for no page.
    pub async fn label_counts(&self, tenant: TenantId) -> Result<Vec<LabelCount>> {
        let none = |label| LabelCount { label, handed_in: 0, reviewed: 0, random: 0, corrected: 0 };
        let mut counts: Vec<LabelCount> = Label::ALL.into_iter().map(none).collect();
        for (source, text) in self.labelled(tenant).await? {
            for count in counts.iter_mut().filter(|count| count.label == text.label) {
                match source {
                    Source::HandedIn => count.handed_in += 1,
                    Source::Random => {
                        count.reviewed += 1;
                        count.random += 1;
                    }
                    Source::Review => count.reviewed += 1,
                    Source::Correction => count.corrected += 1,
                }
            }
        }
        Ok(counts)
    }

    /// Removes every label that was handed in, and its text; answers how many. Lessons that were learnt from them stay.
    pub async fn forget_labels(&self, act: &Act<'_>) -> Result<u64> {
        let tx = self.begin().await?;
        let removed =
            sql("DELETE FROM labelled_text WHERE tenant_id = ?").bind(act.tenant.0).run(&tx).await?;
        if removed > 0 {
            audit::note(self, &tx, act, ("labels_removed", "calibration"), &json!({"removed": removed}))
                .await?;
        }
        tx.commit().await?;
        Ok(removed)
    }

    /// The version the tenant's next lesson will have.
    pub async fn next_lesson(&self, tenant: TenantId) -> Result<u32> {
        let last: Option<i64> = sql("SELECT COALESCE(MAX(version), 0) FROM lesson WHERE tenant_id = ?")
            .bind(tenant.0)
            .value(&self.reader)
            .await?;
        Ok(u32::try_from(last.unwrap_or_default()).unwrap_or_default() + 1)
    }

    /// Keeps a lesson.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody else kept one of this version meanwhile.
    pub async fn keep_lesson(&self, act: &Act<'_>, lesson: &NewLesson<'_>) -> Result<()> {
        let tx = self.begin().await?;
        let written = sql("INSERT INTO lesson (tenant_id, version, model_version, body, trial, made_by, made_at, active) VALUES ? \
             ON CONFLICT (tenant_id, version) DO NOTHING")
        .rows([[
            act.tenant.0.into(),
            i64::from(lesson.version).into(),
            lesson.model_version.into(),
            lesson.body.into(),
            lesson.trial.clone().into(),
            act.actor.into(),
            self.now().into(),
            false.into(),
        ]])
        .run(&tx)
        .await?;
        if written == 0 {
            return Err(StoreError::Conflict(
                "somebody else made a lesson at the same time; look at it before you make another".to_owned(),
            ));
        }
        let subject = lesson.version.to_string();
        audit::note(self, &tx, act, ("lesson_made", &subject), &lesson.trial).await?;
        if lesson.active {
            self.put_in_force(&tx, act, Some(lesson.version)).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Puts a lesson in force in place of another; `None`: the model as it came. Answers whether there is such a lesson.
    pub async fn use_lesson(&self, act: &Act<'_>, version: Option<u32>) -> Result<bool> {
        let tx = self.begin().await?;
        let there = self.put_in_force(&tx, act, version).await?;
        tx.commit().await?;
        Ok(there)
    }

    async fn put_in_force(
        &self,
        tx: &sea_orm::DatabaseTransaction,
        act: &Act<'_>,
        version: Option<u32>,
    ) -> Result<bool> {
        // Two who choose at once do so one after the other.
        sql("SELECT id FROM tenant WHERE id = ?")
            .bind(act.tenant.0)
            .then(for_update(self.backend()))
            .value::<i64>(tx)
            .await?;
        if let Some(version) = version {
            let there: Option<i64> = sql("SELECT version FROM lesson WHERE tenant_id = ? AND version = ?")
                .bind(act.tenant.0)
                .bind(i64::from(version))
                .value(tx)
                .await?;
            if there.is_none() {
                return Ok(false);
            }
        }
        let ended: Option<i64> = sql("SELECT version FROM lesson WHERE tenant_id = ? AND active")
            .bind(act.tenant.0)
            .value(tx)
            .await?;
        if ended == version.map(i64::from) {
            return Ok(true);
        }
        sql("UPDATE lesson SET active = ? WHERE tenant_id = ? AND active")
            .bind(false)
            .bind(act.tenant.0)
            .run(tx)
            .await?;
        if let Some(version) = version {
            sql("UPDATE lesson SET active = ? WHERE tenant_id = ? AND version = ?")
                .bind(true)
                .bind(act.tenant.0)
                .bind(i64::from(version))
                .run(tx)
                .await?;
        }
        let payload = json!({"before": ended, "after": version});
        audit::note(self, tx, act, ("lesson_in_force", "calibration"), &payload).await?;
        Ok(true)
    }

    /// The version of the lesson in force.
    pub async fn lesson_in_force(&self, tenant: TenantId) -> Result<Option<i64>> {
        sql("SELECT version FROM lesson WHERE tenant_id = ? AND active")
            .bind(tenant.0)
            .value(&self.reader)
            .await
    }

    /// The lesson in force, with what it was worth.
    pub async fn lesson_entry_in_force(&self, tenant: TenantId) -> Result<Option<LessonEntry>> {
        sql("SELECT version, model_version, trial, made_by, made_at, active FROM lesson WHERE tenant_id = ? AND active")
            .bind(tenant.0)
            .one(&self.reader)
            .await
    }

    /// What a lesson taught.
    pub async fn lesson(&self, tenant: TenantId, version: i64) -> Result<Option<String>> {
        sql("SELECT body FROM lesson WHERE tenant_id = ? AND version = ?")
            .bind(tenant.0)
            .bind(version)
            .value(&self.reader)
            .await
    }

    /// The version of the model that a lesson was learnt on, where there is such a lesson.
    pub async fn lesson_model(&self, tenant: TenantId, version: i64) -> Result<Option<String>> {
        sql("SELECT model_version FROM lesson WHERE tenant_id = ? AND version = ?")
            .bind(tenant.0)
            .bind(version)
            .value(&self.reader)
            .await
    }

    /// The last hundred lessons, the latest first.
    pub async fn lessons(&self, tenant: TenantId) -> Result<Vec<LessonEntry>> {
        sql("SELECT version, model_version, trial, made_by, made_at, active FROM lesson WHERE tenant_id = ? \
             ORDER BY version DESC LIMIT 100")
        .bind(tenant.0)
        .all(&self.reader)
        .await
    }
}
