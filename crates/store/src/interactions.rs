//! Interactions as they are looked up.

mod details;

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use undertone_core::Verdict;

pub use details::{Details, Scored};

use crate::statement::sql;
use crate::{Result, Store, StoreError, TenantId};

/// An interaction as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Listed {
    /// Our id.
    pub id: String,
    /// Where it comes from.
    pub source: String,
    /// Its id there.
    pub external_id: String,
    /// What sort of text it is.
    pub kind: String,
    /// Who wrote it.
    pub author_kind: String,
    /// Which way it went.
    pub direction: String,
    /// Who could see it.
    pub visibility: String,
    /// The way it came.
    pub channel: String,
    /// What the source calls the channel, where that is not our word.
    pub channel_name: Option<String>,
    /// Our id of the customer.
    pub customer_id: Option<String>,
    /// Our id of the agent.
    pub agent_id: Option<String>,
    /// Our id of the conversation.
    pub conversation_id: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// How often its content was handed in anew, and once.
    pub revision: i64,
    /// `pending`, `scored`, `skipped` or `failed`.
    pub state: String,
    /// Why it is not scored, as a word.
    pub reason: Option<String>,
    /// More about why, where there is more.
    pub detail: Option<String>,
    /// How often scoring was begun.
    pub attempts: i64,
    /// When scoring is tried next, while it is pending.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was decided about.
    pub decided_at: Option<DateTime<Utc>>,
    /// Effective score.
    pub score: Option<i64>,
    /// Effective label.
    pub label: Option<String>,
}

/// Which interactions to list.
#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    /// Only those in this state.
    pub state: Option<&'a str>,
    /// Only this customer's, by our id.
    pub customer_id: Option<&'a str>,
    /// Only those of this source; goes with `external_id`.
    pub source: Option<&'a str>,
    /// Only those with this id in their source.
    pub external_id: Option<&'a str>,
    /// Only those that arrived before this one.
    pub before: Option<&'a str>,
    /// At most so many.
    pub limit: i64,
}

/// A verdict once given, and the text it was given on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Revision {
    /// Its id.
    pub id: String,
    /// Which revision of the text it rests on.
    pub text_revision: i64,
    /// When it was given.
    pub scored_at: DateTime<Utc>,
    /// The verdict.
    pub verdict: Verdict,
}

const LISTED: &str = "SELECT i.id, i.source, i.external_id, i.kind, i.author_kind, i.direction, i.visibility, i.channel, i.channel_name, \
    i.customer_id, i.agent_id, i.conversation_id, i.occurred_at, i.received_at, i.revision, i.score_state AS state, i.reason, i.detail, \
    i.attempts, CASE WHEN i.score_state = 'pending' THEN i.next_attempt_at END AS next_attempt_at, i.decided_at, \
    s.effective_score AS score, s.effective_label AS label \
    FROM interaction i LEFT JOIN interaction_sentiment s ON s.tenant_id = i.tenant_id AND s.interaction_id = i.id \
    WHERE i.tenant_id = ?";

impl Store {
    /// Interactions, the latest arrival first.
    pub async fn interactions(&self, tenant: TenantId, filter: &Filter<'_>) -> Result<Vec<Listed>> {
        let mut query = sql(LISTED).bind(tenant.0);
        query = match filter.state {
            // Words, not values, so that the database sees that its index of the few that are not scored will do.
            Some("pending") => query.then(" AND i.score_state = 'pending' AND i.score_state <> 'scored'"),
            Some("skipped") => query.then(" AND i.score_state = 'skipped' AND i.score_state <> 'scored'"),
            Some("failed") => query.then(" AND i.score_state = 'failed' AND i.score_state <> 'scored'"),
            Some(_) => query.then(" AND i.score_state = 'scored'"),
            None => query,
        };
        if let Some(customer) = filter.customer_id {
            query = query.then(" AND i.customer_id = ?").bind(customer);
        }
        if let Some(source) = filter.source {
            query = query.then(" AND i.source = ?").bind(source);
        }
        if let Some(external) = filter.external_id {
            query = query.then(" AND i.external_id = ?").bind(external);
        }
        if let Some(before) = filter.before {
            query = query.then(" AND i.id < ?").bind(before);
        }
        query.then(" ORDER BY i.id DESC LIMIT ?").bind(filter.limit).all(&self.reader).await
    }

    /// The interaction with this id.
    pub async fn interaction(&self, tenant: TenantId, id: &str) -> Result<Option<Listed>> {
        sql(LISTED).bind(tenant.0).then(" AND i.id = ?").bind(id).one(&self.reader).await
    }

    /// Its text; `None` where that is gone.
    pub async fn text(&self, tenant: TenantId, id: &str) -> Result<Option<String>> {
        sql("SELECT body FROM interaction_text WHERE tenant_id = ? AND interaction_id = ? ORDER BY revision DESC LIMIT 1")
            .bind(tenant.0)
            .bind(id)
            .value(&self.reader)
            .await
    }

    /// Every verdict ever given on it, the latest first.
    pub async fn revisions(&self, tenant: TenantId, id: &str) -> Result<Vec<Revision>> {
        #[derive(FromQueryResult)]
        struct Row {
            id: String,
            text_revision: i64,
            body: String,
            scored_at: DateTime<Utc>,
        }
        let rows = sql("SELECT id, text_revision, body, scored_at FROM verdict WHERE tenant_id = ? AND interaction_id = ? ORDER BY id DESC LIMIT 100")
            .bind(tenant.0)
            .bind(id)
            .all::<Row>(&self.reader)
            .await?;
        rows.into_iter()
            .map(|row| {
                let verdict = serde_json::from_str(&row.body)
                    .map_err(|e| StoreError::Unreadable { table: "verdict", detail: e.to_string() })?;
                Ok(Revision {
                    id: row.id,
                    text_revision: row.text_revision,
                    scored_at: row.scored_at,
                    verdict,
                })
            })
            .collect()
    }
}
