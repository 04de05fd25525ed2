//! How a set's machines are bought on EC2: what a launch call is made from.
//!
//! It is plain data, so that the configuration can be read and checked without an AWS SDK.

use std::fmt;
use std::time::Duration;

use crate::policy::{CapacityPool, FallbackOrder, Market};

/// Between the types, or the zones, of a capacity pool that stands for several.
pub const POOL_SEPARATOR: char = '+';
/// A capacity pool is a tag of each machine, and a tag's value has at most 256 characters (EC2).
pub const POOL_BYTES_MAX: usize = 240;
/// The word for "by attributes" in a capacity pool.
pub const BY_ATTRIBUTES: &str = "by-attributes";

/// How EC2 chooses among types and zones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocation {
    /// The pools that are least likely to be interrupted, cheap ones among them preferred.
    #[default]
    PriceCapacityOptimized,
    /// The pools that are least likely to be interrupted.
    CapacityOptimized,
    /// The cheapest.
    LowestPrice,
    /// Spread evenly.
    Diversified,
    /// In the order given, one type and zone after the other; each is a capacity pool of its own.
    Prioritized,
}

impl Allocation {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::PriceCapacityOptimized,
        Self::CapacityOptimized,
        Self::LowestPrice,
        Self::Diversified,
        Self::Prioritized,
    ];

    /// EC2's word, as the configuration has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PriceCapacityOptimized => "price-capacity-optimized",
            Self::CapacityOptimized => "capacity-optimized",
            Self::LowestPrice => "lowest-price",
            Self::Diversified => "diversified",
            Self::Prioritized => "prioritized",
        }
    }
}

/// Spot first, or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Capacity {
    /// Spot only.
    Spot,
    /// Spot, then on demand when spot has no capacity.
    #[default]
    SpotThenOnDemand,
    /// On demand only.
    OnDemand,
}

impl Capacity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Spot, Self::SpotThenOnDemand, Self::OnDemand];

    /// The configuration's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::SpotThenOnDemand => "spot-then-on-demand",
            Self::OnDemand => "on-demand",
        }
    }
}

/// What types EC2 may choose among, instead of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The fewest virtual processors.
    pub vcpus_min: u32,
    /// The most, if there is a limit.
    pub vcpus_max: Option<u32>,
    /// The least memory, MiB.
    pub memory_mib_min: u32,
    /// The most, if there is a limit.
    pub memory_mib_max: Option<u32>,
}

/// A zone and the subnet in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// The zone (`eu-west-1a`).
    pub zone: String,
    /// The subnet.
    pub id: String,
}

/// How a set's machines are bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Set {
    /// The launch template's id or name: image, role, security groups, user data.
    pub launch_template: String,
    /// Its version; `$Default` and `$Latest` are EC2's.
    pub template_version: String,
    /// Where; never empty.
    pub subnets: Vec<Subnet>,
    /// Types in order of preference; empty exactly when `attributes` is given.
    pub types: Vec<String>,
    /// What types may be chosen, instead of a list.
    pub attributes: Option<Attributes>,
    /// How EC2 chooses.
    pub allocation: Allocation,
    /// Spot, on demand, or both.
    pub capacity: Capacity,
    /// The most that is paid for a spot machine, dollars an hour; `None`: the on-demand price.
    pub max_price: Option<String>,
}

/// A capacity pool that cannot be a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "types and zones have {bytes} characters together, a tag of EC2 holds {POOL_BYTES_MAX}; hint: name fewer types, or choose by attributes"
)]
pub struct PoolTooLong {
    bytes: usize,
}

impl Ec2Set {
    /// The capacity pools in order of preference.
    ///
    /// # Errors
    /// When a capacity pool would not fit in a tag.
    pub fn fallback_order(&self, cool_down: Duration) -> Result<FallbackOrder, PoolTooLong> {
        let separator = POOL_SEPARATOR.to_string();
        let types = if self.attributes.is_some() { vec![BY_ATTRIBUTES.to_owned()] } else { self.types.clone() };
        let zones: Vec<String> = self.subnets.iter().map(|subnet| subnet.zone.clone()).collect();
        let mut pools = Vec::new();
        let markets: &[Market] = match self.capacity {
            Capacity::Spot => &[Market::Spot],
            Capacity::SpotThenOnDemand => &[Market::Spot, Market::OnDemand],
            Capacity::OnDemand => &[Market::OnDemand],
        };
        for market in markets {
            if self.allocation == Allocation::Prioritized {
                for machine_type in &types {
                    for zone in &zones {
                        let (machine_type, zone) = (machine_type.clone(), zone.clone());
                        pools.push(CapacityPool { market: *market, machine_type, zone });
                    }
                }
            } else {
                let (machine_type, zone) = (types.join(&separator), zones.join(&separator));
                pools.push(CapacityPool { market: *market, machine_type, zone });
            }
        }
        let longest = pools.iter().map(|pool| pool.to_string().len()).max().unwrap_or(0);
        if longest > POOL_BYTES_MAX {
            return Err(PoolTooLong { bytes: longest });
        }
        Ok(FallbackOrder { pools, cool_down })
    }
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(allocation: Allocation, capacity: Capacity, types: &[&str]) -> Ec2Set {
        Ec2Set {
            launch_template: "lt-1".into(),
            template_version: "$Default".into(),
            subnets: ["a", "b"].map(|zone| Subnet { zone: zone.into(), id: format!("subnet-{zone}") }).to_vec(),
            types: types.iter().map(|name| (*name).to_owned()).collect(),
            attributes: None,
            allocation,
            capacity,
            max_price: None,
        }
    }

    fn pools(set: &Ec2Set) -> Vec<String> {
        set.fallback_order(Duration::ZERO).map_or_else(
            |error| vec![error.to_string()],
            |fallback_order| fallback_order.pools.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn ec2_chooses_within_a_capacity_pool_unless_the_order_is_ours() {
        let types = ["m7i.large", "m6i.large"];
        assert_eq!(
            pools(&set(Allocation::LowestPrice, Capacity::SpotThenOnDemand, &types)),
            ["spot m7i.large+m6i.large in a+b", "on-demand m7i.large+m6i.large in a+b"]
        );
        assert_eq!(
            pools(&set(Allocation::Prioritized, Capacity::Spot, &types)),
            ["spot m7i.large in a", "spot m7i.large in b", "spot m6i.large in a", "spot m6i.large in b"]
        );
    }

    #[test]
    fn a_capacity_pool_that_does_not_fit_in_a_tag_is_refused() {
        let many: Vec<String> = (0..40).map(|n| format!("m{n}i.large")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(set(Allocation::LowestPrice, Capacity::Spot, &many).fallback_order(Duration::ZERO).is_err());
        assert!(set(Allocation::Prioritized, Capacity::Spot, &many).fallback_order(Duration::ZERO).is_ok());
    }
}
