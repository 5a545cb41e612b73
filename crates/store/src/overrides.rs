//! What people say instead of a verdict. A correction stands in `human_override_*` beside the scorer's columns, moves every counter in its own
//! transaction, and survives another verdict. Each act is kept as a revision in `sentiment_override` and noted in the audit log.

mod checked;
mod held;
mod read;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult, Value};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use undertone_core::correction::Correction;
use undertone_core::event::EventKind;
use undertone_core::event::payload::Overridden;
use undertone_core::{Label, Score};

use crate::alerts::{Corrected, Rules};
use crate::audit::{self, Act, hex};
use crate::outbox::{self, Caused};
use crate::rollups::{COUNTED, Counted, Days, Deltas, hold_days};
use crate::rows::{word, zone};
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, agents, alerts, review};

pub(crate) use checked::{differing, put_back};
pub use read::Revision;

/// What a person says of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// It should be this.
    Set {
        /// What it should be.
        correction: Correction,
        /// Why, in their words.
        reason: Option<&'a str>,
    },
    /// The scorer's verdict stands again.
    Clear,
    /// It is right. Recorded, and nothing moves.
    Agree,
}

/// What they had before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// The [`Override::version`] they were shown; anything else is a conflict.
    Version(&'a str),
    /// They do not say. Then nothing that somebody else said is replaced.
    Unknown,
}

/// What stands of people's corrections of one interaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Override {
    /// Our id of the interaction.
    pub interaction_id: String,
    /// Of text, verdict and correction as they are now: it changes when any of them does.
    pub version: String,
    /// The correction in force.
    pub correction: Option<Correction>,
    /// Who made it.
    pub made_by: Option<String>,
    /// When.
    pub made_at: Option<DateTime<Utc>>,
}

/// An interaction's sentiment as a correction finds it.
#[derive(FromQueryResult)]
struct Standing {
    verdict_id: String,
    score: i64,
    label: String,
    human_override_id: Option<String>,
    human_override_score: Option<i64>,
    human_override_label: Option<String>,
    human_override_reason: Option<String>,
    human_override_by: Option<String>,
    human_override_at: Option<DateTime<Utc>>,
}

/// The version of what a person sees: they are to know when the text, the verdict or the correction is another.
pub(crate) fn version(text_revision: i64, verdict_id: &str, override_id: Option<&str>) -> String {
    let of = format!("{text_revision}\n{verdict_id}\n{}", override_id.unwrap_or_default());
    hex(&Sha256::digest(of).as_slice()[..8])
}

impl Standing {
    fn correction(&self) -> Result<Option<Correction>> {
        let (Some(score), Some(label)) = (self.human_override_score, &self.human_override_label) else {
            return Ok(None);
        };
        let label: Label = word("interaction_sentiment", label)?;
        let score = Score::try_from(score)
            .map_err(|detail| StoreError::Unreadable { table: "interaction_sentiment", detail })?;
        Ok(Some(Correction { score, label }))
    }
}

/// One act in its transaction.
struct Editing<'a> {
    store: &'a Store,
    tx: &'a DatabaseTransaction,
    act: &'a Act<'a>,
    interaction: &'a str,
    at: DateTime<Utc>,
    text_revision: i64,
    standing: Standing,
    /// The tenant's days and zone.
    days: Days,
}

impl Store {
    /// Records what a person says of the verdict on an interaction; answers what stands now, or `None` where there is no such interaction.
    /// Saying the same again changes nothing, so that a request whose answer was lost may be repeated.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it is not as they saw it, where somebody else's correction would be replaced unseen, where there is no
    /// verdict, or where its customer opted out or was erased.
    pub async fn say(
        &self,
        act: &Act<'_>,
        interaction: &str,
        said: Said<'_>,
        seen: Seen<'_>,
    ) -> Result<Option<Override>> {
        let tx = self.begin().await?;
        let done = self.say_in(&tx, act, interaction, (said, seen)).await;
        Self::end(tx, done).await
    }

    /// The same within a transaction; beside it whether anything changed.
    async fn say_in(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        interaction: &str,
        (said, seen): (Said<'_>, Seen<'_>),
    ) -> Result<Option<(Override, bool)>> {
        let days = hold_days(self, tx, act.tenant).await?;
        let Some(text_revision) = self.hold(tx, act.tenant, interaction).await? else { return Ok(None) };
        let standing = sql("SELECT verdict_id, score, label, human_override_id, human_override_score, human_override_label, \
             human_override_reason, human_override_by, human_override_at FROM interaction_sentiment WHERE tenant_id = ? AND interaction_id = ?")
        .bind(act.tenant.0)
        .bind(interaction)
        .then(for_update(self.backend()))
        .one::<Standing>(tx)
        .await?;
        let Some(standing) = standing else {
            return conflict("there is no verdict on this interaction to say anything about");
        };
        let editing =
            Editing { store: self, tx, act, interaction, at: self.now(), text_revision, standing, days };
        if editing.is_said_already(said).await? {
            return Ok(Some((editing.now(None)?, false)));
        }
        editing.check(said, seen).await?;
        let id = match said {
            Said::Set { correction, reason } => Some(editing.put(Some(correction), reason).await?),
            Said::Clear => Some(editing.put(None, None).await?),
            Said::Agree => {
                editing.agree().await?;
                None
            }
        };
        let now = editing.now(id.map(|id| (id, said)))?;
        Ok(Some((now, true)))
    }
}

fn conflict<T>(told: &str) -> Result<T> {
    Err(StoreError::Conflict(told.to_owned()))
}

impl Editing<'_> {
    /// It is as they want it already, by their own act.
    async fn is_said_already(&self, said: Said<'_>) -> Result<bool> {
        let standing = &self.standing;
        let theirs = standing.human_override_by.as_deref() == Some(self.act.actor);
        Ok(match said {
            Said::Set { correction, reason } => {
                theirs
                    && standing.correction()? == Some(correction)
                    && standing.human_override_reason.as_deref() == reason
            }
            Said::Clear => standing.human_override_at.is_none(),
            Said::Agree if standing.human_override_at.is_some() => false,
            Said::Agree => sql("SELECT 1 FROM sentiment_override WHERE tenant_id = ? AND interaction_id = ? AND act = 'agree' AND made_by = ? \
                 AND verdict_id = ? AND text_revision = ?")
            .bind(self.act.tenant.0)
            .bind(self.interaction)
            .bind(self.act.actor)
            .bind(&standing.verdict_id)
            .bind(self.text_revision)
            .value::<i32>(self.tx)
            .await?
            .is_some(),
        })
    }

    async fn check(&self, said: Said<'_>, seen: Seen<'_>) -> Result<()> {
        let standing = &self.standing;
        if said == Said::Agree && standing.human_override_at.is_some() {
            return conflict("a correction is in force; whoever finds the scorer right clears it");
        }
        let now = version(self.text_revision, &standing.verdict_id, standing.human_override_id.as_deref());
        match seen {
            Seen::Version(seen) if seen == now => Ok(()),
            Seen::Version(_) => conflict(
                "it is not as you saw it: the text, the verdict or the correction is another; look at it again",
            ),
            Seen::Unknown => match &standing.human_override_by {
                Some(other) if other != self.act.actor => {
                    conflict("somebody else corrected it; look at that, and send its version to replace it")
                }
                None if matches!(said, Said::Set { .. }) && self.is_cleared_by_another().await? => conflict(
                    "somebody else cleared a correction; look at that, and send its version to correct it again",
                ),
                _ => Ok(()),
            },
        }
    }

    /// There was a correction, and somebody else ended it.
    async fn is_cleared_by_another(&self) -> Result<bool> {
        let Some(last) = &self.standing.human_override_id else { return Ok(false) };
        let by = sql("SELECT made_by FROM sentiment_override WHERE tenant_id = ? AND id = ?")
            .bind(self.act.tenant.0)
            .bind(last)
            .value::<String>(self.tx)
            .await?;
        Ok(by.is_some_and(|by| by != self.act.actor))
    }

    /// Puts a correction in force, or ends the one that is; answers the revision's id.
    async fn put(&self, correction: Option<Correction>, reason: Option<&str>) -> Result<String> {
        let (tx, tenant, sealed) = (self.tx, self.act.tenant, self.days.sealed_before);
        let old = sql(COUNTED)
            .bind(tenant.0)
            .then(" AND interaction_id = ?")
            .bind(self.interaction)
            .one(tx)
            .await?;
        let Some(old): Option<Counted> = old else { return conflict("there is no verdict any more") };
        let (score, label) =
            correction.map(|c| (i64::from(c.score.get()), c.label.as_str().to_owned())).unzip();
        let new = Counted {
            effective_score: score.unwrap_or(self.standing.score),
            effective_label: label.clone().unwrap_or_else(|| self.standing.label.clone()),
            human_override_score: score,
            human_override_label: label.clone(),
            ..old.clone()
        };
        let id = self
            .revise(if score.is_some() { "set" } else { "clear" }, (score, label.as_deref()), reason)
            .await?;
        sql("UPDATE interaction_sentiment SET human_override_score = ?, human_override_label = ?, human_override_reason = ?, \
             human_override_by = ?, human_override_at = ?, human_override_id = ? WHERE tenant_id = ? AND interaction_id = ?")
        .bind(score)
        .bind(label)
        .bind(reason)
        .bind(correction.map(|_| self.act.actor))
        .bind(correction.map(|_| self.at))
        .bind(&id)
        .bind(tenant.0)
        .bind(self.interaction)
        .run(tx)
        .await?;
        let rules = Rules::in_zone(tx, tenant, zone(&self.days.zone)).await?;
        let moved = Corrected {
            interaction: self.interaction,
            customer: new.customer_id.as_deref(),
            category: &new.category,
            channel: &new.channel,
            before: old.effective_score,
            score: new.effective_score,
            label: &new.effective_label,
        };
        alerts::corrected(self.store, tx, self.act, &rules, &moved).await?;
        if correction.is_some() {
            review::take_corrected(&self.as_item(), &rules.settings.review).await?;
        }
        let mut deltas = Deltas::default();
        deltas.add(&old, -1, sealed)?;
        deltas.add(&new, 1, sealed)?;
        agents::mark(tx, tenant, old.customer_id.as_deref(), None).await?;
        deltas.apply(tx, tenant).await?;
        let payload = json!({
            "before": self.standing.correction()?,
            "after": correction,
            "verdict": self.verdict(),
            "revision": id,
        });
        audit::note(self.store, tx, self.act, ("sentiment_override", self.interaction), &payload).await?;
        let told = json!(Overridden {
            tenant_id: tenant.0,
            interaction_id: self.interaction,
            customer_id: new.customer_id.as_deref(),
            channel: &new.channel,
            score: new.effective_score,
            label: &new.effective_label,
            model_score: self.standing.score,
            model_label: &self.standing.label,
            cleared: correction.is_none(),
            made_by: self.act.actor,
            at: self.at,
        });
        let event = Caused::new(EventKind::SentimentOverridden, self.interaction, told);
        outbox::emit_under(self.store, tx, (tenant, self.at), &rules.settings, vec![event]).await?;
        Ok(id)
    }

    async fn agree(&self) -> Result<()> {
        let id = self.revise("agree", (None, None), None).await?;
        sql("UPDATE interaction_sentiment SET human_agreed_verdict_id = verdict_id WHERE tenant_id = ? AND interaction_id = ?")
            .bind(self.act.tenant.0)
            .bind(self.interaction)
            .run(self.tx)
            .await?;
        let payload = json!({"verdict": self.verdict(), "revision": id});
        audit::note(self.store, self.tx, self.act, ("sentiment_agreed", self.interaction), &payload).await
    }

    fn verdict(&self) -> serde_json::Value {
        json!({"id": self.standing.verdict_id, "score": self.standing.score, "label": self.standing.label})
    }

    /// Keeps the act as a revision; answers its id.
    async fn revise(
        &self,
        act: &'static str,
        (score, label): (Option<i64>, Option<&str>),
        reason: Option<&str>,
    ) -> Result<String> {
        let id = self.store.new_id(self.at);
        let row: [Value; 12] = [
            self.act.tenant.0.into(),
            id.as_str().into(),
            self.interaction.into(),
            act.into(),
            score.into(),
            label.into(),
            reason.into(),
            self.act.actor.into(),
            self.at.into(),
            self.standing.verdict_id.as_str().into(),
            self.text_revision.into(),
            self.standing.human_override_id.as_deref().into(),
        ];
        sql("INSERT INTO sentiment_override (tenant_id, id, interaction_id, act, score, label, reason, made_by, made_at, verdict_id, \
             text_revision, previous_id) VALUES ?")
        .rows([row])
        .run(self.tx)
        .await?;
        Ok(id)
    }

    /// The interaction as it may come into the review queue.
    fn as_item(&self) -> review::Corrected<'_> {
        review::Corrected {
            store: self.store,
            tx: self.tx,
            tenant: self.act.tenant,
            interaction: self.interaction,
            verdict_id: &self.standing.verdict_id,
            text_revision: self.text_revision,
            verdict: (self.standing.score, &self.standing.label),
        }
    }

    /// What stands after the act whose revision is given, or as it was found.
    fn now(&self, changed: Option<(String, Said<'_>)>) -> Result<Override> {
        let standing = &self.standing;
        let of = |id: Option<&str>| version(self.text_revision, &standing.verdict_id, id);
        let interaction_id = self.interaction.to_owned();
        Ok(match changed {
            None => Override {
                interaction_id,
                version: of(standing.human_override_id.as_deref()),
                correction: standing.correction()?,
                made_by: standing.human_override_by.clone(),
                made_at: standing.human_override_at,
            },
            Some((id, said)) => {
                let correction =
                    if let Said::Set { correction, .. } = said { Some(correction) } else { None };
                Override {
                    interaction_id,
                    version: of(Some(&id)),
                    correction,
                    made_by: correction.map(|_| self.act.actor.to_owned()),
                    made_at: correction.map(|_| self.at),
                }
            }
        })
    }
}
