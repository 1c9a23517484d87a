//! What an operator types, and what becomes of it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, SystemTime},
};

use redirector_tests::{
    e2e::{Client, Crowd, End, Ends, Gateway, Kind, ensure_all, server, standing},
    lab::{Agent, AgentOptions, Attach, CliOutput, Lab, MASTER_SERVICE, Options, REPLICA_SERVICE, wait_for},
};
use serde_json::{Value, json};

/// For what the agent does before it answers, or just after.
const SOON: Duration = Duration::from_secs(1);

/// A command that succeeds without a word.
fn type_in(gateway: &Gateway, words: &[&str]) {
    let output = gateway.agent.cli(words).unwrap();
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (Some(0), "", ""), "{words:?}");
}

fn reads(gateway: &Gateway, connections: usize) -> BTreeMap<&str, usize> {
    gateway.shares(REPLICA_SERVICE, connections).unwrap()
}

/// A connection to the replica of that name.
fn reader_of(gateway: &Gateway, name: &str) -> (Client, Ends) {
    loop {
        let mut client = gateway.client(REPLICA_SERVICE).unwrap();
        let ends = client.ends().unwrap();
        if gateway.name_of(ends.server).unwrap() == name {
            return (client, ends);
        }
    }
}

fn weights_change_the_shares_of_new_connections(attach: Attach) {
    let gateway = Gateway::up(attach).unwrap();
    let (mut old, ends) = reader_of(&gateway, "r2");
    for (weight, connections, shares) in [
        // Over 30 for r3.
        ("10", 40, &[("r2", 10), ("r3", 30)][..]),
        ("50%", 130, &[("r2", 70), ("r3", 60)]),
        ("0", 20, &[("r3", 20)]),
        ("256", 143, &[("r2", 128), ("r3", 15)]),
        ("100%", 100, &[("r2", 70), ("r3", 30)]),
    ] {
        type_in(&gateway, &["weight", "cache/r2", weight]);
        assert_eq!(reads(&gateway, connections), shares.iter().copied().collect(), "weight {weight}");
    }
    // A service names its servers just as well as the group does.
    type_in(&gateway, &["weight", "cache-ro/r3", "70"]);
    assert_eq!(reads(&gateway, 20), BTreeMap::from([("r2", 10), ("r3", 10)]));
    assert_eq!(old.ends().unwrap(), ends, "an old connection has nothing to do with weights");
    assert_eq!(gateway.shares(MASTER_SERVICE, 10).unwrap(), BTreeMap::from([("r1", 10)]));

    let status = gateway.agent.status().unwrap();
    let r3 = server(&status, "r3").unwrap();
    assert_eq!((&r3["weight"], &r3["configured_weight"]), (&json!(70), &json!(30)));
}

#[test]
fn xdp_weights_change_the_shares_of_new_connections() {
    weights_change_the_shares_of_new_connections(Attach::Xdp);
}

#[test]
fn tc_weights_change_the_shares_of_new_connections() {
    weights_change_the_shares_of_new_connections(Attach::Tc);
}

fn drain_lets_old_connections_finish_and_maint_does_not(attach: Attach) {
    let gateway = Gateway::up(attach).unwrap();
    let (mut old, ends) = reader_of(&gateway, "r2");
    let state = |word: &str| type_in(&gateway, &["state", "cache/r2", word]);
    let stands = || standing(&gateway.agent.status().unwrap(), "cache-ro", "r2").unwrap();

    state("drain");
    assert_eq!(stands(), ("draining".to_owned(), Some("drained by the operator".to_owned())));
    assert_eq!(reads(&gateway, 20), BTreeMap::from([("r3", 20)]));
    assert_eq!(old.ends().unwrap(), ends);

    // It may change its mind.
    state("ready");
    assert_eq!(stands(), ("serving".to_owned(), None));
    assert_eq!(reads(&gateway, 100), BTreeMap::from([("r2", 70), ("r3", 30)]));
    assert_eq!(old.ends().unwrap(), ends);

    let (mut other, _) = reader_of(&gateway, "r3");
    state("maint");
    assert_eq!(stands(), ("out".to_owned(), Some("in maintenance".to_owned())));
    assert_eq!(old.end(SOON).unwrap(), End::Reset);
    assert_eq!(reads(&gateway, 20), BTreeMap::from([("r3", 20)]));
    assert_eq!(gateway.name_of(other.ends().unwrap().server).unwrap(), "r3", "r3 has nothing to do with it");

    state("ready");
    assert_eq!(reads(&gateway, 100), BTreeMap::from([("r2", 70), ("r3", 30)]));
}

#[test]
fn xdp_drain_lets_old_connections_finish_and_maint_does_not() {
    drain_lets_old_connections_finish_and_maint_does_not(Attach::Xdp);
}

#[test]
fn tc_drain_lets_old_connections_finish_and_maint_does_not() {
    drain_lets_old_connections_finish_and_maint_does_not(Attach::Tc);
}

/// Without a replica, reads go to the master, until replicas are back.
#[test]
fn reads_fall_back_to_the_master() {
    let gateway = Gateway::up(Attach::Xdp).unwrap();
    let crowd = Crowd::gather(&gateway, REPLICA_SERVICE, 5, &[Kind::Idle, Kind::Subscriber]).unwrap();
    for replica in ["cache/r2", "cache/r3"] {
        type_in(&gateway, &["state", replica, "maint"]);
    }
    let fates = crowd.fates(SOON).unwrap();
    ensure_all(&fates, |fate| fate.end == End::Reset).unwrap();
    assert_eq!(reads(&gateway, 5), BTreeMap::from([("r1", 5)]));
    let status = gateway.agent.status().unwrap();
    let note = Some("is the master; no replica is left".to_owned());
    assert_eq!(standing(&status, "cache-ro", "r1"), Some(("serving".to_owned(), note)));

    let mut fallen_back = gateway.client(REPLICA_SERVICE).unwrap();
    type_in(&gateway, &["state", "cache/r3", "ready"]);
    assert_eq!(reads(&gateway, 5), BTreeMap::from([("r3", 5)]));
    assert_eq!(gateway.name_of(fallen_back.ends().unwrap().server).unwrap(), "r1", "it may finish there");
}

/// Maintenance of the master takes its service away: nobody else is the master.
#[test]
fn a_master_in_maintenance_is_refused() {
    let gateway = Gateway::up(Attach::Xdp).unwrap();
    let mut client = gateway.client(MASTER_SERVICE).unwrap();
    type_in(&gateway, &["state", "cache-rw/r1", "maint"]);
    assert_eq!(client.end(SOON).unwrap(), End::Reset);
    let refused = gateway.client(MASTER_SERVICE).unwrap_err();
    assert!(format!("{refused:#}").contains("refused"), "{refused:#}");
    type_in(&gateway, &["state", "cache-rw/r1", "ready"]);
    assert_eq!(gateway.server_of(MASTER_SERVICE).unwrap(), "r1");
}

/// What the operator has ordered for a server: setting, configured, ordered.
fn orders(gateway: &Gateway, name: &str) -> Vec<[String; 3]> {
    let status = gateway.agent.status().unwrap();
    let orders = server(&status, name).unwrap()["overrides"].as_array().unwrap().clone();
    let word = |order: &Value, key: &str| order[key].as_str().unwrap().to_owned();
    orders.iter().map(|order| ["setting", "configured", "ordered"].map(|key| word(order, key))).collect()
}

fn warnings(gateway: &Gateway) -> Vec<String> {
    serde_json::from_value(gateway.agent.status().unwrap()["warnings"].clone()).unwrap()
}

/// Neither a crash nor a restart sends traffic to a server in maintenance.
#[test]
fn weights_and_states_survive_the_agent() {
    let mut gateway = Gateway::up(Attach::Xdp).unwrap();
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    type_in(&gateway, &["state", "cache/r2", "maint"]);
    type_in(&gateway, &["weight", "cache/r1", "5"]);
    type_in(&gateway, &["weight", "cache-ro/r3", "50%"]);
    let given = server(&gateway.agent.status().unwrap(), "r2").unwrap()["overrides"][0].clone();
    assert!((before..before + 60).contains(&given["since"].as_u64().unwrap()), "{given}");
    assert_eq!(given["uid"], 0);
    assert!(given["pid"].as_u64().is_some_and(|pid| pid > 0), "{given}");

    for kill in [true, false, true] {
        if kill {
            gateway.agent.kill();
        } else {
            assert!(gateway.agent.stop().unwrap().success());
        }
        gateway.agent.restart().unwrap();
        gateway.agent.wait_ready().unwrap();
        let status = gateway.agent.status().unwrap();
        let stands = standing(&status, "cache-ro", "r2").unwrap();
        assert_eq!(stands, ("out".to_owned(), Some("in maintenance".to_owned())));
        assert_eq!(reads(&gateway, 20), BTreeMap::from([("r3", 20)]));
        assert_eq!(server(&status, "r2").unwrap()["overrides"][0]["since"], given["since"]);
        let weight = |configured: &str, ordered: &str| ["weight", configured, ordered].map(str::to_owned);
        assert_eq!(orders(&gateway, "r1"), [weight("100", "5")]);
        assert_eq!(orders(&gateway, "r2"), [["state", "ready", "maint"].map(str::to_owned)]);
        assert_eq!(orders(&gateway, "r3"), [weight("30", "15")]);
        assert_eq!(warnings(&gateway), [""; 0]);
    }
    let table = gateway.agent.cli(&["status"]).unwrap().stdout;
    assert!(table.contains("state of cache/r2") && table.contains("user 0, process "), "{table}");

    // Back to the configuration, there is nothing left to remember.
    type_in(&gateway, &["state", "cache/r2", "ready"]);
    type_in(&gateway, &["weight", "cache/r3", "30"]);
    type_in(&gateway, &["weight", "cache/r1", "100%"]);
    gateway.agent.kill();
    gateway.agent.restart().unwrap();
    gateway.agent.wait_ready().unwrap();
    for name in ["r1", "r2", "r3"] {
        assert_eq!(orders(&gateway, name), [[""; 3]; 0], "{name}");
    }
    assert_eq!(reads(&gateway, 100), BTreeMap::from([("r2", 70), ("r3", 30)]));
}

/// A file that was cut short costs the orders in it, and nothing else.
#[test]
fn a_damaged_state_file_is_reported_and_moved_aside() {
    let mut gateway = Gateway::up(Attach::Tc).unwrap();
    let mut client = gateway.client(MASTER_SERVICE).unwrap();
    type_in(&gateway, &["weight", "cache/r2", "5"]);
    assert!(gateway.agent.stop().unwrap().success());
    let path = gateway.lab.claim().path("state.json");
    let text = fs::read_to_string(&path).unwrap();
    let half = &text[..text.len() / 2];
    fs::write(&path, half).unwrap();

    gateway.agent.restart().unwrap();
    gateway.agent.wait_ready().unwrap();
    let aside = gateway.lab.claim().path("state.json.bad");
    assert_eq!(fs::read_to_string(&aside).unwrap(), half);
    assert!(!path.exists());
    let said = warnings(&gateway);
    let beginning = format!("the state file {} is not used: it is damaged (", path.display());
    assert!(said.len() == 1 && said[0].starts_with(&beginning), "{said:?}");
    assert!(said[0].ends_with(&format!("the file is now {}", aside.display())), "{said:?}");
    assert!(gateway.agent.log().contains(&said[0]), "{}", gateway.agent.log());
    let table = gateway.agent.cli(&["status"]).unwrap().stdout;
    assert!(table.contains(&format!("WARNING: {beginning}")), "{table}");

    assert_eq!(client.call::<String>(&["SET", "still", "here"]).unwrap(), "OK");
    assert_eq!(gateway.server_of(MASTER_SERVICE).unwrap(), "r1");
    assert_eq!(reads(&gateway, 100), BTreeMap::from([("r2", 70), ("r3", 30)]));
    // The next order is kept again.
    type_in(&gateway, &["state", "cache/r3", "drain"]);
    gateway.agent.kill();
    gateway.agent.restart().unwrap();
    gateway.agent.wait_ready().unwrap();
    assert_eq!(warnings(&gateway), [""; 0]);
    assert_eq!(reads(&gateway, 10), BTreeMap::from([("r2", 10)]));
}

/// An order is carried out whether or not it can be kept, and says which.
#[test]
fn an_order_that_cannot_be_kept_says_so() {
    let gateway = Gateway::up(Attach::Tc).unwrap();
    // Root may write anywhere, but not through a folder in the way.
    let obstacle = gateway.lab.claim().path("state.json.new");
    fs::create_dir(&obstacle).unwrap();
    let output = gateway.agent.cli(&["state", "cache/r2", "drain"]).unwrap();
    assert_eq!(output.code, Some(0), "{output:?}");
    let sentence = "done, but it will not survive a restart of the agent: cannot write ";
    assert!(output.stdout.starts_with(sentence), "{output:?}");
    assert_eq!(reads(&gateway, 5), BTreeMap::from([("r3", 5)]));
    let said = warnings(&gateway);
    assert!(said[0].starts_with("weights and states will not survive a restart: "), "{said:?}");

    // The same order again is kept as soon as it can be.
    fs::remove_dir(&obstacle).unwrap();
    type_in(&gateway, &["state", "cache/r2", "drain"]);
    assert_eq!(warnings(&gateway), [""; 0]);
    let kept = fs::read_to_string(gateway.lab.claim().path("state.json")).unwrap();
    assert!(kept.contains("\"drain\""), "{kept}");
}

#[test]
fn without_a_state_file_orders_end_with_the_agent() {
    let lab = Lab::new(&Options::default()).unwrap();
    let options = AgentOptions::default();
    let path = lab.claim().path("state.json");
    let kept = format!("state_file = \"{}\"", path.display());
    let text = options.config_text(&lab).unwrap();
    assert!(text.contains(&kept), "{text}");
    let config = Some(text.replace(&kept, "state_file = \"\""));
    let mut agent = Agent::start(&lab, &AgentOptions { config, ..options }).unwrap();
    agent.wait_ready().unwrap();
    let mut gateway = Gateway { agent, lab };
    type_in(&gateway, &["state", "cache/r2", "drain"]);
    assert_eq!(orders(&gateway, "r2"), [["state", "ready", "drain"].map(str::to_owned)]);
    gateway.agent.kill();
    gateway.agent.restart().unwrap();
    gateway.agent.wait_ready().unwrap();
    assert_eq!(orders(&gateway, "r2"), [[""; 3]; 0]);
    assert!(!path.exists());
}

#[test]
fn status_tells_people_who_serves_and_why() {
    let gateway = Gateway::up(Attach::Tc).unwrap();
    type_in(&gateway, &["state", "cache/r3", "drain"]);
    type_in(&gateway, &["weight", "cache/r2", "35"]);
    let output = gateway.agent.cli(&["status"]).unwrap();
    assert_eq!(output.code, Some(0));
    // Columns are as wide as their content: compare words.
    let lines: Vec<String> =
        output.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let has = |beginning: &str| lines.iter().any(|line| line.starts_with(beginning));
    for beginning in [
        "service cache-rw 10.0.0.100:6379 master of cache epoch ",
        "server standing weight connections so far because",
        "r1 serving 100 ",
        "r2 out - 0 0 is a replica",
        "service cache-ro 10.0.0.100:6380 replicas of cache epoch ",
        "r1 draining - 0 0 is the master; replicas serve",
        "r2 serving 35 ",
        "r3 draining - ",
        "group cache master r1: ",
        "r1 10.0.1.11:6379 up ",
        "r2 10.0.1.12:6379 up ",
        "r3 10.0.1.13:6379 up ",
        "agent ",
    ] {
        assert!(has(beginning), "no line begins with {beginning:?}:\n{}", output.stdout);
    }
    assert!(output.stdout.contains("drained by the operator"), "{}", output.stdout);
    assert!(output.stdout.contains("35 (configured 70)"), "{}", output.stdout);
    assert!(output.stdout.contains("eth0 (tc), s1 (tc), s2 (tc), s3 (tc)"), "{}", output.stdout);
}

#[test]
fn status_tells_programs_the_same() {
    let gateway = Gateway::up(Attach::Xdp).unwrap();
    let output = gateway.agent.cli(&["status", "--json"]).unwrap();
    assert_eq!((output.code, output.stdout.lines().count()), (Some(0), 1), "{output:?}");
    let status = gateway.agent.status().unwrap();
    assert_eq!(status["pid"], gateway.agent.pid().unwrap());
    assert!(status["uptime_s"].is_u64() && status["version"].is_string());
    let interfaces = ["eth0", "s1", "s2", "s3"].map(|name| json!({ "name": name, "hook": "xdp" }));
    assert_eq!(status["interfaces"], json!(interfaces));

    let group = &status["groups"][0];
    assert_eq!((&group["name"], &group["master"]), (&json!("cache"), &json!("r1")));
    assert_eq!(group["conflict"], json!([]));
    for (name, role, link_up, weight) in [
        ("r1", "master", json!(null), 100),
        ("r2", "replica", json!(true), 70),
        ("r3", "replica", json!(true), 30),
    ] {
        let server = server(&status, name).unwrap();
        for (key, expected) in [
            ("health", json!("up")),
            ("role", json!(role)),
            ("link_up", link_up),
            ("weight", json!(weight)),
            ("configured_weight", json!(weight)),
            ("state", json!("ready")),
            ("failure", json!(null)),
        ] {
            assert_eq!(server[key], expected, "{name} {key}");
        }
        assert!(server["latency_us"].is_u64() && server["offset"].is_u64() && server["for_s"].is_u64());
    }
    for (at, name, listen, route) in
        [(0, "cache-rw", "10.0.0.100:6379", "master"), (1, "cache-ro", "10.0.0.100:6380", "replicas")]
    {
        let service = &status["services"][at];
        assert_eq!(service["name"], name);
        assert_eq!(service["listen"], listen);
        assert_eq!(service["route"], route);
        assert_eq!(service["group"], "cache");
        assert_eq!(service["master"], "r1");
        assert!(service["epoch"].as_u64().unwrap() > 0);
        assert_eq!(service["members"].as_array().unwrap().len(), 3);
    }
    assert!(gateway.counter("flow_created").unwrap() > 0);
    assert!(gateway.counter("to_server").unwrap() > 0);
    assert!(gateway.counter("to_client").unwrap() > 0);
}

/// What `status` tells of a server in a service.
fn member(gateway: &Gateway, service: usize, name: &str) -> Value {
    let status = gateway.agent.status().unwrap();
    let members = status["services"][service]["members"].as_array().unwrap().clone();
    members.into_iter().find(|member| member["server"] == name).unwrap()
}

/// Connections, packets and bytes are counted where they went; refusals at the service.
fn accounts_are_kept(attach: Attach) {
    let mut gateway = Gateway::up(attach).unwrap();
    let before = member(&gateway, 0, "r1");
    let mut clients: Vec<_> = (0..3).map(|_| gateway.client(MASTER_SERVICE).unwrap()).collect();
    for client in &mut clients {
        client.call::<()>(&["SET", "key", &"x".repeat(1000)]).unwrap();
    }
    let after = member(&gateway, 0, "r1");
    let grown =
        |key: &str| after["traffic"][key].as_u64().unwrap() - before["traffic"][key].as_u64().unwrap();
    assert_eq!((after["connections"].as_u64(), grown("connections")), (Some(3), 3), "{after}");
    assert!(grown("packets_to_server") >= 9 && grown("packets_to_client") >= 6, "{after}");
    assert!(grown("bytes_to_server") > 3000 && grown("bytes_to_client") > 300, "{after}");
    assert_eq!(member(&gateway, 0, "r2")["traffic"]["packets_to_server"], 0, "nothing went there");

    drop(clients);
    let gone = || (member(&gateway, 0, "r1")["connections"] == 0).then_some(());
    wait_for("the connections to be over", Duration::from_secs(5), gone).unwrap();

    gateway.lab.servers[0].kill();
    let refused = || {
        let _ = gateway.client(MASTER_SERVICE);
        let status = gateway.agent.status().ok()?;
        (status["services"][0]["refused"].as_u64()? > 0).then_some(())
    };
    wait_for("a refusal to be counted", Duration::from_secs(5), refused).unwrap();
}

#[test]
fn xdp_accounts_are_kept() {
    accounts_are_kept(Attach::Xdp);
}

#[test]
fn tc_accounts_are_kept() {
    accounts_are_kept(Attach::Tc);
}

#[test]
fn exit_codes_and_sentences() {
    let mut gateway = Gateway::up(Attach::Tc).unwrap();
    let known = "there are cache/r1, cache/r2, cache/r3";
    for (words, code, sentence) in [
        (&["status"][..], 0, ""),
        (&["weight", "cache/r9", "5"], 1, "there is no server cache/r9; "),
        (&["weight", "cache/r9", "5"], 1, known),
        (&["state", "other/r1", "drain"], 1, known),
        (&["weight", "cache/r1", "257"], 1, "weight \"257\" is not one; write 0 to 256"),
        (&["weight", "r1", "5"], 1, "\"r1\" names no server; write GROUP/SERVER"),
        (&["state", "cache/r1", "gone"], 2, "[possible values: ready, drain, maint]"),
        (&["weight", "cache/r1"], 2, "Usage: "),
        (&["statsu"], 2, "unrecognized subcommand 'statsu'"),
    ] {
        let output = gateway.agent.cli(words).unwrap();
        assert_eq!(output.code, Some(code), "{words:?}: {output:?}");
        assert!(output.stderr.contains(sentence), "{words:?}: {output:?}");
    }
    let check = gateway.agent.cli_with_config(&["check"]).unwrap();
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.stdout.contains("is a good configuration: services 2, servers 3"), "{check:?}");
    // By the configuration the agent is found, too.
    assert_eq!(gateway.agent.cli_with_config(&["status"]).unwrap().code, Some(0));

    gateway.agent.stop().unwrap();
    let nobody = format!("no agent answers on {}", gateway.agent.socket().display());
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["weight", "cache/r2", "1"],
        &["state", "cache/r2", "drain"],
    ] {
        let CliOutput { code, stdout, stderr } = gateway.agent.cli(words).unwrap();
        assert_eq!((code, stdout.as_str()), (Some(3), ""), "{words:?}");
        assert!(stderr.contains(&nobody), "{words:?}: {stderr}");
    }
}
