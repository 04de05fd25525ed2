//! Each configuration that `runnersmith migrate` reads in its own test is planned by Terraform in the form that follows its advice, with
//! a mocked provider: advice that does not plan is no advice.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::path::Path;

use runnersmith_aws_emulator::terraform;

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

#[test]
fn every_configuration_plans_when_the_advice_on_it_is_followed() {
    if terraform::skip_unless_there("the plans of migrated configurations") {
        return;
    }
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
    let run = |arguments: &[&str]| {
        let mut command = terraform::command(&here, home.path(), None).unwrap();
        let output = command.args(arguments).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{said}", arguments.join(" "));
        said
    };
    run(&["init", "-backend=false", "-input=false", "-no-color"]);
    let said = run(&["test", "-no-color"]);
    assert!(said.contains(&format!("{count} passed, 0 failed.")), "{said}");
}
