//! What happened, as it is told to others: workflows, webhooks, people.
//!
//! An event is written in the transaction of its cause. Its name is hierarchical with full stops, as Standard Webhooks ask for; one name
//! has one payload, whose keys never change their meaning.

mod example;
pub mod payload;

use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Defines the events: a variant, its name, when it happens.
macro_rules! events {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// The name of an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind { $($(#[doc = $doc])+ $variant,)+ }

        impl EventKind {
            /// All of them, in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// When it happens, for people: one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

events! {
    /// An interaction was scored.
    SentimentScored = "sentiment.scored",
    /// An interaction was scored at or under the alert threshold.
    SentimentNegative = "sentiment.negative",
    /// A person corrected a verdict, or took a correction back.
    SentimentOverridden = "sentiment.overridden",
    /// People are told of a customer whose score is at or under the threshold.
    AlertRaised = "alert.raised",
    /// People are told again, because a snooze ended while the score is still low, or because whoever looked after the alert was deactivated or may not any more.
    AlertReminded = "alert.reminded",
    /// Somebody saw the alert.
    AlertAcknowledged = "alert.acknowledged",
    /// Somebody is responsible for the alert.
    AlertAssigned = "alert.assigned",
    /// The alert is quiet until a time.
    AlertSnoozed = "alert.snoozed",
    /// Nobody acknowledged the alert in time, so others are told.
    AlertEscalated = "alert.escalated",
    /// The alert is done with.
    AlertResolved = "alert.resolved",
    /// A correction lifted the score above the threshold before anybody acknowledged the alert, or what it tells of was erased or is not kept any more.
    AlertWithdrawn = "alert.withdrawn",
    /// Many customers turned negative about the same category at once.
    IncidentOpened = "incident.opened",
    /// The surge is over.
    IncidentClosed = "incident.closed",
    /// A share of a budget is used up: 65, 85 or 100 percent.
    BudgetThreshold = "budget.threshold",
    /// A customer was erased; whoever holds copies has to do the same.
    CustomerErased = "customer.erased",
    /// The module was switched on.
    ModuleActivated = "module.activated",
    /// The module was switched off.
    ModuleDeactivated = "module.deactivated",
    /// A destination takes nothing: for ten minutes messages failed or were put off, or three were refused in a row. Told once, until it takes something again. They are still tried.
    DestinationFailing = "destination.failing",
    /// A destination failed for so long, or so finally, that nothing is sent to it any more.
    DestinationDisabled = "destination.disabled",
    /// A person gets no e-mail: a letter to them was refused, or not taken for three days. Told once, until one is taken.
    MailFailing = "mail.failing",
    /// A test message, sent because somebody asked for it.
    Test = "undertone.test",
}

impl EventKind {
    /// Whoever gets it hears that an alert wants somebody, or that there is an incident.
    #[must_use]
    pub fn calls_for_somebody(self) -> bool {
        matches!(self, Self::AlertRaised | Self::AlertReminded | Self::AlertEscalated | Self::IncidentOpened)
    }

    /// It tells what became of an alert or an incident, to whoever heard of that.
    #[must_use]
    pub fn follows_a_call(self) -> bool {
        matches!(
            self,
            Self::AlertAcknowledged
                | Self::AlertAssigned
                | Self::AlertSnoozed
                | Self::AlertResolved
                | Self::AlertWithdrawn
                | Self::IncidentClosed
        )
    }

    /// What is told of one, as an example: the keys are those of every event of this name.
    #[must_use]
    pub fn example(self) -> serde_json::Value {
        example::of(self).0
    }

    /// The keys of what is told of one, in their order, and what each means.
    #[must_use]
    pub fn fields(self) -> Vec<(&'static str, &'static str)> {
        let (example, fields) = example::of(self);
        fields.iter().copied().filter(|(key, _)| example.get(key).is_some()).collect()
    }
}

impl FromStr for EventKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|kind| kind.as_str() == name);
        known.ok_or_else(|| format!("“{name}” is no event; the catalogue is at /api/docs/events"))
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Which events somebody wants: a name, a name's beginning with `.*`, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Wanted(Vec<String>);

impl Wanted {
    /// Every event.
    #[must_use]
    pub fn all() -> Self {
        Self(vec!["*".to_owned()])
    }

    /// What `patterns` ask for.
    ///
    /// # Errors
    /// The first that fits no event, for people.
    pub fn new(patterns: Vec<String>) -> Result<Self, String> {
        for pattern in &patterns {
            if !EventKind::ALL.iter().any(|kind| fits(pattern, *kind)) {
                return Err(format!(
                    "“{pattern}” fits no event; give a name such as alert.raised, a beginning such as alert.*, or *"
                ));
            }
        }
        Ok(Self(patterns))
    }

    /// This event is among them. A test message is nobody's wish: it goes where it is sent.
    #[must_use]
    pub fn has(&self, kind: EventKind) -> bool {
        kind != EventKind::Test && self.0.iter().any(|pattern| fits(pattern, kind))
    }

    /// The patterns, as given.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.0
    }
}

fn fits(pattern: &str, kind: EventKind) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(beginning) => beginning.ends_with('.') && kind.as_str().starts_with(beginning),
        None => kind.as_str() == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_standard_webhooks_allow_and_come_back() {
        for kind in EventKind::ALL {
            let name = kind.as_str();
            assert!(name.contains('.'), "{name}");
            assert!(
                name.split('.')
                    .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')),
                "{name}"
            );
            assert_eq!(name.parse(), Ok(*kind));
            assert!(kind.meaning().ends_with('.'));
        }
    }

    /// The keys that the module guide names, each and no other; see the first of the two texts that Undertone is built from.
    #[test]
    fn the_two_events_of_the_module_guide_have_its_keys() {
        let guide = [
            "tenant_id",
            "interaction_id",
            "customer_id",
            "agent_id",
            "channel",
            "score",
            "label",
            "confidence",
            "dominant_emotion",
            "summary",
            "scored_at",
        ];
        for kind in [EventKind::SentimentScored, EventKind::SentimentNegative] {
            let keys: Vec<&str> = kind.fields().iter().map(|(key, _)| *key).collect();
            assert_eq!(keys, guide, "{}", kind.as_str());
        }
    }

    #[test]
    fn every_key_of_an_example_has_a_meaning() {
        for kind in EventKind::ALL {
            let (example, fields) = (kind.example(), kind.fields());
            assert_eq!(example.as_object().unwrap().len(), fields.len(), "{}", kind.as_str());
            assert!(fields.iter().all(|(_, meaning)| meaning.ends_with('.')), "{fields:?}");
        }
    }

    #[test]
    fn what_is_wanted_is_had_and_nothing_else() {
        let wanted = Wanted::new(vec!["alert.*".to_owned(), "sentiment.negative".to_owned()]).unwrap();
        let has: Vec<&str> =
            EventKind::ALL.iter().filter(|kind| wanted.has(**kind)).map(|kind| kind.as_str()).collect();
        assert_eq!(has.len(), 9, "{has:?}");
        assert!(!wanted.has(EventKind::SentimentScored) && wanted.has(EventKind::AlertEscalated));
        assert!(Wanted::all().has(EventKind::CustomerErased) && !Wanted::all().has(EventKind::Test));
        for wrong in ["alert", "alert*", "alert.rased", ""] {
            assert!(Wanted::new(vec![wrong.to_owned()]).unwrap_err().contains("fits no event"), "{wrong}");
        }
    }
}
