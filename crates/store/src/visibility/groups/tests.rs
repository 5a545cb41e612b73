use super::*;

fn part((team, queue): (u8, u8), agent: u8, customer: u8, label: u8, scored: i64) -> Part {
    let of = |wanted| if label == wanted { scored } else { 0 };
    let totals = Totals {
        scored,
        sum_score: scored * (i64::from(label) * 40 - 60),
        positive: of(0),
        neutral: of(1),
        negative: of(2),
        mixed: of(3),
    };
    Part {
        team_id: format!("team-{team}"),
        queue: format!("queue-{queue}"),
        agent_id: format!("agent-{team}-{agent}"),
        customer_id: format!("customer-{customer}"),
        last_scored_at: DateTime::UNIX_EPOCH,
        counts: Counts::from(totals),
    }
}

/// Numbers that look drawn, and are the same each time.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, end: u8) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from((self.0 >> 33) % u64::from(end)).unwrap_or_default()
    }
}

/// Whatever is handed in, each group that is published has enough customers, none of whom makes up most of it, and not all of one label, and
/// enough agents where it is a team's, and is published whole; what is published is no more than there is.
#[test]
fn nobody_can_be_made_out() {
    let (mut drawn, mut published_at_all, mut pools) = (Drawn(7), 0, 0);
    for _ in 0..2000 {
        let count = drawn.below(60);
        let min_group = 3 + u16::from(drawn.below(5));
        let drawn_parts: Vec<(u8, u8, u8, u8, i64)> = (0..count)
            .map(|_| {
                let place = (drawn.below(4), drawn.below(3), drawn.below(30), drawn.below(4));
                (place.0, place.1, place.2, place.3, 1 + i64::from(drawn.below(4)))
            })
            .collect();
        let agents = 1 + drawn.below(6);
        let given = drawn_parts
            .iter()
            .map(|(t, q, c, l, n)| part((*t, *q), drawn.below(agents), *c, *l, *n))
            .collect();
        let published = groups(given, min_group);
        for (key, group) in &published {
            assert!(group.customers.len() >= usize::from(min_group), "{key:?}");
            assert!(group.each.values().all(|scored| 2 * scored <= group.totals.scored), "{key:?}");
            let labels = [Label::Positive, Label::Neutral, Label::Negative, Label::Mixed];
            assert!(labels.iter().filter(|label| group.totals.of(**label) > 0).count() > 1, "{key:?}");
            assert_eq!(group.each.values().sum::<i64>(), group.totals.scored);
            assert_eq!(group.agents.values().sum::<i64>(), group.totals.scored);
            let Some((team, queue)) = key else {
                pools += 1;
                continue;
            };
            assert!(group.agents.len() >= 3, "{key:?}: {:?}", group.agents);
            assert!(group.agents.values().all(|scored| 2 * scored <= group.totals.scored), "{key:?}");
            let same = |(t, q, ..): &&(u8, u8, u8, u8, i64)| {
                (format!("team-{t}"), format!("queue-{q}")) == (team.clone(), queue.clone())
            };
            let whole: i64 = drawn_parts.iter().filter(same).map(|(.., scored)| scored).sum();
            assert_eq!(group.totals.scored, whole, "a group is published whole");
            published_at_all += 1;
        }
        let told: i64 = published.values().map(|group| group.totals.scored).sum();
        assert!(told <= drawn_parts.iter().map(|(.., scored)| scored).sum());
    }
    assert!(
        published_at_all > 500 && pools > 100,
        "{published_at_all} groups and {pools} pools were looked at"
    );
}
