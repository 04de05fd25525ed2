//! Rules that the control plane breaks today, each with the fault that is to blame. It is a list that may only get shorter: who fixes
//! a fault takes its lines out, and from then on every seed is a test of it.

use crate::checks::{Rule, Violation};

/// A way in which a rule is broken today.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The fault in the audit's letters; what is in none has a name of its own.
    pub fault: &'static str,
    /// The rule.
    pub rule: Rule,
    /// What the violation's text begins with, or has in it.
    pub text: &'static str,
    /// What goes wrong.
    pub why: &'static str,
}

/// All of them.
pub const KNOWN: &[Known] = &[
    Known {
        fault: "A",
        rule: Rule::ForeignJobsAreLeftAlone,
        text: "a failing check run",
        why: "another fleet's job gets a failing check run",
    },
];

/// The known fault that a violation shows, if it is one.
#[must_use]
pub fn known(violation: &Violation) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.rule == violation.rule && violation.text.contains(known.text))
}
