//! Measured times, summed up.

use std::time::Duration;

use serde::Serialize;

/// How times are spread, in milliseconds, or in seconds where the name says so.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// Half of them took at most this.
    pub p50: f64,
    /// All but one in a hundred took at most this.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// How many were measured.
    pub samples: usize,
}

impl Spread {
    /// Of the given times in milliseconds; zero if there are none.
    #[must_use]
    pub fn of(times: Vec<Duration>) -> Self {
        Self::in_parts(times, 1e3)
    }

    /// Of the given times in seconds; zero if there are none.
    #[must_use]
    pub fn seconds(times: Vec<Duration>) -> Self {
        Self::in_parts(times, 1.0)
    }

    fn in_parts(mut times: Vec<Duration>, of_a_second: f64) -> Self {
        times.sort_unstable();
        // The nearest rank: a time that was measured, never one in between.
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100);
            times.get(rank.saturating_sub(1)).map_or(0.0, |time| round(time.as_secs_f64() * of_a_second))
        };
        Self { p50: at(50), p99: at(99), max: at(100), samples: times.len() }
    }
}

/// To three digits after the point, which is finer than anything here is measured.
#[must_use]
pub fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let spread = Spread::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!((spread.p50, spread.p99, spread.max, spread.samples), (100.0, 198.0, 200.0, 200));
        let one = Spread::of(vec![Duration::from_micros(1234)]);
        assert_eq!((one.p50, one.p99), (1.234, 1.234));
        assert_eq!(Spread::of(Vec::new()).samples, 0);
    }
}
