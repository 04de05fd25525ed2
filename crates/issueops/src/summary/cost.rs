//! What a change costs, as far as it can be known: what is there all the time, and the worst hour of the fleet.
//!
//! Generic tools know the first only. The second is the one that surprises people, and we know it: the maximum times a
//! machine's price. Prices are the policy's; a small table stands in for what it leaves out, and says so.

use crate::policy::{MicroDollars, Policy};
use crate::summary::{Effect, EnvironmentFleet, FleetChange, Summary};
use crate::words::InstanceType;

/// Dollars per hour, on demand, Linux, us-east-1, list price. Spot machines cost less; other regions more. A type that is not
/// here has no known price, and the comment says so.
///
/// Checked in November 2026 against public copies of AWS's on-demand list and of Vantage's (2025 and 2026), which agree on
/// each entry; AWS's own page shows prices by script only.
const PRICES: [(&str, i64); 20] = [
    ("c5.large", 85_000),
    ("c5.xlarge", 170_000),
    ("c6i.large", 85_000),
    ("c6i.xlarge", 170_000),
    ("c7g.large", 72_500),
    ("c7i.large", 89_250),
    ("m5.large", 96_000),
    ("m5.xlarge", 192_000),
    ("m5.2xlarge", 384_000),
    ("m6a.large", 86_400),
    ("m6i.large", 96_000),
    ("m6i.xlarge", 192_000),
    ("m7g.large", 81_600),
    ("m7i.large", 100_800),
    ("r5.large", 126_000),
    ("r6i.large", 126_000),
    ("t3.large", 83_200),
    ("t3.medium", 41_600),
    ("t3.small", 20_800),
    ("t4g.medium", 33_600),
];

/// What one of these costs a month without being used (730 hours, us-east-1, list price). Checked in November 2026: keys by
/// AWS's own pricing page; 0.045 an hour for a NAT gateway, 0.005 for a public address, 0.01 for an endpoint in one zone,
/// 0.40 for a secret and 0.10 for an alarm by what several guides of 2026 quote from AWS's pages.
const FIXED: [(&str, i64); 6] = [
    ("aws_cloudwatch_metric_alarm", 100_000),
    ("aws_eip", 3_650_000),
    ("aws_kms_key", 1_000_000),
    ("aws_nat_gateway", 32_850_000),
    ("aws_secretsmanager_secret", 400_000),
    // One zone of an interface endpoint.
    ("aws_vpc_endpoint", 7_300_000),
];

/// The worst hour of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerHour {
    /// The maximum times the price; `None`: the type's price is not known.
    pub worst: Option<MicroDollars>,
    /// One machine's price.
    pub price: Option<MicroDollars>,
    /// Whether the price is the policy's, and not from the built-in table.
    pub is_from_policy: bool,
}

/// What a change costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The change of what is paid each month without any job, for types with a known price.
    pub fixed_per_month: MicroDollars,
    /// The worst hour before.
    pub before: Option<PerHour>,
    /// The worst hour after.
    pub after: Option<PerHour>,
}

/// Estimates what a change costs.
#[must_use]
pub fn cost(summary: &Summary, fleet: &FleetChange, policy: &Policy) -> Cost {
    let mut fixed = 0_i64;
    for change in summary.changes.iter().filter(|change| !change.is_free) {
        let Some((_, price)) = FIXED.iter().find(|(kind, _)| *kind == change.kind) else { continue };
        match change.effect {
            Effect::Create => fixed = fixed.saturating_add(*price),
            Effect::Destroy => fixed = fixed.saturating_sub(*price),
            Effect::Replace | Effect::Forget | Effect::Update | Effect::Import => {}
        }
    }
    let per_hour = |fleet: &EnvironmentFleet| {
        let known = InstanceType::parse(&fleet.instance_type).ok();
        let own = known.and_then(|name| policy.prices.get(&name).copied());
        let listed =
            PRICES.iter().find(|(name, _)| *name == fleet.instance_type).map(|(_, price)| MicroDollars(*price));
        let price = own.or(listed);
        PerHour {
            worst: price.map(|price| price.times(i64::from(fleet.maximum))),
            price,
            is_from_policy: own.is_some(),
        }
    };
    Cost {
        fixed_per_month: MicroDollars(fixed),
        before: fleet.before.as_ref().map(per_hour),
        after: fleet.after.as_ref().map(per_hour),
    }
}
