//! A control repository with both modes of its handler: a workflow that is played, each event starting the real program as its
//! jobs would, and a running server; with the real Terraform and the real provider against the emulator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_aws_emulator::Emulator;
use runnersmith_github::{GitHubClient, GitHubConfig};
use runnersmith_github_sim::Simulator;
use runnersmith_lambda_host::TlsFront;
use runnersmith_ports::control::FileChanges;
use runnersmith_ports::{ControlRepository as _, SystemClock};
use runnersmith_types::{RepoFullName, Secret};
use serde_json::{Value, json};

use super::terraform::default_network;
use super::{GitHub, SECRET, built, github, zipped};

pub const REPO: &str = "acme/control";
pub const SET: &str = "self-hosted-runner-scale-set";
pub const DELETE: &str = "delete-self-hosted-runner-scale-set";
const BUCKET: &str = "states";

/// Who the functions and the program are.
pub struct App {
    pub id: u64,
    pub key: String,
}

/// A control repository on a server that looks like GitHub's, and its App's number.
pub async fn world(lock_table: bool) -> (Control, TlsFront, u64) {
    let emulator = Arc::new(Emulator::start().unwrap());
    let GitHub { simulator, app, key, front } = github().await;
    let server = (front.url.clone(), front.authority.clone());
    let who = App { id: app, key };
    let control = Control::new(simulator, emulator, who, (&server.0, &server.1), lock_table).await;
    (control, front, app)
}

/// The repository, with its workflow.
pub struct Control {
    pub github: Simulator,
    pub emulator: Arc<Emulator>,
    home: tempfile::TempDir,
    app: App,
    seen: std::sync::atomic::AtomicUsize,
    run: std::sync::atomic::AtomicU64,
}

/// What a step said and left.
pub struct Step {
    pub code: Option<i32>,
    pub text: String,
    pub goes_on: bool,
}

impl Control {
    /// Lays the repository out, with the module in it, and the bucket of states; `lock_table`: DynamoDB keeps the locks.
    pub async fn new(
        github: Simulator,
        emulator: Arc<Emulator>,
        app: App,
        server: (&str, &str),
        lock_table: bool,
    ) -> Self {
        github.add_repository(REPO);
        for (login, role) in [("ann", "read"), ("wanda", "write"), ("walt", "write"), ("adam", "admin")] {
            github.add_user(login);
            github.set_role(REPO, login, role);
        }
        emulator.rest("s3", "PUT", &format!("/{BUCKET}"), b"").unwrap();
        if lock_table {
            let table = json!({ "TableName": "locks", "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{ "AttributeName": "LockID", "AttributeType": "S" }],
                "KeySchema": [{ "AttributeName": "LockID", "KeyType": "HASH" }] });
            emulator.json("dynamodb", "DynamoDB_20120810.CreateTable", &table).unwrap();
        }
        let (vpc, subnet) = default_network(&emulator);
        let lock = if lock_table { "dynamodb_table = \"locks\"\n" } else { "" };
        let policy = format!(
            "version = 1\norganizations = [\"acme\"]\nmodule_source = \"../../vendor/runnersmith//terraform\"\nghes_url = \"{}\"\nghes_ca = '''\n{}'''\n\n[backend]\nbucket = \"{BUCKET}\"\nregion = \"us-east-1\"\n{lock}\n[[network]]\nregion = \"us-east-1\"\nvpc_id = \"{vpc}\"\nsubnet_ids = [\"{subnet}\"]\n\n[webhook]\nset = \"organization\"\n",
            server.0, server.1
        );
        github.write_files(REPO, "main", &[("runnersmith-policy.toml", &policy), ("README.md", "# Runners\n")]);
        let mut config = GitHubConfig::with_token(&github.base_url(), Secret::new(github.user_token("adam")));
        config.api_base = Some(github.base_url());
        let client = Arc::new(GitHubClient::new(config, Arc::new(SystemClock)).unwrap());
        let adam = runnersmith_github::ControlClient::new(client, RepoFullName::parse(REPO).unwrap());
        let main = adam.branch("main").await.unwrap().unwrap();
        let commit = adam.commit(&main, "Vendor the module", &module()).await.unwrap();
        adam.move_branch("main", &commit, false).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        // Writes the file by which Terraform finds its providers.
        drop(runnersmith_aws_emulator::terraform::command(home.path(), home.path(), None).unwrap());
        let seen = github.events().len().into();
        Self { github, emulator, home, app, seen, run: 1.into() }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program, where it finds Terraform and AWS.
    fn program(&self) -> Command {
        let mut command = Command::new(built("runnersmith"));
        command.env_clear().current_dir(self.home.path());
        for (name, value) in [
            ("PATH", std::env::var("PATH").unwrap_or_default().as_str()),
            ("HOME", &self.home.path().display().to_string()),
            ("TMPDIR", &self.home.path().display().to_string()),
            ("TF_CLI_CONFIG_FILE", &self.home.path().join("terraformrc").display().to_string()),
            ("AWS_ENDPOINT_URL", self.emulator.url()),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_REGION", "us-east-1"),
        ] {
            command.env(name, value);
        }
        command
    }

    fn command(&self, run: u64, output: &Path) -> Command {
        let mut command = self.program();
        command.arg("issueops");
        let base = self.github.base_url();
        for (name, value) in [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", REPO),
            ("GITHUB_SERVER_URL", &base),
            ("GITHUB_API_URL", &base),
            ("GITHUB_RUN_ID", &run.to_string()),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_OUTPUT", &output.display().to_string()),
            ("GITHUB_TOKEN", &self.github.actions_token(REPO)),
            ("APP_ID", &self.app.id.to_string()),
            ("APP_KEY_BASE64", &STANDARD.encode(&self.app.key)),
            ("APP_CLIENT_ID", ""),
            ("APP_CLIENT_SECRET", ""),
            ("ENTERPRISE_SERVER_URL", ""),
            ("WEBHOOK_SECRET", SECRET),
        ] {
            command.env(name, value);
        }
        command
    }

    /// A run of the workflow in GitHub.
    pub fn begin_run(&self) -> u64 {
        let run = self.run.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.github.add_workflow_run(REPO, 9_000_000 + run, "in_progress");
        9_000_000 + run
    }

    pub fn end_run(&self, run: u64) {
        self.github.set_workflow_run_status(run, "completed");
    }

    fn done(output: &Output, file: &Path) -> Step {
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let outputs = std::fs::read_to_string(file).unwrap_or_default();
        Step { code: output.status.code(), text, goes_on: outputs.contains("continue=true") }
    }

    fn output_file(&self, run: u64, job: &str) -> PathBuf {
        self.home.path().join(format!("output-{run}-{job}"))
    }

    /// The job that handles an event.
    pub fn handle(&self, run: u64, event: &str, payload: &Value) -> Step {
        let file = self.home.path().join(format!("event-{run}.json"));
        std::fs::write(&file, payload.to_string()).unwrap();
        let output = self.output_file(run, "handle");
        let mut command = self.command(run, &output);
        command.arg("handle").env("GITHUB_EVENT_NAME", event).env("GITHUB_EVENT_PATH", &file);
        Self::done(&command.output().unwrap(), &output)
    }

    /// The job that may apply, as a command that is not started yet.
    pub fn continuing(&self, run: u64) -> Command {
        let mut command = self.command(run, &self.output_file(run, "continue"));
        command.args(["continue", "--wait-minutes", "10", "--look-seconds", "1"]);
        command
    }

    pub fn tick(&self) -> Step {
        let run = self.begin_run();
        let output = self.output_file(run, "tick");
        let step = Self::done(&self.command(run, &output).arg("tick").output().unwrap(), &output);
        self.end_run(run);
        step
    }

    /// What the workflow does with everything that has happened: its first job, and its second where the first says so.
    /// `continues` is false for a test that plays the second job itself; the runs that wait for it are answered.
    pub fn workflow(&self, continues: bool) -> Vec<u64> {
        let events = self.github.events();
        let seen = self.seen.swap(events.len(), std::sync::atomic::Ordering::SeqCst);
        let mut waiting = Vec::new();
        for (name, action, payload) in &events[seen..] {
            let by_person = payload["sender"]["type"] == "User";
            let is_ours = match name.as_str() {
                "issues" => ["opened", "edited", "labeled", "closed", "reopened"].contains(&action.as_str()),
                "issue_comment" => {
                    action == "created"
                        && payload["issue"]["pull_request"].is_object()
                        && payload["comment"]["body"].as_str().unwrap().contains('/')
                }
                _ => false,
            };
            if !by_person || !is_ours || payload["repository"]["full_name"] != REPO {
                continue;
            }
            let run = self.begin_run();
            let step = self.handle(run, name, payload);
            assert_eq!(step.code, Some(0), "{name} {action}\n{}", step.text);
            self.nothing_secret(&step.text);
            match (step.goes_on, continues) {
                (true, true) => {
                    let output = self.continuing(run).output().unwrap();
                    let text = format!(
                        "{}{}",
                        String::from_utf8_lossy(&output.stdout),
                        String::from_utf8_lossy(&output.stderr)
                    );
                    assert!(output.status.success(), "{text}");
                    self.nothing_secret(&text);
                    self.end_run(run);
                }
                (true, false) => waiting.push(run),
                (false, _) => self.end_run(run),
            }
        }
        waiting
    }

    /// A server that learns of requests by webhook alone.
    pub async fn serve(&self) -> Server {
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (home, base) = (self.home.path(), self.github.base_url());
        std::fs::write(home.join("app.pem"), &self.app.key).unwrap();
        std::fs::write(home.join("secret"), SECRET).unwrap();
        let config = format!(
            "version = 1\n[server]\nlisten = \"{listen}\"\n[store]\ndirectory = \"data\"\n[github]\nserver_url = \"{base}\"\napi_url = \"{base}\"\napp_id = \"{}\"\nprivate_key_file = \"app.pem\"\nwebhook_secret_file = \"secret\"\n[issueops]\nrepository = \"{REPO}\"\nprovisioner = \"terraform\"\ntick_seconds = 3600\n",
            self.app.id
        );
        std::fs::write(home.join("runnersmith.toml"), config).unwrap();
        self.github.set_webhook_url(&format!("http://{listen}/webhook"));
        self.github.subscribe(self.app.id, &["workflow_job", "issues", "issue_comment", "pull_request"]);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.program();
        command.args(["serve", "--config", "runnersmith.toml"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let before = self.log().len();
        let mut server = Server { child: command.spawn().unwrap(), home: home.canonicalize().unwrap() };
        self.until("the server serves", || {
            assert!(server.child.try_wait().unwrap().is_none(), "it has ended: {}", self.log());
            self.log()[before..].contains("\"serving\"").then_some(())
        })
        .await;
        server
    }

    fn log_file(&self) -> PathBuf {
        self.home.path().join("serve.log")
    }

    /// What the servers logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Waits until something is there.
    pub async fn until<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = found() {
                return found;
            }
            let said = || self.newest_pull().map(|pull| self.said(pull)).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(240), "never seen: {what}\n{}\n{}", said(), self.log());
            // Who does it is another process, and neither the simulator nor the emulator reports what it is asked for.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The pull request of an issue and the line that approves its plan, once there is one that is not `old`.
    pub async fn planned(&self, issue: u64, old: &str) -> (u64, String) {
        self.until("a plan is shown", || {
            let pull = self.newest_pull().filter(|pull| *pull > issue)?;
            let line = self.line(pull).filter(|line| line != old)?;
            Some((pull, line))
        })
        .await
    }

    /// Waits until a change is applied and merged, and its issue closed.
    pub async fn merged(&self, issue: u64, pull: u64) {
        let is_over = || self.github.pull(REPO, pull).merged && !self.github.issue(REPO, issue).open;
        self.until("the change is merged", || is_over().then_some(())).await;
    }

    /// Waits until a call is made.
    pub async fn called(&self, call: &str) {
        let is_made = || self.emulator.calls().unwrap().keys().any(|made| made.ends_with(call));
        self.until(call, || is_made().then_some(())).await;
    }

    pub fn nothing_secret(&self, text: &str) {
        let base64 = STANDARD.encode(&self.app.key);
        for secret in [SECRET, &base64, "PRIVATE KEY"] {
            assert!(!text.contains(secret), "a secret is shown in\n{text}");
        }
    }

    /// The pull request of the newest change.
    pub fn pull(&self) -> u64 {
        self.newest_pull().unwrap_or_else(|| panic!("no pull request: {}", self.said(1)))
    }

    fn newest_pull(&self) -> Option<u64> {
        self.github.numbers(REPO).into_iter().filter(|number| self.github.issue(REPO, *number).is_pull).max()
    }

    pub fn said(&self, number: u64) -> String {
        let comments = self.github.issue(REPO, number).comments;
        comments.iter().map(|comment| format!("[{}] {}\n---\n", comment.author, comment.body)).collect()
    }

    fn state(&self, pull: u64) -> Option<String> {
        let comments = self.github.issue(REPO, pull).comments;
        comments.into_iter().map(|comment| comment.body).find(|body| body.starts_with("<!-- runnersmith:state -->"))
    }

    fn line(&self, pull: u64) -> Option<String> {
        self.state(pull)?.lines().find(|line| line.starts_with("/approve ")).map(str::to_owned)
    }

    pub fn shown(&self, pull: u64) -> String {
        self.state(pull).unwrap_or_else(|| panic!("no plan: {}", self.said(pull)))
    }

    pub fn approve_line(&self, pull: u64) -> String {
        self.line(pull).unwrap_or_else(|| panic!("nothing to approve: {}", self.said(pull)))
    }

    /// Keys in the bucket.
    pub fn stored(&self) -> Vec<String> {
        let list = self.emulator.rest("s3", "GET", &format!("/{BUCKET}?list-type=2"), b"").unwrap();
        let list = String::from_utf8(list).unwrap();
        list.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }

    pub fn object(&self, key: &str) -> Vec<u8> {
        self.emulator.rest("s3", "GET", &format!("/{BUCKET}/{key}"), b"").unwrap()
    }
}

/// Ends everything whose directory is below this one, at once: the machine of the job is gone.
pub fn power_off(home: &Path) {
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let is_below = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(home));
        if is_below {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

/// A running server; killed when it is dropped, with what it started.
pub struct Server {
    child: Child,
    home: PathBuf,
}

impl Server {
    /// Stops it by a signal. Returns its exit code.
    pub async fn stop(mut self, control: &Control) -> Option<i32> {
        let signalled = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        control.until("the server has stopped", || self.child.try_wait().unwrap()).await.code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        power_off(&self.home);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request as the philips-labs module's users wrote it, as a block of JSON.
pub fn block(environment: &str, maximum: u32) -> String {
    format!(
        "```json\n{{\n  \"environment\": \"{environment}\",\n  \"organization\": \"acme\",\n  \"minRunners\": \"0\",\n  \"maxRunners\": \"{maximum}\",\n  \"runnerGroup\": \"default\",\n  \"amiFilter\": \"\",\n  \"amiOwner\": \"amazon\"\n}}\n```\n"
    )
}

/// The module with the functions of this build, below a folder of its own.
fn module() -> FileChanges {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = BTreeMap::new();
    for part in ["terraform/main.tf", "terraform/outputs.tf", "terraform/variables.tf", "terraform/versions.tf"] {
        files.insert(part.to_owned(), Some(std::fs::read(repository.join(part)).unwrap()));
    }
    for folder in ["terraform/modules", "crates/ec2/user-data"] {
        collect(&repository, &repository.join(folder), &mut files);
    }
    for (zip, program) in [
        ("webhook.zip", "lambda-webhook"),
        ("runners.zip", "lambda-runners"),
        ("runner-binaries-syncer.zip", "lambda-runner-binaries-syncer"),
    ] {
        files.insert(format!("terraform/functions/x86_64/{zip}"), Some(zipped(&built(program))));
    }
    files.into_iter().map(|(path, content)| (format!("vendor/runnersmith/{path}"), content)).collect()
}

fn collect(root: &Path, from: &Path, files: &mut FileChanges) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(".terraform") || name == "tests" {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            files.insert(shown, Some(std::fs::read(&path).unwrap()));
        }
    }
}
