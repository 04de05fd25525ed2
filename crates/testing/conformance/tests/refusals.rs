//! A check that accepts everything proves nothing: good and bad requests and answers, side by side.

use std::sync::OnceLock;

use runnersmith_conformance::{CheckResult, Doc, Exchange, GraphQlSchema, OpenApi, can_run};
use serde_json::{Value, json};

fn github() -> &'static OpenApi {
    static DOCUMENT: OnceLock<OpenApi> = OnceLock::new();
    DOCUMENT.get_or_init(|| OpenApi::load(Doc::ApiGithubCom).expect("loads"))
}

fn request(method: &str, path: &str, body: Option<Value>) -> Vec<String> {
    let operation = github().operation(method, path).unwrap_or_else(|| panic!("{method} {path} is no operation"));
    let query = path.split_once('?').map_or("", |(_, query)| query);
    github().validate_request(&operation, query, body.as_ref()).iter().map(ToString::to_string).collect()
}

fn answer(method: &str, path: &str, status: u16, body: Option<Value>) -> CheckResult {
    let operation = github().operation(method, path).unwrap_or_else(|| panic!("{method} {path} is no operation"));
    github().validate_response(&operation, status, body.as_ref(), true)
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = value.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    if new == json!("<absent>") {
        parent.remove(key);
    } else {
        parent.insert(key.to_owned(), new);
    }
    value
}

fn runner() -> Value {
    json!({
        "id": 23, "runner_group_id": 1, "name": "small-ab12-1", "os": "linux", "status": "online", "busy": false,
        "labels": [{"id": 1, "name": "self-hosted", "type": "read-only"}, {"name": "x"}], "ephemeral": true, "version": null,
    })
}

fn job() -> Value {
    json!({
        "id": 21, "run_id": 5, "run_url": "https://api.github.com/repos/o/r/actions/runs/5", "run_attempt": 1,
        "node_id": "x", "head_sha": "0123", "url": "https://api.github.com/repos/o/r/actions/jobs/21",
        "html_url": null, "status": "queued", "conclusion": null, "created_at": "2026-01-20T17:42:40Z",
        "started_at": "2026-01-20T17:42:40Z", "completed_at": null, "name": "build", "steps": [],
        "check_run_url": "https://api.github.com/repos/o/r/check-runs/21", "labels": ["self-hosted"],
        "runner_id": null, "runner_name": null, "runner_group_id": null, "runner_group_name": null,
        "workflow_name": "CI", "head_branch": "main",
    })
}

const JIT: &str = "/repos/o/r/actions/runners/generate-jitconfig";

#[test]
fn jit_config_requests_are_held_against_the_schema() {
    if !can_run("jit_config_requests_are_held_against_the_schema") {
        return;
    }
    let good = json!({"name": "small-ab12-1", "runner_group_id": 1, "labels": ["self-hosted"], "work_folder": "_work"});
    assert_eq!(request("POST", JIT, Some(good.clone())), [""; 0]);
    assert_eq!(request("POST", &format!("/api/v3{JIT}"), Some(good.clone())), [""; 0]);
    let many: Vec<String> = (0..101).map(|i| format!("label-{i}")).collect();
    for bad in [
        None,
        Some(json!({})),
        Some(with(good.clone(), "/runner_group_id", json!("<absent>"))),
        Some(with(good.clone(), "/runner_group_id", json!("1"))),
        Some(with(good.clone(), "/labels", json!([]))),
        Some(with(good.clone(), "/labels", json!(many))),
        Some(with(good.clone(), "/labels", json!("self-hosted"))),
        Some(with(good.clone(), "/directory", json!("_work"))),
        Some(with(good, "/name", Value::Null)),
    ] {
        assert!(!request("POST", JIT, bad.clone()).is_empty(), "accepted: {bad:?}");
    }
}

#[test]
fn jit_config_answers_are_held_against_the_schema() {
    if !can_run("jit_config_answers_are_held_against_the_schema") {
        return;
    }
    let good = json!({"runner": runner(), "encoded_jit_config": "e30="});
    assert_eq!(answer("POST", JIT, 201, Some(good.clone())), CheckResult::Accepted);
    assert_eq!(answer("POST", JIT, 409, Some(json!({"message": "Already exists"}))), CheckResult::Accepted);
    for (status, bad) in [
        (200, Some(good.clone())),
        (201, None),
        (201, Some(with(good.clone(), "/encoded_jit_config", json!("<absent>")))),
        (201, Some(with(good.clone(), "/runner/status", json!("idle")))),
        (201, Some(with(good.clone(), "/runner/state", json!("online")))),
        (201, Some(with(good, "/token", json!("t")))),
        (409, Some(json!({"error": "Already exists"}))),
        (418, Some(json!({"message": "teapot"}))),
    ] {
        assert!(
            matches!(answer("POST", JIT, status, bad.clone()), CheckResult::Refused(_)),
            "accepted: {status} {bad:?}"
        );
    }
}

#[test]
fn runner_answers_are_held_against_the_schema() {
    if !can_run("runner_answers_are_held_against_the_schema") {
        return;
    }
    let path = "/orgs/o/actions/runners";
    assert_eq!(answer("GET", path, 200, Some(json!({"total_count": 1, "runners": [runner()]}))), CheckResult::Accepted);
    for (pointer, value) in [
        ("/busy", json!("<absent>")),
        ("/labels", json!("<absent>")),
        ("/labels", json!(["self-hosted"])),
        ("/id", json!("23")),
        ("/last_seen", json!("now")),
    ] {
        let body = json!({"total_count": 1, "runners": [with(runner(), pointer, value.clone())]});
        assert!(matches!(answer("GET", path, 200, Some(body)), CheckResult::Refused(_)), "accepted: {pointer} {value}");
    }
    let one = "/orgs/o/actions/runners/23";
    assert_eq!(answer("DELETE", one, 204, None), CheckResult::Accepted);
    assert!(matches!(answer("DELETE", one, 204, Some(json!({}))), CheckResult::Refused(_)));
    assert!(matches!(answer("DELETE", one, 404, Some(json!({"message": "Not Found"}))), CheckResult::NotCovered(_)));
    assert!(matches!(answer("DELETE", one, 404, Some(json!({"oops": 1}))), CheckResult::Refused(_)));
    assert!(matches!(answer("DELETE", one, 409, Some(json!({"message": "busy"}))), CheckResult::Refused(_)));
    assert_eq!(answer("DELETE", one, 422, Some(busy())), CheckResult::Accepted);
}

fn busy() -> Value {
    json!({"message": "Bad request - Runner \"x\" is still running a job", "documentation_url": "https://docs.github.com"})
}

#[test]
fn queries_and_paths_are_held_against_their_parameters() {
    if !can_run("queries_and_paths_are_held_against_their_parameters") {
        return;
    }
    assert_eq!(request("GET", "/orgs/o/actions/runners?per_page=100&page=2&name=a%20b", None), [""; 0]);
    for bad in ["per_page=101", "per_page=many", "status=online", "per_page=0"] {
        assert!(!request("GET", &format!("/orgs/o/actions/runners?{bad}"), None).is_empty(), "accepted: {bad}");
    }
    assert_eq!(request("GET", "/repos/o/r/actions/runs?status=queued", None), [""; 0]);
    assert!(!request("GET", "/repos/o/r/actions/runs?status=asleep", None).is_empty());
    assert!(!request("GET", "/repos/o/r/actions/jobs/first", None).is_empty());
    assert!(!request("GET", "/repos/o/r/actions/jobs/1", Some(json!({}))).is_empty());
}

#[test]
fn job_answers_are_held_against_the_schema() {
    if !can_run("job_answers_are_held_against_the_schema") {
        return;
    }
    let path = "/repos/o/r/actions/jobs/21";
    assert_eq!(answer("GET", path, 200, Some(job())), CheckResult::Accepted);
    assert_eq!(
        answer("GET", path, 200, Some(with(job(), "/conclusion", json!("startup_failure")))),
        CheckResult::Accepted
    );
    for (pointer, value) in [
        ("/status", json!("running")),
        ("/conclusion", json!("ok")),
        ("/created_at", json!("<absent>")),
        ("/created_at", json!("yesterday")),
        ("/labels", json!("self-hosted")),
        ("/runner_id", json!("5")),
        ("/repository", json!("o/r")),
    ] {
        let body = with(job(), pointer, value.clone());
        assert!(matches!(answer("GET", path, 200, Some(body)), CheckResult::Refused(_)), "accepted: {pointer} {value}");
    }
    assert!(matches!(answer("GET", path, 404, Some(json!({"message": "Not Found"}))), CheckResult::NotCovered(_)));
}

#[test]
fn token_requests_and_answers_are_held_against_the_schema() {
    if !can_run("token_requests_and_answers_are_held_against_the_schema") {
        return;
    }
    let path = "/app/installations/7/access_tokens";
    assert_eq!(request("POST", path, None), [""; 0]);
    assert_eq!(request("POST", path, Some(json!({"permissions": {"actions": "read"}}))), [""; 0]);
    for bad in [
        json!({"permissions": {"actions": "admin"}}),
        json!({"permissions": {"runners": "write"}}),
        json!({"repositories": "r"}),
        json!({"scope": "repo"}),
    ] {
        assert!(!request("POST", path, Some(bad.clone())).is_empty(), "accepted: {bad}");
    }
    let token = json!({
        "token": "ghs_x", "expires_at": "2026-01-20T18:42:40Z", "permissions": {"actions": "read"}, "repository_selection": "all",
    });
    assert_eq!(answer("POST", path, 201, Some(token.clone())), CheckResult::Accepted);
    assert!(matches!(answer("POST", path, 200, Some(token.clone())), CheckResult::Refused(_)));
    let without_end = with(token, "/expires_at", json!("<absent>"));
    assert!(matches!(answer("POST", path, 201, Some(without_end)), CheckResult::Refused(_)));

    let path = "/orgs/o/actions/runners/registration-token";
    let registration = json!({"token": "A1", "expires_at": "2026-01-20T18:42:40.000-08:00"});
    assert_eq!(answer("POST", path, 201, Some(registration.clone())), CheckResult::Accepted);
    for (pointer, value) in [("/token", json!(1)), ("/expires_at", json!(0)), ("/url", json!("x"))] {
        let body = with(registration.clone(), pointer, value);
        assert!(matches!(answer("POST", path, 201, Some(body)), CheckResult::Refused(_)), "accepted: {pointer}");
    }
}

#[test]
fn check_run_bodies_are_closed_although_their_branches_are_open() {
    if !can_run("check_run_bodies_are_closed_although_their_branches_are_open") {
        return;
    }
    let path = "/repos/o/r/check-runs/4";
    let output = json!({"title": "t", "summary": "s"});
    assert_eq!(request("PATCH", path, Some(json!({"status": "queued", "output": output}))), [""; 0]);
    assert_eq!(request("PATCH", path, Some(json!({"status": "completed", "conclusion": "neutral"}))), [""; 0]);
    for bad in [
        json!({"status": "completed"}),
        json!({"status": "queued", "outputs": output}),
        json!({"status": "queued", "output": {"title": "t"}}),
        json!({"status": "asleep"}),
    ] {
        assert!(!request("PATCH", path, Some(bad.clone())).is_empty(), "accepted: {bad}");
    }
}

#[test]
fn an_accepted_rerun_is_an_empty_object() {
    if !can_run("an_accepted_rerun_is_an_empty_object") {
        return;
    }
    let path = "/repos/o/r/actions/runs/5/rerun-failed-jobs";
    assert_eq!(answer("POST", path, 201, Some(json!({}))), CheckResult::Accepted);
    assert!(matches!(answer("POST", path, 201, Some(json!({"id": 5}))), CheckResult::Refused(_)));
    assert!(matches!(answer("POST", path, 201, None), CheckResult::Refused(_)));
}

#[test]
fn an_exchange_with_an_unknown_path_or_another_operation_is_refused() {
    if !can_run("an_exchange_with_an_unknown_path_or_another_operation_is_refused") {
        return;
    }
    let good = Exchange {
        method: "GET".to_owned(),
        path: "/repos/o/r/actions/jobs/21".to_owned(),
        operation_id: Some("actions/get-job-for-workflow-run".to_owned()),
        request_body: None,
        status: 200,
        response_body: Some(job()),
    };
    assert_eq!(github().check(&good), []);
    let meant_another = Exchange { operation_id: Some("actions/get-workflow-run".to_owned()), ..good.clone() };
    assert_eq!(github().check(&meant_another).len(), 1);
    let invented = Exchange { path: "/repos/o/r/actions/job/21".to_owned(), operation_id: None, ..good.clone() };
    assert_eq!(github().check(&invented).len(), 1);
    // A GitHub.com enterprise has its own document.
    let enterprise = Exchange { path: "/enterprises/e/actions/runners".to_owned(), operation_id: None, ..good };
    assert_eq!(github().check(&enterprise).len(), 1);
}

#[test]
fn a_query_that_githubs_schema_does_not_have_is_refused() {
    if !can_run("a_query_that_githubs_schema_does_not_have_is_refused") {
        return;
    }
    let schema = GraphQlSchema::load().unwrap();
    let right = "query($id: ID!) { node(id: $id) { ... on IssueComment { lastEditedAt author { ...who } } } } \
                 fragment who on Actor { __typename login ... on User { databaseId } }";
    let variables = json!({"id": "IC_1"});
    assert_eq!(schema.check(right, &variables), Vec::<String>::new());
    for (from, to, said) in [
        ("lastEditedAt", "lastEditAt", "IssueComment has no field lastEditAt"),
        ("on IssueComment", "on Issues", "no Node is ever a Issues"),
        ("on Actor", "on Repository", "no Actor is ever a Repository"),
        ("author { ...who }", "author", "is asked for fields"),
        ("author { ...who }", "author { login { x } }", "is a value"),
        ("author { ...who }", "timelineItems { totalCount }", "has no field timelineItems"),
        ("author { ...who }", "userContentEdits(first: \"many\") { totalCount }", "is Int and given"),
        ("author { ...who }", "reactions(content: NOTHING) { totalCount }", "is ReactionContent and given NOTHING"),
        ("author { ...who }", "reactions(some: 1) { totalCount }", "has no argument some"),
        ("node(id: $id)", "node", "Query.node needs"),
        ("$id: ID!", "$id: String!", "is ID! and given $id"),
        ("$id: ID!", "$id: ID!, $more: Int", "$more is declared and not used"),
        ("...who", "...whom", "there is no fragment whom"),
        ("query(", "mutation(", "it is not one query"),
        ("}", "", "expected"),
    ] {
        let wrong = schema.check(&right.replacen(from, to, 1), &variables).join("; ");
        assert!(wrong.to_lowercase().contains(&said.to_lowercase()), "{from} -> {to}: {wrong:?}");
    }
    assert!(schema.check(right, &json!({})).join("").contains("needed and not given"));
    assert!(schema.check(right, &json!({"id": "x", "more": 1})).join("").contains("given and not declared"));
}
