//! The Terraform module by the real Terraform and the real provider against the emulator: applied, used, changed, destroyed.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use runnersmith_aws_emulator::Emulator;
use runnersmith_lambda_host::Account;
use serde_json::{Value, json};
use support::iam::{Context, about_everything, allows, like};
use support::terraform::{Terraform, default_network, left, skip_unless_there};
use support::{Bed, GitHub, SECRET, github, operations};

const MINUTE: Duration = Duration::from_secs(60);

fn variables(emulator: &Emulator, github: &GitHub) -> Value {
    let (vpc, subnet) = default_network(emulator);
    json!({ "aws_region": "us-east-1", "vpc_id": vpc, "subnet_ids": [subnet],
        "github_app": { "key_base64": github.key, "id": github.app.to_string(), "webhook_secret": SECRET } })
}

/// What roles were refused. A machine that asks before its hand-off is there is refused: what is not there has no tag with its name.
fn denied(emulator: &Emulator) -> Vec<String> {
    let audit = emulator.audit().unwrap().into_iter().filter(|(_, result)| result != "allow");
    let early = |what: &str| what.contains(".machine.") && what.ends_with(" ssm:GetParameter");
    audit.map(|(what, _)| what).filter(|what| !early(what)).collect()
}

fn api(endpoint: &Value) -> String {
    let endpoint = endpoint.as_str().unwrap().trim_start_matches("https://");
    endpoint.split('.').next().unwrap().to_owned()
}

/// The operations that a policy allows, without what each function may do beside its program's: its own log, its own failed
/// events, the key, the machines' roles.
fn granted(policy: &str) -> BTreeSet<String> {
    let policy: Value = serde_json::from_str(policy).unwrap();
    let mut granted = BTreeSet::new();
    for statement in policy["Statement"].as_array().unwrap() {
        assert_eq!(statement["Effect"], "Allow");
        if ["OwnLog", "OwnDeadLetters", "OwnKey", "OwnMachineRoles", "InVpc"]
            .contains(&statement["Sid"].as_str().unwrap())
        {
            continue;
        }
        granted
            .extend(statement["Action"].as_array().unwrap().iter().map(|action| action.as_str().unwrap().to_owned()));
    }
    granted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_is_applied_runs_jobs_is_changed_and_destroyed() {
    if skip_unless_there("the end-to-end test with Terraform") {
        return;
    }
    let emulator = Arc::new(Emulator::start().unwrap());
    let github = github().await;
    let before = left(&emulator);
    // Its environment's name is the one that the quick machines know.
    let more = json!({ "module": { "runners": { "environment": "test", "ghes_url": github.front.url,
        "ghes_ca": github.front.authority, "runners_maximum_count": 2 } },
        "output": { "policies": { "value": "${module.runners.policies}" }, "functions": { "value": "${module.runners.functions}" },
            "roles": { "value": "${module.runners.machine_role_arns}" }, "machines": { "value": "${module.runners.machine_policies}" }, "plane": { "value": "${module.runners.plane}" } } });
    let terraform = Terraform::new(&emulator, "minimal", variables(&emulator, &github), more);
    terraform.apply();
    assert!(terraform.planned().is_empty(), "a second plan changes nothing: {:?}", terraform.planned());
    let state = terraform.state();
    assert!(!state.contains(SECRET) && !state.contains("PRIVATE KEY"), "no secret is in the state");

    // Granted is what the programs declare.
    let outputs = terraform.outputs();
    let policies: BTreeMap<String, String> = serde_json::from_value(outputs["policies"]["value"].clone()).unwrap();
    for (function, policy) in &policies {
        let program = match function.as_str() {
            "webhook" => "lambda-webhook",
            "syncer" => "lambda-runner-binaries-syncer",
            _ => "lambda-runners",
        };
        let declared: BTreeSet<String> = operations(program, function).into_iter().collect();
        assert_eq!(granted(policy), declared, "{function}");
    }
    functions_stay_in_their_environment(&policies);
    a_machine_has_only_what_is_its_own(outputs["machines"]["value"]["test"].as_str().unwrap());

    let path = outputs["plane"]["value"]["path"].as_str().unwrap();
    assert_eq!(path, support::PATH);
    let control_plane = json!({ "Name": format!("{path}/config/plane") });
    let control_plane = emulator.json("ssm", "AmazonSSM.GetParameter", &control_plane).unwrap();
    let control_plane: Value = serde_json::from_str(control_plane["Parameter"]["Value"].as_str().unwrap()).unwrap();
    let queue = |name: &str| control_plane["aws"][name].as_str().unwrap().to_owned();
    let parts = [queue("queue_url"), queue("dead_letter_queue_url"), queue("table")];
    let account = Account::new(emulator.clone());
    let at = api(&outputs["webhook_endpoint"]["value"]);
    let bed = Bed::deployed(account, github.simulator.clone(), github.app, &at, parts).await;
    emulator.enforce_policies().unwrap();
    let machines = bed.quick_machines_as(outputs["roles"]["value"]["test"].as_str().unwrap().to_owned());
    bed.dispatch(4, 100);
    bed.completes(&machines, 4, 3 * MINUTE).await;
    assert_eq!(denied(&emulator), Vec::<String>::new());
    drop(machines);
    drop(bed);

    // A change changes what is meant.
    terraform.edit("environment", "minimum_running_time_in_minutes = 7\n  environment");
    assert_eq!(terraform.planned(), ["update module.runners.module.scale_set[\"test\"].aws_ssm_parameter.policy"]);
    terraform.apply();
    assert!(terraform.planned().is_empty());
    terraform.destroy();
    assert_eq!(left(&emulator), before, "the account is as it was");
}

/// The file that the module's own test compares with its output, and `runnersmith/tests/environment.rs` runs the commands under.
#[test]
fn a_reader_reads_the_ledger_and_the_settings_of_its_environment_and_no_secret() {
    let policy = include_str!("../../../terraform/tests/fixtures/reader-policy.json");
    let aws = |service: &str, what: &str| format!("arn:aws:{service}:eu-west-1:123456789012:{what}");
    let none = Context::new();
    for (environment, own) in [("ci", true), ("other", false), ("ci2", false), ("xci", false)] {
        let parameter = |rest: &str| aws("ssm", &format!("parameter/runnersmith/{environment}/{rest}"));
        let table = |rest: &str| aws("dynamodb", &format!("table/{environment}-ledger{rest}"));
        for (action, resource, expected) in [
            ("ssm:GetParametersByPath", parameter("config"), own),
            ("ssm:GetParametersByPath", parameter("config/sets/linux"), own),
            ("ssm:GetParametersByPath", parameter("secrets"), false),
            ("ssm:GetParametersByPath", parameter("secrets/private-key"), false),
            ("ssm:GetParametersByPath", parameter("hand-off"), false),
            ("ssm:GetParametersByPath", aws("ssm", &format!("parameter/runnersmith/{environment}")), false),
            ("ssm:GetParameter", parameter("secrets/webhook-secret"), false),
            ("ssm:GetParameters", parameter("secrets/private-key"), false),
            ("ssm:PutParameter", parameter("config/sets/linux"), false),
            ("dynamodb:GetItem", table(""), own),
            ("dynamodb:Query", table(""), own),
            ("dynamodb:Query", table("/index/by_kind"), own),
            ("dynamodb:Scan", table(""), false),
            ("dynamodb:PutItem", table(""), false),
            ("dynamodb:DeleteItem", table(""), false),
        ] {
            assert_eq!(allows(policy, action, &resource, &none), expected, "{action} {resource}");
        }
    }
    let key = aws("kms", "key/made");
    let by = |service: &'static str| Context::from([("kms:ViaService", service)]);
    assert!(allows(policy, "kms:Decrypt", &key, &by("dynamodb.eu-west-1.amazonaws.com")));
    for context in [by("ssm.eu-west-1.amazonaws.com"), by("dynamodb.us-east-1.amazonaws.com"), none.clone()] {
        assert!(!allows(policy, "kms:Decrypt", &key, &context), "{context:?}");
    }
    assert_eq!(about_everything(policy), Vec::<String>::new());
}

/// Two environments of one account, each with a control plane, a queue, a ledger and a webhook of its own: jobs go through both at
/// once under enforced policies, then one is destroyed while jobs run in the other, which does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_environments_live_side_by_side_and_one_is_destroyed() {
    if skip_unless_there("two environments with Terraform") {
        return;
    }
    let emulator = Arc::new(Emulator::start().unwrap());
    let github = github().await;
    let more = json!({ "module": { "runners": { "ghes_url": github.front.url, "ghes_ca": github.front.authority } },
        "output": { "of": { "value": "${{ for name, one in module.runners : name => { endpoint = one.webhook_endpoint, role = one.machine_role_arns[name], path = one.plane.path } }}" } } });
    let app = json!({ "key_base64": github.key, "id": github.app.to_string(), "webhook_secret": SECRET });
    let terraform = Terraform::new(
        &emulator,
        "several-environments",
        json!({ "aws_region": "us-east-1", "github_app": app }),
        more,
    );
    terraform.apply();
    assert!(terraform.planned().is_empty(), "a second plan changes nothing: {:?}", terraform.planned());

    let of = terraform.outputs()["of"]["value"].clone();
    let parts = |environment: &str| {
        let name = json!({ "Name": format!("{}/config/plane", of[environment]["path"].as_str().unwrap()) });
        let control_plane = emulator.json("ssm", "AmazonSSM.GetParameter", &name).unwrap();
        let control_plane: Value = serde_json::from_str(control_plane["Parameter"]["Value"].as_str().unwrap()).unwrap();
        ["queue_url", "dead_letter_queue_url", "table"]
            .map(|name| control_plane["aws"][name].as_str().unwrap().to_owned())
    };
    assert!(parts("blue").iter().zip(parts("green")).all(|(blue, green)| *blue != green), "nothing is shared");
    let roles: BTreeMap<String, String> =
        ["blue", "green"].map(|name| (name.to_owned(), of[name]["role"].as_str().unwrap().to_owned())).into();

    // One App, and a webhook of the organisation for each environment.
    let account = Account::new(emulator.clone());
    let at = |environment: &str| api(&of[environment]["endpoint"]);
    let bed = Bed::listening(account, github.simulator.clone(), github.app, &at("green"), parts("green")).await;
    for environment in ["blue", "green"] {
        let address = format!("{}/webhook", bed.host().api(&at(environment)));
        assert_ne!(github.simulator.add_hook("acme", &address, SECRET), 0);
    }
    emulator.enforce_policies().unwrap();
    let machines = bed.quick_machines_of(roles["green"].clone(), roles.clone());
    for environment in ["blue", "green"] {
        bed.dispatch_for(&["self-hosted", environment], 3, 100);
    }
    bed.completes(&machines, 6, 3 * MINUTE).await;
    let accepted =
        bed.github.deliveries().into_iter().filter(|(event, _, status)| event == "workflow_job" && *status == 202);
    assert!(
        accepted.count() >= 2 * 6,
        "they came by deliveries to both, not by the sweep that heals: {:?}",
        bed.github.deliveries()
    );
    let ran = |environment: &str| {
        // A runner's name begins with its set's, and each environment's set has the environment's.
        let jobs = bed
            .jobs()
            .into_iter()
            .filter(|job| job.runner_name.as_ref().is_some_and(|name| name.contains(environment)));
        jobs.filter(|job| job.conclusion.as_deref() == Some("success")).count()
    };
    assert_eq!((ran("blue"), ran("green")), (3, 3));

    // Blue goes while green works; what Terraform touches is blue's alone.
    bed.dispatch_for(&["self-hosted", "green"], 4, 5_000);
    bed.until(&machines, "green works", MINUTE, async || bed.github.runners().iter().any(|runner| runner.busy)).await;
    terraform.edit(r#"["blue", "green"]"#, r#"["green"]"#);
    let planned = terraform.planned();
    assert!(
        !planned.is_empty() && planned.iter().all(|line| line.starts_with(r#"delete module.runners["blue"]"#)),
        "{planned:#?}"
    );
    terraform.apply();
    bed.completes(&machines, 10, 3 * MINUTE).await;
    bed.dispatch_for(&["self-hosted", "green"], 2, 100);
    bed.completes(&machines, 12, 3 * MINUTE).await;
    assert_eq!(ran("green"), 9);
    assert!(terraform.planned().is_empty(), "{:?}", terraform.planned());
    let of_blue: Vec<String> = left(&emulator).into_iter().filter(|what| what.contains("blue")).collect();
    assert!(of_blue.is_empty(), "{of_blue:?}");
    // Blue's functions still run here, on a host that read them before; what they may not do any more is theirs alone.
    let of_green: Vec<String> = denied(&emulator).into_iter().filter(|what| what.contains("green")).collect();
    assert_eq!(of_green, Vec::<String>::new());
}

/// The environment `test` against `other`: the same account and region, all named and tagged alike.
fn functions_stay_in_their_environment(policies: &BTreeMap<String, String>) {
    let aws = |service: &str, what: &str| format!("arn:aws:{service}:us-east-1:123456789012:{what}");
    let tagged = |environment| Context::from([("aws:ResourceTag/runnersmith:environment", environment)]);
    let passes = |service| Context::from([("iam:PassedToService", service)]);
    for (function, policy) in policies {
        let may = |action: &str, resource: &str, context: &Context<'_>| allows(policy, action, resource, context);
        let none = Context::new();
        let launches = !["webhook", "syncer"].contains(&function.as_str());
        for (environment, own) in [("test", true), ("other", false), ("test2", false), ("xtest", false)] {
            let path = format!("parameter/runnersmith/{environment}");
            for (action, resource, context, functions) in [
                ("dynamodb:PutItem", aws("dynamodb", &format!("table/{environment}-ledger")), &none, launches),
                ("sqs:SendMessage", aws("sqs", &format!("{environment}-jobs")), &none, function != "syncer"),
                ("ssm:GetParameters", aws("ssm", &format!("{path}/secrets/private-key")), &none, launches),
                (
                    "ssm:GetParameters",
                    aws("ssm", &format!("{path}/secrets/webhook-secret")),
                    &none,
                    function == "webhook",
                ),
                ("ssm:PutParameter", aws("ssm", &format!("{path}/hand-off/i-1")), &none, launches),
                ("ssm:GetParametersByPath", aws("ssm", &format!("{path}/config")), &none, function != "syncer"),
                ("ec2:TerminateInstances", aws("ec2", "instance/i-1"), &tagged(environment), launches),
                ("ec2:CreateTags", aws("ec2", "instance/i-1"), &tagged(environment), launches),
                ("ec2:CreateFleet", aws("ec2", "launch-template/lt-1"), &tagged(environment), launches),
                ("ec2:RunInstances", aws("ec2", "launch-template/lt-1"), &tagged(environment), launches),
                (
                    "iam:PassRole",
                    format!("arn:aws:iam::123456789012:role/{environment}/{environment}.machine.a"),
                    &passes("ec2.amazonaws.com"),
                    launches,
                ),
            ] {
                let expected = own && functions;
                assert_eq!(may(action, &resource, context), expected, "{function} {action} {resource} {context:?}");
            }
        }
        // Neither unmarked machines, nor launches without a template, nor roles for other services.
        assert!(!may("ec2:TerminateInstances", &aws("ec2", "instance/i-1"), &none), "{function}");
        assert!(!may("ec2:RunInstances", &aws("ec2", "instance/*"), &none), "{function}");
        let role = "arn:aws:iam::123456789012:role/test/test.machine.a";
        assert!(!may("iam:PassRole", role, &passes("lambda.amazonaws.com")), "{function}");
        assert!(
            !may("iam:PassRole", "arn:aws:iam::123456789012:role/admin", &passes("ec2.amazonaws.com")),
            "{function}"
        );
        assert!(!may("s3:GetObject", "arn:aws:s3:::states/ci.tfstate", &none), "{function}");
        let everything = about_everything(policy);
        assert!(everything.iter().all(|sid| sid == "SeeMachines"), "{function}: {everything:?}");
    }
}

fn a_machine_has_only_what_is_its_own(policy: &str) {
    let aws = |service: &str, what: &str| format!("arn:aws:{service}:us-east-1:123456789012:{what}");
    let (own, another) = (aws("ec2", "instance/i-1"), aws("ec2", "instance/i-2"));
    let hand_off = aws("ssm", "parameter/runnersmith/test/hand-off/i-1");
    for action in ["ssm:GetParameter", "ssm:DeleteParameter"] {
        let of = |tag| {
            Context::from([("ec2:SourceInstanceARN", own.as_str()), ("aws:ResourceTag/runnersmith-machine", tag)])
        };
        assert!(allows(policy, action, &hand_off, &of("i-1")), "{action}");
        assert!(!allows(policy, action, &hand_off, &of("i-2")), "{action} of another machine's");
        assert!(!allows(policy, action, &hand_off, &of("")), "{action} without a name");
        let untagged = Context::from([("ec2:SourceInstanceARN", own.as_str())]);
        assert!(!allows(policy, action, &hand_off, &untagged), "{action} without a tag");
        let from_elsewhere = Context::from([("aws:ResourceTag/runnersmith-machine", "i-1")]);
        assert!(!allows(policy, action, &hand_off, &from_elsewhere), "{action} from no machine");
        for secret in ["test/secrets/private-key", "test/config/plane", "other/hand-off/i-1"] {
            assert!(
                !allows(policy, action, &aws("ssm", &format!("parameter/runnersmith/{secret}")), &of("i-1")),
                "{secret}"
            );
        }
    }
    let tags = |resource, keys| {
        Context::from([("aws:ARN", resource), ("ec2:SourceInstanceARN", own.as_str()), ("aws:TagKeys", keys)])
    };
    assert!(allows(policy, "ec2:CreateTags", &own, &tags(&own, "runnersmith:voice")));
    assert!(
        !allows(policy, "ec2:CreateTags", &another, &tags(&another, "runnersmith:voice")),
        "another machine's status"
    );
    for keys in ["runnersmith:plane", "runnersmith:voice,runnersmith:environment"] {
        assert!(!allows(policy, "ec2:CreateTags", &own, &tags(&own, keys)), "{keys}");
    }
    for action in
        ["ec2:TerminateInstances", "ec2:RunInstances", "ec2:DescribeInstances", "iam:PassRole", "sqs:SendMessage"]
    {
        assert!(!allows(policy, action, &own, &tags(&own, "")), "{action}");
    }
    let everything = about_everything(policy);
    assert_eq!(everything, ["SeeTags"], "every other statement names what it is about");
}

/// Applies, plans, changes, plans, applies, destroys.
async fn whole_life(example: &str, zips: bool, from: &str, to: &str, meant: &[&str]) {
    let emulator = Emulator::start().unwrap();
    let github = github().await;
    let before = left(&emulator);
    let mut variables = variables(&emulator, &github);
    // The examples with a network of their own have no such variables, and Terraform says so.
    for name in ["vpc_id", "subnet_ids"] {
        variables.as_object_mut().unwrap().remove(name);
    }
    if !zips {
        variables.as_object_mut().unwrap().remove("zips");
    }
    let terraform = Terraform::new(&emulator, example, variables, json!({}));
    terraform.apply();
    assert!(terraform.planned().is_empty(), "{example}: {:?}", terraform.planned());
    let state = terraform.state();
    assert!(!state.contains(SECRET) && !state.contains("PRIVATE KEY"), "no secret is in the state of {example}");
    terraform.edit(from, to);
    assert_eq!(terraform.planned(), meant, "{example}");
    terraform.apply();
    assert!(terraform.planned().is_empty(), "{example}: {:?}", terraform.planned());
    terraform.destroy();
    assert_eq!(left(&emulator), before, "{example} leaves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_philips_labs_modules_example_lives_and_dies() {
    if skip_unless_there("the philips-labs module's example with Terraform") {
        return;
    }
    let meant = ["update module.runners.module.scale_set[\"seed\"].aws_ssm_parameter.policy"];
    whole_life("seed-compatible", false, "runners_maximum_count       = 10", "runners_maximum_count = 4", &meant).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_control_plane_lives_and_dies() {
    if skip_unless_there("the shared control plane with Terraform") {
        return;
    }
    let meant = ["update module.large.aws_ssm_parameter.policy"];
    whole_life("shared-plane", true, "{ maximum = 4 }", "{ maximum = 5 }", &meant).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ones_own_key_and_boundary_live_and_die() {
    if skip_unless_there("one's own key with Terraform") {
        return;
    }
    let meant = ["update module.runners.module.control_plane.module.function[\"webhook\"].aws_lambda_function.this"];
    whole_life(
        "own-key-and-boundary",
        false,
        "environment                 = \"own_key\"",
        "environment = \"own_key\"\n  webhook_lambda_timeout = 9",
        &meant,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_example_can_be_planned() {
    if skip_unless_there("the examples with Terraform") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let github = github().await;
    let own_image = [("Name", "runnersmith-runner-1"), ("InstanceId", &machine(&emulator))];
    emulator.query("ec2", "CreateImage", &own_image).unwrap();
    let all: BTreeSet<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../terraform/examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let lived = ["minimal", "seed-compatible", "shared-plane", "own-key-and-boundary"];
    for example in all.iter().filter(|name| !lived.contains(&name.as_str())) {
        let mut variables = variables(&emulator, &github);
        let extra = json!({ "security_group_ids": ["sg-12345678"], "lambda_security_group_ids": ["sg-12345678"], "ghes_ca": github.front.authority });
        variables.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap());
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../terraform/examples");
        let declared = std::fs::read_to_string(format!("{directory}/{example}/variables.tf")).unwrap();
        variables.as_object_mut().unwrap().retain(|name, _| declared.contains(&format!("variable \"{name}\"")));
        let terraform = Terraform::new(&emulator, example, variables, json!({}));
        let planned = terraform.planned();
        assert!(planned.len() > 60 && planned.iter().all(|one| one.starts_with("create ")), "{example}: {planned:#?}");
    }
}

fn machine(emulator: &Emulator) -> String {
    let images = emulator.query("ec2", "DescribeImages", &[("Owner.1", "amazon")]).unwrap();
    let image = support::first(&images, "imageId");
    let parameters = [("ImageId", image.as_str()), ("MinCount", "1"), ("MaxCount", "1"), ("InstanceType", "t3.micro")];
    let machine = emulator.query("ec2", "RunInstances", &parameters).unwrap();
    support::first(&machine, "instanceId")
}

#[test]
fn the_evaluator_knows_patterns_variables_and_denials() {
    let document = r#"{ "Version": "2012-10-17", "Statement": [
        { "Sid": "A", "Effect": "Allow", "Action": ["s3:Get*"], "Resource": ["arn:a/*"], "Condition": { "StringEquals": { "aws:ARN": "${ec2:SourceInstanceARN}" } } },
        { "Sid": "D", "Effect": "Deny", "Action": "s3:*", "Resource": "arn:a/secret?", "Condition": { "Bool": { "aws:SecureTransport": "false" } } } ] }"#;
    let own = Context::from([("aws:ARN", "i"), ("ec2:SourceInstanceARN", "i")]);
    assert!(allows(document, "s3:GetObject", "arn:a/x", &own));
    assert!(!allows(document, "s3:PutObject", "arn:a/x", &own));
    assert!(!allows(document, "s3:GetObject", "arn:b/x", &own));
    assert!(
        !allows(document, "s3:GetObject", "arn:a/x", &Context::from([("aws:ARN", "i")])),
        "a variable without a value"
    );
    let plain = Context::from([("aws:ARN", "i"), ("ec2:SourceInstanceARN", "i"), ("aws:SecureTransport", "false")]);
    assert!(!allows(document, "s3:GetObject", "arn:a/secret1", &plain), "a denial wins");
    assert!(allows(document, "s3:GetObject", "arn:a/secrets-of-many", &plain));
    assert!(like("a*b*c", "a-b-b-c") && !like("a*b", "a-b-c") && like("*", "") && !like("?", ""));
}
