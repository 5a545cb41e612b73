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
            assert!(group.agents.len() >= 3, "{key:?}: {:?}", group.agents);
            assert!(group.agents.values().all(|scored| 2 * scored <= group.totals.scored), "{key:?}");
            let Some((team, queue)) = key else {
                pools += 1;
                continue;
            };
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

/// So many texts of one customer each, of every label in turn, of a team and a queue, answered by an agent; empty: of none.
fn texts((team, queue): (&str, &str), agent: &str, many: u8) -> Vec<Part> {
    (0..many)
        .map(|n| Part {
            team_id: team.to_owned(),
            queue: queue.to_owned(),
            agent_id: agent.to_owned(),
            customer_id: format!("{team}-{queue}-{agent}-{n}"),
            ..part((0, 0), 0, n, n % 4, 1)
        })
        .collect()
}

/// What is published of these, by team and queue, and `pool`: how many texts.
fn told(parts: Vec<Vec<Part>>) -> Vec<(String, i64)> {
    let published = groups(parts.into_iter().flatten().collect(), 5);
    let name = |key: Option<(String, String)>| {
        key.map_or("pool".to_owned(), |(team, queue)| format!("{team}/{queue}"))
    };
    published.into_iter().map(|(key, group)| (name(key), group.totals.scored)).collect()
}

#[test]
fn no_pool_and_no_queue_is_one_agent_s() {
    let large = || (1..=3).map(|n| texts(("north", "q"), &format!("north-{n}"), 4)).collect::<Vec<_>>();
    let with = |more: Vec<Vec<Part>>| told(large().into_iter().chain(more).collect());
    let north = || ("north/q".to_owned(), 12);
    assert_eq!(with(vec![]), [north()]);
    // One team of one agent or two beside it: whoever knows that would know theirs.
    assert_eq!(with(vec![texts(("south", "q"), "south-1", 8)]), [north()]);
    let two = |n| texts(("south", "q"), if n == 1 { "south-1" } else { "south-2" }, 8);
    assert_eq!(with(vec![two(1), two(2)]), [north()]);
    // A queue of one who has no team, and one of those and a team of two.
    let solo = || texts(("", "chat"), "solo", 8);
    assert_eq!(with(vec![solo()]), [north()]);
    assert_eq!(with(vec![solo(), two(1), two(2)]), [("pool".to_owned(), 24), north()]);
    // One of three makes up more than half.
    assert_eq!(with(vec![texts(("", "chat"), "solo", 17), two(1), two(2)]), [north()]);
}

#[test]
fn what_no_agent_had_to_do_with_is_published_without_those() {
    let web = |many| texts(("", "web"), "", many);
    let solo = || texts(("", "web"), "solo", 8);
    assert_eq!(told(vec![web(6)]), [("/web".to_owned(), 6)]);
    assert_eq!(told(vec![web(6), solo()]), [("/web".to_owned(), 6)]);
    assert_eq!(told(vec![web(3), solo()]), []);
    // What is too small by itself is pooled with its like, and the agent is left out.
    assert_eq!(told(vec![web(3), texts(("", "mail"), "", 3), solo()]), [("pool".to_owned(), 6)]);
    // Three who have no team are a group like a team's, told with what none of them had to do with.
    let three: Vec<Vec<Part>> = (1..=3).map(|n| texts(("", "web"), &format!("w-{n}"), 2)).collect();
    assert_eq!(told(three.into_iter().chain([web(6)]).collect()), [("/web".to_owned(), 12)]);
}
