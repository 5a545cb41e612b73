//! No alerts though scores are negative? The module guide's causes (the threshold, nobody selected, the cooldown), and every other.

use chrono::TimeDelta;
use undertone_core::Settings;
use undertone_core::event::EventKind;
use undertone_store::alerts::{Alert, AlertState, Wanted};
use undertone_store::destinations::Destination;
use undertone_store::interactions::{Filter, Listed};
use undertone_store::{Store, Tenant};

use super::examine::{Means, RECENT, Told};
use super::{Check, people, seen};
use crate::cli::destinations::standing;
use crate::cli::listing::moment;
use crate::deliver::Secrets;
use crate::error::CliError;

/// Alerts that are counted; more are told as so many and more.
const MOST: u16 = 500;

/// Why an interaction with a score did or did not raise an alert.
enum Cause<'a> {
    Raised(&'a Alert),
    AboveThreshold,
    Cooldown(&'a Alert),
    /// An incident held one of their customer then.
    Held(&'a Alert),
    /// It was said long before it arrived.
    History,
    /// Told by nothing that is kept: it is history, or was corrected.
    Quiet,
}

/// What is there around some interactions.
struct Around {
    own: Vec<Alert>,
    customers: Vec<Alert>,
}

impl Around {
    async fn of(
        store: &Store,
        tenant: &Tenant,
        settings: &Settings,
        items: &[Listed],
    ) -> Result<Self, CliError> {
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        let customers: Vec<&str> = items.iter().filter_map(|item| item.customer_id.as_deref()).collect();
        let first = items.iter().filter_map(|item| item.decided_at).min().unwrap_or_else(|| store.now());
        let since = first - cooldown(settings);
        Ok(Self {
            own: store.alerts_of(tenant.id, &ids).await?,
            customers: store.alerts_of_customers(tenant.id, &customers, since, MOST).await?,
        })
    }

    fn cause(&self, settings: &Settings, item: &Listed) -> Cause<'_> {
        if let Some(alert) = self.own.iter().find(|alert| alert.interaction_id == item.id) {
            return Cause::Raised(alert);
        }
        if item.score.is_none_or(|score| score > settings.alert_threshold.into()) {
            return Cause::AboveThreshold;
        }
        let Some(at) = item.decided_at else { return Cause::Quiet };
        let theirs = |alert: &&Alert| item.customer_id.is_some() && alert.customer_id == item.customer_id;
        let cools = |alert: &&Alert| {
            let told = alert.told_at.filter(|told| *told <= at);
            // One that was taken back has no cooldown any more.
            let is_over = alert.state == AlertState::Withdrawn && alert.ended_at.is_some_and(|end| end <= at);
            theirs(alert) && !is_over && told.is_some_and(|told| at - told <= cooldown(settings))
        };
        if let Some(alert) = self.customers.iter().rfind(cools) {
            return Cause::Cooldown(alert);
        }
        let was_held = |alert: &&Alert| {
            let until = alert.told_at.or(alert.ended_at);
            theirs(alert)
                && alert.incident_id.is_some()
                && alert.raised_at <= at
                && until.is_none_or(|until| at <= until)
        };
        if let Some(alert) = self.customers.iter().rfind(was_held) {
            return Cause::Held(alert);
        }
        if settings.is_history(item.occurred_at, item.received_at) { Cause::History } else { Cause::Quiet }
    }
}

fn cooldown(settings: &Settings) -> TimeDelta {
    TimeDelta::minutes(settings.cooldown_minutes.into())
}

/// Why a scored interaction did or did not raise an alert, for a person.
pub async fn of_interaction(store: &Store, tenant: &Tenant, item: &Listed) -> Result<String, CliError> {
    let settings = store.module(tenant.id).await?.settings;
    let around = Around::of(store, tenant, &settings, std::slice::from_ref(item)).await?;
    let (slug, threshold, minutes) = (&tenant.slug, settings.alert_threshold, settings.cooldown_minutes);
    Ok(match around.cause(&settings, item) {
        Cause::Raised(alert) => {
            let state = alert.state.as_str();
            format!("it raised an alert, which is {state}; see: undertone alerts show {slug} {}", alert.id)
        }
        Cause::AboveThreshold => {
            format!("it raised no alert: its score is above {threshold} (alert_threshold)")
        }
        Cause::Cooldown(alert) => format!(
            "it raised no alert: its customer had one at {}, and there is one in {minutes} minutes (cooldown_minutes); see: undertone alerts show {slug} {}",
            moment(alert.told_at.unwrap_or(alert.raised_at)),
            alert.id
        ),
        Cause::Held(alert) => format!(
            "it raised no alert: an incident held one of its customer then, which is {}; see: undertone alerts show {slug} {}",
            alert.state.as_str(),
            alert.id
        ),
        Cause::History => format!(
            "it raised no alert: it was said at {}, more than {} hours before it arrived (tell_within_hours)",
            moment(item.occurred_at),
            settings.tell_within_hours
        ),
        Cause::Quiet => format!(
            "it raised no alert, though its score is at or under {threshold}: {}",
            quiet(item.customer_id.is_some())
        ),
    })
}

/// Why something low is told by no alert that is kept.
fn quiet(has_customer: bool) -> &'static str {
    if has_customer {
        "a backfill tells nobody, and the threshold may have been lower then"
    } else {
        "its customer is not known, and its conversation or channel had an alert just before; a backfill tells nobody either"
    }
}

impl Means<'_> {
    /// Everything between a low score and the people who are to hear of it.
    pub async fn alerts(&self, tenant: &Tenant, settings: &Settings) -> Result<Vec<Told>, CliError> {
        let mut told = people::heard(self, tenant, settings).await?;
        told.extend(seen::by_people(self.store, tenant, settings).await?);
        told.extend(self.newest(tenant, settings).await?);
        told.extend(self.states(tenant).await?);
        told.extend(self.destinations(tenant, settings).await?);
        Ok(told)
    }

    /// What came of the newest scores.
    async fn newest(&self, tenant: &Tenant, settings: &Settings) -> Result<Option<Told>, CliError> {
        let filter = Filter { state: Some("scored"), limit: RECENT, ..Filter::default() };
        let newest = self.store.interactions(tenant.id, &filter).await?;
        let Some(lowest) = newest.iter().filter_map(|item| item.score).min() else { return Ok(None) };
        let (count, threshold) = (newest.len(), settings.alert_threshold);
        let negative = newest.iter().filter(|item| item.label.as_deref() == Some("negative")).count();
        let low: Vec<Listed> = newest
            .into_iter()
            .filter(|item| item.score.is_some_and(|score| score <= threshold.into()))
            .collect();
        if low.is_empty() {
            let why = if negative == 0 {
                format!("of the newest {count} scores none is negative, so there is nothing to be told")
            } else {
                format!(
                    "of the newest {count} scores {negative} are negative, and none is at or under {threshold}, so no alert is raised; the lowest is \
                     {lowest}: raise alert_threshold to hear of it"
                )
            };
            return Ok(Some((Check::Alerts, Ok(why))));
        }
        let around = Around::of(self.store, tenant, settings, &low).await?;
        let (mut raised, mut cooled, mut held, mut old, mut silent) = (0, 0, 0, 0, 0);
        let mut has_customer = true;
        for item in &low {
            match around.cause(settings, item) {
                Cause::Raised(_) => raised += 1,
                Cause::Cooldown(_) => cooled += 1,
                Cause::Held(_) => held += 1,
                Cause::History => old += 1,
                Cause::AboveThreshold | Cause::Quiet => {
                    silent += 1;
                    has_customer &= item.customer_id.is_some();
                }
            }
        }
        let mut text = format!(
            "of the newest {count} scores {} are at or under {threshold} (alert_threshold): {raised} raised an alert",
            low.len()
        );
        if cooled > 0 {
            text += &format!(
                ", {cooled} came within {} minutes of another of their customer (cooldown_minutes)",
                settings.cooldown_minutes
            );
        }
        if held > 0 {
            text += &format!(", {held} came while an incident held an alert of their customer");
        }
        if old > 0 {
            text += &format!(
                ", {old} were said more than {} hours before they arrived (tell_within_hours)",
                settings.tell_within_hours
            );
        }
        if silent > 0 {
            text += &format!(", {silent} raised none: {}", quiet(has_customer));
        }
        Ok(Some((Check::Alerts, Ok(text))))
    }

    /// Alerts that are quiet, or that nobody takes.
    async fn states(&self, tenant: &Tenant) -> Result<Vec<Told>, CliError> {
        let slug = &tenant.slug;
        let in_state = async |state| {
            let wanted = Wanted { state: Some(state), most: MOST, ..Wanted::default() };
            self.store.alerts(tenant.id, &wanted).await
        };
        let so_many = |found: &[Alert]| {
            format!("{}{}", found.len(), if found.len() == usize::from(MOST) { "+" } else { "" })
        };
        let mut told = Vec::new();
        let snoozed = in_state(AlertState::Snoozed).await?;
        if let Some(next) = snoozed.iter().filter_map(|alert| alert.snoozed_until).min() {
            let told_of =
                format!("{} alerts are snoozed, the next until {}", so_many(&snoozed), moment(next));
            told.push((Check::Alerts, Ok(told_of)));
        }
        let held = in_state(AlertState::Held).await?;
        if !held.is_empty() {
            let why = format!(
                "{} alerts are held back by an incident, which tells of them all at once; see: undertone incidents list {slug}",
                so_many(&held)
            );
            told.push((Check::Incidents, Ok(why)));
        }
        let now = self.store.now();
        for (state, why) in [
            (AlertState::Open, "nobody acknowledged them"),
            (AlertState::Acknowledged, "whoever looks after them has not resolved them"),
        ] {
            let found = in_state(state).await?;
            let late: Vec<&Alert> = found.iter().filter(|alert| alert.due_at < now).collect();
            if late.is_empty() {
                continue;
            }
            let given = late.iter().filter(|alert| alert.assigned_to.is_some()).count();
            let given =
                if given > 0 { format!(" ({given} of them are given to somebody)") } else { String::new() };
            let why = format!(
                "{} alerts are overdue, and {why}{given}; see: undertone alerts list {slug} --state {}",
                late.len(),
                state.as_str()
            );
            told.push((Check::Alerts, Err(why)));
        }
        Ok(told)
    }

    /// Where events go besides people.
    async fn destinations(&self, tenant: &Tenant, settings: &Settings) -> Result<Vec<Told>, CliError> {
        let all = self.store.destinations(tenant.id).await?;
        let mut told: Vec<Told> = Vec::new();
        for destination in &all {
            let name = &destination.name;
            let fares = standing(destination).map_err(|why| {
                let (slug, next) = (
                    &tenant.slug,
                    if destination.active {
                        "try it"
                    } else {
                        "once that is put right, switch it on and try it"
                    },
                );
                format!("{why}; {next}: undertone destinations test {slug} “{name}”")
            });
            let (Ok(text) | Err(text)) = &fares;
            let text = format!("destination “{name}” ({}): {text}", destination.kind.as_str());
            told.push((Check::Destinations, if fares.is_ok() { Ok(text) } else { Err(text) }));
            told.extend(seen::by_destination(settings, destination));
            let opened = self.keys.map(|keys| Secrets::open(keys.keyring(), tenant.id, destination));
            if let Some(Err(why)) = opened {
                let why = format!("destination “{name}”: nothing can be sent to it: {why}");
                told.push((Check::Destinations, Err(why)));
            }
        }
        let mut wanting =
            all.iter().filter(|one| one.active && one.config.events.has(EventKind::AlertRaised));
        if !all.is_empty() && wanting.next().is_none() {
            let none = "no destination that is switched on gets alert.raised; only people are told, in the inbox and by e-mail";
            told.push((Check::Destinations, Ok(none.to_owned())));
        }
        // Of an erasure they hear whatever is switched off.
        let asks = |one: &&Destination| {
            let mut kinds = EventKind::ALL.iter().filter(|kind| **kind != EventKind::CustomerErased);
            one.active && kinds.any(|kind| one.config.events.has(*kind))
        };
        if !settings.dispatch_webhooks && all.iter().any(|one| asks(&one)) {
            let off = "a destination asks for events, and all but customer.erased are switched off for every destination (dispatch_webhooks)";
            told.push((Check::Destinations, Err(off.to_owned())));
        }
        Ok(told)
    }
}
