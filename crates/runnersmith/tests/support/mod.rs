//! A world for tests: a simulated GitHub in the test's process, `runnersmith serve` as a process of its own.
//! Leftovers fail the test.

#![allow(dead_code, reason = "each test file uses its part of the world")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use runnersmith_github_sim::{App, JobSpec, Options, Simulator, WorkflowSpec};
use runnersmith_types::Secret;

pub const SECRET: &str = "it is a test's secret";

pub struct Bed {
    pub github: Simulator,
    pub home: tempfile::TempDir,
    pub port: u16,
    pub sets: String,
    /// The App's ID at the simulated GitHub.
    pub app: u64,
}

/// A port that was free a moment ago. Only used where a server must come back on the same one.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Bed {
    /// A world with one ephemeral set `linux` for the organisation acme.
    pub async fn new(runners_max: u32) -> Self {
        Self::with_sets(&format!(
            r#"
[[scale_set]]
name = "linux"
labels = ["self-hosted", "linux", "x64"]
level = "organization"
at = "acme"
runners_max = {runners_max}
"#
        ))
        .await
    }

    pub async fn with_sets(sets: &str) -> Self {
        // A second call finds it installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = runnersmith_github_sim::app_key();
        let github = Simulator::start(Options::default()).await.unwrap();
        github.add_org("acme");
        github.add_repository("acme/shop");
        let port = free_port();
        let app = github
            .add_app(App {
                slug: "runnersmith-test".into(),
                private_key_pem: key.clone(),
                webhook_secret: SECRET.into(),
                webhook_url: Some(format!("http://127.0.0.1:{port}/webhook")),
            })
            .unwrap();
        github.install(app, "acme");
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("app.pem"), key).unwrap();
        std::fs::write(home.path().join("secret"), SECRET).unwrap();
        let exe = PathBuf::from(env!("CARGO_BIN_EXE_runnersmith"));
        runnersmith_fake_runner::write_distribution(&home.path().join("distribution"), &exe).unwrap();
        let bed = Self { github, home, port, sets: sets.to_owned(), app };
        bed.write_config("runnersmith.toml", port, app);
        bed
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write_config(&self, name: &str, port: u16, app: u64) {
        let home = self.home.path().display();
        let base = self.github.base_url();
        let text = format!(
            r#"
version = 1
[server]
listen = "127.0.0.1:{port}"
[store]
directory = "{home}/data"
[github]
server_url = "{base}"
api_url = "{base}"
app_id = "{app}"
private_key_file = "{home}/app.pem"
webhook_secret_file = "{home}/secret"
[limits]
jit_per_minute = 5000
calls_per_minute = 20000
[local]
runner_distribution = "{home}/distribution"
machines_directory = "{home}/machines"
[timer]
full_pass_seconds = 2
sweep_seconds = 1
{sets}
"#,
            sets = self.sets
        );
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn serve(&self) -> Serve {
        self.serve_with("runnersmith.toml")
    }

    pub fn serve_with(&self, config: &str) -> Serve {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("serve.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_runnersmith"))
            .arg("serve")
            .arg("--config")
            .arg(self.path(config))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Serve { child }
    }

    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_runnersmith"))
            .args(arguments)
            .arg("--config")
            .arg(self.path("runnersmith.toml"))
            .output()
            .unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("serve.log")).unwrap_or_default()
    }

    /// Machine processes of this world that still run.
    pub fn machines_alive(&self) -> Vec<String> {
        processes_with(self.home.path())
    }

    /// Every machine that was ever made, by its directory.
    pub fn machine_directories(&self) -> Vec<String> {
        std::fs::read_dir(self.path("machines"))
            .map(|entries| {
                entries
                    .filter_map(Result::ok)
                    .filter(|e| e.path().join("machine.json").exists())
                    .map(|e| e.file_name().to_string_lossy().into_owned())
                    .collect()
            })
            .unwrap_or_default()
    }

    pub async fn ready(&self) {
        let client = reqwest::Client::new();
        until(
            "the server is ready",
            Duration::from_secs(30),
            || self.log(),
            async || matches!(client.get(self.url("/readyz")).send().await, Ok(answer) if answer.status().is_success()),
        )
        .await;
    }
}

pub struct Serve {
    pub child: Child,
}

impl Serve {
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its exit code.
    pub async fn stop(mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server did not stop within 30 s of SIGTERM");
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition, with a bound and a message.
pub async fn until(what: &str, within: Duration, more: impl Fn() -> String, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < within, "not within {within:?}: {what}\n{}", more());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

pub fn jobs(count: usize, duration: Duration) -> WorkflowSpec {
    WorkflowSpec {
        name: "test".into(),
        jobs: (0..count)
            .map(|n| JobSpec {
                name: format!("job {n}"),
                labels: vec!["self-hosted".into(), "linux".into()],
                duration,
                ..JobSpec::default()
            })
            .collect(),
    }
}

fn processes_with(home: &Path) -> Vec<String> {
    let needle = home.display().to_string();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&needle) && !line.contains(" serve "))
        .collect()
}

pub fn secret() -> Secret {
    Secret::new(SECRET)
}

/// GitHub's signature of a body.
pub fn sign(secret: &str, body: &[u8]) -> String {
    use std::fmt::Write as _;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    ring::hmac::sign(&key, body).as_ref().iter().fold(String::from("sha256="), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
