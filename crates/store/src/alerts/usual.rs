//! What is usual: how many customers turn low about a category in a window at about this time of day, on the tenant's days before. Nights
//! and weekends say nothing of a busy half hour.

use chrono::{DateTime, Days, NaiveDate, Timelike, Utc};
use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, Value};

use crate::statement::{pieces, sql};
use crate::{Result, TenantId};

/// What is usual is taken from this many days, or from those there are.
const OF_DAYS: u64 = 28;
/// Windows that begin up to this many minutes sooner or later in the day are at about the same time.
const ABOUT: i64 = 60;
const MINUTES_OF_A_DAY: i64 = 24 * 60;

/// A window of one of the tenant's days, as long as that in which a surge is seen. They are counted from midnight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    day: NaiveDate,
    /// How long it is.
    minutes: i64,
    number: i64,
}

impl Slot {
    /// The one that `at` lies in.
    pub(super) fn of(zone: Tz, at: DateTime<Utc>, minutes: u32) -> Self {
        let local = at.with_timezone(&zone);
        let (minutes, minute) = (i64::from(minutes.max(1)), i64::from(local.hour() * 60 + local.minute()));
        Self { day: local.date_naive(), minutes, number: minute / minutes }
    }

    /// Counts customers who turned low anew in it, about each of these categories.
    pub(super) async fn count(
        self,
        tx: &impl ConnectionTrait,
        tenant: TenantId,
        customers: &[(&str, i64)],
    ) -> Result<()> {
        for piece in pieces(customers) {
            sql("INSERT INTO surge_usual (tenant_id, category, minutes, slot, day, customers) VALUES ? \
                 ON CONFLICT (tenant_id, category, minutes, slot, day) DO UPDATE SET customers = surge_usual.customers + excluded.customers")
            .rows(piece.iter().map(|(category, customers)| {
                [
                    tenant.0.into(),
                    Value::from(*category),
                    self.minutes.into(),
                    self.number.into(),
                    self.day.into(),
                    (*customers).into(),
                ]
            }))
            .run(tx)
            .await?;
        }
        Ok(())
    }

    /// How many customers turn low about a category in such a window as a rule: of each day before on which any did at about this time the
    /// most in one window, and of these days a busy one. It reads as much whatever the history; 0 where there is none yet.
    pub(super) async fn usual(
        self,
        on: &impl ConnectionTrait,
        tenant: TenantId,
        category: &str,
    ) -> Result<f64> {
        let around = (ABOUT / self.minutes).max(1);
        let (from, to) = (self.number - around, self.number + around);
        let of_a_day = (MINUTES_OF_A_DAY + self.minutes - 1) / self.minutes;
        let first = self.day.checked_sub_days(Days::new(OF_DAYS)).unwrap_or(self.day);
        // About midnight some of them are the last of a day, or the first.
        let busiest_first = sql("SELECT MAX(customers) FROM surge_usual WHERE tenant_id = ? AND category = ? AND minutes = ? \
             AND (slot BETWEEN ? AND ? OR slot >= ? OR slot <= ?) AND day >= ? AND day < ? GROUP BY day ORDER BY 1 DESC")
        .bind(tenant.0)
        .bind(category)
        .bind(self.minutes)
        .bind(from)
        .bind(to)
        .bind(from + of_a_day)
        .bind(to - of_a_day)
        .bind(first)
        .bind(self.day)
        .column::<i64>(on)
        .await?;
        Ok(busy(&busiest_first) as f64)
    }
}

/// A busy day of these, the busiest first. An outage or two among them make the next one no usual day: of three days and more the busiest is
/// left out, of twenty and more two are.
fn busy(busiest_first: &[i64]) -> i64 {
    let outages = match busiest_first.len() {
        0..3 => 0,
        3..20 => 1,
        _ => 2,
    };
    busiest_first.get(outages).copied().unwrap_or_default()
}

/// Removes what lies before the days of which what is usual is taken.
pub(super) async fn tidy(on: &impl ConnectionTrait, tenant: TenantId, now: DateTime<Utc>) -> Result<()> {
    // The tenant's day may be another than that in UTC.
    let old = now.date_naive().checked_sub_days(Days::new(OF_DAYS + 2)).unwrap_or_default();
    sql("DELETE FROM surge_usual WHERE tenant_id = ? AND day < ?").bind(tenant.0).bind(old).run(on).await?;
    Ok(())
}
