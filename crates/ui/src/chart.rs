//! Geometry of the charts. A chart's SVG is stretched to its place, so lines keep their width and all type is HTML beside it.

use std::fmt::Write;

use undertone_core::overview::{Day, Totals};

/// Width and height of a chart's own coordinates.
pub const WIDTH: f64 = 1000.0;
/// See [`WIDTH`].
pub const HEIGHT: f64 = 100.0;

/// The axis of scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The values that are named, from top to bottom, evenly apart.
    pub ticks: Vec<i64>,
}

impl Axis {
    /// An axis that holds all `values` and 0, in steps people count in.
    pub fn holding(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((0.0_f64, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        let step = [5, 10, 20, 25, 50].into_iter().find(|step| {
            let step = *step as f64;
            (high / step).ceil() - (low / step).floor() <= 6.0
        });
        let step: i64 = step.unwrap_or(50);
        let top = (high / step as f64).ceil() as i64;
        let bottom = (low / step as f64).floor() as i64;
        // A flat line of zeros still wants a scale.
        let (top, bottom) = if top == bottom { (1, -1) } else { (top, bottom) };
        Self { ticks: (bottom..=top).rev().map(|n| n * step).collect() }
    }

    /// Where a value lies, 0 at the top to [`HEIGHT`].
    pub fn y(&self, value: f64) -> f64 {
        let (top, bottom) =
            (self.ticks.first().copied().unwrap_or(1), self.ticks.last().copied().unwrap_or(-1));
        let range = (top - bottom).max(1) as f64;
        ((top as f64 - value) / range * HEIGHT).clamp(0.0, HEIGHT)
    }
}

/// The middle of a day's column.
pub fn x(index: usize, days: usize) -> f64 {
    (index as f64 + 0.5) * WIDTH / days.max(1) as f64
}

/// A line through the days; one without data breaks it.
pub fn line(axis: &Axis, averages: &[Option<f64>]) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for (i, average) in averages.iter().enumerate() {
        if let Some(average) = average {
            let command = if drawing { 'L' } else { 'M' };
            let (x, y) = (x(i, averages.len()), axis.y(*average));
            let _ = write!(path, "{command}{x:.1} {y:.1}");
            // A day alone is a dot: a line of no length with round ends.
            if !drawing && averages.get(i + 1).is_none_or(Option::is_none) {
                let _ = write!(path, "h.01");
            }
        }
        drawing = average.is_some();
    }
    path
}

/// The areas between the line and zero, each stretch of days closed.
pub fn area(axis: &Axis, averages: &[Option<f64>]) -> String {
    let zero = axis.y(0.0);
    let mut path = String::new();
    let mut i = 0;
    while i < averages.len() {
        let end = averages[i..].iter().position(Option::is_none).map_or(averages.len(), |n| i + n);
        if end > i + 1 {
            let _ = write!(path, "M{:.1} {zero:.1}", x(i, averages.len()));
            for (j, average) in averages.iter().enumerate().take(end).skip(i) {
                let _ =
                    write!(path, "L{:.1} {:.1}", x(j, averages.len()), axis.y(average.unwrap_or_default()));
            }
            let _ = write!(path, "L{:.1} {zero:.1}Z", x(end - 1, averages.len()));
        }
        i = end.max(i) + 1;
    }
    path
}

/// Bars of how much happened on each day, as one path from the bottom of a strip.
pub fn bars(days: &[Day]) -> String {
    let most = days.iter().map(|day| day.summary.totals.scored).max().unwrap_or(0).max(1) as f64;
    let wide = WIDTH / days.len().max(1) as f64;
    days.iter().enumerate().filter(|(_, day)| day.summary.totals.scored > 0).fold(
        String::new(),
        |mut path, (i, day)| {
            let height = (day.summary.totals.scored as f64 / most * HEIGHT).max(4.0);
            let left = i as f64 * wide + wide * 0.18;
            let _ = write!(path, "M{left:.1} 100h{:.1}v-{height:.1}h-{:.1}Z", wide * 0.64, wide * 0.64);
            path
        },
    )
}

/// One part of a ring: where it begins and how long it is, of 100 around.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arc {
    /// `stroke-dasharray`'s first number.
    pub length: f64,
    /// `stroke-dashoffset`.
    pub offset: f64,
}

/// A ring of positive, neutral, mixed and negative, with a hair between them.
pub fn ring(totals: &Totals) -> [Arc; 4] {
    const GAP: f64 = 0.8;
    let parts = [totals.positive, totals.neutral, totals.mixed, totals.negative];
    let all: i64 = parts.iter().sum();
    let several = parts.iter().filter(|part| **part > 0).count() > 1;
    let gap = if several { GAP } else { 0.0 };
    let mut begun = 0.0;
    parts.map(|part| {
        let share = if all > 0 { part as f64 * 100.0 / all as f64 } else { 0.0 };
        let arc =
            Arc { length: if part > 0 { (share - gap).max(0.4) } else { 0.0 }, offset: -(begun + gap / 2.0) };
        begun += share;
        arc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_holds_its_values() {
        for (values, ticks) in [
            (vec![], vec![5, 0, -5]),
            (vec![0.0], vec![5, 0, -5]),
            (vec![-100.0], vec![0, -20, -40, -60, -80, -100]),
            (vec![-100.0, 100.0], vec![100, 50, 0, -50, -100]),
            (vec![12.0, -3.0], vec![15, 10, 5, 0, -5]),
            (vec![67.0, -51.0], vec![75, 50, 25, 0, -25, -50, -75]),
        ] {
            let axis = Axis::holding(values.iter().copied());
            assert_eq!(axis.ticks, ticks);
            assert!(values.iter().all(|v| (0.0..=HEIGHT).contains(&axis.y(*v))));
        }
    }

    #[test]
    fn a_day_without_data_breaks_the_line() {
        let axis = Axis::holding([10.0, -10.0].into_iter());
        let path = line(&axis, &[Some(10.0), Some(-10.0), None, Some(0.0), None]);
        assert_eq!(path.matches('M').count(), 2);
        assert!(path.ends_with("h.01"));
        assert_eq!(line(&axis, &[None, None]), "");
        assert_eq!(area(&axis, &[Some(1.0), None, Some(1.0), Some(2.0)]).matches('M').count(), 1);
    }

    #[test]
    fn flat_and_single_days_are_drawn() {
        let worst = Axis::holding([-100.0].into_iter());
        assert_eq!(
            line(&worst, &[Some(-100.0); 2]),
            "M250.0 100.0L750.0 100.0",
            "on the floor, not under it"
        );
        assert_eq!(line(&Axis::holding([0.0].into_iter()), &[Some(0.0)]), "M500.0 50.0h.01");
        assert_eq!(area(&worst, &[Some(-100.0)]), "", "a day alone covers nothing");
        assert!(bars(&[]).is_empty() && line(&worst, &[]).is_empty());
    }

    #[test]
    fn a_ring_is_whole() {
        let totals = Totals { scored: 4, positive: 1, neutral: 1, negative: 2, ..Totals::default() };
        let ring = ring(&totals);
        assert!((ring.iter().map(|arc| arc.length).sum::<f64>() - 100.0).abs() < 3.0);
        assert!(super::ring(&Totals::default()).iter().all(|arc| arc.length.abs() < 1e-9));
        let one = super::ring(&Totals { scored: 1, mixed: 1, ..Totals::default() });
        assert!((one[2].length - 100.0).abs() < 1e-9);
    }
}
