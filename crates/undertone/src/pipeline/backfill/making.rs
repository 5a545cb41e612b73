//! Putting a run's items into batches for the provider: what they ask, what they may take, and the way there.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use undertone_core::usage::Feature;
use undertone_core::usage::price::Price;
use undertone_core::verdict::ScorerKind;
use undertone_core::{Settings, SkipReason};
use undertone_scoring::llm::answer::is_suspicious;
use undertone_scoring::llm::ask::Rest;
use undertone_scoring::llm::ask::batch::{Prepared, group, prepare, prompt_version};
use undertone_scoring::{Knowledge, Utterance};
use undertone_store::backfill::{
    Again, BatchRow, BatchState, Entered, MOST_BATCHES, NewBatch, NewRequest, RequestResult, Run, Waiting,
};
use undertone_store::basis::Basis;
use undertone_store::budget::{Amount, Caps, Frees, Refusal, ReserveRequest};
use undertone_store::queue::Claimed;
use undertone_store::record::{Finished, Outcome};
use undertone_store::secrets::Provider;
use undertone_store::{StoreError, Tenant};

use super::Driver;
use super::post::{Post, Told, Trouble};
use crate::llm::CLAUDE_MODEL;
use crate::pipeline::decide::{MAX_ATTEMPTS, Rules, to_ask};
use crate::secrets::ProviderKey;

/// Interactions of a run that become items at a time, where they go into batches.
pub(super) const SLICE: u16 = 500;
/// Texts that are looked at for one batch.
const MOST_TEXTS: u16 = 2000;
/// Requests in one batch: their answers are in memory together when it is read, some 20 KB each.
const MOST_REQUESTS: usize = 250;
/// Batches of a run at the provider's at a time.
pub(super) const MOST_OPEN: usize = MOST_BATCHES.cast_unsigned() as usize;
/// What is reserved for a request is held until its batch must have ended and been read, results being kept for 29 days.
const LEASE: TimeDelta = TimeDelta::days(30);
/// Where the LLM can not be asked, it is tried again after this long.
const REST: TimeDelta = TimeDelta::seconds(30);
/// Where there is no money or no key, this often: a cap may be raised, a key be set.
const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(5);
/// What is left alone is not looked at again sooner.
const LEAST_WAIT: TimeDelta = TimeDelta::seconds(5);
/// Nothing is left alone for longer: what was in the way may be mended meanwhile.
pub(super) const MOST_WAIT: TimeDelta = TimeDelta::days(1);

/// A request as it is entered, and as it is sent.
struct Drafted {
    row: NewRequest,
    params: Value,
}

impl Drafted {
    /// The most it can take.
    fn most(&self) -> Amount {
        Amount { tokens: self.row.most_tokens, micros: self.row.most_micros.unwrap_or(0) }
    }
}

/// A batch that is entered: its id, and of each request its own and its `params`.
type Sending = (String, Vec<(String, Value)>);

/// What there is to make a batch of.
struct Making<'a> {
    tenant: &'a Tenant,
    run: &'a Run,
    settings: &'a Settings,
    knowledge: &'a Knowledge,
    model: &'a str,
}

impl Driver {
    /// Puts what is due into a batch and sends it. Where nothing is due, answers what of the run waits.
    pub(super) async fn fill_batches(
        &self,
        tenant: &Tenant,
        run: &Run,
        settings: &Settings,
        open: usize,
    ) -> Result<Option<Waiting>, StoreError> {
        let store = &self.tools.store;
        let waiting = store.backfill_waiting(tenant.id, &run.id).await?;
        if open >= MOST_OPEN {
            return Ok(Some(waiting));
        }
        // What fills a batch is gathered first.
        if !run.exhausted && waiting.items - waiting.in_batches < i64::from(MOST_TEXTS) {
            let slice = store.open_slice(tenant, &run.id, &self.owner, settings, SLICE).await?;
            if slice.is_some_and(|slice| slice.opened > 0 || !slice.exhausted) {
                return Ok(None);
            }
        }
        if waiting.until.is_none_or(|until| until > store.now()) {
            return Ok(Some(waiting));
        }
        let (module, knowledge) = self.tools.lessons.knowledge(store, tenant.id).await?;
        let basis = store.basis(tenant.id, &module).await?;
        let key = match self.tools.llms.claude_key(tenant.id).await? {
            Ok(key) => key,
            Err(why) => {
                let until = store.now() + LOOK_AGAIN;
                self.defer(tenant, run, (SkipReason::NoKey, &why), until, &basis).await?;
                return Ok(None);
            }
        };
        if run.scored == 0 && open == 0 {
            return self.score_piece(tenant, run, true).await;
        }
        let settings = run.asked.over(&module.settings);
        let model = settings.model.clone().unwrap_or_else(|| CLAUDE_MODEL.to_owned());
        let access = self.tools.llms.access(Provider::Claude, &key);
        self.tools.llms.heed(tenant.id, &basis);
        let finds_out = match access.may_ask(&model, store.now()) {
            Ok(finds_out) => finds_out,
            Err(Rest { wait, why }) => {
                let until = store.now() + wait.clamp(LEAST_WAIT, MOST_WAIT);
                self.defer(tenant, run, (SkipReason::LlmUnavailable, &why), until, &basis).await?;
                return Ok(None);
            }
        };
        let making = Making { tenant, run, settings: &settings, knowledge: &knowledge, model: &model };
        let entered = match self.texts(tenant, run, &settings, &knowledge).await {
            Ok(texts) => self.enter(&making, &key, &texts).await,
            Err(error) => Err(error),
        };
        if finds_out && !matches!(entered, Ok((Some(_), _))) {
            access.not_asked(&model, store.now());
        }
        let (sending, refused) = entered?;
        if let Some((id, requests)) = sending {
            self.send(&making, &key, &id, requests).await?;
        }
        if let Some(refusal) = refused {
            let now = store.now();
            let until = match refusal.frees {
                Frees::At(at) => at.min(now + LOOK_AGAIN),
                Frees::WhenCallsSettle | Frees::WithHigherCap => now + LOOK_AGAIN,
            };
            let reason = SkipReason::from(refusal.reason());
            self.defer(tenant, run, (reason, &refusal.to_string()), until, &basis).await?;
        }
        Ok(None)
    }

    /// Puts off what is due until `until`, unless a cap was raised or a key set meanwhile.
    async fn defer(
        &self,
        tenant: &Tenant,
        run: &Run,
        (reason, detail): (SkipReason, &str),
        until: DateTime<Utc>,
        basis: &Basis,
    ) -> Result<(), StoreError> {
        let (store, why) = (&self.tools.store, (reason.as_str(), detail));
        store.defer_items(tenant.id, (&run.id, &self.owner), why, until).await?;
        store.hasten_if_changed(tenant.id, basis).await?;
        Ok(())
    }

    /// What is due, as it is asked about; what the gate leaves out, and what was tried too often, is recorded.
    async fn texts(
        &self,
        tenant: &Tenant,
        run: &Run,
        settings: &Settings,
        knowledge: &std::sync::Arc<Knowledge>,
    ) -> Result<Vec<(Claimed, bool, Utterance)>, StoreError> {
        let store = &self.tools.store;
        let due = store.items_for_batch(tenant.id, &run.id, &self.owner, MOST_TEXTS).await?;
        let (claimed, alone): (Vec<Claimed>, Vec<bool>) = due.into_iter().unzip();
        let people = store.people_of(tenant.id, &claimed).await?;
        let chosen = self.tools.llms.choose(tenant.id, settings, &self.aside).await?;
        let rules = Rules {
            active: true,
            settings,
            knowledge: knowledge.clone(),
            local: self.aside.as_ref(),
            chosen: &chosen,
        };
        let now = store.now();
        let (mut texts, mut left_out) = (Vec::new(), Vec::new());
        for (claimed, alone) in claimed.into_iter().zip(alone) {
            if claimed.attempts >= MAX_ATTEMPTS {
                let detail = format!("asked about {MAX_ATTEMPTS} times, and no answer could be used");
                left_out.push(Finished { claimed, outcome: Outcome::Failed { detail, retry_at: None } });
                continue;
            }
            match to_ask(&claimed, &rules, &people, now) {
                Ok(utterance) => {
                    let alone = alone || is_suspicious(&utterance);
                    texts.push((claimed, alone, utterance));
                }
                Err(outcome) => left_out.push(Finished { claimed, outcome }),
            }
        }
        if !left_out.is_empty() {
            self.record(tenant.id, &run.id, left_out).await?;
        }
        Ok(texts)
    }

    /// The requests about `texts`, as many as one batch has and the budget may have room for, and one more: the store tells why that is one
    /// too many.
    async fn draft(
        &self,
        making: &Making<'_>,
        texts: &[(Claimed, bool, Utterance)],
    ) -> Result<Vec<Drafted>, StoreError> {
        let caps = Caps::of(making.settings);
        let budget = self.tools.store.budget(making.tenant).await?;
        let lengths: Vec<(usize, bool)> =
            texts.iter().map(|(_, alone, utterance)| (utterance.text.len(), *alone)).collect();
        let (mut drafted, mut sum) = (Vec::new(), Amount::default());
        for range in group(&lengths, making.settings.llm_together.into()) {
            let whole = self.draft_one(making, &texts[range.clone()]);
            // What is more than the whole cap together may fit one by one.
            let pieces = if caps.ever_admit(whole.most()) || range.len() == 1 {
                vec![whole]
            } else {
                texts[range].chunks(1).map(|one| self.draft_one(making, one)).collect()
            };
            for one in pieces {
                sum = sum.plus(one.most());
                drafted.push(one);
                if drafted.len() == MOST_REQUESTS || !caps.have_room(&budget, sum) {
                    return Ok(drafted);
                }
            }
        }
        Ok(drafted)
    }

    fn draft_one(&self, making: &Making<'_>, texts: &[(Claimed, bool, Utterance)]) -> Drafted {
        let (store, llms) = (&self.tools.store, &self.tools.llms);
        let utterances: Vec<Utterance> = texts.iter().map(|(_, _, utterance)| utterance.clone()).collect();
        let Prepared { params, size, caching, digest } = prepare(&utterances, making.knowledge, making.model);
        let price = llms.prices().of(making.model, store.now().date_naive());
        let most = |price: &Price| price.most_cost(size.most_prompt(), size.max_tokens, caching, true);
        let items = texts.iter().map(|(claimed, _, _)| (claimed.id.clone(), claimed.attempts));
        let row = NewRequest {
            id: format!("ut-{}", uuid::Uuid::new_v4().simple()),
            digest,
            most_tokens: size.most_tokens(),
            most_micros: price.map(most),
            items: items.collect(),
        };
        Drafted { row, params }
    }

    /// Enters a batch about `texts` with the money for it: its id and the requests that are to be sent, where there is one, and why there are
    /// no more. One that is not entered, because the run was stopped in the meantime or is another node's, is as if it had never been.
    async fn enter(
        &self,
        making: &Making<'_>,
        key: &ProviderKey,
        texts: &[(Claimed, bool, Utterance)],
    ) -> Result<(Option<Sending>, Option<Refusal>), StoreError> {
        let store = &self.tools.store;
        let drafted = self.draft(making, texts).await?;
        if drafted.is_empty() {
            return Ok((None, None));
        }
        let (requests, params): (Vec<NewRequest>, Vec<(String, Value)>) =
            drafted.into_iter().map(|one| (one.row.clone(), (one.row.id, one.params))).unzip();
        let id = uuid::Uuid::now_v7().to_string();
        let version = prompt_version(making.knowledge);
        let batch = NewBatch {
            id: &id,
            base_url: &key.base_url,
            prompt_version: &version,
            next_look_at: store.now() + self.tools.patience.look_every,
            call: ReserveRequest {
                feature: Feature::Scoring,
                model: making.model,
                scorer: ScorerKind::Claude,
                owner: self.tools.llms.owner(),
                batched: true,
                lease: LEASE,
                texts: 0,
                most_tokens: 0,
                most_micros: None,
            },
            requests,
        };
        let by = (making.run.id.as_str(), &*self.owner);
        let entered = store.enter_batch(making.tenant, by, &Caps::of(making.settings), &batch).await?;
        let Some(Entered { requests, refusal }) = entered else { return Ok((None, None)) };
        let sending = (requests > 0).then(|| (id, params.into_iter().take(requests).collect()));
        Ok((sending, refusal))
    }

    /// Sends a batch that is entered, and notes what the provider calls it.
    async fn send(
        &self,
        making: &Making<'_>,
        key: &ProviderKey,
        id: &str,
        params: Vec<(String, Value)>,
    ) -> Result<(), StoreError> {
        let (tenant, run) = (making.tenant, making.run);
        let outside = self.tools.llms.outside();
        let made = Post { outside, key }.make(params).await;
        self.learn_from(&made, making.model, key);
        let rows = self.tools.store.open_batches(tenant.id, &run.id).await?;
        let Some(mut row) = rows.into_iter().find(|row| row.id == id) else { return Ok(()) };
        match made {
            Ok(told) => {
                tracing::info!(
                    tenant = tenant.slug,
                    batch = told.id,
                    requests = row.requests,
                    "batch {} is made",
                    told.id
                );
                row.provider_id = Some(told.id);
                row.state = BatchState::InProgress;
                row.expires_at = told.expires_at;
                self.note(tenant, run, &row).await
            }
            Err(Trouble::No { detail, wait, .. }) => {
                self.unmake(tenant, run, row, (&detail, wait.unwrap_or(REST))).await
            }
            // It is looked for: see `batches`.
            Err(Trouble::Unknown(detail)) => {
                row.detail = Some(detail);
                self.note(tenant, run, &row).await
            }
        }
    }

    /// What the key's access learns from a batch that was sent.
    fn learn_from(&self, made: &Result<Told, Trouble>, model: &str, key: &ProviderKey) {
        let access = self.tools.llms.access(Provider::Claude, key);
        let now = self.tools.store.now();
        match made {
            Ok(_) => access.answered(model),
            // Who has no batches may answer single requests all the same.
            Err(Trouble::No { failure: Some(failure), .. })
                if failure.refuses(now).is_some_and(|of| !of.model_alone) =>
            {
                access.refused(model, failure, now);
            }
            Err(_) => {}
        }
    }

    /// A batch was never made: its money and its items are free again.
    pub(super) async fn unmake(
        &self,
        tenant: &Tenant,
        run: &Run,
        mut row: BatchRow,
        (detail, rest): (&str, TimeDelta),
    ) -> Result<(), StoreError> {
        let store = &self.tools.store;
        let caps = Caps::of(&store.module(tenant.id).await?.settings);
        let reason = Some(SkipReason::LlmUnavailable.as_str());
        for request in store.open_requests(tenant.id, &row.id).await? {
            store.release_call(tenant.id, &caps, &request.call_id).await?;
            let again = Again { rest, forgiven: true, reason, detail: Some(detail), ..Again::default() };
            let ended = (request.id.as_str(), RequestResult::Canceled);
            store.end_request(tenant.id, (&run.id, &self.owner), ended, again).await?;
        }
        row.state = BatchState::Read;
        row.detail = Some(format!("it was not made: {detail}"));
        row.ended_at = Some(store.now());
        self.note(tenant, run, &row).await
    }
}
