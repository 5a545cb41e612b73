//! Batches at the provider's: looked at until they end, found again where nobody knows what became of them, and read.

use std::collections::HashMap;

use chrono::TimeDelta;
use serde_json::Value;
use undertone_core::usage::price::Made as PaidHow;
use undertone_core::{SkipReason, text};
use undertone_scoring::llm::ask::batch::{CACHE, Made, Unanswered, prepare, verdicts};
use undertone_scoring::llm::{Reply, claude};
use undertone_scoring::{Knowledge, Utterance};
use undertone_store::backfill::{
    Again, BatchRow, BatchState, RequestItem, RequestResult, RequestRow, Run, RunState,
};
use undertone_store::budget::{Bill, Caps};
use undertone_store::people::People;
use undertone_store::queue::Claimed;
use undertone_store::record::{Finished, Outcome as Recorded};
use undertone_store::{StoreError, Tenant};

use super::post::{Line, Outcome, Post, Told, Trouble, refusal};
use super::{Driver, Step, wait};
use crate::llm::Chosen;
use crate::pipeline::decide::{Rules, finished, scored, utterance, without};

/// The provider's clock and ours may differ by so much.
const CLOCKS: TimeDelta = TimeDelta::minutes(5);
/// A batch that nobody can ask about any more is given up when its results are gone.
const KEPT: TimeDelta = TimeDelta::days(29);
/// A request that the provider could not answer is asked again after this long.
const REST: TimeDelta = TimeDelta::minutes(1);

/// What looking after a run's batches came to.
pub(super) struct Attended {
    /// Batches that are not dealt with.
    pub open: usize,
    /// What is next as far as they go.
    pub next: Step,
}

impl Driver {
    /// Looks after every batch of a run whose time it is, one at a time.
    pub(super) async fn attend(&self, tenant: &Tenant, run: &Run) -> Result<Attended, StoreError> {
        let store = &self.tools.store;
        if !run.asked.via_batches {
            return Ok(Attended { open: 0, next: Step::Wait(super::LOOK_EVERY) });
        }
        let open = store.open_batches(tenant.id, &run.id).await?;
        let now = store.now();
        // One that is to be stopped is told so at once.
        let stop = |row: &BatchRow| run.state == RunState::Cancelled && row.state == BatchState::InProgress;
        let due = open.iter().find(|row| row.next_look_at <= now || stop(row));
        if let Some(row) = due {
            self.look_at(tenant, run, row.clone()).await?;
            return Ok(Attended { open: open.len(), next: Step::Go });
        }
        let soonest = open.iter().map(|row| row.next_look_at).min();
        let next = soonest.map_or(Step::Wait(super::LOOK_EVERY), |until| wait(store, until));
        Ok(Attended { open: open.len(), next })
    }

    async fn look_at(&self, tenant: &Tenant, run: &Run, mut row: BatchRow) -> Result<(), StoreError> {
        let store = &self.tools.store;
        let now = store.now();
        if now > row.made_at + KEPT {
            return self.give_up(tenant, run, row).await;
        }
        let key = match self.tools.llms.claude_key(tenant.id).await? {
            Ok(key) if key.base_url == row.base_url => key,
            Ok(_) => {
                let why = "the key is for another address now; the batch is looked at when the former one is set again";
                return self.later(tenant, row, why, None).await;
            }
            Err(why) => return self.later(tenant, row, &why, None).await,
        };
        let post = Post { outside: self.tools.llms.outside(), key: &key };
        let Some(id) = row.provider_id.clone() else { return self.find(tenant, run, row, &post).await };
        if row.state == BatchState::Ended {
            return self.read(tenant, run, row, &post, &id).await;
        }
        let told = if run.state == RunState::Cancelled && row.state == BatchState::InProgress {
            match post.cancel(&id).await {
                // One that has ended in the meantime can not be stopped any more.
                Err(Trouble::No { gone: false, .. }) => post.look(&id).await,
                told => told,
            }
        } else {
            post.look(&id).await
        };
        match told {
            Ok(told) => {
                row.state = match told.processing_status.as_str() {
                    "ended" => BatchState::Ended,
                    "canceling" => BatchState::Canceling,
                    _ => BatchState::InProgress,
                };
                row.expires_at = told.expires_at.or(row.expires_at);
                row.detail = None;
                // Of one that has ended the results are there at once.
                row.next_look_at = if told.has_ended() { now } else { now + self.tools.patience.look_every };
                store.note_batch(tenant.id, &row).await
            }
            Err(trouble) => self.later(tenant, row, &trouble.to_string(), trouble.wait()).await,
        }
    }

    /// Looks at a batch another time, and not before `wait` is over, where somebody asks for it.
    async fn later(
        &self,
        tenant: &Tenant,
        mut row: BatchRow,
        why: &str,
        wait: Option<TimeDelta>,
    ) -> Result<(), StoreError> {
        let usual = self.tools.patience.look_every;
        row.detail = Some(why.to_owned());
        row.next_look_at = self.tools.store.now() + wait.map_or(usual, |wait| wait.max(usual));
        self.tools.store.note_batch(tenant.id, &row).await
    }

    /// Looks for a batch that was sent and of which nothing was heard: among those the provider lists, the one with our requests. Their ids
    /// are told once it has ended. Where none is listed that could be it, it was never made.
    async fn find(
        &self,
        tenant: &Tenant,
        run: &Run,
        mut row: BatchRow,
        post: &Post<'_>,
    ) -> Result<(), StoreError> {
        let store = &self.tools.store;
        let listed = match post.list(row.made_at - CLOCKS).await {
            Ok(listed) => listed,
            Err(trouble) => return self.later(tenant, row, &trouble.to_string(), trouble.wait()).await,
        };
        let until = row.made_at + self.tools.patience.listed_within + CLOCKS;
        let ours = store.open_requests(tenant.id, &row.id).await?;
        let mut unsure = false;
        for told in listed {
            let may_be = told.created_at <= until && told.requests() == row.requests.cast_unsigned();
            if !may_be || store.knows_batch(tenant.id, &told.id).await? {
                continue;
            }
            if !told.has_ended() {
                unsure = true;
                continue;
            }
            match post.results(&told.id).await {
                Ok(lines) if lines.iter().any(|line| ours.iter().any(|one| one.id == line.custom_id)) => {
                    return self.found(tenant, row, told).await;
                }
                Ok(_) => {}
                Err(_) => unsure = true,
            }
        }
        if unsure {
            let why = "it may be one that the provider works on; that shows when it has ended";
            return self.later(tenant, row, why, None).await;
        }
        if store.now() < row.made_at + self.tools.patience.listed_within {
            row.next_look_at = (row.made_at + self.tools.patience.listed_within)
                .min(store.now() + self.tools.patience.look_every);
            return store.note_batch(tenant.id, &row).await;
        }
        self.unmake(tenant, run, row, ("the provider does not list it", TimeDelta::zero())).await
    }

    async fn found(&self, tenant: &Tenant, mut row: BatchRow, told: Told) -> Result<(), StoreError> {
        tracing::info!(tenant = tenant.slug, batch = told.id, "batch {} is found again", told.id);
        row.provider_id = Some(told.id);
        row.state = BatchState::Ended;
        row.expires_at = told.expires_at;
        row.next_look_at = self.tools.store.now();
        row.detail = None;
        self.tools.store.note_batch(tenant.id, &row).await
    }

    /// Nobody can know any more what the provider did. What was set aside counts as spent when its lease ends.
    async fn give_up(&self, tenant: &Tenant, run: &Run, mut row: BatchRow) -> Result<(), StoreError> {
        let store = &self.tools.store;
        for request in store.open_requests(tenant.id, &row.id).await? {
            let ended = (request.id.as_str(), RequestResult::Lost);
            store.end_request(tenant.id, (&run.id, &self.owner), ended, Again::default()).await?;
        }
        row.state = BatchState::Lost;
        row.detail = Some("its results were not read within 29 days".to_owned());
        row.ended_at = Some(store.now());
        store.note_batch(tenant.id, &row).await
    }

    /// Reads what became of the requests of a batch that has ended. Broken off, it is read again: what is dealt with is passed over.
    async fn read(
        &self,
        tenant: &Tenant,
        run: &Run,
        mut row: BatchRow,
        post: &Post<'_>,
        id: &str,
    ) -> Result<(), StoreError> {
        let store = &self.tools.store;
        let lines = match post.results(id).await {
            Ok(lines) => lines,
            Err(Trouble::No { gone: true, .. }) => return self.give_up(tenant, run, row).await,
            Err(trouble) => return self.later(tenant, row, &trouble.to_string(), trouble.wait()).await,
        };
        let mut outcomes: HashMap<String, Outcome> =
            lines.into_iter().map(|Line { custom_id, result }| (custom_id, result)).collect();
        for request in store.open_requests(tenant.id, &row.id).await? {
            if let Some(outcome) = outcomes.remove(&request.id) {
                self.end_one(tenant, run, &row, &request, outcome).await?;
            } else {
                // A line that is missing, or can not be read: what it took is not known.
                let ended = (request.id.as_str(), RequestResult::Lost);
                store.end_request(tenant.id, (&run.id, &self.owner), ended, Again::default()).await?;
            }
        }
        row.state = BatchState::Read;
        row.ended_at = Some(store.now());
        store.note_batch(tenant.id, &row).await?;
        // It held its most, and took a fraction of it.
        store.hasten_items(tenant.id).await
    }

    /// Deals with a request that has ended: first the money, then the verdicts, then what is to be asked again.
    async fn end_one(
        &self,
        tenant: &Tenant,
        run: &Run,
        row: &BatchRow,
        request: &RequestRow,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let store = &self.tools.store;
        let settings = store.module(tenant.id).await?.settings;
        let caps = Caps::of(&settings);
        let (result, again) = match outcome {
            Outcome::Succeeded { message } => {
                let again = self.succeeded(tenant, run, row, request, &message).await?;
                (RequestResult::Succeeded, again)
            }
            Outcome::Errored { error } => {
                store.release_call(tenant.id, &caps, &request.call_id).await?;
                (RequestResult::Errored, self.errored(tenant, run, request, &error).await?)
            }
            Outcome::Canceled | Outcome::Expired => {
                store.release_call(tenant.id, &caps, &request.call_id).await?;
                let canceled = outcome == Outcome::Canceled;
                let result = if canceled { RequestResult::Canceled } else { RequestResult::Expired };
                let detail = if canceled { "the batch was cancelled" } else { "the batch expired" };
                let reason = SkipReason::LlmUnavailable.as_str();
                (
                    result,
                    Again { forgiven: true, reason: Some(reason), detail: Some(detail), ..Again::default() },
                )
            }
        };
        store.end_request(tenant.id, (&run.id, &self.owner), (&request.id, result), again).await
    }

    /// Nothing was charged. What is wrong with one among several is found by asking about each.
    async fn errored(
        &self,
        tenant: &Tenant,
        run: &Run,
        request: &RequestRow,
        error: &Value,
    ) -> Result<Again<'static>, StoreError> {
        let (kind, detail) = refusal(error);
        let ours = matches!(kind, "invalid_request_error" | "request_too_large" | "not_found_error");
        if !ours {
            let (reason, detail) = (SkipReason::LlmUnavailable.as_str(), "the provider could not answer it");
            let again = Again {
                rest: REST,
                forgiven: true,
                reason: Some(reason),
                detail: Some(detail),
                alone: false,
            };
            return Ok(again);
        }
        if request.texts == 1 {
            let items = self.tools.store.request_items(tenant.id, &run.id, &request.id).await?;
            let failed = |item: RequestItem| Finished {
                claimed: item.claimed,
                outcome: Recorded::Failed { detail: detail.clone(), retry_at: None },
            };
            let finished = items.into_iter().filter(|item| item.stands).map(failed).collect();
            self.record(tenant.id, &run.id, finished).await?;
        }
        Ok(Again {
            alone: true,
            reason: Some("retrying"),
            detail: Some("the provider refused the request"),
            ..Again::default()
        })
    }

    /// Counts what it took and records the verdicts.
    async fn succeeded(
        &self,
        tenant: &Tenant,
        run: &Run,
        row: &BatchRow,
        request: &RequestRow,
        message: &Value,
    ) -> Result<Again<'static>, StoreError> {
        let (store, llms) = (&self.tools.store, &self.tools.llms);
        let (module, knowledge) = self.tools.lessons.knowledge(store, tenant.id).await?;
        let again = |detail| Again {
            alone: true,
            reason: Some("retrying"),
            detail: Some(detail),
            ..Again::default()
        };
        let Ok(reply) = claude::reply(message.to_string().as_bytes(), None, Some(CACHE)) else {
            // What it took is not known; its most counts as spent when its lease ends.
            return Ok(again("the answer could not be read"));
        };
        let price = llms.prices().of(&row.model, row.made_at.date_naive());
        let cost = reply.usage.and_then(|usage| Some(price?.cost(usage, true)));
        if let Some(usage) = reply.usage {
            let shared_tokens = usage.prompt().saturating_sub(usage.input);
            let how = PaidHow { batched: true, texts: request.texts.unsigned_abs(), shared_tokens };
            let saved = price.map(|price| price.saved(usage, how)).unwrap_or_default();
            let bill = Bill { usage, micros: cost, saved };
            store.settle_call(tenant.id, &Caps::of(&module.settings), &request.call_id, &bill).await?;
        }
        let items = store.request_items(tenant.id, &run.id, &request.id).await?;
        let settings = run.asked.over(&module.settings);
        let claimed: Vec<Claimed> = items.iter().map(|item| item.claimed.clone()).collect();
        let people = store.people_of(tenant.id, &claimed).await?;
        let chosen = Chosen::Local;
        let rules = Rules {
            active: true,
            settings: &settings,
            knowledge: knowledge.clone(),
            local: self.aside.as_ref(),
            chosen: &chosen,
        };
        let most = settings.max_note_length as usize;
        let texts: Vec<Utterance> = claimed
            .iter()
            .map(|one| utterance(one, &rules, &people, text::cut(&one.interaction.text, most)))
            .collect();
        if texts.is_empty() || prepare(&texts, &knowledge, &row.model).digest != request.digest {
            return Ok(again("a text, or whom it names, has changed since it was asked about"));
        }
        let made = Made {
            model: &row.model,
            prompt_version: &row.prompt_version,
            cost_micros: cost.unwrap_or_default(),
        };
        let finished = self.finished((items, &people), &reply, &texts, &knowledge, made);
        self.record(tenant.id, &run.id, finished).await?;
        Ok(again("the answer to several texts did not serve this one"))
    }

    /// What is recorded of the items that stand. Those that are to be asked about alone are left out.
    fn finished(
        &self,
        (items, people): (Vec<RequestItem>, &People),
        reply: &Reply,
        texts: &[Utterance],
        knowledge: &Knowledge,
        made: Made<'_>,
    ) -> Vec<Finished> {
        let now = self.tools.store.now();
        items
            .into_iter()
            .zip(verdicts(reply, texts, knowledge, made))
            .filter(|(item, _)| item.stands)
            .filter_map(|(RequestItem { claimed, .. }, answer)| {
                let outcome = match answer {
                    // They opted out after it was sent.
                    Ok(_) if claimed.opted_out => {
                        Recorded::Skipped { reason: SkipReason::OptedOut, detail: None }
                    }
                    Ok(verdict) => scored(verdict, None, &claimed, now),
                    Err(Unanswered::Alone(_)) => return None,
                    Err(Unanswered::No(why)) => without(why, &claimed, now),
                };
                Some(finished(claimed, outcome, people))
            })
            .collect()
    }
}
