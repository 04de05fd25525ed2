//! Observe, plan, execute, record: the loop over the ports.
