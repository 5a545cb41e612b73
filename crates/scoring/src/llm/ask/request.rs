//! One request, from the first try until it is answered or given up.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use undertone_core::gate::DeferReason;
use undertone_core::usage::RequestSize;
use undertone_core::usage::price::Caching;
use undertone_core::verdict::ScorerKind;
use undertone_core::{SkipReason, Usage};

use super::pace::Turn;
use super::purse::{Ending, Hold, Planned, Refused};
use super::{Api, Asked, Call, Endpoint, LlmScorer, Method, Response, Rest, Unreachable};
use crate::llm::prompt::{Item, Question};
use crate::llm::{
    Failure, FailureKind, Headers, Outcome, RateLimits, Reply, Retry, Unreadable, claude, openai, schema,
};
use crate::{Knowledge, NoVerdict, Scorer, Utterance};

/// A pause that grows starts with this and ends with [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Nobody who waits for an answer waits longer than this for one more try.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How often the provider is asked for the same thing at most where it is not the provider who fails: the pauses for a full window.
const PATIENCE: u32 = 30;

/// An answer in the model's words.
pub(super) struct Answered {
    pub text: String,
    pub usage: Usage,
    /// In millionths of a US dollar.
    pub cost: u64,
    pub model: Option<String>,
    pub schema: String,
}

/// Why a request came to nothing.
pub(super) enum Lost {
    /// The provider can not be asked now; a later question may be answered.
    Unavailable { reason: DeferReason, detail: String, until: Option<DateTime<Utc>> },
    /// It will not be answered as it is.
    Failed(String),
    /// The content was declined.
    Refused,
    /// It was too long, or its answer was, or more than the purse has: with several texts, each alone may pass.
    TooMuch(Box<Self>),
}

impl Lost {
    fn unavailable(detail: impl Into<String>, until: Option<DateTime<Utc>>) -> Self {
        Self::Unavailable { reason: DeferReason::LlmUnavailable, detail: detail.into(), until }
    }

    fn too_long(detail: impl Into<String>) -> Self {
        Self::TooMuch(Box::new(Self::Failed(detail.into())))
    }

    /// What a text is told that was asked about alone.
    pub(super) fn why(self) -> NoVerdict {
        match self {
            Self::Unavailable { reason, detail, until } => NoVerdict::Unavailable { reason, detail, until },
            Self::Failed(detail) => NoVerdict::Failed { detail },
            Self::Refused => SkipReason::Refused.into(),
            Self::TooMuch(lost) => lost.why(),
        }
    }
}

impl From<Refused> for Lost {
    fn from(refused: Refused) -> Self {
        let Refused { reason, detail, until, smaller_may_fit } = refused;
        let lost = Self::Unavailable { reason, detail, until };
        if smaller_may_fit { Self::TooMuch(Box::new(lost)) } else { lost }
    }
}

/// What came of an exchange.
enum Came {
    Reply(Reply),
    Unreadable(Unreadable),
    Error(Failure),
    Nothing(Unreachable),
}

impl Came {
    fn ending(&self) -> Ending {
        match self {
            Self::Reply(reply) => reply.usage.map_or(Ending::Unknown, Ending::Charged),
            Self::Error(failure) if failure.is_free() => Ending::Free,
            Self::Nothing(Unreachable { sent: false, .. }) => Ending::Free,
            // What nobody can read, and what never arrived, may have been made and charged.
            Self::Unreadable(_) | Self::Error(_) | Self::Nothing(_) => Ending::Unknown,
        }
    }
}

/// A request's place among those under way.
struct MayGo {
    /// It is the one that finds out how the provider does now.
    finds_out: bool,
    turn: Option<Turn>,
}

/// Whether there is a place.
enum Place {
    Free(MayGo),
    /// The provider said that its window is full until then.
    Full(DateTime<Utc>),
}

/// What one try came to.
enum Tried {
    Answered(Answered),
    /// The answer was cut off.
    CutOff,
    /// It may be tried again after this, or is lost for this reason.
    Failed(Retry, Lost),
}

impl LlmScorer {
    /// Asks until there is an answer, the tries are used up, or trying again is no use.
    pub(super) async fn request(
        &self,
        asked: &[Asked<'_>],
        knowledge: &Knowledge,
        model: &str,
    ) -> Result<Answered, Lost> {
        let items: Vec<Item<'_>> = asked.iter().map(Asked::item).collect();
        let question = Question::new(&items, knowledge);
        let mut doubled = false;
        let mut tried = 0;
        loop {
            tried += 1;
            let (pause, why) = match self.try_once(&question, model, doubled).await? {
                Tried::Answered(answered) => return Ok(answered),
                Tried::CutOff if doubled => {
                    return Err(Lost::too_long("the model's answer is longer than allowed"));
                }
                Tried::CutOff => {
                    doubled = true;
                    continue;
                }
                Tried::Failed(retry, why) => (pause(retry, tried, self.outside.chance()), why),
            };
            match pause {
                Some(pause) if tried < self.manner.tries => self.outside.sleep(pause).await,
                _ => return Err(why),
            }
        }
    }

    /// One try: its turn and its money, the exchange, and what that means.
    async fn try_once(&self, question: &Question<'_>, model: &str, doubled: bool) -> Result<Tried, Lost> {
        let (call, planned) = self.endpoint.call(self.kind(), question, model, doubled);
        let (turn, hold) = self.turn_and_money(model, planned).await?;
        let sent = self.outside.send(call).await;
        let now = self.outside.now();
        let came = match sent {
            Ok(response) => {
                self.access.pace.observe(&self.endpoint.limits(&response, now), now);
                self.endpoint.read(&response, now)
            }
            Err(unreachable) => Came::Nothing(unreachable),
        };
        // Before the turn is handed on: whoever gets it must not ask for what was just refused.
        self.learn_from(&came, model, &turn, now);
        drop(turn);
        let cost = self.purse.settle(hold, planned, came.ending()).await;
        Ok(match came {
            Came::Reply(reply) => said(reply, cost, schema::hash(question.categories)),
            Came::Unreadable(unreadable) => {
                Tried::Failed(Retry::BackOff, Lost::unavailable(unreadable.to_string(), None))
            }
            Came::Error(failure) => Tried::Failed(failure.retry, lost(&failure, now)),
            Came::Nothing(unreachable) => {
                let told = format!("the provider can not be reached: {unreachable}");
                Tried::Failed(Retry::BackOff, Lost::unavailable(told, None))
            }
        })
    }

    /// Waits for both: a place among the requests under way, which others ask for too, and the money. While the one is waited for, the other is
    /// not held: who has to wait for money gives its place back, and money is only set aside by who has a place.
    async fn turn_and_money(&self, model: &str, planned: Planned<'_>) -> Result<(MayGo, Hold), Lost> {
        for _ in 0..PATIENCE {
            let mut line = self.purse.line(planned.scorer).await;
            let full = loop {
                let turn = match self.turn(model).await? {
                    Place::Free(turn) => turn,
                    Place::Full(until) => break until,
                };
                let decided = line.ask(planned).await;
                if let Some(Ok(hold)) = decided {
                    return Ok((turn, hold));
                }
                if turn.finds_out {
                    self.access.breaker.not_asked(model, self.outside.now());
                }
                drop(turn);
                if let Some(Err(refused)) = decided {
                    return Err(refused.into());
                }
                line.wait().await;
            };
            // Nobody stands in line while the provider's window is full.
            drop(line);
            let wait = (full - self.outside.now()).to_std().unwrap_or_default().min(LONGEST_PAUSE);
            self.outside.sleep(wait).await;
        }
        let until = self.access.pace.full_until(self.outside.now());
        Err(Lost::unavailable("the provider's rate limit leaves no room", until))
    }

    /// Waits for a place among the requests under way.
    async fn turn(&self, model: &str) -> Result<Place, Lost> {
        let turn = self.access.pace.turn().await;
        let now = self.outside.now();
        if let Some(full) = self.access.pace.full_until(now) {
            return Ok(Place::Full(full));
        }
        match self.access.breaker.may_ask(model, now) {
            Ok(finds_out) => Ok(Place::Free(MayGo { finds_out, turn })),
            Err(Rest { wait, why }) => Err(Lost::unavailable(why, now.checked_add_signed(wait))),
        }
    }

    fn learn_from(&self, came: &Came, model: &str, turn: &MayGo, now: DateTime<Utc>) {
        let (pace, breaker) = (&self.access.pace, &self.access.breaker);
        let failure = match came {
            Came::Reply(_) => {
                breaker.answered(model);
                return pace.faster();
            }
            Came::Unreadable(_) | Came::Nothing(_) => return breaker.failed(now),
            Came::Error(failure) => failure,
        };
        match failure.kind {
            FailureKind::RateLimited | FailureKind::Overloaded => {
                pace.slower(turn.turn.as_ref());
                breaker.heard();
            }
            FailureKind::Server | FailureKind::TimedOut | FailureKind::Unexpected => breaker.failed(now),
            _ if breaker.refused(model, failure, now) => {}
            FailureKind::BadRequest | FailureKind::TooLarge | FailureKind::Refused => breaker.answered(model),
            _ => breaker.heard(),
        }
    }
}

/// What a reply says, in this module's words.
fn said(reply: Reply, cost: u64, schema: String) -> Tried {
    match reply.outcome {
        Outcome::Answer(text) => {
            let usage = reply.usage.unwrap_or_default();
            Tried::Answered(Answered { text, usage, cost, model: reply.model, schema })
        }
        Outcome::CutOff => Tried::CutOff,
        Outcome::TooLong => {
            Tried::Failed(Retry::Never, Lost::too_long("the text is longer than the model can read"))
        }
        Outcome::Refused { .. } => Tried::Failed(Retry::Never, Lost::Refused),
        Outcome::Nothing { stop } => {
            Tried::Failed(Retry::BackOff, Lost::Failed(format!("the model answered nothing ({stop})")))
        }
    }
}

fn lost(failure: &Failure, now: DateTime<Utc>) -> Lost {
    let told = failure.to_string();
    let until = match failure.retry {
        Retry::After(pause) => TimeDelta::from_std(pause).ok().map(|pause| now + pause),
        Retry::Never | Retry::BackOff => failure.refuses(now).map(|refuses| refuses.until),
    };
    match failure.kind {
        FailureKind::Refused => Lost::Refused,
        FailureKind::TooLarge => Lost::too_long(told),
        FailureKind::BadRequest => Lost::Failed(told),
        _ => Lost::unavailable(told, until),
    }
}

impl Endpoint {
    /// What bounds the request about one text of a single byte, and whether it has its prompt cached: no request about any text takes less,
    /// for a tenant who told `knowledge`.
    #[must_use]
    pub fn least(&self, knowledge: &Knowledge, model: &str) -> (RequestSize, Caching) {
        let utterance = Utterance::message("x");
        let items = [Item::of(&utterance, &utterance.text)];
        let question = Question::new(&items, knowledge);
        let (_, planned) = self.call(ScorerKind::Local, &question, model, false);
        (planned.size, planned.caching)
    }

    /// The request about `question`, and what may be said of it beforehand.
    fn call<'m>(
        &self,
        scorer: ScorerKind,
        question: &Question<'_>,
        model: &'m str,
        doubled: bool,
    ) -> (Call, Planned<'m>) {
        let base = self.base_url.trim_end_matches('/');
        let items = question.items.len();
        let mut headers = vec![("content-type", "application/json".to_owned())];
        let (url, body, max_tokens, caching) = match self.api {
            Api::Claude { cache } => {
                headers.push(("anthropic-version", "2023-06-01".to_owned()));
                headers.extend(self.key.iter().map(|key| ("x-api-key", key.clone())));
                let options = claude::Options { model: model.to_owned(), cache, doubled };
                let most = claude::max_tokens(&options, items);
                let caching = match cache {
                    None => Caching::None,
                    Some(claude::CacheTime::FiveMinutes) => Caching::FiveMinutes,
                    Some(claude::CacheTime::OneHour) => Caching::OneHour,
                };
                (format!("{base}/v1/messages"), claude::body(question, &options), most, caching)
            }
            Api::Openai => {
                headers.extend(self.key.iter().map(|key| ("authorization", format!("Bearer {key}"))));
                let dialect = openai::Dialect::of(model);
                let options = openai::Options { model: model.to_owned(), dialect, doubled };
                let most = openai::max_tokens(&options, items);
                (format!("{base}/chat/completions"), openai::body(question, &options), most, Caching::None)
            }
        };
        let body = body.to_string().into_bytes();
        let size = RequestSize {
            body_bytes: body.len(),
            schema_bytes: schema::schema(question.categories).to_string().len(),
            messages: 2,
            max_tokens: max_tokens.into(),
        };
        let texts = u32::try_from(items).unwrap_or(u32::MAX);
        (Call { method: Method::Post, url, headers, body }, Planned { scorer, model, texts, size, caching })
    }

    fn read(&self, response: &Response, now: DateTime<Utc>) -> Came {
        if response.status != 200 {
            return Came::Error(self.failure(response, now));
        }
        self.reply(response).map_or_else(Came::Unreadable, Came::Reply)
    }

    fn reply(&self, response: &Response) -> Result<Reply, Unreadable> {
        match self.api {
            Api::Claude { cache } => claude::reply(&response.body, response.header("request-id"), cache),
            Api::Openai => openai::reply(&response.body, response.header("x-request-id")),
        }
    }

    fn failure(&self, response: &Response, now: DateTime<Utc>) -> Failure {
        let header = |name: &str| response.header(name);
        let headers: &Headers<'_> = &header;
        match self.api {
            Api::Claude { .. } => claude::failed(response.status, headers, &response.body, now),
            Api::Openai => openai::failed(response.status, headers, &response.body, now),
        }
    }

    fn limits(&self, response: &Response, now: DateTime<Utc>) -> RateLimits {
        let header = |name: &str| response.header(name);
        let headers: &Headers<'_> = &header;
        match self.api {
            Api::Claude { .. } => claude::rate_limits(headers),
            Api::Openai => openai::rate_limits(headers, now),
        }
    }
}

/// How long to wait before the next try; `None` where another is no use.
fn pause(retry: Retry, tried: u32, chance: f64) -> Option<Duration> {
    match retry {
        Retry::Never => None,
        Retry::After(pause) => (pause <= LONGEST_PAUSE).then_some(pause),
        Retry::BackOff => Some(back_off(tried, chance)),
    }
}

/// The pause after the `tried`th try: twice as long each time, less up to a quarter by `chance`, so that those who were turned away together
/// do not come back together.
fn back_off(tried: u32, chance: f64) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << tried.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    pause.mul_f64(1.0 - 0.25 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_differ_by_a_quarter() {
        assert_eq!(back_off(1, 0.0), Duration::from_millis(500));
        assert_eq!(back_off(4, 0.0), Duration::from_secs(4));
        assert_eq!(back_off(4, 1.0), Duration::from_secs(3));
        assert_eq!(back_off(u32::MAX, 0.0), LONGEST_PAUSE);
    }
}
