//! Tables for a terminal.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// Prints rows below a heading.
pub fn print<const N: usize>(heading: [&str; N], rows: &[[String; N]]) {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(heading).add_rows(rows.iter().cloned());
    println!("{}", table.trim_fmt());
}

/// A size as people read it, in the units of AWS's documents (1 kB = 1000 bytes).
#[expect(clippy::cast_precision_loss, reason = "a size is shown with three digits")]
pub fn size(bytes: u64) -> String {
    if bytes < 1_000_000 { format!("{} kB", bytes.div_ceil(1000)) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(1), size(414_000), size(6_912_345)], ["1 kB", "414 kB", "6.9 MB"]);
    }
}
