//! The adjusted average of each agent with its interval.
//!
//! For contact `i` of agent `j` let `y` be the mean score after the agent's first reply and `b` that before it (where none is known, the
//! mean of the agent's others). The model is the one of an analysis of covariance with agents as random effects:
//!
//! ```text
//! y_ij = μ + β (b_ij − b̄) + u_j + e_ij,   u_j ~ N(0, τ²),   e_ij ~ N(0, σ²)
//! ```
//!
//! - `β` is the least-squares slope *within* agents, so that agents who begin with other customers do not bend it, held within 0..=1.
//! - `m_j = ȳ_j − β (b̄_j − b̄)` is what agent `j` would have, had their customers felt before as the average customer did.
//! - `σ²` is the variance left within agents, with a prior worth [`PRIOR_CONTACTS`] contacts of a spread of [`PRIOR_SPREAD`] points, so that
//!   a handful of contacts that happen to agree is not taken for certainty. `m_j` has the variance `s_j² = σ²/n_j + (b̄_j − b̄)² var(β)`.
//! - `τ` is not fixed but integrated out under a flat prior on 0..=100 points (Gelman, “Prior distributions for variance parameters in
//!   hierarchical models”, Bayesian Analysis 1(3), 2006), on a grid: with few agents no single value of it is known well enough, and a value of 0 would make every interval
//!   vanish. Given `τ`, `μ` and `u_j` are normal in closed form. The figure is the mean of `μ + u_j` over all that, and its interval
//!   the mean ± 1.96 standard deviations.
//!
//! So an agent with few contacts is drawn towards the average of all, and has a wide interval. What the model does not know: why customers
//! came to this agent beyond how they felt before; and as three scores before are themselves no exact measure, the adjustment takes away
//! less than all of what easy or hard customers make.

use serde::Serialize;

/// The prior's weight, in contacts.
const PRIOR_CONTACTS: f64 = 5.0;
/// The prior's spread of scores within an agent, in points.
const PRIOR_SPREAD: f64 = 40.0;
/// Of a normal distribution 95 % lie within so many standard deviations.
const WITHIN_95: f64 = 1.96;
/// Squares under this are none.
const NOTHING: f64 = 1e-9;
/// Steps of the grid over τ, half a point each.
const GRID: usize = 200;

/// Sums over an agent's contacts, in hundredths of a point and their squares. From these alone the numbers are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// The agent.
    pub agent: String,
    /// Contacts.
    pub contacts: i64,
    /// Scored interactions in them.
    pub scored: i64,
    /// Of the means after the first reply: their sum and that of their squares.
    pub after: (i64, i64),
    /// Contacts for which it is known how the customer felt before.
    pub with_before: i64,
    /// Of the means before: their sum and that of their squares.
    pub before: (i64, i64),
    /// Of the means after, where the one before is known: their sum, and that of the products of both.
    pub both: (i64, i64),
}

/// How an agent's average compares with that of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The interval lies above the average of all.
    Above,
    /// The interval lies below the average of all.
    Below,
    /// The interval holds the average of all: no difference is shown.
    NotShown,
}

/// What is said of one agent. Scores are points, -100..=100.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentNumber {
    /// The agent.
    pub agent: String,
    /// Contacts that count.
    pub contacts: i64,
    /// Scored interactions in them.
    pub scored: i64,
    /// The mean after the agent's first reply, as it is.
    pub unadjusted: f64,
    /// How the customers felt before, where that is known.
    pub before: Option<f64>,
    /// The adjusted average.
    pub adjusted: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
    /// How it compares with the average of all.
    pub difference: Difference,
}

/// The numbers of a tenant's agents.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// The average of all contacts, adjusted likewise, in points.
    pub average: f64,
    /// How many points a point before is worth after: β.
    pub slope: f64,
    /// Agents with contacts enough, in the order given.
    pub agents: Vec<AgentNumber>,
    /// Agents with fewer.
    pub too_few: usize,
}

/// One agent's mean, adjusted, and its variance.
struct Mean {
    value: f64,
    variance: f64,
}

impl Numbers {
    /// From the sums of all agents. Those with fewer than `minimum` contacts help to tell what is usual, and are not shown.
    #[must_use]
    pub fn of(sums: &[Sums], minimum: i64) -> Option<Self> {
        let sums: Vec<&Sums> = sums.iter().filter(|one| one.contacts > 0).collect();
        let contacts: i64 = sums.iter().map(|one| one.contacts).sum();
        if contacts == 0 {
            return None;
        }
        let slope = Slope::of(&sums);
        let degrees = (contacts - sums.len() as i64 - 1).max(0) as f64;
        let left: f64 = sums.iter().map(|one| slope.left_within(one)).sum();
        let sigma2 = (left + PRIOR_CONTACTS * PRIOR_SPREAD.powi(2)) / (degrees + PRIOR_CONTACTS);
        let means: Vec<Mean> = sums.iter().map(|one| slope.adjusted(one, sigma2)).collect();
        let posterior = Posterior::of(&means);
        let mut numbers =
            Self { average: posterior.average, slope: slope.value, agents: Vec::new(), too_few: 0 };
        for (place, one) in sums.iter().enumerate() {
            if one.contacts < minimum {
                numbers.too_few += 1;
                continue;
            }
            let (adjusted, spread) = posterior.agents[place];
            let within = |value: f64| value.clamp(-100.0, 100.0);
            let interval = (within(adjusted - WITHIN_95 * spread), within(adjusted + WITHIN_95 * spread));
            let difference = if interval.0 > posterior.average {
                Difference::Above
            } else if interval.1 < posterior.average {
                Difference::Below
            } else {
                Difference::NotShown
            };
            numbers.agents.push(AgentNumber {
                agent: one.agent.clone(),
                contacts: one.contacts,
                scored: one.scored,
                unadjusted: points(one.after.0) / one.contacts as f64,
                before: before(one),
                adjusted: within(adjusted),
                interval,
                difference,
            });
        }
        Some(numbers)
    }
}

/// Hundredths as points.
fn points(hundredths: i64) -> f64 {
    hundredths as f64 / 100.0
}

/// Squares of hundredths as squares of points.
fn squares(hundredths: i64) -> f64 {
    hundredths as f64 / 10_000.0
}

/// Sums of squares and products within one agent, about the agent's own means.
struct Within {
    after: f64,
    before: f64,
    both: f64,
}

impl Within {
    fn of(one: &Sums) -> Self {
        let about_mean = |products: f64, a: f64, b: f64, count: i64| {
            if count > 0 { products - a * b / count as f64 } else { 0.0 }
        };
        let (after, before) = (points(one.after.0), points(one.before.0));
        Self {
            after: about_mean(squares(one.after.1), after, after, one.contacts),
            before: about_mean(squares(one.before.1), before, before, one.with_before),
            both: about_mean(squares(one.both.1), points(one.both.0), before, one.with_before),
        }
    }
}

/// β, and what it is measured from.
struct Slope {
    value: f64,
    /// The mean of all that is known of how customers felt before.
    centre: f64,
    /// The squares of what came before, within agents: what β is measured by.
    squares: f64,
}

impl Slope {
    fn of(sums: &[&Sums]) -> Self {
        let (mut before, mut both) = (0.0, 0.0);
        for within in sums.iter().map(|one| Within::of(one)) {
            before += within.before;
            both += within.both;
        }
        let known: i64 = sums.iter().map(|one| one.with_before).sum();
        let sum: i64 = sums.iter().map(|one| one.before.0).sum();
        Self {
            value: if before > NOTHING { (both / before).clamp(0.0, 1.0) } else { 0.0 },
            centre: if known > 0 { points(sum) / known as f64 } else { 0.0 },
            squares: before,
        }
    }

    /// The sum of squares that is left about the agent's own line.
    fn left_within(&self, one: &Sums) -> f64 {
        let within = Within::of(one);
        (within.after - 2.0 * self.value * within.both + self.value.powi(2) * within.before).max(0.0)
    }

    /// The agent's mean, had all begun alike.
    fn adjusted(&self, one: &Sums, sigma2: f64) -> Mean {
        let count = one.contacts as f64;
        let off = before(one).map_or(0.0, |before| before - self.centre);
        let of_slope = if self.squares > NOTHING { sigma2 / self.squares } else { 0.0 };
        Mean {
            value: points(one.after.0) / count - self.value * off,
            variance: sigma2 / count + off.powi(2) * of_slope,
        }
    }
}

/// How the agent's customers felt before, in points.
fn before(one: &Sums) -> Option<f64> {
    (one.with_before > 0).then(|| points(one.before.0) / one.with_before as f64)
}

/// What is known of the agents once τ is integrated out.
struct Posterior {
    average: f64,
    /// Mean and standard deviation of μ + u for each.
    agents: Vec<(f64, f64)>,
}

impl Posterior {
    fn of(means: &[Mean]) -> Self {
        let grid: Vec<f64> = (0..GRID).map(|step| (step as f64 + 0.5) * 100.0 / GRID as f64).collect();
        let at: Vec<(f64, f64, f64)> = grid.iter().map(|tau| given(means, tau.powi(2))).collect();
        let highest = at.iter().map(|(log, ..)| *log).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = at.iter().map(|(log, ..)| (log - highest).exp()).collect();
        let all: f64 = weights.iter().sum();
        let mixed = |value: &dyn Fn(usize) -> f64| {
            weights.iter().enumerate().map(|(step, weight)| weight * value(step)).sum::<f64>() / all
        };
        let agents = means
            .iter()
            .map(|mean| {
                let at_step = |step: usize| {
                    let (_, average, variance) = at[step];
                    let tau2 = grid[step].powi(2);
                    let own = tau2 / (tau2 + mean.variance);
                    let value = average + own * (mean.value - average);
                    (value, tau2 * (1.0 - own) + (1.0 - own).powi(2) * variance)
                };
                let value = mixed(&|step| at_step(step).0);
                let variance = mixed(&|step| {
                    let (at, variance) = at_step(step);
                    variance + (at - value).powi(2)
                });
                (value, variance.sqrt())
            })
            .collect();
        Self { average: mixed(&|step| at[step].1), agents }
    }
}

/// For one τ²: the logarithm of its weight, and the mean and variance of μ.
fn given(means: &[Mean], tau2: f64) -> (f64, f64, f64) {
    let precision: f64 = means.iter().map(|mean| 1.0 / (tau2 + mean.variance)).sum();
    let average = means.iter().map(|mean| mean.value / (tau2 + mean.variance)).sum::<f64>() / precision;
    let each = |mean: &Mean| {
        let variance = tau2 + mean.variance;
        -0.5 * (variance.ln() + (mean.value - average).powi(2) / variance)
    };
    let log = means.iter().map(each).sum::<f64>() - 0.5 * precision.ln();
    (log, average, 1.0 / precision)
}

#[cfg(test)]
mod tests;
