//! Blocks as people have them, of several versions and in both syntaxes.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use runnersmith_migrate::{InputChange, Report, check};

fn files(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn one(text: &str) -> Report {
    check(&files(&[("main.tf", text)]))
}

const SEED: &str = r#"
module "runners" {
  source  = "philips-labs/github-runner/aws"
  version = "0.12.0"

  aws_region                  = "eu-west-1"
  vpc_id                      = module.vpc.vpc_id
  subnet_ids                  = module.vpc.private_subnets
  environment                 = "default"
  enable_organization_runners = true
  github_app = {
    key_base64     = var.key
    id             = var.id
    client_id      = var.client_id
    client_secret  = var.client_secret
    webhook_secret = random_password.random.result
  }
  webhook_lambda_zip    = "webhook.zip"
  runner_extra_labels   = "default,example"
  runners_maximum_count = 10
}

# module.runners.in_a_comment
output "webhook" {
  value = { endpoint = module.runners.webhook.endpoint, secret = "${module.runners.webhook.secret}!", lambda = module.runners.runners.nothing }
}
"#;

#[test]
fn the_seeds_block_keeps_its_inputs() {
    insta::assert_snapshot!("seed", one(SEED));
}

#[test]
fn a_block_of_version_six_with_several_runners_says_what_to_write() {
    let report = one(r#"
module "multi" {
  source = "git::https://github.com/github-aws-runners/terraform-aws-github-runner.git?ref=v6.1.0"
  prefix = "ci"
  aws_region = "eu-west-1"
  vpc_id = "vpc-1"
  subnet_ids = []
  github_app = {}
  enable_organization_runners = true
  enable_ephemeral_runners = true
  enable_jit_config = true
  multi_runner_config = {}
  runner_maximum_count = 3
  something_else = 1
  for_each = {}
}
"#);
    insta::assert_snapshot!("version_six", report);
    assert!(report.is_by_hand());
}

#[test]
fn json_is_read_and_a_submodule_is_reported_as_one() {
    let json = r#"{"module": {"a": [{"source": "philips-labs/github-runner/aws//modules/runners", "x": 1}],
        "b": {"source": "registry.terraform.io/github-aws-runners/github-runner/aws", "tags": {}}, "c": {"source": "./else"}}}"#;
    let report = check(&files(&[("main.tf.json", json)]));
    let names: Vec<_> = report.blocks.iter().map(|block| (block.name.as_str(), block.submodule.as_deref())).collect();
    assert_eq!(names, [("a", Some("modules/runners")), ("b", None)]);
    let missing = report.blocks[1].findings.iter().filter(|finding| finding.change == InputChange::Missing);
    let missing: Vec<_> = missing.map(|finding| finding.what.as_str()).collect();
    assert_eq!(
        missing,
        ["aws_region", "enable_organization_runners", "environment", "github_app", "subnet_ids", "vpc_id"]
    );
}

#[test]
fn what_cannot_be_read_is_reported_with_its_place_and_the_rest_is_read() {
    let report = check(&files(&[("broken.tf", "module \"x\" {\n  a = \n}"), ("main.tf", SEED)]));
    assert_eq!((report.blocks.len(), report.unreadable.len()), (1, 1));
    let said = report.unreadable[0].to_string();
    assert!(said.contains("broken.tf") && said.contains("line 2"), "{said}");
    assert!(report.is_by_hand());
    let deep = "[".repeat(100_000);
    assert!(one(&format!("a = {deep}")).unreadable[0].why.contains("100 deep"));
}

#[test]
fn other_modules_are_none_of_our_business() {
    let report = one("module \"vpc\" {\n  source = \"terraform-aws-modules/vpc/aws\"\n}\n");
    assert!(report.blocks.is_empty() && !report.is_by_hand());
    assert!(report.to_string().contains("No block"));
}

#[test]
fn foreign_text_stays_in_its_line() {
    let report = one("module \"a\\u001b[31m\\nb\" {\n  source = \"philips-labs/github-runner/aws\"\n}\n");
    let text = report.to_string();
    assert!(!text.contains('\u{1b}') && text.lines().next().unwrap().contains("\\n"), "{text}");
}

/// The table of inputs is the module's.
#[test]
fn every_input_of_the_module_is_in_the_table() {
    let text = include_str!("../../../terraform/variables.tf");
    let body = hcl::parse(text).unwrap();
    let mut required = Vec::new();
    for block in body.blocks().filter(|block| block.identifier() == "variable") {
        let name = block.labels()[0].as_str();
        let report =
            one(&format!("module \"x\" {{\n  source = \"philips-labs/github-runner/aws\"\n  {name} = 1\n}}\n"));
        let found = report.blocks[0].findings.iter().find(|finding| finding.what == name).unwrap();
        assert!([InputChange::Kept, InputChange::Differs].contains(&found.change), "{name}: {found:?}");
        if !block.body().attributes().any(|attribute| attribute.key() == "default") {
            required.push(name.to_owned());
        }
    }
    required.sort();
    let report = one("module \"x\" {\n  source = \"philips-labs/github-runner/aws\"\n}\n");
    let missing = report.blocks[0].findings.iter().filter(|finding| finding.change == InputChange::Missing);
    assert_eq!(missing.map(|finding| finding.what.clone()).collect::<Vec<_>>(), required);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(module|\"|\\{|\\}|=|source|philips-labs/github-runner/aws|[a-z\\n .${\\[\\]é\u{0}]){0,80}", json in any::<bool>()) {
        let report = check(&files(&[(if json { "a.tf.json" } else { "a.tf" }, &text)]));
        let _ = report.to_string();
    }
}
