//! What the programs cost the kernel does not grow unnoticed.

#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use redirector_tests::golden::verifier::{Sheet, path};

#[test]
fn the_programs_have_not_grown() {
    let text = std::fs::read_to_string(path()).expect("the figures are in the repository");
    let held = Sheet::parse(&text).expect("the figures are readable");
    let grown = Sheet::measure().grown_since(&held);
    assert!(grown.is_empty(), "{}", grown.join("\n"));
}
