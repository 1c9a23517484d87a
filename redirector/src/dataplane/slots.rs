//! Weights to slots: which backend gets which turn.

use redirector_common::limits;

/// Backends in the order of their turns, each as often as its weight says, spread as evenly as possible.
///
/// Smooth weighted round-robin (as nginx has it), run for one whole period: over it the shares are exact, and on the way
/// no backend is more than a turn or two early or late. Weights are divided by their greatest common divisor first, and scaled down when the
/// period would not fit into a bank of slots.
pub(super) fn interleave(weights: &[(u32, u16)]) -> Vec<u32> {
    let scaled = fit(&reduce(weights));
    let period: i64 = scaled.iter().map(|&(_, weight)| weight).sum();
    let mut credit = vec![0i64; scaled.len()];
    let mut slots = Vec::new();
    for _ in 0..period {
        for (credit, &(_, weight)) in credit.iter_mut().zip(&scaled) {
            *credit += weight;
        }
        // The first of the richest, so that the order is the same each time.
        let richest = credit.iter().enumerate().max_by_key(|&(at, &credit)| (credit, std::cmp::Reverse(at)));
        if let Some((at, _)) = richest {
            credit[at] -= period;
            slots.push(scaled[at].0);
        }
    }
    slots
}

fn reduce(weights: &[(u32, u16)]) -> Vec<(u32, i64)> {
    let weights: Vec<_> = weights.iter().filter(|(_, weight)| *weight > 0).collect();
    let divisor = weights.iter().fold(0, |divisor, (_, weight)| gcd(divisor, *weight)).max(1);
    weights.iter().map(|&&(id, weight)| (id, i64::from(weight / divisor))).collect()
}

/// Scales a period that does not fit; nobody with a weight loses the last slot.
fn fit(weights: &[(u32, i64)]) -> Vec<(u32, i64)> {
    let period: i64 = weights.iter().map(|&(_, weight)| weight).sum();
    let room = i64::from(limits::SLOTS);
    if period <= room {
        return weights.to_vec();
    }
    weights.iter().map(|&(id, weight)| (id, (weight * room / period).max(1))).collect()
}

const fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "slots are few")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn turns_are_interleaved_and_exact() {
        for (weights, turns) in [
            (&[(1, 100)][..], &[1][..]),
            (&[(1, 5), (2, 1), (3, 1)], &[1, 1, 2, 1, 3, 1, 1]),
            (&[(1, 70), (2, 30)], &[1, 2, 1, 1, 1, 2, 1, 1, 2, 1]),
            (&[(1, 0), (2, 7)], &[2]),
            (&[(1, 0), (2, 0)], &[]),
            (&[], &[]),
        ] {
            assert_eq!(interleave(weights), turns, "{weights:?}");
        }
    }

    proptest! {
        #[test]
        fn shares_are_the_weights(weights in prop::collection::vec(0..=256u16, 1..8)) {
            let weights: Vec<_> = (1u32..).zip(weights).collect();
            let slots = interleave(&weights);
            let total: usize = weights.iter().map(|&(_, weight)| usize::from(weight)).sum();
            for &(id, weight) in &weights {
                let turns = slots.iter().filter(|&&slot| slot == id).count();
                prop_assert_eq!(turns * total, slots.len() * usize::from(weight));
            }
        }

        #[test]
        fn no_turn_is_more_than_one_early_or_late(weights in prop::collection::vec(1..=256u16, 1..8)) {
            let weights: Vec<_> = (1u32..).zip(weights).collect();
            let total: f64 = weights.iter().map(|&(_, weight)| f64::from(weight)).sum();
            let slots = interleave(&weights);
            for &(id, weight) in &weights {
                let mut had = 0.0;
                for (at, &slot) in slots.iter().enumerate() {
                    had += f64::from(u8::from(slot == id));
                    let due = (at + 1) as f64 * f64::from(weight) / total;
                    prop_assert!((had - due).abs() <= 1.5, "{id} had {had} of {due}");
                }
            }
        }

        #[test]
        fn any_number_of_servers_fits(weights in prop::collection::vec(1..=256u16, 1..200)) {
            let weights: Vec<_> = (1u32..).zip(weights).collect();
            let slots = interleave(&weights);
            prop_assert!(slots.len() <= limits::SLOTS as usize + weights.len());
            for &(id, _) in &weights {
                prop_assert!(slots.contains(&id));
            }
        }
    }
}
