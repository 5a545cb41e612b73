//! Alerts: a score at or under the threshold, told to people once per customer and cooldown, until somebody took care of it.
//!
//! An alert is raised in the transaction that keeps the verdict. Whoever moves the customer's moment in `alert_cooldown` raises it, so that
//! many workers raise one. Where the category surges, its incident holds the alert back; see [`incidents`].

mod around;
mod clock;
mod cooldown;
mod corrected;
pub(crate) mod heard;
pub mod incidents;
mod list;
mod moves;
mod surge;
mod usual;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;
use undertone_core::event::EventKind;
use undertone_core::notification::{Happening, Person, told};
use undertone_core::{Role, Settings, visibility};

use crate::modules::{self, Module};
use crate::outbox::{self, Caused};
use crate::statement::{pieces, sql};
use crate::{Result, Store, TenantId, tenants};

pub(crate) use clock::CLOCK;
pub(crate) use cooldown::carry_cooldown;
use cooldown::{conversation_key, cooling, win};
pub(crate) use corrected::{Corrected, corrected};
pub use list::{Alert, Step, Wanted};
pub(crate) use moves::leave;
pub use moves::{MOST_NOTE, Move};

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Told, and nobody has taken it yet, whoever it was given to.
    Open,
    /// Somebody looks after it.
    Acknowledged,
    /// Quiet until a moment.
    Snoozed,
    /// Held back by an incident.
    Held,
    /// Done with.
    Resolved,
    /// Taken back: a correction lifted the score, or the customer is no longer low.
    Withdrawn,
}

impl AlertState {
    /// The word in the API and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Snoozed => "snoozed",
            Self::Held => "held",
            Self::Resolved => "resolved",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What a tenant chose, as a transaction that raises or moves alerts reads it.
pub(crate) struct Rules {
    pub(crate) tenant: TenantId,
    /// The module is on.
    pub(crate) active: bool,
    pub(crate) settings: Settings,
    pub(crate) zone: Tz,
}

impl Rules {
    /// Those that hold now.
    pub(crate) async fn of(on: &impl ConnectionTrait, tenant: TenantId) -> Result<Self> {
        let zone = tenants::zone_of(on, tenant).await?;
        Self::in_zone(on, tenant, zone).await
    }

    /// The same, where the tenant's zone is known.
    pub(crate) async fn in_zone(on: &impl ConnectionTrait, tenant: TenantId, zone: Tz) -> Result<Self> {
        let Module { active, settings, .. } = modules::module_on(on, tenant).await?;
        Ok(Self { tenant, active, settings, zone })
    }

    fn due(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.settings.business_hours.after(self.zone, at, self.settings.respond_within_minutes)
    }

    /// When others are told, if nobody acknowledged by then; never where that is set.
    pub(crate) fn escalation(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let minutes = self.settings.escalate_after_minutes;
        (minutes > 0).then(|| self.settings.business_hours.after(self.zone, at, minutes))
    }

    /// The same of an alert that was escalated so many times: people are told three times at most.
    pub(crate) fn next_escalation(&self, escalated: i64, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.escalation(at).filter(|_| escalated < clock::MOST_ESCALATIONS)
    }

    /// Incidents are made, as far as the settings alone say.
    fn may_make_incidents(&self) -> bool {
        self.settings.incident_customers > 0 && visibility::makes_incidents(&self.settings.visibility, &[])
    }

    /// Incidents are made now: people who are to hear of alerts hear of an incident in their place.
    async fn makes_incidents(&self, on: &impl ConnectionTrait) -> Result<bool> {
        #[derive(FromQueryResult)]
        struct User {
            id: String,
            role: String,
        }
        if !self.may_make_incidents() {
            return Ok(false);
        }
        let users = sql("SELECT id, role FROM app_user WHERE tenant_id = ? AND active = ? ORDER BY id")
            .bind(self.tenant.0)
            .bind(true)
            .all::<User>(on)
            .await?;
        let known = |user: &User| user.role.parse::<Role>().ok();
        let people: Vec<Person<'_>> =
            users.iter().filter_map(|user| Some(Person { id: &user.id, role: known(user)? })).collect();
        let what = Happening { kind: EventKind::IncidentOpened, assigned_to: None, made_by: None };
        let Settings { recipients, escalate_to, visibility: choice, .. } = &self.settings;
        let hearing = told(&what, recipients, escalate_to, &people);
        let hearing = people.iter().filter(|person| hearing.contains(&person.id));
        let roles: Vec<Role> = hearing.map(|person| person.role).collect();
        Ok(visibility::makes_incidents(choice, &roles))
    }

    /// For how long people are told of a customer once.
    fn cooldown(&self) -> TimeDelta {
        TimeDelta::minutes(self.settings.cooldown_minutes.into())
    }

    /// The alert that is raised of `low`: held back where its category has an incident.
    fn raised(
        &self,
        id: String,
        low: &Low<'_>,
        incident: Option<&str>,
        at: DateTime<Utc>,
    ) -> (list::Row, list::More) {
        let state = if incident.is_some() { AlertState::Held } else { AlertState::Open };
        let row = list::Row {
            id,
            customer_id: low.customer.map(str::to_owned),
            interaction_id: low.interaction.to_owned(),
            score: low.score,
            threshold: self.settings.alert_threshold.into(),
            label: low.label.to_owned(),
            category: low.category.to_owned(),
            channel: low.channel.to_owned(),
            state: state.as_str().to_owned(),
            incident_id: incident.map(str::to_owned),
            raised_at: at,
            told_at: incident.is_none().then_some(at),
            due_at: self.due(at),
            acknowledged_at: None,
            acknowledged_by: None,
            assigned_to: None,
            snoozed_until: None,
            ended_at: None,
            ended_by: None,
            note: None,
            escalated: 0,
            cooldown_key: Some(low.key()),
            version: 1,
        };
        let more = list::More {
            source: low.source.map(str::to_owned),
            conversation_id: low.conversation.map(str::to_owned),
            dominant_emotion: Some(low.emotion.to_owned()),
            summary: low.summary.map(str::to_owned),
        };
        (row, more)
    }
}

/// An interaction whose effective score is low.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Low<'a> {
    pub(crate) interaction: &'a str,
    pub(crate) source: Option<&'a str>,
    pub(crate) customer: Option<&'a str>,
    pub(crate) conversation: Option<&'a str>,
    pub(crate) score: i64,
    pub(crate) label: &'a str,
    pub(crate) emotion: &'a str,
    pub(crate) category: &'a str,
    pub(crate) channel: &'a str,
    /// What may leave of the summary.
    pub(crate) summary: Option<&'a str>,
}

impl Low<'_> {
    /// What the cooldown is kept by: the customer; of nobody known the conversation, or else the channel.
    fn key(&self) -> String {
        match (self.customer, self.conversation) {
            (Some(customer), _) => customer.to_owned(),
            (None, Some(conversation)) => conversation_key(conversation),
            (None, None) => format!("channel:{}", self.channel),
        }
    }
}

/// Raises what is to be raised for these interactions, in the transaction that keeps their scores.
pub(crate) async fn raise(
    store: &Store,
    tx: &impl ConnectionTrait,
    rules: &Rules,
    at: DateTime<Utc>,
    lows: &[Low<'_>],
) -> Result<()> {
    if lows.is_empty() {
        return Ok(());
    }
    let tenant = rules.tenant;
    let incidents = surge::note(store, tx, rules, at, lows).await?;
    // The lowest of each customer, in the order of the keys: nobody waits for anybody in a circle. What an incident holds is told later, if
    // at all, and keeps nobody from hearing of something else.
    let (mut telling, mut holding) = (BTreeMap::new(), BTreeMap::new());
    for low in lows {
        match incidents.get(low.category) {
            Some(incident) => keep_lowest(&mut holding, (incident.as_str(), low.key()), low),
            None => keep_lowest(&mut telling, low.key(), low),
        }
    }
    let over = at - rules.cooldown();
    // In this order: whoever takes a held one begins its cooldown.
    let held = held(tx, tenant, holding.keys()).await?;
    let cooling = cooling(tx, tenant, over, holding.keys().map(|(_, key)| key)).await?;
    let won = win(tx, tenant, at, over, telling.keys().map(String::as_str)).await?;
    let telling = telling.into_iter().filter(|(key, _)| won.contains(key)).map(|(_, low)| (low, None));
    let is_new = |(incident, key): &(&str, String)| {
        !cooling.contains(key) && !held.contains(&((*incident).to_owned(), key.clone()))
    };
    let holding = holding.into_iter().filter(|(of, _)| is_new(of));
    let holding = holding.map(|((incident, _), low)| (low, Some(incident)));
    let raised: Vec<(list::Row, list::More)> = telling
        .chain(holding)
        .map(|(low, incident)| rules.raised(store.new_id(at), low, incident, at))
        .collect();
    write(tx, rules, &raised).await?;
    let told: Vec<(&list::Row, &list::More)> =
        raised.iter().map(|(row, more)| (row, more)).filter(|(row, _)| row.incident_id.is_none()).collect();
    let payloads = list::told(tx, tenant, &told, at).await?;
    let events = told.iter().zip(payloads);
    let events =
        events.map(|((row, _), payload)| Caused::new(EventKind::AlertRaised, &row.id, json!(payload)));
    outbox::emit_under(store, tx, (tenant, at), &rules.settings, events.collect()).await
}

fn keep_lowest<'a, K: Ord>(lowest: &mut BTreeMap<K, &'a Low<'a>>, key: K, low: &'a Low<'a>) {
    let kept = lowest.entry(key).or_insert(low);
    if low.score < kept.score {
        *kept = low;
    }
}

/// Those of these incidents and keys of whom the incident holds an alert already: one is let go when it ends, however long it took. The
/// incident is locked, so that nobody else holds another meanwhile.
async fn held<'a>(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    keys: impl Iterator<Item = &'a (&'a str, String)>,
) -> Result<HashSet<(String, String)>> {
    let mut of_incidents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (incident, key) in keys {
        of_incidents.entry(*incident).or_default().push(key);
    }
    let mut held = HashSet::new();
    for (incident, keys) in of_incidents {
        for piece in pieces(&keys) {
            let some = sql("SELECT DISTINCT cooldown_key FROM alert WHERE tenant_id = ? AND incident_id = ? AND state = 'held' \
                 AND cooldown_key IN ?")
                .bind(tenant.0)
                .bind(incident)
                .list(piece.iter().copied())
                .column::<String>(tx)
                .await?;
            held.extend(some.into_iter().map(|key| (incident.to_owned(), key)));
        }
    }
    Ok(held)
}

async fn write(tx: &impl ConnectionTrait, rules: &Rules, raised: &[(list::Row, list::More)]) -> Result<()> {
    let rows: Vec<[Value; 18]> = raised
        .iter()
        .map(|(row, _)| {
            let next_at = if row.incident_id.is_some() { None } else { rules.escalation(row.raised_at) };
            [
                rules.tenant.0.into(),
                row.id.as_str().into(),
                row.customer_id.clone().into(),
                row.interaction_id.as_str().into(),
                row.score.into(),
                row.threshold.into(),
                row.label.as_str().into(),
                row.category.as_str().into(),
                row.channel.as_str().into(),
                row.state.as_str().into(),
                row.incident_id.clone().into(),
                row.raised_at.into(),
                row.told_at.into(),
                row.due_at.into(),
                row.escalated.into(),
                next_at.into(),
                row.cooldown_key.clone().into(),
                row.version.into(),
            ]
        })
        .collect();
    for piece in pieces(&rows) {
        sql("INSERT INTO alert (tenant_id, id, customer_id, interaction_id, score, threshold, label, category, channel, state, incident_id, \
             raised_at, told_at, due_at, escalated, next_at, cooldown_key, version) VALUES ?")
        .rows(piece.iter().cloned())
        .run(tx)
        .await?;
    }
    Ok(())
}

/// Names as the systems around us know them: of customers the external id and the name, of conversations the external id.
pub(crate) struct Names {
    customers: HashMap<String, (String, Option<String>)>,
    conversations: HashMap<String, String>,
}

impl Names {
    pub(crate) async fn of<'a>(
        on: &impl ConnectionTrait,
        tenant: TenantId,
        whose: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>,
    ) -> Result<Self> {
        #[derive(FromQueryResult)]
        struct Customer {
            id: String,
            external_id: String,
            name: Option<String>,
        }
        #[derive(FromQueryResult)]
        struct Conversation {
            id: String,
            external_id: String,
        }
        let (mut customers, mut conversations): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for (customer, conversation) in whose {
            customers.extend(customer);
            conversations.extend(conversation);
        }
        let mut names = Self { customers: HashMap::new(), conversations: HashMap::new() };
        for piece in pieces(&customers) {
            let rows = sql("SELECT id, external_id, name FROM customer WHERE tenant_id = ? AND id IN ?")
                .bind(tenant.0)
                .list(piece.iter().copied())
                .all::<Customer>(on)
                .await?;
            names.customers.extend(rows.into_iter().map(|row| (row.id, (row.external_id, row.name))));
        }
        for piece in pieces(&conversations) {
            let rows = sql("SELECT id, external_id FROM conversation WHERE tenant_id = ? AND id IN ?")
                .bind(tenant.0)
                .list(piece.iter().copied())
                .all::<Conversation>(on)
                .await?;
            names.conversations.extend(rows.into_iter().map(|row| (row.id, row.external_id)));
        }
        Ok(names)
    }

    pub(crate) fn customer(&self, id: Option<&str>) -> Option<&(String, Option<String>)> {
        self.customers.get(id?)
    }

    pub(crate) fn conversation(&self, id: Option<&str>) -> Option<&String> {
        self.conversations.get(id?)
    }
}
