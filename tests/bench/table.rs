//! Tables in Markdown.

/// A table; every row has as many cells as the first.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heads: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { rows: vec![heads.into_iter().map(Into::into).collect()] }
    }

    pub(crate) fn add(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether it has nothing but its heads.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    pub(crate) fn markdown(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let mut lines = self.rows.iter().map(|cells| line(cells, columns));
        let heads = lines.next().unwrap_or_default();
        let rest: String = lines.collect();
        format!("{heads}|{}\n{rest}", " --- |".repeat(columns))
    }
}

fn line(cells: &[String], columns: usize) -> String {
    let mut text = String::from("|");
    for at in 0..columns {
        // A bar within a cell would begin another.
        let cell = cells.get(at).map(|cell| cell.replace('|', "\\|")).unwrap_or_default();
        text.push_str(&format!(" {cell} |"));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_as_many_cells_as_the_heads() {
        let mut table = Table::new(["operation", "gateway"]);
        assert!(table.is_empty());
        table.add(vec!["a|b".to_owned(), "1 µs".to_owned(), "beyond".to_owned()]);
        table.add(vec!["c".to_owned()]);
        assert_eq!(table.markdown(), "| operation | gateway |\n| --- | --- |\n| a\\|b | 1 µs |\n| c |  |\n");
    }
}
