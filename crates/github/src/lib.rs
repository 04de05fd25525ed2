//! The GitHub client: Apps, runners, jobs, checks, deliveries, releases.
