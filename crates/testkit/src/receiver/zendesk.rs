//! Answers as Zendesk's tickets do: one ticket, whose tags are replaced by whoever puts them into it, and which nobody changes who has
//! not seen how it stands.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Reply, Request};

/// An account with one ticket.
#[derive(Clone)]
pub struct Account(Arc<Mutex<State>>);

struct State {
    ticket: Value,
    comments: Vec<Value>,
    changes: u32,
    /// Somebody else changes the ticket before so many more of our changes.
    meddling: u32,
}

impl Account {
    /// With this ticket, tags and priority.
    #[must_use]
    pub fn with(ticket: u64, tags: &[&str], priority: &str) -> Self {
        let ticket = json!({
            "id": ticket, "status": "open", "tags": tags, "priority": priority, "updated_at": "2026-11-29T08:00:00Z",
        });
        Self(Arc::new(Mutex::new(State { ticket, comments: Vec::new(), changes: 0, meddling: 0 })))
    }

    /// Somebody else changes the ticket before the next `times` changes of ours.
    pub fn meddle(&self, times: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).meddling = times;
    }

    /// Somebody else sets a field of the ticket.
    pub fn set(&self, field: &str, value: &Value) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.ticket[field] = value.clone();
        state.stamp();
    }

    /// Somebody else writes a comment.
    pub fn write(&self, body: &str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // As it is answered: the same text three times.
        state.comments.push(json!({"body": body, "html_body": body, "plain_body": body, "public": true}));
        state.stamp();
    }

    /// The ticket, and its comments.
    #[must_use]
    pub fn stands(&self) -> (Value, Vec<Value>) {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.ticket.clone(), state.comments.clone())
    }

    /// Zendesk's answer to a request.
    #[must_use]
    pub fn answer(&self, request: &Request) -> Reply {
        if !request.header("authorization").starts_with("Basic ") {
            return Reply::json(401, &json!({"error": "Couldn't authenticate you"}));
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = request.path.split('?').next().unwrap_or_default();
        if path == "/api/v2/users/me.json" {
            return Reply::json(200, &json!({"user": {"id": 1, "role": "agent"}}));
        }
        let Some(rest) = path.strip_prefix(&format!("/api/v2/tickets/{}", state.ticket["id"])) else {
            return Reply::json(404, &json!({"error": "RecordNotFound", "description": "Not found"}));
        };
        match (request.method.as_str(), rest) {
            ("GET", ".json") => Reply::json(200, &json!({"ticket": state.ticket})),
            ("GET", "/comments.json") => {
                let asked = |name: &str| {
                    let query = request.path.split('?').nth(1).unwrap_or_default();
                    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
                };
                let size: usize = asked("per_page").unwrap_or(100);
                let before = (asked("page").unwrap_or(1_usize) - 1) * size;
                let newest: Vec<&Value> = state.comments.iter().rev().skip(before).take(size).collect();
                Reply::json(200, &json!({"comments": newest, "count": state.comments.len()}))
            }
            ("PUT", "/tags.json") => {
                let body = request.json();
                state.change(&body, |ticket| {
                    let mut tags = ticket["tags"].as_array().cloned().unwrap_or_default();
                    let new = body["tags"].as_array().cloned().unwrap_or_default();
                    tags.extend(
                        new.into_iter().filter(|tag| !ticket["tags"].to_string().contains(&tag.to_string())),
                    );
                    ticket["tags"] = tags.clone().into();
                    json!({"tags": tags})
                })
            }
            ("PUT", ".json") => {
                let body = request.json();
                // A flat body is answered 200 and changes nothing.
                let Some(change) = body.get("ticket").cloned() else {
                    return Reply::json(200, &json!({"ticket": state.ticket}));
                };
                let mut comment = change["comment"].clone();
                let reply = state.change(&change, |ticket| {
                    for key in ["priority", "status", "tags", "custom_fields"] {
                        if let Some(value) = change.get(key) {
                            ticket[key] = value.clone();
                        }
                    }
                    json!({"ticket": ticket})
                });
                if comment.is_object() && matches!(reply, Reply::Answer(200, ..)) {
                    if comment.get("public").is_none() {
                        // The customer sees it.
                        comment["public"] = true.into();
                    }
                    state.comments.push(comment);
                }
                reply
            }
            _ => Reply::json(404, &json!({"error": "InvalidEndpoint"})),
        }
    }
}

impl State {
    /// Changes the ticket where `asked` names how it stands.
    fn change(&mut self, asked: &Value, make: impl FnOnce(&mut Value) -> Value) -> Reply {
        if self.meddling > 0 {
            self.meddling -= 1;
            self.stamp();
        }
        let is_safe = asked["safe_update"] == true || asked["safe_update"] == "true";
        if is_safe && asked["updated_stamp"] != self.ticket["updated_at"] {
            return Reply::json(409, &json!({"error": "UpdateConflict"}));
        }
        let told = make(&mut self.ticket);
        self.stamp();
        Reply::json(200, &told)
    }

    fn stamp(&mut self) {
        self.changes += 1;
        self.ticket["updated_at"] =
            format!("2026-11-29T08:{:02}:{:02}Z", self.changes / 60, self.changes % 60).into();
    }
}
