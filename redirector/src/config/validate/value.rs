//! Single values: required, one of several words, a number or a duration within bounds.

use std::{
    ops::{Range, RangeInclusive},
    time::Duration,
};

use toml::Spanned;

use crate::config::{
    duration::{self, Typed},
    report::{Report, write_one_of},
    suggest,
};

/// The value of a key that must be there. `owner` starts the sentence, `example` ends it.
pub(super) fn required<'r, T>(
    field: Option<&'r Spanned<T>>,
    owner: &str,
    key: &str,
    table: &Range<usize>,
    example: &str,
    report: &mut Report<'_>,
) -> Option<&'r Spanned<T>> {
    if field.is_none() && !report.is_damaged(table) {
        report.push(table.clone(), format!("{owner} has no {key:?}"), format!("write {key} = {example}"));
    }
    field
}

/// One of a set of words, or the default if the key is absent.
pub(super) fn choice<T: Copy>(
    field: Option<&Spanned<String>>,
    key: &str,
    default: T,
    choices: &[(&str, T)],
    report: &mut Report<'_>,
) -> Option<T> {
    match field {
        None => Some(default),
        Some(word) => chosen(word, key, choices, report),
    }
}

/// The meaning of one of a set of words.
pub(super) fn chosen<T: Copy>(
    word: &Spanned<String>,
    key: &str,
    choices: &[(&str, T)],
    report: &mut Report<'_>,
) -> Option<T> {
    let text = word.get_ref();
    let meaning = choices.iter().find(|(known, _)| known == text);
    if meaning.is_none() {
        let known: Vec<&str> = choices.iter().map(|&(known, _)| known).collect();
        report.push(
            word.span(),
            format!("{key} = {text:?} is unknown"),
            write_one_of(suggest::nearest(text, known.iter().copied()), &known),
        );
    }
    meaning.map(|&(_, meaning)| meaning)
}

/// A whole number within `bounds`, or the default if the key is absent.
pub(super) fn number<T: TryFrom<i64>>(
    field: Option<&Spanned<i64>>,
    key: &str,
    default: T,
    bounds: RangeInclusive<i64>,
    report: &mut Report<'_>,
) -> Option<T> {
    let Some(number) = field else {
        return Some(default);
    };
    let value = *number.get_ref();
    let within = bounds.contains(&value).then(|| T::try_from(value).ok()).flatten();
    if within.is_none() {
        report.push(
            number.span(),
            format!("{key} = {value} is out of range"),
            format!("write {} to {}", bounds.start(), bounds.end()),
        );
    }
    within
}

/// A duration within `bounds`, or the default if the key is absent.
pub(super) fn duration(
    field: Option<&Spanned<String>>,
    key: &str,
    default: Duration,
    bounds: RangeInclusive<Duration>,
    report: &mut Report<'_>,
) -> Option<Duration> {
    let Some(text) = field else {
        return Some(default);
    };
    let (sentence, instead) = match duration::parse(text.get_ref()) {
        Some(duration) if bounds.contains(&duration) => return Some(duration),
        Some(_) => (
            format!("{key} = {:?} is out of range", text.get_ref()),
            format!("write {} to {}", Typed(*bounds.start()), Typed(*bounds.end())),
        ),
        None => (
            format!("{key} = {:?} is no duration", text.get_ref()),
            "write a whole number and ms, s, m or h, such as \"500ms\"".to_owned(),
        ),
    };
    report.push(text.span(), sentence, instead);
    None
}
