//! What AWS refuses and stock moto does not, each with its switch.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use runnersmith_aws_emulator::{Emulator, Refusal, skip_unless_available};
use serde_json::{Value, json};

/// Calls as a new role with this policy, in a session of this name.
fn role(emulator: &Emulator, name: &str, session: &str, statements: &Value) -> Emulator {
    let trust = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
    emulator.query("iam", "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let parameters = [("RoleName", name), ("PolicyName", "own"), ("PolicyDocument", policy.as_str())];
    emulator.query("iam", "PutRolePolicy", &parameters).unwrap();
    let arn = format!("arn:aws:iam::123456789012:role/{name}");
    let assumed = emulator.query("sts", "AssumeRole", &[("RoleArn", &arn), ("RoleSessionName", session)]).unwrap();
    let part = |tag: &str| {
        let rest = assumed.split_once(&format!("<{tag}>")).unwrap().1;
        rest.split('<').next().unwrap().to_owned()
    };
    Emulator::attach(emulator.url(), &part("AccessKeyId"), &part("SessionToken"))
}

/// S3 hides what is not in a bucket from those who may not list it.
#[test]
fn an_absent_key_is_hidden_from_a_role_that_may_not_list_the_bucket() {
    if skip_unless_available("absent keys") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    emulator.rest("s3", "PUT", "/absent-keys", b"").unwrap();
    emulator.rest("s3", "PUT", "/absent-keys/there", b"1").unwrap();
    let reads = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::absent-keys/*" });
    let lists = |resource: &str| json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": resource });
    let named = json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::absent-keys",
        "Condition": { "StringLike": { "s3:prefix": "*" } } });
    let refused = |role: &Emulator, method: &str| {
        role.rest("s3", method, "/absent-keys/there", b"").unwrap();
        role.rest("s3", method, "/absent-keys/not-there", b"").unwrap_err().to_string()
    };
    for (name, statements, status) in [
        ("reads", json!([reads]), "403"),
        ("reads-and-lists", json!([reads, lists("arn:aws:s3:::absent-keys")]), "404"),
        ("reads-and-lists-another", json!([reads, lists("arn:aws:s3:::another")]), "403"),
        // A HEAD or GET names no prefix.
        ("reads-and-lists-a-prefix", json!([reads, named]), "403"),
    ] {
        let role = role(&emulator, name, "test", &statements);
        for method in ["HEAD", "GET"] {
            assert!(refused(&role, method).contains(status), "{name} {method}: {}", refused(&role, method));
        }
        emulator.switch_off(Refusal::AbsentKeys).unwrap();
        assert!(refused(&role, "HEAD").contains("404"), "{name}");
        emulator.switch_on(Refusal::AbsentKeys).unwrap();
    }
    assert!(refused(&emulator, "HEAD").contains("404"), "the account's owner");
}

/// An account's resource.
fn arn(service: &str, what: &str) -> String {
    format!("arn:aws:{service}:us-east-1:123456789012:{what}")
}

fn allow(actions: &[&str], resources: &[String]) -> Value {
    json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
}

/// Values between two tags.
fn between(xml: &str, tag: &str) -> Vec<String> {
    let open = format!("<{tag}>");
    xml.split(&open).skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

/// A key that only its own policy opens.
fn key(emulator: &Emulator) -> String {
    let made = emulator.json("kms", "TrentService.CreateKey", &json!({})).unwrap();
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

/// Subnets, one for each zone, and a second one in the first zone.
fn subnets(emulator: &Emulator) -> (Vec<String>, String) {
    let found = emulator.query("ec2", "DescribeSubnets", &[]).unwrap();
    let (zone, network) = (between(&found, "availabilityZone").remove(0), between(&found, "vpcId").remove(0));
    let second = [("VpcId", network.as_str()), ("CidrBlock", "172.31.240.0/24"), ("AvailabilityZone", zone.as_str())];
    let second = emulator.query("ec2", "CreateSubnet", &second).unwrap();
    (between(&found, "subnetId"), between(&second, "subnetId").remove(0))
}

/// A launch template of the environment `ci`, its disk encrypted by a key if there is one.
fn template(emulator: &Emulator, disk_key: Option<&str>) -> String {
    let images = emulator.query("ec2", "DescribeImages", &[("Owner.1", "amazon")]).unwrap();
    let image = between(&images, "imageId").remove(0);
    let mut data = vec![
        ("LaunchTemplateName", "runners"),
        ("LaunchTemplateData.ImageId", image.as_str()),
        ("TagSpecification.1.ResourceType", "launch-template"),
        ("TagSpecification.1.Tag.1.Key", "runnersmith:environment"),
        ("TagSpecification.1.Tag.1.Value", "ci"),
    ];
    if let Some(key) = disk_key {
        data.push(("LaunchTemplateData.BlockDeviceMapping.1.DeviceName", "/dev/xvda"));
        data.push(("LaunchTemplateData.BlockDeviceMapping.1.Ebs.KmsKeyId", key));
    }
    between(&emulator.query("ec2", "CreateLaunchTemplate", &data).unwrap(), "launchTemplateId").remove(0)
}

/// Asks for one machine on these subnets: its id, or why not.
fn fleet(emulator: &Emulator, template: &str, subnets: &[&str], choice: (&str, &str)) -> Result<String, String> {
    let mut call = vec![
        ("Type".to_owned(), "instant"),
        ("TargetCapacitySpecification.TotalTargetCapacity".into(), "1"),
        ("TargetCapacitySpecification.OnDemandTargetCapacity".into(), "1"),
        ("TargetCapacitySpecification.DefaultTargetCapacityType".into(), "on-demand"),
        ("LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId".into(), template),
        ("LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version".into(), "$Default"),
    ];
    for (n, subnet) in (1..).zip(subnets) {
        call.push((format!("LaunchTemplateConfigs.1.Overrides.{n}.SubnetId"), subnet));
        call.push((format!("LaunchTemplateConfigs.1.Overrides.{n}.{}", choice.0), choice.1));
    }
    let call: Vec<(&str, &str)> = call.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let answer = emulator.query("ec2", "CreateFleet", &call).map_err(|error| error.to_string())?;
    Ok(between(&answer, "instanceIds").into_iter().chain(between(&answer, "item")).collect())
}

#[test]
fn a_fleet_names_a_capacity_pool_once_and_four_choices_by_attributes() {
    if skip_unless_available("fleet configurations") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let (subnets, second) = subnets(&emulator);
    let template = template(&emulator, None);
    let each: Vec<&str> = subnets.iter().map(String::as_str).collect();
    let (one_type, choice) = (("InstanceType", "m5.large"), ("InstanceRequirements.VCpuCount.Min", "2"));
    let twice = [each[0], second.as_str()];
    let refused = fleet(&emulator, &template, &twice, one_type).unwrap_err();
    assert!(refused.contains("InvalidFleetConfig") && refused.contains("duplicate instance pools"), "{refused}");
    fleet(&emulator, &template, &each[..5], one_type).unwrap();
    let refused = fleet(&emulator, &template, &each[..5], choice).unwrap_err();
    assert!(refused.contains("maximum allowed number of InstanceRequirements (4)"), "{refused}");
    emulator.switch_off(Refusal::FleetConfiguration).unwrap();
    fleet(&emulator, &template, &twice, one_type).unwrap();
}

/// What launches a machine needs no right on its disk's key to be answered; the machine does.
#[test]
fn a_machine_whose_disks_key_may_not_be_used_ends_at_once_and_ec2_says_why() {
    if skip_unless_available("keys of disks") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let (subnets, _) = subnets(&emulator);
    let key = key(&emulator);
    let template = template(&emulator, Some(&key));
    emulator.enforce_policies().unwrap();
    let launches = allow(&["ec2:*"], &["*".to_owned()]);
    let uses = allow(
        &["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"],
        std::slice::from_ref(&key),
    );
    let mut grants = allow(&["kms:CreateGrant"], std::slice::from_ref(&key));
    grants["Condition"] = json!({ "Bool": { "kms:GrantIsForAWSResource": "true" } });
    let states = |role: &Emulator| {
        fleet(role, &template, &[&subnets[0]], ("InstanceType", "m5.large")).unwrap();
        let machines = emulator.query("ec2", "DescribeInstances", &[]).unwrap();
        machines.matches("Client.InternalError: Client error on launch").count()
    };
    assert_eq!(states(&role(&emulator, "launches", "test", &json!([launches]))), 1);
    assert_eq!(states(&role(&emulator, "uses", "test", &json!([launches, uses]))), 2, "a grant is needed too");
    assert_eq!(states(&role(&emulator, "grants", "test", &json!([launches, uses, grants]))), 2, "no further one");
}

/// EC2 asks for the right to make a request for spot machines when the request has tags, and never for one on demand.
#[test]
fn a_request_for_spot_machines_is_asked_for_when_it_is_tagged() {
    if skip_unless_available("requests for spot machines") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let (subnets, _) = subnets(&emulator);
    let template = template(&emulator, None);
    emulator.enforce_policies().unwrap();
    let mut denied = allow(&["ec2:RunInstances"], &[arn("ec2", "spot-instances-request/*")]);
    denied["Effect"] = json!("Deny");
    let role = role(&emulator, "launches", "test", &json!([allow(&["ec2:*"], &["*".to_owned()]), denied]));
    let launches = |market: &str, tagged: &str| {
        let call = [
            ("Type", "instant"),
            ("TargetCapacitySpecification.TotalTargetCapacity", "1"),
            ("TargetCapacitySpecification.DefaultTargetCapacityType", market),
            ("LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId", template.as_str()),
            ("LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version", "$Default"),
            ("LaunchTemplateConfigs.1.Overrides.1.SubnetId", subnets[0].as_str()),
            ("LaunchTemplateConfigs.1.Overrides.1.InstanceType", "m5.large"),
            ("TagSpecification.1.ResourceType", tagged),
            ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", "runner"),
        ];
        role.query("ec2", "CreateFleet", &call).map(drop).map_err(|error| error.to_string())
    };
    launches("spot", "instance").unwrap();
    let refused = launches("spot", "spot-instances-request").unwrap_err();
    assert!(refused.contains("403"), "{refused}");
}

/// By the resources of what is called and by the keys of the request's context, in this service and in those that it asks.
#[test]
fn roles_are_held_to_the_resources_and_conditions_of_their_policies() {
    if skip_unless_available("resources and conditions") {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let key = key(&emulator);
    for table in ["ci-ledger", "other-ledger"] {
        let table = json!({ "TableName": table, "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
            "SSESpecification": { "Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": key } });
        emulator.json("dynamodb", "DynamoDB_20120810.CreateTable", &table).unwrap();
    }
    let hand_off = json!({ "Name": "/ci/hand-off/i-1", "Value": "v", "Type": "SecureString", "KeyId": key,
        "Tags": [{ "Key": "runnersmith-machine", "Value": "i-1" }] });
    emulator.json("ssm", "AmazonSSM.PutParameter", &hand_off).unwrap();
    emulator.enforce_policies().unwrap();

    let ledger = allow(&["dynamodb:GetItem"], &[arn("dynamodb", "table/ci-*")]);
    let mut decrypts = allow(&["kms:Decrypt"], &[key]);
    decrypts["Condition"] = json!({ "StringLike": { "kms:ViaService": "dynamodb.*.amazonaws.com" } });
    let reads = |role: &Emulator, table: &str| {
        let key = json!({ "TableName": table, "Key": { "pk": { "S": "1" } } });
        role.json("dynamodb", "DynamoDB_20120810.GetItem", &key).map(drop).map_err(|error| error.to_string())
    };
    let without = role(&emulator, "without-key", "test", &json!([ledger]));
    assert!(reads(&without, "ci-ledger").unwrap_err().contains("AccessDenied"), "the table's key asks for its own");
    let with = role(&emulator, "with-key", "test", &json!([ledger, decrypts]));
    reads(&with, "ci-ledger").unwrap();
    assert!(reads(&with, "other-ledger").unwrap_err().contains("AccessDenied"));
    let audit = emulator.audit().unwrap();
    assert_eq!(audit.get("without-key kms:Decrypt").map(String::as_str), Some("deny"));

    // The tag names the machine, and the session of an instance's credentials is its id.
    let mut own = allow(&["ssm:GetParameter"], &[arn("ssm", "parameter/ci/hand-off/*")]);
    own["Condition"] = json!({ "StringLike": { "ec2:SourceInstanceARN": "*/${aws:ResourceTag/runnersmith-machine}" } });
    let get = |session: &str| {
        let machine = role(&emulator, &format!("machine-{session}"), session, &json!([own]));
        machine.json("ssm", "AmazonSSM.GetParameter", &json!({ "Name": "/ci/hand-off/i-1" })).map(drop)
    };
    get("i-1").unwrap();
    get("i-2").unwrap_err();
    get("somebody").unwrap_err();
    emulator.switch_off(Refusal::Policies).unwrap();
    get("i-3").unwrap();
}
