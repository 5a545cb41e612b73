//! Figures of groups, what the review came to, and where the cascade's two scorers contradict each other, held to the tables of `figures.txt`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use undertone_core::usage::calendar::day_of;
use undertone_store::privacy::erase::Whom;
use undertone_store::queue::Claim;
use undertone_store::record::{Finished, Outcome};

use super::canaries::assert_nothing_hidden;
use super::{FIRST, PLANTED, Planted, RATED, Somebody, expected, verdict};

/// The smallest group, here.
const MIN_GROUP: u16 = 3;

/// What was handed in of days that are over: the day, the customer, the agent with their team where they have one, the queue, the score.
const OVER: [(u64, &str, &str, &str, i64); 20] = [
    (1, "g1", "north-1", "returns", -40),
    (1, "g2", "north-1", "returns", 50),
    (1, "g3", "north-2", "returns", -30),
    (1, "g4", "north-3", "returns", 45),
    (1, "lonely", "south-1", "returns", -91),
    (1, "p1", "west-1", "repairs", -92),
    (1, "p2", "west-2", "repairs", 88),
    (2, "g1", "north-1", "returns", 60),
    (2, "g2", "north-2", "returns", -55),
    (2, "g3", "north-3", "returns", -70),
    (2, "g4", "north-1", "returns", 41),
    (2, "lonely", "south-1", "returns", -96),
    (3, "e1", "east-1", "sales", -33),
    (3, "e2", "east-1", "sales", 52),
    (3, "e3", "east-1", "sales", -48),
    (3, "e4", "east-1", "sales", 66),
    (3, "s1", "solo", "chat", -70),
    (3, "s2", "solo", "chat", 44),
    (3, "s3", "solo", "chat", 62),
    (3, "s4", "solo", "chat", -58),
];

/// Whole groups as they were published: how many, the sum of scores, positive and negative ones. Whatever is told is a sum of these.
const WHOLE: [[i64; 4]; 3] = [[4, 25, 2, 2], [3, -95, 1, 2], [4, -24, 2, 2]];

/// Columns of what somebody sees, each with its number of cells.
const COLUMNS: [(&str, usize); 7] = [
    ("groups", 1),
    ("overview", 1),
    ("results", 4),
    ("differing", 1),
    ("agreement", 1),
    ("item", 4),
    ("cascade", 4),
];

/// What somebody sees under a policy: the cells of each column.
struct Line {
    policy: String,
    who: String,
    cells: BTreeMap<&'static str, Vec<char>>,
}

/// What is told of some days, from so many days ago to so many: all of it, by team and by queue.
struct Span {
    from: u64,
    to: u64,
    told: [String; 5],
}

/// The tables.
struct Expected {
    lines: Vec<Line>,
    spans: Vec<Span>,
    everything: String,
}

impl Expected {
    fn read() -> Self {
        let mut read = Self { lines: Vec::new(), spans: Vec::new(), everything: String::new() };
        let mut policy = String::new();
        for line in include_str!("figures.txt").lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] | ["published", ..] => {}
                [first, ..] if first.starts_with('#') => {}
                ["policy", word, columns @ ..] => {
                    assert_eq!(columns, COLUMNS.map(|(name, _)| name), "{line}");
                    (*word).clone_into(&mut policy);
                }
                ["everything", told] => (*told).clone_into(&mut read.everything),
                [days, told @ ..] if days.contains("..") => {
                    let (from, to) = days.split_once("..").unwrap();
                    let told = <[&str; 5]>::try_from(told).unwrap().map(str::to_owned);
                    read.spans.push(Span { from: from.parse().unwrap(), to: to.parse().unwrap(), told });
                }
                [who, cells @ ..] => {
                    let mut left = cells.iter().map(|cell| cell.chars().next().unwrap());
                    let cells = COLUMNS.map(|(name, many)| (name, left.by_ref().take(many).collect()));
                    assert_eq!(left.next(), None, "{line}");
                    read.lines.push(Line {
                        policy: policy.clone(),
                        who: (*who).to_owned(),
                        cells: cells.into(),
                    });
                }
            }
        }
        assert_eq!(
            (read.lines.len(), read.spans.len()),
            (50, 6),
            "five policies for eight roles and two keys"
        );
        read
    }
}

/// A figure as the table has it; `-` where nothing is told.
fn cell(summary: &Value) -> String {
    if summary.is_null() || summary["scored"] == json!(0) {
        return "-".to_owned();
    }
    let average = summary["average"].as_f64().unwrap();
    format!("{}/{average:.1}/{}/{}", summary["scored"], summary["positive"], summary["negative"])
}

impl Planted {
    /// The reviewer labels the first interaction of each customer; answers the ids of these items of the review.
    pub(super) async fn rate(&self) -> Vec<String> {
        let reviewer = self.somebody("reviewer").await;
        let items = reviewer.get("/api/v1/review?limit=100").await;
        let mut done = Vec::new();
        for (word, score) in RATED {
            let first = format!("text-canary-{word} of 1,");
            let of = |one: &&Value| one["text"].as_str().is_some_and(|text| text.contains(&first));
            let id = items["items"].as_array().unwrap().iter().find(of).unwrap()["id"].as_str().unwrap();
            let said = json!({"score": score, "note": format!("note-canary-{word}")});
            let path = format!("/api/v1/review/{id}/label");
            let answer = reviewer.call("POST", &path, Some(&said)).await;
            assert_eq!(answer.json(), json!({"done": true}));
            done.push(id.to_owned());
        }
        done
    }

    /// The tenant's date of so many days ago.
    fn day(&self, ago: u64) -> NaiveDate {
        day_of(self.bench.mine.zone, self.bench.store().now()) - Days::new(ago)
    }

    /// Hands in what `OVER` says and gives it its verdicts, so long ago that it may be published.
    async fn hand_in(&self, round: &str, items: &[(u64, &str, &str, &str, i64)]) {
        let (store, mine) = (self.bench.store(), self.bench.mine.id);
        for (ago, customer, agent, queue, score) in items {
            // The first of these days was three days ago.
            let at: DateTime<Utc> = self.day(ago + 2).and_hms_opt(12, 0, 0).unwrap().and_utc();
            let id = format!("{round}-{ago}-{customer}");
            let mut item = json!({
                "external_id": id, "text": format!("It is so, says {customer}, and more words: {score}"), "customer": customer,
                "occurred_at": at, "conversation": {"id": format!("talk-{id}"), "queue": queue},
            });
            item["agent"] = json!({"id": agent, "team": agent.split_once('-').map(|(team, _)| team)});
            let answer = self.bench.call("POST", "/api/v1/interactions", "ut_mine", Some(&item)).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
        }
        let claim = Claim { owner: "planter", lease: TimeDelta::minutes(1), limit: 99, suspect: false };
        let finished = store.claim(mine, claim).await.unwrap().into_iter().map(|claimed| {
            let score = claimed.interaction.text.rsplit(' ').next().unwrap().parse().unwrap();
            Finished { claimed, outcome: Outcome::Scored(Box::new(verdict("over", score))) }
        });
        let finished: Vec<Finished> = finished.collect();
        assert_eq!(store.record(mine, "planter", &finished).await.unwrap().scored, items.len());
    }

    /// Publishes all there is to publish, as if it had been scored two days ago.
    async fn publish(&self) {
        let (store, mine) = (self.bench.store(), &self.bench.mine);
        let raw = Database::connect(self.bench.url()).await.unwrap();
        let ago = (store.now() - TimeDelta::days(2)).format("%Y-%m-%d %H:%M:%S%.6f+00:00");
        let earlier =
            format!("UPDATE interaction_sentiment SET scored_at = '{ago}' WHERE tenant_id = {}", mine.id.0);
        raw.execute_unprepared(&earlier).await.unwrap();
        raw.close().await.unwrap();
        while store.publish_groups(mine, MIN_GROUP).await.unwrap() {}
    }

    async fn choose_groups(&self, policy: &str) {
        self.choose(json!({"policy": policy, "min_group": MIN_GROUP})).await;
    }
}

/// What is told of figures: each by how many were scored, the average, how many are positive and negative.
type Told = BTreeSet<(i64, String, i64, i64)>;

fn take(told: &mut Told, summary: &Value) {
    let number = |key: &str| summary[key].as_i64().unwrap();
    if number("scored") > 0 {
        let average = format!("{:.1}", summary["average"].as_f64().unwrap());
        told.insert((number("scored"), average, number("positive"), number("negative")));
    }
}

/// Everything that is told of groups, to somebody: what the table says, of each of the days asked for.
async fn groups(planted: &Planted, somebody: &Somebody<'_>, expected: &Expected, who: &str) -> Told {
    let mut told = Told::new();
    for span in &expected.spans {
        let (from, to) = (planted.day(span.from + 2), planted.day(span.to + 2));
        let path = format!("/api/v1/groups?from={from}&to={to}");
        let answer = somebody.call("GET", &path, None).await;
        assert_eq!(answer.status, 200, "{who}: {}", answer.text);
        for name in ["south", "east", "west", "solo", "repairs", "sales", "chat", "lonely"] {
            assert!(!answer.text.contains(name), "{name} is told to {who} at {path}: {}", answer.text);
        }
        let answer = answer.json();
        let of = |groups: &str, id: Value| {
            let listed = answer[groups].as_array().unwrap();
            listed.iter().find(|group| group["id"] == id).cloned().unwrap_or_default()
        };
        let found = [
            cell(&answer["total"]),
            cell(&of("teams", json!("north"))),
            cell(&of("teams", Value::Null)),
            cell(&of("queues", json!("returns"))),
            cell(&of("queues", Value::Null)),
        ];
        assert_eq!(found, span.told, "{who} at {path}");
        take(&mut told, &answer["total"]);
        for group in ["teams", "queues"].iter().flat_map(|groups| answer[*groups].as_array().unwrap()) {
            take(&mut told, group);
        }
    }
    told
}

/// Every sum of whole groups, as it is told.
fn sums_of_whole_groups() -> Told {
    let mut sums = Told::new();
    for chosen in 1..1_u32 << WHOLE.len() {
        let parts = WHOLE.iter().enumerate().filter(|(n, _)| chosen >> n & 1 == 1);
        let [scored, sum, positive, negative] =
            parts.fold([0; 4], |all, (_, one)| std::array::from_fn(|n| all[n] + one[n]));
        let average = (sum as f64 / scored as f64 * 10.0).round() / 10.0;
        sums.insert((scored, format!("{average:.1}"), positive, negative));
    }
    sums
}

/// The cells of a done item, and of whether it is told as a whole or not at all.
fn outcome(told: &Value, word: &str) -> char {
    let (_, score) = PLANTED.iter().find(|(known, _)| *known == word).unwrap();
    let (_, rated) = RATED.iter().find(|(known, _)| *known == word).unwrap();
    if told["visibility"].is_null() {
        let rating = &told["ratings"][0];
        assert_eq!((&told["score"], &rating["score"]), (&json!(score), &json!(rated)), "{told}");
        assert_eq!(rating["note"], json!(format!("note-canary-{word}")), "{told}");
        assert!(
            told["reasons"].to_string().contains("random") && told["settled_label"].is_string(),
            "{told}"
        );
        return 'V';
    }
    for hidden in ["score", "label", "reasons", "settled_label", "ratings"] {
        assert!(told[hidden].is_null(), "{hidden}: {told}");
    }
    '-'
}

/// Y where it is told, - where the policy hides it from somebody who may ask, x where they may not.
fn asked(status: u16, may: bool) -> char {
    match (status, may) {
        (200, true) => 'Y',
        (403, true) => '-',
        (403, false) => 'x',
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
pub(super) async fn figures_and_what_the_review_came_to_are_what_the_table_says() {
    let planted = Planted::open().await;
    let done = planted.rate().await;
    planted.hand_in("first", &OVER).await;
    planted.publish().await;
    let (expected, whole) = (Expected::read(), sums_of_whole_groups());
    let seen = expected::lines();
    let mut policy = String::new();
    for (line, seen) in expected.lines.iter().zip(&seen) {
        assert_eq!((&line.policy, &line.who), (&seen.policy, &seen.who));
        if policy != line.policy {
            planted.choose_groups(&line.policy).await;
            policy.clone_from(&line.policy);
        }
        let somebody = planted.somebody(&line.who).await;
        let who = format!("{} under {}", line.who, line.policy);
        // Every answer is searched.
        let ask = async |path: &str| {
            let answer = somebody.call("GET", path, None).await;
            assert_nothing_hidden(seen, path, &answer.text);
            answer
        };

        assert_eq!(line.cells["groups"], ['P']);
        let mut told = groups(&planted, &somebody, &expected, &who).await;
        let overview = ask("/api/v1/overview?days=30").await.json();
        let is_live = line.cells["overview"] == ['L'];
        let sum = if is_live { &expected.everything } else { &expected.spans[5].told[0] };
        assert_eq!([&cell(&overview["all_time"]), &cell(&overview["period"])], [sum, sum], "{who}");
        if !is_live {
            for summary in [&overview["all_time"], &overview["period"], &overview["period_before"]] {
                take(&mut told, summary);
            }
            for day in overview["days"].as_array().unwrap() {
                take(&mut told, day);
                take(&mut told, &day["before"]);
            }
            // Whatever is subtracted from whatever, whole groups are left.
            assert!(told.is_subset(&whole), "{who}: {:?}", told.difference(&whole));
        }

        let results = ask("/api/v1/review/results?limit=100").await;
        let may = results.status == 200;
        let found: Vec<char> = PLANTED
            .iter()
            .map(|(word, _)| {
                if !may {
                    return 'x';
                }
                let results = results.json();
                let items = results["items"].as_array().unwrap();
                let of = |one: &&Value| one["interaction_id"] == json!(planted.ids_of(word)[0]);
                outcome(items.iter().find(of).unwrap(), word)
            })
            .collect();
        assert_eq!(found, line.cells["results"], "{who}: results");
        let differing = ask("/api/v1/review/results?differing=true").await;
        assert_eq!([asked(differing.status, may)], line.cells["differing"][..], "{who}: differing");
        if line.cells["differing"] == ['Y'] {
            let differing = differing.json();
            assert_eq!(differing["items"].as_array().unwrap().len(), 1, "{who}");
            assert_eq!(differing["items"][0]["interaction_id"], json!(planted.ids_of("mild")[0]), "{who}");
        }
        let agreement = ask("/api/v1/review/agreement").await;
        assert_eq!([asked(agreement.status, may)], line.cells["agreement"][..], "{who}: agreement");
        let mut found = Vec::new();
        for ((word, _), id) in PLANTED.iter().zip(&done) {
            let one = ask(&format!("/api/v1/review/{id}")).await;
            let is_told = one.status == 200;
            assert!(is_told || one.status == 403, "{who}: {}", one.text);
            found.push(if is_told { outcome(&one.json()["outcome"], word) } else { 'x' });
        }
        assert_eq!(found, line.cells["item"], "{who}: item");

        ask("/api/v1/cascade/advice?daily_tokens=1000").await;
        let cascade = ask("/api/v1/cascade").await.json();
        let listed = cascade["disagreements"].as_array().unwrap();
        let found: Vec<char> = PLANTED
            .iter()
            .map(|(word, score)| {
                let first = FIRST.iter().find(|(known, _)| known == word).unwrap().1;
                let mine =
                    |one: &&Value| planted.ids_of(word).iter().any(|id| one["interaction_id"] == json!(id));
                let of: Vec<&Value> = listed.iter().filter(mine).collect();
                assert!(
                    of.iter()
                        .all(|one| one["score"] == json!(score) && one["first"]["score"] == json!(first))
                );
                assert!(of.is_empty() || of.len() == 2, "{who}: {cascade}");
                if of.is_empty() { '-' } else { 'Y' }
            })
            .collect();
        assert_eq!(found, line.cells["cascade"], "{who}: cascade");
    }
}

#[tokio::test]
pub(super) async fn what_was_published_does_not_move() {
    let planted = Planted::open().await;
    planted.hand_in("first", &OVER).await;
    planted.publish().await;
    // One verdict of a published group is corrected, one more customer comes late, and one is erased.
    let list = planted.bench.get("/api/v1/interactions?limit=100").await;
    let of = |one: &&Value| one["external_id"] == json!("first-1-g1");
    let corrected = list["items"].as_array().unwrap().iter().find(of).unwrap()["id"].as_str().unwrap();
    let shown = planted.bench.get(&format!("/api/v1/interactions/{corrected}")).await;
    let said = json!({"score": 90, "version": shown["sentiment"]["version"]});
    let path = format!("/api/v1/interactions/{corrected}/override");
    assert_eq!(planted.bench.call("POST", &path, "ut_mine", Some(&said)).await.status, 200);
    planted
        .hand_in("late", &[(1, "late", "north-2", "returns", -99), (2, "late", "south-1", "returns", -98)])
        .await;
    let (store, mine) = (planted.bench.store(), planted.bench.mine.id);
    let act = undertone_store::Act::new(mine, "test");
    let erasure = store.erase(&act, &Whom::Id("g2")).await.unwrap().remove(0);
    while store.continue_erasure(mine, &erasure.id).await.unwrap().unwrap().done_at.is_none() {}
    planted.publish().await;
    let expected = Expected::read();
    let mut policy = String::new();
    for line in &expected.lines {
        if policy != line.policy {
            planted.choose_groups(&line.policy).await;
            policy.clone_from(&line.policy);
        }
        let somebody = planted.somebody(&line.who).await;
        let who = format!("{} under {}", line.who, line.policy);
        groups(&planted, &somebody, &expected, &who).await;
        let overview = somebody.get("/api/v1/overview?days=30").await;
        if line.cells["overview"] == ['P'] {
            assert_eq!(cell(&overview["all_time"]), expected.spans[5].told[0], "{who}");
        } else {
            assert_eq!(overview["all_time"]["scored"], json!(28), "two came, and two went: {who}");
        }
    }
}
