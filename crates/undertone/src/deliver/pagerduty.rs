//! `PagerDuty`, Events API v2: an alert triggers, is acknowledged and resolved under one key of ours.

use std::time::Duration;

use serde_json::{Value, json};
use undertone_core::event::EventKind;
use undertone_store::destinations::Sent;

use super::note::{Note, cut};
use super::webhook::failed;
use super::{Message, Outcome, Outward, Reply, post};

/// `PagerDuty`'s bounds, in characters.
const SUMMARY: usize = 1024;
const KEY: usize = 255;
/// Between the end of what was acknowledged there and its new beginning. 202 says that an event is taken, not that it is done, and a beginning
/// that is done first would go under with the end. With the calls themselves it keeps the pace, too.
const ANEW_AFTER: Duration = Duration::from_secs(2);

/// Sends a message.
pub(super) async fn send(outward: &Outward, message: &Message<'_>) -> Outcome {
    if message.event == EventKind::AlertReminded.as_str() {
        // We acknowledged it there when it was taken care of or snoozed, and what is acknowledged calls nobody, however often it triggers.
        let ended = post(outward, message, &event(message, &message.data(), "resolve"), judge).await;
        if ended.sent != Sent::Delivered {
            return ended;
        }
        tokio::time::sleep(ANEW_AFTER).await;
    }
    let outcome = post(outward, message, &body(message), judge).await;
    if message.event != EventKind::Test.as_str() || outcome.sent != Sent::Delivered {
        return outcome;
    }
    // A test has an end too: what nobody ends stays open, and swallows the next one.
    post(outward, message, &event(message, &message.data(), "resolve"), judge).await
}

fn action(event: &str, data: &Value) -> &'static str {
    match event {
        // Given to somebody who has not taken it, it goes on calling.
        "alert.assigned" if data["state"] == "open" => "trigger",
        "alert.acknowledged" | "alert.assigned" | "alert.snoozed" => "acknowledge",
        "alert.resolved" | "alert.withdrawn" | "incident.closed" => "resolve",
        _ => "trigger",
    }
}

/// What belongs together has one key: everything about an alert, an incident, or else one event.
fn dedup_key(message: &Message<'_>, data: &Value) -> String {
    let of = |kind: &str| data[format!("{kind}_id")].as_str().map(|id| format!("undertone:{kind}:{id}"));
    let own = match message.event.split('.').next() {
        Some("alert") => of("alert"),
        Some("incident") => of("incident"),
        _ => None,
    };
    cut(&own.unwrap_or_else(|| format!("undertone:{}:{}", message.event, message.subject)), KEY)
}

fn severity<'a>(message: &'a Message<'_>) -> &'a str {
    match message.event.split('.').next() {
        Some("alert" | "incident" | "sentiment") => {
            message.options.get("severity").and_then(Value::as_str).unwrap_or("warning")
        }
        Some("destination") => "warning",
        _ => "info",
    }
}

/// What every event has.
fn event(message: &Message<'_>, data: &Value, action: &str) -> Value {
    json!({
        "routing_key": message.secrets.key,
        "event_action": action,
        "dedup_key": dedup_key(message, data),
    })
}

fn body(message: &Message<'_>) -> Value {
    let data = message.data();
    let action = action(message.event, &data);
    let mut body = event(message, &data, action);
    if action != "trigger" {
        return body;
    }
    let note = Note::about(message.event, &data);
    let source = message.options.get("source").and_then(Value::as_str);
    let source = source
        .or_else(|| message.public_url.split("://").nth(1))
        .filter(|s| !s.is_empty())
        .unwrap_or("undertone");
    let summary =
        note.text.as_ref().map_or_else(|| note.title.clone(), |text| format!("{}: {text}", note.title));
    body["payload"] = json!({
        "summary": cut(&summary, SUMMARY),
        "source": source,
        "severity": severity(message),
        "class": message.event,
        "timestamp": message.happened_at(),
        "custom_details": data,
    });
    for (from, to) in [("category", "component"), ("segment", "group")] {
        if let Some(word) = data[from].as_str() {
            body["payload"][to] = word.into();
        }
    }
    body["client"] = "Undertone".into();
    if let Some(link) = note.link {
        body["client_url"] = link.clone().into();
        body["links"] = json!([{"href": link, "text": "Open"}]);
    }
    body
}

fn judge(reply: &Reply) -> Outcome {
    let told = || format!("PagerDuty answers {}{}", reply.status, reply.excerpt());
    let said = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let sent = match reply.status {
        202 if said["status"] == "success" => Sent::Delivered,
        200..=299 => {
            Sent::Failed(format!("{}, and no success: is this the address of the Events API v2?", told()))
        }
        400 => Sent::Refused(told()),
        _ => failed(reply, told()),
    };
    Outcome::of(sent, reply)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::super::test_message;
    use super::*;

    #[test]
    fn an_alert_is_one_thing_from_its_beginning_to_its_end() {
        let data = json!({"alert_id": "a1", "customer_id": "c1", "score": -80, "summary": "s".repeat(2000)});
        for (event, expected) in [
            ("alert.raised", "trigger"),
            ("alert.escalated", "trigger"),
            ("alert.acknowledged", "acknowledge"),
            ("alert.snoozed", "acknowledge"),
            ("alert.resolved", "resolve"),
            ("alert.withdrawn", "resolve"),
        ] {
            let body = test_message(event, &data, body);
            assert_eq!(
                (&body["event_action"], &body["dedup_key"]),
                (&json!(expected), &json!("undertone:alert:a1"))
            );
            assert_eq!(body["routing_key"], "key");
            if expected == "trigger" {
                let payload = &body["payload"];
                assert!(payload["summary"].as_str().unwrap().chars().count() <= SUMMARY);
                assert!(payload["source"].is_string() && payload["severity"] == "warning");
            } else {
                assert!(body.get("payload").is_none(), "{body}");
            }
        }
    }

    #[test]
    fn what_is_given_to_somebody_is_not_acknowledged_before_they_say_so() {
        for (state, expected) in [("open", "trigger"), ("acknowledged", "acknowledge")] {
            let data = json!({"alert_id": "a1", "category": "billing", "state": state});
            let body = test_message("alert.assigned", &data, body);
            assert_eq!(
                (&body["event_action"], &body["dedup_key"]),
                (&json!(expected), &json!("undertone:alert:a1"))
            );
        }
    }

    #[test]
    fn who_is_reminded_is_called_about_the_same_alert() {
        let data = json!({"alert_id": "a1", "category": "billing", "state": "open"});
        let body = test_message("alert.reminded", &data, body);
        assert_eq!(
            (&body["event_action"], &body["dedup_key"]),
            (&json!("trigger"), &json!("undertone:alert:a1"))
        );
        assert_eq!(
            (&body["payload"]["class"], &body["payload"]["component"]),
            (&json!("alert.reminded"), &json!("billing"))
        );
    }

    #[test]
    fn an_incident_calls_and_its_end_calls_off() {
        let data = json!({"incident_id": "n1", "category": "billing", "customers": 42});
        let opened = test_message("incident.opened", &data, body);
        assert_eq!(
            (&opened["event_action"], &opened["dedup_key"]),
            (&json!("trigger"), &json!("undertone:incident:n1"))
        );
        let payload = &opened["payload"];
        assert!(payload["summary"].as_str().unwrap().contains("billing"), "{payload}");
        assert_eq!(
            (&payload["severity"], &payload["timestamp"]),
            (&json!("warning"), &json!("1970-01-01T00:00:00Z"))
        );
        let closed = test_message("incident.closed", &data, body);
        assert_eq!(
            (&closed["event_action"], &closed["dedup_key"]),
            (&json!("resolve"), &json!("undertone:incident:n1"))
        );
        assert!(closed.get("payload").is_none(), "{closed}");
    }

    #[test]
    fn accepted_is_202_with_success() {
        let reply =
            |status, body: &str| Reply { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() };
        let taken = "{\"status\":\"success\",\"message\":\"Event processed\",\"dedup_key\":\"k\"}";
        assert_eq!(judge(&reply(202, taken)).sent, Sent::Delivered);
        assert!(matches!(judge(&reply(200, "<html>")).sent, Sent::Failed(_)));
        let invalid = "{\"status\":\"invalid event\",\"errors\":[\"routing_key\"]}";
        assert!(
            matches!(judge(&reply(400, invalid)).sent, Sent::Refused(why) if why.contains("routing_key"))
        );
        assert!(
            matches!(judge(&reply(429, "")).sent, Sent::Throttled(after, _) if after.num_seconds() == 60)
        );
        assert!(matches!(judge(&reply(503, "")).sent, Sent::Failed(_)));
    }
}
