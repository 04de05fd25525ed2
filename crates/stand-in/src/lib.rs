//! A stand-in for the actions/runner distribution, with the same face. Tests and demo.
