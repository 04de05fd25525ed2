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
pub const KNOWN: &[Known] = &[
    Known {
        fault: "A",
        rule: Rule::ForeignJobsAreLeftAlone,
        text: "a failing check run",
        follows: None,
        why: "another fleet's job gets a failing check run",
    },
    Known {
        fault: "O",
        rule: Rule::NothingIsUnmarked,
        text: "idle -> busy -> idle",
        follows: None,
        why: "GitHub's word of one round is taken back by the next round, which does not ask",
    },
    Known {
        fault: "O",
        rule: Rule::NothingIsUnmarked,
        text: "busy -> idle -> busy",
        follows: None,
        why: "the same, from the other side",
    },
    Known {
        fault: "world 1",
        rule: Rule::NoEffectIsRepeated,
        text: "deregister",
        follows: None,
        why: "a removal that GitHub refuses is made again in each round of a pass",
    },
    Known {
        fault: "world 1",
        rule: Rule::PassesRest,
        text: "rounds over",
        follows: Some(Rule::NoEffectIsRepeated),
        why: "such a pass goes on to the bound of its rounds",
    },
    Known {
        fault: "world 1",
        rule: Rule::NothingIsUnmarked,
        text: "busy -> draining",
        follows: None,
        why: "the marks between two such removals",
    },
    Known {
        fault: "world 1",
        rule: Rule::NothingIsUnmarked,
        text: "draining -> busy",
        follows: None,
        why: "the same, from the other side",
    },
    Known {
        fault: "B",
        rule: Rule::RoomIsUsed,
        text: "has room",
        follows: None,
        why: "what GitHub's limits and outages did to hand-offs counts as boot failures, and the pause doubles for each machine",
    },
    Known {
        fault: "world 2",
        rule: Rule::NoMachineLeft,
        text: "says Some(Busy)",
        follows: None,
        why: "a machine whose last word is busy is believed forever, also one that hangs and was for one job only",
    },
    Known {
        fault: "world 2",
        rule: Rule::NoRecordLeft,
        text: "runner recorded as busy",
        follows: None,
        why: "its record is as wrong",
    },
    Known {
        fault: "world 2",
        rule: Rule::EveryJobRuns,
        text: "queued",
        follows: Some(Rule::NoMachineLeft),
        why: "such machines take all the room of a set",
    },
    Known {
        fault: "world 2",
        rule: Rule::NothingIsUnmarked,
        text: "busy -> lost -> busy",
        follows: None,
        why: "a full round calls such a runner lost, the next round busy by its machine's old word",
    },
    Known {
        fault: "throttled list",
        rule: Rule::NothingIsUnmarked,
        text: "lost -> busy -> lost",
        follows: None,
        why: "a runner whose machine was seen to have ended is busy again when the list of machines fails once",
    },
];

/// The known fault that a violation shows, if it is one; `all` are those of its world.
#[must_use]
pub fn known(violation: &Violation, all: &[Violation]) -> Option<&'static Known> {
    KNOWN.iter().find(|known| {
        let follows = known.follows.is_none_or(|rule| all.iter().any(|other| other.rule == rule));
        known.rule == violation.rule && violation.text.contains(known.text) && follows
    })
}
