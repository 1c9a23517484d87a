#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use super::*;

const REPLID: &str = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb";
const REPLID2: &str = "5a1c3e0d9f3b7e6412aa0c4cbb6d1f0a9e8d7c6b";

/// A master that nothing is known about but its role.
fn master() -> Replication {
    Replication {
        role: Role::Master,
        master: None,
        link_up: false,
        syncing: false,
        offset: 0,
        replid: String::new(),
        previous: None,
        connected_replicas: 0,
        read_only: None,
    }
}

/// A replica of 10.0.1.11:6379 with its link up.
fn replica() -> Replication {
    Replication { role: Role::Replica, master: Some(("10.0.1.11".into(), 6379)), link_up: true, ..master() }
}

#[test]
fn info_of_the_servers_we_know() {
    let redis_master = format!(
        "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
         slave0:ip=10.0.1.12,port=6379,state=online,offset=9913,lag=0\r\n\
         slave1:ip=10.0.1.13,port=6379,state=online,offset=9913,lag=1\r\n\
         master_failover_state:no-failover\r\nmaster_replid:{REPLID}\r\n\
         master_replid2:0000000000000000000000000000000000000000\r\n\
         master_repl_offset:9927\r\nsecond_repl_offset:-1\r\nrepl_backlog_active:1\r\n\
         repl_backlog_size:1048576\r\nrepl_backlog_first_byte_offset:1\r\n\
         repl_backlog_histlen:9927\r\n"
    );
    let redis_replica = format!(
        "# Replication\r\nrole:slave\r\nmaster_host:10.0.1.11\r\nmaster_port:6379\r\n\
         master_link_status:up\r\nmaster_last_io_seconds_ago:1\r\nmaster_sync_in_progress:0\r\n\
         slave_read_repl_offset:9928\r\nslave_repl_offset:9927\r\nslave_priority:100\r\n\
         slave_read_only:1\r\nreplica_announced:1\r\nconnected_slaves:0\r\n\
         master_failover_state:no-failover\r\nmaster_replid:{REPLID}\r\n\
         master_replid2:0000000000000000000000000000000000000000\r\n\
         master_repl_offset:9990\r\nsecond_repl_offset:-1\r\n"
    );
    let valkey_promoted = format!(
        "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n\
         slave0:ip=10.0.1.13,port=6379,state=online,offset=514,lag=0,type=replica\r\n\
         replicas_waiting_psync:0\r\nmaster_failover_state:no-failover\r\n\
         master_replid:{REPLID2}\r\nmaster_replid2:{REPLID}\r\nmaster_repl_offset:514\r\n\
         second_repl_offset:501\r\n"
    );
    let redis_syncing = "# Replication\r\nrole:slave\r\nmaster_host:10.0.1.11\r\n\
         master_port:6379\r\nmaster_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\n\
         master_sync_in_progress:1\r\nslave_repl_offset:0\r\nmaster_sync_total_bytes:176\r\n\
         slave_read_only:0\r\nconnected_slaves:0\r\nmaster_repl_offset:0\r\n";
    let keydb_active = format!(
        "# Replication\r\nrole:active-replica\r\nmaster_global_link_status:up\r\n\
         Master 0: \r\nmaster_host:10.0.1.11\r\nmaster_port:6379\r\nmaster_link_status:up\r\n\
         master_last_io_seconds_ago:3\r\nmaster_sync_in_progress:0\r\nslave_repl_offset:77\r\n\
         slave_priority:100\r\nslave_read_only:0\r\nconnected_slaves:1\r\n\
         master_replid:{REPLID}\r\nmaster_repl_offset:80\r\n"
    );
    let dragonfly = "# Replication\r\nrole:replica\r\nmaster_host:10.0.1.11\r\n\
         master_port:6379\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:0\r\n\
         master_sync_in_progress:0\r\nmaster_replid:abc\r\nslave_repl_offset:12\r\n";
    let kvrocks = "# Replication\nrole: slave\nmaster_host:10.0.1.11\nmaster_port:6379\n\
         master_link_status:up\nmaster_sync_unrecoverable_error:no\n\
         master_sync_in_progress:0\nslave_repl_offset:42\n";

    let table = [
        (
            redis_master.as_str(),
            Replication { offset: 9927, replid: REPLID.into(), connected_replicas: 2, ..master() },
        ),
        (
            &redis_replica,
            Replication { offset: 9927, replid: REPLID.into(), read_only: Some(true), ..replica() },
        ),
        (
            &valkey_promoted,
            Replication {
                offset: 514,
                replid: REPLID2.into(),
                previous: Some((REPLID.into(), 501)),
                connected_replicas: 1,
                ..master()
            },
        ),
        (redis_syncing, Replication { link_up: false, syncing: true, read_only: Some(false), ..replica() }),
        (
            &keydb_active,
            Replication {
                role: Role::ActiveReplica,
                offset: 77,
                replid: REPLID.into(),
                connected_replicas: 1,
                read_only: Some(false),
                ..replica()
            },
        ),
        (dragonfly, Replication { offset: 12, replid: "abc".into(), ..replica() }),
        (kvrocks, Replication { offset: 42, ..replica() }),
        ("role:primary", master()),
    ];
    for (text, expected) in table {
        assert_eq!(Replication::parse_info(text), Ok(expected), "{text}");
    }
}

#[test]
fn info_that_says_nothing() {
    let not_a_number = |key, text: &str| ReplyError::NotANumber { key, text: text.into() };
    let table = [
        ("", ReplyError::NoRole),
        ("# Replication\r\n", ReplyError::NoRole),
        ("# role:master\r\n", ReplyError::NoRole),
        // A key is a whole word at the start of its line.
        (" role:master\r\nmy_role:master\r\nrole_of:master\r\n", ReplyError::NoRole),
        ("slave0:role:master\r\n", ReplyError::NoRole),
        ("role:\r\n", ReplyError::UnknownRole(String::new())),
        ("role:sentinel\r\n", ReplyError::UnknownRole("sentinel".into())),
        ("role:mastering\r\n", ReplyError::UnknownRole("mastering".into())),
        ("role:\x1b[2Jx\r\n", ReplyError::UnknownRole("[2Jx".into())),
        ("role:master\r\nmaster_repl_offset:12x\r\n", not_a_number("master_repl_offset", "12x")),
        ("role:slave\r\nmaster_host:h\r\nmaster_port:65536\r\n", not_a_number("master_port", "65536")),
    ];
    for (text, expected) in table {
        assert_eq!(Replication::parse_info(text), Err(expected), "{text:?}");
    }
}

#[test]
fn role_replies() {
    let parse = |wire: &str| {
        let reply = redis::parse_redis_value(wire.replace('\n', "\r\n").as_bytes()).unwrap();
        Replication::parse_role(&reply)
    };
    let link = "*5\n$5\nslave\n$9\n10.0.1.11\n:6379\n$9\nconnected\n:3167038\n";
    let table = [
        ("*3\n$6\nmaster\n:512\n*0\n", Ok(Replication { offset: 512, ..master() })),
        (
            "*3\n$6\nmaster\n:512\n*1\n*3\n$9\n10.0.1.12\n$4\n6379\n$3\n500\n",
            Ok(Replication { offset: 512, connected_replicas: 1, ..master() }),
        ),
        (link, Ok(Replication { offset: 3_167_038, ..replica() })),
        (
            "*5\n$5\nslave\n$9\n10.0.1.11\n:6379\n$4\nsync\n:-1\n",
            Ok(Replication { link_up: false, syncing: true, ..replica() }),
        ),
        (
            "*2\n*5\n$5\nslave\n$1\nx\n:1\n$7\nconnect\n:-1\n*5\n$5\nslave\n$9\n10.0.1.11\n:6379\n$9\nconnected\n:5\n",
            Ok(Replication { role: Role::ActiveReplica, offset: 5, ..replica() }),
        ),
        ("*2\n$8\nsentinel\n*0\n", Err(ReplyError::UnknownRole("sentinel".into()))),
        ("*2\n$6\nmaster\n:1\n", Err(ReplyError::Shape)),
        ("*0\n", Err(ReplyError::NoRole)),
        ("+OK\n", Err(ReplyError::Shape)),
        (
            "*5\n$5\nslave\n$1\nx\n:99999\n$9\nconnected\n:1\n",
            Err(ReplyError::NotANumber { key: "port", text: "99999".into() }),
        ),
    ];
    for (wire, expected) in table {
        assert_eq!(parse(wire), expected, "{wire}");
    }
}
