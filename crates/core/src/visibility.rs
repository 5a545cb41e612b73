//! What somebody may see of how customers feel: one function, [`see`], for pages, API, exports, live updates and deliveries.
//!
//! The tenant chooses one of five policies ([`Policy`]). What they mean for each role and each thing that is looked at stands in
//! `docs/decisions/0020`; the table the tests hold this to is written down by hand, apart from the function.

mod choice;
mod look;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use choice::{Choice, Threshold};
pub use look::{Level, LookedAt, OfCustomer, OfInteraction, Standing};

use crate::access::Permission;
use crate::{Role, Scope};

/// Who sees single scores. The words are those of the practitioner's lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Everybody who may read sees every score at once.
    FullTransparency,
    /// Team leads and quality assurance see scores, and account managers those of their own accounts; agents and analysts see groups.
    SupervisorOverlay,
    /// Scores are seen once the conversation is closed, and not while it is open again.
    PostConversation,
    /// Nobody sees a single score: teams and queues only.
    AggregateOnly,
    /// A single score is seen only past a threshold that is set for one's role.
    ThresholdRules,
}

impl Policy {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::FullTransparency,
        Self::SupervisorOverlay,
        Self::PostConversation,
        Self::AggregateOnly,
        Self::ThresholdRules,
    ];

    /// The word in settings and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullTransparency => "full_transparency",
            Self::SupervisorOverlay => "supervisor_overlay",
            Self::PostConversation => "post_conversation",
            Self::AggregateOnly => "aggregate_only",
            Self::ThresholdRules => "threshold_rules",
        }
    }

    /// What it means, for whoever chooses.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::FullTransparency => "everybody who may read sees every score",
            Self::SupervisorOverlay => {
                "leads and quality assurance see scores, account managers those of their accounts"
            }
            Self::PostConversation => "scores are seen once the conversation is closed",
            Self::AggregateOnly => "nobody sees a single score; teams and queues only",
            Self::ThresholdRules => {
                "a score is seen past a threshold, at or under -50 unless you set another"
            }
        }
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == word)
            .ok_or_else(|| format!("“{word}” is none of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// Who looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Viewer {
    /// What they are; `None` may see nothing.
    pub role: Option<Role>,
    /// The user's id; none for a key.
    pub user: Option<String>,
    /// Our id of the agent they are.
    pub agent: Option<String>,
    /// Our ids of the teams they belong to or lead.
    pub teams: BTreeSet<String>,
    /// Our ids of the accounts they look after.
    pub accounts: BTreeSet<String>,
}

impl Viewer {
    /// Somebody in this role who is no agent and belongs nowhere.
    #[must_use]
    pub fn of_role(role: Role) -> Self {
        Self { role: Some(role), ..Self::default() }
    }

    /// A key sees as whoever it could be: with a scope that may change settings as an administrator of the tenant, with one that may read
    /// as an agent of no team, else nothing.
    #[must_use]
    pub fn of_scopes(scopes: &[Scope]) -> Self {
        let may = |permission: Permission| scopes.iter().any(|scope| scope.may(permission));
        let role = if may(Permission::Settings) {
            Some(Role::TenantAdmin)
        } else {
            may(Permission::Read).then_some(Role::Agent)
        };
        Self { role, ..Self::default() }
    }

    /// They lead teams, check quality or run the tenant.
    fn leads(&self) -> bool {
        self.role.is_some_and(|role| {
            matches!(
                role,
                Role::Admin | Role::TenantAdmin | Role::Supervisor | Role::Manager | Role::Reviewer
            )
        })
    }

    /// They read what customers write as part of their work, score or no score.
    fn works_with_texts(&self) -> bool {
        self.role.is_some_and(|role| role != Role::Analyst)
    }
}

/// What is done with one part of what is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// It is shown.
    Shown,
    /// It is not shown by itself; it counts in groups that are.
    Aggregated,
    /// It is not shown.
    Hidden,
}

/// Why something is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The policy shows single scores to leads and quality assurance only.
    OnlyLeads,
    /// The conversation is open.
    ConversationOpen,
    /// There is no conversation that could be closed.
    NoConversation,
    /// The policy shows groups only.
    OnlyGroups,
    /// No threshold that is set for the viewer's role is passed.
    NotPastThreshold,
    /// Fewer customers than the smallest group that is shown.
    GroupTooSmall,
    /// The viewer may see nothing.
    NoRole,
}

impl Reason {
    /// The same for a person.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::OnlyLeads => {
                "your organisation shows single scores to team leads and quality assurance only"
            }
            Self::ConversationOpen => "your organisation shows a score once its conversation is closed",
            Self::NoConversation => {
                "your organisation shows a score once its conversation is closed, and this belongs to none"
            }
            Self::OnlyGroups => {
                "your organisation shows figures of teams and queues, not of single customers"
            }
            Self::NotPastThreshold => {
                "your organisation shows you a score only past a threshold, and this is not, or not yet"
            }
            Self::GroupTooSmall => "the group has too few customers to be shown",
            Self::NoRole => "your role shows you nothing",
        }
    }
}

/// What of something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sight {
    /// The score, and every figure made of scores.
    pub score: Shown,
    /// The label, and what says as much: emotion, urgency, category, summary.
    pub label: Shown,
    /// What moved the verdict: keywords, their places, their weight.
    pub evidence: Shown,
    /// What the customer wrote.
    pub text: Shown,
    /// Why not all of it is; for people by [`Reason::explanation`].
    pub reason: Option<Reason>,
}

impl Sight {
    /// Everything is shown.
    pub const ALL: Self = Self {
        score: Shown::Shown,
        label: Shown::Shown,
        evidence: Shown::Shown,
        text: Shown::Shown,
        reason: None,
    };

    fn without(how: Shown, text: bool, reason: Reason) -> Self {
        let text = if text { Shown::Shown } else { Shown::Hidden };
        Self { score: how, label: how, evidence: how, text, reason: Some(reason) }
    }

    /// Score, label and evidence are shown.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.score == Shown::Shown
    }

    /// The text is shown.
    #[must_use]
    pub fn shows_text(&self) -> bool {
        self.text == Shown::Shown
    }
}

/// Which figures of groups somebody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Figures {
    /// As they are this moment, of everything. Only for who sees each score anyway: the difference of two looks is one score.
    Live,
    /// As they were published, of groups that are large enough.
    Published,
}

/// Which figures of groups `viewer` sees under `choice`.
#[must_use]
pub fn figures(choice: &Choice, viewer: &Viewer) -> Figures {
    match choice.policy {
        Policy::FullTransparency if viewer.role.is_some() => Figures::Live,
        Policy::SupervisorOverlay if viewer.leads() => Figures::Live,
        _ => Figures::Published,
    }
}

/// Whether `viewer` sees incidents under `choice`: many customers at once are a group, and one that is told as it happens, so that it is for who
/// sees each score as it comes.
#[must_use]
pub fn sees_incidents(choice: &Choice, viewer: &Viewer) -> bool {
    figures(choice, viewer) == Figures::Live
}

/// Whether incidents are made under `choice`, where people in these roles are to hear of alerts. An incident holds the alerts of its members
/// back, so there is one only where it is told in their place: not where nobody sees incidents, nor where only people hear of alerts who see
/// some of them and no incident, account managers under [`Policy::SupervisorOverlay`].
#[must_use]
pub fn makes_incidents(choice: &Choice, hearing: &[Role]) -> bool {
    let sees = |role: &Role| sees_incidents(choice, &Viewer::of_role(*role));
    let sees_some_alerts = |role: &Role| *role == Role::AccountManager;
    Role::ALL.iter().any(sees) && (hearing.iter().any(sees) || !hearing.iter().any(sees_some_alerts))
}

/// Whether there may be anything single whose score `viewer` sees under `choice`. Where not, nothing is looked through for it.
#[must_use]
pub fn sees_single(choice: &Choice, viewer: &Viewer) -> bool {
    let Some(role) = viewer.role else { return false };
    match choice.policy {
        Policy::FullTransparency | Policy::PostConversation => true,
        Policy::SupervisorOverlay => {
            viewer.leads() || (role == Role::AccountManager && !viewer.accounts.is_empty())
        }
        Policy::AggregateOnly => false,
        Policy::ThresholdRules => choice.thresholds.iter().any(|threshold| threshold.is_for(role)),
    }
}

/// What `viewer` sees of `what` under `choice`. The one place that decides it.
#[must_use]
pub fn see(choice: &Choice, viewer: &Viewer, what: &LookedAt<'_>) -> Sight {
    let Some(role) = viewer.role else { return Sight::without(Shown::Hidden, false, Reason::NoRole) };
    if let LookedAt::Group { level, customers } = *what {
        return see_group(choice, viewer, level, customers);
    }
    let text = viewer.works_with_texts();
    let not = |reason| Sight::without(Shown::Aggregated, text, reason);
    match choice.policy {
        Policy::FullTransparency => Sight::ALL,
        Policy::SupervisorOverlay => {
            let own_account = role == Role::AccountManager
                && what.account().is_some_and(|account| viewer.accounts.contains(account));
            if viewer.leads() || own_account { Sight::ALL } else { not(Reason::OnlyLeads) }
        }
        Policy::PostConversation => match what.standing() {
            Some(Standing::Closed) => Sight::ALL,
            Some(Standing::Open) => not(Reason::ConversationOpen),
            // A text that is tried out belongs to nothing: for those who try out settings.
            None if viewer.leads() => Sight::ALL,
            Some(Standing::Apart) | None => not(Reason::NoConversation),
        },
        Policy::AggregateOnly => not(Reason::OnlyGroups),
        Policy::ThresholdRules => {
            let passed = |threshold: &Threshold| threshold.passes(role, what.segment(), what.score());
            if choice.thresholds.iter().any(passed) { Sight::ALL } else { not(Reason::NotPastThreshold) }
        }
    }
}

fn see_group(choice: &Choice, viewer: &Viewer, level: Level, customers: u32) -> Sight {
    let hidden = |reason| Sight::without(Shown::Hidden, false, reason);
    // One agent is no group under a policy that shows teams and queues.
    if level == Level::Agent && choice.policy == Policy::AggregateOnly {
        return hidden(Reason::OnlyGroups);
    }
    if figures(choice, viewer) == Figures::Published && customers < choice.min_group.into() {
        return hidden(Reason::GroupTooSmall);
    }
    Sight { text: Shown::Hidden, ..Sight::ALL }
}
