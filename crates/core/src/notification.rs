//! Who is told of what happened, through which of their channels, and when.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::Role;
use crate::event::EventKind;
use crate::schedule::{Schedule, TimeOfDay};
use crate::settings::{EscalateTo, Recipients};

/// What a person can be told about; each is chosen by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// A customer needs somebody: raised, reminded, escalated, withdrawn.
    Alerts,
    /// An alert was given to this person.
    Assignments,
    /// Many customers turned negative at once, or the surge is over.
    Incidents,
    /// A share of the AI budget is used up.
    Budget,
    /// A destination fails again and again, or was switched off because it did.
    Destinations,
}

impl Category {
    /// All of them, in the order they are listed.
    pub const ALL: [Self; 5] =
        [Self::Alerts, Self::Assignments, Self::Incidents, Self::Budget, Self::Destinations];

    /// The word in the API and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Assignments => "assignments",
            Self::Incidents => "incidents",
            Self::Budget => "budget",
            Self::Destinations => "destinations",
        }
    }

    /// What it is about, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Alerts => "Customers who need somebody",
            Self::Assignments => "Alerts that are given to you",
            Self::Incidents => "Many customers turning negative at once",
            Self::Budget => "The AI budget",
            Self::Destinations => "Destinations and mailboxes that stopped working",
        }
    }

    /// The category an event belongs to; `None`: people are not told of it.
    #[must_use]
    pub fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::AlertRaised
            | EventKind::AlertReminded
            | EventKind::AlertEscalated
            | EventKind::AlertWithdrawn => Some(Self::Alerts),
            EventKind::AlertAssigned => Some(Self::Assignments),
            EventKind::IncidentOpened | EventKind::IncidentClosed => Some(Self::Incidents),
            EventKind::BudgetThreshold => Some(Self::Budget),
            EventKind::DestinationFailing | EventKind::DestinationDisabled | EventKind::MailFailing => {
                Some(Self::Destinations)
            }
            _ => None,
        }
    }
}

impl std::str::FromStr for Category {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|one| one.as_str() == word);
        known.ok_or_else(|| format!("“{word}” is none of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What people are told of, as it is decided who.
#[derive(Debug, Clone, Copy)]
pub struct Happening<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The user who is responsible for the alert, by id.
    pub assigned_to: Option<&'a str>,
    /// Who did it: `user:` and an id, or something else.
    pub made_by: Option<&'a str>,
}

/// Somebody active in the tenant.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// Their id.
    pub id: &'a str,
    /// What they are.
    pub role: Role,
}

/// Those of `people` who are told of it, under the tenant's choice.
///
/// An alert that somebody is responsible for is theirs alone, as long as they are there; what nobody acknowledged goes to administrators
/// and to those of `escalate_to` too. The budget, destinations and mailboxes are the business of administrators.
#[must_use]
pub fn told<'a>(
    what: &Happening<'_>,
    recipients: &Recipients,
    escalate_to: &EscalateTo,
    people: &[Person<'a>],
) -> Vec<&'a str> {
    let by_choice = |person: &Person<'_>| match recipients {
        Recipients::AdminsAndSupervisors {} => {
            matches!(person.role, Role::Admin | Role::TenantAdmin | Role::Supervisor | Role::Manager)
        }
        Recipients::Supervisors {} => matches!(person.role, Role::Supervisor | Role::Manager),
        Recipients::SpecificUsers { users } => users.contains(person.id),
    };
    let administers = |person: &Person<'_>| matches!(person.role, Role::Admin | Role::TenantAdmin);
    let responsible = people.iter().find(|person| Some(person.id) == what.assigned_to);
    let is_told = |person: &&Person<'_>| match what.kind {
        EventKind::AlertAssigned => {
            let did_it = what.made_by.and_then(|by| by.strip_prefix("user:")) == Some(person.id);
            Some(person.id) == what.assigned_to && !did_it
        }
        EventKind::AlertEscalated => {
            let also = escalate_to.roles.contains(&person.role) || escalate_to.users.contains(person.id);
            also || by_choice(person) || administers(person) || Some(person.id) == what.assigned_to
        }
        EventKind::AlertRaised | EventKind::AlertReminded | EventKind::AlertWithdrawn => {
            responsible.map_or_else(|| by_choice(person), |one| one.id == person.id)
        }
        EventKind::IncidentOpened | EventKind::IncidentClosed => by_choice(person),
        EventKind::BudgetThreshold
        | EventKind::DestinationFailing
        | EventKind::DestinationDisabled
        | EventKind::MailFailing => administers(person),
        _ => false,
    };
    people.iter().filter(is_told).map(|person| person.id).collect()
}

/// What is wrong with the tenant's choice of who hears of alerts, for people; `None`: nothing.
#[must_use]
pub fn nobody_hears(recipients: &Recipients, people: &[Person<'_>]) -> Option<String> {
    let happening = Happening { kind: EventKind::AlertRaised, assigned_to: None, made_by: None };
    if !told(&happening, recipients, &EscalateTo::default(), people).is_empty() {
        return None;
    }
    Some(match recipients {
        Recipients::SpecificUsers { users } if users.is_empty() => {
            "alerts go to specific users and none is selected: nobody is told; select users in `recipients`, or choose another mode"
                .to_owned()
        }
        Recipients::SpecificUsers { .. } => {
            "none of the users selected in `recipients` is an active user of this tenant: nobody is told of alerts".to_owned()
        }
        Recipients::Supervisors {} => {
            "alerts go to supervisors and managers, and nobody active has that role: nobody is told".to_owned()
        }
        Recipients::AdminsAndSupervisors {} => {
            "nobody active has the role admin, tenant_admin, supervisor or manager: nobody is told of alerts".to_owned()
        }
    })
}

/// Through which channels somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// In their inbox here.
    pub in_app: bool,
    /// By e-mail.
    pub email: bool,
}

impl Channels {
    /// Both.
    pub const BOTH: Self = Self { in_app: true, email: true };
}

/// What a person chose about being told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preferences {
    /// Channels by category. One that is not named: both.
    pub categories: BTreeMap<Category, Channels>,
    /// Stretches of the week without e-mail; what would have come is one message at their end. The inbox fills all the same.
    pub quiet_hours: Schedule,
    /// One message a day at this time, in place of single ones.
    pub digest_at: Option<TimeOfDay>,
    /// Where these times are; none: in the tenant's zone.
    #[serde(with = "crate::schedule::zone_name", skip_serializing_if = "Option::is_none")]
    pub zone: Option<Tz>,
    /// What is urgent is sent at once, whatever else is chosen: an alert nobody acknowledged, and an incident.
    pub urgent_at_once: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            categories: BTreeMap::new(),
            quiet_hours: Schedule::default(),
            digest_at: None,
            zone: None,
            urgent_at_once: true,
        }
    }
}

/// When a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// Not before.
    pub at: DateTime<Utc>,
    /// In one with everything else that waits for then.
    pub together: bool,
}

impl Preferences {
    /// Through which channels they are told of this category.
    #[must_use]
    pub fn channels(&self, category: Category) -> Channels {
        self.categories.get(&category).copied().unwrap_or(Channels::BOTH)
    }

    /// Whether they can be kept.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self) -> Result<(), String> {
        /// Of a week, in minutes, at least this much is not quiet.
        const LEAST: u32 = 60;
        self.quiet_hours.check()?;
        if !self.quiet_hours.holidays.is_empty() {
            return Err("quiet hours have no holidays; leave `holidays` out".to_owned());
        }
        if self.quiet_hours.weekly_minutes() > 7 * 1440 - LEAST {
            return Err("quiet hours leave less than an hour a week; switch e-mail off by category instead"
                .to_owned());
        }
        Ok(())
    }

    /// When an e-mail goes that is made `now`. Times are this person's, or else the tenant's.
    #[must_use]
    pub fn email_at(&self, kind: EventKind, tenants: Tz, now: DateTime<Utc>) -> When {
        let zone = self.zone.unwrap_or(tenants);
        let is_urgent = matches!(kind, EventKind::AlertEscalated | EventKind::IncidentOpened);
        if is_urgent && self.urgent_at_once {
            return When { at: now, together: false };
        }
        let wanted = self.digest_at.map(|time| time.next(zone, now));
        let at = self.after_quiet_hours(zone, wanted.unwrap_or(now));
        When { at, together: wanted.is_some() || at > now }
    }

    /// This moment, or the end of the quiet hours it lies in.
    fn after_quiet_hours(&self, zone: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
        if self.quiet_hours.is_always() {
            return at;
        }
        self.quiet_hours.closes(zone, at, TimeDelta::days(8))
    }
}

#[cfg(test)]
mod tests;
