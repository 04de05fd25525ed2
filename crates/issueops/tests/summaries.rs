//! Plans as Terraform shows them: what they would do, what it costs, and what must not be seen.

use crate::support::{POLICY, SEED_BLOCK, policy, set};
use runnersmith_issueops::policy::{MicroDollars, Policy};
use runnersmith_issueops::render::{VALUES_FILE, render};
use runnersmith_issueops::summary::{
    Area, Effect, EnvironmentFleet, FleetChange, GroupAccess, PlanError, Summary, cost,
};
use serde_json::{Value, json};

fn resource(address: &str, actions: &[&str]) -> Value {
    let kind = address.rsplit_once('.').map_or(address, |(kind, _)| kind).rsplit('.').next().unwrap();
    json!({"address": address, "mode": "managed", "type": kind, "name": "this",
        "change": {"actions": actions, "before": null, "after": {}, "after_unknown": {}, "before_sensitive": false, "after_sensitive": false}})
}

fn plan(resources: &[Value]) -> Summary {
    read(&json!({"format_version": "1.2", "terraform_version": "1.14.0", "resource_changes": resources})).unwrap()
}

fn read(plan: &Value) -> Result<Summary, PlanError> {
    Summary::of_show_json(plan.to_string().as_bytes())
}

#[test]
fn effects_are_counted_and_the_gravest_comes_first() {
    let summary = plan(&[
        resource("aws_iam_role.new", &["create"]),
        resource("aws_sqs_queue.old", &["delete"]),
        resource("module.runners.aws_dynamodb_table.ledger", &["delete", "create"]),
        resource("aws_lambda_function.one", &["update"]),
        resource("aws_lambda_function.same", &["no-op"]),
        resource("aws_instance.left", &["forget"]),
    ]);
    assert_eq!(summary.to_string(), "1 added, 1 changed, 1 forgotten, 1 replaced, 1 destroyed");
    let effects: Vec<Effect> = summary.changes.iter().map(|change| change.effect).collect();
    assert_eq!(effects, [Effect::Destroy, Effect::Replace, Effect::Forget, Effect::Update, Effect::Create]);
    let losses: Vec<&str> = summary.losses().map(|change| change.address.as_str()).collect();
    assert_eq!(losses, ["aws_sqs_queue.old", "module.runners.aws_dynamodb_table.ledger"]);
    assert_eq!(plan(&[]).to_string(), "nothing changes");
}

#[test]
fn what_outputs_say_is_read_where_it_is_a_text_and_no_secret() {
    let output = |before: Value, sensitive: Value| {
        json!({"actions": ["delete"], "before": before, "after": null, "after_unknown": false,
            "before_sensitive": sensitive, "after_sensitive": false})
    };
    let summary = read(&json!({"format_version": "1.2", "output_changes": {
        "endpoint": output(json!("https://team.example/webhook"), json!(false)),
        "secret": output(json!("correct-horse"), json!(true)),
        "nested": output(json!({"a": "correct-horse"}), json!({"a": true})),
        "db_password": output(json!("correct-horse"), json!(false)),
        "none": output(json!(null), json!(false)),
        "old": {"actions": ["no-op"], "before": "as it was", "after": "as it was"},
    }}));
    let summary = summary.unwrap();
    let texts: Vec<(&str, &str)> =
        summary.outputs_before.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(texts, [("endpoint", "https://team.example/webhook"), ("old", "as it was")]);
    assert_eq!(summary.outputs, ["db_password", "endpoint", "nested", "none", "secret"]);
}

#[test]
fn iam_and_network_are_separated_and_open_networks_are_seen() {
    let mut open = resource("aws_vpc_security_group_ingress_rule.world", &["create"]);
    open["change"]["after"] = json!({"cidr_ipv4": "0.0.0.0/0"});
    let mut egress = resource("aws_security_group_rule.out", &["create"]);
    egress["change"]["after"] = json!({"type": "egress", "cidr_blocks": ["0.0.0.0/0"]});
    let kinds = ["aws_iam_role.a", "aws_sqs_queue_policy.b", "aws_network_acl.c", "aws_kms_key.d"];
    let mut resources: Vec<Value> = kinds.iter().map(|address| resource(address, &["create"])).collect();
    resources.extend([open, egress]);
    let summary = plan(&resources);
    let area = |end: &str| summary.changes.iter().find(|change| change.address.ends_with(end)).unwrap();
    assert_eq!(
        [area(".a").area, area(".b").area, area(".c").area, area(".d").area],
        [Area::Iam, Area::Iam, Area::Network, Area::Other]
    );
    assert!(area(".world").is_open && !area(".out").is_open);
}

#[test]
fn sensitive_values_never_appear() {
    let mut change = resource("aws_lambda_function.one", &["update"]);
    change["change"] = json!({"actions": ["update"],
        "before": {"memory": 128, "env": {"A": "hunter2", "B": "plain"}, "list": ["hunter2", "x"], "set": ["hunter2"], "user_data": "hunter2", "secret_arn": "arn:x", "same": 1},
        "after": {"memory": 256, "env": {"A": "hunter3", "B": "plain2"}, "list": ["hunter3", "x"], "set": ["hunter3", "y"], "user_data": "hunter3", "secret_arn": "arn:y", "same": 1},
        "after_unknown": {"version": true},
        "before_sensitive": {"env": {"A": true}, "list": [true, false], "set": [true]},
        "after_sensitive": {"env": {"A": true}, "list": [true, false], "set": [true]}});
    let summary = plan(&[change.clone()]);
    let lines: Vec<String> =
        summary.changes[0].details.iter().map(|d| format!("{}: {} -> {}", d.attribute, d.before, d.after)).collect();
    assert!(!format!("{summary:?}").contains("hunter"));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    env: {"A":"(sensitive)","B":"plain"} -> {"A":"(sensitive)","B":"plain2"}
    list: ["(sensitive)","x"] -> ["(sensitive)","x"]
    memory: 128 -> 256
    secret_arn: "arn:x" -> "arn:y"
    set: ["(sensitive)"] -> (sensitive)
    user_data: (sensitive) -> (sensitive)
    version: (none) -> (known after apply)
    "#);
    // Marked as a whole, with what is in it.
    change["change"]["after"]["env"] = json!({"A": "hunter4", "deep": {"B": ["hunter5"]}});
    change["change"]["before_sensitive"] = json!({"env": true, "list": true, "set": true});
    change["change"]["after_sensitive"] = json!({"env": true, "list": [true, false], "set": true});
    assert!(!format!("{:?}", plan(&[change.clone()])).contains("hunter"));
    change["change"]["before_sensitive"] = json!(true);
    change["change"]["after_sensitive"] = json!(true);
    assert!(plan(&[change]).changes[0].details.iter().all(|d| d.after != "256"));
}

#[test]
fn a_plan_that_cannot_be_checked_is_refused() {
    let with = |key: &str, value: Value| {
        let mut plan = json!({"format_version": "1.2", "resource_changes": []});
        plan[key] = value;
        read(&plan)
    };
    assert!(matches!(with("errored", json!(true)), Err(PlanError::Errored)));
    assert!(matches!(with("complete", json!(false)), Err(PlanError::NotComplete)));
    assert!(matches!(with("format_version", json!("2.0")), Err(PlanError::Format(_))));
    assert!(matches!(with("resource_changes", json!([resource("a.b", &["explode"])])), Err(PlanError::Action { .. })));
    let invoked = json!([{"address": "action.aws_lambda_invoke.x", "type": "aws_lambda_invoke", "name": "x"}]);
    assert!(
        matches!(with("action_invocations", invoked), Err(PlanError::Invokes(1))),
        "they do what no resource shows"
    );
    assert!(with("action_invocations", json!([])).is_ok());
    assert!(matches!(Summary::of_show_json(b"{"), Err(PlanError::Json(_))));
}

fn fleet(block: &str) -> EnvironmentFleet {
    let files = render(&set(block), &policy()).unwrap();
    EnvironmentFleet::of_values(files.iter().find(|(path, _)| path.ends_with(VALUES_FILE)).unwrap().1).unwrap()
}

#[test]
fn the_fleet_is_read_from_values_and_its_worst_hour_is_known() {
    let before = fleet(SEED_BLOCK);
    assert_eq!((before.maximum, before.floor, before.group.as_str()), (3, 1, "Default"));
    let more = SEED_BLOCK.replace(
        "\"maxRunners\": \"3\"",
        "\"maxRunners\": \"10\", \"labels\": \"gpu\", \"instanceType\": \"c6i.xlarge\"",
    );
    let change = FleetChange { before: Some(before), after: Some(fleet(&more)), access: GroupAccess::Unknown };
    assert_eq!(change.labels_gained(), ["gpu"]);
    assert!(change.labels_lost().is_empty());
    let summary = plan(&[resource("aws_kms_key.a", &["create"]), resource("aws_nat_gateway.b", &["delete"])]);
    let priced = cost(&summary, &change, &policy());
    assert_eq!(priced.fixed_per_month.to_string(), "-$31.85");
    // A gateway endpoint is free, made or deleted.
    let endpoint = |kind: &str, action: &str, side: &str| {
        let mut endpoint = resource("aws_vpc_endpoint.s3", &[action]);
        endpoint["change"][side] = json!({ "vpc_endpoint_type": kind });
        cost(&plan(&[endpoint]), &change, &policy()).fixed_per_month.to_string()
    };
    assert_eq!(endpoint("Interface", "create", "after"), "$7.30");
    assert_eq!(endpoint("Gateway", "create", "after"), endpoint("Gateway", "delete", "before"));
    assert_eq!(
        endpoint("Gateway", "create", "after"),
        cost(&plan(&[]), &change, &policy()).fixed_per_month.to_string()
    );
    assert_eq!(priced.before.unwrap().worst.unwrap().to_string(), "$0.288");
    let after = priced.after.unwrap();
    assert_eq!((after.worst, after.is_from_policy), (Some(MicroDollars(1_700_000)), false));
    let own = Policy::parse(&format!("{POLICY}\n[prices]\n\"c6i.xlarge\" = \"1\"")).unwrap();
    let after = cost(&summary, &change, &own).after.unwrap();
    assert_eq!((after.worst, after.is_from_policy), (Some(MicroDollars(10_000_000)), true));
    let mut unknown = change.clone();
    unknown.after.as_mut().unwrap().instance_type = "z9.mega".into();
    assert_eq!(cost(&summary, &unknown, &policy()).after.unwrap().worst, None);
}
