//! How a set's machines are bought on EC2: what a launch call is made from.
//!
//! It is plain data, so that the configuration can be read and checked without an AWS SDK.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::BatchId;
use crate::policy::{CapacityPool, FallbackOrder, Market};

/// Between the types, or the zones, of a capacity pool that stands for several.
pub const POOL_SEPARATOR: char = '+';
/// A capacity pool is a tag of each machine, and a tag's value has at most 256 characters (EC2).
pub const POOL_BYTES_MAX: usize = 240;
/// CreateFleet takes at most so many choices by attributes ("more than the maximum allowed number of InstanceRequirements (4)").
pub const CHOICES_BY_ATTRIBUTES_MAX: usize = 4;
/// So many subnets of a zone are tried for a batch when those before have no free address: each is a launch call of its own.
pub const SUBNETS_TRIED_MAX: usize = 4;
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
    /// Where; never empty. Several in a zone take turns: EC2 calls them the same capacity pool, and refuses a call that names two.
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
        let types = each_once(types.iter().map(String::as_str));
        let zones = each_once(self.subnets.iter().map(|subnet| subnet.zone.as_str()));
        let at_once = if self.attributes.is_some() { CHOICES_BY_ATTRIBUTES_MAX } else { zones.len().max(1) };
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
                        let (machine_type, zone) = ((*machine_type).to_owned(), (*zone).to_owned());
                        pools.push(CapacityPool { market: *market, machine_type, zone });
                    }
                }
            } else {
                for zones in zones.chunks(at_once) {
                    let (machine_type, zone) = (types.join(&separator), zones.join(&separator));
                    pools.push(CapacityPool { market: *market, machine_type, zone });
                }
            }
        }
        let longest = pools.iter().map(|pool| pool.to_string().len()).max().unwrap_or(0);
        if longest > POOL_BYTES_MAX {
            return Err(PoolTooLong { bytes: longest });
        }
        Ok(FallbackOrder { pools, cool_down })
    }

    /// How many launch calls for a pool name different subnets: the most that one of its zones has, up to [`SUBNETS_TRIED_MAX`].
    #[must_use]
    pub fn turns(&self, pool: &CapacityPool) -> usize {
        let zones = each_once(pool.zone.split(POOL_SEPARATOR)).into_iter();
        let of_zone = |zone: &str| self.subnets.iter().filter(|subnet| subnet.zone == zone).count();
        zones.map(of_zone).max().unwrap_or(0).clamp(1, SUBNETS_TRIED_MAX)
    }

    /// What one launch call names: one subnet of each zone of a pool, with each of its types once. The subnets of a zone take turns by
    /// the batch, so that the same batch names the same ones each time it is asked for, and by the call: `call` 1 names those that are
    /// next to those of call 0. Empty when no subnet of its zones is configured any more.
    #[must_use]
    pub fn places<'a>(&'a self, pool: &'a CapacityPool, batch: &BatchId, call: usize) -> Vec<(&'a Subnet, &'a str)> {
        let turn = batch.as_str().bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let turn = turn.wrapping_add(call);
        let types = each_once(pool.machine_type.split(POOL_SEPARATOR));
        let mut places = Vec::new();
        for zone in each_once(pool.zone.split(POOL_SEPARATOR)) {
            let of_zone: Vec<&Subnet> = self.subnets.iter().filter(|subnet| subnet.zone == zone).collect();
            if let Some(subnet) = of_zone.get(turn % of_zone.len().max(1)) {
                places.extend(types.iter().map(|machine_type| (*subnet, *machine_type)));
            }
        }
        if types.contains(&BY_ATTRIBUTES) {
            // A batch may be older than the bound.
            places.truncate(CHOICES_BY_ATTRIBUTES_MAX);
        }
        places
    }
}

/// In the order given, without repetitions.
fn each_once<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    words.filter(|word| seen.insert(*word)).collect()
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
    fn a_zone_with_several_subnets_is_one_capacity_pool_and_its_subnets_take_turns() {
        let mut set = set(Allocation::LowestPrice, Capacity::Spot, &["m7i.large", "m6i.large", "m7i.large"]);
        set.subnets.push(Subnet { zone: "a".into(), id: "subnet-a2".into() });
        assert_eq!(pools(&set), ["spot m7i.large+m6i.large in a+b"]);
        // A batch that was stored before names a zone twice, and one that is gone.
        let pool = CapacityPool {
            market: Market::Spot,
            machine_type: "m7i.large+m6i.large".into(),
            zone: "a+b+a+gone".into(),
        };
        let of = |n: u32| {
            let batch = BatchId::parse(&format!("batch-{n}")).unwrap();
            let places = set.places(&pool, &batch, 0);
            assert_eq!(places, set.places(&pool, &batch, 0), "the same batch is the same call");
            places.iter().map(|(subnet, machine_type)| format!("{machine_type} {}", subnet.id)).collect::<Vec<_>>()
        };
        let first = |id: &str| {
            [
                format!("m7i.large {id}"),
                format!("m6i.large {id}"),
                "m7i.large subnet-b".into(),
                "m6i.large subnet-b".into(),
            ]
        };
        let turns: BTreeSet<Vec<String>> = (0..10).map(of).collect();
        assert_eq!(turns, [first("subnet-a").to_vec(), first("subnet-a2").to_vec()].into());
    }

    #[test]
    fn a_batchs_next_call_names_the_next_subnet_of_each_zone() {
        let mut set = set(Allocation::LowestPrice, Capacity::Spot, &["m7i.large"]);
        set.subnets.extend(["a2", "a3"].map(|id| Subnet { zone: "a".into(), id: format!("subnet-{id}") }));
        let pool = set.fallback_order(Duration::ZERO).unwrap().pools.remove(0);
        assert_eq!(set.turns(&pool), 3, "as many as the zone with the most has");
        let batch = BatchId::parse("batch-1").unwrap();
        let calls: Vec<Vec<&str>> = (0..3)
            .map(|call| set.places(&pool, &batch, call).into_iter().map(|(subnet, _)| subnet.id.as_str()).collect())
            .collect();
        let firsts: BTreeSet<&str> = calls.iter().map(|call| call[0]).collect();
        assert_eq!(firsts, ["subnet-a", "subnet-a2", "subnet-a3"].into(), "each of the zone's once");
        assert!(calls.iter().all(|call| call[1..] == ["subnet-b"]), "{calls:?}");
        set.subnets = (0..9).map(|n| Subnet { zone: "a".into(), id: format!("subnet-{n}") }).collect();
        assert_eq!(set.turns(&pool), SUBNETS_TRIED_MAX);
        set.subnets.clear();
        assert_eq!(set.turns(&pool), 1);
    }

    #[test]
    fn a_call_has_at_most_four_choices_by_attributes() {
        let mut set = set(Allocation::LowestPrice, Capacity::Spot, &[]);
        set.attributes =
            Some(Attributes { vcpus_min: 2, vcpus_max: None, memory_mib_min: 4_096, memory_mib_max: None });
        set.subnets = ["a", "b", "c", "d", "e", "f"]
            .map(|zone| Subnet { zone: zone.into(), id: format!("subnet-{zone}") })
            .to_vec();
        assert_eq!(pools(&set), ["spot by-attributes in a+b+c+d", "spot by-attributes in e+f"]);
        let old = CapacityPool { market: Market::Spot, machine_type: BY_ATTRIBUTES.into(), zone: "a+b+c+d+e+f".into() };
        assert_eq!(set.places(&old, &BatchId::parse("batch-1").unwrap(), 0).len(), CHOICES_BY_ATTRIBUTES_MAX);
    }

    #[test]
    fn a_capacity_pool_that_does_not_fit_in_a_tag_is_refused() {
        let many: Vec<String> = (0..40).map(|n| format!("m{n}i.large")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(set(Allocation::LowestPrice, Capacity::Spot, &many).fallback_order(Duration::ZERO).is_err());
        assert!(set(Allocation::Prioritized, Capacity::Spot, &many).fallback_order(Duration::ZERO).is_ok());
    }
}
