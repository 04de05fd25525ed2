//! What a seed chooses: how large the world is, which faults it has and how hard. Each fault is off in half of the worlds, so that
//! what one hides behind another shows in some of them (swarm testing).

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use runnersmith_types::{
    CapacityPool, FallbackOrder, Label, Market, MinIdleEntry, Owner, RunnerScope, ScaleSet, ScaleSetName, Scope,
    ScopeLevel,
};

use crate::bugs::Bug;
use crate::random::Random;
use crate::time::secs;

/// A time, counted from the world's beginning, in which something is wrong.
pub type Window = (Duration, Duration);

/// How often each fault happens: in a million deliveries, calls, machines or jobs, unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// GitHub never tried to bring a delivery.
    pub delivery_lost: u32,
    /// GitHub tried and failed: the delivery log shows it.
    pub delivery_failed: u32,
    /// A delivery comes up to 15 minutes late.
    pub delivery_late: u32,
    /// A delivery comes twice.
    pub delivery_doubled: u32,
    /// A call to GitHub fails and had no effect.
    pub github_error_before: u32,
    /// A call to GitHub fails although it had its effect.
    pub github_error_after: u32,
    /// A call to GitHub meets the secondary limit, which then holds for a minute.
    pub github_secondary_limit: u32,
    /// All calls to GitHub fail.
    pub github_outages: Vec<Window>,
    /// The primary limit is used up.
    pub github_limits: Vec<Window>,
    /// GitHub's flag says busy for up to 10 minutes after a job (actions/runner#4422).
    pub busy_stale: u32,
    /// How far GitHub's list of registrations is behind.
    pub registrations_lag: Duration,
    /// No capacity in a pool: which, and when.
    pub no_capacity: Vec<(usize, Window)>,
    /// A launch gives fewer machines than it was asked for.
    pub launch_partial: u32,
    /// A call about machines is throttled.
    pub machines_throttled: u32,
    /// A launch fails and launched nothing.
    pub launch_error_before: u32,
    /// A launch fails although it launched.
    pub launch_error_after: u32,
    /// How far the list of machines is behind its launches.
    pub machines_lag: Duration,
    /// A machine never boots.
    pub boot_never: u32,
    /// A machine reads its hand-off, and its runner never registers.
    pub register_never: u32,
    /// A machine ends before its runner is online.
    pub ends_early: u32,
    /// A machine hangs at some moment of its life.
    pub hangs: u32,
    /// A status update of a machine is lost.
    pub status_lost: u32,
    /// A machine is taken back, two minutes after a notice.
    pub spot_notice: u32,
    /// A call about hand-offs is throttled.
    pub hand_off_throttled: u32,
    /// A call to the ledger fails; half of them after it was stored.
    pub ledger_error: u32,
    /// The control plane dies at a call; half of the times after its effect.
    pub crash: u32,
    /// A call to a queue fails; half of them after its effect. A webhook that cannot send answers GitHub with an error.
    pub queue_error: u32,
    /// A message is received twice.
    pub message_doubled: u32,
    /// An acknowledgement is lost: its message comes again.
    pub acknowledge_lost: u32,
}

/// What a seed chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it all comes from.
    pub seed: u64,
    /// How many jobs there are.
    pub jobs: u32,
    /// The time in which they are queued and faults happen.
    pub busy_time: Duration,
    /// The time after it, without faults.
    pub quiet_time: Duration,
    /// How many control planes work on the one ledger.
    pub processes: u32,
    /// The scale sets.
    pub sets: Vec<ScaleSet>,
    /// How many repositories have jobs.
    pub repositories: u32,
    /// How long a job runs, at most; most are much shorter.
    pub job_time_max: Duration,
    /// How long a boot takes, at most.
    pub boot_time_max: Duration,
    /// Whether a machine's change is seen at once (processes of one host), or within seconds (EC2).
    pub machines_signal: bool,
    /// How many jobs of a million come in one burst with others.
    pub burst: u32,
    /// How many queued jobs of a million are cancelled before they run.
    pub cancelled: u32,
    /// How many jobs of a million wait at a gate first.
    pub gated: u32,
    /// How many jobs of a million are for other runners than ours: GitHub's own, or another fleet's.
    pub foreign: u32,
    /// How many jobs of a million ask for a label that no runner has.
    pub impossible: u32,
    /// How many messages come that nobody can read.
    pub poison: u32,
    /// The faults.
    pub faults: Faults,
    /// A bug that is put in on purpose.
    pub bug: Option<Bug>,
}

impl fmt::Display for Options {
    /// What is chosen, in a screenful: a set is a line, and faults that never happen are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sets, faults, .. } = self;
        let rest = format!("{:#?}", Self { sets: Vec::new(), faults: Faults::default(), ..self.clone() });
        let all = format!("{rest}\n{faults:#?}");
        let happens = |line: &&str| ![" 0,", " 0ns,", " [],", " None,"].iter().any(|none| line.ends_with(none));
        all.lines().filter(happens).try_for_each(|line| writeln!(f, "{line}"))?;
        for set in sets {
            let (name, max, idle) = (&set.name, set.runners_max, min_idle(set));
            let kind = if set.ephemeral { "ephemeral" } else { "reusable" };
            writeln!(f, "set {name}: {kind}, at most {max}, idle {idle}, re-runs {}", set.rerun_interrupted)?;
        }
        Ok(())
    }
}

impl Options {
    /// What this seed chooses.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut random = Random::fork(seed, "options");
        // Most worlds are small, so that there are many of them; what only shows in a long and busy one has some of those.
        let is_large = random.happens(50_000);
        let (jobs, minutes) = if is_large {
            (random.between(60, 300), random.between(60, 360))
        } else {
            (random.between(8, 40), random.between(30, 90))
        };
        let busy_time = secs(60 * minutes);
        let sets = sets(&mut random);
        let (gated, foreign) = (some(&mut random, 200_000), some(&mut random, 200_000));
        Self {
            seed,
            jobs: to_u32(jobs),
            busy_time,
            quiet_time: secs(60 * 60),
            processes: if random.happens(300_000) { 2 } else { 1 },
            sets,
            repositories: to_u32(random.between(1, 4)),
            job_time_max: secs(*random.one(if is_large { &[30, 60, 300, 300] } else { &[60, 300, 900, 1_800] })),
            boot_time_max: secs(random.between(20, 90)),
            machines_signal: random.happens(250_000),
            burst: *random.one(&[0, 300_000, 900_000]),
            cancelled: some(&mut random, 150_000),
            gated,
            foreign,
            impossible: if random.happens(200_000) { 30_000 } else { 0 },
            poison: if random.happens(200_000) { to_u32(random.between(1, 5)) } else { 0 },
            faults: faults(&mut random, busy_time),
            bug: None,
        }
    }

    /// The same world without any fault.
    #[must_use]
    pub fn without_faults(mut self) -> Self {
        self.faults = Faults::default();
        self
    }
}

fn to_u32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// How often, from rarely to at most so often.
fn per_million(random: &mut Random, most: u32) -> u32 {
    to_u32(random.between(u64::from(most / 50), u64::from(most)))
}

/// Off in half of the worlds.
fn some(random: &mut Random, most: u32) -> u32 {
    if random.happens(500_000) { per_million(random, most) } else { 0 }
}

/// Some windows in the busy time, or none in half of the worlds.
fn windows(random: &mut Random, busy_time: Duration, longest: u64) -> Vec<Window> {
    let count = if random.happens(500_000) { random.between(1, 3) } else { 0 };
    let mut found: Vec<Window> = (0..count)
        .map(|_| {
            let from = secs(random.between(0, busy_time.as_secs()));
            (from, from + secs(random.between(20, longest)))
        })
        .collect();
    found.iter_mut().for_each(|window| window.1 = window.1.min(busy_time));
    found.sort_unstable();
    found
}

fn faults(random: &mut Random, busy_time: Duration) -> Faults {
    Faults {
        delivery_lost: some(random, 100_000),
        delivery_failed: some(random, 150_000),
        delivery_late: some(random, 200_000),
        delivery_doubled: some(random, 200_000),
        github_error_before: some(random, 100_000),
        github_error_after: some(random, 50_000),
        github_secondary_limit: some(random, 10_000),
        github_outages: windows(random, busy_time, 600),
        github_limits: windows(random, busy_time, 1_200),
        busy_stale: some(random, 500_000),
        registrations_lag: secs(if random.happens(500_000) { random.between(1, 30) } else { 0 }),
        no_capacity: windows(random, busy_time, 1_800)
            .into_iter()
            .map(|window| (usize::try_from(random.between(0, 2)).unwrap_or(0), window))
            .collect(),
        launch_partial: some(random, 200_000),
        machines_throttled: some(random, 50_000),
        launch_error_before: some(random, 100_000),
        launch_error_after: some(random, 100_000),
        machines_lag: secs(if random.happens(500_000) { random.between(1, 45) } else { 0 }),
        boot_never: some(random, 150_000),
        register_never: some(random, 100_000),
        ends_early: some(random, 100_000),
        hangs: some(random, 100_000),
        status_lost: some(random, 150_000),
        spot_notice: some(random, 150_000),
        hand_off_throttled: some(random, 50_000),
        ledger_error: some(random, 2_000),
        crash: some(random, 250),
        queue_error: some(random, 10_000),
        message_doubled: some(random, 50_000),
        acknowledge_lost: some(random, 30_000),
    }
}

/// The id of the control plane of all processes.
pub const OUR_ID: &str = "w0rld";
/// The organisation of every repository.
pub const OWNER: &str = "acme";

fn sets(random: &mut Random) -> Vec<ScaleSet> {
    let count = random.between(1, 3);
    let reusable = random.happens(300_000);
    let mut sets = Vec::new();
    for (at, name) in ["linux", "large", "arm"].into_iter().take(usize::try_from(count).unwrap_or(1)).enumerate() {
        let (Ok(name), Ok(owner)) = (ScaleSetName::parse(name), Owner::parse(OWNER)) else { continue };
        let labels: BTreeSet<Label> =
            ["self-hosted", name.as_str()].into_iter().filter_map(|label| Label::of_set(label).ok()).collect();
        let mut set = ScaleSet::new(name.clone(), labels);
        set.runners_max = to_u32(*random.one(&[2, 4, 8, 20]));
        set.ephemeral = !(reusable && at == 0);
        if !set.ephemeral {
            set.timing.delay = secs(30);
        }
        set.rerun_interrupted = random.happens(300_000);
        let idle = if random.happens(200_000) { to_u32(random.between(1, 2)) } else { 0 };
        let place = RunnerScope::Organization(owner);
        set.scope = Scope { level: ScopeLevel::Organization, at: (idle > 0).then_some(place), allowed: Vec::new() };
        if idle > 0 {
            // From midnight to midnight: always.
            set.min_idle = vec![MinIdleEntry::Window {
                days: Vec::new(),
                from_minute: 0,
                to_minute: 0,
                time_zone: "UTC".into(),
                count: idle,
            }];
        }
        set.fallback_order = pools();
        sets.push(set);
    }
    sets
}

fn pools() -> FallbackOrder {
    let pool = |market, machine_type: &str, zone: &str| CapacityPool {
        market,
        machine_type: machine_type.into(),
        zone: zone.into(),
    };
    FallbackOrder {
        pools: vec![
            pool(Market::Spot, "m7a.large", "eu-west-1a"),
            pool(Market::Spot, "m7a.large", "eu-west-1b"),
            pool(Market::OnDemand, "m7a.large", "eu-west-1a"),
        ],
        cool_down: secs(300),
    }
}

/// How many idle runners a set always keeps.
#[must_use]
pub fn min_idle(set: &ScaleSet) -> usize {
    set.min_idle
        .iter()
        .map(|entry| match entry {
            MinIdleEntry::Cron { count, .. } | MinIdleEntry::Window { count, .. } => *count as usize,
        })
        .sum()
}
