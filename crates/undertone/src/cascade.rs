//! What the cascade did, and which threshold fits a budget, as they are told by the API and on the command line alike.

use chrono::NaiveDate;
use serde::Serialize;
use undertone_core::cascade::advice::{Advice, FEW, Taken, advise};
use undertone_core::cascade::sums::Sums;
use undertone_core::verdict::ScorerKind;
use undertone_scoring::cascade::STATED_TOKENS;
use undertone_store::cascade::Disagreement;
use undertone_store::{Store, StoreError, Tenant};

use crate::usage::{Days, usd};

/// Contradictions shown with a report.
const SHOWN: u16 = 20;

/// What the cascade did in some days.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The first of the tenant's days.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
    /// Where these days begin.
    pub zone: &'static str,
    /// What cost is told in.
    pub currency: &'static str,
    /// The scorer in force now.
    pub scorer: ScorerKind,
    /// The threshold in force now.
    pub threshold: u8,
    /// All of it.
    pub total: Figures,
    /// By why the LLM was asked: `always`, `language`, `ambiguous`, `unsure`; `sure` where it was not.
    pub why: Vec<Line>,
    /// By day of scoring; a day on which the cascade scored nothing has none.
    pub days: Vec<Line>,
    /// Verdicts in which the two scorers contradict each other and that nobody has corrected, the latest first, of any day.
    pub disagreements: Vec<Disagreement>,
}

/// A part of a report.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The reason or the day.
    pub key: String,
    /// What was done.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What the cascade did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Counts, tokens and cost.
    #[serde(flatten)]
    pub sums: Sums,
    /// The part of the verdicts that the LLM was to be asked about, 0..=1.
    pub asked_share: f64,
    /// The cost in dollars.
    pub cost_usd: String,
}

impl From<Sums> for Figures {
    fn from(sums: Sums) -> Self {
        let cost_usd = usd(i64::try_from(sums.cost_micros).unwrap_or(i64::MAX));
        Self { sums, asked_share: sums.asked_share(), cost_usd }
    }
}

/// What the cascade did on a tenant's `days`.
pub async fn report(store: &Store, tenant: &Tenant, days: Days) -> Result<Report, StoreError> {
    let settings = store.module(tenant.id).await?.settings;
    let report = store.cascade_report(tenant.id, days.from, days.to).await?;
    let lines = |lines: Vec<undertone_store::cascade::Line>| {
        lines.into_iter().map(|line| Line { key: line.key, figures: line.sums.into() }).collect()
    };
    Ok(Report {
        from: report.from,
        to: report.to,
        zone: tenant.zone.name(),
        currency: "USD",
        scorer: settings.scorer,
        threshold: settings.cascade_threshold,
        total: report.total.into(),
        why: lines(report.why),
        days: lines(report.days),
        disagreements: store.disagreements(tenant.id, SHOWN).await?,
    })
}

/// Which threshold fits a budget, and what that rests on.
#[derive(Debug, Serialize)]
pub struct Advised {
    /// The budget, tokens of a day.
    pub daily_tokens: u64,
    /// The threshold in force now.
    pub threshold: u8,
    /// Texts the embedded model read lately, and such in a language that only an LLM could have read.
    pub readings: u64,
    /// The days these were read on.
    pub days: u32,
    /// They are too few to say much.
    pub few_readings: bool,
    /// What a verdict of the LLM takes, read and written, rounded up.
    pub tokens_per_verdict: u64,
    /// That is what the tenant's own calls took lately; else it is an estimate that is the same for all.
    pub measured: bool,
    /// The advice.
    #[serde(flatten)]
    pub advice: Advice,
}

/// The advice for a tenant with `daily_tokens` a day.
pub async fn advice(store: &Store, tenant: &Tenant, daily_tokens: u64) -> Result<Advised, StoreError> {
    let threshold = store.module(tenant.id).await?.settings.cascade_threshold;
    let readings = store.readings(tenant).await?;
    let measured = store.taken_by_verdicts(tenant).await?;
    let taken = measured.unwrap_or(Taken { tokens: STATED_TOKENS, verdicts: 1 });
    Ok(Advised {
        daily_tokens,
        threshold,
        readings: readings.total(),
        days: readings.days,
        few_readings: readings.total() < FEW,
        tokens_per_verdict: taken.each(),
        measured: measured.is_some(),
        advice: advise(&readings, taken, daily_tokens),
    })
}
