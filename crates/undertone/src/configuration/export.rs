//! What is there, as a file. JSON is YAML, so every value is written as such: nothing in it can be read as anything else.

use serde_json::{Value, json};
use undertone_core::Settings;
use undertone_core::destination::DestinationKind;
use undertone_store::Tenant;
use undertone_store::destinations::Destination;
use undertone_store::users::User;

use super::SETTINGS;

/// A tenant's configuration. What is secret is not in it: a comment says how it is given where the destination is new.
pub fn export(tenant: &Tenant, settings: &Settings, destinations: &[Destination], users: &[User]) -> String {
    let slug = &tenant.slug;
    let mut out = format!(
        "# What is set of alerts, and where events go. See what this file would change: undertone apply {slug} FILE --plan\n\
         # What is left out stays as it is. Addresses and keys are not exported.\n\
         version: 1\nsettings:\n"
    );
    let all = json!(settings);
    for key in SETTINGS {
        match &all[key] {
            Value::Object(fields) => {
                out += &format!("  {key}:\n");
                for (name, value) in fields {
                    let value = if name == "users" { people(value, users) } else { value.clone() };
                    out += &format!("    {name}: {value}\n");
                }
            }
            value => out += &format!("  {key}: {value}\n"),
        }
    }
    out += if destinations.is_empty() { "destinations: []\n" } else { "destinations:\n" };
    for destination in destinations {
        let Destination { name, kind, config, active, .. } = destination;
        out += &format!("  - name: {}\n", json!(name));
        out += &format!("    kind: {}\n", kind.as_str());
        for line in secrets(destination) {
            out += &format!("    # {line}\n");
        }
        for (field, value) in [
            ("events", json!(config.events)),
            ("detail", json!(config.detail)),
            ("audience", json!(config.audience)),
            ("options", json!(config.options)),
            ("active", json!(active)),
        ] {
            out += &format!("    {field}: {value}\n");
        }
    }
    out
}

/// The selected people, by e-mail address; whoever is gone is left out.
fn people(selected: &Value, users: &[User]) -> Value {
    let is_selected =
        |user: &&User| selected.as_array().is_some_and(|ids| ids.iter().any(|id| *id == user.id));
    let found = users.iter().filter(is_selected);
    found.map(|user| user.email.as_str()).collect()
}

/// How the address and the key are given, as comments.
fn secrets(destination: &Destination) -> Vec<String> {
    let name: String = destination
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    let mut lines =
        vec![format!("url: ${{env:{name}_URL}}    stays as it is: {}", destination.shown_address)];
    match destination.kind {
        DestinationKind::Slack | DestinationKind::Teams => {}
        DestinationKind::Webhook | DestinationKind::Pagerduty | DestinationKind::Zendesk => {
            lines.push(format!("key: ${{env:{name}_KEY}}    stays as it is"));
        }
    }
    lines
}
