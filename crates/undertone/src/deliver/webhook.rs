//! Webhooks of anybody's: signed as Standard Webhooks say.

use chrono::TimeDelta;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use standardwebhooks::Webhook;
use undertone_store::destinations::Sent;

use super::{Message, OutRequest, Outcome, Outward, Reads, Reply};

/// A receiver that names no time is left alone for this long.
const PATIENCE: TimeDelta = TimeDelta::seconds(60);
/// No receiver is left alone for longer, whatever it asks for.
const MOST_PATIENCE: TimeDelta = TimeDelta::hours(24);

/// Sends a message.
pub(super) async fn send(outward: &Outward, message: &Message<'_>) -> Outcome {
    let headers = match headers(message) {
        Ok(headers) => headers,
        Err(why) => return Outcome { sent: Sent::Refused(why), status: None },
    };
    let request = OutRequest::post(&message.secrets.url, headers, message.body.to_owned());
    match outward.exchange(request, Reads::Status).await {
        Ok(reply) => judge(&reply),
        Err(none) => none.into(),
    }
}

/// Id, time and signatures: with two keys while one replaces the other.
fn headers(message: &Message<'_>) -> Result<HeaderMap, String> {
    let timestamp = message.at.timestamp();
    let mut signatures = Vec::new();
    for key in message.secrets.signing_keys(message.at) {
        // The library's errors may repeat what they were given.
        let wrong = |_| "the signing key can not be used; replace it".to_owned();
        let webhook = Webhook::new(key).map_err(wrong)?;
        signatures.push(webhook.sign(message.id, timestamp, message.body.as_bytes()).map_err(wrong)?);
    }
    let mut headers = HeaderMap::new();
    let given = [
        ("webhook-id", message.id.to_owned()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ];
    for (name, value) in given {
        let value = HeaderValue::from_str(&value).map_err(|_| format!("{name} can not be a header"))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// What an answer means. Only 2xx is success; nothing is followed.
fn judge(reply: &Reply) -> Outcome {
    let status = reply.status;
    let sent = match status {
        200..=299 => Sent::Delivered,
        410 => gone("it answers 410", "the receiver wants no more messages"),
        300..=399 => Sent::Failed(format!(
            "it answers {status}: redirects are not followed; give the address it points to"
        )),
        _ => match asked_patience(reply) {
            Some(after) => {
                let told =
                    format!("it answers {status}: it wants to be left alone for {} s", after.num_seconds());
                Sent::Throttled(after, told)
            }
            None => Sent::Failed(format!("it answers {status}{}", reply.excerpt())),
        },
    };
    Outcome::of(sent, reply)
}

/// What an answer means that is no success and nothing in particular: the receiver wants to be left alone, or it failed, as `told` says.
pub(super) fn failed(reply: &Reply, told: String) -> Sent {
    match asked_patience(reply) {
        Some(after) => Sent::Throttled(after, told),
        None => Sent::Failed(told),
    }
}

/// What an answer means after which nothing will be taken any more: `told` is what it said, `hint` what that means, in words of ours.
pub(super) fn gone(told: &str, hint: &'static str) -> Sent {
    Sent::Gone { why: format!("{told}; {hint}"), hint }
}

/// How long a receiver wants to be left alone, where it does. A 502, 503 or 504 that names no time is a failure, after which it is left alone
/// longer each time.
fn asked_patience(reply: &Reply) -> Option<TimeDelta> {
    match reply.status {
        429 => Some(patience(reply)),
        502..=504 => retry_after(&reply.headers),
        _ => None,
    }
}

/// How long a receiver is left alone that wants to be.
pub(super) fn patience(reply: &Reply) -> TimeDelta {
    retry_after(&reply.headers).unwrap_or(PATIENCE)
}

/// What `Retry-After` asks for: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<TimeDelta> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let after = if let Ok(seconds) = text.parse::<i64>() {
        TimeDelta::try_seconds(seconds)?
    } else {
        let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
        at - chrono::DateTime::parse_from_rfc2822(headers.get("date")?.to_str().ok()?).ok()?
    };
    Some(after.clamp(TimeDelta::seconds(1), MOST_PATIENCE))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::Map;

    use super::super::Secrets;
    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &str)]) -> Reply {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        Reply { status, headers: map, body: b"a problem\nhere".to_vec() }
    }

    /// The vector that the reference libraries test with.
    #[test]
    fn the_published_vector_is_signed_the_same() {
        let at = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
        let secrets = Secrets::of_webhook("https://example.com/", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let message = Message {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            event: "undertone.test",
            subject: "x",
            body: "{\"test\": 2432232314}",
            at,
            options: &Map::new(),
            secrets: &secrets,
            public_url: "",
            is_over: false,
        };
        let headers = headers(&message).unwrap();
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
        assert_eq!(headers["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
    }

    #[test]
    fn only_2xx_is_success() {
        assert_eq!(judge(&reply(204, &[])).sent, Sent::Delivered);
        assert!(matches!(judge(&reply(302, &[])).sent, Sent::Failed(why) if why.contains("not followed")));
        assert!(
            matches!(judge(&reply(500, &[])).sent, Sent::Failed(why) if why == "it answers 500: a problem here")
        );
        assert!(matches!(judge(&reply(404, &[])).sent, Sent::Failed(_)));
        assert!(matches!(judge(&reply(410, &[])).sent, Sent::Gone { .. }));
        for status in [502, 503, 504] {
            assert!(matches!(judge(&reply(status, &[])).sent, Sent::Failed(_)));
        }
    }

    #[test]
    fn whoever_asks_for_patience_gets_it() {
        let after = |reply: Reply| match judge(&reply).sent {
            Sent::Throttled(after, _) => after.num_seconds(),
            other => panic!("{other:?}"),
        };
        assert_eq!(after(reply(429, &[])), 60);
        assert_eq!(after(reply(429, &[("retry-after", "7")])), 7);
        for status in [502, 503, 504] {
            assert_eq!(after(reply(status, &[("retry-after", "0")])), 1);
        }
        assert_eq!(after(reply(429, &[("retry-after", "99999999")])), 86_400);
        let dated =
            [("retry-after", "Sun, 29 Nov 2026 10:01:30 GMT"), ("date", "Sun, 29 Nov 2026 10:00:00 GMT")];
        assert_eq!(after(reply(429, &dated)), 90);
        assert_eq!(after(reply(429, &[("retry-after", "soon")])), 60);
    }
}
