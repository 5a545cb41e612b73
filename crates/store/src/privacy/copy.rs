//! What is held of one customer, read page by page for the copy that they may ask for.

pub mod about;
pub mod others;

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use undertone_core::arrival::Alias;

use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// A customer's company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Company {
    /// The source's id.
    pub external_id: String,
    /// Its name.
    pub name: Option<String>,
    /// Its plan.
    pub plan: Option<String>,
}

/// A conversation the customer began.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct Conversation {
    /// Our id.
    pub id: String,
    /// The source's id.
    pub external_id: String,
    /// What it is about.
    pub subject: Option<String>,
    /// How soon it was to be dealt with.
    pub priority: Option<String>,
    /// Who was to deal with it.
    pub queue: Option<String>,
    /// Tags.
    pub tags: Option<serde_json::Value>,
    /// When it began.
    pub opened_at: DateTime<Utc>,
    /// When it ended.
    pub closed_at: Option<DateTime<Utc>>,
}

/// What an interaction said, in one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Text {
    /// Which revision, from 1.
    pub revision: i64,
    /// The text.
    pub body: String,
}

/// A person's correction of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Correction {
    /// The score they gave; neither score nor label: they took the correction back.
    pub score: Option<i64>,
    /// The label they gave.
    pub label: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub made_at: DateTime<Utc>,
}

/// Something that was done about the customer or something of theirs, by whom is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Mention {
    /// When.
    pub at: DateTime<Utc>,
    /// What was done.
    pub action: String,
    /// To what: our id.
    pub subject: String,
}

/// An event that told others of something of the customer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Event {
    /// When.
    pub created_at: DateTime<Utc>,
    /// What was told.
    pub event: String,
    /// About what: our id.
    pub subject_id: String,
    /// It went to workflows.
    pub to_workflow: bool,
    /// It went to subscribed webhooks.
    pub to_webhooks: bool,
}

/// At most so many of each kind are told about one interaction, or of the customer.
pub const MOST: i64 = 1000;

impl Store {
    /// What else a customer goes by.
    pub async fn aliases(&self, tenant: TenantId, customer: &str) -> Result<Vec<Alias>> {
        #[derive(FromQueryResult)]
        struct Row {
            kind: String,
            value: String,
        }
        let rows: Vec<Row> =
            sql("SELECT kind, value FROM customer_alias WHERE tenant_id = ? AND customer_id = ? ORDER BY kind, value LIMIT ?")
                .bind(tenant.0)
                .bind(customer)
                .bind(MOST)
                .all(&self.reader)
                .await?;
        Ok(rows.into_iter().map(|Row { kind, value }| Alias { kind, value }).collect())
    }

    /// A company, by our id.
    pub async fn company(&self, tenant: TenantId, account: &str) -> Result<Option<Company>> {
        sql("SELECT external_id, name, plan FROM account WHERE tenant_id = ? AND id = ?")
            .bind(tenant.0)
            .bind(account)
            .one(&self.reader)
            .await
    }

    /// Conversations of a customer, from after `after` on.
    pub async fn conversations_of(
        &self,
        tenant: TenantId,
        customer: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Conversation>> {
        sql("SELECT id, external_id, subject, priority, queue, tags, opened_at, closed_at FROM conversation WHERE tenant_id = ? \
             AND customer_id = ? AND id > ? ORDER BY id LIMIT ?")
            .bind(tenant.0)
            .bind(customer)
            .bind(after)
            .bind(limit)
            .all(&self.reader)
            .await
    }

    /// Everything an interaction ever said.
    pub async fn texts(&self, tenant: TenantId, interaction: &str) -> Result<Vec<Text>> {
        sql("SELECT revision, body FROM interaction_text WHERE tenant_id = ? AND interaction_id = ? ORDER BY revision LIMIT ?")
            .bind(tenant.0)
            .bind(interaction)
            .bind(MOST)
            .all(&self.reader)
            .await
    }

    /// Every correction of its verdicts, in the order they were made.
    pub async fn corrections(&self, tenant: TenantId, interaction: &str) -> Result<Vec<Correction>> {
        sql("SELECT score, label, reason, made_at FROM sentiment_override WHERE tenant_id = ? AND interaction_id = ? ORDER BY id LIMIT ?")
            .bind(tenant.0)
            .bind(interaction)
            .bind(MOST)
            .all(&self.reader)
            .await
    }

    /// What was done about any of `subjects`, our ids; at most a few hundred of them.
    pub async fn mentions(&self, tenant: TenantId, subjects: &[&str]) -> Result<Vec<Mention>> {
        sql("SELECT at, action, subject FROM audit_log WHERE tenant_id = ? AND subject IN ? ORDER BY at, id LIMIT ?")
            .bind(tenant.0)
            .list(subjects.iter().copied())
            .bind(MOST)
            .all(&self.reader)
            .await
    }

    /// Events about any of `subjects` that are still kept.
    pub async fn events_about(&self, tenant: TenantId, subjects: &[&str]) -> Result<Vec<Event>> {
        sql("SELECT created_at, event, subject_id, to_workflow, to_webhooks FROM outbox WHERE tenant_id = ? AND subject_id IN ? \
             ORDER BY created_at, id LIMIT ?")
            .bind(tenant.0)
            .list(subjects.iter().copied())
            .bind(MOST)
            .all(&self.reader)
            .await
    }
}
