//! Which verdicts people check, and what comes of what they say: shares a tenant chooses, draws that are the same whenever they are made,
//! and the label that several raters settle on. [`agreement`] says how far they agree.

pub mod agreement;
pub mod report;

use serde::{Deserialize, Serialize};

use crate::{Label, Verdict};

/// A part of a whole, from 0 to 100 percent in hundredths of a percent. Written as a number of percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u16);

impl Share {
    const WHOLE: u16 = 10_000;

    /// So many whole percent; more than 100 are 100.
    #[must_use]
    pub const fn percent(percent: u8) -> Self {
        Self(if percent > 100 { Self::WHOLE } else { percent as u16 * 100 })
    }

    /// `id` is among this share of ids, drawn for `purpose`. The same id is always answered the same, draws for different purposes have
    /// nothing to do with each other, and a greater share holds all of a smaller one.
    #[must_use]
    pub fn draws(self, purpose: &str, id: &str) -> bool {
        // FNV-1a over both, then mixed as SplitMix64 does: ids that differ in one digit land anywhere.
        let folded = purpose
            .bytes()
            .chain(std::iter::once(0))
            .chain(id.bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let mut z = folded.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (u128::from(z) * u128::from(Self::WHOLE)) >> 64 < u128::from(self.0)
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(percent: f64) -> Result<Self, String> {
        let hundredths = (percent * 100.0).round();
        if (0.0..=f64::from(Self::WHOLE)).contains(&hundredths) && (percent * 100.0 - hundredths).abs() < 1e-6
        {
            Ok(Self(hundredths as u16))
        } else {
            Err(format!("{percent} is no percentage from 0 to 100 with at most two decimals"))
        }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.0) / 100.0
    }
}

/// Which verdicts come into the review queue, each as a share of those it could be. Left out, a share keeps its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// Of those whose confidence is under [`crate::Confidence::REVIEW_BELOW`]. Default 10 %.
    pub unsure: Share,
    /// Of those in which the cascade's two scorers contradict each other. Default 100 %.
    pub disagreed: Share,
    /// Of those that a person corrected. Default 100 %.
    pub overridden: Share,
    /// Of those called positive, whatever their confidence: an unhappy customer among them is one nobody looks for. Default 2 %.
    pub called_positive: Share,
    /// Of all. Only this sample says how good verdicts are in general. Default 1 %.
    pub random: Share,
    /// Of what is in the queue, two raters label this share, and a third where they differ. Default 20 %.
    pub labelled_twice: Share,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            unsure: Share::percent(10),
            disagreed: Share::percent(100),
            overridden: Share::percent(100),
            called_positive: Share::percent(2),
            random: Share::percent(1),
            labelled_twice: Share::percent(20),
        }
    }
}

/// Shares to change. Left out, one stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareChanges {
    /// See [`Shares::unsure`].
    pub unsure: Option<Share>,
    /// See [`Shares::disagreed`].
    pub disagreed: Option<Share>,
    /// See [`Shares::overridden`].
    pub overridden: Option<Share>,
    /// See [`Shares::called_positive`].
    pub called_positive: Option<Share>,
    /// See [`Shares::random`].
    pub random: Option<Share>,
    /// See [`Shares::labelled_twice`].
    pub labelled_twice: Option<Share>,
}

impl ShareChanges {
    /// The shares after the change.
    #[must_use]
    pub fn over(self, before: &Shares) -> Shares {
        Shares {
            unsure: self.unsure.unwrap_or(before.unsure),
            disagreed: self.disagreed.unwrap_or(before.disagreed),
            overridden: self.overridden.unwrap_or(before.overridden),
            called_positive: self.called_positive.unwrap_or(before.called_positive),
            random: self.random.unwrap_or(before.random),
            labelled_twice: self.labelled_twice.unwrap_or(before.labelled_twice),
        }
    }
}

/// Why a verdict is in the queue. Several may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The scorer was not sure.
    Unsure,
    /// The cascade's two scorers contradict each other.
    Disagreed,
    /// Something about the text or the LLM's answer is suspicious. Such a verdict is always checked.
    Suspicious,
    /// A person corrected it.
    Overridden,
    /// It is part of the sample of those called positive.
    CalledPositive,
    /// It is part of the sample of all.
    Random,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Unsure,
        Self::Disagreed,
        Self::Suspicious,
        Self::Overridden,
        Self::CalledPositive,
        Self::Random,
    ];

    /// The word used in the store, the settings and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsure => "unsure",
            Self::Disagreed => "disagreed",
            Self::Suspicious => "suspicious",
            Self::Overridden => "overridden",
            Self::CalledPositive => "called_positive",
            Self::Random => "random",
        }
    }
}

impl Shares {
    /// The share of those that `reason` could be given for.
    #[must_use]
    pub fn of(&self, reason: Reason) -> Share {
        match reason {
            Reason::Unsure => self.unsure,
            Reason::Disagreed => self.disagreed,
            Reason::Suspicious => Share::percent(100),
            Reason::Overridden => self.overridden,
            Reason::CalledPositive => self.called_positive,
            Reason::Random => self.random,
        }
    }

    /// Why this verdict on the interaction `id` is checked; empty: it is not. That a person corrected it is not told here, see
    /// [`Self::takes_corrected`].
    #[must_use]
    pub fn reasons(&self, id: &str, verdict: &Verdict) -> Vec<Reason> {
        let could_be = |reason: Reason| match reason {
            Reason::Unsure => verdict.confidence.get() < crate::Confidence::REVIEW_BELOW,
            Reason::Disagreed => verdict.disagrees(),
            Reason::Suspicious => !verdict.suspicions.is_empty(),
            Reason::Overridden => false,
            Reason::CalledPositive => verdict.label == Label::Positive,
            Reason::Random => true,
        };
        let drawn = |reason: &Reason| could_be(*reason) && self.of(*reason).draws(reason.as_str(), id);
        Reason::ALL.into_iter().filter(drawn).collect()
    }

    /// The interaction `id` is checked because a person corrected it.
    #[must_use]
    pub fn takes_corrected(&self, id: &str) -> bool {
        self.overridden.draws(Reason::Overridden.as_str(), id)
    }

    /// How many raters label the interaction `id`: 1 or 2.
    #[must_use]
    pub fn raters(&self, id: &str) -> u8 {
        if self.labelled_twice.draws("labelled_twice", id) { 2 } else { 1 }
    }
}

/// What comes of the labels an item has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// So many raters are wanted in all.
    Open {
        /// How many, 1 to 3.
        wanted: u8,
    },
    /// It is done, with the label that most gave; `None`: three raters gave three labels.
    Done(Option<Label>),
}

/// Where an item stands whose raters gave `labels`, and for which `wanted` (1 or 2) were asked at first. Two that differ call a third.
#[must_use]
pub fn standing(labels: &[Label], wanted: u8) -> Standing {
    let settled = || {
        let given = |label: &Label| labels.iter().filter(|other| *other == label).count();
        Label::ALL.into_iter().find(|label| 2 * given(label) > labels.len())
    };
    match labels {
        [first, second] if wanted == 2 && first != second => Standing::Open { wanted: 3 },
        _ if labels.len() < usize::from(wanted.max(1)) => Standing::Open { wanted: wanted.max(1) },
        _ => Standing::Done(settled()),
    }
}

#[cfg(test)]
mod tests;
