//! What came of a step: an event, what the record must remember, or a failure as people read it.

use std::collections::BTreeMap;

use runnersmith_issueops::change::{ChangeFailure, ChangeStage, EditedFiles, LifecycleEvent, Lock, Stopped};

use crate::provisioner::ProvisionError;
use crate::record::Posted;

/// What came of a step, beside its event: what the record must remember.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// The comment that shows the change.
    StateComment(Posted),
    /// A plan is stored and shown.
    Plan {
        /// Its key.
        key: String,
        /// Further comments.
        continuations: Vec<Posted>,
        /// What a deletion would destroy is known by these outputs; of other changes none.
        outputs: BTreeMap<String, String>,
    },
    /// The branch has another commit of ours.
    Head {
        /// Which.
        head: String,
        /// Of files that an admin ordered a plan of: them as that commit has them.
        ordered: Option<EditedFiles>,
    },
    /// The plan ended with a lock file of provider versions of this hash.
    LockFile(String),
    /// This plan is not stored any more.
    NoPlan {
        /// Its key.
        key: String,
    },
    /// What was applied.
    Applied {
        /// Which commit.
        head: String,
        /// Terraform's outputs.
        outputs: BTreeMap<String, serde_json::Value>,
    },
    /// The lock that was to be taken is another's: that is said instead.
    LockedInstead(Lock),
    /// A lock is gone that the comment may still show.
    Unlocked,
}

/// What came of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    pub event: Option<LifecycleEvent>,
    pub notes: Vec<Note>,
}

impl Done {
    pub(crate) fn event(event: LifecycleEvent) -> Self {
        Self { event: Some(event), notes: Vec::new() }
    }
    pub(crate) fn note(note: Note) -> Self {
        Self { event: None, notes: vec![note] }
    }
}

/// A failure of a plan or an apply, as a change has it.
pub(crate) fn failure(stage: ChangeStage, error: &ProvisionError) -> ChangeFailure {
    match error {
        ProvisionError::Failed { resource, message } => {
            ChangeFailure { resource: resource.clone(), ..ChangeFailure::new(stage, message) }
        }
        ProvisionError::Locked { .. } => {
            let hint = "if a run that is dead left this lock, `/unlock` proves it and releases it";
            ChangeFailure::new(stage, format!("{error}; {hint}"))
        }
        ProvisionError::Cancelled => {
            ChangeFailure { stopped: Some(Stopped::AtWork), ..ChangeFailure::new(stage, error.to_string()) }
        }
        ProvisionError::NotBegun => {
            ChangeFailure { stopped: Some(Stopped::BeforeItBegan), ..ChangeFailure::new(stage, error.to_string()) }
        }
        ProvisionError::Stale | ProvisionError::Unable(_) => ChangeFailure::new(stage, error.to_string()),
    }
}
