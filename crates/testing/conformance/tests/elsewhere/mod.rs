//! Operations of the client that other files drive than `client_and_simulator.rs`. Each of those files fails when it does
//! not drive its own, so that together they drive all.

/// Driven by `apps.rs`.
pub const BY_APPS: [&str; 8] = [
    "apps/create-from-manifest",
    "apps/get-webhook-config-for-app",
    "apps/update-webhook-config-for-app",
    "orgs/list-webhooks",
    "orgs/create-webhook",
    "orgs/update-webhook",
    "orgs/update-webhook-config-for-org",
    "orgs/delete-webhook",
];
