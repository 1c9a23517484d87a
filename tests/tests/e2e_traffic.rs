//! Real clients through the virtual address, at both hooks.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(clippy::print_stdout, reason = "figures, for whoever runs it with --nocapture")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use redirector_tests::{
    e2e::{Benchmark, Client, Gateway, cpu_time},
    lab::{AgentOptions, Attach, MASTER_SERVICE, Namespace, Offload, Options, REPLICA_SERVICE, Sniffer},
};
use redis::Value;

const MEGABYTE: usize = 1 << 20;

fn writes_go_to_the_master_and_reads_to_replicas_by_weight(attach: Attach) {
    let gateway = Gateway::up(attach).unwrap();
    let lab = &gateway.lab;
    assert_eq!(lab.redis_cli(MASTER_SERVICE, &["SET", "greeting", "hello"]).unwrap(), "OK");
    assert_eq!(lab.servers[0].call::<String>(&["GET", "greeting"]).unwrap(), "hello");
    assert_eq!(gateway.shares(MASTER_SERVICE, 20).unwrap(), BTreeMap::from([("r1", 20)]));

    let refused = lab.redis_cli(REPLICA_SERVICE, &["SET", "greeting", "nobody"]).unwrap_err().to_string();
    assert!(refused.contains("READONLY"), "{refused}");
    assert_eq!(gateway.shares(REPLICA_SERVICE, 100).unwrap(), BTreeMap::from([("r2", 70), ("r3", 30)]));
}

#[test]
fn xdp_sends_writes_to_the_master_and_reads_to_replicas_by_weight() {
    writes_go_to_the_master_and_reads_to_replicas_by_weight(Attach::Xdp);
}

#[test]
fn tc_sends_writes_to_the_master_and_reads_to_replicas_by_weight() {
    writes_go_to_the_master_and_reads_to_replicas_by_weight(Attach::Tc);
}

/// `calls=` of a command in `INFO commandstats`.
fn calls(gateway: &Gateway, server: usize, command: &str) -> u64 {
    let text: String = gateway.lab.servers[server].call(&["INFO", "commandstats"]).unwrap();
    let prefix = format!("cmdstat_{command}:calls=");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

fn benchmark_without_an_error_and_without_user_space(attach: Attach) {
    let gateway = Gateway::up(attach).unwrap();
    let pid = gateway.agent.pid().unwrap();
    let refusals = gateway.refusals().unwrap();
    let (began, used_before) = (Instant::now(), cpu_time(pid).unwrap());
    let load = Benchmark { clients: 50, requests: 200_000 };
    load.run(&gateway.lab.client, MASTER_SERVICE).unwrap();
    let (took, used) = (began.elapsed(), cpu_time(pid).unwrap().saturating_sub(used_before));

    println!("{attach}: 400000 requests in {took:.1?}; the agent used {used:?}");
    assert!(used.as_secs_f64() < 0.05 * took.as_secs_f64(), "the agent used {used:?} of {took:?}");
    assert_eq!(calls(&gateway, 0, "set"), load.requests);
    assert_eq!(calls(&gateway, 0, "get"), load.requests);
    assert_eq!(gateway.refusals().unwrap(), refusals);
    assert_eq!(gateway.lab.client.tcp_counter("EstabResets").unwrap(), 0);
}

#[test]
fn xdp_benchmark_without_an_error_and_without_user_space() {
    benchmark_without_an_error_and_without_user_space(Attach::Xdp);
}

#[test]
fn tc_benchmark_without_an_error_and_without_user_space() {
    benchmark_without_an_error_and_without_user_space(Attach::Tc);
}

/// Bytes that a mistake in the middle would not leave alike.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect()
}

fn values_of_all_sizes(gateway: &Gateway) {
    let mut client = gateway.client(MASTER_SERVICE).unwrap();
    for length in [0, 1, 64, 1460, 1461, 65_536, MEGABYTE] {
        let value = pattern(length);
        client.call::<()>(&[&b"SET"[..], b"value", &value]).unwrap();
        let back: Vec<u8> = client.call(&["GET", "value"]).unwrap();
        assert!(back == value, "a value of {length} bytes came back as another");
        let kept: Vec<u8> = gateway.lab.servers[0].call(&["GET", "value"]).unwrap();
        assert!(kept == value, "a value of {length} bytes arrived as another");
    }
}

fn pipelines(gateway: &Gateway) {
    const DEPTH: i64 = 1000;
    let mut client = gateway.client(MASTER_SERVICE).unwrap();
    for _ in 0..DEPTH {
        client.send(&["INCR", "counter"]).unwrap();
    }
    for expected in 1..=DEPTH {
        assert_eq!(client.reply().unwrap(), Value::Int(expected));
    }
}

fn text(value: &str) -> Value {
    Value::BulkString(value.into())
}

fn messages(gateway: &Gateway) {
    let mut subscriber = gateway.client(MASTER_SERVICE).unwrap();
    subscriber.send(&["SUBSCRIBE", "news"]).unwrap();
    let done = Value::Array(vec![text("subscribe"), text("news"), Value::Int(1)]);
    assert_eq!(subscriber.reply().unwrap(), done);
    let mut publisher = gateway.client(MASTER_SERVICE).unwrap();
    for number in 0..100 {
        let news = format!("number {number}");
        assert_eq!(publisher.call::<i64>(&["PUBLISH", "news", &news]).unwrap(), 1);
        let message = Value::Array(vec![text("message"), text("news"), text(&news)]);
        assert_eq!(subscriber.reply().unwrap(), message);
    }
}

fn blocked(gateway: &Gateway) {
    let mut waiter = gateway.client(MASTER_SERVICE).unwrap();
    waiter.send(&["BLPOP", "queue", "0"]).unwrap();
    let mut worker = gateway.client(MASTER_SERVICE).unwrap();
    let is_blocked = |worker: &mut Client| {
        let info: String = worker.call(&["INFO", "clients"]).unwrap();
        // The agent's own watch is the other one.
        info.contains("blocked_clients:2")
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_blocked(&mut worker) {
        assert!(Instant::now() < deadline, "BLPOP did not block");
    }
    worker.call::<i64>(&["RPUSH", "queue", "work"]).unwrap();
    assert_eq!(waiter.reply().unwrap(), Value::Array(vec![text("queue"), text("work")]));
}

/// Every kind of traffic, heard at every end. How many frames had a finished checksum.
fn all_kinds_of_traffic(attach: Attach, offload: Offload) -> u64 {
    let lab = Options { offload, ..Options::default() };
    let gateway = Gateway::with(&lab, &AgentOptions { attach, ..AgentOptions::default() }).unwrap();
    let servers = gateway.lab.servers.iter().map(|server| &server.namespace);
    let ends: Vec<&Namespace> = [&gateway.lab.client].into_iter().chain(servers).collect();
    let ears: Vec<Sniffer> = ends.iter().map(|end| Sniffer::start(end, "eth0").unwrap()).collect();

    values_of_all_sizes(&gateway);
    pipelines(&gateway);
    messages(&gateway);
    blocked(&gateway);
    gateway.shares(REPLICA_SERVICE, 20).unwrap();
    let load = Benchmark { clients: 20, requests: 2000 };
    load.run(&gateway.lab.client, MASTER_SERVICE).unwrap();

    for (ear, end) in ears.iter().zip(&ends) {
        let sums = ear.checksums();
        assert_eq!(sums.bad, 0, "{}: {sums}", end.name());
        assert_eq!(ear.missed().unwrap(), 0, "{}", end.name());
        assert_eq!(end.tcp_checksum_errors().unwrap(), 0, "{}", end.name());
    }
    assert_eq!(gateway.lab.gateway.tcp_checksum_errors().unwrap(), 0);
    ears.iter().map(|ear| ear.checksums().good).sum()
}

/// At least the benchmark's requests and answers; how many of the other frames GRO merges is the host's affair.
const HEARD: u64 = 4000;

#[test]
fn xdp_all_kinds_of_traffic_with_right_checksums() {
    let heard = all_kinds_of_traffic(Attach::Xdp, Offload::Off);
    assert!(heard > HEARD, "{heard} frames");
}

#[test]
fn tc_all_kinds_of_traffic_with_right_checksums() {
    let heard = all_kinds_of_traffic(Attach::Tc, Offload::Off);
    assert!(heard > HEARD, "{heard} frames");
}

/// TC works with any offload setting: checksums left to the card, segments of 64 kB.
#[test]
fn tc_all_kinds_of_traffic_with_offload() {
    all_kinds_of_traffic(Attach::Tc, Offload::On);
}

/// Asked for by name only: it is slower than TC. Its links are pinned like the others.
#[test]
fn generic_xdp_serves_and_stays() {
    let mut gateway = Gateway::up(Attach::XdpGeneric).unwrap();
    gateway.agent.kill();
    let load = Benchmark { clients: 5, requests: 500 };
    load.run(&gateway.lab.client, MASTER_SERVICE).unwrap();
    gateway.agent.restart().unwrap();
    gateway.agent.wait_ready().unwrap();
    load.run(&gateway.lab.client, MASTER_SERVICE).unwrap();
}
