//! The tags on a machine: whose it is, and what it says. The user data and the IAM policies use the same names.

use aws_sdk_ec2::types::Tag;
use runnersmith_types::{CapacityPool, MachineStatus, Market};

/// The ledger's identity.
pub const CONTROL_PLANE: &str = "runnersmith:plane";
/// The scale set.
pub const SET: &str = "runnersmith:set";
/// The launch call.
pub const BATCH: &str = "runnersmith:batch";
/// Where it was bought.
pub const POOL: &str = "runnersmith:rung";
/// When the machine ends itself whatever it does, milliseconds since 1970.
pub const HARD_END_AT: &str = "runnersmith:hard-end-at";
/// What the machine says of itself.
pub const STATUS: &str = "runnersmith:voice";
/// A warning that it will be taken back, milliseconds since 1970.
pub const INTERRUPTED_AT: &str = "runnersmith:interrupted-at";

/// A tag.
#[must_use]
pub fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// A capacity pool as a tag's value.
#[must_use]
pub fn write_pool(pool: &CapacityPool) -> String {
    let market = match pool.market {
        Market::Spot => "spot",
        Market::OnDemand => "on-demand",
        Market::Local => "local",
    };
    format!("{market}/{}/{}", pool.machine_type, pool.zone)
}

/// A capacity pool from a tag's value.
#[must_use]
pub fn read_pool(text: &str) -> Option<CapacityPool> {
    let mut parts = text.splitn(3, '/');
    let market = match parts.next()? {
        "spot" => Market::Spot,
        "on-demand" => Market::OnDemand,
        _ => return None,
    };
    Some(CapacityPool { market, machine_type: parts.next()?.to_owned(), zone: parts.next()?.to_owned() })
}

/// What a machine says. Words that are not known say nothing: a newer machine may speak to an older control plane.
#[must_use]
pub fn read_status(text: &str) -> Option<MachineStatus> {
    Some(match text {
        "booting" => MachineStatus::Booting,
        "configured" => MachineStatus::Configured,
        "listening" => MachineStatus::Listening,
        "busy" => MachineStatus::Busy,
        "job-done" => MachineStatus::JobDone,
        _ => MachineStatus::Ended(text.strip_prefix("ended:")?.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_pool_comes_back_from_its_tag() {
        for market in [Market::Spot, Market::OnDemand] {
            let pool = CapacityPool {
                market,
                machine_type: "m7i.large+m6i.large".into(),
                zone: "eu-west-1a+eu-west-1b".into(),
            };
            assert_eq!(read_pool(&write_pool(&pool)), Some(pool));
        }
        assert_eq!(read_pool("nonsense"), None);
    }

    #[test]
    fn a_machine_is_understood_or_says_nothing() {
        assert_eq!(read_status("busy"), Some(MachineStatus::Busy));
        assert_eq!(read_status("ended:failed at unpack"), Some(MachineStatus::Ended("failed at unpack".into())));
        assert_eq!(read_status("singing"), None);
    }
}
