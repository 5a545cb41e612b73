//! Whose what stands in a conversation is. An interaction that names no customer is the conversation's customer's, so that what they ask for
//! (to be left alone, to be told, to be forgotten) reaches the replies and notes about them as well. Where a conversation becomes a customer's
//! after others stood in it, those follow: at once, or where they are many in slices.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult};

use crate::alerts::carry_cooldown;
use crate::privacy::tombstone::Key;
use crate::rollups::{COUNTED, Counted, Deltas, hold_days};
use crate::statement::{Sql, for_key_share, for_update, pieces, sql};
use crate::{Result, Store, TenantId, agents};

/// So many interactions come to be a customer's in one transaction.
pub(crate) const AT_ONCE: i64 = 128;

/// Whose an interaction is that names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The conversation's customer.
    Customer {
        /// Our id of them.
        id: String,
        /// Their segment; empty where they have none.
        segment: String,
    },
    /// Somebody who was erased: nothing is kept of it but that it was there.
    Erased,
}

#[derive(FromQueryResult)]
struct Customer {
    id: String,
    segment: Option<String>,
    erased_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Whose what names nobody in these conversations is, by our ids; nobody's where it is not told. The customers stay until the transaction
    /// ends, which holds the conversations.
    pub(crate) async fn owners(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        conversations: &[&str],
    ) -> Result<HashMap<String, Owner>> {
        #[derive(FromQueryResult)]
        struct Conversation {
            id: String,
            external_id: String,
            customer_id: Option<String>,
        }
        let mut rows: Vec<Conversation> = Vec::with_capacity(conversations.len());
        for piece in pieces(conversations) {
            let found =
                sql("SELECT id, external_id, customer_id FROM conversation WHERE tenant_id = ? AND id IN ?")
                    .bind(tenant.0)
                    .list(piece.iter().copied())
                    .all::<Conversation>(tx);
            rows.extend(found.await?);
        }
        let mut ids: Vec<&str> = rows.iter().filter_map(|row| row.customer_id.as_deref()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut customers = HashMap::with_capacity(ids.len());
        for piece in pieces(&ids) {
            let found = self.customers_held(tx, tenant, piece).await?;
            customers.extend(found.into_iter().map(|one| (one.id.clone(), one)));
        }
        let mut owners = HashMap::with_capacity(rows.len());
        let mut nobodys = Vec::new();
        for row in &rows {
            match row.customer_id.as_ref().and_then(|id| customers.get(id)) {
                Some(Customer { erased_at: Some(_), .. }) => {
                    owners.insert(row.id.clone(), Owner::Erased);
                }
                Some(Customer { id, segment, .. }) => {
                    let segment = segment.clone().unwrap_or_default();
                    owners.insert(row.id.clone(), Owner::Customer { id: id.clone(), segment });
                }
                None => nobodys.push((row.id.as_str(), row.external_id.as_str())),
            }
        }
        let erased = of_erased(tx, tenant, &nobodys).await?;
        owners.extend(erased.into_iter().map(|id| (id, Owner::Erased)));
        Ok(owners)
    }

    async fn customers_held(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        ids: &[&str],
    ) -> Result<Vec<Customer>> {
        sql("SELECT id, segment, erased_at FROM customer WHERE tenant_id = ? AND id IN ? ORDER BY id")
            .bind(tenant.0)
            .list(ids.iter().copied())
            .then(for_key_share(self.backend()))
            .all(tx)
            .await
    }

    /// Makes a conversation a customer's where it is nobody's, with what names nobody in it: of that at most `left`, which is lowered by as much;
    /// the rest follows by [`Store::fill_conversation`]. Answers whose it is then. The transaction holds the customer.
    pub(crate) async fn give(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        (conversation, customer): (&str, &str),
        left: &mut i64,
    ) -> Result<Option<String>> {
        let given = sql("UPDATE conversation SET customer_id = ?, updated_at = ? WHERE tenant_id = ? AND id = ? AND customer_id IS NULL")
            .bind(customer)
            .bind(self.now())
            .bind(tenant.0)
            .bind(conversation)
            .run(tx)
            .await?;
        if given == 0 {
            // Somebody else was faster, or it was somebody's already.
            let whose = sql("SELECT customer_id FROM conversation WHERE tenant_id = ? AND id = ?")
                .bind(tenant.0)
                .bind(conversation)
                .value::<Option<String>>(tx)
                .await?;
            return Ok(whose.flatten());
        }
        sql("DELETE FROM conversation_guest WHERE tenant_id = ? AND customer_id = ? AND conversation_id = ?")
            .bind(tenant.0)
            .bind(customer)
            .bind(conversation)
            .run(tx)
            .await?;
        if let Some(owner) = self.customers_held(tx, tenant, &[customer]).await?.first() {
            let moved = self.adopt(tx, tenant, (conversation, owner), *left).await?;
            if moved == *left {
                sql("INSERT INTO conversation_backlog (tenant_id, conversation_id) VALUES ? ON CONFLICT DO NOTHING")
                    .rows([[tenant.0.into(), conversation.into()]])
                    .run(tx)
                    .await?;
            }
            *left -= moved;
        }
        Ok(Some(customer.to_owned()))
    }

    /// Makes the next of what names nobody in some conversation its customer's, where that was too much for the transaction in which it became
    /// theirs. Answers whether there was such a conversation.
    ///
    /// # Errors
    /// What the database says.
    pub async fn fill_conversation(&self) -> Result<bool> {
        #[derive(FromQueryResult)]
        struct Next {
            tenant_id: i64,
            conversation_id: String,
        }
        let next = sql("SELECT tenant_id, conversation_id FROM conversation_backlog ORDER BY tenant_id, conversation_id LIMIT 1")
            .one::<Next>(&self.reader)
            .await?;
        let Some(Next { tenant_id, conversation_id }) = next else { return Ok(false) };
        let tx = self.begin().await?;
        let tenant = TenantId(tenant_id);
        let whose = sql("SELECT customer_id FROM conversation WHERE tenant_id = ? AND id = ?")
            .bind(tenant.0)
            .bind(&conversation_id)
            .then(for_update(self.backend()))
            .value::<Option<String>>(&tx)
            .await?;
        let mut is_done = true;
        if let Some(customer) = whose.flatten() {
            let owner = self.customers_held(&tx, tenant, &[&customer]).await?;
            // What stands in the conversation of somebody who is being erased goes with them.
            if let Some(owner) = owner.first().filter(|owner| owner.erased_at.is_none()) {
                is_done = self.adopt(&tx, tenant, (&conversation_id, owner), AT_ONCE).await? < AT_ONCE;
            }
        }
        if is_done {
            sql("DELETE FROM conversation_backlog WHERE tenant_id = ? AND conversation_id = ?")
                .bind(tenant.0)
                .bind(&conversation_id)
                .run(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Makes what names nobody in a conversation its customer's, at most so many interactions, with their scores and alerts; answers how many.
    async fn adopt(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        (conversation, owner): (&str, &Customer),
        most: i64,
    ) -> Result<i64> {
        let waiting = sql("SELECT id FROM interaction WHERE tenant_id = ? AND conversation_id = ? AND customer_id IS NULL LIMIT 1")
            .bind(tenant.0)
            .bind(conversation)
            .value::<String>(tx)
            .await?;
        if waiting.is_none() {
            return Ok(0);
        }
        // In the order in which recording locks: the tenant's days, interactions, sentiments, counters.
        let days = hold_days(self, tx, tenant).await?;
        let ids: Vec<String> = sql(
            "SELECT id FROM interaction WHERE tenant_id = ? AND conversation_id = ? AND customer_id IS NULL \
             ORDER BY id LIMIT ?",
        )
        .bind(tenant.0)
        .bind(conversation)
        .bind(most)
        .then(for_update(self.backend()))
        .column(tx)
        .await?;
        let segment = owner.segment.as_deref().unwrap_or_default();
        let (mut deltas, mut alerts) = (Deltas::default(), 0);
        for piece in pieces(&ids) {
            let list = || piece.iter().map(String::as_str);
            let give = |statement: Sql| statement.bind(&owner.id).bind(segment).bind(tenant.0).list(list());
            give(sql("UPDATE interaction SET customer_id = ?, segment = ? WHERE tenant_id = ? AND id IN ?"))
                .run(tx)
                .await?;
            let counted: Vec<Counted> = sql(COUNTED)
                .bind(tenant.0)
                .then(" AND interaction_id IN ? ORDER BY interaction_id")
                .list(list())
                .then(for_update(self.backend()))
                .all(tx)
                .await?;
            for old in counted {
                deltas.add(&old, -1, days.sealed_before)?;
                let (customer_id, segment) = (Some(owner.id.clone()), segment.to_owned());
                deltas.add(&Counted { customer_id, segment, ..old }, 1, days.sealed_before)?;
            }
            give(sql("UPDATE interaction_sentiment SET customer_id = ?, segment = ? WHERE tenant_id = ? AND interaction_id IN ?"))
                .run(tx)
                .await?;
            // Of few interactions, not of all alerts that are nobody's: no index is to be used for that.
            alerts += sql("UPDATE alert SET customer_id = ?, cooldown_key = ? WHERE tenant_id = ? AND interaction_id IN ? \
                 AND COALESCE(customer_id, '') = ''")
                .bind(&owner.id)
                .bind(&owner.id)
                .bind(tenant.0)
                .list(list())
                .run(tx)
                .await?;
        }
        if alerts > 0 {
            carry_cooldown(tx, tenant, conversation, &owner.id).await?;
        }
        agents::mark(tx, tenant, [owner.id.as_str()], []).await?;
        deltas.apply(tx, tenant).await?;
        Ok(ids.len().cast_signed() as i64)
    }
}

/// Keeps by which conversations those of an erased customer are known, so that what comes late into one of them is kept without its words.
pub(crate) async fn remember_erased(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    conversations: &[String],
) -> Result<()> {
    let external: Vec<String> = sql("SELECT external_id FROM conversation WHERE tenant_id = ? AND id IN ?")
        .bind(tenant.0)
        .list(conversations.iter().map(String::as_str))
        .column(tx)
        .await?;
    let key = Key::of(tx, tenant).await?;
    for piece in pieces(&external) {
        sql("INSERT INTO erased_conversation (tenant_id, digest) VALUES ? ON CONFLICT DO NOTHING")
            .rows(piece.iter().map(|external| [tenant.0.into(), key.conversation(external).into()]))
            .run(tx)
            .await?;
    }
    Ok(())
}

/// Those of `conversations`, by our id and the source's, whose customer was erased, by our ids.
async fn of_erased(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    conversations: &[(&str, &str)],
) -> Result<Vec<String>> {
    if conversations.is_empty() {
        return Ok(Vec::new());
    }
    let Some(key) = Key::known(tx, tenant).await? else { return Ok(Vec::new()) };
    let by_digest: HashMap<String, &str> =
        conversations.iter().map(|(id, external)| (key.conversation(external), *id)).collect();
    let digests: Vec<&str> = by_digest.keys().map(String::as_str).collect();
    let mut erased = Vec::new();
    for piece in pieces(&digests) {
        let found = sql("SELECT digest FROM erased_conversation WHERE tenant_id = ? AND digest IN ?")
            .bind(tenant.0)
            .list(piece.iter().copied())
            .column::<String>(tx)
            .await?;
        erased.extend(found.iter().filter_map(|digest| by_digest.get(digest)).map(|id| (*id).to_owned()));
    }
    Ok(erased)
}

/// What was told of conversations whose customer was erased goes, by our ids.
pub(crate) async fn forget_words(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    conversations: &[&str],
) -> Result<()> {
    for piece in pieces(conversations) {
        sql("UPDATE conversation SET subject = NULL, tags = NULL WHERE tenant_id = ? AND id IN ? AND customer_id IS NULL")
            .bind(tenant.0)
            .list(piece.iter().copied())
            .run(tx)
            .await?;
    }
    Ok(())
}
