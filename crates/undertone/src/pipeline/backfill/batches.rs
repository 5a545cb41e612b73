//! Batches at the provider's: looked at until they end, found again where nobody knows what became of them, and read.

use chrono::{DateTime, TimeDelta, Utc};
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

use super::Driver;
use super::post::{Outcome, Post, Told, Trouble, refusal};
use super::reach::Reach;
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
    /// One of them was looked at just now.
    pub looked: bool,
    /// When the next of them is looked at.
    pub until: Option<DateTime<Utc>>,
}

impl Driver {
    /// Looks after every batch of a run whose time it is, one at a time.
    pub(super) async fn attend(&self, tenant: &Tenant, run: &Run) -> Result<Attended, StoreError> {
        let store = &self.tools.store;
        if !run.asked.via_batches {
            return Ok(Attended { open: 0, looked: false, until: None });
        }
        let open = store.open_batches(tenant.id, &run.id).await?;
        let now = store.now();
        // One that is to be stopped is told so at once, unless that was tried in vain.
        let stop = |row: &BatchRow| {
            run.state == RunState::Cancelled && row.state == BatchState::InProgress && row.detail.is_none()
        };
        let due = open.iter().find(|row| row.next_look_at <= now || stop(row));
        if let Some(row) = due {
            self.look_at(tenant, run, row.clone()).await?;
            return Ok(Attended { open: open.len(), looked: true, until: None });
        }
        let until = open.iter().map(|row| row.next_look_at).min();
        Ok(Attended { open: open.len(), looked: false, until })
    }

    async fn look_at(&self, tenant: &Tenant, run: &Run, mut row: BatchRow) -> Result<(), StoreError> {
        let store = &self.tools.store;
        let now = store.now();
        if now > row.made_at + KEPT {
            return self.give_up(tenant, run, row, "its results were not read within 29 days").await;
        }
        let key = match self.tools.llms.claude_key(tenant.id).await? {
            Ok(key) if key.base_url == row.base_url => key,
            Ok(_) => {
                let why = "the key is for another address now";
                return self.out_of_reach(tenant, run, row, Reach::Elsewhere, (why, None)).await;
            }
            Err(why) => return self.out_of_reach(tenant, run, row, Reach::NoKey, (&why, None)).await,
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
                self.in_reach(&row.id);
                row.state = match told.processing_status.as_str() {
                    "ended" => BatchState::Ended,
                    "canceling" => BatchState::Canceling,
                    _ => BatchState::InProgress,
                };
                row.expires_at = told.expires_at.or(row.expires_at);
                row.detail = None;
                // Of one that has ended the results are there at once.
                row.next_look_at = if told.has_ended() { now } else { now + self.tools.patience.look_every };
                self.note(tenant, run, &row).await
            }
            Err(Trouble::No { gone: true, .. }) => {
                let why = "the provider does not know the batch by the key that is set now";
                self.out_of_reach(tenant, run, row, Reach::Elsewhere, (why, None)).await
            }
            Err(trouble) if trouble.refuses_the_key() => {
                self.out_of_reach(tenant, run, row, Reach::NoKey, (&trouble.to_string(), trouble.wait()))
                    .await
            }
            Err(trouble) => self.later(tenant, run, row, &trouble.to_string(), trouble.wait()).await,
        }
    }

    /// Notes what became known of a batch; stops whoever does not drive the run any more.
    pub(super) async fn note(&self, tenant: &Tenant, run: &Run, row: &BatchRow) -> Result<(), StoreError> {
        self.tools.store.note_batch(tenant.id, (&run.id, &self.owner), row).await
    }

    /// Looks at a batch another time, and not before `wait` is over, where somebody asks for it.
    pub(super) async fn later(
        &self,
        tenant: &Tenant,
        run: &Run,
        mut row: BatchRow,
        why: &str,
        wait: Option<TimeDelta>,
    ) -> Result<(), StoreError> {
        let usual = self.tools.patience.look_every;
        row.detail = Some(why.to_owned());
        row.next_look_at = self.tools.store.now() + wait.map_or(usual, |wait| wait.max(usual));
        self.note(tenant, run, &row).await
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
            Err(trouble) if trouble.refuses_the_key() => {
                let why = (&*trouble.to_string(), trouble.wait());
                return self.out_of_reach(tenant, run, row, Reach::NoKey, why).await;
            }
            Err(trouble) => return self.later(tenant, run, row, &trouble.to_string(), trouble.wait()).await,
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
            match post.results(&told.id, &ours).await {
                Ok(outcomes) if outcomes.is_empty() => {}
                Ok(_) => return self.found(tenant, run, row, told).await,
                Err(_) => unsure = true,
            }
        }
        if unsure {
            let why = "it may be one that the provider works on; that shows when it has ended";
            return self.later(tenant, run, row, why, None).await;
        }
        if store.now() < row.made_at + self.tools.patience.listed_within {
            row.next_look_at = (row.made_at + self.tools.patience.listed_within)
                .min(store.now() + self.tools.patience.look_every);
            return self.note(tenant, run, &row).await;
        }
        self.unmake(tenant, run, row, ("the provider does not list it", TimeDelta::zero())).await
    }

    async fn found(
        &self,
        tenant: &Tenant,
        run: &Run,
        mut row: BatchRow,
        told: Told,
    ) -> Result<(), StoreError> {
        tracing::info!(tenant = tenant.slug, batch = told.id, "batch {} is found again", told.id);
        row.provider_id = Some(told.id);
        row.state = BatchState::Ended;
        row.expires_at = told.expires_at;
        row.next_look_at = self.tools.store.now();
        row.detail = None;
        self.note(tenant, run, &row).await
    }

    /// Nobody can know any more what the provider did. What was set aside counts as spent, and the texts are asked about again.
    pub(super) async fn give_up(
        &self,
        tenant: &Tenant,
        run: &Run,
        mut row: BatchRow,
        why: &str,
    ) -> Result<(), StoreError> {
        let store = &self.tools.store;
        for request in store.open_requests(tenant.id, &row.id).await? {
            let ended = (request.id.as_str(), RequestResult::Lost);
            store.end_request(tenant.id, (&run.id, &self.owner), ended, Again::default()).await?;
        }
        row.state = BatchState::Lost;
        row.detail = Some(format!("it was given up: {why}"));
        row.ended_at = Some(store.now());
        self.note(tenant, run, &row).await
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
        let open = store.open_requests(tenant.id, &row.id).await?;
        let mut outcomes = match post.results(id, &open).await {
            Ok(outcomes) => outcomes,
            Err(Trouble::No { gone: true, .. }) => {
                return self
                    .out_of_reach(
                        tenant,
                        run,
                        row,
                        Reach::Elsewhere,
                        ("the provider has no results of it", None),
                    )
                    .await;
            }
            Err(trouble) => return self.later(tenant, run, row, &trouble.to_string(), trouble.wait()).await,
        };
        for request in open {
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
        self.note(tenant, run, &row).await?;
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
            Outcome::Succeeded { message } => self.succeeded(tenant, run, row, request, &message).await?,
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
    ) -> Result<(RequestResult, Again<'static>), StoreError> {
        let (store, llms) = (&self.tools.store, &self.tools.llms);
        let (module, knowledge) = self.tools.lessons.knowledge(store, tenant.id).await?;
        let again = |detail| Again {
            alone: true,
            reason: Some("retrying"),
            detail: Some(detail),
            ..Again::default()
        };
        let Ok(reply) = claude::reply(message.to_string().as_bytes(), None, Some(CACHE)) else {
            // What it took is not known.
            return Ok((RequestResult::Lost, again("the answer could not be read")));
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
        // Where it does not say what it took, that is not known, however good the answer is.
        let result = if reply.usage.is_some() { RequestResult::Succeeded } else { RequestResult::Lost };
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
            // Nothing was wrong with the answer: together they cost a fraction of what each would by itself.
            let detail = "a text, whom it names, or a setting has changed since it was asked about";
            let together = Again { reason: Some("retrying"), detail: Some(detail), ..Again::default() };
            return Ok((result, together));
        }
        let made = Made {
            model: &row.model,
            prompt_version: &row.prompt_version,
            cost_micros: cost.unwrap_or_default(),
        };
        let finished = self.finished((items, &people), &reply, &texts, &knowledge, made);
        self.record(tenant.id, &run.id, finished).await?;
        Ok((result, again("the answer to several texts did not serve this one")))
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
