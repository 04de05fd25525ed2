//! What is going to happen by itself, in the order of time; of two things at one moment the one that was put in first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use runnersmith_types::{JobId, MachineId, Timestamp};

/// Something that happens by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Jobs of one run appear.
    Run {
        /// How many.
        jobs: u32,
    },
    /// A message arrives that nobody can read.
    Poison,
    /// A job that waited at a gate is queued.
    GateOpens(JobId),
    /// Somebody cancels a job.
    Cancel(JobId),
    /// An attempt at a delivery arrives.
    Deliver(u64),
    /// GitHub assigns jobs to runners.
    Assign,
    /// Another fleet's job begins or ends.
    ForeignEnds(JobId),
    /// A job of ours has run.
    JobDone(JobId),
    /// GitHub ends a job whose runner is gone.
    JobLost(JobId),
    /// A machine has booted.
    Booted(MachineId),
    /// A machine looks for its hand-off.
    ReadHandOff(MachineId),
    /// The runner of a machine is online.
    Online(MachineId),
    /// A machine that was never given work ends itself.
    BootTimer(MachineId),
    /// A machine ends, with this as its last word.
    Ends(MachineId, String),
    /// A machine hangs.
    Hangs(MachineId),
    /// GitHub notices that a runner is not there any more.
    Offline(MachineId),
    /// A machine gets its notice.
    SpotNotice(MachineId),
    /// A machine is taken back.
    TakenBack(MachineId),
}

/// What is going to happen.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<(Timestamp, u64, Event)>>,
    put: u64,
}

impl Agenda {
    /// Puts something in. Returns whether it is the next now.
    pub fn put(&mut self, at: Timestamp, event: Event) -> bool {
        let is_next = self.next_at().is_none_or(|next| at < next);
        self.put += 1;
        self.heap.push(Reverse((at, self.put, event)));
        is_next
    }

    /// When the next thing happens.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// The next thing that is due.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Event> {
        self.next_at().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse((_, _, event))| event)
    }
}
