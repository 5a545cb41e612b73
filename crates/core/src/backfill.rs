//! Scoring what was not scored, or scoring again: which interactions a run takes, by what settings it decides, and what it changed.

mod asked;
mod changes;

pub use asked::{Asked, AskedError, BATCH_SIZES, MOST_SLEEP_MS, Mode};
pub use changes::{Changes, Moved, Shift, Sums};

use serde::{Deserialize, Serialize};

use crate::settings::WhenUnavailable;
use crate::verdict::ScorerKind;
use crate::{Channel, Settings, SkipReason};

/// Whether a run in unscored mode takes what was skipped for a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// It does: what the reason rested on has passed.
    Yes,
    /// Only when asked to include the reason.
    OnRequest,
    /// It never does.
    Never,
}

/// Whether what was skipped for `reason`, on `channel`, is taken by a run that scores with `scorer` under the settings as they are now.
///
/// ```
/// use undertone_core::backfill::{Taken, taken};
/// use undertone_core::verdict::ScorerKind;
/// use undertone_core::{Channel, Settings, SkipReason};
/// let settings = Settings::default();
/// let of = |reason, scorer| taken(reason, Channel::Email, &settings, scorer);
/// assert_eq!(of(SkipReason::NoKey, ScorerKind::Local), Taken::Yes);
/// assert_eq!(of(SkipReason::LanguageNotValidated, ScorerKind::Local), Taken::OnRequest);
/// assert_eq!(of(SkipReason::LanguageNotValidated, ScorerKind::Claude), Taken::Yes);
/// assert_eq!(of(SkipReason::AgentMessage, ScorerKind::Claude), Taken::Never);
/// ```
#[must_use]
pub fn taken(reason: SkipReason, channel: Channel, settings: &Settings, scorer: ScorerKind) -> Taken {
    let if_so = |passed: bool| if passed { Taken::Yes } else { Taken::OnRequest };
    match reason {
        SkipReason::ModuleInactive
        | SkipReason::ScoringDisabled
        | SkipReason::DailyTokenCap
        | SkipReason::MonthlyBudget
        | SkipReason::NoKey
        | SkipReason::LlmUnavailable => Taken::Yes,
        SkipReason::ChannelDisabled => if_so(settings.channels.contains(&channel)),
        SkipReason::AutomaticMessage => if_so(settings.score_bots),
        SkipReason::InternalComment => if_so(settings.score_internal_comments),
        // The embedded model would say the same again; an LLM reads any language.
        SkipReason::LanguageNotValidated => if_so(scorer != ScorerKind::Local),
        SkipReason::OptedOut
        | SkipReason::TooShort
        | SkipReason::NothingFromCustomer
        | SkipReason::NoWords
        | SkipReason::Refused => Taken::OnRequest,
        // Of the last there is no text any more.
        SkipReason::AgentMessage | SkipReason::OwnMessage | SkipReason::Empty | SkipReason::TextExpired => {
            Taken::Never
        }
    }
}

impl Asked {
    /// The scorer the run scores with. Batches are Claude's.
    #[must_use]
    pub fn scorer(&self, settings: &Settings) -> ScorerKind {
        if self.via_batches { ScorerKind::Claude } else { self.scorer.unwrap_or(settings.scorer) }
    }

    /// Whether this run takes what was skipped for `reason` on `channel`.
    #[must_use]
    pub fn takes(&self, reason: SkipReason, channel: Channel, settings: &Settings) -> bool {
        match taken(reason, channel, settings, self.scorer(settings)) {
            Taken::Yes => true,
            Taken::OnRequest => self.include.contains(&reason),
            Taken::Never => false,
        }
    }

    /// The settings by which the run decides about its interactions: with the scorer asked for, without the limits it was asked to pass
    /// over, and waiting where the LLM can not be used, since nobody waits for a run.
    #[must_use]
    pub fn over(&self, settings: &Settings) -> Settings {
        let mut over = settings.clone();
        over.scorer = self.scorer(settings);
        over.when_unavailable = WhenUnavailable::Wait;
        for reason in &self.include {
            match reason {
                SkipReason::TooShort => over.min_note_length = 0,
                SkipReason::ChannelDisabled => over.channels = Channel::ALL.into(),
                SkipReason::AutomaticMessage => over.score_bots = true,
                SkipReason::InternalComment => over.score_internal_comments = true,
                _ => {}
            }
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_settings_stood_in_the_way_of_is_taken_once_they_do_not() {
        let settings = Settings::default();
        let open = Settings {
            score_bots: true,
            score_internal_comments: true,
            channels: [Channel::Email].into(),
            ..Settings::default()
        };
        for (reason, before, after) in [
            (SkipReason::AutomaticMessage, Taken::OnRequest, Taken::Yes),
            (SkipReason::InternalComment, Taken::OnRequest, Taken::Yes),
            (SkipReason::ChannelDisabled, Taken::Yes, Taken::Yes),
            (SkipReason::OptedOut, Taken::OnRequest, Taken::OnRequest),
            (SkipReason::Empty, Taken::Never, Taken::Never),
        ] {
            let of = |settings: &Settings| taken(reason, Channel::Email, settings, ScorerKind::Local);
            assert_eq!((of(&settings), of(&open)), (before, after), "{reason:?}");
        }
        let sms = taken(SkipReason::ChannelDisabled, Channel::Sms, &open, ScorerKind::Local);
        assert_eq!(sms, Taken::OnRequest);
    }

    #[test]
    fn what_is_included_is_decided_without_the_limit_that_kept_it_out() {
        let asked = Asked {
            include: [SkipReason::TooShort, SkipReason::AutomaticMessage].into(),
            scorer: Some(ScorerKind::Claude),
            ..Asked::default()
        };
        let settings = Settings::default();
        assert!(asked.takes(SkipReason::TooShort, Channel::Chat, &settings));
        assert!(!asked.takes(SkipReason::InternalComment, Channel::Chat, &settings));
        let over = asked.over(&settings);
        assert_eq!((over.min_note_length, over.score_bots, over.score_internal_comments), (0, true, false));
        assert_eq!((over.scorer, over.when_unavailable), (ScorerKind::Claude, WhenUnavailable::Wait));
        assert_eq!(Asked::default().over(&settings).scorer, settings.scorer);
    }
}
