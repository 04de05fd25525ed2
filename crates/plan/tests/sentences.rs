//! Every way in which something waits and every fault, with what is said of it on each surface, in one table for the eye. A new
//! one does not compile before it has its example here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::support::*;
use runnersmith_plan::fault::{Fault, FaultKind};
use runnersmith_plan::level::faults;
use runnersmith_plan::{changed_waits, plan, story};
use runnersmith_types::{
    Action, BootFailure, BootFailureCause, EffectAction, HandOffTrouble, JobStatus, Label, MachineStatus, MinIdleEntry,
    Observed, PoolFailure, RunnerState as S, ScaleSet, Snapshot, Stalled, WaitingOn,
};

/// The example after this one. The values are examples of nothing: a snapshot says what each is for.
fn next(on: &WaitingOn) -> Option<WaitingOn> {
    let (until, why) = (NOW, String::new());
    Some(match on {
        WaitingOn::Delay { .. } => WaitingOn::Runner { supply: 1 },
        WaitingOn::Runner { .. } => WaitingOn::Maximum { runners_max: 1, position: 1 },
        WaitingOn::Maximum { .. } => WaitingOn::Stalled { until },
        WaitingOn::Stalled { .. } => WaitingOn::Overdue { until },
        WaitingOn::Overdue { .. } => WaitingOn::Gate,
        WaitingOn::Gate => WaitingOn::NoSet { why },
        WaitingOn::NoSet { .. } => WaitingOn::Capacity { why, is_quota: false, until },
        WaitingOn::Capacity { .. } => {
            WaitingOn::Breaker { probe_at: until, failures: 1, cause: BootFailureCause::NeverOnline, why }
        }
        WaitingOn::Breaker { cause: BootFailureCause::NeverOnline, probe_at, failures, why } => WaitingOn::Breaker {
            cause: BootFailureCause::NoJob,
            probe_at: *probe_at,
            failures: *failures,
            why: why.clone(),
        },
        WaitingOn::Breaker { cause: BootFailureCause::NoJob, probe_at, failures, why } => WaitingOn::Breaker {
            cause: BootFailureCause::Refused,
            probe_at: *probe_at,
            failures: *failures,
            why: why.clone(),
        },
        WaitingOn::Breaker { cause: BootFailureCause::Refused, .. } => {
            WaitingOn::HandOff { trouble: HandOffTrouble::Limited, why, until }
        }
        WaitingOn::HandOff { trouble: HandOffTrouble::Limited, .. } => {
            WaitingOn::HandOff { trouble: HandOffTrouble::Unavailable, why, until }
        }
        WaitingOn::HandOff { trouble: HandOffTrouble::Unavailable, .. } => {
            WaitingOn::HandOff { trouble: HandOffTrouble::Refused, why, until }
        }
        WaitingOn::HandOff { trouble: HandOffTrouble::Refused, .. } => {
            WaitingOn::HandOff { trouble: HandOffTrouble::NotStored, why, until }
        }
        WaitingOn::HandOff { trouble: HandOffTrouble::NotStored, .. } => WaitingOn::Budget { until },
        WaitingOn::Budget { .. } => WaitingOn::UnknownSource { why },
        WaitingOn::UnknownSource { .. } => WaitingOn::MinIdle,
        WaitingOn::MinIdle => WaitingOn::Grace { what: "", until },
        WaitingOn::Grace { .. } => return None,
    })
}

/// A set and what is seen of it, in which job 1 or runner 1 waits for this.
fn scene(on: &WaitingOn) -> (ScaleSet, Snapshot) {
    let (mut set, mut world) = (policy(), snapshot());
    world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(mins(11))));
    match on {
        WaitingOn::Delay { .. } => (set.ephemeral, set.timing.delay) = (false, mins(15)),
        WaitingOn::Runner { .. } => {}
        WaitingOn::Maximum { .. } => {
            let busy = runner(1, S::Busy);
            set.runners_max = 1;
            world.jobs.push(self::on(job(2, JobStatus::InProgress), &busy));
            with(&mut world, busy, Some(machine(1, Some(MachineStatus::Busy))), Some(registration(1, true, true)));
        }
        WaitingOn::Stalled { .. } => {
            world.jobs[0].stalled = Some(Stalled { since: ago(mins(1)), until: NOW.plus(mins(9)) });
        }
        WaitingOn::Overdue { .. } => world.jobs[0] = job_of("acme/shop", 1, JobStatus::Queued, ago(mins(25 * 60))),
        WaitingOn::Gate => world.jobs[0].fact.status = JobStatus::Waiting,
        WaitingOn::NoSet { .. } => world.jobs[0].fact.labels.push(Label::of_job("gpu")),
        WaitingOn::Capacity { .. } => fail_pool(&set, &mut world),
        WaitingOn::Breaker { cause, .. } => fail_machines(&set, &mut world, *cause),
        WaitingOn::HandOff { trouble, .. } => fail_hand_offs(&mut world, *trouble),
        WaitingOn::Budget { .. } => {
            set.token_when_jit_exhausted = false;
            world.budget.jit_left = 0;
            let booting = runner_at(1, S::Booting, ago(secs(20)), &acme());
            with(&mut world, booting, Some(machine(1, Some(MachineStatus::Booting))), None);
        }
        WaitingOn::UnknownSource { .. } => {
            world.jobs.clear();
            with(&mut world, runner(1, S::Idle), None, Some(registration(1, true, false)));
            world.machines = Observed::Unknown { why: "ec2 DescribeInstances: no answer in 30 s".into() };
        }
        WaitingOn::MinIdle | WaitingOn::Grace { .. } => {
            world.jobs.clear();
            let idle = runner_at(1, S::Idle, ago(secs(20)), &acme());
            with(
                &mut world,
                idle,
                Some(machine(1, Some(MachineStatus::Listening))),
                Some(registration(1, true, false)),
            );
            let entry = MinIdleEntry::Window {
                days: vec![],
                from_minute: 0,
                to_minute: 0,
                time_zone: "UTC".into(),
                count: u32::from(*on == WaitingOn::MinIdle),
            };
            (set.min_idle, set.scope.at) = (vec![entry], Some(acme()));
        }
    }
    (set, world)
}

fn fail_pool(set: &ScaleSet, world: &mut Snapshot) {
    let why = "InsufficientInstanceCapacity: there is no Spot capacity".to_owned();
    world.pool_failures.push(PoolFailure::new(set.fallback_order.pools[0].clone(), ago(secs(20)), why));
}

fn fail_machines(set: &ScaleSet, world: &mut Snapshot, cause: BootFailureCause) {
    let why = match cause {
        BootFailureCause::NeverOnline => "its machine ended and was never online, and said: exit 1",
        BootFailureCause::NoJob => "it came online and ended without a job, and said: this runner is too old",
        BootFailureCause::Refused => "UnauthorizedOperation",
    };
    for serial in 1..=3 {
        let failure = BootFailure::new(name(serial), set.fallback_order.pools[0].clone(), ago(secs(50 - serial)));
        world.boot_failures.newest.push(failure.because(cause, why, ago(mins(2))));
    }
}

fn fail_hand_offs(world: &mut Snapshot, trouble: HandOffTrouble) {
    let (why, until) = match trouble {
        HandOffTrouble::Limited => ("limited", Some(NOW.plus(mins(20)))),
        HandOffTrouble::Unavailable => ("jit_config acme: GitHub answered 502", None),
        HandOffTrouble::Refused => ("jit_config acme: refused with 403, Resource not accessible by integration", None),
        HandOffTrouble::NotStored => ("ssm PutParameter: AccessDeniedException", None),
    };
    for round in 0..3 {
        world.hand_off_faults.failed(&acme(), trouble, why, until, ago(secs(121 - 60 * round)));
    }
}

/// What is said on each surface: by `why`, `status` and the dashboard of the job; by `status` of the faults; in the author's check
/// run; and by `why` afterwards.
fn said(set: &ScaleSet, world: &Snapshot) -> String {
    let made = plan(set, world, NOW);
    let mut out = String::new();
    for fault in faults(set, world, NOW) {
        let _ = writeln!(out, "  status     {}", fault.line(NOW));
    }
    if let Some(job) = world.jobs.first() {
        let _ = writeln!(out, "  why        {}", story::sentence(job, &[], waits(&made, 1)));
    }
    for step in &made.steps {
        if let Action::Effect(EffectAction::Notify { text, .. }) = &step.action {
            let ends = text.conclusion.map(|conclusion| format!(" ({conclusion})")).unwrap_or_default();
            let row = text.summary.lines().nth(2).unwrap_or_default();
            let _ = writeln!(out, "  check run  {}{ends} {row}", text.title);
        }
    }
    for (_, wait) in changed_waits(&set.name, world, &made, NOW) {
        let _ = writeln!(out, "  afterwards waited 2 min 10 s: {}", wait.text);
    }
    if let Some(waiting) = keeps(&made, 1) {
        let _ = writeln!(out, "  runner     {waiting}");
    }
    out
}

#[test]
fn every_wait_is_said_in_one_sentence_with_its_cause_its_time_and_what_to_do() {
    let mut text = String::new();
    let mut on = Some(WaitingOn::Delay { until: NOW });
    while let Some(example) = on {
        let (set, world) = scene(&example);
        let made = plan(&set, &world, NOW);
        let found = [waits(&made, 1), keeps(&made, 1)].map(|on| on.map(WaitingOn::word));
        assert!(found.contains(&Some(example.word())), "{example:?}: {:?}", made.waiting);
        let _ = write!(text, "{}\n{}", example.word(), said(&set, &world));
        on = next(&example);
    }
    insta::assert_snapshot!(text, @r#"
    delay
      why        waits: a runner that ends its job may take it; another is launched after the scale set's delay (until 2026-11-26 12:04:00.000Z)
      check run  1 job waits for a runner | job 1 | a runner that ends its job may take it; another is launched after the scale set's delay |
      afterwards waited 2 min 10 s: a runner that ends its job may take it; another is launched after the scale set's delay
    runner
      why        waits: a runner is on its way (1 idle or booting)
      check run  1 job waits for a runner | job 1 | a runner is on its way |
    maximum
      why        waits: the set is at its maximum of 1; place 1 in the line
      check run  1 job waits for a runner | job 1 | the scale set is at its maximum of 1 runner; the job keeps its place in the line |
      afterwards waited 2 min 10 s: scale set linux is at its maximum of 1
    stalled
      why        waits: stalled: a matching runner was idle and GitHub did not assign the job (max-parallel, or the runner group excludes the repository) (tried again at 2026-11-26 12:09:00.000Z); if it is not max-parallel, let the scale set's runner group have the repository
      check run  1 job waits for a runner | job 1 | stalled: a matching runner was idle and GitHub did not assign the job (max-parallel, or the runner group excludes the repository) |
      afterwards waited 2 min 10 s: stalled: a matching runner was idle and GitHub did not assign the job (max-parallel, or the runner group excludes the repository)
    overdue
      why        waits: nobody took it within 24 hours, after which GitHub ends jobs, and GitHub still calls it queued (it is asked again at 2026-11-26 12:10:00.000Z); run it again if GitHub does not end it
      check run  1 job waits for a runner | job 1 | nobody took it within 24 hours, after which GitHub ends jobs, and GitHub still calls it queued |
      afterwards waited 2 min 10 s: nobody took it within 24 hours, after which GitHub ends jobs, and GitHub still calls it queued
    gate
      why        waits: GitHub holds it back for an environment's approval or a concurrency group
      afterwards waited 2 min 10 s: GitHub holds it back for an environment's approval or a concurrency group
    no_set
      why        waits: no scale set serves it: linux is nearest, its runners lack "gpu"; correct the job's `runs-on`, or give a scale set its labels
      check run  1 job has no scale set here (neutral) | job 1 | no scale set serves it, and no online runner that is visible here has all its labels: linux is nearest, its runners lack "gpu" |
      afterwards waited 2 min 10 s: no scale set serves it: linux is nearest, its runners lack "gpu"
    capacity
      status     FAULT linux, local process: it had no capacity or failed, and is tried again at 2026-11-26 12:00:40.000Z: InsufficientInstanceCapacity: there is no Spot capacity (for 20.0 s); add machine types, zones or on-demand machines to the scale set's fallback order if it lasts
      why        waits: no capacity: every capacity pool is cooling down after a failure; the last: local process, InsufficientInstanceCapacity: there is no Spot capacity (tried again at 2026-11-26 12:00:40.000Z); add machine types, zones or on-demand machines to the scale set's fallback order if it lasts
      check run  1 job waits for a runner | job 1 | no machine of this scale set could be had; each kind is tried again in turn |
      afterwards waited 2 min 10 s: no capacity: every capacity pool is cooling down after a failure; the last: local process, InsufficientInstanceCapacity: there is no Spot capacity
    breaker
      status     FAULT linux: 3 machine(s) did not boot since the last one that worked (the last, linux-abcdef-3: its machine ended and was never online, and said: exit 1); launches are held back to one probe at a time (for 49.0 s, 3 times); correct what the last one says (its runner's page has the machine's last lines), then `runnersmith reset-pause <set>`
      why        waits: launches are paused after 3 boot failures; one machine is launched at a time as a probe; the last: linux-abcdef-3, its machine ended and was never online, and said: exit 1 (the next probe at 2026-11-26 12:00:13.000Z); correct what the last one says (its runner's page has the machine's last lines), then `runnersmith reset-pause <set>`
      check run  1 job waits for a runner | job 1 | machines of this scale set do not boot at the moment; one is tried at a time |
      afterwards waited 2 min 10 s: launches are paused after 3 boot failures; one machine is launched at a time as a probe; the last: linux-abcdef-3, its machine ended and was never online, and said: exit 1
    breaker
      status     FAULT linux: 3 machine(s) came online and ended without a job since the last one that worked (the last, linux-abcdef-3: it came online and ended without a job, and said: this runner is too old); launches are held back to one probe at a time (for 49.0 s, 3 times); correct what the last one says (its runner's page has the machine's last lines), then `runnersmith reset-pause <set>`
      why        waits: launches are paused after 3 runners that came online and ended without a job; one machine is launched at a time as a probe; the last: linux-abcdef-3, it came online and ended without a job, and said: this runner is too old (the next probe at 2026-11-26 12:00:13.000Z); correct what the last one says (its runner's page has the machine's last lines), then `runnersmith reset-pause <set>`
      check run  1 job waits for a runner | job 1 | runners of this scale set end without a job at the moment; one is tried at a time |
      afterwards waited 2 min 10 s: launches are paused after 3 runners that came online and ended without a job; one machine is launched at a time as a probe; the last: linux-abcdef-3, it came online and ended without a job, and said: this runner is too old
    breaker
      status     FAULT linux: 3 machine(s) were refused when they were launched since the last one that worked (the last, linux-abcdef-3: UnauthorizedOperation); launches are held back to one probe at a time (for 49.0 s, 3 times); correct what the last one says (its runner's page has the machine's last lines), then `runnersmith reset-pause <set>`
      why        waits: launches are paused after 3 refused launches; one machine is launched at a time as a probe; the last: linux-abcdef-3, UnauthorizedOperation (the next probe at 2026-11-26 12:00:13.000Z); correct what the last one says (its runner's page has the machine's last lines), then `runnersmith reset-pause <set>`
      check run  1 job waits for a runner | job 1 | launches of this scale set are refused at the moment; one is tried at a time |
      afterwards waited 2 min 10 s: launches are paused after 3 refused launches; one machine is launched at a time as a probe; the last: linux-abcdef-3, UnauthorizedOperation
    hand_off
      status     FAULT linux, acme: GitHub's rate limit holds registrations at acme back; tried again at 2026-11-26 12:20:00.000Z (for 2 min 01 s, 3 times); calls go on when the limit ends; fewer control planes on one App leave more for each
      why        waits: GitHub's rate limit holds registrations at acme back (tried again at 2026-11-26 12:20:00.000Z); calls go on when the limit ends; fewer control planes on one App leave more for each
      check run  1 job waits for a runner | job 1 | GitHub's rate limit holds registrations at acme back; the job starts when that is over |
      afterwards waited 2 min 10 s: GitHub's rate limit holds registrations at acme back
    hand_off
      status     FAULT linux, acme: GitHub does not answer registrations at acme: jit_config acme: GitHub answered 502; tried again at 2026-11-26 12:00:07.000Z (for 2 min 01 s, 3 times); see https://www.githubstatus.com; jobs start when GitHub answers again
      why        waits: GitHub does not answer registrations at acme: jit_config acme: GitHub answered 502 (tried again at 2026-11-26 12:00:07.000Z); see https://www.githubstatus.com; jobs start when GitHub answers again
      check run  1 job waits for a runner | job 1 | GitHub does not answer registrations at acme: jit&#95;config acme: GitHub answered 502; the job starts when that is over |
      afterwards waited 2 min 10 s: GitHub does not answer registrations at acme: jit_config acme: GitHub answered 502
    hand_off
      status     FAULT linux, acme: GitHub refuses registrations at acme: jit_config acme: refused with 403, Resource not accessible by integration; tried again at 2026-11-26 12:01:59.000Z (for 2 min 01 s, 3 times); check the set's runner group and where it registers (`runnersmith app check`), then `runnersmith reset-pause <set>`
      why        waits: GitHub refuses registrations at acme: jit_config acme: refused with 403, Resource not accessible by integration (tried again at 2026-11-26 12:01:59.000Z); check the set's runner group and where it registers (`runnersmith app check`), then `runnersmith reset-pause <set>`
      check run  1 job waits for a runner | job 1 | GitHub refuses registrations at acme: jit&#95;config acme: refused with 403, Resource not accessible by integration; somebody who runs Runnersmith has to correct that |
      afterwards waited 2 min 10 s: GitHub refuses registrations at acme: jit_config acme: refused with 403, Resource not accessible by integration
    hand_off
      status     FAULT linux, acme: configurations for runners at acme cannot be put where machines read them: ssm PutParameter: AccessDeniedException; tried again at 2026-11-26 12:00:07.000Z (for 2 min 01 s, 3 times); check the permissions and limits of where hand-offs are stored, and its disk
      why        waits: configurations for runners at acme cannot be put where machines read them: ssm PutParameter: AccessDeniedException (tried again at 2026-11-26 12:00:07.000Z); check the permissions and limits of where hand-offs are stored, and its disk
      check run  1 job waits for a runner | job 1 | configurations for runners at acme cannot be put where machines read them: ssm PutParameter: AccessDeniedException; somebody who runs Runnersmith has to correct that |
      afterwards waited 2 min 10 s: configurations for runners at acme cannot be put where machines read them: ssm PutParameter: AccessDeniedException
    budget
      status     FAULT linux: this minute's budget for new registrations is used up (for 0 s); the next minute has a new one; raise [limits] if GitHub grants the App more
      why        waits: a runner is on its way (1 idle or booting)
      check run  1 job waits for a runner | job 1 | a runner is on its way |
      runner     this minute's budget for new registrations is used up
    unknown_source
      status     FAULT linux: machines are not known: ec2 DescribeInstances: no answer in 30 s (for 0 s); nothing is removed meanwhile; check the credentials and the network of this program
      runner     a source did not answer: machines: ec2 DescribeInstances: no answer in 30 s
    min_idle
      runner     kept as one of the minimum of idle runners
    grace
      runner     surplus, but younger than the minimum running time
    "#);
}

/// The kind after this one.
const fn following(kind: FaultKind) -> Option<FaultKind> {
    use FaultKind as F;
    Some(match kind {
        F::AppRefused => F::GithubDown,
        F::GithubDown => F::GithubLimited,
        F::GithubLimited => F::RegistrationsRefused,
        F::RegistrationsRefused => F::HandOffNotStored,
        F::HandOffNotStored => F::RegistrationsUnknown,
        F::RegistrationsUnknown => F::MachinesUnknown,
        F::MachinesUnknown => F::BootFailures,
        F::BootFailures => F::Capacity,
        F::Capacity => F::Quota,
        F::Quota => F::PermissionMissing,
        F::PermissionMissing => F::RateLimitLow,
        F::RateLimitLow => F::ClockWrong,
        F::ClockWrong => F::NoDelivery,
        F::NoDelivery => F::LeaseLost,
        F::LeaseLost => F::SettingsInvalid,
        F::SettingsInvalid => F::CallBudget,
        F::CallBudget => F::SignatureRejected,
        F::SignatureRejected => F::DeliveryNotStored,
        F::DeliveryNotStored => F::DeadLetters,
        F::DeadLetters => F::DiskFull,
        F::DiskFull => F::RunnerOutdated,
        F::RunnerOutdated => F::TaskFailing,
        F::TaskFailing => F::ServerStopped,
        F::ServerStopped => F::Other,
        F::Other => return None,
    })
}

/// What is seen when this is wrong; `Err` with the cause's words for a fault that no snapshot shows: the process reports it, and its
/// own tests have these words.
fn wrong(kind: FaultKind) -> Result<(ScaleSet, Snapshot), &'static str> {
    let (set, mut world) = (policy(), snapshot());
    world.jobs.push(job_of("acme/shop", 1, JobStatus::Queued, ago(mins(11))));
    match kind {
        FaultKind::GithubDown => fail_hand_offs(&mut world, HandOffTrouble::Unavailable),
        FaultKind::GithubLimited => fail_hand_offs(&mut world, HandOffTrouble::Limited),
        FaultKind::RegistrationsRefused => fail_hand_offs(&mut world, HandOffTrouble::Refused),
        FaultKind::HandOffNotStored => fail_hand_offs(&mut world, HandOffTrouble::NotStored),
        FaultKind::RegistrationsUnknown => {
            let why = format!("github list_registrations acme: rate limited until {}", NOW.plus(mins(20)));
            world.registrations = BTreeMap::from([(acme(), Observed::Unknown { why })]);
        }
        FaultKind::MachinesUnknown => {
            world.machines = Observed::Unknown { why: "ec2 DescribeInstances: no answer in 30 s".into() };
        }
        FaultKind::BootFailures => fail_machines(&set, &mut world, BootFailureCause::NeverOnline),
        FaultKind::Capacity => fail_pool(&set, &mut world),
        FaultKind::Quota => {
            fail_pool(&set, &mut world);
            world.pool_failures.iter_mut().for_each(|failure| {
                (failure.is_quota, failure.why) = (true, "VcpuLimitExceeded: the limit of 32 vCPUs is reached".into());
            });
        }
        FaultKind::PermissionMissing => {
            return Err(
                "installation 7, checks/create: GitHub does not let the App make this call: it needs checks=write",
            );
        }
        FaultKind::RateLimitLow => return Err("437 of 5000 calls are left for the next 10 min"),
        FaultKind::ClockWrong => return Err("this machine's clock is 900 s behind GitHub's"),
        FaultKind::NoDelivery => {
            return Err("job 2 of acme/shop had been queued for 4 min when a sweep found it; no delivery came");
        }
        FaultKind::LeaseLost => return Err("ledger update runners: the lease on linux is lost"),
        FaultKind::SettingsInvalid => return Err("/runnersmith/ci/config/sets/gpu: the set is left out: not JSON"),
        FaultKind::CallBudget => (world.budget.jit_left, world.budget.calls_left) = (0, 0),
        FaultKind::AppRefused => return Err("app: GitHub answered 401"),
        FaultKind::SignatureRejected => return Err("deliveries are refused: the signature does not match"),
        FaultKind::DeliveryNotStored => return Err("the delivery could not be stored"),
        FaultKind::DeadLetters => return Err("messages could not be read; the last one: expected value at line 1"),
        FaultKind::DiskFull => return Err("/var/lib/runnersmith: 212 MiB of 97 GiB are left on its disk"),
        FaultKind::RunnerOutdated => {
            return Err(
                "machines get version 2.330.0 of actions/runner, and 2.331.0 has been out for 24 days: GitHub will give them no jobs after 30",
            );
        }
        FaultKind::TaskFailing => return Err("failed: GitHub is down"),
        FaultKind::ServerStopped => return Err("the server was last seen 10 min 00 s ago"),
        FaultKind::Other => return Err("a fault of a newer program"),
    }
    Ok((set, world))
}

#[test]
fn every_fault_says_its_cause_its_age_and_what_to_do_and_the_job_beside_it_says_what_it_waits_for() {
    let mut text = String::new();
    let mut kind = Some(FaultKind::AppRefused);
    while let Some(example) = kind {
        let _ = writeln!(text, "{}", example.word());
        match wrong(example) {
            Ok((set, world)) => {
                let found = faults(&set, &world, NOW);
                assert!(!found.is_empty() && found.iter().all(|fault| fault.kind == example), "{example:?}: {found:?}");
                text.push_str(&said(&set, &world));
            }
            Err(cause) => {
                let fault = Fault::new(example, "", cause, NOW).since(ago(mins(4))).times(12);
                let _ = writeln!(text, "  status     {}", fault.line(NOW));
            }
        }
        kind = following(example);
    }
    insta::assert_snapshot!(text, @r#"
    app_refused
      status     FAULT app: GitHub answered 401 (for 4 min 00 s, 12 times); check [github] app_id and private key; `runnersmith app check` says what the App lacks
    github_down
      status     FAULT linux, acme: GitHub does not answer registrations at acme: jit_config acme: GitHub answered 502; tried again at 2026-11-26 12:00:07.000Z (for 2 min 01 s, 3 times); see https://www.githubstatus.com; jobs start when GitHub answers again
      why        waits: GitHub does not answer registrations at acme: jit_config acme: GitHub answered 502 (tried again at 2026-11-26 12:00:07.000Z); see https://www.githubstatus.com; jobs start when GitHub answers again
      check run  1 job waits for a runner | job 1 | GitHub does not answer registrations at acme: jit&#95;config acme: GitHub answered 502; the job starts when that is over |
      afterwards waited 2 min 10 s: GitHub does not answer registrations at acme: jit_config acme: GitHub answered 502
    github_limited
      status     FAULT linux, acme: GitHub's rate limit holds registrations at acme back; tried again at 2026-11-26 12:20:00.000Z (for 2 min 01 s, 3 times); calls go on when the limit ends; fewer control planes on one App leave more for each
      why        waits: GitHub's rate limit holds registrations at acme back (tried again at 2026-11-26 12:20:00.000Z); calls go on when the limit ends; fewer control planes on one App leave more for each
      check run  1 job waits for a runner | job 1 | GitHub's rate limit holds registrations at acme back; the job starts when that is over |
      afterwards waited 2 min 10 s: GitHub's rate limit holds registrations at acme back
    registrations_refused
      status     FAULT linux, acme: GitHub refuses registrations at acme: jit_config acme: refused with 403, Resource not accessible by integration; tried again at 2026-11-26 12:01:59.000Z (for 2 min 01 s, 3 times); check the set's runner group and where it registers (`runnersmith app check`), then `runnersmith reset-pause <set>`
      why        waits: GitHub refuses registrations at acme: jit_config acme: refused with 403, Resource not accessible by integration (tried again at 2026-11-26 12:01:59.000Z); check the set's runner group and where it registers (`runnersmith app check`), then `runnersmith reset-pause <set>`
      check run  1 job waits for a runner | job 1 | GitHub refuses registrations at acme: jit&#95;config acme: refused with 403, Resource not accessible by integration; somebody who runs Runnersmith has to correct that |
      afterwards waited 2 min 10 s: GitHub refuses registrations at acme: jit_config acme: refused with 403, Resource not accessible by integration
    hand_off_not_stored
      status     FAULT linux, acme: configurations for runners at acme cannot be put where machines read them: ssm PutParameter: AccessDeniedException; tried again at 2026-11-26 12:00:07.000Z (for 2 min 01 s, 3 times); check the permissions and limits of where hand-offs are stored, and its disk
      why        waits: configurations for runners at acme cannot be put where machines read them: ssm PutParameter: AccessDeniedException (tried again at 2026-11-26 12:00:07.000Z); check the permissions and limits of where hand-offs are stored, and its disk
      check run  1 job waits for a runner | job 1 | configurations for runners at acme cannot be put where machines read them: ssm PutParameter: AccessDeniedException; somebody who runs Runnersmith has to correct that |
      afterwards waited 2 min 10 s: configurations for runners at acme cannot be put where machines read them: ssm PutParameter: AccessDeniedException
    registrations_unknown
      status     FAULT linux, acme: registrations at acme are not known: github list_registrations acme: rate limited until 2026-11-26 12:20:00.000Z (for 0 s); nothing is removed meanwhile; where GitHub refuses, `runnersmith app check` says what the App lacks
      why        waits: a runner is on its way (1 idle or booting)
      check run  1 job waits for a runner | job 1 | a runner is on its way |
    machines_unknown
      status     FAULT linux: machines are not known: ec2 DescribeInstances: no answer in 30 s (for 0 s); nothing is removed meanwhile; check the credentials and the network of this program
      why        waits: a runner is on its way (1 idle or booting)
      check run  1 job waits for a runner | job 1 | a runner is on its way |
    boot_failures
      status     FAULT linux: 3 machine(s) did not boot since the last one that worked (the last, linux-abcdef-3: its machine ended and was never online, and said: exit 1); launches are held back to one probe at a time (for 49.0 s, 3 times); correct what the last one says (its runner's page has the machine's last lines), then `runnersmith reset-pause <set>`
      why        waits: launches are paused after 3 boot failures; one machine is launched at a time as a probe; the last: linux-abcdef-3, its machine ended and was never online, and said: exit 1 (the next probe at 2026-11-26 12:00:13.000Z); correct what the last one says (its runner's page has the machine's last lines), then `runnersmith reset-pause <set>`
      check run  1 job waits for a runner | job 1 | machines of this scale set do not boot at the moment; one is tried at a time |
      afterwards waited 2 min 10 s: launches are paused after 3 boot failures; one machine is launched at a time as a probe; the last: linux-abcdef-3, its machine ended and was never online, and said: exit 1
    capacity
      status     FAULT linux, local process: it had no capacity or failed, and is tried again at 2026-11-26 12:00:40.000Z: InsufficientInstanceCapacity: there is no Spot capacity (for 20.0 s); add machine types, zones or on-demand machines to the scale set's fallback order if it lasts
      why        waits: no capacity: every capacity pool is cooling down after a failure; the last: local process, InsufficientInstanceCapacity: there is no Spot capacity (tried again at 2026-11-26 12:00:40.000Z); add machine types, zones or on-demand machines to the scale set's fallback order if it lasts
      check run  1 job waits for a runner | job 1 | no machine of this scale set could be had; each kind is tried again in turn |
      afterwards waited 2 min 10 s: no capacity: every capacity pool is cooling down after a failure; the last: local process, InsufficientInstanceCapacity: there is no Spot capacity
    quota
      status     FAULT linux, local process: it had no capacity or failed, and is tried again at 2026-11-26 12:00:40.000Z: VcpuLimitExceeded: the limit of 32 vCPUs is reached (for 20.0 s); ask AWS for a higher quota of running instances, or lower runners_max
      why        waits: no capacity: every capacity pool is cooling down after a failure; the last: local process, VcpuLimitExceeded: the limit of 32 vCPUs is reached (tried again at 2026-11-26 12:00:40.000Z); ask AWS for a higher quota of running instances, or lower runners_max
      check run  1 job waits for a runner | job 1 | no machine of this scale set could be had; each kind is tried again in turn |
      afterwards waited 2 min 10 s: no capacity: every capacity pool is cooling down after a failure; the last: local process, VcpuLimitExceeded: the limit of 32 vCPUs is reached
    permission_missing
      status     FAULT installation 7, checks/create: GitHub does not let the App make this call: it needs checks=write (for 4 min 00 s, 12 times); `runnersmith app check` says what the App lacks; grant it, and let the organisation accept it
    rate_limit_low
      status     FAULT 437 of 5000 calls are left for the next 10 min (for 4 min 00 s, 12 times); lists and sweeps wait until the hour is over; fewer control planes on one App leave more for each
    clock_wrong
      status     FAULT this machine's clock is 900 s behind GitHub's (for 4 min 00 s, 12 times); set this machine's clock by NTP; calls are signed by GitHub's time meanwhile
    no_delivery
      status     FAULT job 2 of acme/shop had been queued for 4 min when a sweep found it; no delivery came (for 4 min 00 s, 12 times); check the webhook's address, secret and events in GitHub, and its recent deliveries; sweeps find jobs minutes late
    lease_lost
      status     FAULT ledger update runners: the lease on linux is lost (for 4 min 00 s, 12 times); see whether this process was stopped for long, or the ledger is slow; the next pass goes on
    settings_invalid
      status     FAULT /runnersmith/ci/config/sets/gpu: the set is left out: not JSON (for 4 min 00 s, 12 times); correct the parameter that it names (Terraform writes it), then its set is in service again
    call_budget
      status     FAULT linux: this minute's budget for new registrations is used up (for 0 s); the next minute has a new one; raise [limits] if GitHub grants the App more
      status     FAULT linux: this minute's budget for GitHub calls is used up (for 0 s); the next minute has a new one; raise [limits] if GitHub grants the App more
      why        waits: a runner is on its way (1 idle or booting)
      check run  1 job waits for a runner | job 1 | a runner is on its way |
    signature_rejected
      status     FAULT deliveries are refused: the signature does not match (for 4 min 00 s, 12 times); make the webhook's secret in GitHub and in the configuration the same
    delivery_not_stored
      status     FAULT the delivery could not be stored (for 4 min 00 s, 12 times); check the disk of the [store] directory, or the queue's permissions
    dead_letters
      status     FAULT messages could not be read; the last one: expected value at line 1 (for 4 min 00 s, 12 times); the log says what could not be read; the messages are kept in the dead-letter queue
    disk_full
      status     FAULT /var/lib/runnersmith: 212 MiB of 97 GiB are left on its disk (for 4 min 00 s, 12 times); make room: deliveries cannot be stored, nor machines started, when nothing is left
    runner_outdated
      status     FAULT machines get version 2.330.0 of actions/runner, and 2.331.0 has been out for 24 days: GitHub will give them no jobs after 30 (for 4 min 00 s, 12 times); leave [local] runner_distribution out, so that the newest is fetched, or name a newer one; where the newest cannot be fetched the log says why
    task_failing
      status     FAULT failed: GitHub is down (for 4 min 00 s, 12 times); the log has the whole error; a panic is a defect, please report it
    server_stopped
      status     FAULT the server was last seen 10 min 00 s ago (for 4 min 00 s, 12 times); start `runnersmith serve`, or see its service's log for why it ended
    other
      status     FAULT a fault of a newer program (for 4 min 00 s, 12 times); use the newest program to read it
    "#);
}
