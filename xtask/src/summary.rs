//! Adds up what test binaries say of themselves.

use std::fmt;

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Summary {
    /// Reads libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; …`, coloured or not.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let (_, counts) = line.trim_start().strip_prefix("test result: ")?.split_once(". ")?;
        let mut counts = counts.split("; ");
        Some(Self { passed: count(counts.next()?, " passed")?, failed: count(counts.next()?, " failed")? })
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    pub(crate) fn total(self) -> u64 {
        self.passed + self.failed
    }
}

/// The closing line, alone on a line of its own: machines read it too.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn count(text: &str, unit: &str) -> Option<u64> {
    text.strip_suffix(unit)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read_and_others_are_not() {
        let table = [
            (
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                Some((3, 0)),
            ),
            (
                "test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.5s",
                Some((12, 2)),
            ),
            ("test result: \u{1b}[32mok\u{1b}[0m. 7 passed; 0 failed; 0 ignored", Some((7, 0))),
            ("test result: ok. 0 passed; 0 failed; 0 ignored", Some((0, 0))),
            ("test parse::result ... ok", None),
            ("test result: ok", None),
            ("a log that quotes: test result: ok. 3 passed; 0 failed", None),
            ("", None),
        ];
        for (line, expected) in table {
            let expected = expected.map(|(passed, failed)| Summary { passed, failed });
            assert_eq!(Summary::from_line(line), expected, "{line}");
        }
    }

    #[test]
    fn the_closing_line_has_the_sums() {
        let mut sum = Summary::default();
        for (passed, failed) in [(3, 0), (0, 0), (12, 2)] {
            sum.add(Summary { passed, failed });
        }
        assert_eq!(sum.to_string(), "15 passed, 2 failed");
        assert_eq!(sum.total(), 17);
    }
}
