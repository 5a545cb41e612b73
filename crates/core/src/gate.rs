//! Whether an interaction is scored, left out with a reason a person can read, or asked about again later.

use serde::{Deserialize, Serialize};

use crate::settings::WhenUnavailable;
use crate::verdict::ScorerKind;
use crate::{AuthorKind, Interaction, Kind, Settings, Visibility, text};

/// Every reason why an interaction stays unscored, the gate's and the scorers'. None is ever turned into a neutral verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The module is not active for this tenant.
    ModuleInactive,
    /// The tenant switched scoring off.
    ScoringDisabled,
    /// The customer opted out.
    OptedOut,
    /// This channel is not scored.
    ChannelDisabled,
    /// An agent wrote it to the customer.
    AgentMessage,
    /// A bot or the helpdesk itself wrote it.
    AutomaticMessage,
    /// We wrote it: a comment of ours that a helpdesk sent back.
    OwnMessage,
    /// Colleagues wrote it to each other.
    InternalComment,
    /// There is no text.
    Empty,
    /// Shorter than `min_note_length`.
    TooShort,
    /// The day's tokens are used up and `when_unavailable` is `skip`.
    DailyTokenCap,
    /// The month's AI budget is used up and `when_unavailable` is `skip`.
    MonthlyBudget,
    /// No key is configured for the LLM and `when_unavailable` is `skip`.
    NoKey,
    /// The LLM did not answer and `when_unavailable` is `skip`.
    LlmUnavailable,
    /// Nothing is left once quoted history and signatures are gone, or no customer speaks in the transcript.
    NothingFromCustomer,
    /// No words: digits, symbols, machine output.
    NoWords,
    /// Written in a language the scorer was not validated on.
    LanguageNotValidated,
    /// The LLM declined to answer.
    Refused,
    /// It waited until its text was deleted (`retention_text_days`).
    TextExpired,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 19] = [
        Self::ModuleInactive,
        Self::ScoringDisabled,
        Self::OptedOut,
        Self::ChannelDisabled,
        Self::AgentMessage,
        Self::AutomaticMessage,
        Self::OwnMessage,
        Self::InternalComment,
        Self::Empty,
        Self::TooShort,
        Self::DailyTokenCap,
        Self::MonthlyBudget,
        Self::NoKey,
        Self::LlmUnavailable,
        Self::NothingFromCustomer,
        Self::NoWords,
        Self::LanguageNotValidated,
        Self::Refused,
        Self::TextExpired,
    ];

    /// The word used in files and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ModuleInactive => "module_inactive",
            Self::ScoringDisabled => "scoring_disabled",
            Self::OptedOut => "opted_out",
            Self::ChannelDisabled => "channel_disabled",
            Self::AgentMessage => "agent_message",
            Self::AutomaticMessage => "automatic_message",
            Self::OwnMessage => "own_message",
            Self::InternalComment => "internal_comment",
            Self::Empty => "empty",
            Self::TooShort => "too_short",
            Self::DailyTokenCap => "daily_token_cap",
            Self::MonthlyBudget => "monthly_budget",
            Self::NoKey => "no_key",
            Self::LlmUnavailable => "llm_unavailable",
            Self::NothingFromCustomer => "nothing_from_customer",
            Self::NoWords => "no_words",
            Self::LanguageNotValidated => "language_not_validated",
            Self::Refused => "refused",
            Self::TextExpired => "text_expired",
        }
    }

    /// What a person reads: why, and what would change it.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::ModuleInactive => "the module is not active; activate it to score new interactions",
            Self::ScoringDisabled => "scoring is switched off in the settings (enabled)",
            Self::OptedOut => "this customer opted out of scoring",
            Self::ChannelDisabled => "this channel is not among those scored (channels)",
            Self::AgentMessage => {
                "an agent wrote it; only what customers write, and notes about them, is scored"
            }
            Self::AutomaticMessage => "a bot or the system wrote it (score_bots is off)",
            Self::OwnMessage => "a comment that Undertone wrote itself; telling of it again would never end",
            Self::InternalComment => "an internal comment (score_internal_comments is off)",
            Self::Empty => "there is no text",
            Self::TooShort => "shorter than min_note_length",
            Self::DailyTokenCap => "the daily token cap is reached (daily_token_cap)",
            Self::MonthlyBudget => "the monthly AI budget is used up",
            Self::NoKey => "no key is configured for the LLM",
            Self::LlmUnavailable => "the LLM did not answer",
            Self::NothingFromCustomer => {
                "nothing by the customer is left without quoted history, signatures and other speakers"
            }
            Self::NoWords => "no words to read",
            Self::LanguageNotValidated => "the embedded model was not validated on this language",
            Self::Refused => "the LLM declined to answer",
            Self::TextExpired => "it waited until its text was deleted (retention_text_days)",
        }
    }
}

/// Why an interaction waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeferReason {
    /// For the tenant's next day: the tokens are used up.
    DailyTokenCap,
    /// For the tenant's next month: the AI budget is used up.
    MonthlyBudget,
    /// For a key.
    NoKey,
    /// For the LLM to answer again.
    LlmUnavailable,
}

impl From<DeferReason> for SkipReason {
    fn from(reason: DeferReason) -> Self {
        match reason {
            DeferReason::DailyTokenCap => Self::DailyTokenCap,
            DeferReason::MonthlyBudget => Self::MonthlyBudget,
            DeferReason::NoKey => Self::NoKey,
            DeferReason::LlmUnavailable => Self::LlmUnavailable,
        }
    }
}

/// What the gate must know besides the interaction and the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The module is active for the tenant.
    pub module_active: bool,
    /// The customer opted out.
    pub opted_out: bool,
    /// Why the LLM can not be used right now, if so.
    pub llm_unusable: Option<DeferReason>,
}

impl Default for Circumstances {
    /// An active module, a customer who did not opt out, an LLM that answers.
    fn default() -> Self {
        Self { module_active: true, opted_out: false, llm_unusable: None }
    }
}

/// What is done with an interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Score the first `read_bytes` bytes of its text.
    Score {
        /// Who scores it.
        scorer: ScorerKind,
        /// How much of the text is read; a character and, where there are words, a word ends there.
        read_bytes: usize,
        /// That is not the whole text.
        truncated: bool,
    },
    /// Leave it unscored.
    Skip(SkipReason),
    /// Decide again later.
    Defer(DeferReason),
}

/// Decides about one interaction. Reasons that concern everything come first, then the customer's choice, then what the text is,
/// then what the LLM allows: the first that applies is the one a person reads.
///
/// ```
/// use undertone_core::gate::{Circumstances, Decision, SkipReason, decide};
/// use undertone_core::{Interaction, Settings};
/// let note = Interaction::message("crm", "1", "Called customer.");
/// assert_eq!(decide(&note, &Settings::default(), Circumstances::default()), Decision::Skip(SkipReason::TooShort));
/// ```
#[must_use]
pub fn decide(interaction: &Interaction, settings: &Settings, circumstances: Circumstances) -> Decision {
    if let Some(reason) = ineligible(interaction, settings, circumstances) {
        return Decision::Skip(reason);
    }
    let scorer = match (settings.scorer, circumstances.llm_unusable) {
        (ScorerKind::Local, _) => ScorerKind::Local,
        // The cascade without its LLM is the embedded model, save where the tenant would rather wait or skip.
        (ScorerKind::Claude | ScorerKind::Openai | ScorerKind::Cascade, Some(reason)) => {
            match settings.when_unavailable {
                WhenUnavailable::Local => ScorerKind::Local,
                WhenUnavailable::Wait => return Decision::Defer(reason),
                WhenUnavailable::Skip => return Decision::Skip(reason.into()),
            }
        }
        (llm, None) => llm,
    };
    let read_bytes = text::cut(&interaction.text, settings.max_note_length as usize);
    Decision::Score { scorer, read_bytes, truncated: read_bytes < interaction.text.len() }
}

fn ineligible(i: &Interaction, settings: &Settings, circumstances: Circumstances) -> Option<SkipReason> {
    if !circumstances.module_active {
        return Some(SkipReason::ModuleInactive);
    }
    if !settings.enabled {
        return Some(SkipReason::ScoringDisabled);
    }
    if circumstances.opted_out {
        return Some(SkipReason::OptedOut);
    }
    if !settings.channels.contains(&i.channel) {
        return Some(SkipReason::ChannelDisabled);
    }
    if text::is_own(&i.text) {
        return Some(SkipReason::OwnMessage);
    }
    if i.kind == Kind::Comment && i.visibility == Visibility::Internal && !settings.score_internal_comments {
        return Some(SkipReason::InternalComment);
    }
    // What is written about a customer is scored whoever logged it and whichever way the contact went.
    let about_customer = matches!(i.kind, Kind::Note | Kind::Summary | Kind::Transcript);
    match i.author_kind {
        AuthorKind::Bot | AuthorKind::System if !settings.score_bots && !about_customer => {
            return Some(SkipReason::AutomaticMessage);
        }
        AuthorKind::Customer | AuthorKind::Bot | AuthorKind::System => {}
        AuthorKind::Agent if about_customer => {}
        AuthorKind::Agent if i.kind == Kind::Comment && i.visibility == Visibility::Internal => {}
        AuthorKind::Agent => return Some(SkipReason::AgentMessage),
    }
    match text::length(&i.text) {
        0 => Some(SkipReason::Empty),
        n if n < settings.min_note_length as usize => Some(SkipReason::TooShort),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Channel, Direction};

    const LONG: &str = "I have been waiting for an answer since Tuesday.";

    fn by(author_kind: AuthorKind, kind: Kind) -> Interaction {
        let mut i = Interaction::message("test", "1", LONG);
        (i.author_kind, i.kind) = (author_kind, kind);
        if author_kind == AuthorKind::Agent {
            i.direction = Direction::Outgoing;
        }
        if kind == Kind::Comment {
            i.visibility = Visibility::Internal;
        }
        i
    }

    fn plain(i: &Interaction) -> Decision {
        decide(i, &Settings::default(), Circumstances::default())
    }

    fn is_scored(decision: Decision) -> bool {
        matches!(decision, Decision::Score { scorer: ScorerKind::Local, truncated: false, .. })
    }

    #[test]
    fn customers_words_and_words_about_customers_are_scored_in_either_direction() {
        for direction in [Direction::Incoming, Direction::Outgoing] {
            for kind in [Kind::Note, Kind::Summary, Kind::Transcript] {
                let mut i = by(AuthorKind::Agent, kind);
                (i.direction, i.visibility) = (direction, Visibility::Internal);
                assert!(is_scored(plain(&i)), "{kind:?} {direction:?}");
            }
        }
        assert!(is_scored(plain(&by(AuthorKind::Customer, Kind::Message))));
        assert!(is_scored(plain(&by(AuthorKind::System, Kind::Transcript))), "a recorder's transcript");
    }

    #[test]
    fn agents_bots_and_comments_are_not() {
        let skip = Decision::Skip;
        assert_eq!(plain(&by(AuthorKind::Agent, Kind::Message)), skip(SkipReason::AgentMessage));
        assert_eq!(plain(&by(AuthorKind::Bot, Kind::Message)), skip(SkipReason::AutomaticMessage));
        for author in [AuthorKind::Agent, AuthorKind::Customer] {
            assert_eq!(plain(&by(author, Kind::Comment)), skip(SkipReason::InternalComment));
        }
        let settings = Settings { score_bots: true, score_internal_comments: true, ..Settings::default() };
        for (author, kind) in [(AuthorKind::Bot, Kind::Message), (AuthorKind::Agent, Kind::Comment)] {
            assert!(is_scored(decide(&by(author, kind), &settings, Circumstances::default())));
        }
        assert_eq!(
            decide(&by(AuthorKind::Agent, Kind::Message), &settings, Circumstances::default()),
            skip(SkipReason::AgentMessage),
            "no setting scores what agents write to customers"
        );
    }

    #[test]
    fn what_we_wrote_ourselves_is_not_scored_when_it_comes_back() {
        let reference = "(Undertone 019abf50-2f6e-7c41-9d3e-5a1f0c7b2e88)";
        let settings = Settings { score_bots: true, score_internal_comments: true, ..Settings::default() };
        for author in [AuthorKind::Customer, AuthorKind::Agent, AuthorKind::System] {
            let mut i = by(author, Kind::Comment);
            i.text = format!("Negative, -80: the customer is about to give up.\r\n\r\n{reference} \n");
            let decision = decide(&i, &settings, Circumstances::default());
            assert_eq!(decision, Decision::Skip(SkipReason::OwnMessage), "{author:?}");
        }
        for text in [
            format!("{LONG} {reference}"),
            format!("{reference}\n{LONG}"),
            format!("{LONG}\n> {reference}"),
            format!("{LONG}\n(Undertone is no good)"),
        ] {
            let mut i = by(AuthorKind::Customer, Kind::Message);
            i.text = text;
            assert!(is_scored(plain(&i)), "words of a customer's: {}", i.text);
        }
    }

    #[test]
    fn switches_come_first_and_in_order() {
        let i = by(AuthorKind::Agent, Kind::Message);
        let off = Settings { enabled: false, channels: [Channel::Sms].into(), ..Settings::default() };
        let inactive = Circumstances { module_active: false, opted_out: true, llm_unusable: None };
        assert_eq!(decide(&i, &off, inactive), Decision::Skip(SkipReason::ModuleInactive));
        let active = Circumstances { module_active: true, ..inactive };
        assert_eq!(decide(&i, &off, active), Decision::Skip(SkipReason::ScoringDisabled));
        let on = Settings { enabled: true, ..off };
        assert_eq!(decide(&i, &on, active), Decision::Skip(SkipReason::OptedOut));
        assert_eq!(decide(&i, &on, Circumstances::default()), Decision::Skip(SkipReason::ChannelDisabled));
    }

    #[test]
    fn short_and_empty_texts() {
        for (text, reason) in [
            ("", SkipReason::Empty),
            (" \n\t", SkipReason::Empty),
            ("Called customer.", SkipReason::TooShort),
        ] {
            assert_eq!(plain(&Interaction::message("t", "1", text)), Decision::Skip(reason));
        }
        assert!(is_scored(plain(&Interaction::message("t", "1", "exactly twenty chars"))));
    }

    #[test]
    fn an_unusable_llm_is_met_as_the_tenant_chose() {
        let i = Interaction::message("t", "1", LONG);
        let down =
            Circumstances { llm_unusable: Some(DeferReason::DailyTokenCap), ..Circumstances::default() };
        for scorer in [ScorerKind::Claude, ScorerKind::Openai, ScorerKind::Cascade] {
            let choose = |when_unavailable| {
                let settings = Settings { scorer, when_unavailable, ..Settings::default() };
                decide(&i, &settings, down)
            };
            assert!(is_scored(choose(WhenUnavailable::Local)));
            assert_eq!(choose(WhenUnavailable::Wait), Decision::Defer(DeferReason::DailyTokenCap));
            assert_eq!(choose(WhenUnavailable::Skip), Decision::Skip(SkipReason::DailyTokenCap));
            let up = Settings { scorer, ..Settings::default() };
            assert!(
                matches!(decide(&i, &up, Circumstances::default()), Decision::Score { scorer: s, .. } if s == scorer)
            );
        }
        assert!(is_scored(decide(&i, &Settings::default(), down)), "the embedded model needs no LLM");
    }

    #[test]
    fn reasons_have_one_word_and_an_explanation_each() {
        let mut words = std::collections::BTreeSet::new();
        for reason in SkipReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert!(words.insert(reason.as_str()) && reason.explanation().len() > 10);
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_a_beginning_of_the_text_within_bounds(text in "\\PC{0,300}", most in 100u32..140) {
            let settings = Settings { max_note_length: most, ..Settings::default() };
            let i = Interaction::message("t", "1", &text);
            if let Decision::Score { read_bytes, truncated, .. } = decide(&i, &settings, Circumstances::default()) {
                prop_assert!(text.is_char_boundary(read_bytes));
                prop_assert!(text[..read_bytes].chars().count() <= most as usize);
                prop_assert_eq!(truncated, read_bytes < text.len());
            }
        }
    }
}
