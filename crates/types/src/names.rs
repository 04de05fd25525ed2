//! The names of a runner, read in one place: its own, which is unique, and the one under which an attempt of it registers.
//!
//! GitHub gives a job the registration's name; everything of ours is kept under the runner's. Code that compares the two as texts
//! loses the runners whose first attempt was lost.

use std::fmt;

use crate::ids::{ControlPlaneId, RunnerName, ScaleSetName};

/// The parts of a runner's name: `<set>-<control plane>-<serial>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerNameParts {
    /// The scale set.
    pub set: ScaleSetName,
    /// The control plane that named it.
    pub control_plane: ControlPlaneId,
    /// Its number in that control plane's ledger.
    pub serial: u64,
}

impl RunnerName {
    /// The parts of the name. The name of a set may have hyphens, but neither a control plane's nor a serial has one, so that
    /// they are read from the end.
    ///
    /// Returns `None` when no runner of ours has such a name.
    #[must_use]
    pub fn parts(&self) -> Option<RunnerNameParts> {
        let (rest, serial) = self.as_str().rsplit_once('-')?;
        let (set, control_plane) = rest.rsplit_once('-')?;
        Some(RunnerNameParts {
            set: ScaleSetName::parse(set).ok()?,
            control_plane: ControlPlaneId::parse(control_plane).ok()?,
            serial: serial.parse().ok()?,
        })
    }

    /// Returns the scale set in the name, or `None` when no runner of ours has such a name.
    #[must_use]
    pub fn set(&self) -> Option<ScaleSetName> {
        Some(self.parts()?.set)
    }
}

/// The name under which a runner registers at GitHub: its own for the first attempt, with `.<attempt>` appended for later ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationName {
    runner: RunnerName,
    attempt: u32,
}

impl RegistrationName {
    /// The name of a runner's attempt, from 1.
    #[must_use]
    pub const fn new(runner: RunnerName, attempt: u32) -> Self {
        Self { runner, attempt }
    }

    /// Reads a name as GitHub shows it, of a runner of ours or of anybody.
    ///
    /// Returns `None` when no runner can have such a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let later = text.rsplit_once('.').and_then(|(runner, attempt)| {
            let attempt = attempt.bytes().all(|byte| byte.is_ascii_digit()).then(|| attempt.parse().ok()).flatten()?;
            Some(Self { runner: RunnerName::parse(runner).ok()?, attempt })
        });
        later.or_else(|| Some(Self { runner: RunnerName::parse(text).ok()?, attempt: 1 }))
    }

    /// The runner that registered, whatever the attempt.
    #[must_use]
    pub const fn runner(&self) -> &RunnerName {
        &self.runner
    }

    /// The runner that registered, whatever the attempt.
    #[must_use]
    pub fn into_runner(self) -> RunnerName {
        self.runner
    }

    /// The attempt, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl fmt::Display for RegistrationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attempt <= 1 { write!(f, "{}", self.runner) } else { write!(f, "{}.{}", self.runner, self.attempt) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runners_set_is_in_its_name() {
        for (name, set) in [
            ("linux-k3x9-12", Some("linux")),
            ("my-gpu-set-k3x9-12", Some("my-gpu-set")),
            ("linux_large-k3x9-1", Some("linux_large")),
            ("linux", None),
            ("linux-12", None),
            ("-k3x9-12", None),
            ("li.nux-k3x9-12", None),
            ("linux-K3X9-12", None),
            ("linux-k3x9-twelve", None),
        ] {
            let found = RunnerName::parse(name).unwrap().set();
            assert_eq!(found.as_ref().map(ScaleSetName::as_str), set, "{name}");
        }
    }

    #[test]
    fn every_attempt_of_a_runner_leads_to_the_runner() {
        for (text, runner, attempt) in [
            ("linux-k3x9-12", "linux-k3x9-12", 1),
            ("linux-k3x9-12.2", "linux-k3x9-12", 2),
            ("linux-k3x9-12.17", "linux-k3x9-12", 17),
            ("host.example", "host.example", 1),
            ("host.", "host.", 1),
        ] {
            let name = RegistrationName::parse(text).unwrap();
            assert_eq!((name.runner().as_str(), name.attempt()), (runner, attempt), "{text}");
            assert_eq!(name.to_string(), text, "it is written as it was read");
        }
        assert_eq!(RegistrationName::parse("not a runner's"), None);
    }
}
