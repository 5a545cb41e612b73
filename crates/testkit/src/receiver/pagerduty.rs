//! Answers as the Events API v2 of `PagerDuty` does.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::{Reply, Request};

/// What `PagerDuty` makes of the events it takes: incidents, of which each calls somebody when it begins, and never again.
#[derive(Clone, Default)]
pub struct Account(Arc<Mutex<Vec<Incident>>>);

struct Incident {
    key: String,
    state: &'static str,
}

impl Account {
    /// Takes an event, as [`answer`] does.
    #[must_use]
    pub fn take(&self, request: &Request) -> Reply {
        let reply = answer(request);
        let body = request.json();
        let (action, key) = (body["event_action"].as_str(), body["dedup_key"].as_str().unwrap_or_default());
        if let (Reply::Answer(202, ..), Some(action)) = (&reply, action) {
            self.apply(action, key);
        }
        reply
    }

    /// Does as an event says, or as somebody says there.
    pub fn apply(&self, action: &str, key: &str) {
        let mut incidents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = incidents.iter_mut().find(|one| one.key == key && one.state != "resolved");
        match (open, action) {
            // More triggers stand in the log of what is open, and change nothing.
            (Some(_), "trigger") => {}
            (Some(open), "acknowledge") => open.state = "acknowledged",
            (Some(open), _) => open.state = "resolved",
            (None, "trigger") => incidents.push(Incident { key: key.to_owned(), state: "triggered" }),
            // What is about nothing open is dropped.
            (None, _) => {}
        }
    }

    /// How each incident of a key stands, in the order in which they called somebody.
    #[must_use]
    pub fn incidents(&self, key: &str) -> Vec<&'static str> {
        let incidents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        incidents.iter().filter(|one| one.key == key).map(|one| one.state).collect()
    }
}

/// `PagerDuty`'s answer to an event.
#[must_use]
pub fn answer(request: &Request) -> Reply {
    let body = request.json();
    let mut errors = Vec::new();
    if body["routing_key"].as_str().is_none_or(|key| key.len() != 32) {
        errors.push("'routing_key' is missing or invalid");
    }
    let key = body["dedup_key"].as_str().unwrap_or_default();
    if key.chars().count() > 255 {
        errors.push("'dedup_key' is too long");
    }
    match body["event_action"].as_str() {
        Some("trigger") => {
            let payload = &body["payload"];
            let summary = payload["summary"].as_str().unwrap_or_default().chars().count();
            if summary == 0 || summary > 1024 {
                errors.push("'payload.summary' is missing or blank, or too long");
            }
            if payload["source"].as_str().is_none_or(str::is_empty) {
                errors.push("'payload.source' is missing or blank");
            }
            if !matches!(payload["severity"].as_str(), Some("critical" | "error" | "warning" | "info")) {
                errors.push("'payload.severity' is invalid");
            }
        }
        Some("acknowledge" | "resolve") if !key.is_empty() => {}
        _ => errors.push("'event_action' is invalid"),
    }
    if request.path == "/v2/enqueue" && errors.is_empty() {
        let taken = json!({"status": "success", "message": "Event processed", "dedup_key": key});
        return Reply::json(202, &taken);
    }
    let wrong = json!({"status": "invalid event", "message": "Event object is invalid", "errors": errors});
    Reply::json(400, &wrong)
}
