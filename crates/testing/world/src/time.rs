//! Time that moves only when nobody has anything to do: tokio's paused clock, read through the port.

use std::time::Duration;

use async_trait::async_trait;
use runnersmith_ports::Clock;
use runnersmith_types::Timestamp;

/// When every world begins: a minute's beginning, in 2027.
pub const BEGIN: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The clock of a world: starts at [`BEGIN`], and jumps to the next timer when all tasks wait.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock(tokio::time::Instant);

impl VirtualClock {
    /// Begins now. The runtime must be paused.
    #[must_use]
    pub fn begin() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        BEGIN.plus(self.0.elapsed())
    }
}

/// Since the beginning, as `hh:mm:ss.mmm`.
#[must_use]
pub fn shown(at: Timestamp) -> String {
    let ms = at.since(BEGIN).as_millis();
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

/// So many seconds.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
