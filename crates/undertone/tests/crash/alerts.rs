//! From a text to somebody's inbox: killed wherever it is, it raises one alert of each customer, and tells each person once.

use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::json;
use undertone_testkit::process::{call, run, until};

use super::{Random, Site, agent, from_environment, on_postgresql, on_sqlite, program};

const CUSTOMERS: usize = 30;
/// What each of them writes within the cooldown.
const EACH: usize = 5;
const KILLS: u64 = 6;

/// The address of the database that these flags name.
fn url(database: &[&str]) -> String {
    match database {
        ["--data-dir", folder] => format!("sqlite://{}", Path::new(folder).join("undertone.db").display()),
        [_, url] => (*url).to_owned(),
        _ => panic!("{database:?}"),
    }
}

/// Words and a number of each row.
fn counted(url: &str, query: &str) -> Vec<(String, i64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::connect(url).await.unwrap();
        let query = Statement::from_string(database.get_database_backend(), query);
        let rows = database.query_all_raw(query).await.unwrap();
        rows.iter().map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())).collect()
    })
}

fn everybody_is_told_once(database: &[&str]) {
    let seed = from_environment("UNDERTONE_SOAK_SEED", 20_261_129);
    println!("UNDERTONE_SOAK_SEED={seed}");
    let mut random = Random((seed as u64).max(1));
    let site = Site::open(database, 1, &[]);
    let with = |command: &[&str]| run(program(), &[command, database].concat());
    for (email, role) in [("ana@example.com", "tenant_admin"), ("ben@example.com", "supervisor")] {
        let _ = with(&["tenant", "user", "acme", email, "--role", role]);
    }
    let admin = with(&["key", "create", "acme", "--scope", "admin"]);
    let settings = json!({"alert_threshold": -20, "incident_customers": 0});
    let set = call(&site.address(0), admin.trim(), ("PUT", "/api/v1/settings"), &settings);
    assert_eq!(set.0, 200, "{}", set.1);

    std::thread::scope(|scope| {
        let site = &site;
        scope.spawn(move || {
            let http = agent();
            for n in 0..CUSTOMERS * EACH {
                let text = format!(
                    "This is a disgrace. Week {n} without an answer, I am furious and want my money back."
                );
                let item = json!({
                    "external_id": format!("n{n}"), "text": text, "customer": format!("c{}", n % CUSTOMERS), "channel": "email",
                });
                site.hand_in(&http, &[item]);
            }
        });
        for _ in 0..KILLS {
            std::thread::sleep(Duration::from_millis(random.below(500)));
            site.crash(0);
        }
    });
    let all = site.settle();
    assert_eq!(all.len(), CUSTOMERS * EACH);
    assert!(all.values().all(|state| state == "scored"), "{all:?}");

    let url = url(database);
    let untold = "SELECT 'untold', COUNT(*) FROM outbox o WHERE position IS NULL OR position > \
                  (SELECT COALESCE(MAX(position), 0) FROM notice_cursor)";
    until("people are told of everything", Duration::from_mins(1), || counted(&url, untold)[0].1 == 0);
    let once = |what: &str, query: &str, count: usize| {
        let found = counted(&url, query);
        let often: Vec<_> = found.iter().filter(|(_, times)| *times != 1).collect();
        assert!(
            often.is_empty() && found.len() == count,
            "{what}: {} of {count}; not once: {often:?}",
            found.len()
        );
    };
    once("a customer's alert", "SELECT customer_id, COUNT(*) FROM alert GROUP BY customer_id", CUSTOMERS);
    once(
        "the event of an alert",
        "SELECT subject_id, COUNT(*) FROM outbox WHERE event = 'alert.raised' GROUP BY subject_id",
        CUSTOMERS,
    );
    once(
        "the event of a verdict",
        "SELECT subject_id, COUNT(*) FROM outbox WHERE event = 'sentiment.scored' GROUP BY subject_id",
        CUSTOMERS * EACH,
    );
    once(
        "what a person is told of an alert",
        "SELECT i.user_id || ' ' || n.subject_id, COUNT(*) FROM inbox_item i JOIN notice n ON n.tenant_id = i.tenant_id \
         AND n.position = i.position WHERE n.event = 'alert.raised' GROUP BY i.user_id, n.subject_id",
        2 * CUSTOMERS,
    );
    site.verify();
}

#[test]
fn everybody_is_told_once_on_sqlite() {
    on_sqlite(everybody_is_told_once);
}

#[test]
fn everybody_is_told_once_on_postgresql() {
    on_postgresql(everybody_is_told_once);
}
