//! What the tests with the real Terraform share: an AWS for its states, workspaces, and someone who listens.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use runnersmith_aws_emulator::{Emulator, skip_unless_available, terraform};
use runnersmith_issueops_engine::{PlanOptions, Progress, Provisioner as _, StateBackend, Workspace};
use runnersmith_provision_terraform::{Terraform, TerraformConfig};
use runnersmith_types::Secret;

/// The bucket of all states.
pub const BUCKET: &str = "states";
/// How long anything may take.
pub const LONG: Duration = Duration::from_secs(90);

/// How a state is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    File,
    Table,
}

/// One emulator for the tests that run at the same time; it ends with the last of them.
fn emulator() -> Arc<Emulator> {
    static SHARED: Mutex<Weak<Emulator>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let started = Arc::new(Emulator::start().unwrap());
    started.rest("s3", "PUT", &format!("/{BUCKET}"), b"").unwrap();
    let table = serde_json::json!({
        "TableName": "locks", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "LockID", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "LockID", "KeyType": "HASH"}],
    });
    started.json("dynamodb", "DynamoDB_20120810.CreateTable", &table).unwrap();
    *shared = Arc::downgrade(&started);
    started
}

/// Where one test is: its own state, its own scratch.
pub struct Place {
    pub emulator: Arc<Emulator>,
    pub home: tempfile::TempDir,
    name: String,
    lock: Lock,
}

impl Place {
    /// `None` when Terraform or the emulator is not here; that is printed and counted.
    pub fn new(name: &str, lock: Lock) -> Option<Self> {
        if skip_unless_available(name) || terraform::skip_unless_there(name) {
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        // It writes the file that says where providers are.
        terraform::command(home.path(), home.path(), None).unwrap();
        Some(Self { emulator: emulator(), home, name: name.replace(' ', "-"), lock })
    }

    pub fn scratch(&self) -> PathBuf {
        self.home.path().join("scratch")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn key(&self) -> String {
        format!("{}/terraform.tfstate", self.name)
    }

    pub fn config(&self) -> TerraformConfig {
        let environment = [
            ("AWS_ACCESS_KEY_ID", "AKIAOFATEST"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret-key-of-a-test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("TF_CLI_CONFIG_FILE", self.file("terraformrc").to_str().unwrap()),
        ]
        .map(|(name, value)| (name.to_owned(), Secret::new(value)));
        TerraformConfig {
            environment: environment.into(),
            lock_timeout: Duration::ZERO,
            stop_within: Duration::from_secs(60),
            ..TerraformConfig::new(self.scratch())
        }
    }

    pub fn terraform(&self) -> Terraform {
        Terraform::new(self.config()).unwrap()
    }

    /// Where the state is: in the emulator.
    pub fn backend(&self) -> StateBackend {
        let url = self.emulator.url();
        let mut s3 = serde_json::json!({
            "bucket": BUCKET, "key": self.key(), "region": "us-east-1", "use_path_style": true,
            "endpoints": {"s3": url, "dynamodb": url, "sts": url, "iam": url},
            "skip_credentials_validation": true, "skip_requesting_account_id": true,
            "skip_metadata_api_check": true, "skip_region_validation": true,
        });
        match self.lock {
            Lock::File => s3["use_lockfile"] = true.into(),
            Lock::Table => s3["dynamodb_table"] = "locks".into(),
        }
        StateBackend::unchecked("Test", &serde_json::json!({"terraform": {"backend": {"s3": s3}}}).to_string())
    }

    /// A workspace with this configuration, whose state is there.
    pub fn workspace(&self, main: &str) -> Workspace {
        let files = BTreeMap::from([
            ("environments/test/backend.tf.json".to_owned(), self.backend().settings().as_bytes().to_vec()),
            ("environments/test/main.tf".to_owned(), main.as_bytes().to_vec()),
        ]);
        Workspace::unchecked("Test", "environments/test", files)
    }

    /// Plans and applies.
    pub async fn make(&self, terraform: &Terraform, main: &str) {
        let workspace = self.workspace(main);
        let plan = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
        terraform.apply(&workspace, &plan.file, &()).await.unwrap();
    }

    /// What lies in the scratch directory.
    pub fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.scratch()).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

/// A resource that says which process applies it, and then waits for longer than any test.
pub fn waits(pids: &Path) -> String {
    let (pids, new) = (pids.display(), pids.with_extension("new").display().to_string());
    format!(
        r#"
resource "terraform_data" "before" {{
  input = "made before"
}}
resource "terraform_data" "waits" {{
  depends_on = [terraform_data.before]
  provisioner "local-exec" {{
    command = "echo $PPID $$ > {new}; mv {new} {pids}; exec sleep 600"
  }}
}}
"#
    )
}

/// Waits until a file is there and returns the numbers in it.
pub async fn pids(file: &Path) -> Vec<i32> {
    // A file is there before what is written into it.
    let whole = || std::fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'));
    let text = until("a process says its number", whole).await;
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// Waits for something, with a bound. It looks again and again: other processes write files and end, and notify nobody.
pub async fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < LONG, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a process is there and not merely unreaped.
pub fn lives(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// Writes down what it receives.
#[derive(Default)]
pub struct Listener(Mutex<Vec<String>>);

impl Listener {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

impl Progress for Listener {
    fn line(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}
