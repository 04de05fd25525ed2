//! The real Terraform is stopped, dropped and killed in the middle of an apply: what it leaves, and how that is cleared.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use runnersmith_issueops_engine::{LeftBy, PlanOptions, ProvisionError, Provisioner as _, StateBackend};
use runnersmith_provision_terraform::{Terraform, TerraformConfig, who};
use runnersmith_types::Timestamp;
use support::{LONG, Lock, Place, lives, pids, until, waits};

/// A moment long before any test.
const LONG_AGO: Timestamp = Timestamp::from_secs(0);

#[tokio::test]
async fn a_held_lock_says_who_holds_it_and_a_stop_signal_ends_the_holder_in_order() {
    for lock in [Lock::File, Lock::Table] {
        let Some(place) = Place::new(&format!("stop {lock:?}"), lock) else { return };
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let terraform = Terraform::new(TerraformConfig { stop: Some(stopped), ..place.config() }).unwrap();
        let file = place.file("pids");
        let workspace = place.workspace(&waits(&file));
        let plan = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
        let applying = {
            let (terraform, workspace) = (terraform.clone(), workspace.clone());
            tokio::spawn(async move { terraform.apply(&workspace, &plan.file, &()).await })
        };
        let processes = pids(&file).await;
        // An interrupt of the terminal goes to our group and not to Terraform's.
        let leader = Pid::from_raw(processes[0]);
        assert_eq!(getpgid(Some(leader)), Ok(leader));

        let other = place.terraform();
        let Err(ProvisionError::Locked { id, who: holder, operation, created }) =
            other.plan(&workspace, PlanOptions::default(), &()).await
        else {
            panic!("it is not locked")
        };
        assert_eq!((holder, operation.as_str()), (who(), "OperationTypeApply"));
        assert!(!id.is_empty() && created.contains("UTC"), "{id} {created}");
        let without_lock = PlanOptions { without_lock: true, ..PlanOptions::default() };
        other.plan(&workspace, without_lock, &()).await.unwrap();
        other.drift(&workspace).await.unwrap();

        stop.send(true).unwrap();
        let answer = tokio::time::timeout(LONG, applying).await.unwrap().unwrap();
        assert_eq!(answer, Err(ProvisionError::Cancelled));
        assert!(!processes.iter().any(|pid| lives(*pid)), "{processes:?}");
        // Nothing new is started.
        assert_eq!(terraform.state(&place.backend()).await, Err(ProvisionError::Cancelled));
        // The lock is released, and what was made before is in the state.
        let after = other.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
        let still: Vec<&str> = after.summary.changes.iter().map(|change| change.address.as_str()).collect();
        assert_eq!(still, ["terraform_data.waits"], "the other one is in the state");
        assert!(after.state.serial > 0);
        assert_eq!(place.left(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_dropped_apply_is_seen_through_and_leaves_no_process_and_no_lock() {
    let Some(place) = Place::new("a dropped apply", Lock::File) else { return };
    let terraform = place.terraform();
    let file = place.file("pids");
    let workspace = place.workspace(&waits(&file));
    let plan = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    let processes = {
        let applying = terraform.apply(&workspace, &plan.file, &());
        tokio::select! {
            answer = applying => panic!("it ended: {answer:?}"),
            processes = pids(&file) => processes,
        }
    };
    tokio::time::timeout(LONG, terraform.settled()).await.unwrap();
    assert!(!processes.iter().any(|pid| lives(*pid)), "{processes:?}");
    assert_eq!(place.left(), Vec::<String>::new());
    let after = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    assert!(after.state.serial > 0);
}

#[test]
fn an_apply_is_seen_through_although_the_runtime_ends() {
    let Some(place) = Place::new("an ended runtime", Lock::File) else { return };
    let terraform = place.terraform();
    let file = place.file("pids");
    let workspace = place.workspace(&waits(&file));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let processes = first.block_on(async {
        let plan = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
        let (terraform, workspace) = (terraform.clone(), workspace.clone());
        tokio::spawn(async move { terraform.apply(&workspace, &plan.file, &()).await });
        pids(&file).await
    });
    first.shutdown_background();
    runtime().block_on(async {
        tokio::time::timeout(LONG, terraform.settled()).await.unwrap();
        assert!(!processes.iter().any(|pid| lives(*pid)), "{processes:?}");
        terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    });
    assert_eq!(place.left(), Vec::<String>::new());
}

#[tokio::test]
async fn the_lock_of_a_killed_apply_is_released_only_when_it_is_certainly_that_runs() {
    for lock in [Lock::File, Lock::Table] {
        let Some(place) = Place::new(&format!("killed {lock:?}"), lock) else { return };
        let terraform = place.terraform();
        let file = place.file("pids");
        let workspace = place.workspace(&waits(&file));
        let left_by = |who: String, since| LeftBy { who, since };
        let none = terraform.release_left_lock(&place.backend(), &left_by(who(), LONG_AGO)).await;
        assert_eq!(none, Ok(None), "there is neither a state nor a lock");

        let plan = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
        let applying = {
            let (terraform, workspace) = (terraform.clone(), workspace.clone());
            tokio::spawn(async move { terraform.apply(&workspace, &plan.file, &()).await })
        };
        let processes = pids(&file).await;
        kill(Pid::from_raw(processes[0]), Signal::SIGKILL).unwrap();
        let answer = tokio::time::timeout(LONG, applying).await.unwrap().unwrap();
        assert!(matches!(answer, Err(ProvisionError::Failed { .. })), "{answer:?}");
        // What a killed Terraform leaves running would go on.
        until("its children are gone", || (!lives(processes[1])).then_some(())).await;

        let Err(ProvisionError::Locked { id, .. }) = terraform.plan(&workspace, PlanOptions::default(), &()).await
        else {
            panic!("it is not locked")
        };
        let refused = [
            left_by("somebody@else".into(), LONG_AGO),
            // Taken in a day, so that this lock is older.
            left_by(who(), Timestamp::from_secs(9_999_999_999)),
        ];
        for left_by in refused {
            let answer = terraform.release_left_lock(&place.backend(), &left_by).await;
            assert!(matches!(&answer, Err(ProvisionError::Locked { id: held, .. }) if *held == id), "{answer:?}");
        }
        let released = terraform.release_left_lock(&place.backend(), &left_by(who(), LONG_AGO)).await;
        assert_eq!(released, Ok(Some(id)));
        let again = terraform.release_left_lock(&place.backend(), &left_by(who(), LONG_AGO)).await;
        assert_eq!(again, Ok(None));
        terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();

        place.make(&terraform, "resource \"terraform_data\" \"other\" {}").await;
        let with_state = terraform.release_left_lock(&place.backend(), &left_by(who(), LONG_AGO)).await;
        assert_eq!(with_state, Ok(None), "there is a state and no lock");
        assert_eq!(place.left(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_lock_that_cannot_be_read_is_not_taken_for_none() {
    let Some(place) = Place::new("no table of locks", Lock::Table) else { return };
    let terraform = place.terraform();
    let settings = place.backend().settings().replace("\"locks\"", "\"no-such-table\"");
    let backend = StateBackend::unchecked("Test", &settings);
    let left_by = LeftBy { who: who(), since: LONG_AGO };
    let answer = tokio::time::timeout(LONG, terraform.release_left_lock(&backend, &left_by)).await.unwrap();
    assert!(
        matches!(&answer, Err(ProvisionError::Failed { message, .. }) if message.contains("not found")),
        "{answer:?}"
    );
}
