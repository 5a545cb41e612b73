//! What arrives: one piece of text a customer wrote or an agent logged, on a channel, in a direction, at a time.
//!
//! [`Interaction`] is the record every source is turned into, whether it came as JSON, from a helpdesk or out of a file.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The way an interaction came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A form or portal on a web site.
    Web,
    /// Live chat and messengers.
    Chat,
    /// E-mail.
    Email,
    /// A call in a contact centre, usually as a transcript.
    Voice,
    /// Text messages.
    Sms,
    /// A call an agent logged.
    Phone,
    /// An answer to a survey.
    Survey,
    /// Social networks and review sites.
    Social,
    /// From inside the product.
    InApp,
    /// Anything else; its own name is kept beside it.
    Other,
}

impl Channel {
    /// All channels, the six of the module guide first.
    pub const ALL: [Self; 10] = [
        Self::Web,
        Self::Chat,
        Self::Email,
        Self::Voice,
        Self::Sms,
        Self::Phone,
        Self::Survey,
        Self::Social,
        Self::InApp,
        Self::Other,
    ];

    /// The word used in files, settings and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Chat => "chat",
            Self::Email => "email",
            Self::Voice => "voice",
            Self::Sms => "sms",
            Self::Phone => "phone",
            Self::Survey => "survey",
            Self::Social => "social",
            Self::InApp => "in_app",
            Self::Other => "other",
        }
    }

    /// The channel with exactly this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == word)
    }

    /// The channel a source means by `name`, in whatever spelling; what is unknown is [`Channel::Other`].
    ///
    /// ```
    /// use undertone_core::Channel;
    /// assert_eq!(Channel::from_source("E-Mail"), Channel::Email);
    /// assert_eq!(Channel::from_source("whatsapp"), Channel::Chat);
    /// assert_eq!(Channel::from_source("carrier pigeon"), Channel::Other);
    /// ```
    #[must_use]
    pub fn from_source(name: &str) -> Self {
        let plain: String =
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        match plain.as_str() {
            "web" | "webform" | "portal" | "form" | "helpcenter" | "website" | "webservice" => Self::Web,
            "chat" | "livechat" | "messaging" | "messenger" | "whatsapp" | "telegram" | "webwidget"
            | "widget" => Self::Chat,
            "email" | "mail" => Self::Email,
            "voice" | "call" | "voicemail" => Self::Voice,
            "sms" | "text" | "textmessage" => Self::Sms,
            "phone" | "telephone" | "phonecall" => Self::Phone,
            "survey" | "csat" | "nps" | "feedback" => Self::Survey,
            "social" | "facebook" | "instagram" | "twitter" | "x" | "review" => Self::Social,
            "inapp" | "app" | "mobile" | "mobileapp" => Self::InApp,
            _ => Self::Other,
        }
    }
}

/// Who wrote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorKind {
    /// The customer.
    Customer,
    /// A person of the company.
    Agent,
    /// An automatic answerer.
    Bot,
    /// The helpdesk itself.
    System,
}

/// What sort of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Written by its author to the other side.
    Message,
    /// An agent's note about the customer, such as a call note.
    Note,
    /// An agent's or a tool's summary of a contact.
    Summary,
    /// Both sides' words, speaker by speaker.
    Transcript,
    /// Written among colleagues, not about how a contact went.
    Comment,
}

/// Which way it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the customer.
    Incoming,
    /// To the customer.
    Outgoing,
}

/// Who could see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Both sides.
    Public,
    /// The company only.
    Internal,
}

/// One interaction as every source delivers it, with the source's own ids. The same `(source, external_id)` is the same interaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    /// The system it comes from, such as `zendesk` or `file`.
    pub source: String,
    /// Its id there.
    pub external_id: String,
    /// The customer's id there.
    pub customer: Option<String>,
    /// The customer's company.
    pub account: Option<String>,
    /// The ticket, thread or call it belongs to.
    pub conversation: Option<String>,
    /// The agent's id there.
    pub agent: Option<String>,
    /// The way it came.
    pub channel: Channel,
    /// What the source calls the channel, where that is not our word.
    pub channel_name: Option<String>,
    /// Who wrote it.
    pub author_kind: AuthorKind,
    /// What sort of text it is.
    pub kind: Kind,
    /// Which way it went.
    pub direction: Direction,
    /// Who could see it.
    pub visibility: Visibility,
    /// When it happened.
    pub occurred_at: Option<DateTime<Utc>>,
    /// The original text.
    pub text: String,
}

impl Interaction {
    /// A customer's message: what a text is when its source says nothing else about it.
    #[must_use]
    pub fn message(source: &str, external_id: &str, text: &str) -> Self {
        Self {
            source: source.to_owned(),
            external_id: external_id.to_owned(),
            customer: None,
            account: None,
            conversation: None,
            agent: None,
            channel: Channel::Other,
            channel_name: None,
            author_kind: AuthorKind::Customer,
            kind: Kind::Message,
            direction: Direction::Incoming,
            visibility: Visibility::Public,
            occurred_at: None,
            text: text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_is_found_by_its_own_word() {
        for channel in Channel::ALL {
            assert_eq!(Channel::from_word(channel.as_str()), Some(channel));
            assert_eq!(Channel::from_source(channel.as_str()), channel);
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.as_str());
        }
        assert_eq!(Channel::from_word("E-Mail"), None);
    }
}
