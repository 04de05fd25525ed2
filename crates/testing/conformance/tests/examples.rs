//! The documents' own examples through the check: a conversion that refuses them is wrong, or they are known to be.

use std::collections::BTreeSet;

use runnersmith_conformance::{Doc, OpenApi, Operation, can_run, webhook_examples};
use serde_json::Value;

fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let target = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    target.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

/// Every JSON example of a body, with its name.
fn examples<'d>(document: &'d Value, body: &'d Value) -> Vec<(&'d str, &'d Value)> {
    let media = &resolve(document, body)["content"]["application/json"];
    if media["schema"].is_null() {
        return Vec::new();
    }
    let named = media["examples"].as_object().into_iter().flatten();
    named.map(|(name, example)| (name.as_str(), &resolve(document, example)["value"])).collect()
}

fn operations(document: &OpenApi) -> impl Iterator<Item = (Operation, &Value)> {
    let methods =
        document.document()["paths"].as_object().into_iter().flatten().flat_map(|(_, m)| m.as_object()).flatten();
    methods.filter_map(|(_, declared)| Some((document.operation_by_id(declared["operationId"].as_str()?)?, declared)))
}

/// The families whose operations the product uses.
fn is_ours(id: &str) -> bool {
    let words = ["self-hosted-runner", "jitconfig", "registration-token", "remove-token", "re-run"];
    id.starts_with("apps/") || id.starts_with("checks/") || words.iter().any(|word| id.contains(word))
}

/// Examples of ours that fail their own schema, closed: the defect is the example's.
const DEFECTIVE: [&str; 16] = [
    // Repositories with fields that the schema does not have.
    "actions/list-repo-access-to-self-hosted-runner-group-in-org 200",
    "actions/list-selected-repositories-self-hosted-runners-organization 200",
    // The schema is an object, the example is null.
    "actions/re-run-job-for-workflow-run 201",
    "actions/re-run-workflow 201",
    "actions/re-run-workflow-failed-jobs 201",
    "apps/create-installation-access-token 201",
    "apps/list-installation-repos-for-authenticated-user 200",
    "apps/list-installation-requests-for-authenticated-app 200",
    "apps/list-repos-accessible-to-installation 200",
    "apps/redeliver-webhook-delivery 202",
    "checks/create-suite 200",
    "checks/create-suite 201",
    "checks/get-suite 200",
    "checks/rerequest-run 201",
    "checks/rerequest-suite 201",
    "checks/set-suites-preferences 200",
];

#[test]
fn the_examples_of_runners_tokens_checks_and_apps_pass_closed_but_for_known_ones() {
    if !can_run("the_examples_of_runners_tokens_checks_and_apps_pass_closed_but_for_known_ones") {
        return;
    }
    let document = OpenApi::load(Doc::ApiGithubCom).expect("loads");
    let (mut seen, mut failed) = (0, BTreeSet::new());
    for (operation, declared) in operations(&document).filter(|(operation, _)| is_ours(&operation.id)) {
        for (status, response) in declared["responses"].as_object().into_iter().flatten() {
            for (name, example) in examples(document.document(), response) {
                seen += 1;
                let status = status.parse().expect("a number");
                let result = document.validate_response(&operation, status, Some(example), true);
                let problems = result.violations();
                if !problems.is_empty() {
                    eprintln!("{} {status}, example {name}: {problems:?}", operation.id);
                    failed.insert(format!("{} {status}", operation.id));
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} examples were seen");
    assert_eq!(failed.iter().map(String::as_str).collect::<Vec<_>>(), DEFECTIVE);
}

#[test]
fn every_example_of_a_request_of_ours_passes() {
    if !can_run("every_example_of_a_request_of_ours_passes") {
        return;
    }
    let document = OpenApi::load(Doc::ApiGithubCom).expect("loads");
    let (mut seen, mut failed) = (0, Vec::new());
    for (operation, declared) in operations(&document).filter(|(operation, _)| is_ours(&operation.id)) {
        for (name, example) in examples(document.document(), &declared["requestBody"]) {
            seen += 1;
            for problem in document.validate_request(&operation, "", Some(example)) {
                failed.push(format!("{name}: {problem}"));
            }
        }
    }
    assert!(seen > 15, "only {seen} examples were seen");
    assert_eq!(failed, [""; 0]);
}

#[test]
fn the_delivery_schemas_refuse_only_the_payloads_known_to_be_old() {
    if !can_run("the_delivery_schemas_refuse_only_the_payloads_known_to_be_old") {
        return;
    }
    let document = OpenApi::load(Doc::ApiGithubCom).expect("loads");
    let payloads = webhook_examples().expect("readable");
    let of_github: Vec<_> = payloads.iter().filter(|example| example.server == "api.github.com").collect();
    let refused: BTreeSet<&str> = of_github
        .iter()
        .filter(|example| !document.validate_webhook(&example.event, &example.payload, false).is_empty())
        .map(|example| example.name.trim_start_matches("api.github.com/"))
        .collect();
    assert_eq!(of_github.len() - refused.len(), 215, "passed");
    // Payloads from before some fields existed.
    assert_eq!(
        refused.iter().filter(|name| name.starts_with("workflow_job#")).collect::<Vec<_>>(),
        [&"workflow_job#0"]
    );
    let checks: Vec<_> = refused.iter().filter(|name| name.starts_with("check_run#")).collect();
    assert_eq!(checks, [&"check_run#7", &"check_run#8"]);
}
