use std::{path::PathBuf, time::Duration};

use super::*;

#[test]
fn the_example_means_what_it_says() {
    let server = |name: &str, address: &str, weight, backup| Server {
        name: name.to_owned(),
        address: address.parse().unwrap(),
        weight,
        backup,
    };
    let service = |name: &str, listen: &str, route| Service {
        name: name.to_owned(),
        listen: listen.parse().unwrap(),
        group: 0,
        route,
        fallback: Fallback::Master,
        balance: Balance::RoundRobin,
    };
    let expected = Config {
        gateway: Gateway {
            interfaces: vec!["eth0".to_owned()],
            attach: Attach::Auto,
            forward: Forward::Snat,
            pins: PathBuf::from("/sys/fs/bpf/redirector"),
            admin_socket: PathBuf::from("/run/redirector/admin.sock"),
            state_file: Some(PathBuf::from("/var/lib/redirector/state.json")),
            source_ports: 1024..=32_767,
            max_flows: 131_072,
        },
        groups: vec![Group {
            name: "cache".to_owned(),
            failover: Failover::Observe,
            check: Check {
                interval: Duration::from_secs(1),
                fast_interval: Duration::from_millis(20),
                timeout: Duration::from_millis(500),
                rise: 2,
                fall: 3,
            },
            auth: Some(Auth { username: Some("probe".to_owned()), password: Secret::new("s3cret") }),
            servers: vec![
                server("r1", "10.0.1.11:6379", 70, false),
                server("r2", "10.0.1.12:6379", 30, false),
                server("r3", "10.0.1.13:6379", 100, true),
            ],
        }],
        services: vec![
            service("cache-rw", "10.0.0.100:6379", Route::Master),
            service("cache-ro", "10.0.0.100:6380", Route::Replicas),
        ],
    };
    let config = accept(EXAMPLE);
    assert_eq!(config, expected);
    assert_eq!(config.warnings(), []);
}

#[test]
fn defaults_fill_what_is_left_out() {
    let config = accept(SMALL);
    let group = &config.groups[0];
    assert_eq!(group.auth, None);
    assert_eq!(group.check.interval, Duration::from_secs(1));
    assert_eq!(group.check.timeout, Duration::from_millis(500));
    assert_eq!((group.check.rise, group.check.fall), (2, 3));
    assert_eq!(group.servers[0].weight, 100);
    assert!(!group.servers[0].backup);
    assert_eq!(config.service_named("cache-rw"), Some(&config.services[0]));
    assert_eq!(config.service_named("cache"), None);
    assert_eq!(config.group_named("cache"), Some(group));
    assert_eq!(config.group_of(&config.services[0]), Some(group));
}

#[test]
fn every_gateway_key_is_read() {
    let text = with(
        "interfaces = [\"eth0\"]",
        "interfaces = [\"eth0\", \"lo\"]\nattach = \"xdp-generic\"\npins = \"/p\"\n\
         admin_socket = \"/a\"\nstate_file = \"/s.json\"\nsource_ports = \"61000-65535\"\nmax_flows = 4194304",
    );
    let gateway = accept(&text).gateway;
    assert_eq!(gateway.interfaces, ["eth0", "lo"]);
    assert_eq!(gateway.attach, Attach::XdpGeneric);
    assert_eq!(gateway.pins, PathBuf::from("/p"));
    assert_eq!(gateway.admin_socket, PathBuf::from("/a"));
    assert_eq!(gateway.state_file, Some(PathBuf::from("/s.json")));
    assert_eq!(gateway.source_ports, 61_000..=65_535);
    assert_eq!(gateway.max_flows, 4_194_304);
}

#[test]
fn an_empty_state_file_turns_it_off() {
    let text = with("[\"eth0\"]", "[\"eth0\"]\nstate_file = \"\"");
    assert_eq!(accept(&text).gateway.state_file, None);
}

#[test]
fn a_fast_probe_is_never_slower_than_a_slow_one() {
    let text = with("name = \"cache\"\n", "name = \"cache\"\ncheck = { interval = \"10ms\" }\n");
    let check = &accept(&text).groups[0].check;
    assert_eq!(check.fast_interval, Duration::from_millis(10));
}

#[test]
fn tables_may_be_written_in_any_of_the_ways_of_toml() {
    let text = r#"
gateway.interfaces = ["eth0"]
[[group]]
name = "cache"
check.rise = 5
[group.auth]
password = '''
s3cret'''
[[group.server]]
name = "r1"
address = "10.0.1.11:6379"
weight = 256
[[service]]
name = "cache"
listen = "10.0.0.100:6379"
group = "cache"
route = "replicas"
fallback = "none"
"#;
    let config = accept(text);
    assert_eq!(config.groups[0].check.rise, 5);
    assert_eq!(config.groups[0].auth.as_ref().unwrap().password.reveal(), "s3cret");
    assert_eq!(config.groups[0].servers[0].weight, 256);
    assert_eq!(config.services[0].fallback, Fallback::None);
}

#[test]
fn passwords_come_from_three_places() {
    for (source, expected) in [
        ("password = \"typed\"", "typed"),
        ("password_file = \"/etc/redirector/redis.pass\"", "s3cret"),
        ("password_file = \"beside.pass\"", "neighbour"),
        ("password_file = \"/spaces\"", " a b \n"),
        ("password_env = \"REDIS_PASSWORD\"", "from-env"),
    ] {
        let auth = format!("name = \"cache\"\nauth = {{ {source} }}\n");
        let config = accept(&with("name = \"cache\"\n", &auth));
        let auth = config.groups[0].auth.as_ref().unwrap();
        assert_eq!(auth.password.reveal(), expected, "{source}");
        assert_eq!(auth.username, None);
    }
}

#[test]
fn loopback_is_a_fair_address_if_lo_carries_the_programs() {
    let text = with("[\"eth0\"]", "[\"lo\"]").replace("10.0.0.100", "127.0.0.100");
    assert!(accept(&text).services[0].listen.ip().is_loopback());
}

#[test]
fn the_same_server_may_be_in_two_groups_and_a_port_in_two_services() {
    let text = format!(
        "{SMALL}\n[[group]]\nname = \"other\"\nserver = [ {{ name = \"r1\", address = \"10.0.1.11:6379\" }} ]\n\
         [[service]]\nname = \"other\"\nlisten = \"10.0.0.101:6379\"\ngroup = \"other\"\nroute = \"any\"\n"
    );
    let config = accept(&text);
    assert_eq!(config.services[1].group, 1);
    assert_eq!(config.services[1].route, Route::Any);
}

#[test]
fn warnings_name_what_is_hardly_meant() {
    let text = format!(
        "{}\n[[group]]\nname = \"spare\"\nserver = [ {{ name = \"s1\", address = \"10.0.2.1:6379\" }} ]\n",
        SMALL
            .replace(":6379\" }", ":6379\", weight = 0 }")
            .replace("[\"eth0\"]", "[\"eth0\"]\nsource_ports = \"2000-2999\"")
    );
    assert_eq!(
        accept(&text).warnings(),
        [
            Warning::UnusedGroup { group: "spare".to_owned() },
            Warning::NoWeight { service: "cache-rw".to_owned(), group: "cache".to_owned() },
            Warning::FewSourcePorts { ports: 2000..=2999 },
        ]
    );
    let text = text.replace("route = \"master\"", "route = \"replicas\"");
    assert_eq!(accept(&text).warnings().len(), 2);
}

#[test]
fn a_file_is_read_with_the_passwords_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("redis.pass"), "beside\n").unwrap();
    let path = dir.path().join("redirector.toml");
    let auth = "name = \"cache\"\nauth = { password_file = \"redis.pass\" }\n";
    fs::write(&path, with("name = \"cache\"\n", auth)).unwrap();
    let config = load(&path).unwrap();
    let auth = config.groups[0].auth.as_ref().unwrap();
    assert_eq!(auth.password.reveal(), "beside");

    let missing = dir.path().join("none.toml");
    let error = load(&missing).unwrap_err();
    assert!(matches!(error, ConfigErrors::Unreadable { .. }));
    let sentence = error.to_string();
    assert!(sentence.contains("none.toml") && sentence.contains("--config"), "{sentence}");
}
