//! The master changes, crashes, hangs or is disputed.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(clippy::print_stdout, reason = "figures, for whoever runs it with --nocapture")]

use std::{
    io::ErrorKind,
    time::{Duration, Instant, SystemTime},
};

use redirector_tests::{
    e2e::{Crowd, End, Fate, Gateway, Kind, Resets, ensure_all, forwarded, server, standing},
    lab::{Attach, Lab, MASTER_SERVICE, REPLICA_SERVICE, Segment, Sniffer, wait_for},
};

/// Wide enough for a busy machine; the figures come from `cargo xtask bench failover`.
const SOON: Duration = Duration::from_secs(1);
/// What the agent needs in order to take notice of what is not urgent.
const PATIENCE: Duration = Duration::from_secs(5);

/// The order of a planned change.
#[derive(Debug, Clone, Copy)]
enum Order {
    PromoteFirst,
    DemoteFirst,
}

/// Until a new connection meets `name`. A refusal in between is fine, a hang is not.
fn wait_served_by(gateway: &Gateway, name: &str) -> Duration {
    let began = Instant::now();
    wait_for(&format!("{name} to serve"), PATIENCE, || {
        gateway.server_of(MASTER_SERVICE).ok().filter(|server| *server == name).map(drop)
    })
    .unwrap();
    began.elapsed()
}

fn change_master(lab: &Lab, order: Order) -> SystemTime {
    let [old, new, _] = &lab.servers;
    match order {
        Order::PromoteFirst => {
            new.promote().unwrap();
            let at = SystemTime::now();
            old.follow(new.address()).unwrap();
            at
        }
        Order::DemoteFirst => {
            let at = SystemTime::now();
            old.follow(new.address()).unwrap();
            new.promote().unwrap();
            at
        }
    }
}

/// Every old connection ends at both ends, and the old master hears no more of any client.
fn planned_switchover(attach: Attach, order: Order) {
    let gateway = Gateway::up(attach).unwrap();
    let lab = &gateway.lab;
    let ear_at_client = Sniffer::start(&lab.client, "eth0").unwrap();
    let ear_at_old = Sniffer::start(&lab.servers[0].namespace, "eth0").unwrap();
    let crowd = Crowd::gather(&gateway, MASTER_SERVICE, 20, &Kind::ALL).unwrap();
    assert!(crowd.ends().iter().all(|ends| ends.server == lab.servers[0].address()));
    std::thread::sleep(Duration::from_millis(300));

    let changed = change_master(lab, order);
    let took = wait_served_by(&gateway, "r2");
    println!("{attach}, {order:?}: a new connection met the new master after {took:?}");
    assert!(took < SOON, "{took:?}");

    let fates = crowd.fates(SOON).unwrap();
    ensure_all(&fates, |fate| match fate.kind {
        Kind::Writer | Kind::Idle | Kind::Subscriber => fate.end == End::Reset,
        // The server itself ends those when it becomes a replica.
        Kind::Blocked => fate.end != End::Open,
    })
    .unwrap();

    // What is late would be heard by now.
    std::thread::sleep(Duration::from_millis(200));
    let (at_client, at_old) = (ear_at_client.segments(), ear_at_old.segments());
    let resets = |fate: &Fate| Resets::of(&fate.ends, &at_client, &at_old);
    ensure_all(&fates, |fate| {
        let Resets { at_client, at_server } = resets(fate);
        // None before the change, both soon after it.
        let in_time = |at: SystemTime| at.duration_since(changed).is_ok_and(|after| after < SOON);
        let told = [at_client, at_server].map(|at| at.is_some_and(in_time));
        told == [true, true] || fate.kind == Kind::Blocked && fate.end == End::Closed
    })
    .unwrap();
    let all = fates.iter().map(resets).flat_map(|resets| [resets.at_client, resets.at_server]);
    let last = all.flatten().max().unwrap().duration_since(changed).unwrap();
    println!("{attach}, {order:?}: the last RST came after {last:?}");

    // From the first RST on, the old master gets nothing but RSTs from clients.
    let brought = forwarded(&ear_at_old);
    let first = brought.iter().position(|segment| segment.has(Segment::RST)).unwrap();
    assert!(brought[..first].iter().any(|segment| segment.payload_bytes > 0), "nobody was busy");
    let later: Vec<_> = brought[first..].iter().filter(|segment| !segment.has(Segment::RST)).collect();
    assert!(later.is_empty(), "{later:#?}");
    assert_eq!(ear_at_old.missed().unwrap() + ear_at_client.missed().unwrap(), 0);

    let status = gateway.agent.status().unwrap();
    assert_eq!(standing(&status, "cache-rw", "r2").unwrap().0, "serving");
    assert_eq!(
        standing(&status, "cache-rw", "r1").unwrap(),
        ("out".to_owned(), Some("is a replica".to_owned()))
    );
}

#[test]
fn xdp_promotion_then_demotion_resets_every_old_connection() {
    planned_switchover(Attach::Xdp, Order::PromoteFirst);
}

#[test]
fn tc_promotion_then_demotion_resets_every_old_connection() {
    planned_switchover(Attach::Tc, Order::PromoteFirst);
}

#[test]
fn xdp_demotion_then_promotion_resets_every_old_connection() {
    planned_switchover(Attach::Xdp, Order::DemoteFirst);
}

#[test]
fn tc_demotion_then_promotion_resets_every_old_connection() {
    planned_switchover(Attach::Tc, Order::DemoteFirst);
}

/// A connection attempt that must be refused, at once.
fn assert_refused(gateway: &Gateway) {
    let began = Instant::now();
    let refused = gateway.client(MASTER_SERVICE).unwrap_err();
    let kind = refused.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    assert_eq!(kind, Some(ErrorKind::ConnectionRefused), "{refused:#}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

fn a_killed_master_is_refused_at_once_and_the_next_one_serves(attach: Attach) {
    let mut gateway = Gateway::up(attach).unwrap();
    let crowd = Crowd::gather(&gateway, MASTER_SERVICE, 10, &Kind::ALL).unwrap();
    gateway.lab.servers[0].kill();
    let killed = Instant::now();
    let fates = crowd.fates(SOON).unwrap();
    ensure_all(&fates, |fate| fate.end != End::Open).unwrap();
    while killed.elapsed() < Duration::from_millis(300) {
        assert_refused(&gateway);
    }
    // By now it is the datapath that refuses.
    let noticed = wait_for("the agent to notice", SOON, || {
        let status = gateway.agent.status().unwrap();
        status["services"][0]["master"].is_null().then_some(status)
    })
    .unwrap();
    assert_eq!(
        standing(&noticed, "cache-rw", "r1").unwrap(),
        ("out".to_owned(), Some("down: connection refused".to_owned()))
    );
    let refused = gateway.counter("refused_no_server").unwrap();
    assert_refused(&gateway);
    assert_eq!(gateway.counter("refused_no_server").unwrap(), refused + 1);
    // Reads go on.
    let reader = gateway.server_of(REPLICA_SERVICE).unwrap();
    assert!(["r2", "r3"].contains(&reader), "{reader}");

    gateway.lab.servers[1].promote().unwrap();
    let took = wait_served_by(&gateway, "r2");
    println!("{attach}: the next master served {took:?} after its promotion");
    assert!(took < SOON, "{took:?}");

    // The old one comes back, empty, and calls itself a master.
    gateway.lab.servers[0].restart(None).unwrap();
    wait_for("the conflict to show", PATIENCE, || {
        let status = gateway.agent.status().unwrap();
        (status["groups"][0]["conflict"] == serde_json::json!(["r1"])).then_some(())
    })
    .unwrap();
    let ear = Sniffer::start(&gateway.lab.servers[0].namespace, "eth0").unwrap();
    for _ in 0..10 {
        assert_eq!(gateway.server_of(MASTER_SERVICE).unwrap(), "r2");
    }
    assert!(forwarded(&ear).is_empty());
}

#[test]
fn xdp_a_killed_master_is_refused_at_once_and_the_next_one_serves() {
    a_killed_master_is_refused_at_once_and_the_next_one_serves(Attach::Xdp);
}

#[test]
fn tc_a_killed_master_is_refused_at_once_and_the_next_one_serves() {
    a_killed_master_is_refused_at_once_and_the_next_one_serves(Attach::Tc);
}

/// A master that hangs: its kernel still takes connections, so only the missing answers tell.
#[test]
fn a_hanging_master_loses_its_service() {
    let gateway = Gateway::up(Attach::Xdp).unwrap();
    let crowd = Crowd::gather(&gateway, MASTER_SERVICE, 5, &[Kind::Idle, Kind::Subscriber]).unwrap();
    gateway.lab.servers[0].pause().unwrap();
    let status = wait_for("the verdict", PATIENCE, || {
        let status = gateway.agent.status().unwrap();
        status["services"][0]["master"].is_null().then_some(status)
    })
    .unwrap();
    assert_eq!(server(&status, "r1").unwrap()["failure"], "no reply in time");
    let fates = crowd.fates(SOON).unwrap();
    ensure_all(&fates, |fate| fate.end == End::Reset).unwrap();
    assert_refused(&gateway);

    gateway.lab.servers[0].resume().unwrap();
    wait_served_by(&gateway, "r1");
}

fn two_claim_to_be_master_and_the_incumbent_stays(attach: Attach) {
    let gateway = Gateway::up(attach).unwrap();
    let rival = &gateway.lab.servers[1];
    let mut client = gateway.client(MASTER_SERVICE).unwrap();
    let ear = Sniffer::start(&rival.namespace, "eth0").unwrap();
    rival.promote().unwrap();
    let status = wait_for("the conflict to show", PATIENCE, || {
        let status = gateway.agent.status().unwrap();
        (status["groups"][0]["conflict"] == serde_json::json!(["r2"])).then_some(status)
    })
    .unwrap();
    assert_eq!(status["services"][0]["master"], "r1");
    let quarantined = Some(("out".to_owned(), Some("claims to be master beside r1".to_owned())));
    assert_eq!(standing(&status, "cache-rw", "r2"), quarantined);
    assert_eq!(standing(&status, "cache-ro", "r2"), quarantined);
    let table = gateway.agent.cli(&["status"]).unwrap().stdout;
    assert!(table.contains("CONFLICT: also claiming to be master: r2"), "{table}");

    // Whoever was just being answered by it has been by now.
    std::thread::sleep(Duration::from_millis(100));
    ear.clear();
    for _ in 0..20 {
        assert_eq!(gateway.server_of(MASTER_SERVICE).unwrap(), "r1");
        assert_eq!(gateway.server_of(REPLICA_SERVICE).unwrap(), "r3");
    }
    assert_eq!(client.call::<String>(&["SET", "still", "here"]).unwrap(), "OK");
    assert!(forwarded(&ear).is_empty(), "{:#?}", forwarded(&ear));

    rival.follow(gateway.lab.servers[0].address()).unwrap();
    wait_for("the conflict to end", PATIENCE, || {
        let status = gateway.agent.status().unwrap();
        let serves = standing(&status, "cache-ro", "r2")?.0 == "serving";
        (serves && status["groups"][0]["conflict"] == serde_json::json!([])).then_some(())
    })
    .unwrap();
    assert_eq!(client.call::<String>(&["GET", "still"]).unwrap(), "here");
}

#[test]
fn xdp_two_claim_to_be_master_and_the_incumbent_stays() {
    two_claim_to_be_master_and_the_incumbent_stays(Attach::Xdp);
}

#[test]
fn tc_two_claim_to_be_master_and_the_incumbent_stays() {
    two_claim_to_be_master_and_the_incumbent_stays(Attach::Tc);
}
