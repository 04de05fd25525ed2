//! SQLite queue and ledger: the embedded store.
