//! Aligned columns that fit: the ones that may give way are cut until the row is no wider than the terminal.

use super::text::{columns, cut};
use super::view::{Tone, View};

/// Between two columns.
const GAP: &str = "  ";
/// A column that gives way keeps so much.
const KEPT_MIN: usize = 6;

/// One cell: a clean text and its tone.
pub(super) type Cell = (String, Tone);

/// A plain cell.
pub(super) fn plain(text: impl Into<String>) -> Cell {
    (text.into(), Tone::Plain)
}

/// Rows under headings. Of the `elastic` columns the widest gives way.
pub(super) fn render(view: &View, headings: &[&str], elastic: &[usize], rows: &[Vec<Cell>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| columns(heading)).collect();
    for row in rows {
        for (width, (text, _)) in widths.iter_mut().zip(row) {
            *width = columns(text).max(*width);
        }
    }
    if let Some(room) = view.width {
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > room {
            let widest = widths.iter_mut().enumerate().filter(|(column, _)| elastic.contains(column));
            match widest.map(|(_, width)| width).max().filter(|width| **width > KEPT_MIN) {
                Some(width) => *width -= 1,
                None => break,
            }
        }
    }
    let heading: Vec<Cell> = headings.iter().map(|heading| ((*heading).to_owned(), Tone::Faint)).collect();
    std::iter::once(&heading).chain(rows).map(|row| line(view, row, &widths)).collect()
}

fn line(view: &View, row: &[Cell], widths: &[usize]) -> String {
    let mut out = String::new();
    let last = row.iter().rposition(|(text, _)| !text.is_empty()).unwrap_or(0);
    for (number, ((text, tone), width)) in row.iter().zip(widths).take(last + 1).enumerate() {
        if number > 0 {
            out += GAP;
        }
        let shown = cut(text, *width);
        out += &view.paint(*tone, &shown);
        if number < last {
            out += &" ".repeat(width.saturating_sub(columns(&shown)));
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_elastic_ones_give_way() {
        let rows = [
            vec![plain("a"), plain("a long text that is cut"), plain("1")],
            vec![plain("電話"), plain("short"), plain("")],
        ];
        let text = render(&View::plain(20), &["K", "VALUE", "N"], &[1], &rows);
        assert_eq!(text, "K     VALUE        N\na     a long tex…  1\n電話  short\n");
        let wide = render(&View { width: None, ..View::plain(0) }, &["K", "VALUE", "N"], &[1], &rows);
        assert!(wide.contains("a long text that is cut  1"), "{wide}");
        let painted =
            render(&View { colour: true, ..View::plain(40) }, &["K"], &[], &[vec![("x".into(), Tone::Good)]]);
        assert_eq!(painted, "\x1b[2mK\x1b[0m\n\x1b[32mx\x1b[0m\n");
    }
}
