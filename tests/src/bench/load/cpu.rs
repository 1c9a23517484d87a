//! The time that a process has spent on a core.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

/// All its threads together, to the nanosecond (`schedstat` of proc(5)).
pub(super) fn of_process(pid: u32) -> Result<Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("Process {pid} is gone in the middle of its load."))?;
    let mut total_ns = 0;
    for task in tasks {
        // A thread that ends just now takes its last figures along.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        total_ns += running_ns(&text).with_context(|| format!("schedstat says {text:?}"))?;
    }
    Ok(Duration::from_nanos(total_ns))
}

/// The first of its three numbers.
fn running_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{of_process, running_ns};

    #[test]
    fn the_first_number_is_the_time_on_a_core() {
        assert_eq!(running_ns("123456789 42 7\n"), Some(123_456_789));
        assert_eq!(running_ns(""), None);
    }

    #[test]
    fn this_process_has_run() {
        assert!(of_process(std::process::id()).is_ok_and(|time| !time.is_zero()));
    }
}
