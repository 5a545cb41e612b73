//! What follows from verdicts for others: events, alerts, the review queue.

use serde_json::json;
use undertone_core::event::EventKind;
use undertone_core::event::payload::Scored;

use super::batch::{Batch, Held};
use super::scored::Made;
use crate::alerts::{self, Low, Rules};
use crate::outbox::{self, Caused};
use crate::rows::zone;
use crate::{Result, review};

impl Batch<'_> {
    /// Writes the events that verdicts cause, raises alerts, and puts verdicts into the review queue, under the settings of this moment.
    pub(super) async fn tell(&self, made: &[Made<'_>]) -> Result<()> {
        if made.is_empty() {
            return Ok(());
        }
        let rules = Rules::in_zone(self.tx, self.tenant, zone(&self.days.zone)).await?;
        let when = (self.tenant, self.at);
        // Who starts a run says whether it tells; of what else is history nobody is told.
        let is_told = |one: &&Made<'_>| match self.held {
            Held::ByRun(ref run) => run.notify,
            Held::ByWorker(_) => !rules.settings.is_history(one.claimed.occurred_at, one.claimed.received_at),
        };
        let told: Vec<&Made<'_>> = made.iter().filter(is_told).collect();
        let settings = &rules.settings;
        let threshold = i64::from(settings.alert_threshold);
        let is_low = |one: &Made<'_>| one.counted.effective_score <= threshold;
        if settings.emit_workflow_events || settings.dispatch_webhooks {
            let caused = told.iter().flat_map(|one| self.cause(one, is_low(one))).collect();
            outbox::emit_under(self.store, self.tx, when, settings, caused).await?;
        }
        let lows: Vec<Low<'_>> = told.into_iter().filter(|one| is_low(one)).map(low).collect();
        alerts::raise(self.store, self.tx, &rules, self.at, &lows).await?;
        let recorded: Vec<review::Recorded<'_>> = made
            .iter()
            .map(|one| review::Recorded {
                interaction: &one.claimed.id,
                verdict_id: &one.verdict_id,
                text_revision: one.claimed.revision,
                verdict: one.verdict,
            })
            .collect();
        review::take(self.store, self.tx, when, &settings.review, &recorded).await
    }

    /// The events a verdict causes, with the payload of the module guide. Score and label are those in force: where a person corrected the
    /// interaction before, theirs, by which it is decided what is negative, too.
    fn cause<'c>(&self, made: &Made<'c>, is_low: bool) -> impl Iterator<Item = Caused<'c>> + use<'c> {
        let Made { claimed, verdict, .. } = *made;
        let payload = json!(Scored {
            tenant_id: self.tenant.0,
            interaction_id: &claimed.id,
            customer_id: claimed.interaction.customer.as_deref(),
            agent_id: claimed.interaction.agent.as_deref(),
            channel: claimed.interaction.channel.as_str(),
            score: made.counted.effective_score,
            label: &made.counted.effective_label,
            confidence: verdict.confidence.get(),
            dominant_emotion: verdict.dominant_emotion.as_str(),
            summary: verdict.outside.as_deref(),
            scored_at: self.at,
        });
        let negative = is_low.then_some(EventKind::SentimentNegative);
        let kinds = std::iter::once(EventKind::SentimentScored).chain(negative);
        kinds.map(move |kind| Caused::new(kind, &claimed.id, payload.clone()))
    }
}

fn low<'a>(made: &'a Made<'_>) -> Low<'a> {
    let Made { claimed, verdict, counted, .. } = made;
    Low {
        interaction: &claimed.id,
        source: Some(&claimed.interaction.source),
        customer: claimed.interaction.customer.as_deref(),
        conversation: claimed.interaction.conversation.as_deref(),
        score: counted.effective_score,
        label: &counted.effective_label,
        emotion: verdict.dominant_emotion.as_str(),
        category: verdict.category.as_str(),
        channel: claimed.interaction.channel.as_str(),
        summary: verdict.outside.as_deref(),
    }
}
