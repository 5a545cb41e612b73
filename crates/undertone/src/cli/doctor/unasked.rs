//! That an LLM could not be asked lately, in the provider's own words: a request that it refuses as a whole says nothing of the texts, and
//! whoever set it up has to know why.

use chrono::{DateTime, TimeDelta, Utc};
use undertone_core::SkipReason;
use undertone_store::interactions::Listed;

use super::Check;
use super::examine::Told;

/// What was decided earlier may be over.
const LATELY: TimeDelta = TimeDelta::minutes(15);
/// Where the embedded model read instead, this stands before the reason.
const INSTEAD: &str = "the LLM could not be asked: ";

/// About how many of `newest`, the latest first, an LLM could not be asked, and why; `None` where that is none.
pub fn unasked(newest: &[Listed], now: DateTime<Utc>) -> Option<Told> {
    let lately = |at: DateTime<Utc>| now - at < LATELY;
    let unasked: Vec<&Listed> = newest
        .iter()
        .filter(|one| one.reason.as_deref() == Some(SkipReason::LlmUnavailable.as_str()))
        .filter(|one| one.state == "pending" || one.decided_at.is_some_and(lately))
        .collect();
    let detail = unasked.first()?.detail.as_deref().unwrap_or_default();
    let why = detail.strip_prefix(INSTEAD).unwrap_or(detail);
    let (count, all) = (unasked.len(), newest.len());
    Some((
        Check::Scorer,
        Err(format!("about {count} of the newest {all} interactions the LLM could not be asked: {why}")),
    ))
}
