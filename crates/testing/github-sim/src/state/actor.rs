//! Who acts, and through what.

/// What somebody acts through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// An App's installation.
    App(u64),
    /// A workflow's own token.
    Actions,
}

/// Who acts.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub login: String,
    pub via: Option<Via>,
}

impl Actor {
    pub fn person(login: &str) -> Self {
        Self { login: login.to_owned(), via: None }
    }

    pub fn actions() -> Self {
        Self { login: "github-actions[bot]".into(), via: Some(Via::Actions) }
    }
}

/// Whom a token is of, beside an installation's.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    Person(String),
    /// A workflow of this repository.
    Actions(String),
}
