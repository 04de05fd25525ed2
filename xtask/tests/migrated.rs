//! Each configuration that `runnersmith migrate` reads in its own test is planned by Terraform in the form that follows its advice, with
//! a mocked provider: advice that does not plan is no advice.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::path::Path;

use runnersmith_aws_emulator::terraform::{self, Provider};
use runnersmith_aws_emulator::{Emulator, skip_unless_available};
use serde_json::{Value, json};

/// Where the configurations take the module from.
const SOURCE: &str = "git::https://github.com/OWNER/runnersmith.git//terraform?ref=v1.0.0";
/// Without it Terraform takes the real provider for a module that a test names.
const PROVIDER: &str = "terraform {\n  required_providers {\n    aws = { source = \"hashicorp/aws\" }\n  }\n}\n";
/// What the configurations take from elsewhere in their stack.
const VARIABLES: &str = r#"
variable "region" { default = "eu-west-1" }
variable "vpc_id" { default = "vpc-1" }
variable "subnet_ids" { default = ["subnet-1"] }
variable "tags" { default = { Team = "ci" } }
variable "id" { default = "1" }
variable "key" {
  default   = "a2V5"
  sensitive = true
}
variable "webhook_secret" {
  default   = "12345678"
  sensitive = true
}
variable "github_app" {
  default   = { key_base64 = "a2V5", id = "1", client_id = "Iv1", client_secret = "unused", webhook_secret = "12345678" }
  sensitive = true
}
variable "authority" { default = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" }
"#;

/// The provider's answers, as the module's own tests have them: all before their variables.
fn mocks() -> String {
    let text = std::fs::read_to_string(support::root().join("terraform/tests/inputs.tftest.hcl")).unwrap();
    text.split_once("\nvariables {").unwrap().0.to_owned()
}

/// Copies a case's files, but for what was there before the advice.
fn lay_out(case: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::write(to.join("variables.tf"), format!("{PROVIDER}{VARIABLES}")).unwrap();
    let mut replaced = 0;
    for entry in std::fs::read_dir(case).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("before.") || name.ends_with(".snap") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        replaced += text.matches(SOURCE).count();
        std::fs::write(to.join(name), text.replace(SOURCE, "../../terraform")).unwrap();
    }
    assert_eq!(replaced, 1, "{} takes the module once", case.display());
}

/// Runs Terraform in a folder; what it said.
fn run(provider: Option<&Provider>, home: &Path, here: &Path, arguments: &[&str]) -> String {
    let mut command = terraform::command(here, home, None).unwrap();
    if let Some(provider) = provider {
        provider.attach(&mut command);
    }
    let output = command.args(arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}", arguments.join(" "));
    said
}

/// A folder with the module, and zips where it looks for them.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for part in ["terraform", "crates/ec2/user-data"] {
        terraform::copy(&support::root().join(part), &home.path().join(part)).unwrap();
    }
    let zips = support::root().join("terraform/tests/fixtures");
    for architecture in ["x86_64", "arm64"] {
        let functions = home.path().join("terraform/functions").join(architecture);
        std::fs::create_dir_all(&functions).unwrap();
        for (zip, file) in [("webhook", "webhook"), ("runners", "runners"), ("syncer", "runner-binaries-syncer")] {
            std::fs::copy(zips.join(format!("{zip}.zip")), functions.join(format!("{file}.zip"))).unwrap();
        }
    }
    home
}

#[test]
fn every_configuration_plans_when_the_advice_on_it_is_followed() {
    if terraform::skip_unless_there("the plans of migrated configurations") {
        return;
    }
    let home = home();
    let here = home.path().join("cases");
    std::fs::create_dir_all(&here).unwrap();
    // A folder without configuration is not initialised.
    std::fs::write(here.join("main.tf"), PROVIDER).unwrap();
    let mocks = mocks();
    let mut count = 0;
    let folder = support::root().join("crates/migrate/tests/configurations");
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    for case in cases.iter().filter(|path| path.is_dir()) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        lay_out(case, &here.join(&name));
        // A file of its own: where one fails, Terraform skips the rest of its file.
        let run =
            format!("{mocks}\nrun \"plans\" {{\n  command = plan\n  module {{\n    source = \"./{name}\"\n  }}\n}}\n");
        std::fs::write(here.join(format!("{name}.tftest.hcl")), run).unwrap();
        count += 1;
    }
    assert!(count >= 40, "{count}");
    let provider = Provider::start(&here);
    let run = |arguments: &[&str]| run(provider.as_ref(), home.path(), &here, arguments);
    run(&["init", "-backend=false", "-input=false", "-no-color"]);
    let said = run(&["test", "-no-color"]);
    assert!(said.contains(&format!("{count} passed, 0 failed.")), "{said}");
}

/// Cases with what only a service refuses: disks, an image by its parameter, several kinds, interfaces, secrets that are there already.
const APPLIED: [&str; 5] =
    ["14-image-by-parameter", "17-several-disks", "20-several-kinds", "22-public-addresses", "29-app-in-parameters"];

#[test]
fn five_configurations_are_applied_and_a_second_plan_is_empty() {
    const WHAT: &str = "five migrated configurations on the emulator";
    if skip_unless_available(WHAT) || terraform::skip_unless_there(WHAT) {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let subnets = emulator.query("ec2", "DescribeSubnets", &[]).unwrap();
    let first = |tag: &str| {
        let found = subnets.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once('<'));
        found.map(|(text, _)| text.to_owned()).unwrap()
    };
    for (name, value) in [("id", "77"), ("key", "a2V5"), ("secret", "12345678")] {
        let parameter = json!({ "Name": format!("/github/app/{name}"), "Value": value, "Type": "SecureString" });
        emulator.json("ssm", "AmazonSSM.PutParameter", &parameter).unwrap();
    }
    let home = home();
    let here = home.path().join("cases");
    let mut modules = serde_json::Map::new();
    for name in APPLIED {
        lay_out(&support::root().join("crates/migrate/tests/configurations").join(name), &here.join(name));
        // The emulator's account has its subnets and parameters in one region.
        let file = here.join(name).join("after.tf");
        let text = std::fs::read_to_string(&file).unwrap().replace("eu-west-1", "us-east-1");
        std::fs::write(&file, text).unwrap();
        let module = json!({ "source": format!("./{name}"), "vpc_id": first("vpcId"), "subnet_ids": [first("subnetId")],
            "region": "us-east-1" });
        modules.insert(format!("case_{name}"), module);
    }
    let services = [
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
    let endpoints: serde_json::Map<String, Value> =
        services.iter().map(|service| ((*service).to_owned(), json!(emulator.url()))).collect();
    let main = json!({
        "terraform": { "required_providers": { "aws": { "source": "hashicorp/aws" } } },
        "provider": { "aws": { "region": "us-east-1", "access_key": "testing", "secret_key": "testing",
            "skip_credentials_validation": true, "skip_metadata_api_check": true, "skip_region_validation": true,
            "s3_use_path_style": true, "endpoints": endpoints } },
        "module": modules,
    });
    std::fs::write(here.join("main.tf.json"), main.to_string()).unwrap();
    let provider = Provider::start(&here);
    let run = |arguments: &[&str]| run(provider.as_ref(), home.path(), &here, arguments);
    run(&["init", "-input=false", "-no-color"]);
    run(&["apply", "-auto-approve", "-input=false", "-no-color"]);
    let said = run(&["plan", "-input=false", "-no-color"]);
    assert!(said.contains("No changes."), "{said}");
    run(&["destroy", "-auto-approve", "-input=false", "-no-color"]);
}
