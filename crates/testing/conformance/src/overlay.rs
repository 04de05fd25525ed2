//! Known defects of the documents, fixed one by one.
//!
//! Each overlay says why the document is wrong. An overlay that no longer finds its place fails the load: a newer
//! document may have fixed the defect, and an overlay that does nothing must not be kept.

use serde_json::{Value, json};

/// One fix.
pub struct Overlay {
    /// A short name for errors.
    pub name: &'static str,
    /// Why the document is wrong there.
    pub argument: &'static str,
    apply: fn(&mut Value) -> Option<()>,
}

/// All fixes; every document needs every one.
pub const OVERLAYS: [Overlay; 7] = [
    Overlay {
        name: "the conflict of a file's content",
        argument: "oneOf of a basic error and a rule violation, whose fields are all optional: every error matches both and so \
                   fails; anyOf is meant",
        apply: |document| {
            let schema = document.pointer_mut(
                "/paths/~1repos~1{owner}~1{repo}~1contents~1{path}/put/responses/409/content/application~1json/schema",
            )?;
            rename(schema, "oneOf", "anyOf")
        },
    },
    Overlay {
        name: "the account of a listed installation",
        argument: "GET /app/installations wants an account that is a user and an enterprise at once (allOf); the package's \
                   own example fails. GET /app/installations/{id} says anyOf, which is meant",
        apply: |document| {
            let account = document.pointer_mut(
                "/paths/~1app~1installations/get/responses/200/content/application~1json/schema/items/properties/account",
            )?;
            rename(account, "allOf", "anyOf")
        },
    },
    Overlay {
        name: "the value of a validation error",
        argument: "oneOf of three nullable branches: null matches all three and so fails; anyOf is meant",
        apply: |document| {
            let value = document
                .pointer_mut("/components/schemas/validation-error/properties/errors/items/properties/value")?;
            rename(value, "oneOf", "anyOf")
        },
    },
    Overlay {
        name: "the labels of an issue",
        argument: "the descriptions allow a bare array, a single text (PUT) and an empty list (PUT, which clears), the \
                   schemas only an object with at least one label; `{}` matches both branches of PUT and fails",
        apply: |document| {
            for method in ["post", "put"] {
                let pointer = format!(
                    "/paths/~1repos~1{{owner}}~1{{repo}}~1issues~1{{issue_number}}~1labels/{method}/requestBody/content/\
                     application~1json/schema"
                );
                let schema = document.pointer_mut(&pointer)?;
                rename(schema, "oneOf", "anyOf")?;
                let branches = schema["anyOf"].as_array_mut()?;
                if method == "put" {
                    for branch in branches.iter_mut() {
                        branch.pointer_mut("/properties/labels")?.as_object_mut()?.remove("minItems")?;
                    }
                    branches.push(json!({"type": "string"}));
                }
                branches.push(json!({"type": "array", "items": {"type": "string"}}));
            }
            Some(())
        },
    },
    Overlay {
        name: "conclusions of jobs and check runs",
        argument: "`stale` and `startup_failure` exist (a check suite lists them, a check run request lists `stale`) and \
                   are missing in both answers",
        apply: |document| {
            for name in ["job", "check-run"] {
                let pointer = format!("/components/schemas/{name}/properties/conclusion/enum");
                let words = document.pointer_mut(&pointer)?.as_array_mut()?;
                words.extend([json!("stale"), json!("startup_failure")]);
            }
            Some(())
        },
    },
    Overlay {
        name: "the status of a step",
        argument: "webhook deliveries of the same step also say `pending` and `waiting`",
        apply: |document| {
            let pointer = "/components/schemas/job/properties/steps/items/properties/status/enum";
            let words = document.pointer_mut(pointer)?.as_array_mut()?;
            words.extend([json!("pending"), json!("waiting")]);
            Some(())
        },
    },
    Overlay {
        name: "the status of a runner",
        argument: "a free text in the documents, so that they could not refuse `idle` or `active` (words of the web pages); \
                   every example says online or offline. This one tightens",
        apply: |document| {
            let status = document.pointer_mut("/components/schemas/runner/properties/status")?.as_object_mut()?;
            status.insert("enum".to_owned(), json!(["online", "offline"]));
            Some(())
        },
    },
];

impl Overlay {
    /// Applies it; `false` when its place is not there.
    #[must_use]
    pub fn apply(&self, document: &mut Value) -> bool {
        (self.apply)(document).is_some()
    }
}

fn rename(schema: &mut Value, from: &str, to: &str) -> Option<()> {
    let schema = schema.as_object_mut()?;
    let value = schema.remove(from)?;
    schema.insert(to.to_owned(), value);
    Some(())
}
