//! The real Terraform with its states in an emulated S3: what is planned is what is applied, and each thing that goes wrong is a different error.

#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod support;

use runnersmith_aws_emulator::Fault;
use runnersmith_issueops_engine::{PlanOptions, ProvisionError, Provisioner as _, StateId};
use runnersmith_provision_terraform::{Terraform, TerraformConfig};
use runnersmith_types::Secret;
use support::{BUCKET, Listener, Lock, Place};

const SMALL: &str = r#"
variable "word" {
  default = "one"
}
resource "terraform_data" "this" {
  input = var.word
}
output "word" {
  value = terraform_data.this.output
}
output "hidden" {
  value     = "never to be seen"
  sensitive = true
}
"#;

#[tokio::test]
async fn what_is_planned_is_applied_and_the_next_plan_is_made_from_what_that_left() {
    let Some(place) = Place::new("a first plan", Lock::File) else { return };
    let terraform = place.terraform();
    let workspace = place.workspace(SMALL);
    assert_eq!(terraform.state(&place.backend()).await.unwrap(), StateId::default());

    let listener = Listener::default();
    let plan = terraform.plan(&workspace, PlanOptions::default(), &listener).await.unwrap();
    assert_eq!(plan.state, StateId::default());
    assert!(plan.text.contains("terraform_data.this will be created"), "{}", plan.text);
    assert!(!plan.text.contains("never to be seen") && !plan.text.contains('\u{1b}'), "{}", plan.text);
    assert_eq!(plan.summary.changes[0].address, "terraform_data.this");
    assert!(listener.text().contains("Plan: 1 to add, 0 to change, 0 to destroy."), "{}", listener.text());

    let listener = Listener::default();
    let applied = terraform.apply(&workspace, &plan.file, &listener).await.unwrap();
    assert_eq!(applied.outputs, [("word".to_owned(), serde_json::json!("one"))].into());
    assert!(applied.log.contains("Apply complete! Resources: 1 added"), "{}", applied.log);
    assert!(listener.text().contains("terraform_data.this: Creation complete"), "{}", listener.text());

    let state = terraform.state(&place.backend()).await.unwrap();
    assert!(state.serial > 0 && !state.lineage.is_empty(), "{state:?}");
    let again = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    assert_eq!(again.state, state);

    let drift = terraform.drift(&workspace).await.unwrap();
    assert!(!drift.terraform_version.is_empty() && drift.drifted.is_empty(), "{drift:?}");

    let options = PlanOptions { destroy: true, ..PlanOptions::default() };
    let destroy = terraform.plan(&workspace, options, &()).await.unwrap();
    assert!(destroy.text.contains("1 to destroy"), "{}", destroy.text);
    terraform.apply(&workspace, &destroy.file, &()).await.unwrap();
    assert_eq!(place.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_plan_for_a_state_that_is_gone_is_stale_and_changes_nothing() {
    let Some(place) = Place::new("a stale plan", Lock::Table) else { return };
    let terraform = place.terraform();
    place.make(&terraform, SMALL).await;
    let workspace = place.workspace(&SMALL.replace("one", "two"));
    let plan = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    place.make(&terraform, &SMALL.replace("one", "three")).await;
    let state = terraform.state(&place.backend()).await.unwrap();
    assert_eq!(terraform.apply(&workspace, &plan.file, &()).await, Err(ProvisionError::Stale));
    assert_eq!(terraform.state(&place.backend()).await.unwrap(), state);

    // The state was made again: another lineage.
    let path = format!("/{BUCKET}/{}", place.key());
    let text = String::from_utf8(place.emulator.rest("s3", "GET", &path, b"").unwrap()).unwrap();
    let again = text.replace(&state.lineage, "11111111-2222-3333-4444-555555555555");
    let other = place.workspace(SMALL);
    let plan = terraform.plan(&other, PlanOptions::default(), &()).await.unwrap();
    place.emulator.rest("s3", "PUT", &path, again.as_bytes()).unwrap();
    let item =
        serde_json::json!({"TableName": "locks", "Key": {"LockID": {"S": format!("{BUCKET}/{}-md5", place.key())}}});
    place.emulator.json("dynamodb", "DynamoDB_20120810.DeleteItem", &item).unwrap();
    assert_eq!(terraform.apply(&other, &plan.file, &()).await, Err(ProvisionError::Stale));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[tokio::test]
async fn the_resource_that_failed_is_named_and_what_was_done_before_stays() {
    let Some(place) = Place::new("a failure", Lock::File) else { return };
    let terraform = place.terraform();
    let workspace = place.workspace(
        r#"
resource "terraform_data" "good" {}
resource "terraform_data" "bad" {
  for_each   = toset(["a b"])
  depends_on = [terraform_data.good]
  provisioner "local-exec" {
    command = "echo these were the last words; exit 3"
  }
}
"#,
    );
    let plan = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    let Err(ProvisionError::Failed { resource, message }) = terraform.apply(&workspace, &plan.file, &()).await else {
        panic!("it did not fail")
    };
    assert_eq!(resource.as_deref(), Some(r#"terraform_data.bad["a b"]"#));
    assert!(message.contains("on main.tf line 6") && message.contains("these were the last words"), "{message}");
    assert!(!message.contains(place.home.path().to_str().unwrap()), "{message}");
    assert!(terraform.state(&place.backend()).await.unwrap().serial > 0);

    let wrong = place.workspace("resource \"terraform_data\" \"this\" {\n  nothing = 1\n}\n");
    let Err(ProvisionError::Failed { message, .. }) = terraform.plan(&wrong, PlanOptions::default(), &()).await else {
        panic!("it did not fail")
    };
    assert!(message.contains("Unsupported argument") && message.contains("on main.tf line 2"), "{message}");
    assert_eq!(place.left(), Vec::<String>::new());
}

#[tokio::test]
async fn no_secret_is_in_progress_in_errors_in_outputs_or_in_the_text_of_a_plan() {
    let Some(place) = Place::new("secrets", Lock::File) else { return };
    let app = r#"{"id":"7","key_base64":"LS0tQkVHSU4tLS0Kc3RhcGxlYmF0dGVyeQo=","webhook_secret":"correct-horse"}"#;
    let mut config = place.config();
    config.environment.push(("TF_VAR_app".into(), Secret::new(app)));
    let terraform = Terraform::new(config).unwrap();
    let main = |end: &str| {
        format!(
            r#"
variable "app" {{
  type = object({{ id = string, key_base64 = string, webhook_secret = string }})
}}
resource "terraform_data" "reports" {{
  input = var.app.webhook_secret
  provisioner "local-exec" {{
    command = "echo ${{var.app.webhook_secret}}; echo ${{var.app.key_base64}} | base64 -d; {end}"
  }}
}}
output "reported" {{
  value = {{ text = "it is ${{var.app.webhook_secret}}" }}
}}
"#
        )
    };
    let listener = Listener::default();
    let good = place.workspace(&main("true"));
    let plan = terraform.plan(&good, PlanOptions::default(), &listener).await.unwrap();
    let applied = terraform.apply(&good, &plan.file, &listener).await.unwrap();
    let bad = place.workspace(&main("exit 1").replace("\"reports\"", "\"fails\""));
    let other = terraform.plan(&bad, PlanOptions::default(), &listener).await.unwrap();
    let error = terraform.apply(&bad, &other.file, &listener).await.unwrap_err();
    let all = format!("{}\n{}\n{}\n{error}\n{error:?}\n{applied:?}", listener.text(), plan.text, other.text);
    assert!(all.contains("it is [secret]") && all.contains("(local-exec): [secret]"), "{all}");
    for secret in ["correct-horse", "LS0tQkVH", "staplebattery", "a-secret-key-of-a-test"] {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }
}

#[tokio::test]
async fn a_state_that_could_not_be_stored_is_stored_afterwards_or_kept() {
    let Some(place) = Place::new("a rescue", Lock::File) else { return };
    let terraform = place.terraform();
    let workspace = place.workspace(SMALL);
    let denied = |times| Fault::error(&format!("PUT /{BUCKET}/{}", place.key()), "AccessDenied", 403).times(times);

    let plan = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    place.emulator.inject(&[denied(1)]).unwrap();
    let error = terraform.apply(&workspace, &plan.file, &()).await.unwrap_err();
    assert!(error.to_string().contains("stored afterwards, so nothing is lost"), "{error}");
    let state = terraform.state(&place.backend()).await.unwrap();
    assert!(state.serial > 0, "{state:?}");
    assert_eq!(place.left(), Vec::<String>::new());

    let workspace = place.workspace(&SMALL.replace("one", "two"));
    let plan = terraform.plan(&workspace, PlanOptions::default(), &()).await.unwrap();
    place.emulator.inject(&[denied(50)]).unwrap();
    let error = terraform.apply(&workspace, &plan.file, &()).await.unwrap_err();
    let left = place.left();
    let [kept] = left.as_slice() else { panic!("{left:?}") };
    assert!(error.to_string().contains(kept.as_str()), "{error}");
    let text = std::fs::read_to_string(place.scratch().join(kept)).unwrap();
    assert!(text.contains("two"), "{text}");
}

#[tokio::test]
async fn the_version_is_the_programs() {
    let Some(place) = Place::new("the version", Lock::File) else { return };
    let version = place.terraform().version().await.unwrap();
    assert!(version.starts_with("1."), "{version}");
    let none = TerraformConfig { program: "no-such-terraform".into(), ..place.config() };
    let error = Terraform::new(none).unwrap().version().await.unwrap_err();
    assert!(matches!(&error, ProvisionError::Unable(why) if why.contains("no-such-terraform")), "{error}");
    assert_eq!(place.left(), Vec::<String>::new());
}
