//! What an LLM was asked and what that took, below the audit of a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use undertone_core::cascade::sums::Sums;
use undertone_core::verdict::ScorerKind;

use super::amount::{dollars, grouped};
use super::clean::clean;
use crate::cli::{Answer, LlmRun, Scored};
use crate::llm::meter::{Meter, Tally};

/// Reasons why the LLM did not answer that are told one by one; the others are counted together.
const MOST_REASONS: usize = 5;

/// What an LLM was asked.
pub struct Asked {
    kind: ScorerKind,
    model: String,
    host: String,
    meter: Arc<Meter>,
    /// Why it did not answer: each reason as it was first told, and how often. Reasons that differ in their figures are one.
    reasons: BTreeMap<String, (String, usize)>,
    /// Verdicts that are the embedded model's because it did not answer.
    stood_in: usize,
    cascade: Sums,
}

impl Asked {
    /// Nothing yet.
    pub fn of(kind: ScorerKind, llm: &LlmRun) -> Self {
        Self {
            kind,
            model: llm.model.clone(),
            host: llm.host.clone(),
            meter: llm.meter.clone(),
            reasons: BTreeMap::new(),
            stood_in: 0,
            cascade: Sums::default(),
        }
    }

    /// Counts a row.
    pub fn count(&mut self, scored: &Scored) {
        if let Answer::Verdict(verdict) = &scored.answer {
            self.stood_in += usize::from(scored.note.is_some());
            self.cascade = self.cascade.plus(Sums::of(verdict));
        }
        if let Some(note) = &scored.note {
            let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
            let same: String = note.chars().filter(|c| !digits(*c)).collect();
            self.reasons.entry(same).or_insert_with(|| (note.clone(), 0)).1 += 1;
        }
    }

    /// It was to be asked, and answered not once.
    pub fn is_unheard(&self) -> bool {
        self.meter.tally().sums.calls == 0 && !self.reasons.is_empty()
    }

    /// What it is headed by.
    pub fn title(&self) -> String {
        let who = match self.kind {
            ScorerKind::Cascade => "The embedded model, and where it was unsure",
            _ => "Asked:",
        };
        format!("{who} {} at {}", clean(&self.model), clean(&self.host))
    }

    /// What it took, a line each.
    pub fn lines(&self) -> Vec<String> {
        let tally = self.meter.tally();
        let mut lines = Vec::new();
        if self.kind == ScorerKind::Cascade {
            lines.push(self.share());
        }
        lines.push(tokens(&tally));
        lines.push(self.cost(&tally));
        let sums = &tally.sums;
        if sums.lost_calls > 0 {
            lines.push(format!(
                "{} without an answer that may have been charged: up to {} tokens{}",
                requests(sums.lost_calls),
                grouped(sums.lost_tokens),
                and_dollars(sums.lost_micros)
            ));
        }
        if tally.open_calls > 0 {
            lines.push(format!(
                "{} under way when it was interrupted, which may be charged: up to {} tokens{}",
                requests(tally.open_calls),
                grouped(tally.open_tokens),
                and_dollars(tally.open_micros)
            ));
        }
        if sums.overrun_tokens > 0 {
            let told = grouped(sums.overrun_tokens);
            lines.push(format!("{told} tokens were charged beyond what a request of its size can take"));
        }
        lines.extend(self.unanswered());
        lines
    }

    /// What the cascade did.
    fn share(&self) -> String {
        let Sums { verdicts, asked, changed, .. } = self.cascade;
        let percent = (self.cascade.asked_share() * 100.0).round();
        format!(
            "{} of {} verdicts ({percent} %) were put to it, and it changed the label of {}",
            grouped(asked),
            grouped(verdicts),
            grouped(changed)
        )
    }

    fn cost(&self, tally: &Tally) -> String {
        let sums = &tally.sums;
        if self.meter.price(&self.model).is_none() {
            return format!("No price is known for {}, so its cost is not", clean(&self.model));
        }
        let saved = u64::try_from(sums.saved.cache_micros).unwrap_or_default();
        let saved = match saved {
            0 => String::new(),
            saved => format!("; the cache saved {}", dollars(saved)),
        };
        format!("{} by the price list of {}{saved}", dollars(sums.cost_micros), self.meter.day())
    }

    /// Who answered in its place, and why.
    fn unanswered(&self) -> Vec<String> {
        let all: usize = self.reasons.values().map(|(_, count)| count).sum();
        if all == 0 {
            return Vec::new();
        }
        let texts =
            |count: usize| if count == 1 { "1 text was".to_owned() } else { format!("{count} texts were") };
        let who = match self.stood_in {
            0 => "nobody stood in".to_owned(),
            n if n == all => "the embedded model's verdict stands, marked (embedded model)".to_owned(),
            n => format!("the embedded model's verdict stands for {n}, marked (embedded model)"),
        };
        let mut lines = vec![format!("{} not answered by it; {who}:", texts(all))];
        let mut reasons: Vec<_> = self.reasons.values().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        lines.extend(
            reasons.iter().take(MOST_REASONS).map(|(told, count)| format!("{count} × {}", clean(told))),
        );
        let others: usize = reasons.iter().skip(MOST_REASONS).map(|(_, count)| count).sum();
        if others > 0 {
            lines.push(format!("{others} × for other reasons"));
        }
        lines
    }
}

/// "33 requests, 53,579 tokens: 3,210 input, 30,120 from the cache (73 % of what was read), 7,904 into it, 12,345 output"
fn tokens(tally: &Tally) -> String {
    let sums = &tally.sums;
    let usage = sums.usage;
    let mut kinds = vec![format!("{} input", grouped(usage.input))];
    if usage.cache_read > 0 {
        let percent = (usage.cache_read as f64 * 100.0 / usage.prompt() as f64).round();
        kinds.push(format!("{} from the cache ({percent} % of what was read)", grouped(usage.cache_read)));
    }
    let written = usage.cache_write_5m + usage.cache_write_1h;
    if written > 0 {
        kinds.push(format!("{} into the cache", grouped(written)));
    }
    kinds.push(format!("{} output", grouped(usage.output)));
    format!("{} with {} tokens: {}", requests(sums.calls), grouped(usage.total()), kinds.join(", "))
}

fn requests(count: u64) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{} requests", grouped(count)) }
}

fn and_dollars(micros: u64) -> String {
    if micros == 0 { String::new() } else { format!(" or {}", dollars(micros)) }
}
