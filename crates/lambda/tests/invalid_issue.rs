//! What an invalid issue costs. In a file of its own: a process counts the time of all its children together, and the children
//! of other tests must not be among them.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use support::control::{REPO, SET, block, world};
use support::terraform::skip_unless_there;

/// GitHub's part and the network are not ours: what counts is the time that our process computes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_issue_costs_less_than_a_second_of_our_own_time() {
    if skip_unless_there("the time of an invalid issue") {
        return;
    }
    let (control, _front, _) = world(false).await;
    let issue = control.github.open_issue(REPO, "ann", "runners", &block("my-env", 500), &[SET]).unwrap();
    let (event, _, payload) = control.github.events().pop().unwrap();
    let run = control.begin_run();
    let children = || getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let spent = |usage: Usage| {
        let ms = |time: TimeVal| time.tv_sec() * 1_000 + time.tv_usec() / 1_000;
        ms(usage.user_time()) + ms(usage.system_time())
    };
    let before = spent(children());
    let step = control.handle(run, &event, &payload);
    let took = spent(children()) - before;
    assert_eq!(step.code, Some(0), "{}", step.text);
    assert!(!step.goes_on && control.said(issue).contains("**Environment**"), "{}", control.said(issue));
    assert!(took < 1_000, "{took} ms of processor time, in a build without optimisation");
}
