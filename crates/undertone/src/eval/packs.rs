//! Behavioural packs: cases every one of which a support lead decides in two seconds, by phenomenon, with a ceiling for how many may fail.
//! The idea is `CheckList`'s (Ribeiro et al., ACL 2020): what must be right (minimum), what must not change the verdict (invariance), and
//! which way a change must move it (direction).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use undertone_core::{Interaction, Kind, Label, Verdict};

/// The packs the program brings along.
const BUILT_IN: [(&str, &str); 3] = [
    ("minimum.jsonl", include_str!("../../packs/minimum.jsonl")),
    ("invariance.jsonl", include_str!("../../packs/invariance.jsonl")),
    ("direction.jsonl", include_str!("../../packs/direction.jsonl")),
];

/// A change by so many points is none.
const SAME: i16 = 5;

/// A case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its id, for people.
    pub id: String,
    /// The phenomenon, or the kind of change.
    pub phenomenon: String,
    /// The text.
    pub text: String,
    /// Minimum: every label that will do.
    label: Option<Vec<Label>>,
    /// Invariance: the same said otherwise.
    variants: Option<Vec<String>>,
    /// Direction: the text with something added.
    changed: Option<String>,
    /// Direction: which way the score may go.
    expect: Option<Direction>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    NotHigher,
    NotLower,
}

impl Case {
    /// Everything that must be read to decide it: the text first.
    pub fn texts(&self) -> Vec<Interaction> {
        let more = self.variants.iter().flatten().chain(&self.changed);
        std::iter::once(&self.text)
            .chain(more)
            .map(|text| {
                let mut interaction = Interaction::message("pack", &self.id, text);
                interaction.kind = match self.phenomenon.as_str() {
                    "agent_note" => Kind::Note,
                    "transcript" => Kind::Transcript,
                    _ => Kind::Message,
                };
                interaction
            })
            .collect()
    }

    fn is_whole(&self) -> bool {
        matches!(
            (&self.label, &self.variants, &self.changed, &self.expect),
            (Some(_), None, None, None) | (None, Some(_), None, None) | (None, None, Some(_), Some(_))
        )
    }

    /// The part of its kind that may fail, in percent.
    fn ceiling(&self) -> u32 {
        match self.phenomenon.as_str() {
            "sarcasm" => 15,
            _ if self.variants.is_some() => 5,
            _ => 10,
        }
    }

    /// What is wrong with the answers to its texts; `None`: nothing.
    fn wrong(&self, answers: &[Option<Verdict>]) -> Option<String> {
        let said: Option<Vec<&Verdict>> = answers.iter().map(Option::as_ref).collect();
        let Some((first, others)) = said.as_ref().and_then(|said| said.split_first()) else {
            return Some("is not read".to_owned());
        };
        if let Some(labels) = &self.label {
            return (!labels.contains(&first.label)).then(|| {
                let wanted: Vec<&str> = labels.iter().map(|l| l.as_str()).collect();
                format!("is {}, must be {}", told(first), wanted.join(" or "))
            });
        }
        let other =
            others.iter().zip(self.texts().into_iter().skip(1)).find(|(other, _)| match self.expect {
                None => {
                    let sides = [first.label, other.label];
                    sides.contains(&Label::Positive) && sides.contains(&Label::Negative)
                }
                Some(Direction::NotHigher) => points(other) > points(first) + SAME,
                Some(Direction::NotLower) => points(other) < points(first) - SAME,
            })?;
        Some(format!("is {}, and “{}” is {}", told(first), other.1.text, told(other.0)))
    }
}

fn points(verdict: &Verdict) -> i16 {
    verdict.score.get().into()
}

fn told(verdict: &Verdict) -> String {
    format!("{} ({:+})", verdict.label.as_str(), verdict.score.get())
}

/// What came of one phenomenon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The phenomenon.
    pub name: String,
    /// Its cases.
    pub cases: usize,
    /// How many may fail.
    pub allowed: usize,
    /// Those that failed.
    pub failed: Vec<Failure>,
}

impl Outcome {
    /// No more failed than may.
    pub fn is_held(&self) -> bool {
        self.failed.len() <= self.allowed
    }
}

/// A case that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// What is wrong.
    pub told: String,
}

/// The cases of a pack: an object a line.
pub fn parse(name: &str, text: &str) -> Result<Vec<Case>, String> {
    text.lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty())
        .map(|(line, number): (&str, u32)| {
            let case: Case = serde_json::from_str(line).map_err(|e| format!("{name}, line {number}: {e}"))?;
            if case.is_whole() {
                return Ok(case);
            }
            Err(format!("{name}, line {number}: a case has label, or variants, or changed and expect"))
        })
        .collect()
}

/// The cases the program brings along.
pub fn built_in() -> Result<Vec<Case>, String> {
    let packs: Result<Vec<_>, _> = BUILT_IN.iter().map(|(name, text)| parse(name, text)).collect();
    Ok(packs?.concat())
}

/// What came of `cases`, phenomenon by phenomenon; `answers` belong to their texts, one after the other.
pub fn judge(cases: &[Case], answers: &[Option<Verdict>]) -> Vec<Outcome> {
    let mut rest = answers;
    let mut by: BTreeMap<&str, (usize, u32, Vec<Failure>)> = BTreeMap::new();
    for case in cases {
        let (mine, later) = rest.split_at(case.texts().len().min(rest.len()));
        rest = later;
        let entry = by.entry(&case.phenomenon).or_insert((0, case.ceiling(), Vec::new()));
        entry.0 += 1;
        if let Some(told) = case.wrong(mine) {
            entry.2.push(Failure { id: case.id.clone(), text: case.text.clone(), told });
        }
    }
    by.into_iter()
        .map(|(name, (cases, ceiling, failed))| Outcome {
            name: name.to_owned(),
            cases,
            allowed: cases * ceiling as usize / 100,
            failed,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_packs_are_whole_and_large_enough() {
        let cases = built_in().unwrap();
        let mut by: BTreeMap<&str, usize> = BTreeMap::new();
        let mut ids = std::collections::BTreeSet::new();
        for case in &cases {
            *by.entry(&case.phenomenon).or_default() += 1;
            assert!(ids.insert(&case.id), "{} is there twice", case.id);
        }
        assert!(by.len() > 40, "{} phenomena", by.len());
        for (phenomenon, count) in by {
            let enough = if phenomenon == "seed_examples" { 10 } else { 30 };
            assert!(count >= enough, "{phenomenon} has {count} cases");
        }
    }

    #[test]
    fn a_case_that_is_nothing_is_refused() {
        let told = parse("p", "{\"id\": \"1\", \"phenomenon\": \"x\", \"text\": \"a\"}").unwrap_err();
        assert_eq!(told, "p, line 1: a case has label, or variants, or changed and expect");
        assert!(parse("p", "{\"id\": 1}").is_err());
    }

    #[test]
    fn what_is_not_read_has_failed() {
        let line = "{\"id\": \"1\", \"phenomenon\": \"worry\", \"text\": \"a\", \"label\": [\"negative\"]}";
        let cases = parse("p", line).unwrap();
        let outcome = &judge(&cases, &[None])[0];
        assert_eq!((outcome.cases, outcome.allowed, outcome.failed.len()), (1, 0, 1));
        assert!(!outcome.is_held());
    }
}
