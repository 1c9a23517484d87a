//! The agent may die: the datapath goes on, and the next agent takes it over.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{net::SocketAddrV4, thread, time::Duration};

use redirector_tests::{
    e2e::{Benchmark, Crowd, End, Gateway, Kind, addresses, attached_programs, ensure_all, standing},
    lab::{
        Agent, AgentOptions, Attach, GATEWAY_INTERFACES, Lab, MASTER_SERVICE, Options, REPLICA_SERVICE,
        Segment, Sniffer, VIRTUAL, wait_for,
    },
};

/// How long the datapath is left alone.
const ABSENCE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum Death {
    Kill,
    Terminate,
}

/// Ends the agent, lets the datapath do without it, and starts another.
fn die_and_return(gateway: &mut Gateway, how: Death) {
    match how {
        Death::Kill => gateway.agent.kill(),
        Death::Terminate => {
            let status = gateway.agent.stop().unwrap();
            assert!(status.success(), "{status}");
        }
    }
    let unreachable = gateway.agent.cli(&["status"]).unwrap();
    assert_eq!(unreachable.code, Some(3), "{unreachable:?}");
    thread::sleep(ABSENCE);
    assert_eq!(gateway.server_of(MASTER_SERVICE).unwrap(), "r1");
    assert!(["r2", "r3"].contains(&gateway.server_of(REPLICA_SERVICE).unwrap()));
    gateway.agent.restart().unwrap();
    gateway.agent.wait_ready().unwrap();
}

fn epochs(gateway: &Gateway) -> Vec<u64> {
    let status = gateway.agent.status().unwrap();
    status["services"].as_array().unwrap().iter().map(|service| service["epoch"].as_u64().unwrap()).collect()
}

fn a_benchmark_does_not_notice(attach: Attach) {
    let mut gateway = Gateway::up(attach).unwrap();
    let mut idle = gateway.client(MASTER_SERVICE).unwrap();
    let ends = idle.ends().unwrap();
    let (before, refusals) = (epochs(&gateway), gateway.refusals().unwrap());
    let client = gateway.lab.client.clone();
    let load =
        thread::spawn(move || Benchmark { clients: 50, requests: 200_000 }.run(&client, MASTER_SERVICE));

    for how in [Death::Kill, Death::Terminate, Death::Kill] {
        thread::sleep(ABSENCE);
        die_and_return(&mut gateway, how);
        assert!(!load.is_finished(), "the benchmark was over before the agent was back from {how:?}");
    }
    load.join().unwrap().unwrap();

    assert_eq!(gateway.lab.client.tcp_counter("EstabResets").unwrap(), 0);
    assert_eq!(gateway.refusals().unwrap(), refusals);
    assert_eq!(epochs(&gateway), before);
    assert_eq!(idle.ends().unwrap(), ends);
    let adoptions = gateway.agent.log().matches("adopted the flows").count();
    assert_eq!(adoptions, 3, "{}", gateway.agent.log());
}

#[test]
fn xdp_a_benchmark_does_not_notice() {
    a_benchmark_does_not_notice(Attach::Xdp);
}

#[test]
fn tc_a_benchmark_does_not_notice() {
    a_benchmark_does_not_notice(Attach::Tc);
}

fn quiet_connections_do_not_notice(attach: Attach) {
    let mut gateway = Gateway::up(attach).unwrap();
    let kinds = [Kind::Idle, Kind::Subscriber, Kind::Blocked];
    let crowds = [MASTER_SERVICE, REPLICA_SERVICE].map(|service| {
        // A replica refuses to block.
        let kinds = if service == MASTER_SERVICE { &kinds[..] } else { &kinds[..2] };
        Crowd::gather(&gateway, service, 5, kinds).unwrap()
    });
    let before = epochs(&gateway);
    let ears: Vec<Sniffer> = [&gateway.lab.client]
        .into_iter()
        .chain(gateway.lab.servers.iter().map(|server| &server.namespace))
        .map(|end| Sniffer::start(end, "eth0").unwrap())
        .collect();

    for how in [Death::Kill, Death::Terminate] {
        die_and_return(&mut gateway, how);
        assert_eq!(epochs(&gateway), before);
    }
    // The first regular rounds of all probes, and a collection of flows.
    thread::sleep(Duration::from_secs(6));

    let ports: Vec<SocketAddrV4> =
        crowds.iter().flat_map(Crowd::ends).flat_map(|ends| [ends.client, ends.translated]).collect();
    for ear in &ears {
        let resets: Vec<Segment> = ear
            .segments()
            .into_iter()
            .filter(|segment| segment.has(Segment::RST))
            .filter(|segment| ports.contains(&segment.source) || ports.contains(&segment.destination))
            .collect();
        assert!(resets.is_empty(), "{resets:#?}");
    }
    for crowd in crowds {
        let fates = crowd.fates(Duration::from_millis(1)).unwrap();
        ensure_all(&fates, |fate| fate.end == End::Open).unwrap();
    }
}

#[test]
fn xdp_quiet_connections_do_not_notice() {
    quiet_connections_do_not_notice(Attach::Xdp);
}

#[test]
fn tc_quiet_connections_do_not_notice() {
    quiet_connections_do_not_notice(Attach::Tc);
}

/// What has changed while no agent was there is put right by the next one.
#[test]
fn a_switchover_that_nobody_saw_is_made_up_for() {
    let mut gateway = Gateway::up(Attach::Xdp).unwrap();
    let crowd = Crowd::gather(&gateway, MASTER_SERVICE, 5, &[Kind::Idle, Kind::Subscriber]).unwrap();
    let before = epochs(&gateway);
    gateway.agent.kill();
    let [old, new, third] = &gateway.lab.servers;
    new.promote().unwrap();
    old.follow(new.address()).unwrap();
    third.follow(new.address()).unwrap();
    for replica in [old, third] {
        replica.wait_link_up().unwrap();
    }
    assert_eq!(gateway.server_of(MASTER_SERVICE).unwrap(), "r1", "nobody has told the datapath");

    gateway.agent.restart().unwrap();
    wait_for("r2 to serve", PATIENCE, || {
        gateway.server_of(MASTER_SERVICE).ok().filter(|server| *server == "r2").map(drop)
    })
    .unwrap();
    let fates = crowd.fates(PATIENCE).unwrap();
    ensure_all(&fates, |fate| fate.end == End::Reset).unwrap();
    assert!(epochs(&gateway)[0] > before[0]);
}

fn a_second_agent_is_refused(attach: Attach) {
    let gateway = Gateway::up(attach).unwrap();
    let mut client = gateway.client(MASTER_SERVICE).unwrap();
    let options = AgentOptions { name: "second".to_owned(), attach, ..AgentOptions::default() };
    let mut second = Agent::start(&gateway.lab, &options).unwrap();
    let status = second.wait_exit().unwrap();
    assert_eq!(status.code(), Some(1));
    let pins = gateway.lab.claim().pins();
    let sentence = format!(
        "another redirector already steers the maps in {}: stop it, or give this one `pins` of its own",
        pins.display()
    );
    assert!(second.log().contains(&sentence), "{}", second.log());
    let detached = second.cli_with_config(&["detach"]).unwrap();
    assert_eq!(detached.code, Some(1));
    assert!(detached.stderr.contains(&sentence), "{detached:?}");

    assert!(pins.exists());
    assert!(addresses(&gateway.lab.gateway).unwrap().contains(&(VIRTUAL, "eth0".to_owned())));
    assert_eq!(client.call::<String>(&["SET", "still", "here"]).unwrap(), "OK");
    assert_eq!(gateway.server_of(MASTER_SERVICE).unwrap(), "r1");
    assert!(gateway.agent.is_ready());
}

#[test]
fn xdp_a_second_agent_is_refused() {
    a_second_agent_is_refused(Attach::Xdp);
}

#[test]
fn tc_a_second_agent_is_refused() {
    a_second_agent_is_refused(Attach::Tc);
}

/// The kernel lets go of a link a moment after its last pin.
fn wait_programs(gateway: &Gateway, expected: &[String]) {
    wait_for(&format!("the programs to be {expected:?}"), PATIENCE, || {
        (attached_programs(&gateway.lab.gateway).unwrap() == expected).then_some(())
    })
    .unwrap();
}

fn detach_leaves_nothing(attach: Attach) {
    let mut gateway = Gateway::up(attach).unwrap();
    let pins = gateway.lab.claim().pins();
    let programs: Vec<String> =
        GATEWAY_INTERFACES.iter().map(|interface| format!("{interface} {attach}")).collect();
    wait_programs(&gateway, &programs);
    gateway.agent.stop().unwrap();
    wait_programs(&gateway, &programs);
    let mut client = gateway.client(MASTER_SERVICE).unwrap();

    let detached = gateway.agent.cli_with_config(&["detach"]).unwrap();
    assert_eq!(detached.code, Some(0), "{detached:?}");
    assert!(detached.stdout.contains(&format!("removed virtual address {VIRTUAL}")), "{detached:?}");
    assert!(!pins.exists());
    // It has waited for the kernel to let go.
    assert_eq!(attached_programs(&gateway.lab.gateway).unwrap(), [""; 0]);
    let held = addresses(&gateway.lab.gateway).unwrap();
    assert!(held.iter().all(|(address, _)| *address != VIRTUAL), "{held:?}");
    assert!(gateway.client(MASTER_SERVICE).is_err());
    assert_ne!(client.end(Duration::from_millis(1)).unwrap(), End::Closed);

    let again = gateway.agent.cli_with_config(&["detach"]).unwrap();
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "nothing was attached\n"));
    gateway.agent.restart().unwrap();
    gateway.agent.wait_ready().unwrap();
    assert_eq!(gateway.server_of(MASTER_SERVICE).unwrap(), "r1");
}

#[test]
fn xdp_detach_leaves_nothing() {
    detach_leaves_nothing(Attach::Xdp);
}

#[test]
fn tc_detach_leaves_nothing() {
    detach_leaves_nothing(Attach::Tc);
}

/// An address that was there before is not the agent's to take away.
#[test]
fn detach_leaves_an_address_of_somebody_else() {
    let lab = Lab::new(&Options::default()).unwrap();
    lab.gateway.ip(&[format!("address add {VIRTUAL}/32 dev eth0")]).unwrap();
    let mut agent = Agent::start(&lab, &AgentOptions::default()).unwrap();
    agent.wait_ready().unwrap();
    agent.stop().unwrap();
    assert_eq!(agent.cli_with_config(&["detach"]).unwrap().code, Some(0));
    assert!(addresses(&lab.gateway).unwrap().contains(&(VIRTUAL, "eth0".to_owned())));
}

/// An agent that is refused at the last of its interfaces leaves the others as it has found them.
#[test]
fn a_refused_restart_takes_back_what_it_has_attached() {
    let lab = Lab::new(&Options::default()).unwrap();
    // A bridge has no native XDP.
    lab.gateway.ip(&["link add bridge0 type bridge", "link set bridge0 up"]).unwrap();
    let options = AgentOptions::default();
    let whole = options.config_text(&lab).unwrap();
    let config = Some(whole.replace(", \"s3\"]", "]"));
    let mut agent = Agent::start(&lab, &AgentOptions { config, ..options }).unwrap();
    agent.wait_ready().unwrap();
    let mut gateway = Gateway { agent, lab };
    let programs = ["eth0 xdp", "s1 xdp", "s2 xdp"].map(str::to_owned);
    wait_programs(&gateway, &programs);
    let mut client = gateway.client(MASTER_SERVICE).unwrap();

    gateway.agent.stop().unwrap();
    std::fs::write(gateway.agent.config_path(), whole.replace("\"s3\"]", "\"s3\", \"bridge0\"]")).unwrap();
    gateway.agent.restart().unwrap();
    assert_eq!(gateway.agent.wait_exit().unwrap().code(), Some(1));
    let sentence = "interface bridge0 cannot run native XDP";
    assert!(gateway.agent.log().contains(sentence), "{}", gateway.agent.log());
    wait_programs(&gateway, &programs);
    assert_eq!(client.call::<String>(&["SET", "still", "here"]).unwrap(), "OK");
    assert_eq!(gateway.server_of(MASTER_SERVICE).unwrap(), "r1");
}

/// Another hook, another configuration: what is attached follows, and connections live on.
#[test]
fn a_restart_with_another_hook_replaces_the_programs() {
    let lab = Lab::new(&Options::default()).unwrap();
    let mut agent =
        Agent::start(&lab, &AgentOptions { attach: Attach::Tc, ..AgentOptions::default() }).unwrap();
    agent.wait_ready().unwrap();
    let mut gateway = Gateway { agent, lab };
    let mut client = gateway.client(MASTER_SERVICE).unwrap();
    for attach in [Attach::Xdp, Attach::Tc] {
        let text = AgentOptions { attach, ..AgentOptions::default() }.config_text(&gateway.lab).unwrap();
        std::fs::write(gateway.agent.config_path(), text).unwrap();
        gateway.agent.stop().unwrap();
        gateway.agent.restart().unwrap();
        gateway.agent.wait_ready().unwrap();
        let programs: Vec<String> =
            GATEWAY_INTERFACES.iter().map(|interface| format!("{interface} {attach}")).collect();
        wait_programs(&gateway, &programs);
        assert_eq!(client.call::<String>(&["SET", "still", "here"]).unwrap(), "OK");
        let status = gateway.agent.status().unwrap();
        assert_eq!(standing(&status, "cache-rw", "r1").unwrap().0, "serving");
    }
}
