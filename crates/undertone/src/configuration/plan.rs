//! What a file would change, told before it changes anything.

use std::fmt::Write;

use ipnet::IpNet;
use serde_json::{Map, Value, json};
use undertone_core::Settings;
use undertone_store::configure::Reconfigured;
use undertone_store::destinations::Destination;
use undertone_store::modules::Module;
use undertone_store::secrets::{KeyError, Keyring};
use undertone_store::{Act, Store, StoreError, Tenant};

use super::{Asked, SETTINGS, Wrong};
use crate::deliver::{Keys, Secrets, Wished};

/// A field, as it is and as it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    /// `None`: it is secret; only that it changes is told.
    values: Option<(Value, Value)>,
}

/// What would become of a destination.
enum Step {
    /// It is made; with the key that was made for it, where it was given none.
    Added { wished: Wished, key: Option<String> },
    /// It is changed.
    Changed { before: Box<Destination>, wished: Box<Wished>, fields: Vec<Field> },
    /// It is removed.
    Removed(Destination),
    /// It is not in the file, and stays.
    Kept(Destination),
}

/// What a file would change of a tenant.
pub struct Plan {
    /// The settings that were saved when it was made.
    seen: Value,
    settings: Vec<Field>,
    changes: Map<String, Value>,
    steps: Vec<Step>,
}

/// What there is to plan with.
pub struct Ground<'a> {
    /// Where everything is.
    pub store: &'a Store,
    /// Whose it is.
    pub tenant: &'a Tenant,
    /// What opens and seals addresses and keys.
    pub keyring: &'a Keyring,
    /// Networks that messages may go to besides the internet.
    pub allowed: &'a [IpNet],
    /// Destinations that are not in the file are removed.
    pub prune: bool,
}

/// Why there is no plan.
pub enum NoPlan {
    /// The file does not fit what is there.
    Wrong(Vec<Wrong>),
    /// The database says no.
    Store(StoreError),
}

impl From<StoreError> for NoPlan {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Plan {
    /// What `asked` would change.
    pub async fn make(asked: Asked, ground: &Ground<'_>) -> Result<Self, NoPlan> {
        let module = ground.store.module(ground.tenant.id).await?;
        let there = ground.store.destinations(ground.tenant.id).await?;
        let mut wrong = Vec::new();
        let (settings, changes) = settings(&asked, &module, &mut wrong);
        let steps = steps(asked, there, ground, &mut wrong);
        wrong.sort();
        if wrong.is_empty() {
            Ok(Self { seen: module.saved, settings, changes, steps })
        } else {
            Err(NoPlan::Wrong(wrong))
        }
    }

    /// It changes nothing.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.steps.iter().all(|step| matches!(step, Step::Kept(_)))
    }

    /// For people: a line for everything that is added (+), changed (~), removed (-) or not in the file (=).
    pub fn told(&self) -> String {
        let mut out = String::new();
        for Field { name, values } in &self.settings {
            let _ = writeln!(out, "~ {name}: {}", change(values.as_ref()));
        }
        for step in &self.steps {
            let _ = match step {
                Step::Added { wished, key } => {
                    let made = if key.is_some() { "; a signing key is made and told once" } else { "" };
                    let (name, kind, address) = (&wished.name, wished.kind.as_str(), &wished.shown_address);
                    let options = &wished.config.options;
                    let options = if options.is_empty() {
                        String::new()
                    } else {
                        format!(", options {}", json!(options))
                    };
                    writeln!(
                        out,
                        "+ destination “{name}”: {kind}, {address}, events {}, {} payload, for {}{options}{}{made}",
                        json!(wished.config.events),
                        json!(wished.config.detail).as_str().unwrap_or_default(),
                        wished.config.audience.as_str(),
                        if wished.active { "" } else { ", switched off" },
                    )
                }
                Step::Changed { before, fields, .. } => {
                    let told = fields
                        .iter()
                        .map(|field| format!("\n    {}: {}", field.name, change(field.values.as_ref())));
                    writeln!(out, "~ destination “{}”{}", before.name, told.collect::<String>())
                }
                Step::Removed(before) => writeln!(
                    out,
                    "- destination “{}” ({}), and what waits for it",
                    before.name,
                    before.kind.as_str()
                ),
                Step::Kept(before) => writeln!(
                    out,
                    "= destination “{}” is not in the file and stays; --prune removes it",
                    before.name
                ),
            };
        }
        out
    }

    /// Changes it, all or nothing. Answers the signing keys that were made, each with its destination's name.
    ///
    /// # Errors
    /// Where somebody else changed something since the plan was made, or nothing seals addresses and keys.
    pub async fn apply(self, ground: &Ground<'_>, actor: &str) -> Result<Vec<(String, String)>, KeyError> {
        let (keyring, tenant) = (ground.keyring, ground.tenant.id);
        let (mut asked, mut keys) = (Reconfigured::default(), Vec::new());
        if !self.settings.is_empty() {
            asked.settings = Some((self.seen, Value::Object(self.changes)));
        }
        for step in self.steps {
            match step {
                Step::Added { wished, key } => {
                    keys.extend(key.map(|key| (wished.name.clone(), key)));
                    asked.created.push(wished.sealed(keyring, tenant)?);
                }
                Step::Changed { before, wished, .. } => {
                    asked.changed.push((before.id, before.version, wished.sealed(keyring, tenant)?));
                }
                Step::Removed(before) => asked.removed.push((before.id, before.version)),
                Step::Kept(_) => {}
            }
        }
        ground.store.reconfigure(&Act::new(tenant, actor), &asked).await?;
        Ok(keys)
    }
}

fn change(values: Option<&(Value, Value)>) -> String {
    values
        .map_or_else(|| "another one (not shown)".to_owned(), |(before, after)| format!("{before} → {after}"))
}

/// The settings that would change, for people and as they are saved.
fn settings(asked: &Asked, module: &Module, wrong: &mut Vec<Wrong>) -> (Vec<Field>, Map<String, Value>) {
    let after = match Settings::from_json(&module.merged(&asked.settings)) {
        Ok(after) => json!(after),
        Err(errors) => {
            wrong.extend(errors.iter().map(|error| asked.wrong_setting(&error.key, &error.message)));
            return (Vec::new(), Map::new());
        }
    };
    let now = json!(module.settings);
    let changed = SETTINGS.into_iter().filter(|key| now[*key] != after[*key]);
    let fields = changed
        .map(|key| Field { name: key.to_owned(), values: Some((now[key].clone(), after[key].clone())) });
    let fields: Vec<Field> = fields.collect();
    let is_changed = |key: &str| fields.iter().any(|field| field.name == key);
    let changes = asked.settings.iter().filter(|(key, _)| is_changed(key));
    let changes = changes.map(|(key, value)| (key.clone(), value.clone())).collect();
    (fields, changes)
}

fn steps(asked: Asked, there: Vec<Destination>, ground: &Ground<'_>, wrong: &mut Vec<Wrong>) -> Vec<Step> {
    let Some(destinations) = asked.destinations else { return Vec::new() };
    let (mut steps, mut left) = (Vec::new(), there);
    for mut one in destinations {
        let draft = std::mem::take(&mut one.draft);
        let Some(at) = left.iter().position(|before| before.name == one.name) else {
            if ground.keyring.current().is_none() {
                wrong.push(one.wrong("name", &KeyError::NoMasterKey.to_string()));
            }
            match draft.made(ground.allowed) {
                Ok((wished, key)) => steps.push(Step::Added { wished, key }),
                Err(errors) => wrong.extend(errors.iter().map(|(field, why)| one.wrong(field, why))),
            }
            continue;
        };
        let before = left.remove(at);
        let secrets = Secrets::open(ground.keyring, ground.tenant.id, &before);
        // Sealed here, it might open nowhere else: this command may lack a master key that the service has.
        if let (Err(why), true) = (&secrets, draft.url.is_some() || draft.key.is_some()) {
            wrong.push(one.wrong("url", why));
            continue;
        }
        match draft.over(&before, secrets.as_ref().ok(), ground.store.now()) {
            Ok(wished) => {
                let fields = differences(&before, secrets.as_ref().ok(), &wished);
                if !fields.is_empty() {
                    steps.push(Step::Changed { before: Box::new(before), wished: Box::new(wished), fields });
                }
            }
            Err(errors) => wrong.extend(errors.iter().map(|(field, why)| one.wrong(field, why))),
        }
    }
    let rest = left.into_iter();
    steps.extend(rest.map(|one| if ground.prune { Step::Removed(one) } else { Step::Kept(one) }));
    steps
}

fn differences(before: &Destination, secrets: Option<&Secrets>, wished: &Wished) -> Vec<Field> {
    let open = [
        ("events", json!(before.config.events), json!(wished.config.events)),
        ("detail", json!(before.config.detail), json!(wished.config.detail)),
        ("audience", json!(before.config.audience), json!(wished.config.audience)),
        ("options", json!(before.config.options), json!(wished.config.options)),
        ("active", json!(before.active), json!(wished.active)),
        ("address", json!(before.shown_address), json!(wished.shown_address)),
    ];
    let open = open.into_iter().filter(|(_, before, after)| before != after);
    let mut fields: Vec<Field> = open
        .map(|(name, before, after)| Field { name: name.to_owned(), values: Some((before, after)) })
        .collect();
    let (Some(secrets), Keys::Anew(after)) = (secrets, &wished.keys) else { return fields };
    let is_shown = fields.iter().any(|field| field.name == "address");
    if secrets.url != after.url && !is_shown {
        fields.push(Field { name: "url".to_owned(), values: None });
    }
    if secrets.key != after.key {
        fields.push(Field { name: "key".to_owned(), values: None });
    }
    fields
}
