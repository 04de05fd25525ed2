//! The philips-labs module's own issues: its templates (an introduction with a link, a JSON block, advice and a picture behind it) with
//! values filled in work unchanged.

use crate::support::{POLICY, check, policy};
use runnersmith_issueops::policy::Policy;
use runnersmith_issueops::render::render;
use runnersmith_issueops::request::{Known, Request, RequestKind, SetRequest, parse, validate};

/// What the philips-labs module's template for creating makes of an issue; `block` is what people fill in.
fn create(block: &str) -> String {
    format!(
        "Issue created by this issue template will create or edit the AWS configuration of a self-hosted runner scale set of its own, operated by [Philips Labs's AWS GitHub Runner](https://github.com/philips-labs/terraform-aws-github-runner).\n\nPlease insert the values in the JSON below. A runner group with the environment's name is advised, but not mandatory.\n\n\n**Please do not set the number of `maxRunners` per environment greater than 10.**\n\n```json\n{block}\n```\n\nFor the standard Amazon runners, set\namiOwner to \"amazon\" and amiFilter to \"amzn2-ami-hvm-2.*-x86_64-ebs\"\n\nEnvironments should not contain the term \"aws\" and only contain numbers, characters and underscores.\n\n![image](https://user-images.example.com/1/2.png)\n"
    )
}

/// And its template for deleting.
fn delete(environment: &str) -> String {
    format!(
        "Issue created by this issue template will delete and archive the AWS configuration of the runner scale set operated by [Philips Labs's AWS GitHub Runner](https://github.com/philips-labs/terraform-aws-github-runner).\n\n\nPlease insert the values in the JSON below.\n```json\n{{\n  \"environment\": \"{environment}\"\n}}\n```\n"
    )
}

const FILLED_IN: &str = r#"{
  "environment": "zelda",
  "organization": "acme",
  "minRunners": "1",
  "maxRunners": "3",
  "runnerGroup": "default",
  "amiFilter": "amzn2-ami-hvm-2.*-x86_64-ebs",
  "amiOwner": "amazon"
}"#;
/// Before there were groups, with an image of somebody's own.
const OLDER: &str = r#"{
  "environment": "link",
  "organization": "acme",
  "minRunners": "0",
  "maxRunners": "2",
  "amiFilter": "actions-runner-with-additional-packages-*",
  "amiOwner": "123456789012"
}"#;

fn made(body: &str) -> SetRequest {
    match check(body, RequestKind::Set, &Known::default()).unwrap() {
        Request::Set(set) => *set,
        Request::Delete(_) => panic!("a deletion"),
    }
}

#[test]
fn the_seeds_template_with_values_filled_in_works_unchanged() {
    let body = create(FILLED_IN);
    let set = made(&body);
    assert_eq!((set.environment().as_str(), set.organization().as_str()), ("zelda", "acme"));
    assert_eq!((set.floor(), set.maximum(), set.group().as_str()), (1, 3, "Default"));
    assert_eq!(set.ami().filter.as_ref().unwrap().as_str(), "amzn2-ami-hvm-2.*-x86_64-ebs");
    assert_eq!(set.ami().owner.as_str(), "amazon");
    let labels: Vec<&str> = set.labels().iter().map(|label| label.as_str()).collect();
    assert_eq!(labels, ["auto-scale", "aws", "zelda"]);
    // What GitHub's own editor sends, and what somebody leaves who deletes the words around.
    for same in [
        body.replace('\n', "\r\n"),
        FILLED_IN.to_owned(),
        format!("```\n{FILLED_IN}\n```"),
        body.replace("json\n", "JSON\n"),
    ] {
        assert_eq!(made(&same), set);
    }
    assert!(render(&set, &policy()).is_ok());
}

#[test]
fn an_older_template_of_the_seed_works_too() {
    let set = made(&create(OLDER));
    assert_eq!((set.floor(), set.maximum(), set.group().as_str()), (0, 2, "Default"));
    assert_eq!(set.ami().owner.as_str(), "123456789012");
}

#[test]
fn the_seeds_template_for_deleting_works_unchanged() {
    let known = Known { environments: [("zelda".to_owned(), ["zelda".to_owned()].into())].into(), ..Known::default() };
    for body in [delete("zelda"), delete("zelda").replace('\n', "\r\n"), create(FILLED_IN)] {
        assert_eq!(check(&body, RequestKind::Delete, &known).unwrap().environment().as_str(), "zelda");
    }
}

#[test]
fn the_seeds_template_left_as_it_is_is_answered_field_by_field() {
    let block = FILLED_IN
        .replace("zelda", "<enter an environment name here>")
        .replace("acme", "<enter a GitHub organization name here>");
    let problems = check(&create(&block), RequestKind::Set, &Known::default()).unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["Environment", "Organization"]);
    assert!(check(&delete("<enter the environment to delete here>"), RequestKind::Delete, &Known::default()).is_err());
}

#[test]
fn the_seeds_advice_is_the_default_bound() {
    let more = create(&FILLED_IN.replace("\"3\"", "\"11\""));
    assert!(check(&more, RequestKind::Set, &Known::default()).unwrap_err()[0].allowed.contains("from 1 to 10"));
    let raised = Policy::parse(&POLICY.replace("[runners]", "[runners]\nmaximum = 20")).unwrap();
    let given = parse(&more, RequestKind::Set).unwrap();
    assert!(validate(&given, RequestKind::Set, &raised, &Known::default()).is_ok(), "unless the policy says otherwise");
}
