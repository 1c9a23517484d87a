#![expect(clippy::print_stderr, reason = "latencies are printed beside their wide bounds")]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{
    super::{
        Excerpt, Phase,
        testing::{RedisServer, answer, auth, patient, start, stub},
    },
    *,
};

/// Wide enough for a busy machine, and far below any interval of these tests.
const SOON: Duration = Duration::from_millis(500);

/// What a stub says: a PONG and a master.
const MASTER: &[u8] = b"+PONG\r\n$11\r\nrole:master\r\n";

/// A PONG and a replica, which is not watched.
const REPLICA: &[u8] = b"+PONG\r\n$10\r\nrole:slave\r\n";

/// Time for the watch to connect and to block.
async fn watch_settles() {
    sleep(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_crash_is_seen_at_once() {
    let mut server = RedisServer::start(&[]).await;
    let mut running = start(patient(server.address));
    assert_eq!(running.well().await.role, Role::Master);
    running.is_quiet().await;

    let killed = Instant::now();
    server.kill();
    let (failure, conclusive) = running.failed().await;
    eprintln!("kill -9 to observation: {:?}", killed.elapsed());
    assert!(killed.elapsed() < SOON, "{:?}", killed.elapsed());
    // Refused, as a rule; a process that is still closing its sockets resets what it accepted.
    assert!(failure.is_hang_up() && conclusive, "{failure}");
}

#[tokio::test]
async fn a_crash_in_a_flurry_of_rounds_is_conclusive() {
    let mut server = RedisServer::start(&[]).await;
    let mut running = start(Target {
        check: Check { fast_interval: Duration::from_millis(1), ..patient(server.address).check },
        ..patient(server.address)
    });
    running.pace.send_replace(Pace::Fast);
    for _ in 0..50 {
        running.well().await;
    }
    server.kill();
    // Observations from before the crash may still be on their way.
    loop {
        match running.next().await.outcome {
            Outcome::Well(_) => {}
            Outcome::Failed { failure, conclusive } => {
                assert!(failure.is_hang_up() && conclusive, "{failure}");
                break;
            }
        }
    }
    // From then on nobody hangs up: the connection is refused, round after round.
    assert_eq!(running.failed().await, (Failure::Refused, false));
}

#[tokio::test]
async fn a_killed_connection_is_no_failure() {
    let server = RedisServer::start(&[]).await;
    let mut running = start(patient(server.address));
    running.well().await;
    watch_settles().await;
    server.command("CLIENT KILL TYPE normal").await;
    assert_eq!(running.well().await.role, Role::Master);
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let mut server = RedisServer::start(&[]).await;
    let address = server.address;
    let mut running = start(patient(address));
    running.well().await;
    sleep(Duration::from_millis(50)).await;
    server.kill();
    assert!(running.failed().await.1);
    drop(server);

    let _server = RedisServer::start_at(address, &[]).await;
    running.nudge.notify_one();
    running.well().await;
}

#[tokio::test]
async fn a_demotion_is_noticed_without_polling() {
    let master = RedisServer::start(&[]).await;
    let server = RedisServer::start(&[]).await;
    let mut running = start(patient(server.address));
    running.well().await;
    watch_settles().await;
    assert!(server.command("CLIENT LIST").await.contains("cmd=blmove"));

    let port = master.address.port();
    let demoted = Instant::now();
    server.command(&format!("REPLICAOF 127.0.0.1 {port}")).await;
    let said = running.well().await;
    eprintln!("REPLICAOF to observation: {:?}", demoted.elapsed());
    assert!(demoted.elapsed() < SOON, "{:?}", demoted.elapsed());
    assert_eq!((said.role, said.master), (Role::Replica, Some(("127.0.0.1".into(), port))));

    // Its link comes up by itself, and nothing else is watched.
    sleep(Duration::from_millis(100)).await;
    running.nudge.notify_one();
    running.well().await;
    assert!(!server.command("CLIENT LIST").await.contains("cmd=blmove"));
}

#[tokio::test]
async fn the_watch_takes_nothing_away() {
    let server = RedisServer::start(&[]).await;
    let mut running = start(patient(server.address));
    running.well().await;
    watch_settles().await;
    server.command("RPUSH redirector:watch a").await;
    server.command("RPUSH redirector:watch b").await;
    // The key is somebody's, so the probe polls.
    for _ in 0..3 {
        running.well().await;
    }
    assert_eq!(server.command("LRANGE redirector:watch 0 -1").await, "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
}

#[tokio::test]
async fn a_master_that_must_not_be_watched_is_polled() {
    let server =
        RedisServer::start(&["--user", "probe", "on", ">secret", "+ping", "+info", "--requirepass", "other"])
            .await;
    let mut running = start(Target { auth: Some(auth(Some("probe"), "secret")), ..patient(server.address) });
    for _ in 0..5 {
        assert_eq!(running.well().await.role, Role::Master);
    }
}

#[tokio::test]
async fn role_is_asked_where_info_is_forbidden() {
    let server = RedisServer::start(&["--user", "probe", "on", ">secret", "+role"]).await;
    let mut running = start(Target { auth: Some(auth(Some("probe"), "secret")), ..patient(server.address) });
    let said = running.well().await;
    assert_eq!((said.role, said.replid.as_str()), (Role::Master, ""));

    let server = RedisServer::start(&["--user", "probe", "on", ">secret", "+ping"]).await;
    let mut running = start(Target { auth: Some(auth(Some("probe"), "secret")), ..patient(server.address) });
    assert_eq!(running.failed().await, (Failure::NoPerm, false));
}

#[tokio::test]
async fn passwords() {
    let server = RedisServer::start(&["--requirepass", "right"]).await;
    let target = |auth| Target { auth, ..patient(server.address) };
    start(target(Some(auth(None, "right")))).well().await;
    start(target(Some(auth(Some("default"), "right")))).well().await;
    assert_eq!(start(target(None)).failed().await, (Failure::NoAuth, false));
    assert_eq!(start(target(Some(auth(None, "wrong")))).failed().await, (Failure::WrongPass, false));
    assert_eq!(start(target(Some(auth(Some("x"), "right")))).failed().await, (Failure::WrongPass, false));

    let open = RedisServer::start(&[]).await;
    start(Target { auth: Some(auth(None, "needless")), ..patient(open.address) }).well().await;
}

#[tokio::test]
async fn what_no_redis_would_say() {
    let endless = b"$999999999\r\n".repeat(1 << 16);
    let not_redis = |text: &str| Failure::NotRedis(Excerpt::new(text));
    let table: [(&'static [u8], Failure); 9] = [
        (b"", Failure::Closed),
        (b"+PONG\r\n$700\r\nrole:mas", Failure::Truncated),
        (b"+PONG\r\n$0\r\n\r\n", Failure::NoRole(Excerpt::new("the reply names no role"))),
        (b"-LOADING Redis is loading the dataset in memory\r\n$-1\r\n", Failure::Loading),
        (b"-BUSY Redis is busy running a script.\r\n-BUSY\r\n", Failure::Busy),
        (
            b"-ERR max number of clients reached\r\n",
            Failure::Other(Excerpt::new("ERR max number of clients reached")),
        ),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", not_redis("HTTP/1.1 400 Bad Request")),
        (b"+HELLO\r\n+HELLO\r\n", not_redis("HELLO")),
        (endless.leak(), Failure::TooLong),
    ];
    for (said, expected) in table {
        let (address, server) = stub(move |mut stream| async move {
            answer(&mut stream, said).await;
        })
        .await;
        let conclusive = expected == Failure::Loading;
        assert_eq!(start(patient(address)).failed().await, (expected, conclusive));
        server.abort();
    }
}

#[tokio::test]
async fn a_server_that_never_answers_in_time() {
    let hangs: [&'static [u8]; 3] = [b"", b"+PONG\r\n", b"+PONG\r\n$700\r\nrole:master\r\n"];
    for said in hangs {
        let (address, server) = stub(move |mut stream| async move {
            answer(&mut stream, said).await;
            std::future::pending::<()>().await;
        })
        .await;
        let check = Check { timeout: Duration::from_millis(50), ..patient(address).check };
        let mut running = start(Target { check, ..patient(address) });
        assert_eq!(running.failed().await, (Failure::Timeout(Phase::Reply), false));
        server.abort();
    }
}

#[tokio::test]
async fn the_password_is_told_to_redis_only() {
    let (address, server) = stub(|mut stream| async move {
        let mut request = [0; 64];
        while let Ok(length @ 1..) = stream.read(&mut request).await {
            let echo = stream.write_all(&request[..length]).await;
            assert!(echo.is_ok() && !request.windows(6).any(|bytes| bytes == b"secret"));
        }
    })
    .await;
    let mut running = start(Target { auth: Some(auth(None, "secret")), ..patient(address) });
    let (failure, _) = running.failed().await;
    assert!(matches!(failure, Failure::NotRedis(_)), "{failure}");
    server.abort();
}

#[tokio::test]
async fn a_server_that_hangs_up_after_each_answer_is_not_probed_in_a_spin() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    let (address, server) = stub(move |mut stream| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move { answer(&mut stream, MASTER).await }
    })
    .await;
    let mut running = start(patient(address));
    let began = Instant::now();
    for _ in 0..10 {
        running.well().await;
    }
    assert!(began.elapsed() >= Duration::from_millis(80), "{:?}", began.elapsed());
    // Its watch has had its one connection, too.
    assert!(connections.load(Ordering::Relaxed) <= 12);
    server.abort();
}

#[tokio::test]
async fn words_that_nobody_asked_for_end_the_connection() {
    let (address, server) = stub(|mut stream| async move {
        answer(&mut stream, REPLICA).await;
        sleep(Duration::from_millis(100)).await;
        let _ = stream.write_all(b"+HELLO\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut running = start(patient(address));
    running.well().await;
    running.well().await;
    server.abort();
}

#[tokio::test]
async fn pace_and_nudges() {
    let server = RedisServer::start(&[]).await;
    let mut running = start(patient(server.address));
    let observation = running.next().await;
    assert_eq!((observation.group, observation.server), (3, 5));
    assert!(observation.latency.is_some_and(|latency| latency < SOON));
    running.is_quiet().await;

    running.nudge.notify_one();
    running.well().await;
    running.is_quiet().await;

    // The new pace counts from the round before: it is due already.
    running.pace.send_replace(Pace::Fast);
    for _ in 0..5 {
        running.well().await;
    }
    running.pace.send_replace(Pace::Normal);
    sleep(Duration::from_millis(50)).await;
    while running.observations.try_recv().is_ok() {}
    running.is_quiet().await;
}

#[tokio::test]
async fn a_probe_ends_when_it_is_let_go() {
    let server = RedisServer::start(&[]).await;
    let mut running = start(patient(server.address));
    running.well().await;
    running.observations.close();
    let ended = tokio::time::timeout(SOON, &mut running.task).await;
    assert!(ended.is_ok_and(|task| task.is_ok()));

    let mut running = start(patient(server.address));
    running.well().await;
    drop(std::mem::replace(&mut running.pace, watch::channel(Pace::Normal).0));
    let ended = tokio::time::timeout(SOON, &mut running.task).await;
    assert!(ended.is_ok_and(|task| task.is_ok()));
}
