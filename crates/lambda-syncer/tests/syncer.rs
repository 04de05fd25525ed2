//! The syncer, as the program that is deployed, behind the real Runtime API.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use runnersmith_emulator::{Emulator, skip_unless_available};
use runnersmith_github_sim::{Options, Simulator};
use runnersmith_lambda_host::{Account, Host};
use serde_json::{Value, json};

struct Bed {
    account: Account,
    github: Simulator,
    host: Host,
}

impl Bed {
    async fn new(variables: &Value) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let emulator = Arc::new(Emulator::start().unwrap());
        let github = Simulator::start(Options::default()).await.unwrap();
        emulator.rest("s3", "PUT", "/distribution", b"").unwrap();
        let assume = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
        emulator.query("iam", "CreateRole", &[("RoleName", "syncer"), ("AssumeRolePolicyDocument", &assume)]).unwrap();
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("bootstrap", zip::write::SimpleFileOptions::default()).unwrap();
        let program = env!("CARGO_BIN_EXE_lambda-runner-binaries-syncer");
        write!(zip, "#!/bin/sh\nexec '{program}'\n").unwrap();
        let zip = base64::engine::general_purpose::STANDARD.encode(zip.finish().unwrap().into_inner());
        let mut all = json!({ "RUNNERSMITH_BUCKET": "distribution", "RUNNERSMITH_PREFIX": "runner/",
            "RUNNERSMITH_RELEASES_URL": github.base_url(), "RUNNERSMITH_RELEASES_API_URL": github.base_url() });
        all.as_object_mut().unwrap().extend(variables.as_object().cloned().unwrap_or_default());
        let function = json!({ "FunctionName": "syncer", "Runtime": "provided.al2023", "Handler": "syncer", "Timeout": 60,
            "Role": "arn:aws:iam::123456789012:role/syncer", "Code": { "ZipFile": zip },
            "Environment": { "Variables": all } });
        emulator.rest("lambda", "POST", "/2015-03-31/functions", function.to_string().as_bytes()).unwrap();
        let account = Account::new(emulator);
        let host = Host::start(&account, runnersmith_lambda_host::Options::default()).await.unwrap();
        Self { account, github, host }
    }

    fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.account.emulator().rest("s3", "GET", &format!("/distribution/{key}"), b"").ok()
    }

    fn uploads(&self) -> u64 {
        let calls = self.account.emulator().calls().unwrap();
        calls.iter().filter(|(name, _)| name.contains("syncer s3:PUT ")).map(|(_, count)| count).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_release_is_uploaded_once_verified() {
    if skip_unless_available("the syncer") {
        return;
    }
    let bed = Bed::new(&json!({})).await;
    // Larger than one chunk, so that streaming is exercised.
    let archive: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(6_000_000).collect();
    bed.github.set_runner_release("2.330.0", archive.clone());
    let done = bed.host.invoke("syncer", &json!({})).await.unwrap_or_else(|e| panic!("{e:?}\n{}", bed.host.logs()));
    assert_eq!(done, json!([{ "platform": "linux-x64", "version": "2.330.0", "uploaded": true }]));
    let key = "runner/actions-runner-linux-x64.tar.gz";
    assert_eq!(bed.object(key), Some(archive.clone()));
    let done = bed.host.invoke("syncer", &json!({})).await.unwrap();
    assert_eq!(done[0]["uploaded"], json!(false), "nothing is uploaded twice");
    assert_eq!(bed.uploads(), 1);
    // A newer one replaces it; one that GitHub describes wrongly does not.
    bed.github.set_runner_release("2.331.0", vec![1; 1_000]);
    assert_eq!(bed.host.invoke("syncer", &json!({})).await.unwrap()[0]["version"], json!("2.331.0"));
    assert_eq!(bed.object(key), Some(vec![1; 1_000]));
    bed.github.set_faults(|faults| faults.broken_download = true);
    bed.github.set_runner_release("2.332.0", vec![2; 1_000]);
    let refused = bed.host.invoke("syncer", &json!({})).await.unwrap_err();
    assert!(refused.message.contains("checksum"), "{refused:?}");
    assert_eq!(bed.object(key), Some(vec![1; 1_000]), "the old object is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_architecture_that_a_release_does_not_have_is_an_error() {
    if skip_unless_available("the syncer's architectures") {
        return;
    }
    let bed = Bed::new(&json!({ "RUNNERSMITH_ARCHITECTURES": "arm64" })).await;
    bed.github.set_runner_release("2.330.0", vec![1; 1_000]);
    let answer = bed.host.invoke("syncer", &json!({})).await;
    match answer {
        Ok(done) => assert_eq!(done[0]["platform"], json!("linux-arm64")),
        Err(error) => assert!(error.message.contains("no archive"), "{error:?}"),
    }
}
