//! Sentiments as they are asked for: a customer's sum, what needs attention, the latest.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use undertone_core::Verdict;
use undertone_core::cascade::Cascaded;
use undertone_core::overview::{Latest, Totals};
use undertone_core::verdict::Suspicion;

use crate::rollups::Counts;
use crate::rows::word;
use crate::statement::sql;
use crate::{Result, Store, StoreError, TenantId, overrides};

/// A customer's sentiments, summed up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CustomerSentiment {
    /// The counts.
    pub totals: Totals,
    /// When the first one that stands was scored.
    pub first_scored_at: Option<DateTime<Utc>>,
    /// The one scored last; of those scored in the same moment, the one that arrived last.
    pub last: Option<Last>,
}

/// The sentiment scored last.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Last {
    /// Our id of the interaction.
    pub interaction_id: String,
    /// Effective score.
    pub score: i64,
    /// Effective label.
    pub label: String,
    /// When it was scored.
    pub scored_at: DateTime<Utc>,
}

/// A negative interaction that somebody should look at.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Escalation {
    /// Our id of the interaction; a correction is made under the same.
    pub interaction_id: String,
    /// Where it comes from.
    pub source: String,
    /// Its id there.
    pub external_id: String,
    /// Our id of the customer.
    pub customer_id: Option<String>,
    /// The source's id of the customer.
    pub customer_external_id: Option<String>,
    /// The customer's name.
    pub customer_name: Option<String>,
    /// The source's id of the agent.
    pub agent_external_id: Option<String>,
    /// The way it came.
    pub channel: String,
    /// Effective score.
    pub score: i64,
    /// Effective label.
    pub label: String,
    /// Calibrated confidence, percent.
    pub confidence: i64,
    /// The emotion that dominates.
    pub dominant_emotion: String,
    /// How soon somebody should act.
    pub urgency: String,
    /// The issue.
    pub category: String,
    /// One or two sentences.
    pub summary: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was scored.
    pub scored_at: DateTime<Utc>,
}

/// The current sentiment of an interaction, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Sentiment {
    /// Effective score.
    pub score: i64,
    /// Effective label.
    pub label: String,
    /// Calibrated confidence of the scorer, percent.
    pub confidence: i64,
    /// A person should look.
    pub needs_review: bool,
    /// The cascade's two scorers contradict each other.
    pub disagreed: bool,
    /// The emotion that dominates.
    pub dominant_emotion: String,
    /// How soon somebody should act.
    pub urgency: String,
    /// The issue.
    pub category: String,
    /// One or two sentences.
    pub summary: String,
    /// The phrases that moved the verdict.
    pub keywords: serde_json::Value,
    /// Main language.
    pub language: String,
    /// Who scored it.
    pub scorer: String,
    /// With which model.
    pub model: String,
    /// When.
    pub scored_at: DateTime<Utc>,
    /// The scorer's own score, whatever a person said.
    pub ai_score: i64,
    /// The scorer's own label.
    pub ai_label: String,
    /// A person's score.
    pub human_override_score: Option<i64>,
    /// A person's label.
    pub human_override_label: Option<String>,
    /// Who that was.
    pub human_override_by: Option<String>,
    /// When they said so.
    pub human_override_at: Option<DateTime<Utc>>,
    /// A person agreed with this verdict.
    pub agreed: bool,
    /// Of what is told here: it changes with the text, the verdict and the correction. Whoever corrects sends it along.
    #[sea_orm(skip)]
    pub version: String,
    /// How the cascade came to it, where it did: why the LLM was asked, what the embedded model said, or why there was no answer.
    #[sea_orm(skip)]
    pub cascade: Option<Cascaded>,
    /// Why a person should look twice at what an LLM said; empty for most.
    #[sea_orm(skip)]
    pub suspicions: Vec<Suspicion>,
}

const TABLE: &str = "interaction_sentiment";

impl Store {
    /// A customer's sentiments, by our id. Costs the same however many there are.
    pub async fn customer_sentiment(&self, tenant: TenantId, customer_id: &str) -> Result<CustomerSentiment> {
        let totals = sql("SELECT scored, sum_score, positive, neutral, negative, mixed FROM customer_sentiment WHERE tenant_id = ? AND customer_id = ?")
            .bind(tenant.0)
            .bind(customer_id)
            .one::<Counts>(&self.reader)
            .await?;
        // First and last are looked up, never added: a sentiment may go away again.
        let first_scored_at = sql("SELECT scored_at FROM interaction_sentiment WHERE tenant_id = ? AND customer_id = ? ORDER BY scored_at LIMIT 1")
            .bind(tenant.0)
            .bind(customer_id)
            .value::<DateTime<Utc>>(&self.reader)
            .await?;
        let last = sql(
            "SELECT interaction_id, effective_score AS score, effective_label AS label, scored_at FROM interaction_sentiment \
             WHERE tenant_id = ? AND customer_id = ? ORDER BY scored_at DESC, interaction_id DESC LIMIT 1",
        )
        .bind(tenant.0)
        .bind(customer_id)
        .one::<Last>(&self.reader)
        .await?;
        Ok(CustomerSentiment {
            totals: totals.map_or_else(Totals::default, Into::into),
            first_scored_at,
            last,
        })
    }

    /// What was scored negative within the last `window`, lowest score first, then the latest.
    pub async fn escalations(
        &self,
        tenant: TenantId,
        window: TimeDelta,
        limit: i64,
    ) -> Result<Vec<Escalation>> {
        sql("SELECT s.interaction_id, i.source, i.external_id, s.customer_id, c.external_id AS customer_external_id, c.name AS customer_name, \
             a.external_id AS agent_external_id, s.channel, s.score, s.label, s.confidence, s.dominant_emotion, s.urgency, s.category, \
             s.summary, s.occurred_at, s.scored_at FROM \
             (SELECT tenant_id, interaction_id, customer_id, agent_id, channel, effective_score AS score, effective_label AS label, confidence, \
             dominant_emotion, urgency, category, summary, occurred_at, scored_at FROM interaction_sentiment \
             WHERE tenant_id = ? AND effective_label = 'negative' AND scored_at >= ? \
             ORDER BY effective_score, scored_at DESC, interaction_id LIMIT ?) s \
             JOIN interaction i ON i.tenant_id = s.tenant_id AND i.id = s.interaction_id \
             LEFT JOIN customer c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id \
             LEFT JOIN agent a ON a.tenant_id = s.tenant_id AND a.id = s.agent_id \
             ORDER BY s.score, s.scored_at DESC, s.interaction_id")
        .bind(tenant.0)
        .bind(self.now() - window)
        .bind(limit)
        .all(&self.reader)
        .await
    }

    /// The current sentiment of an interaction.
    pub async fn sentiment(&self, tenant: TenantId, interaction_id: &str) -> Result<Option<Sentiment>> {
        #[derive(FromQueryResult)]
        struct Row {
            #[sea_orm(nested)]
            sentiment: Sentiment,
            body: String,
            revision: i64,
            verdict_id: String,
            human_override_id: Option<String>,
        }
        let row = sql("SELECT s.effective_score AS score, s.effective_label AS label, s.confidence, s.needs_review, s.disagreed, \
             s.dominant_emotion, s.urgency, s.category, s.summary, s.keywords, s.language, s.scorer, s.model, s.scored_at, \
             s.score AS ai_score, s.label AS ai_label, s.human_override_score, s.human_override_label, s.human_override_by, \
             s.human_override_at, (s.human_agreed_verdict_id IS NOT NULL AND s.human_agreed_verdict_id = s.verdict_id) AS agreed, v.body, \
             i.revision, s.verdict_id, s.human_override_id FROM interaction_sentiment s \
             JOIN interaction i ON i.tenant_id = s.tenant_id AND i.id = s.interaction_id JOIN verdict v ON v.tenant_id = s.tenant_id AND v.id = s.verdict_id WHERE s.tenant_id = ? AND s.interaction_id = ?")
        .bind(tenant.0)
        .bind(interaction_id)
        .one::<Row>(&self.reader)
        .await?;
        let Some(Row { sentiment, body, revision, verdict_id, human_override_id }) = row else {
            return Ok(None);
        };
        let verdict: Verdict = serde_json::from_str(&body)
            .map_err(|e| StoreError::Unreadable { table: "verdict", detail: e.to_string() })?;
        let version = overrides::version(revision, &verdict_id, human_override_id.as_deref());
        let Verdict { cascade, suspicions, .. } = verdict;
        Ok(Some(Sentiment { version, cascade, suspicions, ..sentiment }))
    }

    /// The latest verdicts, newest first.
    pub async fn latest(&self, tenant: TenantId, limit: i64) -> Result<Vec<Latest>> {
        #[derive(FromQueryResult)]
        struct Row {
            interaction_id: String,
            customer_id: Option<String>,
            customer: Option<String>,
            channel: String,
            occurred_at: DateTime<Utc>,
            scored_at: DateTime<Utc>,
            score: i64,
            label: String,
            human_override_at: Option<DateTime<Utc>>,
            confidence: i64,
            needs_review: bool,
            dominant_emotion: String,
            urgency: String,
            category: String,
            summary: String,
            scorer: String,
            read_instead: Option<String>,
            keywords: serde_json::Value,
            body: Option<String>,
        }
        let rows = sql("SELECT s.interaction_id, s.customer_id, COALESCE(c.name, c.external_id) AS customer, s.channel, s.occurred_at, s.scored_at, \
             s.effective_score AS score, s.effective_label AS label, s.human_override_at, s.confidence, s.needs_review, s.dominant_emotion, \
             s.urgency, s.category, s.summary, s.scorer, CASE WHEN i.score_state = 'scored' THEN i.reason END AS read_instead, s.keywords, t.body FROM \
             (SELECT * FROM interaction_sentiment WHERE tenant_id = ? ORDER BY scored_at DESC, interaction_id DESC LIMIT ?) s \
             JOIN verdict v ON v.tenant_id = s.tenant_id AND v.id = s.verdict_id \
             JOIN interaction i ON i.tenant_id = s.tenant_id AND i.id = s.interaction_id \
             LEFT JOIN interaction_text t ON t.tenant_id = s.tenant_id AND t.interaction_id = s.interaction_id AND t.revision = v.text_revision \
             LEFT JOIN customer c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id \
             ORDER BY s.scored_at DESC, s.interaction_id DESC")
        .bind(tenant.0)
        .bind(limit)
        .all::<Row>(&self.reader)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Latest {
                    interaction_id: row.interaction_id,
                    customer_id: row.customer_id,
                    customer: row.customer,
                    channel: word(TABLE, &row.channel)?,
                    occurred_at: row.occurred_at,
                    scored_at: row.scored_at,
                    score: row.score,
                    label: word(TABLE, &row.label)?,
                    overridden: row.human_override_at.is_some(),
                    confidence: row.confidence,
                    needs_review: row.needs_review,
                    dominant_emotion: row.dominant_emotion,
                    urgency: word(TABLE, &row.urgency)?,
                    category: row.category,
                    summary: row.summary,
                    scorer: word(TABLE, &row.scorer)?,
                    read_instead: row.read_instead.map(|reason| word("interaction", &reason)).transpose()?,
                    text: row.body,
                    evidence: serde_json::from_value(row.keywords)
                        .map_err(|e| StoreError::Unreadable { table: TABLE, detail: e.to_string() })?,
                })
            })
            .collect()
    }
}
