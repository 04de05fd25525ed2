//! Machines as local processes, and hand-off by owner-only file.
