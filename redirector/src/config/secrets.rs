//! Which parts of the file must not be shown in an error: passwords, and what may be a password
//! under a mistyped key.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Values that are no secret although they stand beside one.
const PUBLIC: [&str; 3] = ["username", "password_file", "password_env"];

/// The spans of every value that is or may be a password.
pub(super) fn in_document(document: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    in_table(document, false, &mut secrets);
    secrets
}

fn in_table(table: &DeTable<'_>, auth: bool, secrets: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let key = key.get_ref().as_ref();
        let auth_key = speaks_of_auth(key);
        let secret = !PUBLIC.contains(&key) && (auth || auth_key);
        if let DeValue::Table(table) = value.get_ref() {
            in_table(table, secret, secrets);
        } else if secret {
            secrets.push(value.span());
        } else if let DeValue::Array(elements) = value.get_ref() {
            let tables = elements.iter().filter_map(|e| e.get_ref().as_table());
            for table in tables {
                in_table(table, false, secrets);
            }
        }
    }
}

/// What to hide of the line around `at` if the text is no TOML: all behind the first `=` that may
/// precede a password, or everything inside a string of several lines.
pub(super) fn in_broken_line(text: &str, at: usize) -> Option<Range<usize>> {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let open = |quotes: &str| text[..start].matches(quotes).count() % 2 == 1;
    if open("\"\"\"") || open("'''") {
        return Some(start..end);
    }
    let line = &text[start..end];
    let mut offset = 0;
    for part in line.split_inclusive('=') {
        offset += part.len();
        if part.ends_with('=') && speaks_of_auth(part) {
            return Some(start + offset..end);
        }
    }
    None
}

fn speaks_of_auth(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["pass", "pw", "auth", "secret"].iter().any(|word| text.contains(word))
}
