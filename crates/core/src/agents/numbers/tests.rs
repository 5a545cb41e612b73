//! The numbers against agents whose true effect is known, because it was made up.

use super::*;

/// A generator with a seed (splitmix64), and normal numbers from it.
struct Chance(u64);

impl Chance {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self, mean: f64, spread: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        mean + spread * radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Adds a contact, in points.
fn add(sums: &mut Sums, after: f64, before: Option<f64>) {
    let hundredths = |points: f64| (points.clamp(-100.0, 100.0) * 100.0).round() as i64;
    let after = hundredths(after);
    sums.contacts += 1;
    sums.scored += 1;
    sums.after.0 += after;
    sums.after.1 += after * after;
    if let Some(before) = before.map(hundredths) {
        sums.with_before += 1;
        sums.before.0 += before;
        sums.before.1 += before * before;
        sums.both.0 += after;
        sums.both.1 += after * before;
    }
}

/// A world of agents, whose customers come easier or harder to them.
struct World {
    agents: usize,
    /// Contacts of an agent: from, and so many more at most.
    contacts: (usize, usize),
    /// The spread of agents' true effects.
    effects: f64,
    /// The spread of what customers bring, between agents and within.
    customers: (f64, f64),
    /// The share of contacts of which nothing is known from before.
    unknown: f64,
}

/// The sums of a world's agents, and the true mean of each with the average customer.
fn made(world: &World, chance: &mut Chance) -> (Vec<Sums>, Vec<f64>) {
    let mut sums = Vec::new();
    let mut truths = Vec::new();
    for agent in 0..world.agents {
        let effect = chance.normal(0.0, world.effects);
        let customers = chance.normal(-10.0, world.customers.0);
        let mut one = Sums { agent: format!("agent-{agent}"), ..Sums::default() };
        let more = (chance.uniform() * (world.contacts.1 + 1) as f64) as usize;
        for _ in 0..world.contacts.0 + more {
            let before = chance.normal(customers, world.customers.1);
            let after = chance.normal(5.0 + 0.5 * (before + 10.0) + effect, 25.0);
            add(&mut one, after, Some(before).filter(|_| chance.uniform() >= world.unknown));
        }
        sums.push(one);
        truths.push(5.0 + effect);
    }
    (sums, truths)
}

/// Of many such worlds: the share of intervals that hold the truth, the mean error of adjusted and of plain averages, and the share of agents of
/// whom a difference is shown. The truth is told about the average customer of that world.
fn over_many(world: &World, worlds: u64) -> (f64, f64, f64, f64) {
    let mut chance = Chance(7);
    let (mut held, mut shown, mut agents) = (0, 0, 0);
    let (mut adjusted, mut plain) = (0.0, 0.0);
    for _ in 0..worlds {
        let (sums, truths) = made(world, &mut chance);
        let before: (i64, i64) =
            sums.iter().fold((0, 0), |(sum, n), one| (sum + one.before.0, n + one.with_before));
        let average_customer = before.0 as f64 / 100.0 / before.1.max(1) as f64;
        let numbers = Numbers::of(&sums, 3).unwrap();
        for one in &numbers.agents {
            let place: usize = one.agent.trim_start_matches("agent-").parse().unwrap();
            let truth = truths[place] + 0.5 * (average_customer + 10.0);
            held += u32::from(one.interval.0 <= truth && truth <= one.interval.1);
            shown += u32::from(one.difference != Difference::NotShown);
            adjusted += (one.adjusted - truth).abs();
            plain += (one.unadjusted - truth).abs();
            agents += 1;
        }
    }
    let share = |count: u32| f64::from(count) / f64::from(agents);
    (share(held), adjusted / f64::from(agents), plain / f64::from(agents), share(shown))
}

#[test]
fn intervals_hold_the_truth_about_as_often_as_they_say() {
    for (agents, contacts, effects) in
        [(2, (3, 10), 8.0), (4, (3, 20), 8.0), (12, (3, 60), 8.0), (12, (3, 60), 2.0), (60, (3, 60), 8.0)]
    {
        let world = World { agents, contacts, effects, customers: (12.0, 25.0), unknown: 0.2 };
        let (held, adjusted, plain, _) = over_many(&world, 3000 / agents as u64);
        assert!((0.93..=0.995).contains(&held), "{agents} agents, {effects}: {held}");
        assert!(
            adjusted < plain * 0.85,
            "{agents} agents, {effects}: off by {adjusted}, unadjusted by {plain}"
        );
    }
}

#[test]
fn where_agents_do_not_differ_hardly_any_difference_is_shown() {
    // Though their customers do.
    let world = World { agents: 20, contacts: (5, 40), effects: 0.0, customers: (15.0, 25.0), unknown: 0.1 };
    let (_, adjusted, plain, shown) = over_many(&world, 100);
    assert!(shown < 0.02, "{shown}");
    assert!(adjusted < plain / 3.0, "off by {adjusted}, unadjusted by {plain}");
}

#[test]
fn a_great_difference_is_shown() {
    let world = World { agents: 20, contacts: (60, 40), effects: 15.0, customers: (8.0, 20.0), unknown: 0.1 };
    let (held, .., shown) = over_many(&world, 600);
    assert!(shown > 0.6 && (0.94..=0.96).contains(&held), "{shown} {held}");
}

#[test]
fn whoever_gets_the_hard_customers_is_not_blamed() {
    let mut chance = Chance(3);
    let mut sums: Vec<Sums> = Vec::new();
    for (agent, customers) in [("hard", -60.0), ("easy", 30.0), ("some", 0.0)] {
        let mut one = Sums { agent: agent.into(), ..Sums::default() };
        for _ in 0..200 {
            let before = chance.normal(customers, 20.0);
            add(&mut one, chance.normal(0.5 * before, 15.0), Some(before));
        }
        sums.push(one);
    }
    let numbers = Numbers::of(&sums, 3).unwrap();
    let (hard, easy) = (&numbers.agents[0], &numbers.agents[1]);
    assert!(hard.unadjusted < easy.unadjusted - 35.0, "{hard:?} {easy:?}");
    assert!((hard.adjusted - easy.adjusted).abs() < 6.0, "{hard:?} {easy:?}");
    assert_eq!((hard.difference, easy.difference), (Difference::NotShown, Difference::NotShown));
    assert!((numbers.slope - 0.5).abs() < 0.1, "{}", numbers.slope);
}

#[test]
fn few_contacts_are_drawn_to_the_average_and_too_few_are_not_shown() {
    let mut chance = Chance(5);
    let agent = |name: &str, contacts: usize, mean: f64, chance: &mut Chance| {
        let mut one = Sums { agent: name.into(), ..Sums::default() };
        for _ in 0..contacts {
            add(&mut one, chance.normal(mean, 20.0), None);
        }
        one
    };
    let mut sums: Vec<Sums> = (0..10)
        .map(|n| agent(&format!("usual-{n}"), 80, 5.0 * (f64::from(n % 3) - 1.0), &mut chance))
        .collect();
    let mut few = Sums { agent: "few".into(), ..Sums::default() };
    for after in [70.0, 80.0, 75.0] {
        add(&mut few, after, None);
    }
    sums.push(few);
    sums.push(agent("two", 2, 90.0, &mut chance));
    let numbers = Numbers::of(&sums, 3).unwrap();
    assert_eq!((numbers.too_few, numbers.agents.len()), (1, 11));
    assert!(numbers.agents.iter().all(|one| one.agent != "two"));
    let few = numbers.agents.iter().find(|one| one.agent == "few").unwrap();
    assert!(few.adjusted < few.unadjusted - 5.0 && few.adjusted > numbers.average, "{few:?}");
    let usual = &numbers.agents[0];
    assert!(
        few.interval.1 - few.interval.0 > 2.0 * (usual.interval.1 - usual.interval.0),
        "{few:?} {usual:?}"
    );
}

#[test]
fn little_is_no_certainty_and_nothing_is_nothing() {
    assert_eq!(Numbers::of(&[], 3), None);
    assert_eq!(Numbers::of(&[Sums::default()], 3), None);
    // Three contacts that happen to agree to the point.
    let mut one = Sums { agent: "one".into(), ..Sums::default() };
    for _ in 0..3 {
        add(&mut one, 100.0, Some(100.0));
    }
    let numbers = Numbers::of(std::slice::from_ref(&one), 3).unwrap();
    let (low, high) = numbers.agents[0].interval;
    assert!(high - low > 20.0 && high <= 100.0 && low >= -100.0, "{low} {high}");
    assert_eq!(numbers.agents[0].difference, Difference::NotShown);
}
