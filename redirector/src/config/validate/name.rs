//! Names of groups, servers and services.

use std::collections::HashSet;

use toml::Spanned;

use crate::config::{limits::MAX_NAME_BYTES, report::Report};

/// Reports a name that is ill formed. `what` is "group", "server" or "service".
pub(super) fn check(name: &Spanned<String>, what: &str, report: &mut Report<'_>) -> Option<String> {
    let text = name.get_ref();
    let instead = "write letters, digits, '.', '_' and '-' only";
    let (sentence, instead) = if text.is_empty() {
        (format!("a {what} has an empty name"), instead.to_owned())
    } else if let Some(odd) = text.chars().find(|&c| !is_name_char(c)) {
        // '/' above all: the admin socket's commands say "group/server".
        (format!("the name of {what} {text:?} contains {odd:?}"), instead.to_owned())
    } else if text.len() > MAX_NAME_BYTES {
        (
            format!("the name of {what} {text:?} is too long"),
            format!("write {MAX_NAME_BYTES} characters at most"),
        )
    } else {
        return Some(text.clone());
    };
    report.push(name.span(), sentence, instead);
    None
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Reports every name that an earlier one has taken.
pub(super) fn check_unique<'r>(
    names: impl IntoIterator<Item = &'r Spanned<String>>,
    what: &str,
    place: &str,
    report: &mut Report<'_>,
) {
    let mut taken = HashSet::new();
    for name in names {
        if !taken.insert(name.get_ref()) {
            report.push(
                name.span(),
                format!("{what} {:?} is defined twice{place}", name.get_ref()),
                "write another name",
            );
        }
    }
}
