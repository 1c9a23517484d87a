//! Collects mistakes while a file is checked, and shows each with its line.

use std::{ops::Range, path::Path};

use super::error::ConfigError;

/// Longer lines are cut: nobody reads them in a terminal.
const SHOWN_CHARS: usize = 120;

/// The top level's span. No other table can have it.
pub(super) const FILE: Range<usize> = 0..usize::MAX;

/// The mistakes found so far. Spans are byte offsets into the text.
pub(super) struct Report<'t> {
    origin: &'t Path,
    text: &'t str,
    found: Vec<Finding>,
    /// Values that must not be shown.
    secrets: Vec<Range<usize>>,
    /// Tables that lost a key to an earlier mistake: nothing is said to be missing there.
    damaged: Vec<Range<usize>>,
}

struct Finding {
    at: usize,
    sentence: String,
    instead: String,
}

impl<'t> Report<'t> {
    pub(super) fn new(origin: &'t Path, text: &'t str) -> Self {
        Self { origin, text, found: Vec::new(), secrets: Vec::new(), damaged: Vec::new() }
    }

    pub(super) fn origin(&self) -> &'t Path {
        self.origin
    }

    pub(super) fn push(&mut self, at: Range<usize>, sentence: impl Into<String>, instead: impl Into<String>) {
        self.found.push(Finding { at: at.start, sentence: sentence.into(), instead: instead.into() });
    }

    pub(super) fn hide(&mut self, secret: Range<usize>) {
        self.secrets.push(secret);
    }

    pub(super) fn damage(&mut self, table: Range<usize>) {
        self.damaged.push(table);
    }

    pub(super) fn is_damaged(&self, table: &Range<usize>) -> bool {
        self.damaged.contains(table)
    }

    pub(super) fn is_file_damaged(&self) -> bool {
        self.is_damaged(&FILE)
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The mistakes in the order of the file.
    pub(super) fn finish(mut self) -> Vec<ConfigError> {
        self.found.sort_by_key(|finding| finding.at);
        let found = std::mem::take(&mut self.found);
        found.into_iter().map(|finding| self.show(finding)).collect()
    }

    fn show(&self, finding: Finding) -> ConfigError {
        // An error "at the end of the file" may lie one past the last character.
        let mut at = finding.at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        ConfigError {
            path: self.origin.to_owned(),
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[start..at].chars().count() + 1,
            text: self.line(start..end),
            sentence: finding.sentence,
            instead: finding.instead,
        }
    }

    /// One line as it may be shown: without secrets, without anything that a terminal would obey.
    fn line(&self, line: Range<usize>) -> String {
        let mut shown = String::new();
        let mut hidden = false;
        for (offset, c) in self.text[line.clone()].char_indices() {
            let secret = self.secrets.iter().any(|s| s.contains(&(line.start + offset)));
            match (secret, hidden) {
                (true, true) => {}
                (true, false) => shown.push('…'),
                (false, _) if c.is_control() => shown.push(' '),
                (false, _) => shown.push(c),
            }
            hidden = secret;
        }
        let shown = shown.trim_end();
        match shown.char_indices().nth(SHOWN_CHARS) {
            Some((cut, _)) => format!("{}…", &shown[..cut]),
            None => shown.to_owned(),
        }
    }
}

/// `"write one of: a, b"`, or the one word that was meant.
pub(super) fn write_one_of(meant: Option<&str>, choices: &[&str]) -> String {
    match (meant, choices) {
        (Some(meant), _) => format!("write {meant:?}"),
        (None, [only]) => format!("write {only:?}"),
        (None, _) => format!("write one of: {}", choices.join(", ")),
    }
}
