//! Interactions as they are taken in: each once, with everybody they mention, in one transaction.

mod known;
mod link;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{DatabaseTransaction, Value};
use undertone_core::{Arrival, SkipReason};

pub(crate) use self::known::existing;
use self::known::foreseen;
use self::link::{Linked, Whose, id_of, mentioned};
use crate::people::TOGETHER;
use crate::people::aliases::{self, Telling, Told};
use crate::privacy::reach::{self, Counters};
use crate::rollups::hold_days;
use crate::rows::as_word;
use crate::statement::{for_update, pieces, sql};
use crate::{Reach, Result, Store, StoreError, TenantId, agents};

/// What became of one interaction handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is new.
    Created {
        /// Our id.
        id: String,
    },
    /// It was there already, the same in every word.
    Duplicate {
        /// Our id.
        id: String,
    },
    /// It was there with other content, and the caller wanted it revised.
    Updated {
        /// Our id.
        id: String,
    },
    /// It was there with other content, and stays as it was.
    Conflict {
        /// Our id.
        id: String,
    },
    /// Another customer goes by one of the aliases it tells; nothing of it is taken in.
    AliasTaken {
        /// Which of those it tells, from 0.
        at: usize,
        /// What is wrong, for a person.
        why: String,
    },
    /// It tells what whoever hands it in may not ([`Reach::Additions`]); nothing of it is taken in.
    NotAllowed {
        /// Which of its fields tells that.
        field: &'static str,
        /// Why it may not be told, for a person.
        why: &'static str,
    },
}

impl Accepted {
    /// Our id of the interaction; empty where there is none.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Created { id } | Self::Duplicate { id } | Self::Updated { id } | Self::Conflict { id } => {
                id
            }
            Self::AliasTaken { .. } | Self::NotAllowed { .. } => "",
        }
    }
}

/// An interaction and the digest of its content, by which the same is told from other.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The interaction. Without an external id it gets our own, and is always new.
    pub arrival: Arrival,
    /// Digest of its content.
    pub digest: String,
}

/// How often it is begun anew while others give the same aliases at the same moment.
const TRIES: usize = 3;

/// What an item tells of aliases: further ones, so that what is old and sent again takes nothing away.
fn told(item: &Incoming) -> Option<Told<'_>> {
    let customer = item.arrival.interaction.customer.as_deref()?;
    Some(Told { customer, aliases: item.arrival.customer.aliases.as_deref()?, replaces: false })
}

impl Store {
    /// Takes in what one tenant handed in together, in one transaction; answers in the same order. When this returns, it is on disk.
    pub async fn accept(&self, tenant: TenantId, items: &[Incoming]) -> Result<Vec<Accepted>> {
        self.accept_all(tenant, Reach::Changes, items).await
    }

    /// The same, filling in of people what `reach` allows.
    pub(crate) async fn accept_all(
        &self,
        tenant: TenantId,
        reach: Reach,
        items: &[Incoming],
    ) -> Result<Vec<Accepted>> {
        let mut seen = HashMap::new();
        for _ in 0..TRIES {
            if let Some(accepted) = self.accept_together((tenant, reach), items, &mut seen).await? {
                return Ok(accepted);
            }
        }
        Err(StoreError::Conflict(TOGETHER.to_owned()))
    }

    /// Nothing is answered where customers were given aliases that others were given at the same moment, or items that tell some were
    /// taken in against what was foreseen, or were not; `seen` is what became of those, for the next try.
    async fn accept_together(
        &self,
        (tenant, reach): (TenantId, Reach),
        items: &[Incoming],
        seen: &mut HashMap<usize, bool>,
    ) -> Result<Option<Vec<Accepted>>> {
        let tx = self.begin().await?;
        let at = self.now();
        let telling_items: Vec<(usize, Told<'_>)> =
            items.iter().enumerate().filter_map(|(i, item)| Some((i, told(item)?))).collect();
        // What is not taken in tells nothing.
        let foreseen =
            if telling_items.is_empty() { Vec::new() } else { foreseen(&tx, tenant, items, seen).await? };
        let (tells, told): (Vec<usize>, Vec<Told<'_>>) =
            telling_items.iter().copied().filter(|(i, _)| foreseen[*i]).unzip();
        let telling = Telling::of(&tx, tenant, &told).await?;
        let mut answers: Vec<Option<Accepted>> = vec![None; items.len()];
        for ((&i, told), refused) in tells.iter().zip(&told).zip(&telling.refused) {
            answers[i] = refused.map(|alias| Accepted::AliasTaken {
                at: told.aliases.iter().position(|one| one == alias).unwrap_or_default(),
                why: aliases::taken(alias),
            });
        }
        let mut open: Vec<usize> = (0..items.len()).filter(|i| answers[*i].is_none()).collect();
        let linked =
            self.link(&tx, (tenant, at), reach, &open.iter().map(|i| &items[*i]).collect::<Vec<_>>()).await?;
        if telling.keep(&tx, tenant, &linked.customers).await?.is_none() {
            tx.rollback().await?;
            return Ok(None);
        }
        // The same id twice in one batch is taken one after the other.
        while !open.is_empty() {
            let mut seen = HashSet::new();
            let (wave, later): (Vec<usize>, Vec<usize>) = open.iter().partition(|i| {
                let interaction = &items[**i].arrival.interaction;
                interaction.external_id.is_empty()
                    || seen.insert((&interaction.source, &interaction.external_id))
            });
            open = self.accept_wave(&tx, (tenant, at), items, &linked, &wave, &mut answers).await?;
            open.extend(later);
        }
        let otherwise = telling_items.iter().filter_map(|(i, _)| {
            let is_taken_in = match answers[*i].as_ref()? {
                Accepted::Created { .. } | Accepted::Updated { .. } => true,
                Accepted::Duplicate { .. } | Accepted::Conflict { .. } => false,
                Accepted::AliasTaken { .. } | Accepted::NotAllowed { .. } => return None,
            };
            (is_taken_in != foreseen[*i]).then_some((*i, is_taken_in))
        });
        let otherwise: Vec<(usize, bool)> = otherwise.collect();
        if !otherwise.is_empty() {
            seen.extend(otherwise);
            tx.rollback().await?;
            return Ok(None);
        }
        self.keep_standing(&tx, (tenant, reach), &mentioned(at, items, &linked, &answers)).await?;
        tx.commit().await?;
        answers.into_iter().collect::<Option<Vec<_>>>().map(Some).ok_or_else(|| {
            StoreError::Conflict("an interaction vanished while it was taken in; send it again".into())
        })
    }

    /// Answers those that are to be taken in again, under the ids they were answered with, because what was there of them is gone.
    async fn accept_wave(
        &self,
        tx: &DatabaseTransaction,
        (tenant, at): (TenantId, DateTime<Utc>),
        items: &[Incoming],
        linked: &Linked,
        wave: &[usize],
        answers: &mut [Option<Accepted>],
    ) -> Result<Vec<usize>> {
        let mut by_id = HashMap::with_capacity(wave.len());
        let mut rows = Vec::with_capacity(wave.len());
        for &i in wave {
            let interaction = &items[i].arrival.interaction;
            let id = answers[i].as_ref().map_or_else(|| self.new_id(at), |again| again.id().to_owned());
            let whose = linked.whose(interaction);
            let (state, reason) = begins(&whose);
            let external = if interaction.external_id.is_empty() { &id } else { &interaction.external_id };
            rows.push([
                tenant.0.into(),
                id.as_str().into(),
                interaction.source.as_str().into(),
                external.as_str().into(),
                items[i].digest.as_str().into(),
                1_i64.into(),
                as_word(&interaction.kind).into(),
                as_word(&interaction.author_kind).into(),
                as_word(&interaction.direction).into(),
                as_word(&interaction.visibility).into(),
                interaction.channel.as_str().into(),
                interaction.channel_name.clone().into(),
                whose.customer.into(),
                id_of(&linked.agents, interaction.agent.as_ref()).into(),
                id_of(&linked.conversations, interaction.conversation.as_ref()).into(),
                whose.segment.into(),
                interaction.occurred_at.map_or(at, |occurred| occurred.trunc_subsecs(6)).into(),
                at.into(),
                state.into(),
                reason.into(),
                reason.map(|_| at).into(),
                0_i64.into(),
                at.into(),
            ]);
            by_id.insert(id, (i, whose.is_erased));
        }
        // Rows are locked in the order of their keys, so that two writers of the same ones do not wait for each other in a circle.
        rows.sort_by(|a, b| key_of(a).cmp(&key_of(b)));
        let mut texts = Vec::with_capacity(wave.len());
        for piece in pieces(&rows) {
            let statement = sql(
                "INSERT INTO interaction (tenant_id, id, source, external_id, digest, revision, kind, author_kind, direction, \
                 visibility, channel, channel_name, customer_id, agent_id, conversation_id, segment, occurred_at, received_at, score_state, \
                 reason, decided_at, attempts, next_attempt_at) VALUES ? ON CONFLICT (tenant_id, source, external_id) DO NOTHING",
            );
            let taken = statement.rows(piece.iter().cloned()).run(tx).await?;
            let ids = piece.iter().map(|row| text_of(&row[1]));
            // Mostly all of them are new; asking each row for its id would cost as much as writing it.
            let inserted: Vec<String> = if taken == piece.len() as u64 {
                ids.map(str::to_owned).collect()
            } else {
                sql("SELECT id FROM interaction WHERE tenant_id = ? AND id IN ?")
                    .bind(tenant.0)
                    .list(ids)
                    .column(tx)
                    .await?
            };
            for id in inserted {
                let Some((i, is_erased)) = by_id.remove(&id) else { continue };
                if !is_erased {
                    let text = items[i].arrival.interaction.text.as_str().into();
                    texts.push([tenant.0.into(), id.as_str().into(), 1_i64.into(), text]);
                }
                answers[i].get_or_insert(Accepted::Created { id });
            }
        }
        for piece in pieces(&texts) {
            sql("INSERT INTO interaction_text (tenant_id, interaction_id, revision, body) VALUES ?")
                .rows(piece.iter().cloned())
                .run(tx)
                .await?;
        }
        let mut known: Vec<usize> = by_id.into_values().map(|(i, _)| i).collect();
        known.sort_unstable();
        self.accept_known(tx, (tenant, at), items, linked, &known, answers).await
    }

    /// Those whose `(source, external_id)` was taken in before; answers as [`Self::accept_wave`] does.
    async fn accept_known(
        &self,
        tx: &DatabaseTransaction,
        (tenant, at): (TenantId, DateTime<Utc>),
        items: &[Incoming],
        linked: &Linked,
        known: &[usize],
        answers: &mut [Option<Accepted>],
    ) -> Result<Vec<usize>> {
        let (mut revised, mut erased, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces(known) {
            let of = |i: &usize| &items[*i].arrival.interaction;
            let existing = existing(tx, tenant, piece.iter().map(of)).await?;
            for i in piece {
                let key = (of(i).source.clone(), of(i).external_id.clone());
                let Some(row) = existing.get(&key) else { continue };
                let id = row.id.clone();
                answers[*i] = Some(if row.digest == items[*i].digest {
                    Accepted::Duplicate { id }
                } else if items[*i].arrival.update {
                    if linked.whose(of(i)).is_erased {
                        erased.push(id.clone());
                        again.push(*i);
                    } else {
                        revised.push((id.clone(), *i));
                    }
                    Accepted::Updated { id }
                } else {
                    Accepted::Conflict { id }
                });
            }
        }
        // What is now told to be of somebody who was erased was theirs before: it goes with all it left behind, and comes back without words.
        reach::forget(self, tx, tenant, &erased, Counters::Move).await?;
        // In the order of their ids, for the same reason as above.
        revised.sort_unstable();
        if !revised.is_empty() {
            // Whose they were is counted without them from now on, and nobody switches the agents' numbers on meanwhile. Interactions are
            // locked before customers are marked, as recording does.
            hold_days(self, tx, tenant).await?;
            let ids: Vec<&str> = revised.iter().map(|(id, _)| id.as_str()).collect();
            for piece in pieces(&ids) {
                sql("SELECT id FROM interaction WHERE tenant_id = ? AND id IN ? ORDER BY id")
                    .bind(tenant.0)
                    .list(piece.iter().copied())
                    .then(for_update(self.backend()))
                    .run(tx)
                    .await?;
            }
            agents::mark_those_of(tx, tenant, &ids).await?;
        }
        for (id, i) in revised {
            self.revise(tx, (tenant, at), &items[i], linked, &id).await?;
        }
        Ok(again)
    }

    /// Gives an interaction other content; it is decided about anew, and until then the earlier verdict stands.
    async fn revise(
        &self,
        tx: &DatabaseTransaction,
        (tenant, at): (TenantId, DateTime<Utc>),
        item: &Incoming,
        linked: &Linked,
        id: &str,
    ) -> Result<()> {
        let interaction = &item.arrival.interaction;
        let whose = linked.whose(interaction);
        let revision = sql("UPDATE interaction SET digest = ?, revision = revision + 1, kind = ?, author_kind = ?, direction = ?, visibility = ?, \
             channel = ?, channel_name = ?, customer_id = ?, agent_id = ?, conversation_id = ?, segment = ?, occurred_at = COALESCE(?, occurred_at), \
             score_state = 'pending', reason = NULL, detail = NULL, attempts = 0, next_attempt_at = ?, lease_owner = NULL \
             WHERE tenant_id = ? AND id = ? RETURNING revision")
        .bind(&item.digest)
        .bind(as_word(&interaction.kind))
        .bind(as_word(&interaction.author_kind))
        .bind(as_word(&interaction.direction))
        .bind(as_word(&interaction.visibility))
        .bind(interaction.channel.as_str())
        .bind(interaction.channel_name.clone())
        .bind(whose.customer)
        .bind(id_of(&linked.agents, interaction.agent.as_ref()))
        .bind(id_of(&linked.conversations, interaction.conversation.as_ref()))
        .bind(whose.segment)
        .bind(interaction.occurred_at.map(|occurred| occurred.trunc_subsecs(6)))
        .bind(at)
        .bind(tenant.0)
        .bind(id)
        .value::<i64>(tx)
        .await?
        .unwrap_or(1);
        sql("INSERT INTO interaction_text (tenant_id, interaction_id, revision, body) VALUES ?")
            .rows([[tenant.0.into(), id.into(), revision.into(), interaction.text.as_str().into()]])
            .run(tx)
            .await?;
        Ok(())
    }
}

/// The state in which an interaction begins, and why: it waits, but for one of somebody who was erased.
fn begins(whose: &Whose) -> (&'static str, Option<&'static str>) {
    if whose.is_erased { ("skipped", Some(SkipReason::OptedOut.as_str())) } else { ("pending", None) }
}

/// Source and external id of a row to be inserted.
fn key_of(row: &[Value; 23]) -> (&str, &str) {
    (text_of(&row[2]), text_of(&row[3]))
}

fn text_of(value: &Value) -> &str {
    match value {
        Value::String(Some(text)) => text,
        _ => "",
    }
}
