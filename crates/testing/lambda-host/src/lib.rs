//! A Lambda for tests, and an EC2 whose machines really run.
//!
//! It reads from the AWS emulator what is deployed there (functions, event source mappings, API routes, schedules, event
//! rules) and runs the real programs behind the real Lambda Runtime API, with timeouts, retries, partial batch
//! failures and concurrency limits. Machines that the emulator says are running run their own user data as a process.
//! So a test goes the whole way, from a signed webhook to a machine that shuts itself down.

mod account;
mod function;
mod hypervisor;
mod processes;
mod runtime;
mod sources;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use processes::kill;
use sources::Target;

pub use account::Account;
pub use function::{Function, FunctionError};
pub use hypervisor::{Hypervisor, MachineStart, NOT_TERMINATED};
pub use tls::TlsFront;

/// How a host behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Schedules come so many times faster.
    pub speed: u32,
    /// A function's own timeout is cut to this, so that crash tests are quick.
    pub timeout_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { speed: 1, timeout_max: Duration::from_secs(900) }
    }
}

/// A running host.
pub struct Host {
    url: String,
    account: Account,
    functions: Arc<BTreeMap<String, Arc<Function>>>,
    rules: Vec<sources::Rule>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Host {
    /// Reads what is deployed and runs it.
    ///
    /// # Errors
    /// When the emulator does not answer, or a function's code cannot be unpacked.
    pub async fn start(account: &Account, options: Options) -> Result<Self, String> {
        let listener =
            tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("listen: {error}"))?;
        let url = format!("http://{}", listener.local_addr().map_err(|error| format!("listen: {error}"))?);
        let mut functions = BTreeMap::new();
        for configuration in account.functions().await? {
            let function = Function::new(account.clone(), configuration, &url, options.timeout_max).await?;
            functions.insert(function.name.clone(), Arc::new(function));
        }
        let functions = Arc::new(functions);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let router = runtime::router(account.clone(), functions.clone());
        let mut web_stop = stopped.clone();
        tasks.spawn(async move {
            let stop = async move {
                let _ = web_stop.wait_for(|stop| *stop).await;
            };
            let _ = axum::serve(listener, router).with_graceful_shutdown(stop).await;
        });
        sources::mappings(account, &functions, &stopped, &mut tasks).await?;
        let rules = sources::rules(account).await?;
        sources::schedules(&rules, &functions, options.speed, &stopped, &mut tasks);
        Ok(Self { url, account: account.clone(), functions, rules, stop, tasks })
    }

    /// The address of an HTTP API.
    #[must_use]
    pub fn api(&self, id: &str) -> String {
        format!("{}/apigw/{id}", self.url)
    }

    /// A function.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&Arc<Function>> {
        self.functions.get(name)
    }

    /// Invokes a function and waits for its answer.
    ///
    /// # Errors
    /// The function's own error, or that it crashed or took too long.
    pub async fn invoke(&self, name: &str, payload: &Value) -> Result<Value, FunctionError> {
        match self.functions.get(name) {
            Some(function) => function.invoke(payload).await,
            None => Err(FunctionError { kind: "NoFunction".into(), message: format!("there is no function {name}") }),
        }
    }

    /// Puts an event: every rule whose pattern matches invokes its functions, twice more if they fail, or sends it to its queue.
    pub fn put_event(&self, event: &Value) {
        for (target, payload) in sources::matching(&self.rules, event) {
            match target {
                Target::Function(name) => {
                    if let Some(function) = self.functions.get(&name).cloned() {
                        tokio::spawn(async move { function.invoke_later(payload).await });
                    }
                }
                Target::Queue(url) => {
                    let account = self.account.clone();
                    let body = json!({ "QueueUrl": url, "MessageBody": payload.to_string() });
                    tokio::spawn(async move {
                        if let Err(error) = account.json("sqs", "AmazonSQS.SendMessage", body).await {
                            tracing::error!(error, "an event could not be sent to its queue");
                        }
                    });
                }
            }
        }
    }

    /// Ends all processes, as Lambda does with those that are idle for long: the next invocations start new ones.
    pub fn recycle(&self) {
        self.functions.values().for_each(|function| function.end());
    }

    /// Kills one random process of any function. `false` when none runs.
    #[must_use]
    pub fn kill_one(&self, random: &mut impl rand::Rng) -> bool {
        let mut all: Vec<u32> = self.functions.values().flat_map(|function| function.processes()).collect();
        all.sort_unstable();
        if all.is_empty() {
            return false;
        }
        let chosen = all[random.random_range(0..all.len())];
        kill(chosen);
        true
    }

    /// What the functions logged, for a test's message.
    #[must_use]
    pub fn logs(&self) -> String {
        self.functions.values().map(|function| function.logs()).collect::<Vec<_>>().join("\n")
    }

    /// Stops everything: no more events, then the processes.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for function in self.functions.values() {
            function.end();
        }
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for function in self.functions.values() {
            function.end();
        }
    }
}
