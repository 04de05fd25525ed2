//! Rules that the control plane breaks today, each with the fault that is to blame. The list may only get shorter: who fixes a fault
//! takes its lines out, and from then on every seed is a test of it.

use crate::checks::{Rule, Violation};

/// A way in which a rule is broken today.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The fault: a letter or a name of the audit; a name of its own for what was found here.
    pub fault: &'static str,
    /// The rule.
    pub rule: Rule,
    /// What the violation's text has in it.
    pub text: &'static str,
    /// It counts only in a world in which this rule is broken as well: it follows from that.
    pub follows: Option<Rule>,
    /// What goes wrong.
    pub why: &'static str,
}

/// All of them.
pub const KNOWN: &[Known] = &[];

/// The known fault that a violation shows, if it is one; `all` are those of its world.
#[must_use]
pub fn known(violation: &Violation, all: &[Violation]) -> Option<&'static Known> {
    KNOWN.iter().find(|known| {
        let follows = known.follows.is_none_or(|rule| all.iter().any(|other| other.rule == rule));
        known.rule == violation.rule && violation.text.contains(known.text) && follows
    })
}
