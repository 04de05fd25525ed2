//! Tables for a terminal.

/// Prints rows below a heading: the first column to the left, the others too, each as wide as its longest cell.
pub fn print<const N: usize>(heading: [&str; N], rows: &[[String; N]]) {
    let mut widths = heading.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    println!("{}", line(&heading, &widths));
    println!("{}", widths.map(|width| "-".repeat(width)).join("  "));
    for row in rows {
        println!("{}", line(row, &widths));
    }
}

fn line(cells: &[impl AsRef<str>], widths: &[usize]) -> String {
    let cells: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{:<width$}", cell.as_ref())).collect();
    cells.join("  ").trim_end().to_owned()
}

/// A size as people read it, in the units of AWS's documents (1 kB = 1000 bytes).
#[expect(clippy::cast_precision_loss, reason = "a size is shown with three digits")]
pub fn size(bytes: u64) -> String {
    if bytes < 1_000_000 { format!("{} kB", bytes.div_ceil(1000)) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::{line, size};

    #[test]
    fn cells_stand_below_each_other_and_sizes_are_short() {
        assert_eq!(line(&["a", "b"], &[3, 2]), "a    b");
        assert_eq!([size(1), size(414_000), size(6_912_345)], ["1 kB", "414 kB", "6.9 MB"]);
    }
}
