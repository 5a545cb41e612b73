//! By what the same content is told from other: the same `(source, external_id)` with the same digest is a delivery made twice, with
//! another digest it is a conflict, or a revision.
//!
//! | in it | why |
//! |---|---|
//! | text | it is what is scored |
//! | channel and its own name, kind, author, direction, visibility | the gate decides by them, and rollups are kept by channel. As they are settled, so that leaving a default out is the same as writing it |
//! | `occurred_at`, where it was given | it says on which day the verdict counts. Without one both deliveries mean "now", and their times differ only because one came later |
//! | ids of customer, agent and conversation | they say whose verdict it is |
//!
//! Not in it: source and external id (they say which interaction it is), `on_conflict` (it says what to do), and names, addresses, tags,
//! attributes and the account: they describe people and tickets, and may well have changed between two deliveries.

use sha2::{Digest, Sha256};
use undertone_core::Arrival;

use super::nature::{AUTHORS, DIRECTIONS, KINDS, VISIBILITIES, word};

/// The digest of what `arrival` holds. It is kept in databases: a change to how it is made would turn every second delivery of what is
/// there into a conflict, so the first part names the way it is made.
#[must_use]
pub fn digest(arrival: &Arrival) -> [u8; 32] {
    let i = &arrival.interaction;
    let mut digest = Sha256::new();
    // The length before each part keeps "ab", "c" from being "a", "bc"; one more than it leaves 0 to say that there is none.
    let mut part = |part: Option<&str>| {
        digest.update(part.map_or(0, |text| text.len() as u64 + 1).to_le_bytes());
        digest.update(part.unwrap_or_default());
    };
    part(Some("interaction/1"));
    part(Some(&i.text));
    part(Some(i.channel.as_str()));
    part(i.channel_name.as_deref());
    part(Some(word(&KINDS, &i.kind)));
    part(Some(word(&AUTHORS, &i.author_kind)));
    part(Some(word(&DIRECTIONS, &i.direction)));
    part(Some(word(&VISIBILITIES, &i.visibility)));
    part(i.customer.as_deref());
    part(i.agent.as_deref());
    part(i.conversation.as_deref());
    let micros = i.occurred_at.map(|at| at.timestamp_micros().to_string());
    part(micros.as_deref());
    digest.finalize().into()
}

/// The same, as 64 digits.
#[must_use]
pub fn hex(arrival: &Arrival) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(64);
    for byte in digest(arrival) {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::{Map, Value};
    use undertone_core::{AuthorKind, Channel, Direction, Interaction, Kind, Visibility};

    use super::*;

    fn base() -> Arrival {
        Arrival::of(Interaction::message("api", "1", "It broke again"))
    }

    #[test]
    fn every_part_of_the_content_counts() {
        let changes: [&dyn Fn(&mut Interaction); 13] = [
            &|_| {},
            &|i| i.text.push('!'),
            &|i| i.channel = Channel::Chat,
            &|i| i.channel_name = Some("pigeon".into()),
            &|i| i.kind = Kind::Note,
            &|i| i.author_kind = AuthorKind::Agent,
            &|i| i.direction = Direction::Outgoing,
            &|i| i.visibility = Visibility::Internal,
            &|i| i.customer = Some("7".into()),
            &|i| i.agent = Some("7".into()),
            &|i| i.conversation = Some("7".into()),
            &|i| i.occurred_at = DateTime::from_timestamp_micros(1_700_000_000_000_000),
            &|i| i.occurred_at = DateTime::from_timestamp_micros(1_700_000_000_000_001),
        ];
        let digests: std::collections::BTreeSet<[u8; 32]> = changes
            .iter()
            .map(|change| {
                let mut arrival = base();
                change(&mut arrival.interaction);
                digest(&arrival)
            })
            .collect();
        assert_eq!(digests.len(), changes.len());
    }

    #[test]
    fn what_describes_people_and_what_to_do_does_not() {
        let mut other = base();
        other.update = true;
        other.interaction.source = "crm".into();
        other.interaction.external_id = "2".into();
        other.interaction.account = Some("acme".into());
        other.customer.name = Some("Ana".into());
        other.customer.attributes = Some(Map::from_iter([("vip".to_owned(), Value::Bool(true))]));
        other.account.plan = Some("gold".into());
        other.agent.team = Some("t".into());
        other.conversation.tags = Some(vec!["late".into()]);
        assert_eq!(digest(&other), digest(&base()));
    }

    /// Databases hold these: this must only change with a new name in the first part.
    #[test]
    fn it_stays_what_it_is() {
        assert_eq!(hex(&base()), "ffd8bdcce141160a44eaf7450b402d9348dfa9322b93e576bb11c67816355255");
    }
}
