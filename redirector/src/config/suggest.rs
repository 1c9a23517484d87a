//! The nearest known spelling of a word.

/// The candidate that `word` most likely meant, if one is near enough to be worth naming.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_ascii_lowercase();
    // A third of the word may differ: "trp" may mean "tcp", "xyz" means nothing we know.
    let bound = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|&(distance, _)| distance <= bound)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, a swap of neighbours counting as one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let substituted = last[j] + usize::from(x != y);
            let mut cost = substituted.min(last[j + 1] + 1).min(row[j] + 1);
            if j > 0 && previous == Some(y) && x == b[j - 1] {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(x);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("cache", "cache", 0),
            ("cahce", "cache", 1),
            ("intefaces", "interfaces", 1),
            ("kitten", "sitting", 3),
            ("größe", "grosse", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} → {b}");
            assert_eq!(distance(b, a), edits, "{b} → {a}");
        }
    }

    #[test]
    fn names_the_nearest_or_nothing() {
        let known = ["attach", "forward", "pins", "tc", "xdp"];
        for (word, expected) in [
            ("atach", Some("attach")),
            ("ATTACH", Some("attach")),
            ("tx", Some("tc")),
            ("fowrard", Some("forward")),
            ("listen", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
