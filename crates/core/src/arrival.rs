//! An interaction as it is handed in: its text and ids, and what else its source tells about the people it mentions.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Interaction;

/// Another name that a customer goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// `email`, `phone`, or the name of a source.
    pub kind: String,
    /// The address, number or id.
    pub value: String,
}

/// What a source tells about the customer besides the id. What is `None` stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerDetails {
    /// Name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// The tenant's own grouping, such as `enterprise`.
    pub segment: Option<String>,
    /// Anything else, as the source names it.
    pub attributes: Option<Map<String, Value>>,
    /// All that they go by besides: what is not among them is none any more. Each belongs to one customer.
    pub aliases: Option<Vec<Alias>>,
}

/// What a source tells about the customer's company besides the id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDetails {
    /// Name.
    pub name: Option<String>,
    /// Plan.
    pub plan: Option<String>,
    /// Value in a year, in cents.
    pub value_cents: Option<i64>,
}

/// What a source tells about the agent besides the id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentDetails {
    /// Name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// The team's id in the source.
    pub team: Option<String>,
}

/// What a source tells about the conversation besides the id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationDetails {
    /// Subject line.
    pub subject: Option<String>,
    /// Priority, in the source's words.
    pub priority: Option<String>,
    /// Queue it waits in.
    pub queue: Option<String>,
    /// Tags.
    pub tags: Option<Vec<String>>,
    /// Whether it is closed.
    pub closed: Option<bool>,
}

/// One interaction on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The interaction. Its ids are the source's.
    pub interaction: Interaction,
    /// About `interaction.customer`.
    pub customer: CustomerDetails,
    /// About `interaction.account`.
    pub account: AccountDetails,
    /// About `interaction.agent`.
    pub agent: AgentDetails,
    /// About `interaction.conversation`.
    pub conversation: ConversationDetails,
    /// The same `(source, external_id)` with other content is a new revision; otherwise it is a conflict.
    pub update: bool,
}

impl Arrival {
    /// An interaction of which nothing else is told.
    #[must_use]
    pub fn of(interaction: Interaction) -> Self {
        Self {
            interaction,
            customer: CustomerDetails::default(),
            account: AccountDetails::default(),
            agent: AgentDetails::default(),
            conversation: ConversationDetails::default(),
            update: false,
        }
    }
}
