//! What cannot work is refused with a sentence, and leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use redirector_tests::{
    e2e::{Gateway, Manners, Stub, addresses, attached_programs, server, standing},
    lab::{
        Agent, AgentOptions, Attach, CliOutput, GATEWAY, GATEWAY_INTERFACES, Lab, MASTER_SERVICE, Options,
        REPLICA_SERVICE, RedisOptions, VIRTUAL, agent_binary, wait_for,
    },
};

const PATIENCE: Duration = Duration::from_secs(5);

fn lab() -> Lab {
    Lab::new(&Options::default()).unwrap()
}

/// The ordinary configuration for a hook, with some words replaced.
fn altered(lab: &Lab, attach: Attach, words: &[(&str, &str)]) -> AgentOptions {
    let options = AgentOptions { attach, ..AgentOptions::default() };
    let mut text = options.config_text(lab).unwrap();
    for (from, to) in words {
        assert!(text.contains(from), "{from} is not in:\n{text}");
        text = text.replacen(from, to, 1);
    }
    AgentOptions { config: Some(text), ..options }
}

/// An agent that has ended by itself. Dropping it removes what it has left.
struct Refused {
    code: Option<i32>,
    said: String,
    agent: Agent,
}

fn refused(lab: &Lab, options: &AgentOptions) -> Refused {
    let mut agent = Agent::start(lab, options).unwrap();
    let status = agent.wait_exit().unwrap();
    Refused { code: status.code(), said: agent.log(), agent }
}

impl Refused {
    /// The code and the sentence are as expected.
    fn assert(&self, code: i32, sentence: &str) {
        assert!(self.said.contains(sentence), "{sentence:?} is not said:\n{}", self.said);
        assert_eq!(self.code, Some(code), "{}", self.said);
    }
}

/// Neither pins nor programs nor the virtual address are on the gateway.
fn assert_untouched(lab: &Lab, pins: &Path) {
    assert!(!pins.exists(), "{} was left", pins.display());
    // Where a program was attached for a moment, the kernel takes another to let go of it.
    wait_for("no program to be attached", Duration::from_secs(1), || {
        attached_programs(&lab.gateway).unwrap().is_empty().then_some(())
    })
    .unwrap();
    let held = addresses(&lab.gateway).unwrap();
    let on_ours = |name: &String| GATEWAY_INTERFACES.contains(&name.as_str());
    assert!(!held.iter().any(|(address, name)| *address == VIRTUAL && on_ours(name)), "{held:?}");
    assert!(held.iter().any(|(address, _)| *address == GATEWAY), "{held:?}");
}

#[test]
fn mistakes_in_the_configuration_are_shown_with_their_line() {
    let lab = lab();
    for (from, to, sentences) in [
        (
            "group = \"cache\"",
            "group = \"cahce\"",
            &["names group \"cahce\", which is not defined; write"][..],
        ),
        ("route = \"master\"", "route = \"mater\"", &["\"mater\"", "write \"master\""]),
        ("weight = 70", "weight = 700", &["700", "0", "256"]),
        ("interfaces =", "interface =", &["[gateway] has no key \"interface\"; write \"interfaces\""]),
        ("attach = \"xdp\"", "attach = \"xpd\"", &["\"xpd\"", "write \"xdp\""]),
        ("interval = \"1s\"", "interval = \"1 parsec\"", &["1 parsec"]),
        ("10.0.1.12:6379", "10.0.1.12", &["10.0.1.12", "port"]),
        ("[[service]]", "[[service", &["this is not TOML"]),
        ("attach = \"xdp\"", "forward = \"dsr\"", &["is not done by this version; write \"snat\""]),
    ] {
        let options = altered(&lab, Attach::Xdp, &[(from, to)]);
        let text = options.config.as_ref().unwrap();
        let line = text[..text.find(to).unwrap()].matches('\n').count() + 1;
        let refused = refused(&lab, &options);
        refused.assert(2, &format!("{}:{line}: ", refused.agent.config_path().display()));
        for sentence in sentences {
            refused.assert(2, sentence);
        }
        assert_untouched(&lab, &lab.claim().pins());
        assert!(!refused.agent.socket().exists());
    }
}

#[test]
fn every_mistake_is_shown_and_check_says_the_same() {
    let lab = lab();
    let options =
        altered(&lab, Attach::Xdp, &[("weight = 70", "weight = 700"), ("\"replicas\"", "\"readers\"")]);
    let mut agent = Agent::start(&lab, &options).unwrap();
    assert_eq!(agent.wait_exit().unwrap().code(), Some(2));
    let check = agent.cli_with_config(&["check"]).unwrap();
    assert_eq!(check.code, Some(2));
    assert_eq!(check.stderr, agent.log());
    assert!(check.stderr.contains("700") && check.stderr.contains("\"readers\""), "{check:?}");

    let mut missing = lab.gateway.command(agent_binary().unwrap());
    let missing = CliOutput::of(missing.args(["run", "--config", "/nonexistent/redirector.toml"])).unwrap();
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.stderr.contains("cannot read the configuration /nonexistent/redirector.toml"),
        "{missing:?}"
    );
}

fn an_interface_that_does_not_exist(attach: Attach) {
    let lab = lab();
    let refused = refused(&lab, &altered(&lab, attach, &[("\"s3\"", "\"s9\"")]));
    refused.assert(1, "interface s9 does not exist: `ip link` lists those that do");
    assert_untouched(&lab, &lab.claim().pins());
}

#[test]
fn xdp_an_interface_that_does_not_exist() {
    an_interface_that_does_not_exist(Attach::Xdp);
}

#[test]
fn tc_an_interface_that_does_not_exist() {
    an_interface_that_does_not_exist(Attach::Tc);
}

#[test]
fn a_virtual_address_that_is_in_use_elsewhere() {
    let lab = lab();
    let br0 = ["link add br0 type bridge", "link set br0 up", "address add 10.0.0.100/32 dev br0"];
    lab.gateway.ip(&br0).unwrap();
    let refused = refused(&lab, &AgentOptions::default());
    refused.assert(1, "virtual address 10.0.0.100 is already on br0");
    refused.assert(1, "ip address del 10.0.0.100 dev br0");
    assert_untouched(&lab, &lab.claim().pins());
    assert!(addresses(&lab.gateway).unwrap().contains(&(VIRTUAL, "br0".to_owned())));
}

#[test]
fn a_driver_without_native_xdp() {
    let lab = lab();
    lab.gateway.ip(&["link add br0 type bridge", "link set br0 up"]).unwrap();
    let words = [("\"s3\"", "\"s3\", \"br0\"")];
    let refused = refused(&lab, &altered(&lab, Attach::Xdp, &words));
    refused.assert(1, "interface br0 cannot run native XDP: write attach = \"tc\", or \"auto\"");
    assert_untouched(&lab, &lab.claim().pins());
    drop(refused);

    // As the sentence says.
    let mut agent = Agent::start(&lab, &altered(&lab, Attach::Auto, &words)).unwrap();
    agent.wait_ready().unwrap();
    let status = agent.status().unwrap();
    assert_eq!(status["interfaces"][4], serde_json::json!({ "name": "br0", "hook": "tc" }));
}

#[test]
fn pins_that_are_not_on_a_bpf_file_system() {
    let lab = lab();
    let pins = lab.claim().path("pins");
    let here = format!("\"{}\"", lab.claim().pins().display());
    let there = format!("\"{}\"", pins.display());
    let refused = refused(&lab, &altered(&lab, Attach::Xdp, &[(&here, &there)]));
    refused.assert(1, "is not on a bpf file system: mount one with `mount -t bpf bpf /sys/fs/bpf`");
    assert_untouched(&lab, &pins);
}

/// An agent with pins of its own on the interfaces of another, which is refused without a trace.
fn assert_intruder_refused(gateway: &Gateway, attach: Attach, socket: &str, sentence: &str) {
    let lab = &gateway.lab;
    let programs = attached_programs(&lab.gateway).unwrap();
    let mut pins = lab.claim().pins().into_os_string();
    pins.push("2");
    let pins = PathBuf::from(pins);
    let words = [
        (format!("{}\"", lab.claim().pins().display()), format!("{}\"", pins.display())),
        ("/agent.sock\"".to_owned(), format!("/{socket}\"")),
    ];
    let words = words.each_ref().map(|(from, to)| (from.as_str(), to.as_str()));
    let options = AgentOptions { name: "intruder".to_owned(), ..altered(lab, attach, &words) };
    let refused = refused(lab, &options);
    let left = pins.exists();
    if left {
        assert_eq!(refused.agent.cli_with_config(&["detach"]).unwrap().code, Some(0));
    }
    refused.assert(1, sentence);
    assert!(!left, "{} was left", pins.display());
    assert_eq!(attached_programs(&lab.gateway).unwrap(), programs);
    assert!(gateway.agent.is_ready());
    assert_eq!(gateway.server_of(MASTER_SERVICE).unwrap(), "r1");
}

/// Programs of somebody else are not replaced.
#[test]
fn an_interface_that_carries_another_xdp_program() {
    let gateway = Gateway::up(Attach::Xdp).unwrap();
    let sentence = "interface eth0 already carries another XDP program: `ip link show dev eth0` names it; \
        remove it, or write attach = \"tc\"";
    assert_intruder_refused(&gateway, Attach::Xdp, "intruder.sock", sentence);
}

/// The same admin socket in two configurations: the first agent keeps it.
#[test]
fn an_admin_socket_in_use() {
    let gateway = Gateway::up(Attach::Tc).unwrap();
    let sentence = format!("another agent answers on {}", gateway.agent.socket().display());
    assert_intruder_refused(&gateway, Attach::Tc, "agent.sock", &sentence);
}

/// A program that runs the agent's as nobody, with the capabilities named.
fn as_nobody(lab: &Lab, capabilities: &str) -> PathBuf {
    // Where the binary was built, nobody may have no way in.
    let binary = lab.claim().path("redirector");
    let script = format!(
        "#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups \
         --inh-caps={capabilities} --ambient-caps={capabilities} {} \"$@\"\n",
        binary.display()
    );
    let text = lab.claim().path("as-nobody.sh");
    fs::write(&text, script).unwrap();
    let wrapper = lab.claim().path("as-nobody");
    // By another process: what this one writes, a fork of it may hold open when it is to be run ("text file busy").
    for (from, to) in [(agent_binary().unwrap(), &binary), (text, &wrapper)] {
        let status = Command::new("install").arg("--mode=0755").arg(from).arg(to).status();
        assert!(status.unwrap().success());
    }
    wrapper
}

#[test]
fn without_root_and_without_the_capabilities() {
    let lab = lab();
    for (capabilities, lacking) in [
        ("-all", &["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_PERFMON", "CAP_BPF"][..]),
        ("-all,+net_raw", &["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]),
        ("-all,+net_admin,+net_raw,+bpf", &["CAP_PERFMON"]),
    ] {
        let binary = Some(as_nobody(&lab, capabilities));
        let refused = refused(&lab, &AgentOptions { binary, ..AgentOptions::default() });
        refused.assert(1, &format!("steering the datapath takes {}: ", lacking.join(", ")));
        assert_untouched(&lab, &lab.claim().pins());
    }
}

#[test]
fn without_root_but_with_the_capabilities() {
    let lab = lab();
    let folder = lab.claim().path("nobody");
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(65534), Some(65534)).unwrap();
    let binary = Some(as_nobody(&lab, "-all,+net_admin,+net_raw,+bpf,+perfmon"));
    let options = altered(&lab, Attach::Xdp, &[("/agent.sock\"", "/nobody/agent.sock\"")]);
    let options = AgentOptions { name: "nobody/agent".to_owned(), binary, ..options };
    let mut agent = Agent::start(&lab, &options).unwrap();
    agent.wait_ready().unwrap();
    assert_eq!(lab.redis_cli(MASTER_SERVICE, &["PING"]).unwrap(), "PONG");
    agent.stop().unwrap();
    let detached = agent.cli_with_config(&["detach"]).unwrap();
    assert_eq!(detached.code, Some(0), "{detached:?}");
    assert_untouched(&lab, &lab.claim().pins());
}

/// What `status` says of a server, once it is down.
fn failure_of(agent: &Agent, name: &str) -> String {
    wait_for(&format!("{name} to be down"), PATIENCE, || {
        let status = agent.status().ok()?;
        let server = server(&status, name)?;
        (server["health"] == "down").then(|| server["failure"].as_str().unwrap().to_owned())
    })
    .unwrap()
}

#[test]
fn servers_that_speak_no_redis_are_named_in_status() {
    let mut lab = lab();
    let http = Manners::Says("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let cut = Manners::Says("+PONG\r\n$1000\r\n# Replication\r\nrole:master\r\nconnected_sl");
    for (r2, said_r2, r3, said_r3) in [
        (http, "speaks no Redis, but “HTTP/1.1 400 Bad Request”", cut, "reply cut short"),
        (Manners::Silent, "no reply in time", Manners::Says(""), "connection closed"),
        (
            Manners::Says("+PONG\r\n*-7\r\n"),
            "speaks no Redis, but “",
            Manners::Says("+PONG\r\n$3\r\nyes\r\n"),
            "tells no role: ",
        ),
    ] {
        let stubs: Vec<Stub> = [(1, r2), (2, r3)]
            .into_iter()
            .map(|(at, manners)| {
                lab.servers[at].kill();
                Stub::listen(&lab.servers[at].namespace, lab.servers[at].address(), manners).unwrap()
            })
            .collect();
        let mut agent = Agent::start(&lab, &AgentOptions::default()).unwrap();
        agent.wait_ready().unwrap();
        for (name, said) in [("r2", said_r2), ("r3", said_r3)] {
            let failure = failure_of(&agent, name);
            assert!(failure.starts_with(said), "{name}: {failure}");
            let status = agent.status().unwrap();
            let (word, reason) = standing(&status, "cache-ro", name).unwrap();
            assert_eq!((word.as_str(), reason.unwrap()), ("out", format!("down: {failure}")));
            assert!(agent.cli(&["status"]).unwrap().stdout.contains(&failure));
        }
        // Nobody else suffers: reads fall back to the master.
        assert_eq!(lab.redis_cli(MASTER_SERVICE, &["PING"]).unwrap(), "PONG");
        assert_eq!(lab.redis_cli(REPLICA_SERVICE, &["PING"]).unwrap(), "PONG");

        // Back to Redis, back to work.
        drop(stubs);
        let master = lab.servers[0].address();
        for replica in &mut lab.servers[1..] {
            replica.restart(Some(master)).unwrap();
        }
        wait_for("both replicas to serve", PATIENCE * 2, || {
            let status = agent.status().unwrap();
            ["r2", "r3"]
                .iter()
                .all(|name| standing(&status, "cache-ro", name).unwrap().0 == "serving")
                .then_some(())
        })
        .unwrap();
    }
}

/// Nobody can be asked, so nobody is master: clients are refused at once, and told nothing wrong.
fn assert_no_service(lab: &Lab) {
    for service in [MASTER_SERVICE, REPLICA_SERVICE] {
        let began = Instant::now();
        let error = lab.connect(service).err().unwrap();
        assert!(format!("{error:#}").contains("refused"), "{error:#}");
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn passwords() {
    const RIGHT: &str = "correct horse battery staple";
    let redis = RedisOptions { password: Some(RIGHT.to_owned()), ..RedisOptions::default() };
    let lab = Lab::new(&Options { redis, ..Options::default() }).unwrap();
    let file = format!("auth = {{ password_file = \"{}\" }}", lab.claim().path("password").display());
    for (name, auth, failure) in [
        ("none", "", "wants a password"),
        ("wrong", "auth = { password = \"hunter2\" }", "wrong user or password"),
        ("stranger", "auth = { username = \"probe\", password = \"hunter2\" }", "wrong user or password"),
    ] {
        let options = AgentOptions { name: name.to_owned(), ..altered(&lab, Attach::Xdp, &[(&file, auth)]) };
        let text = options.config.as_ref().unwrap().replace("/agent.sock", &format!("/{name}.sock"));
        let mut agent = Agent::start(&lab, &AgentOptions { config: Some(text), ..options }).unwrap();
        wait_for("the agent", PATIENCE, || agent.status().ok()).unwrap();
        for server in ["r1", "r2", "r3"] {
            assert_eq!(failure_of(&agent, server), failure, "{name}");
        }
        assert_no_service(&lab);
        assert_eq!(agent.exit_status(), None);
        assert!(!agent.log().contains("hunter2"), "{}", agent.log());
    }

    let gateway_options = AgentOptions::default();
    let mut agent = Agent::start(&lab, &gateway_options).unwrap();
    agent.wait_ready().unwrap();
    assert_eq!(lab.redis_cli(MASTER_SERVICE, &["PING"]).unwrap(), "PONG");
    assert!(!agent.log().contains(RIGHT));
    assert!(!agent.cli(&["status", "--json"]).unwrap().stdout.contains(RIGHT));
}

#[test]
fn users_with_few_rights() {
    let acl = "user default on nopass ~* &* +@all\n\
        user probe on >secret ~redirector:watch -@all +ping +info +role +blmove\n\
        user roleonly on >secret -@all +role\n\
        user nothing on >secret -@all +ping\n";
    let redis = RedisOptions { acl: Some(acl.to_owned()), ..RedisOptions::default() };
    let lab = Lab::new(&Options { redis, ..Options::default() }).unwrap();
    let group = "server = [";
    for (user, works) in [("probe", true), ("roleonly", true), ("nothing", false)] {
        let auth = format!("auth = {{ username = \"{user}\", password = \"secret\" }}\nserver = [");
        let options = altered(&lab, Attach::Xdp, &[(group, &auth)]);
        let mut agent = Agent::start(&lab, &options).unwrap();
        if works {
            agent.wait_ready().unwrap();
            assert_eq!(lab.redis_cli(MASTER_SERVICE, &["PING"]).unwrap(), "PONG", "{user}");
            continue;
        }
        wait_for("the agent", PATIENCE, || agent.status().ok()).unwrap();
        assert_eq!(failure_of(&agent, "r1"), "the probe's user may run neither INFO nor ROLE");
        assert_no_service(&lab);
    }
}
