//! What customers are told about what is done with their texts, out of the settings in force: what is collected, what is read out of it and by
//! whom, who sees it, whom it is told to, how long it stays, and what they may ask for. In English, German and Spanish.
//!
//! These are texts to begin with, no legal advice; the tenant adds who they are and whom to write to.

mod english;
mod german;
mod spanish;

use std::str::FromStr;

use serde::Serialize;

use crate::Settings;
use crate::verdict::ScorerKind;

/// A language that notices are written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// German.
    #[serde(rename = "de")]
    German,
    /// Spanish.
    #[serde(rename = "es")]
    Spanish,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::English, Self::German, Self::Spanish];

    /// Its two letters (ISO 639-1).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Spanish => "es",
        }
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == word)
            .ok_or_else(|| format!("there are no notices in “{word}”; there are some in en, de and es"))
    }
}

/// Whom texts are put to besides the embedded model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Processor {
    /// Nobody: texts are read where they are.
    Nobody,
    /// Anthropic, for every text.
    Anthropic,
    /// A provider of a language model that speaks chat completions, for every text.
    Provider,
    /// A language model, for the texts the embedded model is unsure of.
    WhereUnsure,
}

impl Processor {
    fn of(scorer: ScorerKind) -> Self {
        match scorer {
            ScorerKind::Local => Self::Nobody,
            ScorerKind::Claude => Self::Anthropic,
            ScorerKind::Openai => Self::Provider,
            ScorerKind::Cascade => Self::WhereUnsure,
        }
    }

    /// Whom runs with these scorers put texts to, beside whom the settings name.
    fn beside(settings: &Settings, runs: &[ScorerKind]) -> Vec<Self> {
        let named = Self::of(settings.scorer);
        let mut beside: Vec<Self> = runs.iter().map(|scorer| Self::of(*scorer)).collect();
        beside.retain(|other| *other != Self::Nobody && *other != named);
        beside.sort();
        beside.dedup();
        beside
    }
}

/// A part of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// What it is about: `collected`, `read`, `processor`, `seen_by`, `told_to`, `kept`, `decisions`, `rights`.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it says.
    pub text: String,
}

/// What there is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// In which language.
    pub language: Language,
    /// Texts stay this many days.
    pub text_days: u32,
    /// Scores stay this many days.
    pub scores_days: u32,
    /// Alerts stay this many days.
    pub alerts_days: u32,
    /// The record of what was done stays this many days.
    pub audit_days: u32,
    /// Whom texts are put to.
    pub processor: Processor,
    /// Whom runs over what was there already put texts to besides.
    pub also: Vec<Processor>,
    /// Workflows of the tenant hear of scores.
    pub to_workflows: bool,
    /// Connected systems of the tenant hear of scores.
    pub to_systems: bool,
    /// A short notice to be shown where customers write.
    pub notice: String,
    /// The policy, section by section.
    pub sections: Vec<Section>,
}

/// Says something from a tenant's name and settings.
type Says = fn(&str, &Settings) -> String;

/// The words of a language.
struct Words {
    /// The same, and whether runs pass texts on besides.
    notice: fn(&str, &Settings, bool) -> String,
    /// Id, title and text of each section.
    sections: [(&'static str, &'static str, Says); 8],
    passed: Passed,
}

/// With what the section about who reads texts goes on.
struct Passed {
    /// They are passed to nobody.
    nobody: &'static str,
    /// A run put some to Anthropic.
    anthropic: &'static str,
    /// A run put some to a provider.
    provider: &'static str,
    /// What is taken out of what is passed on.
    redacted: &'static str,
}

impl Passed {
    fn add(&self, text: &mut String, named: ScorerKind, also: &[Processor]) {
        let mut add = |sentence: &str| {
            text.push(' ');
            text.push_str(sentence);
        };
        if also.contains(&Processor::Anthropic) {
            add(self.anthropic);
        }
        if also.iter().any(|other| matches!(other, Processor::Provider | Processor::WhereUnsure)) {
            add(self.provider);
        }
        let stays = named == ScorerKind::Local && also.is_empty();
        add(if stays { self.nobody } else { self.redacted });
    }
}

impl Facts {
    /// What a tenant of this name tells in `language`. `runs` are the scorers asked for by runs over what was there already that go on, or
    /// ended within the days that texts stay.
    #[must_use]
    pub fn of(tenant: &str, settings: &Settings, runs: &[ScorerKind], language: Language) -> Self {
        let words = words(language);
        let also = Processor::beside(settings, runs);
        let section = |(id, title, says): &(&'static str, &'static str, Says)| {
            let mut text = says(tenant, settings);
            if *id == "processor" {
                words.passed.add(&mut text, settings.scorer, &also);
            }
            Section { id, title, text }
        };
        Self {
            language,
            text_days: settings.retention_text_days,
            scores_days: settings.retention_scores_days,
            alerts_days: alerts_days(settings),
            audit_days: settings.retention_audit_days,
            processor: Processor::of(settings.scorer),
            to_workflows: settings.emit_workflow_events,
            to_systems: settings.dispatch_webhooks,
            notice: (words.notice)(tenant, settings, !also.is_empty()),
            sections: words.sections.iter().map(section).collect(),
            also,
        }
    }
}

fn words(language: Language) -> &'static Words {
    match language {
        Language::English => &english::WORDS,
        Language::German => &german::WORDS,
        Language::Spanish => &spanish::WORDS,
    }
}

/// So many days alerts stay: they go with what raised them, if not before.
fn alerts_days(settings: &Settings) -> u32 {
    settings.retention_alerts_days.min(settings.retention_scores_days)
}

/// The channels that are read, as the settings name them.
fn channels(settings: &Settings) -> String {
    settings.channels.iter().map(|channel| channel.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::visibility::Policy;

    fn told(language: Language, change: impl FnOnce(&mut Settings)) -> Facts {
        let mut settings = Settings::default();
        change(&mut settings);
        Facts::of("Acme & Söhne", &settings, &[], language)
    }

    #[test]
    fn whom_runs_put_texts_to_is_told_beside_the_settings() {
        for language in Language::ALL {
            let of = |scorer: ScorerKind, runs: &[ScorerKind]| {
                let settings = Settings { scorer, ..Settings::default() };
                let facts = Facts::of("Acme", &settings, runs, language);
                let told = facts.sections.into_iter().find(|section| section.id == "processor").unwrap().text;
                (facts.also, told, facts.notice)
            };
            let (none, alone, notice) = of(ScorerKind::Local, &[ScorerKind::Local]);
            assert!(none.is_empty() && !alone.contains("Anthropic"), "{alone}");
            let (also, told, also_notice) = of(ScorerKind::Local, &[ScorerKind::Claude, ScorerKind::Local]);
            assert_eq!(also, [Processor::Anthropic]);
            assert!(told.contains("Anthropic") && told.len() > alone.len(), "{told}");
            assert!(
                !told.contains(words(language).passed.nobody)
                    && told.contains(words(language).passed.redacted)
            );
            assert_ne!(also_notice, notice);
            // What the settings name is told once.
            let named = of(ScorerKind::Claude, &[ScorerKind::Claude]);
            assert_eq!(named, of(ScorerKind::Claude, &[]));
            let (also, told, _) = of(ScorerKind::Cascade, &[ScorerKind::Openai, ScorerKind::Claude]);
            assert_eq!(also, [Processor::Anthropic, Processor::Provider]);
            assert!(told.contains("Anthropic"), "{told}");
        }
    }

    #[test]
    fn every_language_has_the_same_sections_and_names_whose_they_are() {
        let english: Vec<&str> = told(Language::English, |_| {}).sections.iter().map(|s| s.id).collect();
        for language in Language::ALL {
            let facts = told(language, |_| {});
            assert_eq!(facts.sections.iter().map(|s| s.id).collect::<Vec<_>>(), english);
            assert!(facts.notice.contains("Acme & Söhne"), "{}", facts.notice);
            for section in &facts.sections {
                assert!(section.text.len() > 60 && section.text.ends_with('.'), "{}", section.text);
                assert!(!section.text.contains("  ") && !section.text.contains('{'), "{}", section.text);
            }
            assert_eq!(language.as_str().parse(), Ok(language));
        }
        assert!("fr".parse::<Language>().unwrap_err().contains("de"));
    }

    #[test]
    fn what_is_told_follows_the_settings() {
        for language in Language::ALL {
            let before = told(language, |_| {});
            let text = |facts: &Facts, id: &str| {
                facts
                    .sections
                    .iter()
                    .find(|section| section.id == id)
                    .map(|s| s.text.clone())
                    .unwrap_or_default()
            };
            let changed: [(&str, Facts); 9] = [
                ("seen_by", told(language, |s| s.visibility.policy = Policy::AggregateOnly)),
                ("processor", told(language, |s| s.scorer = ScorerKind::Claude)),
                ("processor", told(language, |s| s.scorer = ScorerKind::Openai)),
                ("processor", told(language, |s| s.scorer = ScorerKind::Cascade)),
                ("told_to", told(language, |s| s.dispatch_webhooks = false)),
                ("kept", told(language, |s| s.retention_text_days = 31)),
                ("kept", told(language, |s| s.retention_alerts_days = 177)),
                ("kept", told(language, |s| s.retention_scores_days = 188)),
                (
                    "collected",
                    told(language, |s| {
                        s.channels.pop_first();
                    }),
                ),
            ];
            let texts: BTreeSet<String> = changed.iter().map(|(id, facts)| text(facts, id)).collect();
            assert_eq!(texts.len(), changed.len());
            for (id, facts) in &changed {
                assert_ne!(text(facts, id), text(&before, id), "{id}");
            }
            assert!(text(&changed[1].1, "processor").contains("Anthropic"));
            assert!(text(&changed[5].1, "kept").contains("31"));
            assert!(text(&changed[6].1, "kept").contains("177"));
            let sooner = text(&changed[7].1, "kept");
            assert_eq!(
                (sooner.matches("188").count(), changed[7].1.alerts_days),
                (2, 188),
                "alerts go with scores"
            );
            assert!(!text(&before, "processor").contains("Anthropic"));
        }
    }
}
