//! What the cascade did, and how sure the embedded model was: counters by the tenant's day of scoring, moved in the transaction that records
//! a verdict. Reports read them, so that they cost the same however much history there is.

mod report;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sea_orm::{DatabaseTransaction, Value};
use undertone_core::Verdict;
use undertone_core::cascade::WhyAsked;
use undertone_core::cascade::sums::Sums;
use undertone_core::verdict::ScorerKind;

use crate::statement::{pieces, sql};
use crate::{Result, TenantId};

pub use report::{CascadeReport, Disagreement, Line};

/// How many figures a row of `cascade_day` has.
const FIGURES: usize = 8;

/// The figures of a row of `cascade_day`, in the order of its columns.
fn figures(sums: &Sums) -> [i64; FIGURES] {
    [
        sums.verdicts,
        sums.asked,
        sums.unanswered,
        sums.changed,
        sums.disagreed,
        sums.tokens_in,
        sums.tokens_out,
        sums.cost_micros,
    ]
    .map(u64::cast_signed)
}

/// Why the LLM is asked, as rows have it; 'sure' where it is not.
fn word_of(why: Option<WhyAsked>) -> &'static str {
    why.map_or("sure", WhyAsked::as_str)
}

/// How the counters of one day move.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    done: BTreeMap<&'static str, Sums>,
    readings: BTreeMap<(&'static str, u8), i64>,
}

impl Moves {
    /// A verdict was recorded.
    pub(crate) fn add(&mut self, verdict: &Verdict) {
        if let Some(cascade) = &verdict.cascade {
            let done = self.done.entry(word_of(cascade.why)).or_default();
            *done = done.plus(Sums::of(verdict));
        }
        if let Some(reading) = reading(verdict) {
            *self.readings.entry(reading).or_default() += 1;
        }
    }

    /// So many were left unscored because of their language, which only an LLM could have read.
    pub(crate) fn add_unread(&mut self, count: usize) {
        if count > 0 {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            *self.readings.entry((WhyAsked::Language.as_str(), 0)).or_default() += count;
        }
    }

    /// Moves the counters.
    pub(crate) async fn apply(
        self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        day: NaiveDate,
    ) -> Result<()> {
        let key = |why: &'static str| [Value::from(tenant.0), day.into(), why.into()];
        let readings: Vec<Vec<Value>> = self
            .readings
            .into_iter()
            .map(|((why, confidence), count)| {
                key(why).into_iter().chain([i64::from(confidence).into(), count.into()]).collect()
            })
            .collect();
        let done: Vec<Vec<Value>> = self
            .done
            .into_iter()
            .map(|(why, sums)| key(why).into_iter().chain(figures(&sums).map(Value::from)).collect())
            .collect();
        for (statement, rows) in [(MOVE_READINGS, readings), (MOVE_DONE, done)] {
            for piece in pieces(&rows) {
                sql(statement).rows(piece.iter().cloned()).run(tx).await?;
            }
        }
        Ok(())
    }
}

const MOVE_DONE: &str = "INSERT INTO cascade_day AS c (tenant_id, day, why, verdicts, asked, unanswered, changed, disagreed, tokens_in, \
    tokens_out, cost_micros) VALUES ? ON CONFLICT (tenant_id, day, why) DO UPDATE SET verdicts = c.verdicts + excluded.verdicts, \
    asked = c.asked + excluded.asked, unanswered = c.unanswered + excluded.unanswered, changed = c.changed + excluded.changed, \
    disagreed = c.disagreed + excluded.disagreed, tokens_in = c.tokens_in + excluded.tokens_in, \
    tokens_out = c.tokens_out + excluded.tokens_out, cost_micros = c.cost_micros + excluded.cost_micros";
const MOVE_READINGS: &str = "INSERT INTO reading_day AS r (tenant_id, day, why, confidence, readings) VALUES ? \
    ON CONFLICT (tenant_id, day, why, confidence) DO UPDATE SET readings = r.readings + excluded.readings";

/// Why an LLM would be asked about what the embedded model read, and how sure that was; `None` where it read nothing.
fn reading(verdict: &Verdict) -> Option<(&'static str, u8)> {
    let asked = verdict.cascade.as_ref().and_then(|cascade| cascade.why);
    if verdict.provenance.scorer == ScorerKind::Local {
        let ambiguous = verdict.is_ambiguous().then_some(WhyAsked::Ambiguous);
        let why = asked.or(ambiguous).unwrap_or(WhyAsked::Unsure);
        return Some((why.as_str(), verdict.confidence.get()));
    }
    let cascade = verdict.cascade.as_ref()?;
    let confidence = cascade.first.as_ref().map_or(0, |first| first.confidence.get());
    Some((asked.unwrap_or(WhyAsked::Unsure).as_str(), confidence))
}
