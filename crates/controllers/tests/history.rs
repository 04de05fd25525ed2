//! What was done is in the history, also when the pass that did it ended early.

use crate::support::{Bed, policy, set};
use runnersmith_controllers::{Depth, pass};

#[tokio::test]
async fn a_pass_that_ends_early_has_recorded_what_it_did_before() {
    let bed = Bed::new(policy(2));
    bed.queued(1..=1).await;
    // The runner was intended and its machine was launched; then the ledger cannot say so.
    bed.refuse("INSERT ON runners WHEN NEW.state = 'booting'", true);
    assert!(pass(&bed.world, &set("linux"), Depth::Full).await.is_err());
    assert_eq!(bed.doubles.script().count("launch"), 1);
    let history = bed.world.ports.ledger.recent_history(100).await.unwrap();
    let intended: Vec<_> = history.iter().filter(|event| event.what == "intend").collect();
    assert!(!intended.is_empty(), "{history:#?}");

    // The next pass finds the machine and launches no other.
    bed.refuse("", false);
    bed.pass(Depth::Full).await;
    assert_eq!(bed.machines_made(), 1);
}

/// A function's time is over while GitHub has not answered: the pass is dropped where it stands.
#[tokio::test]
async fn a_pass_that_is_cut_off_has_recorded_what_it_did_before() {
    let bed = Bed::new(policy(2));
    bed.queued(1..=2).await;
    let hung = bed.doubles.script().hung.clone();
    bed.doubles.script().hangs = vec!["jit".into()];
    let linux = set("linux");
    tokio::select! {
        biased;
        passed = pass(&bed.world, &linux, Depth::Full) => panic!("nothing hung: {passed:?}"),
        () = hung.notified() => {}
    }
    let history = bed.world.ports.ledger.recent_history(100).await.unwrap();
    let count = |what: &str| history.iter().filter(|event| event.what == what).count();
    assert!(count("intend") > 0 && count("launch") > 0, "{history:#?}");
}
