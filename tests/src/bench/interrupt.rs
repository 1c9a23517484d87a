//! Ctrl-C ends a benchmark between two steps, so that the lab is removed on the way out.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use nix::sys::signal::{SigSet, Signal};

static STOP: AtomicBool = AtomicBool::new(false);

/// How long it takes to notice, at most.
const GRAIN: Duration = Duration::from_millis(20);

/// Takes over the signals that end a program. To be called before any thread is started.
pub fn listen() -> Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block()?;
    std::thread::spawn(move || {
        while signals.wait().is_ok() {
            STOP.store(true, Ordering::Relaxed);
        }
    });
    Ok(())
}

/// Fails once a signal has come.
pub fn check() -> Result<()> {
    ensure!(!STOP.load(Ordering::Relaxed), "Stopped by a signal; the lab is removed.");
    Ok(())
}

/// Sleeps, unless a signal comes.
pub fn pause(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(GRAIN));
    }
}

/// Asks `probe` every few milliseconds until it says yes. `false` when it has not within `limit`.
pub fn wait_until(limit: Duration, mut probe: impl FnMut() -> bool) -> Result<bool> {
    let start = Instant::now();
    while !probe() {
        if start.elapsed() >= limit {
            return Ok(false);
        }
        pause(Duration::from_millis(5))?;
    }
    Ok(true)
}
