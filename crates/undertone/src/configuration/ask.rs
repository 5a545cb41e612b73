//! What a file asks for.

use std::path::Path;

use ipnet::IpNet;
use serde_json::{Map, Value, json};
use undertone_core::destination::DestinationKind;
use undertone_core::{Settings, text};
use undertone_store::users::User;

use super::document::{self, Content, Located};
use super::reference::{Environment, HOW, Reference};
use super::{SETTINGS, Wrong};
use crate::deliver::Draft;

/// The version of the format.
const VERSION: i64 = 1;

/// What a file is read with.
pub struct Means<'a> {
    /// The folder that files in it are relative to.
    pub beside: &'a Path,
    /// The environment.
    pub environment: Environment<'a>,
    /// Networks that messages may go to besides the internet.
    pub allowed: &'a [IpNet],
    /// The tenant's people, whom a file names by their e-mail address.
    pub users: &'a [User],
}

/// What a file asks for. What it leaves out stays as it is.
#[derive(Default)]
pub struct Asked {
    /// Settings, by name; `null` is the default.
    pub settings: Map<String, Value>,
    /// The line of each.
    setting_lines: Vec<(String, usize)>,
    /// Destinations; `None`: the file says nothing of them.
    pub destinations: Option<Vec<AskedDestination>>,
}

/// A destination that a file asks for.
pub struct AskedDestination {
    /// What tells it from others.
    pub name: String,
    /// What is said of it.
    pub draft: Draft,
    /// The line it begins on.
    line: usize,
    /// The line of each field.
    lines: Vec<(String, usize)>,
}

impl AskedDestination {
    /// Where a field stands; one that is missing where the destination begins.
    pub fn wrong(&self, field: &str, why: &str) -> Wrong {
        let found = self.lines.iter().find(|(name, _)| name == field);
        Wrong::new(found.map_or(self.line, |(_, line)| *line), format!("{}: {field}: {why}", self.name))
    }
}

impl Asked {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of its lines.
    pub fn read(text: &str, means: &Means<'_>) -> Result<Self, Vec<Wrong>> {
        let document = document::read(text)?;
        let Content::Fields(sections) = &document.content else {
            let told = "a file holds version, settings and destinations; undertone export writes one";
            return Err(vec![Wrong::new(document.line, told)]);
        };
        let mut reader = Reader { means, asked: Self::default(), wrong: Vec::new() };
        let mut versions = sections.iter().filter(|(name, ..)| name == "version");
        if versions.next().is_none() {
            reader.wrong.push(Wrong::new(
                document.line,
                format!("it lacks `version: {VERSION}`, the format it is in"),
            ));
        }
        for (name, line, value) in sections {
            match name.as_str() {
                "version" if value.to_json() == json!(VERSION) => {}
                "version" => {
                    reader.wrong.push(Wrong::new(
                        *line,
                        format!("this program reads version {VERSION} of the format"),
                    ));
                }
                "settings" => reader.settings(value),
                "destinations" => reader.destinations(value),
                _ => {
                    let told =
                        format!("there is no section `{name}`; there are version, settings and destinations");
                    reader.wrong.push(Wrong::new(*line, told));
                }
            }
        }
        let Reader { asked, mut wrong, .. } = reader;
        wrong.sort();
        if wrong.is_empty() { Ok(asked) } else { Err(wrong) }
    }

    /// Where a setting stands; one that the file does not name on its first line.
    pub fn wrong_setting(&self, key: &str, told: &str) -> Wrong {
        let found = self.setting_lines.iter().find(|(name, _)| name == key);
        Wrong::new(found.map_or(1, |(_, line)| *line), told)
    }
}

struct Reader<'a> {
    means: &'a Means<'a>,
    asked: Asked,
    wrong: Vec<Wrong>,
}

impl Reader<'_> {
    fn settings(&mut self, section: &Located) {
        let Content::Fields(fields) = &section.content else {
            if section.to_json() != Value::Null {
                self.wrong.push(Wrong::new(section.line, "settings are names and values"));
            }
            return;
        };
        for (name, line, value) in fields {
            if !SETTINGS.contains(&name.as_str()) {
                self.wrong.push(Wrong::new(*line, no_setting(name)));
                continue;
            }
            let value = match name.as_str() {
                "recipients" | "escalate_to" => self.people(name, value),
                _ => value.to_json(),
            };
            self.asked.settings.insert(name.clone(), value);
            self.asked.setting_lines.push((name.clone(), *line));
        }
    }

    /// The value of the setting `name`, with people by their ids, as the settings keep them.
    fn people(&mut self, name: &str, value: &Located) -> Value {
        let mut json = value.to_json();
        let Content::Fields(fields) = &value.content else { return json };
        let users = fields.iter().find(|(name, ..)| name == "users");
        let Some((_, _, Located { content: Content::List(named), .. })) = users else { return json };
        let mut ids = Vec::new();
        for one in named {
            let text = one.to_json().as_str().map(str::to_lowercase).unwrap_or_default();
            let found = self.means.users.iter().find(|user| user.email == text || user.id == text);
            if let Some(user) = found {
                ids.push(Value::from(user.id.as_str()));
            } else {
                let told = format!(
                    "{name}: users: nobody of this tenant has this e-mail address; see undertone user list, or invite them first"
                );
                self.wrong.push(Wrong::new(one.line, told));
            }
        }
        json["users"] = ids.into();
        json
    }

    fn destinations(&mut self, section: &Located) {
        let items = match &section.content {
            Content::List(items) => items.as_slice(),
            Content::Single(Value::Null) => &[],
            _ => {
                self.wrong.push(Wrong::new(
                    section.line,
                    "destinations are a list, each with a name and what is said of it",
                ));
                return;
            }
        };
        let mut read: Vec<AskedDestination> = Vec::new();
        for item in items {
            let Some(one) = self.destination(item) else { continue };
            if read.iter().any(|other| other.name == one.name) {
                self.wrong.push(
                    one.wrong("name", "it stands in this file twice; no two of a tenant are called the same"),
                );
            }
            read.push(one);
        }
        self.asked.destinations = Some(read);
    }

    fn destination(&mut self, item: &Located) -> Option<AskedDestination> {
        let Content::Fields(fields) = &item.content else {
            self.wrong.push(Wrong::new(
                item.line,
                "a destination is names and values: name, kind, events and more",
            ));
            return None;
        };
        let (mut draft, mut lines) = (Draft::default(), Vec::new());
        let kind = fields.iter().find(|(name, ..)| name == "kind").map(|(_, _, value)| value.to_json());
        for (name, line, value) in fields {
            let taken = self
                .looked_up(name, value.to_json(), kind.as_ref())
                .and_then(|value| draft.take(name, value, self.means.allowed));
            if let Err(why) = taken {
                self.wrong.push(Wrong::new(*line, format!("{name}: {why}")));
            }
            lines.push((name.clone(), *line));
        }
        let Some(name) = draft.name.clone() else {
            if !lines.iter().any(|(name, _)| name == "name") {
                self.wrong
                    .push(Wrong::new(item.line, "name: give it a name: it is what tells it from others"));
            }
            return None;
        };
        Some(AskedDestination { name, draft, line: item.line, lines })
    }

    /// A field's value, with what it refers to. Keys, and addresses that are keys themselves, stand in no file.
    fn looked_up(&self, name: &str, value: Value, kind: Option<&Value>) -> Result<Value, String> {
        let (true, Some(text)) = (matches!(name, "url" | "key"), value.as_str()) else { return Ok(value) };
        if let Some(reference) = Reference::of(text.trim()) {
            return reference.look_up(self.means.beside, self.means.environment).map(Value::String);
        }
        let chats = [DestinationKind::Slack, DestinationKind::Teams].map(DestinationKind::as_str);
        let is_key = name == "key" || kind.and_then(Value::as_str).is_some_and(|kind| chats.contains(&kind));
        if is_key {
            return Err(format!("it is a secret, which stands in no file; {HOW}"));
        }
        if text.contains('?') {
            return Err(format!("what follows the ? of an address may be a secret; {HOW}"));
        }
        Ok(value)
    }
}

fn no_setting(name: &str) -> String {
    if Settings::KEYS.contains(&name) {
        return format!(
            "`{name}` is a setting of scoring; a file holds those of alerts: {}",
            SETTINGS.join(", ")
        );
    }
    let near = SETTINGS.into_iter().find(|known| text::resembles(known, name));
    let hint = near.map_or_else(
        || format!("there are {}", SETTINGS.join(", ")),
        |known| format!("did you mean `{known}`?"),
    );
    format!("there is no such setting; {hint}")
}
