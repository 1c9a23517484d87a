//! No error shows a password.

use super::*;

#[test]
fn passwords_do_not_reach_an_error() {
    for auth in [
        "auth = { password = \"hunter2\", usrname = \"probe\" }",
        "auth = { pw = \"hunter2\" }",
        "auth = \"hunter2\"",
        "auth = [\"hunter2\"]",
        "auth = { password = [\"hunter2\"] }",
        "auth = { password = { a = \"hunter2\" } }",
        "auht = { password = \"hunter2\" }",
        "password = \"hunter2\"",
        "auth = { password = \"hunter2\\q\" }",
        "auth = { password = \"hunter2\"",
        "auth = { pass = \"hunter2\",, }",
        "auth = { password = \"\"\"a\nhunter2\\q\"\"\" }",
        "auth = { password = '''a\nhunter2''', usrname = \"probe\" }",
        "auth = { password = hunter2 }",
    ] {
        let text = with("name = \"cache\"\n", &format!("name = \"cache\"\n{auth}\n"));
        for mistake in refuse(&text) {
            let shown = format!("{mistake}\n{mistake:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

#[test]
fn what_is_no_password_is_shown() {
    let auth = "auth = { username = \"probe\", password = \"hunter2\", paswd_file = \"x\" }";
    let text = with("name = \"cache\"\n", &format!("name = \"cache\"\n{auth}\n"));
    assert_eq!(refuse(&text)[0].text, "auth = { username = \"probe\", password = …, paswd_file = … }");
}

#[test]
fn nothing_that_a_terminal_obeys_is_shown() {
    let text = with("\"master\"", "\"mas\u{7f}\u{9b}31mter\" # \u{85}");
    let shown = refuse(&text)[0].to_string();
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
}
