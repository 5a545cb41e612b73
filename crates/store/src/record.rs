//! What became of the interactions a worker held: verdicts, current sentiments, counters and events, for one tenant in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, Value};
use serde_json::json;
use undertone_core::event::EventKind;
use undertone_core::{SkipReason, Verdict};

use crate::backfill;
use crate::cascade::Moves;
use crate::outbox::{self, Caused};
use crate::queue::Claimed;
use crate::rollups::{COUNTED, Counted, Days, Deltas, hold_days};
use crate::rows::{as_word, day_in, zone};
use crate::statement::{for_key_share, for_update, pieces, sql};
use crate::{Result, Store, TenantId, agents, alerts, review};

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

/// Which events a verdict causes.
#[derive(Debug, Clone, Copy)]
pub struct Events {
    /// They go to the workflow engine.
    pub to_workflow: bool,
    /// They go to subscribed webhooks.
    pub to_webhooks: bool,
    /// `sentiment.negative` is sent at or under this score, and people are told.
    pub threshold: i8,
    /// People are told of what is low.
    pub alerts: bool,
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
    /// Keeps what became of `finished`, all or nothing. What `owner` no longer holds, because it took too long or the content was
    /// revised meanwhile, is left alone.
    pub async fn record(
        &self,
        tenant: TenantId,
        owner: &str,
        events: Events,
        finished: &[Finished],
    ) -> Result<Recorded> {
        let tx = self.begin().await?;
        self.keep(tx, tenant, Held::ByWorker(owner), events, finished).await
    }

    /// Keeps what became of items of a run that `owner` drives, all or nothing; of a run it does not drive any more nothing. Without
    /// `notify` the run causes no events.
    pub async fn record_items(
        &self,
        tenant: TenantId,
        (run, owner): (&str, &str),
        events: Events,
        finished: &[Finished],
    ) -> Result<Recorded> {
        let tx = self.begin().await?;
        let Some(fence) = backfill::Fence::hold(self, &tx, tenant, run, owner).await? else {
            return Ok(Recorded { lost: finished.len(), ..Recorded::default() });
        };
        let quiet = Events { to_workflow: false, to_webhooks: false, alerts: false, ..events };
        let events = if fence.notify { events } else { quiet };
        self.keep(tx, tenant, Held::ByRun(fence), events, finished).await
    }

    async fn keep(
        &self,
        tx: DatabaseTransaction,
        tenant: TenantId,
        held: Held<'_>,
        events: Events,
        finished: &[Finished],
    ) -> Result<Recorded> {
        let gone = self.withdrawn(&tx, tenant, finished).await?;
        let batch = Batch {
            store: self,
            tx: &tx,
            tenant,
            held,
            at: self.now(),
            days: hold_days(self, &tx, tenant).await?,
        };
        let mut recorded = Recorded::default();
        let mut deltas = Deltas::default();
        let mut moves = Moves::default();

        // Whoever opted out while a text of theirs was read has no verdict from it.
        let may_keep =
            |f: &&Finished| !f.claimed.interaction.customer.as_ref().is_some_and(|id| gone.contains(id));
        let scored: Vec<Scored<'_>> = finished.iter().filter(may_keep).filter_map(Scored::of).collect();
        recorded.scored = batch.scored(&scored, events, &mut deltas, &mut moves).await?;

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
        // Agents' numbers rest on all of it; a reply that names no customer is about the conversation's.
        let (mut customers, mut conversations): (Vec<&str>, Vec<&str>) = Default::default();
        for Finished { claimed, .. } in finished {
            match (&claimed.interaction.customer, &claimed.interaction.conversation) {
                (Some(customer), _) => customers.push(customer),
                (None, Some(conversation)) => conversations.push(conversation),
                (None, None) => {}
            }
        }
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

/// By whom what is finished is held.
#[derive(Debug, Clone, Copy)]
enum Held<'a> {
    /// By this worker, as interactions that wait.
    ByWorker(&'a str),
    /// By whoever drives a run, as its items.
    ByRun(backfill::Fence<'a>),
}

/// One transaction's work.
struct Batch<'a> {
    store: &'a Store,
    tx: &'a DatabaseTransaction,
    tenant: TenantId,
    held: Held<'a>,
    at: DateTime<Utc>,
    days: Days,
}

/// Why the embedded model scored and not the LLM, as a word and for a person.
type Instead<'a> = Option<(SkipReason, &'a str)>;

/// An interaction that has a verdict.
struct Scored<'a> {
    claimed: &'a Claimed,
    verdict: &'a Verdict,
    instead: Instead<'a>,
}

impl<'a> Scored<'a> {
    fn of(finished: &'a Finished) -> Option<Self> {
        let claimed = &finished.claimed;
        match &finished.outcome {
            Outcome::Scored(verdict) => Some(Self { claimed, verdict, instead: None }),
            Outcome::ScoredInstead { verdict, reason, detail } => {
                Some(Self { claimed, verdict, instead: Some((*reason, detail)) })
            }
            Outcome::Skipped { .. } | Outcome::Deferred { .. } | Outcome::Failed { .. } => None,
        }
    }
}

impl Batch<'_> {
    /// The state words for those of `claimed` the owner still holds, as it held them; answers their ids.
    async fn finish(
        &self,
        claimed: &[&Claimed],
        state: &'static str,
        reason: Option<&str>,
        detail: Option<&str>,
    ) -> Result<HashSet<String>> {
        let owner = match self.held {
            Held::ByWorker(owner) => owner,
            Held::ByRun(run) => {
                let when = (self.tenant, self.at);
                return run.finish(self.tx, when, claimed, state, (reason, detail)).await;
            }
        };
        let mut kept = HashSet::with_capacity(claimed.len());
        for piece in pieces(claimed) {
            let held = piece.iter().map(|c| [Value::from(c.id.as_str()), Value::from(c.attempts)]);
            let rows = sql("UPDATE interaction SET score_state = ?, reason = ?, detail = ?, decided_at = ?, lease_owner = NULL \
                 WHERE tenant_id = ? AND lease_owner = ? AND score_state = 'pending' AND (id, attempts) IN (VALUES ?) RETURNING id")
            .bind(state)
            .bind(reason)
            .bind(detail)
            .bind(self.at)
            .bind(self.tenant.0)
            .bind(owner)
            .rows(held)
            .column::<String>(self.tx)
            .await?;
            kept.extend(rows);
        }
        Ok(kept)
    }

    /// Those of `scored` the owner still holds become scored, each with the reason why it was not the LLM's, where there is one.
    async fn decided(&self, scored: &[Scored<'_>]) -> Result<HashSet<String>> {
        let mut by_reason: BTreeMap<Instead<'_>, Vec<&Claimed>> = BTreeMap::new();
        for one in scored {
            by_reason.entry(one.instead).or_default().push(one.claimed);
        }
        let mut kept = HashSet::with_capacity(scored.len());
        for (instead, claimed) in by_reason {
            let (reason, detail) = instead.unzip();
            kept.extend(self.finish(&claimed, "scored", reason.map(SkipReason::as_str), detail).await?);
        }
        Ok(kept)
    }

    /// The sentiments there are of these interactions.
    async fn existing(&self, ids: &[&str]) -> Result<HashMap<String, Counted>> {
        let mut existing = HashMap::new();
        for piece in pieces(ids) {
            let rows = sql(COUNTED)
                .bind(self.tenant.0)
                .then(" AND interaction_id IN ?")
                .list(piece.iter().copied())
                .then(for_update(self.store.backend()))
                .all::<Counted>(self.tx)
                .await?;
            existing.extend(rows.into_iter().map(|row| (row.interaction_id.clone(), row)));
        }
        Ok(existing)
    }

    async fn scored(
        &self,
        scored: &[Scored<'_>],
        events: Events,
        deltas: &mut Deltas,
        moves: &mut Moves,
    ) -> Result<usize> {
        let claimed: Vec<&Claimed> = scored.iter().map(|one| one.claimed).collect();
        let kept = self.decided(scored).await?;
        // What was scored once keeps its override, and leaves the counters where it stood.
        let again: Vec<&str> =
            claimed.iter().filter(|c| kept.contains(&c.id)).map(|c| c.id.as_str()).collect();
        let existing = self.existing(&again).await?;
        let (mut verdicts, mut sentiments, mut caused) = (Vec::new(), Vec::new(), Vec::new());
        let mut made: Vec<(String, &Claimed, &Verdict)> = Vec::new();
        let mut low = Vec::new();
        // Tokens and millionths of a dollar.
        let mut took = (0, 0);
        for Scored { claimed, verdict, .. } in scored.iter().filter(|one| kept.contains(&one.claimed.id)) {
            let verdict_id = self.store.new_id(self.at);
            verdicts.push([
                self.tenant.0.into(),
                verdict_id.as_str().into(),
                claimed.id.as_str().into(),
                claimed.revision.into(),
                serde_json::to_string(verdict).unwrap_or_default().into(),
                self.at.into(),
            ]);
            let old = existing.get(&claimed.id);
            let new = self.counted(claimed, verdict, old);
            if let Some(old) = old {
                deltas.add(old, -1, self.days.sealed_before)?;
            }
            deltas.add(&new, 1, self.days.sealed_before)?;
            moves.add(verdict);
            sentiments.push(self.sentiment(claimed, verdict, &verdict_id, &new));
            if events.to_workflow || events.to_webhooks {
                caused.extend(self.cause(events, claimed, verdict, new.effective_score));
            }
            if events.alerts && new.effective_score <= events.threshold.into() {
                low.push((claimed, verdict, new.effective_score, new.effective_label.clone()));
            }
            if let Held::ByRun(run) = self.held {
                run.note(self.tx, self.tenant, (&claimed.id, &verdict_id, verdict)).await?;
                let made = &verdict.provenance;
                took.0 += i64::from(made.tokens_in) + i64::from(made.tokens_out);
                took.1 += made.cost_micros.cast_signed();
            }
            made.push((verdict_id, claimed, verdict));
        }
        if let Held::ByRun(run) = self.held {
            run.count(self.tx, self.tenant, took).await?;
        }
        for piece in pieces(&verdicts) {
            sql("INSERT INTO verdict (tenant_id, id, interaction_id, text_revision, body, scored_at) VALUES ?")
                .rows(piece.iter().cloned())
                .run(self.tx)
                .await?;
        }
        for piece in pieces(&sentiments) {
            sql(UPSERT_SENTIMENT).rows(piece.iter().cloned()).run(self.tx).await?;
        }
        outbox::emit(self.store, self.tx, self.tenant, self.at, caused).await?;
        let low: Vec<alerts::Low<'_>> = low
            .iter()
            .map(|(claimed, verdict, score, label)| alerts::Low {
                interaction: &claimed.id,
                customer: claimed.interaction.customer.as_deref(),
                conversation: claimed.interaction.conversation.as_deref(),
                score: *score,
                label,
                emotion: verdict.dominant_emotion.as_str(),
                category: verdict.category.as_str(),
                channel: claimed.interaction.channel.as_str(),
                summary: &verdict.summary,
            })
            .collect();
        alerts::raise(self.store, self.tx, self.tenant, self.at, &low).await?;
        let recorded: Vec<review::Recorded<'_>> = made
            .iter()
            .map(|(verdict_id, claimed, verdict)| review::Recorded {
                interaction: &claimed.id,
                verdict_id,
                text_revision: claimed.revision,
                verdict,
            })
            .collect();
        review::take(self.store, self.tx, self.tenant, self.at, &recorded).await?;
        Ok(kept.len())
    }

    /// The sentiment as it will be counted.
    fn counted(&self, claimed: &Claimed, verdict: &Verdict, old: Option<&Counted>) -> Counted {
        let zone = zone(&self.days.zone);
        let human_override_score = old.and_then(|old| old.human_override_score);
        let human_override_label = old.and_then(|old| old.human_override_label.clone());
        Counted {
            interaction_id: claimed.id.clone(),
            customer_id: claimed.interaction.customer.clone(),
            channel: claimed.interaction.channel.as_str().to_owned(),
            language: verdict.provenance.language.clone(),
            scorer: as_word(&verdict.provenance.scorer),
            category: verdict.category.as_str().to_owned(),
            segment: claimed.segment.clone(),
            occurred_on: day_in(zone, claimed.occurred_at),
            scored_on: day_in(zone, self.at),
            effective_score: human_override_score.unwrap_or_else(|| verdict.score.get().into()),
            effective_label: human_override_label
                .clone()
                .unwrap_or_else(|| verdict.label.as_str().to_owned()),
            human_override_score,
            human_override_label,
        }
    }

    fn sentiment(
        &self,
        claimed: &Claimed,
        verdict: &Verdict,
        verdict_id: &str,
        counted: &Counted,
    ) -> [Value; 27] {
        let made = &verdict.provenance;
        [
            self.tenant.0.into(),
            claimed.id.as_str().into(),
            verdict_id.into(),
            claimed.interaction.customer.clone().into(),
            claimed.interaction.agent.clone().into(),
            counted.channel.as_str().into(),
            counted.segment.as_str().into(),
            counted.language.as_str().into(),
            counted.scorer.as_str().into(),
            made.model.as_str().into(),
            i64::from(verdict.score.get()).into(),
            verdict.label.as_str().into(),
            i64::from(verdict.confidence.get()).into(),
            verdict.needs_review().into(),
            verdict.disagrees().into(),
            verdict.dominant_emotion.as_str().into(),
            verdict.urgency.as_str().into(),
            counted.category.as_str().into(),
            verdict.summary.as_str().into(),
            json!(verdict.evidence).into(),
            (i64::from(made.tokens_in) + i64::from(made.tokens_out)).into(),
            made.cost_micros.cast_signed().into(),
            claimed.occurred_at.into(),
            counted.occurred_on.into(),
            self.at.into(),
            counted.scored_on.into(),
            self.at.into(),
        ]
    }

    /// The events a verdict causes, with the payload of the module guide.
    fn cause<'c>(
        &self,
        events: Events,
        claimed: &'c Claimed,
        verdict: &Verdict,
        score: i64,
    ) -> impl Iterator<Item = Caused<'c>> {
        let payload = json!({
            "tenant_id": self.tenant,
            "interaction_id": claimed.id,
            "customer_id": claimed.interaction.customer,
            "agent_id": claimed.interaction.agent,
            "channel": claimed.interaction.channel,
            "score": verdict.score,
            "label": verdict.label,
            "confidence": verdict.confidence,
            "dominant_emotion": verdict.dominant_emotion,
            "summary": verdict.summary,
            "scored_at": self.at,
        });
        let negative = (score <= events.threshold.into()).then_some(EventKind::SentimentNegative);
        std::iter::once(EventKind::SentimentScored).chain(negative).map(move |kind| Caused {
            kind,
            subject: &claimed.id,
            payload: payload.clone(),
            to_workflow: events.to_workflow,
            to_webhooks: events.to_webhooks,
        })
    }

    async fn skipped(
        &self,
        claimed: &[&Claimed],
        reason: SkipReason,
        detail: Option<&str>,
        deltas: &mut Deltas,
    ) -> Result<usize> {
        let kept = self.finish(claimed, "skipped", Some(reason.as_str()), detail).await?;
        if matches!(self.held, Held::ByRun(_)) {
            // The same content was scored once; that verdict stands.
            return Ok(kept.len());
        }
        // Content that is not scored any more takes the verdict on the earlier content along; the revisions stay.
        let revised: Vec<&str> = claimed
            .iter()
            .filter(|c| c.revision > 1 && kept.contains(&c.id))
            .map(|c| c.id.as_str())
            .collect();
        for (id, old) in self.existing(&revised).await? {
            deltas.add(&old, -1, self.days.sealed_before)?;
            sql("DELETE FROM interaction_sentiment WHERE tenant_id = ? AND interaction_id = ?")
                .bind(self.tenant.0)
                .bind(id)
                .run(self.tx)
                .await?;
        }
        Ok(kept.len())
    }

    /// Gives one back until `at`; `forgiven` attempts do not count.
    async fn later(
        &self,
        claimed: &Claimed,
        (reason, detail): (&str, Option<&String>),
        at: DateTime<Utc>,
        forgiven: i64,
    ) -> Result<usize> {
        let owner = match self.held {
            Held::ByWorker(owner) => owner,
            Held::ByRun(run) => {
                return run.later(self.tx, self.tenant, claimed, (reason, detail), (at, forgiven)).await;
            }
        };
        let kept = sql("UPDATE interaction SET reason = ?, detail = ?, next_attempt_at = ?, attempts = attempts - ?, lease_owner = NULL \
             WHERE tenant_id = ? AND lease_owner = ? AND score_state = 'pending' AND id = ? AND attempts = ?")
        .bind(reason)
        .bind(detail.cloned())
        .bind(at)
        .bind(forgiven)
        .bind(self.tenant.0)
        .bind(owner)
        .bind(&claimed.id)
        .bind(claimed.attempts)
        .run(self.tx)
        .await?;
        Ok(kept as usize)
    }

    async fn failed(&self, claimed: &Claimed, detail: &str) -> Result<usize> {
        Ok(self.finish(&[claimed], "failed", Some("scoring_failed"), Some(detail)).await?.len())
    }
}

const UPSERT_SENTIMENT: &str = "INSERT INTO interaction_sentiment (tenant_id, interaction_id, verdict_id, customer_id, agent_id, channel, \
    segment, language, scorer, model, score, label, confidence, needs_review, disagreed, dominant_emotion, urgency, category, summary, keywords, \
    tokens, cost_micros, occurred_at, occurred_on, scored_at, scored_on, created_at) VALUES ? \
    ON CONFLICT (tenant_id, interaction_id) DO UPDATE SET verdict_id = excluded.verdict_id, customer_id = excluded.customer_id, \
    agent_id = excluded.agent_id, channel = excluded.channel, segment = excluded.segment, language = excluded.language, \
    scorer = excluded.scorer, model = excluded.model, score = excluded.score, label = excluded.label, confidence = excluded.confidence, \
    needs_review = excluded.needs_review, disagreed = excluded.disagreed, dominant_emotion = excluded.dominant_emotion, urgency = excluded.urgency, \
    category = excluded.category, summary = excluded.summary, keywords = excluded.keywords, tokens = excluded.tokens, \
    cost_micros = excluded.cost_micros, occurred_at = excluded.occurred_at, occurred_on = excluded.occurred_on, \
    scored_at = excluded.scored_at, scored_on = excluded.scored_on";
