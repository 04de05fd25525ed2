//! The real Terraform with the real provider, on a copy of the module, against the emulator.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use runnersmith_aws_emulator::terraform::Provider;
use runnersmith_aws_emulator::{Emulator, skip_unless_available};
use serde_json::{Value, json};

use super::built;

const SERVICES: [&str; 13] = [
    "apigatewayv2",
    "cloudwatch",
    "dynamodb",
    "ec2",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "s3",
    "sqs",
    "ssm",
    "sts",
];

/// `true` when a test with Terraform cannot run here.
pub fn skip_unless_there(test: &str) -> bool {
    skip_unless_available(test) || runnersmith_aws_emulator::terraform::skip_unless_there(test)
}

/// An example, copied with the module that it calls, and what Terraform keeps of it.
pub struct Terraform {
    home: tempfile::TempDir,
    example: String,
    variables: Value,
    provider: Option<Provider>,
}

/// What Terraform said.
pub struct Said {
    pub code: i32,
    pub text: String,
}

impl Terraform {
    /// An example with these variables; `more` is merged into it as Terraform merges an override file.
    pub fn new(emulator: &Emulator, example: &str, variables: Value, more: Value) -> Self {
        let home = tempfile::tempdir().unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for part in ["terraform", "crates/ec2/user-data"] {
            runnersmith_aws_emulator::terraform::copy(&repository.join(part), &home.path().join(part)).unwrap();
        }
        let functions = home.path().join("terraform/functions/x86_64");
        std::fs::create_dir_all(&functions).unwrap();
        for (zip, program) in [
            ("webhook.zip", "lambda-webhook"),
            ("runners.zip", "lambda-runners"),
            ("runner-binaries-syncer.zip", "lambda-runner-binaries-syncer"),
        ] {
            std::fs::write(functions.join(zip), super::zipped(&built(program))).unwrap();
        }
        let endpoints: serde_json::Map<String, Value> =
            SERVICES.iter().map(|service| ((*service).to_owned(), json!(emulator.url()))).collect();
        let mut over = json!({ "provider": { "aws": {
            "access_key": "testing", "secret_key": "testing", "skip_credentials_validation": true,
            "skip_metadata_api_check": true, "skip_region_validation": true, "s3_use_path_style": true,
            "endpoints": endpoints,
        } } });
        let mut more = more.as_object().cloned().unwrap_or_default();
        // What is not there yet cannot be overridden.
        let outputs = json!({ "output": more.remove("output").unwrap_or_else(|| json!({})) });
        over.as_object_mut().unwrap().extend(more);
        let directory = home.path().join("terraform/examples").join(example);
        let this = Self { home, example: example.to_owned(), variables, provider: Provider::start(&directory) };
        std::fs::write(this.directory().join("test_override.tf.json"), over.to_string()).unwrap();
        if outputs["output"].as_object().is_some_and(|outputs| !outputs.is_empty()) {
            std::fs::write(this.directory().join("test_outputs.tf.json"), outputs.to_string()).unwrap();
        }
        this.set(&[]);
        let said = this.run(&["init", "-input=false"]);
        assert_eq!(said.code, 0, "init {example}\n{}", said.text);
        this
    }

    fn directory(&self) -> PathBuf {
        self.home.path().join("terraform/examples").join(&self.example)
    }

    /// Writes the variables, some of them changed.
    pub fn set(&self, changes: &[(&str, Value)]) {
        let mut variables = self.variables.clone();
        for (name, value) in changes {
            variables[*name] = value.clone();
        }
        let mut file = std::fs::File::create(self.directory().join("test.auto.tfvars.json")).unwrap();
        file.write_all(variables.to_string().as_bytes()).unwrap();
    }

    /// Replaces text in the example, as somebody would who changes it.
    pub fn edit(&self, from: &str, to: &str) {
        let file = self.directory().join("main.tf");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        std::fs::write(&file, text.replacen(from, to, 1)).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        let mut command =
            runnersmith_aws_emulator::terraform::command(&self.directory(), self.home.path(), None).unwrap();
        if let Some(provider) = &self.provider {
            provider.attach(&mut command);
        }
        let output = command.args(arguments).arg("-no-color").output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Said { code: output.status.code().unwrap_or(-1), text }
    }

    pub fn apply(&self) {
        let said = self.run(&["apply", "-auto-approve", "-input=false"]);
        assert_eq!(said.code, 0, "apply {}\n{}", self.example, said.text);
    }

    /// What a plan would do: `create|update|delete|replace address`, nothing when all is as it should be. Read from what Terraform
    /// reports while it plans: to show a stored plan it would start the provider once more.
    pub fn planned(&self) -> Vec<String> {
        let said = self.run(&["plan", "-input=false", "-json"]);
        assert_eq!(said.code, 0, "plan {}\n{}", self.example, said.text);
        let lines: Vec<Value> = said.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().any(|line| line["type"] == "change_summary"), "plan {}\n{}", self.example, said.text);
        let changes = lines.iter().filter(|line| line["type"] == "planned_change").map(|line| &line["change"]);
        let mut planned: Vec<String> = changes
            .filter(|change| change["action"] != "read" && change["action"] != "noop")
            .map(|change| {
                format!("{} {}", change["action"].as_str().unwrap(), change["resource"]["addr"].as_str().unwrap())
            })
            .collect();
        planned.sort();
        planned
    }

    pub fn destroy(&self) {
        let said = self.run(&["destroy", "-auto-approve", "-input=false"]);
        assert_eq!(said.code, 0, "destroy {}\n{}", self.example, said.text);
    }

    pub fn outputs(&self) -> Value {
        let said = self.run(&["output", "-json"]);
        serde_json::from_str(&said.text).unwrap_or_else(|error| panic!("{error}: {}", said.text))
    }

    pub fn state(&self) -> String {
        std::fs::read_to_string(self.directory().join("terraform.tfstate")).unwrap()
    }
}

/// A VPC and subnet that are in every account.
pub fn default_network(emulator: &Emulator) -> (String, String) {
    let subnets = emulator.query("ec2", "DescribeSubnets", &[]).unwrap();
    (super::first(&subnets, "vpcId"), super::first(&subnets, "subnetId"))
}

/// All that a control plane may leave in an account, by kind; what every account has is not in it.
pub fn left(emulator: &Emulator) -> Vec<String> {
    let mut left = Vec::new();
    let mut list = |kind: &str, found: &Value, name: &str| {
        for one in found.as_array().into_iter().flatten() {
            left.push(format!("{kind} {}", if name.is_empty() { one } else { &one[name] }));
        }
    };
    let json_of = |service: &str, target: &str, body: Value| emulator.json(service, target, &body).unwrap();
    list("parameter", &json_of("ssm", "AmazonSSM.DescribeParameters", json!({}))["Parameters"], "Name");
    list("queue", &json_of("sqs", "AmazonSQS.ListQueues", json!({}))["QueueUrls"], "");
    list("table", &json_of("dynamodb", "DynamoDB_20120810.ListTables", json!({}))["TableNames"], "");
    list("log group", &json_of("logs", "Logs_20140328.DescribeLogGroups", json!({}))["logGroups"], "logGroupName");
    list("rule", &json_of("events", "AWSEvents.ListRules", json!({}))["Rules"], "Name");
    let rest = |service: &str, path: &str| -> Value {
        serde_json::from_slice(&emulator.rest(service, "GET", path, b"").unwrap()).unwrap_or(Value::Null)
    };
    list("function", &rest("lambda", "/2015-03-31/functions")["Functions"], "FunctionName");
    list("mapping", &rest("lambda", "/2015-03-31/event-source-mappings/")["EventSourceMappings"], "UUID");
    list("api", &rest("apigateway", "/v2/apis")["items"], "name");
    let keys = json_of("kms", "TrentService.ListKeys", json!({}));
    for key in keys["Keys"].as_array().into_iter().flatten() {
        let about = json_of("kms", "TrentService.DescribeKey", json!({ "KeyId": key["KeyId"] }));
        // The emulator makes one by itself where AWS has its own.
        let ours = about["KeyMetadata"]["Description"] != "Default key";
        if ours && about["KeyMetadata"]["KeyState"] != "PendingDeletion" {
            left.push(format!("key {}", about["KeyMetadata"]));
        }
    }
    for (service, action, tag, kind) in [
        ("iam", "ListRoles", "RoleName", "role"),
        ("iam", "ListInstanceProfiles", "InstanceProfileName", "profile"),
        ("ec2", "DescribeLaunchTemplates", "launchTemplateName", "launch template"),
        ("ec2", "DescribeNatGateways", "natGatewayId", "gateway"),
    ] {
        let found = emulator.query(service, action, &[]).unwrap();
        for rest in found.split(&format!("<{tag}>")).skip(1) {
            left.push(format!("{kind} {}", rest.split('<').next().unwrap_or_default()));
        }
    }
    let groups = emulator.query("ec2", "DescribeSecurityGroups", &[]).unwrap();
    for rest in groups.split("<groupName>").skip(1) {
        let name = rest.split('<').next().unwrap_or_default();
        if name != "default" {
            left.push(format!("security group {name}"));
        }
    }
    let buckets = String::from_utf8(emulator.rest("s3", "GET", "/", b"").unwrap()).unwrap();
    left.extend(buckets.split("<Name>").skip(1).map(|rest| format!("bucket {}", rest.split('<').next().unwrap_or(""))));
    // Deleted gateways are shown for a while, in every account.
    left.retain(|what| {
        !what.starts_with("gateway")
            || emulator.query("ec2", "DescribeNatGateways", &[]).unwrap().contains("<state>available")
    });
    left
}
