//! A message as its sender gets it.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::Secrets;

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its id, the same on every try.
    pub id: &'a str,
    /// The event's name.
    pub event: &'a str,
    /// What it is about: an id.
    pub subject: &'a str,
    /// The message: an object with `type`, `timestamp` and `data`.
    pub body: &'a str,
    /// Now.
    pub at: DateTime<Utc>,
    /// What only the destination's kind knows.
    pub options: &'a Map<String, Value>,
    /// Address and keys.
    pub secrets: &'a Secrets,
    /// The address under which people reach the service; empty where it is not known.
    pub public_url: &'a str,
    /// The alert that it calls for is over by now. Asked where a message changes what people work with, and else false.
    pub is_over: bool,
}

impl Message<'_> {
    /// What is told of the event.
    pub fn data(&self) -> Value {
        self.part("data")
    }

    /// When it happened.
    pub fn happened_at(&self) -> Value {
        self.part("timestamp")
    }

    fn part(&self, key: &str) -> Value {
        serde_json::from_str::<Value>(self.body).map(|mut body| body[key].take()).unwrap_or_default()
    }
}
