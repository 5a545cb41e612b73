//! English.

use super::{Passed, Words, alerts_days, channels};
use crate::verdict::ScorerKind;
use crate::visibility::Policy;

pub(super) const WORDS: Words = Words {
    notice: |tenant, settings, also| {
        let who = match settings.scorer {
            ScorerKind::Local | ScorerKind::Cascade if also => {
                "This happens on systems of ours; your text may also be passed to a provider of a language model, without the contact details \
                 that are recognised in it."
            }
            ScorerKind::Local => "This happens on systems of ours; your text is not passed on for it.",
            ScorerKind::Claude | ScorerKind::Openai => {
                "For this your text is passed to a provider of a language model, without the contact details that are recognised in it."
            }
            ScorerKind::Cascade => {
                "Where a program of ours is unsure, your text is passed to a provider of a language model, without the contact details that \
                 are recognised in it."
            }
        };
        format!(
            "{tenant} has a program read what you write to support, to tell how you feel about our service, so that a person can help sooner \
             where it is needed. {who} Texts are deleted after {} days. You can object to this at any time, and ask what is held about you.",
            settings.retention_text_days
        )
    },
    sections: [
        ("collected", "What is collected.", |tenant, settings| {
            format!(
                "What you write to {tenant}, or what is noted about a contact with you, on these channels: {}. With it: when, in which \
                 conversation and with whom it was, and your name, e-mail address, telephone number and company as far as you told us. Only \
                 text is looked at: no voice, no typing speed, no picture.",
                channels(settings)
            )
        }),
        ("read", "What is read out of it.", |_, _| {
            "How a text sounds: a score from -100 to 100, positive, neutral, negative or mixed, the strongest feeling, how urgent it is, what \
             it is about, a summary of one or two sentences, and the phrases this rests on. No health, religion, opinion or other \
             protected trait is read out of it. It serves to help you sooner and to make the service better."
                .to_owned()
        }),
        ("processor", "Who reads it.", |_, settings| {
            match settings.scorer {
                ScorerKind::Local => "A program on our own systems.",
                ScorerKind::Claude => "Claude, a language model of Anthropic, on our behalf.",
                ScorerKind::Openai => "A language model of a provider who works on our behalf.",
                ScorerKind::Cascade => {
                    "A program on our own systems; where it is unsure, a language model of a provider who works on our behalf."
                }
            }
            .to_owned()
        }),
        ("seen_by", "Who sees it.", |tenant, settings| {
            let scores = match settings.visibility.policy {
                Policy::FullTransparency => "Scores are seen by the same people.",
                Policy::SupervisorOverlay => {
                    "Scores are seen by team leads and quality assurance, and by whoever looks after your account, not by the people you talk to."
                }
                Policy::PostConversation => "Scores are seen once the conversation is over, not during it.",
                Policy::AggregateOnly => "Nobody sees single scores: they are only looked at in groups.",
                Policy::ThresholdRules => {
                    "A score is only seen where it is so low or so high that a rule makes it visible."
                }
            };
            format!(
                "Texts are seen by people of {tenant} who deal with your requests, their supervisors, and people who check that texts were read \
                 right. {scores} Whoever exports what is held about you is recorded."
            )
        }),
        ("told_to", "Whom it is told to.", |_, settings| {
            match (settings.emit_workflow_events, settings.dispatch_webhooks) {
                (true, true) => "Scores, with a summary that may quote a few of your words, are told to our own workflows and to systems that we connected, such as the help desk. Whole texts are not.",
                (true, false) => "Scores, with a summary that may quote a few of your words, are told to our own workflows. Whole texts are not, and no other system hears of either.",
                (false, true) => "Scores, with a summary that may quote a few of your words, are told to systems that we connected, such as the help desk. Whole texts are not.",
                (false, false) => "Neither your texts nor the scores are told to any other system.",
            }
            .to_owned()
        }),
        ("kept", "How long it stays.", |_, settings| {
            format!(
                "Texts, and what quotes them, are deleted {} days after they came in; scores {} days after, and alerts that were raised of \
                 them after {} days; the record of who did what with them after {} days. Sums that nobody can be recognised in may stay. Where the law makes us keep something, it stays \
                 until that ends.",
                settings.retention_text_days,
                settings.retention_scores_days,
                alerts_days(settings),
                settings.retention_audit_days
            )
        }),
        ("decisions", "What is decided by it.", |_, _| {
            "A score makes a person look sooner. Nothing that affects you in law or in a similar way is decided by it alone: no price, no \
             refusal, no end of a contract. If you think that a text was read wrong, a person looks at it and corrects it."
                .to_owned()
        }),
        ("rights", "What you can ask for.", |tenant, _| {
            format!(
                "Write to {tenant}. You can object, and from that moment on nothing you write is scored; get a copy of everything that is held \
                 about you; have what is wrong corrected; and have everything deleted. You can also complain to the data protection \
                 authority."
            )
        }),
    ],
    passed: Passed {
        nobody: "Texts are not passed to anybody else to be read.",
        anthropic: "Texts that were there already were also read by Claude, a language model of Anthropic, on our behalf.",
        provider: "Texts that were there already were also read by a language model of a provider who works on our behalf.",
        redacted: "Before that, e-mail addresses, telephone numbers, card and account numbers, passwords, and your name as far as it is \
                   known are taken out.",
    },
};
