//! The syncer, as the program that is deployed, behind the real Runtime API.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use runnersmith_aws_emulator::{Emulator, Fault, skip_unless_available};
use runnersmith_github_sim::{Limit, Options, Simulator};
use runnersmith_lambda_host::{Account, Host, TlsFront};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

struct Bed {
    account: Account,
    github: Simulator,
    host: Host,
}

const BUCKET: &str = "arn:aws:s3:::distribution";
const OBJECTS: &str = "arn:aws:s3:::distribution/*";

/// The function's role may do this and nothing else.
fn may(emulator: &Emulator, statements: &[(&str, &str)]) {
    let allow =
        |(action, resource): &(&str, &str)| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    let statements: Vec<Value> = statements.iter().map(allow).collect();
    let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let policy = [("RoleName", "syncer"), ("PolicyName", "own"), ("PolicyDocument", policy.as_str())];
    emulator.query("iam", "PutRolePolicy", &policy).unwrap();
}

impl Bed {
    async fn new(variables: &Value) -> Self {
        Self::on(variables, false).await
    }

    /// With a server of one's own, whose authority only a parameter names.
    async fn on(variables: &Value, own_server: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let emulator = Arc::new(Emulator::start().unwrap());
        let github = Simulator::start(Options::default()).await.unwrap();
        emulator.rest("s3", "PUT", "/distribution", b"").unwrap();
        let assume = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
        emulator.query("iam", "CreateRole", &[("RoleName", "syncer"), ("AssumeRolePolicyDocument", &assume)]).unwrap();
        may(&emulator, &[("s3:ListBucket", BUCKET), ("s3:GetObject", OBJECTS), ("s3:PutObject", OBJECTS)]);
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("bootstrap", zip::write::SimpleFileOptions::default()).unwrap();
        let program = env!("CARGO_BIN_EXE_lambda-runner-binaries-syncer");
        write!(zip, "#!/bin/sh\nexec '{program}'\n").unwrap();
        let zip = base64::engine::general_purpose::STANDARD.encode(zip.finish().unwrap().into_inner());
        let mut all = json!({ "RUNNERSMITH_BUCKET": "distribution", "RUNNERSMITH_PREFIX": "runner/",
            "RUNNERSMITH_RELEASES_URL": github.base_url(), "RUNNERSMITH_RELEASES_API_URL": github.base_url() });
        if own_server {
            let front = TlsFront::start(&github.base_url()).await.unwrap();
            let ca = json!({ "Name": "/ca", "Value": front.authority, "Type": "String" });
            emulator.json("ssm", "AmazonSSM.PutParameter", &ca).unwrap();
            all["RUNNERSMITH_RELEASES_URL"] = json!(front.url);
            all["RUNNERSMITH_CA_PARAMETER"] = json!("/ca");
            all.as_object_mut().unwrap().remove("RUNNERSMITH_RELEASES_API_URL");
        }
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

/// Calls without a credential are counted by address, and a function shares its address with others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_github_refuses_what_the_bucket_has_is_enough_and_nothing_is_not() {
    if skip_unless_available("the syncer without GitHub") {
        return;
    }
    let bed = Bed::new(&json!({})).await;
    let refused = bed.host.invoke("syncer", &json!({})).await.unwrap_err();
    assert!(refused.message.contains("find the newest release"), "{refused:?}");
    bed.github.set_runner_release("2.330.0", vec![1; 1_000]);
    bed.host.invoke("syncer", &json!({})).await.unwrap();
    bed.github.set_faults(|faults| faults.limit = Some((Limit::Primary(1_800), 5)));
    let kept = bed.host.invoke("syncer", &json!({})).await.unwrap();
    assert_eq!(kept, json!([{ "platform": "linux-x64", "version": "2.330.0", "uploaded": false }]));
}

/// The archive has some 200 MB; a function sends it at what its share of a processor and the line give.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_over_a_slow_line_is_waited_for() {
    if skip_unless_available("the syncer's slow upload") {
        return;
    }
    let bed = Bed::new(&json!({})).await;
    bed.github.set_runner_release("2.330.0", vec![1; 1_000]);
    // Longer than the session gives to a call that carries a few KB, as often as the SDK tries.
    let key = "runner/actions-runner-linux-x64.tar.gz";
    let slow = Fault::slow(&format!("PUT /distribution/{key}"), Duration::from_secs(6)).times(3);
    bed.account.emulator().inject(&[slow]).unwrap();
    let done = bed.host.invoke("syncer", &json!({})).await.unwrap_or_else(|e| panic!("{e:?}\n{}", bed.host.logs()));
    assert_eq!(done[0]["uploaded"], json!(true));
    assert_eq!(bed.object(key), Some(vec![1; 1_000]));
    assert_eq!(bed.uploads(), 1, "no attempt was given up");
}

/// A denied look is no absent object, which would be fetched and uploaded again every ten minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_named_and_nothing_is_uploaded_again_and_again() {
    if skip_unless_available("the syncer's rights") {
        return;
    }
    let bed = Bed::new(&json!({})).await;
    bed.github.set_runner_release("2.330.0", vec![1; 1_000]);
    let emulator = bed.account.emulator();
    may(emulator, &[("s3:ListBucket", BUCKET), ("s3:PutObject", OBJECTS)]);
    emulator.enforce_policies().unwrap();
    let refused = async || bed.host.invoke("syncer", &json!({})).await.unwrap_err().message;
    let unread = refused().await;
    assert!(unread.contains("s3 HeadObject: AccessDenied") && unread.contains("s3:GetObject on runner/"), "{unread}");
    may(emulator, &[("s3:GetObject", OBJECTS), ("s3:PutObject", OBJECTS)]);
    assert!(refused().await.contains("s3:ListBucket on distribution"), "S3 hides what is not there");
    assert_eq!(bed.uploads(), 0);
    may(emulator, &[("s3:ListBucket", BUCKET), ("s3:GetObject", OBJECTS)]);
    let unwritten = refused().await;
    let says = ["s3 PutObject: AccessDenied", "hint: the role needs s3:PutObject on runner/"];
    assert!(says.iter().all(|text| unwritten.contains(text)), "{unwritten}");
    may(emulator, &[("s3:ListBucket", BUCKET), ("s3:GetObject", OBJECTS), ("s3:PutObject", OBJECTS)]);
    assert_eq!(bed.host.invoke("syncer", &json!({})).await.unwrap()[0]["uploaded"], json!(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_architectures_and_the_prerelease_are_taken_when_asked_for() {
    if skip_unless_available("the syncer's architectures") {
        return;
    }
    for (prerelease, version, content) in [("false", "2.330.0", 1_u8), ("true", "2.331.0", 2)] {
        let variables = json!({ "RUNNERSMITH_ARCHITECTURES": "x64, arm64", "RUNNERSMITH_PRERELEASE": prerelease });
        let bed = Bed::new(&variables).await;
        bed.github.set_runner_release("2.330.0", vec![1; 1_000]);
        bed.github.set_runner_prerelease("2.331.0", vec![2; 1_000]);
        let done = bed.host.invoke("syncer", &json!({})).await.unwrap();
        assert_eq!((&done[0]["version"], &done[1]["version"]), (&json!(version), &json!(version)));
        for platform in ["linux-x64", "linux-arm64"] {
            assert_eq!(bed.object(&format!("runner/actions-runner-{platform}.tar.gz")), Some(vec![content; 1_000]));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_architecture_that_there_is_none_of_is_refused() {
    if skip_unless_available("the syncer's wrong architecture") {
        return;
    }
    let bed = Bed::new(&json!({ "RUNNERSMITH_ARCHITECTURES": "sparc" })).await;
    bed.github.set_runner_release("2.330.0", vec![1; 1_000]);
    bed.host.invoke("syncer", &json!({})).await.unwrap_err();
    assert!(bed.host.logs().contains("is neither x64 nor arm64"), "{}", bed.host.logs());
}

/// A proxy that lets everything through; the hosts that it was asked for.
async fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let log = log.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let (method, target) = (head.split(' ').next().unwrap(), head.split(' ').nth(1).unwrap());
                let host = target.trim_start_matches("http://").split('/').next().unwrap();
                log.lock().unwrap().push(format!("{method} {host}"));
                let mut server = TcpStream::connect(host).await.unwrap();
                if method == "CONNECT" {
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                } else {
                    let path = target.trim_start_matches("http://").trim_start_matches(host);
                    server.write_all(head.replacen(target, path, 1).as_bytes()).await.unwrap();
                }
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_ones_own_and_a_proxy_are_honoured() {
    if skip_unless_available("the syncer's proxy") {
        return;
    }
    let (url, asked) = proxy().await;
    let bed = Bed::on(&json!({ "RUNNERSMITH_PROXY": url }), true).await;
    bed.github.set_runner_release("2.330.0", vec![1; 1_000]);
    let done = bed.host.invoke("syncer", &json!({})).await.unwrap_or_else(|e| panic!("{e:?}\n{}", bed.host.logs()));
    assert_eq!(done[0]["uploaded"], json!(true));
    let asked = asked.lock().unwrap().clone();
    assert!(asked.iter().any(|host| host.starts_with("CONNECT localhost:")), "the API, through TLS: {asked:?}");
    assert!(asked.iter().any(|host| host.starts_with("GET 127.0.0.1:")), "the archive: {asked:?}");
    let emulator = bed.account.emulator().url().trim_start_matches("http://").to_owned();
    assert!(!asked.iter().any(|host| host.ends_with(&emulator)), "AWS is not GitHub's proxy's affair: {asked:?}");
}
