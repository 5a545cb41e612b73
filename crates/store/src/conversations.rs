//! Whether conversations are closed, whose they are and who wrote in them: what decides when a score may be seen under some policies.

pub(crate) mod whose;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult};
use serde_json::json;

use crate::audit::{self, Act};
use crate::statement::{pieces, sql};
use crate::{Reach, Result, Store, TenantId};

/// What an interaction that was taken in says about its conversation.
#[derive(Debug, Clone)]
pub(crate) struct Mentioned {
    /// Our id of the conversation.
    pub(crate) conversation: String,
    /// Our id of the customer who wrote in it.
    pub(crate) customer: Option<String>,
    /// When it happened.
    pub(crate) at: DateTime<Utc>,
    /// The customer wrote, so the conversation goes on.
    pub(crate) goes_on: bool,
    /// The source says that it is closed, or that it is not.
    pub(crate) closed: Option<bool>,
}

#[derive(FromQueryResult)]
struct Known {
    id: String,
    customer_id: Option<String>,
    closed_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Keeps what was said about conversations, in the order in which it was said: a customer who writes after one was closed opens it again,
    /// and so does a source that says so; what a source closes is closed unless it was opened again later. One that was nobody's is the customer's
    /// who wrote in it, where `reach` goes so far: what stands in it is seen by who sees theirs from then on. Else they are a guest there.
    pub(crate) async fn keep_standing(
        &self,
        tx: &DatabaseTransaction,
        (tenant, reach): (TenantId, Reach),
        mentioned: &[Mentioned],
    ) -> Result<()> {
        let ids: BTreeSet<&str> = mentioned.iter().map(|one| one.conversation.as_str()).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let mut known = BTreeMap::new();
        for piece in pieces(&ids) {
            let rows =
                sql("SELECT id, customer_id, closed_at FROM conversation WHERE tenant_id = ? AND id IN ?")
                    .bind(tenant.0)
                    .list(piece.iter().copied())
                    .all::<Known>(tx)
                    .await?;
            known.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
        }
        // In the order of the conversations, so that two who take things in at once do not wait for each other.
        let mut in_order: Vec<&Mentioned> = mentioned.iter().collect();
        in_order.sort_by(|a, b| a.conversation.cmp(&b.conversation));
        let mut guests = BTreeSet::new();
        let mut left = whose::AT_ONCE;
        for one in in_order {
            let Some(now) = known.get_mut(&one.conversation) else { continue };
            if let (Reach::Changes, Some(customer), None) = (reach, &one.customer, &now.customer_id) {
                let pair = (one.conversation.as_str(), customer.as_str());
                now.customer_id = self.give(tx, tenant, pair, &mut left).await?;
            }
            if one.customer.is_some() && one.customer != now.customer_id {
                guests.extend(one.customer.clone().map(|customer| (customer, one.conversation.clone())));
            }
            let written_after = one.goes_on && now.closed_at.is_some_and(|closed| closed < one.at);
            let state = one.closed.or(written_after.then_some(false));
            match (state, now.closed_at) {
                (Some(true), None) => {
                    let is_closed = self.close(tx, tenant, &one.conversation, one.at).await?;
                    now.closed_at = is_closed.then_some(one.at);
                }
                (Some(false), Some(_)) => {
                    self.open_again(tx, tenant, &one.conversation, one.at).await?;
                    now.closed_at = None;
                }
                _ => {}
            }
        }
        let rows: Vec<_> = guests
            .into_iter()
            .map(|(customer, conversation)| [tenant.0.into(), customer.into(), conversation.into()])
            .collect();
        for piece in pieces(&rows) {
            sql("INSERT INTO conversation_guest (tenant_id, customer_id, conversation_id) VALUES ? ON CONFLICT DO NOTHING")
                .rows(piece.iter().cloned())
                .run(tx)
                .await?;
        }
        Ok(())
    }

    /// Closes or opens a conversation, by our id, for good. What a person does is noted, since it may show scores that were hidden.
    pub(crate) async fn set_closed(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        id: &str,
        closed: bool,
    ) -> Result<()> {
        let at = self.now();
        let changed = if closed {
            self.close(tx, act.tenant, id, at).await?
        } else {
            self.open_again(tx, act.tenant, id, at).await?
        };
        if changed && act.is_by_person() {
            let action = if closed { "conversation_closed" } else { "conversation_reopened" };
            let change = json!({"before": {"closed": !closed}, "after": {"closed": closed}});
            audit::note(self, tx, act, (action, id), &change).await?;
        }
        Ok(())
    }

    async fn close(
        &self,
        on: &impl ConnectionTrait,
        tenant: TenantId,
        id: &str,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        let closed = sql("UPDATE conversation SET closed_at = ?, updated_at = ? WHERE tenant_id = ? AND id = ? AND closed_at IS NULL \
             AND (reopened_at IS NULL OR reopened_at <= ?)")
        .bind(at)
        .bind(self.now())
        .bind(tenant.0)
        .bind(id)
        .bind(at)
        .run(on)
        .await?;
        Ok(closed > 0)
    }

    async fn open_again(
        &self,
        on: &impl ConnectionTrait,
        tenant: TenantId,
        id: &str,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        let opened = sql("UPDATE conversation SET closed_at = NULL, reopened_at = ?, updated_at = ? WHERE tenant_id = ? AND id = ? \
             AND closed_at IS NOT NULL")
        .bind(at)
        .bind(self.now())
        .bind(tenant.0)
        .bind(id)
        .run(on)
        .await?;
        Ok(opened > 0)
    }
}
