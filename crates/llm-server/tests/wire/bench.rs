//! A server, a clock that is moved by hand, and a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use undertone_llm_server::{LABEL, NOT_A_MODEL, Script, Server};

pub const KEY: &str = "local-key";
/// Saturday, 28 November 2026, noon.
const NOON: i64 = 1_795_867_200_000;

pub struct Bench {
    pub server: Server,
    millis: Arc<AtomicI64>,
    http: ureq::Agent,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
    /// Null where it is no JSON.
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The text of a message.
    pub fn words(&self) -> &str {
        let blocks = self.body["content"].as_array().unwrap();
        blocks
            .iter()
            .find(|block| block["type"] == "text")
            .map_or("", |block| block["text"].as_str().unwrap())
    }

    /// Read from the cache, written for an hour, for five minutes, uncached; all as told.
    pub fn prompt(&self) -> [u64; 4] {
        let of = |pointer: &str| self.body["usage"].pointer(pointer).and_then(Value::as_u64).unwrap();
        let (hour, five) = (
            of("/cache_creation/ephemeral_1h_input_tokens"),
            of("/cache_creation/ephemeral_5m_input_tokens"),
        );
        assert_eq!(of("/cache_creation_input_tokens"), hour + five);
        [of("/cache_read_input_tokens"), hour, five, of("/input_tokens")]
    }

    pub fn error(&self) -> (&str, &str) {
        (self.body["error"]["type"].as_str().unwrap(), self.body["error"]["message"].as_str().unwrap())
    }
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Script)) -> Self {
        let millis = Arc::new(AtomicI64::new(NOON));
        let hand = millis.clone();
        let mut script = Script::new(Arc::new(move || at(hand.load(Ordering::SeqCst))));
        change(&mut script);
        let server = Server::start(script).unwrap();
        let http = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build()
            .into();
        Self { server, millis, http }
    }

    pub fn now(&self) -> DateTime<Utc> {
        at(self.millis.load(Ordering::SeqCst))
    }

    pub fn advance(&self, by: TimeDelta) {
        self.millis.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// Sends exactly this.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Answer, ureq::Error> {
        let address = format!("{}{path}", self.server.url());
        let request = headers
            .iter()
            .fold(ureq::http::Request::builder().method(method).uri(address), |request, (name, value)| {
                request.header(*name, *value)
            });
        let mut response = match body {
            Some(body) => self.http.run(request.body(body).unwrap())?,
            None => self.http.run(request.body(()).unwrap())?,
        };
        let text = response.body_mut().read_to_string()?;
        let headers = response.headers().clone();
        assert_eq!(headers[LABEL], NOT_A_MODEL, "every response is labelled");
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { status: response.status().as_u16(), headers, text, body })
    }

    /// Sends it with the headers of the Messages API.
    pub fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, ureq::Error> {
        let mut headers = vec![("x-api-key", KEY), ("anthropic-version", "2023-06-01")];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.send(method, path, &headers, body.map(Value::to_string).as_deref())
    }

    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_call(method, path, body).unwrap()
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None)
    }

    pub fn message(&self, body: &Value) -> Answer {
        self.call("POST", "/v1/messages", Some(body))
    }

    /// A message that is answered.
    pub fn answered(&self, body: &Value) -> Answer {
        let answer = self.message(body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer
    }

    pub fn chat(&self, body: &Value) -> Answer {
        let key = format!("Bearer {KEY}");
        let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
        self.send("POST", "/v1/chat/completions", &headers, Some(&body.to_string())).unwrap()
    }
}

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap()
}

/// Waits until something is so, which it must be soon.
pub fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < deadline, "it never came to be");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What an answer about one text looks like.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["score", "label"],
        "properties": {
            "score": {"type": "integer"},
            "label": {"type": "string", "enum": ["positive", "neutral", "negative", "mixed"]},
        },
    })
}

/// A request that every rule is content with, and that thinks nothing.
pub fn ask() -> Value {
    json!({
        "model": "claude-haiku-5-5",
        "max_tokens": 1_024,
        "thinking": {"type": "disabled"},
        "system": [{"type": "text", "text": "Say how the customer feels."}],
        "output_config": {"format": {"type": "json_schema", "schema": schema()}},
        "messages": [{"role": "user", "content": "The parcel is late."}],
    })
}

/// The same without a schema and with other fields.
pub fn plain(fields: Value) -> Value {
    let mut body = json!({
        "model": "claude-haiku-5-5",
        "max_tokens": 1_024,
        "thinking": {"type": "disabled"},
        "messages": [{"role": "user", "content": "Hi"}],
    });
    let Value::Object(fields) = fields else { panic!("fields") };
    body.as_object_mut().unwrap().extend(fields);
    body
}
