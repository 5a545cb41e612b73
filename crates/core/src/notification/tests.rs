use chrono_tz::{Europe::Berlin, UTC};
use serde_json::json;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn chosen(json: serde_json::Value) -> Preferences {
    serde_json::from_value(json).unwrap()
}

fn people() -> Vec<Person<'static>> {
    Role::ALL.iter().map(|role| Person { id: role.as_str(), role: *role }).collect()
}

fn hears(kind: EventKind, recipients: &Recipients, assigned_to: Option<&str>) -> Vec<&'static str> {
    let what = Happening { kind, assigned_to, made_by: Some("user:supervisor") };
    told(&what, recipients, &EscalateTo::default(), &people())
}

#[test]
fn the_three_modes_choose_who_hears_of_alerts() {
    let default = Recipients::AdminsAndSupervisors {};
    let some =
        |users: &[&str]| Recipients::SpecificUsers { users: users.iter().map(|u| (*u).to_owned()).collect() };
    let raised = EventKind::AlertRaised;
    assert_eq!(hears(raised, &default, None), ["admin", "tenant_admin", "supervisor", "manager"]);
    assert_eq!(hears(raised, &Recipients::Supervisors {}, None), ["supervisor", "manager"]);
    assert_eq!(hears(raised, &some(&["agent", "gone"]), None), ["agent"]);
    assert!(hears(raised, &some(&[]), None).is_empty());
    // Nobody acknowledged: administrators too, whatever the mode.
    assert_eq!(hears(EventKind::AlertEscalated, &some(&["agent"]), None), ["admin", "tenant_admin", "agent"]);
    // What somebody is responsible for is theirs, and who has gone is nobody.
    assert_eq!(hears(EventKind::AlertReminded, &default, Some("agent")), ["agent"]);
    assert_eq!(
        hears(EventKind::AlertReminded, &Recipients::Supervisors {}, Some("gone")),
        ["supervisor", "manager"]
    );
    assert_eq!(hears(EventKind::AlertAssigned, &default, Some("agent")), ["agent"]);
    assert!(
        hears(EventKind::AlertAssigned, &default, Some("supervisor")).is_empty(),
        "they did it themselves"
    );
    assert_eq!(hears(EventKind::BudgetThreshold, &some(&["agent"]), None), ["admin", "tenant_admin"]);
    for kind in EventKind::ALL {
        let somebody = !hears(*kind, &default, Some("agent")).is_empty();
        assert_eq!(somebody, Category::of(*kind).is_some(), "{}", kind.as_str());
    }
}

#[test]
fn what_nobody_acknowledged_goes_to_others_too() {
    let default = Recipients::AdminsAndSupervisors {};
    let others = EscalateTo {
        roles: [Role::AccountManager].into(),
        users: ["agent".to_owned(), "gone".to_owned()].into(),
    };
    let hears = |kind, assigned_to| {
        told(&Happening { kind, assigned_to, made_by: None }, &default, &others, &people())
    };
    let recipients = ["admin", "tenant_admin", "supervisor", "manager"];
    assert_eq!(hears(EventKind::AlertRaised, None), recipients);
    let escalated = hears(EventKind::AlertEscalated, None);
    assert_eq!(escalated.len(), recipients.len() + 2, "{escalated:?}");
    assert!(
        recipients.iter().chain(&["agent", "account_manager"]).all(|one| escalated.contains(one)),
        "{escalated:?}"
    );
}

#[test]
fn a_choice_that_reaches_nobody_is_told() {
    let none = Recipients::SpecificUsers { users: std::collections::BTreeSet::new() };
    assert!(nobody_hears(&none, &people()).unwrap().contains("none is selected"));
    let gone = Recipients::SpecificUsers { users: ["gone".to_owned()].into() };
    assert!(nobody_hears(&gone, &people()).unwrap().contains("active user"));
    assert_eq!(nobody_hears(&Recipients::Supervisors {}, &people()), None);
    let agent = [Person { id: "a", role: Role::Agent }];
    assert!(nobody_hears(&Recipients::Supervisors {}, &agent).unwrap().contains("supervisors"));
    assert!(nobody_hears(&Recipients::AdminsAndSupervisors {}, &agent).is_some());
}

#[test]
fn nothing_chosen_is_everything_at_once() {
    let now = at("2026-11-29T03:00:00Z");
    let nothing = Preferences::default();
    assert_eq!(nothing.email_at(EventKind::AlertRaised, UTC, now), When { at: now, together: false });
    assert_eq!(nothing.channels(Category::Budget), Channels::BOTH);
    assert_eq!(nothing.check(), Ok(()));
}

#[test]
fn quiet_hours_hold_back_until_they_end_over_midnight_and_when_clocks_change() {
    let night = json!([["00:00", "07:00"], ["22:00", "24:00"]]);
    let nights = chosen(json!({
        "zone": "Europe/Berlin",
        "quiet_hours": {
            "monday": night, "tuesday": night, "wednesday": night, "thursday": night, "friday": night,
            "saturday": night, "sunday": night,
        },
    }));
    assert_eq!(nights.check(), Ok(()));
    for (now, goes) in [
        // Winter: 23:30, 00:30, 06:59, and 07:00, when they are over.
        ("2026-11-30T22:30:00Z", "2026-12-01T06:00:00Z"),
        ("2026-11-30T23:30:00Z", "2026-12-01T06:00:00Z"),
        ("2026-12-01T05:59:00Z", "2026-12-01T06:00:00Z"),
        ("2026-12-01T06:00:00Z", "2026-12-01T06:00:00Z"),
        ("2026-12-01T12:00:00Z", "2026-12-01T12:00:00Z"),
        // The night the clocks go forward, and the night they go back: 07:00 is 05:00 and 06:00 UTC.
        ("2026-03-28T22:00:00Z", "2026-03-29T05:00:00Z"),
        ("2026-03-29T00:59:00Z", "2026-03-29T05:00:00Z"),
        ("2026-10-24T21:00:00Z", "2026-10-25T06:00:00Z"),
        ("2026-10-25T01:30:00Z", "2026-10-25T06:00:00Z"),
    ] {
        let when = nights.email_at(EventKind::AlertRaised, UTC, at(now));
        assert_eq!(when, When { at: at(goes), together: goes != now }, "{now}");
    }
    // What is urgent breaks through, unless the person chose otherwise.
    let now = at("2026-11-30T23:30:00Z");
    assert_eq!(nights.email_at(EventKind::AlertEscalated, UTC, now).at, now);
    let silent = Preferences { urgent_at_once: false, ..nights };
    assert_eq!(silent.email_at(EventKind::AlertEscalated, UTC, now).at, at("2026-12-01T06:00:00Z"));
}

#[test]
fn a_digest_comes_once_a_day_at_its_time_and_not_in_quiet_hours() {
    let mut daily = chosen(json!({"digest_at": "08:00"}));
    for (now, goes) in [
        ("2026-11-29T06:59:00Z", "2026-11-29T07:00:00Z"),
        ("2026-11-29T07:00:00Z", "2026-11-30T07:00:00Z"),
        ("2026-03-28T08:00:00Z", "2026-03-29T06:00:00Z"),
        ("2026-10-24T08:00:00Z", "2026-10-25T07:00:00Z"),
    ] {
        let when = daily.email_at(EventKind::AlertRaised, Berlin, at(now));
        assert_eq!(when, When { at: at(goes), together: true }, "{now}");
    }
    daily.quiet_hours = serde_json::from_value(json!({"monday": [["00:00", "12:00"]]})).unwrap();
    // A Monday: at twelve.
    let when = daily.email_at(EventKind::AlertRaised, Berlin, at("2026-11-29T12:00:00Z"));
    assert_eq!(when, When { at: at("2026-11-30T11:00:00Z"), together: true });
    // At a time that the clocks skip, it comes where they jump.
    let skipped = chosen(json!({"digest_at": "02:30"}));
    assert_eq!(
        skipped.email_at(EventKind::AlertRaised, Berlin, at("2026-03-28T12:00:00Z")).at,
        at("2026-03-29T01:00:00Z")
    );
}

#[test]
fn what_can_not_be_kept_is_refused() {
    let all = json!([["00:00", "24:00"]]);
    let always = chosen(json!({"quiet_hours": {
        "monday": all, "tuesday": all, "wednesday": all, "thursday": all, "friday": all, "saturday": all, "sunday": all,
    }}));
    assert!(always.check().unwrap_err().contains("less than an hour"));
    for wrong in [
        json!({"digest_at": "24:00"}),
        json!({"digest_at": "8"}),
        json!({"zone": "Berlin"}),
        json!({"categories": {"weather": {"in_app": true, "email": true}}}),
        json!({"categories": {"alerts": {"email": true}}}),
        json!({"quiet": {}}),
    ] {
        assert!(serde_json::from_value::<Preferences>(wrong.clone()).is_err(), "{wrong}");
    }
    let kept =
        chosen(json!({"digest_at": "08:05", "categories": {"budget": {"in_app": true, "email": false}}}));
    let told = serde_json::to_value(&kept).unwrap();
    assert_eq!(told["digest_at"], "08:05");
    assert_eq!(serde_json::from_value::<Preferences>(told).unwrap(), kept);
    assert!(!kept.channels(Category::Budget).email && kept.channels(Category::Alerts).email);
}
