//! Pages as browsers get them, of tenants busy, new and hostile.

#[path = "overview/markup.rs"]
mod markup;
#[path = "overview/sample.rs"]
mod sample;

use std::collections::HashSet;

use undertone_core::SkipReason;
use undertone_core::overview::{Count, Overview, Seen};
use undertone_core::verdict::{Evidence, Span};
use undertone_core::visibility::{Figures, Reason};
use undertone_ui::{Inbox, InboxAlert, Login, OverviewPage, Problem, assets};

const CURL: &str = "curl http://localhost:8080/api/v1/interactions -d '{\"text\": \"Hello\"}'";

fn with<T>(overview: &Overview, show: impl Fn(&OverviewPage<'_>) -> T) -> T {
    show(&OverviewPage {
        user_email: "ana@undertone.example",
        csrf: "token",
        overview,
        period_days: 30,
        moment: "1.-60.1.0",
        categories: &[("own_category".into(), "Our own".into())],
        welcome: CURL,
    })
}

fn page(overview: &Overview) -> String {
    with(overview, undertone_ui::overview)
}

/// `busy`, in the hands of people who try to break the page.
fn hostile() -> Overview {
    const EVIL: &str = "\u{202e}<script>alert(1)</script>\" onclick=\"x' </bdi></mark></template>& ";
    let mut overview = sample::busy(30);
    let long = format!("{EVIL}{}", "😀".repeat(2_000_000));
    overview.tenant = EVIL.into();
    for customer in &mut overview.customers_at_risk {
        customer.name = Some(long.clone());
        customer.account = Some(EVIL.into());
        customer.last_said = Some(long.clone());
    }
    let phrase = |start, end, weight| Evidence::found(Span { start, end }, String::new(), weight);
    for verdict in &mut overview.latest {
        verdict.customer = Some(long.clone());
        verdict.text = Some(long.clone());
        verdict.category = EVIL.into();
        verdict.dominant_emotion.clone_from(&long);
        verdict.summary.clone_from(&long);
        verdict.evidence = vec![
            phrase(0, 1, 5.0),
            phrase(9, 3, 5.0),
            phrase(3, 30, -9.0),
            phrase(5, 12, 9.0),
            phrase(12, 40, f32::NAN),
            phrase(usize::MAX - 1, usize::MAX, 1.0),
            phrase(0, long.len(), 0.1),
        ];
    }
    overview
}

fn every_page() -> Vec<(&'static str, String)> {
    let mut off = sample::busy(90);
    off.active = false;
    let login = Login {
        next: "/?a=1&b=\"2\"",
        email: "<b>",
        error: Some("No."),
        csrf: "t",
        hint: Some("h"),
        sign_on: None,
        tenant: "",
    };
    let problem = Problem { status: 404, title: "Gone", detail: "<i>", request_id: "r", user: None };
    vec![
        ("busy", page(&sample::busy(30))),
        ("switched off", page(&off)),
        ("empty", page(&sample::empty(7))),
        ("hostile", page(&hostile())),
        ("login", undertone_ui::login(&login)),
        ("problem", undertone_ui::problem(&problem)),
    ]
}

#[test]
fn pages_keep_to_the_content_security_policy() {
    for (name, html) in every_page() {
        let markup = markup::read(&html);
        assert_eq!(markup.named("style").count(), 0, "{name}");
        assert!(markup.all("style").is_empty(), "{name}");
        let scripts: Vec<_> = markup.named("script").collect();
        assert_eq!(scripts.len(), 1, "{name}");
        assert!(
            scripts[0].attribute("src").is_some() && html.contains("defer></script>"),
            "{name}: inline script"
        );
        for element in &markup.elements {
            for (attribute, value) in &element.attributes {
                assert!(!attribute.starts_with("on"), "{name}: {attribute} on {}", element.name);
                if ["href", "src", "action", "data-src"].contains(&attribute.as_str()) {
                    let is_own = value.starts_with('#') || value.starts_with('/') && !value.starts_with("//");
                    assert!(is_own, "{name}: {value} is elsewhere");
                }
            }
        }
    }
    for address in markup::read(&page(&sample::empty(7))).all("href") {
        let asset = address.starts_with("/assets/").then(|| assets::find(address));
        assert!(asset.is_none_or(|found| found.is_some_and(|a| !a.text.contains("//fonts"))), "{address}");
    }
}

#[test]
fn assets_are_named_by_their_content_and_ask_nobody_else() {
    let html = page(&sample::empty(7));
    let markup = markup::read(&html);
    let names: Vec<_> = markup
        .all("href")
        .into_iter()
        .chain(markup.all("src"))
        .filter(|a| a.starts_with("/assets/"))
        .collect();
    assert_eq!(names.len(), 3);
    for name in names {
        let asset = assets::find(name).unwrap();
        assert!(name.split('.').nth(1).is_some_and(|hash| hash.len() == 16), "{name}");
        let text = asset.text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("@import"), "{name}");
    }
    assert!(assets::find("/assets/undertone.0000000000000000.css").is_none());
}

#[test]
fn pages_are_well_formed_and_can_be_walked() {
    for (name, html) in every_page() {
        let markup = markup::read(&html);
        assert_eq!(markup.named("h1").count(), 1, "{name}");
        assert_eq!(markup.named("main").count(), 1, "{name}");
        assert_eq!(markup.named("html").next().unwrap().attribute("lang"), Some("en"), "{name}");
        let ids = markup.all("id");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{name}: an id twice");
        for reference in ["aria-labelledby", "for"] {
            for id in markup.all(reference).iter().flat_map(|ids| ids.split(' ')) {
                assert!(ids.contains(&id), "{name}: {reference} names {id}");
            }
        }
        assert!(html.contains("<a class=\"skip\" href=\"#main\">") && ids.contains(&"main"), "{name}");
    }
    assert!(page(&sample::busy(30)).contains("aria-live=\"polite\""));
}

#[test]
fn hostile_text_stays_text() {
    let overview = hostile();
    let html = page(&overview);
    assert!(html.len() < 200_000, "{} bytes: something is not cut", html.len());
    let markup = markup::read(&html);
    assert_eq!(html.matches("<script").count(), 1);
    let turned: Vec<_> = markup.texts.iter().filter(|(_, text)| text.contains('\u{202e}')).collect();
    assert!(turned.len() > 10);
    for (around, text) in turned {
        // The title of the browser's tab knows no elements; emotion and category stand in tags of one direction.
        let is_kept = around.iter().any(|e| e == "bdi");
        assert!(is_kept, "right-to-left reaches its surroundings: {around:?} {text:.60}");
    }
    for fragment in with(&overview, undertone_ui::overview_fragments) {
        markup::read(&fragment.template());
        assert_eq!(fragment.template().matches("</template>").count(), 1, "{}", fragment.id);
    }
}

#[test]
fn nameless_customers_are_told_apart() {
    let mut overview = sample::busy(30);
    overview.customers_at_risk[0].name = Some("  ".into());
    overview.latest[0].customer = Some(String::new());
    let html = page(&overview);
    assert!(html.contains("<b><bdi>crm-9</bdi></b>") && html.contains("<b><bdi>Unknown customer</bdi></b>"));
    assert!(!html.contains("<bdi></bdi></b>"));
}

#[test]
fn fragments_are_the_page_in_parts() {
    for overview in [sample::busy(30), sample::empty(30)] {
        let (html, fragments) =
            with(&overview, |v| (undertone_ui::overview(v), undertone_ui::overview_fragments(v)));
        assert_eq!(fragments.iter().map(|f| f.id).collect::<HashSet<_>>().len(), 7);
        for fragment in fragments {
            assert!(html.contains(fragment.html.trim()), "{} differs", fragment.id);
            let markup = markup::read(&fragment.template());
            assert_eq!(markup.elements[0].attribute("data-for"), Some(fragment.id));
            assert_eq!(markup.elements[1].attribute("id"), Some(fragment.id), "the script replaces by id");
        }
    }
}

#[test]
fn the_page_says_what_is_there() {
    let overview = sample::busy(30);
    let html = page(&overview);
    let text = markup::read(&html).text();
    for told in [
        "Harbour &#38; Pike",
        "48,161",
        "1,000+",
        "waiting for a verdict",
        "could not be scored",
        "36,400 of 50,000",
        "−71.0",
        "Late delivery",
        "Our own",
        "in-app",
        "Urgent",
        "Needs review",
        "Corrected by a person",
        "The text is no longer kept.",
        "Claude",
        "20 Nov",
    ] {
        assert!(text.contains(told), "{told} is not told");
    }
    assert!(html.contains("<mark class=\"n s\">stops halfway</mark>"));
    assert!(html.contains("<mark class=\"n\">before three</mark>"));
    assert!(!text.contains(" -7"), "a hyphen is no minus");
    assert!(text.contains("16 Oct 2025"), "the year of what is old");
}

#[test]
fn an_empty_tenant_is_told_what_to_do() {
    let text = markup::read(&page(&sample::empty(30))).text();
    for told in ["Hand in a first interaction:", "Nobody is at risk", "No verdict yet", "without tokens", "–"]
    {
        assert!(text.contains(told), "{told}");
    }
    assert!(text.contains("curl http://localhost:8080"));
    assert!(!text.contains("NaN") && !text.contains("inf"));
    assert!(!markup::read(&page(&sample::busy(30))).text().contains("curl"));
}

#[test]
fn what_is_not_shown_is_not_said_to_be_absent() {
    let hidden = Reason::OnlyGroups;
    let seen =
        Seen { figures: Figures::Published, reason: Some(hidden), explanation: Some(hidden.explanation()) };
    let mut overview = Overview {
        visibility: seen,
        at_risk: None,
        customers_at_risk: vec![],
        latest: vec![],
        ..sample::busy(30)
    };
    overview.today.summary = None;
    let html = page(&overview);
    assert_eq!(html.matches("Not shown to you").count(), 2, "customers at risk, and verdicts");
    assert!(html.contains("You do not see everything: your organisation shows figures of teams and queues"));
    for false_claim in ["Nobody is at risk", "No verdict yet", "scored today", "all time"] {
        assert!(!html.contains(false_claim), "{false_claim}");
    }
    let all = page(&sample::busy(30));
    assert!(!all.contains("You do not see everything") && all.contains("scored today"));
}

#[test]
fn what_was_read_instead_of_the_llm_says_so() {
    let mut overview = sample::busy(30);
    assert!(!page(&overview).contains("instead of the LLM"));
    for (reason, told) in [
        (SkipReason::LlmUnavailable, "Read instead of the LLM, which could not be asked."),
        (SkipReason::DailyTokenCap, "whose tokens of the day were used up."),
        (SkipReason::MonthlyBudget, "whose budget of the month was used up."),
        (SkipReason::NoKey, "for which there was no key."),
        (SkipReason::Refused, "which declined to."),
    ] {
        overview.latest[0].read_instead = Some(reason);
        let html = page(&overview);
        assert!(html.contains(told) && html.contains("Embedded model"), "{reason:?}: {html}");
    }
}

#[test]
fn scores_read_alike_on_every_page() {
    let at = sample::now();
    let alert = |score| InboxAlert {
        id: "1".to_owned(),
        version: 1,
        customer: "Ana".to_owned(),
        category: "delivery".to_owned(),
        score: Some(score),
        state: "open",
        responsible: None,
        is_mine: false,
        raised_at: at,
        due_at: at,
        is_late: false,
        has_ended: false,
    };
    let html = undertone_ui::inbox(&Inbox {
        tenant: "Acme",
        user: ("ana@example.com", "token"),
        error: None,
        alerts: &[alert(-51), alert(12)],
        may_act: true,
        notes: &[],
        unread: 0,
        older: None,
    });
    assert!(html.contains("delivery · −51<") && html.contains("delivery · +12<"), "{html}");
}

#[test]
fn the_budget_says_how_full_it_is() {
    for (used, cap, told, class) in [
        (0, 0, "The embedded model reads without tokens.", "fine"),
        (900, 0, "900 tokens, no limit set", "fine"),
        (649, 1000, "649 of 1,000 used", "fine"),
        (651, 1000, "651 of 1,000 used: more than 65 %", "high"),
        (849, 1000, "849 of 1,000 used: more than 65 %", "high"),
        (851, 1000, "851 of 1,000 used: more than 85 %", "critical"),
        (9000, 1000, "9,000 of 1,000 used: more than 85 %", "critical"),
    ] {
        let mut overview = sample::busy(7);
        (overview.today.tokens_used, overview.today.token_cap) = (used, cap);
        let html = page(&overview);
        assert!(html.contains(&format!(">{told}<")), "{used} of {cap}");
        assert!(html.contains(&format!("class=\"budget {class}\"")), "{used} of {cap}");
    }
}

#[test]
fn more_negatives_are_bad_news() {
    let mut overview = sample::busy(30);
    let share = |of: &mut Overview, now: i64, before: i64| {
        (of.period.totals.scored, of.period.totals.negative) = (100, now);
        (of.period_before.totals.scored, of.period_before.totals.negative) = (100, before);
    };
    share(&mut overview, 40, 30);
    assert!(page(&overview).contains("<b class=\"bad\">▲ 10.0</b>"));
    share(&mut overview, 30, 40);
    assert!(page(&overview).contains("<b class=\"good\">▼ 10.0</b>"));
    overview.period_before = overview.period_before.totals.minus(overview.period_before.totals).into();
    assert!(!page(&overview).contains("10.0</b>"), "nothing to compare with");
}

#[test]
fn every_dot_of_a_chart_has_its_rule() {
    let html = page(&sample::busy(90));
    let markup = markup::read(&html);
    let style = markup.all("href").into_iter().find(|a| a.contains(".css")).and_then(assets::find).unwrap();
    let dots: Vec<_> =
        markup.named("i").filter_map(|i| i.attribute("class")).filter(|c| c.starts_with('y')).collect();
    assert_eq!(dots.len(), 84, "90 days, 6 of them without data");
    for dot in dots {
        assert!(style.text.contains(&format!(".{dot}{{top:")), "{dot}");
    }
    for class in markup.named("mark").filter_map(|m| m.attribute("class")).flat_map(|c| c.split(' ')) {
        assert!(
            style.text.contains(&format!("mark.{class}")) || style.text.contains(&format!(".{class}{{")),
            "{class}"
        );
    }
}

#[test]
fn counts_beyond_counting_have_a_plus() {
    let mut overview = sample::busy(7);
    overview.waiting.pending = Count { count: 1000, more: true };
    assert!(page(&overview).contains("<b class=\"num\">1,000+</b> waiting"));
}

/// A word in a template would stay English for every reader.
#[test]
fn templates_hold_no_words() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let (mut folders, mut seen) = (vec![folder], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            seen += 1;
            let template =
                without(&without(&std::fs::read_to_string(&path).unwrap(), "{{", "}}"), "{%", "%}");
            for attribute in ["aria-label", "title", "alt", "placeholder"] {
                let opening = format!(" {attribute}=\"");
                let said = template.split(&opening).skip(1);
                for value in said.filter_map(|rest| rest.split('"').next()) {
                    assert!(!value.contains(char::is_alphabetic), "{}: {attribute} {value}", path.display());
                }
            }
            // Keys are called by their letters everywhere.
            let text = without(&without(&template, "<kbd>", "</kbd>"), "<", ">");
            assert!(!text.contains(char::is_alphabetic), "{}: {}", path.display(), text.trim());
        }
    }
    assert!(seen >= 13);
}

fn without(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + part.split_once(to).map_or("", |(_, rest)| rest))
}
