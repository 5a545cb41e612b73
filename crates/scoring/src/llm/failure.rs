//! What it means when an API does not answer: whose fault it is, whether asking again helps, and when.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Datelike, TimeDelta, TimeZone, Utc};
use serde_json::Value;

use super::reply::{short, word};

/// Looks up a response header by its lower-case name.
pub type Headers<'h> = dyn Fn(&str) -> Option<&'h str> + 'h;

/// A provider that asks for a longer pause than this is not believed.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// So much of a provider's explanation is kept.
const LONGEST_MESSAGE: usize = 240;
/// A word without a space that is as long as this may be a key.
const KEY_LENGTH: usize = 32;
/// Whether a refusal still stands is found out after this long, where the provider does not say until when.
pub const REFUSED: TimeDelta = TimeDelta::minutes(5);

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The request is not one the provider understands.
    BadRequest,
    /// The key is missing, wrong or may not do this.
    Credentials,
    /// There is no such model, or no such address.
    NotFound,
    /// The account can not pay.
    Billing,
    /// A spend limit at the provider is reached.
    SpendLimit {
        /// The provider starts to count anew then; before, only a raised limit helps.
        resumes: DateTime<Utc>,
    },
    /// The request is too large.
    TooLarge,
    /// A filter declined the content.
    Refused,
    /// Too many requests or tokens in a short time.
    RateLimited,
    /// The provider has more to do than it can.
    Overloaded,
    /// It took too long, or clashed with something; the next try is a new one.
    TimedOut,
    /// The provider broke.
    Server,
    /// Anything else, such as a redirect.
    Unexpected,
}

impl FailureKind {
    /// What a person reads.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::BadRequest => "the provider does not understand the request",
            Self::Credentials => "the provider does not accept the key",
            Self::NotFound => "the provider does not know the model or the address",
            Self::Billing => "the account at the provider can not pay",
            Self::SpendLimit { .. } => "the spend limit at the provider is reached",
            Self::TooLarge => "the request is too large for the provider",
            Self::Refused => "the provider declined the content",
            Self::RateLimited => "the provider's rate limit is reached",
            Self::Overloaded => "the provider is overloaded",
            Self::TimedOut => "the provider did not finish in time",
            Self::Server => "the provider failed",
            Self::Unexpected => "the provider answered something unexpected",
        }
    }

    /// Whether the next try may fare better with nothing changed.
    fn passes(self) -> bool {
        matches!(self, Self::RateLimited | Self::Overloaded | Self::TimedOut | Self::Server)
    }

    /// Somebody has to pay, or to raise a limit; no header makes a second try worth it.
    fn is_about_money(self) -> bool {
        matches!(self, Self::Billing | Self::SpendLimit { .. })
    }
}

/// Whether to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No: the same request fails again until a person changes something.
    Never,
    /// Yes, once this time is over; the provider said so. At most a day.
    After(Duration),
    /// Yes, with a pause of the caller's choice that grows.
    BackOff,
}

/// A response that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: FailureKind,
    /// The HTTP status.
    pub status: u16,
    /// The provider's own words: one line of at most 240 characters, without what looks like a key or repeats the request.
    pub message: Option<String>,
    /// The provider's name for this request, for its support.
    pub request_id: Option<String>,
    /// Whether to ask again.
    pub retry: Retry,
    /// The body is an error of the provider's own, not a page of somebody on the way to it.
    pub is_the_providers: bool,
}

/// A refusal that the next request meets as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refuses {
    /// Asking before this is no use, unless a person changes something.
    pub until: DateTime<Utc>,
    /// Only requests about the same model meet it.
    pub model_alone: bool,
}

impl Failure {
    /// What else will be refused, as this was at `now`; `None` where the next request may fare better, or this one was at fault.
    #[must_use]
    pub fn refuses(&self, now: DateTime<Utc>) -> Option<Refuses> {
        let until = match self.kind {
            FailureKind::SpendLimit { resumes } => resumes,
            FailureKind::Billing => now + REFUSED,
            FailureKind::Credentials | FailureKind::NotFound if self.retry == Retry::Never => now + REFUSED,
            _ => return None,
        };
        // A key may be kept from one model and not from others.
        let model_alone = self.kind == FailureKind::NotFound || self.status == 403;
        Some(Refuses { until, model_alone })
    }

    /// It is certain that nothing was charged. Behind what a gateway, or a proxy, says in the provider's place there may be an answer that
    /// was made and never arrived.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.is_the_providers || (self.status < 500 && self.status != 408)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (HTTP {}", self.kind.explanation(), self.status)?;
        if let Some(id) = &self.request_id {
            write!(f, ", {id}")?;
        }
        f.write_str(")")?;
        self.message.as_ref().map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

impl std::error::Error for Failure {}

/// An error body's parts that matter, where it has them.
pub(super) struct ErrorBody {
    value: Value,
}

impl ErrorBody {
    pub(super) fn of(body: &[u8]) -> Self {
        Self { value: serde_json::from_slice(body).unwrap_or_default() }
    }

    /// The field of the error, or of the body where the server does not nest it.
    pub(super) fn field(&self, name: &str) -> &Value {
        match self.value.get("error") {
            Some(error) if error.is_object() => &error[name],
            _ => &self.value[name],
        }
    }

    /// The text of that field, or nothing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.field(name).as_str().unwrap_or_default()
    }

    /// The explanation, wherever the server puts it.
    fn message(&self) -> Option<String> {
        let nested = self.field("message").as_str().or(self.value["error"].as_str());
        // FastAPI's word, which servers in Python use.
        safe(nested.or(self.value["detail"].as_str())?)
    }

    fn request_id(&self) -> Option<String> {
        word(&self.value["request_id"])
    }

    /// It has the shape of both APIs' errors.
    fn is_the_providers(&self) -> bool {
        self.value["error"].is_object() || self.value["object"] == "error"
    }
}

/// The explanation in the `error` of a batch's request: one line of at most 240 characters, without what looks like a key or repeats the request.
#[must_use]
pub fn explanation(error: &Value) -> Option<String> {
    ErrorBody { value: error.clone() }.message()
}

/// The kind that follows from the status alone.
pub(super) fn kind_of(status: u16) -> FailureKind {
    match status {
        400 | 422 => FailureKind::BadRequest,
        401 | 403 | 407 => FailureKind::Credentials,
        402 => FailureKind::Billing,
        404 => FailureKind::NotFound,
        408 | 409 | 504 => FailureKind::TimedOut,
        413 => FailureKind::TooLarge,
        429 => FailureKind::RateLimited,
        503 | 529 => FailureKind::Overloaded,
        500..=599 => FailureKind::Server,
        _ => FailureKind::Unexpected,
    }
}

/// Puts a failure of this `kind` together. The provider's word on whether to ask again counts over the status, and what is about money over
/// both.
pub(super) fn failure(
    kind: FailureKind,
    status: u16,
    headers: &Headers<'_>,
    body: &ErrorBody,
    now: DateTime<Utc>,
) -> Failure {
    let again = match headers("x-should-retry") {
        _ if kind.is_about_money() => false,
        Some("true") => true,
        Some("false") => false,
        _ => kind.passes(),
    };
    let retry = match wait(headers, now) {
        _ if !again => Retry::Never,
        Some(wait) => Retry::After(wait),
        None => Retry::BackOff,
    };
    let request_id = headers("request-id").or(headers("x-request-id")).and_then(|id| short(id, 80));
    let request_id = request_id.or(body.request_id());
    Failure {
        kind,
        status,
        message: body.message(),
        request_id,
        retry,
        is_the_providers: body.is_the_providers(),
    }
}

/// The first moment of the month after `now`, UTC: when providers count spending anew.
pub(super) fn next_month(now: DateTime<Utc>) -> DateTime<Utc> {
    let (year, month) = if now.month() == 12 { (now.year() + 1, 1) } else { (now.year(), now.month() + 1) };
    Utc.with_ymd_and_hms(year, month, 1, 0, 0, 0).single().unwrap_or(now)
}

/// The pause a provider asks for: `retry-after-ms`, else `retry-after` in seconds or as a date.
fn wait(headers: &Headers<'_>, now: DateTime<Utc>) -> Option<Duration> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero());
    let exact = headers("retry-after-ms").and_then(number).and_then(|ms| seconds(ms / 1000.0));
    let told = || {
        let text = headers("retry-after")?;
        number(text).and_then(seconds).or_else(|| {
            let date = DateTime::parse_from_rfc2822(text.trim()).ok()?;
            (date.to_utc() - now).to_std().ok()
        })
    };
    exact.or_else(told).map(|wait| wait.min(LONGEST_WAIT))
}

/// A provider's explanation without what must not be told on: a key it repeats, or the request it quotes.
fn safe(message: &str) -> Option<String> {
    let until = ["'input'", "\"input\""].iter().filter_map(|quoted| message.find(quoted)).min();
    let line = short(&message[..until.unwrap_or(message.len())], LONGEST_MESSAGE)?;
    let secret = |word: &str| {
        let mut runs = word.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
        runs.any(|run| run.starts_with("sk-") || run.len() >= KEY_LENGTH)
    };
    let words: Vec<&str> = line.split(' ').map(|word| if secret(word) { "…" } else { word }).collect();
    Some(words.join(" "))
}

/// How much of one thing may still be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// In a full window.
    pub limit: Option<u64>,
    /// Left now.
    pub remaining: Option<u64>,
    /// When it is full again.
    pub resets_at: Option<DateTime<Utc>>,
}

impl Window {
    fn told(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

/// What a provider said about its rate limits; it says so on every response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimits {
    /// Requests.
    pub requests: Option<Window>,
    /// Tokens read and written.
    pub tokens: Option<Window>,
    /// Tokens read.
    pub input_tokens: Option<Window>,
    /// Tokens written.
    pub output_tokens: Option<Window>,
}

/// The whole number in a header.
pub(super) fn number(headers: &Headers<'_>, name: &str) -> Option<u64> {
    headers(name)?.trim().parse().ok()
}

/// A window, where anything is told of it.
pub(super) fn window(
    limit: Option<u64>,
    remaining: Option<u64>,
    resets_at: Option<DateTime<Utc>>,
) -> Option<Window> {
    Window { limit, remaining, resets_at }.told()
}

/// `now` plus a time such as `6m0s`, `1h2m3.5s` or `120ms`.
pub(super) fn after(now: DateTime<Utc>, time: &str) -> Option<DateTime<Utc>> {
    let mut seconds = 0.0;
    let mut rest = time.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |more| digits + more);
        seconds += value
            * match &rest[digits..unit] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    let wait = Duration::try_from_secs_f64(seconds).ok().filter(|_| !time.trim().is_empty())?;
    now.checked_add_signed(TimeDelta::from_std(wait.min(LONGEST_WAIT)).ok()?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Headers for a test.
    pub(in super::super) fn headers<'h>(pairs: &'h [(&'h str, &'h str)]) -> impl Fn(&str) -> Option<&'h str> {
        move |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Wednesday, 21 October 2026, 07:28 UTC.
    pub(in super::super) fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 10, 21, 7, 28, 0).unwrap()
    }

    fn waits(pairs: &[(&str, &str)]) -> Option<Duration> {
        wait(&headers(pairs), now())
    }

    #[test]
    fn the_pause_a_provider_asks_for_is_kept_where_it_makes_sense() {
        let seconds = |s| Some(Duration::from_secs_f64(s));
        assert_eq!(waits(&[("retry-after-ms", "1500"), ("retry-after", "9")]), seconds(1.5));
        assert_eq!(waits(&[("retry-after", " 7 ")]), seconds(7.0));
        assert_eq!(waits(&[("retry-after", "0.25")]), seconds(0.25));
        assert_eq!(waits(&[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT")]), seconds(30.0));
        assert_eq!(waits(&[("retry-after", "1e300")]), None);
        assert_eq!(waits(&[("retry-after", "99999999")]), seconds(86_400.0));
        for senseless in ["", "0", "-3", "soon", "NaN", "inf", "Wed, 21 Oct 2020 07:28:30 GMT"] {
            assert_eq!(waits(&[("retry-after", senseless)]), None, "{senseless}");
        }
        assert_eq!(waits(&[("retry-after-ms", "x"), ("retry-after", "2")]), seconds(2.0));
        assert_eq!(waits(&[]), None);
    }

    #[test]
    fn the_provider_has_the_last_word_on_retries_except_where_it_is_about_money() {
        let told = |kind, pairs: &[(&str, &str)]| {
            failure(kind, 418, &headers(pairs), &ErrorBody::of(b""), now()).retry
        };
        let spent = FailureKind::SpendLimit { resumes: now() };
        assert_eq!(told(FailureKind::Server, &[]), Retry::BackOff);
        assert_eq!(told(FailureKind::Server, &[("retry-after", "3")]), Retry::After(Duration::from_secs(3)));
        assert_eq!(
            told(FailureKind::Server, &[("x-should-retry", "false"), ("retry-after", "3")]),
            Retry::Never
        );
        assert_eq!(told(FailureKind::BadRequest, &[("x-should-retry", "true")]), Retry::BackOff);
        assert_eq!(told(FailureKind::BadRequest, &[("retry-after", "3")]), Retry::Never);
        assert_eq!(told(FailureKind::Server, &[("x-should-retry", "maybe")]), Retry::BackOff);
        for kind in [spent, FailureKind::Billing] {
            assert_eq!(told(kind, &[("x-should-retry", "true"), ("retry-after", "3")]), Retry::Never);
        }
    }

    #[test]
    fn every_status_has_a_kind_and_every_kind_an_explanation() {
        for (status, kind, again) in [
            (302, FailureKind::Unexpected, false),
            (400, FailureKind::BadRequest, false),
            (401, FailureKind::Credentials, false),
            (402, FailureKind::Billing, false),
            (403, FailureKind::Credentials, false),
            (404, FailureKind::NotFound, false),
            (408, FailureKind::TimedOut, true),
            (409, FailureKind::TimedOut, true),
            (413, FailureKind::TooLarge, false),
            (418, FailureKind::Unexpected, false),
            (422, FailureKind::BadRequest, false),
            (429, FailureKind::RateLimited, true),
            (500, FailureKind::Server, true),
            (502, FailureKind::Server, true),
            (503, FailureKind::Overloaded, true),
            (504, FailureKind::TimedOut, true),
            (529, FailureKind::Overloaded, true),
            (599, FailureKind::Server, true),
        ] {
            assert_eq!((kind_of(status), kind_of(status).passes()), (kind, again), "{status}");
            assert!(kind.explanation().contains("provider"), "{kind:?}");
        }
    }

    #[test]
    fn what_is_told_of_a_failure_names_no_key_and_no_customer() {
        let told = |message: &str| {
            let body = serde_json::json!({"error": {"message": message}}).to_string();
            ErrorBody::of(body.as_bytes()).message()
        };
        assert_eq!(
            told("Incorrect API key provided: sk-abc***XYZ.").as_deref(),
            Some("Incorrect API key provided: …")
        );
        let token = "Bearer 0123456789abcdef0123456789abcdef was refused";
        assert_eq!(told(token).as_deref(), Some("Bearer … was refused"));
        assert_eq!(
            told("model: claude-haiku-4-5-20251001").as_deref(),
            Some("model: claude-haiku-4-5-20251001")
        );
        let echo = "[{'type': 'missing', 'loc': ('body',), 'input': {'messages': 'my husband died'}}]";
        assert_eq!(told(echo).as_deref(), Some("[{'type': 'missing', 'loc': ('body',),"));
        assert_eq!(told(&"long ".repeat(900)).map(|m| m.chars().count()), Some(240));
        assert_eq!(told(""), None);
    }

    #[test]
    fn explanations_are_found_wherever_servers_put_them() {
        for (body, message) in [
            (r#"{"type":"error","error":{"type":"t","message":"nested"}}"#, Some("nested")),
            (r#"{"object":"error","message":"flat"}"#, Some("flat")),
            (r#"{"error":"just words"}"#, Some("just words")),
            (r#"{"detail":"from Python"}"#, Some("from Python")),
            (r#"{"detail":[{"loc":[]}]}"#, None),
            ("<html>bad gateway</html>", None),
            ("", None),
            ("[]", None),
        ] {
            assert_eq!(ErrorBody::of(body.as_bytes()).message().as_deref(), message, "{body}");
        }
    }

    #[test]
    fn a_failure_reads_as_one_sentence() {
        let body = ErrorBody::of(br#"{"error":{"message":"Overloaded\nsorry"},"request_id":"req_body"}"#);
        let with =
            |pairs: &[(&str, &str)]| failure(FailureKind::Overloaded, 529, &headers(pairs), &body, now());
        assert_eq!(
            with(&[("request-id", "req_head")]).to_string(),
            "the provider is overloaded (HTTP 529, req_head): Overloaded sorry"
        );
        assert_eq!(with(&[("x-request-id", "other")]).request_id.as_deref(), Some("other"));
        assert_eq!(with(&[]).request_id.as_deref(), Some("req_body"));
        let bare = failure(FailureKind::Server, 500, &headers(&[]), &ErrorBody::of(b""), now());
        assert_eq!(bare.to_string(), "the provider failed (HTTP 500)");
    }

    #[test]
    fn months_end_and_times_are_read() {
        assert_eq!(next_month(now()).to_rfc3339(), "2026-11-01T00:00:00+00:00");
        let december = Utc.with_ymd_and_hms(2026, 12, 31, 23, 59, 59).unwrap();
        assert_eq!(next_month(december).to_rfc3339(), "2027-01-01T00:00:00+00:00");
        for (time, ms) in
            [("1s", 1000), ("6m0s", 360_000), ("120ms", 120), ("1h2m3.5s", 3_723_500), ("9d", 86_400_000)]
        {
            assert_eq!(after(now(), time).map(|at| (at - now()).num_milliseconds()), Some(ms), "{time}");
        }
        for wrong in ["", " ", "5", "s", "1x", "..s", "1s!", "-1s"] {
            assert_eq!(after(now(), wrong), None, "{wrong}");
        }
    }
}
