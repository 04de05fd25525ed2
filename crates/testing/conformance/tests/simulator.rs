//! What of the simulator no client of ours asks for, called by hand and checked; and its deliveries.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use runnersmith_conformance::{Coverage, Doc, Exchange, OpenApi, can_run};
use runnersmith_github_sim::{App, JobSpec, Options, Simulator, WorkflowSpec};
use serde_json::{Value, json};
use tokio::sync::mpsc;

struct Hand {
    simulator: Simulator,
    app: u64,
    http: reqwest::Client,
    token: String,
    document: OpenApi,
    wrong: Mutex<(Coverage, Vec<String>)>,
}

impl Hand {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = Simulator::start(Options::default()).await.unwrap();
        simulator.add_org("acme");
        simulator.add_user("octocat");
        simulator.add_repository("acme/shop");
        simulator.write_files("acme/shop", "main", &[("README.md", "hello"), ("envs/default/main.tf", "# here")]);
        let key = runnersmith_github_sim::app_key();
        let app = App { slug: "app".into(), private_key_pem: key, webhook_secret: "s".into(), webhook_url: None };
        let app = simulator.add_app(app).unwrap();
        simulator.install(app, "acme");
        let token = simulator.installation_token("acme").unwrap();
        let document = OpenApi::load(Doc::ApiGithubCom).unwrap();
        Self { simulator, app, http: reqwest::Client::new(), token, document, wrong: Mutex::default() }
    }

    /// Calls, checks, returns the answer.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let path = format!("/repos/acme/shop{path}");
        let mut request = self
            .http
            .request(method.parse().unwrap(), format!("{}{path}", self.simulator.base_url()))
            .header("Authorization", format!("Bearer {}", self.token));
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let response_body: Option<Value> = serde_json::from_str(&text).ok();
        let exchange = Exchange {
            method: method.into(),
            path,
            operation_id: None,
            request_body: body,
            status,
            response_body: response_body.clone(),
        };
        let mut wrong = self.wrong.lock().unwrap();
        let found = wrong.0.check(&self.document, &exchange);
        wrong.1.extend(found.iter().map(ToString::to_string));
        (status, response_body.unwrap_or_default())
    }

    fn assert_right(&self) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.1.is_empty(), "{} violations\n{}", wrong.1.len(), wrong.1.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn issues_are_opened_labelled_commented_and_closed() {
    if !can_run("issues_are_opened_labelled_commented_and_closed") {
        return;
    }
    let hand = Hand::new().await;
    let number = hand
        .simulator
        .open_issue("acme/shop", "octocat", "runners", "please", &["self-hosted-runner-scale-set"])
        .unwrap();
    let (_, listed) = hand.call("GET", "/issues?labels=self-hosted-runner-scale-set", None).await;
    assert_eq!(listed[0]["number"], number);
    assert_eq!(listed[0]["user"]["login"], "octocat");
    let at = format!("/issues/{number}");
    let (_, comment) = hand.call("POST", &format!("{at}/comments"), Some(json!({"body": "a plan"}))).await;
    let edit = format!("/issues/comments/{}", comment["id"]);
    assert_eq!(hand.call("PATCH", &edit, Some(json!({"body": "a better plan"}))).await.1["body"], "a better plan");
    assert_eq!(hand.call("GET", &format!("{at}/comments"), None).await.1[0]["body"], "a better plan");
    hand.call("POST", &format!("{at}/labels"), Some(json!({"labels": ["approved"]}))).await;
    assert_eq!(hand.call("DELETE", &format!("{at}/labels/approved"), None).await.0, 200);
    assert_eq!(hand.call("DELETE", &format!("{at}/labels/approved"), None).await.0, 404);
    assert_eq!(hand.call("PATCH", &at, Some(json!({"state": "closed"}))).await.1["state"], "closed");
    assert_eq!(hand.call("GET", "/issues", None).await.1, json!([]));
    assert_eq!(hand.call("GET", "/issues?state=closed", None).await.1[0]["number"], number);
    assert_eq!(hand.call("GET", "/issues/404", None).await.0, 404);
    assert_eq!(hand.call("POST", "/issues", Some(json!({"title": "second"}))).await.1["number"], number + 1);
    hand.assert_right();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_written_on_a_branch_proposed_and_merged() {
    if !can_run("a_change_is_written_on_a_branch_proposed_and_merged") {
        return;
    }
    let hand = Hand::new().await;
    let (_, main) = hand.call("GET", "/git/ref/heads/main", None).await;
    let branch = json!({"ref": "refs/heads/change-1", "sha": main["object"]["sha"]});
    assert_eq!(hand.call("POST", "/git/refs", Some(branch.clone())).await.0, 201);
    assert_eq!(hand.call("POST", "/git/refs", Some(branch)).await.0, 422);
    let put = |content: &str, sha: Value| {
        let mut body = json!({"message": "m", "content": content, "branch": "change-1"});
        if !sha.is_null() {
            body["sha"] = sha;
        }
        Some(body)
    };
    assert_eq!(hand.call("PUT", "/contents/envs/new/main.tf", put("bmV3", Value::Null)).await.0, 201);
    let (_, old) = hand.call("GET", "/contents/README.md?ref=change-1", None).await;
    assert_eq!(old["content"], "aGVsbG8=");
    assert_eq!(
        hand.call("PUT", "/contents/README.md", put("eA==", Value::Null)).await.0,
        422,
        "a change needs the sha"
    );
    assert_eq!(hand.call("PUT", "/contents/README.md", put("eA==", json!("0123"))).await.0, 409, "the right one");
    assert_eq!(hand.call("PUT", "/contents/README.md", put("eA==", old["sha"].clone())).await.0, 200);
    let pull = json!({"title": "change", "head": "change-1", "base": "main", "body": "closes #1"});
    let (status, opened) = hand.call("POST", "/pulls", Some(pull)).await;
    assert_eq!(status, 201, "{opened}");
    let at = format!("/pulls/{}", opened["number"]);
    assert_eq!(hand.call("GET", "/pulls?head=acme:change-1", None).await.1.as_array().unwrap().len(), 1);
    assert_eq!(hand.call("GET", &at, None).await.1["merged"], false);
    assert_eq!(hand.call("PUT", &format!("{at}/merge"), Some(json!({}))).await.1["merged"], true);
    assert_eq!(hand.call("PUT", &format!("{at}/merge"), Some(json!({}))).await.0, 405);
    assert_eq!(hand.call("GET", &at, None).await.1["merged"], true);
    let (_, merged) = hand.call("GET", "/contents/README.md", None).await;
    assert_eq!(merged["content"], "eA==");
    let gone = json!({"message": "m", "sha": merged["sha"]});
    assert_eq!(hand.call("DELETE", "/contents/README.md", Some(gone)).await.0, 200);
    assert_eq!(hand.call("GET", "/contents/README.md", None).await.0, 404);
    hand.assert_right();
}

type Deliveries = mpsc::UnboundedReceiver<(String, Value)>;

impl Hand {
    /// What is delivered from now on.
    async fn deliveries(&self) -> Deliveries {
        let (received, deliveries) = mpsc::unbounded_channel();
        let take = axum::routing::post(async move |headers: axum::http::HeaderMap, body: axum::body::Bytes| {
            let event = headers["x-github-event"].to_str().unwrap().to_owned();
            received.send((event, serde_json::from_slice(&body).unwrap())).unwrap();
            axum::http::StatusCode::ACCEPTED
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.simulator.set_webhook_url(&format!("http://{}/hook", listener.local_addr().unwrap()));
        tokio::spawn(axum::serve(listener, axum::Router::new().route("/hook", take)).into_future());
        deliveries
    }

    /// Waits for so many deliveries and checks them. Returns which events with which actions they are, and their payloads.
    async fn check_deliveries(&self, from: &mut Deliveries, count: usize) -> (BTreeSet<String>, Vec<Value>) {
        let mut kept = Vec::new();
        while kept.len() < count {
            let delivery = tokio::time::timeout(Duration::from_secs(30), from.recv()).await;
            kept.push(delivery.expect("a delivery within 30 s").unwrap());
        }
        let mut wrong = BTreeSet::new();
        for (event, payload) in &kept {
            wrong.extend(self.document.validate_webhook(event, payload, true).iter().map(ToString::to_string));
        }
        assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
        let name =
            |(event, payload): &(String, Value)| format!("{event} {}", payload["action"].as_str().unwrap_or("-"));
        (kept.iter().map(name).collect(), kept.into_iter().map(|(_, payload)| payload).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulators_deliveries_are_githubs() {
    if !can_run("the_simulators_deliveries_are_githubs") {
        return;
    }
    let hand = Hand::new().await;
    let mut deliveries = hand.deliveries().await;
    hand.simulator.open_issue("acme/shop", "octocat", "no", "to this nobody is subscribed", &[]).unwrap();
    hand.simulator.set_faults(|faults| faults.check_runs = true);
    let job = JobSpec { name: "build".into(), labels: vec!["self-hosted".into()], ..JobSpec::default() };
    let run = hand.simulator.dispatch("acme/shop", WorkflowSpec { name: "ci".into(), jobs: vec![job] }).unwrap();
    hand.simulator.cancel_run(run);
    let (events, _) = hand.check_deliveries(&mut deliveries, 3).await;
    let wanted = ["check_run created", "workflow_job completed", "workflow_job queued"];
    assert_eq!(events.into_iter().collect::<Vec<_>>(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deliveries_of_a_control_repository_are_githubs() {
    if !can_run("the_deliveries_of_a_control_repository_are_githubs") {
        return;
    }
    const REPO: &str = "acme/shop";
    let hand = Hand::new().await;
    let (simulator, before) = (&hand.simulator, hand.simulator.events().len());
    let mut deliveries = hand.deliveries().await;
    simulator.subscribe(hand.app, &["issues", "issue_comment", "pull_request", "push"]);
    let issue = simulator.open_issue(REPO, "octocat", "runners", "please", &["set"]).unwrap();
    simulator.edit_issue_as(REPO, issue, "octocat", "please, soon");
    simulator.label_issue_as(REPO, issue, "octocat", "more");
    hand.call("DELETE", &format!("/issues/{issue}/labels/more"), None).await;
    simulator.close_issue_as(REPO, issue, "octocat");
    simulator.reopen_issue_as(REPO, issue, "octocat");
    let comment = simulator.comment_as(REPO, issue, "octocat", "/help");
    simulator.edit_comment_as(REPO, comment, "octocat", "/status");
    simulator.delete_comment_as(REPO, comment, "octocat");
    hand.call("POST", &format!("/issues/{issue}/comments"), Some(json!({"body": "by an App"}))).await;
    simulator.push_as(REPO, "change", "octocat", &[("new", Some("text"))], "first");
    let pull = json!({"title": "change", "head": "change", "base": "main", "body": format!("Closes #{issue}")});
    let (_, pull) = hand.call("POST", "/pulls", Some(pull)).await;
    let pull = pull["number"].as_u64().unwrap();
    simulator.push_as(REPO, "change", "someone@example.org", &[("new", Some("more")), ("README.md", None)], "second");
    simulator.force_push_as(REPO, "change", "octocat", &[("new", Some("other"))], "third");
    simulator.comment_as(REPO, pull, "octocat", "/approve");
    simulator.label_issue_as(REPO, pull, "octocat", "label");
    hand.call("PATCH", &format!("/pulls/{pull}"), Some(json!({"title": "another title"}))).await;
    simulator.close_pull_as(REPO, pull, "octocat");
    simulator.reopen_pull_as(REPO, pull, "octocat").unwrap();
    simulator.merge_pull_as(REPO, pull, "octocat").unwrap();
    assert!(!simulator.issue(REPO, issue).open, "the words of the pull request close it");
    simulator.delete_branch_as(REPO, "change", "octocat");
    let fork = simulator.open_fork_pull(REPO, "outsider", &[("evil", Some("text"))], "a fork", "");
    simulator.comment_as(REPO, fork, "outsider", "/plan");
    let happened = simulator.events().split_off(before);
    // What happens in the fork is the fork's.
    let ours = happened.iter().filter(|(_, _, payload)| payload["repository"]["full_name"] == REPO).count();
    let (events, payloads) = hand.check_deliveries(&mut deliveries, ours).await;
    let wanted = [
        "issue_comment created",
        "issue_comment deleted",
        "issue_comment edited",
        "issues closed",
        "issues edited",
        "issues labeled",
        "issues opened",
        "issues reopened",
        "issues unlabeled",
        "pull_request closed",
        "pull_request edited",
        "pull_request labeled",
        "pull_request opened",
        "pull_request reopened",
        "pull_request synchronize",
        "push -",
    ];
    assert_eq!(events.into_iter().collect::<Vec<_>>(), wanted);
    assert!(payloads.iter().all(|payload| payload["installation"]["id"].is_u64()));
    assert!(happened.iter().all(|(_, _, payload)| payload.get("installation").is_none()), "as an event file has it");
    hand.assert_right();
}
