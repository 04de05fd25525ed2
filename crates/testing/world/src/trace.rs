//! What happened, line by line: a hash of all of it, by which two runs are compared, and its end, by which a failure is read.

use std::collections::VecDeque;

use ring::digest::{Context, SHA256};

/// How many lines are kept to be shown.
const TAIL: usize = 400;

/// The trace of a run.
pub struct Trace {
    hash: Context,
    lines: u64,
    tail: VecDeque<String>,
    /// All lines are kept.
    whole: bool,
}

impl Trace {
    /// An empty one; all of its lines are kept if it is to be shown whole.
    #[must_use]
    pub fn new(whole: bool) -> Self {
        Self { hash: Context::new(&SHA256), lines: 0, tail: VecDeque::new(), whole }
    }

    /// Adds a line.
    pub fn add(&mut self, line: String) {
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        self.lines += 1;
        if !self.whole && self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// The hash of all lines until now, as hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(self.hash.clone().finish())
    }

    /// How many lines there were.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }
}
