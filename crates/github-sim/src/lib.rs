//! A GitHub that runs on loopback, for tests and the demo.
