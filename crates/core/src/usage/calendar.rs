//! The tenant's days and months: where they begin in its zone, over every change of its clocks.
//!
//! A day is 24 hours long only where no clock is changed in it: 23 and 25 hours happen each year, midnight may not exist or come twice, and
//! a zone that moves across the date line leaves a day out.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;

/// No clock was ever further from UTC, in seconds.
const FURTHEST: i64 = 16 * 3600;

/// The tenant's day of a moment.
#[must_use]
pub fn day_of(zone: Tz, at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The first day of the month `day` lies in.
#[must_use]
pub fn month_of(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// The first moment at which the zone's clocks show `day` or a later one, to the second. Where they are put back across midnight and show
/// the day before once more, it is one of the two moments.
///
/// ```
/// use chrono::NaiveDate;
/// use chrono_tz::Tz;
/// use undertone_core::usage::calendar::begins;
/// let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
/// assert_eq!(begins(Tz::Europe__Berlin, day).to_rfc3339(), "2026-11-19T23:00:00+00:00");
/// ```
#[must_use]
pub fn begins(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN).and_utc();
    let moment = |second| DateTime::from_timestamp(second, 0).unwrap_or(midnight);
    // The zone's own rules are asked, halving the stretch in which it must happen: what midnight is there is theirs to know.
    let (mut before, mut begun) = (midnight.timestamp() - FURTHEST, midnight.timestamp() + FURTHEST);
    while begun - before > 1 {
        let middle = before.midpoint(begun);
        if day_of(zone, moment(middle)) < day { before = middle } else { begun = middle }
    }
    moment(begun)
}

/// When the day of `at` ends and the next one begins.
#[must_use]
pub fn day_ends(zone: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
    let day = day_of(zone, at);
    day.checked_add_days(Days::new(1)).map_or(at, |next| begins(zone, next))
}

/// When the month of `at` ends and the next one begins.
#[must_use]
pub fn month_ends(zone: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
    let month = month_of(day_of(zone, at));
    month.checked_add_months(Months::new(1)).map_or(at, |next| begins(zone, next))
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};
    use proptest::prelude::*;

    use super::*;

    fn day(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn hours(zone: Tz, of: NaiveDate) -> i64 {
        (begins(zone, of.succ_opt().unwrap()) - begins(zone, of)).num_minutes() / 60
    }

    #[test]
    fn days_over_daylight_saving_have_23_and_25_hours() {
        let berlin = Tz::Europe__Berlin;
        assert_eq!(hours(berlin, day(2026, 3, 28)), 24);
        assert_eq!(hours(berlin, day(2026, 3, 29)), 23);
        assert_eq!(hours(berlin, day(2026, 10, 25)), 25);
        assert_eq!(begins(berlin, day(2026, 10, 25)), at("2026-10-24T22:00:00Z"));
        assert_eq!(begins(berlin, day(2026, 10, 26)), at("2026-10-25T23:00:00Z"));
        assert_eq!(day_ends(berlin, at("2026-10-25T22:59:59.999999Z")), at("2026-10-25T23:00:00Z"));
        assert_eq!(day_ends(berlin, at("2026-10-25T23:00:00Z")), at("2026-10-26T23:00:00Z"));
        assert_eq!(hours(Tz::America__New_York, day(2026, 3, 8)), 23);
        assert_eq!(hours(Tz::America__New_York, day(2026, 11, 1)), 25);
    }

    #[test]
    fn midnight_may_be_left_out_or_come_twice() {
        // Cairo's clocks go from 00:00 to 01:00: its day begins at one o'clock.
        let cairo = Tz::Africa__Cairo;
        assert_eq!(begins(cairo, day(2026, 4, 24)), at("2026-04-23T22:00:00Z"));
        assert_eq!(
            begins(cairo, day(2026, 4, 24)).with_timezone(&cairo).time(),
            NaiveTime::from_hms_opt(1, 0, 0).unwrap()
        );
        assert_eq!(hours(cairo, day(2026, 4, 24)), 23);
        // Havana's go from 01:00 to 00:00: midnight comes twice, and the first begins the day.
        assert_eq!(begins(Tz::America__Havana, day(2026, 11, 1)), at("2026-11-01T04:00:00Z"));
        assert_eq!(hours(Tz::America__Havana, day(2026, 11, 1)), 25);
    }

    #[test]
    fn a_day_that_was_left_out_has_no_length() {
        // Samoa crossed the date line at the end of 29 December 2011.
        let apia = Tz::Pacific__Apia;
        assert_eq!(begins(apia, day(2011, 12, 30)), begins(apia, day(2011, 12, 31)));
        assert_eq!(day_of(apia, begins(apia, day(2011, 12, 30))), day(2011, 12, 31));
        assert_eq!(day_ends(apia, at("2011-12-30T09:59:59Z")), at("2011-12-30T10:00:00Z"));
    }

    #[test]
    fn months_begin_with_their_first_day() {
        assert_eq!(month_of(day(2028, 2, 29)), day(2028, 2, 1));
        let auckland = Tz::Pacific__Auckland;
        // Half a day before UTC's month ends.
        assert_eq!(month_ends(auckland, at("2026-12-31T10:59:59Z")), at("2026-12-31T11:00:00Z"));
        assert_eq!(month_ends(auckland, at("2026-12-31T11:00:00Z")), at("2027-01-31T11:00:00Z"));
        assert_eq!(month_ends(Tz::Europe__Berlin, at("2026-10-01T00:00:00Z")), at("2026-10-31T23:00:00Z"));
    }

    proptest! {
        #[test]
        fn every_moment_lies_in_its_day(zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()), second in 1_700_000_000i64..2_000_000_000) {
            let now = Utc.timestamp_opt(second, 0).unwrap();
            let (today, ends) = (day_of(zone, now), day_ends(zone, now));
            prop_assert!(begins(zone, today) <= now && now < ends, "{zone} {now}");
            prop_assert!(day_of(zone, ends) > today && day_of(zone, ends - TimeDelta::seconds(1)) == today, "{zone} {now}");
            prop_assert!(month_ends(zone, now) >= ends);
        }
    }
}
