use proptest::prelude::*;
use serde_json::json;

use super::*;

fn errors(json: impl Into<Value>) -> Vec<String> {
    Settings::from_json(&json.into()).unwrap_err().into_iter().map(|e| e.message).collect()
}

#[test]
fn an_empty_object_is_the_defaults_of_the_module_guide() {
    let s = Settings::from_json(&json!({})).unwrap();
    assert_eq!(s, Settings::default());
    assert!(s.enabled && s.emit_workflow_events && s.dispatch_webhooks);
    assert_eq!(s.channels.len(), 10);
    assert_eq!((s.alert_threshold, s.cooldown_minutes), (-50, 30));
    assert_eq!((s.min_note_length, s.max_note_length, s.daily_token_cap), (20, 8000, 100_000));
    assert_eq!(s.recipients, Recipients::AdminsAndSupervisors {});
    assert_eq!(s.model, None);
    assert_eq!((s.monthly_token_cap, s.monthly_cost_cap_cents), (0, 0), "unlimited");
    assert_eq!((s.cascade_threshold, s.llm_together), (70, 8));
    assert_eq!((s.retention_text_days, s.retention_scores_days), (90, 760));
    assert_eq!((s.retention_alerts_days, s.retention_audit_days), (760, 730));
    assert!(s.cascade_segments.is_empty());
}

#[test]
fn roles_that_need_a_second_factor_are_roles() {
    let s = Settings::from_json(&json!({"second_factor_roles": ["tenant_admin", "admin", "admin"]})).unwrap();
    assert!(s.second_factor_roles.iter().eq([Role::Admin, Role::TenantAdmin].iter()));
    for wrong in [json!("admin"), json!(["boss"]), json!({}), json!(null), json!([1])] {
        let told = errors(json!({"second_factor_roles": wrong}));
        assert!(told[0].contains("must be a list of admin, tenant_admin, supervisor"), "{told:?}");
    }
}

#[test]
fn settings_survive_json_and_every_key_is_named() {
    let s = Settings::default();
    let json = serde_json::to_value(&s).unwrap();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), Settings::KEYS);
    assert_eq!(Settings::from_json(&json).unwrap(), s);
}

#[test]
fn unknown_keys_are_refused_by_name_and_all_errors_are_told_at_once() {
    let told = errors(json!({"colour": 1, "cooldown_minute": 5, "alert_threshold": -101, "enabled": "yes"}));
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(told[0].starts_with("there is no setting `colour`; the settings are enabled, channels"));
    assert_eq!(told[1], "there is no setting `cooldown_minute`; did you mean `cooldown_minutes`?");
    assert!(
        told.contains(&"`alert_threshold` is -101; it must be a whole number from -100 to 100".to_owned())
    );
    assert!(told.contains(&"`enabled` is \"yes\"; it must be true or false".to_owned()));
}

#[test]
fn ranges_hold_at_their_ends() {
    for (key, low, high) in [
        ("alert_threshold", -100, 100),
        ("cooldown_minutes", 0, 43_200),
        ("min_note_length", 0, 1000),
        ("max_note_length", 100, 100_000),
        ("daily_token_cap", 0, 1_000_000_000_000_i64),
        ("monthly_token_cap", 0, 1_000_000_000_000),
        ("monthly_cost_cap_cents", 0, 1_000_000_000),
        ("cascade_threshold", 0, 100),
        ("llm_together", 1, 20),
        ("retention_scores_days", 1, 3650),
        ("retention_alerts_days", 30, 3650),
        ("retention_audit_days", 180, 3650),
    ] {
        for fine in [low, high] {
            assert!(
                Settings::from_json(&json!({key: fine, "min_note_length": 0, "retention_text_days": 1}))
                    .is_ok()
                    || key == "min_note_length",
                "{key} {fine}"
            );
        }
        for wrong in [json!(low - 1), json!(high + 1), json!(1.5), json!("7"), json!(null)] {
            let told = errors(json!({key: wrong}));
            assert_eq!(told.len(), 1, "{key} {wrong}");
            assert!(told[0].contains(&format!("from {low} to {high}")), "{}", told[0]);
        }
    }
    assert!(Settings::from_json(&json!({"min_note_length": 1000})).is_ok());
    assert!(errors(json!({"min_note_length": 500, "max_note_length": 400}))[0].contains("is less than"));
    assert!(Settings::from_json(&json!({"retention_text_days": 30, "retention_scores_days": 30})).is_ok());
    assert!(errors(json!({"retention_text_days": 31, "retention_scores_days": 30}))[0].contains("outlive"));
    assert!(errors(json!({"retention_text_days": 0}))[0].contains("from 1 to 3650"));
}

#[test]
fn channels_recipients_model_and_scorer() {
    let s = Settings::from_json(&json!({
        "channels": ["email", "chat"], "model": "claude-x", "scorer": "cascade", "when_unavailable": "wait",
        "recipients": {"mode": "specific_users", "users": ["u2", "u1"]}
    }))
    .unwrap();
    assert_eq!(s.channels, BTreeSet::from([Channel::Email, Channel::Chat]));
    assert_eq!(s.model.as_deref(), Some("claude-x"));
    assert_eq!((s.scorer, s.when_unavailable), (ScorerKind::Cascade, WhenUnavailable::Wait));
    assert_eq!(s.recipients, Recipients::SpecificUsers { users: ["u1".into(), "u2".into()].into() });
    assert!(errors(json!({"channels": ["e-mail"]}))[0].contains("must be one of web, chat, email"));
    assert!(errors(json!({"channels": "email"}))[0].contains("must be a list of"));
    assert!(errors(json!({"recipients": {"mode": "everyone"}}))[0].contains("specific_users"));
    assert!(errors(json!({"recipients": {"mode": "supervisors", "users": []}})).len() == 1);
    assert!(errors(json!({"model": ""}))[0].contains("or null"));
    assert!(errors(json!([]))[0].contains("JSON object"));
}

#[test]
fn segments_are_checked() {
    let s = Settings::from_json(&json!({"cascade_segments": ["vip", "Enterprise", "vip"]})).unwrap();
    assert!(s.cascade_segments.iter().eq(["Enterprise", "vip"]));
    let longest = vec!["é".repeat(100); 100];
    assert!(Settings::from_json(&json!({"cascade_segments": longest})).is_ok());
    for wrong in [
        json!("vip"),
        json!([7]),
        json!([""]),
        json!(["é".repeat(100) + "x"]),
        json!((0..101).map(|n| n.to_string()).collect::<Vec<_>>()),
    ] {
        let told = errors(json!({"cascade_segments": wrong}));
        assert_eq!(told.len(), 1, "{wrong}");
        assert!(
            told[0].contains("a list of at most 100 names of segments, each of 1 to 200 bytes"),
            "{}",
            told[0]
        );
    }
}

#[test]
fn shares_of_the_review_are_checked() {
    let s = Settings::from_json(&json!({"review": {"random": 2.5, "labelled_twice": 100}})).unwrap();
    let told = json!(s.review);
    assert_eq!(
        (&told["random"], &told["labelled_twice"], &told["unsure"]),
        (&json!(2.5), &json!(100.0), &json!(10.0))
    );
    for wrong in [
        json!({"random": 101}),
        json!({"random": 0.001}),
        json!({"rnd": 1}),
        json!([]),
        json!(5),
        json!(null),
    ] {
        let told = errors(json!({"review": wrong}));
        assert_eq!(told.len(), 1, "{wrong}");
        assert!(told[0].contains("percentages from 0 to 100"), "{}", told[0]);
    }
}

#[test]
fn categories_are_checked() {
    let one = json!({"id": "late", "name": "Late delivery", "examples": ["Where is my parcel?"]});
    assert_eq!(Settings::from_json(&json!({"categories": [one]})).unwrap().categories.len(), 1);
    for wrong in [
        json!([one, one]),
        json!([{"id": "Late", "name": "x"}]),
        json!([{"id": "late", "name": " "}]),
        json!([{"id": "late", "name": "x", "examples": [""]}]),
        json!([{"id": "late", "name": "x", "colour": "red"}]),
    ] {
        assert_eq!(errors(json!({"categories": wrong})).len(), 1, "{wrong}");
    }
}

#[test]
fn phrases_are_checked_and_name_known_categories() {
    let sick = json!({"phrase": "sick", "shift": 40});
    assert_eq!(Settings::from_json(&json!({"phrases": [sick]})).unwrap().phrases[0].shift, 40);
    let billing = json!([{"phrase": "double charged", "category": "billing", "urgency": "high"}]);
    assert!(Settings::from_json(&json!({"phrases": billing})).is_ok());
    let own = json!([{"id": "late", "name": "Late"}]);
    let told = errors(json!({"phrases": billing, "categories": own}));
    assert_eq!(told, ["`phrases` name the category billing, which is none of `categories`"]);
    for wrong in [
        json!([sick, {"phrase": " SICK", "shift": 1}]),
        json!([{"phrase": "sick"}]),
        json!([{"phrase": "", "shift": 9}]),
        json!([{"phrase": "sick", "shift": 101}]),
        json!([{"phrase": "sick", "shift": 128}]),
        json!([{"phrase": "sick", "shift": 10, "colour": "red"}]),
        json!(vec![sick.clone(); 201]),
    ] {
        assert_eq!(errors(json!({"phrases": wrong})).len(), 1, "{wrong}");
    }
}

#[test]
fn long_values_are_not_echoed_whole() {
    let told = errors(json!({"enabled": "x".repeat(10_000), "y".repeat(5_000): 1}));
    // A name that is none is told with all that are.
    let names = Settings::KEYS.join(", ").len();
    assert!(told.iter().all(|t| t.len() < 200 + names), "{told:?}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_under_any_key_is_taken_whole_or_refused_by_name(key in 0..Settings::KEYS.len(), value in any_json()) {
        let key = Settings::KEYS[key];
        match Settings::from_json(&json!({key: value})) {
            Ok(settings) => prop_assert!(Settings::from_json(&serde_json::to_value(settings).unwrap()).is_ok()),
            Err(errors) => prop_assert!(errors.iter().all(|e| e.key == key && e.message.contains(key))),
        }
    }
}
