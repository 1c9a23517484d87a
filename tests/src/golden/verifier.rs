//! What the programs cost the kernel: their size, the verifier's work, the stack.
//!
//! The verifier walks a million instructions at most and allows 512 bytes of stack. The first is far away, the second is
//! not: a change that comes nearer by accident is to be noticed.

use std::{collections::BTreeMap, fmt, path::Path};

use redirector_common::names;

use super::{Hook, Kernel, kernel};

/// Growth that needs a word, in percent.
const TOLERANCE: u32 = 2;

/// The figures of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Instructions in the object.
    pub bytecode: u32,
    /// Bytes of stack that those instructions reach for.
    pub stack: u32,
    /// Instructions that the verifier has walked through, branches counted as often as they were taken.
    pub verified: u32,
    /// Instructions that the verifier has made of it.
    pub translated: u32,
    /// Bytes of machine code; zero without a JIT.
    pub jited: u32,
}

/// The figures of all programs, and the kernel they are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Release and machine, as `uname -rm` has them.
    pub kernel: String,
    pub programs: BTreeMap<String, Figures>,
}

/// The file that holds the figures.
pub fn path() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../redirector-ebpf/verifier.txt"))
}

impl Sheet {
    /// Loads both programs. Needs root.
    pub fn measure() -> Self {
        let name = nix::sys::utsname::uname().expect("every kernel has a name");
        let kernel = format!("{} {}", name.release().to_string_lossy(), name.machine().to_string_lossy());
        let object = kernel::object();
        let programs = [(names::XDP_PROGRAM, Hook::Xdp, "xdp"), (names::TC_PROGRAM, Hook::Tc, "classifier")];
        let programs = programs.map(|(name, hook, place)| (name.to_owned(), figures(&object, hook, place)));
        Self { kernel, programs: programs.into() }
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// A sentence that says which line is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut sheet = Self { kernel: String::new(), programs: BTreeMap::new() };
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let wrong = || {
                format!(
                    "line {number} of verifier.txt is not understood: {line:?}; `cargo xtask verifier --update` writes it anew"
                )
            };
            match words[..] {
                [] => {}
                [comment, ..] if comment.starts_with('#') => {}
                ["kernel", release, machine] => sheet.kernel = format!("{release} {machine}"),
                [name, bytecode, stack, verified, translated, jited] => {
                    let number = |word: &str| word.parse().map_err(|_| wrong());
                    let figures = Figures {
                        bytecode: number(bytecode)?,
                        stack: number(stack)?,
                        verified: number(verified)?,
                        translated: number(translated)?,
                        jited: number(jited)?,
                    };
                    sheet.programs.insert(name.to_owned(), figures);
                }
                _ => return Err(wrong()),
            }
        }
        Ok(sheet)
    }

    /// What has grown by more than the tolerance since `held`, a sentence each.
    ///
    /// What the kernel has a say in is compared only with figures of the same kernel.
    pub fn grown_since(&self, held: &Self) -> Vec<String> {
        let mut grown = Vec::new();
        for (name, now) in &self.programs {
            let Some(then) = held.programs.get(name) else {
                grown.push(format!("{name} has no figures in verifier.txt{ADVICE}"));
                continue;
            };
            let same_kernel = self.kernel == held.kernel;
            let figures = [
                (true, "instructions of bytecode", now.bytecode, then.bytecode),
                (true, "bytes of stack", now.stack, then.stack),
                (same_kernel, "instructions walked by the verifier", now.verified, then.verified),
                (same_kernel, "translated instructions", now.translated, then.translated),
                (same_kernel, "bytes of machine code", now.jited, then.jited),
            ];
            for (compared, what, now, then) in figures {
                if compared && u64::from(now) * 100 > u64::from(then) * u64::from(100 + TOLERANCE) {
                    grown.push(format!(
                        "{name} has grown by more than {TOLERANCE} %: {now} {what}, {then} before{ADVICE}"
                    ));
                }
            }
        }
        grown
    }
}

const ADVICE: &str =
    "; if that is meant, run `cargo xtask verifier --update` and commit redirector-ebpf/verifier.txt";

/// The text of the file.
impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# What the programs cost the kernel. `cargo xtask verifier --update` writes this file."
        )?;
        writeln!(f, "# The last three depend on the kernel and are compared on the same one only.")?;
        writeln!(f, "kernel {}", self.kernel)?;
        writeln!(f, "# program          bytecode  stack  verified  translated   jited")?;
        for (name, figures) in &self.programs {
            let Figures { bytecode, stack, verified, translated, jited } = figures;
            writeln!(f, "{name:<18} {bytecode:>8} {stack:>6} {verified:>9} {translated:>11} {jited:>7}")?;
        }
        Ok(())
    }
}

fn figures(object: &[u8], hook: Hook, place: &str) -> Figures {
    let code = section(object, place).expect("the object has the program");
    // What the compiler calls for copying is a leaf, and its frame comes on top.
    let called = section(object, ".text").unwrap_or_default();
    let info = Kernel::load(hook).info();
    let count = |bytes: usize| u32::try_from(bytes / INSTRUCTION).expect("a program fits");
    Figures {
        bytecode: count(code.len()),
        stack: deepest(code) + deepest(called),
        verified: info.verified_instruction_count().unwrap_or_default(),
        translated: count(info.size_translated().unwrap_or_default() as usize),
        jited: info.size_jitted(),
    }
}

/// Bytes in a BPF instruction (RFC 9669 §3): opcode, registers, offset of two, immediate of four.
const INSTRUCTION: usize = 8;
/// The frame pointer.
const R10: u8 = 10;

/// How far below the frame pointer instructions reach: in a load or store, or by `rX = r10; rX += -N`.
fn deepest(code: &[u8]) -> u32 {
    /// Classes of loads into and stores from registers, and the add-immediate of 64 bits.
    const LDX: u8 = 0x01;
    const ST: u8 = 0x02;
    const STX: u8 = 0x03;
    const ADD_IMMEDIATE: u8 = 0x07;
    const MOVE: u8 = 0xbf;
    // Registers that hold the frame pointer itself.
    let mut frame = [false; 16];
    let mut depth = 0;
    for instruction in code.chunks_exact(INSTRUCTION) {
        let (opcode, registers) = (instruction[0], instruction[1]);
        let (to, from) = (registers & 15, registers >> 4);
        let offset = i32::from(i16::from_le_bytes([instruction[2], instruction[3]]));
        let immediate = i32::from_le_bytes([instruction[4], instruction[5], instruction[6], instruction[7]]);
        let below = match (opcode & 7, opcode) {
            (LDX, _) if from == R10 => offset,
            (ST | STX, _) if to == R10 => offset,
            (_, ADD_IMMEDIATE) if frame[usize::from(to)] => immediate,
            _ => 0,
        };
        depth = depth.max(below.min(0).unsigned_abs());
        // Stores have an address there, everything else a result.
        if !matches!(opcode & 7, ST | STX) {
            frame[usize::from(to)] = opcode == MOVE && from == R10;
        }
    }
    depth
}

/// The bytes of a section of an ELF file of 64 bits, little-endian.
fn section<'o>(object: &'o [u8], name: &str) -> Option<&'o [u8]> {
    let number = |at: usize, bytes: usize| {
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(object.get(at..at + bytes)?);
        usize::try_from(u64::from_le_bytes(word)).ok()
    };
    let (table, size, count, names) =
        (number(0x28, 8)?, number(0x3a, 2)?, number(0x3c, 2)?, number(0x3e, 2)?);
    let bytes = |index: usize| {
        let header = table + index * size;
        let start = number(header + 0x18, 8)?;
        object.get(start..start + number(header + 0x20, 8)?)
    };
    let names = bytes(names)?;
    let is_it = |&index: &usize| {
        let start = number(table + index * size, 4)?;
        let rest = names.get(start..)?;
        Some(rest.starts_with(name.as_bytes()) && rest.get(name.len()) == Some(&0))
    };
    (0..count).find(|index| is_it(index) == Some(true)).and_then(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(kernel: &str, bytecode: u32, verified: u32) -> Sheet {
        let figures = Figures { bytecode, stack: 100, verified, translated: 1000, jited: 5000 };
        Sheet { kernel: kernel.into(), programs: BTreeMap::from([("p".into(), figures)]) }
    }

    #[test]
    fn what_is_written_is_read() {
        let sheet = sheet("6.12.0 x86_64", 1000, 9000);
        assert_eq!(Sheet::parse(&sheet.to_string()), Ok(sheet));
        assert!(Sheet::parse("p 1 2 three 4 5").is_err());
    }

    #[test]
    fn growth_counts_from_two_percent_and_the_kernels_part_on_the_same_kernel_only() {
        let held = sheet("a x", 1000, 1000);
        for (now, sentences) in [
            (sheet("a x", 1020, 1020), 0),
            (sheet("a x", 1021, 1021), 2),
            (sheet("b x", 1021, 1021), 1),
            (sheet("b x", 900, 5000), 0),
        ] {
            assert_eq!(now.grown_since(&held).len(), sentences, "{now}");
        }
    }

    #[test]
    fn the_deepest_reach_below_the_frame_pointer() {
        // r2 = r10; r2 += -104; *(u64 *)(r10 - 16) = r1; r3 += -500
        let code = [
            [0xbf, 0xa2, 0, 0, 0, 0, 0, 0],
            [0x07, 0x02, 0, 0, 0x98, 0xff, 0xff, 0xff],
            [0x7b, 0x1a, 0xf0, 0xff, 0, 0, 0, 0],
            [0x07, 0x03, 0, 0, 0x0c, 0xfe, 0xff, 0xff],
        ];
        assert_eq!(deepest(code.as_flattened()), 104);
    }
}
