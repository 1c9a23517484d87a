//! `auth`, and the password behind it.

use std::{env::VarError, path::Path};

use toml::Spanned;

use crate::config::{
    host::Passwords,
    model::{Auth, Secret},
    raw::RawAuth,
    report::Report,
};

const SOURCES: &str = "write one of password_file, password_env and password";

pub(super) fn check(
    table: &Spanned<RawAuth>,
    passwords: &dyn Passwords,
    report: &mut Report<'_>,
) -> Option<Auth> {
    let raw = table.get_ref();
    let username = match &raw.username {
        Some(name) if name.get_ref().is_empty() => {
            report.push(
                name.span(),
                "username is empty",
                "write the user's name, or remove the key for the default user",
            );
            None
        }
        name => Some(name.as_ref().map(|name| name.get_ref().clone())),
    };
    let password = password(table, passwords, report);
    Some(Auth { username: username?, password: Secret::new(password?) })
}

fn password(table: &Spanned<RawAuth>, passwords: &dyn Passwords, report: &mut Report<'_>) -> Option<String> {
    let raw = table.get_ref();
    let (password, key) = match (&raw.password, &raw.password_file, &raw.password_env) {
        (Some(literal), None, None) => (Ok(literal.get_ref().clone()), literal),
        (None, Some(path), None) => {
            let base = report.origin().parent().unwrap_or(Path::new(""));
            (from_file(&base.join(path.get_ref()), passwords), path)
        }
        (None, None, Some(name)) => (from_variable(name.get_ref(), passwords), name),
        (None, None, None) => {
            if !report.is_damaged(&table.span()) {
                report.push(table.span(), "auth has no password", SOURCES);
            }
            return None;
        }
        (Some(_), _, _) | (None, Some(_), Some(_)) => {
            report.push(table.span(), "auth has more than one password", SOURCES);
            return None;
        }
    };
    let (sentence, instead) = match password {
        Ok(password) if password.is_empty() => (
            "the password is empty".to_owned(),
            "write the password, or remove auth if the servers want none",
        ),
        Ok(password) => return Some(password),
        Err(trouble) => trouble,
    };
    report.push(key.span(), sentence, instead);
    None
}

/// A sentence, and what to write instead.
type Trouble = (String, &'static str);

fn from_file(path: &Path, passwords: &dyn Passwords) -> Result<String, Trouble> {
    match passwords.file(path) {
        Ok(mut text) => {
            // Editors end a file with a newline; it is no part of the password.
            if text.ends_with('\n') {
                text.pop();
                if text.ends_with('\r') {
                    text.pop();
                }
            }
            Ok(text)
        }
        Err(error) => Err((
            format!("password_file {} cannot be read: {error}", path.display()),
            "write the path of a readable file that holds the password",
        )),
    }
}

fn from_variable(name: &str, passwords: &dyn Passwords) -> Result<String, Trouble> {
    let instead = "set it in the environment of the agent, or write the name of one that is set";
    passwords.variable(name).map_err(|error| {
        let wrong = match error {
            VarError::NotPresent => "is not set",
            VarError::NotUnicode(_) => "is not UTF-8 text",
        };
        (format!("password_env names the variable {name:?}, which {wrong}"), instead)
    })
}
