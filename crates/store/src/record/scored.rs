//! Interactions that have a verdict: its row, the current sentiment, the counters.

use std::collections::{BTreeMap, HashSet};

use sea_orm::Value;
use serde_json::json;
use undertone_core::{SkipReason, Verdict};

use super::batch::{Batch, Held};
use super::{Finished, Outcome};
use crate::Result;
use crate::cascade::Moves;
use crate::queue::Claimed;
use crate::rollups::{Counted, Deltas};
use crate::rows::{as_word, day_in, zone};
use crate::statement::{pieces, sql};

/// Why the embedded model scored and not the LLM, as a word and for a person.
pub(super) type Instead<'a> = Option<(SkipReason, &'a str)>;

/// An interaction that has a verdict.
pub(super) struct Scored<'a> {
    pub(super) claimed: &'a Claimed,
    pub(super) verdict: &'a Verdict,
    pub(super) instead: Instead<'a>,
}

impl<'a> Scored<'a> {
    pub(super) fn of(finished: &'a Finished) -> Option<Self> {
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

/// An interaction whose verdict is being kept.
pub(super) struct Made<'a> {
    pub(super) verdict_id: String,
    pub(super) claimed: &'a Claimed,
    pub(super) verdict: &'a Verdict,
    /// As the counters have it.
    pub(super) counted: Counted,
}

impl Batch<'_> {
    /// Keeps the verdicts of those of `scored` the owner still holds, with everything that follows from one; answers how many.
    pub(super) async fn scored(
        &self,
        scored: &[Scored<'_>],
        deltas: &mut Deltas,
        moves: &mut Moves,
    ) -> Result<usize> {
        let kept = self.decided(scored).await?;
        let scored: Vec<&Scored<'_>> = scored.iter().filter(|one| kept.contains(&one.claimed.id)).collect();
        // What was scored once keeps its override, and leaves the counters where it stood.
        let ids: Vec<&str> = scored.iter().map(|one| one.claimed.id.as_str()).collect();
        let existing = self.existing(&ids).await?;
        let mut made = Vec::with_capacity(scored.len());
        for Scored { claimed, verdict, .. } in scored {
            let old = existing.get(&claimed.id);
            let counted = self.counted(claimed, verdict, old);
            if let Some(old) = old {
                deltas.add(old, -1, self.days.sealed_before)?;
            }
            deltas.add(&counted, 1, self.days.sealed_before)?;
            moves.add(verdict);
            made.push(Made { verdict_id: self.store.new_id(self.at), claimed, verdict, counted });
        }
        if let Held::ByRun(run) = self.held {
            // Tokens and millionths of a dollar.
            let mut took = (0, 0);
            for Made { verdict_id, claimed, verdict, .. } in &made {
                run.note(self.tx, self.tenant, (&claimed.id, verdict_id, verdict)).await?;
                took.0 += tokens(verdict);
                took.1 += verdict.provenance.cost_micros.cast_signed();
            }
            run.count(self.tx, self.tenant, took).await?;
        }
        self.write(&made).await?;
        self.tell(&made).await?;
        Ok(kept.len())
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

    async fn write(&self, made: &[Made<'_>]) -> Result<()> {
        for piece in pieces(made) {
            sql("INSERT INTO verdict (tenant_id, id, interaction_id, text_revision, body, scored_at) VALUES ?")
                .rows(piece.iter().map(|one| {
                    [
                        self.tenant.0.into(),
                        one.verdict_id.as_str().into(),
                        one.claimed.id.as_str().into(),
                        one.claimed.revision.into(),
                        serde_json::to_string(one.verdict).unwrap_or_default().into(),
                        self.at.into(),
                    ]
                }))
                .run(self.tx)
                .await?;
        }
        for piece in pieces(made) {
            sql(UPSERT_SENTIMENT).rows(piece.iter().map(|one| self.sentiment(one))).run(self.tx).await?;
        }
        Ok(())
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

    fn sentiment(&self, made: &Made<'_>) -> [Value; 28] {
        let Made { verdict_id, claimed, verdict, counted } = made;
        let by = &verdict.provenance;
        [
            self.tenant.0.into(),
            claimed.id.as_str().into(),
            verdict_id.as_str().into(),
            claimed.interaction.customer.clone().into(),
            claimed.interaction.agent.clone().into(),
            counted.channel.as_str().into(),
            counted.segment.as_str().into(),
            counted.language.as_str().into(),
            counted.scorer.as_str().into(),
            by.model.as_str().into(),
            i64::from(verdict.score.get()).into(),
            verdict.label.as_str().into(),
            i64::from(verdict.confidence.get()).into(),
            verdict.needs_review().into(),
            verdict.disagrees().into(),
            verdict.dominant_emotion.as_str().into(),
            verdict.urgency.as_str().into(),
            counted.category.as_str().into(),
            verdict.summary.as_str().into(),
            verdict.outside.as_deref().into(),
            json!(verdict.evidence).into(),
            tokens(verdict).into(),
            by.cost_micros.cast_signed().into(),
            claimed.occurred_at.into(),
            counted.occurred_on.into(),
            self.at.into(),
            counted.scored_on.into(),
            self.at.into(),
        ]
    }
}

fn tokens(verdict: &Verdict) -> i64 {
    i64::from(verdict.provenance.tokens_in) + i64::from(verdict.provenance.tokens_out)
}

const UPSERT_SENTIMENT: &str = "INSERT INTO interaction_sentiment (tenant_id, interaction_id, verdict_id, customer_id, agent_id, channel, \
    segment, language, scorer, model, score, label, confidence, needs_review, disagreed, dominant_emotion, urgency, category, summary, outside_summary, keywords, \
    tokens, cost_micros, occurred_at, occurred_on, scored_at, scored_on, created_at) VALUES ? \
    ON CONFLICT (tenant_id, interaction_id) DO UPDATE SET verdict_id = excluded.verdict_id, customer_id = excluded.customer_id, \
    agent_id = excluded.agent_id, channel = excluded.channel, segment = excluded.segment, language = excluded.language, \
    scorer = excluded.scorer, model = excluded.model, score = excluded.score, label = excluded.label, confidence = excluded.confidence, \
    needs_review = excluded.needs_review, disagreed = excluded.disagreed, dominant_emotion = excluded.dominant_emotion, urgency = excluded.urgency, \
    category = excluded.category, summary = excluded.summary, outside_summary = excluded.outside_summary, keywords = excluded.keywords, tokens = excluded.tokens, \
    cost_micros = excluded.cost_micros, occurred_at = excluded.occurred_at, occurred_on = excluded.occurred_on, \
    scored_at = excluded.scored_at, scored_on = excluded.scored_on";
