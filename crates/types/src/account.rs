//! Somebody's account at GitHub: the name that it has, and the number that stays when it gets another one.
//!
//! It is a type of its own so that two are compared in one way: somebody who changes the name of an account is still the same person, and who
//! takes a name that has become free is not.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An account. Stored as its login alone where the number is not known, as all were before there was one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Account {
    /// Its login.
    pub login: String,
    /// GitHub's number of it, if that is known.
    pub id: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Login(String),
    Known { login: String, id: u64 },
}

impl From<Stored> for Account {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Login(login) => Self { login, id: None },
            Stored::Known { login, id } => Self { login, id: Some(id) },
        }
    }
}

impl From<Account> for Stored {
    fn from(account: Account) -> Self {
        match account {
            Account { login, id: None } => Self::Login(login),
            Account { login, id: Some(id) } => Self::Known { login, id },
        }
    }
}

impl Account {
    /// An account with GitHub's number of it; 0 stands for an unknown one.
    #[must_use]
    pub fn new(login: impl Into<String>, id: u64) -> Self {
        Self { login: login.into(), id: (id != 0).then_some(id) }
    }

    /// Whether both are one: by number where both are known, else by login, which has no case.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self.id, other.id) {
            (Some(one), Some(other)) => one == other,
            _ => self.login.eq_ignore_ascii_case(&other.login),
        }
    }

    /// Whether it is a bot's. No person's login has a bracket.
    #[must_use]
    pub fn is_bot(&self) -> bool {
        self.login.ends_with("[bot]")
    }
}

impl From<&str> for Account {
    fn from(login: &str) -> Self {
        Self { login: login.to_owned(), id: None }
    }
}

impl From<String> for Account {
    fn from(login: String) -> Self {
        Self { login, id: None }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_known_by_its_number_and_by_its_login_where_it_has_no_number() {
        let ann = Account::new("ann", 7);
        assert!(ann.is(&Account::new("anna", 7)), "she changed her name");
        assert!(!ann.is(&Account::new("ann", 8)), "somebody took it");
        assert!(ann.is(&"Ann".into()) && Account::from("ANN").is(&ann), "one of them was noted without a number");
        assert!(!ann.is(&"anna".into()));
        assert_eq!(Account::new("ghost", 0).id, None);
        assert!(Account::from("github-actions[bot]").is_bot() && !ann.is_bot());
    }

    #[test]
    fn an_account_that_was_stored_as_a_login_is_read_and_stays_one() {
        for (account, stored) in
            [(Account::from("ann"), r#""ann""#), (Account::new("ann", 7), r#"{"login":"ann","id":7}"#)]
        {
            assert_eq!(serde_json::from_str::<Account>(stored).ok().as_ref(), Some(&account));
            assert_eq!(serde_json::to_string(&account).ok().as_deref(), Some(stored));
        }
    }
}
