//! What sort of text it is, by whom, which way it went and who could see it: the words for each, and how what is left out follows
//! from what is told.

use undertone_core::{AuthorKind, Direction, Kind, Visibility};

/// The words for [`Kind`].
pub const KINDS: [(&str, Kind); 5] = [
    ("message", Kind::Message),
    ("note", Kind::Note),
    ("summary", Kind::Summary),
    ("transcript", Kind::Transcript),
    ("comment", Kind::Comment),
];
/// The words for [`AuthorKind`].
pub const AUTHORS: [(&str, AuthorKind); 4] = [
    ("customer", AuthorKind::Customer),
    ("agent", AuthorKind::Agent),
    ("bot", AuthorKind::Bot),
    ("system", AuthorKind::System),
];
/// The words for [`Direction`].
pub const DIRECTIONS: [(&str, Direction); 2] =
    [("incoming", Direction::Incoming), ("outgoing", Direction::Outgoing)];
/// The words for [`Visibility`].
pub const VISIBILITIES: [(&str, Visibility); 2] =
    [("public", Visibility::Public), ("internal", Visibility::Internal)];

/// The word for a value of one of the tables above.
#[must_use]
pub fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, v)| v == value).map_or("", |(word, _)| word)
}

/// What a source tells; `None` is what it leaves out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    /// What sort of text.
    pub kind: Option<Kind>,
    /// Who wrote it.
    pub author: Option<AuthorKind>,
    /// Which way it went.
    pub direction: Option<Direction>,
    /// Who could see it.
    pub visibility: Option<Visibility>,
}

/// All four, settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nature {
    /// What sort of text.
    pub kind: Kind,
    /// Who wrote it.
    pub author: AuthorKind,
    /// Which way it went.
    pub direction: Direction,
    /// Who could see it.
    pub visibility: Visibility,
}

impl From<Told> for Nature {
    /// - Internal, and not said to be the customer's: a comment. Else a message.
    /// - Notes, summaries and comments are an agent's; a message that went out is an agent's; the rest is the customer's.
    /// - Who is told not to be the customer writes to the customer. An author that only follows from the kind says nothing about the
    ///   direction: a call note is about a call either way, and incoming is what most contacts are.
    /// - Messages are seen by both sides, everything else by the company.
    fn from(told: Told) -> Self {
        let is_customer = told.author == Some(AuthorKind::Customer);
        let kind = told.kind.unwrap_or(match told.visibility {
            Some(Visibility::Internal) if !is_customer => Kind::Comment,
            _ => Kind::Message,
        });
        let author = told.author.unwrap_or(match (kind, told.direction) {
            (Kind::Note | Kind::Summary | Kind::Comment, _) | (Kind::Message, Some(Direction::Outgoing)) => {
                AuthorKind::Agent
            }
            _ => AuthorKind::Customer,
        });
        let direction = told.direction.unwrap_or(match told.author {
            None | Some(AuthorKind::Customer) => Direction::Incoming,
            Some(_) => Direction::Outgoing,
        });
        let visibility = told.visibility.unwrap_or(match kind {
            Kind::Message => Visibility::Public,
            _ => Visibility::Internal,
        });
        Self { kind, author, direction, visibility }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_follows_from_what_is_told() {
        use AuthorKind::{Agent, Bot, Customer};
        use Direction::{Incoming, Outgoing};
        use Kind::{Comment, Message, Note, Transcript};
        use Visibility::{Internal, Public};
        let nothing = Told::default();
        for (told, wanted) in [
            (nothing, (Message, Customer, Incoming, Public)),
            (Told { author: Some(Agent), ..nothing }, (Message, Agent, Outgoing, Public)),
            (Told { author: Some(Bot), ..nothing }, (Message, Bot, Outgoing, Public)),
            (Told { direction: Some(Outgoing), ..nothing }, (Message, Agent, Outgoing, Public)),
            (Told { kind: Some(Note), ..nothing }, (Note, Agent, Incoming, Internal)),
            (Told { kind: Some(Note), author: Some(Agent), ..nothing }, (Note, Agent, Outgoing, Internal)),
            (Told { kind: Some(Note), visibility: Some(Public), ..nothing }, (Note, Agent, Incoming, Public)),
            (Told { kind: Some(Transcript), ..nothing }, (Transcript, Customer, Incoming, Internal)),
            (Told { visibility: Some(Internal), ..nothing }, (Comment, Agent, Incoming, Internal)),
            (
                Told { visibility: Some(Internal), author: Some(Customer), ..nothing },
                (Message, Customer, Incoming, Internal),
            ),
            // What is told stands, however odd.
            (
                Told { author: Some(Customer), direction: Some(Outgoing), ..nothing },
                (Message, Customer, Outgoing, Public),
            ),
        ] {
            let Nature { kind, author, direction, visibility } = told.into();
            assert_eq!((kind, author, direction, visibility), wanted, "{told:?}");
        }
    }

    #[test]
    fn the_words_are_those_of_core() {
        for (word, kind) in KINDS {
            assert_eq!(serde_json::json!(kind), word);
        }
        for (word, author) in AUTHORS {
            assert_eq!(serde_json::json!(author), word);
        }
        for (word, direction) in DIRECTIONS {
            assert_eq!(serde_json::json!(direction), word);
        }
        for (word, visibility) in VISIBILITIES {
            assert_eq!(serde_json::json!(visibility), word);
        }
    }
}
