//! The review queue: verdicts that people check. An item enters in the transaction that records its verdict or corrects it, by shares the
//! tenant chose; `rate` hands items out and takes labels, `results` reads what came of them.

mod rate;
mod results;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, Value};
use serde_json::json;
use undertone_core::Verdict;
use undertone_core::review::{Reason, Shares};

use crate::statement::{pieces, sql};
use crate::{Act, Result, Store, TenantId, modules};

pub use rate::{CLAIM, Handed, Label, Labelled, MOST_NOTE, Page};
pub use results::{Outcome, Outcomes, RatedSince, Rating};

impl Store {
    /// Changes the shares by which verdicts come into the queue, as `change` says of those in force; answers what holds from now on. Others
    /// who change them at the same moment come before or after, so that each finds what the other did. What changes nothing is not noted.
    pub async fn change_review_shares(
        &self,
        act: &Act<'_>,
        change: impl FnOnce(&Shares) -> Shares,
    ) -> Result<Shares> {
        let tx = self.begin().await?;
        let before = modules::locked(self, &tx, act.tenant).await?.settings.review;
        let wanted = change(&before);
        if wanted == before {
            tx.rollback().await?;
            return Ok(before);
        }
        let now = self.change_settings_on(&tx, act, &json!({"review": wanted})).await?.review;
        tx.commit().await?;
        self.hasten_after_change(act.tenant).await;
        Ok(now)
    }
}

/// A verdict that was just recorded.
pub(crate) struct Recorded<'a> {
    pub(crate) interaction: &'a str,
    pub(crate) verdict_id: &'a str,
    pub(crate) text_revision: i64,
    pub(crate) verdict: &'a Verdict,
}

/// A verdict that a person just corrected.
pub(crate) struct Corrected<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tx: &'a DatabaseTransaction,
    pub(crate) tenant: TenantId,
    pub(crate) interaction: &'a str,
    pub(crate) verdict_id: &'a str,
    pub(crate) text_revision: i64,
    pub(crate) verdict: (i64, &'a str),
}

/// A row of `review_item`, in the order of [`ENTER`].
type Row = [Value; 16];

struct Entering<'a> {
    interaction: &'a str,
    verdict_id: &'a str,
    text_revision: i64,
    verdict: (i64, &'a str),
    reasons: &'a [Reason],
}

fn row(store: &Store, tenant: TenantId, at: DateTime<Utc>, shares: &Shares, one: &Entering<'_>) -> Row {
    let is = |reason| Value::from(one.reasons.contains(&reason));
    [
        tenant.0.into(),
        store.new_id(at).into(),
        one.interaction.into(),
        one.verdict_id.into(),
        one.text_revision.into(),
        one.verdict.0.into(),
        one.verdict.1.into(),
        is(Reason::Unsure),
        is(Reason::Disagreed),
        is(Reason::Suspicious),
        is(Reason::Overridden),
        is(Reason::CalledPositive),
        is(Reason::Random),
        at.into(),
        i64::from(shares.raters(one.interaction)).into(),
        0_i64.into(),
    ]
}

const ENTER: &str = "INSERT INTO review_item (tenant_id, id, interaction_id, verdict_id, text_revision, score, label, unsure, disagreed, \
    suspicious, overridden, called_positive, random, queued_at, wanted, given) VALUES ? ";

/// Puts those of `recorded` into the queue that the tenant's shares draw. One that nobody labelled yet goes with the new verdict, and
/// where the text is another it is another item: whoever holds the old one has read what is not asked about any more. One that somebody
/// labelled stays as they saw it.
pub(crate) async fn take(
    store: &Store,
    tx: &DatabaseTransaction,
    (tenant, at): (TenantId, DateTime<Utc>),
    shares: &Shares,
    recorded: &[Recorded<'_>],
) -> Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    for one in recorded {
        let reasons = shares.reasons(one.interaction, one.verdict);
        if reasons.is_empty() {
            continue;
        }
        let entering = Entering {
            interaction: one.interaction,
            verdict_id: one.verdict_id,
            text_revision: one.text_revision,
            verdict: (one.verdict.score.get().into(), one.verdict.label.as_str()),
            reasons: &reasons,
        };
        rows.push(row(store, tenant, at, shares, &entering));
    }
    for piece in pieces(&rows) {
        sql(ENTER)
            .rows(piece.iter().cloned())
            .then(
                "ON CONFLICT (tenant_id, interaction_id) DO UPDATE SET \
                 id = CASE WHEN review_item.text_revision = excluded.text_revision THEN review_item.id ELSE excluded.id END, \
                 claimed_by = CASE WHEN review_item.text_revision = excluded.text_revision THEN review_item.claimed_by END, \
                 claimed_until = CASE WHEN review_item.text_revision = excluded.text_revision THEN review_item.claimed_until END, \
                 verdict_id = excluded.verdict_id, text_revision = excluded.text_revision, score = excluded.score, label = excluded.label, unsure = excluded.unsure, \
                 disagreed = excluded.disagreed, suspicious = excluded.suspicious, called_positive = excluded.called_positive, random = excluded.random \
                 WHERE review_item.done_at IS NULL AND review_item.given = 0",
            )
            .run(tx)
            .await?;
    }
    Ok(())
}

/// Puts a corrected verdict into the queue, where the tenant's share draws it: somebody else is to say who is right.
pub(crate) async fn take_corrected(corrected: &Corrected<'_>, shares: &Shares) -> Result<()> {
    let Corrected { store, tx, tenant, .. } = *corrected;
    if !shares.takes_corrected(corrected.interaction) {
        return Ok(());
    }
    let entering = Entering {
        interaction: corrected.interaction,
        verdict_id: corrected.verdict_id,
        text_revision: corrected.text_revision,
        verdict: corrected.verdict,
        reasons: &[Reason::Overridden],
    };
    sql(ENTER)
        .rows([row(store, tenant, store.now(), shares, &entering)])
        .then(
            "ON CONFLICT (tenant_id, interaction_id) DO UPDATE SET overridden = excluded.overridden \
             WHERE review_item.done_at IS NULL",
        )
        .run(tx)
        .await?;
    Ok(())
}
