//! Numbers and days as people read them.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::words::Words;

/// `1,234,567`, with the true minus sign.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if number < 0 { format!("−{grouped}") } else { grouped }
}

/// A score with its sign: `+12`, `0`, `−48`.
#[must_use]
pub fn score(score: f64) -> String {
    let rounded = score.round() as i64;
    if rounded > 0 { format!("+{rounded}") } else { count(rounded) }
}

/// A score to one decimal, with its sign: `+12.4`.
pub fn fine_score(score: f64) -> String {
    let rounded = (score * 10.0).round() / 10.0;
    let sign = if rounded > 0.0 {
        "+"
    } else if rounded < 0.0 {
        "−"
    } else {
        ""
    };
    format!("{sign}{:.1}", rounded.abs())
}

/// Whole percent of a part, so that something is never told as nothing, nor less than all as all.
pub fn percent(part: i64, whole: i64) -> String {
    if whole <= 0 || part <= 0 {
        return "0 %".to_owned();
    }
    let exact = part as f64 * 100.0 / whole as f64;
    if exact < 1.0 {
        "<1 %".to_owned()
    } else if part < whole && exact > 99.0 {
        ">99 %".to_owned()
    } else {
        format!("{} %", exact.round() as i64)
    }
}

/// `21 Nov`.
pub fn short_day(day: NaiveDate, w: &Words) -> String {
    filled(w.short_day, day, &w.months_short, w)
}

/// `Saturday, 21 November`.
pub fn long_day(day: NaiveDate, w: &Words) -> String {
    filled(w.long_day, day, &w.months, w)
}

/// `21 Nov, 14:05`, with the year where it is not the one of `now`: imported history may be old.
pub fn moment(at: DateTime<Utc>, now: DateTime<Utc>, zone: Tz, w: &Words) -> String {
    let at = at.with_timezone(&zone);
    let day = short_day(at.date_naive(), w);
    let year = if at.year() == now.with_timezone(&zone).year() { "" } else { &format!(" {}", at.year()) };
    format!("{day}{year}, {}", at.format("%H:%M"))
}

fn filled(pattern: &str, day: NaiveDate, months: &[&str; 12], w: &Words) -> String {
    pattern
        .replace("{weekday}", w.weekdays[day.weekday().num_days_from_monday() as usize])
        .replace("{day}", &day.day().to_string())
        .replace("{month}", months[day.month0() as usize])
}

/// Text of a stranger for a place with little room: its beginning, and `…` where there is more. Names have no limit elsewhere.
pub fn brief(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::EN;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            ["0", "999", "1,000", "−1,234,567"].map(str::to_owned),
            [0, 999, 1000, -1_234_567].map(count)
        );
        assert_eq!([score(12.4), score(-0.4), score(-48.0)], ["+12", "0", "−48"]);
        assert_eq!([fine_score(12.44), fine_score(-0.04), fine_score(-7.0)], ["+12.4", "0.0", "−7.0"]);
        assert_eq!(
            [percent(0, 10), percent(1, 1000), percent(1, 3), percent(3, 0)],
            ["0 %", "<1 %", "33 %", "0 %"]
        );
        assert_eq!([percent(999, 1000), percent(7, 7)], [">99 %", "100 %"]);
    }

    #[test]
    fn days_read_well() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let day = at("2026-11-20T23:30:00Z");
        assert_eq!(short_day(day.date_naive(), &EN), "20 Nov");
        assert_eq!(long_day(day.date_naive(), &EN), "Friday, 20 November");
        assert_eq!(moment(day, day, Tz::Europe__Berlin, &EN), "21 Nov, 00:30", "the tenant's day");
        assert_eq!(moment(day, at("2027-01-02T00:00:00Z"), Tz::UTC, &EN), "20 Nov 2026, 23:30");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(brief("Zoë 👩🏽‍🚀", 3), "Zoë…");
        assert_eq!(brief("Zoë", 3), "Zoë");
        assert_eq!(brief("", 0), "");
    }
}
