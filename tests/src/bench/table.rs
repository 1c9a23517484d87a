//! A table for a terminal: sections, and figures that line up.

use std::fmt;

/// Where the cells of a column begin or end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

#[derive(Debug, Clone)]
pub(super) struct Table<const N: usize> {
    header: [String; N],
    align: [Align; N],
    rows: Vec<Row<N>>,
}

#[derive(Debug, Clone)]
enum Row<const N: usize> {
    Section(String),
    Cells([String; N]),
}

impl<const N: usize> Table<N> {
    pub(super) fn new(columns: [(&str, Align); N]) -> Self {
        Self {
            header: columns.map(|(title, _)| title.to_owned()),
            align: columns.map(|(_, align)| align),
            rows: Vec::new(),
        }
    }

    /// A line of its own above the rows that follow.
    pub(super) fn section(&mut self, title: impl Into<String>) {
        self.rows.push(Row::Section(title.into()));
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(Row::Cells(cells));
    }

    fn lines(&self) -> impl Iterator<Item = &[String; N]> {
        let cells = self.rows.iter().filter_map(|row| match row {
            Row::Section(_) => None,
            Row::Cells(cells) => Some(cells),
        });
        std::iter::once(&self.header).chain(cells)
    }

    fn widths(&self) -> [usize; N] {
        std::array::from_fn(|column| {
            self.lines().map(|cells| cells[column].chars().count()).max().unwrap_or_default()
        })
    }

    fn line(&self, cells: &[String; N], widths: &[usize; N]) -> String {
        let cells = cells.iter().zip(widths).zip(self.align).map(|((cell, &width), align)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        writeln!(f, "{}", self.line(&self.header, &widths))?;
        for row in &self.rows {
            match row {
                Row::Section(title) => writeln!(f, "{title}")?,
                Row::Cells(cells) => writeln!(f, "{}", self.line(cells, &widths))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, Table};

    #[test]
    fn numbers_line_up_on_the_right() {
        let mut table = Table::new([("", Align::Left), ("median", Align::Right), ("mark", Align::Left)]);
        table.section("switch");
        table.row(["ours".to_owned(), "3.1 µs".to_owned(), "met".to_owned()]);
        table.row(["the peer".to_owned(), "1500 µs".to_owned(), String::new()]);
        let expected =
            ["             median  mark", "switch", "  ours       3.1 µs  met", "  the peer  1500 µs", ""];
        assert_eq!(table.to_string(), expected.join("\n"));
    }
}
