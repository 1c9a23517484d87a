//! Ears on an interface: every frame that passes, when it passed, and whether its checksums are
//! right.

mod checksum;
mod frame;
mod socket;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Result;

use self::socket::PacketSocket;
pub use self::{
    checksum::{Verdict, verify},
    frame::{Direction, Frame, Segment},
};
use super::{Namespace, wait_for};

/// Frames that one sniffer keeps; later ones are verified and counted only.
const MAX_FRAMES: usize = 200_000;
/// Bytes that are kept of each frame, enough for every header.
const MAX_FRAME_BYTES: usize = 256;

/// Listens on an interface from its start until it is dropped.
#[derive(Debug)]
pub struct Sniffer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: PacketSocket,
    captured: Mutex<Captured>,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Captured {
    frames: Vec<Frame>,
    checksums: Checksums,
}

/// What arrived, by its checksums. Frames that the namespace itself sends are not judged: its
/// kernel may leave their checksums to the card.
#[derive(Debug, Clone, Default)]
pub struct Checksums {
    /// IPv4 packets whose header, and TCP segment if they carry one, sum up.
    pub good: u64,
    pub bad: u64,
    /// Frames that hold no finished checksum to check: left to the card by a sender with offload,
    /// or merged by GRO, which merges only what it has verified.
    pub open: u64,
    /// The whole frame, and what is wrong with it.
    pub first_bad: Option<(Vec<u8>, &'static str)>,
}

impl Sniffer {
    /// Returns once it listens: what is sent from now on is seen.
    pub fn start(namespace: &Namespace, interface: &str) -> Result<Self> {
        let socket = namespace.enter(|| PacketSocket::open(interface))?;
        let shared = Arc::new(Shared { socket, captured: Mutex::default(), stop: AtomicBool::new(false) });
        let thread = std::thread::Builder::new().name(format!("sniff-{interface}")).spawn({
            let shared = Arc::clone(&shared);
            move || shared.listen()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Everything that was kept so far, in order.
    pub fn frames(&self) -> Vec<Frame> {
        self.shared.captured().frames.clone()
    }

    /// The TCP segments among the frames, in order.
    pub fn segments(&self) -> Vec<Segment> {
        self.shared.captured().frames.iter().filter_map(Frame::segment).collect()
    }

    pub fn checksums(&self) -> Checksums {
        self.shared.captured().checksums.clone()
    }

    /// Frames that came faster than we could listen, since the last call.
    pub fn missed(&self) -> Result<u32> {
        self.shared.socket.take_drops()
    }

    /// Forgets what it has heard.
    pub fn clear(&self) {
        *self.shared.captured() = Captured::default();
    }

    /// The first segment that `wanted` accepts, already heard or still to come.
    pub fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Segment) -> bool,
    ) -> Result<Segment> {
        let mut seen = 0;
        wait_for(what, limit, || {
            let captured = self.shared.captured();
            let new = captured.frames.get(seen..).unwrap_or_default();
            seen = captured.frames.len();
            new.iter().filter_map(Frame::segment).find(&wanted)
        })
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn captured(&self) -> MutexGuard<'_, Captured> {
        self.captured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self) {
        // The largest that GRO builds for IPv4, and its Ethernet header.
        let mut buffer = vec![0; 14 + 65_535];
        while !self.stop.load(Ordering::Relaxed) {
            // An error means silence, or that the interface is gone; both end when we are told to
            // stop.
            let Ok(received) = self.socket.receive(&mut buffer) else {
                continue;
            };
            let bytes = &buffer[..received.length_bytes];
            let verdict = match received.direction {
                Direction::In if !received.checksum_open => Some(verify(bytes)),
                Direction::In | Direction::Out => None,
            };
            let mut captured = self.captured();
            match (verdict, received.direction) {
                (Some(verdict), _) => captured.checksums.add(verdict, bytes),
                (None, Direction::In) => captured.checksums.open += 1,
                (None, Direction::Out) => {}
            }
            if captured.frames.len() < MAX_FRAMES {
                captured.frames.push(Frame {
                    at: received.at,
                    direction: received.direction,
                    bytes: bytes[..bytes.len().min(MAX_FRAME_BYTES)].to_vec(),
                    length_bytes: bytes.len(),
                });
            }
        }
    }
}

impl Checksums {
    fn add(&mut self, verdict: Verdict, frame: &[u8]) {
        match verdict {
            Verdict::Good => self.good += 1,
            Verdict::Bad(why) => {
                self.bad += 1;
                self.first_bad.get_or_insert_with(|| (frame.to_vec(), why));
            }
            Verdict::NotIpv4 => {}
        }
    }
}

impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} good, {} bad, {} open", self.good, self.bad, self.open)?;
        if let Some((frame, why)) = &self.first_bad {
            write!(f, "\nthe first bad one: {why}")?;
            for (index, byte) in frame.iter().take(MAX_FRAME_BYTES).enumerate() {
                let gap = if index % 16 == 0 { "\n" } else { " " };
                write!(f, "{gap}{byte:02x}")?;
            }
        }
        Ok(())
    }
}
