//! Any text gives a configuration or mistakes, never a panic.

use proptest::prelude::*;

use super::*;

/// A text is accepted, or every mistake says where it is.
fn is_answered(text: &str) {
    match check(text) {
        Ok(config) => {
            config.warnings();
        }
        Err(ConfigErrors::Unreadable { .. }) => panic!("nothing was to be read"),
        Err(ConfigErrors::Invalid(mistakes)) => {
            assert!(!mistakes.is_empty(), "refused without a word:\n{text}");
            let lines = text.matches('\n').count() + 1;
            for mistake in mistakes {
                assert!((1..=lines).contains(&mistake.line), "{mistake}");
                assert!(mistake.column >= 1);
                assert!(!mistake.sentence.is_empty() && !mistake.instead.is_empty());
            }
        }
    }
}

/// A place in the example, never within a character.
fn place() -> impl Strategy<Value = usize> {
    (0..=EXAMPLE.len()).prop_filter("a character's boundary", |&at| EXAMPLE.is_char_boundary(at))
}

/// Pieces that mean something to the grammar, which random characters seldom do.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            "\"",
            "'''",
            "\"\"\"",
            "[",
            "]",
            "[[",
            "]]",
            "{",
            "}",
            "=",
            ",",
            ".",
            "#",
            "\n",
            "\r\n",
            "\0",
            "1",
            "-1",
            "true",
            "1979-05-27",
            "inf",
            "\"\"",
            "name",
            "group",
            "[group.auth]\n",
            "server.name = 1\n",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        is_answered(&text);
    }

    #[test]
    fn any_soup_of_tokens_is_answered(pieces in prop::collection::vec(piece(), 0..40)) {
        is_answered(&pieces.concat());
    }

    #[test]
    fn any_change_of_the_example_is_answered(
        (a, b) in (place(), place()),
        piece in piece(),
    ) {
        let (from, to) = (a.min(b), a.max(b));
        // Replaced, inserted, and cut short.
        is_answered(&[&EXAMPLE[..from], &piece, &EXAMPLE[to..]].concat());
        is_answered(&[&EXAMPLE[..from], &piece, &EXAMPLE[from..]].concat());
        is_answered(&[&EXAMPLE[..from], &piece].concat());
    }

    #[test]
    fn any_value_at_any_key_is_answered(key in 0..40_usize, value in piece()) {
        let mut keys = EXAMPLE.match_indices(" = ").map(|(at, equals)| at + equals.len());
        if let Some(start) = keys.nth(key) {
            let length = EXAMPLE[start..].find([',', '\n', '}']).unwrap_or(0);
            is_answered(&[&EXAMPLE[..start], &value, &EXAMPLE[start + length..]].concat());
        }
    }
}
