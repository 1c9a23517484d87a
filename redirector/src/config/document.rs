//! Text → [`RawFile`]: syntax, keys and types, each mistake with its place.
//!
//! Serde stops at the first mistake. So keys are looked at before serde sees the document, and a
//! value of the wrong type is reported, taken out, and the rest tried again.

use std::ops::Range;

use serde::Deserialize as _;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::{self, Kind, Shape},
    raw::RawFile,
    report::{self, Report, write_one_of},
    secrets, suggest,
    unsupported::refusal,
};

/// What the text says, or nothing if it is no TOML at all. Mistakes go into the report.
pub(super) fn read(text: &str, report: &mut Report<'_>) -> Option<RawFile> {
    let mut document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().unwrap_or(0..0);
            if let Some(secret) = secrets::in_broken_line(text, at.start) {
                report.hide(secret);
            }
            let sentence = format!("this is not TOML: {}", error.message());
            report.push(at, sentence, "see https://toml.io for the syntax");
            return None;
        }
    };
    for secret in secrets::in_document(document.get_ref()) {
        report.hide(secret);
    }
    screen(document.get_mut(), &report::FILE, &keys::FILE, report);
    deserialize(document, report)
}

/// Reports and removes every key that has no place in `table`.
fn screen(table: &mut DeTable<'_>, span: &Range<usize>, kind: &Kind, report: &mut Report<'_>) {
    let known = (kind.keys)();
    let mut refused = Vec::new();
    for (spanned, value) in table.iter_mut() {
        let key = spanned.get_ref().as_ref();
        let keep = if let Some(refusal) = refusal(kind.name, key, value.get_ref().as_str()) {
            report.push(spanned.span(), refusal.sentence, refusal.instead);
            false
        } else if known.contains(&key) {
            screen_value(key, value, kind, report)
        } else {
            let sentence = format!("{} has no key {key:?}", kind.name);
            let meant = suggest::nearest(key, known.iter().copied());
            report.push(spanned.span(), sentence, write_one_of(meant, known));
            false
        };
        if !keep {
            refused.push(key.to_owned());
        }
    }
    if !refused.is_empty() {
        report.damage(span.clone());
    }
    for key in refused {
        table.remove(key.as_str());
    }
}

/// Screens the tables below a known key. Whether the value has the shape that the key asks for.
fn screen_value(key: &str, value: &mut Spanned<DeValue<'_>>, kind: &Kind, report: &mut Report<'_>) -> bool {
    let Some(inner) = kind.inner.iter().find(|inner| inner.key == key) else {
        return true;
    };
    let span = value.span();
    match (inner.shape, value.get_mut()) {
        (Shape::One, DeValue::Table(table)) => {
            screen(table, &span, inner.kind, report);
            true
        }
        (Shape::Many, DeValue::Array(elements))
            if elements.iter().all(|element| element.get_ref().is_table()) =>
        {
            for element in elements.iter_mut() {
                let span = element.span();
                if let DeValue::Table(table) = element.get_mut() {
                    screen(table, &span, inner.kind, report);
                }
            }
            true
        }
        (_, other) => {
            let found = match (inner.shape, &*other) {
                (Shape::Many, DeValue::Array(_)) => "an array with other things than tables",
                (_, other) => type_name(other),
            };
            report.push(span, format!("{key:?} is {found}"), inner.instead);
            false
        }
    }
}

/// Deserialises the document, as often as it takes to find every value of the wrong type.
fn deserialize(mut document: Spanned<DeTable<'_>>, report: &mut Report<'_>) -> Option<RawFile> {
    loop {
        let error = match RawFile::deserialize(toml::Deserializer::from(document.clone())) {
            Ok(raw) => return Some(raw),
            Err(error) => error,
        };
        let at = error.span().unwrap_or(0..0);
        let Some(removed) = take_out(document.get_mut(), &report::FILE, &at) else {
            // Not a value that we can put our finger on: better a dry sentence than none.
            report.push(at, error.message(), "write a value of the expected type");
            return None;
        };
        let expected = expected(error.message());
        report.push(at, format!("{:?} is {}", removed.key, removed.found), format!("write {expected}"));
        report.damage(removed.table);
    }
}

/// A value that serde refused.
struct Removed {
    key: String,
    found: &'static str,
    table: Range<usize>,
}

/// Removes the innermost key whose value covers `at`.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>, at: &Range<usize>) -> Option<Removed> {
    let mut hit = None;
    for (key, value) in table.iter_mut() {
        let value_span = value.span();
        let inner = take_out_of_value(value, at);
        if inner.is_some() {
            return inner;
        }
        if value_span.start <= at.start && at.end <= value_span.end {
            let found = if value.get_ref().is_array() && value_span != *at {
                "an array with values of another type"
            } else {
                type_name(value.get_ref())
            };
            hit = Some((key.get_ref().to_string(), found));
            break;
        }
    }
    let (key, found) = hit?;
    table.remove(key.as_str());
    Some(Removed { key, found, table: span.clone() })
}

/// The same for the table, or the tables of the array, that a key holds.
fn take_out_of_value(value: &mut Spanned<DeValue<'_>>, at: &Range<usize>) -> Option<Removed> {
    let span = value.span();
    if let DeValue::Table(table) = value.get_mut() {
        take_out(table, &span, at)
    } else if let DeValue::Array(elements) = value.get_mut() {
        elements.iter_mut().find_map(|element| take_out_of_value(element, at))
    } else {
        None
    }
}

/// With its article, as a sentence wants it.
fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The type that serde asks for in "invalid type: …, expected …". The value in the message is left
/// out: it may be a password.
fn expected(message: &str) -> &'static str {
    match message.rsplit_once("expected ").map(|(_, what)| what) {
        Some("a string") => "a string in quotes",
        Some("i64") => "an integer",
        Some("a boolean") => "true or false",
        Some("a sequence") => "an array of strings",
        _ => "a value that fits",
    }
}
