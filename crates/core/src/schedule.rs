//! Business hours: when people work, and when something is due that has to be done within some working time.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// No answer is looked for further away than this, in days.
const FARTHEST: u64 = 400;
/// Stretches of a day at most.
const MOST_SPANS: usize = 6;
/// Holidays at most.
const MOST_HOLIDAYS: usize = 500;

/// A stretch of a day, in the zone's own time. `24:00` is the day's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(String, String)", into = "(String, String)")]
pub struct Span {
    /// Minutes from midnight.
    from: u16,
    /// Minutes from midnight, up to 1440.
    to: u16,
}

impl TryFrom<(String, String)> for Span {
    type Error = String;

    fn try_from((from, to): (String, String)) -> Result<Self, String> {
        let span = Self { from: minutes(&from)?, to: minutes(&to)? };
        if span.from < span.to { Ok(span) } else { Err(format!("{from} to {to} ends before it begins")) }
    }
}

impl From<Span> for (String, String) {
    fn from(span: Span) -> Self {
        (shown(span.from), shown(span.to))
    }
}

/// Minutes from midnight, up to 1440, of a time such as 09:00.
fn minutes(text: &str) -> Result<u16, String> {
    let wrong = || format!("“{text}” is no time of day; give one such as 09:00");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let (hours, minutes): (u16, u16) =
        (hours.parse().map_err(|_| wrong())?, minutes.parse().map_err(|_| wrong())?);
    let all = hours.checked_mul(60).and_then(|h| h.checked_add(minutes)).ok_or_else(wrong)?;
    if minutes < 60 && all <= 1440 { Ok(all) } else { Err(wrong()) }
}

fn shown(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A time of day, from 00:00 to 23:59.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let minutes = minutes(&text)?;
        if minutes < 1440 { Ok(Self(minutes)) } else { Err("a day's last minute is 23:59".to_owned()) }
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        shown(time.0)
    }
}

impl TimeOfDay {
    /// The first moment after `after` at which clocks of the zone show it, or jump over it.
    #[must_use]
    pub fn next(self, zone: Tz, after: DateTime<Utc>) -> DateTime<Utc> {
        let today = after.with_timezone(&zone).date_naive();
        let days = (0..3).filter_map(|days| today.checked_add_days(Days::new(days)));
        let mut moments = days.map(|day| moment(zone, day, self.0, true));
        moments.find(|at| *at > after).unwrap_or(after)
    }
}

/// When people work. Without a stretch on any day: always.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Where these times are; none: in the tenant's zone.
    #[serde(with = "zone_name", skip_serializing_if = "Option::is_none")]
    pub zone: Option<Tz>,
    /// Stretches of work, day by day.
    pub monday: Vec<Span>,
    /// As above.
    pub tuesday: Vec<Span>,
    /// As above.
    pub wednesday: Vec<Span>,
    /// As above.
    pub thursday: Vec<Span>,
    /// As above.
    pub friday: Vec<Span>,
    /// As above.
    pub saturday: Vec<Span>,
    /// As above.
    pub sunday: Vec<Span>,
    /// Days on which nobody works.
    pub holidays: BTreeSet<NaiveDate>,
}

/// A zone by its name.
pub(crate) mod zone_name {
    use chrono_tz::Tz;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands the field over like this"
    )]
    pub(crate) fn serialize<S: Serializer>(zone: &Option<Tz>, serializer: S) -> Result<S::Ok, S::Error> {
        zone.map(Tz::name).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Tz>, D::Error> {
        let name = Option::<String>::deserialize(deserializer)?;
        let known = |name: String| {
            name.parse().map_err(|_| {
                de::Error::custom(format!("“{name}” is no zone; give one such as Europe/Berlin"))
            })
        };
        name.map(known).transpose()
    }
}

impl Schedule {
    fn days(&self) -> [&Vec<Span>; 7] {
        [
            &self.monday,
            &self.tuesday,
            &self.wednesday,
            &self.thursday,
            &self.friday,
            &self.saturday,
            &self.sunday,
        ]
    }

    /// Somebody works at all hours.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.days().iter().all(|spans| spans.is_empty())
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self) -> Result<(), String> {
        for spans in self.days() {
            let mut sorted = spans.clone();
            sorted.sort_unstable();
            if spans.len() > MOST_SPANS || sorted.windows(2).any(|two| two[0].to > two[1].from) {
                return Err(format!("a day has at most {MOST_SPANS} stretches, which do not overlap"));
            }
        }
        if self.holidays.len() > MOST_HOLIDAYS {
            return Err(format!("there are at most {MOST_HOLIDAYS} holidays"));
        }
        Ok(())
    }

    /// The moment at which `working` minutes of working time have passed since `from`. Hours are those that pass: a night that is an hour
    /// longer is. Where nobody works for over a year, time passes as if always somebody did; where they work so seldom that it takes longer than
    /// that, it ends with the last stretch before.
    #[must_use]
    pub fn after(&self, tenants: Tz, from: DateTime<Utc>, working: u32) -> DateTime<Utc> {
        let mut left = Duration::minutes(working.into());
        if self.is_always() {
            return from + left;
        }
        let zone = self.zone.unwrap_or(tenants);
        let first = from.with_timezone(&zone).date_naive();
        // Up to here everything is counted.
        let mut counted = from;
        for day in (0..FARTHEST).filter_map(|days| first.checked_add_days(Days::new(days))) {
            for (begin, end) in self.stretches(zone, day) {
                let begin = begin.max(counted);
                let length = end - begin;
                if length <= Duration::zero() {
                    continue;
                }
                if left <= length {
                    return begin + left;
                }
                left -= length;
                counted = end;
            }
        }
        if counted > from { counted } else { from + left }
    }

    /// Somebody works at this moment.
    #[must_use]
    pub fn is_open(&self, tenants: Tz, at: DateTime<Utc>) -> bool {
        let zone = self.zone.unwrap_or(tenants);
        let today = at.with_timezone(&zone).date_naive();
        self.is_always() || self.stretches(zone, today).iter().any(|(begin, end)| *begin <= at && at < *end)
    }

    /// How long a week's stretches are, in minutes.
    #[must_use]
    pub fn weekly_minutes(&self) -> u32 {
        self.days().iter().copied().flatten().map(|span| u32::from(span.to - span.from)).sum()
    }

    /// The end of the stretches that `at` lies in, one after the other without a pause; `at` itself where it lies in none. No end is looked
    /// for further away than `farthest`.
    #[must_use]
    pub fn closes(&self, tenants: Tz, at: DateTime<Utc>, farthest: Duration) -> DateTime<Utc> {
        let zone = self.zone.unwrap_or(tenants);
        let first = at.with_timezone(&zone).date_naive();
        let mut end = at;
        for day in (0..).map_while(|days| first.checked_add_days(Days::new(days))) {
            for (begins, ends) in self.stretches(zone, day) {
                if begins > end {
                    return end;
                }
                end = end.max(ends);
            }
            if end - at > farthest || moment(zone, day, 1440, true) > end {
                return end;
            }
        }
        end
    }

    /// The stretches of a day as moments, the earliest first. Two that meet in an hour that clocks show twice both have it.
    fn stretches(&self, zone: Tz, day: NaiveDate) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
        use chrono::Datelike;
        if self.holidays.contains(&day) {
            return Vec::new();
        }
        let mut spans = self.days()[day.weekday().num_days_from_monday() as usize].clone();
        spans.sort_unstable();
        spans
            .iter()
            .map(|span| (moment(zone, day, span.from, true), moment(zone, day, span.to, false)))
            .collect()
    }
}

/// A time of a day as a moment. A time that the clocks skip is the moment they skip it at; of one they show twice, work begins at the first
/// and ends at the second.
fn moment(zone: Tz, day: NaiveDate, minutes: u16, begins: bool) -> DateTime<Utc> {
    let local: NaiveDateTime = day.and_time(NaiveTime::MIN) + Duration::minutes(minutes.into());
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => at.with_timezone(&Utc),
        LocalResult::Ambiguous(first, second) => if begins { first } else { second }.with_timezone(&Utc),
        LocalResult::None => {
            // An hour as a rule, a day where a zone left one out: the first moment at which clocks show as much or more.
            let before = (1..=25)
                .find_map(|hours| zone.from_local_datetime(&(local - Duration::hours(hours))).latest());
            let mut minutes = (0..=26 * 60).filter_map(|m| Some(before? + Duration::minutes(m)));
            let first = minutes.find(|at| at.naive_local() >= local);
            first.map_or_else(|| Utc.from_utc_datetime(&local), |at| at.with_timezone(&Utc))
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::{Europe::Berlin, UTC};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn office() -> Schedule {
        let hours = json!([["09:00", "12:00"], ["13:00", "17:00"]]);
        serde_json::from_value(json!({
            "monday": hours, "tuesday": hours, "wednesday": hours, "thursday": hours, "friday": hours,
            "holidays": ["2026-12-25"],
        }))
        .unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn work_waits_for_the_office() {
        for (from, minutes, due) in [
            // A Monday, in summer and winter.
            ("2026-07-06T08:00:00Z", 60, "2026-07-06T09:00:00Z"),
            ("2026-11-30T09:00:00Z", 60, "2026-11-30T10:00:00Z"),
            // Over lunch, over night, over the weekend.
            ("2026-11-30T10:30:00Z", 60, "2026-11-30T12:30:00Z"),
            ("2026-11-30T15:30:00Z", 60, "2026-12-01T08:30:00Z"),
            ("2026-12-04T15:30:00Z", 60, "2026-12-07T08:30:00Z"),
            // Asked on Sunday it begins on Monday; over a holiday it waits for the next day of work.
            ("2026-11-29T12:00:00Z", 1, "2026-11-30T08:01:00Z"),
            ("2026-12-24T15:59:00Z", 2, "2026-12-28T08:01:00Z"),
            ("2026-11-30T09:00:00Z", 0, "2026-11-30T09:00:00Z"),
        ] {
            assert_eq!(office().after(Berlin, at(from), minutes), at(due), "{minutes} minutes from {from}");
        }
        assert!(office().is_open(Berlin, at("2026-11-30T09:00:00Z")));
        assert!(!office().is_open(Berlin, at("2026-11-30T11:30:00Z")), "lunch");
        assert!(!office().is_open(Berlin, at("2026-12-25T09:00:00Z")), "a holiday");
    }

    #[test]
    fn who_works_two_hours_a_week_is_given_a_year_and_no_weekend_less() {
        let saturdays: Schedule = serde_json::from_value(json!({"saturday": [["10:00", "12:00"]]})).unwrap();
        let from = at("2026-11-30T09:00:00Z");
        assert_eq!(saturdays.after(UTC, from, 240), at("2026-12-12T12:00:00Z"));
        // Sixty weeks of work; 400 days have 57 Saturdays.
        assert_eq!(saturdays.after(UTC, from, 7200), at("2028-01-01T12:00:00Z"));
        let holidays: Vec<NaiveDate> = from.date_naive().iter_days().take(400).collect();
        let never = json!({"saturday": [["10:00", "12:00"]], "holidays": holidays});
        let never: Schedule = serde_json::from_value(never).unwrap();
        assert_eq!(never.after(UTC, from, 60), from + Duration::minutes(60));
    }

    #[test]
    fn clocks_that_change_change_no_hour_of_work() {
        let nights: Schedule = serde_json::from_value(json!({"sunday": [["01:00", "05:00"]]})).unwrap();
        // In spring the night has three hours of work, in autumn five.
        let spring = at("2026-03-28T20:00:00Z");
        assert_eq!(nights.after(Berlin, spring, 180), at("2026-03-29T03:00:00Z"));
        let autumn = at("2026-10-24T20:00:00Z");
        assert_eq!(nights.after(Berlin, autumn, 300), at("2026-10-25T04:00:00Z"));
        // 02:30 is skipped: the stretch begins where the clocks jump.
        let skipped: Schedule = serde_json::from_value(json!({"sunday": [["02:30", "04:00"]]})).unwrap();
        assert_eq!(skipped.after(Berlin, spring, 0), spring.max(at("2026-03-29T01:00:00Z")));
        assert_eq!(skipped.after(Berlin, spring, 60), at("2026-03-29T02:00:00Z"));
    }

    #[test]
    fn an_hour_that_clocks_show_twice_is_two_hours_and_not_three() {
        let autumn = at("2026-10-24T20:00:00Z");
        // From 23:00 UTC on Saturday to 04:00 on Sunday, however it is cut.
        for sunday in [
            json!([["01:00", "05:00"]]),
            json!([["01:00", "02:30"], ["02:30", "05:00"]]),
            json!([["01:00", "02:10"], ["02:10", "02:20"], ["02:20", "02:50"], ["02:50", "05:00"]]),
        ] {
            let nights: Schedule = serde_json::from_value(json!({"sunday": sunday})).unwrap();
            assert_eq!(nights.after(Berlin, autumn, 300), at("2026-10-25T04:00:00Z"), "{sunday}");
            assert_eq!(nights.after(Berlin, autumn, 301), at("2026-11-01T00:01:00Z"), "{sunday}");
        }
        // In Cuba clocks go back at one to midnight, so that the end of Saturday is shown twice.
        let havana = chrono_tz::America::Havana;
        let nights: Schedule =
            serde_json::from_value(json!({"saturday": [["22:00", "24:00"]], "sunday": [["00:00", "02:00"]]}))
                .unwrap();
        let evening = at("2026-10-31T20:00:00Z");
        assert_eq!(nights.after(havana, evening, 300), at("2026-11-01T07:00:00Z"));
    }

    #[test]
    fn somebody_always_works_where_nothing_is_said() {
        assert_eq!(
            Schedule::default().after(UTC, at("2026-11-29T12:00:00Z"), 90),
            at("2026-11-29T13:30:00Z")
        );
        assert!(Schedule::default().is_open(UTC, at("2026-12-25T03:00:00Z")));
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        for wrong in [
            json!({"monday": [["9", "17:00"]]}),
            json!({"monday": [["17:00", "09:00"]]}),
            json!({"monday": [["09:00", "24:01"]]}),
            json!({"moonday": []}),
        ] {
            assert!(serde_json::from_value::<Schedule>(wrong.clone()).is_err(), "{wrong}");
        }
        let overlapping: Schedule =
            serde_json::from_value(json!({"monday": [["09:00", "12:00"], ["11:00", "13:00"]]})).unwrap();
        assert!(overlapping.check().unwrap_err().contains("overlap"));
        assert_eq!(serde_json::to_value(office()).unwrap()["monday"][1], json!(["13:00", "17:00"]));
    }

    proptest! {
        /// Working time adds up: first some, then the rest, is the same as all at once.
        #[test]
        fn time_adds_up(minute in 0_i64..1_000_000, some in 0_u32..2000, rest in 0_u32..2000) {
            let from = at("2026-01-01T00:00:00Z") + Duration::minutes(minute);
            let office = office();
            let at_once = office.after(Berlin, from, some + rest);
            let in_two = office.after(Berlin, office.after(Berlin, from, some), rest);
            // Where the first part ends with the day's work, nothing may be left for the second, and both are the same work.
            prop_assert!(at_once == in_two || rest == 0 || some == 0, "{at_once} {in_two}");
            prop_assert!(at_once >= from);
        }
    }
}
