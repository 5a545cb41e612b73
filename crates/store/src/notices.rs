//! What people are told of events: notices, each told once. [`inbox`] shows them, [`mail`] sends them, [`preferences`] keeps what each person
//! chose about it.
//!
//! Events that have their place are taken in order behind a cursor. Whoever moves the cursor writes the notices in the same transaction, so
//! that of several nodes one tells people, and of a process that dies nothing is told half.

pub mod inbox;
pub mod mail;
pub mod preferences;

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde_json::Value as Json;
use undertone_core::event::EventKind;
use undertone_core::notification::{Category, Preferences, When};
use undertone_core::{Role, Settings};

use crate::alerts::heard;
use crate::statement::{for_update, pieces, sql};
use crate::{Result, Store, TenantId};

pub use inbox::{InboxItem, Part};
pub use mail::{FinishedMail, Mail, MailEnd, Unreached, Waiting};

/// Places looked at in one go.
const AT_ONCE: i64 = 2000;

/// Events whose people were not told yet.
#[derive(Debug, Clone)]
pub struct Untold {
    /// Told up to this place.
    pub from: i64,
    /// These reach up to this one.
    pub to: i64,
    /// Those that anybody may be told of, in order.
    pub events: Vec<UntoldEvent>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct UntoldEvent {
    /// Its place.
    pub position: i64,
    /// Its id.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// To what.
    pub subject_id: String,
    /// What is told of it.
    pub payload: Json,
    /// When it happened.
    pub happened_at: DateTime<Utc>,
}

/// An active person, as it is decided what they are told.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Their id.
    pub id: String,
    /// Their address.
    pub email: String,
    /// Their name.
    pub name: Option<String>,
    /// What they are.
    pub role: Role,
    /// What they chose.
    pub preferences: Preferences,
}

/// Somebody is told of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling<'a> {
    /// Of what.
    pub event: &'a UntoldEvent,
    /// Who.
    pub user: &'a str,
    /// In their inbox.
    pub in_app: bool,
    /// By e-mail, then.
    pub email: Option<When>,
}

#[derive(FromQueryResult)]
struct Row {
    position: i64,
    id: String,
    event: String,
    subject_id: String,
    payload: Json,
    created_at: DateTime<Utc>,
}

impl Store {
    /// The tenants whose people were not told of everything yet.
    pub async fn tenants_with_untold(&self) -> Result<Vec<TenantId>> {
        sql(
            "SELECT s.tenant_id FROM event_sequence s LEFT JOIN notice_cursor c ON c.tenant_id = s.tenant_id \
             WHERE s.last > COALESCE(c.position, 0) ORDER BY s.tenant_id",
        )
        .tenants(&self.reader)
        .await
    }

    /// The next events of a tenant whose people were not told; some thousand places at most.
    pub async fn untold(&self, tenant: TenantId) -> Result<Untold> {
        let from = cursor(&self.reader, tenant).await?;
        let last = self.event_sequence(tenant).await?.map_or(0, |sequence| sequence.last);
        let to = last.min(from + AT_ONCE);
        let names =
            EventKind::ALL.iter().filter(|kind| Category::of(**kind).is_some()).map(|kind| kind.as_str());
        let rows = sql("SELECT position, id, event, subject_id, payload, created_at FROM outbox WHERE tenant_id = ? AND position > ? \
             AND position <= ? AND event IN ? ORDER BY position")
        .bind(tenant.0)
        .bind(from)
        .bind(to)
        .list(names)
        .all::<Row>(&self.reader)
        .await?;
        let event = |row: Row| {
            let kind = row.event.parse().ok()?;
            Some(UntoldEvent {
                position: row.position,
                id: row.id,
                kind,
                subject_id: row.subject_id,
                payload: row.payload,
                happened_at: row.created_at,
            })
        };
        Ok(Untold { from, to, events: rows.into_iter().filter_map(event).collect() })
    }

    /// Everybody active in a tenant, with what they chose. A role that is none is left out: they see nothing.
    pub async fn recipients(&self, tenant: TenantId) -> Result<Vec<Recipient>> {
        #[derive(FromQueryResult)]
        struct Person {
            id: String,
            email: String,
            name: Option<String>,
            role: String,
            preferences: Option<Json>,
        }
        let rows = sql("SELECT u.id, u.email, u.name, u.role, p.preferences FROM app_user u LEFT JOIN notification_preference p \
             ON p.tenant_id = u.tenant_id AND p.user_id = u.id WHERE u.tenant_id = ? AND u.active = ? ORDER BY u.id")
        .bind(tenant.0)
        .bind(true)
        .all::<Person>(&self.reader)
        .await?;
        let known = |row: Person| {
            let preferences = match row.preferences.map(preferences::read).transpose() {
                Ok(preferences) => preferences.unwrap_or_default(),
                Err(why) => {
                    // A newer version may have written it. What somebody wants by e-mail is not guessed, and nobody else waits for it.
                    tracing::warn!(
                        tenant = tenant.0,
                        user = row.id,
                        "the user {} is told in the inbox only: {why}",
                        row.id
                    );
                    preferences::in_app_only()
                }
            };
            let role = row.role.parse().ok()?;
            Some(Recipient { id: row.id, email: row.email, name: row.name, role, preferences })
        };
        Ok(rows.into_iter().filter_map(known).collect())
    }

    /// Tells these people of these events, and moves the cursor from `from` to `to`. Answers `false`, and tells nobody, where somebody else
    /// moved it meanwhile.
    pub async fn tell(&self, tenant: TenantId, untold: &Untold, tellings: &[Telling<'_>]) -> Result<bool> {
        let tx = self.begin().await?;
        let at = self.now();
        let moved = sql("INSERT INTO notice_cursor (tenant_id, position) VALUES (?, ?) \
             ON CONFLICT (tenant_id) DO UPDATE SET position = excluded.position WHERE notice_cursor.position = ?")
        .bind(tenant.0)
        .bind(untold.to)
        .bind(untold.from)
        .run(&tx)
        .await?;
        if moved == 0 {
            return Ok(false);
        }
        // What was erased meanwhile is told to nobody; an erasure that comes now waits, and finds the notices.
        let ids: Vec<&str> = untold.events.iter().map(|event| event.id.as_str()).collect();
        let mut there = HashSet::new();
        for piece in pieces(&ids) {
            let rows = sql("SELECT id FROM outbox WHERE tenant_id = ? AND id IN ? ORDER BY id")
                .bind(tenant.0)
                .list(piece.iter().copied())
                .then(for_update(self.backend()))
                .column::<String>(&tx)
                .await?;
            there.extend(rows);
        }
        let tellings: Vec<&Telling<'_>> =
            tellings.iter().filter(|telling| there.contains(&telling.event.id)).collect();
        let told: BTreeMap<i64, &UntoldEvent> =
            tellings.iter().map(|telling| (telling.event.position, telling.event)).collect();
        let notices: Vec<[Value; 10]> = told
            .values()
            .filter_map(|event| {
                let category = Category::of(event.kind)?;
                Some([
                    tenant.0.into(),
                    event.position.into(),
                    event.id.as_str().into(),
                    event.kind.as_str().into(),
                    category.as_str().into(),
                    event.subject_id.as_str().into(),
                    event.payload["interaction_id"].as_str().into(),
                    event.payload.clone().into(),
                    event.happened_at.into(),
                    at.into(),
                ])
            })
            .collect();
        for piece in pieces(&notices) {
            sql("INSERT INTO notice (tenant_id, position, event_id, event, category, subject_id, interaction_id, payload, happened_at, created_at) \
                 VALUES ? ON CONFLICT DO NOTHING")
                .rows(piece.iter().cloned())
                .run(&tx)
                .await?;
        }
        inbox::insert(&tx, tenant, &tellings).await?;
        let calls =
            tellings.iter().filter(|telling| telling.in_app && telling.event.kind.calls_for_somebody());
        let heard = calls.map(|telling| (telling.event.subject_id.as_str(), telling.user));
        heard::note(&tx, (tenant, at), heard.collect()).await?;
        mail::insert(self, &tx, tenant, &tellings, at).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Removes some of what is older than `age`: notices with what was made of them; answers whether there may be more.
    pub async fn tidy_notices(&self, tenant: TenantId, age: TimeDelta) -> Result<bool> {
        const SOME: i64 = 500;
        let tx = self.begin().await?;
        let places = sql(
            "SELECT position FROM notice WHERE tenant_id = ? AND created_at < ? ORDER BY created_at LIMIT ?",
        )
        .bind(tenant.0)
        .bind(self.now() - age)
        .bind(SOME)
        .column::<i64>(&tx)
        .await?;
        for statement in [
            "DELETE FROM inbox_item WHERE tenant_id = ? AND position IN ?",
            "DELETE FROM mail WHERE tenant_id = ? AND position IN ?",
            "DELETE FROM notice WHERE tenant_id = ? AND position IN ?",
        ] {
            sql(statement).bind(tenant.0).list(places.iter().copied()).run(&tx).await?;
        }
        tx.commit().await?;
        Ok(places.len() as i64 == SOME)
    }

    /// What is wrong with the tenant's choice of who hears of alerts, for people; `None`: nothing.
    pub async fn nobody_hears(&self, tenant: TenantId, settings: &Settings) -> Result<Option<String>> {
        let all = self.recipients(tenant).await?;
        let people: Vec<_> = all.iter().map(Recipient::person).collect();
        Ok(undertone_core::notification::nobody_hears(&settings.recipients, &people))
    }
}

impl Recipient {
    /// As it is decided who is told.
    #[must_use]
    pub fn person(&self) -> undertone_core::notification::Person<'_> {
        undertone_core::notification::Person { id: &self.id, role: self.role }
    }
}

/// The last place that is in somebody's inbox or was looked at for it.
pub(crate) async fn cursor(on: &impl ConnectionTrait, tenant: TenantId) -> Result<i64> {
    let found =
        sql("SELECT position FROM notice_cursor WHERE tenant_id = ?").bind(tenant.0).value::<i64>(on).await?;
    Ok(found.unwrap_or_default())
}
