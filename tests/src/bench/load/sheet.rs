//! The samples by load and way, each beside its partner on the direct way.

use std::time::Duration;

use serde_json::{Value, json};

use super::way::DIRECT;
use crate::bench::{
    stats::{Spread, ratios},
    table::{Align, Table},
};

/// One run of one load on one way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) requests_per_s: f64,
    /// What the process on the gateway used.
    pub(super) cpu: Duration,
    /// How long the run took.
    pub(super) took: Duration,
}

#[derive(Debug, Clone)]
struct Series {
    load: &'static str,
    way: &'static str,
    samples: Vec<Sample>,
}

/// All samples of one benchmark.
#[derive(Debug, Clone, Default)]
pub(super) struct Sheet(Vec<Series>);

impl Series {
    fn requests_per_s(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.requests_per_s).collect()
    }

    /// Percent of one core.
    fn cpu_percent(&self) -> Vec<f64> {
        let share = |sample: &Sample| 100.0 * sample.cpu.as_secs_f64() / sample.took.as_secs_f64();
        self.samples.iter().map(share).collect()
    }
}

impl Sheet {
    pub(super) fn add(&mut self, load: &'static str, way: &'static str, sample: Sample) {
        match self.0.iter_mut().find(|series| series.load == load && series.way == way) {
            Some(series) => series.samples.push(sample),
            None => self.0.push(Series { load, way, samples: vec![sample] }),
        }
    }

    /// Every series with its ratios to the direct way.
    fn paired(&self) -> impl Iterator<Item = (&Series, Vec<f64>)> {
        self.0.iter().map(|series| {
            let direct = self.0.iter().find(|other| other.load == series.load && other.way == DIRECT);
            let direct = direct.map(Series::requests_per_s).unwrap_or_default();
            (series, ratios(&series.requests_per_s(), &direct))
        })
    }

    /// For people.
    pub(super) fn table(&self) -> Table<4> {
        let mut table = Table::new([
            ("", Align::Left),
            ("requests/s", Align::Right),
            ("to direct (min–max)", Align::Right),
            ("CPU of its process", Align::Right),
        ]);
        let mut load = "";
        for (series, ratios) in self.paired() {
            if series.load != load {
                load = series.load;
                table.section(load);
            }
            let median = |samples: &[f64]| Spread::of(samples).map(|spread| spread.median);
            let cpu = match series.way {
                DIRECT => "–".to_owned(),
                _ => median(&series.cpu_percent()).map_or_else(String::new, |cpu| format!("{cpu:.1} %")),
            };
            table.row([
                series.way.to_owned(),
                median(&series.requests_per_s()).map_or_else(String::new, |rate| format!("{rate:.0}")),
                Spread::of(&ratios).map_or_else(String::new, |Spread { median, min, max, .. }| {
                    format!("{median:.2} ({min:.2}–{max:.2})")
                }),
                cpu,
            ]);
        }
        table
    }

    /// For programs: every sample.
    pub(super) fn json(&self) -> Value {
        let figures = self.paired().map(|(series, ratios)| {
            json!({
                "load": series.load,
                "way": series.way,
                "requests_per_s": series.requests_per_s(),
                "ratio_to_direct": ratios,
                "cpu_percent": series.cpu_percent(),
            })
        });
        figures.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DIRECT, Sample, Sheet};

    #[test]
    fn each_run_is_compared_with_the_direct_one_beside_it() {
        let mut sheet = Sheet::default();
        // The machine is twice as fast in the second run; the way costs the same share.
        for (way, requests_per_s) in
            [("redirector", 900.0), (DIRECT, 1000.0), (DIRECT, 2000.0), ("redirector", 1800.0)]
        {
            let (cpu, took) = (Duration::from_millis(20), Duration::from_secs(2));
            sheet.add("SET", way, Sample { requests_per_s, cpu, took });
        }
        let json = sheet.json();
        assert_eq!(json[0]["ratio_to_direct"], serde_json::json!([0.9, 0.9]));
        assert_eq!(json[0]["cpu_percent"], serde_json::json!([1.0, 1.0]));
        let table = sheet.table().to_string();
        assert!(table.contains("0.90 (0.90–0.90)"), "{table}");
    }
}
