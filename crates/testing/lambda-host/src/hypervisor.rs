//! An EC2 whose machines really run: each that the emulator says is running gets its user data started as a process, with a
//! metadata service of its own, the machine's role, and shims where a real machine would be changed.
//!
//! A machine that shuts itself down is terminated in the emulator, as an instance whose template says so would be; one
//! that is terminated in the emulator is killed.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Path as UrlPath;
use axum::http::StatusCode;
use axum::routing::{get, put};
use base64::Engine as _;
use serde_json::json;
use tokio::task::JoinSet;

use crate::account::{Account, between};

/// How a machine is started: what a test puts in place of the real thing.
#[derive(Clone)]
pub struct MachineStart {
    /// The role whose credentials the machine has.
    pub role: String,
    /// Other roles, by the machine's environment: several control planes in one account.
    pub roles: BTreeMap<String, String>,
    /// Directories before everything else on its path (the AWS CLI's, for example).
    pub path: Vec<PathBuf>,
    /// Another program than the user data; it gets the same environment and `RUNNERSMITH_MACHINE`.
    pub program: Option<PathBuf>,
}

/// A running hypervisor.
pub struct Hypervisor {
    home: Arc<tempfile::TempDir>,
    started: Arc<Mutex<BTreeMap<String, Option<u32>>>>,
    tasks: JoinSet<()>,
}

impl Hypervisor {
    /// Watches the account's machines.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn start(account: &Account, start: MachineStart) -> Result<Self, String> {
        let home = Arc::new(tempfile::tempdir().map_err(|error| format!("the machines' directory: {error}"))?);
        let started: Arc<Mutex<BTreeMap<String, Option<u32>>>> = Arc::default();
        let watch = Watch { account: account.clone(), start, home: home.clone(), started: started.clone() };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { watch.run().await });
        Ok(Self { home, started, tasks })
    }

    /// How many machines were ever started.
    #[must_use]
    pub fn started(&self) -> usize {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many still run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().count()
    }

    /// What all machines said on their consoles, and what went wrong with starting them.
    #[must_use]
    pub fn consoles(&self) -> String {
        let said = self.machines().into_iter().map(|id| {
            let console = self.read(&id, "console") + &self.read(&id, "trouble");
            format!("--- {id}\n{console}")
        });
        said.collect::<Vec<_>>().join("\n")
    }

    /// A file of a machine's disk, for a test's message.
    #[must_use]
    pub fn read(&self, machine: &str, path: &str) -> String {
        std::fs::read_to_string(self.home.path().join(machine).join(path)).unwrap_or_default()
    }

    /// All machines that were started.
    #[must_use]
    pub fn machines(&self) -> Vec<String> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl Drop for Hypervisor {
    fn drop(&mut self) {
        self.tasks.abort_all();
        for process in self.started.lock().unwrap_or_else(PoisonError::into_inner).values().flatten() {
            kill_group(*process);
        }
    }
}

fn kill_group(process: u32) {
    if let Ok(group) = i32::try_from(process) {
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGKILL);
    }
}

#[derive(Clone)]
struct Watch {
    account: Account,
    start: MachineStart,
    home: Arc<tempfile::TempDir>,
    started: Arc<Mutex<BTreeMap<String, Option<u32>>>>,
}

/// Asks `DescribeInstances` for machines that are not terminated: EC2 lists terminated ones for an hour, and a list that only
/// grows is dear.
pub const NOT_TERMINATED: &[(&str, &str)] = &[
    ("Filter.1.Name", "instance-state-name"),
    ("Filter.1.Value.1", "pending"),
    ("Filter.1.Value.2", "running"),
    ("Filter.1.Value.3", "shutting-down"),
    ("Filter.1.Value.4", "stopping"),
    ("Filter.1.Value.5", "stopped"),
];

fn alive() -> Vec<(String, String)> {
    NOT_TERMINATED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Watch {
    fn started(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<u32>>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) {
        let mut machines = JoinSet::new();
        loop {
            match self.account.query("ec2", "DescribeInstances", alive()).await {
                Ok(xml) => {
                    let listed: BTreeMap<_, _> = instances(&xml).into_iter().collect();
                    // What is not listed any more is terminated.
                    let ended = |id: &String| {
                        listed.get(id).is_none_or(|state| matches!(state.as_str(), "shutting-down" | "stopped"))
                    };
                    for (id, process) in self.started().iter_mut().filter(|(id, _)| ended(id)) {
                        if let Some(process) = process.take() {
                            tracing::debug!(machine = id, "the machine is ended from outside");
                            kill_group(process);
                        }
                    }
                    for (id, state) in listed {
                        if matches!(state.as_str(), "running" | "pending") && !self.started().contains_key(&id) {
                            self.started().insert(id.clone(), None);
                            let watch = self.clone();
                            machines.spawn(async move { watch.machine(id).await });
                        }
                    }
                }
                Err(error) => tracing::debug!(error, "the machines cannot be listed"),
            }
            while machines.try_join_next().is_some() {}
            // EC2 has no call that waits for a change.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// One machine's life.
    async fn machine(&self, id: String) {
        if let Err(error) = self.live(&id).await {
            let _ = std::fs::write(self.home.path().join(&id).join("trouble"), &error);
            tracing::error!(machine = id, error, "a machine could not live");
        }
        self.started().insert(id.clone(), None);
        // Instance-initiated shutdown terminates; faults that a test injects do not keep the hypervisor from it.
        for _ in 0..20 {
            let ended =
                self.account.query("ec2", "TerminateInstances", vec![("InstanceId.1".into(), id.clone())]).await;
            if ended.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn live(&self, id: &str) -> Result<(), String> {
        let root = self.home.path().join(id);
        let shims = root.join("shims");
        std::fs::create_dir_all(&shims).map_err(|error| error.to_string())?;
        // Asked for, and then this machine's processes end.
        shim(
            &shims,
            "shutdown",
            "echo \"$*\" >>\"$RUNNERSMITH_ROOT/shutdown\"\nkill -TERM -- \"-$RUNNERSMITH_GROUP\" 2>/dev/null; exit 0",
        )?;
        for quiet in [
            "dnf",
            "rpm",
            "systemctl",
            "usermod",
            "useradd",
            "install",
            "update-ca-trust",
            "amazon-cloudwatch-agent-ctl",
        ] {
            let log = format!("echo \"{quiet} $*\" >>\"$RUNNERSMITH_ROOT/changes\"");
            // No package is there, so that all are asked for.
            shim(&shims, quiet, if quiet == "rpm" { "exit 1" } else { &log })?;
        }
        let environment = self.environment(id).await?;
        let role = self.start.roles.get(&environment).unwrap_or(&self.start.role);
        let [key, secret, token] = self.account.assume(role, id).await?;
        let address = metadata(id.to_owned()).await?;
        let program = match &self.start.program {
            Some(program) => program.clone(),
            None => {
                let script = root.join("user-data.sh");
                let text = self.user_data(id).await?.ok_or_else(|| format!("{id} has no user data"))?;
                std::fs::write(&script, text).map_err(|error| error.to_string())?;
                std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700))
                    .map_err(|error| error.to_string())?;
                script
            }
        };
        let mut path: Vec<String> = vec![shims.display().to_string()];
        path.extend(self.start.path.iter().map(|directory| directory.display().to_string()));
        path.push("/usr/local/bin:/usr/bin:/bin".into());
        let console = std::fs::File::create(root.join("console")).map_err(|error| error.to_string())?;
        let errors = console.try_clone().map_err(|error| error.to_string())?;
        // The group's number is the first process's, which `sh` can say of itself.
        let mut command = tokio::process::Command::new("/bin/sh");
        command
            .arg("-c")
            .arg("RUNNERSMITH_GROUP=$$ exec \"$0\"")
            .arg(program)
            .env_clear()
            .env("PATH", path.join(":"))
            .env("HOME", &root)
            .env("RUNNERSMITH_ROOT", &root)
            .env("RUNNERSMITH_IMDS", address)
            .env("RUNNERSMITH_MACHINE", id)
            .env("RUNNERSMITH_ENVIRONMENT", environment)
            .env("AWS_ENDPOINT_URL", self.account.emulator().url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_SESSION_TOKEN", token)
            .current_dir(&root)
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(errors)
            .process_group(0);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let process = child.id().unwrap_or_default();
        self.started().insert(id.to_owned(), Some(process));
        let _ = child.wait().await;
        kill_group(process);
        Ok(())
    }

    /// Which environment it is of, as its user data says; empty: it has none, or it is a test's that says nothing.
    async fn environment(&self, id: &str) -> Result<String, String> {
        let script = self.user_data(id).await?.unwrap_or_default();
        let path = String::from_utf8_lossy(&script);
        let name = path.split("parameter='/runnersmith/").nth(1).and_then(|rest| rest.split_once("/hand-off"));
        Ok(name.map(|(name, _)| name.to_owned()).unwrap_or_default())
    }

    async fn user_data(&self, id: &str) -> Result<Option<Vec<u8>>, String> {
        let parameters = vec![("InstanceId".into(), id.to_owned()), ("Attribute".into(), "userData".into())];
        let xml = self.account.query("ec2", "DescribeInstanceAttribute", parameters).await?;
        let encoded = xml.split("<userData>").nth(1).and_then(|rest| between(rest, "value").into_iter().next());
        let decode = |text: String| base64::engine::general_purpose::STANDARD.decode(text.trim());
        encoded.map(decode).transpose().map_err(|error| error.to_string())
    }
}

fn shim(directory: &Path, name: &str, body: &str) -> Result<(), String> {
    let file = directory.join(name);
    std::fs::write(&file, format!("#!/bin/bash\n{body}\n")).map_err(|error| error.to_string())?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())
}

/// Ids and states.
fn instances(xml: &str) -> Vec<(String, String)> {
    let items = xml.split("<instanceId>").skip(1);
    items
        .filter_map(|rest| {
            let id = rest.split("</instanceId>").next()?.to_owned();
            let state = rest.split("<instanceState>").nth(1)?;
            Some((id, between(state, "name").into_iter().next()?))
        })
        .collect()
}

/// The metadata service of one machine: version 2 only.
async fn metadata(id: String) -> Result<String, String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let token = format!("token-of-{id}");
    let given = token.clone();
    let read = move |headers: axum::http::HeaderMap, UrlPath(path): UrlPath<String>| {
        let (id, token) = (id.clone(), token.clone());
        async move {
            let shown = headers.get("x-aws-ec2-metadata-token").and_then(|value| value.to_str().ok());
            if shown != Some(token.as_str()) {
                return (StatusCode::UNAUTHORIZED, String::new());
            }
            match path.as_str() {
                "meta-data/instance-id" => (StatusCode::OK, id),
                "dynamic/instance-identity/document" => {
                    (StatusCode::OK, json!({ "instanceId": id, "region": "us-east-1" }).to_string())
                }
                _ => (StatusCode::NOT_FOUND, String::new()),
            }
        }
    };
    let router =
        Router::new().route("/latest/api/token", put(move || async move { given })).route("/latest/{*path}", get(read));
    tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    Ok(format!("http://{address}"))
}
