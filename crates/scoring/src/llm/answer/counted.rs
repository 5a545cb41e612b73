//! What of models' answers is not believed, as counters. A prompt or a model that gets worse shows there, long before anybody reads verdicts.

use super::{Answers, Dropped};

/// Counts what was left out of `told`, moved, rejected and found suspicious, in the program's metrics.
pub(super) fn count(told: &Answers) {
    let (mut dropped, mut moved, mut rejected) = (Dropped::default(), 0_u64, 0_u64);
    for item in &told.items {
        let Ok(answered) = item else {
            rejected += 1;
            continue;
        };
        dropped.invented += answered.dropped.invented;
        dropped.others += answered.dropped.others;
        dropped.malformed += answered.dropped.malformed;
        dropped.surplus += answered.dropped.surplus;
        moved += u64::from(answered.moved_from.is_some());
        for suspicion in &answered.suspicions {
            metrics::counter!("undertone_llm_suspicious_total", "why" => suspicion.as_str()).increment(1);
        }
    }
    for (what, count) in [
        ("invented_quote", dropped.invented),
        ("quote_of_others", dropped.others),
        ("malformed", dropped.malformed),
        ("surplus", dropped.surplus),
        ("answer_nobody_asked_for", told.extra),
    ] {
        metrics::counter!("undertone_llm_dropped_total", "what" => what).increment(count as u64);
    }
    metrics::counter!("undertone_llm_moved_total").increment(moved);
    metrics::counter!("undertone_llm_rejected_total").increment(rejected);
}
