//! The models the server knows: their limits, and what of a request each family refuses.
//!
//! Names, limits, cache minimums and the three columns of the newest families are from `reference/claude.md`, §4, §8 and §9. What older
//! families refuse is general knowledge and marked so where it is stated.

/// A model of the Messages API.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) id: &'static str,
    /// Another name it goes by.
    pub(crate) alias: Option<&'static str>,
    pub(crate) display_name: &'static str,
    /// RFC 3339. Invented where the reference has no day.
    pub(crate) created_at: &'static str,
    /// Most tokens of prompt and answer together.
    pub(crate) context: u64,
    /// Most tokens of an answer.
    pub(crate) most_output: u64,
    /// Tokens from which on a prefix is cached.
    pub(crate) cache_minimum: u64,
    pub(crate) habits: &'static Habits,
}

/// What a family does with the settings of a request.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a table of what each family takes, column by column")]
pub(crate) struct Habits {
    /// Thinks unless told otherwise.
    pub(crate) thinks: bool,
    /// `thinking.type` values it takes.
    pub(crate) thinking: &'static [&'static str],
    /// Efforts at which `disabled` is refused.
    pub(crate) not_disabled_at: &'static [&'static str],
    /// Efforts it takes; none: it has no effort.
    pub(crate) efforts: &'static [&'static str],
    pub(crate) default_effort: &'static str,
    /// `tool_choice` may force a tool.
    pub(crate) forced_tools: bool,
    pub(crate) sampling: Sampling,
    /// The conversation may end with a message of the assistant.
    pub(crate) prefill: bool,
    /// It takes a schema for its answers: 4.5 and later (§3).
    pub(crate) schemas: bool,
}

/// What a family does with `temperature`, `top_p` and `top_k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sampling {
    /// Any in range; not temperature and `top_p` at once.
    Free,
    /// Temperature 1 or `top_p` 0.99, alone.
    OneDefault,
    /// Only what is the default anyway.
    Defaults,
}

const ALL_EFFORTS: &[&str] = &["low", "medium", "high", "xhigh", "max"];

const HAIKU_5_5: Habits = Habits {
    thinks: true,
    thinking: &["adaptive", "disabled"],
    not_disabled_at: &["xhigh", "max"],
    efforts: ALL_EFFORTS,
    default_effort: "medium",
    forced_tools: true,
    sampling: Sampling::OneDefault,
    prefill: false,
    schemas: true,
};

const SONNET_5_5: Habits = Habits {
    thinks: true,
    thinking: &["adaptive", "between_tools"],
    not_disabled_at: &[],
    efforts: ALL_EFFORTS,
    default_effort: "high",
    forced_tools: false,
    sampling: Sampling::Defaults,
    prefill: false,
    schemas: true,
};

const OPUS_5_5: Habits = Habits { thinking: &["adaptive"], default_effort: "medium", ..SONNET_5_5 };

const FABLE_5_1: Habits = Habits { default_effort: "high", ..OPUS_5_5 };

/// Sonnet 5, Opus 5, 4.8 and 4.7. General knowledge.
const FIVE: Habits = Habits {
    thinks: false,
    thinking: &["adaptive", "disabled"],
    not_disabled_at: &[],
    efforts: ALL_EFFORTS,
    default_effort: "high",
    forced_tools: true,
    sampling: Sampling::Defaults,
    prefill: false,
    schemas: true,
};

/// Opus 4.6 and Sonnet 4.6. General knowledge.
const FOUR_SIX: Habits = Habits {
    thinking: &["adaptive", "disabled", "enabled"],
    efforts: &["low", "medium", "high", "max"],
    sampling: Sampling::Free,
    ..FIVE
};

/// Opus 4.5. General knowledge.
const OPUS_4_5: Habits = Habits {
    thinking: &["disabled", "enabled"],
    efforts: &["low", "medium", "high"],
    prefill: true,
    ..FOUR_SIX
};

/// Haiku 4.5. General knowledge.
const HAIKU_4_5: Habits = Habits { efforts: &[], ..OPUS_4_5 };

/// Opus 4.1. General knowledge.
const OPUS_4_1: Habits = Habits { schemas: false, ..HAIKU_4_5 };

const fn model(
    id: &'static str,
    display_name: &'static str,
    created_at: &'static str,
    cache_minimum: u64,
    habits: &'static Habits,
) -> Model {
    Model {
        id,
        alias: None,
        display_name,
        created_at,
        context: 1_000_000,
        most_output: 128_000,
        cache_minimum,
        habits,
    }
}

/// All of them, newest first.
pub(crate) const MODELS: &[Model] = &[
    model("claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-07T00:00:00Z", 512, &HAIKU_5_5),
    model("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-09-28T00:00:00Z", 512, &SONNET_5_5),
    model("claude-opus-5-5", "Claude Opus 5.5", "2026-09-01T00:00:00Z", 512, &OPUS_5_5),
    model("claude-fable-5-1", "Claude Fable 5.1", "2026-08-01T00:00:00Z", 512, &FABLE_5_1),
    model("claude-opus-5", "Claude Opus 5", "2026-06-01T00:00:00Z", 512, &FIVE),
    model("claude-sonnet-5", "Claude Sonnet 5", "2026-05-01T00:00:00Z", 1_024, &FIVE),
    model("claude-opus-4-8", "Claude Opus 4.8", "2026-04-15T00:00:00Z", 1_024, &FIVE),
    model("claude-opus-4-7", "Claude Opus 4.7", "2026-03-15T00:00:00Z", 2_048, &FIVE),
    model("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-15T00:00:00Z", 1_024, &FOUR_SIX),
    model("claude-opus-4-6", "Claude Opus 4.6", "2026-02-01T00:00:00Z", 4_096, &FOUR_SIX),
    Model {
        context: 200_000,
        most_output: 64_000,
        ..model("claude-opus-4-5", "Claude Opus 4.5", "2025-11-01T00:00:00Z", 4_096, &OPUS_4_5)
    },
    Model {
        alias: Some("claude-haiku-4-5-20251001"),
        context: 200_000,
        most_output: 64_000,
        ..model("claude-haiku-4-5", "Claude Haiku 4.5", "2025-10-01T00:00:00Z", 4_096, &HAIKU_4_5)
    },
    Model {
        context: 200_000,
        most_output: 32_000,
        ..model("claude-opus-4-1", "Claude Opus 4.1", "2025-08-05T00:00:00Z", 1_024, &OPUS_4_1)
    },
];

impl Model {
    /// The one of this name.
    pub(crate) fn of(id: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.id == id || model.alias == Some(id))
    }
}

/// Tokens that thinking takes at an effort: invented figures, for there is nothing that thinks.
pub(crate) fn thinking_tokens(effort: &str) -> u64 {
    match effort {
        "low" => 40,
        "medium" => 120,
        "high" => 300,
        "xhigh" => 600,
        _ => 1_200,
    }
}
