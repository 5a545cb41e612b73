//! Each person's inbox: the notices they were told of, read or not. What a notice says is shown as the person may see it by then; that is
//! the caller's to ask.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde_json::Value as Json;

use super::Telling;
use crate::statement::{pieces, sql};
use crate::{Result, Store, TenantId};

/// A notice in somebody's inbox.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub struct InboxItem {
    /// The event's place; later ones have higher places.
    pub position: i64,
    /// The event's id.
    pub event_id: String,
    /// The event's name.
    pub event: String,
    /// The category's word.
    pub category: String,
    /// What it is about, by id.
    pub subject_id: String,
    /// The interaction it is about, if it is about one.
    pub interaction_id: Option<String>,
    /// What is told of it.
    pub payload: Json,
    /// When it happened.
    pub happened_at: DateTime<Utc>,
    /// When the person read it.
    pub read_at: Option<DateTime<Utc>>,
}

/// Which part of an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What lies before this place, the youngest first.
    Before(i64),
    /// What came after this place, the oldest first.
    After(i64),
    /// What was not read before this place, the youngest first.
    Unread(i64),
}

const COLUMNS: &str = "SELECT n.position, n.event_id, n.event, n.category, n.subject_id, n.interaction_id, n.payload, n.happened_at, i.read_at \
    FROM inbox_item i JOIN notice n ON n.tenant_id = i.tenant_id AND n.position = i.position WHERE i.tenant_id = ? AND i.user_id = ?";

pub(super) async fn insert(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    tellings: &[&Telling<'_>],
) -> Result<()> {
    let rows: Vec<[Value; 3]> = tellings
        .iter()
        .filter(|telling| telling.in_app)
        .map(|telling| [tenant.0.into(), telling.user.into(), telling.event.position.into()])
        .collect();
    for piece in pieces(&rows) {
        sql("INSERT INTO inbox_item (tenant_id, user_id, position) VALUES ? ON CONFLICT DO NOTHING")
            .rows(piece.iter().cloned())
            .run(on)
            .await?;
    }
    Ok(())
}

impl Store {
    /// Up to `most` notices of a person's inbox.
    pub async fn inbox(&self, tenant: TenantId, user: &str, part: Part, most: u16) -> Result<Vec<InboxItem>> {
        let statement = sql(COLUMNS).bind(tenant.0).bind(user);
        let statement = match part {
            Part::Before(place) => {
                statement.then(" AND i.position < ? ORDER BY i.position DESC LIMIT ?").bind(place)
            }
            Part::After(place) => {
                statement.then(" AND i.position > ? ORDER BY i.position LIMIT ?").bind(place)
            }
            Part::Unread(place) => statement
                .then(" AND i.position < ? AND i.read_at IS NULL ORDER BY i.position DESC LIMIT ?")
                .bind(place),
        };
        statement.bind(i64::from(most)).all(&self.reader).await
    }

    /// The place up to which a tenant's events were told: who follows an inbox begins there.
    pub async fn inbox_place(&self, tenant: TenantId) -> Result<i64> {
        super::cursor(&self.reader, tenant).await
    }

    /// A person has read a notice; `false`: there is none of theirs at this place.
    pub async fn read_notice(&self, tenant: TenantId, user: &str, position: i64) -> Result<bool> {
        let tx = self.begin().await?;
        let read =
            sql("UPDATE inbox_item SET read_at = COALESCE(read_at, ?) WHERE tenant_id = ? AND user_id = ? AND position = ?")
                .bind(self.now())
                .bind(tenant.0)
                .bind(user)
                .bind(position)
                .run(&tx)
                .await?;
        tx.commit().await?;
        Ok(read > 0)
    }

    /// A person has read everything up to a place; what came later stays unread. Answers how many that were.
    pub async fn read_notices(&self, tenant: TenantId, user: &str, up_to: i64) -> Result<u64> {
        let tx = self.begin().await?;
        let read = sql("UPDATE inbox_item SET read_at = ? WHERE tenant_id = ? AND user_id = ? AND position <= ? AND read_at IS NULL")
            .bind(self.now())
            .bind(tenant.0)
            .bind(user)
            .bind(up_to)
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(read)
    }
}
