//! What a tenant chose: the setting `visibility`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Policy;
use crate::Role;

/// At most so many thresholds.
const MOST_THRESHOLDS: usize = 20;
/// At most so many segments in one.
const MOST_SEGMENTS: usize = 100;

/// The policy and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The policy. Default full transparency.
    pub policy: Policy,
    /// Under `threshold_rules`: a score is seen where one of these is passed. Default one, at or under -50, for everybody.
    pub thresholds: Vec<Threshold>,
    /// The smallest number of customers a group of which figures are published has, 3..=1000. Default 5.
    pub min_group: u16,
}

impl Default for Choice {
    fn default() -> Self {
        let alarming = Threshold {
            roles: BTreeSet::new(),
            segments: BTreeSet::new(),
            at_or_under: Some(-50),
            at_or_over: None,
        };
        Self { policy: Policy::FullTransparency, thresholds: vec![alarming], min_group: 5 }
    }
}

/// A score is seen past it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// By these roles; empty: by all.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Of customers in these segments; empty: of all.
    #[serde(default)]
    pub segments: BTreeSet<String>,
    /// Where it is at or under this, -100..=100.
    #[serde(default)]
    pub at_or_under: Option<i8>,
    /// Where it is at or over this, -100..=100.
    #[serde(default)]
    pub at_or_over: Option<i8>,
}

impl Threshold {
    pub(super) fn passes(&self, role: Role, segment: &str, score: Option<f64>) -> bool {
        let Some(score) = score else { return false };
        self.is_for(role)
            && (self.segments.is_empty() || self.segments.contains(segment))
            && (self.at_or_under.is_some_and(|most| score <= f64::from(most))
                || self.at_or_over.is_some_and(|least| score >= f64::from(least)))
    }

    pub(super) fn is_for(&self, role: Role) -> bool {
        self.roles.is_empty() || self.roles.contains(&role)
    }

    fn is_sound(&self) -> bool {
        let in_range = |bound: Option<i8>| bound.is_none_or(|bound| (-100..=100).contains(&bound));
        (self.at_or_under.is_some() || self.at_or_over.is_some())
            && in_range(self.at_or_under)
            && in_range(self.at_or_over)
            && self.segments.len() <= MOST_SEGMENTS
            && self.segments.iter().all(|segment| (1..=200).contains(&segment.len()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    policy: Policy,
    thresholds: Option<Vec<Threshold>>,
    min_group: Option<u16>,
}

impl Choice {
    /// What a person has to be told who wrote something else.
    pub const EXPECTED: &'static str = "a policy (full_transparency, supervisor_overlay, post_conversation, aggregate_only or threshold_rules), or an \
        object with `policy`, `min_group` (3 to 1000) and `thresholds`: 1 to 20 objects with `at_or_under` or `at_or_over` (-100 to 100), and if \
        you like `roles` and `segments`";

    /// What applies where nobody can tell what was chosen: nobody sees a single score.
    #[must_use]
    pub fn strictest() -> Self {
        Self { policy: Policy::AggregateOnly, thresholds: Vec::new(), ..Self::default() }
    }

    /// Reads a policy's word, or an object; `None` for anything else.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let default = Self::default();
        if value.is_string() {
            let policy = Policy::deserialize(value).ok()?;
            return Some(Self { policy, ..default });
        }
        let told = Told::deserialize(value).ok()?;
        let choice = Self {
            policy: told.policy,
            thresholds: told.thresholds.unwrap_or(default.thresholds),
            min_group: told.min_group.unwrap_or(default.min_group),
        };
        let sound = (3..=1000).contains(&choice.min_group)
            && (1..=MOST_THRESHOLDS).contains(&choice.thresholds.len())
            && choice.thresholds.iter().all(Threshold::is_sound);
        sound.then_some(choice)
    }
}
