//! Answers as a workflow of Microsoft Teams does: 202 and nothing else, if the body is what its template handles.

use super::{Reply, Request};

/// The workflow's answer to a message.
#[must_use]
pub fn answer(request: &Request) -> Reply {
    let body = request.json();
    let attachment = &body["attachments"][0];
    let is_card = body["type"] == "message"
        && attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        && attachment["content"]["type"] == "AdaptiveCard";
    match (is_card, request.body.len() <= 28 << 10) {
        (true, true) => Reply::text(202, ""),
        (true, false) => Reply::text(413, "RequestEntityTooLarge"),
        (false, _) => Reply::text(400, "TriggerInputSchemaMismatch"),
    }
}
