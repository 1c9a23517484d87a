//! The samples by what they are of, and the marks they are held to.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::bench::{
    stats::Spread,
    table::{Align, Table},
};

/// What happens to the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    PromoteFirst,
    DemoteFirst,
    Crash,
}

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    FirstServed,
    LastStray,
    ClientEnds,
    ServerEnds,
    Noticed,
}

/// Whose time it is: ours is held to marks, the others are for comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Redirector,
    Peer(&'static str),
}

/// Samples of one time, in milliseconds.
#[derive(Debug, Clone)]
struct Figure {
    scenario: Scenario,
    quantity: Quantity,
    subject: Subject,
    samples_ms: Vec<f64>,
    /// Runs in which it never came to that.
    missing: usize,
}

/// All samples of one benchmark.
#[derive(Debug, Clone, Default)]
pub(super) struct Sheet(Vec<Figure>);

impl Scenario {
    fn title(self) -> &'static str {
        match self {
            Self::PromoteFirst => {
                "Planned switch, promotion first: from the reply of the second command (REPLICAOF)"
            }
            Self::DemoteFirst => {
                "Planned switch, demotion first: from the reply of the second command (REPLICAOF NO ONE)"
            }
            Self::Crash => "Crash: from kill -9 of the master",
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::PromoteFirst => "promote-first",
            Self::DemoteFirst => "demote-first",
            Self::Crash => "crash",
        }
    }
}

impl Quantity {
    fn label(self) -> &'static str {
        match self {
            Self::FirstServed => "first new connection served by the new master",
            Self::LastStray => "last new connection served by the old master",
            Self::ClientEnds => "last of 20 old flows over at the client",
            Self::ServerEnds => "last of 20 old flows over at the server",
            Self::Noticed => "first new connection refused by the gateway",
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::FirstServed => "first-served",
            Self::LastStray => "last-stray",
            Self::ClientEnds => "client-ends",
            Self::ServerEnds => "server-ends",
            Self::Noticed => "noticed",
        }
    }

    /// What the median shall not exceed.
    fn mark_ms(self) -> f64 {
        match self {
            Self::FirstServed | Self::LastStray | Self::ClientEnds | Self::ServerEnds => 50.0,
            Self::Noticed => 20.0,
        }
    }
}

impl Subject {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Redirector => "redirector",
            Self::Peer(name) => name,
        }
    }
}

impl Figure {
    /// The mark in words; empty for a peer.
    fn verdict(&self) -> String {
        let mark_ms = self.quantity.mark_ms();
        match (self.subject, Spread::of(&self.samples_ms)) {
            (Subject::Redirector, _) if self.missing > 0 => {
                let runs = self.missing + self.samples_ms.len();
                format!("{mark_ms:.0} ms: missed, never in {} of {runs} runs", self.missing)
            }
            (Subject::Redirector, Some(Spread { median, .. })) if median <= mark_ms => {
                format!("{mark_ms:.0} ms: met")
            }
            (Subject::Redirector, Some(Spread { median, .. })) => {
                format!("{mark_ms:.0} ms: missed by {:.1} ms", median - mark_ms)
            }
            (Subject::Redirector, None) | (Subject::Peer(_), _) => String::new(),
        }
    }
}

impl Sheet {
    /// Notes one sample: milliseconds from one time to the other, negative if it came earlier; `None`
    /// if it never came.
    pub(super) fn add(
        &mut self,
        scenario: Scenario,
        quantity: Quantity,
        subject: Subject,
        from: SystemTime,
        to: Option<SystemTime>,
    ) {
        let key = (scenario, quantity, subject);
        let found = self.0.iter().position(|one| (one.scenario, one.quantity, one.subject) == key);
        let at = found.unwrap_or_else(|| {
            self.0.push(Figure { scenario, quantity, subject, samples_ms: Vec::new(), missing: 0 });
            self.0.len() - 1
        });
        match to {
            Some(to) => self.0[at].samples_ms.push(ms_between(from, to)),
            None => self.0[at].missing += 1,
        }
    }

    /// For people.
    pub(super) fn table(&self) -> Table<6> {
        let mut table = Table::new([
            ("", Align::Left),
            ("by", Align::Left),
            ("median", Align::Right),
            ("min", Align::Right),
            ("max", Align::Right),
            ("mark", Align::Left),
        ]);
        for scenario in [Scenario::PromoteFirst, Scenario::DemoteFirst, Scenario::Crash] {
            let mut figures: Vec<_> = self.0.iter().filter(|one| one.scenario == scenario).collect();
            if figures.is_empty() {
                continue;
            }
            // One quantity of all subjects together; a stable sort keeps the order of the subjects.
            figures.sort_by_key(|one| one.quantity as u8);
            table.section(scenario.title());
            for figure in figures {
                let spread = Spread::of(&figure.samples_ms);
                let ms = |pick: fn(&Spread) -> f64| {
                    spread.as_ref().map_or_else(|| "never".to_owned(), |spread| format_ms(pick(spread)))
                };
                table.row([
                    figure.quantity.label().to_owned(),
                    figure.subject.name().to_owned(),
                    ms(|spread| spread.median),
                    ms(|spread| spread.min),
                    ms(|spread| spread.max),
                    figure.verdict(),
                ]);
            }
        }
        table
    }

    /// For programs: every sample, so that nobody has to trust our median.
    pub(super) fn json(&self) -> Value {
        let figures = self.0.iter().map(|figure| {
            let spread = Spread::of(&figure.samples_ms);
            let mark = match figure.subject {
                Subject::Redirector => Some(figure.quantity.mark_ms()),
                Subject::Peer(_) => None,
            };
            json!({
                "scenario": figure.scenario.id(),
                "quantity": figure.quantity.id(),
                "by": figure.subject.name(),
                "median_ms": spread.map(|spread| spread.median),
                "min_ms": spread.map(|spread| spread.min),
                "max_ms": spread.map(|spread| spread.max),
                "mark_ms": mark,
                "met": mark.map(|mark| {
                    figure.missing == 0 && spread.is_some_and(|spread| spread.median <= mark)
                }),
                "missing": figure.missing,
                "samples_ms": figure.samples_ms,
            })
        });
        figures.collect()
    }
}

fn ms_between(from: SystemTime, to: SystemTime) -> f64 {
    match to.duration_since(from) {
        Ok(later) => later.as_secs_f64() * 1e3,
        Err(error) => -(error.duration().as_secs_f64() * 1e3),
    }
}

fn format_ms(ms: f64) -> String {
    if ms.abs() < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Quantity, Scenario, Sheet, Subject};

    fn sheet(subject: Subject, samples_ms: &[Option<f64>]) -> Sheet {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let mut sheet = Sheet::default();
        for sample in samples_ms {
            let to = sample.map(|ms| {
                let span = Duration::from_secs_f64(f64::abs(ms) / 1e3);
                if ms < 0.0 { start - span } else { start + span }
            });
            sheet.add(Scenario::Crash, Quantity::Noticed, subject, start, to);
        }
        sheet
    }

    #[test]
    fn the_median_is_held_to_the_mark() {
        let ours = Subject::Redirector;
        for (samples, verdict) in [
            (&[Some(3.0), Some(90.0), Some(4.0)][..], "20 ms: met"),
            (&[Some(-1.5)], "20 ms: met"),
            (&[Some(22.5)], "20 ms: missed by 2.5 ms"),
            (&[Some(3.0), None], "20 ms: missed, never in 1 of 2 runs"),
            (&[None], "20 ms: missed, never in 1 of 1 runs"),
        ] {
            let sheet = sheet(ours, samples);
            assert_eq!(sheet.0[0].verdict(), verdict, "{samples:?}");
            assert_eq!(sheet.json()[0]["met"], verdict.ends_with("met"), "{samples:?}");
        }
        assert_eq!(sheet(Subject::Peer("a peer"), &[Some(5000.0)]).0[0].verdict(), "");
    }

    #[test]
    fn a_table_reads_as_its_samples() {
        let table = sheet(Subject::Redirector, &[Some(-1.0), Some(2.0), Some(150.4)]).table().to_string();
        let row = table.lines().last().unwrap_or_default();
        let words: Vec<_> = row.split_whitespace().skip(7).collect();
        assert_eq!(words.join(" "), "redirector 2.0 ms -1.0 ms 150 ms 20 ms: met", "{table}");
    }
}
