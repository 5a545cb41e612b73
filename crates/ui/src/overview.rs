//! The first page: what of the data is shown, in which words.

use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use undertone_core::overview::{CustomerAtRisk, Latest, Overview, Summary, Totals};
use undertone_core::verdict::ScorerKind;
use undertone_core::visibility::Figures;
use undertone_core::{Channel, Label, Urgency};

use crate::chart::{self, Axis};
use crate::highlight::{self, Stretch};
use crate::trend::{Trend, trend};
use crate::words::{EN, Words};
use crate::{Frame, rendered, text};

/// Characters of a name.
const NAME: usize = 120;
/// Characters of a summary, or of what was last said.
const SENTENCES: usize = 600;

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct OverviewPage<'a> {
    /// Who is logged in.
    pub user_email: &'a str,
    /// What their forms bring along.
    pub csrf: &'a str,
    /// The data.
    pub overview: &'a Overview,
    /// Days shown: 7, 30 or 90.
    pub period_days: u32,
    /// A word for the moment of the data; the page's connection starts from there.
    pub moment: &'a str,
    /// Names of the tenant's own categories, by id.
    pub categories: &'a [(String, String)],
    /// The line that hands in a first interaction.
    pub welcome: &'a str,
}

/// A part of the page that can be replaced on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The element's id.
    pub id: &'static str,
    /// Its HTML.
    pub html: String,
}

impl Fragment {
    /// As it is sent to an open page.
    #[must_use]
    pub fn template(&self) -> String {
        format!("<template data-for=\"{}\">{}</template>", self.id, self.html.trim())
    }
}

struct Stat {
    name: &'static str,
    value: String,
    spark: String,
    change: String,
    mood: &'static str,
    more: String,
    /// Empty where it is not to be seen.
    today: String,
    /// How the share of the period changed.
    moved: String,
}

struct WaitingView {
    count: String,
    since: String,
    since_shown: String,
}

struct Part {
    class: &'static str,
    mark: &'static str,
    name: &'static str,
    count: String,
    percent: String,
    length: f64,
    rest: f64,
    offset: f64,
}

struct Mix {
    total: String,
    unit: &'static str,
    spoken: String,
    parts: Vec<Part>,
}

/// What was scored today, where that is to be seen.
struct ScoredToday {
    scored: String,
    average: String,
    parts: Vec<Part>,
}

struct TodayView {
    day: String,
    scored: Option<ScoredToday>,
    level: &'static str,
    used: String,
    told: String,
}

struct Risk {
    name: String,
    account: String,
    average: String,
    bar_x: String,
    bar_width: String,
    verdicts: String,
    last: String,
    said: String,
}

struct LatestView {
    customer: String,
    class: &'static str,
    mark: &'static str,
    score: String,
    label: &'static str,
    category: String,
    emotion: String,
    channel: &'static str,
    urgent: bool,
    review: bool,
    corrected: bool,
    at: String,
    at_shown: String,
    text: Vec<Stretch>,
    summary: String,
    scorer: &'static str,
    confidence: String,
    /// Why the embedded model read it and not the LLM; empty where nothing stood in the way.
    instead: &'static str,
}

struct View<'a> {
    days: u32,
    moment: &'a str,
    active: bool,
    is_new: bool,
    /// Why not everything is shown.
    hidden: Option<&'static str>,
    /// Since when everything is counted.
    since: &'static str,
    waiting: Option<WaitingView>,
    failed: Option<String>,
    stats: [Stat; 4],
    trend: Trend,
    mix: Mix,
    today: TodayView,
    risk_count: String,
    risk: Vec<Risk>,
    latest: Vec<LatestView>,
    welcome: &'a str,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page<'a> {
    f: Frame<'a>,
    w: &'static Words,
    v: View<'a>,
}

macro_rules! fragments {
    ($($name:ident $id:literal $path:literal;)*) => {
        $(#[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> { w: &'static Words, v: &'a View<'a> })*

        fn fragments(w: &'static Words, v: &View<'_>) -> Vec<Fragment> {
            vec![$(Fragment { id: $id, html: rendered(&$name { w, v }) }),*]
        }
    };
}

fragments! {
    NoticeFragment "notice" "overview/notice.html";
    StatsFragment "stats" "overview/stats.html";
    TrendFragment "trend" "overview/trend.html";
    MixFragment "mix" "overview/mix.html";
    RiskFragment "risk" "overview/risk.html";
    TodayFragment "today" "overview/today.html";
    LatestFragment "latest" "overview/latest.html";
}

/// Renders the page.
#[must_use]
pub fn overview(page: &OverviewPage<'_>) -> String {
    let user = (!page.user_email.is_empty()).then_some((page.user_email, page.csrf));
    let frame = Frame::new(EN.overview, &page.overview.tenant, user);
    rendered(&Page { f: frame, w: &EN, v: view(page, &EN) })
}

/// Renders the parts that change.
#[must_use]
pub fn overview_fragments(page: &OverviewPage<'_>) -> Vec<Fragment> {
    fragments(&EN, &view(page, &EN))
}

/// What a screen reader says when they changed.
#[must_use]
pub fn said(page: &OverviewPage<'_>) -> String {
    let average = page.overview.period.average.map_or_else(|| EN.none_yet.to_owned(), text::fine_score);
    format!("{} {average}", EN.new_verdicts)
}

fn view<'a>(page: &OverviewPage<'a>, w: &'static Words) -> View<'a> {
    let o = page.overview;
    let zone: Tz = o.zone.parse().unwrap_or(Tz::UTC);
    let count = |c: &undertone_core::overview::Count| {
        format!("{}{}", text::count(c.count), if c.more { "+" } else { "" })
    };
    View {
        days: page.period_days,
        moment: page.moment,
        active: o.active,
        is_new: o.all_time.totals.scored == 0,
        hidden: o.visibility.reason.map(w.why_hidden),
        since: since(o, w),
        waiting: o.waiting.oldest.filter(|_| o.waiting.pending.count > 0).map(|since| WaitingView {
            count: count(&o.waiting.pending),
            since: since.to_rfc3339(),
            since_shown: text::moment(since, o.at, zone, w),
        }),
        failed: (o.waiting.failed.count > 0).then(|| count(&o.waiting.failed)),
        stats: stats(o, w),
        trend: trend(&o.days, w),
        mix: mix(&o.all_time.totals, w),
        today: today(o, w),
        risk_count: o.at_risk.as_ref().map(count).unwrap_or_default(),
        risk: o.customers_at_risk.iter().map(risk).collect(),
        latest: o.latest.iter().map(|l| latest(l, (o.at, zone), page.categories, w)).collect(),
        welcome: page.welcome,
    }
}

fn since(o: &Overview, w: &'static Words) -> &'static str {
    match o.visibility.figures {
        Figures::Live => w.all_time,
        Figures::Published => w.two_years,
    }
}

/// The arrow says where it went, the word whether that is welcome.
fn direction(moved: f64, welcome: f64) -> (&'static str, &'static str) {
    if moved.abs() < 0.05 {
        return ("", "");
    }
    (if moved > 0.0 { "▲ " } else { "▼ " }, if moved * welcome > 0.0 { "good" } else { "bad" })
}

/// By how many points a label's share changed from the period before; nothing where one of the periods has nothing.
fn share_moved(
    of: &dyn Fn(&Totals) -> i64,
    welcome: f64,
    now: &Totals,
    before: &Totals,
) -> (String, &'static str) {
    if welcome == 0.0 || now.scored == 0 || before.scored == 0 {
        return (String::new(), "");
    }
    let share = |totals: &Totals| of(totals) as f64 * 100.0 / totals.scored as f64;
    let moved = share(now) - share(before);
    let (arrow, mood) = direction(moved, welcome);
    (format!("{arrow}{:.1}", moved.abs()), mood)
}

/// The average, or what stands for none.
fn average(summary: &Summary, none: &str) -> String {
    summary.average.map_or_else(|| none.to_owned(), text::fine_score)
}

fn stats(o: &Overview, w: &'static Words) -> [Stat; 4] {
    let (all, today) = (&o.all_time.totals, o.today.summary.as_ref());
    let averages: Vec<Option<f64>> = o.days.iter().map(|day| day.summary.average).collect();
    let spark = chart::line(&Axis::holding(averages.iter().copied().flatten()), &averages);
    let (change, mood, more) = match (o.period.totals.average(), o.period_before.totals.average()) {
        (Some(now), Some(before)) => {
            let moved = now - before;
            let (arrow, mood) = direction(moved, 1.0);
            (format!("{arrow}{:.1}", moved.abs()), mood, w.than_before.to_owned())
        }
        (Some(_), None) => (String::new(), "", w.none_before.to_owned()),
        (None, _) => (String::new(), "", w.none_yet.to_owned()),
    };
    // Whether more of a label is welcome: 1, -1, or 0 where its share is not followed.
    let plain = |name, welcome: f64, of: &dyn Fn(&Totals) -> i64, more: String| {
        let (moved, mood) = share_moved(of, welcome, &o.period.totals, &o.period_before.totals);
        Stat {
            name,
            value: text::count(of(all)),
            spark: String::new(),
            change: String::new(),
            mood,
            more,
            today: today.map(|today| text::count(of(&today.totals))).unwrap_or_default(),
            moved,
        }
    };
    let share = |part| format!("{} {}", text::percent(part, all.scored), w.of_all);
    [
        plain(w.total_scored, 0.0, &|t| t.scored, since(o, w).to_owned()),
        Stat {
            name: w.average,
            value: o.period.average.map_or_else(|| "–".to_owned(), text::fine_score),
            spark,
            change,
            mood,
            more,
            today: today.map(|today| average(today, "–")).unwrap_or_default(),
            moved: String::new(),
        },
        plain(w.positive_count, 1.0, &|t| t.positive, share(all.positive)),
        plain(w.negative_count, -1.0, &|t| t.negative, share(all.negative)),
    ]
}

/// Colour class and mark of a label.
fn sign(label: Label) -> (&'static str, &'static str) {
    match label {
        Label::Positive => ("pos", "+"),
        Label::Neutral => ("neu", "0"),
        Label::Negative => ("neg", "−"),
        Label::Mixed => ("mix", "±"),
    }
}

fn label_name(label: Label, w: &'static Words) -> &'static str {
    match label {
        Label::Positive => w.positive,
        Label::Neutral => w.neutral,
        Label::Negative => w.negative,
        Label::Mixed => w.mixed,
    }
}

fn channel_name(channel: Channel, w: &'static Words) -> &'static str {
    Channel::ALL.iter().position(|c| *c == channel).map_or(channel.as_str(), |i| w.channels[i])
}

fn parts(totals: &Totals, w: &'static Words) -> Vec<Part> {
    let order = [Label::Positive, Label::Neutral, Label::Mixed, Label::Negative];
    let round = |value: f64| (value * 100.0).round() / 100.0;
    order
        .into_iter()
        .zip(chart::ring(totals))
        .map(|(label, arc)| {
            let (class, mark) = sign(label);
            Part {
                class,
                mark,
                name: label_name(label, w),
                count: text::count(totals.of(label)),
                percent: text::percent(totals.of(label), totals.scored),
                length: round(arc.length),
                rest: round(100.0 - arc.length),
                offset: round(arc.offset),
            }
        })
        .collect()
}

fn mix(totals: &Totals, w: &'static Words) -> Mix {
    let parts = parts(totals, w);
    Mix {
        total: text::count(totals.scored),
        unit: if totals.scored == 1 { w.interaction } else { w.interactions },
        spoken: parts.iter().map(|p| format!("{} {}", p.name, p.percent)).collect::<Vec<_>>().join(", "),
        parts,
    }
}

fn today(o: &Overview, w: &'static Words) -> TodayView {
    let (used, cap) = (o.today.tokens_used, o.today.token_cap);
    let share = if cap > 0 { used as f64 / cap as f64 * 100.0 } else { 0.0 };
    let level = match share {
        s if s >= 85.0 => "critical",
        s if s >= 65.0 => "high",
        _ => "fine",
    };
    let word = match level {
        "critical" => w.budget_critical,
        "high" => w.budget_high,
        _ => w.budget_fine,
    };
    let told = match (used, cap) {
        (0, _) => w.no_tokens.to_owned(),
        (_, 0) => format!("{} {}", text::count(used), w.tokens_unlimited),
        _ => format!("{} {} {} {word}", text::count(used), w.tokens_of, text::count(cap)),
    };
    TodayView {
        day: text::long_day(o.today.day, w),
        scored: o.today.summary.as_ref().map(|summary| ScoredToday {
            scored: text::count(summary.totals.scored),
            average: average(summary, "–"),
            parts: parts(&summary.totals, w),
        }),
        level,
        used: format!("{:.1}", share.clamp(0.0, 100.0)),
        told,
    }
}

fn risk(c: &CustomerAtRisk) -> Risk {
    let average = c.summary.totals.average().unwrap_or_default();
    // Half of the bar is 100 points.
    let width = (-average / 2.0).clamp(0.8, 50.0);
    Risk {
        name: text::brief(filled(c.name.as_deref()).unwrap_or(&c.external_id), NAME),
        account: text::brief(c.account.as_deref().unwrap_or_default(), NAME),
        average: text::fine_score(average),
        bar_x: format!("{:.1}", 50.0 - width),
        bar_width: format!("{width:.1}"),
        verdicts: text::count(c.summary.totals.scored),
        last: c.last_score.map_or_else(|| "–".to_owned(), |score| text::score(score as f64)),
        said: text::brief(c.last_said.as_deref().unwrap_or_default(), SENTENCES),
    }
}

/// A name that is one.
fn filled(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.trim().is_empty())
}

/// `late_delivery` as `Late delivery`.
fn as_name(id: &str) -> String {
    let words = id.replace('_', " ");
    let mut characters = words.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn latest(
    l: &Latest,
    (now, zone): (DateTime<Utc>, Tz),
    categories: &[(String, String)],
    w: &'static Words,
) -> LatestView {
    let (class, mark) = sign(l.label);
    let own = categories.iter().find(|(id, _)| *id == l.category).map(|(_, name)| name.clone());
    LatestView {
        customer: text::brief(filled(l.customer.as_deref()).unwrap_or(w.unknown_customer), NAME),
        class,
        mark,
        score: text::score(l.score as f64),
        label: label_name(l.label, w),
        category: text::brief(&own.unwrap_or_else(|| as_name(&l.category)), NAME),
        emotion: text::brief(&l.dominant_emotion, NAME),
        channel: channel_name(l.channel, w),
        urgent: l.urgency == Urgency::High,
        review: l.needs_review && !l.overridden,
        corrected: l.overridden,
        at: l.occurred_at.to_rfc3339(),
        at_shown: text::moment(l.occurred_at, now, zone, w),
        text: l.text.as_deref().map(|text| highlight::stretches(text, &l.evidence)).unwrap_or_default(),
        summary: text::brief(&l.summary, SENTENCES),
        scorer: match l.scorer {
            ScorerKind::Local => w.by_local,
            ScorerKind::Claude => w.by_claude,
            ScorerKind::Openai | ScorerKind::Cascade => w.by_llm,
        },
        confidence: format!("{} %", l.confidence),
        instead: l.read_instead.map_or("", w.why_instead),
    }
}
