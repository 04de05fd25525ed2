//! Where to look for a change: what a delivery or a clock says to those who carry changes through.
//!
//! It is a type of its own because the webhook makes it and the engine of IssueOps reads it, and neither knows the other.

use crate::account::Account;

/// Where to look. It says nothing about what is there: the truth is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeTrigger {
    /// An issue was opened, edited, labelled, closed or reopened.
    Issue {
        /// Which.
        number: u64,
        /// Who changed what it asks for, if somebody did: its text or its labels, or opened it again.
        editor: Option<Account>,
    },
    /// Something happened on a pull request: a comment, a close.
    Pull {
        /// Which.
        number: u64,
    },
    /// A branch has another commit.
    Branch {
        /// Its name.
        name: String,
    },
    /// Time went by: everything.
    Tick,
}
