//! One request, from the first try until it is answered or given up.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use undertone_core::gate::DeferReason;
use undertone_core::{SkipReason, Usage};

use super::breaker::{About, Go, May};
use super::endpoint::Came;
use super::pace::Turn;
use super::purse::{Ending, Hold, Line, Planned, Refused};
use super::{Asked, Call, LlmScorer, Rest, Unreachable};
use crate::llm::prompt::{Item, Question};
use crate::llm::{Failure, FailureKind, Outcome, Reply, Retry, prompt, schema};
use crate::{Knowledge, NoVerdict, Scorer};

/// A pause that grows starts with this and ends with [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Nobody who waits for an answer waits longer than this for one more try.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// So long at most a request waits for its turn where it is not the provider who fails, pause after pause: while its window is full, whether
/// that shows in its answers or it turns somebody away, or while somebody else finds out how it does.
const PATIENCE: TimeDelta = TimeDelta::minutes(30);
/// Whoever waits for somebody else to find out looks again after this.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(1);

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
    /// The provider does not understand it, because of a text in it or because of what all requests have in common.
    NotUnderstood(String),
    /// The content was declined.
    Refused,
    /// It was too long, or its answer was, or more than the purse has: with several texts, each alone may pass.
    TooMuch(Box<Self>),
}

impl Lost {
    pub(super) fn unavailable(detail: impl Into<String>, until: Option<DateTime<Utc>>) -> Self {
        Self::Unavailable { reason: DeferReason::LlmUnavailable, detail: detail.into(), until }
    }

    fn too_long(detail: impl Into<String>) -> Self {
        Self::TooMuch(Box::new(Self::Failed(detail.into())))
    }

    /// What a text is told that was asked about alone.
    pub(super) fn why(self) -> NoVerdict {
        match self {
            Self::Unavailable { reason, detail, until } => NoVerdict::Unavailable { reason, detail, until },
            Self::Failed(detail) | Self::NotUnderstood(detail) => NoVerdict::Failed { detail },
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

/// A request's place among those under way.
struct MayGo {
    go: Go,
    turn: Option<Turn>,
}

/// Whether there is a place.
enum Place {
    Free(MayGo),
    /// Not before then: the provider said that its window is full, or somebody finds out how it does.
    Later(DateTime<Utc>),
}

/// What one try came to.
enum Tried {
    Answered(Answered),
    /// The answer was cut off.
    CutOff,
    /// It was turned away: the provider's window is full until then.
    Full(DateTime<Utc>, Lost),
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
        let shape = shape(&question);
        let about = About { model, shape: &shape };
        let gives_up = self.outside.now() + PATIENCE;
        let mut doubled = false;
        let mut tried = 0;
        loop {
            tried += 1;
            let (pause, why) = match self.try_once(&question, about, doubled, gives_up).await? {
                Tried::Answered(answered) => return Ok(answered),
                // It waits with all others for its turn, which takes its time and none of its tries.
                Tried::Full(until, _) if until < gives_up && !self.is_far(until) => {
                    tried -= 1;
                    continue;
                }
                Tried::Full(_, why) => return Err(why),
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
    async fn try_once(
        &self,
        question: &Question<'_>,
        about: About<'_>,
        doubled: bool,
        gives_up: DateTime<Utc>,
    ) -> Result<Tried, Lost> {
        let (call, planned) = self.endpoint.call(self.kind(), question, about.model, doubled);
        let (turn, hold) = self.turn_and_money(about, planned, gives_up).await?;
        let (came, now) = self.exchange(call).await;
        // Before the turn is handed on: whoever gets it must not ask for what was just refused.
        self.learn_from(&came, about, &turn, now);
        drop(turn);
        let cost = self.purse.settle(hold, planned, came.ending()).await;
        Ok(match came {
            Came::Reply(reply) => said(reply, cost, schema::hash(question.categories)),
            Came::Unreadable(unreadable) => {
                Tried::Failed(Retry::BackOff, Lost::unavailable(unreadable.to_string(), None))
            }
            Came::Error(failure) => match full_until(&failure, now) {
                Some(until) => Tried::Full(until, lost(&failure, now)),
                None => Tried::Failed(failure.retry, lost(&failure, now)),
            },
            Came::Nothing(unreachable) => Tried::Failed(Retry::BackOff, unreached(&unreachable)),
        })
    }

    async fn exchange(&self, call: Call) -> (Came, DateTime<Utc>) {
        let sent = self.outside.send(call).await;
        let now = self.outside.now();
        let came = match sent {
            Ok(response) => {
                self.access.pace.observe(&self.endpoint.limits(&response, now), now);
                self.endpoint.read(&response, now)
            }
            Err(unreachable) => Came::Nothing(unreachable),
        };
        (came, now)
    }

    /// Waits for both: a place among the requests under way, which others ask for too, and the money. While the one is waited for, the other is
    /// not held: who has to wait for money gives its place back, and money is only set aside by who has a place. Nobody waits for a place that is
    /// not there before they give up.
    async fn turn_and_money(
        &self,
        about: About<'_>,
        planned: Planned<'_>,
        gives_up: DateTime<Utc>,
    ) -> Result<(MayGo, Hold), Lost> {
        loop {
            let mut line = self.purse.line(planned.scorer).await;
            let later = loop {
                let turn = match self.turn(about).await? {
                    Place::Free(turn) => turn,
                    Place::Later(at) => break at,
                };
                let decided = line.ask(planned).await;
                if let Some(Ok(hold)) = decided {
                    if turn.go.carefully
                        && let Err(lost) = self.look(line.as_mut(), about, &turn).await
                    {
                        self.purse.settle(hold, planned, Ending::Free).await;
                        return Err(lost);
                    }
                    return Ok((turn, hold));
                }
                if turn.go.finds_out {
                    self.access.breaker.not_asked(about, self.outside.now());
                }
                drop(turn);
                if let Some(Err(refused)) = decided {
                    return Err(refused.into());
                }
                line.wait().await;
            };
            // Nobody stands in line meanwhile.
            drop(line);
            if later > gives_up || self.is_far(later) {
                return Err(Lost::unavailable("the provider's rate limit leaves no room", Some(later)));
            }
            let wait = (later - self.outside.now()).to_std().unwrap_or_default().min(LONGEST_PAUSE);
            self.outside.sleep(wait).await;
        }
    }

    /// Nobody waits for it here, where they hold a place that others could use: what then becomes of the texts is for the settings to say.
    fn is_far(&self, until: DateTime<Utc>) -> bool {
        (until - self.outside.now()).to_std().is_ok_and(|wait| wait > LONGEST_PAUSE)
    }

    /// Waits for a place among the requests under way.
    async fn turn(&self, about: About<'_>) -> Result<Place, Lost> {
        let turn = self.access.pace.turn().await;
        let now = self.outside.now();
        if let Some(full) = self.access.pace.full_until(now) {
            return Ok(Place::Later(full));
        }
        match self.access.breaker.may_ask(about, now) {
            May::Ask(go) => Ok(Place::Free(MayGo { go, turn })),
            May::Soon => Ok(Place::Later(now + LOOK_AGAIN)),
            May::Not(Rest { wait, why }) => Err(Lost::unavailable(why, now.checked_add_signed(wait))),
        }
    }

    /// Looks with a question that costs next to nothing whether the provider is there: of the last one to which it did not say anything it is not
    /// known whether it was charged, and a second of that kind is not risked.
    async fn look(&self, line: &mut dyn Line, about: About<'_>, turn: &MayGo) -> Result<(), Lost> {
        let (call, planned) = self.endpoint.smallest(self.kind(), about.model);
        let hold = match line.ask(planned).await {
            Some(Ok(hold)) => hold,
            refused => {
                self.access.breaker.not_asked(about, self.outside.now());
                let held = || Lost::unavailable("requests under way hold the rest of the budget", None);
                return Err(refused.and_then(Result::err).map_or_else(held, Into::into));
            }
        };
        let (came, now) = self.exchange(call).await;
        let looked = match &came {
            Came::Reply(_) => Ok(()),
            Came::Error(failure) => match failure.kind {
                // It is there, and takes no question that is so short.
                FailureKind::BadRequest | FailureKind::TooLarge => Ok(()),
                _ => Err(lost(failure, now)),
            },
            Came::Unreadable(unreadable) => Err(Lost::unavailable(unreadable.to_string(), None)),
            Came::Nothing(unreachable) => Err(unreached(unreachable)),
        };
        if looked.is_err() {
            self.learn_from(&came, about, turn, now);
        }
        self.purse.settle(hold, planned, came.ending()).await;
        looked
    }

    fn learn_from(&self, came: &Came, about: About<'_>, turn: &MayGo, now: DateTime<Utc>) {
        let (pace, breaker) = (&self.access.pace, &self.access.breaker);
        let may_be_charged = came.ending() == Ending::Unknown;
        let failed = || breaker.failed(now, turn.go, may_be_charged);
        let failure = match came {
            Came::Reply(_) => {
                breaker.understood(about, now);
                return pace.faster();
            }
            Came::Unreadable(_) | Came::Nothing(_) => return failed(),
            Came::Error(failure) => failure,
        };
        match failure.kind {
            FailureKind::RateLimited => {
                if let Some(until) = full_until(failure, now) {
                    pace.fill(until);
                }
                pace.slower(turn.turn.as_ref());
                breaker.heard();
            }
            // All that were under way when it was too much are told so: that is one failure.
            FailureKind::Overloaded => {
                if pace.slower(turn.turn.as_ref()) || may_be_charged {
                    failed();
                }
            }
            FailureKind::Server | FailureKind::TimedOut | FailureKind::Unexpected => failed(),
            _ if breaker.refused(about.model, failure, now) => {}
            FailureKind::BadRequest => breaker.not_understood(about),
            FailureKind::TooLarge | FailureKind::Refused => breaker.answered(about),
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

/// Until when the provider's window is full, where it turned somebody away for that at `now` and says so.
fn full_until(failure: &Failure, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match failure.retry {
        Retry::After(pause) if failure.kind == FailureKind::RateLimited => {
            TimeDelta::from_std(pause.max(FIRST_PAUSE)).ok().map(|pause| now + pause)
        }
        _ => None,
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
        FailureKind::BadRequest => Lost::NotUnderstood(told),
        _ => Lost::unavailable(told, until),
    }
}

fn unreached(unreachable: &Unreachable) -> Lost {
    Lost::unavailable(format!("the provider can not be reached: {unreachable}"), None)
}

/// What the request about `question` has in common with all that this tenant makes: a digest of what the tenant told and of the answer's schema.
pub(super) fn shape(question: &Question<'_>) -> String {
    let told = prompt::tenant(question).unwrap_or_default();
    let digest = Sha256::new().chain_update(schema::hash(question.categories)).chain_update(told);
    format!("{:x}", digest.finalize()).chars().take(16).collect()
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
