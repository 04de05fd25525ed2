//! What an idle control plane asks of GitHub in an hour, counted where it is answered: the real loop over the real client, beside
//! nine others, with as many repositories as there may be.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that fails panics; the figures are printed")]

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Bed, policy};
use runnersmith_controllers::{Depth, timer};
use runnersmith_github::{AppCredentials, GitHubClient, GitHubConfig};
use runnersmith_github_sim::{App, Options, Simulator};
use runnersmith_ports::SystemClock;
use runnersmith_types::{Owner, RunnerScope, Secret};

const TICK: Duration = Duration::from_secs(300);
/// Idle, each control plane asks for less than this in an hour.
const CALLS_MAX: u64 = 60;
/// Hours are virtual, and the client's tokens live by the machine's clock: so many calls an hour more take new tokens.
const TOKENS: u64 = 2;

/// A GitHub with an organisation that has so many repositories, and the credentials of the App that is installed there.
async fn github(repositories: u64) -> (Simulator, GitHubConfig) {
    let key = runnersmith_github_sim::app_key();
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let app = App { slug: "app".into(), private_key_pem: key.clone(), webhook_secret: "s".into(), webhook_url: None };
    let app = simulator.add_app(app).unwrap();
    simulator.add_org("acme");
    (0..repositories).for_each(|n| simulator.add_repository(&format!("acme/r-{n}")));
    simulator.install(app, "acme");
    let credentials = AppCredentials { app_id: app.to_string(), private_key_pem: Secret::new(key) };
    let mut config = GitHubConfig::new(&simulator.base_url(), credentials);
    config.api_base = Some(simulator.base_url());
    (simulator, config)
}

/// A control plane of its own: its own ledger, its own client.
fn control_plane(config: &GitHubConfig) -> Bed {
    let mut policy = policy(2);
    policy.scope.at = Some(RunnerScope::Organization(Owner::parse("acme").unwrap()));
    let mut bed = Bed::new(policy);
    bed.world.ports.github = Arc::new(GitHubClient::new(config.clone(), Arc::new(SystemClock)).unwrap());
    bed
}

/// What a server does in an hour in which nothing happens.
async fn idle_hour(bed: &Bed) {
    for minute in 0..60 {
        bed.pass(Depth::Full).await;
        if minute % 5 == 0 {
            timer::redeliver(&bed.world).await.unwrap();
            let swept = timer::sweep(&bed.world, TICK).await.unwrap();
            assert!(swept.failed.is_empty(), "{swept:?}");
        }
        bed.clock.advance(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn an_idle_control_plane_asks_less_than_60_times_an_hour_alone_and_beside_nine_others() {
    for (count, repositories) in [(1, 1), (1, 50), (1, 200), (10, 1), (10, 50), (10, 200)] {
        let (simulator, config) = github(repositories).await;
        let beds: Vec<Bed> = (0..count).map(|_| control_plane(&config)).collect();
        let mut hours = Vec::new();
        for _ in 0..2 {
            let before: u64 = simulator.calls().values().sum();
            for bed in &beds {
                idle_hour(bed).await;
            }
            hours.push((simulator.calls().values().sum::<u64>() - before).div_ceil(count) + TOKENS);
        }
        println!(
            "{count:>2} control planes, {repositories:>3} repositories: {} calls in the first hour of each, then {}",
            hours[0],
            hours[1..].iter().max().unwrap()
        );
        assert!(hours[1..].iter().all(|calls| *calls < CALLS_MAX), "{count} × {repositories}: {hours:?}");
        assert!(hours[0] <= repositories + CALLS_MAX + TOKENS, "{count} × {repositories}: {hours:?}");
        simulator.stop().await;
    }
}
