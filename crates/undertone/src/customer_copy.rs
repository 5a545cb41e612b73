//! The copy of everything that is held of one customer, for the customer: what they told, what was read out of it and by what, who was told,
//! and how long it stays. Read and handed on piece by piece, so that it takes no more memory for a customer of many years.

mod others;
mod readable;

use axum::body::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use undertone_core::Settings;
use undertone_core::notice::{Facts, Language};
use undertone_store::interactions::{Filter, Listed};
use undertone_store::people::Customer;
use undertone_store::privacy::copy::MOST;
use undertone_store::privacy::copy::about::AlertAbout;
use undertone_store::{Store, StoreError, Tenant};

use others::Others;

/// What people wrote about an interaction, and what quotes it: in which list, under which name. Ids, models and the program's own words name
/// nobody.
const WRITTEN: [(&str, &str); 8] = [
    ("texts", "body"),
    ("verdicts", "summary"),
    ("verdicts", "text"),
    ("corrections", "reason"),
    ("reviews", "note"),
    ("alerts", "note"),
    ("alerts", "detail"),
    ("sent_to", "name"),
];

/// Interactions or conversations read together.
const PAGE: i64 = 100;

/// How a copy is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object, for programs
    Json,
    /// Markdown, for people
    Text,
}

impl Format {
    /// The word in addresses and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

/// Whose copy it is, and out of what it is made.
#[derive(Clone)]
pub struct CustomerCopy {
    /// The database.
    pub store: Store,
    /// The tenant.
    pub tenant: Tenant,
    /// Its settings.
    pub settings: Settings,
    /// The customer.
    pub customer: Customer,
}

/// A piece of a copy, in the order in which they come.
enum Part {
    /// Everything that there is once.
    Head(Box<Value>),
    /// A conversation.
    Conversation(Value),
    /// An interaction with everything about it.
    Interaction(Box<Value>),
}

type Parts = mpsc::Sender<Result<Part, StoreError>>;

impl CustomerCopy {
    /// The copy, in pieces. A piece that is an error is the last.
    pub fn stream(self, format: Format) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + use<> {
        let (parts, mut read) = mpsc::channel(16);
        tokio::spawn(async move {
            if let Err(error) = self.read(&parts).await {
                // Whoever reads it may be gone.
                let _ = parts.send(Err(error)).await;
            }
        });
        let mut writer = Writer::new(format);
        let mut ended = false;
        futures::stream::poll_fn(move |context| {
            if ended {
                return std::task::Poll::Ready(None);
            }
            read.poll_recv(context).map(|part| {
                Some(match part {
                    Some(Ok(part)) => Ok(writer.part(&part).into()),
                    Some(Err(error)) => {
                        ended = true;
                        Err(error)
                    }
                    None => {
                        ended = true;
                        Ok(writer.end().into())
                    }
                })
            })
        })
    }

    /// Reads everything, part by part.
    async fn read(&self, parts: &Parts) -> Result<(), StoreError> {
        let (store, tenant, id) = (&self.store, self.tenant.id, self.customer.id.as_str());
        let mut others = Others::of(store, tenant, &self.customer).await?;
        if parts.send(Ok(Part::Head(Box::new(self.head(&mut others).await?)))).await.is_err() {
            return Ok(());
        }
        let mut after = String::new();
        loop {
            let page = store.conversations_of(tenant, id, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            for conversation in page {
                let mut told = json!(conversation);
                for field in ["subject", "tags", "queue"] {
                    others.leave_out_of(&mut told[field]);
                }
                if parts.send(Ok(Part::Conversation(told))).await.is_err() {
                    return Ok(());
                }
            }
        }
        let mut before: Option<String> = None;
        loop {
            let filter =
                Filter { customer_id: Some(id), before: before.as_deref(), limit: PAGE, ..Filter::default() };
            let page = store.interactions(tenant, &filter).await?;
            let Some(last) = page.last() else { return Ok(()) };
            before = Some(last.id.clone());
            for interaction in page {
                let told = self.interaction(&interaction, &mut others).await?;
                if parts.send(Ok(Part::Interaction(Box::new(told)))).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// What there is once.
    async fn head(&self, others: &mut Others) -> Result<Value, StoreError> {
        let (store, tenant, customer) = (&self.store, self.tenant.id, &self.customer);
        let company = match &customer.account_id {
            Some(account) => store.company(tenant, account).await?,
            None => None,
        };
        let sums = store.customer_sentiment(tenant, &customer.id).await?;
        let runs = store.scorers_of_runs(tenant, self.settings.retention_text_days).await?;
        let facts = Facts::of(&self.tenant.name, &self.settings, &runs, Language::English);
        let mut attributes = json!(customer.attributes);
        others.leave_out_of(&mut attributes);
        let mut told = json!({
            "made_at": store.now(),
            "tenant": self.tenant.name,
            "customer": {
                "id": customer.id,
                "external_id": customer.external_id,
                "name": customer.name,
                "email": customer.email,
                "phone": customer.phone,
                "segment": customer.segment,
                "attributes": attributes,
                "company": company,
                "opted_out_at": customer.opted_out_at,
                "known_since": customer.created_at,
                "aliases": store.aliases(tenant, &customer.id).await?,
            },
            "sums": {
                "scored": sums.totals.scored,
                "average_score": sums.totals.average(),
                "positive": sums.totals.positive,
                "neutral": sums.totals.neutral,
                "negative": sums.totals.negative,
                "mixed": sums.totals.mixed,
                "first_scored_at": sums.first_scored_at,
                "last_scored_at": sums.last.map(|last| last.scored_at),
            },
            "legal_hold_since": store.legal_hold(tenant, &customer.id).await?.map(|hold| hold.placed_at),
            "done_about_you": store.mentions(tenant, &[&customer.id]).await?,
            "told_to_others": store.events_about(tenant, &[&customer.id]).await?,
            "people_told": store.people_told(tenant, &[&customer.id]).await?,
            "sent_to": store.sent_about(tenant, &[&customer.id]).await?,
            "conversations_of_others": store.guest_of(tenant, &customer.id).await?,
            "about_this_data": facts,
        });
        say_what_is_cut(&mut told["customer"]);
        say_what_is_cut(&mut told);
        Ok(told)
    }

    async fn interaction(&self, listed: &Listed, others: &mut Others) -> Result<Value, StoreError> {
        let (store, tenant, id) = (&self.store, self.tenant.id, listed.id.as_str());
        let mut told = json!(listed);
        if let Some(fields) = told.as_object_mut() {
            // Who dealt with it is somebody else's.
            fields.remove("agent_id");
            fields.remove("attempts");
            fields.remove("next_attempt_at");
        }
        let texts = store.texts(tenant, id).await?;
        let alerts = store.alerts_about(tenant, id).await?;
        let mut subjects: Vec<&str> = vec![id];
        subjects.extend(alerts.iter().map(AlertAbout::id));
        told["verdicts"] = json!(store.revisions(tenant, id).await?);
        told["corrections"] = json!(store.corrections(tenant, id).await?);
        told["reviews"] = json!(store.reviews_of(tenant, id).await?);
        told["learnt_from"] = json!(store.learnt_from(tenant, &listed.kind, &texts).await?);
        told["done_about_it"] = json!(store.mentions(tenant, &subjects).await?);
        told["told_to_others"] = json!(store.events_about(tenant, &subjects).await?);
        told["people_told"] = json!(store.people_told(tenant, &subjects).await?);
        told["sent_to"] = json!(store.sent_about(tenant, &subjects).await?);
        told["alerts"] = json!(alerts);
        told["texts"] = json!(texts);
        for (list, field) in WRITTEN {
            others.leave_out_of_field(field, &mut told[list]);
        }
        for field in ["channel_name", "detail"] {
            others.leave_out_of(&mut told[field]);
        }
        say_what_is_cut(&mut told);
        Ok(told)
    }
}

/// There may be more than are told.
fn is_cut(all: &[Value]) -> bool {
    i64::try_from(all.len()).is_ok_and(|count| count >= MOST)
}

/// Says of which lists there may be more: whoever asks for a copy learns that it is none of all of them.
fn say_what_is_cut(told: &mut Value) {
    let Some(fields) = told.as_object_mut() else { return };
    let of: Vec<String> = fields
        .iter()
        .filter(|(_, value)| value.as_array().is_some_and(|all| is_cut(all)))
        .map(|(name, _)| name.clone())
        .collect();
    if !of.is_empty() {
        fields.insert("only_the_first".to_owned(), json!({"most": MOST, "of": of}));
    }
}

/// Writes parts as they come.
struct Writer {
    format: Format,
    /// What was last written: nothing, the head, a conversation, an interaction.
    last: u8,
}

impl Writer {
    fn new(format: Format) -> Self {
        Self { format, last: 0 }
    }

    fn part(&mut self, part: &Part) -> String {
        match self.format {
            Format::Json => self.json(part),
            Format::Text => self.readable(part),
        }
    }

    fn json(&mut self, part: &Part) -> String {
        match part {
            Part::Head(head) => {
                self.last = 1;
                let head = head.to_string();
                // The object stays open for what follows.
                format!("{},\"conversations\":[", head.strip_suffix('}').unwrap_or(&head))
            }
            Part::Conversation(conversation) => {
                let comma = if self.last == 2 { "," } else { "" };
                self.last = 2;
                format!("{comma}{conversation}")
            }
            Part::Interaction(interaction) => {
                let before = if self.last == 3 { "," } else { "],\"interactions\":[" };
                self.last = 3;
                format!("{before}{interaction}")
            }
        }
    }

    fn readable(&mut self, part: &Part) -> String {
        match part {
            Part::Head(head) => {
                self.last = 1;
                readable::head(head)
            }
            Part::Conversation(conversation) => {
                let title = if self.last == 2 { "" } else { "\n## Conversations\n" };
                self.last = 2;
                format!("{title}{}", readable::conversation(conversation))
            }
            Part::Interaction(interaction) => {
                let title = if self.last == 3 { "" } else { "\n## Interactions\n" };
                self.last = 3;
                format!("{title}{}", readable::interaction(interaction))
            }
        }
    }

    fn end(&self) -> String {
        match (self.format, self.last) {
            (Format::Json, 3) => "]}\n".to_owned(),
            (Format::Json, _) => "],\"interactions\":[]}\n".to_owned(),
            (Format::Text, 3) => String::new(),
            (Format::Text, _) => "\nNothing that you wrote is held.\n".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_may_go_on_is_told() {
        let many = vec![Value::Null; usize::try_from(MOST).unwrap()];
        let mut told = json!({"done_about_it": many, "alerts": many[1..], "id": "x"});
        say_what_is_cut(&mut told);
        assert_eq!(told["only_the_first"], json!({"most": 1000, "of": ["done_about_it"]}));
        assert!(readable::interaction(&told).contains("Only the first 1000 are told of: done about it"));
        let mut short = json!({"alerts": many[1..]});
        say_what_is_cut(&mut short);
        assert!(short.get("only_the_first").is_none());
    }
}
