//! The platform policy as it is first laid out: every field with what it means, those that have a default as comments.

use crate::Wishes;
use crate::text::{fill, list, quoted};

const TEMPLATE: &str = include_str!("files/policy.toml");

/// The policy file's text.
#[must_use]
pub fn policy_file(wishes: &Wishes) -> String {
    let text = |value: &Option<String>| quoted(value.as_deref().unwrap_or_default());
    let shape = match (&wishes.shape, &wishes.plane_path) {
        (None, None) => "# shape = \"own-stack\"\n# plane_path = \"/runnersmith/plane\"".to_owned(),
        (shape, control_plane) => {
            let control_plane =
                control_plane.as_ref().map(|path| format!("\nplane_path = {}", quoted(path))).unwrap_or_default();
            format!("shape = {}{control_plane}", quoted(shape.as_deref().unwrap_or("own-stack")))
        }
    };
    let or_comment = |field: &str, value: &Option<String>, example: &str| match value {
        Some(value) => format!("{field} = {}", quoted(value)),
        None => format!("# {field} = {}", quoted(example)),
    };
    fill(
        TEMPLATE,
        &[
            ("SHAPE", &shape),
            ("MODULE_SOURCE", &quoted(&wishes.module())),
            ("GHES_URL", &or_comment("ghes_url", &wishes.server_url, "https://github.example.com")),
            ("ORGANIZATIONS", &list(&wishes.organizations)),
            ("REGION", &text(&wishes.region)),
            ("VPC", &text(&wishes.vpc)),
            ("SUBNETS", &list(&wishes.subnets)),
            ("BUCKET", &text(&wishes.bucket)),
            ("LOCK_TABLE", &or_comment("dynamodb_table", &wishes.lock_table, "runnersmith-locks")),
        ],
    )
}
