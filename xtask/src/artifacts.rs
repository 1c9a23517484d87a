//! What cargo built, read from its `--message-format=json` lines.
//!
//! A JSON library would be the bulk of xtask's build. Cargo writes one compact object a line, and the few values
//! that we want are found by their keys.

use std::path::PathBuf;

/// An executable of one of our packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The target's name: of the library, the binary or the file in `tests/`.
    pub(crate) name: String,
    pub(crate) executable: PathBuf,
    /// Its root source file.
    pub(crate) source: PathBuf,
    /// The folder of its package, in which its tests run.
    pub(crate) package_dir: PathBuf,
    /// A test harness, not the program itself.
    pub(crate) is_test: bool,
}

impl Artifact {
    /// Reads a `compiler-artifact` message that names an executable; every other line is `None`.
    pub(crate) fn from_message(line: &str) -> Option<Self> {
        if !line.starts_with(r#"{"reason":"compiler-artifact""#) {
            return None;
        }
        let executable = string_after(line, r#""executable":"#)?.into();
        let manifest = PathBuf::from(string_after(line, r#""manifest_path":"#)?);
        // `target` and `profile` are the message's only nested objects, both without objects of their own; `target`
        // has a `test` key too (whether the target can be tested), so take the profile's.
        let (_, target) = line.split_once(r#""target":{"#)?;
        let (_, profile) = line.split_once(r#""profile":{"#)?;
        let profile = profile.split_once('}').map_or(profile, |(inside, _)| inside);
        Some(Self {
            name: string_after(target, r#""name":"#)?,
            executable,
            source: string_after(target, r#""src_path":"#)?.into(),
            package_dir: manifest.parent()?.to_path_buf(),
            is_test: profile.contains(r#""test":true"#),
        })
    }
}

/// The JSON string that follows `key`; `None` also for another kind of value, such as null.
fn string_after(text: &str, key: &str) -> Option<String> {
    let (_, rest) = text.split_once(key)?;
    let mut chars = rest.strip_prefix('"')?.chars();
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                'b' => value.push('\u{8}'),
                'f' => value.push('\u{c}'),
                // Serde escapes only control characters this way, so no surrogate pairs.
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    value.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                plain => value.push(plain),
            },
            plain => value.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST_BINARY: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///src/a%20b/tests#redirector-tests@0.1.0","manifest_path":"/src/a \"b\"/tests/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"e2e","src_path":"/src/a \"b\"/tests/tests/e2e.rs","edition":"2024","doc":false,"doctest":false,"test":true},"profile":{"opt_level":"3","debuginfo":1,"debug_assertions":false,"overflow_checks":false,"test":true},"features":[],"filenames":["/src/a \"b\"/target/release/deps/e2e-0a1b"],"executable":"/src/a \"b\"/target/release/deps/e2e-0a1b","fresh":false}"#;

    #[test]
    fn a_test_binary_is_read_with_its_package() {
        let expected = Artifact {
            name: "e2e".into(),
            executable: r#"/src/a "b"/target/release/deps/e2e-0a1b"#.into(),
            source: r#"/src/a "b"/tests/tests/e2e.rs"#.into(),
            package_dir: r#"/src/a "b"/tests"#.into(),
            is_test: true,
        };
        assert_eq!(Artifact::from_message(TEST_BINARY), Some(expected));
    }

    #[test]
    fn a_program_is_no_test_even_if_it_could_have_tests() {
        let line = TEST_BINARY
            .replace(r#""overflow_checks":false,"test":true"#, r#""overflow_checks":false,"test":false"#);
        assert_eq!(Artifact::from_message(&line).map(|artifact| artifact.is_test), Some(false));
    }

    #[test]
    fn other_messages_are_none() {
        let library = TEST_BINARY
            .replace(r#""executable":"/src/a \"b\"/target/release/deps/e2e-0a1b""#, r#""executable":null"#);
        for line in [
            library.as_str(),
            r#"{"reason":"build-finished","success":true}"#,
            "plain text of a build script",
            "",
            r#"{"reason":"compiler-artifact","executable":"cut sho"#,
        ] {
            assert_eq!(Artifact::from_message(line), None, "{line}");
        }
    }

    #[test]
    fn strings_are_unescaped() {
        let table = [
            (r#""k":"plain","#, Some("plain")),
            (r#""k":"tab\there \\ \"q\" \u0001""#, Some("tab\there \\ \"q\" \u{1}")),
            (r#""k":null"#, None),
            (r#""k":"never closed"#, None),
            (r#""k":"bad \uzzzz""#, None),
        ];
        for (text, expected) in table {
            assert_eq!(string_after(text, r#""k":"#).as_deref(), expected, "{text}");
        }
    }
}
