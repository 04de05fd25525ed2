//! The documents load, and say what they are known to say.

use runnersmith_conformance::{Doc, OpenApi, can_run, webhook_examples};

/// (operations, response schemas, x-webhooks) of each document.
const KNOWN: [(Doc, usize, usize, usize); 5] = [
    (Doc::ApiGithubCom, 1223, 2914, 270),
    (Doc::Ghec, 1471, 3585, 294),
    (Doc::Ghes317, 966, 1953, 257),
    (Doc::Ghes318, 980, 1998, 258),
    (Doc::Ghes319, 1039, 2177, 262),
];

const EVERYWHERE: [&str; 20] = [
    "apps/get-authenticated",
    "apps/list-installations",
    "apps/create-installation-access-token",
    "apps/get-org-installation",
    "apps/get-repo-installation",
    "apps/list-webhook-deliveries",
    "apps/redeliver-webhook-delivery",
    "actions/list-self-hosted-runners-for-repo",
    "actions/list-self-hosted-runners-for-org",
    "actions/get-self-hosted-runner-for-org",
    "actions/delete-self-hosted-runner-from-repo",
    "actions/generate-runner-jitconfig-for-repo",
    "actions/generate-runner-jitconfig-for-org",
    "actions/create-registration-token-for-org",
    "actions/list-self-hosted-runner-groups-for-org",
    "actions/get-job-for-workflow-run",
    "actions/list-jobs-for-workflow-run",
    "actions/re-run-workflow-failed-jobs",
    "checks/create",
    "checks/update",
];

const ENTERPRISE: [&str; 4] = [
    "enterprise-admin/list-self-hosted-runners-for-enterprise",
    "actions/generate-runner-jitconfig-for-enterprise",
    "enterprise-admin/create-registration-token-for-enterprise",
    "enterprise-admin/list-self-hosted-runner-groups-for-enterprise",
];

fn check(known: (Doc, usize, usize, usize)) {
    let (doc, operations, schemas, hooks) = known;
    let name = doc.name();
    let document = OpenApi::load(doc).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(document.operations_count(), operations, "{name}: operations");
    assert_eq!(
        document.document()["x-webhooks"].as_object().map(serde_json::Map::len),
        Some(hooks),
        "{name}: webhooks"
    );
    for closed in [false, true] {
        let built = document.build_all(closed).unwrap_or_else(|error| panic!("{name}, closed {closed}: {error}"));
        assert_eq!(built, schemas, "{name}: response schemas, closed {closed}");
    }
    for id in EVERYWHERE {
        assert!(document.operation_by_id(id).is_some(), "{name} has no {id}");
    }
    for id in ENTERPRISE {
        // A GitHub.com enterprise is checked by the ghec document.
        assert_eq!(document.operation_by_id(id).is_some(), doc != Doc::ApiGithubCom, "{name}: {id}");
    }
}

#[test]
fn the_document_of_api_github_com_builds_every_schema() {
    if can_run("the_document_of_api_github_com_builds_every_schema") {
        check(KNOWN[0]);
    }
}

#[test]
fn the_document_of_ghec_builds_every_schema() {
    if can_run("the_document_of_ghec_builds_every_schema") {
        check(KNOWN[1]);
    }
}

#[test]
fn the_documents_of_enterprise_servers_build_every_schema() {
    if can_run("the_documents_of_enterprise_servers_build_every_schema") {
        KNOWN[2..].iter().for_each(|known| check(*known));
    }
}

#[test]
fn the_payload_package_has_the_known_number_of_examples() {
    if !can_run("the_payload_package_has_the_known_number_of_examples") {
        return;
    }
    let examples = webhook_examples().expect("readable");
    let of = |server: &str| examples.iter().filter(|example| example.server == server).count();
    let counts = ["api.github.com", "ghes-31", "ghes-32", "ghes-33", "ghes-34", "ghes-35"].map(of);
    assert_eq!(counts, [329, 49, 49, 50, 124, 125]);
    let jobs = examples.iter().filter(|example| example.event == "workflow_job").count();
    assert_eq!(jobs, 11);
}
