//! One function: its code, its processes, and the invocations that they take.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::account::Account;
use crate::processes::kill;

/// Lambda runs at most so many of a function here, unless its own limit is lower.
const CONCURRENCY: usize = 10;

/// After so many invocations by its own messages Lambda takes a function for a loop ("approximately 16 times", Lambda guide,
/// "Recursive loop detection").
const LOOP_AFTER: u64 = 16;

/// What a failed invocation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// `Runtime.ExitError`, `Sandbox.Timedout`, or the function's own.
    pub kind: String,
    /// Why.
    pub message: String,
}

type Answer = Result<Value, FunctionError>;

/// An invocation that waits for a process.
pub(crate) struct Invocation {
    pub id: String,
    pub payload: Value,
    pub deadline_millis: u128,
    pub trace: String,
}

struct Pending {
    process: Option<String>,
    answer: oneshot::Sender<Answer>,
}

/// A deployed function.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub arn: String,
    account: Account,
    role: String,
    handler: String,
    memory: u64,
    timeout: Duration,
    may_loop: bool,
    variables: BTreeMap<String, String>,
    runtime_api: String,
    code: tempfile::TempDir,
    limit: usize,
    waiting: mpsc::UnboundedSender<Invocation>,
    offered: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    idle: AtomicUsize,
    pending: Mutex<HashMap<String, Pending>>,
    processes: Mutex<BTreeMap<String, u32>>,
    numbers: AtomicU64,
    invoked: AtomicU64,
}

impl Function {
    pub(crate) async fn new(
        account: Account,
        configuration: Value,
        host: &str,
        timeout_max: Duration,
    ) -> Result<Self, String> {
        let text = |name: &str| configuration[name].as_str().unwrap_or_default().to_owned();
        let name = text("FunctionName");
        let found = account.rest("lambda", "GET", format!("/2015-03-31/functions/{name}"), Value::Null).await?;
        let location = found["Code"]["Location"].as_str().unwrap_or_default();
        let path = location.find("/_emulator/").map(|at| location[at..].to_owned());
        let zip = account.bytes(path.ok_or_else(|| format!("{name}: its code cannot be fetched"))?).await?;
        let code = unpack(&name, zip)?;
        let limit = found["Concurrency"]["ReservedConcurrentExecutions"].as_u64();
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(CONCURRENCY).min(CONCURRENCY);
        let recursion = format!("/2024-08-31/functions/{name}/recursion-config");
        let recursion = account.rest("lambda", "GET", recursion, Value::Null).await?;
        let variables = configuration["Environment"]["Variables"].as_object().cloned().unwrap_or_default();
        let (waiting, offered) = mpsc::unbounded_channel();
        let timeout = Duration::from_secs(configuration["Timeout"].as_u64().unwrap_or(3)).min(timeout_max);
        Ok(Self {
            arn: text("FunctionArn"),
            role: text("Role"),
            handler: text("Handler"),
            memory: configuration["MemorySize"].as_u64().unwrap_or(128),
            timeout,
            may_loop: recursion["RecursiveLoop"] == "Allow",
            variables: variables
                .into_iter()
                .map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            runtime_api: format!("{host}/w/{name}"),
            name,
            account,
            code,
            limit,
            waiting,
            offered: AsyncMutex::new(offered),
            idle: AtomicUsize::new(0),
            pending: Mutex::default(),
            processes: Mutex::default(),
            numbers: AtomicU64::new(1),
            invoked: AtomicU64::default(),
        })
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The processes that run.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .copied()
            .filter(|process| *process > 0)
            .collect()
    }

    /// Invokes it and waits.
    ///
    /// # Errors
    /// Its own error, or that it crashed or took too long.
    pub async fn invoke(self: &Arc<Self>, payload: &Value) -> Answer {
        self.invoke_after(0, payload).await
    }

    /// How often the function was invoked: what is paid for, beside its time.
    #[must_use]
    pub fn invocations(&self) -> u64 {
        self.invoked.load(Ordering::Relaxed)
    }

    /// How often the function was invoked on the way to a message, by the trace that the message carries.
    #[must_use]
    pub fn lineage(&self, trace: &str) -> u64 {
        let counts =
            trace.split(';').filter_map(|part| part.strip_prefix("Lineage=")).flat_map(|counts| counts.split(','));
        let own = counts.filter_map(|count| count.split_once(':')).find(|(name, _)| *name == self.name);
        own.and_then(|(_, count)| count.parse().ok()).unwrap_or(0)
    }

    /// Whether Lambda takes it for a loop after so many invocations, and invokes it no more.
    #[must_use]
    pub const fn is_loop(&self, lineage: u64) -> bool {
        !self.may_loop && lineage >= LOOP_AFTER
    }

    /// Invokes it after so many invocations of itself, and waits.
    ///
    /// # Errors
    /// As [`Self::invoke`].
    pub async fn invoke_after(self: &Arc<Self>, lineage: u64, payload: &Value) -> Answer {
        let trace = format!("Root=1-00000000-000000000000000000000000;Lineage={}:{}", self.name, lineage + 1);
        self.invoked.fetch_add(1, Ordering::Relaxed);
        let id = format!("00000000-0000-4000-8000-{:012x}", self.number());
        let (answer, answered) = oneshot::channel();
        self.pending().insert(id.clone(), Pending { process: None, answer });
        #[expect(clippy::disallowed_methods, reason = "Lambda's deadline is on this machine's clock")]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let deadline_millis = (now + self.timeout).as_millis();
        let invocation = Invocation { id: id.clone(), payload: payload.clone(), deadline_millis, trace };
        if self.waiting.send(invocation).is_err() {
            return Err(FunctionError { kind: "Host".into(), message: "the host stops".into() });
        }
        if self.wants_process()
            && let Err(message) = self.spawn().await
        {
            self.pending().remove(&id);
            return Err(FunctionError { kind: "Runtime.InvalidEntrypoint".into(), message });
        }
        match tokio::time::timeout(self.timeout + Duration::from_millis(200), answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(FunctionError { kind: "Runtime.ExitError".into(), message: "the process ended".into() }),
            Err(_) => {
                let process = self.pending().remove(&id).and_then(|pending| pending.process);
                let process = process.and_then(|worker| {
                    self.processes.lock().unwrap_or_else(PoisonError::into_inner).get(&worker).copied()
                });
                process.into_iter().for_each(kill);
                let message = format!("Task timed out after {} seconds", self.timeout.as_secs_f32());
                Err(FunctionError { kind: "Sandbox.Timedout".into(), message })
            }
        }
    }

    /// Invokes it as an event: twice more when it fails.
    pub(crate) async fn invoke_later(self: Arc<Self>, payload: Value) {
        for attempt in 1..=3_u64 {
            match self.invoke(&payload).await {
                Ok(_) => return,
                Err(error) => tracing::warn!(function = self.name, attempt, error = ?error, "an event failed"),
            }
            // Lambda waits a minute, then two; a test has less time.
            tokio::time::sleep(Duration::from_millis(200 * attempt)).await;
        }
    }

    /// The next invocation, for a process that asks for one.
    pub(crate) async fn next(&self, worker: &str) -> Option<Invocation> {
        let _idle = Idle::new(&self.idle);
        loop {
            let invocation = self.offered.lock().await.recv().await?;
            // One that nobody waits for any more is not given out.
            if let Some(pending) = self.pending().get_mut(&invocation.id) {
                pending.process = Some(worker.to_owned());
                return Some(invocation);
            }
        }
    }

    pub(crate) fn answered(&self, id: &str, answer: Answer) {
        if let Some(pending) = self.pending().remove(id) {
            let _ = pending.answer.send(answer);
        }
    }

    /// Whether another process should be started; the caller that gets `true` must start it.
    fn wants_process(&self) -> bool {
        let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = self.idle.load(Ordering::SeqCst) == 0 && processes.len() < self.limit;
        if wanted {
            // A place is taken until the process has its number.
            processes.insert(format!("starting {}", self.number()), 0);
        }
        wanted
    }

    fn taken_place(&self) {
        let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let place = processes.keys().find(|name| name.starts_with("starting ")).cloned();
        place.and_then(|place| processes.remove(&place));
    }

    async fn spawn(self: &Arc<Self>) -> Result<(), String> {
        let started = self.start().await;
        self.taken_place();
        started
    }

    async fn start(self: &Arc<Self>) -> Result<(), String> {
        let worker = format!("p{}", self.number());
        let [key, secret, token] = self.account.assume(&self.role, &worker).await?;
        let log = std::fs::File::create(self.code.path().join(format!("{worker}.log"))).map_err(|e| e.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let mut command = tokio::process::Command::new(self.code.path().join("code/bootstrap"));
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("AWS_LAMBDA_RUNTIME_API", format!("{}/{worker}", self.runtime_api))
            .env("AWS_LAMBDA_FUNCTION_NAME", &self.name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", self.memory.to_string())
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("{}-{worker}", self.name))
            .env("_HANDLER", &self.handler)
            .env("LAMBDA_TASK_ROOT", self.code.path().join("code"))
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_SESSION_TOKEN", token)
            .env("AWS_ENDPOINT_URL", self.account.emulator().url())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", self.name))?;
        let process = child.id().unwrap_or_default();
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).insert(worker.clone(), process);
        let function = self.clone();
        tokio::spawn(async move {
            let _ = child.wait().await;
            let left = {
                let mut processes = function.processes.lock().unwrap_or_else(PoisonError::into_inner);
                processes.remove(&worker);
                processes.len()
            };
            let mut pending = function.pending();
            let lost: Vec<String> = pending
                .iter()
                // With the last process what waits for one is lost too: it ended before it could take it.
                .filter(|(_, pending)| {
                    pending.process.as_deref() == Some(worker.as_str()) || (left == 0 && pending.process.is_none())
                })
                .map(|(id, _)| id.clone())
                .collect();
            for id in lost {
                // Dropping the sender wakes the one who waits.
                pending.remove(&id);
            }
        });
        Ok(())
    }

    /// Ends all its processes.
    pub(crate) fn end(&self) {
        self.processes().into_iter().for_each(kill);
    }

    /// What its processes logged, the end of it.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.code.path())
            .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
            .unwrap_or_default();
        files.retain(|path| path.extension().is_some_and(|end| end == "log"));
        files.sort();
        let mut text = String::new();
        for file in files {
            let log = std::fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(60);
            text.push_str(&format!("--- {} {}\n{}\n", self.name, file.display(), lines[from..].join("\n")));
        }
        text
    }
}

/// A process that waits for work. When it dies its request is dropped, and this with it.
struct Idle<'a>(&'a AtomicUsize);

impl<'a> Idle<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn unpack(name: &str, zip: Vec<u8>) -> Result<tempfile::TempDir, String> {
    let broken = |error: String| format!("{name}: its zip: {error}");
    let directory = tempfile::tempdir().map_err(|error| broken(error.to_string()))?;
    let code = directory.path().join("code");
    std::fs::create_dir(&code).map_err(|error| broken(error.to_string()))?;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).map_err(|error| broken(error.to_string()))?;
    let mut entry = archive.by_name("bootstrap").map_err(|error| broken(format!("bootstrap: {error}")))?;
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(|error| broken(error.to_string()))?;
    let bootstrap = code.join("bootstrap");
    std::fs::write(&bootstrap, content).map_err(|error| broken(error.to_string()))?;
    std::fs::set_permissions(&bootstrap, std::fs::Permissions::from_mode(0o755))
        .map_err(|error| broken(error.to_string()))?;
    Ok(directory)
}
