//! Starting other programs so that a person sees what happens.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::{self, BufRead, BufReader, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, ExitStatus, Stdio},
    time::Instant,
};

use anyhow::{Context, Error, Result, anyhow, bail};

/// How much of a failed command's output an explanation repeats.
const TAIL_LINES: usize = 12;

/// The command as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        let plain = !arg.is_empty() && !arg.contains(|c: char| c.is_whitespace() || "'\"$\\".contains(c));
        // Writing into a String cannot fail.
        let _ = if plain { write!(text, " {arg}") } else { write!(text, " {arg:?}") };
    }
    text
}

/// Runs a command on our terminal under a heading; a failure is an error.
pub(crate) fn run(heading: &str, command: &mut Command) -> Result<()> {
    println!("→ {heading}");
    let status = command.status().with_context(|| format!("cannot start `{}`", describe(command)))?;
    check(command, status)
}

/// Runs a long step: its output streams by, its duration is told, and a failure repeats its last lines.
///
/// `shown` is what a person would type for it, without our wrappers.
pub(crate) fn run_step(heading: &str, shown: &str, command: &mut Command) -> Result<()> {
    println!("→ {heading}");
    println!("  $ {shown}");
    let start = Instant::now();
    let mut tail = VecDeque::new();
    let status = each_line_of_both(command, |line| {
        println!("  {line}");
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line.to_owned());
    })?;
    if status.success() {
        println!("  done in {:.0} s", start.elapsed().as_secs_f64());
        return Ok(());
    }
    let tail: Vec<String> = tail.into_iter().map(|line| format!("    {line}")).collect();
    bail!("`{shown}` failed ({status}); its last lines:\n{}", tail.join("\n"))
}

/// Runs a command whose standard output we read; standard error goes to our terminal.
pub(crate) fn each_line(command: &mut Command, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", describe(command)))?;
    if let Some(stdout) = child.stdout.take() {
        read_lines(stdout, &mut each)?;
    }
    Ok(child.wait()?)
}

/// As [`each_line`], with standard error in the same stream, in the order in which it was written.
fn each_line_of_both(command: &mut Command, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
    let (reader, writer) = io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stderr(writer.try_clone()?)
        .stdout(writer)
        .spawn()
        .with_context(|| format!("cannot start `{}`", describe(command)))?;
    // The command still holds our writing ends, and the reader ends only when all are closed.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    read_lines(reader, &mut each)?;
    Ok(child.wait()?)
}

fn read_lines(reader: impl io::Read, each: &mut impl FnMut(&str)) -> Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        each(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        line.clear();
        io::stdout().flush()?;
    }
    Ok(())
}

/// What a command prints, if it can be started and succeeds; it prints nothing on our terminal.
pub(crate) fn capture(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// Turns into the command: Ctrl-C, other signals and the exit code are then the command's own.
pub(crate) fn become_command(mut command: Command) -> Error {
    let name = describe(&command);
    let error = command.exec();
    anyhow!(error).context(format!("cannot start `{name}`"))
}

/// A status other than success as an error that names the command.
pub(crate) fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    match (status.code(), status.signal()) {
        (Some(code), _) => bail!("`{}` failed with exit code {code}", describe(command)),
        (None, Some(signal)) => bail!("`{}` was ended by signal {signal}", describe(command)),
        (None, None) => bail!("`{}` failed", describe(command)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failed_step_repeats_its_last_lines() {
        let Err(error) = run_step("counting", "seq", &mut shell("seq 40; echo broken >&2; exit 3")) else {
            unreachable!("exit 3 is a failure")
        };
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.ends_with("    40\n    broken"), "{text}");
        assert!(!text.contains(" 29\n"), "only the last {TAIL_LINES} lines: {text}");
    }

    #[test]
    fn lines_arrive_without_their_ends() {
        let mut lines = Vec::new();
        let status = each_line(&mut shell("printf 'one\\ntwo'"), |line| lines.push(line.to_owned()));
        assert!(status.is_ok_and(|status| status.success()));
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn capture_is_none_for_a_failure_and_for_a_missing_program() {
        assert_eq!(capture(&mut shell("echo yes")).as_deref(), Some("yes\n"));
        assert_eq!(capture(&mut shell("echo no; exit 1")), None);
        assert_eq!(capture(&mut Command::new("no-such-program-here")), None);
    }

    #[test]
    fn a_described_command_quotes_what_a_shell_would_split() {
        let mut command = Command::new("cargo");
        command.args(["build", "two words"]);
        assert_eq!(describe(&command), "cargo build \"two words\"");
    }
}
