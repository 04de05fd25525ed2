//! `runnersmith app` as its user runs it, against a simulated GitHub Enterprise Server, with the test as the browser.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use runnersmith_github_sim::{App, JobSpec, Options, Simulator, WorkflowSpec};
use serde_json::Value;

const NAMES: [&str; 7] = [
    "APP_ID",
    "APP_KEY_BASE64",
    "APP_CLIENT_ID",
    "APP_CLIENT_SECRET",
    "WEBHOOK_SECRET",
    "ENTERPRISE_SERVER_URL",
    "RUNNERSMITH_CONFIG",
];

struct Bed {
    github: Simulator,
    home: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let github = Simulator::start(Options::default()).await.unwrap();
        github.add_org("acme");
        github.add_user("octocat");
        github.add_repository("acme/shop");
        Self { github, home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnersmith"));
        for name in NAMES {
            command.env_remove(name);
        }
        command.arg("app").args(arguments).current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    /// Starts `app create` and answers the page's address.
    fn create(&self, arguments: &[&str]) -> (Child, BufReader<std::process::ChildStderr>, String) {
        let base = self.github.base_url();
        let mut child = self
            .command(&["create", "--server-url", &base, "--no-browser"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let address = line.split_whitespace().last().unwrap_or_default().to_owned();
        assert!(address.starts_with("http://127.0.0.1:"), "{line}");
        (child, said, address)
    }

    /// Makes an App from beginning to end. Returns what was printed.
    async fn made(&self, arguments: &[&str]) -> String {
        let (child, said, address) = self.create(arguments);
        let (status, page) = walk(&address).await;
        assert_eq!(status, 200, "{page}");
        let (code, out) = end(child, said);
        assert_eq!(code, Some(0), "{out}");
        out
    }

    /// Another command of `app` with what `app create` has stored.
    fn with_env(&self, file: &str, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        for line in std::fs::read_to_string(self.path(file)).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            command.env(name, value);
        }
        command.output().unwrap()
    }

    fn check(&self, file: &str, arguments: &[&str]) -> (Option<i32>, Value) {
        let said = self.with_env(file, &[&["check", "--json"], arguments].concat());
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let found = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&said.stderr)));
        (said.status.code(), found)
    }
}

fn end(mut child: Child, mut said: BufReader<std::process::ChildStderr>) -> (Option<i32>, String) {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    said.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    text.split_once(before).unwrap().1.split_once(after).unwrap().0
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Loads the page and posts its form, as its script or its button does. Returns the form's address, the manifest, and where
/// GitHub sends the browser.
async fn post(address: &str) -> (String, Value, String) {
    let answer = browser().get(address).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let page = answer.text().await.unwrap();
    assert!(page.contains("<button type=\"submit\">"), "it works without scripts too");
    let elsewhere = ["src=", "href=", "@import", "url("].into_iter().find(|word| page.contains(word));
    assert_eq!(elsewhere, None, "nothing is loaded from elsewhere");
    let action = unescape(between(&page, "action=\"", "\""));
    let manifest = unescape(between(&page, "name=\"manifest\" value=\"", "\""));
    let encoded = manifest.bytes().fold(String::from("manifest="), |text, byte| format!("{text}%{byte:02X}"));
    let posted = browser().post(&action).header("Content-Type", "application/x-www-form-urlencoded").body(encoded);
    let answer = posted.send().await.unwrap();
    assert_eq!(answer.status(), 302, "{}", answer.text().await.unwrap());
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    (action, serde_json::from_str(&manifest).unwrap(), location)
}

async fn get(address: &str) -> (u16, String) {
    let answer = browser().get(address).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn walk(address: &str) -> (u16, String) {
    let (_, _, location) = post(address).await;
    get(&location).await
}

fn variable(file: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap_or_default().to_owned()
}

fn word(found: &Value, feature: &str) -> (bool, bool) {
    let all = found["features"].as_array().unwrap();
    let state = all.iter().find(|state| state["feature"] == feature).unwrap();
    (state["needed"].as_bool().unwrap(), state["works"].as_bool().unwrap())
}

fn kinds(found: &Value) -> Vec<&str> {
    found["problems"].as_array().unwrap().iter().map(|problem| problem["kind"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_made_stored_checked_installed_and_connected() {
    let bed = Bed::new().await;
    let out = bed.made(&["--organization", "acme", "--key-out", "app.pem", "--env-out", "app.env"]).await;
    let (key, variables) = (bed.path("app.pem"), bed.path("app.env"));
    for file in [&key, &variables] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let pem = std::fs::read_to_string(&key).unwrap();
    assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    for name in ["APP_CLIENT_SECRET", "APP_KEY_BASE64", "WEBHOOK_SECRET"] {
        let secret = variable(&variables, name);
        assert!(secret.len() > 10 && !out.contains(&secret), "{name} is printed");
    }
    assert!(!out.contains("PRIVATE KEY") && out.contains("/installations/new"), "{out}");
    assert_eq!(variable(&variables, "ENTERPRISE_SERVER_URL"), bed.github.base_url());

    let (code, found) = bed.check("app.env", &[]);
    assert_eq!(code, Some(1));
    assert_eq!(kinds(&found), ["not_installed", "no_address"], "{found:#}");
    for feature in ["organization_runners", "jobs", "tell", "rerun"] {
        assert_eq!(word(&found, feature), (true, true), "{feature}");
    }
    assert_eq!(word(&found, "issueops"), (false, false));
    assert_eq!(found["superfluous"], serde_json::json!([]));

    let id: u64 = variable(&variables, "APP_ID").parse().unwrap();
    bed.github.install(id, "acme");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/webhook", listener.local_addr().unwrap());
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel::<(String, String)>();
    let router = axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: String| {
        sender.send((headers["x-hub-signature-256"].to_str().unwrap().to_owned(), body)).unwrap();
        async { "" }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    for said in ["goes there now", "went there already"] {
        let set = bed.with_env("app.env", &["webhook", "--url", &address]);
        let text = String::from_utf8_lossy(&set.stdout).into_owned();
        assert!(set.status.success() && text.contains(said), "{text}{}", String::from_utf8_lossy(&set.stderr));
    }
    let (code, found) = bed.check("app.env", &[]);
    assert_eq!((code, kinds(&found)), (Some(0), vec![]), "{found:#}");

    bed.github.dispatch("acme/shop", WorkflowSpec { name: "ci".into(), jobs: vec![JobSpec::default()] }).unwrap();
    let (signature, body) = tokio::time::timeout(Duration::from_secs(10), received.recv()).await.unwrap().unwrap();
    let secret = runnersmith_types::Secret::new(variable(&variables, "WEBHOOK_SECRET"));
    let verified = runnersmith_webhook::verify(&[secret], Some(&signature), None, false, body.as_bytes());
    assert!(verified.is_ok(), "the stored secret is the one that signs");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_follows_from_what_it_is_wanted_for() {
    let bed = Bed::new().await;
    let asked = ["--organization", "acme", "--runners", "repository", "--profile", "minimal", "--issueops"];
    let more = ["--webhook-url", "https://runners.acme.example/webhook", "--name", "of acme <\"&'>", "--json"];
    let (child, said, address) = bed.create(&[&asked[..], &more[..]].concat());
    let (action, manifest, location) = post(&address).await;
    let form = format!("{}/organizations/acme/settings/apps/new?state=", bed.github.base_url());
    assert!(action.starts_with(&form), "{action}");
    assert_eq!(manifest["name"], "of acme <\"&'>");
    let permissions: Vec<&String> = manifest["default_permissions"].as_object().unwrap().keys().collect();
    let wanted = ["actions", "administration", "contents", "issues", "members", "metadata", "pull_requests"];
    assert_eq!(permissions, wanted);
    assert_eq!(
        manifest["hook_attributes"],
        serde_json::json!({"active": true, "url": "https://runners.acme.example/webhook"})
    );
    assert_eq!(get(&location).await.0, 200);
    let (code, out) = end(child, said);
    assert_eq!(code, Some(0), "{out}");
    let made: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&made["env_file"], &made["key_file"]), (&"runnersmith-app.env".into(), &Value::Null));
    let (_, found) = bed.check("runnersmith-app.env", &asked[2..]);
    assert_eq!(word(&found, "repository_runners"), (true, true));
    assert_eq!((word(&found, "organization_runners"), word(&found, "tell")), ((false, false), (false, false)));

    // Of a person, and one that only listens to the organisation's webhook.
    let (mut child, _said, address) =
        bed.create(&["--user", "octocat", "--webhook", "organization", "--env-out", "two.env"]);
    let (action, manifest, _) = post(&address).await;
    assert!(action.starts_with(&format!("{}/settings/apps/new?state=", bed.github.base_url())), "{action}");
    assert_eq!(manifest["hook_attributes"]["active"], false);
    assert_eq!(manifest["default_events"], serde_json::json!([]));
    assert_eq!(manifest["default_permissions"]["organization_hooks"], "write");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_answer_is_refused_and_the_right_one_still_comes_through() {
    let bed = Bed::new().await;
    let (child, said, address) = bed.create(&["--organization", "acme", "--env-out", "app.env"]);
    let (base, _) = address.rsplit_once('/').unwrap();
    let (_, _, location) = post(&address).await;
    for foreign in [
        format!("{base}/callback?code=abc"),
        format!("{base}/callback?code=abc&state="),
        format!("{base}/callback?code=abc&state={}", "0".repeat(64)),
        format!("{base}/callback"),
        format!("{base}/{}", "0".repeat(64)),
    ] {
        let (status, text) = get(&foreign).await;
        assert_eq!(status, 403, "{foreign}: {text}");
    }
    // A name that somebody points to this machine is not this address.
    let other = browser().get(&address).header("Host", "evil.example").send().await.unwrap();
    assert_eq!(other.status(), 403);
    assert!(!other.text().await.unwrap().contains("state="));
    assert_eq!(get(&location).await.0, 200);
    let (code, out) = end(child, said);
    assert_eq!(code, Some(0), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_github_does_not_know_ends_the_command_and_leaves_nothing() {
    let bed = Bed::new().await;
    let (child, said, address) = bed.create(&["--organization", "acme", "--key-out", "app.pem"]);
    let (_, _, location) = post(&address).await;
    let code = between(&location, "code=", "&").to_owned();
    let (status, page) = get(&location.replace(&code, "anothercode")).await;
    assert_eq!(status, 502, "{page}");
    let (exit, out) = end(child, said);
    assert_eq!(exit, Some(4), "{out}");
    assert!(out.contains("hint:") && !out.contains("anothercode"), "{out}");
    assert_eq!(std::fs::read_dir(bed.home.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_and_nothing_is_left() {
    let bed = Bed::new().await;
    let arguments = ["--organization", "acme", "--key-out", "app.pem", "--timeout-minutes", "0.01"];
    let (child, said, _) = bed.create(&arguments);
    let (code, out) = end(child, said);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("no browser came back") && out.contains("hint:"), "{out}");
    assert_eq!(std::fs::read_dir(bed.home.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_never_overwritten_and_nothing_is_made() {
    let bed = Bed::new().await;
    std::fs::write(bed.path("app.pem"), "mine").unwrap();
    std::fs::write(bed.path("runnersmith-app.env"), "mine too").unwrap();
    for (arguments, code) in [
        (&["--key-out", "app.pem"][..], 4),
        (&["--env-out", "app.pem"], 4),
        (&["--key-out", "new.pem"], 4),
        (&["--env-out", "nowhere/app.env"], 4),
        (&["--webhook-url", "no address"], 2),
        (&["--webhook-url", "https://a.example", "--webhook", "none"], 2),
        (&["--name", "a name that has more than 34 characters"], 2),
        (&["--timeout-minutes", "61"], 2),
        (&["--user", "octocat"], 2),
        (&["--server-url", "github.acme.corp"], 3),
        (&["--ssm-path", "no path"], 3),
    ] {
        let said = bed.command(&["create", "--no-browser", "--organization", "acme"]).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(!text.contains("open this page"), "{arguments:?}: {text}");
    }
    assert_eq!(std::fs::read_to_string(bed.path("app.pem")).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(bed.home.path()).unwrap().count(), 2, "the file that could be made is gone again");
}

#[cfg(not(feature = "aws"))]
#[tokio::test(flavor = "multi_thread")]
async fn without_aws_parameter_store_is_refused_before_anything_is_made() {
    let bed = Bed::new().await;
    let said = bed.command(&["create", "--organization", "acme", "--ssm-path", "/runnersmith/acme"]).output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(3), "{text}");
    assert!(text.contains("built without AWS") && text.contains("--features aws"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_app_and_a_strong_one_are_reported_feature_by_feature() {
    let bed = Bed::new().await;
    let key = runnersmith_github_sim::app_key();
    let app = App {
        slug: "by-hand".into(),
        private_key_pem: key.clone(),
        webhook_secret: "s".into(),
        webhook_url: Some("https://runners.acme.example/webhook".into()),
    };
    let id = bed.github.add_app(app).unwrap();
    bed.github.install(id, "acme");
    std::fs::write(bed.path("app.pem"), key).unwrap();
    std::fs::write(bed.path("secret"), "s").unwrap();
    let base = bed.github.base_url();
    let config = |sets: &str| {
        let text = format!(
            "version = 1\n[github]\nserver_url = \"{base}\"\napi_url = \"{base}\"\napp_id = \"{id}\"\n\
             private_key_file = \"app.pem\"\nwebhook_secret_file = \"secret\"\n{sets}"
        );
        std::fs::write(bed.path("runnersmith.toml"), text).unwrap();
    };
    let check = |arguments: &[&str]| {
        let said = bed.command(&["check", "--config", "runnersmith.toml"]).args(arguments).output().unwrap();
        (said.status.code(), String::from_utf8_lossy(&said.stdout).into_owned())
    };
    let set = "[[scale_set]]\nname = \"linux\"\nlabels = [\"linux\"]\nat = \"acme\"\nrunners_max = 1\n";
    config(set);

    // Too weak: the philips-labs module's permissions, for a set whose authors are notified.
    let seed =
        [("actions", "read"), ("checks", "read"), ("metadata", "read"), ("organization_self_hosted_runners", "write")];
    bed.github.set_app_permissions(id, &seed, &["check_run", "workflow_job"]);
    bed.github.accept_permissions("acme");
    let (code, text) = check(&[]);
    assert_eq!(code, Some(1), "{text}");
    let lacks = "MISSING    notifying authors why their job does not run: the permission Repository: Checks (read and write; it has read)";
    assert!(text.contains(lacks), "{text}");
    assert!(text.contains("/organizations/acme/settings/apps/by-hand/permissions"), "where it is changed: {text}");
    assert!(text.contains("works      registering runners of an organisation"), "{text}");
    let (code, text) = check(&["--profile", "minimal"]);
    assert_eq!(code, Some(0), "{text}");
    config(&format!("{set}tell = false\n"));
    assert_eq!(check(&[]).0, Some(0), "the configuration says that nobody is notified");

    // The App asks for more now, and no owner has accepted it.
    config(&format!("{set}rerun_interrupted = true\n"));
    let full = [
        ("actions", "write"),
        ("checks", "write"),
        ("metadata", "read"),
        ("organization_self_hosted_runners", "write"),
    ];
    bed.github.set_app_permissions(id, &full, &["workflow_job"]);
    let (code, text) = check(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("in acme an owner must accept new permissions: the permission Repository: "), "{text}");
    assert!(text.contains("/permissions/update"), "{text}");
    bed.github.accept_permissions("acme");
    let (code, text) = check(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("too much"), "{text}");

    // Too strong: it is enough, and what it could do without is shown.
    let mut strong = full.to_vec();
    strong.extend([("contents", "write"), ("administration", "write"), ("secrets", "write")]);
    bed.github.set_app_permissions(id, &strong, &["workflow_job", "push"]);
    bed.github.accept_permissions("acme");
    let (code, text) = check(&[]);
    assert_eq!(code, Some(0), "{text}");
    for shown in
        ["Contents (read and write): only IssueOps", "secrets (read and write): nothing", "event push: nothing"]
    {
        assert!(text.contains(shown), "{text}");
    }

    // A configuration of requests alone: who asks gets runners of an organisation, and the control repository is written to.
    let requests = "[issueops]\nrepository = \"acme/control\"\n";
    config(requests);
    bed.github.set_app_permissions(id, &seed, &["workflow_job"]);
    bed.github.accept_permissions("acme");
    let (code, text) = check(&[]);
    assert_eq!(code, Some(1), "{text}");
    let lacks = "MISSING    IssueOps by this App: the permission Repository: Contents (read and write), \
                 the permission Repository: Issues (read and write), the permission Repository: Pull requests (read and write)";
    assert!(text.contains(lacks), "{text}");
    assert!(text.contains("works      registering runners of an organisation"), "{text}");
    let asks = [
        ("contents", "write"),
        ("issues", "write"),
        ("members", "read"),
        ("metadata", "read"),
        ("pull_requests", "write"),
        ("actions", "read"),
        ("organization_self_hosted_runners", "write"),
    ];
    // Environments of Terraform register with their own control planes.
    for (given, provisioner, wanted) in
        [(&asks[..], "embedded", Some(0)), (&asks[..5], "embedded", Some(1)), (&asks[..5], "terraform", Some(0))]
    {
        config(&format!("{requests}provisioner = \"{provisioner}\"\n"));
        bed.github.set_app_permissions(id, given, &["issue_comment", "issues", "pull_request", "workflow_job"]);
        bed.github.accept_permissions("acme");
        let (code, text) = check(&[]);
        assert_eq!(code, wanted, "{provisioner}: {text}");
        assert!(!text.contains("too much   Repository"), "{text}");
    }

    // Another place, and another key.
    config(&set.replace("acme", "elsewhere"));
    let (code, text) = check(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("the App is not installed in elsewhere"), "{text}");
    std::fs::write(bed.path("app.pem"), runnersmith_github_sim::app_key()).unwrap();
    let (code, text) = check(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("PROBLEM") && text.contains("private key"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisations_webhook_is_made_once_and_named_as_the_configuration_wants_it() {
    let bed = Bed::new().await;
    let arguments = ["--organization", "acme", "--webhook", "organization", "--env-out", "app.env"];
    bed.made(&arguments).await;
    let id = variable(&bed.path("app.env"), "APP_ID").parse().unwrap();
    bed.github.install(id, "acme");
    let webhook = ["webhook", "--json", "--organization", "acme", "--url", "https://runners.acme.example/webhook"];
    let mut hooks = Vec::new();
    for moved in [true, false] {
        let said = bed.with_env("app.env", &webhook);
        let set: Value = serde_json::from_slice(&said.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
        assert_eq!(set["moved"], moved);
        hooks.push(set["hook"].as_str().unwrap().to_owned());
    }
    assert_eq!(hooks[0], hooks[1]);
    assert!(hooks[0].starts_with("orgs/acme/hooks/"), "{hooks:?}");
    let (code, found) = bed.check("app.env", &arguments[2..4]);
    assert_eq!(code, Some(0), "{found:#}");

    // A configuration that names it is checked against the webhook itself.
    let base = bed.github.base_url();
    let text = format!(
        "version = 1\n[github]\nserver_url = \"{base}\"\napp_id = \"{id}\"\nprivate_key_base64_env = \"APP_KEY_BASE64\"\n\
         webhook_secret_env = \"WEBHOOK_SECRET\"\nwebhook = \"PLACE\"\n[[scale_set]]\nname = \"linux\"\nlabels = [\"linux\"]\n\
         at = \"acme\"\nrunners_max = 1\ntell = false\n"
    );
    for (hook, wanted) in [(hooks[0].as_str(), Some(0)), ("orgs/acme/hooks/999999", Some(1))] {
        std::fs::write(bed.path("own.toml"), text.replace("PLACE", hook)).unwrap();
        let (code, found) = bed.check("app.env", &["--config", "own.toml"]);
        assert_eq!(code, wanted, "{found:#}");
    }

    // With requests it must send more, and `app webhook` knows that from the configuration, too.
    let text = text.replace("PLACE", &hooks[0]) + "[issueops]\nrepository = \"acme/control\"\n";
    std::fs::write(bed.path("own.toml"), text).unwrap();
    let (_, found) = bed.check("app.env", &["--config", "own.toml"]);
    assert_eq!(kinds(&found), ["events"], "{found:#}");
    let said = bed.with_env("app.env", &[&webhook[..], &["--config", "own.toml"]].concat());
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let (_, found) = bed.check("app.env", &["--config", "own.toml"]);
    assert_eq!(kinds(&found), Vec::<&str>::new(), "{found:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_or_a_secret_the_variable_is_named() {
    let bed = Bed::new().await;
    let said = bed.command(&["check"]).output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.code() == Some(3) && text.contains("APP_ID") && text.contains("hint:"), "{text}");
    let said = bed.command(&["check"]).env("APP_ID", "1").output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.code() == Some(3) && text.contains("APP_KEY_BASE64"), "{text}");
    bed.made(&["--organization", "acme", "--env-out", "app.env"]).await;
    let url = "https://runners.acme.example/webhook";
    let said = bed.with_env("app.env", &["webhook", "--secret-env", "NOT_SET_ANYWHERE", "--url", url]);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.code() == Some(3) && text.contains("NOT_SET_ANYWHERE"), "{text}");
}
