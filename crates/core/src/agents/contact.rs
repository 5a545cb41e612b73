//! From what a customer and the agents wrote to contacts: one agent in one conversation, how the customer felt before the agent's first
//! reply, and after it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// What was felt longer ago says nothing of how somebody felt when they wrote again.
pub const BEFORE_WITHIN: TimeDelta = TimeDelta::days(30);

/// So many scores before the first reply say how the customer felt then: the last ones.
const BEFORE_AT_MOST: usize = 3;

/// One interaction of a customer, with what of it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Its id.
    pub id: String,
    /// The conversation it belongs to.
    pub conversation: Option<String>,
    /// The agent it names: who wrote it, or to whom it was assigned.
    pub agent: Option<String>,
    /// An agent wrote it: a reply, or a note about the contact.
    pub by_agent: bool,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Its effective score, -100..=100; none where it has none.
    pub score: Option<i64>,
}

/// One agent in one conversation, or in an interaction that belongs to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The conversation's id, or the interaction's.
    pub of: String,
    /// The agent.
    pub agent: String,
    /// When the last of what counts happened.
    pub at: DateTime<Utc>,
    /// How many scored interactions count, at least one.
    pub scored: i64,
    /// Their mean score, in hundredths of a point.
    pub after: i64,
    /// The customer's mean score before the agent's first reply, in hundredths of a point: the last three in the conversation, or else the
    /// last one elsewhere within [`BEFORE_WITHIN`]. None where nothing is known.
    pub before: Option<i64>,
}

/// The contacts in all that is known of one customer.
///
/// An agent's part of a conversation begins with the first thing they wrote in it; where nothing they wrote is known, after the first
/// interaction that names them. From then on counts what is scored and names the agent, or names nobody while this agent was the last who
/// wrote. An interaction without a conversation is a contact by itself of the agent it names.
#[must_use]
pub fn contacts(moments: &[Moment]) -> Vec<Contact> {
    let mut ordered: Vec<&Moment> = moments.iter().collect();
    ordered.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    let mut conversations: BTreeMap<&str, Vec<&Moment>> = BTreeMap::new();
    for moment in &ordered {
        conversations.entry(moment.conversation.as_deref().unwrap_or(&moment.id)).or_default().push(moment);
    }
    conversations.into_iter().flat_map(|(of, within)| of_conversation(of, &within, &ordered)).collect()
}

/// What one agent did in a conversation, as far as it was read.
#[derive(Default)]
struct Part {
    /// Where in the conversation it began.
    begins: usize,
    after: Vec<(DateTime<Utc>, i64)>,
}

fn of_conversation(of: &str, within: &[&Moment], all: &[&Moment]) -> Vec<Contact> {
    let alone = within.len() == 1 && within[0].conversation.is_none();
    let mut parts: BTreeMap<&str, Part> = BTreeMap::new();
    for (place, moment) in within.iter().enumerate() {
        let Some(agent) = moment.agent.as_deref() else { continue };
        if parts.contains_key(agent) {
            continue;
        }
        let wrote = within.iter().position(|other| other.by_agent && other.agent.as_deref() == Some(agent));
        // Assigned to them, and nothing they wrote is known: the reply came after.
        let begins = wrote.unwrap_or(if alone { place } else { place + 1 });
        parts.insert(agent, Part { begins, after: Vec::new() });
    }
    let mut last_who_wrote = None;
    for (place, moment) in within.iter().enumerate() {
        if moment.by_agent && moment.agent.is_some() {
            last_who_wrote = moment.agent.as_deref();
        }
        let Some(agent) = moment.agent.as_deref().or(last_who_wrote) else { continue };
        if let (Some(part), Some(score)) = (parts.get_mut(agent), moment.score)
            && place >= part.begins
        {
            part.after.push((moment.at, score));
        }
    }
    let contact = |(agent, part): (&str, Part)| {
        let (at, _) = part.after.last()?;
        Some(Contact {
            of: of.to_owned(),
            agent: agent.to_owned(),
            at: *at,
            scored: part.after.len() as i64,
            after: mean(part.after.iter().map(|(_, score)| *score))?,
            before: before(within, part.begins, all),
        })
    };
    parts.into_iter().filter_map(contact).collect()
}

/// How the customer felt when the part that begins at `begins` did.
fn before(within: &[&Moment], begins: usize, all: &[&Moment]) -> Option<i64> {
    let scores = within[..begins.min(within.len())].iter().rev().filter_map(|moment| moment.score);
    if let Some(mean) = mean(scores.take(BEFORE_AT_MOST)) {
        return Some(mean);
    }
    let first = within.first()?;
    let elsewhere = all
        .iter()
        .rev()
        .skip_while(|moment| moment.at >= first.at)
        .take_while(|moment| first.at - moment.at <= BEFORE_WITHIN)
        .find_map(|moment| moment.score)?;
    Some(elsewhere * 100)
}

/// The mean, in hundredths.
fn mean(scores: impl Iterator<Item = i64>) -> Option<i64> {
    let (count, sum) = scores.fold((0_i64, 0), |(count, sum), score| (count + 1, sum + score));
    (count > 0).then(|| (sum as f64 * 100.0 / count as f64).round() as i64)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    /// `minute who agent score`, where who is `c` for the customer and `a` for an agent.
    fn conversation(name: &str, lines: &[(i64, char, &str, Option<i64>)]) -> Vec<Moment> {
        let begin = Utc.with_ymd_and_hms(2026, 11, 2, 9, 0, 0).unwrap();
        let moment =
            |(place, (minute, who, agent, score)): (usize, &(i64, char, &str, Option<i64>))| Moment {
                id: format!("{name}-{place:03}"),
                conversation: (!name.is_empty()).then(|| name.to_owned()),
                agent: (!agent.is_empty()).then(|| (*agent).to_owned()),
                by_agent: *who == 'a',
                at: begin + TimeDelta::minutes(*minute),
                score: *score,
            };
        lines.iter().enumerate().map(moment).collect()
    }

    fn found(moments: &[Moment]) -> Vec<(String, String, Option<i64>, i64, i64)> {
        contacts(moments).into_iter().map(|c| (c.of, c.agent, c.before, c.after, c.scored)).collect()
    }

    fn expected(
        rows: &[(&str, &str, Option<i64>, i64, i64)],
    ) -> Vec<(String, String, Option<i64>, i64, i64)> {
        rows.iter().map(|(of, agent, b, a, n)| ((*of).to_owned(), (*agent).to_owned(), *b, *a, *n)).collect()
    }

    #[test]
    fn what_came_before_the_first_reply_is_not_the_agents() {
        let talk = conversation(
            "t",
            &[
                (0, 'c', "", Some(-80)),
                (5, 'c', "", Some(-60)),
                (9, 'a', "bo", None),
                (20, 'c', "", Some(10)),
                (30, 'c', "", Some(31)),
            ],
        );
        assert_eq!(found(&talk), expected(&[("t", "bo", Some(-7000), 2050, 2)]));
        // In whatever order it arrives.
        let shuffled: Vec<Moment> = talk.into_iter().rev().collect();
        assert_eq!(found(&shuffled), expected(&[("t", "bo", Some(-7000), 2050, 2)]));
    }

    #[test]
    fn whoever_takes_over_begins_where_the_other_left() {
        let talk = conversation(
            "t",
            &[
                (0, 'c', "", Some(0)),
                (1, 'a', "bo", None),
                (2, 'c', "", Some(-50)),
                (3, 'c', "", Some(-90)),
                (4, 'a', "cy", None),
                (5, 'c', "", Some(40)),
                // Named although the other wrote last.
                (6, 'c', "bo", Some(20)),
            ],
        );
        assert_eq!(
            found(&talk),
            // The last three before cy: 0, -50, -90.
            expected(&[("t", "bo", Some(0), -4000, 3), ("t", "cy", Some(-4667), 4000, 1)])
        );
    }

    #[test]
    fn an_assigned_agent_who_wrote_nothing_known_is_not_judged_by_the_first_message() {
        let talk = conversation("t", &[(0, 'c', "bo", Some(-80)), (60, 'c', "bo", Some(20))]);
        assert_eq!(found(&talk), expected(&[("t", "bo", Some(-8000), 2000, 1)]));
        let only = conversation("t", &[(0, 'c', "bo", Some(-80))]);
        assert_eq!(found(&only), expected(&[]));
    }

    #[test]
    fn a_note_of_a_call_is_a_contact_and_the_last_score_is_what_it_began_with() {
        let day = 24 * 60;
        let mut all = conversation("t", &[(0, 'c', "", Some(-30)), (1, 'c', "", None)]);
        all.extend(conversation("", &[(2 * day, 'a', "bo", Some(50))]));
        let mut later = conversation("", &[(40 * day, 'a', "cy", Some(-10))]);
        later[0].id = "later".into();
        all.extend(later);
        assert_eq!(
            found(&all),
            // Of cy's nothing was heard for more than 30 days.
            expected(&[("-000", "bo", Some(-3000), 5000, 1), ("later", "cy", None, -1000, 1)])
        );
    }

    #[test]
    fn without_an_agent_or_a_score_there_is_no_contact() {
        let talk = conversation("t", &[(0, 'c', "", Some(-80)), (1, 'c', "", Some(5)), (2, 'a', "bo", None)]);
        assert_eq!(found(&talk), expected(&[]));
    }
}
