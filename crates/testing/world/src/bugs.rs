//! Deliberate bugs in the ways between a control plane and the world: what a control plane once did, or might do, is put back by what it
//! is answered. No test changes the product itself, and a checker that finds none of them would be no checker.

/// A deliberate bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// It is forgotten that GitHub refused to remove a runner, and that it alone called it busy.
    ForgetsRefusals,
    /// It is forgotten since when a machine's own word is doubted.
    ForgetsDoubts,
    /// It is forgotten when GitHub last answered about a job.
    ForgetsAnswers,
    /// It is forgotten which runs were re-run.
    ForgetsReruns,
    /// GitHub's lists do not show the runners of other fleets.
    HidesForeignRunners,
    /// GitHub's answer about a job is always of before its end.
    HidesEnds,
    /// Each sweep of a repository finds one job that is not there.
    InventsJobs,
    /// A check run that is to be closed stays open.
    KeepsCheckRunsOpen,
    /// Each check run says success.
    SaysSuccess,
    /// A check run that was made before is made again without its rows, and says success.
    LeavesOutWhoWaits,
    /// A run that was cancelled is said to have failed.
    HidesCancellations,
    /// A sweep says of other fleets' jobs that they ask for a runner of ours.
    RelabelsForeignJobs,
    /// A machine that is to be ended goes on.
    KeepsMachines,
    /// Machines are said to have changed ten times a second.
    NeverWaits,
}
