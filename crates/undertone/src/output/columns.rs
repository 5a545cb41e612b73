//! Figures in columns that line up.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::clean::clean;

/// On which side a column's cells begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// A head and rows of cells as wide as they need to be. The words come from anywhere and are cleaned.
pub struct Columns {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// Columns with these heads.
    pub fn new(heads: &[(&str, Side)]) -> Self {
        let rows = vec![heads.iter().map(|(head, _)| (*head).to_owned()).collect()];
        Self { sides: heads.iter().map(|(_, side)| *side).collect(), rows }
    }

    /// One more row, with a cell for each head.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell)).collect());
    }

    /// How many columns of a terminal it takes.
    pub fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.sides.len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        widths
    }

    /// All of it, a line each, the head in bold.
    pub fn text(&self) -> String {
        let (widths, bold) = (self.widths(), Style::new().bold());
        let mut out = String::new();
        for (n, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for ((cell, side), width) in row.iter().zip(&self.sides).zip(&widths) {
                let room = " ".repeat(width.saturating_sub(cell.width()));
                let gap = if line.is_empty() { "" } else { "  " };
                line += &match side {
                    Side::Left => format!("{gap}{cell}{room}"),
                    Side::Right => format!("{gap}{room}{cell}"),
                };
            }
            let line = line.trim_end();
            out += &if n == 0 { format!("{bold}{line}{bold:#}\n") } else { format!("{line}\n") };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_in_any_script() {
        let mut columns = Columns::new(&[("MODEL", Side::Left), ("COST", Side::Right), ("FROM", Side::Left)]);
        columns.row(["日本".to_owned(), "$1.00".to_owned(), "here".to_owned()]);
        columns.row(["a\u{1b}[2Jb".to_owned(), "$12,345.00".to_owned(), String::new()]);
        let plain = anstream::adapter::strip_str(&columns.text()).to_string();
        assert_eq!(plain, "MODEL        COST  FROM\n日本        $1.00  here\na[2Jb  $12,345.00\n");
        assert_eq!(columns.width(), 23);
    }
}
