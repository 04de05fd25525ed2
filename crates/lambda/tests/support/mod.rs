//! A control plane on AWS for tests: everything that the Terraform module deploys, made by plain calls in the emulator; the Lambda
//! host, the hypervisor and a simulated GitHub around it. Leftovers fail the test.

#![allow(dead_code, reason = "each test file uses its part of the world")]

pub mod control;
pub mod iam;
pub mod terraform;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnersmith_aws_emulator::Emulator;
use runnersmith_github_sim::{App, JobSpec, Options, Simulator, WorkflowSpec};
use runnersmith_lambda_host::{Account, Host, Hypervisor, MachineStart, NOT_TERMINATED, TlsFront};
use serde_json::{Value, json};

pub const SECRET: &str = "it is a test's secret";
pub const PATH: &str = "/runnersmith/test";
const ACCOUNT: &str = "123456789012";

/// What a control plane is made with.
#[derive(Clone)]
pub struct Wishes {
    pub runners_max: u32,
    pub level: &'static str,
    pub ephemeral: bool,
    /// Fields of the scale set's parameter that replace ours.
    pub set: Value,
    /// Fields of the control plane's parameter.
    pub control_plane: Value,
    pub function_timeout: u64,
    /// A message received more often than this is dead.
    pub receives_max: u32,
    /// The queue's visibility timeout in seconds; six times the function's if it is not given.
    pub visibility: Option<u64>,
    /// How hand-offs are encrypted: `none`, or a key's id; the managed key if it is not given.
    pub encrypt: Option<String>,
    /// A server of one's own, behind TLS with an authority that only a parameter names.
    pub ghes: bool,
    /// Schedules come so many times faster than on AWS.
    pub speed: u32,
    /// Deliveries come from this organisation's or repository's own webhook, not from the App's.
    pub hook: Option<&'static str>,
    /// More parameters below the sets' path: name and text.
    pub more_sets: Vec<(&'static str, String)>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            runners_max: 10,
            level: "organization",
            ephemeral: true,
            set: json!({}),
            control_plane: json!({}),
            function_timeout: 60,
            receives_max: 50,
            visibility: None,
            encrypt: None,
            ghes: false,
            speed: 30,
            hook: None,
            more_sets: Vec::new(),
        }
    }
}

/// A GitHub with an App, behind TLS as the module wants it.
pub struct GitHub {
    pub simulator: Simulator,
    pub app: u64,
    pub key: String,
    pub front: TlsFront,
}

pub async fn github() -> GitHub {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulator = Simulator::start(Options::default()).await.unwrap();
    simulator.add_org("acme");
    simulator.add_repository("acme/shop");
    let key = runnersmith_github_sim::app_key();
    let app = App {
        slug: "runnersmith-test".into(),
        private_key_pem: key.clone(),
        webhook_secret: SECRET.into(),
        webhook_url: None,
    };
    let app = simulator.add_app(app).unwrap();
    simulator.install(app, "acme");
    let front = TlsFront::start(&simulator.base_url()).await.unwrap();
    GitHub { simulator, app, key, front }
}

pub struct Bed {
    pub account: Account,
    pub github: Simulator,
    pub app: u64,
    pub host: Option<Host>,
    pub queue: String,
    pub lookups: String,
    pub dead: String,
    pub runs: std::sync::Mutex<Vec<u64>>,
    /// Parameters that were put as settings.
    pub parameters: u64,
    /// The number of the webhook, if deliveries come from one.
    pub hook: u64,
    table: String,
    api: String,
}

/// A program that was built beside this test.
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().and_then(Path::parent).unwrap();
    let program = directory.join(name);
    assert!(program.exists(), "{} is not built: run the tests of the whole workspace", program.display());
    program
}

fn merged(mut base: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        match (base.get_mut(name), value) {
            (Some(Value::Object(_)), Value::Object(_)) => base[name] = merged(base[name].clone(), value),
            _ => base[name] = value.clone(),
        }
    }
    base
}

/// What stands between two XML tags, the first time.
pub fn first(xml: &str, tag: &str) -> String {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let found = xml.split(&open).nth(1).and_then(|rest| rest.split(&close).next());
    found.unwrap_or_else(|| panic!("no {tag} in {xml}")).to_owned()
}

/// Log lines without what is the same in all of them.
fn brief(logs: &str) -> String {
    let lines = logs.lines().map(|line| {
        let Ok(read) = serde_json::from_str::<Value>(line) else { return line.to_owned() };
        if read["_aws"].is_object() { String::new() } else { format!("{} {}", read["level"], read["fields"]) }
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn zip_of(program: &Path) -> String {
    STANDARD.encode(zipped(program))
}

/// A function's zip that runs a program of this build.
pub fn zipped(program: &Path) -> Vec<u8> {
    // The program itself is too large to be copied for each test; the zip's bootstrap becomes it.
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    zip.start_file("bootstrap", options).unwrap();
    write!(zip, "#!/bin/sh\nexec '{}' \"$@\"\n", program.display()).unwrap();
    zip.finish().unwrap().into_inner()
}

/// The operations that a program declares for a handler.
pub fn operations(program: &str, handler: &str) -> Vec<String> {
    let output = std::process::Command::new(built(program)).args(["--operations", handler]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn role(emulator: &Emulator, name: &str, operations: &[String]) -> String {
    let assume = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "Service": "lambda.amazonaws.com" } }] });
    let made = emulator
        .query("iam", "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &assume.to_string())])
        .unwrap();
    let policy =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": operations, "Resource": "*" }] });
    let parameters = [("RoleName", name), ("PolicyName", "declared"), ("PolicyDocument", &policy.to_string())];
    emulator.query("iam", "PutRolePolicy", &parameters).unwrap();
    first(&made, "Arn")
}

fn parameter(emulator: &Emulator, name: &str, value: &str, kind: &str) {
    let body = json!({ "Name": name, "Value": value, "Type": kind });
    emulator.json("ssm", "AmazonSSM.PutParameter", &body).unwrap();
}

impl Bed {
    /// What somebody else has deployed, started: the API's id, the queue, its dead letters, and the table.
    pub async fn deployed(account: Account, github: Simulator, app: u64, api: &str, parts: [String; 3]) -> Self {
        let bed = Self::listening(account, github, app, api, parts).await;
        bed.github.set_webhook_url(&format!("{}/webhook", bed.host().api(api)));
        bed
    }

    /// As [`Self::deployed`]; the App's webhook goes nowhere.
    pub async fn listening(account: Account, github: Simulator, app: u64, api: &str, parts: [String; 3]) -> Self {
        let host = Host::start(&account, runnersmith_lambda_host::Options { speed: 30, ..Default::default() });
        let host = host.await.unwrap();
        let [queue, dead, table] = parts;
        let runs = Default::default();
        let api = api.to_owned();
        Self {
            account,
            github,
            app,
            host: Some(host),
            queue,
            lookups: String::new(),
            dead,
            runs,
            parameters: 0,
            hook: 0,
            table,
            api,
        }
    }

    /// Deploys a control plane and starts it.
    pub async fn new(wishes: Wishes) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let emulator = Arc::new(Emulator::start().unwrap());
        let account = Account::new(emulator.clone());
        let key = runnersmith_github_sim::app_key();
        let github = Simulator::start(Options::default()).await.unwrap();
        github.add_org("acme");
        github.add_repository("acme/shop");
        let mut bed = Self {
            account,
            github,
            app: 0,
            host: None,
            queue: String::new(),
            lookups: String::new(),
            dead: String::new(),
            runs: Default::default(),
            parameters: 4 + u64::from(wishes.ghes) + wishes.more_sets.len() as u64,
            hook: 0,
            table: "ledger".into(),
            api: String::new(),
        };
        // The App's number is known only when it is there, and its webhook's address only when the host runs.
        bed.deploy(&emulator, &wishes);
        let options = runnersmith_lambda_host::Options { speed: wishes.speed, ..Default::default() };
        let host = Host::start(&bed.account, options).await.unwrap();
        let address = format!("{}/webhook", host.api(&bed.api));
        bed.app = bed
            .github
            .add_app(App {
                slug: "runnersmith-test".into(),
                private_key_pem: key.clone(),
                webhook_secret: SECRET.into(),
                webhook_url: wishes.hook.is_none().then(|| address.clone()),
            })
            .unwrap();
        if let Some(scope) = wishes.hook {
            bed.hook = bed.github.add_hook(scope, &address, SECRET);
        }
        bed.github.install(bed.app, "acme");
        let front = match wishes.ghes {
            true => Some(TlsFront::start(&bed.github.base_url()).await.unwrap()),
            false => None,
        };
        bed.settings(&emulator, &wishes, &key, front.as_ref());
        bed.host = Some(host);
        bed
    }

    pub fn emulator(&self) -> &Emulator {
        self.account.emulator()
    }

    pub fn host(&self) -> &Host {
        self.host.as_ref().unwrap()
    }

    fn deploy(&mut self, emulator: &Emulator, wishes: &Wishes) {
        let queue = |name: &str, attributes: Value| {
            let body = json!({ "QueueName": name, "Attributes": attributes });
            emulator.json("sqs", "AmazonSQS.CreateQueue", &body).unwrap()["QueueUrl"].as_str().unwrap().to_owned()
        };
        self.dead = queue("dead", json!({}));
        let redrive = json!({ "deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:{ACCOUNT}:dead"), "maxReceiveCount": wishes.receives_max });
        let visibility = wishes.visibility.unwrap_or(6 * wishes.function_timeout).to_string();
        let work = json!({ "RedrivePolicy": redrive.to_string(), "VisibilityTimeout": visibility });
        self.queue = queue("jobs", work.clone());
        self.lookups = queue("lookups", work);
        let mut table: Value = serde_json::from_str(runnersmith_aws::TABLE_DEFINITION).unwrap();
        table["TableName"] = json!("ledger");
        emulator.json("dynamodb", "DynamoDB_20120810.CreateTable", &table).unwrap();

        for (name, program, handler) in [
            ("webhook", "lambda-webhook", "webhook"),
            ("scale-up", "lambda-runners", "scale-up"),
            ("scale-down", "lambda-runners", "scale-down"),
            ("housekeeper", "lambda-runners", "housekeeper"),
        ] {
            let mut allowed = operations(program, handler);
            // What other services ask in its name, as the module grants it.
            allowed.extend(["iam:PassRole", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"].map(str::to_owned));
            let role = role(emulator, name, &allowed);
            let body = json!({
                "FunctionName": name, "Runtime": "provided.al2023", "Role": role, "Handler": handler,
                "Code": { "ZipFile": zip_of(&built(program)) }, "Timeout": wishes.function_timeout, "MemorySize": 256,
                "Environment": { "Variables": { "RUNNERSMITH_PATH": PATH, "RUNNERSMITH_LOG": "info" } },
            });
            emulator.rest("lambda", "POST", "/2015-03-31/functions", body.to_string().as_bytes()).unwrap();
        }
        let allow = json!({ "RecursiveLoop": "Allow" }).to_string();
        emulator.rest("lambda", "PUT", "/2024-08-31/functions/scale-up/recursion-config", allow.as_bytes()).unwrap();
        for (queue, batch) in [("jobs", 10), ("lookups", 4)] {
            let mapping = json!({ "EventSourceArn": format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}"), "FunctionName": "scale-up",
                "BatchSize": batch, "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "ScalingConfig": { "MaximumConcurrency": 2 } });
            let path = "/2015-03-31/event-source-mappings/";
            emulator.rest("lambda", "POST", path, mapping.to_string().as_bytes()).unwrap();
        }
        self.gateway(emulator);
        self.rules(emulator);
    }

    fn gateway(&mut self, emulator: &Emulator) {
        let call = |path: &str, body: Value| -> Value {
            let answer = emulator.rest("apigateway", "POST", path, body.to_string().as_bytes()).unwrap();
            serde_json::from_slice(&answer).unwrap()
        };
        let api = call("/v2/apis", json!({ "name": "webhook", "protocolType": "HTTP" }));
        self.api = api["apiId"].as_str().unwrap().to_owned();
        let integration = json!({ "integrationType": "AWS_PROXY", "payloadFormatVersion": "2.0",
            "integrationUri": format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:webhook") });
        let integration = call(&format!("/v2/apis/{}/integrations", self.api), integration);
        let target = format!("integrations/{}", integration["integrationId"].as_str().unwrap());
        call(&format!("/v2/apis/{}/routes", self.api), json!({ "routeKey": "POST /webhook", "target": target }));
    }

    fn rules(&self, emulator: &Emulator) {
        let jobs = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:jobs");
        let scale_down = format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:scale-down");
        let rule = |name: &str, what: Value, target: &str| {
            let mut body = what;
            body["Name"] = json!(name);
            emulator.json("events", "AWSEvents.PutRule", &body).unwrap();
            let target = json!({ "Rule": name, "Targets": [{ "Id": "one", "Arn": target }] });
            emulator.json("events", "AWSEvents.PutTargets", &target).unwrap();
        };
        rule("scale-down", json!({ "ScheduleExpression": "rate(1 minute)" }), &scale_down);
        let pattern = json!({ "source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"] });
        rule("warning", json!({ "EventPattern": pattern.to_string() }), &jobs);
        let pattern = json!({ "source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"],
            "detail": { "state": ["shutting-down", "stopping", "terminated"] } });
        rule("interruption", json!({ "EventPattern": pattern.to_string() }), &jobs);
        // As the module has it.
        let rules = ["warning", "interruption"].map(|name| format!("arn:aws:events:us-east-1:{ACCOUNT}:rule/{name}"));
        let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
            "Principal": { "Service": "events.amazonaws.com" }, "Action": "sqs:SendMessage", "Resource": jobs,
            "Condition": { "ArnEquals": { "aws:SourceArn": rules } } }] });
        let policy = json!({ "QueueUrl": self.queue, "Attributes": { "Policy": policy.to_string() } });
        emulator.json("sqs", "AmazonSQS.SetQueueAttributes", &policy).unwrap();
    }

    fn settings(&self, emulator: &Emulator, wishes: &Wishes, key: &str, front: Option<&TlsFront>) {
        let subnets = emulator.query("ec2", "DescribeSubnets", &[]).unwrap();
        let (subnet, zone) = (first(&subnets, "subnetId"), first(&subnets, "availabilityZone"));
        parameter(emulator, &format!("{PATH}/secrets/app-key"), key, "SecureString");
        parameter(emulator, &format!("{PATH}/secrets/webhook"), SECRET, "SecureString");
        let base = self.github.base_url();
        let mut aws = json!({ "queue_url": self.queue, "lookup_queue_url": self.lookups, "dead_letter_queue_url": self.dead, "table": "ledger",
            "hand_off_path": format!("{PATH}/hand-off") });
        match wishes.encrypt.as_deref() {
            Some("none") => aws["encrypt_hand_off"] = json!(false),
            Some(key) => aws["kms_key_id"] = json!(key),
            None => {}
        }
        let mut control_plane = json!({
            "github": { "server_url": base, "api_url": base, "app_id": self.app.to_string(),
                "private_key_parameter": format!("{PATH}/secrets/app-key"),
                "webhook_secret_parameter": format!("{PATH}/secrets/webhook") },
            "limits": { "jit_per_minute": 5000, "calls_per_minute": 20_000 },
            "aws": aws,
        });
        if let Some(front) = front {
            let ca = format!("{PATH}/ca");
            parameter(emulator, &ca, &front.authority, "String");
            // Where the API is follows from the server.
            (control_plane["github"]["server_url"], control_plane["github"]["api_url"]) =
                (json!(front.url), Value::Null);
            control_plane["github"]["ca_parameter"] = json!(ca);
        }
        if let Some(scope) = wishes.hook {
            let kind = if scope.contains('/') { "repos" } else { "orgs" };
            control_plane["github"]["webhook"] = json!(format!("{kind}/{scope}/hooks/{}", self.hook));
        }
        parameter(
            emulator,
            &format!("{PATH}/config/plane"),
            &merged(control_plane, &wishes.control_plane).to_string(),
            "String",
        );
        let at = if wishes.level == "repository" { "acme/shop" } else { "acme" };
        let set = json!({
            "name": "linux", "labels": ["self-hosted", "linux", "x64"], "level": wishes.level, "at": at,
            "runners_max": wishes.runners_max, "ephemeral": wishes.ephemeral,
            "idle_confirm_seconds": 1, "settle_seconds": 0, "minimum_running_time_in_minutes": 0,
            "finished_grace_seconds": 2, "ghost_grace_seconds": 2, "delay_seconds": 0,
            "ec2": { "launch_template": "runners", "instance_types": ["m5.large", "m6i.large"],
                "subnets": [{ "zone": zone, "id": subnet }], "cool_down_seconds": 1 },
        });
        let set = merged(set, &wishes.set);
        parameter(emulator, &format!("{PATH}/config/sets/linux"), &set.to_string(), "String");
        for (name, text) in &wishes.more_sets {
            // What is JSON differs from the first set; what is not stays as it is.
            let more =
                serde_json::from_str(text).map_or_else(|_| text.clone(), |more| merged(set.clone(), &more).to_string());
            parameter(emulator, &format!("{PATH}/config/sets/{name}"), &more, "String");
        }
    }

    /// The set's launch template, with this user data.
    pub fn template(&self, user_data: &str) {
        let images = self.emulator().query("ec2", "DescribeImages", &[("Owner.1", "amazon")]).unwrap();
        let parameters = [
            ("LaunchTemplateName", "runners"),
            ("LaunchTemplateData.ImageId", &first(&images, "imageId")),
            ("LaunchTemplateData.InstanceType", "t3.micro"),
            ("LaunchTemplateData.InstanceInitiatedShutdownBehavior", "terminate"),
            ("LaunchTemplateData.UserData", &STANDARD.encode(user_data)),
        ];
        self.emulator().query("ec2", "CreateLaunchTemplate", &parameters).unwrap();
    }

    /// A machine's role: what the user data needs, and nothing else.
    pub fn machine_role(&self) -> String {
        let allowed = [
            "ssm:GetParameter",
            "ssm:DeleteParameter",
            "s3:GetObject",
            "ec2:CreateTags",
            "ec2:DescribeTags",
            "kms:Decrypt",
        ];
        role(self.emulator(), "machine", &allowed.map(str::to_owned))
    }

    /// Machines as fast fakes: what the user data does, without its AWS CLI, which takes a second a call.
    pub fn quick_machines(&self) -> Hypervisor {
        self.template("#!/bin/sh\nexit 0\n");
        self.quick_machines_as(self.machine_role())
    }

    /// With this role, and a launch template that is there.
    pub fn quick_machines_as(&self, role: String) -> Hypervisor {
        self.quick_machines_of(role, Default::default())
    }

    /// With the role of the control plane that launched them.
    pub fn quick_machines_of(&self, role: String, roles: std::collections::BTreeMap<String, String>) -> Hypervisor {
        let program = Some(built("quick-machine"));
        let start =
            MachineStart { role, roles, path: vec![built("runnersmith").parent().unwrap().to_owned()], program };
        Hypervisor::start(&self.account, start).unwrap()
    }

    /// Dispatches a workflow with so many jobs.
    pub fn dispatch(&self, jobs: usize, job_ms: u64) {
        self.dispatch_for(&["self-hosted", "linux"], jobs, job_ms);
    }

    /// With these labels.
    pub fn dispatch_for(&self, labels: &[&str], jobs: usize, job_ms: u64) {
        let jobs = (1..=jobs)
            .map(|n| JobSpec {
                name: format!("job {n}"),
                labels: labels.iter().map(|label| (*label).to_owned()).collect(),
                duration: Duration::from_millis(job_ms),
                ..JobSpec::default()
            })
            .collect();
        let run = self.github.dispatch("acme/shop", WorkflowSpec { name: "ci".into(), jobs }).unwrap();
        self.runs.lock().unwrap().push(run);
    }

    /// All jobs of all runs.
    pub fn jobs(&self) -> Vec<runnersmith_github_sim::JobView> {
        self.runs.lock().unwrap().iter().flat_map(|run| self.github.jobs(*run)).collect()
    }

    /// Waits until a condition holds.
    pub async fn until(
        &self,
        machines: &Hypervisor,
        what: &str,
        within: Duration,
        mut holds: impl AsyncFnMut() -> bool,
    ) {
        let end = Instant::now() + within;
        while Instant::now() < end {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (logs, consoles) = (brief(&self.host().logs()), machines.consoles());
        let history = self.history();
        let audit = self.emulator().audit().unwrap_or_default();
        let denied: Vec<_> = audit.iter().filter(|(_, result)| *result != "allow").collect();
        panic!(
            "never seen: {what}\ndenied: {denied:?}\n{history}\n{logs}\n{consoles}\njobs: {:#?}\nleft: {:#?}\ndeliveries: {:?}",
            self.jobs(),
            self.leftovers(),
            self.github.deliveries()
        );
    }

    /// Waits until every job has run, and nothing of their runners is left: no machine, registration or hand-off.
    pub async fn completes(&self, machines: &Hypervisor, jobs: usize, within: Duration) {
        self.until(machines, "every job has run", within, async || {
            let views = self.jobs();
            views.len() == jobs && views.iter().all(|job| job.conclusion.as_deref() == Some("success"))
        })
        .await;
        self.until(machines, "nothing is left", within, async || self.leftovers().is_empty()).await;
    }

    /// What the ledger says went wrong with runners.
    fn history(&self) -> String {
        let body = json!({ "TableName": self.table, "IndexName": "by_kind", "KeyConditionExpression": "kind = :kind",
            "ExpressionAttributeValues": { ":kind": { "S": "event" } } });
        let found = self.emulator().json("dynamodb", "DynamoDB_20120810.Query", &body).unwrap();
        let events = found["Items"].as_array().into_iter().flatten().filter_map(|item| {
            let event: Value = serde_json::from_str(item["record"]["S"].as_str()?).ok()?;
            let what = event["what"].as_str()?;
            let odd = ["lost", "draining", "registration_missing", "machine_missing"].contains(&what)
                || event["kind"].as_str() == Some("failed");
            odd.then(|| format!("history: {} {} {}", event["runner"], what, event["text"]))
        });
        events.collect::<Vec<_>>().join("\n")
    }

    /// Everything that should not be there any more.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        let machines = self.emulator().query("ec2", "DescribeInstances", NOT_TERMINATED).unwrap();
        for rest in machines.split("<instanceState>").skip(1) {
            let state = first(rest, "name");
            if state != "terminated" {
                left.push(format!("a machine is {state}"));
            }
        }
        left.extend(self.github.runners().into_iter().map(|runner| format!("runner {}", runner.name)));
        // Of every environment in the account.
        let path = json!({ "Path": "/runnersmith", "Recursive": true });
        let found = self.emulator().json("ssm", "AmazonSSM.GetParametersByPath", &path).unwrap();
        let names = found["Parameters"].as_array().into_iter().flatten().filter_map(|one| one["Name"].as_str());
        left.extend(names.filter(|name| name.contains("/hand-off/")).map(|name| format!("hand-off {name}")));
        left
    }

    /// How often an action was called, by whomever.
    pub fn calls(&self, action: &str) -> u64 {
        let calls = self.emulator().calls().unwrap();
        calls.iter().filter(|(name, _)| name.ends_with(&format!(":{action}"))).map(|(_, count)| count).sum()
    }

    /// A hypervisor whose machines do nothing.
    pub fn no_machines(&self) -> Hypervisor {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("idle-machine");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 3600\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let start = MachineStart {
            role: self.machine_role(),
            roles: Default::default(),
            path: Vec::new(),
            program: Some(program),
        };
        Hypervisor::start(&self.account, start).unwrap()
    }

    /// Machines that are not terminated.
    pub fn machines_alive(&self) -> usize {
        let machines = self.emulator().query("ec2", "DescribeInstances", NOT_TERMINATED).unwrap();
        machines.split("<instanceState>").skip(1).filter(|rest| first(rest, "name") != "terminated").count()
    }

    pub fn all_succeeded(&self, jobs: usize) -> bool {
        let views = self.jobs();
        views.len() == jobs && views.iter().all(|job| job.conclusion.as_deref() == Some("success"))
    }

    /// How often an operation of GitHub was called whose path holds this.
    pub fn github_calls(&self, part: &str) -> u64 {
        self.github.calls().iter().filter(|(name, _)| name.contains(part)).map(|(_, count)| count).sum()
    }

    /// How many calls a role made.
    pub fn calls_of(&self, role: &str) -> u64 {
        let calls = self.emulator().calls().unwrap();
        calls.iter().filter(|(name, _)| name.starts_with(&format!("{role} "))).map(|(_, count)| count).sum()
    }

    /// Messages that the functions sent to themselves.
    pub fn wakes(&self) -> u64 {
        let calls = self.emulator().calls().unwrap();
        let own = |name: &&String| name.ends_with(":SendMessage") && !name.starts_with("webhook ");
        calls.iter().filter(|(name, _)| own(name)).map(|(_, count)| count).sum()
    }

    /// What EventBridge sends when a machine's state changes.
    pub fn report_state(&self, machine: &str, state: &str) {
        self.host().put_event(&json!({ "source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification",
            "detail": { "instance-id": machine, "state": state } }));
    }

    /// Messages that are in the queue now, or being worked on; not those that are to come later.
    pub fn messages(&self) -> u64 {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let body = json!({ "QueueUrl": self.queue, "AttributeNames": names });
        let found = self.emulator().json("sqs", "AmazonSQS.GetQueueAttributes", &body).unwrap();
        names.iter().map(|name| found["Attributes"][*name].as_str().unwrap().parse::<u64>().unwrap()).sum()
    }

    pub fn dead_letters(&self) -> u64 {
        let body = json!({ "QueueUrl": self.dead, "AttributeNames": ["ApproximateNumberOfMessages"] });
        let found = self.emulator().json("sqs", "AmazonSQS.GetQueueAttributes", &body).unwrap();
        found["Attributes"]["ApproximateNumberOfMessages"].as_str().unwrap().parse().unwrap()
    }

    /// A delivery's body.
    pub fn delivery(&self, status: &str, id: u64) -> String {
        json!({
            "action": status,
            "workflow_job": { "id": id, "run_id": 1, "run_attempt": 1, "name": "job", "workflow_name": "ci",
                "head_sha": "c0ffee", "status": status, "conclusion": null, "labels": ["self-hosted", "linux"],
                "runner_id": null, "runner_name": null, "created_at": "2026-11-24T08:00:00Z" },
            "repository": { "id": 1, "full_name": "acme/shop", "name": "shop", "owner": { "login": "acme", "type": "Organization" } },
            "organization": { "login": "acme" },
            "installation": { "id": 1 },
        })
        .to_string()
    }

    /// Posts a delivery signed with a secret; the status.
    pub async fn post(&self, event: &str, body: &str, secret: &str) -> u16 {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let signature = hex::encode(ring::hmac::sign(&key, body.as_bytes()));
        self.send(event, Some(format!("sha256={signature}")), body).await
    }

    /// Posts a delivery with this signature, or none.
    pub async fn post_raw(&self, signature: Option<String>, body: &str) -> u16 {
        self.send("workflow_job", signature, body).await
    }

    async fn send(&self, event: &str, signature: Option<String>, body: &str) -> u16 {
        let mut request = reqwest::Client::new()
            .post(format!("{}/webhook", self.host().api(&self.api)))
            .header("X-GitHub-Event", event)
            .header("X-GitHub-Delivery", "00000000-0000-4000-8000-000000000001")
            .body(body.to_owned());
        if let Some(signature) = signature {
            request = request.header("X-Hub-Signature-256", signature);
        }
        request.send().await.unwrap().status().as_u16()
    }
}
