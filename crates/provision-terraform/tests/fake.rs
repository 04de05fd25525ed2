//! What the real Terraform cannot be brought to do: be deaf, be long, say what it sees.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runnersmith_issueops_engine::{LeftBy, PlanOptions, ProvisionError, Provisioner as _, StateBackend, Workspace};
use runnersmith_provision_terraform::{Terraform, TerraformConfig, who};
use runnersmith_types::{Secret, Timestamp};
use support::{LONG, Listener, lives, pids};

struct Fake {
    home: tempfile::TempDir,
}

impl Fake {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("file")
    }

    fn scratch(&self) -> PathBuf {
        self.home.path().join("scratch")
    }

    fn config(&self, does: &str) -> TerraformConfig {
        let environment = [("FAKE", does), ("FAKE_FILE", self.file().to_str().unwrap())]
            .map(|(name, value)| (name.to_owned(), Secret::new(value)));
        TerraformConfig {
            program: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-terraform"),
            environment: environment.into(),
            stop_within: Duration::from_millis(500),
            ..TerraformConfig::new(self.scratch())
        }
    }

    fn left(&self) -> usize {
        std::fs::read_dir(self.scratch()).map_or(0, Iterator::count)
    }
}

fn workspace() -> Workspace {
    with_file("environments/e/main.tf", b"")
}

fn with_file(path: &str, content: &[u8]) -> Workspace {
    let files = [("environments/e/main.tf".to_owned(), Vec::new()), (path.to_owned(), content.to_vec())];
    Workspace::unchecked("e", "environments/e", files.into())
}

#[tokio::test]
async fn one_that_is_deaf_is_killed_with_all_its_children_when_its_time_is_over() {
    let fake = Fake::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let terraform = Terraform::new(TerraformConfig { stop: Some(stopped), ..fake.config("deaf") }).unwrap();
    let planning = {
        let terraform = terraform.clone();
        tokio::spawn(async move { terraform.plan(&workspace(), PlanOptions::default(), &()).await })
    };
    let processes = pids(&fake.file()).await;
    let started = Instant::now();
    stop.send(true).unwrap();
    let error = tokio::time::timeout(LONG, planning).await.unwrap().unwrap().unwrap_err();
    assert!(started.elapsed() >= Duration::from_millis(500), "it was not waited for");
    assert!(matches!(&error, ProvisionError::Failed { message, .. } if message.contains("was killed")), "{error}");
    support::until("all are gone", || (!processes.iter().any(|pid| lives(*pid))).then_some(())).await;
    assert_eq!(fake.left(), 0);
}

#[tokio::test]
async fn one_that_takes_its_time_is_interrupted_once_and_not_killed() {
    let fake = Fake::new();
    let config = TerraformConfig { stop_within: Duration::from_secs(60), ..fake.config("once") };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let terraform = Terraform::new(TerraformConfig { stop: Some(stopped), ..config }).unwrap();
    let planning = {
        let terraform = terraform.clone();
        tokio::spawn(async move { terraform.plan(&workspace(), PlanOptions::default(), &()).await })
    };
    pids(&fake.file()).await;
    stop.send(true).unwrap();
    let answer = tokio::time::timeout(LONG, planning).await.unwrap().unwrap();
    assert_eq!(answer.unwrap_err(), ProvisionError::Cancelled);
    let log = std::fs::read_to_string(fake.file().with_extension("log")).unwrap();
    assert_eq!(log, "interrupted\n");
}

#[tokio::test]
async fn only_what_is_listed_reaches_it_in_a_directory_of_its_owners_alone() {
    let fake = Fake::new();
    let terraform = Terraform::new(fake.config("env")).unwrap();
    terraform.plan(&workspace(), PlanOptions::default(), &()).await.unwrap_err();
    let seen = std::fs::read_to_string(fake.file()).unwrap();
    for line in ["TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1", "init -input=false -no-color -json"] {
        assert!(seen.lines().any(|found| found == line), "{line} is not in {seen}");
    }
    let modes: Vec<&str> = seen.lines().filter(|line| line.starts_with("mode ")).collect();
    assert_eq!(modes, ["mode 700", "mode 700", "mode 700", "mode 600"]);
    // Cargo sets these for tests.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!seen.contains("CARGO_"), "{seen}");
    let data = seen.lines().find_map(|line| line.strip_prefix("TF_DATA_DIR=")).unwrap();
    assert!(Path::new(data).starts_with(fake.scratch()), "{data}");
    assert_eq!(fake.left(), 0);
}

#[tokio::test]
async fn a_long_failure_keeps_its_end_and_hides_what_is_secret_in_it() {
    let fake = Fake::new();
    let mut config = fake.config("long");
    config.environment.push(("TF_VAR_x".into(), Secret::new("correct-horse")));
    let listener = Listener::default();
    let error =
        Terraform::new(config).unwrap().plan(&workspace(), PlanOptions::default(), &listener).await.unwrap_err();
    let ProvisionError::Failed { resource: None, message } = &error else { panic!("{error}") };
    assert_eq!(message.chars().count(), 60_000);
    assert!(message.contains("line 19999 of many"));
    assert!(listener.text().contains("the value is [secret]") && listener.text().contains("line 0 of many"));
    assert!(!format!("{message}{}", listener.text()).contains("horse"));
}

#[tokio::test]
async fn a_program_that_holds_the_pipes_is_not_waited_for() {
    let fake = Fake::new();
    let terraform = Terraform::new(fake.config("leak")).unwrap();
    let started = Instant::now();
    let error = terraform.plan(&workspace(), PlanOptions::default(), &()).await.unwrap_err();
    let took = started.elapsed();
    let holder = pids(&fake.file()).await[0];
    let goes_on = lives(holder);
    let _ = kill(Pid::from_raw(holder), Signal::SIGKILL);
    assert!(goes_on, "it holds nothing any more");
    assert!(matches!(&error, ProvisionError::Failed { message, .. } if message == "said and gone"), "{error}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn the_version_is_asked_for_once() {
    let fake = Fake::new();
    let terraform = Terraform::new(fake.config("count")).unwrap();
    for _ in 0..3 {
        assert_eq!(terraform.version().await.unwrap(), "fake-terraform 1.99.0");
    }
    assert_eq!(std::fs::read_to_string(fake.file()).unwrap(), "once\n");
}

#[tokio::test]
async fn hostile_paths_are_refused_before_anything_is_started() {
    let fake = Fake::new();
    let terraform = Terraform::new(fake.config("env")).unwrap();
    for path in ["/etc/passwd", "../../x", "environments/../../x", "environments/e/\0", "./x", "environments//x"] {
        let error = terraform.plan(&with_file(path, b"x"), PlanOptions::default(), &()).await.unwrap_err();
        assert!(matches!(error, ProvisionError::Unable(_)), "{path:?}: {error}");
        let outside = Workspace::unchecked("e", path, workspace().files().clone());
        let error = terraform.plan(&outside, PlanOptions::default(), &()).await.unwrap_err();
        assert!(matches!(error, ProvisionError::Unable(_)), "{path:?}: {error}");
    }
    assert!(!fake.file().exists());
    assert_eq!(fake.left(), 0);
}

fn plan_file() -> Vec<u8> {
    let mut plan = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in [("tfstate", "{}"), (".terraform.lock.hcl", "# of the plan")] {
        plan.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        plan.write_all(content.as_bytes()).unwrap();
    }
    plan.finish().unwrap().into_inner()
}

#[tokio::test]
async fn an_apply_that_is_asked_to_stop_before_it_began_applied_nothing() {
    let fake = Fake::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let terraform = Terraform::new(TerraformConfig { stop: Some(stopped), ..fake.config("begin") }).unwrap();
    let (workspace, plan) = (workspace(), plan_file());
    // It is still at `init`, which ends well in spite of the interrupt.
    let applying = async { tokio::time::timeout(LONG, terraform.apply(&workspace, &plan, &())).await.unwrap() };
    let (first, ()) = tokio::join!(applying, async {
        pids(&fake.file()).await;
        stop.send(true).unwrap();
    });
    let second = terraform.apply(&workspace, &plan, &()).await;
    assert_eq!((first, second), (Err(ProvisionError::NotBegun), Err(ProvisionError::NotBegun)));
    assert!(!std::fs::read_to_string(fake.file()).unwrap().contains("applied"));
}

#[tokio::test]
async fn a_plan_is_applied_with_the_versions_that_it_was_made_with_whatever_was_committed() {
    let fake = Fake::new();
    let terraform = Terraform::new(fake.config("apply")).unwrap();
    let plan = plan_file();
    let committed = with_file("environments/e/.terraform.lock.hcl", b"# committed");
    terraform.apply(&committed, &plan, &()).await.unwrap_err();
    let seen = std::fs::read_to_string(fake.file()).unwrap();
    assert_eq!(seen, "init -input=false -no-color -json -lockfile=readonly\n# of the plan");
    let error = terraform.apply(&committed, b"no plan at all", &()).await.unwrap_err();
    assert!(matches!(&error, ProvisionError::Unable(why) if why.contains("plan file")), "{error}");
    assert_eq!(fake.left(), 0);
}

#[tokio::test]
async fn the_id_of_a_lock_is_never_an_option() {
    let fake = Fake::new();
    let terraform = Terraform::new(fake.config("lock")).unwrap();
    let left_by = LeftBy { who: who(), since: Timestamp::from_secs(0) };
    let answer = terraform.release_left_lock(&StateBackend::unchecked("e", "{}"), &left_by).await;
    assert!(matches!(&answer, Err(ProvisionError::Locked { id, .. }) if id == "--help"), "{answer:?}");
    let asked = std::fs::read_to_string(fake.file()).unwrap();
    assert_eq!(asked, "force-unlock -no-color -force 00000000-0000-0000-0000-000000000000\n");
}

#[tokio::test]
async fn two_that_share_a_cache_of_providers_wait_for_each_other_until_they_are_asked_to_stop() {
    for named_by_a_variable in [false, true] {
        let fake = Fake::new();
        let cache = fake.home.path().join("cache");
        std::fs::create_dir(&cache).unwrap();
        let held = std::fs::File::create(cache.join(".runnersmith.lock")).unwrap();
        held.lock().unwrap();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut config = TerraformConfig { stop: Some(stopped), ..fake.config("env") };
        if named_by_a_variable {
            config.environment.push(("TF_PLUGIN_CACHE_DIR".into(), Secret::new(cache.to_str().unwrap())));
        } else {
            config.plugin_cache = Some(cache);
        }
        let terraform = Terraform::new(config).unwrap();
        let plan = async { terraform.plan(&workspace(), PlanOptions::default(), &()).await };
        let laid_out = support::until("its directory is there", || (fake.left() == 1).then_some(()));
        let (answer, ()) = tokio::join!(plan, async {
            laid_out.await;
            stop.send(true).unwrap();
        });
        assert_eq!(answer.unwrap_err(), ProvisionError::Cancelled);
        assert!(!fake.file().exists(), "it was started although somebody else fills the cache");
    }
}
