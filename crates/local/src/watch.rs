//! What can end a machine from outside: its hard end, the request to terminate, a signal. The supervisor and the runner's own
//! processes both look here.

use std::time::Duration;

use runnersmith_ports::Clock;
use runnersmith_types::Timestamp;
use tokio::signal::unix::Signal;

use crate::dir::{MachineDir, Record};

/// How often the supervisor looks at its markers and timers.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What can end a machine from outside.
pub(crate) struct Watch<'a> {
    pub dir: &'a MachineDir,
    pub clock: &'a dyn Clock,
    pub record: &'a Record,
    pub interrupt: [Option<Signal>; 2],
}

impl Watch<'_> {
    /// The reason to end now, if there is one.
    pub async fn reason(&mut self) -> Option<&'static str> {
        if self.clock.now() >= self.record.hard_end_at {
            return Some("hard end");
        }
        if self.dir.file("terminate").exists() {
            return Some("terminated");
        }
        for interrupt in self.interrupt.iter_mut().flatten() {
            // Zero time: only whether one has come.
            if tokio::time::timeout(Duration::ZERO, interrupt.recv()).await.is_ok() {
                return Some("terminated by a signal");
            }
        }
        None
    }

    /// The end of the boot's time, counted from now.
    pub fn boot_deadline(&self) -> Timestamp {
        self.clock.now().plus(Duration::from_millis(self.record.boot_deadline_ms))
    }
}
