//! Answers as the Events API v2 of `PagerDuty` does.

use serde_json::json;

use super::{Reply, Request};

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
