use chrono::{SubsecRound, TimeDelta, TimeZone};
use proptest::prelude::*;
use serde_json::{Value, json};
use undertone_core::{AuthorKind, Direction, Kind, Visibility};

use super::check::{AHEAD, MOST_ATTRIBUTES, MOST_ERRORS, MOST_ID, MOST_TEXT};
use super::mentions::{ACCOUNT, AGENT};
use super::*;

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 9, 0, 0).unwrap()
}

fn of(value: &Value) -> Result<Arrival, Vec<ItemError>> {
    of_bytes(value.to_string().as_bytes())
}

fn of_bytes(json: &[u8]) -> Result<Arrival, Vec<ItemError>> {
    read(json, &Context { now: now(), default_source: "api" })
}

/// Everything that is told of the items, a line each.
fn told<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut told = String::new();
    for item in items {
        match of_bytes(item) {
            Ok(_) => told.push_str("taken\n"),
            Err(errors) => {
                for ItemError { field, code, message } in errors {
                    told.push_str(&format!("{field:<24} {code:<16} {message}\n"));
                }
            }
        }
        told.push('\n');
    }
    told
}

fn codes(value: &Value) -> Vec<(String, &'static str)> {
    of(value).err().unwrap_or_default().into_iter().map(|e| (e.field, e.code)).collect()
}

#[test]
fn a_text_is_enough() {
    let arrival = of(&json!({"text": "It broke again\n"})).unwrap();
    assert_eq!(arrival, Arrival::of(Interaction::message("api", "", "It broke again\n")));
    assert_eq!(arrival.interaction.occurred_at, None);
}

#[test]
fn everything_that_can_be_told_is_kept() {
    let arrival = of(&json!({
        "source": "zendesk-eu", "external_id": 4711, "text": "caf\u{e9} \u{1f600}", "channel": "WhatsApp", "kind": "message",
        "author_kind": "customer", "direction": "incoming", "visibility": "public",
        "occurred_at": "2026-11-20T10:00:00.1234567+01:00", "on_conflict": "update",
        "customer": {"id": " 42 ", "name": "Ana", "email": "ana@example.com", "phone": "+49 30 1", "segment": "gold",
                     "account": "acme", "attributes": {"a": [1, 2.5, null, {"b": true}]},
                     "aliases": [{"kind": "zendesk", "value": 77}]},
        "account": {"id": "acme", "name": "Acme", "plan": "pro", "value_cents": -5},
        "agent": {"id": 7, "name": "Bo", "email": "bo@example.com", "team": 3},
        "conversation": {"id": "t-1", "subject": "Late", "priority": "high", "queue": "eu", "tags": ["vip", "late"]},
    }))
    .unwrap();
    let i = &arrival.interaction;
    assert_eq!(
        (i.source.as_str(), i.external_id.as_str(), i.text.as_str()),
        ("zendesk-eu", "4711", "café 😀")
    );
    assert_eq!((i.channel, i.channel_name.as_deref()), (Channel::Chat, Some("WhatsApp")));
    assert_eq!(i.occurred_at.unwrap().to_rfc3339(), "2026-11-20T09:00:00.123456+00:00");
    assert_eq!((i.customer.as_deref(), i.account.as_deref()), (Some("42"), Some("acme")));
    assert_eq!((i.agent.as_deref(), i.conversation.as_deref()), (Some("7"), Some("t-1")));
    assert!(arrival.update);
    let c = &arrival.customer;
    assert_eq!((c.name.as_deref(), c.email.as_deref()), (Some("Ana"), Some("ana@example.com")));
    assert_eq!((c.phone.as_deref(), c.segment.as_deref()), (Some("+49 30 1"), Some("gold")));
    assert_eq!(Value::from(c.attributes.clone().unwrap()), json!({"a": [1, 2.5, null, {"b": true}]}));
    assert_eq!(json!(c.aliases), json!([{"kind": "zendesk", "value": "77"}]));
    let a = &arrival.account;
    assert_eq!((a.name.as_deref(), a.plan.as_deref(), a.value_cents), (Some("Acme"), Some("pro"), Some(-5)));
    let a = &arrival.agent;
    assert_eq!(
        (a.name.as_deref(), a.email.as_deref(), a.team.as_deref()),
        (Some("Bo"), Some("bo@example.com"), Some("3"))
    );
    let c = &arrival.conversation;
    assert_eq!(
        (c.subject.as_deref(), c.priority.as_deref(), c.queue.as_deref()),
        (Some("Late"), Some("high"), Some("eu"))
    );
    assert_eq!(c.tags, Some(vec!["vip".to_owned(), "late".to_owned()]));
}

#[test]
fn null_and_blank_words_are_as_good_as_none() {
    let nulls: serde_json::Map<String, Value> = FIELDS
        .into_iter()
        .map(|field| (field.to_owned(), if field == "text" { json!("x") } else { Value::Null }))
        .collect();
    assert_eq!(of(&nulls.into()).unwrap(), of(&json!({"text": "x"})).unwrap());
    let blank =
        of(&json!({"text": " ", "channel": " ", "customer": {"id": 1, "name": "", "email": " "}})).unwrap();
    assert_eq!(
        (blank.interaction.text.as_str(), blank.interaction.channel_name, blank.customer.name),
        (" ", None, None)
    );
    assert_eq!(of(&json!({"text": "x", "channel": "other"})).unwrap().interaction.channel_name, None);
}

#[test]
fn what_is_left_out_of_the_nature_follows() {
    let i = of(&json!({"text": "x", "kind": "note"})).unwrap().interaction;
    assert_eq!((i.kind, i.author_kind, i.visibility), (Kind::Note, AuthorKind::Agent, Visibility::Internal));
    let i = of(&json!({"text": "x", "author_kind": "agent"})).unwrap().interaction;
    assert_eq!((i.kind, i.direction), (Kind::Message, Direction::Outgoing));
}

#[test]
fn times_in_the_forms_that_are_taken() {
    let at = |value: Value| {
        of(&json!({"text": "x", "occurred_at": value})).map(|a| a.interaction.occurred_at.unwrap())
    };
    let wanted = Utc.with_ymd_and_hms(2026, 10, 14, 8, 15, 0).unwrap();
    for same in [
        json!("2026-10-14T08:15:00Z"),
        json!("2026-10-14 10:15:00+02:00"),
        json!(1_791_965_700),
        json!(1_791_965_700_000_i64),
    ] {
        assert_eq!(at(same.clone()), Ok(wanted), "{same}");
    }
    // A leap second is the second after it, which databases know.
    assert_eq!(at(json!("2016-12-31T23:59:60Z")).unwrap().to_rfc3339(), "2017-01-01T00:00:00+00:00");
    assert_eq!(at(json!("1990-01-01T00:00:00Z")).unwrap().timestamp(), 631_152_000);
    assert!(at(json!("1989-12-31T23:59:59.999999Z")).is_err());
    assert_eq!(at(json!((now() + AHEAD).to_rfc3339())), Ok(now() + AHEAD));
    assert!(at(json!((now() + AHEAD + TimeDelta::microseconds(1)).to_rfc3339())).is_err());
    for wrong in
        [json!(i64::MAX), json!(u64::MAX), json!(1.5), json!("1791965700"), json!("2026-10-14"), json!([])]
    {
        assert!(at(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn everything_wrong_is_told_at_once_and_in_words() {
    let items = [
        json!({
            "txt": "x", "body": "x", "customer_id": 1, "whatever": 1, "text": "a\u{0}b", "channel": 7, "kind": "letter",
            "author_kind": {"agent": null}, "direction": "inbound", "visibility": true, "source": "My CRM",
            "occurred_at": "2026-11-22T00:00:00Z", "external_id": "", "on_conflict": "overwrite", "account": [1],
            "customer": {"nmae": "Ana", "email": "ana", "phone": "1".repeat(65)},
            "agent": {"id": 1.5, "email": "@", "team": {}},
            "conversation": {"id": "x".repeat(201), "subject": "é".repeat(501), "tags": ["a", 1, "b".repeat(65), null]},
        }),
        json!({"text": ["x"], "occurred_at": "2026-11-20 10:00", "customer": true, "external_id": 1e30,
               "account": {"id": 1, "value_cents": 1.5, "plan": 1}, "conversation": {"id": 1, "tags": "vip"}}),
        json!({"occurred_at": 0, "customer": {"id": 1, "account": "a", "attributes": []}, "account": "b",
               "conversation": {"id": "a\u{0}", "tags": vec!["x"; 51]}}),
        json!({"text": "x".repeat(MOST_TEXT + 1), "customer": {"id": 1, "attributes": {"a": "x".repeat(MOST_ATTRIBUTES)}}}),
        json!({"text": "x", "occurred_at": false, "customer": {"id": 1, "attributes": {"a\u{0}": [[[[[[[[1]]]]]]]]}}}),
        json!({"text": "x", "\u{202e}\u{7}\n": 1, "y".repeat(5000): 1}),
        json!([{"text": "x"}]),
        json!("x"),
    ]
    .map(|value| value.to_string());
    insta::assert_snapshot!(told(items.iter().map(String::as_bytes)));
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    let deep = format!("{{\"text\": \"x\", \"customer\": {}", "[".repeat(100_000));
    let wide = format!("{{\"text\": \"x\", \"customer\": [{}1]}}", "1,".repeat(30_000));
    let items: [&[u8]; 16] = [
        b"",
        b"  ",
        b"{",
        b"{\"text\": \"x\"",
        b"{\"text\": \"x\"} {\"text\": \"y\"}",
        b"{\"text\": 'x'}",
        b"{\"text\": \"x\",}",
        b"{\n  \"text\": \"x\",\n  \"channel\": chat\n}",
        b"{\"text\": \"two\nlines\"}",
        b"{\"text\": \"\\ud83d\"}",
        b"{\"text\": \"\\ud83d \"}",
        b"{\"text\": \"\\udc00\"}",
        b"{\"text\": \"caf\xe9\"}",
        b"{\"text\": 1e999}",
        deep.as_bytes(),
        wide.as_bytes(),
    ];
    insta::assert_snapshot!(told(items));
    assert!(of_bytes("\u{feff}{\"text\": \"x\"}".as_bytes()).is_ok());
}

#[test]
fn names_given_twice_are_refused_however_often() {
    assert_eq!(codes_of(b"{\"text\": \"x\", \"text\": \"y\"}"), [("text".to_owned(), "duplicate_field")]);
    assert_eq!(codes_of(b"{\"text\": null, \"text\": \"y\"}"), [("text".to_owned(), "duplicate_field")]);
    let often = format!("{{{}\"text\": \"x\"}}", "\"text\": \"x\", ".repeat(15_000));
    let errors = of_bytes(often.as_bytes()).unwrap_err();
    assert_eq!(errors.len(), MOST_ERRORS + 1);
    assert_eq!(errors[MOST_ERRORS].message, "14950 more things are wrong with this item");
}

fn codes_of(json: &[u8]) -> Vec<(String, &'static str)> {
    of_bytes(json).err().unwrap_or_default().into_iter().map(|e| (e.field, e.code)).collect()
}

#[test]
fn limits_hold_at_their_ends() {
    let fits = |name: &str, inside: &str, most: usize| {
        for (length, wanted) in [(most, true), (most + 1, false)] {
            let value = "é".repeat(length);
            let item = match inside {
                "" => json!({"text": "x", name: value}),
                _ => json!({"text": "x", inside: {"id": 1, name: value}}),
            };
            let path = if inside.is_empty() { name.to_owned() } else { format!("{inside}.{name}") };
            let wanted = if wanted { vec![] } else { vec![(path, "too_long")] };
            assert_eq!(codes(&item), wanted, "{inside} {name} {length}");
        }
    };
    for (name, most) in [("external_id", 200), ("channel", 64), ("customer", 200), ("agent", 200)] {
        fits(name, "", most);
    }
    for (inside, name, most) in [
        ("customer", "name", 500),
        ("customer", "phone", 64),
        ("customer", "segment", 200),
        ("customer", "account", 200),
        ("account", "name", 500),
        ("account", "plan", 200),
        ("agent", "name", 500),
        ("agent", "team", 200),
        ("conversation", "subject", 500),
        ("conversation", "priority", 64),
        ("conversation", "queue", 200),
    ] {
        fits(name, inside, most);
    }
    for (length, wanted) in [(320, true), (321, false)] {
        let email = format!("{}@example.com", "a".repeat(length - 12));
        assert_eq!(codes(&json!({"text": "x", "agent": {"id": 1, "email": email}})).is_empty(), wanted);
    }
    for half in ["ana@", "@example.com", "@", "ana"] {
        let item = json!({"text": "x", "customer": {"id": 1, "email": half}});
        assert_eq!(codes(&item), [("customer.email".to_owned(), "wrong_value")], "{half}");
    }
    for (length, wanted) in [(64, true), (65, false)] {
        assert_eq!(codes(&json!({"text": "x", "source": "a".repeat(length)})).is_empty(), wanted);
    }
    for (length, wanted) in [(MOST_TEXT, true), (MOST_TEXT + 1, false)] {
        assert_eq!(codes(&json!({"text": "x".repeat(length)})).is_empty(), wanted);
    }
    let attributes = |a: &Value| codes(&json!({"text": "x", "customer": {"id": 1, "attributes": a}}));
    // {"a":"…"} is eight bytes around the string.
    assert_eq!(attributes(&json!({"a": "x".repeat(MOST_ATTRIBUTES - 8)})), []);
    assert_eq!(attributes(&json!({"a": "x".repeat(MOST_ATTRIBUTES - 7)}))[0].1, "too_long");
    assert_eq!(attributes(&json!({"a": [[[[[[[1]]]]]]]})), []);
    assert_eq!(attributes(&json!({"a": [[[[[[[[1]]]]]]]]}))[0].1, "too_deep");
    // The item itself is the first level of all.
    let nested =
        |levels: usize| format!("{{\"text\": {}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert_eq!(codes_of(nested(MOST_DEPTH).as_bytes()), [("text".to_owned(), "wrong_type")]);
    assert_eq!(codes_of(nested(MOST_DEPTH + 1).as_bytes()), [("text".to_owned(), "too_deep")]);
    // The six characters \u0000 are no NUL.
    assert_eq!(attributes(&json!({"a": "\\u0000"})), []);
    assert_eq!(attributes(&json!({"a": "\u{0}"}))[0].1, "nul");
    let tags = |n: usize, length: usize| {
        codes(&json!({"text": "x", "conversation": {"id": 1, "tags": vec!["t".repeat(length); n]}}))
    };
    assert_eq!((tags(50, 64), tags(51, 1).len(), tags(1, 65).len()), (vec![], 1, 1));
}

fn any_json() -> impl Strategy<Value = Value> {
    let names: Vec<&str> =
        [&FIELDS[..], &ACCOUNT, &AGENT, &["id", "phone", "segment", "attributes", "tags"]].concat();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        prop::sample::select(vec!["note", "agent", "internal", "a@b", "2026-11-20T10:00:00Z", "\0", "é"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 32, 6, move |inner| {
        let name =
            prop_oneof![4 => prop::sample::select(names.clone()).prop_map(str::to_owned), 1 => ".{0,8}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..10)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What is promised to the store of anything that is taken.
fn holds(arrival: &Arrival) {
    let i = &arrival.interaction;
    let strings = format!("{arrival:?}");
    assert!(!strings.contains("\\0"), "{strings}");
    assert!(i.external_id.chars().count() <= MOST_ID && i.text.len() <= MOST_TEXT);
    for id in [&i.customer, &i.account, &i.agent, &i.conversation].into_iter().flatten() {
        assert!((1..=MOST_ID).contains(&id.chars().count()) && id.trim() == id);
    }
    if let Some(at) = i.occurred_at {
        assert!(at <= now() + AHEAD && at == at.trunc_subsecs(6));
    }
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused_by_name(value in any_json()) {
        match of(&value) {
            Ok(arrival) => holds(&arrival),
            Err(errors) => prop_assert!(!errors.is_empty() && errors.iter().all(|e| e.message.contains(&e.field))),
        }
    }

    /// Items that are right but for one field, which is where most of the checks are reached.
    #[test]
    fn one_odd_field_is_the_only_one_that_is_told(field in prop::sample::select(FIELDS.to_vec()), value in any_json()) {
        let mut item = json!({"text": "x", "customer": "7", "kind": "note"});
        item[field] = value;
        match of(&item) {
            Ok(arrival) => holds(&arrival),
            Err(errors) => prop_assert!(errors.iter().all(|e| e.field.starts_with(field)), "{:?}", errors),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = of_bytes(&bytes);
    }

    #[test]
    fn what_is_given_is_what_serde_json_reads(value in any_json()) {
        let json = value.to_string();
        let given = Given::read(&json).map_err(|(why, _)| why).unwrap();
        prop_assert_eq!(Value::from(given), serde_json::from_str::<Value>(&json).unwrap());
    }
}
