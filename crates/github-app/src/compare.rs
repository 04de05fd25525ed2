//! An App as it is, against what it is wanted for: what does not work, why, and what it could do without.

use std::collections::BTreeMap;
use std::fmt;

use crate::need::{Access, Feature, Needs, label};

/// A permission of the philips-labs module's instructions that nothing needs.
const OF_THE_SEED: [(&str, Access); 2] = [("organization_administration", Access::Write), ("checks", Access::Read)];
/// GitHub subscribes an App with write access to checks to these by itself.
const BY_THEMSELVES: [&str; 2] = ["check_run", "check_suite"];

/// What is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A permission, or enough of it.
    Permission {
        /// GitHub's API name.
        name: &'static str,
        /// How much is needed.
        wanted: Access,
        /// How much there is.
        given: Option<Access>,
    },
    /// A subscription.
    Event(&'static str),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission { name, wanted, given: None } => write!(f, "the permission {} ({wanted})", label(name)),
            Self::Permission { name, wanted, given: Some(given) } => {
                write!(f, "the permission {} ({wanted}; it has {given})", label(name))
            }
            Self::Event(name) => write!(f, "the event {name}"),
        }
    }
}

/// Something is not there, and so a feature does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What does not work without it.
    pub feature: Feature,
    /// What it is.
    pub missing: Missing,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not work without {}", self.feature, self.missing)
    }
}

/// One feature of an App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureState {
    /// Which.
    pub feature: Feature,
    /// Whether it is wanted.
    pub needed: bool,
    /// What it lacks; nothing: it works.
    pub lacks: Vec<Missing>,
}

/// Something that the App has and does not need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// A permission with its access, or an event.
    pub what: String,
    /// Why it may be there.
    pub why: String,
}

impl fmt::Display for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Every feature, wanted or not, and what it lacks. Words of access that we do not know count as nothing.
#[must_use]
pub fn feature_states(permissions: &BTreeMap<String, String>, events: &[String], needs: &Needs) -> Vec<FeatureState> {
    let state = |feature: Feature| {
        let permissions = feature.permissions().iter().filter_map(|(name, wanted)| {
            let given = permissions.get(*name).and_then(|word| Access::parse(word));
            (given < Some(*wanted)).then_some(Missing::Permission { name, wanted: *wanted, given })
        });
        let events = feature.events().iter().filter(|name| needs.app_webhook && !events.iter().any(|e| e == *name));
        let lacks = permissions.chain(events.map(|name| Missing::Event(name))).collect();
        FeatureState { feature, needed: needs.wants(feature), lacks }
    };
    Feature::ALL.into_iter().map(state).collect()
}

/// What wanted features lack.
#[must_use]
pub fn missing(permissions: &BTreeMap<String, String>, events: &[String], needs: &Needs) -> Vec<Lack> {
    let wanted = feature_states(permissions, events, needs).into_iter().filter(|state| state.needed);
    wanted
        .flat_map(|state| {
            let feature = state.feature;
            state.lacks.into_iter().map(move |missing| Lack { feature, missing })
        })
        .collect()
}

/// What the App could do without.
#[must_use]
pub fn superfluous(permissions: &BTreeMap<String, String>, events: &[String], needs: &Needs) -> Vec<Extra> {
    let (wanted, wanted_events) = (needs.permissions(), needs.events());
    let mut extras = Vec::new();
    for (name, word) in permissions {
        let (given, enough) = (Access::parse(word), wanted.get(name.as_str()).copied());
        if given.is_some() && given <= enough {
            continue;
        }
        let what = format!("{} ({})", label(name), given.map_or_else(|| word.clone(), |given| given.to_string()));
        let of_seed = OF_THE_SEED.iter().any(|(seed, access)| seed == name && given <= Some(*access));
        // Of the features that are not wanted, the one that needs the most of what is given.
        let serves = |feature: &Feature| {
            let own = feature.permissions().iter().find(|(own, _)| own == name).map(|(_, access)| *access);
            own.filter(|access| Some(*access) > enough && Some(*access) <= given)
        };
        let unwanted = Feature::ALL.into_iter().filter(|feature| !needs.wants(*feature));
        let serving =
            unwanted.filter_map(|feature| Some((serves(&feature)?, feature))).max_by_key(|(access, _)| *access);
        let why = match (serving, enough) {
            _ if of_seed => "the philips-labs module's instructions ask for it; nothing here needs it".to_owned(),
            (Some((_, feature)), _) => format!("only {feature} would need it"),
            (None, Some(enough)) => format!("{enough} is enough"),
            (None, None) => "nothing here needs it".to_owned(),
        };
        extras.push(Extra { what, why });
    }
    let checks = permissions.get("checks").and_then(|word| Access::parse(word)) >= Some(Access::Write);
    for name in events {
        if wanted_events.contains(name.as_str()) || (checks && BY_THEMSELVES.contains(&name.as_str())) {
            continue;
        }
        let why = if needs.app_webhook { "nothing here reads it" } else { "deliveries come by another webhook" };
        extras.push(Extra { what: format!("event {name}"), why: why.to_owned() });
    }
    extras
}
