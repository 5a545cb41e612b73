//! Who and what an interaction mentions: an id, or an object with `id` and more. The API's own routes for people and things read the same
//! fields by the same rules.

use undertone_core::Arrival;
use undertone_core::arrival::{AccountDetails, AgentDetails, ConversationDetails, CustomerDetails};

use super::check::{Check, MOST_GROUP, MOST_NAME, MOST_WORD, shown};
use super::given::{Given, Pairs};

/// What is told of an account.
pub const ACCOUNT: [&str; 3] = ["name", "plan", "value_cents"];
/// What is told of an agent.
pub const AGENT: [&str; 3] = ["name", "email", "team"];

/// What is told of a conversation, besides whose it is.
pub const CONVERSATION: [&str; 5] = ["subject", "priority", "queue", "tags", "state"];

/// What is told, field by field; `inside` is the name of the object and a dot, or empty.
impl Check {
    /// A customer's `name`, `email`, `phone`, `segment`, `attributes` and `aliases`.
    pub fn customer_details(
        &mut self,
        inside: &str,
        [name, email, phone, segment, attributes, aliases]: [Given<'_>; 6],
    ) -> CustomerDetails {
        CustomerDetails {
            name: self.string(&format!("{inside}name"), name, MOST_NAME),
            email: self.email(&format!("{inside}email"), email),
            phone: self.string(&format!("{inside}phone"), phone, MOST_WORD),
            segment: self.string(&format!("{inside}segment"), segment, MOST_GROUP),
            attributes: self.attributes(&format!("{inside}attributes"), attributes),
            aliases: self.aliases(&format!("{inside}aliases"), aliases),
        }
    }

    /// The fields of [`ACCOUNT`].
    pub fn account_details(
        &mut self,
        inside: &str,
        [name, plan, value_cents]: [Given<'_>; 3],
    ) -> AccountDetails {
        AccountDetails {
            name: self.string(&format!("{inside}name"), name, MOST_NAME),
            plan: self.string(&format!("{inside}plan"), plan, MOST_GROUP),
            value_cents: self.cents(&format!("{inside}value_cents"), &value_cents),
        }
    }

    /// The fields of [`AGENT`].
    pub fn agent_details(&mut self, inside: &str, [name, email, team]: [Given<'_>; 3]) -> AgentDetails {
        AgentDetails {
            name: self.string(&format!("{inside}name"), name, MOST_NAME),
            email: self.email(&format!("{inside}email"), email),
            team: self.id(&format!("{inside}team"), team),
        }
    }

    /// The fields of [`CONVERSATION`].
    pub fn conversation_details(
        &mut self,
        inside: &str,
        [subject, priority, queue, tags, state]: [Given<'_>; 5],
    ) -> ConversationDetails {
        ConversationDetails {
            subject: self.string(&format!("{inside}subject"), subject, MOST_NAME),
            priority: self.string(&format!("{inside}priority"), priority, MOST_WORD),
            queue: self.string(&format!("{inside}queue"), queue, MOST_GROUP),
            tags: self.tags(&format!("{inside}tags"), tags),
            closed: self.closed(&format!("{inside}state"), state),
        }
    }
}

impl Check {
    /// Whether a conversation is closed, by the word for its state.
    fn closed(&mut self, field: &str, given: Given<'_>) -> Option<bool> {
        let word = self.string(field, given, MOST_WORD)?;
        match word.as_str() {
            "closed" => Some(true),
            "open" => Some(false),
            _ => {
                self.refuse(
                    field,
                    "wrong_value",
                    &format!("is \"{}\"; it must be open or closed", shown(&word)),
                );
                None
            }
        }
    }
}

/// The mentions of an interaction.
impl Check {
    /// The pairs where more than an id is given; else its id.
    fn mention<'a>(&mut self, field: &str, given: Given<'a>) -> Result<Pairs<'a>, Option<String>> {
        match given {
            Given::Object(pairs) => Ok(pairs),
            Given::List(_) | Given::Bool(_) => {
                self.wrong_type(field, &given, "an id (a string or a whole number), or an object with one");
                Err(None)
            }
            id => Err(self.id(field, id)),
        }
    }

    fn id_within(&mut self, field: &str, given: Given<'_>) -> Option<String> {
        if given == Given::Nothing {
            self.refuse(field, "missing", "is missing; without an id what is told belongs to nobody");
        }
        self.id(field, given)
    }

    pub(super) fn customer(&mut self, arrival: &mut Arrival, given: Given<'_>) {
        let pairs = match self.mention("customer", given) {
            Ok(pairs) => pairs,
            Err(id) => {
                arrival.interaction.customer = id;
                return;
            }
        };
        let fields = ["id", "name", "email", "phone", "segment", "account", "attributes", "aliases"];
        let [id, name, email, phone, segment, account, attributes, aliases] =
            self.sort("customer.", pairs, fields);
        arrival.interaction.customer = self.id_within("customer.id", id);
        arrival.interaction.account = self.id("customer.account", account);
        arrival.customer =
            self.customer_details("customer.", [name, email, phone, segment, attributes, aliases]);
    }

    /// After the customer, who may name the account too.
    pub(super) fn account(&mut self, arrival: &mut Arrival, given: Given<'_>) {
        let id = match self.mention("account", given) {
            Ok(pairs) => {
                let [id, told @ ..] = self.sort("account.", pairs, ["id", "name", "plan", "value_cents"]);
                arrival.account = self.account_details("account.", told);
                self.id_within("account.id", id)
            }
            Err(id) => id,
        };
        let Some(id) = id else { return };
        let known = arrival.interaction.account.get_or_insert_with(|| id.clone());
        if *known != id {
            let why =
                format!("is \"{}\", and `account` is \"{}\"; give one of them", shown(known), shown(&id));
            self.refuse("customer.account", "contradiction", &why);
        }
    }

    pub(super) fn agent(&mut self, arrival: &mut Arrival, given: Given<'_>) {
        let pairs = match self.mention("agent", given) {
            Ok(pairs) => pairs,
            Err(id) => {
                arrival.interaction.agent = id;
                return;
            }
        };
        let [id, told @ ..] = self.sort("agent.", pairs, ["id", "name", "email", "team"]);
        arrival.interaction.agent = self.id_within("agent.id", id);
        arrival.agent = self.agent_details("agent.", told);
    }

    pub(super) fn conversation(&mut self, arrival: &mut Arrival, given: Given<'_>) {
        let pairs = match self.mention("conversation", given) {
            Ok(pairs) => pairs,
            Err(id) => {
                arrival.interaction.conversation = id;
                return;
            }
        };
        let fields = ["id", "subject", "priority", "queue", "tags", "state"];
        let [id, told @ ..] = self.sort("conversation.", pairs, fields);
        arrival.interaction.conversation = self.id_within("conversation.id", id);
        arrival.conversation = self.conversation_details("conversation.", told);
    }
}
