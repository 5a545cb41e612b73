//! Random workers on several nodes that crash, are late and disagree on the time. Whatever they do, what a provider charges within the
//! bounds that were reserved never exceeds a cap.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use undertone_core::Clock;
use undertone_core::usage::calendar::month_of;
use undertone_core::usage::sums::Group;
use undertone_store::Tenant;
use undertone_store::budget::{Amount, Budget, Caps, Counter, ReserveRequest, Reserved, Settled};
use undertone_testkit::postgres::Postgres;

use super::{Bench, Node, bill, call, node, on_sqlite};

/// Runs in `cargo test`; a thousand are made on demand.
const RUNS: u64 = 12;
const MANY_RUNS: u64 = 1_000;

const NODES: usize = 3;
const WORKERS: u64 = 8;
const STEPS: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn no_run_exceeds_the_cap_on_sqlite() {
    let (bench, _folder) = on_sqlite().await;
    many(&bench, RUNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_run_exceeds_the_cap_on_postgres() {
    let server = Postgres::start();
    many(&Bench::open(server.url()).await, RUNS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; cargo test --release -p undertone-store --test budget -- --ignored a_thousand_runs"]
async fn a_thousand_runs_on_sqlite() {
    let (bench, _folder) = on_sqlite().await;
    many(&bench, MANY_RUNS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; cargo test --release -p undertone-store --test budget -- --ignored a_thousand_runs"]
async fn a_thousand_runs_on_postgres() {
    let server = Postgres::start();
    many(&Bench::open(server.url()).await, MANY_RUNS).await;
}

/// What happened in all runs together, so that none of it can be missing unnoticed.
#[derive(Debug, Default)]
struct Happened {
    granted: u64,
    refused: u64,
    settled: u64,
    settled_late: u64,
    released: u64,
    crashed: u64,
    expired: u64,
    overrun: u64,
    /// The fullest a cap was, in percent, of what was charged within bounds.
    fullest: u64,
}

async fn many(bench: &Bench, runs: u64) {
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(node(&bench.url, &bench.ids).await);
    }
    let happened = Mutex::new(Happened::default());
    for seed in 0..runs {
        // Every third run has a provider that charges more than the bound now and then, which nobody can prevent.
        let run = Run { bench, nodes: &nodes, happened: &happened, seed, honest: seed % 3 != 0 };
        run.make().await;
    }
    let happened = happened.into_inner().unwrap();
    println!("{runs} runs: {happened:?}");
    let Happened { granted, refused, settled, settled_late, released, crashed, expired, overrun, fullest } =
        happened;
    let all = [granted, refused, settled, settled_late, released, crashed, expired, overrun];
    assert!(all.iter().all(|n| *n > 0), "something never happened: {all:?}");
    assert!(fullest >= 90, "no cap was ever nearly reached");
}

/// Chance, from a seed: the generator of Vigna's `SplitMix64`.
struct Chance(u64);

impl Chance {
    /// A number under `end`.
    fn under(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.under(choices.len() as u64) as usize]
    }
}

/// What the provider charged for a call, whether or not anybody heard of it.
#[derive(Debug, Clone, Copy)]
struct Charged {
    day: NaiveDate,
    most: u64,
    tokens: u64,
    /// Nobody was told.
    unheard: bool,
}

struct Run<'a> {
    bench: &'a Bench,
    nodes: &'a [Node],
    happened: &'a Mutex<Happened>,
    seed: u64,
    honest: bool,
}

impl Run<'_> {
    fn note(&self, count: impl FnOnce(&mut Happened)) {
        count(&mut self.happened.lock().unwrap());
    }

    async fn make(&self) {
        let mut chance = Chance(self.seed);
        let zone = chance.of(&[Tz::UTC, Tz::Europe__Berlin, Tz::Pacific__Auckland, Tz::America__Havana]);
        let tenant = self.bench.tenant(&format!("run-{}", self.seed), zone).await;
        let day_tokens = 1_000 + chance.under(9_000);
        let caps = Caps {
            day_tokens,
            month_tokens: chance.of(&[0, day_tokens * 3 / 2]),
            month_micros: chance.of(&[0, day_tokens * 3]),
            to_workflow: true,
            to_webhooks: false,
        };
        // Clocks that are right and wrong by hours, near the end of a day, a month and daylight saving.
        let about = chance.of(&["2026-10-31T23:30:00Z", "2026-10-25T00:30:00Z", "2026-11-20T12:00:00Z"]);
        for node in self.nodes {
            let off = TimeDelta::minutes(chance.under(240).cast_signed() - 120);
            node.clock.advance(super::at(about) + off - node.clock.now());
        }
        let charged = Mutex::new(HashMap::new());
        let workers = (0..WORKERS).map(|n| {
            let node = &self.nodes[n as usize % NODES];
            let chance = Chance((self.seed << 8) | (n + 1));
            self.work(&tenant, &caps, node, chance, &charged)
        });
        futures::future::join_all(workers).await;
        self.check(&tenant, &caps, &charged.into_inner().unwrap()).await;
    }

    async fn work(
        &self,
        tenant: &Tenant,
        caps: &Caps,
        node: &Node,
        mut chance: Chance,
        charged: &Mutex<HashMap<String, Charged>>,
    ) {
        let store = &node.store;
        let mut crashed: Vec<(String, u64)> = Vec::new();
        for _ in 0..STEPS {
            let most = 1 + chance.under(caps.day_tokens / 3);
            let request = ReserveRequest { lease: TimeDelta::minutes(20), ..call(most) };
            match store.reserve_call(tenant, caps, &request).await.unwrap() {
                Reserved::Refused(_) => self.note(|h| h.refused += 1),
                Reserved::Granted(granted) => {
                    self.note(|h| h.granted += 1);
                    let mut tokens = most - chance.under(most.div_ceil(2));
                    if !self.honest && chance.under(8) == 0 {
                        tokens = most + 1 + chance.under(most);
                    }
                    let lot = chance.under(100);
                    if lot < 15 {
                        // The provider answered with an error and charged nothing.
                        assert!(store.release_call(tenant.id, caps, &granted.id).await.unwrap());
                        self.note(|h| h.released += 1);
                    } else {
                        let known = Charged { day: granted.day, most, tokens, unheard: lot >= 70 };
                        charged.lock().unwrap().insert(granted.id.clone(), known);
                        if known.unheard {
                            self.note(|h| h.crashed += 1);
                            crashed.push((granted.id, tokens));
                        } else {
                            self.settle(tenant, caps, node, (&granted.id, tokens, most)).await;
                            self.note(|h| h.settled += 1);
                            if lot < 25 {
                                let again = store.settle_call(tenant.id, caps, &granted.id, &bill(1)).await;
                                assert_eq!(again.unwrap(), Settled::Already);
                            }
                        }
                    }
                }
            }
            match chance.under(6) {
                0 => node.clock.advance(TimeDelta::minutes(chance.under(90).cast_signed() - 40)),
                1 => {
                    let lost = store.expire_calls(tenant.id, caps).await.unwrap();
                    self.note(|h| h.expired += lost);
                }
                2 if !crashed.is_empty() => {
                    // It comes back and had kept the answer.
                    let (id, tokens) = crashed.swap_remove(chance.under(crashed.len() as u64) as usize);
                    let most = charged.lock().unwrap().get_mut(&id).map(|known| {
                        known.unheard = false;
                        known.most
                    });
                    self.settle(tenant, caps, node, (&id, tokens, most.unwrap())).await;
                    self.note(|h| h.settled_late += 1);
                }
                _ => {}
            }
            if self.honest {
                self.fits(caps, &store.budget(tenant).await.unwrap());
            }
        }
    }

    async fn settle(&self, tenant: &Tenant, caps: &Caps, node: &Node, (id, tokens, most): (&str, u64, u64)) {
        let over = tokens.saturating_sub(most);
        let settled = node.store.settle_call(tenant.id, caps, id, &bill(tokens)).await.unwrap();
        assert_eq!(settled, Settled::Counted { overrun: Amount { tokens: over, micros: 2 * over } });
        self.note(|h| h.overrun += u64::from(over > 0));
    }

    /// What is held, lost and spent fits under every cap, at any moment.
    fn fits(&self, caps: &Caps, budget: &Budget) {
        let all = |counter: &Counter| counter.used().plus(counter.held);
        let fits = |amount: u64, cap: u64| cap == 0 || amount <= cap;
        assert!(fits(all(&budget.day).tokens, caps.day_tokens), "run {}: {budget:?}", self.seed);
        assert!(fits(all(&budget.month).tokens, caps.month_tokens), "run {}: {budget:?}", self.seed);
        assert!(fits(all(&budget.month).micros, caps.month_micros), "run {}: {budget:?}", self.seed);
    }

    /// What was charged fits, and counters, report and ledger say what was charged.
    async fn check(&self, tenant: &Tenant, caps: &Caps, charged: &HashMap<String, Charged>) {
        let run = self.seed;
        let store = self.bench.store();
        let (mut days, mut months) = (BTreeMap::<NaiveDate, u64>::new(), BTreeMap::<NaiveDate, u64>::new());
        for call in charged.values() {
            *days.entry(call.day).or_default() += call.tokens.min(call.most);
            *months.entry(month_of(call.day)).or_default() += call.tokens.min(call.most);
        }
        for tokens in days.values() {
            assert!(*tokens <= caps.day_tokens, "run {run}: {tokens} of {caps:?}");
            self.note(|h| h.fullest = h.fullest.max(tokens * 100 / caps.day_tokens));
        }
        for tokens in months.values() {
            assert!(
                caps.month_tokens == 0 || *tokens <= caps.month_tokens,
                "run {run}: {tokens} of {caps:?}"
            );
            assert!(
                caps.month_micros == 0 || 2 * tokens <= caps.month_micros,
                "run {run}: {tokens} of {caps:?}"
            );
        }

        // What nobody ever hears of is lost in the end.
        self.bench.set("2027-06-01T00:00:00Z");
        let lost = store.expire_calls(tenant.id, caps).await.unwrap();
        self.note(|h| h.expired += lost);
        let of = |month: bool| {
            let mut sums: BTreeMap<NaiveDate, [u64; 3]> = BTreeMap::new();
            for call in charged.values() {
                let key = if month { month_of(call.day) } else { call.day };
                let [_, assumed, spent] = sums.entry(key).or_default();
                if call.unheard { *assumed += call.most } else { *spent += call.tokens }
            }
            sums
        };
        let noon = |day: NaiveDate| {
            day.and_hms_opt(12, 0, 0).unwrap().and_local_timezone(tenant.zone).unwrap().to_utc()
        };
        for (day, sums) in of(false) {
            let counter = store.budget_at(tenant, noon(day)).await.unwrap().day;
            assert_eq!((counter.begins, super::tokens(&counter)), (day, sums), "run {run}");
            assert_eq!(super::micros(&counter), sums.map(|tokens| 2 * tokens), "run {run}");
        }
        for (month, sums) in of(true) {
            let counter = store.budget_at(tenant, noon(month)).await.unwrap().month;
            assert_eq!((counter.begins, super::tokens(&counter)), (month, sums), "run {run}");
        }
        let heard: Vec<&Charged> = charged.values().filter(|call| !call.unheard).collect();
        let unheard: Vec<&Charged> = charged.values().filter(|call| call.unheard).collect();
        let sum =
            |calls: &[&Charged], of: fn(&Charged) -> u64| calls.iter().map(|call| of(call)).sum::<u64>();
        let (from, to) = (super::date("2026-01-01"), super::date("2026-12-31"));
        let total = store.ai_usage(tenant, from, to, Group::Month).await.unwrap().total;
        assert_eq!(total.calls, heard.len() as u64, "run {run}");
        assert_eq!(total.usage.total(), sum(&heard, |call| call.tokens), "run {run}");
        assert_eq!(total.cost_micros, 2 * total.usage.total(), "run {run}");
        assert_eq!(
            total.overrun_tokens,
            sum(&heard, |call| call.tokens.saturating_sub(call.most)),
            "run {run}"
        );
        assert_eq!(total.lost_calls, unheard.len() as u64, "run {run}");
        assert_eq!(total.lost_tokens, sum(&unheard, |call| call.most), "run {run}");
        let ledger = store.calls(tenant.id, None, 1_000).await.unwrap();
        let settled = ledger
            .iter()
            .filter(|call| call.state == "settled")
            .map(|call| call.input_tokens + call.output_tokens);
        assert_eq!(settled.sum::<i64>().cast_unsigned(), total.usage.total(), "run {run}");
        assert!(ledger.iter().all(|call| call.state != "held"), "run {run}");
        // Each threshold of each day and month was told at most once.
        let mut told: Vec<String> = self
            .bench
            .events(tenant)
            .await
            .iter()
            .map(|(subject, p)| format!("{subject} {} {}", p["measure"], p["percent"]))
            .collect();
        let all = told.len();
        told.sort();
        told.dedup();
        assert_eq!(told.len(), all, "run {run}");
    }
}
