//! What is looked at, with what a policy asks about it.

/// Where a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It goes on, or goes on again.
    Open,
    /// It is closed. A note, summary or transcript without a conversation is written once the contact is over, and counts as closed.
    Closed,
    /// A message without a conversation: nobody knows whether it is over.
    Apart,
}

/// What a group is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The whole tenant.
    Tenant,
    /// A team.
    Team,
    /// A queue.
    Queue,
    /// What one agent had to do with.
    Agent,
}

/// One interaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfInteraction<'a> {
    /// Its effective score; `None` where it has none or the caller does not know it yet.
    pub score: Option<i64>,
    /// The customer's segment; empty where there is none.
    pub segment: &'a str,
    /// Our id of the customer's account.
    pub account: Option<&'a str>,
    /// Where its conversation stands.
    pub standing: Standing,
}

/// One customer and everything they wrote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfCustomer<'a> {
    /// Their average effective score; `None` where nothing was scored.
    pub average: Option<f64>,
    /// Their segment; empty where there is none.
    pub segment: &'a str,
    /// Our id of their account.
    pub account: Option<&'a str>,
    /// Open where any of their conversations is, apart where any message of theirs is.
    pub standing: Standing,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LookedAt<'a> {
    /// One interaction.
    Interaction(OfInteraction<'a>),
    /// One customer.
    Customer(OfCustomer<'a>),
    /// Figures over a group.
    Group {
        /// What it is made of.
        level: Level,
        /// How many customers are in it.
        customers: u32,
    },
    /// A text that is read and not kept, with the score it got.
    Text {
        /// The score; `None` before it was read.
        score: Option<i64>,
    },
}

impl<'a> LookedAt<'a> {
    pub(super) fn account(&self) -> Option<&'a str> {
        match self {
            Self::Interaction(of) => of.account,
            Self::Customer(of) => of.account,
            Self::Group { .. } | Self::Text { .. } => None,
        }
    }

    pub(super) fn segment(&self) -> &'a str {
        match self {
            Self::Interaction(of) => of.segment,
            Self::Customer(of) => of.segment,
            Self::Group { .. } | Self::Text { .. } => "",
        }
    }

    pub(super) fn score(&self) -> Option<f64> {
        match self {
            Self::Interaction(OfInteraction { score, .. }) | Self::Text { score } => {
                score.map(|score| score as f64)
            }
            Self::Customer(of) => of.average,
            Self::Group { .. } => None,
        }
    }

    pub(super) fn standing(&self) -> Option<Standing> {
        match self {
            Self::Interaction(of) => Some(of.standing),
            Self::Customer(of) => Some(of.standing),
            Self::Group { .. } | Self::Text { .. } => None,
        }
    }
}
