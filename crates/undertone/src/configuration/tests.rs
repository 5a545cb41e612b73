//! A file is read, planned, applied and written again, on a store.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use undertone_core::Settings;
use undertone_store::secrets::{Keyring, MasterKey, Secret};
use undertone_store::tenants::NewTenant;
use undertone_store::users::User;
use undertone_store::{Act, Options, Store, Tenant};

use super::*;
use crate::clock::{MachineClock, TimeOrderedIds};
use crate::deliver::Secrets;

const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";
const HOOK: &str = "https://93.184.215.14/hooks/secret-marker";

fn environment(name: &str) -> Option<Secret> {
    let value = match name {
        "CHAT_URL" => HOOK,
        "PAGER_KEY" => ROUTING_KEY,
        "OTHER_KEY" => "f123456789abcdef0123456789abcdef",
        "EMPTY" => "",
        _ => return None,
    };
    Some(Secret::new(value.to_owned()))
}

fn read(text: &str, users: &[User]) -> Result<Asked, Vec<String>> {
    let means = Means { beside: Path::new("/"), environment: &environment, allowed: &[], users };
    Asked::read(text, &means).map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
}

struct Site {
    _folder: tempfile::TempDir,
    store: Store,
    tenant: Tenant,
    keyring: Keyring,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/t.db", folder.path().display());
        let (clock, ids) = (Arc::new(MachineClock), Arc::new(TimeOrderedIds::new()));
        let store = Store::open(&Options { url, connections: 4 }, clock, ids).await.unwrap();
        store.migrate().await.unwrap();
        let new = NewTenant { slug: "acme", name: "Acme", zone: chrono_tz::UTC, actor: "test" };
        let tenant = store.create_tenant(&new).await.unwrap();
        let act = Act::new(tenant.id, "test");
        store.save_user(&act, "ana@example.com", "supervisor", "hash").await.unwrap();
        let keyring = Keyring::new(Some(MasterKey::generate().unwrap()), None);
        Self { _folder: folder, store, tenant, keyring }
    }

    fn ground(&self, prune: bool) -> Ground<'_> {
        Ground { store: &self.store, tenant: &self.tenant, keyring: &self.keyring, allowed: &[], prune }
    }

    async fn plan(&self, text: &str, prune: bool) -> Result<Plan, Vec<String>> {
        let users = self.store.users(self.tenant.id).await.unwrap();
        let asked = read(text, &users)?;
        match Plan::make(asked, &self.ground(prune)).await {
            Ok(plan) => Ok(plan),
            Err(NoPlan::Wrong(wrong)) => Err(wrong.iter().map(ToString::to_string).collect()),
            Err(NoPlan::Store(error)) => panic!("{error}"),
        }
    }

    /// Applies a file; what was told before, and the signing keys that were made.
    async fn apply(&self, text: &str, prune: bool) -> (String, Vec<(String, String)>) {
        let plan = self.plan(text, prune).await.unwrap();
        let told = plan.told();
        (told, plan.apply(&self.ground(prune), "test").await.unwrap())
    }

    async fn export(&self) -> String {
        let settings = self.store.module(self.tenant.id).await.unwrap().settings;
        let destinations = self.store.destinations(self.tenant.id).await.unwrap();
        let users = self.store.users(self.tenant.id).await.unwrap();
        export(&self.tenant, &settings, &destinations, &users)
    }
}

const FILE: &str = r#"
version: 1
settings:
  alert_threshold: -40
  recipients:
    mode: specific_users
    users: [Ana@example.com]
  business_hours:
    zone: Europe/Berlin
    monday: [["09:00", "17:00"]]
    tuesday:
      - [09:00, 17:00]
    holidays: [2026-12-25]
destinations:
  - name: "Chat: #all \"here\""
    kind: slack
    url: ${env:CHAT_URL}
    events: [alert.*]
  - name: On call
    kind: pagerduty
    key: ${env:PAGER_KEY}
    options: {severity: error}
  - name: CRM
    kind: webhook
    url: https://93.184.215.14/hooks
    detail: full
    audience: supervisor
"#;

#[tokio::test]
async fn a_file_is_applied_once_and_what_is_written_changes_nothing() {
    let site = Site::new().await;
    let plan = site.plan(FILE, false).await.unwrap();
    let told = plan.told();
    assert!(!told.contains("secret-marker") && !told.contains(ROUTING_KEY), "{told}");
    for line in [
        "~ alert_threshold: -50 → -40",
        "+ destination “On call”: pagerduty, https://events.pagerduty.com/…, events [\"alert.*\"",
        "for agent, options {\"severity\":\"error\"}\n",
        "a signing key is made and told once",
    ] {
        assert!(told.contains(line), "{line} is missing: {told}");
    }
    assert!(site.store.destinations(site.tenant.id).await.unwrap().is_empty(), "a plan changes nothing");

    let keys = plan.apply(&site.ground(false), "test").await.unwrap();
    assert!(keys.len() == 1 && keys[0].0 == "CRM" && keys[0].1.starts_with("whsec_"));
    let settings = site.store.module(site.tenant.id).await.unwrap().settings;
    let ana = site.store.user_by_email("ana@example.com").await.unwrap().unwrap();
    assert_eq!(json!(settings.recipients)["users"], json!([ana.id]));
    assert_eq!(json!(settings.business_hours)["tuesday"], json!([["09:00", "17:00"]]));
    let chat = site.store.destinations(site.tenant.id).await.unwrap().remove(1);
    assert_eq!(Secrets::open(&site.keyring, site.tenant.id, &chat).unwrap().url, HOOK);

    for (text, prune) in [(FILE.to_owned(), true), (site.export().await, true)] {
        let plan = site.plan(&text, prune).await.unwrap();
        assert!(plan.is_empty(), "{text}\n{}", plan.told());
    }
    let written = site.export().await;
    assert!(
        !written.contains("secret-marker") && !written.contains(ROUTING_KEY) && !written.contains("whsec_")
    );
    assert!(written.contains("users: [\"ana@example.com\"]"), "{written}");
}

#[tokio::test]
async fn changes_are_told_field_by_field_and_removed_is_only_what_somebody_says() {
    let site = Site::new().await;
    site.apply(FILE, false).await;
    let changed = "version: 1
settings: {alert_threshold: null}
destinations:
  - {name: On call, kind: pagerduty, key: '${env:OTHER_KEY}', active: false}
";
    let plan = site.plan(changed, false).await.unwrap();
    let told = plan.told();
    for line in [
        "~ alert_threshold: -40 → -50",
        "~ destination “On call”\n    active: true → false\n    key: another one (not shown)",
        "= destination “CRM” is not in the file and stays",
    ] {
        assert!(told.contains(line), "{line} is missing: {told}");
    }
    let (told, _) = site.apply(changed, true).await;
    assert!(told.contains("- destination “CRM” (webhook)"), "{told}");
    let left = site.store.destinations(site.tenant.id).await.unwrap();
    assert_eq!(
        left.iter().map(|one| (one.name.as_str(), one.active)).collect::<Vec<_>>(),
        [("On call", false)]
    );
    assert_eq!(json!(left[0].config.options), json!({"severity": "error"}), "what is left out stays");
    let settings = site.store.module(site.tenant.id).await.unwrap();
    assert_eq!(settings.settings.alert_threshold, Settings::default().alert_threshold);
    assert!(settings.saved.get("alert_threshold").is_none());
}

#[tokio::test]
async fn of_two_who_apply_at_once_one_is_told_and_changes_nothing() {
    let site = Site::new().await;
    site.apply(FILE, false).await;
    let first =
        "version: 1\nsettings: {cooldown_minutes: 5}\ndestinations:\n  - {name: CRM, active: false}\n";
    let second =
        "version: 1\nsettings: {cooldown_minutes: 7}\ndestinations:\n  - {name: CRM, detail: thin}\n";
    let (one, other) = (site.plan(first, false).await.unwrap(), site.plan(second, false).await.unwrap());
    one.apply(&site.ground(false), "test").await.unwrap();
    let error = other.apply(&site.ground(false), "test").await.unwrap_err();
    assert!(error.to_string().contains("meanwhile"), "{error}");
    // Only a destination was changed meanwhile: the settings of the same file are not changed either.
    let third = site.plan(second, false).await.unwrap();
    let crm = site.store.destinations(site.tenant.id).await.unwrap().remove(0);
    site.store.remove_destination(&Act::new(site.tenant.id, "other"), &crm.id).await.unwrap();
    third.apply(&site.ground(false), "test").await.unwrap_err();
    assert_eq!(site.store.module(site.tenant.id).await.unwrap().settings.cooldown_minutes, 5);
}

#[tokio::test]
async fn without_a_master_key_the_plan_says_so() {
    let site = Site { keyring: Keyring::default(), ..Site::new().await };
    let told = site.plan(FILE, false).await.err().unwrap();
    assert!(told[0].contains("master key"), "{told:?}");
    assert!(site.plan("version: 1\nsettings: {alert_threshold: -30}\n", false).await.is_ok());
}

#[tokio::test]
async fn everything_wrong_is_told_at_once_with_its_line() {
    let wrong = r"version: 2
settings:
  alert_treshold: -40
  scorer: claude
  recipients: {mode: specific_users, users: [nobody@example.com]}
destinations:
  - name: Chat
    kind: slack
    url: https://hooks.slack.com/services/secret-marker
  - kind: webhook
  - name: Chat
    kind: smoke
    url: http://example.com/
    key: ${env:MISSING}
    events: [alert.wrong]
  - name: Hook
    url: https://example.com/?token=secret-marker
    key: file:/nowhere
more: 1
";
    let told = read(wrong, &[]).err().unwrap();
    insta::assert_snapshot!(told.join("\n"));
    let site = Site::new().await;
    let told = site
        .plan("version: 1\nsettings:\n  cooldown_minutes: 5\n  alert_threshold: 400\n  business_hours: {monday: [['9', '10']]}\ndestinations:\n  - name: A\n    kind: zendesk\n    options: {color: red}\n", false)
        .await
        .err()
        .unwrap();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_is_no_file_of_ours_is_told() {
    for (text, told) in [
        ("version: 1\n settings: [", "line 2: it is no YAML"),
        ("version: 1\nversion: 1", "line 2: it is no YAML: duplicated key"),
        ("[]", "line 1: a file holds version, settings and destinations"),
        ("", "a file holds"),
        ("version: 1\n---\nversion: 1", "one document"),
        ("version: 1\nsettings: !x {}", "line 2: tags"),
        ("version: 1\n1: 2", "line 2: a name is a text"),
        ("settings: {}", "line 1: it lacks `version: 1`"),
        ("version: 1\ndestinations: {}", "line 2: destinations are a list"),
        ("version: 1\nsettings: []", "line 2: settings are names"),
    ] {
        let wrong = read(text, &[]).err().unwrap_or_else(|| panic!("{text} is read"));
        assert!(wrong[0].contains(told), "{text}: {wrong:?}");
    }
    assert!(read("version: 1\nsettings:\ndestinations:\n", &[]).is_ok());
}

#[test]
fn every_setting_of_a_file_is_one() {
    let all: Value = json!(Settings::default());
    assert!(SETTINGS.iter().all(|key| all.get(key).is_some()));
}
