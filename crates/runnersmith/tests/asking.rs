//! `why` and `jobs` as an operator asks them: in every form that a job has, with the very sentences of the answers.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use runnersmith_ports::{Clock, HistoryLedger as _, JobLedger as _, LeaseLedger as _, RunnerLedger as _, SystemClock};
use runnersmith_sqlite::{SqliteLedger, SqliteStore};
use runnersmith_types::{
    Conclusion, EventKind, FactSource, HistoryEvent, Intent, JobFact, JobId, JobStatus, Label, Owner, OwnerKind,
    RepoFullName, RunId, RunnerName, RunnerScope, ScaleSetName, Target, Timestamp,
};
use serde_json::{Value, json};

struct Bed {
    home: tempfile::TempDir,
    ledger: SqliteLedger,
    now: Timestamp,
}

/// What a command said and how it ended.
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

fn fact(id: u64, name: &str, status: JobStatus, at: Timestamp) -> JobFact {
    JobFact {
        source: FactSource::Delivery,
        received_at: at,
        delivery: None,
        id: JobId(id),
        run: RunId(700 + id / 10),
        run_attempt: 1,
        repo: RepoFullName::parse("acme/shop").unwrap(),
        owner_kind: OwnerKind::Organization,
        head_sha: String::new(),
        name: name.into(),
        workflow: "ci".into(),
        labels: vec![Label::of_job("linux")],
        labels_cut: false,
        status,
        conclusion: None,
        runner_name: None,
        runner_id: None,
        created_at: None,
        started_at: None,
        completed_at: None,
    }
}

impl Bed {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (clock, at) = (Arc::new(SystemClock), home.path().display().to_string());
        let text = format!(
            r#"
version = 1
[store]
directory = "{at}/data"
[github]
app_id = "1"
private_key_file = "{at}/none.pem"
webhook_secret_file = "{at}/none"
[[scale_set]]
name = "linux"
labels = ["linux"]
level = "organization"
at = "acme"
runners_max = 2
"#
        );
        std::fs::write(home.path().join("runnersmith.toml"), text).unwrap();
        std::fs::create_dir(home.path().join("data")).unwrap();
        let ledger = SqliteStore::open(&home.path().join("data/ledger.sqlite3"), clock.clone()).unwrap().ledger();
        Self { home, ledger, now: clock.now() }
    }

    fn ago(&self, minutes: u64) -> Timestamp {
        self.now.minus(Duration::from_secs(60 * minutes))
    }

    async fn record(&self, facts: impl IntoIterator<Item = JobFact>) {
        self.ledger.record_facts(facts.into_iter().collect(), &[]).await.unwrap();
    }

    /// A job that waited for a minute and ran for two, and ended `minutes` ago.
    async fn ended(&self, id: u64, name: &str, runner: &str, conclusion: &str, minutes: u64) {
        let at = |minutes| self.ago(minutes);
        let mut running = fact(id, name, JobStatus::InProgress, at(minutes + 2));
        running.runner_name = Some(runner.into());
        let mut over = fact(id, name, JobStatus::Completed, at(minutes));
        over.conclusion = Some(Conclusion(conclusion.into()));
        self.record([fact(id, name, JobStatus::Queued, at(minutes + 3)), running, over]).await;
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_runnersmith"));
        let config = self.home.path().join("runnersmith.toml");
        let output = Command::new(program).args(arguments).arg("--config").arg(config).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
    }

    /// What `why` says of a job: its first line.
    fn why(&self, job: &str) -> String {
        let said = self.run(&["why", job]);
        assert_eq!(said.code, Some(0), "{job}: {}", said.err);
        said.out.lines().next().unwrap().to_owned()
    }

    /// The error of a command that fails with this code: its text without the hint.
    fn refused(&self, code: i32, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{arguments:?}: {}", said.err);
        let (error, hint) = said.err.trim_end().split_once('\n').unwrap();
        assert!(hint.starts_with("hint: "), "{hint}");
        error.strip_prefix("error: ").unwrap().to_owned()
    }
}

/// The first word of each line but the head.
fn listed(table: &str) -> Vec<&str> {
    table.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect()
}

#[tokio::test]
async fn why_takes_every_form_that_people_paste() {
    let bed = Bed::new();
    bed.ended(1088, "test (12)", "linux-k3x9-7", "success", 5).await;
    bed.ended(1089, "build", "linux-k3x9-8", "failure", 5).await;
    let job = "job 1088  acme/shop  ci / test (12)";
    for form in [
        "1088",
        "#1088",
        "https://github.com/acme/shop/actions/runs/808/job/1088?pr=4#step:2:1",
        "https://github.com/acme/shop/runs/1088",
        "https://github.com/acme/shop/pull/4/checks?check_run_id=1088",
        "linux-k3x9-7",
        "test (12)",
        "\"test (12)\"",
        "ci / test (12)",
    ] {
        assert_eq!(bed.why(form), job, "{form}");
    }
    let run = bed.run(&["why", "https://github.com/acme/shop/actions/runs/808"]);
    assert_eq!((run.code, listed(&run.out)), (Some(0), vec!["1089", "1088"]), "{}{}", run.out, run.err);
}

#[tokio::test]
async fn what_is_not_one_job_of_that_repository_is_refused_with_the_reason() {
    let bed = Bed::new();
    for id in 1..=7 {
        bed.ended(id, "test", "linux-k3x9-7", if id == 7 { "failure" } else { "success" }, 10 - id).await;
    }
    let refused = |job: &str| bed.refused(1, &["why", job]);
    assert_eq!(
        refused("https://github.com/acme/web/actions/runs/700/job/3"),
        "job 3 in the ledger is a job of acme/shop, and the address names acme/web"
    );
    assert_eq!(
        refused("https://github.com/acme/web/actions/runs/700"),
        "no job of run 700 of acme/web is in the ledger"
    );
    assert_eq!(
        refused("test"),
        "more than 5 jobs go by \"test\"; the newest: 7 (acme/shop, failure), 6 (acme/shop, success), \
         5 (acme/shop, success), 4 (acme/shop, success), 3 (acme/shop, success)"
    );
    assert_eq!(refused("nobody"), "no job and no runner is named \"nobody\" in the ledger");
    assert_eq!(refused("404"), "job 404 is not in the ledger");
    assert_eq!(
        bed.refused(2, &["why", "https://github.com/acme/shop"]),
        "parse job \"https://github.com/acme/shop\": a job's number or its address in GitHub is needed"
    );
}

#[tokio::test]
async fn a_runner_without_a_job_says_so() {
    let bed = Bed::new();
    let set = ScaleSetName::parse("linux").unwrap();
    let lease = bed.ledger.acquire(&set, "test", Duration::from_secs(60)).await.unwrap().unwrap();
    let name = RunnerName::parse("linux-k3x9-7").unwrap();
    let target = Target { set, at: RunnerScope::Organization(Owner::parse("acme").unwrap()) };
    bed.ledger.intend(&lease, vec![Intent { name: name.clone(), serial: 7, target }], true, 2).await.unwrap();
    assert_eq!(bed.refused(1, &["why", name.as_str()]), "runner linux-k3x9-7 has had no job; it is intended");
    let mut event = HistoryEvent::new(bed.now, EventKind::Failed, "launch", "no capacity");
    event.runner = Some(name.clone());
    bed.ledger.append(vec![event]).await.unwrap();
    let said = bed.refused(1, &["why", name.as_str()]);
    assert_eq!(said, "runner linux-k3x9-7 has had no job; it is intended; last: launch (no capacity)");
}

#[tokio::test]
async fn a_delivery_that_was_not_used_is_the_answer() {
    let bed = Bed::new();
    let mut event = HistoryEvent::new(
        Timestamp::from_secs(1_780_056_191),
        EventKind::Dropped,
        "delivery",
        "no scale set serves it: x",
    );
    event.job = Some(JobId(505));
    bed.ledger.append(vec![event]).await.unwrap();
    let said = bed.run(&["why", "505"]).out;
    let sentence =
        "a delivery for this job came at 2026-05-29 12:03:11 UTC and was not used: no scale set serves it: x";
    assert!(said.starts_with(&format!("job 505\n{sentence}\n")), "{said}");
}

#[tokio::test]
async fn an_error_is_json_where_json_was_asked_for() {
    let bed = Bed::new();
    for (arguments, code, error) in [
        (["why", "404", "--json"], 1, "job 404 is not in the ledger"),
        (["why", "", "--json"], 2, "parse job \"\": a job's number or its address in GitHub is needed"),
        (
            ["jobs", "--since=soon", "--json"],
            2,
            "--since \"soon\" is no time: a duration such as 24h or 7d, or a time such as 2026-01-31T09:00:00Z is needed",
        ),
    ] {
        let said = bed.run(&arguments);
        let value: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!((value["error"].as_str(), value["exit_code"].as_i64()), (Some(error), Some(code)), "{value}");
        assert_eq!(said.code.map(i64::from), Some(code));
        assert!(said.err.starts_with(&format!("error: {error}")), "{}", said.err);
    }
    std::fs::remove_dir_all(bed.home.path().join("data")).unwrap();
    for command in [["status", "--json"], ["jobs", "--json"]] {
        let said = bed.run(&command);
        let value: Value = serde_json::from_str(&said.out).unwrap();
        assert!(value["error"].as_str().unwrap().starts_with("there is no ledger "), "{value}");
        assert_eq!(
            (value["exit_code"].as_i64(), value["hint"].as_str()),
            (Some(4), Some("start `runnersmith serve` first"))
        );
    }
}

#[tokio::test]
async fn jobs_lists_past_jobs_by_every_filter_newest_first() {
    let bed = Bed::new();
    bed.ended(1, "old", "linux-k3x9-1", "success", 60 * 48).await;
    bed.ended(2, "build", "linux-k3x9-2", "failure", 30).await;
    bed.ended(3, "build", "gpu-k3x9-3", "success", 20).await;
    let web =
        JobFact { repo: RepoFullName::parse("acme/web").unwrap(), ..fact(4, "deploy", JobStatus::Queued, bed.ago(10)) };
    bed.record([web]).await;
    let jobs = |arguments: &[&str]| {
        let said = bed.run(&[&["jobs"], arguments].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
        listed(&said.out).iter().map(|id| id.parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(jobs(&[]), [4, 3, 2, 1]);
    assert_eq!(jobs(&["--repository", "Acme/Web"]), [4]);
    assert_eq!(jobs(&["--set", "linux"]), [4, 2, 1], "the set that would serve it has a job that waits");
    assert_eq!(jobs(&["--set", "gpu"]), [3]);
    assert_eq!(jobs(&["--since", "24h"]), [4, 3, 2]);
    assert_eq!(jobs(&["--outcome", "success"]), [3, 1]);
    assert_eq!(jobs(&["--outcome", "open"]), [4]);
    assert_eq!(jobs(&["--outcome", "success", "--since", "24h", "--set", "gpu"]), [3]);
    assert_eq!(jobs(&["--outcome", "failure", "--set", "gpu"]), Vec::<u64>::new());
    assert_eq!(jobs(&["--limit", "2"]), [4, 3]);
    assert!(bed.run(&["jobs", "--limit", "2"]).err.contains("there are more than 2"));
    assert!(!bed.run(&["jobs", "--limit", "4"]).err.contains("there are more"));

    let line = bed.run(&["jobs", "--outcome", "failure"]).out.lines().nth(1).unwrap().to_owned();
    for part in [
        "acme/shop",
        "ci / build",
        "failure  1 min 00 s  2 min 00 s  linux-k3x9-2",
        "https://github.com/acme/shop/actions/runs/700/job/2",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let all: Value = serde_json::from_str(&bed.run(&["jobs", "--outcome", "failure", "--json"]).out).unwrap();
    let expected = json!([{ "job": 2, "repository": "acme/shop", "workflow": "ci", "name": "build", "set": "linux",
        "status": "completed", "outcome": "failure", "first_seen_ms": bed.ago(33).as_millis(), "waited_seconds": 60.0,
        "run_seconds": 120.0, "runner": "linux-k3x9-2", "url": "https://github.com/acme/shop/actions/runs/700/job/2" }]);
    assert_eq!(all, expected);
    assert_eq!(bed.run(&["jobs", "--outcome", "failed"]).code, Some(2), "an unknown word is refused");
    let unknown = bed.run(&["jobs", "--set", "gpuu"]);
    assert!(unknown.err.contains("there is no scale set gpuu; the scale sets are: linux"), "{}", unknown.err);
}
