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

/// Sends a message to its own queue each time, with the trace of its invocation as an SDK does.
const WAKES_ITSELF: &str = r#"#!/bin/bash
api="$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
sign="Authorization: AWS4-HMAC-SHA256 Credential=$AWS_LAMBDA_FUNCTION_NAME/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
while head=$(curl -s -D - -o /dev/null "$api/next") && [ -n "$head" ]; do
  value() { tr -d '\r' <<<"$head" | grep -i "^$1:" | cut -d ' ' -f 2; }
  curl -s -H "$sign" -H "X-Amz-Target: AmazonSQS.SendMessage" -H "Content-Type: application/x-amz-json-1.0" \
    -H "X-Amzn-Trace-Id: $(value lambda-runtime-trace-id)" \
    -d "{\"QueueUrl\":\"$AWS_ENDPOINT_URL/123456789012/$AWS_LAMBDA_FUNCTION_NAME\",\"MessageBody\":\"again\"}" "$AWS_ENDPOINT_URL" >/dev/null
  curl -s -d '{}' "$api/$(value lambda-runtime-aws-request-id)/response" >/dev/null
done
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_wakes_itself_is_a_loop_after_sixteen_times_unless_that_is_allowed() {
    if skip_unless_available("recursive loops of the Lambda host") {
        return;
    }
    let emulator = Arc::new(Emulator::start().unwrap());
    let assume = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
    emulator.query("iam", "CreateRole", &[("RoleName", "any"), ("AssumeRolePolicyDocument", &assume)]).unwrap();
    let names = ["stopped", "allowed"];
    for name in names {
        deploy(&emulator, name, WAKES_ITSELF);
        emulator.json("sqs", "AmazonSQS.CreateQueue", &json!({ "QueueName": name })).unwrap();
        let mapping =
            json!({ "EventSourceArn": format!("arn:aws:sqs:us-east-1:123456789012:{name}"), "FunctionName": name });
        emulator.rest("lambda", "POST", "/2015-03-31/event-source-mappings/", mapping.to_string().as_bytes()).unwrap();
    }
    let allow = json!({ "RecursiveLoop": "Allow" }).to_string();
    emulator.rest("lambda", "PUT", "/2024-08-31/functions/allowed/recursion-config", allow.as_bytes()).unwrap();
    let host = Host::start(&Account::new(emulator.clone()), Options::default()).await.unwrap();
    for name in names {
        host.invoke(name, &json!({})).await.unwrap();
    }
    let sent = |name: &str| emulator.calls().unwrap().get(&format!("{name} sqs:SendMessage")).copied().unwrap_or(0);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
    // The one that may goes on for long enough that the other would have too.
    while sent("stopped") < 16 || sent("allowed") < 40 {
        assert!(std::time::Instant::now() < end, "{} and {}\n{}", sent("stopped"), sent("allowed"), host.logs());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(sent("stopped"), 16);
    host.stop().await;
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
