//! Making an App, looking at it and pointing its webhook: client and simulator, checked by GitHub's own documents.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod elsewhere;
mod seen;

use std::sync::{Arc, Mutex};

use elsewhere::BY_APPS;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use runnersmith_conformance::{Coverage, Doc, OpenApi, can_run};
use runnersmith_github::app_admin::NewApp;
use runnersmith_github::webhook_admin::{HookTarget, PointError, point_webhook, remove_webhook};
use runnersmith_github::{AppCredentials, GitHubClient, GitHubConfig, RecordedExchange};
use runnersmith_github_sim::{JobSpec, Options, Simulator, WorkflowSpec};
use runnersmith_ports::{GitHubError, SystemClock};
use runnersmith_types::{Owner, Secret};
use serde_json::{Value, json};

struct Bed {
    simulator: Simulator,
    nobody: GitHubClient,
    config: GitHubConfig,
    seen: Arc<Mutex<Vec<RecordedExchange>>>,
}

fn acme() -> Owner {
    Owner::parse("acme").unwrap()
}

/// A form's field, encoded as a browser does.
fn form(manifest: &Value) -> String {
    format!("manifest={}", utf8_percent_encode(&manifest.to_string(), NON_ALPHANUMERIC))
}

fn manifest(name: &str) -> Value {
    json!({
        "name": name, "url": "https://acme.example", "redirect_url": "http://127.0.0.1:9/callback", "public": false,
        "hook_attributes": {"url": "http://127.0.0.1:9/first", "active": true},
        "default_permissions": {
            "actions": "read", "organization_self_hosted_runners": "write", "organization_hooks": "write"
        },
        "default_events": ["workflow_job"],
    })
}

impl Bed {
    async fn new(prefix: &str) -> Self {
        let simulator = Simulator::start(Options::default()).await.unwrap();
        simulator.add_org("acme");
        simulator.add_user("octocat");
        simulator.add_repository("acme/shop");
        let seen: Arc<Mutex<Vec<RecordedExchange>>> = Arc::default();
        let log = seen.clone();
        let mut config = GitHubConfig::anonymous(&simulator.base_url());
        config.api_base = Some(format!("{}{prefix}", simulator.base_url()));
        config.recorder = Some(Arc::new(move |exchange| log.lock().unwrap().push(exchange.clone())));
        let nobody = GitHubClient::new(config.clone(), Arc::new(SystemClock)).unwrap();
        Self { simulator, nobody, config, seen }
    }

    /// Posts a manifest as a browser does. Returns the status and where the browser is sent.
    async fn post(&self, path: &str, manifest: &Value) -> (u16, Option<String>) {
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let form_type = "application/x-www-form-urlencoded";
        let request = browser.post(format!("{}{path}", self.simulator.base_url())).header("Content-Type", form_type);
        let answer = request.body(form(manifest)).send().await.unwrap();
        let location = answer.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location)
    }

    async fn make(&self, path: &str, manifest: &Value) -> NewApp {
        let (status, location) = self.post(path, manifest).await;
        let location = location.unwrap_or_else(|| panic!("{status}"));
        let (_, code) = location.split_once("code=").unwrap();
        self.nobody.convert_manifest(code.split('&').next().unwrap()).await.unwrap()
    }

    fn client(&self, made: &NewApp) -> GitHubClient {
        let app = AppCredentials { app_id: made.view.id.to_string(), private_key_pem: made.private_key_pem.clone() };
        let config = GitHubConfig { app: Some(app), ..self.config.clone() };
        GitHubClient::new(config, Arc::new(SystemClock)).unwrap()
    }
}

/// Everything that these calls can do.
async fn all(bed: &Bed) {
    let path = "/organizations/acme/settings/apps/new?state=abc";
    let made = bed.make(path, &manifest("runnersmith-acme")).await;
    assert_eq!((made.view.slug.as_str(), made.view.name.as_str()), ("runnersmith-acme", "runnersmith-acme"));
    assert!(made.webhook_secret.is_some() && made.private_key_pem.expose().contains("BEGIN RSA PRIVATE KEY"));
    let client = bed.client(&made);
    let view = client.app().await.unwrap();
    assert_eq!(view, made.view, "what the exchange says is what the App is");
    assert_eq!(view.permissions["organization_self_hosted_runners"], "write");
    assert_eq!(view.events, ["workflow_job"]);

    // An installation lags behind its App until an owner accepts.
    assert_eq!(client.installations().await.unwrap(), []);
    bed.simulator.install(view.id, "acme");
    let mut more: Vec<(&str, &str)> =
        view.permissions.iter().map(|(name, word)| (name.as_str(), word.as_str())).collect();
    more.push(("checks", "write"));
    bed.simulator.set_app_permissions(view.id, &more, &["workflow_job"]);
    let found = client.installations().await.unwrap();
    assert_eq!((found.len(), found[0].account.as_str(), found[0].suspended), (1, "acme", false));
    assert!(
        !found[0].permissions.contains_key("checks") && client.app().await.unwrap().permissions["checks"] == "write"
    );
    bed.simulator.accept_permissions("acme");
    assert_eq!(client.installations().await.unwrap()[0].permissions["checks"], "write");

    // The App's own webhook.
    let (secret, events) = (Secret::new("a new secret"), ["workflow_job"]);
    assert_eq!(client.hook_config().await.unwrap().url.as_deref(), Some("http://127.0.0.1:9/first"));
    for moved in [true, false] {
        let pointed = point_webhook(&client, &HookTarget::App, "http://127.0.0.1:9/second", &secret, &events).await;
        let pointed = pointed.unwrap();
        assert_eq!((pointed.moved, pointed.hook), (moved, None));
    }
    let config = client.hook_config().await.unwrap();
    assert!(config.json && config.has_secret && !config.insecure, "{config:?}");

    // The organisation's.
    let target = HookTarget::Organization(acme());
    let mut seen = Vec::new();
    for moved in [true, false] {
        let pointed = point_webhook(&client, &target, "http://127.0.0.1:9/org", &secret, &events).await.unwrap();
        assert_eq!(pointed.moved, moved);
        seen.push(pointed.hook.unwrap().to_string());
    }
    assert_eq!(seen[0], seen[1], "twice is once");
    let pointed =
        point_webhook(&client, &target, "http://127.0.0.1:9/org", &secret, &["workflow_job", "issues"]).await.unwrap();
    assert!(pointed.moved, "it sends more now");
    let hooks = client.organization_hooks(&acme()).await.unwrap();
    assert_eq!(hooks.len(), 1);
    assert!(hooks[0].config.has_secret && hooks[0].active && hooks[0].events.contains(&"issues".to_owned()));
    assert_eq!(remove_webhook(&client, &acme(), "http://127.0.0.1:9/org").await.unwrap(), 1);
    assert_eq!(remove_webhook(&client, &acme(), "http://127.0.0.1:9/org").await.unwrap(), 0);
    client.delete_organization_hook(&acme(), hooks[0].id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_about_the_app_itself_passes_githubs_own_documents() {
    if !can_run("every_operation_about_the_app_itself_passes_githubs_own_documents") {
        return;
    }
    for (doc, prefix) in [
        (Doc::ApiGithubCom, ""),
        (Doc::Ghec, ""),
        (Doc::Ghes317, "/api/v3"),
        (Doc::Ghes318, "/api/v3"),
        (Doc::Ghes319, "/api/v3"),
    ] {
        let (document, mut coverage) = (OpenApi::load(doc).unwrap(), Coverage::default());
        let bed = Bed::new(prefix).await;
        all(&bed).await;
        let wrong = seen::check(&bed.seen, &document, &mut coverage);
        assert!(wrong.is_empty(), "{}: {} violations\n{}", doc.name(), wrong.len(), wrong.join("\n"));
        let missing = coverage.missing(BY_APPS);
        assert!(missing.is_empty(), "{}: operations that were not driven: {missing:?}", doc.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_works_once_and_foreign_text_is_no_path() {
    let bed = Bed::new("").await;
    let (status, location) = bed.post("/settings/apps/new", &manifest("mine")).await;
    assert_eq!(status, 302);
    let location = location.unwrap();
    let (_, code) = location.split_once("code=").unwrap();
    bed.nobody.convert_manifest(code).await.unwrap();
    let again = bed.nobody.convert_manifest(code).await.unwrap_err();
    assert!(matches!(again, GitHubError::NotFound { .. }) && !again.to_string().contains(code), "{again}");
    let before = bed.seen.lock().unwrap().len();
    for bad in ["", "../app", "a/b", "a?b", "a b", "é", &"a".repeat(201)] {
        assert!(matches!(bed.nobody.convert_manifest(bad).await, Err(GitHubError::NotFound { .. })), "{bad:?}");
    }
    assert_eq!(bed.seen.lock().unwrap().len(), before, "none of them was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_page_refuses_what_githubs_page_refuses() {
    let bed = Bed::new("").await;
    let with = |pointer: &str, value: Value| {
        let mut bad = manifest("bad");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[key] = value;
        bad
    };
    for bad in [
        with("/name", json!("a name that is longer than 34 characters")),
        with("/url", json!("")),
        with("/hook_attributes", json!({"active": false})),
        with("/hook_attributes/secret", json!("s")),
        with("/default_permissions", json!({"everything": "write"})),
        with("/default_permissions", json!({"metadata": "read"})),
        with("/default_events", json!(["installation"])),
        json!("no object"),
    ] {
        let (status, location) = bed.post("/organizations/acme/settings/apps/new", &bad).await;
        assert_eq!((status, location), (422, None), "{bad}");
    }
    assert_eq!(bed.post("/organizations/nowhere/settings/apps/new", &manifest("ok")).await.0, 404);
    assert_eq!(bed.post("/organizations/acme/settings/apps/new", &manifest("ok")).await.0, 302);
    assert_eq!(bed.post("/organizations/acme/settings/apps/new", &manifest("ok")).await.0, 422, "the name is taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_before_anything_is_changed() {
    let bed = Bed::new("").await;
    let made = bed.make("/organizations/acme/settings/apps/new", &manifest("a")).await;
    let client = bed.client(&made);
    let secret = Secret::new("s");
    for bad in ["", "example.com", "ftp://example.com", "https://", "https:///path", "https://a b"] {
        let said = point_webhook(&client, &HookTarget::App, bad, &secret, &[]).await;
        assert!(matches!(said, Err(PointError::Address(_))), "{bad:?}");
    }
    let said = point_webhook(&client, &HookTarget::App, "https://ok.example", &Secret::new(""), &[]).await;
    assert!(matches!(said, Err(PointError::Secret)));
    assert_eq!(client.hook_config().await.unwrap().url.as_deref(), Some("http://127.0.0.1:9/first"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_go_to_the_new_address_with_the_new_secret_and_only_what_is_subscribed() {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel::<(String, String)>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/webhook", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: String| {
        let signature = headers["x-hub-signature-256"].to_str().unwrap().to_owned();
        sender.send((signature, body)).unwrap();
        async { "" }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let bed = Bed::new("").await;
    let made = bed.make("/organizations/acme/settings/apps/new", &manifest("listens")).await;
    let mut deaf = manifest("deaf");
    deaf["default_events"] = json!([]);
    let deaf = bed.make("/organizations/acme/settings/apps/new", &deaf).await;
    for app in [&made, &deaf] {
        bed.simulator.install(app.view.id, "acme");
        let secret = Secret::new("from now on");
        point_webhook(&bed.client(app), &HookTarget::App, &address, &secret, &[]).await.unwrap();
    }
    let workflow = WorkflowSpec { name: "ci".into(), jobs: vec![JobSpec::default()] };
    bed.simulator.dispatch("acme/shop", workflow).unwrap();
    let wait = tokio::time::timeout(std::time::Duration::from_secs(10), received.recv());
    let (signature, body) = wait.await.unwrap().unwrap();
    let verified =
        runnersmith_webhook::verify(&[Secret::new("from now on")], Some(&signature), None, false, body.as_bytes());
    assert!(verified.is_ok());
    let deliveries = bed.simulator.deliveries();
    assert_eq!(deliveries.len(), 1, "the App that is subscribed to nothing gets nothing: {deliveries:?}");
}
