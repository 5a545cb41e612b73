//! Items in the hands of raters. Nothing that is read here tells the verdict, a correction, why the item is in the queue, or what
//! another rater said.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult};
use serde::Serialize;
use serde_json::json;
use undertone_core::review::{Standing, standing};
use undertone_core::{self as core, Score};

use crate::audit::{self, Act};
use crate::rows::word;
use crate::statement::{Sql, for_update, sql};
use crate::{Result, Store, StoreError, TenantId};

/// So long an item is kept for whoever took it.
pub const CLAIM: TimeDelta = TimeDelta::minutes(30);

/// The longest note beside a label, in characters.
pub const MOST_NOTE: usize = 500;

/// An item as a rater sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Handed {
    /// Its id.
    pub id: String,
    /// Our id of the interaction. Raters are not told: there they would find the verdict.
    #[serde(skip)]
    pub interaction_id: String,
    /// What sort of text it is.
    pub kind: String,
    /// Who wrote it.
    pub author_kind: String,
    /// The way it came.
    pub channel: String,
    /// Which way it went.
    pub direction: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// The text to be labelled.
    pub text: String,
    /// When it came into the queue.
    pub queued_at: DateTime<Utc>,
    /// Until when it is kept for the rater, where they took it.
    pub claimed_until: Option<DateTime<Utc>>,
}

/// Which of the items to list.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Only those the rater has in hand.
    pub mine: bool,
    /// Only those that came into the queue before this one.
    pub before: Option<&'a str>,
    /// At most so many.
    pub limit: i64,
}

/// What a rater says of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label<'a> {
    /// The sign of the feeling.
    pub label: core::Label,
    /// How good or bad, where they say.
    pub score: Option<Score>,
    /// Anything to add, in their words.
    pub note: Option<&'a str>,
}

/// What came of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Labelled {
    /// Nobody else is to label it.
    pub done: bool,
}

/// Items that a rater may label: open, with their text, nobody else's to work on, not labelled by them, of customers who may be
/// read, and of whose verdict they never said anything: whoever corrected it or agreed has seen it. The places are: tenant, now, rater, rater, `user:` and rater.
const FREE: &str = "FROM review_item r \
    JOIN interaction i ON i.tenant_id = r.tenant_id AND i.id = r.interaction_id \
    JOIN interaction_text t ON t.tenant_id = r.tenant_id AND t.interaction_id = r.interaction_id AND t.revision = r.text_revision \
    LEFT JOIN customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id \
    WHERE r.tenant_id = ? AND r.done_at IS NULL AND c.opted_out_at IS NULL AND c.erased_at IS NULL \
    AND (r.claimed_until IS NULL OR r.claimed_until <= ? OR r.claimed_by = ?) \
    AND NOT EXISTS (SELECT 1 FROM review_label l WHERE l.tenant_id = r.tenant_id AND l.item_id = r.id AND l.rater = ?) \
    AND NOT EXISTS (SELECT 1 FROM sentiment_override o WHERE o.tenant_id = r.tenant_id AND o.interaction_id = r.interaction_id \
        AND o.made_by = ?)";

/// What [`Handed`] is read from.
const HANDED: &str = "SELECT r.id, r.interaction_id, i.kind, i.author_kind, i.channel, i.direction, i.occurred_at, t.body AS text, r.queued_at, \
    CASE WHEN r.claimed_by = ? THEN r.claimed_until END AS claimed_until ";

/// An item as a label finds it.
#[derive(FromQueryResult)]
struct Item {
    interaction_id: String,
    wanted: i64,
    given: i64,
    claimed_by: Option<String>,
    claimed_until: Option<DateTime<Utc>>,
    done_at: Option<DateTime<Utc>>,
}

impl Store {
    fn free(&self, start: Sql, tenant: TenantId, rater: &str) -> Sql {
        start.then(FREE).bind(tenant.0).bind(self.now()).bind(rater).bind(rater).bind(actor_of(rater))
    }

    /// Items that the rater, a user's id, may label, the latest first.
    pub async fn review_items(&self, tenant: TenantId, rater: &str, page: Page<'_>) -> Result<Vec<Handed>> {
        let mut query = self.free(sql(HANDED).bind(rater), tenant, rater);
        if page.mine {
            query = query.then(" AND r.claimed_by = ? AND r.claimed_until > ?").bind(rater).bind(self.now());
        }
        if let Some(before) = page.before {
            query = query.then(" AND r.id < ?").bind(before);
        }
        query.then(" ORDER BY r.id DESC LIMIT ?").bind(page.limit).all(&self.reader).await
    }

    /// The item of this id, where the rater may label it.
    pub async fn review_item(&self, tenant: TenantId, rater: &str, item: &str) -> Result<Option<Handed>> {
        let query = self.free(sql(HANDED).bind(rater), tenant, rater);
        query.then(" AND r.id = ?").bind(item).one(&self.reader).await
    }

    /// Hands out up to `most` items to the rater for [`CLAIM`], those that another labelled already first, then the latest; what they have in
    /// hand counts among them and is kept for them anew.
    pub async fn claim_review(&self, tenant: TenantId, rater: &str, most: i64) -> Result<Vec<Handed>> {
        let tx = self.begin().await?;
        let at = self.now();
        let locked =
            if self.backend() == sea_orm::DbBackend::Postgres { " FOR UPDATE OF r SKIP LOCKED" } else { "" };
        // What the rater has in hand goes first: whoever asks twice gets the same.
        let mut ids: Vec<String> = self
            .free(sql("SELECT r.id "), tenant, rater)
            .then(" AND r.claimed_by = ? AND r.claimed_until > ? ORDER BY r.id DESC LIMIT ?")
            .bind(rater)
            .bind(at)
            .bind(most)
            .then(locked)
            .column(&tx)
            .await?;
        let others: Vec<String> = self
            .free(sql("SELECT r.id "), tenant, rater)
            .then(" AND NOT (COALESCE(r.claimed_by, '') = ? AND r.claimed_until > ?) ORDER BY r.given DESC, r.id DESC LIMIT ?")
            .bind(rater)
            .bind(at)
            .bind(most - i64::try_from(ids.len()).unwrap_or(most))
            .then(locked)
            .column(&tx)
            .await?;
        ids.extend(others);
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        sql("UPDATE review_item SET claimed_by = ?, claimed_until = ? WHERE tenant_id = ? AND id IN ?")
            .bind(rater)
            .bind(at + CLAIM)
            .bind(tenant.0)
            .list(ids.iter().map(String::as_str))
            .run(&tx)
            .await?;
        let handed = self
            .free(sql(HANDED).bind(rater), tenant, rater)
            .then(" AND r.id IN ?")
            .list(ids.iter().map(String::as_str))
            .then(" ORDER BY r.id DESC")
            .all(&tx)
            .await?;
        tx.commit().await?;
        Ok(handed)
    }

    /// Gives an item back that the rater has in hand; answers whether they had.
    pub async fn release_review(&self, tenant: TenantId, rater: &str, item: &str) -> Result<bool> {
        let tx = self.begin().await?;
        let released = sql("UPDATE review_item SET claimed_by = NULL, claimed_until = NULL WHERE tenant_id = ? AND id = ? AND claimed_by = ?")
            .bind(tenant.0)
            .bind(item)
            .bind(rater)
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(released > 0)
    }

    /// Keeps what a rater says of an item; `None` where there is no such item. The same label again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it is done, another has it in hand, the rater has labelled it otherwise or ever said something of its
    /// verdict, or its customer may not be read any more.
    pub async fn label_review(
        &self,
        act: &Act<'_>,
        rater: &str,
        item: &str,
        label: Label<'_>,
    ) -> Result<Option<Labelled>> {
        let tx = self.begin().await?;
        let done = self.label_in(&tx, act, (rater, item), label).await;
        Self::end(tx, done).await
    }

    /// The same within a transaction; beside it whether anything changed.
    async fn label_in(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        (rater, item): (&str, &str),
        label: Label<'_>,
    ) -> Result<Option<(Labelled, bool)>> {
        let found = sql("SELECT interaction_id, wanted, given, claimed_by, claimed_until, done_at FROM review_item WHERE tenant_id = ? AND id = ?")
            .bind(act.tenant.0)
            .bind(item)
            .then(for_update(self.backend()))
            .one::<Item>(tx)
            .await?;
        let Some(found) = found else { return Ok(None) };
        let given = labels_of(tx, act.tenant, item).await?;
        if let Some(own) = given.iter().find(|given| given.rater == rater) {
            let same = own.label == label.label.as_str() && own.score == label.score.map(|s| s.get().into());
            return if same {
                Ok(Some((Labelled { done: found.done_at.is_some() }, false)))
            } else {
                conflict("you have labelled it; a label that was given stays")
            };
        }
        self.may_label(tx, act.tenant, rater, &found).await?;
        let at = self.now();
        sql("INSERT INTO review_label (tenant_id, item_id, rater, label, score, note, given_at, place) VALUES ?")
            .rows([[
                act.tenant.0.into(),
                item.into(),
                rater.into(),
                label.label.as_str().into(),
                label.score.map(|score| i64::from(score.get())).into(),
                label.note.into(),
                at.into(),
                (found.given + 1).into(),
            ]])
            .run(tx)
            .await?;
        let mut labels = given
            .iter()
            .map(|given| word("review_label", &given.label))
            .collect::<Result<Vec<core::Label>>>()?;
        labels.push(label.label);
        let (wanted, settled) = match standing(&labels, u8::try_from(found.wanted).unwrap_or(1)) {
            Standing::Open { wanted } => (i64::from(wanted), None),
            Standing::Done(settled) => (found.wanted, Some(settled)),
        };
        sql("UPDATE review_item SET given = given + 1, wanted = ?, claimed_by = NULL, claimed_until = NULL, done_at = ?, settled_label = ? \
             WHERE tenant_id = ? AND id = ?")
        .bind(wanted)
        .bind(settled.map(|_| at))
        .bind(settled.flatten().map(core::Label::as_str))
        .bind(act.tenant.0)
        .bind(item)
        .run(tx)
        .await?;
        // Who labelled is told apart from who did it: at the command line these are two.
        let after = json!({"label": label.label, "score": label.score});
        let payload = json!({"item": item, "rater": rater, "before": null, "after": after});
        audit::note(self, tx, act, ("review_label", &found.interaction_id), &payload).await?;
        Ok(Some((Labelled { done: settled.is_some() }, true)))
    }

    async fn may_label(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        rater: &str,
        item: &Item,
    ) -> Result<()> {
        #[derive(FromQueryResult)]
        struct Facts {
            gone: bool,
            has_said: bool,
        }
        if item.done_at.is_some() {
            return conflict("enough raters have labelled it");
        }
        let taken = item.claimed_until.is_some_and(|until| until > self.now());
        if taken && item.claimed_by.as_deref() != Some(rater) {
            return conflict("somebody else has it in hand; take another");
        }
        let facts = sql("SELECT (c.opted_out_at IS NOT NULL OR c.erased_at IS NOT NULL) AS gone, \
             EXISTS (SELECT 1 FROM sentiment_override o WHERE o.tenant_id = i.tenant_id AND o.interaction_id = i.id AND o.made_by = ?) AS has_said \
             FROM interaction i LEFT JOIN customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id \
             WHERE i.tenant_id = ? AND i.id = ?")
        .bind(actor_of(rater))
        .bind(tenant.0)
        .bind(&item.interaction_id)
        .one::<Facts>(tx)
        .await?;
        match facts {
            None | Some(Facts { gone: true, .. }) => {
                conflict("its customer opted out of being scored, or was erased: it is not labelled any more")
            }
            Some(Facts { has_said: true, .. }) => conflict(
                "you have corrected its verdict yourself, or agreed with it: somebody else is to label it",
            ),
            Some(_) => Ok(()),
        }
    }

    /// Takes out of the queue what nobody labelled within `age`, and closes what some did; answers whether there may be more.
    pub async fn expire_review(&self, tenant: TenantId, age: TimeDelta) -> Result<bool> {
        const SOME: i64 = 500;
        #[derive(FromQueryResult)]
        struct Old {
            id: String,
            given: i64,
        }
        let tx = self.begin().await?;
        let at = self.now();
        let old: Vec<Old> = sql(
            "SELECT id, given FROM review_item WHERE tenant_id = ? AND done_at IS NULL AND queued_at < ? \
             AND (claimed_until IS NULL OR claimed_until <= ?) ORDER BY queued_at LIMIT ?",
        )
        .bind(tenant.0)
        .bind(at - age)
        .bind(at)
        .bind(SOME)
        .then(crate::statement::skip_locked(self.backend()))
        .all(&tx)
        .await?;
        let unlabelled: Vec<&str> =
            old.iter().filter(|item| item.given == 0).map(|item| item.id.as_str()).collect();
        for piece in crate::statement::pieces(&unlabelled) {
            sql("DELETE FROM review_item WHERE tenant_id = ? AND given = 0 AND id IN ?")
                .bind(tenant.0)
                .list(piece.iter().copied())
                .run(&tx)
                .await?;
        }
        for item in old.iter().filter(|item| item.given > 0) {
            let labels = labels_of(&tx, tenant, &item.id).await?;
            let same = labels.iter().all(|label| label.label == labels[0].label);
            let settled = labels.first().filter(|_| same).map(|label| label.label.as_str());
            sql("UPDATE review_item SET done_at = ?, settled_label = ? WHERE tenant_id = ? AND id = ?")
                .bind(at)
                .bind(settled)
                .bind(tenant.0)
                .bind(&item.id)
                .run(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(i64::try_from(old.len()).is_ok_and(|count| count == SOME))
    }
}

/// What raters said of an item, the first first.
#[derive(FromQueryResult)]
struct Given {
    rater: String,
    label: String,
    score: Option<i64>,
}

async fn labels_of(tx: &DatabaseTransaction, tenant: TenantId, item: &str) -> Result<Vec<Given>> {
    sql("SELECT rater, label, score FROM review_label WHERE tenant_id = ? AND item_id = ? ORDER BY place")
        .bind(tenant.0)
        .bind(item)
        .all(tx)
        .await
}

/// A rater as acts name them.
fn actor_of(rater: &str) -> String {
    format!("user:{rater}")
}

fn conflict<T>(told: &str) -> Result<T> {
    Err(StoreError::Conflict(told.to_owned()))
}
