//! Randomness that is the same everywhere: a few lines of our own, because a library's generator may give other numbers in its next
//! version, and a seed in a bug report must still mean the same world then.

/// A stream of random numbers (SplitMix64), counted.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    /// How many numbers were drawn.
    pub drawn: u64,
}

impl Random {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed, drawn: 0 }
    }

    /// A stream for one subject: drawing more of it moves no other subject's numbers.
    #[must_use]
    pub fn fork(seed: u64, subject: &str) -> Self {
        let mixed = subject.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut stream = Self::new(mixed);
        let state = stream.draw();
        Self::new(state)
    }

    /// The next number.
    pub const fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        if high <= low { low } else { low + self.draw() % (high - low + 1) }
    }

    /// Whether something happens that happens so often in a million.
    pub const fn happens(&mut self, per_million: u32) -> bool {
        // No number is drawn for what never happens.
        per_million > 0 && self.draw() % 1_000_000 < per_million as u64
    }

    /// One of these.
    ///
    /// # Panics
    /// When the list is empty.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let last = of.len().saturating_sub(1) as u64;
        &of[usize::try_from(self.between(0, last)).unwrap_or(0)]
    }
}
