//! Some hundred calls to the local server, with caches, packing, faults, answers cut off and refusals: what the store, the report and its
//! CSV say is what the server billed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use serde_json::json;
use undertone_core::clock::SetClock;
use undertone_core::usage::sums::{Group, Sums};
use undertone_core::{Clock, Usage};
use undertone_llm_server::{Billed, Failure, Fault, Problem, Script, Server, items};
use undertone_scoring::llm::ask::{Api, Call, Endpoint, LlmScorer, Manner, Outside, Response, Unreachable};
use undertone_scoring::llm::claude::CacheTime;
use undertone_scoring::{Batch, NoVerdict, Scorer, Utterance};
use undertone_store::budget::Caps;
use undertone_store::tenants::NewTenant;
use undertone_store::{Act, Options, Store, Tenant};

use crate::clock::TimeOrderedIds;
use crate::llm::{TenantPurse, Web};
use crate::output::usage::csv as write_csv;
use crate::usage::Report;

/// Rounds of questions; with what is asked again some twenty calls each.
const ROUNDS: usize = 40;
/// The prices of Sonnet change at the midnight after this.
const BEGIN: &str = "2026-10-06T20:30:00Z";

/// Rates by kind in thousandths of a dollar for a million tokens, as the reference has them: input, read, written for five minutes, for
/// an hour, output.
type Rates = [u64; 5];
const HAIKU: Rates = [100, 10, 125, 200, 500];
const SONNET_BEFORE: Rates = [2_000, 200, 2_500, 4_000, 10_000];
const SONNET_AFTER: Rates = [2_000, 100, 2_500, 4_000, 10_000];

/// Real HTTP, and a clock that pauses move.
struct World {
    web: Web,
    clock: Arc<SetClock>,
}

impl Outside for World {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Response, Unreachable>> {
        self.web.send(call)
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'_, ()> {
        self.clock.advance(TimeDelta::from_std(pause).unwrap());
        tokio::task::yield_now().boxed()
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

struct Bench {
    clock: Arc<SetClock>,
    server: Server,
    store: Store,
    tenant: Tenant,
    scorers: Vec<LlmScorer>,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn open() -> Self {
        let clock = Arc::new(SetClock::new(BEGIN.parse().unwrap()));
        let hand = clock.clone();
        let mut script = Script::new(Arc::new(move || hand.now()));
        script.items = items::fenced();
        let server = Server::start(script).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/undertone.db", folder.path().display());
        let ids = Arc::new(TimeOrderedIds::new());
        let open = async || {
            let options = Options { url: url.clone(), connections: 2 };
            Store::open(&options, clock.clone(), ids.clone()).await.unwrap()
        };
        // Two programs on one database.
        let (store, other) = (open().await, open().await);
        store.migrate().await.unwrap();
        let new = NewTenant { slug: "acme", name: "Acme", zone: Tz::Europe__Berlin, actor: "test" };
        let tenant = store.create_tenant(&new).await.unwrap();
        let act = Act::new(tenant.id, "test");
        store.change_settings(&act, &json!({"daily_token_cap": 0})).await.unwrap();
        let claude = |cache| Api::Claude { cache: Some(cache) };
        let asked = [
            (&store, claude(CacheTime::FiveMinutes), server.url(), "claude-haiku-5-5"),
            (&other, claude(CacheTime::OneHour), server.url(), "claude-sonnet-5-5"),
            (&other, Api::Openai, server.chat_url(), "local-model"),
        ];
        let scorers = asked
            .into_iter()
            .map(|(store, api, base_url, model)| {
                let key = Some("local-key".to_owned());
                let endpoint = Endpoint { api, base_url, key, model: model.to_owned() };
                let manner = Manner { together: 4, at_once: 3, tries: 4 };
                let world = World { web: Web::new().unwrap(), clock: clock.clone() };
                let purse = TenantPurse::new(store, tenant.id, Arc::default(), "test".into());
                LlmScorer::new(endpoint, manner, Arc::new(world), Arc::new(purse))
            })
            .collect();
        Self { clock, server, store, tenant, scorers, _folder: folder }
    }

    fn break_things(&self) {
        let error = |problem| Failure::Error(problem);
        let refusal = Failure::Refusal { category: Some("general_harms") };
        let faults = [
            (0.05, error(Problem::overloaded())),
            (0.03, error(Problem::rate_limited(Duration::from_secs(2)))),
            (0.02, error(Problem::internal())),
            (0.04, Failure::ResetMidway),
            (0.02, Failure::ResetBefore),
            (0.04, Failure::CutShort),
            (0.06, Failure::MaxTokens),
            (0.05, refusal),
            (0.03, Failure::NotJson),
            (0.03, Failure::WrongShape),
            (0.02, Failure::NoText),
        ];
        for (seed, (probability, failure)) in (1..).zip(faults) {
            self.server.add(Fault::by_chance(probability, seed, failure));
        }
    }

    /// Everything asked, round by round. Answers how many texts got a verdict and how many none.
    async fn ask(&self) -> (usize, usize) {
        let (mut scored, mut not) = (0, 0);
        for round in 0..ROUNDS {
            let asked = self.scorers.iter().enumerate().map(|(place, scorer)| {
                // Twice a full request and once less than that.
                let texts = (0..10).map(|n| {
                    let late = ["The parcel is late again", "Thank you, it works"][(round + n) % 2];
                    Utterance::message(&format!("{late}, order {round} of {place}, item {n}."))
                });
                scorer.score(Batch::new(texts.collect()))
            });
            let answers: Vec<Result<_, NoVerdict>> = join_all(asked).await.concat();
            let with = answers.iter().filter(|answer| answer.is_ok()).count();
            scored += with;
            not += answers.len() - with;
            // Caches of five minutes run out now and then, those of an hour once, at noon of the next day.
            self.clock.advance(match round {
                19 => TimeDelta::hours(12),
                n if n % 6 == 0 => TimeDelta::minutes(7),
                _ => TimeDelta::seconds(70),
            });
        }
        (scored, not)
    }

    /// Texts of each request the server saw.
    fn texts(&self) -> HashMap<String, u64> {
        let split = items::fenced();
        let count = |seen: undertone_llm_server::Seen| {
            let body = seen.json();
            let messages = body["messages"].as_array().unwrap();
            let texts = split(messages.last().unwrap()["content"].as_str().unwrap()).len();
            (seen.request_id, texts as u64)
        };
        self.server.requests().into_iter().map(count).collect()
    }

    async fn report(&self, group: Group) -> undertone_store::budget::UsageReport {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        self.store.ai_usage(&self.tenant, day("2026-10-01"), day("2026-10-31"), group).await.unwrap()
    }
}

fn tokens(billed: &Billed) -> [u64; 5] {
    let u = billed.usage;
    [u.input, u.cache_read, u.cache_write_5m, u.cache_write_1h, u.output]
}

/// Millionths of millionths of a dollar, exactly; `None` where there is no price.
fn exact(billed: &Billed) -> Option<u64> {
    let rates = match billed.model.as_str() {
        "claude-haiku-5-5" => HAIKU,
        "claude-sonnet-5-5" if billed.at.date_naive() < "2026-10-07".parse().unwrap() => SONNET_BEFORE,
        "claude-sonnet-5-5" => SONNET_AFTER,
        _ => return None,
    };
    Some(tokens(billed).iter().zip(rates).map(|(tokens, rate)| tokens * rate * 1_000).sum())
}

/// To the nearest millionth, halves up.
fn rounded(exact: u64) -> u64 {
    (exact + 500_000) / 1_000_000
}

/// What the server billed and told us, added up for a key.
fn billed_by(
    server: &Server,
    texts: &HashMap<String, u64>,
    key: impl Fn(&Billed) -> String,
) -> BTreeMap<String, Sums> {
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for billed in server.ledger().delivered() {
        let told = billed.usage;
        let usage = Usage {
            input: told.input,
            cache_read: told.cache_read,
            cache_write_5m: told.cache_write_5m,
            cache_write_1h: told.cache_write_1h,
            output: told.output,
        };
        let cost = exact(billed).map(rounded);
        let one = Sums {
            calls: 1,
            texts: texts[&billed.request_id],
            usage,
            cost_micros: cost.unwrap_or_default(),
            unpriced_calls: cost.is_none().into(),
            ..Sums::default()
        };
        let sum = sums.entry(key(billed)).or_default();
        *sum = sum.plus(one);
    }
    sums
}

/// Of sums what the server knows too.
fn known(sums: Sums) -> Sums {
    Sums {
        lost_calls: 0,
        lost_tokens: 0,
        lost_micros: 0,
        saved: undertone_core::usage::sums::Saved::default(),
        ..sums
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_says_to_the_token_and_cent_what_the_server_billed() {
    let bench = Bench::open().await;
    bench.break_things();
    let (scored, not) = bench.ask().await;
    bench.clock.advance(TimeDelta::hours(1));
    let caps = Caps::default();
    let lost = bench.store.expire_calls(bench.tenant.id, &caps).await.unwrap();
    let (ledger, texts) = (bench.server.ledger(), bench.texts());

    let by_model = bench.report(Group::Model).await;
    let told = |report: &undertone_store::budget::UsageReport| -> BTreeMap<String, Sums> {
        report.lines.iter().map(|line| (line.key.clone(), known(line.sums))).collect()
    };
    assert_eq!(told(&by_model), billed_by(&bench.server, &texts, |billed| billed.model.clone()));
    let berlin = |billed: &Billed| billed.at.with_timezone(&Tz::Europe__Berlin).date_naive().to_string();
    let by_day = bench.report(Group::Day).await;
    assert_eq!(told(&by_day), billed_by(&bench.server, &texts, berlin));
    assert_eq!(by_day.lines.len(), 2);
    for group in [Group::Month, Group::Feature, Group::Scorer, Group::Day] {
        assert_eq!(bench.report(group).await.total, by_model.total, "{group:?}");
    }
    // Rounded call by call, and off by less than a cent from what nobody rounded.
    let total = by_model.total;
    let exact: u64 = ledger.delivered().filter_map(exact).sum();
    assert!(
        (total.cost_micros * 1_000_000).abs_diff(exact) < 10_000_000_000,
        "{} and {exact}",
        total.cost_micros
    );

    // What was billed and never told us is among the lost, which count as used at their most.
    let untold: u64 =
        ledger.billed.iter().filter(|billed| !billed.delivered).map(|billed| billed.usage.total()).sum();
    let untold_calls = ledger.billed.iter().filter(|billed| !billed.delivered).count() as u64;
    assert_eq!(total.lost_calls, lost);
    assert!(
        untold_calls > 0 && untold_calls <= lost && untold <= total.lost_tokens,
        "{untold_calls} {untold} {total:?}"
    );
    assert_eq!((total.overrun_tokens, total.overrun_micros), (0, 0), "the bound held for every call");
    let month = bench.store.budget(&bench.tenant).await.unwrap().month;
    assert_eq!((month.spent.tokens, month.spent.micros), (total.usage.total(), total.cost_micros));
    assert_eq!((month.assumed.tokens, month.held.tokens), (total.lost_tokens, 0));
    assert!(month.used().tokens >= ledger.usage().total(), "the budget counts no less than was billed");

    // Call by call, and in the file for a spreadsheet.
    let calls = bench.store.calls(bench.tenant.id, None, u16::MAX).await.unwrap();
    let sum =
        |part: fn(&undertone_store::budget::Call) -> Option<i64>| calls.iter().filter_map(part).sum::<i64>();
    assert_eq!(sum(|call| call.cost_micros), total.cost_micros.cast_signed());
    assert_eq!(sum(|call| Some(call.cache_read_tokens)), total.usage.cache_read.cast_signed());
    assert_eq!(sum(|call| Some(call.texts).filter(|_| call.state == "settled")), total.texts.cast_signed());
    let mut file = Vec::new();
    write_csv(&Report::of(&bench.tenant, by_day, undertone_core::cascade::sums::Sums::default()), &mut file)
        .unwrap();
    let mut reader = csv::Reader::from_reader(&*file);
    let place = reader.headers().unwrap().iter().position(|head| head == "cost_usd").unwrap();
    let dollars =
        reader.records().map(|record| record.unwrap()[place].replace('.', "").parse::<u64>().unwrap());
    assert_eq!(dollars.sum::<u64>(), total.cost_micros);

    // None of it was a matter of course: everything happened.
    let usage = total.usage;
    let kinds = [usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h, usage.output];
    assert!(kinds.iter().all(|tokens| *tokens > 0), "{usage:?}");
    let stopped = |reason: &str| ledger.delivered().filter(|billed| billed.stop_reason == reason).count();
    println!(
        "{} calls billed, {untold_calls} of them never told, {lost} lost; {scored} texts with a verdict and {not} without; {} refused, {} cut off; {total:?}",
        ledger.billed.len(),
        stopped("refusal"),
        stopped("max_tokens")
    );
    assert!(ledger.billed.len() >= 300 && stopped("refusal") > 0 && stopped("max_tokens") > 0);
    assert!(total.saved.cache_micros > 0 && total.saved.packing_tokens > 0 && total.unpriced_calls > 0);
    let unpriced = by_model.lines.iter().find(|line| line.key == "local-model").unwrap().sums.saved;
    assert!(
        unpriced.packing_tokens > 0 && unpriced.packing_micros == 0,
        "known without a price: {unpriced:?}"
    );
    assert!(scored > not && not > 0, "{scored} {not}");
}
