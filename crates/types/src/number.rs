//! Counts as the records and metrics have them.

/// Returns a count as `u32`; one that is larger than a `u32` is `u32::MAX`.
#[must_use]
pub fn saturating_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::saturating_u32;

    #[test]
    fn a_count_that_is_too_large_is_the_largest() {
        assert_eq!((saturating_u32(7), saturating_u32(usize::MAX)), (7, u32::MAX));
    }
}
