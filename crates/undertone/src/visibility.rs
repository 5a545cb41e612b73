//! Who looks, under which policy. Every surface that tells what customers feel asks here, and [`undertone_core::visibility::see`] decides.

mod overview;

use std::collections::HashMap;

use axum::BoxError;
use serde_json::{Map, Value, json};
use undertone_core::Settings;
use undertone_core::access::Permission;
use undertone_core::event::EventKind;
use undertone_core::visibility::{Choice, Figures, LookedAt, Policy, Reason, Sight, Viewer, figures, see};
use undertone_store::{Store, StoreError, TenantId};

pub use overview::overview;

use crate::api::caller::Caller;
use crate::api::problem::{ApiError, FORBIDDEN};

/// Somebody who looks at what a tenant's customers feel.
#[derive(Debug, Clone)]
pub struct Eyes {
    tenant: TenantId,
    choice: Choice,
    viewer: Viewer,
}

/// What somebody sees of several things, by their ids.
#[derive(Debug)]
pub struct Sights(HashMap<String, Sight>, Sight);

impl Sights {
    /// What they see of this one; of one that is not known, what they see of something they may not.
    pub fn of(&self, id: &str) -> Sight {
        self.0.get(id).copied().unwrap_or(self.1)
    }
}

impl Eyes {
    /// The caller's, under the policy of this moment.
    pub async fn of(store: &Store, caller: &Caller) -> Result<Self, StoreError> {
        let settings = store.module(caller.tenant_id()).await?.settings;
        Ok(Self::with(caller.tenant_id(), &settings, caller.viewer(store).await?))
    }

    /// Those of a caller to whom a file is sent that needs `permission`, as everything is by now.
    ///
    /// # Errors
    /// Where they may not have it any more, and those of the database.
    pub async fn on_a_file(store: &Store, caller: &Caller, permission: Permission) -> Result<Self, BoxError> {
        if !caller.still_may(store, permission).await? {
            return Err("whoever asked for it may not have it any more".into());
        }
        Ok(Self::of(store, caller).await?)
    }

    /// Those of `viewer` under these settings.
    pub fn with(tenant: TenantId, settings: &Settings, viewer: Viewer) -> Self {
        Self { tenant, choice: settings.visibility.clone(), viewer }
    }

    /// They look on, under what the settings say by now.
    pub fn look_under(&mut self, settings: &Settings) {
        self.choice.clone_from(&settings.visibility);
    }

    /// They may look at all; somebody whose role went away may not.
    pub fn may_look(&self) -> bool {
        self.viewer.role.is_some()
    }

    /// The policy in force.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// They see each score there is, so that nothing needs to be looked up.
    pub fn see_everything(&self) -> bool {
        self.figures() == Figures::Live
    }

    /// There may be something single whose score they see.
    pub fn see_single(&self) -> bool {
        undertone_core::visibility::sees_single(&self.choice, &self.viewer)
    }

    /// They see incidents.
    pub fn sees_incidents(&self) -> bool {
        undertone_core::visibility::sees_incidents(&self.choice, &self.viewer)
    }

    /// Which figures of groups they see.
    pub fn figures(&self) -> Figures {
        figures(&self.choice, &self.viewer)
    }

    /// Why they may not see something that is there; `None` where they see everything.
    pub fn reserve(&self) -> Option<Reason> {
        if self.see_everything() {
            return None;
        }
        match self.choice.policy {
            // Nothing in particular is looked at, and most conversations are open once.
            Policy::PostConversation => Some(Reason::ConversationOpen),
            _ => self.unknown().reason,
        }
    }

    /// What they see of one thing.
    pub fn see(&self, what: &LookedAt<'_>) -> Sight {
        see(&self.choice, &self.viewer, what)
    }

    /// What they see where nothing is known about it.
    fn unknown(&self) -> Sight {
        self.see(&LookedAt::Text { score: None })
    }

    /// They may have a text read that is not kept, and see what came of it; before it was read, they may as far as that can be said.
    pub fn may_try(&self, score: Option<i64>) -> Result<(), ApiError> {
        let sight = self.see(&LookedAt::Text { score });
        match sight.reason {
            None => Ok(()),
            Some(Reason::NotPastThreshold) if score.is_none() => Ok(()),
            Some(reason) => Err(ApiError::new(FORBIDDEN, reason.explanation())),
        }
    }

    /// What they see of these interactions.
    pub async fn on_interactions(&self, store: &Store, ids: &[&str]) -> Result<Sights, StoreError> {
        if self.see_everything() {
            return Ok(Sights(HashMap::new(), self.unknown()));
        }
        let facts = store.interaction_facts(self.tenant, ids).await?;
        let seen = facts.into_iter().map(|(id, facts)| (id, self.see(&facts.looked_at()))).collect();
        Ok(Sights(seen, self.closed()))
    }

    /// What they see of these customers, by our ids.
    pub async fn on_customers(&self, store: &Store, ids: &[&str]) -> Result<Sights, StoreError> {
        if self.see_everything() {
            return Ok(Sights(HashMap::new(), self.unknown()));
        }
        let facts = store.customer_facts(self.tenant, ids).await?;
        let seen = facts.into_iter().map(|(id, facts)| (id, self.see(&facts.looked_at()))).collect();
        Ok(Sights(seen, self.closed()))
    }

    /// What they see of this interaction.
    pub async fn on_interaction(&self, store: &Store, id: &str) -> Result<Sight, StoreError> {
        Ok(self.on_interactions(store, &[id]).await?.of(id))
    }

    /// What they see of this customer, by our id.
    pub async fn on_customer(&self, store: &Store, id: &str) -> Result<Sight, StoreError> {
        Ok(self.on_customers(store, &[id]).await?.of(id))
    }

    /// Why each of these events, given by its name and its payload, tells them nothing of what customers feel; `None` where it does, or is about
    /// no customer. Of one without a payload, which is not kept any more, is not known whom it was about.
    pub async fn on_events(
        &self,
        store: &Store,
        events: &[(&str, Option<&Value>)],
    ) -> Result<Vec<Option<Reason>>, StoreError> {
        let ids: Vec<&str> = events.iter().filter_map(|(_, payload)| about((*payload)?)).collect();
        let sights = self.on_interactions(store, &ids).await?;
        let reason = |(event, payload): &(&str, Option<&Value>)| match payload.and_then(about) {
            Some(interaction) => sights.of(interaction).reason,
            None => is_of_feelings(event).then(|| self.reserve()).flatten(),
        };
        Ok(events.iter().map(reason).collect())
    }

    /// What is shown of something that vanished meanwhile: nothing.
    fn closed(&self) -> Sight {
        see(&self.choice, &Viewer::default(), &LookedAt::Text { score: None })
    }
}

/// How it is told that something is not shown: the policy's word for why, and the same for a person. Null where everything is shown.
pub fn told(sight: Sight) -> Value {
    sight.reason.map_or(Value::Null, why)
}

/// A reason as it is told.
pub fn why(reason: Reason) -> Value {
    json!({"reason": reason, "explanation": reason.explanation()})
}

/// What begins the names of events that are there because of what customers feel.
const OF_FEELINGS: [&str; 3] = ["sentiment.", "alert.", "incident."];

fn is_of_feelings(event: &str) -> bool {
    OF_FEELINGS.iter().any(|of| event.starts_with(of))
}

/// Events of how the tenant is run: they are told to whoever may change that.
const OF_SETTINGS: [EventKind; 4] = [
    EventKind::BudgetThreshold,
    EventKind::DestinationFailing,
    EventKind::DestinationDisabled,
    EventKind::MailFailing,
];

/// What somebody is told of events: each payload without what `viewer` may not see; `None` where the event itself would say it, so that nothing
/// is told. To be asked when they are told, not when they happen: what may be seen changes meanwhile.
///
/// An event is given by its name and its payload, which names the interaction it is about, if it is about one. `viewer` is the person it goes to
/// ([`Store::viewer`]), or for another program what [`Viewer::of_scopes`] says of its key.
pub async fn payloads(
    store: &Store,
    tenant: TenantId,
    viewer: Viewer,
    events: &[(&str, &Value)],
) -> Result<Vec<Option<Value>>, StoreError> {
    let runs_it = viewer.role.is_some_and(|role| role.may(Permission::Settings));
    let told = sent(store, tenant, viewer, events).await?;
    let may = |event: &str| runs_it || !OF_SETTINGS.iter().any(|kind| kind.as_str() == event);
    Ok(events.iter().zip(told).map(|((event, _), payload)| payload.filter(|_| may(event))).collect())
}

/// What a destination whose audience is `viewer` is sent of events. The audience says what of customers may be seen there; which events of how
/// the tenant is run go there was chosen by who runs it.
pub async fn sent(
    store: &Store,
    tenant: TenantId,
    viewer: Viewer,
    events: &[(&str, &Value)],
) -> Result<Vec<Option<Value>>, StoreError> {
    let settings = store.module(tenant).await?.settings;
    let eyes = Eyes::with(tenant, &settings, viewer);
    let ids: Vec<&str> = events.iter().filter_map(|(_, payload)| about(payload)).collect();
    let sights = eyes.on_interactions(store, &ids).await?;
    let told = events.iter().map(|(event, payload)| {
        if let Some(interaction) = about(payload) {
            return of_interaction(sights.of(interaction), event, payload);
        }
        (!is_of_feelings(event) || eyes.see_everything()).then(|| (*payload).clone())
    });
    Ok(told.collect())
}

/// The interaction that an event is about.
fn about(payload: &Value) -> Option<&str> {
    payload["interaction_id"].as_str()
}

/// What is told of an event about one interaction.
fn of_interaction(sight: Sight, event: &str, payload: &Value) -> Option<Value> {
    /// What stays of a payload whose verdict is not shown.
    const PLAIN: [&str; 8] = [
        "tenant_id",
        "interaction_id",
        "conversation_id",
        "customer_id",
        "agent_id",
        "channel",
        "occurred_at",
        "scored_at",
    ];
    if sight.is_open() {
        return Some(payload.clone());
    }
    // That there is a verdict says nothing of it; every other event is one because of what the verdict is.
    if event != "sentiment.scored" || sight.reason == Some(Reason::NoRole) {
        return None;
    }
    let fields = payload.as_object().into_iter().flatten();
    let plain = fields.filter(|(key, _)| PLAIN.contains(&key.as_str()));
    let mut plain: Map<_, _> = plain.map(|(key, value)| (key.clone(), value.clone())).collect();
    plain.insert("hidden".to_owned(), told(sight));
    Some(plain.into())
}
