//! Words as they may stand in names: the one place where characters are checked, so that no field has rules of its own by
//! accident. All rules are ASCII: a letter that only looks like another is refused wherever a name is meant.

use runnersmith_types::{Label, Owner, RunnerGroupName, ScaleSetName};
use serde::Serialize;

/// One to `max` ASCII letters, digits or characters of `extra`.
pub(crate) fn is_word(text: &str, max: usize, extra: &str) -> bool {
    !text.is_empty() && text.len() <= max && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

/// The text as somebody gave it, fit to be shown in one line: cut to 80 characters, nothing invisible.
pub(crate) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(80).flat_map(visible).collect();
    if text.chars().count() > 80 {
        cut.push('…');
    }
    cut
}

/// A character, or its code point when it cannot be seen, moves others, or is not plain text.
pub(crate) fn visible(c: char) -> impl Iterator<Item = char> {
    let hidden = c.is_control() || is_invisible(c);
    let (one, code) = if hidden { (None, format!("\\u{{{:x}}}", u32::from(c))) } else { (Some(c), String::new()) };
    one.into_iter().chain(code.chars().collect::<Vec<_>>())
}

/// Whether a character has no width or changes the direction of its neighbours.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// What is said of the first character that is not ASCII, if there is one.
pub(crate) fn look_alike(text: &str) -> Option<String> {
    let (place, c) = text.chars().enumerate().find(|(_, c)| !c.is_ascii())?;
    Some(format!("character {} is U+{:04X}, not an ASCII character", place + 1, u32::from(c)))
}

/// Why a text is not such a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not {rule}")]
pub struct NotAName {
    /// What was given, cut to 80 characters.
    pub given: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $check:expr) => {
        name!($(#[$doc])* $name(String): |text| Some(text.to_owned()), |name| name.as_str(), $rule, $check);
    };
    // A name that the fleet knows under a wider rule: what is given here is one of those, and not each of those may be given.
    ($(#[$doc:meta])* $name:ident: $wide:ident, $rule:literal, $check:expr) => {
        name!($(#[$doc])* $name($wide): |text| $wide::parse(text).ok(), |name| name.as_str(), $rule, $check);

        impl From<&$name> for $wide {
            fn from(name: &$name) -> Self {
                name.0.clone()
            }
        }
    };
    ($(#[$doc:meta])* $name:ident($inner:ident): $make:expr, $show:expr, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// What such a name is made of, as a phrase.
            pub const RULE: &'static str = $rule;

            /// Parses the text.
            ///
            /// # Errors
            /// When it breaks [`Self::RULE`].
            pub fn parse(text: &str) -> Result<Self, NotAName> {
                let (check, make): (fn(&str) -> bool, fn(&str) -> Option<$inner>) = ($check, $make);
                let made = if check(text) { make(text) } else { None };
                made.map(Self).ok_or_else(|| NotAName { given: shown(text), rule: $rule })
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                let show: fn(&$inner) -> &str = $show;
                show(&self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

name!(
    /// The name of an environment: a [`ScaleSetName`], its folder's name, and the beginning of every AWS name made from it.
    /// Stricter than a scale set's, since it also stands in names of AWS, in paths and in Terraform's addresses.
    EnvironmentName: ScaleSetName,
    "1 to 32 letters a-z, A-Z, digits or underscores, beginning with a letter or digit, without \"aws\"",
    // 32: what a scale set's name may have; AWS names are shortened from there with a hash. AWS reserves "aws" in several
    // kinds of names, in any case.
    |t| is_word(t, 32, "_") && !t.starts_with('_') && !t.to_ascii_lowercase().contains("aws")
);
name!(
    /// An organisation's login: an [`Owner`]. Stricter than an owner's, which may be an enterprise's slug: this is GitHub's own
    /// rule for logins, so that a misspelled one is refused in the issue and not by an apply.
    Organization: Owner,
    "an organisation's login: 1 to 39 letters, digits or single hyphens inside",
    |t| is_word(t, 39, "-") && !t.starts_with('-') && !t.ends_with('-') && !t.contains("--")
);
name!(
    /// A label of runners, as it is written: a [`Label`] is its lower-case form. Stricter than GitHub's own rule, so that it is the
    /// same text in YAML, JSON and Markdown.
    LabelName,
    "1 to 64 letters, digits, hyphens, underscores or dots, beginning with a letter or digit",
    |t| is_word(t, 64, "-_.") && t.starts_with(|c: char| c.is_ascii_alphanumeric())
);
name!(
    /// A runner group's name: a [`RunnerGroupName`]. Stricter than GitHub's own rule: what cannot be seen in an issue is refused.
    GroupName: RunnerGroupName,
    "1 to 64 visible ASCII characters and spaces, none at an end",
    |t| (1..=64).contains(&t.len()) && t.trim() == t && t.chars().all(|c| c == ' ' || c.is_ascii_graphic())
);
impl From<&LabelName> for Label {
    fn from(name: &LabelName) -> Self {
        // Such a name is shorter than where a label would be cut.
        Self::of_job(&name.0)
    }
}

name!(
    /// A pattern over the names of machine images, `*` and `?` being wild.
    AmiPattern,
    "3 to 128 characters of an image's name (letters, digits, spaces, ()[].-'@_/), `*` and `?` being wild, at least 3 of them not wild",
    |t| is_word(t, 128, " ()[].-'@_/*?") && t.trim() == t && t.chars().filter(|c| !"*?".contains(*c)).count() >= 3
);
name!(
    /// Who owns a machine image.
    AmiOwner,
    "self, amazon, aws-marketplace, or an account's 12 digits",
    |t| matches!(t, "self" | "amazon" | "aws-marketplace") || (t.len() == 12 && t.bytes().all(|b| b.is_ascii_digit()))
);
name!(
    /// An EC2 instance type.
    InstanceType,
    "an instance type such as m5.large",
    |t| t.split_once('.').is_some_and(|(family, size)| {
        let lower = |t: &str| is_word(t, 24, "-") && !t.chars().any(|c| c.is_ascii_uppercase());
        lower(family) && lower(size)
    })
);
name!(
    /// An AWS region.
    Region,
    "a region such as eu-west-1",
    |t| is_word(t, 25, "-") && t.split('-').count() >= 3 && t.ends_with(|c: char| c.is_ascii_digit())
        && !t.chars().any(|c| c.is_ascii_uppercase())
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_names_follow_the_rule() {
        for good in ["a", "linux_large", "0", "Team_A", &"x".repeat(32)] {
            assert!(EnvironmentName::parse(good).is_ok(), "{good}");
        }
        let long = "x".repeat(33);
        for bad in ["", "_a", "my-env", "myAWSenv", "laws", "a b", "a.b", "../a", "а", "a\n", "a/b", "${a}", &long] {
            assert!(EnvironmentName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn other_names_follow_their_rules() {
        assert!(Organization::parse("my-org").is_ok() && Organization::parse("my--org").is_err());
        assert!(AmiPattern::parse("amzn2-ami-hvm-2.*-x86_64-ebs").is_ok() && AmiPattern::parse("**a*b").is_err());
        assert!(AmiPattern::parse("abc\"}").is_err() && AmiPattern::parse("abc${x}").is_err());
        assert!(AmiOwner::parse("123456789012").is_ok() && AmiOwner::parse("12345678901").is_err());
        assert!(InstanceType::parse("u-6tb1.112xlarge").is_ok() && InstanceType::parse("M5.large").is_err());
        assert!(Region::parse("us-gov-west-1").is_ok() && Region::parse("eu-west").is_err());
        assert!(GroupName::parse("Default").is_ok() && GroupName::parse(" x").is_err());
    }

    #[test]
    fn names_of_requests_are_names_of_the_fleet() {
        let longest = "x".repeat(32);
        for name in ["a", "Team_A", &longest] {
            assert_eq!(ScaleSetName::from(&EnvironmentName::parse(name).unwrap()).as_str(), name);
        }
        assert!(ScaleSetName::parse("my-env").is_ok(), "which no request may ask for");
        let organization = Organization::parse(&"o".repeat(39)).unwrap();
        assert_eq!(Owner::from(&organization).as_str(), organization.as_str());
        assert_eq!(RunnerGroupName::from(&GroupName::parse("CI runners").unwrap()).as_str(), "CI runners");
        let label = LabelName::parse("Linux-X64").unwrap();
        assert_eq!((label.as_str(), Label::from(&label).as_str()), ("Linux-X64", "linux-x64"));
        assert_eq!(Label::of_set(label.as_str()), Ok(Label::from(&label)));
    }

    #[test]
    fn what_cannot_be_seen_is_shown_by_its_number() {
        assert_eq!(shown("a\u{202e}b\n"), "a\\u{202e}b\\u{a}");
        assert_eq!(look_alike("pr\u{43e}d").as_deref(), Some("character 3 is U+043E, not an ASCII character"));
    }
}
