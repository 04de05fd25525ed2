//! The planner: policy, snapshot and time in, plan out. Pure.
