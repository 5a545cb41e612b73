//! How each API is spoken: the request about a question, and what came back.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use undertone_core::usage::RequestSize;
use undertone_core::usage::price::Caching;
use undertone_core::verdict::ScorerKind;

use super::purse::{Ending, Planned};
use super::{Api, Call, Endpoint, Method, Response, Unreachable};
use crate::llm::prompt::{Item, Question};
use crate::llm::{Failure, Headers, RateLimits, Reply, Unreadable, claude, openai, schema};
use crate::{Knowledge, Utterance};

/// What came of an exchange.
pub(super) enum Came {
    Reply(Reply),
    Unreadable(Unreadable),
    Error(Failure),
    Nothing(Unreachable),
}

impl Came {
    /// How it ended, as far as money goes.
    pub(super) fn ending(&self) -> Ending {
        match self {
            Self::Reply(reply) => reply.usage.map_or(Ending::Unknown, Ending::Charged),
            Self::Error(failure) if failure.is_free() => Ending::Free,
            Self::Nothing(Unreachable { sent: false, .. }) => Ending::Free,
            // What nobody can read, and what never arrived, may have been made and charged.
            Self::Unreadable(_) | Self::Error(_) | Self::Nothing(_) => Ending::Unknown,
        }
    }
}

impl Endpoint {
    /// What bounds the request about one text of a single byte, and whether it has its prompt cached: no request about any text takes less,
    /// for a tenant who told `knowledge`.
    #[must_use]
    pub fn least(&self, knowledge: &Knowledge, model: &str) -> (RequestSize, Caching) {
        let utterance = Utterance::message("x");
        let items = [Item::of(&utterance, &utterance.text)];
        let question = Question::new(&items, knowledge);
        let (_, planned) = self.call(ScorerKind::Local, &question, model, false);
        (planned.size, planned.caching)
    }

    /// The request about `question`, and what may be said of it beforehand.
    pub(super) fn call<'m>(
        &self,
        scorer: ScorerKind,
        question: &Question<'_>,
        model: &'m str,
        doubled: bool,
    ) -> (Call, Planned<'m>) {
        let items = question.items.len();
        let (body, max_tokens, caching) = match self.api {
            Api::Claude { cache } => {
                let options = claude::Options { model: model.to_owned(), cache, doubled };
                let most = claude::max_tokens(&options, items);
                let caching = match cache {
                    None => Caching::None,
                    Some(claude::CacheTime::FiveMinutes) => Caching::FiveMinutes,
                    Some(claude::CacheTime::OneHour) => Caching::OneHour,
                };
                (claude::body(question, &options), most, caching)
            }
            Api::Openai => {
                let dialect = openai::Dialect::of(model);
                let options = openai::Options { model: model.to_owned(), dialect, doubled };
                let most = openai::max_tokens(&options, items);
                (openai::body(question, &options), most, Caching::None)
            }
        };
        let call = self.post(&body);
        let size = RequestSize {
            body_bytes: call.body.len(),
            schema_bytes: schema::schema(question.categories).to_string().len(),
            messages: 2,
            max_tokens: max_tokens.into(),
        };
        let texts = u32::try_from(items).unwrap_or(u32::MAX);
        (call, Planned { scorer, model, texts, size, caching })
    }

    /// A question about nothing whose answer is a word: it goes the way of any other, and costs next to nothing.
    pub(super) fn smallest<'m>(&self, scorer: ScorerKind, model: &'m str) -> (Call, Planned<'m>) {
        let limit = match self.api {
            Api::Openai => openai::Dialect::of(model).limit(),
            Api::Claude { .. } => "max_tokens",
        };
        // Some reasoning models take no lower limit than 16.
        let most = if limit == "max_tokens" { 1 } else { 16 };
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        body[limit] = json!(most);
        let call = self.post(&body);
        let size =
            RequestSize { body_bytes: call.body.len(), schema_bytes: 0, messages: 1, max_tokens: most };
        (call, Planned { scorer, model, texts: 0, size, caching: Caching::None })
    }

    fn post(&self, body: &Value) -> Call {
        let base = self.base_url.trim_end_matches('/');
        let mut headers = vec![("content-type", "application/json".to_owned())];
        let url = match self.api {
            Api::Claude { .. } => {
                headers.push(("anthropic-version", "2023-06-01".to_owned()));
                headers.extend(self.key.iter().map(|key| ("x-api-key", key.clone())));
                format!("{base}/v1/messages")
            }
            Api::Openai => {
                headers.extend(self.key.iter().map(|key| ("authorization", format!("Bearer {key}"))));
                format!("{base}/chat/completions")
            }
        };
        Call { method: Method::Post, url, headers, body: body.to_string().into_bytes() }
    }

    /// What `response`, which came at `now`, is.
    pub(super) fn read(&self, response: &Response, now: DateTime<Utc>) -> Came {
        if response.status != 200 {
            return Came::Error(self.failure(response, now));
        }
        self.reply(response).map_or_else(Came::Unreadable, Came::Reply)
    }

    fn reply(&self, response: &Response) -> Result<Reply, Unreadable> {
        match self.api {
            Api::Claude { cache } => claude::reply(&response.body, response.header("request-id"), cache),
            Api::Openai => openai::reply(&response.body, response.header("x-request-id")),
        }
    }

    fn failure(&self, response: &Response, now: DateTime<Utc>) -> Failure {
        let header = |name: &str| response.header(name);
        let headers: &Headers<'_> = &header;
        match self.api {
            Api::Claude { .. } => claude::failed(response.status, headers, &response.body, now),
            Api::Openai => openai::failed(response.status, headers, &response.body, now),
        }
    }

    /// What it says of the key's rate limits.
    pub(super) fn limits(&self, response: &Response, now: DateTime<Utc>) -> RateLimits {
        let header = |name: &str| response.header(name);
        let headers: &Headers<'_> = &header;
        match self.api {
            Api::Claude { .. } => claude::rate_limits(headers),
            Api::Openai => openai::rate_limits(headers, now),
        }
    }
}
