//! What the cascade did to texts of which people said what the label is.

use serde::Serialize;

use super::WhyAsked;
use super::sums::Sums;
use crate::{Label, Verdict};

/// What the LLM changed, and whether for the better. A text without a verdict counts as wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Texts.
    pub texts: u64,
    /// What was done with those that have a verdict, and what it took.
    #[serde(flatten)]
    pub sums: Sums,
    /// For each reason to ask, how many texts it was asked for, in the order of [`WhyAsked::ALL`].
    pub why: Vec<(WhyAsked, u64)>,
    /// Texts the embedded model labels right.
    pub right_before: u64,
    /// Texts that are labelled right in the end.
    pub right_after: u64,
    /// Texts the LLM made right.
    pub mended: u64,
    /// Texts it made wrong.
    pub spoilt: u64,
}

/// Compares `verdicts` of the cascade with `truths`, text by text; what has no counterpart is left out.
#[must_use]
pub fn effect(verdicts: &[Option<Verdict>], truths: &[Label]) -> Effect {
    let mut effect = Effect { why: WhyAsked::ALL.map(|why| (why, 0)).to_vec(), ..Effect::default() };
    for (verdict, truth) in verdicts.iter().zip(truths) {
        effect.texts += 1;
        let Some(verdict) = verdict else { continue };
        effect.sums = effect.sums.plus(Sums::of(verdict));
        let asked = verdict.cascade.as_ref().and_then(|cascade| cascade.why);
        effect.why.iter_mut().filter(|(why, _)| Some(*why) == asked).for_each(|(_, count)| *count += 1);
        let (before, after) = (verdict.first_label() == Some(*truth), verdict.label == *truth);
        effect.right_before += u64::from(before);
        effect.right_after += u64::from(after);
        effect.mended += u64::from(!before && after);
        effect.spoilt += u64::from(before && !after);
    }
    effect
}
