//! What an export tells of interactions beyond what a list does: their verdicts, and the names their sources gave to what they belong to.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use serde_json::Value;

use crate::statement::{pieces, sql};
use crate::{Result, Store, TenantId};

/// More of an interaction than [`super::Listed`] has.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Details {
    #[serde(skip)]
    id: String,
    /// The source's id of the customer.
    pub customer: Option<String>,
    /// The source's id of the agent.
    pub agent: Option<String>,
    /// The source's id of the conversation.
    pub conversation: Option<String>,
    /// What was written, as it was handed in last; `None` where that is gone or was not asked for.
    pub text: Option<String>,
    /// The verdict; `None` where it is not scored.
    #[sea_orm(nested)]
    pub verdict: Option<Scored>,
}

/// What the scorer said, as far as it fits into a row, and whether a person corrected it.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Scored {
    /// Calibrated confidence of the scorer, percent.
    pub confidence: i64,
    /// A person should look.
    pub needs_review: bool,
    /// The emotion that dominates.
    pub dominant_emotion: String,
    /// How soon somebody should act.
    pub urgency: String,
    /// The issue.
    pub category: String,
    /// One or two sentences.
    pub summary: String,
    /// The phrases that moved the verdict, with their places and weights.
    pub keywords: Value,
    /// Main language.
    pub language: String,
    /// Who scored it.
    pub scorer: String,
    /// With which model.
    pub model: String,
    /// When.
    pub scored_at: DateTime<Utc>,
    /// A person's score or label stands in place of the scorer's.
    pub corrected: bool,
}

impl Store {
    /// More of these interactions, by their ids; with what was written only if `texts`. What is not there is left out.
    pub async fn details(
        &self,
        tenant: TenantId,
        ids: &[&str],
        texts: bool,
    ) -> Result<HashMap<String, Details>> {
        let mut found = HashMap::with_capacity(ids.len());
        for piece in pieces(ids) {
            let query = sql(
                "SELECT i.id, c.external_id AS customer, a.external_id AS agent, v.external_id AS conversation, s.confidence, \
                 s.needs_review, s.dominant_emotion, s.urgency, s.category, s.summary, s.keywords, s.language, s.scorer, s.model, s.scored_at, \
                 (s.human_override_id IS NOT NULL) AS corrected, ",
            );
            let query = if texts {
                query.then("t.body AS text FROM interaction i LEFT JOIN interaction_text t ON t.tenant_id = i.tenant_id AND t.interaction_id = i.id AND t.revision = i.revision ")
            } else {
                query.then("NULL AS text FROM interaction i ")
            };
            let rows = query
                .then(
                    "LEFT JOIN customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id \
                 LEFT JOIN agent a ON a.tenant_id = i.tenant_id AND a.id = i.agent_id \
                 LEFT JOIN conversation v ON v.tenant_id = i.tenant_id AND v.id = i.conversation_id \
                 LEFT JOIN interaction_sentiment s ON s.tenant_id = i.tenant_id AND s.interaction_id = i.id \
                 WHERE i.tenant_id = ? AND i.id IN ?",
                )
                .bind(tenant.0)
                .list(piece.iter().copied())
                .all::<Details>(&self.reader)
                .await?;
            found.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
        }
        Ok(found)
    }
}
