//! The lab itself, without the agent: what the other tests take for granted.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use etherparse::{Ipv4Header, PacketBuilder, TcpHeader};
use redirector_tests::lab::{
    CLIENT, Direction, Lab, Offload, Options, REDIS_PORT, RedisOptions, SERVERS, Segment, Sniffer, wait_for,
};
use redis::Commands as _;

const SECOND: Duration = Duration::from_secs(1);

fn lab() -> Lab {
    Lab::new(&Options::default()).unwrap()
}

fn r1() -> SocketAddrV4 {
    SocketAddrV4::new(SERVERS[0], REDIS_PORT)
}

#[test]
fn replicas_follow_the_master() {
    let lab = lab();
    let [master, replicas @ ..] = &lab.servers;
    assert_eq!(master.replication("role").unwrap(), "master");
    // WAIT is about the writes of its own connection.
    let mut connection = master.connect().unwrap();
    let _: () = connection.set("greeting", "hello").unwrap();
    let followers: u32 = redis::cmd("WAIT").arg(&[2, 1000]).query(&mut connection).unwrap();
    assert_eq!(followers, 2);
    for replica in replicas {
        assert_eq!(replica.replication("role").unwrap(), "slave");
        assert_eq!(replica.call::<String>(&["GET", "greeting"]).unwrap(), "hello", "{}", replica.name());
    }
}

#[test]
fn servers_swap_roles() {
    let lab = lab();
    let [old, new, third] = &lab.servers;
    new.promote().unwrap();
    old.follow(new.address()).unwrap();
    third.follow(new.address()).unwrap();
    for replica in [old, third] {
        replica.wait_link_up().unwrap();
        assert_eq!(replica.replication("master_host").unwrap(), new.address().ip().to_string());
    }
}

#[test]
fn a_password_is_asked_of_everybody() {
    let redis = RedisOptions { password: Some("secret".to_owned()), ..RedisOptions::default() };
    let lab = Lab::new(&Options { redis, ..Options::default() }).unwrap();
    assert_eq!(lab.redis_cli(r1(), &["PING"]).unwrap(), "PONG");
    let stranger = redirector_tests::lab::connect(&lab.client, r1(), None).unwrap().get::<_, String>("key");
    assert_eq!(stranger.unwrap_err().code(), Some("NOAUTH"));
}

#[test]
fn the_client_reaches_servers_through_the_gateway_kernel() {
    let lab = Lab::new(&Options { client_addresses: 3, ..Options::default() }).unwrap();
    for server in SERVERS {
        assert_eq!(lab.redis_cli(SocketAddrV4::new(server, REDIS_PORT), &["PING"]).unwrap(), "PONG");
    }
    // The server sees where its client comes from.
    let mut connection = lab.connect(r1()).unwrap();
    let info: String = redis::cmd("CLIENT").arg("INFO").query(&mut connection).unwrap();
    assert!(info.contains(&format!(" addr={CLIENT}:")), "{info}");

    let third = Ipv4Addr::from(u32::from(CLIENT) + 2).to_string();
    let mut ping = lab.client.command("ping");
    let ping = ping.args(["-c1", "-W1", "-I", &third, &SERVERS[2].to_string()]).output();
    // Not every host has ping.
    assert!(ping.is_err() || ping.is_ok_and(|ping| ping.status.success()));
}

#[test]
fn labs_live_side_by_side() {
    let (one, two) = (lab(), lab());
    let _: () = one.connect(r1()).unwrap().set("where", "one").unwrap();
    let _: () = two.connect(r1()).unwrap().set("where", "two").unwrap();
    assert_eq!(one.redis_cli(r1(), &["GET", "where"]).unwrap(), "one");
    drop(one);
    assert_eq!(two.redis_cli(r1(), &["GET", "where"]).unwrap(), "two");
}

#[test]
fn a_server_is_killed_hung_and_started_again() {
    let mut lab = lab();
    lab.servers[0].kill();
    let refused = lab.connect(r1()).err().unwrap();
    assert!(format!("{refused:#}").contains("refused"), "{refused:#}");
    lab.servers[0].restart(None).unwrap();
    assert_eq!(lab.redis_cli(r1(), &["PING"]).unwrap(), "PONG");

    lab.servers[0].pause().unwrap();
    assert!(lab.servers[0].call::<String>(&["PING"]).is_err());
    lab.servers[0].resume().unwrap();
    assert_eq!(lab.servers[0].call::<String>(&["PING"]).unwrap(), "PONG");

    lab.servers[0].terminate();
    assert_eq!(lab.servers[0].pid(), None);
    lab.connect(r1()).err().unwrap();
}

/// A few values in both directions, small and larger than any segment.
fn talk(lab: &Lab) {
    let mut connection = lab.connect(r1()).unwrap();
    for length in [1, 100, 5_000, 300_000] {
        let value = "x".repeat(length);
        let _: () = connection.set("value", &value).unwrap();
        assert_eq!(connection.get::<_, String>("value").unwrap(), value);
    }
}

#[test]
fn checksums_are_on_the_wire_without_offload() {
    let lab = lab();
    let ends = [&lab.client, &lab.servers[0].namespace];
    let ears = ends.map(|end| Sniffer::start(end, "eth0").unwrap());
    talk(&lab);
    for (ear, end) in ears.iter().zip(ends) {
        let sums = ear.checksums();
        assert!(sums.good > 10, "{}: {sums}", end.name());
        assert_eq!(sums.bad, 0, "{}: {sums}", end.name());
        assert_eq!(ear.missed().unwrap(), 0);
        assert_eq!(end.tcp_checksum_errors().unwrap(), 0);
    }
}

#[test]
fn open_checksums_are_not_mistaken_for_wrong_ones() {
    let lab = Lab::new(&Options { offload: Offload::On, ..Options::default() }).unwrap();
    let ear = Sniffer::start(&lab.client, "eth0").unwrap();
    talk(&lab);
    let sums = ear.checksums();
    assert!(sums.open > 10, "{sums}");
    assert_eq!(sums.bad, 0, "{sums}");
}

#[test]
fn a_wrong_checksum_is_heard() {
    let lab = lab();
    let server = &lab.servers[0].namespace;
    let ear = Sniffer::start(server, "eth0").unwrap();

    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4(CLIENT.octets(), SERVERS[0].octets(), 64);
    builder.tcp(40_000, REDIS_PORT, 1, 1000).write(&mut packet, b"").unwrap();
    packet[Ipv4Header::MIN_LEN + TcpHeader::MIN_LEN - 1] ^= 1; // the urgent pointer, unused
    lab.client
        .enter(|| {
            let socket = socket2::Socket::new(
                socket2::Domain::IPV4,
                socket2::Type::RAW,
                Some(socket2::Protocol::from(libc::IPPROTO_RAW)),
            )?;
            socket.send_to(&packet, &SocketAddrV4::new(SERVERS[0], 0).into())?;
            Ok(())
        })
        .unwrap();

    wait_for("the wrong segment", SECOND, || (ear.checksums().bad > 0).then_some(())).unwrap();
    let sums = ear.checksums();
    assert_eq!(sums.bad, 1, "{sums}");
    let (frame, why) = sums.first_bad.unwrap();
    assert_eq!(why, "the TCP checksum");
    assert_eq!(frame[14..][..packet.len()].last(), packet.last());
    assert_eq!(server.tcp_checksum_errors().unwrap(), 1);
}

#[test]
fn segments_tell_what_happened_and_when() {
    let lab = lab();
    let ear = Sniffer::start(&lab.client, "eth0").unwrap();
    let nobody = SocketAddrV4::new(SERVERS[0], 9);
    let before = std::time::SystemTime::now();
    lab.connect(nobody).err().unwrap();

    let reset = ear.wait_for("a RST", SECOND, |segment| segment.has(Segment::RST)).unwrap();
    assert_eq!((reset.source, reset.direction, reset.ttl), (nobody, Direction::In, 63));
    assert!(reset.at.duration_since(before).unwrap() < SECOND);
    let flow: Vec<_> = ear
        .segments()
        .into_iter()
        .filter(|segment| segment.is_between(reset.source, reset.destination))
        .collect();
    let [syn, _] = flow[..] else { panic!("a SYN and its RST, not {flow:#?}") };
    assert!(syn.has(Segment::SYN) && syn.direction == Direction::Out);
    assert_eq!(reset.acknowledgment, syn.sequence.wrapping_add(1));
}
