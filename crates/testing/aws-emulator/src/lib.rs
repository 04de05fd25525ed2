//! An AWS for tests.
//!
//! The moto server takes the place of AWS. Stock moto gets things wrong that matter here (a client token is not honoured, a stale
//! receipt deletes, there are no capacity errors), so it is started behind a front of ours that fixes them: see
//! `python/fixes.py`, one fix after the other with what AWS does. The front also injects faults, counts calls by
//! caller, holds assumed roles to their policies, moves the queues' clock, and makes copies of a whole account in
//! milliseconds by forking. Nothing here links an AWS SDK.

mod error;
pub mod find;
mod http;
pub mod terraform;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Serialize;

pub use error::EmulatorError;
pub use find::{MOTO, NotAvailable, skip_unless_available};

/// What AWS refuses, and moto does not: `python/fixes.py` has each with the vendor's statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// An absent key of S3 is 403, and not 404, for a role that may not list the bucket.
    AbsentKeys,
    /// Machines whose disks' key the launching role may not use are launched, and end at once.
    DiskKeys,
    /// `CreateFleet` takes a capacity pool once, and at most four choices by attributes.
    FleetConfiguration,
    /// A fleet launches nothing in a subnet that has no free address for each of its machines, and says so beside its success.
    FullSubnets,
    /// Roles are held to their policies' resources and conditions; without it to actions only.
    Policies,
}

/// A fault, for the next calls of one action.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fault {
    /// The operation's name (`CreateFleet`, `SendMessage`, `PutParameter`).
    pub action: String,
    /// Only calls with these parameters, as the query protocol names them.
    #[serde(rename = "match", skip_serializing_if = "BTreeMap::is_empty")]
    pub matching: BTreeMap<String, String>,
    /// The error's code; none: only the delay or the capacity applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The error's HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How many calls; 0 counts as 1.
    pub times: u32,
    /// A slow answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The error comes after the effect: the answer is lost.
    pub after: bool,
    /// Machines younger than this are not in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<u64>,
    /// A fleet gets so many machines only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
}

impl Fault {
    /// An error instead of the effect.
    #[must_use]
    pub fn error(action: &str, code: &str, status: u16) -> Self {
        Self { action: action.into(), code: Some(code.into()), status: Some(status), times: 1, ..Self::default() }
    }
    /// The effect, and then a lost answer. The SDK makes such a call again by itself.
    #[must_use]
    pub fn lost_answer(action: &str) -> Self {
        Self { after: true, ..Self::error(action, "InternalError", 500) }
    }
    /// A slow answer.
    #[must_use]
    pub fn slow(action: &str, delay: Duration) -> Self {
        let delay_ms = u64::try_from(delay.as_millis()).ok();
        Self { action: action.into(), times: 1, delay_ms, ..Self::default() }
    }
    /// Lists that do not show machines younger than this, every time until they are healed: EC2's lists lag behind its launches.
    #[must_use]
    pub fn late(action: &str, by: Duration) -> Self {
        let late_ms = u64::try_from(by.as_millis()).ok();
        Self { action: action.into(), times: u32::MAX, late_ms, ..Self::default() }
    }
    /// Fewer machines than asked for.
    #[must_use]
    pub fn partial_fleet(capacity: u32) -> Self {
        Self { action: "CreateFleet".into(), times: 1, capacity: Some(capacity), ..Self::default() }
    }
    /// So many times.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }
}

/// A running emulator; it ends when it is dropped, and so do its copies.
pub struct Emulator {
    url: String,
    key: http::Key,
    _program: Option<Program>,
}

struct Program {
    child: Child,
    files: tempfile::TempDir,
}

impl Program {
    /// The file for its standard error, below its directory.
    const STDERR: &str = "stderr";

    /// What it printed: nothing, unless it broke.
    fn printed(&self) -> String {
        std::fs::read_to_string(self.files.path().join(Self::STDERR)).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A test that fails because the emulator broke should not be a riddle.
        if std::thread::panicking() {
            #[expect(
                clippy::print_stderr,
                reason = "the test runner keeps what is printed and shows it with the failed test"
            )]
            {
                eprint!("{}", self.printed());
            }
        }
    }
}

impl Emulator {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// When moto is not there, or does not start.
    pub fn start() -> Result<Self, EmulatorError> {
        let python = find::python().map_err(|why| EmulatorError::new("start", why))?;
        let files = tempfile::tempdir().map_err(|error| EmulatorError::new("start", error))?;
        for (name, text) in [
            ("emulator.py", include_str!("../python/emulator.py")),
            ("fixes.py", include_str!("../python/fixes.py")),
            ("fleet_rules.py", include_str!("../python/fleet_rules.py")),
            ("metering.py", include_str!("../python/metering.py")),
            ("policies.py", include_str!("../python/policies.py")),
        ] {
            std::fs::write(files.path().join(name), text).map_err(|error| EmulatorError::new("start", error))?;
        }
        let said = std::fs::File::create(files.path().join(Program::STDERR));
        let said = said.map_err(|error| EmulatorError::new("start", error))?;
        let mut child = Command::new(python)
            .arg(files.path().join("emulator.py"))
            .arg("0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .map_err(|error| EmulatorError::new("start", error))?;
        let mut url = String::new();
        if let Some(out) = child.stdout.take() {
            let _ = BufReader::new(out).read_line(&mut url);
        }
        let program = Program { child, files };
        let url = url.trim().to_owned();
        if url.is_empty() {
            return Err(EmulatorError::new("start", format!("it ended before it listened: {}", program.printed())));
        }
        Ok(Self { url, key: http::Key::default(), _program: Some(program) })
    }

    /// A copy of the whole account as it is now. It ends with the original.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn copy(&self) -> Result<Self, EmulatorError> {
        let url: String = self.ask("copy", "POST", &())?;
        Ok(Self { url, key: self.key.clone(), _program: None })
    }

    /// One that runs already, called with a role's credentials, which is held to its policies.
    #[must_use]
    pub fn attach(url: &str, id: &str, token: &str) -> Self {
        let key = http::Key { id: id.to_owned(), token: Some(token.to_owned()), ..http::Key::default() };
        Self { url: url.to_owned(), key, _program: None }
    }

    /// Another account of the same AWS, by its number, called as its owner.
    #[must_use]
    pub fn account(&self, number: &str) -> Self {
        let key = http::Key { account: number.to_owned(), ..http::Key::default() };
        Self { url: self.url.clone(), key, _program: None }
    }

    /// Its address: the endpoint of every service.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Adds faults.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn inject(&self, faults: &[Fault]) -> Result<(), EmulatorError> {
        self.ask::<serde_json::Value>("faults", "POST", faults).map(drop)
    }

    /// Takes all faults away.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn heal(&self) -> Result<(), EmulatorError> {
        self.ask::<serde_json::Value>("faults", "DELETE", &()).map(drop)
    }

    /// How often each call was made, as `caller service:Action`. A caller is an access key or an assumed role's name.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn calls(&self) -> Result<BTreeMap<String, u64>, EmulatorError> {
        self.ask("calls", "GET", &())
    }

    /// Forgets the calls made so far.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn forget_calls(&self) -> Result<(), EmulatorError> {
        self.ask::<serde_json::Value>("calls", "DELETE", &()).map(drop)
    }

    /// The request units that DynamoDB would charge for the calls made so far, by the kind of call and of item, as
    /// `read GetItem sets/web` or `write TransactPut set/live, in the index`.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn units(&self) -> Result<BTreeMap<String, f64>, EmulatorError> {
        self.ask("units", "GET", &())
    }

    /// What each role did, as `role service:Action`, and whether its policies allowed it.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn audit(&self) -> Result<BTreeMap<String, String>, EmulatorError> {
        self.ask("audit", "GET", &())
    }

    /// From now on assumed roles may do only what their policies allow.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn enforce_policies(&self) -> Result<(), EmulatorError> {
        self.ask::<serde_json::Value>("enforce", "POST", &()).map(drop)
    }

    /// Switches off one refusal. All are on from the start.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn switch_off(&self, refusal: Refusal) -> Result<(), EmulatorError> {
        self.ask::<serde_json::Value>("refusals", "POST", &BTreeMap::from([(refusal, false)])).map(drop)
    }

    /// Switches it on again.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn switch_on(&self, refusal: Refusal) -> Result<(), EmulatorError> {
        self.ask::<serde_json::Value>("refusals", "POST", &BTreeMap::from([(refusal, true)])).map(drop)
    }

    /// Moves the queues' clock on.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub fn advance(&self, by: Duration) -> Result<(), EmulatorError> {
        let ahead = serde_json::json!({ "ahead_ms": u64::try_from(by.as_millis()).unwrap_or(u64::MAX) });
        self.ask::<serde_json::Value>("clock", "POST", &ahead).map(drop)
    }

    /// Makes one AWS call of the JSON protocol, for tests' own set-up; `target` as in `AmazonSQS.CreateQueue`.
    ///
    /// # Errors
    /// When the call is refused, with its answer.
    pub fn json(
        &self,
        service: &str,
        target: &str,
        body: &serde_json::Value,
    ) -> Result<serde_json::Value, EmulatorError> {
        http::json(&self.url, &self.key, service, target, body)
    }

    /// Makes one AWS call of the query protocol, for tests' own set-up. Returns its XML.
    ///
    /// # Errors
    /// When the call is refused, with its answer.
    pub fn query(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> Result<String, EmulatorError> {
        http::query(&self.url, &self.key, service, action, parameters)
    }

    /// Makes one AWS call of a REST protocol, for tests' own set-up.
    ///
    /// # Errors
    /// When the call is refused, with its answer.
    pub fn rest(&self, service: &str, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, EmulatorError> {
        http::rest(&self.url, &self.key, service, method, path, body)
    }

    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        what: &'static str,
        method: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<T, EmulatorError> {
        let body = serde_json::to_vec(body).map_err(|error| EmulatorError::new(what, error))?;
        let answer = http::rest(&self.url, &self.key, "-", method, &format!("/_emulator/{what}"), &body)?;
        serde_json::from_slice(&answer).map_err(|error| EmulatorError::new(what, error))
    }
}
