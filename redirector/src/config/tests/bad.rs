use std::fmt::Write as _;

use super::*;

/// A change to the small file, and the one mistake that must come of it: its line, and words that
/// its sentence and hint must contain.
type Case<'c> = (&'c str, &'c str, usize, &'c [&'c str]);

fn check_table(cases: &[Case<'_>]) {
    for &(from, to, line, phrases) in cases {
        let text = with(from, to);
        let mistakes = refuse(&text);
        let shown = ConfigErrors::Invalid(mistakes.clone()).to_string();
        assert_eq!(mistakes.len(), 1, "one mistake in {to:?}, not\n{shown}");
        assert_eq!(mistakes[0].line, line, "line of\n{shown}");
        for phrase in phrases {
            assert!(shown.contains(phrase), "{phrase:?} is not in\n{shown}");
        }
    }
}

#[test]
#[rustfmt::skip] // one case a line
fn keys_and_types() {
    check_table(&[
        ("interfaces = [", "interfaces = = [", 2, &["not TOML"]),
        ("[gateway]", "[gateway", 1, &["not TOML"]),
        ("route = \"master\"", "route = \"master\"\nroute = \"any\"", 16, &["duplicate key"]),
        ("interfaces", "intefaces", 2, &["[gateway] has no key \"intefaces\"", "write \"interfaces\""]),
        ("[gateway]", "[gatewy]", 1, &["the file has no key \"gatewy\"", "write \"gateway\""]),
        ("route", "zzzz", 15, &["no key \"zzzz\"", "write one of: name, listen, group, route"]),
        ("address = \"10.0.1.12", "adress = \"10.0.1.12", 8, &["server has no key", "write \"address\""]),
        ("[\"eth0\"]", "\"eth0\"", 2, &["\"interfaces\" is a string", "write an array of strings"]),
        ("[\"eth0\"]", "[\"eth0\", 1]", 2, &["\"interfaces\" is an array with values of another type"]),
        ("\"10.0.1.11:6379\"", "6379", 7, &["\"address\" is an integer", "a string in quotes"]),
        ("name = \"r1\",", "name = \"r1\", weight = \"70\",", 7, &["\"weight\" is a string", "write an integer"]),
        ("name = \"r1\",", "name = \"r1\", weight = 70.5,", 7, &["\"weight\" is a fraction"]),
        ("name = \"r1\",", "name = \"r1\", backup = 1,", 7, &["\"backup\" is an integer", "write true or false"]),
        ("name = \"cache\"\n", "name = \"cache\"\ncheck = \"1s\"\n", 6, &["\"check\" is a string", "interval"]),
        ("name = \"cache\"\n", "name = \"cache\"\ncheck = [\"1s\"]\n", 6, &["\"check\" is an array"]),
        ("name = \"cache\"\n", "name = \"cache\"\ncheck = { rise = \"2\" }\n", 6, &["\"rise\" is a string"]),
        ("name = \"cache\"\n", "name = \"cache\"\ncheck = { raise = 2 }\n", 6, &["check has no key \"raise\"", "\"rise\""]),
        ("[[group]]", "[group]", 4, &["\"group\" is a table", "write [[group]]"]),
        ("[[service]]", "[service]", 11, &["\"service\" is a table", "write [[service]]"]),
        ("[gateway]", "[[gateway]]", 1, &["\"gateway\" is an array", "write one [gateway]"]),
        ("  { name = \"r1\", address = \"10.0.1.11:6379\" },", "  \"r1\",", 6, &["\"server\" is an array with other things than tables"]),
    ]);
}

#[test]
#[rustfmt::skip] // one case a line
fn gateway_values() {
    let long_socket = format!(
        "interfaces = [\"eth0\"]\nadmin_socket = \"/{}\"",
        "s".repeat(107)
    );
    check_table(&[
        ("interfaces = [\"eth0\"]\n", "\n", 1, &["[gateway] has no \"interfaces\"", "write interfaces = [\"eth0\"]"]),
        ("[\"eth0\"]", "[]", 2, &["interfaces is empty"]),
        ("[\"eth0\"]", "[\"eth0\",\n\"eth0\"]", 3, &["interface \"eth0\" is named twice"]),
        ("[\"eth0\"]", "[\"interface-name-x\"]", 2, &["is no interface name"]),
        ("[\"eth0\"]", "[\"\"]", 2, &["is no interface name"]),
        ("[\"eth0\"]", "[\"eth 0\"]", 2, &["is no interface name"]),
        ("[\"eth0\"]", "[\"eth0\"]\nattach = \"xpd\"", 3, &["attach = \"xpd\" is unknown", "write \"xdp\""]),
        ("[\"eth0\"]", "[\"eth0\"]\nattach = \"ebpf\"", 3, &["write one of: auto, xdp, xdp-generic, tc"]),
        ("[\"eth0\"]", "[\"eth0\"]\nforward = \"nat\"", 3, &["forward = \"nat\" is unknown", "\"snat\""]),
        ("[\"eth0\"]", "[\"eth0\"]\npins = \"pins\"", 3, &["pins = \"pins\" is not an absolute path"]),
        ("[\"eth0\"]", "[\"eth0\"]\npins = \"/sys/fs/bpf/a.b\"", 3, &["has a dot in its last name", "/sys/fs/bpf/redirector"]),
        ("[\"eth0\"]", "[\"eth0\"]\npins = \"/sys/fs/bpf/x/..\"", 3, &["has a dot in its last name"]),
        ("[\"eth0\"]", "[\"eth0\"]\nstate_file = \"state.json\"", 3, &["not an absolute path", "/var/lib/redirector/state.json"]),
        ("[\"eth0\"]", "[\"eth0\"]\nstate_file = \"/var/lib/\"", 3, &["names no file", "to keep nothing"]),
        ("[\"eth0\"]", "[\"eth0\"]\nadmin_socket = \"a.sock\"", 3, &["not an absolute path", "/run/redirector/admin.sock"]),
        ("interfaces = [\"eth0\"]", &long_socket, 3, &["too long", "107 bytes"]),
        ("[\"eth0\"]", "[\"eth0\"]\nmax_flows = 1023", 3, &["max_flows = 1023 is out of range", "1024 to 4194304"]),
        ("[\"eth0\"]", "[\"eth0\"]\nmax_flows = 4194305", 3, &["out of range"]),
        ("[\"eth0\"]", "[\"eth0\"]\nmax_flows = 99999999999999999999", 3, &["\"max_flows\" is an integer"]),
        ("[\"eth0\"]", "[\"eth0\"]\nsource_ports = \"1024\"", 3, &["is not a range of ports", "write \"1024-32767\""]),
        ("[\"eth0\"]", "[\"eth0\"]\nsource_ports = \"80-1000\"", 3, &["is not a range of ports"]),
        ("[\"eth0\"]", "[\"eth0\"]\nsource_ports = \"3000-2000\"", 3, &["is not a range of ports"]),
        ("[\"eth0\"]", "[\"eth0\"]\nsource_ports = \"2000-70000\"", 3, &["is not a range of ports"]),
        ("[\"eth0\"]", "[\"eth0\"]\nsource_ports = \"2000-32768\"", 3, &["overlaps the host's own ephemeral ports 32768-60999"]),
        ("[\"eth0\"]", "[\"eth0\"]\nsource_ports = \"60999-65535\"", 3, &["overlaps"]),
        ("[\"eth0\"]", "[\"eth0\"]\nsource_ports = \"40000-50000\"", 3, &["overlaps"]),
        ("[\"eth0\"]", "[\"eth0\"]\nsource_ports = \"1024-65535\"", 3, &["overlaps"]),
    ]);
}

#[test]
#[rustfmt::skip] // one case a line
fn group_values() {
    let check = |check: &str| format!("name = \"cache\"\ncheck = {{ {check} }}\n");
    let key = "name = \"cache\"\n";
    check_table(&[
        (key, "", 4, &["this [[group]] has no \"name\""]),
        (key, "name = \"\"\n", 5, &["empty name"]),
        ("name = \"r1\"", "name = \"r/1\"", 7, &["server \"r/1\" contains '/'"]),
        ("name = \"r1\"", "name = \"é\"", 7, &["contains 'é'"]),
        ("name = \"r1\"", "name = \"r2345678901234567890123456789012x\"", 7, &["too long", "32 characters"]),
        ("name = \"r2\"", "name = \"r1\"", 8, &["server \"r1\" is defined twice in this group"]),
        ("name = \"r2\", ", "", 8, &["this server has no \"name\""]),
        (", address = \"10.0.1.12:6379\"", "", 8, &["server \"r2\" has no \"address\""]),
        ("10.0.1.12:6379", "10.0.1.11:6379", 8, &["server \"r2\" has the address of server \"r1\", 10.0.1.11:6379"]),
        ("10.0.1.12:6379", "10.0.1.12", 8, &["has no port"]),
        ("10.0.1.12:6379", "10.0.1.256:6379", 8, &["is not an address and a port"]),
        ("10.0.1.12:6379", "10.0.1.12:65536", 8, &["is not an address and a port"]),
        ("10.0.1.12:6379", "10.0.1.12:0", 8, &["has port 0"]),
        ("10.0.1.12:6379", "0.0.0.0:6379", 8, &["is no particular address"]),
        ("10.0.1.12:6379", "224.0.0.1:6379", 8, &["is a multicast address"]),
        ("10.0.1.12:6379", "255.255.255.255:6379", 8, &["is the broadcast address"]),
        ("10.0.1.12:6379", "10.0.0.100:6379", 8, &["is a server and the address of service \"cache-rw\" at once"]),
        ("name = \"r1\",", "name = \"r1\", weight = 257,", 7, &["weight = 257 is out of range", "write 0 to 256"]),
        ("name = \"r1\",", "name = \"r1\", weight = -1,", 7, &["weight = -1 is out of range"]),
        (key, &check("interval = \"1\""), 6, &["interval = \"1\" is no duration", "ms, s, m or h"]),
        (key, &check("interval = \"1.5s\""), 6, &["is no duration", "a whole number"]),
        (key, &check("interval = \"9ms\""), 6, &["out of range", "write 10ms to 1h"]),
        (key, &check("interval = \"2h\""), 6, &["out of range"]),
        (key, &check("timeout = \"0s\""), 6, &["timeout = \"0s\" is out of range", "1ms to 1m"]),
        (key, &check("fast_interval = \"0ms\""), 6, &["fast_interval = \"0ms\" is out of range", "1ms to 1s"]),
        (key, &check("interval = \"1s\", fast_interval = \"2s\""), 6, &["fast_interval = \"2s\" is out of range", "1ms to 1s"]),
        (key, &check("rise = 0"), 6, &["rise = 0 is out of range"]),
        (key, &check("fall = 1001"), 6, &["write 1 to 1000"]),
        (key, "name = \"cache\"\nfailover = \"obsrve\"\n", 6, &["write \"observe\""]),
    ]);
}

#[test]
#[rustfmt::skip] // one case a line
fn auth_values() {
    let auth = |auth: &str| format!("name = \"cache\"\nauth = {{ {auth} }}\n");
    let key = "name = \"cache\"\n";
    check_table(&[
        (key, &auth(""), 6, &["auth has no password", "password_file"]),
        (key, &auth("username = \"u\""), 6, &["auth has no password"]),
        (key, &auth("username = \"\", password = \"x\""), 6, &["username is empty"]),
        (key, &auth("password = \"x\", password_env = \"Y\""), 6, &["more than one password"]),
        (key, &auth("password_file = \"x\", password_env = \"Y\""), 6, &["more than one password"]),
        (key, &auth("password = \"\""), 6, &["the password is empty"]),
        (key, &auth("password_file = \"/empty\""), 6, &["the password is empty"]),
        (key, &auth("password_file = \"/none\""), 6, &["password_file /none cannot be read"]),
        (key, &auth("password_file = \"none\""), 6, &["password_file /etc/none cannot be read"]),
        (key, &auth("password_file = \"/locked\""), 6, &["password_file /locked cannot be read", "permission denied"]),
        (key, &auth("password_env = \"NONE\""), 6, &["variable \"NONE\", which is not set"]),
        (key, &auth("pasword = \"x\""), 6, &["auth has no key \"pasword\"", "write \"password\""]),
    ]);
}

#[test]
#[rustfmt::skip] // one case a line
fn service_values() {
    check_table(&[
        ("name = \"cache-rw\"\n", "", 11, &["this [[service]] has no \"name\""]),
        ("name = \"cache-rw\"", "name = \"cache rw\"", 12, &["contains ' '"]),
        ("listen = \"10.0.0.100:6379\"\n", "", 11, &["service \"cache-rw\" has no \"listen\""]),
        ("10.0.0.100:6379", "10.0.0.100:0", 13, &["listen = \"10.0.0.100:0\" has port 0"]),
        ("10.0.0.100:6379", "0.0.0.0:6379", 13, &["is no particular address"]),
        ("10.0.0.100:6379", "239.1.1.1:6379", 13, &["is a multicast address"]),
        ("10.0.0.100:6379", "127.0.0.1:6379", 13, &["listens on loopback", "\"lo\""]),
        ("10.0.0.100:6379", "vip.example:6379", 13, &["is not an address and a port"]),
        ("group = \"cache\"\n", "", 11, &["service \"cache-rw\" has no \"group\""]),
        ("group = \"cache\"", "group = \"cahce\"", 14, &["service \"cache-rw\" names group \"cahce\", which is not defined", "write \"cache\""]),
        ("group = \"cache\"", "group = \"sessions\"", 14, &["which is not defined"]),
        ("route = \"master\"\n", "", 11, &["service \"cache-rw\" has no \"route\""]),
        ("\"master\"", "\"replica\"", 15, &["route = \"replica\" is unknown", "write \"replicas\""]),
        ("\"master\"", "\"slave\"", 15, &["write one of: master, replicas, any"]),
        ("\"master\"", "\"replicas\"\nfallback = \"non\"", 16, &["write \"none\""]),
        ("\"master\"", "\"master\"\nfallback = \"none\"", 16, &["fallback has a meaning for route = \"replicas\" only"]),
        ("\"master\"", "\"master\"\nbalance = \"roundrobin\"", 16, &["write \"round-robin\""]),
    ]);
}

#[test]
#[rustfmt::skip] // one case a line
fn what_this_version_does_not_do() {
    check_table(&[
        ("[\"eth0\"]", "[\"eth0\"]\nhttp = \"127.0.0.1:9404\"", 3, &["http is not served by this version; remove the line"]),
        ("[\"eth0\"]", "[\"eth0\"]\nforward = \"dnat\"", 3, &["\"dnat\" is not done by this version", "write \"snat\""]),
        ("[\"eth0\"]", "[\"eth0\"]\nforward = \"dsr\"", 3, &["\"dsr\" is not done"]),
        ("[\"eth0\"]", "[\"eth0\"]\nforward = \"host\"", 3, &["\"host\" is not done"]),
        ("name = \"cache\"\n", "name = \"cache\"\nfailover = \"sentinel\"\n", 6, &["\"sentinel\" is not done", "write \"observe\""]),
        ("name = \"cache\"\n", "name = \"cache\"\nfailover = \"promote\"\n", 6, &["\"promote\" is not done"]),
        ("name = \"cache\"\n", "name = \"cache\"\ntls = { ca = \"/ca.pem\" }\n", 6, &["tls to the servers is not spoken"]),
        ("name = \"r1\",", "name = \"r1\", max_connections = 10,", 7, &["max_connections is not enforced", "remove the key"]),
        ("\"10.0.1.12:6379\"", "\"[2001:db8::1]:6379\"", 8, &["IPv6 is not forwarded", "IPv4"]),
        ("\"10.0.1.12:6379\"", "\"::1\"", 8, &["IPv6 is not forwarded"]),
        ("\"10.0.1.12:6379\"", "\"redis-2.example:6379\"", 8, &["host names are not resolved"]),
        ("\"10.0.1.12:6379\"", "\"localhost\"", 8, &["host names are not resolved"]),
        ("\"10.0.0.100:6379\"", "\"[2001:db8::1]:6379\"", 13, &["IPv6 is not forwarded"]),
        ("\"master\"", "\"master\"\nforward = \"snat\"", 16, &["forward is set for the whole gateway"]),
        ("\"master\"", "\"master\"\nbalance = \"least-connections\"", 16, &["not done by this version", "write \"round-robin\""]),
        ("\"master\"", "\"master\"\nbalance = \"source\"", 16, &["not done by this version"]),
        ("\"master\"", "\"master\"\nbalance = \"first\"", 16, &["not done by this version"]),
        ("\"master\"", "\"master\"\nbalance = \"random\"", 16, &["not done by this version"]),
    ]);
}

#[test]
fn what_is_missing_altogether() {
    for (text, expected) in [
        ("", &["there is no [gateway]", "there is no [[service]]"][..]),
        ("[gateway]\ninterfaces = [\"eth0\"]", &["there is no [[service]]"]),
        (
            "[gateway]\ninterfaces = [\"eth0\"]\n[[service]]\nname = \"a\"\nlisten = \"10.0.0.1:1\"\ngroup = \"g\"\nroute = \"any\"",
            &["which is not defined; write a [[group]] with name = \"g\""],
        ),
        (
            "[gateway]\ninterfaces = [\"eth0\"]\n[[group]]\nname = \"g\"\n[[service]]\nname = \"a\"\nlisten = \"10.0.0.1:1\"\ngroup = \"g\"\nroute = \"any\"",
            &["redirector.toml:3: group \"g\" has no servers"],
        ),
    ] {
        let mistakes = refuse(text);
        assert_eq!(mistakes.len(), expected.len(), "{mistakes:?}");
        for (mistake, phrase) in mistakes.iter().zip(expected) {
            assert!(mistake.to_string().contains(phrase), "{mistake}");
        }
    }
}

#[test]
fn names_and_addresses_between_services() {
    let second = |name: &str, listen: &str| {
        format!(
            "{SMALL}\n[[group]]\nname = \"other\"\nserver = [ {{ name = \"r1\", address = \"10.0.1.11:6379\" }} ]\n\
             [[service]]\nname = \"{name}\"\nlisten = \"{listen}\"\ngroup = \"cache\"\nroute = \"any\"\n"
        )
    };
    for (text, line, phrase) in [
        (second("cache-rw", "10.0.0.101:6379"), 21, "service \"cache-rw\" is defined twice"),
        (
            second("again", "10.0.0.100:6379"),
            22,
            "service \"again\" listens on 10.0.0.100:6379 as service \"cache-rw\" does",
        ),
        (second("other", "10.0.0.101:6379"), 23, "bears the name of a group that it does not lead to"),
        (
            second("fine", "10.0.0.101:6379").replace("\"other\"", "\"cache\""),
            18,
            "group \"cache\" is defined twice",
        ),
    ] {
        let mistakes = refuse(&text);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert_eq!(mistakes[0].line, line, "{}", mistakes[0]);
        assert!(mistakes[0].to_string().contains(phrase), "{}", mistakes[0]);
    }
}

#[test]
fn sizes_that_the_maps_do_not_hold() {
    let gateway = "[gateway]\ninterfaces = [\"eth0\"]\n[[group]]\nname = \"g\"\nserver = [";
    let file = |services: usize, servers: usize| {
        let mut text = String::from(gateway);
        for i in 0..servers {
            write!(text, "{{ name = \"r{i}\", address = \"10.1.0.1:{}\" }},", i + 1).unwrap();
        }
        text.push_str("]\n");
        for i in 0..services {
            write!(
                text,
                "[[service]]\nname = \"s{i}\"\nlisten = \"10.0.0.1:{}\"\ngroup = \"g\"\nroute = \"any\"\n",
                i + 1
            )
            .unwrap();
        }
        text
    };
    accept(&file(limits::MAX_SERVICES, limits::MAX_BACKENDS / limits::MAX_SERVICES));
    let mistakes = refuse(&file(limits::MAX_SERVICES + 1, 1));
    assert_eq!((mistakes.len(), mistakes[0].line), (1, 6 + 256 * 5));
    assert!(mistakes[0].sentence.contains("257 services"));
    let mistakes = refuse(&file(2, limits::MAX_BACKENDS / 2 + 1));
    assert_eq!((mistakes.len(), mistakes[0].line), (1, 11));
    assert!(mistakes[0].sentence.contains("lead to 4098 servers"));
}

#[test]
fn a_host_whose_own_ports_are_everywhere() {
    let greedy = Host { ephemeral_ports: 1024..=65_535 };
    for (text, line) in
        [(SMALL.to_owned(), 1), (with("[\"eth0\"]", "[\"eth0\"]\nsource_ports = \"2000-3000\""), 3)]
    {
        let error = parse(&text, Path::new(ORIGIN), &greedy, &Vault).unwrap_err();
        assert_eq!(error.mistakes()[0].line, line);
        assert!(error.to_string().contains("sysctl -w net.ipv4.ip_local_port_range"), "{error}");
    }
}

#[test]
fn all_mistakes_come_at_once_in_the_order_of_the_file() {
    let text = SMALL
        .replace("interfaces = [\"eth0\"]", "interfaces = [\"eth0\"]\nhttp = \"x\"\natach = 1")
        .replace("\"10.0.1.11:6379\"", "11")
        .replace("\"10.0.1.12:6379\"", "\"10.0.1.12:6379\", weight = true, backup = 1")
        .replace("\"cache-rw\"", "\"cache/rw\"")
        .replace("\"master\"", "\"mster\"");
    let lines: Vec<usize> = refuse(&text).iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [3, 4, 9, 10, 10, 14, 17]);
}

#[test]
fn an_error_shows_its_line() {
    let text = with("group = \"cache\"", "  group = \"cahce\"   # ü\t");
    let mistake = &refuse(&text)[0];
    assert_eq!((mistake.line, mistake.column), (14, 11));
    assert_eq!(
        mistake.to_string(),
        "/etc/redirector.toml:14: service \"cache-rw\" names group \"cahce\", which is not defined; \
         write \"cache\"\n   14 |   group = \"cahce\"   # ü"
    );
}

#[test]
fn lines_end_as_they_do_elsewhere() {
    let text = with("\"master\"", "\"mster\"").replace('\n', "\r\n");
    let mistake = &refuse(&text)[0];
    assert_eq!(mistake.line, 15);
    assert_eq!(mistake.text, "route = \"mster\"");
}
