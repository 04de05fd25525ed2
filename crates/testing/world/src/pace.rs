//! How often the loops look and call, in each minute: what is woken by nothing new runs hot, and nobody sees it in a test that only
//! looks at what comes of it.

use std::collections::BTreeMap;

use runnersmith_types::{ScaleSetName, Timestamp};

/// What happened in one minute, and something of the one before.
#[derive(Debug, Default)]
pub struct Pace {
    minute: i64,
    /// Passes by set.
    passes: BTreeMap<ScaleSetName, u32>,
    calls: u32,
    events: u32,
    events_before: u32,
}

impl Pace {
    fn turn(&mut self, now: Timestamp) {
        let minute = now.as_millis() / 60_000;
        if minute == self.minute {
            return;
        }
        let events_before = if minute == self.minute + 1 { self.events } else { 0 };
        (self.minute, self.calls, self.events, self.events_before) = (minute, 0, 0, events_before);
        self.passes.clear();
    }

    /// Something happened outside that the loops should look at.
    pub fn event(&mut self, now: Timestamp) {
        self.turn(now);
        self.events += 1;
    }

    /// The events of this minute and of the one before.
    #[must_use]
    pub const fn events(&self) -> u32 {
        self.events + self.events_before
    }

    /// A pass over a set begins. Returns how many began in this minute.
    pub fn pass(&mut self, set: &ScaleSetName, now: Timestamp) -> u32 {
        self.turn(now);
        let passes = self.passes.entry(set.clone()).or_default();
        *passes += 1;
        *passes
    }

    /// GitHub is called. Returns how often it was in this minute.
    pub fn call(&mut self, now: Timestamp) -> u32 {
        self.turn(now);
        self.calls += 1;
        self.calls
    }
}
