//! The tags on a machine: whose it is, and what it says. The user data and the IAM policies use the same names.

use aws_sdk_ec2::types::Tag;
use runnersmith_types::{Market, Rung, Voice};

/// The ledger's identity.
pub const PLANE: &str = "runnersmith:plane";
/// The scale set.
pub const SET: &str = "runnersmith:set";
/// The launch call.
pub const BATCH: &str = "runnersmith:batch";
/// Where it was bought.
pub const RUNG: &str = "runnersmith:rung";
/// When the machine ends itself whatever it does, milliseconds since 1970.
pub const HARD_END_AT: &str = "runnersmith:hard-end-at";
/// What the machine says of itself.
pub const VOICE: &str = "runnersmith:voice";
/// A warning that it will be taken back, milliseconds since 1970.
pub const INTERRUPTED_AT: &str = "runnersmith:interrupted-at";

/// A tag.
#[must_use]
pub fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// A rung as a tag's value.
#[must_use]
pub fn write_rung(rung: &Rung) -> String {
    let market = match rung.market {
        Market::Spot => "spot",
        Market::OnDemand => "on-demand",
        Market::Local => "local",
    };
    format!("{market}/{}/{}", rung.machine_type, rung.zone)
}

/// A rung from a tag's value.
#[must_use]
pub fn read_rung(text: &str) -> Option<Rung> {
    let mut parts = text.splitn(3, '/');
    let market = match parts.next()? {
        "spot" => Market::Spot,
        "on-demand" => Market::OnDemand,
        _ => return None,
    };
    Some(Rung { market, machine_type: parts.next()?.to_owned(), zone: parts.next()?.to_owned() })
}

/// What a machine says. Words that are not known say nothing: a newer machine may speak to an older plane.
#[must_use]
pub fn read_voice(text: &str) -> Option<Voice> {
    Some(match text {
        "booting" => Voice::Booting,
        "configured" => Voice::Configured,
        "listening" => Voice::Listening,
        "busy" => Voice::Busy,
        "job-done" => Voice::JobDone,
        _ => Voice::Ended(text.strip_prefix("ended:")?.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_comes_back_from_its_tag() {
        for market in [Market::Spot, Market::OnDemand] {
            let rung =
                Rung { market, machine_type: "m7i.large+m6i.large".into(), zone: "eu-west-1a+eu-west-1b".into() };
            assert_eq!(read_rung(&write_rung(&rung)), Some(rung));
        }
        assert_eq!(read_rung("nonsense"), None);
    }

    #[test]
    fn a_machine_is_understood_or_says_nothing() {
        assert_eq!(read_voice("busy"), Some(Voice::Busy));
        assert_eq!(read_voice("ended:failed at unpack"), Some(Voice::Ended("failed at unpack".into())));
        assert_eq!(read_voice("singing"), None);
    }
}
