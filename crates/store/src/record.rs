//! What became of the interactions a worker held: verdicts, current sentiments, counters and events, for one tenant in one transaction.

mod batch;
mod scored;
mod told;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult};
use undertone_core::{AuthorKind, SkipReason, Verdict};

use crate::cascade::Moves;
use crate::queue::Claimed;
use crate::rollups::{Deltas, hold_days};
use crate::rows::{day_in, zone};
use crate::statement::{for_key_share, for_update, pieces, sql};
use crate::{Result, Store, TenantId, agents, backfill};
use batch::{Batch, Held};
use scored::Scored;

/// What became of one interaction.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It has a verdict.
    Scored(Box<Verdict>),
    /// It has a verdict of the embedded model, since the LLM that the tenant chose could not be asked.
    ScoredInstead {
        /// The verdict.
        verdict: Box<Verdict>,
        /// Why the LLM could not be asked.
        reason: SkipReason,
        /// The same for a person.
        detail: String,
    },
    /// It stays without one, for good.
    Skipped {
        /// Why.
        reason: SkipReason,
        /// More about why, such as the language.
        detail: Option<String>,
    },
    /// It waits.
    Deferred {
        /// For what.
        reason: SkipReason,
        /// More about that, for a person.
        detail: Option<String>,
        /// It is looked at again then.
        until: DateTime<Utc>,
    },
    /// Something broke.
    Failed {
        /// What.
        detail: String,
        /// It is tried again then; `None`: no more.
        retry_at: Option<DateTime<Utc>>,
    },
}

/// An interaction a worker held, and what became of it.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The interaction.
    pub claimed: Claimed,
    /// What became of it.
    pub outcome: Outcome,
}

/// What was kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Verdicts.
    pub scored: usize,
    /// Left unscored.
    pub skipped: usize,
    /// Waiting, or tried again later.
    pub deferred: usize,
    /// Failed for good.
    pub failed: usize,
    /// Not kept, because the worker no longer held them.
    pub lost: usize,
}

impl Store {
    /// Keeps what became of `finished`, all or nothing, and tells of it what the settings of this moment say. What `owner` no longer holds,
    /// because it took too long or the content was revised meanwhile, is left alone.
    pub async fn record(&self, tenant: TenantId, owner: &str, finished: &[Finished]) -> Result<Recorded> {
        let tx = self.begin().await?;
        self.keep(tx, tenant, Held::ByWorker(owner), finished).await
    }

    /// Keeps what became of items of a run that `owner` drives, all or nothing; of a run it does not drive any more nothing. Without
    /// `notify` the run causes neither events nor alerts.
    pub async fn record_items(
        &self,
        tenant: TenantId,
        (run, owner): (&str, &str),
        finished: &[Finished],
    ) -> Result<Recorded> {
        let tx = self.begin().await?;
        let Some(fence) = backfill::Fence::hold(self, &tx, tenant, run, owner).await? else {
            return Ok(Recorded { lost: finished.len(), ..Recorded::default() });
        };
        self.keep(tx, tenant, Held::ByRun(fence), finished).await
    }

    async fn keep(
        &self,
        tx: DatabaseTransaction,
        tenant: TenantId,
        held: Held<'_>,
        finished: &[Finished],
    ) -> Result<Recorded> {
        let days = hold_days(self, &tx, tenant).await?;
        let finished = &*self.with_owners(&tx, tenant, finished).await?;
        let gone = self.withdrawn(&tx, tenant, finished).await?;
        let batch = Batch { store: self, tx: &tx, tenant, held, at: self.now(), days };
        let mut recorded = Recorded::default();
        let mut deltas = Deltas::default();
        let mut moves = Moves::default();

        // Whoever opted out while a text of theirs was read has no verdict from it.
        let may_keep =
            |f: &&Finished| !f.claimed.interaction.customer.as_ref().is_some_and(|id| gone.contains(id));
        let scored: Vec<Scored<'_>> = finished.iter().filter(may_keep).filter_map(Scored::of).collect();
        recorded.scored = batch.scored(&scored, &mut deltas, &mut moves).await?;

        let mut by_reason: BTreeMap<(SkipReason, Option<&str>), Vec<&Claimed>> = BTreeMap::new();
        for f in finished {
            if let Outcome::Skipped { reason, detail } = &f.outcome {
                by_reason.entry((*reason, detail.as_deref())).or_default().push(&f.claimed);
            } else if !may_keep(&f) && Scored::of(f).is_some() {
                by_reason.entry((SkipReason::OptedOut, None)).or_default().push(&f.claimed);
            }
        }
        for ((reason, detail), claimed) in by_reason {
            let skipped = batch.skipped(&claimed, reason, detail, &mut deltas).await?;
            if reason == SkipReason::LanguageNotValidated {
                moves.add_unread(skipped);
            }
            recorded.skipped += skipped;
        }
        for f in finished {
            match &f.outcome {
                Outcome::Scored(_) | Outcome::ScoredInstead { .. } | Outcome::Skipped { .. } => {}
                Outcome::Deferred { reason, detail, until } => {
                    let why = (reason.as_str(), detail.as_ref());
                    recorded.deferred += batch.later(&f.claimed, why, *until, 1).await?;
                }
                Outcome::Failed { detail, retry_at: Some(at) } => {
                    recorded.deferred += batch.later(&f.claimed, ("retrying", Some(detail)), *at, 0).await?;
                }
                Outcome::Failed { detail, retry_at: None } => {
                    recorded.failed += batch.failed(&f.claimed, detail).await?;
                }
            }
        }
        // Agents' numbers rest on all of it, and on what agents wrote for everybody in the conversation.
        let all = || finished.iter().map(|one| &one.claimed.interaction);
        let customers = all().filter_map(|one| one.customer.as_deref());
        let of_all = all().filter(|one| one.customer.is_none() || one.author_kind == AuthorKind::Agent);
        let conversations = of_all.filter_map(|one| one.conversation.as_deref());
        agents::mark(&tx, tenant, customers, conversations).await?;
        deltas.apply(&tx, tenant).await?;
        moves.apply(&tx, tenant, day_in(zone(&batch.days.zone), batch.at)).await?;
        tx.commit().await?;
        let kept = recorded.scored + recorded.skipped + recorded.deferred + recorded.failed;
        recorded.lost = finished.len() - kept;
        Ok(recorded)
    }
}

impl Store {
    /// `finished` as it is now: what named nobody may have become the conversation's customer's while it was read, and nothing does until the
    /// transaction ends.
    async fn with_owners<'f>(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        finished: &'f [Finished],
    ) -> Result<Cow<'f, [Finished]>> {
        #[derive(FromQueryResult)]
        struct Row {
            id: String,
            customer_id: Option<String>,
            segment: String,
        }
        let of = |f: &Finished| {
            let interaction = &f.claimed.interaction;
            interaction.customer.is_none() && interaction.conversation.is_some()
        };
        let mut nameless: Vec<&str> =
            finished.iter().filter(|f| of(f)).map(|f| f.claimed.id.as_str()).collect();
        nameless.sort_unstable();
        let mut found = HashMap::new();
        for piece in pieces(&nameless) {
            let rows = sql("SELECT id, customer_id, segment FROM interaction WHERE tenant_id = ? AND id IN ? ORDER BY id")
                .bind(tenant.0)
                .list(piece.iter().copied())
                .then(for_update(self.backend()))
                .all::<Row>(tx)
                .await?;
            found.extend(
                rows.into_iter().filter(|row| row.customer_id.is_some()).map(|row| (row.id.clone(), row)),
            );
        }
        if found.is_empty() {
            return Ok(Cow::Borrowed(finished));
        }
        let mut owned = finished.to_vec();
        for Finished { claimed, .. } in &mut owned {
            if let Some(row) = found.remove(&claimed.id) {
                claimed.interaction.customer = row.customer_id;
                claimed.segment = row.segment;
            }
        }
        Ok(Cow::Owned(owned))
    }

    /// The customers of `finished`, by our id, who opted out, are being erased, or are gone; nobody becomes one of them until the transaction ends.
    async fn withdrawn(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        finished: &[Finished],
    ) -> Result<HashSet<String>> {
        let scored = finished.iter().filter(|f| Scored::of(f).is_some());
        let ids: BTreeSet<&String> = scored.filter_map(|f| f.claimed.interaction.customer.as_ref()).collect();
        let ids: Vec<&String> = ids.into_iter().collect();
        let mut gone: HashSet<String> = ids.iter().map(|id| (*id).clone()).collect();
        for piece in pieces(&ids) {
            let staying = sql("SELECT id FROM customer WHERE tenant_id = ? AND id IN ? AND opted_out_at IS NULL AND erased_at IS NULL \
                 ORDER BY id")
                .bind(tenant.0)
                .list(piece.iter().map(|id| id.as_str()))
                .then(for_key_share(self.backend()))
                .column::<String>(tx)
                .await?;
            for id in staying {
                gone.remove(&id);
            }
        }
        Ok(gone)
    }
}
