//! The host runs what is deployed, and says what goes wrong as Lambda does.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use runnersmith_aws_emulator::{Emulator, skip_unless_available};
use runnersmith_lambda_host::{Account, Host, Options};
use serde_json::json;

/// A function whose bootstrap is this script.
fn deploy(emulator: &Emulator, name: &str, script: &str) {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("bootstrap", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(script.as_bytes()).unwrap();
    let zip = base64::engine::general_purpose::STANDARD.encode(zip.finish().unwrap().into_inner());
    let function = json!({ "FunctionName": name, "Runtime": "provided.al2023", "Handler": "x", "Timeout": 1,
        "Role": "arn:aws:iam::123456789012:role/any", "Code": { "ZipFile": zip } });
    emulator.rest("lambda", "POST", "/2015-03-31/functions", function.to_string().as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_and_timeouts_are_reported_as_lambda_reports_them() {
    if skip_unless_available("the Lambda host") {
        return;
    }
    let emulator = Arc::new(Emulator::start().unwrap());
    let assume = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
    emulator.query("iam", "CreateRole", &[("RoleName", "any"), ("AssumeRolePolicyDocument", &assume)]).unwrap();
    // One takes its invocation and dies, one takes it and never answers.
    let take = "#!/bin/sh\ncurl -s \"$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next\" >/dev/null\n";
    deploy(&emulator, "dies", &format!("{take}exit 3\n"));
    deploy(&emulator, "hangs", &format!("{take}exec sleep 60\n"));
    let host = Host::start(&Account::new(emulator.clone()), Options::default()).await.unwrap();
    assert_eq!(host.invoke("dies", &json!({})).await.unwrap_err().kind, "Runtime.ExitError");
    assert_eq!(host.invoke("hangs", &json!({})).await.unwrap_err().kind, "Sandbox.Timedout");
    assert_eq!(host.invoke("nobody", &json!({})).await.unwrap_err().kind, "NoFunction");
    host.stop().await;
}
