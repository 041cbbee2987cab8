//! Latencies, every one of them kept: quantiles are exact.

use serde_json::{Value, json};

/// Latencies of one run, in nanoseconds.
#[derive(Debug, Default)]
pub struct Latencies(Vec<u64>);

impl Latencies {
    /// Room for `expected` of them, so that none is recorded slower than the others.
    pub fn with_capacity(expected: usize) -> Self {
        Self(Vec::with_capacity(expected))
    }

    /// Records one.
    pub fn push(&mut self, nanos: u64) {
        self.0.push(nanos);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Quantiles by nearest rank, and the maximum; none of nothing.
    pub fn report(mut self) -> Option<Value> {
        self.0.sort_unstable();
        let max = *self.0.last()?;
        let rank = |per_mille: usize| {
            let rank = (self.0.len() * per_mille).div_ceil(1000).max(1);
            self.0.get(rank - 1).copied()
        };
        Some(json!({
            "p50": rank(500)?,
            "p90": rank(900)?,
            "p99": rank(990)?,
            "p999": rank(999)?,
            "max": max,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::Latencies;
    use serde_json::json;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let mut latencies = Latencies::with_capacity(1000);
        (1..=1000).rev().for_each(|nanos| latencies.push(nanos));
        let expected = json!({"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000});
        assert_eq!(latencies.report(), Some(expected));

        let mut one = Latencies::with_capacity(1);
        one.push(7);
        let expected = json!({"p50": 7, "p90": 7, "p99": 7, "p999": 7, "max": 7});
        assert_eq!(one.report(), Some(expected));
        assert_eq!(Latencies::with_capacity(0).report(), None);
    }
}
