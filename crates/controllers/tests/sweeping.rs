//! What no delivery reported is found: all repositories in turns, all failed deliveries, at the size at which lists have pages,
//! whatever one organisation's limit is, and with few calls while nothing happens.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Bed, Fault, policy, set};
use runnersmith_controllers::{Depth, World, consume, lookups, pass, timer};
use runnersmith_ports::contract::ledger::fact;
use runnersmith_ports::{Clock as _, Message};
use runnersmith_types::{
    DeliveryId, FactSource, JobFact, JobId, JobStatus, Label, Owner, RepoFullName, RunnerScope, ScaleSet, Scope,
    Timestamp,
};

const TICK: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3_600);

fn repo(name: &str) -> RepoFullName {
    RepoFullName::parse(name).unwrap()
}

/// A job that GitHub has queued.
fn job(bed: &Bed, id: u64, repo: &str, labels: &[&str]) -> JobFact {
    let labels = labels.iter().map(|label| Label::of_job(label)).collect();
    let repo = RepoFullName::parse(repo).unwrap();
    JobFact { repo, labels, ..fact(id, id, JobStatus::Queued, FactSource::Sweep, bed.clock.now()) }
}

/// GitHub has it, and no delivery says so.
fn lost(bed: &Bed, id: u64, repo: &str) {
    let fact = job(bed, id, repo, &["self-hosted", "linux"]);
    bed.doubles.script().jobs.insert(JobId(id), fact);
}

async fn delivered(bed: &Bed, id: u64, repo: &str) {
    let fact = job(bed, id, repo, &["self-hosted", "linux"]);
    bed.world.ports.ledger.record_facts(vec![fact], &[]).await.unwrap();
}

async fn is_known(bed: &Bed, id: u64) -> bool {
    bed.world.ports.ledger.job(JobId(id)).await.unwrap().is_some()
}

/// What the timer does every five minutes.
async fn tick(bed: &Bed, world: &World) {
    timer::redeliver(world).await.unwrap();
    let swept = timer::sweep(world, TICK).await.unwrap();
    assert!(swept.failed.is_empty(), "{swept:?}");
    bed.clock.advance(TICK);
}

fn swept(bed: &Bed) -> Vec<String> {
    let script = bed.doubles.script();
    script.calls.iter().filter_map(|call| call.strip_prefix("sweep ")).map(str::to_owned).collect()
}

fn distinct(names: &[String]) -> usize {
    names.iter().collect::<BTreeSet<_>>().len()
}

/// Deliveries failed, so many seconds apart, the last one just now.
fn failed_deliveries(bed: &Bed, count: u32, apart: Duration) {
    let now = bed.clock.now();
    let mut script = bed.doubles.script();
    for n in 0..count {
        let guid = DeliveryId::parse(&format!("lost-{}-{n}", now.as_secs())).unwrap();
        script.log.push((guid, now.minus(apart * (count - n)), false));
    }
}

fn asked(bed: &Bed) -> Vec<u64> {
    let mut asked = bed.doubles.script().asked.clone();
    asked.sort_unstable();
    asked
}

#[tokio::test]
async fn a_hundred_and_one_repositories_in_as_many_installations_are_all_swept() {
    let bed = Bed::new(policy(2));
    for n in 0..101 {
        bed.doubles.script().install(&format!("org-{n}"), ["shop".to_owned()]);
    }
    bed.doubles.script().installed.get_mut("org-7").unwrap().0 = true;
    lost(&bed, 1, "org-100/shop");
    for _ in 0..3 {
        tick(&bed, &bed.world).await;
    }
    let swept = swept(&bed);
    assert_eq!(
        (swept.len(), distinct(&swept)),
        (101, 100),
        "each once, without the suspended one; where a job is, again"
    );
    assert!(is_known(&bed, 1).await);
}

#[tokio::test]
async fn all_pages_of_one_installation_are_swept_and_another_process_goes_on_where_one_ended() {
    let bed = Bed::new(policy(2));
    bed.doubles.script().install("acme", (0..450).map(|n| format!("r-{n}")));
    let second = bed.another("two");
    for round in 0..5 {
        tick(&bed, if round % 2 == 0 { &bed.world } else { &second }).await;
    }
    let swept = swept(&bed);
    assert_eq!((swept.len(), distinct(&swept)), (450, 450), "none twice, none left out");
    assert_eq!(bed.doubles.script().count("repositories acme"), 5);
}

#[tokio::test]
async fn one_organisation_that_is_limited_delays_no_other_and_is_swept_when_its_limit_is_over() {
    let bed = Bed::new(policy(2));
    bed.doubles.script().install("acme", (0..10).map(|n| format!("r-{n}")));
    bed.doubles.script().install("globex", (0..10).map(|n| format!("r-{n}")));
    delivered(&bed, 1, "acme/r-3").await;
    delivered(&bed, 2, "globex/r-3").await;
    lost(&bed, 3, "acme/r-3");
    lost(&bed, 4, "globex/r-3");
    lost(&bed, 5, "globex/r-9");
    let over = bed.clock.now().plus(Duration::from_secs(1_700));
    bed.doubles.script().limited.insert("acme".into(), over);
    tick(&bed, &bed.world).await;
    assert_eq!([is_known(&bed, 3).await, is_known(&bed, 4).await, is_known(&bed, 5).await], [false, true, true]);
    let asked = ["sweep acme", "repositories acme"].map(|call| bed.doubles.script().count(call));
    assert_eq!(asked, [1, 0], "who is limited is not asked again in this round");
    for _ in 0..6 {
        tick(&bed, &bed.world).await;
    }
    assert!(is_known(&bed, 3).await);
    assert_eq!(swept(&bed).iter().filter(|name| name.starts_with("acme")).collect::<BTreeSet<_>>().len(), 10);
}

#[tokio::test]
async fn a_job_that_github_never_delivered_is_found_in_15_minutes_where_jobs_are_and_in_12_hours_anywhere() {
    let bed = Bed::new(policy(2));
    bed.doubles.script().install("acme", (0..200).map(|n| format!("r-{n}")));
    for n in 0..5 {
        delivered(&bed, 1 + n, &format!("acme/r-{n}")).await;
    }
    for _ in 0..6 {
        tick(&bed, &bed.world).await;
    }
    let mut anywhere = Vec::new();
    for (id, hour) in (100..).step_by(10).zip(0..24) {
        for n in 0..5 {
            lost(&bed, id + n, &format!("acme/r-{n}"));
        }
        if hour < 12 {
            lost(&bed, id + 5, &format!("acme/r-{}", 199 - hour * 16));
            anywhere.push((id + 5, bed.clock.now()));
        }
        for _ in 0..3 {
            tick(&bed, &bed.world).await;
        }
        for n in 0..5 {
            assert!(is_known(&bed, id + n).await, "job {n} of hour {hour}");
        }
        for _ in 0..9 {
            tick(&bed, &bed.world).await;
        }
        for (id, since) in anywhere.iter().filter(|(_, since)| bed.clock.now().since(*since) >= HOUR * 12) {
            assert!(is_known(&bed, *id).await, "{id} has waited since {since}");
        }
    }
    assert_eq!(anywhere.len(), 12);
}

#[tokio::test]
async fn an_idle_control_plane_makes_fewer_than_60_calls_an_hour_with_1_50_and_200_repositories() {
    for repositories in [1, 50, 200] {
        let mut idle = policy(2);
        idle.scope.at = Some(RunnerScope::Organization(Owner::parse("acme").unwrap()));
        let bed = Bed::new(idle);
        bed.doubles.script().install("acme", (0..repositories).map(|n| format!("r-{n}")));
        let mut hours = Vec::new();
        for _ in 0..7 {
            let before = bed.doubles.script().http;
            for minute in 0..60 {
                pass(&bed.world, &set("linux"), Depth::Full).await.unwrap();
                if minute % 5 == 0 {
                    timer::redeliver(&bed.world).await.unwrap();
                    timer::sweep(&bed.world, TICK).await.unwrap();
                }
                bed.clock.advance(Duration::from_secs(60));
            }
            // A token is made each hour, and each time the client begins it asks for the installation.
            hours.push(bed.doubles.script().http - before + 2);
        }
        let most = hours[1..].iter().max().unwrap();
        println!("{repositories} repositories: {} calls in the first hour, then {most} at most", hours[0]);
        assert!(*most < 60, "{repositories} repositories: {hours:?}");
        assert!(hours[0] <= repositories + 62, "{repositories} repositories: {hours:?}");
    }
}

#[tokio::test]
async fn jobs_of_github_and_of_other_fleets_are_never_stored() {
    let bed = Bed::new(policy(2));
    let all = [
        job(&bed, 1, "acme/shop", &["ubuntu-latest"]),
        job(&bed, 2, "acme/shop", &["self-hosted", "arc-runner-set"]),
        job(&bed, 3, "acme/shop", &["self-hosted", "linux"]),
        JobFact { runner_name: Some("GitHub Actions 7".into()), ..job(&bed, 4, "acme/shop", &["ubuntu-latest"]) },
    ];
    bed.doubles.script().jobs = all.into_iter().map(|fact| (fact.id, fact)).collect();
    let swept = timer::sweep(&bed.world, TICK).await.unwrap();
    assert_eq!(swept.woken, BTreeSet::from([set("linux")]));
    let known = [1, 2, 3, 4].map(|id| is_known(&bed, id));
    assert_eq!(futures_util::future::join_all(known).await, [false, false, true, false]);

    // A sweep that a delivery asks for keeps no more; a check run's job is kept as if it had been delivered.
    let queue = bed.world.ports.lookups.clone().unwrap();
    let check_run = |job| Message::CheckRun { repo: repo("acme/shop"), job: JobId(job) };
    for message in [Message::Sweep { repo: repo("acme/shop") }, check_run(1), check_run(2)] {
        queue.send(&message.to_body(), Duration::ZERO).await.unwrap();
    }
    let batch = queue.receive(10, lookups::VISIBILITY).await.unwrap();
    assert!(lookups::look_up(&bed.world, queue.as_ref(), batch).await.failed.is_empty());
    assert_eq!([is_known(&bed, 1).await, is_known(&bed, 2).await, is_known(&bed, 4).await], [false, true, false]);
}

#[tokio::test]
async fn repositories_that_no_scale_set_serves_are_not_swept() {
    let at = Some(RunnerScope::Organization(Owner::parse("acme").unwrap()));
    let of_acme = ScaleSet { scope: Scope { at, ..policy(2).scope }, ..policy(2) };
    let bed = Bed::new(of_acme);
    for owner in ["acme", "globex", "initech"] {
        bed.doubles.script().install(owner, ["shop".to_owned(), "tools".to_owned()]);
    }
    tick(&bed, &bed.world).await;
    assert_eq!(swept(&bed), ["acme/shop", "acme/tools"]);
    assert_eq!(bed.doubles.script().count("repositories"), 1);
}

#[tokio::test]
async fn a_repository_with_a_job_minutes_ago_is_swept_whatever_another_has_had_since() {
    let bed = Bed::new(policy(2));
    bed.doubles.script().install("acme", (0..300).map(|n| format!("r-{n}")));
    for _ in 0..6 {
        tick(&bed, &bed.world).await;
    }
    delivered(&bed, 1, "acme/quiet").await;
    for id in 2..=120 {
        delivered(&bed, id, "acme/busy").await;
    }
    lost(&bed, 200, "acme/quiet");
    tick(&bed, &bed.world).await;
    assert!(is_known(&bed, 200).await);
    for id in 300..=900 {
        delivered(&bed, id, "acme/busy").await;
    }
    lost(&bed, 201, "acme/quiet");
    tick(&bed, &bed.world).await;
    tick(&bed, &bed.world).await;
    assert!(is_known(&bed, 201).await, "it has its turns for a day, however many jobs came since");
}

#[tokio::test]
async fn a_record_that_cannot_be_written_delays_no_other_job_and_no_other_repository() {
    let bed = Bed::new(policy(2));
    bed.doubles.script().install("acme", (0..9).map(|n| format!("r-{n}")));
    for n in 0..9 {
        lost(&bed, 10 + n, &format!("acme/r-{n}"));
    }
    lost(&bed, 5, "acme/r-0");
    bed.refuse_job(5, true);
    let swept = timer::sweep(&bed.world, TICK).await.unwrap();
    assert!(swept.woken.contains(&set("linux")));
    assert!(!swept.failed.is_empty(), "somebody hears of it");
    for id in 10..19 {
        assert!(is_known(&bed, id).await, "{id}");
    }
    bed.refuse_job(5, false);
    tick(&bed, &bed.world).await;
    assert!(is_known(&bed, 5).await, "its repository is not called swept");
}

#[tokio::test]
async fn a_repository_that_could_not_be_swept_is_swept_again_before_the_round_ends() {
    let bed = Bed::new(policy(2));
    bed.doubles.script().install("acme", (0..6).map(|n| format!("r-{n}")));
    lost(&bed, 1, "acme/r-2");
    bed.doubles.script().fail("sweep acme/r-2", Fault::Unavailable);
    bed.doubles.script().fail("sweep acme/r-4", Fault::Unavailable);
    tick(&bed, &bed.world).await;
    assert!(is_known(&bed, 1).await);
    assert_eq!(swept(&bed).len(), 8);
}

#[tokio::test]
async fn when_scale_sets_serve_other_jobs_everything_is_swept_at_once() {
    let bed = Bed::new(policy(2));
    bed.doubles.script().install("acme", (0..50).map(|n| format!("r-{n}")));
    for _ in 0..3 {
        tick(&bed, &bed.world).await;
    }
    let gpu = job(&bed, 1, "acme/r-49", &["self-hosted", "gpu"]);
    bed.doubles.script().jobs.insert(JobId(1), gpu);
    tick(&bed, &bed.world).await;
    assert!(!is_known(&bed, 1).await);
    let mut more = policy(2);
    more.labels.insert(Label::of_set("gpu").unwrap());
    bed.world.sets.replace(vec![more]);
    tick(&bed, &bed.world).await;
    assert!(is_known(&bed, 1).await);
}

#[tokio::test]
async fn three_hundred_failed_deliveries_are_all_asked_for_once() {
    let bed = Bed::new(policy(2));
    failed_deliveries(&bed, 300, Duration::from_secs(12));
    for _ in 0..10 {
        tick(&bed, &bed.world).await;
    }
    assert_eq!(asked(&bed), (0..300).collect::<Vec<_>>());
    let before = bed.doubles.script().count("deliveries");
    tick(&bed, &bed.world).await;
    assert_eq!(bed.doubles.script().count("deliveries"), before + 1, "then one page is enough");
}

#[tokio::test]
async fn no_failed_delivery_is_passed_over_when_a_limit_or_an_end_of_the_process_comes_between() {
    let bed = Bed::new(policy(2));
    failed_deliveries(&bed, 300, Duration::from_secs(12));
    let second = bed.another("two");
    // The limit holds after some of the first page, while the next one is read, and for a while before anything.
    bed.doubles.script().fail("redeliver 250", Fault::RateLimited);
    bed.doubles.script().fail("redeliver 130", Fault::Unavailable);
    tick(&bed, &bed.world).await;
    let first = asked(&bed);
    assert!(!first.is_empty() && first.iter().all(|id| *id > 250), "{first:?}");
    let over = bed.clock.now().plus(HOUR);
    bed.doubles.script().limited.insert("the App".into(), over);
    for _ in 0..12 {
        tick(&bed, &second).await;
    }
    assert_eq!(asked(&bed), first);
    for _ in 0..10 {
        tick(&bed, &second).await;
    }
    assert_eq!(asked(&bed), (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_function_that_has_no_time_left_asks_for_few_deliveries_again() {
    let bed = Bed::new(policy(2));
    failed_deliveries(&bed, 90, Duration::from_secs(12));
    bed.doubles.script().hangs = vec!["redeliver 35".into()];
    let hung = bed.doubles.script().hung.clone();
    tokio::select! {
        biased;
        done = timer::redeliver(&bed.world) => panic!("it did not hang: {done:?}"),
        () = hung.notified() => {}
    }
    assert_eq!(asked(&bed).len(), 54, "the next one is never answered");
    bed.doubles.script().hangs.clear();
    tick(&bed, &bed.world).await;
    let asked = asked(&bed);
    assert!(asked.len() < 100 && asked.iter().collect::<BTreeSet<_>>().len() == 90, "{asked:?}");
}

#[tokio::test]
async fn deliveries_that_github_refuses_to_send_hold_up_no_others() {
    let bed = Bed::new(policy(2));
    failed_deliveries(&bed, 250, Duration::from_secs(12));
    for _ in 0..20 {
        bed.doubles.script().fail("redeliver 249", Fault::Unavailable);
    }
    for _ in 0..12 {
        tick(&bed, &bed.world).await;
    }
    assert_eq!(asked(&bed), (0..249).collect::<Vec<_>>());
}

#[tokio::test]
async fn repositories_with_jobs_are_swept_at_once_when_deliveries_fail() {
    let bed = Bed::new(policy(2));
    bed.doubles.script().install("acme", (0..60).map(|n| format!("r-{n}")));
    delivered(&bed, 1, "acme/r-0").await;
    for _ in 0..2 {
        tick(&bed, &bed.world).await;
    }
    let before = bed.doubles.script().count("sweep acme/r-0");
    failed_deliveries(&bed, 1, Duration::from_secs(1));
    tick(&bed, &bed.world).await;
    assert_eq!(bed.doubles.script().count("sweep acme/r-0"), before + 1, "its turn had not come");
}

#[tokio::test]
async fn a_delivery_that_fails_again_after_it_was_asked_for_makes_everything_be_swept() {
    let bed = Bed::new(policy(2));
    bed.doubles.script().install("acme", (0..150).map(|n| format!("r-{n}")));
    for _ in 0..4 {
        tick(&bed, &bed.world).await;
    }
    lost(&bed, 1, "acme/r-149");
    failed_deliveries(&bed, 1, Duration::from_secs(1));
    tick(&bed, &bed.world).await;
    assert!(!is_known(&bed, 1).await && asked(&bed).len() == 1, "it is on its way");
    // It does not arrive: the attempt that was asked for has failed too.
    bed.doubles.script().log.last_mut().unwrap().2 = false;
    for _ in 0..2 {
        tick(&bed, &bed.world).await;
    }
    assert!(is_known(&bed, 1).await);
    assert_eq!(asked(&bed).len(), 2, "it is asked for once more, after a pause");
    let before = swept(&bed).len();
    for _ in 0..6 {
        tick(&bed, &bed.world).await;
    }
    assert!(swept(&bed).len() < before + 60, "and it is over when everything was swept");
}

#[tokio::test]
async fn a_delivery_that_our_own_endpoint_refuses_again_is_asked_for_until_it_arrives_with_growing_pauses() {
    let bed = Bed::new(policy(2));
    failed_deliveries(&bed, 1, Duration::from_secs(1));
    let begun = bed.clock.now();
    let mut asked_at = Vec::new();
    for _ in 0..40 {
        let (before, now) = (asked(&bed).len(), bed.clock.now());
        tick(&bed, &bed.world).await;
        if asked(&bed).len() > before {
            asked_at.push(now.since(begun).as_secs() / 60);
            // The fourth arrives.
            bed.doubles.script().log.last_mut().unwrap().2 = asked_at.len() == 4;
        }
    }
    assert_eq!(asked_at, [0, 10, 20, 40], "its failure is seen after 5 minutes; then after 10 and 20");
}

#[tokio::test]
async fn the_cursor_of_the_program_before_is_read() {
    let bed = Bed::new(policy(2));
    failed_deliveries(&bed, 100, Duration::from_secs(60));
    let since = bed.clock.now().minus(Duration::from_secs(1_800));
    bed.world.ports.ledger.set("redelivered_until", &since.as_millis().to_string()).await.unwrap();
    tick(&bed, &bed.world).await;
    assert_eq!(asked(&bed), (70..100).collect::<Vec<_>>());
    assert_eq!(Timestamp::from_secs(0).as_millis(), 0);
}

#[tokio::test]
async fn a_hundred_sweeps_in_the_queue_delay_no_fact() {
    let bed = Bed::new(policy(2));
    let queue = bed.world.ports.queue.clone();
    for n in 0..100 {
        queue.send(&Message::Sweep { repo: repo(&format!("acme/r-{n}")) }.to_body(), Duration::ZERO).await.unwrap();
    }
    let fact = job(&bed, 1, "acme/shop", &["self-hosted", "linux"]);
    queue.send(&Message::Job(Box::new(fact)).to_body(), Duration::ZERO).await.unwrap();
    let batch = queue.receive(200, consume::VISIBILITY).await.unwrap();
    consume::consume(&bed.world, batch).await;
    assert!(is_known(&bed, 1).await && swept(&bed).is_empty());
}

#[tokio::test]
async fn a_job_that_only_a_sweep_found_says_that_deliveries_do_not_come() {
    let bed = Bed::new(policy(2));
    let faults = || bed.world.faults.all(&[], bed.clock.now()).iter().map(ToString::to_string).collect::<Vec<_>>();
    let queued_for = |id, seconds| {
        let at = bed.clock.now().minus(Duration::from_secs(seconds));
        let fact = JobFact { created_at: Some(at), ..job(&bed, id, "acme/shop", &["self-hosted", "linux"]) };
        bed.doubles.script().jobs.insert(JobId(id), fact);
    };
    queued_for(1, 90);
    timer::sweep(&bed.world, TICK).await.unwrap();
    assert!(is_known(&bed, 1).await && faults().is_empty(), "its delivery may be on its way: {:?}", faults());
    delivered(&bed, 3, "acme/shop").await;
    queued_for(2, 250);
    bed.clock.advance(TICK);
    timer::sweep(&bed.world, TICK).await.unwrap();
    assert_eq!(
        faults(),
        ["job 2 of acme/shop had been queued for 4 min when a sweep found it; no delivery came"],
        "a sweep looks where jobs are"
    );
}
