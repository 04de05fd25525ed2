//! Whole plans, in words: what a plan holds besides that for which the other tests look, and in which order.

use crate::support::*;
use runnersmith_types::{JobStatus, MachineState, MachineStatus, Observed, RunnerState as S, Snapshot};

/// The plan of this moment, which is executed.
fn next(world: &mut Snapshot) -> String {
    let plan = planned(world);
    execute(&policy(), world, &plan, NOW);
    shown(&plan).join("\n")
}

fn the_machine(world: &mut Snapshot, status: MachineStatus, state: MachineState) {
    let Observed::Seen { value, .. } = &mut world.machines else { panic!("machines are known") };
    (value[0].status, value[0].state) = (Some(status), state);
}

/// GitHub shows the registration of the one runner so.
fn the_registration(world: &mut Snapshot, online: bool, busy: bool) {
    let Some(Observed::Seen { value, .. }) = world.registrations.get_mut(&acme()) else {
        panic!("registrations are known")
    };
    (value[0].online, value[0].busy) = (online, busy);
}

#[test]
fn the_plans_of_a_jobs_life() {
    let mut world = snapshot();
    world.jobs.push(queued(1));
    insta::assert_snapshot!(next(&mut world), @r"
    intend 1: 1 job(s) and a minimum of 0 idle runner(s) need more runners than there are
    launch 1 local process: 1 runner(s) are intended
    ");
    insta::assert_snapshot!(next(&mut world), @"hand off linux-abcdef-100 jit: its machine is there");
    the_machine(&mut world, MachineStatus::Listening, MachineState::Running);
    the_registration(&mut world, true, false);
    insta::assert_snapshot!(next(&mut world), @r"
    update linux-abcdef-100 hand_off_gone: the machine has read its hand-off and deleted its copy
    update linux-abcdef-100 idle: it is online
    ");
    insta::assert_snapshot!(next(&mut world), @"");
    world.jobs[0] = on(job(1, JobStatus::InProgress), &world.runners[0]);
    the_machine(&mut world, MachineStatus::Busy, MachineState::Running);
    the_registration(&mut world, true, true);
    insta::assert_snapshot!(next(&mut world), @"update linux-abcdef-100 busy: job 1 runs on it");
    world.jobs[0].fact.status = JobStatus::Completed;
    the_machine(&mut world, MachineStatus::JobDone, MachineState::Running);
    insta::assert_snapshot!(next(&mut world), @"update linux-abcdef-100 finished: its one job is over");
    the_machine(&mut world, MachineStatus::Ended("job 0".into()), MachineState::Ended);
    insta::assert_snapshot!(
        next(&mut world),
        @"update linux-abcdef-100 gone: its job is over and its machine has ended"
    );
    assert_eq!(world.runners, []);
}

#[test]
fn records_come_first_then_launches_then_removals_then_jobs() {
    let mut world = snapshot();
    world.jobs.extend((1..=3).map(queued));
    world.jobs.push(job_of("acme/shop", 4, JobStatus::Queued, ago(mins(11))));
    with(&mut world, runner_at(1, S::Launching, ago(mins(1)), &acme()), None, None);
    with(&mut world, runner(2, S::Booting), Some(machine(2, Some(MachineStatus::Booting))), None);
    let mut gone = machine(3, None);
    gone.state = MachineState::Ended;
    with(&mut world, runner(3, S::Idle), Some(gone), Some(registration(3, false, false)));
    with(&mut world, runner(4, S::Draining), Some(machine(4, None)), Some(registration(4, true, false)));
    if let Observed::Seen { value, .. } = &mut world.machines {
        value.push(machine(9, None));
    }
    insta::assert_snapshot!(shown(&planned(&world)).join("\n"), @r"
    update linux-abcdef-3 lost: its machine has ended; its registration may be left
    update linux-abcdef-2 draining: it could not be given its configuration within the boot deadline
    intend 3: 4 job(s) and a minimum of 0 idle runner(s) need more runners than there are
    launch 3 local process: 3 runner(s) are intended
    relaunch batch-1: its answer is not known; the same token launches nothing twice
    deregister linux-abcdef-3: it is lost
    deregister linux-abcdef-4: it is draining
    end m-9: it has our tags and no record
    verify 4: there was no news of it for a while
    notify job 4 waits, a runner is on its way: 1 job(s) of one commit have a notification to post or to update
    ");
}
