//! What becomes of one argument or output.

use serde::Serialize;

/// What becomes of an argument, an output, or the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InputChange {
    /// It must be given and is not.
    Missing,
    /// It asks for what is not supported here.
    Unsupported,
    /// No version of that module has it.
    Unknown,
    /// It has another name or another form here.
    Renamed,
    /// It keeps its name and needs another value.
    Rewritten,
    /// The block's outputs are used, and ours are others.
    Output,
    /// It stays; look at what is different.
    Differs,
    /// It can go.
    NotNeeded,
    /// It stays as it is.
    Kept,
}

impl InputChange {
    /// In the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Missing,
        Self::Unsupported,
        Self::Unknown,
        Self::Renamed,
        Self::Rewritten,
        Self::Output,
        Self::Differs,
        Self::NotNeeded,
        Self::Kept,
    ];

    /// Whether somebody must change something.
    #[must_use]
    pub const fn is_by_hand(self) -> bool {
        match self {
            Self::Missing
            | Self::Unsupported
            | Self::Unknown
            | Self::Renamed
            | Self::Rewritten
            | Self::Output
            | Self::NotNeeded => true,
            Self::Differs | Self::Kept => false,
        }
    }

    /// The heading under which a report shows it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Missing => "must be given",
            Self::Unsupported => "not supported here, take it out",
            Self::Unknown => "in no version of that module",
            Self::Renamed => "write in its place",
            Self::Rewritten => "stays, with another value",
            Self::Output => "outputs that are used",
            Self::Differs => "stays, look at it",
            Self::NotNeeded => "take it out",
            Self::Kept => "stays as it is",
        }
    }
}

/// One argument or output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MigrationFinding {
    /// What becomes of it.
    pub change: InputChange,
    /// Its name, or an output's address. Foreign text.
    pub what: String,
    /// What to do, or why; may be empty.
    pub note: String,
}
