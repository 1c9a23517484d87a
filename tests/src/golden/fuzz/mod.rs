//! Random packets through the loaded bytecode and the reference model, side by side.
//!
//! The unit is a *sequence*: a fresh world, a few changes, then packets with more changes between them. Everything in
//! a sequence follows from its seed.

mod change;
mod packet;
mod random;

use std::{
    fmt::{self, Write as _},
    time::{Duration, Instant},
};

use redirector_common::Counter;

pub use change::Change;
pub use random::Random;

use super::{
    Class, Executor as _, Hook, Kernel, World,
    frame::verify,
    model::{Answer, Model},
};

/// Packets in a sequence.
pub const SEQUENCE: usize = 64;
/// Entries of the flow table unless asked for otherwise: small, so that it fills, and odd, so that it may have room for
/// one entry of two.
pub const TABLE: u32 = 11;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub hook: Hook,
    /// Of the first sequence; the next has the next number.
    pub seed: u64,
    /// At least so many.
    pub packets: u64,
    /// Entries of the flow table.
    pub table: u32,
}

/// A step of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Change(Change),
    Send(Vec<u8>),
}

/// What was run without a difference.
#[derive(Debug, Clone)]
pub struct Tally {
    pub packets: u64,
    /// Frames that the kernel makes no packet of at this hook.
    pub refused: u64,
    /// By [`Counter`].
    pub counters: Vec<u64>,
    pub elapsed: Duration,
}

/// A sequence on which bytecode and model do not agree.
#[derive(Debug, Clone)]
pub struct Difference {
    pub hook: Hook,
    pub seed: u64,
    /// Shrunk: none of them can be left out.
    pub steps: Vec<Step>,
    pub what: String,
    pub table: u32,
}

/// Runs sequences until there were enough packets, or until one shows a difference.
///
/// # Errors
/// The difference, shrunk.
pub fn run(options: &Options, mut progress: impl FnMut(&Tally)) -> Result<Tally, Box<Difference>> {
    let mut lab = Lab::new(options.hook, options.table);
    let start = Instant::now();
    let mut tally =
        Tally { packets: 0, refused: 0, counters: vec![0; Counter::COUNT as usize], elapsed: Duration::ZERO };
    for seed in (0..).map(|sequence| options.seed.wrapping_add(sequence)) {
        if tally.packets >= options.packets {
            break;
        }
        let steps = generate(seed, options.table);
        if let Err(what) = lab.replay(&steps, Some(&mut tally)) {
            let (steps, what) = lab.shrink(steps, what);
            let (hook, table) = (options.hook, options.table);
            return Err(Box::new(Difference { hook, seed, steps, what, table }));
        }
        tally.elapsed = start.elapsed();
        if seed.wrapping_sub(options.seed) % 4096 == 4095 {
            progress(&tally);
        }
    }
    Ok(tally)
}

/// The sequence of a seed. The model plays along, so that packets can belong to the flows there are.
pub fn generate(seed: u64, table: u32) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut world = world(table);
    let mut model = Model::default();
    model.reset(&world);
    let mut steps = Vec::new();
    let mut change = |random: &mut Random, model: &mut Model| {
        let change = Change::random(random);
        change.apply(&mut world);
        model.update(&world);
        Step::Change(change)
    };
    for _ in 0..random.below(8) {
        steps.push(change(&mut random, &mut model));
    }
    for _ in 0..SEQUENCE {
        if random.one_in(24) {
            steps.push(change(&mut random, &mut model));
        }
        let frame = packet::random(&mut random, model.flows());
        model.run(&frame);
        steps.push(Step::Send(frame));
    }
    steps
}

fn world(table: u32) -> World {
    World { capacity: table as usize, ..World::default() }
}

/// The bytecode and the model, in the same world.
struct Lab {
    kernel: Kernel,
    model: Model,
    table: u32,
    /// The counters as they should be.
    counters: Vec<u64>,
}

impl Lab {
    fn new(hook: Hook, table: u32) -> Self {
        let mut kernel = Kernel::load_with(hook, table);
        kernel.reset(&world(table));
        let counters = kernel.counters();
        Self { kernel, model: Model::default(), table, counters }
    }

    /// Sends a sequence through both; an error says what differs.
    fn replay(&mut self, steps: &[Step], mut tally: Option<&mut Tally>) -> Result<(), String> {
        let mut world = world(self.table);
        self.model.reset(&world);
        self.kernel.rewind(&world);
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Change(change) => {
                    change.apply(&mut world);
                    self.model.update(&world);
                    self.kernel.update(&world);
                }
                Step::Send(frame) => {
                    let sent = self.send(frame).map_err(|what| format!("step {}: {what}", at + 1))?;
                    if let Some(tally) = &mut tally {
                        tally.packets += u64::from(sent.is_some());
                        tally.refused += u64::from(sent.is_none());
                        for counter in sent.iter().flat_map(|answer| &answer.counters) {
                            tally.counters[counter.index() as usize] += 1;
                        }
                    }
                }
            }
        }
        self.settle()
    }

    /// One packet through both. `None`: the kernel makes no such packet.
    fn send(&mut self, frame: &[u8]) -> Result<Option<Answer>, String> {
        let answer = self.model.run(frame);
        let Some((class, out)) = self.kernel.run(frame) else { return Ok(None) };
        for counter in &answer.counters {
            self.counters[counter.index() as usize] += 1;
        }
        if let Some(what) = answer.differs(frame, class, &out) {
            return Err(format!("{:?}: {what}", answer.counters));
        }
        // A second opinion on the checksums, of a library that knows neither side.
        if class == Class::Transmit && verify(frame).is_ok() {
            verify(&out).map_err(|what| format!("what leaves has a wrong {what}"))?;
        }
        Ok(Some(answer))
    }

    /// Compares what is left at the end of a sequence.
    fn settle(&mut self) -> Result<(), String> {
        let found = self.kernel.counters();
        for (&counter, (found, expected)) in Counter::ALL.iter().zip(found.iter().zip(&self.counters)) {
            if found != expected {
                let more = found.wrapping_sub(*expected).cast_signed();
                return Err(format!("{} counts {more:+} more than expected", counter.name()));
            }
        }
        let (found, expected) = (self.kernel.flows(), self.model.flows());
        if found == *expected {
            return Ok(());
        }
        let mut what = String::from("the flow tables differ at the end:");
        let missing = expected.keys().filter(|key| !found.contains_key(key));
        for key in found.keys().chain(missing) {
            if found.get(key) != expected.get(key) {
                // Writing to a String cannot fail.
                let _ = write!(
                    what,
                    "\n{key:?}\n  is       {:?}\n  expected {:?}",
                    found.get(key),
                    expected.get(key)
                );
            }
        }
        Err(what)
    }

    /// Leaves out what can be left out.
    fn shrink(&mut self, mut steps: Vec<Step>, mut what: String) -> (Vec<Step>, String) {
        let mut size = steps.len() / 2;
        loop {
            let before = steps.len();
            let mut at = 0;
            while size > 0 && at < steps.len() {
                let fewer = [&steps[..at], &steps[(at + size).min(steps.len())..]].concat();
                // After a difference the counters cannot be believed.
                self.counters = self.kernel.counters();
                match self.replay(&fewer, None) {
                    Err(still) => (steps, what) = (fewer, still),
                    Ok(()) => at += size,
                }
            }
            if size <= 1 && steps.len() == before {
                return (steps, what);
            }
            size = (size / 2).max(1);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate, for people")]
        let rate = self.packets as f64 / seconds.max(f64::MIN_POSITIVE);
        write!(f, "{} packets in {seconds:.1} s, {rate:.0}/s", self.packets)?;
        if self.refused > 0 {
            write!(f, ", and {} that the kernel makes no packet of", self.refused)?;
        }
        Ok(())
    }
}

/// The difference, and the sequence as a row for `tests/src/golden/cases.rs`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}, seed {}: {}\n", self.hook, self.seed, self.what)?;
        let mut world = world(self.table);
        let mut model = Model::default();
        model.reset(&world);
        let mut rows = String::new();
        for step in &self.steps {
            match step {
                Step::Change(change) => {
                    change.apply(&mut world);
                    model.update(&world);
                    writeln!(rows, "        Step::Change(|world| {{ {change} }}),")?;
                }
                Step::Send(frame) => {
                    let answer = model.run(frame);
                    let counters: Vec<_> =
                        answer.counters.iter().map(|counter| format!("Counter::{counter:?}")).collect();
                    let out = match answer.class {
                        Class::Pass => "Out::Unchanged".into(),
                        Class::Drop => "Out::Any".into(),
                        Class::Transmit => format!("Out::Frame(unhex(\"{}\"))", hex(&answer.out)),
                    };
                    writeln!(
                        rows,
                        "        Step::Send(unhex(\"{}\"), Expect {{ class: Class::{:?}, counters: vec![{}], out: {out} }}),",
                        hex(frame),
                        answer.class,
                        counters.join(", "),
                    )?;
                }
            }
        }
        let entries = model.flows().len();
        writeln!(f, "case(\"seed {}\", {entries}, vec![\n{rows}    ])", self.seed)
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes of a case that the fuzzer has printed.
pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).expect("hexadecimal digits"))
        .collect()
}
