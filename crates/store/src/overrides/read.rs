//! What people said of an interaction, and what of it stands.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;

use super::{Override, Standing, version};
use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// One act: a correction, its end, or an agreement.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Revision {
    /// Its id.
    pub id: String,
    /// `set`, `clear` or `agree`.
    pub act: String,
    /// The score it set.
    pub score: Option<i64>,
    /// The label it set.
    pub label: Option<String>,
    /// Why, in the words of whoever made it.
    pub reason: Option<String>,
    /// Who.
    pub made_by: String,
    /// When.
    pub made_at: DateTime<Utc>,
    /// The verdict they had before them.
    pub verdict_id: Option<String>,
    /// The revision of the text they had before them.
    pub text_revision: Option<i64>,
}

impl Store {
    /// What stands of people's corrections of an interaction; `None` where it has no verdict.
    pub async fn override_of(&self, tenant: TenantId, interaction: &str) -> Result<Option<Override>> {
        #[derive(FromQueryResult)]
        struct Row {
            revision: i64,
            #[sea_orm(nested)]
            standing: Standing,
        }
        let row = sql("SELECT i.revision, s.verdict_id, s.score, s.label, s.human_override_id, s.human_override_score, s.human_override_label, \
             s.human_override_reason, s.human_override_by, s.human_override_at FROM interaction i \
             JOIN interaction_sentiment s ON s.tenant_id = i.tenant_id AND s.interaction_id = i.id WHERE i.tenant_id = ? AND i.id = ?")
        .bind(tenant.0)
        .bind(interaction)
        .one::<Row>(&self.reader)
        .await?;
        let Some(Row { revision, standing }) = row else { return Ok(None) };
        Ok(Some(Override {
            interaction_id: interaction.to_owned(),
            version: version(revision, &standing.verdict_id, standing.human_override_id.as_deref()),
            correction: standing.correction()?,
            made_by: standing.human_override_by,
            made_at: standing.human_override_at,
        }))
    }

    /// What people said of an interaction, the latest first; at most the last hundred acts.
    pub async fn override_revisions(&self, tenant: TenantId, interaction: &str) -> Result<Vec<Revision>> {
        sql("SELECT id, act, score, label, reason, made_by, made_at, verdict_id, text_revision FROM sentiment_override \
             WHERE tenant_id = ? AND interaction_id = ? ORDER BY id DESC LIMIT 100")
        .bind(tenant.0)
        .bind(interaction)
        .all(&self.reader)
        .await
    }
}
