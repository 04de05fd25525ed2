//! What the loops may do in a minute, by what there is to do: machines, jobs, events.

use runnersmith_types::{ScaleSetName, saturating_u32};

use crate::checks::Rule;
use crate::outside::{Outside, SimJob};
use crate::time::secs;

/// Where nothing happens, a process looks at a set once a minute, and again after passes that failed, less and less often.
const PASSES: u32 = 20;
/// What happens wakes a set at once, and each job and machine has deadlines of its own, of which a few may be in one minute.
const PASSES_OF_EACH: u32 = 2;
/// The lists of registrations once a minute, a sweep, the delivery log, and what failed once more.
const CALLS: u32 = 20;
/// A machine's registration is made, looked up and removed; a job is asked for, and its commit's check run is written. What fails is
/// tried again in the passes that something else wakes, until a full pass has seen that GitHub does not answer.
const CALLS_OF_EACH: u32 = 5;

impl Outside {
    /// What the loops may have to do with: machines, and jobs that are open or were so shortly before.
    fn subjects(&self) -> usize {
        let now = self.now();
        let is_near = |job: &&SimJob| job.ended_at.is_none_or(|at| at.plus(secs(120)) > now);
        self.machines_alive().count() + self.jobs.values().filter(is_near).count()
    }

    /// A pass over a set begins, or goes on because it was woken.
    pub(crate) fn counts_a_pass(&mut self, set: &ScaleSetName) {
        let now = self.now();
        let passes = self.checks.pace.pass(set, now);
        if passes <= PASSES {
            return;
        }
        let (events, subjects) = (self.checks.pace.events(), self.subjects());
        let reasons = events.saturating_add(saturating_u32(subjects));
        let most = self.options.processes * (PASSES + PASSES_OF_EACH * reasons);
        if passes == most + 1 {
            let text = format!(
                "more than {most} passes over {set} in a minute, {events} events, {subjects} jobs and machines"
            );
            self.broken(Rule::PaceIsBounded, text);
        }
    }

    /// GitHub is called.
    pub(crate) fn counts_a_call(&mut self) {
        let now = self.now();
        let calls = self.checks.pace.call(now);
        if calls <= CALLS {
            return;
        }
        let failed = self.deliveries.values().filter(|delivery| delivery.failed).count();
        let events = self.checks.pace.events();
        let subjects = saturating_u32(self.subjects() + failed) + events;
        let most = self.options.processes * (CALLS + CALLS_OF_EACH * subjects);
        if calls == most + 1 {
            let text = format!("more than {most} calls to GitHub in a minute, for {subjects} things");
            self.broken(Rule::PaceIsBounded, text);
        }
    }
}
