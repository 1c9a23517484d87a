//! From a file's text and a configuration to what is in force, and back.

use std::path::Path;

use super::*;
use crate::config::{self, Host, HostPasswords};

const CONFIG: &str = r#"
[gateway]
interfaces = ["eth0"]
[[group]]
name = "cache"
server = [
  { name = "r1", address = "10.0.1.11:6379" },
  { name = "r2", address = "10.0.1.12:6379", weight = 70 },
]
[[group]]
name = "queue"
server = [{ name = "r1", address = "10.0.1.21:6379" }]
[[service]]
name = "rw"
listen = "10.0.0.100:6379"
group = "cache"
route = "master"
"#;

fn config() -> Config {
    let host = Host { ephemeral_ports: 32768..=60999 };
    config::parse(CONFIG, Path::new("test.toml"), &host, &HostPasswords).expect("good")
}

const ROOT: Origin = Origin { since: 1_800_000_000, uid: 0, pid: Some(7) };
const LATER: Origin = Origin { since: 1_800_000_100, uid: 1000, pid: None };

fn weight(value: u16) -> Overrides {
    Overrides { weight: Some(Order { value, origin: ROOT }), state: None }
}

fn state(value: Operator) -> Overrides {
    Overrides { weight: None, state: Some(Order { value, origin: LATER }) }
}

fn document(entries: &[(&str, &str, Overrides)]) -> Document {
    let entry = |&(group, server, overrides): &(&str, &str, Overrides)| Entry {
        group: group.to_owned(),
        server: server.to_owned(),
        overrides,
    };
    Document { entries: entries.iter().map(entry).collect() }
}

#[test]
fn texts_are_documents_or_say_what_is_wrong() {
    let order = r#"{"value": 5, "since": 1800000000, "uid": 0, "pid": 7}"#;
    let file = |overrides: &str| {
        format!(r#"{{"format": "redirector-state", "version": 1, "overrides": [{overrides}]}}"#)
    };
    let damaged = |text: String| (text, Err("it is damaged"));
    let foreign = |text: &str| (text.to_owned(), Err("it is not a state file of redirector"));
    let good = file(&format!(r#"{{"group": "cache", "server": "r2", "weight": {order}}}"#));
    for (text, expected) in [
        (file(""), Ok(Document::default())),
        (good.clone(), Ok(document(&[("cache", "r2", weight(5))]))),
        (
            file(
                r#"{"group":"cache","server":"r1","state":{"value":"maint","since":1800000100,"uid":1000}}"#,
            ),
            Ok(document(&[("cache", "r1", state(Operator::Maint))])),
        ),
        damaged(String::new()),
        damaged(good[..good.len() / 2].to_owned()),
        damaged(good[..good.len() - 1].to_owned()),
        damaged(format!("{good}{good}")),
        damaged("\0\0\0\0".to_owned()),
        damaged(file(r#"{"group": "cache"}"#)),
        damaged(file(&format!(
            r#"{{"group": "cache", "server": "r2", "weight": {}}}"#,
            order.replace('5', "257")
        ))),
        damaged(file(&format!(
            r#"{{"group": "cache", "server": "r2", "weight": {}}}"#,
            order.replace('5', "-1")
        ))),
        damaged(file(&format!(
            r#"{{"group": "cache", "server": "r2", "state": {}}}"#,
            order.replace('5', "\"gone\"")
        ))),
        damaged(r#"{"format": "redirector-state", "version": 1}"#.to_owned()),
        foreign("[]"),
        foreign("null"),
        foreign(r#"{"overrides": []}"#),
        foreign(r#"{"format": "other", "version": 1, "overrides": []}"#),
        foreign(r#"{"format": "redirector-state", "version": "1", "overrides": []}"#),
        (
            r#"{"format": "redirector-state", "version": 2, "more": {}}"#.to_owned(),
            Err("it is of version 2, and this redirector knows version 1"),
        ),
        (r#"{"format": "redirector-state", "version": 0}"#.to_owned(), Err("it is of version 0")),
    ] {
        match (Document::parse(text.as_bytes()), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(why), Err(beginning)) => assert!(why.to_string().starts_with(beginning), "{text}: {why}"),
            (found, expected) => assert!(found.is_ok() == expected.is_ok(), "{text}: {found:?}"),
        }
    }
    assert!(matches!(Document::parse(b"{\"format\": \"\xff\"}"), Err(Unusable::Damaged(_))));
}

#[test]
fn a_document_survives_its_text_and_no_part_of_it_passes_for_the_whole() {
    let both = Overrides { state: state(Operator::Drain).state, ..weight(0) };
    let before = document(&[("cache", "r2", both), ("queue", "r1", weight(256))]);
    let text = before.render().expect("a text");
    assert_eq!(Document::parse(&text), Ok(before));
    // The last byte is the end of the line.
    for length in 0..text.len() - 1 {
        assert!(matches!(Document::parse(&text[..length]), Err(Unusable::Damaged(_))), "{length} bytes");
    }
}

#[test]
fn what_fits_the_configuration_is_in_force() {
    let none = Overrides::default();
    let both = Overrides { state: state(Operator::Maint).state, ..weight(5) };
    for (what, entries, cache, queue, unknown) in [
        ("nothing", &[][..], [none; 2], none, &[][..]),
        ("a weight", &[("cache", "r2", weight(5))], [none, weight(5)], none, &[]),
        ("both", &[("cache", "r1", both)], [both, none], none, &[]),
        ("a namesake in another group", &[("queue", "r1", both)], [none; 2], both, &[]),
        ("the configured weight", &[("cache", "r2", weight(70))], [none; 2], none, &[]),
        ("the configured state", &[("cache", "r2", state(Operator::Ready))], [none; 2], none, &[]),
        (
            "a weight that is now configured, and a state",
            &[("cache", "r2", Overrides { state: state(Operator::Drain).state, ..weight(70) })],
            [none, state(Operator::Drain)],
            none,
            &[],
        ),
        (
            "unknown ones",
            &[("cache", "r9", both), ("old", "r1", both), ("cache", "r1", both)],
            [both, none],
            none,
            &["cache/r9", "old/r1"],
        ),
    ] {
        let merged = merge(&document(entries), &config());
        assert_eq!(merged.servers, [cache.to_vec(), vec![queue]], "{what}");
        assert_eq!(merged.unknown, unknown, "{what}");
    }
}

#[test]
fn an_order_lasts_until_another_one_or_the_configured_value() {
    let mut overrides = Overrides::default();
    let weight = |overrides: &mut Overrides, value, origin| {
        overrides.set_weight(Order { value, origin }, 70);
        overrides.weight.map(|order| (order.value, order.origin))
    };
    assert_eq!(weight(&mut overrides, 5, ROOT), Some((5, ROOT)));
    assert_eq!(weight(&mut overrides, 5, LATER), Some((5, ROOT)), "it has been so since");
    assert_eq!(weight(&mut overrides, 6, LATER), Some((6, LATER)));
    assert_eq!(weight(&mut overrides, 70, ROOT), None);

    overrides.set_state(Order { value: Operator::Maint, origin: ROOT });
    assert_eq!(overrides.state.map(|order| order.value), Some(Operator::Maint));
    overrides.set_state(Order { value: Operator::Ready, origin: ROOT });
    assert_eq!(overrides, Overrides::default());
}

#[test]
fn ages_are_never_negative() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(ROOT.age(at(ROOT.since + 5)), Duration::from_secs(5));
    assert_eq!(ROOT.age(at(0)), Duration::ZERO);
}
