//! What came of the review: items that are done, and what agreement is counted from.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use undertone_core::Score;
use undertone_core::overview::Count;
use undertone_core::review::Reason;
use undertone_core::review::report::{Given, Rated};

use crate::rows::word;
use crate::statement::{pieces, sql};
use crate::{Result, Store, StoreError, TenantId};

/// What one rater said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Rating {
    #[serde(skip)]
    item_id: String,
    /// The user's id.
    pub rater: String,
    /// The sign of the feeling.
    pub label: String,
    /// How good or bad, where they said.
    pub score: Option<i64>,
    /// What they added.
    pub note: Option<String>,
    /// When.
    pub given_at: DateTime<Utc>,
}

/// An item that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Its id.
    pub id: String,
    /// Our id of the interaction.
    pub interaction_id: String,
    /// The verdict that was checked.
    pub verdict_id: String,
    /// Its score.
    pub score: i64,
    /// Its label.
    pub label: String,
    /// Why it was in the queue.
    pub reasons: Vec<Reason>,
    /// What most raters said; `None`: three said three things, or two two and nobody a third.
    pub settled_label: Option<String>,
    /// When it was done.
    pub done_at: DateTime<Utc>,
    /// What each rater said, the first first.
    pub ratings: Vec<Rating>,
}

/// Which outcomes to list.
#[derive(Debug, Clone, Copy)]
pub struct Outcomes<'a> {
    /// Only the item of this id.
    pub id: Option<&'a str>,
    /// Only those whose raters settled on another label than the scorer's, or on none.
    pub differing: bool,
    /// Only those that came into the queue before this one.
    pub before: Option<&'a str>,
    /// At most so many.
    pub limit: i64,
}

/// What agreement is counted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatedSince {
    /// Items that are done, the latest first.
    pub rated: Vec<Rated>,
    /// There are more in this time than are read.
    pub more: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "the columns of the table")]
#[derive(FromQueryResult)]
struct Row {
    id: String,
    interaction_id: String,
    verdict_id: String,
    score: i64,
    label: String,
    unsure: bool,
    disagreed: bool,
    suspicious: bool,
    overridden: bool,
    called_positive: bool,
    random: bool,
    settled_label: Option<String>,
    done_at: DateTime<Utc>,
}

const DONE: &str = "SELECT id, interaction_id, verdict_id, score, label, unsure, disagreed, suspicious, overridden, \
    called_positive, random, settled_label, done_at FROM review_item WHERE tenant_id = ? AND done_at IS NOT NULL";

impl Row {
    fn reasons(&self) -> Vec<Reason> {
        let held = |reason: &Reason| match reason {
            Reason::Unsure => self.unsure,
            Reason::Disagreed => self.disagreed,
            Reason::Suspicious => self.suspicious,
            Reason::Overridden => self.overridden,
            Reason::CalledPositive => self.called_positive,
            Reason::Random => self.random,
        };
        Reason::ALL.into_iter().filter(held).collect()
    }
}

impl Store {
    /// How many verdicts are suspicious and nobody labelled yet.
    pub async fn suspicious(&self, tenant: TenantId) -> Result<Count> {
        let waiting = "SELECT COUNT(*) FROM (SELECT 1 FROM review_item WHERE tenant_id = ? AND suspicious AND done_at IS NULL LIMIT ?) AS counted";
        self.count(waiting, tenant).await
    }

    /// Items that are done, the latest to enter first.
    pub async fn review_outcomes(&self, tenant: TenantId, wanted: Outcomes<'_>) -> Result<Vec<Outcome>> {
        let mut query = sql(DONE).bind(tenant.0);
        if let Some(id) = wanted.id {
            query = query.then(" AND id = ?").bind(id);
        }
        if wanted.differing {
            query = query.then(" AND settled_label IS DISTINCT FROM label");
        }
        if let Some(before) = wanted.before {
            query = query.then(" AND id < ?").bind(before);
        }
        let rows: Vec<Row> =
            query.then(" ORDER BY id DESC LIMIT ?").bind(wanted.limit).all(&self.reader).await?;
        let mut ratings = self.ratings(tenant, &rows).await?;
        Ok(rows
            .into_iter()
            .map(|row| Outcome {
                ratings: ratings.remove(&row.id).unwrap_or_default(),
                reasons: row.reasons(),
                id: row.id,
                interaction_id: row.interaction_id,
                verdict_id: row.verdict_id,
                score: row.score,
                label: row.label,
                settled_label: row.settled_label,
                done_at: row.done_at,
            })
            .collect())
    }

    /// The latest `most` items that were done between two moments, the second excluded, as agreement is counted from them.
    pub async fn rated(
        &self,
        tenant: TenantId,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        most: usize,
    ) -> Result<RatedSince> {
        let mut rows: Vec<Row> = sql(DONE)
            .bind(tenant.0)
            .then(" AND done_at >= ? AND done_at < ? ORDER BY done_at DESC, id DESC LIMIT ?")
            .bind(from)
            .bind(until)
            .bind(i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1))
            .all(&self.reader)
            .await?;
        let more = rows.len() > most;
        rows.truncate(most);
        let mut ratings = self.ratings(tenant, &rows).await?;
        let rated = rows
            .into_iter()
            .map(|row| {
                let given = ratings.remove(&row.id).unwrap_or_default();
                Ok(Rated {
                    given: given.iter().map(Rating::given).collect::<Result<_>>()?,
                    settled: row
                        .settled_label
                        .as_deref()
                        .map(|label| word("review_item", label))
                        .transpose()?,
                    label: word("review_item", &row.label)?,
                    score: score_of(row.score)?,
                    reasons: row.reasons(),
                })
            })
            .collect::<Result<_>>()?;
        Ok(RatedSince { rated, more })
    }

    async fn ratings(&self, tenant: TenantId, items: &[Row]) -> Result<HashMap<String, Vec<Rating>>> {
        let mut ratings: HashMap<String, Vec<Rating>> = HashMap::new();
        for piece in pieces(items) {
            let rows: Vec<Rating> = sql("SELECT item_id, rater, label, score, note, given_at FROM review_label WHERE tenant_id = ? AND item_id IN ? \
                 ORDER BY item_id, place")
            .bind(tenant.0)
            .list(piece.iter().map(|row| row.id.as_str()))
            .all(&self.reader)
            .await?;
            for row in rows {
                ratings.entry(row.item_id.clone()).or_default().push(row);
            }
        }
        Ok(ratings)
    }
}

impl Rating {
    fn given(&self) -> Result<Given> {
        Ok(Given {
            rater: self.rater.clone(),
            label: word("review_label", &self.label)?,
            score: self.score.map(score_of).transpose()?,
        })
    }
}

fn score_of(score: i64) -> Result<Score> {
    Score::try_from(score).map_err(|detail| StoreError::Unreadable { table: "review_item", detail })
}
