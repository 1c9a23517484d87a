//! What is left of a row of samples: the median, and how far they spread.

/// Median and extremes of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Samples it was made of.
    pub(super) count: usize,
}

impl Spread {
    /// `None` without a sample.
    pub(super) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() {
            0 => return None,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        Some(Self { median, min: sorted[0], max: sorted[sorted.len() - 1], count: sorted.len() })
    }
}

/// Each sample as a share of its partner from the same run: what the machine did to both cancels out.
pub(super) fn ratios(samples: &[f64], partners: &[f64]) -> Vec<f64> {
    samples.iter().zip(partners).map(|(sample, partner)| sample / partner).collect()
}

#[cfg(test)]
mod tests {
    use super::{Spread, ratios};

    #[test]
    fn the_median_is_the_middle() {
        for (samples, median, min, max) in [
            (&[3.0][..], 3.0, 3.0, 3.0),
            (&[4.0, 1.0], 2.5, 1.0, 4.0),
            (&[9.0, -1.0, 2.0], 2.0, -1.0, 9.0),
            (&[1.0, 100.0, 3.0, 2.0], 2.5, 1.0, 100.0),
        ] {
            assert_eq!(
                Spread::of(samples),
                Some(Spread { median, min, max, count: samples.len() }),
                "{samples:?}"
            );
        }
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_paired() {
        assert_eq!(ratios(&[1.0, 6.0], &[2.0, 3.0]), [0.5, 2.0]);
        assert_eq!(ratios(&[1.0, 6.0], &[2.0]), [0.5], "a run that was not finished has no pair");
    }
}
