//! The numbers of agents, for somebody who looks: whom they may see, over which days, and how it is told.

use chrono::{Datelike, Days, NaiveDate};
use serde_json::{Value, json};
use undertone_core::agents::{self, AgentNumber};
use undertone_core::usage::calendar::day_of;
use undertone_core::visibility::{
    Choice, Figures, Level, LookedAt, Policy, Reason, Shown, Viewer, figures, see,
};
use undertone_core::{Permission, Role};
pub use undertone_store::agents::MOST_DAYS;
use undertone_store::agents::{Agent, AgentSums};

use crate::api::caller::Caller;
use crate::api::problem::{ApiError, FORBIDDEN, NUMBERS_OFF};
use crate::app::App;

/// Days, where nothing is said.
const DAYS: u16 = 90;
/// Days where numbers change by the week.
const WEEKS: u16 = 84;

/// How to read them, beside every figure.
const ABOUT: &str = "The average score after the agent's first reply, had their customers felt before as the average customer did, drawn towards the average \
of all where there are few contacts. In 19 of 20 cases the true figure lies within the interval. Where intervals overlap, no agent is shown to be better. A figure \
says how customers felt, not why: never judge a person by it.";

/// The days that numbers are about, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub days: u16,
}

impl Window {
    /// Fewer days say nothing.
    pub const LEAST: u16 = 7;

    /// The last `days` days. Who may see single scores only sometimes gets whole weeks that are over: else two looks, before and after one
    /// contact, would tell that contact's score.
    fn of(asked: Option<u16>, today: NaiveDate, figures: Figures) -> Result<Self, ApiError> {
        let days = asked.unwrap_or(DAYS);
        if !(Self::LEAST..=MOST_DAYS).contains(&days) {
            return Err(crate::api::agents::wrong_days(days));
        }
        let (to, days) = match figures {
            Figures::Live => (today, days),
            Figures::Published => {
                let since_sunday = today.weekday().num_days_from_sunday();
                let back = if since_sunday == 0 { 7 } else { since_sunday };
                (today - Days::new(back.into()), WEEKS)
            }
        };
        Ok(Self { from: to - Days::new(u64::from(days) - 1), to, days })
    }
}

/// The numbers as one caller may see them.
pub struct Numbers {
    window: Window,
    complete: bool,
    minimum: i64,
    viewer: Viewer,
    choice: Choice,
    figures: Figures,
    sums: Vec<AgentSums>,
    adjusted: Option<agents::Numbers>,
    known: Vec<Agent>,
}

/// One agent and what there is to say.
pub struct OfAgent<'a> {
    pub agent: &'a Agent,
    number: Option<&'a AgentNumber>,
    customers: i64,
    hidden: Option<Reason>,
}

impl OfAgent<'_> {
    /// They have too few contacts.
    pub fn is_too_few(&self) -> bool {
        self.number.is_none()
    }

    /// The visibility policy does not show it.
    pub fn is_hidden(&self) -> bool {
        self.number.is_some() && self.hidden.is_some()
    }
}

impl Numbers {
    /// Reads them.
    ///
    /// # Errors
    /// While they are off, where the visibility policy shows nothing of single agents, and for days that can not be.
    pub async fn read(app: &App, caller: &Caller, days: Option<u16>) -> Result<Self, ApiError> {
        let tenant = caller.tenant_id();
        let switch = app.store.agent_numbers(tenant).await?;
        if !switch.on {
            return Err(off());
        }
        let viewer = caller.viewer(&app.store).await?;
        let module = app.store.module(tenant).await?;
        let choice = module.settings.visibility.clone();
        if choice.policy == Policy::AggregateOnly {
            return Err(ApiError::new(FORBIDDEN, Reason::OnlyGroups.explanation()));
        }
        let figures = figures(&choice, &viewer);
        let window = Window::of(days, day_of(caller.tenant.zone, app.store.now()), figures)?;
        let minimum = i64::from(module.settings.agent_numbers_minimum);
        let sums = app.store.agent_sums(tenant, (window.from, window.to)).await?;
        let all: Vec<agents::Sums> = sums.iter().map(|one| one.sums.clone()).collect();
        let ids: Vec<&str> = all.iter().map(|one| one.agent.as_str()).collect();
        let mut known = app.store.agents(tenant, &ids).await?;
        known.sort_by(|a, b| a.external_id.cmp(&b.external_id));
        let adjusted = agents::Numbers::of(&all, minimum);
        Ok(Self {
            window,
            complete: switch.complete,
            minimum,
            viewer,
            choice,
            figures,
            sums,
            adjusted,
            known,
        })
    }

    /// Notes that these are about to be shown.
    pub async fn note<'a>(
        &self,
        app: &App,
        caller: &Caller,
        shown: impl Iterator<Item = &'a str>,
    ) -> Result<(), ApiError> {
        let shown: Vec<&str> = shown.collect();
        let noted = app.store.note_look(&caller.act(), &shown, self.window.days).await?;
        if noted { Ok(()) } else { Err(off()) }
    }

    /// Our id of the agent who looks.
    pub fn own_id(&self) -> Option<&str> {
        self.viewer.agent.as_deref()
    }

    /// Whoever looks may see this agent's numbers: all, or for managers those of their teams.
    pub fn leads(&self, agent: &Agent) -> bool {
        match self.viewer.role {
            Some(Role::Manager) => {
                agent.team_id.as_ref().is_some_and(|team| self.viewer.teams.contains(team))
            }
            role => role.is_some_and(|role| role.may(Permission::AgentNumbers)),
        }
    }

    /// The agents whom the caller leads and of whom something is known, in the order of the source's ids.
    pub fn of_mine(&self) -> Vec<OfAgent<'_>> {
        self.known.iter().filter(|agent| self.leads(agent)).map(|agent| self.of(agent)).collect()
    }

    fn of<'a>(&'a self, agent: &'a Agent) -> OfAgent<'a> {
        let sums = self.sums.iter().find(|one| one.sums.agent == agent.id);
        let number = self.adjusted.iter().flat_map(|all| &all.agents).find(|one| one.agent == agent.id);
        let customers = sums.map_or(0, |one| one.customers);
        let group =
            LookedAt::Group { level: Level::Agent, customers: u32::try_from(customers).unwrap_or(u32::MAX) };
        let sight = see(&self.choice, &self.viewer, &group);
        let hidden = (sight.score != Shown::Shown).then(|| sight.reason.unwrap_or(Reason::NoRole));
        OfAgent { agent, number, customers, hidden }
    }

    /// The average of all, for who sees all agents, or where so many are in it that it does not tell of a colleague.
    fn average(&self) -> Option<f64> {
        let sees_all =
            self.viewer.role.is_some_and(|role| role.may(Permission::AgentNumbers) && role != Role::Manager);
        let many = self.sums.len() >= usize::from(self.choice.min_group);
        self.adjusted.as_ref().filter(|_| sees_all || many).map(|numbers| numbers.average)
    }

    fn round(&self, points: f64) -> f64 {
        // Whole points, where two looks must not tell one score.
        let steps = if self.figures == Figures::Live { 10.0 } else { 1.0 };
        (points * steps).round() / steps
    }

    /// What holds for all of them.
    pub fn told(&self) -> Value {
        json!({
            "from": self.window.from,
            "to": self.window.to,
            "days": self.window.days,
            "complete": self.complete,
            "minimum": self.minimum,
            "average": self.average().map(|average| self.round(average)),
            "about": ABOUT,
        })
    }

    /// What is told of one, who has a number.
    pub fn told_of(&self, one: &OfAgent<'_>) -> Value {
        json!({"agent": told_agent(one.agent), "numbers": self.told_number(one)})
    }

    fn told_number(&self, one: &OfAgent<'_>) -> Value {
        let Some(number) = one.number.filter(|_| one.hidden.is_none()) else { return Value::Null };
        json!({
            "contacts": number.contacts,
            "scored": number.scored,
            "customers": one.customers,
            "unadjusted": self.round(number.unadjusted),
            "before": number.before.map(|before| self.round(before)),
            "adjusted": self.round(number.adjusted),
            "interval": {"low": self.round(number.interval.0), "high": self.round(number.interval.1)},
            "difference": self.average().map(|_| number.difference),
        })
    }

    /// The answer about one agent, with why there is no number where there is none.
    pub fn told_of_one(&self, agent: &Agent) -> Value {
        let one = self.of(agent);
        let why = if one.is_too_few() {
            Some(format!("fewer than {} contacts with a score on these days", self.minimum))
        } else {
            one.hidden.map(|reason| reason.explanation().to_owned())
        };
        let mut told = self.told();
        told["agent"] = told_agent(agent);
        told["numbers"] = self.told_number(&one);
        told["why_none"] = json!(why);
        told
    }
}

fn told_agent(agent: &Agent) -> Value {
    json!({"id": agent.external_id, "name": agent.name, "team": agent.team})
}

fn off() -> ApiError {
    ApiError::new(
        NUMBERS_OFF,
        "the numbers of agents are off; an administrator of the tenant may switch them on, with a reason",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_end_today_or_with_the_last_whole_week() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let live = Window::of(Some(7), day("2026-11-25"), Figures::Live).unwrap();
        assert_eq!((live.from, live.to, live.days), (day("2026-11-19"), day("2026-11-25"), 7));
        for today in ["2026-11-23", "2026-11-25", "2026-11-29"] {
            let weeks = Window::of(None, day(today), Figures::Published).unwrap();
            assert_eq!(
                (weeks.from, weeks.to, weeks.days),
                (day("2026-08-31"), day("2026-11-22"), 84),
                "{today}"
            );
        }
        assert!(Window::of(Some(6), day("2026-11-25"), Figures::Live).is_err());
        assert!(Window::of(Some(93), day("2026-11-25"), Figures::Live).is_err());
    }
}
