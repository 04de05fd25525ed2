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
        "b": {"source": "registry.terraform.io/github-aws-runners/github-runner/aws", "tags": {}}, "c": {"source": "./else"},
        "d": {"source": "./terraform-aws-github-runner/modules/download-lambda", "lambdas": []}}}"#;
    let report = check(&files(&[("main.tf.json", json)]));
    let names: Vec<_> = report.blocks.iter().map(|block| (block.name.as_str(), block.submodule.as_deref())).collect();
    assert_eq!(names, [("a", Some("runners")), ("b", None), ("d", Some("download-lambda"))]);
    let text = report.to_string();
    assert!(text.contains("runners is a part of that module: terraform/modules/scale-set"), "{text}");
    assert!(text.contains("download-lambda is a part of that module: take it out"), "{text}");
    let missing = report.blocks[1].findings.iter().filter(|finding| finding.change == InputChange::Missing);
    let missing: Vec<_> = missing.map(|finding| finding.what.as_str()).collect();
    assert_eq!(
        missing,
        ["aws_region", "enable_organization_runners", "environment", "github_app", "subnet_ids", "vpc_id"]
    );
}

/// What a report says of one argument, as `change: note`.
fn said(report: &Report, what: &str) -> String {
    let found = report.blocks[0].findings.iter().find(|finding| finding.what == what);
    found.map_or_else(|| "nothing".to_owned(), |finding| format!("{:?}: {}", finding.change, finding.note))
}

/// Names of all arguments that any version had, with the place: the module, its part with several kinds of runners, an entry of
/// that one, and how an entry chooses its jobs.
fn published() -> Vec<(&'static str, &'static str)> {
    let rows = include_str!("published-inputs.tsv").lines().skip(1);
    rows.map(|row| row.split_once('\t').unwrap()).map(|(name, rest)| (name, rest.split('\t').next().unwrap())).collect()
}

#[test]
fn every_argument_of_every_version_is_known() {
    let all = published();
    let count = |place: &str| all.iter().filter(|(_, at)| *at == place).count();
    assert_eq!((count("root"), count("multi-runner"), count("entry"), count("matcher")), (171, 87, 66, 7));
    for (place, source) in [
        ("root", "philips-labs/github-runner/aws"),
        ("multi-runner", "github-aws-runners/github-runner/aws//modules/multi-runner"),
    ] {
        let names: Vec<&str> = all.iter().filter(|(_, at)| *at == place).map(|(name, _)| *name).collect();
        let arguments: String = names.iter().map(|name| format!("  {name} = var.{name}\n")).collect();
        let report = one(&format!("module \"x\" {{\n  source = {source:?}\n{arguments}}}\n"));
        for name in names {
            let answer = said(&report, name);
            assert!(answer != "nothing" && !answer.starts_with("Unknown"), "{place} {name}: {answer}");
        }
    }
}

#[test]
fn every_field_of_an_entry_of_every_version_is_known() {
    let all = published();
    let fields = |place: &str| -> String {
        all.iter().filter(|(_, at)| *at == place).map(|(name, _)| format!("{name} = var.x\n")).collect()
    };
    let (config, matcher) = (fields("entry"), fields("matcher"));
    let report = one(&format!(
        "module \"x\" {{\n source = \"github-aws-runners/github-runner/aws//modules/multi-runner\"\n multi_runner_config = {{ a = {{\n\
         runner_config = {{\n{config}}}\n matcherConfig = {{\n{matcher}}}\n}}}}\n}}\n"
    ));
    for (name, place) in all.iter().filter(|(_, place)| ["entry", "matcher"].contains(place)) {
        // They are in the advice on the labels.
        if ["runner_extra_labels", "awsDynamicLabelsPolicy", "ec2DynamicLabelsPolicy"].contains(name) {
            continue;
        }
        let path = if *place == "matcher" { format!("matcherConfig.{name}") } else { (*name).to_owned() };
        let answers = [
            said(&report, &format!("multi_runner_config[\"a\"].{path}")),
            said(&report, &format!("scale_sets[\"a\"].{path}")),
        ];
        assert!(answers.iter().any(|answer| answer != "nothing"), "{name}: {answers:?}");
        assert!(!answers.iter().any(|answer| answer.starts_with("Unknown")), "{name}: {answers:?}");
    }
}

#[test]
fn what_is_not_supported_is_said_only_of_what_is_asked_for() {
    let block = |arguments: &str| {
        one(&format!("module \"x\" {{\n  source = \"philips-labs/github-runner/aws\"\n{arguments}\n}}\n"))
    };
    for (argument, name, expected) in [
        ("runner_os = \"windows\"", "runner_os", "Unsupported: only Linux is supported; Windows and macOS are not"),
        ("runner_os = \"osx\"", "runner_os", "Unsupported: only Linux is supported; Windows and macOS are not"),
        ("runner_os = \"linux\"", "runner_os", "NotNeeded: only Linux is supported; Windows and macOS are not"),
        ("use_dedicated_host = false", "use_dedicated_host", "NotNeeded: the launch template does not say it"),
        ("use_dedicated_host = true", "use_dedicated_host", "Unsupported: the launch template does not say it"),
        ("additional_github_apps = []", "additional_github_apps", "NotNeeded: "),
        ("iam_overrides = { override_runner_role = false, runner_role_arn = null }", "iam_overrides", "NotNeeded: "),
        ("iam_overrides = { override_runner_role = true }", "iam_overrides", "Unsupported: "),
        ("runner_placement = var.placement", "runner_placement", "Unsupported: "),
    ] {
        let answer = said(&block(argument), name);
        assert!(answer.starts_with(expected), "{argument}: {answer}");
    }
}

#[test]
fn no_name_stands_for_one_of_another_meaning() {
    let block = |name: &str| {
        said(&one(&format!("module \"x\" {{\n  source = \"philips-labs/github-runner/aws\"\n  {name} = 1\n}}\n")), name)
    };
    assert_eq!(block("runner_maximum_count"), "Unknown: is runners_maximum_count meant?");
    assert_eq!(block("runner_osx"), "Unknown: is runner_os meant?");
    assert_eq!(block("runner_run_at"), "Unknown: is runner_run_as meant?");
    assert_eq!(block("runner_group_label"), "Unknown: ");
    assert_eq!(block("lambdas"), "Unknown: ");
}

#[test]
fn links_to_outputs_are_read_however_they_are_written() {
    let report = one(r#"
module "x" {
  source = "philips-labs/github-runner/aws"
  count  = 2
}
locals {
  a = module.x.webhook_endpoint
  b = module.x["blue"].webhook["endpoint"]
  c = module.x[0].runners.role_runner
  d = module.x.*.ssm_parameters
  e = module.x_two.webhook
  f = module.x.something
}
"#);
    let outputs = report.blocks[0].findings.iter().filter(|finding| finding.change == InputChange::Output);
    let outputs: Vec<String> = outputs.map(|finding| format!("{}: {}", finding.what, finding.note)).collect();
    assert_eq!(
        outputs,
        [
            "module.x.runners.role_runner: here it is machine_role_arns",
            "module.x.something: there is no such output",
            "module.x.ssm_parameters: here everything is in Parameter Store, below /runnersmith/<environment>",
            "module.x.webhook.endpoint: here it is webhook_endpoint",
        ]
    );
}

#[test]
fn a_byte_order_mark_is_no_error_and_a_parse_error_is_one_line() {
    let report = one(&format!("\u{feff}{SEED}"));
    assert_eq!((report.blocks.len(), report.unreadable.len()), (1, 0));
    let report = check(&files(&[("broken.tf", "module \"x\" {\n  a = \n}")]));
    let text = report.to_string();
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("read broken.tf: line 2, column 7: ") && !text.contains("\\n"), "{text}");
    assert!(text.contains("No block in the files that could be read takes"), "{text}");
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

/// The tables are the module's: what an entry of `scale_sets` can say, and outputs.
#[test]
fn every_field_of_a_scale_set_and_every_output_is_in_the_tables() {
    let variables = include_str!("../../../terraform/variables.tf");
    let entry = variables.split_once("variable \"scale_sets\"").unwrap().1.split_once("\n  default").unwrap().0;
    // Fields of an entry are indented by four.
    let fields =
        entry.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| !line.starts_with([' ', '}']));
    let of_capacity = ["labels", "priority", "market", "allocation_strategy", "spot_max_price"];
    let mut fields: Vec<&str> = fields.map(|line| line.split_whitespace().next().unwrap()).collect();
    fields.retain(|field| !of_capacity.contains(field));
    assert!(fields.len() > 35, "{fields:?}");
    for field in fields {
        // Where an entry's field stays, so it does below scale_sets.
        let report = one(&format!(
            "module \"x\" {{\n source = \"a/b//modules/multi-runner\"\n multi_runner_config = {{ a = {{ runner_config = {{ {field} = var.x }}, \
             matcherConfig = {{}} }} }}\n}}\n"
        ));
        let answer = said(&report, &format!("scale_sets[\"a\"].{field}"));
        assert!(["Kept", "Differs"].iter().any(|change| answer.starts_with(change)), "{field}: {answer}");
    }
    let outputs = include_str!("../../../terraform/outputs.tf");
    for name in outputs.lines().filter_map(|line| line.strip_prefix("output \"")?.split('"').next()) {
        let report = one(&format!(
            "module \"x\" {{\n source = \"philips-labs/github-runner/aws\"\n}}\nlocals {{\n a = module.x.{name}\n}}\n"
        ));
        assert_eq!(said(&report, &format!("module.x.{name}")), "nothing");
    }
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
        assert!(
            [InputChange::Kept, InputChange::Differs, InputChange::Rewritten].contains(&found.change),
            "{name}: {found:?}"
        );
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

/// What the advice writes out can be pasted: `tag:Env` is no identifier.
#[test]
fn a_key_that_is_no_identifier_is_written_in_quotes() {
    let report = one(
        "module \"x\" {\n source = \"philips-labs/github-runner/aws\"\n ami = { filter = { \"tag:Env\" = [\"ci\"], name = [\"a\"] } }\n}\n",
    );
    let answer = said(&report, "ami");
    assert!(answer.contains("\"tag:Env\" = [\"ci\"]") && answer.contains("name = [\"a\"]"), "{answer}");
}
