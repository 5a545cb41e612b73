//! What was made of an interaction, and who was told: alerts, what raters said, whether the model learnt from it, notices and messages. Who of
//! the tenant's people did it is left out.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;

use super::MOST;
use crate::lessons::{LabelledText, digest};
use crate::rows::word;
use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// An alert that an interaction raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlertAbout {
    #[serde(flatten)]
    alert: AlertRow,
    /// What became of it, in order.
    pub steps: Vec<Step>,
}

impl AlertAbout {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.alert.id
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
struct AlertRow {
    id: String,
    score: i64,
    label: String,
    category: String,
    state: String,
    raised_at: DateTime<Utc>,
    acknowledged_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    /// What a person noted when it ended.
    note: Option<String>,
}

/// A step of an alert's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Step {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub step: String,
    /// More about it, except whom it was given to.
    pub detail: Option<String>,
}

/// What a rater of the review said, not knowing of the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct RaterSaid {
    /// Their label.
    pub label: String,
    /// Their score.
    pub score: Option<i64>,
    /// What they noted.
    pub note: Option<String>,
    /// When.
    pub given_at: DateTime<Utc>,
}

/// A label by which the embedded model learnt from a text that says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Learnt {
    /// The label.
    pub label: String,
    /// When it was given.
    pub labelled_at: DateTime<Utc>,
}

/// People of the tenant's were told of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct PeopleTold {
    /// Of what.
    pub event: String,
    /// When it happened.
    pub happened_at: DateTime<Utc>,
    /// How many in their inbox.
    pub in_app: i64,
    /// How many by e-mail.
    pub by_email: i64,
}

/// A message to another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Sent {
    /// What it told.
    pub event: String,
    /// Where it went: `webhook`, `slack` …; none where the destination is gone.
    pub kind: Option<String>,
    /// The destination's name.
    pub name: Option<String>,
    /// `pending`, `delivered` …
    pub state: String,
    /// When it was to be sent.
    pub created_at: DateTime<Utc>,
    /// When that ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A conversation of another customer in which they wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct GuestOf {
    /// Our id.
    pub id: String,
    /// The source's id.
    pub external_id: String,
    /// When it began.
    pub opened_at: DateTime<Utc>,
    /// When it ended.
    pub closed_at: Option<DateTime<Utc>>,
}

impl Store {
    /// The alerts that an interaction raised, with what became of them.
    pub async fn alerts_about(&self, tenant: TenantId, interaction: &str) -> Result<Vec<AlertAbout>> {
        let rows: Vec<AlertRow> = sql(
            "SELECT id, score, label, category, state, raised_at, acknowledged_at, ended_at, note FROM alert \
             WHERE tenant_id = ? AND interaction_id = ? ORDER BY id LIMIT ?",
        )
        .bind(tenant.0)
        .bind(interaction)
        .bind(MOST)
        .all(&self.reader)
        .await?;
        let mut alerts = Vec::with_capacity(rows.len());
        for alert in rows {
            let steps = sql("SELECT at, step, CASE WHEN step = 'assigned' THEN NULL ELSE detail END AS detail FROM alert_step \
                 WHERE tenant_id = ? AND alert_id = ? ORDER BY id LIMIT ?")
            .bind(tenant.0)
            .bind(&alert.id)
            .bind(MOST)
            .all(&self.reader)
            .await?;
            alerts.push(AlertAbout { alert, steps });
        }
        Ok(alerts)
    }

    /// What raters said of an interaction.
    pub async fn reviews_of(&self, tenant: TenantId, interaction: &str) -> Result<Vec<RaterSaid>> {
        sql("SELECT l.label, l.score, l.note, l.given_at FROM review_item r JOIN review_label l ON l.tenant_id = r.tenant_id \
             AND l.item_id = r.id WHERE r.tenant_id = ? AND r.interaction_id = ? ORDER BY l.place LIMIT ?")
        .bind(tenant.0)
        .bind(interaction)
        .bind(MOST)
        .all(&self.reader)
        .await
    }

    /// By which labels the embedded model learnt from texts of this kind that say the same; `kind` is the word for it.
    pub async fn learnt_from(
        &self,
        tenant: TenantId,
        kind: &str,
        texts: &[super::Text],
    ) -> Result<Vec<Learnt>> {
        let kind = word("interaction", kind)?;
        let by = |text: &super::Text| {
            digest(&LabelledText { text: text.body.clone(), kind, label: undertone_core::Label::Neutral })
        };
        sql("SELECT label, labelled_at FROM labelled_text WHERE tenant_id = ? AND digest IN ? ORDER BY labelled_at, digest")
            .bind(tenant.0)
            .list(texts.iter().map(by))
            .all(&self.reader)
            .await
    }

    /// How many people were told of any of `subjects`, our ids.
    pub async fn people_told(&self, tenant: TenantId, subjects: &[&str]) -> Result<Vec<PeopleTold>> {
        sql("SELECT n.event, n.happened_at, \
             (SELECT COUNT(*) FROM inbox_item b WHERE b.tenant_id = n.tenant_id AND b.position = n.position) AS in_app, \
             (SELECT COUNT(*) FROM mail m WHERE m.tenant_id = n.tenant_id AND m.position = n.position) AS by_email \
             FROM notice n WHERE n.tenant_id = ? AND n.subject_id IN ? ORDER BY n.position LIMIT ?")
        .bind(tenant.0)
        .list(subjects.iter().copied())
        .bind(MOST)
        .all(&self.reader)
        .await
    }

    /// What went to other systems about any of `subjects`, our ids.
    pub async fn sent_about(&self, tenant: TenantId, subjects: &[&str]) -> Result<Vec<Sent>> {
        sql("SELECT d.event, x.kind, x.name, d.state, d.created_at, d.finished_at FROM delivery d LEFT JOIN destination x \
             ON x.tenant_id = d.tenant_id AND x.id = d.destination_id WHERE d.tenant_id = ? AND d.subject_id IN ? \
             ORDER BY d.created_at, d.id LIMIT ?")
        .bind(tenant.0)
        .list(subjects.iter().copied())
        .bind(MOST)
        .all(&self.reader)
        .await
    }

    /// In whose conversations a customer wrote, beside their own.
    pub async fn guest_of(&self, tenant: TenantId, customer: &str) -> Result<Vec<GuestOf>> {
        sql("SELECT c.id, c.external_id, c.opened_at, c.closed_at FROM conversation_guest g JOIN conversation c \
             ON c.tenant_id = g.tenant_id AND c.id = g.conversation_id WHERE g.tenant_id = ? AND g.customer_id = ? \
             ORDER BY c.id LIMIT ?")
        .bind(tenant.0)
        .bind(customer)
        .bind(MOST)
        .all(&self.reader)
        .await
    }
}
