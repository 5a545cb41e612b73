//! What the first page shows of a tenant, and `GET /api/v1/overview` answers: counters, a trend, who is at risk, the latest verdicts.
//!
//! Plain data. The store fills it from counters whose size does not grow with history; pages and API show it.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::verdict::{Evidence, ScorerKind};
use crate::visibility::{Figures, Reason};
use crate::{Channel, Label, SkipReason, Urgency};

/// Verdicts counted, by effective label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All of them.
    pub scored: i64,
    /// Sum of the effective scores.
    #[serde(skip)]
    pub sum_score: i64,
    /// Positive ones.
    pub positive: i64,
    /// Neutral ones.
    pub neutral: i64,
    /// Negative ones.
    pub negative: i64,
    /// Mixed ones.
    pub mixed: i64,
}

impl Totals {
    /// Average effective score, -100..=100; `None` of nothing.
    #[must_use]
    pub fn average(&self) -> Option<f64> {
        (self.scored > 0).then(|| self.sum_score as f64 / self.scored as f64)
    }

    /// How many have `label`.
    #[must_use]
    pub fn of(&self, label: Label) -> i64 {
        match label {
            Label::Positive => self.positive,
            Label::Neutral => self.neutral,
            Label::Negative => self.negative,
            Label::Mixed => self.mixed,
        }
    }

    /// These without `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            scored: self.scored - other.scored,
            sum_score: self.sum_score - other.sum_score,
            positive: self.positive - other.positive,
            neutral: self.neutral - other.neutral,
            negative: self.negative - other.negative,
            mixed: self.mixed - other.mixed,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            scored: self.scored + other.scored,
            sum_score: self.sum_score + other.sum_score,
            positive: self.positive + other.positive,
            neutral: self.neutral + other.neutral,
            negative: self.negative + other.negative,
            mixed: self.mixed + other.mixed,
        }
    }
}

/// Totals as they are told, with their average.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The counts.
    #[serde(flatten)]
    pub totals: Totals,
    /// Average effective score to one decimal; `None` of nothing.
    pub average: Option<f64>,
}

impl From<Totals> for Summary {
    fn from(totals: Totals) -> Self {
        Self { totals, average: totals.average().map(|a| (a * 10.0).round() / 10.0) }
    }
}

/// One day of the trend.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Day {
    /// The tenant's day on which the interactions occurred.
    pub day: NaiveDate,
    /// What was scored of that day.
    #[serde(flatten)]
    pub summary: Summary,
    /// The day as many days before the period as this one is inside it.
    pub before: Summary,
}

/// What was scored since the tenant's midnight, whenever it occurred.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Today {
    /// The tenant's date.
    pub day: NaiveDate,
    /// What was scored; none where only published figures are seen, which a day that is not over has none of.
    #[serde(flatten)]
    pub summary: Option<Summary>,
    /// Tokens an LLM used today.
    pub tokens_used: i64,
    /// The most it may use; 0 is unlimited.
    pub token_cap: i64,
}

/// A count that stops being counted at some number, so that it costs the same however many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many were counted.
    pub count: i64,
    /// There are more.
    pub more: bool,
}

/// A customer whose average is at or below 0 over two or more verdicts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CustomerAtRisk {
    /// Our id.
    pub id: String,
    /// The id in the system the customer came from.
    pub external_id: String,
    /// Name, where known.
    pub name: Option<String>,
    /// Segment or account, where known.
    pub account: Option<String>,
    /// The counts and the average.
    #[serde(flatten)]
    pub summary: Summary,
    /// The interaction that was scored last.
    #[serde(skip)]
    pub last_id: String,
    /// Its effective score; `None` where it is not to be seen.
    pub last_score: Option<i64>,
    /// When that one was scored.
    pub last_scored_at: DateTime<Utc>,
    /// Beginning of its text, on one line; `None` where the text is gone or not to be seen.
    pub last_said: Option<String>,
}

/// One of the latest verdicts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latest {
    /// The interaction's id.
    pub interaction_id: String,
    /// The customer's id, where known.
    pub customer_id: Option<String>,
    /// The customer's name, or their id in the source.
    pub customer: Option<String>,
    /// The way it came.
    pub channel: Channel,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was scored.
    pub scored_at: DateTime<Utc>,
    /// Effective score.
    pub score: i64,
    /// Effective label.
    pub label: Label,
    /// A person set it.
    pub overridden: bool,
    /// Calibrated confidence of the scorer, percent.
    pub confidence: i64,
    /// Confidence is low: a person should look.
    pub needs_review: bool,
    /// The emotion that dominates.
    pub dominant_emotion: String,
    /// How soon somebody should act.
    pub urgency: Urgency,
    /// The issue, by id.
    pub category: String,
    /// One or two sentences.
    pub summary: String,
    /// Who scored it.
    pub scorer: ScorerKind,
    /// Why the embedded model read it, where the LLM was to and could not.
    pub read_instead: Option<SkipReason>,
    /// The text; `None` where it is gone.
    pub text: Option<String>,
    /// The phrases that moved the verdict; their offsets hold for `text`.
    pub evidence: Vec<Evidence>,
}

/// What stands between arrival and verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Interactions not yet decided about.
    pub pending: Count,
    /// Arrival of the oldest of them.
    pub oldest: Option<DateTime<Utc>>,
    /// Interactions whose scoring failed for good.
    pub failed: Count,
}

/// What of the first page somebody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Whether its figures are those of this moment or the published ones. Published ones are of whole days that are over, and of groups in
    /// which nobody can be made out.
    pub figures: Figures,
    /// Why there may be customers and verdicts that are not shown; `None` where everything is.
    pub reason: Option<Reason>,
    /// The same for a person.
    pub explanation: Option<&'static str>,
}

impl Seen {
    /// Everything, as it is this moment.
    pub const ALL: Self = Self { figures: Figures::Live, reason: None, explanation: None };
}

/// All of the first page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// The tenant's name.
    pub tenant: String,
    /// Its IANA time zone, in which days are counted.
    pub zone: String,
    /// When this was read.
    pub at: DateTime<Utc>,
    /// The module is active.
    pub active: bool,
    /// What of it somebody sees.
    pub visibility: Seen,
    /// Everything ever scored; of published figures those of the last two years.
    pub all_time: Summary,
    /// What was scored since midnight.
    pub today: Today,
    /// The period shown, by the day of occurrence.
    pub period: Summary,
    /// As many days before it.
    pub period_before: Summary,
    /// Each day of the period, the oldest first, days without data too.
    pub days: Vec<Day>,
    /// How many customers are at risk; none where that is not to be seen.
    pub at_risk: Option<Count>,
    /// The lowest of them that may be seen.
    pub customers_at_risk: Vec<CustomerAtRisk>,
    /// The latest verdicts that may be seen, newest first.
    pub latest: Vec<Latest>,
    /// What waits and what failed.
    pub waiting: Waiting,
}
