//! What is no service's goes through the programs as if they were not there, and what only looks
//! like a service's is turned away.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use redirector_tests::{
    e2e::{Client, Echo, Gateway, ping, send_segment},
    lab::{
        Agent, AgentOptions, Attach, CLIENT, GATEWAY, Lab, MASTER_SERVICE, Options, REPLICA_SERVICE, SERVERS,
        Segment, Sniffer, VIRTUAL,
    },
};

const SOON: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// Where no service is.
const PORT: u16 = 7000;

/// A megabyte to the gateway's own listener and back.
fn talk_to_the_gateway(gateway: &Gateway, address: SocketAddrV4) {
    let listener = gateway.lab.gateway.enter(|| Ok(TcpListener::bind(address)?)).unwrap();
    let said = vec![0x5a; 1 << 20];
    let length = said.len();
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = vec![0; length];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(&heard).unwrap();
    });
    let connect = || Ok(TcpStream::connect_timeout(&address.into(), PATIENCE)?);
    let mut stream = gateway.lab.client.enter(connect).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&said).unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer == said);
    echo.join().unwrap();
}

fn other_traffic_is_untouched(attach: Attach) {
    let gateway = Gateway::up(attach).unwrap();
    let lab = &gateway.lab;
    // The longer one comes in fragments.
    for length in [0, 56, 4000] {
        let payload = vec![0xa5; length];
        for to in [VIRTUAL, GATEWAY, SERVERS[2]] {
            let echo = ping(&lab.client, to, &payload).unwrap();
            assert!(echo == Echo { from: to, payload: payload.clone() }, "{length} bytes to {to}");
        }
    }
    for ip in [GATEWAY, VIRTUAL] {
        talk_to_the_gateway(&gateway, SocketAddrV4::new(ip, PORT));
        let nobody = Client::connect(&lab.client, SocketAddrV4::new(ip, PORT + 1)).unwrap_err();
        assert!(nobody.to_string().contains("refused"), "{nobody}");
    }
    // The port of a service, but not its protocol.
    let hear = || {
        let socket = UdpSocket::bind(MASTER_SERVICE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    };
    let socket = lab.gateway.enter(hear).unwrap();
    let say = || Ok(UdpSocket::bind((CLIENT, PORT))?.send_to(b"hello", MASTER_SERVICE)?);
    lab.client.enter(say).unwrap();
    let mut heard = [0; 16];
    let (length, from) = socket.recv_from(&mut heard).unwrap();
    assert_eq!((&heard[..length], from), (&b"hello"[..], SocketAddrV4::new(CLIENT, PORT).into()));

    // Past the services: the server sees the client as it is.
    let ends = Client::connect(&lab.client, lab.servers[1].address()).unwrap().ends().unwrap();
    assert_eq!(ends.translated, ends.client);
}

#[test]
fn xdp_other_traffic_is_untouched() {
    other_traffic_is_untouched(Attach::Xdp);
}

#[test]
fn tc_other_traffic_is_untouched() {
    other_traffic_is_untouched(Attach::Tc);
}

/// The servers replicate through the gateway's kernel, on interfaces that carry the programs.
fn replication_flows(attach: Attach) {
    let mut gateway = Gateway::up(attach).unwrap();
    let mut client = gateway.client(MASTER_SERVICE).unwrap();
    let value = vec![b'v'; 100_000];
    for key in 0..50 {
        client.call::<()>(&[&b"SET"[..], format!("key{key}").as_bytes(), &value]).unwrap();
    }
    assert_eq!(client.call::<i64>(&["WAIT", "2", "5000"]).unwrap(), 2);

    // A full copy, too.
    let master = gateway.lab.servers[0].address();
    gateway.lab.servers[2].restart(Some(master)).unwrap();
    gateway.lab.servers[2].wait_link_up().unwrap();
    for replica in &gateway.lab.servers[1..] {
        assert_eq!(replica.call::<i64>(&["DBSIZE"]).unwrap(), 50, "{}", replica.name());
        assert!(replica.call::<Vec<u8>>(&["GET", "key49"]).unwrap() == value, "{}", replica.name());
    }
}

#[test]
fn xdp_replication_flows() {
    replication_flows(Attach::Xdp);
}

#[test]
fn tc_replication_flows() {
    replication_flows(Attach::Tc);
}

/// A client that sits on a server, also on the one that it is sent to.
fn servers_are_clients_too(attach: Attach) {
    let gateway = Gateway::up(attach).unwrap();
    for server in &gateway.lab.servers {
        let mut client = Client::connect(&server.namespace, MASTER_SERVICE).unwrap();
        assert_eq!(client.ends().unwrap().server, gateway.lab.servers[0].address(), "{}", server.name());
        let value = "x".repeat(100_000);
        client.call::<()>(&["SET", "key", &value]).unwrap();
        assert_eq!(client.call::<String>(&["GET", "key"]).unwrap(), value);
        let readers = (0..10).map(|_| {
            let mut client = Client::connect(&server.namespace, REPLICA_SERVICE).unwrap();
            client.ends().unwrap().server
        });
        let of_r2 = readers.filter(|reader| *reader == gateway.lab.servers[1].address()).count();
        assert_eq!(of_r2, 7, "{}", server.name());
    }
}

#[test]
fn xdp_servers_are_clients_too() {
    servers_are_clients_too(Attach::Xdp);
}

#[test]
fn tc_servers_are_clients_too() {
    servers_are_clients_too(Attach::Tc);
}

/// Segments that open nothing and belong to nothing: a RST at the number that its sender expects
/// (RFC 9293 §3.10.7.1), and none for a RST.
fn strangers_are_reset(attach: Attach) {
    const SEQUENCE: u32 = 1_000_000;
    const ACKNOWLEDGED: u32 = 2_000_000;
    let gateway = Gateway::up(attach).unwrap();
    let client = &gateway.lab.client;
    let ear = Sniffer::start(client, "eth0").unwrap();
    let servers: Vec<Sniffer> =
        gateway.lab.servers.iter().map(|server| Sniffer::start(&server.namespace, "eth0").unwrap()).collect();
    let before = gateway.counter("reset_no_flow").unwrap();

    let mut port = 20_000;
    let mut stranger = |flags: u8, payload: &[u8]| {
        port += 1;
        let from = SocketAddrV4::new(CLIENT, port);
        let set = |tcp: &mut etherparse::TcpHeader| {
            tcp.sequence_number = SEQUENCE;
            tcp.acknowledgment_number = ACKNOWLEDGED;
            (tcp.syn, tcp.ack) = (flags & Segment::SYN != 0, flags & Segment::ACK != 0);
            (tcp.fin, tcp.rst) = (flags & Segment::FIN != 0, flags & Segment::RST != 0);
        };
        send_segment(client, from, MASTER_SERVICE, set, payload).unwrap();
        from
    };
    let resets = [
        (Segment::ACK, &b""[..]),
        (Segment::ACK, b"*1\r\n$4\r\nPING\r\n"),
        (Segment::FIN | Segment::ACK, b""),
        (Segment::SYN | Segment::ACK, b""),
    ];
    for (flags, payload) in resets {
        let from = stranger(flags, payload);
        let what = format!("a RST for {flags:#x}");
        let reset = ear.wait_for(&what, SOON, |segment| segment.destination == from).unwrap();
        assert_eq!((reset.source, reset.flags), (MASTER_SERVICE, Segment::RST));
        assert_eq!((reset.sequence, reset.payload_bytes), (ACKNOWLEDGED, 0));
    }
    // Without an acknowledgement the RST acknowledges what it answers.
    let from = stranger(0, b"hello");
    let reset = ear.wait_for("a RST", SOON, |segment| segment.destination == from).unwrap();
    assert_eq!((reset.flags, reset.sequence), (Segment::RST | Segment::ACK, 0));
    assert_eq!(reset.acknowledgment, SEQUENCE + 5);
    assert_eq!(gateway.counter("reset_no_flow").unwrap(), before + 5);

    let dropped = gateway.counter("drop_reset").unwrap();
    let from = stranger(Segment::RST, b"");
    thread::sleep(Duration::from_millis(100));
    assert!(ear.segments().iter().all(|segment| segment.destination != from), "a RST was answered");
    assert_eq!(gateway.counter("drop_reset").unwrap(), dropped + 1);

    let is_strangers =
        |segment: &Segment| (segment.sequence, segment.acknowledgment) == (SEQUENCE, ACKNOWLEDGED);
    assert!(servers.iter().all(|ear| !ear.segments().iter().any(is_strangers)));
    assert_eq!(ear.checksums().bad, 0, "{}", ear.checksums());
}

#[test]
fn xdp_strangers_are_reset() {
    strangers_are_reset(Attach::Xdp);
}

#[test]
fn tc_strangers_are_reset() {
    strangers_are_reset(Attach::Tc);
}

/// VLANs usually have a dot in their name, which the bpf file system does not allow in its own. A
/// bridge stands in for one: not every kernel has VLANs.
#[test]
fn an_interface_with_a_dot_in_its_name() {
    let lab = Lab::new(&Options::default()).unwrap();
    lab.gateway.ip(&["link add eth0.100 type bridge", "link set eth0.100 up"]).unwrap();
    let options = AgentOptions { attach: Attach::Tc, ..AgentOptions::default() };
    let text = options.config_text(&lab).unwrap().replace("\"s3\"]", "\"s3\", \"eth0.100\"]");
    let mut agent = Agent::start(&lab, &AgentOptions { config: Some(text), ..options }).unwrap();
    agent.wait_ready().unwrap();
    // Adopted, too.
    agent.restart().unwrap();
    agent.wait_ready().unwrap();
    assert_eq!(lab.redis_cli(MASTER_SERVICE, &["PING"]).unwrap(), "PONG");
}

/// Addresses of the client, each with a port range of its own.
#[test]
fn clients_with_the_same_port_do_not_meet() {
    let options = Options { client_addresses: 8, ..Options::default() };
    let gateway = Gateway::with(&options, &AgentOptions::default()).unwrap();
    let mut clients: Vec<TcpStream> = (0..8u32)
        .map(|n| {
            let from = SocketAddrV4::new(Ipv4Addr::from(u32::from(CLIENT) + n), 40_000);
            let connect = || {
                let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
                socket.bind(&from.into())?;
                socket.connect(&MASTER_SERVICE.into())?;
                Ok(TcpStream::from(socket))
            };
            gateway.lab.client.enter(connect).unwrap()
        })
        .collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(format!("ECHO {number}\r\n").as_bytes()).unwrap();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let mut answer = [0; 7];
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *format!("$1\r\n{number}\r\n").as_bytes());
    }
}
